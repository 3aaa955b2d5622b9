//! The conversation as items.

use super::Body;
use crate::call::{
    CacheMark, Document, DocumentBody, Image, MediaSource, Message, Opaque, Part, Role, Signature, Text,
    Thinking, ToolCall, ToolResult,
};
use crate::dialect::Dialect;
use crate::json::write::tree;
use serde_json::{Map, Value, json};

/// A proof of reasoning as the canonical form keeps it: the item's id and what is encrypted. Neither
/// has a colon.
pub(in crate::provider::openai_responses) fn proof(id: Option<&str>, encrypted: &str) -> String {
    format!("{}:{encrypted}", id.filter(|id| !id.contains(':')).unwrap_or_default())
}

impl Body {
    /// `instructions` and `input`.
    pub(super) fn conversation(&mut self, system: &[Part], messages: &[Message]) {
        let mut instructions: Vec<&str> = Vec::new();
        for (j, part) in system.iter().enumerate() {
            match part {
                Part::Text(text) => {
                    self.plain(text, &format!("system[{j}]"));
                    instructions.push(&text.text);
                }
                Part::Image(_)
                | Part::Audio(_)
                | Part::Video(_)
                | Part::Document(_)
                | Part::Thinking(_)
                | Part::Refusal(_)
                | Part::ToolCall(_)
                | Part::ToolResult(_)
                | Part::Opaque(_) => self.lose(format!("system[{j}]")),
            }
        }
        if !instructions.is_empty() {
            self.put("instructions", instructions.join("\n\n").into());
        }
        let mut input = Vec::new();
        for (i, message) in messages.iter().enumerate() {
            self.message(i, message, &mut input);
        }
        self.put("input", Value::Array(input));
    }

    fn message(&mut self, i: usize, message: &Message, input: &mut Vec<Value>) {
        let Message { role, name, parts, extras } = message;
        if name.is_some() && *role != Role::Tool {
            self.lose(format!("messages[{i}].name"));
        }
        for key in extras.keys() {
            self.lose(format!("messages[{i}].{key}"));
        }
        let word = match role {
            Role::System => "system",
            Role::Developer => "developer",
            Role::User | Role::Tool => "user",
            Role::Assistant => "assistant",
        };
        let mut content = Vec::new();
        for (j, part) in parts.iter().enumerate() {
            let at = format!("messages[{i}].content[{j}]");
            let item = match part {
                Part::ToolCall(call) => Some(self.call(call, &at)),
                Part::ToolResult(result) => {
                    let at = if *role == Role::Tool { format!("messages[{i}]") } else { at };
                    Some(self.result(result, &at))
                }
                Part::Thinking(thinking) => self.thinking(thinking, &at),
                Part::Opaque(Opaque { origin: Dialect::OpenAiResponses, value })
                    if *role == Role::Assistant =>
                {
                    Some(value.clone())
                }
                Part::Text(_)
                | Part::Image(_)
                | Part::Audio(_)
                | Part::Video(_)
                | Part::Document(_)
                | Part::Refusal(_)
                | Part::Opaque(_) => {
                    content.extend(self.content(part, *role, &at));
                    continue;
                }
            };
            // What was said before it stands before it.
            if let Some(item) = item {
                flush(word, &mut content, input);
                input.push(item);
            }
        }
        flush(word, &mut content, input);
    }

    fn content(&mut self, part: &Part, role: Role, at: &str) -> Vec<Value> {
        let kind = if role == Role::Assistant { "output_text" } else { "input_text" };
        let encoded = match part {
            Part::Text(text) => {
                self.plain(text, at);
                // A proof or a citation may hang on no words.
                (!text.text.is_empty()).then(|| json!({"type": kind, "text": text.text}))
            }
            Part::Refusal(text) => Some(json!({"type": "refusal", "refusal": text})),
            Part::Image(image) => self.or_lost(picture(image), image.cache.as_ref(), at),
            Part::Document(document) => return self.document(document, at),
            Part::Opaque(Opaque { origin: Dialect::OpenAiResponses, value }) => Some(value.clone()),
            Part::Audio(_)
            | Part::Video(_)
            | Part::Opaque(_)
            | Part::Thinking(_)
            | Part::ToolCall(_)
            | Part::ToolResult(_) => self.or_lost(None, None, at),
        };
        encoded.into_iter().collect()
    }

    fn or_lost(&mut self, encoded: Option<Value>, mark: Option<&CacheMark>, at: &str) -> Option<Value> {
        match &encoded {
            Some(_) => self.lose_at(mark, at, "cache_control"),
            None => self.lose(at),
        }
        encoded
    }

    /// What hangs on words and has no place here.
    fn plain(&mut self, text: &Text, at: &str) {
        let Text { text: _, cache, signature, citations } = text;
        self.lose_at(cache.as_ref(), at, "cache_control");
        self.lose_at(signature.as_ref(), at, "signature");
        self.lose_at(citations.as_ref(), at, "annotations");
    }

