//! The document as a tree, whichever of its two spellings it came in, with every value's position.

use super::fault::{Errors, Place};
use crate::sort;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

/// How deep a document may nest; the deepest field there is stands at level five.
pub(super) const MAX_DEPTH: usize = 16;

/// More than any config needs; keeps a stray file from being read as one.
const MAX_BYTES: usize = 8 << 20;

/// Of one document; the first is the one that counts.
const MAX_SYNTAX_ERRORS: usize = 10;

/// A value and where it stands.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Node {
    /// What it is.
    pub(super) value: Value,
    /// Bytes before it.
    pub(super) offset: usize,
}

/// What a value is. Numbers keep their spelling: dollars are read from it without rounding.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Value {
    /// JSON's null.
    Null,
    /// `true` or `false`.
    Bool(bool),
    /// A number in decimal, or `nan` and `inf`.
    Number(String),
    /// A string.
    Text(String),
    /// TOML's date without quotes, as written.
    Date(String),
    /// A list.
    List(Vec<Node>),
    /// A table, in the order of the document.
    Table(Vec<Entry>),
}

/// A field of a table.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Entry {
    /// Its name.
    pub(super) name: String,
    /// Bytes before the name.
    pub(super) offset: usize,
    /// What it holds.
    pub(super) node: Node,
}

impl Value {
    /// The kind in words, for messages.
    pub(super) fn kind(&self) -> &'static str {
        match self {
            Self::Null => "null",
            Self::Bool(_) => "a boolean",
            Self::Number(_) => "a number",
            Self::Text(_) => "a string",
            Self::Date(_) => "a date",
            Self::List(_) => "a list",
            Self::Table(_) => "a table",
        }
    }
}

/// Reads a document. It is JSON if it begins with a brace, which no TOML does.
pub(super) fn parse(text: &[u8], errors: &mut Errors) -> Option<Node> {
    if text.len() > MAX_BYTES {
        let message = format!("the config has {} bytes", text.len());
        errors.push(&Place::root(), message, format!("keep it below {MAX_BYTES} bytes"));
        return None;
    }
    let text = match std::str::from_utf8(text) {
        Ok(text) => text,
        Err(fault) => {
            let place = Place { path: String::new(), offset: fault.valid_up_to() };
            errors.push(&place, "the file is not UTF-8", "save it as UTF-8");
            return None;
        }
    };
    if text.trim_start().starts_with('{') {
        super::json::parse(text, errors)
    } else {
        parse_toml(text, errors)
    }
}

fn parse_toml(text: &str, errors: &mut Errors) -> Option<Node> {
    let (table, faults) = DeTable::parse_recoverable(text);
    // One slip may make the parser stumble over everything after it.
    for fault in faults.iter().take(MAX_SYNTAX_ERRORS) {
        let offset = fault.span().map_or(0, |span| span.start);
        let place = Place { path: String::new(), offset };
        let message = fault.message().lines().next().unwrap_or("cannot be read").to_owned();
        errors.push(&place, format!("not TOML: {message}"), "correct the syntax");
    }
    if !faults.is_empty() {
        return None;
    }
    let value = toml_table(table.get_ref(), Place::root(), 0, errors);
    Some(Node { value, offset: 0 })
}

pub(super) fn too_deep(place: &Place, errors: &mut Errors) {
    errors.push(
        place,
        format!("nested deeper than {MAX_DEPTH} levels"),
        "no field of the config stands that deep: look for a missing bracket or a stray dot",
    );
}

fn toml_table(table: &DeTable<'_>, place: Place, depth: usize, errors: &mut Errors) -> Value {
    if depth > MAX_DEPTH {
        too_deep(&place, errors);
        return Value::Null;
    }
    let mut entries: Vec<Entry> = table
        .iter()
        .map(|(name, value)| {
            let offset = name.span().start;
            let name = name.get_ref().to_string();
            let node = toml_node(value, place.field(&name, offset), depth + 1, errors);
            Entry { name, offset, node }
        })
        .collect();
    sort::sort_by_key(&mut entries, |entry| entry.offset);
    Value::Table(entries)
}

fn toml_node(node: &Spanned<DeValue<'_>>, place: Place, depth: usize, errors: &mut Errors) -> Node {
    let offset = node.span().start;
    let value = match node.get_ref() {
        DeValue::String(text) => Value::Text(text.to_string()),
        DeValue::Integer(number) => Value::Number(decimal(number.as_str(), number.radix())),
        DeValue::Float(number) => Value::Number(number.as_str().to_owned()),
        DeValue::Boolean(truth) => Value::Bool(*truth),
        DeValue::Datetime(date) => Value::Date(date.to_string()),
        DeValue::Array(items) => {
            let mut list = Vec::with_capacity(items.len());
            for (index, item) in items.iter().enumerate() {
                list.push(toml_node(item, place.item(index, offset), depth + 1, errors));
            }
            Value::List(list)
        }
        DeValue::Table(table) => toml_table(table, place, depth, errors),
    };
    Node { value, offset }
}

/// Hexadecimal, octal and binary integers in decimal; what does not fit stays as it is and fails
/// where it is read.
fn decimal(digits: &str, radix: u32) -> String {
    match (radix, i128::from_str_radix(digits, radix)) {
        (10, _) | (_, Err(_)) => digits.to_owned(),
        (_, Ok(number)) => number.to_string(),
    }
}
