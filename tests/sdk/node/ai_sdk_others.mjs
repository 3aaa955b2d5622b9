// Vercel's AI SDK with its providers of Anthropic's and Google's dialects, before upstreams of every dialect.

import { createRequire } from "node:module";

import { createAnthropic } from "@ai-sdk/anthropic";
import { createGoogleGenerativeAI } from "@ai-sdk/google";
import { APICallError, generateObject, generateText, stepCountIs, streamText, tool } from "ai";
import { z } from "zod";

import { check, closedUpstream, DIRECT, equal, gated, KEY, marker, MODELS, modelFor, NARROW, ok, openGate, raised, roomAgain, run, text, TWO_CALLS, URL } from "./harness.mjs";

const city = (name) =>
  tool({ inputSchema: z.object({ city: z.string() }), execute: async (input) => `${name} of ${input.city}` });
const tools = { weather: city("weather"), time: city("time") };
const schema = z.object({ title: z.string(), steps: z.array(z.string()) });

for (const [dialect, ours, provider] of [
  ["anthropic", "claude-sonnet-4-5", (apiKey) => createAnthropic({ baseURL: `${URL}/v1`, apiKey })],
  ["google", "gemini-2.5-flash", (apiKey) => createGoogleGenerativeAI({ baseURL: `${URL}/v1beta`, apiKey })],
]) {
  const models = MODELS.length ? MODELS : [ours];
  // A name with a slash in it is a whole path to the provider of Google's.
  const place = dialect === "google" && !DIRECT ? "models/" : "";
  const ask = (model, prompt, { key = KEY, ...rest } = {}) => ({ model: provider(key)(place + model), prompt, maxRetries: 0, ...rest });
  const each = (name, run) => models.forEach((model) => check(`${dialect}: ${name} (${model})`, () => run(model)));

  each("a text is generated with usage", async (model) => {
    const answer = await generateText(ask(model, "hello"));
    equal(answer.text, "You said: hello");
    ok(answer.usage.totalTokens > 0, "no usage");
  });

  each("a stream comes piece by piece", async (model) => {
    const word = marker();
    const answer = streamText(ask(model, gated(word)));
    const pieces = answer.textStream[Symbol.asyncIterator]();
    let seen = (await pieces.next()).value;
    ok(seen.length < word.length, seen);
    // The upstream says nothing more until it is let.
    await openGate(word);
    for (let next = await pieces.next(); !next.done; next = await pieces.next()) seen += next.value;
    equal(seen, `You said: ${word}`);
    equal(await answer.finishReason, "stop");
  });

  each("h5 calls are executed and their results taken up, whole and streamed", async (model) => {
    const options = { tools, stopWhen: stepCountIs(3) };
    const whole = await generateText(ask(model, TWO_CALLS, options));
    equal(whole.steps[0].toolCalls.map((call) => call.input.city), ["Paris, the capital of France", "Oslo"]);
    const streamed = streamText(ask(model, TWO_CALLS, options));
    await streamed.consumeStream();
    for (const said of [whole.text, await streamed.text]) {
      ok(said.includes("time of Oslo") && said.includes("weather of Paris, the capital of France"), said);
    }
  });

  each("an object is generated", async (model) => {
    equal((await generateObject(ask(model, "plan", { schema }))).object.title, "text");
  });

  each("h10 aborting frees its place", async (model) => {
    const word = marker();
    const leave = new AbortController();
    const { textStream } = streamText(ask(model, gated(word), { key: NARROW, abortSignal: leave.signal, onError: () => {} }));
    for await (const _ of textStream) {
      if (!DIRECT) {
        const error = await raised(() => generateText(ask(model, "hello", { key: NARROW })));
        equal([error.statusCode, error.isRetryable], [429, true]);
        ok(error.responseHeaders["retry-after"], "k3: every 429 says when to come back");
      }
      leave.abort();
      break;
    }
    await closedUpstream(word);
    await roomAgain();
  });

  check(`${dialect}: errors are call errors with their status`, async () => {
    const fresh = () => (DIRECT ? models[0] : modelFor("fails"));
    for (const [directives, statuses] of [["error=context_length", [400]], ["status=429", [429]], ["status=503", [502, 503]]]) {
      const error = await raised(() => generateText(ask(fresh(), text("hello", directives))));
      ok(APICallError.isInstance(error) && statuses.includes(error.statusCode), `${directives}: ${error}`);
    }
    // Google itself says 400.
    const refused = DIRECT && dialect === "google" ? 400 : 401;
    equal((await raised(() => generateText(ask(models[0], "hello", { key: "sk-wrong" })))).statusCode, refused);
  });

  check(`${dialect}: h1 an error inside the stream is told`, async () => {
    const model = DIRECT ? models[0] : modelFor("fails");
    const { fullStream } = streamText(ask(model, text("one two three", "events=12; error_after=6; error=server"), { onError: () => {} }));
    const errors = [];
    for await (const part of fullStream) if (part.type === "error") errors.push(part.error);
    ok(errors.length > 0, "no error was told");
  });
}

await run(`AI SDK's other providers ${createRequire(import.meta.url)("ai/package.json").version}`);
