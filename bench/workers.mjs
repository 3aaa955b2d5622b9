// What a call costs in workerd, beside a Worker that only proxies, in the same run.
//
//   node bench/workers.mjs SIMULATOR [CALLS]
//
// Beside it also the least that what the gateway does costs there, in JavaScript: a Worker that makes two calls to a
// Durable Object, of one SQL write each, and one that reads each piece of a stream and writes it.
//
// CPU is that of the workerd process, Durable Objects included, from /proc; each kind is warmed up first.
import { spawn } from "node:child_process";
import fs from "node:fs";
import path from "node:path";
import { Miniflare, start } from "../tests/cloudflare/gateway.mjs";

const [simulator, many = "1000"] = process.argv.slice(2);
const calls = Number(many);
const LANES = 8;
const KEY = "tg-0123456789abcdef0123456789abcdef";

const sim = spawn(path.resolve(simulator), ["--listen", "127.0.0.1:0"], { stdio: ["ignore", "pipe", "inherit"] });
const upstream = await new Promise((found) => sim.stdout.once("data", (line) => found(String(line).match(/http:\/\/[^\s/]+/)[0])));

const PROXY = `export default { fetch(request, env) {
  const { pathname } = new URL(request.url);
  return fetch(env.UPSTREAM + pathname, { method: request.method, headers: request.headers, body: request.body });
} }`;
/** The same with an entry in an object that is made before the call and ended behind the answer. */
const LEDGER = `import { DurableObject } from "cloudflare:workers";
export class Ledger extends DurableObject {
  constructor(state, env) {
    super(state, env);
    this.sql = state.storage.sql;
    this.sql.exec("CREATE TABLE IF NOT EXISTS notes (seq INTEGER PRIMARY KEY AUTOINCREMENT, note BLOB NOT NULL)");
  }
  async fetch(request) {
    const note = await request.arrayBuffer();
    this.sql.exec("INSERT INTO notes (note) VALUES (?)", note).toArray();
    return new Response(note.slice(0, 32));
  }
}
export default { async fetch(request, env, context) {
  const { pathname } = new URL(request.url);
  const ask = async () => (await env.LEDGER.getByName("book").fetch("http://ledger/order", { method: "POST", body: new Uint8Array(200) })).arrayBuffer();
  await ask();
  const answer = await fetch(env.UPSTREAM + pathname, { method: request.method, headers: request.headers, body: request.body });
  context.waitUntil(ask());
  return answer;
} }`;
const PUMP = `export default { async fetch(request, env, context) {
  const { pathname } = new URL(request.url);
  const answer = await fetch(env.UPSTREAM + pathname, { method: request.method, headers: request.headers, body: request.body });
  const { readable, writable } = new IdentityTransformStream();
  const pump = async () => {
    const [reader, writer] = [answer.body.getReader(), writable.getWriter()];
    for (;;) {
      const { done, value } = await reader.read();
      if (done) return writer.close();
      await writer.write(value);
    }
  };
  context.waitUntil(pump());
  return new Response(readable, answer);
} }`;
const provider = `[providers.sim]\nkind = "openai"\nbase_url = "${upstream}/v1"\nkeys = ["x"]\n`;
const governed = `${provider}[prices."sim/m"]\ninput = 1\noutput = 1\n[[keys]]\nname = "k"\nvalue = "${KEY}"\nrpm = 1000000000\nbudget = [{ usd = 1000000, per = "day" }]\n`;

/** Milliseconds of CPU of this process's workerd. */
function spent() {
  for (const pid of fs.readdirSync("/proc").filter((name) => /^\d+$/.test(name))) {
    try {
      const stat = fs.readFileSync(`/proc/${pid}/stat`, "utf8");
      const [, name, rest] = stat.match(/^\d+ \((.*)\) (.*)$/s);
      const fields = rest.split(" ");
      if (name === "workerd" && Number(fields[1]) === process.pid) return (Number(fields[11]) + Number(fields[12])) * 10;
    } catch {}
  }
  throw new Error("no workerd");
}

async function run(address, body, times, lanes = LANES) {
  let left = times;
  const lane = async () => {
    while (left-- > 0) {
      const answer = await fetch(`${address}/v1/chat/completions`, { method: "POST", headers: { authorization: `Bearer ${KEY}`, "content-type": "application/json" }, body });
      const text = await answer.text();
      if (answer.status !== 200) throw new Error(`${answer.status} ${text}`);
    }
  };
  await Promise.all(Array.from({ length: lanes }, lane));
}

const user = (text) => [{ role: "user", content: text }];
const plain = (model) => JSON.stringify({ model, messages: user("hello"), max_tokens: 50 });
const stream = (model) => JSON.stringify({ model, messages: user("[[sim: chars=2000; events=200]] hello"), stream: true, max_tokens: 500 });

async function measure(what, address, body) {
  await run(address, body, Math.max(100, calls / 5));
  const [cpu, began] = [spent(), performance.now()];
  await run(address, body, calls);
  const each = (spent() - cpu) / calls;
  console.log(`${what.padEnd(34)} ${each.toFixed(2)} ms CPU a call, ${((performance.now() - began) / calls).toFixed(2)} ms a call at ${LANES} at once`);
  return each;
}

/** What a Worker in JavaScript takes, beside the proxy where there is one to compare. */
async function script(what, text, kinds, base) {
  const worker = new Miniflare({ modules: true, script: text, compatibilityDate: "2026-07-01", bindings: { UPSTREAM: upstream }, durableObjects: text === LEDGER ? { LEDGER: { className: "Ledger", useSQLite: true } } : {}, cf: false });
  const address = String(await worker.ready).replace(/\/$/, "");
  const taken = {};
  for (const [kind, body] of Object.entries(kinds)) {
    taken[kind] = await measure(`${what}, ${kind}`, address, body);
    if (base) console.log(`${"".padEnd(34)} ${(taken[kind] / base[kind]).toFixed(1)} times the proxy`);
  }
  await worker.dispose();
  return taken;
}

const base = await script("proxy", PROXY, { plain: plain("m"), stream: stream("m") });
await script("floor: two calls to an object", LEDGER, { plain: plain("m") }, base);
await script("floor: each piece", PUMP, { stream: stream("m") }, base);

for (const [name, config, without] of [["no limits", provider, ["LEDGER"]], ["limits and a budget", governed, []]]) {
  let began = performance.now();
  const gateway = await start({ config, without, env: { TOLLGATE_CONFIG_FRESH: "30" } });
  const [address] = gateway.addresses;
  console.log(`${name}: started in ${(performance.now() - began).toFixed(0)} ms`);
  began = performance.now();
  await run(address, plain("sim/m"), 1, 1);
  console.log(`${name}: first answer after ${(performance.now() - began).toFixed(0)} ms`);
  for (const [kind, body] of [["plain", plain("sim/m")], ["stream", stream("sim/m")]]) {
    const each = await measure(`${name}, ${kind}`, address, body);
    console.log(`${"".padEnd(34)} ${(each / base[kind]).toFixed(1)} times the proxy`);
  }
  if (without.length === 0) {
    began = performance.now();
    await run(address, plain("sim/m"), calls * 2, 64);
    console.log(`one ledger object: ${((calls * 2000) / (performance.now() - began)).toFixed(0)} governed calls a second at 64 at once`);
  }
  await gateway.stop();
}
sim.kill();
process.exit(0);
