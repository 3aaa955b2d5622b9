//! What was spent, by day: sums that stay when the requests themselves are gone.
//!
//! A request is told from several sides, each in cells of its own, so that no question adds it twice:
//!
//! ```text
//!   facet   one cell for each        of requests
//!   0..=3   request                  without tags and end user, with tags, with end user, with both
//!   4, 5    tag of a request         with tags: without end user, with
//!   6, 7    end user of a request    with end user: without tags, with
//!   8       tag, with the end user   with both
//! ```
//! Whoever asks by tag reads 4 and 5, and 0 and 2 for those that have none; and so on
//! ([`facets`]).

use super::elsewhere;
use super::row::{Row, int};
use rusqlite::{Connection, ToSql, params_from_iter};
use std::collections::HashMap;

/// Milliseconds of a day. Days begin at midnight UTC and have no leap seconds.
pub(super) const DAY: u64 = 86_400_000;

/// Most cells that wait for a store that takes none. Beyond, amounts are told apart by less.
const MOST_WAITING: usize = 50_000;

/// The facets that answer a question by (or only for some) tags, end users, both, none.
pub(super) const fn facets(tags: Told, end_users: Told) -> &'static str {
    match (tags, end_users) {
        (Told::Together, Told::Together) => "0, 1, 2, 3",
        (Told::Apart, Told::Together) => "0, 2, 4, 5",
        (Told::Together, Told::Apart) => "0, 1, 6, 7",
        (Told::Apart, Told::Apart) => "0, 4, 6, 8",
    }
}

/// Whether a question tells requests apart by something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Told {
    /// It does.
    Apart,
    /// It does not.
    Together,
}

/// Sums that are not stored yet.
#[derive(Debug, Default)]
pub(super) struct Rollup {
    cells: HashMap<Cell, Amounts>,
}

/// What a line is of. Absent values are empty.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(super) struct Cell {
    pub(super) facet: u8,
    pub(super) day: i64,
    pub(super) organisation: String,
    pub(super) team: String,
    pub(super) user: String,
    pub(super) key: String,
    pub(super) provider: String,
    pub(super) model: String,
    pub(super) end_user: String,
    pub(super) tag: String,
}

/// What a line adds up to.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Amounts {
    pub(super) requests: u64,
    pub(super) failed: u64,
    pub(super) unpriced: u64,
    pub(super) input: u64,
    pub(super) cached: u64,
    pub(super) output: u64,
    pub(super) cost: u64,
}

impl Rollup {
    pub(super) fn is_empty(&self) -> bool {
        self.cells.is_empty()
    }

    /// Adds a request from all its sides.
    pub(super) fn add(&mut self, row: &Row) {
        let amounts = Amounts::of(row);
        let plain = Cell::of(row);
        if self.cells.len() >= MOST_WAITING {
            // What a client can make up no longer tells anything apart, so there is an end to it.
            return self.put(Cell { model: String::new(), ..plain }, amounts);
        }
        let (tagged, ended) = (u8::from(!row.tags.is_empty()), u8::from(row.end_user.is_some()));
        for tag in &row.tags {
            self.put(Cell { facet: 4 + ended, tag: tag.clone(), ..plain.clone() }, amounts);
        }
        if let Some(end_user) = &row.end_user {
            let apart = Cell { facet: 6 + tagged, end_user: end_user.clone(), ..plain.clone() };
            for tag in &row.tags {
                self.put(Cell { facet: 8, tag: tag.clone(), ..apart.clone() }, amounts);
            }
            self.put(apart, amounts);
        }
        self.put(plain, amounts);
    }

    /// Adds what is in another.
    pub(super) fn merge(&mut self, other: Self) {
        for (cell, amounts) in other.cells {
            self.put(cell, amounts);
        }
    }

    fn put(&mut self, cell: Cell, amounts: Amounts) {
        self.cells.entry(cell).or_default().add(&amounts);
    }

    /// Adds everything to what is stored, to be told to other gateways where there are any.
    pub(super) fn write(&self, connection: &Connection) -> Result<(), rusqlite::Error> {
        if self.is_empty() {
            return Ok(());
        }
        elsewhere::mark(connection, self.cells.keys())?;
        let mut statement = connection.prepare_cached(UPSERT)?;
        for (cell, amounts) in &self.cells {
            let amounts = amounts.columns();
            statement.execute(params_from_iter(cell.columns().into_iter().chain(values(&amounts))))?;
        }
        Ok(())
    }
}

/// A sum beyond the largest integer turns into a floating point number there; it stays the largest
/// integer instead.
const UPSERT: &str = "
    INSERT INTO spend VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
    ON CONFLICT DO UPDATE SET
        requests = requests + excluded.requests,
        failed = failed + excluded.failed,
        unpriced = unpriced + excluded.unpriced,
        input = min(input + excluded.input, 9223372036854775807),
        cached = min(cached + excluded.cached, 9223372036854775807),
        output = min(output + excluded.output, 9223372036854775807),
        cost = min(cost + excluded.cost, 9223372036854775807)";

/// To be bound beside others.
pub(super) fn values(amounts: &[i64]) -> impl Iterator<Item = &dyn ToSql> {
    amounts.iter().map(|amount| amount as &dyn ToSql)
}

impl Cell {
    /// In the order of the columns, in every table of lines.
    pub(super) fn columns(&self) -> [&dyn ToSql; 10] {
        let Self { facet, day, organisation, team, user, key, provider, model, end_user, tag } = self;
        [facet, day, organisation, team, user, key, provider, model, end_user, tag]
    }

    /// As one of all requests, whatever its tags and end user.
    fn of(row: &Row) -> Self {
        let text = |value: &Option<String>| value.clone().unwrap_or_default();
        Self {
            facet: u8::from(!row.tags.is_empty()) + 2 * u8::from(row.end_user.is_some()),
            day: int(row.at.0 / DAY),
            organisation: text(&row.organisation),
            team: text(&row.team),
            user: text(&row.user),
            key: row.key.clone(),
            provider: text(&row.provider),
            model: text(&row.model),
            end_user: String::new(),
            tag: String::new(),
        }
    }
}

impl Amounts {
    /// In the order of the columns, in every table of lines.
    pub(super) fn columns(self) -> [i64; 7] {
        let Self { requests, failed, unpriced, input, cached, output, cost } = self;
        [requests, failed, unpriced, input, cached, output, cost].map(int)
    }

    fn of(row: &Row) -> Self {
        let consumed = row.consumed.unwrap_or_default();
        Self {
            requests: 1,
            failed: u64::from(row.is_failed()),
            unpriced: u64::from(row.cost.is_none()),
            input: consumed.input.get(),
            cached: consumed.cached.get(),
            output: consumed.output.get(),
            cost: row.cost.unwrap_or_default().get(),
        }
    }

    fn add(&mut self, other: &Self) {
        let Self { requests, failed, unpriced, input, cached, output, cost } = other;
        self.requests += requests;
        self.failed += failed;
        self.unpriced += unpriced;
        self.input = self.input.saturating_add(*input);
        self.cached = self.cached.saturating_add(*cached);
        self.output = self.output.saturating_add(*output);
        self.cost = self.cost.saturating_add(*cost);
    }
}
