//! The ledger's books as they are stored: accounts, open entries, and from which journal segment on
//! they do not know what happened.

use super::entities::{Malformed, Origin, SetAside, shown};
use rusqlite::types::ValueRef;
use rusqlite::{Connection, OptionalExtension, params};
use tollgate_core::exchange::RequestId;
use tollgate_core::ledger::{Changed, Stored};

/// What was stored.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Books {
    /// Accounts and open entries.
    pub stored: Vec<Stored>,
    /// The first journal segment whose notes are not in them.
    pub segment: Segment,
}

/// The number of a journal segment. They are used in order, each once.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Segment(pub u64);

/// Where it stands in `meta`.
pub(super) const SEGMENT: &str = "segment";

/// What was found among the books.
#[derive(Debug, Default)]
pub(super) struct Read {
    pub(super) books: Books,
    pub(super) malformed: Vec<Malformed>,
}

/// Reads all of them. What is not of the right type is told, and left where it is.
pub(super) fn read(connection: &Connection) -> Result<Read, rusqlite::Error> {
    let mut found = Read::default();
    let mut statement = connection.prepare("SELECT scope, state FROM accounts")?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        match (row.get_ref(0)?.as_str(), row.get_ref(1)?.as_blob()) {
            (Ok(scope), Ok(state)) => {
                found.books.stored.push(Stored::Account { scope: scope.to_owned(), state: state.to_owned() });
            }
            _ => found.malformed.push(malformed(Origin::Account, row)?),
        }
    }
    let mut statement = connection.prepare("SELECT id, state FROM open_entries")?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        match (id(row.get_ref(0)?), row.get_ref(1)?.as_blob()) {
            (Some(id), Ok(state)) => found.books.stored.push(Stored::Open { id, state: state.to_owned() }),
            _ => found.malformed.push(malformed(Origin::OpenEntry, row)?),
        }
    }
    let mut segment = connection.prepare("SELECT value FROM meta WHERE name = ?")?;
    let segment = segment.query_row([SEGMENT], |row| Ok(row.get_ref(0)?.as_i64())).optional()?;
    found.books.segment = match segment {
        Some(Ok(number)) => Segment(super::row::uint(number)),
        // The segments there are will do: what the books know has been deleted, as a rule.
        Some(Err(error)) => {
            tracing::error!(%error, "the number of the journal's segment is malformed");
            Segment::default()
        }
        None => Segment::default(),
    };
    Ok(found)
}

fn id(value: ValueRef<'_>) -> Option<RequestId> {
    let bytes: [u8; 16] = value.as_blob().ok()?.try_into().ok()?;
    Some(RequestId(u128::from_be_bytes(bytes)))
}

fn malformed(origin: Origin, row: &rusqlite::Row<'_>) -> Result<Malformed, rusqlite::Error> {
    let why = "expected a name and a blob".to_owned();
    let what = SetAside { origin, name: shown(row.get_ref(0)?), why };
    Ok(Malformed { what, names: vec![row.get(0)?] })
}

/// Stores what has changed, and from which segment on notes are not in it.
pub(super) fn write(
    connection: &Connection,
    changed: &Changed,
    segment: Segment,
) -> Result<(), rusqlite::Error> {
    let Changed { stored, ended, emptied } = changed;
    let mut account = connection.prepare_cached("INSERT OR REPLACE INTO accounts VALUES (?, ?)")?;
    let mut open = connection.prepare_cached("INSERT OR REPLACE INTO open_entries VALUES (?, ?)")?;
    for one in stored {
        match one {
            Stored::Account { scope, state } => account.execute(params![scope, state])?,
            Stored::Open { id, state } => open.execute(params![id.0.to_be_bytes(), state])?,
        };
    }
    let mut end = connection.prepare_cached("DELETE FROM open_entries WHERE id = ?")?;
    for id in ended {
        end.execute([id.0.to_be_bytes()])?;
    }
    let mut empty = connection.prepare_cached("DELETE FROM accounts WHERE scope = ?")?;
    for scope in emptied {
        empty.execute([scope])?;
    }
    connection
        .prepare_cached("INSERT OR REPLACE INTO meta VALUES (?, ?)")?
        .execute(params![SEGMENT, super::row::int(segment.0)])?;
    Ok(())
}
