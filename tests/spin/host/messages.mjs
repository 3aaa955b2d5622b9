// wasi:http/types as a platform has them: whoever drops a body's reader is heard by its writer at once.
import { Fields, RequestOptions } from "@bytecodealliance/preview3-shim/http";

const OK = { tag: "ok", val: undefined };

/** A request, made by the host or by the component. */
export class Request {
  #method = { tag: "get" };
  #scheme;
  #authority;
  #path;
  #headers;
  #body;
  #trailers;
  #options;

  static new(headers, body, trailers, options) {
    const request = new Request();
    request.#headers = headers;
    request.#body = body;
    request.#trailers = trailers;
    request.#options = options;
    return [request, Promise.resolve(OK)];
  }
  getMethod = () => this.#method;
  setMethod = (method) => void (this.#method = method);
  getScheme = () => this.#scheme;
  setScheme = (scheme) => void (this.#scheme = scheme);
  getAuthority = () => this.#authority;
  setAuthority = (authority) => void (this.#authority = authority);
  getPathWithQuery = () => this.#path;
  setPathWithQuery = (path) => void (this.#path = path);
  getOptions = () => this.#options;
  getHeaders = () => this.#headers;
  static consumeBody(request) {
    return [request.#body ?? nothing(), request.#trailers];
  }
}

/** An answer, made by the component or by the host. */
export class Response {
  #status = 200;
  #headers;
  #body;
  #trailers;
  #transmitted;

  static new(headers, body, trailers) {
    const response = new Response();
    response.#headers = headers;
    response.#body = body;
    response.#trailers = trailers;
    const result = new Promise((done) => (response.#transmitted = done));
    return [response, result];
  }
  getStatusCode = () => this.#status;
  setStatusCode = (status) => void (this.#status = status);
  getHeaders = () => this.#headers;
  static consumeBody(response) {
    return [response.#body ?? nothing(), response.#trailers];
  }
  /** What became of it, for whoever made it. */
  transmitted(result) {
    this.#transmitted(result);
  }
}

export const types = { Fields, Request, RequestOptions, Response };

function nothing() {
  return { [Symbol.asyncIterator]: () => ({ next: async () => ({ done: true }), return: async () => ({ done: true }) }) };
}

/** Headers as Node has them, without those that belong to one connection. */
export function fields(raw, more = []) {
  const entries = [];
  for (let at = 0; at < raw.length; at += 2) {
    const name = raw[at].toLowerCase();
    if (!HOP.has(name) && !name.startsWith("spin-")) entries.push([name, Buffer.from(raw[at + 1], "latin1")]);
  }
  for (const [name, value] of more) entries.push([name, Buffer.from(value)]);
  return Fields.fromList(entries);
}

const HOP = new Set(["connection", "keep-alive", "transfer-encoding", "upgrade", "host", "proxy-connection", "http2-settings"]);

/** Headers as Node wants them. */
export function raw(headers) {
  return headers.copyAll().flatMap(([name, value]) => [name, Buffer.from(value).toString("latin1")]);
}

/** The body of one of Node's messages, for a component, and what became of it. Reading no more drops it. */
export function incoming(message) {
  let ended;
  const trailers = new Promise((done) => (ended = done));
  const chunks = [];
  let over = false;
  let failed = false;
  let wake = () => {};
  const end = (result) => {
    over = true;
    ended(result);
    wake();
  };
  message.on("data", (chunk) => {
    chunks.push(new Uint8Array(chunk));
    message.pause();
    wake();
  });
  message.on("end", () => end(OK));
  const cut = () => {
    if (!message.complete && !over) {
      failed = true;
      end({ tag: "err", val: { tag: "HTTP-response-incomplete" } });
    }
  };
  message.on("error", cut);
  message.on("close", cut);
  const body = {
    [Symbol.asyncIterator]: () => ({
      async next() {
        while (chunks.length === 0 && !over) {
          message.resume();
          await new Promise((woken) => (wake = woken));
        }
        return chunks.length > 0 ? { done: false, value: chunks.shift() } : { done: true };
      },
      async return() {
        if (!message.complete || failed) message.destroy();
        end(OK);
        return { done: true };
      },
    }),
  };
  return { body, trailers };
}

/** Writes a component's body into one of Node's messages. Says how it ended: `whole`, `cut` or `left`. */
export async function outgoing(body, trailers, message, left) {
  const gone = left.then(() => "left");
  for (;;) {
    const next = await Promise.race([body.read ? body.read({ count: 65536 }) : body[Symbol.asyncIterator]().next(), gone]);
    if (next === "left") {
      body[Symbol.dispose]?.();
      return "left";
    }
    if (next.done) break;
    if (!message.write(Buffer.from(next.value))) {
      await Promise.race([new Promise((ready) => message.once("drain", ready)), gone]);
    }
  }
  return (await trailers)?.tag === "err" ? "cut" : "whole";
}
