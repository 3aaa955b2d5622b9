//! Tools and which of them the model is to use.

use super::{item, list, schema, texts, unknown_word, word};
use crate::call::{Extras, Opaque, Tool, ToolChoice, ToolFunction};
use crate::dialect::Dialect;
use crate::fault::Fault;
use crate::surface::fields::Fields;
use serde_json::{Map, Value};

/// Each function is a tool, and so is each tool of Google's own.
pub(super) fn parse(entries: Vec<Value>) -> Result<Vec<Tool>, Fault> {
    let mut tools = Vec::new();
    for (at, entry) in entries.into_iter().enumerate() {
        let mut entry = item(entry, &format!("tools[{at}]"))?;
        for (index, declared) in list(&mut entry, "functionDeclarations").into_iter().enumerate() {
            let path = format!("tools[{at}].functionDeclarations[{index}]");
            tools.push(Tool::Function(function(item(declared, &path)?)?));
        }
        for (name, value) in entry.rest() {
            let value = Value::Object(Map::from_iter([(name, value)]));
            tools.push(Tool::Hosted(Opaque { origin: Dialect::Gemini, value }));
        }
    }
    Ok(tools)
}

fn function(mut fields: Fields) -> Result<ToolFunction, Fault> {
    let name = fields.needed_text("name")?;
    let description = fields.text("description")?;
    let path = fields.path("parameters");
    let parameters = match (fields.value("parametersJsonSchema"), fields.value("parameters")) {
        (Some(json), _) => Some(json),
        (None, Some(open)) => Some(schema::json_schema(open, &path)?),
        (None, None) => None,
    };
    Ok(ToolFunction { name, description, parameters, strict: None, cache: None, extras: fields.rest() })
}

/// What `toolConfig` says.
#[derive(Default)]
pub(super) struct Chosen {
    pub(super) choice: Option<ToolChoice>,
    pub(super) rest: Extras,
}

pub(super) fn choice(config: Option<Fields>) -> Result<Chosen, Fault> {
    let Some(mut config) = config else { return Ok(Chosen::default()) };
    let Some(calling) = config.object("functionCallingConfig")? else {
        return Ok(Chosen { choice: None, rest: config.rest() });
    };
    let mut calling = super::camel(calling);
    let mut names = texts(&mut calling, "allowedFunctionNames")?;
    let mode = word(&mut calling, "mode")?;
    let choice = match (mode.as_deref(), names.len()) {
        (None | Some("MODE_UNSPECIFIED"), 0) => None,
        (Some("AUTO"), 0) => Some(ToolChoice::Auto),
        // That arguments fit their schema is left to the model elsewhere.
        (Some("VALIDATED"), 0) => {
            calling.put("mode", Value::from("VALIDATED"));
            Some(ToolChoice::Auto)
        }
        (Some("VALIDATED"), _) => {
            calling.put("mode", Value::from("VALIDATED"));
            Some(ToolChoice::Allowed { required: false, names })
        }
        (None | Some("MODE_UNSPECIFIED" | "AUTO"), _) => Some(ToolChoice::Allowed { required: false, names }),
        (Some("ANY"), 0) => Some(ToolChoice::Required),
        (Some("ANY"), 1) => names.pop().map(ToolChoice::Named),
        (Some("ANY"), _) => Some(ToolChoice::Allowed { required: true, names }),
        (Some("NONE"), _) => Some(ToolChoice::None),
        (Some(other), _) => {
            return Err(unknown_word(calling.path("mode"), "one of AUTO, ANY, NONE, VALIDATED", other));
        }
    };
    let left = calling.rest();
    let mut rest = config.rest();
    if !left.is_empty() {
        rest.insert("functionCallingConfig".to_owned(), Value::Object(left));
    }
    Ok(Chosen { choice, rest })
}
