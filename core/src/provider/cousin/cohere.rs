//! Cohere's chat and vectors, version 2: <https://docs.cohere.com/v2/reference/chat>.
//!
//! A plan that the model makes before it calls tools is its thinking. What is counted is what is billed
//! (`billed_units`); the tokens of Cohere's own template stay beside it.

use super::{Cousin, Fields, Read, Writing, each, object, rename, simplify, thought};
use crate::call::{DocumentBody, Part};
use crate::dialect::Dialect;
use crate::embedding::EmbeddingCall;
use crate::fault::{Fault, UpstreamClass, UpstreamFault};
use crate::float;
use serde_json::{Value, json};

/// Cohere.
pub static COHERE: Cousin = Cousin {
    dialect: Dialect::Cohere,
    fields: &[
        "model",
        "messages",
        "tools",
        "tool_choice",
        "strict_tools",
        "documents",
        "citation_options",
        "response_format",
        "safety_mode",
        "max_tokens",
        "stop_sequences",
        "temperature",
        "seed",
        "frequency_penalty",
        "presence_penalty",
        "k",
        "p",
        "thinking",
        "priority",
        "stream",
    ],
    carries,
    takes: "texts and pictures only",
    write,
    read,
    write_embedding,
    read_embeddings,
    // Words on a list of its own, and a request that it gave up: <https://docs.cohere.com/reference/errors>.
    classes: &[(498, UpstreamClass::ContentFilter, 400), (499, UpstreamClass::Server, 500)],
};

fn carries(part: &Part) -> bool {
    match part {
        Part::Audio(_) | Part::Video(_) => false,
        Part::Document(document) => !matches!(document.body, DocumentBody::Media(_)),
        Part::Text(_)
        | Part::Image(_)
        | Part::Thinking(_)
        | Part::Refusal(_)
        | Part::ToolCall(_)
        | Part::ToolResult(_)
        | Part::Opaque(_) => true,
    }
}

fn write(body: &mut Fields, writing: &mut Writing<'_>) -> Result<(), Fault> {
    simplify(body, &mut writing.lost);
    for (ours, theirs) in [("stop", "stop_sequences"), ("top_k", "k"), ("top_p", "p")] {
        rename(body, ours, theirs);
    }
    // All of the probability is refused: <https://docs.cohere.com/v2/reference/chat>.
    if let Some(p) = body.get_mut("p").filter(|p| float::of_value(p).is_some_and(|p| p > 0.99)) {
        *p = json!(0.99);
    }
    choose(body);
    let mut strict = false;
    for tool in each(body.get_mut("tools")) {
        let function = tool.get_mut("function").and_then(Value::as_object_mut);
        strict |= function.and_then(|function| function.shift_remove("strict")) == Some(Value::Bool(true));
    }
    if strict {
        body.insert("strict_tools".to_owned(), true.into());
    }
    if let Some(mut format) = body.shift_remove("response_format") {
        let schema = format.get_mut("json_schema").and_then(|inner| inner.get_mut("schema")).map(Value::take);
        if format.get("type").is_some_and(|kind| kind != "text") {
            let mut fields = Fields::new();
            fields.insert("type".to_owned(), "json_object".into());
            fields.extend(schema.map(|schema| ("json_schema".to_owned(), schema)));
            body.insert("response_format".to_owned(), fields.into());
        }
    }
    if let Some((on, level, budget)) = thought(body) {
        let mut thinking = Fields::new();
        thinking.insert("type".to_owned(), if on { "enabled" } else { "disabled" }.into());
        let budget = budget.or_else(|| match level.as_ref()?.as_str()? {
            "minimal" => Some(512.into()),
            "low" => Some(2048.into()),
            "medium" => Some(8192.into()),
            _ => None,
        });
        thinking.extend(budget.filter(|_| on).map(|budget| ("token_budget".to_owned(), budget)));
        body.insert("thinking".to_owned(), thinking.into());
    }
    let reasons = writing.model.contains("reasoning");
    each(body.get_mut("messages")).for_each(|message| write_message(message, reasons));
    Ok(())
}

/// A call may be forced or forbidden; one that is named is the only one there is.
fn choose(body: &mut Fields) {
    let Some(choice) = body.shift_remove("tool_choice") else { return };
    let word = match choice.as_str() {
        Some("auto") => return,
        Some("none") => "NONE",
        Some(_) | None => "REQUIRED",
    };
    body.insert("tool_choice".to_owned(), word.into());
}

fn write_message(message: &mut Fields, reasons: bool) {
    if let Some(Value::Array(content)) = message.get_mut("content") {
        content.retain(|piece| piece.get("type").is_some_and(|kind| kind == "text" || kind == "image_url"));
    }
    let Some(thinking) = message.shift_remove("reasoning_content") else { return };
    if message.contains_key("tool_calls") && !reasons {
        message.insert("tool_plan".to_owned(), thinking);
        return;
    }
    let mut content = vec![object([("type", "thinking".into()), ("thinking", thinking)])];
    match message.shift_remove("content") {
        Some(Value::Array(list)) => content.extend(list),
        Some(text) => content.push(object([("type", "text".into()), ("text", text)])),
        None => {}
    }
    message.insert("content".to_owned(), content.into());
}

