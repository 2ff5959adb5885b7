-- Keep what the analysis by kind, the queues' rates and the estimates are made of: see jobs/core/statistics.py.
local KEPT, SLACK = 200, 56  -- a list is cut when it is longer by the slack: not at each entry

local function keep_duration(list, entry)
  if redis.call('LPUSH', list, entry) > KEPT + SLACK then redis.call('LTRIM', list, 0, KEPT - 1) end
end

-- An attempt that completed. `seconds` is a number.
local function count_completed(tenant, kind, seconds)
  local entry = string.format('%.3f', seconds)
  keep_duration('offstage:' .. tenant .. ':durations:' .. kind, entry)
  redis.call('HINCRBY', 'offstage:' .. tenant .. ':attempts-of:' .. kind, 'completed', 1)
  keep_duration('offstage:durations:' .. kind, entry)
end

-- A job that has ended, in whatever way. `now` is in seconds.
local function count_ended(queue, now)
  local key = 'offstage:ended:' .. queue .. ':' .. math.floor(now / 10)
  if redis.call('INCR', key) == 1 then redis.call('EXPIRE', key, 120) end
end
