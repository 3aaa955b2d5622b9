//! Anthropic messages.

mod check;
mod read;

use http::StatusCode;
use serde_json::{Map, Value, json};

use super::Dialect;
use crate::answer::{Answer, Call, Stop, Thought, Usage};
use crate::ask::Ask;
use crate::fault::{Kind, Refusal};
use crate::json::Fields as _;
use crate::quirks::{Quirks, UsageMode};
use crate::wire::Frame;

pub(crate) static DIALECT: Dialect = Dialect {
    name: "anthropic",
    read: read::read,
    whole,
    stream,
    refuse,
    interrupt: |refusal, status| Frame { event: Some("error"), data: refuse(refusal, status).to_string() },
    status,
    id_header: "request-id",
    error_name: |_| None,
    counted: |tokens| json!({"input_tokens": tokens}),
};

fn whole(ask: &Ask, answer: &Answer, quirks: &Quirks) -> Value {
    let mut content: Vec<Value> = answer.thought.iter().map(|thought| thinking(thought, quirks)).collect();
    let text = answer.text();
    if !text.is_empty() {
        content.push(json!({"type": "text", "text": text}));
    }
    content.extend(answer.calls.iter().map(|call| tool_use(call, call_input(call))));
    let mut made = head(ask, answer, content);
    made.insert("stop_reason".into(), json!(stop_reason(&answer.stop)));
    made.insert("stop_sequence".into(), stop_sequence(&answer.stop));
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

fn head(ask: &Ask, answer: &Answer, content: Vec<Value>) -> Map<String, Value> {
    let mut made = Map::new();
    made.insert("id".into(), json!(format!("msg_sim{}", answer.id)));
    made.insert("type".into(), json!("message"));
    made.insert("role".into(), json!("assistant"));
    made.insert("model".into(), json!(ask.model));
    made.insert("content".into(), Value::Array(content));
    made.insert("stop_reason".into(), Value::Null);
    made.insert("stop_sequence".into(), Value::Null);
    made
}

fn thinking(thought: &Thought, quirks: &Quirks) -> Value {
    if quirks.content.redacted {
        return json!({"type": "redacted_thinking", "data": thought.signature});
    }
    json!({"type": "thinking", "thinking": thought.text(), "signature": thought.signature})
}

fn tool_use(call: &Call, input: Value) -> Value {
    json!({"type": "tool_use", "id": format!("toolu_{}", call.id), "name": call.name, "input": input})
}

/// The arguments as a value; this dialect has no way to send what is not an object.
fn call_input(call: &Call) -> Value {
    serde_json::from_str(&call.arguments).ok().filter(Value::is_object).unwrap_or_else(|| json!({}))
}

fn stop_reason(stop: &Stop) -> &'static str {
    match stop {
        Stop::End => "end_turn",
        Stop::Length => "max_tokens",
        Stop::Sequence(_) => "stop_sequence",
        Stop::Calls => "tool_use",
        Stop::Filter => "refusal",
    }
}

fn stop_sequence(stop: &Stop) -> Value {
    match stop {
        Stop::Sequence(found) => json!(found),
        Stop::End | Stop::Length | Stop::Calls | Stop::Filter => Value::Null,
    }
}

fn usage(usage: &Usage) -> Value {
    let Usage { input, cached, cache_write, output, thinking } = usage;
    json!({
        "input_tokens": input.saturating_sub(cached + cache_write),
        "cache_creation_input_tokens": cache_write,
        "cache_read_input_tokens": cached,
        "cache_creation": {"ephemeral_5m_input_tokens": cache_write, "ephemeral_1h_input_tokens": 0},
        "output_tokens": output,
        "output_tokens_details": {"thinking_tokens": thinking},
        "service_tier": "standard",
    })
}

/// Writes events and numbers the content blocks.
#[derive(Default)]
struct Events {
    frames: Vec<Frame>,
    block: usize,
}

impl Events {
    fn push(&mut self, event: &'static str, mut fields: Value) {
        let mut made = Map::new();
        made.insert("type".into(), json!(event));
        if let Some(fields) = fields.as_object_mut() {
            made.append(fields);
        }
        self.frames.push(Frame { event: Some(event), data: Value::Object(made).to_string() });
    }

    fn start(&mut self, block: Value) {
        self.push("content_block_start", json!({"index": self.block, "content_block": block}));
        if self.block == 0 {
            self.push("ping", json!({}));
        }
    }

    fn delta(&mut self, delta: Value) {
        self.push("content_block_delta", json!({"index": self.block, "delta": delta}));
    }

    fn stop(&mut self) {
        self.push("content_block_stop", json!({"index": self.block}));
        self.block += 1;
    }

