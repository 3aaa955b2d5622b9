//! The conversation as `contents` and `systemInstruction`.
//!
//! What the API insists on: the first content is the user's and there is at least one; a content
//! with function calls is followed by one with as many responses in the same order, and nothing else
//! in it; a response names its function. Parts are never joined, since a signature belongs to the
//! part it came on.
//!
//! There is one place for instructions, before everything else. Those that come later in a
//! conversation stay where they stood, as tagged text of the user's: moved to the front they would
//! change what all earlier turns were said under, and every cached prefix with it.

mod results;

use super::model::{Family, Model};
use super::{Lost, LostAt, add_extras, media};
use crate::call::{
    Audio, Document, DocumentBody, Image, Message, Opaque, Part, Role, Signature, Text, Thinking, ToolCall,
    Video,
};
use crate::dialect::Dialect;
use crate::fault::Fault;
use crate::json::write::tree;
use crate::provider::Target;
use results::{Open, Results};
use serde_json::{Map, Value, json};

/// Tells Gemini 3 to accept a call from a history that lacks its signature. The field is bytes, so
/// this is `skip_thought_signature_validator` in base64
/// (<https://ai.google.dev/gemini-api/docs/thought-signatures>).
const NO_SIGNATURE: &str = "c2tpcF90aG91Z2h0X3NpZ25hdHVyZV92YWxpZGF0b3I=";

/// The two fields that the conversation fills.
pub(super) struct Said {
    pub(super) contents: Vec<Value>,
    pub(super) system: Option<Value>,
}

/// What a call says, instructions and conversation.
#[derive(Clone, Copy)]
pub(super) struct Asked<'a> {
    pub(super) system: &'a [Part],
    pub(super) messages: &'a [Message],
    pub(super) origin: Dialect,
}

pub(super) fn of(
    asked: Asked<'_>,
    model: Model,
    target: &Target<'_>,
    lost: &mut Lost,
) -> Result<Said, Fault> {
    let Asked { system, messages, origin } = asked;
    let mut writer = Writer {
        origin,
        model,
        target,
        lost,
        contents: Vec::new(),
        system: Vec::new(),
        asides: Vec::new(),
        results: Results::default(),
    };
    let instructions = writer.instructions("system", system);
    writer.system = instructions;
    for (at, message) in messages.iter().enumerate() {
        writer.message(at, message)?;
    }
    writer.close(End::OfConversation)?;
    // The API wants something from the user first, and does not take an empty text.
    if writer.contents.first().is_none_or(|first| first.speaker == Speaker::Model) {
        writer.contents.insert(0, Content::new(Speaker::User, json!({"text": " "})));
    }
    let system = (!writer.system.is_empty()).then(|| tree([("parts", writer.system.into())]));
    Ok(Said { contents: writer.contents.into_iter().map(Content::into_json).collect(), system })
}

/// Who speaks in a content. Responses are the user's too but stand alone.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Speaker {
    User,
    Model,
    Responses,
}

struct Content {
    speaker: Speaker,
    parts: Vec<Value>,
    extras: Map<String, Value>,
}

impl Content {
    fn new(speaker: Speaker, part: Value) -> Self {
        Self { speaker, parts: vec![part], extras: Map::new() }
    }

    fn into_json(self) -> Value {
        let Self { speaker, parts, extras } = self;
        let role = match speaker {
            Speaker::User | Speaker::Responses => "user",
            Speaker::Model => "model",
        };
        let mut content = tree([("role", role.into()), ("parts", parts.into())]);
        if let Some(content) = content.as_object_mut() {
            super::join(content, &extras);
        }
        content
    }
}

/// Why a turn's responses are asked for.
#[derive(Clone, Copy, PartialEq, Eq)]
enum End {
    /// Somebody else speaks.
    OfTurn,
    /// Nothing follows: calls may still be open.
    OfConversation,
}

struct Writer<'a> {
    origin: Dialect,
    model: Model,
    target: &'a Target<'a>,
    lost: &'a mut Lost,
    contents: Vec<Content>,
    system: Vec<Value>,
    /// Later instructions, until the user's turn they stand in.
    asides: Vec<Value>,
    results: Results,
}

