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

local function in_window(w, leaves)
  local sum = 0
  for k = 1, #w, 4 do sum = sum + leaves(w, k) end
  return sum
end

-- When enough has left the window; -1 if never.
local function window_opens(w, leaves, over)
  for k = 1, #w, 4 do
    over = over - leaves(w, k)
    if over <= 0 then return w[k] + WINDOW - now end
  end
  return -1
end

local function budget_opens(b, asked, over)
  if over > used_of(b) + b.held then return -1 end
  if not b.u then return b.to >= NEVER and -1 or b.to - now end
  for k = 1, #b.u, 2 do
    over = over - b.u[k + 1]
    if over <= 0 then return (b.u[k] + 1) * asked.bucket + asked.length - now end
  end
  return 1000 -- in open holds, which end when they end
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

-- The refusal that opens last.
local function later(one, other)
  if not one then return other end
  if one.opens == -1 then return one end
  if other.opens == -1 or other.opens > one.opens then return other end
  return one
end

-- How much output a scope has room for, and why not if it has not.
local function room(s, claim, index)
  local most, no = ask.most, nil
  local function check(limit, budget, whole, taken, wanted, opens)
    if taken + wanted > whole then
      local refusal = { claim = index, limit = limit, budget = budget, most = whole,
        left = max(whole - taken, 0), asked = wanted, opens = opens(taken + wanted - whole) }
      no = later(no, refusal)
    end
  end
  local function window(limit, wanted, fixed)
    local whole = claim[limit]
    if not whole then return end
    local leaves = LEAVES[limit]
    local taken = in_window(s.w, leaves)
    check(limit, 0, whole, taken, wanted, function(over) return window_opens(s.w, leaves, over) end)
    if fixed then most = min(most, whole - taken - fixed) end
  end
  local function never() return -1 end
  window('rpm', 1)
  window('tpm', ask.input + ask.least, ask.input)
  window('tpm_input', ask.input)
  window('tpm_output', ask.least, 0)
  if claim.concurrency then
    check('concurrency', 0, claim.concurrency, s.c, 1, function() return 1000 end)
  end
  if claim.max_requests then
    check('max_requests', 0, claim.max_requests, s.n, 1, never)
  end
  if claim.max_tokens then
    local taken = s.k + s.h
    check('max_tokens', 0, claim.max_tokens, taken, ask.input + ask.least, never)
    most = min(most, claim.max_tokens - taken - ask.input)
  end
  for j, asked in ipairs(claim.budgets) do
    local b = budget_of(s, asked)
    if ask.price and ask.fixed + ask.price > 0 then
      local taken = used_of(b) + b.held
      check('budget', j, asked.amount, taken, cost_of(ask.least),
        function(over) return budget_opens(b, asked, over) end)
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

-- Of each kind of rate limit the one with the least left: {limit, left, reset}, -1 where there is none.
local function standing(claims, scopes)
  local found = { -1, -1, -1, -1, -1, -1 }
  local function look(at, limit)
    for index, claim in ipairs(claims) do
      local whole, w = claim[limit], scopes[index].w
      if whole then
        local taken = in_window(w, LEAVES[limit])
        local left = max(whole - taken, 0)
        if found[at] == -1 or left < found[at + 1] then
          local reset = #w > 0 and w[#w - 3] + WINDOW - now or 0
          found[at], found[at + 1], found[at + 2] = whole, left, reset
        end
      end
    end
  end
  look(1, 'rpm')
  look(4, 'tpm')
  return found
end

local function hold(s, claim, output, cost, ends)
  local held = { name = claim.name, b = {} }
  s.c = s.c + 1
  keep(s, ends + DAY)
  if claim.rated then add_slot(s, 1, ask.input, output) end
  if claim.max_requests then
    s.n, held.n = s.n + 1, true
    keep(s, NEVER)
  end
  if claim.max_tokens then
    s.h, held.k = s.h + ask.input + output, true
    keep(s, NEVER)
  end
  for _, asked in ipairs(claim.budgets) do
    local b = budget_of(s, asked)
    b.held = b.held + cost
    held.b[asked.per] = place_of(b, asked)
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

local open, worst, refused, rooms = ask.targets, nil, {}, {}
for index, claim in ipairs(ask.claims) do
  local no, most = room(scopes[index], claim, index)
  rooms[index] = most
  if no then
    refused[index], worst = true, later(worst, no)
    open = without(open, claim.targets)
  end
end

if open[1] == 0 and open[2] == 0 then
  for index in pairs(changed) do save(KEYS[FIRST + index], scopes[index]) end
  local answer = { 'refused', worst.claim, worst.limit, worst.budget, worst.most, worst.left, worst.asked,
    ceil(worst.opens) }
  for _, figure in ipairs(standing(ask.claims, scopes)) do answer[#answer + 1] = figure end
  return answer
end

local output = ask.most
for index, claim in ipairs(ask.claims) do
  if not refused[index] and meets(claim.targets, open) then output = min(output, rooms[index]) end
end
local cost = ask.price and cost_of(output) or 0
local ends = now + ask.lease
local e = { t = now, g = ask.gateway, i = ask.input, o = output, c = cost, held = {},
  closed = without(ask.targets, open) }
for index, claim in ipairs(ask.claims) do
  if not refused[index] and meets(claim.targets, open) then
    local held = hold(scopes[index], claim, output, cost, ends)
    held.claim = index
    e.held[#e.held + 1] = held
    changed[index] = true
  end
end
for index in pairs(changed) do save(KEYS[FIRST + index], scopes[index]) end
-- It outlives its lease by a week: whoever uses these books next finds and charges it.
redis.call('SET', entry, cmsgpack.pack(e), 'PX', string.format('%.0f', ask.lease + 7 * DAY))
redis.call('ZADD', leases, ends, ask.id)

local answer = { 'held', epoch, output, e.closed[1], e.closed[2] }
for _, figure in ipairs(standing(ask.claims, scopes)) do answer[#answer + 1] = figure end
return answer
