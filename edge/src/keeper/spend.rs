//! What was spent: whole days from the sums, the ragged ends from the requests themselves.
//!
//! ```text
//!   from          midnight                      midnight         to
//!    ├─ requests ────┼──────────── sums ────────────┼─ requests ─┤
//! ```
//! By tag, a request with two counts for both; so it does where several tags are asked for together.

use super::Statement;
use super::requests::{LEADS, column, list, narrow};
use crate::sql::{Row, Value};
use std::collections::HashMap;
use tollgate_core::api::{Dimension, Only, SpendQuery, SpendRow};
use tollgate_core::sort;
use tollgate_core::units::{NanoDollars, Requests, Time, Tokens};

/// Milliseconds of a day. Days begin at midnight UTC and have no leap seconds.
const DAY: u64 = 86_400_000;

/// Large amounts are added in two halves, so that no sum is beyond what is kept exactly.
const SUMS: &str = "coalesce(sum(requests), 0), coalesce(sum(failed), 0), coalesce(sum(unpriced), 0), \
    coalesce(sum(input >> 24), 0), coalesce(sum(input & 16777215), 0), \
    coalesce(sum(cached >> 24), 0), coalesce(sum(cached & 16777215), 0), \
    coalesce(sum(output >> 24), 0), coalesce(sum(output & 16777215), 0), \
    coalesce(sum(cost >> 24), 0), coalesce(sum(cost & 16777215), 0)";

/// The row of an answer to a question by so many dimensions.
pub(super) fn read(mut row: Row, dimensions: usize) -> SpendRow {
    let values = (0..dimensions).map(|_| row.text()).collect();
    let mut number = || row.number().unwrap_or_default();
    let (requests, failed, unpriced) = (Requests(number()), Requests(number()), Requests(number()));
    let mut wide = || {
        let sum = (u128::from(number()) << 24) + u128::from(number());
        u64::try_from(sum).unwrap_or(u64::MAX)
    };
    let (input, cached, output) = (Tokens(wide()), Tokens(wide()), Tokens(wide()));
    SpendRow { values, requests, failed, unpriced, input, cached, output, cost: NanoDollars(wide()) }
}

/// Rows from several books as one answer: like ones added, the dearest first.
pub(super) fn together(parts: impl IntoIterator<Item = Vec<SpendRow>>, limit: u32) -> Vec<SpendRow> {
    let mut places: HashMap<Vec<Option<String>>, usize> = HashMap::new();
    let mut rows: Vec<SpendRow> = Vec::new();
    for row in parts.into_iter().flatten() {
        match places.get(&row.values).and_then(|place| rows.get_mut(*place)) {
            Some(found) => add(found, &row),
            None => {
                places.insert(row.values.clone(), rows.len());
                rows.push(row);
            }
        }
    }
    sort::sort_by(&mut rows, |one, other| {
        other.cost.cmp(&one.cost).then_with(|| one.values.cmp(&other.values))
    });
    rows.truncate(limit as usize);
    rows
}

fn add(found: &mut SpendRow, more: &SpendRow) {
    let SpendRow { values: _, requests, failed, unpriced, input, cached, output, cost } = more;
    found.requests += *requests;
    found.failed += *failed;
    found.unpriced += *unpriced;
    found.input += *input;
    found.cached += *cached;
    found.output += *output;
    found.cost += *cost;
}

/// The whole question as one statement. No request is newer than `newest`, so a day that ends after it is
/// a whole one.
pub(super) fn plan(query: &SpendQuery, newest: Time) -> Statement {
    let mut values = Vec::new();
    let mut parts = Vec::new();
    let spans = Spans::of(query, newest);
    if spans.days.from < spans.days.to {
        parts.push(days(query, spans.days, &mut values));
    }
    for end in spans.ends.into_iter().filter(|end| end.from < end.to) {
        parts.push(moments(query, end, &mut values));
    }
    if parts.is_empty() {
        // An empty span is nothing, not everything.
        parts.push(days(query, Span::default(), &mut values));
    }
    let dimensions: String = (0..query.by.len()).map(|place| format!("d{place}, ")).collect();
    let group: Vec<String> = (0..query.by.len()).map(|place| format!("d{place}")).collect();
    let group = if group.is_empty() { String::new() } else { format!(" GROUP BY {}", group.join(", ")) };
    values.push(u64::from(query.limit).into());
    let order: String = (0..query.by.len()).map(|place| format!(", d{place}")).collect();
    let parts = parts.join(" UNION ALL ");
    let text =
        format!("SELECT {dimensions}{SUMS} FROM ({parts}){group} ORDER BY total(cost) DESC{order} LIMIT ?");
    Statement { text, values }
}

/// From here to there, the latter outside.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Span {
    from: u64,
    to: u64,
}

/// A question's span in whole days, and what is left at its ends in milliseconds.
struct Spans {
    days: Span,
    ends: [Span; 2],
}

impl Spans {
    fn of(query: &SpendQuery, newest: Time) -> Self {
        let (from, mut to) = (query.from.0.min(1 << 52), query.to.0.min(1 << 52));
        if to > newest.0 {
            // Nothing comes after, so the last day may as well be whole.
            to = to.div_ceil(DAY).saturating_mul(DAY).max(from);
        }
        let days = Span { from: from.div_ceil(DAY), to: to / DAY };
        if days.from < days.to {
            let ends = [Span { from, to: days.from * DAY }, Span { from: days.to * DAY, to }];
            Self { days, ends }
        } else {
            Self { days: Span::default(), ends: [Span { from, to }, Span::default()] }
        }
    }
}

/// Whether a question tells requests apart by something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Told {
    Apart,
    Together,
}

