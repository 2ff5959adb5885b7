-- A worker says that it lives, and learns who does not. Time is Redis's own, so that clocks need not agree.
-- ARGV: prefix, worker, now (ISO), now (seconds), TTL of the worker's hash, seconds of silence that mean death, lease,
-- '1' to refresh the running executions. Returns {1 if the worker is registered, seconds since its last beat or -1,
-- names of dead workers}.
local prefix, worker, iso, now, lease = ARGV[1], ARGV[2], ARGV[3], ARGV[4], tonumber(ARGV[7])
local time = redis.call('TIME')
local clock = time[1] + time[2] / 1000000
local last = redis.call('ZSCORE', 'offstage:workers', worker)
redis.call('ZADD', 'offstage:workers', clock, worker)
local key, mine = prefix .. ':worker:' .. worker, prefix .. ':worker:' .. worker .. ':executions'
local known = redis.call('HEXISTS', key, 'birth')
if known == 1 then
  redis.call('HSET', key, 'last_heartbeat', iso)
  redis.call('EXPIRE', key, ARGV[5])
end
if ARGV[8] == '1' then
  redis.call('EXPIRE', mine, lease)
  for _, member in ipairs(redis.call('SMEMBERS', mine)) do
    local id, execution = string.match(member, '^(.*):([^:]*)$')
    local job, execution_key = prefix .. ':job:' .. id, prefix .. ':execution:' .. member
    local queue = redis.call('HGET', job, 'origin')
    if queue and redis.call('EXISTS', execution_key) == 1 then
      redis.call('HSET', job, 'last_heartbeat', iso)
      redis.call('HSET', execution_key, 'last_heartbeat', now)
      redis.call('EXPIRE', execution_key, lease)
      redis.call('ZADD', prefix .. ':wip:' .. queue, 'XX', now + lease, member)
      redis.call('ZADD', prefix .. ':executions:' .. id, 'XX', now + lease, execution)
      redis.call('EXPIRE', prefix .. ':executions:' .. id, lease)
    end
  end
end
local dead = redis.call('ZRANGEBYSCORE', 'offstage:workers', '-inf', '(' .. (clock - ARGV[6]))
return {known, last and tostring(clock - last) or '-1', dead}
