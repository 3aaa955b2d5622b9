//! What a gateway asks of a ledger that is kept elsewhere, and what that replies, as bytes.
//!
//! For platforms whose ledger is an object of its own: one order goes there before a call and one after it.
//! The bytes are the ledger's own, so both ends are of one version or say that they are not.

use super::budget::Warning;
use super::bytes::{Eye, Opened, Pen, open, open_only, seal};
use super::entry::{Entry, Hold, Level, Scope, Settlement, Standing, Targets};
use super::form::{
    read_budget, read_entry, read_scope, read_settlement, read_targets, write_budget, write_entry,
    write_scope, write_settlement, write_targets,
};
use super::refusal::{Limited, Refusal};
use super::report::{Reading, Report};
use super::room::Which;
use super::stored::Garbled;
use crate::exchange::RequestId;
use crate::fault::Code;
use crate::limit::Budget;
use crate::units::{Millis, NanoDollars, Requests, Time, Tokens};
use std::sync::Arc;

/// What is asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Order {
    /// Quota for a call; [`Reply::Held`] or [`Reply::Refused`].
    Reserve {
        /// The name of the key it is for, which need not be among the claims.
        key: String,
        /// What is to be taken.
        entry: Box<Entry>,
    },
    /// The same, and as many like it as there is ample room for, under these names; [`Reply::Leased`] or
    /// [`Reply::Refused`].
    Lease {
        /// The name of the key.
        key: String,
        /// What is to be taken.
        entry: Box<Entry>,
        /// Names of further entries.
        spares: Vec<RequestId>,
    },
    /// Entries that were taken in advance and for which no call came; [`Reply::Done`].
    Return {
        /// Their names.
        spares: Vec<RequestId>,
    },
    /// The end of an entry; [`Reply::Settled`].
    Settle {
        /// Its name.
        id: RequestId,
        /// With what.
        settlement: Settlement,
    },
    /// Where scopes stand; [`Reply::Reports`].
    Report {
        /// Whose limits.
        scopes: Vec<Arc<Scope>>,
    },
    /// A key is refused from now on, or no longer; [`Reply::Done`].
    Bar {
        /// The key's name.
        key: String,
        /// With what; absent: it is refused no longer.
        with: Option<Code>,
    },
    /// Books of scopes that are no more are given up; [`Reply::Done`].
    Forget {
        /// Their names.
        scopes: Vec<String>,
    },
    /// So much of a budget is known to be spent, from elsewhere; [`Reply::Done`].
    Credit {
        /// The scope's name.
        scope: String,
        /// The budget.
        budget: Budget,
        /// At least so much.
        spent: NanoDollars,
    },
}

/// What is replied.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reply {
    /// The entry is open.
    Held(Held),
    /// The entry is open, and the first so many of its spares.
    Leased(Vec<Held>),
    /// It is not, and why.
    Refused(Refusal),
    /// The entry has ended; budgets have passed their thresholds by that.
    Settled(Vec<Warning>),
    /// One for each scope, in their order.
    Reports(Vec<Report>),
    /// It is done.
    Done,
}

/// What was granted to an entry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Held {
    /// Output that is paid for.
    pub output: Tokens,
    /// Targets whose own limits have no room.
    pub closed: Targets,
    /// For the answer's headers.
    pub standing: Standing,
}

impl Held {
    /// What remains of a hold for whoever has its entry.
    pub fn of(hold: &Hold) -> Self {
        let Hold { entry: _, output, closed, standing } = hold;
        Self { output: *output, closed: *closed, standing: *standing }
    }

    /// The hold of this entry.
    pub fn of_entry(self, entry: Entry) -> Hold {
        let Self { output, closed, standing } = self;
        Hold { entry, output, closed, standing }
    }
}

/// An order that was read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Placed {
    /// What is asked.
    pub order: Order,
    /// How many bytes it took.
    pub length: usize,
}

