//! Limits hold for all gateways together.

use crate::gateway::*;
use crate::server::{Server, until};
use std::sync::Arc;
use tokio::task::JoinSet;
use tollgate_core::ledger::{Claim, Hold, Refusal, Settlement, Targets};
use tollgate_core::limit::{Limits, Percent, Period, Reset};
use tollgate_core::units::{Estimated, Millis, Requests, Time, Tokens};
use tollgate_native::ledger::shared::{Address, Settings};

/// Reserves so many entries at once, spread over the gateways.
async fn at_once(
    gateways: &[Arc<Gateway>],
    scope: &Arc<tollgate_core::ledger::Scope>,
    count: usize,
) -> Vec<Result<Hold, Refusal>> {
    let mut tasks = JoinSet::new();
    for place in 0..count {
        let gateway = Arc::clone(&gateways[place % gateways.len()]);
        let entry = entry(&[scope]);
        tasks.spawn(async move { gateway.reserve(&entry, now()).await });
    }
    tasks.join_all().await
}

fn granted(outcomes: Vec<Result<Hold, Refusal>>) -> Vec<Hold> {
    outcomes.into_iter().filter_map(Result::ok).collect()
}

fn four(server: &Server) -> Vec<Arc<Gateway>> {
    ["a", "b", "c", "d"].map(|name| Arc::new(gateway(server, name))).to_vec()
}

#[tokio::test]
async fn a3_k2_four_gateways_on_one_redis_admit_the_limit_once() {
    let server = Server::start();
    let scope = scope("key:ci", rpm(10));
    let holds = granted(at_once(&four(&server), &scope, 80).await);
    assert_eq!(holds.len(), 10);
}

#[tokio::test]
async fn a4_tokens_are_counted_by_all_gateways_together() {
    let server = Server::start();
    let scope = scope("key:ci", tpm(1000));
    let holds = granted(at_once(&four(&server), &scope, 40).await);
    assert_eq!(holds.len(), 10, "each takes a hundred tokens");
}

#[tokio::test]
async fn k1_a_hundred_at_once_on_a_limit_of_one_get_through_once() {
    let server = Server::start();
    for limits in
        [rpm(1), tpm(100), prepaid(100), Limits { concurrency: Some(Requests(1)), ..Limits::default() }]
    {
        let scope = scope(&format!("key:{limits:?}"), limits);
        let gateways = [Arc::new(gateway(&server, "a"))];
        assert_eq!(granted(at_once(&gateways, &scope, 100).await).len(), 1, "{}", scope.name);
    }
}

#[tokio::test]
async fn b2_fifty_at_once_that_each_cost_a_tenth_of_the_budget_spend_the_budget() {
    let server = Server::start();
    let scope = scope("team:search", yearly(1000));
    let gateways = four(&server);
    let holds = granted(at_once(&gateways, &scope, 50).await);
    assert_eq!(holds.len(), 10);
    for (place, hold) in holds.into_iter().enumerate() {
        gateways[place % 4].settle(hold, spent(10, 90, 100), now()).await;
    }
    assert_eq!(standing(&gateways[0], &scope).await, (1000, 0));
    assert!(at_once(&gateways, &scope, 4).await.iter().all(Result::is_err));
}

#[tokio::test]
async fn a_refusal_says_which_limit_how_much_is_left_and_when_it_opens() {
    let server = Server::start();
    let gateway = gateway(&server, "a");
    let scopes = [
        scope("key:a", Limits { concurrency: Some(Requests(1)), ..Limits::default() }),
        scope("key:b", prepaid(150)),
        scope("key:c", Limits { max_tokens: Some(Tokens(130)), ..Limits::default() }),
    ];
    let mut told_of = Vec::new();
    for scope in &scopes {
        let _hold = gateway.reserve(&entry(&[scope]), now()).await.unwrap();
        told_of.push(told(gateway.reserve(&entry(&[scope]), now()).await));
    }
    assert_eq!(
        told_of,
        [
            "ConcurrencyExceeded key:a: 1 requests at once, 0 left, this call takes 1, opens in 1 s",
            "BudgetExceeded key:b: $0.00000015 in all, $0.00000005 left, this call may cost $0.0000001, does not open again",
            "TpmExceeded key:c: 130 tokens in all, 30 left, this call may take 100, does not open again",
        ]
    );
    let small = scope("key:d", tpm(99));
    let never = told(gateway.reserve(&entry(&[&small]), now()).await);
    assert_eq!(
        never,
        "TpmExceeded key:d: 99 tokens a minute, 99 left, this call may take 100 and never fits"
    );
}

