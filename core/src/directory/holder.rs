//! Whom limits stand on beside keys: organisations, teams, users, tags.

use crate::config::Pattern;
use crate::ledger::Scope;
use crate::limit::Limits;
use crate::units::Time;
use std::sync::Arc;

/// What limits can stand on beside keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum HolderKind {
    /// Owns teams, users and keys; its books are kept together.
    Organisation,
    /// Shares limits among keys.
    Team,
    /// A person whose keys share limits.
    User,
    /// What keys are marked with, for attribution and shared limits.
    Tag,
}

impl HolderKind {
    /// Every kind.
    pub const ALL: [Self; 4] = [Self::Organisation, Self::Team, Self::User, Self::Tag];

    /// Its word, as in `team:search`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Organisation => "organisation",
            Self::Team => "team",
            Self::User => "user",
            Self::Tag => "tag",
        }
    }
}

/// An organisation, a team, a user or a tag.
#[derive(Clone, Debug, PartialEq)]
pub struct Holder {
    /// Which of them.
    pub kind: HolderKind,
    /// Unique among its kind.
    pub name: String,
    /// The organisation it belongs to; never for an organisation.
    pub organisation: Option<String>,
    /// What its keys may ask for, of what they may themselves. Empty: all of that.
    pub models: Vec<Pattern>,
    /// What all its keys together may consume.
    pub scope: Arc<Scope>,
    /// What they may consume of some models or providers.
    pub within: Vec<Within>,
    /// What each end user of its keys may consume.
    pub each_end_user: Option<Limits>,
    /// Whether its keys are refused.
    pub blocked: bool,
    /// When it was made, where that was noted.
    pub created: Option<Time>,
    /// What people wrote beside it.
    pub remarks: Option<Box<Remarks>>,
}

impl Holder {
    /// A holder without limits.
    pub fn new(kind: HolderKind, name: impl Into<String>) -> Self {
        let name = name.into();
        let scope = Scope::new(format!("{}:{name}", kind.name()), Limits::default());
        Self {
            kind,
            name,
            organisation: None,
            models: Vec::new(),
            scope: Arc::new(scope),
            within: Vec::new(),
            each_end_user: None,
            blocked: false,
            created: None,
            remarks: None,
        }
    }

    /// Whether its keys may ask for this name.
    pub fn allows(&self, name: &str) -> bool {
        self.models.is_empty() || self.models.iter().any(|pattern| pattern.matches(name))
    }
}

/// What people wrote beside a key or a holder; nothing here is looked at.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Remarks {
    /// A sentence.
    pub note: Option<String>,
    /// A JSON object, as text.
    pub metadata: Option<String>,
}

/// Limits inside a scope, for some models or one provider.
#[derive(Clone, Debug, PartialEq)]
pub struct Within {
    /// For what.
    pub what: What,
    /// `key:ci/model:gpt-4o`.
    pub scope: Arc<Scope>,
}

/// What limits inside a scope are for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum What {
    /// A model, by the name that is asked for, and by the name of a target, with its provider's
    /// before it or not: asking for it by a route's name does not go around its limits.
    Model(Pattern),
    /// A provider by its name in the config.
    Provider(String),
}

impl What {
    /// What is added to the name of the scope it is inside: `model:gpt-4o*`.
    pub fn suffix(&self) -> String {
        match self {
            Self::Model(pattern) => format!("model:{pattern}"),
            Self::Provider(name) => format!("provider:{name}"),
        }
    }
}
