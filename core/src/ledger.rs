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

use crate::exchange::RequestId;
use crate::fault::{Code, Fault};
use crate::limit::Limits;
use crate::price::PerMillion;
use crate::units::{Estimated, Metered, Millis, NanoDollars, Requests, Time, Tokens};
use std::collections::HashMap;
use std::sync::Arc;

/// Whom limits are for, and what they are. Names are unique in a gateway and begin with their kind:
/// `key:ci`, `team:search`, `user:ann`, `organisation:acme`, `tag:batch`, `token:7f…`; a scope inside
/// another adds what it is for: `key:ci/model:gpt-4o`, `team:search/provider:openai`,
/// `team:search/end-user:77`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Scope {
    /// Unique.
    pub name: String,
    /// What it may consume, all its requests together.
    pub limits: Limits,
}

/// A scope that a request draws on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Claim {
    /// Whose limits.
    pub scope: Arc<Scope>,
    /// For which of the route's targets they hold.
    pub targets: Targets,
}

/// A set of a route's targets, counted through `route.targets` and on through `route.fallbacks`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Targets(pub u64);

impl Targets {
    /// None of them.
    pub const NONE: Self = Self(0);
    /// Every one, however many there are.
    pub const ALL: Self = Self(u64::MAX);

    /// Whether a target is among them. Those beyond the sixty-third are counted as one.
    pub const fn holds(self, target: u16) -> bool {
        let place = if target > 63 { 63 } else { target };
        self.0 & (1 << place) != 0
    }

    /// The same and this one.
    #[must_use]
    pub const fn with(self, target: u16) -> Self {
        let place = if target > 63 { 63 } else { target };
        Self(self.0 | (1 << place))
    }
}

/// What a request asks of the ledger.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Names the entry.
    pub id: RequestId,
    /// The organisation whose books it is in; everything one entry touches is in one book, so that a
    /// host may keep books apart (one object, one hash slot for each). Empty: the gateway's own.
    pub book: Arc<str>,
    /// All scopes it draws on. Those that hold for some targets only close these targets when they
    /// have no room; the entry is refused if none is left open.
    pub claims: Vec<Claim>,
    /// The targets the route has.
    pub targets: Targets,
    /// What it may come to consume.
    pub ask: Ask,
    /// How long it may stay open. One that is open longer has lost its gateway, and is charged in
    /// full.
    pub lease: Millis,
}

/// What a request may come to consume.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Ask {
    /// The prompt.
    pub input: Estimated<Tokens>,
    /// The least output that makes the call worth sending: all of the cap where the client set one.
    pub least_output: Estimated<Tokens>,
    /// The most it can be. What is granted lies between the two.
    pub most_output: Estimated<Tokens>,
    /// At the dearest target. Absent where the price is not known: budgets are then not asked.
    pub cost: Option<AskCost>,
}

/// What a request may come to cost.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct AskCost {
    /// Before any output.
    pub fixed: NanoDollars,
    /// For output.
    pub output: PerMillion,
}

impl AskCost {
    /// With so much output; a started nano-dollar counts.
    pub fn with_output(&self, output: Tokens) -> NanoDollars {
        self.fixed + self.output.times(output.get()).rounded_up()
    }
}

/// Quota taken in advance. Consumed by settling; dropping it would leave the books open.
#[must_use = "a hold must be settled"]
#[derive(Debug, PartialEq, Eq)]
pub struct Hold {
    /// What was asked.
    pub entry: Entry,
    /// Output that is paid for.
    pub output: Tokens,
    /// Targets whose own limits have no room.
    pub closed: Targets,
    /// For the answer's headers.
    pub standing: Standing,
}

impl Hold {
    /// The request it was taken for.
    pub fn id(&self) -> RequestId {
        self.entry.id
    }
}

/// How close a request's scopes are to their rate limits: of each kind the one with the least left.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Standing {
    /// Requests a minute.
    pub requests: Option<Level<Requests>>,
    /// Tokens a minute.
    pub tokens: Option<Level<Tokens>>,
}