#[tokio::test]
async fn of_several_limits_the_one_that_opens_last_is_named_and_none_takes_anything() {
    let server = Server::start();
    let gateway = gateway(&server, "a");
    let (minute, ever) = (scope("key:ci", rpm(1)), scope("team:search", prepaid(100)));
    let _hold = gateway.reserve(&entry(&[&minute, &ever]), now()).await.unwrap();
    let other = scope("user:ann", rpm(5));
    let refused = told(gateway.reserve(&entry(&[&other, &minute, &ever]), now()).await);
    assert!(refused.starts_with("BudgetExceeded team:search: "), "{refused}");
    assert_eq!(standing(&gateway, &other).await, (0, 0), "all take it or none does");
}

#[tokio::test]
async fn the_window_slides_to_the_millisecond_by_the_clock_of_the_server() {
    let server = Server::start();
    let gateway = gateway(&server, "a");
    let scope = scope("key:ci", rpm(2));
    let first = gateway.reserve(&entry(&[&scope]), now()).await.unwrap();
    assert_eq!(first.standing.requests.unwrap().left, Requests(1));
    server.age("{tg:acme}:scope:key:ci", 30_000);
    let _second = gateway.reserve(&entry(&[&scope]), now()).await.unwrap();
    let Err(Refusal::Limited(limited)) = gateway.reserve(&entry(&[&scope]), now()).await else {
        panic!("a third in half a minute")
    };
    let opens = limited.opens_in.unwrap();
    assert!(opens <= Millis(30_000) && opens > Millis(1000), "{opens}");
    server.age("{tg:acme}:scope:key:ci", 30_000);
    let _third = gateway.reserve(&entry(&[&scope]), now()).await.unwrap();
    assert!(gateway.reserve(&entry(&[&scope]), now()).await.is_err(), "the second is not a minute old");
}

#[tokio::test]
async fn a_window_of_many_requests_stays_exact_in_its_sum() {
    let server = Server::start();
    let gateway = gateway(&server, "a");
    let scope = scope("key:ci", rpm(300));
    let mut admitted = 0;
    for round in 0..40 {
        for _ in 0..8 {
            admitted += u64::from(gateway.reserve(&entry(&[&scope]), now()).await.is_ok());
        }
        if round < 20 {
            server.age("{tg:acme}:scope:key:ci", 100);
        }
    }
    assert_eq!(admitted, 300);
    assert_eq!(standing(&gateway, &scope).await.0, 300);
}

#[tokio::test]
async fn a_window_of_many_slots_corrects_and_gives_back_the_oldest_too() {
    let server = Server::start();
    let gateway = gateway(&server, "a");
    let (scope, key) = (scope("key:ci", tpm(50_000)), "{tg:acme}:scope:key:ci");
    let first = gateway.reserve(&entry(&[&scope]), now()).await.unwrap();
    let mut last = None;
    for _ in 1..500 {
        last = Some(gateway.reserve(&entry(&[&scope]), now()).await.unwrap());
    }
    assert!(server.packs_older_slots(key));
    let used = async || {
        let (used, held) = standing(&gateway, &scope).await;
        used + held
    };
    assert_eq!(used().await, 50_000);
    gateway.settle(first, spent(10, 20, 0), now()).await;
    gateway.settle(last.unwrap(), spent(10, 50, 0), now()).await;
    assert_eq!(used().await, 49_890);
    assert!(server.packs_older_slots(key));
    server.age(key, 30_000);
    let _hold = gateway.reserve(&entry(&[&scope]), now()).await.unwrap();
    let Err(Refusal::Limited(limited)) = gateway.reserve(&entry(&[&scope]), now()).await else {
        panic!("ten tokens are left")
    };
    let opens = limited.opens_in.unwrap();
    assert!(opens <= Millis(30_000), "when the oldest leave: {opens}");
    assert_eq!(limited.standing.tokens.unwrap().left, Tokens(10));
    assert!(limited.standing.tokens.unwrap().reset > Millis(30_000), "when the latest leave");
    server.age(key, 30_000);
    assert_eq!(used().await, 100, "only what was asked last is not a minute old");
}

