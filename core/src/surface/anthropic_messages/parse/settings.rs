//! Everything about a request that is not the conversation.

use crate::call::{
    Effort, Format, JsonSchema, Opaque, ParallelTools, Reasoning, ReasoningMode, ReasoningShown, Tool,
    ToolChoice, ToolFunction,
};
use crate::dialect::Dialect;
use crate::fault::Fault;
use crate::surface::fields::Fields;
use crate::units::Tokens;
use serde_json::Value;

/// `tools`. One with a type of its own is the provider's to run or to describe.
pub(super) fn tools(fields: &mut Fields) -> Result<Vec<Tool>, Fault> {
    let list = fields.list("tools")?.into_iter().enumerate();
    list.map(|(i, tool)| self::tool(tool, &format!("tools[{i}]"))).collect()
}

fn tool(value: Value, path: &str) -> Result<Tool, Fault> {
    let mut fields = Fields::of(value.clone(), path)?;
    if fields.text("type")?.is_some_and(|kind| kind != "custom") {
        return Ok(Tool::Hosted(Opaque { origin: Dialect::Anthropic, value }));
    }
    Ok(Tool::Function(ToolFunction {
        name: fields.needed_text("name")?,
        description: fields.text("description")?,
        parameters: fields.value("input_schema"),
        strict: fields.flag("strict")?,
        cache: fields.cache()?,
        extras: fields.rest(),
    }))
}

/// `tool_choice`, which says two things.
#[derive(Default)]
pub(super) struct Choice {
    pub(super) choice: Option<ToolChoice>,
    pub(super) parallel: Option<ParallelTools>,
}

pub(super) fn tool_choice(fields: &mut Fields) -> Result<Choice, Fault> {
    let Some(mut object) = fields.object("tool_choice")? else { return Ok(Choice::default()) };
    let choice = match object.needed_text("type")?.as_str() {
        "auto" => ToolChoice::Auto,
        "any" => ToolChoice::Required,
        "none" => ToolChoice::None,
        "tool" => ToolChoice::Named(object.needed_text("name")?),
        _ => return Err(Fault::bad_field(object.path("type"), "auto, any, tool or none", "another word")),
    };
    let parallel = object.flag("disable_parallel_tool_use")?;
    put_rest(fields, "tool_choice", object);
    let parallel = parallel.map(|off| if off { ParallelTools::Forbidden } else { ParallelTools::Allowed });
    Ok(Choice { choice: Some(choice), parallel })
}

/// `output_config.format`, and the `output_format` it replaced.
pub(super) fn format(fields: &mut Fields) -> Result<Option<Format>, Fault> {
    if let Some(mut older) = fields.object("output_format")? {
        let format = schema(&mut older)?;
        put_rest(fields, "output_format", older);
        return Ok(Some(format));
    }
    let Some(mut config) = fields.object("output_config")? else { return Ok(None) };
    let format = match config.object("format")? {
        None => None,
        Some(mut format) => {
            let read = schema(&mut format)?;
            put_rest(&mut config, "format", format);
            Some(read)
        }
    };
    put_rest(fields, "output_config", config);
    Ok(format)
}

/// Puts back what was not understood of an object.
fn put_rest(fields: &mut Fields, key: &str, object: Fields) {
    let rest = object.rest();
    if !rest.is_empty() {
        fields.put(key, Value::Object(rest));
    }
}

fn schema(format: &mut Fields) -> Result<Format, Fault> {
    if format.needed_text("type")? != "json_schema" {
        return Err(Fault::bad_field(format.path("type"), "json_schema", "another word"));
    }
    let path = format.path("schema");
    let schema = format.value("schema").ok_or_else(|| Fault::missing_field(path, "a JSON schema"))?;
    let name = format.text("name")?;
    Ok(Format::JsonSchema(JsonSchema { name, description: None, schema, strict: Some(true) }))
}

/// How much to think: `thinking` and `output_config.effort`.
pub(super) fn reasoning(fields: &mut Fields) -> Result<Option<Reasoning>, Fault> {
    let mut all = Reasoning { effort: effort(fields)?, ..Reasoning::default() };
    if let Some(mut thinking) = fields.object("thinking")? {
        self::thinking(&mut thinking, &mut all)?;
        put_rest(fields, "thinking", thinking);
    }
    Ok((all != Reasoning::default()).then_some(all))
}

fn effort(fields: &mut Fields) -> Result<Option<Effort>, Fault> {
    let Some(mut config) = fields.object("output_config")? else { return Ok(None) };
    let word = config.text("effort")?;
    let expected = "low, medium, high, xhigh or max";
    let wrong = || Fault::bad_field(config.path("effort"), expected, "another word");
    let effort = word.map(|word| Effort::parse(&word).ok_or_else(wrong)).transpose()?;
    put_rest(fields, "output_config", config);
    Ok(effort)
}

fn thinking(thinking: &mut Fields, all: &mut Reasoning) -> Result<(), Fault> {
    let budget = thinking.whole("budget_tokens")?.map(Tokens);
    let display = thinking.text("display")?;
    all.mode = match thinking.needed_text("type")?.as_str() {
        "enabled" => ReasoningMode::On,
        "disabled" => ReasoningMode::Off,
        "adaptive" => ReasoningMode::Adaptive,
        // Others cannot be told when to think.
        kind @ "between_tools" => {
            thinking.put("type", kind.into());
            ReasoningMode::Adaptive
        }
        _ => {
            let expected = "enabled, disabled, adaptive or between_tools";
            return Err(Fault::bad_field(thinking.path("type"), expected, "another word"));
        }
    };
    all.shown = match (display.as_deref(), all.mode) {
        (Some("summarized"), _) => Some(ReasoningShown::Summary),
        (Some("omitted"), _) => Some(ReasoningShown::Hidden),
        (Some(_), _) => {
            let expected = "summarized or omitted";
            return Err(Fault::bad_field(thinking.path("display"), expected, "another word"));
        }
        // Whoever asks for thinking by this field expects to see it.
        (None, ReasoningMode::On | ReasoningMode::Adaptive) => Some(ReasoningShown::Summary),
        (None, ReasoningMode::Off | ReasoningMode::Unsaid) => None,
    };
    all.budget = budget;
    Ok(())
}

/// `auto` is what is done without the field.
pub(super) fn service_tier(fields: &mut Fields) -> Result<Option<String>, Fault> {
    match fields.text("service_tier")?.as_deref() {
        None | Some("auto") => Ok(None),
        Some("standard_only") => Ok(Some("default".to_owned())),
        Some(_) => Err(Fault::bad_field("service_tier", "auto or standard_only", "another word")),
    }
}
