//! Schemas as structured output wants them: every object closed.

use crate::json::MAX_DEPTH;
use serde_json::{Map, Value};

/// Keywords whose value is a schema.
const ONE: &[&str] = &["items", "additionalItems", "contains", "not", "if", "then", "else", "propertyNames"];
/// Keywords whose value is a list of schemas (`items` may be one too).
const LIST: &[&str] = &["anyOf", "oneOf", "allOf", "prefixItems", "items"];
/// Keywords whose value names schemas.
const NAMED: &[&str] = &["properties", "patternProperties", "$defs", "definitions", "dependentSchemas"];

/// The schema with `additionalProperties: false` in every object, which the API demands:
/// <https://platform.claude.com/docs/en/build-with-claude/structured-outputs>. Values that are not
/// schemas (`enum`, `const`, `default`, …) are left alone.
pub(in crate::provider) fn closed(schema: &Value) -> Value {
    let mut schema = schema.clone();
    close(&mut schema, MAX_DEPTH);
    schema
}

fn close(schema: &mut Value, depth: usize) {
    let (Some(schema), Some(depth)) = (schema.as_object_mut(), depth.checked_sub(1)) else { return };
    for (key, value) in schema.iter_mut() {
        let key = key.as_str();
        if LIST.contains(&key)
            && let Some(list) = value.as_array_mut()
        {
            list.iter_mut().for_each(|one| close(one, depth));
        } else if NAMED.contains(&key)
            && let Some(named) = value.as_object_mut()
        {
            named.values_mut().for_each(|one| close(one, depth));
        } else if ONE.contains(&key) {
            close(value, depth);
        }
    }
    if is_object(schema) {
        schema.insert("additionalProperties".to_owned(), Value::Bool(false));
    }
}

fn is_object(schema: &Map<String, Value>) -> bool {
    match schema.get("type") {
        Some(Value::String(kind)) => kind == "object",
        Some(Value::Array(kinds)) => kinds.iter().any(|kind| kind == "object"),
        _ => schema.contains_key("properties"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn every_object_is_closed_and_nothing_else_touched() {
        let schema = json!({
            "type": "object",
            "properties": {
                "type": {"type": "string", "enum": ["object"], "default": {"type": "object"}},
                "list": {"type": "array", "items": {"type": ["object", "null"], "properties": {}}},
                "either": {"anyOf": [{"$ref": "#/$defs/leaf"}, {"type": "object", "additionalProperties": true}]},
            },
            "$defs": {"leaf": {"properties": {"a": {"type": "integer"}}}},
        });
        assert_eq!(
            closed(&schema),
            json!({
                "type": "object",
                "properties": {
                    "type": {"type": "string", "enum": ["object"], "default": {"type": "object"}},
                    "list": {"type": "array", "items":
                        {"type": ["object", "null"], "properties": {}, "additionalProperties": false}},
                    "either": {"anyOf": [{"$ref": "#/$defs/leaf"}, {"type": "object", "additionalProperties": false}]},
                },
                "$defs": {"leaf": {"properties": {"a": {"type": "integer"}}, "additionalProperties": false}},
                "additionalProperties": false,
            })
        );
    }
}
