// spin:redis on a real server.
import { createClient, RESP_TYPES } from "redis";
import { refused } from "./refused.mjs";

export function redis(grants) {
  const clients = new Map();

  async function connect(address) {
    const client = createClient({
      url: address,
      socket: { connectTimeout: 1000, reconnectStrategy: false },
      commandOptions: { typeMapping: { [RESP_TYPES.BLOB_STRING]: Buffer } },
    });
    client.on("error", () => clients.delete(address));
    await client.connect();
    return client;
  }

  return {
    redis: {
      Connection: class Connection {
        static async open(address) {
          if (!/^rediss?:\/\//.test(address)) throw refused("invalid-address");
          if (!grants.allows(address)) throw refused("invalid-address");
          return Object.assign(new Connection(), { address });
        }
        async execute(command, parameters) {
          try {
            if (!clients.has(this.address)) clients.set(this.address, connect(this.address));
            const client = await clients.get(this.address);
            const words = parameters.map(({ tag, val }) => (tag === "int64" ? String(val) : Buffer.from(val)));
            return flat(await client.sendCommand([command, ...words]));
          } catch (error) {
            if (!clients.has(this.address) || error.code !== undefined) clients.delete(this.address);
            throw refused("other", String(error.message ?? error));
          }
        }
      },
    },
    async close() {
      for (const client of clients.values()) await client.then((open) => open.destroy(), () => {});
    },
  };
}

// Spin hands out nested answers as one list.
function flat(answer) {
  if (Array.isArray(answer)) return answer.flatMap(flat);
  if (answer === null) return [{ tag: "nil" }];
  if (typeof answer === "number" || typeof answer === "bigint") return [{ tag: "int64", val: BigInt(answer) }];
  if (typeof answer === "string") return [{ tag: "status", val: answer }];
  return [{ tag: "binary", val: answer }];
}
