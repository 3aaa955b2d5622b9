//! Workers AI by its binding: OpenAI's words into the binding's, and back.
//!
//! ```text
//!   POST https://NAME.binding/v1/chat/completions {model, messages, …}
//!        ─▶ env.NAME.run(model, {messages, …}) ─▶ {response, tool_calls, usage}    ─▶ chat.completion
//!                                              └▶ data: {"response": "…"} … [DONE] ─▶ chat.completion.chunk
//! ```
//! Models that answer in OpenAI's form already are passed on as they are. What calls the
//! binding is the platform's.

use bytes::Bytes;
use serde_json::{Map, Value, json};

/// What the addresses of bindings end in: no such host can be.
const SUFFIX: &str = ".binding";

/// The binding that an address stands for, in capitals as bindings are.
pub fn binding(host: &str) -> Option<String> {
    let name = host.strip_suffix(SUFFIX)?;
    let fits = !name.is_empty()
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-');
    fits.then(|| name.replace('-', "_").to_ascii_uppercase())
}

/// A call as the binding takes it.
#[derive(Clone, Debug, PartialEq)]
pub struct Question {
    /// The model's name there.
    pub model: String,
    /// All else, as JSON.
    pub inputs: String,
}

impl Question {
    /// Of a chat completion's body.
    pub fn of(body: &[u8]) -> Result<Self, String> {
        let mut call: Map<String, Value> =
            serde_json::from_slice(body).map_err(|error| format!("the call is no JSON object: {error}"))?;
        let model = call.shift_remove("model").and_then(|model| model.as_str().map(str::to_owned));
        call.shift_remove("stream_options");
        if let Some(cap) = call.shift_remove("max_completion_tokens") {
            call.entry("max_tokens").or_insert(cap);
        }
        let model = model.ok_or("the call names no model")?;
        Ok(Self { model, inputs: Value::from(call).to_string() })
    }
}

/// The binding's whole answer as a chat completion of this Unix time.
pub fn completion(answer: &[u8], model: &str, seconds: u64) -> Bytes {
    let Ok(answer) = serde_json::from_slice::<Map<String, Value>>(answer) else {
        return Bytes::copy_from_slice(answer);
    };
    if answer.contains_key("choices") {
        return Bytes::from(Value::from(answer).to_string());
    }
    let calls = answer.get("tool_calls").and_then(Value::as_array).filter(|calls| !calls.is_empty());
    let calls = calls.map(|calls| calls.iter().enumerate().map(tool_call).collect::<Vec<_>>());
    let reason = if calls.is_some() { "tool_calls" } else { "stop" };
    let mut message = json!({ "role": "assistant", "content": text(&answer) });
    if let (Some(calls), Some(message)) = (calls, message.as_object_mut()) {
        message.insert("tool_calls".to_owned(), Value::from(calls));
    }
    let whole = json!({
        "id": "chatcmpl-workers-ai",
        "object": "chat.completion",
        "created": seconds,
        "model": model,
        "choices": [{ "index": 0, "message": message, "finish_reason": reason }],
        "usage": answer.get("usage").cloned().unwrap_or_default(),
    });
    Bytes::from(whole.to_string())
}

/// Some models answer with an object where one was asked for.
fn text(answer: &Map<String, Value>) -> Value {
    match answer.get("response") {
        Some(Value::String(text)) => Value::from(text.as_str()),
        None | Some(Value::Null) => Value::Null,
        Some(other) => other.to_string().into(),
    }
}

fn tool_call((index, call): (usize, &Value)) -> Value {
    let field = |name: &str| call.get(name).cloned().unwrap_or_default();
    let arguments = match field("arguments") {
        Value::String(text) => text,
        other @ (Value::Null | Value::Bool(_) | Value::Number(_) | Value::Array(_) | Value::Object(_)) => {
            other.to_string()
        }
    };
    json!({
        "index": index,
        "id": format!("call_{index}"),
        "type": "function",
        "function": { "name": field("name"), "arguments": arguments },
    })
}

/// The binding's stream as chunks of a chat completion.
#[derive(Debug)]
pub struct Chunks {
    model: String,
    seconds: u64,
    /// What has come of a line.
    line: Vec<u8>,
    begun: bool,
    calls: usize,
}

impl Chunks {
    /// For a model's stream that began at this Unix time.
    pub fn new(model: &str, seconds: u64) -> Self {
        Self { model: model.to_owned(), seconds, line: Vec::new(), begun: false, calls: 0 }
    }

    /// What a piece of the stream becomes; nothing while no line is whole.
    pub fn push(&mut self, piece: &[u8]) -> Bytes {
        let mut out = Vec::new();
        for byte in piece {
            if *byte == b'\n' {
                let line = std::mem::take(&mut self.line);
                self.frame(line.strip_suffix(b"\r").unwrap_or(&line), &mut out);
            } else {
                self.line.push(*byte);
            }
        }
        Bytes::from(out)
    }