    fn thinking(&mut self, thought: &Thought, quirks: &Quirks) {
        if quirks.content.redacted {
            self.start(thinking(thought, quirks));
            return self.stop();
        }
        self.start(json!({"type": "thinking", "thinking": "", "signature": ""}));
        for piece in &thought.pieces {
            self.delta(json!({"type": "thinking_delta", "thinking": piece}));
        }
        self.delta(json!({"type": "signature_delta", "signature": thought.signature}));
        self.stop();
    }

    fn text(&mut self, pieces: &[String]) {
        self.start(json!({"type": "text", "text": ""}));
        for piece in pieces {
            self.delta(json!({"type": "text_delta", "text": piece}));
        }
        self.stop();
    }

    fn call(&mut self, call: &Call) {
        self.start(tool_use(call, json!({})));
        self.delta(json!({"type": "input_json_delta", "partial_json": ""}));
        for fragment in call.fragments().into_iter().filter(|fragment| !fragment.is_empty()) {
            self.delta(json!({"type": "input_json_delta", "partial_json": fragment}));
        }
        self.stop();
    }
}

fn stream(ask: &Ask, answer: &Answer, quirks: &Quirks) -> Vec<Frame> {
    let mut events = Events::default();
    let mut message = head(ask, answer, Vec::new());
    if let Some(usage) = opening_usage(answer, quirks) {
        message.insert("usage".into(), usage);
    }
    events.push("message_start", json!({"message": message}));
    if let Some(thought) = &answer.thought {
        events.thinking(thought, quirks);
    }
    if !answer.pieces.is_empty() {
        events.text(&answer.pieces);
    }
    for call in &answer.calls {
        events.call(call);
    }
    let delta =
        json!({"stop_reason": stop_reason(&answer.stop), "stop_sequence": stop_sequence(&answer.stop)});
    let times = if quirks.content.usage == UsageMode::Double { 2 } else { 1 };
    for _ in 0..times {
        let mut fields = json!({"delta": delta});
        if let Some(usage) = closing_usage(answer, quirks) {
            fields.set("usage", usage);
        }
        events.push("message_delta", fields);
    }
    if !quirks.breaks.no_done {
        events.push("message_stop", json!({}));
    }
    events.frames
}

/// The prompt's tokens are known at the start; of the answer's there is only a placeholder.
fn opening_usage(answer: &Answer, quirks: &Quirks) -> Option<Value> {
    match quirks.content.usage {
        UsageMode::Missing => None,
        UsageMode::Null => Some(Value::Null),
        UsageMode::Zero | UsageMode::Early => Some(usage(&answer.usage)),
        UsageMode::Honest | UsageMode::Double => {
            Some(usage(&Usage { output: 1, thinking: 0, ..answer.usage }))
        }
    }
}

fn closing_usage(answer: &Answer, quirks: &Quirks) -> Option<Value> {
    match quirks.content.usage {
        UsageMode::Missing | UsageMode::Early => None,
        UsageMode::Null => Some(Value::Null),
        UsageMode::Zero | UsageMode::Honest | UsageMode::Double => Some(usage(&answer.usage)),
    }
}

fn status(kind: Kind) -> u16 {
    match kind {
        Kind::BadRequest | Kind::ContextLength | Kind::ContentFilter => 400,
        Kind::InvalidKey => 401,
        Kind::InsufficientQuota => 402,
        Kind::Permission => 403,
        Kind::ModelNotFound => 404,
        Kind::TooLarge => 413,
        Kind::RateLimit => 429,
        Kind::Server => 500,
        Kind::Timeout => 504,
        Kind::Overloaded => 529,
    }
}

fn refuse(refusal: &Refusal, _status: StatusCode) -> Value {
    let kind = match refusal.kind {
        Kind::BadRequest | Kind::ContextLength | Kind::ContentFilter => "invalid_request_error",
        Kind::InvalidKey => "authentication_error",
        Kind::InsufficientQuota => "billing_error",
        Kind::Permission => "permission_error",
        Kind::ModelNotFound => "not_found_error",
        Kind::TooLarge => "request_too_large",
        Kind::RateLimit => "rate_limit_error",
        Kind::Server => "api_error",
        Kind::Timeout => "timeout_error",
        Kind::Overloaded => "overloaded_error",
    };
    // The words clients look for to tell a prompt that is too long from other bad requests.
    let message = match refusal.kind {
        Kind::ContextLength => "prompt is too long: 210000 tokens > 200000 maximum",
        Kind::InvalidKey => "invalid x-api-key",
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
    json!({"type": "error", "error": {"type": kind, "message": message}})
}

/// The list of models in this dialect's shape.
pub(super) fn models() -> Value {
    let model = |id: &str| json!({"type": "model", "id": id, "display_name": id, "created_at": "2026-01-01T00:00:00Z"});
    let data = super::MODELS.map(model);
    json!({"data": data, "has_more": false, "first_id": super::MODELS.first(), "last_id": super::MODELS.last()})
}
