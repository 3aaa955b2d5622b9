// Takes the names of functions out of a built Worker: a tenth of what is uploaded, and of no use to it.
//
//   node strip.mjs build/index_bg.wasm
import fs from "node:fs";

const file = process.argv[2];
const wasm = fs.readFileSync(file);

/** A number of seven bits a byte, and where it ends. */
function number(at) {
  let value = 0;
  for (let shift = 0; ; shift += 7) {
    const byte = wasm[at++];
    value += (byte & 0x7f) * 2 ** shift;
    if (byte < 0x80) return [value, at];
  }
}

const kept = [wasm.subarray(0, 8)];
for (let at = 8; at < wasm.length; ) {
  const [length, body] = number(at + 1);
  const end = body + length;
  const [letters, name] = wasm[at] === 0 ? number(body) : [0, body];
  const isName = wasm[at] === 0 && wasm.subarray(name, name + letters).toString() === "name";
  if (!isName) kept.push(wasm.subarray(at, end));
  at = end;
}
fs.writeFileSync(file, Buffer.concat(kept));
