// Instances of the component, reused as Spin reuses them.
import { createHash } from "node:crypto";
import { existsSync } from "node:fs";
import { mkdir, readFile, rename, rm, writeFile } from "node:fs/promises";
import { dirname } from "node:path";
import { pathToFileURL } from "node:url";
import { transpileBytes } from "@bytecodealliance/jco-transpile";
import { Calls, telling } from "./cancel.mjs";

const MOST_REQUESTS = 128; // an instance takes no more in its life
// Spin gives an instance sixteen. Under this engine several calls of one instance can wait for each other
// for ever, so that each request that is under way has an instance to itself: the harder case for what is
// shared, since nothing of it can be in memory.
const MOST_AT_ONCE = 1;
// A platform has a thread for each core and this host has one: more than this do not begin at once, or all
// would wait for each other past their patience. Who has called an upstream has begun.
const MOST_BEGINNING = 2;
const IDLE = 1000; // ms after which an instance without requests is given up
// Spin gives a request to an instance that still ends what goes on behind an earlier answer; here it waits for
// that end, but no longer than this.
const RESTING = 1000; // ms

/** All instances of one component. */
export class Fleet {
  #app;
  #stores;
  #least;
  #instances = [];
  #next = 0;
  #beginning = 0;
  #waiting = [];

  /** `spec.instances`: so many take turns from the start. */
  static async load(component, stores, spec) {
    const fleet = new Fleet();
    fleet.#app = await compiled(component);
    fleet.#stores = stores;
    fleet.#least = spec.instances ?? 1;
    return fleet;
  }

  /** An instance for one more request. */
  async enter() {
    if (this.#beginning >= MOST_BEGINNING) await new Promise((turn) => this.#waiting.push(turn));
    else this.#beginning += 1;
    let instance = this.#open();
    if (instance === undefined && this.#instances.length >= this.#least) {
      const resting = this.#instances.filter((each) => each.rested && !each.awaited && !each.old);
      if (resting.length > 0) instance = await this.#rested(resting[0]);
    }
    if (instance === undefined) {
      instance = { begun: 0, active: 0, began: () => {}, calls: new Calls() };
      instance.exports = this.#instantiate(instance);
      this.#instances.push(instance);
    }
    instance.begun += 1;
    instance.active += 1;
    clearTimeout(instance.timer);
    let first = true;
    instance.began = () => {
      if (!first) return;
      first = false;
      const next = this.#waiting.shift();
      if (next) next();
      else this.#beginning -= 1;
    };
    return instance;
  }

  #open() {
    const open = this.#instances.filter((each) => each.begun < MOST_REQUESTS && each.active < MOST_AT_ONCE && !each.awaited && !each.old);
    return open.length >= this.#least ? open[this.#next++ % open.length] : undefined;
  }

  /** An instance whose last request is answered, once it is free; nothing if that takes too long. */
  async #rested(instance) {
    instance.awaited = true;
    let timer;
    const late = new Promise((over) => (timer = setTimeout(over, RESTING, "late")));
    const outcome = await Promise.race([instance.rested, late]);
    clearTimeout(timer);
    instance.awaited = false;
    return outcome === "late" || instance.old || !this.#instances.includes(instance) ? undefined : instance;
  }

  /** Instances that begin now know nothing of what was before. */
  renew() {
    for (const each of this.#instances) {
      each.old = true;
      if (each.active === 0) this.retire(each);
    }
  }

  /** A request is answered. The instance is free when what goes on behind the answer is over too. */
  async leave(instance) {
    instance.began();
    instance.rested = instance.calls.rest();
    await instance.rested;
    instance.rested = undefined;
    instance.active -= 1;
    if (instance.active > 0) return;
    if (instance.old || instance.begun >= MOST_REQUESTS) return this.retire(instance);
    instance.timer = setTimeout(() => this.retire(instance), IDLE);
    instance.timer.unref();
  }

  /** An instance takes no more requests: it is too old, or has trapped. */
  retire(instance) {
    this.#instances = this.#instances.filter((each) => each !== instance);
  }

  /** Waits until no instance has a request. */
  async idle() {
    while (this.#instances.some((each) => each.active > 0)) await new Promise((done) => setTimeout(done, 10));
  }

  async #instantiate(instance) {
    const { instantiate, modules } = this.#app;
    const { client } = this.#stores;
    const outwards = {
      async send(request) {
        instance.began();
        return await client.send(request);
      },
    };
    const imports = { ...this.#stores.imports, "wasi:http/client": outwards, tollgate: instance.calls };
    const exports = await instantiate((name) => modules(name), imports);
    return exports.handler ?? exports["wasi:http/handler@0.3.0"];
  }
}

// Compiled once for each component, and kept beside the packages.
async function compiled(component) {
  const bytes = await readFile(component);
  const name = createHash("sha256").update(bytes).update(String(telling)).digest("hex").slice(0, 16);
  const folder = `${process.env.TOLLGATE_SPIN_HOST}/components/${name}`;
  if (!existsSync(folder)) await compile(bytes, folder);
  const { instantiate } = await import(pathToFileURL(`${folder}/app.js`));
  const cache = new Map();
  const modules = async (file) => {
    if (!cache.has(file)) cache.set(file, readFile(`${folder}/${file}`).then((code) => WebAssembly.compile(code)));
    return await cache.get(file);
  };
  return { instantiate, modules };
}

async function compile(bytes, folder) {
  const { files } = await transpileBytes(bytes, { name: "app", instantiation: "async" });
  const draft = `${folder}.${process.pid}`;
  for (const [name, content] of Object.entries(files)) {
    const file = `${draft}/${name}`;
    await mkdir(dirname(file), { recursive: true });
    await writeFile(file, name === "app.js" ? telling(new TextDecoder().decode(content)) : content);
  }
  await rename(draft, folder).catch(() => rm(draft, { recursive: true }));
}