    fn document(&mut self, document: &Document, at: &str) -> Vec<Value> {
        let Document { body, title, about, citations, cache } = document;
        self.lose_at(citations.as_ref(), at, "citations");
        self.lose_at(cache.as_ref(), at, "cache_control");
        let text = |text: &str| json!({"type": "input_text", "text": text});
        let head: Vec<_> = [title, about].into_iter().flatten().map(|words| text(words)).collect();
        let mut list = match body {
            DocumentBody::Media(source) => {
                self.lose_at(about.as_ref(), at, "context");
                return vec![file(source, title.as_deref())];
            }
            DocumentBody::Opaque(_) => {
                self.lose(at);
                return Vec::new();
            }
            DocumentBody::Text(words) => vec![text(&words.text)],
            DocumentBody::Parts(parts) => self.parts(parts, at),
            DocumentBody::Found { at: found_at, parts } => {
                let mut list = vec![text(found_at)];
                list.extend(self.parts(parts, at));
                list
            }
        };
        list.splice(0..0, head);
        list
    }

    fn parts(&mut self, parts: &[Part], at: &str) -> Vec<Value> {
        let mut list = Vec::with_capacity(parts.len());
        for (j, part) in parts.iter().enumerate() {
            list.extend(self.content(part, Role::User, &format!("{at}.content[{j}]")));
        }
        list
    }

    /// Reasoning goes back to whoever made it, and to nobody else.
    fn thinking(&mut self, thinking: &Thinking, at: &str) -> Option<Value> {
        let Thinking { text, signature, sealed } = thinking;
        let own = |proof: &&Signature| proof.origin == Dialect::OpenAiResponses;
        let Some(proof) = [signature, sealed].into_iter().flatten().find(own) else {
            self.lose(at);
            return None;
        };
        let (id, encrypted) = proof.value.split_once(':').unwrap_or(("", &proof.value));
        let mut item = Map::new();
        item.insert("type".to_owned(), "reasoning".into());
        if !id.is_empty() {
            item.insert("id".to_owned(), id.into());
        }
        let summary = (!text.is_empty()).then(|| json!({"type": "summary_text", "text": text}));
        item.insert("summary".to_owned(), summary.into_iter().collect());
        item.insert("encrypted_content".to_owned(), encrypted.into());
        Some(Value::Object(item))
    }

    fn call(&mut self, call: &ToolCall, at: &str) -> Value {
        let ToolCall { id, name, arguments, signature, cache } = call;
        self.lose_at(cache.as_ref(), at, "cache_control");
        self.lose_at(signature.as_ref(), at, "signature");
        json!({"type": "function_call", "call_id": id, "name": name, "arguments": arguments})
    }

    fn result(&mut self, result: &ToolResult, at: &str) -> Value {
        let ToolResult { call_id, name: _, parts, failed, cache } = result;
        self.lose_at(cache.as_ref(), at, "cache_control");
        let list = self.parts(parts, at);
        let output = match (list.as_slice(), failed) {
            // Said in words, since there is no other place for it.
            (list, Some(true)) => {
                let texts: Vec<_> = list.iter().filter_map(|part| part.get("text")?.as_str()).collect();
                Value::from(json!({"error": texts.join("\n")}).to_string())
            }
            ([], _) => "".into(),
            ([only], _) if only.get("type").is_some_and(|kind| kind == "input_text") => {
                only.get("text").cloned().unwrap_or_default()
            }
            _ => Value::Array(list),
        };
        json!({"type": "function_call_output", "call_id": call_id, "output": output})
    }
}

/// Writes what has gathered as a message. One text is a string where that says the same.
fn flush(role: &str, content: &mut Vec<Value>, input: &mut Vec<Value>) {
    let mut content = std::mem::take(content);
    let content = match content.as_mut_slice() {
        [] => return,
        [only] if only.get("type").is_some_and(|kind| kind == "input_text") => {
            only.get_mut("text").map(Value::take).unwrap_or_default()
        }
        _ => Value::Array(content),
    };
    input.push(tree([("type", "message".into()), ("role", role.into()), ("content", content)]));
}

fn picture(image: &Image) -> Option<Value> {
    let Image { source, detail, cache: _ } = image;
    let mut fields = Map::new();
    fields.insert("type".to_owned(), "input_image".into());
    match source {
        MediaSource::File { id, origin: Dialect::OpenAi | Dialect::OpenAiResponses, .. } => {
            fields.insert("file_id".to_owned(), id.as_str().into());
        }
        MediaSource::File {
            origin:
                Dialect::Anthropic | Dialect::Gemini | Dialect::Bedrock | Dialect::Cohere | Dialect::Ollama,
            ..
        } => {
            return None;
        }
        MediaSource::Inline { media_type, data } => {
            fields.insert("image_url".to_owned(), format!("data:{media_type};base64,{data}").into());
        }
        MediaSource::Url { url, media_type: _ } => {
            fields.insert("image_url".to_owned(), url.as_str().into());
        }
    }
    fields.insert("detail".to_owned(), detail.as_deref().unwrap_or("auto").into());
    Some(Value::Object(fields))
}

fn file(source: &MediaSource, title: Option<&str>) -> Value {
    let mut fields = Map::new();
    let mut put = |key: &str, value: &str| drop(fields.insert(key.to_owned(), value.into()));
    put("type", "input_file");
    match source {
        MediaSource::File { id, media_type: _, origin: _ } => put("file_id", id),
        MediaSource::Url { url, media_type: _ } => put("file_url", url),
        MediaSource::Inline { media_type, data } => {
            // The name is required beside the data.
            put("filename", title.unwrap_or("document.pdf"));
            put("file_data", &format!("data:{media_type};base64,{data}"));
        }
    }
    Value::Object(fields)
}
