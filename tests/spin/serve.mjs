// Serves the compiled component as Spin would: `serve.sh SPEC.json`.
//
// The spec: {"config": "<toml or json>", "env": {"NAME": "secret"}, "persist": "<folder>", "port": 0,
// "ledger": "sqlite" | "redis" | "key-value", "redis": "redis://…", "variables": {…}, "instances": n,
// "hosts": ["http://…"], "without": ["key-value", "sqlite"], "component": "<file>"}. All may be left out.
//
// On SIGHUP it reads the spec again and prints `reloaded`. Other variables and another document are taken up as
// by a `spin up` that is started anew; stores that it says are `frozen` ("sqlite", "key-value") answer nothing
// until it says so no more.
//
// Prints `listening http://127.0.0.1:PORT`, and ends with 0 on SIGTERM when what is in flight is over, and what goes on behind
// it, if that takes no longer than some seconds.
import { readFileSync } from "node:fs";
import { registerHooks } from "node:module";
import { pathToFileURL } from "node:url";

// Packages are kept outside the checkout.
const packages = pathToFileURL(`${process.env.TOLLGATE_SPIN_HOST}/`).href;
registerHooks({
  resolve(specifier, context, next) {
    if (/^[./]|^[a-z]+:/.test(specifier) || context.parentURL?.startsWith(packages)) {
      return next(specifier, context);
    }
    return next(specifier, { ...context, parentURL: packages });
  },
});

/** Which stores the component is given, where TOLLGATE_SPIN_STORES says so. */
function granted() {
  switch (process.env.TOLLGATE_SPIN_STORES ?? "sqlite") {
    case "sqlite":
      return {};
    case "key-value":
      return { without: ["sqlite"] };
    case "redis":
      return { ledger: "redis", redis: process.env.REDIS_URL };
    default:
      throw new Error("TOLLGATE_SPIN_STORES is sqlite, key-value or redis");
  }
}

const read = () => JSON.parse(readFileSync(process.argv[2], "utf8"));
const { frozen: _, ...spec } = { ...granted(), ...read() };
let known = JSON.stringify(spec);
const { manifest } = await import("./host/manifest.mjs");
const { platform } = await import("./host/platform.mjs");
const { Fleet } = await import("./host/instances.mjs");
const { serve } = await import("./host/server.mjs");

const root = new URL("../../", import.meta.url);
const file = new URL("spin.toml", root);
const grants = manifest(file, spec);
const stores = await platform(grants, spec);
const fleet = await Fleet.load(spec.component ?? process.env.TOLLGATE_SPIN_COMPONENT, stores, spec);
const server = await serve(fleet, spec.port ?? 0);
console.log(`listening http://127.0.0.1:${server.port}`);

const PATIENCE = 5000; // ms
let ending = false;
async function end() {
  if (ending) return;
  ending = true;
  await server.close();
  // What a store that is gone does not take is tried again for longer than anybody waits.
  await Promise.race([fleet.idle(), new Promise((late) => setTimeout(late, PATIENCE))]);
  await stores.close();
  process.exit(0);
}
process.on("SIGHUP", () => {
  const { frozen, ...rest } = { ...granted(), ...read() };
  grants.frozen.set(frozen);
  if (JSON.stringify(rest) !== known) {
    known = JSON.stringify(rest);
    grants.variables = manifest(file, rest).variables;
    fleet.renew();
  }
  console.log("reloaded");
});
process.on("SIGTERM", end);
process.on("SIGINT", end);
