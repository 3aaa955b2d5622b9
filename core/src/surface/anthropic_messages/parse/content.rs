//! Content blocks as parts.

use crate::call::{
    Document, DocumentBody, Extras, Image, MediaSource, Opaque, Part, Signature, Text, Thinking, ToolCall,
    ToolResult, ids,
};
use crate::dialect::Dialect;
use crate::fault::Fault;
use crate::sort::Map;
use crate::surface::fields::{Fields, noun};
use crate::surface::proof::{self, Of, Proof};
use serde_json::Value;

/// The function each call asked for, by the call's id.
pub(super) type Names = Map<String, String>;

/// Blocks that only this dialect has, whatever their name begins with: the provider's own tools.
const HOSTED: [&str; 2] = ["_tool_use", "_tool_result"];
/// And others by their whole names.
const OWN: [&str; 4] = ["container_upload", "tool_reference", "compaction", "fallback"];

/// Where a block stands: by its path for faults, and below what it belongs to for fields nobody knows.
pub(super) struct Place {
    pub(super) path: String,
    pub(super) key: String,
}

impl Place {
    fn within(&self, field: &str, j: usize) -> Self {
        let Self { path, key } = self;
        Self { path: format!("{path}.{field}[{j}]"), key: format!("{key}.{field}[{j}]") }
    }
}

/// A block that was read.
pub(super) struct Block {
    pub(super) part: Part,
    /// A proof for the call that follows, or for the text before.
    carried: Option<Carried>,
    /// Fields of it that nobody knows, by their path: `content[2].new`.
    pub(super) rest: Extras,
}

/// A proof of something else than the block it stands in.
struct Carried {
    of: Of,
    signature: Signature,
}

/// A message's content: its parts, and fields of theirs that nobody knows.
#[derive(Default)]
pub(super) struct Content {
    pub(super) parts: Vec<Part>,
    pub(super) extras: Extras,
}

/// Takes `content` out of a message.
pub(super) fn of_message(message: &mut Fields, names: &mut Names) -> Result<Content, Fault> {
    let mut content = Content::default();
    let list = match message.value("content") {
        Some(Value::String(text)) => {
            content.parts.push(Part::Text(Text::new(text)));
            return Ok(content);
        }
        Some(Value::Array(list)) => list,
        None => return Err(Fault::missing_field(message.path("content"), "a string or an array of blocks")),
        Some(other) => return Err(message.wrong("content", "a string or an array of blocks", &other)),
    };
    let mut for_call = None;
    for (j, value) in list.into_iter().enumerate() {
        let key = format!("content[{j}]");
        let Block { mut part, carried, rest } =
            block(value, &Place { path: message.path(&key), key }, names)?;
        content.extras.extend(rest);
        if let Part::ToolCall(call) = &mut part {
            call.signature = for_call.take();
        }
        match carried {
            // The block was there to carry the proof, unless it says something too.
            Some(Carried { of: Of::Call, signature }) => {
                for_call = Some(signature);
                content.parts.extend(Some(part).filter(says_something));
            }
            Some(Carried { of: Of::Text, signature }) => sign(&mut content.parts, signature),
            Some(Carried { of: Of::Thinking | Of::Sealed | Of::Block, .. }) | None => {
                content.parts.push(part)
            }
        }
    }
    Ok(content)
}

fn says_something(part: &Part) -> bool {
    !matches!(part, Part::Thinking(thinking) if *thinking == Thinking::default())
}

/// Puts a proof on the text before it.
fn sign(parts: &mut Vec<Part>, signature: Signature) {
    match parts.last_mut() {
        Some(Part::Text(text)) if text.signature.is_none() => text.signature = Some(signature),
        _ => parts.push(Part::Text(Text { signature: Some(signature), ..Text::default() })),
    }
}

