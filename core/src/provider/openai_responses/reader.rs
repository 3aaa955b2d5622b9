//! What an answer says, item by item.
//!
//! A stream says an item in pieces and then again as a whole; what the whole has beyond the pieces is
//! said then, so that a server which sends no pieces, or not all of them, is understood too.

use super::encode;
use crate::call::{Extras, Image, MediaSource, Opaque, Part, Signature};
use crate::dialect::Dialect;
use crate::float;
use crate::reply::{Event, Level, Start, Stop};
use crate::usage::Usage;
use serde_json::{Map, Value, json};

type Fields = Map<String, Value>;

/// Reads items and the response around them.
#[derive(Default)]
pub(super) struct Reader {
    started: Started,
    items: Vec<Item>,
    /// How many calls there have been.
    calls: u32,
}

#[derive(Clone, Copy, Default, PartialEq, Eq)]
enum Started {
    #[default]
    No,
    Yes,
}

/// An item that has begun.
struct Item {
    /// Its `output_index`.
    place: u64,
    call: Option<u32>,
    /// How much has been said of each of its contents, in bytes; of a call, of its arguments.
    said: Vec<usize>,
    /// Which summary of the reasoning was last said.
    summary: Option<u64>,
    annotations: usize,
    logprobs: Said,
    whole: Said,
}

#[derive(Clone, Copy, Default, PartialEq, Eq)]
enum Said {
    #[default]
    No,
    Yes,
}

/// Fields of a response that repeat the request, or that events of their own tell.
const KNOWN: [&str; 35] = [
    "id",
    "object",
    "created_at",
    "completed_at",
    "model",
    "output",
    "output_text",
    "status",
    "error",
    "incomplete_details",
    "usage",
    "tool_usage",
    "service_tier",
    "background",
    "frequency_penalty",
    "instructions",
    "max_output_tokens",
    "max_tool_calls",
    "metadata",
    "parallel_tool_calls",
    "presence_penalty",
    "previous_response_id",
    "prompt_cache_key",
    "prompt_cache_retention",
    "reasoning",
    "safety_identifier",
    "store",
    "temperature",
    "text",
    "tool_choice",
    "tools",
    "top_logprobs",
    "top_p",
    "truncation",
    "user",
];

/// The one answer this dialect has.
const CHOICE: u32 = 0;

impl Reader {
    /// The response as it begins.
    pub(super) fn start(&mut self, response: &Fields, out: &mut Vec<Event>) {
        if self.started == Started::Yes {
            return;
        }
        self.started = Started::Yes;
        let created = response.get("created_at").and_then(seconds);
        out.push(Event::Start(Start {
            id: words(response, "id"),
            model: words(response, "model"),
            created,
            origin: Dialect::OpenAiResponses,
        }));
    }

    /// The response as it ends: what has not been said of it, why it ended, what it consumed.
    pub(super) fn complete(&mut self, mut response: Fields, usage: Option<Usage>, out: &mut Vec<Event>) {
        self.start(&response, out);
        if let Some(Value::Array(items)) = response.shift_remove("output") {
            for (place, item) in (0..).zip(items) {
                self.whole(place, item, out);
            }
        }
        let stop = self.stop(&response);
        out.push(Event::Stop { choice: CHOICE, stop, sequence: None });
        let mut extras: Extras = response;
        extras.retain(|key, value| !value.is_null() && !KNOWN.contains(&key.as_str()));
        if !extras.is_empty() {
            out.push(Event::Extras { level: Level::Reply, fields: extras });
        }
        out.extend(usage.map(|usage| Event::Usage(Box::new(usage))));
        out.push(Event::End);
    }

    fn stop(&self, response: &Fields) -> Stop {
        let reason = response.get("incomplete_details").and_then(|details| details.get("reason"));
        match (response.get("status").and_then(Value::as_str), reason.and_then(Value::as_str)) {
            (Some("incomplete"), Some("max_output_tokens")) => Stop::Length,
            (Some("incomplete"), Some("content_filter")) => Stop::Filtered,
            (Some("incomplete"), reason) => Stop::Other(reason.unwrap_or("incomplete").to_owned()),
            (Some("completed") | None, _) if self.calls > 0 => Stop::ToolUse,
            (Some("completed") | None, _) => Stop::End,
            (Some(other), _) => Stop::Other(other.to_owned()),
        }
    }

