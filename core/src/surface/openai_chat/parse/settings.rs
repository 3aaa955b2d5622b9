//! Everything about a request that is not the conversation.

use crate::call::{
    Effort, Format, JsonSchema, LogProbs, Opaque, ParallelTools, Reasoning, ReasoningMode, ReasoningShown,
    Tool, ToolChoice, ToolFunction,
};
use crate::dialect::Dialect;
use crate::fault::Fault;
use crate::surface::fields::Fields;
use crate::units::Tokens;
use serde_json::Value;

/// `tools`, and the `functions` they replaced.
pub(super) fn tools(fields: &mut Fields) -> Result<Vec<Tool>, Fault> {
    let mut tools = Vec::new();
    for (i, tool) in fields.list("tools")?.into_iter().enumerate() {
        let kind = tool.get("type").and_then(Value::as_str);
        if kind.is_some_and(|kind| kind != "function") || (kind.is_none() && tool.get("function").is_none()) {
            tools.push(Tool::Hosted(Opaque { origin: Dialect::OpenAi, value: tool }));
            continue;
        }
        let mut outer = Fields::of(tool, format!("tools[{i}]"))?;
        outer.drop("type");
        let inner = outer
            .object("function")?
            .ok_or_else(|| Fault::missing_field(outer.path("function"), "an object"))?;
        let mut tool = function(inner)?;
        tool.cache = outer.cache()?.or(tool.cache);
        tool.extras.extend(outer.rest());
        tools.push(Tool::Function(tool));
    }
    for (i, legacy) in fields.list("functions")?.into_iter().enumerate() {
        tools.push(Tool::Function(function(Fields::of(legacy, format!("functions[{i}]"))?)?));
    }
    Ok(tools)
}

fn function(mut fields: Fields) -> Result<ToolFunction, Fault> {
    Ok(ToolFunction {
        name: fields.needed_text("name")?,
        description: fields.text("description")?,
        parameters: fields.value("parameters"),
        strict: fields.flag("strict")?,
        cache: fields.cache()?,
        extras: fields.rest(),
    })
}

/// `tool_choice`, or the `function_call` it replaced.
pub(super) fn tool_choice(fields: &mut Fields) -> Result<Option<ToolChoice>, Fault> {
    let legacy = fields.value("function_call");
    let key = if fields.peek("tool_choice").is_some() { "tool_choice" } else { "function_call" };
    let Some(choice) = fields.value("tool_choice").or(legacy) else { return Ok(None) };
    let expected = "auto, none, required or an object that names a function";
    let choice = match choice {
        Value::String(word) => match word.as_str() {
            "auto" => ToolChoice::Auto,
            "none" => ToolChoice::None,
            "required" | "any" => ToolChoice::Required,
            _ => return Err(Fault::bad_field(fields.path(key), expected, "another word")),
        },
        other @ Value::Object(_) => match chosen(&other) {
            Some(choice) => choice,
            // A hosted or custom tool: this dialect's alone.
            None if other.get("type").is_some_and(|kind| kind != "function") => {
                fields.put(key, other);
                return Ok(None);
            }
            None => return Err(Fault::bad_field(fields.path(key), expected, "an object without a name")),
        },
        other @ (Value::Null | Value::Bool(_) | Value::Number(_) | Value::Array(_)) => {
            return Err(fields.wrong(key, expected, &other));
        }
    };
    Ok(Some(choice))
}

fn chosen(choice: &Value) -> Option<ToolChoice> {
    let name_of = |tool: &Value| Some(tool.get("function").unwrap_or(tool).get("name")?.as_str()?.to_owned());
    match choice.get("type").and_then(Value::as_str) {
        Some("function") | None => name_of(choice).map(ToolChoice::Named),
        Some("allowed_tools") => {
            let allowed = choice.get("allowed_tools").unwrap_or(choice);
            let names = allowed.get("tools")?.as_array()?.iter().map(name_of).collect::<Option<_>>()?;
            Some(ToolChoice::Allowed { required: allowed.get("mode")?.as_str()? == "required", names })
        }
        Some(_) => None,
    }
}

pub(super) fn parallel(fields: &mut Fields) -> Result<Option<ParallelTools>, Fault> {
    let allowed = fields.flag("parallel_tool_calls")?;
    Ok(allowed.map(|allowed| if allowed { ParallelTools::Allowed } else { ParallelTools::Forbidden }))
}

pub(super) fn stop(fields: &mut Fields) -> Result<Vec<String>, Fault> {
    if fields.peek("stop").is_some_and(Value::is_string) {
        return Ok(fields.text("stop")?.into_iter().collect());
    }
    fields.texts("stop")
}

