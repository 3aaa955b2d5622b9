//! When entries were last changed, and where: what decides between gateways that share them.
//!
//! 1. An entry and its stamp are written in one transaction.
//! 2. Each change of an entry has a later stamp than the one before, whatever the clock says.
//! 3. What was deleted keeps its stamp for thirty days.

use super::Store;
use super::desk::{Job, Order};
use super::entities;
use super::row::{int, uint};
use super::trouble::StoreError;
use bytes::Bytes;
use rusqlite::{Connection, OptionalExtension, params};
use tokio::sync::oneshot;
use tollgate_core::api::{Change, Kind};
use tollgate_core::units::{Millis, Time};

/// How long it is known that something was deleted.
pub const MOURNING: Millis = Millis::from_secs(30 * 86_400);

/// Names an entry.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Named {
    /// What it is.
    pub kind: Kind,
    /// Its name.
    pub name: String,
}

/// When an entry was last changed, and by which gateway. The later one wins; of the same moment, the one
/// whose gateway's name is greater, so that all decide alike.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Stamp {
    /// When.
    pub at: Time,
    /// By which gateway.
    pub by: String,
}

/// A change and its stamp.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stamped {
    /// The change.
    pub change: Change,
    /// Its stamp.
    pub stamp: Stamp,
}

impl Named {
    /// What a change is of.
    pub fn of(change: &Change) -> Self {
        Self { kind: change.kind, name: change.name.clone() }
    }
}

impl Store {
    /// Takes up changes that were made by other gateways, as far as they are later than what is here.
    /// Answers with those. No line of the audit log: it is in the log of whoever did it.
    pub async fn adopt(
        &self,
        changes: Vec<Stamped>,
        gateway: &str,
        now: Time,
    ) -> Result<Vec<Change>, StoreError> {
        if let Some(trouble) = self.trouble() {
            return Err(trouble);
        }
        let gateway = gateway.to_owned();
        self.on_writer(move |connection| {
            let transaction = connection.unchecked_transaction()?;
            let mut taken = Vec::new();
            for change in changes {
                if adopt(&transaction, &change, &gateway)? {
                    taken.push(change.change);
                }
            }
            forget(&transaction, now)?;
            transaction.commit()?;
            Ok(taken)
        })
        .await
    }

    /// Those of the changes that are later than what is here. Works also while nothing can be written.
    pub async fn later(&self, changes: Vec<Stamped>, gateway: &str) -> Result<Vec<Change>, StoreError> {
        let gateway = gateway.to_owned();
        self.on_writer(move |connection| {
            let mut later = Vec::new();
            for change in changes {
                if is_later(connection, &change, &gateway)? {
                    later.push(change.change);
                }
            }
            Ok(later)
        })
        .await
    }

    /// The stamps of all entries, and of what was deleted.
    pub async fn stamps(&self, gateway: &str) -> Result<Vec<(Named, Stamp)>, StoreError> {
        let gateway = gateway.to_owned();
        self.on_writer(move |connection| all(connection, &gateway)).await
    }

    /// Entries as they are now, with their stamps. Those of which nothing is known are left out.
    pub async fn stamped(&self, names: Vec<Named>, gateway: &str) -> Result<Vec<Stamped>, StoreError> {
        let gateway = gateway.to_owned();
        self.on_writer(move |connection| {
            let found = names.iter().map(|named| one(connection, named, &gateway));
            found.filter_map(Result::transpose).collect()
        })
        .await
    }

    async fn on_writer<T: Send + 'static>(
        &self,
        act: impl FnOnce(&Connection) -> Result<T, rusqlite::Error> + Send + 'static,
    ) -> Result<T, StoreError> {
        let (reply, answer) = oneshot::channel();
        let job: Job = Box::new(move |connection: Result<&Connection, StoreError>| {
            // Whoever does not wait any more does not want to know.
            let _ = reply.send(connection.and_then(|connection| Ok(act(connection)?)));
        });
        self.desk.order(Order::Read { job })?;
        answer.await.unwrap_or_else(|_| Err(StoreError::stopped()))
    }
}

