// Runs the compiled Worker in a real workerd until SIGTERM.
//
//   node tests/cloudflare/serve.mjs SPEC.json
//
//   {"config": "<the document>",           TOML or JSON, put into KV; absent: none
//    "env": {"NAME": "secret"},            secrets and variables
//    "persist": "folder",                  KV, Durable Objects and caches; absent: gone at the end
//    "port": 0,
//    "isolates": 1,                        Workers that share KV and Durable Objects, each with a port
//    "queue": false,                       whether the queue USAGE_QUEUE is bound
//    "ai": "<script>",                     what stands for Workers AI, as the binding AI
//    "dataset": false,                     whether Analytics Engine is bound, as USAGE
//    "secrets": {"NAME": "value"},         what is in the Secrets Store, each bound by its name
//    "without": ["LEDGER"],                bindings that are left out
//    "class": "Ledger",                    the class of the Durable Objects
//    "entry": "index.js",                  `counted.mjs`: tells at /entered how often wasm was entered
//    "build": "folder"}                    $TOLLGATE_WORKER, else edge-cloudflare/build
//
// Prints `listening http://127.0.0.1:PORT` once it answers, one such line for each isolate. On SIGHUP it
// reads SPEC.json again, puts its document into KV and prints `reloaded`. The packages come from
// $TOLLGATE_TOOLS/cloudflare, where tools.sh installs them.
import fs from "node:fs";
import path from "node:path";
import { start } from "./gateway.mjs";

const file = path.resolve(process.argv[2]);
const read = () => JSON.parse(fs.readFileSync(file, "utf8"));
const gateway = await start(read());

for (const signal of ["SIGTERM", "SIGINT"]) {
  // Miniflare has listeners of its own, which end the process before workerd is gone.
  process.removeAllListeners(signal);
  process.on(signal, async () => {
    await gateway.stop();
    process.exit(0);
  });
}
process.on("SIGHUP", async () => {
  await gateway.configure(read().config);
  console.log("reloaded");
});
for (const address of gateway.addresses) console.log(`listening ${address}`);
