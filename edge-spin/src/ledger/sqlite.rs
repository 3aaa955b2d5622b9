//! The ledger in SQLite: a row for each account and each open entry, read by one statement and written by
//! one.
//!
//! All instances have one connection to the platform's SQLite, on which statements of several
//! transactions would mix. So there are none: what is written is inserted into a view, whose trigger
//! compares and writes, and that is one statement.

use super::Lost;
use super::books::{Books, Rows, Written, aside, sweep};
use base64::Engine;
use base64::prelude::BASE64_STANDARD_NO_PAD;
use serde_json::{Value as Json, json};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;
use tollgate_core::exchange::RequestId;
use tollgate_core::ledger::{Changed, Lease, Stored, Warning};
use tollgate_core::units::Time;
use tollgate_edge::random::Random;
use tollgate_edge::sql::{Failed, LARGEST, Row, Sql, Value};

/// What the trigger says when somebody else was first.
const OVERTAKEN: &str = "tollgate: overtaken";

/// So often rows are read again for entries whose lease is over.
const ROUNDS: usize = 8;

/// What there is in the database. Numbers are versions: random, so that none comes back.
const SCHEMA: [&str; 6] = [
    "CREATE TABLE IF NOT EXISTS ledger_account (
        book TEXT NOT NULL, scope TEXT NOT NULL, version INTEGER NOT NULL, state TEXT NOT NULL,
        PRIMARY KEY (book, scope)) WITHOUT ROWID",
    "CREATE TABLE IF NOT EXISTS ledger_entry (
        book TEXT NOT NULL, id TEXT NOT NULL, over_at INTEGER NOT NULL, state TEXT NOT NULL,
        PRIMARY KEY (book, id)) WITHOUT ROWID",
    "CREATE INDEX IF NOT EXISTS ledger_entry_over ON ledger_entry (over_at)",
    "CREATE TABLE IF NOT EXISTS ledger_hold (
        book TEXT NOT NULL, scope TEXT NOT NULL, id TEXT NOT NULL,
        PRIMARY KEY (book, scope, id)) WITHOUT ROWID",
    "CREATE VIEW IF NOT EXISTS ledger_change (book, seen, version, accounts, entries, ended, emptied)
        AS SELECT '', '', 0, '', '', '', '' WHERE 0",
    "CREATE TRIGGER IF NOT EXISTS ledger_write INSTEAD OF INSERT ON ledger_change BEGIN
        SELECT RAISE(ABORT, 'tollgate: overtaken') WHERE EXISTS (
            SELECT 1 FROM json_each(NEW.seen) AS seen
            LEFT JOIN ledger_account AS a ON a.book = NEW.book AND a.scope = seen.key
            WHERE coalesce(a.version, 0) <> seen.value);
        DELETE FROM ledger_hold WHERE book = NEW.book AND (scope, id) IN (
            SELECT json_extract(h.value, '$[0]'), json_extract(h.value, '$[1]') FROM json_each(NEW.ended) AS h);
        DELETE FROM ledger_entry WHERE book = NEW.book
            AND id IN (SELECT json_extract(e.value, '$[1]') FROM json_each(NEW.ended) AS e);
        DELETE FROM ledger_account WHERE book = NEW.book
            AND scope IN (SELECT e.value FROM json_each(NEW.emptied) AS e);
        INSERT INTO ledger_account (book, scope, version, state)
            SELECT NEW.book, a.key, NEW.version, a.value FROM json_each(NEW.accounts) AS a WHERE true
            ON CONFLICT (book, scope) DO UPDATE SET version = excluded.version, state = excluded.state;
        INSERT INTO ledger_entry (book, id, over_at, state)
            SELECT NEW.book, e.key, json_extract(e.value, '$.over_at'), json_extract(e.value, '$.state')
            FROM json_each(NEW.entries) AS e WHERE true
            ON CONFLICT (book, id) DO NOTHING;
        INSERT INTO ledger_hold (book, scope, id)
            SELECT NEW.book, s.value, e.key FROM json_each(NEW.entries) AS e,
                json_each(json_extract(e.value, '$.scopes')) AS s WHERE true
            ON CONFLICT (book, scope, id) DO NOTHING;
    END",
];

const CHECK: &str = "SELECT 1 FROM sqlite_schema WHERE name = 'ledger_write'";

/// Accounts, and what holds something in them.
const READ: &str = "
    SELECT 0, scope, version, state FROM ledger_account
        WHERE book = ?1 AND scope IN (SELECT value FROM json_each(?2))
    UNION ALL
    SELECT 1, id, over_at, state FROM ledger_entry
        WHERE book = ?1 AND id IN (SELECT id FROM ledger_hold
            WHERE book = ?1 AND scope IN (SELECT value FROM json_each(?2)))";

const WRITE: &str = "INSERT INTO ledger_change (book, seen, version, accounts, entries, ended, emptied)
    VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)";

/// Scopes with entries whose lease is over, and some others.
const DUE: &str = "
    SELECT book, scope FROM (
        SELECT e.book AS book, h.scope AS scope FROM ledger_entry AS e
        JOIN ledger_hold AS h ON h.book = e.book AND h.id = e.id
        WHERE e.over_at <= ?1 LIMIT 64)
    UNION
    SELECT book, scope FROM (SELECT book, scope FROM ledger_account ORDER BY random() LIMIT 32)";

/// SQLite, and its platform's timer.
pub(crate) trait Waiting: Sql {
    /// Waits so long.
    fn pause(&self, span: Duration) -> impl Future<Output = ()>;
}

/// Books in SQLite.
pub(crate) struct SqlBooks<'a, S> {
    pub(crate) sql: &'a S,
    pub(crate) random: &'a Random,
}

