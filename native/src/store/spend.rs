//! What was spent, added up in the store: whole days from the roll-ups, the ragged ends from the
//! requests themselves.
//!
//! ```text
//!   from          midnight                      midnight         to
//!    ├─ requests ────┼────────── roll-ups ──────────┼─ requests ─┤
//! ```
//! By tag, a request with two counts for both; so it does where several tags are asked for together.
//!
//! Of what other gateways have spent whole days are known, and nothing of the ragged ends.

use super::requests::{LEADS, Sql, narrow};
use super::rollup::{DAY, Told, facets};
use super::row::{column, int, uint};
use super::runs::SPAN;
use rusqlite::types::Value;
use rusqlite::{Connection, params_from_iter};
use tollgate_core::api::{Dimension, Only, SpendQuery, SpendRow};
use tollgate_core::units::{NanoDollars, Requests, Time, Tokens};

/// A span that ends so shortly before now is asked for up to now.
const NOW: u64 = 60_000;

/// Whose spend is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Whose {
    /// What went through this gateway.
    Own,
    /// What others have told besides, by now.
    All(Time),
}

/// What was spent here and elsewhere.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Spent {
    /// The dearest first.
    pub rows: Vec<SpendRow>,
    /// How the span cuts others' days.
    pub days: OthersDays,
}

/// Whether the span holds all of each day on which others have spent what was asked for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum OthersDays {
    /// It does.
    #[default]
    Whole,
    /// Of some day it holds a part, and what others have spent on that day is left out.
    Cut,
}

/// Adds up what was spent here and elsewhere.
pub(super) fn of_all(
    connection: &Connection,
    query: &SpendQuery,
    newest: Time,
    now: Time,
) -> Result<Spent, rusqlite::Error> {
    let mut days = OthersDays::Whole;
    for cut in Spans::elsewhere(query, now).cut() {
        let mut values = Vec::new();
        let part = self::days(query, (cut, cut + 1), "elsewhere", &mut values);
        let mut statement = connection.prepare_cached(&part)?;
        if statement.exists(params_from_iter(values))? {
            days = OthersDays::Cut;
        }
    }
    Ok(Spent { rows: spend(connection, query, newest, Whose::All(now))?, days })
}

/// Adds up. No request of this gateway is newer than `newest`, so a day that ends after it is a whole one.
pub(super) fn spend(
    connection: &Connection,
    query: &SpendQuery,
    newest: Time,
    whose: Whose,
) -> Result<Vec<SpendRow>, rusqlite::Error> {
    let Sql { text, values } = plan(query, newest, whose);
    let mut statement = connection.prepare_cached(&text)?;
    let dimensions = query.by.len();
    let rows = statement.query_map(params_from_iter(values), |row| {
        let number = |place: usize| Ok::<_, rusqlite::Error>(uint(row.get(dimensions + place)?));
        let wide = |place: usize| Ok::<_, rusqlite::Error>(joined(number(place)?, number(place + 1)?));
        Ok(SpendRow {
            values: (0..dimensions).map(|place| row.get(place)).collect::<Result<_, _>>()?,
            requests: Requests(number(0)?),
            failed: Requests(number(1)?),
            unpriced: Requests(number(2)?),
            input: Tokens(wide(3)?),
            cached: Tokens(wide(5)?),
            output: Tokens(wide(7)?),
            cost: NanoDollars(wide(9)?),
        })
    })?;
    rows.collect()
}

/// Large amounts are added in two halves, so that no sum is beyond what SQLite can add.
fn joined(high: u64, low: u64) -> u64 {
    let sum = (u128::from(high) << 32) + u128::from(low);
    u64::try_from(sum).unwrap_or(u64::MAX)
}

const SUMS: &str = "coalesce(sum(requests), 0), coalesce(sum(failed), 0), coalesce(sum(unpriced), 0), \
    coalesce(sum(input >> 32), 0), coalesce(sum(input & 4294967295), 0), \
    coalesce(sum(cached >> 32), 0), coalesce(sum(cached & 4294967295), 0), \
    coalesce(sum(output >> 32), 0), coalesce(sum(output & 4294967295), 0), \
    coalesce(sum(cost >> 32), 0), coalesce(sum(cost & 4294967295), 0)";

