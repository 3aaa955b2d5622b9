//! The world's ledger, its store and its journal, and an account kept beside it by other means.
//!
//! What is admitted and what is spent is written down here a second time, as plain lists, so that the
//! ledger's windows can be held against them.

use std::collections::BTreeMap;
use tollgate_core::exchange::{Record, RequestId};
use tollgate_core::ledger::{Account, Changed, Entry, Hold, Ledger, Note, Refusal, Settlement, Stored};
use tollgate_core::units::{Millis, NanoDollars, Requests, Time, Tokens};

/// How much a world's limits matter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Limited {
    /// No request meets one.
    Hardly,
    /// Many do.
    Tightly,
}

/// The key's limits in a tightly limited world: of three kinds one is met long before the others.
#[derive(Clone, Copy, Debug)]
pub struct Tight {
    pub rpm: u64,
    pub tpm: u64,
    pub hourly: NanoDollars,
}

impl Tight {
    pub fn of(seed: u64) -> Self {
        let (rpm, tpm, hourly) = match seed % 3 {
            0 => (4, 5_000, 5_000_000),
            1 => (20, 290, 5_000_000),
            _ => (20, 5_000, 600_000),
        };
        Self { rpm, tpm, hourly: NanoDollars(hourly) }
    }
}

/// A window.
const MINUTE: Millis = Millis::from_secs(60);
const HOUR: u64 = 3_600_000;
/// The scope that is looked at.
const KEY: &str = "key:client";

/// The ledger and what it is held against.
#[derive(Debug)]
pub struct Books {
    pub limited: Limited,
    tight: Tight,
    ledger: Ledger,
    /// What a store would hold.
    stored: BTreeMap<String, Stored>,
    /// What was noted since.
    journal: Vec<Note>,
    /// Everything that was admitted, in order.
    admitted: Vec<Admitted>,
    /// So many of them the ledger has forgotten, as it may once nothing of them is in any window.
    forgotten: usize,
}

/// One admission.
#[derive(Clone, Copy, Debug)]
struct Admitted {
    id: RequestId,
    at: Time,
    /// Held, and once settled what it really was, as far as that was held: what calls that came to
    /// nothing have consumed is known only afterwards.
    tokens: Tokens,
    cost: NanoDollars,
    ended: Option<Time>,
    /// When it ends if nobody ends it.
    over_at: Time,
    /// Beyond what was held: the provider's own overshoot.
    over: NanoDollars,
}

impl Books {
    pub fn new(limited: Limited, tight: Tight) -> Self {
        Self {
            limited,
            tight,
            ledger: Ledger::default(),
            stored: BTreeMap::new(),
            journal: Vec::new(),
            admitted: Vec::new(),
            forgotten: 0,
        }
    }

    pub fn reserve(&mut self, entry: Entry, now: Time) -> Result<Hold, Refusal> {
        let hold = self.ledger.reserve(entry, now)?;
        let Hold { entry, output, closed, .. } = &hold;
        let (entry, output, closed) = (Box::new(entry.clone()), *output, *closed);
        let cost = entry.ask.cost.map_or(NanoDollars::ZERO, |cost| cost.with_output(output));
        let tokens = entry.ask.input.0 + output;
        let (over, over_at) = (NanoDollars::ZERO, now + entry.lease);
        self.admitted.push(Admitted { id: entry.id, at: now, tokens, cost, ended: None, over_at, over });
        self.journal.push(Note::Reserved { entry, output, closed, at: now });
        Ok(hold)
    }

    pub fn settle(&mut self, hold: Hold, settlement: &Settlement, now: Time) {
        let id = hold.id();
        self.end(id, settlement, now);
        self.journal.push(Note::Settled { id, settlement: *settlement, at: now });
        self.ledger.settle(hold, settlement, now);
    }

    fn end(&mut self, id: RequestId, settlement: &Settlement, now: Time) {
        let Some(admitted) = self.admitted.iter_mut().rev().find(|admitted| admitted.id == id) else {
            return;
        };
        let (tokens, cost) = match settlement {
            Settlement::Release | Settlement::Return => (Tokens::ZERO, NanoDollars::ZERO),
            Settlement::Settle(spent) => (spent.input.0 + spent.output.0, spent.cost),
        };
        admitted.over = cost.less(admitted.cost);
        (admitted.tokens, admitted.cost, admitted.ended) = (tokens.min(admitted.tokens), cost, Some(now));
    }

