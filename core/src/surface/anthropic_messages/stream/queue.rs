//! Blocks in the order in which they began; the first of them is being written.

use super::{Of, UNSIGNED, words};
use bytes::BytesMut;
use serde_json::{Value, json};
use std::collections::VecDeque;

/// Blocks that are not closed yet.
#[derive(Debug, Default)]
pub(super) struct Queue {
    blocks: VecDeque<Block>,
    /// The index of the first of them.
    index: u64,
    pinged: Pinged,
    ending: Ending,
}

/// Whether the one ping has been sent. The API sends one after the first block's start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Pinged {
    #[default]
    No,
    Yes,
}

/// Whether anything more can come.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Ending {
    #[default]
    No,
    Yes,
}

/// A block.
#[derive(Debug)]
pub(super) struct Block {
    kind: Kind,
    /// What of it has not been written: deltas.
    waiting: Vec<Value>,
    opened: bool,
    /// Nothing more belongs to it, whatever comes.
    complete: bool,
}

#[derive(Debug)]
enum Kind {
    Text,
    Thinking { proof: Option<String> },
    Call { call: u32, id: String, name: String, input: Input },
    Whole(Value),
}

impl Block {
    /// A tool call without input so far.
    pub(super) fn call(call: u32, id: String, name: &str) -> Self {
        Self::new(Kind::Call { call, id, name: name.to_owned(), input: Input::default() })
    }

    /// A block that comes at once.
    pub(super) fn whole(block: Value) -> Self {
        Self { complete: true, ..Self::new(Kind::Whole(block)) }
    }

    fn new(kind: Kind) -> Self {
        Self { kind, waiting: Vec::new(), opened: false, complete: false }
    }

    /// What its start says.
    fn opening(&self) -> Value {
        match &self.kind {
            Kind::Text => json!({"type": "text", "text": ""}),
            Kind::Thinking { proof: _ } => words::thinking("", ""),
            Kind::Call { call: _, id, name, input: _ } => {
                json!({"type": "tool_use", "id": id, "name": name, "input": {}})
            }
            Kind::Whole(block) => block.clone(),
        }
    }

    /// What is still to be said when it closes.
    fn closing(&mut self) -> Option<Value> {
        match &mut self.kind {
            Kind::Thinking { proof } => {
                let signature = proof.as_deref().unwrap_or(UNSIGNED);
                Some(json!({"type": "signature_delta", "signature": signature}))
            }
            Kind::Call { input, .. } => input.rest().map(|text| input_delta(&text)),
            Kind::Text | Kind::Whole(_) => None,
        }
    }

    fn is_over(&self, followed: Followed) -> bool {
        self.complete
            || match (&self.kind, followed) {
                (Kind::Text | Kind::Thinking { .. }, Followed::Yes) => true,
                (Kind::Call { input, .. }, Followed::Yes) => input.is_complete(),
                (_, Followed::No) => false,
                (Kind::Whole(_), _) => true,
            }
    }
}

/// Whether another block has begun.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Followed {
    Yes,
    No,
}

fn input_delta(text: &str) -> Value {
    json!({"type": "input_json_delta", "partial_json": text})
}

impl Queue {
    /// Another block begins.
    pub(super) fn push(&mut self, block: Block) {
        self.blocks.push_back(block);
    }

    /// More text.
    pub(super) fn text(&mut self, text: &str) {
        let delta = json!({"type": "text_delta", "text": text});
        match self.blocks.back_mut() {
            Some(Block { kind: Kind::Text, complete: false, waiting, .. }) => waiting.push(delta),
            _ => self.push(Block { waiting: vec![delta], ..Block::new(Kind::Text) }),
        }
    }

    /// Citations of the text so far.
    pub(super) fn cite(&mut self, citations: Vec<Value>) {
        let deltas =
            citations.into_iter().map(|citation| json!({"type": "citations_delta", "citation": citation}));
        match self.blocks.back_mut() {
            Some(Block { kind: Kind::Text, waiting, .. }) => waiting.extend(deltas),
            _ => self.push(Block { waiting: deltas.collect(), ..Block::new(Kind::Text) }),
        }
    }

    /// More thinking.
    pub(super) fn think(&mut self, text: &str) {
        let delta = json!({"type": "thinking_delta", "thinking": text});
        match self.blocks.back_mut() {
            Some(Block { kind: Kind::Thinking { .. }, complete: false, waiting, .. }) => waiting.push(delta),
            _ => self.push(Block { waiting: vec![delta], ..Block::new(Kind::Thinking { proof: None }) }),
        }
    }

    /// A proof: of the thinking so far, of the call that is about to begin, or of the text so far.
    /// Thinking that has none yet carries it, unless it is of a text.
    pub(super) fn prove(&mut self, signature: String, of: Of) {
        match self.blocks.back_mut() {
            Some(Block { kind: Kind::Thinking { proof }, complete, .. })
                if of != Of::Text && proof.is_none() && !*complete =>
            {
                *proof = Some(signature);
                *complete = true;
            }
            _ => {
                let thinking = Block::new(Kind::Thinking { proof: Some(signature) });
                self.push(Block { complete: true, ..thinking });
            }
        }
    }

