//! The form of every field, listed once: requests are checked by it, and a test of bad input walks it.
//!
//! Google reads requests as protobuf's JSON: a field may be spelt in camelCase or in snake_case, a
//! number may be written as a string, and where a list is wanted one alone will do.

use crate::fault::Fault;
use crate::float;
use crate::json::{Kind, Value};
use crate::surface::shape::found;
use std::fmt;

/// What a value must be. `null` is as good as absent.
#[derive(Clone, Copy, Debug)]
pub enum Form {
    /// True or false.
    Flag,
    /// A number.
    Number,
    /// A whole number of at least zero.
    Whole,
    /// A whole number, which may be below zero.
    Integer,
    /// A string.
    Text,
    /// A word of a list that grows, or the number of one.
    Word,
    /// Any object: a schema, arguments, labels.
    Struct,
    /// Anything.
    Any,
    /// An object with these fields and perhaps others.
    Object(&'static [Field]),
    /// A list, or one alone.
    Many(&'static Form),
}

/// A field of an object.
#[derive(Clone, Copy, Debug)]
pub struct Field {
    /// Its name in camelCase.
    pub name: &'static str,
    /// What it must be.
    pub form: Form,
    /// Whether it may be left out.
    pub presence: Presence,
}

/// Whether a field may be left out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Presence {
    /// It may.
    Optional,
    /// It may not.
    Needed,
}

const fn optional(name: &'static str, form: Form) -> Field {
    Field { name, form, presence: Presence::Optional }
}

const fn needed(name: &'static str, form: Form) -> Field {
    Field { name, form, presence: Presence::Needed }
}

/// The body of `generateContent` and `streamGenerateContent`.
pub static GENERATE: &[Field] = &[
    needed("contents", Form::Many(&Form::Object(CONTENT))),
    optional("systemInstruction", Form::Object(CONTENT)),
    optional("tools", Form::Many(&Form::Object(TOOL))),
    optional("toolConfig", Form::Object(TOOL_CONFIG)),
    optional("generationConfig", Form::Object(GENERATION)),
    optional("safetySettings", Form::Many(&Form::Object(SAFETY))),
    optional("cachedContent", Form::Text),
    optional("labels", Form::Struct),
    optional("serviceTier", Form::Word),
    optional("store", Form::Flag),
    optional("model", Form::Text),
    optional("fallbacks", Form::Many(&Form::Text)),
];

/// The body of `countTokens`.
pub static COUNT: &[Field] = &[
    optional("contents", Form::Many(&Form::Object(CONTENT))),
    optional("generateContentRequest", Form::Object(GENERATE)),
    optional("model", Form::Text),
];

/// The body of `embedContent`.
pub static EMBED: &[Field] = &[
    needed("content", Form::Object(CONTENT)),
    optional("model", Form::Text),
    optional("taskType", Form::Word),
    optional("title", Form::Text),
    optional("outputDimensionality", Form::Whole),
    optional("embedContentConfig", Form::Object(EMBED_CONFIG)),
    optional("fallbacks", Form::Many(&Form::Text)),
];

/// What clients of Vertex wish of vectors.
static EMBED_CONFIG: &[Field] = &[
    optional("taskType", Form::Word),
    optional("title", Form::Text),
    optional("outputDimensionality", Form::Whole),
    optional("autoTruncate", Form::Flag),
];

/// The body of `batchEmbedContents`.
pub static EMBED_BATCH: &[Field] =
    &[needed("requests", Form::Many(&Form::Object(EMBED))), optional("fallbacks", Form::Many(&Form::Text))];

static CONTENT: &[Field] =
    &[optional("role", Form::Text), optional("parts", Form::Many(&Form::Object(PART)))];

static PART: &[Field] = &[
    optional("text", Form::Text),
    optional("thought", Form::Flag),
    optional("thoughtSignature", Form::Text),
    optional("inlineData", Form::Object(BLOB)),
    optional("fileData", Form::Object(FILE)),
    optional("functionCall", Form::Object(CALL)),
    optional("functionResponse", Form::Object(RESPONSE)),
    optional("executableCode", Form::Struct),
    optional("codeExecutionResult", Form::Struct),
    optional("videoMetadata", Form::Struct),
    optional("partMetadata", Form::Struct),
];

static BLOB: &[Field] =
    &[needed("mimeType", Form::Text), needed("data", Form::Text), optional("displayName", Form::Text)];

static FILE: &[Field] =
    &[optional("mimeType", Form::Text), needed("fileUri", Form::Text), optional("displayName", Form::Text)];

static CALL: &[Field] =
    &[optional("id", Form::Text), needed("name", Form::Text), optional("args", Form::Struct)];

static RESPONSE: &[Field] = &[
    optional("id", Form::Text),
    needed("name", Form::Text),
    optional("response", Form::Struct),
    optional("parts", Form::Many(&Form::Object(RESPONSE_PART))),
];

static RESPONSE_PART: &[Field] =
    &[optional("inlineData", Form::Object(BLOB)), optional("fileData", Form::Object(FILE))];

static TOOL: &[Field] = &[
    optional("functionDeclarations", Form::Many(&Form::Object(DECLARATION))),
    optional("googleSearch", Form::Struct),
    optional("googleSearchRetrieval", Form::Struct),
    optional("codeExecution", Form::Struct),
    optional("urlContext", Form::Struct),
];

static DECLARATION: &[Field] = &[
    needed("name", Form::Text),
    optional("description", Form::Text),
    optional("parameters", Form::Struct),
    optional("parametersJsonSchema", Form::Any),
    optional("response", Form::Struct),
    optional("responseJsonSchema", Form::Any),
    optional("behavior", Form::Word),
];

static TOOL_CONFIG: &[Field] =
    &[optional("functionCallingConfig", Form::Object(CALLING)), optional("retrievalConfig", Form::Struct)];

static CALLING: &[Field] =
    &[optional("mode", Form::Word), optional("allowedFunctionNames", Form::Many(&Form::Text))];

static GENERATION: &[Field] = &[
    optional("maxOutputTokens", Form::Whole),
    optional("stopSequences", Form::Many(&Form::Text)),
    optional("temperature", Form::Number),
    optional("topP", Form::Number),
    optional("topK", Form::Number),
    optional("candidateCount", Form::Whole),
    optional("seed", Form::Integer),
    optional("responseMimeType", Form::Text),
    optional("responseSchema", Form::Struct),
    optional("responseJsonSchema", Form::Any),
    optional("presencePenalty", Form::Number),
    optional("frequencyPenalty", Form::Number),
    optional("responseLogprobs", Form::Flag),
    optional("logprobs", Form::Whole),
    optional("thinkingConfig", Form::Object(THINKING)),
    optional("responseModalities", Form::Many(&Form::Word)),
    optional("speechConfig", Form::Struct),
    optional("mediaResolution", Form::Word),
    optional("imageConfig", Form::Struct),
];

static THINKING: &[Field] = &[
    optional("includeThoughts", Form::Flag),
    optional("thinkingBudget", Form::Integer),
    optional("thinkingLevel", Form::Word),
];

static SAFETY: &[Field] = &[optional("category", Form::Word), optional("threshold", Form::Word)];

/// Whether a key is this name, in either spelling. The JSON Schema of an answer is also sent with an
/// underscore before it.
pub(super) fn is_spelt(key: &str, name: &str) -> bool {
    if key == name {
        return true;
    }
    let key = if name == "responseJsonSchema" { key.strip_prefix('_').unwrap_or(key) } else { key };
    let mut rest = key.chars();
    for letter in name.chars() {
        let next = rest.next();
        let matches = match next {
            Some('_') if letter.is_ascii_uppercase() => rest.next() == Some(letter.to_ascii_lowercase()),
            next => next == Some(letter),
        };
        if !matches {
            return false;
        }
    }
    rest.next().is_none()
}

/// A field of an object, in either spelling, unless it is null.
pub(super) fn field<'t>(object: Value<'t>, name: &str) -> Option<Value<'t>> {
    let mut members = object.members();
    let found = members.find(|(key, _)| key.as_str().is_some_and(|key| is_spelt(&key, name)));
    found.map(|(_, value)| value).filter(|value| !value.is_null())
}

