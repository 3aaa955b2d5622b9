//! What kinds of characters words are made of.

/// Of letters and marks, those that words may begin with in capitals.
pub(crate) const UPPER: u8 = 1 | 4 | 8;
/// Those that they go on with in small letters.
pub(crate) const LOWER: u8 = 2 | 4 | 8;
/// `\p{L}`.
pub(crate) const LETTER: u8 = 1 | 2 | 4;
/// `\p{N}`.
pub(crate) const NUMBER: u8 = 16;
/// `\s`.
pub(crate) const SPACE: u8 = 32;

static CHANGES: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/classes"));

/// The classes of a character.
pub(crate) fn of(character: char) -> u8 {
    match character {
        'a'..='z' => 2,
        'A'..='Z' => 1,
        '0'..='9' => NUMBER,
        ' ' | '\t'..='\r' => SPACE,
        '\0'..='\x7f' => 0,
        _ => searched(character),
    }
}

fn searched(character: char) -> u8 {
    let change = |at: usize| {
        CHANGES.get(4 * at..4 * at + 4).and_then(|four| four.try_into().ok()).map(u32::from_le_bytes)
    };
    let (mut from, mut to) = (0, CHANGES.len() / 4);
    while to - from > 1 {
        let middle = from.midpoint(to);
        match change(middle) {
            Some(change) if change >> 8 <= u32::from(character) => from = middle,
            Some(_) | None => to = middle,
        }
    }
    let [class, ..] = change(from).unwrap_or_default().to_le_bytes();
    class
}
