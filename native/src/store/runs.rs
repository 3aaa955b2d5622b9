//! Which requests there are of a key, a team, a model …: what other stores keep an index for.
//!
//! An index has an entry for each request in each dimension, which costs more than the request itself.
//! Here those of a batch that bear the same *mark* stand in one row:
//!
//! ```text
//!   marks: key "ci" is mark 4, model "openai/gpt-4o" is mark 9
//!   runs:  mark 4, span 176 (ten seconds), written from request 1200 on: [0·10000 + 417, 3·10000 + 502, …]
//!                                                            request ──────┘         └── ms within the span
//! ```
//! 1. A request is in the one run of its batch, its span and its mark, in each dimension it has a value in.
//! 2. Spans of a mark are read in order; what lies in one of them is sorted when it is read.
//! 3. A run may name requests that were dropped: whoever follows it looks at what it finds.

use super::row::{Row, column, int, uint};
use rusqlite::types::Type;
use rusqlite::{Connection, OptionalExtension, params};
use std::collections::HashMap;
use tollgate_core::api::{Dimension, RequestPlace};
use tollgate_core::units::Time;

/// Milliseconds of a span. Stands in the schema too.
pub(super) const SPAN: u64 = 10_000;

/// What requests are marked by.
pub(super) const MARKED: [Dimension; 7] = [
    Dimension::Organisation,
    Dimension::Team,
    Dimension::User,
    Dimension::Key,
    Dimension::EndUser,
    Dimension::Provider,
    Dimension::Model,
];

/// The runs of a batch.
#[derive(Default)]
pub(super) struct Runs<'a> {
    /// The first request of the batch.
    base: Option<i64>,
    runs: Vec<Run<'a>>,
    places: HashMap<(usize, &'a str, u64), usize>,
    /// The last run in each dimension: one request is often like the one before.
    last: [Option<usize>; MARKED.len()],
}

struct Run<'a> {
    dimension: Dimension,
    value: &'a str,
    span: u64,
    entries: String,
}

impl<'a> Runs<'a> {
    /// Adds a request with its values in each dimension of [`MARKED`]; those of a batch in the order of their
    /// numbers.
    pub(super) fn add(&mut self, seq: i64, at: Time, values: impl Iterator<Item = Option<&'a str>>) {
        let base = *self.base.get_or_insert(seq);
        let (span, offset) = (at.0 / SPAN, at.0 % SPAN);
        let entry = (uint(seq - base) * SPAN + offset).to_string();
        for (which, (dimension, value)) in MARKED.into_iter().zip(values).enumerate() {
            if let Some(value) = value {
                self.put(which, dimension, value, span, &entry);
            }
        }
    }

    fn put(&mut self, which: usize, dimension: Dimension, value: &'a str, span: u64, entry: &str) {
        let last = self.last.get(which).copied().flatten();
        let same = |run: &Run<'_>| run.span == span && run.value == value;
        let place = match last.filter(|place| self.runs.get(*place).is_some_and(same)) {
            Some(place) => place,
            None => *self.places.entry((which, value, span)).or_insert_with(|| {
                self.runs.push(Run { dimension, value, span, entries: String::new() });
                self.runs.len() - 1
            }),
        };
        if let Some(last) = self.last.get_mut(which) {
            *last = Some(place);
        }
        if let Some(run) = self.runs.get_mut(place) {
            run.entries.push(if run.entries.is_empty() { '[' } else { ',' });
            run.entries.push_str(entry);
        }
    }

