//! What is wrong with a config, and where.

use crate::sort;
use std::fmt;

/// One thing that is wrong with a config.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigError {
    /// The field: `models.chat.targets[1].to`; empty for the document as a whole.
    pub path: String,
    /// Line in the document, from 1.
    pub line: usize,
    /// Column in that line, in characters, from 1.
    pub column: usize,
    /// What is wrong, lower case, without any secret.
    pub message: String,
    /// What to do about it.
    pub fix: String,
}

impl fmt::Display for ConfigError {
    /// `line:column: path: message (fix)`; the host puts the file's name before it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { path, line, column, message, fix } = self;
        write!(f, "{line}:{column}: ")?;
        if !path.is_empty() {
            write!(f, "{path}: ")?;
        }
        write!(f, "{message} ({fix})")
    }
}

impl std::error::Error for ConfigError {}

/// A field and where it stands.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Place {
    /// The path to it.
    pub(super) path: String,
    /// Bytes before it.
    pub(super) offset: usize,
}

impl Place {
    /// The document as a whole.
    pub(super) fn root() -> Self {
        Self::default()
    }

    /// A field of the table at this place. A name that is no bare word is quoted, as in TOML.
    pub(super) fn field(&self, name: &str, offset: usize) -> Self {
        let plain = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
        let quoted = if (1..=80).contains(&name.len()) && name.chars().all(plain) {
            name.to_owned()
        } else {
            show(name)
        };
        let path = if self.path.is_empty() { quoted } else { [&self.path, ".", &quoted].concat() };
        Self { path, offset }
    }

    /// An item of the list at this place.
    pub(super) fn item(&self, index: usize, offset: usize) -> Self {
        Self { path: format!("{}[{index}]", self.path), offset }
    }
}

/// A name in quotes, escaped and cut where it is absurdly long.
pub(super) fn show(name: &str) -> String {
    if name.chars().count() <= 80 {
        return format!("{name:?}");
    }
    let head: String = name.chars().take(80).collect();
    format!("{:?}", head + "…")
}

/// Everything that is wrong, gathered while reading.
pub(super) struct Errors {
    list: Vec<Found>,
}

struct Found {
    place: Place,
    message: String,
    fix: String,
}

impl Errors {
    /// Nothing is wrong yet.
    pub(super) fn new() -> Self {
        Self { list: Vec::new() }
    }

    /// Notes one more.
    pub(super) fn push(&mut self, place: &Place, message: impl Into<String>, fix: impl Into<String>) {
        self.list.push(Found { place: place.clone(), message: message.into(), fix: fix.into() });
    }

    /// Whether nothing is wrong.
    pub(super) fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    /// All of them in the order of the document, positions counted in lines and columns.
    pub(super) fn locate(mut self, text: &[u8]) -> Vec<ConfigError> {
        sort::sort_by_key(&mut self.list, |found| found.place.offset);
        let mut cursor = Cursor { offset: 0, line: 1, line_start: 0 };
        self.list
            .into_iter()
            .map(|Found { place: Place { path, offset }, message, fix }| {
                cursor.advance(text, offset);
                let (line, column) = (cursor.line, cursor.column(text));
                ConfigError { path, line, column, message, fix }
            })
            .collect()
    }
}

/// Walks a text once, counting lines.
struct Cursor {
    offset: usize,
    line: usize,
    line_start: usize,
}

impl Cursor {
    fn advance(&mut self, text: &[u8], to: usize) {
        let to = to.min(text.len());
        let passed = text.get(self.offset..to).unwrap_or_default();
        for (index, _) in passed.iter().enumerate().filter(|(_, byte)| **byte == b'\n') {
            self.line += 1;
            self.line_start = self.offset + index + 1;
        }
        self.offset = self.offset.max(to);
    }

    fn column(&self, text: &[u8]) -> usize {
        let line = text.get(self.line_start..self.offset).unwrap_or_default();
        // A byte that continues a character is no column of its own.
        1 + line.iter().filter(|byte| **byte & 0xC0 != 0x80).count()
    }
}

/// The closest of `known` to a misspelt `name`, if one is close enough to be meant.
pub(super) fn closest<'a>(name: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    closest_few(name, known).into_iter().next()
}

/// Up to three of `known` that may have been meant by `name`, best first.
pub(crate) fn closest_few<'a>(name: &str, known: impl IntoIterator<Item = &'a str>) -> Vec<&'a str> {
    few(name, &mut known.into_iter())
}

fn few<'a>(name: &str, known: &mut dyn Iterator<Item = &'a str>) -> Vec<&'a str> {
    /// Edit distance is quadratic: a name longer than any real one is compared by this much.
    const COMPARED: usize = 64;
    let cut = |text: &str| text.chars().take(COMPARED).collect::<String>().to_ascii_lowercase();
    let wanted = cut(name);
    let mut scored: Vec<(f64, &str)> = known
        .map(|candidate| (score(&wanted, &cut(candidate)), candidate))
        .filter(|(score, _)| *score >= 0.8)
        .collect();
    sort::sort_by(&mut scored, |a, b| b.0.total_cmp(&a.0).then(a.1.cmp(b.1)));
    scored.dedup_by(|a, b| a.1 == b.1);
    scored.truncate(3);
    scored.into_iter().map(|(_, name)| name).collect()
}

/// From 0 to 1. What the beginnings share counts for more than the rest, except of names so short
/// that a shared letter says nothing.
fn score(wanted: &str, candidate: &str) -> f64 {
    let plain = |text: &str| text.replace(['-', '_', '.', ' '], "");
    if plain(wanted) == plain(candidate) {
        return 1.0;
    }
    let edits = strsim::normalized_damerau_levenshtein(wanted, candidate);
    if wanted.len().min(candidate.len()) < 3 {
        return edits;
    }
    // Of three letters one is a third, and one slip all the same.
    let slip = if strsim::damerau_levenshtein(wanted, candidate) == 1 { 0.8 } else { 0.0 };
    edits.max(strsim::jaro_winkler(wanted, candidate)).max(slip)
}
