//! Streams: binary messages, one for each event of Bedrock's.
//!
//! ```text
//! messageStart ─▶ [ (contentBlockStart) ─▶ contentBlockDelta* ─▶ contentBlockStop ]* ─▶ messageStop ─▶ metadata
//!        └──────────────────┴──▶ an exception
//! ```
//! 1. One block is open at a time. Calls that are written at the same time wait for their turn.
//! 2. Usage may come after the stop, so `metadata` waits for the end.

use super::words::Declined;
use super::{fault, proof, words};
use crate::call::{Extras, Part, Signature, ids};
use crate::dialect::Dialect;
use crate::framing::event_stream::write_event;
use crate::reply::{Event, Stop};
use crate::surface::Render;
use crate::surface::proof::Of;
use crate::usage::Usage;
use bytes::BytesMut;
use serde_json::{Map, Value, json};

/// Renders a stream, event by event.
#[derive(Debug, Default)]
pub(super) struct Stream {
    begun: Begun,
    origin: Dialect,
    /// The index of the next block.
    next: u64,
    open: Option<Open>,
    /// Calls whose turn has not come.
    waiting: Vec<Call>,
    stop: Option<Stop>,
    declined: Declined,
    extras: Extras,
    usage: Option<Box<Usage>>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Begun {
    #[default]
    No,
    Yes,
    Over,
}

/// The block that is being written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Open {
    index: u64,
    kind: Kind,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Text,
    Thinking,
    Call(u32),
}

#[derive(Debug)]
struct Call {
    number: u32,
    id: String,
    name: String,
    arguments: String,
    signature: Option<Signature>,
}

fn put(event: &str, data: &Value, out: &mut BytesMut) {
    write_event(event, data.to_string().as_bytes(), out);
}

impl Stream {
    fn begin(&mut self, out: &mut BytesMut) {
        if self.begun == Begun::No {
            self.begun = Begun::Yes;
            put("messageStart", &json!({"role": "assistant"}), out);
        }
    }

    /// The index of a block of this kind: the open one, or a new one.
    fn block(&mut self, kind: Kind, out: &mut BytesMut) -> u64 {
        self.begin(out);
        match self.open {
            Some(open) if open.kind == kind => open.index,
            _ => {
                self.close(out);
                let index = self.next;
                self.next += 1;
                self.open = Some(Open { index, kind });
                index
            }
        }
    }

    fn close(&mut self, out: &mut BytesMut) {
        if let Some(Open { index, kind: _ }) = self.open.take() {
            put("contentBlockStop", &json!({"contentBlockIndex": index}), out);
        }
    }

    fn delta(&mut self, kind: Kind, delta: Value, out: &mut BytesMut) {
        let index = self.block(kind, out);
        put("contentBlockDelta", &json!({"contentBlockIndex": index, "delta": delta}), out);
    }

    /// What is no call ends those before it.
    fn say(&mut self, kind: Kind, delta: Value, out: &mut BytesMut) {
        self.tell_waiting(out);
        self.delta(kind, delta, out);
    }

    /// A block of its own that does nothing but carry a proof.
    fn prove(&mut self, signature: &Signature, of: Of, out: &mut BytesMut) {
        self.close(out);
        let proof = proof::written(signature, of);
        self.delta(Kind::Thinking, json!({"reasoningContent": {"text": ""}}), out);
        self.delta(Kind::Thinking, json!({"reasoningContent": {"signature": proof}}), out);
        self.close(out);
    }

    fn start_call(&mut self, call: &Call, out: &mut BytesMut) {
        if let Some(signature) = &call.signature {
            self.prove(signature, Of::Call, out);
        }
        self.close(out);
        let index = self.block(Kind::Call(call.number), out);
        let start = json!({"toolUse": {"toolUseId": ids::plain(&call.id), "name": call.name}});
        put("contentBlockStart", &json!({"contentBlockIndex": index, "start": start}), out);
        self.write_arguments(call.number, &call.arguments, out);
    }

    fn write_arguments(&mut self, number: u32, text: &str, out: &mut BytesMut) {
        if !text.is_empty() {
            self.delta(Kind::Call(number), json!({"toolUse": {"input": text}}), out);
        }
    }

    fn on_call(&mut self, call: Call, out: &mut BytesMut) {
        match self.open {
            Some(Open { kind: Kind::Call(_), .. }) => self.waiting.push(call),
            _ => self.start_call(&call, out),
        }
    }

    fn on_arguments(&mut self, number: u32, text: &str, out: &mut BytesMut) {
        match self.waiting.iter_mut().find(|call| call.number == number) {
            Some(call) => call.arguments.push_str(text),
            None => self.write_arguments(number, text, out),
        }
    }

    fn tell_waiting(&mut self, out: &mut BytesMut) {
        for call in std::mem::take(&mut self.waiting) {
            self.start_call(&call, out);
        }
    }

