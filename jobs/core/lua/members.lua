-- Go through the jobs of a batch. Needs batch.lua.

-- Call `visit` with the number of each job that has not ended, from `first` on, below `last`.
local function each_open(key, first, last, visit)
  local bits = redis.call('GET', key .. ':open') or ''
  for index = first, math.min(last, #bits * 8) - 1 do
    local byte = string.byte(bits, math.floor(index / 8) + 1)
    if math.floor(byte / 2 ^ (7 - index % 8)) % 2 == 1 then visit(index) end
  end
end

