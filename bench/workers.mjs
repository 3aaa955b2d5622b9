// What a call costs in workerd, beside a Worker that only proxies, in the same run.
//
//   node bench/workers.mjs SIMULATOR [CALLS]
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

const proxy = new Miniflare({ modules: true, script: PROXY, compatibilityDate: "2026-07-01", bindings: { UPSTREAM: upstream }, cf: false });
const bare = String(await proxy.ready).replace(/\/$/, "");
const base = { plain: await measure("proxy, plain", bare, plain("m")), stream: await measure("proxy, 200 events", bare, stream("m")) };
await proxy.dispose();

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
