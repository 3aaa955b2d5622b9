//! The smallest value a JSON schema accepts, so that structured answers and forced tool calls are
//! valid without a model.

use serde_json::{Map, Value, json};

use crate::json::Fields as _;

const MAX_DEPTH: usize = 32;

/// A minimal instance of `schema`; `null` where the schema says nothing usable.
///
/// References into `$defs` and `definitions` are followed, alternatives take their first member,
/// and a schema that refers to itself without end is cut off at 32 levels.
pub(crate) fn instance(schema: &Value) -> Value {
    Walk { root: schema, depth: 0 }.of(schema)
}

#[derive(Clone, Copy)]
struct Walk<'a> {
    root: &'a Value,
    depth: usize,
}

impl Walk<'_> {
    fn of(self, schema: &Value) -> Value {
        if self.depth > MAX_DEPTH {
            return Value::Null;
        }
        let inner = Walk { depth: self.depth + 1, ..self };
        if let Some(target) =
            schema["$ref"].as_str().and_then(|path| self.root.pointer(path.trim_start_matches('#')))
        {
            return inner.of(target);
        }
        for fixed in ["const", "default"] {
            if let Some(value) = schema.get(fixed) {
                return value.clone();
            }
        }
        if let Some(first) = schema.at("enum").get(0) {
            return first.clone();
        }
        if let Some(first) = ["anyOf", "oneOf", "allOf"].iter().find_map(|name| schema.at(name).get(0)) {
            return inner.of(first);
        }
        inner.of_type(schema)
    }

    fn of_type(self, schema: &Value) -> Value {
        let kind = schema.at("type").as_str().or_else(|| schema.at("type").get(0)?.as_str());
        match kind.map(str::to_ascii_lowercase).as_deref() {
            Some("string") => string(schema),
            Some("integer" | "number") => schema.get("minimum").cloned().unwrap_or_else(|| json!(1)),
            Some("boolean") => json!(true),
            Some("array") => self.array(schema),
            Some("object") => self.object(schema),
            Some(_) => Value::Null,
            None if schema.at("properties").is_object() => self.object(schema),
            None => Value::Null,
        }
    }

    fn array(self, schema: &Value) -> Value {
        let least = schema.at("minItems").as_u64().unwrap_or(1).min(64);
        Value::Array((0..least).map(|_| self.of(schema.at("items"))).collect())
    }

    /// Required properties; all of them when the schema requires none.
    fn object(self, schema: &Value) -> Value {
        let mut made = Map::new();
        let required: Vec<&str> =
            schema.at("required").as_array().into_iter().flatten().filter_map(Value::as_str).collect();
        for (name, property) in schema.at("properties").as_object().into_iter().flatten() {
            if required.is_empty() || required.contains(&name.as_str()) {
                made.insert(name.clone(), self.of(property));
            }
        }
        Value::Object(made)
    }
}

fn string(schema: &Value) -> Value {
    let text = match schema.at("format").as_str() {
        Some("date") => "2026-01-01",
        Some("date-time") => "2026-01-01T00:00:00Z",
        Some("email") => "sim@example.com",
        Some("uuid") => "00000000-0000-4000-8000-000000000000",
        Some("uri") => "https://example.com/",
        Some(_) | None => "text",
    };
    let least = schema.at("minLength").as_u64().unwrap_or(0).min(4096) as usize;
    json!(format!("{text:x<least$}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_instance_has_what_is_required_and_nothing_else() {
        let schema = json!({"type": "object", "required": ["name", "tags", "size", "inner"], "properties": {
            "name": {"type": "string", "minLength": 6},
            "tags": {"type": "array", "items": {"enum": ["red", "blue"]}},
            "size": {"type": ["integer", "null"], "minimum": 3},
            "inner": {"$ref": "#/$defs/inner"},
            "spare": {"type": "string"}},
            "$defs": {"inner": {"type": "object", "properties": {"ok": {"type": "boolean"}}}}});
        let wanted = json!({"name": "textxx", "tags": ["red"], "size": 3, "inner": {"ok": true}});
        assert_eq!(instance(&schema), wanted);
    }

    #[test]
    fn a_schema_that_refers_to_itself_ends() {
        let schema = json!({"type": "object", "properties": {"next": {"$ref": "#"}}});
        assert!(instance(&schema).is_object());
    }
}