fn read(mut fields: Fields) -> Read {
    let mut chunk = Fields::new();
    chunk.extend(fields.shift_remove_entry("id"));
    let index = fields.get("index").cloned();
    let kind = fields.shift_remove("type");
    let mut rest = match (&kind, fields.shift_remove("delta")) {
        (Some(_), Some(Value::Object(delta))) => delta,
        (Some(_), _) => return Read::Nothing,
        (None, _) => fields,
    };
    let message = match rest.shift_remove("message") {
        Some(Value::Object(message)) => message,
        _ if kind.is_none() => return Read::Garbled,
        _ => Fields::new(),
    };
    let finish = rest.shift_remove("finish_reason");
    let finish = match finish.as_ref().and_then(Value::as_str) {
        None => Value::Null,
        Some("COMPLETE") => "stop".into(),
        Some("MAX_TOKENS") => "length".into(),
        Some("TOOL_CALL") => "tool_calls".into(),
        Some("ERROR_TOXIC") => "content_filter".into(),
        Some(word @ ("ERROR" | "TIMEOUT")) => {
            let said = rest.get("error").and_then(Value::as_str);
            let class = if word == "ERROR" { UpstreamClass::Server } else { UpstreamClass::Timeout };
            let message = said.map_or_else(|| format!("the answer ended in {word}"), str::to_owned);
            return Read::Failed(UpstreamFault::new(class, 200, message));
        }
        Some(word) => word.into(),
    };
    let begins = kind.as_ref().is_some_and(|kind| kind == "message-start");
    let usage = rest.shift_remove("usage").map(usage);
    let mut choice = Fields::new();
    choice.insert("delta".to_owned(), Value::Object(read_message(message, index)));
    choice.insert("finish_reason".to_owned(), finish);
    chunk.insert("choices".to_owned(), if begins { json!([]) } else { Value::Array(vec![choice.into()]) });
    chunk.extend(usage.map(|usage| ("usage".to_owned(), usage)));
    Read::Chunk(chunk)
}

/// A whole message, or a piece of one: one object then where a whole one has a list.
fn read_message(mut message: Fields, index: Option<Value>) -> Fields {
    rename(&mut message, "tool_plan", "reasoning_content");
    rename(&mut message, "citations", "annotations");
    for list in ["annotations", "content", "tool_calls"] {
        if let Some(one @ Value::Object(_)) = message.get_mut(list) {
            let mut one = one.take();
            if let (Some(index), Some(fields)) =
                (index.clone().filter(|_| list == "tool_calls"), one.as_object_mut())
            {
                fields.insert("index".to_owned(), index);
            }
            // A piece of thinking does not say that it is some.
            if let Some(fields) = one.as_object_mut().filter(|fields| fields.contains_key("thinking")) {
                fields.insert("type".to_owned(), "thinking".into());
            }
            message.insert(list.to_owned(), Value::Array(vec![one]));
        }
    }
    message
}

fn usage(mut usage: Value) -> Value {
    let count = |of: &str, name: &str| usage.get(of).and_then(|of| of.get(name)).and_then(Value::as_u64);
    let either = |name: &str| count("billed_units", name).or_else(|| count("tokens", name));
    let (prompt, completion) = (either("input_tokens"), either("output_tokens"));
    let reasoning = count("tokens", "reasoning_tokens").filter(|_| prompt.is_some());
    let details = reasoning.map(|reasoning| object([("reasoning_tokens", reasoning.into())]));
    // What the cache held is counted with the template, and costs the same.
    let tokens = usage.get_mut("tokens").map(Value::take);
    object([
        ("prompt_tokens", prompt.into()),
        ("completion_tokens", completion.into()),
        ("completion_tokens_details", details.unwrap_or_default()),
        ("tokens", tokens.unwrap_or_default()),
    ])
}

fn write_embedding(body: &mut Fields, call: &EmbeddingCall, lost: &mut Vec<String>) {
    let texts = match body.shift_remove("input") {
        Some(one @ Value::String(_)) => Value::Array(vec![one]),
        other => other.unwrap_or_default(),
    };
    body.insert("texts".to_owned(), texts);
    rename(body, "dimensions", "output_dimension");
    let word = match call.task.as_deref() {
        Some("RETRIEVAL_QUERY" | "QUESTION_ANSWERING" | "CODE_RETRIEVAL_QUERY") => "search_query",
        Some("CLASSIFICATION") => "classification",
        Some("CLUSTERING" | "SEMANTIC_SIMILARITY") => "clustering",
        Some(_) | None => "search_document",
    };
    lost.retain(|name| name != "taskType");
    body.entry("input_type").or_insert_with(|| word.into());
    body.insert("embedding_types".to_owned(), json!(["float"]));
    if body.shift_remove("user").is_some() {
        lost.push("user".to_owned());
    }
}

fn read_embeddings(answer: &mut Fields) -> (Value, Option<Value>) {
    let vectors = answer.get_mut("embeddings").and_then(|all| all.get_mut("float")).map(Value::take);
    let billed = answer.get_mut("meta").and_then(|meta| meta.get_mut("billed_units"));
    let tokens = billed.and_then(|billed| billed.get_mut("input_tokens")).map(Value::take);
    (vectors.unwrap_or_default(), tokens)
}
