//! Repeated keys: two parsers may read `{"model":"a","model":"b"}` differently, and the one that
//! checks a limit must not see another value than the one that bills.

use super::{JsonError, Spelling, Tape, Value};
use crate::sort;
use std::borrow::Cow;

/// Up to this many keys are compared pair by pair; more are sorted.
const FEW: usize = 12;

/// How much of a repeated key an error shows, in characters.
const SHOWN: usize = 64;

/// Fails if the object at this node says a key twice.
pub(super) fn check(tape: &Tape<'_>, object: u32) -> Result<(), JsonError> {
    let object = Value { tape, at: object };
    if surely_distinct(object) {
        return Ok(());
    }
    let keys: Vec<Key<'_>> = object.members().map(|(key, _)| Key::new(key)).collect();
    let repeated = if keys.len() <= FEW { by_pairs(&keys) } else { by_order(keys) };
    match repeated {
        None => Ok(()),
        Some(key) => {
            let shown: String = key.text.chars().take(SHOWN).collect();
            Err(JsonError::new(format!("repeated key {shown:?}"), key.offset))
        }
    }
}

/// Whether the keys differ at a glance: every key lights a bit chosen by its length and two of its
/// letters, and no bit is lit twice. Decides most objects of a request without comparing any keys.
fn surely_distinct(object: Value<'_>) -> bool {
    let mut lit = 0u64;
    for (key, _) in object.members() {
        let node = key.node();
        let [_, letters @ .., _] = key.raw() else { return false };
        let first = letters.first().copied().unwrap_or_default();
        let last = letters.last().copied().unwrap_or_default();
        let glance = usize::from(first) * 7 + usize::from(last) * 3 + letters.len();
        let bit = 1u64 << (glance % 64);
        if lit & bit != 0 || node.spelling == Spelling::Escaped {
            return false;
        }
        lit |= bit;
    }
    true
}

struct Key<'t> {
    text: Cow<'t, str>,
    offset: usize,
}

impl<'t> Key<'t> {
    fn new(key: Value<'t>) -> Self {
        Self { text: key.as_str().unwrap_or_default(), offset: key.span().start }
    }
}

fn by_pairs<'k, 't>(keys: &'k [Key<'t>]) -> Option<Key<'t>> {
    let repeats = |(at, key): &(usize, &Key<'t>)| keys.iter().take(*at).any(|other| other.text == key.text);
    let (_, key) = keys.iter().enumerate().find(repeats)?;
    Some(Key { text: key.text.clone(), offset: key.offset })
}

/// Sorted rather than hashed: a hash with a fixed seed can be attacked, and core has no randomness.
fn by_order(mut keys: Vec<Key<'_>>) -> Option<Key<'_>> {
    sort::sort_by(&mut keys, |a, b| a.text.cmp(&b.text).then(a.offset.cmp(&b.offset)));
    let seconds = keys.windows(2).filter_map(|pair| match pair {
        [first, second] if first.text == second.text => Some(second),
        _ => None,
    });
    let key = seconds.min_by_key(|key| key.offset)?;
    Some(Key { text: key.text.clone(), offset: key.offset })
}