/// One block.
pub(super) fn block(value: Value, place: &Place, names: &mut Names) -> Result<Block, Fault> {
    let Place { path, key } = place;
    if !value.is_object() {
        return Err(Fault::bad_field(path, "an object with a type", noun(&value)));
    }
    let mut fields = Fields::of(value, path)?;
    let kind = fields.needed_word("type")?;
    let mut inner = Extras::new();
    let mut carried = None;
    let part = match kind.as_str() {
        "text" => Part::Text(text(&mut fields)?),
        "image" => Part::Image(image(&mut fields, place, &mut inner)?),
        "document" => Part::Document(document(&mut fields, place, &mut inner)?),
        "search_result" => Part::Document(search_result(&mut fields, place, &mut inner)?),
        "thinking" => {
            let thought = thinking(&mut fields)?;
            carried = thought.carried;
            Part::Thinking(thought.thinking)
        }
        "redacted_thinking" => Part::Thinking(sealed(fields.needed_text("data")?)),
        "tool_use" => Part::ToolCall(tool_call(&mut fields, names)?),
        "tool_result" => Part::ToolResult(tool_result(&mut fields, place, names, &mut inner)?),
        kind if OWN.contains(&kind) || HOSTED.iter().any(|ending| kind.ends_with(ending)) => {
            let part = Part::Opaque(Opaque { origin: Dialect::Anthropic, value: fields.everything() });
            return Ok(Block { part, carried: None, rest: Extras::new() });
        }
        _ => return Err(Fault::bad_field(fields.path("type"), "a known content block", "another word")),
    };
    fields.drop("type");
    let rest = fields.rest().into_iter().map(|(name, value)| (format!("{key}.{name}"), value));
    Ok(Block { part, carried, rest: inner.into_iter().chain(rest).collect() })
}

fn text(fields: &mut Fields) -> Result<Text, Fault> {
    let citations = fields.list("citations")?;
    let citations = (!citations.is_empty())
        .then_some(Opaque { origin: Dialect::Anthropic, value: Value::Array(citations) });
    Ok(Text { text: fields.needed_text("text")?, cache: fields.cache()?, signature: None, citations })
}

fn image(fields: &mut Fields, place: &Place, rest: &mut Extras) -> Result<Image, Fault> {
    let cache = fields.cache()?;
    let mut source = source(fields)?;
    let kind = source.needed_text("type")?;
    let media = media(&kind, &mut source)?.ok_or_else(|| wrong_source(&source, "base64, url or file"))?;
    rest.extend(rest_of(source, place));
    Ok(Image { source: media, detail: None, cache })
}

fn source(fields: &mut Fields) -> Result<Fields, Fault> {
    let missing = Fault::missing_field(fields.path("source"), "an object with a type");
    fields.object("source")?.ok_or(missing)
}

/// Fields of a source that nobody knows.
fn rest_of(source: Fields, place: &Place) -> Extras {
    let named = |(name, value)| (format!("{}.source.{name}", place.key), value);
    source.rest().into_iter().map(named).collect()
}

fn wrong_source(source: &Fields, expected: &str) -> Fault {
    Fault::bad_field(source.path("type"), expected, "another word")
}

/// A picture or a file; `None` for a source of another type.
fn media(kind: &str, source: &mut Fields) -> Result<Option<MediaSource>, Fault> {
    Ok(Some(match kind {
        "base64" => MediaSource::Inline {
            media_type: source.needed_text("media_type")?.to_ascii_lowercase(),
            data: source.needed_text("data")?,
        },
        "url" => MediaSource::Url { url: source.needed_text("url")?, media_type: None },
        "file" => MediaSource::File {
            id: source.needed_text("file_id")?,
            media_type: None,
            origin: Dialect::Anthropic,
        },
        _ => return Ok(None),
    }))
}

fn document(fields: &mut Fields, place: &Place, rest: &mut Extras) -> Result<Document, Fault> {
    let cache = fields.cache()?;
    let mut source = source(fields)?;
    let kind = source.needed_text("type")?;
    let body = match kind.as_str() {
        "text" => {
            // There is only `text/plain`.
            source.drop("media_type");
            DocumentBody::Text(Text::new(source.needed_text("data")?))
        }
        "content" => {
            let (content, place) = (
                source.value("content"),
                Place { path: format!("{}.source", place.path), key: format!("{}.source", place.key) },
            );
            DocumentBody::Parts(within(content, "content", &place, rest)?)
        }
        kind => {
            let media = media(kind, &mut source)?;
            let expected = "base64, text, content, url or file";
            DocumentBody::Media(media.ok_or_else(|| wrong_source(&source, expected))?)
        }
    };
    rest.extend(rest_of(source, place));
    Ok(Document {
        body,
        title: fields.text("title")?,
        about: fields.text("context")?,
        citations: enabled(fields.value("citations")),
        cache,
    })
}

