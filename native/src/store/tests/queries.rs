//! What is asked is what was written, and no question reads all of a table.

use super::super::backfill::Way;
use super::super::requests::{self, One, Outcome, Place, Plan, Purge, Sql};
use super::super::row::{Consumed, int};
use super::super::spend::Whose;
use super::super::{audit, backfill, runs, spend};
use super::*;
use rusqlite::params_from_iter;
use rusqlite::types::Value;
use std::collections::BTreeMap;
use tollgate_core::api::{Dimension, Only};
use tollgate_core::units::{Millis, NanoDollars, Requests, Tokens};

const DAY: u64 = 86_400_000;
const MIDNIGHT: u64 = 20_000 * DAY;

const DIMENSIONS: [Dimension; 9] = [
    Dimension::Organisation,
    Dimension::Team,
    Dimension::User,
    Dimension::Key,
    Dimension::EndUser,
    Dimension::Model,
    Dimension::Provider,
    Dimension::Tag,
    Dimension::Day,
];

/// One of many that differ in everything, the same for the same number.
pub(crate) fn row(number: u128) -> Row {
    let pick = |salt: u128, most: u128| {
        (number.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(salt * 97) >> 7) % most
    };
    let some = |salt, names: &[&str]| {
        names.get(pick(salt, names.len() as u128 + 1) as usize).map(|name| (*name).to_owned())
    };
    let provider = some(1, &["openai", "azure"]);
    let tags = ["batch", "night", "eu"].iter().enumerate();
    Row {
        id: RequestId(number),
        at: Time(MIDNIGHT + pick(2, u128::from(4 * DAY)) as u64),
        organisation: some(3, &["acme"]),
        team: some(4, &["search", "ads"]),
        user: some(5, &["ann", "bob"]),
        key: some(6, &["ci", "web"]).unwrap_or_else(|| "cron".to_owned()),
        end_user: some(7, &["77", "78"]),
        tags: tags
            .filter(|(place, _)| pick(8 + *place as u128, 3) == 0)
            .map(|(_, tag)| (*tag).to_owned())
            .collect(),
        model: provider.as_ref().map(|provider| format!("{provider}/gpt-{}", pick(20, 2))),
        provider,
        asked: "chat".to_owned(),
        surface: "openai.chat".to_owned(),
        status: if pick(21, 4) == 0 { 502 } else { 200 },
        fault: None,
        ending: "complete".to_owned(),
        attempts: 1,
        consumed: (pick(22, 5) > 0).then(|| Consumed {
            input: Tokens(pick(23, 1000) as u64),
            cached: Tokens(7),
            cache_write: Tokens(3),
            output: Tokens(pick(24, 5_000_000_000) as u64),
            reasoning: Some(Tokens(2)),
        }),
        basis: "reported".to_owned(),
        cost: (pick(25, 6) > 0).then(|| NanoDollars(pick(26, 1 << 40) as u64)),
        cost_basis: "computed".to_owned(),
        first_byte: Some(Millis(12)),
        total: Millis(34),
        cache: ["off", "miss", "hit"][pick(27, 3) as usize].to_owned(),
        guardrails: Vec::new(),
    }
}

pub(crate) fn everything() -> SpendQuery {
    SpendQuery { from: Time(0), to: Time::NEVER, by: Vec::new(), only: Vec::new(), limit: 10_000 }
}

fn only(dimension: Dimension, value: &str) -> Only {
    Only { dimension, value: value.to_owned() }
}

fn day(at: Time) -> String {
    format!("2024-10-{:02}", 4 + (at.0 - MIDNIGHT) / DAY)
}

/// The values of a request in a dimension.
pub(super) fn values(row: &Row, dimension: Dimension) -> Vec<Option<String>> {
    match dimension {
        Dimension::Organisation => vec![row.organisation.clone()],
        Dimension::Team => vec![row.team.clone()],
        Dimension::User => vec![row.user.clone()],
        Dimension::Key => vec![Some(row.key.clone())],
        Dimension::EndUser => vec![row.end_user.clone()],
        Dimension::Model => vec![row.model.clone()],
        Dimension::Provider => vec![row.provider.clone()],
        Dimension::Day => vec![Some(day(row.at))],
        Dimension::Tag if row.tags.is_empty() => vec![None],
        Dimension::Tag => row.tags.iter().cloned().map(Some).collect(),
    }
}

fn is_wanted(value: Option<&String>, dimension: Dimension, only: &[Only]) -> bool {
    let mut these = only.iter().filter(|only| only.dimension == dimension).peekable();
    these.peek().is_none() || these.any(|only| Some(&only.value) == value)
}

