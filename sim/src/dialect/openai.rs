//! OpenAI chat completions.

mod check;
pub(super) mod completions;
pub(super) mod passed;
mod read;
pub(super) mod sound;

pub(super) use read::read;

use http::StatusCode;
use serde_json::{Map, Value, json};

use super::Dialect;
use crate::answer::{Answer, Call, Stop, Usage};
use crate::ask::{Ask, StreamUsage};
use crate::fault::{Kind, Refusal};
use crate::json::Fields as _;
use crate::quirks::{Quirks, UsageMode};
use crate::wire::Frame;

const CREATED: u64 = 1_767_225_600;

pub(crate) static DIALECT: Dialect = Dialect {
    name: "openai",
    read,
    whole,
    stream,
    refuse,
    interrupt: |refusal, status| Frame::data(refuse(refusal, status)),
    status,
    id_header: "x-request-id",
    error_name: |_| None,
    // It has no such requests.
    counted: |_| Value::Null,
};

fn whole(ask: &Ask, answer: &Answer, quirks: &Quirks) -> Value {
    let mut message = Map::new();
    message.insert("role".into(), json!("assistant"));
    let text = answer.text();
    let content = if answer.calls.is_empty() || !text.is_empty() { json!(text) } else { Value::Null };
    message.insert("content".into(), content);
    if let Some(thought) = &answer.thought {
        message.insert("reasoning_content".into(), json!(thought.text()));
    }
    message.insert("refusal".into(), Value::Null);
    if !answer.calls.is_empty() {
        message.insert("tool_calls".into(), answer.calls.iter().map(call).collect());
    }
    let logprobs = ask.logprobs.map(|top| logprobs(&answer.pieces, top));
    let choices: Vec<Value> = (0..ask.choices.max(1))
        .map(|index| {
            json!({"index": index, "message": message, "logprobs": logprobs,
                   "finish_reason": finish(&answer.stop)})
        })
        .collect();
    let mut made = head(ask, answer, "chat.completion");
    made.insert("choices".into(), Value::Array(choices));
    match quirks.content.usage {
        UsageMode::Missing => {}
        UsageMode::Null => {
            made.insert("usage".into(), Value::Null);
        }
        UsageMode::Honest | UsageMode::Zero | UsageMode::Double | UsageMode::Early => {
            made.insert("usage".into(), usage(&answer.usage));
        }
    }
    Value::Object(made)
}

fn head(ask: &Ask, answer: &Answer, object: &str) -> Map<String, Value> {
    let mut made = Map::new();
    made.insert("id".into(), json!(format!("chatcmpl-sim{}", answer.id)));
    made.insert("object".into(), json!(object));
    made.insert("created".into(), json!(CREATED));
    made.insert("model".into(), json!(ask.model));
    made.insert("service_tier".into(), json!("default"));
    made.insert("system_fingerprint".into(), Value::Null);
    made
}

fn call(call: &Call) -> Value {
    json!({"id": call_id(call), "type": "function",
           "function": {"name": call.name, "arguments": call.arguments}})
}

fn call_id(call: &Call) -> String {
    format!("call_{}", call.id)
}

fn finish(stop: &Stop) -> &'static str {
    match stop {
        Stop::End | Stop::Sequence(_) => "stop",
        Stop::Length => "length",
        Stop::Calls => "tool_calls",
        Stop::Filter => "content_filter",
    }
}

fn usage(usage: &Usage) -> Value {
    let Usage { input, cached, cache_write, output, thinking } = usage;
    json!({
        "prompt_tokens": input, "completion_tokens": output, "total_tokens": input + output,
        "prompt_tokens_details": {"cached_tokens": cached, "audio_tokens": 0, "cache_write_tokens": cache_write},
        "completion_tokens_details": {"reasoning_tokens": thinking, "audio_tokens": 0,
            "accepted_prediction_tokens": 0, "rejected_prediction_tokens": 0},
    })
}

/// One token for each piece, all equally likely.
fn logprobs(pieces: &[String], top: usize) -> Value {
    let token = |piece: &String| {
        let one = json!({"token": piece, "logprob": -0.25, "bytes": piece.as_bytes()});
        let mut made = one.clone();
        made.set("top_logprobs", (0..top).map(|_| one.clone()).collect());
        made
    };
    json!({"content": pieces.iter().map(token).collect::<Vec<_>>(), "refusal": null})
}

/// Writes chunks that share their head.
struct Chunks<'a> {
    ask: &'a Ask,
    head: Map<String, Value>,
    /// What stands in `usage` of every chunk but the last, if anything.
    usage: Option<Value>,
    frames: Vec<Frame>,
}

impl Chunks<'_> {
    fn push(&mut self, choices: Vec<Value>) {
        let mut made = self.head.clone();
        made.insert("choices".into(), Value::Array(choices));
        if let Some(usage) = &self.usage {
            made.insert("usage".into(), usage.clone());
        }
        self.frames.push(Frame::data(Value::Object(made)));
    }

    fn delta(&mut self, index: u64, delta: Value) {
        let logprobs = match (self.ask.logprobs, delta.at("content").as_str()) {
            (Some(top), Some(text)) if !text.is_empty() => logprobs(&[text.to_owned()], top),
            _ => Value::Null,
        };
        self.push(vec![json!({"index": index, "delta": delta, "logprobs": logprobs, "finish_reason": null})]);
    }
}

