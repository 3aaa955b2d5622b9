//! The slate in Redis, on which gateways tell each other what they have spent.

use crate::ledger::shared::{Call, Script, SharedLedger, What};
use crate::random::Random;
use crate::store::elsewhere::{Place, Untold};
use redis::Value;
use std::sync::{Arc, LazyLock};

/// Lines that are read at once.
const MOST_READ: usize = 200;
/// Lines that stay; of more, those go that have not changed for the longest.
const MOST: usize = 100_000;
/// How long they stay when nobody tells anything, in seconds.
const EXPIRY: u64 = 100 * 86_400;

static NEWER: LazyLock<Script> =
    LazyLock::new(|| Script::new(concat!(include_str!("slate.lua"), include_str!("newer.lua"))));
static TELL: LazyLock<Script> =
    LazyLock::new(|| Script::new(concat!(include_str!("slate.lua"), include_str!("tell.lua"))));

/// The slate and the way to it.
pub(super) struct Slate<'a> {
    ledger: &'a SharedLedger,
    /// For the way only: where the slate is, in a cluster.
    slot: Arc<str>,
    keys: Vec<String>,
    random: Random,
}

/// What stands on the slate after a place.
#[derive(Debug, Default)]
pub(super) struct Page {
    /// Where the slate stands.
    pub(super) last: Place,
    /// Changes in their order.
    pub(super) lines: Vec<Line>,
}

/// A line on the slate.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Line {
    pub(super) number: u64,
    /// Whose it is.
    pub(super) origin: String,
    pub(super) cell: String,
    pub(super) amounts: String,
}

impl<'a> Slate<'a> {
    pub(super) fn new(ledger: &'a SharedLedger) -> Self {
        // Braces would end the part that names the slot too early.
        let namespace = &ledger.settings().namespace;
        let namespace = namespace.replace('%', "%25").replace('{', "%7b").replace('}', "%7d");
        let keys = ["lines", "feed", "meta"].map(|key| format!("{namespace}:{{spend}}:{key}"));
        // No organisation has such a name, so that nobody else's books are meant.
        let slot = Arc::from("\0spend");
        Self { ledger, slot, keys: keys.to_vec(), random: Random::seeded() }
    }

    /// A name for a store that has none.
    pub(super) fn draw(&self) -> String {
        format!("{:016x}{:016x}", self.random.next(), self.random.next())
    }

    /// What was changed after a place. The error is for the log.
    pub(super) async fn newer(&self, place: &Place) -> Result<Page, String> {
        let value = self.ask(&NEWER, vec![self.draw(), place.number.to_string(), MOST_READ.to_string()]);
        page(&value.await?).ok_or_else(strange)
    }

    /// Tells how lines of a gateway stand now, if the slate is still of this epoch. Answers with the epoch.
    pub(super) async fn tell(&self, epoch: &str, name: &str, lines: &[Untold]) -> Result<String, String> {
        let mut args = vec![self.draw(), epoch.to_owned(), MOST.to_string(), EXPIRY.to_string()];
        for Untold { line, .. } in lines {
            args.extend([format!("{name}/{}", line.cell), line.amounts.clone()]);
        }
        text(&self.ask(&TELL, args).await?).ok_or_else(strange)
    }

    async fn ask(&self, script: &'static Script, args: Vec<String>) -> Result<Value, String> {
        let args = args.into_iter().map(String::into_bytes).collect();
        let what = What::Script(script);
        let call = Call { book: Arc::clone(&self.slot), what, keys: self.keys.clone(), args };
        self.ledger.ask(&call).await
    }
}

fn strange() -> String {
    "an answer that the script does not give".to_owned()
}

fn page(value: &Value) -> Option<Page> {
    let Value::Array(values) = value else { return None };
    let mut texts = values.iter().map(text);
    let (epoch, number) = (texts.next()??, texts.next()??.parse().ok()?);
    let mut page = Page { last: Place { epoch, number }, lines: Vec::new() };
    while let Some(field) = texts.next() {
        let (field, number, amounts) = (field?, texts.next()??.parse().ok()?, texts.next()??);
        let (origin, cell) = field.split_once('/').unwrap_or_default();
        let (origin, cell) = (origin.to_owned(), cell.to_owned());
        page.lines.push(Line { number, origin, cell, amounts });
    }
    Some(page)
}

/// A line that is no text is read as one that makes no sense.
fn text(value: &Value) -> Option<String> {
    let Value::BulkString(bytes) = value else { return None };
    Some(String::from_utf8_lossy(bytes).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn array(texts: &[&str]) -> Value {
        Value::Array(texts.iter().map(|text| Value::BulkString(text.as_bytes().to_vec())).collect())
    }

    #[test]
    fn a_page_is_where_the_slate_stands_and_its_lines() {
        let page = page(&array(&["e1", "9", "g1/[1,\"a/b\"]", "8", "[7]", "hush", "9", "[8]"])).unwrap();
        assert_eq!(page.last, Place { epoch: "e1".to_owned(), number: 9 });
        let line = |number, origin: &str, cell: &str, amounts: &str| Line {
            number,
            origin: origin.to_owned(),
            cell: cell.to_owned(),
            amounts: amounts.to_owned(),
        };
        assert_eq!(page.lines, [line(8, "g1", "[1,\"a/b\"]", "[7]"), line(9, "", "", "[8]")]);
    }

    #[test]
    fn an_answer_of_another_shape_is_none() {
        for texts in [&[][..], &["e1"], &["e1", "x"], &["e1", "9", "g/[]"], &["e1", "9", "g/[]", "8"]] {
            assert!(page(&array(texts)).is_none(), "{texts:?}");
        }
        assert!(page(&Value::Nil).is_none());
    }
}
