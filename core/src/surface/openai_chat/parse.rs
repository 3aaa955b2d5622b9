//! Builds the canonical call from a chat request.
//!
//! Every field is taken out of its object once it is understood; what is left when all are taken is
//! what the canonical form has no word for, and goes into the extras.

mod content;
mod messages;
mod settings;

use crate::call::{Attribution, Call, Delivery, Output, Sampling, UsageChunk};
use crate::dialect::Dialect;
use crate::fault::{Code, Fault};
use crate::surface::fields::Fields;
use crate::units::Tokens;
use serde_json::Value;

/// See [`crate::surface::Surface::parse`]. A body that names no model has that of its path.
pub(super) fn parse(body: &[u8], path_model: Option<&str>) -> Result<Call, Fault> {
    read(json(body)?, path_model)
}

/// The body as a value.
pub(in crate::surface) fn json(body: &[u8]) -> Result<Value, Fault> {
    serde_json::from_slice(body)
        .map_err(|error| Fault::new(Code::BadJson, format!("the body is no JSON: {error}")))
}

/// The same of a body that is a value already.
pub(in crate::surface) fn read(body: Value, path_model: Option<&str>) -> Result<Call, Fault> {
    let mut fields = Fields::of(body, "body")?.at_root();
    let model = fields.text("model")?.or_else(|| path_model.map(str::to_owned));
    let model = model.ok_or_else(|| Fault::missing_field("model", "a string"))?;
    let messages = messages::parse(fields.list("messages")?)?;
    let (tool_choice, parallel_tools) =
        (settings::tool_choice(&mut fields)?, settings::parallel(&mut fields)?);
    let call = Call {
        model,
        system: Vec::new(),
        messages,
        tools: settings::tools(&mut fields)?,
        tool_choice,
        parallel_tools,
        sampling: sampling(&mut fields)?,
        output: output(&mut fields)?,
        reasoning: settings::reasoning(&mut fields)?,
        delivery: delivery(&mut fields)?,
        attribution: attribution(&mut fields)?,
        cache: fields.cache()?,
        origin: Dialect::OpenAi,
        extras: Default::default(),
    };
    fields.drop("fallbacks");
    Ok(Call { extras: fields.rest(), ..call })
}

fn sampling(fields: &mut Fields) -> Result<Sampling, Fault> {
    Ok(Sampling {
        temperature: fields.number("temperature")?,
        top_p: fields.number("top_p")?,
        top_k: fields.number("top_k")?,
        // Mistral's word for it.
        seed: fields.number("seed")?.or(fields.number("random_seed")?),
        presence_penalty: fields.number("presence_penalty")?,
        frequency_penalty: fields.number("frequency_penalty")?,
        logit_bias: fields.value("logit_bias"),
        stop: settings::stop(fields)?,
        n: settings::n(fields)?,
        logprobs: settings::logprobs(fields)?,
    })
}

fn output(fields: &mut Fields) -> Result<Output, Fault> {
    let (newer, older) = (fields.whole("max_completion_tokens")?, fields.whole("max_tokens")?);
    Ok(Output {
        max_tokens: newer.or(older).map(Tokens),
        format: settings::format(fields)?,
        modalities: fields.texts("modalities")?.into_iter().map(|word| word.to_ascii_lowercase()).collect(),
        audio: fields.value("audio"),
        verbosity: fields.text("verbosity")?,
        prediction: fields.value("prediction"),
    })
}

fn delivery(fields: &mut Fields) -> Result<Delivery, Fault> {
    let streamed = fields.flag("stream")?.unwrap_or(false);
    let options = fields.value("stream_options");
    let wanted =
        options.as_ref().and_then(|options| options.get("include_usage")) == Some(&Value::Bool(true));
    // Further options stay for a provider of this dialect.
    if let Some(Value::Object(mut more)) = options {
        more.shift_remove("include_usage");
        more.retain(|_, value| !value.is_null());
        if !more.is_empty() {
            fields.put("stream_options", Value::Object(more));
        }
    }
    let usage = if wanted { UsageChunk::Wanted } else { UsageChunk::Unwanted };
    Ok(if streamed { Delivery::Stream(usage) } else { Delivery::Whole })
}

fn attribution(fields: &mut Fields) -> Result<Attribution, Fault> {
    Ok(Attribution {
        user: fields.text("user")?,
        safety_identifier: fields.text("safety_identifier")?,
        metadata: fields.value("metadata"),
        service_tier: fields.text("service_tier")?,
        store: fields.flag("store")?,
        prompt_cache_key: fields.text("prompt_cache_key")?,
    })
}

#[cfg(test)]
mod tests;
