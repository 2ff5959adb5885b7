-- Cancel those of a batch's jobs, from one number on, that have not ended. ARGV: prefix, tenant, batch, now (ISO), now
-- (seconds), the first number, how many. Returns the ids of those that run: they must be told to stop.
--@include fair.lua
--@include shrink.lua
--@include place.lua
--@include batch.lua
--@include dependents.lua
--@include members.lua
local prefix, tenant, batch, iso, now = ARGV[1], ARGV[2], ARGV[3], ARGV[4], ARGV[5]
local key, first, running, gone, number = batch_key(tenant, batch), tonumber(ARGV[6]), {}, {}, {}

local function cancel(index)
  local id = member_id(batch, index)
  local job = read_job(prefix, id)
  local state = job and ENDED[job.status] or not job and 'canceled'
  if state then
    member_ended(prefix, tenant, batch, index, state, job and job.started or '', iso, now)
  elseif job.status == 'queued' or job.status == 'scheduled' or job.status == 'deferred' then
    if job.status == 'queued' then
      gone[job.queue], number[job.queue] = gone[job.queue] or {}, (number[job.queue] or 0) + 1
      gone[job.queue][id], job.off_queue = true, true
    end
    cancel_waiting(prefix, job, nil, iso, now)
    if redis.call('EXISTS', dependents_of(prefix, id)) == 1 then settle(prefix, id, iso, now) end
  else
    running[#running + 1] = id
  end
end

-- One pass over a list, where LREM would take one for each id.
local function remove(list, ids, count)
  if count < 10 then
    for id in pairs(ids) do redis.call('LREM', list, 1, id) end
    return
  end
  local there, kept = redis.call('LRANGE', list, 0, -1), {}
  for _, id in ipairs(there) do
    if not ids[id] then kept[#kept + 1] = id end
  end
  if #kept == #there then return end
  redis.call('DEL', list)
  for from = 1, #kept, 1000 do redis.call('RPUSH', list, unpack(kept, from, math.min(from + 999, #kept))) end
end

if redis.call('HEXISTS', key, 'ended_at') == 1 then return {} end
redis.call('HSETNX', key, 'canceled_at', iso)
each_open(key, first, first + ARGV[7], cancel)
for queue, ids in pairs(gone) do
  remove(prefix .. ':queue:' .. queue, ids, number[queue])
  remove('offstage:fair:' .. queue .. ':' .. tenant, ids, number[queue])
end
return running
