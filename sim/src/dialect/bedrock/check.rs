//! What Bedrock refuses, in its own words.

use std::collections::HashSet;

use serde_json::Value;

use super::read::list;
use crate::answer::signature_of;
use crate::dialect::Arrival;
use crate::fault::Refusal;
use crate::json::Fields as _;

const FIELDS: &str = " messages system inferenceConfig toolConfig guardrailConfig additionalModelRequestFields \
    promptVariables additionalModelResponseFieldPaths requestMetadata performanceConfig serviceTier outputConfig ";
const BLOCKS: &str = " text image document video audio toolUse toolResult guardContent cachePoint reasoningContent \
    citationsContent searchResult ";

type Checked = Result<(), Refusal>;

pub(super) fn check(arrival: &Arrival<'_>) -> Checked {
    let body = arrival.body;
    let Some(fields) = body.as_object() else {
        return Err(Refusal::bad("Unexpected token at position 0"));
    };
    if let Some(name) = fields.keys().find(|name| !FIELDS.contains(&format!(" {name} "))) {
        return Err(Refusal::bad(format!(
            "Malformed input request: #: extraneous key [{name}] is not permitted"
        )));
    }
    let config = body.at("inferenceConfig");
    if config.at("temperature").as_f64().is_some_and(|given| !(0.0..=1.0).contains(&given)) {
        return Err(invalid("inferenceConfig.temperature", "Member must have value between 0 and 1"));
    }
    if !config.at("maxTokens").is_null() && config.at("maxTokens").as_u64().is_none_or(|cap| cap == 0) {
        return Err(invalid(
            "inferenceConfig.maxTokens",
            "Member must have value greater than or equal to 1",
        ));
    }
    for block in list(body.at("system")) {
        check_block(block, "system")?;
    }
    check_tools(body)?;
    check_messages(body)
}

fn invalid(field: &str, what: &str) -> Refusal {
    let message =
        format!("1 validation error detected: Value at '{field}' failed to satisfy constraint: {what}");
    Refusal::bad(message)
}

fn check_tools(body: &Value) -> Checked {
    let config = body.at("toolConfig");
    if config.is_null() {
        return Ok(());
    }
    let tools = list(config.at("tools"));
    if tools.is_empty() {
        return Err(invalid("toolConfig.tools", "Member must have length greater than or equal to 1"));
    }
    let mut names = HashSet::new();
    for spec in tools.iter().filter_map(|tool| tool.get("toolSpec")) {
        let name = spec.at("name").as_str().unwrap_or_default();
        if !is_id(name) || !names.insert(name) {
            return Err(invalid("toolConfig.tools", "tool names must be unique and match [a-zA-Z0-9_-]+"));
        }
        if spec.at("description").as_str().is_some_and(str::is_empty) {
            return Err(invalid(
                "toolSpec.description",
                "Member must have length greater than or equal to 1",
            ));
        }
        if spec.at("inputSchema").at("json").at("type") != "object" {
            return Err(Refusal::bad(
                "The value at toolConfig.tools.0.toolSpec.inputSchema.json.type must be one of the following: object.",
            ));
        }
    }
    let choice = config.at("toolChoice");
    let known = ["auto", "any", "tool"].iter().any(|kind| choice.at(kind).is_object());
    if !choice.is_null() && !known {
        return Err(invalid("toolConfig.toolChoice", "exactly one of auto, any, tool must be set"));
    }
    Ok(())
}

fn is_id(text: &str) -> bool {
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-';
    (1..=64).contains(&text.len()) && text.bytes().all(fits)
}

