//! The task that tells and hears.

use super::slate::{Page, Slate};
use crate::host::Shared;
use crate::ledger::shared::SharedLedger;
use crate::store::elsewhere::{Heard, Hearsay, Place};
use std::time::Duration;

/// Between two rounds.
const ROUND: Duration = Duration::from_secs(1);
/// Pages that are read in a round, and batches that are told.
const PAGES: usize = 10_000;
/// Lines that are told in one call.
const BATCH: u32 = 200;

/// Tells and hears for as long as the process lives.
pub(super) async fn run(shared: &Shared, ledger: &SharedLedger) {
    let mut follower = Follower { shared, slate: Slate::new(ledger), known: None, trouble: Trouble::No };
    loop {
        follower.turn().await;
        tokio::time::sleep(ROUND).await;
    }
}

struct Follower<'a> {
    shared: &'a Shared,
    slate: Slate<'a>,
    /// How far the store has come, once that is known.
    known: Option<Hearsay>,
    trouble: Trouble,
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
        match (self.trouble, self.round().await) {
            (before, Ok(())) => {
                self.shared.hearsay.heard(self.shared.clock.now());
                self.trouble = Trouble::No;
                if before == Trouble::Yes {
                    tracing::info!("what is spent is told to other gateways and heard of them again");
                }
            }
            (before, Err(cause)) => {
                self.shared.hearsay.lost();
                // What the store has is asked again: a write may have been made, or not.
                self.known = None;
                self.trouble = Trouble::Yes;
                if before == Trouble::No {
                    tracing::error!(
                        cause,
                        "what other gateways spend is not heard now: /api/spend tells what was heard before"
                    );
                }
            }
        }
    }

    async fn round(&mut self) -> Result<(), String> {
        let mut known = match self.known.take() {
            Some(known) => known,
            None => self.shared.store.hearsay(&self.slate.draw()).await.map_err(|error| error.to_string())?,
        };
        self.hear(&mut known).await?;
        self.tell(&mut known).await?;
        self.known = Some(known);
        Ok(())
    }

    async fn hear(&self, known: &mut Hearsay) -> Result<(), String> {
        let store = &self.shared.store;
        for _ in 0..PAGES {
            let Page { last, lines } = self.slate.newer(&known.heard).await?;
            if last.epoch != known.heard.epoch || last.number < known.heard.number {
                let place = Place { epoch: last.epoch, number: 0 };
                store.hear_anew(place.clone()).await.map_err(|error| error.to_string())?;
                known.heard = place;
                known.told = None;
                continue;
            }
            let Some(number) = lines.last().map(|line| line.number) else { return Ok(()) };
            let mut heard = Vec::with_capacity(lines.len());
            for line in lines.iter().filter(|line| line.origin != known.name) {
                match Heard::read(&line.origin, &line.cell, &line.amounts) {
                    Ok(line) => heard.push(line),
                    Err(why) => tracing::error!(why, "what another gateway tells cannot be read"),
                }
            }
            let place = Place { number, ..known.heard.clone() };
            store.hear(heard, place.clone()).await.map_err(|error| error.to_string())?;
            known.heard = place;
        }
        Ok(())
    }

    async fn tell(&self, known: &mut Hearsay) -> Result<(), String> {
        let store = &self.shared.store;
        let epoch = known.heard.epoch.clone();
        if known.told.as_ref() != Some(&epoch) {
            store.tell_all(epoch.clone()).await.map_err(|error| error.to_string())?;
            known.told = Some(epoch.clone());
        }
        for _ in 0..PAGES {
            let untold = store.untold(BATCH).await.map_err(|error| error.to_string())?;
            let is_last = untold.len() < BATCH as usize;
            if untold.is_empty() || self.slate.tell(&epoch, &known.name, &untold).await? != epoch {
                // Of another epoch the next round hears.
                return Ok(());
            }
            store.told(untold).await.map_err(|error| error.to_string())?;
            if is_last {
                return Ok(());
            }
        }
        Ok(())
    }
}
