//! Tools, sampling and thinking.

use super::blocks::cache_point;
use super::family::Family;
use crate::call::{
    Effort, JsonSchema, Opaque, Output, ParallelTools, Reasoning, ReasoningMode, Sampling, Tool, ToolChoice,
    ToolFunction,
};
use crate::dialect::Dialect;
use crate::fault::Fault;
use crate::provider::anthropic::JSON_TOOL;
use crate::provider::anthropic::lost::Lost;
use crate::provider::anthropic::model::{Model, Support};
use crate::provider::anthropic::settings as claude;
use crate::provider::anthropic::thinking::{self, Active, Plan};
use crate::provider::anthropic::turns::Tail;
use crate::units::Tokens;
use serde_json::{Map, Value, json};

/// What bears on thinking.
#[derive(Clone, Copy)]
pub(super) struct ThinkingAsked<'a> {
    pub(super) reasoning: Option<&'a Reasoning>,
    pub(super) output: &'a Output,
    pub(super) origin: Dialect,
    pub(super) tail: Tail,
}

/// What is sent of it.
pub(super) struct ThinkingSent {
    /// In `additionalModelRequestFields`.
    pub(super) additional: Map<String, Value>,
    /// `outputConfig.effort`.
    pub(super) effort: Option<&'static str>,
    /// The cap, raised where a thinking budget would not fit below it; absent where the call has none.
    pub(super) max_tokens: Option<Tokens>,
    pub(super) active: Active,
}

/// How much the model is to think, in the words of its maker.
pub(super) fn thinking(
    asked: ThinkingAsked<'_>,
    family: Family,
    model: Model,
    lost: &mut Lost,
) -> ThinkingSent {
    let ThinkingAsked { reasoning, output, origin, tail } = asked;
    let max_tokens = output.max_tokens;
    let mut sent = ThinkingSent { additional: Map::new(), effort: None, max_tokens, active: Active::No };
    if family == Family::Claude {
        let asked = thinking::Asked { reasoning, max_tokens, origin, tail };
        let Plan { thinking, effort, max_tokens: cap, active } = thinking::plan(asked, model, lost);
        sent.additional.extend(thinking.map(|thinking| ("thinking".to_owned(), thinking)));
        sent.max_tokens = max_tokens.map(|_| Tokens(cap));
        return ThinkingSent { effort, active, ..sent };
    }
    let level = reasoning.and_then(level);
    let field = match (family, level) {
        (Family::GptOss, Some(level)) => Some(("reasoning_effort", Value::from(level))),
        (Family::NovaTwo, Some(level)) => {
            Some(("reasoningConfig", json!({"type": "enabled", "maxReasoningEffort": level})))
        }
        (_, Some(_)) => {
            lost.setting("reasoning_effort");
            None
        }
        (_, None) => None,
    };
    sent.additional.extend(field.map(|(key, value)| (key.to_owned(), value)));
    sent
}

/// The level that is asked for; none where no thinking is.
fn level(reasoning: &Reasoning) -> Option<&'static str> {
    let Reasoning { mode, effort, budget, shown: _ } = *reasoning;
    let effort = match (mode, effort, budget.map(Tokens::get)) {
        (ReasoningMode::Off, _, _) | (_, Some(Effort::None), _) | (ReasoningMode::Unsaid, None, None) => {
            return None;
        }
        (_, Some(effort), _) => effort,
        (_, None, Some(0..=2048)) => Effort::Low,
        (_, None, Some(8192..)) => Effort::High,
        (_, None, _) => Effort::Medium,
    };
    Some(match effort {
        Effort::None | Effort::Minimal | Effort::Low => "low",
        Effort::Medium => "medium",
        Effort::High | Effort::XHigh | Effort::Max => "high",
    })
}

/// What bears on `inferenceConfig`.
pub(super) struct Drawn<'a> {
    pub(super) sampling: &'a Sampling,
    pub(super) active: Active,
    pub(super) max_tokens: Option<Tokens>,
}

