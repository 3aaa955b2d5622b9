//! Streams: each event a chunk in the form of a whole answer.
//!
//! ```text
//!        parts ─▶ … ─▶ finishReason and usage ─▶ (`]`)
//!          └──────┴──▶ error (and `]`)
//! ```
//! 1. Tool calls are never told in pieces: a call waits for what comes after it.
//! 2. The last chunk of an answer waits for the end, since usage is told in it and comes later.
//! 3. An array is valid JSON wherever its stream ends.

use super::frame::Frames;
use super::grounding::Grounding;
use super::{fault, words};
use crate::call::{Extras, Opaque, Part, Signature};
use crate::dialect::Dialect;
use crate::reply::{Event, Level, Start, Stop};
use crate::surface::{Asked, Render};
use crate::usage::Usage;
use bytes::BytesMut;
use serde_json::{Map, Value, json};

/// Renders a stream, event by event.
pub(super) struct Stream {
    asked: Asked,
    frames: Frames,
    id: Option<String>,
    model: Option<String>,
    origin: Dialect,
    choices: Vec<Choice>,
    /// Reply fields for the last chunk.
    extras: Extras,
    usage: Option<Box<Usage>>,
    ended: bool,
}

#[derive(Default)]
struct Choice {
    index: u32,
    calls: Vec<Call>,
    grounding: Grounding,
    /// Candidate fields for the last chunk.
    extras: Extras,
    stop: Option<Stop>,
    sequence: Option<String>,
}

/// A call that is being written.
struct Call {
    number: u32,
    id: String,
    name: String,
    arguments: String,
    signature: Option<Signature>,
}

impl Stream {
    pub(super) fn new(asked: Asked) -> Self {
        Self {
            frames: Frames::new(asked.framing),
            asked,
            id: None,
            model: None,
            origin: Dialect::default(),
            choices: Vec::new(),
            extras: Extras::new(),
            usage: None,
            ended: false,
        }
    }

    fn set_head(&mut self, start: &Start) {
        let Start { id, model, created: _, origin } = start;
        self.origin = *origin;
        self.id.clone_from(id);
        self.model.clone_from(model);
    }

    fn choice(&mut self, index: u32) -> &mut Choice {
        let at = match self.choices.iter().position(|choice| choice.index == index) {
            Some(at) => at,
            None => {
                self.choices.push(Choice { index, ..Choice::default() });
                self.choices.len() - 1
            }
        };
        #[expect(clippy::indexing_slicing, reason = "it was found or pushed just above")]
        &mut self.choices[at]
    }

    fn chunk(&mut self, candidate: Value, tail: Map<String, Value>, out: &mut BytesMut) {
        let mut chunk = Map::new();
        chunk.insert("candidates".to_owned(), json!([candidate]));
        chunk.extend(tail);
        chunk.insert("modelVersion".to_owned(), self.model.as_deref().unwrap_or(&self.asked.model).into());
        chunk.insert("responseId".to_owned(), self.id.as_deref().unwrap_or(&self.asked.request_id).into());
        self.frames.put(&Value::Object(chunk), out);
    }

    fn parts(&mut self, index: u32, parts: Vec<Value>, out: &mut BytesMut) {
        if parts.is_empty() {
            return;
        }
        let candidate = json!({"content": {"parts": parts, "role": "model"}, "index": index});
        self.chunk(candidate, Map::new(), out);
    }

    /// A part that is no tool call: the calls before it are complete.
    fn part(&mut self, index: u32, part: Value, out: &mut BytesMut) {
        self.tell_calls(index, out);
        self.parts(index, vec![part], out);
    }

    fn tell_calls(&mut self, index: u32, out: &mut BytesMut) {
        let calls = std::mem::take(&mut self.choice(index).calls).into_iter().map(|call| {
            let Call { number: _, id, name, arguments, signature } = call;
            words::call(&id, &name, &arguments, signature.as_ref())
        });
        let calls = calls.collect();
        self.parts(index, calls, out);
    }

    fn add_arguments(&mut self, index: u32, number: u32, text: &str) {
        let calls = &mut self.choice(index).calls;
        if let Some(call) = calls.iter_mut().find(|call| call.number == number) {
            call.arguments.push_str(text);
        }
    }

    fn text(&mut self, index: u32, text: &str, out: &mut BytesMut) {
        self.choice(index).grounding.say(text);
        self.part(index, words::text(text, None), out);
    }

    fn cite(&mut self, index: u32, citation: &Opaque, chars: usize) {
        self.choice(index).grounding.cite(citation, chars);
    }

    fn keep(&mut self, level: Level, fields: &Extras) {
        let fields = words::shown(fields, self.origin);
        match level {
            Level::Reply => renew(&mut self.extras, fields),
            Level::Choice(index) | Level::Message(index) => renew(&mut self.choice(index).extras, fields),
        }
    }

