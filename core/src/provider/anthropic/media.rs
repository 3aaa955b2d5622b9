//! Pictures and documents.

use super::blocks::{self, mark};
use super::lost::{Lost, Place};
use crate::call::{Document, DocumentBody, Image, MediaSource, Opaque, Part, Text};
use crate::dialect::Dialect;
use crate::fault::{Code, Fault};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value, json};

/// The picture formats the API reads.
const PICTURES: &[&str] = &["image/jpeg", "image/png", "image/gif", "image/webp"];

/// A picture as a block.
pub(in crate::provider) fn image(image: &Image, place: Place, lost: &mut Lost) -> Result<Value, Fault> {
    let Image { source, detail, cache } = image;
    if detail.as_deref().is_some_and(|detail| detail != "auto") {
        lost.name(format!("{place}.image_url.detail"));
    }
    let source = match source {
        MediaSource::Inline { media_type, data } => {
            let media_type = picture_type(media_type, data).ok_or_else(|| {
                let expected = PICTURES.join(", ");
                unsupported(place, &format!("expected a picture in one of {expected}, found {media_type}"))
            })?;
            json!({"type": "base64", "media_type": media_type, "data": data})
        }
        MediaSource::Url { url, media_type: _ } => json!({"type": "url", "url": url}),
        MediaSource::File { id, media_type: _, origin } => file(id, *origin, place)?,
    };
    let mut block = json!({"type": "image", "source": source});
    mark(&mut block, cache.as_ref());
    Ok(block)
}

/// A document as a block; `None` where only its own dialect could read it.
pub(in crate::provider) fn document(
    document: &Document,
    place: Place,
    lost: &mut Lost,
) -> Result<Option<Value>, Fault> {
    let Document { body, title, about, citations, cache } = document;
    let source = match body {
        DocumentBody::Found { at, parts } => {
            lost.name_if(about.as_ref(), || format!("{place}.context"));
            let mut block = search_result(at, title.as_deref(), within(parts, place, lost)?);
            block.extend(citations.clone().map(|citations| ("citations".to_owned(), citations)));
            let mut block = Value::Object(block);
            mark(&mut block, cache.as_ref());
            return Ok(Some(block));
        }
        DocumentBody::Media(source) => document_source(source, place)?,
        DocumentBody::Text(Text { text, cache: _, signature: _, citations: _ }) => plain(text),
        DocumentBody::Parts(parts) => json!({"type": "content", "content": within(parts, place, lost)?}),
        DocumentBody::Opaque(Opaque { origin: Dialect::Anthropic, value }) => value.clone(),
        DocumentBody::Opaque(Opaque {
            origin:
                Dialect::OpenAi
                | Dialect::OpenAiResponses
                | Dialect::Bedrock
                | Dialect::Cohere
                | Dialect::Ollama
                | Dialect::Gemini,
            ..
        }) => {
            lost.name(place.to_string());
            return Ok(None);
        }
    };
    let mut block = json!({"type": "document", "source": source});
    let fields = [
        ("title", title.clone().map(Value::from)),
        ("context", about.clone().map(Value::from)),
        ("citations", citations.clone()),
    ];
    if let Some(block) = block.as_object_mut() {
        block.extend(fields.into_iter().filter_map(|(key, value)| Some((key.to_owned(), value?))));
    }
    mark(&mut block, cache.as_ref());
    Ok(Some(block))
}

fn search_result(at: &str, title: Option<&str>, content: Vec<Value>) -> Map<String, Value> {
    let fields = [
        ("type", Value::from("search_result")),
        ("source", at.into()),
        // The API demands one.
        ("title", title.unwrap_or(at).into()),
        ("content", content.into()),
    ];
    fields.into_iter().map(|(key, value)| (key.to_owned(), value)).collect()
}

fn within(parts: &[Part], place: Place, lost: &mut Lost) -> Result<Vec<Value>, Fault> {
    let blocks = parts.iter().map(|part| blocks::said(part, place, lost));
    blocks.filter_map(Result::transpose).collect()
}

fn document_source(source: &MediaSource, place: Place) -> Result<Value, Fault> {
    match source {
        MediaSource::Inline { media_type, data } => match media_type.as_str() {
            // "JVBERi" is "%PDF" in base64: files are often sent without their type.
            kind if kind == "application/pdf" || data.starts_with("JVBERi") => {
                Ok(json!({"type": "base64", "media_type": "application/pdf", "data": data}))
            }
            kind if is_text(kind) => decoded(data, place).map(|text| plain(&text)),
            kind => Err(unsupported(place, &format!("expected a PDF or text file, found {kind}"))),
        },
        MediaSource::Url { url, media_type: _ } => Ok(json!({"type": "url", "url": url})),
        MediaSource::File { id, media_type: _, origin } => file(id, *origin, place),
    }
}

fn plain(text: &str) -> Value {
    json!({"type": "text", "media_type": "text/plain", "data": text})
}

fn is_text(kind: &str) -> bool {
    kind.starts_with("text/") || matches!(kind, "application/json" | "application/xml" | "application/x-yaml")
}

fn decoded(data: &str, place: Place) -> Result<String, Fault> {
    let bytes = STANDARD.decode(data).ok();
    bytes.and_then(|bytes| String::from_utf8(bytes).ok()).ok_or_else(|| {
        Fault::bad_field(place.to_string(), "a text file in base64", "bytes that are not base64 of UTF-8")
    })
}

fn file(id: &str, origin: Dialect, place: Place) -> Result<Value, Fault> {
    match origin {
        Dialect::Anthropic => Ok(json!({"type": "file", "file_id": id})),
        Dialect::OpenAi
        | Dialect::OpenAiResponses
        | Dialect::Bedrock
        | Dialect::Cohere
        | Dialect::Ollama
        | Dialect::Gemini => Err(unsupported(
            place,
            "expected the file itself, found the id of a file kept by another provider",
        )),
    }
}

/// A fault for what the provider cannot take at all.
pub(in crate::provider) fn unsupported(place: Place, what: &str) -> Fault {
    Fault::new(Code::Unsupported, format!("{place}: {what}")).at(place.to_string())
}

/// What the bytes are, whatever the label says: the API refuses a picture whose label is wrong.
fn picture_type<'a>(label: &'a str, data: &str) -> Option<&'a str> {
    let label = if label == "image/jpg" { "image/jpeg" } else { label };
    sniff(data).or_else(|| PICTURES.contains(&label).then_some(label))
}

pub(in crate::provider) fn sniff(data: &str) -> Option<&'static str> {
    let head = STANDARD.decode(data.get(..16)?).ok()?;
    match head.as_slice() {
        [0xff, 0xd8, 0xff, ..] => Some("image/jpeg"),
        [0x89, b'P', b'N', b'G', ..] => Some("image/png"),
        [b'G', b'I', b'F', b'8', ..] => Some("image/gif"),
        [b'R', b'I', b'F', b'F', _, _, _, _, b'W', b'E', b'B', b'P'] => Some("image/webp"),
        _ => None,
    }
}
