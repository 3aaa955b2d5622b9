//! Where the spans of a budget's calendar begin, around now.
//!
//! Which span it is is the server's clock to say, and this gateway's may be wrong: the script is sent the
//! edges of the span before, this one and the next, and picks.

use std::cell::RefCell;
use tollgate_core::limit::calendar::{self, Span, Zone};
use tollgate_core::limit::{Budget, Period, Reset};
use tollgate_core::units::{Millis, Time};

/// How a budget's time is told to the script.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Turns {
    /// Spans lie between these.
    At(Vec<Time>),
    /// What was spent so long ago does not count.
    After(Millis),
}

/// Spans that a thread remembers: finding one costs more than all the rest of asking.
const REMEMBERED: usize = 64;

thread_local! {
    static SPANS: RefCell<Vec<Remembered>> = const { RefCell::new(Vec::new()) };
}

struct Remembered {
    period: Period,
    zone: Zone,
    span: Span,
    edges: Vec<Time>,
}

impl Turns {
    /// Of this budget, as seen from now.
    pub(crate) fn of(budget: &Budget, now: Time) -> Self {
        match (&budget.reset, length(budget.per)) {
            (_, None) => Self::At(vec![Time(0), Time::NEVER]),
            (Reset::Rolling, Some(length)) => Self::After(length),
            (Reset::Calendar(zone), Some(_)) => Self::At(edges(budget.per, zone, now)),
        }
    }
}

/// The first moment of the span that this gateway takes for the present one; zero where there are none.
pub(crate) fn began(budget: &Budget, now: Time) -> Time {
    match (&budget.reset, budget.per) {
        (_, Period::Never) | (Reset::Rolling, _) => Time(0),
        (Reset::Calendar(zone), per) => calendar::span(per, zone, now).from,
    }
}

fn edges(period: Period, zone: &Zone, now: Time) -> Vec<Time> {
    SPANS.with_borrow_mut(|spans| {
        let found = spans.iter().find(|known| known.period == period && known.zone == *zone);
        if let Some(known) = found.filter(|known| known.span.from <= now && now < known.span.to) {
            return known.edges.clone();
        }
        spans.retain(|known| known.period != period || known.zone != *zone);
        if spans.len() >= REMEMBERED {
            spans.clear();
        }
        let span = calendar::span(period, zone, now);
        let edges = around(period, zone, span);
        spans.push(Remembered { period, zone: zone.clone(), span, edges: edges.clone() });
        edges
    })
}

fn around(period: Period, zone: &Zone, span: Span) -> Vec<Time> {
    let mut edges = Vec::with_capacity(4);
    if span.from > Time(0) {
        edges.push(calendar::span(period, zone, span.from - Millis(1)).from);
    }
    edges.extend([span.from, span.to]);
    if span.to != Time::NEVER {
        edges.push(calendar::span(period, zone, span.to).to);
    }
    edges
}

/// How long a rolling period is; absent for one that does not end.
fn length(per: Period) -> Option<Millis> {
    const DAY: u64 = 86_400;
    let seconds = match per {
        Period::Minute => 60,
        Period::Hour => 3600,
        Period::Day => DAY,
        Period::Week => 7 * DAY,
        Period::Month => 30 * DAY,
        Period::Year => 365 * DAY,
        Period::Never => return None,
    };
    Some(Millis::from_secs(seconds))
}