    /// Any event within a response.
    pub(super) fn event(&mut self, kind: &[u8], mut fields: Fields, out: &mut Vec<Event>) {
        let number = |key: &str| fields.get(key).and_then(Value::as_u64);
        let Some(place) = number("output_index") else { return };
        let (content, summary) = (number("content_index").unwrap_or(0), number("summary_index").unwrap_or(0));
        // Who leaves out how a response begins has begun it all the same.
        self.start(&Fields::new(), out);
        match kind {
            b"response.output_item.added" => {
                if let Some(Value::Object(item)) = fields.get("item") {
                    self.open(place, item, out);
                }
            }
            b"response.output_item.done" => {
                let item = fields.shift_remove("item").unwrap_or_default();
                self.whole(place, item, out);
            }
            b"response.output_text.delta" => {
                let item = self.item(place);
                if let Some(text) = words(&fields, "delta") {
                    item.say(content, text.len());
                    out.push(Event::Text { choice: CHOICE, text });
                }
                item.logprobs(fields.get("logprobs"), out);
            }
            b"response.refusal.delta" => {
                if let Some(text) = words(&fields, "delta") {
                    self.item(place).say(content, text.len());
                    out.push(Event::Refusal { choice: CHOICE, text });
                }
            }
            b"response.output_text.annotation.added" => {
                if let Some(annotation) = fields.shift_remove("annotation").filter(Value::is_object) {
                    self.item(place).annotations += 1;
                    cite(vec![annotation], out);
                }
            }
            b"response.function_call_arguments.delta" => {
                if let (Some(text), item) = (words(&fields, "delta"), self.item(place))
                    && let Some(call) = item.call
                {
                    item.say(0, text.len());
                    out.push(Event::ToolArguments { choice: CHOICE, call, text });
                }
            }
            b"response.reasoning_summary_text.delta" => self.think(place, summary, &fields, out),
            b"response.reasoning_text.delta" => self.think(place, content, &fields, out),
            // These repeat what has been said, or tell how far a tool of the provider's has come.
            _ => {}
        }
    }

    fn think(&mut self, place: u64, part: u64, fields: &Fields, out: &mut Vec<Event>) {
        let Some(text) = words(fields, "delta") else { return };
        let item = self.item(place);
        let text = match item.summary.replace(part) {
            Some(last) if last != part => format!("{BETWEEN}{text}"),
            Some(_) | None => text,
        };
        out.push(Event::Thinking { choice: CHOICE, text });
    }

    /// The item at this place.
    fn item(&mut self, place: u64) -> &mut Item {
        let at = self.items.iter().position(|item| item.place == place).unwrap_or_else(|| {
            self.items.push(Item {
                place,
                call: None,
                said: Vec::new(),
                summary: None,
                annotations: 0,
                logprobs: Said::No,
                whole: Said::No,
            });
            self.items.len() - 1
        });
        #[expect(clippy::indexing_slicing, reason = "`at` was found or pushed just above")]
        &mut self.items[at]
    }

    /// An item begins.
    fn open(&mut self, place: u64, item: &Fields, out: &mut Vec<Event>) {
        let is_call = item.get("type").is_some_and(|kind| kind == "function_call");
        if !is_call || self.item(place).call.is_some() {
            return;
        }
        let call = self.calls;
        self.calls += 1;
        self.item(place).call = Some(call);
        let id = words(item, "call_id").or_else(|| words(item, "id"));
        out.push(Event::ToolStart {
            choice: CHOICE,
            call,
            // Never empty, and the same each time the stream is read.
            id: id.unwrap_or_else(|| format!("call_{place}")),
            name: words(item, "name").unwrap_or_default(),
            signature: None,
        });
    }

    /// An item as a whole.
    fn whole(&mut self, place: u64, item: Value, out: &mut Vec<Event>) {
        let Value::Object(fields) = &item else { return };
        self.open(place, fields, out);
        let state = self.item(place);
        if std::mem::replace(&mut state.whole, Said::Yes) == Said::Yes {
            return;
        }
        match fields.get("type").and_then(Value::as_str) {
            Some("message") => state.message(fields, out),
            Some("function_call") => {
                let rest = state.rest(0, words(fields, "arguments"));
                if let (Some(call), Some(text)) = (state.call, rest) {
                    out.push(Event::ToolArguments { choice: CHOICE, call, text });
                }
            }
            Some("reasoning") => state.reasoning(fields, out),
            _ => {
                let part = picture(fields)
                    .unwrap_or(Part::Opaque(Opaque { origin: Dialect::OpenAiResponses, value: item }));
                out.push(Event::Part { choice: CHOICE, part });
            }
        }
    }
}

