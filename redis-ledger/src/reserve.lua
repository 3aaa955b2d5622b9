-- Takes an entry's quota from all its scopes or from none.
--
-- KEYS: leases, entry, epoch, then one for each claim.
-- Answers {'held', epoch, output, closed targets, standing…}, {'refused', …}, {'seed'} where a scope does
-- not know what this gateway has spent before, or {'ended'} where the entry came and went before.

local LEAVES = { -- what a slot gives back when it leaves the window
  rpm = function(w, k) return w[k + 1] end,
  tpm = function(w, k) return w[k + 2] + w[k + 3] end,
  tpm_input = function(w, k) return w[k + 2] end,
  tpm_output = function(w, k) return w[k + 3] end,
}

local leases, entry, epoch_key = KEYS[1], KEYS[2], KEYS[3]
local FIRST = 3
local more = ask.more or 0 -- requests besides the one

local IN_WINDOW = {
  rpm = function(s) return s.wr end,
  tpm = function(s) return s.wi + s.wo end,
  tpm_input = function(s) return s.wi end,
  tpm_output = function(s) return s.wo end,
}

-- When enough has left the window. What is larger than the limit never fits; the window's length says
-- at least when it is worth looking again.
local function window_opens(w, leaves, over)
  for k = 1, #w, 4 do
    over = over - leaves(w, k)
    if over <= 0 then return w[k] + WINDOW - now end
  end
  return WINDOW
end

-- Open holds are taken to be spent. -1 if it never opens.
local function budget_opens(b, asked, wanted)
  if wanted > asked.amount then return -1 end
  if not b.u then return b.to >= NEVER and -1 or b.to - now end
  local taken = used_of(b) + b.held
  for k = 1, #b.u, 2 do
    taken = taken - b.u[k + 1]
    if taken + wanted <= asked.amount then return (b.u[k] + 1) * asked.bucket + asked.length - now end
  end
  return asked.length + asked.bucket
end

local function cost_of(output)
  return ask.fixed + ceil(ask.price * output / 1e6)
end

local function affordable(money)
  if ask.price == 0 then return ask.most end
  local output = min(floor((money - ask.fixed) * 1e6 / ask.price), ask.most)
  while output > 0 and cost_of(output) > money do output = output - 1 end
  return output
end

-- The refusal that opens last, the first of two that open together.
local function later(one, other)
  if not one then return other end
  if one.opens == -1 then return one end
  if other.opens == -1 or other.opens > one.opens then return other end
  return one
end

local function sooner(one, other)
  if not one then return other end
  return later(one, other) == one and one.opens ~= other.opens and other or one
end

-- How much output a scope has room for, and why not if it has not.
local function room(s, claim, index)
  local most, no = ask.most, nil
  local function check(limit, budget, whole, taken, wanted, opens)
    if taken + wanted > whole then
      local opens_in, resets = opens(taken + wanted - whole)
      no = later(no, { claim = index, limit = limit, budget = budget, most = whole,
        left = max(whole - taken, 0), asked = wanted, opens = opens_in, resets = resets or -1 })
    end
  end
  local function window(limit, wanted, fixed)
    local limited = claim[limit]
    if not limited then return end
    local taken = IN_WINDOW[limit](s)
    check(limit, 0, limited, taken, wanted, function(over) return window_opens(whole(s), LEAVES[limit], over) end)
    if fixed then most = min(most, limited - taken - fixed) end
  end
  local function never() return -1 end
  window('rpm', 1 + more)
  window('tpm', ask.input + ask.least, ask.input)
  window('tpm_input', ask.input)
  window('tpm_output', ask.least, 0)
  if claim.concurrency then
    check('concurrency', 0, claim.concurrency, s.c, 1, function() return 1000 end)
  end
  if claim.max_requests then
    check('max_requests', 0, claim.max_requests, s.n, 1 + more, never)
  end
  if claim.max_tokens then
    local taken = s.k + s.i + s.o
    check('max_tokens', 0, claim.max_tokens, taken, ask.input + ask.least, never)
    most = min(most, claim.max_tokens - taken - ask.input)
  end
  for j, asked in ipairs(claim.budgets) do
    local b = budget_of(s, asked)
    if ask.price and ask.fixed + ask.price > 0 then
      local taken = used_of(b) + b.held
      check('budget', j, asked.amount, taken, cost_of(ask.least),
        function() return budget_opens(b, asked, cost_of(ask.least)), resets_at(b, asked) end)
      most = min(most, affordable(asked.amount - taken))
    end
  end
  return no, most
end

local function meets(one, other)
  return bit.band(one[1], other[1]) ~= 0 or bit.band(one[2], other[2]) ~= 0
end

local function without(one, other)
  return { bit.band(one[1], bit.bnot(other[1])), bit.band(one[2], bit.bnot(other[2])) }
end

-- How close one rate limit is: {limit, left, reset}.
local function level(claim, s, limit)
  local most = claim[limit]
  if not most then return nil end
  local leaves, reset, used = LEAVES[limit], 0, IN_WINDOW[limit](s)
  local function last(w)
    for k = #w - 3, 1, -4 do
      if leaves(w, k) > 0 then return w[k] + WINDOW - now end
    end
  end
  if used > 0 then reset = last(s.w) or last(whole(s)) or 0 end
  return { most, max(most - used, 0), reset }
