//! Finds any of many phrases in a text that comes in pieces.
//!
//! The phrases are one sorted list. A beginning that has been met is a range of it, all phrases that begin so,
//! and the next character makes that range narrower. Each place of a text has one beginning at most, so that
//! there are never more of them than the longest phrase has characters.

use super::Rails;
use super::fold::Before;
use crate::sort;
use std::fmt;

/// Phrases to look for.
#[derive(Default)]
pub(crate) struct Phrases {
    list: Vec<Phrase>,
    /// The ASCII characters that one begins with, and whether one begins with another.
    first: u128,
    others: bool,
    blocking: Rails,
}

struct Phrase {
    text: Vec<char>,
    rails: Rails,
}

impl fmt::Debug for Phrases {
    /// How many (invariant I7).
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Phrases({})", self.list.len())
    }
}

/// A phrase as it is compared.
pub(crate) fn folded(phrase: &str) -> Vec<char> {
    let mut before = Before::default();
    phrase.trim().chars().filter_map(|c| before.fold(c)).collect()
}

impl Phrases {
    pub(super) fn new(blocking: Rails) -> Self {
        Self { blocking, ..Self::default() }
    }

    /// Another one, of these guardrails.
    pub(super) fn add(&mut self, phrase: &str, rails: Rails) {
        let text = folded(phrase);
        match text.first() {
            Some(c) if c.is_ascii() => self.first |= 1 << u32::from(*c),
            Some(_) => self.others = true,
            None => return,
        }
        self.list.push(Phrase { text, rails });
    }

    /// After the last one.
    pub(super) fn sort(&mut self) {
        sort::sort_by(&mut self.list, |one, other| one.text.cmp(&other.text));
        self.list.dedup_by(|again, kept| {
            let same = again.text == kept.text;
            if same {
                kept.rails = kept.rails.or(again.rails);
            }
            same
        });
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    /// Whose they are.
    pub(crate) fn rails(&self) -> Rails {
        self.list.iter().fold(Rails::default(), |all, phrase| all.or(phrase.rails))
    }

    /// Those in a whole text.
    pub(crate) fn find(&self, text: &str) -> Rails {
        Finder::default().read(text, 0, self)
    }

    fn may_begin(&self, c: char) -> bool {
        if c.is_ascii() { self.first >> u32::from(c) & 1 == 1 } else { self.others }
    }
}

/// The beginning of some phrases.
#[derive(Clone, Copy)]
struct Beginning {
    /// They are these of the list, the first and the one behind the last.
    from: usize,
    to: usize,
    /// Characters.
    length: usize,
    /// The frame in which it stands.
    since: u64,
}

impl Beginning {
    /// Goes on by a character, if any phrase does.
    fn narrow(&mut self, c: char, phrases: &Phrases, found: &mut Rails) -> bool {
        let range = phrases.list.get(self.from..self.to).unwrap_or_default();
        let next = |phrase: &Phrase| phrase.text.get(self.length).copied();
        let below = range.partition_point(|phrase| next(phrase) < Some(c));
        let upto = range.partition_point(|phrase| next(phrase) <= Some(c));
        self.to = self.from + upto;
        self.from += below;
        self.length += 1;
        if let Some(phrase) = phrases.list.get(self.from..self.to).and_then(<[_]>::first)
            && phrase.text.len() == self.length
        {
            *found = found.or(phrase.rails);
            self.from += 1;
        }
        self.from < self.to
    }

    fn may_block(&self, phrases: &Phrases) -> bool {
        let all = phrases.list.get(self.from..self.to).unwrap_or_default();
        all.iter().any(|phrase| !phrase.rails.and(phrases.blocking).is_empty())
    }
}

/// One reading of a text.
#[derive(Clone, Default)]
struct Track {
    before: Before,
    beginnings: Vec<Beginning>,
}

impl Track {
    fn read(&mut self, c: char, at: u64, phrases: &Phrases, found: &mut Rails) {
        let Some(c) = self.before.fold(c) else { return };
        if !self.beginnings.is_empty() {
            self.beginnings.retain_mut(|beginning| beginning.narrow(c, phrases, found));
        }
        if phrases.may_begin(c) {
            let mut new = Beginning { from: 0, to: phrases.list.len(), length: 0, since: at };
            if new.narrow(c, phrases, found) {
                self.beginnings.push(new);
            }
        }
    }

