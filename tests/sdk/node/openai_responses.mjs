// The official OpenAI client for Node on Responses, before providers of every dialect.

import OpenAI from "openai";
import { VERSION } from "openai/version";

import { check, closedUpstream, equal, gated, KEY, marker, MODELS, modelFor, NARROW, ok, openGate, raised, roomAgain, run, text, TWO_CALLS, URL } from "./harness.mjs";

const clientWith = (apiKey) => new OpenAI({ baseURL: `${URL}/v1`, apiKey, maxRetries: 0, timeout: 20_000 });
const client = clientWith(KEY);
const models = MODELS.length ? MODELS : ["gpt-sim"];
const each = (name, run) => models.forEach((model) => check(`${name} (${model})`, () => run(model)));
const parameters = { type: "object", properties: { city: { type: "string" } }, required: ["city"], additionalProperties: false };
const tools = ["weather", "time"].map((name) => ({ type: "function", name, parameters, strict: true }));

each("a stream comes piece by piece", async (model) => {
  const word = marker();
  const stream = await client.responses.create({ model, input: gated(word), stream: true });
  let seen = "";
  for await (const event of stream) {
    if (event.type !== "response.output_text.delta") continue;
    // The upstream says nothing more until it is let.
    if (!seen) await openGate(word);
    seen += event.delta;
  }
  equal(seen, `You said: ${word}`);
});

each("h5 calls come whole and their results are taken up", async (model) => {
  const answer = await client.responses.create({ model, input: TWO_CALLS, tools });
  const calls = answer.output.filter((item) => item.type === "function_call");
  equal(calls.map((call) => JSON.parse(call.arguments).city), ["Paris, the capital of France", "Oslo"]);
  const results = calls.map(({ call_id, name }) => ({ type: "function_call_output", call_id, output: `${name} is fine` }));
  const input = [{ role: "user", content: TWO_CALLS }, ...answer.output, ...results];
  ok((await client.responses.create({ model, input, tools })).output_text.includes("time is fine"), "no results");
});

each("h10 aborting frees its place", async (model) => {
  const word = marker();
  const own = clientWith(NARROW);
  const stream = await own.responses.create({ model, input: gated(word), stream: true });
  for await (const event of stream) if (event.type === "response.output_text.delta") break;
  await closedUpstream(word);
  await roomAgain();
});

check("errors keep their classes", async () => {
  for (const [directives, kind] of [["error=bad_request", OpenAI.BadRequestError], ["status=429; retry_after=1", OpenAI.RateLimitError], ["status=503", OpenAI.InternalServerError]]) {
    const words = text("hello", directives);
    const error = await raised(() => client.responses.create({ model: modelFor(directives), input: words }));
    ok(error instanceof kind, `${directives}: ${error}`);
    ok(kind !== OpenAI.RateLimitError || error.headers.get("retry-after"), "k3: every 429 says when to come back");
  }
});

await run(`openai for Node ${VERSION}, responses`);
