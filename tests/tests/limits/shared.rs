//! Several gateways on one Redis.

use crate::keys::{call, create};
use crate::redis::Redis;
use crate::setting::{
    PROGRAM, assert_limited, assert_usd, at_once, capped, chat, config, key, limits, secret, seen, spend,
    stream, tenth, with_status,
};
use serde_json::json;
use std::time::{Duration, Instant};
use tollgate_sim::Running;
use tollgate_tests::gateway::{Gateway, eventually};
use tollgate_tests::http::{Answer, Request};

/// Gateways with databases of their own, one Redis and one provider.
pub struct Group {
    pub gateways: Vec<Gateway>,
    pub redis: Redis,
    pub sim: Running,
    config: String,
}

impl Group {
    pub fn new(count: usize, rest: &str) -> Self {
        Self::with_store(count, "", rest)
    }

    /// With something more under `[store]`.
    pub fn with_store(count: usize, store: &str, rest: &str) -> Self {
        let sim = tollgate_sim::spawn().expect("a simulator can be had");
        let redis = Redis::start();
        let config = config(&sim, &format!("redis = \"{}\"\n{store}", redis.url()), rest);
        let gateways = (0..count).map(|_| Gateway::start(PROGRAM, &config)).collect();
        Self { gateways, redis, sim, config }
    }

    /// One more.
    pub fn join(&mut self) {
        self.gateways.push(Gateway::start(PROGRAM, &self.config));
    }

    /// So many calls of key `k` at once, to each gateway in turn.
    fn at_once(&self, count: usize, request: &Request) -> Vec<Answer> {
        let request = request.clone().key(&secret("k"));
        at_once(count, |at| self.gateways[at % self.gateways.len()].ask(&request))
    }

    /// One call of key `k` to one of them.
    pub fn ask(&self, at: usize, request: &Request) -> Answer {
        self.gateways[at].ask(&request.clone().key(&secret("k")))
    }
}

#[test]
fn k2_a3_four_gateways_admit_the_requests_of_one_limit() {
    let group = Group::new(4, &key("k", "rpm = 20"));
    let answers = group.at_once(100, &chat("sim/m+head_delay=200"));
    assert_eq!((with_status(&answers, 200), with_status(&answers, 429)), (20, 80));
    assert_eq!(seen(&group.sim), 20);
    for at in 0..4 {
        assert_limited(&group.ask(at, &chat("sim/m")), "rpm_exceeded", "key:k");
    }
}

#[test]
fn k2_a4_four_gateways_admit_the_tokens_of_one_limit() {
    let group = Group::new(4, &key("k", "tpm = 5500"));
    let answers = group.at_once(40, &capped("sim/m+chars=4000,head_delay=200", 1000));
    assert_eq!((with_status(&answers, 200), with_status(&answers, 429)), (5, 35));
    assert_limited(&group.ask(3, &capped("sim/m", 1000)), "tpm_exceeded", "key:k");
}

#[test]
fn k2_b1_four_gateways_spend_one_budget() {
    let group = Group::new(4, &key("k", "budget = [{ usd = 1.02, per = \"day\" }]"));
    let answers = group.at_once(50, &tenth(",head_delay=200"));
    assert_eq!((with_status(&answers, 200), with_status(&answers, 402)), (10, 40));
    for at in 0..4 {
        assert_limited(&group.ask(at, &tenth("")), "budget_exceeded", "key:k");
        // Each gateway tells the same, since they share what they tell of.
        eventually("all is settled", || limits(&group.gateways[at], "key:k")[0].held == 0.0);
        assert_usd(limits(&group.gateways[at], "key:k")[0].used, 10.0 * crate::setting::TENTH);
    }
    assert_eq!(seen(&group.sim), 10);
}

#[test]
fn k2_a9_four_gateways_share_one_number_of_calls_in_flight() {
    let group = Group::new(4, &key("k", "concurrency = 6"));
    let answers = group.at_once(40, &chat("sim/m+head_delay=1500"));
    assert_eq!((with_status(&answers, 200), with_status(&answers, 429)), (6, 34));
    // All slots are free again, on whichever gateway they were taken.
    let answers = group.at_once(6, &chat("sim/m+head_delay=100"));
    assert_eq!(with_status(&answers, 200), 6);
}

