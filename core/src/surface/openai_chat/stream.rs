//! Streams.
//!
//! ```text
//! role chunk ─▶ deltas ─▶ finish chunk ─▶ usage chunk (if asked for) ─▶ [DONE]
//!      └───────────┴──▶ error event (and no [DONE])
//! ```
//! The role chunk of an answer waits for its first event, so that nothing is sent for an upstream
//! that fails at once.

use super::{fault, render, words};
use crate::call::{Extras, Opaque, Part, Signature, UsageChunk};
use crate::dialect::Dialect;
use crate::fault::{Code, Fault, UpstreamClass, UpstreamFault};
use crate::reply::{Event, Level, Start, Stop};
use crate::surface::{Asked, Client, Render};
use crate::usage::Usage;
use bytes::{BufMut, BytesMut};
use serde_json::{Map, Value, json};

/// Renders a stream, event by event.
pub(super) struct Stream {
    asked: Asked,
    /// `{"id":…,"object":…,"created":…,"model":…` of every chunk; empty until known.
    head: String,
    choices: Vec<Choice>,
    /// Reply fields for the next chunk.
    extras: Extras,
    /// Whose words extra fields are in.
    origin: Dialect,
    /// The service tier, once it is known and told.
    tier: Option<String>,
    usage: Option<Box<Usage>>,
    ended: bool,
}

#[derive(Default)]
struct Choice {
    index: u32,
    /// Reasoning since the last proof, to be repeated with it.
    thought: String,
    /// How many characters of text so far.
    chars: usize,
    /// Calls without arguments so far.
    bare_calls: Vec<u32>,
    /// Calls and their arguments, where they have to come whole.
    whole_calls: Vec<(u32, Value, String)>,
    /// Choice fields for the next chunk.
    extras: Extras,
    /// Message fields for the next chunk.
    delta: Extras,
}

impl Stream {
    pub(super) fn new(asked: Asked) -> Self {
        let (head, choices, extras) = (String::new(), Vec::new(), Extras::new());
        let origin = Dialect::default();
        Self { asked, head, choices, extras, origin, tier: None, usage: None, ended: false }
    }

    fn set_head(&mut self, start: &Start) {
        let Start { id, model, created, origin } = start;
        self.origin = *origin;
        let id = Value::from(render::answer_id(id.as_deref(), &self.asked));
        let model = Value::from(model.as_deref().unwrap_or(&self.asked.model));
        let created = created.unwrap_or(self.asked.now_secs);
        self.head = format!(
            r#"{{"id":{id},"object":"chat.completion.chunk","created":{created},"model":{model},"choices":["#
        );
    }

