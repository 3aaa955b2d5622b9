//! Cousins of OpenAI's chat dialect: they say what it says, in other words.
//!
//! ```text
//! Call ─▶ openai's encoder ─▶ body ─▶ write ─▶ the cousin's body
//! the cousin's frame or answer ─▶ read ─▶ a chunk of openai's ─▶ openai's reader ─▶ events
//! ```
//!
//! So each of them is two functions over JSON objects and a list of what it can carry; what is not on the
//! list is lost by name. No surface serves them, so nothing of theirs passes as it came.

mod cohere;
mod ollama;
#[cfg(test)]
mod tests;

pub use cohere::COHERE;
pub use ollama::OLLAMA;

use super::openai::{self, decode, stream};
use super::{Decode, Encoded, Endpoint, Glance, Provider, Purpose, Target};
use crate::call::{Call, Message, Operation, Part, Role, Task};
use crate::dialect::Dialect;
use crate::embedding::{EmbeddingCall, Embeddings, Input};
use crate::fault::{Code, Fault, UpstreamClass, UpstreamFault};
use crate::json::write::{self, tree as object};
use crate::reply::{Event, Reply, Stop};
use crate::sse::Frame;
use crate::usage::Usage;
use bytes::Bytes;
use http::HeaderMap;
use serde_json::{Map, Value};

type Fields = Map<String, Value>;

/// One of them.
#[derive(Debug)]
pub struct Cousin {
    dialect: Dialect,
    /// The fields of its chat. Others of a body are lost.
    fields: &'static [&'static str],
    /// Whether it can carry such a part, of those that OpenAI's dialect can.
    carries: fn(&Part) -> bool,
    /// The same in words.
    takes: &'static str,
    /// Makes its body of OpenAI's.
    write: fn(&mut Fields, &mut Writing<'_>) -> Result<(), Fault>,
    /// Makes a chunk of OpenAI's, or a whole answer, of what it says.
    read: fn(Fields) -> Read,
    /// Makes its body of OpenAI's for vectors.
    write_embedding: fn(&mut Fields, &EmbeddingCall, &mut Vec<String>),
    /// The vectors in its answer, and the tokens they cost.
    read_embeddings: fn(&mut Fields) -> (Value, Option<Value>),
    /// Errors with statuses of its own, and what others call them.
    classes: &'static [(u16, UpstreamClass, u16)],
}

/// What is known while a body is written.
struct Writing<'c> {
    model: &'c str,
    lost: Vec<String>,
}

/// What a frame turns out to be.
enum Read {
    Chunk(Fields),
    /// It says nothing that matters.
    Nothing,
    Failed(UpstreamFault),
    /// It is not of this dialect.
    Garbled,
}

impl Provider for Cousin {
    fn dialect(&self) -> Dialect {
        self.dialect
    }

    fn endpoint(&self, _target: &Target<'_>, purpose: Purpose) -> Option<Endpoint> {
        match purpose.operation {
            Operation::Chat => Some(endpoint("/chat")),
            Operation::Embed | Operation::EmbedBatch => Some(endpoint("/embed")),
            Operation::Task(Task::Rerank) if self.dialect == Dialect::Cohere => Some(endpoint("/rerank")),
            Operation::Complete | Operation::Count | Operation::Invoke | Operation::Task(_) => None,
        }
    }

    fn encode(&self, call: &Call, target: &Target<'_>) -> Result<Encoded, Fault> {
        self.refuse_media(call, target)?;
        let (mut body, lost) = openai::fields(call, target);
        let mut writing = Writing { model: target.model, lost };
        (self.write)(&mut body, &mut writing)?;
        let mut lost = writing.lost;
        body.retain(|name, _| {
            let known = self.fields.contains(&name.as_str());
            if !known {
                lost.push(name.clone());
            }
            known
        });
        Ok(Encoded { endpoint: endpoint("/chat"), body: bytes(body), lost })
    }

    fn encode_embedding(&self, call: &EmbeddingCall, target: &Target<'_>) -> Result<Encoded, Fault> {
        if call.inputs.iter().any(|input| matches!(input, Input::Tokens(_))) {
            let message = format!("{} has vectors of texts only, not of tokens", target.vendor.title);
            return Err(Fault::new(Code::Unsupported, message).at("input"));
        }
        let (mut body, mut lost) = openai::embedding_fields(call, target)?;
        body.shift_remove("encoding_format");
        (self.write_embedding)(&mut body, call, &mut lost);
        Ok(Encoded { endpoint: endpoint("/embed"), body: bytes(body), lost })
    }

