//! One part of a content.

use super::contents::{Given, Open};
use super::{camel, item, list, object};
use crate::call::{
    Audio, Document, DocumentBody, Extras, Image, MediaSource, Opaque, Part, Signature, Text, Thinking,
    ToolCall, ToolResult, Video,
};
use crate::dialect::Dialect;
use crate::fault::Fault;
use crate::surface::fields::Fields;
use crate::surface::gemini::proof::{self, Proof};
use serde_json::{Map, Value};

/// How ids begin that are made up here, for calls that have none.
pub(super) const INVENTED: &str = "call_";

/// Fields whose parts have a canonical word.
const WORDED: [&str; 4] = ["text", "functionResponse", "inlineData", "inline_data"];

/// A part, and its fields without a canonical word.
pub(super) struct Parsed {
    pub(super) part: Part,
    pub(super) rest: Extras,
}

/// Reads a part. `open` are the calls that wait for an answer.
pub(super) fn parse(value: Value, path: &str, open: &mut Vec<Open>) -> Result<Parsed, Fault> {
    // What says one of these is never kept whole, and may be long.
    let said = |key| value.get(key).is_some_and(|value| !value.is_null());
    let whole = if WORDED.into_iter().any(said) { Value::Null } else { value.clone() };
    let mut fields = item(value, path)?;
    if let Some(block) = kept_block(&fields) {
        return Ok(Parsed { part: Part::Opaque(block), rest: Extras::new() });
    }
    let thought = fields.flag("thought")?.unwrap_or(false);
    let proof = fields.text("thoughtSignature")?.filter(|value| !value.is_empty()).map(proof::read);
    let words = fields.text("text")?;
    let part = if let Some(mut call) = fields.object("functionCall")?.map(camel) {
        let part = Part::ToolCall(self::call(&mut call, signed(proof), path)?);
        fields = kept_names(fields, "functionCall", call.rest());
        part
    } else if let Some(mut response) = fields.object("functionResponse")?.map(camel) {
        let part = Part::ToolResult(result(&mut response, path, open)?);
        fields = kept_names(fields, "functionResponse", response.rest());
        part
    } else if let Some(mut blob) = fields.object("inlineData")?.map(camel) {
        let part = inline(&mut blob)?;
        fields = kept_names(fields, "inlineData", blob.rest());
        part
    } else if let Some(mut file) = fields.object("fileData")?.map(camel) {
        let part = filed(&mut file)?;
        fields = kept_names(fields, "fileData", file.rest());
        part
    } else if thought
        || (matches!(proof, Some(Proof::Sealed(_))) && words.as_deref().is_none_or(str::is_empty))
    {
        Part::Thinking(thinking(words.unwrap_or_default(), proof))
    } else if let Some(text) = words {
        Part::Text(Text { text, signature: signed(proof), ..Text::default() })
    } else if fields.peek("videoMetadata").is_some() || fields.is_empty() {
        Part::Text(Text::default())
    } else {
        // Code, its result, tools of Google's: kept whole.
        return Ok(Parsed {
            part: Part::Opaque(Opaque { origin: Dialect::Gemini, value: whole }),
            rest: Extras::new(),
        });
    };
    Ok(Parsed { part, rest: fields.rest() })
}

/// A block of another dialect that was shown here in a part's metadata.
fn kept_block(fields: &Fields) -> Option<Opaque> {
    let kept = fields.peek("partMetadata")?.get("tollgate")?;
    let name = kept.get("dialect")?.as_str()?;
    let origin = Dialect::ALL.iter().find(|(_, known)| *known == name)?.0;
    Some(Opaque { origin, value: kept.get("block")?.clone() })
}

/// Fields of a medium without a canonical word, by where they stood.
fn kept_names(mut fields: Fields, name: &str, rest: Extras) -> Fields {
    for (key, value) in rest {
        fields.put(&format!("{name}.{key}"), value);
    }
    fields
}

fn signed(proof: Option<Proof>) -> Option<Signature> {
    match proof? {
        Proof::Signed(signature) | Proof::Sealed(signature) => Some(signature),
    }
}

fn thinking(text: String, proof: Option<Proof>) -> Thinking {
    match proof {
        None => Thinking { text, signature: None, sealed: None },
        Some(Proof::Signed(signature)) => Thinking { text, signature: Some(signature), sealed: None },
        Some(Proof::Sealed(sealed)) => Thinking { text, signature: None, sealed: Some(sealed) },
    }
}

fn call(fields: &mut Fields, signature: Option<Signature>, path: &str) -> Result<ToolCall, Fault> {
    let name = fields.needed_text("name")?;
    let id = fields.text("id")?.filter(|id| !id.is_empty()).unwrap_or_else(|| invented(path));
    let arguments = match fields.value("args") {
        None => "{}".to_owned(),
        Some(args) => Value::Object(object(args, &format!("{path}.functionCall.args"))?).to_string(),
    };
    Ok(ToolCall { id, name, arguments, signature, cache: None })
}

/// The same for the same place in a conversation, so that what was sent before stays as it was.
fn invented(path: &str) -> String {
    let numbers = path.split(|letter: char| !letter.is_ascii_digit()).filter(|piece| !piece.is_empty());
    let numbers: Vec<_> = numbers.collect();
    format!("{INVENTED}{}", numbers.join("_"))
}

