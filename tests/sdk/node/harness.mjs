// What every client's checks share: the address, the checks, and a look into the simulator's log.

import { randomUUID } from "node:crypto";

export const URL = process.env.TOLLGATE_URL.replace(/\/$/, "");
// Where the simulated provider itself listens; the same address when no gateway stands between.
const SIM = (process.env.TOLLGATE_SIM_URL ?? URL).replace(/\/$/, "");
export const DIRECT = SIM === URL;
export const KEY = process.env.TOLLGATE_KEY ?? "sk-tollgate-test";
export const MODEL = process.env.TOLLGATE_MODEL ?? "gpt-sim";
// One model of each dialect, where a gateway stands before all of them.
export const MODELS = (process.env.TOLLGATE_MODELS ?? "").split(" ").filter(Boolean);
// A key that allows one call at a time.
export const NARROW = DIRECT ? KEY : (process.env.TOLLGATE_NARROW_KEY ?? KEY);
// Requests that go wrong each take a model of their own, {} being a number: a gateway rightly
// remembers an upstream that failed, and the next check must not pay for it.
const FRESH = process.env.TOLLGATE_FRESH_MODEL ?? MODEL;
export const TWO_CALLS = 'call weather {"city":"Paris, the capital of France"}\ncall time {"city":"Oslo"}';

const checks = [];
let number = 0;

/** Registers a check; its name is the fact it proves. */
export function check(name, run) {
  checks.push({ name, run });
}

/** A user message's text, with directives for the simulator if given. */
export function text(words, directives) {
  return directives ? `${words} [[sim: ${directives}]]` : words;
}

/** The model to ask when these directives are in the message. */
export function modelFor(directives) {
  return directives ? FRESH.replace("{}", number++) : MODEL;
}

/** A model and a text that end in a 404. */
export function missingModel() {
  return DIRECT
    ? { model: MODEL, words: text("hello", "error=model_not_found") }
    : { model: "no-such-model-anywhere", words: "hello" };
}

export function equal(seen, wanted) {
  const [left, right] = [JSON.stringify(seen), JSON.stringify(wanted)];
  if (left !== right) throw new Error(`${left} instead of ${right}`);
}

export function ok(value, message) {
  if (!value) throw new Error(message);
}

/** The error `run` rejects with; resolving is a failure. */
export async function raised(run) {
  let result;
  try {
    result = await run();
  } catch (error) {
    return error;
  }
  throw new Error(`expected an error, got ${JSON.stringify(result)}`);
}

/** A word no other request carries. */
export function marker() {
  return `marker-${randomUUID()}`;
}

/** Waits until the simulator has seen the request with this word being left by its client. */
export async function closedUpstream(word, patience = 20000) {
  const deadline = Date.now() + patience;
  let state;
  while (Date.now() < deadline) {
    const { requests } = await (await fetch(`${SIM}/sim/log`)).json();
    const mine = requests.filter((entry) => Buffer.from(entry.body_base64, "base64").includes(word));
    state = mine.at(-1)?.ended;
    if (state === "client_closed") return;
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
  throw new Error(`upstream is ${state} instead of client_closed`);
}

/** A text whose streamed answer stops after its first pieces, until `openGate` lets it go on. */
export function gated(word) {
  return text(word, `events=12; gate_after=6; gate=${word}`);
}

/** Lets the rest of the answer to `gated(word)` through. */
export async function openGate(word) {
  await fetch(`${SIM}/sim/open?id=${word}`, { method: "POST" });
}

/** Waits until the narrow key's one call has been settled. */
export async function roomAgain(patience = 20000) {
  const body = JSON.stringify({ model: MODEL, messages: [{ role: "user", content: "hello" }] });
  const headers = { authorization: `Bearer ${NARROW}`, "content-type": "application/json" };
  for (const deadline = Date.now() + patience; ; ) {
    const { status } = await fetch(`${URL}/v1/chat/completions`, { method: "POST", headers, body });
    if (status === 200) return;
    if (status !== 429 || Date.now() > deadline) throw new Error(`there is no room again: ${status}`);
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}

/** Runs every check and ends the program; the last line counts. */
export async function run(client) {
  let passed = 0;
  let failed = 0;
  for (const { name, run } of checks) {
    try {
      await run();
      passed += 1;
      console.log(`ok   ${client}: ${name}`);
    } catch (error) {
      failed += 1;
      console.log(`FAIL ${client}: ${name}\n${error.stack}`);
    }
  }
  console.log(`${client}: ${passed} passed, ${failed} failed`);
  process.exit(failed ? 1 : 0);
}
