//! The body of a call: everything beside the conversation and the tools.

use super::model::{Family, Model};
use super::{Lost, LostAt, add_extras, contents, object, schema, thinking, tools};
use crate::call::{
    Attribution, Call, Format, JsonSchema, LogProbs, Output, ParallelTools, Reasoning, Sampling, Tool,
};
use crate::fault::Fault;
use crate::provider::Target;
use serde_json::{Map, Value};

/// More are refused by the API.
const MOST_STOPS: usize = 5;

pub(super) fn body(call: &Call, target: &Target<'_>, lost: &mut Lost) -> Result<Map<String, Value>, Fault> {
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
        delivery: _,
        attribution,
        cache,
        origin,
        extras,
    } = call;
    let model = Model::of(target.model);
    let asked = contents::Asked { system, messages, origin: *origin };
    let said = contents::of(asked, model, target, lost)?;
    let offered = tools::of(tools, tool_choice.as_ref(), *origin, model, lost)?;
    match parallel_tools {
        Some(ParallelTools::Forbidden) => lost.add("parallel_tool_calls"),
        Some(ParallelTools::Allowed) | None => {}
    }
    let config = config(sampling, output, reasoning.as_ref(), tools, model, lost)?;
    let tier = attribution_lost(attribution, target, lost);
    lost.add_if(cache.as_ref(), "cache_control");
    let mut body = object([
        ("contents", Some(Value::Array(said.contents))),
        ("systemInstruction", said.system),
        ("tools", offered.tools),
        ("toolConfig", offered.config),
        ("generationConfig", (!config.is_empty()).then_some(Value::Object(config))),
        ("serviceTier", tier.map(Value::from)),
    ]);
    add_extras(&mut body, extras, *origin, &mut LostAt { lost, prefix: String::new() });
    Ok(body)
}

fn config(
    sampling: &Sampling,
    output: &Output,
    reasoning: Option<&Reasoning>,
    tools: &[Tool],
    model: Model,
    lost: &mut Lost,
) -> Result<Map<String, Value>, Fault> {
    let mut config = sampled(sampling, lost)?;
    let Output { max_tokens, format, modalities, audio, verbosity, prediction } = output;
    config.extend(object([("maxOutputTokens", max_tokens.map(|tokens| Value::from(tokens.get())))]));
    if let Some(format) = format {
        config.extend(formatted(format, tools, model, lost)?);
    }
    if !modalities.is_empty() {
        let modalities = modalities.iter().map(|word| Value::from(word.to_ascii_uppercase())).collect();
        config.insert("responseModalities".to_owned(), Value::Array(modalities));
    }
    if let Some(audio) = audio {
        config.extend(spoken(audio, lost));
    }
    lost.add_if(verbosity.as_ref(), "verbosity");
    lost.add_if(prediction.as_ref(), "prediction");
    config.extend(object([("thinkingConfig", thinking::config(reasoning, model, lost))]));
    Ok(config)
}

fn sampled(sampling: &Sampling, lost: &mut Lost) -> Result<Map<String, Value>, Fault> {
    let Sampling {
        temperature,
        top_p,
        top_k,
        seed,
        presence_penalty,
        frequency_penalty,
        logit_bias,
        stop,
        n,
        logprobs,
    } = sampling;
    if stop.len() > MOST_STOPS {
        return Err(Fault::bad_field("stop", format!("at most {MOST_STOPS} texts"), stop.len()));
    }
    lost.add_if(logit_bias.as_ref(), "logit_bias");
    // The API reads 32 bits; a larger seed would refuse the whole call.
    let (kept, too_large) = match seed {
        Some(seed) if seed.as_i64().is_some_and(|seed| i32::try_from(seed).is_ok()) => (Some(seed), None),
        seed => (None, seed.as_ref()),
    };
    lost.add_if(too_large, "seed");
    let number = |number: &serde_json::Number| Value::Number(number.clone());
    Ok(object([
        ("temperature", temperature.as_ref().map(number)),
        ("topP", top_p.as_ref().map(number)),
        ("topK", top_k.as_ref().map(number)),
        ("seed", kept.map(number)),
        ("presencePenalty", presence_penalty.as_ref().map(number)),
        ("frequencyPenalty", frequency_penalty.as_ref().map(number)),
        ("stopSequences", (!stop.is_empty()).then(|| stop.iter().map(String::as_str).collect())),
        ("candidateCount", n.filter(|n| *n != 1).map(Value::from)),
        ("responseLogprobs", logprobs.map(|_| Value::Bool(true))),
        ("logprobs", logprobs.and_then(|LogProbs { top }| top).filter(|top| *top > 0).map(Value::from)),
    ]))
}

