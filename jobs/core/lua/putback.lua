-- Put a started job back at the head of its queue; the start does not count. Does nothing if the execution is not this
-- worker's any more. ARGV: prefix, worker, queue name, job, execution, '1' if it must run in a process of its own.
local prefix, worker, queue, id, execution = ARGV[1], ARGV[2], ARGV[3], ARGV[4], ARGV[5]
local member, key = id .. ':' .. execution, prefix .. ':job:' .. id
local owned = redis.call('DEL', prefix .. ':execution:' .. member) == 1
redis.call('ZREM', prefix .. ':wip:' .. queue, member)
redis.call('ZREM', prefix .. ':executions:' .. id, execution)
redis.call('SREM', prefix .. ':worker:' .. worker .. ':executions', member)
if owned and redis.call('EXISTS', key) == 1 then
  redis.call('HSET', key, 'status', 'queued', 'started_at', '', 'worker_name', '')
  if ARGV[6] == '1' then redis.call('HSET', key, 'offstage_solo', '1') end
  redis.call('SADD', prefix .. ':queues', prefix .. ':queue:' .. queue)
  redis.call('LPUSH', prefix .. ':queue:' .. queue, id)
end
return owned and 1 or 0
