-- What the scripts of the slate have in common. Three keys, all in one hash slot:
--   lines  hash: gateway/[day, facet, ...] -> [requests, ...], what the gateway has spent so in all
--   feed   sorted set: the same fields by the number of their last change
--   meta   hash: epoch, another one whenever something may have been lost; run, the server that gave it; last,
--          the last number given
local lines, feed, meta = KEYS[1], KEYS[2], KEYS[3]

local epoch = redis.call('HGET', meta, 'epoch')
if redis.call('HLEN', lines) ~= redis.call('ZCARD', feed) then
  -- It begins anew.
  redis.call('DEL', lines, feed, meta)
  epoch = false
end
-- A server that was started again, or has taken another's place, may have an older copy.
local info = redis.pcall('INFO', 'server')
local run = type(info) == 'string' and string.match(info, 'run_id:(%x+)') or ''
if not epoch or redis.call('HGET', meta, 'run') ~= run then
  -- All gateways see the other epoch, and tell and hear everything again.
  epoch = ARGV[1]
  redis.call('HSET', meta, 'epoch', epoch, 'run', run)
end
