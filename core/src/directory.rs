//! Who there is: organisations, teams, users, tags, keys. From the config, and from the host's store.
//!
//! ```text
//!   config ──of, reseat──▶ fixed ─┐
//!                                 ├─▶ key_of(digest) ─▶ Key ──caller──▶ Caller ──claims──▶ ledger
//!   store  ──apply, put──▶ stored ┘
//! ```
//! What the config says cannot be changed through the admin API, and wins over what is stored under
//! the same name. The directory keeps each key once; looking one up, putting one in and taking one
//! out cost the same however many there are.

mod address; // ranges of addresses
mod caller; // whose request it is
mod holder; // organisations, teams, users, tags
mod key; // virtual keys
mod name; // what names may be
mod reading; // a stored row, read and not taken up yet
pub mod spec; // keys and holders as JSON
#[cfg(test)]
mod tests;

pub use address::IpRange;
pub use caller::Caller;
pub use holder::{Holder, HolderKind, Remarks, What, Within};
pub use key::{Key, MAX_CLIENT_TAGS, Retiring, Role};
pub use name::{MAX_END_USER, MAX_NAME, end_user, wrong_name};
pub use reading::Reading;

use crate::api::{Change, Kind};
use crate::config::{Config, ConfigError};
use crate::sort::{Map, Set};
use crate::token::{Issuer, Jwks, JwksSource};
use reading::Found;
use std::borrow::Borrow;
use std::cmp::Ordering;
use std::collections::HashSet;
use std::hash::{Hash, Hasher};
use std::ops::Bound;
use std::sync::Arc;

/// Everybody a gateway knows.
#[derive(Clone, Debug, Default)]
pub struct Directory {
    fixed: Layer,
    stored: Layer,
    /// Organisations' names, shared by all requests in their books.
    books: HashSet<Arc<str>>,
    nobody: Arc<str>,
    /// Whether there has ever been a key.
    closed: bool,
    /// Keys of tokens' issuers, by issuer, as the host fetched them.
    jwks: Map<String, Fetched>,
    others: Others,
}

/// Whether there may be keys that are not known here yet.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Others {
    /// All that could be known is.
    #[default]
    Known,
    /// Other gateways have not been heard.
    Awaited,
}

/// Keys of a tokens' issuer, and where they came from.
#[derive(Clone, Debug)]
struct Fetched {
    from: JwksSource,
    keys: Arc<Jwks>,
}

/// Those of one origin.
#[derive(Clone, Debug, Default)]
struct Layer {
    keys: Set<ByName>,
    /// Retiring ones too. Searched by digest, of which a stranger cannot choose the leading bytes, so
    /// that the search's duration tells nothing of any key.
    digests: HashSet<ByDigest>,
    organisations: Holders,
    teams: Holders,
    users: Holders,
    tags: Holders,
}

/// Holders of one kind by their names.
type Holders = Map<String, Arc<Holder>>;

/// A stored row that cannot be taken up; everything else runs without it (K17).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SetAside {
    /// What it is of.
    pub kind: Kind,
    /// The name it is stored under.
    pub name: String,
    /// What is wrong with it.
    pub errors: Vec<ConfigError>,
}

/// A key that another key's name stands for already.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Taken {
    /// The other key's name.
    pub by: String,
}

impl Directory {
    /// Those of a config.
    pub fn of(config: &Config) -> Self {
        let mut directory = Self::default();
        directory.reseat(config);
        directory
    }

    /// Takes up another config; what is stored stays.
    pub fn reseat(&mut self, config: &Config) {
        let mut fixed = Layer::default();
        config.keys.iter().for_each(|key| fixed.put_key(Arc::clone(key)));
        config.holders.iter().for_each(|holder| fixed.put_holder(Arc::clone(holder)));
        self.fixed = fixed;
        // Keys from a place that is no longer named may be why it is no longer named.
        self.jwks.retain(|issuer, fetched| {
            config.tokens.issuer(issuer).is_some_and(|known| known.jwks == fetched.from)
        });
        self.books = self.fixed.books().chain(self.stored.books()).map(Arc::from).collect();
    }

    /// Holders alone, for those who are looked up while a config is read.
    pub(crate) fn of_holders(holders: &[Arc<Holder>]) -> Self {
        let mut directory = Self::default();
        holders.iter().for_each(|holder| directory.fixed.put_holder(Arc::clone(holder)));
        directory
    }

    /// Takes up a change of what is stored, or a row that was found there. Names it refers to are not
    /// looked up: whoever made it has done so, and a key whose team is gone is refused when it comes.
    /// On an error nothing has changed, except that a row that was there before under the name is
    /// gone: nobody may go on using what it no longer says.
    pub fn apply(&mut self, change: &Change, config: &Config) -> Result<(), SetAside> {
        self.take(Reading::of(change, config))
    }

