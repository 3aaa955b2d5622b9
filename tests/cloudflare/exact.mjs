// The Worker that was built with `exact-count`, in a real workerd: what it counts is what the native gateway counts,
// which asks tiktoken-rs; and it counts at once: no table is made of another, at start or later, so its memory is
// after the first count by each tokenizer what it was before.
//
//   TOLLGATE_WORKER=FOLDER node tests/cloudflare/exact.mjs GATEWAY
//
// GATEWAY is the program tollgate. The exit code is 0 if all is so.
import { spawn } from "node:child_process";
import fs from "node:fs";
import os from "node:os";
import path from "node:path";
import { start } from "./gateway.mjs";

const [program] = process.argv.slice(2).map((file) => path.resolve(file));
// Nobody is called: what an upstream of another dialect would be sent is counted by the gateway itself.
const CONFIG = `[providers.up]\nkind = "openai"\nbase_url = "http://127.0.0.1:9/v1"\nkeys = ["x"]\n`;

const folder = fs.mkdtempSync(path.join(os.tmpdir(), "tollgate-"));
fs.writeFileSync(path.join(folder, "tollgate.toml"), `[server]\nlisten = "127.0.0.1:0"\n[store]\npath = ":memory:"\n${CONFIG}`);
const native = spawn(program, ["serve", "--config", path.join(folder, "tollgate.toml")], { cwd: folder, stdio: ["ignore", "pipe", "pipe"] });
const address = await new Promise((found, lost) => {
  for (const stream of [native.stdout, native.stderr]) {
    stream.on("data", (line) => { const at = String(line).match(/http:\/\/127\.0\.0\.1:\d+/); if (at) found(at[0]); });
  }
  native.on("exit", () => lost(new Error("the native gateway ended")));
});

async function count(gateway, model, text) {
  const body = JSON.stringify({ model: `up/${model}`, messages: [{ role: "user", content: text }] });
  const answer = await fetch(`${gateway}/v1/messages/count_tokens`, { method: "POST", headers: { "content-type": "application/json" }, body });
  const said = await answer.json();
  if (answer.status !== 200) throw new Error(`${gateway}: ${answer.status} ${JSON.stringify(said)}`);
  return said.input_tokens;
}

const read = (file) => fs.readFileSync(new URL(file, import.meta.url), "utf8");
const TEXTS = {
  short: "Hello, world! I'll say it's DON'T.",
  prose: read("../../README.md"),
  code: read("gateway.mjs"),
  spaces: "a  b\t\t c \r\n\r\n   \n  d   ",
  scripts: "日本語のテキスト、中文文本，한국어 ไทย हिन्दी العربية עברית Ελληνικά Кириллица 😀👩‍👩‍👧‍👦🇩🇪",
  numbers: "1234567890 ".repeat(300),
  run: "a".repeat(4000),
  signs: "=-=-/*+#".repeat(400),
};

const began = performance.now();
const gateway = await start({ config: CONFIG, without: ["LEDGER"], entry: "counted.mjs" });
let wrong = 0;
try {
  const ready = performance.now();
  const memory = async () => Number(await (await fetch(`${gateway.addresses[0]}/memory`)).text());
  // A model that has no tokenizer brings along what any request needs.
  await count(gateway.addresses[0], "unknown", TEXTS.short);
  const before = await memory();
  const asked = performance.now();
  for (const model of ["gpt-4o", "gpt-4"]) await count(gateway.addresses[0], model, TEXTS.short);
  const first = performance.now() - asked;
  const more = (await memory()) - before;
  // Memory grows by pages of 64 KiB, now and then. What tiktoken-rs makes at first would be hundreds of them.
  const made = more > 2 * 65536;
  wrong += made ? 1 : 0;
  console.log(`${made ? "FAILED" : "ok    "}  ${before} bytes of memory, ${more} more after the first counts`);
  for (const model of ["gpt-4o", "gpt-4"]) {
    for (const [name, text] of Object.entries(TEXTS)) {
      const ours = await count(gateway.addresses[0], model, text);
      const theirs = await count(address, model, text);
      wrong += ours === theirs ? 0 : 1;
      console.log(`${ours === theirs ? "ok    " : "FAILED"}  ${model}, ${name}: ${ours} tokens, natively ${theirs}`);
    }
  }
  const again = performance.now();
  await count(gateway.addresses[0], "gpt-4o", TEXTS.prose);
  console.log(`started in ${(ready - began).toFixed(0)} ms, the first count by each in ${first.toFixed(0)} ms together, ${TEXTS.prose.length} letters in ${(performance.now() - again).toFixed(0)} ms`);
} finally {
  await gateway.stop();
  native.kill();
  fs.rmSync(folder, { recursive: true });
}
process.exit(wrong === 0 ? 0 : 1);
