-- Write some jobs of a batch, on no queue yet. ARGV: prefix, tenant, batch, token, number of the first one, then for each
-- job: queue, '1' if it has dependencies or a time of its own, how many dependencies, their ids, how many fields and
-- values, these. Returns 1, 0 if another attempt has taken the batch over, or {id} of an unknown dependency.
--@include fair.lua
--@include shrink.lua
--@include place.lua
--@include batch.lua
--@include dependents.lua
--@include depend.lua
local prefix, tenant, batch, index, at = ARGV[1], ARGV[2], ARGV[3], tonumber(ARGV[5]), 6
local key, staged, special = batch_key(tenant, batch), {}, {}
local known = redis.call('HMGET', key, 'token', 'next')
if known[1] ~= ARGV[4] then return 0 end
if tonumber(known[2]) > index then return 1 end  -- sent again, since the reply was lost
while at <= #ARGV do
  local queue, apart, parents = ARGV[at], ARGV[at + 1], tonumber(ARGV[at + 2])
  local unknown = unknown_parent(prefix, tenant, {unpack(ARGV, at + 3, at + 2 + parents)})
  if unknown then return {unknown} end
  at = at + 3 + parents
  local id, fields = member_id(batch, index), tonumber(ARGV[at])
  redis.call('HSET', prefix .. ':job:' .. id, unpack(ARGV, at + 1, at + fields))
  if apart == '1' then
    special[#special + 1] = index
  else
    staged[queue] = staged[queue] or {}
    table.insert(staged[queue], id)
  end
  at, index = at + 1 + fields, index + 1
end
for queue, ids in pairs(staged) do redis.call('RPUSH', key .. ':stage:' .. queue, unpack(ids)) end
if #special > 0 then redis.call('RPUSH', key .. ':special', unpack(special)) end
redis.call('HSET', key, 'next', index)
return 1
