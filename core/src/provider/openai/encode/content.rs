//! Parts of a message in this dialect.

use super::Body;
use crate::call::{Audio, Document, DocumentBody, Image, MediaSource, Part, Text, Video};
use crate::dialect::Dialect;
use serde_json::{Map, Value, json};

/// A part as one of the content's, or nothing and a note.
pub(super) fn part(j: usize, part: &Part, body: &mut Body, i: usize) -> Option<Value> {
    let at = format!("messages[{i}].content[{j}]");
    let encoded = match part {
        Part::Text(text) => Some(self::text(text, body, &at)),
        Part::Image(image) => self::image(image, body),
        Part::Audio(audio) => self::audio(audio),
        Part::Video(Video { source }) => {
            url_of(source).map(|url| json!({"type": "video_url", "video_url": {"url": url}}))
        }
        Part::Document(document) => self::document(document, body, &at),
        Part::Refusal(text) => Some(json!({"type": "refusal", "refusal": text})),
        Part::Opaque(block) if block.origin == Dialect::OpenAi => Some(block.value.clone()),
        Part::Opaque(_) | Part::Thinking(_) | Part::ToolCall(_) | Part::ToolResult(_) => None,
    };
    if encoded.is_none() {
        body.lose(at);
    }
    encoded
}

fn text(text: &Text, body: &mut Body, at: &str) -> Value {
    let Text { text, cache, signature: _, citations } = text;
    if citations.is_some() {
        body.lose(format!("{at}.citations"));
    }
    marked(json!({"type": "text", "text": text}), body.mark(cache.as_ref()))
}

fn marked(mut part: Value, mark: Option<Value>) -> Value {
    if let (Some(mark), Some(fields)) = (mark, part.as_object_mut()) {
        fields.insert("cache_control".to_owned(), mark);
    }
    part
}

fn image(image: &Image, body: &mut Body) -> Option<Value> {
    let Image { source, detail, cache } = image;
    let mut inner = Map::new();
    inner.insert("url".to_owned(), url_of(source)?.into());
    inner.extend(detail.as_deref().map(|detail| ("detail".to_owned(), detail.into())));
    Some(marked(json!({"type": "image_url", "image_url": inner}), body.mark(cache.as_ref())))
}

fn audio(audio: &Audio) -> Option<Value> {
    let Audio { source, id: _, transcript: _, expires_at: _ } = audio;
    let MediaSource::Inline { media_type, data } = source.as_ref()? else { return None };
    let format = match media_type.strip_prefix("audio/")? {
        "mpeg" => "mp3",
        "x-wav" | "wave" => "wav",
        other => other,
    };
    Some(json!({"type": "input_audio", "input_audio": {"data": data, "format": format}}))
}

fn document(document: &Document, body: &mut Body, at: &str) -> Option<Value> {
    let Document { body: content, title, about, citations, cache } = document;
    for (name, absent) in [("context", about.is_none()), ("citations", citations.is_none())] {
        if !absent {
            body.lose(format!("{at}.{name}"));
        }
    }
    let mark = body.mark(cache.as_ref());
    let mut file = Map::new();
    match content {
        DocumentBody::Text(Text { text, .. }) => {
            return Some(marked(json!({"type": "text", "text": text}), mark));
        }
        DocumentBody::Opaque(_) => return None,
        DocumentBody::Media(MediaSource::File { id, origin: Dialect::OpenAi, media_type: _ }) => {
            file.insert("file_id".to_owned(), id.as_str().into());
        }
        DocumentBody::Media(source) => {
            // The name is required beside the data.
            file.insert("filename".to_owned(), title.as_deref().unwrap_or("document.pdf").into());
            file.insert("file_data".to_owned(), url_of(source)?.into());
        }
    }
    if let Some(title) = title {
        file.insert("filename".to_owned(), title.as_str().into());
    }
    Some(marked(json!({"type": "file", "file": file}), mark))
}

/// A medium as one URL; a file kept by a provider has none.
fn url_of(source: &MediaSource) -> Option<String> {
    match source {
        MediaSource::Inline { media_type, data } => Some(format!("data:{media_type};base64,{data}")),
        MediaSource::Url { url, media_type: _ } => Some(url.clone()),
        MediaSource::File { .. } => None,
    }
}

/// A single plain text is sent as a string, which every server accepts.
pub(super) fn as_content(mut parts: Vec<Value>) -> Value {
    match parts.as_mut_slice() {
        [] => "".into(),
        [Value::Object(only)] if only.len() == 2 && only.get("type").is_some_and(|kind| kind == "text") => {
            only.remove("text").unwrap_or_default()
        }
        _ => Value::Array(parts),
    }
}

/// The parts of a content in either form.
pub(super) fn as_list(content: Value) -> Vec<Value> {
    match content {
        Value::Array(list) => list,
        Value::String(text) => vec![json!({"type": "text", "text": text})],
        _ => Vec::new(),
    }
}