fn told(query: &SpendQuery, dimension: Dimension) -> Told {
    let asked = query.by.contains(&dimension) || query.only.iter().any(|only| only.dimension == dimension);
    if asked { Told::Apart } else { Told::Together }
}

/// The facets that answer a question by (or only for some) tags, end users, both, none.
const fn facets(tags: Told, end_users: Told) -> &'static str {
    match (tags, end_users) {
        (Told::Together, Told::Together) => "0, 1, 2, 3",
        (Told::Apart, Told::Together) => "0, 2, 4, 5",
        (Told::Together, Told::Apart) => "0, 1, 6, 7",
        (Told::Apart, Told::Apart) => "0, 4, 6, 8",
    }
}

/// The dimensions that sums have an index for.
fn lead(only: &[Only]) -> Option<Dimension> {
    let indexed = |lead: &Dimension| !matches!(lead, Dimension::Model | Dimension::Provider);
    LEADS.into_iter().filter(indexed).find(|lead| only.iter().any(|only| only.dimension == *lead))
}

fn days(query: &SpendQuery, span: Span, values: &mut Vec<Value>) -> String {
    let columns = query.by.iter().enumerate().map(|(place, dimension)| {
        let value = match (dimension, column(*dimension)) {
            (_, Some(name)) => format!("nullif({name}, '')"),
            (Dimension::Day, None) => "date(day * 86400, 'unixepoch')".to_owned(),
            (_, None) => "nullif(tag, '')".to_owned(),
        };
        format!("{value} AS d{place}, ")
    });
    let columns: String = columns.collect();
    let facets = facets(told(query, Dimension::Tag), told(query, Dimension::EndUser));
    let mut conditions = vec![format!("facet IN ({facets}) AND day >= ? AND day < ?")];
    values.extend([span.from.into(), span.to.into()]);
    let index = match lead(&query.only) {
        None => String::new(),
        Some(dimension) => {
            let name = column(dimension).unwrap_or("tag");
            conditions.push(format!("{name} <> ''"));
            format!(" INDEXED BY spend_by_{name}")
        }
    };
    for dimension in dimensions(&query.only) {
        let wanted = wanted(&query.only, dimension);
        if dimension == Dimension::Day {
            let days: Vec<i64> = wanted.map(day_number).collect();
            conditions.push("day IN (SELECT value FROM json_each(?))".to_owned());
            values.push(Value::Text(serde_json::Value::from(days).to_string()));
        } else {
            let name = column(dimension).unwrap_or("tag");
            conditions.push(format!("{name} IN (SELECT value FROM json_each(?))"));
            values.push(list(wanted));
        }
    }
    let conditions = conditions.join(" AND ");
    format!(
        "SELECT {columns}requests, failed, unpriced, input, cached, output, cost FROM spend{index} WHERE {conditions}"
    )
}

fn moments(query: &SpendQuery, span: Span, values: &mut Vec<Value>) -> String {
    let columns = query.by.iter().enumerate().map(|(place, dimension)| {
        let value = match (dimension, column(*dimension)) {
            // In full: `json_each` has a column `key` too.
            (_, Some(name)) => format!("requests.{name}"),
            (Dimension::Day, None) => "date(at / 1000, 'unixepoch')".to_owned(),
            (_, None) => "mark.value".to_owned(),
        };
        format!("{value} AS d{place}, ")
    });
    let columns: String = columns.collect();
    let tags = match told(query, Dimension::Tag) {
        Told::Apart => " LEFT JOIN json_each(requests.tags) AS mark",
        Told::Together => "",
    };
    let mut conditions = vec!["at >= ? AND at < ?".to_owned()];
    values.extend([span.from.into(), span.to.into()]);
    let index = lead(&query.only).and_then(column).unwrap_or("at");
    if index != "at" {
        conditions.push(format!("requests.{index} IS NOT NULL"));
    }
    for dimension in dimensions(&query.only) {
        if dimension == Dimension::Tag {
            // Of a request's tags those that are asked for, each for itself.
            conditions.push("mark.value IN (SELECT value FROM json_each(?))".to_owned());
            values.push(list(wanted(&query.only, dimension)));
        } else {
            narrow(query.only.iter().filter(|only| only.dimension == dimension), &mut conditions, values);
        }
    }
    let conditions = conditions.join(" AND ");
    format!(
        "SELECT {columns}1 AS requests, failed, cost IS NULL AS unpriced, coalesce(input, 0) AS input, \
         coalesce(cached, 0) AS cached, coalesce(output, 0) AS output, coalesce(cost, 0) AS cost \
         FROM requests INDEXED BY requests_by_{index}{tags} WHERE {conditions}"
    )
}

fn dimensions(only: &[Only]) -> Vec<Dimension> {
    let mut dimensions: Vec<Dimension> = only.iter().map(|only| only.dimension).collect();
    sort::sort_by(&mut dimensions, Ord::cmp);
    dimensions.dedup();
    dimensions
}

fn wanted(only: &[Only], dimension: Dimension) -> impl Iterator<Item = &str> {
    only.iter().filter(move |only| only.dimension == dimension).map(|only| only.value.as_str())
}

/// The number of a day that is written `2026-11-21`; of what is no day one that never was.
pub(super) fn day_number(text: &str) -> i64 {
    const NEVER: i64 = -1;
    let numbers: Vec<i64> = text.split('-').filter_map(|part| part.parse().ok()).collect();
    let [year, month, day] = numbers.as_slice() else { return NEVER };
    if !(1970..=9999).contains(year) || !(1..=12).contains(month) || !(1..=31).contains(day) {
        return NEVER;
    }
    // Years begin in March here, so that the leap day is the last of them.
    let year = if *month <= 2 { year - 1 } else { *year };
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    year * 365 + year / 4 - year / 100 + year / 400 + day_of_year - 719_468
}
