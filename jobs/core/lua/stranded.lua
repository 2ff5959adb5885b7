-- Put a job back on its queue that nobody holds: its status says that it waits or runs, and it stands in no list and no
-- registry. ARGV: prefix, id, now (ISO). Returns 1, or 0 if somebody holds it or it has ended.
--@include fair.lua
--@include place.lua
local prefix, id, iso = ARGV[1], ARGV[2], ARGV[3]
local key = prefix .. ':job:' .. id
local status, queue, meta = unpack(redis.call('HMGET', key, 'status', 'origin', 'meta'))
if not status or not queue or not meta then return 0 end
local place = {queued = 'queue', started = 'wip', scheduled = 'scheduled', deferred = 'deferred'}
if not place[status] then return 0 end
local registry = prefix .. ':' .. place[status] .. ':' .. queue
if status == 'queued' then
  if redis.call('LPOS', registry, id) then return 0 end
elseif status == 'started' then
  for _, member in ipairs(redis.call('ZRANGE', registry, 0, -1)) do
    if string.sub(member, 1, #id + 1) == id .. ':' then return 0 end
  end
elseif redis.call('ZSCORE', registry, id) then
  return 0
end
redis.call('HSET', key, 'status', 'queued', 'enqueued_at', iso)
put_on_queue(prefix, queue, id, cjson.decode(meta).tenant)
return 1