    /// More of a call's input.
    pub(super) fn arguments(&mut self, number: u32, text: &str) {
        for block in &mut self.blocks {
            if let Kind::Call { call, input, .. } = &mut block.kind
                && *call == number
            {
                block.waiting.extend(input.push(text).map(input_delta));
                return;
            }
        }
    }

    /// Writes what can be written.
    pub(super) fn flush(&mut self, out: &mut BytesMut) {
        loop {
            let followed = if self.blocks.len() > 1 { Followed::Yes } else { Followed::No };
            let Some(block) = self.blocks.front_mut() else { return };
            let index = self.index;
            if !block.opened {
                block.opened = true;
                let start =
                    json!({"type": "content_block_start", "index": index, "content_block": block.opening()});
                words::frame("content_block_start", &start, out);
                if self.pinged == Pinged::No {
                    self.pinged = Pinged::Yes;
                    words::frame("ping", &json!({"type": "ping"}), out);
                }
            }
            let over = self.ending == Ending::Yes || block.is_over(followed);
            let mut deltas = std::mem::take(&mut block.waiting);
            deltas.extend(over.then(|| block.closing()).flatten());
            for delta in deltas {
                let event = json!({"type": "content_block_delta", "index": index, "delta": delta});
                words::frame("content_block_delta", &event, out);
            }
            if !over {
                return;
            }
            words::frame("content_block_stop", &json!({"type": "content_block_stop", "index": index}), out);
            self.blocks.pop_front();
            self.index += 1;
        }
    }

    /// Nothing more comes: closes all blocks.
    pub(super) fn finish(&mut self, out: &mut BytesMut) {
        self.ending = Ending::Yes;
        self.flush(out);
    }
}

/// The input of a tool call as it comes, and whether all of it is there.
///
/// It is meant to be an object. What does not begin like one is kept to the end and written as one, so
/// that clients, which parse every piece, can go on.
#[derive(Debug, Default)]
struct Input {
    depth: u32,
    within: Within,
    /// What does not begin like an object.
    other: String,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Within {
    /// Nothing but white space has come.
    #[default]
    Nothing,
    /// Between strings.
    Structure,
    /// In a string.
    Text,
    /// After a backslash in a string.
    Escape,
    /// The object is complete.
    Complete,
    /// It is no object.
    Other,
}

impl Input {
    fn is_complete(&self) -> bool {
        self.within == Within::Complete
    }

    /// Takes more, and gives what can be written of it.
    fn push<'t>(&mut self, text: &'t str) -> Option<&'t str> {
        text.bytes().for_each(|byte| self.step(byte));
        if self.within == Within::Other {
            self.other.push_str(text);
            return None;
        }
        (!text.is_empty() && self.within != Within::Nothing).then_some(text)
    }

    fn step(&mut self, byte: u8) {
        self.within = match (self.within, byte) {
            (Within::Nothing, b' ' | b'\t' | b'\r' | b'\n') => Within::Nothing,
            (Within::Nothing, b'{') => {
                self.depth = 1;
                Within::Structure
            }
            (Within::Nothing, _) => Within::Other,
            (Within::Structure, b'"') => Within::Text,
            (Within::Structure, b'{' | b'[') => {
                self.depth = self.depth.saturating_add(1);
                Within::Structure
            }
            (Within::Structure, b'}' | b']') => {
                self.depth = self.depth.saturating_sub(1);
                if self.depth == 0 { Within::Complete } else { Within::Structure }
            }
            (Within::Text, b'"') => Within::Structure,
            (Within::Text, b'\\') => Within::Escape,
            (Within::Escape, _) => Within::Text,
            (same @ (Within::Structure | Within::Text | Within::Complete | Within::Other), _) => same,
        };
    }

    /// What was kept, as an object.
    fn rest(&mut self) -> Option<String> {
        let kept = std::mem::take(&mut self.other);
        (!kept.is_empty()).then(|| words::input(&kept).to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn complete(pieces: &[&str]) -> bool {
        let mut input = Input::default();
        for piece in pieces {
            let _ = input.push(piece);
        }
        input.is_complete()
    }

    #[test]
    fn an_input_is_complete_with_its_last_brace_and_not_before() {
        let text = r#" {"a":"}\"]{","b":[{"c":1}]}"#;
        for at in 0..text.len() {
            assert!(!complete(&[&text[..at]]), "{at}");
            assert!(complete(&[&text[..at], &text[at..]]), "{at}");
        }
        assert!(!complete(&["", "null"]));
    }

    #[test]
    fn what_is_no_object_is_written_as_one_at_the_end() {
        let mut input = Input::default();
        assert_eq!((input.push("[1,"), input.push("2]")), (None, None));
        assert_eq!(input.rest().as_deref(), Some(r#"{"arguments":"[1,2]"}"#));
        assert_eq!(input.rest(), None);
    }
}
