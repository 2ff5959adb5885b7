-- Resume a job: a parked one goes to its queue, one that has not left yet stays.
-- ARGV: prefix, id, our hash of the job, tenant, now (ISO). Returns 1 if it was paused or asked to.
local prefix, id, state, tenant = ARGV[1], ARGV[2], ARGV[3], ARGV[4]
local key = prefix .. ':job:' .. id
local job = redis.call('HMGET', key, 'status', 'origin')
local status, queue = job[1], job[2]
if status == 'started' then return redis.call('HDEL', state, 'pause') end
if status ~= 'deferred' or redis.call('HDEL', state, 'paused') == 0 then return 0 end
redis.call('ZREM', prefix .. ':deferred:' .. queue, id)
redis.call('HSET', key, 'status', 'queued', 'enqueued_at', ARGV[5])
redis.call('SADD', prefix .. ':queues', prefix .. ':queue:' .. queue)
redis.call('RPUSH', prefix .. ':queue:' .. queue, id)
redis.call('RPUSH', 'offstage:fair:' .. queue .. ':' .. tenant, id)
redis.call('ZADD', 'offstage:fair:' .. queue, 'NX', 0, tenant)
return 1
