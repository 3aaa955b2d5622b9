//! Builds the canonical call from a request that was inspected.
//!
//! Every field is taken out of its object once it is understood; what is left when all are taken is
//! what the canonical form has no word for, and goes into the extras.

mod contents;
mod generation;
mod part;
mod schema;
mod tools;

use crate::call::{Attribution, Call, Delivery, Extras, Part};
use crate::dialect::Dialect;
use crate::fault::{Code, Fault};
use crate::surface::RequestLine;
use crate::surface::fields::{Fields, noun};
use serde_json::{Map, Number, Value};

/// A chat call.
pub(super) fn generate(body: &[u8], line: &RequestLine, delivery: Delivery) -> Result<Call, Fault> {
    call(root(body)?, line, delivery)
}

/// The same, of its fields.
pub(super) fn call(mut fields: Fields, line: &RequestLine, delivery: Delivery) -> Result<Call, Fault> {
    let asked = generation::parse(fields.object("generationConfig")?.map(camel))?;
    let tools = tools::parse(list(&mut fields, "tools"))?;
    let chosen = tools::choice(fields.object("toolConfig")?.map(camel))?;
    let call = Call {
        model: super::inspect::model(line)?,
        system: contents::system(&mut fields)?,
        messages: contents::parse(list(&mut fields, "contents"))?,
        tools,
        tool_choice: chosen.choice,
        parallel_tools: None,
        sampling: asked.sampling,
        output: asked.output,
        reasoning: asked.reasoning,
        delivery,
        attribution: attribution(&mut fields)?,
        cache: None,
        origin: Dialect::Gemini,
        extras: Extras::new(),
    };
    if fields.peek("cachedContent").is_some() {
        let message = "cachedContent: what it holds is known to Google only, and this call goes elsewhere";
        return Err(Fault::new(Code::Unsupported, message).at("cachedContent"));
    }
    fields.drop("fallbacks");
    fields.drop("model");
    let mut extras = fields.rest();
    for (name, rest) in [("generationConfig", asked.rest), ("toolConfig", chosen.rest)] {
        if !rest.is_empty() {
            extras.insert(name.to_owned(), Value::Object(rest));
        }
    }
    Ok(Call { extras, ..call })
}

/// The fields of the body, in camelCase.
pub(super) fn root(body: &[u8]) -> Result<Fields, Fault> {
    let body: Value = serde_json::from_slice(body)
        .map_err(|error| Fault::new(Code::BadJson, format!("the body is no JSON: {error}")))?;
    Ok(camel(Fields::of(body, "body")?.at_root()))
}

/// The parts of a content that nobody in particular says.
pub(super) fn content_parts(fields: &mut Fields, key: &str) -> Result<Vec<Part>, Fault> {
    contents::alone(fields, key)
}

fn attribution(fields: &mut Fields) -> Result<Attribution, Fault> {
    let tier = word(fields, "serviceTier")?.map(|tier| tier.to_ascii_lowercase());
    let tier = tier.filter(|tier| tier != "service_tier_unspecified" && tier != "unspecified");
    Ok(Attribution {
        // The other dialects' word for it.
        service_tier: tier.map(|tier| if tier == "standard" { "default".to_owned() } else { tier }),
        store: fields.flag("store")?,
        ..Attribution::default()
    })
}

/// The same fields in camelCase.
pub(super) fn camel(fields: Fields) -> Fields {
    if !fields.names().any(|name| name.contains('_')) {
        return fields;
    }
    fields.renamed(|key| {
        let key = if key.ends_with("esponseJsonSchema") || key.ends_with("esponse_json_schema") {
            key.strip_prefix('_').unwrap_or(key)
        } else {
            key
        };
        let mut pieces = key.split('_');
        let mut name = pieces.next().unwrap_or_default().to_owned();
        for piece in pieces {
            let mut letters = piece.chars();
            name.extend(letters.next().map(|first| first.to_ascii_uppercase()));
            name.push_str(letters.as_str());
        }
        name
    })
}

/// An object that stands in a list.
pub(super) fn item(value: Value, path: &str) -> Result<Fields, Fault> {
    Fields::of(value, path).map(camel)
}

/// A list, or what stands alone in its place.
pub(super) fn list(fields: &mut Fields, key: &str) -> Vec<Value> {
    match fields.value(key) {
        None => Vec::new(),
        Some(Value::Array(list)) => list,
        Some(alone) => vec![alone],
    }
}

fn texts(fields: &mut Fields, key: &str) -> Result<Vec<String>, Fault> {
    let list = list(fields, key).into_iter().map(|item| {
        let text = item.as_str().map(str::to_owned);
        text.ok_or_else(|| fields.wrong(key, "an array of strings", &item))
    });
    list.collect()
}

/// A number, also as a string.
fn number(fields: &mut Fields, key: &str) -> Result<Option<Number>, Fault> {
    match fields.value(key) {
        Some(Value::String(text)) => match text.parse::<Number>() {
            Ok(number) => Ok(Some(number)),
            Err(_) => Err(fields.wrong(key, "a number", &Value::String(text))),
        },
        Some(other) => {
            fields.put(key, other);
            fields.number(key)
        }
        None => Ok(None),
    }
}

/// A whole number of at least zero, also as a string.
pub(super) fn whole(fields: &mut Fields, key: &str) -> Result<Option<u64>, Fault> {
    if let Some(number) = number(fields, key)? {
        fields.put(key, Value::Number(number));
    }
    fields.whole(key)
}

/// One of a list of words, in capitals. Their numbers are not known here.
pub(super) fn word(fields: &mut Fields, key: &str) -> Result<Option<String>, Fault> {
    let Some(value) = fields.value(key) else { return Ok(None) };
    match value.as_str() {
        Some(word) => Ok(Some(word.to_ascii_uppercase())),
        None => Err(fields.wrong(key, "a word", &value)),
    }
}

/// A field that must be one of these.
fn unknown_word(path: String, expected: &str, found: &str) -> Fault {
    // A word may be anything a client has put there; a long one is no word.
    let known = found.len() <= 40 && found.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
    Fault::bad_field(path, expected, if known { found } else { "something else" })
}

/// A value that must be an object.
fn object(value: Value, path: &str) -> Result<Map<String, Value>, Fault> {
    let Value::Object(object) = value else {
        return Err(Fault::bad_field(path, "an object", noun(&value)));
    };
    Ok(object)
}

#[cfg(test)]
mod tests;
