//! The conversation in this dialect.

use super::{Body, content};
use crate::call::{Message, Part, Role, Signature, Text, Thinking, ToolCall, ToolResult};
use crate::dialect::Dialect;
use crate::provider::openai::fnv;
use crate::vendor::{DeveloperRole, MessageNames, ThinkingBack, ToolIds, Turns};
use serde_json::{Map, Value, json};

/// All messages, in the order and form the vendor accepts; before them instructions that stand apart.
pub(super) fn encode(system: &[Part], messages: &[Message], body: &mut Body) -> Vec<Value> {
    let mut out = Vec::new();
    let instructions = system.iter().enumerate();
    let instructions: Vec<_> =
        instructions.flat_map(|(j, part)| content::part(part, body, &format!("system[{j}]"))).collect();
    if !instructions.is_empty() {
        out.push(json!({"role": "system", "content": content::as_content(instructions)}));
    }
    // Pictures that tools returned: tool messages hold text only, so they follow as the user's.
    let mut shown = Vec::new();
    for (i, message) in messages.iter().enumerate() {
        if message.role != Role::Tool {
            push_shown(&mut shown, &mut out);
        }
        let encoder = Encoder { body: &mut *body, i, extras: Map::new() };
        match message.role {
            Role::Tool => encoder.results(message, &mut out, &mut shown),
            Role::System | Role::Developer | Role::User | Role::Assistant => {
                encoder.message(message, &mut out, &mut shown)
            }
        }
    }
    push_shown(&mut shown, &mut out);
    match body.quirks.turns {
        Turns::Free => out,
        Turns::Alternating => alternating(out),
        Turns::NoUserAfterTool => between_tool_and_user(out),
    }
}

fn push_shown(shown: &mut Vec<Value>, out: &mut Vec<Value>) {
    if !shown.is_empty() {
        out.push(json!({"role": "user", "content": std::mem::take(shown)}));
    }
}

fn role_of(message: &Value) -> &str {
    message.get("role").and_then(Value::as_str).unwrap_or_default()
}

/// Joins neighbours of one role.
fn alternating(messages: Vec<Value>) -> Vec<Value> {
    let mut out: Vec<Value> = Vec::new();
    for message in messages {
        match out.last_mut() {
            Some(last) if role_of(last) == role_of(&message) && role_of(last) != "tool" => {
                join(last, message)
            }
            _ => out.push(message),
        }
    }
    out
}

/// Adds what `message` says to the one before it: its content and calls after the other's, and of
/// the rest what the other lacks.
fn join(last: &mut Value, message: Value) {
    let (Value::Object(last), Value::Object(message)) = (last, message) else { return };
    for (key, more) in message {
        match (last.get_mut(&key), more) {
            (None, more) => drop(last.insert(key, more)),
            (Some(all), more) if key == "content" => {
                let mut parts = content::as_list(all.take());
                parts.extend(content::as_list(more));
                *all = if parts.is_empty() { Value::Null } else { content::as_content(parts) };
            }
            (Some(Value::Array(all)), Value::Array(more)) => all.extend(more),
            (Some(_), _) => {}
        }
    }
}

/// Mistral: `Unexpected role 'user' after role 'tool'`.
fn between_tool_and_user(messages: Vec<Value>) -> Vec<Value> {
    let mut out: Vec<Value> = Vec::with_capacity(messages.len());
    for message in messages {
        if role_of(&message) == "user" && out.last().is_some_and(|last| role_of(last) == "tool") {
            out.push(json!({"role": "assistant", "content": "OK"}));
        }
        out.push(message);
    }
    out
}

/// Encodes one message, the `i`th of the call.
struct Encoder<'b> {
    body: &'b mut Body,
    i: usize,
    extras: Map<String, Value>,
}