fn formatted(
    format: &Format,
    tools: &[Tool],
    model: Model,
    lost: &mut Lost,
) -> Result<Map<String, Value>, Fault> {
    let json = || Some(Value::from("application/json"));
    match format {
        Format::Text => return Ok(Map::new()),
        Format::JsonObject | Format::JsonSchema(_) => {}
    }
    // Before Gemini 3 a JSON answer and function tools in one call are refused.
    let functions = tools.iter().any(|tool| matches!(tool, Tool::Function(_)));
    if functions && model.family < Family::V3 {
        lost.add("response_format");
        return Ok(Map::new());
    }
    match format {
        Format::Text => Ok(Map::new()),
        Format::JsonObject => Ok(object([("responseMimeType", json())])),
        // The API has no name for a schema, and always holds the answer to it.
        Format::JsonSchema(JsonSchema { name: _, description, schema, strict: _ }) => {
            let path = "response_format.json_schema.schema";
            let mut schema = schema.clone();
            if let (Some(schema), Some(words)) = (schema.as_object_mut(), description) {
                schema.entry("description").or_insert_with(|| Value::from(words.as_str()));
            }
            let (name, schema) = match model.family {
                Family::Early => ("responseSchema", schema::open_api(&schema, path, lost)?),
                Family::V2_5 | Family::V3 => ("responseJsonSchema", schema),
            };
            Ok(object([("responseMimeType", json()), (name, Some(schema))]))
        }
    }
}

/// OpenAI's `audio: {voice, format}`. The voice's name is taken as one of Google's; the format of
/// generated sound cannot be chosen.
fn spoken(audio: &Value, lost: &mut Lost) -> Map<String, Value> {
    if audio.get("format").and_then(Value::as_str).is_some_and(|format| format != "pcm16") {
        lost.add("audio.format");
    }
    let Some(voice) = audio.get("voice").and_then(Value::as_str) else {
        lost.add_if(audio.get("voice"), "audio.voice");
        return Map::new();
    };
    let voice = serde_json::json!({"voiceConfig": {"prebuiltVoiceConfig": {"voiceName": voice}}});
    object([("speechConfig", Some(voice))])
}

/// Everything here but the tier has no place in a call.
fn attribution_lost(attribution: &Attribution, target: &Target<'_>, lost: &mut Lost) -> Option<&'static str> {
    let Attribution { user, safety_identifier, metadata, service_tier, store, prompt_cache_key } =
        attribution;
    lost.add_if(user.as_ref(), "user");
    lost.add_if(safety_identifier.as_ref(), "safety_identifier");
    lost.add_if(metadata.as_ref(), "metadata");
    // Nothing is ever stored, so only a wish to store is lost.
    lost.add_if(store.as_ref().filter(|store| **store), "store");
    lost.add_if(prompt_cache_key.as_ref(), "prompt_cache_key");
    // On Vertex the tier is a header and part of a contract.
    let vertex = super::media::is_vertex(target);
    match service_tier.as_deref() {
        None | Some("auto") => None,
        Some("default" | "standard") => (!vertex).then_some("standard"),
        Some("flex") if !vertex => Some("flex"),
        Some("priority") if !vertex => Some("priority"),
        Some(_) => {
            lost.add("service_tier");
            None
        }
    }
}
