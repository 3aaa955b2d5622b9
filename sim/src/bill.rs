//! What the requests come to: the tokens a provider would put on the bill, by the key they came with.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use http::HeaderMap;
use serde_json::{Value, json};

use crate::answer::Usage;
use crate::log::{key_of, key_shown};

/// The sums of all answers since the last reset, for any number of them.
#[derive(Default)]
pub(crate) struct Bill(Mutex<BTreeMap<Option<String>, Account>>);

/// What one key owes.
struct Account {
    /// As the log shows it.
    key: Value,
    completed: Sums,
    unfinished: Sums,
}

/// Which answers.
#[derive(Clone, Copy)]
pub(crate) enum How {
    /// Those written to their end.
    Completed,
    /// Those under way, cut, or left by their client: with all they would have come to.
    Unfinished,
}

/// Calls and their tokens.
#[derive(Clone, Copy, Default)]
pub(crate) struct Sums {
    calls: u64,
    input: u64,
    output: u64,
}

impl Bill {
    /// An answer begins.
    pub(crate) fn opened(&self, headers: &HeaderMap, path: &str, usage: Usage) {
        self.with(headers, path, |account| account.unfinished.add(usage));
    }

    /// An answer that had begun was written to its end.
    pub(crate) fn finished(&self, headers: &HeaderMap, path: &str, usage: Usage) {
        self.with(headers, path, |account| {
            account.unfinished.take(usage);
            account.completed.add(usage);
        });
    }

    /// Forgets everything.
    pub(crate) fn reset(&self) {
        self.accounts().clear();
    }

    /// Of all keys.
    pub(crate) fn total(&self, how: How) -> Sums {
        self.accounts().values().fold(Sums::default(), |total, account| {
            let sums = match how {
                How::Completed => account.completed,
                How::Unfinished => account.unfinished,
            };
            Sums {
                calls: total.calls + sums.calls,
                input: total.input + sums.input,
                output: total.output + sums.output,
            }
        })
    }

    /// Key by key.
    pub(crate) fn listed(&self) -> Value {
        let shown = |account: &Account| {
            let Account { key, completed, unfinished } = account;
            json!({"key": key, "completed": completed.shown(), "unfinished": unfinished.shown()})
        };
        self.accounts().values().map(shown).collect()
    }

    fn with(&self, headers: &HeaderMap, path: &str, act: impl FnOnce(&mut Account)) {
        let mut accounts = self.accounts();
        let account = accounts.entry(key_of(headers, path)).or_insert_with(|| Account {
            key: key_shown(headers, path),
            completed: Sums::default(),
            unfinished: Sums::default(),
        });
        act(account);
    }

    fn accounts(&self) -> MutexGuard<'_, BTreeMap<Option<String>, Account>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Sums {
    fn add(&mut self, usage: Usage) {
        self.calls += 1;
        self.input += usage.input;
        self.output += usage.output;
    }

    /// What a reset has forgotten in between is not taken again.
    fn take(&mut self, usage: Usage) {
        self.calls = self.calls.saturating_sub(1);
        self.input = self.input.saturating_sub(usage.input);
        self.output = self.output.saturating_sub(usage.output);
    }

    /// As JSON.
    pub(crate) fn shown(self) -> Value {
        let Self { calls, input, output } = self;
        json!({"calls": calls, "input": input, "output": output})
    }
}
