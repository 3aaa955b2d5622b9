-- What the scripts of the shared ledger have in common: the clock, and the books of a scope.
--
-- A scope is one string key with a MessagePack map:
--   w  window: flat list of slots {time, requests, input, output}, oldest first; wr, wi, wo the sums of all
--   q  where there are many, the older slots, packed; qt when the first of them is from
--   c  requests in flight
--   n, k  requests and tokens ever   i, o  input and output in open holds
--   b  budgets by period
--   g  gateways whose earlier figures are in: {process, sequence, last seen}
--   x  when the key may vanish, 0 for never
-- The time is the server's own, so gateways with wrong clocks look at the same minute.
-- Numbers are doubles: exact to 2^53, which is 9 million dollars in nano-dollars.

local WINDOW = 60000
local TICK = 500       -- slots are merged into these once there are many
local FEW = 32         -- up to so many slots are kept apart
local LATEST = 16      -- of many slots so many are at hand; unpacking the rest costs more than all else
local DAY = 86400000
local NEVER = 9e15     -- the end of a period that does not end
local MARK = 'x'       -- stands where an entry was that has ended

local floor, ceil, min, max = math.floor, math.ceil, math.min, math.max

local ask = cmsgpack.unpack(ARGV[1])

local clock = redis.call('TIME')
local now = tonumber(clock[1]) * 1000 + floor(tonumber(clock[2]) / 1000)

-- All slots, at hand.
local function whole(s)
  if s.q then
    local w, latest = cmsgpack.unpack(s.q), s.w
    local n = #w
    for k = 1, #latest do w[n + k] = latest[k] end
    s.w, s.q, s.qt = w, nil, nil
  end
  return s.w
end

-- Packs the older of many slots.
local function pack_older(s)
  if #s.w < 4 * FEW then return end
  local w, older, latest = whole(s), {}, {}
  local n = #w - 4 * LATEST
  for k = 1, n do older[k] = w[k] end
  for k = n + 1, #w do latest[k - n] = w[k] end
  s.w, s.q, s.qt = latest, cmsgpack.pack(older), older[1]
end

-- Drops what has left the window, and counts the rest. A slot from the future (the server's clock was set
-- back) counts from now.
local function refresh(s)
  local w, kept, n, requests, input, output = whole(s), {}, 0, 0, 0, 0
  for k = 1, #w, 4 do
    local t, r, i, o = w[k], w[k + 1], w[k + 2], w[k + 3]
    if t > now then t = now end
    if t + WINDOW > now and r + i + o > 0 then
      kept[n + 1], kept[n + 2], kept[n + 3], kept[n + 4] = t, r, i, o
      n, requests, input, output = n + 4, requests + r, input + i, output + o
    end
  end
  s.w, s.wr, s.wi, s.wo = kept, requests, input, output
end

local function load(key)
  local blob = redis.call('GET', key)
  local s = blob and cmsgpack.unpack(blob) or {}
  s.w, s.b, s.g = s.w or {}, s.b or {}, s.g or {}
  s.wr, s.wi, s.wo = s.wr or 0, s.wi or 0, s.wo or 0
  local w = s.w
  -- Going through all of it is left for when something has left it.
  if #w > 0 and ((s.qt or w[1]) + WINDOW <= now or w[#w - 3] > now) then refresh(s) end
  s.c, s.i, s.o, s.n, s.k, s.x = s.c or 0, s.i or 0, s.o or 0, s.n or 0, s.k or 0, s.x or now
  return s
end

local function save(key, s)
  pack_older(s)
  local blob = cmsgpack.pack(s)
  if s.x == 0 then
    redis.call('SET', key, blob)
  else
    redis.call('SET', key, blob, 'PX', string.format('%.0f', max(s.x - now, 1)))
  end
end

-- The key must not vanish before then.
local function keep(s, till)
  if till >= NEVER then s.x = 0 elseif s.x ~= 0 then s.x = max(s.x, till) end
end

-- Once there are many slots, what comes within one tick shares one, with the time of the last of it: it
-- never leaves too early.
local function add_slot(s, requests, input, output)
  local w, n = s.w, #s.w
  local last = n > 0 and w[n - 3]
  if last and (last == now or ((s.q or n >= 4 * FEW) and floor(last / TICK) == floor(now / TICK))) then
    w[n - 3], w[n - 2], w[n - 1], w[n] = now, w[n - 2] + requests, w[n - 1] + input, w[n] + output
  else
    w[n + 1], w[n + 2], w[n + 3], w[n + 4] = now, requests, input, output
  end
  s.wr, s.wi, s.wo = s.wr + requests, s.wi + input, s.wo + output
  keep(s, now + 2 * WINDOW)
end

-- Changes what was noted at a moment: the first slot that is not older holds it.
local function change_slot(s, at, requests, input, output)
  at = min(at, now)
  if at + WINDOW <= now then return end
  local w, found = s.w, nil
  if s.q and w[1] >= at then w = whole(s) end
  for k = #w - 3, 1, -4 do
    if w[k] < at then break end
    found = k
  end
  if not found then return end
  local r, i, o = w[found + 1], w[found + 2], w[found + 3]
  local nr, ni, no = max(r + requests, 0), max(i + input, 0), max(o + output, 0)
  w[found + 1], w[found + 2], w[found + 3] = nr, ni, no
  s.wr, s.wi, s.wo = s.wr + nr - r, s.wi + ni - i, s.wo + no - o
end

