//! What servers of OpenAI's dialect say when they fail, in all their shapes.

use crate::fault::{UpstreamClass, UpstreamFault};
use crate::float;
use crate::units::Millis;
use bytes::Bytes;
use http::HeaderMap;
use serde_json::{Map, Value};

/// Longer waits than this are a provider's mistake or a billing period, and tell nothing useful.
const LONGEST_WAIT: Millis = Millis::from_secs(24 * 60 * 60);

/// Reads an answer with an error status, or an error object inside a stream. A status in the object
/// counts where the transport's own says success.
pub(in crate::provider) fn read(status: u16, headers: &HeaderMap, body: &[u8]) -> UpstreamFault {
    let told = serde_json::from_slice(body).map_or_else(|_| Told::plain(body), Told::from_json);
    let status = if (200..300).contains(&status) { told.status.unwrap_or(status) } else { status };
    let class = classify(status, &told);
    let retry_after = match class {
        UpstreamClass::RateLimited | UpstreamClass::Overloaded | UpstreamClass::Server => {
            wait(headers, &told.message)
        }
        UpstreamClass::BadRequest
        | UpstreamClass::ContextLength
        | UpstreamClass::ContentFilter
        | UpstreamClass::Auth
        | UpstreamClass::Billing
        | UpstreamClass::Forbidden
        | UpstreamClass::NotFound
        | UpstreamClass::TooLarge
        | UpstreamClass::Timeout
        | UpstreamClass::Connection
        | UpstreamClass::Garbled => seconds_header(headers),
    };
    UpstreamFault {
        class,
        status,
        message: without_keys(told.message),
        code: told.code,
        kind: told.kind,
        param: told.param,
        retry_after,
        body: Bytes::copy_from_slice(body),
    }
}

/// Takes out what looks like a key, whole or masked: refusals of keys like to quote them.
fn without_keys(message: String) -> String {
    const BEGINNINGS: [&str; 8] = ["sk-", "gsk_", "xai-", "AIza", "hf_", "nvapi-", "csk-", "pplx-"];
    let looks_secret = |word: &str| {
        let bare = word.trim_start_matches(|c: char| !c.is_ascii_alphanumeric());
        word.contains("***") || (bare.len() > 12 && BEGINNINGS.iter().any(|start| bare.starts_with(start)))
    };
    if !message.split(char::is_whitespace).any(looks_secret) {
        return message;
    }
    let words = message.split(' ').map(|word| if looks_secret(word) { "[key]" } else { word });
    words.collect::<Vec<_>>().join(" ")
}

/// What an error body says, whatever its shape.
#[derive(Default)]
struct Told {
    message: String,
    code: Option<String>,
    kind: Option<String>,
    param: Option<String>,
    status: Option<u16>,
}

impl Told {
    /// No JSON: a proxy's page, or nothing. Its text helps nobody if it is a page.
    fn plain(body: &[u8]) -> Self {
        let text = String::from_utf8_lossy(body.get(..body.len().min(500)).unwrap_or_default());
        let message = match text.trim() {
            "" => "no error body".to_owned(),
            page if page.starts_with('<') => "an HTML page instead of an error".to_owned(),
            text => text.to_owned(),
        };
        Self { message, ..Self::default() }
    }

    /// `{error: {…}}`, `{error: "…"}`, `{detail: …}`, `{message: …}`, `[{error: …}]`.
    fn from_json(body: Value) -> Self {
        // Google's endpoint wraps its errors in a list.
        let body = match body {
            Value::Array(list) => list.into_iter().next().unwrap_or_default(),
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Object(_) => body,
        };
        let Value::Object(mut outer) = body else {
            return Self {
                message: body.as_str().unwrap_or("an error without words").to_owned(),
                ..Self::default()
            };
        };
        match outer.remove("error") {
            Some(Value::Object(inner)) => Self::from_fields(&inner),
            Some(Value::String(message)) => Self { message, ..Self::from_fields(&outer) },
            _ => Self::from_fields(&outer),
        }
    }

    fn from_fields(fields: &Map<String, Value>) -> Self {
        let code = word(fields, "code");
        let status = ["status_code", "status", "code"].iter().find_map(|key| {
            let value = fields.get(*key)?;
            let number = value.as_u64().or_else(|| value.as_str()?.parse().ok())?;
            u16::try_from(number).ok().filter(|status| (400..600).contains(status))
        });
        Self {
            message: message(fields).unwrap_or_else(|| "an error without words".to_owned()),
            code,
            kind: word(fields, "type").or_else(|| word(fields, "error_type")),
            param: word(fields, "param"),
            status,
        }
    }
}

