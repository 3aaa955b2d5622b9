//! Where scopes' counters live: quota is taken before a call and settled after it.
//!
//! ```text
//!   Entry ──reserve──▶ Hold ──settle──▶ what it really was         (or Release: nothing was sent)
//!     │                  └──lease over──▶ swept: charged in full, since it may have been billed
//!     └──▶ Refusal: which limit, of whom, how much is left, when it opens
//! ```
//! The ledger is a pure value: hosts decide where it is kept, and bring the time. All scopes of an
//! entry give or none does. Reserving the same entry twice is one reservation; settling twice is one
//! settlement.
//!
//! Invariants
//! 1. In any 60 s no more is admitted than the rate limits say; see `window`.
//! 2. What is spent and what is held never pass a budget together, but by what a provider bills beyond
//!    what was held.
//! 3. An entry ends once. When all have ended nothing is held.
//! 4. The state follows from what was reserved, settled and credited, and when, alone: leases end at their own
//!    time, whenever that is noticed, and looking changes nothing. So a journal of these is enough.

mod account; // the books of one scope
mod budget; // its money
mod bytes; // a form for the journal and the store
mod entry; // what is asked, given and brought back
mod form; // how entries and scopes are written in it
mod note; // the journal
mod open; // an entry between its two ends
mod order; // for a ledger that is kept elsewhere
mod refusal; // why not
mod report; // how things stand
mod room; // whether a limit has room
mod shelf; // the books of all scopes
mod stored; // what outlives the process
mod window; // the last 60 seconds

#[cfg(test)]
mod tests;

pub use account::Account;
pub use budget::Warning;
pub use entry::{Ask, AskCost, Claim, Entry, Hold, Level, Scope, Settlement, Spent, Standing, Targets};
pub use note::{Note, Read};
pub use order::{Held, Order, Placed, Reply};
pub use refusal::{Limited, Refusal};
pub use report::{Reading, Report};
pub use room::{Lack, Which};
pub use stored::{Changed, Garbled, Lease, Stored};

use crate::exchange::RequestId;
use crate::limit::Budget;
use crate::sort;
use crate::units::{Metered, Millis, NanoDollars, Time};
use account::{Books, Outcome, Seats, Share, Taken, closer};
use open::{Barriers, Grant, Open};
use room::Demand;
use shelf::Shelf;
use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};
use std::sync::Arc;

/// How far back a clock may go before it is taken to have been put right. Until then time stands still.
const SKEW: Millis = Millis::from_secs(60);

/// The books of all scopes.
#[derive(Debug, Default)]
pub struct Ledger {
    shelf: Shelf,
    open: HashMap<u128, Open, BuildHasherDefault<OwnBits>>,
    /// The latest time that was told.
    last: Time,
    /// No lease is over before; absent where there is none.
    next_lease: Option<Time>,
    /// Of leases that ended while there was nobody to tell.
    untold: Vec<Warning>,
    /// Stored entries that have ended since.
    ended: Vec<RequestId>,
    /// How long a token may be valid; absent: their books are kept like others.
    longest: Option<Millis>,
}

/// For keys that are as good as random: a request's id is made here, and no client chooses it.
#[derive(Debug, Default)]
struct OwnBits(u64);

impl Hasher for OwnBits {
    fn write(&mut self, bytes: &[u8]) {
        self.0 = bytes.iter().fold(self.0, |bits, byte| bits.rotate_left(8) ^ u64::from(*byte));
    }

    fn write_u128(&mut self, id: u128) {
        let [upper, lower] = [id >> 64, id & u128::from(u64::MAX)];
        self.0 = u64::try_from(upper ^ lower).unwrap_or_default();
    }

    fn finish(&self) -> u64 {
        self.0
    }
}

impl Ledger {
    /// Takes from every scope of an entry or from none.
    pub fn reserve(&mut self, entry: Entry, now: Time) -> Result<Hold, Refusal> {
        let now = self.come_to(now);
        if let Some(open) = self.open.get(&entry.id.0) {
            let standing = self.standing(&open.taken, now);
            return Ok(Hold { output: open.share.output, closed: open.closed, standing, entry });
        }
        let taken = self.claims(&entry);
        match self.judge(&entry, &taken, now) {
            Ok(grant) => {
                let standing = self.take(&entry, taken, &grant, now);
                let Grant { output, closed } = grant;
                Ok(Hold { entry, output, closed, standing })
            }
            Err(limited) => Err(Refusal::Limited(limited)),
        }
    }

