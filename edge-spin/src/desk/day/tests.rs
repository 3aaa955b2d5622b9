use super::*;
use tollgate_core::exchange::RequestId;
use tollgate_core::row::Consumed;
use tollgate_edge::keeper::spend_of_all;

/// 2026-11-21.
const TODAY: u64 = 20_778 * DAY;

fn row(number: u128, at: u64, key: &str) -> Row {
    let text = str::to_owned;
    Row {
        id: RequestId(number << 75),
        at: Time(TODAY + at),
        organisation: None,
        team: Some(text("ads")),
        user: None,
        key: text(key),
        end_user: Some(format!("user-{number}")),
        tags: vec![text("blue"), text("red")],
        provider: Some(text("one")),
        model: Some(text("one/m")),
        asked: text("m"),
        surface: text("chat"),
        status: 200,
        fault: None,
        ending: text("complete"),
        attempts: 1,
        consumed: Some(Consumed { input: Tokens(10), output: Tokens(2), ..Consumed::default() }),
        basis: text("reported"),
        cost: Some(NanoDollars(7)),
        cost_basis: text("computed"),
        first_byte: None,
        total: Millis(30),
        cache: text("off"),
        guardrails: Vec::new(),
    }
}

fn day(rows: &[Row]) -> Day {
    let mut day = Day::default();
    for row in rows {
        let _ = day.add(row);
    }
    Day::read(&day.written(usize::MAX)).unwrap()
}

fn query(by: &[Dimension]) -> SpendQuery {
    let (from, to) = (Time(TODAY), Time(TODAY + DAY));
    SpendQuery { from, to, by: by.to_vec(), only: Vec::new(), limit: 100 }
}

fn only(dimension: Dimension, value: &str) -> Only {
    Only { dimension, value: value.to_owned() }
}

fn costs(day: &Day, query: &SpendQuery) -> Vec<(Vec<Option<String>>, u64)> {
    let rows = spend_of_all([day.spend(query)], query.limit);
    rows.into_iter().map(|row| (row.values, row.cost.get())).collect()
}

#[test]
fn spend_is_told_apart_by_what_is_asked_for() {
    let day = day(&[row(1, 0, "a"), row(2, HOUR, "a"), row(3, HOUR, "b")]);
    let some = |text: &str| Some(text.to_owned());
    assert_eq!(costs(&day, &query(&[])), [(vec![], 21)]);
    let by_key = [(vec![some("a")], 14), (vec![some("b")], 7)];
    assert_eq!(costs(&day, &query(&[Dimension::Key])), by_key);
    let by_tag = [(vec![some("blue")], 21), (vec![some("red")], 21)];
    assert_eq!(costs(&day, &query(&[Dimension::Tag])), by_tag, "a request counts for each");
    let by_day = [(vec![some("2026-11-21")], 21)];
    assert_eq!(costs(&day, &query(&[Dimension::Day])), by_day);
    let narrow = |only| SpendQuery { only, ..query(&[]) };
    assert_eq!(costs(&day, &narrow(vec![only(Dimension::Key, "b")])), [(vec![], 7)]);
    let either = vec![only(Dimension::Key, "b"), only(Dimension::Key, "a"), only(Dimension::Team, "ads")];
    assert_eq!(costs(&day, &narrow(either)), [(vec![], 21)]);
    assert_eq!(costs(&day, &narrow(vec![only(Dimension::Tag, "green")])), []);
    let later = SpendQuery { from: Time(TODAY + HOUR), ..query(&[]) };
    assert_eq!(costs(&day, &later), [(vec![], 14)]);
}

#[test]
fn the_same_request_twice_is_one() {
    let day = day(&[row(1, 0, "a"), row(1, 0, "a")]);
    assert_eq!(costs(&day, &query(&[])), [(vec![], 7)]);
}

#[test]
fn the_latest_requests_are_there_one_by_one_as_they_were() {
    let failed = Row { status: 502, fault: Some("upstream_error".to_owned()), cost: None, ..row(2, 5, "b") };
    let day = day(&[row(1, 3, "a"), failed.clone()]);
    let query = RequestQuery {
        from: Time(TODAY),
        to: Time(TODAY + DAY),
        only: Vec::new(),
        outcome: Outcome::Failed,
        after: None,
        limit: 10,
    };
    let place = RequestPlace { at: Time(TODAY + 5), seq: 2 };
    assert_eq!(day.requests(&query), [failed.shown(place)]);
    let any = RequestQuery { outcome: Outcome::Any, after: Some(place), ..query };
    let first = row(1, 3, "a").shown(RequestPlace { at: Time(TODAY + 3), seq: 1 });
    assert_eq!(day.requests(&any), [first]);
}

#[test]
fn what_is_too_large_gives_up_single_requests_and_then_end_users_but_no_sum() {
    let rows: Vec<Row> = (1..300).map(|number| row(number, 0, "a")).collect();
    let mut day = day(&rows);
    assert_eq!(day.latest.len(), LATEST);
    let sums = { day.written(40_000) };
    assert_eq!(Day::read(&sums).unwrap().latest.len(), 0);
    let small = Day::read(&day.written(4000)).unwrap();
    assert_eq!(small.sums.len(), 1);
    assert_eq!(costs(&small, &query(&[])), [(vec![], 299 * 7)]);
}
