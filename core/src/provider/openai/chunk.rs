//! One chunk of a stream, or a whole answer, as events.
//!
//! Reads what some thirty servers send, not what one of them documents: `choices` that are null,
//! deltas that are null, contents that are lists, calls without index or id, usage anywhere.

mod calls;

use super::usage;
use crate::call::{Audio, Extras, Image, MediaSource, Opaque, Part, Signature};
use crate::dialect::Dialect;
use crate::float;
use crate::reply::{Event, Level, Start, Stop};
use crate::usage::Usage;
use crate::vendor::Quirks;
use calls::Calls;
use serde_json::{Map, Value};

type Fields = Map<String, Value>;

/// Turns chunks into events, remembering what chunks refer back to.
pub(super) struct Reader {
    quirks: Quirks,
    /// Extras said before the start is known, then those said already, to say each once.
    extras: Extras,
    started: Started,
    choices: Vec<Choice>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Started {
    No,
    Yes,
}

struct Choice {
    index: u32,
    calls: Calls,
    finished: bool,
    /// Reasoning since the last signature, to recognise a block that repeats it whole.
    thought: String,
    extras: Extras,
}

/// Message fields that events of their own tell.
const KNOWN: [&str; 11] = [
    "role",
    "content",
    "reasoning_content",
    "reasoning",
    "thinking_blocks",
    "refusal",
    "annotations",
    "images",
    "audio",
    "tool_calls",
    "function_call",
];

/// Padding against traffic analysis, of OpenAI and Mistral: different in each chunk, and worthless.
const PADDING: [&str; 2] = ["obfuscation", "p"];

impl Reader {
    pub(super) fn new(quirks: Quirks) -> Self {
        Self { quirks, extras: Extras::new(), started: Started::No, choices: Vec::new() }
    }

    /// Whether any answer has begun.
    pub(super) fn has_choices(&self) -> bool {
        !self.choices.is_empty()
    }

    /// Whether every answer that has begun has ended.
    pub(super) fn is_finished(&self) -> bool {
        self.has_choices() && self.choices.iter().all(|choice| choice.finished)
    }

    /// Ends the answers that the provider called complete without a reason.
    pub(super) fn close(&mut self, out: &mut Vec<Event>) {
        for choice in &mut self.choices {
            choice.calls.flush(choice.index, out);
            if !choice.finished {
                choice.finished = true;
                let stop = if choice.calls.is_empty() { Stop::End } else { Stop::ToolUse };
                out.push(Event::Stop { choice: choice.index, stop, sequence: None });
            }
        }
    }

    /// Reads one chunk, or a whole answer.
    pub(super) fn chunk(&mut self, mut fields: Fields, out: &mut Vec<Event>) {
        let choices = match fields.shift_remove("choices") {
            Some(Value::Array(choices)) => choices,
            _ => Vec::new(),
        };
        let mut usages = vec![fields.shift_remove("usage")];
        usages.push(
            fields
                .get_mut("x_groq")
                .and_then(Value::as_object_mut)
                .and_then(|groq| groq.shift_remove("usage")),
        );
        let tier = fields.get("service_tier").and_then(Value::as_str).map(Box::from);
        self.start(&mut fields, choices.is_empty(), out);
        for (place, choice) in choices.into_iter().enumerate() {
            if let Value::Object(mut choice) = choice {
                // Moonshot puts usage into the choice.
                usages.push(choice.shift_remove("usage"));
                self.choice(place, choice, out);
            }
        }
        let usage = usages.into_iter().flatten().rev().find_map(|value| usage::read(&value, &self.quirks));
        out.extend(usage.map(|usage| Event::Usage(Box::new(Usage { service_tier: tier, ..usage }))));
    }

    /// Says id, model and time once they are known: Azure's first chunk has them empty. Then whatever
    /// further fields are new.
    fn start(&mut self, fields: &mut Fields, empty: bool, out: &mut Vec<Event>) {
        let id = words(fields.shift_remove("id"));
        let model = words(fields.shift_remove("model"));
        let created = fields.shift_remove("created").as_ref().and_then(seconds);
        fields.shift_remove("object");
        for padding in PADDING {
            fields.shift_remove(padding);
        }
        let mut news = Extras::new();
        for (key, value) in std::mem::take(fields) {
            if !value.is_null() && self.extras.get(&key) != Some(&value) {
                self.extras.insert(key.clone(), value.clone());
                news.insert(key, value);
            }
        }
        match self.started {
            Started::No if empty && id.is_none() && model.is_none() => return,
            Started::No => {
                self.started = Started::Yes;
                out.push(Event::Start(Start { id, model, created, origin: Dialect::OpenAi }));
                news = self.extras.clone();
            }
            Started::Yes => {}
        }
        if !news.is_empty() {
            out.push(Event::Extras { level: Level::Reply, fields: news });
        }
    }

