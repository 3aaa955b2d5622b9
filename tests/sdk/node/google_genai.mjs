// Google's own client for Node, before providers of every dialect.

import { ApiError, GoogleGenAI } from "@google/genai";

import { check, closedUpstream, DIRECT, equal, gated, KEY, marker, MODELS, modelFor, NARROW, ok, openGate, raised, roomAgain, run, text, TWO_CALLS, URL } from "./harness.mjs";

const clientWith = (apiKey) => new GoogleGenAI({ apiKey, httpOptions: { baseUrl: URL, timeout: 20_000, retryOptions: { attempts: 1 } } });
const client = clientWith(KEY);
const models = MODELS.length ? MODELS : ["gemini-2.5-flash"];
const each = (name, run) => models.forEach((model) => check(`${name} (${model})`, () => run(model)));
const parameters = { type: "OBJECT", properties: { city: { type: "STRING" } }, required: ["city"] };
const config = { tools: [{ functionDeclarations: ["weather", "time"].map((name) => ({ name, parameters })) }] };

each("an answer has its usage", async (model) => {
  const answer = await client.models.generateContent({ model, contents: "hello" });
  equal(answer.text, "You said: hello");
  ok(answer.usageMetadata.totalTokenCount > 0, "no usage");
});

each("a stream comes piece by piece", async (model) => {
  const word = marker();
  const stream = await client.models.generateContentStream({ model, contents: gated(word) });
  let seen = "";
  for await (const chunk of stream) {
    // The upstream says nothing more until it is let.
    if (!seen) await openGate(word);
    seen += chunk.text ?? "";
  }
  equal(seen, `You said: ${word}`);
});

each("h5 calls of a stream come whole and their results are taken up", async (model) => {
  const chat = client.chats.create({ model, config });
  const calls = [];
  for await (const chunk of await chat.sendMessageStream({ message: TWO_CALLS })) calls.push(...(chunk.functionCalls ?? []));
  equal(calls.map((call) => call.args.city), ["Paris, the capital of France", "Oslo"]);
  const message = calls.map(({ id, name }) => ({ functionResponse: { id, name, response: { output: `${name} is fine` } } }));
  equal((await chat.sendMessage({ message })).text, "weather returned: weather is fine\ntime returned: time is fine");
});

each("an answer fits its schema", async (model) => {
  const responseSchema = { type: "OBJECT", properties: { title: { type: "STRING" } }, required: ["title"] };
  const asked = { responseMimeType: "application/json", responseSchema };
  equal(JSON.parse((await client.models.generateContent({ model, contents: "plan", config: asked })).text), { title: "text" });
});

each("h10 aborting frees its place", async (model) => {
  const word = marker();
  const leave = new AbortController();
  const own = clientWith(NARROW);
  const stream = await own.models.generateContentStream({ model, contents: gated(word), config: { abortSignal: leave.signal } });
  await stream.next();
  if (!DIRECT) {
    const error = await raised(() => own.models.generateContent({ model, contents: "hello" }));
    ok(error instanceof ApiError && error.status === 429, `${error}`);
  }
  leave.abort();
  await raised(async () => {
    for await (const _ of stream);
  });
  await closedUpstream(word);
  await roomAgain();
});

check("errors tell their status", async () => {
  const fresh = () => (DIRECT ? models[0] : modelFor("fails"));
  for (const [directives, statuses] of [["error=context_length", [400]], ["status=429", [429]], ["status=503", [502, 503]]]) {
    for (const how of ["generateContent", "generateContentStream"]) {
      const error = await raised(() => client.models[how]({ model: fresh(), contents: text("hello", directives) }));
      ok(error instanceof ApiError && statuses.includes(error.status), `${how}, ${directives}: ${error}`);
    }
  }
  const error = await raised(() => clientWith("sk-wrong").models.generateContent({ model: models[0], contents: "hello" }));
  ok([400, 401].includes(error.status) && !`${error}`.includes("sk-wrong"), `${error}`);
});

check("h1 an error inside the stream is raised", async () => {
  const contents = text("one two three", "events=12; error_after=6; error=server");
  await raised(async () => {
    for await (const _ of await client.models.generateContentStream({ model: DIRECT ? models[0] : modelFor("fails"), contents }));
  });
});

await run("google-genai for Node");
