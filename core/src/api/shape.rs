//! What a field of a request may hold: listed once, for reading and for the OpenAPI document.
//!
//! A body is checked against its list of fields before anything reads it, so that reading cannot meet
//! a wrong type. Amounts of money are brought to whole nano-dollars on the way.

use crate::config::{closest_few, values};
use crate::directory::{IpRange, MAX_NAME, wrong_name};
use crate::fault::{Code, Fault};
use crate::float;
use crate::json::{JsonError, Tape};
use crate::price::plain;
use crate::units::NanoDollars;
use serde_json::{Map, Number, Value, json};
use std::collections::HashSet;

/// A JSON object.
pub type Object = Map<String, Value>;

/// A field of an object.
#[derive(Clone, Copy, Debug)]
pub struct Field {
    /// Its name.
    pub name: &'static str,
    /// What it holds.
    pub shape: Shape,
    /// Whether it must be there.
    pub presence: Presence,
    /// What it is for.
    pub doc: &'static str,
}

/// Whether a field must be there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Presence {
    /// It must.
    Required,
    /// It may be absent.
    Optional,
}

/// A field that may be absent.
pub const fn optional(name: &'static str, shape: Shape, doc: &'static str) -> Field {
    Field { name, shape, presence: Presence::Optional, doc }
}

/// A field that must be there.
pub const fn required(name: &'static str, shape: Shape, doc: &'static str) -> Field {
    Field { name, shape, presence: Presence::Required, doc }
}

