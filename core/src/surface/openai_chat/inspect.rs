//! Checks a chat request's shape and reads what routing needs, in one pass over its tape.
//!
//! Refused is what no provider could make sense of: a wrong JSON type, a missing field, a tool result
//! that answers nothing. What a provider may know and this code does not (a new part type, a new
//! field) passes.

mod bulk;

use crate::call::{Delivery, UsageChunk};
use crate::fault::Fault;
use crate::json::{Kind, Tape, Value};
use crate::sort::Set;
use crate::surface::bulk::{Bulk, weigh};
use crate::surface::conversation::Answered;
use crate::surface::shape::{Shape, end_user, found, noun, text};
use crate::surface::{CapPlace, Conversation, Edit, Envelope, ModelPlace, Places};
use crate::units::Tokens;
use std::borrow::Cow;
use std::ops::Range;

/// Fields of the body that are the gateway's and not the provider's.
const OWN_FIELDS: &[&str] = &["fallbacks"];

/// The top-level fields that are checked by shape alone.
const SHAPES: &[(&str, Shape)] = &[
    ("stream", Shape::Bool),
    ("stream_options", Shape::Object),
    ("n", Shape::Positive),
    ("max_tokens", Shape::Whole),
    ("max_completion_tokens", Shape::Whole),
    ("temperature", Shape::Number),
    ("top_p", Shape::Number),
    ("presence_penalty", Shape::Number),
    ("frequency_penalty", Shape::Number),
    ("seed", Shape::Number),
    ("logprobs", Shape::Bool),
    ("top_logprobs", Shape::Whole),
    ("logit_bias", Shape::Object),
    ("stop", Shape::TextOrTexts),
    ("tools", Shape::Array),
    ("functions", Shape::Array),
    ("tool_choice", Shape::TextOrObject),
    ("function_call", Shape::TextOrObject),
    ("parallel_tool_calls", Shape::Bool),
    ("response_format", Shape::Object),
    ("modalities", Shape::Texts),
    ("audio", Shape::Object),
    ("reasoning_effort", Shape::Text),
    ("verbosity", Shape::Text),
    ("metadata", Shape::Object),
    ("store", Shape::Bool),
    ("user", Shape::Text),
    ("safety_identifier", Shape::Text),
    ("prompt_cache_key", Shape::Text),
    ("service_tier", Shape::Text),
    ("fallbacks", Shape::Texts),
];

/// See [`crate::surface::Surface::inspect`]. A body that names no model has that of its path.
pub(super) fn inspect(tape: &Tape<'_>, path_model: Option<&str>) -> Result<Envelope, Fault> {
    let root = tape.root();
    if root.kind() != Kind::Object {
        return Err(Fault::bad_field("body", "an object", noun(root)));
    }
    let mut seen = Seen::default();
    for (key, value) in root.members() {
        let Some(key) = key.as_str() else { continue };
        if let Some((name, shape)) = SHAPES.iter().find(|(name, _)| *name == key)
            && !value.is_null()
            && !shape.fits(value)
        {
            return Err(Fault::bad_field(*name, shape.expected(), found(value)));
        }
        seen.note(&key, value);
    }
    let (model, model_place) = seen.model(path_model)?;
    let messages = seen.messages.ok_or_else(|| Fault::missing_field("messages", "an array of messages"))?;
    let turns = Turns::check(messages)?;
    check_functions(seen.tools, "tools")?;
    check_functions(seen.functions, "functions")?;
    let (delivery, usage) = (delivery(root)?, usage_edit(root)?);
    let others = [seen.tools, seen.functions, seen.response_format];
    Ok(Envelope {
        model,
        model_place,
        delivery,
        fallbacks: seen.fallbacks.into_iter().flat_map(Value::elements).filter_map(text).collect(),
        cuts: if seen.fallbacks.is_some() { root.member_cuts(OWN_FIELDS) } else { Vec::new() },
        conversation: Some(turns.conversation(root, seen.tools)),
        max_tokens: seen.max_completion_tokens.or(seen.max_tokens).and_then(Value::as_u64).map(Tokens),
        prompt_bytes: turns.bulk.weigh(messages) + others.into_iter().flatten().map(weigh).sum::<u64>(),
        media: turns.bulk.media,
        n: seen.n.and_then(Value::as_u64).unwrap_or(1),
        end_user: seen.user.and_then(end_user),
        places: Places { members: root.span().start + 1, usage, caps: seen.caps, ..Places::default() },
    })
}

