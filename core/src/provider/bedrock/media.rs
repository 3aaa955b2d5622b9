//! Pictures, films and documents. The API takes bytes or a place in S3 and fetches nothing else.

use super::blocks::marked;
use crate::call::{Document, DocumentBody, Image, MediaSource, Opaque, Part, Text, Video};
use crate::dialect::Dialect;
use crate::fault::{Code, Fault};
use crate::provider::anthropic::lost::{Lost, Place};
use crate::provider::anthropic::media::sniff;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value, json};
use std::collections::HashSet;

const PICTURES: &[(&str, &str)] =
    &[("image/png", "png"), ("image/jpeg", "jpeg"), ("image/gif", "gif"), ("image/webp", "webp")];

const FILMS: &[(&str, &str)] = &[
    ("video/mp4", "mp4"),
    ("video/quicktime", "mov"),
    ("video/x-matroska", "mkv"),
    ("video/webm", "webm"),
    ("video/x-flv", "flv"),
    ("video/mpeg", "mpeg"),
    ("video/x-ms-wmv", "wmv"),
    ("video/3gpp", "three_gp"),
];

const DOCUMENTS: &[(&str, &str)] = &[
    ("application/pdf", "pdf"),
    ("text/csv", "csv"),
    ("application/msword", "doc"),
    ("application/vnd.openxmlformats-officedocument.wordprocessingml.document", "docx"),
    ("application/vnd.ms-excel", "xls"),
    ("application/vnd.openxmlformats-officedocument.spreadsheetml.sheet", "xlsx"),
    ("text/html", "html"),
    ("text/markdown", "md"),
    ("text/plain", "txt"),
    ("application/json", "txt"),
    ("application/xml", "txt"),
];

/// A picture as a block.
pub(super) fn image(image: &Image, place: Place, lost: &mut Lost) -> Result<Vec<Value>, Fault> {
    let Image { source, detail, cache } = image;
    if detail.as_deref().is_some_and(|detail| detail != "auto") {
        lost.name(format!("{place}.image_url.detail"));
    }
    let source = sourced(source, PICTURES, "picture", place)?;
    Ok(marked(json!({ "image": source }), cache.as_ref()))
}

/// A film as a block.
pub(super) fn video(video: &Video, place: Place) -> Result<Value, Fault> {
    let Video { source } = video;
    Ok(json!({"video": sourced(source, FILMS, "film", place)?}))
}

