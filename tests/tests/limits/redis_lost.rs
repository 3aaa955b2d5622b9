//! A Redis that is gone, frozen, slow or forgetful.

use crate::redis::Redis;
use crate::setting::{PROGRAM, assert_limited, chat, config, key, limits, retry_after, secret, tenth};
use crate::shared::Group;
use std::time::{Duration, Instant};
use tollgate_sim::Running;
use tollgate_tests::gateway::{Gateway, eventually};
use tollgate_tests::http::{Answer, Request};

/// A key without limits, one with a limit, one with a budget.
fn keys() -> String {
    [key("free", ""), key("limited", "rpm = 100000"), key("k", "budget = [{ usd = 1000, per = \"day\" }]")]
        .concat()
}

fn ask(gateway: &Gateway, name: &str) -> Answer {
    gateway.ask(&chat("sim/m").key(&secret(name)))
}

/// A gateway on a Redis that is not there.
fn without(redis: &Redis, store: &str, rest: &str) -> (Gateway, Running) {
    let sim = tollgate_sim::spawn().expect("a simulator can be had");
    let config = config(&sim, &format!("redis = \"{}\"\n{store}", redis.url()), rest);
    (Gateway::start(PROGRAM, &config), sim)
}

/// Three modes at once: closed for budgets, local for limits, nothing for who has none.
fn assert_degraded(gateway: &Gateway) {
    assert_eq!(ask(gateway, "free").status, 200);
    assert_eq!(ask(gateway, "limited").status, 200);
    let closed = ask(gateway, "k");
    assert_eq!((closed.status, closed.code().as_str()), (503, "store_unavailable"), "{}", closed.text());
    assert!(retry_after(&closed).is_some(), "{closed:?}");
    assert_eq!(gateway.ask(&Request::get("/healthz")).status, 200);
    eventually("f2: it is not ready without its store", || {
        gateway.ask(&Request::get("/readyz")).status == 503
    });
}

fn assert_well(gateway: &Gateway) {
    eventually("budgets are open again", || ask(gateway, "k").status == 200);
    eventually("it is ready again", || gateway.ask(&Request::get("/readyz")).status == 200);
    assert_eq!(ask(gateway, "limited").status, 200);
}

#[test]
fn e1_redis_gone_at_the_start_delays_nothing_and_is_found_when_it_comes() {
    let mut redis = Redis::absent();
    let start = Instant::now();
    let (gateway, _sim) = without(&redis, "", &keys());
    assert!(start.elapsed() < Duration::from_secs(5), "{:?}", start.elapsed());
    assert_degraded(&gateway);
    redis.restart();
    assert_well(&gateway);
}

#[test]
fn e2_e4_a_frozen_redis_costs_a_bounded_delay_and_is_taken_up_again_alone() {
    let group = Group::new(1, &keys());
    let gateway = &group.gateways[0];
    assert_well(gateway);
    group.redis.freeze();
    let mut times = Vec::new();
    for _ in 0..40 {
        let start = Instant::now();
        assert_eq!(ask(gateway, "limited").status, 200);
        times.push(start.elapsed());
    }
    times.sort();
    // A tenth of a second is promised for the ledger; the rest is this machine's.
    assert!(times[39] < Duration::from_millis(400), "{times:?}");
    assert!(times[30] < Duration::from_millis(60), "the breaker has opened: {times:?}");
    assert_degraded(gateway);
    // Nobody waits in a queue either.
    let start = Instant::now();
    let answers = crate::setting::at_once(40, |_| ask(gateway, "limited").status);
    assert!(answers.iter().all(|status| *status == 200));
    assert!(start.elapsed() < Duration::from_secs(3), "{:?}", start.elapsed());
    group.redis.thaw();
    assert_well(gateway);
}

#[test]
fn e3_an_outage_logs_a_line_for_each_change_and_none_for_each_request() {
    let group = Group::new(1, &keys());
    let gateway = &group.gateways[0];
    assert_well(gateway);
    let lines = || {
        let said = gateway.said();
        said.lines().filter(|line| line.to_lowercase().contains("redis")).count()
    };
    let before = lines();
    group.redis.freeze();
    for _ in 0..100 {
        ask(gateway, "limited");
        ask(gateway, "k");
    }
    group.redis.thaw();
    assert_well(gateway);
    let told = lines() - before;
    assert!((1..=8).contains(&told), "{told} lines: {}", gateway.said());
}

#[test]
fn redis_killed_and_restarted_empty_gives_nobody_his_budget_again() {
    let mut group = Group::new(
        2,
        &format!("{}{}", key("k", "budget = [{ usd = 0.25, per = \"month\" }]"), key("other", "rpm = 5")),
    );
    assert_eq!((group.ask(0, &tenth("")).status, group.ask(0, &tenth("")).status), (200, 200));
    assert_eq!(group.ask(1, &tenth("")).status, 402);
    eventually("it is settled", || limits(&group.gateways[0], "key:k")[0].held == 0.0);
    group.redis.kill();
    let gone = group.gateways[0].ask(&tenth("").key(&secret("k")));
    assert!(matches!(gone.status, 402 | 503), "{}", gone.text());
    group.redis.restart();
    eventually("redis is in use again", || {
        let answer = group.ask(0, &tenth(""));
        assert_ne!(answer.status, 200, "b4: the budget was spent");
        answer.status == 402
    });
    assert_limited(&group.ask(0, &tenth("")), "budget_exceeded", "key:k");
    assert_eq!(group.gateways[0].ask(&chat("sim/m").key(&secret("other"))).status, 200);
}

fn flush(redis: &Redis) {
    redis.command(&["FLUSHALL"]);
    redis.command(&["SCRIPT", "FLUSH"]);
}

