//! Checks a request's shape and reads what routing needs, in one pass over its tape.
//!
//! Refused is what no provider could make sense of: a wrong JSON type, a missing field, a result that
//! answers no call. What an upstream of this dialect may know and this code does not (a new item, a new
//! field) passes; it is `parse` that has to understand everything.

mod item;

use crate::call::{Delivery, UsageChunk};
use crate::fault::Fault;
use crate::json::{Kind, Tape, Value};
use crate::maker::{self, Made, Maker, Need, Pin};
use crate::sort;
use crate::surface::bulk::weigh;
use crate::surface::path::Path;
use crate::surface::proof;
use crate::surface::shape::{Shape, allowed, end_user, fitting, found, needed, noun, text};
use crate::surface::{CapPlace, Conversation, Envelope, ModelPlace, Places, Uncapped};
use crate::units::Tokens;
use item::Items;
use std::ops::Range;

/// Fields of the body that are the gateway's and not the provider's.
const OWN_FIELDS: &[&str] = &["fallbacks"];

/// The top-level fields that are checked by shape alone.
const SHAPES: &[(&str, Shape)] = &[
    ("instructions", Shape::Text),
    ("stream", Shape::Bool),
    ("stream_options", Shape::Object),
    ("background", Shape::Bool),
    ("store", Shape::Bool),
    ("max_output_tokens", Shape::Whole),
    ("max_tool_calls", Shape::Whole),
    ("temperature", Shape::Number),
    ("top_p", Shape::Number),
    ("top_logprobs", Shape::Whole),
    ("include", Shape::Texts),
    ("metadata", Shape::Object),
    ("parallel_tool_calls", Shape::Bool),
    ("previous_response_id", Shape::Text),
    ("conversation", Shape::TextOrObject),
    ("prompt", Shape::Object),
    ("prompt_cache_key", Shape::Text),
    ("safety_identifier", Shape::Text),
    ("service_tier", Shape::Text),
    ("truncation", Shape::Text),
    ("user", Shape::Text),
    ("tools", Shape::Array),
    ("tool_choice", Shape::TextOrObject),
    ("text", Shape::Object),
    ("reasoning", Shape::Object),
    ("fallbacks", Shape::Texts),
];

/// What the provider has to have kept for a request to make sense.
const KEPT: [&str; 3] = ["previous_response_id", "conversation", "prompt"];

/// See [`crate::surface::Surface::inspect`].
pub(super) fn inspect(tape: &Tape<'_>) -> Result<Envelope, Fault> {
    let root = tape.root();
    if root.kind() != Kind::Object {
        return Err(Fault::bad_field("body", "an object", noun(root)));
    }
    let seen = Seen::of(root)?;
    let model = seen.model.ok_or_else(|| Fault::missing_field("model", "a string"))?;
    let name = fitting(model, Shape::Text, &Path::root("model"))?.as_str().unwrap_or_default();
    if name.is_empty() {
        return Err(Fault::bad_field("model", "the name of a model", "an empty string"));
    }
    let kept =
        root.members().any(|(key, value)| !value.is_null() && KEPT.iter().any(|name| key.is_text(name)));
    let items = match seen.input {
        Some(input) => Items::check(input, kept)?,
        None if kept => Items::default(),
        None => return Err(Fault::missing_field("input", "a string or an array of items")),
    };
    check_tools(seen.tools)?;
    check_settings(&seen)?;
    let streamed = seen.stream.and_then(Value::as_bool) == Some(true);
    let own = seen.fallbacks.is_some();
    let cuts = if own || holds(root, &format!("\"{}", proof::PREFIX)) {
        cuts(root, seen.input, |item| encrypted(item).is_some_and(is_foreign))
    } else {
        Vec::new()
    };
    let conversation = Conversation::of(
        root,
        [seen.tools, seen.instructions].into_iter().flatten().chain(items.lasting()),
        items.answered,
    );
    let others = [seen.instructions, seen.tools, seen.text].into_iter().flatten();
    let members = root.span().start + 1;
    let uncapped = match seen.cap {
        None => Some(Uncapped { span: members..members, before: "\"max_output_tokens\":", after: "," }),
        Some(cap) if cap.is_null() => Some(Uncapped { span: cap.span(), before: "", after: "" }),
        Some(_) => None,
    };
    let cap = seen.cap.filter(|cap| !cap.is_null());
    Ok(Envelope {
        model: name.into_owned(),
        model_place: ModelPlace::Body(model.span()),
        // Usage is in every stream of this dialect.
        delivery: if streamed { Delivery::Stream(UsageChunk::Wanted) } else { Delivery::Whole },
        fallbacks: seen.fallbacks.into_iter().flat_map(Value::elements).filter_map(text).collect(),
        cuts,
        conversation: Some(conversation),
        max_tokens: cap.and_then(Value::as_u64).map(Tokens),
        prompt_bytes: seen.input.map_or(0, |input| items.bulk.weigh(input)) + others.map(weigh).sum::<u64>(),
        media: items.bulk.media,
        n: 1,
        end_user: seen.user.and_then(end_user),
        places: Places {
            members,
            usage: None,
            caps: cap.map(|cap| CapPlace::of("max_output_tokens", cap)).into_iter().collect(),
            uncapped,
            made: made(root, seen.input),
            ..Places::default()
        },
    })
}

