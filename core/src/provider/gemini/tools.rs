//! Tools and which of them the model is to use.

use super::model::{Family, Model};
use super::{Lost, LostAt, add_extras, object, schema};
use crate::call::{Tool, ToolChoice, ToolFunction};
use crate::dialect::Dialect;
use crate::fault::Fault;
use serde_json::{Map, Value, json};

/// The two fields that tools fill.
pub(super) struct Offered {
    pub(super) tools: Option<Value>,
    pub(super) config: Option<Value>,
}

pub(super) fn of(
    tools: &[Tool],
    choice: Option<&ToolChoice>,
    origin: Dialect,
    model: Model,
    lost: &mut Lost,
) -> Result<Offered, Fault> {
    let only = only(choice, model);
    let mut entries = Vec::new();
    let mut declared = None;
    let mut strict = Strict::No;
    for (at, tool) in tools.iter().enumerate() {
        match tool {
            Tool::Function(function) if only.is_some_and(|names| !names.contains(&function.name)) => {}
            Tool::Function(function) => {
                strict = strict.and(function, at, model, lost);
                // All declarations stand in one entry, where the first function stood.
                let declared = declared.get_or_insert_with(|| (entries.len(), Vec::new()));
                declared.1.push(Value::Object(declaration(function, at, origin, model, lost)?));
            }
            Tool::Hosted(opaque) if opaque.origin == Dialect::Gemini => entries.push(opaque.value.clone()),
            Tool::Hosted(_) => lost.add(format!("tools[{at}]")),
        }
    }
    let config = match &declared {
        Some(_) => config(choice, strict, model),
        // Without functions an empty config is refused, and there is nothing to choose from.
        None => {
            lost.add_if(choice.filter(|choice| demands(choice)), "tool_choice");
            None
        }
    };
    if let Some((at, declarations)) = declared {
        entries.insert(at, json!({"functionDeclarations": declarations}));
    }
    Ok(Offered { tools: (!entries.is_empty()).then_some(Value::Array(entries)), config })
}

fn demands(choice: &ToolChoice) -> bool {
    match choice {
        ToolChoice::Auto | ToolChoice::None => false,
        ToolChoice::Required | ToolChoice::Named(_) | ToolChoice::Allowed { .. } => true,
    }
}

/// Names to leave the others out for: early models cannot be told to choose freely among some.
fn only(choice: Option<&ToolChoice>, model: Model) -> Option<&[String]> {
    match choice {
        Some(ToolChoice::Allowed { required: false, names }) if model.family == Family::Early => Some(names),
        _ => None,
    }
}

/// Whether arguments must fit their schemas.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Strict {
    Yes,
    No,
}

impl Strict {
    fn and(self, function: &ToolFunction, at: usize, model: Model, lost: &mut Lost) -> Self {
        match (function.strict, model.family) {
            (Some(true), Family::V2_5 | Family::V3) => Self::Yes,
            (Some(true), Family::Early) => {
                lost.add(format!("tools[{at}].function.strict"));
                self
            }
            (Some(false) | None, _) => self,
        }
    }
}

/// `VALIDATED` leaves the choice to the model and holds arguments to their schema; `ANY` does the
/// latter anyway. Names are accepted with these two modes, never with `AUTO`.
fn config(choice: Option<&ToolChoice>, strict: Strict, model: Model) -> Option<Value> {
    let free = match strict {
        Strict::Yes => "VALIDATED",
        Strict::No => "AUTO",
    };
    let mode = |mode: &str| json!({"functionCallingConfig": {"mode": mode}});
    let among = |mode: &str, names: &[String]| json!({"functionCallingConfig": {"mode": mode, "allowedFunctionNames": names}});
    match (choice, strict) {
        (None, Strict::No) => None,
        (None, Strict::Yes) | (Some(ToolChoice::Auto), _) => Some(mode(free)),
        (Some(ToolChoice::None), _) => Some(mode("NONE")),
        (Some(ToolChoice::Required), _) => Some(mode("ANY")),
        (Some(ToolChoice::Named(name)), _) => Some(among("ANY", std::slice::from_ref(name))),
        (Some(ToolChoice::Allowed { required: true, names }), _) => Some(among("ANY", names)),
        (Some(ToolChoice::Allowed { required: false, names }), _) => Some(match model.family {
            Family::Early => mode("AUTO"),
            Family::V2_5 | Family::V3 => among("VALIDATED", names),
        }),
    }
}

fn declaration(
    function: &ToolFunction,
    at: usize,
    origin: Dialect,
    model: Model,
    lost: &mut Lost,
) -> Result<Map<String, Value>, Fault> {
    let ToolFunction { name, description, parameters, strict: _, cache, extras } = function;
    if cache.is_some() {
        lost.add(format!("tools[{at}].cache_control"));
    }
    let mut declaration = object([
        ("name", Some(Value::from(name.as_str()))),
        ("description", description.as_deref().map(Value::from)),
    ]);
    // An object without properties is refused by older models and says nothing.
    if let Some(parameters) = parameters.as_ref().filter(|parameters| !is_empty(parameters)) {
        let path = format!("tools[{at}].function.parameters");
        let (field, parameters) = match model.family {
            Family::Early => ("parameters", schema::open_api(parameters, &path, lost)?),
            Family::V2_5 | Family::V3 => ("parametersJsonSchema", parameters.clone()),
        };
        declaration.insert(field.to_owned(), parameters);
    }
    add_extras(&mut declaration, extras, origin, &mut LostAt { lost, prefix: format!("tools[{at}].") });
    Ok(declaration)
}

fn is_empty(schema: &Value) -> bool {
    let Some(schema) = schema.as_object() else { return schema.is_null() };
    let object = schema.get("type").is_none_or(|kind| kind == "object" || kind == "OBJECT");
    let none = schema.get("properties").and_then(Value::as_object).is_none_or(Map::is_empty);
    let elsewhere = ["$ref", "anyOf", "oneOf", "allOf", "patternProperties"];
    let open = schema.get("additionalProperties").is_some_and(|more| *more != Value::Bool(false));
    object && none && !open && !elsewhere.iter().any(|keyword| schema.contains_key(*keyword))
}