#[tokio::test]
async fn a14_a_gateways_wrong_clock_reopens_no_window_and_no_budget() {
    let server = Server::start();
    let minute = scope("key:ci", rpm(1));
    let year = scope("team:search", yearly(100));
    let _first = gateway(&server, "a").reserve(&entry(&[&minute, &year]), now()).await.unwrap();
    let slow = gateway(&server, "slow");
    let fast = gateway(&server, "fast");
    let next_year = tollgate_core::limit::calendar::span(Period::Year, &Default::default(), now()).to;
    for (gateway, clock) in [
        (&slow, now() - Millis::from_secs(30)),
        (&fast, now() + Millis::from_secs(30)),
        (&fast, now() + Millis::from_secs(90)),
        (&fast, next_year + Millis::from_secs(30)),
    ] {
        assert!(told(gateway.reserve(&entry(&[&minute]), clock).await).starts_with("RpmExceeded"));
        assert!(told(gateway.reserve(&entry(&[&year]), clock).await).starts_with("BudgetExceeded"));
    }
}

#[tokio::test]
async fn output_is_granted_as_far_as_every_limit_has_room() {
    let server = Server::start();
    let gateway = gateway(&server, "a");
    let elastic = |scopes: &[&Arc<_>]| {
        let mut entry = entry(scopes);
        entry.ask.least_output = Estimated(Tokens(5));
        entry
    };
    let tokens = scope("key:ci", tpm(60));
    let money = scope("team:search", prepaid(40));
    assert_eq!(told(gateway.reserve(&elastic(&[&tokens]), now()).await), "granted 50 tokens");
    assert_eq!(told(gateway.reserve(&elastic(&[&money]), now()).await), "granted 30 tokens");
    let both = [scope("key:x", tpm(60)), scope("team:x", prepaid(40))];
    assert_eq!(told(gateway.reserve(&elastic(&[&both[0], &both[1]]), now()).await), "granted 30 tokens");
    assert_eq!(standing(&gateway, &both[0]).await, (0, 40), "what is not granted is not held");
}

#[tokio::test]
async fn a_claim_for_some_targets_closes_only_these() {
    let server = Server::start();
    let gateway = gateway(&server, "a");
    let (whole, part) = (scope("key:ci", rpm(9)), scope("key:ci/provider:openai", rpm(1)));
    let both = || {
        let mut entry = entry(&[&whole]);
        entry.targets = Targets(0b11);
        entry.claims.push(Claim { scope: Arc::clone(&part), targets: Targets(0b10) });
        entry
    };
    assert_eq!(gateway.reserve(&both(), now()).await.unwrap().closed, Targets::NONE);
    let second = gateway.reserve(&both(), now()).await.unwrap();
    assert_eq!(second.closed, Targets(0b10));
    assert_eq!(standing(&gateway, &part).await, (1, 0), "a closed claim takes nothing");
    let mut only_closed = both();
    only_closed.targets = Targets(0b10);
    let refused = told(gateway.reserve(&only_closed, now()).await);
    assert!(refused.starts_with("RpmExceeded key:ci/provider:openai: "), "{refused}");
    assert_eq!(standing(&gateway, &whole).await, (2, 0));
}

#[tokio::test]
async fn limits_of_targets_that_were_not_called_get_everything_back() {
    let server = Server::start();
    let gateway = gateway(&server, "a");
    let part = scope("key:ci/provider:openai", rpm(1));
    let mut asked = entry(&[&scope("key:ci", rpm(9))]);
    asked.targets = Targets(0b11);
    asked.claims.push(Claim { scope: Arc::clone(&part), targets: Targets(0b10) });
    let hold = gateway.reserve(&asked, now()).await.unwrap();
    gateway.settle(hold, spent(10, 20, 30), now()).await;
    assert_eq!(standing(&gateway, &part).await, (0, 0));
}

