//! What a field's value must be, and how one that is not is told.

use super::path::Path;
use crate::directory;
use crate::fault::Fault;
use crate::json::{Kind, Value};
use std::borrow::Cow;

/// What a field's value must be. `null` is as good as absent.
#[derive(Clone, Copy, Debug)]
pub(super) enum Shape {
    Bool,
    Number,
    Whole,
    Positive,
    Text,
    Texts,
    TextOrTexts,
    TextOrObject,
    TextOrArray,
    Object,
    Array,
}

impl Shape {
    pub(super) fn fits(self, value: Value<'_>) -> bool {
        match self {
            Self::Bool => value.kind() == Kind::Bool,
            Self::Number => value.kind() == Kind::Number,
            Self::Whole => value.as_u64().is_some(),
            Self::Positive => {
                value.as_u64().is_some_and(|number| number > 0 && u32::try_from(number).is_ok())
            }
            Self::Text => value.kind() == Kind::String,
            Self::Texts => {
                value.kind() == Kind::Array && value.elements().all(|text| text.kind() == Kind::String)
            }
            Self::TextOrTexts => Self::Text.fits(value) || Self::Texts.fits(value),
            Self::TextOrObject => matches!(value.kind(), Kind::String | Kind::Object),
            Self::TextOrArray => matches!(value.kind(), Kind::String | Kind::Array),
            Self::Object => value.kind() == Kind::Object,
            Self::Array => value.kind() == Kind::Array,
        }
    }

    pub(super) fn expected(self) -> &'static str {
        match self {
            Self::Bool => "true or false",
            Self::Number => "a number",
            Self::Whole => "a whole number of at least 0",
            Self::Positive => "a whole number of at least 1",
            Self::Text => "a string",
            Self::Texts => "an array of strings",
            Self::TextOrTexts => "a string or an array of strings",
            Self::TextOrObject => "a string or an object",
            Self::TextOrArray => "a string or an array",
            Self::Object => "an object",
            Self::Array => "an array",
        }
    }
}

/// A member that has to be there, in this shape.
pub(super) fn needed<'t>(
    object: Value<'t>,
    key: &'static str,
    shape: Shape,
    at: &Path<'_>,
) -> Result<Value<'t>, Fault> {
    let missing = || Fault::missing_field(at.field(key).to_string(), shape.expected());
    let value = object.get(key).ok_or_else(missing)?;
    fitting(value, shape, &at.field(key))
}

/// A member that may be there or be null, in this shape.
pub(super) fn allowed<'t>(
    object: Value<'t>,
    key: &'static str,
    shape: Shape,
    at: &Path<'_>,
) -> Result<Option<Value<'t>>, Fault> {
    let Some(value) = object.get(key).filter(|value| !value.is_null()) else { return Ok(None) };
    fitting(value, shape, &at.field(key)).map(Some)
}

/// The value, if it has this shape. Among texts the first that is none is to blame.
pub(super) fn fitting<'t>(value: Value<'t>, shape: Shape, at: &Path<'_>) -> Result<Value<'t>, Fault> {
    if shape.fits(value) {
        return Ok(value);
    }
    if let Shape::Texts = shape {
        for (i, element) in value.elements().enumerate() {
            fitting(element, Shape::Text, &at.item(i))?;
        }
    }
    Err(Fault::bad_field(at.to_string(), shape.expected(), found(value)))
}

/// The text of a string.
pub(super) fn text(value: Value<'_>) -> Option<String> {
    value.as_str().map(Cow::into_owned)
}

/// The end user a body names, as it is kept; an empty name is none.
pub(super) fn end_user(value: Value<'_>) -> Option<String> {
    Some(directory::end_user(&value.as_str()?)).filter(|name| !name.is_empty())
}

/// A value's kind, for an error message.
pub(super) fn noun(value: Value<'_>) -> &'static str {
    match value.kind() {
        Kind::Null => "null",
        Kind::Bool => "a boolean",
        Kind::Number => "a number",
        Kind::String => "a string",
        Kind::Array => "an array",
        Kind::Object => "an object",
    }
}

/// The same; short numbers are quoted, since they are what is wrong about themselves.
pub(super) fn found(value: Value<'_>) -> Cow<'static, str> {
    match std::str::from_utf8(value.raw()) {
        Ok(number) if value.kind() == Kind::Number && number.len() <= 20 => Cow::Owned(number.to_owned()),
        _ => Cow::Borrowed(noun(value)),
    }
}
