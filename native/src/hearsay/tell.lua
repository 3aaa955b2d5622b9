-- ARGV: an epoch to begin with, the epoch that is meant, how many lines stay, how many seconds they stay, then
-- for each line: field, value. Answers with the epoch; if it is another than is meant, nothing is changed.
if epoch ~= ARGV[2] then return epoch end
for k = 5, #ARGV, 2 do
  if redis.call('HGET', lines, ARGV[k]) ~= ARGV[k + 1] then
    redis.call('HSET', lines, ARGV[k], ARGV[k + 1])
    redis.call('ZADD', feed, redis.call('HINCRBY', meta, 'last', 1), ARGV[k])
  end
end
local over = redis.call('ZCARD', feed) - ARGV[3]
if over > 0 then
  for _, field in ipairs(redis.call('ZRANGE', feed, 0, over - 1)) do
    redis.call('HDEL', lines, field)
    redis.call('ZREM', feed, field)
  end
end
for _, key in ipairs(KEYS) do redis.call('EXPIRE', key, ARGV[4]) end
return epoch
