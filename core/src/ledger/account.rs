//! The books of one scope: what it has consumed, and what it holds.

use super::budget::{Purse, Warning};
use super::entry::{Ask, Level, Scope, Standing, Targets};
use super::report::Reading;
use super::room::{Demand, Lack, Room, Which};
use super::window::{Quantity, Seat, Window};
use crate::limit::{Budget, Limits};
use crate::units::{Millis, NanoDollars, Requests, Time, Tokens};
use std::sync::Arc;

/// The books of one scope, in figures. They begin anew when nothing is left in them that a limit asks
/// for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Account {
    /// Requests reserved and not yet ended.
    pub open: Requests,
    /// Requests that reached an upstream.
    pub settled: Requests,
    /// Requests that reached none.
    pub released: Requests,
    /// Tokens that were settled.
    pub tokens: Tokens,
    /// Money that was settled.
    pub spent: NanoDollars,
}

/// Everything that is kept for one scope. Only what its limits need is there.
#[derive(Clone, Debug)]
pub(super) struct Books {
    pub(super) name: Arc<str>,
    pub(super) figures: Account,
    /// Tokens in open holds.
    held: Share,
    /// What was admitted in the last minute.
    pub(super) rates: Option<Box<Rates>>,
    pub(super) purses: Vec<Purse>,
    /// Whether a limit asks for all that ever was.
    pub(super) counts_all: bool,
    /// Whether it was given out to be stored.
    pub(super) stored: bool,
    /// When something was last taken or brought back.
    pub(super) touched: Time,
    pub(super) fate: Fate,
}

/// What becomes of books when nothing is open in them any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fate {
    /// They stay as long as there is something in them.
    Kept,
    /// They go: their scope is no more.
    Forgotten,
}

/// The windows of a scope's rate limits.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Rates {
    pub(super) requests: Window<Requests>,
    pub(super) tokens: Window<Tokens>,
    pub(super) input: Window<Tokens>,
    pub(super) output: Window<Tokens>,
}

/// A call's part of a scope's books.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Share {
    pub(super) input: Tokens,
    pub(super) output: Tokens,
    pub(super) cost: NanoDollars,
}

impl Share {
    fn tokens(&self) -> Tokens {
        self.input + self.output
    }
}

/// Where in the windows a call's share is; absent where there is no such limit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Seats {
    pub(super) requests: Option<Seat>,
    pub(super) tokens: Option<Seat>,
    pub(super) input: Option<Seat>,
    pub(super) output: Option<Seat>,
}

/// What a call took of a scope.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Taken {
    /// The scope as it was then.
    pub(super) scope: Arc<Scope>,
    /// For which targets.
    pub(super) targets: Targets,
    /// Where the scope's books are.
    pub(super) place: usize,
    pub(super) seats: Seats,
}

/// Whether books are still needed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Remains {
    Something,
    Nothing,
}

/// What became of a call's share.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    /// So much was consumed.
    Consumed(Share),
    /// Nothing was sent anywhere; it was a request all the same.
    Released,
    /// It was sent to where this scope does not reach: it never was a request of this scope.
    Elsewhere,
}

/// The windows of a scope of which nothing was asked for a minute.
static IDLE: Rates =
    Rates { requests: Window::EMPTY, tokens: Window::EMPTY, input: Window::EMPTY, output: Window::EMPTY };

/// How many requests it is that draws on these limits: a part of one is none.
fn counted(limits: &Limits) -> Requests {
    Requests(u64::from(limits.counts_requests()))
}

impl Rates {
    fn forget(&mut self, now: Time) {
        self.requests.forget(now);
        self.tokens.forget(now);
        self.input.forget(now);
        self.output.forget(now);
    }

    fn is_empty(&self, now: Time) -> bool {
        let Self { requests, tokens, input, output } = self;
        requests.is_empty(now) && tokens.is_empty(now) && input.is_empty(now) && output.is_empty(now)
    }
}

impl Books {
    pub(super) fn new(name: Arc<str>) -> Self {
        Self {
            name,
            figures: Account::default(),
            held: Share::default(),
            rates: None,
            purses: Vec::new(),
            counts_all: false,
            stored: false,
            touched: Time(0),
            fate: Fate::Kept,
        }
    }

    /// Brings the books to the present.
    pub(super) fn turn(&mut self, now: Time) {
        if let Some(rates) = &mut self.rates {
            rates.forget(now);
        }
        for purse in &mut self.purses {
            purse.turn(now);
        }
    }

