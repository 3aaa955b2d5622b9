//! Limits and budgets, as they are written.

use super::keys::few;
use crate::config::fault::{Errors, show};
use crate::config::read::{Cell, Table, Word};
use crate::limit::calendar::Zone;
use crate::limit::{Budget, Limits, Period, Reset};
use crate::units::{Requests, Tokens};

pub(in crate::config) const LIMITS: &[&str] =
    &["rpm", "tpm", "tpm_input", "tpm_output", "concurrency", "max_requests", "max_tokens", "budget"];
pub(super) const BUDGET: &[&str] = &["usd", "per", "reset", "zone", "warn"];

/// Requests, in a minute, at once or in all; more is a slip of the pen.
const MAX_REQUESTS: u64 = 1_000_000_000;
/// Tokens in a minute.
const MAX_TPM: u64 = 1_000_000_000_000;
/// Tokens in all.
const MAX_TOKENS: u64 = 1_000_000_000_000_000;

/// When a budget is full again, by its word.
const RESETS: &[Word<ResetWord>] = &[
    Word { name: "calendar", value: ResetWord::Calendar },
    Word { name: "rolling", value: ResetWord::Rolling },
];

#[derive(Clone, Copy, PartialEq, Eq)]
enum ResetWord {
    Calendar,
    Rolling,
}

/// A time zone.
pub(in crate::config) fn zone(cell: &Cell<'_>, errors: &mut Errors) -> Option<Zone> {
    let expected = r#"a zone such as "UTC", "+02:00" or "Europe/Berlin""#;
    let parse = |name: &str| Zone::parse(name).ok_or_else(|| format!("there is no time zone {}", show(name)));
    let zone = cell.parsed_text(expected, parse, errors)?;
    // One spelling of the default, so that what is written and read again is equal.
    let usual = Zone::default();
    Some(if zone.name() == usual.name() { usual } else { zone })
}

/// Limits of which there must be one.
pub(in crate::config) fn some_limits(table: &Table<'_>, zone: &Zone, errors: &mut Errors) -> Option<Limits> {
    if !table.fields().any(|field| LIMITS.contains(&field.name.value.as_str())) {
        let fix = format!("add one of {}", LIMITS.join(", "));
        errors.push(&table.place, "nothing is limited", fix);
        return None;
    }
    Some(limits(table, zone, errors))
}

pub(in crate::config) fn limits(table: &Table<'_>, zone: &Zone, errors: &mut Errors) -> Limits {
    let mut count = |name: &str, most: u64| table.get(name)?.count_to(most, errors);
    let rpm = count("rpm", MAX_REQUESTS).map(Requests);
    let tpm = count("tpm", MAX_TPM).map(Tokens);
    let tpm_input = count("tpm_input", MAX_TPM).map(Tokens);
    let tpm_output = count("tpm_output", MAX_TPM).map(Tokens);
    let concurrency = count("concurrency", MAX_REQUESTS).map(Requests);
    let max_requests = count("max_requests", MAX_REQUESTS).map(Requests);
    let max_tokens = count("max_tokens", MAX_TOKENS).map(Tokens);
    let budgets = table.get("budget").map_or_else(Vec::new, |cell| budgets(&cell, zone, errors));
    Limits { rpm, tpm, tpm_input, tpm_output, concurrency, max_requests, max_tokens, budgets }
}

fn budgets(cell: &Cell<'_>, zone: &Zone, errors: &mut Errors) -> Vec<Budget> {
    let mut budgets: Vec<Budget> = Vec::new();
    for item in few(cell, errors) {
        let Some(budget) = budget(&item, zone, errors) else { continue };
        if budgets.iter().any(|earlier| earlier.per == budget.per) {
            let message = format!("a second budget per {}", budget.per.name());
            errors.push(&item.place, message, "keep one for each period");
            continue;
        }
        budgets.push(budget);
    }
    // A hundred thousand keys hold one each.
    budgets.shrink_to_fit();
    budgets
}

fn budget(cell: &Cell<'_>, zone: &Zone, errors: &mut Errors) -> Option<Budget> {
    let words = Period::ALL.map(|period| Word { name: period.name(), value: period });
    let table = Table::read(cell, BUDGET, errors)?;
    let mut missing = |name: &str, fix: &str| {
        if table.get(name).is_none() {
            errors.push(&table.place, format!("`{name}` is missing"), fix);
        }
    };
    missing("usd", "add `usd`: the amount in US dollars");
    // A budget without a period could be read as one that is always full or one that never is.
    missing("per", r#"add `per = "month"`, or `per = "never"` for one that is not filled again"#);
    let amount = table.get("usd").and_then(|cell| cell.dollars(errors));
    let per = table.get("per").and_then(|cell| cell.word("period", &words, errors));
    let warn = table.get("warn").and_then(|cell| cell.threshold(errors));
    let per = per?.value;
    let reset = reset(&table, per, zone, errors);
    Some(Budget { amount: amount?.value, per, reset: reset?, warn })
}

fn reset(table: &Table<'_>, per: Period, usual: &Zone, errors: &mut Errors) -> Option<Reset> {
    let (word, named) = (table.get("reset"), table.get("zone"));
    if per == Period::Never {
        for cell in [&word, &named].into_iter().flatten() {
            let message = "a budget that is not filled again has no such field";
            errors.push(&cell.place, message, "remove it, or name a period in `per`");
        }
        return Some(Reset::Calendar(Zone::default()));
    }
    let word = match word {
        Some(cell) => cell.word("reset", RESETS, errors)?.value,
        None => ResetWord::Calendar,
    };
    match (word, named) {
        (ResetWord::Calendar, Some(cell)) => zone(&cell, errors).map(Reset::Calendar),
        (ResetWord::Calendar, None) => Some(Reset::Calendar(usual.clone())),
        (ResetWord::Rolling, None) => Some(Reset::Rolling),
        (ResetWord::Rolling, Some(cell)) => {
            errors.push(&cell.place, "a rolling budget goes by no calendar", "remove `zone`");
            None
        }
    }
}