/// What a value may be.
#[derive(Clone, Copy, Debug)]
pub enum Shape {
    /// The name of something: [`NAME`].
    Name,
    /// A name with at most one star, at its end.
    Pattern,
    /// An address or a range of addresses.
    Range,
    /// Any text without control characters, of so many characters at most, one at least.
    Text(usize),
    /// 64 hexadecimal digits.
    Digest,
    /// A key somebody has made himself: visible ASCII, 16 at least.
    Secret,
    /// One of these.
    Word(&'static [&'static str]),
    /// `true` or `false`.
    Truth,
    /// A whole number from one to [`MOST`].
    Count,
    /// A whole number from zero to [`MOST`].
    Zeroable,
    /// A whole number from one to this.
    UpTo(u64),
    /// US dollars above zero.
    Dollars,
    /// An RFC 3339 moment.
    Moment,
    /// A span of time: `30s`, `1h`, `30d`.
    Span,
    /// A time zone's name.
    Zone,
    /// A list without repetition, of so many at most, one at least: an empty one could be read as
    /// nothing or as everything.
    List(&'static Shape, usize),
    /// The same in another gateway's form, whose empty lists mean what an absent one does.
    MaybeEmpty(&'static Shape, usize),
    /// An object with these fields and no others.
    Object(&'static [Field]),
    /// `true`, `false` or an object with these fields and no others.
    Switch(&'static [Field]),
    /// An object whose keys are the caller's own.
    ByName(&'static Shape),
    /// Any object: kept from nobody, used for nothing.
    Ignored,
}

/// What names look like, as a regular expression: no slash, so that a name is one segment of a path
/// and of a scope's name, and no dot at the beginning, which paths do not keep.
pub const NAME: &str = "^[A-Za-z0-9_@+:#=()-]([A-Za-z0-9._@+:#=() -]*[A-Za-z0-9._@+:#=()-])?$";

/// The same, with slashes, colons and a star at the end.
pub const PATTERN: &str = "^[A-Za-z0-9_/][A-Za-z0-9._@+~:/=-]*\\*?$|^\\*$";

/// The longest a pattern may be.
const LONGEST_PATTERN: usize = 256;

/// Spans of time.
pub const SPAN: &str = "^[1-9][0-9]{0,6}(ms|s|m|h|d)$";

/// Addresses and ranges.
const RANGE: &str = "^[0-9a-fA-F.:]{2,45}(/[0-9]{1,3})?$";

/// The largest number that is taken for a limit.
pub const MOST: u64 = 1_000_000_000_000_000;

/// The largest amount, in dollars.
const MOST_DOLLARS: u64 = 1_000_000_000;

/// Bytes of a body.
pub const MOST_BYTES: usize = 1 << 20;

/// Whether `null` stands for a field's removal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Nulls {
    /// It does, and required fields may be absent: a merge patch.
    Remove,
    /// It is no value.
    Refused,
}

/// Reads a body that must be an object of these fields. An empty body is an empty object.
pub fn body(text: &[u8], fields: &[Field], nulls: Nulls) -> Result<Object, Fault> {
    let mut object = parse(text)?;
    check_object(&mut object, fields, nulls, "")?;
    Ok(object)
}

/// Reads a body that must be an object, whatever its fields.
pub fn parse(text: &[u8]) -> Result<Object, Fault> {
    if text.len() > MOST_BYTES {
        let message = format!("the body has {} bytes: at most {MOST_BYTES} are taken here", text.len());
        return Err(Fault::new(Code::BodyTooLarge, message));
    }
    if text.trim_ascii().is_empty() {
        return Ok(Object::new());
    }
    // The tape refuses what the parser below would let through: repeated keys, lone surrogates.
    Tape::parse(text).map_err(|wrong| not_json(text, &wrong))?;
    match serde_json::from_slice(text) {
        Ok(Value::Object(object)) => Ok(object),
        Ok(other) => Err(Fault::bad_field("body", "an object", kind(&other))),
        Err(_) => Err(Fault::new(Code::BadJson, "the body is not JSON")),
    }
}

/// Names the field whose value is wrong: JSON has no `NaN` and no `Infinity`, programs write them all the
/// same.
fn not_json(text: &[u8], wrong: &JsonError) -> Fault {
    let before = text.get(..wrong.offset).unwrap_or_default().trim_ascii_end();
    let before = before.strip_suffix(b"-").unwrap_or(before).trim_ascii_end();
    let quoted = before.strip_suffix(b":").and_then(|name| name.trim_ascii_end().strip_suffix(b"\""));
    let name = quoted.and_then(|name| name.rsplit(|byte| *byte == b'"').next());
    let plain = |name: &&[u8]| name.iter().all(|byte| byte.is_ascii_lowercase() || *byte == b'_');
    match name.filter(plain).and_then(|name| std::str::from_utf8(name).ok()) {
        Some(name) => Fault::new(Code::BadJson, format!("{name}: the body is not JSON: {wrong}")).at(name),
        None => Fault::new(Code::BadJson, format!("the body is not JSON: {wrong}")),
    }
}

/// Checks an object against its fields.
pub fn check_object(object: &mut Object, fields: &[Field], nulls: Nulls, at: &str) -> Result<(), Fault> {
    for (name, value) in object.iter_mut() {
        let Some(field) = fields.iter().find(|field| field.name == name) else {
            return Err(unknown(name, fields, at));
        };
        match (nulls, field.presence) {
            (Nulls::Remove, Presence::Optional) if value.is_null() => {}
            _ => check(value, &field.shape, &join(at, field.name))?,
        }
    }
    let wanted =
        fields.iter().filter(|field| field.presence == Presence::Required && nulls == Nulls::Refused);
    match wanted.into_iter().find(|field| !object.contains_key(field.name)) {
        Some(field) => Err(Fault::missing_field(join(at, field.name), field.shape.expected())),
        None => Ok(()),
    }
}

fn join(at: &str, name: &str) -> String {
    if at.is_empty() { name.to_owned() } else { format!("{at}.{name}") }
}

fn unknown(name: &str, fields: &[Field], at: &str) -> Fault {
    let known = || fields.iter().map(|field| field.name);
    let hint = match closest_few(name, known()).first() {
        Some(near) => format!("did you mean `{near}`?"),
        None => format!("known here: {}", known().collect::<Vec<_>>().join(", ")),
    };
    let name = join(at, &shown(name));
    Fault::new(Code::BadField, format!("{name}: unknown field ({hint})")).at(name)
}

/// As much of what a client sent as an error shows.
pub fn shown(text: &str) -> String {
    text.chars().take(80).map(|letter| if letter.is_control() { '\u{fffd}' } else { letter }).collect()
}

/// The kind of a value in words: the value itself may be a secret.
pub fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "a boolean",
        Value::Number(_) => "a number",
        Value::String(_) => "a string",
        Value::Array(_) => "an array",
        Value::Object(_) => "an object",
    }
}

/// Checks a value against its shape.
fn check(value: &mut Value, shape: &Shape, at: &str) -> Result<(), Fault> {
    let wrong = |found: &str| Err(Fault::bad_field(at, shape.expected(), found));
    match (shape, &mut *value) {
        (Shape::Ignored, Value::Object(_)) | (Shape::Truth | Shape::Switch(_), Value::Bool(_)) => Ok(()),
        (Shape::Object(fields) | Shape::Switch(fields), Value::Object(object)) => {
            check_object(object, fields, Nulls::Refused, at)
        }
        (Shape::ByName(inner), Value::Object(object)) => {
            for (name, value) in object.iter_mut() {
                check_text(&Shape::Pattern, name, at)?;
                check(value, inner, &join(at, name))?;
            }
            Ok(())
        }
        (Shape::List(..), Value::Array(items)) if items.is_empty() => wrong("an empty one"),
        (Shape::List(inner, most) | Shape::MaybeEmpty(inner, most), Value::Array(items)) => {
            check_list(items, inner, *most, at)
        }
        (Shape::Dollars, Value::Number(number)) => match amount(number) {
            Ok(exact) => {
                *value = exact;
                Ok(())
            }
            Err(found) => wrong(&found),
        },
        (Shape::Count | Shape::Zeroable | Shape::UpTo(_), Value::Number(number)) => {
            whole(number, shape).map(|exact| *value = exact).or_else(|found| wrong(&found))
        }
        (text, Value::String(found)) if text.is_text() => check_text(shape, found, at),
        (_, other) => wrong(kind(other)),
    }
}

/// Checks a list's length, its items and that none is there twice.
fn check_list(items: &mut [Value], inner: &Shape, most: usize, at: &str) -> Result<(), Fault> {
    if items.len() > most {
        return Err(Fault::bad_field(at, format!("at most {most} items"), items.len()));
    }
    for (index, item) in items.iter_mut().enumerate() {
        check(item, inner, &format!("{at}[{index}]"))?;
    }
    // By their text: comparing each with each would cost the square of a thousand.
    let mut seen = HashSet::with_capacity(items.len());
    let twice = items.iter().enumerate().find(|(_, item)| !seen.insert(item.to_string()));
    match twice {
        Some((index, _)) => Err(Fault::bad_field(format!("{at}[{index}]"), "each item once", "it again")),
        None => Ok(()),
    }
}

/// Whole nano-dollars, rounded where a client's arithmetic left a tail.
fn amount(number: &Number) -> Result<Value, String> {
    let text = number.to_string();
    let exact = values::dollars(&text).map(NanoDollars::get);
    let nanos = exact.or_else(|why| rounded(&text).ok_or(why))?;
    if nanos > MOST_DOLLARS.saturating_mul(1_000_000_000) {
        return Err("a larger amount".to_owned());
    }
    Ok(dollars(NanoDollars(nanos)))
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "the number is positive and small; the cast saturates"
)]
fn rounded(text: &str) -> Option<u64> {
    let nanos = (float::parse(text)? * 1e9).round();
    (nanos.is_finite() && nanos >= 1.0).then_some(nanos as u64)
}

