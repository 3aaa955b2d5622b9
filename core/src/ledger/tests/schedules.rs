//! What holds for arbitrary schedules.

use super::*;
use proptest::prelude::*;
use proptest::test_runner::RngSeed;
use std::collections::BTreeMap;

/// Something that happens, so long after what happened before.
#[derive(Clone, Debug)]
struct Step {
    after: Millis,
    act: Act,
}

#[derive(Clone, Debug)]
enum Act {
    Reserve {
        scopes: u8,
        input: u64,
        least: u64,
        more: u64,
        price: u64,
    },
    /// Ends one of those that are open, with so many sixteenths of what it holds.
    Settle {
        which: usize,
        part: u64,
    },
    Release {
        which: usize,
    },
    Sweep,
    Store,
}

fn act() -> impl Strategy<Value = Act> {
    let reserve = (1_u8..16, 0_u64..400, 0_u64..100, 0_u64..300, 0_u64..40);
    let reserve = reserve.prop_map(|(scopes, input, least, more, price)| Act::Reserve {
        scopes,
        input,
        least,
        more,
        price,
    });
    prop_oneof![
        8 => reserve,
        4 => (any::<usize>(), 0_u64..=16).prop_map(|(which, part)| Act::Settle { which, part }),
        1 => any::<usize>().prop_map(|which| Act::Release { which }),
        1 => Just(Act::Sweep),
        1 => Just(Act::Store),
    ]
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let after = prop_oneof![
        6 => 0_u64..50,
        2 => 0_u64..5_000,
        // Where a window that is a little too short would show.
        1 => 58_000_u64..60_001,
        2 => 0_u64..90_000,
        1 => 0_u64..90_000_000,
    ];
    let step = (after, act()).prop_map(|(after, act)| Step { after: Millis(after), act });
    prop::collection::vec(step, 1..160)
}

/// Calls on the first scope that come faster than its limits allow, so that it is full all the time.
fn rush() -> impl Strategy<Value = Vec<Step>> {
    let reserve = (0_u64..150, 0_u64..50);
    let reserve =
        reserve.prop_map(|(input, least)| Act::Reserve { scopes: 1, input, least, more: 0, price: 0 });
    let settle = (any::<usize>(), 0_u64..=16).prop_map(|(which, part)| Act::Settle { which, part });
    let step = (0_u64..2_500, prop_oneof![3 => reserve, 1 => settle]);
    prop::collection::vec(step.prop_map(|(after, act)| Step { after: Millis(after), act }), 100..160)
}

const RPM: u64 = 20;
const TPM: u64 = 3000;

/// Four scopes with every kind of limit between them; the last holds for one of two targets.
fn scopes() -> [Arc<Scope>; 4] {
    let amount = |cents| NanoDollars(cents * DOLLAR / 100);
    let budget = |cents, per| Budget { amount: amount(cents), ..budget(1, per) };
    [
        scope("key:ci", Limits { rpm: Some(Requests(RPM)), tpm: Some(Tokens(TPM)), ..Limits::default() }),
        scope(
            "team:search",
            Limits {
                concurrency: Some(Requests(6)),
                budgets: vec![
                    Budget { warn: Some(Percent(80)), ..budget(300, Period::Day) },
                    Budget { reset: Reset::Rolling, ..budget(200, Period::Hour) },
                ],
                ..Limits::default()
            },
        ),
        scope(
            "user:ann",
            Limits {
                tpm_input: Some(Tokens(2500)),
                tpm_output: Some(Tokens(2500)),
                max_tokens: Some(Tokens(60_000)),
                budgets: vec![budget(900, Period::Never)],
                ..Limits::default()
            },
        ),
        scope(
            "key:ci/provider:openai",
            Limits { rpm: Some(Requests(7)), ..with_budget(budget(150, Period::Hour)) },
        ),
    ]
}

/// A ledger under a schedule, and what an observer saw.
#[derive(Default)]
struct Bench {
    ledger: Ledger,
    now: Time,
    next: u128,
    open: Vec<Hold>,
    /// What the first scope admitted: when, and how many tokens.
    admitted: BTreeMap<u128, (Time, u64)>,
    granted: u64,
    store: BTreeMap<String, Stored>,
    journal: Vec<u8>,
    warned: Vec<(String, Time)>,
}

impl Bench {
    fn new() -> Self {
        let mut bench = Self { now: NOON, ..Self::default() };
        // The ledger knows no earlier time than the observer.
        bench.ledger.sweep(NOON);
        bench
    }

