-- Put a job on its queue, or among the scheduled ones, in one step, unless a job of that id exists. Returns 1 if it was
-- put there. KEYS: the job's hash, its queue, the set of queues, the queue's scheduled jobs, the tenant's jobs, the
-- queue's tenants. ARGV: id, tenant, now (seconds), when it is due (seconds, or '' for now), the age (seconds since
-- 1970) under which the tenant's index is cut, then the hash's fields and values.
if redis.call('EXISTS', KEYS[1]) == 1 then return 0 end
local id, tenant, due = ARGV[1], ARGV[2], ARGV[4]
redis.call('HSET', KEYS[1], unpack(ARGV, 6))
redis.call('SADD', KEYS[3], KEYS[2])
redis.call('ZADD', KEYS[5], ARGV[3], id)
redis.call('ZREMRANGEBYSCORE', KEYS[5], '-inf', ARGV[5])
if due ~= '' then
  redis.call('ZADD', KEYS[4], due, id)
else
  redis.call('RPUSH', KEYS[2], id)
  redis.call('RPUSH', KEYS[6] .. ':' .. tenant, id)
  redis.call('ZADD', KEYS[6], 'NX', 0, tenant)
end
return 1
