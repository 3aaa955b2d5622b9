// Makes a built Worker small as it is uploaded, which is gzipped, without changing what it does: takes the
// names of functions out, and puts functions that are alike beside each other. Gzip sees 32 KB back, so
// that this is worth a thirtieth of the Worker.
//
//   node pack.mjs build/index_bg.wasm
import fs from "node:fs";

const CUSTOM = 0, IMPORT = 2, FUNCTION = 3, EXPORT = 7, START = 8, ELEMENT = 9, CODE = 10;

/** Reads a module, or a part of it, from front to back. */
class Reader {
  constructor(bytes, at = 0, end = bytes.length) {
    Object.assign(this, { bytes, at, end });
  }

  byte() {
    return this.bytes[this.at++];
  }

  /** A number of seven bits a byte; of signed ones only the length counts here. */
  number() {
    for (let value = 0, shift = 0; ; shift += 7) {
      const byte = this.byte();
      value += (byte & 0x7f) * 2 ** shift;
      if (byte < 0x80) return value;
    }
  }

  skip(length) {
    this.at += length;
  }

  /** So many bytes as they are. */
  take(length) {
    this.at += length;
    return this.bytes.subarray(this.at - length, this.at);
  }

  name() {
    return Buffer.from(this.take(this.number())).toString();
  }

  each(read) {
    return Array.from({ length: this.number() }, read);
  }
}

function number(value) {
  const bytes = [];
  for (; value > 0x7f; value = Math.floor(value / 128)) bytes.push((value % 128) | 0x80);
  return Buffer.from([...bytes, value]);
}

const vector = (items) => Buffer.concat([number(items.length), ...items]);
const sized = (bytes) => Buffer.concat([number(bytes.length), bytes]);

/** What follows an instruction, for each of them: `n` a number, `f` the number of a function, `v` a list of
 * numbers and one more, `t` a list of types, `c` the clauses of a `try_table`, digits so many bytes. */
const AFTER = new Map();
const after = (form, ...codes) => codes.forEach((code) => AFTER.set(code, form));
const range = (from, to) => Array.from({ length: to - from + 1 }, (_, at) => from + at);
after("", 0x00, 0x01, 0x05, 0x0a, 0x0b, 0x0f, 0x19, 0x1a, 0x1b, 0xd1, ...range(0x45, 0xc4));
after("n", 0x02, 0x03, 0x04, 0x06, 0x07, 0x08, 0x09, 0x0c, 0x0d, 0x18, ...range(0x20, 0x26), 0x3f, 0x40, 0x41, 0x42, 0xd0);
after("nn", 0x11, 0x13, ...range(0x28, 0x3e));
after("f", 0x10, 0x12, 0xd2);
after("v", 0x0e);
after("t", 0x1c);
after("nc", 0x1f);
after("4", 0x43);
after("8", 0x44);
const PREFIX = 0xfc;
const PREFIXED = ["", "", "", "", "", "", "", "", "nn", "n", "nn", "n", "nn", "n", "nn", "n", "n", "n"];

/** Where numbers of functions stand in a function, or in an expression: `[from, to, number]`. */
function calls(bytes, from) {
  const reader = new Reader(bytes, from);
  const found = [];
  while (reader.at < reader.end) {
    const code = reader.byte();
    const form = code === PREFIX ? PREFIXED[reader.number()] : AFTER.get(code);
    if (form === undefined) throw new Error(`an instruction that is not known: ${code}`);
    for (const part of form) {
      const at = reader.at;
      if (part === "n") reader.number();
      else if (part === "f") {
        const index = reader.number();
        found.push([at, reader.at, index]);
      } else if (part === "v") {
        for (let left = reader.number() + 1; left > 0; left--) reader.number();
      } else if (part === "t") {
        reader.skip(reader.number());
      } else if (part === "c") {
        for (let left = reader.number(); left > 0; left--) {
          // The first two kinds name what they catch.
          if (reader.byte() < 2) reader.number();
          reader.number();
        }
      } else {
        reader.skip(Number(part));
      }
    }
  }
  return found;
}

/** The same bytes with other numbers of functions. */
function renumbered(bytes, places, to) {
  const pieces = [];
  let at = 0;
  for (const [from, end, old] of places) {
    pieces.push(bytes.subarray(at, from), number(to(old)));
    at = end;
  }
  pieces.push(bytes.subarray(at));
  return Buffer.concat(pieces);
}

function sections(wasm) {
  const reader = new Reader(wasm, 8);
  const found = [];
  while (reader.at < reader.end) {
    const id = reader.byte();
    found.push({ id, body: Buffer.from(reader.take(reader.number())) });
  }
  return found;
}

/** How many functions are imported: their numbers come first. */
function imported(body) {
  const reader = new Reader(body);
  const limits = () => { for (let left = reader.byte() & 1 ? 2 : 1; left > 0; left--) reader.number(); };
  const kinds = reader.each(() => {
    reader.name();
    reader.name();
    const kind = reader.byte();
    if (kind === 0) reader.number();
    else if (kind === 1) { reader.byte(); limits(); }
    else if (kind === 2) limits();
    else if (kind === 3) reader.skip(2);
    else { reader.byte(); reader.number(); }
    return kind;
  });
  return kinds.filter((kind) => kind === 0).length;
}

