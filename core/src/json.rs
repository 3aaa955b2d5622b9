//! A validated view of a JSON text that knows where everything stands.
//!
//! A pass-through changes a value in the client's own bytes and leaves the rest as it is, so it
//! needs positions, and it must refuse what is not JSON. One pass over the bytes checks the whole
//! text and writes a flat tape of nodes; looking a field up walks the tape and touches no other byte.
//!
//! Stricter than most parsers, since whatever is let through reaches a provider that may read it
//! differently: a repeated key in one object, a lone surrogate escape, a control character in a
//! string and nesting deeper than [`MAX_DEPTH`] are refused.

use std::borrow::Cow;
use std::fmt;
use std::ops::Range;

/// How deep arrays and objects may nest.
pub const MAX_DEPTH: usize = 128;

/// Why a text is not accepted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JsonError {
    /// What is wrong, lower case, without quoting more of the text than a repeated key's name.
    pub what: String,
    /// Bytes before the place where it is wrong.
    pub offset: usize,
}

impl fmt::Display for JsonError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} at byte {}", self.what, self.offset)
    }
}

/// A validated JSON text.
#[derive(Clone, Debug)]
pub struct Tape<'a> {
    text: &'a [u8],
    nodes: Vec<Node>,
}

#[derive(Clone, Copy, Debug)]
struct Node {
    kind: Kind,
    start: u32,
    end: u32,
    /// Index of the node after this one and all within it.
    next: u32,
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

/// A value on a tape.
#[derive(Clone, Copy, Debug)]
pub struct Value<'t> {
    tape: &'t Tape<'t>,
    at: usize,
}

impl<'a> Tape<'a> {
    /// Checks the text and notes where everything stands.
    pub fn parse(text: &'a [u8]) -> Result<Self, JsonError> {
        let _ = text;
        unimplemented!()
    }

    /// The outermost value.
    pub fn root(&self) -> Value<'_> {
        unimplemented!()
    }
}

impl<'t> Value<'t> {
    /// What it is.
    pub fn kind(self) -> Kind {
        unimplemented!()
    }

    /// Where it stands in the text, quotes and brackets included.
    pub fn span(self) -> Range<usize> {
        unimplemented!()
    }

    /// Its bytes as written.
    pub fn raw(self) -> &'t [u8] {
        unimplemented!()
    }

    /// The member of this key, if this is an object that has it.
    pub fn get(self, key: &str) -> Option<Value<'t>> {
        let _ = key;
        unimplemented!()
    }

    /// The members of an object in order, none for anything else. The first value is the key.
    pub fn members(self) -> impl Iterator<Item = (Value<'t>, Value<'t>)> {
        std::iter::empty()
    }

    /// The elements of an array in order, none for anything else.
    pub fn elements(self) -> impl Iterator<Item = Value<'t>> {
        std::iter::empty()
    }

    /// The text of a string, borrowed where it has no escapes.
    pub fn as_str(self) -> Option<Cow<'t, str>> {
        unimplemented!()
    }

    /// The boolean.
    pub fn as_bool(self) -> Option<bool> {
        unimplemented!()
    }

    /// A number that is a whole one and fits, however it is spelt (`10`, `1e1`, `10.0`).
    pub fn as_u64(self) -> Option<u64> {
        unimplemented!()
    }
}
