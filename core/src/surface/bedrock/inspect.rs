//! Checks a request's shape and reads what routing needs, from its tape.
//!
//! Refused is what no provider could make sense of. What Bedrock may know and this code does not (a new
//! field, a new kind of block) passes.

use super::proof;
use crate::call::Delivery;
use crate::fault::Fault;
use crate::json::{Kind, Value};
use crate::sort;
use crate::sort::Set;
use crate::surface::bulk::{Bulk, weigh};
use crate::surface::conversation::Answered;
use crate::surface::path::Path;
use crate::surface::shape::{Shape, allowed, fitting, needed, noun, text};
use crate::surface::{CapPlace, Conversation, Envelope, ModelPlace, Places, RequestLine, Uncapped};
use crate::units::Tokens;
use std::borrow::Cow;
use std::ops::Range;

/// Fields of the body that are the gateway's and not the provider's.
pub(super) const OWN_FIELDS: &[&str] = &["fallbacks"];

/// The top-level fields that are checked by shape alone.
const SHAPES: &[(&str, Shape)] = &[
    ("additionalModelRequestFields", Shape::Object),
    ("additionalModelResponseFieldPaths", Shape::Texts),
    ("guardrailConfig", Shape::Object),
    ("outputConfig", Shape::Object),
    ("performanceConfig", Shape::Object),
    ("promptVariables", Shape::Object),
    ("requestMetadata", Shape::Object),
    ("serviceTier", Shape::Object),
];

/// The envelope of a call of Converse.
pub(super) fn converse(root: Value<'_>, line: &RequestLine, delivery: Delivery) -> Result<Envelope, Fault> {
    object(root)?;
    let mut seen = Seen::default();
    for (name, shape) in SHAPES {
        if let Some(value) = field(root, name) {
            fitting(value, *shape, &Path::root(name))?;
        }
    }
    let system = system(root, &mut seen)?;
    let messages =
        field(root, "messages").ok_or_else(|| Fault::missing_field("messages", "an array of messages"))?;
    seen.messages(fitting(messages, Shape::Array, &Path::root("messages"))?)?;
    let tools = tools(root)?;
    let inference = inference(root)?;
    let cap = inference.and_then(|config| field(config, "maxTokens"));
    let Own { fallbacks, mut cuts } = own_fields(root)?;
    cuts.extend(foreign(messages));
    sort::sort_by_key(&mut cuts, |cut| cut.start);
    let others = [system, tools, field(root, "outputConfig")].into_iter().flatten();
    let lasting = [tools, system, seen.first_user].into_iter().flatten();
    Ok(Envelope {
        model: model(line)?,
        model_place: ModelPlace::Path,
        delivery,
        fallbacks,
        cuts,
        conversation: Some(Conversation::of(root, lasting, seen.answered)),
        max_tokens: cap.and_then(Value::as_u64).map(Tokens),
        prompt_bytes: seen.bulk.weigh(messages) + others.map(weigh).sum::<u64>(),
        media: seen.bulk.media,
        n: 1,
        end_user: None,
        places: Places {
            members: root.span().start + 1,
            caps: cap.map(|cap| CapPlace::of("maxTokens", cap)).into_iter().collect(),
            uncapped: uncapped(root, cap),
            ..Places::default()
        },
    })
}

pub(super) fn object(root: Value<'_>) -> Result<(), Fault> {
    if root.kind() == Kind::Object {
        return Ok(());
    }
    Err(Fault::bad_field("body", "an object", noun(root)))
}

/// The model of the path.
pub(super) fn model(line: &RequestLine) -> Result<String, Fault> {
    let named = line.model.clone().filter(|model| !model.is_empty());
    named.ok_or_else(|| Fault::missing_field("model", "the name of a model in the path"))
}

/// What is the gateway's in a body.
pub(super) struct Own {
    pub(super) fallbacks: Vec<String>,
    pub(super) cuts: Vec<Range<usize>>,
}

pub(super) fn own_fields(root: Value<'_>) -> Result<Own, Fault> {
    let Some(list) = root.get("fallbacks") else {
        return Ok(Own { fallbacks: Vec::new(), cuts: Vec::new() });
    };
    if !list.is_null() && !Shape::Texts.fits(list) {
        return Err(Fault::bad_field("fallbacks", "an array of model names", noun(list)));
    }
    Ok(Own { fallbacks: list.elements().filter_map(text).collect(), cuts: root.member_cuts(OWN_FIELDS) })
}

/// A field; null is as good as absent.
fn field<'t>(object: Value<'t>, name: &str) -> Option<Value<'t>> {
    object.get(name).filter(|value| !value.is_null())
}

