//! Facts about the dialect as a whole.

mod answers;
mod conversation;
mod requests;
mod streams;

use super::Anthropic;
use crate::call::{
    Attribution, CacheMark, Call, Delivery, Extras, Message, Opaque, Output, Part, Role, Sampling, Text,
    Tool, ToolCall, ToolFunction, ToolResult,
};
use crate::dialect::Dialect;
use crate::fault::Fault;
use crate::provider::{Encoded, Provider as _, Target};
use crate::vendor::{Auth, Quirks, Vendor};
use serde_json::{Value, json};

const OLD: &str = "claude-sonnet-4-20250514";
const SONNET_45: &str = "claude-sonnet-4-5";
const OPUS_48: &str = "claude-opus-4-8";
const OPUS_5: &str = "claude-opus-5";

fn vendor() -> Vendor {
    Vendor {
        name: "anthropic",
        title: "Anthropic",
        dialect: Dialect::Anthropic,
        base_url: "https://api.anthropic.com/v1",
        auth: Auth::Header("x-api-key"),
        env: &[],
        address: crate::vendor::Address::NONE,
        quirks: Quirks::default(),
        also: None,
    }
}

fn call(messages: Vec<Message>) -> Call {
    Call {
        system: Vec::new(),
        model: "m".to_owned(),
        messages,
        tools: Vec::new(),
        tool_choice: None,
        parallel_tools: None,
        sampling: Sampling::default(),
        output: Output::default(),
        reasoning: None,
        delivery: Delivery::Whole,
        attribution: Attribution::default(),
        cache: None,
        origin: Dialect::OpenAi,
        extras: Extras::new(),
    }
}

fn hello() -> Call {
    call(vec![user("Hello")])
}

fn message(role: Role, parts: Vec<Part>) -> Message {
    Message { role, name: None, parts, extras: Extras::new() }
}

fn text(text: &str) -> Part {
    Part::Text(Text::new(text))
}

fn user(words: &str) -> Message {
    message(Role::User, vec![text(words)])
}

fn assistant(words: &str) -> Message {
    message(Role::Assistant, vec![text(words)])
}

fn system(words: &str) -> Message {
    message(Role::System, vec![text(words)])
}

fn tool_call(id: &str, arguments: &str) -> Part {
    Part::ToolCall(ToolCall {
        id: id.to_owned(),
        name: "look".to_owned(),
        arguments: arguments.to_owned(),
        signature: None,
        cache: None,
    })
}

fn result(id: &str, words: &str) -> Message {
    message(Role::Tool, vec![Part::ToolResult(tool_result(id, vec![text(words)]))])
}

fn tool_result(id: &str, parts: Vec<Part>) -> ToolResult {
    ToolResult { call_id: id.to_owned(), name: None, parts, failed: None, cache: None }
}

fn function(name: &str) -> ToolFunction {
    ToolFunction {
        name: name.to_owned(),
        description: None,
        parameters: Some(json!({"type": "object", "properties": {"a": {"type": "string"}}})),
        strict: None,
        cache: None,
        extras: Extras::new(),
    }
}

fn tools(names: &[&str]) -> Vec<Tool> {
    names.iter().map(|name| Tool::Function(function(name))).collect()
}

fn mark(ttl: Option<&str>) -> CacheMark {
    CacheMark { ttl: ttl.map(str::to_owned), extras: Extras::new() }
}

fn opaque(origin: Dialect, value: Value) -> Opaque {
    Opaque { origin, value }
}

fn try_encode(call: &Call, model: &str) -> Result<Encoded, Fault> {
    Anthropic.encode(call, &Target { vendor: &vendor(), model })
}

/// The body written, and what was lost.
struct Sent {
    body: Value,
    lost: Vec<String>,
}

fn encode(call: &Call, model: &str) -> Sent {
    let encoded = try_encode(call, model).unwrap();
    Sent { body: serde_json::from_slice(&encoded.body).unwrap(), lost: encoded.lost }
}

impl Sent {
    /// What stands at a JSON pointer; null if nothing does.
    fn at(&self, pointer: &str) -> Value {
        self.body.pointer(pointer).cloned().unwrap_or_default()
    }
}