/// An amount as a JSON number, exactly.
pub fn dollars(amount: NanoDollars) -> Value {
    plain(amount).parse::<Number>().map_or(Value::Null, Value::Number)
}

pub(super) fn whole(number: &Number, shape: &Shape) -> Result<Value, String> {
    let text = number.to_string();
    let most = if let Shape::UpTo(most) = shape { *most } else { MOST };
    match values::count(&text) {
        Ok(count) if count <= most => Ok(json!(count)),
        Ok(_) => Err("a larger number".to_owned()),
        Err(_) if matches!(shape, Shape::Zeroable) && text == "0" => Ok(json!(0)),
        Err(why) => Err(why),
    }
}

/// Checks a text that stands in a body, a query or a path.
pub fn check_text(shape: &Shape, text: &str, at: &str) -> Result<(), Fault> {
    if shape.fits_text(text) {
        return Ok(());
    }
    // What stands where a word belongs is no secret; elsewhere it may be one.
    let found = match (shape, text.chars().count()) {
        (_, 0) => "an empty one".to_owned(),
        (Shape::Word(_) | Shape::Span | Shape::Moment | Shape::Zone, 1..=40) => format!("`{}`", shown(text)),
        (_, length) => format!("another one of {length} characters"),
    };
    Err(Fault::bad_field(at, shape.expected(), found))
}

