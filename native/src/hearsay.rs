//! What was spent, told to gateways that share a Redis and heard of them.
//!
//! ```text
//!   store: untold ─▶ tell ─▶ slate (Redis) ─▶ newer ─▶ store: elsewhere ─▶ /api/spend
//!                     each second, in the background
//! ```
//! 1. No request waits for it, and no question about spend asks Redis.
//! 2. A line says how much a gateway has spent in all of a day, never how much more: to tell or hear it
//!    twice changes nothing, also after a kill.
//! 3. What Redis has lost is told again by every gateway that still has it, and forgotten by none that has
//!    heard it.
//!
//! The store's part of it is [`crate::store::elsewhere`]. Without Redis nothing of this runs.

mod slate; // Redis
mod follow; // the task

use crate::host::Shared;
use crate::ledger::Ledgers;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use tollgate_core::units::Time;

/// What is known of other gateways' spend.
#[derive(Debug, Default)]
pub struct Hearsay {
    /// When all that they had told was heard; 0: never since the start.
    as_of: AtomicU64,
    /// Whether the last try went well.
    goes_well: AtomicBool,
}

impl Hearsay {
    /// When all that others had told was heard; none if that has not been since the start.
    pub fn as_of(&self) -> Option<Time> {
        let at = self.as_of.load(Ordering::Relaxed);
        (at > 0).then_some(Time(at))
    }

    /// Whether others are heard now, as far as is known.
    pub fn is_current(&self) -> bool {
        self.goes_well.load(Ordering::Relaxed)
    }

    fn heard(&self, now: Time) {
        self.as_of.store(now.0, Ordering::Relaxed);
        self.goes_well.store(true, Ordering::Relaxed);
    }

    fn lost(&self) {
        self.goes_well.store(false, Ordering::Relaxed);
    }
}

/// Starts to tell and to hear, on this thread. Does not wait.
pub fn start(shared: &Arc<Shared>) {
    let shared = Arc::clone(shared);
    tokio::task::spawn_local(async move {
        match &shared.ledger {
            Ledgers::Together { shared: ledger, .. } => follow::run(&shared, ledger).await,
            Ledgers::Alone(_) => {
                // What is left untold by a store that takes no writes is left to the next start.
                let _ = shared.store.end_hearsay().await;
            }
        }
    });
}