/// Citations that are switched off are what there is without the field.
fn enabled(citations: Option<Value>) -> Option<Value> {
    citations.filter(|switch| switch.get("enabled") != Some(&Value::Bool(false)))
}

fn search_result(fields: &mut Fields, place: &Place, rest: &mut Extras) -> Result<Document, Fault> {
    let (at, content) = (fields.needed_text("source")?, fields.value("content"));
    let parts = within(content, "content", place, rest)?;
    Ok(Document {
        body: DocumentBody::Found { at, parts },
        title: Some(fields.needed_text("title")?),
        about: None,
        citations: enabled(fields.value("citations")),
        cache: fields.cache()?,
    })
}

/// Blocks within another, or text.
fn within(content: Option<Value>, field: &str, place: &Place, rest: &mut Extras) -> Result<Vec<Part>, Fault> {
    let path = format!("{}.{field}", place.path);
    match content {
        None => Ok(Vec::new()),
        Some(Value::String(text)) => Ok(vec![Part::Text(Text::new(text))]),
        Some(Value::Array(list)) => {
            let mut parts = Vec::with_capacity(list.len());
            for (j, value) in list.into_iter().enumerate() {
                let inner = block(value, &place.within(field, j), &mut Names::default())?;
                rest.extend(inner.rest);
                parts.push(inner.part);
            }
            Ok(parts)
        }
        Some(other) => Err(Fault::bad_field(path, "a string or an array of blocks", noun(&other))),
    }
}

/// A thinking block.
struct Thought {
    thinking: Thinking,
    carried: Option<Carried>,
}

fn thinking(fields: &mut Fields) -> Result<Thought, Fault> {
    let mut thinking = Thinking { text: fields.needed_text("thinking")?, ..Thinking::default() };
    let mut carried = None;
    match proof::read(fields.text("signature")?.unwrap_or_default(), Dialect::Anthropic) {
        Proof::Missing | Proof::Of(Of::Block, _) => {}
        Proof::Of(Of::Thinking | Of::Sealed, signature) => thinking.signature = Some(signature),
        Proof::Of(of @ (Of::Call | Of::Text), signature) => carried = Some(Carried { of, signature }),
    }
    Ok(Thought { thinking, carried })
}

fn sealed(data: String) -> Thinking {
    match proof::read(data, Dialect::Anthropic) {
        Proof::Of(_, sealed) => Thinking { sealed: Some(sealed), ..Thinking::default() },
        Proof::Missing => Thinking::default(),
    }
}

fn tool_call(fields: &mut Fields, names: &mut Names) -> Result<ToolCall, Fault> {
    let id = ids::original(&fields.needed_text("id")?);
    let name = fields.needed_text("name")?;
    let arguments = match fields.value("input") {
        Some(input @ Value::Object(_)) => input.to_string(),
        None => return Err(Fault::missing_field(fields.path("input"), "an object")),
        Some(other) => return Err(fields.wrong("input", "an object", &other)),
    };
    names.insert(id.clone(), name.clone());
    Ok(ToolCall { id, name, arguments, signature: None, cache: fields.cache()? })
}

fn tool_result(
    fields: &mut Fields,
    place: &Place,
    names: &Names,
    rest: &mut Extras,
) -> Result<ToolResult, Fault> {
    let call_id = ids::original(&fields.needed_text("tool_use_id")?);
    let content = fields.value("content");
    Ok(ToolResult {
        name: names.get(&call_id).cloned(),
        call_id,
        parts: within(content, "content", place, rest)?,
        failed: fields.flag("is_error")?,
        cache: fields.cache()?,
    })
}
