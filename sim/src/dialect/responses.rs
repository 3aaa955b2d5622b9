//! OpenAI Responses.

mod check;
mod read;

use http::StatusCode;
use serde_json::{Map, Value, json};

use super::{Dialect, openai};
use crate::answer::{Answer, Call, Stop, Usage};
use crate::ask::Ask;
use crate::fault::Refusal;
use crate::json::Fields as _;
use crate::quirks::{Quirks, UsageMode};
use crate::wire::Frame;

const CREATED: u64 = 1_767_225_600;

pub(crate) static DIALECT: Dialect = Dialect {
    name: "openai-responses",
    read: read::read,
    whole,
    stream,
    refuse: openai::refuse,
    interrupt,
    status: openai::status,
    id_header: "x-request-id",
    error_name: |_| None,
    // It has no such requests here.
    counted: |_| Value::Null,
};

/// An event that tells of an error, with its place in the stream unknown.
fn interrupt(refusal: &Refusal, status: StatusCode) -> Frame {
    let error = openai::refuse(refusal, status).at("error").clone();
    let event = json!({"type": "error", "code": error.at("code"), "message": error.at("message"),
        "param": error.at("param"), "sequence_number": 0});
    Frame { event: Some("error"), data: event.to_string() }
}

fn whole(ask: &Ask, answer: &Answer, quirks: &Quirks) -> Value {
    response(ask, answer, quirks, items(answer))
}

/// The response with these items, as it ends.
fn response(ask: &Ask, answer: &Answer, quirks: &Quirks, output: Vec<Value>) -> Value {
    let mut made = begun(ask, answer);
    let reason = incomplete(&answer.stop);
    made.insert("status".into(), json!(if reason.is_some() { "incomplete" } else { "completed" }));
    made.insert("incomplete_details".into(), reason.map_or(Value::Null, |reason| json!({"reason": reason})));
    made.insert("output".into(), Value::Array(output));
    match quirks.content.usage {
        UsageMode::Missing => {
            made.remove("usage");
        }
        UsageMode::Null => {}
        UsageMode::Honest | UsageMode::Zero | UsageMode::Double | UsageMode::Early => {
            made.insert("usage".into(), usage(&answer.usage));
        }
    }
    Value::Object(made)
}

/// The response as it begins.
fn begun(ask: &Ask, answer: &Answer) -> Map<String, Value> {
    let tools: Vec<Value> = ask
        .tools
        .iter()
        .map(|tool| {
            json!({"type": "function", "name": tool.name, "description": null, "parameters": tool.schema,
            "strict": false})
        })
        .collect();
    let made = json!({
        "id": format!("resp_sim{}", answer.id), "object": "response", "created_at": CREATED,
        "status": "in_progress", "background": false, "error": null, "incomplete_details": null,
        "instructions": null, "max_output_tokens": ask.max_tokens, "model": ask.model, "output": [],
        "parallel_tool_calls": true, "previous_response_id": null, "reasoning": {"effort": null, "summary": null},
        "service_tier": "default", "store": false, "temperature": 1.0, "text": {"format": {"type": "text"}},
        "tool_choice": "auto", "tools": tools, "top_p": 1.0, "truncation": "disabled", "usage": null,
        "user": null, "metadata": {},
    });
    made.as_object().cloned().unwrap_or_default()
}

fn incomplete(stop: &Stop) -> Option<&'static str> {
    match stop {
        Stop::End | Stop::Sequence(_) | Stop::Calls => None,
        Stop::Length => Some("max_output_tokens"),
        Stop::Filter => Some("content_filter"),
    }
}

fn usage(usage: &Usage) -> Value {
    let Usage { input, cached, cache_write, output, thinking } = usage;
    json!({
        "input_tokens": input,
        "input_tokens_details": {"cached_tokens": cached, "cache_write_tokens": cache_write},
        "output_tokens": output, "output_tokens_details": {"reasoning_tokens": thinking},
        "total_tokens": input + output,
    })
}

/// The items of the answer, each whole.
fn items(answer: &Answer) -> Vec<Value> {
    let Answer { id, thought, pieces, calls, stop, usage: _ } = answer;
    let mut made = Vec::new();
    if let Some(thought) = thought {
        made.push(json!({"id": format!("rs_{id}"), "type": "reasoning",
            "summary": [{"type": "summary_text", "text": thought.text()}], "encrypted_content": thought.signature}));
    }
    if calls.is_empty() || !pieces.is_empty() {
        let part = text_part(&answer.text());
        let status = if incomplete(stop).is_some() { "incomplete" } else { "completed" };
        made.push(
            json!({"id": format!("msg_{id}"), "type": "message", "status": status, "role": "assistant",
            "content": [part]}),
        );
    }
    made.extend(calls.iter().map(|call| call_item(call, &call.arguments, "completed")));
    made
}

fn text_part(text: &str) -> Value {
    json!({"type": "output_text", "annotations": [], "logprobs": [], "text": text})
}

fn call_item(call: &Call, arguments: &str, status: &str) -> Value {
    json!({"id": format!("fc_{}", call.id), "type": "function_call", "status": status, "arguments": arguments,
        "call_id": format!("call_{}", call.id), "name": call.name})
}

