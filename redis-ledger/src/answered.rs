//! What the scripts answer.

use super::asked::limiting;
use std::sync::Arc;
use tollgate_core::ledger::{
    Claim, Entry, Hold, Lack, Level, Limited, Reading, Refusal, Report, Scope, Standing, Targets, Warning,
    Which,
};
use tollgate_core::limit::{Budget, Limits, Period};
use tollgate_core::units::{Millis, NanoDollars, Requests, Time, Tokens};

/// What a reservation came to.
#[derive(Debug)]
pub enum Reserved {
    /// Granted, by the books of an epoch.
    Held {
        /// Of the books.
        epoch: Arc<str>,
        /// What was granted.
        hold: Box<Hold>,
    },
    /// A limit has no room.
    Refused(Refusal),
    /// A scope does not know what this gateway has spent before.
    Unseeded,
    /// The entry came and went before.
    Ended,
}

/// An answer that no script of ours gives.
#[derive(Debug)]
pub struct Strange;

/// One thing of an answer; lists in lists are one list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Item<'a> {
    /// A whole number.
    Number(i64),
    /// A text.
    Text(&'a [u8]),
    /// What no script of ours gives.
    Other,
}

/// Reads an answer from its front.
struct Answer<'a>(std::slice::Iter<'a, Item<'a>>);

impl<'a> Answer<'a> {
    fn of(items: &'a [Item<'a>]) -> Self {
        Self(items.iter())
    }

    fn text(&mut self) -> Result<&'a str, Strange> {
        let Some(Item::Text(bytes)) = self.0.next() else { return Err(Strange) };
        std::str::from_utf8(bytes).map_err(|_| Strange)
    }

    fn signed(&mut self) -> Result<i64, Strange> {
        let Some(Item::Number(number)) = self.0.next() else { return Err(Strange) };
        Ok(*number)
    }

    fn number(&mut self) -> Result<u64, Strange> {
        u64::try_from(self.signed()?).map_err(|_| Strange)
    }

    /// -1 stands for never and for nothing.
    fn optional(&mut self) -> Result<Option<u64>, Strange> {
        Ok(u64::try_from(self.signed()?).ok())
    }

    /// 32 bits, as a signed or an unsigned number.
    fn bits(&mut self) -> Result<u64, Strange> {
        Ok(self.signed()?.cast_unsigned() & 0xffff_ffff)
    }

    fn level<Q>(&mut self, unit: fn(u64) -> Q) -> Result<Option<Level<Q>>, Strange> {
        let (limit, left, reset) = (self.optional()?, self.optional()?, self.optional()?);
        let (Some(limit), Some(left)) = (limit, left) else { return Ok(None) };
        Ok(Some(Level { limit: unit(limit), left: unit(left), reset: Millis(reset.unwrap_or(0)) }))
    }

    fn standing(&mut self) -> Result<Standing, Strange> {
        Ok(Standing { requests: self.level(Requests)?, tokens: self.level(Tokens)? })
    }

    fn is_over(&self) -> bool {
        self.0.as_slice().is_empty()
    }
}

