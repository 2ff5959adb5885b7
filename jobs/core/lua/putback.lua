-- Put a started job back at the head of its queue, or park it if it is to pause; the start does not count. Does nothing if
-- the execution is not this worker's any more. ARGV: prefix, worker, queue name, job, execution, '1' if it must run in a process of its own.
--@include fair.lua
--@include park.lua
local prefix, worker, queue, id, execution = ARGV[1], ARGV[2], ARGV[3], ARGV[4], ARGV[5]
local member, key = id .. ':' .. execution, prefix .. ':job:' .. id
local owned = redis.call('DEL', prefix .. ':execution:' .. member) == 1
redis.call('ZREM', prefix .. ':wip:' .. queue, member)
redis.call('ZREM', prefix .. ':executions:' .. id, execution)
redis.call('SREM', prefix .. ':worker:' .. worker .. ':executions', member)
if owned and redis.call('EXISTS', key) == 1 then
  redis.call('HSET', key, 'status', 'queued', 'started_at', '', 'worker_name', '')
  if ARGV[6] == '1' then redis.call('HSET', key, 'offstage_solo', '1') end
  local tenant = tenant_of(prefix, id)
  local state = tenant and 'offstage:' .. tenant .. ':state:' .. id
  if state and redis.call('HEXISTS', state, 'pause') == 1 then
    park(prefix, queue, id, state)
  else
    redis.call('SADD', prefix .. ':queues', prefix .. ':queue:' .. queue)
    redis.call('LPUSH', prefix .. ':queue:' .. queue, id)
  end
end
return owned and 1 or 0
