//! Responses that conversations go on from: written behind, found by their owner, dropped when they are old or
//! too many.

use super::row::{int, uint};
use rusqlite::{Connection, OptionalExtension, params};
use tollgate_core::transcript::{Owner, Transcript};
use tollgate_core::units::{Millis, Time};

/// Responses that are dropped in one go.
const BATCH: i64 = 100;

/// How long and how much of them is kept.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Keeping {
    /// From when it was made; none is kept where this is zero.
    pub time: Millis,
    /// In bytes, of all together.
    pub size: u64,
}

/// One that is to be kept.
#[derive(Debug)]
pub struct Kept {
    /// Whose it is.
    pub owner: Owner,
    /// Its id.
    pub id: String,
    /// When it was made.
    pub at: Time,
    /// What is kept.
    pub transcript: Transcript,
}

pub(super) fn write(connection: &Connection, kept: &Kept) -> Result<(), rusqlite::Error> {
    let Kept { owner, id, at, transcript: Transcript { response, input } } = kept;
    let size = int((response.len() + input.len()) as u64);
    connection
        .prepare_cached("INSERT OR REPLACE INTO responses VALUES (?, ?, ?, ?, ?, ?)")?
        .execute(params![owner.0, id, int(at.0), size, response, input])
        .map(drop)
}

/// One that was made after `after`.
pub(super) fn one(
    connection: &Connection,
    owner: &Owner,
    id: &str,
    after: Time,
) -> Result<Option<Transcript>, rusqlite::Error> {
    let mut statement = connection.prepare_cached(ONE)?;
    let found = statement.query_row(params![owner.0, id, int(after.0)], |row| {
        Ok(Transcript { response: row.get(0)?, input: row.get(1)? })
    });
    found.optional()
}

pub(super) const ONE: &str = "SELECT response, input FROM responses WHERE owner = ? AND id = ? AND at > ?";

pub(super) fn forget(connection: &Connection, owner: &Owner, id: &str) -> Result<(), rusqlite::Error> {
    let mut statement = connection.prepare_cached("DELETE FROM responses WHERE owner = ? AND id = ?")?;
    statement.execute(params![owner.0, id]).map(drop)
}

/// Drops some of those that are too old, or the oldest of too many; says whether there may be more.
pub(super) fn purge(connection: &Connection, keeping: Keeping, now: Time) -> Result<bool, rusqlite::Error> {
    let old = connection.prepare_cached(OLD)?.execute(params![int((now - keeping.time).0), BATCH])?;
    if old as i64 == BATCH {
        return Ok(true);
    }
    let size = connection.prepare_cached("SELECT coalesce(sum(size), 0) FROM responses")?;
    let size: u64 = { size }.query_row([], |row| row.get(0)).map(uint)?;
    if size <= keeping.size {
        return Ok(false);
    }
    connection.prepare_cached(OLDEST)?.execute([BATCH])?;
    Ok(true)
}

const OLD: &str = "DELETE FROM responses WHERE rowid IN \
    (SELECT rowid FROM responses INDEXED BY responses_by_at WHERE at <= ? ORDER BY at LIMIT ?)";

const OLDEST: &str = "DELETE FROM responses WHERE rowid IN \
    (SELECT rowid FROM responses INDEXED BY responses_by_at ORDER BY at LIMIT ?)";