    fn entry(&mut self, act: &Act) -> Option<Entry> {
        let Act::Reserve { scopes: which, input, least, more, price } = act else { return None };
        self.next += 1;
        let ask = Ask {
            more: Requests::ZERO,
            input: Estimated(Tokens(*input)),
            least_output: Estimated(Tokens(*least)),
            most_output: Estimated(Tokens(least + more)),
            cost: (*price > 0).then_some(AskCost {
                fixed: NanoDollars(input * price * 10_000),
                output: PerMillion(price * 40_000_000_000),
            }),
        };
        let mut entry = entry(self.next, &[], ask);
        entry.targets = Targets::NONE.with(0).with(1);
        for (place, scope) in scopes().into_iter().enumerate().filter(|(place, _)| which & (1 << place) != 0)
        {
            let targets = if place == 3 { Targets::NONE.with(0) } else { Targets::ALL };
            entry.claims.push(Claim { scope, targets });
        }
        Some(entry)
    }

    /// Does a step and notes it. The clock may have slipped back meanwhile; time does not.
    fn step(&mut self, step: &Step, slip: Millis) {
        let now = self.now + step.after - slip;
        self.now = self.now.max(now);
        match &step.act {
            act @ Act::Reserve { .. } => self.reserve(act, now),
            Act::Settle { which, part } => self.end(*which, *part, now),
            Act::Release { which } => self.end(*which, u64::MAX, now),
            Act::Sweep => {
                let warnings = self.ledger.sweep(now);
                self.warn(&warnings);
            }
            Act::Store => self.keep(),
        }
    }

    fn reserve(&mut self, act: &Act, now: Time) {
        let Some(entry) = self.entry(act) else { return };
        let limited = entry.claims.iter().any(|claim| claim.scope.name == "key:ci");
        let Ok(hold) = self.ledger.reserve(entry, now) else { return };
        self.granted += 1;
        if limited {
            let tokens = hold.entry.ask.input.0 + hold.output;
            self.admitted.insert(hold.id().0, (self.now, tokens.get()));
        }
        let entry = Box::new(hold.entry.clone());
        Note::Reserved { entry, output: hold.output, closed: hold.closed, at: now }.write(&mut self.journal);
        self.open.push(hold);
    }

    fn end(&mut self, which: usize, part: u64, now: Time) {
        if self.open.is_empty() {
            return;
        }
        let hold = self.open.swap_remove(which % self.open.len());
        let of = |amount: u64| if part > 16 { 0 } else { amount * part / 16 };
        let ask = hold.entry.ask;
        let held = ask.cost.map(|cost| cost.with_output(hold.output)).unwrap_or_default();
        let (input, output) = (of(ask.input.0.get()), of(hold.output.get()));
        let settlement = if part > 16 {
            Settlement::Release
        } else {
            let targets = if part.is_multiple_of(2) { Targets::NONE.with(1) } else { Targets::ALL };
            Settlement::Settle(Spent {
                input: Metered(Tokens(input)),
                output: Metered(Tokens(output)),
                cost: NanoDollars(of(held.get())),
                targets: targets.without(hold.closed),
            })
        };
        let id = hold.id();
        let lease_goes_on =
            self.now < self.admitted.get(&id.0).map_or(Time::NEVER, |(at, _)| *at + hold.entry.lease);
        Note::Settled { id, settlement, at: now }.write(&mut self.journal);
        let warnings = self.ledger.settle(hold, &settlement, now);
        self.warn(&warnings);
        if let Some((_, tokens)) = self.admitted.get_mut(&id.0).filter(|_| lease_goes_on) {
            *tokens = input + output;
        }
    }

    fn warn(&mut self, warnings: &[Warning]) {
        for warning in warnings {
            self.warned.push((warning.scope.clone(), warning.resets_at.expect("a daily budget")));
        }
    }

    /// Stores what has changed, and begins a new journal.
    fn keep(&mut self) {
        let Changed { stored, ended, emptied } = self.ledger.take_changed();
        for state in stored {
            let name = match &state {
                Stored::Account { scope, .. } => scope.clone(),
                Stored::Open { id, .. } => id.0.to_string(),
            };
            self.store.insert(name, state);
        }
        for name in ended.iter().map(|id| id.0.to_string()).chain(emptied) {
            assert!(self.store.remove(&name).is_some(), "{name} was never stored");
        }
        self.journal.clear();
    }

    /// What comes back after the process was killed.
    fn again(&self) -> Ledger {
        let mut ledger = Ledger::default();
        for state in self.store.values() {
            ledger.restore(state).expect("sound");
        }
        let mut rest = self.journal.as_slice();
        while let Some(Read { note, length }) = Note::read(rest).expect("sound") {
            ledger.replay(&note);
            rest = &rest[length..];
        }
        ledger
    }

    fn last_minute(&self) -> (u64, u64) {
        let recent = self.admitted.values().filter(|(at, _)| self.now.since(*at) < Millis(60_000));
        recent.fold((0, 0), |(requests, tokens), (_, more)| (requests + 1, tokens + more))
    }

