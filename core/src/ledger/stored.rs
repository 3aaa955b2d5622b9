//! What a ledger gives out to be stored, and takes up again in its next life.
//!
//! Accounts hold what has happened, open entries what is held; each stands alone. So one that cannot be
//! read leaves no quota held for ever and hinders no other.

use super::account::{Account, Books, Rates, Seats, Share, Taken};
use super::budget::{Bucket, Purse, Spending};
use super::bytes::{Eye, Pen, open_only, seal};
use super::form::{
    Recurring, read_period, read_scope, read_targets, write_period, write_scope, write_targets,
};
use super::open::Open;
use super::window::{Quantity, Seat, Slot, Window};
use crate::exchange::RequestId;
use crate::limit::calendar::Span;
use crate::units::{Millis, NanoDollars, Requests, Time};
use std::collections::VecDeque;
use std::sync::Arc;

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

/// How long an open entry may stay so, and in whose books it holds something: for whoever stores entries
/// one by one, and takes up only some of them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lease {
    /// When it is over: then it is to be charged, in all its scopes at once.
    pub over_at: Time,
    /// The scopes' names.
    pub scopes: Vec<String>,
}

impl Lease {
    /// Of an open entry that was stored.
    pub fn of(state: &[u8]) -> Result<Self, Garbled> {
        let open = read_open(state)?;
        let scopes = open.taken.iter().map(|taken| taken.scope.name.clone()).collect();
        Ok(Self { over_at: open.over_at(), scopes })
    }
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

/// Stored state that cannot be understood.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Garbled {
    /// What is wrong with it.
    pub what: String,
}

impl Garbled {
    pub(super) fn new(what: impl Into<String>) -> Self {
        Self { what: what.into() }
    }
}

/// A scope's books as they were kept.
pub(super) struct Kept {
    pub(super) books: Books,
    /// The latest time the ledger had been told.
    pub(super) last: Time,
}

pub(super) fn write_books(books: &Books, last: Time) -> Vec<u8> {
    let mut out = Vec::new();
    seal(&mut out, |pen| {
        pen.number(last.0);
        let Account { open: _, settled, released, tokens, spent } = books.figures;
        for number in [settled.get(), released.get(), tokens.get(), spent.get()] {
            pen.number(number);
        }
        pen.byte(u8::from(books.counts_all));
        pen.list(books.rates.iter(), |pen, rates| {
            let Rates { requests, tokens, input, output } = &**rates;
            write_window(requests, pen);
            write_window(tokens, pen);
            write_window(input, pen);
            write_window(output, pen);
        });
        pen.list(books.purses.iter(), write_purse);
    });
    out
}

pub(super) fn read_books(name: &str, state: &[u8]) -> Result<Kept, Garbled> {
    let mut eye = open_only(state)?;
    let last = eye.time()?;
    let mut books = Books::new(Arc::from(name));
    let (settled, released) = (Requests(eye.number()?), Requests(eye.number()?));
    books.figures =
        Account { open: Requests::ZERO, settled, released, tokens: eye.tokens()?, spent: eye.money()? };
    books.counts_all = eye.byte()? != 0;
    let rates: Vec<Rates> = eye.list(|eye| {
        let requests = read_window(eye)?;
        let (tokens, input, output) = (read_window(eye)?, read_window(eye)?, read_window(eye)?);
        Ok(Rates { requests, tokens, input, output })
    })?;
    books.rates = rates.into_iter().next().map(Box::new);
    books.purses = eye.list(read_purse)?;
    // They were written soon after they were touched.
    books.touched = last;
    eye.end()?;
    Ok(Kept { books, last })
}

/// Times are written as their distances.
fn write_window<Q: Quantity>(window: &Window<Q>, pen: &mut Pen<'_>) {
    let (slots, Seat(first)) = window.slots();
    let mut last = Time(0);
    pen.number(first);
    pen.list(slots.iter(), |pen, Slot { at, amount }| {
        pen.number(at.since(last).get());
        pen.number(amount.number());
        last = *at;
    });
}

fn read_window<Q: Quantity>(eye: &mut Eye<'_>) -> Result<Window<Q>, Garbled> {
    let first = eye.number()?;
    let mut last = Time(0);
    let slots: VecDeque<Slot<Q>> = eye.list(|eye| {
        last = last + Millis(eye.number()?);
        Ok(Slot { at: last, amount: Q::of(eye.number()?) })
    })?;
    Ok(Window::from_slots(slots, first))
}

fn write_purse(pen: &mut Pen<'_>, purse: &Purse) {
    let Purse { per, reset, spending, held: _, warned } = purse;
    write_period(*per, reset, pen);
    pen.maybe(warned.map(|told| told.0));
    match spending {
        Spending::Within { span: Span { from, to }, spent } => {
            pen.byte(0);
            for number in [from.0, to.0, spent.get()] {
                pen.number(number);
            }
        }
        Spending::Rolling(buckets) => {
            pen.byte(1);
            pen.list(buckets.iter(), |pen, Bucket { number, spent }| {
                pen.number(*number);
                pen.number(spent.get());
            });
        }
    }
}

fn read_purse(eye: &mut Eye<'_>) -> Result<Purse, Garbled> {
    let Recurring { per, reset } = read_period(eye)?;
    let warned = eye.maybe()?.map(Time);
    let spending = match eye.byte()? {
        0 => {
            let span = Span { from: eye.time()?, to: eye.time()? };
            Spending::Within { span, spent: eye.money()? }
        }
        1 => Spending::Rolling(eye.list(|eye| Ok(Bucket { number: eye.number()?, spent: eye.money()? }))?),
        other => return Err(Garbled::new(format!("a purse of a kind {other}"))),
    };
    Ok(Purse { per, reset, spending, held: NanoDollars::ZERO, warned })
}

pub(super) fn write_open(open: &Open) -> Vec<u8> {
    let mut out = Vec::new();
    seal(&mut out, |pen| {
        let Open { at, lease, targets, closed, share, taken, stored: _ } = open;
        let Share { input, output, cost } = share;
        for number in [at.0, lease.get(), input.get(), output.get(), cost.get()] {
            pen.number(number);
        }
        write_targets(*targets, pen);
        write_targets(*closed, pen);
        pen.list(taken.iter(), |pen, Taken { scope, targets, place: _, seats }| {
            write_scope(scope, pen);
            write_targets(*targets, pen);
            let Seats { requests, tokens, input, output } = seats;
            for seat in [requests, tokens, input, output] {
                pen.maybe(seat.map(|Seat(number)| number));
            }
        });
    });
    out
}

pub(super) fn read_open(state: &[u8]) -> Result<Open, Garbled> {
    let mut eye = open_only(state)?;
    let (at, lease) = (eye.time()?, Millis(eye.number()?));
    let share = Share { input: eye.tokens()?, output: eye.tokens()?, cost: eye.money()? };
    let (targets, closed) = (read_targets(&mut eye)?, read_targets(&mut eye)?);
    let taken = eye.list(read_taken)?;
    eye.end()?;
    Ok(Open { at, lease, targets, closed, share, taken, stored: true })
}

fn read_taken(eye: &mut Eye<'_>) -> Result<Taken, Garbled> {
    let scope = Arc::new(read_scope(eye)?);
    let targets = read_targets(eye)?;
    let mut seat = || Ok(eye.maybe()?.map(Seat));
    let seats = Seats { requests: seat()?, tokens: seat()?, input: seat()?, output: seat()? };
    Ok(Taken { scope, targets, place: usize::MAX, seats })
}
