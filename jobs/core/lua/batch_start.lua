-- Start a batch whose jobs are all written: this step is what accepts it. ARGV: prefix, tenant, batch, token, now (ISO),
-- now (seconds), the callback's id, or '', then the fields and values of its hash. Returns 1, or 0 if another attempt has
-- taken the batch over.
--@include fair.lua
--@include shrink.lua
--@include place.lua
--@include batch.lua
--@include dependents.lua
--@include depend.lua
--@include stage.lua
local prefix, tenant, batch, iso, now = ARGV[1], ARGV[2], ARGV[3], ARGV[5], ARGV[6]
local key, jobs, placed = batch_key(tenant, batch), 'offstage:' .. tenant .. ':jobs', 0
local known = redis.call('HMGET', key, 'token', 'filled', 'total', 'queues')
if known[1] ~= ARGV[4] then return 0 end
if known[2] == '1' then return 1 end  -- sent again, since the reply was lost

-- Jobs of a batch stand in the tenant's index a microsecond apart: a page of it begins after a time.
local function add_to_index(ids)
  local entries = {}
  for _, id in ipairs(ids) do
    entries[#entries + 1] = string.format('%.6f', now + placed / 1000000)
    entries[#entries + 1] = id
    placed = placed + 1
  end
  redis.call('ZADD', jobs, unpack(entries))
end

local function put_many(queue)
  local stage, fair = key .. ':stage:' .. queue, 'offstage:fair:' .. queue
  for from = 0, redis.call('LLEN', stage) - 1, 500 do
    local ids = redis.call('LRANGE', stage, from, from + 499)
    redis.call('RPUSH', prefix .. ':queue:' .. queue, unpack(ids))
    redis.call('RPUSH', fair .. ':' .. tenant, unpack(ids))
    add_to_index(ids)
    redis.call('ZADD', fair, 'NX', 0, tenant)
    redis.call('SADD', prefix .. ':queues', prefix .. ':queue:' .. queue)
  end
end

local function put_apart(index)
  local id = member_id(batch, index)
  local parents = redis.call('HGET', prefix .. ':job:' .. id, 'dependency_ids')
  depend(prefix, id, parents and cjson.decode(parents) or {}, iso, now)
  add_to_index({id})
end

local function open_all(total)
  local rest = total % 8
  local last = rest > 0 and string.char(256 - 2 ^ (8 - rest)) or ''
  redis.call('SET', key .. ':open', string.rep('\255', math.floor(total / 8)) .. last)
end

open_all(tonumber(known[3]))
redis.call('HSET', key, 'filled', '1')
if ARGV[7] ~= '' then
  redis.call('HSET', prefix .. ':job:' .. ARGV[7], unpack(ARGV, 8))
  redis.call('HSET', key, 'callback_id', ARGV[7])
  defer(prefix, read_job(prefix, ARGV[7]), now)
  add_to_index({ARGV[7]})
end
for queue in string.gmatch(known[4], '[^,]+') do put_many(queue) end
for _, index in ipairs(redis.call('LRANGE', key .. ':special', 0, -1)) do put_apart(index) end
redis.call('DEL', unpack(stage_keys(key, known[4])))
return 1
