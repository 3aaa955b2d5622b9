//! Ollama's own chat and vectors: <https://docs.ollama.com/api/chat>.
//!
//! Streams are JSON objects in lines, the last of which says `done`. Calls have no ids, so that results
//! are told apart by their tool's name.

use super::{Cousin, Fields, Read, Writing, each, object, rename, simplify, thought};
use crate::call::{DocumentBody, Image, MediaSource, Part};
use crate::dialect::Dialect;
use crate::embedding::EmbeddingCall;
use crate::fault::{Code, Fault};
use serde_json::{Value, json};

/// Ollama.
pub static OLLAMA: Cousin = Cousin {
    dialect: Dialect::Ollama,
    fields: &[
        "model",
        "messages",
        "tools",
        "format",
        "options",
        "think",
        "keep_alive",
        "logprobs",
        "top_logprobs",
        "stream",
    ],
    carries,
    takes: "texts only, and pictures by their bytes and not by a URL",
    write,
    read,
    write_embedding,
    read_embeddings,
    classes: &[],
};

fn carries(part: &Part) -> bool {
    match part {
        Part::Audio(_) | Part::Video(_) => false,
        Part::Image(Image { source, .. }) => matches!(source, MediaSource::Inline { .. }),
        Part::Document(document) => !matches!(document.body, DocumentBody::Media(_)),
        Part::Text(_)
        | Part::Thinking(_)
        | Part::Refusal(_)
        | Part::ToolCall(_)
        | Part::ToolResult(_)
        | Part::Opaque(_) => true,
    }
}

/// What stands in `options`, in OpenAI's words and in its own.
const OPTIONS: [(&str, &str); 8] = [
    ("max_tokens", "num_predict"),
    ("temperature", "temperature"),
    ("top_p", "top_p"),
    ("top_k", "top_k"),
    ("seed", "seed"),
    ("presence_penalty", "presence_penalty"),
    ("frequency_penalty", "frequency_penalty"),
    ("stop", "stop"),
];

fn write(body: &mut Fields, writing: &mut Writing<'_>) -> Result<(), Fault> {
    simplify(body, &mut writing.lost);
    let mut options = match body.shift_remove("options") {
        Some(Value::Object(options)) => options,
        _ => Fields::new(),
    };
    for (ours, theirs) in OPTIONS {
        options.extend(body.shift_remove(ours).map(|value| (theirs.to_owned(), value)));
    }
    if !options.is_empty() {
        body.insert("options".to_owned(), options.into());
    }
    if let Some(mut format) = body.shift_remove("response_format") {
        let schema = format.get_mut("json_schema").and_then(|inner| inner.get_mut("schema")).map(Value::take);
        if format.get("type").is_some_and(|kind| kind != "text") {
            body.insert("format".to_owned(), schema.unwrap_or_else(|| "json".into()));
        }
    }
    if let Some((on, level, budget)) = thought(body) {
        // Only these models know levels: <https://docs.ollama.com/capabilities/thinking>.
        let leveled = on && writing.model.contains("gpt-oss");
        let level = level.filter(|_| leveled).map(|level| match level.as_str() {
            Some("minimal" | "low") => "low".into(),
            Some("medium") => "medium".into(),
            Some(_) | None => "high".into(),
        });
        body.insert("think".to_owned(), level.unwrap_or_else(|| on.into()));
        if budget.is_some() {
            writing.lost.push("reasoning.max_tokens".to_owned());
        }
    }
    // It knows no choice: what is forbidden is not offered.
    match body.get("tool_choice").and_then(Value::as_str) {
        Some("none") => drop((body.shift_remove("tools"), body.shift_remove("tool_choice"))),
        Some("auto") => drop(body.shift_remove("tool_choice")),
        Some(_) | None => {}
    }
    // Unsaid, it streams.
    body.entry("stream").or_insert(Value::Bool(false));
    let mut called = Fields::new();
    for message in each(body.get_mut("messages")) {
        write_message(message, &mut called)?;
    }
    Ok(())
}

/// `called` holds the tools' names by their calls' ids.
fn write_message(message: &mut Fields, called: &mut Fields) -> Result<(), Fault> {
    rename(message, "reasoning_content", "thinking");
    let (mut text, mut images) = (String::new(), Vec::new());
    match message.shift_remove("content") {
        Some(Value::String(only)) => text = only,
        Some(Value::Array(pieces)) => {
            for piece in pieces {
                if let Some(more) = piece.get("text").and_then(Value::as_str) {
                    if !text.is_empty() {
                        text.push('\n');
                    }
                    text.push_str(more);
                }
                let url = piece.get("image_url").and_then(|image| image.get("url")).and_then(Value::as_str);
                let data = url.filter(|url| url.starts_with("data:")).and_then(|url| url.split_once(','));
                images.extend(data.map(|(_, data)| Value::from(data)));
            }
        }
        _ => {}
    }
    message.insert("content".to_owned(), text.into());
    if !images.is_empty() {
        message.insert("images".to_owned(), images.into());
    }
    for call in each(message.get_mut("tool_calls")) {
        let id = call.shift_remove("id");
        let Some(function) = call.get_mut("function").and_then(Value::as_object_mut) else { continue };
        if let (Some(Value::String(id)), Some(name)) = (id, function.get("name")) {
            called.insert(id, name.clone());
        }
        let text = function.get("arguments").and_then(Value::as_str).unwrap_or_default().trim();
        let arguments = if text.is_empty() { Ok(object([])) } else { serde_json::from_str(text) };
        let Ok(arguments @ Value::Object(_)) = arguments else {
            let what = "the arguments of a tool call are no JSON object, which is all this provider takes";
            return Err(Fault::new(Code::BadField, what).at("messages"));
        };
        function.insert("arguments".to_owned(), arguments);
    }
    if let Some(Value::String(id)) = message.shift_remove("tool_call_id") {
        message.extend(called.get(&id).map(|name| ("tool_name".to_owned(), name.clone())));
    }
    Ok(())
}

fn read(mut fields: Fields) -> Read {
    let Some(Value::Object(mut message)) = fields.shift_remove("message") else { return Read::Garbled };
    rename(&mut message, "thinking", "reasoning_content");
    // The time of each piece.
    fields.shift_remove("created_at");
    let done = fields.shift_remove("done") == Some(Value::Bool(true));
    let reason = fields.shift_remove("done_reason");
    let length = reason.is_some_and(|reason| reason == "length");
    let finish = done.then_some(if length { "length" } else { "stop" });
    let logprobs = fields.shift_remove("logprobs").map(|content| object([("content", content)]));
    let choice = json!({"delta": message, "finish_reason": finish, "logprobs": logprobs});
    fields.insert("choices".to_owned(), json!([choice]));
    let mut count = |name: &str| fields.shift_remove(name).filter(Value::is_u64);
    let (prompt, output) = (count("prompt_eval_count"), count("eval_count"));
    if prompt.is_some() || output.is_some() {
        let counts = json!({"prompt_tokens": prompt.unwrap_or(0.into()), "completion_tokens": output});
        fields.insert("usage".to_owned(), counts);
    }
    Read::Chunk(fields)
}

fn write_embedding(body: &mut Fields, _call: &EmbeddingCall, lost: &mut Vec<String>) {
    if body.shift_remove("user").is_some() {
        lost.push("user".to_owned());
    }
}

fn read_embeddings(answer: &mut Fields) -> (Value, Option<Value>) {
    let vectors = answer.shift_remove("embeddings").unwrap_or_default();
    (vectors, answer.shift_remove("prompt_eval_count"))
}
