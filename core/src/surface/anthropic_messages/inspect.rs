//! Checks a Messages request's shape and reads what routing needs, in one pass over its tape.
//!
//! Refused is what no provider could make sense of: a wrong JSON type, a missing field, a tool result
//! that answers nothing. What an upstream of this dialect may know and this code does not (a new block
//! type, a new field) passes; it is `parse` that has to understand everything.

mod block;

use crate::call::{Delivery, Operation, UsageChunk};
use crate::fault::Fault;
use crate::json::{Kind, Tape, Value};
use crate::sort;
use crate::sort::Set;
use crate::surface::bulk::{Bulk, weigh};
use crate::surface::conversation::Answered;
use crate::surface::path::Path;
use crate::surface::proof;
use crate::surface::shape::{Shape, allowed, end_user, fitting, needed, noun, text};
use crate::surface::{CapPlace, Conversation, Envelope, ModelPlace, Places};
use crate::units::Tokens;
use block::Side;
use std::borrow::Cow;
use std::ops::Range;

/// Fields of the body that are the gateway's and not the provider's.
const OWN_FIELDS: &[&str] = &["fallbacks"];

/// The top-level fields that are checked by shape alone.
const SHAPES: &[(&str, Shape)] = &[
    ("stream", Shape::Bool),
    ("temperature", Shape::Number),
    ("top_p", Shape::Number),
    ("top_k", Shape::Whole),
    ("stop_sequences", Shape::Texts),
    ("cache_control", Shape::Object),
    ("service_tier", Shape::Text),
    ("container", Shape::TextOrObject),
    ("context_management", Shape::Object),
    ("mcp_servers", Shape::Array),
    ("output_format", Shape::Object),
    ("inference_geo", Shape::Text),
    ("speed", Shape::Text),
    ("diagnostics", Shape::Object),
    ("thread", Shape::Object),
];

/// Where the model is named.
#[derive(Clone, Copy, Debug)]
pub(super) enum Naming<'n> {
    /// In the body.
    Body,
    /// In the path, so.
    Path(&'n str),
}

/// See [`crate::surface::Surface::inspect`].
pub(super) fn inspect(tape: &Tape<'_>, operation: Operation, naming: Naming<'_>) -> Result<Envelope, Fault> {
    let root = tape.root();
    if root.kind() != Kind::Object {
        return Err(Fault::bad_field("body", "an object", noun(root)));
    }
    let seen = Seen::of(root);
    let missing = |field, expected| Fault::missing_field(field, expected);
    let Named { name, place: model_place } = named(&seen, naming)?;
    let counts = operation == Operation::Count;
    let cap = match seen.max_tokens {
        Some(cap) => Some(fitting(cap, Shape::Whole, &Path::root("max_tokens"))?),
        None if counts => None,
        None => return Err(missing("max_tokens", "a whole number of at least 0")),
    };
    let messages = seen.messages.ok_or_else(|| missing("messages", "an array of messages"))?;
    let mut turns = Turns { asked_elsewhere: seen.thread.is_some(), ..Turns::default() };
    check_settings(root, &mut turns)?;
    turns.check(messages)?;
    check_tools(seen.tools)?;
    let fallbacks = seen.own_fallbacks()?;
    let mut cuts = foreign_thinking(root, messages);
    if fallbacks.is_some() {
        cuts.extend(root.member_cuts(OWN_FIELDS));
        sort::sort_by_key(&mut cuts, |cut| cut.start);
    }
    let others = [seen.system, seen.tools, seen.output_config].into_iter().flatten();
    let streamed = !counts && seen.stream.and_then(Value::as_bool) == Some(true);
    Ok(Envelope {
        model: name,
        model_place,
        // Usage is in every stream of this dialect.
        delivery: if streamed { Delivery::Stream(UsageChunk::Wanted) } else { Delivery::Whole },
        fallbacks: fallbacks.into_iter().flat_map(Value::elements).filter_map(text).collect(),
        cuts,
        conversation: Some(turns.conversation(root, &seen)),
        max_tokens: cap.filter(|_| !counts).and_then(Value::as_u64).map(Tokens),
        prompt_bytes: turns.bulk.weigh(messages) + others.map(weigh).sum::<u64>(),
        media: turns.bulk.media,
        n: 1,
        end_user: seen.metadata.and_then(|metadata| end_user(metadata.get("user_id")?)),
        places: Places {
            members: root.span().start + 1,
            usage: None,
            caps: seen.max_tokens.map(|cap| CapPlace::of("max_tokens", cap)).into_iter().collect(),
            ..Places::default()
        },
    })
}

