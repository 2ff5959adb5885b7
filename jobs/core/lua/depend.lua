-- Start a job that depends on others. Needs dependents.lua.

-- The first id that is no job of the tenant, or nil.
local function unknown_parent(prefix, tenant, parents)
  for _, id in ipairs(parents) do
    local parent = read_job(prefix, id)
    if not parent or parent.tenant ~= tenant then return id end
  end
end

-- Place a job whose hash is written: it waits for those that have not ended, or starts, or is canceled with the first
-- that did not complete.
local function depend(prefix, id, parents, iso, now)
  local job, awaited = read_job(prefix, id), {}
  defer(prefix, job, now)
  for _, parent in ipairs(parents) do
    local state = end_of(prefix, parent)
    if not state then
      awaited[#awaited + 1] = parent
    elseif state ~= 'completed' and not job.runs_anyway then
      return cancel_waiting(prefix, job, cause_of(parent, state), iso, now)
    end
  end
  for _, parent in ipairs(awaited) do
    redis.call('SADD', dependents_of(prefix, parent), id)
    redis.call('SADD', dependencies_of(prefix, id), parent)
  end
  if #awaited == 0 then release(prefix, job, iso, now) end
end

