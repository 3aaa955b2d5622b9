//! The content of a message: a string, or a list of parts.

use crate::call::{
    Audio, Document, DocumentBody, Extras, Image, MediaSource, Opaque, Part, Text, Thinking, Video,
};
use crate::dialect::Dialect;
use crate::fault::Fault;
use crate::surface::fields::{Fields, noun};
use serde_json::Value;

/// A content's parts, and fields of theirs that nobody knows, by their path below the message:
/// `content[2].new`.
#[derive(Default)]
pub(super) struct Content {
    pub(super) parts: Vec<Part>,
    pub(super) extras: Extras,
}

/// Takes `content` out of a message.
pub(super) fn parse(message: &mut Fields) -> Result<Content, Fault> {
    let mut content = Content::default();
    match message.value("content") {
        None => {}
        Some(Value::String(text)) => content.parts.push(Part::Text(Text::new(text))),
        Some(Value::Array(list)) => {
            for (j, value) in list.into_iter().enumerate() {
                let at = format!("content[{j}]");
                let value = match value {
                    Value::String(text) => {
                        content.parts.push(Part::Text(Text::new(text)));
                        continue;
                    }
                    object @ Value::Object(_) => object,
                    other @ (Value::Null | Value::Bool(_) | Value::Number(_) | Value::Array(_)) => {
                        return Err(Fault::bad_field(message.path(&at), "an object", noun(&other)));
                    }
                };
                let mut fields = Fields::of(value, message.path(&at))?;
                content.parts.push(part(&mut fields)?);
                let rest = fields.rest().into_iter().map(|(key, value)| (format!("{at}.{key}"), value));
                content.extras.extend(rest);
            }
        }
        Some(other) => return Err(message.wrong("content", "a string or an array of parts", &other)),
    }
    Ok(content)
}

/// One part. Of an unknown type it is kept whole.
fn part(fields: &mut Fields) -> Result<Part, Fault> {
    let kind = fields.needed_word("type")?;
    let part = match kind.as_str() {
        "text" | "input_text" | "output_text" => Part::Text(Text {
            text: fields.needed_text("text")?,
            cache: fields.cache()?,
            signature: None,
            citations: None,
        }),
        "refusal" => Part::Refusal(fields.needed_text("refusal")?),
        "image_url" => Part::Image(image(fields)?),
        "input_audio" => Part::Audio(audio(fields)?),
        "video_url" => Part::Video(Video { source: url_source(fields, "video_url")?.0 }),
        "file" => Part::Document(file(fields)?),
        "thinking" if fields.peek("thinking").is_some() => Part::Thinking(thinking(fields)),
        _ => Part::Opaque(Opaque { origin: Dialect::OpenAi, value: fields.everything() }),
    };
    fields.drop("type");
    Ok(part)
}

fn image(fields: &mut Fields) -> Result<Image, Fault> {
    let cache = fields.cache()?;
    let (source, detail) = url_source(fields, "image_url")?;
    Ok(Image { source, detail, cache })
}

/// `{url, detail}`, or Mistral's bare string.
fn url_source(fields: &mut Fields, key: &str) -> Result<(MediaSource, Option<String>), Fault> {
    if fields.peek(key).is_some_and(Value::is_string) {
        let path = fields.path(key);
        return Ok((source_of(&fields.needed_text(key)?, &path)?, None));
    }
    let missing = Fault::missing_field(fields.path(key), "an object with a url");
    let mut object = fields.object(key)?.ok_or(missing)?;
    let media_type = object.text("format")?;
    let path = object.path("url");
    let source = match (source_of(&object.needed_text("url")?, &path)?, media_type) {
        (MediaSource::Url { url, media_type: None }, media_type) => MediaSource::Url { url, media_type },
        (source, _) => source,
    };
    let detail = object.text("detail")?;
    Ok((source, detail))
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

/// `{data, format}`, or Mistral's bare base64 or URL.
fn audio(fields: &mut Fields) -> Result<Audio, Fault> {
    let plain = |source| Audio { source: Some(source), id: None, transcript: None, expires_at: None };
    if fields.peek("input_audio").is_some_and(Value::is_string) {
        let text = fields.needed_text("input_audio")?;
        let bare = !text.starts_with("data:") && !text.contains("://");
        return Ok(plain(if bare {
            MediaSource::Inline { media_type: "audio/mpeg".to_owned(), data: text }
        } else {
            source_of(&text, &fields.path("input_audio"))?
        }));
    }
    let missing = Fault::missing_field(fields.path("input_audio"), "an object with data and format");
    let mut object = fields.object("input_audio")?.ok_or(missing)?;
    let format = object.text("format")?.unwrap_or_else(|| "wav".to_owned());
    Ok(plain(MediaSource::Inline { media_type: audio_type(&format), data: object.needed_text("data")? }))
}

/// OpenAI's short names of sound formats as MIME types.
fn audio_type(format: &str) -> String {
    match format {
        "mp3" => "audio/mpeg".to_owned(),
        other => format!("audio/{}", other.to_ascii_lowercase()),
    }
}

/// The sound of an earlier answer: referred to by id, or repeated with all it had.
pub(super) fn audio_reference(mut fields: Fields) -> Result<Audio, Fault> {
    let media_type = "application/octet-stream".to_owned();
    Ok(Audio {
        source: fields.text("data")?.map(|data| MediaSource::Inline { media_type, data }),
        id: fields.text("id")?,
        transcript: fields.text("transcript")?,
        expires_at: fields.whole("expires_at")?,
    })
}

fn file(fields: &mut Fields) -> Result<Document, Fault> {
    let cache = fields.cache()?;
    let missing = Fault::missing_field(fields.path("file"), "an object with file_data or file_id");
    let mut object = fields.object("file")?.ok_or(missing)?;
    let media_type = object.text("format")?;
    let source = match (object.text("file_data")?, object.text("file_id")?) {
        (Some(data), _) => file_data(&data, media_type, &object.path("file_data"))?,
        (None, Some(id)) if id.contains("://") => MediaSource::Url { url: id, media_type },
        (None, Some(id)) => MediaSource::File { id, media_type, origin: Dialect::OpenAi },
        (None, None) => {
            return Err(Fault::missing_field(object.path("file_data"), "a data URL or a file_id"));
        }
    };
    let title = object.text("filename")?;
    Ok(Document { body: DocumentBody::Media(source), title, about: None, citations: None, cache })
}

/// A data URL, an address, or bare base64, which is a PDF mostly.
fn file_data(data: &str, media_type: Option<String>, path: &str) -> Result<MediaSource, Fault> {
    Ok(match source_of(data, path)? {
        MediaSource::Url { url, .. } if !url.contains("://") => MediaSource::Inline {
            media_type: media_type.unwrap_or_else(|| "application/pdf".to_owned()),
            data: url,
        },
        source @ (MediaSource::Inline { .. } | MediaSource::Url { .. } | MediaSource::File { .. }) => source,
    })
}

/// Mistral's thinking chunk: a string, or a list of text chunks.
fn thinking(fields: &mut Fields) -> Thinking {
    let text = match fields.value("thinking") {
        Some(Value::String(text)) => text,
        Some(Value::Array(list)) => {
            list.iter().filter_map(|text| text.get("text").and_then(Value::as_str)).collect()
        }
        _ => String::new(),
    };
    Thinking { text, ..Thinking::default() }
}
