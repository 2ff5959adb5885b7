-- Remove a batch that was never started. ARGV: prefix, tenant, batch, token, or '' for whatever attempt.
--@include fair.lua
--@include place.lua
--@include batch.lua
--@include stage.lua
local known = redis.call('HMGET', batch_key(ARGV[2], ARGV[3]), 'filled', 'token')
if known[1] ~= '1' and (ARGV[4] == '' or known[2] == ARGV[4]) then wipe(ARGV[1], ARGV[2], ARGV[3]) end
