//! Cohere's chat, version 2: <https://docs.cohere.com/v2/reference/chat>.

use http::StatusCode;
use serde_json::{Map, Value, json};

use super::{Arrival, Dialect, openai};
use crate::answer::{Answer, Call, Stop, Usage};
use crate::ask::{Ask, Thinking};
use crate::fault::{Kind, Refusal};
use crate::json::Fields as _;
use crate::quirks::{Quirks, UsageMode};
use crate::wire::Frame;

pub(crate) static DIALECT: Dialect = Dialect {
    name: "cohere",
    read,
    whole,
    stream,
    refuse,
    interrupt,
    status,
    id_header: "x-request-id",
    error_name: |_| None,
    counted: |_| Value::Null,
};

/// Every field it knows: any other is refused.
const FIELDS: &str = " citation_options documents frequency_penalty k max_tokens messages model p \
    presence_penalty priority response_format safety_mode seed stop_sequences stream strict_tools temperature \
    thinking tool_choice tools ";
const OF_MESSAGES: &str = " role content tool_calls tool_plan tool_call_id citations ";

/// What Cohere refuses; the rest is what OpenAI's reader understands in other words.
fn read(arrival: &Arrival<'_>) -> Result<Ask, Refusal> {
    let unknown = |known: &str, value: &Value| -> Vec<String> {
        let names = value.as_object().into_iter().flatten().map(|(name, _)| name);
        names.filter(|name| !known.contains(&format!(" {name} "))).cloned().collect()
    };
    let messages = arrival.body.at("messages").as_array().cloned().unwrap_or_default();
    let mut strange = unknown(FIELDS, arrival.body);
    strange.extend(messages.iter().flat_map(|message| unknown(OF_MESSAGES, message)));
    if let Some(name) = strange.first() {
        return Err(Refusal::bad(format!("invalid request: unknown field: parameter '{name}'")));
    }
    if arrival.body.at("p").as_f64().is_some_and(|p| !(0.01..=0.99).contains(&p)) {
        return Err(Refusal::bad("invalid request: p must be between 0.01 and 0.99 inclusive."));
    }
    let choice = arrival.body.at("tool_choice");
    if !choice.is_null() && !["REQUIRED", "NONE"].contains(&choice.as_str().unwrap_or_default()) {
        return Err(Refusal::bad("invalid request: tool_choice must be one of REQUIRED, NONE"));
    }
    let mut body = arrival.body.clone();
    if let Some(word) = choice.as_str() {
        body.set("tool_choice", json!(word.to_ascii_lowercase()));
    }
    body.set("stop", arrival.body.at("stop_sequences").clone());
    let schema = arrival.body.at("response_format").at("json_schema");
    if schema.is_object() {
        body.set(
            "response_format",
            json!({"type": "json_schema", "json_schema": {"name": "n", "schema": schema}}),
        );
    }
    let quirks = arrival.quirks;
    let (headers, model, said, wanted) =
        (arrival.headers, arrival.model.clone(), arrival.said.clone(), arrival.wanted);
    let mut ask = openai::read(&Arrival { headers, body: &body, model, said, quirks, wanted })?;
    if arrival.body.at("thinking").at("type") == "enabled" {
        ask.thinking = Thinking::Shown;
    }
    Ok(ask)
}

fn finish(stop: &Stop) -> &'static str {
    match stop {
        Stop::End => "COMPLETE",
        Stop::Sequence(_) => "STOP_SEQUENCE",
        Stop::Length => "MAX_TOKENS",
        Stop::Calls => "TOOL_CALL",
        Stop::Filter => "ERROR_TOXIC",
    }
}

/// What is billed, and what went through the model with its template.
fn usage(usage: &Usage) -> Value {
    let Usage { input, output, cached, .. } = usage;
    json!({"billed_units": {"input_tokens": input, "output_tokens": output},
           "tokens": {"input_tokens": input + 490, "output_tokens": output + 9}, "cached_tokens": cached})
}

fn end(answer: &Answer, quirks: &Quirks) -> Map<String, Value> {
    let mut made = Map::new();
    made.insert("finish_reason".into(), json!(finish(&answer.stop)));
    if !matches!(quirks.content.usage, UsageMode::Missing | UsageMode::Null) {
        made.insert("usage".into(), usage(&answer.usage));
    }
    made
}

