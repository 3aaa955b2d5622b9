//! What a scope may consume: requests, tokens, calls in flight, money.
//!
//! Rate limits look back over the last 60 seconds wherever these begin, so that no boundary admits
//! twice the limit. Budgets look at a period: of the calendar in a zone, or the last so many days, or
//! all time.

pub mod calendar; // where periods begin and end

use crate::units::{NanoDollars, Requests, Tokens};
use calendar::Zone;
use serde::{Deserialize, Serialize};

/// What a scope may consume; absent means without limit.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Limits {
    /// In any 60 seconds.
    pub rpm: Option<Requests>,
    /// In any 60 seconds, input and output together.
    pub tpm: Option<Tokens>,
    /// In any 60 seconds, input alone.
    pub tpm_input: Option<Tokens>,
    /// In any 60 seconds, output alone.
    pub tpm_output: Option<Tokens>,
    /// In flight at once.
    pub concurrency: Option<Requests>,
    /// In all, ever: for short-lived keys.
    pub max_requests: Option<Requests>,
    /// In all, ever, input and output together: for short-lived keys.
    pub max_tokens: Option<Tokens>,
    /// Money by period; each period at most once.
    pub budgets: Vec<Budget>,
}

impl Limits {
    /// Whether there is none.
    pub fn is_unlimited(&self) -> bool {
        *self == Self::default()
    }

    /// Whether requests or tokens a minute are limited.
    pub fn has_rate(&self) -> bool {
        self.rpm.is_some() || [self.tpm, self.tpm_input, self.tpm_output].iter().any(Option::is_some)
    }

    /// Whether money is limited.
    pub fn has_budget(&self) -> bool {
        !self.budgets.is_empty()
    }

    /// The same for a part of a request that is counted already: tokens and money are taken, no request
    /// and no place of its own. Tells itself by a concurrency that nobody sets.
    pub fn of_a_part(&self) -> Self {
        Self { rpm: None, concurrency: Some(PART), max_requests: None, ..self.clone() }
    }

    /// Whether what draws on them is a request, or part of one.
    pub fn counts_requests(&self) -> bool {
        self.concurrency != Some(PART)
    }

    /// Whether tokens are limited, in whatever form.
    pub fn limits_tokens(&self) -> bool {
        let Self { tpm, tpm_input, tpm_output, max_tokens, .. } = self;
        [tpm, tpm_input, tpm_output, max_tokens].iter().any(|limit| limit.is_some())
    }
}

/// The concurrency of [`Limits::of_a_part`].
const PART: Requests = Requests(u64::MAX);

/// An amount of money for each period.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Budget {
    /// Above zero.
    pub amount: NanoDollars,
    /// How long it lasts.
    pub per: Period,
    /// When it is full again.
    pub reset: Reset,
    /// When to warn, in per cent of the amount; absent: never.
    pub warn: Option<Percent>,
}

/// Parts of a hundred; 1 to 100.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Percent(pub u8);

/// When a budget is full again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reset {
    /// With the period of the calendar in this zone.
    Calendar(Zone),
    /// What was spent longer ago than the period does not count. A month is 30 days, a year 365.
    Rolling,
}

/// How long a budget lasts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Period {
    /// 60 seconds.
    Minute,
    /// 60 minutes.
    Hour,
    /// A day.
    Day,
    /// From Monday.
    Week,
    /// A month.
    Month,
    /// A year.
    Year,
    /// It is never full again: prepaid.
    Never,
}

impl Period {
    /// Every period.
    pub const ALL: [Self; 7] =
        [Self::Minute, Self::Hour, Self::Day, Self::Week, Self::Month, Self::Year, Self::Never];

    /// Its word in the config.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Minute => "minute",
            Self::Hour => "hour",
            Self::Day => "day",
            Self::Week => "week",
            Self::Month => "month",
            Self::Year => "year",
            Self::Never => "never",
        }
    }
}
