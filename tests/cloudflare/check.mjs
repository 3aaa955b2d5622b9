// What is true of the Worker alone; what is true of every host is in tests/conformance.
//
//   node tests/cloudflare/check.mjs SIMULATOR [TEXT]      those with TEXT in their name
//
// SIMULATOR is the program tollgate-sim. Prints a line for each fact; the exit code is 0 if all hold.
import { spawn } from "node:child_process";
import fs from "node:fs";
import http from "node:http";
import os from "node:os";
import path from "node:path";
import { WebSocket, start } from "./gateway.mjs";

const [simulator, wanted = ""] = process.argv.slice(2);
const ADMIN = "admin-0123456789abcdef0123456789abcdef";
const KEY = "tg-0123456789abcdef0123456789abcdef";

const sim = spawn(path.resolve(simulator), ["--listen", "127.0.0.1:0"], { stdio: ["ignore", "pipe", "inherit"] });
const upstream = await new Promise((found) => sim.stdout.once("data", (line) => found(String(line).match(/http:\/\/[^\s/]+/)[0])));

const DOCUMENT = `
[server]
admin_key = "env:ADMIN"
[providers.sim]
kind = "openai"
base_url = "${upstream}/v1"
keys = ["env:SIM_KEY"]
[prices."sim/demo"]
input = 10
output = 40
[[organisations]]
name = "acme"
[[keys]]
name = "ci"
value = "env:CI"
organisation = "acme"
budget = [{ usd = 5, per = "day" }]
`;
const WORKERS_AI = `
[providers.workers-ai]
kind = "openai"
base_url = "https://ai.binding/v1"
[prices."workers-ai/@cf/some/model"]
input = 1
output = 1
`;
const env = { ADMIN, SIM_KEY: "anything", CI: KEY };

function assert(truth, what) {
  if (!truth) throw new Error(typeof what === "string" ? what : JSON.stringify(what));
}

function call(address, body, key = KEY) {
  const headers = { authorization: `Bearer ${key}`, "content-type": "application/json" };
  return fetch(`${address}/v1/chat/completions`, { method: "POST", headers, body: JSON.stringify(body) });
}

const hello = (model, more = {}) => ({ model, messages: [{ role: "user", content: "hello" }], ...more });

async function ask(address, at, key = ADMIN) {
  const answer = await fetch(address + at, { headers: { authorization: `Bearer ${key}` } });
  return answer.json();
}

/** Asks until it is so; nothing is decided by how long that takes. */
async function eventually(what, look) {
  let seen;
  for (let tries = 0; tries < 600; tries++) {
    seen = await look();
    if (seen.so) return seen;
    await new Promise((again) => setTimeout(again, 25));
  }
  throw new Error(`${what}: ${JSON.stringify(seen)}`);
}

/** One line of a Prometheus text. */
async function metric(address, name) {
  const text = await (await fetch(`${address}/metrics`)).text();
  return Number(text.match(new RegExp(`^${name} (\\d+)`, "m"))?.[1]);
}

/** A provider that says what it is told to, and the gateway before it. */
async function scripted(act, more = {}) {
  const gateway = await start({ config: DOCUMENT, env, ...more });
  const provider = http.createServer();
  try {
    await new Promise((listening) => provider.listen(0, "127.0.0.1", listening));
    await gateway.configure(DOCUMENT.replace(upstream, `http://127.0.0.1:${provider.address().port}`));
    const asked = new Promise((found) => provider.on("request", (request, response) => {
      request.resume();
      response.writeHead(200, { "content-type": "text/event-stream" });
      const gone = new Promise((told) => response.on("close", told));
      found({ response, gone, say: (event) => response.write(framed(event)) });
    }));
    const [address] = gateway.addresses;
    const answer = call(address, hello("sim/demo", { stream: true, max_tokens: more.max_tokens ?? 4000 }));
    const script = await asked;
    script.say(word("one "));
    await act({ ...script, address, answer: heard(await answer) });
  } finally {
    provider.close();
    await gateway.stop();
  }
}