    /// Writes to the store what has changed; the journal begins anew.
    pub fn checkpoint(&mut self) {
        let Changed { stored, ended, emptied } = self.ledger.take_changed();
        for item in stored {
            let name = match &item {
                Stored::Account { scope, .. } => format!("account {scope}"),
                Stored::Open { id, .. } => format!("open {id}"),
            };
            self.stored.insert(name, item);
        }
        for id in ended {
            self.stored.remove(&format!("open {id}"));
        }
        for scope in emptied {
            self.stored.remove(&format!("account {scope}"));
        }
        self.journal.clear();
    }

    /// The process begins anew with what store and journal hold.
    pub fn restart(&mut self) {
        let mut ledger = Ledger::default();
        for item in self.stored.values() {
            ledger.restore(item).expect("what a ledger has stored can be restored");
        }
        for note in &self.journal {
            let mut bytes = Vec::new();
            note.write(&mut bytes);
            let read = Note::read(&bytes).expect("what was noted can be read").expect("all of it is there");
            assert_eq!(read.length, bytes.len());
            ledger.replay(&read.note);
        }
        self.ledger = ledger;
        self.checkpoint();
    }

    /// Ends entries whose gateway is gone; the list beside charges them in full, as they stand.
    pub fn sweep(&mut self, now: Time) {
        self.ledger.sweep(now);
        self.notice_what_is_forgotten();
    }

    fn notice_what_is_forgotten(&mut self) {
        if self.ledger.account(KEY) == Account::default() {
            self.forgotten = self.admitted.len();
        }
    }

    /// After a kill the open entry is still held; its lease is over now, and it ends in full.
    pub fn audit_after_kill(&mut self, now: Time) -> Vec<String> {
        let mut broken = Vec::new();
        let open = self.admitted.iter().filter(|admitted| admitted.ended.is_none()).count() as u64;
        if self.ledger.account(KEY).open != Requests(open) {
            broken.push("I1: a kill has lost a hold or made one".to_owned());
        }
        self.sweep(now);
        for admitted in self.admitted.iter_mut().filter(|admitted| admitted.ended.is_none()) {
            admitted.ended = Some(admitted.over_at);
        }
        broken.extend(self.audit(None));
        broken
    }

    /// The ways in which the ledger and the list disagree, or a limit was passed.
    pub fn audit(&mut self, record: Option<&Record>) -> Vec<String> {
        let mut broken = Vec::new();
        let mut check = |holds: bool, what: String| {
            if !holds {
                broken.push(what);
            }
        };
        self.notice_what_is_forgotten();
        let account = self.ledger.account(KEY);
        check(account.open == Requests::ZERO, "I5: the ledger's books have an open entry".to_owned());
        // What the ledger has forgotten may come back with a restart, or not.
        let spent = |from: usize| -> NanoDollars {
            self.admitted.iter().skip(from).map(|admitted| admitted.cost).sum()
        };
        let (least, most) = (spent(self.forgotten), spent(0));
        check(
            (least..=most).contains(&account.spent),
            format!("I5: the books say {:?} was spent, it was {most:?}", account.spent),
        );
        let requests = |from: usize| Requests(self.admitted.iter().skip(from).count() as u64);
        let (least, most) = (requests(self.forgotten), requests(0));
        let counted = account.settled + account.released;
        check(
            (least..=most).contains(&counted),
            format!("I5: {counted:?} are on the books, {most:?} were admitted"),
        );
        if let (Some(record), Some(last)) = (record, self.admitted.last())
            && last.id == record.id
        {
            let cost = record.cost.amount().unwrap_or_default();
            check(last.cost == cost, format!("I5: {cost:?} on record, {:?} settled", last.cost));
        }
        if self.limited == Limited::Tightly {
            self.audit_windows(&mut check);
        }
        broken
    }

    fn audit_windows(&self, check: &mut impl FnMut(bool, String)) {
        let Tight { rpm, tpm, hourly } = self.tight;
        for (at, first) in self.admitted.iter().enumerate() {
            let window = self.admitted.iter().skip(at).take_while(|next| next.at < first.at + MINUTE);
            let requests = window.clone().count() as u64;
            check(requests <= rpm, format!("{requests} requests within a minute of {:?}", first.at));
            let tokens: Tokens = window.map(|next| next.tokens).sum();
            check(tokens <= Tokens(tpm), format!("{tokens} within a minute of {:?}", first.at));
        }
        let mut hours: BTreeMap<u64, (NanoDollars, NanoDollars)> = BTreeMap::new();
        for admitted in &self.admitted {
            let hour = admitted.ended.unwrap_or(admitted.at).0 / HOUR;
            let sums = hours.entry(hour).or_default();
            sums.0 += admitted.cost;
            sums.1 += admitted.over;
        }
        for (hour, (spent, over)) in hours {
            check(spent <= hourly + over, format!("{spent} spent in hour {hour}, {over} of it beyond holds"));
        }
    }
}