    /// [`Directory::apply`] for a change that was read already.
    pub fn take(&mut self, reading: Reading) -> Result<(), SetAside> {
        let Reading { kind, name, found } = reading;
        let taken = match found {
            Found::Nothing => {
                self.remove(kind, &name);
                Ok(())
            }
            Found::Holder(holder) => {
                self.put_holder(*holder);
                Ok(())
            }
            Found::Key(key) => self
                .put_key(*key)
                .map(drop)
                .map_err(|taken| vec![spec::error("sha256", format!("the same key as {:?}", taken.by))]),
            Found::Mistakes(errors) => Err(errors),
        };
        taken.map_err(|errors| {
            self.remove(kind, &name);
            SetAside { kind, name, errors }
        })
    }

    /// Stores a key in place of the stored one of its name. Fails where another key has one of its
    /// digests.
    pub fn put_key(&mut self, key: Key) -> Result<Arc<Key>, Taken> {
        let digests = [Some(key.sha256), key.retiring.map(|retiring| retiring.sha256)];
        for digest in digests.iter().flatten() {
            let others =
                [&self.fixed, &self.stored].into_iter().filter_map(|layer| layer.digests.get(digest));
            for ByDigest { key: other, .. } in others {
                if other.name != key.name {
                    return Err(Taken { by: other.name.clone() });
                }
            }
        }
        let key = Arc::new(key);
        self.closed = true;
        self.stored.put_key(Arc::clone(&key));
        Ok(key)
    }

    /// Stores a holder in place of the stored one of its name.
    pub fn put_holder(&mut self, holder: Holder) -> Arc<Holder> {
        let holder = Arc::new(holder);
        if holder.kind == HolderKind::Organisation && !self.books.contains(holder.name.as_str()) {
            self.books.insert(Arc::from(holder.name.as_str()));
        }
        self.stored.put_holder(Arc::clone(&holder));
        holder
    }

    /// Takes out what is stored under a name: whether there was anything. Keys of a holder that is gone
    /// are refused until there is one again.
    pub fn remove(&mut self, kind: Kind, name: &str) -> bool {
        match kind {
            Kind::Key => self.stored.remove_key(name),
            Kind::Holder(kind) => self.stored.holders_mut(kind).remove(name).is_some(),
        }
    }

    /// Whether the config has one of this name, so that it cannot be changed here.
    pub fn is_fixed(&self, kind: Kind, name: &str) -> bool {
        match kind {
            Kind::Key => self.fixed.keys.contains(name),
            Kind::Holder(kind) => self.fixed.holder(kind, name).is_some(),
        }
    }

    /// From now on other gateways may have keys that are not known here: until they are heard, nobody
    /// may take it that there are none.
    pub fn await_others(&mut self) {
        self.others = Others::Awaited;
    }

    /// Other gateways have been heard.
    pub fn heard_others(&mut self) {
        self.others = Others::Known;
    }

    /// Whether other gateways have been heard, if there are any.
    pub fn knows_others(&self) -> bool {
        match self.others {
            Others::Known => true,
            Others::Awaited => false,
        }
    }

    /// Whether there is or has been a key: whoever deletes the last one does not mean to let everybody in.
    pub fn is_closed(&self) -> bool {
        self.closed || !self.has_no_keys()
    }

    /// There has been a key, in an earlier life.
    pub fn close(&mut self) {
        self.closed = true;
    }

    /// Whether there is no key at all, here or elsewhere.
    pub fn has_no_keys(&self) -> bool {
        self.knows_others() && self.fixed.keys.is_empty() && self.stored.keys.is_empty()
    }

    /// The key of this digest, retiring ones too.
    pub fn key_of(&self, sha256: &[u8; 32]) -> Option<&Arc<Key>> {
        let fixed = self.fixed.digests.get(sha256);
        let stored = || self.stored.digests.get(sha256).filter(|found| !self.hides(&found.key.name));
        fixed.or_else(stored).map(|found| &found.key)
    }

    /// The key of this name.
    pub fn key(&self, name: &str) -> Option<&Arc<Key>> {
        self.fixed.keys.get(name).or_else(|| self.stored.keys.get(name)).map(|found| &found.0)
    }

    /// The holder of this name.
    pub fn holder(&self, kind: HolderKind, name: &str) -> Option<&Arc<Holder>> {
        self.fixed.holder(kind, name).or_else(|| self.stored.holder(kind, name))
    }