/// The members that are looked at again; none that is null, but for those that must be changed.
#[derive(Default)]
struct Seen<'t> {
    model: Option<Value<'t>>,
    input: Option<Value<'t>>,
    instructions: Option<Value<'t>>,
    tools: Option<Value<'t>>,
    tool_choice: Option<Value<'t>>,
    text: Option<Value<'t>>,
    reasoning: Option<Value<'t>>,
    conversation: Option<Value<'t>>,
    /// A null one too: it must be cut.
    fallbacks: Option<Value<'t>>,
    /// `max_output_tokens`; a null one too: it may be replaced.
    cap: Option<Value<'t>>,
    stream: Option<Value<'t>>,
    user: Option<Value<'t>>,
}

impl<'t> Seen<'t> {
    fn of(root: Value<'t>) -> Result<Self, Fault> {
        let mut seen = Self::default();
        for (key, value) in root.members() {
            let Some(key) = key.as_str() else { continue };
            if let Some((name, shape)) = SHAPES.iter().find(|(name, _)| *name == key)
                && !value.is_null()
            {
                fitting(value, *shape, &Path::root(name))?;
            }
            seen.note(&key, value);
        }
        Ok(seen)
    }

    fn note(&mut self, key: &str, value: Value<'t>) {
        let place = match key {
            "fallbacks" => return self.fallbacks = Some(value),
            "max_output_tokens" => return self.cap = Some(value),
            "model" => &mut self.model,
            "input" => &mut self.input,
            "instructions" => &mut self.instructions,
            "tools" => &mut self.tools,
            "tool_choice" => &mut self.tool_choice,
            "text" => &mut self.text,
            "reasoning" => &mut self.reasoning,
            "conversation" => &mut self.conversation,
            "stream" => &mut self.stream,
            "user" => &mut self.user,
            _ => return,
        };
        *place = (!value.is_null()).then_some(value);
    }
}

fn check_settings(seen: &Seen<'_>) -> Result<(), Fault> {
    if let Some(text) = seen.text {
        let at = Path::root("text");
        allowed(text, "verbosity", Shape::Text, &at)?;
        if let Some(format) = allowed(text, "format", Shape::Object, &at)? {
            let at = at.field("format");
            let kind = needed(format, "type", Shape::Text, &at)?;
            if kind.is_text("json_schema") {
                needed(format, "name", Shape::Text, &at)?;
                needed(format, "schema", Shape::Object, &at)?;
                allowed(format, "strict", Shape::Bool, &at)?;
                allowed(format, "description", Shape::Text, &at)?;
            }
        }
    }
    if let Some(reasoning) = seen.reasoning {
        let at = Path::root("reasoning");
        for field in ["effort", "summary", "generate_summary"] {
            allowed(reasoning, field, Shape::Text, &at)?;
        }
    }
    if let Some(conversation) = seen.conversation.filter(|value| value.kind() == Kind::Object) {
        needed(conversation, "id", Shape::Text, &Path::root("conversation"))?;
    }
    seen.tool_choice.map_or(Ok(()), check_choice)
}

fn check_choice(choice: Value<'_>) -> Result<(), Fault> {
    let at = Path::root("tool_choice");
    if choice.kind() == Kind::String {
        return Ok(());
    }
    let kind = needed(choice, "type", Shape::Text, &at)?;
    if kind.is_text("function") || kind.is_text("custom") {
        needed(choice, "name", Shape::Text, &at)?;
    }
    if kind.is_text("allowed_tools") {
        needed(choice, "mode", Shape::Text, &at)?;
        let at = at.field("tools");
        let tools = needed(choice, "tools", Shape::Array, &Path::root("tool_choice"))?;
        for (i, tool) in tools.elements().enumerate() {
            fitting(tool, Shape::Object, &at.item(i))?;
        }
    }
    Ok(())
}