fn system<'t>(root: Value<'t>, seen: &mut Seen<'t>) -> Result<Option<Value<'t>>, Fault> {
    let Some(system) = field(root, "system") else { return Ok(None) };
    let list = Path::root("system");
    for (at, block) in fitting(system, Shape::Array, &list)?.elements().enumerate() {
        seen.block(block, &list.item(at))?;
    }
    Ok(Some(system))
}

fn inference(root: Value<'_>) -> Result<Option<Value<'_>>, Fault> {
    let Some(config) = field(root, "inferenceConfig") else { return Ok(None) };
    let at = Path::root("inferenceConfig");
    fitting(config, Shape::Object, &at)?;
    allowed(config, "maxTokens", Shape::Positive, &at)?;
    allowed(config, "temperature", Shape::Number, &at)?;
    allowed(config, "topP", Shape::Number, &at)?;
    allowed(config, "stopSequences", Shape::Texts, &at)?;
    Ok(Some(config))
}

fn tools(root: Value<'_>) -> Result<Option<Value<'_>>, Fault> {
    let Some(config) = field(root, "toolConfig") else { return Ok(None) };
    let at = Path::root("toolConfig");
    fitting(config, Shape::Object, &at)?;
    let choice = allowed(config, "toolChoice", Shape::Object, &at)?;
    if let Some(named) = choice.and_then(|choice| choice.get("tool")) {
        let at = at.field("toolChoice");
        let at = at.field("tool");
        needed(fitting(named, Shape::Object, &at)?, "name", Shape::Text, &at)?;
    }
    let tools = needed(config, "tools", Shape::Array, &at)?;
    let list = at.field("tools");
    for (i, tool) in tools.elements().enumerate() {
        let at = list.item(i);
        fitting(tool, Shape::Object, &at)?;
        let Some(spec) = allowed(tool, "toolSpec", Shape::Object, &at)? else { continue };
        let at = at.field("toolSpec");
        if needed(spec, "name", Shape::Text, &at)?.is_text("") {
            return Err(Fault::bad_field(at.field("name").to_string(), "a name", "an empty string"));
        }
        allowed(spec, "description", Shape::Text, &at)?;
        allowed(spec, "strict", Shape::Bool, &at)?;
        let schema = needed(spec, "inputSchema", Shape::Object, &at)?;
        needed(schema, "json", Shape::Object, &at.field("inputSchema"))?;
    }
    Ok(Some(config))
}

/// Where a cap is written if there is none.
fn uncapped(root: Value<'_>, cap: Option<Value<'_>>) -> Option<Uncapped> {
    if cap.is_some() {
        return None;
    }
    let inside = |object: Value<'_>| object.span().start + 1..object.span().start + 1;
    Some(match root.get("inferenceConfig") {
        Some(config) if !config.is_null() => match (config.get("maxTokens"), config.members().next()) {
            (Some(null), _) => Uncapped { span: null.span(), before: "", after: "" },
            (None, None) => Uncapped { span: inside(config), before: "\"maxTokens\":", after: "" },
            (None, Some(_)) => Uncapped { span: inside(config), before: "\"maxTokens\":", after: "," },
        },
        Some(null) => Uncapped { span: null.span(), before: "{\"maxTokens\":", after: "}" },
        None => Uncapped { span: inside(root), before: "\"inferenceConfig\":{\"maxTokens\":", after: "}," },
    })
}

/// Blocks that are nothing but proofs of other providers. A turn of nothing else goes whole, since an
/// empty one is refused.
fn foreign(messages: Value<'_>) -> Vec<Range<usize>> {
    if !messages.elements().any(|message| blocks(message).any(proof::is_foreign)) {
        return Vec::new();
    }
    let is_nothing_else =
        |message: Value<'_>| blocks(message).next().is_some() && blocks(message).all(proof::is_foreign);
    let mut cuts = messages.element_cuts(is_nothing_else);
    for message in messages.elements().filter(|message| !is_nothing_else(*message)) {
        cuts.extend(
            message.get("content").into_iter().flat_map(|content| content.element_cuts(proof::is_foreign)),
        );
    }
    cuts
}

fn blocks<'t>(message: Value<'t>) -> impl Iterator<Item = Value<'t>> {
    message.get("content").into_iter().flat_map(Value::elements)
}

/// What the messages tell beyond being well-formed.
#[derive(Default)]
struct Seen<'t> {
    asked_for: Set<Cow<'t, str>>,
    first_user: Option<Value<'t>>,
    answered: Answered,
    bulk: Bulk,
}

