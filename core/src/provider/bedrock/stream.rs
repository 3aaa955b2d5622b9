//! Streams.
//!
//! ```text
//! messageStart ─▶ [ (contentBlockStart) ─▶ contentBlockDelta* ─▶ contentBlockStop ]* ─▶ messageStop ─▶ metadata
//!        an exception may take the place of any event and ends the stream
//! ```
//!
//! 1. `Event::Start` comes first and once.
//! 2. After `Event::End` or `Event::Fault` nothing more comes.
//! 3. Every tool call has arguments, `{}` if the model wrote none.
//! 4. Usage comes last, after the stop; a stream that ends without it is complete all the same.

use super::decode::{Calls, opaque, signature, stop};
use super::{fault, usage};
use crate::call::{Part, Signature};
use crate::dialect::Dialect;
use crate::fault::{UpstreamClass, UpstreamFault};
use crate::provider::Decode;
use crate::provider::anthropic::JSON_TOOL;
use crate::reply::{Event, Level, Start};
use crate::sse::{Frame, FrameKind};
use serde_json::{Map, Value};

/// Turns the frames of one answer into events.
#[derive(Debug, Default)]
pub(super) struct Decoder {
    phase: Phase,
    /// The blocks that are open, by the server's index.
    open: Vec<(u64, Block)>,
    /// Client tool calls so far.
    calls: u32,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Phase {
    #[default]
    Before,
    Running,
    /// The stop reason has been told; only usage is missing.
    Stopped,
    Over,
}

#[derive(Debug)]
enum Block {
    /// Text, with how many characters it has and what it cites.
    Text {
        chars: usize,
        cited: Vec<Value>,
    },
    Thinking,
    /// Sealed thinking, which may come in pieces.
    Sealed(String),
    /// A tool call of the client's, and whether any of its input has come.
    Call {
        call: u32,
        input: Input,
    },
    /// The stand-in for a response format: its input is text.
    Json,
    /// A block only this dialect knows, by its start and what was added.
    Opaque(Map<String, Value>),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Input {
    None,
    Some,
}

impl Decode for Decoder {
    fn on(&mut self, frame: &Frame, out: &mut Vec<Event>) {
        if self.phase == Phase::Over {
            return;
        }
        if frame.kind() == FrameKind::Fault {
            return self.fail(fault::in_frame(frame), out);
        }
        let Ok(Value::Object(data)) = serde_json::from_slice(frame.data()) else {
            return self.fail(fault::garbled("a frame of the stream is no JSON object", frame.data()), out);
        };
        self.on_event(frame.event(), data, out);
    }

    fn on_end(&mut self, out: &mut Vec<Event>) {
        match self.phase {
            Phase::Over => {}
            Phase::Stopped => self.end(out),
            Phase::Before | Phase::Running => {
                let what = "the provider's stream ended before the answer did";
                self.fail(UpstreamFault::new(UpstreamClass::Connection, 200, what), out);
            }
        }
    }
}

impl Decoder {
    fn on_event(&mut self, kind: &[u8], mut data: Map<String, Value>, out: &mut Vec<Event>) {
        let mut part = |key: &str| data.get_mut(key).map(Value::take);
        match kind {
            b"messageStart" => self.begin(out),
            b"contentBlockStart" => {
                let start = part("start");
                self.start_block(index(&data), start, out);
            }
            b"contentBlockDelta" => {
                if let Some(Value::Object(delta)) = part("delta") {
                    self.add(index(&data), delta, out);
                }
            }
            b"contentBlockStop" => self.stop_block(index(&data), out),
            b"messageStop" => self.on_stop(data, out),
            b"metadata" => self.on_metadata(data, out),
            // What is invented after this was written.
            _ => {}
        }
    }

    fn fail(&mut self, fault: UpstreamFault, out: &mut Vec<Event>) {
        self.phase = Phase::Over;
        out.push(Event::Fault(Box::new(fault)));
    }

