-- Where scopes stand. Changes nothing.
--
-- KEYS: one for each claim. Answers for each a flat list: requests, input and output of the last minute,
-- requests in flight, input and output in open holds, requests and tokens ever, then for each budget what
-- is spent, what is held and when it is full again.

local answer = {}
for index, claim in ipairs(ask.claims) do
  local s = load(KEYS[index])
  local line = { s.wr, s.wi, s.wo, s.c, s.i, s.o, s.n, s.k }
  for _, asked in ipairs(claim.budgets) do
    local b = budget_of(s, asked)
    line[#line + 1], line[#line + 2], line[#line + 3] = used_of(b), b.held, resets_at(b, asked)
  end
  answer[index] = line
end
return answer
