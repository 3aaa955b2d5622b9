//! Streams.
//!
//! ```text
//! message_start ─▶ [ block_start ─▶ block_delta* ─▶ block_stop ]* ─▶ message_delta ─▶ message_stop
//!        ping may stand anywhere; error may take the place of any event and ends the stream
//! ```
//!
//! 1. `Event::Start` comes first and once, also where the server forgot it.
//! 2. After `Event::End` or `Event::Fault` nothing more comes.
//! 3. Every tool call has arguments, `{}` if the model wrote none.
//! 4. Usage is the last seen, never a sum (see `usage`).

use super::decode::{Calls, Ending, arguments, citations, opaque, signature};
use super::{JSON_TOOL, fault, usage};
use crate::call::Part;
use crate::dialect::Dialect;
use crate::fault::{UpstreamClass, UpstreamFault};
use crate::provider::Decode;
use crate::reply::{Event, Level, Start, Stop};
use crate::sse::Frame;
use crate::usage::Usage;
use serde_json::{Map, Value};

/// Turns the frames of one answer into events.
#[derive(Debug, Default)]
pub(super) struct Decoder {
    phase: Phase,
    /// The blocks that are open, by the server's index. The API opens one at a time; others that
    /// speak this dialect may not.
    open: Vec<(u64, Block)>,
    /// Client tool calls so far.
    calls: u32,
    usage: Option<Usage>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Phase {
    #[default]
    Before,
    Running,
    /// The stop reason has been told; only the end mark is missing.
    Stopped,
    Over,
}

#[derive(Debug)]
enum Block {
    /// Text, with how many characters it has and what it cites. Citations may come before their text,
    /// so they wait for its end.
    Text {
        chars: usize,
        cited: Vec<Value>,
    },
    Thinking,
    /// A tool call of the client's, with the input its start brought, until text replaces it.
    Call {
        call: u32,
        input: Option<String>,
    },
    /// The stand-in for a response format: its input is text.
    Json {
        input: Option<String>,
    },
    /// A block only this dialect knows, put together until it stops.
    Opaque {
        block: Map<String, Value>,
        input: String,
    },
}

impl Decode for Decoder {
    fn on(&mut self, frame: &Frame, out: &mut Vec<Event>) {
        // Comments, and the end mark of another dialect that some servers add.
        if self.phase == Phase::Over || frame.data().is_empty() || frame.data() == b"[DONE]" {
            return;
        }
        let Ok(Value::Object(data)) = serde_json::from_slice(frame.data()) else {
            return self.fail(fault::garbled("a frame of the stream is no JSON object", frame.data()), out);
        };
        let named = std::str::from_utf8(frame.event()).unwrap_or_default();
        let kind = data.get("type").and_then(Value::as_str).unwrap_or(named).to_owned();
        if kind == "error" || (kind.is_empty() && data.contains_key("error")) {
            return self.fail(fault::in_band(frame.data()), out);
        }
        self.on_event(&kind, data, out);
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
    fn on_event(&mut self, kind: &str, mut data: Map<String, Value>, out: &mut Vec<Event>) {
        match kind {
            "message_start" => self.start(data.get_mut("message").map(Value::take), out),
            "content_block_start" => {
                let block = data.get_mut("content_block").map(Value::take);
                self.start_block(index(&data), block.unwrap_or_default(), out);
            }
            "content_block_delta" => {
                let delta = data.get_mut("delta").map(Value::take);
                self.add(index(&data), delta.unwrap_or_default(), out);
            }
            "content_block_stop" => self.stop_block(index(&data), out),
            "message_delta" => self.on_message_delta(data, out),
            "message_stop" => self.end(out),
            // Pings, and what is invented after this was written.
            _ => {}
        }
    }

    fn fail(&mut self, fault: UpstreamFault, out: &mut Vec<Event>) {
        self.phase = Phase::Over;
        out.push(Event::Fault(Box::new(fault)));
    }

    fn end(&mut self, out: &mut Vec<Event>) {
        self.begin(out);
        self.stop_all(out);
        self.phase = Phase::Over;
        out.push(Event::End);
    }

    /// Sends `Start` where the server has not.
    fn begin(&mut self, out: &mut Vec<Event>) {
        if self.phase == Phase::Before {
            self.phase = Phase::Running;
            out.push(Event::Start(start_without_words()));
        }
    }

    fn start(&mut self, message: Option<Value>, out: &mut Vec<Event>) {
        if self.phase != Phase::Before {
            return;
        }
        self.phase = Phase::Running;
        let Some(Value::Object(message)) = message else {
            return out.push(Event::Start(start_without_words()));
        };
        let mut start = start_without_words();
        let mut fields = Map::new();
        let mut counts = None;
        for (key, value) in message {
            match (key.as_str(), value) {
                ("type" | "role" | "content" | "stop_reason" | "stop_sequence" | "stop_details", _)
                | (_, Value::Null) => {}
                ("id", Value::String(id)) => start.id = Some(id),
                ("model", Value::String(model)) => start.model = Some(model),
                ("usage", Value::Object(native)) => counts = Some(native),
                (_, value) => {
                    fields.insert(key, value);
                }
            }
        }
        out.push(Event::Start(start));
        self.tell_extras(Level::Reply, fields, out);
        self.count(counts, out);
    }

    fn tell_extras(&self, level: Level, fields: Map<String, Value>, out: &mut Vec<Event>) {
        if !fields.is_empty() {
            out.push(Event::Extras { level, fields });
        }
    }

    fn count(&mut self, counts: Option<Map<String, Value>>, out: &mut Vec<Event>) {
        let Some(counts) = counts else { return };
        let usage = usage::read(usage::merge(self.usage.as_ref(), counts));
        out.push(Event::Usage(Box::new(usage.clone())));
        self.usage = Some(usage);
    }

    fn start_block(&mut self, index: u64, block: Value, out: &mut Vec<Event>) {
        self.begin(out);
        self.stop_block(index, out);
        let Value::Object(mut block) = block else { return };
        let mut text = |key: &str| match block.get_mut(key) {
            Some(Value::String(text)) => std::mem::take(text),
            _ => String::new(),
        };
        let opened = match text("type").as_str() {
            "text" => {
                let text = text("text");
                let chars = text.chars().count();
                push_text(text, out);
                let cited = block.get_mut("citations").and_then(Value::as_array_mut).map(std::mem::take);
                Block::Text { chars, cited: cited.unwrap_or_default() }
            }
            "thinking" => {
                push_thinking(text("thinking"), out);
                push_signature(text("signature"), out);
                Block::Thinking
            }
            "redacted_thinking" => {
                out.extend(signature(text("data")).map(|sealed| Event::SealedThinking { choice: 0, sealed }));
                return;
            }
            "tool_use" => {
                let (id, name) = (text("id"), text("name"));
                self.start_call(id, name, Some(arguments(block.get("input"))), out)
            }
            kind => {
                block.insert("type".to_owned(), Value::from(kind));
                Block::Opaque { block, input: String::new() }
            }
        };
        self.open.push((index, opened));
    }

    fn start_call(&mut self, id: String, name: String, input: Option<String>, out: &mut Vec<Event>) -> Block {
        if name == JSON_TOOL {
            return Block::Json { input };
        }
        let call = self.calls;
        self.calls = self.calls.saturating_add(1);
        out.push(Event::ToolStart { choice: 0, call, id, name, signature: None });
        Block::Call { call, input }
    }

    fn add(&mut self, index: u64, delta: Value, out: &mut Vec<Event>) {
        self.begin(out);
        let Value::Object(mut delta) = delta else { return };
        let kind = delta.get("type").and_then(Value::as_str).unwrap_or_default().to_owned();
        let open = self.open.iter_mut().find(|(at, _)| *at == index).map(|(_, block)| block);
        if let Some(Block::Opaque { block, input }) = open {
            return add_opaque(block, input, delta);
        }
        let mut text = |key: &str| match delta.get_mut(key) {
            Some(Value::String(text)) => std::mem::take(text),
            _ => String::new(),
        };
        match (kind.as_str(), open) {
            ("text_delta", open) => {
                let text = text("text");
                if let Some(Block::Text { chars, .. }) = open {
                    *chars += text.chars().count();
                }
                push_text(text, out);
            }
            ("thinking_delta", _) => push_thinking(text("thinking"), out),
            ("signature_delta", _) => push_signature(text("signature"), out),
            ("citations_delta", Some(Block::Text { cited, .. })) => {
                cited.extend(delta.get_mut("citation").map(Value::take));
            }
            ("input_json_delta", Some(Block::Call { call, input })) => {
                let (call, text) = (*call, text("partial_json"));
                if !text.is_empty() {
                    *input = None;
                    out.push(Event::ToolArguments { choice: 0, call, text });
                }
            }
            ("input_json_delta", Some(Block::Json { input })) => {
                let text = text("partial_json");
                if !text.is_empty() {
                    *input = None;
                    push_text(text, out);
                }
            }
            _ => {}
        }
    }

    fn stop_block(&mut self, index: u64, out: &mut Vec<Event>) {
        if let Some(at) = self.open.iter().position(|(open, _)| *open == index) {
            let (_, block) = self.open.remove(at);
            close(block, out);
        }
    }

    fn stop_all(&mut self, out: &mut Vec<Event>) {
        for (_, block) in self.open.drain(..) {
            close(block, out);
        }
    }

    fn on_message_delta(&mut self, mut data: Map<String, Value>, out: &mut Vec<Event>) {
        self.begin(out);
        let counts = match data.get_mut("usage").map(Value::take) {
            Some(Value::Object(counts)) => Some(counts),
            _ => None,
        };
        if let (Phase::Running, Some(Value::Object(delta))) =
            (self.phase, data.get_mut("delta").map(Value::take))
        {
            self.on_stop(delta, out);
        }
        // The rest (`context_management`, …) belongs to the answer as a whole.
        let rest = data
            .into_iter()
            .filter(|(key, value)| !value.is_null() && !matches!(key.as_str(), "type" | "delta" | "usage"));
        self.tell_extras(Level::Reply, rest.collect(), out);
        self.count(counts, out);
    }

    fn on_stop(&mut self, delta: Map<String, Value>, out: &mut Vec<Event>) {
        let mut ending = Ending::default();
        let mut sequence = None;
        let mut fields = Map::new();
        for (key, value) in delta {
            match (key.as_str(), value) {
                (_, Value::Null) => {}
                ("stop_reason", Value::String(word)) => ending.reason = Some(word),
                ("stop_sequence", Value::String(text)) => sequence = Some(text),
                ("stop_details", details) => ending.details = Some(details),
                (_, value) => {
                    fields.insert(key, value);
                }
            }
        }
        self.tell_extras(Level::Reply, fields, out);
        let calls = if self.calls == 0 { Calls::None } else { Calls::Some };
        let Some(stop) = ending.stop(calls) else { return };
        self.stop_all(out);
        self.tell_stop(ending, stop, sequence, out);
    }

    fn tell_stop(&mut self, ending: Ending, stop: Stop, sequence: Option<String>, out: &mut Vec<Event>) {
        out.extend(ending.refusal().map(|text| Event::Refusal { choice: 0, text }));
        self.tell_extras(Level::Choice(0), ending.into_extras(), out);
        out.push(Event::Stop { choice: 0, stop, sequence });
        self.phase = Phase::Stopped;
    }
}

fn index(data: &Map<String, Value>) -> u64 {
    data.get("index").and_then(Value::as_u64).unwrap_or_default()
}

fn push_text(text: String, out: &mut Vec<Event>) {
    if !text.is_empty() {
        out.push(Event::Text { choice: 0, text });
    }
}

fn push_thinking(text: String, out: &mut Vec<Event>) {
    if !text.is_empty() {
        out.push(Event::Thinking { choice: 0, text });
    }
}

fn push_signature(value: String, out: &mut Vec<Event>) {
    out.extend(signature(value).map(|signature| Event::ThinkingSignature { choice: 0, signature }));
}

/// A beginning of which nothing is known.
fn start_without_words() -> Start {
    Start { origin: Dialect::Anthropic, ..Start::default() }
}

/// Adds a delta to a block nobody here understands: its input as text, anything else field by field.
fn add_opaque(block: &mut Map<String, Value>, input: &mut String, delta: Map<String, Value>) {
    for (key, value) in delta {
        match (key.as_str(), block.get_mut(&key), value) {
            ("type", _, _) => {}
            ("partial_json", _, Value::String(text)) => input.push_str(&text),
            (_, Some(Value::String(earlier)), Value::String(more)) => earlier.push_str(&more),
            (_, _, value) => {
                block.insert(key, value);
            }
        }
    }
}

fn close(block: Block, out: &mut Vec<Event>) {
    match block {
        Block::Text { chars, cited } => {
            let citation = citations(&Value::Array(cited));
            out.extend(citation.map(|citation| Event::Citation { choice: 0, citation, chars }));
        }
        Block::Thinking | Block::Call { input: None, .. } | Block::Json { input: None } => {}
        Block::Call { call, input: Some(text) } => out.push(Event::ToolArguments { choice: 0, call, text }),
        Block::Json { input: Some(text) } => push_text(text, out),
        Block::Opaque { mut block, input } => {
            if let Ok(input) = serde_json::from_str::<Value>(&input) {
                block.insert("input".to_owned(), input);
            }
            out.push(Event::Part { choice: 0, part: Part::Opaque(opaque(Value::Object(block))) });
        }
    }
}