impl Order {
    /// Appends it.
    pub fn write(&self, out: &mut Vec<u8>) {
        seal(out, |pen| match self {
            Self::Reserve { key, entry } => {
                pen.byte(1);
                pen.text(key);
                write_entry(entry, pen);
            }
            Self::Settle { id, settlement } => {
                pen.byte(2);
                pen.id(id.0);
                write_settlement(settlement, pen);
            }
            Self::Report { scopes } => {
                pen.byte(3);
                pen.list(scopes.iter(), |pen, scope| write_scope(scope, pen));
            }
            Self::Bar { key, with } => {
                pen.byte(4);
                pen.text(key);
                pen.text(with.map(Code::code).unwrap_or_default());
            }
            Self::Forget { scopes } => {
                pen.byte(5);
                pen.list(scopes.iter(), |pen, scope| pen.text(scope));
            }
            Self::Credit { scope, budget, spent } => {
                pen.byte(6);
                pen.text(scope);
                write_budget(budget, pen);
                pen.number(spent.get());
            }
            Self::Lease { key, entry, spares } => {
                pen.byte(7);
                pen.text(key);
                write_entry(entry, pen);
                pen.list(spares.iter(), |pen, id| pen.id(id.0));
            }
            Self::Return { spares } => {
                pen.byte(8);
                pen.list(spares.iter(), |pen, id| pen.id(id.0));
            }
        });
    }

    /// Reads the first of these bytes; what follows is the host's own.
    pub fn read(bytes: &[u8]) -> Result<Placed, Garbled> {
        let opened = open(bytes)?.ok_or_else(|| Garbled::new("the end is missing"))?;
        let Opened { body: mut eye, length } = opened;
        let order = match eye.byte()? {
            1 => {
                let key = eye.text()?.to_owned();
                Self::Reserve { key, entry: Box::new(read_entry(&mut eye)?) }
            }
            2 => {
                let id = RequestId(eye.id()?);
                Self::Settle { id, settlement: read_settlement(&mut eye)? }
            }
            3 => Self::Report { scopes: eye.list(|eye| Ok(Arc::new(read_scope(eye)?)))? },
            4 => Self::Bar { key: eye.text()?.to_owned(), with: read_code(&mut eye)? },
            5 => Self::Forget { scopes: eye.list(|eye| Ok(eye.text()?.to_owned()))? },
            6 => {
                let (scope, budget) = (eye.text()?.to_owned(), read_budget(&mut eye)?);
                Self::Credit { scope, budget, spent: eye.money()? }
            }
            7 => {
                let (key, entry) = (eye.text()?.to_owned(), Box::new(read_entry(&mut eye)?));
                Self::Lease { key, entry, spares: eye.list(|eye| Ok(RequestId(eye.id()?)))? }
            }
            8 => Self::Return { spares: eye.list(|eye| Ok(RequestId(eye.id()?)))? },
            other => return Err(Garbled::new(format!("an order of a kind {other}"))),
        };
        eye.end()?;
        Ok(Placed { order, length })
    }
}

impl Reply {
    /// The bytes of it.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut out = Vec::new();
        seal(&mut out, |pen| match self {
            Self::Held(held) => {
                pen.byte(1);
                write_held(pen, held);
            }
            Self::Leased(all) => {
                pen.byte(7);
                pen.list(all.iter(), write_held);
            }
            Self::Refused(Refusal::Unavailable { retry_after }) => {
                pen.byte(2);
                pen.number(retry_after.get());
            }
            Self::Refused(Refusal::Limited(limited)) => {
                let Limited { code, scope, what, opens_in, standing } = &**limited;
                pen.byte(3);
                pen.text(code.code());
                pen.text(scope);
                pen.text(what);
                pen.maybe(opens_in.map(Millis::get));
                write_standing(*standing, pen);
            }
            Self::Settled(warnings) => {
                pen.byte(4);
                pen.list(warnings.iter(), |pen, Warning { scope, budget, spent, resets_at }| {
                    pen.text(scope);
                    write_budget(budget, pen);
                    pen.number(spent.get());
                    pen.maybe(resets_at.map(|at| at.0));
                });
            }
            Self::Reports(reports) => {
                pen.byte(5);
                pen.list(reports.iter(), |pen, Report { scope, gauges }| {
                    pen.text(scope);
                    pen.list(gauges.iter(), write_reading);
                });
            }
            Self::Done => pen.byte(6),
        });
        out
    }

    /// Reads one that is all of these bytes.
    pub fn read(bytes: &[u8]) -> Result<Self, Garbled> {
        let mut eye = open_only(bytes)?;
        let reply =
            match eye.byte()? {
                1 => Self::Held(read_held(&mut eye)?),
                7 => Self::Leased(eye.list(read_held)?),
                2 => Self::Refused(Refusal::Unavailable { retry_after: Millis(eye.number()?) }),
                3 => Self::Refused(Refusal::Limited(Box::new(read_limited(&mut eye)?))),
                4 => Self::Settled(eye.list(|eye| {
                    let (scope, budget) = (eye.text()?.to_owned(), read_budget(eye)?);
                    Ok(Warning { scope, budget, spent: eye.money()?, resets_at: eye.maybe()?.map(Time) })
                })?),
                5 => Self::Reports(eye.list(|eye| {
                    Ok(Report { scope: eye.text()?.to_owned(), gauges: eye.list(read_reading)? })
                })?),
                6 => Self::Done,
                other => return Err(Garbled::new(format!("a reply of a kind {other}"))),
            };
        eye.end()?;
        Ok(reply)
    }
}

