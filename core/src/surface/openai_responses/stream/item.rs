//! Items that are being written.

use super::Stream;
use crate::call::{Opaque, Signature};
use crate::surface::openai_responses::words;
use crate::surface::proof::Of;
use serde_json::{Value, json};

/// An item that has begun and not ended.
pub(super) struct Open {
    /// Its place in the output.
    at: usize,
    pub(super) id: String,
    pub(super) kind: Kind,
}

pub(super) enum Kind {
    Message { done: Vec<Value>, part: Option<Piece> },
    Reasoning { text: String, proof: Option<String> },
    Call { number: u32, call_id: String, name: String, arguments: String },
}

/// A part of a message that has begun and not ended.
pub(super) enum Piece {
    Text { text: String, chars: usize, annotations: Vec<Value>, logprobs: Vec<Value> },
    Refusal { text: String },
}

/// Which part of a message is wanted.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Wanted {
    Text,
    Refusal,
}

impl Piece {
    fn is(&self, wanted: Wanted) -> bool {
        match self {
            Self::Text { .. } => wanted == Wanted::Text,
            Self::Refusal { .. } => wanted == Wanted::Refusal,
        }
    }

    fn value(&self) -> Value {
        match self {
            Self::Text { text, chars: _, annotations, logprobs } => {
                json!({"type": "output_text", "annotations": annotations, "logprobs": logprobs, "text": text})
            }
            Self::Refusal { text } => json!({"type": "refusal", "refusal": text}),
        }
    }
}

impl Open {
    /// Whether it is a call of which nothing more can come.
    fn is_complete_call(&self) -> bool {
        match &self.kind {
            Kind::Call { arguments, .. } => {
                arguments.trim_start().starts_with('{')
                    && serde_json::from_str::<serde::de::IgnoredAny>(arguments).is_ok()
            }
            Kind::Message { .. } | Kind::Reasoning { .. } => false,
        }
    }

    fn item(&self, status: &str) -> Value {
        let Self { at: _, id, kind } = self;
        match kind {
            Kind::Message { done, part } => {
                let content: Vec<_> = done.iter().cloned().chain(part.as_ref().map(Piece::value)).collect();
                json!({"id": id, "type": "message", "status": status, "content": content, "role": "assistant"})
            }
            Kind::Reasoning { text, proof } => {
                let summary: Vec<_> = (!text.is_empty())
                    .then(|| json!({"type": "summary_text", "text": text}))
                    .into_iter()
                    .collect();
                json!({"id": id, "type": "reasoning", "summary": summary, "encrypted_content": proof})
            }
            Kind::Call { number: _, call_id, name, arguments } => json!({
                "id": id, "type": "function_call", "status": status,
                "arguments": arguments, "call_id": call_id, "name": name,
            }),
        }
    }
}

impl Stream {
    /// More text.
    pub(super) fn text(&mut self, more: &str) {
        if more.is_empty() {
            return;
        }
        let at = self.piece(Wanted::Text);
        if let Some(Piece::Text { text, chars, .. }) = self.current() {
            text.push_str(more);
            *chars += more.chars().count();
        }
        self.delta("response.output_text.delta", &at, more, Some(json!([])));
    }

    /// More of the model's declining.
    pub(super) fn refuse(&mut self, more: &str) {
        if more.is_empty() {
            return;
        }
        let at = self.piece(Wanted::Refusal);
        if let Some(Piece::Refusal { text }) = self.current() {
            text.push_str(more);
        }
        self.delta("response.refusal.delta", &at, more, None);
    }

    fn delta(&mut self, kind: &str, at: &At, delta: &str, logprobs: Option<Value>) {
        let mut event =
            json!({"item_id": at.id, "output_index": at.output, "content_index": at.content, "delta": delta});
        if let (Some(logprobs), Some(fields)) = (logprobs, event.as_object_mut()) {
            fields.insert("logprobs".to_owned(), logprobs);
        }
        self.emit(kind, event);
    }

    /// Log probabilities of the text just sent.
    pub(super) fn logprobs(&mut self, logprobs: &Value) {
        let Some(list) = logprobs.get("content").and_then(Value::as_array).filter(|list| !list.is_empty())
        else {
            return;
        };
        let at = self.piece(Wanted::Text);
        if let Some(Piece::Text { logprobs: all, .. }) = self.current() {
            all.extend(list.iter().cloned());
        }
        self.delta("response.output_text.delta", &at, "", Some(list.clone().into()));
    }

