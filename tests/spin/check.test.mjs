// The compiled component against what only this platform can do wrong, and what must be shared by its
// instances. What all hosts have in common is in tests/conformance.
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { generateKeyPairSync, sign } from "node:crypto";
import { once } from "node:events";
import http from "node:http";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
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
  const write = (more) => writeFileSync(file, JSON.stringify({ port: 0, ...spec, ...more }));
  write();
  const running = await started(process.execPath, ["--no-warnings", serve, file], /listening (http:\S+)/);
  /** Changes the spec, and waits until it is taken up. */
  const change = async (more) => {
    const before = running.said().split("reloaded").length;
    write(more);
    running.child.kill("SIGHUP");
    await until(() => running.said().split("reloaded").length > before);
  };
  return { ...running, change };
}

async function freePort() {
  const server = createServer().listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address();
  server.close();
  await once(server, "close");
  return port;
}

async function redisServer(port) {
  const all = ["--port", port, "--bind", "127.0.0.1", "--save", "", "--appendonly", "no", "--dir", folder()];
  return (await started("redis-server", all.map(String), /(Ready to accept connections)/)).child;
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

// What this engine and a busy machine may need beside any patience; without one it would be for ever.
const BOUND = 5000;

async function timed(what) {
  const begun = performance.now();
  const answer = await what();
  const millis = performance.now() - begun;
  assert.ok(millis < BOUND, `answered after ${millis} ms`);
  return answer;
}

const PATIENT = { tollgate_patience: "100" };

test("with nothing but key-value everything is kept, and what is less than with a database is said", async () => {
  const spec = { config: config(""), env, persist: folder(), instances: 2, without: ["sqlite"] };
  const first = await gateway(spec);
  const ready = await fetch(`${first.url}/readyz`);
  assert.equal(ready.status, 200);
  assert.match((await ready.json()).note, /no database, so that keys, deeds and spend are in the key-value store/);
  assert.match(first.said(), /no database, so that keys, deeds and spend are in the key-value store/);
  const made = await fetch(`${first.url}/api/keys`, {
    method: "POST",
    headers: { authorization: `Bearer ${ADMIN}` },
    body: JSON.stringify({ name: "made", rpm: 2 }),
  });
  assert.equal(made.status, 201);
  const { key } = await made.json();
  const headers = { authorization: `Bearer ${key}` };
  for (const status of [200, 200, 429]) assert.equal((await call(first.url, {}, { headers })).status, status);
  const spent = async (url) => (await admin(url, "/api/spend?by=key")).data.find(({ key }) => key === "made");
  assert.ok(await until(async () => (await spent(first.url))?.requests === 3));
  first.child.kill("SIGTERM");
  await once(first.child, "exit");
  const second = await gateway(spec);
  assert.equal((await call(second.url, {}, { headers })).status, 429);
  assert.ok(await until(async () => (await spent(second.url)).requests === 4));
  assert.equal((await admin(second.url, "/api/requests?key=made")).data.length, 4);
  assert.deepEqual((await admin(second.url, "/api/audit")).data.map(({ subject }) => subject), ["key:made"]);
  assert.equal((await admin(second.url, "/api/audit/verify")).lines, 1);
});

test("a database that answers nothing makes limited calls a 503 in time, and others are served", async () => {
  const free = `[[keys]]\nname = "free"\nvalue = "env:FREE"`;
  const FREE = `${KEY}-free`;
  const spec = { config: config("rpm = 100", free), env: { ...env, FREE }, ledger: "sqlite", variables: PATIENT };
  const { url, change } = await gateway(spec);
  assert.ok(await until(async () => (await call(url)).status === 200));
  await change({ frozen: ["sqlite"] });
  const answer = await timed(() => call(url));
  assert.equal(answer.status, 503);
  assert.equal((await answer.json()).error.code, "store_unavailable");
  const unlimited = await timed(() => call(url, {}, { headers: { authorization: `Bearer ${FREE}` } }));
  // An instance that has begun since cannot know who is stored.
  assert.ok([200, 503].includes(unlimited.status), `${unlimited.status}`);
  assert.equal((await timed(() => fetch(`${url}/readyz`))).status, 503);
  await change({ frozen: [] });
  assert.ok(await until(async () => (await call(url)).status === 200), "it recovers alone");
});

test("a redis that is gone: budgets are closed, other limits are kept here, and both are shared again alone", async () => {
  const port = await freePort();
  const CAPPED = `${KEY}-capped`;
  const capped = `[[keys]]\nname = "capped"\nvalue = "env:CAPPED"\nbudget = [{ usd = 1, per = "day" }]`;
  const spec = { config: config("rpm = 4", capped), env: { ...env, CAPPED }, ledger: "redis", redis: `redis://127.0.0.1:${port}` };
  const { url, said } = await gateway(spec);
  const withBudget = () => call(url, {}, { headers: { authorization: `Bearer ${CAPPED}` } });
  for (let n = 0; n < 3; n += 1) {
    const answer = await timed(withBudget);
    assert.equal(answer.status, 503);
    assert.equal((await answer.json()).error.code, "store_unavailable");
  }
  assert.match(said(), /redis is asked no more until it answers a probe/);
  assert.equal((await fetch(`${url}/readyz`)).status, 503);
  for (const status of [200, 200]) assert.equal((await timed(() => call(url))).status, status);
  const server = await redisServer(port);
  assert.ok(await until(async () => (await withBudget()).status === 200), "it recovers alone");
  assert.equal((await fetch(`${url}/readyz`)).status, 200);
  const used = async () => (await admin(url, "/api/limits/key/ci")).data[0].limits.find(({ limit }) => limit === "rpm").used;
  assert.ok(await until(async () => (await used()) === 2), "what went by without it is told");
  const statuses = [];
  for (let n = 0; n < 3; n += 1) statuses.push((await call(url)).status);
  assert.deepEqual(statuses, [200, 200, 429]);
  server.kill();
});

test("a redis that answers nothing delays nobody for longer than the patience", async () => {
  const port = await freePort();
  const server = await redisServer(port);
  const spec = { config: config("rpm = 100"), env, ledger: "redis", redis: `redis://127.0.0.1:${port}`, variables: PATIENT };
  const { url } = await gateway(spec);
  assert.equal((await call(url)).status, 200);
  server.kill("SIGSTOP");
  for (let n = 0; n < 4; n += 1) assert.ok([200, 503].includes((await timed(() => call(url))).status));
  server.kill("SIGCONT");
  assert.ok(await until(async () => (await fetch(`${url}/readyz`)).status === 200), "it recovers alone");
  server.kill();
});

test("keys of other issuers are fetched once for all instances, and no issuer is hammered", async () => {
  const [first, second] = [generateKeyPairSync("ed25519"), generateKeyPairSync("ed25519")];
  const keys = [{ ...first.publicKey.export({ format: "jwk" }), kid: "first" }];
  let fetches = 0;
  const server = http.createServer((_, answer) => {
    fetches += 1;
    answer.end(JSON.stringify({ keys }));
  });
  await once(server.listen(0, "127.0.0.1"), "listening");
  const at = `http://127.0.0.1:${server.address().port}/keys`;
  const tokens = `[tokens]\nissuers = [{ issuer = "id", audience = "gate", jwks = "${at}", key = "ci" }]`;
  const { url, said } = await gateway({ config: config("", tokens), env, instances: 2 });
  const token = (kid, { privateKey }) => {
    const part = (value) => Buffer.from(JSON.stringify(value)).toString("base64url");
    const seconds = Math.floor(Date.now() / 1000);
    const text = `${part({ alg: "EdDSA", kid })}.${part({ iss: "id", aud: "gate", sub: "someone", jti: kid, iat: seconds, exp: seconds + 300 })}`;
    return `${text}.${sign(null, Buffer.from(text), privateKey).toString("base64url")}`;
  };
  const status = async (kid, pair) => (await call(url, {}, { headers: { authorization: `Bearer ${token(kid, pair)}` } })).status;
  for (let n = 0; n < 4; n += 1) assert.equal(await status("first", first), 200, said());
  assert.equal(fetches, 1, "others find what one has fetched");
  assert.equal(await status("second", second), 401);
  assert.equal(fetches, 1, "an issuer is not hammered");
  server.close();
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

  if (kind.ledger !== "redis") {
    test(`${kind.ledger}: a budget that comes in the middle of its period counts what was spent already`, async () => {
      const { url } = await gateway({ config: config(""), env, ...kind });
      const asked = (method, path, body) =>
        fetch(`${url}${path}`, { method, headers: { authorization: `Bearer ${ADMIN}` }, body: JSON.stringify(body) });
      const { key } = await (await asked("POST", "/api/keys", { name: "young" })).json();
      const headers = { authorization: `Bearer ${key}` };
      assert.equal((await call(url, {}, { headers })).status, 200);
      assert.ok(await until(async () => (await admin(url, "/api/spend?key=young")).data[0]?.requests === 1));
      assert.equal((await asked("PATCH", "/api/keys/young", { budget: [{ usd: 0.0001, per: "day" }] })).status, 200);
      const [{ limits }] = (await admin(url, "/api/limits/key/young")).data;
      assert.ok(limits.find(({ limit }) => limit === "budget").used > 0, JSON.stringify(limits));
      assert.equal((await call(url, {}, { headers })).status, 402);
    });
  }

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