/// A response belongs to the call of its id; without one, to the first open call of its name.
fn result(fields: &mut Fields, path: &str, open: &mut Vec<Open>) -> Result<ToolResult, Fault> {
    let name = fields.needed_text("name")?;
    let id = fields.text("id")?.filter(|id| !id.is_empty());
    let at = match &id {
        Some(id) => open
            .iter()
            .position(|call| call.id == *id)
            .or_else(|| open.iter().position(|call| call.given == Given::No && call.name == name)),
        None => open.iter().position(|call| call.name == name),
    };
    let Some(at) = at else {
        let (field, found) = match id {
            Some(_) => ("id", "an id that no open call has"),
            None => ("name", "a name that no open call has"),
        };
        let expected = "what a functionCall of the content before it has";
        return Err(Fault::bad_field(format!("{path}.functionResponse.{field}"), expected, found));
    };
    let call = open.remove(at);
    let mut parts = Vec::new();
    let mut failed = None;
    if let Some(response) = fields.value("response") {
        let outcome = outcome(object(response, &format!("{path}.functionResponse.response"))?);
        failed = outcome.failed;
        parts.push(Part::Text(Text::new(outcome.words)));
    }
    for (index, medium) in list(fields, "parts").into_iter().enumerate() {
        let at = format!("{path}.functionResponse.parts[{index}]");
        parts.push(parse(medium, &at, &mut Vec::new())?.part);
    }
    Ok(ToolResult { call_id: call.id, name: Some(name), parts, failed, cache: None })
}

struct Outcome {
    words: String,
    failed: Option<bool>,
}

/// `output` and `error` are where the API reads words from; else the whole object is the output.
fn outcome(response: Map<String, Value>) -> Outcome {
    let only = |key: &str| response.get(key).and_then(Value::as_str).filter(|_| response.len() == 1);
    if let Some(words) = only("output") {
        return Outcome { words: words.to_owned(), failed: None };
    }
    if let Some(words) = only("error") {
        return Outcome { words: words.to_owned(), failed: Some(true) };
    }
    Outcome { words: Value::Object(response).to_string(), failed: None }
}

fn inline(fields: &mut Fields) -> Result<Part, Fault> {
    let media_type = fields.needed_text("mimeType")?.to_ascii_lowercase();
    let data = fields.needed_text("data")?;
    let at = fields.path("data");
    let source = MediaSource::Inline { media_type: media_type.clone(), data: standard(data, &at)? };
    let title = fields.text("displayName")?;
    Ok(medium(&media_type, source, title))
}

fn filed(fields: &mut Fields) -> Result<Part, Fault> {
    let uri = fields.needed_text("fileUri")?;
    let media_type = fields.text("mimeType")?.map(|kind| kind.to_ascii_lowercase());
    let title = fields.text("displayName")?;
    let kind = media_type.clone().or_else(|| guess(&uri).map(str::to_owned)).unwrap_or_default();
    // Files that are kept by Google, and what only Google can open.
    let kept = uri.starts_with("gs://")
        || uri.starts_with("https://generativelanguage.googleapis.com/")
        || !uri.contains("://");
    let source = if kept {
        MediaSource::File { id: uri, media_type, origin: Dialect::Gemini }
    } else {
        MediaSource::Url { url: uri, media_type }
    };
    Ok(medium(&kind, source, title))
}

fn medium(kind: &str, source: MediaSource, title: Option<String>) -> Part {
    if kind.starts_with("image/") {
        Part::Image(Image { source, detail: None, cache: None })
    } else if kind.starts_with("audio/") {
        Part::Audio(Audio { source: Some(source), id: None, transcript: None, expires_at: None })
    } else if kind.starts_with("video/") {
        Part::Video(Video { source })
    } else {
        let body = DocumentBody::Media(source);
        Part::Document(Document { body, title, about: None, citations: None, cache: None })
    }
}

/// Base64 in the alphabet and with the padding that other dialects insist on.
fn standard(data: String, path: &str) -> Result<String, Fault> {
    let bare = data.trim_end_matches('=').len();
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/' | b'-' | b'_');
    let good = data.bytes().take(bare).all(fits) && bare % 4 != 1;
    if !good {
        return Err(Fault::bad_field(path, "bytes in base64", "something else"));
    }
    if data.len().is_multiple_of(4) && !data.contains(['-', '_']) {
        return Ok(data);
    }
    let mut data = data.replace('-', "+").replace('_', "/");
    data.truncate(bare);
    while !data.len().is_multiple_of(4) {
        data.push('=');
    }
    Ok(data)
}

/// The type an address's ending tells.
fn guess(uri: &str) -> Option<&'static str> {
    const ENDINGS: [(&str, &str); 10] = [
        ("png", "image/png"),
        ("jpg", "image/jpeg"),
        ("jpeg", "image/jpeg"),
        ("gif", "image/gif"),
        ("webp", "image/webp"),
        ("mp3", "audio/mpeg"),
        ("wav", "audio/wav"),
        ("mp4", "video/mp4"),
        ("webm", "video/webm"),
        ("pdf", "application/pdf"),
    ];
    let path = uri.split(['?', '#']).next().unwrap_or(uri);
    let ending = path.rsplit('/').next()?.rsplit_once('.')?.1;
    ENDINGS.iter().find(|(known, _)| known.eq_ignore_ascii_case(ending)).map(|(_, kind)| *kind)
}
