//! Several instances that draw on one book, with and without spares.

use super::*;
use crate::book::{Book, Opened};
use crate::testing::{Lite, ready};
use std::sync::Arc;
use tollgate_core::ledger::{Claim, Order, Reply, Scope, Settlement, Spent, Targets};
use tollgate_core::limit::calendar::Zone;
use tollgate_core::limit::{Budget, Limits, Period, Reset};
use tollgate_core::units::{Metered, Requests};

const NOON: Time = Time(1_767_441_600_000);
const RPM: u64 = 200;
const BUDGET: u64 = 1_000_000_000;
const INSTANCES: usize = 3;
const MOST: usize = 8;

/// Numbers that look random and are the same each time.
struct Dice(u64);

impl Dice {
    fn below(&mut self, most: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % most
    }
}

fn scope() -> Arc<Scope> {
    let (amount, reset) = (NanoDollars(BUDGET), Reset::Calendar(Zone::default()));
    let budgets = vec![Budget { amount, per: Period::Never, reset, warn: None }];
    let limits = Limits { rpm: Some(Requests(RPM)), budgets, ..Limits::default() };
    Arc::new(Scope::new("key:ci", limits))
}

fn entry(scope: &Arc<Scope>, id: u128, input: u64) -> Entry {
    let output = Estimated(Tokens(50));
    let cost = AskCost { fixed: NanoDollars(input * 1000), output: PerMillion(1_000_000_000) };
    Entry {
        id: RequestId(id),
        book: Arc::from(""),
        claims: vec![Claim { scope: Arc::clone(scope), targets: Targets::ALL }],
        targets: Targets::NONE.with(0),
        ask: Ask {
            more: Requests::ZERO,
            input: Estimated(Tokens(input)),
            least_output: output,
            most_output: output,
            cost: Some(cost),
        },
        lease: Millis::from_secs(60),
    }
}

/// A world with one book.
struct World {
    book: Book<Lite>,
    instances: Vec<Leases>,
    scope: Arc<Scope>,
    now: Time,
    next: u128,
    /// When calls were let through.
    calls: Vec<Time>,
    /// Of those, how many asked the book first.
    asked: u64,
    spent: u64,
    open: Vec<(Hold, Time)>,
}

impl World {
    fn new() -> Self {
        let Opened { book, .. } = ready(Book::open(Lite::default())).unwrap();
        let instances = (0..INSTANCES).map(|_| Leases::default()).collect();
        let (scope, calls, open) = (scope(), Vec::new(), Vec::new());
        Self { book, instances, scope, now: NOON, next: 1, calls, asked: 0, spent: 0, open }
    }

    fn order(&mut self, order: Order) -> Reply {
        ready(self.book.serve(order, self.now)).unwrap()
    }

    fn name(&mut self) -> RequestId {
        self.next += 1;
        RequestId(self.next)
    }

    fn call(&mut self, instance: usize, input: u64) {
        let id = self.name();
        let entry = entry(&self.scope, id.0, input);
        let hold = match self.instances[instance].turn("ci", &entry, MOST, self.now) {
            Turn::Spare(hold) => Some(*hold),
            Turn::Ask { spares: 0 } => {
                match self.order(Order::Reserve { key: "ci".to_owned(), entry: Box::new(entry.clone()) }) {
                    Reply::Held(held) => Some(held.of_entry(entry)),
                    Reply::Leased(_)
                    | Reply::Refused(_)
                    | Reply::Settled(_)
                    | Reply::Reports(_)
                    | Reply::Done => None,
                }
            }
            Turn::Ask { spares } => {
                let ids: Vec<RequestId> = (0..spares).map(|_| self.name()).collect();
                let like = spacious(&entry);
                let order =
                    Order::Lease { key: "ci".to_owned(), entry: Box::new(like.clone()), spares: ids.clone() };
                match self.order(order) {
                    Reply::Leased(mut held) => {
                        let first = held.remove(0);
                        self.instances[instance].put("ci", like, &ids, held, self.now);
                        Some(first.of_entry(entry))
                    }
                    Reply::Held(_)
                    | Reply::Refused(_)
                    | Reply::Settled(_)
                    | Reply::Reports(_)
                    | Reply::Done => None,
                }
            }
        };
        if let Some(hold) = hold {
            self.asked += u64::from(hold.id() == id);
            self.calls.push(self.now);
            self.open.push((hold, self.now + Millis(700)));
        }
    }

    /// What is over by now.
    fn turn(&mut self) {
        let (over, open) = std::mem::take(&mut self.open).into_iter().partition(|(_, end)| *end <= self.now);
        self.open = open;
        for (hold, _) in over {
            let Some(cost) = hold.entry.ask.cost else { panic!("it costs") };
            let cost = cost.with_output(hold.output);
            self.spent += cost.get();
            let (input, output) = (Metered(hold.entry.ask.input.0), Metered(hold.output));
            let spent = Spent { input, output, cost, targets: Targets::NONE.with(0) };
            self.order(Order::Settle { id: hold.id(), settlement: Settlement::Settle(spent) });
        }
        for instance in 0..INSTANCES {
            let spares = self.instances[instance].over("ci", self.now);
            if !spares.is_empty() {
                self.order(Order::Return { spares });
            }
        }
    }