impl Writer<'_> {
    fn message(&mut self, at: usize, message: &Message) -> Result<(), Fault> {
        let Message { role, name, parts, extras } = message;
        // On a tool's message it is the function's name, which the call tells.
        if name.is_some() && *role != Role::Tool {
            self.lost.add(format!("messages[{at}].name"));
        }
        match role {
            Role::System | Role::Developer => self.instruct(at, parts),
            Role::Tool => self.tool(at, parts)?,
            Role::User | Role::Assistant => {
                let results = parts.iter().enumerate().filter(|_| *role == Role::User);
                for (index, part) in results {
                    if let Part::ToolResult(result) = part {
                        self.results.add(format!("messages[{at}].content[{index}]"), result, self.lost);
                    }
                }
                self.close(End::OfTurn)?;
                let ids = Ids::of(message, self.origin);
                for (index, part) in parts.iter().enumerate() {
                    let path = path_of(at, index, parts, self.origin);
                    if matches!((role, part), (Role::User, Part::ToolResult(_))) {
                        continue;
                    }
                    match role {
                        Role::Assistant => self.part(Speaker::Model, part, &path, ids)?,
                        Role::User | Role::System | Role::Developer | Role::Tool => {
                            self.part(Speaker::User, part, &path, ids)?;
                        }
                    }
                }
            }
        }
        if extras.is_empty() {
            return Ok(());
        }
        let mut kept = Map::new();
        let lost = &mut LostAt { lost: self.lost, prefix: format!("messages[{at}].") };
        add_extras(&mut kept, extras, self.origin, lost);
        if let (Role::User | Role::Assistant, Some(content)) = (role, self.contents.last_mut()) {
            super::join(&mut content.extras, &kept);
        }
        Ok(())
    }

    fn instruct(&mut self, at: usize, parts: &[Part]) {
        let instructions = self.instructions(&format!("messages[{at}].content"), parts);
        if self.contents.is_empty() {
            return self.system.extend(instructions);
        }
        if !instructions.is_empty() {
            self.lost.add(format!("messages[{at}].role"));
        }
        self.asides.extend(instructions.into_iter().map(tagged));
    }

    /// `at` is the path of the list.
    fn instructions(&mut self, at: &str, parts: &[Part]) -> Vec<Value> {
        let mut instructions = Vec::new();
        for (index, part) in parts.iter().enumerate() {
            let path = format!("{at}[{index}]");
            match part {
                Part::Text(text) => {
                    self.lost.add_at(text.cache.as_ref(), &path, "cache_control");
                    if !text.text.is_empty() {
                        instructions.push(json!({"text": text.text}));
                    }
                }
                Part::Opaque(Opaque { origin: Dialect::Gemini, value }) => instructions.push(value.clone()),
                Part::Image(_)
                | Part::Audio(_)
                | Part::Video(_)
                | Part::Document(_)
                | Part::Thinking(_)
                | Part::Refusal(_)
                | Part::ToolCall(_)
                | Part::ToolResult(_)
                | Part::Opaque(_) => self.lost.add(path),
            }
        }
        instructions
    }

    fn tool(&mut self, at: usize, parts: &[Part]) -> Result<(), Fault> {
        for (index, part) in parts.iter().enumerate() {
            match part {
                Part::ToolResult(result) => {
                    self.results.add(format!("messages[{at}]"), result, self.lost);
                }
                Part::Text(_)
                | Part::Image(_)
                | Part::Audio(_)
                | Part::Video(_)
                | Part::Document(_)
                | Part::Thinking(_)
                | Part::Refusal(_)
                | Part::ToolCall(_)
                | Part::Opaque(_) => {
                    return Err(Fault::bad_field(
                        format!("messages[{at}].content[{index}]"),
                        "a tool result",
                        "another part",
                    ));
                }
            }
        }
        Ok(())
    }

    /// Writes the responses that have come to the calls that are open.
    fn close(&mut self, end: End) -> Result<(), Fault> {
        let results = std::mem::take(&mut self.results);
        let answered = results.answer(end, self.model, self.target, self.lost)?;
        if !answered.responses.is_empty() {
            let (parts, extras) = (answered.responses, Map::new());
            self.contents.push(Content { speaker: Speaker::Responses, parts, extras });
        }
        for part in answered.beside.into_iter().chain(std::mem::take(&mut self.asides)) {
            self.push(Speaker::User, part);
        }
        Ok(())
    }

    fn push(&mut self, speaker: Speaker, part: Value) {
        match self.contents.last_mut() {
            Some(last) if last.speaker == speaker => last.parts.push(part),
            _ => self.contents.push(Content::new(speaker, part)),
        }
    }

    fn part(&mut self, speaker: Speaker, part: &Part, path: &str, ids: Ids) -> Result<(), Fault> {
        match part {
            Part::Text(text) => self.text(speaker, text, path),
            Part::Image(image) => {
                let part = image_part(image, self.target, path, self.lost)?;
                self.push(speaker, part);
            }
            Part::Audio(audio) => self.audio(speaker, audio, path)?,
            Part::Video(Video { source }) => {
                let part = media::part(source, self.target, &format!("{path}.video_url"))?;
                self.push(speaker, Value::Object(part));
            }
            Part::Document(document) => {
                let parts = document_parts(document, self.target, path, self.lost)?;
                parts.into_iter().for_each(|part| self.push(speaker, part));
            }
            Part::Thinking(thinking) => self.thinking(speaker, thinking, path),
            Part::Refusal(words) => self.push(speaker, json!({"text": words})),
            Part::ToolCall(call) => self.call(call, path, ids)?,
            Part::ToolResult(_) => {
                return Err(Fault::bad_field(path, "a part of a user or assistant message", "a tool result"));
            }
            Part::Opaque(Opaque { origin, value }) => {
                let value = (*origin == Dialect::Gemini).then(|| value.clone());
                self.lost_or_pushed(speaker, value, path);
            }
        }
        Ok(())
    }

    fn lost_or_pushed(&mut self, speaker: Speaker, part: Option<Value>, path: &str) {
        match part {
            Some(part) => self.push(speaker, part),
            None => self.lost.add(path),
        }
    }

    fn text(&mut self, speaker: Speaker, text: &Text, path: &str) {
        let Text { text, cache, signature, citations } = text;
        self.lost.add_at(cache.as_ref(), path, "cache_control");
        self.lost.add_at(citations.as_ref(), path, "annotations");
        let signature = ours(signature.as_ref());
        // An empty text is refused, unless a signature hangs on it.
        if text.is_empty() && signature.is_none() {
            return;
        }
        self.push(speaker, signed(json!({"text": text}), signature));
    }

    fn audio(&mut self, speaker: Speaker, audio: &Audio, path: &str) -> Result<(), Fault> {
        let Audio { source, id, transcript, expires_at: _ } = audio;
        match (source, transcript) {
            (Some(source), _) => {
                let part = media::part(source, self.target, &format!("{path}.input_audio"))?;
                self.push(speaker, Value::Object(part));
            }
            // An earlier answer's sound is elsewhere; its words are the best there is.
            (None, Some(words)) => {
                self.lost.add_at(id.as_ref(), path, "audio");
                self.push(speaker, json!({"text": words}));
            }
            (None, None) => self.lost.add(format!("{path}.audio")),
        }
        Ok(())
    }

    /// Readable thoughts are not sent back; the provider's own proof of them is. What another
    /// provider sealed or signed cannot be carried.
    fn thinking(&mut self, speaker: Speaker, thinking: &Thinking, path: &str) {
        let Thinking { text: _, signature, sealed } = thinking;
        if let Some(signature) = ours(signature.as_ref()) {
            self.push(speaker, signed(json!({"text": "", "thought": true}), Some(signature)));
        } else if signature.is_some() || sealed.is_some() {
            self.lost.add(path);
        }
    }

    fn call(&mut self, call: &ToolCall, path: &str, ids: Ids) -> Result<(), Fault> {
        let ToolCall { id, name, arguments, signature, cache } = call;
        self.lost.add_at(cache.as_ref(), path, "cache_control");
        let args = match self.origin {
            Dialect::OpenAi | Dialect::OpenAiResponses | Dialect::Cohere | Dialect::Ollama => {
                arguments_object(arguments, &format!("{path}.function.arguments"))?
            }
            Dialect::Anthropic => arguments_object(arguments, &format!("{path}.input"))?,
            Dialect::Gemini => arguments_object(arguments, &format!("{path}.args"))?,
            Dialect::Bedrock => arguments_object(arguments, &format!("{path}.toolUse.input"))?,
        };
        let echoed = ids.echo(id);
        let mut function = json!({"name": name, "args": args});
        if let (Some(id), Some(function)) = (echoed, function.as_object_mut()) {
            function.insert("id".to_owned(), Value::from(id));
        }
        // Only the first call of a step is checked, and only from Gemini 3 on.
        let first = self.results.open.is_empty();
        let needed = first && self.model.family == Family::V3;
        let signature = ours(signature.as_ref()).or(needed.then_some(NO_SIGNATURE));
        self.push(Speaker::Model, signed(json!({"functionCall": function}), signature));
        let (id, name, echoed) = (id.clone(), name.clone(), echoed.map(str::to_owned));
        self.results.open.push(Open { id, name, echoed, path: path.to_owned() });
        Ok(())
    }
}