/// What a list holds, or the one that stands in its place.
pub(super) fn many<'t>(value: Option<Value<'t>>) -> impl Iterator<Item = Value<'t>> {
    let alone = value.filter(|value| value.kind() != Kind::Array && !value.is_null());
    value.into_iter().flat_map(Value::elements).chain(alone)
}

/// A whole number, also as a string.
pub(super) fn whole(value: Value<'_>) -> Option<u64> {
    value.as_u64().or_else(|| value.as_str()?.parse().ok())
}

/// Where a value stands, to be written only where it is told.
#[derive(Clone, Copy)]
pub(super) struct Path<'p> {
    above: Option<&'p Path<'p>>,
    step: Step,
}

#[derive(Clone, Copy)]
enum Step {
    Root,
    Field(&'static str),
    Item(usize),
}

impl<'p> Path<'p> {
    pub(super) const ROOT: Self = Self { above: None, step: Step::Root };

    const fn field(&'p self, name: &'static str) -> Self {
        Self { above: Some(self), step: Step::Field(name) }
    }

    const fn item(&'p self, at: usize) -> Self {
        Self { above: Some(self), step: Step::Item(at) }
    }
}

impl fmt::Display for Path<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(above) = self.above {
            above.fmt(f)?;
        }
        match (self.step, self.above.map(|above| above.step)) {
            (Step::Root, _) => Ok(()),
            (Step::Field(name), None | Some(Step::Root)) => f.write_str(name),
            (Step::Field(name), Some(_)) => write!(f, ".{name}"),
            (Step::Item(at), _) => write!(f, "[{at}]"),
        }
    }
}

