//! The conversation. A content becomes a message, and each part of it a part: what cannot be carried
//! is named by the same numbers.

use super::part::{self, Parsed};
use super::{item, list};
use crate::call::{Extras, Message, Part, Role, Text, Thinking, ToolCall};
use crate::fault::Fault;
use crate::surface::fields::Fields;
use serde_json::Value;

/// A call that the model made and nobody has answered.
pub(super) struct Open {
    pub(super) id: String,
    pub(super) name: String,
    /// Whether the client knows the id.
    pub(super) given: Given,
}

/// Whether an id stood in the request.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Given {
    /// It did.
    Yes,
    /// It was made up here.
    No,
}

/// The instructions. What the canonical form has no word for is put back by its whole path.
pub(super) fn system(fields: &mut Fields) -> Result<Vec<Part>, Fault> {
    alone(fields, "systemInstruction")
}

/// The parts of the content in this field.
pub(super) fn alone(fields: &mut Fields, key: &str) -> Result<Vec<Part>, Fault> {
    let Some(content) = fields.object(key)? else { return Ok(Vec::new()) };
    let mut content = super::camel(content);
    let mut parts = Vec::new();
    for (at, value) in list(&mut content, "parts").into_iter().enumerate() {
        let path = format!("{key}.parts[{at}]");
        let Parsed { part, rest } = part::parse(value, &fields.path(&path), &mut Vec::new())?;
        rest.into_iter().for_each(|(name, value)| fields.put(&format!("{path}.{name}"), value));
        parts.push(part);
    }
    // Whose they are is not in question.
    content.drop("role");
    let rest = content.rest().into_iter();
    rest.for_each(|(name, value)| fields.put(&format!("{key}.{name}"), value));
    Ok(parts)
}

/// The messages.
pub(super) fn parse(contents: Vec<Value>) -> Result<Vec<Message>, Fault> {
    let mut open = Vec::new();
    let mut messages: Vec<Message> = Vec::with_capacity(contents.len());
    for (at, content) in contents.into_iter().enumerate() {
        let before = messages.last().map(|message| message.role);
        messages.push(message(at, content, before, &mut open)?);
    }
    Ok(messages)
}

fn message(at: usize, content: Value, before: Option<Role>, open: &mut Vec<Open>) -> Result<Message, Fault> {
    let path = format!("contents[{at}]");
    let mut content = item(content, &path)?;
    let role = match content.text("role")?.as_deref() {
        Some("model") => Role::Assistant,
        _ => Role::User,
    };
    // Google's own clients keep each chunk of a stream as a content: together they are one turn.
    if role == Role::Assistant && before != Some(Role::Assistant) {
        open.clear();
    }
    let mut parts = Vec::new();
    let mut extras = Extras::new();
    for (index, value) in list(&mut content, "parts").into_iter().enumerate() {
        let Parsed { part, rest } = part::parse(value, &format!("{path}.parts[{index}]"), open)?;
        extras.extend(rest.into_iter().map(|(name, value)| (format!("parts[{index}].{name}"), value)));
        if let Part::ToolCall(ToolCall { id, name, .. }) = &part {
            let given = if id.starts_with(part::INVENTED) { Given::No } else { Given::Yes };
            open.push(Open { id: id.clone(), name: name.clone(), given });
        }
        parts.push(part);
    }
    join_thoughts(&mut parts);
    extras.extend(content.rest());
    Ok(Message { role, name: None, parts, extras })
}

/// A thought streamed in pieces, whose proof came last on an empty one, is one thought. The places of
/// the others stay, with nothing in them.
fn join_thoughts(parts: &mut [Part]) {
    let mut text = String::new();
    for at in 0..parts.len() {
        let Some(Part::Thinking(thought)) = parts.get_mut(at) else {
            text.clear();
            continue;
        };
        let Thinking { text: more, signature, sealed } = thought;
        if sealed.is_some() {
            text.clear();
            continue;
        }
        text.push_str(more);
        if signature.is_some() {
            *more = std::mem::take(&mut text);
            continue;
        }
        let goes_on = parts
            .get(at + 1)
            .is_some_and(|next| matches!(next, Part::Thinking(Thinking { sealed: None, .. })));
        match parts.get_mut(at) {
            Some(Part::Thinking(last)) if !goes_on => last.text = std::mem::take(&mut text),
            Some(piece) => *piece = Part::Text(Text::default()),
            None => {}
        }
    }
}