    /// How much output there is room for under every limit.
    pub(super) fn room(&self, limits: &Limits, demand: &Demand, now: Time) -> Room {
        let mut room = Room::for_all(&demand.ask);
        self.room_for_requests(limits, demand.ask.more, now, &mut room);
        self.room_for_tokens(limits, &demand.ask, now, &mut room);
        for budget in &limits.budgets {
            self.room_for_money(budget, demand, now, &mut room);
        }
        room
    }

    fn room_for_requests(&self, limits: &Limits, more: Requests, now: Time, room: &mut Room) {
        if let Some(limit) = limits.rpm {
            let need = Need { which: Which::Rpm, limit, amount: Requests(1) + more };
            let most = room.output;
            room.admits(need.of(&self.rates().requests, now).map(|_| most));
        }
        let second = Some(Millis::from_secs(1));
        let lasting = [
            (Which::Concurrency, limits.concurrency, self.figures.open, Requests(1), second),
            (Which::MaxRequests, limits.max_requests, self.requests_in_all(), Requests(1) + more, None),
        ];
        for (which, limit, used, need, opens_in) in lasting {
            if let Some(limit) = limit.filter(|limit| used + need > *limit) {
                let left = limit.less(used).get();
                room.admits(Err(Lack { which, limit: limit.get(), left, need: need.get(), opens_in }));
            }
        }
    }

    fn room_for_tokens(&self, limits: &Limits, ask: &Ask, now: Time, room: &mut Room) {
        let rates = self.rates();
        let (input, least) = (ask.input.0, ask.least());
        if let Some(limit) = limits.tpm {
            let need = Need { which: Which::Tpm, limit, amount: input + least };
            room.admits(need.of(&rates.tokens, now).map(|left| left.less(input)));
        }
        if let Some(limit) = limits.tpm_input {
            let need = Need { which: Which::TpmInput, limit, amount: input };
            room.admits(need.of(&rates.input, now).map(|_| ask.most()));
        }
        if let Some(limit) = limits.tpm_output {
            let need = Need { which: Which::TpmOutput, limit, amount: least };
            room.admits(need.of(&rates.output, now));
        }
        if let Some(limit) = limits.max_tokens {
            let (left, need) = (limit.less(self.figures.tokens + self.held.tokens()), input + least);
            let lack = || Lack {
                which: Which::MaxTokens,
                limit: limit.get(),
                left: left.get(),
                need: need.get(),
                opens_in: None,
            };
            room.admits(if need > left { Err(lack()) } else { Ok(left.less(input)) });
        }
    }

    fn room_for_money(&self, budget: &Budget, demand: &Demand, now: Time, room: &mut Room) {
        let purse = self.purses.iter().find(|purse| purse.is_of(budget));
        let left = purse.map_or(budget.amount, |purse| purse.left(budget.amount, now));
        room.admits(demand.paid_by(left).map_err(|need| {
            let purse = purse.cloned().unwrap_or_else(|| Purse::new(budget, now));
            Lack {
                which: Which::Budget(budget.per, purse.resets_at(now)),
                limit: budget.amount.get(),
                left: left.get(),
                need: need.get(),
                opens_in: purse.opens_in(budget.amount, need, now),
            }
        }));
    }

    /// Takes a call's share, whether there is room or not.
    pub(super) fn take(&mut self, limits: &Limits, share: &Share, more: Requests, now: Time) -> Seats {
        let one = counted(limits);
        self.figures.open += one;
        if !one.is_zero() {
            self.figures.settled += more;
        }
        self.touched = now;
        // Whoever takes from it is: another of the same name.
        self.fate = Fate::Kept;
        self.hold(limits, share, now);
        let Limits { rpm, tpm, tpm_input, tpm_output, .. } = limits;
        if rpm.is_none() && tpm.is_none() && tpm_input.is_none() && tpm_output.is_none() {
            return Seats::default();
        }
        let rates = self.rates.get_or_insert_default();
        Seats {
            requests: rpm.map(|_| rates.requests.push(Requests(1) + more, now)),
            tokens: tpm.map(|_| rates.tokens.push(share.tokens(), now)),
            input: tpm_input.map(|_| rates.input.push(share.input, now)),
            output: tpm_output.map(|_| rates.output.push(share.output, now)),
        }
    }

    /// Takes up an open call whose share the windows know already.
    pub(super) fn resume(&mut self, limits: &Limits, share: &Share, now: Time) {
        self.figures.open += counted(limits);
        self.hold(limits, share, now);
    }

