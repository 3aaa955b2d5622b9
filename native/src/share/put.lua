-- ARGV: an epoch to begin with, how long deleted entries are remembered in milliseconds, then for each
-- change: field, at, by, 'kept' or 'gone', value. A change that is not later than what is there changes
-- nothing, so it may be told any number of times.

-- Byte by byte: the server's own order of texts depends on its locale.
local function greater(a, b)
  for k = 1, math.min(#a, #b) do
    local x, y = string.byte(a, k), string.byte(b, k)
    if x ~= y then return x > y end
  end
  return #a > #b
end

local taken = 0
for k = 3, #ARGV, 5 do
  local field, at, by, state, value = ARGV[k], tonumber(ARGV[k + 1]), ARGV[k + 2], ARGV[k + 3], ARGV[k + 4]
  local old = redis.call('HGET', entries, field)
  local old_at, old_by
  if old then
    old_at, old_by = string.match(old, '^{"at":(%d+),"by":"([^"]*)"')
    old_at = tonumber(old_at)
  end
  if not old_at or at > old_at or (at == old_at and greater(by, old_by)) then
    redis.call('HSET', entries, field, value)
    redis.call('ZADD', feed, redis.call('HINCRBY', meta, 'last', 1), field)
    if state == 'gone' then redis.call('ZADD', gone, at, field) else redis.call('ZREM', gone, field) end
    taken = taken + 1
  end
end

local now = tonumber(redis.call('TIME')[1]) * 1000
local long_gone = redis.call('ZRANGEBYSCORE', gone, '-inf', string.format('%.0f', now - ARGV[2]), 'LIMIT', 0, 100)
for _, field in ipairs(long_gone) do
  redis.call('HDEL', entries, field)
  redis.call('ZREM', feed, field)
  redis.call('ZREM', gone, field)
end
return taken