    /// Citations of the text so far, or of its last characters.
    pub(super) fn cite(&mut self, citation: &Opaque, chars: usize) {
        let at = self.piece(Wanted::Text);
        let Some(Piece::Text { chars: end, annotations: all, .. }) = self.current() else { return };
        let known = words::annotations(citation, &(end.saturating_sub(chars)..*end));
        let first = all.len();
        all.extend(known.iter().cloned());
        if known.is_empty() {
            // Citations of anything but a page have no form here.
            let list = self.extras.entry("citations").or_insert_with(|| json!([]));
            let more = citation.value.as_array().cloned().unwrap_or_else(|| vec![citation.value.clone()]);
            list.as_array_mut().into_iter().for_each(|list| list.extend(more.clone()));
        }
        for (place, annotation) in known.into_iter().enumerate() {
            let event = json!({
                "item_id": at.id, "output_index": at.output, "content_index": at.content,
                "annotation_index": first + place, "annotation": annotation,
            });
            self.emit("response.output_text.annotation.added", event);
        }
    }

    /// More thinking.
    pub(super) fn think(&mut self, more: &str) {
        if more.is_empty() {
            return;
        }
        if !matches!(self.open.last(), Some(Open { kind: Kind::Reasoning { .. }, .. })) {
            self.open_reasoning(None);
        }
        let Some(Open { at, id, kind: Kind::Reasoning { text, .. } }) = self.open.last_mut() else { return };
        let (id, output, first) = (id.clone(), *at, text.is_empty());
        text.push_str(more);
        if first {
            let part = json!({"type": "summary_text", "text": ""});
            let event = json!({"item_id": id, "output_index": output, "summary_index": 0, "part": part});
            self.emit("response.reasoning_summary_part.added", event);
        }
        let event = json!({"item_id": id, "output_index": output, "summary_index": 0, "delta": more});
        self.emit("response.reasoning_summary_text.delta", event);
    }

    /// Reasoning begins.
    pub(super) fn open_reasoning(&mut self, id: Option<String>) {
        self.close_said();
        let id = id.unwrap_or_else(|| self.id("rs"));
        self.open_item(id, Kind::Reasoning { text: String::new(), proof: None });
    }

    /// A tool call begins.
    pub(super) fn call(&mut self, number: u32, call_id: &str, name: &str, signature: Option<&Signature>) {
        if let Some(signature) = signature {
            self.prove(signature, Of::Call);
        }
        self.close_said();
        let id = self.id("fc");
        let (call_id, name, arguments) = (call_id.to_owned(), name.to_owned(), String::new());
        self.open_item(id, Kind::Call { number, call_id, name, arguments });
    }

    /// More of a call's arguments.
    pub(super) fn arguments(&mut self, wanted: u32, more: &str) {
        if more.is_empty() {
            return;
        }
        for open in &mut self.open {
            if let Kind::Call { number, arguments, .. } = &mut open.kind
                && *number == wanted
            {
                arguments.push_str(more);
                let event = json!({"item_id": open.id, "output_index": open.at, "delta": more});
                return self.emit("response.function_call_arguments.delta", event);
            }
        }
    }

    /// An item that does not come in pieces.
    pub(super) fn whole_item(&mut self, item: Value) {
        self.begin();
        self.close_said();
        let output = self.output.len();
        self.output.push(item.clone());
        self.emit("response.output_item.added", json!({"output_index": output, "item": item}));
        self.emit("response.output_item.done", json!({"output_index": output, "item": item}));
    }

    /// The place of the part that is being said, which begins if it has not.
    fn piece(&mut self, wanted: Wanted) -> At {
        if !matches!(self.open.last(), Some(Open { kind: Kind::Message { .. }, .. })) {
            self.close_said();
            let id = self.id("msg");
            self.open_item(id, Kind::Message { done: Vec::new(), part: None });
        }
        if self.current().is_none_or(|piece| !piece.is(wanted)) {
            self.close_piece();
            let piece = match wanted {
                Wanted::Text => Piece::Text {
                    text: String::new(),
                    chars: 0,
                    annotations: Vec::new(),
                    logprobs: Vec::new(),
                },
                Wanted::Refusal => Piece::Refusal { text: String::new() },
            };
            let value = piece.value();
            if let Some(Open { kind: Kind::Message { part, .. }, .. }) = self.open.last_mut() {
                *part = Some(piece);
            }
            let event = self.at().event(json!({"part": value}));
            self.emit("response.content_part.added", event);
        }
        self.at()
    }

