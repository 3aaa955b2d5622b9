// SQLite files for one host: the component's database, and its key-value store in another.
import { mkdirSync } from "node:fs";
import { DatabaseSync } from "node:sqlite";

/** Both databases, in a folder or in memory. Each is one connection that all instances share, as in Spin. */
export function database(folder) {
  if (folder !== undefined) mkdirSync(folder, { recursive: true });
  const open = (name) => new DatabaseSync(folder === undefined ? ":memory:" : `${folder}/${name}`);
  const tables = new Map();
  const keys = open("key-value.db");
  keys.exec(`CREATE TABLE IF NOT EXISTS entry
    (store TEXT NOT NULL, key TEXT NOT NULL, value BLOB NOT NULL, PRIMARY KEY (store, key))`);
  for (const each of [keys]) each.exec("PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL");
  return {
    keys,
    table(name) {
      if (!tables.has(name)) {
        const opened = open(`sqlite-${name}.db`);
        opened.exec("PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL");
        tables.set(name, opened);
      }
      return tables.get(name);
    },
    close() {
      keys.close();
      for (const table of tables.values()) table.close();
    },
  };
}
