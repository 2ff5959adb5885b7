-- Give a job a webhook. ARGV: prefix, tenant, id, hook, its JSON, host, seconds to keep it after the end, how many there
-- may be, now (ISO), now (seconds). Of a job that has ended the end is told now. Returns 1; 0 if there is no such job, -1
-- if it has as many already.
--@include webhooks.lua
local ENDED = {finished = 'completed', failed = 'failed', stopped = 'canceled', canceled = 'canceled'}
local prefix, tenant, id, hook, ttl = ARGV[1], ARGV[2], ARGV[3], ARGV[4], ARGV[7]
local status = redis.call('HGET', prefix .. ':job:' .. id, 'status')
if not status then return 0 end
local key, count = hooks_key(tenant, id), 0
for _, field in ipairs(redis.call('HKEYS', key)) do
  if string.sub(field, 1, 5) == 'hook:' and field ~= 'hook:' .. hook then count = count + 1 end
end
if count >= tonumber(ARGV[8]) then return -1 end
redis.call('HSET', key, 'hook:' .. hook, ARGV[5], 'ttl', ttl)
if ENDED[status] then
  start_delivery(prefix, tenant, id, hook, ARGV[6], ENDED[status], ARGV[9], ARGV[10], ttl)
  redis.call('EXPIRE', key, ttl)
end
return 1
