// What the component imports: WASI by the shims, Spin's interfaces by real stores.
import * as cli from "@bytecodealliance/preview2-shim/cli";
import * as clocks from "@bytecodealliance/preview2-shim/clocks";
import * as io from "@bytecodealliance/preview2-shim/io";
import * as random from "@bytecodealliance/preview2-shim/random";
import { monotonicClock } from "@bytecodealliance/preview3-shim/clocks";
import { onCancel } from "./cancel.mjs";
import { client } from "./client.mjs";
import { database } from "./database.mjs";
import { keyValue, wasiKeyValue } from "./key-value.mjs";
import { types } from "./messages.mjs";
import { redis } from "./redis.mjs";
import { refused } from "./refused.mjs";
import { sqlite } from "./sqlite.mjs";

/** All imports of an instance, by the interfaces' names without versions. */
export async function platform(grants, spec) {
  const file = database(spec.persist);
  const outside = redis(grants);
  const kv = keyValue(grants, file);
  const wasi = wasiKeyValue(grants, file);
  return {
    client: client(grants),
    imports: {
      "wasi:cli/environment": { ...cli.environment, getEnvironment: () => [] },
      "wasi:cli/exit": cli.exit,
      "wasi:cli/stderr": cli.stderr,
      "wasi:cli/stdin": cli.stdin,
      "wasi:cli/stdout": { getStdout: cli.stderr.getStderr },
      "wasi:cli/terminal-input": cli.terminalInput,
      "wasi:cli/terminal-output": cli.terminalOutput,
      "wasi:cli/terminal-stderr": cli.terminalStderr,
      "wasi:cli/terminal-stdin": cli.terminalStdin,
      "wasi:cli/terminal-stdout": cli.terminalStdout,
      // Of both versions: the standard library asks for the older one.
      "wasi:clocks/monotonic-clock": { ...clocks.monotonicClock, ...monotonicClock, waitFor },
      "wasi:clocks/wall-clock": clocks.wallClock,
      "wasi:http/types": types,
      "wasi:io/error": io.error,
      "wasi:io/poll": io.poll,
      "wasi:io/streams": io.streams,
      "wasi:random/random": random.random,
      "wasi:random/insecure": random.insecure,
      "wasi:random/insecure-seed": random.insecureSeed,
      "spin:key-value/key-value": kv,
      "spin:redis/redis": outside.redis,
      "spin:sqlite/sqlite": sqlite(grants, file),
      "spin:variables/variables": variables(grants),
      "wasi:keyvalue/store": wasi.store,
      "wasi:keyvalue/atomics": wasi.atomics,
      "wasi:keyvalue/batch": wasi.batch,
    },
    async close() {
      await outside.close();
      file.close();
    },
  };
}

function waitFor(nanoseconds) {
  return new Promise((over) => {
    const most = 2 ** 31 - 1;
    const timer = setTimeout(over, Math.min(Number((nanoseconds + 999_999n) / 1_000_000n), most));
    onCancel(() => clearTimeout(timer));
  });
}

function variables(grants) {
  return {
    async get(name) {
      if (!/^[a-z][a-z0-9]*(_[a-z0-9]+)*$/.test(name)) throw refused("invalid-name", `invalid variable name ${name}`);
      const value = grants.variables.get(name);
      if (value === undefined) throw refused("undefined", `no variable for "tollgate"."${name}"`);
      return value;
    },
  };
}