/// The members that are looked at again.
#[derive(Default)]
struct Seen<'t> {
    model: Option<Value<'t>>,
    /// Where a model that is null stands.
    null_model: Option<Range<usize>>,
    messages: Option<Value<'t>>,
    tools: Option<Value<'t>>,
    functions: Option<Value<'t>>,
    fallbacks: Option<Value<'t>>,
    max_tokens: Option<Value<'t>>,
    max_completion_tokens: Option<Value<'t>>,
    response_format: Option<Value<'t>>,
    n: Option<Value<'t>>,
    user: Option<Value<'t>>,
    /// Null ones too: a second member of the name would be refused.
    caps: Vec<CapPlace>,
}

impl<'t> Seen<'t> {
    fn note(&mut self, key: &str, value: Value<'t>) {
        let place = match key {
            "model" if value.is_null() => return self.null_model = Some(value.span()),
            "model" => &mut self.model,
            "messages" => &mut self.messages,
            // A null list must still be cut.
            "fallbacks" => return self.fallbacks = Some(value),
            "tools" => &mut self.tools,
            "functions" => &mut self.functions,
            "max_tokens" => {
                self.caps.push(CapPlace::of("max_tokens", value));
                &mut self.max_tokens
            }
            "max_completion_tokens" => {
                self.caps.push(CapPlace::of("max_completion_tokens", value));
                &mut self.max_completion_tokens
            }
            "response_format" => &mut self.response_format,
            "n" => &mut self.n,
            "user" => &mut self.user,
            _ => return,
        };
        *place = (!value.is_null()).then_some(value);
    }

    fn model(&self, path_model: Option<&str>) -> Result<(String, ModelPlace), Fault> {
        let Some(model) = self.model else {
            let name = path_model.ok_or_else(|| Fault::missing_field("model", "a string"))?;
            let place = self.null_model.clone().map_or(ModelPlace::Missing, ModelPlace::Body);
            return Ok((name.to_owned(), place));
        };
        let name = model.as_str().ok_or_else(|| Fault::bad_field("model", "a string", noun(model)))?;
        if name.is_empty() {
            return Err(Fault::bad_field("model", "the name of a model", "an empty string"));
        }
        Ok((name.into_owned(), ModelPlace::Body(model.span())))
    }
}

/// Whether a stream is asked for, and usage in it.
pub(in crate::surface) fn delivery(root: Value<'_>) -> Result<Delivery, Fault> {
    let asked = root.get("stream_options").and_then(|options| options.get("include_usage"));
    let asked = asked.filter(|asked| !asked.is_null());
    let usage = match asked.map(|asked| asked.as_bool().ok_or(asked)) {
        Some(Ok(true)) => UsageChunk::Wanted,
        None | Some(Ok(false)) => UsageChunk::Unwanted,
        Some(Err(other)) => {
            return Err(Fault::bad_field("stream_options.include_usage", "true or false", found(other)));
        }
    };
    let streamed = root.get("stream").and_then(Value::as_bool) == Some(true);
    Ok(if streamed { Delivery::Stream(usage) } else { Delivery::Whole })
}