/// The answer, worked out one request at a time.
fn expected(rows: &[Row], query: &SpendQuery) -> BTreeMap<Vec<Option<String>>, SpendRow> {
    let mut sums: BTreeMap<Vec<Option<String>>, SpendRow> = BTreeMap::new();
    for row in rows.iter().filter(|row| row.at >= query.from && row.at < query.to) {
        let plain = DIMENSIONS.into_iter().filter(|dimension| *dimension != Dimension::Tag);
        let mut others =
            plain.map(|dimension| is_wanted(values(row, dimension)[0].as_ref(), dimension, &query.only));
        if !others.all(|wanted| wanted) {
            continue;
        }
        let by_tag = query.by.contains(&Dimension::Tag)
            || query.only.iter().any(|one| one.dimension == Dimension::Tag);
        let tags = if by_tag { values(row, Dimension::Tag) } else { vec![None] };
        for tag in tags.iter().filter(|tag| !by_tag || is_wanted(tag.as_ref(), Dimension::Tag, &query.only)) {
            let place = query.by.iter().map(|dimension| {
                if *dimension == Dimension::Tag { tag.clone() } else { values(row, *dimension)[0].clone() }
            });
            let place: Vec<_> = place.collect();
            let sum = sums
                .entry(place.clone())
                .or_insert_with(|| SpendRow { values: place, ..SpendRow::default() });
            let consumed = row.consumed.unwrap_or_default();
            sum.requests += Requests(1);
            sum.failed += Requests(u64::from(row.is_failed()));
            sum.unpriced += Requests(u64::from(row.cost.is_none()));
            sum.input += consumed.input;
            sum.cached += consumed.cached;
            sum.output += consumed.output;
            sum.cost += row.cost.unwrap_or_default();
        }
    }
    if query.by.is_empty() {
        sums.entry(Vec::new()).or_default();
    }
    sums
}

/// Spans with and without ragged ends, within a day, and empty ones.
fn spans() -> Vec<(Time, Time)> {
    let noon = DAY / 2;
    [(0, u64::MAX), (MIDNIGHT, MIDNIGHT + 2 * DAY), (MIDNIGHT + noon, MIDNIGHT + 3 * DAY + noon)]
        .into_iter()
        .chain([(MIDNIGHT + noon, MIDNIGHT + noon + 3_600_000), (MIDNIGHT + noon, MIDNIGHT + DAY + noon)])
        .chain([(MIDNIGHT + 1, MIDNIGHT + 1), (MIDNIGHT + 9 * DAY, MIDNIGHT + 8 * DAY)])
        .map(|(from, to)| (Time(from), Time(to)))
        .collect()
}

pub(super) fn filters() -> Vec<Vec<Only>> {
    let both =
        vec![only(Dimension::Team, "search"), only(Dimension::Team, "ads"), only(Dimension::Key, "ci")];
    let day = vec![only(Dimension::Day, "2024-10-05"), only(Dimension::User, "ann")];
    let pair = vec![only(Dimension::Tag, "eu"), only(Dimension::EndUser, "77")];
    let nobody = vec![only(Dimension::Key, "nobody")];
    let no_day = vec![only(Dimension::Day, "yesterday")];
    let single = [
        (Dimension::Organisation, "acme"),
        (Dimension::Team, "ads"),
        (Dimension::User, "bob"),
        (Dimension::Key, "web"),
        (Dimension::EndUser, "78"),
        (Dimension::Model, "openai/gpt-1"),
        (Dimension::Provider, "azure"),
        (Dimension::Tag, "night"),
        (Dimension::Day, "2024-10-04"),
    ];
    let single = single.into_iter().map(|(dimension, value)| vec![only(dimension, value)]);
    [Vec::new(), both, day, pair, nobody, no_day].into_iter().chain(single).collect()
}

pub(super) fn spend_queries() -> Vec<SpendQuery> {
    let mut by: Vec<Vec<Dimension>> = DIMENSIONS.into_iter().map(|dimension| vec![dimension]).collect();
    by.push(Vec::new());
    by.push(vec![Dimension::Tag, Dimension::EndUser, Dimension::Day]);
    by.push(vec![Dimension::Day, Dimension::Team]);
    let mut queries = Vec::new();
    for by in by {
        for only in filters() {
            for (from, to) in spans() {
                queries.push(SpendQuery { from, to, by: by.clone(), only: only.clone(), limit: 10_000 });
            }
        }
    }
    queries
}

