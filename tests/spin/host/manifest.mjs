// What spin.toml grants the component: variables, stores, hosts.
import { readFileSync } from "node:fs";
import { parse } from "smol-toml";

/** Reads the manifest, and lays what the spec says over it. */
export function manifest(file, spec) {
  const document = parse(readFileSync(file, "utf8"));
  const component = document.component.tollgate;
  const hosts = [...(component.allowed_outbound_hosts ?? []), ...(spec.hosts ?? [])];
  const without = new Set(spec.without ?? []);
  return {
    variables: variables(document, component, overrides(spec)),
    stores: without.has("key-value") ? [] : (component.key_value_stores ?? []),
    databases: without.has("sqlite") ? [] : (component.sqlite_databases ?? []),
    frozen: new Frozen(),
    allows: (url) => hosts.some((pattern) => matches(pattern, url)),
  };
}

function overrides(spec) {
  // This host is slow, and slower on a busy machine: that is no fault of its stores.
  const given = { tollgate_patience: "20000", ...spec.variables };
  for (const [name, value] of Object.entries(spec.env ?? {})) given[name.toLowerCase()] = value;
  if (spec.config !== undefined) given.gateway_config = spec.config;
  if (spec.ledger !== undefined) given.tollgate_ledger = spec.ledger;
  if (spec.redis !== undefined) given.redis_url = spec.redis;
  return given;
}

// Of the application's variables the component sees those that its own table takes up.
function variables(document, component, given) {
  const application = {};
  for (const [name, { default: value }] of Object.entries(document.variables ?? {})) application[name] = value;
  const seen = new Map();
  for (const [name, template] of Object.entries(component.variables ?? {})) {
    const value = template.replaceAll(/\{\{\s*([a-z0-9_]+)\s*\}\}/g, (_, inner) => given[inner] ?? application[inner]);
    seen.set(name, value);
  }
  // What a test adds is as if the manifest had it too.
  for (const [name, value] of Object.entries(given)) if (!seen.has(name)) seen.set(name, value);
  return seen;
}

/** Whether a URL is allowed by a pattern such as `https://*.example.com:443` or `http://127.0.0.1:*`. */
export function matches(pattern, url) {
  const [, scheme, host, port] = /^([a-z+*]+):\/\/([^:/]+|\[[^\]]+\])(?::([0-9*]+))?\/?$/.exec(pattern) ?? [];
  if (scheme === undefined) throw new Error(`spin.toml: allowed_outbound_hosts: ${pattern} is no pattern`);
  const asked = new URL(url);
  const usual = { "http:": "80", "https:": "443", "redis:": "6379", "rediss:": "6379" };
  const askedPort = asked.port || usual[asked.protocol];
  const expected = port ?? usual[`${scheme}:`] ?? askedPort;
  const sameHost =
    host === "*" || asked.hostname === host || (host.startsWith("*.") && asked.hostname.endsWith(host.slice(1)));
  return (scheme === "*" || `${scheme}:` === asked.protocol) && sameHost && (expected === "*" || expected === askedPort);
}

/** Stores that answer nothing until they thaw. */
class Frozen {
  #names = new Set();
  #waiting = [];

  set(names) {
    this.#names = new Set(names ?? []);
    const waiting = this.#waiting;
    this.#waiting = [];
    waiting.forEach((look) => look());
  }
  async thawed(name) {
    while (this.#names.has(name)) await new Promise((look) => this.#waiting.push(look));
  }
}
