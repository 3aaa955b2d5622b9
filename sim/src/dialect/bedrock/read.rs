//! Reading a request of Converse.

use serde_json::Value;

use super::check;
use crate::ask::{
    Ask, CacheMark, Choice, Format, Last, Parallel, Prompt, StreamUsage, Thinking, Tool, ToolResult,
    fingerprint,
};
use crate::dialect::Arrival;
use crate::fault::Refusal;
use crate::json::Fields as _;

/// The members of a list, none for anything else.
pub(super) fn list(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}

pub(super) fn read(arrival: &Arrival<'_>) -> Result<Ask, Refusal> {
    let body = arrival.body;
    check::check(arrival)?;
    let messages = list(body.at("messages"));
    let config = body.at("inferenceConfig");
    let more = body.at("additionalModelRequestFields");
    let choice = body.at("toolConfig").at("toolChoice");
    let thinks = matches!(more.at("thinking").at("type").as_str(), Some("enabled" | "adaptive"));
    let named = choice.at("tool").at("name").as_str();
    Ok(Ask {
        model: arrival.model.clone(),
        last: last(messages, &arrival.said),
        prompt: prompt(body, messages),
        max_tokens: config.at("maxTokens").as_u64(),
        stops: list(config.at("stopSequences")).iter().filter_map(Value::as_str).map(String::from).collect(),
        choices: 1,
        tools: list(body.at("toolConfig").at("tools")).iter().filter_map(tool).collect(),
        choice: match named {
            Some(name) => Choice::Named(name.to_owned()),
            None if choice.at("any").is_object() => Choice::Required,
            None => Choice::Auto,
        },
        parallel: Parallel::Allowed,
        format: format(body),
        thinking: if thinks { Thinking::Shown } else { Thinking::Off },
        stream_usage: StreamUsage::Asked,
        logprobs: None,
        cache: cache(body, messages),
        ..Ask::default()
    })
}

fn tool(tool: &Value) -> Option<Tool> {
    let spec = tool.at("toolSpec");
    Some(Tool { name: spec.at("name").as_str()?.into(), schema: spec.at("inputSchema").at("json").clone() })
}

fn format(body: &Value) -> Format {
    let schema = body.at("outputConfig").at("textFormat").at("structure").at("jsonSchema").at("schema");
    match schema.as_str().and_then(|text| serde_json::from_str(text).ok()) {
        Some(schema) => Format::Schema(schema),
        None => Format::Text,
    }
}

fn last(messages: &[Value], said: &str) -> Last {
    let Some(message) = messages.last() else { return Last::default() };
    if message.at("role") == "assistant" {
        return Last::Assistant;
    }
    let result = |block: &Value| {
        let result = block.get("toolResult")?;
        let text: Vec<String> = list(result.at("content"))
            .iter()
            .map(|block| block.at("text").as_str().map_or_else(|| block.at("json").to_string(), String::from))
            .collect();
        let name = name_of(messages, result.at("toolUseId"));
        Some(ToolResult { name, text: text.concat() })
    };
    let results: Vec<ToolResult> = list(message.at("content")).iter().filter_map(result).collect();
    if results.is_empty() { Last::User(said.into()) } else { Last::Results(results) }
}

fn name_of(messages: &[Value], id: &Value) -> String {
    let blocks = messages.iter().flat_map(|message| list(message.at("content")));
    let mut calls = blocks.filter_map(|block| block.get("toolUse"));
    let call = calls.find(|call| call.at("toolUseId") == id);
    call.and_then(|call| call.at("name").as_str()).unwrap_or_default().to_owned()
}

fn blocks<'b>(body: &'b Value, messages: &'b [Value]) -> impl Iterator<Item = &'b Value> {
    let system = list(body.at("system")).iter();
    system.chain(messages.iter().flat_map(|message| list(message.at("content"))))
}

fn prompt(body: &Value, messages: &[Value]) -> Prompt {
    let mut prompt = Prompt::default();
    for block in blocks(body, messages) {
        prompt.add(block.at("text").as_str().unwrap_or_default());
        for name in ["toolUse", "toolResult", "reasoningContent"] {
            if let Some(value) = block.get(name) {
                prompt.add(&value.to_string());
            }
        }
        prompt.images += usize::from(block.get("image").is_some());
    }
    let tools = body.at("toolConfig").at("tools");
    if tools.is_array() {
        prompt.add(&tools.to_string());
    }
    prompt
}

/// The prefixes that end at a mark.
fn cache(body: &Value, messages: &[Value]) -> Vec<CacheMark> {
    let (mut so_far, mut marks) = (String::new(), Vec::new());
    for block in list(body.at("toolConfig").at("tools")).iter().chain(blocks(body, messages)) {
        if block.get("cachePoint").is_some() {
            marks.push(CacheMark { fingerprint: fingerprint(so_far.as_bytes()), bytes: so_far.len() });
        } else {
            so_far.push_str(&block.to_string());
        }
    }
    marks
}
