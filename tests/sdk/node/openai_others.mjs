// The official OpenAI client for Node on everything besides chat and Responses.

import OpenAI, { toFile } from "openai";
import { VERSION } from "openai/version";

import { check, equal, KEY, MODEL, ok, raised, run, URL } from "./harness.mjs";

const client = new OpenAI({ baseURL: `${URL}/v1`, apiKey: KEY, maxRetries: 0, timeout: 20_000 });
const sound = Buffer.concat([Buffer.from("RIFF\x00\r\n--no-boundary\r\n"), Buffer.alloc(4096, 0xff)]);
const file = (name) => toFile(sound, name);

async function collect(stream) {
  const events = [];
  for await (const event of await stream) events.push(event);
  return events;
}

check("a completion continues a text, whole and streamed", async () => {
  const asked = { model: MODEL, prompt: "hello", max_tokens: 50 };
  const answer = await client.completions.create(asked);
  equal(answer.choices[0].text, "You said: hello");
  const chunks = await collect(client.completions.create({ ...asked, stream: true }));
  equal(chunks.map((chunk) => chunk.choices[0].text).join(""), "You said: hello");
});

check("vectors, verdicts and pictures come", async () => {
  const vectors = await client.embeddings.create({ model: MODEL, input: ["hello", "hello"] });
  equal(vectors.data[0].embedding, vectors.data[1].embedding);
  equal(vectors.data[0].embedding.length, 4);
  const verdicts = await client.moderations.create({ model: MODEL, input: ["kill", "hello"] });
  equal(verdicts.results.map((verdict) => verdict.flagged), [true, false]);
  equal((await client.images.generate({ model: MODEL, prompt: "a cat", n: 2 })).data.length, 2);
  equal((await client.images.edit({ model: MODEL, prompt: "a dog", image: await file("a.png") })).data.length, 1);
});

check("speech is bytes", async () => {
  const answer = await client.audio.speech.create({ model: MODEL, voice: "alloy", input: "read this aloud" });
  const bytes = new Uint8Array(await answer.arrayBuffer());
  equal(bytes.length, 8 * "read this aloud".length);
  equal([...bytes.slice(0, 3)], [114, 115, 116]);
});

check("recordings become words", async () => {
  const said = await client.audio.transcriptions.create({ model: MODEL, file: await file("a.wav") });
  ok(said.text.startsWith(`I heard ${sound.length} bytes`), said.text);
  const events = await collect(
    client.audio.transcriptions.create({ model: MODEL, file: await file("a.wav"), stream: true }),
  );
  equal(events.at(-1).type, "transcript.text.done");
  equal(events.at(-1).text, said.text);
});

check("what is wrong is an error of the client's own", async () => {
  const error = await raised(() => client.moderations.create({ model: MODEL, input: [] }));
  ok(error instanceof OpenAI.BadRequestError, `${error}`);
  equal(error.param, "input");
});

await run(`openai for Node ${VERSION} on the other surfaces`);