/// The whole question as one statement.
pub(super) fn plan(query: &SpendQuery, newest: Time, whose: Whose) -> Sql {
    let mut values = Vec::new();
    let mut parts = Vec::new();
    let spans = Spans::of(query, newest);
    if spans.days.0 < spans.days.1 {
        parts.push(days(query, spans.days, "spend", &mut values));
    }
    if let Whose::All(now) = whose {
        let spans = Spans::elsewhere(query, now);
        if spans.days.0 < spans.days.1 {
            parts.push(days(query, spans.days, "elsewhere", &mut values));
        }
    }
    for (from, to) in spans.ends.into_iter().filter(|(from, to)| from < to) {
        parts.push(moments(query, from, to, &mut values));
    }
    if parts.is_empty() {
        // An empty span is nothing, not everything.
        parts.push(days(query, (0, 0), "spend", &mut values));
    }
    let dimensions: String = (0..query.by.len()).map(|place| format!("d{place}, ")).collect();
    let group: Vec<String> = (0..query.by.len()).map(|place| format!("d{place}")).collect();
    let group = if group.is_empty() { String::new() } else { format!(" GROUP BY {}", group.join(", ")) };
    values.push(Value::Integer(i64::from(query.limit)));
    let order: String = (0..query.by.len()).map(|place| format!(", d{place}")).collect();
    Sql {
        text: format!(
            "SELECT {dimensions}{SUMS} FROM ({}){group} ORDER BY total(cost) DESC{order} LIMIT ?",
            parts.join(" UNION ALL ")
        ),
        values,
    }
}

/// A question's span in whole days and what is left at its ends, in milliseconds.
struct Spans {
    days: (u64, u64),
    ends: [(u64, u64); 2],
}

impl Spans {
    fn of(query: &SpendQuery, newest: Time) -> Self {
        let (from, mut to) = (uint(int(query.from.0)), uint(int(query.to.0)));
        if to > newest.0 {
            // Nothing comes after, so the last day may as well be whole.
            to = (newest.0 / DAY + 1).saturating_mul(DAY).max(from);
        }
        let days = (from.div_ceil(DAY), to / DAY);
        if days.0 < days.1 {
            Self { days, ends: [(from, days.0 * DAY), (days.1 * DAY, to)] }
        } else {
            Self { days: (0, 0), ends: [(from, to), (0, 0)] }
        }
    }

    /// The same for what others have spent: of a span up to now the last day is whole.
    fn elsewhere(query: &SpendQuery, now: Time) -> Self {
        let is_now = query.to.0.saturating_add(NOW) >= now.0;
        Self::of(query, if is_now { Time(query.to.0.saturating_sub(1)) } else { Time(u64::MAX) })
    }

    /// The days at its ends of which it holds a part.
    fn cut(&self) -> Vec<u64> {
        let mut days: Vec<u64> = Vec::new();
        for (from, to) in self.ends.into_iter().filter(|(from, to)| from < to) {
            days.extend([from / DAY, (to - 1) / DAY]);
        }
        days.dedup();
        days
    }
}

fn told(query: &SpendQuery, dimension: Dimension) -> Told {
    let asked = query.by.contains(&dimension) || query.only.iter().any(|only| only.dimension == dimension);
    if asked { Told::Apart } else { Told::Together }
}

fn lead(only: &[Only]) -> Option<Dimension> {
    LEADS.into_iter().find(|lead| only.iter().any(|only| only.dimension == *lead))
}

