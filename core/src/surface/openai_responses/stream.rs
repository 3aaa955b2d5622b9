//! Streams.
//!
//! ```text
//! response.created ─▶ response.in_progress ─▶ items ─▶ response.completed, response.incomplete
//!                              └────────────────┴────▶ error (and no response)
//! item: output_item.added ─▶ (part added ─▶ deltas ─▶ done ─▶ part done)* ─▶ output_item.done
//! ```
//! Nothing is sent before the answer's first content, so that nothing is sent for an upstream that
//! fails at once. Events are numbered from zero. Of items only calls may be open beside each other:
//! some servers send pieces of several in turn.

mod item;

use super::{fault, words};
use crate::call::{Extras, Opaque, Part, Signature};
use crate::dialect::Dialect;
use crate::fault::{Code, Fault, UpstreamFault};
use crate::reply::{Event, Level, Start, Stop};
use crate::surface::proof::{self, Of};
use crate::surface::{Asked, Render};
use bytes::{Bytes, BytesMut};
use item::{Kind, Open};
use serde_json::{Map, Value, json};
use words::Echo;

/// Renders a stream, event by event, and keeps what it comes to.
pub(super) struct Stream {
    asked: Asked,
    echo: Echo,
    origin: Dialect,
    phase: Phase,
    wire: Wire,
    /// Items by their place; one that is open is null.
    output: Vec<Value>,
    /// Items that are open, oldest first.
    open: Vec<Open>,
    stop: Option<Stop>,
    sequence: Option<String>,
    /// Fields for the response.
    extras: Extras,
}

/// Where events go.
enum Wire {
    /// Nowhere: only what they come to is wanted.
    Silent,
    /// To the client; the number of the next.
    Numbered { next: u64, bytes: BytesMut },
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Phase {
    /// Nothing has been said.
    Before,
    /// The response has been told of.
    Within,
    /// The last event is out.
    After,
}

impl Stream {
    pub(super) fn new(asked: Asked) -> Self {
        Self::over(asked, Wire::Numbered { next: 0, bytes: BytesMut::new() })
    }

    /// One that sends nothing.
    pub(super) fn silent(asked: Asked) -> Self {
        Self::over(asked, Wire::Silent)
    }

    fn over(asked: Asked, wire: Wire) -> Self {
        Self {
            echo: Echo::of(&asked),
            asked,
            origin: Dialect::default(),
            phase: Phase::Before,
            wire,
            output: Vec::new(),
            open: Vec::new(),
            stop: None,
            sequence: None,
            extras: Extras::new(),
        }
    }

    /// The response as it stands.
    pub(super) fn into_response(mut self) -> Value {
        self.finish();
        Value::Object(self.response())
    }

    /// Takes the next event.
    pub(super) fn take(&mut self, event: &Event) {
        if self.phase == Phase::After {
            return;
        }
        match event {
            Event::Start(start) => self.start(start),
            Event::Text { choice: 0, text } => self.text(text),
            Event::Refusal { choice: 0, text } => self.refuse(text),
            Event::Thinking { choice: 0, text } => self.think(text),
            Event::ThinkingSignature { choice: 0, signature } => self.prove(signature, Of::Thinking),
            Event::SealedThinking { choice: 0, sealed } => self.prove(sealed, Of::Sealed),
            Event::TextSignature { choice: 0, signature } => self.prove(signature, Of::Text),
            Event::Citation { choice: 0, citation, chars } => self.cite(citation, *chars),
            Event::ToolStart { choice: 0, call, id, name, signature } => {
                self.call(*call, id, name, signature.as_ref());
            }
            Event::ToolArguments { choice: 0, call, text } => self.arguments(*call, text),
            Event::Part { choice: 0, part } => self.part(part),
            Event::LogProbs { choice: 0, logprobs } => self.logprobs(logprobs),
            Event::Extras { level: Level::Reply | Level::Choice(0) | Level::Message(0), fields } => {
                self.extras.extend(fields.clone());
            }
            Event::Stop { choice: 0, stop, sequence } => {
                self.begin();
                self.stop = Some(stop.clone());
                self.sequence.clone_from(sequence);
                self.close_all();
            }
            Event::Usage(usage) => {
                self.echo.set("usage", words::usage(usage, self.origin));
                if let Some(tier) = words::service_tier(usage, self.origin) {
                    self.echo.set("service_tier", tier.into());
                }
            }
            Event::Fault(upstream) => self.fail(upstream),
            Event::End => self.finish(),
            // This dialect has one answer.
            Event::Text { .. }
            | Event::Refusal { .. }
            | Event::Thinking { .. }
            | Event::ThinkingSignature { .. }
            | Event::SealedThinking { .. }
            | Event::TextSignature { .. }
            | Event::Citation { .. }
            | Event::ToolStart { .. }
            | Event::ToolArguments { .. }
            | Event::Part { .. }
            | Event::LogProbs { .. }
            | Event::Extras { .. }
            | Event::Stop { .. } => {}
        }
    }