    /// The place of an answer in `choices`; its role chunk is written when it is new.
    fn open(&mut self, index: u32, out: &mut BytesMut) -> usize {
        if let Some(at) = self.choices.iter().position(|choice| choice.index == index) {
            return at;
        }
        self.choices.push(Choice { index, ..Choice::default() });
        let at = self.choices.len() - 1;
        self.chunk(at, r#"{"role":"assistant","content":""}"#, Tail::default(), out);
        at
    }

    fn delta(&mut self, index: u32, field: &str, value: &Value, out: &mut BytesMut) {
        let at = self.open(index, out);
        let mut delta = format!("{{\"{field}\":{value}");
        if let Some(choice) = self.choices.get_mut(at) {
            for (key, value) in std::mem::take(&mut choice.delta) {
                if key != field {
                    delta.push_str(&format!(",{}:{value}", Value::from(key)));
                }
            }
        }
        delta.push('}');
        self.chunk(at, &delta, Tail::default(), out);
    }

    fn chunk(&mut self, at: usize, delta: &str, tail: Tail<'_>, out: &mut BytesMut) {
        if self.head.is_empty() {
            self.set_head(&Start::default());
        }
        let Some(choice) = self.choices.get_mut(at) else { return };
        let Tail { logprobs, finish } = tail;
        let logprobs = logprobs.unwrap_or(&Value::Null);
        let finish = finish.map_or_else(|| "null".to_owned(), |word| format!("\"{word}\""));
        out.put_slice(b"data: ");
        out.put_slice(self.head.as_bytes());
        let index = choice.index;
        out.put_slice(
            format!(r#"{{"index":{index},"delta":{delta},"logprobs":{logprobs},"finish_reason":{finish}"#)
                .as_bytes(),
        );
        put_fields(&choice.extras, &["index", "delta", "logprobs", "finish_reason"], out);
        choice.extras.clear();
        out.put_slice(b"}]");
        if self.asked.usage == UsageChunk::Wanted {
            out.put_slice(br#","usage":null"#);
        }
        put_fields(&self.extras, &["id", "object", "created", "model", "choices", "usage"], out);
        self.extras.clear();
        out.put_slice(b"}\n\n");
    }

    fn text(&mut self, choice: u32, text: &str, out: &mut BytesMut) {
        let at = self.open(choice, out);
        self.choices.get_mut(at).into_iter().for_each(|choice| choice.chars += text.chars().count());
        self.delta(choice, "content", &text.into(), out);
    }

    fn cite(&mut self, choice: u32, citation: &Opaque, chars: usize, out: &mut BytesMut) {
        let at = self.open(choice, out);
        let end = self.choices.get(at).map_or(0, |choice| choice.chars);
        let known = words::annotations(citation, end.saturating_sub(chars)..end);
        if !known.is_empty() {
            let fields = Map::from_iter([("annotations".to_owned(), Value::Array(known))]);
            self.choices.get_mut(at).into_iter().for_each(|choice| choice.delta.extend(fields.clone()));
        }
        let (field, list) = words::citations(citation);
        self.delta(choice, field, &Value::Array(list), out);
    }

    fn count(&mut self, usage: &Usage) {
        let tier = words::service_tier(usage, self.origin).map(str::to_owned);
        if tier != self.tier {
            self.extras.extend(tier.as_deref().map(|tier| ("service_tier".to_owned(), tier.into())));
            self.tier = tier;
        }
        self.usage = Some(Box::new(usage.clone()));
    }

    fn signature(&mut self, choice: u32, signature: &Signature, out: &mut BytesMut) {
        let at = self.open(choice, out);
        let thought = self.choices.get_mut(at).map(|choice| std::mem::take(&mut choice.thought));
        match signature.origin {
            Dialect::Gemini => self.delta(choice, "extra_content", &words::extra_content(signature), out),
            Dialect::Anthropic
            | Dialect::OpenAi
            | Dialect::OpenAiResponses
            | Dialect::Bedrock
            | Dialect::Cohere
            | Dialect::Ollama => {
                let block = words::thinking_block(&thought.unwrap_or_default(), Some(signature));
                self.delta(choice, "thinking_blocks", &json!([block]), out);
            }
        }
    }

    fn tool_start(&mut self, start: ToolStart<'_>, out: &mut BytesMut) {
        let ToolStart { choice, call, id, name, signature } = start;
        let at = self.open(choice, out);
        if let Some(choice) = self.choices.get_mut(at) {
            choice.bare_calls.push(call);
        }
        let mut value = json!({
            "index": call, "id": id, "type": "function", "function": {"name": name, "arguments": ""},
        });
        if let (Some(signature), Some(fields)) = (signature, value.as_object_mut()) {
            fields.insert("extra_content".to_owned(), words::extra_content(signature));
        }
        if self.asked.client == Client::Mistral {
            let choice = self.choices.get_mut(at);
            choice.into_iter().for_each(|choice| {
                choice.whole_calls.push((call, std::mem::take(&mut value), String::new()))
            });
            return;
        }
        self.delta(choice, "tool_calls", &json!([value]), out);
    }

    fn arguments(&mut self, choice: u32, call: u32, text: &str, out: &mut BytesMut) {
        if text.is_empty() {
            return;
        }
        let at = self.open(choice, out);
        if let Some(choice) = self.choices.get_mut(at) {
            choice.bare_calls.retain(|bare| *bare != call);
            if let Some((_, _, arguments)) = choice.whole_calls.iter_mut().find(|(at, ..)| *at == call) {
                arguments.push_str(text);
                return;
            }
        }
        let value = json!([{"index": call, "function": {"arguments": text}}]);
        self.delta(choice, "tool_calls", &value, out);
    }

    fn part(&mut self, choice: u32, part: &Part, out: &mut BytesMut) {
        match part {
            Part::Image(image) => self.delta(choice, "images", &json!([words::image(image)]), out),
            Part::Audio(audio) => self.delta(choice, "audio", &words::audio(audio), out),
            Part::Opaque(block) => {
                let (field, values) = words::opaque(block);
                self.delta(choice, field, &Value::Array(values), out);
            }
            Part::Text(text) => self.delta(choice, "content", &text.text.as_str().into(), out),
            Part::Thinking(thinking) => {
                self.delta(choice, "reasoning_content", &thinking.text.as_str().into(), out);
            }
            Part::Refusal(text) => self.delta(choice, "refusal", &text.as_str().into(), out),
            // These come as events of their own, or never.
            Part::ToolCall(_) | Part::Video(_) | Part::Document(_) | Part::ToolResult(_) => {}
        }
    }

    fn stop(&mut self, index: u32, stop: &Stop, sequence: Option<&str>, out: &mut BytesMut) {
        let at = self.open(index, out);
        let bare = self.choices.get_mut(at).map(|choice| std::mem::take(&mut choice.bare_calls));
        for call in bare.unwrap_or_default() {
            self.arguments(index, call, "{}", out);
        }
        let whole = self.choices.get_mut(at).map(|choice| std::mem::take(&mut choice.whole_calls));
        for (_, mut call, arguments) in whole.unwrap_or_default() {
            if let Some(place) = call.pointer_mut("/function/arguments") {
                *place = arguments.into();
            }
            self.delta(index, "tool_calls", &json!([call]), out);
        }
        let Some(choice) = self.choices.get_mut(at) else { return };
        if let Some(native) = words::native_finish_reason(stop) {
            choice.extras.entry("native_finish_reason").or_insert_with(|| native.into());
        }
        choice.extras.extend(sequence.map(|text| ("stop_sequence".to_owned(), text.into())));
        let delta = Value::Object(std::mem::take(&mut choice.delta)).to_string();
        self.chunk(at, &delta, Tail { finish: Some(words::finish_reason(stop)), logprobs: None }, out);
    }

    fn end(&mut self, out: &mut BytesMut) {
        self.ended = true;
        if self.head.is_empty() {
            self.set_head(&Start::default());
        }
        if let (UsageChunk::Wanted, Some(usage)) = (self.asked.usage, &self.usage) {
            out.put_slice(b"data: ");
            out.put_slice(self.head.as_bytes());
            out.put_slice(format!(r#"],"usage":{}"#, words::usage(usage, self.origin)).as_bytes());
            put_fields(&self.extras, &["id", "object", "created", "model", "choices", "usage"], out);
            out.put_slice(b"}\n\n");
        }
        out.put_slice(b"data: [DONE]\n\n");
    }

    fn keep(&mut self, level: Level, fields: &Extras, out: &mut BytesMut) {
        let fields = words::shown(fields.clone(), self.origin);
        match level {
            Level::Reply => words::join(&mut self.extras, fields),
            Level::Choice(index) => {
                let at = self.open(index, out);
                self.choices
                    .get_mut(at)
                    .into_iter()
                    .for_each(|choice| words::join(&mut choice.extras, fields.clone()));
            }
            Level::Message(index) => {
                let at = self.open(index, out);
                let Some(choice) = self.choices.get_mut(at) else { return };
                // Pieces of one list must not replace each other.
                if fields.keys().any(|key| choice.delta.contains_key(key)) {
                    let delta = Value::Object(std::mem::take(&mut choice.delta)).to_string();
                    self.chunk(at, &delta, Tail::default(), out);
                }
                self.choices.get_mut(at).into_iter().for_each(|choice| choice.delta.extend(fields.clone()));
            }
        }
    }
}

/// What a chunk has besides its delta.
#[derive(Default)]
struct Tail<'a> {
    logprobs: Option<&'a Value>,
    finish: Option<&'static str>,
}

struct ToolStart<'a> {
    choice: u32,
    call: u32,
    id: &'a str,
    name: &'a str,
    signature: Option<&'a Signature>,
}

fn put_fields(fields: &Map<String, Value>, taken: &[&str], out: &mut BytesMut) {
    for (key, value) in fields.iter().filter(|(key, _)| !taken.contains(&key.as_str())) {
        out.put_slice(format!(",{}:{value}", Value::from(key.as_str())).as_bytes());
    }
}

/// What the client is told of an upstream that gave up.
fn told(upstream: &UpstreamFault) -> Fault {
    let code = match upstream.class {
        UpstreamClass::BadRequest
        | UpstreamClass::ContextLength
        | UpstreamClass::ContentFilter
        | UpstreamClass::TooLarge => Code::UpstreamRefused,
        UpstreamClass::RateLimited => Code::UpstreamLimited,
        UpstreamClass::Timeout => Code::UpstreamTimeout,
        UpstreamClass::Auth
        | UpstreamClass::Billing
        | UpstreamClass::Forbidden
        | UpstreamClass::NotFound
        | UpstreamClass::Overloaded
        | UpstreamClass::Server
        | UpstreamClass::Connection
        | UpstreamClass::Garbled => Code::UpstreamError,
    };
    let mut fault = Fault::new(code, upstream.message.clone());
    fault.upstream = Some(Box::new(upstream.clone()));
    fault
}

impl Render for Stream {
    fn on(&mut self, event: &Event, out: &mut BytesMut) {
        if self.ended {
            return;
        }
        match event {
            Event::Start(start) => self.set_head(start),
            Event::Text { choice, text } => self.text(*choice, text, out),
            Event::Thinking { choice, text } => {
                let at = self.open(*choice, out);
                self.choices.get_mut(at).into_iter().for_each(|choice| choice.thought.push_str(text));
                self.delta(*choice, "reasoning_content", &text.as_str().into(), out);
            }
            Event::TextSignature { choice, signature } => {
                self.delta(*choice, "extra_content", &words::extra_content(signature), out);
            }
            // What another server of this dialect proves stands among its extras as it came.
            Event::ThinkingSignature { signature: proof, .. }
            | Event::SealedThinking { sealed: proof, .. }
                if proof.origin == Dialect::OpenAi => {}
            Event::ThinkingSignature { choice, signature } => self.signature(*choice, signature, out),
            Event::SealedThinking { choice, sealed } => {
                let (field, block) = words::sealed_block(sealed);
                self.delta(*choice, field, &json!([block]), out);
            }
            Event::Citation { choice, citation, chars } => self.cite(*choice, citation, *chars, out),
            Event::Refusal { choice, text } => self.delta(*choice, "refusal", &text.as_str().into(), out),
            Event::ToolStart { choice, call, id, name, signature } => {
                let start =
                    ToolStart { choice: *choice, call: *call, id, name, signature: signature.as_ref() };
                self.tool_start(start, out);
            }
            Event::ToolArguments { choice, call, text } => self.arguments(*choice, *call, text, out),
            Event::Part { choice, part } => self.part(*choice, part, out),
            Event::LogProbs { choice, logprobs } => {
                let at = self.open(*choice, out);
                self.chunk(at, "{}", Tail { logprobs: Some(logprobs), finish: None }, out);
            }
            Event::Extras { level, fields } => self.keep(*level, fields, out),
            Event::Stop { choice, stop, sequence } => self.stop(*choice, stop, sequence.as_deref(), out),
            Event::Usage(usage) => self.count(usage),
            Event::Fault(upstream) => {
                self.ended = true;
                out.put_slice(&fault::event(&told(upstream)));
            }
            Event::End => self.end(out),
        }
    }
}