fn check_messages(body: &Value) -> Checked {
    let messages = list(body.at("messages"));
    if messages.is_empty() {
        return Err(Refusal::bad(
            "A conversation must start with a user message. Try again with a conversation that starts with a user message.",
        ));
    }
    let (mut before, mut open): (&str, Vec<&str>) = ("assistant", Vec::new());
    for (at, message) in messages.iter().enumerate() {
        let role = message.at("role").as_str().unwrap_or_default();
        if !matches!(role, "user" | "assistant") {
            return Err(invalid(
                &format!("messages.{}.member.role", at + 1),
                "Member must satisfy enum value set: [user, assistant]",
            ));
        }
        if role == before {
            return Err(Refusal::bad(
                "A conversation must alternate between user and assistant roles. Make sure the conversation alternates between user and assistant roles and try again.",
            ));
        }
        before = role;
        let content = list(message.at("content"));
        if content.is_empty() {
            return Err(Refusal::bad(format!(
                "The content field in the Message object at messages.{at} is empty. Add a ContentBlock object to the content field and try again."
            )));
        }
        for (place, block) in content.iter().enumerate() {
            check_block(block, &format!("messages.{at}.content.{place}"))?;
        }
        open = check_results(content, &open, at)?;
        let has = |name: &str| content.iter().any(|block| block.get(name).is_some());
        if has("document") && !has("text") {
            return Err(Refusal::bad("A text block must be included when you provide documents."));
        }
        let tools = has("toolUse") || has("toolResult");
        if tools && body.at("toolConfig").is_null() {
            return Err(Refusal::bad(
                "The toolConfig field must be defined when using toolUse and toolResult content blocks.",
            ));
        }
    }
    Ok(())
}

/// Each call of the turn before is answered once, and nothing else is. The calls of this turn.
fn check_results<'c>(content: &'c [Value], open: &[&str], at: usize) -> Result<Vec<&'c str>, Refusal> {
    let ids = |kind: &str| -> Vec<&'c str> {
        let blocks = content.iter().filter_map(|block| block.get(kind));
        blocks.filter_map(|block| block.at("toolUseId").as_str()).collect()
    };
    let results = ids("toolResult");
    if results.len() != open.len() || results.iter().any(|id| !open.contains(id)) {
        return Err(Refusal::bad(format!(
            "The number of toolResult blocks at messages.{at}.content exceeds or falls short of the number of toolUse blocks of previous turn, or Expected toolResult blocks for the following Ids: {}",
            open.join(", ")
        )));
    }
    Ok(ids("toolUse"))
}

fn check_block(block: &Value, at: &str) -> Checked {
    let mut kinds = block.as_object().into_iter().flatten().map(|(kind, _)| kind);
    match (kinds.next(), kinds.next()) {
        (Some(kind), None) if BLOCKS.contains(&format!(" {kind} ")) => {}
        _ => return Err(Refusal::bad(format!("The value at {at} is not a ContentBlock."))),
    }
    if block.at("text").as_str().is_some_and(|text| text.trim().is_empty()) {
        return Err(Refusal::bad(format!(
            "The text field in the ContentBlock object at {at} is blank. Add text to the text field, and try again."
        )));
    }
    let (call, result) = (block.at("toolUse"), block.at("toolResult"));
    for one in [call, result].into_iter().filter(|one| one.is_object()) {
        if !is_id(one.at("toolUseId").as_str().unwrap_or_default()) {
            return Err(invalid(
                &format!("{at}.toolUseId"),
                "Member must satisfy regular expression pattern: [a-zA-Z0-9_-]+",
            ));
        }
    }
    if call.is_object() && !call.at("input").is_object() {
        return Err(Refusal::bad(format!(
            "The format of the value at {at}.toolUse.input is invalid. Provide a json object for the field and try again."
        )));
    }
    if list(result.at("content"))
        .iter()
        .any(|inner| !inner.at("json").is_null() && !inner.at("json").is_object())
    {
        return Err(Refusal::bad(format!(
            "The format of the value at {at}.toolResult.content.0.json is invalid. Provide a json object for the field and try again."
        )));
    }
    let formats = ["png", "jpeg", "gif", "webp"];
    let image = block.at("image");
    if image.is_object() && !formats.iter().any(|format| image.at("format") == format) {
        return Err(invalid(
            &format!("{at}.image.format"),
            "Member must satisfy enum value set: [gif, jpeg, png, webp]",
        ));
    }
    let said = block.at("reasoningContent").at("reasoningText");
    let forged = |signature: &str| signature != signature_of(said.at("text").as_str().unwrap_or_default());
    if said.at("signature").as_str().is_some_and(forged) {
        return Err(Refusal::bad(format!("{at}: Invalid `signature` in `thinking` block")));
    }
    Ok(())
}
