//! The conversation: items, of which those that make up one turn of the model's become one message.

use crate::call::{
    Audio, Document, DocumentBody, Image, MediaSource, Message, Opaque, Part, Role, Signature, Text,
    Thinking, ToolCall, ToolResult,
};
use crate::dialect::Dialect;
use crate::fault::Fault;
use crate::sort::Map;
use crate::surface::fields::{Fields, noun};
use crate::surface::openai_responses::words;
use crate::surface::proof::{self, Of, Proof};
use serde_json::Value;

/// `input`, taken out of the body, with the names of tools filled into their results.
pub(super) fn parse(fields: &mut Fields) -> Result<Vec<Message>, Fault> {
    let mut turns = Turns::default();
    match fields.value("input") {
        // Without one the conversation is what the provider has kept.
        None => {}
        Some(Value::String(text)) => turns.say(Role::User, vec![Part::Text(Text::new(text))]),
        Some(Value::Array(list)) => {
            for (i, item) in list.into_iter().enumerate() {
                turns.item(item, &format!("input[{i}]"))?;
            }
        }
        Some(other) => return Err(fields.wrong("input", "a string or an array of items", &other)),
    }
    Ok(turns.messages)
}

/// The conversation in the making.
#[derive(Default)]
struct Turns {
    messages: Vec<Message>,
    /// The function each call asked for, by the call's id.
    names: Map<String, String>,
    /// A proof of the call that comes next.
    carried: Option<Signature>,
}

/// Fields of items and parts that say nothing to anybody but the provider they came from.
const NOTES: [&str; 5] = ["id", "status", "type", "annotations", "logprobs"];

impl Turns {
    fn say(&mut self, role: Role, parts: Vec<Part>) {
        self.messages.push(Message { role, name: None, parts, extras: Default::default() });
    }

    /// What is left of an item, or of a part of one, and nobody knows: named by the last message's part
    /// it stood at, or by the message.
    fn leave(&mut self, at: Option<usize>, mut rest: Fields) {
        NOTES.iter().for_each(|note| rest.drop(note));
        let Some(message) = self.messages.last_mut() else { return };
        for (key, value) in rest.rest() {
            let name = at.map_or_else(|| key.clone(), |at| format!("content[{at}].{key}"));
            message.extras.insert(name, value);
        }
    }

    /// How many parts the last message has, with which the next item's are numbered on.
    fn last_part(&self) -> Option<usize> {
        self.messages.last()?.parts.len().checked_sub(1)
    }

    /// Another item of the model's: of the same turn, unless both are messages.
    fn answer(&mut self, parts: Vec<Part>) {
        let speaks = |part: Option<&Part>| part.is_some_and(words::is_content);
        match self.messages.last_mut() {
            Some(Message { role: Role::Assistant, parts: before, .. })
                if !(speaks(before.last()) && speaks(parts.first())) =>
            {
                before.extend(parts);
            }
            _ => self.say(Role::Assistant, parts),
        }
    }

    fn item(&mut self, item: Value, path: &str) -> Result<(), Fault> {
        let kind = item.get("type").and_then(Value::as_str).unwrap_or("message").to_owned();
        match kind.as_str() {
            "message" => self.message(Fields::of(item, path)?),
            "function_call" => self.call(Fields::of(item, path)?),
            "function_call_output" => self.result(Fields::of(item, path)?),
            "reasoning" => self.reasoning(Fields::of(item, path)?),
            _ => {
                self.answer(vec![Part::Opaque(Opaque { origin: Dialect::OpenAiResponses, value: item })]);
                Ok(())
            }
        }
    }

    fn message(&mut self, mut fields: Fields) -> Result<(), Fault> {
        let role = match fields.needed_text("role")?.as_str() {
            "system" => Role::System,
            "developer" => Role::Developer,
            "user" => Role::User,
            "assistant" => Role::Assistant,
            _ => return Err(Fault::bad_field(fields.path("role"), "a known role", "another word")),
        };
        let Content { parts, rests } = content(&mut fields, "content")?;
        let count = parts.len();
        if role == Role::Assistant {
            self.answer(parts);
        } else {
            self.say(role, parts);
        }
        let first = self.messages.last().map_or(0, |message| message.parts.len() - count);
        for (at, rest) in rests {
            self.leave(Some(first + at), rest);
        }
        self.leave(if role == Role::Assistant { Some(first) } else { None }, fields);
        Ok(())
    }

