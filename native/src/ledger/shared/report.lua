-- Where scopes stand. Changes nothing.
--
-- KEYS: one for each claim. Answers for each a flat list of settled and held, in the order: requests and
-- tokens, input, output of the last minute, in flight, requests ever, tokens ever, then for each budget
-- settled, held and the end of its period.

local answer = {}
for index, claim in ipairs(ask.claims) do
  local s = load(KEYS[index])
  local requests, input, output = 0, 0, 0
  for k = 1, #s.w, 4 do
    requests, input, output = requests + s.w[k + 1], input + s.w[k + 2], output + s.w[k + 3]
  end
  local line = { requests, 0, input + output, 0, input, 0, output, 0, 0, s.c, s.n, 0, s.k, s.h }
  for _, asked in ipairs(claim.budgets) do
    local b = budget_of(s, asked)
    line[#line + 1] = used_of(b)
    line[#line + 1] = b.held
    line[#line + 1] = (b.u or b.to >= NEVER) and -1 or b.to
  end
  answer[index] = line
end
return answer
