//! What OpenAI refuses, in its own words.

use std::collections::HashSet;

use serde_json::Value;

use crate::dialect::Arrival;
use crate::fault::Refusal;
use crate::json::Fields as _;

const ROLES: [&str; 6] = ["system", "assistant", "user", "function", "tool", "developer"];
const PARTS: [&str; 5] = ["text", "image_url", "input_audio", "refusal", "file"];
/// Every field the API documents; others are refused when the request asks for strictness.
const FIELDS: &str = " audio frequency_penalty function_call functions logit_bias logprobs max_completion_tokens \
    max_tokens messages metadata modalities model n parallel_tool_calls prediction presence_penalty \
    prompt_cache_key prompt_cache_retention reasoning_effort response_format safety_identifier seed service_tier \
    stop store stream stream_options temperature tool_choice tools top_logprobs top_p user verbosity \
    web_search_options ";

type Checked = Result<(), Refusal>;

pub(super) fn check(arrival: &Arrival<'_>) -> Checked {
    let body = arrival.body;
    check_object(arrival)?;
    if arrival.quirks.content.strict {
        check_fields(body)?;
    }
    check_numbers(body)?;
    check_options(body)?;
    check_messages(body)?;
    check_tools(body)
}

/// Whether it is an object that names a model.
pub(super) fn check_object(arrival: &Arrival<'_>) -> Checked {
    let body = arrival.body;
    if !body.is_object() {
        return Err(Refusal::bad(
            "We could not parse the JSON body of your request. (HINT: This likely means you aren't using your \
             HTTP library correctly. The OpenAI API expects a JSON payload, but what was sent was not valid JSON.)",
        ));
    }
    if arrival.model.is_empty() {
        return Err(Refusal::bad("you must provide a model parameter"));
    }
    Ok(())
}

fn missing(field: String) -> Refusal {
    let message = format!("Missing required parameter: '{field}'.");
    Refusal::bad(message).at(field).code("missing_required_parameter")
}

fn empty_array(field: String) -> Refusal {
    let message = format!(
        "Invalid '{field}': empty array. Expected an array with minimum length 1, but got an empty array instead."
    );
    Refusal::bad(message).at(field).code("empty_array")
}

fn invalid_value(field: String, given: &str, known: &[&str]) -> Refusal {
    let known: Vec<String> = known.iter().map(|one| format!("'{one}'")).collect();
    let message = match known.split_last() {
        Some((last, rest)) => {
            format!("Invalid value: '{given}'. Supported values are: {}, and {last}.", rest.join(", "))
        }
        None => format!("Invalid value: '{given}'."),
    };
    Refusal::bad(message).at(field).code("invalid_value")
}

fn check_fields(body: &Value) -> Checked {
    let mut fields = body.as_object().into_iter().flatten().map(|(name, _)| name);
    match fields.find(|name| !FIELDS.contains(&format!(" {name} "))) {
        Some(name) => Err(Refusal::bad(format!("Unknown parameter: '{name}'."))
            .at(name.as_str())
            .code("unknown_parameter")),
        None => Ok(()),
    }
}

struct Range {
    name: &'static str,
    least: f64,
    most: f64,
}

const RANGES: [Range; 6] = [
    Range { name: "temperature", least: 0.0, most: 2.0 },
    Range { name: "top_p", least: 0.0, most: 1.0 },
    Range { name: "frequency_penalty", least: -2.0, most: 2.0 },
    Range { name: "presence_penalty", least: -2.0, most: 2.0 },
    Range { name: "n", least: 1.0, most: 128.0 },
    Range { name: "top_logprobs", least: 0.0, most: 20.0 },
];

fn check_numbers(body: &Value) -> Checked {
    RANGES.iter().filter(|range| !body.at(range.name).is_null()).try_for_each(|range| {
        let Range { name, least, most } = range;
        let (side, bound, code) = match body.at(name).as_f64() {
            None => {
                let message =
                    format!("Invalid type for '{name}': expected a decimal, but got another type instead.");
                return Err(Refusal::bad(message).at(*name).code("invalid_type"));
            }
            Some(given) if given > *most => {
                ("above maximum", format!("<= {most}"), "decimal_above_max_value")
            }
            Some(given) if given < *least => {
                ("below minimum", format!(">= {least}"), "decimal_below_min_value")
            }
            Some(_) => return Ok(()),
        };
        let given = &body.at(name);
        let message = format!(
            "Invalid '{name}': decimal {side} value. Expected a value {bound}, but got {given} instead."
        );
        Err(Refusal::bad(message).at(*name).code(code))
    })
}

fn check_options(body: &Value) -> Checked {
    if !body.at("stream_options").is_null() && *body.at("stream") != Value::Bool(true) {
        let message = "The 'stream_options' parameter is only allowed when 'stream' is enabled.";
        return Err(Refusal::bad(message).at("stream_options"));
    }
    if body.at("stop").as_array().is_some_and(|stops| stops.len() > 4) {
        let message = "Invalid 'stop': array too long. Expected an array with maximum length 4.";
        return Err(Refusal::bad(message).at("stop").code("array_above_max_length"));
    }
    if !body.at("max_tokens").is_null() && !body.at("max_completion_tokens").is_null() {
        let message = "Setting 'max_tokens' and 'max_completion_tokens' at the same time is not supported.";
        return Err(Refusal::bad(message).at("max_tokens").code("invalid_parameter_combination"));
    }
    if !body.at("top_logprobs").is_null() && *body.at("logprobs") != Value::Bool(true) {
        let message = "'top_logprobs' is only allowed when 'logprobs' is enabled.";
        return Err(Refusal::bad(message).at("top_logprobs"));
    }
    Ok(())
}

