//! The tables on a real SQLite.

use super::*;
use crate::sql::LARGEST;
use crate::testing::{Lite, ready};
use bytes::Bytes;
use tollgate_core::api::{Dimension, Kind, Only, Outcome, RequestPlace};
use tollgate_core::directory::HolderKind;
use tollgate_core::exchange::RequestId;
use tollgate_core::row::{Consumed, Row as Kept};
use tollgate_core::units::{Millis, NanoDollars, Requests, Tokens};

const DAY: u64 = 86_400_000;
/// 2026-11-21, some time in the morning.
const NOW: u64 = 20_778 * DAY + 30_000_000;

fn tables() -> Tables<Lite> {
    let tables = Tables::new(Lite::default());
    for _ in 0..2 {
        ready(tables.prepare()).unwrap();
    }
    tables
}

fn deed(subject: &str) -> Deed {
    Deed {
        at: Time(NOW),
        actor: "admin".to_owned(),
        action: "key.create".to_owned(),
        subject: subject.to_owned(),
        before: None,
        after: Some(Bytes::from_static(b"{}")),
    }
}

fn change(name: &str, spec: Option<&'static str>) -> Change {
    Change {
        kind: Kind::Key,
        name: name.to_owned(),
        spec: spec.map(|spec| Bytes::from_static(spec.as_bytes())),
    }
}

fn commit(tables: &Tables<Lite>, changes: &[Change], subject: &str) {
    ready(tables.commit(changes, &deed(subject))).unwrap();
}

#[test]
fn a_commit_is_a_line_of_the_log_and_its_changes() {
    let tables = tables();
    assert_eq!(ready(tables.stored()).unwrap(), super::Stored::default());
    let team = Change { kind: Kind::Holder(HolderKind::Team), ..change("a", Some("{\"name\":\"a\"}")) };
    commit(&tables, &[change("a", Some("{\"x\":1}")), team.clone()], "key:a");
    commit(&tables, &[change("a", Some("{\"x\":2}"))], "key:a");
    let stored = ready(tables.stored()).unwrap();
    assert_eq!(stored.entities, [change("a", Some("{\"x\":2}")), team.clone()]);
    assert_eq!((stored.version, stored.had_keys), (2, true));
    assert_eq!(super::Stored::from_json(stored.to_json().as_bytes()), Some(stored));
    assert_eq!(super::Stored::from_json(b"{}"), None);
    commit(&tables, &[change("a", None)], "key:a");
    let stored = ready(tables.stored()).unwrap();
    assert_eq!(stored.entities, [team]);
    assert!(stored.had_keys, "it was there once");
    assert_eq!(ready(tables.verify()).unwrap(), Ok(3));
}

#[test]
fn of_two_commits_on_the_same_line_the_second_is_behind_and_does_nothing() {
    let tables = tables();
    commit(&tables, &[], "key:a");
    // Somebody else commits between the look at the head and the statement.
    let late = audit::head(tables.sql());
    let head = ready(late).unwrap();
    commit(&tables, &[change("a", Some("{}"))], "key:a");
    let values = vec![
        (head.number + 1).into(),
        NOW.into(),
        "admin".into(),
        "key.delete".into(),
        "key:a".into(),
        Value::Null,
        Value::Null,
        "00".into(),
        entities::written(&[change("a", None)]),
    ];
    let text = "INSERT INTO commits (seq, at, actor, action, subject, before, after, seal, changes)
        VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)";
    let Failed(why) = ready(tables.sql().run(text, values)).unwrap_err();
    assert!(why.contains("UNIQUE") && why.contains("audit"), "{why}");
    assert_eq!(ready(tables.stored()).unwrap().entities.len(), 1);
}