impl Shape {
    fn is_text(&self) -> bool {
        match self {
            Self::Name
            | Self::Pattern
            | Self::Range
            | Self::Text(_)
            | Self::Digest
            | Self::Secret
            | Self::Word(_)
            | Self::Moment
            | Self::Span
            | Self::Zone => true,
            Self::Truth
            | Self::Count
            | Self::Zeroable
            | Self::UpTo(_)
            | Self::Dollars
            | Self::List(..)
            | Self::MaybeEmpty(..)
            | Self::Object(_)
            | Self::Switch(_)
            | Self::ByName(_)
            | Self::Ignored => false,
        }
    }

    fn fits_text(&self, text: &str) -> bool {
        let length = text.chars().count();
        match self {
            Self::Name => is_name(text),
            Self::Pattern => is_pattern(text),
            Self::Range => IpRange::parse(text).is_ok(),
            Self::Text(most) => (1..=*most).contains(&length) && !text.chars().any(char::is_control),
            Self::Digest => length == 64 && text.bytes().all(|byte| byte.is_ascii_hexdigit()),
            Self::Secret => {
                (16..=512).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_graphic())
            }
            Self::Word(words) => words.contains(&text),
            Self::Moment => moment(text).is_some(),
            Self::Span => span(text).is_some(),
            Self::Zone => crate::limit::calendar::Zone::parse(text).is_some(),
            Self::Truth
            | Self::Count
            | Self::Zeroable
            | Self::UpTo(_)
            | Self::Dollars
            | Self::List(..)
            | Self::MaybeEmpty(..)
            | Self::Object(_)
            | Self::Switch(_)
            | Self::ByName(_)
            | Self::Ignored => false,
        }
    }

    /// What is expected, in words.
    pub fn expected(&self) -> String {
        match self {
            Self::Name => format!(
                "a name of at most {MAX_NAME} letters, digits, spaces and `._-@+:#=()`, not beginning with a dot"
            ),
            Self::Pattern => r#"a name such as "gpt-4o", "openai/*" or "*""#.to_owned(),
            Self::Range => r#"an address or a range such as "10.0.0.0/8""#.to_owned(),
            Self::Text(most) => format!("a text of 1 to {most} characters without control characters"),
            Self::Digest => "a SHA-256 as 64 hexadecimal digits".to_owned(),
            Self::Secret => "16 to 512 visible ASCII characters".to_owned(),
            Self::Word(words) => format!("one of {}", words.join(", ")),
            Self::Truth => "true or false".to_owned(),
            Self::Count => format!("a whole number from 1 to {MOST}"),
            Self::Zeroable => format!("a whole number from 0 to {MOST}"),
            Self::UpTo(most) => format!("a whole number from 1 to {most}"),
            Self::Dollars => format!("an amount in US dollars above zero, at most {MOST_DOLLARS}"),
            Self::Moment => r#"a moment with its zone, such as "2027-01-01T00:00:00Z""#.to_owned(),
            Self::Span => r#"a span of time such as "30s", "1h" or "30d""#.to_owned(),
            Self::Zone => r#"a time zone such as "UTC""#.to_owned(),
            Self::List(inner, most) => format!("a list of 1 to {most}, each {}", inner.expected()),
            Self::MaybeEmpty(inner, most) => format!("a list of at most {most}, each {}", inner.expected()),
            Self::Switch(_) => "true, false or an object".to_owned(),
            Self::Object(_) | Self::ByName(_) | Self::Ignored => "an object".to_owned(),
        }
    }

    /// The same as JSON Schema.
    pub fn schema(&self) -> Value {
        match self {
            Self::Name => {
                json!({"type": "string", "pattern": NAME, "minLength": 1, "maxLength": MAX_NAME})
            }
            Self::Pattern => {
                json!({"type": "string", "pattern": PATTERN, "minLength": 1, "maxLength": LONGEST_PATTERN})
            }
            Self::Range => json!({"type": "string", "format": "ip-range", "pattern": RANGE}),
            Self::Text(most) => json!({
                "type": "string", "minLength": 1, "maxLength": most,
                "pattern": "^[^\\u0000-\\u001f\\u007f-\\u009f]*$",
            }),
            Self::Digest => json!({"type": "string", "pattern": "^[0-9a-fA-F]{64}$"}),
            Self::Secret => json!({"type": "string", "pattern": "^[!-~]{16,512}$"}),
            Self::Word(words) => json!({"type": "string", "enum": words}),
            Self::Truth => json!({"type": "boolean"}),
            Self::Count => json!({"type": "integer", "minimum": 1, "maximum": MOST}),
            Self::Zeroable => json!({"type": "integer", "minimum": 0, "maximum": MOST}),
            Self::UpTo(most) => json!({"type": "integer", "minimum": 1, "maximum": most}),
            Self::Dollars => json!({"type": "number", "minimum": 0.000_000_001, "maximum": MOST_DOLLARS}),
            Self::Moment => json!({"type": "string", "format": "date-time"}),
            Self::Span => json!({"type": "string", "pattern": SPAN}),
            Self::Zone => json!({"type": "string", "format": "time-zone"}),
            Self::List(inner, most) => json!({
                "type": "array", "items": inner.schema(),
                "minItems": 1, "maxItems": most, "uniqueItems": true,
            }),
            Self::MaybeEmpty(inner, most) => {
                json!({"type": "array", "items": inner.schema(), "maxItems": most, "uniqueItems": true})
            }
            Self::Object(fields) => object_schema(fields, Nulls::Refused),
            Self::Switch(fields) => {
                json!({"anyOf": [{"type": "boolean"}, object_schema(fields, Nulls::Refused)]})
            }
            Self::ByName(inner) => json!({
                "type": "object",
                "propertyNames": Self::Pattern.schema(),
                "additionalProperties": inner.schema(),
            }),
            Self::Ignored => json!({"type": "object"}),
        }
    }
}

