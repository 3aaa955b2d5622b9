//! What Anthropic refuses, in its own words.

use std::collections::HashSet;

use serde_json::Value;

use crate::answer::signature_of;
use crate::dialect::{Arrival, Wanted};
use crate::fault::Refusal;
use crate::json::Fields as _;

const FIELDS: &str = " cache_control container context_management inference_geo max_tokens mcp_servers messages \
    metadata model output_config output_format service_tier speed stop_sequences stream system temperature thinking \
    tool_choice tools top_k top_p betas anthropic_version anthropic_beta ";

type Checked = Result<(), Refusal>;

pub(super) fn check(arrival: &Arrival<'_>) -> Checked {
    let body = arrival.body;
    let Some(fields) = body.as_object() else {
        return Err(Refusal::bad("The request body is not valid JSON."));
    };
    let version = arrival.headers.get("anthropic-version").and_then(|value| value.to_str().ok());
    let own = body.at("anthropic_version").as_str();
    let Some(version) = version.or_else(|| own.map(|own| own.trim_start_matches("vertex-"))) else {
        return Err(Refusal::bad("anthropic-version: header is required"));
    };
    // At Google Cloud it stands in the path, but where tokens are counted.
    let at_vertex = own.is_some_and(|own| own.starts_with("vertex-"));
    if at_vertex && arrival.wanted == Wanted::Answer && !body.at("model").is_null() {
        return Err(Refusal::bad("model: Extra inputs are not permitted"));
    }
    if arrival.model.is_empty() {
        return Err(Refusal::bad("model: Field required"));
    }
    let counts = arrival.wanted == Wanted::Count;
    let needed: &[&str] = if counts { &["messages"] } else { &["max_tokens", "messages"] };
    if let Some(name) = needed.iter().find(|name| body.at(name).is_null()) {
        return Err(Refusal::bad(format!("{name}: Field required")));
    }
    if let Some(name) = ["max_tokens", "stream"].iter().find(|name| counts && !body.at(name).is_null()) {
        return Err(Refusal::bad(format!("{name}: Extra inputs are not permitted")));
    }
    if let Some(name) = fields.keys().find(|name| !FIELDS.contains(&format!(" {name} "))) {
        return Err(Refusal::bad(format!("{name}: Extra inputs are not permitted")));
    }
    check_numbers(body, version)?;
    check_thinking(body)?;
    check_tools(body)?;
    check_system(body.at("system"))?;
    check_messages(body.at("messages"))
}

fn check_numbers(body: &Value, version: &str) -> Checked {
    let cap = body.at("max_tokens");
    if !cap.is_null() && cap.as_u64().is_none_or(|given| given == 0) {
        return Err(Refusal::bad("max_tokens: Input should be greater than or equal to 1"));
    }
    if let Some(name) = ["temperature", "top_p", "top_k"].iter().find(|name| !body.at(name).is_null())
        && version >= "2026-10-21"
    {
        return Err(Refusal::bad(format!(
            "{name}: this parameter is not supported in API version {version}"
        )));
    }
    if body.at("temperature").as_f64().is_some_and(|given| !(0.0..=1.0).contains(&given)) {
        return Err(Refusal::bad("temperature: range: 0..1"));
    }
    let mut stops = body.at("stop_sequences").as_array().into_iter().flatten();
    if stops.any(|stop| stop.as_str().is_none_or(|text| text.trim().is_empty())) {
        return Err(Refusal::bad("stop_sequences: each stop sequence must contain non-whitespace"));
    }
    Ok(())
}