fn check_messages(body: &Value) -> Checked {
    let messages = body.at("messages").as_array().ok_or_else(|| missing("messages".into()))?;
    if messages.is_empty() {
        return Err(empty_array("messages".into()));
    }
    let mut open: HashSet<&str> = HashSet::new();
    for (at, message) in messages.iter().enumerate() {
        let role = message.at("role").as_str().unwrap_or_default();
        if !ROLES.contains(&role) {
            return Err(invalid_value(format!("messages[{at}].role"), role, &ROLES));
        }
        if role == "tool" {
            answer_call(&mut open, message, at)?;
            continue;
        }
        all_answered(&open)?;
        check_content(message, at)?;
        open = check_calls(message, at)?;
    }
    all_answered(&open)
}

fn answer_call(open: &mut HashSet<&str>, message: &Value, at: usize) -> Checked {
    let id = message.at("tool_call_id").as_str();
    let id = id.ok_or_else(|| missing(format!("messages[{at}].tool_call_id")))?;
    if open.remove(id) {
        return Ok(());
    }
    // The provider's own spelling.
    let message = "Invalid parameter: messages with role 'tool' must be a response to a preceeding message with 'tool_calls'.";
    Err(Refusal::bad(message).at(format!("messages.[{at}].role")))
}

fn all_answered(open: &HashSet<&str>) -> Checked {
    if open.is_empty() {
        return Ok(());
    }
    let mut ids: Vec<&str> = open.iter().copied().collect();
    ids.sort_unstable();
    let ids = ids.join(", ");
    let message = format!(
        "An assistant message with 'tool_calls' must be followed by tool messages responding to each \
         'tool_call_id'. The following tool_call_ids did not have response messages: {ids}"
    );
    Err(Refusal::bad(message).at("messages"))
}

fn check_content(message: &Value, at: usize) -> Checked {
    let excuses = ["tool_calls", "function_call", "refusal", "audio"];
    let excused = message.at("role") == "assistant" && excuses.iter().any(|name| !message.at(name).is_null());
    if message.at("content").is_null() && !excused {
        let refusal = Refusal::bad("Invalid value for 'content': expected a string, got null.");
        return Err(refusal.at(format!("messages.[{at}].content")));
    }
    for (part_at, part) in message.at("content").as_array().into_iter().flatten().enumerate() {
        let kind = part.at("type").as_str().unwrap_or_default();
        if !PARTS.contains(&kind) {
            return Err(invalid_value(format!("messages[{at}].content[{part_at}].type"), kind, &PARTS));
        }
    }
    Ok(())
}

/// The ids of the calls of `message`, which the next messages must answer.
fn check_calls(message: &Value, at: usize) -> Result<HashSet<&str>, Refusal> {
    let calls = &message.at("tool_calls");
    if calls.as_array().is_some_and(Vec::is_empty) {
        return Err(empty_array(format!("messages[{at}].tool_calls")));
    }
    let mut ids = HashSet::new();
    for (call_at, call) in calls.as_array().into_iter().flatten().enumerate() {
        let needed = ["/id", "/function/name", "/function/arguments"];
        if let Some(path) = needed.iter().find(|path| !call.pointer(path).is_some_and(Value::is_string)) {
            return Err(missing(format!("messages[{at}].tool_calls[{call_at}]{}", path.replace('/', "."))));
        }
        ids.extend(call.at("id").as_str());
    }
    Ok(ids)
}

fn check_tools(body: &Value) -> Checked {
    let Some(tools) = body.at("tools").as_array() else { return check_no_tools(body) };
    if tools.is_empty() {
        return Err(empty_array("tools".into()));
    }
    for (at, tool) in tools.iter().enumerate().filter(|(_, tool)| tool.at("type") == "function") {
        if !is_tool_name(tool.at("function").at("name").as_str().unwrap_or_default()) {
            let field = format!("tools[{at}].function.name");
            let message = format!(
                "Invalid '{field}': string does not match pattern. Expected a string that matches the pattern \
                 '^[a-zA-Z0-9_-]+$'."
            );
            return Err(Refusal::bad(message).at(field).code("invalid_value"));
        }
    }
    let Some(name) = body.at("tool_choice").at("function").at("name").as_str() else { return Ok(()) };
    if tools.iter().any(|tool| tool.at("function").at("name") == name) {
        return Ok(());
    }
    Err(Refusal::bad(format!("Tool choice '{name}' not found in 'tools' parameter.")).at("tool_choice"))
}

fn check_no_tools(body: &Value) -> Checked {
    let lonely = ["tool_choice", "parallel_tool_calls"].into_iter().find(|name| !body.at(name).is_null());
    match lonely {
        Some("tool_choice") if body.at("tool_choice") == "none" => Ok(()),
        Some(name) => {
            Err(Refusal::bad(format!("'{name}' is only allowed when 'tools' are specified.")).at(name))
        }
        None => Ok(()),
    }
}

fn is_tool_name(name: &str) -> bool {
    (1..=64).contains(&name.len())
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_-".contains(&byte))
}
