//! Keys that are lent for a time: tokens of Google Cloud, Entra and IBM, access keys of AWS's roles.
//!
//! ```text
//!  call ─▶ at hand? ─fresh──────────────────────────────▶ sent with it
//!             │ old, or none
//!             └─▶ somebody asks? ─yes─▶ old but good: sent with it · none: waits
//!                      │ no
//!                      └─▶ asks the source, keeps what it lends ─▶ sent with it
//! ```
//! 1. A source is asked by one call at a time, and not again within [`PAUSE`] of a failure.
//! 2. What is lent is replaced [`EARLY`] before its end; until then a source that fails disturbs nobody.
//! 3. Nothing is asked before a call needs it, and no answer of a source is ever told to anybody.

mod ask;
mod aws;
mod google;
mod instant;
mod oauth;

use crate::clock;
use crate::host::held;
use crate::upstream::pool::Outside;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::time::{Instant, timeout};
use tollgate_core::source::{From, Lent, Source};
use tollgate_core::units::{Millis, Time};

/// How long a source may take.
const PATIENCE: Duration = Duration::from_secs(15);

/// Between a failure and the next attempt.
const PAUSE: Duration = Duration::from_secs(2);

/// How long before its end a key is replaced; half of its life where that is less.
const EARLY: Millis = Millis::from_secs(5 * 60);

/// Left of a key that a call leaves with.
const LEAST: Millis = Millis::from_secs(10);

/// What all sources have lent.
#[derive(Debug, Default)]
pub struct Lenders(Mutex<Vec<(Arc<Source>, Arc<Lender>)>>);

/// What one source has lent.
#[derive(Debug, Default)]
struct Lender {
    held: Mutex<Option<Loan>>,
    /// Who asks; and when and why it failed last.
    turn: tokio::sync::Mutex<Option<(Instant, String)>>,
}

/// Something lent.
#[derive(Clone, Debug)]
struct Loan {
    lent: Lent,
    /// When a new one is to be had.
    renew: Time,
    until: Time,
}

impl Loan {
    /// What holds from now to then.
    fn until(lent: Lent, until: Time, now: Time) -> Self {
        let early = EARLY.min(Millis(until.since(now).0 / 2));
        Self { lent, renew: Time(until.0.saturating_sub(early.0)), until }
    }
}

impl Lenders {
    fn of(&self, source: &Arc<Source>) -> Arc<Lender> {
        let mut all = held(&self.0);
        // Of a config that was read again the same sources have the same keys.
        if let Some((_, lender)) = all.iter().find(|(known, _)| known == source) {
            return Arc::clone(lender);
        }
        let lender = Arc::default();
        all.push((Arc::clone(source), Arc::clone(&lender)));
        lender
    }

    /// What can be sent at once.
    pub fn at_hand(&self, source: &Arc<Source>) -> Option<Lent> {
        let lender = self.of(source);
        let loan = held(&lender.held);
        loan.as_ref().filter(|loan| clock::wall() < loan.renew).map(|loan| loan.lent.clone())
    }

    /// What can be sent, from the source if need be. The error names the source, and nothing of what it said.
    pub async fn lend(&self, source: Arc<Source>, outside: Arc<Outside>) -> Result<Lent, String> {
        let lender = self.of(&source);
        let good = |lender: &Lender, least: Millis| {
            let loan = held(&lender.held).clone();
            loan.filter(|loan| clock::wall() + least < loan.until)
        };
        let mut turn = match (good(&lender, LEAST), lender.turn.try_lock()) {
            (Some(loan), Err(_)) => return Ok(loan.lent),
            (_, Ok(turn)) => turn,
            (None, Err(_)) => lender.turn.lock().await,
        };
        let now = clock::wall();
        let old = good(&lender, LEAST);
        if let Some(loan) = old.as_ref().filter(|loan| now < loan.renew) {
            return Ok(loan.lent.clone());
        }
        let why = match &*turn {
            Some((at, why)) if at.elapsed() < PAUSE => why.clone(),
            Some(_) | None => {
                let asked = timeout(PATIENCE, borrow(&source, ask::Desk::new(outside))).await;
                match asked.unwrap_or_else(|_| Err(format!("no answer within {} s", PATIENCE.as_secs()))) {
                    Ok(loan) => {
                        *turn = None;
                        *held(&lender.held) = Some(loan.clone());
                        return Ok(loan.lent);
                    }
                    Err(why) => {
                        *turn = Some((Instant::now(), why.clone()));
                        why
                    }
                }
            }
        };
        match old {
            Some(loan) => Ok(loan.lent),
            None => Err(format!("no key to be had for it: {why}")),
        }
    }
}

async fn borrow(source: &Source, desk: ask::Desk) -> Result<Loan, String> {
    match source.from {
        From::Google => google::borrow(source, &desk).await,
        From::Entra => oauth::entra(source, &desk).await,
        From::ManagedIdentity => oauth::identity(source, &desk).await,
        From::Ibm => oauth::ibm(source, &desk).await,
        From::Aws => aws::any(source, &desk).await,
        From::AwsProfile => aws::profile(source, &desk).await,
        From::AwsWebIdentity => aws::web_identity(source, &desk).await,
        From::AwsContainer => aws::container(source, &desk).await,
        From::AwsInstance => aws::instance(source, &desk).await,
    }
}