    fn begin(&mut self, out: &mut Vec<Event>) {
        if self.phase == Phase::Before {
            self.phase = Phase::Running;
            out.push(Event::Start(Start { origin: Dialect::Bedrock, ..Start::default() }));
        }
    }

    fn end(&mut self, out: &mut Vec<Event>) {
        self.phase = Phase::Over;
        out.push(Event::End);
    }

    fn start_block(&mut self, index: u64, start: Option<Value>, out: &mut Vec<Event>) {
        self.begin(out);
        self.stop_block(index, out);
        let Some(Value::Object(mut start)) = start else { return };
        let opened = match start.get_mut("toolUse").map(Value::take) {
            Some(Value::Object(mut call)) => {
                let (id, name) = (text(&mut call, "toolUseId"), text(&mut call, "name"));
                if name == JSON_TOOL { Block::Json } else { self.start_call(id, name, out) }
            }
            _ if start.is_empty() => return,
            _ => Block::Opaque(start),
        };
        self.open.push((index, opened));
    }

    fn start_call(&mut self, id: String, name: String, out: &mut Vec<Event>) -> Block {
        let call = self.calls;
        self.calls = self.calls.saturating_add(1);
        out.push(Event::ToolStart { choice: 0, call, id, name, signature: None });
        Block::Call { call, input: Input::None }
    }

    /// The block of this index; one that was never begun is what its first piece makes of it.
    fn block(&mut self, index: u64, first: Block) -> &mut Block {
        let at = match self.open.iter().position(|(open, _)| *open == index) {
            Some(at) => at,
            None => {
                self.open.push((index, first));
                self.open.len() - 1
            }
        };
        #[expect(clippy::indexing_slicing, reason = "it was found or pushed just above")]
        &mut self.open[at].1
    }

    fn add(&mut self, index: u64, mut delta: Map<String, Value>, out: &mut Vec<Event>) {
        self.begin(out);
        const TEXT: Block = Block::Text { chars: 0, cited: Vec::new() };
        if let Some(Value::String(text)) = delta.get_mut("text") {
            let text = std::mem::take(text);
            if let Block::Text { chars, .. } = self.block(index, TEXT) {
                *chars += text.chars().count();
            }
            push_text(text, out);
        } else if let Some(citation) = delta.get_mut("citation").map(Value::take) {
            if let Block::Text { cited, .. } = self.block(index, TEXT) {
                cited.push(citation);
            }
        } else if let Some(Value::Object(content)) = delta.get_mut("reasoningContent").map(Value::take) {
            self.think(index, content, out);
        } else if let Some(Value::Object(mut call)) = delta.get_mut("toolUse").map(Value::take) {
            let piece = text(&mut call, "input");
            self.write_input(index, piece, out);
        } else {
            let block = self.block(index, Block::Opaque(Map::new()));
            if let Block::Opaque(fields) = block {
                merge(fields, delta);
            }
        }
    }

    fn think(&mut self, index: u64, mut content: Map<String, Value>, out: &mut Vec<Event>) {
        let sealed = text(&mut content, "redactedContent");
        if !sealed.is_empty() {
            if let Block::Sealed(so_far) = self.block(index, Block::Sealed(String::new())) {
                so_far.push_str(&sealed);
            }
            return;
        }
        self.block(index, Block::Thinking);
        let text_piece = text(&mut content, "text");
        if !text_piece.is_empty() {
            out.push(Event::Thinking { choice: 0, text: text_piece });
        }
        let proof = signature(text(&mut content, "signature"));
        out.extend(proof.map(|signature| Event::ThinkingSignature { choice: 0, signature }));
    }

    fn write_input(&mut self, index: u64, piece: String, out: &mut Vec<Event>) {
        if piece.is_empty() {
            return;
        }
        match self.open.iter_mut().find(|(open, _)| *open == index).map(|(_, block)| block) {
            Some(Block::Call { call, input }) => {
                *input = Input::Some;
                out.push(Event::ToolArguments { choice: 0, call: *call, text: piece });
            }
            Some(Block::Json) => push_text(piece, out),
            Some(Block::Text { .. } | Block::Thinking | Block::Sealed(_) | Block::Opaque(_)) | None => {}
        }
    }