fn check_thinking(body: &Value) -> Checked {
    let thinking = &body.at("thinking");
    let on = matches!(thinking.at("type").as_str(), Some("enabled" | "adaptive" | "between_tools"));
    if thinking.at("type") == "enabled" {
        let budget = thinking.at("budget_tokens").as_u64();
        let Some(budget) = budget else {
            return Err(Refusal::bad("thinking.enabled.budget_tokens: Field required"));
        };
        if budget < 1024 {
            return Err(Refusal::bad(
                "thinking.enabled.budget_tokens: Input should be greater than or equal to 1024",
            ));
        }
        if body.at("max_tokens").as_u64().is_some_and(|most| most <= budget) {
            return Err(Refusal::bad("`max_tokens` must be greater than `thinking.budget_tokens`."));
        }
    }
    if on && matches!(body.at("tool_choice").at("type").as_str(), Some("any" | "tool")) {
        return Err(Refusal::bad("Thinking may not be enabled when tool_choice forces tool use."));
    }
    if on && body.at("temperature").as_f64().is_some_and(|given| given != 1.0) {
        return Err(Refusal::bad("`temperature` may only be set to 1 when thinking is enabled."));
    }
    Ok(())
}

fn check_tools(body: &Value) -> Checked {
    let tools = body.at("tools").as_array().map_or(&[][..], Vec::as_slice);
    let mut names = HashSet::new();
    for (at, tool) in tools.iter().enumerate() {
        let name = tool.at("name").as_str().unwrap_or_default();
        if !is_id(name) || name.len() > 128 {
            let message =
                format!("tools.{at}.custom.name: String should match pattern '^[a-zA-Z0-9_-]{{1,128}}$'");
            return Err(Refusal::bad(message));
        }
        if !names.insert(name) {
            return Err(Refusal::bad("tools: Tool names must be unique."));
        }
        let custom = tool.at("type").is_null() || tool.at("type") == "custom";
        if custom && tool.at("input_schema").at("type") != "object" {
            return Err(Refusal::bad(format!("tools.{at}.custom.input_schema.type: Field required")));
        }
    }
    let choice = &body.at("tool_choice");
    if !choice.is_null() && choice.at("type") != "none" && tools.is_empty() {
        return Err(Refusal::bad("tool_choice: may only be specified while providing tools"));
    }
    match choice.at("name").as_str() {
        Some(name) if !names.contains(name) => {
            Err(Refusal::bad(format!("Tool '{name}' not found in provided tools")))
        }
        Some(_) | None => Ok(()),
    }
}

fn check_system(system: &Value) -> Checked {
    for (at, block) in system.as_array().into_iter().flatten().enumerate() {
        if block.at("type") != "text" {
            return Err(Refusal::bad(format!("system.{at}.type: Input should be 'text'")));
        }
        check_text("system", block.at("text").as_str().unwrap_or_default())?;
    }
    Ok(())
}

fn check_text(place: &str, text: &str) -> Checked {
    if text.is_empty() {
        return Err(Refusal::bad(format!("{place}: text content blocks must be non-empty")));
    }
    if text.trim().is_empty() {
        return Err(Refusal::bad(format!("{place}: text content blocks must contain non-whitespace text")));
    }
    Ok(())
}

fn check_messages(messages: &Value) -> Checked {
    let Some(messages) = messages.as_array() else {
        return Err(Refusal::bad("messages: Input should be a valid list"));
    };
    if messages.is_empty() {
        return Err(Refusal::bad("messages: at least one message is required"));
    }
    let mut seen = HashSet::new();
    let mut open: Vec<&str> = Vec::new();
    for (at, message) in messages.iter().enumerate() {
        let role = message.at("role").as_str().unwrap_or_default();
        if role == "system" && at == 0 {
            return Err(Refusal::bad(
                "messages: Unexpected role \"system\". The Messages API accepts a top-level `system` parameter, \
                 not \"system\" as an input message role.",
            ));
        }
        if !["user", "assistant", "system"].contains(&role) {
            return Err(Refusal::bad(format!("messages.{at}.role: Input should be 'user' or 'assistant'")));
        }
        check_content(message, at, at + 1 == messages.len())?;
        check_results(message, at, &open)?;
        open = calls(message, at, &mut seen)?;
    }
    unanswered(&open, messages.len() - 1)
}

