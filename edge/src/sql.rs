//! What a platform's SQL must be able to do.
//!
//! The least that the SQLite of Durable Objects and of Spin have in common: one statement at a time, at
//! most a hundred parameters, whole numbers below 2^53, texts and bytes. There are no transactions here,
//! so whatever belongs together is one statement; triggers do the rest of it.

use crate::office::Unkept;

/// The largest whole number that every platform keeps exactly.
pub const LARGEST: i64 = (1 << 53) - 1;

/// SQLite, one statement at a time.
pub trait Sql {
    /// Runs one statement, all of it or none, and gives its rows. The error is in words, without any
    /// value that was bound.
    fn run(&self, text: &str, values: Vec<Value>) -> impl Future<Output = Result<Vec<Row>, Failed>>;
}

/// A value of a row or a parameter.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// Nothing.
    Null,
    /// Between minus and plus [`LARGEST`].
    Integer(i64),
    /// A text.
    Text(String),
    /// Bytes.
    Blob(Vec<u8>),
}

/// Why a statement did not run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failed(pub String);

impl From<Failed> for Unkept {
    fn from(Failed(why): Failed) -> Self {
        Self::Gone(why)
    }
}

impl From<Option<String>> for Value {
    fn from(text: Option<String>) -> Self {
        text.map_or(Self::Null, Self::Text)
    }
}

impl From<&str> for Value {
    fn from(text: &str) -> Self {
        Self::Text(text.to_owned())
    }
}

impl From<Option<u64>> for Value {
    fn from(number: Option<u64>) -> Self {
        number.map_or(Self::Null, Self::from)
    }
}

impl From<u64> for Value {
    /// What does not fit is the largest that does.
    fn from(number: u64) -> Self {
        Self::Integer(i64::try_from(number).map_or(LARGEST, |number| number.min(LARGEST)))
    }
}

/// A row, read from left to right.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Row(std::collections::VecDeque<Value>);

impl FromIterator<Value> for Row {
    fn from_iter<I: IntoIterator<Item = Value>>(values: I) -> Self {
        Self(values.into_iter().collect())
    }
}

impl IntoIterator for Row {
    type Item = Value;
    type IntoIter = std::collections::vec_deque::IntoIter<Value>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.into_iter()
    }
}

impl Row {
    /// The next value.
    pub fn value(&mut self) -> Value {
        self.0.pop_front().unwrap_or(Value::Null)
    }

    /// The next value, a text; none where it is no text.
    pub fn text(&mut self) -> Option<String> {
        match self.value() {
            Value::Text(text) => Some(text),
            Value::Null | Value::Integer(_) | Value::Blob(_) => None,
        }
    }

    /// The next value, a number; none where it is none. What is negative is zero.
    pub fn number(&mut self) -> Option<u64> {
        match self.value() {
            Value::Integer(number) => Some(u64::try_from(number).unwrap_or_default()),
            Value::Null | Value::Text(_) | Value::Blob(_) => None,
        }
    }

    /// The next value, bytes; none where it is none.
    pub fn bytes(&mut self) -> Option<Vec<u8>> {
        match self.value() {
            Value::Blob(bytes) => Some(bytes),
            Value::Null | Value::Integer(_) | Value::Text(_) => None,
        }
    }
}
