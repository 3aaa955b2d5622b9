//! What of a budget is spent, and what is held.

use crate::limit::calendar::{self, Span};
use crate::limit::{Budget, Percent, Period, Reset};
use crate::price;
use crate::units::{Millis, NanoDollars, Time};
use std::collections::VecDeque;

/// A budget has passed its warning threshold, for the first time in its period.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Warning {
    /// Whose.
    pub scope: String,
    /// The budget.
    pub budget: Budget,
    /// What is spent of it, open holds not counted.
    pub spent: NanoDollars,
    /// When it is full again; absent: never.
    pub resets_at: Option<Time>,
}

impl Warning {
    /// For a log.
    pub fn words(&self) -> String {
        let Self { scope, budget, spent, resets_at: _ } = self;
        let (spent, amount) = (price::dollars(*spent), price::dollars(budget.amount));
        format!("{scope} has spent {spent} of {amount} per {}", budget.per.name())
    }

    /// For the operator's webhook: a JSON object.
    pub fn message(&self, now: Time) -> String {
        let Self { scope, budget, spent, resets_at } = self;
        let Budget { amount, per, warn, reset: _ } = budget;
        let number = |amount| serde_json::from_str::<serde_json::Value>(&price::plain(amount)).ok();
        serde_json::json!({
            "type": "budget_warning",
            "at": now.unix_secs(),
            "scope": scope,
            "budget": { "usd": number(*amount), "per": per.name(), "warn": warn.map(|percent| percent.0) },
            "spent_usd": number(*spent),
            "resets_at": resets_at.map(|at| at.unix_secs()),
        })
        .to_string()
    }
}

impl Budget {
    /// From when on what was spent counts, now.
    pub fn counts_from(&self, now: Time) -> Time {
        match (&self.reset, self.per) {
            (_, Period::Never) => Span::EVER.from,
            (Reset::Calendar(zone), per) => calendar::span(per, zone, now).from,
            (Reset::Rolling, per) => Time(now.0.saturating_sub(length(per).0)),
        }
    }
}

/// Money of one scope by one kind of period. How much may be spent is the config's to say, and may
/// change; what was spent stays.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Purse {
    pub(super) per: Period,
    pub(super) reset: Reset,
    pub(super) spending: Spending,
    /// In open holds.
    pub(super) held: NanoDollars,
    /// When it was last told that the threshold is passed.
    pub(super) warned: Option<Time>,
}

/// What was spent, and when as far as that matters.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Spending {
    /// In a span of the calendar, or in all time.
    Within { span: Span, spent: NanoDollars },
    /// In the last so much time, by sixtieths of it.
    Rolling(VecDeque<Bucket>),
}

/// A sixtieth of a rolling period.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Bucket {
    /// How many sixtieths after the epoch.
    pub(super) number: u64,
    pub(super) spent: NanoDollars,
}

impl Purse {
    pub(super) fn new(budget: &Budget, now: Time) -> Self {
        let spending = match (&budget.reset, budget.per) {
            (_, Period::Never) => Spending::Within { span: Span::EVER, spent: NanoDollars::ZERO },
            (Reset::Calendar(zone), per) => {
                Spending::Within { span: calendar::span(per, zone, now), spent: NanoDollars::ZERO }
            }
            (Reset::Rolling, _) => Spending::Rolling(VecDeque::new()),
        };
        let Budget { amount: _, per, reset, warn: _ } = budget;
        Self { per: *per, reset: reset.clone(), spending, held: NanoDollars::ZERO, warned: None }
    }

    /// Whether it is this budget's.
    pub(super) fn is_of(&self, budget: &Budget) -> bool {
        self.per == budget.per && (self.reset == budget.reset || self.per == Period::Never)
    }

    /// Whether it is of the same kind.
    pub(super) fn is_like(&self, other: &Self) -> bool {
        self.per == other.per && (self.reset == other.reset || self.per == Period::Never)
    }

    /// Brings it to the present: what is spent in a span that is over does not count.
    pub(super) fn turn(&mut self, now: Time) {
        let (per, length) = (self.per, length(self.per));
        match (&mut self.spending, &self.reset) {
            (Spending::Within { span, spent }, Reset::Calendar(zone)) if !span.holds(now) => {
                // A clock that was put back does not give back what was spent.
                if now >= span.to {
                    *spent = NanoDollars::ZERO;
                }
                *span = calendar::span(per, zone, now);
            }
            (Spending::Within { .. }, _) => {}
            (Spending::Rolling(buckets), _) => {
                while buckets.front().is_some_and(|bucket| leaves_at(*bucket, length) <= now) {
                    buckets.pop_front();
                }
            }
        }
    }

    /// What counts as spent now.
    pub(super) fn spent(&self, now: Time) -> NanoDollars {
        match &self.spending {
            Spending::Within { span, spent: _ } if now >= span.to && span.to != Time::NEVER => {
                NanoDollars::ZERO
            }
            Spending::Within { span: _, spent } => *spent,
            Spending::Rolling(buckets) => {
                let length = length(self.per);
                let counting = buckets.iter().filter(|bucket| leaves_at(**bucket, length) > now);
                counting.map(|bucket| bucket.spent).sum()
            }
        }
    }

