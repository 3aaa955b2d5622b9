//! How entries, scopes and limits are written in the ledger's own bytes.

use super::bytes::{Eye, Pen};
use super::entry::{Ask, AskCost, Claim, Entry, Scope, Settlement, Spent, Targets};
use super::stored::Garbled;
use crate::exchange::RequestId;
use crate::limit::calendar::Zone;
use crate::limit::{Budget, Limits, Percent, Period, Reset};
use crate::price::PerMillion;
use crate::units::{Estimated, Metered, Millis, NanoDollars, Requests, Tokens};
use std::sync::Arc;

/// Stands where the form of the targets does, of which there are two.
const MORE: u8 = 2;

pub(super) fn write_entry(entry: &Entry, pen: &mut Pen<'_>) {
    let Entry { id, book, claims, targets, ask, lease } = entry;
    pen.id(id.0);
    pen.text(book);
    pen.list(claims.iter(), |pen, Claim { scope, targets }| {
        write_scope(scope, pen);
        write_targets(*targets, pen);
    });
    let Ask { more, input, least_output, most_output, cost } = ask;
    // Only where there are any, so that what was written before there were such is still read.
    if !more.is_zero() {
        pen.byte(MORE);
        pen.number(more.get());
    }
    write_targets(*targets, pen);
    for tokens in [input, least_output, most_output] {
        pen.number(tokens.0.get());
    }
    pen.maybe(cost.map(|cost| cost.fixed.get()));
    if let Some(AskCost { fixed: _, output }) = cost {
        pen.number(output.0);
    }
    pen.number(lease.get());
}

pub(super) fn read_entry(eye: &mut Eye<'_>) -> Result<Entry, Garbled> {
    let id = RequestId(eye.id()?);
    let book = Arc::from(eye.text()?);
    let claims =
        eye.list(|eye| Ok(Claim { scope: Arc::new(read_scope(eye)?), targets: read_targets(eye)? }))?;
    let (more, first) = match eye.byte()? {
        MORE => (Requests(eye.number()?), eye.byte()?),
        first => (Requests::ZERO, first),
    };
    let targets = targets_after(first, eye)?;
    let mut tokens = || eye.tokens().map(Estimated);
    let (input, least_output, most_output) = (tokens()?, tokens()?, tokens()?);
    let cost = match eye.maybe()?.map(NanoDollars) {
        Some(fixed) => Some(AskCost { fixed, output: PerMillion(eye.number()?) }),
        None => None,
    };
    let lease = Millis(eye.number()?);
    let ask = Ask { more, input, least_output, most_output, cost };
    Ok(Entry { id, book, claims, targets, ask, lease })
}

/// Names seldom have more than seven targets, and mostly all: so many bits from the other side.
pub(super) fn write_targets(targets: Targets, pen: &mut Pen<'_>) {
    let few = targets.0.count_ones() < 32;
    pen.byte(u8::from(few));
    pen.number(if few { targets.0 } else { !targets.0 });
}

pub(super) fn read_targets(eye: &mut Eye<'_>) -> Result<Targets, Garbled> {
    targets_after(eye.byte()?, eye)
}

fn targets_after(form: u8, eye: &mut Eye<'_>) -> Result<Targets, Garbled> {
    match form {
        0 => Ok(Targets(!eye.number()?)),
        1 => Ok(Targets(eye.number()?)),
        other => Err(Garbled::new(format!("targets of a kind {other}"))),
    }
}

pub(super) fn write_scope(scope: &Scope, pen: &mut Pen<'_>) {
    pen.raw(scope.form(|Scope { name, limits, .. }, out| write_limited(name, limits, &mut Pen::new(out))));
}

fn write_limited(name: &str, limits: &Limits, pen: &mut Pen<'_>) {
    pen.text(name);
    let Limits { rpm, tpm, tpm_input, tpm_output, concurrency, max_requests, max_tokens, budgets } = limits;
    for limit in [rpm, concurrency, max_requests] {
        pen.maybe(limit.map(Requests::get));
    }
    for limit in [tpm, tpm_input, tpm_output, max_tokens] {
        pen.maybe(limit.map(Tokens::get));
    }
    pen.list(budgets.iter(), |pen, budget| write_budget(budget, pen));
}

