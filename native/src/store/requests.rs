//! Requests one by one: written in batches, read by page, dropped when they are old enough.

use super::backfill::{self, Way};
use super::row::{Consumed, Row, column, int, uint};
use super::runs::{self, Enough, Marked, Runs};
use super::spend::day_range;
use rusqlite::types::Value;
use rusqlite::{Connection, OptionalExtension, params, params_from_iter};
use std::borrow::Borrow;
use tollgate_core::api::{Dimension, Only};
pub use tollgate_core::api::{Outcome, RequestPlace as Place, RequestQuery};
use tollgate_core::exchange::RequestId;
use tollgate_core::units::{Millis, NanoDollars, Time, Tokens};

/// Most rows of one answer.
pub const LARGEST_PAGE: u32 = 1000;

/// Rows that are dropped in one go. What waits behind it waits for milliseconds.
const BATCH: i64 = 500;

/// A request of an answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    /// Where it stands.
    pub place: Place,
    /// What is known of it.
    pub row: Row,
}

const COLUMNS: &str = "seq, id, at, organisation, team, user, key, end_user, tags, provider, model, asked, \
    surface, status, fault, ending, attempts, input, cached, cache_write, output, reasoning, basis, cost, \
    cost_basis, first_byte, total, cache, guardrails";

/// Adds rows.
pub(super) fn write<R: Borrow<Row>>(connection: &Connection, rows: &[R]) -> Result<(), rusqlite::Error> {
    let mut insert = connection.prepare_cached(
        "INSERT INTO requests (id, at, organisation, team, user, key, end_user, tags, provider, model, asked,
            surface, status, fault, ending, failed, attempts, input, cached, cache_write, output, reasoning,
            basis, cost, cost_basis, first_byte, total, cache, guardrails)
         VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
    )?;
    let mut mark = connection.prepare_cached("INSERT INTO request_tags VALUES (?, ?, ?)")?;
    let mut runs = Runs::default();
    for row in rows.iter().map(Borrow::borrow) {
        let consumed = |part: fn(&Consumed) -> Tokens| row.consumed.as_ref().map(|all| int(part(all).get()));
        insert.execute(params![
            row.id.0.to_be_bytes(),
            int(row.at.0),
            row.organisation,
            row.team,
            row.user,
            row.key,
            row.end_user,
            list(&row.tags),
            row.provider,
            row.model,
            row.asked,
            row.surface,
            row.status,
            row.fault,
            row.ending,
            row.is_failed(),
            row.attempts,
            consumed(|all| all.input),
            consumed(|all| all.cached),
            consumed(|all| all.cache_write),
            consumed(|all| all.output),
            row.consumed.and_then(|all| all.reasoning).map(|tokens| int(tokens.get())),
            row.basis,
            row.cost.map(|cost| int(cost.get())),
            row.cost_basis,
            row.first_byte.map(|wait| int(wait.0)),
            int(row.total.0),
            row.cache,
            list(&row.guardrails)
        ])?;
        let seq = connection.last_insert_rowid();
        runs.add(seq, row.at, runs::values(row));
        for tag in &row.tags {
            mark.execute(params![tag, int(row.at.0), seq])?;
        }
    }
    runs.write(connection)
}

/// Texts in one column; absent for none.
fn list(texts: &[String]) -> Option<String> {
    (!texts.is_empty()).then(|| serde_json::Value::from(texts).to_string())
}

fn listed(json: Option<String>) -> Vec<String> {
    json.and_then(|json| serde_json::from_str(&json).ok()).unwrap_or_default()
}

/// One request.
pub(super) fn one(connection: &Connection, id: RequestId) -> Result<Option<Found>, rusqlite::Error> {
    let mut statement = connection.prepare_cached(&one_sql())?;
    statement.query_row([id.0.to_be_bytes()], found).optional()
}

pub(super) fn one_sql() -> String {
    format!("SELECT {COLUMNS} FROM requests WHERE id = ?")
}

