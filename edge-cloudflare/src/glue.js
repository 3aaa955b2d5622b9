// What the gateway asks of the runtime with every call, in as few crossings as can be. Heads cross as one
// text: first what is not a header, then each header's name and value, all on lines of their own.

/** Up to so many bytes whose length is known are waited for whole. */
const SMALL = 65536;

function* pairs(text) {
  const lines = text.split("\n");
  for (let at = 0; at + 1 < lines.length; at += 2) yield [lines[at], lines[at + 1]];
}

function listed(first, headers) {
  let text = first;
  for (const [name, value] of headers) text += "\n" + name + "\n" + value;
  return text;
}

/** Method, address and headers of a request. */
export function asked(request) {
  return listed(request.method + "\n" + request.url, request.headers);
}

/** Whether the length of a body is known and small. */
function isSmall(headers) {
  const length = headers.get("content-length");
  return length !== null && Number(length) <= SMALL;
}

/** The body of a request: a promise of all of it, or a stream; undefined where there is none. */
export function body(request) {
  if (request.body === null) return undefined;
  return isSmall(request.headers) ? request.arrayBuffer() : request.body;
}

/** An answer. */
export function answer(status, headers, body) {
  return new Response(body, { status, headers: pairs(headers) });
}

/** The two ends of an answer that is written piece by piece. The runtime's own pipe: what is written is taken
 * when the client takes it. */
export function outlet() {
  const { readable, writable } = new IdentityTransformStream();
  return { readable, writer: writable.getWriter() };
}

/** The end that the client reads. */
export function inlet(outlet) {
  return outlet.readable;
}

/** Writes a piece; a promise of its having been taken. */
export function write(outlet, piece) {
  return outlet.writer.write(piece);
}

/** Ends the answer. */
export function close(outlet) {
  return outlet.writer.close().catch(() => {});
}

/** Breaks it off, so that the client sees that it is not whole. */
export function cut(outlet, why) {
  return outlet.writer.abort(new Error(why)).catch(() => {});
}

/** Asks a Durable Object; a promise of its answer, or of what it answered in its place as text. */
export async function ask(namespace, name, address, order) {
  const answer = await namespace.getByName(name).fetch(address, { method: "POST", body: order });
  return answer.status === 200 ? answer.arrayBuffer() : `${answer.status}: ${await answer.text()}`;
}

/** Whether a binding can do this. Bindings are known by what they do: their classes have other names wherever
 * they run. */
export function does(binding, what) {
  return typeof binding?.[what] === "function";
}

/** Writes a data point; nothing waits for it. */
export function point(dataset, index, blobs, doubles) {
  dataset.writeDataPoint({ indexes: [index], blobs, doubles: Array.from(doubles) });
}

/** The value of a secret in the Secrets Store. */
export async function secret(binding) {
  return binding.get();
}

/** Calls an upstream. A redirect would carry the provider's key to wherever it leads. */
export function call(address, method, headers, body, signal) {
  return fetch(address, { method, headers: pairs(headers), body, signal, redirect: "manual" });
}

/** Status and headers of an upstream's answer. */
export function answered(response) {
  return listed(String(response.status), response.headers);
}

/** The body of an upstream's answer, as that of a request. */
export function content(response) {
  if (response.body === null) return undefined;
  return isSmall(response.headers) ? response.arrayBuffer() : response.body.getReader();
}

/** The next piece of a reader; undefined at its end. */
export async function next(reader) {
  const { done, value } = await reader.read();
  return done ? undefined : value;
}
