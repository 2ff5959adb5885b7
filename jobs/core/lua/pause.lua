-- Pause a job: one that waits is parked, one that runs is asked to leave at its next checkpoint. One that waits for other
-- jobs stays where it is, and nobody, RQ's own worker neither, is to tell it of their ends.
-- ARGV: prefix, id, our hash of the job. Returns 1, or 0 if its state does not allow it.
--@include park.lua
local prefix, id, state = ARGV[1], ARGV[2], ARGV[3]
local job = redis.call('HMGET', prefix .. ':job:' .. id, 'status', 'origin')
local status, queue = job[1], job[2]
if status == 'queued' and redis.call('LREM', prefix .. ':queue:' .. queue, 1, id) == 1 then
  park(prefix, queue, id, state)
  return 1
end
if status == 'scheduled' and redis.call('ZREM', prefix .. ':scheduled:' .. queue, id) == 1 then
  park(prefix, queue, id, state)
  return 1
end
if status == 'started' then
  redis.call('HSET', state, 'pause', '1')
  return 1
end
local awaited = status == 'deferred' and redis.call('SMEMBERS', prefix .. ':job::' .. id .. ':dependencies') or {}
if #awaited > 0 then
  for _, parent in ipairs(awaited) do redis.call('SREM', prefix .. ':job:' .. parent .. ':dependents', id) end
  park(prefix, queue, id, state)
  return 1
end
return redis.call('HEXISTS', state, 'paused')