    fn gauges(&mut self) -> Vec<(u64, u64)> {
        let Reply::Reports(reports) = self.order(Order::Report { scopes: vec![Arc::clone(&self.scope)] })
        else {
            panic!("no report")
        };
        reports[0].gauges.iter().map(|gauge| (gauge.used, gauge.held)).collect()
    }

    /// The most calls in any span of this length.
    fn most_in(&self, span: Millis) -> usize {
        let mut from = 0;
        let mut most = 0;
        for (to, at) in self.calls.iter().enumerate() {
            while at.since(self.calls[from]) >= span {
                from += 1;
            }
            most = most.max(to + 1 - from);
        }
        most
    }
}

/// Calls that come in bursts of all sizes for some minutes.
fn played(seed: u64) -> World {
    let (mut world, mut dice) = (World::new(), Dice(seed));
    for _ in 0..4000 {
        world.now = world.now + Millis(if dice.below(50) == 0 { dice.below(9000) } else { dice.below(60) });
        world.turn();
        let instance = dice.below(INSTANCES as u64) as usize;
        let input = 100 + dice.below(60);
        world.call(instance, input);
    }
    world
}

#[test]
fn no_budget_is_passed_and_rates_by_no_more_than_spares_are_out() {
    for seed in 0..20 {
        let world = played(seed);
        assert!(world.spent <= BUDGET, "{} of {BUDGET}", world.spent);
        assert!(world.most_in(Millis::from_secs(50)) <= RPM as usize, "seed {seed}");
        assert!(world.most_in(Millis::from_secs(60)) <= RPM as usize + INSTANCES * MOST, "seed {seed}");
    }
}

#[test]
fn most_calls_of_a_busy_key_do_not_ask() {
    let mut world = World::new();
    for _ in 0..100 {
        world.now = world.now + Millis(20);
        world.turn();
        world.call(0, 100);
    }
    assert_eq!(world.calls.len(), 100);
    assert!(world.asked <= 25, "{} of 100 asked", world.asked);
}

#[test]
fn near_a_limit_each_call_asks() {
    let mut world = World::new();
    for _ in 0..RPM {
        world.now = world.now + Millis(20);
        world.turn();
        world.call(0, 100);
    }
    let before = (world.asked, world.calls.len() as u64);
    assert_eq!(before.1, RPM, "all of the limit can be used");
    let mut last = World::new();
    for _ in 0..RPM - RPM / AMPLE {
        last.now = last.now + Millis(20);
        last.turn();
        last.call(0, 100);
    }
    assert!(before.0 - last.asked >= RPM / AMPLE - MOST as u64, "{} and {}", before.0, last.asked);
}

#[test]
fn what_is_not_used_is_given_back_and_never_was_a_request() {
    let mut world = World::new();
    for _ in 0..5 {
        world.now = world.now + Millis(10);
        world.call(0, 100);
    }
    let (used, _) = world.gauges()[0];
    assert!(used > 5, "there are spares");
    world.now = world.now + SPAN;
    world.turn();
    let gauges = world.gauges();
    assert_eq!(gauges[0].0, 5);
    assert_eq!(gauges[1].1, 0, "nothing is held");
}

#[test]
fn a_call_that_asks_for_more_than_a_spare_holds_asks_the_book() {
    let scope = scope();
    let mut leases = Leases::default();
    let like = spacious(&entry(&scope, 1, 100));
    let held = Held { output: Tokens(50), closed: Targets::NONE, standing: Default::default() };
    leases.put("ci", like, &[RequestId(7)], vec![held], NOON);
    let asks =
        |leases: &mut Leases, entry: &Entry| matches!(leases.turn("ci", entry, 8, NOON), Turn::Ask { .. });
    assert!(asks(&mut leases, &entry(&scope, 2, 1000)), "a longer prompt");
    let mut other = entry(&scope, 3, 100);
    other.ask.least_output = Estimated(Tokens(51));
    assert!(asks(&mut leases, &other), "a longer answer");
    assert!(asks(&mut leases, &Entry { book: Arc::from("acme"), ..entry(&scope, 4, 100) }), "another book");
    assert!(asks(&mut leases, &Entry { claims: Vec::new(), ..entry(&scope, 5, 100) }), "other limits");
    match leases.turn("ci", &entry(&scope, 6, 100), 8, NOON) {
        Turn::Spare(hold) => assert_eq!(hold.id(), RequestId(7)),
        Turn::Ask { .. } => panic!("it fits"),
    }
    assert!(asks(&mut leases, &entry(&scope, 6, 100)), "it is used");
}

#[test]
fn a_spare_that_is_over_is_not_used() {
    let scope = scope();
    let mut leases = Leases::default();
    let held = Held { output: Tokens(50), closed: Targets::NONE, standing: Default::default() };
    leases.put("ci", spacious(&entry(&scope, 1, 100)), &[RequestId(7)], vec![held], NOON);
    let now = NOON + SPAN;
    assert!(matches!(leases.turn("ci", &entry(&scope, 2, 100), 8, now), Turn::Ask { .. }));
    assert_eq!(leases.over("ci", now), [RequestId(7)]);
    assert!(leases.over("ci", now).is_empty());
}