/// Each function needs a name; a tool of another type is the provider's to understand.
fn check_tools(tools: Option<Value<'_>>) -> Result<(), Fault> {
    let at = Path::root("tools");
    for (i, tool) in tools.into_iter().flat_map(Value::elements).enumerate() {
        let at = at.item(i);
        fitting(tool, Shape::Object, &at)?;
        let kind = needed(tool, "type", Shape::Text, &at)?;
        if !kind.is_text("function") {
            continue;
        }
        let name = needed(tool, "name", Shape::Text, &at)?;
        if name.is_text("") {
            return Err(Fault::bad_field(at.field("name").to_string(), "a name", found(name)));
        }
        allowed(tool, "description", Shape::Text, &at)?;
        allowed(tool, "parameters", Shape::Object, &at)?;
        allowed(tool, "strict", Shape::Bool, &at)?;
    }
    Ok(())
}

/// See [`crate::surface::Surface::leaves_running`].
pub(super) fn leaves_running(body: &[u8]) -> bool {
    let asked = |tape: &Tape<'_>| tape.root().get("background").and_then(Value::as_bool);
    Tape::parse(body).ok().and_then(|tape| asked(&tape)).unwrap_or(false)
}

fn holds(root: Value<'_>, word: &str) -> bool {
    memchr::memmem::find(root.raw(), word.as_bytes()).is_some()
}

/// What must not go upstream: the gateway's own fields, and these items.
fn cuts(root: Value<'_>, input: Option<Value<'_>>, goes: impl Fn(Value<'_>) -> bool) -> Vec<Range<usize>> {
    let mut cuts = input.map_or_else(Vec::new, |input| input.element_cuts(goes));
    cuts.extend(root.member_cuts(OWN_FIELDS));
    sort::sort_by_key(&mut cuts, |cut| cut.start);
    cuts
}

/// What an item has encrypted, as it is written.
fn encrypted<'t>(item: Value<'t>) -> Option<Written<'t>> {
    written(item.get("encrypted_content")?)
}

/// A text as it is written, and where it begins.
#[derive(Clone, Copy)]
struct Written<'t> {
    text: &'t str,
    at: usize,
}

fn written(value: Value<'_>) -> Option<Written<'_>> {
    let text = value.raw().strip_prefix(b"\"")?.strip_suffix(b"\"")?;
    Some(Written { text: std::str::from_utf8(text).ok()?, at: value.span().start + 1 })
}

/// Whether the gateway made it of what another provider said.
fn is_foreign(encrypted: Written<'_>) -> bool {
    encrypted.text.starts_with(proof::PREFIX)
}

/// What bears the mark of the account that made it.
fn made(root: Value<'_>, input: Option<Value<'_>>) -> Vec<Made> {
    if !holds(root, maker::WORD) {
        return Vec::new();
    }
    let items = input.into_iter().flat_map(Value::elements).filter_map(|item| {
        let Written { text, at } = encrypted(item)?;
        let (maker, length) = Maker::of_content(text)?;
        let reasons = item.get("type").is_some_and(|kind| kind.is_text("reasoning"));
        let need = if reasons { Need::Wish } else { Need::Must };
        Some(Made { pin: Pin { maker, need }, mark: at..at + length })
    });
    let previous = root.get("previous_response_id").and_then(written).and_then(|Written { text, at }| {
        let (maker, length) = Maker::of_response(text)?;
        let end = at + text.len();
        Some(Made { pin: Pin { maker, need: Need::Must }, mark: end - length..end })
    });
    items.chain(previous).collect()
}

/// What a body must lose before it goes to this account.
#[derive(Default)]
pub(crate) struct Unfit {
    /// The bytes, ascending and disjoint.
    pub(crate) cuts: Vec<Range<usize>>,
    /// The items that other accounts have made.
    pub(crate) lost: Vec<String>,
}

/// The same as an envelope's cuts, and what other accounts than this have made.
pub(crate) fn unfit(body: &[u8], to: Maker) -> Unfit {
    let Ok(tape) = Tape::parse(body) else { return Unfit::default() };
    let (root, input) = (tape.root(), tape.root().get("input"));
    let other = |item: Value<'_>| {
        encrypted(item).and_then(|it| Maker::of_content(it.text)).is_some_and(|(maker, _)| maker != to)
    };
    let cuts = cuts(root, input, |item| other(item) || encrypted(item).is_some_and(is_foreign));
    let items = (0..).zip(input.into_iter().flat_map(Value::elements));
    let lost = items.filter(|(_, item)| other(*item)).map(|(at, _): (usize, _)| format!("input[{at}]"));
    Unfit { cuts, lost: lost.collect() }
}

#[cfg(test)]
mod tests;
