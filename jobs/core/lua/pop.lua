-- Take the next job off a queue and start it, in one step: no job is ever between its queue and its execution.
-- Arguments from `base`: prefix, worker, now (ISO), now (seconds), execution id, lease (seconds), "1" if this
-- execution id was sent before and the reply was lost. The keys of an execution get their TTL with the first heartbeat.

local function take(queue, prefix, hinted)
  local fair = 'offstage:fair:' .. string.sub(queue, #prefix + 8)
  while true do
    local id
    if hinted and redis.call('EXISTS', fair) == 1 then
      local head = redis.call('LINDEX', queue, 0)
      if head then id = choose(queue, fair, prefix, head) else forget(fair) end
    else
      id = redis.call('LPOP', queue)
    end
    if not id then return nil end
    local key = prefix .. ':job:' .. id
    local hash = redis.pcall('HGETALL', key)
    if not hash.err then
      for i = 1, #hash, 2 do
        if hash[i] == 'data' then return id, key, hash end
      end
    end
  end
end

-- Whether any queue has hints: one question for all of them.
local function any_hints(prefix)
  local fair = {}
  for i = 1, #KEYS do fair[i] = 'offstage:fair:' .. string.sub(KEYS[i], #prefix + 8) end
  return redis.call('EXISTS', unpack(fair)) > 0
end

local function begin(base, busy)
  local prefix, worker, iso, now = ARGV[base], ARGV[base + 1], ARGV[base + 2], ARGV[base + 3]
  local execution, lease = ARGV[base + 4], tonumber(ARGV[base + 5])
  local mine = prefix .. ':worker:' .. worker .. ':executions'
  local worker_key = prefix .. ':worker:' .. worker
  if ARGV[base + 6] == '1' then
    for _, member in ipairs(redis.call('SMEMBERS', mine)) do
      if string.sub(member, -#execution) == execution then
        local id = string.sub(member, 1, -#execution - 2)
        local hash = redis.call('HGETALL', prefix .. ':job:' .. id)
        for i = 1, #hash, 2 do
          if hash[i] == 'origin' then return {prefix .. ':queue:' .. hash[i + 1], id, hash} end
        end
      end
    end
  end
  local suspended = redis.call('EXISTS', prefix .. ':suspended') == 1
  local hinted = not suspended and any_hints(prefix)
  for i = 1, suspended and 0 or #KEYS do
    local id, key, hash = take(KEYS[i], prefix, hinted)
    if id then
      local member = id .. ':' .. execution
      local execution_key, executions = prefix .. ':execution:' .. member, prefix .. ':executions:' .. id
      redis.call('HSET', key, 'status', 'started', 'started_at', iso, 'last_heartbeat', iso, 'worker_name', worker)
      redis.call('PERSIST', key)
      redis.call('HSET', execution_key, 'id', execution, 'job_id', id, 'created_at', now, 'last_heartbeat', now,
        'worker_name', worker)
      redis.call('ZADD', executions, now + lease, execution)
      redis.call('ZADD', prefix .. ':wip:' .. string.sub(KEYS[i], #prefix + 8), now + lease, member)
      redis.call('SADD', mine, member)
      if not busy then redis.call('HSET', worker_key, 'state', 'busy') end
      return {KEYS[i], id, hash}
    end
  end
  if redis.call('EXISTS', mine) == 0 then
    redis.call('HSET', worker_key, 'state', suspended and 'suspended' or 'idle')
  end
  return suspended and {'suspended'} or {}
end
