//! The cache of answers, as it is written: `[cache]`, and `cache` of a model or a key.

use crate::cache::Share;
use crate::config::fault::Errors;
use crate::config::read::{Cell, Spot, Table, Word};
use crate::config::tree::Value;
use crate::units::Millis;

pub(super) const CACHE: &[&str] = &["ttl", "max_ttl", "max_entry", "max_size", "share"];
pub(super) const CACHING: &[&str] = &["ttl", "share"];

/// Who may be given whose answers, by its word.
const SHARES: &[Word<Share>] = &[
    Word { name: Share::Key.name(), value: Share::Key },
    Word { name: Share::Team.name(), value: Share::Team },
    Word { name: Share::Organisation.name(), value: Share::Organisation },
    Word { name: Share::All.name(), value: Share::All },
];

/// `[cache]`
#[derive(Default)]
pub(in crate::config) struct Cache {
    pub(in crate::config) ttl: Option<Spot<Millis>>,
    pub(in crate::config) max_ttl: Option<Spot<Millis>>,
    pub(in crate::config) max_entry: Option<Spot<u64>>,
    pub(in crate::config) max_size: Option<Spot<u64>>,
    pub(in crate::config) share: Option<Share>,
}

impl Cache {
    pub(super) fn read(cell: &Cell<'_>, errors: &mut Errors) -> Option<Self> {
        let table = Table::read(cell, CACHE, errors)?;
        let mut span = |name: &str| table.get(name).and_then(|cell| time(&cell, errors));
        let (ttl, max_ttl) = (span("ttl"), span("max_ttl"));
        let mut size = |name: &str| table.get(name).and_then(|cell| cell.size(errors));
        let (max_entry, max_size) = (size("max_entry"), size("max_size"));
        Some(Self { ttl, max_ttl, max_entry, max_size, share: share(&table, errors) })
    }
}

/// `cache` of a model or a key: whether it is used, and how.
pub(in crate::config) enum Caching {
    /// `false`
    Never,
    /// `true`, or a table.
    Use { ttl: Option<Spot<Millis>>, share: Option<Share> },
}

impl Caching {
    pub(super) fn read(cell: &Cell<'_>, errors: &mut Errors) -> Option<Self> {
        match &cell.node.value {
            Value::Bool(false) => Some(Self::Never),
            Value::Bool(true) => Some(Self::Use { ttl: None, share: None }),
            Value::Table(_) => {
                let table = Table::read(cell, CACHING, errors)?;
                let ttl = table.get("ttl").and_then(|cell| time(&cell, errors));
                Some(Self::Use { ttl, share: share(&table, errors) })
            }
            other @ (Value::Null | Value::Number(_) | Value::Text(_) | Value::Date(_) | Value::List(_)) => {
                let message = format!("expected true, false or a table, found {}", other.kind());
                errors.push(&cell.place, message, r#"write `{ ttl = "5m" }`, or false to forbid it"#);
                None
            }
        }
    }
}

/// How long an answer is kept.
pub(super) fn time(cell: &Cell<'_>, errors: &mut Errors) -> Option<Spot<Millis>> {
    let span = cell.span(errors)?;
    if span.value.is_zero() {
        errors.push(&cell.place, "nothing is kept for no time at all", r#"write a time such as "5m""#);
        return None;
    }
    Some(span)
}

fn share(table: &Table<'_>, errors: &mut Errors) -> Option<Share> {
    table.get("share").and_then(|cell| cell.word("word", SHARES, errors)).map(|word| word.value)
}