    fn choice(&mut self, place: usize, mut fields: Fields, out: &mut Vec<Event>) {
        let index = fields.shift_remove("index").and_then(|index| u32::try_from(index.as_u64()?).ok());
        let index = index.unwrap_or_else(|| u32::try_from(place).unwrap_or(u32::MAX));
        let at = self.choices.iter().position(|choice| choice.index == index).unwrap_or_else(|| {
            self.choices.push(Choice {
                index,
                calls: Calls::default(),
                finished: false,
                thought: String::new(),
                extras: Extras::new(),
            });
            self.choices.len() - 1
        });
        if let Some(choice) = self.choices.get_mut(at) {
            choice.read(fields, out);
        }
    }
}

impl Choice {
    fn read(&mut self, mut fields: Fields, out: &mut Vec<Event>) {
        let finish = words(fields.shift_remove("finish_reason"));
        let sequence = words(fields.shift_remove("stop_sequence"));
        let logprobs = fields.shift_remove("logprobs").filter(|logprobs| !logprobs.is_null());
        // Perplexity repeats the whole message beside each piece of it.
        let message = fields.shift_remove("message");
        let delta = fields.shift_remove("delta").filter(|delta| !delta.is_null());
        // Of completions of a plain text; Together repeats a message's there.
        let text = words(fields.shift_remove("text"));
        match (delta.or(message), text) {
            (Some(Value::Object(message)), _) => self.message(message, out),
            (_, Some(text)) => out.push(Event::Text { choice: self.index, text }),
            (_, None) => {}
        }
        let choice = self.index;
        out.extend(logprobs.map(|logprobs| Event::LogProbs { choice, logprobs }));
        // Azure's filters have nothing to say of the first chunk and the last.
        let says =
            |value: &Value| !value.is_null() && value.as_object().is_none_or(|object| !object.is_empty());
        fields.retain(|key, value| says(value) && self.extras.get(key) != Some(value));
        if !fields.is_empty() {
            self.extras.extend(fields.clone());
            out.push(Event::Extras { level: Level::Choice(choice), fields });
        }
        // OpenRouter says why an answer ended several times over: the first counts.
        if let Some(finish) = finish.filter(|_| !self.finished) {
            self.finished = true;
            self.calls.flush(choice, out);
            let mut stop = stop_of(finish, sequence.as_deref());
            // Gemini says `stop` where it waits for tools, and so does OpenAI when one was forced.
            if stop == Stop::End && !self.calls.is_empty() {
                stop = Stop::ToolUse;
            }
            out.push(Event::Stop { choice, stop, sequence });
        }
    }

    /// The order is the order of generation: reasoning, words, media, calls.
    fn message(&mut self, mut fields: Fields, out: &mut Vec<Event>) {
        let choice = self.index;
        let signature = take_signature(&mut fields);
        let mut unknown = fields.clone();
        unknown.retain(|key, value| !value.is_null() && !KNOWN.contains(&key.as_str()));
        // First, so that they go with the words they came with.
        if !unknown.is_empty() {
            out.push(Event::Extras { level: Level::Message(choice), fields: unknown });
        }
        self.reasoning(&mut fields, out);
        if let Some(content) = fields.shift_remove("content") {
            self.content(content, out);
        }
        if let Some(text) = words(fields.shift_remove("refusal")) {
            out.push(Event::Refusal { choice, text });
        }
        if let Some(list @ Value::Array(_)) = fields.shift_remove("annotations")
            && list.as_array().is_some_and(|list| !list.is_empty())
        {
            let citation = Opaque { origin: Dialect::OpenAi, value: list };
            out.push(Event::Citation { choice, citation, chars: 0 });
        }
        if let Some(value) = signature {
            let signature = Signature { origin: Dialect::Gemini, value };
            out.push(Event::TextSignature { choice, signature });
        }
        for image in array(fields.shift_remove("images")) {
            out.push(Event::Part { choice, part: image_part(image) });
        }
        if let Some(Value::Object(audio)) = fields.shift_remove("audio") {
            out.push(Event::Part { choice, part: Part::Audio(audio_part(audio)) });
        }
        for (place, call) in array(fields.shift_remove("tool_calls")).into_iter().enumerate() {
            self.calls.on(choice, place, call, out);
        }
        if let Some(call @ Value::Object(_)) = fields.shift_remove("function_call") {
            self.calls.on_legacy(choice, call, out);
        }
    }

