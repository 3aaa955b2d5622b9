//! Strings: where they end, and what they say.

use super::{JsonError, Kind, Node, Spelling, Tape};
use std::borrow::Cow;

/// Where a string ends.
pub(super) struct End {
    /// After its closing quote.
    pub(super) at: usize,
    /// Whether it has escapes.
    pub(super) spelling: Spelling,
}

/// The end of the string whose opening quote stands here. Hot: prompts of megabytes are one string.
pub(super) fn end(text: &[u8], quote: usize) -> Result<End, JsonError> {
    let mut spelling = Spelling::Plain;
    let mut at = quote + 1;
    loop {
        at = special(text, at);
        match text.get(at) {
            Some(b'"') => return Ok(End { at: at + 1, spelling }),
            Some(b'\\') => {
                spelling = Spelling::Escaped;
                at = escape_end(text, at)?;
            }
            Some(_) => return Err(JsonError::new("a control character in a string", at)),
            None => return Err(JsonError::new("a string without its end", quote)),
        }
    }
}

/// The first quote, backslash or control character from here on, or the text's length. Eight bytes
/// at a time: this is where most bytes of a request are read.
pub(super) fn special(text: &[u8], from: usize) -> usize {
    let rest = text.get(from..).unwrap_or_default();
    let (lines, _) = rest.as_chunks::<32>();
    let skipped = lines.iter().take_while(|line| is_plain(line)).count() * 32;
    let (from, rest) = (from + skipped, rest.get(skipped..).unwrap_or_default());
    let (words, tail) = rest.as_chunks::<8>();
    for (count, word) in words.iter().enumerate() {
        let found = marks(u64::from_le_bytes(*word));
        if found != 0 {
            return from + count * 8 + (found.trailing_zeros() / 8) as usize;
        }
    }
    let tail_at = text.len() - tail.len();
    let found = tail.iter().position(|byte| matches!(byte, b'"' | b'\\' | 0..=0x1f));
    found.map_or(text.len(), |at| tail_at + at)
}

/// Whether nothing in it is special: four words at once, as registers hold more than one.
fn is_plain(line: &[u8; 32]) -> bool {
    let (words, _) = line.as_chunks::<8>();
    words.iter().fold(0, |found, word| found | marks(u64::from_le_bytes(*word))) == 0
}

/// Sets the high bit of the first byte that is special. Bits above the lowest one may be wrong: a
/// borrow runs upwards only, so the lowest never is.
fn marks(word: u64) -> u64 {
    const ONES: u64 = 0x0101_0101_0101_0101;
    const HIGHS: u64 = 0x8080_8080_8080_8080;
    let quote = (word ^ (ONES * b'"' as u64)).wrapping_sub(ONES) & !(word ^ (ONES * b'"' as u64));
    let backslash = (word ^ (ONES * b'\\' as u64)).wrapping_sub(ONES) & !(word ^ (ONES * b'\\' as u64));
    let control = word.wrapping_sub(ONES * 0x20) & !word;
    (quote | backslash | control) & HIGHS
}

fn escape_end(text: &[u8], at: usize) -> Result<usize, JsonError> {
    match text.get(at + 1) {
        Some(b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't') => Ok(at + 2),
        Some(b'u') => unicode_end(text, at),
        Some(_) => Err(JsonError::new("an unknown escape in a string", at)),
        None => Err(JsonError::new("the text ends within an escape", at)),
    }
}

fn unicode_end(text: &[u8], at: usize) -> Result<usize, JsonError> {
    let bad = || JsonError::new("expected four hexadecimal digits after \\u", at);
    let lone = || JsonError::new("half a surrogate pair in a string", at);
    match unit(text, at).ok_or_else(bad)? {
        0xd800..=0xdbff => match unit(text, at + 6) {
            Some(0xdc00..=0xdfff) => Ok(at + 12),
            _ => Err(lone()),
        },
        0xdc00..=0xdfff => Err(lone()),
        _ => Ok(at + 6),
    }
}

/// The UTF-16 code unit that `\uXXXX` at this place stands for.
fn unit(text: &[u8], at: usize) -> Option<u32> {
    let digits = text.get(at..at + 6)?.strip_prefix(b"\\u")?;
    digits.iter().try_fold(0, |sum, digit| Some(sum * 16 + char::from(*digit).to_digit(16)?))
}

impl<'a> Tape<'a> {
    /// What a string node says; empty for any other.
    pub(super) fn text_of(&self, node: Node) -> Cow<'_, str> {
        if node.kind != Kind::String {
            return Cow::Borrowed("");
        }
        let within = self.slice(node.start as usize + 1..(node.end as usize).saturating_sub(1));
        match node.spelling {
            Spelling::Plain => Cow::Borrowed(within),
            Spelling::Escaped => Cow::Owned(decode(within)),
        }
    }
}

/// What stands between the quotes of a string that has been checked.
fn decode(mut rest: &str) -> String {
    let mut out = String::with_capacity(rest.len());
    while let Some(at) = memchr::memchr(b'\\', rest.as_bytes()) {
        out.push_str(rest.get(..at).unwrap_or_default());
        let (letter, length) = escaped(rest.as_bytes(), at);
        out.push(letter);
        rest = rest.get(at + length..).unwrap_or_default();
    }
    out.push_str(rest);
    out
}

/// The character an escape stands for.
fn escaped(text: &[u8], at: usize) -> (char, usize) {
    let letter = match text.get(at + 1).copied().unwrap_or_default() {
        b'b' => '\u{8}',
        b'f' => '\u{c}',
        b'n' => '\n',
        b'r' => '\r',
        b't' => '\t',
        b'u' => return unicode(text, at),
        other => char::from(other),
    };
    (letter, 2)
}

fn unicode(text: &[u8], at: usize) -> (char, usize) {
    let first = unit(text, at).unwrap_or_default();
    if let (0xd800..=0xdbff, Some(second)) = (first, unit(text, at + 6)) {
        let point = 0x10000 + ((first & 0x3ff) << 10) + (second & 0x3ff);
        return (char::from_u32(point).unwrap_or(char::REPLACEMENT_CHARACTER), 12);
    }
    (char::from_u32(first).unwrap_or(char::REPLACEMENT_CHARACTER), 6)
}
