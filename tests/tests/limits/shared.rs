//! Several gateways on one Redis.

use crate::keys::{call, create};
use crate::redis::Redis;
use crate::setting::{
    PROGRAM, assert_limited, at_once, capped, chat, config, key, limits, secret, seen, spend, stream, tenth,
    with_status,
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

/// A gateway that hears nothing of Redis for a tenth of a second does as its mode says, and on a machine
/// that does other work that may be all it gets. In this mode it then refuses, so that whatever the
/// machine does, no limit is passed.
const CLOSED: &str = "fail = { budgets = \"closed\", limits = \"closed\" }\n";

impl Group {
    /// In the usual modes.
    pub fn new(count: usize, rest: &str) -> Self {
        Self::with_store(count, "", rest)
    }

    /// Refusing everything where Redis is not heard of; connected.
    fn closed(count: usize, rest: &str) -> Self {
        let group = Self::with_store(count, CLOSED, &format!("{rest}{}", key("warm", "rpm = 1000000")));
        (0..count).for_each(|at| group.warm(at));
        group
    }

    /// With something more under `[store]`.
    pub fn with_store(count: usize, store: &str, rest: &str) -> Self {
        let sim = tollgate_sim::spawn().expect("a simulator can be had");
        let redis = Redis::start();
        let config = config(&sim, &format!("redis = \"{}\"\n{store}", redis.url()), rest);
        let gateways = (0..count).map(|_| Gateway::start(PROGRAM, &config)).collect();
        Self { gateways, redis, sim, config }
    }

    /// One of them is killed in the middle of whatever it does, and started again.
    pub fn restart(&mut self, at: usize) {
        self.gateways[at].kill();
        let folder = self.gateways[at].folder();
        self.gateways[at] = Gateway::start_in(PROGRAM, folder, &self.config);
    }

    /// One more.
    pub fn join(&mut self) {
        self.gateways.push(Gateway::start(PROGRAM, &self.config));
    }

    /// Waits until a gateway's workers have their connections.
    fn warm(&self, at: usize) {
        let request = chat("free/m").key(&secret("warm"));
        eventually("it is connected", || (0..8).all(|_| self.gateways[at].ask(&request).status == 200));
    }

    /// So many calls of key `k` at once, to each gateway in turn.
    fn at_once(&self, count: usize, request: &Request) -> Vec<Answer> {
        self.of("k", count, request)
    }

    /// The same of another key.
    fn of(&self, name: &str, count: usize, request: &Request) -> Vec<Answer> {
        let request = request.clone().key(&secret(name));
        at_once(count, |at| self.gateways[at % self.gateways.len()].ask(&request))
    }

    /// One call of key `k` to one of them; again where Redis was not heard of.
    pub fn ask(&self, at: usize, request: &Request) -> Answer {
        let request = request.clone().key(&secret("k"));
        let mut answer = self.gateways[at].ask(&request);
        eventually("redis is heard of", || {
            if answer.status == 503 {
                answer = self.gateways[at].ask(&request);
            }
            answer.status != 503
        });
        answer
    }

    /// No more than `limit` were served, and exactly so many if Redis was heard of in time each time.
    #[track_caller]
    fn assert_admitted(&self, answers: &[Answer], limit: usize) {
        let (served, lost) = (with_status(answers, 200), with_status(answers, 503));
        assert!(served <= limit, "{served} served, {limit} allowed");
        assert!(
            served == limit || served + lost >= limit && lost > 0,
            "{served} served, {lost} lost: {}",
            self.said()
        );
    }

    /// What all of them have said of Redis.
    fn said(&self) -> String {
        let said: String = self.gateways.iter().map(Gateway::said).collect();
        said.lines().filter(|line| line.to_lowercase().contains("redis")).collect::<Vec<_>>().join("\n")
    }
}

#[test]
fn k2_a3_four_gateways_admit_the_requests_of_one_limit() {
    let group = Group::closed(4, &key("k", "rpm = 20"));
    let before = seen(&group.sim);
    let answers = group.at_once(60, &chat("sim/m+head_delay=200"));
    group.assert_admitted(&answers, 20);
    assert!(seen(&group.sim) - before <= 20);
    for at in 0..4 {
        eventually("it is full on every gateway", || group.ask(at, &chat("sim/m")).status == 429);
        assert_limited(&group.ask(at, &chat("sim/m")), "rpm_exceeded", "key:k");
    }
    assert!(seen(&group.sim) - before <= 20, "in all");
}

#[test]
fn k2_a4_four_gateways_admit_the_tokens_of_one_limit() {
    let group = Group::closed(4, &key("k", "tpm = 5500"));
    let answers = group.at_once(40, &capped("sim/m+chars=4000,head_delay=200", 1000));
    group.assert_admitted(&answers, 5);
    for at in 0..4 {
        assert_eq!(group.ask(at, &capped("sim/m", 5000)).code(), "tpm_exceeded");
    }
}

#[test]
fn k2_b1_four_gateways_spend_one_budget() {
    let group = Group::closed(4, &key("k", "budget = [{ usd = 1.02, per = \"day\" }]"));
    let answers = group.at_once(50, &tenth(",head_delay=200"));
    group.assert_admitted(&answers, 10);
    let served = with_status(&answers, 200);
    let mut more = 0;
    eventually("it is spent", || {
        let answer = group.ask(0, &tenth(""));
        more += usize::from(answer.status == 200);
        answer.status == 402
    });
    assert!(served + more <= 10, "{served} and {more}");
    for at in 0..4 {
        eventually("it is spent on every gateway", || group.ask(at, &tenth("")).status == 402);
        // Each gateway tells the same, since they share what they tell of.
        let told = || limits(&group.gateways[at], "key:k")[0].clone();
        eventually("all is settled", || told().held == 0.0);
        eventually("the same is told", || {
            (told().used - (served + more) as f64 * crate::setting::TENTH).abs() < 1e-6
        });
    }
}

#[test]
fn k2_a9_four_gateways_share_one_number_of_calls_in_flight() {
    let group = Group::closed(4, &key("k", "concurrency = 6"));
    let answers = group.at_once(40, &chat("sim/m+head_delay=2000"));
    group.assert_admitted(&answers, 6);
    // All slots are free again, on whichever gateway they were taken.
    eventually("all are free", || {
        let answers = group.at_once(6, &chat("sim/m+head_delay=300"));
        with_status(&answers, 200) == 6
    });
}

#[test]
fn a9_the_next_call_of_a_client_finds_the_slot_of_its_last_one_free() {
    let group = Group::closed(1, &key("k", "concurrency = 1"));
    for how in ["", "+status=400", "+chars=4000,events=50"] {
        for at in 0..20 {
            let model = format!("sim/m{how}");
            let request = if at % 2 == 0 { chat(&model) } else { stream(&model, 1000) };
            assert_ne!(group.ask(0, &request).status, 429, "{how} {at}");
        }
    }
}

#[test]
fn a13_all_scopes_of_a_team_hold_across_gateways() {
    let group = Group::closed(
        3,
        &format!(
            "[[organisations]]\nname = \"o\"\nrpm = 50\n[[teams]]\nname = \"t\"\norganisation = \"o\"\nrpm = 10\ntpm = 100000\n{}{}",
            key("k", "team = \"t\"\nrpm = 7"),
            key("l", "team = \"t\"")
        ),
    );
    let first = group.at_once(20, &chat("sim/m"));
    group.assert_admitted(&first, 7);
    let second = group.of("l", 20, &chat("sim/m"));
    let (first, second) = (with_status(&first, 200), with_status(&second, 200));
    assert!(first + second <= 10, "{first} and {second}");
    let last = chat("sim/m").key(&secret("l"));
    for gateway in &group.gateways {
        eventually("it is full on every gateway", || gateway.ask(&last).status == 429);
        eventually("whose limit it is", || gateway.ask(&last).text().contains("team:t"));
    }
}

#[test]
fn a5_a_namespace_keeps_gateways_apart_and_together() {
    let mut group = Group::with_store(2, &format!("{CLOSED}namespace = \"blue\""), &key("k", "rpm = 5"));
    let statuses: Vec<_> = (0..10).map(|at| group.ask(at % 2, &chat("sim/m")).status).collect();
    assert!(statuses.iter().filter(|status| **status == 200).count() <= 5, "{statuses:?}");
    assert_eq!(statuses[9], 429);
    group.config = group.config.replace("blue", "green");
    group.join();
    assert_eq!(group.ask(2, &chat("sim/m")).status, 200);
    assert_eq!(group.ask(0, &chat("sim/m")).status, 429);
}

#[test]
fn what_redis_knows_outlives_every_gateway() {
    let mut group = Group::closed(1, &key("k", "rpm = 2\nbudget = [{ usd = 0.25, per = \"day\" }]"));
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
fn spend_of_all_gateways_is_enforced_and_on_record_at_each() {
    let group = Group::closed(2, &key("k", "budget = [{ usd = 100, per = \"month\" }]"));
    for at in 0..6 {
        assert_eq!(group.ask(at % 2, &stream("sim/m+chars=400", 100)).status, 200);
    }
    for gateway in &group.gateways {
        let spent = || spend(gateway, "key:k");
        eventually("all are on record", || spent().requests - spent().failed == 6);
        eventually("all is enforced", || {
            (limits(gateway, "key:k")[0].used - 6.0 * crate::setting::TENTH).abs() < 1e-6
        });
    }
}
