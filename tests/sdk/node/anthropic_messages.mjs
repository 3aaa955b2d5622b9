// The official Anthropic client for Node, before providers of every dialect.

import Anthropic from "@anthropic-ai/sdk";
import { VERSION } from "@anthropic-ai/sdk/version";

import { check, closedUpstream, equal, KEY, marker, missingModel, ok, raised, run, text, TWO_CALLS, URL } from "./harness.mjs";

// Without a version: the client adds it.
const client = new Anthropic({ baseURL: URL, apiKey: KEY, maxRetries: 0, timeout: 20_000 });
// One model of each dialect; without a gateway there is the simulator's own.
const MODELS = (process.env.TOLLGATE_MODELS ?? "claude-sim").split(" ");
const FRESH = process.env.TOLLGATE_FRESH_MODEL ?? "claude-sim";
const user = (words, directives) => [{ role: "user", content: text(words, directives) }];
const tool = (name) => ({
  name,
  input_schema: { type: "object", properties: { city: { type: "string" } }, required: ["city"] },
});
const tools = [tool("weather"), tool("time")];
const inputs = [{ city: "Paris, the capital of France" }, { city: "Oslo" }];
const calls = (message) => message.content.filter((block) => block.type === "tool_use");
let number = 0;

const fresh = () => FRESH.replace("{}", 40 + number++);
const ask = (model, words, directives, rest = {}) =>
  client.messages.create({ model, max_tokens: 400, messages: user(words, directives), ...rest });

function each(name, run) {
  for (const model of MODELS) check(`${name} (${model})`, () => run(model));
}

each("a message is answered with usage", async (model) => {
  const message = await ask(model, "hello");
  equal(message.content[0].text, "You said: hello");
  equal(message.stop_reason, "end_turn");
  ok(message.usage.input_tokens > 0 && message.usage.output_tokens > 0, "no usage");
  ok(message._request_id, "no request id");
});

each("a stream accumulates to the whole answer", async (model) => {
  const stream = client.messages.stream({ model, max_tokens: 400, messages: user("one two three") });
  const message = await stream.finalMessage();
  equal(message.content[0].text, "You said: one two three");
  ok(message.usage.output_tokens > 0, "no usage");
});

each("h5 parallel calls come whole and from a stream", async (model) => {
  equal(calls(await ask(model, TWO_CALLS, null, { tools })).map((call) => call.input), inputs);
  for (const directives of ["", "\n[[sim: interleave]]"]) {
    const stream = client.messages.stream({ model, max_tokens: 400, messages: user(TWO_CALLS + directives), tools });
    equal(calls(await stream.finalMessage()).map((call) => call.input), inputs);
  }
});

each("tool results are taken up", async (model) => {
  const messages = user(TWO_CALLS);
  const message = await client.messages.create({ model, max_tokens: 400, messages, tools });
  messages.push({ role: "assistant", content: message.content });
  const results = calls(message).map((call) => ({ type: "tool_result", tool_use_id: call.id, content: `${call.name} is fine` }));
  messages.push({ role: "user", content: results });
  const answer = await client.messages.create({ model, max_tokens: 400, messages, tools });
  equal(answer.content.at(-1).text, "weather returned: weather is fine\ntime returned: time is fine");
});

each("thinking can be sent back", async (model) => {
  const messages = user(TWO_CALLS);
  const thinking = { type: "enabled", budget_tokens: 1024 };
  const stream = client.messages.stream({ model, max_tokens: 4000, messages, tools, thinking });
  const message = await stream.finalMessage();
  messages.push({ role: "assistant", content: message.content });
  messages.push({ role: "user", content: calls(message).map((call) => ({ type: "tool_result", tool_use_id: call.id, content: "fine" })) });
  equal((await client.messages.create({ model, max_tokens: 4000, messages, tools, thinking })).stop_reason, "end_turn");
});

each("tokens are counted", async (model) => {
  const { input_tokens: small } = await client.messages.countTokens({ model, messages: user("hello") });
  const { input_tokens: large } = await client.messages.countTokens({ model, messages: user("hello ".repeat(200)), tools });
  ok(small > 0 && small < large, `${small} and ${large}`);
});

each("h10 leaving the stream closes the upstream", async (model) => {
  const word = marker();
  // A provider that bills what nobody hears is read on as long as it writes.
  const stream = await ask(model, word, `events=12; gate_after=6; gate=${word}`, { stream: true });
  for await (const event of stream) if (event.type === "content_block_delta") break;
  await closedUpstream(word);
});

check("errors keep their classes", async () => {
  const cases = [
    ["error=context_length", Anthropic.BadRequestError],
    ["status=429", Anthropic.RateLimitError],
    ...[500, 502, 503, 504, 529].map((status) => [`status=${status}`, Anthropic.InternalServerError]),
  ];
  for (const [directives, kind] of cases) {
    for (const stream of [false, true]) {
      const error = await raised(() => ask(fresh(), "hello", directives, { stream }));
      ok(error instanceof kind, `${directives}: ${error}`);
    }
  }
});

check("a wrong key is an authentication error", async () => {
  const other = client.withOptions({ apiKey: "sk-wrong" });
  const error = await raised(() => other.messages.create({ model: MODELS[0], max_tokens: 5, messages: user("hello") }));
  ok(error instanceof Anthropic.AuthenticationError && !`${error}`.includes("sk-wrong"), `${error}`);
});

check("an unknown model is a not found error", async () => {
  const { model, words } = missingModel();
  const asked = model.startsWith("gpt") ? MODELS[0] : model;
  const error = await raised(() => client.messages.create({ model: asked, max_tokens: 5, messages: user(words) }));
  ok(error instanceof Anthropic.NotFoundError, `${error}`);
});

check("h1 an error inside the stream is raised", async () => {
  const error = await raised(async () => {
    const stream = await ask(fresh(), "one two three", "error_after=5; error=server", { stream: true });
    for await (const _ of stream);
  });
  ok(error instanceof Anthropic.APIError, `${error}`);
});

check("h10 aborting before the answer closes the upstream", async () => {
  const word = marker();
  const leave = new AbortController();
  setTimeout(() => leave.abort(), 150);
  const asked = { model: MODELS[0], max_tokens: 5, messages: user(word, "head_silence") };
  const error = await raised(() => client.messages.create(asked, { signal: leave.signal }));
  ok(error instanceof Anthropic.APIUserAbortError, `${error}`);
  await closedUpstream(word);
});

await run(`anthropic for Node ${VERSION}`);