/// Reads the answer to a reservation.
pub fn reserved(entry: &Entry, items: &[Item<'_>]) -> Result<Reserved, Strange> {
    let mut answer = Answer::of(items);
    match answer.text()? {
        "held" => {
            let epoch = Arc::from(answer.text()?);
            let output = Tokens(answer.number()?);
            let closed = Targets((answer.bits()? << 32) | answer.bits()?);
            let standing = answer.standing()?;
            let hold = Box::new(Hold { entry: entry.clone(), output, closed, standing });
            Ok(Reserved::Held { epoch, hold })
        }
        "refused" => refused(entry, &mut answer).map(Reserved::Refused),
        "seed" => Ok(Reserved::Unseeded),
        "ended" => Ok(Reserved::Ended),
        _ => Err(Strange),
    }
}

fn refused(entry: &Entry, answer: &mut Answer<'_>) -> Result<Refusal, Strange> {
    let scope = scope_at(&limiting(entry), answer.number()?)?;
    let (name, budget) = (answer.text()?, answer.number()?);
    let budget = scope.limits.budgets.get(place(budget)).map(|budget| budget.per);
    let (limit, left, need) = (answer.number()?, answer.number()?, answer.number()?);
    let opens_in = answer.optional()?.map(Millis);
    let resets_at = answer.optional()?.map(Time);
    let standing = answer.standing()?;
    let which = which(name, budget, resets_at).ok_or(Strange)?;
    let lack = Lack { which, limit, left, need, opens_in };
    let (code, what) = (lack.code(), lack.words());
    Ok(Refusal::Limited(Box::new(Limited { code, scope: scope.name.clone(), what, opens_in, standing })))
}

/// A limit by its word in the config.
fn which(name: &str, per: Option<Period>, resets_at: Option<Time>) -> Option<Which> {
    Some(match name {
        "rpm" => Which::Rpm,
        "tpm" => Which::Tpm,
        "tpm_input" => Which::TpmInput,
        "tpm_output" => Which::TpmOutput,
        "concurrency" => Which::Concurrency,
        "max_requests" => Which::MaxRequests,
        "max_tokens" => Which::MaxTokens,
        "budget" => Which::Budget(per?, resets_at),
        _ => return None,
    })
}

/// Reads the answer to a settlement: the budgets that have passed their threshold.
pub fn warned(entry: &Entry, items: &[Item<'_>]) -> Result<Vec<Warning>, Strange> {
    let mut answer = Answer::of(items);
    answer.text()?;
    let (claims, mut warnings) = (limiting(entry), Vec::new());
    while !answer.is_over() {
        let scope = scope_at(&claims, answer.number()?)?;
        let budget = scope.limits.budgets.get(place(answer.number()?)).ok_or(Strange)?;
        warnings.push(Warning {
            scope: scope.name.clone(),
            budget: budget.clone(),
            spent: NanoDollars(answer.number()?),
            resets_at: answer.optional()?.map(Time),
        });
    }
    Ok(warnings)
}

/// Reads where scopes stand.
pub fn reports(scopes: &[Arc<Scope>], items: &[Item<'_>]) -> Result<Vec<Report>, Strange> {
    let mut answer = Answer::of(items);
    scopes.iter().map(|scope| report(scope, &mut answer)).collect()
}

fn report(scope: &Scope, answer: &mut Answer<'_>) -> Result<Report, Strange> {
    let Limits { rpm, tpm, tpm_input, tpm_output, concurrency, max_requests, max_tokens, budgets } =
        &scope.limits;
    let (requests, input, output) = (answer.number()?, answer.number()?, answer.number()?);
    let (open, held_input, held_output) = (answer.number()?, answer.number()?, answer.number()?);
    let (all_requests, all_tokens) = (answer.number()?, answer.number()?);
    let minute = |all: u64, held: u64| (all.saturating_sub(held), held.min(all));
    let readings = [
        ("rpm", rpm.map(Requests::get), (requests, 0)),
        ("tpm", tpm.map(Tokens::get), minute(input + output, held_input + held_output)),
        ("tpm_input", tpm_input.map(Tokens::get), minute(input, held_input)),
        ("tpm_output", tpm_output.map(Tokens::get), minute(output, held_output)),
        ("concurrency", concurrency.map(Requests::get), (0, open)),
        ("max_requests", max_requests.map(Requests::get), minute(all_requests, open)),
        ("max_tokens", max_tokens.map(Tokens::get), (all_tokens, held_input + held_output)),
    ];
    let readings = readings.into_iter().filter_map(|(limit, most, (used, held))| {
        Some(Reading { limit, budget: None, most: most?, used, held, resets_at: None })
    });
    let mut gauges: Vec<_> = readings.collect();
    for budget in budgets {
        gauges.push(of_budget(budget, answer)?);
    }
    Ok(Report { scope: scope.name.clone(), gauges })
}

fn of_budget(budget: &Budget, answer: &mut Answer<'_>) -> Result<Reading, Strange> {
    Ok(Reading {
        limit: "budget",
        budget: Some(budget.clone()),
        most: budget.amount.get(),
        used: answer.number()?,
        held: answer.number()?,
        resets_at: answer.optional()?.map(Time),
    })
}

fn scope_at(claims: &[Claim], at: u64) -> Result<Arc<Scope>, Strange> {
    claims.get(place(at)).map(|claim| Arc::clone(&claim.scope)).ok_or(Strange)
}

/// Scripts count from one; none is at zero.
fn place(at: u64) -> usize {
    at.checked_sub(1).and_then(|place| usize::try_from(place).ok()).unwrap_or(usize::MAX)
}