#[tokio::test]
async fn f3_spend_by_anything_over_any_span_is_the_sum_of_its_requests() {
    let folder = Folder::new("spend");
    let Opened { store, .. } = open(&folder.store());
    let rows: Vec<Row> = (0..400).map(row).collect();
    rows.iter().cloned().for_each(|row| store.keep(row));
    for query in spend_queries() {
        let found = store.spend(query.clone()).await.unwrap();
        let costs: Vec<_> = found.iter().map(|row| row.cost).collect();
        assert!(costs.is_sorted_by(|one, next| one >= next), "{query:?}");
        let found: BTreeMap<_, _> = found.into_iter().map(|row| (row.values.clone(), row)).collect();
        assert_eq!(found, expected(&rows, &query), "{query:?}");
    }
    let dearest = SpendQuery { by: vec![Dimension::Key], limit: 1, ..everything() };
    assert_eq!(store.spend(dearest).await.unwrap().len(), 1);
}

#[tokio::test]
async fn absurd_amounts_stay_the_largest_there_are() {
    let Opened { store, .. } = Store::open(&Setup::new(":memory:", seal, Clock::start())).unwrap();
    let absurd = Consumed { input: Tokens(u64::MAX), output: Tokens(u64::MAX), ..Consumed::default() };
    for number in 0..3 {
        let cost = Some(NanoDollars(u64::MAX));
        store.keep(Row { consumed: Some(absurd), cost, ..row(number) });
        store.flush().await.unwrap();
    }
    let found = store.spend(everything()).await.unwrap();
    assert_eq!(found[0].requests, Requests(3));
    assert!(found[0].cost.get() > u64::MAX / 4);
    let found = store.spend(SpendQuery { by: vec![Dimension::Key], ..everything() }).await.unwrap();
    assert!(!found.is_empty());
}

fn request_queries() -> Vec<RequestQuery> {
    let mut queries = Vec::new();
    for only in filters() {
        for outcome in [Outcome::Any, Outcome::Failed] {
            for (from, to) in spans() {
                let query = RequestQuery { from, to, only: only.clone(), outcome, after: None, limit: 13 };
                let after = Some(Place { at: Time(MIDNIGHT + DAY), seq: 5 });
                queries.push(RequestQuery { after, ..query.clone() });
                queries.push(query);
            }
        }
    }
    queries
}

#[tokio::test]
async fn pages_of_requests_hold_each_that_was_asked_for_once_the_newest_first() {
    let folder = Folder::new("pages");
    let Opened { store, .. } = open(&folder.store());
    let rows: Vec<Row> = (0..200).map(row).collect();
    rows.iter().cloned().for_each(|row| store.keep(row));
    for query in request_queries().into_iter().filter(|query| query.after.is_none()) {
        let mut found = Vec::new();
        let mut next = query.clone();
        loop {
            let page = store.requests(next.clone()).await.unwrap();
            next.after = page.last().map(|found| found.place);
            found.extend(page.iter().map(|found| found.row.clone()));
            if page.len() < 13 {
                break;
            }
        }
        assert!(found.is_sorted_by(|one, next| one.at >= next.at), "{query:?}");
        let mut wanted: Vec<Row> = rows
            .iter()
            .filter(|row| row.at >= query.from && row.at < query.to)
            .filter(|row| query.outcome == Outcome::Any || row.is_failed())
            .filter(|row| {
                DIMENSIONS.into_iter().all(|dimension| {
                    values(row, dimension)
                        .iter()
                        .any(|value| is_wanted(value.as_ref(), dimension, &query.only))
                })
            })
            .cloned()
            .collect();
        wanted.sort_by_key(|row| row.id.0);
        found.sort_by_key(|row| row.id.0);
        assert_eq!(found, wanted, "{query:?}");
    }
    assert_eq!(store.request(RequestId(3)).await.unwrap().unwrap().row, row(3));
    assert_eq!(store.request(RequestId(300)).await.unwrap(), None);
}

fn assert_searched(connection: &Connection, sql: &str, values: Vec<Value>) {
    let mut explain = connection.prepare(&format!("EXPLAIN QUERY PLAN {sql}")).unwrap();
    let steps = explain.query_map(params_from_iter(values), |row| row.get::<_, String>(3)).unwrap();
    let steps: Vec<String> = steps.map(Result::unwrap).collect();
    let reads_all = |step: &&String| {
        step.starts_with("SCAN") && !step.contains("VIRTUAL TABLE") && !step.contains("(subquery-")
    };
    assert_eq!(steps.iter().find(reads_all), None, "{sql}\n{steps:#?}");
    assert!(steps.iter().any(|step| step.starts_with("SEARCH")), "{sql}\n{steps:#?}");
}

