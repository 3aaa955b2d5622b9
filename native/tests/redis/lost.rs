//! The server frozen, killed, gone at the start, flushed, or not what the URL says.

use crate::gateway::*;
use crate::log;
use crate::server::{Server, until};
use std::io::Read;
use std::net::TcpListener;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::task::JoinSet;
use tollgate_core::config::{Fail, Fallback};
use tollgate_core::ledger::Scope;
use tollgate_core::limit::Limits;
use tollgate_core::units::{Millis, Requests, Tokens};
use tollgate_native::ledger::shared::{Address, Patience, Settings};

/// Far more than is promised, far less than without a promise: the machine may be loaded.
const BOUNDED: Duration = Duration::from_secs(5);

fn all(mode: Fallback) -> Fail {
    Fail { budgets: mode, limits: mode }
}

/// As promised: 100 ms in all.
fn prompt(server: &Server, name: &str, fail: Fail) -> Gateway {
    gateway_with(server, name, Patience::default(), fail)
}

/// One request from its beginning to its end.
async fn one(gateway: &Gateway, scope: &Arc<Scope>, cost: u64) -> String {
    match gateway.reserve(&entry(&[scope]), now()).await {
        Ok(hold) => {
            gateway.settle(hold, spent(10, 20, cost), now()).await;
            "granted".to_owned()
        }
        refused => told(refused),
    }
}

/// Asks until the breaker has opened.
async fn until_open(gateway: &Gateway) {
    let scope = scope("key:opener", rpm(1_000_000));
    let deadline = Instant::now() + Duration::from_secs(30);
    while gateway.is_alive() {
        assert!(Instant::now() < deadline, "the breaker never opens");
        let outcome = gateway.reserve(&entry(&[&scope]), now()).await;
        if let Ok(hold) = outcome {
            gateway.settle(hold, spent(1, 1, 1), now()).await;
        }
    }
}

