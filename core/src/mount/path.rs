//! Paths: their normal form, and patterns they fit.

use super::PLACES;
use crate::fault::{Code, Fault};
use std::borrow::Cow;

/// How much of a path an error shows, in characters.
const SHOWN: usize = 128;

/// How much of it is compared with what is served: comparing costs the product of the lengths.
const COMPARED: usize = 48;

/// A path with at most one hole, such as `{model}`.
pub(super) struct Pattern(pub(super) &'static str);

impl Pattern {
    /// `Some` if the path fits, with what stands in the hole, which is never empty.
    pub(super) fn fit<'p>(&self, path: &'p str) -> Option<Option<&'p str>> {
        let Some((before, after)) = self.0.split_once('{') else {
            return (self.0 == path).then_some(None);
        };
        let (_, after) = after.split_once('}')?;
        let model = path.strip_prefix(before)?.strip_suffix(after)?;
        (!model.is_empty()).then_some(Some(model))
    }
}

/// The path of a request target: without query, decoded once, without doubled or trailing slashes.
/// Borrowed where it is in that form already.
pub(crate) fn normal(target: &str) -> Result<Cow<'_, str>, Fault> {
    let path = target.split(['?', '#']).next().unwrap_or_default();
    let path = decode(path)?;
    if path.split('/').any(|segment| matches!(segment, "." | "..")) {
        return Err(Fault::new(Code::NoRoute, "the path contains dot segments, which are not resolved here"));
    }
    let is_normal = path.starts_with('/') && !path.contains("//") && !path.ends_with('/');
    Ok(if is_normal { path } else { Cow::Owned(collapse(&path)) })
}

fn collapse(path: &str) -> String {
    let mut out = String::with_capacity(path.len() + 1);
    for segment in path.split('/').filter(|segment| !segment.is_empty()) {
        out.push('/');
        out.push_str(segment);
    }
    out
}

fn decode(path: &str) -> Result<Cow<'_, str>, Fault> {
    if !path.contains('%') {
        return Ok(Cow::Borrowed(path));
    }
    let bad = || Fault::new(Code::NoRoute, "the path contains a percent escape that is none");
    let mut bytes = Vec::with_capacity(path.len());
    let mut pieces = path.split('%');
    bytes.extend_from_slice(pieces.next().unwrap_or_default().as_bytes());
    for piece in pieces {
        let (digits, rest) = piece.split_at_checked(2).ok_or_else(bad)?;
        // `from_str_radix` alone would take a sign for a digit.
        let is_hex = digits.bytes().all(|digit| digit.is_ascii_hexdigit());
        let byte = u8::from_str_radix(digits, 16).ok().filter(|_| is_hex).ok_or_else(bad)?;
        bytes.push(byte);
        bytes.extend_from_slice(rest.as_bytes());
    }
    let not_utf8 =
        |_| Fault::new(Code::NoRoute, "the path is not UTF-8 once its percent escapes are decoded");
    String::from_utf8(bytes).map(Cow::Owned).map_err(not_utf8)
}

/// As much of what a client sent as an error shows: bounded, and without control characters.
pub(super) fn shown(text: &str) -> Cow<'_, str> {
    if text.len() <= SHOWN && !text.contains(char::is_control) {
        return Cow::Borrowed(text);
    }
    text.chars().take(SHOWN).map(|letter| if letter.is_control() { '\u{fffd}' } else { letter }).collect()
}

pub(super) fn no_route(path: &str) -> Fault {
    let path = shown(if path.is_empty() { "/" } else { path });
    let compared: String = path.chars().take(COMPARED).collect();
    let near = |served: &str| strsim::normalized_levenshtein(served, &compared);
    let closest = PLACES.iter().max_by(|a, b| near(a.path).total_cmp(&near(b.path)));
    let hint = closest.map(|place| format!(": did you mean {} {}", place.method.name(), place.path));
    Fault::new(Code::NoRoute, format!("nothing is served at {path}{}", hint.unwrap_or_default()))
}
