-- Take out of a registry of RQ's what names no job. ARGV: prefix, registry, ids. Returns how many that were.
local gone = 0
for n = 3, #ARGV do
  if redis.call('EXISTS', ARGV[1] .. ':job:' .. ARGV[n]) == 0 then gone = gone + redis.call('ZREM', ARGV[2], ARGV[n]) end
end
return gone
