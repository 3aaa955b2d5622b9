//! Text in pieces that a tokenizer can be given one by one.
//!
//! Tokenizers split a text into words first, and merge within each. So a cut before a word changes
//! nothing, and a text that has no words (a megabyte of one letter, or Chinese) can be cut anywhere at
//! the price of a token or so. What is gained is a bound: no search within a piece can take long,
//! whatever is written in it.

/// The most bytes in a piece.
const LONGEST: usize = 4 * 1024;

/// The pieces of a text, in order.
pub(super) struct Pieces<'t>(&'t str);

impl<'t> Pieces<'t> {
    pub(super) fn of(text: &'t str) -> Self {
        Self(text)
    }
}

impl<'t> Iterator for Pieces<'t> {
    type Item = &'t str;

    fn next(&mut self) -> Option<&'t str> {
        if self.0.is_empty() {
            return None;
        }
        let (piece, rest) = self.0.split_at(end_of_piece(self.0));
        self.0 = rest;
        Some(piece)
    }
}

fn end_of_piece(text: &str) -> usize {
    if text.len() <= LONGEST {
        return text.len();
    }
    let window = text.as_bytes().get(..=LONGEST).unwrap_or_default();
    let words = window.windows(3).enumerate().skip(LONGEST / 2);
    let before_word = words.rev().find(|(_, three)| begins_word(three)).map(|(at, _)| at + 1);
    before_word.unwrap_or_else(|| text.floor_char_boundary(LONGEST))
}

/// A single blank between something visible and a letter: it belongs to the word after it.
fn begins_word(three: &[u8]) -> bool {
    matches!(three, [before, b' ', after] if before.is_ascii_graphic() && after.is_ascii_alphabetic())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_are_short_and_together_the_text() {
        let words = "the quick brown fox, jumps! ".repeat(2000);
        let texts =
            [words, "a".repeat(100_000), "漢字".repeat(10_000), " ".repeat(50_000), "x ".repeat(5_000)];
        for text in texts {
            let pieces: Vec<_> = Pieces::of(&text).collect();
            assert!(pieces.iter().all(|piece| (1..=LONGEST).contains(&piece.len())));
            assert_eq!(pieces.concat(), text);
        }
        assert_eq!(Pieces::of("").count(), 0);
    }

    #[test]
    fn where_there_are_words_cuts_are_before_them() {
        let words = "the quick brown fox, jumps! ".repeat(2000);
        assert!(Pieces::of(&words).skip(1).all(|piece| piece.starts_with(' ')));
    }
}
