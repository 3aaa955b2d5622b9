//! What a model has said, kept in case nobody counts it.

use std::fmt;

/// The most text that is kept.
const MOST: usize = 4 * 1024 * 1024;

/// The text of an answer: content, reasoning, tool names and arguments in the order they came. At most
/// 4 MiB are kept; of the rest only the length is known.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Heard {
    /// The text.
    pub text: String,
    /// Bytes that came after it.
    pub bytes_beyond: u64,
}

impl Heard {
    /// Lets `say` append to the text, and keeps it within bounds.
    pub fn hear(&mut self, say: impl FnOnce(&mut String)) {
        say(&mut self.text);
        if self.text.len() > MOST {
            self.cut();
        }
    }

    #[cold]
    fn cut(&mut self) {
        let end = self.text.floor_char_boundary(MOST);
        self.bytes_beyond = self.bytes_beyond.saturating_add((self.text.len() - end) as u64);
        self.text.truncate(end);
    }

    /// All that was said, in bytes.
    pub fn bytes(&self) -> u64 {
        (self.text.len() as u64).saturating_add(self.bytes_beyond)
    }

    /// True before anything was said.
    pub fn is_empty(&self) -> bool {
        self.bytes() == 0
    }
}

impl fmt::Debug for Heard {
    /// The model's words are not printed (invariant I7).
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Heard({} bytes)", self.bytes())
    }
}
