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

/** An answer; one to a handshake has the client's WebSocket. */
export function answer(status, headers, body, webSocket) {
  return new Response(body, { status, headers: pairs(headers), webSocket });
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

/* Frames of a stream that pass: those that fit a form, which is a frame with holes in it. */

/** Holes of a form: the model's words, what else may stand in a string, digits. No JSON has such bytes. */
const WORDS = 1, TEXT = 2, DIGITS = 3;
const [CONTROL, QUOTE, ESCAPE, ZERO, NINE] = [0x20, 0x22, 0x5c, 0x30, 0x39];
/** What `fitting` says of bytes that end before the frame does, and of others that do not fit. */
const SHORT = -1, OTHER = -2;
/** Half a frame that is longer goes where everything goes that does not fit. */
const MOST_HELD = 65536;

/** What lets frames of a reader's pass to the client of an outlet. */
export function passing(reader, outlet) {
  return { reader, outlet, form: undefined, kept: [], held: undefined, frames: 0, words: 0, mostFrames: 0, mostWords: 0, writing: false, said: 0, heard: Date.now() };
}

/** Lets frames of this form pass, as far as these numbers go; none where the form is empty. */
export function allow(passing, form, words, frames) {
  // A copy: what is given is a view of wasm's memory.
  Object.assign(passing, { form: form.length > 0 ? form.slice() : undefined, mostWords: words, mostFrames: frames });
}

/** How many frames and bytes of words have passed since this was asked last, and when something last came. While
 * the client takes its time, nothing is expected to. */
export function passed(passing) {
  const { frames, words, heard, writing } = passing;
  Object.assign(passing, { frames: 0, words: 0 });
  return Float64Array.of(frames, words, writing ? Date.now() : heard);
}

/** What has passed since this was asked last. */
export function shelf(passing) {
  const all = joined(passing.kept);
  passing.kept = [];
  return all;
}

function joined(pieces) {
  if (pieces.length === 1) return pieces[0];
  const all = new Uint8Array(pieces.reduce((length, piece) => length + piece.length, 0));
  let at = 0;
  for (const piece of pieces) {
    all.set(piece, at);
    at += piece.length;
  }
  return all;
}

/** Where a frame of this form that begins at `at` ends. Leaves in `passing.said` the bytes of its words. */
function fitting(passing, piece, at) {
  const { form } = passing;
  passing.said = 0;
  for (let i = 0; i < form.length; i++) {
    const expected = form[i];
    const from = at;
    if (expected > DIGITS) {
      if (at >= piece.length) return SHORT;
      if (piece[at++] !== expected) return OTHER;
    } else if (expected === DIGITS) {
      while (piece[at] >= ZERO && piece[at] <= NINE) at++;
      if (at === from) return at < piece.length ? OTHER : SHORT;
    } else {
      while (at < piece.length && piece[at] !== QUOTE) {
        if (piece[at] < CONTROL) return OTHER;
        at += piece[at] === ESCAPE ? 2 : 1;
      }
      if (at >= piece.length) return SHORT;
      if (expected === WORDS) passing.said += at - from;
    }
  }
  return at;
}

/** Where those frames end that may pass, and whether half of one stands behind them. */
function passable(passing, piece) {
  let at = 0;
  while (at < piece.length && passing.frames < passing.mostFrames) {
    const end = fitting(passing, piece, at);
    if (end === SHORT) return [at, piece.length - at <= MOST_HELD];
    if (end === OTHER || passing.words + passing.said > passing.mostWords) break;
    passing.frames++;
    passing.words += passing.said;
    at = end;
  }
  return [at, false];
}

/** The next piece that must be looked at, while those before it pass; undefined at the end, null when the client
 * has left. */
export async function pass(passing) {
  for (;;) {
    const { done, value } = await passing.reader.read();
    const { held } = passing;
    passing.held = undefined;
    // What is held is given out before the end, which comes again.
    if (done) return held;
    passing.heard = Date.now();
    const piece = held === undefined ? value : joined([held, value]);
    if (passing.form === undefined) return piece;
    const [end, half] = passable(passing, piece);
    if (end > 0) {
      const whole = end === piece.length ? piece : piece.subarray(0, end);
      passing.kept.push(whole);
      passing.writing = true;
      try {
        await passing.outlet.writer.write(whole);
      } catch {
        return null;
      } finally {
        passing.writing = false;
      }
    }
    if (end === piece.length) continue;
    if (!half) return piece.subarray(end);
    passing.held = piece.subarray(end);
  }
}

/** A WebSocket for a client: its end, and ours. */
export function pair() {
  return Object.values(new WebSocketPair());
}

/** The WebSocket that an upstream has opened; null where it has not. */
export function socket(response) {
  return response.webSocket;
}

/** What it has said instead. */
export function told(response) {
  return response.text();
}

/** Listens to a WebSocket. `hear` gives a promise of what comes next: a text, a buffer, code and reason of a
 * close frame, undefined once the connection is lost, null once more waits to be heard than `most` bytes. */
export function listen(socket, most) {
  const heard = [];
  let waits = 0;
  let wake = () => {};
  const tell = (what, size = 0) => {
    waits += size;
    heard.push(waits > most ? null : what);
    wake();
  };
  socket.binaryType = "arraybuffer";
  socket.addEventListener("message", ({ data }) => tell(data, data.length ?? data.byteLength));
  socket.addEventListener("close", ({ code, reason }) => tell(code === 1006 ? undefined : [code, reason]));
  socket.addEventListener("error", () => tell(undefined));
  socket.accept();
  socket.hear = async () => {
    while (heard.length === 0) await new Promise((woken) => (wake = woken));
    const what = heard.shift();
    waits -= what?.length ?? what?.byteLength ?? 0;
    return what;
  };
}

export function hear(socket) {
  return socket.hear();
}

/** Whoever has left cannot be told. */
export function say(socket, what) {
  try {
    socket.send(what);
  } catch {}
}

/** Closes a WebSocket; a code that may not be said is left out. */
export function hangUp(socket, code, reason) {
  try {
    socket.close(code, reason);
  } catch {
    try {
      socket.close();
    } catch {}
  }
}
