//! An entry between its two ends, and what stands in the way of one that is asked for.

use super::account::{Share, Taken};
use super::entry::{Spent, Targets};
use super::room::Lack;
use crate::units::{Metered, Millis, Time, Tokens};

/// An entry that was granted and has not ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Open {
    pub(super) at: Time,
    pub(super) lease: Millis,
    pub(super) targets: Targets,
    pub(super) closed: Targets,
    pub(super) share: Share,
    pub(super) taken: Vec<Taken>,
    /// Whether it was given out to be stored.
    pub(super) stored: bool,
}

impl Open {
    /// When its lease is over.
    pub(super) fn over_at(&self) -> Time {
        self.at + self.lease
    }

    /// All that it holds, as what it came to consume.
    pub(super) fn in_full(&self) -> Spent {
        let Share { input, output, cost } = self.share;
        Spent { input: Metered(input), output: Metered(output), cost, targets: Targets::ALL }
    }
}

impl Taken {
    /// Whether it holds for all of a route's targets, so that there is no way around it.
    pub(super) fn covers(&self, targets: Targets) -> bool {
        targets.without(self.targets).is_none()
    }
}

/// What is granted to an entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Grant {
    pub(super) output: Tokens,
    pub(super) closed: Targets,
}

/// Limits without room that an entry has met.
pub(super) struct Barriers<'a> {
    /// Those of the entry.
    targets: Targets,
    /// Of those across every way the one that opens last.
    across: Option<Barrier<'a>>,
    /// Those across the way to some targets.
    before: Vec<Before<'a>>,
}

/// A limit without room.
#[derive(Clone, Copy, Debug)]
pub(super) struct Barrier<'a> {
    pub(super) scope: &'a str,
    pub(super) lack: Lack,
}

struct Before<'a> {
    targets: Targets,
    barrier: Barrier<'a>,
}

impl<'a> Barrier<'a> {
    fn or_later(self, other: Self) -> Self {
        if other.lack.opens_after(&self.lack) { other } else { self }
    }

    fn or_sooner(self, other: Self) -> Self {
        if self.lack.opens_after(&other.lack) { other } else { self }
    }
}

impl<'a> Barriers<'a> {
    pub(super) fn new(targets: Targets) -> Self {
        Self { targets, across: None, before: Vec::new() }
    }

    /// A scope has no room.
    pub(super) fn raise(&mut self, claim: &'a Taken, lack: Lack) {
        let barrier = Barrier { scope: &claim.scope.name, lack };
        if claim.covers(self.targets) {
            self.across = Some(self.across.map_or(barrier, |other| other.or_later(barrier)));
        } else {
            self.before.push(Before { targets: claim.targets, barrier });
        }
    }

    /// Targets that cannot be reached.
    pub(super) fn closed(&self) -> Targets {
        let all = self.before.iter().fold(Targets::NONE, |all, before| all.or(before.targets));
        self.targets.without(self.targets.without(all))
    }

    /// What the entry waits for longest; absent where it need not wait. Where every target is closed by
    /// limits of its own, that is what the first of them to open waits for.
    pub(super) fn refusal(&self) -> Option<Barrier<'a>> {
        let shut = if self.targets.without(self.closed()).is_none() { self.first_to_open() } else { None };
        match (self.across, shut) {
            (Some(across), Some(shut)) => Some(across.or_later(shut)),
            (across, shut) => across.or(shut),
        }
    }

    fn first_to_open(&self) -> Option<Barrier<'a>> {
        let targets = (0..64).filter(|target| self.targets.holds(*target));
        targets.filter_map(|target| self.last_before(target)).reduce(Barrier::or_sooner)
    }

    /// The last to open of those that close a target.
    fn last_before(&self, target: u16) -> Option<Barrier<'a>> {
        let before = self.before.iter().filter(|before| before.targets.holds(target));
        before.map(|before| before.barrier).reduce(Barrier::or_later)
    }
}
