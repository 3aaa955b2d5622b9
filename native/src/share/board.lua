-- What the scripts of the board have in common. Four keys, all in one hash slot:
--   entries  hash: kind/name -> {"at":...,"by":...,"spec":...}, null where it was deleted
--   feed     sorted set: kind/name by the number of its last change
--   gone     sorted set: kind/name of what was deleted, by when
--   meta     hash: epoch, another one whenever something was lost; last, the last number given
local entries, feed, gone, meta = KEYS[1], KEYS[2], KEYS[3], KEYS[4]

local epoch = redis.call('HGET', meta, 'epoch')
if not epoch or redis.call('HLEN', entries) ~= redis.call('ZCARD', feed) then
  -- It begins anew: all gateways see the other epoch, and tell again what they know.
  redis.call('DEL', entries, feed, gone, meta)
  epoch = ARGV[1]
  redis.call('HSET', meta, 'epoch', epoch)
end
