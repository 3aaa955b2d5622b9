//! The one pass over the bytes: checks the grammar and writes the tape.
//!
//! ```text
//!            ┌────────────── , ─────────────┐
//!            ▼                              │
//! ──▶ Value ─┬─ scalar ──────────────────▶ After ──▶ end of text
//!            ├─ [ ─▶ FirstElement ─ ] ──────▲ ▲
//!            └─ { ─▶ FirstKey ───── } ──────┘ │ ] }
//!                       │ "key" :             │
//!                       └──▶ Value … ─────────┘
//! ```
//!
//! There is no recursion and no stack beside the tape: while an array or object is open, its node
//! remembers the one around it.

use super::{JsonError, Kind, MAX_DEPTH, Node, Spelling, Tape, number, repeat, string};

/// Stands for "around the root there is nothing".
const OUTSIDE: u32 = u32::MAX;

/// What may come next.
#[derive(Clone, Copy)]
enum Expect {
    /// A value.
    Value,
    /// A value, or the end of the array just begun.
    FirstElement,
    /// A key, or the end of the object just begun.
    FirstKey,
    /// A key.
    Key,
    /// A comma, the end of the innermost array or object, or of the text.
    After,
}

pub(super) fn scan(text: &[u8]) -> Result<Tape<'_>, JsonError> {
    if u32::try_from(text.len()).is_err() {
        return Err(JsonError::new("the text is larger than 4 GiB", 0));
    }
    if text.starts_with(b"\xef\xbb\xbf") {
        return Err(JsonError::new("the text begins with a byte order mark", 0));
    }
    let text = std::str::from_utf8(text)
        .map_err(|error| JsonError::new("the text is not UTF-8", error.valid_up_to()))?;
    // Chat bodies have a node per 12 bytes or fewer; a huge text is mostly one long string.
    let nodes = Vec::with_capacity((text.len() / 12).clamp(8, 4096));
    let tape = Tape { text, nodes };
    Scan { bytes: text.as_bytes(), tape, at: 0, open: OUTSIDE, depth: 0 }.run()
}

struct Scan<'a> {
    bytes: &'a [u8],
    tape: Tape<'a>,
    at: usize,
    /// The innermost array or object that has not ended.
    open: u32,
    depth: usize,
}

impl<'a> Scan<'a> {
    fn run(mut self) -> Result<Tape<'a>, JsonError> {
        let mut expect = Expect::Value;
        loop {
            self.skip_space();
            let Some(&byte) = self.bytes.get(self.at) else {
                return self.end(expect);
            };
            expect = match (expect, byte) {
                (Expect::FirstElement, b']') | (Expect::FirstKey, b'}') => self.close()?,
                (Expect::Value | Expect::FirstElement, _) => self.value(byte)?,
                (Expect::FirstKey | Expect::Key, _) => self.key(byte)?,
                (Expect::After, _) => self.after(byte)?,
            };
        }
    }

    fn skip_space(&mut self) {
        while let Some(b' ' | b'\n' | b'\r' | b'\t') = self.bytes.get(self.at) {
            self.at += 1;
        }
    }

    fn end(self, expect: Expect) -> Result<Tape<'a>, JsonError> {
        if self.tape.nodes.is_empty() {
            return Err(self.error("the text is empty"));
        }
        match expect {
            Expect::After if self.open == OUTSIDE => Ok(self.tape),
            Expect::After | Expect::Value | Expect::FirstElement | Expect::FirstKey | Expect::Key => {
                Err(self.error("the text ends too early"))
            }
        }
    }

    fn value(&mut self, byte: u8) -> Result<Expect, JsonError> {
        let start = self.at;
        match byte {
            b'"' => self.string()?,
            b'{' => return self.open(Kind::Object, Expect::FirstKey),
            b'[' => return self.open(Kind::Array, Expect::FirstElement),
            b'-' | b'0'..=b'9' => {
                self.at = number::end(self.bytes, start)?;
                self.leaf(Kind::Number, Spelling::Plain, start);
            }
            b't' => self.word(b"true", Kind::Bool)?,
            b'f' => self.word(b"false", Kind::Bool)?,
            b'n' => self.word(b"null", Kind::Null)?,
            _ => return Err(self.error("expected a value")),
        }
        Ok(Expect::After)
    }

    fn string(&mut self) -> Result<(), JsonError> {
        let start = self.at;
        let end = string::end(self.bytes, start)?;
        self.at = end.at;
        self.leaf(Kind::String, end.spelling, start);
        Ok(())
    }

    fn word(&mut self, word: &[u8], kind: Kind) -> Result<(), JsonError> {
        let start = self.at;
        let rest = self.bytes.get(start..).unwrap_or_default();
        if !rest.starts_with(word) {
            return Err(self.error("expected a value"));
        }
        self.at = start + word.len();
        self.leaf(kind, Spelling::Plain, start);
        Ok(())
    }

    fn key(&mut self, byte: u8) -> Result<Expect, JsonError> {
        if byte != b'"' {
            return Err(self.error("expected a key in double quotes"));
        }
        self.string()?;
        self.skip_space();
        if self.bytes.get(self.at) != Some(&b':') {
            return Err(self.error("expected a colon after the key"));
        }
        self.at += 1;
        Ok(Expect::Value)
    }

    fn after(&mut self, byte: u8) -> Result<Expect, JsonError> {
        if self.open == OUTSIDE {
            return Err(self.error("more text after the value"));
        }
        let inside_object = self.tape.node(self.open).kind == Kind::Object;
        match (byte, inside_object) {
            (b',', true) => self.step(Expect::Key),
            (b',', false) => self.step(Expect::Value),
            (b'}', true) | (b']', false) => self.close(),
            (_, true) => Err(self.error("expected a comma or the end of the object")),
            (_, false) => Err(self.error("expected a comma or the end of the array")),
        }
    }

    fn step(&mut self, expect: Expect) -> Result<Expect, JsonError> {
        self.at += 1;
        Ok(expect)
    }

    fn open(&mut self, kind: Kind, expect: Expect) -> Result<Expect, JsonError> {
        if self.depth == MAX_DEPTH {
            return Err(self.error(format!("nested deeper than {MAX_DEPTH} levels")));
        }
        self.depth += 1;
        let around = std::mem::replace(&mut self.open, index(self.tape.nodes.len()));
        let start = index(self.at);
        self.tape.nodes.push(Node { kind, spelling: Spelling::Plain, start, end: start, next: around });
        self.step(expect)
    }

    fn close(&mut self) -> Result<Expect, JsonError> {
        let next = index(self.tape.nodes.len());
        let closed = self.open;
        self.at += 1;
        self.depth = self.depth.saturating_sub(1);
        if let Some(node) = self.tape.nodes.get_mut(closed as usize) {
            self.open = std::mem::replace(&mut node.next, next);
            node.end = index(self.at);
            if node.kind == Kind::Object {
                repeat::check(&self.tape, closed)?;
            }
        }
        Ok(Expect::After)
    }

    fn leaf(&mut self, kind: Kind, spelling: Spelling, start: usize) {
        let next = index(self.tape.nodes.len() + 1);
        self.tape.nodes.push(Node { kind, spelling, start: index(start), end: index(self.at), next });
    }

    fn error(&self, what: impl Into<String>) -> JsonError {
        JsonError::new(what, self.at)
    }
}

/// Positions and node counts fit: texts are under 4 GiB and every node has a byte of its own.
fn index(at: usize) -> u32 {
    u32::try_from(at).unwrap_or(u32::MAX)
}
