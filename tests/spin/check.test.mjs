// The compiled component against what only this platform can do wrong, and what must be shared by its
// instances. What all hosts have in common is in tests/conformance.
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";

const serve = new URL("serve.mjs", import.meta.url).pathname;
const KEY = "tg-0123456789012345678901234567890123";
const ADMIN = "an-admin-key-of-thirty-two-letters";
const children = [];
const folders = [];

after(() => {
  children.forEach((child) => child.kill("SIGKILL"));
  folders.forEach((folder) => rmSync(folder, { recursive: true, force: true }));
});

function folder() {
  const made = mkdtempSync(join(tmpdir(), "tollgate-spin-"));
  folders.push(made);
  return made;
}

/** Starts a program, and waits for the line that names its address. */
function started(command, args, pattern) {
  const child = spawn(command, args, { stdio: ["ignore", "pipe", "pipe"] });
  children.push(child);
  const lines = [];
  return new Promise((ready, failed) => {
    const hear = (text) => {
      lines.push(String(text));
      const found = pattern.exec(lines.join(""));
      if (found) ready({ url: found[1], child, said: () => lines.join("") });
    };
    child.stdout.on("data", hear);
    child.stderr.on("data", hear);
    child.on("exit", (code) => failed(new Error(`${command} ended with ${code}: ${lines.join("")}`)));
  });
}

async function gateway(spec) {
  const file = join(folder(), "spec.json");
  writeFileSync(file, JSON.stringify({ port: 0, ...spec }));
  return await started(process.execPath, ["--no-warnings", serve, file], /listening (http:\S+)/);
}

const sim = await started(process.env.TOLLGATE_SIM_BIN, ["--listen", "127.0.0.1:0"], /(http:\/\/127\.0\.0\.1:\d+)/);

function config(key, more = "") {
  return `
[server]
admin_key = "env:ADMIN"
[providers.sim]
kind = "openai"
base_url = "${sim.url}/v1"
keys = ["anything"]
[prices."sim/demo"]
input = 10
output = 40
[[keys]]
name = "ci"
value = "env:CI"
${key}
${more}`;
}

const env = { CI: KEY, ADMIN };

async function call(url, body = {}, options = {}) {
  return await fetch(`${url}/v1/chat/completions`, {
    method: "POST",
    headers: { authorization: `Bearer ${KEY}`, "content-type": "application/json" },
    body: JSON.stringify({ model: "sim/demo", max_tokens: 10, messages: [{ role: "user", content: "hello" }], ...body }),
    ...options,
  });
}

async function admin(url, path) {
  const answer = await fetch(`${url}${path}`, { headers: { authorization: `Bearer ${ADMIN}` } });
  assert.equal(answer.status, 200, path);
  return await answer.json();
}

/** Asks until it is so; what is settled behind an answer takes a moment. */
async function until(look) {
  for (let tries = 0; ; tries += 1) {
    const found = await look();
    if (found || tries > 500) return found;
    await new Promise((later) => setTimeout(later, 20));
  }
}

async function refused(url, status, ...parts) {
  const answer = await call(url);
  const { error } = await answer.json();
  assert.equal(answer.status, status, error.message);
  for (const part of parts) assert.ok(error.message.includes(part), `${part} in: ${error.message}`);
  assert.ok(!error.message.includes("\n"), "one line");
  assert.equal((await fetch(`${url}/healthz`)).status, 200, "it lives");
}

test("a variable that is not set is a 503 that says what to add to which file", async () => {
  const { url } = await gateway({ config: config(""), env: { ADMIN } });
  await refused(url, 503, "`ci`", "spin.toml", "SPIN_VARIABLE_CI");
});

test("a config with an error is a 503 that says where", async () => {
  const { url } = await gateway({ config: `${config("")}\nrpmm = 3\n`, env });
  await refused(url, 503, "gateway_config:", "rpm");
});