/// How much of a limit is left.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Level<Q> {
    /// The limit.
    pub limit: Q,
    /// What is left of it after this request.
    pub left: Q,
    /// When all of it is there again if nothing more is asked.
    pub reset: Millis,
}

/// Why quota was not given.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// The ledger cannot be asked now.
    Unavailable {
        /// When to come back.
        retry_after: Millis,
    },
    /// A limit has no room. Of several, the one that opens last.
    Limited(Box<Limited>),
}

/// The limit that has no room.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limited {
    /// `rpm_exceeded`, `tpm_exceeded`, `concurrency_exceeded` or `budget_exceeded`.
    pub code: Code,
    /// Whose limit: the scope's name.
    pub scope: String,
    /// Which one, how much of it is left, and what was asked, in words:
    /// `200000 tokens a minute, 1200 left, this call may take 9000`.
    pub what: String,
    /// When there will be room; absent where there never will be.
    pub opens_in: Option<Millis>,
    /// For the answer's headers.
    pub standing: Standing,
}

impl Refusal {
    /// What the client is told.
    pub fn into_fault(self) -> Fault {
        match self {
            Self::Unavailable { retry_after } => {
                let message = "the ledger that holds this key's limits cannot be reached";
                Fault::new(Code::StoreUnavailable, message).retry_after(retry_after)
            }
            Self::Limited(limited) => {
                let Limited { code, scope, what, opens_in, standing: _ } = *limited;
                let fault = Fault::new(code, format!("{scope}: {what}"));
                match opens_in {
                    Some(wait) => fault.retry_after(wait),
                    None => fault,
                }
            }
        }
    }
}

/// What ends a hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Settlement {
    /// Nothing was sent anywhere. The request still counts as one.
    Release,
    /// Something was sent.
    Settle(Spent),
}

/// What a call came to consume.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Spent {
    /// The whole prompt.
    pub input: Metered<Tokens>,
    /// Everything generated.
    pub output: Metered<Tokens>,
    /// What it cost; zero where that is not known.
    pub cost: NanoDollars,
    /// The targets that were called; limits of others get everything back.
    pub targets: Targets,
}

/// A budget has passed its warning threshold, for the first time in its period.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Warning {
    /// Whose.
    pub scope: String,
    /// The budget.
    pub budget: crate::limit::Budget,
    /// What is spent of it, open holds not counted.
    pub spent: NanoDollars,
    /// When it is full again; absent: never.
    pub resets_at: Option<Time>,
}

/// The books of one scope.
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

/// The books of all scopes.
#[derive(Debug, Default)]
pub struct Ledger {
    accounts: HashMap<String, Account>,
    open: HashMap<u128, ()>,
}

impl Ledger {
    /// Takes from every scope of an entry or from none.
    pub fn reserve(&mut self, entry: Entry, now: Time) -> Result<Hold, Refusal> {
        let _ = now;
        if self.open.insert(entry.id.0, ()).is_none() {
            for claim in &entry.claims {
                self.accounts.entry(claim.scope.name.clone()).or_default().open += Requests(1);
            }
        }
        let output = entry.ask.most_output.0;
        Ok(Hold { entry, output, closed: Targets::NONE, standing: Standing::default() })
    }

    /// Ends a hold with what came of it. A second end of the same entry changes nothing.
    pub fn settle(&mut self, hold: Hold, settlement: &Settlement, now: Time) -> Vec<Warning> {
        let _ = now;
        let Hold { entry, .. } = hold;
        if self.open.remove(&entry.id.0).is_none() {
            return Vec::new();
        }
        for claim in &entry.claims {
            let account = self.accounts.entry(claim.scope.name.clone()).or_default();
            account.open = account.open.less(Requests(1));
            match settlement {
                Settlement::Release => account.released += Requests(1),
                Settlement::Settle(spent) => {
                    account.settled += Requests(1);
                    account.tokens += spent.input.0 + spent.output.0;
                    account.spent += spent.cost;
                }
            }
        }
        Vec::new()
    }

