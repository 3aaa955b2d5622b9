//! From chat's words to those of completions: what chat's surface has written is read again.

use crate::fault::Fault;
use crate::json::Tape;
use crate::reply::Event;
use crate::surface::{Asked, Render};
use bytes::{BufMut, Bytes, BytesMut};
use serde_json::{Map, Value, json};

/// A whole answer.
pub(super) fn whole(chat: &[u8], asked: &Asked) -> Bytes {
    let mut answer: Map<String, Value> = serde_json::from_slice(chat).unwrap_or_default();
    let echo = echoed(asked).unwrap_or_default();
    translate(&mut answer, |choice| text_of(choice, "message", &echo));
    Bytes::from(Value::Object(answer).to_string())
}

/// A stream.
pub(super) struct Stream {
    chat: Box<dyn Render>,
    echo: Option<String>,
    /// Answers that have begun.
    begun: Vec<u64>,
}

impl Stream {
    pub(super) fn new(chat: Box<dyn Render>, asked: &Asked) -> Self {
        Self { chat, echo: echoed(asked), begun: Vec::new() }
    }

    /// The same chunk; nothing where it says nothing here.
    fn chunk(&mut self, mut chunk: Map<String, Value>) -> Option<Map<String, Value>> {
        let mut says = chunk.get("choices").and_then(Value::as_array).is_none_or(Vec::is_empty);
        let Self { echo, begun, .. } = self;
        translate(&mut chunk, |choice| {
            let index = choice.get("index").and_then(Value::as_u64).unwrap_or(0);
            let echo = echo.as_deref().filter(|_| !begun.contains(&index)).unwrap_or_default();
            let text = text_of(choice, "delta", echo);
            if text != "" {
                begun.push(index);
            }
            let ends =
                ["finish_reason", "logprobs"].iter().any(|key| !choice.get(*key).is_none_or(Value::is_null));
            says |= ends || text != "";
            text
        });
        says.then_some(chunk)
    }
}

impl Render for Stream {
    fn on(&mut self, event: &Event, out: &mut BytesMut) {
        let mut written = BytesMut::new();
        self.chat.on(event, &mut written);
        each_frame(&written, |frame| match frame {
            Frame::Chunk(chunk) => self.chunk(chunk).into_iter().for_each(|chunk| put(chunk, out)),
            Frame::Other(bytes) => out.put_slice(bytes),
        });
    }

    fn fault(&mut self, fault: &Fault) -> Option<Bytes> {
        self.chat.fault(fault)
    }
}

/// Whole frames of chat.
pub(super) fn frames(chat: &[u8]) -> Bytes {
    let mut out = BytesMut::new();
    each_frame(chat, |frame| match frame {
        Frame::Chunk(mut chunk) => {
            translate(&mut chunk, |choice| text_of(choice, "delta", ""));
            put(chunk, &mut out);
        }
        Frame::Other(bytes) => out.put_slice(bytes),
    });
    out.freeze()
}

enum Frame<'f> {
    Chunk(Map<String, Value>),
    /// The end mark, an error.
    Other(&'f [u8]),
}

fn each_frame(mut chat: &[u8], mut each: impl FnMut(Frame<'_>)) {
    while let Some(end) = memchr::memmem::find(chat, b"\n\n") {
        let (frame, rest) = chat.split_at(end + 2);
        chat = rest;
        let chunk = frame.strip_prefix(b"data: ").and_then(|data| serde_json::from_slice(data).ok());
        each(match chunk.filter(|chunk: &Map<String, Value>| chunk.contains_key("choices")) {
            Some(chunk) => Frame::Chunk(chunk),
            None => Frame::Other(frame),
        });
    }
}

fn put(chunk: Map<String, Value>, out: &mut BytesMut) {
    out.put_slice(b"data: ");
    out.put_slice(Value::Object(chunk).to_string().as_bytes());
    out.put_slice(b"\n\n");
}

/// Names what it is, and puts each choice's text in place of its message.
fn translate(answer: &mut Map<String, Value>, mut text: impl FnMut(&mut Map<String, Value>) -> Value) {
    answer.insert("object".to_owned(), "text_completion".into());
    if let Some(id) = answer.get("id").and_then(Value::as_str).and_then(|id| id.strip_prefix("chatcmpl-")) {
        answer.insert("id".to_owned(), format!("cmpl-{id}").into());
    }
    for choice in answer.get_mut("choices").and_then(Value::as_array_mut).into_iter().flatten() {
        let Some(choice) = choice.as_object_mut() else { continue };
        let text = text(choice);
        let logprobs = choice.get("logprobs").and_then(older);
        if let Some(logprobs) = logprobs {
            choice.insert("logprobs".to_owned(), logprobs);
        }
        choice.insert("text".to_owned(), text);
    }
}

/// Takes a choice's message, and gives its words after what is echoed. A refusal is words too: this
/// form has no other place for it.
fn text_of(choice: &mut Map<String, Value>, member: &str, echo: &str) -> Value {
    let message = choice.shift_remove(member).unwrap_or_default();
    let said = |key: &str| message.get(key).and_then(Value::as_str).filter(|text| !text.is_empty());
    let words = said("content").or_else(|| said("refusal")).unwrap_or_default();
    // The role chunk of a stream comes before there is anything to go on from.
    if words.is_empty() && member == "delta" { "".into() } else { format!("{echo}{words}").into() }
}

/// The prompt, where the client wants it before its continuation.
fn echoed(asked: &Asked) -> Option<String> {
    let tape = Tape::parse(&asked.body).ok()?;
    let root = tape.root();
    root.get("echo")?.as_bool().filter(|echo| *echo)?;
    let prompt = root.get("prompt")?;
    let prompt = prompt.elements().next().unwrap_or(prompt);
    Some(prompt.as_str()?.into_owned())
}

/// Log probabilities in the form of completions: lists side by side. Offsets are in characters of the
/// text they came with.
fn older(logprobs: &Value) -> Option<Value> {
    let content = logprobs.get("content")?.as_array()?;
    let of =
        |key: &str| content.iter().map(|one| one.get(key).cloned().unwrap_or_default()).collect::<Value>();
    let top = |one: &Value| {
        let all = one.get("top_logprobs").and_then(Value::as_array).into_iter().flatten();
        let pairs =
            all.filter_map(|top| Some((top.get("token")?.as_str()?.to_owned(), top.get("logprob")?.clone())));
        Value::Object(pairs.collect())
    };
    let mut offset = 0;
    let offsets = content.iter().map(|one| {
        let token = one.get("token").and_then(Value::as_str).unwrap_or_default();
        let at = offset;
        offset += token.chars().count();
        Value::from(at)
    });
    let offsets: Value = offsets.collect();
    Some(json!({
        "tokens": of("token"),
        "token_logprobs": of("logprob"),
        "top_logprobs": content.iter().map(top).collect::<Value>(),
        "text_offset": offsets,
    }))
}