/// What was read.
pub(crate) struct Seen {
    /// Versions of accounts; zero where there was none.
    versions: BTreeMap<String, u64>,
    /// Where the open entries hold something.
    leases: BTreeMap<String, Lease>,
}

impl<S: Waiting> SqlBooks<'_, S> {
    /// Ends some of the entries whose lease is over, and looks at some accounts whether they are empty.
    pub(crate) async fn upkeep(&self, now: Time) -> Result<Vec<Warning>, Lost> {
        let mut books: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for mut row in self.sql.run(DUE, vec![Value::from(now.0)]).await? {
            if let (Some(book), Some(scope)) = (row.text(), row.text()) {
                books.entry(book).or_default().push(scope);
            }
        }
        let mut told = Vec::new();
        for (book, scopes) in books {
            told.extend(sweep(self, &book, &scopes, now).await?);
        }
        Ok(told)
    }

    /// Makes the tables where there are none. Before anybody waits for quota.
    pub(crate) async fn prepare(&self) -> Result<(), Failed> {
        // The trigger is made last.
        if self.sql.run(CHECK, Vec::new()).await.is_ok_and(|rows| !rows.is_empty()) {
            return Ok(());
        }
        for statement in SCHEMA {
            self.sql.run(statement, Vec::new()).await?;
        }
        Ok(())
    }
}

impl<S: Waiting> Books for SqlBooks<'_, S> {
    type Seen = Seen;

    async fn read(&self, book: &str, scopes: &[String], now: Time) -> Result<Rows<Seen>, Lost> {
        let mut names: BTreeSet<String> = scopes.iter().cloned().collect();
        for _ in 0..ROUNDS {
            let list = json!(names).to_string();
            let rows = self.sql.run(READ, vec![Value::from(book), Value::Text(list)]).await?;
            let mut versions: BTreeMap<String, u64> = names.iter().map(|name| (name.clone(), 0)).collect();
            let (mut stored, mut leases) = (Vec::new(), BTreeMap::new());
            for row in rows {
                take(row, &mut stored, &mut versions, &mut leases)?;
            }
            let over = leases.values().filter(|lease: &&Lease| lease.over_at <= now);
            let more: Vec<String> =
                over.flat_map(|lease| &lease.scopes).filter(|name| !names.contains(*name)).cloned().collect();
            if more.is_empty() {
                return Ok(Rows { stored, seen: Seen { versions, leases } });
            }
            names.extend(more);
        }
        Err(Lost("too many entries are over at once".to_owned()))
    }

    async fn write(&self, book: &str, seen: Seen, changed: &Changed) -> Result<Written, Lost> {
        let Changed { stored, ended, emptied } = changed;
        let (mut accounts, mut entries) = (BTreeMap::new(), BTreeMap::new());
        for row in stored {
            match row {
                Stored::Account { scope, state } => {
                    accounts.insert(scope.clone(), BASE64_STANDARD_NO_PAD.encode(state));
                }
                Stored::Open { id, state } => {
                    let Ok(Lease { over_at, scopes }) = Lease::of(state) else { continue };
                    if scopes.is_empty() {
                        continue;
                    }
                    let over_at = over_at.0.min(LARGEST.unsigned_abs());
                    let state = BASE64_STANDARD_NO_PAD.encode(state);
                    let entry = json!({ "over_at": over_at, "scopes": scopes, "state": state });
                    entries.insert(key(*id), entry);
                }
            }
        }
        let ended: Vec<Json> = ended.iter().flat_map(|id| holds(&key(*id), &seen)).collect();
        let version = self.random.next() & LARGEST.unsigned_abs() | 1;
        let texts = [json!(accounts), json!(entries), json!(ended), json!(emptied)];
        let mut values =
            vec![Value::from(book), Value::Text(json!(seen.versions).to_string()), Value::from(version)];
        values.extend(texts.map(|text| Value::Text(text.to_string())));
        match self.sql.run(WRITE, values).await {
            Ok(_) => Ok(Written::Done),
            Err(Failed(why)) if why.contains(OVERTAKEN) => Ok(Written::Overtaken),
            Err(failed) => Err(failed.into()),
        }
    }

    async fn step_aside(&self, attempt: u32) {
        self.sql.pause(aside(attempt, self.random.next())).await;
    }
}

/// Pairs of a scope and the entry that holds something there.
fn holds(id: &str, seen: &Seen) -> Vec<Json> {
    seen.leases
        .get(id)
        .map_or_else(Vec::new, |lease| lease.scopes.iter().map(|scope| json!([scope, id])).collect())
}

fn take(
    mut row: Row,
    stored: &mut Vec<Stored>,
    versions: &mut BTreeMap<String, u64>,
    leases: &mut BTreeMap<String, Lease>,
) -> Result<(), Lost> {
    let garbled = || Lost("a row of the ledger is not as it was written".to_owned());
    let (kind, name, number) = (row.number(), row.text(), row.number());
    let (Some(kind), Some(name), Some(number), Some(state)) = (kind, name, number, row.text()) else {
        return Err(garbled());
    };
    let state = BASE64_STANDARD_NO_PAD.decode(state).map_err(|_| garbled())?;
    if kind == 0 {
        versions.insert(name.clone(), number);
        stored.push(Stored::Account { scope: name, state });
        return Ok(());
    }
    let id = u128::from_str_radix(&name, 16).map_err(|_| garbled())?;
    if let Ok(lease) = Lease::of(&state) {
        leases.insert(name, lease);
    }
    stored.push(Stored::Open { id: RequestId(id), state });
    Ok(())
}

fn key(id: RequestId) -> String {
    format!("{:032x}", id.0)
}

#[cfg(test)]
mod tests;