impl Encoder<'_> {
    fn at(&self, j: usize) -> String {
        format!("messages[{}].content[{j}]", self.i)
    }

    fn lose(&mut self, j: usize) {
        self.body.lose(self.at(j));
    }

    fn message(mut self, message: &Message, out: &mut Vec<Value>, shown: &mut Vec<Value>) {
        let Message { role, name, parts, extras } = message;
        let word = match (role, self.body.quirks.developer) {
            (Role::System, _) | (Role::Developer, DeveloperRole::AsSystem) => "system",
            (Role::Developer, DeveloperRole::Known) => "developer",
            (Role::User, _) => "user",
            (Role::Assistant, _) => "assistant",
            (Role::Tool, _) => "tool",
        };
        let mut fields = Map::new();
        fields.insert("role".to_owned(), word.into());
        self.name(name.as_deref(), &mut fields);
        let mut turn = Turn::default();
        let mut answers = false;
        for (j, part) in parts.iter().enumerate() {
            if let (Role::User, Part::ToolResult(result)) = (role, part) {
                // Each is a message of its own here, before what the user says with it.
                answers = true;
                let at = self.at(j);
                let result = self.result(result, &at, shown);
                out.push(Value::Object(result));
            } else {
                self.part(j, *role, part, &mut turn);
            }
        }
        shown.append(&mut turn.content);
        turn.content = std::mem::take(shown);
        let says = turn.finish(*role, &mut fields);
        self.extras(extras, &mut fields);
        // A turn of the model's with nothing left in it is refused.
        if says || (*role != Role::Assistant && !answers) {
            match out.last_mut() {
                // Between calls and their results nothing may stand, be it more calls.
                Some(last) if word == "assistant" && last.get("tool_calls").is_some() => {
                    join(last, Value::Object(fields));
                }
                _ => out.push(Value::Object(fields)),
            }
        }
    }

    fn name(&mut self, name: Option<&str>, fields: &mut Map<String, Value>) {
        match (name, self.body.quirks.names) {
            (None, _) => {}
            (Some(name), MessageNames::Known) => drop(fields.insert("name".to_owned(), name.into())),
            (Some(_), MessageNames::Refused) => self.body.lose(format!("messages[{}].name", self.i)),
        }
    }

    fn part(&mut self, j: usize, role: Role, part: &Part, turn: &mut Turn) {
        match part {
            Part::Thinking(thinking) => self.thinking(j, thinking, turn),
            Part::Refusal(text) if role == Role::Assistant => {
                turn.refusal.get_or_insert_default().push_str(text)
            }
            Part::ToolCall(call) => {
                let call = self.tool_call(j, call);
                turn.calls.push(call);
            }
            Part::Audio(audio) if role == Role::Assistant => match &audio.id {
                Some(id) => turn.audio = Some(json!({"id": id})),
                None => self.lose(j),
            },
            Part::Opaque(block)
                if block.origin == Dialect::OpenAi
                    && block.value.get("type").is_some_and(|kind| kind == "custom") =>
            {
                turn.calls.push(block.value.clone());
            }
            Part::Text(Text { signature: Some(signature), text, .. }) => {
                self.signed(j, signature, turn);
                if !text.is_empty() {
                    turn.content.extend(content::part(part, self.body, &self.at(j)));
                }
            }
            Part::Text(_)
            | Part::Image(_)
            | Part::Audio(_)
            | Part::Video(_)
            | Part::Document(_)
            | Part::Refusal(_)
            | Part::Opaque(_) => turn.content.extend(content::part(part, self.body, &self.at(j))),
            // Results stand in tool messages only.
            Part::ToolResult(_) => self.lose(j),
        }
    }

    /// Google's endpoint takes its proofs back in the field it sends them in.
    fn signed(&mut self, j: usize, signature: &Signature, turn: &mut Turn) {
        if signature.origin == Dialect::Gemini && self.body.origin == Dialect::OpenAi {
            turn.extra = Some(json!({"google": {"thought_signature": signature.value}}));
        } else {
            self.body.lose(format!("{}.signature", self.at(j)));
        }
    }

    fn thinking(&mut self, j: usize, thinking: &Thinking, turn: &mut Turn) {
        let Thinking { text, signature, sealed } = thinking;
        match self.body.quirks.thinking_back {
            ThinkingBack::LeftOut => return self.lose(j),
            ThinkingBack::Chunks if !text.is_empty() => {
                turn.content.push(json!({"type": "thinking", "thinking": [{"type": "text", "text": text}]}))
            }
            ThinkingBack::Chunks => {}
            ThinkingBack::ReasoningContent | ThinkingBack::WithToolCalls => {
                turn.reasoning_field = "reasoning_content";
                turn.only_with_calls = self.body.quirks.thinking_back == ThinkingBack::WithToolCalls;
                turn.reasoning.push_str(text);
            }
            ThinkingBack::Reasoning | ThinkingBack::ReasoningDetails => {
                turn.reasoning_field = "reasoning";
                turn.reasoning.push_str(text);
            }
        }
        let proof = sealed.as_ref().or(signature.as_ref());
        let own = proof.filter(|proof| {
            proof.origin == Dialect::OpenAi
                && self.body.quirks.thinking_back == ThinkingBack::ReasoningDetails
        });
        if let Some(Ok(Value::Object(mut detail))) = own.map(|own| serde_json::from_str(&own.value)) {
            if sealed.is_none() {
                detail.insert("text".to_owned(), text.as_str().into());
            }
            turn.details.push(Value::Object(detail));
        } else if proof.is_some() {
            match self.body.origin {
                Dialect::OpenAi => self.body.lose(format!("messages[{}].thinking_blocks", self.i)),
                Dialect::OpenAiResponses
                | Dialect::Bedrock
                | Dialect::Cohere
                | Dialect::Ollama
                | Dialect::Anthropic
                | Dialect::Gemini => self.lose(j),
            }
        }
    }

    fn tool_call(&mut self, j: usize, call: &ToolCall) -> Value {
        let ToolCall { id, name, arguments, signature, cache } = call;
        let mut value = json!({
            "id": tool_id(id, self.body.quirks.tool_ids),
            "type": "function",
            "function": {"name": name, "arguments": arguments},
        });
        let mark = self.body.mark(cache.as_ref(), &self.at(j));
        let Some(fields) = value.as_object_mut() else { return value };
        fields.extend(mark.map(|mark| ("cache_control".to_owned(), mark)));
        match signature {
            Some(signature) if self.body.origin == Dialect::OpenAi => {
                let extra = json!({"google": {"thought_signature": signature.value}});
                fields.insert("extra_content".to_owned(), extra);
            }
            Some(_) => self.body.lose(format!("{}.signature", self.at(j))),
            None => {}
        }
        value
    }

    /// Each result is a message of its own here.
    fn results(mut self, message: &Message, out: &mut Vec<Value>, shown: &mut Vec<Value>) {
        let Message { role: _, name, parts, extras } = message;
        for (j, part) in parts.iter().enumerate() {
            let Part::ToolResult(result) = part else {
                self.lose(j);
                continue;
            };
            let mut fields = self.result(result, &format!("messages[{}]", self.i), shown);
            self.name(name.as_deref(), &mut fields);
            self.extras(extras, &mut fields);
            out.push(Value::Object(fields));
        }
    }

    /// `at` is the path of what holds the result's content.
    fn result(&mut self, result: &ToolResult, at: &str, shown: &mut Vec<Value>) -> Map<String, Value> {
        // The name is for providers that cannot do without; here the client's own is used.
        let ToolResult { call_id, name: _, parts, failed, cache } = result;
        let mut texts = Vec::new();
        for (j, part) in parts.iter().enumerate() {
            for part in content::part(part, self.body, &format!("{at}.content[{j}]")) {
                let is_text = part.get("type").is_some_and(|kind| kind == "text");
                if is_text { texts.push(part) } else { shown.push(part) }
            }
        }
        if texts.is_empty() && !shown.is_empty() {
            texts.push(json!({"type": "text", "text": "see the next message"}));
        }
        let mut fields = Map::new();
        fields.insert("role".to_owned(), "tool".into());
        fields.insert("tool_call_id".to_owned(), tool_id(call_id, self.body.quirks.tool_ids).into());
        let content = match (failed, self.body.origin) {
            (
                Some(true),
                Dialect::OpenAiResponses
                | Dialect::Bedrock
                | Dialect::Cohere
                | Dialect::Ollama
                | Dialect::Anthropic
                | Dialect::Gemini,
            ) => json!({"error": content::as_content(texts)}).to_string().into(),
            _ => content::as_content(texts),
        };
        fields.insert("content".to_owned(), content);
        if self.body.origin == Dialect::OpenAi {
            fields.extend(failed.map(|failed| ("is_error".to_owned(), failed.into())));
        }
        fields.extend(self.body.mark(cache.as_ref(), at).map(|mark| ("cache_control".to_owned(), mark)));
        fields
    }

    /// `content[2].new` goes back into its part, anything else into the message.
    fn extras(&mut self, extras: &Map<String, Value>, fields: &mut Map<String, Value>) {
        self.extras.extend(extras.clone());
        for (key, value) in std::mem::take(&mut self.extras) {
            if self.body.origin != Dialect::OpenAi {
                self.body.lose(format!("messages[{}].{key}", self.i));
            } else if let Some((at, inner)) =
                key.strip_prefix("content[").and_then(|rest| rest.split_once("]."))
            {
                let mut list = content::as_list(fields.get("content").cloned().unwrap_or_default());
                let part =
                    at.parse().ok().and_then(|at: usize| list.get_mut(at)).and_then(Value::as_object_mut);
                part.into_iter().for_each(|part| drop(part.insert(inner.to_owned(), value.clone())));
                fields.insert("content".to_owned(), Value::Array(list));
            } else {
                fields.entry(key).or_insert(value);
            }
        }
    }
}

