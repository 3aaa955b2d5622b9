//! What Gemini refuses, in its own words.

use serde_json::Value;

use super::read::{field, list};
use crate::dialect::Arrival;
use crate::fault::Refusal;
use crate::json::Fields as _;

const FIELDS: &str = " contents tools toolConfig tool_config safetySettings safety_settings systemInstruction \
    system_instruction generationConfig generation_config cachedContent cached_content serviceTier service_tier \
    store model labels ";
/// What the provider takes in place of a signature it never gave.
const EXCUSES: [&str; 2] =
    ["skip_thought_signature_validator", "c2tpcF90aG91Z2h0X3NpZ25hdHVyZV92YWxpZGF0b3I="];

type Checked = Result<(), Refusal>;

/// Models of the third generation and later name and sign their calls, and demand the signature
/// back.
pub(super) fn is_newer(model: &str) -> bool {
    let major =
        model.strip_prefix("gemini-").and_then(|rest| rest.split(['.', '-']).next()?.parse::<u32>().ok());
    major.is_some_and(|major| major >= 3)
}

pub(super) fn check(arrival: &Arrival<'_>) -> Checked {
    let body = arrival.body;
    let Some(fields) = body.as_object() else {
        return Err(Refusal::bad("Invalid JSON payload received. Unexpected end of string."));
    };
    if let Some(name) = fields.keys().find(|name| !FIELDS.contains(&format!(" {name} "))) {
        let message = format!("Invalid JSON payload received. Unknown name \"{name}\": Cannot find field.");
        return Err(Refusal::bad(message));
    }
    let contents = list(body.at("contents"));
    if contents.is_empty() {
        return Err(Refusal::bad("* GenerateContentRequest.contents: contents is not specified\n"));
    }
    for (at, content) in contents.iter().enumerate() {
        check_content(content, at)?;
    }
    check_turns(contents)?;
    check_tools(body)?;
    if is_newer(&arrival.model) { check_signatures(contents) } else { Ok(()) }
}

fn check_content(content: &Value, at: usize) -> Checked {
    if !content.at("role").is_null() && content.at("role") != "user" && content.at("role") != "model" {
        return Err(Refusal::bad("Please use a valid role: user, model."));
    }
    let parts = list(content.at("parts"));
    if parts.is_empty() {
        let message =
            format!("* GenerateContentRequest.contents[{at}].parts: contents.parts must not be empty.\n");
        return Err(Refusal::bad(message));
    }
    for part in parts {
        let known = [
            "text",
            "inlineData",
            "fileData",
            "functionCall",
            "functionResponse",
            "executableCode",
            "codeExecutionResult",
            "thoughtSignature",
            "thought",
        ];
        if known.iter().all(|name| field(part, name).is_null()) {
            let message = format!(
                "* GenerateContentRequest.contents[{at}].parts[0].data: required oneof field 'data' must have one \
                 initialized field\n"
            );
            return Err(Refusal::bad(message));
        }
        let response = field(part, "functionResponse");
        if !response.is_null() && !response.at("response").is_object() {
            let message = format!(
                "Invalid value at 'contents[{at}].parts[0].function_response.response' \
                 (type.googleapis.com/google.protobuf.Struct)"
            );
            return Err(Refusal::bad(message));
        }
    }
    Ok(())
}

fn count(content: &Value, name: &str) -> usize {
    list(content.at("parts")).iter().filter(|part| !field(part, name).is_null()).count()
}

/// Contents of the model's that follow each other are one turn: that is how Google's own clients keep
/// what was streamed.
fn check_turns(contents: &[Value]) -> Checked {
    let mut called = 0;
    let mut before: Option<&Value> = None;
    for content in contents {
        let calls = count(content, "functionCall");
        let goes_on =
            content.at("role") == "model" && before.is_some_and(|before| before.at("role") == "model");
        if calls > 0 && before.is_none() {
            return Err(Refusal::bad(
                "Please ensure that function call turn comes immediately after a user turn or after a function \
                 response turn.",
            ));
        }
        if !goes_on && count(content, "functionResponse") != called {
            let message = if called == 0 {
                "Please ensure that function response turn comes immediately after a function call turn."
            } else {
                "Please ensure that the number of function response parts is equal to the number of function call \
                 parts of the function call turn."
            };
            return Err(Refusal::bad(message));
        }
        called = if goes_on { called + calls } else { calls };
        before = Some(content);
    }
    Ok(())
}

fn check_tools(body: &Value) -> Checked {
    let declared = list(body.at("tools")).iter().flat_map(|tool| list(field(tool, "functionDeclarations")));
    let names: Vec<&str> = declared.filter_map(|one| one.at("name").as_str()).collect();
    let wrong = |name: &&&str| {
        let rest = |byte: u8| byte.is_ascii_alphanumeric() || b"_.:-".contains(&byte);
        name.len() > 128
            || name.starts_with(|first: char| !first.is_ascii_alphabetic() && first != '_')
            || !name.bytes().all(rest)
    };
    if names.iter().any(|name| wrong(&name)) {
        return Err(Refusal::bad(
            "* GenerateContentRequest.tools[0].function_declarations[0].name: Invalid function name. Must start with \
             a letter or an underscore.",
        ));
    }
    let config = field(field(body, "toolConfig"), "functionCallingConfig");
    let allowed = list(field(config, "allowedFunctionNames"));
    if allowed.iter().any(|name| !names.contains(&name.as_str().unwrap_or_default())) {
        return Err(Refusal::bad("allowed_function_names contains a function that is not declared."));
    }
    if !allowed.is_empty() && !matches!(config.at("mode").as_str(), Some("ANY" | "VALIDATED")) {
        return Err(Refusal::bad(
            "Please set the function calling mode to ANY if you want to set allowed_function_names.",
        ));
    }
    Ok(())
}

/// The first call of every turn since the user last spoke must carry its signature.
fn check_signatures(contents: &[Value]) -> Checked {
    let spoke = |content: &Value| content.at("role") != "model" && count(content, "functionResponse") == 0;
    let since = contents.iter().rposition(spoke).unwrap_or(0);
    let mut called = false;
    for content in contents.iter().skip(since) {
        called &= content.at("role") == "model";
        let call = list(content.at("parts")).iter().find(|part| !field(part, "functionCall").is_null());
        let Some(call) = call.filter(|_| !called) else { continue };
        called = true;
        let name = field(call, "functionCall").at("name").as_str().unwrap_or_default();
        match field(call, "thoughtSignature").as_str() {
            Some(signature) if signature.starts_with("c2lt") || EXCUSES.contains(&signature) => {}
            Some(_) => return Err(Refusal::bad("Corrupted thought signature.")),
            None => {
                return Err(Refusal::bad(format!(
                    "Function call is missing a thought_signature in functionCall parts. This is required for tools \
                     to work correctly. Additional data, function call `default_api:{name}`."
                )));
            }
        }
    }
    Ok(())
}