/// `format` and `source`. The API refuses a picture whose format is not what its bytes are.
fn sourced(
    source: &MediaSource,
    known: &[(&str, &'static str)],
    what: &str,
    place: Place,
) -> Result<Map<String, Value>, Fault> {
    let (label, source, seen) = match source {
        MediaSource::Inline { media_type, data } => {
            (media_type.as_str(), json!({"bytes": data}), sniff(data))
        }
        MediaSource::Url { url, media_type } if url.starts_with("s3://") => {
            let label = media_type.as_deref().or_else(|| url.rsplit_once('.').map(|(_, ending)| ending));
            (label.unwrap_or_default(), json!({"s3Location": {"uri": url}}), None)
        }
        MediaSource::Url { .. } => {
            let expected = "bytes or an s3:// address: this provider fetches nothing else";
            return Err(unsupported(place, &format!("expected {expected}, found another address")));
        }
        MediaSource::File { .. } => {
            let what = "expected the file itself, found the id of a file kept by another provider";
            return Err(unsupported(place, what));
        }
    };
    let label = if matches!(label, "image/jpg" | "jpg") { "image/jpeg" } else { label };
    let found = |label: &str| known.iter().find(|(kind, ending)| *kind == label || *ending == label);
    let Some((_, format)) = seen.and_then(found).or_else(|| found(label)) else {
        let names: Vec<&str> = known.iter().map(|(kind, _)| *kind).collect();
        let expected = names.join(", ");
        return Err(unsupported(place, &format!("expected a {what} in one of {expected}, found {label}")));
    };
    Ok(Map::from_iter([("format".to_owned(), Value::from(*format)), ("source".to_owned(), source)]))
}

/// The names of documents, which must differ within a call.
#[derive(Debug, Default)]
pub(super) struct Names(HashSet<String>);

impl Names {
    /// A name like this one in the letters that the API takes, and like no other's.
    fn claim(&mut self, title: Option<&str>) -> String {
        let fits = |c: char| c.is_ascii_alphanumeric() || matches!(c, ' ' | '-' | '(' | ')' | '[' | ']');
        let plain: String =
            title.unwrap_or_default().chars().map(|c| if fits(c) { c } else { ' ' }).take(180).collect();
        let words: Vec<&str> = plain.split(' ').filter(|word| !word.is_empty()).collect();
        let name = if words.is_empty() { "Document".to_owned() } else { words.join(" ") };
        let mut unique = name.clone();
        let mut count = 1_u32;
        while !self.0.insert(unique.clone()) {
            count = count.saturating_add(1);
            unique = format!("{name} {count}");
        }
        unique
    }
}

/// A document as a block; nothing where only its own dialect could read it.
pub(super) fn document(
    document: &Document,
    place: Place,
    names: &mut Names,
    lost: &mut Lost,
) -> Result<Vec<Value>, Fault> {
    let Document { body, title, about, citations, cache } = document;
    let mut fields = match body {
        DocumentBody::Media(source) => media_document(source, place)?,
        DocumentBody::Text(Text { text, cache: _, signature: _, citations: _ }) => {
            written("txt", json!({"bytes": STANDARD.encode(text)}))
        }
        DocumentBody::Parts(parts) => written("txt", json!({"content": texts(parts, place, lost)})),
        DocumentBody::Found { at, parts } => {
            let mut found = Map::new();
            found.insert("source".to_owned(), Value::from(at.as_str()));
            found.insert("title".to_owned(), Value::from(title.as_deref().unwrap_or(at)));
            found.insert("content".to_owned(), Value::Array(texts(parts, place, lost)));
            found.extend(citations.clone().map(|citations| ("citations".to_owned(), citations)));
            return Ok(marked(json!({ "searchResult": found }), cache.as_ref()));
        }
        DocumentBody::Opaque(Opaque { origin: Dialect::Bedrock, value: Value::Object(fields) }) => {
            fields.clone()
        }
        DocumentBody::Opaque(_) => {
            lost.name(place.to_string());
            return Ok(Vec::new());
        }
    };
    fields.insert("name".to_owned(), Value::from(names.claim(title.as_deref())));
    fields.extend(about.as_deref().map(|words| ("context".to_owned(), Value::from(words))));
    fields.extend(citations.clone().map(|citations| ("citations".to_owned(), citations)));
    Ok(marked(json!({ "document": fields }), cache.as_ref()))
}

fn written(format: &str, source: Value) -> Map<String, Value> {
    Map::from_iter([("format".to_owned(), Value::from(format)), ("source".to_owned(), source)])
}

fn media_document(source: &MediaSource, place: Place) -> Result<Map<String, Value>, Fault> {
    match source {
        // "JVBERi" is "%PDF" in base64: files are often sent without their type.
        MediaSource::Inline { media_type: _, data } if data.starts_with("JVBERi") => {
            Ok(written("pdf", json!({"bytes": data})))
        }
        MediaSource::Inline { media_type, data } if media_type.starts_with("text/") => {
            let format =
                DOCUMENTS.iter().find(|(kind, _)| kind == media_type).map_or("txt", |(_, format)| format);
            Ok(written(format, json!({"bytes": data})))
        }
        MediaSource::Inline { .. } | MediaSource::Url { .. } | MediaSource::File { .. } => {
            sourced(source, DOCUMENTS, "document", place)
        }
    }
}

/// The texts among some parts, as the API takes them.
fn texts(parts: &[Part], place: Place, lost: &mut Lost) -> Vec<Value> {
    let mut texts = Vec::with_capacity(parts.len());
    for part in parts {
        match part {
            Part::Text(Text { text, cache: _, signature: _, citations: _ }) => {
                texts.push(json!({"text": text}))
            }
            Part::Image(_)
            | Part::Audio(_)
            | Part::Video(_)
            | Part::Document(_)
            | Part::Thinking(_)
            | Part::Refusal(_)
            | Part::ToolCall(_)
            | Part::ToolResult(_)
            | Part::Opaque(_) => lost.name(place.to_string()),
        }
    }
    texts
}

/// A fault for what the provider cannot take at all.
pub(super) fn unsupported(place: Place, what: &str) -> Fault {
    Fault::new(Code::Unsupported, format!("{place}: {what}")).at(place.to_string())
}