    fn frame(&mut self, line: &[u8], out: &mut Vec<u8>) {
        let Some(told) = line.strip_prefix(b"data:") else { return };
        let told = told.trim_ascii();
        if told == b"[DONE]" {
            self.say(json!([{ "index": 0, "delta": {}, "finish_reason": self.reason() }]), None, out);
            out.extend_from_slice(b"data: [DONE]\n\n");
            return;
        }
        let Ok(told) = serde_json::from_slice::<Map<String, Value>>(told) else { return };
        if told.contains_key("choices") || told.contains_key("error") {
            out.extend_from_slice(format!("data: {}\n\n", Value::from(told)).as_bytes());
            return;
        }
        let mut delta = json!({ "content": text(&told) });
        if let Some(delta) = delta.as_object_mut() {
            if !std::mem::replace(&mut self.begun, true) {
                delta.insert("role".to_owned(), "assistant".into());
            }
            if let Some(calls) =
                told.get("tool_calls").and_then(Value::as_array).filter(|calls| !calls.is_empty())
            {
                let calls: Vec<Value> = (self.calls..).zip(calls).map(tool_call).collect();
                self.calls += calls.len();
                delta.insert("tool_calls".to_owned(), Value::from(calls));
            }
        }
        self.say(json!([{ "index": 0, "delta": delta, "finish_reason": null }]), told.get("usage"), out);
    }

    fn reason(&self) -> &'static str {
        if self.calls > 0 { "tool_calls" } else { "stop" }
    }

    fn say(&self, choices: Value, usage: Option<&Value>, out: &mut Vec<u8>) {
        let chunk = json!({
            "id": "chatcmpl-workers-ai",
            "object": "chat.completion.chunk",
            "created": self.seconds,
            "model": self.model,
            "choices": choices,
            "usage": usage,
        });
        out.extend_from_slice(format!("data: {chunk}\n\n").as_bytes());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn json(bytes: &[u8]) -> Value {
        serde_json::from_slice(bytes).unwrap()
    }

    #[test]
    fn an_address_of_a_binding_is_told_from_others() {
        assert_eq!(binding("ai.binding").as_deref(), Some("AI"));
        assert_eq!(binding("my-ai.binding").as_deref(), Some("MY_AI"));
        for other in ["api.openai.com", ".binding", "a.b.binding", "binding"] {
            assert_eq!(binding(other), None, "{other}");
        }
    }

    #[test]
    fn a_call_becomes_the_models_name_and_its_inputs() {
        let question = Question::of(
            br#"{"model":"@cf/meta/llama","stream":true,"stream_options":{"include_usage":true},"max_completion_tokens":9,"messages":[{"role":"user","content":"hi"}],"temperature":0.70}"#,
        )
        .unwrap();
        assert_eq!(question.model, "@cf/meta/llama");
        assert_eq!(
            question.inputs,
            r#"{"stream":true,"messages":[{"role":"user","content":"hi"}],"temperature":0.70,"max_tokens":9}"#
        );
        assert!(Question::of(b"[]").is_err() && Question::of(b"{}").is_err());
    }

    #[test]
    fn a_whole_answer_becomes_a_completion() {
        let answer =
            br#"{"response":"hello","usage":{"prompt_tokens":3,"completion_tokens":1,"total_tokens":4}}"#;
        let whole = json(&completion(answer, "m", 7));
        assert_eq!(whole["choices"][0]["message"]["content"], "hello");
        assert_eq!(
            (&whole["choices"][0]["finish_reason"], &whole["usage"]["prompt_tokens"]),
            (&"stop".into(), &3.into())
        );
        let called = br#"{"response":null,"tool_calls":[{"name":"f","arguments":{"a":1}}]}"#;
        let whole = json(&completion(called, "m", 7));
        assert_eq!(whole["choices"][0]["finish_reason"], "tool_calls");
        assert_eq!(whole["choices"][0]["message"]["tool_calls"][0]["function"]["arguments"], r#"{"a":1}"#);
    }

    #[test]
    fn an_answer_in_openais_form_is_passed_on() {
        let answer = br#"{"id":"x","choices":[]}"#;
        assert_eq!(completion(answer, "m", 7), &answer[..]);
    }

    #[test]
    fn a_stream_becomes_chunks_wherever_it_is_split() {
        let stream = b"data: {\"response\":\"Hel\"}\n\ndata: {\"response\":\"lo\",\"usage\":{\"prompt_tokens\":3,\"completion_tokens\":2}}\r\n\ndata: [DONE]\n\n";
        let whole = Chunks::new("m", 7).push(stream);
        for place in 0..stream.len() {
            let mut chunks = Chunks::new("m", 7);
            let parts = [chunks.push(&stream[..place]), chunks.push(&stream[place..])];
            assert_eq!(parts.concat(), whole);
        }
        let frames: Vec<&str> = std::str::from_utf8(&whole).unwrap().split("\n\n").collect();
        assert_eq!(frames.len(), 5, "{frames:?}");
        let told = |frame: &str| json(frame.strip_prefix("data: ").unwrap().as_bytes());
        assert_eq!(told(frames[0])["choices"][0]["delta"], json!({"content": "Hel", "role": "assistant"}));
        assert_eq!(told(frames[1])["usage"]["completion_tokens"], 2);
        assert_eq!(told(frames[2])["choices"][0]["finish_reason"], "stop");
        assert_eq!(frames[3], "data: [DONE]");
    }

    #[test]
    fn a_stream_that_breaks_has_no_end_of_ours() {
        let cut = Chunks::new("m", 7).push(b"data: {\"response\":\"Hel\"}\n\ndata: {\"resp");
        assert!(!String::from_utf8_lossy(&cut).contains("DONE"));
    }
}
