//! Builds the canonical call from a Messages request.
//!
//! Every field is taken out of its object once it is understood; what is left when all are taken is
//! what the canonical form has no word for, and goes into the extras.

mod content;
mod settings;

use crate::call::{Attribution, Call, Delivery, Message, Output, Part, Role, Sampling, Text, UsageChunk};
use crate::dialect::Dialect;
use crate::fault::{Code, Fault};
use crate::surface::fields::Fields;
use crate::units::Tokens;
use content::{Content, Names, Place};
use serde_json::Value;
use settings::Choice;

/// See [`crate::surface::Surface::parse`].
pub(super) fn parse(body: &[u8]) -> Result<Call, Fault> {
    let body: Value = serde_json::from_slice(body)
        .map_err(|error| Fault::new(Code::BadJson, format!("the body is no JSON: {error}")))?;
    let mut fields = Fields::of(body, "body")?.at_root();
    let model = fields.text("model")?.ok_or_else(|| Fault::missing_field("model", "a string"))?;
    let system = system(&mut fields)?;
    let messages = messages(fields.list("messages")?)?;
    let Choice { choice, parallel } = settings::tool_choice(&mut fields)?;
    let call = Call {
        model,
        system,
        messages,
        tools: settings::tools(&mut fields)?,
        tool_choice: choice,
        parallel_tools: parallel,
        sampling: Sampling {
            temperature: fields.number("temperature")?,
            top_p: fields.number("top_p")?,
            top_k: fields.number("top_k")?,
            stop: fields.texts("stop_sequences")?,
            ..Sampling::default()
        },
        output: Output {
            max_tokens: fields.whole("max_tokens")?.map(Tokens),
            format: settings::format(&mut fields)?,
            ..Output::default()
        },
        reasoning: settings::reasoning(&mut fields)?,
        delivery: match fields.flag("stream")? {
            Some(true) => Delivery::Stream(UsageChunk::Wanted),
            Some(false) | None => Delivery::Whole,
        },
        attribution: attribution(&mut fields)?,
        cache: fields.cache()?,
        origin: Dialect::Anthropic,
        extras: Default::default(),
    };
    // Names of models are the gateway's; Anthropic's field of this name holds something else.
    if fields
        .peek("fallbacks")
        .and_then(Value::as_array)
        .is_some_and(|list| list.iter().all(Value::is_string))
    {
        fields.drop("fallbacks");
    }
    Ok(Call { extras: fields.rest(), ..call })
}

fn attribution(fields: &mut Fields) -> Result<Attribution, Fault> {
    let mut attribution =
        Attribution { service_tier: settings::service_tier(fields)?, ..Attribution::default() };
    if let Some(mut metadata) = fields.object("metadata")? {
        attribution.user = metadata.text("user_id")?;
        let rest = metadata.rest();
        if !rest.is_empty() {
            fields.put("metadata", Value::Object(rest));
        }
    }
    Ok(attribution)
}

/// Text, or blocks of text.
fn system(fields: &mut Fields) -> Result<Vec<Part>, Fault> {
    let mut parts = Vec::new();
    match fields.value("system") {
        None => {}
        Some(Value::String(text)) => parts.push(Part::Text(Text::new(text))),
        Some(Value::Array(list)) => {
            for (j, block) in list.into_iter().enumerate() {
                let place = Place { path: format!("system[{j}]"), key: format!("system[{j}]") };
                let block = content::block(block, &place, &mut Names::default())?;
                parts.push(block.part);
                block.rest.into_iter().for_each(|(key, value)| fields.put(&key, value));
            }
        }
        Some(other) => return Err(fields.wrong("system", "a string or an array of text blocks", &other)),
    }
    Ok(parts)
}

fn messages(list: Vec<Value>) -> Result<Vec<Message>, Fault> {
    if list.is_empty() {
        return Err(Fault::missing_field("messages", "at least one message"));
    }
    let mut names = Names::default();
    list.into_iter().enumerate().map(|(i, value)| message(i, value, &mut names)).collect()
}

fn message(i: usize, value: Value, names: &mut Names) -> Result<Message, Fault> {
    let mut fields = Fields::of(value, format!("messages[{i}]"))?;
    let role = match fields.needed_text("role")?.as_str() {
        "user" => Role::User,
        "assistant" => Role::Assistant,
        "system" => Role::System,
        _ => return Err(Fault::bad_field(fields.path("role"), "user, assistant or system", "another word")),
    };
    let Content { parts, extras } = content::of_message(&mut fields, names)?;
    let mut rest = fields.rest();
    rest.extend(extras);
    Ok(Message { role, name: None, parts, extras: rest })
}