    /// Takes what another ledger has granted, whatever the limits say, so that this one can step in
    /// for it.
    pub fn record(&mut self, hold: &Hold, now: Time) {
        let _ = (hold, now);
    }

    /// Ends every entry whose lease is over, in full.
    pub fn sweep(&mut self, now: Time) -> Vec<Warning> {
        let _ = now;
        Vec::new()
    }

    /// Ends every open entry in full, whatever its lease: those of a process that is gone.
    pub fn abandon(&mut self, now: Time) -> Vec<Warning> {
        let _ = now;
        self.open.clear();
        Vec::new()
    }

    /// Where a scope stands now, limit by limit.
    pub fn report(&self, scope: &Scope, now: Time) -> Report {
        let _ = now;
        Report { scope: scope.name.clone(), gauges: Vec::new() }
    }

    /// What has changed since this was last asked, to be stored.
    pub fn take_changed(&mut self) -> Changed {
        Changed::default()
    }

    /// Takes up what [`Ledger::take_changed`] gave out in an earlier life.
    pub fn restore(&mut self, state: &Stored) -> Result<(), Garbled> {
        let _ = state;
        Ok(())
    }

    /// Does again what was noted after the last stored change. Times are the note's own.
    pub fn replay(&mut self, note: &Note) {
        let _ = note;
    }

    /// The books of a scope; empty if it never asked for anything.
    pub fn account(&self, scope: &str) -> Account {
        self.accounts.get(scope).copied().unwrap_or_default()
    }
}

/// Where a scope stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Report {
    /// The scope's name.
    pub scope: String,
    /// One for each of its limits.
    pub gauges: Vec<Reading>,
}

/// Where one limit stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reading {
    /// In the words of the config: `rpm`, `tpm`, `tpm_input`, `tpm_output`, `concurrency`,
    /// `max_requests`, `max_tokens`, `budget`.
    pub limit: &'static str,
    /// The budget, for `budget`.
    pub budget: Option<crate::limit::Budget>,
    /// The limit: requests, tokens or nano-dollars.
    pub most: u64,
    /// Settled.
    pub used: u64,
    /// In open holds.
    pub held: u64,
    /// When a budget is full again.
    pub resets_at: Option<Time>,
}

/// Something of a ledger to be stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Stored {
    /// A scope's account.
    Account {
        /// The scope's name.
        scope: String,
        /// In a form of the ledger's own.
        state: Vec<u8>,
    },
    /// An open entry.
    Open {
        /// Its name.
        id: RequestId,
        /// In a form of the ledger's own.
        state: Vec<u8>,
    },
}

/// What is to be stored, and what no longer.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Changed {
    /// To be stored under its name in place of what was there.
    pub stored: Vec<Stored>,
    /// Entries that are no longer open.
    pub ended: Vec<RequestId>,
    /// Accounts with nothing left in them.
    pub emptied: Vec<String>,
}

/// What a ledger did, for a journal: enough to do it again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Note {
    /// An entry was granted so much output.
    Reserved {
        /// What was asked.
        entry: Box<Entry>,
        /// What was granted.
        output: Tokens,
        /// Targets that were closed.
        closed: Targets,
        /// When.
        at: Time,
    },
    /// An entry ended.
    Settled {
        /// Its name.
        id: RequestId,
        /// With what.
        settlement: Settlement,
        /// When.
        at: Time,
    },
}

impl Note {
    /// Appends the note with its length and a check sum.
    pub fn write(&self, out: &mut Vec<u8>) {
        let _ = (self, out);
    }

    /// Reads the first note: what it says, and how many bytes it took. `Ok(None)` where the bytes end
    /// within it, as they do when the writer was killed.
    pub fn read(bytes: &[u8]) -> Result<Option<Read>, Garbled> {
        let _ = bytes;
        Ok(None)
    }
}

/// A note that was read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Read {
    /// What it says.
    pub note: Note,
    /// How many bytes it took.
    pub length: usize,
}

/// Stored state that cannot be understood.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Garbled {
    /// What is wrong with it.
    pub what: String,
}