    /// What is neither spent nor held.
    pub(super) fn left(&self, amount: NanoDollars, now: Time) -> NanoDollars {
        amount.less(self.spent(now) + self.held)
    }

    /// Moves money from held to spent.
    pub(super) fn spend(&mut self, held: NanoDollars, cost: NanoDollars, now: Time) {
        self.held = self.held.less(held);
        self.turn(now);
        if cost.is_zero() {
            return;
        }
        match &mut self.spending {
            Spending::Within { span: _, spent } => *spent += cost,
            Spending::Rolling(buckets) => {
                let number = now.0 / sixtieth(length(self.per));
                match buckets.back_mut() {
                    Some(back) if back.number >= number => back.spent += cost,
                    Some(_) | None => buckets.push_back(Bucket { number, spent: cost }),
                }
            }
        }
    }

    /// Makes what is spent at least this. What is added to a rolling period counts as spent now, since
    /// nobody says when it was: it is given back too late rather than too early.
    pub(super) fn credit(&mut self, spent: NanoDollars, now: Time) {
        self.turn(now);
        let missing = spent.less(self.spent(now));
        self.spend(NanoDollars::ZERO, missing, now);
    }

    /// Whether its owner is to be warned now, once in a period. One that never resets warns again when
    /// it was topped up in between, which `before` shows: what was spent before the last settlement.
    pub(super) fn warns(&mut self, budget: &Budget, before: NanoDollars, now: Time) -> bool {
        let Some(percent) = budget.warn else { return false };
        let told = self.warned.is_some_and(|told| match &self.spending {
            Spending::Within { span, spent: _ } if *span == Span::EVER => {
                reaches(before, budget.amount, percent)
            }
            Spending::Within { span, spent: _ } => told >= span.from,
            Spending::Rolling(_) => now.since(told) < length(self.per),
        });
        let warns = !told && reaches(self.spent(now), budget.amount, percent);
        if warns {
            self.warned = Some(now);
        }
        warns
    }

    /// When all of it is there again, if nothing more is spent; absent: never.
    pub(super) fn resets_at(&self, now: Time) -> Option<Time> {
        match (&self.spending, &self.reset) {
            (_, _) if self.per == Period::Never => None,
            (Spending::Within { .. }, Reset::Calendar(zone)) => {
                Some(calendar::span(self.per, zone, now).to).filter(|to| *to != Time::NEVER)
            }
            (Spending::Within { .. }, Reset::Rolling) => None,
            (Spending::Rolling(buckets), _) => {
                let last = buckets.back().map(|bucket| leaves_at(*bucket, length(self.per)));
                Some(last.unwrap_or(now).max(now))
            }
        }
    }

    /// How long until so much of the amount is left; absent where it never will be. Open holds are
    /// taken to be spent.
    pub(super) fn opens_in(&self, amount: NanoDollars, need: NanoDollars, now: Time) -> Option<Millis> {
        if need > amount || self.per == Period::Never {
            return None;
        }
        let length = length(self.per);
        match &self.spending {
            Spending::Within { .. } => self.resets_at(now).map(|to| to.since(now)),
            Spending::Rolling(buckets) => {
                let mut taken = self.spent(now) + self.held;
                for bucket in buckets.iter().filter(|bucket| leaves_at(**bucket, length) > now) {
                    taken = taken.less(bucket.spent);
                    if taken + need <= amount {
                        return Some(leaves_at(*bucket, length).since(now));
                    }
                }
                // What is held will be spent, and then has to leave.
                Some(length + Millis(sixtieth(length)))
            }
        }
    }

    /// Whether there is nothing in it to remember.
    pub(super) fn is_empty(&self, now: Time) -> bool {
        self.held.is_zero() && self.spent(now).is_zero()
    }

    /// The clock was put back to `now`: what was spent later was spent now.
    pub(super) fn put_back(&mut self, now: Time) {
        let number = now.0 / sixtieth(length(self.per));
        if let Spending::Rolling(buckets) = &mut self.spending {
            for bucket in buckets {
                bucket.number = bucket.number.min(number);
            }
        }
        self.warned = self.warned.map(|told| told.min(now));
    }
}

/// Whether an amount is so many per cent of another, or more.
fn reaches(spent: NanoDollars, amount: NanoDollars, percent: Percent) -> bool {
    u128::from(spent.get()) * 100 >= u128::from(amount.get()) * u128::from(percent.0)
}

/// When nothing of a bucket counts any more: its last moment is a period ago.
fn leaves_at(bucket: Bucket, length: Millis) -> Time {
    let end = bucket.number.saturating_add(1).saturating_mul(sixtieth(length));
    Time(end) + length
}

fn sixtieth(length: Millis) -> u64 {
    (length.0 / 60).max(1)
}

/// How long a rolling period is.
fn length(per: Period) -> Millis {
    const DAY: u64 = 86_400;
    Millis::from_secs(match per {
        Period::Minute => 60,
        Period::Hour => 3600,
        Period::Day => DAY,
        Period::Week => 7 * DAY,
        Period::Month => 30 * DAY,
        Period::Year => 365 * DAY,
        Period::Never => u64::MAX,
    })
}
