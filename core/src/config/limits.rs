//! What a key or a team may consume.

use crate::units::{NanoDollars, Requests, Tokens};

/// What a scope may consume; absent means without limit.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Limits {
    /// In any 60 seconds.
    pub rpm: Option<Requests>,
    /// In any 60 seconds, input and output together.
    pub tpm: Option<Tokens>,
    /// In flight at once.
    pub concurrency: Option<Requests>,
    /// Money by period; each period at most once.
    pub budgets: Vec<Budget>,
}

impl Limits {
    /// Whether there is none.
    pub fn is_unlimited(&self) -> bool {
        *self == Self::default()
    }
}

/// An amount of money for each period.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Budget {
    /// Above zero.
    pub amount: NanoDollars,
    /// How long it lasts.
    pub per: Period,
}

/// How long a budget lasts before it is full again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Period {
    /// 60 seconds.
    Minute,
    /// 60 minutes.
    Hour,
    /// A day in UTC.
    Day,
    /// From Monday in UTC.
    Week,
    /// A calendar month in UTC.
    Month,
    /// A calendar year in UTC.
    Year,
    /// It is never full again.
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

/// A team from the config: keys belong to it and share its limits.
#[derive(Clone, Debug, PartialEq)]
pub struct Team {
    /// Its name.
    pub name: String,
    /// What all its keys together may consume.
    pub limits: Limits,
}