/** Runs of so many bytes are compared. */
const RUN = 6;
/** Runs that more functions have than this say nothing of any. */
const COMMON = 60;
/** What gzip looks back at, less some room. */
const WINDOW = 30000;
/** So that a small function with one run in common does not count for more than a large one with many. */
const SMALL = 8;

/** The runs of each function that others have too. */
function runs(bodies) {
  const owners = new Map();
  const all = bodies.map((body) => {
    const own = new Set();
    for (let at = 0; at + RUN <= body.length; at++) {
      let hash = 0;
      for (let i = 0; i < RUN; i++) hash = Math.imul(hash ^ body[at + i], 0x01000193) + 0x9e3779b9;
      own.add(hash);
    }
    for (const run of own) owners.set(run, (owners.get(run) ?? 0) + 1);
    return own;
  });
  return all.map((own) => [...own].filter((run) => owners.get(run) > 1 && owners.get(run) <= COMMON));
}

/** An order in which each function comes after those it has most in common with. */
function ordered(bodies) {
  const shared = runs(bodies);
  const owners = new Map();
  shared.forEach((own, index) => own.forEach((run) => { if (!owners.has(run)) owners.set(run, []); owners.get(run).push(index); }));
  const score = new Float64Array(bodies.length);
  const seen = new Map();
  const left = new Set(bodies.keys());
  const order = [];
  let [first, size] = [0, 0];
  const count = (index, by) => {
    size += by * bodies[index].length;
    for (const run of shared[index]) {
      const before = seen.get(run) ?? 0;
      seen.set(run, before + by);
      if (before === 0 || before + by === 0) for (const owner of owners.get(run)) score[owner] += by;
    }
  };
  while (left.size > 0) {
    let [best, most] = [-1, 0];
    for (const index of left) {
      const worth = score[index] / (shared[index].length + SMALL);
      if (best < 0 || worth > most) [best, most] = [index, worth];
    }
    left.delete(best);
    order.push(best);
    count(best, 1);
    while (size > WINDOW && first < order.length - 1) count(order[first++], -1);
  }
  return order;
}

function packed(wasm) {
  const all = sections(wasm).filter(({ id, body }) => id !== CUSTOM || new Reader(body).name() !== "name");
  const find = (wanted) => all.find(({ id }) => id === wanted);
  const code = new Reader(find(CODE).body);
  const bodies = code.each(() => Buffer.from(code.take(code.number())));
  const types = new Reader(find(FUNCTION).body);
  const typed = types.each(() => number(types.number()));
  const first = imported(find(IMPORT).body);
  const order = ordered(bodies);
  const place = new Map(order.map((old, now) => [old + first, now + first]));
  const to = (old) => place.get(old) ?? old;

  const moved = bodies.map((body) => {
    const reader = new Reader(body);
    reader.each(() => { reader.number(); reader.byte(); });
    return sized(renumbered(body, calls(body, reader.at), to));
  });
  find(CODE).body = vector(order.map((old) => moved[old]));
  find(FUNCTION).body = vector(order.map((old) => typed[old]));
  const names = new Reader(find(EXPORT).body);
  find(EXPORT).body = vector(names.each(() => {
    const [name, kind, index] = [names.name(), names.byte(), names.number()];
    return Buffer.concat([sized(Buffer.from(name)), Buffer.from([kind]), number(kind === 0 ? to(index) : index)]);
  }));
  const start = find(START);
  if (start) start.body = number(to(new Reader(start.body).number()));
  const elements = find(ELEMENT);
  if (elements) elements.body = segments(elements.body, to);
  return Buffer.concat([wasm.subarray(0, 8), ...all.flatMap(({ id, body }) => [Buffer.from([id]), sized(body)])]);
}

/** Tables of functions, of the forms that compilers write: lists of numbers. */
function segments(body, to) {
  const reader = new Reader(body);
  return vector(reader.each(() => {
    const from = reader.at;
    const flags = reader.number();
    if (flags > 3) throw new Error(`a table of a form that is not known: ${flags}`);
    if (flags === 2) reader.number();
    if ((flags & 1) === 0) {
      // An offset: a constant, or a global's value.
      reader.byte();
      reader.number();
      reader.byte();
    }
    if (flags !== 0) reader.byte();
    return Buffer.concat([body.subarray(from, reader.at), vector(reader.each(() => number(to(reader.number()))))]);
  }));
}

const file = process.argv[2];
const [built, wasm] = [fs.readFileSync(file)].flatMap((wasm) => [wasm, packed(wasm)]);
// Older engines know less than what is built for.
if (WebAssembly.validate(built) && !WebAssembly.validate(wasm)) throw new Error("what was packed is no longer valid");
fs.writeFileSync(file, wasm);