-- The budget of a period as it stands now: what was spent in a period that is over does not count, what
-- is held still does. Which span of the
-- calendar it is the gateway cannot know, since its clock may be wrong: it sends the edges of three.
local function budget_of(s, asked)
  local b = s.b[asked.per]
  if asked.length then
    if not b or not b.u then b = { u = {}, held = b and b.held or 0 } end
    local kept = {}
    for k = 1, #b.u, 2 do
      if (b.u[k] + 1) * asked.bucket + asked.length > now then
        kept[#kept + 1] = b.u[k]
        kept[#kept + 1] = b.u[k + 1]
      end
    end
    b.u = kept
    keep(s, now + asked.length + DAY)
  else
    local edges = asked.edges
    local from, to = edges[1], edges[2]
    for k = 2, #edges - 1 do
      if now >= edges[k] then from, to = edges[k], edges[k + 1] end
    end
    if not b or b.u or now >= b.to then
      b = { used = 0, held = b and b.held or 0 }
    end
    b.from, b.to = from, to
    keep(s, to >= NEVER and NEVER or to + DAY)
  end
  s.b[asked.per] = b
  return b
end

local function used_of(b)
  if not b.u then return b.used end
  local sum = 0
  for k = 2, #b.u, 2 do sum = sum + b.u[k] end
  return sum
end

local function spend(b, asked, cost)
  if not b.u then
    b.used = b.used + cost
    return
  end
  local u, place = b.u, floor(now / asked.bucket)
  local n = #u
  if n > 0 and u[n - 1] >= place then
    u[n] = u[n] + cost
  else
    u[n + 1], u[n + 2] = place, cost
  end
end

-- When all of it is there again; -1 if never.
local function resets_at(b, asked)
  if not b.u then return b.to >= NEVER and -1 or b.to end
  return #b.u > 0 and (b.u[#b.u - 1] + 1) * asked.bucket + asked.length or now
end

-- Forgets gateways that have been gone for a day, where only minutes are counted: what they asked has long
-- left. Each start of a gateway without a disk brings a new one.
local function retire(s)
  for gateway, seed in pairs(s.g) do
    if (seed[3] or now) + DAY < now then s.g[gateway] = nil end
  end
end

-- Whether what this gateway asked and spent before it first asked here is in; takes it in where it is
-- sent along. Set if absent: whoever sends it, and how often, it counts once. What was asked in the last
-- minute counts from now: how old it is these books cannot know, and it must not leave too early.
local function seeded(s, claim)
  local seed = s.g[ask.gateway]
  if seed then seed[3] = now end
  if not claim.lasting or seed then return true end
  local own = claim.own
  if not own then return false end
  if not claim.summed then retire(s) end
  s.g[ask.gateway] = { ask.process, own.sequence, now }
  keep(s, now + 2 * WINDOW)
  local requests, input, output = unpack(own.minute)
  if requests + input + output > 0 then add_slot(s, requests, input, output) end
  s.n, s.k = s.n + own.requests, s.k + own.tokens
  if claim.max_requests or claim.max_tokens then keep(s, NEVER) end
  for j, asked in ipairs(claim.budgets) do
    local b = budget_of(s, asked)
    local mine = own.budgets[j]
    if b.u or b.to >= NEVER or b.from == mine.from then spend(b, asked, mine.used) end
  end
  return true, true
end

-- Whether what a gateway noted under this number is in the figures that it sent when it was asked for
-- them, or will be.
local function included(s, gateway, process, sequence)
  local seed = s.g[gateway]
  return not seed or (seed[1] == process and sequence <= seed[2])
end

-- Names these books from the first use until a flush.
local function epoch_of(key)
  local epoch = redis.call('GET', key)
  if not epoch then
    epoch = clock[1] .. '.' .. clock[2]
    redis.call('SET', key, epoch)
  end
  return epoch
end

-- Ends an entry in one scope. `verdict`: 'charge' takes what was spent in place of what was held,
-- 'release' gives back all but the request, 'return' gives back that too.
local function finish(s, e, held, verdict, spent, counted)
  local charged = verdict == 'charge'
  local input, output = charged and spent.input or 0, charged and spent.output or 0
  local one = held.part and 0 or 1 -- what is part of a request is none itself
  s.c, s.i, s.o = max(s.c - one, 0), max(s.i - e.i, 0), max(s.o - e.o, 0)
  local requests = verdict == 'return' and -one or 0
  change_slot(s, e.t, requests, input - e.i, output - e.o)
  if held.n then s.n = max(s.n + requests, 0) end
  if held.k and counted then s.k = s.k + input + output end
  for _, asked in ipairs(held.b) do
    local b = budget_of(s, asked)
    b.held = max(b.held - e.c, 0)
    if charged and counted then spend(b, asked, spent.cost) end
  end
end

-- Ends a few entries whose gateway has not been heard of until their lease was over: in full, since
-- they may have been billed. Their scopes are in the slot of this book, as all its keys are.
local function sweep(leases)
  for _, id in ipairs(redis.call('ZRANGEBYSCORE', leases, '-inf', now, 'LIMIT', 0, 2)) do
    local key = ask.base .. 'entry:' .. id
    local blob = redis.call('GET', key)
    if blob and blob ~= MARK then
      local e = cmsgpack.unpack(blob)
      for _, held in ipairs(e.held) do
        local scope = ask.base .. 'scope:' .. held.name
        local s = load(scope)
        finish(s, e, held, 'charge', { input = e.i, output = e.o, cost = e.c }, s.g[e.g] ~= nil)
        save(scope, s)
      end
      redis.call('DEL', key)
    end
    redis.call('ZREM', leases, id)
  end
end
