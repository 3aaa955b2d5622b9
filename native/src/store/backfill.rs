//! What today's schema wants of requests that an older program has stored: runs for them, and no indexes by
//! whose they are. For millions of requests that takes minutes, so it is done in steps beside everything else.
//!
//! ```text
//!   at the start: empty tables, `runs_until` is the last request there is
//!        │ step: runs of the next requests, `runs_from` is the one after them
//!        ▼
//!   `runs_until` is taken out: from here on requests are found by their runs
//!        │ step: an index is dropped
//!        ▼
//!   nothing is left
//! ```
//! 1. What a step does and how far it came are one transaction: whoever is killed goes on after the last step.
//! 2. As long as `runs_until` is there, requests are found by the indexes, which know all of them.
//! 3. New requests have runs from the beginning.

use super::row::{column, uint};
use super::runs::{MARKED, Runs};
use rusqlite::{Connection, OptionalExtension, params};
use tollgate_core::units::Time;

/// Requests of one step: some ten milliseconds, for which what waits behind it waits.
pub(super) const BATCH: i64 = 500;

const UNTIL: &str = "runs_until";
const FROM: &str = "runs_from";

/// Whether there is more to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Left {
    Nothing,
    More,
}

/// What requests are found by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Way {
    /// Runs, which all of them have.
    Runs,
    /// The indexes of an older schema.
    Indexes,
}

/// By what requests are found now. Holds for the transaction it is asked in.
pub(super) fn way(connection: &Connection) -> Result<Way, rusqlite::Error> {
    Ok(if number(connection, UNTIL)?.is_some() { Way::Indexes } else { Way::Runs })
}

/// Does a bounded part of what is left.
pub(super) fn step(connection: &Connection) -> Result<Left, rusqlite::Error> {
    let transaction = connection.unchecked_transaction()?;
    let left = match number(&transaction, UNTIL)? {
        Some(until) => make_runs(&transaction, until)?,
        None => drop_index(&transaction)?,
    };
    transaction.commit()?;
    Ok(left)
}

fn make_runs(connection: &Connection, until: i64) -> Result<Left, rusqlite::Error> {
    let from = number(connection, FROM)?.unwrap_or_default();
    let mut statement = connection.prepare_cached(&next_sql())?;
    let batch = statement.query_map(params![from, until, BATCH], |row| {
        let values = MARKED.iter().enumerate().map(|(place, _)| row.get(place + 2));
        let values = values.collect::<Result<Vec<Option<String>>, _>>()?;
        Ok((row.get(0)?, Time(uint(row.get(1)?)), values))
    });
    let batch = batch?.collect::<Result<Vec<(i64, Time, Vec<Option<String>>)>, _>>()?;
    let mut runs = Runs::default();
    for (seq, at, values) in &batch {
        runs.add(*seq, *at, values.iter().map(Option::as_deref));
    }
    runs.write(connection)?;
    match batch.last() {
        Some((last, ..)) => {
            let mut note = connection.prepare_cached("INSERT OR REPLACE INTO meta VALUES (?, ?)")?;
            note.execute(params![FROM, last + 1])?;
        }
        None => {
            connection.execute("DELETE FROM meta WHERE name IN (?, ?)", [UNTIL, FROM])?;
        }
    }
    Ok(Left::More)
}

pub(super) fn next_sql() -> String {
    let columns: String =
        MARKED.iter().filter_map(|dimension| column(*dimension)).map(|name| format!(", {name}")).collect();
    format!("SELECT seq, at{columns} FROM requests WHERE seq >= ? AND seq <= ? ORDER BY seq LIMIT ?")
}

/// The name of the index of an older schema over a column.
pub(super) fn index(column: &str) -> String {
    format!("requests_by_{column}")
}

fn drop_index(connection: &Connection) -> Result<Left, rusqlite::Error> {
    let mut found =
        connection.prepare_cached("SELECT 1 FROM sqlite_schema WHERE type = 'index' AND name = ?")?;
    for column in MARKED.iter().filter_map(|dimension| column(*dimension)) {
        let index = index(column);
        if found.exists([&index])? {
            drop(found);
            connection.execute_batch(&format!("DROP INDEX {index}"))?;
            return Ok(Left::More);
        }
    }
    Ok(Left::Nothing)
}

fn number(connection: &Connection, name: &str) -> Result<Option<i64>, rusqlite::Error> {
    let mut statement = connection.prepare_cached("SELECT value FROM meta WHERE name = ?")?;
    statement.query_row([name], |row| Ok(row.get(0).unwrap_or_default())).optional()
}
