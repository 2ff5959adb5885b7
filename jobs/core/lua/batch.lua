-- Batches. `offstage:{tenant}:batch:{id}` is a hash; beside it `:open`, a bit for each job that has not ended, and the
-- lists `:completed`, `:failed`, `:canceled`: the numbers of those that have, in the order of their ends. A job's id
-- follows from the batch's and its number. Needs place.lua.

local function batch_key(tenant, batch) return 'offstage:' .. tenant .. ':batch:' .. batch end

local function member_id(batch, index) return string.sub(batch, 1, 24) .. string.format('%08x', index) end

local function expire_batch(key, ttl)
  for _, part in ipairs({'', ':open', ':completed', ':failed', ':canceled'}) do
    redis.call('EXPIRE', key .. part, ttl)
  end
end

-- Once the last job has ended, and only once: close the batch and start its callback.
local function close_batch(prefix, tenant, batch, iso, now)
  local key = batch_key(tenant, batch)
  if redis.call('BITCOUNT', key .. ':open') > 0 or redis.call('HSETNX', key, 'ended_at', iso) == 0 then return end
  redis.call('ZREM', 'offstage:batches', tenant .. '/' .. batch)
  expire_batch(key, redis.call('HGET', key, 'ttl'))
  local callback = redis.call('HGET', key, 'callback_id')
  local job = callback and read_job(prefix, callback)
  if job and job.status == 'deferred' then release(prefix, job, iso, now) end
end

-- A job of a batch has ended. Telling it twice is telling it once; a failed one that was requeued may end differently.
local function member_ended(prefix, tenant, batch, index, state, started, iso, now)
  local key = batch_key(tenant, batch)
  local known = redis.call('HMGET', key, 'filled', 'started_at', 'ended_at', 'ttl', 'total')
  if known[1] ~= '1' or not tonumber(index) or tonumber(index) >= tonumber(known[5]) then return end
  if redis.call('SETBIT', key .. ':open', index, 0) == 0 then
    if state == 'failed' or redis.call('LREM', key .. ':failed', 0, index) == 0 then return end
  end
  redis.call('RPUSH', key .. ':' .. state, index)
  if started ~= '' and (not known[2] or started < known[2]) then redis.call('HSET', key, 'started_at', started) end
  if known[3] then expire_batch(key, known[4]) else close_batch(prefix, tenant, batch, iso, now) end
end

