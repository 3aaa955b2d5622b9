//! The items of an input.

use crate::fault::Fault;
use crate::json::{Kind, Value};
use crate::sort::Set;
use crate::surface::bulk::Bulk;
use crate::surface::conversation::Answered;
use crate::surface::path::Path;
use crate::surface::shape::{Shape, allowed, fitting, found, needed, noun};
use std::borrow::Cow;

/// What the items tell beyond being well-formed.
#[derive(Default)]
pub(super) struct Items<'t> {
    asked_for: Set<Cow<'t, str>>,
    /// Calls may stand where only the provider sees them.
    asked_elsewhere: bool,
    instructions: Vec<Value<'t>>,
    first_user: Option<Value<'t>>,
    pub(super) answered: Answered,
    pub(super) bulk: Bulk,
}

const ROLES: &str = "one of user, assistant, system, developer";

impl<'t> Items<'t> {
    /// Checks an input. `kept` tells whether the provider is said to know more of the conversation.
    pub(super) fn check(input: Value<'t>, kept: bool) -> Result<Self, Fault> {
        let at = Path::root("input");
        fitting(input, Shape::TextOrArray, &at)?;
        let mut items = Self { asked_elsewhere: kept, ..Self::default() };
        if kept {
            items.answered = Answered::Before;
        }
        if input.kind() == Kind::String {
            items.first_user = Some(input);
            return Ok(items);
        }
        let mut none = true;
        for (i, item) in input.elements().enumerate() {
            none = false;
            items.item(item, &at.item(i))?;
        }
        if none && !kept {
            return Err(Fault::bad_field("input", "at least one item", "an empty array"));
        }
        Ok(items)
    }