    /// Reasoning stands in `reasoning_content` or `reasoning`, sometimes in both; OpenRouter repeats it
    /// in `reasoning_details`, with proofs that must come back verbatim.
    fn reasoning(&mut self, fields: &mut Fields, out: &mut Vec<Event>) {
        let content = words(fields.shift_remove("reasoning_content"));
        let bare = words(fields.shift_remove("reasoning"));
        let details = fields.shift_remove("reasoning_details");
        let spelled = details.as_ref().and_then(details_text);
        let mut details = array(details);
        let proves = |detail: &Value| says(detail, "signature").or(says(detail, "data")).is_some();
        let blocks = array(fields.shift_remove("thinking_blocks"));
        // Words that a proof comes with are told with it, and so are those beside them.
        if !details.iter().any(|detail| proves(detail) && says(detail, "text").is_some()) {
            details.retain(proves);
            if let Some(text) = content.or(bare).or(spelled).filter(|_| blocks.is_empty()) {
                self.think(text, out);
            }
        }
        for detail in details {
            self.detail(detail, out);
        }
        for block in blocks {
            self.block(&block, out);
        }
    }

    /// One of OpenRouter's: of a proof, what stands beside the words is kept as it is.
    fn detail(&mut self, mut detail: Value, out: &mut Vec<Event>) {
        let choice = self.index;
        let text = detail.as_object_mut().and_then(|fields| words(fields.shift_remove("text")));
        if let Some(text) = text.filter(|text| *text != self.thought) {
            self.think(text, out);
        }
        let proof = || Signature { origin: Dialect::OpenAi, value: detail.to_string() };
        let event = match (says(&detail, "data"), says(&detail, "signature")) {
            (Some(_), _) => Event::SealedThinking { choice, sealed: proof() },
            (None, Some(_)) => Event::ThinkingSignature { choice, signature: proof() },
            (None, None) => return,
        };
        self.thought.clear();
        out.push(event);
    }

    fn think(&mut self, text: String, out: &mut Vec<Event>) {
        self.thought.push_str(&text);
        out.push(Event::Thinking { choice: self.index, text });
    }

    /// A block in Anthropic's form: a piece of thinking, or a whole one that ends with its proof.
    fn block(&mut self, block: &Value, out: &mut Vec<Event>) {
        let choice = self.index;
        let signed = |value: &str| Signature { origin: Dialect::Anthropic, value: value.to_owned() };
        if let Some(data) = block.get("data").and_then(Value::as_str) {
            out.push(Event::SealedThinking { choice, sealed: signed(data) });
        }
        let text = block.get("thinking").and_then(Value::as_str).unwrap_or_default();
        let signature = block.get("signature").and_then(Value::as_str).filter(|value| !value.is_empty());
        let repeated = signature.is_some() && self.thought == text;
        if !text.is_empty() && !repeated {
            self.think(text.to_owned(), out);
        }
        if let Some(value) = signature {
            self.thought.clear();
            out.push(Event::ThinkingSignature { choice, signature: signed(value) });
        }
    }

    fn content(&mut self, content: Value, out: &mut Vec<Event>) {
        let choice = self.index;
        match content {
            Value::String(text) if !text.is_empty() => out.push(Event::Text { choice, text }),
            Value::Array(list) => list.into_iter().for_each(|piece| self.piece(piece, out)),
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Object(_) => {}
        }
    }

