//! What a ledger did, written so that it can be done again.
//!
//! A note says all that is needed: which scopes there were and what limited them, so that it can be
//! done again under any config. Notes are appended to one another.

use super::bytes::{Eye, Opened, Pen, open, seal};
use super::entry::{Entry, Hold, Settlement, Targets};
use super::form::{
    read_budget, read_entry, read_settlement, read_targets, write_budget, write_entry, write_settlement,
    write_targets,
};
use super::stored::Garbled;
use crate::exchange::RequestId;
use crate::limit::Budget;
use crate::units::{NanoDollars, Time, Tokens};

const RESERVED: u8 = 1;
const SETTLED: u8 = 2;
const CREDITED: u8 = 3;

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
    /// So much of a budget was known to be spent, from elsewhere.
    Credited {
        /// Whose: the scope's name.
        scope: String,
        /// The budget.
        budget: Budget,
        /// At least so much.
        spent: NanoDollars,
        /// When.
        at: Time,
    },
}

impl Note {
    /// Appends the note with its length and a check sum.
    pub fn write(&self, out: &mut Vec<u8>) {
        seal(out, |pen| match self {
            Self::Reserved { entry, output, closed, at } => {
                write_reserved(entry, *output, *closed, *at, pen);
            }
            Self::Settled { id, settlement, at } => {
                pen.byte(SETTLED);
                pen.number(at.0);
                pen.id(id.0);
                write_settlement(settlement, pen);
            }
            Self::Credited { scope, budget, spent, at } => {
                pen.byte(CREDITED);
                pen.number(at.0);
                pen.text(scope);
                write_budget(budget, pen);
                pen.number(spent.get());
            }
        });
    }

    /// Appends the note of a hold that was given out.
    pub fn write_hold(hold: &Hold, at: Time, out: &mut Vec<u8>) {
        let Hold { entry, output, closed, standing: _ } = hold;
        seal(out, |pen| write_reserved(entry, *output, *closed, at, pen));
    }

    /// Reads the first note: what it says, and how many bytes it took. `Ok(None)` where the bytes end
    /// within it, as they do when the writer was killed.
    pub fn read(bytes: &[u8]) -> Result<Option<Read>, Garbled> {
        let Some(Opened { mut body, length }) = open(bytes)? else { return Ok(None) };
        let note = Self::of(&mut body)?;
        body.end()?;
        Ok(Some(Read { note, length }))
    }

    fn of(eye: &mut Eye<'_>) -> Result<Self, Garbled> {
        let kind = eye.byte()?;
        let at = eye.time()?;
        match kind {
            RESERVED => {
                let entry = Box::new(read_entry(eye)?);
                Ok(Self::Reserved { entry, output: eye.tokens()?, closed: read_targets(eye)?, at })
            }
            SETTLED => {
                let id = RequestId(eye.id()?);
                Ok(Self::Settled { id, settlement: read_settlement(eye)?, at })
            }
            CREDITED => {
                let (scope, budget) = (eye.text()?.to_owned(), read_budget(eye)?);
                Ok(Self::Credited { scope, budget, spent: eye.money()?, at })
            }
            other => Err(Garbled::new(format!("a note of a kind {other}"))),
        }
    }
}

fn write_reserved(entry: &Entry, output: Tokens, closed: Targets, at: Time, pen: &mut Pen<'_>) {
    pen.byte(RESERVED);
    pen.number(at.0);
    write_entry(entry, pen);
    pen.number(output.get());
    write_targets(closed, pen);
}

/// A note that was read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Read {
    /// What it says.
    pub note: Note,
    /// How many bytes it took.
    pub length: usize,
}
