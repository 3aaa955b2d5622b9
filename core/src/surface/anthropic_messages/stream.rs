//! Streams.
//!
//! ```text
//! message_start ─▶ [ block_start ─▶ ping (once) ─▶ block_delta* ─▶ block_stop ]* ─▶ message_delta ─▶ message_stop
//!      └─────────────────────────┴──▶ error (and no message_stop)
//! ```
//!
//! 1. Nothing is sent before there is something to say, so that usage which comes first is told first
//!    and nothing is sent for an upstream that fails at once.
//! 2. One block is open at a time, in the order in which blocks began. What belongs to a later one
//!    waits in the queue: upstreams of other dialects write several tool calls at once.
//! 3. A block is closed when nothing more can come for it: text and thinking once something else has
//!    begun, a tool call once its input is a complete object and something else has begun, and all at
//!    the end.
//! 4. `message_delta` waits for the end, since usage may come after the reason to stop.

mod queue;

use super::{fault, words};
use crate::call::{Extras, Opaque, Part, Signature, ids};
use crate::dialect::Dialect;
use crate::fault::{Code, Fault, UpstreamClass, UpstreamFault};
use crate::reply::{Event, Start, Stop};
use crate::surface::proof::{self, Of, UNSIGNED};
use crate::surface::{Asked, Render, fields};
use crate::usage::Usage;
use bytes::BytesMut;
use queue::{Block, Queue};
use serde_json::{Map, Value, json};

/// Renders a stream, event by event.
pub(super) struct Stream {
    asked: Asked,
    start: Start,
    progress: Progress,
    queue: Queue,
    usage: Usage,
    refusal: String,
    stop: Option<Stopped>,
    /// Fields for `provider_fields`, and `stop_details`.
    extras: Extras,
    /// Blocks of another dialect that have no place among the content.
    others: Vec<Value>,
}

/// Why the answer ended.
struct Stopped {
    stop: Stop,
    sequence: Option<String>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Progress {
    Before,
    Running,
    Over,
}

impl Stream {
    pub(super) fn new(asked: Asked) -> Self {
        Self {
            asked,
            start: Start::default(),
            progress: Progress::Before,
            queue: Queue::default(),
            usage: Usage::default(),
            refusal: String::new(),
            stop: None,
            extras: Extras::new(),
            others: Vec::new(),
        }
    }

    fn begin(&mut self, out: &mut BytesMut) {
        if self.progress != Progress::Before {
            return;
        }
        self.progress = Progress::Running;
        let Start { id, model, created: _, origin } = &self.start;
        let message = json!({
            "id": words::message_id(id.as_deref(), &self.asked),
            "type": "message",
            "role": "assistant",
            "model": model.as_deref().unwrap_or(&self.asked.model),
            "content": [],
            "stop_reason": null,
            "stop_sequence": null,
            "stop_details": null,
            "usage": words::usage(&self.usage, *origin),
        });
        words::frame("message_start", &json!({"type": "message_start", "message": message}), out);
    }

    fn text(&mut self, text: &str, out: &mut BytesMut) {
        if text.is_empty() {
            return;
        }
        self.begin(out);
        self.queue.text(text);
        self.queue.flush(out);
    }

    fn cite(&mut self, citation: &Opaque, out: &mut BytesMut) {
        fields::gather(&mut self.extras, "citations", words::other_citations(citation));
        let citations = words::citations(citation);
        if citations.is_empty() {
            return;
        }
        self.begin(out);
        self.queue.cite(citations);
        self.queue.flush(out);
    }

    fn think(&mut self, text: &str, out: &mut BytesMut) {
        if text.is_empty() {
            return;
        }
        self.begin(out);
        self.queue.think(text);
        self.queue.flush(out);
    }

    fn prove(&mut self, signature: &Signature, of: Of, out: &mut BytesMut) {
        self.begin(out);
        self.queue.prove(proof::write_to(Dialect::Anthropic, signature, of), of);
        self.queue.flush(out);
    }

    fn whole(&mut self, block: Value, out: &mut BytesMut) {
        self.begin(out);
        self.queue.push(Block::whole(block));
        self.queue.flush(out);
    }

    fn part(&mut self, part: &Part, out: &mut BytesMut) {
        self.others.extend(words::other_block(part).cloned());
        if let Some(block) = words::whole_block(part) {
            self.whole(block, out);
        }
    }

    fn tool_start(&mut self, call: u32, start: &ToolStart<'_>, out: &mut BytesMut) {
        let ToolStart { id, name, signature } = start;
        self.begin(out);
        if let Some(signature) = signature {
            self.queue.prove(proof::write_to(Dialect::Anthropic, signature, Of::Call), Of::Call);
        }
        self.queue.push(Block::call(call, ids::plain(id), name));
        self.queue.flush(out);
    }