pub(super) fn n(fields: &mut Fields) -> Result<Option<u32>, Fault> {
    let Some(n) = fields.whole("n")? else { return Ok(None) };
    let n = u32::try_from(n).ok().filter(|n| *n > 0);
    n.map(Some).ok_or_else(|| Fault::bad_field("n", "a whole number of at least 1", "another number"))
}

pub(super) fn logprobs(fields: &mut Fields) -> Result<Option<LogProbs>, Fault> {
    let wanted = fields.flag("logprobs")?.unwrap_or(false);
    let top = fields.whole("top_logprobs")?.and_then(|top| u32::try_from(top).ok());
    // Some clients send `top_logprobs: 0` beside `logprobs: false`.
    Ok(wanted.then_some(LogProbs { top }))
}

pub(super) fn format(fields: &mut Fields) -> Result<Option<Format>, Fault> {
    let Some(mut format) = fields.object("response_format")? else { return Ok(None) };
    let kind = format.needed_text("type")?;
    match kind.as_str() {
        "text" => Ok(Some(Format::Text)),
        "json_object" => Ok(Some(Format::JsonObject)),
        "json_schema" => {
            let path = format.path("json_schema");
            let mut schema = format
                .object("json_schema")?
                .ok_or_else(|| Fault::missing_field(path, "an object with a schema"))?;
            Ok(Some(Format::JsonSchema(JsonSchema {
                name: schema.text("name")?,
                description: schema.text("description")?,
                schema: schema
                    .value("schema")
                    .or_else(|| schema.value("schema_definition"))
                    .unwrap_or_else(|| Value::Object(Default::default())),
                strict: schema.flag("strict")?,
            })))
        }
        // Grammars of vLLM, Fireworks and others.
        _ => {
            format.put("type", Value::String(kind));
            fields.put("response_format", Value::Object(format.rest()));
            Ok(None)
        }
    }
}

/// How much to think: `reasoning_effort`, OpenRouter's `reasoning`, or the `thinking` of DeepSeek, Z.ai
/// and Anthropic's clients.
pub(super) fn reasoning(fields: &mut Fields) -> Result<Option<Reasoning>, Fault> {
    let mut all = Reasoning::default();
    if let Some(word) = fields.text("reasoning_effort")? {
        match Effort::parse(&word) {
            Some(effort) => all.effort = Some(effort),
            // A provider's own word (Groq's `default`).
            None => fields.put("reasoning_effort", Value::String(word)),
        }
    }
    if fields.peek("reasoning").is_some_and(Value::is_object) {
        reasoning_object(fields, &mut all)?;
    }
    if fields.peek("thinking").is_some_and(Value::is_object) {
        thinking_switch(fields, &mut all)?;
    }
    if all.effort == Some(Effort::None) && all.mode == ReasoningMode::Unsaid {
        all.mode = ReasoningMode::Off;
    }
    Ok((all != Reasoning::default()).then_some(all))
}

fn reasoning_object(fields: &mut Fields, all: &mut Reasoning) -> Result<(), Fault> {
    let Some(mut object) = fields.object("reasoning")? else { return Ok(()) };
    if let Some(word) = object.text("effort")? {
        all.effort = Some(Effort::parse(&word).ok_or_else(|| {
            Fault::bad_field(object.path("effort"), "an effort such as medium", "another word")
        })?);
    }
    all.budget = object.whole("max_tokens")?.map(Tokens);
    match object.flag("enabled")? {
        Some(true) => all.mode = ReasoningMode::On,
        Some(false) => all.mode = ReasoningMode::Off,
        None => {}
    }
    if object.flag("exclude")? == Some(true) {
        all.shown = Some(ReasoningShown::Hidden);
    }
    let rest = object.rest();
    if !rest.is_empty() {
        fields.put("reasoning", Value::Object(rest));
    }
    Ok(())
}

fn thinking_switch(fields: &mut Fields, all: &mut Reasoning) -> Result<(), Fault> {
    let Some(mut switch) = fields.object("thinking")? else { return Ok(()) };
    match switch.text("type")?.as_deref() {
        Some("enabled") => all.mode = ReasoningMode::On,
        Some("disabled") => all.mode = ReasoningMode::Off,
        Some("adaptive" | "auto") => all.mode = ReasoningMode::Adaptive,
        Some(other) => switch.put("type", Value::String(other.to_owned())),
        None => {}
    }
    if let Some(budget) = switch.whole("budget_tokens")? {
        all.budget = Some(Tokens(budget));
    }
    let rest = switch.rest();
    if !rest.is_empty() {
        fields.put("thinking", Value::Object(rest));
    }
    Ok(())
}