pub(super) fn write_budget(budget: &Budget, pen: &mut Pen<'_>) {
    let Budget { amount, per, reset, warn } = budget;
    pen.number(amount.get());
    write_period(*per, reset, pen);
    pen.byte(warn.map_or(0, |Percent(percent)| percent));
}

pub(super) fn read_budget(eye: &mut Eye<'_>) -> Result<Budget, Garbled> {
    let amount = eye.money()?;
    let Recurring { per, reset } = read_period(eye)?;
    let warn = Some(eye.byte()?).filter(|percent| *percent > 0).map(Percent);
    Ok(Budget { amount, per, reset, warn })
}

pub(super) fn read_scope(eye: &mut Eye<'_>) -> Result<Scope, Garbled> {
    let name = eye.text()?.to_owned();
    let mut requests = || Ok(eye.maybe()?.map(Requests));
    let (rpm, concurrency, max_requests) = (requests()?, requests()?, requests()?);
    let mut tokens = || Ok(eye.maybe()?.map(Tokens));
    let (tpm, tpm_input, tpm_output, max_tokens) = (tokens()?, tokens()?, tokens()?, tokens()?);
    let budgets = eye.list(read_budget)?;
    let limits = Limits { rpm, tpm, tpm_input, tpm_output, concurrency, max_requests, max_tokens, budgets };
    Ok(Scope::new(name, limits))
}

/// A period and how it begins again.
pub(super) struct Recurring {
    pub(super) per: Period,
    pub(super) reset: Reset,
}

pub(super) fn write_period(per: Period, reset: &Reset, pen: &mut Pen<'_>) {
    let place = Period::ALL.iter().position(|period| *period == per);
    pen.number(place.unwrap_or_default() as u64);
    match reset {
        Reset::Rolling => pen.byte(0),
        Reset::Calendar(zone) => {
            pen.byte(1);
            pen.text(zone.name());
        }
    }
}

pub(super) fn read_period(eye: &mut Eye<'_>) -> Result<Recurring, Garbled> {
    let place = eye.number()?;
    let per = usize::try_from(place).ok().and_then(|place| Period::ALL.get(place).copied());
    let per = per.ok_or_else(|| Garbled::new(format!("a period of number {place}")))?;
    let reset = match eye.byte()? {
        0 => Reset::Rolling,
        1 => {
            let name = eye.text()?;
            let zone = Zone::parse(name);
            Reset::Calendar(zone.ok_or_else(|| Garbled::new(format!("the zone {name:?} is not known")))?)
        }
        other => return Err(Garbled::new(format!("a reset of a kind {other}"))),
    };
    Ok(Recurring { per, reset })
}

pub(super) fn write_settlement(settlement: &Settlement, pen: &mut Pen<'_>) {
    match settlement {
        Settlement::Release => pen.byte(0),
        Settlement::Settle(Spent { input, output, cost, targets }) => {
            pen.byte(1);
            pen.number(input.0.get());
            pen.number(output.0.get());
            pen.number(cost.get());
            write_targets(*targets, pen);
        }
        Settlement::Return => pen.byte(2),
    }
}

pub(super) fn read_settlement(eye: &mut Eye<'_>) -> Result<Settlement, Garbled> {
    match eye.byte()? {
        0 => Ok(Settlement::Release),
        1 => {
            let (input, output) = (Metered(eye.tokens()?), Metered(eye.tokens()?));
            let cost = eye.money()?;
            Ok(Settlement::Settle(Spent { input, output, cost, targets: read_targets(eye)? }))
        }
        2 => Ok(Settlement::Return),
        other => Err(Garbled::new(format!("a settlement of a kind {other}"))),
    }
}