#[test]
fn a_flushed_redis_loses_no_spend_and_fails_no_call() {
    let group = Group::new(1, &key("k", "budget = [{ usd = 0.35, per = \"month\" }]\nrpm = 1000"));
    for _ in 0..2 {
        assert_eq!(group.ask(0, &tenth("")).status, 200);
    }
    eventually("it is settled", || limits(&group.gateways[0], "key:k").iter().all(|gauge| gauge.held == 0.0));
    flush(&group.redis);
    assert_eq!(group.ask(0, &tenth("")).status, 200);
    assert_limited(&group.ask(0, &tenth("")), "budget_exceeded", "key:k");
}

#[test]
fn promise_1_a_flushed_redis_admits_no_more_than_the_limit_in_a_minute() {
    let group = Group::new(1, &key("k", "rpm = 3"));
    for _ in 0..2 {
        assert_eq!(group.ask(0, &chat("sim/m")).status, 200);
    }
    flush(&group.redis);
    let statuses: Vec<_> = (0..3).map(|_| group.ask(0, &chat("sim/m")).status).collect();
    assert_eq!(statuses, [200, 429, 429], "what was asked before counts");
}

#[test]
fn what_redis_was_not_told_in_an_outage_it_is_told_after_it() {
    let group = Group::new(1, &key("k", "budget = [{ usd = 100, per = \"month\" }]"));
    assert_eq!(group.ask(0, &tenth("")).status, 200);
    let request = tenth(",head_delay=600").key(&secret("k"));
    let served = std::thread::scope(|scope| {
        let asked: Vec<_> = (0..3).map(|_| scope.spawn(|| group.gateways[0].ask(&request).status)).collect();
        let reached = || crate::setting::seen(&group.sim);
        let before_that = Instant::now();
        while reached() < 4 && before_that.elapsed() < Duration::from_millis(500) {
            std::thread::yield_now();
        }
        group.redis.freeze();
        asked
            .into_iter()
            .map(|one| one.join().expect("it was answered"))
            .filter(|status| *status == 200)
            .count()
    });
    group.redis.thaw();
    let told = || limits(&group.gateways[0], "key:k")[0].clone();
    let spent = (served + 1) as f64 * crate::setting::TENTH;
    eventually("all is told", || told().held == 0.0 && (told().used - spent).abs() < 1e-6);
}

#[test]
fn each_mode_of_failure_does_what_it_says() {
    let redis = Redis::absent();
    let limited =
        [key("k", "budget = [{ usd = 0.15, per = \"day\" }]"), key("limited", "rpm = 1"), key("free", "")]
            .concat();
    for (fail, budget, limit) in [
        ("fail = { budgets = \"closed\", limits = \"closed\" }", [503, 503], [503, 503]),
        ("fail = { budgets = \"local\", limits = \"local\" }", [200, 402], [200, 429]),
        ("fail = { budgets = \"closed\", limits = \"local\" }", [503, 503], [200, 429]),
        ("", [503, 503], [200, 429]),
    ] {
        let (gateway, _sim) = without(&redis, fail, &limited);
        let twice = |request: &Request| [gateway.ask(request).status, gateway.ask(request).status];
        assert_eq!(twice(&tenth("").key(&secret("k"))), budget, "{fail}");
        assert_eq!(twice(&chat("sim/m").key(&secret("limited"))), limit, "{fail}");
        assert_eq!(twice(&chat("sim/m").key(&secret("free"))), [200, 200], "{fail}");
    }
}

#[test]
fn e5_what_the_url_says_of_tls_is_what_happens() {
    let redis = Redis::start();
    let plain = redis.url();
    for (url, works) in [
        (plain.clone(), true),
        (plain.replace("redis://", "rediss://"), false),
        (plain.replace("planted-redis-password", "planted-wrong"), false),
    ] {
        let sim = tollgate_sim::spawn().expect("a simulator can be had");
        let gateway = Gateway::start(PROGRAM, &config(&sim, &format!("redis = \"{url}\""), &keys()));
        if works {
            assert_well(&gateway);
            assert!(redis.command(&["DBSIZE"]).trim() != ":0", "it is in use");
            continue;
        }
        assert_degraded(&gateway);
        eventually("it says so", || gateway.said().to_lowercase().contains("redis"));
        assert!(!gateway.said().contains("planted-"), "{}", gateway.said());
    }
}

#[test]
fn e6_a_failing_provider_and_a_lost_redis_at_once_fail_nobody_who_has_a_fallback() {
    let mut group = Group::new(
        1,
        &format!(
            "[models.m]\nstrategy = \"ordered\"\ntargets = [\"sim/m+status=503\"]\nfallbacks = [\"two/m\"]\n{}",
            key("k", "rpm = 100000\ntpm = 100000000\nconcurrency = 100")
        ),
    );
    group.redis.kill();
    let gateway = &group.gateways[0];
    let round = |calls: usize| {
        crate::setting::at_once(8, |_| {
            let mut connection = gateway.connect();
            let request = chat("m").key(&secret("k"));
            (0..calls).filter(|_| connection.ask(&request).status != 200).count()
        })
    };
    assert_eq!(round(20).iter().sum::<usize>(), 0);
    let (memory, said) = (gateway.resident(), gateway.said().len());
    assert_eq!(round(60).iter().sum::<usize>(), 0);
    if let (Some(before), Some(after)) = (memory, gateway.resident()) {
        assert!(after < before + (24 << 20), "{before} bytes before, {after} after");
    }
    let told = (gateway.said().len() - said) / (8 * 60);
    assert!(told < 1000, "{told} bytes of log a request");
}
