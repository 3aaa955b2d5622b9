//! Core's ledger on rows that others change at the same time.
//!
//! ```text
//!   read rows, as of one moment ─▶ core's ledger ─▶ write what has changed, if nobody else has
//!        ▲                                                      │
//!        └──────────────── somebody has: again ◀────────────────┘
//! ```
//! 1. A decision is written only on top of the rows it was made by.
//! 2. Of an entry either all rows are written or none.
//! 3. An entry is named, so that doing it again after a write of unknown outcome does it once.

use super::Lost;
use std::time::Duration;
use tollgate_core::ledger::{Changed, Entry, Hold, Ledger, Refusal, Settlement, Stored, Warning};
use tollgate_core::limit::Budget;
use tollgate_core::units::{Millis, NanoDollars, Time};

/// How often a decision is made anew because somebody else was first.
const ATTEMPTS: u32 = 16;

/// No token is valid for longer.
const TOKENS: Millis = Millis::from_secs(90 * 24 * 3600);

/// When to come back if nobody was let through.
const BUSY: Millis = Millis::from_secs(1);

/// Rows of books.
pub(crate) trait Books {
    /// What was read, to be compared when something is written.
    type Seen;

    /// The accounts of scopes, and all open entries that hold something in one of them; of those whose
    /// lease is over, the accounts of all their scopes besides.
    fn read(
        &self,
        book: &str,
        scopes: &[String],
        now: Time,
    ) -> impl Future<Output = Result<Rows<Self::Seen>, Lost>>;

    /// Writes what has changed, all or nothing, if what was seen is still so.
    fn write(
        &self,
        book: &str,
        seen: Self::Seen,
        changed: &Changed,
    ) -> impl Future<Output = Result<Written, Lost>>;

    /// Lets others go first for some time, after so many attempts.
    fn step_aside(&self, attempt: u32) -> impl Future<Output = ()>;
}

/// How long to step aside after so many attempts: up to 2 ms, then 4, and 32 at most.
pub(crate) fn aside(attempt: u32, random: u64) -> Duration {
    let most = 2000_u64 << attempt.min(4);
    Duration::from_micros(500 + random % most)
}

/// Rows as of one moment.
pub(crate) struct Rows<S> {
    /// The rows.
    pub(crate) stored: Vec<Stored>,
    /// What to compare.
    pub(crate) seen: S,
}

/// What became of a write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Written {
    /// It is there.
    Done,
    /// Somebody else has written since: nothing was.
    Overtaken,
}

/// Something to be done to the books.
#[derive(Debug)]
pub(crate) enum Act {
    /// Take quota.
    Reserve(Entry),
    /// End an entry.
    Settle(Hold, Settlement),
}

/// What came of it.
#[derive(Debug)]
pub(crate) enum Done {
    /// Quota was given or refused.
    Reserved(Result<Hold, Refusal>),
    /// The entry is over; these budgets have passed their threshold.
    Settled(Vec<Warning>),
}

impl Act {
    fn entry(&self) -> &Entry {
        match self {
            Self::Reserve(entry) => entry,
            Self::Settle(hold, _) => &hold.entry,
        }
    }

    /// Does it to books that nobody else has.
    pub(crate) fn play(&self, ledger: &mut Ledger, now: Time) -> Done {
        match self {
            Self::Reserve(entry) => Done::Reserved(ledger.reserve(entry.clone(), now)),
            Self::Settle(hold, settlement) => {
                let Hold { entry, output, closed, standing } = hold;
                let (entry, output, closed, standing) = (entry.clone(), *output, *closed, *standing);
                Done::Settled(ledger.settle(Hold { entry, output, closed, standing }, settlement, now))
            }
        }
    }
}

/// Whether an entry is in any books.
pub(crate) fn is_limited(entry: &Entry) -> bool {
    entry.claims.iter().any(|claim| !claim.scope.limits.is_unlimited())
}

/// What was done, and budgets that have passed their threshold with nobody to tell.
#[derive(Debug, Default)]
pub(crate) struct Performed {
    /// In the order of what was asked.
    pub(crate) done: Vec<Done>,
    /// Of entries whose lease was over.
    pub(crate) untold: Vec<Warning>,
}

/// Does all of these, which are of one book, in their order.
pub(crate) async fn perform<B: Books>(books: &B, acts: &[Act], now: Time) -> Result<Performed, Lost> {
    let Some(book) = acts.first().map(|act| act.entry().book.clone()) else {
        return Ok(Performed::default());
    };
    on_rows(books, &book, &scopes(acts), now, |ledger| acts.iter().map(|act| act.play(ledger, now)).collect())
        .await
}

/// Ends what is over in these scopes, and gives up what is empty.
pub(crate) async fn sweep<B: Books>(
    books: &B,
    book: &str,
    scopes: &[String],
    now: Time,
) -> Result<Vec<Warning>, Lost> {
    on_rows(books, book, scopes, now, |_| Vec::new()).await.map(|performed| performed.untold)
}

/// Makes what is spent of a scope's budget at least this.
pub(crate) async fn credit<B: Books>(
    books: &B,
    book: &str,
    scope: &str,
    budget: &Budget,
    spent: NanoDollars,
    now: Time,
) -> Result<Vec<Warning>, Lost> {
    let scopes = [scope.to_owned()];
    let credited = on_rows(books, book, &scopes, now, |ledger| {
        ledger.credit(scope, budget, spent, now);
        Vec::new()
    });
    credited.await.map(|performed| performed.untold)
}

async fn on_rows<B: Books>(
    books: &B,
    book: &str,
    scopes: &[String],
    now: Time,
    act: impl Fn(&mut Ledger) -> Vec<Done>,
) -> Result<Performed, Lost> {
    for attempt in 0..ATTEMPTS {
        let Rows { stored, seen } = books.read(book, scopes, now).await?;
        let mut ledger = restored(&stored);
        ledger.expire_tokens(TOKENS);
        let done = act(&mut ledger);
        // Of what was read all that holds is known: what is empty may go.
        let untold = ledger.sweep(now);
        let changed = ledger.take_changed();
        if changed == Changed::default() || books.write(book, seen, &changed).await? == Written::Done {
            return Ok(Performed { done, untold });
        }
        // Those who were overtaken come back one after the other, not all at once.
        books.step_aside(attempt).await;
    }
    Err(Lost(format!("{ATTEMPTS} times somebody else was first")))
}

fn scopes(acts: &[Act]) -> Vec<String> {
    let claims = acts.iter().flat_map(|act| &act.entry().claims);
    let limited = claims.filter(|claim| !claim.scope.limits.is_unlimited());
    let mut names: Vec<String> = limited.map(|claim| claim.scope.name.clone()).collect();
    names.sort_unstable();
    names.dedup();
    names
}

/// A ledger of these rows. What cannot be understood is as if it were not there, and is said.
pub(crate) fn restored(rows: &[Stored]) -> Ledger {
    let mut ledger = Ledger::default();
    for row in rows {
        if let Err(garbled) = ledger.restore(row) {
            crate::trouble::say(&format!(
                "a row of the ledger cannot be read and is left out: {}",
                garbled.what
            ));
        }
    }
    ledger
}

/// The answer where the books cannot be asked.
pub(crate) fn unavailable() -> Refusal {
    Refusal::Unavailable { retry_after: BUSY }
}
