-- Move due jobs from their schedule to their queue; any number of schedulers may do so at once.
-- ARGV: prefix, now (seconds), now (ISO), how many at most, then queue names. Returns {how many were moved, ids that
-- RQ itself must move because a rate limit holds them: name, id, name, id, ...}.
--@include fair.lua
local prefix, now, iso, room = ARGV[1], ARGV[2], ARGV[3], tonumber(ARGV[4])
local moved, limited = 0, {}

local function at_front(job)
  return (job.enqueue_at_front_on_retry == '1' and (job.ended_at or '') ~= '') or job.enqueue_at_front == '1'
end

local function push(queue, id, key, job)
  redis.call('HSET', key, 'status', 'queued', 'enqueued_at', iso, 'origin', queue)
  redis.call('HSETNX', key, 'timeout', '180')
  if tonumber(job.ttl or '0') > 0 then redis.call('EXPIRE', key, job.ttl) end
  redis.call('SADD', prefix .. ':queues', prefix .. ':queue:' .. queue)
  if at_front(job) then return redis.call('LPUSH', prefix .. ':queue:' .. queue, id) end
  redis.call('RPUSH', prefix .. ':queue:' .. queue, id)
  local tenant = tenant_of(prefix, id)
  if tenant then
    redis.call('RPUSH', 'offstage:fair:' .. queue .. ':' .. tenant, id)
    redis.call('ZADD', 'offstage:fair:' .. queue, 'NX', 0, tenant)
  end
end

for i = 5, #ARGV do
  local queue = ARGV[i]
  local schedule = prefix .. ':scheduled:' .. queue
  for _, id in ipairs(redis.call('ZRANGEBYSCORE', schedule, '-inf', now, 'LIMIT', 0, room)) do
    local key = prefix .. ':job:' .. id
    local names = {'data', 'rate_limit_key', 'enqueue_at_front_on_retry', 'enqueue_at_front', 'ended_at', 'ttl'}
    local values, job = redis.pcall('HMGET', key, unpack(names)), {}
    if not values.err then
      for n, name in ipairs(names) do job[name] = values[n] or nil end
    end
    if job.rate_limit_key and job.rate_limit_key ~= '' then
      limited[#limited + 1] = queue
      limited[#limited + 1] = id
    else
      redis.call('ZREM', schedule, id)
      if job.data then
        push(queue, id, key, job)
        moved = moved + 1
      end
    end
  end
end
return {moved, limited}