    /// One of Mistral's content chunks.
    fn piece(&mut self, piece: Value, out: &mut Vec<Event>) {
        let choice = self.index;
        if let Value::String(text) = piece {
            return out.push(Event::Text { choice, text });
        }
        match (piece.get("type").and_then(Value::as_str), piece.get("text"), piece.get("thinking")) {
            (Some("text") | None, Some(Value::String(text)), _) => {
                out.push(Event::Text { choice, text: text.clone() });
            }
            (Some("thinking"), _, Some(Value::String(text))) => self.think(text.clone(), out),
            (Some("thinking"), _, Some(Value::Array(list))) => {
                let texts = list.iter().filter_map(|text| text.get("text").and_then(Value::as_str));
                let text: String = texts.collect();
                if !text.is_empty() {
                    self.think(text, out);
                }
            }
            // Databricks' own form of the same.
            (Some("reasoning"), ..) => {
                let text = piece.get("summary").and_then(details_text);
                text.into_iter().for_each(|text| self.think(text, out));
            }
            (Some("image_url"), ..) => out.push(Event::Part { choice, part: image_part(piece) }),
            _ => {
                let part = Part::Opaque(Opaque { origin: Dialect::OpenAi, value: piece });
                out.push(Event::Part { choice, part });
            }
        }
    }
}

/// What servers of this dialect call the end of an answer.
fn stop_of(word: String, sequence: Option<&str>) -> Stop {
    match word.as_str() {
        "stop" if sequence.is_some() => Stop::Sequence,
        "stop" | "eos" | "eos_token" | "end_turn" => Stop::End,
        "length" | "model_length" | "max_tokens" => Stop::Length,
        "tool_calls" | "function_call" => Stop::ToolUse,
        // Z.ai's word; Google's endpoint says what the filter found behind a colon.
        "content_filter" | "sensitive" => Stop::Filtered,
        word if word.starts_with("content_filter:") => Stop::Filtered,
        _ => Stop::Other(word),
    }
}

/// A string that says something.
fn words(value: Option<Value>) -> Option<String> {
    match value {
        Some(Value::String(text)) if !text.is_empty() => Some(text),
        _ => None,
    }
}

/// What an object's field says, if anything.
fn says<'v>(object: &'v Value, key: &str) -> Option<&'v str> {
    object.get(key)?.as_str().filter(|text| !text.is_empty())
}

fn array(value: Option<Value>) -> Vec<Value> {
    match value {
        Some(Value::Array(list)) => list,
        _ => Vec::new(),
    }
}

fn seconds(created: &Value) -> Option<u64> {
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "checked to be positive and within range"
    )]
    let whole = |time: f64| (0.0..1e15).contains(&time).then_some(time as u64);
    created.as_u64().or_else(|| float::of_value(created).and_then(whole))
}

fn details_text(details: &Value) -> Option<String> {
    let pieces = details.as_array()?.iter();
    let texts = pieces.filter_map(|piece| piece.get("text").or_else(|| piece.get("summary"))?.as_str());
    Some(texts.collect::<String>()).filter(|text| !text.is_empty())
}

/// Google's proof, taken out of `extra_content`; what else stands there stays.
fn take_signature(fields: &mut Fields) -> Option<String> {
    let google = fields.get_mut("extra_content")?.get_mut("google")?.as_object_mut()?;
    let signature = words(google.shift_remove("thought_signature"));
    if google.is_empty() {
        fields.shift_remove("extra_content");
    }
    signature
}

fn image_part(image: Value) -> Part {
    let url = image.get("image_url").and_then(|url| url.get("url").or(Some(url))?.as_str());
    let Some(url) = url else { return Part::Opaque(Opaque { origin: Dialect::OpenAi, value: image }) };
    Part::Image(Image { source: source_of(url), detail: None, cache: None })
}

/// A `data:` URL is content; any other is an address.
fn source_of(url: &str) -> MediaSource {
    let inline = url.strip_prefix("data:").and_then(|rest| rest.split_once(',')).and_then(|(kind, data)| {
        let media_type = kind.strip_suffix(";base64")?;
        let media_type = media_type.split(';').next().unwrap_or_default().to_ascii_lowercase();
        Some(MediaSource::Inline { media_type, data: data.to_owned() })
    });
    inline.unwrap_or_else(|| MediaSource::Url { url: url.to_owned(), media_type: None })
}

/// Generated sound does not say its format: the client asked for it.
fn audio_part(mut audio: Fields) -> Audio {
    let media_type = "application/octet-stream".to_owned();
    Audio {
        source: words(audio.shift_remove("data")).map(|data| MediaSource::Inline { media_type, data }),
        id: words(audio.shift_remove("id")),
        transcript: words(audio.shift_remove("transcript")),
        expires_at: audio.shift_remove("expires_at").as_ref().and_then(Value::as_u64),
    }
}
