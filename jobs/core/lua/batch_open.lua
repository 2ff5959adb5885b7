-- Begin to accept a batch. ARGV: prefix, tenant, batch, token of this attempt, now (seconds), then the hash's fields and
-- values. Returns 0 if the batch is there already; what an earlier attempt left half done is removed.
--@include fair.lua
--@include place.lua
--@include batch.lua
--@include stage.lua
local prefix, tenant, batch = ARGV[1], ARGV[2], ARGV[3]
local key = batch_key(tenant, batch)
if redis.call('HGET', key, 'filled') == '1' then return 0 end
if redis.call('HGET', key, 'token') ~= ARGV[4] then wipe(prefix, tenant, batch) end
redis.call('HSET', key, 'token', ARGV[4], 'filled', '0', 'next', '0', unpack(ARGV, 6))
redis.call('ZADD', 'offstage:batches', ARGV[5], tenant .. '/' .. batch)
return 1