    fn stop_block(&mut self, index: u64, out: &mut Vec<Event>) {
        if let Some(at) = self.open.iter().position(|(open, _)| *open == index) {
            let (_, block) = self.open.remove(at);
            close(block, out);
        }
    }

    fn on_stop(&mut self, mut data: Map<String, Value>, out: &mut Vec<Event>) {
        self.begin(out);
        self.open.drain(..).for_each(|(_, block)| close(block, out));
        if self.phase != Phase::Running {
            return;
        }
        let reason = text(&mut data, "stopReason");
        let rest =
            data.into_iter().filter(|(key, value)| !value.is_null() && key != "stopReason" && key != "p");
        tell(rest.collect(), out);
        let calls = if self.calls == 0 { Calls::None } else { Calls::Some };
        out.push(Event::Stop { choice: 0, stop: stop(&reason, calls), sequence: None });
        self.phase = Phase::Stopped;
    }

    fn on_metadata(&mut self, mut data: Map<String, Value>, out: &mut Vec<Event>) {
        self.begin(out);
        let tier = data.get("serviceTier").and_then(|tier| tier.get("type")).and_then(Value::as_str);
        let tier = tier.map(Box::from);
        if let Some(Value::Object(counts)) = data.get_mut("usage").map(Value::take) {
            let usage = crate::usage::Usage { service_tier: tier, ..usage::read(counts) };
            out.push(Event::Usage(Box::new(usage)));
        }
        // Of random length, against guesses from the sizes of packets.
        let rest = data.into_iter().filter(|(key, value)| !value.is_null() && key != "usage" && key != "p");
        tell(rest.collect(), out);
        if self.phase == Phase::Stopped {
            self.end(out);
        }
    }
}

fn tell(fields: Map<String, Value>, out: &mut Vec<Event>) {
    if !fields.is_empty() {
        out.push(Event::Extras { level: Level::Reply, fields });
    }
}

fn text(fields: &mut Map<String, Value>, key: &str) -> String {
    match fields.get_mut(key) {
        Some(Value::String(text)) => std::mem::take(text),
        _ => String::new(),
    }
}

fn index(data: &Map<String, Value>) -> u64 {
    data.get("contentBlockIndex").and_then(Value::as_u64).unwrap_or_default()
}

fn push_text(text: String, out: &mut Vec<Event>) {
    if !text.is_empty() {
        out.push(Event::Text { choice: 0, text });
    }
}

/// Adds a piece to a block nobody here understands: texts grow, anything else is replaced.
fn merge(into: &mut Map<String, Value>, more: Map<String, Value>) {
    for (key, value) in more {
        match (into.get_mut(&key), value) {
            (Some(Value::Object(inner)), Value::Object(more)) => {
                for (key, value) in more {
                    match (inner.get_mut(&key), value) {
                        (Some(Value::String(text)), Value::String(more)) => text.push_str(&more),
                        (_, value) => {
                            inner.insert(key, value);
                        }
                    }
                }
            }
            (_, value) => {
                into.insert(key, value);
            }
        }
    }
}

fn close(block: Block, out: &mut Vec<Event>) {
    match block {
        Block::Text { cited, .. } if cited.is_empty() => {}
        Block::Text { chars, cited } => {
            let citation = opaque(Value::Array(cited));
            out.push(Event::Citation { choice: 0, citation, chars });
        }
        Block::Sealed(value) => {
            let sealed = Signature { origin: Dialect::Anthropic, value };
            out.push(Event::SealedThinking { choice: 0, sealed });
        }
        Block::Call { call, input: Input::None } => {
            out.push(Event::ToolArguments { choice: 0, call, text: "{}".to_owned() });
        }
        Block::Thinking | Block::Call { input: Input::Some, .. } | Block::Json => {}
        Block::Opaque(fields) => {
            let part = Part::Opaque(opaque(Value::Object(fields)));
            out.push(Event::Part { choice: 0, part });
        }
    }
}