#[tokio::test]
async fn a_scope_that_is_claimed_twice_takes_once() {
    let server = Server::start();
    let gateway = gateway(&server, "a");
    let scope = scope("key:ci", Limits { rpm: Some(Requests(9)), ..Limits::default() });
    let hold = gateway.reserve(&entry(&[&scope, &scope]), now()).await.unwrap();
    assert_eq!(standing(&gateway, &scope).await, (1, 0));
    gateway.settle(hold, spent(10, 20, 30), now()).await;
    assert_eq!(standing(&gateway, &scope).await, (1, 0));
}

#[tokio::test]
async fn a_release_gives_back_all_but_the_request() {
    let server = Server::start();
    let gateway = gateway(&server, "a");
    let (requests, tokens) = (scope("key:r", rpm(1)), scope("key:t", tpm(100)));
    let money = scope("key:m", prepaid(100));
    let hold = gateway.reserve(&entry(&[&requests, &tokens, &money]), now()).await.unwrap();
    gateway.settle(hold, Settlement::Release, now()).await;
    assert_eq!(standing(&gateway, &requests).await, (1, 0));
    assert_eq!(standing(&gateway, &tokens).await, (0, 0));
    assert_eq!(standing(&gateway, &money).await, (0, 0));
}

#[tokio::test]
async fn reserving_and_settling_twice_count_once() {
    let server = Server::start();
    let (one, other) = (gateway(&server, "a"), gateway(&server, "b"));
    let scope = scope("team:search", prepaid(1000));
    let asked = entry(&[&scope]);
    let first = one.reserve(&asked, now()).await.unwrap();
    let again = one.reserve(&asked, now()).await.unwrap();
    assert_eq!(first.output, again.output);
    assert_eq!(standing(&one, &scope).await, (0, 100));
    one.settle(first, spent(10, 20, 30), now()).await;
    one.settle(again, spent(10, 20, 30), now()).await;
    assert_eq!(standing(&other, &scope).await, (30, 0));
}

#[tokio::test]
async fn a9_a_slot_is_free_again_after_success_release_and_a_lost_gateway() {
    let server = Server::start();
    let gateway = gateway(&server, "a");
    let scope = scope("key:ci", Limits { concurrency: Some(Requests(1)), ..Limits::default() });
    for ending in [spent(10, 20, 30), Settlement::Release] {
        let hold = gateway.reserve(&entry(&[&scope]), now()).await.unwrap();
        assert!(gateway.reserve(&entry(&[&scope]), now()).await.is_err());
        gateway.settle(hold, ending, now()).await;
    }
    let _lost = gateway.reserve(&entry(&[&scope]), now()).await.unwrap();
    assert!(gateway.reserve(&entry(&[&scope]), now()).await.is_err());
    server.end_leases("{tg:acme}:leases");
    assert!(gateway.reserve(&entry(&[&scope]), now()).await.is_ok());
}

#[tokio::test]
async fn an_entry_whose_lease_is_over_is_charged_in_full() {
    let server = Server::start();
    let scope = scope("team:search", prepaid(1000));
    let _lost = gateway(&server, "a").reserve(&entry(&[&scope]), now()).await.unwrap();
    server.end_leases("{tg:acme}:leases");
    let other = gateway(&server, "b");
    let _next = other.reserve(&entry(&[&scope]), now()).await.unwrap();
    assert_eq!(standing(&other, &scope).await, (100, 100));
}

#[tokio::test]
async fn a_budget_that_passes_its_threshold_warns_once_for_all_gateways() {
    let server = Server::start();
    let mut limits = yearly(1000);
    limits.budgets[0].warn = Some(Percent(50));
    let scope = scope("team:search", limits);
    let gateways = [gateway(&server, "a"), gateway(&server, "b")];
    let mut warnings = Vec::new();
    for round in 0..8 {
        let gateway = &gateways[round % 2];
        let hold = gateway.reserve(&entry(&[&scope]), now()).await.unwrap();
        for warning in gateway.settle(hold, spent(10, 90, 100), now()).await {
            warnings.push((round, warning.scope, warning.spent.get(), warning.resets_at.is_some()));
        }
    }
    assert_eq!(warnings, [(4, "team:search".to_owned(), 500, true)]);
}