    fn start(&mut self, start: &Start) {
        let Start { id, model, created, origin } = start;
        self.origin = *origin;
        // Ids of other dialects do not look like those of this one.
        if let (Dialect::OpenAiResponses, Some(id)) = (origin, id) {
            self.echo.set("id", id.as_str().into());
        }
        if let Some(model) = model {
            self.echo.set("model", model.as_str().into());
        }
        if let Some(created) = created {
            self.echo.set("created_at", (*created).into());
        }
    }

    /// Tells of the response, once.
    fn begin(&mut self) {
        if self.phase != Phase::Before {
            return;
        }
        self.phase = Phase::Within;
        for kind in ["response.created", "response.in_progress"] {
            if let Wire::Numbered { .. } = self.wire {
                let response = Value::Object(self.echo.response());
                self.emit(kind, json!({"response": response}));
            }
        }
    }

    /// Sends one event: its name goes before its fields, its number behind them.
    fn emit(&mut self, kind: &str, fields: Value) {
        let Wire::Numbered { next, bytes } = &mut self.wire else { return };
        let mut event = Map::from_iter([("type".to_owned(), Value::from(kind))]);
        if let Value::Object(fields) = fields {
            event.extend(fields);
        }
        event.insert("sequence_number".to_owned(), (*next).into());
        *next += 1;
        words::frame(kind, &Value::Object(event), bytes);
    }

    fn part(&mut self, part: &Part) {
        match part {
            Part::Text(text) => self.text(&text.text),
            Part::Refusal(text) => self.refuse(text),
            Part::Thinking(thinking) => self.think(&thinking.text),
            Part::Image(image) => match words::picture(image, &self.id("ig")) {
                Some(item) => self.whole_item(item),
                None => drop(self.extras.insert("image".to_owned(), image_url(image))),
            },
            Part::Audio(audio) => self.text(audio.transcript.as_deref().unwrap_or_default()),
            Part::Opaque(block) => self.block(block),
            // These come as events of their own, or never.
            Part::ToolCall(_) | Part::Video(_) | Part::Document(_) | Part::ToolResult(_) => {}
        }
    }

    /// A block that only its own dialect understands.
    fn block(&mut self, block: &Opaque) {
        let Opaque { origin, value } = block;
        let item = match origin {
            Dialect::OpenAiResponses => Some(value.clone()),
            Dialect::OpenAi => words::custom_call(value, &self.id("ctc")),
            Dialect::Anthropic | Dialect::Gemini | Dialect::Bedrock | Dialect::Cohere | Dialect::Ollama => {
                None
            }
        };
        match item {
            Some(item) => self.whole_item(item),
            None => self.prove(&Signature { origin: *origin, value: value.to_string() }, Of::Block),
        }
    }