/// The smallest change by which a client that streams asks for usage, where it does not.
pub(in crate::surface) fn usage_edit(root: Value<'_>) -> Result<Option<Edit>, Fault> {
    match delivery(root)? {
        Delivery::Stream(UsageChunk::Unwanted) => {}
        Delivery::Stream(UsageChunk::Wanted) | Delivery::Whole => return Ok(None),
    }
    let after_brace = |object: Value<'_>| object.span().start + 1..object.span().start + 1;
    Ok(Some(match root.get("stream_options") {
        None => Edit { span: after_brace(root), text: r#""stream_options":{"include_usage":true},"# },
        Some(null) if null.is_null() => Edit { span: null.span(), text: r#"{"include_usage":true}"# },
        Some(options) => match (options.get("include_usage"), options.members().next()) {
            (Some(flag), _) => Edit { span: flag.span(), text: "true" },
            (None, None) => Edit { span: after_brace(options), text: r#""include_usage":true"# },
            (None, Some(_)) => Edit { span: after_brace(options), text: r#""include_usage":true,"# },
        },
    }))
}

/// Each function needs a name; a tool of another type is the provider's to understand.
fn check_functions(list: Option<Value<'_>>, field: &'static str) -> Result<(), Fault> {
    for (i, tool) in list.into_iter().flat_map(Value::elements).enumerate() {
        if tool.kind() != Kind::Object {
            return Err(Fault::bad_field(format!("{field}[{i}]"), "an object", noun(tool)));
        }
        if field == "functions" {
            named(tool, || format!("{field}[{i}]"))?;
            continue;
        }
        // Some clients leave the type out where a function stands.
        let (kind, function) = (tool.get("type"), tool.get("function"));
        let path = |rest: &str| format!("{field}[{i}].{rest}");
        match kind {
            None if function.is_none() => {
                return Err(Fault::missing_field(path("type"), "a string such as `function`"));
            }
            Some(kind) if kind.kind() != Kind::String => {
                return Err(Fault::bad_field(path("type"), "a string such as `function`", noun(kind)));
            }
            Some(kind) if !kind.is_text("function") => continue,
            None | Some(_) => {}
        }
        let function = function.ok_or_else(|| Fault::missing_field(path("function"), "an object"))?;
        named(function, || path("function"))?;
    }
    Ok(())
}

fn named(function: Value<'_>, path: impl Fn() -> String) -> Result<(), Fault> {
    let name = function.get("name");
    match name {
        Some(name) if name.kind() == Kind::String && !name.is_text("") => Ok(()),
        Some(name) => Err(Fault::bad_field(format!("{}.name", path()), "a name", noun(name))),
        None => Err(Fault::missing_field(format!("{}.name", path()), "a name")),
    }
}

/// What the messages tell beyond being well-formed.
#[derive(Default)]
struct Turns<'t> {
    asked_for: Set<Cow<'t, str>>,
    instructions: Vec<Value<'t>>,
    first_user: Option<Value<'t>>,
    answered: Answered,
    bulk: Bulk,
}

impl<'t> Turns<'t> {
    fn check(messages: Value<'t>) -> Result<Self, Fault> {
        if messages.kind() != Kind::Array {
            return Err(Fault::bad_field("messages", "an array of messages", noun(messages)));
        }
        let mut turns = Self::default();
        let mut none = true;
        for (i, message) in messages.elements().enumerate() {
            none = false;
            turns.message(i, message)?;
        }
        if none {
            return Err(Fault::bad_field("messages", "at least one message", "an empty array"));
        }
        Ok(turns)
    }

    fn message(&mut self, i: usize, message: Value<'t>) -> Result<(), Fault> {
        if message.kind() != Kind::Object {
            return Err(Fault::bad_field(format!("messages[{i}]"), "an object", noun(message)));
        }
        const ROLES: &str = "one of system, developer, user, assistant, tool, function";
        let path = |field: &str| format!("messages[{i}].{field}");
        let role = message.get("role").ok_or_else(|| Fault::missing_field(path("role"), ROLES))?;
        let content = message.get("content");
        match role.as_str().as_deref() {
            Some("system" | "developer") => self.instructions.extend(content),
            Some("user") => self.first_user = self.first_user.or(content),
            Some("assistant") => self.assistant(i, message)?,
            Some("tool") => self.tool(i, message)?,
            Some("function") => {}
            Some(_) => return Err(Fault::bad_field(path("role"), ROLES, "another word")),
            None => return Err(Fault::bad_field(path("role"), ROLES, noun(role))),
        }
        self.bulk.images(message.get("images"));
        check_content(i, content, &mut self.bulk)
    }

    fn assistant(&mut self, i: usize, message: Value<'t>) -> Result<(), Fault> {
        self.answered = Answered::Before;
        let Some(calls) = message.get("tool_calls").filter(|calls| !calls.is_null()) else { return Ok(()) };
        let path = |rest: &str| format!("messages[{i}].tool_calls{rest}");
        if calls.kind() != Kind::Array {
            return Err(Fault::bad_field(path(""), "an array", noun(calls)));
        }
        for (k, call) in calls.elements().enumerate() {
            let id =
                call.get("id").ok_or_else(|| Fault::missing_field(path(&format!("[{k}].id")), "a string"))?;
            let id = id
                .as_str()
                .ok_or_else(|| Fault::bad_field(path(&format!("[{k}].id")), "a string", noun(id)))?;
            self.asked_for.insert(id);
        }
        Ok(())
    }

    fn tool(&mut self, i: usize, message: Value<'t>) -> Result<(), Fault> {
        let path = format!("messages[{i}].tool_call_id");
        let expected = "the id of the call this answers";
        let id = message.get("tool_call_id").ok_or_else(|| Fault::missing_field(path.clone(), expected))?;
        let text = id.as_str().ok_or_else(|| Fault::bad_field(path.clone(), expected, noun(id)))?;
        if self.asked_for.contains(&text) {
            return Ok(());
        }
        Err(Fault::bad_field(path, "the id of a call of an earlier assistant message", "an id no call has"))
    }

    fn conversation(&self, root: Value<'_>, tools: Option<Value<'t>>) -> Conversation {
        let parts = tools.into_iter().chain(self.instructions.iter().copied()).chain(self.first_user);
        Conversation::of(root, parts, self.answered)
    }
}

fn check_content(i: usize, content: Option<Value<'_>>, bulk: &mut Bulk) -> Result<(), Fault> {
    let Some(content) = content else { return Ok(()) };
    let path = |rest: &str| format!("messages[{i}].content{rest}");
    match content.kind() {
        Kind::Null | Kind::String => return Ok(()),
        Kind::Array => {}
        Kind::Bool | Kind::Number | Kind::Object => {
            return Err(Fault::bad_field(path(""), "a string or an array of parts", noun(content)));
        }
    }
    for (j, part) in content.elements().enumerate() {
        check_part(part, |rest| path(&format!("[{j}]{rest}")), bulk)?;
    }
    Ok(())
}

fn check_part(part: Value<'_>, path: impl Fn(&str) -> String, bulk: &mut Bulk) -> Result<(), Fault> {
    if part.kind() != Kind::Object {
        return Err(Fault::bad_field(path(""), "an object with a type", noun(part)));
    }
    let Some(kind) = part.get("type") else {
        return Err(Fault::missing_field(path(".type"), "a string such as `text`"));
    };
    let Some(word) = kind.as_str() else {
        return Err(Fault::bad_field(path(".type"), "a string such as `text`", noun(kind)));
    };
    let (field, shape) = match word.as_ref() {
        "text" => ("text", Shape::Text),
        "refusal" => ("refusal", Shape::Text),
        // Mistral takes the bare URL.
        "image_url" => ("image_url", Shape::TextOrObject),
        "video_url" => ("video_url", Shape::TextOrObject),
        "input_audio" => ("input_audio", Shape::TextOrObject),
        "file" => ("file", Shape::Object),
        _ => return Ok(()),
    };
    match part.get(field) {
        Some(value) if shape.fits(value) => {
            bulk.part(field, value);
            Ok(())
        }
        Some(value) => Err(Fault::bad_field(path(&format!(".{field}")), shape.expected(), noun(value))),
        None => Err(Fault::missing_field(path(&format!(".{field}")), shape.expected())),
    }
}

#[cfg(test)]
mod tests;