fn write_held(pen: &mut Pen<'_>, held: &Held) {
    let Held { output, closed, standing } = held;
    pen.number(output.get());
    write_targets(*closed, pen);
    write_standing(*standing, pen);
}

fn read_held(eye: &mut Eye<'_>) -> Result<Held, Garbled> {
    let (output, closed) = (eye.tokens()?, read_targets(eye)?);
    Ok(Held { output, closed, standing: read_standing(eye)? })
}

fn read_limited(eye: &mut Eye<'_>) -> Result<Limited, Garbled> {
    let code = read_code(eye)?.ok_or_else(|| Garbled::new("a refusal without a code"))?;
    let (scope, what) = (eye.text()?.to_owned(), eye.text()?.to_owned());
    let opens_in = eye.maybe()?.map(Millis);
    Ok(Limited { code, scope, what, opens_in, standing: read_standing(eye)? })
}

/// None for an empty one.
fn read_code(eye: &mut Eye<'_>) -> Result<Option<Code>, Garbled> {
    match eye.text()? {
        "" => Ok(None),
        text => match Code::ALL.iter().find(|code| code.code() == text) {
            Some(code) => Ok(Some(*code)),
            None => Err(Garbled::new(format!("the code {text:?} is not known"))),
        },
    }
}

fn write_standing(standing: Standing, pen: &mut Pen<'_>) {
    let Standing { requests, tokens } = standing;
    let requests = requests.map(|level| [level.limit.get(), level.left.get(), level.reset.get()]);
    let tokens = tokens.map(|level| [level.limit.get(), level.left.get(), level.reset.get()]);
    for level in [requests, tokens] {
        pen.byte(u8::from(level.is_some()));
        level.iter().flatten().for_each(|number| pen.number(*number));
    }
}

fn read_standing(eye: &mut Eye<'_>) -> Result<Standing, Garbled> {
    fn level<Q>(eye: &mut Eye<'_>, quantity: fn(u64) -> Q) -> Result<Option<Level<Q>>, Garbled> {
        if eye.byte()? == 0 {
            return Ok(None);
        }
        let (limit, left) = (quantity(eye.number()?), quantity(eye.number()?));
        Ok(Some(Level { limit, left, reset: Millis(eye.number()?) }))
    }
    Ok(Standing { requests: level(eye, Requests)?, tokens: level(eye, Tokens)? })
}

fn write_reading(pen: &mut Pen<'_>, reading: &Reading) {
    let Reading { limit, budget, most, used, held, resets_at } = reading;
    pen.text(limit);
    pen.byte(u8::from(budget.is_some()));
    if let Some(budget) = budget {
        write_budget(budget, pen);
    }
    for number in [most, used, held] {
        pen.number(*number);
    }
    pen.maybe(resets_at.map(|at| at.0));
}

fn read_reading(eye: &mut Eye<'_>) -> Result<Reading, Garbled> {
    let word = eye.text()?;
    let limit = Which::WORDS.into_iter().find(|known| *known == word);
    let limit = limit.ok_or_else(|| Garbled::new(format!("the limit {word:?} is not known")))?;
    let budget = if eye.byte()? == 0 { None } else { Some(read_budget(eye)?) };
    let (most, used, held) = (eye.number()?, eye.number()?, eye.number()?);
    Ok(Reading { limit, budget, most, used, held, resets_at: eye.maybe()?.map(Time) })
}
