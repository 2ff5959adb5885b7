-- Put a started job back at the head of its queue, among the scheduled ones until it is due, or among those that wait for
-- others; or park it if it is to pause. The start does not count. Does nothing if the execution is not this worker's any
-- more. ARGV: prefix, worker, queue name, job, execution, '1' if it must run in a process of its own, when it is due
-- (seconds, or '' for now), now (ISO), now (seconds), then the ids of the jobs that it waits for.
--@include fair.lua
--@include shrink.lua
--@include place.lua
--@include batch.lua
--@include dependents.lua
--@include depend.lua
--@include park.lua
local prefix, worker, queue, id, execution = ARGV[1], ARGV[2], ARGV[3], ARGV[4], ARGV[5]
local due, iso, now, awaited = ARGV[7], ARGV[8], ARGV[9], {}
for n = 10, #ARGV do awaited[#awaited + 1] = ARGV[n] end
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
  elseif #awaited > 0 then
    redis.call('HSET', key, 'dependency_ids', cjson.encode(awaited), 'allow_dependency_failures', '1')
    redis.call('HDEL', key, 'offstage_due')
    depend(prefix, id, awaited, iso, now)
  elseif due ~= '' then
    redis.call('HSET', key, 'status', 'scheduled')
    redis.call('ZADD', prefix .. ':scheduled:' .. queue, due, id)
  else
    redis.call('SADD', prefix .. ':queues', prefix .. ':queue:' .. queue)
    redis.call('LPUSH', prefix .. ':queue:' .. queue, id)
  end
end
return owned and 1 or 0