    /// Ends a hold with what came of it. A second end of the same entry changes nothing.
    pub fn settle(&mut self, hold: Hold, settlement: &Settlement, now: Time) -> Vec<Warning> {
        self.settle_entry(hold.id(), settlement, now)
    }

    /// [`Ledger::settle`] for whoever has been told of the hold's end by its entry's name.
    pub fn settle_entry(&mut self, id: RequestId, settlement: &Settlement, now: Time) -> Vec<Warning> {
        let now = self.come_to(now);
        let mut told = std::mem::take(&mut self.untold);
        self.end(id, settlement, now, &mut told);
        told
    }

    /// Whether an entry is open.
    pub fn is_open(&self, id: RequestId) -> bool {
        self.open.contains_key(&id.0)
    }

    /// When the first lease is over; absent where no entry is open.
    pub fn next_lease(&self) -> Option<Time> {
        self.next_lease
    }

    /// Takes what another ledger has granted, whatever the limits say, so that this one can step in
    /// for it.
    pub fn record(&mut self, hold: &Hold, now: Time) {
        let now = self.come_to(now);
        let grant = Grant { output: hold.output, closed: hold.closed };
        self.enter(&hold.entry, &grant, now);
    }

    /// Makes what is spent of a scope's budget at least this: what is known of it from elsewhere, where
    /// the budget is younger than the spending. Doing it again changes nothing; what is spent already is
    /// never less afterwards. Nobody is warned before the next settlement.
    pub fn credit(&mut self, scope: &str, budget: &Budget, spent: NanoDollars, now: Time) {
        let now = self.come_to(now);
        if spent.is_zero() {
            return;
        }
        let place = self.shelf.place(scope);
        if let Some(books) = self.shelf.change(place) {
            books.credit(budget, spent, now);
        }
    }

    /// From now on books of tokens (`token:…`) go in a sweep when nobody has touched them for this long:
    /// no token is valid for longer, so that it has expired.
    pub fn expire_tokens(&mut self, longest: Millis) {
        self.longest = Some(longest);
    }

    /// Ends every entry whose lease is over, in full, and gives up books in which nothing is left.
    pub fn sweep(&mut self, now: Time) -> Vec<Warning> {
        let now = self.come_to(now);
        self.shelf.shrink(self.longest, now);
        std::mem::take(&mut self.untold)
    }

    /// Ends every open entry in full, whatever its lease: those of a process that is gone.
    pub fn abandon(&mut self, now: Time) -> Vec<Warning> {
        let now = self.come_to(now);
        self.end_in_full(now, |_| true);
        std::mem::take(&mut self.untold)
    }

    /// Where a scope stands now, limit by limit. In the windows of the last minute, what is held is
    /// all that open calls hold, as far as the window has it.
    pub fn report(&self, scope: &Scope, now: Time) -> Report {
        let now = if self.last.since(now) > SKEW { now } else { now.max(self.last) };
        let gauges = match self.shelf.find(&scope.name) {
            Some(books) => books.read(&scope.limits, now),
            None => Books::new(Arc::from("")).read(&scope.limits, now),
        };
        Report { scope: scope.name.clone(), gauges }
    }

    /// What has changed since this was last asked, to be stored.
    pub fn take_changed(&mut self) -> Changed {
        let last = self.last;
        let mut stored = self.shelf.take_changed(|books| stored::write_books(books, last));
        let mut fresh: Vec<_> = self.open.iter_mut().filter(|(_, open)| !open.stored).collect();
        sort::sort_by_key(&mut fresh, |(id, _)| **id);
        for (id, open) in fresh {
            open.stored = true;
            stored.push(Stored::Open { id: RequestId(*id), state: stored::write_open(open) });
        }
        let mut ended = std::mem::take(&mut self.ended);
        ended.retain(|id| !self.open.contains_key(&id.0));
        Changed { stored, ended, emptied: self.shelf.take_emptied() }
    }

    /// Takes up what [`Ledger::take_changed`] gave out in an earlier life, in whatever order. What
    /// cannot be understood changes nothing.
    pub fn restore(&mut self, state: &Stored) -> Result<(), Garbled> {
        match state {
            Stored::Account { scope, state } => {
                let stored::Kept { books, last } = stored::read_books(scope, state)?;
                let place = self.shelf.place(scope);
                if let Some(found) = self.shelf.amend(place) {
                    found.take_up(books);
                }
                self.last = self.last.max(last);
            }
            Stored::Open { id, state } => {
                let open = stored::read_open(state)?;
                self.resume(*id, open);
            }
        }
        Ok(())
    }

