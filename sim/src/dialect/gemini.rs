//! Gemini generateContent.

mod check;
mod read;

use http::StatusCode;
use serde_json::{Value, json};

use super::Dialect;
use crate::answer::{Answer, Call, Stop, Usage, signature_of, tokens};
use crate::ask::Ask;
use crate::fault::{Kind, Refusal};
use crate::json::Fields as _;
use crate::quirks::{Quirks, UsageMode};
use crate::wire::Frame;

pub(crate) static DIALECT: Dialect = Dialect {
    name: "gemini",
    read: read::read,
    whole,
    stream,
    refuse,
    interrupt: |refusal, status| Frame::data(refuse(refusal, status)),
    status,
    id_header: "x-request-id",
    error_name: |_| None,
    counted: |tokens| json!({"totalTokens": tokens}),
};

fn whole(ask: &Ask, answer: &Answer, quirks: &Quirks) -> Value {
    let mut parts = thoughts(answer);
    let text = answer.text();
    if !text.is_empty() || (answer.calls.is_empty() && parts.is_empty()) {
        parts.push(json!({"text": text}));
        sign(&mut parts, answer);
    }
    parts.extend(calls(ask, answer));
    let candidates: Vec<Value> = (0..ask.choices.max(1))
        .map(|index| {
            json!({"content": {"parts": parts, "role": "model"},
                   "finishReason": finish(&answer.stop), "index": index})
        })
        .collect();
    let mut made = json!({"candidates": candidates});
    if quirks.content.blocked {
        made = blocked();
    }
    close(&mut made, ask, answer);
    put_usage(&mut made, &answer.usage, quirks.content.usage);
    made
}

/// A prompt that is blocked has no candidates, and is no error by its status.
fn blocked() -> Value {
    json!({"promptFeedback": {"blockReason": "PROHIBITED_CONTENT"}})
}

fn close(made: &mut Value, ask: &Ask, answer: &Answer) {
    made.set("modelVersion", json!(ask.model));
    made.set("responseId", json!(format!("sim{}", answer.id)));
}

fn thoughts(answer: &Answer) -> Vec<Value> {
    let text = answer.thought.as_ref().map(|thought| thought.text());
    text.map(|text| json!({"text": text, "thought": true})).into_iter().collect()
}

/// The signature of the thinking stands on the text that follows it.
fn sign(parts: &mut [Value], answer: &Answer) {
    if let (Some(thought), Some(last)) = (&answer.thought, parts.last_mut()) {
        last.set("thoughtSignature", json!(thought.signature));
    }
}

/// Only the first of parallel calls is signed, and only newer models name their calls.
fn calls(ask: &Ask, answer: &Answer) -> Vec<Value> {
    let newer = check::is_newer(&ask.model);
    let part = |(at, call): (usize, &Call)| {
        let args: Value =
            serde_json::from_str(&call.arguments).ok().filter(Value::is_object).unwrap_or_else(|| json!({}));
        let mut made = json!({"functionCall": {"name": call.name, "args": args}});
        if newer && let Some(inner) = made.get_mut("functionCall") {
            inner.set("id", json!(call.id));
        }
        if at == 0 && (newer || answer.thought.is_some()) {
            made.set("thoughtSignature", json!(signature_of(&call.name)));
        }
        made
    };
    answer.calls.iter().enumerate().map(part).collect()
}

fn finish(stop: &Stop) -> &'static str {
    match stop {
        Stop::End | Stop::Sequence(_) | Stop::Calls => "STOP",
        Stop::Length => "MAX_TOKENS",
        Stop::Filter => "SAFETY",
    }
}

fn put_usage(made: &mut Value, usage: &Usage, mode: UsageMode) {
    match mode {
        UsageMode::Missing => {}
        UsageMode::Null => made.set("usageMetadata", Value::Null),
        UsageMode::Honest | UsageMode::Zero | UsageMode::Double | UsageMode::Early => {
            made.set("usageMetadata", usage_metadata(usage));
        }
    }
}

fn usage_metadata(usage: &Usage) -> Value {
    let Usage { input, cached, cache_write: _, output, thinking } = *usage;
    let mut made = json!({
        "promptTokenCount": input, "candidatesTokenCount": output - thinking, "totalTokenCount": input + output,
        "promptTokensDetails": [{"modality": "TEXT", "tokenCount": input}],
    });
    if thinking > 0 {
        made.set("thoughtsTokenCount", json!(thinking));
    }
    if cached > 0 {
        made.set("cachedContentTokenCount", json!(cached));
    }
    made
}