    /// What stays the same from turn to turn, besides tools and instructions.
    pub(super) fn lasting(&self) -> impl Iterator<Item = Value<'t>> {
        self.instructions.iter().copied().chain(self.first_user)
    }

    fn item(&mut self, item: Value<'t>, at: &Path<'_>) -> Result<(), Fault> {
        fitting(item, Shape::Object, at)?;
        let kind = match item.get("type").filter(|kind| !kind.is_null()) {
            Some(_) => needed(item, "type", Shape::Text, at)?.as_str().unwrap_or_default(),
            // A message may leave it out.
            None if item.get("role").is_some() || item.get("content").is_some() => Cow::Borrowed("message"),
            None => {
                let expected = "a string such as `message`";
                return Err(Fault::missing_field(at.field("type").to_string(), expected));
            }
        };
        match kind.as_ref() {
            "message" => self.message(item, at)?,
            "function_call" | "custom_tool_call" => {
                self.answered = Answered::Before;
                let input = if kind == "function_call" { "arguments" } else { "input" };
                let id = needed(item, "call_id", Shape::Text, at)?;
                needed(item, "name", Shape::Text, at)?;
                needed(item, input, Shape::Text, at)?;
                self.asked_for.extend(id.as_str());
            }
            "function_call_output" | "custom_tool_call_output" => self.output(item, at)?,
            "reasoning" => {
                self.answered = Answered::Before;
                allowed(item, "encrypted_content", Shape::Text, at)?;
                for (list, field) in [("summary", "text"), ("content", "text")] {
                    let parts = allowed(item, list, Shape::Array, at)?;
                    let at = at.field(list);
                    for (j, part) in parts.into_iter().flat_map(Value::elements).enumerate() {
                        needed(fitting(part, Shape::Object, &at.item(j))?, field, Shape::Text, &at.item(j))?;
                    }
                }
            }
            "item_reference" => {
                self.asked_elsewhere = true;
                needed(item, "id", Shape::Text, at)?;
            }
            // Calls of tools that the provider runs, and what is newer than this: calls may stand within.
            _ => self.asked_elsewhere = true,
        }
        Ok(())
    }

    fn message(&mut self, item: Value<'t>, at: &Path<'_>) -> Result<(), Fault> {
        let missing = || Fault::missing_field(at.field("role").to_string(), ROLES);
        let role = item.get("role").ok_or_else(missing)?;
        let content = needed(item, "content", Shape::TextOrArray, at)?;
        match role.as_str().as_deref() {
            Some("system" | "developer") => self.instructions.push(content),
            Some("user") => self.first_user = self.first_user.or(Some(content)),
            Some("assistant") => self.answered = Answered::Before,
            Some(_) => return Err(Fault::bad_field(at.field("role").to_string(), ROLES, "another word")),
            None => return Err(Fault::bad_field(at.field("role").to_string(), ROLES, noun(role))),
        }
        self.parts(content, &at.field("content"))
    }

    fn output(&mut self, item: Value<'t>, at: &Path<'_>) -> Result<(), Fault> {
        let id = needed(item, "call_id", Shape::Text, at)?;
        let output = needed(item, "output", Shape::TextOrArray, at)?;
        let known = id.as_str().is_some_and(|id| self.asked_for.contains(&id));
        if !known && !self.asked_elsewhere {
            let expected = "the call_id of an earlier call";
            return Err(Fault::bad_field(at.field("call_id").to_string(), expected, "an id no call has"));
        }
        self.parts(output, &at.field("output"))
    }

    fn parts(&mut self, content: Value<'t>, at: &Path<'_>) -> Result<(), Fault> {
        for (j, part) in content.elements().enumerate() {
            self.part(part, &at.item(j))?;
        }
        Ok(())
    }

    fn part(&mut self, part: Value<'t>, at: &Path<'_>) -> Result<(), Fault> {
        fitting(part, Shape::Object, at)?;
        let kind = needed(part, "type", Shape::Text, at)?;
        match kind.as_str().as_deref() {
            Some("input_text" | "output_text" | "text") => drop(needed(part, "text", Shape::Text, at)?),
            Some("refusal") => drop(needed(part, "refusal", Shape::Text, at)?),
            Some("input_image") => {
                let (url, id) = (
                    allowed(part, "image_url", Shape::Text, at)?,
                    allowed(part, "file_id", Shape::Text, at)?,
                );
                allowed(part, "detail", Shape::Text, at)?;
                if url.is_none() && id.is_none() {
                    return Err(Fault::missing_field(
                        at.field("image_url").to_string(),
                        "a string, or a file_id",
                    ));
                }
                self.bulk.media.images += 1;
                if let Some(url) = url.filter(|url| url.raw().starts_with(b"\"data:")) {
                    self.bulk.set_apart(url);
                }
            }
            Some("input_file") => self.file(part, at)?,
            Some("input_audio") => {
                let audio = needed(part, "input_audio", Shape::Object, at)?;
                let at = at.field("input_audio");
                let data = needed(audio, "data", Shape::Text, &at)?;
                let format = needed(audio, "format", Shape::Text, &at)?;
                if format.is_text("") {
                    let at = at.field("format").to_string();
                    return Err(Fault::bad_field(at, "a format such as wav", found(format)));
                }
                self.bulk.media.audio_bytes += self.bulk.set_apart(data);
            }
            Some(_) | None => {}
        }
        Ok(())
    }

    fn file(&mut self, part: Value<'t>, at: &Path<'_>) -> Result<(), Fault> {
        allowed(part, "filename", Shape::Text, at)?;
        let data = allowed(part, "file_data", Shape::Text, at)?;
        let url = allowed(part, "file_url", Shape::Text, at)?;
        let id = allowed(part, "file_id", Shape::Text, at)?;
        match (data, url, id) {
            (Some(data), _, _) => self.bulk.media.file_bytes += self.bulk.set_apart(data),
            (None, None, None) => {
                let expected = "a string, or a file_url or file_id";
                return Err(Fault::missing_field(at.field("file_data").to_string(), expected));
            }
            (None, _, _) => self.bulk.media.references += 1,
        }
        Ok(())
    }
}