    fn logprobs(&mut self, index: u32, logprobs: &Value, out: &mut BytesMut) {
        if let Some(result) = words::logprobs(logprobs) {
            self.chunk(json!({"index": index, "logprobsResult": result}), Map::new(), out);
        }
    }

    fn end(&mut self, out: &mut BytesMut) {
        self.ended = true;
        let mut indexes: Vec<u32> = self.choices.iter().map(|choice| choice.index).collect();
        indexes.iter().for_each(|index| self.tell_calls(*index, out));
        if indexes.is_empty() {
            indexes.push(0);
        }
        let last = indexes.len() - 1;
        for (at, index) in indexes.into_iter().enumerate() {
            let tail = if at == last { self.tail() } else { Map::new() };
            let candidate = last_of(self.choice(index));
            self.chunk(candidate, tail, out);
        }
        self.frames.close(out);
    }

    /// What the last chunk of all has.
    fn tail(&mut self) -> Map<String, Value> {
        let mut tail = Map::new();
        if let Some(usage) = &self.usage {
            tail.insert("usageMetadata".to_owned(), words::usage(usage, self.origin));
        }
        words::merge(&mut tail, std::mem::take(&mut self.extras));
        tail
    }
}

/// The last chunk of an answer.
fn last_of(choice: &mut Choice) -> Value {
    let Choice { index, calls: _, grounding, extras, stop, sequence } = choice;
    let mut fields = Map::new();
    let mut put = |key: &str, value: Value| fields.insert(key.to_owned(), value);
    put("content", json!({"parts": [{"text": ""}], "role": "model"}));
    if let Some(stop) = stop {
        put("finishReason", words::finish_reason(stop).into());
        if let Some(message) = words::finish_message(stop) {
            put("finishMessage", message.into());
        }
    }
    put("index", (*index).into());
    if let Some(metadata) = grounding.metadata() {
        put("groundingMetadata", metadata);
    }
    if let Some(others) = grounding.others() {
        put("providerFields", others);
    }
    words::merge(&mut fields, std::mem::take(extras));
    if let Some(sequence) = sequence {
        let own = json!({"providerFields": {"stop_sequence": sequence}});
        words::merge(&mut fields, own.as_object().cloned().unwrap_or_default());
    }
    Value::Object(fields)
}

/// Later fields replace earlier ones of the same name.
fn renew(into: &mut Extras, more: Extras) {
    for (key, value) in more {
        match (into.get_mut(&key), value) {
            (Some(Value::Object(inner)), Value::Object(more)) => renew(inner, more),
            (_, value) => {
                into.insert(key, value);
            }
        }
    }
}

impl Render for Stream {
    fn on(&mut self, event: &Event, out: &mut BytesMut) {
        if self.ended {
            return;
        }
        match event {
            Event::Start(start) => self.set_head(start),
            Event::Text { choice, text } | Event::Refusal { choice, text } => {
                if !text.is_empty() {
                    self.text(*choice, text, out);
                }
            }
            Event::TextSignature { choice, signature } => {
                self.part(*choice, words::text("", Some(signature)), out);
            }
            Event::Thinking { choice, text } => self.part(*choice, words::thought(text, None), out),
            Event::ThinkingSignature { choice, signature } => {
                self.part(*choice, words::thought("", Some(signature)), out);
            }
            Event::SealedThinking { choice, sealed } => self.part(*choice, words::sealed(sealed), out),
            Event::Citation { choice, citation, chars } => self.cite(*choice, citation, *chars),
            Event::ToolStart { choice, call, id, name, signature } => {
                let (id, name, signature) = (id.clone(), name.clone(), signature.clone());
                let call = Call { number: *call, id, name, arguments: String::new(), signature };
                self.choice(*choice).calls.push(call);
            }
            Event::ToolArguments { choice, call, text } => self.add_arguments(*choice, *call, text),
            Event::Part { choice, part } => self.whole_part(*choice, part, out),
            Event::LogProbs { choice, logprobs } => self.logprobs(*choice, logprobs, out),
            Event::Extras { level, fields } => self.keep(*level, fields),
            Event::Stop { choice, stop, sequence } => {
                self.tell_calls(*choice, out);
                let choice = self.choice(*choice);
                choice.stop = Some(stop.clone());
                choice.sequence.clone_from(sequence);
            }
            Event::Usage(usage) => self.usage = Some(usage.clone()),
            Event::Fault(upstream) => {
                self.ended = true;
                self.frames.put(&fault::of_upstream(upstream), out);
                self.frames.close(out);
            }
            Event::End => self.end(out),
        }
    }
}

impl Stream {
    fn whole_part(&mut self, index: u32, part: &Part, out: &mut BytesMut) {
        for part in words::parts(part) {
            self.part(index, part, out);
        }
    }
}