end

local function closer(one, other)
  if not one or not other then return one or other end
  return other[2] < one[2] and other or one
end

-- Of requests and of tokens the limit with the least left, -1 where there is none. Of the claims at these
-- places, or of all.
local function standing(scopes, places)
  local requests, tokens
  for index, claim in ipairs(ask.claims) do
    if not places or places[index] then
      local s = scopes[index]
      requests = closer(requests, level(claim, s, 'rpm'))
      tokens = closer(tokens, level(claim, s, 'tpm')
        or closer(level(claim, s, 'tpm_input'), level(claim, s, 'tpm_output')))
    end
  end
  local none = { -1, -1, -1 }
  requests, tokens = requests or none, tokens or none
  return { requests[1], requests[2], requests[3], tokens[1], tokens[2], tokens[3] }
end

local function hold(s, claim, output, cost, ends)
  local one = claim.part and 0 or 1
  local held = { name = claim.name, b = {}, part = claim.part }
  s.c, s.i, s.o = s.c + one, s.i + ask.input, s.o + output
  keep(s, ends + DAY)
  if claim.rated then add_slot(s, claim.part and 0 or 1 + more, ask.input, output) end
  if claim.max_requests then
    s.n, held.n = s.n + 1 + more, true
    keep(s, NEVER)
  end
  if claim.max_tokens then
    held.k = true
    keep(s, NEVER)
  end
  for _, asked in ipairs(claim.budgets) do
    local b = budget_of(s, asked)
    b.held = b.held + cost
    held.b[#held.b + 1] = { per = asked.per, length = asked.length, bucket = asked.bucket,
      edges = asked.edges }
  end
  return held
end

local epoch = epoch_of(epoch_key)
local before = redis.call('GET', entry)
if before == MARK then return { 'ended' } end
if before then
  local e = cmsgpack.unpack(before)
  return { 'held', epoch, e.o, e.closed[1], e.closed[2], -1, -1, -1, -1, -1, -1 }
end
sweep(leases)

local scopes, changed = {}, {}
for index, claim in ipairs(ask.claims) do
  local s = load(KEYS[FIRST + index])
  local known, new = seeded(s, claim)
  if not known then return { 'seed' } end
  scopes[index], changed[index] = s, new
end

local open, refused, rooms = ask.targets, {}, {}
for index, claim in ipairs(ask.claims) do
  local no, most = room(scopes[index], claim, index)
  rooms[index] = most
  if no then
    refused[index] = no
    open = without(open, claim.targets)
  end
end

-- What the entry waits for longest. Where every target is closed by limits of its own, that is what the
-- first of them to open waits for.
local function reason()
  local across, shut
  local before, left = {}, ask.targets
  for index, claim in ipairs(ask.claims) do
    local no, rest = refused[index], without(ask.targets, claim.targets)
    if no and rest[1] == 0 and rest[2] == 0 then
      across = later(across, no)
    elseif no then
      before[#before + 1] = { targets = claim.targets, no = no }
      left = without(left, claim.targets)
    end
  end
  if left[1] ~= 0 or left[2] ~= 0 then return across end
  for place = 0, 63 do
    local bits = bit.lshift(1, place % 32)
    local target = place < 32 and { 0, bits } or { bits, 0 }
    if meets(target, ask.targets) then
      local last
      for _, barrier in ipairs(before) do
        if meets(target, barrier.targets) then last = later(last, barrier.no) end
      end
      shut = sooner(shut, last)
    end
  end
  return later(across, shut)
end

if open[1] == 0 and open[2] == 0 then
  for index in pairs(changed) do save(KEYS[FIRST + index], scopes[index]) end
  local worst = reason()
  local answer = { 'refused', worst.claim, worst.limit, worst.budget, worst.most, worst.left, worst.asked,
    ceil(worst.opens), worst.resets }
  for _, figure in ipairs(standing(scopes)) do answer[#answer + 1] = figure end
  return answer
end

local output = ask.most
for index, claim in ipairs(ask.claims) do
  if not refused[index] then output = min(output, rooms[index]) end
end
local cost = ask.price and cost_of(output) or 0
local ends = now + ask.lease
local taken = {}
local e = { t = now, g = ask.gateway, i = ask.input, o = output, c = cost, held = {},
  closed = without(ask.targets, open) }
for index, claim in ipairs(ask.claims) do
  if not refused[index] and meets(claim.targets, open) then
    local held = hold(scopes[index], claim, output, cost, ends)
    held.claim = index
    e.held[#e.held + 1] = held
    changed[index], taken[index] = true, true
  end
end
for index in pairs(changed) do save(KEYS[FIRST + index], scopes[index]) end
-- It outlives its lease by a week: whoever uses these books next finds and charges it.
redis.call('SET', entry, cmsgpack.pack(e), 'PX', string.format('%.0f', ask.lease + 7 * DAY))
redis.call('ZADD', leases, ends, ask.id)

local answer = { 'held', epoch, output, e.closed[1], e.closed[2] }
for _, figure in ipairs(standing(scopes, taken)) do answer[#answer + 1] = figure end
return answer
