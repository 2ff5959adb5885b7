-- Cancel those of a batch's jobs, from one number on, that have not ended. ARGV: prefix, tenant, batch, now (ISO), now
-- (seconds), the first number, how many. Returns the ids of those that run: they must be told to stop.
--@include fair.lua
--@include shrink.lua
--@include place.lua
--@include batch.lua
--@include dependents.lua
--@include members.lua
local prefix, tenant, batch, iso, now = ARGV[1], ARGV[2], ARGV[3], ARGV[4], ARGV[5]
local key, first, running, gone = batch_key(tenant, batch), tonumber(ARGV[6]), {}, {}

local function cancel(index)
  local id = member_id(batch, index)
  local job = read_job(prefix, id)
  local state = job and ENDED[job.status] or not job and 'canceled'
  if state then
    member_ended(prefix, tenant, batch, index, state, job and job.started or '', iso, now)
  elseif job.status == 'queued' or job.status == 'scheduled' or job.status == 'deferred' then
    if job.status == 'queued' then
      gone[job.queue], job.off_queue = gone[job.queue] or {}, true
      table.insert(gone[job.queue], id)
    end
    cancel_waiting(prefix, job, nil, iso, now)
    if redis.call('EXISTS', dependents_of(prefix, id)) == 1 then settle(prefix, id, iso, now) end
  else
    running[#running + 1] = id
  end
end

-- Remove ids from a list of any length. A batch's jobs mostly stand together from the first one on: they are marked in
-- their places and go in one pass, where LREM would take one for each. Returns the ids that stand elsewhere.
local function remove_run(list, ids, first)
  local at, marked, left = redis.call('LPOS', list, first), 0, {}
  local found = {}
  for i, id in ipairs(at and redis.call('LRANGE', list, at, at + 2 * #ids) or {}) do found[id] = at + i - 1 end
  for _, id in ipairs(ids) do
    if found[id] then
      redis.call('LSET', list, found[id], 'offstage:gone')
      marked = marked + 1
    else
      left[#left + 1] = id
    end
  end
  if marked > 0 then redis.call('LREM', list, marked, 'offstage:gone') end
  return left
end

local function remove(list, ids)
  while #ids > 0 and redis.call('EXISTS', list) == 1 do
    local left = remove_run(list, ids, ids[1])
    if #left == #ids then table.remove(left, 1) end
    ids = left
  end
end

if redis.call('HEXISTS', key, 'ended_at') == 1 then return {} end
redis.call('HSETNX', key, 'canceled_at', iso)
each_open(key, first, first + ARGV[7], cancel)
for queue, ids in pairs(gone) do
  remove(prefix .. ':queue:' .. queue, ids)
  remove('offstage:fair:' .. queue .. ':' .. tenant, ids)
end
return running
