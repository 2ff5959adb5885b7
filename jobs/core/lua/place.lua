-- A job as these scripts see it, and how one that waits (RQ: deferred) gets onto its queue. Needs fair.lua.
local FIELDS = {'status', 'origin', 'meta', 'result_ttl', 'started_at', 'dependency_ids', 'allow_dependency_failures',
  'offstage_due'}

-- Returns nil where there is no readable job of that id.
local function read_job(prefix, id)
  local key = prefix .. ':job:' .. id
  local values = redis.pcall('HMGET', key, unpack(FIELDS))
  if values.err or not values[1] then return nil end
  local ok, meta = pcall(cjson.decode, values[3] or '{}')
  if not ok or type(meta) ~= 'table' then meta = {} end
  return {id = id, key = key, status = values[1], queue = values[2] or '', ttl = tonumber(values[4] or '') or 0,
    started = values[5] or '', has_parents = (values[6] or '') ~= '', runs_anyway = values[7] == '1',
    due = tonumber(values[8] or '') or 0, tenant = type(meta.tenant) == 'string' and meta.tenant or nil,
    batch = type(meta.batch) == 'string' and meta.batch or nil, index = tonumber(meta.index), hook = meta.hook}
end

-- A paused job is deferred too.
local function is_paused(job)
  return job.tenant and redis.call('HEXISTS', 'offstage:' .. job.tenant .. ':state:' .. job.id, 'paused') == 1
end

local function put_on_queue(prefix, queue, id, tenant)
  redis.call('SADD', prefix .. ':queues', prefix .. ':queue:' .. queue)
  redis.call('RPUSH', prefix .. ':queue:' .. queue, id)
  if not tenant then return end
  redis.call('RPUSH', 'offstage:fair:' .. queue .. ':' .. tenant, id)
  redis.call('ZADD', 'offstage:fair:' .. queue, 'NX', 0, tenant)
end

local function defer(prefix, job, now)
  redis.call('HSET', job.key, 'status', 'deferred')
  redis.call('HDEL', job.key, 'enqueued_at')
  redis.call('ZADD', prefix .. ':deferred:' .. job.queue, now, job.id)
  job.status = 'deferred'
end

-- Let a deferred job start: now, or when it is due.
local function release(prefix, job, iso, now)
  redis.call('ZREM', prefix .. ':deferred:' .. job.queue, job.id)
  if job.due > tonumber(now) then
    job.status = 'scheduled'
    redis.call('HSET', job.key, 'status', 'scheduled')
    redis.call('ZADD', prefix .. ':scheduled:' .. job.queue, job.due, job.id)
  else
    job.status = 'queued'
    redis.call('HSET', job.key, 'status', 'queued', 'enqueued_at', iso)
    put_on_queue(prefix, job.queue, job.id, job.tenant)
  end
end

