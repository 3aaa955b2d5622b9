//! Requests one by one.

use super::Statement;
use super::spend::day_number;
use crate::sql::{LARGEST, Row as Line, Value};
use tollgate_core::api::{Dimension, Only, Outcome, RequestPlace, RequestQuery, RequestRow};
use tollgate_core::row::{Consumed, Row};
use tollgate_core::sort;
use tollgate_core::units::{Millis, NanoDollars, Time, Tokens};

/// Most rows of one answer.
const LARGEST_PAGE: u32 = 1000;

/// Rows that are dropped in one go.
pub(super) const BATCH: usize = 500;

/// In the order of [`line`]. The name of a row comes from its request's id, so that it is the same however
/// often it is told, and no other in any book.
pub(super) const INSERT: &str = "INSERT INTO requests (seq, id, at, organisation, team, user, key, end_user,
    tags, provider, model, asked, surface, status, fault, ending, failed, attempts, input, cached,
    cache_write, output, reasoning, basis, cost, cost_basis, first_byte, total, cache, guardrails)
    VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
    ON CONFLICT (seq) DO NOTHING";

pub(super) const PURGE: &str = "DELETE FROM requests WHERE seq IN (
    SELECT seq FROM requests INDEXED BY requests_by_at WHERE at < ? ORDER BY at LIMIT 500) RETURNING seq";

/// When the newest of them came.
pub(super) const NEWEST: &str = "SELECT at FROM requests INDEXED BY requests_by_at ORDER BY at DESC LIMIT 1";

const COLUMNS: &str =
    "requests.seq, id, requests.at, organisation, team, user, key, end_user, provider, model,
    asked, surface, status, fault, attempts, input, cached, cache_write, output, reasoning, basis, cost, total,
    cache, guardrails";

/// A request as it is stored: numbers, texts and nothing else.
pub fn line(row: &Row) -> Vec<Value> {
    let consumed =
        |part: fn(&Consumed) -> Tokens| Value::from(row.consumed.as_ref().map(|all| part(all).get()));
    let list = |texts: &[String]| {
        Value::from((!texts.is_empty()).then(|| serde_json::Value::from(texts).to_string()))
    };
    vec![
        Value::Integer(i64::try_from(row.id.0 >> 75).unwrap_or(LARGEST)),
        Value::Text(row.id.to_string()),
        row.at.0.into(),
        row.organisation.clone().into(),
        row.team.clone().into(),
        row.user.clone().into(),
        row.key.as_str().into(),
        row.end_user.clone().into(),
        list(&row.tags),
        row.provider.clone().into(),
        row.model.clone().into(),
        row.asked.as_str().into(),
        row.surface.as_str().into(),
        u64::from(row.status).into(),
        row.fault.clone().into(),
        row.ending.as_str().into(),
        u64::from(row.is_failed()).into(),
        u64::from(row.attempts).into(),
        consumed(|all| all.input),
        consumed(|all| all.cached),
        consumed(|all| all.cache_write),
        consumed(|all| all.output),
        row.consumed.and_then(|all| all.reasoning).map(Tokens::get).into(),
        row.basis.as_str().into(),
        row.cost.map(NanoDollars::get).into(),
        row.cost_basis.as_str().into(),
        row.first_byte.map(Millis::get).into(),
        row.total.get().into(),
        row.cache.as_str().into(),
        list(&row.guardrails),
    ]
}

pub(super) fn read(mut row: Line) -> RequestRow {
    let seq = row.number().unwrap_or_default();
    let id = row.text().unwrap_or_default();
    let at = Time(row.number().unwrap_or_default());
    let [organisation, team, user, key, end_user, provider, model] = std::array::from_fn(|_| row.text());
    let (asked, surface) = (row.text().unwrap_or_default(), row.text().unwrap_or_default());
    let status = row.number().and_then(|status| u16::try_from(status).ok()).unwrap_or_default();
    let fault = row.text();
    let attempts = row.number().and_then(|attempts| u32::try_from(attempts).ok()).unwrap_or_default();
    let [input, cached, cache_write, output] =
        std::array::from_fn(|_| Tokens(row.number().unwrap_or_default()));
    let reasoning = row.number().map(Tokens);
    let basis = row.text().unwrap_or_default();
    let cost = row.number().map(NanoDollars);
    let total = Millis(row.number().unwrap_or_default());
    let cache = row.text().unwrap_or_default();
    let guardrails = row.text().and_then(|list| serde_json::from_str(&list).ok()).unwrap_or_default();
    let place = RequestPlace { at, seq };
    RequestRow {
        place,
        id,
        at,
        surface,
        key,
        team,
        user,
        organisation,
        end_user,
        asked,
        provider,
        model,
        attempts,
        status,
        fault,
        total,
        input,
        cached,
        cache_write,
        output,
        reasoning,
        basis,
        cost,
        cache,
        guardrails,
    }
}

