// spin:sqlite on a file.
import { refused } from "./refused.mjs";

export function sqlite(grants, file) {
  return {
    Connection: class Connection {
      static async openAsync(name) {
        if (!grants.databases.includes(name)) throw refused("access-denied");
        return Object.assign(new Connection(), { table: file.table(name) });
      }
      async executeAsync(text, parameters) {
        await grants.frozen.thawed("sqlite");
        let columns, rows;
        try {
          const statement = this.table.prepare(text);
          statement.setReadBigInts(true);
          columns = statement.columns().map(({ name }) => name);
          statement.setReturnArrays(true);
          const values = parameters.map(bound);
          // What gives no rows is run, not asked.
          rows = columns.length === 0 ? (statement.run(...values), []) : statement.all(...values);
        } catch (error) {
          throw refused("io", error.message);
        }
        const results = rows.map((row) => ({ values: row.map(found) }));
        async function* each() {
          yield* results;
        }
        return [columns, each(), Promise.resolve({ tag: "ok", val: undefined })];
      }
      async lastInsertRowidAsync() {
        return BigInt(this.table.prepare("SELECT last_insert_rowid() AS id").get().id);
      }
      async changesAsync() {
        return BigInt(this.table.prepare("SELECT changes() AS n").get().n);
      }
    },
  };
}

function bound({ tag, val }) {
  if (tag === "null") return null;
  return tag === "blob" ? Uint8Array.from(val) : val;
}

function found(value) {
  if (value === null) return { tag: "null" };
  if (typeof value === "bigint") return { tag: "integer", val: value };
  if (typeof value === "number") return { tag: "real", val: value };
  if (typeof value === "string") return { tag: "text", val: value };
  return { tag: "blob", val: value };
}
