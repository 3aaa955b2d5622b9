//! Ollama's own chat: <https://docs.ollama.com/api/chat>.

use http::StatusCode;
use serde_json::{Value, json};

use super::{Arrival, Dialect, openai};
use crate::answer::{Answer, Call, Stop};
use crate::ask::{Ask, Thinking};
use crate::fault::{Kind, Refusal};
use crate::json::Fields as _;
use crate::quirks::{Quirks, UsageMode};
use crate::wire::Frame;

const CREATED: &str = "2026-01-01T00:00:00Z";

pub(crate) static DIALECT: Dialect = Dialect {
    name: "ollama",
    read,
    whole,
    stream,
    refuse,
    interrupt: |refusal, status| Frame::data(refuse(refusal, status)),
    status,
    id_header: "x-request-id",
    error_name: |_| None,
    counted: |_| Value::Null,
};

/// It ignores what it does not know, and takes arguments as objects only.
fn read(arrival: &Arrival<'_>) -> Result<Ask, Refusal> {
    let theirs = arrival.body;
    let mut body = json!({"model": arrival.model, "tools": theirs.at("tools"), "messages": []});
    if theirs.at("tools").is_null() {
        body = json!({"model": arrival.model, "messages": []});
    }
    let mut messages = Vec::new();
    // Ids are made of the order of calls, since it has none.
    let mut waiting: Vec<(String, String)> = Vec::new();
    for (at, message) in theirs.at("messages").as_array().into_iter().flatten().enumerate() {
        let mut made = json!({"role": message.at("role"), "content": message.at("content")});
        if !message.at("content").is_string() {
            return Err(Refusal::bad(
                "json: cannot unmarshal array into Go struct field ChatRequest.messages.content of type string",
            ));
        }
        let images = message.at("images").as_array().map_or(0, Vec::len);
        if images > 0 {
            let mut content = vec![json!({"type": "text", "text": message.at("content")})];
            let image = json!({"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}});
            content.extend(std::iter::repeat_n(image, images));
            made.set("content", Value::Array(content));
        }
        let mut calls = Vec::new();
        for (number, call) in message.at("tool_calls").as_array().into_iter().flatten().enumerate() {
            let (function, id) = (call.at("function"), format!("call_{at}_{number}"));
            if !function.at("arguments").is_object() {
                return Err(Refusal::bad(
                    "json: cannot unmarshal string into Go struct field ToolCallFunction.arguments of type map",
                ));
            }
            let name = function.at("name").as_str().unwrap_or_default().to_owned();
            calls.push(json!({"id": id, "type": "function",
                "function": {"name": name, "arguments": function.at("arguments").to_string()}}));
            waiting.push((name, id));
        }
        if !calls.is_empty() {
            made.set("tool_calls", Value::Array(calls));
        }
        if message.at("role") == "tool" {
            let name = message.at("tool_name").as_str().unwrap_or_default();
            let place = waiting.iter().position(|(waits, _)| waits == name);
            let Some(place) = place else { return Err(Refusal::bad("a tool's result without its call")) };
            made.set("tool_call_id", json!(waiting.remove(place).1));
        }
        messages.push(made);
    }
    body.set("messages", Value::Array(messages));
    let format = theirs.at("format");
    if *format == "json" {
        body.set("response_format", json!({"type": "json_object"}));
    } else if format.is_object() {
        body.set(
            "response_format",
            json!({"type": "json_schema", "json_schema": {"name": "n", "schema": format}}),
        );
    }
    let options = theirs.at("options");
    for (name, ours) in [("num_predict", "max_tokens"), ("stop", "stop"), ("temperature", "temperature")] {
        if !options.at(name).is_null() {
            body.set(ours, options.at(name).clone());
        }
    }
    let (headers, quirks, wanted) = (arrival.headers, arrival.quirks, arrival.wanted);
    let (model, said) = (arrival.model.clone(), arrival.said.clone());
    let mut ask = openai::read(&Arrival { headers, body: &body, model, said, quirks, wanted })?;
    if !matches!(theirs.at("think"), Value::Null | Value::Bool(false)) {
        ask.thinking = Thinking::Shown;
    }
    Ok(ask)
}

fn call(call: &Call) -> Value {
    let arguments: Value = serde_json::from_str(&call.arguments).unwrap_or_else(|_| json!({}));
    json!({"function": {"name": call.name, "arguments": arguments}})
}

fn line(ask: &Ask, mut message: Value) -> Value {
    message.set("role", json!("assistant"));
    json!({"model": ask.model, "created_at": CREATED, "message": message, "done": false})
}

fn ended(mut line: Value, answer: &Answer, quirks: &Quirks) -> Value {
    line.set("done", json!(true));
    line.set("done_reason", json!(if answer.stop == Stop::Length { "length" } else { "stop" }));
    line.set("total_duration", json!(1_000_000));
    if !matches!(quirks.content.usage, UsageMode::Missing | UsageMode::Null) {
        line.set("prompt_eval_count", json!(answer.usage.input));
        line.set("eval_count", json!(answer.usage.output));
    }
    line
}

fn whole(ask: &Ask, answer: &Answer, quirks: &Quirks) -> Value {
    let mut message = json!({"content": answer.text()});
    if let Some(thought) = &answer.thought {
        message.set("thinking", json!(thought.text()));
    }
    if !answer.calls.is_empty() {
        message.set("tool_calls", answer.calls.iter().map(call).collect());
    }
    ended(line(ask, message), answer, quirks)
}

fn stream(ask: &Ask, answer: &Answer, quirks: &Quirks) -> Vec<Frame> {
    let thoughts = answer.thought.iter().flat_map(|thought| &thought.pieces);
    let thoughts = thoughts.map(|piece| json!({"content": "", "thinking": piece}));
    let words = answer.pieces.iter().map(|piece| json!({"content": piece}));
    let calls = answer.calls.iter().map(|one| json!({"content": "", "tool_calls": [call(one)]}));
    let messages = thoughts.chain(words).chain(calls);
    let mut frames: Vec<Frame> = messages.map(|message| Frame::data(line(ask, message))).collect();
    frames.push(Frame::data(ended(line(ask, json!({"content": ""})), answer, quirks)));
    frames
}

fn status(kind: Kind) -> u16 {
    openai::status(kind)
}

fn refuse(refusal: &Refusal, _status: StatusCode) -> Value {
    json!({"error": refusal.message})
}