    fn oldest(&self, phrases: &Phrases) -> Option<u64> {
        self.beginnings.iter().find(|beginning| beginning.may_block(phrases)).map(|one| one.since)
    }
}

/// How far a text has been read: as it is written, and from its first backslash on as JSON would read it too,
/// since the arguments of tools are JSON in a string.
#[derive(Clone, Default)]
pub(crate) struct Finder {
    plain: Track,
    read: Option<Box<(Track, Escape)>>,
}

impl Finder {
    /// Reads on; tells whose phrases have come to their end. `at` counts frames.
    pub(crate) fn read(&mut self, text: &str, at: u64, phrases: &Phrases) -> Rails {
        let mut found = Rails::default();
        for c in text.chars() {
            match &mut self.read {
                None if c == '\\' => self.read = Some(Box::new((self.plain.clone(), Escape::Begun))),
                None => {}
                Some(reading) => {
                    let (track, escape) = &mut **reading;
                    if let Some(c) = escape.read(c) {
                        track.read(c, at, phrases, &mut found);
                    }
                }
            }
            self.plain.read(c, at, phrases, &mut found);
        }
        found
    }

    /// The frame in which the oldest beginning stands of a phrase that blocks.
    pub(crate) fn oldest(&self, phrases: &Phrases) -> Option<u64> {
        let read = self.read.as_ref().and_then(|reading| reading.0.oldest(phrases));
        self.plain.oldest(phrases).into_iter().chain(read).min()
    }
}

/// Where in an escape of JSON's a text has come to.
#[derive(Clone, Copy, Default)]
enum Escape {
    #[default]
    None,
    /// After the backslash.
    Begun,
    /// Among the four digits.
    Digits { value: u32, left: u32 },
    /// After the first half of a character.
    Half(u32),
    /// The same, and after a backslash.
    HalfBegun(u32),
    /// The same, among the digits of the second half.
    HalfDigits { half: u32, value: u32, left: u32 },
}

impl Escape {
    /// The character that is complete now.
    fn read(&mut self, c: char) -> Option<char> {
        let (next, out) = match (*self, c) {
            (Self::None, '\\') => (Self::Begun, None),
            (Self::Half(half), '\\') => (Self::HalfBegun(half), None),
            (Self::None | Self::Half(_), c) => (Self::None, Some(c)),
            (Self::Begun, 'u') => (Self::Digits { value: 0, left: 4 }, None),
            (Self::HalfBegun(half), 'u') => (Self::HalfDigits { half, value: 0, left: 4 }, None),
            (Self::Begun | Self::HalfBegun(_), 'n' | 'r' | 't' | 'f') => (Self::None, Some('\n')),
            (Self::Begun | Self::HalfBegun(_), c) => (Self::None, Some(c)),
            (Self::Digits { value, left }, c) => match (digit(value, c), left) {
                (None, _) => (Self::None, Some(c)),
                (Some(half @ 0xd800..0xdc00), 1) => (Self::Half(half), None),
                (Some(value), 1) => (Self::None, char::from_u32(value)),
                (Some(value), left) => (Self::Digits { value, left: left - 1 }, None),
            },
            (Self::HalfDigits { half, value, left }, c) => match (digit(value, c), left) {
                (None, _) => (Self::None, Some(c)),
                (Some(low @ 0xdc00..0xe000), 1) => {
                    (Self::None, char::from_u32(0x10000 + ((half - 0xd800) << 10) + (low - 0xdc00)))
                }
                (Some(value), 1) => (Self::None, char::from_u32(value)),
                (Some(value), left) => (Self::HalfDigits { half, value, left: left - 1 }, None),
            },
        };
        *self = next;
        out
    }
}

fn digit(value: u32, c: char) -> Option<u32> {
    Some(value << 4 | c.to_digit(16)?)
}
