//! What was spent on a day, and its latest requests, as one value of the key-value store.
//!
//! Sums are by the hour, for each combination of what spend is told apart by. A span that begins or ends
//! within an hour is answered with all of that hour.

use serde_json::{Value as Json, json};
use std::collections::BTreeMap;
use tollgate_core::api::{
    Dimension, Only, Outcome, RequestPlace, RequestQuery, RequestRow, SpendQuery, SpendRow,
};
use tollgate_core::row::Row;
use tollgate_core::units::{Millis, NanoDollars, Requests, Time, Tokens};

/// Milliseconds of an hour.
const HOUR: u64 = 3600 * 1000;

/// Milliseconds of a day, which begins at midnight UTC.
pub(super) const DAY: u64 = 24 * HOUR;

/// Requests that are kept one by one.
pub(super) const LATEST: usize = 100;

/// A part of a day.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Day {
    sums: BTreeMap<String, Sum>,
    /// The oldest first.
    latest: Vec<Kept>,
}

/// Requests, failed ones, those without a price, input, cached, output, cost.
type Sum = [u64; 7];

/// What spend is told apart by: the hour, then organisation, team, user, key, end user, model, provider, tags.
type Facets = (u64, [Option<String>; 7], Vec<String>);

/// One request.
#[derive(Clone, Debug, PartialEq)]
struct Kept {
    row: RequestRow,
    tags: Vec<String>,
    failed: bool,
}

/// Whether a request was added.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Added {
    /// It is in it now.
    Now,
    /// It was before.
    Before,
}

impl Day {
    /// Reads a value; none where it is none.
    pub(super) fn read(value: &[u8]) -> Option<Self> {
        let mut json: Json = serde_json::from_slice(value).ok()?;
        let sums = serde_json::from_value(json.get_mut("sums")?.take()).ok()?;
        let latest = json.get("latest")?.as_array()?.iter().map(Kept::read).collect::<Option<_>>()?;
        Some(Self { sums, latest })
    }

    /// As a value of so many bytes at most: single requests are given up first, then end users are told
    /// apart no more.
    pub(super) fn written(&mut self, most: usize) -> Vec<u8> {
        let value = self.text();
        if value.len() <= most {
            return value;
        }
        self.latest.clear();
        let value = self.text();
        if value.len() <= most {
            return value;
        }
        for (name, sum) in std::mem::take(&mut self.sums) {
            let Ok((hour, mut facets, tags)) = serde_json::from_str::<Facets>(&name) else { continue };
            if let Some(end_user) = facets.get_mut(4) {
                *end_user = None;
            }
            self.sum((hour, facets, tags), sum);
        }
        self.text()
    }

    fn text(&self) -> Vec<u8> {
        let latest: Vec<Json> = self.latest.iter().map(Kept::written).collect();
        json!({ "sums": self.sums, "latest": latest }).to_string().into_bytes()
    }

    /// Adds a request; the same one twice is one, as long as it is among the latest.
    pub(super) fn add(&mut self, row: &Row) -> Added {
        let seq = u64::try_from(row.id.0 >> 75).unwrap_or(u64::MAX);
        let shown = row.clone().shown(RequestPlace { at: row.at, seq });
        if self.latest.iter().any(|known| known.row.id == shown.id) {
            return Added::Before;
        }
        let failed = row.is_failed();
        let sum = [
            1,
            u64::from(failed),
            u64::from(shown.cost.is_none()),
            shown.input.get(),
            shown.cached.get(),
            shown.output.get(),
            shown.cost.map_or(0, NanoDollars::get),
        ];
        self.sum((row.at.0 / HOUR, facets(&shown), row.tags.clone()), sum);
        self.latest.push(Kept { row: shown, tags: row.tags.clone(), failed });
        if self.latest.len() > LATEST {
            self.latest.remove(0);
        }
        Added::Now
    }

    fn sum(&mut self, facets: Facets, more: Sum) {
        let sum = self.sums.entry(json!(facets).to_string()).or_default();
        sum.iter_mut().zip(more).for_each(|(sum, more)| *sum = sum.saturating_add(more));
    }

    /// What was spent in a question's span. Like rows are not added up yet.
    pub(super) fn spend(&self, query: &SpendQuery) -> Vec<SpendRow> {
        let mut rows = Vec::new();
        for (name, sum) in &self.sums {
            let Ok((hour, facets, tags)) = serde_json::from_str::<Facets>(name) else { continue };
            let at = hour * HOUR;
            if at + HOUR <= query.from.0 || at >= query.to.0 || !matches(&query.only, at, &facets, &tags) {
                continue;
            }
            for tag in told_apart(query, &tags) {
                let value = |dimension: &Dimension| match (dimension, place(*dimension)) {
                    (_, Some(place)) => facets.get(place).cloned().flatten(),
                    (Dimension::Day, None) => Some(date(at)),
                    (_, None) => tag.clone(),
                };
                rows.push(spent(query.by.iter().map(value).collect(), sum));
            }
        }
        rows
    }

