// What a panic costs where the Worker is built to unwind: its own request, and no other. In a real workerd, with a
// build in which whoever asks can make it panic.
//
//   TOLLGATE_WORKER=FOLDER node tests/cloudflare/panics.mjs
//
// FOLDER is what `build.sh --panic-unwind --features panics` prints. The exit code is 0 if all facts hold.
import http from "node:http";
import { start } from "./gateway.mjs";

const ADMIN = "admin-0123456789abcdef0123456789abcdef";
const KEYS = { CI: "tg-0123456789abcdef0123456789abcdef", OTHER: "tg-fedcba9876543210fedcba9876543210", BOOK: "tg-00000000000000000000000000000000" };
const PRICE = 10 / 1e6;

const framed = (event) => `data: ${typeof event === "string" ? event : JSON.stringify(event)}\n\n`;
const word = (content, finish = null) => ({ id: "x", object: "chat.completion.chunk", created: 1700000000, model: "demo", choices: [{ index: 0, delta: { content }, finish_reason: finish }] });
const whole = { id: "x", object: "chat.completion", created: 1700000000, model: "demo", choices: [{ index: 0, message: { role: "assistant", content: "hello" }, finish_reason: "stop" }], usage: { prompt_tokens: 7, completion_tokens: 5, total_tokens: 12 } };

// A provider that answers at once, and whose streams go on as they are told.
const streams = [];
let opened = () => {};
let calls = 0;
const provider = http.createServer(async (request, response) => {
  let text = "";
  for await (const piece of request) text += piece;
  calls++;
  if (!JSON.parse(text).stream) {
    response.writeHead(200, { "content-type": "application/json" });
    return response.end(JSON.stringify(whole));
  }
  response.writeHead(200, { "content-type": "text/event-stream" });
  const gone = new Promise((told) => response.on("close", told));
  streams.push({ gone, say: (event) => response.write(framed(event)), end: () => response.end() });
  opened();
});
await new Promise((listening) => provider.listen(0, "127.0.0.1", listening));

const key = (name, limits) => `[[keys]]\nname = "${name}"\nvalue = "env:${name.toUpperCase()}"\n${limits}\n`;
const config = `
[server]
admin_key = "env:ADMIN"
[providers.up]
kind = "openai"
base_url = "http://127.0.0.1:${provider.address().port}/v1"
keys = ["x"]
[prices."up/demo"]
input = 10
output = 10
${key("ci", "concurrency = 1\nbudget = [{ usd = 5, per = 'day' }]")}
${key("other", "rpm = 1000")}
[[keys]]
name = "panic-in-the-book"
value = "env:BOOK"
budget = [{ usd = 5, per = "day" }]
`;
const gateway = await start({ config, env: { ADMIN, ...KEYS } });
const [address] = gateway.addresses;

function assert(truth, what) {
  if (!truth) throw new Error(typeof what === "string" ? what : JSON.stringify(what));
}

function ask(path, body, { by = KEYS.CI, ...headers } = {}) {
  return fetch(address + path, { method: "POST", headers: { authorization: `Bearer ${by}`, "x-api-key": by, "content-type": "application/json", ...headers }, body: JSON.stringify(body) });
}
const chat = (content, more = {}, by = KEYS.CI) => ask("/v1/chat/completions", { model: "up/demo", max_tokens: 100, messages: [{ role: "user", content }], ...more }, { by });

/** Where the one budget stands, once nothing is held. */
async function settled() {
  for (let tries = 0; tries < 400; tries++) {
    const answer = await (await fetch(`${address}/api/limits/key/ci`, { headers: { authorization: `Bearer ${ADMIN}` } })).json();
    const limits = answer.data[0].limits;
    if (limits.every((limit) => limit.held === 0 && (limit.limit !== "concurrency" || limit.used === 0))) return limits.find(({ limit }) => limit === "budget").used;
    await new Promise((again) => setTimeout(again, 25));
  }
  throw new Error("something is held for ever");
}

/** A number of this isolate's, which begins again with a new instance of the code. */
async function metric(name) {
  const text = await (await fetch(`${address}/metrics`)).text();
  return Number(text.match(new RegExp(`^${name}(?:{[^}]*})? (\\d+)`, "m"))?.[1] ?? 0);
}

/** Waits until this isolate has nothing to do. */
async function none() {
  for (let tries = 0; (await metric("tollgate_in_flight")) > 0; tries++) {
    assert(tries < 400, "a request is under way for ever");
    await new Promise((again) => setTimeout(again, 25));
  }
}

