//! Who there is, shared by gateways that share a Redis: each tells what was changed through its admin
//! API, and takes up what others tell.
//!
//! ```text
//!   commit ─▶ store and directory ─▶ untold ─▶ put ─▶ board (Redis)
//!                  ▲                                     │ each second, what is new
//!                  └──────────── adopt ◀─────────────────┘
//!
//!          at the start, after an outage, board lost
//!       ┌──────────────────────────────────────────────┐
//!   Comparing ── read all, tell what is later here ──▶ Following
//! ```
//! 1. Of two changes to one entry the later one wins, on all gateways alike; see
//!    [`crate::store::stamps::Stamp`]. A clock that is ahead wins against a change it has not seen.
//! 2. The admin waits for this gateway's store and for nobody else.
//! 3. A change that is told twice, or comes back to whoever told it, changes nothing.
//! 4. What Redis has lost is told again by every gateway that still has it.
//! 5. What was deleted is remembered for thirty days; a gateway that was away for longer brings it back.
//!
//! What the config file says is not shared, and wins over what is. What is taken up is not in the audit
//! log here: it is in the log of the gateway where it was done. Without Redis nothing of this runs.

mod board; // Redis
mod entry; // as it is written there
mod follow; // the task

use crate::host::{Shared, held};
use crate::ledger::Ledgers;
use crate::store::stamps::Named;
use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tokio::sync::{Notify, oneshot};
use tollgate_core::api::Change;

/// Beyond so many that wait to be told, everything is compared instead.
const MOST: usize = 10_000;

/// At the start, for what others have told.
const HEARING: Duration = Duration::from_secs(1);

/// What waits to be told to other gateways.
#[derive(Debug, Default)]
pub struct Share {
    /// Whether anybody tells it.
    is_on: AtomicBool,
    untold: Mutex<VecDeque<Named>>,
    /// Too many waited.
    overflowed: AtomicBool,
    wake: Notify,
}

impl Share {
    /// Changes that this gateway's store has are to be told. Does not wait.
    pub fn tell(&self, changes: &[Change]) {
        if !self.is_on.load(Ordering::Relaxed) {
            return;
        }
        let mut untold = held(&self.untold);
        untold.extend(changes.iter().map(Named::of));
        if untold.len() > MOST {
            untold.clear();
            self.overflowed.store(true, Ordering::Relaxed);
        }
        drop(untold);
        self.wake.notify_one();
    }

    /// The oldest of those that wait.
    fn take(&self, most: usize) -> Vec<Named> {
        let mut untold = held(&self.untold);
        let count = most.min(untold.len());
        untold.drain(..count).collect()
    }

    /// What could not be told waits in its old place.
    fn put_back(&self, names: Vec<Named>) {
        let mut untold = held(&self.untold);
        names.into_iter().rev().for_each(|named| untold.push_front(named));
    }

    /// Whether more waited than there was room for, since it was last asked.
    fn has_overflowed(&self) -> bool {
        self.overflowed.swap(false, Ordering::Relaxed)
    }
}

/// Starts to tell and to follow, on this thread, and waits until what others have told is known here, or
/// cannot be had now.
pub async fn start(shared: &Arc<Shared>) {
    let Ledgers::Together { .. } = &shared.ledger else { return };
    // Otherwise one that has no key of its own would serve strangers meanwhile.
    shared.directory_mut().await_others();
    let (heard, is_heard) = oneshot::channel();
    tokio::task::spawn_local(follow::run(Arc::clone(shared), heard));
    // Not longer: a gateway that hears nobody serves whom it knows.
    let _ = tokio::time::timeout(HEARING, is_heard).await;
}

#[cfg(test)]
mod tests {
    use super::*;
    use tollgate_core::api::Kind;

    fn change(name: impl ToString) -> Change {
        Change { kind: Kind::Key, name: name.to_string(), spec: None }
    }

    fn names(share: &Share, most: usize) -> Vec<String> {
        share.take(most).into_iter().map(|named| named.name).collect()
    }

    fn on() -> Share {
        Share { is_on: AtomicBool::new(true), ..Share::default() }
    }

    #[test]
    fn what_could_not_be_told_is_told_first_again() {
        let share = on();
        share.tell(&[change("a"), change("b"), change("c")]);
        let tried = share.take(2);
        share.put_back(tried);
        assert_eq!(names(&share, 9), ["a", "b", "c"]);
    }

    #[test]
    fn what_waits_is_bounded_and_then_everything_is_compared() {
        let share = on();
        (0..=MOST).for_each(|number| share.tell(&[change(number)]));
        assert!(names(&share, 9).is_empty());
        assert!(share.has_overflowed());
        assert!(!share.has_overflowed());
    }

    #[test]
    fn where_nobody_tells_nothing_waits() {
        let share = Share::default();
        share.tell(&[change("a")]);
        assert!(names(&share, 9).is_empty());
    }
}