/// A page of requests. A row that is malformed is reported, and takes no page with it.
pub(super) fn page(connection: &Connection, query: &RequestQuery) -> Result<Vec<Found>, rusqlite::Error> {
    let limit = query.limit.min(LARGEST_PAGE);
    let mut query = RequestQuery { limit, ..query.clone() };
    // In one transaction with what is read: when all have runs the indexes go.
    let connection = connection.unchecked_transaction()?;
    loop {
        let mut malformed = Vec::new();
        let mut page = read(&connection, &query, &mut malformed)?;
        let wanted = limit.saturating_add(u32::try_from(malformed.len()).unwrap_or(u32::MAX));
        // Those that are left out make room for others: a page that is not full is taken for the last.
        if page.len() >= limit as usize || wanted <= query.limit {
            for Malformed { seq, error } in malformed {
                tracing::error!(seq, %error, "a stored request is malformed and left out");
            }
            page.truncate(limit as usize);
            return Ok(page);
        }
        query.limit = wanted;
    }
}

/// A row that does not say what one says.
struct Malformed {
    seq: Option<i64>,
    error: rusqlite::Error,
}

/// At least as many as are asked for, if there are, but for those that are malformed.
fn read(
    connection: &Connection,
    query: &RequestQuery,
    malformed: &mut Vec<Malformed>,
) -> Result<Vec<Found>, rusqlite::Error> {
    let mut page = Vec::new();
    for plan in plans(query, backfill::way(connection)?) {
        match plan {
            Plan::Indexed(Sql { text, values }) => {
                let mut statement = connection.prepare_cached(&text)?;
                let mut rows = statement.query(params_from_iter(values))?;
                while let Some(row) = rows.next()? {
                    page.extend(understood(row, malformed));
                }
            }
            Plan::Marked(one) => page.extend(marked(connection, query, &one, malformed)?),
        }
    }
    page.sort_unstable_by_key(|found: &Found| std::cmp::Reverse(found.place));
    page.dedup_by_key(|found| found.place);
    Ok(page)
}

/// A statement and what is bound to it.
#[derive(Debug)]
pub(super) struct Sql {
    pub(super) text: String,
    pub(super) values: Vec<Value>,
}

/// What dimensions are looked up by, the most telling first.
pub(super) const LEADS: [Dimension; 8] = [
    Dimension::EndUser,
    Dimension::Key,
    Dimension::User,
    Dimension::Tag,
    Dimension::Team,
    Dimension::Model,
    Dimension::Organisation,
    Dimension::Provider,
];

/// How requests are found.
#[derive(Debug)]
pub(super) enum Plan {
    /// By an index that is in the order of the answer.
    Indexed(Sql),
    /// By what they are marked with.
    Marked(One),
}

/// What is read of requests of one mark.
#[derive(Debug)]
pub(super) struct One {
    pub(super) column: &'static str,
    pub(super) value: String,
    /// One request, by its number and when it came; the number of the column's value is among the values.
    pub(super) fetch: Sql,
}

/// One for each value of the leading dimension, so that each is read in the order of the answer and stops
/// when the page is full.
pub(super) fn plans(query: &RequestQuery, way: Way) -> Vec<Plan> {
    let lead = LEADS.into_iter().find(|lead| query.only.iter().any(|only| only.dimension == *lead));
    let Some(lead) = lead else { return vec![Plan::Indexed(plan(query, None))] };
    let values = query.only.iter().filter(|only| only.dimension == lead);
    let plan = |only: &Only| match column(lead) {
        Some(column) if way == Way::Runs => {
            let value = only.value.clone();
            Plan::Marked(One { column, value, fetch: fetch(query, only, column) })
        }
        Some(_) | None => Plan::Indexed(plan(query, Some(only))),
    };
    values.map(plan).collect()
}

/// A request that stands where a run says, if it is wanted: a run may name what was dropped.
fn fetch(query: &RequestQuery, lead: &Only, column: &str) -> Sql {
    let mut conditions = vec!["seq = ?1".to_owned(), "at = ?2".to_owned(), format!("{column} = ?3")];
    let mut values = vec![Value::Null, Value::Null, Value::Text(lead.value.clone())];
    if query.outcome == Outcome::Failed {
        conditions.push("failed = 1".to_owned());
    }
    let others = query.only.iter().filter(|only| only.dimension != lead.dimension);
    narrow(others, "requests.tags", "requests.at", &mut conditions, &mut values);
    let text = format!("SELECT {COLUMNS} FROM requests WHERE {}", conditions.join(" AND "));
    Sql { text, values }
}

