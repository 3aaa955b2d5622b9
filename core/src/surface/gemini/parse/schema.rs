//! Google's schemas, a subset of OpenAPI's, as JSON Schema.

use crate::fault::Fault;
use crate::surface::fields::noun;
use serde_json::{Map, Value, json};

/// Deeper ones are refused by the parser of bodies already; this keeps the walk bounded by itself.
const DEEPEST: usize = 64;

/// The same schema in the words other dialects read.
pub(super) fn json_schema(schema: Value, path: &str) -> Result<Value, Fault> {
    walk(schema, path, DEEPEST)
}

fn walk(schema: Value, path: &str, left: usize) -> Result<Value, Fault> {
    let schema = super::object(schema, path)?;
    if left == 0 {
        return Err(Fault::bad_field(path, format!("at most {DEEPEST} levels"), "more"));
    }
    let mut written = Map::new();
    let mut nullable = false;
    for (key, value) in schema {
        if value.is_null() {
            continue;
        }
        let at = format!("{path}.{key}");
        match key.as_str() {
            "type" => written.extend(kind(value, &at)?.map(|kind| ("type".to_owned(), kind))),
            "nullable" => {
                let flag = value.as_bool();
                nullable = flag.ok_or_else(|| Fault::bad_field(at, "true or false", noun(&value)))?;
            }
            "properties" | "defs" | "$defs" => {
                let inner = super::object(value, &at)?.into_iter().map(|(name, value)| {
                    let at = format!("{at}.{name}");
                    Ok((name, walk(value, &at, left - 1)?))
                });
                let name = if key == "properties" { "properties" } else { "$defs" };
                written.insert(name.to_owned(), Value::Object(inner.collect::<Result<_, Fault>>()?));
            }
            "items" => drop(written.insert("items".to_owned(), walk(value, &at, left - 1)?)),
            "additionalProperties" | "additional_properties" => {
                let value = if value.is_object() { walk(value, &at, left - 1)? } else { value };
                written.insert("additionalProperties".to_owned(), value);
            }
            "anyOf" | "any_of" | "oneOf" | "one_of" | "prefixItems" | "prefix_items" => {
                let Value::Array(list) = value else {
                    return Err(Fault::bad_field(at, "an array", noun(&value)));
                };
                let list = list.into_iter().enumerate();
                let list = list.map(|(index, one)| walk(one, &format!("{at}[{index}]"), left - 1));
                let name = match key.as_str() {
                    "anyOf" | "any_of" => "anyOf",
                    "oneOf" | "one_of" => "oneOf",
                    _ => "prefixItems",
                };
                written.insert(name.to_owned(), Value::Array(list.collect::<Result<_, Fault>>()?));
            }
            // An order of properties is for this API only: elsewhere they come as they stand.
            "propertyOrdering" | "property_ordering" => {}
            "example" => drop(written.insert("examples".to_owned(), json!([value]))),
            "ref" => drop(written.insert("$ref".to_owned(), value)),
            other => {
                let (name, value) = plain(other, value);
                written.insert(name, value);
            }
        }
    }
    if nullable {
        allow_null(&mut written);
    }
    Ok(Value::Object(written))
}

/// The types are written in capitals here; `TYPE_UNSPECIFIED` says nothing.
fn kind(value: Value, path: &str) -> Result<Option<Value>, Fault> {
    const KINDS: &str = "one of STRING, NUMBER, INTEGER, BOOLEAN, ARRAY, OBJECT, NULL";
    let lower = |word: &str| {
        let word = word.to_ascii_lowercase();
        let known =
            ["string", "number", "integer", "boolean", "array", "object", "null"].contains(&word.as_str());
        known.then_some(word)
    };
    match value {
        Value::String(word) if word == "TYPE_UNSPECIFIED" => Ok(None),
        Value::String(word) => match lower(&word) {
            Some(word) => Ok(Some(Value::from(word))),
            None => Err(super::unknown_word(path.to_owned(), KINDS, &word)),
        },
        Value::Array(words) => {
            let words = words.iter().map(|word| {
                let known = word.as_str().and_then(lower);
                known.map(Value::from).ok_or_else(|| Fault::bad_field(path, KINDS, noun(word)))
            });
            Ok(Some(Value::Array(words.collect::<Result<_, _>>()?)))
        }
        other @ (Value::Null | Value::Bool(_) | Value::Number(_) | Value::Object(_)) => {
            Err(Fault::bad_field(path, KINDS, noun(&other)))
        }
    }
}

/// Bounds are 64-bit numbers, which this JSON writes as strings.
fn plain(key: &str, value: Value) -> (String, Value) {
    const BOUNDS: [(&str, &str); 6] = [
        ("minItems", "min_items"),
        ("maxItems", "max_items"),
        ("minLength", "min_length"),
        ("maxLength", "max_length"),
        ("minProperties", "min_properties"),
        ("maxProperties", "max_properties"),
    ];
    let Some((name, _)) = BOUNDS.iter().find(|(camel, snake)| *camel == key || *snake == key) else {
        return (key.to_owned(), value);
    };
    let number = value.as_str().and_then(|text| text.parse::<u64>().ok()).map(Value::from);
    ((*name).to_owned(), number.unwrap_or(value))
}

fn allow_null(schema: &mut Map<String, Value>) {
    match schema.get_mut("type") {
        Some(Value::Array(kinds)) if !kinds.iter().any(|kind| kind == "null") => kinds.push("null".into()),
        Some(kind @ Value::String(_)) => *kind = json!([kind.take(), "null"]),
        Some(_) => {}
        None => {
            if let Some(Value::Array(list)) = schema.get_mut("anyOf") {
                list.push(json!({"type": "null"}));
            }
        }
    }
    if let Some(Value::Array(words)) = schema.get_mut("enum")
        && !words.contains(&Value::Null)
    {
        words.push(Value::Null);
    }
}