/// Instructions within a user's turn, told apart from what the user says.
fn tagged(mut part: Value) -> Value {
    if let Some(Value::String(text)) = part.get_mut("text") {
        *text = format!("<system>\n{text}\n</system>");
    }
    part
}

/// A part by the name its dialect gives it: OpenAI's calls stand in a list of their own.
fn path_of(at: usize, index: usize, parts: &[Part], origin: Dialect) -> String {
    let is_call = |part: &Part| matches!(part, Part::ToolCall(_));
    match origin {
        Dialect::OpenAi | Dialect::OpenAiResponses if parts.get(index).is_some_and(is_call) => {
            let call = parts.iter().take(index).filter(|part| is_call(part)).count();
            format!("messages[{at}].tool_calls[{call}]")
        }
        Dialect::OpenAi
        | Dialect::OpenAiResponses
        | Dialect::Bedrock
        | Dialect::Cohere
        | Dialect::Ollama
        | Dialect::Anthropic
        | Dialect::Gemini => {
            format!("messages[{at}].content[{index}]")
        }
    }
}

/// Whether ids of tool calls in a message are Gemini's own. It gives them since version 3, together
/// with a signature on the first call; ids that were invented on the way must not be sent to it.
#[derive(Clone, Copy)]
enum Ids {
    Theirs,
    Invented,
}

