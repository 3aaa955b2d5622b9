-- ARGV: an epoch to begin with, a number, how many. Answers with the epoch, the last number, and what was
-- changed after the number given, as flat triples: field, number, value.
local out = {epoch, redis.call('HGET', meta, 'last') or '0'}
local found = redis.call('ZRANGEBYSCORE', feed, '(' .. ARGV[2], '+inf', 'WITHSCORES', 'LIMIT', 0, ARGV[3])
for k = 1, #found, 2 do
  local n = #out
  out[n + 1], out[n + 2], out[n + 3] = found[k], found[k + 1], redis.call('HGET', lines, found[k]) or ''
end
return out
