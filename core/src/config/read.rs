//! Reads fields off the tree: each reader takes one kind of value and says what it expected where
//! it finds another.

use super::fault::{Errors, Place, closest, show};
use super::tree::{Entry, Node, Value};
use super::values;
use crate::directory::{IpRange, MAX_NAME, wrong_name};
use crate::limit::Percent;
use crate::price::{PerMillion, Unit};
use crate::units::{Millis, NanoDollars, Time};

/// A value with its place, so that what is found out later can still be reported by position.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Spot<T> {
    /// The value.
    pub(super) value: T,
    /// Where it stands.
    pub(super) place: Place,
}

/// A node with its place.
#[derive(Clone, Debug)]
pub(super) struct Cell<'a> {
    pub(super) node: &'a Node,
    pub(super) place: Place,
}

/// A table whose fields are all known.
#[derive(Debug)]
pub(super) struct Table<'a> {
    entries: &'a [Entry],
    /// Where the table stands.
    pub(super) place: Place,
}

impl<'a> Table<'a> {
    /// Takes a table and reports the fields that are not in `known`.
    pub(super) fn read(cell: &Cell<'a>, known: &[&str], errors: &mut Errors) -> Option<Self> {
        Self::read_with(cell, known, |_| false, errors)
    }

    /// The same where names of a form are known too.
    pub(super) fn read_with(
        cell: &Cell<'a>,
        known: &[&str],
        formed: fn(&str) -> bool,
        errors: &mut Errors,
    ) -> Option<Self> {
        let table = Self::open(cell, errors)?;
        let is_known = |name: &str| known.contains(&name) || formed(name);
        for entry in table.entries.iter().filter(|entry| !is_known(&entry.name)) {
            unknown(entry, &table.place, known, errors);
        }
        Some(table)
    }

    /// Takes a table whose field names are the user's own.
    pub(super) fn open(cell: &Cell<'a>, errors: &mut Errors) -> Option<Self> {
        let Value::Table(entries) = &cell.node.value else { return cell.wrong("a table", errors) };
        Some(Self { entries, place: cell.place.clone() })
    }

    /// The field of this name.
    pub(super) fn get(&self, name: &str) -> Option<Cell<'a>> {
        let entry = self.entries.iter().find(|entry| entry.name == name)?;
        Some(Cell { node: &entry.node, place: self.place.field(name, entry.node.offset) })
    }

    /// All fields in order: the name at its place, and what it holds.
    pub(super) fn fields(&self) -> impl Iterator<Item = Field<'a>> + '_ {
        self.entries.iter().map(|entry| Field {
            name: Spot { value: entry.name.clone(), place: self.place.field(&entry.name, entry.offset) },
            cell: Cell { node: &entry.node, place: self.place.field(&entry.name, entry.node.offset) },
        })
    }
}

/// A field whose name is the user's own.
pub(super) struct Field<'a> {
    pub(super) name: Spot<String>,
    pub(super) cell: Cell<'a>,
}

fn unknown(entry: &Entry, table: &Place, known: &[&str], errors: &mut Errors) {
    let fix = match closest(&entry.name, known.iter().copied()) {
        Some(name) => format!("did you mean `{name}`?"),
        None => format!("known here: {}", known.join(", ")),
    };
    errors.push(&table.field(&entry.name, entry.offset), "unknown field", fix);
}

impl<'a> Cell<'a> {
    /// Reports a value of the wrong kind. The value itself is not shown: it may be a secret.
    fn wrong<T>(&self, expected: &str, errors: &mut Errors) -> Option<T> {
        let message = format!("expected {expected}, found {}", self.node.value.kind());
        errors.push(&self.place, message, format!("write {expected}"));
        None
    }

    fn spot<T>(&self, value: T) -> Spot<T> {
        Spot { value, place: self.place.clone() }
    }

    /// A string that is not empty.
    pub(super) fn text(&self, errors: &mut Errors) -> Option<Spot<String>> {
        let Value::Text(text) = &self.node.value else { return self.wrong("a string", errors) };
        if text.is_empty() {
            errors.push(&self.place, "the string is empty", "give it a value or leave the field out");
            return None;
        }
        Some(self.spot(text.clone()))
    }

    /// `true` or `false`.
    pub(super) fn truth(&self, errors: &mut Errors) -> Option<bool> {
        let Value::Bool(truth) = &self.node.value else { return self.wrong("true or false", errors) };
        Some(*truth)
    }