fn check_content(message: &Value, at: usize, final_one: bool) -> Checked {
    let assistant = message.at("role") == "assistant";
    let content = &message.at("content");
    let empty = content.as_str().is_some_and(str::is_empty) || content.as_array().is_some_and(Vec::is_empty);
    if content.is_null() || (empty && !(assistant && final_one)) {
        return Err(Refusal::bad(format!(
            "messages.{at}: all messages must have non-empty content except for the optional final assistant message"
        )));
    }
    for (block_at, block) in content.as_array().into_iter().flatten().enumerate() {
        let place = format!("messages.{at}.content.{block_at}");
        match block.at("type").as_str() {
            Some("text") => check_text("messages", block.at("text").as_str().unwrap_or_default())?,
            Some("thinking") => check_signature(block, &place)?,
            Some(_) => {}
            None => return Err(Refusal::bad(format!("{place}.type: Field required"))),
        }
    }
    let ending =
        content.as_str().or_else(|| content.as_array()?.last()?["text"].as_str()).unwrap_or_default();
    if assistant && final_one && ending.ends_with(char::is_whitespace) {
        return Err(Refusal::bad("messages: final assistant content cannot end with trailing whitespace"));
    }
    Ok(())
}

/// Thinking must come back as it was sent.
fn check_signature(block: &Value, place: &str) -> Checked {
    let Some(signature) = block.at("signature").as_str() else {
        return Err(Refusal::bad(format!("{place}.thinking.signature: Field required")));
    };
    let thinking = block.at("thinking").as_str().unwrap_or_default();
    // Thinking whose text was omitted is complete by its signature alone.
    if signature == signature_of(thinking) || (thinking.is_empty() && signature.starts_with("c2lt")) {
        return Ok(());
    }
    Err(Refusal::bad(format!("{place}: Invalid `signature` in `thinking` block")))
}

fn check_results(message: &Value, at: usize, open: &[&str]) -> Checked {
    let blocks = message.at("content").as_array().map_or(&[][..], Vec::as_slice);
    let mut left: Vec<&str> = open.to_vec();
    let mut others_before = false;
    for (block_at, block) in blocks.iter().enumerate() {
        if block.at("type") != "tool_result" {
            others_before = true;
            continue;
        }
        let id = block.at("tool_use_id").as_str().unwrap_or_default();
        if !open.contains(&id) {
            return Err(Refusal::bad(format!(
                "messages.{at}.content.{block_at}: unexpected `tool_use_id` found in `tool_result` blocks: {id}. \
                 Each `tool_result` block must have a corresponding `tool_use` block in the previous message."
            )));
        }
        if others_before {
            return unanswered(open, at - 1);
        }
        left.retain(|one| *one != id);
    }
    match at {
        0 => Ok(()),
        at => unanswered(&left, at - 1),
    }
}

fn unanswered(open: &[&str], at: usize) -> Checked {
    if open.is_empty() {
        return Ok(());
    }
    Err(Refusal::bad(format!(
        "messages.{at}: `tool_use` ids were found without `tool_result` blocks immediately after: {}. Each \
         `tool_use` block must have a corresponding `tool_result` block in the next message.",
        open.join(", ")
    )))
}

/// The calls of `message`, which the next message must answer.
fn calls<'a>(message: &'a Value, at: usize, seen: &mut HashSet<&'a str>) -> Result<Vec<&'a str>, Refusal> {
    let mut open = Vec::new();
    for (block_at, block) in message.at("content").as_array().into_iter().flatten().enumerate() {
        if block.at("type") != "tool_use" {
            continue;
        }
        let place = format!("messages.{at}.content.{block_at}");
        let id = block.at("id").as_str().unwrap_or_default();
        if !is_id(id) {
            let message = format!("{place}.tool_use.id: String should match pattern '^[a-zA-Z0-9_-]+$'");
            return Err(Refusal::bad(message));
        }
        if !block.at("input").is_object() {
            return Err(Refusal::bad(format!("{place}.tool_use.input: Input should be a valid dictionary")));
        }
        if !seen.insert(id) {
            return Err(Refusal::bad(format!("{place}: `tool_use` ids must be unique")));
        }
        open.push(id);
    }
    Ok(open)
}

fn is_id(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_-".contains(&byte))
}
