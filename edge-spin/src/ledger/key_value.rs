//! The ledger in the key-value store: everything of a book in one value.

use super::Lost;
use super::books::{Books, Rows, Written, aside};
use crate::cell::{Cell, MOST_BYTES, Read, Swapped};
use base64::Engine;
use base64::prelude::BASE64_STANDARD_NO_PAD;
use serde_json::{Map, Value as Json, json};
use tollgate_core::exchange::RequestId;
use tollgate_core::ledger::{Changed, Stored};
use tollgate_core::units::Time;
use tollgate_edge::random::Random;

/// Books in the default store.
pub(crate) struct KeyValueBooks {
    pub(crate) random: Random,
}

/// What was read.
pub(crate) struct Seen {
    cell: Cell,
    whole: Whole,
}

/// Everything of a book.
#[derive(Debug, Default, PartialEq)]
struct Whole {
    /// Counts writes, so that no value comes twice.
    writes: u64,
    /// By scope.
    accounts: Map<String, Json>,
    /// By id.
    entries: Map<String, Json>,
}

impl Books for KeyValueBooks {
    type Seen = Seen;

    async fn read(&self, book: &str, _: &[String], _: Time) -> Result<Rows<Seen>, Lost> {
        let Read { cell, value } = Cell::read(&key(book)).await.map_err(Lost)?;
        let whole = value.map_or_else(|| Ok(Whole::default()), |value| Whole::parse(&value))?;
        Ok(Rows { stored: whole.rows()?, seen: Seen { cell, whole } })
    }

    async fn write(&self, _: &str, seen: Seen, changed: &Changed) -> Result<Written, Lost> {
        let Seen { cell, mut whole } = seen;
        whole.take_up(changed);
        let value = whole.text();
        if value.len() > MOST_BYTES {
            return Err(Lost(format!("a book of {} bytes is more than a value holds", value.len())));
        }
        match cell.write(value).await.map_err(Lost)? {
            Swapped::Done => Ok(Written::Done),
            Swapped::Overtaken => Ok(Written::Overtaken),
        }
    }

    async fn step_aside(&self, attempt: u32) {
        spin_sdk::time::sleep(aside(attempt, self.random.next())).await;
    }
}

fn key(book: &str) -> String {
    format!("tollgate/ledger/{book}")
}

impl Whole {
    fn parse(value: &[u8]) -> Result<Self, Lost> {
        let garbled = || Lost("the value of the ledger is not as it was written".to_owned());
        let json: Json = serde_json::from_slice(value).map_err(|_| garbled())?;
        let map = |name: &str| json.get(name).and_then(Json::as_object).cloned().ok_or_else(garbled);
        let writes = json.get("writes").and_then(Json::as_u64).ok_or_else(garbled)?;
        Ok(Self { writes, accounts: map("accounts")?, entries: map("entries")? })
    }

    fn text(&self) -> Vec<u8> {
        let Self { writes, accounts, entries } = self;
        json!({ "writes": writes, "accounts": accounts, "entries": entries }).to_string().into_bytes()
    }

    fn rows(&self) -> Result<Vec<Stored>, Lost> {
        let garbled = || Lost("a row of the ledger is not as it was written".to_owned());
        let state = |text: &Json| {
            let text = text.as_str().ok_or_else(garbled)?;
            BASE64_STANDARD_NO_PAD.decode(text).map_err(|_| garbled())
        };
        let mut rows = Vec::with_capacity(self.accounts.len() + self.entries.len());
        for (scope, text) in &self.accounts {
            rows.push(Stored::Account { scope: scope.clone(), state: state(text)? });
        }
        for (id, text) in &self.entries {
            let id = u128::from_str_radix(id, 16).map_err(|_| garbled())?;
            rows.push(Stored::Open { id: RequestId(id), state: state(text)? });
        }
        Ok(rows)
    }

    fn take_up(&mut self, changed: &Changed) {
        let Changed { stored, ended, emptied } = changed;
        self.writes += 1;
        for row in stored {
            match row {
                Stored::Account { scope, state } => {
                    self.accounts.insert(scope.clone(), Json::from(BASE64_STANDARD_NO_PAD.encode(state)));
                }
                Stored::Open { id, state } => {
                    self.entries.insert(name(*id), Json::from(BASE64_STANDARD_NO_PAD.encode(state)));
                }
            }
        }
        ended.iter().for_each(|id| drop(self.entries.swap_remove(&name(*id))));
        emptied.iter().for_each(|scope| drop(self.accounts.swap_remove(scope)));
    }
}

fn name(id: RequestId) -> String {
    format!("{:032x}", id.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_says_what_was_written_and_no_two_are_alike() {
        let account = |state: &[u8]| Stored::Account { scope: "key:ci".to_owned(), state: state.to_vec() };
        let open = Stored::Open { id: RequestId(7), state: vec![1] };
        let mut whole = Whole::default();
        whole.take_up(&Changed { stored: vec![account(b"a"), open.clone()], ..Changed::default() });
        let first = whole.text();
        assert_eq!(Whole::parse(&first).unwrap().rows().unwrap(), [account(b"a"), open]);
        whole.take_up(&Changed { ended: vec![RequestId(7)], ..Changed::default() });
        assert_eq!(Whole::parse(&whole.text()).unwrap().rows().unwrap(), [account(b"a")]);
        whole.take_up(&Changed { emptied: vec!["key:ci".to_owned()], ..Changed::default() });
        assert_eq!(whole.rows().unwrap(), []);
        assert_ne!(
            whole.text(),
            Whole::default().text(),
            "a value that comes again would hide what was between"
        );
    }
}
