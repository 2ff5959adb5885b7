-- Look after deferred jobs whose parents ended, or were deleted, without anybody telling them.
-- ARGV: prefix, now (ISO), now (seconds), queue name, ids of the queue's deferred jobs.
--@include fair.lua
--@include shrink.lua
--@include place.lua
--@include batch.lua
--@include dependents.lua
local prefix, iso, now = ARGV[1], ARGV[2], ARGV[3]

local function look_after(child)
  for _, parent in ipairs(redis.call('SMEMBERS', dependencies_of(prefix, child.id))) do
    local state = end_of(prefix, parent)
    if state and tell(prefix, child, parent, state, iso, now) then return settle(prefix, child.id, iso, now) end
  end
  if child.status == 'deferred' and redis.call('EXISTS', dependencies_of(prefix, child.id)) == 0 then
    release(prefix, child, iso, now)
  end
end

for i = 5, #ARGV do
  local child = read_job(prefix, ARGV[i])
  if not child then
    redis.call('ZREM', prefix .. ':deferred:' .. ARGV[4], ARGV[i])
  elseif child.status == 'deferred' and child.tenant and child.has_parents and not is_paused(child) then
    look_after(child)
  end
end