/// What one message says.
#[derive(Default)]
struct Turn {
    content: Vec<Value>,
    refusal: Option<String>,
    reasoning: String,
    reasoning_field: &'static str,
    only_with_calls: bool,
    calls: Vec<Value>,
    audio: Option<Value>,
    extra: Option<Value>,
    details: Vec<Value>,
}

impl Turn {
    /// Writes it into the message, and tells whether there was anything.
    fn finish(self, role: Role, fields: &mut Map<String, Value>) -> bool {
        let Self {
            content,
            refusal,
            reasoning,
            reasoning_field,
            only_with_calls,
            calls,
            audio,
            extra,
            details,
        } = self;
        let says = !content.is_empty() || refusal.is_some() || !calls.is_empty() || audio.is_some();
        let silent = role == Role::Assistant && content.is_empty() && says;
        let content = if silent { Value::Null } else { content::as_content(content) };
        fields.insert("content".to_owned(), content);
        let wanted = !only_with_calls || !calls.is_empty();
        if wanted && !reasoning.is_empty() {
            fields.insert(reasoning_field.to_owned(), reasoning.into());
        }
        if !details.is_empty() {
            fields.insert("reasoning_details".to_owned(), Value::Array(details));
        }
        fields.extend(refusal.map(|text| ("refusal".to_owned(), text.into())));
        fields.extend(audio.map(|audio| ("audio".to_owned(), audio)));
        fields.extend(extra.map(|extra| ("extra_content".to_owned(), extra)));
        if !calls.is_empty() {
            fields.insert("tool_calls".to_owned(), Value::Array(calls));
        }
        says
    }
}

/// The id itself, or nine letters and digits made of it: the same in the call and in its result.
fn tool_id(id: &str, form: ToolIds) -> String {
    let fits = id.len() == 9 && id.bytes().all(|byte| byte.is_ascii_alphanumeric());
    match form {
        ToolIds::Any => id.to_owned(),
        ToolIds::NineAlphanumeric if fits => id.to_owned(),
        ToolIds::NineAlphanumeric => {
            let mut hash = fnv(id.as_bytes());
            let digit = |_| {
                let digit = char::from_digit(u32::try_from(hash % 36).unwrap_or(0), 36).unwrap_or('0');
                hash /= 36;
                digit
            };
            (0..9).map(digit).collect()
        }
    }
}