/// `inferenceConfig`; what it has no field for goes into `additional`, in the words of the model's maker.
pub(super) fn inference(
    drawn: Drawn<'_>,
    family: Family,
    model: Model,
    additional: &mut Map<String, Value>,
    lost: &mut Lost,
) -> Result<Map<String, Value>, Fault> {
    let Drawn { sampling, active, max_tokens } = drawn;
    let mut config = Map::new();
    config.extend(max_tokens.map(|cap| ("maxTokens".to_owned(), Value::from(cap.get()))));
    for (key, value) in claude::sampling(sampling, model, active, lost)? {
        let name = match key.as_str() {
            "top_p" => "topP",
            "stop_sequences" => "stopSequences",
            "top_k" => {
                top_k(value, family, additional, lost);
                continue;
            }
            other => other,
        };
        config.insert(name.to_owned(), value);
    }
    Ok(config)
}

fn top_k(value: Value, family: Family, additional: &mut Map<String, Value>, lost: &mut Lost) {
    match family {
        Family::Claude | Family::Mistral => additional.insert("top_k".to_owned(), value),
        Family::Cohere => additional.insert("k".to_owned(), value),
        Family::Nova | Family::NovaTwo => {
            additional.insert("inferenceConfig".to_owned(), json!({"topK": value}))
        }
        Family::GptOss | Family::Llama | Family::Writer | Family::Other => {
            lost.setting("top_k");
            None
        }
    };
}

/// What the call says about tools.
#[derive(Clone, Copy)]
pub(super) struct ToolsAsked<'a> {
    pub(super) tools: &'a [Tool],
    pub(super) choice: Option<&'a ToolChoice>,
    pub(super) parallel: Option<ParallelTools>,
    /// A format to be had by a tool, where the model knows no formats.
    pub(super) format: Option<&'a JsonSchema>,
    /// The functions that the conversation has called, which the API wants to know.
    pub(super) used: &'a [String],
    pub(super) active: Active,
    pub(super) origin: Dialect,
}

/// What is sent.
pub(super) struct ToolsSent {
    /// `toolConfig`.
    pub(super) config: Option<Value>,
}

/// Writes the tools, in their order, and the choice between them.
pub(super) fn tools(asked: ToolsAsked<'_>, family: Family, model: Model, lost: &mut Lost) -> ToolsSent {
    let ToolsAsked { tools, choice, parallel, format, used, active, origin } = asked;
    let forces = match (family.forces_tools(), model.forced_tools(), active) {
        (Support::Yes, Support::Yes, Active::No | Active::Adaptive) => Support::Yes,
        (Support::No, _, _) | (_, Support::No, _) | (_, _, Active::Budget) => Support::No,
    };
    let only = match choice {
        Some(ToolChoice::Allowed { names, required: _ }) => Some(names.as_slice()),
        Some(ToolChoice::Named(name)) if forces == Support::No => Some(std::slice::from_ref(name)),
        Some(ToolChoice::Named(_) | ToolChoice::Auto | ToolChoice::None | ToolChoice::Required) | None => {
            None
        }
    };
    // There is no choice of none, so none are offered, unless the conversation has called some.
    let withheld = choice == Some(&ToolChoice::None) && used.is_empty();
    let mut sent = Vec::with_capacity(tools.len());
    for (at, tool) in tools.iter().enumerate().filter(|_| !withheld) {
        if is_allowed(tool, only) {
            sent.extend(tool_values(tool, &format!("tools[{at}]"), origin, family.strict_tools(model), lost));
        }
    }
    let mut chosen = choice.and_then(|choice| choice_value(choice, forces, Support::from(!withheld), lost));
    if let Some(format) = format {
        let either = if sent.is_empty() { json!({"tool": {"name": JSON_TOOL}}) } else { json!({"any": {}}) };
        chosen = (forces == Support::Yes).then_some(either);
        sent.push(json_tool(format));
    }
    if sent.is_empty() {
        sent.extend(used.iter().map(|name| spec(name, None, None)));
        chosen = None;
    }
    if parallel == Some(ParallelTools::Forbidden) && !tools.is_empty() {
        lost.setting("parallel_tool_calls");
    }
    if sent.is_empty() {
        return ToolsSent { config: None };
    }
    let mut config = Map::new();
    config.insert("tools".to_owned(), Value::Array(sent));
    config.extend(chosen.map(|choice| ("toolChoice".to_owned(), choice)));
    ToolsSent { config: Some(Value::Object(config)) }
}