fn stream(ask: &Ask, answer: &Answer, quirks: &Quirks) -> Vec<Frame> {
    let asked = ask.stream_usage == StreamUsage::Asked;
    let mode = quirks.content.usage;
    let between =
        if mode == UsageMode::Early { Some(usage(&answer.usage)) } else { asked.then_some(Value::Null) };
    let head = head(ask, answer, "chat.completion.chunk");
    let mut chunks = Chunks { ask, head, usage: between, frames: Vec::new() };
    for index in 0..ask.choices.max(1) {
        chunks.delta(index, json!({"role": "assistant", "content": "", "refusal": null}));
        if mode == UsageMode::Early {
            chunks.usage = asked.then_some(Value::Null);
        }
        for piece in answer.thought.iter().flat_map(|thought| &thought.pieces) {
            chunks.delta(index, json!({"reasoning_content": piece}));
        }
        for piece in &answer.pieces {
            chunks.delta(index, json!({"content": piece}));
        }
        if quirks.content.whole_calls && !answer.calls.is_empty() {
            let calls: Vec<Value> = answer.calls.iter().map(call).collect();
            chunks.delta(index, json!({"tool_calls": calls}));
        } else {
            for fragment in fragments(&answer.calls, quirks) {
                chunks.delta(index, json!({"tool_calls": [fragment]}));
            }
        }
        chunks.push(vec![
            json!({"index": index, "delta": {}, "logprobs": null, "finish_reason": finish(&answer.stop)}),
        ]);
    }
    let last = match mode {
        UsageMode::Missing | UsageMode::Early => 0,
        UsageMode::Double => 2,
        UsageMode::Honest | UsageMode::Zero | UsageMode::Null => usize::from(asked),
    };
    chunks.usage = Some(if mode == UsageMode::Null { Value::Null } else { usage(&answer.usage) });
    for _ in 0..last {
        chunks.push(Vec::new());
    }
    let mut frames = chunks.frames;
    if !quirks.breaks.no_done {
        frames.push(Frame::data("[DONE]"));
    }
    frames
}

/// The deltas of all calls: each opens with its id and name and goes on in fragments of its
/// arguments, one call after the other or taking turns.
fn fragments(calls: &[Call], quirks: &Quirks) -> Vec<Value> {
    let mut each: Vec<Vec<Value>> = Vec::new();
    for (index, call) in calls.iter().enumerate() {
        let mut deltas = Vec::new();
        for (at, arguments) in call.fragments().into_iter().enumerate() {
            if at == 0 {
                deltas.push(json!({"index": index, "id": call_id(call), "type": "function",
                    "function": {"name": call.name, "arguments": ""}}));
            }
            deltas.push(json!({"index": index, "function": {"arguments": arguments}}));
        }
        each.push(deltas);
    }
    if !quirks.content.interleave {
        return each.into_iter().flatten().collect();
    }
    let longest = each.iter().map(Vec::len).max().unwrap_or(0);
    (0..longest).flat_map(|at| each.iter().filter_map(move |deltas| deltas.get(at).cloned())).collect()
}

pub(super) fn status(kind: Kind) -> u16 {
    match kind {
        Kind::BadRequest | Kind::ContextLength | Kind::ContentFilter => 400,
        Kind::InvalidKey => 401,
        Kind::Permission => 403,
        Kind::ModelNotFound => 404,
        Kind::TooLarge => 413,
        Kind::RateLimit | Kind::InsufficientQuota => 429,
        Kind::Server => 500,
        Kind::Overloaded => 503,
        Kind::Timeout => 504,
    }
}

/// `type` and `code` as the provider pairs them.
struct Names {
    kind: &'static str,
    code: Option<&'static str>,
}

fn names(kind: Kind) -> Names {
    let (kind, code) = match kind {
        Kind::BadRequest => ("invalid_request_error", None),
        Kind::InvalidKey => ("invalid_request_error", Some("invalid_api_key")),
        Kind::Permission => ("invalid_request_error", Some("model_not_allowed")),
        Kind::InsufficientQuota => ("insufficient_quota", Some("insufficient_quota")),
        Kind::ModelNotFound => ("invalid_request_error", Some("model_not_found")),
        Kind::ContextLength => ("invalid_request_error", Some("context_length_exceeded")),
        Kind::ContentFilter => ("invalid_request_error", Some("content_policy_violation")),
        Kind::TooLarge => ("invalid_request_error", Some("request_too_large")),
        Kind::RateLimit => ("requests", Some("rate_limit_exceeded")),
        Kind::Server => ("server_error", None),
        Kind::Overloaded => ("server_error", Some("server_is_overloaded")),
        Kind::Timeout => ("server_error", Some("timeout")),
    };
    Names { kind, code }
}

pub(super) fn refuse(refusal: &Refusal, _status: StatusCode) -> Value {
    let Names { kind, code } = names(refusal.kind);
    json!({"error": {"message": refusal.message, "type": kind, "param": refusal.param,
                     "code": refusal.code.or(code)}})
}

/// Some names to choose from; any other is served as well.
pub(super) fn models() -> Value {
    let model =
        |id: &str| json!({"id": id, "object": "model", "created": CREATED, "owned_by": "tollgate-sim"});
    json!({"object": "list", "data": super::MODELS.map(model)})
}
