//! Reading a chat completions request.

use serde_json::Value;

use super::check;
use crate::ask::{
    Ask, Choice, Format, Last, Parallel, Prompt, StreamUsage, Thinking, Tool, ToolResult, texts,
};
use crate::dialect::Arrival;
use crate::fault::Refusal;
use crate::json::Fields as _;

pub(in crate::dialect) fn read(arrival: &Arrival<'_>) -> Result<Ask, Refusal> {
    let body = arrival.body;
    check::check(arrival)?;
    let messages = body.at("messages").as_array().map_or(&[][..], Vec::as_slice);
    Ok(Ask {
        model: arrival.model.clone(),
        last: last(messages, &arrival.said),
        prompt: prompt(body, messages),
        max_tokens: body.at("max_completion_tokens").as_u64().or_else(|| body.at("max_tokens").as_u64()),
        stops: stops(body.at("stop")),
        choices: body.at("n").as_u64().unwrap_or(1),
        tools: body.at("tools").as_array().into_iter().flatten().filter_map(tool).collect(),
        choice: choice(body.at("tool_choice")),
        parallel: match body.at("parallel_tool_calls").as_bool() {
            Some(false) => Parallel::Forbidden,
            Some(true) | None => Parallel::Allowed,
        },
        format: format(body.at("response_format")),
        thinking: match body.at("reasoning_effort").as_str() {
            None | Some("none") => Thinking::Off,
            Some(_) => Thinking::Shown,
        },
        stream_usage: match body.at("stream_options").at("include_usage").as_bool() {
            Some(true) => StreamUsage::Asked,
            Some(false) | None => StreamUsage::Unasked,
        },
        logprobs: (*body.at("logprobs") == Value::Bool(true))
            .then(|| body.at("top_logprobs").as_u64().unwrap_or(0).min(20) as usize),
        cache: Vec::new(),
        ..Ask::default()
    })
}

fn stops(stop: &Value) -> Vec<String> {
    match stop.as_array() {
        Some(many) => many.iter().filter_map(Value::as_str).map(String::from).collect(),
        None => stop.as_str().map(String::from).into_iter().collect(),
    }
}

fn tool(tool: &Value) -> Option<Tool> {
    let function = &tool.at("function");
    Some(Tool { name: function.at("name").as_str()?.into(), schema: function.at("parameters").clone() })
}

fn choice(choice: &Value) -> Choice {
    match choice.as_str() {
        Some("none") => Choice::Never,
        Some("required") => Choice::Required,
        Some(_) => Choice::Auto,
        None => match choice.at("function").at("name").as_str() {
            Some(name) => Choice::Named(name.into()),
            None => Choice::Auto,
        },
    }
}

fn format(format: &Value) -> Format {
    match format.at("type").as_str() {
        Some("json_schema") => Format::Schema(format.at("json_schema").at("schema").clone()),
        Some("json_object") => Format::Object,
        Some(_) | None => Format::Text,
    }
}

fn last(messages: &[Value], said: &str) -> Last {
    let answered = messages.iter().rev().take_while(|message| message.at("role") == "tool");
    let result = |message: &Value| ToolResult {
        name: name_of(messages, message.at("tool_call_id")),
        text: texts(message, ""),
    };
    let results: Vec<ToolResult> = answered.map(result).collect();
    if !results.is_empty() {
        return Last::Results(results.into_iter().rev().collect());
    }
    match messages.last() {
        Some(message) if message.at("role") == "assistant" => Last::Assistant,
        Some(_) | None => Last::User(said.into()),
    }
}

/// The function that the call with this id named.
fn name_of(messages: &[Value], id: &Value) -> String {
    let mut calls = messages.iter().filter_map(|message| message.at("tool_calls").as_array()).flatten();
    let call = calls.find(|call| call.at("id") == id);
    call.and_then(|call| call.at("function").at("name").as_str()).unwrap_or("unknown").into()
}

fn prompt(body: &Value, messages: &[Value]) -> Prompt {
    let mut prompt = Prompt::default();
    for message in messages {
        prompt.add(&texts(message, ""));
        for call in message.at("tool_calls").as_array().into_iter().flatten() {
            prompt.add(call.at("function").at("name").as_str().unwrap_or_default());
            prompt.add(call.at("function").at("arguments").as_str().unwrap_or_default());
        }
        let parts = message.at("content").as_array().into_iter().flatten();
        prompt.images += parts.filter(|part| part.at("type") == "image_url").count();
    }
    if body.at("tools").is_array() {
        prompt.add(&body.at("tools").to_string());
    }
    prompt
}