#[test]
fn a_commit_on_a_line_that_is_no_longer_the_last_is_behind() {
    let tables = tables();
    commit(&tables, &[change("a", Some("{}"))], "key:a");
    let behind = ready(tables.commit_on(0, &[change("b", Some("{}"))], &deed("key:b")));
    assert_eq!(behind, Err(Unkept::Behind));
    assert_eq!(ready(tables.commit_on(1, &[change("b", Some("{}"))], &deed("key:b"))), Ok(()));
}

#[test]
fn a_log_that_was_tampered_with_shows_it() {
    let tables = tables();
    for subject in ["key:a", "key:b", "key:c"] {
        commit(&tables, &[], subject);
    }
    let run = |text: &str| ready(tables.sql().run(text, Vec::new()));
    assert!(run("UPDATE audit SET actor = 'mallory' WHERE seq = 2").is_err());
    run("DROP TRIGGER audit_is_not_changed").unwrap();
    run("UPDATE audit SET actor = 'mallory' WHERE seq = 2").unwrap();
    assert_eq!(ready(tables.verify()).unwrap().unwrap_err().number, 2);
}

#[test]
fn the_log_is_read_by_page_and_by_whom_what_and_whose() {
    let tables = tables();
    for subject in ["key:a", "key:b", "key:a"] {
        commit(&tables, &[], subject);
    }
    let numbers = |query: AuditQuery| -> Vec<u64> {
        ready(tables.audit(&query)).unwrap().iter().map(|line| line.number).collect()
    };
    assert_eq!(numbers(AuditQuery { limit: 2, ..AuditQuery::default() }), [3, 2]);
    assert_eq!(numbers(AuditQuery { limit: 2, after: Some(2), ..AuditQuery::default() }), [1]);
    let subject = Some("key:a".to_owned());
    assert_eq!(numbers(AuditQuery { limit: 9, subject, ..AuditQuery::default() }), [3, 1]);
    let actor = Some("nobody".to_owned());
    assert!(numbers(AuditQuery { limit: 9, actor, ..AuditQuery::default() }).is_empty());
}

fn row(number: u64, at: u64) -> Kept {
    Kept {
        id: RequestId(u128::from(number) << 75),
        at: Time(at),
        organisation: Some("acme".to_owned()),
        team: None,
        user: None,
        key: "ci".to_owned(),
        end_user: None,
        tags: Vec::new(),
        provider: Some("openai".to_owned()),
        model: Some("openai/gpt".to_owned()),
        asked: "gpt".to_owned(),
        surface: "openai-chat".to_owned(),
        status: 200,
        fault: None,
        ending: "complete".to_owned(),
        attempts: 1,
        consumed: Some(Consumed { input: Tokens(10), output: Tokens(5), ..Consumed::default() }),
        basis: "reported".to_owned(),
        cost: Some(NanoDollars(1000)),
        cost_basis: "computed".to_owned(),
        first_byte: Some(Millis(3)),
        total: Millis(7),
        cache: "miss".to_owned(),
        guardrails: Vec::new(),
    }
}

fn record(tables: &Tables<Lite>, row: &Kept) {
    ready(tables.record(line(row))).unwrap();
}

fn spend(
    tables: &Tables<Lite>,
    by: &[Dimension],
    only: &[(Dimension, &str)],
) -> Vec<(Vec<Option<String>>, u64, u64)> {
    let only =
        only.iter().map(|(dimension, value)| Only { dimension: *dimension, value: (*value).to_owned() });
    let query =
        SpendQuery { from: Time(0), to: Time(NOW + 1), by: by.to_vec(), only: only.collect(), limit: 100 };
    let rows = ready(tables.spend(&query)).unwrap();
    rows.into_iter().map(|row| (row.values, row.requests.get(), row.cost.get())).collect()
}

fn some(text: &str) -> Option<String> {
    Some(text.to_owned())
}

