// The official OpenAI client for Node.

import OpenAI from "openai";
import { zodResponseFormat } from "openai/helpers/zod";
import { VERSION } from "openai/version";
import { z } from "zod";

import { check, closedUpstream, equal, KEY, marker, missingModel, MODEL, modelFor, ok, raised, run, text, TWO_CALLS, URL } from "./harness.mjs";

const client = new OpenAI({ baseURL: `${URL}/v1`, apiKey: KEY, maxRetries: 0, timeout: 20_000 });
const user = (words, directives) => [{ role: "user", content: text(words, directives) }];
const chat = (words, directives, rest = {}) =>
  client.chat.completions.create({ model: modelFor(directives), messages: user(words, directives), ...rest });
const tool = (name) => ({
  type: "function",
  function: { name, parameters: { type: "object", properties: { city: { type: "string" } }, required: ["city"] } },
});
const tools = [tool("weather"), tool("time")];

async function collect(stream) {
  const chunks = [];
  for await (const chunk of await stream) chunks.push(chunk);
  return chunks;
}

check("a chat is answered with usage", async () => {
  const answer = await chat("hello");
  equal(answer.choices[0].message.content, "You said: hello");
  ok(answer.usage.total_tokens > 0, "no usage");
});

check("a stream concatenates to the whole answer", async () => {
  const chunks = await collect(chat("one two three", null, { stream: true }));
  equal(chunks.map((chunk) => chunk.choices[0]?.delta.content ?? "").join(""), "You said: one two three");
  ok(chunks.every((chunk) => !chunk.usage), "usage was not asked for");
});

check("usage comes last when asked for", async () => {
  const chunks = await collect(chat("hello", null, { stream: true, stream_options: { include_usage: true } }));
  equal(chunks.filter((chunk) => chunk.usage).length, 1);
  equal(chunks.at(-1).choices, []);
});

check("parallel calls come whole", async () => {
  const { message } = (await chat(TWO_CALLS, null, { tools })).choices[0];
  equal(message.tool_calls.map((call) => call.function.name), ["weather", "time"]);
});

check("h5 parallel calls assemble from a stream", async () => {
  const stream = client.chat.completions.stream({ model: MODEL, messages: user(TWO_CALLS), tools });
  const { message } = (await stream.finalChatCompletion()).choices[0];
  const cities = message.tool_calls.map((call) => JSON.parse(call.function.arguments).city);
  equal(cities, ["Paris, the capital of France", "Oslo"]);
});

check("structured output is parsed", async () => {
  const format = zodResponseFormat(z.object({ title: z.string(), steps: z.array(z.string()) }), "plan");
  const answer = await client.chat.completions.parse({ model: MODEL, messages: user("plan"), response_format: format });
  equal(answer.choices[0].message.parsed.title, "text");
});

check("errors keep their classes", async () => {
  const cases = [
    ["error=context_length", OpenAI.BadRequestError],
    ["status=429", OpenAI.RateLimitError],
    ...[500, 502, 503, 504, 529].map((status) => [`status=${status}`, OpenAI.InternalServerError]),
    ["error=html; status=502", OpenAI.InternalServerError],
  ];
  for (const [directives, kind] of cases) {
    for (const stream of [false, true]) {
      const error = await raised(() => chat("hello", directives, { stream }));
      ok(error instanceof kind, `${directives}: ${error}`);
    }
  }
});

check("a wrong key is an authentication error", async () => {
  const other = client.withOptions({ apiKey: "sk-wrong" });
  const error = await raised(() => other.chat.completions.create({ model: MODEL, messages: user("hello") }));
  ok(error instanceof OpenAI.AuthenticationError && !`${error}`.includes("sk-wrong"), `${error}`);
});

check("an unknown model is a not found error", async () => {
  const { model, words } = missingModel();
  const error = await raised(() => client.chat.completions.create({ model, messages: user(words) }));
  ok(error instanceof OpenAI.NotFoundError, `${error}`);
});

check("silence is a timeout", async () => {
  const error = await raised(() =>
    client.chat.completions.create(
      { model: modelFor("head_silence"), messages: user("hello", "head_silence") },
      { timeout: 300 },
    ),
  );
  ok(error instanceof OpenAI.APIConnectionTimeoutError, `${error}`);
});

check("h1 an error inside the stream is raised", async () => {
  const error = await raised(() => collect(chat("one two three", "error_after=3; error=server", { stream: true })));
  ok(error instanceof OpenAI.APIError, `${error}`);
});

check("k15 a cut stream does not end cleanly", async () => {
  await raised(() => collect(chat("one two three", "cut_after_events=3", { stream: true })));
});

check("h10 leaving the stream closes the upstream", async () => {
  const word = marker();
  const stream = await chat(word, "events=1000; drip=20", { stream: true });
  for await (const _ of stream) break;
  await closedUpstream(word);
});

check("h10 aborting before the answer closes the upstream", async () => {
  const word = marker();
  const leave = new AbortController();
  setTimeout(() => leave.abort(), 150);
  const messages = user(word, "head_silence");
  const error = await raised(() => client.chat.completions.create({ model: MODEL, messages }, { signal: leave.signal }));
  ok(error instanceof OpenAI.APIUserAbortError, `${error}`);
  await closedUpstream(word);
});

await run(`openai for Node ${VERSION}`);
