//! Checks a request's shape and reads what routing needs, from its tape.
//!
//! Refused is what no provider could make sense of. What Google may know and this code does not (a new
//! field, a new word) passes.

use super::form::{self, Path, field, many, whole};
use super::proof;
use crate::call::{Delivery, UsageChunk};
use crate::fault::Fault;
use crate::json::{Kind, Value};
use crate::surface::bulk::{Bulk, weigh};
use crate::surface::conversation::Answered;
use crate::surface::shape::{noun, text};
use crate::surface::{CapPlace, Conversation, Edit, Envelope, ModelPlace, Places, RequestLine, Uncapped};
use crate::units::Tokens;

/// Fields of the body that are the gateway's and not the provider's.
const OWN_FIELDS: &[&str] = &["fallbacks"];

const ROLES: &str = "user or model";

/// A chat call's envelope.
pub(super) fn generate(root: Value<'_>, line: &RequestLine, delivery: Delivery) -> Result<Envelope, Fault> {
    object(root)?;
    form::check_fields(root, form::GENERATE, &Path::ROOT)?;
    let mut seen = Seen::of(root)?;
    let contents = field(root, "contents");
    let others = [field(root, "systemInstruction"), field(root, "tools"), seen.schema];
    let prompt = contents.map_or(0, |contents| seen.bulk.weigh(contents));
    let lasting = [field(root, "tools"), field(root, "systemInstruction"), seen.first_user];
    let generation = field(root, "generationConfig");
    let cap = generation.and_then(|config| field(config, "maxOutputTokens"));
    let cuts = if root.get("fallbacks").is_some() { root.member_cuts(OWN_FIELDS) } else { Vec::new() };
    Ok(Envelope {
        model: model(line)?,
        model_place: field(root, "model")
            .map_or(ModelPlace::Path, |model| ModelPlace::Resources(vec![model.span()])),
        delivery,
        fallbacks: many(root.get("fallbacks")).filter_map(text).collect(),
        cuts,
        conversation: Some(Conversation::of(root, lasting.into_iter().flatten(), seen.answered)),
        max_tokens: cap.and_then(whole).map(Tokens),
        prompt_bytes: prompt + others.into_iter().flatten().map(weigh).sum::<u64>(),
        media: seen.bulk.media,
        n: generation.and_then(|config| field(config, "candidateCount")).and_then(whole).unwrap_or(1).max(1),
        end_user: None,
        places: Places {
            members: root.span().start + 1,
            caps: cap.into_iter().map(cap_place).collect(),
            uncapped: uncapped(root, generation, cap),
            always: std::mem::take(&mut seen.foreign),
            ..Places::default()
        },
    })
}

/// A stream always tells usage here.
pub(super) const STREAM: Delivery = Delivery::Stream(UsageChunk::Wanted);

pub(super) fn object(root: Value<'_>) -> Result<(), Fault> {
    if root.kind() == Kind::Object {
        return Ok(());
    }
    Err(Fault::bad_field("body", "an object", noun(root)))
}

/// The model of the path, which may be written as the resource it is.
pub(super) fn model(line: &RequestLine) -> Result<String, Fault> {
    let named = line.model.as_deref().map(|model| model.strip_prefix("models/").unwrap_or(model));
    let named = named.filter(|model| !model.is_empty());
    named.map(str::to_owned).ok_or_else(|| Fault::missing_field("model", "the name of a model in the path"))
}

fn cap_place(cap: Value<'_>) -> CapPlace {
    CapPlace { field: "maxOutputTokens", value: whole(cap).map(Tokens), span: cap.span() }
}