/// Rows from several statements or books as one page.
pub(super) fn page(mut rows: Vec<RequestRow>, limit: u32) -> Vec<RequestRow> {
    sort::sort_by_key(&mut rows, |row| std::cmp::Reverse(row.place));
    rows.dedup_by_key(|row| row.place);
    rows.truncate(limit.min(LARGEST_PAGE) as usize);
    rows
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

/// The column of a dimension, where it is one.
pub(super) const fn column(dimension: Dimension) -> Option<&'static str> {
    match dimension {
        Dimension::Organisation => Some("organisation"),
        Dimension::Team => Some("team"),
        Dimension::User => Some("user"),
        Dimension::Key => Some("key"),
        Dimension::EndUser => Some("end_user"),
        Dimension::Model => Some("model"),
        Dimension::Provider => Some("provider"),
        Dimension::Tag | Dimension::Day => None,
    }
}

/// One statement for each value of the leading dimension, so that each reads its index in the order of
/// the answer and stops when the page is full.
pub(super) fn plans(query: &RequestQuery) -> Vec<Statement> {
    let lead = LEADS.into_iter().find(|lead| query.only.iter().any(|only| only.dimension == *lead));
    let Some(lead) = lead else { return vec![plan(query, None)] };
    let values = query.only.iter().filter(|only| only.dimension == lead);
    values.map(|only| plan(query, Some(only))).collect()
}

fn plan(query: &RequestQuery, lead: Option<&Only>) -> Statement {
    let mut values = Vec::new();
    let mut conditions = Vec::new();
    let (mut from, mut table) = ("requests", "requests INDEXED BY requests_by_at".to_owned());
    match lead.map(|only| (column(only.dimension), &only.value)) {
        None if query.outcome == Outcome::Failed => {
            table = "requests INDEXED BY requests_by_failed".to_owned()
        }
        None => {}
        Some((Some(name), value)) => {
            table = format!("requests INDEXED BY requests_by_{name}");
            conditions.push(format!("{name} = ?"));
            values.push(value.as_str().into());
        }
        Some((None, value)) => {
            (from, table) = ("mark", "request_tags AS mark CROSS JOIN requests USING (seq)".to_owned());
            conditions.push("mark.tag = ?".to_owned());
            values.push(value.as_str().into());
        }
    }
    conditions.push(format!("{from}.at >= ? AND {from}.at < ?"));
    values.extend([query.from.0.into(), query.to.0.into()]);
    if query.outcome == Outcome::Failed {
        conditions.push("failed = 1".to_owned());
    }
    if let Some(place) = query.after {
        conditions.push(format!("({from}.at, {from}.seq) < (?, ?)"));
        values.extend([place.at.0.into(), place.seq.into()]);
    }
    let others = query.only.iter().filter(|only| lead.is_none_or(|lead| only.dimension != lead.dimension));
    narrow(others, &mut conditions, &mut values);
    values.push(u64::from(query.limit.min(LARGEST_PAGE)).into());
    let conditions = conditions.join(" AND ");
    let text = format!(
        "SELECT {COLUMNS} FROM {table} WHERE {conditions} ORDER BY {from}.at DESC, {from}.seq DESC LIMIT ?"
    );
    Statement { text, values }
}

/// Adds a condition for each dimension that has values: any of them. One parameter each, however many
/// there are.
pub(super) fn narrow<'a>(
    only: impl Iterator<Item = &'a Only> + Clone,
    conditions: &mut Vec<String>,
    values: &mut Vec<Value>,
) {
    let mut dimensions: Vec<Dimension> = only.clone().map(|only| only.dimension).collect();
    sort::sort_by(&mut dimensions, Ord::cmp);
    dimensions.dedup();
    for dimension in dimensions {
        let wanted = only.clone().filter(|only| only.dimension == dimension).map(|only| only.value.as_str());
        match (dimension, column(dimension)) {
            (Dimension::Day, _) => {
                let days = wanted.map(day_number);
                conditions.push("requests.at / 86400000 IN (SELECT value FROM json_each(?))".to_owned());
                values.push(Value::Text(serde_json::Value::from(days.collect::<Vec<_>>()).to_string()));
            }
            (_, Some(name)) => {
                conditions.push(format!("requests.{name} IN (SELECT value FROM json_each(?))"));
                values.push(list(wanted));
            }
            (_, None) => {
                conditions.push(
                    "EXISTS (SELECT 1 FROM json_each(requests.tags) AS tag, json_each(?) AS wanted
                        WHERE tag.value = wanted.value)"
                        .to_owned(),
                );
                values.push(list(wanted));
            }
        }
    }
}

/// Several texts as one parameter.
pub(super) fn list<'a>(texts: impl Iterator<Item = &'a str>) -> Value {
    Value::Text(serde_json::Value::from(texts.collect::<Vec<_>>()).to_string())
}
