// Vercel's AI SDK with its OpenAI provider.

import { createRequire } from "node:module";

import { createOpenAI } from "@ai-sdk/openai";
import { APICallError, generateObject, generateText, stepCountIs, streamObject, streamText, tool } from "ai";
import { z } from "zod";

import { check, closedUpstream, equal, KEY, marker, missingModel, MODEL, modelFor, ok, raised, run, text, TWO_CALLS, URL } from "./harness.mjs";

const provider = createOpenAI({ baseURL: `${URL}/v1`, apiKey: KEY });
const model = provider.chat(MODEL);
const ask = (prompt, rest = {}) => ({ model, prompt, maxRetries: 0, ...rest });
const city = (name) =>
  tool({ inputSchema: z.object({ city: z.string() }), execute: async (input) => `${name} of ${input.city}` });
const tools = { weather: city("weather"), time: city("time") };

/** The same on a model that may go wrong. */
const askBadly = (words, directives) =>
  ask(text(words, directives), { model: provider.chat(modelFor(directives)) });

/** Reads a stream to its end and returns the errors it told of. */
async function errorsOf(options) {
  const errors = [];
  const { fullStream } = streamText({ ...options, onError: () => {} });
  for await (const part of fullStream) if (part.type === "error") errors.push(part.error);
  return errors;
}

check("a text is generated with usage", async () => {
  const answer = await generateText(ask("hello"));
  equal(answer.text, "You said: hello");
  ok(answer.usage.totalTokens > 0, "no usage");
});

check("a stream concatenates to the whole answer", async () => {
  const answer = streamText(ask("one two three"));
  let seen = "";
  for await (const piece of answer.textStream) seen += piece;
  equal(seen, "You said: one two three");
  ok((await answer.usage).totalTokens > 0, "no usage");
  equal(await answer.finishReason, "stop");
});

check("parallel calls are executed and their results taken up", async () => {
  const answer = await generateText(ask(TWO_CALLS, { tools, stopWhen: stepCountIs(3) }));
  equal(answer.steps[0].toolCalls.map((call) => call.input.city), ["Paris, the capital of France", "Oslo"]);
  ok(answer.text.includes("time returned: time of Oslo"), answer.text);
});

check("h5 streamed calls are executed and their results taken up", async () => {
  const answer = streamText(ask(TWO_CALLS, { tools, stopWhen: stepCountIs(3) }));
  await answer.consumeStream();
  ok((await answer.text).includes("weather returned: weather of Paris, the capital of France"), await answer.text);
});

check("objects are generated and streamed", async () => {
  const schema = z.object({ title: z.string(), steps: z.array(z.string()) });
  equal((await generateObject(ask("plan", { schema }))).object.title, "text");
  const answer = streamObject(ask("plan", { schema }));
  for await (const _ of answer.partialObjectStream);
  equal((await answer.object).steps.length, 1);
});

check("errors are call errors with their status", async () => {
  const cases = [
    ["error=context_length", 400, false],
    ["status=429", 429, true],
    ["status=500", 500, true],
    ["status=503", 503, true],
  ];
  for (const [directives, status, retryable] of cases) {
    const error = await raised(() => generateText(askBadly("hello", directives)));
    ok(APICallError.isInstance(error), `${directives}: ${error}`);
    ok(status < 500 ? error.statusCode === status : error.statusCode >= 500, `${directives}: ${error.statusCode}`);
    equal(error.isRetryable, retryable);
    const [inStream] = await errorsOf(askBadly("hello", directives));
    ok(APICallError.isInstance(inStream), `${directives}: ${inStream}`);
  }
});

check("a wrong key and an unknown model are call errors", async () => {
  const stranger = createOpenAI({ baseURL: `${URL}/v1`, apiKey: "sk-wrong" });
  equal((await raised(() => generateText(ask("hello", { model: stranger.chat(MODEL) })))).statusCode, 401);
  const missing = missingModel();
  const error = await raised(() => generateText(ask(missing.words, { model: provider.chat(missing.model) })));
  equal(error.statusCode, 404);
});

check("h1 an error inside the stream is told", async () => {
  const errors = await errorsOf(askBadly("one two three", "error_after=3; error=server"));
  equal(errors.length, 1);
});

check("h10 aborting closes the upstream", async () => {
  const word = marker();
  const leave = new AbortController();
  const { textStream } = streamText(
    ask(text(word, "events=1000; drip=20"), { abortSignal: leave.signal, onError: () => {} }),
  );
  for await (const _ of textStream) {
    leave.abort();
    break;
  }
  await closedUpstream(word);
});

// Responses is what this client speaks unless it is told otherwise; nothing is kept for it, so that it
// has to say everything again. Every upstream that there is answers in a dialect of its own.
const stateless = { providerOptions: { openai: { store: false } } };
const everybody = (process.env.TOLLGATE_MODELS ?? MODEL).split(" ");

check("responses: a text is generated and streamed, whoever answers", async () => {
  for (const name of everybody) {
    const whole = await generateText(ask("hello", { model: provider.responses(name), ...stateless }));
    equal(whole.text, "You said: hello");
    const answer = streamText(ask("one two three", { model: provider.responses(name), ...stateless }));
    let seen = "";
    for await (const piece of answer.textStream) seen += piece;
    equal(seen, "You said: one two three");
    ok((await answer.usage).totalTokens > 0, "no usage");
    equal(await answer.finishReason, "stop");
  }
});

check("responses: calls are executed and their results taken up, whoever answers", async () => {
  for (const name of everybody) {
    const options = { model: provider.responses(name), tools, stopWhen: stepCountIs(3), ...stateless };
    const whole = await generateText(ask(TWO_CALLS, options));
    equal(whole.steps[0].toolCalls.map((call) => call.input.city), ["Paris, the capital of France", "Oslo"]);
    ok(whole.text.includes("time returned: time of Oslo"), `${name}: ${whole.text}`);
    const answer = streamText(ask(TWO_CALLS, options));
    await answer.consumeStream();
    ok((await answer.text).includes("weather returned: weather of Paris"), `${name}: ${await answer.text}`);
  }
});

check("responses: an object is generated", async () => {
  const schema = z.object({ title: z.string(), steps: z.array(z.string()) });
  for (const name of everybody) {
    equal((await generateObject(ask("plan", { model: provider.responses(name), schema, ...stateless }))).object.title, "text");
  }
});

await run(`AI SDK ${createRequire(import.meta.url)("ai/package.json").version}`);
