//! An object whose fields are taken out one by one, with its path for error messages.

use crate::call::{CacheMark, Extras};
use crate::fault::Fault;
use crate::float;
use serde_json::{Map, Number, Value};

/// Adds what another dialect's answer says, one thing or a list of them, to a list among its further fields.
pub(super) fn gather(fields: &mut Extras, list: &str, more: Value) {
    let mut more = if let Value::Array(more) = more { more } else { vec![more] };
    if more.is_empty() {
        return;
    }
    match fields.get_mut(list) {
        Some(Value::Array(list)) => list.append(&mut more),
        Some(_) | None => drop(fields.insert(list.to_owned(), Value::Array(more))),
    }
}

/// An object being taken apart. `null` counts as absent throughout.
pub(super) struct Fields {
    map: Map<String, Value>,
    /// The path of the object; empty for the body.
    at: String,
}

impl Fields {
    /// The object at this path.
    pub(super) fn of(value: Value, path: impl Into<String>) -> Result<Self, Fault> {
        let at = path.into();
        let Value::Object(map) = value else { return Err(Fault::bad_field(at, "an object", noun(&value))) };
        Ok(Self { map, at })
    }

    /// The same, as the body, whose fields are named without a prefix.
    pub(super) fn at_root(self) -> Self {
        Self { at: String::new(), ..self }
    }

    /// What its fields are called.
    pub(super) fn names(&self) -> impl Iterator<Item = &String> {
        self.map.keys()
    }

    /// The same, its fields called otherwise.
    pub(super) fn renamed(self, name: impl Fn(&str) -> String) -> Self {
        let map = self.map.into_iter().map(|(key, value)| (name(&key), value)).collect();
        Self { map, ..self }
    }

    /// All that is left, leaving nothing.
    pub(super) fn taken(&mut self) -> Self {
        Self { map: std::mem::take(&mut self.map), at: self.at.clone() }
    }

    /// True once every field is taken.
    pub(super) fn is_empty(&self) -> bool {
        self.map.values().all(Value::is_null)
    }

    /// A field's path.
    pub(super) fn path(&self, key: &str) -> String {
        if self.at.is_empty() { key.to_owned() } else { format!("{}.{key}", self.at) }
    }

    /// Any value.
    pub(super) fn value(&mut self, key: &str) -> Option<Value> {
        self.map.shift_remove(key).filter(|value| !value.is_null())
    }

    /// A value without taking it.
    pub(super) fn peek(&self, key: &str) -> Option<&Value> {
        self.map.get(key).filter(|value| !value.is_null())
    }

    /// Puts a field back.
    pub(super) fn put(&mut self, key: &str, value: Value) {
        self.map.insert(key.to_owned(), value);
    }

    /// A text without taking it.
    pub(super) fn needed_word(&self, key: &str) -> Result<String, Fault> {
        match self.peek(key) {
            Some(Value::String(text)) => Ok(text.clone()),
            Some(other) => Err(self.wrong(key, "a string", other)),
            None => Err(Fault::missing_field(self.path(key), "a string")),
        }
    }

    /// The object with all that is left, leaving nothing.
    pub(super) fn everything(&mut self) -> Value {
        Value::Object(std::mem::take(&mut self.map))
    }

    /// Forgets a field.
    pub(super) fn drop(&mut self, key: &str) {
        self.map.shift_remove(key);
    }

    /// Forgets a field that says only this.
    pub(super) fn drop_if(&mut self, key: &str, says: impl Fn(&Value) -> bool) {
        if self.map.get(key).is_some_and(says) {
            self.drop(key);
        }
    }

    /// What is left, without nulls: some servers refuse a null they do not know.
    pub(super) fn rest(self) -> Extras {
        let mut rest = self.map;
        rest.retain(|_, value| !value.is_null());
        rest
    }

    pub(super) fn text(&mut self, key: &str) -> Result<Option<String>, Fault> {
        match self.value(key) {
            None => Ok(None),
            Some(Value::String(text)) => Ok(Some(text)),
            Some(other) => Err(self.wrong(key, "a string", &other)),
        }
    }

    pub(super) fn needed_text(&mut self, key: &str) -> Result<String, Fault> {
        self.text(key)?.ok_or_else(|| Fault::missing_field(self.path(key), "a string"))
    }

    pub(super) fn flag(&mut self, key: &str) -> Result<Option<bool>, Fault> {
        match self.value(key) {
            None => Ok(None),
            Some(Value::Bool(flag)) => Ok(Some(flag)),
            Some(other) => Err(self.wrong(key, "true or false", &other)),
        }
    }

    pub(super) fn number(&mut self, key: &str) -> Result<Option<Number>, Fault> {
        match self.value(key) {
            None => Ok(None),
            Some(Value::Number(number)) => Ok(Some(number)),
            Some(other) => Err(self.wrong(key, "a number", &other)),
        }
    }

    /// A whole number of at least zero, however it is spelt.
    pub(super) fn whole(&mut self, key: &str) -> Result<Option<u64>, Fault> {
        let Some(number) = self.number(key)? else { return Ok(None) };
        let spelt_otherwise = || {
            let number = float::of(&number).filter(|n| n.fract() == 0.0 && (0.0..9e15).contains(n))?;
            #[expect(
                clippy::cast_possible_truncation,
                clippy::cast_sign_loss,
                reason = "checked to be a whole number within range"
            )]
            Some(number as u64)
        };
        match number.as_u64().or_else(spelt_otherwise) {
            Some(whole) => Ok(Some(whole)),
            None => Err(self.wrong(key, "a whole number of at least 0", &Value::Number(number))),
        }
    }

    pub(super) fn list(&mut self, key: &str) -> Result<Vec<Value>, Fault> {
        match self.value(key) {
            None => Ok(Vec::new()),
            Some(Value::Array(list)) => Ok(list),
            Some(other) => Err(self.wrong(key, "an array", &other)),
        }
    }

    pub(super) fn texts(&mut self, key: &str) -> Result<Vec<String>, Fault> {
        let list = self.list(key)?.into_iter().map(|item| {
            let Value::String(text) = item else { return Err(self.wrong(key, "an array of strings", &item)) };
            Ok(text)
        });
        list.collect()
    }

    /// An object of its own, taken apart in turn.
    pub(super) fn object(&mut self, key: &str) -> Result<Option<Self>, Fault> {
        self.value(key).map(|value| Self::of(value, self.path(key))).transpose()
    }

    /// `cache_control`, wherever it stands.
    pub(super) fn cache(&mut self) -> Result<Option<CacheMark>, Fault> {
        let Some(mut mark) = self.object("cache_control")? else { return Ok(None) };
        let ttl = mark.text("ttl")?;
        // There is only `ephemeral`.
        if mark.peek("type").is_some_and(|kind| kind == "ephemeral") {
            mark.drop("type");
        }
        Ok(Some(CacheMark { ttl, extras: mark.rest() }))
    }

    pub(super) fn wrong(&self, key: &str, expected: &str, found: &Value) -> Fault {
        Fault::bad_field(self.path(key), expected, noun(found))
    }
}

/// A value's kind, for an error message.
pub(super) fn noun(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "a boolean",
        Value::Number(_) => "a number",
        Value::String(_) => "a string",
        Value::Array(_) => "an array",
        Value::Object(_) => "an object",
    }
}
