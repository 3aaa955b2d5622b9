//! The conversation as the API wants it: user and assistant in turn, each tool call answered in the
//! user's turn that follows it.
//!
//! 1. System text before the first turn becomes the `system` field; later it stands as tagged text in
//!    the user's turn at that place.
//! 2. Messages of one side that follow each other become one turn, and no turn is empty.
//! 3. Every tool call is answered in the next user turn, results first; one that the client left open
//!    gets a failed result, since the API refuses the whole conversation otherwise.
//! 4. Where a model takes results alone, what else the user says follows in a turn of its own.
//! 5. What a turn was written as does not depend on what comes after its successor.

use super::blocks::{self, marked};
use super::family::Family;
use super::media::Names;
use crate::call::{Message, Part, Role, ToolResult};
use crate::dialect::Dialect;
use crate::fault::Fault;
use crate::json::write::tree;
use crate::provider::anthropic::ids::Ids;
use crate::provider::anthropic::lost::{Lost, Place};
use crate::provider::anthropic::model::Support;
use crate::provider::anthropic::turns::Tail;
use serde_json::{Map, Value, json};
use sha2::{Digest as _, Sha256};

/// Stands in for a turn that has to be there.
const NOTHING_SAID: &str = ".";
/// Stands in for the result of a call that the client left open.
const NO_RESULT: &str = "No result was given for this tool call.";
/// The longest id of a call.
const MAX_ID: usize = 64;

/// The conversation in the API's form.
#[derive(Debug)]
pub(super) struct Conversation {
    /// Blocks of the `system` field.
    pub(super) system: Vec<Value>,
    /// The `messages` field.
    pub(super) messages: Vec<Value>,
    /// Whether the last tool calls can be followed up with thinking.
    pub(super) tail: Tail,
    /// The functions that were called, each once.
    pub(super) tools_used: Vec<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Side {
    User,
    Assistant,
}

#[derive(Debug)]
struct Turn {
    side: Side,
    /// Tool results, which come before anything else.
    results: Vec<Value>,
    blocks: Vec<Value>,
}

/// A call in the last assistant turn.
#[derive(Debug)]
struct Pending<'a> {
    id: &'a str,
    /// As the API knows it; taken by its result.
    wire: Option<String>,
}

struct Writer<'a, 'l> {
    origin: Dialect,
    family: Family,
    ids: Ids,
    documents: Names,
    system: Vec<Value>,
    turns: Vec<Turn>,
    pending: Vec<Pending<'a>>,
    used: Vec<String>,
    lost: &'l mut Lost,
}

/// What a call says, instructions and conversation.
#[derive(Clone, Copy, Debug)]
pub(super) struct Said<'a> {
    pub(super) system: &'a [Part],
    pub(super) messages: &'a [Message],
    pub(super) origin: Dialect,
}

/// Writes the conversation.
pub(super) fn write(said: Said<'_>, family: Family, lost: &mut Lost) -> Result<Conversation, Fault> {
    let Said { system, messages, origin } = said;
    let mut writer = Writer {
        origin,
        family,
        ids: Ids::default(),
        documents: Names::default(),
        system: Vec::new(),
        turns: Vec::new(),
        pending: Vec::new(),
        used: Vec::new(),
        lost,
    };
    writer.system = writer.instructions(system, Place::system(origin));
    for (at, message) in messages.iter().enumerate() {
        writer.on(at, message)?;
    }
    writer.finish(messages.len())
}

