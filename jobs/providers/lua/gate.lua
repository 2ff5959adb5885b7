-- Who may call a model now: a bounded number at once over all processes, fair between tenants, and nobody while the
-- endpoint's breaker is open. ARGV: what to do, then what that takes.
--   enter   limit, seconds of a lease, seconds that the breaker stays open, endpoint, tenant, lease
--   leave   limit, seconds of a lease, seconds that the breaker stays open, endpoint, failures that open it, outcome (ok,
--           failed, none), lease
--   renew   limit, seconds of a lease, seconds that the breaker stays open, endpoint, leases ...
-- `running`: leases by the time they run out. `waiting`: leases by their arrival; `seen`: until when each is believed to
-- wait. `served`: tenants by the turn in which they were let in last. A lease is `tenant/worker:number`.
local KEY = 'offstage:calls:'
local RUNNING, WAITING, SEEN, SERVED, ARRIVALS = KEY .. 'running', KEY .. 'waiting', KEY .. 'seen', KEY .. 'served', KEY .. 'arrivals'
local PATIENCE = 10  -- seconds that one who waits may be silent
local TRIAL = 2  -- seconds after which the others look again what the one that tries has found out

local time = redis.call('TIME')
local now = tonumber(time[1]) + tonumber(time[2]) / 1000000
local limit, lease_seconds, rest, breaker = tonumber(ARGV[2]), tonumber(ARGV[3]), tonumber(ARGV[4]),
  'offstage:breaker:' .. ARGV[5]

local function tenant_of(lease) return string.match(lease, '^(.*)/') end

local function stop_waiting(lease)
  redis.call('ZREM', WAITING, lease)
  redis.call('ZREM', SEEN, lease)
end

-- The dead hold nothing: leases that were not renewed, and those who have not asked for long.
local function forget_the_dead()
  redis.call('ZREMRANGEBYSCORE', RUNNING, '-inf', now)
  for _, lease in ipairs(redis.call('ZRANGEBYSCORE', SEEN, '-inf', now)) do stop_waiting(lease) end
end

-- The lease whose turn it is: of the tenant with the fewest calls under way, of these the one let in longest ago.
local function next_in_line()
  local under_way, best = {}, nil
  for _, lease in ipairs(redis.call('ZRANGE', RUNNING, 0, -1)) do
    local tenant = tenant_of(lease)
    under_way[tenant] = (under_way[tenant] or 0) + 1
  end
  local looked_at = {}
  for _, lease in ipairs(redis.call('ZRANGE', WAITING, 0, -1)) do
    local tenant = tenant_of(lease)
    if not looked_at[tenant] then
      looked_at[tenant] = true
      local calls, turn = under_way[tenant] or 0, tonumber(redis.call('ZSCORE', SERVED, tenant) or '0')
      if not best or calls < best.calls or (calls == best.calls and turn < best.turn) then
        best = {lease = lease, tenant = tenant, calls = calls, turn = turn}
      end
    end
  end
  return best
end

local function let_in()
  while redis.call('ZCARD', RUNNING) < limit do
    local chosen = next_in_line()
    if not chosen then return end
    stop_waiting(chosen.lease)
    redis.call('ZADD', RUNNING, now + lease_seconds, chosen.lease)
    redis.call('ZADD', SERVED, redis.call('INCR', ARRIVALS), chosen.tenant)
    redis.call('EXPIRE', SERVED, 86400)
    local bell = KEY .. 'bell:' .. chosen.lease
    redis.call('RPUSH', bell, '1')
    redis.call('EXPIRE', bell, math.ceil(lease_seconds))
  end
end

-- Seconds until the endpoint may be tried; 0: now. After its rest one lease tries it, and the others wait for that.
local function seconds_closed(lease)
  local opened, trial = unpack(redis.call('HMGET', breaker, 'opened', 'trial'))
  if not opened then return 0 end
  local left = tonumber(opened) + rest - now
  if left > 0 then return left end
  if trial and trial ~= lease and (redis.call('ZSCORE', RUNNING, trial) or redis.call('ZSCORE', WAITING, trial)) then
    return TRIAL
  end
  redis.call('HSET', breaker, 'trial', lease)
  return 0
end

local function enter(tenant, lease)
  local closed = seconds_closed(lease)
  if closed > 0 then
    stop_waiting(lease)
    redis.call('ZREM', RUNNING, lease)
    let_in()
    return {'closed', tostring(closed)}
  end
  if not redis.call('ZSCORE', RUNNING, lease) then
    redis.call('ZADD', WAITING, 'NX', redis.call('INCR', ARRIVALS), lease)
    redis.call('ZADD', SEEN, now + PATIENCE, lease)
    let_in()
  end
  return {redis.call('ZSCORE', RUNNING, lease) and 'go' or 'wait', '0'}
end

-- Failures in a row open the breaker; a failure after its rest opens it again, the trial's or a late one of before. Any
-- answer closes it.
local function report(threshold, outcome, lease)
  if outcome == 'ok' then
    redis.call('DEL', breaker)
  elseif outcome == 'failed' then
    local failures, opened = redis.call('HINCRBY', breaker, 'failures', 1), redis.call('HGET', breaker, 'opened')
    if (opened and now >= tonumber(opened) + rest) or (not opened and failures >= threshold) then
      redis.call('HSET', breaker, 'opened', now)
    end
    redis.call('EXPIRE', breaker, 86400)
  end
  if redis.call('HGET', breaker, 'trial') == lease then redis.call('HDEL', breaker, 'trial') end
end

-- A call that is under way counts, also when Redis has forgotten it meanwhile; the one trial lasts as long as its call.
local function renew(lease)
  redis.call('ZADD', RUNNING, now + lease_seconds, lease)
end

forget_the_dead()
if ARGV[1] == 'enter' then return enter(ARGV[6], ARGV[7]) end
if ARGV[1] == 'leave' then
  report(tonumber(ARGV[6]), ARGV[7], ARGV[8])
  stop_waiting(ARGV[8])
  redis.call('ZREM', RUNNING, ARGV[8])
  redis.call('DEL', KEY .. 'bell:' .. ARGV[8])
else
  for i = 6, #ARGV do renew(ARGV[i]) end
end
let_in()
return {'done', '0'}