struct Named {
    name: String,
    place: ModelPlace,
}

fn named(seen: &Seen<'_>, naming: Naming<'_>) -> Result<Named, Fault> {
    if let Naming::Path(name) = naming {
        return Ok(Named { name: name.to_owned(), place: ModelPlace::Path });
    }
    let model = seen.model.ok_or_else(|| Fault::missing_field("model", "a string"))?;
    let name = fitting(model, Shape::Text, &Path::root("model"))?.as_str().unwrap_or_default();
    if name.is_empty() {
        return Err(Fault::bad_field("model", "the name of a model", "an empty string"));
    }
    Ok(Named { name: name.into_owned(), place: ModelPlace::Body(model.span()) })
}

/// The members that are looked at again; none that is null.
#[derive(Default)]
struct Seen<'t> {
    model: Option<Value<'t>>,
    messages: Option<Value<'t>>,
    system: Option<Value<'t>>,
    tools: Option<Value<'t>>,
    /// A null one too: it must be cut.
    fallbacks: Option<Value<'t>>,
    max_tokens: Option<Value<'t>>,
    stream: Option<Value<'t>>,
    metadata: Option<Value<'t>>,
    output_config: Option<Value<'t>>,
    /// A conversation that the provider keeps.
    thread: Option<Value<'t>>,
}

impl<'t> Seen<'t> {
    fn of(root: Value<'t>) -> Self {
        let mut seen = Self::default();
        for (key, value) in root.members() {
            let place = match key.as_str().as_deref() {
                Some("model") => &mut seen.model,
                Some("messages") => &mut seen.messages,
                Some("system") => &mut seen.system,
                Some("tools") => &mut seen.tools,
                Some("fallbacks") => {
                    seen.fallbacks = Some(value);
                    continue;
                }
                Some("max_tokens") => &mut seen.max_tokens,
                Some("stream") => &mut seen.stream,
                Some("metadata") => &mut seen.metadata,
                Some("output_config") => &mut seen.output_config,
                Some("thread") => &mut seen.thread,
                Some(_) | None => continue,
            };
            *place = (!value.is_null()).then_some(value);
        }
        seen
    }

    /// `fallbacks`, where it is the gateway's: names of models. Anthropic has a field of that name, too:
    /// a word, or objects.
    fn own_fallbacks(&self) -> Result<Option<Value<'t>>, Fault> {
        let Some(list) = self.fallbacks else { return Ok(None) };
        let theirs = list.kind() == Kind::String
            || list.elements().next().is_some_and(|first| first.kind() == Kind::Object);
        if theirs {
            return Ok(None);
        }
        if !list.is_null() && !Shape::Texts.fits(list) {
            return Err(Fault::bad_field("fallbacks", "an array of model names", noun(list)));
        }
        Ok(Some(list))
    }
}