#[tokio::test]
async fn a_rolling_budget_counts_what_was_spent_lately() {
    let server = Server::start();
    let gateway = gateway(&server, "a");
    let scope = scope("team:search", crate::gateway::budget(Period::Day, Reset::Rolling, 150));
    let hold = gateway.reserve(&entry(&[&scope]), now()).await.unwrap();
    gateway.settle(hold, spent(10, 50, 60), now()).await;
    let Err(Refusal::Limited(limited)) = gateway.reserve(&entry(&[&scope]), now()).await else {
        panic!("160 of 150")
    };
    let day = Millis::from_secs(86_400);
    let opens = limited.opens_in.unwrap();
    assert!(opens >= day && opens <= day + Millis(day.get() / 60), "{opens}");
}

#[tokio::test]
async fn a5_gateways_with_one_namespace_share_and_others_do_not() {
    let server = Server::start();
    let scope = scope("key:ci", rpm(1));
    let named = |namespace: &str, name: &str| {
        let mut settings = Settings::new(Address::parse(&server.url()).unwrap(), namespace, name);
        settings.patience = PATIENT;
        with_settings(settings)
    };
    let (one, same, other) = (named("prod{1}", "a"), named("prod{1}", "b"), named("test", "c"));
    let _first = one.reserve(&entry(&[&scope]), now()).await.unwrap();
    assert!(same.reserve(&entry(&[&scope]), now()).await.is_err());
    assert!(other.reserve(&entry(&[&scope]), now()).await.is_ok());
}

#[tokio::test]
async fn g3_a_request_costs_one_call_to_reserve_and_one_to_settle() {
    let server = Server::start();
    let gateway = gateway(&server, "a");
    let scopes = ["key:ci", "user:ann", "team:search", "organisation:acme"].map(|name| {
        scope(name, Limits { rpm: Some(Requests(1000)), concurrency: Some(Requests(9)), ..yearly(1_000_000) })
    });
    let all: Vec<_> = scopes.iter().collect();
    let one = async || {
        let hold = gateway.reserve(&entry(&all), now()).await.unwrap();
        gateway.settle(hold, spent(10, 20, 30), now()).await;
    };
    // The server does not know the scripts yet.
    one().await;
    let before = server.script_calls();
    for _ in 0..50 {
        one().await;
    }
    assert_eq!(server.script_calls() - before, 100);
    let unlimited = scope("key:free", Limits::default());
    let hold = gateway.reserve(&entry(&[&unlimited]), now()).await.unwrap();
    gateway.settle(hold, spent(10, 20, 30), now()).await;
    assert_eq!(server.script_calls() - before, 100, "where nothing is limited nothing is asked");
}

#[tokio::test]
async fn idle_scopes_vanish_and_prepaid_ones_stay() {
    let server = Server::start();
    let gateway = gateway(&server, "a");
    let scopes =
        [scope("key:rate", rpm(9)), scope("key:year", yearly(1000)), scope("key:paid", prepaid(1000))];
    for scope in &scopes {
        let hold = gateway.reserve(&entry(&[scope]), now()).await.unwrap();
        gateway.settle(hold, spent(1, 1, 1), now()).await;
    }
    let life = |name: &str| {
        let answer = server.ask(&["PTTL", &format!("{{tg:acme}}:scope:{name}")]);
        redis::from_redis_value::<i64>(answer).unwrap()
    };
    assert!(life("key:rate") > 60_000);
    assert!(life("key:year") > 60_000);
    assert_eq!(life("key:paid"), -1);
    assert!(matches!(server.ask(&["ZCARD", "{tg:acme}:leases"]), redis::Value::Int(0)));
}