    /// Takes up what these books were in an earlier life. What is held is known from open calls.
    pub(super) fn take_up(&mut self, kept: Self) {
        let Self { name: _, figures, held: _, rates, purses, counts_all, stored: _, touched, fate: _ } = kept;
        self.touched = self.touched.max(touched);
        self.figures = Account { open: self.figures.open, ..figures };
        self.rates = rates;
        let ours = std::mem::replace(&mut self.purses, purses);
        for purse in ours.into_iter().filter(|purse| !purse.held.is_zero()) {
            match self.purses.iter_mut().find(|kept| kept.is_like(&purse)) {
                Some(kept) => kept.held = purse.held,
                None => self.purses.push(purse),
            }
        }
        self.counts_all |= counts_all;
        self.stored = true;
    }

    fn hold(&mut self, limits: &Limits, share: &Share, now: Time) {
        self.counts_all |= limits.max_requests.is_some() || limits.max_tokens.is_some();
        self.held.input += share.input;
        self.held.output += share.output;
        for budget in &limits.budgets {
            self.with_purse(budget, now, |purse| purse.held += share.cost);
        }
    }

    /// Ends a call: its share is given up, and what it consumed is booked.
    pub(super) fn end(&mut self, taken: &Taken, share: &Share, outcome: &Outcome, now: Time) {
        let consumed = match outcome {
            Outcome::Consumed(consumed) => *consumed,
            Outcome::Released | Outcome::Elsewhere => Share::default(),
        };
        self.touched = now;
        let one = counted(&taken.scope.limits);
        self.figures.open = self.figures.open.less(one);
        self.held.input = self.held.input.less(share.input);
        self.held.output = self.held.output.less(share.output);
        match outcome {
            Outcome::Consumed(_) => self.figures.settled += one,
            Outcome::Released => self.figures.released += one,
            Outcome::Elsewhere => {}
        }
        self.figures.tokens += consumed.tokens();
        self.figures.spent += consumed.cost;
        self.correct(&taken.seats, share, &consumed, outcome);
        for budget in &taken.scope.limits.budgets {
            self.with_purse(budget, now, |purse| purse.spend(share.cost, consumed.cost, now));
        }
    }

    fn correct(&mut self, seats: &Seats, share: &Share, consumed: &Share, outcome: &Outcome) {
        let Some(rates) = &mut self.rates else { return };
        let Seats { requests, tokens, input, output } = *seats;
        if let (Some(seat), Outcome::Elsewhere) = (requests, outcome) {
            rates.requests.correct(seat, Requests(1), Requests::ZERO);
        }
        if let Some(seat) = tokens {
            rates.tokens.correct(seat, share.tokens(), consumed.tokens());
        }
        if let Some(seat) = input {
            rates.input.correct(seat, share.input, consumed.input);
        }
        if let Some(seat) = output {
            rates.output.correct(seat, share.output, consumed.output);
        }
    }

    /// Makes what is spent of a budget at least this.
    pub(super) fn credit(&mut self, budget: &Budget, spent: NanoDollars, now: Time) {
        self.with_purse(budget, now, |purse| purse.credit(spent, now));
    }

    /// The budgets whose owner is to be warned, now that so much more was spent.
    pub(super) fn warnings(&mut self, scope: &Scope, cost: NanoDollars, now: Time, told: &mut Vec<Warning>) {
        for budget in scope.limits.budgets.iter().filter(|budget| budget.warn.is_some()) {
            let warning = self.with_purse(budget, now, |purse| {
                let spent = purse.spent(now);
                purse.warns(budget, spent.less(cost), now).then(|| Warning {
                    scope: scope.name.clone(),
                    budget: budget.clone(),
                    spent,
                    resets_at: purse.resets_at(now),
                })
            });
            told.extend(warning);
        }
    }

    /// How close the rate limits are, if any.
    pub(super) fn standing(&self, limits: &Limits, now: Time) -> Standing {
        let rates = self.rates();
        let requests = limits.rpm.map(|limit| rates.requests.level(limit, now));
        let total = limits.tpm.map(|limit| rates.tokens.level(limit, now));
        let apart = || {
            let input = limits.tpm_input.map(|limit| rates.input.level(limit, now));
            closer(input, limits.tpm_output.map(|limit| rates.output.level(limit, now)))
        };
        Standing { requests, tokens: total.or_else(apart) }
    }

