//! Pictures, sound, video and files.

use crate::call::MediaSource;
use crate::dialect::Dialect;
use crate::fault::{Code, Fault};
use crate::provider::Target;
use serde_json::{Map, Value, json};

/// Vertex fetches `gs://` and any public address by itself; AI Studio only its own files and YouTube.
pub(super) fn is_vertex(target: &Target<'_>) -> bool {
    target.vendor.name.starts_with("vertex") || target.vendor.base_url.contains("aiplatform.")
}

/// The part of a medium: `inlineData` or `fileData`. `at` is the field to blame.
pub(super) fn part(source: &MediaSource, target: &Target<'_>, at: &str) -> Result<Map<String, Value>, Fault> {
    let mut part = Map::new();
    match source {
        MediaSource::Inline { media_type, data } => {
            part.insert("inlineData".to_owned(), json!({"mimeType": media_type, "data": data}));
        }
        MediaSource::Url { url, media_type } => {
            if !is_vertex(target) && !fetched_by_ai_studio(url) {
                return Err(not_fetched(at));
            }
            part.insert("fileData".to_owned(), file(url, media_type.as_deref()));
        }
        MediaSource::File { id, media_type, origin: Dialect::Gemini } => {
            part.insert("fileData".to_owned(), file(id, media_type.as_deref()));
        }
        MediaSource::File {
            origin:
                Dialect::OpenAi
                | Dialect::OpenAiResponses
                | Dialect::Bedrock
                | Dialect::Cohere
                | Dialect::Ollama
                | Dialect::Anthropic,
            ..
        } => {
            return Err(foreign_file(at));
        }
    }
    Ok(part)
}

fn file(uri: &str, media_type: Option<&str>) -> Value {
    match media_type.or_else(|| guess(uri)) {
        Some(media_type) => json!({"mimeType": media_type, "fileUri": uri}),
        None => json!({"fileUri": uri}),
    }
}

pub(super) fn fetched_by_ai_studio(url: &str) -> bool {
    const FETCHED: [&str; 5] = [
        "https://generativelanguage.googleapis.com/",
        "https://www.youtube.com/",
        "https://youtube.com/",
        "https://m.youtube.com/",
        "https://youtu.be/",
    ];
    FETCHED.iter().any(|prefix| url.starts_with(prefix))
}

/// The type an address's ending tells: Vertex wants one named.
fn guess(url: &str) -> Option<&'static str> {
    const ENDINGS: [(&str, &str); 12] = [
        ("png", "image/png"),
        ("jpg", "image/jpeg"),
        ("jpeg", "image/jpeg"),
        ("gif", "image/gif"),
        ("webp", "image/webp"),
        ("heic", "image/heic"),
        ("pdf", "application/pdf"),
        ("txt", "text/plain"),
        ("mp3", "audio/mpeg"),
        ("wav", "audio/wav"),
        ("mp4", "video/mp4"),
        ("webm", "video/webm"),
    ];
    let path = url.split(['?', '#']).next().unwrap_or(url);
    let ending = path.rsplit('/').next()?.rsplit_once('.')?.1;
    ENDINGS.iter().find(|(known, _)| known.eq_ignore_ascii_case(ending)).map(|(_, media_type)| *media_type)
}

/// The gateway has not fetched it, and this provider would answer with an error of its own.
fn not_fetched(at: &str) -> Fault {
    let message =
        format!("{at}: this provider does not fetch URLs; send the data inline (a base64 data URL) instead");
    Fault::new(Code::Unsupported, message).at(at)
}

fn foreign_file(at: &str) -> Fault {
    let message = format!("{at}: this file id belongs to another provider; send the data inline instead");
    Fault::new(Code::Unsupported, message).at(at)
}
