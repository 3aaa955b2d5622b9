// The compiled Worker in a real workerd, through miniflare. What a spec may say is told in serve.mjs.
import { createRequire } from "node:module";
import fs from "node:fs";
import os from "node:os";
import path from "node:path";
import { fileURLToPath } from "node:url";

const here = path.dirname(fileURLToPath(import.meta.url));
const tools = process.env.TOLLGATE_TOOLS ?? path.join(os.homedir(), ".cache/tollgate-tools");
const require = createRequire(path.join(tools, "cloudflare", "package.json"));
export const { Miniflare, Log, LogLevel } = require("miniflare");
/** Node's own is younger than the oldest Node that will do; this one comes with the runtime. */
export const { WebSocket } = require("undici");

const HOST = "127.0.0.1";
const DATE = "2026-07-01";
const FLAGS = ["enable_request_signal"];

/** Takes records off the queue and keeps them where a test finds them. */
const CONSUMER = `export default { async queue(batch, env) {
  for (const message of batch.messages) await env.RECORDS.put(JSON.parse(message.body).id, message.body);
} }`;

/** Stands for Analytics Engine, which keeps nothing where a test finds it. */
const DATASET = `export default (env) => ({ writeDataPoint(point) { env.POINTS.put("point", JSON.stringify(point)); } })`;

/** One Worker; the first of them has the Durable Objects. */
function worker(spec, build, number) {
  const without = new Set(spec.without ?? []);
  const className = spec.class ?? "Ledger";
  const ledger = number === 0 ? { className, useSQLite: true } : { className, scriptName: "gateway-0", useSQLite: true };
  return {
    name: `gateway-${number}`,
    modules: true,
    rootPath: build,
    scriptPath: path.join(build, spec.entry ?? "index.js"),
    modulesRules: [{ type: "CompiledWasm", include: ["**/*.wasm"], fallthrough: true }, { type: "ESModule", include: ["**/*.js"], fallthrough: true }],
    compatibilityDate: DATE,
    compatibilityFlags: FLAGS,
    // The config is looked up with every request here, not every half minute.
    // Some have no keys, and are asked all the same.
    bindings: { TOLLGATE_CONFIG_FRESH: "0", TOLLGATE_OPEN: "true", ...spec.env },
    kvNamespaces: without.has("CONFIG") ? {} : { CONFIG: "tollgate" },
    durableObjects: without.has("LEDGER") ? {} : { LEDGER: ledger },
    ...(spec.queue ? { queueProducers: { USAGE_QUEUE: { queueName: "usage" } } } : {}),
    wrappedBindings: { ...(spec.ai ? { AI: { scriptName: "ai" } } : {}), ...(spec.dataset ? { USAGE: { scriptName: "dataset" } } : {}) },
    secretsStoreSecrets: Object.fromEntries(Object.keys(spec.secrets ?? {}).map((name) => [name, { store_id: "store", secret_name: name }])),
    unsafeDirectSockets: [{ host: HOST, port: 0 }],
  };
}

/** Puts `counted.mjs` beside a build: the same Worker, which tells at /entered how often wasm was entered and at
 * /memory how many bytes it has, and traps in the middle of a request that has the header `x-trap`. */
function counting(build) {
  const count = `const Instance = WebAssembly.Instance;
globalThis.entered = 0;
const trapped = (call) => (...given) => {
  if (!globalThis.trap) return call(...given);
  globalThis.trap = false;
  throw new WebAssembly.RuntimeError("unreachable");
};
const all = (of, change) => Object.fromEntries(Object.entries(of).map(([name, what]) => [name, typeof what === "function" ? change(what) : what]));
WebAssembly.Instance = function (module, imports) {
  const traps = Object.fromEntries(Object.entries(imports).map(([name, calls]) => [name, all(calls, trapped)]));
  const counted = (call) => (...given) => { globalThis.entered++; return call(...given); };
  const { exports } = new Instance(module, traps);
  globalThis.bytes = () => exports.memory.buffer.byteLength;
  return { exports: all(exports, counted) };
};
`;
  const entry = `import "./count.mjs";
import Gateway, { Ledger } from "./index.js";
export { Ledger };
export default {
  fetch(request, env, context) {
    const { pathname } = new URL(request.url);
    if (pathname === "/entered") return new Response(String(globalThis.entered));
    if (pathname === "/memory") return new Response(String(globalThis.bytes()));
    globalThis.trap = request.headers.has("x-trap");
    return new Gateway(context, env).fetch(request);
  },
};
`;
  fs.writeFileSync(path.join(build, "count.mjs"), count);
  fs.writeFileSync(path.join(build, "counted.mjs"), entry);
}

/** Starts it. What it says is written to the standard output. */
export async function start(spec) {
  const build = path.resolve(spec.build ?? process.env.TOLLGATE_WORKER ?? path.join(here, "../../edge-cloudflare/build"));
  if (spec.entry) counting(build);
  const persist = spec.persist ? path.resolve(spec.persist) : undefined;
  const isolates = spec.isolates ?? 1;
  // Paths of modules must lie below the working folder.
  process.chdir(build);
  const workers = Array.from({ length: isolates }, (_, number) => worker(spec, build, number));
  if (spec.queue) {
    workers.push({ name: "records", modules: true, script: CONSUMER, compatibilityDate: DATE, kvNamespaces: { RECORDS: "records" }, queueConsumers: { usage: { maxBatchTimeout: 0.05 } } });
  }
  if (spec.dataset) workers.push({ name: "dataset", modules: true, script: DATASET, kvNamespaces: { POINTS: "points" } });
  if (spec.ai) workers.push({ name: "ai", modules: true, script: spec.ai });
  const mf = new Miniflare({
    host: HOST,
    port: spec.port ?? 0,
    cf: false,
    log: new Log(spec.verbose ? LogLevel.DEBUG : LogLevel.ERROR),
    ...(persist ? { kvPersist: path.join(persist, "kv"), durableObjectsPersist: path.join(persist, "do"), cachePersist: path.join(persist, "cache") } : {}),
    workers,
  });
  const first = await mf.ready;

  /** Puts a document into KV in place of the one there. */
  async function configure(document) {
    if (document === undefined || spec.without?.includes("CONFIG")) return;
    const kv = await mf.getKVNamespace("CONFIG", "gateway-0");
    const [name, other] = document.trimStart().startsWith("{") ? ["tollgate.json", "tollgate.toml"] : ["tollgate.toml", "tollgate.json"];
    await kv.delete(other);
    await kv.put(name, document);
  }

  for (const [name, value] of Object.entries(spec.secrets ?? {})) {
    await (await mf.getSecretsStoreSecretAPI(name, "gateway-0"))().create(value);
  }
  await configure(spec.config);
  const addresses = [`http://${HOST}:${first.port}`];
  for (let number = 1; number < isolates; number++) {
    const url = await mf.unsafeGetDirectURL(`gateway-${number}`);
    addresses.push(`http://${HOST}:${url.port}`);
  }
  for (const each of addresses) {
    const answer = await fetch(`${each}/healthz`);
    await answer.arrayBuffer();
    if (!answer.ok) throw new Error(`/healthz answers ${answer.status}`);
  }
  return { addresses, configure, mf, stop: () => mf.dispose() };
}