/// Waits until the server answers again and has everything that was kept.
async fn until_well(gateway: &Gateway) {
    let deadline = Instant::now() + Duration::from_secs(30);
    while !gateway.is_alive() || gateway.kept() > 0 {
        assert!(Instant::now() < deadline, "{} are still kept", gateway.kept());
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// Waits until so much of a scope's only limit is used and nothing is held.
async fn until_spent(gateway: &Gateway, scope: &Arc<Scope>, spent: u64) {
    let deadline = Instant::now() + Duration::from_secs(30);
    loop {
        let found = standing(gateway, scope).await;
        assert!(found.0 <= spent, "{found:?} is more than was spent: {spent}");
        if found == (spent, 0) {
            return;
        }
        assert!(Instant::now() < deadline, "{found:?} and never {spent}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test]
async fn e2_a_frozen_redis_delays_nobody_for_long_and_the_breaker_recovers_alone() {
    log::listen();
    let server = Server::start();
    let gateway = Arc::new(prompt(&server, "a", all(Fallback::Closed)));
    let scope = scope("key:ci", rpm(1_000_000));
    until_well(&gateway).await;
    server.freeze();
    let began = Instant::now();
    let mut tasks = JoinSet::new();
    for _ in 0..200 {
        let (gateway, entry) = (Arc::clone(&gateway), entry(&[&scope]));
        tasks.spawn(async move { told(gateway.reserve(&entry, now()).await) });
    }
    let outcomes = tasks.join_all().await;
    assert!(began.elapsed() < BOUNDED, "{:?} for two hundred at once", began.elapsed());
    assert!(outcomes.iter().all(|outcome| outcome == "unavailable"));
    until_open(&gateway).await;
    let began = Instant::now();
    for _ in 0..1000 {
        assert_eq!(told(gateway.reserve(&entry(&[&scope]), now()).await), "unavailable");
    }
    assert!(began.elapsed() < BOUNDED, "{:?} for a thousand in turn", began.elapsed());
    server.thaw();
    until_well(&gateway).await;
    // What was asked without an answer is taken back, in whatever order it arrives.
    let report = gateway.report(&Arc::from("acme"), &[Arc::clone(&scope)], now()).await;
    assert_eq!(report[0].gauges[0].used, 0);
    assert!(matches!(server.ask(&["ZCARD", "{tg:acme}:leases"]), redis::Value::Int(0)));
    until("the log tells of both changes", || log::lines_of(server.port).len() > 1);
    let lines = log::lines_of(server.port);
    assert_eq!(lines.len(), 2, "one line for each change of state: {lines:?}");
}

#[tokio::test]
async fn e4_while_redis_is_frozen_the_modes_decide() {
    let server = Server::start();
    let gateways = [Fallback::Closed, Fallback::Local, Fallback::Open]
        .map(|limits| prompt(&server, "a", Fail { budgets: Fallback::Closed, limits }));
    server.freeze();
    let (plain, money) = (scope("key:ci", rpm(2)), scope("team:search", prepaid(1000)));
    let mut outcomes = Vec::new();
    for gateway in &gateways {
        until_open(gateway).await;
        for _ in 0..3 {
            outcomes.push(one(gateway, &plain, 0).await);
        }
        assert_eq!(one(gateway, &money, 1).await, "unavailable", "money is closed");
    }
    assert_eq!(
        outcomes,
        [
            ["unavailable", "unavailable", "unavailable"],
            ["granted", "granted", "unavailable"],
            ["granted", "granted", "granted"],
        ]
        .concat()
    );
    server.thaw();
}

#[tokio::test]
async fn e4_local_decisions_begin_with_what_this_gateway_was_granted() {
    let mut server = Server::start();
    let gateway = prompt(&server, "a", all(Fallback::Local));
    let patient = gateway_with(&server, "b", PATIENT, all(Fallback::Local));
    let scope = scope("key:ci", rpm(3));
    assert_eq!(one(&patient, &scope, 0).await, "granted");
    assert_eq!(one(&patient, &scope, 0).await, "granted");
    server.kill();
    assert_eq!(one(&patient, &scope, 0).await, "granted");
    assert_eq!(one(&patient, &scope, 0).await, "unavailable", "its own books have three");
    drop(gateway);
}

#[tokio::test]
async fn e6_what_was_spent_without_redis_is_charged_there_once_it_is_back() {
    let mut server = Server::start();
    let gateway = prompt(&server, "a", all(Fallback::Open));
    let other = gateway_with(&server, "b", PATIENT, Fail::default());
    let scope = scope("team:search", prepaid(1_000_000));
    until_well(&gateway).await;
    server.freeze();
    for _ in 0..30 {
        assert_eq!(one(&gateway, &scope, 7).await, "granted");
    }
    server.thaw();
    until_well(&gateway).await;
    until_spent(&other, &scope, 210).await;
    // The same through a restart: the server is empty, and what was kept is part of what is told.
    server.kill();
    for _ in 0..30 {
        assert_eq!(one(&gateway, &scope, 7).await, "granted");
    }
    server.restart();
    until_well(&gateway).await;
    until_well(&other).await;
    until_spent(&other, &scope, 420).await;
    assert_eq!(one(&gateway, &scope, 7).await, "granted");
    until_well(&gateway).await;
    until_spent(&other, &scope, 427).await;
    assert_eq!(gateway.own.of("team:search").spent, 427);
}

#[tokio::test]
async fn a_hold_from_before_a_frozen_redis_is_settled_afterwards_once() {
    let server = Server::start();
    let gateway = prompt(&server, "a", Fail::default());
    let patient = gateway_with(&server, "b", PATIENT, Fail::default());
    let scope = scope("team:search", prepaid(1000));
    until_well(&gateway).await;
    let mut hold = gateway.reserve(&entry(&[&scope]), now()).await;
    while hold.is_err() {
        hold = gateway.reserve(&entry(&[&scope]), now()).await;
    }
    server.freeze();
    let began = Instant::now();
    gateway.settle(hold.unwrap(), spent(10, 20, 30), now()).await;
    assert!(began.elapsed() < BOUNDED);
    assert_eq!(gateway.kept(), 1);
    server.thaw();
    until_well(&gateway).await;
    assert_eq!(standing(&patient, &scope).await, (30, 0));
}

#[tokio::test]
async fn b4_after_a_flush_what_was_spent_is_there_again_and_only_once() {
    let server = Server::start();
    let gateways = ["a", "b", "c"].map(|name| Arc::new(gateway(&server, name)));
    let scope = scope("team:search", Limits { max_requests: Some(Requests(1000)), ..prepaid(100_000) });
    for gateway in &gateways {
        assert_eq!(one(gateway, &scope, 50).await, "granted");
    }
    let open = gateways[0].reserve(&entry(&[&scope]), now()).await.unwrap();
    server.ask(&["FLUSHALL"]);
    // Many attempts of each at once: each gateway's share counts once.
    let mut tasks = JoinSet::new();
    for place in 0..30 {
        let (gateway, scope) = (Arc::clone(&gateways[place % 3]), Arc::clone(&scope));
        tasks.spawn(async move { one(&gateway, &scope, 1).await });
    }
    assert!(tasks.join_all().await.iter().all(|outcome| outcome == "granted"));
    let figures = async || {
        let report = gateways[1].report(&Arc::from("acme"), std::slice::from_ref(&scope), now()).await;
        report[0].gauges.iter().map(|gauge| (gauge.used, gauge.held)).collect::<Vec<_>>()
    };
    assert_eq!(figures().await, [(33, 0), (180, 0)]);
    // What was open when the data was lost is charged when it ends, once.
    gateways[0].settle(open, spent(10, 20, 40), now()).await;
    assert_eq!(figures().await, [(34, 0), (220, 0)]);
}

#[tokio::test]
async fn b4_after_a_flush_a_gateway_without_requests_tells_what_it_has_spent_too() {
    let server = Server::start();
    let (idle, busy) = (gateway(&server, "idle"), gateway(&server, "busy"));
    let scope = scope("team:search", prepaid(1000));
    assert_eq!(one(&idle, &scope, 950).await, "granted");
    assert!(one(&busy, &scope, 0).await.starts_with("BudgetExceeded"));
    server.ask(&["FLUSHALL"]);
    until_spent(&busy, &scope, 950).await;
    assert!(one(&busy, &scope, 0).await.starts_with("BudgetExceeded"));
}

#[tokio::test]
async fn b4_after_a_flush_the_last_minute_of_all_gateways_counts_and_only_once() {
    let server = Server::start();
    let gateways = ["a", "b", "c"].map(|name| Arc::new(gateway(&server, name)));
    let scope = scope("key:ci", Limits { tpm: Some(Tokens(100_000)), ..rpm(40) });
    for gateway in &gateways {
        for _ in 0..3 {
            assert_eq!(one(gateway, &scope, 0).await, "granted");
        }
    }
    server.ask(&["FLUSHALL"]);
    // Many attempts of each at once: the nine from before count once.
    let mut tasks = JoinSet::new();
    for place in 0..30 {
        let (gateway, scope) = (Arc::clone(&gateways[place % 3]), Arc::clone(&scope));
        tasks.spawn(async move { one(&gateway, &scope, 0).await });
    }
    assert!(tasks.join_all().await.iter().all(|outcome| outcome == "granted"));
    let report = gateways[1].report(&Arc::from("acme"), std::slice::from_ref(&scope), now()).await;
    let used: Vec<_> = report[0].gauges.iter().map(|gauge| gauge.used).collect();
    assert_eq!(used, [39, 39 * 30]);
    assert_eq!(one(&gateways[0], &scope, 0).await, "granted");
    assert!(one(&gateways[0], &scope, 0).await.starts_with("RpmExceeded"));
}

#[tokio::test]
async fn b4_after_a_flush_a_gateway_without_requests_tells_its_last_minute_too() {
    let server = Server::start();
    let (idle, busy) = (gateway(&server, "idle"), gateway(&server, "busy"));
    let scope = scope("key:ci", rpm(2));
    assert_eq!(one(&idle, &scope, 0).await, "granted");
    assert_eq!(one(&idle, &scope, 0).await, "granted");
    assert!(one(&busy, &scope, 0).await.starts_with("RpmExceeded"));
    server.ask(&["FLUSHALL"]);
    until_spent(&busy, &scope, 2).await;
    assert!(one(&busy, &scope, 0).await.starts_with("RpmExceeded"));
}

#[tokio::test]
async fn b4_what_was_open_at_a_flush_counts_in_the_minute_once() {
    let server = Server::start();
    let gateway = gateway(&server, "a");
    let scope = scope("key:ci", rpm(3));
    let before = gateway.reserve(&entry(&[&scope]), now()).await.unwrap();
    server.ask(&["FLUSHALL"]);
    // It is told with this one, and is not counted again when it ends.
    assert_eq!(one(&gateway, &scope, 0).await, "granted");
    assert_eq!(standing(&gateway, &scope).await, (2, 0));
    gateway.settle(before, spent(10, 20, 0), now()).await;
    assert_eq!(standing(&gateway, &scope).await, (2, 0));
    // What ends before anything is told is told later, with all the rest.
    let before = gateway.reserve(&entry(&[&scope]), now()).await.unwrap();
    server.ask(&["FLUSHALL"]);
    gateway.settle(before, spent(10, 20, 0), now()).await;
    until_spent(&gateway, &scope, 3).await;
    assert!(one(&gateway, &scope, 0).await.starts_with("RpmExceeded"));
}

#[tokio::test]
async fn b4_more_tokens_than_were_told_after_a_flush_are_counted_when_they_are_known() {
    let server = Server::start();
    let gateway = gateway(&server, "a");
    let scope = scope("key:ci", tpm(1000));
    let before = gateway.reserve(&entry(&[&scope]), now()).await.unwrap();
    // Its own books have what it holds.
    gateway.own.scopes.lock().unwrap().get_mut("key:ci").unwrap().tokens = 100;
    server.ask(&["FLUSHALL"]);
    assert_eq!(one(&gateway, &scope, 0).await, "granted");
    assert_eq!(standing(&gateway, &scope).await, (130, 0));
    gateway.settle(before, spent(10, 290, 0), now()).await;
    assert_eq!(standing(&gateway, &scope).await, (330, 0));
}

#[tokio::test]
async fn e1_a_redis_that_is_gone_at_the_start_is_found_when_it_comes() {
    log::listen();
    let mut server = Server::not_started(&[]);
    let gateway = prompt(&server, "a", all(Fallback::Local));
    let scope = scope("key:ci", rpm(3));
    assert_eq!(one(&gateway, &scope, 0).await, "granted");
    until("the outage is known", || !gateway.is_alive());
    server.restart();
    until_well(&gateway).await;
    let other = gateway_with(&server, "b", PATIENT, Fail::default());
    until_spent(&other, &scope, 1).await;
    until("the log tells of both changes", || log::lines_of(server.port).len() > 1);
    let lines = log::lines_of(server.port);
    assert!(lines[0].starts_with("ERROR") && lines[0].contains("connecting to 127.0.0.1"), "{lines:?}");
    assert!(lines[1].starts_with("INFO"), "{lines:?}");
}

#[tokio::test]
async fn a_redis_that_was_restarted_is_used_again_without_a_request_that_fails() {
    let mut server = Server::start();
    let gateway = gateway(&server, "a");
    let scope = scope("team:search", prepaid(100_000));
    for _ in 0..5 {
        assert_eq!(one(&gateway, &scope, 3).await, "granted");
        server.kill();
        server.restart();
        // On a slow machine the background has met the outage; the connection of this thread has not.
        until_well(&gateway).await;
        assert_eq!(one(&gateway, &scope, 3).await, "granted");
    }
    assert_eq!(standing(&gateway, &scope).await, (30, 0));
}

#[tokio::test]
async fn e2_a_server_that_accepts_and_never_answers_delays_nobody_for_long() {
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = silent.local_addr().unwrap().port();
    let address = Address::parse(&format!("redis://:pass%23word@127.0.0.1:{port}")).unwrap();
    let gateway = with_settings(Settings::new(address, "tg", "a"));
    let scope = scope("key:ci", rpm(100));
    let began = Instant::now();
    for _ in 0..20 {
        assert_eq!(one(&gateway, &scope, 0).await, "granted", "by its own books");
    }
    assert!(began.elapsed() < BOUNDED, "{:?}", began.elapsed());
    until("the breaker opens", || !gateway.is_alive());
}

#[tokio::test]
async fn e5_tls_with_a_server_that_has_none_fails_and_the_log_says_so() {
    log::listen();
    let server = Server::start();
    let address = Address::parse(&format!("rediss://:hunter2@127.0.0.1:{}", server.port)).unwrap();
    let _gateway = with_settings(Settings::new(address, "tg", "a"));
    until("the log tells of the outage", || !log::lines_of(server.port).is_empty());
    let lines = log::lines_of(server.port);
    assert!(lines[0].starts_with("ERROR") && lines[0].contains("TLS"), "{lines:?}");
    assert!(lines.iter().all(|line| !line.contains("hunter2")), "{lines:?}");
}

#[test]
fn e5_no_tls_with_a_server_that_wants_it_sends_no_password_twice_and_is_not_taken_for_an_answer() {
    // A server that speaks TLS answers anything else with an alert and closes.
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let _ = stream.read(&mut [0; 64]);
            let _ = std::io::Write::write_all(&mut stream, &[0x15, 3, 1, 0, 2, 2, 70]);
        }
    });
    let address = Address::parse(&format!("redis://127.0.0.1:{port}")).unwrap();
    let gateway = with_settings(Settings::new(address, "tg", "a"));
    until("the outage is known", || !gateway.is_alive());
}

#[tokio::test]
async fn a_password_opens_a_server_and_a_wrong_one_is_named_without_being_told() {
    log::listen();
    // It has no password for the test's own calls, and one for a user.
    let server = Server::start_with(&["--user", "ann", "on", ">s3cret#", "~*", "+@all"]);
    let with = |login: &str| {
        let address = Address::parse(&format!("redis://{login}@127.0.0.1:{}/2", server.port)).unwrap();
        let mut settings = Settings::new(address, "tg", "a");
        settings.patience = PATIENT;
        with_settings(settings)
    };
    let scope = scope("key:ci", rpm(1));
    assert_eq!(one(&with("ann:s3cret%23"), &scope, 0).await, "granted");
    let _wrong = with("ann:hunter2");
    until("the log tells of the outage", || !log::lines_of(server.port).is_empty());
    let lines = log::lines_of(server.port);
    assert!(lines[0].contains("greeting") && !lines[0].contains("hunter2"), "{lines:?}");
}

#[tokio::test]
async fn e2_a_server_that_takes_no_writes_counts_as_lost() {
    let server = Server::start();
    let gateway = gateway_with(&server, "a", PATIENT, all(Fallback::Closed));
    until_well(&gateway).await;
    server.ask(&["CONFIG", "SET", "maxmemory", "1"]);
    let scope = scope("key:ci", rpm(100));
    for _ in 0..3 {
        assert_eq!(one(&gateway, &scope, 0).await, "unavailable");
    }
    assert!(!gateway.is_alive());
    server.ask(&["CONFIG", "SET", "maxmemory", "0"]);
    until_well(&gateway).await;
    assert_eq!(one(&gateway, &scope, 0).await, "granted");
}

#[tokio::test]
async fn a_settlement_whose_future_is_dropped_is_not_lost() {
    let server = Server::start();
    let gateway = gateway(&server, "a");
    let scope = scope("team:search", prepaid(1000));
    let hold = gateway.reserve(&entry(&[&scope]), now()).await.unwrap();
    server.freeze();
    let settling = gateway.settle(hold, spent(10, 20, 30), now());
    assert!(tokio::time::timeout(Duration::from_millis(1), settling).await.is_err());
    let asked = entry(&[&scope]);
    let reserving = gateway.reserve(&asked, now());
    assert!(tokio::time::timeout(Duration::from_millis(1), reserving).await.is_err());
    server.thaw();
    gateway.drain(Millis(30_000)).await;
    assert_eq!(standing(&gateway, &scope).await, (30, 0), "and what was asked for nobody is taken back");
}

/// Both the answer and the deadline have come before the thread gets to look at either.
#[tokio::test]
async fn an_answer_that_came_while_the_thread_was_kept_from_running_counts() {
    let server = Server::start();
    let gateway = prompt(&server, "stalled", all(Fallback::Closed));
    let scope = scope("key:stalled", rpm(100));
    assert_eq!(one(&gateway, &scope, 1).await, "granted");
    let mut other = server.connection();
    for _ in 0..10 {
        let entry = entry(&[&scope]);
        let stall = async {
            // The call has gone out.
            for _ in 0..10 {
                tokio::task::yield_now().await;
            }
            std::thread::sleep(Duration::from_millis(100));
            // What was asked before this has been answered.
            for _ in 0..2 {
                redis::cmd("PING").query::<String>(&mut other).unwrap();
            }
        };
        let (outcome, ()) = tokio::join!(gateway.reserve(&entry, now()), stall);
        gateway.settle(outcome.unwrap(), spent(1, 1, 1), now()).await;
    }
}