const framed = (event) => `data: ${typeof event === "string" ? event : JSON.stringify(event)}\n\n`;
const word = (content, finish = null) => ({ id: "x", object: "chat.completion.chunk", created: 1700000000, model: "demo", choices: [{ index: 0, delta: { content }, finish_reason: finish }] });
const USAGE = { id: "x", object: "chat.completion.chunk", created: 1700000000, model: "demo", choices: [], usage: { prompt_tokens: 7, completion_tokens: 41, total_tokens: 48 } };

/** What comes of an answer. */
function heard(answer) {
  const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader();
  const all = { text: "" };
  /** Reads until this has come. */
  all.until = async (text) => {
    while (!all.text.includes(text)) {
      const { done, value } = await reader.read();
      if (done) throw new Error(`${text} never came: ${all.text}`);
      all.text += value;
    }
  };
  /** Reads to the end. */
  all.rest = async () => {
    for (;;) {
      const { done, value } = await reader.read();
      if (done) return all.text;
      all.text += value;
    }
  };
  return all;
}

/** The record of the one request there was. */
async function recorded(address) {
  const { data: [row] } = await eventually("the request is recorded", async () => {
    const answer = await ask(address, "/api/requests");
    return { ...answer, so: answer.data.length === 1 };
  });
  const { data: [{ limits: [budget] }] } = await ask(address, "/api/limits/key/ci");
  assert(budget.held === 0 && budget.used > 0, budget);
  return row;
}

/** A realtime session, as a browser opens one. */
async function session(address, model, key) {
  const socket = new WebSocket(`${address.replace("http", "ws")}/v1/realtime?model=${encodeURIComponent(model)}`, ["realtime", `openai-insecure-api-key.${key}`]);
  const heard = [];
  let wake = () => {};
  const tell = (what) => { heard.push(what); wake(); };
  socket.onmessage = ({ data }) => tell(JSON.parse(data));
  socket.onclose = ({ code, reason }) => tell({ type: "closed", code, reason });
  const until = async (type) => {
    for (;;) {
      while (heard.length === 0) await new Promise((woken) => (wake = woken));
      const event = heard.shift();
      if (event.type === type) return event;
      assert(event.type !== "closed", event);
    }
  };
  const ask = (text) => {
    socket.send(JSON.stringify({ type: "conversation.item.create", item: { type: "message", role: "user", content: [{ type: "input_text", text }] } }));
    socket.send(JSON.stringify({ type: "response.create" }));
  };
  await until("session.created");
  return { socket, until, ask };
}