/// All that is asked of the database for a page.
fn statements(query: &RequestQuery) -> Vec<Sql> {
    let all = requests::plans(query, Way::Runs).into_iter().flat_map(|plan| match plan {
        Plan::Indexed(sql) => vec![sql],
        Plan::Marked(One { column, value, fetch }) => {
            let marked = [Value::Text(column.to_owned()), Value::Text(value)];
            let spans = [query.from, query.to].map(|at| Value::Integer(int(at.0 / runs::SPAN)));
            let values = marked.into_iter().chain(spans).collect();
            vec![Sql { text: runs::BACKWARDS.to_owned(), values }, fetch]
        }
    });
    all.collect()
}

#[test]
fn f4_k18_no_question_reads_all_of_a_table() {
    let connection = super::super::schema::writer(None).unwrap();
    for query in spend_queries() {
        for whose in [Whose::Own, Whose::All(query.to), Whose::All(Time(MIDNIGHT + 9 * DAY))] {
            let sql = spend::plan(&query, Time(MIDNIGHT + 4 * DAY), whose);
            assert_searched(&connection, &sql.text, sql.values);
        }
    }
    for query in request_queries() {
        for sql in statements(&query) {
            assert!(!sql.text.contains("OFFSET"));
            assert_searched(&connection, &sql.text, sql.values);
        }
    }
    assert_searched(&connection, runs::MARK, vec![Value::Null; 2]);
    assert_searched(&connection, &backfill::next_sql(), vec![Value::Integer(1); 3]);
    assert_searched(&connection, runs::OLD, vec![Value::Integer(1)]);
    let name = || Some("x".to_owned());
    let audits = [
        AuditQuery { limit: 1, ..AuditQuery::default() },
        AuditQuery { actor: name(), limit: 1, ..AuditQuery::default() },
        AuditQuery { action: name(), limit: 1, ..AuditQuery::default() },
        AuditQuery { subject: name(), actor: name(), after: Some(3), limit: 1, ..AuditQuery::default() },
    ];
    for query in audits {
        let (sql, values) = audit::plan(&query);
        assert_searched(&connection, &sql, values);
    }
    assert_searched(&connection, &requests::one_sql(), vec![Value::Blob(vec![0; 16])]);
    assert_searched(&connection, requests::OLDEST, vec![Value::Integer(1), Value::Integer(1)]);
}

#[test]
fn k18_a_page_is_read_in_the_order_of_its_index_and_not_sorted() {
    let connection = super::super::schema::writer(None).unwrap();
    for query in request_queries() {
        for sql in statements(&query) {
            let mut explain = connection.prepare(&format!("EXPLAIN QUERY PLAN {}", sql.text)).unwrap();
            let steps =
                explain.query_map(params_from_iter(sql.values), |row| row.get::<_, String>(3)).unwrap();
            let steps: Vec<String> = steps.map(Result::unwrap).collect();
            assert!(!steps.iter().any(|step| step.contains("TEMP B-TREE")), "{}\n{steps:#?}", sql.text);
        }
    }
}

#[tokio::test]
async fn f5_old_requests_go_in_batches_and_what_they_add_up_to_stays() {
    let folder = Folder::new("keep");
    let Opened { store, .. } = open(&folder.store());
    let rows: Vec<Row> = (0..1200).map(row).collect();
    rows.iter().cloned().for_each(|row| store.keep(row));
    let now = Row { at: Clock::start().now(), ..row(5000) };
    store.keep(now.clone());
    store.flush().await.unwrap();
    drop(store);

    let connection = Connection::open(folder.store()).unwrap();
    let left =
        || connection.query_row("SELECT count(*) FROM requests", [], |row| row.get::<_, i64>(0)).unwrap();
    assert_eq!(requests::purge(&connection, Time(MIDNIGHT + 9 * DAY)).unwrap(), Purge::Again);
    assert_eq!(left(), 701);
    drop(connection);

    let Opened { store, .. } = Store::open(&Setup { keep: Some(Days(1)), ..setup(&folder.store()) }).unwrap();
    let all = RequestQuery {
        from: Time(0),
        to: Time::NEVER,
        only: Vec::new(),
        outcome: Outcome::Any,
        after: None,
        limit: 1000,
    };
    while store.requests(all.clone()).await.unwrap().len() > 1 {
        tokio::task::yield_now().await;
    }
    assert_eq!(store.requests(all).await.unwrap()[0].row, now);
    assert_eq!(store.spend(everything()).await.unwrap()[0].requests, Requests(1201));
    let marks = store.read(|connection| {
        connection.query_row("SELECT count(*) FROM request_tags", [], |row| row.get::<_, u32>(0))
    });
    assert_eq!(marks.await.unwrap(), u32::try_from(now.tags.len()).unwrap());
}
