//! Facts about picking upstreams, in virtual time.

mod affinity;
mod closing;
mod limits;
mod picking;
mod pinned;
mod simulation;

use super::dice::Dice;
use super::*;
use crate::config::{Credential, Pattern, Provider, RouteTarget, Strategy, Timeouts, UpstreamLimits};
use crate::dialect::Dialect;
use crate::surface::Follows;
use crate::vendor::{Auth, Quirks, Vendor};

static VENDOR: Vendor = Vendor {
    name: "test",
    title: "Test",
    dialect: Dialect::OpenAi,
    base_url: "http://test",
    auth: Auth::Bearer,
    env: &[],
    address: crate::vendor::Address::NONE,
    quirks: Quirks::COMPATIBLE,
    also: None,
};

/// A provider with keys of these names, all of weight 1 and serving everything.
pub(super) fn provider(name: &str, keys: &[&str]) -> Provider {
    let span = Millis::from_secs(60);
    Provider {
        name: name.to_owned(),
        vendor: &VENDOR,
        dialect: Dialect::OpenAi,
        base_url: "http://test".parse().unwrap(),
        credentials: keys.iter().map(|key| credential(key, 1.0, "*")).collect(),
        timeouts: Timeouts { first_byte: span, idle: span, total: span, ..Timeouts::USUAL },
        headers: http::HeaderMap::new(),
        query: None,
        key_header: None,
        fixed_uri: Default::default(),
        speaks_one: Default::default(),
        only_chat: Default::default(),
        bills_unheard: false,
        terms: crate::price::Terms::default(),
    }
}

pub(super) fn credential(name: &str, weight: f64, models: &str) -> Credential {
    let models = vec![Pattern::parse(models).unwrap()];
    let limits = UpstreamLimits::default();
    Credential {
        name: name.to_owned(),
        secret: None,
        signer: None,
        source: None,
        weight,
        models,
        limits,
        header: Default::default(),
    }
}

pub(super) fn config(providers: Vec<Provider>) -> Config {
    let empty = crate::config::load(b"", &|_| Err("no secrets here".to_owned())).unwrap();
    Config { providers, ..empty }
}

pub(super) fn to(provider: u16, model: &str, weight: f64) -> RouteTarget {
    let (provider, model) = (ProviderId(provider), model.to_owned());
    RouteTarget {
        provider,
        model,
        weight,
        price: None,
        writes: None,
        limits: UpstreamLimits::default(),
        after: Default::default(),
    }
}

pub(super) fn route(strategy: Strategy, targets: Vec<RouteTarget>, fallbacks: Vec<RouteTarget>) -> Route {
    Route {
        name: "chat".to_owned(),
        strategy,
        targets,
        fallbacks,
        attempts: 3,
        deadline: Millis::from_secs(120),
        cache: None,
        account: Default::default(),
    }
}

/// A fleet with a config, a route and a clock.
pub(super) struct World {
    pub(super) fleet: Fleet,
    pub(super) config: Config,
    pub(super) route: Route,
    pub(super) now: Time,
    pub(super) dice: Dice,
}

impl World {
    pub(super) fn new(providers: Vec<Provider>, route: Route) -> Self {
        let now = Time(1_000_000);
        Self { fleet: Fleet::default(), config: config(providers), route, now, dice: Dice::new(42) }
    }

    /// One provider per target, `p0`, `p1`, …, each with one key and the model `m`.
    pub(super) fn of_targets(strategy: Strategy, weights: &[f64]) -> Self {
        let providers = (0..weights.len()).map(|at| provider(&format!("p{at}"), &["k"])).collect();
        let targets = (0..).zip(weights).map(|(at, weight)| to(at, "m", *weight)).collect();
        Self::new(providers, route(strategy, targets, Vec::new()))
    }

    pub(super) fn ask(&mut self, change: impl FnOnce(&mut Query<'_>)) -> Choice {
        let random = self.dice.bits();
        let mut query = query(&self.config, &self.route, self.now, random);
        change(&mut query);
        self.fleet.choose(&query)
    }

    pub(super) fn choose(&mut self) -> Choice {
        self.ask(|_| {})
    }

    pub(super) fn choose_after(&mut self, attempts: &[Attempt]) -> Choice {
        let random = self.dice.bits();
        let query = query(&self.config, &self.route, self.now, random);
        self.fleet.choose(&Query { attempts, ..query })
    }

    pub(super) fn send(&mut self) -> Lane {
        sent(self.choose())
    }

    pub(super) fn observe(&mut self, lane: Lane, outcome: Outcome) {
        self.fleet.observe(&self.config, &self.route, lane, outcome, self.now);
    }

    pub(super) fn fail(&mut self, lane: Lane, class: UpstreamClass) -> Attempt {
        self.fail_until(lane, class, None)
    }

    pub(super) fn fail_until(
        &mut self,
        lane: Lane,
        class: UpstreamClass,
        retry_after: Option<Millis>,
    ) -> Attempt {
        self.observe(lane, Outcome::Failed { class, retry_after });
        Attempt { lane, class, at: self.now }
    }

    pub(super) fn answer(&mut self, lane: Lane) {
        self.observe(lane, answered(300));
    }

    pub(super) fn pass(&mut self, span: Millis) {
        self.now = self.now + span;
    }

    pub(super) fn state(&self, provider: &str, key: &str) -> LaneState {
        let rows = self.fleet.report(self.now);
        rows.iter().find(|row| row.provider == provider && row.key == key).unwrap().state
    }
}

/// A first attempt with the whole deadline before it.
pub(super) fn query<'a>(config: &'a Config, route: &'a Route, now: Time, random: u64) -> Query<'a> {
    let deadline = now + route.deadline;
    Query {
        config,
        route,
        conversation: None,
        pin: None,
        closed: Targets::NONE,
        attempts: &[],
        waited: None,
        deadline,
        now,
        random,
    }
}

pub(super) fn answered(first_byte: u64) -> Outcome {
    let total = Millis(first_byte + 1000);
    Outcome::Answered { first_byte: Millis(first_byte), total, output: Some(Tokens(100)) }
}

pub(super) fn lane(target: u16, provider: u16, credential: u16) -> Lane {
    Lane { target, provider: ProviderId(provider), credential }
}

pub(super) fn sent(choice: Choice) -> Lane {
    match choice {
        Choice::Send(lane) => lane,
        Choice::Wait { .. } | Choice::Exhausted { .. } => panic!("expected to send, got {choice:?}"),
    }
}

pub(super) struct Wait {
    pub(super) lane: Lane,
    pub(super) until: Time,
}

pub(super) fn waits(choice: Choice) -> Wait {
    match choice {
        Choice::Wait { lane, until } => Wait { lane, until },
        Choice::Send(_) | Choice::Exhausted { .. } => panic!("expected to wait, got {choice:?}"),
    }
}

pub(super) fn turn(prefix: u64, follows: Follows) -> Option<Conversation> {
    Some(Conversation { prefix, follows })
}

#[test]
fn c8_no_more_than_so_many_calls_are_read_on_for_nobody() {
    let mut fleet = Fleet::default();
    for _ in 0..Fleet::MOST_UNHEARD {
        assert!(fleet.read_on());
    }
    assert!(!fleet.read_on());
    fleet.heard_out();
    assert!(fleet.read_on() && !fleet.read_on());
}
