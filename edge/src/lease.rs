//! Quota that an instance takes in advance for a key that is asked for all the time, so that most of its
//! calls need not ask the book first.
//!
//! ```text
//!   busy key ─▶ one order: its entry and up to N more like it ─▶ spares ─▶ used by calls that fit
//!                     └ the book gives fewer, or none, near a limit        └ over after 10 s: returned
//! ```
//! 1. A spare is an entry of its own: limits that hold in the book hold with spares, and money and totals
//!    are never passed by them. Until it is returned it is used, as far as others can see.
//! 2. A spare was counted when it was taken and is used up to [`SPAN`] later. So in any 60 s of calls there
//!    may be as many more than a rate says as spares were out: N for each instance at most. In any 50 s
//!    there are none more.
//! 3. Where less than a fifth of a limit is left the book gives none, and each call asks.
//! 4. What an instance has not returned when it dies is charged in full when its lease is over.

#[cfg(test)]
mod tests;

use std::collections::VecDeque;
use tollgate_core::exchange::RequestId;
use tollgate_core::ledger::{Ask, AskCost, Entry, Held, Hold, Report};
use tollgate_core::price::PerMillion;
use tollgate_core::sort::Map;
use tollgate_core::units::{Estimated, Millis, NanoDollars, Time, Tokens};

/// How long a spare may be used.
pub const SPAN: Millis = Millis::from_secs(10);

/// Calls of a key in a second from which on spares are taken.
const BUSY: usize = 4;

/// Of a limit, what must be left for a spare: one part in so many.
const AMPLE: u64 = 5;

/// The spares of an instance.
#[derive(Debug, Default)]
pub struct Leases {
    keys: Map<String, Spares>,
}

/// Those of a key.
#[derive(Debug, Default)]
struct Spares {
    /// What they were taken for.
    like: Option<Entry>,
    spares: VecDeque<Spare>,
    /// When it was asked for, in the last second.
    recent: VecDeque<Time>,
}

#[derive(Debug)]
struct Spare {
    id: RequestId,
    held: Held,
    until: Time,
}

/// How a call gets its quota.
#[derive(Debug)]
pub enum Turn {
    /// From a spare; the hold's entry has the spare's name.
    Spare(Box<Hold>),
    /// From the book, with so many spares besides.
    Ask {
        /// How many.
        spares: usize,
    },
}

impl Leases {
    /// A call of this key comes. `most` is how many spares there may be.
    pub fn turn(&mut self, key: &str, entry: &Entry, most: usize, now: Time) -> Turn {
        let spares = self.keys.entry(key.to_owned()).or_default();
        spares.recent.push_back(now);
        while spares.recent.front().is_some_and(|at| now.since(*at) > Millis::from_secs(1)) {
            spares.recent.pop_front();
        }
        spares.recent.truncate(most.max(BUSY).saturating_mul(2));
        if !entry.ask.more.is_zero() {
            return Turn::Ask { spares: 0 };
        }
        match spares.take(entry, now) {
            Some(hold) => Turn::Spare(Box::new(hold)),
            None if spares.recent.len() < BUSY || !spares.spares.is_empty() => Turn::Ask { spares: 0 },
            None => Turn::Ask { spares: spares.recent.len().min(most) },
        }
    }

    /// Takes up spares that the book has given with these names, in their order.
    pub fn put(&mut self, key: &str, like: Entry, ids: &[RequestId], held: Vec<Held>, now: Time) {
        let spares = self.keys.entry(key.to_owned()).or_default();
        spares.like = Some(like);
        let until = now + SPAN;
        spares.spares.extend(ids.iter().zip(held).map(|(id, held)| Spare { id: *id, held, until }));
    }

    /// Takes out those of a key that are over: they are to be returned.
    pub fn over(&mut self, key: &str, now: Time) -> Vec<RequestId> {
        let Some(spares) = self.keys.get_mut(key) else { return Vec::new() };
        let over = spares.spares.iter().take_while(|spare| spare.until <= now).count();
        let over = spares.spares.drain(..over).map(|spare| spare.id).collect();
        if spares.spares.is_empty() && spares.recent.back().is_none_or(|at| now.since(*at) >= SPAN) {
            self.keys.remove(key);
        }
        over
    }
}

impl Spares {
    /// The first that is enough for a call.
    fn take(&mut self, entry: &Entry, now: Time) -> Option<Hold> {
        let like = self.like.as_ref()?;
        if !is_within(entry, like) {
            return None;
        }
        // What is over is left for whoever returns it.
        let place = self
            .spares
            .iter()
            .position(|spare| now < spare.until && entry.ask.least_output.0 <= spare.held.output)?;
        let Spare { id, held, .. } = self.spares.remove(place)?;
        let most = entry.ask.most_output.0.max(entry.ask.least_output.0);
        let held = Held { output: held.output.min(most), ..held };
        Some(held.of_entry(Entry { id, ..entry.clone() }))
    }
}

/// Whether a call draws on the same as what was taken, and asks for no more.
fn is_within(entry: &Entry, like: &Entry) -> bool {
    let Entry { id: _, book, claims, targets, ask, lease } = entry;
    let Ask { more: _, input, least_output: _, most_output: _, cost } = ask;
    let cheaper = match (cost, &like.ask.cost) {
        (None, None) => true,
        (Some(cost), Some(taken)) => cost.fixed <= taken.fixed && cost.output <= taken.output,
        (Some(_), None) | (None, Some(_)) => false,
    };
    let same = *book == like.book && *targets == like.targets && *claims == like.claims;
    same && cheaper && *input <= like.ask.input && *lease + SPAN <= like.lease
}

/// What is taken for calls like this one: half as much again, so that others fit, for as long as a spare may
/// wait besides.
pub fn spacious(entry: &Entry) -> Entry {
    let more = |number: u64| number.saturating_add(number / 2).saturating_add(1);
    let Ask { more: besides, input, least_output, most_output, cost } = entry.ask;
    let cost = cost.map(|AskCost { fixed, output: PerMillion(output) }| AskCost {
        fixed: NanoDollars(more(fixed.get())),
        output: PerMillion(output),
    });
    let input = Estimated(Tokens(more(input.0.get())));
    let ask = Ask { more: besides, input, least_output, most_output, cost };
    Entry { ask, lease: entry.lease + SPAN, ..entry.clone() }
}

/// Whether all limits of these scopes have ample room.
pub(crate) fn is_ample(reports: &[Report]) -> bool {
    let ample = |most: u64, used: u64| most.saturating_sub(used) > most / AMPLE;
    reports
        .iter()
        .flat_map(|report| &report.gauges)
        .all(|gauge| ample(gauge.most, gauge.used.saturating_add(gauge.held)))
}