    /// A proof in an item of its own, or with the thinking it belongs to.
    fn prove(&mut self, signature: &Signature, of: Of) {
        self.begin();
        let fits = matches!(of, Of::Thinking | Of::Call)
            && matches!(self.open.last(), Some(Open { kind: Kind::Reasoning { .. }, .. }));
        let own = match signature.origin {
            Dialect::OpenAiResponses => words::own(&signature.value),
            Dialect::OpenAi
            | Dialect::Anthropic
            | Dialect::Gemini
            | Dialect::Bedrock
            | Dialect::Cohere
            | Dialect::Ollama => words::Own::default(),
        };
        if !fits {
            self.open_reasoning(own.id.map(str::to_owned));
        }
        let is_silent = matches!(self.wire, Wire::Silent);
        let Some(Open { id, kind: Kind::Reasoning { proof: place, .. }, .. }) = self.open.last_mut() else {
            return;
        };
        if let (Some(own), true) = (own.id, is_silent) {
            own.clone_into(id);
        }
        // What is encrypted is so for an item of one id, and holds for no other.
        let fits_item = own.id.is_none_or(|own| own == id);
        *place = Some(match (signature.origin, of) {
            (Dialect::OpenAiResponses, Of::Thinking | Of::Sealed) if fits_item => own.encrypted.to_owned(),
            _ => proof::write(signature, of),
        });
        self.close_said();
    }

    fn finish(&mut self) {
        if self.phase == Phase::After {
            return;
        }
        self.begin();
        self.close_all();
        let kind = match self.reason() {
            None => "response.completed",
            Some(_) => "response.incomplete",
        };
        let response = Value::Object(self.response());
        self.emit(kind, json!({"response": response}));
        self.phase = Phase::After;
    }

    /// Why the response is incomplete; absent if it is not.
    fn reason(&self) -> Option<&'static str> {
        match self.stop.as_ref()? {
            Stop::Length | Stop::ContextFull => Some("max_output_tokens"),
            Stop::Filtered => Some("content_filter"),
            Stop::End | Stop::Sequence | Stop::ToolUse | Stop::Paused | Stop::Malformed | Stop::Other(_) => {
                None
            }
        }
    }

    /// The whole response as it stands.
    fn response(&self) -> Map<String, Value> {
        let mut response = self.echo.response();
        let reason = self.reason();
        words::end(&mut response, if reason.is_some() { "incomplete" } else { "completed" }, reason);
        if reason.is_none() {
            response.insert("completed_at".to_owned(), self.asked.now_secs.into());
        }
        let done = self.output.iter().filter(|item| !item.is_null());
        response.insert("output".to_owned(), done.cloned().collect());
        let native = match &self.stop {
            Some(Stop::Paused) => Some("pause_turn"),
            Some(Stop::Malformed) => Some("malformed"),
            Some(Stop::ContextFull) => Some("model_context_window_exceeded"),
            Some(Stop::Other(word)) => Some(word.as_str()),
            Some(Stop::End | Stop::Sequence | Stop::Length | Stop::ToolUse | Stop::Filtered) | None => None,
        };
        let mut more = words::shown(self.extras.clone(), self.origin);
        more.extend(native.map(|word| ("native_finish_reason".to_owned(), word.into())));
        more.extend(self.sequence.as_deref().map(|text| ("stop_sequence".to_owned(), text.into())));
        for (key, value) in more {
            response.entry(key).or_insert(value);
        }
        response
    }

    fn fail(&mut self, upstream: &UpstreamFault) {
        let mut fault = Fault::new(Code::UpstreamError, upstream.message.clone());
        fault.upstream = Some(Box::new(upstream.clone()));
        if let Wire::Numbered { next, bytes } = &mut self.wire {
            bytes.extend_from_slice(&fault::event(&fault, *next));
        }
        self.phase = Phase::After;
    }

    /// An id for the item that is about to begin.
    fn id(&self, kind: &str) -> String {
        format!("{kind}_{}{}", self.asked.request_id, self.output.len())
    }
}

fn image_url(image: &crate::call::Image) -> Value {
    match &image.source {
        crate::call::MediaSource::Url { url, .. } => json!({"url": url}),
        crate::call::MediaSource::File { id, .. } => json!({"file_id": id}),
        crate::call::MediaSource::Inline { .. } => Value::Null,
    }
}

impl Render for Stream {
    fn on(&mut self, event: &Event, out: &mut BytesMut) {
        self.take(event);
        if let Wire::Numbered { bytes, .. } = &mut self.wire {
            out.unsplit(bytes.split());
        }
    }

    fn fault(&mut self, fault: &Fault) -> Option<Bytes> {
        let Wire::Numbered { next, .. } = &self.wire else { return None };
        self.phase = Phase::After;
        Some(fault::event(fault, *next))
    }
}
