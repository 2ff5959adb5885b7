-- Take over what a dead worker was running: exactly one claimer gets it. Returns the executions, as `job:execution`.
-- ARGV: prefix, dead worker, claimer, seconds of silence that mean death.
local prefix, dead, claimer = ARGV[1], ARGV[2], ARGV[3]
local time = redis.call('TIME')
local last = redis.call('ZSCORE', 'offstage:workers', dead)
if last and tonumber(last) > time[1] + time[2] / 1000000 - ARGV[4] then return {} end
redis.call('ZREM', 'offstage:workers', dead)
local key = prefix .. ':worker:' .. dead
local theirs, mine = key .. ':executions', prefix .. ':worker:' .. claimer .. ':executions'
local members = redis.call('SMEMBERS', theirs)
for _, member in ipairs(members) do
  redis.call('SADD', mine, member)
  if redis.call('EXISTS', prefix .. ':execution:' .. member) == 1 then
    redis.call('HSET', prefix .. ':execution:' .. member, 'worker_name', claimer)
  end
end
for queue in string.gmatch(redis.call('HGET', key, 'queues') or '', '[^,]+') do
  redis.call('SREM', prefix .. ':workers:' .. queue, key)
end
redis.call('SREM', prefix .. ':workers', key)
redis.call('DEL', theirs, key)
return members
