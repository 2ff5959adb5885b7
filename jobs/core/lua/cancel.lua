-- Cancel a job that waits, and what that cancels. ARGV: prefix, id, now (ISO), now (seconds). Returns 1, or 0 if the job
-- does not wait.
--@include fair.lua
--@include shrink.lua
--@include place.lua
--@include batch.lua
--@include dependents.lua
local prefix, id, iso, now = ARGV[1], ARGV[2], ARGV[3], ARGV[4]
local job = read_job(prefix, id)
if not job or not job.tenant then return 0 end
if job.status ~= 'queued' and job.status ~= 'scheduled' and job.status ~= 'deferred' then return 0 end
cancel_waiting(prefix, job, nil, iso, now)
settle(prefix, id, iso, now)
return 1