/// Refuses the first field that is not what it must be.
pub(super) fn check(value: Value<'_>, form: &Form, path: &Path<'_>) -> Result<(), Fault> {
    let wrong = |expected: &str| Err(Fault::bad_field(path.to_string(), expected, found(value)));
    let is_number = |fits: fn(f64) -> bool| {
        let number = value.as_f64().or_else(|| float::parse(&value.as_str()?));
        number.is_some_and(|number| number.is_finite() && fits(number))
    };
    match form {
        Form::Any => Ok(()),
        Form::Flag if value.kind() == Kind::Bool => Ok(()),
        Form::Flag => wrong("true or false"),
        Form::Number if is_number(|_| true) => Ok(()),
        Form::Number => wrong("a number"),
        Form::Whole if whole(value).is_some() => Ok(()),
        Form::Whole => wrong("a whole number of at least 0"),
        Form::Integer if is_number(|number| number.fract() == 0.0) => Ok(()),
        Form::Integer => wrong("a whole number"),
        Form::Text if value.kind() == Kind::String => Ok(()),
        Form::Text => wrong("a string"),
        Form::Word if matches!(value.kind(), Kind::String | Kind::Number) => Ok(()),
        Form::Word => wrong("a string"),
        Form::Struct if value.kind() == Kind::Object => Ok(()),
        Form::Struct => wrong("an object"),
        Form::Object(_) if value.kind() != Kind::Object => wrong("an object"),
        Form::Object(fields) => check_fields(value, fields, path),
        Form::Many(form) if value.kind() == Kind::Array => {
            let mut items = value.elements().enumerate();
            items.try_for_each(|(at, item)| check(item, form, &path.item(at)))
        }
        Form::Many(Form::Object(_)) if value.kind() != Kind::Object => wrong("an array"),
        Form::Many(Form::Text | Form::Word) if value.kind() != Kind::String => wrong("an array of strings"),
        Form::Many(form) => check(value, form, path),
    }
}

/// Checks the fields of an object that is one.
pub(super) fn check_fields(
    object: Value<'_>,
    fields: &'static [Field],
    path: &Path<'_>,
) -> Result<(), Fault> {
    let mut seen = 0_u64;
    for (key, value) in object.members() {
        let Some(key) = key.as_str() else { continue };
        let named = fields.iter().enumerate().find(|(_, field)| is_spelt(&key, field.name));
        let Some((at, field)) = named else { continue };
        let (here, bit) = (path.field(field.name), 1_u64 << at);
        if seen & bit != 0 {
            return Err(Fault::bad_field(
                here.to_string(),
                "one field of this name",
                "both of its spellings",
            ));
        }
        if value.is_null() {
            continue;
        }
        seen |= bit;
        check(value, &field.form, &here)?;
    }
    let missing = fields
        .iter()
        .enumerate()
        .find(|(at, field)| field.presence == Presence::Needed && seen & (1_u64 << at) == 0);
    match missing {
        Some((_, field)) => {
            Err(Fault::missing_field(path.field(field.name).to_string(), field.form.expected()))
        }
        None => Ok(()),
    }
}

impl Form {
    /// What is told of one that is missing.
    pub(super) const fn expected(self) -> &'static str {
        match self {
            Self::Flag => "true or false",
            Self::Number => "a number",
            Self::Whole => "a whole number of at least 0",
            Self::Integer => "a whole number",
            Self::Text | Self::Word => "a string",
            Self::Struct | Self::Object(_) => "an object",
            Self::Any => "a value",
            Self::Many(_) => "an array",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_field_may_be_spelt_in_either_way_and_in_no_other() {
        assert!(is_spelt("systemInstruction", "systemInstruction"));
        assert!(is_spelt("system_instruction", "systemInstruction"));
        assert!(is_spelt("_response_json_schema", "responseJsonSchema"));
        assert!(is_spelt("_responseJsonSchema", "responseJsonSchema"));
        assert!(is_spelt("top_p", "topP"));
        for other in
            ["systeminstruction", "system__instruction", "system_Instruction", "system_instructions", ""]
        {
            assert!(!is_spelt(other, "systemInstruction"), "{other}");
        }
    }
}