    fn end(&mut self, out: &mut BytesMut) {
        self.begin(out);
        self.queue.finish(out);
        self.progress = Progress::Over;
        let stopped = self.stop.take();
        let stop = stopped.as_ref().map(|stopped| &stopped.stop);
        let reason = stop.map(|stop| words::stop_reason(stop, &self.refusal));
        if let Some(word) = stop.and_then(words::native_stop_reason) {
            self.extras.insert("stop_reason".to_owned(), word.into());
        }
        if !self.others.is_empty() {
            self.extras.insert("blocks".to_owned(), Value::Array(std::mem::take(&mut self.others)));
        }
        let details = self.extras.shift_remove("stop_details");
        let sequence = stopped.and_then(|stopped| stopped.sequence);
        let delta = json!({
            "stop_reason": reason,
            "stop_sequence": sequence,
            "stop_details": words::stop_details(reason.unwrap_or_default(), &self.refusal, details.as_ref()),
        });
        let mut event = Map::new();
        event.insert("type".to_owned(), "message_delta".into());
        event.insert("delta".to_owned(), delta);
        event.insert("usage".to_owned(), words::usage(&self.usage, self.start.origin));
        for (key, value) in words::provider_fields(std::mem::take(&mut self.extras), self.start.origin) {
            event.entry(key).or_insert(value);
        }
        words::frame("message_delta", &Value::Object(event), out);
        words::frame("message_stop", &json!({"type": "message_stop"}), out);
    }
}

struct ToolStart<'a> {
    id: &'a str,
    name: &'a str,
    signature: Option<&'a Signature>,
}

impl Render for Stream {
    fn on(&mut self, event: &Event, out: &mut BytesMut) {
        if self.progress == Progress::Over || choice_of(event).is_some_and(|choice| choice != 0) {
            return;
        }
        match event {
            Event::Start(start) => self.start = start.clone(),
            Event::Text { choice: _, text } => self.text(text, out),
            Event::TextSignature { choice: _, signature } => self.prove(signature, Of::Text, out),
            Event::Citation { choice: _, citation, chars: _ } => self.cite(citation, out),
            Event::Thinking { choice: _, text } => self.think(text, out),
            Event::ThinkingSignature { choice: _, signature } => self.prove(signature, Of::Thinking, out),
            Event::SealedThinking { choice: _, sealed } => self.whole(words::sealed(sealed), out),
            Event::Refusal { choice: _, text } => {
                self.refusal.push_str(text);
                self.text(text, out);
            }
            Event::ToolStart { choice: _, call, id, name, signature } => {
                let start = ToolStart { id, name, signature: signature.as_ref() };
                self.tool_start(*call, &start, out);
            }
            Event::ToolArguments { choice: _, call, text } => {
                self.queue.arguments(*call, text);
                self.queue.flush(out);
            }
            Event::Part { choice: _, part } => self.part(part, out),
            // Nobody can ask for them here.
            Event::LogProbs { choice: _, logprobs: _ } => {}
            Event::Extras { level: _, fields } => self.extras.extend(fields.clone()),
            Event::Stop { choice: _, stop, sequence } => {
                self.begin(out);
                self.stop = Some(Stopped { stop: stop.clone(), sequence: sequence.clone() });
            }
            Event::Usage(usage) => self.usage = (**usage).clone(),
            Event::Fault(upstream) => {
                self.progress = Progress::Over;
                out.extend_from_slice(&fault::event(&told(upstream), &self.asked.request_id));
            }
            Event::End => self.end(out),
        }
    }
}

/// Which answer an event is of.
fn choice_of(event: &Event) -> Option<u32> {
    match event {
        Event::Text { choice, .. }
        | Event::TextSignature { choice, .. }
        | Event::Citation { choice, .. }
        | Event::Thinking { choice, .. }
        | Event::ThinkingSignature { choice, .. }
        | Event::SealedThinking { choice, .. }
        | Event::Refusal { choice, .. }
        | Event::ToolStart { choice, .. }
        | Event::ToolArguments { choice, .. }
        | Event::Part { choice, .. }
        | Event::LogProbs { choice, .. }
        | Event::Stop { choice, .. } => Some(*choice),
        Event::Start(_) | Event::Extras { .. } | Event::Usage(_) | Event::Fault(_) | Event::End => None,
    }
}

/// What the client is told of an upstream that gave up.
fn told(upstream: &UpstreamFault) -> Fault {
    let code = match upstream.class {
        UpstreamClass::BadRequest
        | UpstreamClass::ContextLength
        | UpstreamClass::ContentFilter
        | UpstreamClass::Overloaded
        | UpstreamClass::TooLarge => Code::UpstreamRefused,
        UpstreamClass::RateLimited => Code::UpstreamLimited,
        UpstreamClass::Timeout => Code::UpstreamTimeout,
        UpstreamClass::Auth
        | UpstreamClass::Billing
        | UpstreamClass::Forbidden
        | UpstreamClass::NotFound
        | UpstreamClass::Server
        | UpstreamClass::Connection
        | UpstreamClass::Garbled => Code::UpstreamError,
    };
    let mut fault = Fault::new(code, upstream.message.clone());
    fault.upstream = Some(Box::new(upstream.clone()));
    fault
}
