//! The call as the body of a request.

use super::JSON_TOOL;
use super::blocks::cache_control;
use super::lost::Lost;
use super::model::{Model, Support};
use super::schema::closed;
use super::settings::{self, ToolsAsked, ToolsSent};
use super::thinking::{self, Active};
use super::turns::{self, Conversation};
use crate::call::{Attribution, Call, Delivery, Extras, Format, JsonSchema, Output};
use crate::dialect::Dialect;
use crate::fault::Fault;
use crate::json::write;
use bytes::Bytes;
use serde_json::{Map, Value, json};

/// A written call.
#[derive(Debug)]
pub(super) struct Written {
    /// JSON.
    pub(super) body: Bytes,
    /// What could not be carried.
    pub(super) lost: Vec<String>,
}

/// Writes the call for the model of this name.
pub(super) fn encode(call: &Call, model_name: &str) -> Result<Written, Fault> {
    let Call {
        model: _,
        system,
        messages,
        tools,
        tool_choice,
        parallel_tools,
        sampling,
        output,
        reasoning,
        delivery,
        attribution,
        cache,
        origin,
        extras,
    } = call;
    let origin = *origin;
    let model = Model::of(model_name);
    let mut lost = Lost::of(origin);
    let said = turns::Said { system, messages, origin };
    let Conversation { mut system, messages, tail } = turns::write(said, model, &mut lost)?;
    let asked =
        thinking::Asked { reasoning: reasoning.as_ref(), max_tokens: output.max_tokens, origin, tail };
    let plan = thinking::plan(asked, model, &mut lost);
    let answer = answer(output, model, plan.active, &mut lost);
    system.extend(answer.instruction.map(|text| json!({"type": "text", "text": text})));
    let asked = ToolsAsked {
        tools,
        choice: tool_choice.as_ref(),
        parallel: *parallel_tools,
        format: answer.by_tool,
        origin,
    };
    let ToolsSent { tools, choice } = settings::tools(asked, model, plan.active, &mut lost);
    let sampling = settings::sampling(sampling, model, plan.active, &mut lost)?;

    let mut body = Map::new();
    put(&mut body, "model", Some(Value::from(model_name)));
    put(&mut body, "max_tokens", Some(Value::from(plan.max_tokens)));
    put(&mut body, "system", list(system));
    put(&mut body, "messages", list(messages));
    put(&mut body, "tools", list(tools));
    put(&mut body, "tool_choice", choice);
    put(&mut body, "thinking", plan.thinking);
    put(&mut body, "output_config", output_config(plan.effort, answer.format));
    body.extend(sampling);
    attribute(&mut body, attribution, origin, &mut lost);
    put(&mut body, "cache_control", cache.as_ref().map(cache_control));
    put(&mut body, "stream", matches!(delivery, Delivery::Stream(_)).then_some(Value::Bool(true)));
    add_extras(&mut body, extras, origin, &mut lost);
    Ok(Written { body: write::object(&body), lost: lost.into_names() })
}

fn put(body: &mut Map<String, Value>, key: &str, value: Option<Value>) {
    body.extend(value.map(|value| (key.to_owned(), value)));
}

fn list(values: Vec<Value>) -> Option<Value> {
    (!values.is_empty()).then_some(Value::Array(values))
}

fn output_config(effort: Option<&str>, format: Option<Value>) -> Option<Value> {
    let mut config = Map::new();
    put(&mut config, "effort", effort.map(Value::from));
    put(&mut config, "format", format);
    (!config.is_empty()).then_some(Value::Object(config))
}

/// How the answer's form is asked for.
#[derive(Debug, Default)]
struct Answer<'a> {
    /// `output_config.format`.
    format: Option<Value>,
    /// By a tool whose input is the answer.
    by_tool: Option<&'a JsonSchema>,
    /// In words, at the end of the system text.
    instruction: Option<String>,
}

