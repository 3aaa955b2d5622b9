//! The document in its JSON spelling.
//!
//! Values are read as raw slices of the text, so that each one's position is the distance of its
//! slice from the text's beginning.

use super::fault::{Errors, Place, show};
use super::tree::{Entry, MAX_DEPTH, Node, Value, too_deep};
use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;
use std::fmt;

/// Reads a JSON document.
pub(super) fn parse(text: &str, errors: &mut Errors) -> Option<Node> {
    match serde_json::from_str::<&RawValue>(text) {
        Ok(raw) => {
            let reader = Reader { start: text.as_ptr() as usize };
            reader.node(raw.get(), Place::root(), 0, errors)
        }
        Err(fault) => {
            let place = Place { path: String::new(), offset: offset_of(text, &fault) };
            // The parser's own text ends in its position, which is told already.
            let message = fault.to_string();
            let message = message.split(" at line ").next().unwrap_or_default();
            errors.push(&place, format!("not JSON: {message}"), "correct the syntax");
            None
        }
    }
}

fn offset_of(text: &str, fault: &serde_json::Error) -> usize {
    let before: usize = text.split_inclusive('\n').take(fault.line().saturating_sub(1)).map(str::len).sum();
    before + fault.column().saturating_sub(1)
}

struct Reader {
    start: usize,
}

impl Reader {
    fn node(&self, raw: &str, place: Place, depth: usize, errors: &mut Errors) -> Option<Node> {
        let raw = raw.trim();
        let offset = (raw.as_ptr() as usize).saturating_sub(self.start);
        if depth > MAX_DEPTH {
            too_deep(&place, errors);
            return None;
        }
        let value = match raw.bytes().next() {
            Some(b'{') => Value::Table(self.table(raw, &place, depth, errors)),
            Some(b'[') => Value::List(self.list(raw, &place, depth, errors)),
            Some(b'"') => match serde_json::from_str::<String>(raw) {
                Ok(text) => Value::Text(text),
                Err(_) => {
                    errors.push(&place, "a string with a broken escape", "correct the escape");
                    return None;
                }
            },
            Some(b't') => Value::Bool(true),
            Some(b'f') => Value::Bool(false),
            Some(b'n') | None => Value::Null,
            Some(_) => Value::Number(raw.to_owned()),
        };
        Some(Node { value, offset })
    }

    fn table(&self, raw: &str, place: &Place, depth: usize, errors: &mut Errors) -> Vec<Entry> {
        let members = serde_json::from_str::<Members<'_>>(raw).map_or_else(|_| Vec::new(), |read| read.0);
        let mut entries: Vec<Entry> = Vec::with_capacity(members.len());
        let mut seen = crate::sort::Set::new();
        for Member { name, value } in members {
            let offset = (value.get().as_ptr() as usize).saturating_sub(self.start);
            let place = place.field(&name, offset);
            if !seen.insert(name.clone()) {
                errors.push(&place, format!("the field {} is there twice", show(&name)), "remove one");
                continue;
            }
            if let Some(node) = self.node(value.get(), place, depth + 1, errors) {
                entries.push(Entry { name, offset, node });
            }
        }
        entries
    }

    fn list(&self, raw: &str, place: &Place, depth: usize, errors: &mut Errors) -> Vec<Node> {
        let items = serde_json::from_str::<Vec<&RawValue>>(raw).unwrap_or_default();
        let mut list = Vec::with_capacity(items.len());
        for (index, item) in items.into_iter().enumerate() {
            let offset = (item.get().as_ptr() as usize).saturating_sub(self.start);
            list.extend(self.node(item.get(), place.item(index, offset), depth + 1, errors));
        }
        list
    }
}

/// The members of an object in order, repeated names included.
struct Members<'a>(Vec<Member<'a>>);

struct Member<'a> {
    name: String,
    value: &'a RawValue,
}

impl<'de> Deserialize<'de> for Members<'de> {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct Collect;
        impl<'de> Visitor<'de> for Collect {
            type Value = Members<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut members = Vec::new();
                while let Some(name) = map.next_key::<String>()? {
                    members.push(Member { name, value: map.next_value()? });
                }
                Ok(Members(members))
            }
        }
        from.deserialize_map(Collect)
    }
}
