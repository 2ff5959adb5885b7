-- Keep a job from starting until it is resumed: RQ's tools see it among the deferred ones. `state` is our hash of it.
local function park(prefix, queue, id, state)
  redis.call('HSET', prefix .. ':job:' .. id, 'status', 'deferred')
  redis.call('ZADD', prefix .. ':deferred:' .. queue, '+inf', id)
  redis.call('HDEL', state, 'pause')
  redis.call('HSET', state, 'paused', '1')
  redis.call('PERSIST', state)
end