/** The next stream that reaches the provider. */
async function stream(content, by) {
  const reached = new Promise((found) => (opened = found));
  const answer = chat(content, { stream: true }, by);
  await reached;
  const upstream = streams.at(-1);
  upstream.say(word("one "));
  const reader = (await answer).body.pipeThrough(new TextDecoderStream()).getReader();
  const heard = { text: "" };
  heard.until = async (text) => {
    while (!heard.text.includes(text)) {
      const { done, value } = await reader.read();
      if (done) throw new Error(`${text} never came: ${heard.text}`);
      heard.text += value;
    }
  };
  await heard.until("one ");
  return { ...upstream, heard };
}

const facts = {
  /** Beside each of them a stream of another key is under way, which began before it and ends after it. */
  async before_anything_is_sent_it_is_a_500_in_the_surfaces_shape_and_costs_nothing() {
    const asked = calls;
    for (const [path, shape] of [
      ["/v1/chat/completions", (body) => body.error.code === "internal_error" && body.error.type === "api_error"],
      ["/v1/messages", (body) => body.type === "error" && body.error.type === "api_error"],
    ]) {
      const answer = await ask(path, { model: "up/demo", max_tokens: 100, messages: [{ role: "user", content: "panic-before-it-is-sent" }] });
      const body = await answer.json();
      assert(answer.status === 500 && shape(body) && !JSON.stringify(body).includes("panic"), { status: answer.status, body });
      assert((await settled()) === 0, "nothing was sent, and something was charged");
    }
    assert(calls === asked, "it was sent");
  },

  async at_the_door_it_is_a_500_in_the_surfaces_shape() {
    for (const [path, shape] of [
      ["/v1/chat/completions", (body) => body.error.code === "internal_error"],
      ["/v1/messages", (body) => body.type === "error"],
      ["/v1beta/models/demo:generateContent", (body) => body.error.code === 500 && body.error.status === "INTERNAL"],
      ["/api/keys", (body) => body.error.code === "internal_error"],
      ["/nowhere", (body) => body.error.code === "internal_error"],
    ]) {
      const answer = await ask(`${path}?please=panic-at-the-door`, {});
      const body = await answer.json();
      assert(answer.status === 500 && shape(body) && answer.headers.get("content-type").startsWith("application/json"), { path, status: answer.status, body });
    }
  },

  async in_the_middle_of_a_stream_that_one_breaks_off_and_is_charged_in_full() {
    const before = await settled();
    const { say, gone, heard } = await stream("hello", KEYS.CI);
    say({ note: "panic-in-the-answer" });
    const broken = await heard.until("never").then(() => "", (error) => error.message);
    assert(!heard.text.includes("[DONE]") && !broken.includes("never came"), `it ended as if it were whole: ${broken}`);
    await gone;
    const charged = (await settled()) - before;
    // The cap of a hundred tokens at least: its provider may bill all of it.
    assert(charged >= 100 * PRICE && charged < 200 * PRICE, charged);
  },

  async in_a_book_its_call_is_refused_and_others_of_the_book_are_served() {
    const asked = calls;
    const refused = await chat("hello", {}, KEYS.BOOK);
    const body = await refused.json();
    assert(refused.status === 503 && body.error.code === "store_unavailable" && !JSON.stringify(body).includes("panic") && calls === asked, { status: refused.status, body });
    const served = await chat("hello", {}, KEYS.OTHER);
    assert(served.status === 200, await served.text());
  },
};

let failed = 0;
for (const [name, fact] of Object.entries(facts)) {
  try {
    const before = await metric("tollgate_ledger_requests_total");
    const beside = await stream("hello", KEYS.OTHER);
    await fact();
    // One at a time is let in, so nothing of the last call is left where this is served.
    for (let times = 0; times < 3; times++) {
      const next = await chat("hello");
      assert(next.status === 200 && (await next.json()).choices[0].message.content === "hello", `the next one: ${next.status}`);
      await settled();
    }
    beside.say(word("two ", "stop"));
    beside.say("[DONE]");
    beside.end();
    await beside.heard.until("[DONE]");
    assert(beside.heard.text.includes("two "), beside.heard.text);
    const after = await metric("tollgate_ledger_requests_total");
    assert(before > 0 || after > 0, "the isolate counts nothing");
    assert(after >= before + 6, `the isolate has begun again: ${before}, then ${after}`);
    await none();
    console.log(`ok      ${name}`);
  } catch (error) {
    failed++;
    console.log(`FAILED  ${name}\n    ${error.stack}`);
  }
}
await gateway.stop();
provider.close();
console.log(`unwinding: ${Object.keys(facts).length - failed} facts hold, ${failed} do not`);
process.exit(failed === 0 ? 0 : 1);
