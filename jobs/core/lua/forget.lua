-- Forget the hints beside a queue if that is empty: a stock RQ worker takes jobs and leaves them. ARGV: prefix, queue.
--@include fair.lua
if redis.call('EXISTS', ARGV[1] .. ':queue:' .. ARGV[2]) == 0 then forget('offstage:fair:' .. ARGV[2]) end
return 0
