-- Count a batch's jobs by state, from what RQ says of each; one that has ended without anybody telling is told now.
-- ARGV: prefix, tenant, batch, now (ISO), now (seconds). Returns {} if there is no such batch, else its fields and
-- values, the counts as state and number, and when its first job started (ISO, or '').
--@include fair.lua
--@include shrink.lua
--@include place.lua
--@include batch.lua
--@include dependents.lua
--@include members.lua
local prefix, tenant, batch, iso, now = ARGV[1], ARGV[2], ARGV[3], ARGV[4], ARGV[5]
local key, counts, first = batch_key(tenant, batch), {}, ''
local LIVE = {created = 'queued', queued = 'queued', started = 'running', scheduled = 'scheduled', deferred = 'waiting',
  ready = 'waiting', rate_limited = 'waiting'}
if redis.call('HGET', key, 'filled') ~= '1' then return {} end

local function state_of(index)
  local id = member_id(batch, index)
  local key = prefix .. ':job:' .. id
  local status = redis.pcall('HGET', key, 'status')
  if status == 'queued' then return 'queued', '' end  -- most of them, as a rule
  if not status then return 'canceled', '' end  -- deleted before it was seen to end
  if type(status) ~= 'string' then return 'failed', '' end  -- unreadable, and soon set aside
  local job = redis.call('HMGET', key, 'number_of_retries', 'started_at')
  local started = job[2] or ''
  if started ~= '' and (first == '' or started < first) then first = started end
  if ENDED[status] then return ENDED[status], started end
  if status == 'scheduled' and (tonumber(job[1] or '') or 0) > 0 then return 'retrying', started end
  if status == 'deferred' and redis.call('HEXISTS', 'offstage:' .. tenant .. ':state:' .. id, 'paused') == 1 then
    return 'paused', started
  end
  return LIVE[status] or 'waiting', started
end

local function count(state) counts[state] = (counts[state] or 0) + 1 end

each_open(key, 0, math.huge, function(index)
  local state, started = state_of(index)
  if state == 'completed' or state == 'failed' or state == 'canceled' then
    member_ended(prefix, tenant, batch, index, state, started, iso, now)
  else
    count(state)
  end
end)
for _, index in ipairs(redis.call('LRANGE', key .. ':failed', 0, -1)) do  -- a failed one may have been requeued
  local state, started = state_of(index)
  if state == 'completed' or state == 'canceled' and redis.call('EXISTS', prefix .. ':job:' .. member_id(batch, index)) == 1 then
    member_ended(prefix, tenant, batch, index, state, started, iso, now)
  elseif state ~= 'failed' and state ~= 'canceled' then
    count(state)
    counts.requeued = (counts.requeued or 0) + 1
  end
end
counts.completed = redis.call('LLEN', key .. ':completed')
counts.failed = redis.call('LLEN', key .. ':failed') - (counts.requeued or 0)
counts.canceled = redis.call('LLEN', key .. ':canceled')
counts.requeued = nil
local flat = {}
for state, number in pairs(counts) do
  flat[#flat + 1] = state
  flat[#flat + 1] = number
end
return {redis.call('HGETALL', key), flat, first}