    /// Requests that a question asks for, in no order.
    pub(super) fn requests(&self, query: &RequestQuery) -> Vec<RequestRow> {
        let wanted = self.latest.iter().filter(|Kept { row, tags, failed }| {
            (query.from..query.to).contains(&row.at)
                && (query.outcome == Outcome::Any || *failed)
                && query.after.is_none_or(|after| row.place < after)
                && matches(&query.only, row.at.0, &facets(row), tags)
        });
        wanted.map(|kept| kept.row.clone()).collect()
    }
}

fn facets(row: &RequestRow) -> [Option<String>; 7] {
    let RequestRow { organisation, team, user, key, end_user, model, provider, .. } = row;
    [organisation, team, user, key, end_user, model, provider].map(Clone::clone)
}

const fn place(dimension: Dimension) -> Option<usize> {
    match dimension {
        Dimension::Organisation => Some(0),
        Dimension::Team => Some(1),
        Dimension::User => Some(2),
        Dimension::Key => Some(3),
        Dimension::EndUser => Some(4),
        Dimension::Model => Some(5),
        Dimension::Provider => Some(6),
        Dimension::Tag | Dimension::Day => None,
    }
}

/// Whether it is one of those that are asked for: of each dimension any.
fn matches(only: &[Only], at: u64, facets: &[Option<String>; 7], tags: &[String]) -> bool {
    let is = |one: &Only| match (one.dimension, place(one.dimension)) {
        (_, Some(place)) => facets.get(place).and_then(Option::as_ref) == Some(&one.value),
        (Dimension::Day, None) => date(at) == one.value,
        (_, None) => tags.contains(&one.value),
    };
    only.iter().all(|one| only.iter().filter(|other| other.dimension == one.dimension).any(is))
}

/// A request counts once for each of its tags where these are told apart.
fn told_apart(query: &SpendQuery, tags: &[String]) -> Vec<Option<String>> {
    let wanted: Vec<&str> = query
        .only
        .iter()
        .filter(|one| one.dimension == Dimension::Tag)
        .map(|one| one.value.as_str())
        .collect();
    if !query.by.contains(&Dimension::Tag) && wanted.is_empty() || tags.is_empty() {
        return vec![None];
    }
    let asked = tags.iter().filter(|tag| wanted.is_empty() || wanted.contains(&tag.as_str()));
    asked.cloned().map(Some).collect()
}

fn spent(values: Vec<Option<String>>, sum: &Sum) -> SpendRow {
    let [requests, failed, unpriced, input, cached, output, cost] = *sum;
    SpendRow {
        values,
        requests: Requests(requests),
        failed: Requests(failed),
        unpriced: Requests(unpriced),
        input: Tokens(input),
        cached: Tokens(cached),
        output: Tokens(output),
        cost: NanoDollars(cost),
    }
}

/// A day as `2026-11-21`.
fn date(at: u64) -> String {
    tollgate_core::limit::calendar::written(Time(at)).chars().take(10).collect()
}

/// A request as it is written.
type Written =
    ([u64; 5], [u64; 4], Option<u64>, [String; 5], [Option<String>; 8], Option<u64>, Vec<String>, bool);

impl Kept {
    fn written(&self) -> Json {
        let Self { row, tags, failed } = self;
        let RequestRow { place, id, at, surface, key, team, user, organisation, end_user, .. } = row;
        let RequestRow { asked, provider, model, attempts, status, fault, total, .. } = row;
        let RequestRow { input, cached, cache_write, output, reasoning, basis, cost, cache, .. } = row;
        let guardrails = &row.guardrails;
        json!([
            [place.seq, at.0, total.get(), u64::from(*attempts), u64::from(*status)],
            [input.get(), cached.get(), cache_write.get(), output.get()],
            reasoning.map(Tokens::get),
            [id, surface, asked, basis, cache],
            [key, team, user, organisation, end_user, provider, model, fault],
            cost.map(NanoDollars::get),
            tags,
            failed,
            guardrails
        ])
    }

    fn read(json: &Json) -> Option<Self> {
        let (numbers, tokens, reasoning, texts, names, cost, tags, failed): Written =
            serde_json::from_value(Json::from(json.as_array()?.get(..8)?)).ok()?;
        // An older program has written none.
        let guardrails = json.get(8).and_then(|list| serde_json::from_value(list.clone()).ok());
        let [seq, at, total, attempts, status] = numbers;
        let [input, cached, cache_write, output] = tokens;
        let [id, surface, asked, basis, cache] = texts;
        let [key, team, user, organisation, end_user, provider, model, fault] = names;
        let row = RequestRow {
            place: RequestPlace { at: Time(at), seq },
            id,
            at: Time(at),
            surface,
            key,
            team,
            user,
            organisation,
            end_user,
            asked,
            provider,
            model,
            attempts: u32::try_from(attempts).ok()?,
            status: u16::try_from(status).ok()?,
            fault,
            total: Millis(total),
            input: Tokens(input),
            cached: Tokens(cached),
            cache_write: Tokens(cache_write),
            output: Tokens(output),
            reasoning: reasoning.map(Tokens),
            basis,
            cost: cost.map(NanoDollars),
            cache,
            guardrails: guardrails.unwrap_or_default(),
        };
        Some(Self { row, tags, failed })
    }
}

#[cfg(test)]
mod tests;
