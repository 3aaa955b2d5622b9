//! Content blocks: what each type that is known must have.

use crate::fault::Fault;
use crate::json::{Kind, Value};
use crate::surface::bulk::Bulk;
use crate::surface::path::Path;
use crate::surface::shape::{Shape, allowed, needed, noun};

/// Where a block stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Side {
    /// Among instructions.
    System,
    /// In a user's turn.
    User,
    /// In the model's turn.
    Assistant,
    /// In a tool's result, or in a document.
    Within,
}

/// Checks one block and what stands in it.
pub(super) fn check(block: Value<'_>, side: Side, at: &Path<'_>, bulk: &mut Bulk) -> Result<(), Fault> {
    if block.kind() != Kind::Object {
        return Err(Fault::bad_field(at.to_string(), "an object with a type", noun(block)));
    }
    let kind = needed(block, "type", Shape::Text, at)?.as_str().unwrap_or_default();
    mark(block, at)?;
    match kind.as_ref() {
        "text" => {
            needed(block, "text", Shape::Text, at)?;
            allowed(block, "citations", Shape::Array, at)?;
        }
        "image" => image(block, at, bulk)?,
        "document" => document(block, at, bulk)?,
        "search_result" => {
            needed(block, "source", Shape::Text, at)?;
            needed(block, "title", Shape::Text, at)?;
            switch(block, at)?;
            within(needed(block, "content", Shape::Array, at)?, &at.field("content"), bulk)?;
        }
        "thinking" if side == Side::Assistant => {
            needed(block, "thinking", Shape::Text, at)?;
            // Without one it is good for every other provider; Anthropic refuses it itself.
            allowed(block, "signature", Shape::Text, at)?;
        }
        "redacted_thinking" if side == Side::Assistant => {
            needed(block, "data", Shape::Text, at)?;
        }
        "tool_use" if side == Side::Assistant => {
            needed(block, "id", Shape::Text, at)?;
            needed(block, "name", Shape::Text, at)?;
            needed(block, "input", Shape::Object, at)?;
        }
        "tool_result" if side == Side::User => {
            needed(block, "tool_use_id", Shape::Text, at)?;
            allowed(block, "is_error", Shape::Bool, at)?;
            if let Some(content) = allowed(block, "content", Shape::TextOrArray, at)? {
                within(content, &at.field("content"), bulk)?;
            }
        }
        misplaced @ ("thinking" | "redacted_thinking" | "tool_use" | "tool_result") => {
            let at = at.field("type").to_string();
            return Err(Fault::bad_field(at, expected(side), misplaced));
        }
        _ => {}
    }
    Ok(())
}

/// The mark of a prompt cache.
pub(super) fn mark(object: Value<'_>, at: &Path<'_>) -> Result<(), Fault> {
    let Some(mark) = allowed(object, "cache_control", Shape::Object, at)? else { return Ok(()) };
    let at = at.field("cache_control");
    needed(mark, "type", Shape::Text, &at)?;
    allowed(mark, "ttl", Shape::Text, &at).map(drop)
}

fn expected(side: Side) -> &'static str {
    match side {
        Side::System => "a block of instructions",
        Side::User => "a block of a user's turn",
        Side::Assistant => "a block of the assistant's turn",
        Side::Within => "a block that may stand within another",
    }
}

/// A list of blocks within another, or text.
fn within(content: Value<'_>, at: &Path<'_>, bulk: &mut Bulk) -> Result<(), Fault> {
    content.elements().enumerate().try_for_each(|(j, block)| check(block, Side::Within, &at.item(j), bulk))
}

fn image(block: Value<'_>, at: &Path<'_>, bulk: &mut Bulk) -> Result<(), Fault> {
    bulk.media.images += 1;
    let source = needed(block, "source", Shape::Object, at)?;
    let at = at.field("source");
    if let Some(data) = file(source, &at)? {
        bulk.set_apart(data);
    }
    Ok(())
}

fn document(block: Value<'_>, at: &Path<'_>, bulk: &mut Bulk) -> Result<(), Fault> {
    allowed(block, "title", Shape::Text, at)?;
    allowed(block, "context", Shape::Text, at)?;
    switch(block, at)?;
    let source = needed(block, "source", Shape::Object, at)?;
    let at = at.field("source");
    let kind = needed(source, "type", Shape::Text, &at)?;
    if kind.is_text("text") {
        needed(source, "data", Shape::Text, &at)?;
        return allowed(source, "media_type", Shape::Text, &at).map(drop);
    }
    if kind.is_text("content") {
        let content = needed(source, "content", Shape::TextOrArray, &at)?;
        return within(content, &at.field("content"), bulk);
    }
    match file(source, &at)? {
        Some(data) => bulk.media.file_bytes += bulk.set_apart(data),
        None => bulk.media.references += 1,
    }
    Ok(())
}

/// Whether a document is to be cited.
fn switch(block: Value<'_>, at: &Path<'_>) -> Result<(), Fault> {
    let Some(citations) = allowed(block, "citations", Shape::Object, at)? else { return Ok(()) };
    allowed(citations, "enabled", Shape::Bool, &at.field("citations")).map(drop)
}

/// Where a picture or a file is; its bytes, where they stand here.
fn file<'t>(source: Value<'t>, at: &Path<'_>) -> Result<Option<Value<'t>>, Fault> {
    let kind = needed(source, "type", Shape::Text, at)?;
    if kind.is_text("base64") {
        let media_type = needed(source, "media_type", Shape::Text, at)?;
        if media_type.is_text("") {
            let at = at.field("media_type").to_string();
            return Err(Fault::bad_field(at, "a media type", "an empty string"));
        }
        return needed(source, "data", Shape::Text, at).map(Some);
    }
    let needed_field = [("url", "url"), ("file", "file_id")].into_iter().find(|(word, _)| kind.is_text(word));
    if let Some((_, field)) = needed_field {
        needed(source, field, Shape::Text, at)?;
    }
    Ok(None)
}
