-- Start the next job. KEYS: queues, in the order to look at them. Returns {queue, id, hash}, {} or {'suspended'}.
--@include fair.lua
--@include pop.lua
return begin(1)