/// Writes events with their numbers.
#[derive(Default)]
struct Events {
    frames: Vec<Frame>,
}

impl Events {
    fn push(&mut self, kind: &'static str, mut event: Value) {
        event.set("type", json!(kind));
        event.set("sequence_number", json!(self.frames.len()));
        self.frames.push(Frame { event: Some(kind), data: event.to_string() });
    }
}

fn stream(ask: &Ask, answer: &Answer, quirks: &Quirks) -> Vec<Frame> {
    let mut events = Events::default();
    for kind in ["response.created", "response.in_progress"] {
        events.push(kind, json!({"response": begun(ask, answer)}));
    }
    let items = items(answer);
    let calls: Vec<usize> = (0..items.len()).filter(|at| items.get(*at).at_type("function_call")).collect();
    for (at, item) in items.iter().enumerate() {
        match item.at("type").as_str() {
            Some("reasoning") => reasoning(&mut events, answer, at, item),
            Some("message") => message(&mut events, answer, at, item),
            Some(_) | None => {}
        }
    }
    self::calls(&mut events, answer, quirks, &calls);
    if !quirks.breaks.no_done {
        let last = response(ask, answer, quirks, items);
        let kind =
            if incomplete(&answer.stop).is_some() { "response.incomplete" } else { "response.completed" };
        events.push(kind, json!({"response": last}));
    }
    events.frames
}

/// Whether an item is of a type.
trait OfType {
    fn at_type(&self, kind: &str) -> bool;
}

impl OfType for Option<&Value> {
    fn at_type(&self, kind: &str) -> bool {
        self.is_some_and(|item| item.at("type") == kind)
    }
}

fn reasoning(events: &mut Events, answer: &Answer, at: usize, item: &Value) {
    let Some(thought) = &answer.thought else { return };
    let id = item.at("id");
    let place = |mut more: Value| {
        more.set("item_id", id.clone());
        more.set("output_index", json!(at));
        more.set("summary_index", json!(0));
        more
    };
    let opening = json!({"id": id, "type": "reasoning", "summary": [], "encrypted_content": null});
    events.push("response.output_item.added", json!({"output_index": at, "item": opening}));
    let part = |text: &str| json!({"part": {"type": "summary_text", "text": text}});
    events.push("response.reasoning_summary_part.added", place(part("")));
    for piece in &thought.pieces {
        events.push("response.reasoning_summary_text.delta", place(json!({"delta": piece})));
    }
    events.push("response.reasoning_summary_text.done", place(json!({"text": thought.text()})));
    events.push("response.reasoning_summary_part.done", place(part(&thought.text())));
    events.push("response.output_item.done", json!({"output_index": at, "item": item}));
}

fn message(events: &mut Events, answer: &Answer, at: usize, item: &Value) {
    let id = item.at("id");
    let place = |mut more: Value| {
        more.set("item_id", id.clone());
        more.set("output_index", json!(at));
        more.set("content_index", json!(0));
        more
    };
    let opening =
        json!({"id": id, "type": "message", "status": "in_progress", "content": [], "role": "assistant"});
    events.push("response.output_item.added", json!({"output_index": at, "item": opening}));
    events.push("response.content_part.added", place(json!({"part": text_part("")})));
    for piece in &answer.pieces {
        events.push("response.output_text.delta", place(json!({"delta": piece, "logprobs": []})));
    }
    let text = answer.text();
    events.push("response.output_text.done", place(json!({"text": text, "logprobs": []})));
    events.push("response.content_part.done", place(json!({"part": text_part(&text)})));
    events.push("response.output_item.done", json!({"output_index": at, "item": item}));
}

/// Each call opens, goes on in fragments and ends; with `interleave` all are open at once.
fn calls(events: &mut Events, answer: &Answer, quirks: &Quirks, places: &[usize]) {
    let mut all: Vec<(usize, &Call)> = places.iter().copied().zip(&answer.calls).collect();
    let groups: Vec<Vec<(usize, &Call)>> = if quirks.content.interleave {
        vec![std::mem::take(&mut all)]
    } else {
        all.into_iter().map(|one| vec![one]).collect()
    };
    for group in groups {
        for (at, call) in &group {
            let item = call_item(call, "", "in_progress");
            events.push("response.output_item.added", json!({"output_index": at, "item": item}));
        }
        let longest = group.iter().map(|(_, call)| call.fragments().len()).max().unwrap_or(0);
        for turn in 0..longest {
            for (at, call) in &group {
                if let Some(piece) = call.fragments().get(turn) {
                    let event =
                        json!({"item_id": format!("fc_{}", call.id), "output_index": at, "delta": piece});
                    events.push("response.function_call_arguments.delta", event);
                }
            }
        }
        for (at, call) in &group {
            let id = format!("fc_{}", call.id);
            let done =
                json!({"item_id": id, "output_index": at, "name": call.name, "arguments": call.arguments});
            events.push("response.function_call_arguments.done", done);
            let item = call_item(call, &call.arguments, "completed");
            events.push("response.output_item.done", json!({"output_index": at, "item": item}));
        }
    }
}
