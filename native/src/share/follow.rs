//! The task that tells and follows.

use super::board::{Board, Line, Page, Place};
use crate::api::forget_gone;
use crate::host::Shared;
use crate::ledger::Ledgers;
use crate::store::stamps::{Named, Stamp, Stamped};
use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;
use tokio::sync::oneshot;
use tokio::time::Instant;
use tollgate_core::api::{Change, Kind};

/// Between two looks at the board, if nobody has anything to tell.
const ROUND: Duration = Duration::from_secs(1);
/// After something could not be stored, before it is tried again.
const REST: Duration = Duration::from_secs(5);
/// Pages that are read in a round.
const PAGES: usize = 10_000;
/// Entries that are told in one call.
const BATCH: usize = 50;

/// Tells and follows for as long as the process lives. `heard` is told when it has tried once.
pub(super) async fn run(shared: Arc<Shared>, heard: oneshot::Sender<()>) {
    let Ledgers::Together { shared: ledger, .. } = &shared.ledger else { return };
    shared.share.is_on.store(true, Ordering::Relaxed);
    let mut follower = Follower {
        shared: &shared,
        board: Board::new(ledger),
        place: Place::default(),
        step: Step::Comparing(Theirs::new()),
        trouble: Trouble::No,
        unkept: None,
    };
    follower.turn().await;
    let _ = heard.send(());
    loop {
        // However it ends, the board is looked at.
        let _ = tokio::time::timeout(ROUND, shared.share.wake.notified()).await;
        follower.turn().await;
    }
}

struct Follower<'a> {
    shared: &'a Shared,
    board: Board<'a>,
    place: Place,
    step: Step,
    trouble: Trouble,
    /// Since when something that was taken up is not in the store.
    unkept: Option<Instant>,
}

/// What is on the board, by what was read of it.
type Theirs = HashMap<Named, Stamp>;

enum Step {
    /// Everything is read once; then what is later here, or not there, is told.
    Comparing(Theirs),
    /// What is new is read.
    Following,
}

/// Whether the last try failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Trouble {
    No,
    Yes,
}

impl Follower<'_> {
    /// Tries once. Only a change between going well and not is logged.
    async fn turn(&mut self) {
        let outcome = self.round().await;
        match (self.trouble, outcome) {
            (Trouble::No, Ok(())) => {}
            (Trouble::Yes, Ok(())) => {
                self.trouble = Trouble::No;
                tracing::info!("keys, teams, users and organisations are shared with other gateways again");
            }
            (before, Err(cause)) => {
                self.trouble = Trouble::Yes;
                // What the server has when it is back may be older than what was read.
                self.begin_again(String::new());
                if before == Trouble::No {
                    tracing::error!(
                        cause,
                        "keys, teams, users and organisations are not shared with other gateways now: each has what it knows"
                    );
                }
            }
        }
    }

    async fn round(&mut self) -> Result<(), String> {
        if self.shared.share.has_overflowed() || self.can_keep_again() {
            self.begin_again(String::new());
        }
        for _ in 0..PAGES {
            let Page { last, lines } = self.board.newer(&self.place).await?;
            if last.epoch != self.place.epoch || last.number < self.place.number {
                self.begin_again(last.epoch);
            } else if lines.is_empty() {
                break;
            } else {
                self.take_up(lines).await?;
            }
        }
        if let Step::Comparing(theirs) = &self.step {
            let later = self.later_here(theirs).await?;
            for names in later.chunks(BATCH) {
                self.put(names.to_vec()).await?;
            }
            self.step = Step::Following;
            self.shared.directory_mut().heard_others();
        }
        self.tell().await
    }

    fn begin_again(&mut self, epoch: String) {
        self.place = Place { epoch, number: 0 };
        self.step = Step::Comparing(Theirs::new());
    }

    /// Takes up a page, first in the store and then in the directory, and nothing between.
    async fn take_up(&mut self, lines: Vec<Line>) -> Result<(), String> {
        let number = lines.last().map_or(self.place.number, |line| line.number);
        let mut changes = Vec::with_capacity(lines.len());
        for line in lines {
            match line.change {
                Ok(change) => changes.push(change),
                Err(why) => {
                    tracing::error!(why, "an entry of another gateway cannot be read and is left out")
                }
            }
        }
        if let Step::Comparing(theirs) = &mut self.step {
            theirs.extend(changes.iter().map(|it| (Named::of(&it.change), it.stamp.clone())));
        }
        self.adopt(changes).await?;
        self.place.number = number;
        Ok(())
    }

    async fn adopt(&mut self, changes: Vec<Stamped>) -> Result<(), String> {
        let Shared { office, store, clock, .. } = self.shared;
        if changes.iter().any(|it| it.change.kind == Kind::Key) {
            // Also where it was deleted: somebody has had a key, so strangers are not let in.
            self.shared.directory_mut().close();
        }
        let _still = office.still().await;
        let taken = match store.adopt(changes.clone(), &self.board.gateway, clock.now()).await {
            Ok(taken) => taken,
            Err(cause) => {
                if self.unkept.is_none() {
                    tracing::error!(%cause, "what other gateways have changed holds here and is not stored");
                }
                self.unkept = Some(Instant::now());
                // Whoever is blocked is blocked, whatever the disk says.
                store.later(changes, &self.board.gateway).await.map_err(|error| error.to_string())?
            }
        };
        taken.iter().for_each(|change| self.show(change));
        forget_gone(&taken, self.shared);
        Ok(())
    }

    /// Whether it is worth trying to store what could not be stored.
    fn can_keep_again(&mut self) -> bool {
        let is_time = self.unkept.is_some_and(|since| since.elapsed() >= REST);
        let can = is_time && self.shared.store.is_writable();
        if can {
            self.unkept = None;
        }
        can
    }

    fn show(&self, change: &Change) {
        let config = self.shared.config.load_full();
        // One by one: requests look themselves up in between.
        let applied = self.shared.directory_mut().apply(change, &config);
        if let Err(aside) = applied {
            let errors: Vec<String> = aside.errors.iter().map(|error| error.message.clone()).collect();
            let (kind, why) = (aside.kind.name(), errors.join("; "));
            tracing::error!(
                kind,
                name = aside.name,
                why,
                "another gateway's entry cannot be used and is left out"
            );
        }
    }

    /// What is later here than there, the oldest first.
    async fn later_here(&self, theirs: &Theirs) -> Result<Vec<Named>, String> {
        let stamps = self.shared.store.stamps(&self.board.gateway).await;
        let ours = stamps.map_err(|error| error.to_string())?;
        let is_later = |(named, stamp): &(Named, Stamp)| theirs.get(named).is_none_or(|known| known < stamp);
        Ok(ours.into_iter().filter(is_later).map(|(named, _)| named).collect())
    }

    /// Tells what waits to be told.
    async fn tell(&self) -> Result<(), String> {
        loop {
            let names = self.shared.share.take(BATCH);
            if names.is_empty() {
                return Ok(());
            }
            if let Err(cause) = self.put(names.clone()).await {
                self.shared.share.put_back(names);
                return Err(cause);
            }
        }
    }

    async fn put(&self, names: Vec<Named>) -> Result<(), String> {
        let stamped = self.shared.store.stamped(names, &self.board.gateway).await;
        let changes = stamped.map_err(|error| error.to_string())?;
        self.board.put(&changes).await
    }
}
