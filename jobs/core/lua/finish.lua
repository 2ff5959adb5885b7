-- Record a job that returned, and start the next one, in one step. KEYS: queues, in the order to look at them.
-- ARGV: job, execution, queue name, end (ISO), end (seconds), result TTL, result (base64, or ''),
-- start (seconds), worker, prefix, '1' to start the next job, the job's event stream (or ''), its last entry, its TTL,
-- its tenant, batch (or ''), number in that and type, '1' if the job has dependencies, '1' to count now, jobs to count, their
-- seconds, then those of `begin`, then superfluous fields of the hash. Returns what start.lua returns; {'dependents'} if
-- others wait for a plain RQ job and nothing was done.
-- The worker's counts are written when asked for, and whenever no job follows.
--@include fair.lua
--@include pop.lua
--@include shrink.lua
--@include statistics.lua
--@include place.lua
--@include batch.lua
--@include dependents.lua
local START = 23

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
  if redis.call('HDEL', key, unpack(ARGV, START + 7)) == 0 then return end  -- deleted while it ran: leave no ghost
  redis.call('HSET', key, 'status', 'finished', 'ended_at', iso)
  local results = prefix .. ':results:' .. id
  local entry = {'type', '1', 'worker_name', worker, 'execution_id', execution, 'execution_started_at', ARGV[8],
    'execution_ended_at', ARGV[5]}
  if ARGV[7] ~= '' then entry[#entry + 1] = 'return_value'; entry[#entry + 1] = ARGV[7] end
  redis.call('XADD', results, 'MAXLEN', '10', '*', unpack(entry))
  shrink(results, ttl)
  if ttl > 0 then
    redis.call('EXPIRE', key, ttl)
    if ARGV[19] == '1' then redis.call('EXPIRE', prefix .. ':job::' .. id .. ':dependencies', ttl) end
  end
  redis.call('ZADD', prefix .. ':finished:' .. queue, ttl > 0 and ARGV[5] + ttl or '+inf', id)
  count_ended(queue, ARGV[5])
  if ARGV[12] ~= '' then
    redis.call('XADD', ARGV[12], '*', 'kind', 'end', 'data', ARGV[13])
    shrink(ARGV[12], tonumber(ARGV[14]))
    count_completed(ARGV[15], ARGV[18], ARGV[5] - ARGV[8])
    if ARGV[16] ~= '' then
      local started = redis.call('HGET', key, 'started_at') or ''
      member_ended(prefix, ARGV[15], ARGV[16], ARGV[17], 'completed', started, iso, ARGV[5])
    end
    if redis.call('EXISTS', key .. ':dependents', hooks_key(ARGV[15], id)) > 0 then
      settle(prefix, id, iso, ARGV[5])
      start_deliveries(prefix, ARGV[15], id, 'completed', iso, ARGV[5])
    end
  end
end

local id, execution, queue, worker, prefix = ARGV[1], ARGV[2], ARGV[3], ARGV[9], ARGV[10]
if ARGV[12] == '' and redis.call('EXISTS', prefix .. ':job:' .. id .. ':dependents') == 1 then return {'dependents'} end
local member = id .. ':' .. execution
local owned = redis.call('DEL', prefix .. ':execution:' .. member) == 1
if owned or reclaim(prefix, id, queue, prefix .. ':job:' .. id) then record(id, execution, queue, prefix, worker) end
redis.call('ZREM', prefix .. ':wip:' .. queue, member)
redis.call('ZREM', prefix .. ':executions:' .. id, execution)
local mine = prefix .. ':worker:' .. worker .. ':executions'
redis.call('SREM', mine, member)
local worker_key = prefix .. ':worker:' .. worker
local reply = ARGV[11] == '1' and begin(START, true) or {}
if #reply == 0 and redis.call('EXISTS', mine) == 0 then redis.call('HSET', worker_key, 'state', 'idle') end
if ARGV[20] == '1' or #reply < 3 then
  redis.call('HINCRBY', worker_key, 'successful_job_count', ARGV[21])
  redis.call('HINCRBYFLOAT', worker_key, 'total_working_time', ARGV[22])
end
return reply
