//! Whether a limit has room, and how it is told that it has not.

use super::entry::Ask;
use crate::fault::Code;
use crate::limit::Period;
use crate::price;
use crate::units::{Millis, NanoDollars, Time, Tokens};

/// A limit without room for what is asked. Whoever judges by the same limits elsewhere tells it in the
/// same words.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lack {
    /// Which one.
    pub which: Which,
    /// The limit itself.
    pub limit: u64,
    /// What is left of it.
    pub left: u64,
    /// The least that was asked of it.
    pub need: u64,
    /// When so much will be left; absent: never.
    pub opens_in: Option<Millis>,
}

/// The limits there are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Which {
    /// In any 60 seconds.
    Rpm,
    /// In any 60 seconds, input and output together.
    Tpm,
    /// In any 60 seconds.
    TpmInput,
    /// In any 60 seconds.
    TpmOutput,
    /// In flight.
    Concurrency,
    /// In all, ever.
    MaxRequests,
    /// In all, ever.
    MaxTokens,
    /// By its period, and when it is full again.
    Budget(Period, Option<Time>),
}

impl Which {
    /// All that [`Which::name`] gives.
    pub(super) const WORDS: [&'static str; 8] =
        ["rpm", "tpm", "tpm_input", "tpm_output", "concurrency", "max_requests", "max_tokens", "budget"];

    /// Its word in the config.
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Rpm => "rpm",
            Self::Tpm => "tpm",
            Self::TpmInput => "tpm_input",
            Self::TpmOutput => "tpm_output",
            Self::Concurrency => "concurrency",
            Self::MaxRequests => "max_requests",
            Self::MaxTokens => "max_tokens",
            Self::Budget(..) => "budget",
        }
    }

    const fn code(self) -> Code {
        match self {
            Self::Rpm | Self::MaxRequests => Code::RpmExceeded,
            Self::Tpm | Self::TpmInput | Self::TpmOutput | Self::MaxTokens => Code::TpmExceeded,
            Self::Concurrency => Code::ConcurrencyExceeded,
            Self::Budget(..) => Code::BudgetExceeded,
        }
    }

    /// What the limit is a number of.
    const fn unit(self) -> &'static str {
        match self {
            Self::Rpm => "requests a minute",
            Self::Tpm => "tokens a minute",
            Self::TpmInput => "input tokens a minute",
            Self::TpmOutput => "output tokens a minute",
            Self::Concurrency => "requests at once",
            Self::MaxRequests => "requests in all",
            Self::MaxTokens => "tokens in all",
            Self::Budget(Period::Minute, _) => "a minute",
            Self::Budget(Period::Hour, _) => "an hour",
            Self::Budget(Period::Day, _) => "a day",
            Self::Budget(Period::Week, _) => "a week",
            Self::Budget(Period::Month, _) => "a month",
            Self::Budget(Period::Year, _) => "a year",
            Self::Budget(Period::Never, _) => "in all",
        }
    }
}

impl Lack {
    /// What the refusal is called.
    pub const fn code(&self) -> Code {
        self.which.code()
    }

    /// The one that opens later; the first of two that open together.
    pub(super) fn or_later(self, other: Self) -> Self {
        if other.opens_after(&self) { other } else { self }
    }

    /// Whether it opens later than another.
    pub(super) fn opens_after(&self, other: &Self) -> bool {
        let when = |lack: &Self| lack.opens_in.map_or(u64::MAX, Millis::get);
        when(self) > when(other)
    }

    /// The limit, what is left of it, what was asked, and when it opens, in words.
    pub fn words(&self) -> String {
        let Self { which, limit, left, need, opens_in } = self;
        let unit = which.unit();
        let (mut words, resets_at) = match which {
            Which::Budget(_, resets_at) => {
                let [limit, left, need] =
                    [limit, left, need].map(|money| price::dollars(NanoDollars(*money)));
                (format!("{limit} {unit}, {left} left, this call may cost {need}"), *resets_at)
            }
            Which::Tpm | Which::TpmInput | Which::TpmOutput | Which::MaxTokens => {
                (format!("{limit} {unit}, {left} left, this call may take {need}"), None)
            }
            Which::Rpm | Which::Concurrency | Which::MaxRequests => {
                (format!("{limit} {unit}, {left} left, this call takes {need}"), None)
            }
        };
        match opens_in {
            _ if need > limit => words.push_str(" and never fits"),
            Some(wait) => words.push_str(&format!(", opens in {} s", wait.ceil_secs())),
            None => words.push_str(", does not open again"),
        }
        if let Some(time) = resets_at {
            words.push_str(&format!(", resets at {}", crate::limit::calendar::written(time)));
        }
        words
    }
}

/// How much output a scope's limits leave room for, limit by limit, and which of those without room
/// opens last.
#[derive(Debug)]
pub(super) struct Room {
    /// The most output that fits everywhere.
    pub(super) output: Tokens,
    pub(super) lack: Option<Lack>,
}

impl Room {
    /// Room for all that is asked.
    pub(super) fn for_all(ask: &Ask) -> Self {
        Self { output: ask.most(), lack: None }
    }

    /// A limit has room for so much output, or lacks it. Of those that lack it the one that opens last
    /// is kept.
    pub(super) fn admits(&mut self, output: Result<Tokens, Lack>) {
        match (output, self.lack) {
            (Ok(output), _) => self.output = self.output.min(output),
            (Err(lack), None) => self.lack = Some(lack),
            (Err(lack), Some(other)) => self.lack = Some(other.or_later(lack)),
        }
    }
}

/// What a call asks of each of its scopes.
pub(super) struct Demand {
    pub(super) ask: Ask,
    /// What it may cost at most. Known once, so that a budget with plenty left is asked quickly.
    whole: Option<NanoDollars>,
}

impl Demand {
    pub(super) fn of(ask: Ask) -> Self {
        Self { ask, whole: ask.cost.map(|cost| cost.with_output(ask.most())) }
    }

    /// The most output that so much money pays for, or what the call costs at least. What costs nothing
    /// needs nothing left, and where the price is not known nobody asks.
    pub(super) fn paid_by(&self, left: NanoDollars) -> Result<Tokens, NanoDollars> {
        let ask = &self.ask;
        let Some(cost) = ask.cost.filter(|_| self.whole > Some(left)) else { return Ok(ask.most()) };
        match cost.output_within(left) {
            Some(output) if output >= ask.least() => Ok(output.min(ask.most())),
            Some(_) | None => Err(cost.with_output(ask.least())),
        }
    }
}
