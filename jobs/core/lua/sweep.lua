-- Look after what belongs to some jobs of a tenant. ARGV: prefix, tenant, how many kinds of keys a job has, these, ids.
-- Of a job that is gone, everything goes; of one that lives, nothing expires before it; of one that has ended, everything
-- goes with it. Returns how many were gone.
local prefix, tenant, last, gone = ARGV[1], ARGV[2], 3 + ARGV[3], 0
local parts = {unpack(ARGV, 4, last)}
for n = last + 1, #ARGV do
  local id = ARGV[n]
  local ttl = redis.call('TTL', prefix .. ':job:' .. id)
  for _, part in ipairs(parts) do
    local key = 'offstage:' .. tenant .. ':' .. part .. ':' .. id
    if part == 'webhooks' and ttl ~= -1 and redis.call('TTL', key) > 0 then
      -- Deliveries may go on for longer than a job is kept. It has had a time to live since the job's end.
    elseif ttl == -2 then
      redis.call('DEL', key)
    elseif ttl == -1 then
      redis.call('PERSIST', key)
    else
      local left = redis.call('TTL', key)
      if left == -1 or left > ttl then redis.call('EXPIRE', key, math.max(ttl, 1)) end
    end
  end
  if ttl == -2 then gone = gone + redis.call('ZREM', 'offstage:' .. tenant .. ':jobs', id) end
end
return gone