fn answer<'a>(output: &'a Output, model: Model, active: Active, lost: &mut Lost) -> Answer<'a> {
    let Output { max_tokens: _, format, modalities, audio, verbosity, prediction } = output;
    let dropped = [
        ("modalities", modalities.iter().any(|modality| modality != "text")),
        ("audio", audio.is_some()),
        ("verbosity", verbosity.is_some()),
        ("prediction", prediction.is_some()),
    ];
    dropped.iter().filter(|(_, asked)| *asked).for_each(|(name, _)| lost.setting(name));
    match format {
        None | Some(Format::Text) => Answer::default(),
        Some(Format::JsonObject) => Answer {
            instruction: Some("Answer with one valid JSON object and nothing else.".to_owned()),
            ..Answer::default()
        },
        Some(Format::JsonSchema(schema)) => match model.schemas() {
            Support::Yes => Answer { format: Some(format_value(schema)), ..Answer::default() },
            Support::No => Answer {
                by_tool: Some(schema),
                // A tool cannot be forced on a model that thinks, so it is asked for.
                instruction: (active == Active::Budget)
                    .then(|| format!("Give your final answer by calling the tool {JSON_TOOL}.")),
                ..Answer::default()
            },
        },
    }
}

fn format_value(format: &JsonSchema) -> Value {
    let JsonSchema { name: _, description, schema, strict: _ } = format;
    let mut schema = closed(schema);
    if let (Some(words), Some(schema)) = (description, schema.as_object_mut()) {
        schema.entry("description").or_insert_with(|| Value::from(words.as_str()));
    }
    json!({"type": "json_schema", "schema": schema})
}

fn attribute(body: &mut Map<String, Value>, attribution: &Attribution, origin: Dialect, lost: &mut Lost) {
    let Attribution { user, safety_identifier, metadata, service_tier, store, prompt_cache_key } =
        attribution;
    let mut sent = Map::new();
    match (origin, metadata) {
        (Dialect::Anthropic, Some(Value::Object(metadata))) => sent.extend(metadata.clone()),
        (_, Some(_)) => lost.setting("metadata"),
        (_, None) => {}
    }
    // Of the two names for the end user the newer one counts.
    if let Some(id) = safety_identifier.as_ref().or(user.as_ref()) {
        sent.insert("user_id".to_owned(), Value::from(id.as_str()));
    }
    if safety_identifier.is_some() && user.is_some() && user != safety_identifier {
        lost.setting("user");
    }
    put(body, "metadata", (!sent.is_empty()).then_some(Value::Object(sent)));
    put(
        body,
        "service_tier",
        service_tier.as_deref().and_then(|tier| tier_word(tier, lost)).map(Value::from),
    );
    // Nothing is ever stored here, so only the wish to store is lost.
    if *store == Some(true) {
        lost.setting("store");
    }
    if prompt_cache_key.is_some() {
        lost.setting("prompt_cache_key");
    }
}

fn tier_word(tier: &str, lost: &mut Lost) -> Option<&'static str> {
    match tier {
        "auto" => Some("auto"),
        "default" | "standard_only" => Some("standard_only"),
        _ => {
            lost.setting("service_tier");
            None
        }
    }
}

/// Fields of this dialect that the canonical call has no word for go back as they came; an object
/// that is also written here (`output_config`) gets the fields that are missing.
fn add_extras(body: &mut Map<String, Value>, extras: &Extras, origin: Dialect, lost: &mut Lost) {
    for (key, value) in extras {
        match (origin, body.get_mut(key), value) {
            (
                Dialect::OpenAi
                | Dialect::OpenAiResponses
                | Dialect::Bedrock
                | Dialect::Cohere
                | Dialect::Ollama
                | Dialect::Gemini,
                _,
                _,
            ) => lost.name(key.as_str()),
            (Dialect::Anthropic, None, value) => {
                body.insert(key.clone(), value.clone());
            }
            (Dialect::Anthropic, Some(Value::Object(written)), Value::Object(more)) => {
                for (key, value) in more {
                    written.entry(key.as_str()).or_insert_with(|| value.clone());
                }
            }
            (Dialect::Anthropic, Some(_), _) => {}
        }
    }
}