    /// Does again what was noted after the last stored change. Times are the note's own.
    pub fn replay(&mut self, note: &Note) {
        match note {
            Note::Reserved { entry, output, closed, at } => {
                let now = self.come_to(*at);
                self.enter(entry, &Grant { output: *output, closed: *closed }, now);
            }
            Note::Settled { id, settlement, at } => {
                let now = self.come_to(*at);
                // Whoever was to be warned has been, in the earlier life.
                self.end(*id, settlement, now, &mut Vec::new());
            }
            Note::Credited { scope, budget, spent, at } => self.credit(scope, budget, *spent, *at),
        }
    }

    /// The books of a scope; empty if it never asked for anything, or nothing is left in them.
    pub fn account(&self, scope: &str) -> Account {
        self.shelf.find(scope).map(|books| books.figures).unwrap_or_default()
    }

    /// Drops the books of a scope that will ask for nothing any more, such as of a key that was deleted,
    /// and of those inside it. Those with limits for ever are kept for ever otherwise. While an entry is
    /// open in them they stay, and go in a sweep after it.
    pub fn forget(&mut self, scope: &str) {
        self.shelf.forget(&[scope]);
    }

    /// [`Ledger::forget`] for several, which takes no longer than for one.
    pub fn forget_all(&mut self, scopes: &[&str]) {
        self.shelf.forget(scopes);
    }

    /// Whether books that were given out to be stored are no more, and [`Ledger::take_changed`] has not
    /// said so yet.
    pub fn has_emptied(&self) -> bool {
        self.shelf.has_emptied()
    }

    /// Brings the ledger to the present, which is never before the past: ends what is over.
    fn come_to(&mut self, now: Time) -> Time {
        if self.last.since(now) > SKEW {
            self.put_back(now);
        }
        self.last = self.last.max(now);
        self.end_leases(self.last);
        self.last
    }

    /// The clock had run ahead and was put right. What came later came now, so that nobody waits for
    /// the future to pass.
    fn put_back(&mut self, now: Time) {
        self.last = now;
        for books in self.shelf.all() {
            books.put_back(now);
        }
        for open in self.open.values_mut() {
            open.at = open.at.min(now);
        }
        self.next_lease = self.open.values().map(Open::over_at).min();
    }

    /// Ends every entry whose lease is over, at the time at which it was over. Looks at them only when
    /// the earliest may be over, which in a steady state is once in a lease.
    fn end_leases(&mut self, now: Time) {
        if self.next_lease.is_none_or(|next| now < next) {
            return;
        }
        self.end_in_full(now, |open| open.over_at() <= now);
    }

    /// Ends some open entries in full, each when its lease is over, and now at the latest.
    fn end_in_full(&mut self, now: Time, which: impl Fn(&Open) -> bool) {
        let over = self.open.iter().filter(|(_, open)| which(open));
        let mut over: Vec<(Time, u128)> = over.map(|(id, open)| (open.over_at().min(now), *id)).collect();
        sort::sort_by(&mut over, Ord::cmp);
        let mut told = std::mem::take(&mut self.untold);
        for (at, id) in over {
            let full = self.open.get(&id).map(Open::in_full);
            if let Some(spent) = full {
                self.end(RequestId(id), &Settlement::Settle(spent), at, &mut told);
            }
        }
        self.untold = told;
        self.next_lease = self.open.values().map(Open::over_at).min();
    }

    /// The scopes an entry draws on, each once, those left out that hold for none of its targets.
    fn claims(&mut self, entry: &Entry) -> Vec<Taken> {
        let mut all: Vec<Taken> = Vec::with_capacity(entry.claims.len());
        for Claim { scope, targets } in &entry.claims {
            let reaches = targets.meets(entry.targets) || entry.targets.is_none();
            if !reaches || scope.limits.is_unlimited() {
                continue;
            }
            let place = self.shelf.place(&scope.name);
            match all.iter_mut().find(|taken| taken.place == place) {
                Some(again) => again.targets = again.targets.or(*targets),
                None => {
                    let (scope, targets) = (Arc::clone(scope), *targets);
                    all.push(Taken { scope, targets, place, seats: Seats::default() });
                }
            }
        }
        all
    }

