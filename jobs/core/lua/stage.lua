-- A batch that is being accepted: its jobs' hashes are written in pieces, on no queue, until one step starts them all.
-- `:stage:{queue}` lists the ids for a queue, `:special` the numbers of jobs that have dependencies or a time of their
-- own. Needs batch.lua.

local function stage_keys(key, queues)
  local found = {key .. ':special'}
  for queue in string.gmatch(queues or '', '[^,]+') do found[#found + 1] = key .. ':stage:' .. queue end
  return found
end

-- Remove what was written of a batch that has not been started.
local function wipe(prefix, tenant, batch)
  local key = batch_key(tenant, batch)
  local known = redis.call('HMGET', key, 'total', 'queues')
  for index = 0, (tonumber(known[1]) or 0) - 1 do redis.call('DEL', prefix .. ':job:' .. member_id(batch, index)) end
  redis.call('DEL', key, unpack(stage_keys(key, known[2] or '')))
  redis.call('ZREM', 'offstage:batches', tenant .. '/' .. batch)
end

