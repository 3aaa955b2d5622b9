//! What gateways on one Redis have spent, asked for at any of them.

use crate::setting::{Bill, Spend, admin, assert_usd, at_once, chat, key, secret, spend, tenth};
use crate::shared::Group;
use serde_json::Value;
use std::collections::BTreeMap;
use tollgate_tests::gateway::{Gateway, eventually};
use tollgate_tests::http::Request;

/// Two keys without limits, in two teams: the first team's requests bear two tags.
fn keys() -> String {
    let named = |list: &str, name: &str| format!("[[{list}]]\nname = \"{name}\"\n");
    [named("teams", "red"), named("teams", "blue"), named("tags", "a"), named("tags", "b")].concat()
        + &key("k", "team = \"red\"\ntags = [\"a\", \"b\"]")
        + &key("l", "team = \"blue\"")
}

fn asked(gateway: &Gateway, query: &str) -> Value {
    let answer = admin(gateway, &Request::get(&format!("/api/spend?{query}")));
    assert_eq!(answer.status, 200, "{}", answer.text());
    answer.json()
}

/// Requests by the value of a dimension.
fn by(gateway: &Gateway, dimension: &str) -> BTreeMap<String, u64> {
    let told = asked(gateway, &format!("by={dimension}"));
    let rows = told["data"].as_array().expect("rows");
    let value = |row: &Value| row[dimension].as_str().unwrap_or_default().to_owned();
    rows.iter().map(|row| (value(row), row["requests"].as_u64().expect("a count"))).collect()
}

fn counts<const N: usize>(rows: [(&str, u64); N]) -> BTreeMap<String, u64> {
    rows.into_iter().map(|(value, count)| (value.to_owned(), count)).collect()
}

/// So many of key `k`, and half as many of key `l`, spread over all of them.
fn spend_some(group: &Group, count: usize) {
    let all = group.gateways.len();
    let (of_k, of_l) = (tenth("").key(&secret("k")), chat("two/m").key(&secret("l")));
    let answers = at_once(count, |at| group.gateways[at % all].ask(&of_k));
    let others = at_once(count / 2, |at| group.gateways[at % all].ask(&of_l));
    assert!(answers.iter().chain(&others).all(|answer| answer.status == 200));
}

/// Waits until every gateway tells what the provider has billed, and looks whether it tells more.
#[track_caller]
fn assert_all_is_told_everywhere(group: &Group) {
    let bill = Bill::of(&group.sim);
    for gateway in &group.gateways {
        let total = || Spend::read(&asked(gateway, "")["data"][0]);
        eventually("all is told", || total().requests >= bill.calls);
        let told = total();
        assert_eq!((told.requests, told.input, told.output), (bill.calls, bill.input, bill.output));
        assert_usd(told.usd, bill.usd());
    }
}

#[test]
fn each_gateway_tells_what_all_have_spent_from_every_side() {
    let group = Group::new(3, &keys());
    spend_some(&group, 12);
    assert_all_is_told_everywhere(&group);
    for gateway in &group.gateways {
        assert_eq!(by(gateway, "key"), counts([("k", 12), ("l", 6)]));
        assert_eq!(by(gateway, "team"), counts([("blue", 6), ("red", 12)]));
        assert_eq!(by(gateway, "tag"), counts([("", 6), ("a", 12), ("b", 12)]));
        assert_eq!(by(gateway, "provider"), counts([("sim", 12), ("two", 6)]));
        assert_eq!(spend(gateway, "team:red").requests, 12);
        let others = &asked(gateway, "")["others"];
        assert_eq!((&others["current"], &others["cut"]), (&Value::Bool(true), &Value::Bool(false)));
        assert!(others["as_of"].is_string());
        let info = admin(gateway, &Request::get("/key/info?key=k")).json();
        assert_usd(info["info"]["spend"].as_f64().expect("dollars"), 12.0 * crate::setting::TENTH);
    }
}

#[test]
fn a_span_that_cuts_a_day_of_others_says_so_and_leaves_it_out() {
    let group = Group::new(2, &keys());
    spend_some(&group, 4);
    assert_all_is_told_everywhere(&group);
    let gateway = &group.gateways[0];
    let day = by(gateway, "day").into_keys().next().expect("a day");
    let told = asked(gateway, &format!("from={day}T00:00:00.001Z"));
    assert_eq!(told["others"]["cut"], true);
    assert_eq!(told["data"][0]["requests"], 3, "its own");
    // The other way round nothing is cut: there is nothing before.
    assert_eq!(asked(gateway, "from=2020-01-01T00:00:00.001Z")["others"]["cut"], false);
}

#[test]
fn a_gateway_that_is_killed_counts_nothing_twice() {
    let mut group = Group::new(3, &keys());
    for _ in 0..3 {
        spend_some(&group, 6);
        // At whatever moment of its telling and hearing.
        group.restart(1);
        spend_some(&group, 6);
        group.restart(2);
    }
    assert_all_is_told_everywhere(&group);
    // A newcomer hears it too.
    group.join();
    assert_all_is_told_everywhere(&group);
    spend_some(&group, 8);
    assert_all_is_told_everywhere(&group);
}

#[test]
fn a_redis_that_has_lost_all_is_told_again() {
    let mut group = Group::new(2, &keys());
    spend_some(&group, 6);
    assert_all_is_told_everywhere(&group);
    group.redis.command(&["FLUSHALL"]);
    assert_all_is_told_everywhere(&group);
    // Only who is told can tell: nobody has said anything to this one before.
    group.join();
    assert_all_is_told_everywhere(&group);
    group.redis.kill();
    group.redis.restart();
    spend_some(&group, 6);
    assert_all_is_told_everywhere(&group);
    group.join();
    assert_all_is_told_everywhere(&group);
}

#[test]
fn without_redis_what_was_heard_is_told_and_the_answer_says_so() {
    let mut group = Group::new(2, &keys());
    spend_some(&group, 4);
    assert_all_is_told_everywhere(&group);
    group.redis.kill();
    let gateway = &group.gateways[0];
    eventually("it says so", || asked(gateway, "")["others"]["current"] == false);
    assert!(asked(gateway, "")["others"]["as_of"].is_string());
    assert_eq!(spend(gateway, "key:k").requests, 4);
    assert_eq!(gateway.ask(&tenth("").key(&secret("k"))).status, 200);
    eventually("its own is told at once", || spend(gateway, "key:k").requests == 5);
    assert_eq!(spend(&group.gateways[1], "key:k").requests, 4);
    // After a restart too: it is on the disk.
    group.restart(0);
    let others = &asked(&group.gateways[0], "")["others"];
    assert_eq!((&others["current"], &others["as_of"]), (&Value::Bool(false), &Value::Null));
    assert_eq!(spend(&group.gateways[0], "key:k").requests, 5);
    group.redis.restart();
    assert_all_is_told_everywhere(&group);
    eventually("all is well", || asked(&group.gateways[0], "")["others"]["current"] == true);
}