impl<'a> Writer<'a, '_> {
    fn on(&mut self, at: usize, message: &'a Message) -> Result<(), Fault> {
        let Message { role, name, parts, extras } = message;
        let place = Place::message(self.origin, at);
        if name.is_some() && *role != Role::Tool {
            self.lost.name(place.field("name"));
        }
        extras.keys().for_each(|key| self.lost.name(place.field(key)));
        match role {
            Role::System | Role::Developer => self.on_system(parts, place),
            Role::User | Role::Tool => self.on_user(parts, place)?,
            Role::Assistant => self.on_assistant(parts, place),
        }
        Ok(())
    }

    fn on_system(&mut self, parts: &[Part], place: Place) {
        let blocks = self.instructions(parts, place);
        if self.turns.is_empty() {
            self.system.extend(blocks);
        } else if !blocks.is_empty() {
            self.lost.name(place.field("role"));
            self.turn(Side::User).blocks.extend(blocks.into_iter().map(tagged));
        }
    }

    fn instructions(&mut self, parts: &[Part], place: Place) -> Vec<Value> {
        let mut blocks = Vec::with_capacity(parts.len());
        for (at, part) in parts.iter().enumerate() {
            let place = place.part(at);
            match part {
                Part::Text(text) => blocks.extend(blocks::text(text, place, self.lost)),
                Part::Opaque(opaque) if opaque.origin == Dialect::Bedrock => {
                    blocks.push(opaque.value.clone())
                }
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
                let blocks = self.tool_result(result, place)?;
                self.turn(Side::User).results.extend(blocks);
                continue;
            }
            let blocks = blocks::said(part, place, &mut self.documents, self.lost)?;
            if !blocks.is_empty() {
                self.turn(Side::User).blocks.extend(blocks);
            }
        }
        Ok(())
    }

    fn tool_result(&mut self, result: &ToolResult, place: Place) -> Result<Vec<Value>, Fault> {
        let ToolResult { call_id, name: _, parts, failed, cache } = result;
        let open = self.pending.iter_mut().filter(|pending| pending.id == call_id);
        let Some(wire) = open.filter_map(|pending| pending.wire.take()).next() else {
            let expected = "the id of an unanswered tool call in the assistant's turn before it";
            let field = match self.origin {
                Dialect::OpenAi | Dialect::OpenAiResponses | Dialect::Cohere | Dialect::Ollama => {
                    place.field("tool_call_id")
                }
                Dialect::Anthropic => format!("{place}.tool_use_id"),
                Dialect::Gemini => format!("{place}.functionResponse.id"),
                Dialect::Bedrock => format!("{place}.toolResult.toolUseId"),
            };
            return Err(Fault::bad_field(field, expected, "an id that none of them has"));
        };
        let mut content = Vec::with_capacity(parts.len());
        for (at, part) in parts.iter().enumerate() {
            let place = if matches!(self.origin, Dialect::OpenAi | Dialect::OpenAiResponses) {
                place.part(at)
            } else {
                place
            };
            content.extend(blocks::said(part, place, &mut self.documents, self.lost)?);
        }
        // A mark within a result is refused; the one after it covers it.
        content.retain(|block| block.get("cachePoint").is_none());
        let block = self.result_block(wire, content, *failed, place);
        Ok(marked(block, cache.as_ref()))
    }

    fn result_block(
        &mut self,
        wire: String,
        content: Vec<Value>,
        failed: Option<bool>,
        place: Place,
    ) -> Value {
        let content = if content.is_empty() { vec![json!({"text": ""})] } else { content };
        let mut fields = Map::new();
        fields.insert("toolUseId".to_owned(), Value::from(wire));
        fields.insert("content".to_owned(), Value::Array(content));
        match (failed, self.family.takes_status()) {
            (Some(true), Support::Yes) => {
                fields.insert("status".to_owned(), Value::from("error"));
            }
            (Some(true), Support::No) => self.lost.name(place.field("is_error")),
            (Some(false) | None, _) => {}
        }
        json!({ "toolResult": fields })
    }

    fn on_assistant(&mut self, parts: &'a [Part], place: Place) {
        for (at, part) in parts.iter().enumerate() {
            let call = if let Part::ToolCall(call) = part { Some(call) } else { None };
            let wire = call.map(|call| self.claim(&call.id)).unwrap_or_default();
            let blocks = blocks::answered(part, &wire, place.part(at), self.lost);
            if blocks.is_empty() {
                continue;
            }
            if self.turns.is_empty() {
                self.turn(Side::User).blocks.push(json!({"text": NOTHING_SAID}));
            }
            self.turn(Side::Assistant).blocks.extend(blocks);
            if let Some(call) = call {
                self.pending.push(Pending { id: &call.id, wire: Some(wire) });
                if !self.used.contains(&call.name) {
                    self.used.push(call.name.clone());
                }
            }
        }
    }

    /// The id of a call as the API takes it.
    fn claim(&mut self, id: &str) -> String {
        let wire = self.ids.claim(id);
        if wire.len() <= MAX_ID {
            return wire;
        }
        let digest = Sha256::digest(wire.as_bytes());
        digest.iter().take(20).fold("tgh_".to_owned(), |id, byte| format!("{id}{byte:02x}"))
    }

    /// The turn being written, begun if the side changes.
    fn turn(&mut self, side: Side) -> &mut Turn {
        let last = self.turns.last().map(|turn| turn.side);
        if last != Some(side) {
            // The user's turn is over, so what it left open is answered for it.
            if last == Some(Side::User) {
                self.answer_pending();
            }
            self.turns.push(Turn { side, results: Vec::new(), blocks: Vec::new() });
        }
        let at = self.turns.len().saturating_sub(1);
        #[expect(clippy::indexing_slicing, reason = "one was pushed just above if there was none")]
        &mut self.turns[at]
    }

    fn answer_pending(&mut self) {
        let open: Vec<String> =
            std::mem::take(&mut self.pending).into_iter().filter_map(|pending| pending.wire).collect();
        for wire in open {
            let mut fields = Map::new();
            fields.insert("toolUseId".to_owned(), Value::from(wire));
            fields.insert("content".to_owned(), json!([{"text": NO_RESULT}]));
            if self.family.takes_status() == Support::Yes {
                fields.insert("status".to_owned(), Value::from("error"));
            }
            if let Some(turn) = self.turns.last_mut() {
                turn.results.push(json!({ "toolResult": fields }));
            }
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
        let tail = self.tail();
        let mixes = self.family.mixes_results();
        let messages = self.turns.into_iter().flat_map(|turn| turn.into_values(mixes)).collect();
        Ok(Conversation { system: self.system, messages, tail, tools_used: self.used })
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

    fn tail(&self) -> Tail {
        let mut last = self.turns.iter().rev();
        let (user, assistant) = (last.next(), last.next());
        let answers = user.is_some_and(|turn| !turn.results.is_empty());
        let first = assistant.and_then(|turn| turn.blocks.first());
        let thought = first.is_some_and(|block| block.get("reasoningContent").is_some());
        if answers && !thought { Tail::UnthoughtCalls } else { Tail::Free }
    }
}

impl Turn {
    /// The turn as messages: one, or three where results have to stand alone.
    fn into_values(self, mixes: Support) -> Vec<Value> {
        let Self { side, mut results, mut blocks } = self;
        let role = match side {
            Side::User => "user",
            Side::Assistant => "assistant",
        };
        // A document is refused where nothing is said of it.
        let has = |name: &str, blocks: &[Value]| blocks.iter().any(|block| block.get(name).is_some());
        if has("document", &blocks) && !has("text", &blocks) {
            blocks.push(json!({"text": NOTHING_SAID}));
        }
        if mixes == Support::No && !results.is_empty() && !blocks.is_empty() {
            return vec![
                message(role, results),
                json!({"role": "assistant", "content": [{"text": NOTHING_SAID}]}),
                message(role, blocks),
            ];
        }
        results.extend(blocks);
        vec![message(role, results)]
    }
}

fn message(role: &str, content: Vec<Value>) -> Value {
    tree([("role", role.into()), ("content", content.into())])
}

/// Instructions within a user's turn, told apart from what the user says.
fn tagged(mut block: Value) -> Value {
    if let Some(Value::String(text)) = block.get_mut("text") {
        *text = format!("<system>\n{text}\n</system>");
    }
    block
}