fn call(call: &Call, arguments: Value) -> Value {
    json!({"id": format!("{}_{}", call.name, call.id), "type": "function",
           "function": {"name": call.name, "arguments": arguments}})
}

fn whole(_ask: &Ask, answer: &Answer, quirks: &Quirks) -> Value {
    let thought = answer.thought.as_ref().map(|thought| thought.text());
    let mut content: Vec<Value> = Vec::new();
    let mut message = json!({"role": "assistant"});
    match thought {
        Some(thought) if !answer.calls.is_empty() => message.set("tool_plan", json!(thought)),
        Some(thought) => content.push(json!({"type": "thinking", "thinking": thought})),
        None => {}
    }
    let text = answer.text();
    if !text.is_empty() {
        content.push(json!({"type": "text", "text": text}));
    }
    if !content.is_empty() {
        message.set("content", Value::Array(content));
    }
    if !answer.calls.is_empty() {
        message.set("tool_calls", answer.calls.iter().map(|one| call(one, json!(one.arguments))).collect());
    }
    let mut made = end(answer, quirks);
    made.insert("id".into(), json!(answer.id));
    made.insert("message".into(), message);
    Value::Object(made)
}

fn frame(kind: &'static str, mut rest: Value) -> Frame {
    rest.set("type", json!(kind));
    Frame { event: Some(kind), data: rest.to_string() }
}

fn piece(kind: &'static str, index: usize, message: Value) -> Frame {
    frame(kind, json!({"index": index, "delta": {"message": message}}))
}

fn stream(_ask: &Ask, answer: &Answer, quirks: &Quirks) -> Vec<Frame> {
    let empty =
        json!({"role": "assistant", "content": [], "tool_plan": "", "tool_calls": [], "citations": []});
    let mut frames = vec![frame("message-start", json!({"id": answer.id, "delta": {"message": empty}}))];
    let planned = !answer.calls.is_empty();
    let mut block = 0;
    if let Some(thought) = &answer.thought {
        if planned {
            let plan =
                |text: &String| frame("tool-plan-delta", json!({"delta": {"message": {"tool_plan": text}}}));
            frames.extend(thought.pieces.iter().map(plan));
        } else {
            frames.push(piece("content-start", 0, json!({"content": {"type": "thinking", "thinking": ""}})));
            let think = |text: &String| piece("content-delta", 0, json!({"content": {"thinking": text}}));
            frames.extend(thought.pieces.iter().map(think));
            frames.push(frame("content-end", json!({"index": 0})));
            block = 1;
        }
    }
    if !answer.pieces.is_empty() {
        frames.push(piece("content-start", block, json!({"content": {"type": "text", "text": ""}})));
        let say = |text: &String| piece("content-delta", block, json!({"content": {"text": text}}));
        frames.extend(answer.pieces.iter().map(say));
        frames.push(frame("content-end", json!({"index": block})));
    }
    for (index, one) in answer.calls.iter().enumerate() {
        frames.push(piece("tool-call-start", index, json!({"tool_calls": call(one, Value::Null)})));
        for fragment in one.fragments() {
            let function = json!({"function": {"arguments": fragment}});
            frames.push(piece("tool-call-delta", index, json!({"tool_calls": function})));
        }
        frames.push(frame("tool-call-end", json!({"index": index})));
    }
    frames.push(frame("message-end", json!({"delta": end(answer, quirks)})));
    if !quirks.breaks.no_done {
        frames.push(Frame::data("[DONE]"));
    }
    frames
}

fn status(kind: Kind) -> u16 {
    if kind == Kind::InsufficientQuota {
        return 402;
    }
    if kind == Kind::ContentFilter { 498 } else { openai::status(kind) }
}

fn refuse(refusal: &Refusal, _status: StatusCode) -> Value {
    let mut made = json!({"id": "sim-error", "message": refusal.message});
    if refusal.kind == Kind::ContextLength {
        made.set("error_type", json!("TOO_MANY_TOKENS"));
    }
    made
}

/// Its streams have no error but this end.
fn interrupt(refusal: &Refusal, _status: StatusCode) -> Frame {
    let word = if refusal.kind == Kind::Timeout { "TIMEOUT" } else { "ERROR" };
    frame("message-end", json!({"delta": {"finish_reason": word, "error": refusal.message}}))
}