/// An object of these fields as JSON Schema.
pub fn object_schema(fields: &[Field], nulls: Nulls) -> Value {
    let mut properties = Object::new();
    for field in fields {
        let mut schema = field.shape.schema();
        if nulls == Nulls::Remove && field.presence == Presence::Optional {
            schema = json!({"anyOf": [schema, {"type": "null"}]});
        }
        if let Value::Object(schema) = &mut schema {
            schema.insert("description".to_owned(), json!(field.doc));
        }
        properties.insert(field.name.to_owned(), schema);
    }
    let wanted =
        fields.iter().filter(|field| field.presence == Presence::Required && nulls == Nulls::Refused);
    let wanted: Vec<_> = wanted.map(|field| field.name).collect();
    let mut schema = json!({"type": "object", "properties": properties, "additionalProperties": false});
    if let (Value::Object(schema), false) = (&mut schema, wanted.is_empty()) {
        schema.insert("required".to_owned(), json!(wanted));
    }
    schema
}

/// Whether a text fits [`NAME`].
pub fn is_name(text: &str) -> bool {
    wrong_name(text).is_none() && !text.starts_with('.')
}

fn is_pattern(text: &str) -> bool {
    let inner = |byte: u8| byte.is_ascii_alphanumeric() || b"._@+~:/=-".contains(&byte);
    let first = |byte: &u8| byte.is_ascii_alphanumeric() || b"_/".contains(byte);
    let bare = text.strip_suffix('*').unwrap_or(text);
    let fits = bare.as_bytes().first().is_some_and(first) && bare.bytes().all(inner);
    text == "*" || (fits && text.len() <= LONGEST_PATTERN && text.len() >= bare.len().max(1))
}

/// A moment, four digits of year at most.
pub fn moment(text: &str) -> Option<crate::units::Time> {
    values::moment(text).ok().filter(|_| text.len() <= 40)
}

/// A span of time that fits [`SPAN`].
pub fn span(text: &str) -> Option<crate::units::Millis> {
    let digits = text.len() - text.trim_start_matches(|c: char| c.is_ascii_digit()).len();
    let fits = (1..=7).contains(&digits) && !text.starts_with('0') && !text.contains(' ');
    values::duration(text).ok().filter(|_| fits)
}
