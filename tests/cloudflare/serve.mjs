// Runs the compiled Worker in a real workerd, through miniflare, until SIGTERM.
//
//   node tests/cloudflare/serve.mjs SPEC.json
//
//   {"config": "<the document, TOML>",      in KV; absent: none
//    "env": {"NAME": "secret"},             secrets and variables
//    "persist": "folder",                   KV and Durable Objects; absent: gone at the end
//    "port": 0,
//    "isolates": 1,                         Workers that share KV and Durable Objects, each with a port
//    "queue": false,                        whether the queue USAGE_QUEUE is bound
//    "without": ["LEDGER"],                 bindings that are left out
//    "build": "folder"}                     by default edge-cloudflare/build
//
// On SIGHUP it reads SPEC.json again, puts its document into KV and prints `reloaded`: the config is looked
// up with every request here, not every half minute.
//
// Prints `listening http://127.0.0.1:PORT` once it answers, then one such line for each further isolate.
// The packages come from $TOLLGATE_TOOLS/cloudflare, where tools.sh installs them.
import fs from "node:fs";
import { createRequire } from "node:module";
import os from "node:os";
import path from "node:path";
import { fileURLToPath } from "node:url";

const here = path.dirname(fileURLToPath(import.meta.url));
const read = () => JSON.parse(fs.readFileSync(process.argv[2], "utf8"));
const spec = read();
const tools = process.env.TOLLGATE_TOOLS ?? path.join(os.homedir(), ".cache/tollgate-tools");
const require = createRequire(path.join(tools, "cloudflare", "package.json"));
const { Miniflare, Log, LogLevel } = require("miniflare");

const build = path.resolve(spec.build ?? process.env.TOLLGATE_WORKER ?? path.join(here, "../../edge-cloudflare/build"));
const persist = spec.persist ? path.resolve(spec.persist) : undefined;
const flags = ["enable_request_signal"];
const without = new Set(spec.without ?? []);
const isolates = spec.isolates ?? 1;
const host = "127.0.0.1";

/** One Worker; the first of them has the Durable Objects. */
function worker(number) {
  const name = `gateway-${number}`;
  const ledger = number === 0 ? { className: "Ledger", useSQLite: true } : { className: "Ledger", scriptName: "gateway-0", useSQLite: true };
  return {
    name,
    modules: true,
    rootPath: build,
    scriptPath: path.join(build, "index.js"),
    modulesRules: [{ type: "CompiledWasm", include: ["**/*.wasm"], fallthrough: true }],
    compatibilityDate: "2026-07-01",
    compatibilityFlags: flags,
    bindings: { TOLLGATE_CONFIG_FRESH: "0", ...spec.env },
    kvNamespaces: without.has("CONFIG") ? {} : { CONFIG: "tollgate" },
    durableObjects: without.has("LEDGER") ? {} : { LEDGER: ledger },
    ...(spec.queue ? { queueProducers: { USAGE_QUEUE: { queueName: "usage" } } } : {}),
    ...(isolates > 1 ? { unsafeDirectSockets: [{ host, port: 0 }] } : {}),
  };
}

// Paths of modules must lie below the working folder.
process.chdir(build);
const mf = new Miniflare({
  host,
  port: spec.port ?? 0,
  cf: false,
  log: new Log(spec.verbose ? LogLevel.DEBUG : LogLevel.ERROR),
  ...(persist ? { kvPersist: path.join(persist, "kv"), durableObjectsPersist: path.join(persist, "do"), cachePersist: path.join(persist, "cache") } : {}),
  workers: Array.from({ length: isolates }, (_, number) => worker(number)),
});

async function stop() {
  await mf.dispose();
  process.exit(0);
}
for (const signal of ["SIGTERM", "SIGINT"]) {
  // Miniflare has listeners of its own, which end the process before workerd is gone.
  process.removeAllListeners(signal);
  process.on(signal, stop);
}

const address = await mf.ready;

async function configure(document) {
  if (document === undefined || without.has("CONFIG")) return;
  const kv = await mf.getKVNamespace("CONFIG", "gateway-0");
  const [name, other] = document.trimStart().startsWith("{") ? ["tollgate.json", "tollgate.toml"] : ["tollgate.toml", "tollgate.json"];
  await kv.delete(other);
  await kv.put(name, document);
}

await configure(spec.config);
process.on("SIGHUP", async () => {
  await configure(read().config);
  console.log("reloaded");
});
const addresses = [address];
for (let number = 1; number < isolates; number++) addresses.push(await mf.unsafeGetDirectURL(`gateway-${number}`));
for (const each of addresses) {
  const answer = await fetch(new URL("/healthz", each));
  await answer.arrayBuffer();
  if (!answer.ok) throw new Error(`/healthz answers ${answer.status}`);
}
for (const each of addresses) console.log(`listening http://${host}:${new URL(each).port}`);
