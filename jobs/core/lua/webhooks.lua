-- Webhooks. `offstage:{tenant}:webhooks:{job}` is a hash: `hook:{hook}` holds JSON with url and host, `delivery:{id}` the
-- hook and the time of each delivery, `ttl` the seconds that all this is kept after the job's end.
local DELIVERY = {queue = 'low', timeout = 60, retries = 11}

local function hooks_key(tenant, id) return 'offstage:' .. tenant .. ':webhooks:' .. id end

-- The URL stays in the hash of the webhooks: a job's arguments and description stand in dashboards.
local function delivery_fields(prefix, id, tenant, args, ttl, iso)
  return {'created_at', iso, 'enqueued_at', iso, 'status', 'queued', 'origin', DELIVERY.queue,
    'data', cjson.encode({'jobs.core.runner.run', cjson.null, {'webhooks.deliver', args}, {}}),
    'description', 'webhooks.deliver(event=' .. args.event .. ', host=' .. args.host .. ')',
    'timeout', DELIVERY.timeout, 'result_ttl', ttl, 'failure_ttl', ttl,
    'meta', cjson.encode({tenant = tenant, type = 'webhooks.deliver', retries = DELIVERY.retries})}
end

-- Start the delivery of a job's end to one webhook. Its id follows from job, hook and time: twice is once.
local function start_delivery(prefix, tenant, id, hook, host, state, iso, now, ttl)
  local microseconds = math.floor(tonumber(now) * 1000000 + 0.5)
  local delivery = string.sub(id, 1, 8) .. string.sub(hook, 1, 8) .. string.format('%016x', microseconds)
  local key, queue = prefix .. ':job:' .. delivery, DELIVERY.queue
  if redis.call('EXISTS', key) == 1 then return end
  local args = {job_id = id, hook = hook, host = host, event = 'job.' .. state, occurred_at = iso,
    message_id = 'msg_' .. delivery}
  redis.call('HSET', key, unpack(delivery_fields(prefix, id, tenant, args, ttl, iso)))
  redis.call('ZADD', 'offstage:' .. tenant .. ':jobs', now, delivery)
  redis.call('SADD', prefix .. ':queues', prefix .. ':queue:' .. queue)
  redis.call('RPUSH', prefix .. ':queue:' .. queue, delivery)
  redis.call('RPUSH', 'offstage:fair:' .. queue .. ':' .. tenant, delivery)
  redis.call('ZADD', 'offstage:fair:' .. queue, 'NX', 0, tenant)
  redis.call('HSET', hooks_key(tenant, id), 'delivery:' .. delivery, hook .. ' ' .. iso)
end

-- A job's end stands in Redis: start a delivery to each of its webhooks. `state` is the client's word.
local function start_deliveries(prefix, tenant, id, state, iso, now)
  local key = hooks_key(tenant, id)
  local fields = redis.call('HGETALL', key)
  if #fields == 0 then return end
  local ttl = redis.call('HGET', key, 'ttl')
  for i = 1, #fields, 2 do
    if string.sub(fields[i], 1, 5) == 'hook:' then
      local host = cjson.decode(fields[i + 1]).host
      start_delivery(prefix, tenant, id, string.sub(fields[i], 6), host, state, iso, now, ttl)
    end
  end
  redis.call('EXPIRE', key, ttl)
end

