//! How a limit without room is told.

use tollgate_core::fault::Code;
use tollgate_core::limit::{Budget, Period};
use tollgate_core::price;
use tollgate_core::units::{Millis, NanoDollars, Time};

/// A limit without room for what is asked.
#[derive(Debug)]
pub(super) struct Lack<'a> {
    pub(super) which: Which<'a>,
    /// The limit itself.
    pub(super) limit: u64,
    /// What is left of it.
    pub(super) left: u64,
    /// The least that was asked of it.
    pub(super) need: u64,
    /// When so much will be left; absent: never.
    pub(super) opens_in: Option<Millis>,
}

/// The limits there are.
#[derive(Debug)]
pub(super) enum Which<'a> {
    Rpm,
    Tpm,
    TpmInput,
    TpmOutput,
    Concurrency,
    MaxRequests,
    MaxTokens,
    /// And when it is full again.
    Budget(&'a Budget, Option<Time>),
}

impl<'a> Which<'a> {
    /// By its word in the config.
    pub(super) fn named(name: &str, budget: Option<&'a Budget>, resets_at: Option<Time>) -> Option<Self> {
        Some(match name {
            "rpm" => Self::Rpm,
            "tpm" => Self::Tpm,
            "tpm_input" => Self::TpmInput,
            "tpm_output" => Self::TpmOutput,
            "concurrency" => Self::Concurrency,
            "max_requests" => Self::MaxRequests,
            "max_tokens" => Self::MaxTokens,
            "budget" => Self::Budget(budget?, resets_at),
            _ => return None,
        })
    }

    /// What the refusal is called.
    pub(super) const fn code(&self) -> Code {
        match self {
            Self::Rpm | Self::MaxRequests => Code::RpmExceeded,
            Self::Tpm | Self::TpmInput | Self::TpmOutput | Self::MaxTokens => Code::TpmExceeded,
            Self::Concurrency => Code::ConcurrencyExceeded,
            Self::Budget(..) => Code::BudgetExceeded,
        }
    }

    const fn unit(&self) -> &'static str {
        match self {
            Self::Rpm => "requests a minute",
            Self::Tpm => "tokens a minute",
            Self::TpmInput => "input tokens a minute",
            Self::TpmOutput => "output tokens a minute",
            Self::Concurrency => "requests at once",
            Self::MaxRequests => "requests in all",
            Self::MaxTokens => "tokens in all",
            Self::Budget(budget, _) => match budget.per {
                Period::Minute => "a minute",
                Period::Hour => "an hour",
                Period::Day => "a day",
                Period::Week => "a week",
                Period::Month => "a month",
                Period::Year => "a year",
                Period::Never => "in all",
            },
        }
    }
}

impl Lack<'_> {
    /// The limit, what is left of it, what was asked, and when it opens.
    pub(super) fn words(&self) -> String {
        let Self { which, limit, left, need, opens_in } = self;
        let unit = which.unit();
        let mut words = match which {
            Which::Budget(..) => {
                let [limit, left, need] = [limit, left, need].map(|money| price::dollars(NanoDollars(*money)));
                format!("{limit} {unit}, {left} left, this call may cost {need}")
            }
            Which::Tpm | Which::TpmInput | Which::TpmOutput | Which::MaxTokens => {
                format!("{limit} {unit}, {left} left, this call may take {need}")
            }
            Which::Rpm | Which::Concurrency | Which::MaxRequests => {
                format!("{limit} {unit}, {left} left, this call takes {need}")
            }
        };
        match opens_in {
            _ if need > limit => words.push_str(" and never fits"),
            Some(wait) => words.push_str(&format!(", opens in {} s", wait.ceil_secs())),
            None => words.push_str(", does not open again"),
        }
        words
    }
}