    /// Writes all of them.
    pub(super) fn write(self, connection: &Connection) -> Result<(), rusqlite::Error> {
        let mut find = connection.prepare_cached(MARK)?;
        let mut mark = connection.prepare_cached("INSERT INTO marks (dimension, value) VALUES (?, ?)")?;
        // What is replaced names requests that were dropped: their numbers are given again only when none
        // of the batch is left.
        let mut insert = connection.prepare_cached("INSERT OR REPLACE INTO runs VALUES (?, ?, ?, ?)")?;
        for Run { dimension, value, span, mut entries } in self.runs {
            let Some(name) = column(dimension) else { continue };
            let found = find.query_row(params![name, value], |row| row.get::<_, i64>(0)).optional()?;
            let number = match found {
                Some(number) => number,
                None => mark.insert(params![name, value])?,
            };
            entries.push(']');
            insert.execute(params![number, int(span), self.base, entries])?;
        }
        Ok(())
    }
}

/// What a request has in each dimension of [`MARKED`].
pub(super) fn values(row: &Row) -> impl Iterator<Item = Option<&str>> {
    MARKED.into_iter().map(|dimension| match dimension {
        Dimension::Organisation => row.organisation.as_deref(),
        Dimension::Team => row.team.as_deref(),
        Dimension::User => row.user.as_deref(),
        Dimension::Key => Some(row.key.as_str()),
        Dimension::EndUser => row.end_user.as_deref(),
        Dimension::Provider => row.provider.as_deref(),
        Dimension::Model => row.model.as_deref(),
        Dimension::Tag | Dimension::Day => None,
    })
}

/// The number of a mark, by its dimension's column and its value.
pub(super) const MARK: &str = "SELECT mark FROM marks WHERE dimension = ? AND value = ?";

/// The runs of a mark from the last span on, by dimension, value, first span and last.
pub(super) const BACKWARDS: &str = "SELECT span, base, entries FROM runs
    WHERE mark = (SELECT mark FROM marks WHERE dimension = ? AND value = ?) AND span >= ? AND span <= ?
    ORDER BY span DESC";

/// Which requests are looked for.
pub(super) struct Marked<'a> {
    /// The column of a dimension.
    pub(super) column: &'a str,
    pub(super) value: &'a str,
    /// None that came before is given; some of the same span may be.
    pub(super) from: Time,
    /// None that came after is given, but for some of the same span.
    pub(super) until: Time,
}

/// Gives where the requests of a mark stand, the newest first, until `each` has enough.
pub(super) fn backwards(
    connection: &Connection,
    marked: &Marked<'_>,
    mut each: impl FnMut(RequestPlace) -> Result<Enough, rusqlite::Error>,
) -> Result<(), rusqlite::Error> {
    let mut statement = connection.prepare_cached(BACKWARDS)?;
    let Marked { column, value, from, until } = marked;
    let mut rows = statement.query(params![column, value, int(from.0 / SPAN), int(until.0 / SPAN)])?;
    let (mut places, mut here) = (Vec::new(), None);
    loop {
        let row = rows.next()?;
        let span = row.map(|row| row.get::<_, i64>(0)).transpose()?;
        if span != here {
            places.sort_unstable();
            while let Some(place) = places.pop() {
                if each(place)? == Enough::Yes {
                    return Ok(());
                }
            }
            here = span;
        }
        let (Some(span), Some(row)) = (span, row) else { return Ok(()) };
        let base = uint(row.get(1)?);
        let entries: Vec<u64> = serde_json::from_str(row.get_ref(2)?.as_str()?)
            .map_err(|error| rusqlite::Error::FromSqlConversionFailure(2, Type::Text, Box::new(error)))?;
        places.extend(entries.into_iter().map(|entry| RequestPlace {
            at: Time(uint(span) * SPAN + entry % SPAN),
            seq: base + entry / SPAN,
        }));
    }
}

/// Whether whoever is given requests wants more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Enough {
    Yes,
    No,
}

/// Drops what names only requests that came before `before`, which are dropped.
pub(super) fn purge(connection: &Connection, before: Time) -> Result<(), rusqlite::Error> {
    connection.prepare_cached(OLD)?.execute([int(before.0 / SPAN)]).map(drop)
}

pub(super) const OLD: &str = "DELETE FROM runs INDEXED BY runs_by_span WHERE span < ?";
