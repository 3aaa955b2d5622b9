//! JSON Schema made into the OpenAPI subset that models before 2.5 read.
//!
//! References are put in place, `const` becomes `enum`, a type list with `null` becomes `nullable`,
//! `oneOf` becomes `anyOf`. What is dropped although it narrows or widens what fits is reported.

use super::Lost;
use crate::fault::Fault;
use crate::json::MAX_DEPTH;
use serde_json::{Map, Value, json};

/// How many nodes a schema may have once its references are in place: nested references multiply.
const MOST_NODES: usize = 20_000;

/// Kept as they are.
const KEPT: [&str; 15] = [
    "title",
    "description",
    "nullable",
    "minItems",
    "maxItems",
    "minProperties",
    "maxProperties",
    "minLength",
    "maxLength",
    "pattern",
    "minimum",
    "maximum",
    "default",
    "example",
    "propertyOrdering",
];

/// Dropped without a word: they say nothing about which values fit.
const SILENT: [&str; 13] = [
    "$schema",
    "$id",
    "$anchor",
    "$comment",
    "$defs",
    "definitions",
    "examples",
    "readOnly",
    "writeOnly",
    "deprecated",
    "strict",
    "contentEncoding",
    "contentMediaType",
];

/// The schema in the subset. `path` names it in losses and faults.
pub(super) fn open_api(schema: &Value, path: &str, lost: &mut Lost) -> Result<Value, Fault> {
    let mut convert = Convert { root: schema, path, lost, nodes: 0 };
    convert.schema(schema, 0)
}

struct Convert<'a> {
    root: &'a Value,
    path: &'a str,
    lost: &'a mut Lost,
    nodes: usize,
}