    /// Where each limit stands.
    pub(super) fn read(&self, limits: &Limits, now: Time) -> Vec<Reading> {
        let rates = self.rates();
        let minute = |window: &Window<Tokens>, held: Tokens| {
            let used = window.used(now).get();
            let held = held.get().min(used);
            (used - held, held)
        };
        let Account { open, settled, released, tokens, spent: _ } = self.figures;
        let Limits { rpm, tpm, tpm_input, tpm_output, concurrency, max_requests, max_tokens, budgets } =
            limits;
        let [rpm, concurrency, max_requests] =
            [rpm, concurrency, max_requests].map(|most| most.map(Requests::get));
        let [tpm, tpm_input, tpm_output, max_tokens] =
            [tpm, tpm_input, tpm_output, max_tokens].map(|most| most.map(Tokens::get));
        let readings = [
            (Which::Rpm, rpm, (rates.requests.used(now).get(), 0)),
            (Which::Tpm, tpm, minute(&rates.tokens, self.held.tokens())),
            (Which::TpmInput, tpm_input, minute(&rates.input, self.held.input)),
            (Which::TpmOutput, tpm_output, minute(&rates.output, self.held.output)),
            (Which::Concurrency, concurrency, (0, open.get())),
            (Which::MaxRequests, max_requests, ((settled + released).get(), open.get())),
            (Which::MaxTokens, max_tokens, (tokens.get(), self.held.tokens().get())),
        ];
        let readings = readings.into_iter().filter_map(|(which, most, (used, held))| {
            Some(Reading { limit: which.name(), budget: None, most: most?, used, held, resets_at: None })
        });
        readings.chain(budgets.iter().map(|budget| self.read_budget(budget, now))).collect()
    }

    fn read_budget(&self, budget: &Budget, now: Time) -> Reading {
        let purse = self.purses.iter().find(|purse| purse.is_of(budget)).cloned();
        let purse = purse.unwrap_or_else(|| Purse::new(budget, now));
        let resets_at = purse.resets_at(now);
        Reading {
            limit: Which::Budget(budget.per, resets_at).name(),
            budget: Some(budget.clone()),
            most: budget.amount.get(),
            used: purse.spent(now).get(),
            held: purse.held.get(),
            resets_at,
        }
    }

    /// Gives up what is no longer needed. Says whether anything is left.
    pub(super) fn shrink(&mut self, now: Time) -> Remains {
        if !self.figures.open.is_zero() {
            return Remains::Something;
        }
        if self.fate == Fate::Forgotten {
            return Remains::Nothing;
        }
        self.rates = self.rates.take().filter(|rates| !rates.is_empty(now));
        self.purses.retain(|purse| !purse.is_empty(now));
        let counted = self.counts_all && !(self.requests_in_all().is_zero() && self.figures.tokens.is_zero());
        match self.rates.is_none() && self.purses.is_empty() && !counted {
            true => Remains::Nothing,
            false => Remains::Something,
        }
    }

    /// The clock was put back to `now`: what came later came now.
    pub(super) fn put_back(&mut self, now: Time) {
        if let Some(rates) = &mut self.rates {
            let Rates { requests, tokens, input, output } = &mut **rates;
            requests.put_back(now);
            tokens.put_back(now);
            input.put_back(now);
            output.put_back(now);
        }
        for purse in &mut self.purses {
            purse.put_back(now);
        }
        self.touched = self.touched.min(now);
    }

    fn rates(&self) -> &Rates {
        self.rates.as_deref().unwrap_or(&IDLE)
    }

    /// Does something to a budget's purse, which begins empty.
    fn with_purse<R>(&mut self, budget: &Budget, now: Time, act: impl FnOnce(&mut Purse) -> R) -> R {
        match self.purses.iter_mut().find(|purse| purse.is_of(budget)) {
            Some(purse) => act(purse),
            None => {
                let mut purse = Purse::new(budget, now);
                let done = act(&mut purse);
                // Scopes are many and their budgets few: none is allocated ahead.
                self.purses.reserve_exact(1);
                self.purses.push(purse);
                done
            }
        }
    }

    fn requests_in_all(&self) -> Requests {
        let Account { open, settled, released, .. } = self.figures;
        open + settled + released
    }
}

/// What a rate limit must have room for.
struct Need<Q> {
    which: Which,
    limit: Q,
    amount: Q,
}

impl<Q: Quantity> Need<Q> {
    /// What is left in the window, if that is enough.
    fn of(&self, window: &Window<Q>, now: Time) -> Result<Q, Lack> {
        let left = window.left(self.limit, now);
        if self.amount <= left {
            return Ok(left);
        }
        let Self { which, limit, amount } = *self;
        let opens_in = Some(window.opens_in(limit, amount, now));
        Err(Lack { which, limit: limit.number(), left: left.number(), need: amount.number(), opens_in })
    }
}

/// The level with less left.
pub(super) fn closer<Q: Ord>(one: Option<Level<Q>>, other: Option<Level<Q>>) -> Option<Level<Q>> {
    match (one, other) {
        (Some(one), Some(other)) => Some(if other.left < one.left { other } else { one }),
        (one, other) => one.or(other),
    }
}