    fn decode_embeddings(&self, body: &[u8], target: &Target<'_>) -> Result<Embeddings, Box<UpstreamFault>> {
        let Ok(mut answer) = serde_json::from_slice::<Fields>(body) else {
            return Err(decode::garbled("the answer is no JSON object", body));
        };
        if answer.contains_key("error") {
            return Err(Box::new(self.fault(200, &HeaderMap::new(), body, target)));
        }
        let (vectors, tokens) = (self.read_embeddings)(&mut answer);
        let wrap = |vector: &Value| object([("embedding", vector.clone())]);
        let mut plain = object([("data", vectors.as_array().into_iter().flatten().map(wrap).collect())]);
        if let (Some(tokens), Some(plain)) = (tokens, plain.as_object_mut()) {
            plain.insert("usage".to_owned(), object([("prompt_tokens", tokens)]));
            plain.extend(answer.shift_remove_entry("model"));
        }
        openai::embeddings(plain.to_string().as_bytes(), target)
    }

    fn decode(&self, body: &[u8], target: &Target<'_>) -> Result<Reply, Box<UpstreamFault>> {
        let (mut decoder, mut events) = (stream::Decoder::new(target), Vec::new());
        self.on(body, &mut decoder, &mut events);
        decoder.finish(&mut events);
        self.own(&mut events);
        decode::assemble(events).unwrap_or_else(|| Err(decode::garbled("the answer has no end", body)))
    }

    fn decoder(&self, target: &Target<'_>) -> Box<dyn Decode> {
        // A reference that lives as long as the program, which `self` does not say of itself.
        let cousin = if self.dialect == Dialect::Cohere { &COHERE } else { &OLLAMA };
        Box::new(Decoder { cousin, inner: stream::Decoder::new(target) })
    }

    fn fault(&self, status: u16, headers: &HeaderMap, body: &[u8], _target: &Target<'_>) -> UpstreamFault {
        let fault = openai::fault::read(status, headers, body);
        match self.classes.iter().find(|(own, ..)| *own == status) {
            Some((_, class, status)) => UpstreamFault { class: *class, status: *status, ..fault },
            None => fault,
        }
    }

    fn glance(&self, _frame: &Frame) -> Glance {
        Glance::Content
    }

    fn usage(&self, data: &[u8], _earlier: Option<&Usage>, target: &Target<'_>) -> Option<Usage> {
        self.decode(data, target).ok()?.usage
    }

    fn text(&self, data: &[u8], out: &mut String) {
        openai::text::of(data, out);
    }
}

impl Cousin {
    /// Reads a frame's data, or a whole answer.
    fn on(&self, data: &[u8], decoder: &mut stream::Decoder, out: &mut Vec<Event>) {
        let fields = match serde_json::from_slice(data) {
            Ok(Value::Object(fields)) if decode::is_error(&fields) => {
                return decoder.fail(Box::new(openai::fault::read(200, &HeaderMap::new(), data)), out);
            }
            Ok(Value::Object(fields)) => fields,
            Ok(_) | Err(_) => {
                return decoder.fail(decode::garbled("what came is no JSON object", data), out);
            }
        };
        match (self.read)(fields) {
            Read::Chunk(chunk) => decoder.chunk(chunk, out),
            Read::Nothing => {}
            Read::Failed(fault) => decoder.fail(Box::new(fault), out),
            Read::Garbled => decoder.fail(decode::garbled("what came is not in its dialect", data), out),
        }
    }

    /// Whose words these are.
    fn own(&self, events: &mut [Event]) {
        for event in events {
            if let Event::Start(start) = event {
                start.origin = self.dialect;
            } else if let Event::Citation { citation, .. } = event {
                citation.origin = self.dialect;
            } else if let Event::Stop { stop, .. } = event
                && matches!(stop, Stop::Other(word) if word == STOPPED)
            {
                *stop = Stop::Sequence;
            }
        }
    }