    /// Keys in the order of their names, from the first after `name` (which need not exist; empty:
    /// from the beginning).
    pub fn keys_from(&self, name: &str) -> impl Iterator<Item = &Arc<Key>> {
        let after = (Bound::Excluded(name), Bound::Unbounded);
        let fixed = self.fixed.keys.range::<str, _>(after).map(|key| &key.0);
        let stored = self.stored.keys.range::<str, _>(after).map(|key| &key.0);
        merged(fixed, stored, |key| key.name.as_str())
    }

    /// A page of [`Directory::keys_from`].
    pub fn keys_after(&self, name: &str, limit: usize) -> Vec<&Arc<Key>> {
        self.keys_from(name).take(limit).collect()
    }

    /// Holders of a kind in the order of their names, from the first after `name`.
    pub fn holders_from(&self, kind: HolderKind, name: &str) -> impl Iterator<Item = &Arc<Holder>> {
        merged(self.fixed.holders_after(kind, name), self.stored.holders_after(kind, name), |holder| {
            holder.name.as_str()
        })
    }

    /// A page of [`Directory::holders_from`].
    pub fn holders_after(&self, kind: HolderKind, name: &str, limit: usize) -> Vec<&Arc<Holder>> {
        self.holders_from(kind, name).take(limit).collect()
    }

    /// What a key's requests run under. A holder that does not exist is left out; see
    /// [`Directory::missing`]. Runs for every request. (hot)
    pub fn caller(&self, key: &Arc<Key>, token: Option<Arc<crate::token::Token>>) -> Caller {
        let mut holders = Vec::with_capacity(3 + key.tags.len());
        holders.extend(memberships(key).filter_map(|(kind, name)| self.holder(kind, name)).cloned());
        let book = match key.organisation.as_deref() {
            None => Arc::clone(&self.nobody),
            Some(name) => self.books.get(name).map_or_else(|| Arc::from(name), Arc::clone),
        };
        Caller { key: Arc::clone(key), holders, token, book }
    }

    /// Why a key cannot be used although it is known: what it belongs to does not exist, or belongs to
    /// another organisation, so that its limits could not be kept.
    pub fn missing(&self, key: &Key) -> Option<String> {
        let wrong = |(kind, name): (HolderKind, &str)| match self.holder(kind, name) {
            None => Some(format!("belongs to the {} `{name}`, which does not exist", kind.name())),
            Some(holder) if !shares_books(holder, key.organisation.as_deref()) => {
                Some(format!("and its {} `{name}` are of different organisations", kind.name()))
            }
            Some(_) => None,
        };
        memberships(key).find_map(wrong)
    }

    /// [`Directory::missing`] for one who has come: costs next to nothing where nothing is wrong. (hot)
    pub(crate) fn misfit(&self, caller: &Caller) -> Option<String> {
        let Caller { key, holders, .. } = caller;
        let whole = memberships(key).count() == holders.len()
            && holders.iter().all(|holder| shares_books(holder, key.organisation.as_deref()));
        if whole { None } else { self.missing(key) }
    }

    /// The keys of an issuer of tokens, as far as the host has put them in.
    pub fn jwks(&self, issuer: &str) -> Option<&Arc<Jwks>> {
        self.jwks.get(issuer).map(|fetched| &fetched.keys)
    }

    /// Takes up the keys of an issuer of tokens in place of those before. They stay until the config
    /// no longer names the issuer with that place; a key that the issuer has withdrawn is believed
    /// until the host fetches again, so it should do that now and then.
    pub fn put_jwks(&mut self, issuer: &Issuer, keys: Jwks) {
        let fetched = Fetched { from: issuer.jwks.clone(), keys: Arc::new(keys) };
        self.jwks.insert(issuer.issuer.clone(), fetched);
    }

    /// Gives up the keys of an issuer of tokens: they are too old to be believed.
    pub fn drop_jwks(&mut self, issuer: &str) {
        self.jwks.remove(issuer);
    }

    /// Whether the config has a key of this name, which hides a stored one.
    fn hides(&self, name: &str) -> bool {
        self.fixed.keys.contains(name)
    }
}

/// Whether a holder's limits can be kept in these books. A tag of no organisation is in those of each.
pub(crate) fn shares_books(holder: &Holder, organisation: Option<&str>) -> bool {
    match holder.kind {
        HolderKind::Organisation => true,
        HolderKind::Team | HolderKind::User => holder.organisation.as_deref() == organisation,
        HolderKind::Tag => holder.organisation.is_none() || holder.organisation.as_deref() == organisation,
    }
}

