-- Take the next job off a queue and start it, in one step: no job is ever between its queue and its execution.
-- Arguments from `base`: prefix, worker, now (ISO), now (seconds), execution id, lease (seconds), "1" if this
-- execution id was sent before and the reply was lost.

local function take(queue, prefix)
  local name = string.sub(queue, #prefix + 8)
  local fair = 'offstage:fair:' .. name
  while true do
    local hinted = redis.call('EXISTS', fair) == 1
    local id
    if hinted then
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

local function begin(base)
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
  for i = 1, suspended and 0 or #KEYS do
    local id, key, hash = take(KEYS[i], prefix)
    if id then
      local member = id .. ':' .. execution
      local execution_key, executions = prefix .. ':execution:' .. member, prefix .. ':executions:' .. id
      redis.call('HSET', key, 'status', 'started', 'started_at', iso, 'last_heartbeat', iso, 'worker_name', worker)
      redis.call('PERSIST', key)
      redis.call('HSET', execution_key, 'id', execution, 'job_id', id, 'created_at', now, 'last_heartbeat', now,
        'worker_name', worker)
      redis.call('EXPIRE', execution_key, lease)
      redis.call('ZADD', executions, now + lease, execution)
      redis.call('EXPIRE', executions, lease)
      redis.call('ZADD', prefix .. ':wip:' .. string.sub(KEYS[i], #prefix + 8), now + lease, member)
      redis.call('SADD', mine, member)
      redis.call('HSET', worker_key, 'state', 'busy')
      return {KEYS[i], id, hash}
    end
  end
  if redis.call('EXISTS', mine) == 0 then
    redis.call('HSET', worker_key, 'state', suspended and 'suspended' or 'idle')
  end
  return suspended and {'suspended'} or {}
end
