//! AWS Bedrock's Converse and ConverseStream.

mod check;
mod read;

use http::StatusCode;
use serde_json::{Value, json};

use super::Dialect;
use crate::answer::{Answer, Call, Stop, Thought, Usage};
use crate::ask::Ask;
use crate::fault::{Kind, Refusal};
use crate::json::Fields as _;
use crate::quirks::{Quirks, UsageMode};
use crate::wire::Frame;

pub(crate) static DIALECT: Dialect = Dialect {
    name: "bedrock",
    read: read::read,
    whole,
    stream,
    refuse: |refusal, _| json!({"message": message(refusal)}),
    interrupt,
    status,
    id_header: "x-amzn-requestid",
    counted: |tokens| json!({"inputTokens": tokens}),
    error_name: |refusal| Some(name(refusal.kind)),
};

fn whole(_ask: &Ask, answer: &Answer, quirks: &Quirks) -> Value {
    let mut content: Vec<Value> = answer.thought.iter().map(|thought| thinking(thought, quirks)).collect();
    let text = answer.text();
    if !text.is_empty() {
        content.push(json!({"text": text}));
    }
    content.extend(answer.calls.iter().map(tool_use));
    let mut made = json!({
        "metrics": {"latencyMs": 42},
        "output": {"message": {"content": content, "role": "assistant"}},
        "stopReason": stop_reason(&answer.stop),
    });
    match quirks.content.usage {
        UsageMode::Missing => {}
        UsageMode::Null => made.set("usage", Value::Null),
        UsageMode::Honest | UsageMode::Zero | UsageMode::Double | UsageMode::Early => {
            made.set("usage", usage(&answer.usage));
        }
    }
    made
}

fn thinking(thought: &Thought, quirks: &Quirks) -> Value {
    if quirks.content.redacted {
        return json!({"reasoningContent": {"redactedContent": thought.signature}});
    }
    json!({"reasoningContent": {"reasoningText": {"signature": thought.signature, "text": thought.text()}}})
}

fn tool_use(call: &Call) -> Value {
    let input: Value =
        serde_json::from_str(&call.arguments).ok().filter(Value::is_object).unwrap_or_else(|| json!({}));
    json!({"toolUse": {"input": input, "name": call.name, "toolUseId": id_of(call)}})
}

fn id_of(call: &Call) -> String {
    format!("tooluse_{}", call.id)
}

fn stop_reason(stop: &Stop) -> &'static str {
    match stop {
        Stop::End => "end_turn",
        Stop::Length => "max_tokens",
        Stop::Sequence(_) => "stop_sequence",
        Stop::Calls => "tool_use",
        Stop::Filter => "content_filtered",
    }
}

fn usage(usage: &Usage) -> Value {
    let Usage { input, cached, cache_write, output, thinking: _ } = usage;
    json!({
        "inputTokens": input.saturating_sub(cached + cache_write),
        "outputTokens": output,
        "totalTokens": input + output,
        "cacheReadInputTokens": cached,
        "cacheReadInputTokenCount": cached,
        "cacheWriteInputTokens": cache_write,
        "cacheWriteInputTokenCount": cache_write,
        "serverToolUsage": {},
    })
}

/// Writes events and numbers the content blocks.
#[derive(Default)]
struct Events {
    frames: Vec<Frame>,
    block: usize,
}

impl Events {
    /// Every payload has some padding, whose length says nothing.
    fn push(&mut self, event: &'static str, mut data: Value) {
        let letters = "abcdefghijklmnopqrstuvwxyz";
        data.set("p", json!(letters.get(..1 + self.frames.len() % letters.len()).unwrap_or(letters)));
        self.frames.push(Frame { event: Some(event), data: data.to_string() });
    }

    fn delta(&mut self, delta: Value) {
        self.push("contentBlockDelta", json!({"contentBlockIndex": self.block, "delta": delta}));
    }

    fn stop(&mut self) {
        self.push("contentBlockStop", json!({"contentBlockIndex": self.block}));
        self.block += 1;
    }
}