fn message(fields: &Map<String, Value>) -> Option<String> {
    // OpenRouter wraps the words of the provider behind it.
    let inner = fields.get("metadata").and_then(|metadata| metadata.get("raw")).and_then(Value::as_str);
    let outer = ["message", "detail", "msg"].iter().find_map(|key| fields.get(*key))?;
    let outer = match outer {
        Value::String(text) => text.clone(),
        Value::Array(list) => list.iter().filter_map(complaint).collect::<Vec<_>>().join("; "),
        Value::Object(inner) => message(inner)?,
        Value::Null | Value::Bool(_) | Value::Number(_) => return None,
    };
    Some(inner.map_or_else(|| outer.clone(), |inner| format!("{outer}: {inner}")))
}

/// One of Mistral's and FastAPI's `{loc: […], msg}`.
fn complaint(item: &Value) -> Option<String> {
    let what = item.get("msg").or_else(|| item.get("message"))?.as_str()?;
    let at: Vec<String> =
        item.get("loc").and_then(Value::as_array).into_iter().flatten().map(plain).collect();
    Some(if at.is_empty() { what.to_owned() } else { format!("{}: {what}", at.join(".")) })
}

fn word(fields: &Map<String, Value>, key: &str) -> Option<String> {
    fields.get(key).filter(|value| value.is_string() || value.is_number()).map(plain)
}

fn plain(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

/// Wordings of prompts that are too long, of every vendor, lower case.
const TOO_LONG: &[&str] = &[
    "context_length_exceeded",
    "maximum context length",
    "max context length",
    "context length exceeded",
    "exceeds the context window",
    "exceed the context window",
    "context window exceed",
    "exceeds the available context size",
    "prompt is too long",
    "prompt too long",
    "input is too long",
    "input tokens exceed",
    "input token count",
    "too_many_prompt_tokens",
    "too_many_tokens",
    "too many tokens",
    "too large for model with",
    "exceeds the model's maximum",
    "maximum prompt length",
    "range of input length should be",
    "exceeded model token limit",
    "please reduce the length of the messages",
];

/// Wordings of accounts that are out of money.
const OUT_OF_MONEY: &[&str] = &[
    "insufficient_quota",
    "credit_balance_exhausted",
    "usage_limit_exceeded",
    "spend_limit_exceeded",
    "billing_hard_limit_reached",
    "insufficient balance",
    "insufficient credits",
    "insufficient_balance",
    "credit balance is too low",
    "exceeded your current quota",
    "arrearage",
];

/// Wordings of filters.
const FILTERED: &[&str] = &[
    "content_policy_violation",
    "content_filter",
    "responsibleaipolicyviolation",
    "invalid_prompt",
    "bio_policy",
    "data_inspection_failed",
    "content management policy",
    "content exists risk",
    "considered high risk",
    "content violates usage guidelines",
    "your input was flagged",
    "moderation_blocked",
];

/// Wordings of bad keys that come with a 400 (xAI, Gemini).
const BAD_KEY: &[&str] =
    &["incorrect api key", "invalid api key", "api key not valid", "api_key_invalid", "invalid_api_key"];

fn classify(status: u16, told: &Told) -> UpstreamClass {
    let words = [Some(&told.message), told.code.as_ref(), told.kind.as_ref()];
    let words: Vec<String> = words.into_iter().flatten().map(|word| word.to_ascii_lowercase()).collect();
    let says = |phrases: &[&str]| words.iter().any(|word| phrases.iter().any(|phrase| word.contains(phrase)));
    match status {
        402 => UpstreamClass::Billing,
        429 if says(OUT_OF_MONEY) => UpstreamClass::Billing,
        // Only 4xx: a server that fails may quote anything. A 429 that names the window is one of
        // Azure's and Gemini's per-minute token limits more often than a prompt that is too long.
        400 | 403 | 413 | 422 if says(TOO_LONG) => UpstreamClass::ContextLength,
        // Groq refuses with 413 what exceeds the key's tokens per minute.
        413 if says(&["tokens per minute", "rate_limit_exceeded"]) => UpstreamClass::RateLimited,
        400 | 403 | 422 if says(FILTERED) => UpstreamClass::ContentFilter,
        400 if says(BAD_KEY) => UpstreamClass::Auth,
        400 | 403 if says(OUT_OF_MONEY) => UpstreamClass::Billing,
        410 => UpstreamClass::NotFound,
        524 => UpstreamClass::Timeout,
        // Groq's word for flex capacity.
        498 => UpstreamClass::Overloaded,
        400..=599 => UpstreamClass::of_status(status),
        _ => by_words(&says),
    }
}

/// An error object in an answer that was called a success and names no status.
fn by_words(says: &dyn Fn(&[&str]) -> bool) -> UpstreamClass {
    let classes = [
        (UpstreamClass::ContextLength, TOO_LONG),
        (UpstreamClass::Billing, OUT_OF_MONEY),
        (UpstreamClass::ContentFilter, FILTERED),
        (UpstreamClass::Auth, BAD_KEY),
        (UpstreamClass::RateLimited, &["rate_limit", "rate limit", "too many requests"][..]),
        (UpstreamClass::Overloaded, &["overloaded", "unavailable", "capacity"]),
        (UpstreamClass::Timeout, &["timeout", "timed out"]),
        (UpstreamClass::BadRequest, &["invalid_request", "bad_request", "tool_use_failed"]),
    ];
    classes.iter().find(|(_, phrases)| says(phrases)).map_or(UpstreamClass::Server, |(class, _)| *class)
}

/// When to come back: `retry-after-ms`, `retry-after`, the message's words, the reset headers.
fn wait(headers: &HeaderMap, message: &str) -> Option<Millis> {
    let milliseconds = header(headers, "retry-after-ms").and_then(float::parse);
    // Azure sends `retry-after-ms: 0` beside `retry-after: 1`.
    let exact = milliseconds.filter(|ms| *ms > 0.0).and_then(|ms| from_secs(ms / 1000.0));
    exact
        .or_else(|| seconds_header(headers))
        .or_else(|| in_words(message))
        .or_else(|| reset_header(headers))
        .map(|wait| wait.min(LONGEST_WAIT))
}

/// `retry-after` in seconds; a date has been turned into these before.
fn seconds_header(headers: &HeaderMap) -> Option<Millis> {
    from_secs(float::parse(header(headers, "retry-after")?)?)
}

fn header<'h>(headers: &'h HeaderMap, name: &str) -> Option<&'h str> {
    Some(headers.get(name)?.to_str().ok()?.trim())
}