const facts = {
  /** Charged response by response, ended by name when nothing is left, closed by the code of whoever closes. */
  async realtime_sessions_are_metered_and_end_on_both_sides() {
    const POOR = "tg-00000000000000000000000000000000";
    const poor = `${DOCUMENT}\n[[keys]]\nname = "poor"\nvalue = "env:POOR"\norganisation = "acme"\nbudget = [{ usd = 0.001, per = "day" }]\n`;
    const gateway = await start({ config: poor, env: { ...env, POOR } });
    try {
      const [address] = gateway.addresses;
      const budget = async (key) => (await ask(address, `/api/limits/key/${key}`)).data[0].limits.find((one) => one.limit === "budget");
      const first = await session(address, "sim/demo", KEY);
      assert(first.socket.protocol === "realtime", first.socket.protocol);
      first.ask("[[sim: prompt_tokens=1000; cached=400; chars=400]]");
      await first.until("response.done");
      first.ask("[[sim: prompt_tokens=50; chars=40]]");
      await first.until("response.done");
      const spent = (1050 * 10 + 110 * 40) / 1e6;
      await eventually("both responses are charged", async () => {
        const seen = await budget("ci");
        return { ...seen, so: seen.used === spent };
      });
      first.socket.close(4000, "enough");
      const record = async (key, many) => (await eventually("the session is recorded", async () => {
        const { data } = await ask(address, `/api/requests?key=${key}`);
        return { data, so: data.length === many };
      })).data[0];
      const row = await record("ci", 1);
      assert(row.status === 101 && row.usd === spent && row.input_tokens === 1050 && row.output_tokens === 110, row);
      assert((await budget("ci")).held === 0, await budget("ci"));
      const { requests } = await (await fetch(`${upstream}/sim/log`)).json();
      const upward = requests.filter((one) => one.path.startsWith("/v1/realtime"));
      assert(upward.length === 1 && !JSON.stringify(upward).includes(KEY), upward);

      const second = await session(address, "sim/demo", POOR);
      const busy = await fetch(`${address}/v1/chat/completions`, { method: "POST", headers: { authorization: `Bearer ${POOR}` }, body: JSON.stringify(hello("sim/demo", { max_tokens: 1 })) });
      assert(busy.status === 402, `what a session has reserved is left to nobody else: ${await busy.text()}`);
      second.ask("[[sim: prompt_tokens=60; chars=40]]");
      await second.until("response.done");
      const { error } = await second.until("error");
      assert(error.code === "budget_exceeded" && error.message.startsWith("key:poor: $0.001 a day"), error);
      const closed = await second.until("closed");
      assert(closed.code === 1008 && closed.reason === "budget_exceeded", closed);
      assert((await record("poor", 2)).fault === "budget_exceeded", await record("poor", 2));

      const third = await session(address, "sim/demo", KEY);
      third.ask("[[sim: close_code=4321]]");
      await third.until("response.done");
      assert((await third.until("closed")).code === 4321, "the upstream's code");

      const refused = await new Promise((found) => {
        const { port } = new URL(address);
        const headers = { connection: "upgrade", upgrade: "websocket", "sec-websocket-version": "13", "sec-websocket-key": "dGhlIHNhbXBsZSBub25jZQ==", authorization: "Bearer tg-wrong" };
        http.get({ port, host: "127.0.0.1", path: "/v1/realtime?model=sim/demo", headers }, (response) => {
          let text = "";
          response.on("data", (piece) => (text += piece));
          response.on("end", () => found({ status: response.statusCode, text }));
        });
      });
      assert(refused.status === 401 && JSON.parse(refused.text).error.code === "invalid_key", refused);
    } finally {
      await gateway.stop();
    }
  },

  /** What is like a frame that has been looked at goes from the provider to the client by the runtime alone. */
  async frames_in_the_middle_of_a_stream_do_not_enter_wasm() {
    await scripted(async ({ say, response, address, answer }) => {
      const entered = async () => Number(await (await fetch(`${address}/entered`)).text());
      await answer.until("one ");
      say(word("two "));
      await answer.until("two ");
      const before = await entered();
      assert(before > 0, "nothing was counted");
      let all = framed(word("one ")) + framed(word("two "));
      for (let number = 0; number < 50; number++) {
        const frame = framed(word(`w${number} "quoted" \u00fc\n`));
        // Now and then in two pieces.
        if (number % 10 === 9) {
          response.write(frame.slice(0, 90));
          await new Promise((later) => setTimeout(later, 20));
          response.write(frame.slice(90));
        } else {
          response.write(frame);
        }
        await answer.until(`w${number} `);
        all += frame;
      }
      const during = (await entered()) - before;
      assert(during === 0, `wasm was entered ${during} times`);
      for (const event of [word("", "stop"), USAGE, "[DONE]"]) say(event);
      response.end();
      const text = await answer.rest();
      // Usage was asked for in the client's stead, and is not shown to it.
      assert(text === all + framed(word("", "stop")) + framed("[DONE]"), text.slice(-400));
      const row = await recorded(address);
      assert(row.status === 200 && row.input_tokens === 7 && row.output_tokens === 41, row);
    }, { entry: "counted.mjs" });
  },

  async what_passed_is_counted_where_no_usage_comes() {
    await scripted(async ({ say, response, address, answer }) => {
      for (let number = 0; number < 300; number++) say(word("four "));
      for (const event of [word("", "stop"), "[DONE]"]) say(event);
      response.end();
      const text = await answer.rest();
      assert(text.split("four ").length === 301 && text.endsWith(framed("[DONE]")), text.slice(-300));
      const row = await recorded(address);
      assert(row.status === 200 && row.output_tokens >= 250 && row.output_tokens < 1000, row);
    });
  },

  async an_error_or_a_cut_after_frames_that_passed_ends_in_an_error_event_and_is_charged() {
    for (const broken of ["error", "cut", "half"]) {
      await scripted(async ({ say, response, address, answer }) => {
        for (let number = 0; number < 100; number++) say(word("four "));
        await answer.until("one ");
        if (broken === "error") say({ error: { message: "overloaded", type: "server_error", code: null } });
        if (broken === "half") response.write(framed(word("never ")).slice(0, 60));
        await new Promise((later) => setTimeout(later, 50));
        response.destroy();
        const text = await answer.rest();
        const events = text.trim().split("\n\n");
        assert(text.split("four ").length === 101 && events.at(-1).includes('"error"') && !text.includes("[DONE]") && !text.includes("never"), `${broken}: ${text.slice(-400)}`);
        const row = await recorded(address);
        assert(row.output_tokens >= 80, { broken, row });
      });
    }
  },

  /** As a panic in the stable build: its request fails, the next is answered by a new instance, and the books hold. */
  async a_trap_fails_its_own_request_at_once_and_the_next_ones_are_served() {
    const gateway = await start({ config: DOCUMENT, env, entry: "counted.mjs" });
    try {
      const [address] = gateway.addresses;
      assert((await call(address, hello("sim/demo"))).status === 200, "before it");
      for (let times = 0; times < 3; times++) {
        const headers = { authorization: `Bearer ${KEY}`, "x-trap": "now" };
        const trapped = await fetch(`${address}/v1/chat/completions`, { method: "POST", headers, body: JSON.stringify(hello("sim/demo")) });
        assert(trapped.status === 500, trapped.status);
        await trapped.text();
        const next = await Promise.all(Array.from({ length: 4 }, () => call(address, hello("sim/demo"))));
        for (const answer of next) assert(answer.status === 200, await answer.text());
      }
      const { data: [{ limits: [budget] }] } = await eventually("all is settled", async () => {
        const answer = await ask(address, "/api/limits/key/ci");
        return { ...answer, so: answer.data[0].limits[0].held === 0 };
      });
      assert(budget.used > 0, budget);
    } finally {
      await gateway.stop();
    }
  },

  /** Twenty tokens are paid for, and the provider goes on and on. */
  async a_stream_ends_where_what_was_paid_for_is_used_up_also_among_frames_that_pass() {
    await scripted(async ({ say, gone, address, answer }) => {
      for (let number = 0; number < 500; number++) say(word("four "));
      const text = await answer.rest();
      const frames = text.trim().split("\n\n");
      assert(frames.length >= 20 && frames.length <= 20 + 16 + 4 && text.includes('"finish_reason":"length"') && text.endsWith(framed("[DONE]")), `${frames.length}: ${text.slice(-400)}`);
      await gone;
      const row = await recorded(address);
      assert(row.status === 200 && row.output_tokens >= 20, row);
    }, { max_tokens: 20 });
  },

  /** Nothing is held back: each event is out before the provider writes the next. */
  async events_come_one_by_one_and_a_client_that_leaves_is_settled_for() {
    const gateway = await start({ config: DOCUMENT, env });
    try {
      const [address] = gateway.addresses;
      let closed;
      const gone = new Promise((told) => (closed = told));
      let say;
      const provider = http.createServer((request, response) => {
        request.resume();
        response.writeHead(200, { "content-type": "text/event-stream" });
        say = (event) => response.write(`data: ${JSON.stringify(event)}\n\n`);
        say({ id: "x", object: "chat.completion.chunk", choices: [{ index: 0, delta: { role: "assistant", content: "one " } }] });
        response.on("close", closed);
      });
      await new Promise((listening) => provider.listen(0, "127.0.0.1", listening));
      await gateway.configure(DOCUMENT.replace(upstream, `http://127.0.0.1:${provider.address().port}`));

      const { port } = new URL(address);
      const heard = [];
      let wake = () => {};
      const client = http.request({ port, host: "127.0.0.1", method: "POST", path: "/v1/chat/completions", headers: { authorization: `Bearer ${KEY}` } });
      client.on("error", () => {});
      client.end(JSON.stringify(hello("sim/demo", { stream: true, max_tokens: 100 })));
      client.on("response", (response) => {
        response.on("error", () => {});
        response.on("data", (piece) => { heard.push(String(piece)); wake(); });
      });
      const until = (text) => new Promise((found) => {
        wake = () => heard.join("").includes(text) && found();
        wake();
      });
      await until("one ");
      for (const word of ["two ", "three "]) {
        say({ id: "x", object: "chat.completion.chunk", choices: [{ index: 0, delta: { content: word } }] });
        await until(word);
      }
      client.destroy();
      // The runtime tells of a client that leaves with the next piece that is written to it.
      const talking = setInterval(() => say({ id: "x", object: "chat.completion.chunk", choices: [{ index: 0, delta: { content: "more " } }] }), 5);
      await gone;
      clearInterval(talking);
      const { data: [row] } = await eventually("the request is recorded", async () => {
        const answer = await ask(address, "/api/requests");
        return { ...answer, so: answer.data.length === 1 };
      });
      assert(row.status === 499 && row.output_tokens > 0 && row.usd > 0, row);
      const { data: [{ limits: [budget] }] } = await ask(address, "/api/limits/key/ci");
      assert(budget.held === 0 && budget.used > 0, budget);
      provider.close();
    } finally {
      await gateway.stop();
    }
  },

  /** One before the answer and one after it; none and one without limits. */
  async a_call_asks_its_book_twice_at_most() {
    const keys = `${DOCUMENT}\n[[keys]]\nname = "free"\nvalue = "env:FREE"\norganisation = "acme"\n`;
    const FREE = "tg-fedcba9876543210fedcba9876543210";
    const gateway = await start({ config: keys, env: { ...env, FREE } });
    try {
      const [address] = gateway.addresses;
      await (await call(address, hello("sim/demo"))).text();
      for (const [key, stream, due] of [[KEY, false, 2], [KEY, true, 2], [FREE, false, 1], [FREE, true, 1]]) {
        const before = await metric(address, "tollgate_ledger_requests_total");
        const rows = (await ask(address, "/api/requests?limit=100")).data.length;
        for (let times = 0; times < 5; times++) {
          const answer = await call(address, hello("sim/demo", { stream }), key);
          assert(answer.status === 200, await answer.text());
        }
        await eventually("all are recorded", async () => ({ so: (await ask(address, "/api/requests?limit=100")).data.length >= rows + 5 }));
        const asked = (await metric(address, "tollgate_ledger_requests_total")) - before;
        assert(asked === 5 * due, `${asked} for five calls, expected ${5 * due}`);
      }
    } finally {
      await gateway.stop();
    }
  },

  /** A busy key asks once for several calls, and no limit is passed by that. */
  async spares_save_the_question_and_hold_the_limits() {
    const limited = DOCUMENT.replace("budget = [{ usd = 5", "rpm = 100\nbudget = [{ usd = 5");
    const gateway = await start({ config: limited, env: { ...env, TOLLGATE_LEASES: "8" }, isolates: 2 });
    try {
      const [address, other] = gateway.addresses;
      for (let times = 0; times < 40; times++) await (await call(address, hello("sim/demo", { max_tokens: 9 }))).text();
      const asked = await metric(address, "tollgate_ledger_requests_total");
      // Forty settlements, and far fewer than forty questions.
      assert(asked >= 40 && asked < 60, `${asked} for 40 calls`);
      const statuses = await Promise.all(Array.from({ length: 100 }, (_, number) => call(number % 2 ? address : other, hello("sim/demo", { max_tokens: 9 })).then(async (answer) => {
        await answer.text();
        return answer.status;
      })));
      const served = 40 + statuses.filter((status) => status === 200).length;
      assert(served <= 100 && served >= 100 - 16, `${served} of 100 a minute`);
      assert(statuses.every((status) => status === 200 || status === 429), statuses);
    } finally {
      await gateway.stop();
    }
  },

  async what_is_missing_is_said_in_one_line_with_where_to_add_it() {
    const cases = [
      [{ without: ["LEDGER"] }, /LEDGER is missing: add \[\[durable_objects\.bindings\]\].*wrangler\.toml/],
      [{ class: "Nothing" }, /class must be `Ledger`/],
      [{ env: { ADMIN, CI: KEY } }, /SIM_KEY.*wrangler secret put SIM_KEY/],
      [{ config: "[providers.openai]\nkeyz = [\"x\"]\n" }, /CONFIG\/tollgate\.toml:2:.*did you mean `key`/],
      [{ config: `${DOCUMENT}${WORKERS_AI}` }, /providers\.workers-ai: .*add \[ai\] with binding = "AI" to wrangler\.toml/],
      [{ config: "{" }, /CONFIG\/tollgate\.json.*not JSON/],
    ];
    for (const [spec, line] of cases) {
      const gateway = await start({ config: DOCUMENT, env, ...spec });
      try {
        const [address] = gateway.addresses;
        const answer = await call(address, hello("sim/demo"));
        const { error } = await answer.json();
        assert(answer.status === 503 && error.code === "store_unavailable", `${answer.status} ${error.code}`);
        assert(answer.headers.get("retry-after"), "no retry-after");
        assert(line.test(error.message) && !error.message.includes("\n"), error.message);
        const other = await fetch(`${address}/v1/messages`, { method: "POST", body: "{}" });
        if (other.status === 503) assert((await other.json()).type === "error", "not in the surface's shape");
        assert((await fetch(`${address}/healthz`)).status === 200, "it lives");
        assert((await fetch(`${address}/readyz`)).status === 503, "it is not ready");
      } finally {
        await gateway.stop();
      }
    }
  },

  async without_kv_and_objects_it_serves_whom_the_variable_says() {
    const text = `[providers.sim]\nkind = "openai"\nbase_url = "${upstream}/v1"\nkeys = ["env:SIM_KEY"]\n`;
    const gateway = await start({ without: ["CONFIG", "LEDGER"], env: { ...env, TOLLGATE_CONFIG: text } });
    try {
      const answer = await call(gateway.addresses[0], hello("sim/demo"));
      assert(answer.status === 200, await answer.text());
    } finally {
      await gateway.stop();
    }
  },

  async without_a_key_it_serves_its_own_machine_unless_it_is_said_to_be_for_everybody() {
    const text = `[providers.sim]\nkind = "openai"\nbase_url = "${upstream}/v1"\nkeys = ["env:SIM_KEY"]\n`;
    const from = (address, peer) => fetch(`${address}/v1/chat/completions`, { method: "POST", headers: { "cf-connecting-ip": peer }, body: JSON.stringify(hello("sim/demo")) });
    for (const [open, document, due] of [["", text, 503], ["true", text, 200], ["", `${text}[server]\nopen = true\n`, 200]]) {
      const gateway = await start({ without: ["CONFIG", "LEDGER"], env: { ...env, TOLLGATE_CONFIG: document, TOLLGATE_OPEN: open } });
      try {
        const [address] = gateway.addresses;
        const answer = await from(address, "203.0.113.7");
        const said = await answer.json();
        assert(answer.status === due, `${answer.status}, expected ${due}: ${JSON.stringify(said)}`);
        if (due === 503) assert(/add \[\[keys\]\] to the config, or TOLLGATE_OPEN = "true" under \[vars\] in wrangler\.toml/.test(said.error.message), said);
        assert((await from(address, "127.0.0.1")).status === 200, "this machine is served");
      } finally {
        await gateway.stop();
      }
    }
  },

  async data_points_go_to_analytics_engine_where_it_is_bound() {
    const gateway = await start({ config: DOCUMENT, env, dataset: true });
    try {
      const [address] = gateway.addresses;
      const answer = await call(address, hello("sim/demo"));
      const text = await answer.text();
      assert(answer.status === 200, text);
      const { point } = await eventually("the data point is written", async () => {
        const kv = await gateway.mf.getKVNamespace("POINTS", "dataset");
        const text = await kv.get("point");
        return { point: text && JSON.parse(text), so: text !== null };
      });
      assert(point.indexes[0] === "ci" && point.blobs[5] === "sim/demo" && point.doubles[0] === 200 && point.doubles[5] > 0, point);
      assert(!JSON.stringify(point).includes("hello"), "there is something of the prompt in it");
    } finally {
      await gateway.stop();
    }
  },

  async a_secret_of_the_secrets_store_is_found_by_its_bindings_name() {
    const { SIM_KEY, ...others } = env;
    const gateway = await start({ config: DOCUMENT, env: others, secrets: { SIM_KEY } });
    try {
      const answer = await call(gateway.addresses[0], hello("sim/demo"));
      assert(answer.status === 200, await answer.text());
    } finally {
      await gateway.stop();
    }
  },

  async records_go_to_a_queue_that_is_bound() {
    const gateway = await start({ config: DOCUMENT, env, queue: true });
    try {
      const answer = await call(gateway.addresses[0], hello("sim/demo"));
      const id = answer.headers.get("x-tollgate-request-id");
      await answer.text();
      const kv = await gateway.mf.getKVNamespace("RECORDS", "records");
      const { text } = await eventually("the record arrives", async () => {
        const text = await kv.get(id);
        return { text, so: text !== null };
      });
      const record = JSON.parse(text);
      assert(record.key === "ci" && record.model === "sim/demo" && record.nano_dollars > 0, record);
      assert(!text.includes("hello"), "there is something of the prompt in it");
    } finally {
      await gateway.stop();
    }
  },

  async workers_ai_is_called_by_its_binding() {
    const ai = `export default () => ({
      async run(model, inputs) {
        if (model !== "@cf/some/model") throw new Error("5007: no such model");
        const said = "you said " + inputs.messages[0].content;
        const usage = { prompt_tokens: 3, completion_tokens: 4, total_tokens: 7 };
        if (!inputs.stream) return { response: said, usage };
        const frames = [...said.split(" ").map((word) => ({ response: word + " " })), { response: "", usage }];
        const text = frames.map((frame) => "data: " + JSON.stringify(frame) + "\\n\\n").join("") + "data: [DONE]\\n\\n";
        return new Response(text).body;
      },
    })`;
    const gateway = await start({ config: DOCUMENT + WORKERS_AI, env, ai });
    try {
      const [address] = gateway.addresses;
      const plain = await (await call(address, hello("workers-ai/@cf/some/model", { max_tokens: 9 }))).json();
      assert(plain.choices?.[0].message.content === "you said hello" && plain.usage.completion_tokens === 4, plain);
      const answer = await call(address, hello("workers-ai/@cf/some/model", { stream: true, max_tokens: 9 }));
      const text = await answer.text();
      const said = [...text.matchAll(/"content":"([^"]*)"/g)].map((found) => found[1]).join("");
      assert(said.trim() === "you said hello" && text.trimEnd().endsWith("data: [DONE]"), text);
      const wrong = await call(address, hello("workers-ai/@cf/other", { max_tokens: 9 }));
      assert(wrong.status >= 400, wrong.status);
    } finally {
      await gateway.stop();
    }
  },

  async an_equal_request_is_a_hit_also_after_the_isolate_is_gone() {
    const persist = fs.mkdtempSync(path.join(os.tmpdir(), "tollgate-"));
    const cached = DOCUMENT.replace("[[organisations]]", `[models.kept]\ntargets = ["sim/demo"]\ncache = true\n[[organisations]]`);
    for (const due of ["miss", "hit"]) {
      const gateway = await start({ config: cached, env, persist });
      try {
        const ask = () => call(gateway.addresses[0], hello("kept", { max_tokens: 9 }));
        const first = await ask();
        assert(first.headers.get("x-tollgate-cache") === due, `${first.headers.get("x-tollgate-cache")}, expected ${due}: ${await first.text()}`);
        await first.text().catch(() => {});
        const second = await ask();
        assert(second.headers.get("x-tollgate-cache") === "hit", second.headers.get("x-tollgate-cache"));
        await second.text();
      } finally {
        await gateway.stop();
      }
    }
    fs.rmSync(persist, { recursive: true });
  },
};

let failed = 0;
for (const [name, fact] of Object.entries(facts).filter(([name]) => name.includes(wanted))) {
  try {
    await fact();
    console.log(`ok      ${name}`);
  } catch (error) {
    failed++;
    console.log(`FAILED  ${name}\n    ${error.stack}`);
  }
}
sim.kill();
console.log(`workers: ${Object.keys(facts).length - failed} facts hold, ${failed} do not`);
process.exit(failed === 0 ? 0 : 1);
