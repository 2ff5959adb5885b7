-- Put a job on its queue, or among the scheduled ones or those that wait for others, in one step. Returns the id of the
-- job that does the work: this one's, or the id of one that is there already and does the same (a job of this id; with a
-- fingerprint, one of the same fingerprint that waits, runs, or has completed and is still fresh). Returns {id} of a
-- dependency that is no job of this tenant, and nothing was done.
-- KEYS: the job's hash, its queue, the set of queues, the queue's scheduled jobs, the tenant's jobs, the queue's
-- tenants, the fingerprint's job (or the job's hash again, for none). ARGV: id, tenant, now (seconds), when it is due
-- (seconds, or '' for now), '1' to start anew what is there, the time (ISO) before which a completed job is stale ('' if
-- it always is), seconds to keep the fingerprint, prefix, now (ISO), how many jobs it depends on, their ids, then the
-- hash's fields and values.
--@include fair.lua
--@include shrink.lua
--@include place.lua
--@include batch.lua
--@include dependents.lua
--@include depend.lua
local LIVE = {queued = true, started = true, scheduled = true, deferred = true, rate_limited = true}

if redis.call('EXISTS', KEYS[1]) == 1 then return ARGV[1] end
local id, tenant, now, due, reusable = ARGV[1], ARGV[2], ARGV[3], ARGV[4], KEYS[7] ~= KEYS[1]
local prefix, iso, parents = ARGV[8], ARGV[9], {unpack(ARGV, 11, 10 + ARGV[10])}
if reusable and ARGV[5] ~= '1' then
  local there = redis.call('GET', KEYS[7])
  local job = there and redis.call('HMGET', prefix .. ':job:' .. there, 'status', 'ended_at') or {}
  local fresh = ARGV[6] ~= '' and job[1] == 'finished' and job[2] and job[2] >= ARGV[6]
  if LIVE[job[1]] or fresh then return there end
end
local unknown = unknown_parent(prefix, tenant, parents)
if unknown then return {unknown} end
redis.call('HSET', KEYS[1], unpack(ARGV, 11 + #parents))
if reusable then redis.call('SET', KEYS[7], id, 'EX', ARGV[7]) end
redis.call('SADD', KEYS[3], KEYS[2])
redis.call('ZADD', KEYS[5], now, id)
if #parents > 0 then
  depend(prefix, id, parents, iso, now)
elseif due ~= '' then
  redis.call('ZADD', KEYS[4], due, id)
else
  redis.call('RPUSH', KEYS[2], id)
  redis.call('RPUSH', KEYS[6] .. ':' .. tenant, id)
  redis.call('ZADD', KEYS[6], 'NX', 0, tenant)
end
return id
