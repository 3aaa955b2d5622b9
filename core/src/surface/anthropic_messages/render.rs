//! Whole answers.

use super::words;
use crate::call::{Extras, Part, Text, Thinking, ToolCall, ids};
use crate::dialect::Dialect;
use crate::reply::{Choice, Reply};
use crate::surface::proof::{self, Of, UNSIGNED};
use crate::surface::{Asked, fields};
use crate::usage::Usage;
use bytes::Bytes;
use serde_json::{Map, Value, json};

/// See [`crate::surface::Surface::render`]. Of several answers the first is shown: nobody can ask for
/// more here.
pub(super) fn render(reply: &Reply, asked: &Asked) -> Bytes {
    let Reply { id, model, created: _, choices, usage, origin, extras } = reply;
    let nothing = Choice::default();
    let Choice { index: _, parts, stop, stop_sequence, logprobs: _, extras: of_choice, message_extras } =
        choices.first().unwrap_or(&nothing);
    let mut content = Content::default();
    parts.iter().for_each(|part| content.part(part));
    let Content { blocks, refusal, others, cited } = content;
    let mut more = extras.clone();
    more.extend(message_extras.clone());
    more.extend(of_choice.clone());
    let details = more.shift_remove("stop_details");
    fields::gather(&mut more, "citations", Value::Array(cited));
    if !others.is_empty() {
        more.insert("blocks".to_owned(), Value::Array(others));
    }
    if let Some(word) = stop.as_ref().and_then(words::native_stop_reason) {
        more.insert("stop_reason".to_owned(), word.into());
    }
    let reason = stop.as_ref().map(|stop| words::stop_reason(stop, &refusal));

    let mut fields = Map::new();
    let mut put = |key: &str, value: Value| fields.insert(key.to_owned(), value);
    put("id", words::message_id(id.as_deref(), asked).into());
    put("type", "message".into());
    put("role", "assistant".into());
    put("model", model.as_deref().unwrap_or(&asked.model).into());
    put("content", Value::Array(blocks));
    put("stop_reason", reason.map_or(Value::Null, Value::from));
    put("stop_sequence", stop_sequence.as_deref().map_or(Value::Null, Value::from));
    put("stop_details", words::stop_details(reason.unwrap_or_default(), &refusal, details.as_ref()));
    put("usage", words::usage(usage.as_ref().unwrap_or(&Usage::default()), *origin));
    merge(&mut fields, words::provider_fields(more, *origin));
    Bytes::from(Value::Object(fields).to_string())
}

fn merge(fields: &mut Map<String, Value>, more: Extras) {
    for (key, value) in more {
        fields.entry(key).or_insert(value);
    }
}

/// The content of a message in the making.
#[derive(Default)]
struct Content {
    blocks: Vec<Value>,
    refusal: String,
    /// Blocks of another dialect that have no place among the content.
    others: Vec<Value>,
    /// Citations of another dialect that have no form in this one.
    cited: Vec<Value>,
}

impl Content {
    fn part(&mut self, part: &Part) {
        match part {
            Part::Text(text) => self.text(text),
            Part::Thinking(thinking) => self.thinking(thinking),
            Part::Refusal(text) => {
                self.refusal.push_str(text);
                self.blocks.push(json!({"type": "text", "text": text}));
            }
            Part::ToolCall(call) => self.tool_use(call),
            Part::Image(_)
            | Part::Audio(_)
            | Part::Video(_)
            | Part::Document(_)
            | Part::ToolResult(_)
            | Part::Opaque(_) => {
                self.blocks.extend(words::whole_block(part));
                self.others.extend(words::other_block(part).cloned());
            }
        }
    }

    fn text(&mut self, text: &Text) {
        let Text { text, cache: _, signature, citations } = text;
        if let Some(Value::Array(others)) = citations.as_ref().map(words::other_citations) {
            self.cited.extend(others);
        }
        let cited = citations.as_ref().map(words::citations).unwrap_or_default();
        if !text.is_empty() || !cited.is_empty() {
            let mut block = json!({"type": "text", "text": text});
            if let (Some(block), false) = (block.as_object_mut(), cited.is_empty()) {
                block.insert("citations".to_owned(), Value::Array(cited));
            }
            self.blocks.push(block);
        }
        self.blocks.extend(signature.as_ref().map(|proof| words::bare_proof(proof, Of::Text)));
    }

    fn thinking(&mut self, thinking: &Thinking) {
        let Thinking { text, signature, sealed } = thinking;
        if !text.is_empty() || signature.is_some() {
            let proof =
                signature.as_ref().map(|proof| proof::write_to(Dialect::Anthropic, proof, Of::Thinking));
            self.blocks.push(words::thinking(text, proof.as_deref().unwrap_or(UNSIGNED)));
        }
        self.blocks.extend(sealed.as_ref().map(words::sealed));
    }

    fn tool_use(&mut self, call: &ToolCall) {
        let ToolCall { id, name, arguments, signature, cache: _ } = call;
        if let Some(signature) = signature {
            let proof = proof::write_to(Dialect::Anthropic, signature, Of::Call);
            // Thinking just before the call has no proof of its own, and can carry the call's.
            let before = self.blocks.last_mut().and_then(|block| block.get_mut("signature"));
            match before.filter(|before| *before == UNSIGNED) {
                Some(before) => *before = proof.into(),
                None => self.blocks.push(words::bare_proof(signature, Of::Call)),
            }
        }
        let (id, input) = (ids::plain(id), words::input(arguments));
        self.blocks.push(json!({"type": "tool_use", "id": id, "name": name, "input": input}));
    }
}
