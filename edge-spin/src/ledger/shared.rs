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
use super::redis::Redis;
use super::{Ledger, Lost};
use crate::timer::patiently;
use crate::trouble;
use std::cell::RefCell;
use std::rc::Rc;
use tollgate_core::config::{Fail, Fallback};
use tollgate_core::ledger::{Entry, Refusal};
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
    /// Does something in Redis: past the breaker, within the patience.
    pub(super) async fn ask(
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