    fn call(&mut self, mut fields: Fields) -> Result<(), Fault> {
        let (id, name) = (fields.needed_text("call_id")?, fields.needed_text("name")?);
        let arguments = fields.text("arguments")?.unwrap_or_default();
        self.names.insert(id.clone(), name.clone());
        let signature = self.carried.take();
        self.answer(vec![Part::ToolCall(ToolCall { id, name, arguments, signature, cache: None })]);
        self.leave(self.last_part(), fields);
        Ok(())
    }

    fn result(&mut self, mut fields: Fields) -> Result<(), Fault> {
        let call_id = fields.needed_text("call_id")?;
        let name = self.names.get(&call_id).cloned();
        let Content { parts, rests } = content(&mut fields, "output")?;
        let result = ToolResult { call_id, name, parts, failed: None, cache: None };
        self.say(Role::Tool, vec![Part::ToolResult(result)]);
        for (at, rest) in rests {
            self.leave(Some(at), rest);
        }
        self.leave(None, fields);
        Ok(())
    }

    fn reasoning(&mut self, mut fields: Fields) -> Result<(), Fault> {
        let id = fields.text("id")?;
        let mut texts = readable(&mut fields, "summary")?;
        if texts.is_empty() {
            texts = readable(&mut fields, "content")?;
        }
        let mut thinking = Thinking { text: texts.join("\n\n"), ..Thinking::default() };
        let encrypted = fields.text("encrypted_content")?.filter(|text| !text.is_empty());
        match encrypted.map(|text| proof::read(text, Dialect::OpenAiResponses)) {
            None | Some(Proof::Missing) => {}
            Some(Proof::Of(Of::Thinking, signature)) => {
                thinking.signature = Some(words::with_id(signature, id.as_deref()));
            }
            Some(Proof::Of(Of::Sealed, sealed)) => thinking.sealed = Some(sealed),
            Some(Proof::Of(Of::Call, signature)) => self.carried = Some(signature),
            Some(Proof::Of(Of::Text, signature)) => return self.sign(signature),
            Some(Proof::Of(Of::Block, block)) => return self.block(&block),
        }
        if thinking != Thinking::default() {
            self.answer(vec![Part::Thinking(thinking)]);
        }
        Ok(())
    }

    /// The text before it is signed.
    fn sign(&mut self, proof: Signature) -> Result<(), Fault> {
        let signature = Some(proof);
        match self.messages.last_mut() {
            Some(Message { role: Role::Assistant, parts, .. }) => match parts.last_mut() {
                Some(Part::Text(text)) => text.signature = signature,
                _ => parts.push(Part::Text(Text { signature, ..Text::default() })),
            },
            _ => self.answer(vec![Part::Text(Text { signature, ..Text::default() })]),
        }
        Ok(())
    }

    /// A block of another dialect; what is none any longer is nothing.
    fn block(&mut self, block: &Signature) -> Result<(), Fault> {
        if let Ok(value) = serde_json::from_str(&block.value) {
            self.answer(vec![Part::Opaque(Opaque { origin: block.origin, value })]);
        }
        Ok(())
    }
}

/// The texts of a reasoning's summary or content.
fn readable(fields: &mut Fields, key: &str) -> Result<Vec<String>, Fault> {
    let at = fields.path(key);
    let list = fields.list(key)?.into_iter().enumerate();
    list.map(|(j, part)| Fields::of(part, format!("{at}[{j}]"))?.needed_text("text")).collect()
}

/// A content's parts, and what is left of each by its place.
#[derive(Default)]
struct Content {
    parts: Vec<Part>,
    rests: Vec<(usize, Fields)>,
}

