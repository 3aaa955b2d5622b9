//! Streamed tool calls, told apart by index, id or place, whichever the server sends.

use super::take_signature;
use crate::call::Signature;
use crate::dialect::Dialect;
use crate::provider::openai::fnv;
use crate::reply::Event;
use serde_json::{Map, Value};

/// The tool calls of one answer so far.
#[derive(Default)]
pub(super) struct Calls {
    all: Vec<Call>,
}

struct Call {
    /// The index the server gave it.
    wire: Option<u64>,
    id: String,
    /// Everything so far: what came before the name was known, and to recognise a repetition.
    arguments: String,
    begun: bool,
    signature: Option<Signature>,
}

/// What one delta says of a call.
struct Piece {
    wire: Option<u64>,
    id: String,
    name: String,
    arguments: String,
    signature: Option<Signature>,
}

impl Calls {
    pub(super) fn is_empty(&self) -> bool {
        self.all.is_empty()
    }

    /// Reads one element of a `tool_calls` list, the `place`th of its chunk.
    pub(super) fn on(&mut self, choice: u32, place: usize, call: Value, out: &mut Vec<Event>) {
        let Value::Object(mut fields) = call else { return };
        let signature = take_signature(&mut fields);
        // A custom tool's input is text just as a function's arguments are.
        let function = match fields.shift_remove("function").or_else(|| fields.shift_remove("custom")) {
            Some(Value::Object(function)) => function,
            _ => Map::new(),
        };
        let text = |value: Option<&Value>| value.and_then(Value::as_str).unwrap_or_default().to_owned();
        let piece = Piece {
            wire: fields.get("index").and_then(Value::as_u64),
            id: text(fields.get("id")),
            name: text(function.get("name")),
            arguments: arguments_of(function.get("arguments").or_else(|| function.get("input"))),
            signature: signature.map(|value| Signature { origin: Dialect::Gemini, value }),
        };
        let at = self.find(place, &piece);
        self.take(choice, at, piece, out);
    }

    /// Reads a `function_call`, of which an answer has at most one.
    pub(super) fn on_legacy(&mut self, choice: u32, call: Value, out: &mut Vec<Event>) {
        let mut fields = Map::new();
        fields.insert("index".to_owned(), Value::from(0));
        fields.insert("function".to_owned(), call);
        self.on(choice, 0, Value::Object(fields), out);
    }

    /// Which of the calls so far a piece continues; `None` if it begins one.
    fn find(&self, place: usize, piece: &Piece) -> Option<usize> {
        let by_id = || self.all.iter().rposition(|call| !piece.id.is_empty() && call.id == piece.id);
        match piece.wire {
            Some(wire) => {
                let at = self.all.iter().rposition(|call| call.wire == Some(wire))?;
                // Some servers count every call as the first: another id with a name is another call.
                let same = piece.id.is_empty() || self.all.get(at).is_some_and(|call| call.id == piece.id);
                if same || piece.name.is_empty() { Some(at) } else { by_id() }
            }
            None if !piece.id.is_empty() => by_id(),
            None if !piece.name.is_empty() => None,
            // Arguments alone: of the call at this place, if there are several, else of the last.
            None if place > 0 => (place < self.all.len()).then_some(place),
            None => self.all.len().checked_sub(1),
        }
    }

    fn take(&mut self, choice: u32, at: Option<usize>, piece: Piece, out: &mut Vec<Event>) {
        let Piece { wire, id, name, arguments, signature } = piece;
        let new = at.is_none();
        let at = at.unwrap_or(self.all.len());
        if new {
            let id = if id.is_empty() { invented(choice, at, &name, &arguments) } else { id };
            self.all.push(Call { wire, id, arguments: String::new(), begun: false, signature: None });
        }
        let Some(call) = self.all.get_mut(at) else { return };
        call.signature = signature.or(call.signature.take());
        // One of Mistral's streams sends a whole call twice.
        if !new && !name.is_empty() && !arguments.is_empty() && call.arguments == arguments {
            return;
        }
        call.arguments.push_str(&arguments);
        let number = u32::try_from(at).unwrap_or(u32::MAX);
        if call.begun {
            if !arguments.is_empty() {
                out.push(Event::ToolArguments { choice, call: number, text: arguments });
            }
        } else if !name.is_empty() {
            call.begin(choice, number, name, out);
        }
    }

    /// Begins the calls whose name never came.
    pub(super) fn flush(&mut self, choice: u32, out: &mut Vec<Event>) {
        for (at, call) in self.all.iter_mut().enumerate().filter(|(_, call)| !call.begun) {
            call.begin(choice, u32::try_from(at).unwrap_or(u32::MAX), String::new(), out);
        }
    }
}

impl Call {
    fn begin(&mut self, choice: u32, call: u32, name: String, out: &mut Vec<Event>) {
        self.begun = true;
        let signature = self.signature.take();
        out.push(Event::ToolStart { choice, call, id: self.id.clone(), name, signature });
        if !self.arguments.is_empty() {
            out.push(Event::ToolArguments { choice, call, text: self.arguments.clone() });
        }
    }
}

/// Text as it is; some servers send the object itself.
fn arguments_of(value: Option<&Value>) -> String {
    match value {
        Some(Value::String(text)) => text.clone(),
        Some(object @ Value::Object(_)) => object.to_string(),
        _ => String::new(),
    }
}

/// An id for a call that came without: the same each time the same answer is read.
fn invented(choice: u32, at: usize, name: &str, arguments: &str) -> String {
    format!("call_{:016x}", fnv(format!("{choice}/{at}/{name}/{arguments}").as_bytes()))
}
