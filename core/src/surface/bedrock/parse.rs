//! Builds the canonical call from a request of Converse.
//!
//! Every field is taken out of its object once it is understood; what is left when all are taken is
//! what the canonical form has no word for, and goes into the extras.

mod content;
mod settings;

use super::inspect;
use crate::call::{Attribution, Call, Delivery, Message, Output, Part, Role};
use crate::dialect::Dialect;
use crate::fault::{Code, Fault};
use crate::surface::RequestLine;
use crate::surface::fields::Fields;
use crate::units::Tokens;
use content::Names;
use serde_json::Value;
use settings::{Additional, Inference, Tools};

/// See [`crate::surface::Surface::parse`].
pub(super) fn converse(body: &[u8], line: &RequestLine, delivery: Delivery) -> Result<Call, Fault> {
    let body: Value = serde_json::from_slice(body)
        .map_err(|error| Fault::new(Code::BadJson, format!("the body is no JSON: {error}")))?;
    let mut fields = Fields::of(body, "body")?.at_root();
    inspect::OWN_FIELDS.iter().for_each(|field| fields.drop(field));
    let mut names = Names::default();
    let system = system(&mut fields, &mut names)?;
    let messages = messages(fields.list("messages")?, &mut names)?;
    let Inference { mut sampling, max_tokens } = settings::inference(&mut fields)?;
    let Tools { tools, choice } = settings::tools(&mut fields)?;
    let Additional { top_k, mut reasoning } = settings::additional(&mut fields)?;
    sampling.top_k = top_k;
    let settings::Form { format, effort } = settings::form(&mut fields)?;
    if let Some(effort) = effort {
        reasoning.get_or_insert_default().effort = Some(effort);
    }
    let attribution = Attribution {
        metadata: fields.value("requestMetadata"),
        service_tier: settings::service_tier(&mut fields)?,
        ..Attribution::default()
    };
    Ok(Call {
        model: inspect::model(line)?,
        system,
        messages,
        tools,
        tool_choice: choice,
        parallel_tools: None,
        sampling,
        output: Output { max_tokens: max_tokens.map(Tokens), format, ..Output::default() },
        reasoning,
        delivery,
        attribution,
        cache: None,
        origin: Dialect::Bedrock,
        extras: fields.rest(),
    })
}

fn system(fields: &mut Fields, names: &mut Names) -> Result<Vec<Part>, Fault> {
    content::parts(fields.list("system")?, "system", names)
}

fn messages(list: Vec<Value>, names: &mut Names) -> Result<Vec<Message>, Fault> {
    let one = |(at, value): (usize, Value)| {
        let path = format!("messages[{at}]");
        let mut fields = Fields::of(value, &path)?;
        let role = match fields.needed_text("role")?.as_str() {
            "user" => Role::User,
            "assistant" => Role::Assistant,
            "system" => Role::System,
            _ => {
                return Err(Fault::bad_field(
                    fields.path("role"),
                    "user, assistant or system",
                    "another word",
                ));
            }
        };
        let parts = content::parts(fields.list("content")?, &format!("{path}.content"), names)?;
        Ok(Message { role, name: None, parts, extras: fields.rest() })
    };
    list.into_iter().enumerate().map(one).collect()
}
