-- Choose between tenants: the one served longest ago comes first. `offstage:fair:{queue}` holds the tenants by the turn
-- in which they were served last (0: never), beside it a list of waiting ids for each tenant. RQ's list stays the
-- truth: ids that are no longer in it are skipped.

local function tenant_of(prefix, id)
  local meta = redis.pcall('HGET', prefix .. ':job:' .. id, 'meta')
  if type(meta) ~= 'string' then return nil end
  local ok, decoded = pcall(cjson.decode, meta)
  local tenant = ok and type(decoded) == 'table' and decoded['tenant']
  return type(tenant) == 'string' and tenant or nil
end

-- The tenant whose turn it is. A tenant without ids is forgotten only here, after a full round: coming back with
-- one job at a time gains it nothing.
local function next_tenant(fair)
  while true do
    local tenant = redis.call('ZRANGE', fair, 0, 0)[1]
    if not tenant or redis.call('EXISTS', fair .. ':' .. tenant) == 1 then return tenant end
    redis.call('ZREM', fair, tenant)
  end
end

local function served(fair, tenant)
  local last = redis.call('ZRANGE', fair, -1, -1, 'WITHSCORES')
  redis.call('ZADD', fair, tonumber(last[2] or '0') + 1, tenant)
end

-- Remove the next id from the queue and return it. A job of no tenant keeps its place at the head.
local function choose(queue, fair, prefix, head)
  local owner = tenant_of(prefix, head)
  local tenants = redis.call('ZRANGE', fair, 0, 1)
  if tenants[1] == owner and not tenants[2] then
    redis.call('LREM', fair .. ':' .. owner, 1, head)
    return redis.call('LPOP', queue)
  end
  while owner do
    local tenant = next_tenant(fair)
    if not tenant or tenant == owner or not redis.call('ZSCORE', fair, owner) then break end
    local id = redis.call('LPOP', fair .. ':' .. tenant)
    if id and redis.call('LREM', queue, -1, id) > 0 then
      served(fair, tenant)
      return id
    end
  end
  redis.call('LPOP', queue)
  if owner then
    redis.call('LREM', fair .. ':' .. owner, 1, head)
    served(fair, owner)
  end
  return head
end

-- The queue is empty, so every hint is stale.
local function forget(fair)
  for _, tenant in ipairs(redis.call('ZRANGE', fair, 0, -1)) do redis.call('DEL', fair .. ':' .. tenant) end
  redis.call('DEL', fair)
end