/// Whole days of `spend`, or of `elsewhere`.
fn days(query: &SpendQuery, (from, to): (u64, u64), table: &str, values: &mut Vec<Value>) -> String {
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
    values.extend([Value::Integer(int(from)), Value::Integer(int(to))]);
    let index = match lead(&query.only) {
        None => String::new(),
        Some(dimension) => {
            let name = column(dimension).unwrap_or("tag");
            conditions.push(format!("{name} <> ''"));
            format!(" INDEXED BY {table}_by_{name}")
        }
    };
    for (dimension, wanted) in by_dimension(&query.only) {
        let places = vec!["?"; wanted.len()].join(", ");
        if dimension == Dimension::Day {
            values.extend(wanted.iter().map(|value| Value::Integer(day_range(value).0 / int(DAY))));
            conditions.push(format!("day IN ({places})"));
        } else {
            values.extend(wanted.iter().map(|value| Value::Text((*value).to_owned())));
            conditions.push(format!("{} IN ({places})", column(dimension).unwrap_or("tag")));
        }
    }
    format!(
        "SELECT {columns}requests, failed, unpriced, input, cached, output, cost FROM {table}{index} WHERE {}",
        conditions.join(" AND ")
    )
}

fn moments(query: &SpendQuery, from: u64, to: u64, values: &mut Vec<Value>) -> String {
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
    let mut conditions = Vec::new();
    let lead = lead(&query.only).and_then(|lead| column(lead).map(|name| (lead, name)));
    let table = match lead {
        None => "requests INDEXED BY requests_by_at".to_owned(),
        Some((dimension, name)) => {
            let these = query.only.iter().filter(|only| only.dimension == dimension);
            let wanted: Vec<Value> = these.map(|only| Value::Text(only.value.clone())).collect();
            let places = vec!["?"; wanted.len()].join(", ");
            conditions.push(format!(
                "runs.mark IN (SELECT mark FROM marks WHERE dimension = '{name}' AND value IN ({places})) \
                 AND runs.span >= ? AND runs.span <= ?"
            ));
            values.extend(wanted);
            values.extend([Value::Integer(int(from / SPAN)), Value::Integer(int(to / SPAN))]);
            // From left to right: each run, each of its entries, the request that it names.
            format!(
                "runs CROSS JOIN json_each(runs.entries) AS entry \
                 CROSS JOIN requests ON requests.seq = runs.base + entry.value / {SPAN}"
            )
        }
    };
    conditions.push("at >= ? AND at < ?".to_owned());
    values.extend([Value::Integer(int(from)), Value::Integer(int(to))]);
    for (dimension, wanted) in by_dimension(&query.only) {
        if dimension == Dimension::Tag {
            // Of a request's tags those that are asked for, each for itself.
            values.extend(wanted.iter().map(|value| Value::Text((*value).to_owned())));
            conditions.push(format!("mark.value IN ({})", vec!["?"; wanted.len()].join(", ")));
        } else {
            let these = query.only.iter().filter(|only| only.dimension == dimension);
            narrow(these, "requests.tags", "at", &mut conditions, values);
        }
    }
    format!(
        "SELECT {columns}1 AS requests, failed, cost IS NULL AS unpriced, coalesce(input, 0) AS input, \
         coalesce(cached, 0) AS cached, coalesce(output, 0) AS output, coalesce(cost, 0) AS cost FROM {table}{tags} WHERE {}",
        conditions.join(" AND ")
    )
}

fn by_dimension(only: &[Only]) -> Vec<(Dimension, Vec<&str>)> {
    let mut dimensions: Vec<Dimension> = only.iter().map(|only| only.dimension).collect();
    dimensions.sort_unstable();
    dimensions.dedup();
    let values = |dimension| {
        only.iter().filter(|only| only.dimension == dimension).map(|only| only.value.as_str()).collect()
    };
    dimensions.into_iter().map(|dimension| (dimension, values(dimension))).collect()
}

/// The milliseconds of a day that is written `2026-11-21`; none of what is no day.
pub(super) fn day_range(text: &str) -> (i64, i64) {
    let numbers: Vec<i64> = text.split('-').filter_map(|part| part.parse().ok()).collect();
    let [year, month, day] = numbers.as_slice() else { return (-1, -1) };
    if !(1970..=9999).contains(year) || !(1..=12).contains(month) || !(1..=31).contains(day) {
        return (-1, -1);
    }
    // Years begin in March here, so that the leap day is the last of them.
    let year = if *month <= 2 { year - 1 } else { *year };
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    let days = year * 365 + year / 4 - year / 100 + year / 400 + day_of_year - 719_468;
    let from = days * int(DAY);
    (from, from + int(DAY))
}
