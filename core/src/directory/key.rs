//! Virtual keys.

use super::{IpRange, Remarks, Within, wrong_name};
use crate::cache::Caching;
use crate::config::Pattern;
use crate::ledger::Scope;
use crate::limit::Limits;
use crate::units::Time;
use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;

/// Tags of a client's own on one request.
pub const MAX_CLIENT_TAGS: usize = 16;

/// A virtual key.
#[derive(Clone, PartialEq)]
pub struct Key {
    /// Unique; for logs and the API; never the key itself.
    pub name: String,
    /// SHA-256 of the key.
    pub sha256: [u8; 32],
    /// What it was before it was rotated, while that is still valid.
    pub retiring: Option<Retiring>,
    /// The team it belongs to.
    pub team: Option<String>,
    /// The user it belongs to.
    pub user: Option<String>,
    /// The organisation it belongs to; its team's if that has one.
    pub organisation: Option<String>,
    /// What it is marked with.
    pub tags: Vec<String>,
    /// Tags a client may add for attribution; none unless named here. They never carry limits.
    pub client_tags: Vec<Pattern>,
    /// What it may call: route names and `provider/model` patterns. Empty: everything.
    pub models: Vec<Pattern>,
    /// Paths it may call, such as `/v1/chat/completions` or `/v1/*`. Empty: everything.
    pub routes: Vec<Pattern>,
    /// Addresses it may be used from. Empty: everywhere.
    pub ips: Vec<IpRange>,
    /// What it may do in the admin API.
    pub role: Role,
    /// What it may consume.
    pub scope: Arc<Scope>,
    /// What it may consume of some models or providers.
    pub within: Vec<Within>,
    /// What each of its end users may consume.
    pub each_end_user: Option<Limits>,
    /// What it says of the cache of answers.
    pub cache: Option<Caching>,
    /// When its time is over.
    pub expires: Option<Time>,
    /// Whether it is refused.
    pub blocked: bool,
    /// When it was made, where that was noted.
    pub created: Option<Time>,
    /// What people wrote beside it.
    pub remarks: Option<Box<Remarks>>,
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Key").field("name", &self.name).finish_non_exhaustive()
    }
}

impl Key {
    /// A key that may do everything a caller may, without limits.
    pub fn new(name: impl Into<String>, sha256: [u8; 32]) -> Self {
        let name = name.into();
        Self {
            scope: Arc::new(Scope::new(format!("key:{name}"), Limits::default())),
            name,
            sha256,
            retiring: None,
            team: None,
            user: None,
            organisation: None,
            tags: Vec::new(),
            client_tags: Vec::new(),
            models: Vec::new(),
            routes: Vec::new(),
            ips: Vec::new(),
            role: Role::default(),
            within: Vec::new(),
            each_end_user: None,
            cache: None,
            expires: None,
            blocked: false,
            created: None,
            remarks: None,
        }
    }

    /// Whether it may ask for this name.
    pub fn allows(&self, name: &str) -> bool {
        self.models.is_empty() || self.models.iter().any(|pattern| pattern.matches(name))
    }

    /// Whether it may call what is served at this path, as [`crate::mount::PLACES`] spells it.
    pub fn allows_path(&self, path: &str) -> bool {
        self.routes.is_empty() || self.routes.iter().any(|pattern| pattern.matches(path))
    }

    /// Whether it may be used from this address; one that is not known is in no range.
    pub fn allows_address(&self, address: Option<IpAddr>) -> bool {
        let inside = |address| self.ips.iter().any(|range| range.holds(address));
        self.ips.is_empty() || address.is_some_and(inside)
    }

    /// Of the tags a client names, those it may set: at most [`MAX_CLIENT_TAGS`], each once.
    pub fn client_tags<'t>(&self, named: impl Iterator<Item = &'t str>) -> Vec<String> {
        let mut tags: Vec<String> = Vec::new();
        let may = |tag: &&str| self.client_tags.iter().any(|pattern| pattern.matches(tag));
        for tag in named.filter(|tag| wrong_name(tag).is_none()).filter(may) {
            if tags.len() < MAX_CLIENT_TAGS && !tags.iter().any(|earlier| earlier == tag) {
                tags.push(tag.to_owned());
            }
        }
        tags
    }
}

/// A key's former self.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Retiring {
    /// SHA-256 of what it was.
    pub sha256: [u8; 32],
    /// The first moment at which it is refused.
    pub until: Time,
}

/// What a key may do in the admin API.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Role {
    /// Read about itself and mint tokens of its own; nothing else.
    #[default]
    Caller,
    /// Read everything.
    Viewer,
    /// Read and change its own team and that team's keys.
    Manager,
    /// Everything.
    Admin,
}

impl Role {
    /// Every role, each with more rights than the one before.
    pub const ALL: [Self; 4] = [Self::Caller, Self::Viewer, Self::Manager, Self::Admin];

    /// Its word in the config.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Caller => "caller",
            Self::Viewer => "viewer",
            Self::Manager => "manager",
            Self::Admin => "admin",
        }
    }
}