/// Everything at the top but the conversation and the tools.
fn check_settings(root: Value<'_>, turns: &mut Turns<'_>) -> Result<(), Fault> {
    for (key, value) in root.members().filter(|(_, value)| !value.is_null()) {
        let Some(key) = key.as_str() else { continue };
        let known = SHAPES.iter().find(|(name, _)| *name == key);
        if let Some((name, shape)) = known {
            fitting(value, *shape, &Path::root(name))?;
        }
        match key.as_ref() {
            "system" => check_system(fitting(value, Shape::TextOrArray, &Path::root("system"))?, turns)?,
            "metadata" => {
                let at = Path::root("metadata");
                allowed(fitting(value, Shape::Object, &at)?, "user_id", Shape::Text, &at)?;
            }
            "output_format" => check_format(value, &Path::root("output_format"))?,
            "cache_control" => {
                let at = Path::root("cache_control");
                needed(value, "type", Shape::Text, &at)?;
                allowed(value, "ttl", Shape::Text, &at)?;
            }
            "thinking" => check_thinking(value)?,
            "output_config" => {
                let at = Path::root("output_config");
                fitting(value, Shape::Object, &at)?;
                allowed(value, "effort", Shape::Text, &at)?;
                let format = allowed(value, "format", Shape::Object, &at)?;
                format.map_or(Ok(()), |format| check_format(format, &at.field("format")))?;
            }
            "tool_choice" => {
                let at = Path::root("tool_choice");
                let kind = needed(fitting(value, Shape::Object, &at)?, "type", Shape::Text, &at)?;
                allowed(value, "disable_parallel_tool_use", Shape::Bool, &at)?;
                if kind.is_text("tool") {
                    needed(value, "name", Shape::Text, &at)?;
                }
            }
            _ => {}
        }
    }
    Ok(())
}

fn check_system(system: Value<'_>, turns: &mut Turns<'_>) -> Result<(), Fault> {
    let list = Path::root("system");
    for (j, block) in system.elements().enumerate() {
        block::check(block, Side::System, &list.item(j), &mut turns.bulk)?;
    }
    Ok(())
}

fn check_format(format: Value<'_>, at: &Path<'_>) -> Result<(), Fault> {
    needed(format, "type", Shape::Text, at)?;
    needed(format, "schema", Shape::Object, at).map(drop)
}

fn check_thinking(thinking: Value<'_>) -> Result<(), Fault> {
    let at = Path::root("thinking");
    let kind = needed(fitting(thinking, Shape::Object, &at)?, "type", Shape::Text, &at)?;
    allowed(thinking, "display", Shape::Text, &at)?;
    if kind.is_text("enabled") {
        needed(thinking, "budget_tokens", Shape::Whole, &at)?;
    }
    Ok(())
}

/// A tool of the client's needs a name and a schema; one of another type is the provider's to
/// understand.
fn check_tools(tools: Option<Value<'_>>) -> Result<(), Fault> {
    let Some(tools) = tools else { return Ok(()) };
    let list = Path::root("tools");
    for (i, tool) in fitting(tools, Shape::Array, &list)?.elements().enumerate() {
        let at = list.item(i);
        fitting(tool, Shape::Object, &at)?;
        let kind = allowed(tool, "type", Shape::Text, &at)?;
        block::mark(tool, &at)?;
        if kind.is_some_and(|kind| !kind.is_text("custom")) {
            allowed(tool, "name", Shape::Text, &at)?;
            continue;
        }
        if needed(tool, "name", Shape::Text, &at)?.is_text("") {
            return Err(Fault::bad_field(at.field("name").to_string(), "a name", "an empty string"));
        }
        allowed(tool, "description", Shape::Text, &at)?;
        allowed(tool, "strict", Shape::Bool, &at)?;
        needed(tool, "input_schema", Shape::Object, &at)?;
    }
    Ok(())
}

/// What the messages tell beyond being well-formed.
#[derive(Default)]
struct Turns<'t> {
    asked_for: Set<Cow<'t, str>>,
    /// Whether tools may have been asked for in turns that are not in the body.
    asked_elsewhere: bool,
    first_user: Option<Value<'t>>,
    answered: Answered,
    bulk: Bulk,
}