fn stream(ask: &Ask, answer: &Answer, quirks: &Quirks) -> Vec<Frame> {
    let mut parts: Vec<Value> = Vec::new();
    for piece in answer.thought.iter().flat_map(|thought| &thought.pieces) {
        parts.push(json!({"text": piece, "thought": true}));
    }
    parts.extend(answer.pieces.iter().map(|piece| json!({"text": piece})));
    if !answer.pieces.is_empty() {
        sign(&mut parts, answer);
    }
    parts.extend(calls(ask, answer));
    if !answer.calls.is_empty() || parts.is_empty() {
        // Newer models end a turn of calls with an empty text that carries the reason.
        parts.push(json!({"text": ""}));
    }
    if quirks.content.blocked {
        let mut made = blocked();
        close(&mut made, ask, answer);
        put_usage(&mut made, &Usage { output: 0, thinking: 0, ..answer.usage }, quirks.content.usage);
        return vec![Frame::data(made)];
    }
    let mut counter = Counter { usage: Usage { output: 0, thinking: 0, ..answer.usage }, text: 0 };
    let last = parts.len() - 1;
    let mut frames = Vec::with_capacity(parts.len() + 1);
    for index in 0..ask.choices.max(1) {
        for (at, part) in parts.iter().enumerate() {
            let mut candidate = json!({"content": {"parts": [part], "role": "model"}, "index": index});
            if at == last && !quirks.breaks.no_done {
                candidate.set("finishReason", json!(finish(&answer.stop)));
            }
            let mut made = json!({"candidates": [candidate]});
            close(&mut made, ask, answer);
            counter.add(part);
            let so_far = if at == last { answer.usage } else { counter.usage };
            match quirks.content.usage {
                UsageMode::Early if at == 0 => put_usage(&mut made, &answer.usage, UsageMode::Honest),
                UsageMode::Early => {}
                UsageMode::Zero => put_usage(&mut made, &Usage::default(), UsageMode::Zero),
                mode @ (UsageMode::Honest | UsageMode::Missing | UsageMode::Null | UsageMode::Double) => {
                    put_usage(&mut made, &so_far, mode);
                }
            }
            frames.push(Frame::data(made));
        }
    }
    if quirks.content.usage == UsageMode::Double {
        let mut made = json!({"candidates": []});
        close(&mut made, ask, answer);
        put_usage(&mut made, &answer.usage, UsageMode::Honest);
        frames.push(Frame::data(made));
    }
    frames
}

/// Usage grows with the stream.
struct Counter {
    usage: Usage,
    text: usize,
}

impl Counter {
    fn add(&mut self, part: &Value) {
        let length = part.at("text").as_str().map_or(0, str::len);
        if part.at("thought") == true {
            self.usage.thinking += tokens(length);
        } else {
            self.text += length;
        }
        self.usage.output = self.usage.thinking + tokens(self.text);
    }
}

fn status(kind: Kind) -> u16 {
    match kind {
        Kind::BadRequest | Kind::ContextLength | Kind::ContentFilter | Kind::TooLarge => 400,
        // A wrong key is a bad request here.
        Kind::InvalidKey => 400,
        Kind::Permission => 403,
        Kind::ModelNotFound => 404,
        Kind::InsufficientQuota | Kind::RateLimit => 429,
        Kind::Server => 500,
        Kind::Overloaded => 503,
        Kind::Timeout => 504,
    }
}

fn refuse(refusal: &Refusal, status: StatusCode) -> Value {
    let name = match status.as_u16() {
        401 => "UNAUTHENTICATED",
        403 => "PERMISSION_DENIED",
        404 => "NOT_FOUND",
        429 => "RESOURCE_EXHAUSTED",
        499 => "CANCELLED",
        400..=498 => "INVALID_ARGUMENT",
        503 | 529 => "UNAVAILABLE",
        504 => "DEADLINE_EXCEEDED",
        _ => "INTERNAL",
    };
    let message = match refusal.kind {
        Kind::ContextLength => {
            "The input token count (1100000) exceeds the maximum number of tokens allowed (1048576)."
        }
        Kind::InvalidKey => "API key not valid. Please pass a valid API key.",
        Kind::BadRequest
        | Kind::ContentFilter
        | Kind::InsufficientQuota
        | Kind::Permission
        | Kind::ModelNotFound
        | Kind::TooLarge
        | Kind::RateLimit
        | Kind::Server
        | Kind::Timeout
        | Kind::Overloaded => &refusal.message,
    };
    let mut made = json!({"error": {"code": status.as_u16(), "message": message, "status": name}});
    let details = details(refusal);
    if !details.is_empty()
        && let Some(inner) = made.get_mut("error")
    {
        inner.set("details", Value::Array(details));
    }
    made
}

/// The delay to wait stands in the body, not in a header.
fn details(refusal: &Refusal) -> Vec<Value> {
    let mut made = Vec::new();
    if refusal.kind == Kind::InvalidKey {
        made.push(json!({"@type": "type.googleapis.com/google.rpc.ErrorInfo", "reason": "API_KEY_INVALID",
            "domain": "googleapis.com", "metadata": {"service": "generativelanguage.googleapis.com"}}));
    }
    if refusal.kind == Kind::InsufficientQuota {
        made.push(json!({"@type": "type.googleapis.com/google.rpc.QuotaFailure", "violations": [{
            "quotaMetric": "generativelanguage.googleapis.com/generate_content_requests",
            "quotaId": "GenerateRequestsPerDayPerProjectPerModel"}]}));
    }
    if let Some(seconds) = &refusal.retry_after {
        made.push(
            json!({"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": format!("{seconds}s")}),
        );
    }
    made
}

/// The list of models in this dialect's shape.
pub(super) fn models() -> Value {
    let model = |id: &str| {
        json!({"name": format!("models/{id}"), "version": "1", "displayName": id, "inputTokenLimit": 1_048_576,
               "outputTokenLimit": 65536, "supportedGenerationMethods": ["generateContent", "countTokens"]})
    };
    json!({"models": super::MODELS.map(model)})
}
