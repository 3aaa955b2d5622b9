//! The ledger in Redis, and what decides while that cannot be asked.
//!
//! ```text
//!   reserve ─▶ breaker ─▶ Redis ─▶ granted, refused
//!                 └────────┴─ cannot be asked ─▶ closed │ this node's own books │ open
//!   settle  ─▶ own books, if they have granted it ─▶ Redis, now or when it answers again
//! ```
//! 1. Nobody waits longer than the patience, and nobody while the breaker is open.
//! 2. What was granted without Redis is charged there when it answers.

use super::books::{Act, Done};
use super::redis::{Grant, Redis};
use super::{Asked, Ledger, Lost, Owed, copied, everything, returned};
use crate::timer::patiently;
use crate::trouble;
use std::cell::RefCell;
use std::rc::Rc;
use tollgate_core::config::{Fail, Fallback};
use tollgate_core::ledger::{Entry, Refusal, Warning};
use tollgate_core::units::{Millis, Time};
use tollgate_redis_ledger::breaker::{Breaker, Change, Permit};

/// A server that may be gone.
pub(crate) struct Shared {
    /// The server.
    pub(crate) redis: Redis,
    /// Who decides while it cannot be asked.
    fail: Fail,
    breaker: RefCell<Breaker>,
}

/// Why the server has not decided.
pub(crate) struct Unasked {
    /// Whether it may have been reached all the same.
    pub(crate) sent: Sent,
}

/// Whether a call may have reached the server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Sent {
    /// It has not.
    No,
    /// Who knows.
    Perhaps,
}

/// Whether an answer that is late says that the server is unwell.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Lateness {
    /// Somebody has waited for it in vain.
    Fails,
    /// It goes on behind.
    IsTolerated,
}

impl Shared {
    /// A server by these names. Does not connect.
    pub(crate) fn new(redis: Redis, fail: Fail) -> Self {
        Self { redis, fail, breaker: RefCell::default() }
    }

    /// Who decides for an entry, by what its scopes limit.
    pub(crate) fn mode(&self, entry: &Entry) -> Fallback {
        let money = entry.claims.iter().any(|claim| claim.scope.limits.has_budget());
        if money { self.fail.budgets } else { self.fail.limits }
    }

    /// The refusal where nobody decides, with when it is worth coming back.
    pub(crate) fn closed(&self, now: Time) -> Refusal {
        let retry_after = self.breaker.borrow().opens_in(now).max(Millis::from_secs(1));
        Refusal::Unavailable { retry_after }
    }

    fn answered(&self) {
        if self.breaker.borrow_mut().on_success() == Some(Change::Closed) {
            trouble::say("redis answers again: limits are shared again");
        }
    }

    fn failed(&self, why: &str, asked: Time, now: Time) {
        let Fail { budgets, limits } = self.fail;
        match self.breaker.borrow_mut().on_failure(asked, now) {
            Some(Change::Opened) => trouble::say(&format!(
                "redis is asked no more until it answers a probe, and the modes hold (budgets {budgets:?}, \
                 limits {limits:?}): {why}"
            )),
            Some(Change::Closed) | None => trouble::say(&format!("redis cannot be asked: {why}")),
        }
    }
}

impl Ledger {
    /// By Redis; without it as the modes say.
    pub(super) async fn reserve_shared(self: &Rc<Self>, shared: &Shared, entry: Entry) -> Asked {
        // A quarter is left for this node's own books.
        let patience = Millis(self.patience.get() - self.patience.get() / 4);
        let act = Act::Reserve(entry.clone());
        let sent = match self.ask(shared, act, patience, Lateness::Fails).await {
            Ok(Done::Reserved(answer)) => return Asked { answer, unsure: None },
            Ok(Done::Settled(_)) => Sent::Perhaps,
            Err(Unasked { sent }) => sent,
        };
        let id = entry.id.0;
        let (answer, grant) = match shared.mode(&entry) {
            Fallback::Closed => (Err(shared.closed(self.clock.now())), None),
            Fallback::Open => (Ok(everything(entry.clone())), Some(Grant::Unasked)),
            Fallback::Local => {
                let rest = Millis(self.patience.get() / 4);
                let Asked { answer, unsure } = self.reserve_here(entry.clone(), rest).await;
                if unsure.is_some() {
                    shared.redis.note(id, Grant::Own);
                    return Asked { answer, unsure };
                }
                (answer, Some(Grant::Own))
            }
        };
        match (answer, grant) {
            (Ok(hold), Some(grant)) => {
                shared.redis.note(id, grant);
                Asked { answer: Ok(hold), unsure: None }
            }
            // What Redis has granted all the same is taken back.
            (answer, _) => {
                let unsure = (sent == Sent::Perhaps).then(|| returned(entry));
                Asked { answer, unsure }
            }
        }
    }

    /// In own books if they have granted it, and in Redis.
    pub(super) async fn settle_shared(
        self: &Rc<Self>,
        shared: &Shared,
        owed: Owed,
    ) -> Result<Vec<Warning>, Box<Owed>> {
        let (id, patience) = (owed.hold.id().0, Millis(self.patience.get() / 4));
        if shared.redis.granted(id) == Some(Grant::Own) {
            let again = Owed { hold: copied(&owed.hold), settlement: owed.settlement };
            if self.settle_here(again, patience).await.is_err() {
                return Err(Box::new(owed));
            }
            // Who warns is Redis, as soon as it knows.
            shared.redis.note(id, Grant::Unasked);
        }
        let act = Act::Settle(copied(&owed.hold), owed.settlement);
        match self.ask(shared, act, patience, Lateness::IsTolerated).await {
            Ok(Done::Settled(warnings)) => Ok(warnings),
            Ok(Done::Reserved(_)) | Err(_) => Err(Box::new(owed)),
        }
    }

    /// Does something in Redis: past the breaker, within the patience.
    async fn ask(
        self: &Rc<Self>,
        shared: &Shared,
        act: Act,
        patience: Millis,
        lateness: Lateness,
    ) -> Result<Done, Unasked> {
        let asked = self.clock.now();
        if let Permit::No { .. } = shared.breaker.borrow_mut().may_ask(asked) {
            return Err(Unasked { sent: Sent::No });
        }
        let ledger = Rc::clone(self);
        let call = async move {
            match &ledger.shared {
                Some(shared) => shared.redis.act(act, asked).await,
                None => Err(Lost("there is no redis".to_owned())),
            }
        };
        match patiently(patience, call).await {
            Some(Ok(done)) => {
                shared.answered();
                return Ok(done);
            }
            Some(Err(Lost(why))) => shared.failed(&why, asked, self.clock.now()),
            None if lateness == Lateness::IsTolerated => {}
            None => shared.failed("it takes too long", asked, self.clock.now()),
        }
        Err(Unasked { sent: Sent::Perhaps })
    }
}
