//! Everything about a request that is not the conversation.

use crate::call::{
    Effort, Format, JsonSchema, LogProbs, Opaque, ParallelTools, Reasoning, ReasoningMode, ReasoningShown,
    Tool, ToolChoice, ToolFunction,
};
use crate::dialect::Dialect;
use crate::fault::Fault;
use crate::surface::fields::Fields;
use serde_json::Value;

/// What asks for log probabilities in `include`.
const LOGPROBS: &str = "message.output_text.logprobs";
/// What asks for reasoning that can be sent back. It always is.
const ENCRYPTED: &str = "reasoning.encrypted_content";

pub(super) fn tools(fields: &mut Fields) -> Result<Vec<Tool>, Fault> {
    let mut tools = Vec::new();
    for (i, tool) in fields.list("tools")?.into_iter().enumerate() {
        if tool.get("type").is_none_or(|kind| kind != "function") {
            tools.push(Tool::Hosted(Opaque { origin: Dialect::OpenAiResponses, value: tool }));
            continue;
        }
        let mut tool = Fields::of(tool, format!("tools[{i}]"))?;
        tool.drop("type");
        tools.push(Tool::Function(ToolFunction {
            name: tool.needed_text("name")?,
            description: tool.text("description")?,
            parameters: tool.value("parameters"),
            strict: tool.flag("strict")?,
            cache: None,
            extras: tool.rest(),
        }));
    }
    Ok(tools)
}

pub(super) fn tool_choice(fields: &mut Fields) -> Result<Option<ToolChoice>, Fault> {
    let expected = "auto, none, required or an object that names a tool";
    Ok(match fields.value("tool_choice") {
        None => None,
        Some(Value::String(word)) => Some(match word.as_str() {
            "auto" => ToolChoice::Auto,
            "none" => ToolChoice::None,
            "required" => ToolChoice::Required,
            _ => return Err(Fault::bad_field(fields.path("tool_choice"), expected, "another word")),
        }),
        Some(object @ Value::Object(_)) => {
            let choice = chosen(&object);
            // A tool of the provider's: this dialect's alone.
            if choice.is_none() {
                fields.put("tool_choice", object);
            }
            choice
        }
        Some(other) => return Err(fields.wrong("tool_choice", expected, &other)),
    })
}

fn chosen(choice: &Value) -> Option<ToolChoice> {
    let name_of = |tool: &Value| Some(tool.get("name")?.as_str()?.to_owned());
    match choice.get("type")?.as_str()? {
        "function" => name_of(choice).map(ToolChoice::Named),
        "allowed_tools" => {
            let names = choice.get("tools")?.as_array()?.iter().map(name_of).collect::<Option<_>>()?;
            Some(ToolChoice::Allowed { required: choice.get("mode")?.as_str()? == "required", names })
        }
        _ => None,
    }
}

pub(super) fn parallel(fields: &mut Fields) -> Result<Option<ParallelTools>, Fault> {
    let allowed = fields.flag("parallel_tool_calls")?;
    Ok(allowed.map(|allowed| if allowed { ParallelTools::Allowed } else { ParallelTools::Forbidden }))
}

/// They are asked for by `include`; `top_logprobs` alone says nothing.
pub(super) fn logprobs(fields: &mut Fields) -> Result<Option<LogProbs>, Fault> {
    let top = fields.whole("top_logprobs")?.and_then(|top| u32::try_from(top).ok());
    let include = fields.texts("include")?;
    let wanted = include.iter().any(|word| word == LOGPROBS);
    let rest: Vec<_> = include.into_iter().filter(|word| word != LOGPROBS && word != ENCRYPTED).collect();
    if !rest.is_empty() {
        fields.put("include", rest.into());
    }
    Ok(wanted.then_some(LogProbs { top }))
}

/// `text.format`.
pub(super) fn format(text: &mut Fields) -> Result<Option<Format>, Fault> {
    let Some(mut format) = text.object("format")? else { return Ok(None) };
    let kind = format.needed_text("type")?;
    Ok(match kind.as_str() {
        "text" => Some(Format::Text),
        "json_object" => Some(Format::JsonObject),
        "json_schema" => {
            let schema = JsonSchema {
                name: format.text("name")?,
                description: format.text("description")?,
                schema: format.value("schema").unwrap_or_else(|| Value::Object(Default::default())),
                strict: format.flag("strict")?,
            };
            let rest = format.rest();
            if !rest.is_empty() {
                text.put("format", Value::Object(rest));
            }
            Some(Format::JsonSchema(schema))
        }
        // Grammars, and what is newer than this.
        _ => {
            format.put("type", Value::String(kind));
            text.put("format", Value::Object(format.rest()));
            None
        }
    })
}

pub(super) fn reasoning(fields: &mut Fields) -> Result<Option<Reasoning>, Fault> {
    let Some(mut object) = fields.object("reasoning")? else { return Ok(None) };
    let mut all = Reasoning::default();
    if let Some(word) = object.text("effort")? {
        match Effort::parse(&word) {
            Some(effort) => all.effort = Some(effort),
            // A provider's own word.
            None => object.put("effort", Value::String(word)),
        }
    }
    let summary = [object.text("summary")?, object.text("generate_summary")?].into_iter().flatten().next();
    all.shown = summary.map(|_| ReasoningShown::Summary);
    if all.effort == Some(Effort::None) {
        all.mode = ReasoningMode::Off;
    }
    let rest = object.rest();
    if !rest.is_empty() {
        fields.put("reasoning", Value::Object(rest));
    }
    Ok((all != Reasoning::default()).then_some(all))
}
