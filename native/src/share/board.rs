//! The board in Redis, on which gateways tell each other who there is.

use super::entry;
use crate::ledger::shared::{Call, Script, SharedLedger, What};
use crate::random::Random;
use crate::store::stamps::{MOURNING, Stamped};
use redis::Value;
use std::sync::{Arc, LazyLock};

/// Entries that are read at once.
const MOST_READ: usize = 200;

static NEWER: LazyLock<Script> =
    LazyLock::new(|| Script::new(concat!(include_str!("board.lua"), include_str!("newer.lua"))));
static PUT: LazyLock<Script> =
    LazyLock::new(|| Script::new(concat!(include_str!("board.lua"), include_str!("put.lua"))));

/// The board and the way to it.
pub(super) struct Board<'a> {
    ledger: &'a SharedLedger,
    /// For the way only: where the board is, in a cluster.
    slot: Arc<str>,
    keys: Vec<String>,
    /// This gateway's name.
    pub(super) gateway: String,
    random: Random,
}

/// How far the board has been read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Place {
    /// Since the board last began anew.
    pub(super) epoch: String,
    /// The number of the last change that was read.
    pub(super) number: u64,
}

/// What stands on the board after a place.
#[derive(Debug, Default)]
pub(super) struct Page {
    /// Where the board stands.
    pub(super) last: Place,
    /// Changes in their order.
    pub(super) lines: Vec<Line>,
}

/// A change on the board.
#[derive(Debug)]
pub(super) struct Line {
    pub(super) number: u64,
    /// Or why it cannot be understood.
    pub(super) change: Result<Stamped, String>,
}

impl<'a> Board<'a> {
    pub(super) fn new(ledger: &'a SharedLedger) -> Self {
        let settings = ledger.settings();
        // Braces would end the part that names the slot too early.
        let namespace = settings.namespace.replace('%', "%25").replace('{', "%7b").replace('}', "%7d");
        let keys = ["entries", "feed", "gone", "meta"].map(|key| format!("{namespace}:{{who}}:{key}"));
        Self {
            ledger,
            // No organisation has such a name, so that nobody else's books are meant.
            slot: Arc::from("\0who"),
            keys: keys.to_vec(),
            gateway: settings.gateway.chars().filter(|char| is_plain(*char)).collect(),
            random: Random::seeded(),
        }
    }

    /// What was changed after a place. The error is for the log.
    pub(super) async fn newer(&self, place: &Place) -> Result<Page, String> {
        let args = vec![self.epoch(), text(place.number), text(MOST_READ)];
        let value = self.ask(&NEWER, args).await?;
        page(&value).ok_or_else(|| "an answer that the script does not give".to_owned())
    }

    /// Tells changes; those that are not later than what is there change nothing.
    pub(super) async fn put(&self, changes: &[Stamped]) -> Result<(), String> {
        let mut args = vec![self.epoch(), text(MOURNING.get())];
        for stamped in changes {
            let Stamped { change, stamp } = stamped;
            let state = if change.spec.is_some() { "kept" } else { "gone" };
            args.extend(
                [entry::field(change), stamp.at.0.to_string(), stamp.by.clone()].map(String::into_bytes),
            );
            args.extend([state.as_bytes().to_vec(), entry::written(stamped)]);
        }
        self.ask(&PUT, args).await.map(drop)
    }

    /// The epoch, should the board begin anew.
    fn epoch(&self) -> Vec<u8> {
        format!("{:016x}", self.random.next()).into_bytes()
    }

    async fn ask(&self, script: &'static Script, args: Vec<Vec<u8>>) -> Result<Value, String> {
        let what = What::Script(script);
        let call = Call { book: Arc::clone(&self.slot), what, keys: self.keys.clone(), args };
        self.ledger.ask(&call).await
    }
}

/// Stands as it is in JSON and in the server's patterns.
fn is_plain(char: char) -> bool {
    char.is_ascii_alphanumeric() || char == '-' || char == '_'
}

fn text(number: impl ToString) -> Vec<u8> {
    number.to_string().into_bytes()
}

fn page(value: &Value) -> Option<Page> {
    let Value::Array(values) = value else { return None };
    let mut texts = values.iter().map(bytes);
    let epoch = String::from_utf8(texts.next()??.to_vec()).ok()?;
    let mut page = Page { last: Place { epoch, number: number(texts.next()??)? }, lines: Vec::new() };
    while let Some(field) = texts.next() {
        let (number, value) = (number(texts.next()??)?, texts.next()??);
        page.lines.push(Line { number, change: entry::read(field?, value) });
    }
    Some(page)
}

fn bytes(value: &Value) -> Option<&[u8]> {
    let Value::BulkString(bytes) = value else { return None };
    Some(bytes)
}

fn number(text: &[u8]) -> Option<u64> {
    std::str::from_utf8(text).ok()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn array(texts: &[&str]) -> Value {
        Value::Array(texts.iter().map(|text| Value::BulkString(text.as_bytes().to_vec())).collect())
    }

    #[test]
    fn a_page_is_where_the_board_stands_and_its_lines() {
        let line = r#"{"at":5,"by":"a","spec":null}"#;
        let page = page(&array(&["e1", "9", "key/ci", "8", line, "moon/x", "9", line])).unwrap();
        assert_eq!(page.last, Place { epoch: "e1".to_owned(), number: 9 });
        assert_eq!((page.lines[0].number, page.lines[1].number), (8, 9));
        assert_eq!(page.lines[0].change.as_ref().unwrap().change.name, "ci");
        assert!(page.lines[1].change.is_err());
    }

    #[test]
    fn an_answer_of_another_shape_is_none() {
        for texts in [&[][..], &["e1"], &["e1", "x"], &["e1", "9", "key/ci"], &["e1", "9", "key/ci", "8"]] {
            assert!(page(&array(texts)).is_none(), "{texts:?}");
        }
        assert!(page(&Value::Nil).is_none());
    }
}
