// Claude Code itself, in print mode, before providers of every dialect: nothing of it is asked elsewhere.

import { spawn } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";

import { check, closedUpstream, gated, KEY, marker, MODELS, modelFor, NARROW, ok, openGate, roomAgain, run, text, URL } from "./harness.mjs";

const require = createRequire(import.meta.url);
const program = require.resolve(`@anthropic-ai/claude-code-${process.platform}-${process.arch}/claude`);
const { version } = require("@anthropic-ai/claude-code/package.json");
const home = mkdtempSync(join(tmpdir(), "claude-"));
process.on("exit", () => rmSync(home, { recursive: true, force: true }));
const note = join(home, "note.txt");
writeFileSync(note, "the word is kumquat\n");
const models = MODELS.length ? MODELS : ["claude-sonnet-4-5"];

/** The program, asked once. */
function start(model, words, { key = KEY, format = ["text"] } = {}) {
  const env = {
    PATH: process.env.PATH,
    HOME: home,
    ANTHROPIC_BASE_URL: URL,
    ANTHROPIC_API_KEY: key,
    // What it asks beside the conversation.
    ANTHROPIC_DEFAULT_HAIKU_MODEL: model,
    CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC: "1",
    CLAUDE_CODE_MAX_RETRIES: "0",
  };
  const child = spawn(program, ["--print", words, "--model", model, "--output-format", ...format], {
    env,
    cwd: home,
    stdio: ["ignore", "pipe", "pipe"],
  });
  child.ended = new Promise((resolve) => child.on("close", resolve));
  return child;
}

async function said(model, words, options) {
  const child = start(model, words, options);
  let all = "";
  for (const stream of [child.stdout, child.stderr]) stream.on("data", (piece) => (all += piece));
  const code = await child.ended;
  return { code, all };
}

/** The pieces of thoughts and text that it hears, one by one. */
async function* pieces(child) {
  for await (const line of createInterface({ input: child.stdout })) {
    const { type, event } = JSON.parse(line);
    const piece = type === "stream_event" ? (event.delta?.text ?? event.delta?.thinking) : undefined;
    if (piece) yield piece;
  }
}

const STREAMED = { format: ["stream-json", "--verbose", "--include-partial-messages"] };

for (const model of models) {
  check(`a tool is used and its result taken up (${model})`, async () => {
    const { code, all } = await said(model, `read it\ncall Read {"file_path":"${note}"}\n`);
    ok(code === 0 && all.includes("Read returned:") && all.includes("the word is kumquat"), all);
  });

  check(`h10 interrupting it frees its place (${model})`, async () => {
    const word = marker();
    const child = start(model, gated(word), { ...STREAMED, key: NARROW });
    const heard = pieces(child);
    ok(!(await heard.next()).done, "nothing was heard");
    child.kill("SIGINT");
    await child.ended;
    await closedUpstream(word);
    await roomAgain();
  });
}

check("an answer is heard piece by piece", async () => {
  const word = marker();
  const heard = pieces(start(models[0], gated(word), STREAMED));
  let all = (await heard.next()).value;
  ok(all && !all.includes(word), all);
  // The upstream says nothing more until it is let.
  await openGate(word);
  for await (const piece of heard) all += piece;
  ok(all.includes(word), all);
});

check("it understands what is wrong", async () => {
  for (const [model, words, key, expected] of [
    [models[0], "hello", "sk-wrong", /invalid api key|401|authenticat/i],
    ["no-such-model-anywhere", "hello", KEY, /issue with the selected model/],
    [modelFor("fails"), text("hello", "error=context_length"), KEY, /Prompt is too long/],
    [modelFor("fails"), text("hello", "status=429; retry_after=1"), KEY, /rate limit|429/i],
  ]) {
    const { all } = await said(model, words, { key });
    ok(expected.test(all), `${expected}: ${all.slice(-500)}`);
    ok(!all.includes("sk-wrong"), "the key must not come back");
  }
});

await run(`Claude Code ${version}`);