#[test]
fn a_request_that_is_told_twice_is_counted_once() {
    let tables = tables();
    let tagged = Kept { tags: vec!["a".to_owned(), "b".to_owned()], end_user: some("u"), ..row(1, NOW - 5) };
    for _ in 0..3 {
        record(&tables, &tagged);
    }
    record(&tables, &row(2, NOW - 4));
    assert_eq!(spend(&tables, &[], &[]), [(vec![], 2, 2000)]);
    assert_eq!(
        spend(&tables, &[Dimension::Tag], &[]),
        [(vec![None], 1, 1000), (vec![some("a")], 1, 1000), (vec![some("b")], 1, 1000)]
    );
    assert_eq!(
        spend(&tables, &[Dimension::EndUser], &[]),
        [(vec![None], 1, 1000), (vec![some("u")], 1, 1000)]
    );
    assert_eq!(
        spend(&tables, &[Dimension::Key, Dimension::Day], &[(Dimension::Organisation, "acme")]),
        [(vec![some("ci"), some("2026-11-21")], 2, 2000)]
    );
    assert_eq!(spend(&tables, &[], &[(Dimension::Tag, "b"), (Dimension::EndUser, "u")]), [(vec![], 1, 1000)]);
    assert!(spend(&tables, &[Dimension::Key], &[(Dimension::Team, "x")]).is_empty());
}

#[test]
fn sums_and_ragged_ends_add_up_whichever_way_they_are_asked() {
    let tables = tables();
    for number in 0..100 {
        let mut row = row(number + 1, NOW - number * DAY / 10);
        row.tags = vec![["a", "b", "c"][number as usize % 3].to_owned()];
        row.team = Some(["x", "y"][number as usize % 2].to_owned());
        record(&tables, &row);
    }
    for (from, to) in
        [(0, 0), (0, 1), (DAY, 3 * DAY), (DAY / 3, 5 * DAY / 2), (7, 9 * DAY), (DAY / 2, DAY / 2 + 1)]
    {
        let query = |by: Vec<Dimension>| SpendQuery {
            from: Time(NOW - to),
            to: Time(NOW - from + 1),
            by,
            only: Vec::new(),
            limit: 100,
        };
        let due = (0..100).filter(|number| (from..=to).contains(&(number * DAY / 10))).count() as u64;
        for by in
            [vec![], vec![Dimension::Tag], vec![Dimension::Team, Dimension::Day], vec![Dimension::Model]]
        {
            // Up to now the whole of today is asked.
            let rows = ready(tables.spend(&query(by))).unwrap();
            let sum: u64 = rows.iter().map(|row| row.requests.get()).sum();
            assert_eq!(sum, due, "{from} {to}");
        }
    }
}

#[test]
fn large_amounts_stay_exact_and_stop_at_the_largest() {
    let tables = tables();
    for number in 1..=3 {
        record(
            &tables,
            &Kept { cost: Some(NanoDollars((1 << 52) + 1)), key: number.to_string(), ..row(number, NOW) },
        );
    }
    assert_eq!(spend(&tables, &[], &[]), [(vec![], 3, 3 * ((1 << 52) + 1))]);
    record(&tables, &Kept { cost: Some(NanoDollars(u64::MAX)), key: "1".to_owned(), ..row(4, NOW) });
    assert_eq!(spend(&tables, &[], &[(Dimension::Key, "1")]), [(vec![], 2, LARGEST.unsigned_abs())]);
}