    /// Where the message that is open stands.
    fn at(&self) -> At {
        match self.open.last() {
            Some(Open { at, id, kind: Kind::Message { done, .. } }) => {
                At { id: id.clone(), output: *at, content: done.len() }
            }
            Some(Open { kind: Kind::Reasoning { .. } | Kind::Call { .. }, .. }) | None => At::default(),
        }
    }

    fn current(&mut self) -> Option<&mut Piece> {
        match self.open.last_mut() {
            Some(Open { kind: Kind::Message { part, .. }, .. }) => part.as_mut(),
            Some(Open { kind: Kind::Reasoning { .. } | Kind::Call { .. }, .. }) | None => None,
        }
    }

    /// An item begins. Calls before it that are complete end.
    fn open_item(&mut self, id: String, kind: Kind) {
        self.begin();
        while let Some(at) = self.open.iter().position(Open::is_complete_call) {
            let open = self.open.remove(at);
            self.close(open);
        }
        let at = self.output.len();
        self.output.push(Value::Null);
        let open = Open { at, id, kind };
        let item = open.item("in_progress");
        self.open.push(open);
        self.emit("response.output_item.added", json!({"output_index": at, "item": item}));
    }

    /// Ends the message or the reasoning that is open.
    pub(super) fn close_said(&mut self) {
        let is_call = |open: &Open| matches!(open.kind, Kind::Call { .. });
        if self.open.last().is_some_and(|open| !is_call(open))
            && let Some(open) = self.open.pop()
        {
            self.close(open);
        }
    }

    /// Ends all items.
    pub(super) fn close_all(&mut self) {
        for open in std::mem::take(&mut self.open) {
            self.close(open);
        }
    }

    fn close_piece(&mut self) {
        let at = self.at();
        let Some(Open { kind: Kind::Message { done, part }, .. }) = self.open.last_mut() else { return };
        let Some(piece) = part.take() else { return };
        done.push(piece.value());
        self.end_piece(&at, &piece);
    }

    fn end_piece(&mut self, at: &At, piece: &Piece) {
        match piece {
            Piece::Text { text, logprobs, .. } => {
                let event = at.event(json!({"text": text, "logprobs": logprobs}));
                self.emit("response.output_text.done", event);
            }
            Piece::Refusal { text } => {
                self.emit("response.refusal.done", at.event(json!({"refusal": text})));
            }
        }
        self.emit("response.content_part.done", at.event(json!({"part": piece.value()})));
    }

    fn close(&mut self, mut open: Open) {
        match &mut open.kind {
            Kind::Message { done, part } => {
                if let Some(piece) = part.take() {
                    let at = At { id: open.id.clone(), output: open.at, content: done.len() };
                    done.push(piece.value());
                    self.end_piece(&at, &piece);
                }
            }
            Kind::Reasoning { text, proof: _ } if !text.is_empty() => {
                let at = json!({"item_id": open.id, "output_index": open.at, "summary_index": 0});
                self.emit("response.reasoning_summary_text.done", joined(&at, json!({"text": text})));
                let part = json!({"part": {"type": "summary_text", "text": text}});
                self.emit("response.reasoning_summary_part.done", joined(&at, part));
            }
            Kind::Reasoning { .. } => {}
            Kind::Call { arguments, name, .. } => {
                let at = json!({"item_id": open.id, "output_index": open.at});
                // No text at all is meant to be no arguments, which clients can parse.
                if arguments.trim().is_empty() {
                    *arguments = "{}".to_owned();
                    self.emit("response.function_call_arguments.delta", joined(&at, json!({"delta": "{}"})));
                }
                let event = joined(&at, json!({"name": name, "arguments": arguments}));
                self.emit("response.function_call_arguments.done", event);
            }
        }
        let status = if self.reason().is_some() { "incomplete" } else { "completed" };
        let item = open.item(status);
        if let Some(place) = self.output.get_mut(open.at) {
            *place = item.clone();
        }
        self.emit("response.output_item.done", json!({"output_index": open.at, "item": item}));
    }
}

/// Where a part of a message stands.
#[derive(Default)]
struct At {
    id: String,
    output: usize,
    content: usize,
}

impl At {
    fn event(&self, more: Value) -> Value {
        let Self { id, output, content } = self;
        joined(&json!({"item_id": id, "output_index": output, "content_index": content}), more)
    }
}

fn joined(at: &Value, more: Value) -> Value {
    let mut all = at.clone();
    if let (Some(all), Value::Object(more)) = (all.as_object_mut(), more) {
        all.extend(more);
    }
    all
}