test("a host that is not allowed is a 502 that says what to add to which file", async () => {
  const more = `[providers.far]\nkind = "openai"\nbase_url = "https://far.example/v1"\nkeys = ["x"]`;
  const { url, said } = await gateway({ config: config("", more), env });
  const answer = await call(url, { model: "far/demo" });
  const { error } = await answer.json();
  assert.equal(answer.status, 502, error.message);
  await until(() => said().includes("far.example"));
  assert.match(said(), /https:\/\/far\.example is not allowed: add .* allowed_outbound_hosts in spin\.toml/);
});

test("a store that is asked for and not given is a 503 that says what to add to which file", async () => {
  const { url } = await gateway({ config: config(""), env, ledger: "sqlite", without: ["sqlite"] });
  await refused(url, 503, "sqlite_databases", "spin.toml");
  const other = await gateway({ config: config(""), env, ledger: "key-value", without: ["key-value"] });
  await refused(other.url, 503, "key_value_stores", "spin.toml");
});

test("redis without an address is a 503 that says where it goes", async () => {
  const { url } = await gateway({ config: config(""), env, ledger: "redis" });
  await refused(url, 503, "redis_url");
});

test("what is only best effort is said at the start and by /readyz", async () => {
  const { url, said } = await gateway({ config: config("rpm = 5"), env, without: ["sqlite", "key-value"] });
  const answer = await fetch(`${url}/readyz`);
  assert.equal(answer.status, 200);
  assert.match((await answer.json()).note, /best effort/);
  assert.match(said(), /best effort/);
});

test("a redis that is gone makes limited calls a 503, and the gateway not ready", async () => {
  const { url } = await gateway({ config: config("rpm = 5"), env, ledger: "redis", redis: "redis://127.0.0.1:1" });
  assert.equal((await call(url)).status, 503);
  assert.equal((await fetch(`${url}/readyz`)).status, 503);
});

const ledgers = [{ ledger: "sqlite" }, { ledger: "key-value" }];
if (process.env.REDIS_URL) ledgers.push({ ledger: "redis", redis: process.env.REDIS_URL });

for (const kind of ledgers) {
  test(`${kind.ledger}: instances share a limit, and keep it over a restart`, async () => {
    const namespace = `[store]\nnamespace = "spin-${process.pid}-${Date.now()}"`;
    const spec = { config: config("rpm = 5", namespace), env, persist: folder(), instances: 3, ...kind };
    const first = await gateway(spec);
    const statuses = [];
    for (let n = 0; n < 4; n += 1) statuses.push((await call(first.url)).status);
    first.child.kill("SIGTERM");
    await new Promise((ended) => first.child.on("exit", ended));
    const second = await gateway(spec);
    for (let n = 0; n < 3; n += 1) statuses.push((await call(second.url)).status);
    assert.deepEqual(statuses, [200, 200, 200, 200, 200, 429, 429]);
  });

  test(`${kind.ledger}: a client that leaves is charged, and holds nothing`, async () => {
    const namespace = `[store]\nnamespace = "left-${process.pid}-${Date.now()}"`;
    const spec = { config: config(`concurrency = 1\nbudget = [{ usd = 1, per = "day" }]`, namespace), env, ...kind };
    const { url } = await gateway(spec);
    const leaving = new AbortController();
    const answer = await call(url, { stream: true, max_tokens: 200, messages: [{ role: "user", content: `[[sim: drip=30]] ${"tell me more ".repeat(30)}` }] }, { signal: leaving.signal });
    assert.equal(answer.status, 200);
    await answer.body.getReader().read();
    leaving.abort();
    const { limits } = await until(async () => {
      const [report] = (await admin(url, "/api/limits/key/ci")).data;
      return report.limits.every(({ held }) => held === 0) && report;
    });
    const [budget] = limits.filter(({ limit }) => limit === "budget");
    assert.ok(budget.used > 0, JSON.stringify(limits));
  });
}