/// Stamps a change that is made here.
pub(super) fn mark(connection: &Connection, change: &Change, now: Time) -> Result<(), rusqlite::Error> {
    let Change { kind, name, spec } = change;
    let sql = "INSERT INTO stamps VALUES (?1, ?2, ?3, '', ?4) ON CONFLICT (kind, name) DO UPDATE
        SET at = max(excluded.at, stamps.at + 1), origin = '', gone = excluded.gone";
    let mut statement = connection.prepare_cached(sql)?;
    statement.execute(params![kind.name(), name, int(now.0), spec.is_none()])?;
    forget(connection, now)
}

/// Drops stamps of what was deleted long ago.
fn forget(connection: &Connection, now: Time) -> Result<(), rusqlite::Error> {
    let sql = "DELETE FROM stamps WHERE gone = 1 AND at < ?";
    connection.prepare_cached(sql)?.execute([int((now - MOURNING).0)])?;
    Ok(())
}

/// Whether it was later than what was here.
fn adopt(connection: &Connection, stamped: &Stamped, gateway: &str) -> Result<bool, rusqlite::Error> {
    if !is_later(connection, stamped, gateway)? {
        return Ok(false);
    }
    let Stamped { change, stamp } = stamped;
    entities::write(connection, change)?;
    let Change { kind, name, spec } = change;
    let mut statement = connection.prepare_cached("INSERT OR REPLACE INTO stamps VALUES (?, ?, ?, ?, ?)")?;
    statement.execute(params![kind.name(), name, int(stamp.at.0), stamp.by, spec.is_none()])?;
    Ok(true)
}

/// Than what is here. What was lost without having been deleted is not here.
fn is_later(connection: &Connection, stamped: &Stamped, gateway: &str) -> Result<bool, rusqlite::Error> {
    let known = one(connection, &Named::of(&stamped.change), gateway)?;
    Ok(known.is_none_or(|known| known.stamp < stamped.stamp))
}

fn one(connection: &Connection, named: &Named, gateway: &str) -> Result<Option<Stamped>, rusqlite::Error> {
    let Named { kind, name } = named;
    let sql = "SELECT stamps.at, origin, spec FROM stamps LEFT JOIN entities USING (kind, name)
        WHERE kind = ? AND name = ? AND (gone = 1 OR spec IS NOT NULL)";
    let mut statement = connection.prepare_cached(sql)?;
    let found = statement.query_row(params![kind.name(), name], |row| {
        let stamp = stamp(row.get(0)?, row.get(1)?, gateway);
        let spec = row.get::<_, Option<String>>(2)?.map(Bytes::from);
        Ok(Stamped { change: Change { kind: *kind, name: name.clone(), spec }, stamp })
    });
    found.optional()
}

fn all(connection: &Connection, gateway: &str) -> Result<Vec<(Named, Stamp)>, rusqlite::Error> {
    let sql = "SELECT kind, name, stamps.at, origin FROM stamps LEFT JOIN entities USING (kind, name)
        WHERE gone = 1 OR spec IS NOT NULL ORDER BY stamps.at";
    let mut statement = connection.prepare_cached(sql)?;
    let rows = statement.query_map([], |row| {
        let kind = entities::named(&row.get::<_, String>(0)?);
        let named = kind.map(|kind| row.get(1).map(|name| Named { kind, name })).transpose()?;
        Ok((named, stamp(row.get(2)?, row.get(3)?, gateway)))
    })?;
    let known = |row: Result<(Option<Named>, Stamp), _>| match row {
        Ok((named, stamp)) => named.map(|named| Ok((named, stamp))),
        Err(error) => Some(Err(error)),
    };
    rows.filter_map(known).collect()
}

fn stamp(at: i64, origin: String, gateway: &str) -> Stamp {
    let by = if origin.is_empty() { gateway.to_owned() } else { origin };
    Stamp { at: Time(uint(at)), by }
}
