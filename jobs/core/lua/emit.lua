-- Append an event to a job's stream, and drop the oldest where there are too many or too large ones, in one step.
-- ARGV: the stream, our hash of the job, kind, data (JSON), TTL (seconds), how many events are kept, how many bytes of
-- them, '1' if it is the job's progress, and the writer, or ''. Ids are `milliseconds-number`: the numbers count the job's events, so that a
-- reader sees what it missed. Returns the id; nothing, and nothing is appended, if another writer has taken over.
local ROOM = 32  -- bytes that an entry takes beside its text
local stream, state, kind, data = ARGV[1], ARGV[2], ARGV[3], ARGV[4]

local function size(kind, data) return #kind + #data + ROOM end

local function append(number)
  local time = redis.call('TIME')
  local now = time[1] .. string.format('%03d', math.floor(time[2] / 1000))
  local id = redis.pcall('XADD', stream, now .. '-' .. number, 'kind', kind, 'data', data)
  if type(id) == 'string' then return id end
  -- The clock went back, or the last entry is one without a number: go on after it.
  local last = redis.call('XREVRANGE', stream, '+', '-', 'COUNT', 1)[1]
  local later = string.format('%.0f', tonumber(string.match(last and last[1] or '0-0', '^%d+')) + 1)
  return redis.call('XADD', stream, later .. '-' .. number, 'kind', kind, 'data', data)
end

local function drop_oldest(bytes)
  local oldest = redis.call('XRANGE', stream, '-', '+', 'COUNT', 1)[1]
  redis.call('XDEL', stream, oldest[1])
  return math.max(0, bytes - size(oldest[2][2], oldest[2][4]))
end

if ARGV[9] ~= '' and redis.call('HGET', state, 'writer') ~= ARGV[9] then return false end
local id = append(redis.call('HINCRBY', state, 'events', 1))
local added = redis.call('HINCRBY', state, 'events_bytes', size(kind, data))
local bytes, count = added, redis.call('XLEN', stream)
while count > 1 and (count > tonumber(ARGV[6]) or bytes > tonumber(ARGV[7])) do
  bytes, count = drop_oldest(bytes), count - 1
end
if bytes ~= added then redis.call('HSET', state, 'events_bytes', bytes) end
if ARGV[8] == '1' then redis.call('HSET', state, 'progress', data) end
redis.call('EXPIRE', stream, ARGV[5])
redis.call('EXPIRE', state, ARGV[5])
return id
