//! A validated view of a JSON text that knows where everything stands.
//!
//! A pass-through changes a value in the client's own bytes and leaves the rest as it is, so it
//! needs positions, and it must refuse what is not JSON. One pass over the bytes checks the whole
//! text and writes a flat tape of nodes; looking a field up walks the tape and touches no other byte.
//!
//! Stricter than most parsers, since whatever is let through reaches a provider that may read it
//! differently: a repeated key in one object, a lone surrogate escape, a control character in a
//! string and nesting deeper than [`MAX_DEPTH`] are refused.

mod cut;
mod number;
mod repeat;
mod scan;
mod string;
#[cfg(test)]
mod tests;
pub(crate) mod write; // a tree as text

use crate::float;
use std::borrow::Cow;
use std::fmt;
use std::ops::Range;

/// How deep arrays and objects may nest.
pub const MAX_DEPTH: usize = 127;

/// Why a text is not accepted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JsonError {
    /// What is wrong, lower case, without quoting more of the text than a repeated key's name.
    pub what: String,
    /// Bytes before the place where it is wrong.
    pub offset: usize,
}

impl JsonError {
    fn new(what: impl Into<String>, offset: usize) -> Self {
        Self { what: what.into(), offset }
    }
}

impl fmt::Display for JsonError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} at byte {}", self.what, self.offset)
    }
}

/// A validated JSON text.
#[derive(Clone)]
pub struct Tape<'a> {
    text: &'a str,
    /// In the order of the text; an object's keys are nodes of their own before their values. Never
    /// empty: the root is the first.
    nodes: Vec<Node>,
}

impl fmt::Debug for Tape<'_> {
    /// The text may be a prompt, so only its size is printed (invariant I7).
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Tape({} bytes, {} nodes)", self.text.len(), self.nodes.len())
    }
}

#[derive(Clone, Copy)]
struct Node {
    kind: Kind,
    spelling: Spelling,
    start: u32,
    end: u32,
    /// Index of the node after this one and all within it. While the scanner is still inside an
    /// array or object: the index of the one around it.
    next: u32,
}

/// What stands for a node that cannot be: ids come from the tape itself, so it is never seen.
const NOWHERE: Node = Node { kind: Kind::Null, spelling: Spelling::Plain, start: 0, end: 0, next: u32::MAX };

/// Whether a string must be decoded to be read.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Spelling {
    /// It stands in the text as it is; anything but a string is plain too.
    Plain,
    /// It contains escapes.
    Escaped,
}

/// What kind of value a node is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// `null`
    Null,
    /// `true` or `false`
    Bool,
    /// A number in any spelling.
    Number,
    /// A string.
    String,
    /// An array.
    Array,
    /// An object.
    Object,
}

impl fmt::Display for Kind {
    /// As error messages name it: `expected a string, found an array`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Null => "null",
            Self::Bool => "a boolean",
            Self::Number => "a number",
            Self::String => "a string",
            Self::Array => "an array",
            Self::Object => "an object",
        })
    }
}

/// A value on a tape.
#[derive(Clone, Copy)]
pub struct Value<'t> {
    tape: &'t Tape<'t>,
    at: u32,
}

impl fmt::Debug for Value<'_> {
    /// The kind and the place, and no text (invariant I7).
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?} at {:?}", self.kind(), self.span())
    }
}

impl<'a> Tape<'a> {
    /// Checks the text and notes where everything stands. Linear in the text's length, but for the
    /// keys of large objects, which are sorted to find repeated ones.
    pub fn parse(text: &'a [u8]) -> Result<Self, JsonError> {
        scan::scan(text)
    }

    /// The outermost value.
    pub fn root(&self) -> Value<'_> {
        Value { tape: self, at: 0 }
    }

    fn node(&self, at: u32) -> Node {
        self.nodes.get(at as usize).copied().unwrap_or(NOWHERE)
    }

    fn slice(&self, span: Range<usize>) -> &str {
        self.text.get(span).unwrap_or_default()
    }
}

impl<'t> Value<'t> {
    /// What it is.
    pub fn kind(self) -> Kind {
        self.node().kind
    }

