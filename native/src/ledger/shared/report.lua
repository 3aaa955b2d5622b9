-- Where scopes stand. Changes nothing.
--
-- KEYS: one for each claim. Answers for each a flat list: requests, input and output of the last minute,
-- requests in flight, input and output in open holds, requests and tokens ever, then for each budget what
-- is spent, what is held and when it is full again.

local answer = {}
for index, claim in ipairs(ask.claims) do
  local s = load(KEYS[index])
  local requests, input, output = 0, 0, 0
  for k = 1, #s.w, 4 do
    requests, input, output = requests + s.w[k + 1], input + s.w[k + 2], output + s.w[k + 3]
  end
  local line = { requests, input, output, s.c, s.i, s.o, s.n, s.k }
  for _, asked in ipairs(claim.budgets) do
    local b = budget_of(s, asked)
    line[#line + 1], line[#line + 2], line[#line + 3] = used_of(b), b.held, resets_at(b, asked)
  end
  answer[index] = line
end
return answer