fn is_allowed(tool: &Tool, names: Option<&[String]>) -> bool {
    let Some(names) = names else { return true };
    match tool {
        Tool::Function(function) => names.contains(&function.name),
        Tool::Hosted(_) => false,
    }
}

fn choice_value(choice: &ToolChoice, forces: Support, offered: Support, lost: &mut Lost) -> Option<Value> {
    match choice {
        ToolChoice::Auto | ToolChoice::Allowed { required: false, names: _ } => None,
        ToolChoice::None => {
            if offered == Support::Yes {
                lost.setting("tool_choice");
            }
            None
        }
        ToolChoice::Required | ToolChoice::Allowed { required: true, names: _ } if forces == Support::Yes => {
            Some(json!({"any": {}}))
        }
        ToolChoice::Named(name) if forces == Support::Yes => Some(json!({"tool": {"name": name}})),
        ToolChoice::Required | ToolChoice::Named(_) | ToolChoice::Allowed { required: true, names: _ } => {
            lost.setting("tool_choice");
            None
        }
    }
}

fn tool_values(tool: &Tool, path: &str, origin: Dialect, strict: Support, lost: &mut Lost) -> Vec<Value> {
    match tool {
        Tool::Function(function) => function_values(function, path, origin, strict, lost),
        Tool::Hosted(Opaque { origin: Dialect::Bedrock, value }) => vec![value.clone()],
        Tool::Hosted(Opaque {
            origin:
                Dialect::OpenAi
                | Dialect::OpenAiResponses
                | Dialect::Anthropic
                | Dialect::Gemini
                | Dialect::Cohere
                | Dialect::Ollama,
            ..
        }) => {
            lost.name(path);
            Vec::new()
        }
    }
}

fn function_values(
    tool: &ToolFunction,
    path: &str,
    origin: Dialect,
    strict_known: Support,
    lost: &mut Lost,
) -> Vec<Value> {
    let ToolFunction { name, description, parameters, strict, cache, extras } = tool;
    let mut value = spec(name, description.as_deref(), parameters.as_ref());
    let fields = value.get_mut("toolSpec").and_then(Value::as_object_mut);
    match (strict, fields) {
        (Some(strict), Some(fields)) if strict_known == Support::Yes => {
            fields.insert("strict".to_owned(), Value::Bool(*strict));
        }
        (Some(true), _) => lost.name(format!("{path}.function.strict")),
        (Some(false) | None, _) => {}
    }
    match (origin, value.get_mut("toolSpec").and_then(Value::as_object_mut)) {
        (Dialect::Bedrock, Some(fields)) => fields.extend(extras.clone()),
        (
            Dialect::OpenAi
            | Dialect::OpenAiResponses
            | Dialect::Anthropic
            | Dialect::Gemini
            | Dialect::Bedrock
            | Dialect::Cohere
            | Dialect::Ollama,
            _,
        ) => {
            extras.keys().for_each(|key| lost.name(format!("{path}.{key}")));
        }
    }
    std::iter::once(value).chain(cache.as_ref().map(cache_point)).collect()
}

/// The API refuses an empty description, and a schema that is none of an object.
fn spec(name: &str, description: Option<&str>, parameters: Option<&Value>) -> Value {
    let schema = match parameters {
        Some(Value::Object(schema)) if schema.contains_key("type") => Value::Object(schema.clone()),
        Some(Value::Object(schema)) => {
            let mut typed = Map::from_iter([("type".to_owned(), Value::from("object"))]);
            typed.extend(schema.clone());
            Value::Object(typed)
        }
        _ => json!({"type": "object", "properties": {}}),
    };
    let mut fields = Map::new();
    fields.insert("name".to_owned(), Value::from(name));
    let description = description.filter(|words| !words.trim().is_empty());
    fields.extend(description.map(|words| ("description".to_owned(), Value::from(words))));
    fields.insert("inputSchema".to_owned(), json!({ "json": schema }));
    json!({ "toolSpec": fields })
}

fn json_tool(format: &JsonSchema) -> Value {
    let JsonSchema { name: _, description, schema, strict: _ } = format;
    let words = description.as_deref().unwrap_or("Gives the final answer in the form asked for.");
    spec(JSON_TOOL, Some(words), Some(schema))
}