#[test]
fn requests_come_by_page_the_newest_first_and_sums_outlive_them() {
    let tables = tables();
    for number in 1..=10 {
        let failed = number % 2 == 0;
        let mut row = row(number, NOW - 100 + number / 2);
        row.status = if failed { 500 } else { 200 };
        row.tags = if number > 5 { vec!["late".to_owned()] } else { Vec::new() };
        record(&tables, &row);
    }
    let query = RequestQuery {
        from: Time(0),
        to: Time(NOW),
        only: Vec::new(),
        outcome: Outcome::Any,
        after: None,
        limit: 4,
    };
    let mut seen = Vec::new();
    let mut after: Option<RequestPlace> = None;
    loop {
        let page = ready(tables.requests(&RequestQuery { after, ..query.clone() })).unwrap();
        if page.is_empty() {
            break;
        }
        after = page.last().map(|row| row.place);
        seen.extend(page.into_iter().map(|row| row.place.seq));
    }
    assert_eq!(seen, (1..=10).rev().collect::<Vec<u64>>());
    let count = |outcome, only: &[(Dimension, &str)]| {
        let only =
            only.iter().map(|(dimension, value)| Only { dimension: *dimension, value: (*value).to_owned() });
        let query = RequestQuery { outcome, only: only.collect(), limit: 100, ..query.clone() };
        ready(tables.requests(&query)).unwrap().len()
    };
    assert_eq!(count(Outcome::Failed, &[]), 5);
    assert_eq!(count(Outcome::Any, &[(Dimension::Tag, "late")]), 5);
    assert_eq!(count(Outcome::Failed, &[(Dimension::Tag, "late"), (Dimension::Key, "ci")]), 3);
    assert_eq!(count(Outcome::Any, &[(Dimension::Key, "ci"), (Dimension::Key, "other")]), 10);
    assert_eq!(count(Outcome::Any, &[(Dimension::Day, "2026-11-21")]), 10);
    assert_eq!(count(Outcome::Any, &[(Dimension::Day, "2026-11-20")]), 0);

    assert!(!ready(tables.purge(Time(NOW))).unwrap());
    assert_eq!(count(Outcome::Any, &[]), 0);
    assert_eq!(count(Outcome::Any, &[(Dimension::Tag, "late")]), 0);
    assert!(ready(tables.sql().run("SELECT 1 FROM request_tags", Vec::new())).unwrap().is_empty());
    assert_eq!(spend(&tables, &[], &[]), [(vec![], 10, 10_000)]);
}

#[test]
fn every_question_is_answered_by_an_index() {
    let tables = tables();
    let all = [
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
    let mut asked: Vec<Statement> = vec![audit::plan(&AuditQuery { limit: 1, ..AuditQuery::default() })];
    for dimension in all {
        let only = vec![Only { dimension, value: "x".to_owned() }];
        asked.push(spend::plan(
            &SpendQuery { from: Time(5), to: Time(NOW), by: vec![dimension], only: only.clone(), limit: 9 },
            Time(NOW),
        ));
        let (from, to, after) = (Time(0), Time(NOW), Some(RequestPlace::default()));
        asked.extend(requests::plans(&RequestQuery {
            from,
            to,
            only,
            outcome: Outcome::Failed,
            after,
            limit: 9,
        }));
    }
    asked.push(Statement { text: requests::PURGE.to_owned(), values: vec![NOW.into()] });
    for Statement { text, values } in asked {
        let plan = ready(tables.sql().run(&format!("EXPLAIN QUERY PLAN {text}"), values)).unwrap();
        for mut step in plan {
            let (_, _, _, detail) = (step.value(), step.value(), step.value(), step.text().unwrap());
            let scans = detail.starts_with("SCAN")
                && !detail.contains("VIRTUAL TABLE")
                && !detail.contains("subquery");
            assert!(!scans, "{detail}: {text}");
        }
    }
}

#[test]
fn several_books_answers_are_one() {
    let part = |values: &[&str], cost| SpendRow {
        values: values.iter().map(|value| some(value)).collect(),
        requests: Requests(1),
        cost: NanoDollars(cost),
        ..SpendRow::default()
    };
    let all = spend_of_all([vec![part(&["a"], 5), part(&["b"], 4)], vec![part(&["b"], 3)]], 9);
    let told: Vec<_> = all
        .iter()
        .map(|row| (row.values[0].as_deref().unwrap(), row.cost.get(), row.requests.get()))
        .collect();
    assert_eq!(told, [("b", 7, 2), ("a", 5, 1)]);
    assert_eq!(spend_of_all([vec![part(&["a"], 5)], vec![part(&["b"], 9)]], 1).len(), 1);
}
