//! Content blocks as parts.

use super::settings::cache_mark;
use crate::call::{
    Audio, CacheMark, Document, DocumentBody, Image, MediaSource, Opaque, Part, Signature, Text, Thinking,
    ToolCall, ToolResult, Video,
};
use crate::dialect::Dialect;
use crate::fault::Fault;
use crate::sort::Map;
use crate::surface::bedrock::proof;
use crate::surface::fields::Fields;
use crate::surface::proof::{Of, Proof};
use serde_json::Value;

/// The function each call asked for, by the call's id.
pub(super) type Names = Map<String, String>;

/// What a block turns out to be.
#[expect(clippy::large_enum_variant, reason = "the large variant is the common one")]
enum Block {
    Part(Part),
    /// It marks what stands before it.
    Mark(CacheMark),
    /// It proves the call after it, or the text before it.
    Proof(Of, Signature),
    Nothing,
}

/// The blocks at this path, in order.
pub(super) fn parts(list: Vec<Value>, path: &str, names: &mut Names) -> Result<Vec<Part>, Fault> {
    let mut parts: Vec<Part> = Vec::with_capacity(list.len());
    let mut for_call = None;
    for (at, value) in list.into_iter().enumerate() {
        match block(value, &format!("{path}[{at}]"), names)? {
            Block::Part(mut part) => {
                if let Part::ToolCall(call) = &mut part {
                    call.signature = for_call.take();
                }
                parts.push(part);
            }
            Block::Mark(mark) => {
                if let Some(cache) = parts.last_mut().and_then(marked) {
                    *cache = Some(mark);
                }
            }
            Block::Proof(Of::Call, signature) => for_call = Some(signature),
            Block::Proof(Of::Sealed, sealed) => {
                parts.push(Part::Thinking(Thinking { sealed: Some(sealed), ..Thinking::default() }));
            }
            // Nothing here shows one.
            Block::Proof(Of::Block, _) => {}
            Block::Proof(Of::Text | Of::Thinking, signature) => {
                if let Some(Part::Text(text)) = parts.last_mut() {
                    text.signature = Some(signature);
                }
            }
            Block::Nothing => {}
        }
    }
    Ok(parts)
}

/// Where a part keeps its cache mark.
fn marked(part: &mut Part) -> Option<&mut Option<CacheMark>> {
    match part {
        Part::Text(text) => Some(&mut text.cache),
        Part::Image(image) => Some(&mut image.cache),
        Part::Document(document) => Some(&mut document.cache),
        Part::ToolCall(call) => Some(&mut call.cache),
        Part::ToolResult(result) => Some(&mut result.cache),
        Part::Audio(_) | Part::Video(_) | Part::Thinking(_) | Part::Refusal(_) | Part::Opaque(_) => None,
    }
}

fn block(value: Value, path: &str, names: &mut Names) -> Result<Block, Fault> {
    let mut fields = Fields::of(value, path)?;
    if let Some(text) = fields.text("text")? {
        return Ok(Block::Part(Part::Text(Text::new(text))));
    }
    if let Some(json) = fields.value("json") {
        return Ok(Block::Part(Part::Text(Text::new(json.to_string()))));
    }
    if let Some(mark) = fields.object("cachePoint")? {
        return Ok(Block::Mark(cache_mark(mark)?));
    }
    if let Some(mut call) = fields.object("toolUse")? {
        let (id, name) = (call.needed_text("toolUseId")?, call.needed_text("name")?);
        names.insert(id.clone(), name.clone());
        let arguments = call.value("input").map_or_else(|| "{}".to_owned(), |input| input.to_string());
        return Ok(Block::Part(Part::ToolCall(ToolCall {
            id,
            name,
            arguments,
            signature: None,
            cache: None,
        })));
    }
    if let Some(mut result) = fields.object("toolResult")? {
        let call_id = result.needed_text("toolUseId")?;
        let parts = parts(result.list("content")?, &result.path("content"), names)?;
        let failed = result.text("status")?.map(|status| status == "error");
        let name = names.get(&call_id).cloned();
        return Ok(Block::Part(Part::ToolResult(ToolResult { call_id, name, parts, failed, cache: None })));
    }
    if let Some(content) = fields.object("reasoningContent")? {
        return thinking(content);
    }
    if let Some(mut image) = fields.object("image")? {
        let source = medium(&mut image, "image")?;
        return Ok(Block::Part(Part::Image(Image { source, detail: None, cache: None })));
    }
    if let Some(mut video) = fields.object("video")? {
        let source = medium(&mut video, "video")?;
        return Ok(Block::Part(Part::Video(Video { source })));
    }
    if let Some(mut audio) = fields.object("audio")? {
        let source = Some(medium(&mut audio, "audio")?);
        return Ok(Block::Part(Part::Audio(Audio { source, id: None, transcript: None, expires_at: None })));
    }
    if let Some(document) = fields.object("document")? {
        return Ok(Block::Part(Part::Document(self::document(document, names)?)));
    }
    if let Some(mut cited) = fields.object("citationsContent")? {
        let pieces = cited.list("content")?;
        let text: String = pieces.iter().filter_map(|piece| piece.get("text")?.as_str()).collect();
        let citations = cited.value("citations").map(|value| Opaque { origin: Dialect::Bedrock, value });
        return Ok(Block::Part(Part::Text(Text { citations, ..Text::new(text) })));
    }
    Ok(Block::Part(Part::Opaque(Opaque { origin: Dialect::Bedrock, value: fields.everything() })))
}