/// The reset of what is used up, else the sooner of the two.
fn reset_header(headers: &HeaderMap) -> Option<Millis> {
    let reset = |kind: &str| {
        let wait = duration(header(headers, &format!("x-ratelimit-reset-{kind}"))?)?;
        let left = header(headers, &format!("x-ratelimit-remaining-{kind}")).and_then(float::parse);
        Some((left.is_some_and(|left| left <= 0.0), wait))
    };
    let known = [reset("requests"), reset("tokens")];
    let used_up = known.iter().flatten().filter(|(used_up, _)| *used_up).map(|(_, wait)| *wait).max();
    used_up.or_else(|| known.iter().flatten().map(|(_, wait)| *wait).min()).filter(|wait| !wait.is_zero())
}

/// "try again in 1.2s", "retry after 20 seconds", "in 6m0s".
fn in_words(message: &str) -> Option<Millis> {
    let lower = message.to_ascii_lowercase();
    let after = ["try again in ", "retry in ", "retry after ", "try again after "]
        .iter()
        .find_map(|phrase| lower.split_once(phrase).map(|(_, after)| after))?;
    let number = after.bytes().take_while(|byte| byte.is_ascii_digit() || *byte == b'.').count();
    let (amount, unit) = after.split_at_checked(number)?;
    let unit = unit.trim_start();
    if unit.starts_with("millisecond") {
        return from_secs(float::parse(amount)? / 1000.0);
    }
    if unit.starts_with("second") {
        return from_secs(float::parse(amount)?);
    }
    if unit.starts_with("minute") {
        return from_secs(float::parse(amount)? * 60.0);
    }
    let word = after.split_whitespace().next()?;
    duration(word.trim_end_matches(|c: char| !c.is_ascii_alphanumeric()))
}

/// A Go duration (`6m0s`, `17.39s`, `26ms`), or bare seconds.
pub(in crate::provider) fn duration(text: &str) -> Option<Millis> {
    if let Some(seconds) = float::parse(text) {
        return from_secs(seconds);
    }
    let (mut rest, mut seconds) = (text, 0.0);
    while !rest.is_empty() {
        let digits = rest.bytes().take_while(|byte| byte.is_ascii_digit() || *byte == b'.').count();
        let (number, after) = rest.split_at_checked(digits)?;
        let letters = after.chars().take_while(|c| c.is_ascii_alphabetic()).count();
        let (unit, next) = after.split_at_checked(letters)?;
        let scale = match unit {
            "d" => 86_400.0,
            "h" => 3600.0,
            "m" => 60.0,
            "s" => 1.0,
            "ms" => 1e-3,
            "us" | "µs" => 1e-6,
            "ns" => 1e-9,
            _ => return None,
        };
        seconds += float::parse(number)? * scale;
        rest = next;
    }
    (!text.is_empty()).then(|| from_secs(seconds)).flatten()
}

fn from_secs(seconds: f64) -> Option<Millis> {
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "checked to be positive and within range"
    )]
    (0.0..1e12).contains(&seconds).then(|| Millis((seconds * 1000.0 - 1e-6).ceil().max(0.0) as u64))
}

#[cfg(test)]
mod tests;
