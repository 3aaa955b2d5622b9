//! Reading a generateContent request; names may come in camel or snake case.

use serde_json::Value;

use super::check;
use crate::ask::{
    Ask, Choice, Format, Last, Parallel, Prompt, StreamUsage, Thinking, Tool, ToolResult, texts,
};
use crate::dialect::Arrival;
use crate::fault::Refusal;
use crate::json::Fields as _;

static NULL: Value = Value::Null;

/// The field in either spelling; `null` when it is missing.
pub(super) fn field<'a>(value: &'a Value, camel: &str) -> &'a Value {
    if let Some(found) = value.get(camel) {
        return found;
    }
    let mut snake = String::with_capacity(camel.len() + 4);
    for letter in camel.chars() {
        if letter.is_ascii_uppercase() {
            snake.push('_');
        }
        snake.push(letter.to_ascii_lowercase());
    }
    value.get(&snake).unwrap_or(&NULL)
}

/// The members of a list, none for anything else.
pub(super) fn list(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}

pub(super) fn read(arrival: &Arrival<'_>) -> Result<Ask, Refusal> {
    let body = arrival.body;
    check::check(arrival)?;
    let contents = list(body.at("contents"));
    let config = field(body, "generationConfig");
    let thinking = field(config, "thinkingConfig");
    let logprobs = field(config, "responseLogprobs").as_bool().unwrap_or(false);
    Ok(Ask {
        model: arrival.model.clone(),
        last: last(contents, &arrival.said),
        prompt: prompt(body, contents),
        max_tokens: field(config, "maxOutputTokens").as_u64(),
        stops: list(field(config, "stopSequences"))
            .iter()
            .filter_map(Value::as_str)
            .map(String::from)
            .collect(),
        choices: field(config, "candidateCount").as_u64().unwrap_or(1),
        tools: tools(body),
        choice: choice(field(field(body, "toolConfig"), "functionCallingConfig")),
        parallel: Parallel::Allowed,
        format: format(config),
        thinking: match (
            field(thinking, "includeThoughts").as_bool(),
            field(thinking, "thinkingBudget").as_i64(),
        ) {
            (_, Some(0)) => Thinking::Off,
            (Some(true), _) => Thinking::Shown,
            (_, None) if field(thinking, "thinkingLevel").is_null() => Thinking::Off,
            _ => Thinking::Hidden,
        },
        stream_usage: StreamUsage::Asked,
        logprobs: logprobs.then(|| field(config, "logprobs").as_u64().unwrap_or(0) as usize),
        cache: Vec::new(),
        ..Ask::default()
    })
}

fn tools(body: &Value) -> Vec<Tool> {
    let declared = list(body.at("tools")).iter().flat_map(|tool| list(field(tool, "functionDeclarations")));
    let tool = |one: &Value| {
        let schemas = [field(one, "parametersJsonSchema"), one.at("parameters")];
        let schema = schemas.into_iter().find(|schema| !schema.is_null()).unwrap_or(&NULL);
        Some(Tool { name: one.at("name").as_str()?.into(), schema: schema.clone() })
    };
    declared.filter_map(tool).collect()
}

fn choice(config: &Value) -> Choice {
    match config.at("mode").as_str().map(str::to_ascii_uppercase).as_deref() {
        Some("NONE") => Choice::Never,
        Some("ANY") => match list(field(config, "allowedFunctionNames")) {
            [Value::String(only)] => Choice::Named(only.clone()),
            _ => Choice::Required,
        },
        Some(_) | None => Choice::Auto,
    }
}

fn format(config: &Value) -> Format {
    if field(config, "responseMimeType") != "application/json" {
        return Format::Text;
    }
    let schemas = [field(config, "responseJsonSchema"), field(config, "responseSchema")];
    match schemas.into_iter().find(|schema| !schema.is_null()) {
        Some(schema) => Format::Schema(schema.clone()),
        None => Format::Object,
    }
}

fn last(contents: &[Value], said: &str) -> Last {
    let Some(content) = contents.last() else { return Last::default() };
    if content.at("role") == "model" {
        return Last::Assistant;
    }
    let result = |part: &Value| {
        let result = field(part, "functionResponse");
        let name = result.at("name").as_str()?.to_owned();
        let response = &result.at("response");
        let plain = ["output", "result", "content"].iter().find_map(|key| response.at(key).as_str());
        Some(ToolResult { name, text: plain.map_or_else(|| response.to_string(), String::from) })
    };
    let results: Vec<ToolResult> = list(content.at("parts")).iter().filter_map(result).collect();
    if results.is_empty() { Last::User(said.into()) } else { Last::Results(results) }
}

fn prompt(body: &Value, contents: &[Value]) -> Prompt {
    let mut prompt = Prompt::default();
    prompt.add(&texts(field(body, "systemInstruction"), ""));
    for part in contents.iter().flat_map(|content| list(content.at("parts"))) {
        prompt.add(part.at("text").as_str().unwrap_or_default());
        for name in ["functionCall", "functionResponse"] {
            let value = field(part, name);
            if !value.is_null() {
                prompt.add(&value.to_string());
            }
        }
        let media = ["inlineData", "fileData"].map(|name| field(part, name));
        prompt.images += media.iter().filter(|data| !data.is_null()).count();
    }
    if body.at("tools").is_array() {
        prompt.add(&body.at("tools").to_string());
    }
    prompt
}