/// Only calls have a start; a text begins with its first piece.
fn stream(_ask: &Ask, answer: &Answer, quirks: &Quirks) -> Vec<Frame> {
    let mut events = Events::default();
    events.push("messageStart", json!({"role": "assistant"}));
    if let Some(thought) = &answer.thought {
        if quirks.content.redacted {
            events.delta(json!({"reasoningContent": {"redactedContent": thought.signature}}));
        } else {
            for piece in &thought.pieces {
                events.delta(json!({"reasoningContent": {"text": piece}}));
            }
            events.delta(json!({"reasoningContent": {"signature": thought.signature}}));
        }
        events.stop();
    }
    if !answer.pieces.is_empty() {
        events.delta(json!({"text": ""}));
        for piece in &answer.pieces {
            events.delta(json!({"text": piece}));
        }
        events.stop();
    }
    for call in &answer.calls {
        let start = json!({"toolUse": {"name": call.name, "toolUseId": id_of(call)}});
        events.push("contentBlockStart", json!({"contentBlockIndex": events.block, "start": start}));
        for fragment in call.fragments() {
            events.delta(json!({"toolUse": {"input": fragment}}));
        }
        events.stop();
    }
    events.push("messageStop", json!({"stopReason": stop_reason(&answer.stop)}));
    let counts = match quirks.content.usage {
        UsageMode::Missing => None,
        UsageMode::Null => Some(Value::Null),
        UsageMode::Honest | UsageMode::Zero | UsageMode::Double | UsageMode::Early => {
            Some(usage(&answer.usage))
        }
    };
    if !quirks.breaks.no_done {
        let mut metadata = json!({"metrics": {"latencyMs": 42}});
        if let Some(counts) = counts {
            metadata.set("usage", counts);
        }
        events.push("metadata", metadata);
    }
    events.frames
}

fn status(kind: Kind) -> u16 {
    match kind {
        Kind::BadRequest
        | Kind::ContextLength
        | Kind::ContentFilter
        | Kind::InsufficientQuota
        | Kind::TooLarge => 400,
        Kind::InvalidKey | Kind::Permission => 403,
        Kind::ModelNotFound => 404,
        Kind::Timeout => 408,
        Kind::RateLimit => 429,
        Kind::Server => 500,
        Kind::Overloaded => 503,
    }
}

fn name(kind: Kind) -> &'static str {
    match kind {
        Kind::BadRequest | Kind::ContextLength | Kind::ContentFilter | Kind::TooLarge => {
            "ValidationException:http://internal.amazon.com/coral/com.amazon.bedrock/"
        }
        Kind::InvalidKey => "UnrecognizedClientException",
        Kind::Permission => "AccessDeniedException",
        Kind::InsufficientQuota => "ServiceQuotaExceededException",
        Kind::ModelNotFound => "ResourceNotFoundException",
        Kind::Timeout => "ModelTimeoutException",
        Kind::RateLimit => "ThrottlingException",
        Kind::Server => "InternalServerException",
        Kind::Overloaded => "ServiceUnavailableException",
    }
}

fn message(refusal: &Refusal) -> &str {
    match refusal.kind {
        Kind::ContextLength => "Input is too long for requested model.",
        Kind::InvalidKey if refusal.message == Kind::InvalidKey.message() => {
            "The security token included in the request is invalid."
        }
        Kind::BadRequest
        | Kind::InvalidKey
        | Kind::ContentFilter
        | Kind::InsufficientQuota
        | Kind::Permission
        | Kind::ModelNotFound
        | Kind::TooLarge
        | Kind::RateLimit
        | Kind::Server
        | Kind::Timeout
        | Kind::Overloaded => &refusal.message,
    }
}

/// A stream knows five exceptions.
fn interrupt(refusal: &Refusal, _status: StatusCode) -> Frame {
    let event = match refusal.kind {
        Kind::RateLimit => "throttlingException",
        Kind::Overloaded => "serviceUnavailableException",
        Kind::Timeout => "modelStreamErrorException",
        Kind::Server => "internalServerException",
        Kind::BadRequest
        | Kind::ContextLength
        | Kind::ContentFilter
        | Kind::InvalidKey
        | Kind::InsufficientQuota
        | Kind::Permission
        | Kind::ModelNotFound
        | Kind::TooLarge => "validationException",
    };
    Frame { event: Some(event), data: json!({"message": message(refusal)}).to_string() }
}