impl Ids {
    fn of(message: &Message, origin: Dialect) -> Self {
        let signed = message.parts.iter().any(|part| match part {
            Part::ToolCall(call) => ours(call.signature.as_ref()).is_some(),
            Part::Text(_)
            | Part::Image(_)
            | Part::Audio(_)
            | Part::Video(_)
            | Part::Document(_)
            | Part::Thinking(_)
            | Part::Refusal(_)
            | Part::ToolResult(_)
            | Part::Opaque(_) => false,
        });
        if signed || origin == Dialect::Gemini { Self::Theirs } else { Self::Invented }
    }

    /// The decoder's own invention begins with `call_`, as OpenAI's ids do.
    fn echo(self, id: &str) -> Option<&str> {
        match self {
            Self::Theirs if !id.starts_with("call_") => Some(id),
            Self::Theirs | Self::Invented => None,
        }
    }
}

/// The value of a signature that Gemini gave.
fn ours(signature: Option<&Signature>) -> Option<&str> {
    signature
        .filter(|signature| signature.origin == Dialect::Gemini)
        .map(|signature| signature.value.as_str())
}

fn signed(mut part: Value, signature: Option<&str>) -> Value {
    if let (Some(signature), Some(part)) = (signature, part.as_object_mut()) {
        part.insert("thoughtSignature".to_owned(), Value::from(signature));
    }
    part
}

