//! The admin API: what a request to it leads to, decided without doing it.
//!
//! [`plan`] reads a request and says what the host is to do: answer, commit changes, run a query. The
//! store and the ledger are the host's; what is asked of them and what is made of their answers is
//! decided here, so that every host has the same API.

use crate::directory::HolderKind;
use crate::units::{NanoDollars, Requests, Time, Tokens};
use bytes::Bytes;

/// What is stored: one of these, by its name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Kind {
    /// An organisation, a team, a user or a tag.
    Holder(HolderKind),
    /// A virtual key.
    Key,
}

impl Kind {
    /// Its word, as the store and the audit log spell it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Holder(kind) => kind.name(),
            Self::Key => "key",
        }
    }
}

/// A change to what is stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// What.
    pub kind: Kind,
    /// Its name.
    pub name: String,
    /// Its whole new spec as JSON, in the words of the config and without secrets (a key's is its
    /// digest); absent: it is deleted.
    pub spec: Option<Bytes>,
}

/// One line of the audit log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Deed {
    /// When.
    pub at: Time,
    /// Who: `admin`, `key:NAME`, `cli`, `config`.
    pub actor: String,
    /// What was done: `key.create`, `team.update`.
    pub action: String,
    /// To whom: `key:ci`.
    pub subject: String,
    /// The spec before, as JSON without secrets.
    pub before: Option<Bytes>,
    /// The spec after.
    pub after: Option<Bytes>,
}

/// What spend is told apart by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Dimension {
    /// The organisation.
    Organisation,
    /// The team.
    Team,
    /// The user.
    User,
    /// The key.
    Key,
    /// The end user.
    EndUser,
    /// `provider/model` that was called.
    Model,
    /// The provider that was called.
    Provider,
    /// Each tag; a request with two counts for both.
    Tag,
    /// The day in UTC, as `2026-11-21`.
    Day,
}

/// A question about what was spent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SpendQuery {
    /// From here on.
    pub from: Time,
    /// Up to here, this moment outside.
    pub to: Time,
    /// One row for each combination, in this order; empty: one row for all.
    pub by: Vec<Dimension>,
    /// Only these; of one dimension any, of several all.
    pub only: Vec<Only>,
    /// At most so many rows, those with the highest cost.
    pub limit: u32,
}

/// A value that a dimension must have.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Only {
    /// The dimension.
    pub dimension: Dimension,
    /// Its value.
    pub value: String,
}

/// What was spent.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SpendRow {
    /// The values of the query's dimensions, in its order; absent where a request has none.
    pub values: Vec<Option<String>>,
    /// Requests that ended.
    pub requests: Requests,
    /// Of them, those whose client did not get an answer.
    pub failed: Requests,
    /// Of them, those whose cost is not known.
    pub unpriced: Requests,
    /// Whole prompts.
    pub input: Tokens,
    /// Of them, read from a prompt cache.
    pub cached: Tokens,
    /// Everything generated.
    pub output: Tokens,
    /// What it cost, as far as that is known.
    pub cost: NanoDollars,
}