/// What stands between two summaries of one reasoning.
const BETWEEN: &str = "\n\n";

impl Item {
    fn say(&mut self, content: u64, bytes: usize) {
        let Ok(at) = usize::try_from(content) else { return };
        // A place far beyond the others is nonsense, and not worth the room.
        if at < self.said.len() + 64 {
            self.said.resize(self.said.len().max(at + 1), 0);
        }
        if let Some(said) = self.said.get_mut(at) {
            *said += bytes;
        }
    }

    /// What of a text has not been said.
    fn rest(&self, content: usize, text: Option<String>) -> Option<String> {
        let said = self.said.get(content).copied().unwrap_or(0);
        Some(text?.get(said..)?.to_owned()).filter(|rest| !rest.is_empty())
    }

    fn logprobs(&mut self, logprobs: Option<&Value>, out: &mut Vec<Event>) {
        let Some(Value::Array(list)) = logprobs else { return };
        if !list.is_empty() {
            self.logprobs = Said::Yes;
            let logprobs = json!({"content": list, "refusal": null});
            out.push(Event::LogProbs { choice: CHOICE, logprobs });
        }
    }

    fn message(&mut self, fields: &Fields, out: &mut Vec<Event>) {
        let parts = fields.get("content").and_then(Value::as_array);
        let mut cited = self.annotations;
        for (at, part) in parts.into_iter().flatten().enumerate() {
            let Value::Object(part) = part else { continue };
            if let Some(text) = self.rest(at, words(part, "text")) {
                out.push(Event::Text { choice: CHOICE, text });
            }
            if let Some(text) = self.rest(at, words(part, "refusal")) {
                out.push(Event::Refusal { choice: CHOICE, text });
            }
            if self.logprobs == Said::No {
                self.logprobs(part.get("logprobs"), out);
            }
            let list =
                part.get("annotations").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
            let known = cited.min(list.len());
            cited -= known;
            cite(list.get(known..).unwrap_or_default().to_vec(), out);
        }
    }

    fn reasoning(&mut self, fields: &Fields, out: &mut Vec<Event>) {
        if self.summary.is_none() {
            let texts = |key: &str| {
                let list = fields.get(key).and_then(Value::as_array).into_iter().flatten();
                let texts = list.filter_map(|part| part.get("text")?.as_str());
                texts.collect::<Vec<_>>().join(BETWEEN)
            };
            let text = Some(texts("summary")).filter(|text| !text.is_empty());
            let text = text.unwrap_or_else(|| texts("content"));
            if !text.is_empty() {
                out.push(Event::Thinking { choice: CHOICE, text });
            }
        }
        if let Some(encrypted) = words(fields, "encrypted_content") {
            let value = encode::proof(words(fields, "id").as_deref(), &encrypted);
            let signature = Signature { origin: Dialect::OpenAiResponses, value };
            out.push(Event::ThinkingSignature { choice: CHOICE, signature });
        }
    }
}

fn cite(annotations: Vec<Value>, out: &mut Vec<Event>) {
    if !annotations.is_empty() {
        let citation = Opaque { origin: Dialect::OpenAiResponses, value: Value::Array(annotations) };
        out.push(Event::Citation { choice: CHOICE, citation, chars: 0 });
    }
}

/// A picture that a tool of the provider's has made.
fn picture(fields: &Fields) -> Option<Part> {
    let data = words(fields, "result")
        .filter(|_| fields.get("type").is_some_and(|kind| kind == "image_generation_call"))?;
    let format = words(fields, "output_format").unwrap_or_else(|| "png".to_owned());
    let source = MediaSource::Inline { media_type: format!("image/{format}"), data };
    Some(Part::Image(Image { source, detail: None, cache: None }))
}

/// A string that says something.
fn words(fields: &Fields, key: &str) -> Option<String> {
    fields.get(key)?.as_str().filter(|text| !text.is_empty()).map(str::to_owned)
}

/// Some servers write it with a fraction.
fn seconds(created: &Value) -> Option<u64> {
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "checked to be positive and within range"
    )]
    let whole = |time: f64| (0.0..1e15).contains(&time).then_some(time as u64);
    created.as_u64().or_else(|| float::of_value(created).and_then(whole))
}