/// Where a cap is written if there is none.
fn uncapped(root: Value<'_>, generation: Option<Value<'_>>, cap: Option<Value<'_>>) -> Option<Uncapped> {
    if cap.is_some() {
        return None;
    }
    let inside = |object: Value<'_>| object.span().start + 1..object.span().start + 1;
    Some(match generation {
        Some(config) => match (member(config, "maxOutputTokens"), config.members().next()) {
            (Some(value), _) => Uncapped { span: value.span(), before: "", after: "" },
            (None, None) => Uncapped { span: inside(config), before: "\"maxOutputTokens\":", after: "" },
            (None, Some(_)) => Uncapped { span: inside(config), before: "\"maxOutputTokens\":", after: "," },
        },
        None => match member(root, "generationConfig") {
            Some(value) => Uncapped { span: value.span(), before: "{\"maxOutputTokens\":", after: "}" },
            None => Uncapped {
                span: inside(root),
                before: "\"generationConfig\":{\"maxOutputTokens\":",
                after: "},",
            },
        },
    })
}

/// A field, even if it is null.
fn member<'t>(object: Value<'t>, name: &str) -> Option<Value<'t>> {
    let mut members = object.members();
    let found = members.find(|(key, _)| key.as_str().is_some_and(|key| form::is_spelt(&key, name)));
    found.map(|(_, value)| value)
}

/// What the contents tell beyond being well-formed.
#[derive(Default)]
struct Seen<'t> {
    first_user: Option<Value<'t>>,
    answered: Answered,
    schema: Option<Value<'t>>,
    bulk: Bulk,
    /// Proofs of other providers, as they were shown here.
    foreign: Vec<Edit>,
}

impl<'t> Seen<'t> {
    fn of(root: Value<'t>) -> Result<Self, Fault> {
        let mut seen = Self::default();
        let contents = field(root, "contents");
        let mut none = true;
        for (at, content) in many(contents).enumerate() {
            none = false;
            seen.content(at, content)?;
        }
        if none {
            return Err(Fault::bad_field("contents", "at least one content", "an empty array"));
        }
        let generation = field(root, "generationConfig");
        seen.schema = generation.and_then(|config| {
            field(config, "responseSchema").or_else(|| field(config, "responseJsonSchema"))
        });
        Ok(seen)
    }

    fn content(&mut self, at: usize, content: Value<'t>) -> Result<(), Fault> {
        match field(content, "role") {
            None => self.first_user = self.first_user.or(field(content, "parts")),
            // The last was the role of responses once.
            Some(role) if role.is_text("user") || role.is_text("function") || role.is_text("") => {
                self.first_user = self.first_user.or(field(content, "parts"));
            }
            Some(role) if role.is_text("model") => self.answered = Answered::Before,
            Some(_) => return Err(Fault::bad_field(format!("contents[{at}].role"), ROLES, "another word")),
        }
        many(field(content, "parts")).for_each(|part| self.part(part));
        Ok(())
    }

    fn part(&mut self, part: Value<'t>) {
        if let Some(blob) = field(part, "inlineData") {
            self.blob(blob);
        } else if let Some(file) = field(part, "fileData") {
            self.file(file);
        } else if let Some(response) = field(part, "functionResponse") {
            many(field(response, "parts")).for_each(|part| self.part(part));
        }
        if let Some(signature) = field(part, "thoughtSignature").filter(|value| proof::is_foreign(*value)) {
            self.foreign.push(Edit { span: signature.span(), text: proof::UNCHECKED });
        }
    }

    fn blob(&mut self, blob: Value<'t>) {
        let Some(data) = field(blob, "data") else { return };
        let kind = field(blob, "mimeType").and_then(text).unwrap_or_default();
        let bytes = self.bulk.set_apart(data);
        if kind.starts_with("image/") {
            self.bulk.media.images += 1;
        } else if kind.starts_with("audio/") {
            self.bulk.media.audio_bytes += bytes;
        } else {
            self.bulk.media.file_bytes += bytes;
        }
    }

    fn file(&mut self, file: Value<'t>) {
        let kind = field(file, "mimeType").and_then(text).unwrap_or_default();
        if kind.starts_with("image/") {
            self.bulk.media.images += 1;
        } else {
            self.bulk.media.references += 1;
        }
    }
}
