//! What OpenAI refuses, in its own words.

use std::collections::HashSet;

use serde_json::Value;

use super::read::account;
use crate::answer::sealed_for;
use crate::dialect::Arrival;
use crate::fault::Refusal;
use crate::json::Fields as _;

/// Every field the API documents; others are refused, always.
const FIELDS: &str = " background conversation include input instructions max_output_tokens max_tool_calls metadata \
    model moderation parallel_tool_calls previous_response_id prompt prompt_cache_key prompt_cache_retention \
    reasoning safety_identifier service_tier store stream stream_options temperature text tool_choice tools \
    top_logprobs top_p truncation user ";
const ROLES: [&str; 4] = ["assistant", "system", "developer", "user"];
const PARTS: &str =
    " input_text input_image output_text refusal input_file computer_screenshot summary_text ";
const ITEMS: &str = " message function_call function_call_output reasoning item_reference web_search_call \
    file_search_call computer_call computer_call_output custom_tool_call custom_tool_call_output compaction ";
const LEAST_CAP: u64 = 16;

type Checked = Result<(), Refusal>;

pub(super) fn check(arrival: &Arrival<'_>) -> Checked {
    let body = arrival.body;
    let Some(fields) = body.as_object() else {
        return Err(Refusal::bad("We could not parse the JSON body of your request."));
    };
    if arrival.model.is_empty() {
        return Err(missing("model".into()));
    }
    if let Some(name) = fields.keys().find(|name| !FIELDS.contains(&format!(" {name} "))) {
        let message = format!("Unknown parameter: '{name}'.");
        return Err(Refusal::bad(message).at(name.as_str()).code("unknown_parameter"));
    }
    check_settings(body)?;
    check_input(body, &account(arrival))?;
    check_tools(body)
}

fn missing(field: String) -> Refusal {
    let message = format!("Missing required parameter: '{field}'.");
    Refusal::bad(message).at(field).code("missing_required_parameter")
}

fn invalid_value(field: String, given: &str) -> Refusal {
    Refusal::bad(format!("Invalid value: '{given}'.")).at(field).code("invalid_value")
}

fn check_settings(body: &Value) -> Checked {
    let cap = body.at("max_output_tokens");
    if cap.as_u64().is_some_and(|cap| cap < LEAST_CAP) {
        let message = format!(
            "Invalid 'max_output_tokens': integer below minimum value. Expected a value >= 16, but got {cap} instead."
        );
        return Err(Refusal::bad(message).at("max_output_tokens").code("integer_below_min_value"));
    }
    for (name, most) in [("temperature", 2.0), ("top_p", 1.0)] {
        let given = body.at(name);
        if given.as_f64().is_some_and(|number| !(0.0..=most).contains(&number)) {
            let message =
                format!("Invalid '{name}': expected a value between 0 and {most}, but got {given} instead.");
            return Err(Refusal::bad(message).at(name).code("decimal_above_max_value"));
        }
    }
    // Nothing is kept here, so nothing is found.
    if let Some(id) = body.at("previous_response_id").as_str() {
        let message = format!("Previous response with id '{id}' not found.");
        return Err(Refusal::bad(message).at("previous_response_id").code("previous_response_not_found"));
    }
    let format = body.at("text").at("format");
    if format.at("type") == "json_schema" && !format.at("name").is_string() {
        return Err(missing("text.format.name".into()));
    }
    Ok(())
}

fn check_input(body: &Value, owner: &str) -> Checked {
    let input = body.at("input");
    if input.is_string() {
        return Ok(());
    }
    let items = input.as_array().ok_or_else(|| missing("input".into()))?;
    let mut open: HashSet<&str> = HashSet::new();
    for (at, item) in items.iter().enumerate() {
        let kind = item.at("type").as_str().unwrap_or("message");
        if !ITEMS.contains(&format!(" {kind} ")) {
            return Err(invalid_value(format!("input[{at}].type"), kind));
        }
        match kind {
            "message" => check_message(item, at)?,
            "function_call" => {
                for field in ["call_id", "name", "arguments"] {
                    if !item.at(field).is_string() {
                        return Err(missing(format!("input[{at}].{field}")));
                    }
                }
                open.extend(item.at("call_id").as_str());
            }
            "function_call_output" => {
                let id = item.at("call_id").as_str().unwrap_or_default();
                if !open.remove(id) {
                    let message = format!("No tool call found for function call output with call_id {id}.");
                    return Err(Refusal::bad(message).at("input"));
                }
            }
            "reasoning" => check_reasoning(item, at, items.get(at + 1), owner)?,
            "item_reference" => {
                let message =
                    format!("Item with id '{}' not found.", item.at("id").as_str().unwrap_or_default());
                return Err(Refusal::bad(message).at("input"));
            }
            _ => {}
        }
    }
    match open.into_iter().min() {
        Some(id) => Err(Refusal::bad(format!("No tool output found for function call {id}.")).at("input")),
        None => Ok(()),
    }
}

