//! Reading a messages request.

use serde_json::Value;

use super::check;
use crate::ask::{
    Ask, CacheMark, Choice, Format, Last, Parallel, Prompt, StreamUsage, Thinking, Tool, ToolResult,
    fingerprint, texts,
};
use crate::dialect::Arrival;
use crate::fault::Refusal;
use crate::json::Fields as _;

pub(super) fn read(arrival: &Arrival<'_>) -> Result<Ask, Refusal> {
    let body = arrival.body;
    check::check(arrival)?;
    let messages = body.at("messages").as_array().map_or(&[][..], Vec::as_slice);
    Ok(Ask {
        model: arrival.model.clone(),
        last: last(messages, &arrival.said),
        prompt: prompt(body, messages),
        max_tokens: body.at("max_tokens").as_u64(),
        stops: body
            .at("stop_sequences")
            .as_array()
            .into_iter()
            .flatten()
            .filter_map(Value::as_str)
            .map(String::from)
            .collect(),
        choices: 1,
        tools: body.at("tools").as_array().into_iter().flatten().filter_map(tool).collect(),
        choice: match body.at("tool_choice").at("type").as_str() {
            Some("none") => Choice::Never,
            Some("any") => Choice::Required,
            Some("tool") => {
                Choice::Named(body.at("tool_choice").at("name").as_str().unwrap_or_default().into())
            }
            Some(_) | None => Choice::Auto,
        },
        parallel: match body.at("tool_choice").at("disable_parallel_tool_use").as_bool() {
            Some(true) => Parallel::Forbidden,
            Some(false) | None => Parallel::Allowed,
        },
        format: format(body),
        thinking: match body.at("thinking").at("type").as_str() {
            None | Some("disabled") => Thinking::Off,
            Some(_) if body.at("thinking").at("display") == "omitted" => Thinking::Hidden,
            Some(_) => Thinking::Shown,
        },
        stream_usage: StreamUsage::Asked,
        logprobs: None,
        cache: cache(body, messages),
        ..Ask::default()
    })
}

fn tool(tool: &Value) -> Option<Tool> {
    let schema = tool.get("input_schema")?;
    Some(Tool { name: tool.at("name").as_str()?.into(), schema: schema.clone() })
}

fn format(body: &Value) -> Format {
    let named = [&body.at("output_config").at("format"), &body.at("output_format")];
    match named.into_iter().find(|format| format.at("type") == "json_schema") {
        Some(format) => Format::Schema(format.at("schema").clone()),
        None => Format::Text,
    }
}

fn last(messages: &[Value], said: &str) -> Last {
    let Some(message) = messages.last() else { return Last::default() };
    if message.at("role") == "assistant" {
        return Last::Assistant;
    }
    let blocks = message.at("content").as_array().into_iter().flatten();
    let results: Vec<ToolResult> = blocks
        .filter(|block| block.at("type") == "tool_result")
        .map(|block| ToolResult { name: name_of(messages, block.at("tool_use_id")), text: texts(block, "") })
        .collect();
    // A question beside the results asks for an answer of its own.
    if results.is_empty() || !said.is_empty() { Last::User(said.into()) } else { Last::Results(results) }
}

fn name_of(messages: &[Value], id: &Value) -> String {
    let mut blocks = messages.iter().filter_map(|message| message.at("content").as_array()).flatten();
    let call = blocks.find(|block| block.at("type") == "tool_use" && block.at("id") == id);
    call.and_then(|call| call.at("name").as_str()).unwrap_or("unknown").into()
}

fn prompt(body: &Value, messages: &[Value]) -> Prompt {
    let mut prompt = Prompt::default();
    for block in
        blocks(body.at("system")).chain(messages.iter().flat_map(|message| blocks(message.at("content"))))
    {
        count(&mut prompt, block);
    }
    if body.at("tools").is_array() {
        prompt.add(&body.at("tools").to_string());
    }
    prompt
}

/// A string counts as one block.
fn blocks(content: &Value) -> impl Iterator<Item = &Value> {
    let many = content.as_array().into_iter().flatten();
    many.chain(content.is_string().then_some(content))
}

fn count(prompt: &mut Prompt, block: &Value) {
    match block.at("type").as_str() {
        None => prompt.add(block.as_str().unwrap_or_default()),
        Some("image") => prompt.images += 1,
        Some("tool_use") => {
            prompt.add(block.at("name").as_str().unwrap_or_default());
            prompt.add(&block.at("input").to_string());
        }
        Some("tool_result") => {
            prompt.add(&texts(block, ""));
            prompt.images += blocks(block.at("content")).filter(|inner| inner.at("type") == "image").count();
        }
        Some("thinking") => prompt.add(block.at("thinking").as_str().unwrap_or_default()),
        Some(_) => prompt.add(block.at("text").as_str().unwrap_or_default()),
    }
}

/// The prefixes of the prompt that end at a block, up to the last one marked for caching.
fn cache(body: &Value, messages: &[Value]) -> Vec<CacheMark> {
    let contents = messages.iter().flat_map(|message| blocks(message.at("content")));
    let all = blocks(body.at("tools")).chain(blocks(body.at("system"))).chain(contents);
    let mut marks = Vec::new();
    let mut used = 0;
    let mut hash = Vec::new();
    let mut counted = Prompt::default();
    for block in all {
        let mut bare = block.clone();
        let marked = bare.as_object_mut().and_then(|fields| fields.shift_remove("cache_control")).is_some();
        let text = bare.to_string();
        match bare.at("input_schema").is_null() {
            true => count(&mut counted, &bare),
            false => counted.add(&text),
        }
        hash.extend_from_slice(&fingerprint(text.as_bytes()).to_le_bytes());
        marks.push(CacheMark { fingerprint: fingerprint(&hash), bytes: counted.bytes });
        if marked {
            used = marks.len();
        }
    }
    if body.at("cache_control").is_object() {
        used = marks.len();
    }
    marks.truncate(used);
    marks
}
