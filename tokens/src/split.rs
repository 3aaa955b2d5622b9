//! Where the first word of a text ends. Written by hand after the tokenizers' regular expressions, which are quoted;
//! `tests.rs` compares with them.

use crate::class::{self, LETTER, LOWER, NUMBER, SPACE, UPPER};

/// A text read from the front.
#[derive(Clone, Copy)]
struct Cursor<'t> {
    text: &'t str,
    at: usize,
}

impl Cursor<'_> {
    fn peek(self) -> Option<char> {
        self.text.get(self.at..)?.chars().next()
    }

    fn class(self) -> u8 {
        self.peek().map_or(0, class::of)
    }

    fn is(self, classes: u8) -> bool {
        self.class() & classes != 0
    }

    /// Behind the next character.
    fn next(self) -> Self {
        Self { at: self.at + self.peek().map_or(0, char::len_utf8), ..self }
    }

    /// Behind all characters that are like this.
    fn behind(mut self, like: impl Fn(char) -> bool) -> Self {
        while self.peek().is_some_and(&like) {
            self = self.next();
        }
        self
    }

    fn behind_class(self, classes: u8) -> Self {
        self.behind(|character| class::of(character) & classes != 0)
    }
}

/// `\r` and `\n`.
fn is_break(character: char) -> bool {
    matches!(character, '\r' | '\n')
}

/// `[^\r\n\p{L}\p{N}]`.
fn may_lead(character: char) -> bool {
    !is_break(character) && class::of(character) & (LETTER | NUMBER) == 0
}

/// `[^\s\p{L}\p{N}]`.
fn is_sign(character: char) -> bool {
    class::of(character) & (SPACE | LETTER | NUMBER) == 0
}

/// Behind `(?i:'s|'t|'re|'ve|'m|'ll|'d)`, if that is what comes.
fn ending(cursor: Cursor<'_>) -> Option<usize> {
    if cursor.peek() != Some('\'') {
        return None;
    }
    let after = cursor.next();
    match (after.peek()?, after.next().peek()) {
        // The long s is an s in capitals.
        ('s' | 'S' | 'ſ' | 't' | 'T' | 'm' | 'M' | 'd' | 'D', _) => Some(after.next().at),
        ('r' | 'R' | 'v' | 'V', Some('e' | 'E')) | ('l' | 'L', Some('l' | 'L')) => {
            Some(after.next().next().at)
        }
        _ => None,
    }
}

/// Behind `\p{N}{1,3}`.
fn number(cursor: Cursor<'_>) -> Option<usize> {
    let mut end = cursor;
    for _ in 0..3 {
        if end.is(NUMBER) {
            end = end.next();
        }
    }
    (end.at > cursor.at).then_some(end.at)
}

/// Behind ` ?[^\s\p{L}\p{N}]+` and all that may stand behind it.
fn signs(cursor: Cursor<'_>, behind: fn(char) -> bool) -> Option<usize> {
    let start = if cursor.peek() == Some(' ') { cursor.next() } else { cursor };
    let end = start.behind(is_sign);
    (end.at > start.at).then(|| end.behind(behind).at)
}

/// Behind white space: to its last line's end, else without the space that belongs to the next word.
fn space(cursor: Cursor<'_>, whole_at_end: bool) -> usize {
    let end = cursor.behind_class(SPACE);
    let run = cursor.text.get(cursor.at..end.at).unwrap_or_default();
    let is_last = end.peek().is_none();
    if is_last && whole_at_end {
        return end.at;
    }
    if let Some(last) = run.rfind(is_break) {
        return cursor.at + last + 1;
    }
    let last = run.chars().next_back().map_or(0, char::len_utf8);
    if is_last || run.len() == last { end.at } else { end.at - last }
}

/// `'(?i:[sdmt]|ll|ve|re)|[^\r\n\p{L}\p{N}]?+\p{L}++|\p{N}{1,3}+| ?[^\s\p{L}\p{N}]++[\r\n]*+|\s++$|\s*[\r\n]|\s+(?!\S)|\s`
pub(crate) fn cl100k(text: &str) -> usize {
    let cursor = Cursor { text, at: 0 };
    if let Some(end) = ending(cursor) {
        return end;
    }
    let start = if cursor.peek().is_some_and(may_lead) { cursor.next() } else { cursor };
    if start.is(LETTER) {
        return start.behind_class(LETTER).at;
    }
    number(cursor).or_else(|| signs(cursor, is_break)).unwrap_or_else(|| space(cursor, true))
}

/// ```text
/// [^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+(?i:'s|'t|'re|'ve|'m|'ll|'d)?
/// [^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*(?i:'s|'t|'re|'ve|'m|'ll|'d)?
/// \p{N}{1,3}
///  ?[^\s\p{L}\p{N}]+[\r\n/]*
/// \s*[\r\n]+|\s+(?!\S)|\s+
/// ```
pub(crate) fn o200k(text: &str) -> usize {
    let cursor = Cursor { text, at: 0 };
    let led = cursor.peek().is_some_and(may_lead).then(|| cursor.next());
    // With what leads, then without it.
    let starts = || led.into_iter().chain([cursor]);
    let word = starts().find_map(small).or_else(|| starts().find_map(capitals));
    if let Some(end) = word {
        return ending(Cursor { text, at: end }).unwrap_or(end);
    }
    let is_behind = |character| is_break(character) || character == '/';
    number(cursor).or_else(|| signs(cursor, is_behind)).unwrap_or_else(|| space(cursor, false))
}

/// Behind capitals and at least one small letter, or what may be either.
fn small(start: Cursor<'_>) -> Option<usize> {
    let end = start.behind_class(UPPER);
    if end.is(LOWER) {
        return Some(end.behind_class(LOWER).at);
    }
    // The capitals gave all they had: the last that may be small is given back.
    let run = start.text.get(start.at..end.at)?;
    let (last, character) =
        run.char_indices().rev().find(|(_, character)| class::of(*character) & LOWER != 0)?;
    Some(start.at + last + character.len_utf8())
}

/// Behind at least one capital and small letters.
fn capitals(start: Cursor<'_>) -> Option<usize> {
    let end = start.behind_class(UPPER);
    (end.at > start.at).then(|| end.behind_class(LOWER).at)
}