/// A content: a string, or a list of parts.
fn content(fields: &mut Fields, key: &str) -> Result<Content, Fault> {
    match fields.value(key) {
        None => Err(Fault::missing_field(fields.path(key), "a string or an array of parts")),
        Some(Value::String(text)) => {
            Ok(Content { parts: vec![Part::Text(Text::new(text))], rests: Vec::new() })
        }
        Some(Value::Array(list)) => {
            let (at, mut content) = (fields.path(key), Content::default());
            for (j, value) in list.into_iter().enumerate() {
                let path = format!("{at}[{j}]");
                if !value.is_object() {
                    return Err(Fault::bad_field(path, "an object", noun(&value)));
                }
                let mut rest = Fields::of(value, &path)?;
                let part = part(&mut rest)?;
                // What is kept whole has no rest.
                if !matches!(part, Part::Opaque(_)) {
                    content.rests.push((j, rest));
                }
                content.parts.push(part);
            }
            Ok(content)
        }
        Some(other) => Err(fields.wrong(key, "a string or an array of parts", &other)),
    }
}

/// One part, taken out of its fields. Of an unknown type it is kept whole.
fn part(fields: &mut Fields) -> Result<Part, Fault> {
    let kind = fields.needed_word("type")?;
    Ok(match kind.as_str() {
        "input_text" | "output_text" | "text" => Part::Text(Text::new(fields.needed_text("text")?)),
        "refusal" => Part::Refusal(fields.needed_text("refusal")?),
        "input_image" => Part::Image(image(fields)?),
        "input_file" => Part::Document(file(fields)?),
        "input_audio" => Part::Audio(audio(fields)?),
        _ => Part::Opaque(Opaque { origin: Dialect::OpenAiResponses, value: fields.everything() }),
    })
}

fn image(fields: &mut Fields) -> Result<Image, Fault> {
    let source = match (fields.text("image_url")?, fields.text("file_id")?) {
        (Some(url), _) => source_of(&url, &fields.path("image_url"))?,
        (None, Some(id)) => MediaSource::File { id, media_type: None, origin: Dialect::OpenAi },
        (None, None) => return Err(Fault::missing_field(fields.path("image_url"), "a string, or a file_id")),
    };
    // `auto` is what unsaid means.
    let detail = fields.text("detail")?.filter(|detail| detail != "auto");
    Ok(Image { source, detail, cache: None })
}

fn file(fields: &mut Fields) -> Result<Document, Fault> {
    let title = fields.text("filename")?;
    let source = match (fields.text("file_data")?, fields.text("file_url")?, fields.text("file_id")?) {
        (Some(data), _, _) => match source_of(&data, &fields.path("file_data"))? {
            // Bare base64, which is a PDF mostly.
            MediaSource::Url { url, .. } => {
                MediaSource::Inline { media_type: "application/pdf".to_owned(), data: url }
            }
            source @ (MediaSource::Inline { .. } | MediaSource::File { .. }) => source,
        },
        (None, Some(url), _) => source_of(&url, &fields.path("file_url"))?,
        (None, None, Some(id)) => MediaSource::File { id, media_type: None, origin: Dialect::OpenAi },
        (None, None, None) => {
            return Err(Fault::missing_field(fields.path("file_data"), "a string, or a file_url or file_id"));
        }
    };
    Ok(Document { body: DocumentBody::Media(source), title, about: None, citations: None, cache: None })
}

fn audio(fields: &mut Fields) -> Result<Audio, Fault> {
    let missing = Fault::missing_field(fields.path("input_audio"), "an object with data and format");
    let mut object = fields.object("input_audio")?.ok_or(missing)?;
    let media_type = match object.needed_text("format")?.as_str() {
        "mp3" => "audio/mpeg".to_owned(),
        other => format!("audio/{}", other.to_ascii_lowercase()),
    };
    let source = Some(MediaSource::Inline { media_type, data: object.needed_text("data")? });
    Ok(Audio { source, id: None, transcript: None, expires_at: None })
}

/// A `data:` URL is content, and then base64; any other is an address.
fn source_of(url: &str, path: &str) -> Result<MediaSource, Fault> {
    let Some(content) = url.strip_prefix("data:") else {
        return Ok(MediaSource::Url { url: url.to_owned(), media_type: None });
    };
    let inline = content.split_once(',').and_then(|(kind, data)| {
        let media_type = kind.strip_suffix(";base64")?;
        let media_type = media_type.split(';').next().unwrap_or_default().to_ascii_lowercase();
        Some(MediaSource::Inline { media_type, data: data.to_owned() })
    });
    inline
        .ok_or_else(|| Fault::bad_field(path, "data:<media type>;base64,<data>", "another form of data URL"))
}