#[tokio::test]
async fn gateways_that_are_gone_for_a_day_are_forgotten_where_only_minutes_are_counted() {
    let server = Server::start();
    let (minutes, money) = (scope("key:rate", rpm(9)), scope("key:paid", prepaid(1000)));
    let ask = async |name: &str| {
        let gateway = gateway(&server, name);
        let hold = gateway.reserve(&entry(&[&minutes, &money]), now()).await.unwrap();
        gateway.settle(hold, spent(1, 1, 1), now()).await;
    };
    ask("gone").await;
    ask("here").await;
    for name in ["key:rate", "key:paid"] {
        server.miss(&format!("{{tg:acme}}:scope:{name}"), "gone", 25 * 3_600_000);
    }
    ask("new").await;
    assert_eq!(server.gateways("{tg:acme}:scope:key:rate"), ["here", "new"]);
    assert_eq!(server.gateways("{tg:acme}:scope:key:paid"), ["gone", "here", "new"]);
    assert_eq!(standing(&gateway(&server, "reader"), &minutes).await, (3, 0), "what it asked still counts");
}

#[test]
fn a10_books_lie_in_one_slot_each_and_a_cluster_of_three_serves_them_all() {
    let nodes: Vec<_> = (0..3)
        .map(|_| {
            let bus = crate::server::free_port().to_string();
            Server::start_with(&["--cluster-enabled", "yes", "--cluster-port", &bus])
        })
        .collect();
    let addresses: Vec<_> = nodes.iter().map(|node| format!("127.0.0.1:{}", node.port)).collect();
    let created = std::process::Command::new("redis-cli")
        .args(["--cluster", "create"])
        .args(&addresses)
        .args(["--cluster-replicas", "0", "--cluster-yes"])
        .output()
        .unwrap();
    assert!(created.status.success(), "{created:?}");
    until("the cluster is there", || {
        nodes.iter().all(|node| {
            let info: String = redis::cmd("CLUSTER").arg("INFO").query(&mut node.connection()).unwrap();
            info.contains("cluster_state:ok")
        })
    });
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let gateways = [gateway(&nodes[0], "a"), gateway(&nodes[1], "b")];
        for number in 0..12 {
            let limits = Limits { rpm: Some(Requests(1)), ..prepaid(1000) };
            let scopes =
                [scope(&format!("key:{number}"), limits), scope(&format!("team:{number}"), tpm(900))];
            let asked = || {
                let mut entry = entry(&[&scopes[0], &scopes[1]]);
                entry.book = Arc::from(format!("organisation {number}"));
                entry
            };
            let hold = gateways[0].reserve(&asked(), now()).await.unwrap();
            assert!(told(gateways[1].reserve(&asked(), now()).await).starts_with("RpmExceeded"));
            gateways[0].settle(hold, spent(10, 20, 30), now()).await;
            let report = gateways[1].report(&asked().book, &scopes[..1], now()).await;
            let used: Vec<_> = report[0].gauges.iter().map(|gauge| (gauge.used, gauge.held)).collect();
            assert_eq!(used, [(1, 0), (30, 0)]);
        }
    });
    for node in &nodes {
        let redis::Value::Int(keys) = node.ask(&["DBSIZE"]) else { panic!() };
        assert!(keys > 0, "all three have a part");
    }
}

#[test]
fn workers_with_runtimes_of_their_own_share_one_ledger() {
    let server = Server::start();
    let gateway = Arc::new(gateway(&server, "a"));
    let scope = scope("key:ci", rpm(20));
    let workers: Vec<_> = (0..4)
        .map(|_| {
            let (gateway, scope) = (Arc::clone(&gateway), Arc::clone(&scope));
            std::thread::spawn(move || {
                let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
                runtime.block_on(async {
                    let mut admitted = 0;
                    for _ in 0..10 {
                        admitted += u64::from(gateway.reserve(&entry(&[&scope]), now()).await.is_ok());
                    }
                    admitted
                })
            })
        })
        .collect();
    let admitted: u64 = workers.into_iter().map(|worker| worker.join().unwrap()).sum();
    assert_eq!(admitted, 20);
    // A second runtime on this thread: the first one's connections are gone with it.
    for _ in 0..2 {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let outcome = runtime.block_on(gateway.reserve(&entry(&[&scope]), Time(now().0)));
        assert!(told(outcome).starts_with("RpmExceeded"));
    }
}