impl<'t> Turns<'t> {
    fn check(&mut self, messages: Value<'t>) -> Result<(), Fault> {
        let list = Path::root("messages");
        if messages.kind() != Kind::Array {
            return Err(Fault::bad_field("messages", "an array of messages", noun(messages)));
        }
        let mut none = true;
        for (i, message) in messages.elements().enumerate() {
            none = false;
            self.message(message, &list.item(i))?;
        }
        if none {
            return Err(Fault::bad_field("messages", "at least one message", "an empty array"));
        }
        Ok(())
    }

    fn message(&mut self, message: Value<'t>, at: &Path<'_>) -> Result<(), Fault> {
        const ROLES: &str = "user, assistant or system";
        if message.kind() != Kind::Object {
            return Err(Fault::bad_field(at.to_string(), "an object", noun(message)));
        }
        let wrong = |found| Fault::bad_field(at.field("role").to_string(), ROLES, found);
        let role =
            message.get("role").ok_or_else(|| Fault::missing_field(at.field("role").to_string(), ROLES))?;
        let content = needed(message, "content", Shape::TextOrArray, at)?;
        let side = match role.as_str().as_deref() {
            Some("user") => {
                self.first_user = self.first_user.or(Some(content));
                Side::User
            }
            Some("assistant") => {
                self.answered = Answered::Before;
                Side::Assistant
            }
            Some("system") => Side::System,
            Some(_) => return Err(wrong("another word")),
            None => return Err(wrong(noun(role))),
        };
        let list = at.field("content");
        for (j, block) in content.elements().enumerate() {
            let at = list.item(j);
            block::check(block, side, &at, &mut self.bulk)?;
            self.join(block, &at)?;
        }
        Ok(())
    }

    /// Tool calls, and results that answer one of them.
    fn join(&mut self, block: Value<'t>, at: &Path<'_>) -> Result<(), Fault> {
        let kind = block.get("type").and_then(Value::as_str).unwrap_or_default();
        if kind.ends_with("tool_use") {
            self.asked_for.extend(block.get("id").and_then(Value::as_str));
        }
        if kind != "tool_result" || self.asked_elsewhere {
            return Ok(());
        }
        let id = block.get("tool_use_id").and_then(Value::as_str);
        if id.is_none_or(|id| self.asked_for.contains(&id)) {
            return Ok(());
        }
        let expected = "the id of a tool_use block of an earlier assistant message";
        Err(Fault::bad_field(at.field("tool_use_id").to_string(), expected, "an id that no block has"))
    }

    fn conversation(&self, root: Value<'_>, seen: &Seen<'t>) -> Conversation {
        let parts = [seen.tools, seen.system, self.first_user].into_iter().flatten();
        Conversation::of(root, parts, self.answered)
    }
}

/// Thinking blocks that another provider's answer was given: an upstream of this dialect would take
/// them for forged. A turn of nothing else goes whole, since an empty one is refused.
fn foreign_thinking(root: Value<'_>, messages: Value<'_>) -> Vec<Range<usize>> {
    let mark = format!("\"{}", proof::PREFIX);
    if memchr::memmem::find(root.raw(), mark.as_bytes()).is_none() {
        return Vec::new();
    }
    let is_foreign = |block: Value<'_>| {
        let key = match block.get("type").and_then(Value::as_str).as_deref() {
            Some("thinking") => "signature",
            Some("redacted_thinking") => "data",
            Some(_) | None => return false,
        };
        block.get(key).and_then(Value::as_str).is_some_and(|proof| proof.starts_with(proof::PREFIX))
    };
    let is_nothing_else = |message: Value<'_>| {
        let content = message.get("content");
        let any = content.is_some_and(|content| content.elements().next().is_some());
        any && content.into_iter().flat_map(Value::elements).all(is_foreign)
    };
    let mut cuts = messages.element_cuts(is_nothing_else);
    for message in messages.elements().filter(|message| !is_nothing_else(*message)) {
        cuts.extend(message.get("content").into_iter().flat_map(|content| content.element_cuts(is_foreign)));
    }
    sort::sort_by_key(&mut cuts, |cut| cut.start);
    cuts
}
