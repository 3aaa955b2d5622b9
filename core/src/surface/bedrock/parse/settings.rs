//! Everything about a request that is not the conversation.

use crate::call::{
    CacheMark, Effort, Format, JsonSchema, Opaque, Reasoning, ReasoningMode, ReasoningShown, Sampling, Tool,
    ToolChoice, ToolFunction,
};
use crate::dialect::Dialect;
use crate::fault::Fault;
use crate::surface::fields::Fields;
use crate::units::Tokens;
use serde_json::{Number, Value};

/// `inferenceConfig`.
#[derive(Default)]
pub(super) struct Inference {
    pub(super) sampling: Sampling,
    pub(super) max_tokens: Option<u64>,
}

pub(super) fn inference(fields: &mut Fields) -> Result<Inference, Fault> {
    let Some(mut config) = fields.object("inferenceConfig")? else { return Ok(Inference::default()) };
    let sampling = Sampling {
        temperature: config.number("temperature")?,
        top_p: config.number("topP")?,
        stop: config.texts("stopSequences")?,
        ..Sampling::default()
    };
    let max_tokens = config.whole("maxTokens")?;
    put_rest(fields, "inferenceConfig", config);
    Ok(Inference { sampling, max_tokens })
}

/// What is left of an object goes back where it stood.
fn put_rest(fields: &mut Fields, key: &str, object: Fields) {
    if !object.is_empty() {
        fields.put(key, Value::Object(object.rest()));
    }
}

/// `toolConfig`.
#[derive(Default)]
pub(super) struct Tools {
    pub(super) tools: Vec<Tool>,
    pub(super) choice: Option<ToolChoice>,
}

pub(super) fn tools(fields: &mut Fields) -> Result<Tools, Fault> {
    let Some(mut config) = fields.object("toolConfig")? else { return Ok(Tools::default()) };
    let mut tools = Vec::new();
    for (at, value) in config.list("tools")?.into_iter().enumerate() {
        let mut entry = Fields::of(value.clone(), format!("toolConfig.tools[{at}]"))?;
        if let Some(spec) = entry.object("toolSpec")? {
            tools.push(Tool::Function(function(spec)?));
        } else if let Some(mark) = entry.object("cachePoint")? {
            // A mark covers the tool before it; before the first there is nothing to keep.
            if let Some(Tool::Function(function)) = tools.last_mut() {
                function.cache = Some(cache_mark(mark)?);
            }
        } else {
            tools.push(Tool::Hosted(Opaque { origin: Dialect::Bedrock, value }));
        }
    }
    let choice = match config.object("toolChoice")? {
        None => None,
        Some(mut choice) => match choice.object("tool")? {
            Some(mut named) => Some(ToolChoice::Named(named.needed_text("name")?)),
            None if choice.peek("any").is_some() => Some(ToolChoice::Required),
            None => Some(ToolChoice::Auto),
        },
    };
    put_rest(fields, "toolConfig", config);
    Ok(Tools { tools, choice })
}

fn function(mut spec: Fields) -> Result<ToolFunction, Fault> {
    Ok(ToolFunction {
        name: spec.needed_text("name")?,
        description: spec.text("description")?,
        parameters: spec.object("inputSchema")?.and_then(|mut schema| schema.value("json")),
        strict: spec.flag("strict")?,
        cache: None,
        extras: spec.rest(),
    })
}

/// `cachePoint`.
pub(super) fn cache_mark(mut mark: Fields) -> Result<CacheMark, Fault> {
    let ttl = mark.text("ttl")?;
    mark.drop("type");
    Ok(CacheMark { ttl, extras: mark.rest() })
}

/// What `additionalModelRequestFields` say that other dialects have a word for.
#[derive(Default)]
pub(super) struct Additional {
    pub(super) top_k: Option<Number>,
    pub(super) reasoning: Option<Reasoning>,
}

/// Anthropic's and OpenAI's words, and Nova's. What nobody else knows stays.
pub(super) fn additional(fields: &mut Fields) -> Result<Additional, Fault> {
    const FIELD: &str = "additionalModelRequestFields";
    let Some(mut more) = fields.object(FIELD)? else { return Ok(Additional::default()) };
    let top_k = match more.number("top_k")? {
        Some(number) => Some(number),
        None => match more.object("inferenceConfig")? {
            Some(mut config) => {
                let number = config.number("topK")?;
                put_rest(&mut more, "inferenceConfig", config);
                number
            }
            None => None,
        },
    };
    let thinking = match more.object("thinking")? {
        Some(thinking) => Some(thinking),
        None => more.object("reasoning_config")?,
    };
    let mut reasoning = thinking.map(self::thinking).transpose()?;
    let effort = match more.text("reasoning_effort")? {
        Some(word) => Some(word),
        None => match more.object("reasoningConfig")? {
            Some(mut config) => config.text("maxReasoningEffort")?,
            None => None,
        },
    };
    if let Some(effort) = effort.as_deref().and_then(Effort::parse) {
        reasoning.get_or_insert_default().effort = Some(effort);
    }
    put_rest(fields, FIELD, more);
    Ok(Additional { top_k, reasoning })
}

fn thinking(mut thinking: Fields) -> Result<Reasoning, Fault> {
    let mode = match thinking.text("type")?.as_deref() {
        Some("enabled") => ReasoningMode::On,
        Some("disabled") => ReasoningMode::Off,
        Some("adaptive") => ReasoningMode::Adaptive,
        Some(_) | None => ReasoningMode::Unsaid,
    };
    let shown = match thinking.text("display")?.as_deref() {
        Some("omitted") => Some(ReasoningShown::Hidden),
        Some("summarized") => Some(ReasoningShown::Summary),
        Some(_) | None => None,
    };
    let budget = thinking.whole("budget_tokens")?.map(Tokens);
    Ok(Reasoning { mode, effort: None, budget, shown })
}

/// `outputConfig`.
#[derive(Default)]
pub(super) struct Form {
    pub(super) format: Option<Format>,
    pub(super) effort: Option<Effort>,
}

pub(super) fn form(fields: &mut Fields) -> Result<Form, Fault> {
    let Some(mut config) = fields.object("outputConfig")? else { return Ok(Form::default()) };
    let effort = config.text("effort")?.as_deref().and_then(Effort::parse);
    let format = match config.object("textFormat")? {
        Some(text_format) => schema(text_format)?,
        None => None,
    };
    put_rest(fields, "outputConfig", config);
    Ok(Form { format, effort })
}

/// The schema is text here.
fn schema(mut text_format: Fields) -> Result<Option<Format>, Fault> {
    let Some(mut structure) = text_format.object("structure")? else { return Ok(None) };
    let Some(mut schema) = structure.object("jsonSchema")? else { return Ok(None) };
    let text = schema.needed_text("schema")?;
    let parsed = serde_json::from_str(&text).map_err(|_| {
        Fault::bad_field(schema.path("schema"), "a JSON schema as text", "a text that is no JSON")
    })?;
    let (name, description) = (schema.text("name")?, schema.text("description")?);
    Ok(Some(Format::JsonSchema(JsonSchema { name, description, schema: parsed, strict: Some(true) })))
}

/// `serviceTier.type`.
pub(super) fn service_tier(fields: &mut Fields) -> Result<Option<String>, Fault> {
    let Some(mut tier) = fields.object("serviceTier")? else { return Ok(None) };
    tier.text("type")
}