fn check_message(item: &Value, at: usize) -> Checked {
    let role = item.at("role").as_str().unwrap_or_default();
    if !ROLES.contains(&role) {
        return Err(invalid_value(format!("input[{at}].role"), role));
    }
    if item.at("content").is_string() {
        return Ok(());
    }
    let parts = item.at("content").as_array().ok_or_else(|| missing(format!("input[{at}].content")))?;
    for (part_at, part) in parts.iter().enumerate() {
        let kind = part.at("type").as_str().unwrap_or_default();
        let field = format!("input[{at}].content[{part_at}]");
        if !PARTS.contains(&format!(" {kind} ")) {
            return Err(invalid_value(format!("{field}.type"), kind));
        }
        // What the model says and what it is told have words of their own.
        let wrong_side = match role {
            "assistant" => kind.starts_with("input_"),
            _ => matches!(kind, "output_text" | "refusal"),
        };
        if wrong_side {
            return Err(invalid_value(format!("{field}.type"), kind));
        }
        if kind == "input_image" && !part.at("image_url").is_string() && !part.at("file_id").is_string() {
            return Err(missing(format!("{field}.image_url")));
        }
    }
    Ok(())
}

/// Reasoning has to come back as it was given out, and with what followed it.
fn check_reasoning(item: &Value, at: usize, next: Option<&Value>, account: &str) -> Checked {
    let id = item.at("id").as_str().unwrap_or_default();
    let Some(summary) = item.at("summary").as_array() else {
        return Err(missing(format!("input[{at}].summary")));
    };
    let text: String = summary.iter().filter_map(|part| part.at("text").as_str()).collect();
    let encrypted = item.at("encrypted_content").as_str();
    if encrypted.is_some_and(|encrypted| encrypted != sealed_for(account, &text)) {
        let message = format!("The encrypted content for item {id} could not be verified.");
        return Err(Refusal::bad(message).at("input").code("invalid_encrypted_content"));
    }
    let follows = next.is_some_and(|next| {
        next.at("type") == "function_call" || next.at("type") == "reasoning" || next.at("role") == "assistant"
    });
    if follows {
        return Ok(());
    }
    let message =
        format!("Item '{id}' of type 'reasoning' was provided without its required following item.");
    Err(Refusal::bad(message).at("input"))
}

fn check_tools(body: &Value) -> Checked {
    let tools = body.at("tools").as_array().map_or(&[][..], Vec::as_slice);
    for (at, tool) in tools.iter().enumerate() {
        let kind = tool.at("type").as_str().ok_or_else(|| missing(format!("tools[{at}].type")))?;
        let name = tool.at("name").as_str();
        if kind == "function" && name.is_none_or(str::is_empty) {
            return Err(missing(format!("tools[{at}].name")));
        }
        // Unsaid it is strict, and then the schema has to be closed.
        let strict = tool.at("strict").as_bool().unwrap_or(true);
        let closed = tool.at("parameters").at("additionalProperties") == &Value::Bool(false);
        if kind == "function" && strict && tool.at("strict").is_boolean() && !closed {
            let message = format!(
                "Invalid schema for function '{}': 'additionalProperties' is required to be supplied and to be false.",
                name.unwrap_or_default()
            );
            return Err(Refusal::bad(message)
                .at(format!("tools[{at}].parameters"))
                .code("invalid_function_parameters"));
        }
    }
    let named = body.at("tool_choice").at("name").as_str();
    match named.filter(|name| !tools.iter().any(|tool| tool.at("name") == *name)) {
        Some(name) => {
            let message = format!("Tool choice '{name}' not found in 'tools' parameter.");
            Err(Refusal::bad(message).at("tool_choice"))
        }
        None => Ok(()),
    }
}
