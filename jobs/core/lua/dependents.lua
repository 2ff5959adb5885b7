-- Jobs that wait for other jobs. RQ's keys: `{parent}:dependents` and `:{child}:dependencies` hold what is still awaited.
-- An end that a child has been told of is taken out of both, so that a parent that is requeued later does not count
-- again. Needs fair.lua, shrink.lua, place.lua, batch.lua.
--@include webhooks.lua
local ENDED = {finished = 'completed', failed = 'failed', stopped = 'canceled', canceled = 'canceled'}
local HOW = {failed = ' has failed.', canceled = ' was canceled.', deleted = ' was deleted.'}

-- How a job ended, in the client's words; nil while it has not.
local function end_of(prefix, id)
  local status = redis.pcall('HGET', prefix .. ':job:' .. id, 'status')
  if type(status) ~= 'string' then return 'deleted' end
  return ENDED[status]
end

local function dependents_of(prefix, id) return prefix .. ':job:' .. id .. ':dependents' end
local function dependencies_of(prefix, id) return prefix .. ':job::' .. id .. ':dependencies' end

-- Why a child is canceled, as its client reads it.
local function cause_of(parent, state)
  return cjson.encode({code = 'dependency_failed', message = 'The job ' .. parent .. ', on which this one depends,' .. HOW[state]})
end

-- Cancel a job of ours that waits on a queue, for its time or for others. `cause` is JSON, or nil if somebody asked.
local function cancel_waiting(prefix, job, cause, iso, now)
  local id, queue, status = job.id, job.queue, job.status
  if status == 'queued' and not job.off_queue then
    redis.call('LREM', prefix .. ':queue:' .. queue, 0, id)
  elseif status == 'scheduled' then
    redis.call('ZREM', prefix .. ':scheduled:' .. queue, id)
  elseif status == 'deferred' then
    redis.call('ZREM', prefix .. ':deferred:' .. queue, id)
  end
  job.status = 'canceled'
  redis.call('HSET', job.key, 'status', 'canceled', 'ended_at', iso)
  if cause then redis.call('HSET', job.key, 'offstage_cause', cause) end
  redis.call('ZADD', prefix .. ':canceled:' .. queue, now, id)
  if job.hook then
    redis.call('SADD', 'offstage:untold', id)  -- who tells its capability tells its watchers then
  else
    local events = 'offstage:' .. job.tenant .. ':events:' .. id
    local said = cause and '{"state":"canceled","error":' .. cause .. '}' or '{"state":"canceled"}'
    redis.call('XADD', events, '*', 'kind', 'end', 'data', said)
    shrink(events, job.ttl)
  end
  if job.has_parents then redis.call('DEL', dependencies_of(prefix, id)) end
  if job.ttl > 0 then
    redis.call('EXPIRE', job.key, job.ttl)
    if status == 'deferred' then redis.call('EXPIRE', 'offstage:' .. job.tenant .. ':state:' .. id, job.ttl) end
  end
  start_deliveries(prefix, job.tenant, id, 'canceled', iso, now)
  if job.batch then member_ended(prefix, job.tenant, job.batch, job.index, 'canceled', job.started, iso, now) end
end

-- Tell a waiting child that a parent has ended. Returns true if that canceled it.
local function tell(prefix, child, parent, state, iso, now)
  if state ~= 'completed' and not child.runs_anyway then
    if child.tenant then cancel_waiting(prefix, child, cause_of(parent, state), iso, now) end
    return child.tenant ~= nil  -- a plain RQ job waits, as it does with RQ's own worker
  end
  redis.call('SREM', dependents_of(prefix, parent), child.id)
  redis.call('SREM', dependencies_of(prefix, child.id), parent)
  if redis.call('EXISTS', dependencies_of(prefix, child.id)) == 0 then release(prefix, child, iso, now) end
  return false
end

-- Tell everybody who waits for a job that it has ended, and so on for those whom that cancels.
local function settle(prefix, first, iso, now)
  local ended = {first}
  while #ended > 0 do
    local parent = table.remove(ended)
    local state, waiting = end_of(prefix, parent), dependents_of(prefix, parent)
    for _, id in ipairs(state and redis.call('SMEMBERS', waiting) or {}) do
      local child = read_job(prefix, id)
      if not child or child.status ~= 'deferred' or is_paused(child) then
        redis.call('SREM', waiting, id)
      elseif tell(prefix, child, parent, state, iso, now) then
        redis.call('SREM', waiting, id)
        ended[#ended + 1] = id
      end
    end
  end
end

