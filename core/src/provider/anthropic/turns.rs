//! The conversation as the API wants it: user and assistant in turn, each tool call answered at the
//! beginning of the user turn that follows it.
//!
//! 1. System text before the first turn becomes the `system` field. Later it stays where it stood:
//!    as a `system` turn where the model takes one there (after a user turn, before an assistant's or
//!    at the end), else as tagged text in the user turn at that place.
//! 2. Messages of one side that follow each other become one turn.
//! 3. Every tool call is answered in the next user turn, results first; a call that the client left
//!    open gets a failed result, since the API refuses the whole conversation otherwise.
//! 4. What a turn was written as does not depend on what comes after its successor.

use super::blocks;
use super::ids::Ids;
use super::lost::{Lost, Place};
use super::model::{Model, Support};
use crate::call::{Extras, Message, Part, Role, ToolResult};
use crate::dialect::Dialect;
use crate::fault::Fault;
use serde_json::{Map, Value, json};

/// Stands in for the user's first turn where the conversation begins with the model's.
const NOTHING_SAID: &str = ".";
/// Stands in for the result of a call that the client left open.
const NO_RESULT: &str = "No result was given for this tool call.";

/// The conversation in the API's form.
#[derive(Debug)]
pub(in crate::provider) struct Conversation {
    /// Text blocks of the `system` field.
    pub(in crate::provider) system: Vec<Value>,
    /// The `messages` field.
    pub(in crate::provider) messages: Vec<Value>,
    /// Whether the last tool calls can be followed up with thinking.
    pub(in crate::provider) tail: Tail,
}

/// How a conversation ends, as far as thinking with a budget minds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::provider) enum Tail {
    /// Nothing stands against thinking.
    Free,
    /// Results of calls that were made without thinking, which older models refuse to think about.
    UnthoughtCalls,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Side {
    User,
    Assistant,
    System,
}

#[derive(Debug)]
struct Turn {
    side: Side,
    /// Tool results, which come before anything else.
    results: Vec<Value>,
    blocks: Vec<Value>,
    extras: Extras,
}

/// A call in the last assistant turn.
#[derive(Debug)]
struct Pending<'a> {
    id: &'a str,
    /// As the API knows it; taken by its result.
    wire: Option<String>,
}

#[derive(Debug)]
struct Writer<'a, 'l> {
    origin: Dialect,
    model: Model,
    ids: Ids,
    system: Vec<Value>,
    turns: Vec<Turn>,
    pending: Vec<Pending<'a>>,
    lost: &'l mut Lost,
}

/// What a call says, instructions and conversation.
#[derive(Clone, Copy, Debug)]
pub(in crate::provider) struct Said<'a> {
    pub(in crate::provider) system: &'a [Part],
    pub(in crate::provider) messages: &'a [Message],
    pub(in crate::provider) origin: Dialect,
}

/// Writes the conversation.
pub(in crate::provider) fn write(
    said: Said<'_>,
    model: Model,
    lost: &mut Lost,
) -> Result<Conversation, Fault> {
    let Said { system, messages, origin } = said;
    let (ids, turns, pending) = (Ids::default(), Vec::new(), Vec::new());
    let mut writer = Writer { origin, model, ids, system: Vec::new(), turns, pending, lost };
    writer.system = writer.system_blocks(system, Place::system(origin));
    for (at, message) in messages.iter().enumerate() {
        let next = messages.iter().skip(at).map(|later| later.role).find(|role| !is_system(*role));
        writer.on(at, message, next)?;
    }
    writer.finish(messages.len())
}

fn is_system(role: Role) -> bool {
    matches!(role, Role::System | Role::Developer)
}

