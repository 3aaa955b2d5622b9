//! What a value must be, and where in a JSON document it stands.

use serde::Deserialize;
use serde_json::Value;

/// What is asked of one value: itself, or some of the tests below.
#[derive(Clone, Debug, Deserialize)]
#[serde(untagged)]
pub enum Matcher {
    /// Several tests, all of which must hold.
    Tests(Box<Tests>),
    /// Equality. Texts and numbers are compared as what they mean: `"5"` in a header is 5.
    Is(Value),
}

/// Tests of one value.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Tests {
    has: Option<Many>,
    lacks: Option<Many>,
    starts: Option<String>,
    min: Option<f64>,
    max: Option<f64>,
    absent: Option<bool>,
    one_of: Option<Vec<Value>>,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(untagged)]
enum Many {
    One(String),
    All(Vec<String>),
}

impl Many {
    fn all(&self) -> &[String] {
        match self {
            Self::One(one) => std::slice::from_ref(one),
            Self::All(all) => all,
        }
    }
}

impl Matcher {
    /// Why the value is not what was asked; `null` stands for one that is not there.
    pub fn check(&self, found: &Value) -> Result<(), String> {
        match self {
            Self::Is(wanted) if same(found, wanted) => Ok(()),
            Self::Is(wanted) => Err(format!("found {found}, expected {wanted}")),
            Self::Tests(tests) => tests.check(found),
        }
    }
}

impl Tests {
    fn check(&self, found: &Value) -> Result<(), String> {
        let Self { has, lacks, starts, min, max, absent, one_of } = self;
        let text = plain(found);
        for part in has.iter().flat_map(Many::all) {
            ensure(text.contains(part), || format!("no {part:?} in {}", short(&text)))?;
        }
        for part in lacks.iter().flat_map(Many::all) {
            ensure(!text.contains(part), || format!("{part:?} is in {}", short(&text)))?;
        }
        if let Some(start) = starts {
            ensure(text.starts_with(start), || format!("{} does not start with {start:?}", short(&text)))?;
        }
        if let Some(least) = min {
            ensure(number(found).is_some_and(|number| number >= *least), || {
                format!("found {found}, expected {least} at least")
            })?;
        }
        if let Some(most) = max {
            ensure(number(found).is_some_and(|number| number <= *most), || {
                format!("found {found}, expected {most} at most")
            })?;
        }
        if let Some(wanted) = absent {
            ensure(found.is_null() == *wanted, || format!("found {found}, absent should be {wanted}"))?;
        }
        if let Some(choice) = one_of {
            ensure(choice.iter().any(|wanted| same(found, wanted)), || {
                format!("found {found}, expected one of {choice:?}")
            })?;
        }
        Ok(())
    }
}

fn ensure(holds: bool, otherwise: impl FnOnce() -> String) -> Result<(), String> {
    if holds { Ok(()) } else { Err(otherwise()) }
}

/// A text without its quotes.
fn plain(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

/// Its beginning, for people.
fn short(text: &str) -> String {
    const MOST: usize = 300;
    text.char_indices()
        .nth(MOST)
        .map_or_else(|| format!("{text:?}"), |(end, _)| format!("{:?} [...]", &text[..end]))
}

fn number(value: &Value) -> Option<f64> {
    value.as_f64().or_else(|| value.as_str()?.parse().ok())
}

fn same(found: &Value, wanted: &Value) -> bool {
    match (found, wanted) {
        (Value::Number(_), Value::Number(_)) | (Value::String(_), Value::Number(_)) => {
            number(found).zip(number(wanted)).is_some_and(|(found, wanted)| (found - wanted).abs() < 1e-10)
        }
        (Value::Array(found), Value::Array(wanted)) => {
            found.len() == wanted.len() && found.iter().zip(wanted).all(|(found, wanted)| same(found, wanted))
        }
        (Value::Object(found), Value::Object(wanted)) => {
            found.len() == wanted.len()
                && found
                    .iter()
                    .all(|(name, found)| wanted.get(name).is_some_and(|wanted| same(found, wanted)))
        }
        _ => found == wanted,
    }
}

/// What stands at a path: names and numbers between dots (`-1` is the last), `[name=text]` for the first
/// element of which this is so, `#` for a length. Null where there is nothing.
pub fn at(document: &Value, path: &str) -> Value {
    let mut here = document.clone();
    for part in parts(path) {
        here = match part {
            Part::Length => here.as_array().map_or(Value::Null, |all| all.len().into()),
            Part::Where(name, text) => {
                let found = here.as_array().and_then(|all| all.iter().find(|one| plain(&one[&name]) == text));
                found.cloned().unwrap_or_default()
            }
            Part::Name(name) => step(&here, &name),
        };
    }
    here
}

fn step(here: &Value, name: &str) -> Value {
    match here {
        Value::Array(all) => {
            let back = name.strip_prefix('-').and_then(|back| all.len().checked_sub(back.parse().ok()?));
            let place = back.or_else(|| name.parse().ok());
            place.and_then(|place| all.get(place)).cloned().unwrap_or_default()
        }
        other => other.get(name).cloned().unwrap_or_default(),
    }
}

enum Part {
    Name(String),
    Where(String, String),
    Length,
}

fn parts(path: &str) -> Vec<Part> {
    let mut parts = Vec::new();
    let mut rest = path;
    while !rest.is_empty() {
        if let Some((condition, after)) = rest.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
            let (name, text) = condition.split_once('=').unwrap_or((condition, ""));
            parts.push(Part::Where(name.to_owned(), text.to_owned()));
            rest = after;
            continue;
        }
        let rested = rest.strip_prefix('.').unwrap_or(rest);
        let end = rested.find(['.', '[']).unwrap_or(rested.len());
        match &rested[..end] {
            "" => {}
            "#" => parts.push(Part::Length),
            name => parts.push(Part::Name(name.to_owned())),
        }
        rest = &rested[end..];
    }
    parts
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn paths_select_by_place_and_by_content() {
        let document =
            json!({"data": [{"scope": "key:a.b", "limits": [1, 2]}, {"scope": "team:t", "limits": []}]});
        assert_eq!(at(&document, "data[scope=key:a.b].limits.-1"), json!(2));
        assert_eq!(at(&document, "data.1.limits.#"), json!(0));
        assert_eq!(at(&document, "data.7.limits"), Value::Null);
        assert_eq!(at(&document, ""), document);
    }

    #[test]
    fn a_matcher_says_what_it_found() {
        let matcher = |text: &str| -> Matcher {
            let table: toml::Table = text.parse().expect("TOML");
            table["m"].clone().try_into().expect("a matcher")
        };
        assert!(matcher("m = 5").check(&json!("5")).is_ok());
        assert!(matcher("m = { min = 1, max = 2 }").check(&json!(1.5)).is_ok());
        assert!(matcher("m = { has = ['a', 'b'], lacks = 'c' }").check(&json!("ab")).is_ok());
        assert!(matcher("m = { absent = true }").check(&Value::Null).is_ok());
        let why = matcher("m = { max = 2 }").check(&json!(3)).expect_err("3 is more than 2");
        assert!(why.contains('3') && why.contains('2'), "{why}");
    }
}
