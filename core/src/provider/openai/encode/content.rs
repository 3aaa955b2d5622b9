//! Parts of a message in this dialect.

use super::Body;
use crate::call::{Audio, Document, DocumentBody, Image, MediaSource, Part, Text, Video};
use crate::dialect::Dialect;
use serde_json::{Map, Value, json};

/// A part as one or several of the content's, or nothing and a note.
pub(super) fn part(part: &Part, body: &mut Body, at: &str) -> Vec<Value> {
    let encoded = match part {
        Part::Text(text) => Some(self::text(text, body, at)),
        Part::Image(image) => self::image(image, body, at),
        Part::Audio(audio) => self::audio(audio),
        Part::Video(Video { source }) => {
            url_of(source).map(|url| json!({"type": "video_url", "video_url": {"url": url}}))
        }
        Part::Document(document) => return self::document(document, body, at),
        Part::Refusal(text) => Some(json!({"type": "refusal", "refusal": text})),
        Part::Opaque(block) if block.origin == Dialect::OpenAi => Some(block.value.clone()),
        Part::Opaque(_) | Part::Thinking(_) | Part::ToolCall(_) | Part::ToolResult(_) => None,
    };
    or_lost(encoded, body, at)
}

fn or_lost(encoded: Option<Value>, body: &mut Body, at: &str) -> Vec<Value> {
    if encoded.is_none() {
        body.lose(at);
    }
    encoded.into_iter().collect()
}

fn text(text: &Text, body: &mut Body, at: &str) -> Value {
    let Text { text, cache, signature: _, citations } = text;
    if citations.is_some() {
        body.lose(format!("{at}.citations"));
    }
    marked(json!({"type": "text", "text": text}), body.mark(cache.as_ref(), at))
}

fn marked(mut part: Value, mark: Option<Value>) -> Value {
    if let (Some(mark), Some(fields)) = (mark, part.as_object_mut()) {
        fields.insert("cache_control".to_owned(), mark);
    }
    part
}

fn image(image: &Image, body: &mut Body, at: &str) -> Option<Value> {
    let Image { source, detail, cache } = image;
    let mut inner = Map::new();
    inner.insert("url".to_owned(), url_of(source)?.into());
    inner.extend(detail.as_deref().map(|detail| ("detail".to_owned(), detail.into())));
    Some(marked(json!({"type": "image_url", "image_url": inner}), body.mark(cache.as_ref(), at)))
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

fn document(document: &Document, body: &mut Body, at: &str) -> Vec<Value> {
    let Document { body: content, title, about, citations, cache } = document;
    if citations.is_some() {
        body.lose(format!("{at}.citations"));
    }
    let mut words = Words { title: title.as_deref(), about: about.as_deref(), found_at: None };
    let mut list = match content {
        DocumentBody::Text(Text { text, .. }) => vec![json!({"type": "text", "text": words.around(text)})],
        DocumentBody::Parts(parts) => words.with(parts, body, at),
        DocumentBody::Found { at: found_at, parts } => {
            words.found_at = Some(found_at);
            words.with(parts, body, at)
        }
        DocumentBody::Opaque(_) => or_lost(None, body, at),
        DocumentBody::Media(source) => {
            if about.is_some() {
                body.lose(format!("{at}.context"));
            }
            let file = file(source, title.as_deref()).map(|file| json!({"type": "file", "file": file}));
            or_lost(file, body, at)
        }
    };
    let mark = body.mark(cache.as_ref(), at);
    if let Some(last) = list.pop() {
        list.push(marked(last, mark));
    }
    list
}

fn file(source: &MediaSource, title: Option<&str>) -> Option<Map<String, Value>> {
    let mut file = Map::new();
    match source {
        MediaSource::File { id, origin: Dialect::OpenAi, media_type: _ } => {
            file.insert("file_id".to_owned(), id.as_str().into());
            file.extend(title.map(|title| ("filename".to_owned(), title.into())));
        }
        source @ (MediaSource::Inline { .. } | MediaSource::Url { .. } | MediaSource::File { .. }) => {
            // The name is required beside the data.
            file.insert("filename".to_owned(), title.unwrap_or("document.pdf").into());
            file.insert("file_data".to_owned(), url_of(source)?.into());
        }
    }
    Some(file)
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
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::Object(_) => Vec::new(),
    }
}

/// What is said of a document beside its words. There are no text documents here: their words are
/// text, with a tag around them that says the rest.
struct Words<'d> {
    title: Option<&'d str>,
    about: Option<&'d str>,
    found_at: Option<&'d str>,
}

impl Words<'_> {
    /// The tag before the words; `None` where there is nothing to say.
    fn opening(&self) -> Option<String> {
        let Self { title, about, found_at } = self;
        let named = [("title", title), ("source", found_at), ("context", about)];
        let said = named.iter().filter_map(|(name, value)| Some((name, value.as_deref()?)));
        let fields: String = said.map(|(name, value)| format!(" {name}={}", Value::from(value))).collect();
        (!fields.is_empty()).then(|| format!("<document{fields}>"))
    }

    fn around(&self, text: &str) -> String {
        self.opening().map_or_else(|| text.to_owned(), |tag| format!("{tag}\n{text}\n</document>"))
    }

    /// Texts and pictures in order, between the tags.
    fn with(&self, parts: &[Part], body: &mut Body, at: &str) -> Vec<Value> {
        let text = |text: &str| json!({"type": "text", "text": text});
        let tag = self.opening();
        let mut list: Vec<Value> = tag.iter().map(|tag| text(tag)).collect();
        for (j, inner) in parts.iter().enumerate() {
            list.extend(part(inner, body, &format!("{at}.content[{j}]")));
        }
        list.extend(tag.is_some().then(|| text("</document>")));
        list
    }
}
