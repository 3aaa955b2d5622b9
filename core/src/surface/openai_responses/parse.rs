//! Builds the canonical call from a request.
//!
//! Every field is taken out of its object once it is understood; what is left when all are taken is
//! what the canonical form has no word for, and goes into the extras.

mod items;
mod settings;

use crate::call::{Attribution, Call, Delivery, Output, Part, Sampling, Text, UsageChunk};
use crate::dialect::Dialect;
use crate::fault::{Code, Fault};
use crate::surface::fields::Fields;
use crate::units::Tokens;
use serde_json::Value;

/// See [`crate::surface::Surface::parse`].
pub(super) fn parse(body: &[u8]) -> Result<Call, Fault> {
    let body: Value = serde_json::from_slice(body)
        .map_err(|error| Fault::new(Code::BadJson, format!("the body is no JSON: {error}")))?;
    let mut fields = Fields::of(body, "body")?.at_root();
    let model = fields.needed_text("model")?;
    let system = fields.text("instructions")?.filter(|text| !text.is_empty());
    let messages = items::parse(&mut fields)?;
    let logprobs = settings::logprobs(&mut fields)?;
    let call = Call {
        model,
        system: system.map(|text| Part::Text(Text::new(text))).into_iter().collect(),
        messages,
        tools: settings::tools(&mut fields)?,
        tool_choice: settings::tool_choice(&mut fields)?,
        parallel_tools: settings::parallel(&mut fields)?,
        sampling: Sampling {
            temperature: fields.number("temperature")?,
            top_p: fields.number("top_p")?,
            logprobs,
            ..Sampling::default()
        },
        output: output(&mut fields)?,
        reasoning: settings::reasoning(&mut fields)?,
        delivery: delivery(&mut fields)?,
        attribution: attribution(&mut fields)?,
        cache: None,
        origin: Dialect::OpenAiResponses,
        extras: Default::default(),
    };
    // What they say is what happens anyway.
    fields.drop_if("truncation", |value| value == "disabled");
    fields.drop_if("background", |value| *value == false);
    fields.drop("stream_options");
    fields.drop("fallbacks");
    Ok(Call { extras: fields.rest(), ..call })
}

fn output(fields: &mut Fields) -> Result<Output, Fault> {
    let max_tokens = fields.whole("max_output_tokens")?.map(Tokens);
    let mut output = Output { max_tokens, ..Output::default() };
    if let Some(mut text) = fields.object("text")? {
        output.verbosity = text.text("verbosity")?;
        output.format = settings::format(&mut text)?;
        let rest = text.rest();
        if !rest.is_empty() {
            fields.put("text", Value::Object(rest));
        }
    }
    Ok(output)
}

fn delivery(fields: &mut Fields) -> Result<Delivery, Fault> {
    let streamed = fields.flag("stream")?.unwrap_or(false);
    Ok(if streamed { Delivery::Stream(UsageChunk::Wanted) } else { Delivery::Whole })
}

/// `store` stays a field of this dialect's: to keep a response is something else than what chat calls
/// so. Not to keep it is what every other provider does.
fn attribution(fields: &mut Fields) -> Result<Attribution, Fault> {
    fields.drop_if("store", |value| *value == false);
    Ok(Attribution {
        user: fields.text("user")?,
        safety_identifier: fields.text("safety_identifier")?,
        metadata: fields
            .value("metadata")
            .filter(|labels| labels.as_object().is_none_or(|all| !all.is_empty())),
        service_tier: fields.text("service_tier")?,
        store: None,
        prompt_cache_key: fields.text("prompt_cache_key")?,
    })
}
