//! What has changed among who there is, by the audit log: each change there has a line that names it.
//!
//! The log tells who else has written without a look at everything, and it tells it to whoever comes
//! later too. An entry that no line names, such as one written by hand, is seen at the next start.

use super::row::{int, uint};
use super::{entities, schema};
use rusqlite::{Connection, params};
use std::path::Path;
use tollgate_core::api::{Change, Kind};

/// What has changed since a line of the audit log.
#[derive(Debug, Default)]
pub(super) struct News {
    /// Each as it stands now, in the order of their last change.
    pub(super) changes: Vec<Change>,
    /// The last line.
    pub(super) line: u64,
}

impl News {
    /// The last line of the audit log; zero where there is none.
    pub(super) fn last(connection: &Connection) -> Result<u64, rusqlite::Error> {
        let last = |row: &rusqlite::Row<'_>| row.get::<_, Option<i64>>(0);
        Ok(connection.query_row("SELECT max(seq) FROM audit", [], last)?.map(uint).unwrap_or_default())
    }

    /// What has changed since this line. Run in a transaction, it is of one moment.
    pub(super) fn since(connection: &Connection, line: u64) -> Result<Self, rusqlite::Error> {
        let mut news = Self { changes: Vec::new(), line };
        let mut named: Vec<Named> = Vec::new();
        let mut lines =
            connection.prepare_cached("SELECT seq, subject FROM audit WHERE seq > ? ORDER BY seq")?;
        let mut rows = lines.query(params![int(line)])?;
        while let Some(row) = rows.next()? {
            news.line = uint(row.get(0)?);
            let subject: String = row.get(1)?;
            // Keys that go together are in one line.
            for one in subject.split(',').filter_map(Named::parse) {
                named.retain(|other| *other != one);
                named.push(one);
            }
        }
        let now = named.iter().map(|Named { kind, name }| entities::one(connection, *kind, name));
        news.changes = now.collect::<Result<_, _>>()?;
        Ok(news)
    }
}

/// What a line is about.
#[derive(PartialEq, Eq)]
struct Named {
    kind: Kind,
    name: String,
}

impl Named {
    fn parse(subject: &str) -> Option<Self> {
        let (kind, name) = subject.split_once(':')?;
        Some(Self { kind: entities::named(kind)?, name: name.to_owned() })
    }
}

/// Looks at a file for changes, with a connection of its own, so that no long question delays it.
#[derive(Debug)]
pub(super) struct Watch {
    connection: Connection,
    line: u64,
}

impl Watch {
    /// From this line on.
    pub(super) fn from(file: &Path, line: u64) -> Result<Self, rusqlite::Error> {
        Ok(Self { connection: schema::reader(file)?, line })
    }

    /// What has changed since the last look.
    pub(super) fn look(&mut self) -> Result<Vec<Change>, rusqlite::Error> {
        let moment = self.connection.transaction()?;
        let News { changes, line } = News::since(&moment, self.line)?;
        moment.commit()?;
        self.line = line;
        Ok(changes)
    }
}