impl<'a> Writer<'a, '_> {
    /// Takes the message at this index; `next` is the first role at or after it that is not system.
    fn on(&mut self, at: usize, message: &'a Message, next: Option<Role>) -> Result<(), Fault> {
        let Message { role, name, parts, extras } = message;
        let place = Place::message(self.origin, at);
        if name.is_some() && *role != Role::Tool {
            self.lost.name(place.field("name"));
        }
        match role {
            Role::System | Role::Developer => self.on_system(parts, place, next),
            Role::User | Role::Tool => self.on_user(parts, place)?,
            Role::Assistant => self.on_assistant(parts, place)?,
        }
        self.on_extras(*role, extras, place);
        Ok(())
    }

    fn on_extras(&mut self, role: Role, extras: &Extras, place: Place) {
        match (self.origin, self.turns.last_mut()) {
            (Dialect::Anthropic, Some(turn)) if !is_system(role) => turn.extras.extend(extras.clone()),
            (
                Dialect::Anthropic
                | Dialect::OpenAi
                | Dialect::OpenAiResponses
                | Dialect::Bedrock
                | Dialect::Cohere
                | Dialect::Ollama
                | Dialect::Gemini,
                _,
            ) => {
                extras.keys().for_each(|key| self.lost.name(place.field(key)));
            }
        }
    }

    fn on_system(&mut self, parts: &[Part], place: Place, next: Option<Role>) {
        let blocks = self.system_blocks(parts, place);
        let last = self.turns.last().map(|turn| turn.side);
        let fits =
            matches!(last, Some(Side::User | Side::System)) && matches!(next, None | Some(Role::Assistant));
        match (last, self.model.mid_system(), blocks.is_empty()) {
            (_, _, true) => {}
            (None, _, false) => self.system.extend(blocks),
            (Some(_), Support::Yes, false) if fits => self.turn(Side::System).blocks.extend(blocks),
            (Some(_), Support::Yes | Support::No, false) => {
                self.lost.name(place.field("role"));
                let tagged = blocks.into_iter().map(tagged);
                self.turn(Side::User).blocks.extend(tagged);
            }
        }
    }

    fn system_blocks(&mut self, parts: &[Part], place: Place) -> Vec<Value> {
        let mut blocks = Vec::with_capacity(parts.len());
        for (at, part) in parts.iter().enumerate() {
            let place = place.part(at);
            match part {
                Part::Text(text) => blocks.extend(blocks::text(text, place, self.lost)),
                Part::Image(_)
                | Part::Audio(_)
                | Part::Video(_)
                | Part::Document(_)
                | Part::Thinking(_)
                | Part::Refusal(_)
                | Part::ToolCall(_)
                | Part::ToolResult(_)
                | Part::Opaque(_) => self.lost.name(place.to_string()),
            }
        }
        blocks
    }

    fn on_user(&mut self, parts: &'a [Part], place: Place) -> Result<(), Fault> {
        for (at, part) in parts.iter().enumerate() {
            let place = place.part(at);
            if let Part::ToolResult(result) = part {
                let block = self.tool_result(result, place)?;
                self.turn(Side::User).results.push(block);
            } else if let Some(block) = blocks::said(part, place, self.lost)? {
                self.turn(Side::User).blocks.push(block);
            }
        }
        Ok(())
    }

    fn tool_result(&mut self, result: &ToolResult, place: Place) -> Result<Value, Fault> {
        let ToolResult { call_id, name: _, parts, failed, cache } = result;
        let open = self.pending.iter_mut().filter(|pending| pending.id == call_id);
        let Some(wire) = open.filter_map(|pending| pending.wire.take()).next() else {
            let field = match self.origin {
                Dialect::OpenAi | Dialect::OpenAiResponses | Dialect::Cohere | Dialect::Ollama => {
                    place.field("tool_call_id")
                }
                Dialect::Anthropic => format!("{place}.tool_use_id"),
                Dialect::Gemini => format!("{place}.functionResponse.id"),
                Dialect::Bedrock => format!("{place}.toolResult.toolUseId"),
            };
            let expected = "the id of an unanswered tool call in the assistant's turn before it";
            return Err(Fault::bad_field(field, expected, "an id that none of them has"));
        };
        let mut block = Map::new();
        block.insert("type".to_owned(), Value::from("tool_result"));
        block.insert("tool_use_id".to_owned(), Value::from(wire));
        let content = self.result_content(parts, place)?;
        block.extend(content.map(|content| ("content".to_owned(), content)));
        block.extend(failed.map(|failed| ("is_error".to_owned(), Value::Bool(failed))));
        let mut block = Value::Object(block);
        blocks::mark(&mut block, cache.as_ref());
        Ok(block)
    }

    /// A single plain text as a string, several parts as blocks, nothing as nothing: the API refuses
    /// empty lists and blocks.
    fn result_content(&mut self, parts: &[Part], place: Place) -> Result<Option<Value>, Fault> {
        let mut blocks = Vec::with_capacity(parts.len());
        for (at, part) in parts.iter().enumerate() {
            let place = match self.origin {
                Dialect::OpenAi | Dialect::OpenAiResponses => place.part(at),
                Dialect::Anthropic
                | Dialect::Gemini
                | Dialect::Bedrock
                | Dialect::Cohere
                | Dialect::Ollama => place,
            };
            blocks.extend(blocks::said(part, place, self.lost)?);
        }
        if let ([Part::Text(text)], 1) = (parts, blocks.len())
            && text.cache.is_none()
            && text.citations.is_none()
        {
            return Ok(Some(Value::from(text.text.as_str())));
        }
        Ok((!blocks.is_empty()).then_some(Value::Array(blocks)))
    }

    fn on_assistant(&mut self, parts: &'a [Part], place: Place) -> Result<(), Fault> {
        for (at, part) in parts.iter().enumerate() {
            let call = if let Part::ToolCall(call) = part { Some(call) } else { None };
            let wire = call.map(|call| self.ids.claim(&call.id)).unwrap_or_default();
            let Some(block) = blocks::answered(part, &wire, place.part(at), self.lost)? else { continue };
            if self.turns.is_empty() {
                self.turn(Side::User).blocks.push(json!({"type": "text", "text": NOTHING_SAID}));
            }
            self.turn(Side::Assistant).blocks.push(block);
            self.pending.extend(call.map(|call| Pending { id: &call.id, wire: Some(wire) }));
        }
        Ok(())
    }

    /// The turn being written, begun if the side changes.
    fn turn(&mut self, side: Side) -> &mut Turn {
        let last = self.turns.last().map(|turn| turn.side);
        if last != Some(side) {
            // The user's turn is over, so what it left open is answered for it.
            if last == Some(Side::User) {
                self.answer_pending();
            }
            self.turns.push(Turn { side, results: Vec::new(), blocks: Vec::new(), extras: Extras::new() });
        }
        let at = self.turns.len().saturating_sub(1);
        #[expect(clippy::indexing_slicing, reason = "one was pushed just above if there was none")]
        &mut self.turns[at]
    }

    fn answer_pending(&mut self) {
        let open = std::mem::take(&mut self.pending).into_iter().filter_map(|pending| pending.wire);
        let results = open.map(|wire| {
            json!({"type": "tool_result", "tool_use_id": wire, "content": NO_RESULT, "is_error": true})
        });
        if let Some(turn) = self.turns.last_mut() {
            turn.results.extend(results);
        }
    }

    /// Ends a conversation of this many messages.
    fn finish(mut self, count: usize) -> Result<Conversation, Fault> {
        if self.turns.is_empty() {
            self.speak_the_system_text(count)?;
        }
        if self.pending.iter().any(|pending| pending.wire.is_some()) {
            self.turn(Side::User);
            self.answer_pending();
        }
        self.trim_prefill();
        let tail = self.tail();
        let messages = self.turns.into_iter().map(Turn::into_value).collect();
        Ok(Conversation { system: self.system, messages, tail })
    }

    /// A call of nothing but instructions: the API wants a user's turn, so the last of them is one.
    fn speak_the_system_text(&mut self, count: usize) -> Result<(), Fault> {
        let last = Place::message(self.origin, count.saturating_sub(1));
        let Some(block) = self.system.pop() else {
            return Err(Fault::bad_field("messages", "at least one message with content", "none"));
        };
        self.lost.name(last.field("role"));
        self.turn(Side::User).blocks.push(block);
        Ok(())
    }

    /// The API refuses an answer to be continued that ends in white space.
    fn trim_prefill(&mut self) {
        let Some(turn) = self.turns.last_mut().filter(|turn| turn.side == Side::Assistant) else { return };
        if let Some(Value::String(text)) = turn.blocks.last_mut().and_then(|block| block.get_mut("text")) {
            text.truncate(text.trim_end().len());
        }
    }

    fn tail(&self) -> Tail {
        let mut last = self.turns.iter().rev().filter(|turn| turn.side != Side::System);
        let (user, assistant) = (last.next(), last.next());
        let answers = user.is_some_and(|turn| !turn.results.is_empty());
        let first = assistant.and_then(|turn| turn.blocks.first()).and_then(|block| block.get("type"));
        let thought = first.is_some_and(|kind| kind == "thinking" || kind == "redacted_thinking");
        if answers && !thought { Tail::UnthoughtCalls } else { Tail::Free }
    }
}

impl Turn {
    fn into_value(self) -> Value {
        let Self { side, mut results, blocks, extras } = self;
        let role = match side {
            Side::User => "user",
            Side::Assistant => "assistant",
            Side::System => "system",
        };
        results.extend(blocks);
        let mut turn = Map::new();
        turn.insert("role".to_owned(), Value::from(role));
        turn.insert("content".to_owned(), Value::Array(results));
        turn.extend(extras.into_iter().filter(|(key, _)| !matches!(key.as_str(), "role" | "content")));
        Value::Object(turn)
    }
}

/// Instructions within a user's turn, told apart from what the user says.
fn tagged(mut block: Value) -> Value {
    if let Some(Value::String(text)) = block.get_mut("text") {
        *text = format!("<system>\n{text}\n</system>");
    }
    block
}
