-- Record a job that returned, and start the next one, in one step. KEYS: queues, in the order to look at them.
-- ARGV: job, execution, queue name, end (ISO), end (seconds), result TTL, seconds worked, result (base64, or ''),
-- start (seconds), worker, prefix, '1' to start the next job, the job's event stream (or ''), its last entry, its TTL,
-- then those of `begin`. Returns what start.lua returns; {'dependents'} if others wait for the job and nothing was
-- done; {'gone'} if the execution is not this worker's any more.
--@include fair.lua
--@include pop.lua
local DEFAULTS = {'success_callback_name', 'failure_callback_name', 'stopped_callback_name', 'group_id'}

-- A stream is born with 4 KiB of room; a copy is as large as what it holds. Where RESTORE is forbidden it stays.
local function shrink(key, ttl)
  local copy = redis.pcall('DUMP', key)
  if type(copy) == 'string' then
    local done = redis.pcall('RESTORE', key, ttl > 0 and ttl * 1000 or 0, copy, 'REPLACE')
    if not done.err then return end
  end
  if ttl > 0 then redis.call('EXPIRE', key, ttl) else redis.call('PERSIST', key) end
end

-- Redis may have lost the start (it came back a second older), or another worker took this one for dead and put the
-- job back: if nobody has started it since, its result is as good as any.
local function reclaim(prefix, id, queue, key)
  local status = redis.call('HGET', key, 'status')
  if status == 'queued' then return redis.call('LREM', prefix .. ':queue:' .. queue, 0, id) > 0 end
  if status == 'scheduled' then return redis.call('ZREM', prefix .. ':scheduled:' .. queue, id) > 0 end
  return false
end

local function record(id, execution, queue, prefix, worker)
  local key, iso, ttl = prefix .. ':job:' .. id, ARGV[4], tonumber(ARGV[6])
  local worker_key = prefix .. ':worker:' .. worker
  redis.call('HINCRBY', worker_key, 'successful_job_count', 1)
  redis.call('HINCRBYFLOAT', worker_key, 'total_working_time', ARGV[7])
  if redis.call('HSET', key, 'status', 'finished', 'ended_at', iso, 'last_heartbeat', iso) == 3 then
    redis.call('DEL', key)  -- it was deleted while it ran: leave no ghost
    return
  end
  for i, value in ipairs(redis.call('HMGET', key, unpack(DEFAULTS))) do
    if value == '' then redis.call('HDEL', key, DEFAULTS[i]) end
  end
  local results = prefix .. ':results:' .. id
  local entry = {'type', '1', 'worker_name', worker, 'execution_id', execution, 'execution_started_at', ARGV[9],
    'execution_ended_at', ARGV[5]}
  if ARGV[8] ~= '' then entry[#entry + 1] = 'return_value'; entry[#entry + 1] = ARGV[8] end
  redis.call('XADD', results, 'MAXLEN', '10', '*', unpack(entry))
  shrink(results, ttl)
  if ttl > 0 then
    redis.call('EXPIRE', key, ttl)
    redis.call('EXPIRE', prefix .. ':job::' .. id .. ':dependencies', ttl)
  end
  redis.call('ZADD', prefix .. ':finished:' .. queue, ttl > 0 and ARGV[5] + ttl or '+inf', id)
  if ARGV[13] ~= '' then
    redis.call('XADD', ARGV[13], '*', 'kind', 'end', 'data', ARGV[14])
    shrink(ARGV[13], tonumber(ARGV[15]))
  end
end

local id, execution, queue, worker, prefix = ARGV[1], ARGV[2], ARGV[3], ARGV[10], ARGV[11]
if redis.call('EXISTS', prefix .. ':job:' .. id .. ':dependents') == 1 then return {'dependents'} end
local member = id .. ':' .. execution
local owned = redis.call('DEL', prefix .. ':execution:' .. member) == 1
if owned or reclaim(prefix, id, queue, prefix .. ':job:' .. id) then record(id, execution, queue, prefix, worker) end
redis.call('ZREM', prefix .. ':wip:' .. queue, member)
redis.call('ZREM', prefix .. ':executions:' .. id, execution)
local mine = prefix .. ':worker:' .. worker .. ':executions'
redis.call('SREM', mine, member)
if ARGV[12] == '1' then return begin(16) end
if redis.call('EXISTS', mine) == 0 then redis.call('HSET', prefix .. ':worker:' .. worker, 'state', 'idle') end
return owned and {} or {'gone'}
