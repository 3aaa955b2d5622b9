//! What an answer on the OpenAI chat surface tells its client, read the way clients read it: chunks are
//! joined by choice and call index, and only what a client would look at is kept.
//!
//! Tests fill one from a recording of another dialect, by a reader of their own, and compare.

use serde_json::Value;

/// What the client is told.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Told {
    /// The answer's id.
    pub id: String,
    /// The model that answered.
    pub model: String,
    /// The first choice's text.
    pub text: String,
    /// Its readable reasoning.
    pub reasoning: String,
    /// The providers' proofs: signatures of thinking blocks, sealed blocks, signatures of Gemini's.
    pub proofs: Vec<String>,
    /// The tool calls, in order.
    pub calls: Vec<Call>,
    /// Why the answer ended.
    pub finish: Option<String>,
    /// The stop text that ended it.
    pub stop_sequence: Option<String>,
    /// How many citations there are.
    pub citations: usize,
    /// What it consumed; absent where the client was not told.
    pub usage: Option<Counts>,
    /// The error's message, where the answer is one.
    pub error: Option<String>,
}

/// A tool call.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Call {
    /// Its id.
    pub id: String,
    /// The function.
    pub name: String,
    /// The arguments, parsed.
    pub arguments: Value,
}

/// Usage in the inclusive convention.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// `prompt_tokens`.
    pub prompt: u64,
    /// `prompt_tokens_details.cached_tokens`.
    pub cached: u64,
    /// `prompt_tokens_details.cache_write_tokens`.
    pub cache_write: u64,
    /// `completion_tokens`.
    pub completion: u64,
    /// `completion_tokens_details.reasoning_tokens`.
    pub reasoning: u64,
    /// `total_tokens`.
    pub total: u64,
}

impl Told {
    /// Reads a whole answer. Panics if it is not one.
    pub fn by_whole(body: &[u8]) -> Self {
        let mut reader = Reader::default();
        let answer: Value = serde_json::from_slice(body).expect("an answer is JSON");
        assert!(answer.get("error").is_some() || answer["object"] == "chat.completion", "{answer}");
        reader.take(&answer, "message");
        reader.finish()
    }

    /// Reads a stream, which must end in the end mark or an error. Panics if it is not one.
    pub fn by_stream(body: &[u8]) -> Self {
        let text = std::str::from_utf8(body).expect("a stream is text");
        let mut reader = Reader::default();
        let mut ended = false;
        for data in text.lines().filter(|line| !line.is_empty()) {
            assert!(!ended, "something follows the end: {data}");
            let data = data.strip_prefix("data: ").expect("only data lines are sent");
            if data == "[DONE]" {
                ended = true;
                continue;
            }
            let chunk: Value = serde_json::from_str(data).expect("a chunk is JSON");
            ended = chunk.get("error").is_some();
            assert!(ended || chunk["object"] == "chat.completion.chunk", "{chunk}");
            reader.take(&chunk, "delta");
        }
        assert!(ended, "the stream has no end");
        reader.finish()
    }
}

#[derive(Default)]
struct Reader {
    told: Told,
    arguments: Vec<String>,
    /// The text of signed thinking blocks, which repeats the reasoning.
    signed: String,
}

fn text<'v>(value: &'v Value, key: &str) -> &'v str {
    value[key].as_str().unwrap_or_default()
}

fn list<'v>(value: &'v Value, key: &str) -> impl Iterator<Item = &'v Value> {
    value[key].as_array().into_iter().flatten()
}

impl Reader {
    fn take(&mut self, answer: &Value, message: &str) {
        let told = &mut self.told;
        if let Some(error) = answer["error"]["message"].as_str() {
            told.error = Some(error.to_owned());
            return;
        }
        text(answer, "id").clone_into(&mut told.id);
        text(answer, "model").clone_into(&mut told.model);
        if answer["usage"].is_object() {
            told.usage = Some(counts(&answer["usage"]));
        }
        for choice in list(answer, "choices").filter(|choice| choice["index"] == 0) {
            self.message(&choice[message]);
            let said = |key: &str| choice[key].as_str().map(str::to_owned);
            let told = &mut self.told;
            told.finish = said("finish_reason").or(told.finish.take());
            told.stop_sequence = said("stop_sequence").or(told.stop_sequence.take());
        }
    }

    fn message(&mut self, message: &Value) {
        let told = &mut self.told;
        told.text.push_str(text(message, "content"));
        told.reasoning.push_str(text(message, "reasoning_content"));
        told.citations += list(message, "citations").count();
        for block in list(message, "thinking_blocks") {
            self.signed.push_str(text(block, "thinking"));
            let proofs = [text(block, "signature"), text(block, "data")].map(str::to_owned);
            told.proofs.extend(proofs.into_iter().filter(|proof| !proof.is_empty()));
        }
        told.proofs.extend(google_proof(message));
        for (place, call) in list(message, "tool_calls").enumerate() {
            let at = call["index"].as_u64().map_or(place, |index| index as usize);
            if at == told.calls.len() {
                assert_eq!(call["type"], "function");
                told.calls.push(Call {
                    id: text(call, "id").to_owned(),
                    name: text(&call["function"], "name").to_owned(),
                    arguments: Value::Null,
                });
                self.arguments.push(String::new());
            }
            self.arguments[at].push_str(text(&call["function"], "arguments"));
            told.proofs.extend(google_proof(call));
        }
    }

    fn finish(self) -> Told {
        let Self { mut told, arguments, signed } = self;
        for (call, text) in told.calls.iter_mut().zip(arguments) {
            call.arguments = serde_json::from_str(&text).expect("arguments are JSON");
        }
        assert!(signed.is_empty() || signed == told.reasoning, "blocks and reasoning say different things");
        told
    }
}

fn google_proof(value: &Value) -> Option<String> {
    value["extra_content"]["google"]["thought_signature"].as_str().map(str::to_owned)
}

fn counts(usage: &Value) -> Counts {
    let count = |value: &Value| value.as_u64().expect("every count is there");
    let (input, output) = (&usage["prompt_tokens_details"], &usage["completion_tokens_details"]);
    Counts {
        prompt: count(&usage["prompt_tokens"]),
        cached: count(&input["cached_tokens"]),
        cache_write: count(&input["cache_write_tokens"]),
        completion: count(&usage["completion_tokens"]),
        reasoning: count(&output["reasoning_tokens"]),
        total: count(&usage["total_tokens"]),
    }
}