/// Arguments are an object on this wire; an empty text is what some models write for none.
fn arguments_object(arguments: &str, path: &str) -> Result<Value, Fault> {
    if arguments.trim().is_empty() {
        return Ok(json!({}));
    }
    let parsed = serde_json::from_str::<Value>(arguments).ok().filter(Value::is_object);
    parsed.ok_or_else(|| Fault::bad_field(path, "a JSON object", "other text"))
}

fn image_part(image: &Image, target: &Target<'_>, path: &str, lost: &mut Lost) -> Result<Value, Fault> {
    let Image { source, detail, cache } = image;
    if detail.as_deref().is_some_and(|detail| detail != "auto") {
        lost.add(format!("{path}.image_url.detail"));
    }
    lost.add_at(cache.as_ref(), path, "cache_control");
    Ok(Value::Object(media::part(source, target, &format!("{path}.image_url"))?))
}

/// Nothing, and a note, for a form that only another dialect has. There are no text documents here:
/// their words are text, with a tag around them that says what else is known.
fn document_parts(
    document: &Document,
    target: &Target<'_>,
    path: &str,
    lost: &mut Lost,
) -> Result<Vec<Value>, Fault> {
    let Document { body, title, about, citations, cache } = document;
    lost.add_at(citations.as_ref(), path, "citations");
    lost.add_at(cache.as_ref(), path, "cache_control");
    let (title, about) = (title.as_deref(), about.as_deref());
    let text = |text: String| json!({"text": text});
    Ok(match body {
        DocumentBody::Media(source) => {
            lost.add_at(title, path, "file.filename");
            lost.add_at(about, path, "context");
            vec![Value::Object(media::part(source, target, &format!("{path}.file"))?)]
        }
        DocumentBody::Text(Text { text: words, .. }) => {
            let tag = tag([("title", title), ("context", about)]);
            let tagged = tag.map(|tag| format!("{tag}\n{words}\n</document>"));
            vec![text(tagged.unwrap_or_else(|| words.clone()))]
        }
        DocumentBody::Parts(parts) => {
            tagged_parts(tag([("title", title), ("context", about)]), parts, target, path, lost)?
        }
        DocumentBody::Found { at, parts } => {
            let tag = tag([("title", title), ("source", Some(at)), ("context", about)]);
            tagged_parts(tag, parts, target, path, lost)?
        }
        DocumentBody::Opaque(Opaque { origin: Dialect::Gemini, value }) => vec![value.clone()],
        DocumentBody::Opaque(_) => {
            lost.add(path);
            Vec::new()
        }
    })
}

fn tag<const N: usize>(said: [(&str, Option<&str>); N]) -> Option<String> {
    let said = said.iter().filter_map(|(name, value)| Some((name, (*value)?)));
    let fields: String = said.map(|(name, value)| format!(" {name}={}", Value::from(value))).collect();
    (!fields.is_empty()).then(|| format!("<document{fields}>"))
}

fn tagged_parts(
    tag: Option<String>,
    parts: &[Part],
    target: &Target<'_>,
    path: &str,
    lost: &mut Lost,
) -> Result<Vec<Value>, Fault> {
    let closing = tag.is_some().then(|| json!({"text": "</document>"}));
    let mut list: Vec<Value> = tag.map(|tag| json!({"text": tag})).into_iter().collect();
    for (index, part) in parts.iter().enumerate() {
        let path = format!("{path}.content[{index}]");
        match part {
            Part::Text(text) => {
                lost.add_at(text.cache.as_ref(), &path, "cache_control");
                list.push(json!({"text": text.text}));
            }
            Part::Image(image) => list.push(image_part(image, target, &path, lost)?),
            Part::Audio(_)
            | Part::Video(_)
            | Part::Document(_)
            | Part::Thinking(_)
            | Part::Refusal(_)
            | Part::ToolCall(_)
            | Part::ToolResult(_)
            | Part::Opaque(_) => lost.add(path),
        }
    }
    list.extend(closing);
    Ok(list)
}
