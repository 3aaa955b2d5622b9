//! Who there is: organisations, teams, users, tags, keys. From the config, and from the host's store.
//!
//! What the config says cannot be changed through the admin API, and wins over what is stored under
//! the same name.

mod roll;

use crate::config::{Config, Pattern, Route};
use crate::ledger::{Claim, Scope, Targets};
use crate::limit::Limits;
use crate::token::Token;
use crate::units::Time;
use std::collections::{BTreeMap, HashMap};
use std::fmt;
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
    /// What all its keys together may consume.
    pub scope: Arc<Scope>,
    /// What they may consume of some models or providers.
    pub within: Vec<Within>,
    /// What each end user of its keys may consume.
    pub each_end_user: Option<Limits>,
    /// Whether its keys are refused.
    pub blocked: bool,
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
    /// A model: the name that is asked for, or `provider/model` of a target.
    Model(Pattern),
    /// A provider by its name in the config.
    Provider(String),
}

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
    /// When its time is over.
    pub expires: Option<Time>,
    /// Whether it is refused.
    pub blocked: bool,
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
            scope: Arc::new(Scope { name: format!("key:{name}"), limits: Limits::default() }),
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
            expires: None,
            blocked: false,
        }
    }

    /// Whether it may ask for this name.
    pub fn allows(&self, name: &str) -> bool {
        self.models.is_empty() || self.models.iter().any(|pattern| pattern.matches(name))
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

/// Addresses with a common beginning: `10.0.0.0/8`, `2001:db8::/32`, `192.0.2.7`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct IpRange {
    /// An address of the range.
    pub address: std::net::IpAddr,
    /// How many leading bits are common.
    pub bits: u8,
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

/// Whose request it is.
#[derive(Clone, PartialEq)]
pub struct Caller {
    /// The key it presented, or its token's parent.
    pub key: Arc<Key>,
    /// Organisation, team, user and tags that the key belongs to.
    pub holders: Vec<Arc<Holder>>,
    /// The token it presented.
    pub token: Option<Arc<Token>>,
    /// The organisation's name, empty for none: whose books the request is in.
    pub book: Arc<str>,
}

impl fmt::Debug for Caller {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Caller").field("key", &self.key.name).finish_non_exhaustive()
    }
}

impl Caller {
    /// Whether it may ask for this model name.
    pub fn allows(&self, model: &str) -> bool {
        self.key.allows(model)
    }

    /// Whether any of its scopes limits money, for whatever target.
    pub fn has_budget(&self) -> bool {
        let own = [&self.key.scope].into_iter();
        own.chain(self.holders.iter().map(|holder| &holder.scope)).any(|scope| scope.limits.has_budget())
    }

    /// The name of the holder of this kind; of tags the first.
    pub fn holder(&self, kind: HolderKind) -> Option<&str> {
        self.holders.iter().find(|holder| holder.kind == kind).map(|holder| holder.name.as_str())
    }

    /// Every scope a request for this route draws on, those without any limit left out.
    pub fn claims(&self, config: &Config, route: &Route, asked: &str, end_user: Option<&str>) -> Vec<Claim> {
        let _ = (config, route, asked, end_user);
        let own = [&self.key.scope].into_iter();
        let all = own.chain(self.holders.iter().map(|holder| &holder.scope));
        all.filter(|scope| !scope.limits.is_unlimited())
            .map(|scope| Claim { scope: Arc::clone(scope), targets: Targets::ALL })
            .collect()
    }
}

/// Everybody a gateway knows.
#[derive(Clone, Debug, Default)]
pub struct Directory {
    fixed: Layer,
    stored: Layer,
}

/// Those of one origin.
#[derive(Clone, Debug, Default)]
struct Layer {
    keys: HashMap<String, Arc<Key>>,
    /// By SHA-256, retiring ones too. Searched by digest, of which a stranger cannot choose the
    /// leading bytes, so that the search's duration tells nothing of any key.
    digests: HashMap<[u8; 32], Arc<Key>>,
    holders: BTreeMap<(HolderKind, String), Arc<Holder>>,
}

impl Directory {
    /// Those of a config.
    pub fn of(config: &Config) -> Self {
        let mut fixed = Layer::default();
        for key in &config.keys {
            fixed.keys.insert(key.name.clone(), Arc::clone(key));
            fixed.digests.insert(key.sha256, Arc::clone(key));
        }
        for holder in &config.holders {
            fixed.holders.insert((holder.kind, holder.name.clone()), Arc::clone(holder));
        }
        Self { fixed, stored: Layer::default() }
    }

    /// Whether there is no key at all.
    pub fn has_no_keys(&self) -> bool {
        self.fixed.keys.is_empty() && self.stored.keys.is_empty()
    }

    /// The key of this digest.
    pub fn key_of(&self, sha256: &[u8; 32]) -> Option<&Arc<Key>> {
        self.fixed.digests.get(sha256).or_else(|| self.stored.digests.get(sha256))
    }

    /// The key of this name.
    pub fn key(&self, name: &str) -> Option<&Arc<Key>> {
        self.fixed.keys.get(name).or_else(|| self.stored.keys.get(name))
    }

    /// The holder of this name.
    pub fn holder(&self, kind: HolderKind, name: &str) -> Option<&Arc<Holder>> {
        let place = (kind, name.to_owned());
        self.fixed.holders.get(&place).or_else(|| self.stored.holders.get(&place))
    }

    /// What a key's requests run under.
    pub fn caller(&self, key: &Arc<Key>, token: Option<Arc<Token>>) -> Caller {
        let named = [
            (HolderKind::Organisation, &key.organisation),
            (HolderKind::Team, &key.team),
            (HolderKind::User, &key.user),
        ];
        let named = named.into_iter().filter_map(|(kind, name)| self.holder(kind, name.as_ref()?));
        let tags = key.tags.iter().filter_map(|tag| self.holder(HolderKind::Tag, tag));
        let holders = named.chain(tags).cloned().collect();
        let book = Arc::from(key.organisation.as_deref().unwrap_or_default());
        Caller { key: Arc::clone(key), holders, token, book }
    }
}