    /// Where it stands in the text, quotes and brackets included.
    pub fn span(self) -> Range<usize> {
        let node = self.node();
        node.start as usize..node.end as usize
    }

    /// Its bytes as written.
    pub fn raw(self) -> &'t [u8] {
        self.tape.slice(self.span()).as_bytes()
    }

    /// The member of this key, if this is an object that has it.
    pub fn get(self, key: &str) -> Option<Value<'t>> {
        self.members().find(|(name, _)| name.is_text(key)).map(|(_, value)| value)
    }

    /// The members of an object in order, none for anything else. The first value is the key.
    pub fn members(self) -> impl Iterator<Item = (Value<'t>, Value<'t>)> {
        let mut inside = self.inside(Kind::Object);
        std::iter::from_fn(move || Some((inside.next()?, inside.next()?)))
    }

    /// The elements of an array in order, none for anything else.
    pub fn elements(self) -> impl Iterator<Item = Value<'t>> {
        self.inside(Kind::Array)
    }

    /// The text of a string, borrowed where it has no escapes.
    pub fn as_str(self) -> Option<Cow<'t, str>> {
        let node = self.node();
        (node.kind == Kind::String).then(|| self.tape.text_of(node))
    }

    /// The boolean.
    pub fn as_bool(self) -> Option<bool> {
        (self.kind() == Kind::Bool).then(|| self.raw() == b"true")
    }

    /// A number that is a whole one and fits, however it is spelt (`10`, `1e1`, `10.0`).
    pub fn as_u64(self) -> Option<u64> {
        if self.kind() == Kind::Number { number::whole(self.raw()) } else { None }
    }

    /// A number, as near as a float comes to it; `None` where it is beyond any float.
    pub fn as_f64(self) -> Option<f64> {
        if self.kind() != Kind::Number {
            return None;
        }
        float::parse(self.tape.slice(self.span()))
    }

    /// True for a string that says exactly this, however it is spelt. Allocates nothing unless the
    /// string has escapes.
    pub fn is_text(self, text: &str) -> bool {
        let node = self.node();
        node.kind == Kind::String && self.tape.text_of(node) == text
    }

    /// True for `null`: fields that hold it are mostly treated as absent.
    pub fn is_null(self) -> bool {
        self.kind() == Kind::Null
    }

    /// The bytes to delete so that an object loses the member of this key and stays valid JSON: the
    /// key, its colon, its value, one comma where there is one, and the whitespace that comma had.
    /// `None` if this is not an object or has no such key. To remove several members of one object
    /// use [`Self::member_cuts`]: cuts of neighbours made one by one would overlap.
    pub fn member_cut(self, key: &str) -> Option<Range<usize>> {
        cut::members(self, &[key]).pop()
    }

    /// The bytes to delete so that an object loses all members of these keys and stays valid JSON:
    /// ascending and disjoint, neighbours joined. Empty where there is nothing to remove.
    pub fn member_cuts(self, keys: &[&str]) -> Vec<Range<usize>> {
        cut::members(self, keys)
    }

    /// The bytes to delete so that an array loses the elements that are to go and stays valid JSON:
    /// ascending and disjoint, neighbours joined.
    pub fn element_cuts(self, goes: impl Fn(Value<'_>) -> bool) -> Vec<Range<usize>> {
        cut::elements(self, goes)
    }

    fn node(self) -> Node {
        self.tape.node(self.at)
    }

    fn inside(self, kind: Kind) -> Inside<'t> {
        let node = self.node();
        let end = if node.kind == kind { node.next } else { 0 };
        Inside { tape: self.tape, at: self.at.saturating_add(1), end }
    }
}

/// What stands directly in an array or object, one after the other.
struct Inside<'t> {
    tape: &'t Tape<'t>,
    at: u32,
    end: u32,
}

impl<'t> Iterator for Inside<'t> {
    type Item = Value<'t>;

    fn next(&mut self) -> Option<Value<'t>> {
        if self.at >= self.end {
            return None;
        }
        let value = Value { tape: self.tape, at: self.at };
        self.at = self.tape.node(self.at).next;
        Some(value)
    }
}