    /// A medium left out would make another question of what is asked, so it is refused.
    fn refuse_media(&self, call: &Call, target: &Target<'_>) -> Result<(), Fault> {
        for (i, Message { role, parts, .. }) in call.messages.iter().enumerate() {
            for (j, part) in parts.iter().enumerate() {
                let at = format!("messages[{i}].content[{j}]");
                let unfit = match (part, role) {
                    (Part::ToolResult(result), _) => {
                        let inner = result.parts.iter().position(|part| !(self.carries)(part));
                        let at = if *role == Role::Tool { format!("messages[{i}]") } else { at };
                        inner.map(|k| format!("{at}.content[{k}]"))
                    }
                    _ => (!(self.carries)(part)).then_some(at),
                };
                if let Some(at) = unfit {
                    let message = format!("{at}: {} takes {}", target.vendor.title, self.takes);
                    return Err(Fault::new(Code::Unsupported, message).at(at));
                }
            }
        }
        Ok(())
    }
}

/// How a cousin that tells it says that a stop text was reached: OpenAI has no word of its own for it.
const STOPPED: &str = "STOP_SEQUENCE";

/// Reads a stream frame by frame.
struct Decoder {
    cousin: &'static Cousin,
    inner: stream::Decoder,
}

impl Decode for Decoder {
    fn on(&mut self, frame: &Frame, out: &mut Vec<Event>) {
        let (data, before) = (frame.data().trim_ascii(), out.len());
        // Its end mark and its errors are the same.
        if data.is_empty() || data == b"[DONE]" || frame.event() == b"error" {
            self.inner.on(frame, out);
        } else if !self.inner.is_done() {
            self.cousin.on(data, &mut self.inner, out);
        }
        self.cousin.own(out.get_mut(before..).unwrap_or_default());
    }

    fn on_end(&mut self, out: &mut Vec<Event>) {
        self.inner.on_end(out);
    }
}

fn endpoint(path: &'static str) -> Endpoint {
    Endpoint { path: path.into(), headers: HeaderMap::new() }
}

fn bytes(body: Fields) -> Bytes {
    write::object(&body)
}

/// Gives a field another name.
fn rename(body: &mut Fields, from: &str, to: &str) {
    let value = body.shift_remove(from);
    body.extend(value.map(|value| (to.to_owned(), value)));
}

/// The objects of a list.
fn each(list: Option<&mut Value>) -> impl Iterator<Item = &mut Fields> {
    list.and_then(Value::as_array_mut).into_iter().flatten().filter_map(Value::as_object_mut)
}

/// What all cousins have in common: functions only, each with a schema, no fields that say what is the usual
/// anyway, and of several tools the one that must be called, which none of them can name.
fn simplify(body: &mut Fields, lost: &mut Vec<String>) {
    if body.get("n").is_some_and(|n| *n == 1) {
        body.shift_remove("n");
    }
    if body.get("parallel_tool_calls").is_some_and(|allowed| *allowed == true) {
        body.shift_remove("parallel_tool_calls");
    }
    let choice = body.get("tool_choice").and_then(|choice| choice.get("function")).cloned();
    let only = choice.as_ref().and_then(|function| function.get("name"));
    if let Some(Value::Array(tools)) = body.get_mut("tools") {
        if let Some(name) = only {
            tools.retain(|tool| tool.get("function").and_then(|function| function.get("name")) == Some(name));
        }
        let mut at = 0;
        tools.retain_mut(|tool| {
            let is_function = tool.get("type").is_some_and(|kind| kind == "function");
            if !is_function {
                lost.push(format!("tools[{at}]"));
            } else if let Some(function) = tool.get_mut("function").and_then(Value::as_object_mut) {
                let none = || object([("type", "object".into()), ("properties", object([]))]);
                function.entry("parameters").or_insert_with(none);
            }
            at += 1;
            is_function
        });
    }
    for message in each(body.get_mut("messages")) {
        rename(message, "refusal", "content");
        if message.get("content").is_some_and(Value::is_null) {
            message.shift_remove("content");
        }
        if let Some(Value::Array(calls)) = message.get_mut("tool_calls") {
            calls.retain(|call| call.get("function").is_some());
        }
    }
}

/// How much it is to think: whether at all, and the level.
fn thought(body: &mut Fields) -> Option<(bool, Option<Value>, Option<Value>)> {
    let level = body.shift_remove("reasoning_effort");
    let switch = body.shift_remove("thinking");
    let off = switch.as_ref().and_then(|switch| switch.get("type")).is_some_and(|kind| kind == "disabled");
    let budget =
        switch.as_ref().and_then(|switch| switch.get("budget_tokens").or(switch.get("token_budget")));
    let (none, budget) = (level.as_ref().is_some_and(|level| *level == "none"), budget.cloned());
    (switch.is_some() || level.is_some()).then_some((!off && !none, level, budget))
}
