-- Resume a job: a parked one goes to its queue, or waits on for the jobs that it waited for, or for its time; one that has
-- not left yet stays.
-- ARGV: prefix, id, our hash of the job, now (ISO), now (seconds). Returns 1 if it was paused or asked to.
--@include fair.lua
--@include shrink.lua
--@include place.lua
--@include batch.lua
--@include dependents.lua
--@include depend.lua
local prefix, id, state, iso, now = ARGV[1], ARGV[2], ARGV[3], ARGV[4], ARGV[5]
local status = redis.call('HGET', prefix .. ':job:' .. id, 'status')
if status == 'started' then return redis.call('HDEL', state, 'pause') end
if status ~= 'deferred' or redis.call('HDEL', state, 'paused') == 0 then return 0 end
local awaited = redis.call('SMEMBERS', dependencies_of(prefix, id))
redis.call('DEL', dependencies_of(prefix, id))
depend(prefix, id, awaited, iso, now)
return 1
