-- A stream is born with 4 KiB of room; a copy is as large as what it holds. TTL in seconds; none or less: kept.
local function shrink(key, ttl)
  redis.call('COPY', key, 'offstage:copy', 'REPLACE')
  redis.call('RENAME', 'offstage:copy', key)
  if ttl > 0 then redis.call('EXPIRE', key, ttl) else redis.call('PERSIST', key) end
end