fn marked(
    connection: &Connection,
    query: &RequestQuery,
    one: &One,
    malformed: &mut Vec<Malformed>,
) -> Result<Vec<Found>, rusqlite::Error> {
    let One { column, value, fetch } = one;
    let (limit, mut page) = (query.limit as usize, Vec::new());
    let until = query.after.map_or(query.to, |after| after.at.min(query.to));
    let mut statement = connection.prepare_cached(&fetch.text)?;
    for (place, value) in fetch.values.iter().enumerate() {
        statement.raw_bind_parameter(place + 1, value)?;
    }
    let marked = Marked { column, value, from: query.from, until };
    runs::backwards(connection, &marked, |place| {
        if page.len() >= limit || place.at < query.from {
            return Ok(Enough::Yes);
        }
        if place.at < query.to && query.after.is_none_or(|after| place < after) {
            statement.raw_bind_parameter(1, int(place.seq))?;
            statement.raw_bind_parameter(2, int(place.at.0))?;
            let mut rows = statement.raw_query();
            if let Some(row) = rows.next()? {
                page.extend(understood(row, malformed));
            }
        }
        Ok(Enough::No)
    })?;
    Ok(page)
}

fn plan(query: &RequestQuery, lead: Option<&Only>) -> Sql {
    let mut values = Vec::new();
    let (table, mut conditions) = match lead {
        None if query.outcome == Outcome::Failed => {
            ("requests INDEXED BY requests_by_failed".to_owned(), Vec::new())
        }
        None => ("requests INDEXED BY requests_by_at".to_owned(), Vec::new()),
        Some(only) => {
            values.push(Value::Text(only.value.clone()));
            match column(only.dimension) {
                Some(name) => {
                    (format!("requests INDEXED BY {}", backfill::index(name)), vec![format!("{name} = ?")])
                }
                None => {
                    let table = "request_tags AS mark CROSS JOIN requests USING (seq)".to_owned();
                    (table, vec!["mark.tag = ?".to_owned()])
                }
            }
        }
    };
    let from = if lead.is_some_and(|lead| column(lead.dimension).is_none()) { "mark" } else { "requests" };
    conditions.push(format!("{from}.at >= ? AND {from}.at < ?"));
    values.extend([Value::Integer(int(query.from.0)), Value::Integer(int(query.to.0))]);
    if query.outcome == Outcome::Failed {
        conditions.push("failed = 1".to_owned());
    }
    if let Some(place) = query.after {
        conditions.push(format!("({from}.at, seq) < (?, ?)"));
        values.extend([Value::Integer(int(place.at.0)), Value::Integer(int(place.seq))]);
    }
    let others = query.only.iter().filter(|only| lead.is_none_or(|lead| only.dimension != lead.dimension));
    narrow(others, "requests.tags", "requests.at", &mut conditions, &mut values);
    values.push(Value::Integer(i64::from(query.limit)));
    let columns = COLUMNS.replace(" at,", " requests.at,");
    Sql {
        text: format!(
            "SELECT {columns} FROM {table} WHERE {} ORDER BY {from}.at DESC, seq DESC LIMIT ?",
            conditions.join(" AND ")
        ),
        values,
    }
}

/// Adds a condition for each dimension that has values: any of them.
pub(super) fn narrow<'a>(
    only: impl Iterator<Item = &'a Only> + Clone,
    tags: &str,
    at: &str,
    conditions: &mut Vec<String>,
    values: &mut Vec<Value>,
) {
    let mut dimensions: Vec<Dimension> = only.clone().map(|only| only.dimension).collect();
    dimensions.sort_unstable();
    dimensions.dedup();
    for dimension in dimensions {
        let wanted = only.clone().filter(|only| only.dimension == dimension).map(|only| only.value.as_str());
        let any: Vec<String> = wanted
            .map(|value| match (dimension, column(dimension)) {
                (Dimension::Day, _) => {
                    let (from, to) = day_range(value);
                    values.extend([Value::Integer(from), Value::Integer(to)]);
                    format!("({at} >= ? AND {at} < ?)")
                }
                (_, Some(name)) => {
                    values.push(Value::Text(value.to_owned()));
                    format!("requests.{name} = ?")
                }
                (_, None) => {
                    values.push(Value::Text(value.to_owned()));
                    format!("? IN (SELECT value FROM json_each({tags}))")
                }
            })
            .collect();
        conditions.push(format!("({})", any.join(" OR ")));
    }
}

