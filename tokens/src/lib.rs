//! OpenAI's published tokenizers for hosts that start anew all the time: their tables are laid out when this is
//! compiled, in the form in which they are searched, so that the first count needs no work before it.
//!
//! Counts are those of `tiktoken`, without special tokens: what looks like one is text. The tables are made of the
//! ones in the crate `tiktoken-rs`, and tests compare with it. They are some megabytes of static memory: for hosts
//! that have the time, `tiktoken-rs` itself is faster on long texts and no larger.

mod class; // what kinds of characters there are
mod hash; // where a token is looked for
mod merge; // how many tokens a word has
mod split; // words
mod table; // tokens

use table::Table;

/// A tokenizer.
pub struct Tokenizer {
    table: Table,
    /// The first word of a text that is not empty, in bytes.
    word: fn(&str) -> usize,
}

/// That of GPT-4o, GPT-4.1, GPT-5 and the models named `o…`.
pub static O200K: Tokenizer =
    Tokenizer { table: Table(include_bytes!(concat!(env!("OUT_DIR"), "/o200k"))), word: split::o200k };

/// That of GPT-4, GPT-3.5 and the embedding models.
pub static CL100K: Tokenizer =
    Tokenizer { table: Table(include_bytes!(concat!(env!("OUT_DIR"), "/cl100k"))), word: split::cl100k };

impl Tokenizer {
    /// How many tokens a text has. Some megabytes a second; n·log n in the longest word.
    pub fn count(&self, mut text: &str) -> u64 {
        let mut tokens = 0;
        while !text.is_empty() {
            // A word is never empty, and ends between characters.
            let end = (self.word)(text).max(1);
            let Some((word, rest)) = text.split_at_checked(end) else { break };
            tokens += merge::count(&self.table, word.as_bytes());
            text = rest;
        }
        tokens
    }
}

#[cfg(test)]
mod tests;