    fn whole_part(&mut self, part: &Part, out: &mut BytesMut) {
        let Some(Value::Object(mut block)) = words::whole_block(part) else { return };
        self.tell_waiting(out);
        if let Some(Value::String(text)) = block.get_mut("text") {
            return self.delta(Kind::Text, json!({"text": text}), out);
        }
        self.close(out);
        self.begin(out);
        let index = self.next;
        self.next += 1;
        put("contentBlockStart", &json!({"contentBlockIndex": index, "start": block}), out);
        put("contentBlockStop", &json!({"contentBlockIndex": index}), out);
    }

    fn end(&mut self, out: &mut BytesMut) {
        self.begin(out);
        self.tell_waiting(out);
        self.close(out);
        self.begun = Begun::Over;
        let reason = words::stop_reason(self.stop.as_ref().unwrap_or(&Stop::End), self.declined);
        let mut stopped = Map::from_iter([("stopReason".to_owned(), reason.into())]);
        if self.origin != Dialect::Bedrock {
            let native = self.stop.as_ref().and_then(words::native_stop_reason);
            self.extras.extend(native.map(|word| ("stop_reason".to_owned(), word.into())));
            stopped.extend(words::shown(&self.extras, self.origin));
        }
        put("messageStop", &Value::Object(stopped), out);
        let mut metadata = Map::new();
        let none = Usage::default();
        metadata.insert("usage".to_owned(), words::usage(self.usage.as_deref().unwrap_or(&none)));
        if self.origin == Dialect::Bedrock {
            metadata.extend(std::mem::take(&mut self.extras));
        }
        words::add_metrics(&mut metadata);
        put("metadata", &Value::Object(metadata), out);
    }
}

impl Render for Stream {
    fn on(&mut self, event: &Event, out: &mut BytesMut) {
        if self.begun == Begun::Over {
            return;
        }
        match event {
            Event::Start(start) => {
                self.origin = start.origin;
                self.begin(out);
            }
            Event::Text { choice: 0, text } | Event::Refusal { choice: 0, text } => {
                if matches!(event, Event::Refusal { .. }) {
                    self.declined = Declined::Yes;
                }
                if !text.is_empty() {
                    self.say(Kind::Text, json!({"text": text}), out);
                }
            }
            Event::TextSignature { choice: 0, signature } => {
                self.tell_waiting(out);
                self.prove(signature, Of::Text, out);
            }
            Event::Thinking { choice: 0, text } => {
                self.say(Kind::Thinking, json!({"reasoningContent": {"text": text}}), out);
            }
            Event::ThinkingSignature { choice: 0, signature } => {
                let proof = proof::written(signature, Of::Thinking);
                self.say(Kind::Thinking, json!({"reasoningContent": {"signature": proof}}), out);
                self.close(out);
            }
            Event::SealedThinking { choice: 0, sealed } => {
                self.close(out);
                let sealed = proof::sealed(sealed);
                self.say(Kind::Thinking, json!({"reasoningContent": {"redactedContent": sealed}}), out);
                self.close(out);
            }
            Event::Citation { choice: 0, citation, chars: _ } => {
                words::keep(citation, "citations", &mut self.extras);
                let list = words::citations(citation).and_then(Value::as_array);
                for citation in list.into_iter().flatten() {
                    self.say(Kind::Text, json!({ "citation": citation }), out);
                }
            }
            Event::ToolStart { choice: 0, call, id, name, signature } => {
                let (id, name, signature) = (id.clone(), name.clone(), signature.clone());
                self.on_call(Call { number: *call, id, name, arguments: String::new(), signature }, out);
            }
            Event::ToolArguments { choice: 0, call, text } => self.on_arguments(*call, text, out),
            Event::Part { choice: 0, part } => {
                if let Part::Opaque(block) = part {
                    words::keep(block, "blocks", &mut self.extras);
                }
                self.whole_part(part, out);
            }
            Event::Extras { level: _, fields } => self.extras.extend(fields.clone()),
            Event::Stop { choice: 0, stop, sequence } => {
                self.stop = Some(stop.clone());
                let sequence = sequence.as_deref().filter(|_| self.origin != Dialect::Bedrock);
                self.extras.extend(sequence.map(|text| ("stop_sequence".to_owned(), text.into())));
            }
            Event::Usage(usage) => self.usage = Some(usage.clone()),
            Event::Fault(upstream) => {
                self.begun = Begun::Over;
                fault::exception(upstream, out);
            }
            Event::End => self.end(out),
            // One answer is all that can be asked for, and this dialect has no log probabilities.
            Event::Text { .. }
            | Event::Refusal { .. }
            | Event::TextSignature { .. }
            | Event::Thinking { .. }
            | Event::ThinkingSignature { .. }
            | Event::SealedThinking { .. }
            | Event::Citation { .. }
            | Event::ToolStart { .. }
            | Event::ToolArguments { .. }
            | Event::Part { .. }
            | Event::Stop { .. }
            | Event::LogProbs { .. } => {}
        }
    }
}