impl Convert<'_> {
    fn lose(&mut self, keyword: &str) {
        self.lost.add(format!("{}.{keyword}", self.path));
    }

    fn schema(&mut self, schema: &Value, depth: usize) -> Result<Value, Fault> {
        self.nodes += 1;
        if self.nodes > MOST_NODES {
            return Err(Fault::bad_field(
                self.path,
                format!("at most {MOST_NODES} nodes once references are put in place"),
                "more",
            ));
        }
        let Some(schema) = schema.as_object() else {
            if *schema == Value::Bool(false) {
                self.lose("false");
            }
            return Ok(json!({}));
        };
        // Beyond this depth only a schema that refers to itself goes on.
        if depth > MAX_DEPTH / 4 {
            self.lose("$ref");
            return Ok(json!({"type": "OBJECT"}));
        }
        let mut out = Map::new();
        for (keyword, value) in schema {
            self.keyword(keyword, value, schema, depth, &mut out)?;
        }
        strings_only(&mut out, self);
        Ok(Value::Object(out))
    }

    fn keyword(
        &mut self,
        keyword: &str,
        value: &Value,
        whole: &Map<String, Value>,
        depth: usize,
        out: &mut Map<String, Value>,
    ) -> Result<(), Fault> {
        match keyword {
            "$ref" => self.reference(value, depth, out)?,
            "type" => kind(value, out),
            "const" => {
                out.insert("enum".to_owned(), json!([value]));
                typed_after(value, whole, out);
            }
            "enum" => self.choices(value, whole, out),
            "properties" => {
                let properties = value.as_object().into_iter().flatten();
                let properties = properties
                    .map(|(name, value)| Ok((name.clone(), self.schema(value, depth + 1)?)))
                    .collect::<Result<Map<_, _>, Fault>>()?;
                out.insert("properties".to_owned(), Value::Object(properties));
            }
            "required" if value.as_array().is_some_and(|names| !names.is_empty()) => {
                out.insert("required".to_owned(), value.clone());
            }
            "required" => {}
            "items" => {
                out.insert("items".to_owned(), self.schema(value, depth + 1)?);
            }
            "anyOf" | "oneOf" => self.any_of(value, depth, out)?,
            "allOf" => self.all_of(value, depth, out)?,
            "format" if keeps_format(value) => {
                out.insert("format".to_owned(), value.clone());
            }
            // Nothing beyond the properties is ever generated, so forbidding it loses nothing.
            "additionalProperties" if matches!(value, Value::Bool(_)) => {}
            keyword if KEPT.contains(&keyword) => {
                out.entry(keyword).or_insert_with(|| value.clone());
            }
            keyword if SILENT.contains(&keyword) => {}
            keyword => self.lose(keyword),
        }
        Ok(())
    }

    fn reference(&mut self, name: &Value, depth: usize, out: &mut Map<String, Value>) -> Result<(), Fault> {
        let root = self.root;
        let pointer = name.as_str().and_then(|name| name.strip_prefix('#'));
        let Some(found) = pointer.and_then(|pointer| root.pointer(pointer)) else {
            self.lose("$ref");
            return Ok(());
        };
        let found = self.schema(found, depth + 1)?;
        join(out, found);
        Ok(())
    }

    fn choices(&mut self, value: &Value, whole: &Map<String, Value>, out: &mut Map<String, Value>) {
        let Some(values) = value.as_array() else { return };
        let some = values.iter().filter(|value| !value.is_null()).cloned().collect::<Vec<_>>();
        if some.len() < values.len() {
            out.insert("nullable".to_owned(), Value::Bool(true));
        }
        if let Some(first) = some.first() {
            typed_after(first, whole, out);
        }
        out.insert("enum".to_owned(), Value::Array(some));
    }

    fn any_of(&mut self, value: &Value, depth: usize, out: &mut Map<String, Value>) -> Result<(), Fault> {
        let mut some = Vec::new();
        for choice in value.as_array().into_iter().flatten() {
            if choice.get("type").is_some_and(|kind| kind == "null") {
                out.insert("nullable".to_owned(), Value::Bool(true));
            } else {
                some.push(self.schema(choice, depth + 1)?);
            }
        }
        match (some.pop(), some.is_empty()) {
            (None, _) => {}
            (Some(one), true) => join(out, one),
            (Some(last), false) => {
                some.push(last);
                out.insert("anyOf".to_owned(), Value::Array(some));
            }
        }
        Ok(())
    }

    fn all_of(&mut self, value: &Value, depth: usize, out: &mut Map<String, Value>) -> Result<(), Fault> {
        let parts = value.as_array().map(Vec::as_slice).unwrap_or_default();
        for part in parts {
            let part = self.schema(part, depth + 1)?;
            // Two parts that say the same keyword differently cannot both be kept.
            let clash = part.as_object().into_iter().flatten().any(|(keyword, value)| {
                !matches!(keyword.as_str(), "properties" | "required")
                    && out.get(keyword).is_some_and(|earlier| earlier != value)
            });
            if clash {
                self.lose("allOf");
            }
            join(out, part);
        }
        Ok(())
    }
}

/// Adds what is not there yet; properties and required names are united.
fn join(out: &mut Map<String, Value>, more: Value) {
    let Value::Object(more) = more else { return };
    for (keyword, value) in more {
        match (keyword.as_str(), out.get_mut(&keyword), value) {
            ("properties", Some(Value::Object(earlier)), Value::Object(later)) => {
                for (name, value) in later {
                    earlier.entry(name).or_insert(value);
                }
            }
            ("required", Some(Value::Array(earlier)), Value::Array(later)) => {
                for name in later {
                    if !earlier.contains(&name) {
                        earlier.push(name);
                    }
                }
            }
            (_, Some(_), _) => {}
            (_, None, value) => {
                out.insert(keyword, value);
            }
        }
    }
}

/// `"string"` is `STRING`; `["string", "null"]` is a nullable one; several are alternatives.
fn kind(value: &Value, out: &mut Map<String, Value>) {
    let upper = |kind: &str| Value::from(kind.to_ascii_uppercase());
    if let Some(kind) = value.as_str() {
        out.insert("type".to_owned(), upper(kind));
        return;
    }
    let kinds = value.as_array().into_iter().flatten().filter_map(Value::as_str);
    let mut some = Vec::new();
    for kind in kinds {
        match kind {
            "null" => {
                out.insert("nullable".to_owned(), Value::Bool(true));
            }
            kind => some.push(kind),
        }
    }
    match some.as_slice() {
        [] => {}
        [one] => {
            out.insert("type".to_owned(), upper(one));
        }
        several => {
            let several = several.iter().map(|kind| json!({"type": upper(kind)})).collect();
            out.insert("anyOf".to_owned(), Value::Array(several));
        }
    }
}

