-- Ends an entry with what came of it. A second end changes nothing.
--
-- KEYS: leases, entry, epoch, then one for each claim. ARGV[2]: the settlement's number in its process.
-- `ask.epoch` is that of the reservation; absent where this server was not asked, so that what was spent
-- is charged although no entry is found. `ask.only_open`: nothing is known of the reservation.
-- `ask.cancel`: whether the reservation arrived is not known; it must not count, also if it arrives later.
-- `ask.taken`: the reservation's number in its process. `ask.held`: the input and output that it held.
-- ARGV[3], where there is one, says that nobody waits for warnings: they are left for the next settlement.
-- Answers {'ended', claim, budget, spent, resets at, …}: budgets that have passed their threshold.

local leases, entry, epoch_key = KEYS[1], KEYS[2], KEYS[3]
local FIRST = 3
local sequence = tonumber(ARGV[2])

local charged = {} -- the claims that were

local function end_entry(e)
  for _, held in ipairs(e.held) do
    local key = KEYS[FIRST + held.claim]
    local s = load(key)
    local verdict = ask.cancel and 'return' or ask.claims[held.claim].verdict
    finish(s, e, held, verdict, ask, not included(s, e.g, ask.process, sequence))
    save(key, s)
    charged[held.claim] = verdict == 'charge'
  end
  redis.call('DEL', entry)
  redis.call('ZREM', leases, ask.id)
end

-- Counts in the minute what was granted elsewhere, from now, so that the minute is never admitted twice.
-- What was open when its gateway sent its figures is in them as it was estimated.
local function count(s, claim)
  if not included(s, ask.gateway, ask.process, ask.taken) then
    add_slot(s, claim.part and 0 or 1, ask.input, ask.output)
  elseif not included(s, ask.gateway, ask.process, sequence) then
    local input, output = max(ask.input - ask.held[1], 0), max(ask.output - ask.held[2], 0)
    if input + output > 0 then add_slot(s, 0, input, output) end
  end
end

-- Charges what was granted elsewhere: here nothing was held.
local function charge(key, claim)
  local s = load(key)
  if claim.rated and ask.at + WINDOW > now then count(s, claim) end
  if not included(s, ask.gateway, ask.process, sequence) then
    if claim.max_requests then s.n = s.n + 1 end
    if claim.max_tokens then s.k = s.k + ask.input + ask.output end
    for _, asked in ipairs(claim.budgets) do
      spend(budget_of(s, asked), asked, ask.cost)
    end
  end
  save(key, s)
end

local function mark(life)
  redis.call('SET', entry, MARK, 'PX', string.format('%.0f', life))
end

-- Whether the owner was told before, in this period. A budget that never resets tells again when it was
-- topped up in between.
local function told(b, asked, used)
  if not b.warned then return false end
  if b.u then return now < b.warned + asked.length end
  if b.to < NEVER then return true end
  return (used - ask.cost) * 100 >= asked.amount * asked.warn
end

local function warnings(answer)
  for index, claim in ipairs(ask.claims) do
    local key, s, changed = KEYS[FIRST + index], nil, false
    for j, asked in ipairs(charged[index] and claim.budgets or {}) do
      if asked.warn then
        s = s or load(key)
        local b = budget_of(s, asked)
        local used = used_of(b)
        if used * 100 >= asked.amount * asked.warn and not told(b, asked, used) then
          b.warned, changed = now, true
          for _, figure in ipairs({ index, j, used, resets_at(b, asked) }) do
            answer[#answer + 1] = figure
          end
        end
      end
    end
    if changed then save(key, s) end
  end
  return answer
end

local blob = redis.call('GET', entry)
if blob == MARK then return { 'ended' } end
if blob then
  end_entry(cmsgpack.unpack(blob))
elseif ask.only_open or (ask.epoch and ask.epoch == redis.call('GET', epoch_key)) then
  return { 'ended' } -- settled before, or swept
elseif not ask.cancel then
  for index, claim in ipairs(ask.claims) do
    if claim.verdict == 'charge' then
      charge(KEYS[FIRST + index], claim)
      charged[index] = true
    end
  end
end
if ask.cancel then mark(ask.lease + 600000) elseif not ask.epoch or not blob then mark(DAY) end
if ARGV[3] then return { 'ended' } end
return warnings({ 'ended' })