#[test]
fn a13_all_scopes_of_a_team_hold_across_gateways() {
    let group = Group::new(
        3,
        &format!(
            "[[organisations]]\nname = \"o\"\nrpm = 50\n[[teams]]\nname = \"t\"\norganisation = \"o\"\nrpm = 10\ntpm = 100000\n{}{}",
            key("k", "team = \"t\"\nrpm = 7"),
            key("l", "team = \"t\"")
        ),
    );
    let answers = group.at_once(30, &chat("sim/m"));
    assert_eq!(with_status(&answers, 200), 7);
    let answers = at_once(30, |at| group.gateways[at % 3].ask(&chat("sim/m").key(&secret("l"))));
    assert_eq!(with_status(&answers, 200), 3);
    let refused = answers.iter().find(|answer| answer.status != 200).expect("one was refused");
    assert_limited(refused, "rpm_exceeded", "team:t");
}

#[test]
fn a5_a_namespace_keeps_gateways_apart_and_together() {
    let mut group = Group::with_store(2, "namespace = \"blue\"", &key("k", "rpm = 5"));
    let answers = group.at_once(20, &chat("sim/m"));
    assert_eq!(with_status(&answers, 200), 5);
    group.config = group.config.replace("blue", "green");
    group.join();
    assert_eq!(group.ask(2, &chat("sim/m")).status, 200);
    assert_eq!(group.ask(0, &chat("sim/m")).status, 429);
}

#[test]
fn what_redis_knows_outlives_every_gateway() {
    let mut group = Group::new(1, &key("k", "rpm = 2\nbudget = [{ usd = 0.25, per = \"day\" }]"));
    assert_eq!((group.ask(0, &tenth("")).status, group.ask(0, &tenth("")).status), (200, 200));
    eventually("it is settled", || limits(&group.gateways[0], "key:k").iter().all(|gauge| gauge.held == 0.0));
    group.gateways[0].kill();
    group.join();
    let refused = group.ask(1, &tenth(""));
    assert!(matches!(refused.status, 402 | 429), "{}", refused.text());
}

#[test]
fn d2_a_key_made_blocked_and_deleted_on_one_gateway_is_so_on_the_others() {
    let group = Group::new(2, &key("k", ""));
    let [here, there] = &group.gateways[..] else { panic!("two") };
    let soon = |what: &str, is_so: &dyn Fn() -> bool| {
        let start = Instant::now();
        eventually(what, is_so);
        assert!(start.elapsed() < Duration::from_secs(5), "{what}: {:?}", start.elapsed());
    };
    let secret = create(here, &json!({"name": "ci", "rpm": 1000}));
    assert_eq!(call(here, &secret).status, 200);
    soon("it is known there", &|| call(there, &secret).status == 200);
    let admin = |method: &str, path: &str| {
        let answer = crate::setting::admin(here, &Request::new(method, path));
        assert_eq!(answer.status, 200, "{}", answer.text());
    };
    admin("POST", "/api/keys/ci/block");
    assert_eq!(call(here, &secret).code(), "key_blocked");
    // In constant use there, which must not keep it alive.
    soon("it is blocked there", &|| call(there, &secret).status == 403);
    admin("POST", "/api/keys/ci/unblock");
    soon("it is open there", &|| call(there, &secret).status == 200);
    admin("DELETE", "/api/keys/ci");
    assert_eq!(call(here, &secret).status, 401);
    soon("it is gone there", &|| call(there, &secret).status == 401);
}

#[test]
fn spend_of_all_gateways_is_enforced_and_each_keeps_its_own_record() {
    let group = Group::new(2, &key("k", "budget = [{ usd = 100, per = \"month\" }]"));
    for at in 0..6 {
        assert_eq!(group.ask(at % 2, &stream("sim/m+chars=400", 100)).status, 200);
    }
    for gateway in &group.gateways {
        eventually("its own are on record", || spend(gateway, "key:k").requests == 3);
        assert_usd(limits(gateway, "key:k")[0].used, 6.0 * crate::setting::TENTH);
    }
}