/// An enum needs a type; where the schema gives none, its values tell.
fn typed_after(value: &Value, whole: &Map<String, Value>, out: &mut Map<String, Value>) {
    if whole.contains_key("type") {
        return;
    }
    let kind = match value {
        Value::String(_) => "STRING",
        Value::Bool(_) => "BOOLEAN",
        Value::Number(number) if number.is_i64() || number.is_u64() => "INTEGER",
        Value::Number(_) => "NUMBER",
        Value::Array(_) => "ARRAY",
        Value::Object(_) => "OBJECT",
        Value::Null => return,
    };
    out.insert("type".to_owned(), Value::from(kind));
}

/// Enums are of strings only: others become their spelling, and that the answer is then a string
/// is reported.
fn strings_only(out: &mut Map<String, Value>, convert: &mut Convert<'_>) {
    let Some(Value::Array(values)) = out.get_mut("enum") else { return };
    if values.iter().all(Value::is_string) {
        return;
    }
    for value in values.iter_mut() {
        if !value.is_string() {
            *value = Value::String(value.to_string());
        }
    }
    out.insert("type".to_owned(), Value::from("STRING"));
    convert.lose("enum");
}

fn keeps_format(format: &Value) -> bool {
    let known = ["enum", "date-time", "int32", "int64", "float", "double"];
    format.as_str().is_some_and(|format| known.contains(&format))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn converted(schema: &Value) -> (Value, Vec<String>) {
        let mut lost = Lost::default();
        let out = open_api(schema, "s", &mut lost).expect("converts");
        (out, lost.names)
    }

    #[test]
    fn references_nulls_constants_and_alternatives_become_the_subset() {
        let (out, lost) = converted(&json!({
            "$schema": "x", "type": "object", "additionalProperties": false, "required": ["a"],
            "properties": {
                "a": {"$ref": "#/$defs/A", "description": "an a"},
                "b": {"type": ["string", "null"]},
                "c": {"const": "x"},
                "d": {"oneOf": [{"type": "string"}, {"type": "integer"}]},
                "e": {"anyOf": [{"type": "number"}, {"type": "null"}]}
            },
            "$defs": {"A": {"type": "array", "items": {"type": "integer"}}}
        }));
        assert_eq!(
            out,
            json!({
                "type": "OBJECT", "required": ["a"],
                "properties": {
                    "a": {"type": "ARRAY", "items": {"type": "INTEGER"}, "description": "an a"},
                    "b": {"nullable": true, "type": "STRING"},
                    "c": {"enum": ["x"], "type": "STRING"},
                    "d": {"anyOf": [{"type": "STRING"}, {"type": "INTEGER"}]},
                    "e": {"nullable": true, "type": "NUMBER"}
                }
            })
        );
        assert!(lost.is_empty(), "{lost:?}");
    }

    #[test]
    fn what_changes_the_meaning_is_reported() {
        let (out, lost) = converted(&json!({
            "type": "integer", "enum": [1, 2], "multipleOf": 3, "format": "email",
            "additionalProperties": {"type": "string"}
        }));
        assert_eq!(out, json!({"type": "STRING", "enum": ["1", "2"]}));
        assert_eq!(lost, ["s.multipleOf", "s.format", "s.additionalProperties", "s.enum"]);
    }

    #[test]
    fn a_schema_that_refers_to_itself_ends() {
        let (_, lost) = converted(&json!({"$ref": "#/$defs/T", "$defs": {"T": {
            "type": "object", "properties": {"next": {"$ref": "#/$defs/T"}}}}}));
        assert_eq!(lost, ["s.$ref"]);
    }

    #[test]
    fn references_that_multiply_are_refused() {
        let schema = json!({"$ref": "#/$defs/T", "$defs": {"T": {"type": "object", "properties": {
            "a": {"$ref": "#/$defs/T"}, "b": {"$ref": "#/$defs/T"}}}}});
        let fault = open_api(&schema, "s", &mut Lost::default()).expect_err("refused");
        assert_eq!(fault.param.as_deref(), Some("s"));
    }
}
