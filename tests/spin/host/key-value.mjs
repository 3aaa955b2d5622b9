// spin:key-value and wasi:keyvalue on SQLite.
import { refused } from "./refused.mjs";

function statements(keys) {
  return {
    get: keys.prepare("SELECT value FROM entry WHERE store = ? AND key = ?"),
    set: keys.prepare(
      "INSERT INTO entry (store, key, value) VALUES (?1, ?2, ?3) ON CONFLICT (store, key) DO UPDATE SET value = ?3",
    ),
    delete: keys.prepare("DELETE FROM entry WHERE store = ? AND key = ?"),
    keys: keys.prepare("SELECT key FROM entry WHERE store = ?"),
    insert: keys.prepare("INSERT INTO entry (store, key, value) VALUES (?, ?, ?) ON CONFLICT DO NOTHING"),
    swap: keys.prepare("UPDATE entry SET value = ?4 WHERE store = ?1 AND key = ?2 AND value = ?3"),
  };
}

/** A store's calls, each atomic. */
function calls(file) {
  const sql = statements(file.keys);
  return {
    get: (store, key) => sql.get.get(store, key)?.value,
    set: (store, key, value) => void sql.set.run(store, key, value),
    delete: (store, key) => void sql.delete.run(store, key),
    keys: (store) => sql.keys.all(store).map(({ key }) => key),
    /** Whether the value was still the old one, and is the new one now. */
    swap(store, key, old, value) {
      const done = old === undefined ? sql.insert.run(store, key, value) : sql.swap.run(store, key, old, value);
      return Number(done.changes) === 1;
    },
  };
}

export function keyValue(grants, file) {
  const at = calls(file);
  return {
    Store: class Store {
      static async open(label) {
        if (!grants.stores.includes(label)) throw refused("access-denied");
        return Object.assign(new Store(), { label });
      }
      async get(key) {
        await grants.frozen.thawed("key-value");
        return at.get(this.label, key);
      }
      async set(key, value) {
        await grants.frozen.thawed("key-value");
        at.set(this.label, key, Uint8Array.from(value));
      }
      async delete(key) {
        at.delete(this.label, key);
      }
      async exists(key) {
        return at.get(this.label, key) !== undefined;
      }
      async getKeys() {
        const all = at.keys(this.label);
        async function* each() {
          yield* all;
        }
        return [each(), Promise.resolve({ tag: "ok", val: undefined })];
      }
    },
  };
}

/** The interface with atomics. Its calls do not wait. */
export function wasiKeyValue(grants, file) {
  const at = calls(file);
  class Bucket {
    static of(label) {
      return Object.assign(new Bucket(), { label });
    }
    get(key) {
      return at.get(this.label, key);
    }
    set(key, value) {
      at.set(this.label, key, Uint8Array.from(value));
    }
    delete(key) {
      at.delete(this.label, key);
    }
    exists(key) {
      return at.get(this.label, key) !== undefined;
    }
    listKeys(cursor) {
      if (cursor !== undefined) throw refused("other", "list_keys: cursor not supported");
      return { keys: at.keys(this.label), cursor: undefined };
    }
  }
  class Cas {
    static new(bucket, key) {
      return Object.assign(new Cas(), { label: bucket.label, key, seen: undefined });
    }
    current() {
      this.seen = at.get(this.label, this.key);
      return this.seen;
    }
  }
  return {
    store: {
      Bucket,
      open(label) {
        if (!grants.stores.includes(label)) throw refused("access-denied");
        return Bucket.of(label);
      },
    },
    atomics: {
      Cas,
      increment() {
        throw refused("other", "this host's tests need no increment");
      },
      swap(cas, value) {
        if (at.swap(cas.label, cas.key, cas.seen, Uint8Array.from(value))) return;
        const fresh = Cas.new({ label: cas.label }, cas.key);
        fresh.current();
        throw Object.assign(new Error("the value has changed"), { payload: { tag: "cas-failed", val: fresh } });
      },
    },
    batch: {
      getMany: (bucket, keys) => keys.map((key) => [key, at.get(bucket.label, key)]),
      setMany: (bucket, all) => all.forEach(([key, value]) => at.set(bucket.label, key, Uint8Array.from(value))),
      deleteMany: (bucket, keys) => keys.forEach((key) => at.delete(bucket.label, key)),
    },
  };
}
