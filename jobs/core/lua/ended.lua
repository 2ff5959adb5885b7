-- A job's end stands in Redis: tell its batch and those who wait for it. ARGV: prefix, id, now (ISO), now (seconds).
--@include fair.lua
--@include shrink.lua
--@include place.lua
--@include batch.lua
--@include dependents.lua
local prefix, id, iso, now = ARGV[1], ARGV[2], ARGV[3], ARGV[4]
local job = read_job(prefix, id)
if job and job.batch and ENDED[job.status] then
  member_ended(prefix, job.tenant, job.batch, job.index, ENDED[job.status], job.started, iso, now)
end
settle(prefix, id, iso, now)