/// What a key belongs to.
fn memberships(key: &Key) -> impl Iterator<Item = (HolderKind, &str)> {
    let team = key.team.as_deref().map(|name| (HolderKind::Team, name));
    let user = key.user.as_deref().map(|name| (HolderKind::User, name));
    let organisation = key.organisation.as_deref().map(|name| (HolderKind::Organisation, name));
    let tags = key.tags.iter().map(|tag| (HolderKind::Tag, tag.as_str()));
    user.into_iter().chain(team).chain(organisation).chain(tags)
}

/// Two sorted rows as one; of the same name the first.
fn merged<'a, T: 'a>(
    first: impl Iterator<Item = &'a T>,
    second: impl Iterator<Item = &'a T>,
    name: impl Fn(&T) -> &str,
) -> impl Iterator<Item = &'a T> {
    let (mut first, mut second) = (first.peekable(), second.peekable());
    std::iter::from_fn(move || {
        let order = match (first.peek(), second.peek()) {
            (Some(one), Some(other)) => name(one).cmp(name(other)),
            (Some(_), None) => Ordering::Less,
            (None, _) => Ordering::Greater,
        };
        match order {
            Ordering::Less => first.next(),
            Ordering::Greater => second.next(),
            Ordering::Equal => {
                second.next();
                first.next()
            }
        }
    })
}

impl Layer {
    fn put_key(&mut self, key: Arc<Key>) {
        self.remove_key(&key.name);
        if key.retiring.is_some() {
            self.digests.insert(ByDigest { key: Arc::clone(&key), which: Which::Retiring });
        }
        self.digests.insert(ByDigest { key: Arc::clone(&key), which: Which::Current });
        self.keys.insert(ByName(key));
    }

    fn remove_key(&mut self, name: &str) -> bool {
        let Some(ByName(key)) = self.keys.take(name) else { return false };
        self.digests.remove(&key.sha256);
        if let Some(retiring) = &key.retiring {
            self.digests.remove(&retiring.sha256);
        }
        true
    }

    fn put_holder(&mut self, holder: Arc<Holder>) {
        self.holders_mut(holder.kind).insert(holder.name.clone(), holder);
    }

    fn holders(&self, kind: HolderKind) -> &Holders {
        match kind {
            HolderKind::Organisation => &self.organisations,
            HolderKind::Team => &self.teams,
            HolderKind::User => &self.users,
            HolderKind::Tag => &self.tags,
        }
    }

    fn holders_mut(&mut self, kind: HolderKind) -> &mut Holders {
        match kind {
            HolderKind::Organisation => &mut self.organisations,
            HolderKind::Team => &mut self.teams,
            HolderKind::User => &mut self.users,
            HolderKind::Tag => &mut self.tags,
        }
    }

    fn holder(&self, kind: HolderKind, name: &str) -> Option<&Arc<Holder>> {
        self.holders(kind).get(name)
    }

    fn holders_after(&self, kind: HolderKind, name: &str) -> impl Iterator<Item = &Arc<Holder>> {
        let after = (Bound::Excluded(name), Bound::Unbounded);
        self.holders(kind).range::<str, _>(after).map(|(_, holder)| holder)
    }

    fn books(&self) -> impl Iterator<Item = &str> {
        self.organisations.keys().map(String::as_str)
    }
}

/// A key, found by its name.
#[derive(Clone, Debug)]
struct ByName(Arc<Key>);

impl Borrow<str> for ByName {
    fn borrow(&self) -> &str {
        &self.0.name
    }
}

impl PartialEq for ByName {
    fn eq(&self, other: &Self) -> bool {
        self.0.name == other.0.name
    }
}

impl Eq for ByName {}

impl Ord for ByName {
    fn cmp(&self, other: &Self) -> Ordering {
        self.0.name.cmp(&other.0.name)
    }
}

impl PartialOrd for ByName {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

/// A key, found by one of its digests.
#[derive(Clone, Debug)]
struct ByDigest {
    key: Arc<Key>,
    which: Which,
}

/// One of a key's digests.
#[derive(Clone, Copy, Debug)]
enum Which {
    Current,
    Retiring,
}

impl Borrow<[u8; 32]> for ByDigest {
    fn borrow(&self) -> &[u8; 32] {
        match (self.which, &self.key.retiring) {
            (Which::Retiring, Some(retiring)) => &retiring.sha256,
            (Which::Retiring, None) | (Which::Current, _) => &self.key.sha256,
        }
    }
}

impl PartialEq for ByDigest {
    fn eq(&self, other: &Self) -> bool {
        Borrow::<[u8; 32]>::borrow(self) == Borrow::<[u8; 32]>::borrow(other)
    }
}

impl Eq for ByDigest {}

impl Hash for ByDigest {
    fn hash<H: Hasher>(&self, state: &mut H) {
        Borrow::<[u8; 32]>::borrow(self).hash(state);
    }
}