    /// A list's items, each at its place.
    pub(super) fn items(&self, errors: &mut Errors) -> Vec<Cell<'a>> {
        let Value::List(items) = &self.node.value else {
            return self.wrong("a list", errors).unwrap_or_default();
        };
        let item =
            |(index, node): (usize, &'a Node)| Cell { node, place: self.place.item(index, node.offset) };
        items.iter().enumerate().map(item).collect()
    }

    /// A list of strings.
    pub(super) fn texts(&self, errors: &mut Errors) -> Vec<Spot<String>> {
        self.items(errors).iter().filter_map(|item| item.text(errors)).collect()
    }

    /// A list, or one item that stands for a list of one.
    pub(super) fn one_or_more(&self, errors: &mut Errors) -> Vec<Cell<'a>> {
        match &self.node.value {
            Value::Text(_) | Value::Table(_) => vec![self.clone()],
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::Date(_) | Value::List(_) => {
                self.items(errors)
            }
        }
    }

    /// A string in one of our own spellings, read by `parse`, which says what is wrong otherwise.
    fn spelt<T>(
        &self,
        expected: &str,
        parse: impl FnOnce(&str) -> Result<T, String>,
        errors: &mut Errors,
    ) -> Option<Spot<T>> {
        match &self.node.value {
            Value::Text(text) => self.parsed(parse(text), expected, errors),
            Value::Number(number) => {
                let message = format!("the number {} has no unit", show_number(number));
                self.parsed(Err(message), expected, errors)
            }
            Value::Null | Value::Bool(_) | Value::Date(_) | Value::List(_) | Value::Table(_) => {
                self.wrong(expected, errors)
            }
        }
    }

    fn parsed<T>(&self, parsed: Result<T, String>, expected: &str, errors: &mut Errors) -> Option<Spot<T>> {
        match parsed {
            Ok(value) => Some(self.spot(value)),
            Err(message) => {
                errors.push(&self.place, message, format!("write {expected}"));
                None
            }
        }
    }

    /// A span of time, zero allowed.
    pub(super) fn span(&self, errors: &mut Errors) -> Option<Spot<Millis>> {
        self.spelt(r#"a duration such as "500ms", "60s", "5m" or "1h""#, values::duration, errors)
    }

    /// A span of time that is longer than none.
    pub(super) fn wait(&self, errors: &mut Errors) -> Option<Spot<Millis>> {
        let span = self.span(errors)?;
        if span.value.is_zero() {
            errors.push(&self.place, "no time at all would fail every call", r#"write at least "1ms""#);
            return None;
        }
        Some(span)
    }

    /// A number of bytes.
    pub(super) fn size(&self, errors: &mut Errors) -> Option<Spot<u64>> {
        self.spelt(r#"a size such as "512KiB", "32MiB" or "1GiB""#, values::size, errors)
    }

    /// A point in time.
    pub(super) fn moment(&self, errors: &mut Errors) -> Option<Spot<Time>> {
        let expected = r#"a moment with its zone, such as "2027-01-01T00:00:00Z""#;
        match &self.node.value {
            Value::Text(text) | Value::Date(text) => self.parsed(values::moment(text), expected, errors),
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::List(_) | Value::Table(_) => {
                self.wrong(expected, errors)
            }
        }
    }

    /// A number's spelling.
    fn number(&self, expected: &str, errors: &mut Errors) -> Option<&'a str> {
        let Value::Number(number) = &self.node.value else { return self.wrong(expected, errors) };
        Some(number)
    }

    /// A whole number, one or more.
    pub(super) fn count(&self, errors: &mut Errors) -> Option<Spot<u64>> {
        let expected = "a whole number above zero";
        let number = self.number(expected, errors)?;
        self.parsed(values::count(number), expected, errors)
    }

    /// A whole number, one or more, and not more than `most`.
    pub(super) fn count_to(&self, most: u64, errors: &mut Errors) -> Option<u64> {
        let count = self.count(errors)?;
        if count.value > most {
            let fix = format!("write {most} at most, or leave it out for no limit");
            errors.push(&self.place, "nothing comes near such a number", fix);
            return None;
        }
        Some(count.value)
    }

    /// A positive, finite number.
    pub(super) fn weight(&self, errors: &mut Errors) -> Option<Spot<f64>> {
        let expected = "a number above zero";
        let number = self.number(expected, errors)?;
        self.parsed(values::weight(number), expected, errors)
    }

    /// An amount of US dollars above zero, to the billionth.
    pub(super) fn dollars(&self, errors: &mut Errors) -> Option<Spot<NanoDollars>> {
        let expected = "an amount above zero, such as 10 or 2.5";
        let number = self.number(expected, errors)?;
        self.parsed(values::dollars(number), expected, errors)
    }

    /// A price in US dollars, zero allowed: for a million tokens, or for one of it.
    pub(super) fn price(&self, unit: Unit, errors: &mut Errors) -> Option<Spot<PerMillion>> {
        let expected = match unit {
            Unit::MillionTokens => "dollars for a million tokens, such as 2.5".to_owned(),
            Unit::One(one) => format!("dollars for one {one}, such as 0.01"),
        };
        let number = self.number(&expected, errors)?;
        self.parsed(values::price(number, unit), &expected, errors)
    }

    /// Per cent in parts of a million.
    pub(super) fn percent(&self, errors: &mut Errors) -> Option<Spot<u64>> {
        let expected = "per cent, such as 5 or 12.5";
        let number = self.number(expected, errors)?;
        self.parsed(values::percent(number), expected, errors)
    }

    /// Per cent of which there are not more than a hundred, in parts of a million.
    pub(super) fn discount(&self, errors: &mut Errors) -> Option<Spot<u64>> {
        let discount = self.percent(errors)?;
        if discount.value > 1_000_000 {
            errors.push(&self.place, "a discount of more than everything", "write per cent, 100 at most");
            return None;
        }
        Some(discount)
    }

    /// Per cent from 1 to 100, whole.
    pub(super) fn threshold(&self, errors: &mut Errors) -> Option<Percent> {
        let expected = "whole per cent, such as 80";
        let number = self.number(expected, errors)?;
        self.parsed(values::whole_percent(number), expected, errors).map(|percent| percent.value)
    }

    /// A string in a spelling of its own.
    pub(super) fn parsed_text<T>(
        &self,
        expected: &str,
        parse: impl FnOnce(&str) -> Result<T, String>,
        errors: &mut Errors,
    ) -> Option<T> {
        let text = self.text(errors)?;
        self.parsed(parse(&text.value), expected, errors).map(|parsed| parsed.value)
    }

    /// Addresses.
    pub(super) fn ranges(&self, errors: &mut Errors) -> Vec<IpRange> {
        let expected = r#"an address or a range such as "10.0.0.0/8" or "2001:db8::/32""#;
        let items = self.one_or_more(errors);
        items.iter().filter_map(|item| item.parsed_text(expected, IpRange::parse, errors)).collect()
    }

    /// The name of one of the things that a key can belong to one of only.
    pub(super) fn one_name(&self, errors: &mut Errors) -> Option<Spot<String>> {
        if let Value::List(_) = &self.node.value {
            errors.push(&self.place, "a list where one name is expected", "write one name as a string");
            return None;
        }
        self.text(errors)
    }

    /// A name that scopes, headers and logs can carry.
    pub(super) fn name(&self, errors: &mut Errors) -> Option<Spot<String>> {
        let name = self.one_name(errors)?;
        if let Some(wrong) = wrong_name(&name.value) {
            let fix = format!("use up to {MAX_NAME} letters, digits, spaces and ._-@+:#=()");
            errors.push(&self.place, wrong, fix);
            return None;
        }
        Some(name)
    }

    /// Whether it is a list with nothing in it.
    pub(super) fn is_empty_list(&self) -> bool {
        matches!(&self.node.value, Value::List(items) if items.is_empty())
    }

    /// One of a few words.
    pub(super) fn word<T: Copy>(
        &self,
        what: &str,
        words: &[Word<T>],
        errors: &mut Errors,
    ) -> Option<Spot<T>> {
        let text = self.text(errors)?;
        if let Some(word) = words.iter().find(|word| word.name == text.value) {
            return Some(self.spot(word.value));
        }
        let names: Vec<&str> = words.iter().map(|word| word.name).collect();
        let fix = match closest(&text.value, names.iter().copied()) {
            Some(name) => format!("did you mean `{name}`?"),
            None => format!("write one of {}", names.join(", ")),
        };
        errors.push(&self.place, format!("unknown {what} {}", show(&text.value)), fix);
        None
    }
}

/// A word of the config and what it stands for.
pub(super) struct Word<T> {
    pub(super) name: &'static str,
    pub(super) value: T,
}

fn show_number(number: &str) -> String {
    number.chars().take(40).collect()
}