fn thinking(mut content: Fields) -> Result<Block, Fault> {
    if let Some(sealed) = content.text("redactedContent")? {
        let sealed = proof::unsealed(sealed);
        return Ok(match sealed {
            Some(_) => Block::Part(Part::Thinking(Thinking { sealed, ..Thinking::default() })),
            None => Block::Nothing,
        });
    }
    let Some(mut said) = content.object("reasoningText")? else { return Ok(Block::Nothing) };
    let text = said.text("text")?.unwrap_or_default();
    let signature = match proof::read(said.text("signature")?.unwrap_or_default()) {
        Proof::Of(Of::Thinking, signature) => Some(signature),
        Proof::Of(of, signature) => return Ok(Block::Proof(of, signature)),
        Proof::Missing => None,
    };
    Ok(Block::Part(Part::Thinking(Thinking { text, signature, sealed: None })))
}

/// The bytes of a medium, or where they lie in S3.
fn medium(fields: &mut Fields, kind: &str) -> Result<MediaSource, Fault> {
    let format = fields.text("format")?.unwrap_or_default();
    let media_type = format!("{kind}/{format}");
    let Some(mut source) = fields.object("source")? else {
        return Err(Fault::missing_field(fields.path("source"), "bytes or s3Location"));
    };
    sourced(&mut source, media_type)?.ok_or_else(|| Fault::missing_field(source.path("bytes"), "base64"))
}

fn sourced(source: &mut Fields, media_type: String) -> Result<Option<MediaSource>, Fault> {
    if let Some(data) = source.text("bytes")? {
        return Ok(Some(MediaSource::Inline { media_type, data }));
    }
    let Some(mut place) = source.object("s3Location")? else { return Ok(None) };
    Ok(Some(MediaSource::Url { url: place.needed_text("uri")?, media_type: Some(media_type) }))
}

const DOCUMENTS: &[(&str, &str)] = &[
    ("pdf", "application/pdf"),
    ("csv", "text/csv"),
    ("doc", "application/msword"),
    ("docx", "application/vnd.openxmlformats-officedocument.wordprocessingml.document"),
    ("xls", "application/vnd.ms-excel"),
    ("xlsx", "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"),
    ("html", "text/html"),
    ("md", "text/markdown"),
];

fn document(mut fields: Fields, names: &mut Names) -> Result<Document, Fault> {
    let format = fields.text("format")?.unwrap_or_default();
    let kind = DOCUMENTS.iter().find(|(known, _)| *known == format).map_or("text/plain", |(_, kind)| kind);
    let Some(mut source) = fields.object("source")? else {
        return Err(Fault::missing_field(fields.path("source"), "bytes, text, content or s3Location"));
    };
    let body = if let Some(text) = source.text("text")? {
        DocumentBody::Text(Text::new(text))
    } else if source.peek("content").is_some() {
        let path = source.path("content");
        DocumentBody::Parts(parts(source.list("content")?, &path, names)?)
    } else {
        let found = sourced(&mut source, kind.to_owned())?;
        let missing = || Fault::missing_field(source.path("bytes"), "base64");
        DocumentBody::Media(found.ok_or_else(missing)?)
    };
    Ok(Document {
        body,
        title: fields.text("name")?,
        about: fields.text("context")?,
        citations: fields.value("citations"),
        cache: None,
    })
}