    /// Whether all limits have room, for how much output, and at which targets.
    fn judge(&mut self, entry: &Entry, claims: &[Taken], now: Time) -> Result<Grant, Box<Limited>> {
        let demand = Demand::of(entry.ask);
        let mut output = entry.ask.most();
        let mut barriers = Barriers::new(entry.targets);
        for claim in claims {
            let Some(books) = self.shelf.turn(claim.place, now) else { continue };
            let room = books.room(&claim.scope.limits, &demand, now);
            match room.lack {
                Some(lack) => barriers.raise(claim, lack),
                None => output = output.min(room.output),
            }
        }
        match barriers.refusal() {
            None => Ok(Grant { output, closed: barriers.closed() }),
            Some(barrier) => Err(Box::new(Limited {
                code: barrier.lack.code(),
                scope: barrier.scope.to_owned(),
                what: barrier.lack.words(),
                opens_in: barrier.lack.opens_in,
                standing: self.standing(claims, now),
            })),
        }
    }

    /// Enters what was granted elsewhere or in an earlier life.
    fn enter(&mut self, entry: &Entry, grant: &Grant, now: Time) {
        if !self.open.contains_key(&entry.id.0) {
            let taken = self.claims(entry);
            self.take(entry, taken, grant, now);
        }
    }

    /// Takes from all scopes whose targets are open.
    fn take(&mut self, entry: &Entry, mut taken: Vec<Taken>, grant: &Grant, now: Time) -> Standing {
        let Grant { output, closed } = *grant;
        let open = entry.targets.without(closed);
        taken.retain(|claim| claim.covers(entry.targets) || claim.targets.meets(open));
        let cost = entry.ask.cost.map(|cost| cost.with_output(output)).unwrap_or_default();
        let share = Share { input: entry.ask.input.0, output, cost };
        for Taken { scope, place, seats, .. } in &mut taken {
            if let Some(books) = self.shelf.change(*place) {
                *seats = books.take(&scope.limits, &share, entry.ask.more, now);
            }
        }
        let standing = self.standing(&taken, now);
        let (targets, lease) = (entry.targets, entry.lease);
        let open = Open { at: now, lease, targets, closed, share, taken, stored: false };
        self.expect_lease(open.over_at());
        self.open.insert(entry.id.0, open);
        standing
    }

    /// Takes up an entry that was open in an earlier life.
    fn resume(&mut self, id: RequestId, mut open: Open) {
        if self.open.contains_key(&id.0) {
            return;
        }
        for taken in &mut open.taken {
            taken.place = self.shelf.place(&taken.scope.name);
            if let Some(books) = self.shelf.amend(taken.place) {
                books.resume(&taken.scope.limits, &open.share, open.at);
            }
        }
        self.last = self.last.max(open.at);
        self.expect_lease(open.over_at());
        self.open.insert(id.0, open);
    }

    fn expect_lease(&mut self, over_at: Time) {
        self.next_lease = Some(self.next_lease.map_or(over_at, |next| next.min(over_at)));
    }

    fn end(&mut self, id: RequestId, settlement: &Settlement, now: Time, told: &mut Vec<Warning>) {
        let Some(open) = self.open.remove(&id.0) else { return };
        for taken in &open.taken {
            let Some(books) = self.shelf.change(taken.place) else { continue };
            let outcome = outcome(&open, taken, settlement);
            books.end(taken, &open.share, &outcome, now);
            if let Outcome::Consumed(Share { cost, .. }) = outcome {
                books.warnings(&taken.scope, cost, now, told);
            }
        }
        if open.stored {
            self.ended.push(id);
        }
    }

    /// Of each kind of rate limit the one with the least left.
    fn standing(&self, claims: &[Taken], now: Time) -> Standing {
        claims.iter().fold(Standing::default(), |closest, claim| {
            let Some(books) = self.shelf.at(claim.place) else { return closest };
            let Standing { requests, tokens } = books.standing(&claim.scope.limits, now);
            Standing { requests: closer(closest.requests, requests), tokens: closer(closest.tokens, tokens) }
        })
    }
}

/// What a settlement means for one of an entry's scopes.
fn outcome(open: &Open, taken: &Taken, settlement: &Settlement) -> Outcome {
    match settlement {
        Settlement::Release if taken.covers(open.targets) => Outcome::Released,
        Settlement::Release | Settlement::Return => Outcome::Elsewhere,
        Settlement::Settle(spent) if taken.covers(open.targets) || taken.targets.meets(spent.targets) => {
            let Spent { input: Metered(input), output: Metered(output), cost, targets: _ } = *spent;
            Outcome::Consumed(Share { input, output, cost })
        }
        Settlement::Settle(_) => Outcome::Elsewhere,
    }
}
