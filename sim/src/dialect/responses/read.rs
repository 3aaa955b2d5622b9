//! Reading a Responses request.

use serde_json::Value;

use super::check;
use crate::ask::{
    Ask, Choice, Format, Last, Parallel, Prompt, StreamUsage, Thinking, Tool, ToolResult, texts,
};
use crate::dialect::Arrival;
use crate::fault::Refusal;
use crate::json::Fields as _;
use crate::log::key_of;

pub(super) fn read(arrival: &Arrival<'_>) -> Result<Ask, Refusal> {
    let body = arrival.body;
    check::check(arrival)?;
    let items = body.at("input").as_array().map_or(&[][..], Vec::as_slice);
    let reasoning = body.at("reasoning");
    Ok(Ask {
        model: arrival.model.clone(),
        last: last(items, &arrival.said),
        prompt: prompt(body, items),
        max_tokens: body.at("max_output_tokens").as_u64(),
        stops: Vec::new(),
        choices: 1,
        tools: body.at("tools").as_array().into_iter().flatten().filter_map(tool).collect(),
        choice: choice(body.at("tool_choice")),
        parallel: match body.at("parallel_tool_calls").as_bool() {
            Some(false) => Parallel::Forbidden,
            Some(true) | None => Parallel::Allowed,
        },
        format: format(body.at("text").at("format")),
        thinking: match (reasoning.at("effort").as_str(), reasoning.at("summary").is_string()) {
            (None | Some("none"), false) => Thinking::Off,
            (Some(_), false) => Thinking::Hidden,
            (_, true) => Thinking::Shown,
        },
        // In every stream.
        stream_usage: StreamUsage::Asked,
        account: account(arrival),
        logprobs: None,
        cache: Vec::new(),
        ..Ask::default()
    })
}

/// Whoever has the key is one account.
pub(super) fn account(arrival: &Arrival<'_>) -> String {
    key_of(arrival.headers, "").unwrap_or_default()
}

fn tool(tool: &Value) -> Option<Tool> {
    let name = tool.at("name").as_str().filter(|_| tool.at("type") == "function")?;
    Some(Tool { name: name.into(), schema: tool.at("parameters").clone() })
}

fn choice(choice: &Value) -> Choice {
    match (choice.as_str(), choice.at("name").as_str()) {
        (Some("none"), _) => Choice::Never,
        (Some("required"), _) => Choice::Required,
        (None, Some(name)) => Choice::Named(name.into()),
        (Some(_), _) | (None, None) => Choice::Auto,
    }
}

fn format(format: &Value) -> Format {
    match format.at("type").as_str() {
        Some("json_schema") => Format::Schema(format.at("schema").clone()),
        Some("json_object") => Format::Object,
        Some(_) | None => Format::Text,
    }
}

fn last(items: &[Value], said: &str) -> Last {
    let answered = items.iter().rev().take_while(|item| item.at("type") == "function_call_output");
    let result = |item: &Value| ToolResult {
        name: name_of(items, item.at("call_id")),
        text: output(item.at("output")),
    };
    let results: Vec<ToolResult> = answered.map(result).collect();
    if !results.is_empty() {
        return Last::Results(results.into_iter().rev().collect());
    }
    match items.last() {
        Some(item) if item.at("role") == "assistant" => Last::Assistant,
        Some(_) | None => Last::User(said.into()),
    }
}

fn output(output: &Value) -> String {
    match output.as_array() {
        Some(parts) => parts.iter().filter_map(|part| part.at("text").as_str()).collect(),
        None => output.as_str().unwrap_or_default().into(),
    }
}

/// The function that the call with this id named.
fn name_of(items: &[Value], id: &Value) -> String {
    let mut calls = items.iter().filter(|item| item.at("type") == "function_call");
    let call = calls.find(|call| call.at("call_id") == id);
    call.and_then(|call| call.at("name").as_str()).unwrap_or("unknown").into()
}

fn prompt(body: &Value, items: &[Value]) -> Prompt {
    let mut prompt = Prompt::default();
    prompt.add(body.at("instructions").as_str().unwrap_or_default());
    prompt.add(body.at("input").as_str().unwrap_or_default());
    for item in items {
        prompt.add(&texts(item, ""));
        prompt.add(&output(item.at("output")));
        prompt.add(item.at("name").as_str().unwrap_or_default());
        prompt.add(item.at("arguments").as_str().unwrap_or_default());
        let parts = item.at("content").as_array().into_iter().flatten();
        prompt.images += parts.filter(|part| part.at("type") == "input_image").count();
    }
    if body.at("tools").is_array() {
        prompt.add(&body.at("tools").to_string());
    }
    prompt
}