impl<'t> Seen<'t> {
    fn messages(&mut self, messages: Value<'t>) -> Result<(), Fault> {
        let list = Path::root("messages");
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
        fitting(message, Shape::Object, at)?;
        let role = needed(message, "role", Shape::Text, at)?;
        let content = needed(message, "content", Shape::Array, at)?;
        if role.is_text("user") {
            self.first_user = self.first_user.or(Some(content));
        } else if role.is_text("assistant") {
            self.answered = Answered::Before;
        } else if !role.is_text("system") {
            return Err(Fault::bad_field(at.field("role").to_string(), ROLES, "another word"));
        }
        let list = at.field("content");
        for (j, block) in content.elements().enumerate() {
            self.block(block, &list.item(j))?;
        }
        Ok(())
    }

    fn block(&mut self, block: Value<'t>, at: &Path<'_>) -> Result<(), Fault> {
        fitting(block, Shape::Object, at)?;
        allowed(block, "text", Shape::Text, at)?;
        if let Some(call) = allowed(block, "toolUse", Shape::Object, at)? {
            let at = at.field("toolUse");
            let id = needed(call, "toolUseId", Shape::Text, &at)?;
            needed(call, "name", Shape::Text, &at)?;
            needed(call, "input", Shape::Object, &at)?;
            self.asked_for.extend(id.as_str());
        }
        if let Some(result) = allowed(block, "toolResult", Shape::Object, at)? {
            self.result(result, &at.field("toolResult"))?;
        }
        if let Some(content) = allowed(block, "reasoningContent", Shape::Object, at)? {
            let at = at.field("reasoningContent");
            if let Some(said) = allowed(content, "reasoningText", Shape::Object, &at)? {
                let at = at.field("reasoningText");
                needed(said, "text", Shape::Text, &at)?;
                allowed(said, "signature", Shape::Text, &at)?;
            }
            allowed(content, "redactedContent", Shape::Text, &at)?;
        }
        if let Some(mark) = allowed(block, "cachePoint", Shape::Object, at)? {
            let at = at.field("cachePoint");
            needed(mark, "type", Shape::Text, &at)?;
            allowed(mark, "ttl", Shape::Text, &at)?;
        }
        for kind in ["image", "document", "video", "audio"] {
            if let Some(medium) = allowed(block, kind, Shape::Object, at)? {
                self.medium(kind, medium, &at.field(kind))?;
            }
        }
        Ok(())
    }

    fn result(&mut self, result: Value<'t>, at: &Path<'_>) -> Result<(), Fault> {
        let id = needed(result, "toolUseId", Shape::Text, at)?;
        allowed(result, "status", Shape::Text, at)?;
        let content = needed(result, "content", Shape::Array, at)?;
        let list = at.field("content");
        for (k, block) in content.elements().enumerate() {
            self.block(block, &list.item(k))?;
        }
        if id.as_str().is_some_and(|id| self.asked_for.contains(&id)) {
            return Ok(());
        }
        let expected = "the id of a toolUse block of an earlier assistant message";
        Err(Fault::bad_field(at.field("toolUseId").to_string(), expected, "an id that no block has"))
    }

    fn medium(&mut self, kind: &'static str, medium: Value<'t>, at: &Path<'_>) -> Result<(), Fault> {
        if kind == "document" {
            needed(medium, "name", Shape::Text, at)?;
            allowed(medium, "format", Shape::Text, at)?;
            allowed(medium, "context", Shape::Text, at)?;
        } else {
            needed(medium, "format", Shape::Text, at)?;
        }
        let source = needed(medium, "source", Shape::Object, at)?;
        let at = at.field("source");
        let bytes = allowed(source, "bytes", Shape::Text, &at)?;
        allowed(source, "text", Shape::Text, &at)?;
        if let Some(content) = allowed(source, "content", Shape::Array, &at)? {
            let list = at.field("content");
            for (k, block) in content.elements().enumerate() {
                self.block(block, &list.item(k))?;
            }
        }
        allowed(source, "s3Location", Shape::Object, &at)?;
        let size = bytes.map(|bytes| self.bulk.set_apart(bytes));
        match (kind, size) {
            ("image", _) => self.bulk.media.images += 1,
            ("audio", Some(size)) => self.bulk.media.audio_bytes += size,
            (_, Some(size)) => self.bulk.media.file_bytes += size,
            (_, None) if source.get("s3Location").is_some() => self.bulk.media.references += 1,
            (_, None) => {}
        }
        Ok(())
    }
}
