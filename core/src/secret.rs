//! Values that must not reach a log, an error or a debug print (invariant I7).

use std::fmt;
use subtle::ConstantTimeEq;

/// A credential. It has no `Display`; its `Debug` prints a length. The bytes are overwritten by
/// nothing: the type guards against printing, not against a memory dump.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Secret(Box<str>);

impl Secret {
    /// Takes the credential out of the world of printable strings.
    pub fn new(value: impl Into<Box<str>>) -> Self {
        Self(value.into())
    }

    /// The credential itself, for the one place that sends or hashes it.
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// Compares in time that depends on the lengths alone.
    pub fn matches(&self, presented: &str) -> bool {
        self.0.as_bytes().ct_eq(presented.as_bytes()).into()
    }

    /// True if there is nothing to send.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Secret({} bytes)", self.0.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn debug_prints_a_length_and_nothing_else() {
        assert_eq!(format!("{:?}", Secret::new("sk-live-1234")), "Secret(12 bytes)");
    }
}