    fn reports(&self, now: Time) -> Vec<Report> {
        scopes().iter().map(|scope| self.ledger.report(scope, now)).collect()
    }
}

/// Enough of them, and always the same ones.
fn config(seed: u64) -> ProptestConfig {
    ProptestConfig {
        cases: 64,
        rng_seed: RngSeed::Fixed(seed),
        failure_persistence: None,
        ..ProptestConfig::default()
    }
}

proptest! {
    #![proptest_config(config(1))]
    #[test]
    fn a12_in_any_minute_no_more_is_admitted_than_the_limits_say(
        steps in prop_oneof![steps(), rush()],
        slips in prop::collection::vec(0_u64..30_000, 160),
    ) {
        let mut bench = Bench::new();
        for (step, slip) in steps.iter().zip(slips) {
            bench.step(step, Millis(slip * (slip % 2)));
            let (requests, tokens) = bench.last_minute();
            prop_assert!(requests <= RPM, "{requests} requests in a minute");
            prop_assert!(tokens <= TPM, "{tokens} tokens in a minute");
        }
    }

    #[test]
    fn b2_what_is_spent_and_held_never_passes_a_budget(steps in steps()) {
        let mut bench = Bench::new();
        for step in &steps {
            bench.step(step, Millis::ZERO);
            for reading in bench.reports(bench.now).into_iter().flat_map(|report| report.gauges) {
                prop_assert!(reading.used + reading.held <= reading.most, "{reading:?}");
            }
        }
        let mut told = bench.warned.clone();
        told.sort();
        told.dedup();
        prop_assert_eq!(told.len(), bench.warned.len(), "a warning was told twice in its period");
    }

    #[test]
    fn b3_every_reservation_ends_once_and_then_nothing_is_held(steps in steps()) {
        let mut bench = Bench::new();
        for step in &steps {
            bench.step(step, Millis::ZERO);
        }
        bench.now = bench.now + Millis(1);
        while !bench.open.is_empty() {
            bench.end(0, 16, bench.now);
        }
        let held = |bench: &Bench| bench.reports(bench.now).iter().flat_map(|report| &report.gauges).map(|reading| reading.held).sum::<u64>();
        prop_assert_eq!(held(&bench), 0);
        prop_assert!(bench.ledger.open.is_empty());
        let changed = bench.ledger.take_changed();
        let open = changed.stored.iter().filter(|state| matches!(state, Stored::Open { .. })).count();
        prop_assert_eq!(open, 0);
    }

    #[test]
    fn a_ledger_that_was_stopped_answers_like_one_that_never_was(steps in steps(), probes in steps()) {
        let mut bench = Bench::new();
        for step in &steps {
            bench.step(step, Millis::ZERO);
        }
        let mut again = Bench { ledger: bench.again(), now: bench.now, next: bench.next, ..Bench::new() };
        let now = bench.now;
        bench.ledger.sweep(now);
        again.ledger.sweep(now);
        prop_assert_eq!(again.reports(now), bench.reports(now));
        for Step { after, act } in probes.iter().take(60) {
            bench.now = bench.now + *after;
            let now = bench.now;
            if let Some(entry) = bench.entry(act) {
                let expected = bench.ledger.reserve(entry.clone(), now);
                prop_assert_eq!(again.ledger.reserve(entry, now), expected);
            } else if let Some(hold) = bench.open.pop() {
                let Hold { entry, output, closed, standing } = &hold;
                let same = Hold { entry: entry.clone(), output: *output, closed: *closed, standing: *standing };
                let expected = bench.ledger.settle(hold, &paid(1), now);
                prop_assert_eq!(again.ledger.settle(same, &paid(1), now), expected);
            }
            prop_assert_eq!(again.reports(now), bench.reports(now));
        }
    }

    #[test]
    fn a_refusal_opens_when_it_says_and_not_before(steps in steps(), probe in act()) {
        let mut bench = Bench::new();
        for step in &steps {
            bench.step(step, Millis::ZERO);
        }
        while !bench.open.is_empty() {
            bench.end(0, 16, bench.now);
        }
        let now = bench.now;
        if let Some(entry) = bench.entry(&probe)
            && let Err(Refusal::Limited(limited)) = bench.ledger.reserve(entry.clone(), now)
            && let Some(wait) = limited.opens_in
            && !limited.what.contains("never fits")
        {
            prop_assert!(wait > Millis::ZERO, "{limited:?}");
            let early = bench.again().reserve(entry.clone(), now + wait - Millis(1));
            prop_assert!(early.is_err(), "{limited:?} opened before");
            let then = bench.again().reserve(entry, now + wait);
            prop_assert!(then.is_ok(), "{limited:?} but then {then:?}");
        }
    }
}
