//! The call as the body of a request.

use super::family::{Family, Schemas};
use super::settings::{self, ToolsAsked, ToolsSent};
use super::turns::{self, Conversation};
use crate::call::{Attribution, Call, Delivery, Extras, Format, JsonSchema, Output};
use crate::dialect::Dialect;
use crate::fault::Fault;
use crate::json::write;
use crate::provider::anthropic::JSON_TOOL;
use crate::provider::anthropic::lost::Lost;
use crate::provider::anthropic::model::Model;
use crate::provider::anthropic::schema::closed;
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
        delivery: Delivery::Whole | Delivery::Stream(_),
        attribution,
        cache,
        origin,
        extras,
    } = call;
    let origin = *origin;
    let (family, model) = (Family::of(model_name), Model::of(model_name));
    let mut lost = Lost::of(origin);
    let said = turns::Said { system, messages, origin };
    let Conversation { mut system, messages, tail, tools_used } = turns::write(said, family, &mut lost)?;
    let asked = settings::ThinkingAsked { reasoning: reasoning.as_ref(), output, origin, tail };
    let thinking = settings::thinking(asked, family, model, &mut lost);
    let answer = answer(output, family.schemas(model), &mut lost);
    system.extend(answer.instruction.map(|text| json!({"text": text})));
    let asked = ToolsAsked {
        tools,
        choice: tool_choice.as_ref(),
        parallel: *parallel_tools,
        format: answer.by_tool,
        used: &tools_used,
        active: thinking.active,
        origin,
    };
    let ToolsSent { config } = settings::tools(asked, family, model, &mut lost);
    let mut additional = thinking.additional;
    let drawn = settings::Drawn { sampling, active: thinking.active, max_tokens: thinking.max_tokens };
    let inference = settings::inference(drawn, family, model, &mut additional, &mut lost)?;
    if cache.is_some() {
        lost.name("cache_control");
    }

    let mut body = Map::new();
    put(&mut body, "system", list(system));
    put(&mut body, "messages", list(messages));
    put(&mut body, "toolConfig", config);
    put(&mut body, "inferenceConfig", object(inference));
    put(&mut body, "additionalModelRequestFields", object(additional));
    put(&mut body, "outputConfig", output_config(thinking.effort, answer.format));
    attribute(&mut body, attribution, &mut lost);
    add_extras(&mut body, extras, origin, &mut lost);
    Ok(Written { body: write::object(&body), lost: lost.into_names() })
}

fn put(body: &mut Map<String, Value>, key: &str, value: Option<Value>) {
    body.extend(value.map(|value| (key.to_owned(), value)));
}

fn list(values: Vec<Value>) -> Option<Value> {
    (!values.is_empty()).then_some(Value::Array(values))
}

fn object(fields: Map<String, Value>) -> Option<Value> {
    (!fields.is_empty()).then_some(Value::Object(fields))
}

fn output_config(effort: Option<&str>, format: Option<Value>) -> Option<Value> {
    let mut config = Map::new();
    put(&mut config, "effort", effort.map(Value::from));
    put(&mut config, "textFormat", format);
    object(config)
}

/// How the answer's form is asked for.
#[derive(Debug, Default)]
struct Answer<'a> {
    /// `outputConfig.textFormat`.
    format: Option<Value>,
    /// By a tool whose input is the answer.
    by_tool: Option<&'a JsonSchema>,
    /// In words, at the end of the system text.
    instruction: Option<String>,
}

fn answer<'a>(output: &'a Output, schemas: Schemas, lost: &mut Lost) -> Answer<'a> {
    let Output { max_tokens: _, format, modalities, audio, verbosity, prediction } = output;
    let dropped = [
        ("modalities", modalities.iter().any(|modality| modality != "text")),
        ("audio", audio.is_some()),
        ("verbosity", verbosity.is_some()),
        ("prediction", prediction.is_some()),
    ];
    dropped.iter().filter(|(_, asked)| *asked).for_each(|(name, _)| lost.setting(name));
    match (format, schemas) {
        (None | Some(Format::Text), _) => Answer::default(),
        (Some(Format::JsonObject), _) => Answer {
            instruction: Some("Answer with one valid JSON object and nothing else.".to_owned()),
            ..Answer::default()
        },
        (Some(Format::JsonSchema(schema)), Schemas::Native) => {
            Answer { format: Some(text_format(schema)), ..Answer::default() }
        }
        (Some(Format::JsonSchema(schema)), Schemas::ByTool) => Answer {
            by_tool: Some(schema),
            // Not every model can be made to use a tool, so it is asked for.
            instruction: Some(format!("Give your final answer by calling the tool {JSON_TOOL}.")),
            ..Answer::default()
        },
    }
}

/// The schema is text here, and every object in it has to be closed.
fn text_format(format: &JsonSchema) -> Value {
    let JsonSchema { name, description, schema, strict: _ } = format;
    let mut structure = Map::new();
    structure.insert("schema".to_owned(), Value::from(closed(schema).to_string()));
    put(&mut structure, "name", name.as_deref().map(Value::from));
    put(&mut structure, "description", description.as_deref().map(Value::from));
    json!({"type": "json_schema", "structure": {"jsonSchema": structure}})
}

fn attribute(body: &mut Map<String, Value>, attribution: &Attribution, lost: &mut Lost) {
    let Attribution { user, safety_identifier, metadata, service_tier, store, prompt_cache_key } =
        attribution;
    let labels = metadata.as_ref().and_then(Value::as_object);
    match (metadata, labels.filter(|labels| labels.values().all(Value::is_string))) {
        (_, Some(labels)) => put(body, "requestMetadata", object(labels.clone())),
        (Some(_), None) => lost.setting("metadata"),
        (None, None) => {}
    }
    match service_tier.as_deref() {
        None | Some("auto") => {}
        Some(tier @ ("default" | "flex" | "priority" | "reserved")) => {
            put(body, "serviceTier", Some(json!({"type": tier})));
        }
        Some("standard_only") => put(body, "serviceTier", Some(json!({"type": "default"}))),
        Some(_) => lost.setting("service_tier"),
    }
    let dropped = [
        ("user", user.is_some()),
        ("safety_identifier", safety_identifier.is_some()),
        // Nothing is ever stored here, so only the wish to store is lost.
        ("store", *store == Some(true)),
        ("prompt_cache_key", prompt_cache_key.is_some()),
    ];
    dropped.iter().filter(|(_, asked)| *asked).for_each(|(name, _)| lost.setting(name));
}

/// Fields of this dialect that the canonical call has no word for go back as they came; an object
/// that is also written here gets the fields that are missing.
fn add_extras(body: &mut Map<String, Value>, extras: &Extras, origin: Dialect, lost: &mut Lost) {
    for (key, value) in extras {
        match (origin, body.get_mut(key), value) {
            (
                Dialect::OpenAi
                | Dialect::OpenAiResponses
                | Dialect::Anthropic
                | Dialect::Gemini
                | Dialect::Cohere
                | Dialect::Ollama,
                _,
                _,
            ) => lost.name(key.as_str()),
            (Dialect::Bedrock, None, value) => {
                body.insert(key.clone(), value.clone());
            }
            (Dialect::Bedrock, Some(Value::Object(written)), Value::Object(more)) => {
                for (key, value) in more {
                    written.entry(key.as_str()).or_insert_with(|| value.clone());
                }
            }
            (Dialect::Bedrock, Some(_), _) => {}
        }
    }
}