/// A request, if its row says what one says.
fn understood(row: &rusqlite::Row<'_>, malformed: &mut Vec<Malformed>) -> Option<Found> {
    found(row).map_err(|error| malformed.push(Malformed { seq: row.get("seq").ok(), error })).ok()
}

fn found(row: &rusqlite::Row<'_>) -> Result<Found, rusqlite::Error> {
    let number = |name| Ok::<_, rusqlite::Error>(row.get::<_, Option<i64>>(name)?.map(uint));
    let at = Time(number("at")?.unwrap_or_default());
    let tokens = |name| Ok::<_, rusqlite::Error>(number(name)?.map(Tokens));
    let consumed = match tokens("input")? {
        None => None,
        Some(input) => Some(Consumed {
            input,
            cached: tokens("cached")?.unwrap_or_default(),
            cache_write: tokens("cache_write")?.unwrap_or_default(),
            output: tokens("output")?.unwrap_or_default(),
            reasoning: tokens("reasoning")?,
        }),
    };
    Ok(Found {
        place: Place { at, seq: number("seq")?.unwrap_or_default() },
        row: Row {
            id: RequestId(u128::from_be_bytes(row.get("id")?)),
            at,
            organisation: row.get("organisation")?,
            team: row.get("team")?,
            user: row.get("user")?,
            key: row.get("key")?,
            end_user: row.get("end_user")?,
            tags: listed(row.get("tags")?),
            provider: row.get("provider")?,
            model: row.get("model")?,
            asked: row.get("asked")?,
            surface: row.get("surface")?,
            status: row.get("status")?,
            fault: row.get("fault")?,
            ending: row.get("ending")?,
            attempts: row.get("attempts")?,
            consumed,
            basis: row.get("basis")?,
            cost: number("cost")?.map(NanoDollars),
            cost_basis: row.get("cost_basis")?,
            first_byte: number("first_byte")?.map(Millis),
            total: Millis(number("total")?.unwrap_or_default()),
            cache: row.get("cache")?,
            guardrails: listed(row.get("guardrails")?),
        },
    })
}

/// Whether there may be more to drop.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Purge {
    /// Nothing is older.
    Done,
    /// A whole batch was dropped.
    Again,
}

/// Drops a batch of what came before `before`, oldest first. The roll-ups keep what it was worth.
pub(super) fn purge(connection: &Connection, before: Time) -> Result<Purge, rusqlite::Error> {
    let transaction = connection.unchecked_transaction()?;
    let (mut dropped, mut last) = (0, 0);
    {
        let mut oldest = transaction.prepare_cached(OLDEST)?;
        let mut unmark =
            transaction.prepare_cached("DELETE FROM request_tags WHERE tag = ? AND at = ? AND seq = ?")?;
        let mut delete = transaction.prepare_cached("DELETE FROM requests WHERE seq = ?")?;
        let mut rows = oldest.query(params![int(before.0), BATCH])?;
        let mut batch = Vec::new();
        while let Some(row) = rows.next()? {
            batch.push((row.get::<_, i64>(0)?, row.get::<_, i64>(1)?, row.get::<_, Option<String>>(2)?));
        }
        for (seq, at, tags) in batch {
            let tags: Vec<String> =
                tags.and_then(|json| serde_json::from_str(&json).ok()).unwrap_or_default();
            for tag in tags {
                unmark.execute(params![tag, at, seq])?;
            }
            dropped += delete.execute([seq])?;
            last = at;
        }
    }
    let purge = if dropped as i64 == BATCH { Purge::Again } else { Purge::Done };
    match purge {
        // Others of the same moment may be left.
        Purge::Again => runs::purge(&transaction, Time(uint(last)))?,
        Purge::Done => runs::purge(&transaction, before)?,
    }
    transaction.commit()?;
    Ok(purge)
}

pub(super) const OLDEST: &str =
    "SELECT seq, at, tags FROM requests INDEXED BY requests_by_at WHERE at < ? ORDER BY at LIMIT ?";
