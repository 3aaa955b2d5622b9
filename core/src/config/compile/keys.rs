//! Organisations, teams, users, tags and keys: names looked up, patterns read.
//!
//! The same steps read one key or holder alone, as the admin API and the store have them: see
//! [`alone`].

pub(in crate::config) mod alone; // one at a time

use super::Compiler;
use super::cache::caching;
use crate::api::routes::ROUTES;
use crate::cache;
use crate::config::fault::{Errors, Place, closest, show};
use crate::config::file::keys::{Bounds, What};
use crate::config::file::{self, Material};
use crate::config::read::Spot;
use crate::config::{Pattern, Route};
use crate::directory::{
    Directory, Holder, HolderKind, Key, Remarks, Retiring, Within, shares_books, wrong_name,
};
use crate::keyring;
use crate::ledger::Scope;
use crate::limit::Limits;
use crate::mount::PLACES;
use crate::sort::{Map, Set};
use crate::through;
use crate::units::Millis;
use std::sync::Arc;

/// Bytes of a pattern.
const MAX_PATTERN: usize = 256;

/// What names are looked up in.
pub(in crate::config) struct Known<'a> {
    pub(in crate::config) providers: Vec<&'a str>,
    pub(in crate::config) routes: &'a Map<String, Arc<Route>>,
    pub(in crate::config) directory: &'a Directory,
    pub(in crate::config) names: Names,
    pub(in crate::config) cache: cache::Bounds,
}

/// Whether names must lead somewhere.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::config) enum Names {
    /// They must.
    Checked,
    /// They did when they were written, and may not any more.
    Trusted,
}

impl Compiler<'_> {
    pub(super) fn holders(&mut self, raw: Vec<file::Holder>, known: &Known<'_>) -> Vec<Arc<Holder>> {
        let (organisations, others): (Vec<_>, Vec<_>) =
            raw.into_iter().partition(|holder| holder.kind == HolderKind::Organisation);
        let mut names = Set::new();
        let mut holders: Vec<Arc<Holder>> = Vec::new();
        for part in [organisations, others] {
            let directory = Directory::of_holders(&holders);
            let known = known.among(&directory);
            for raw in part {
                if !names.insert((raw.kind, raw.name.value.clone())) {
                    self.twice(&raw.name.place, raw.kind.name(), &raw.name.value);
                }
                holders.push(Arc::new(known.holder(raw, &mut self.errors)));
            }
        }
        holders
    }

    pub(super) fn keys(&mut self, raw: Vec<file::Key>, known: &Known<'_>) -> Vec<Arc<Key>> {
        let mut names = Set::new();
        let mut digests = Map::new();
        let mut keys = Vec::with_capacity(raw.len());
        for raw in raw {
            if !names.insert(raw.name.value.clone()) {
                self.twice(&raw.name.place, "key", &raw.name.value);
            }
            let sha256 = self.digest(&raw.material);
            let previous = raw.previous.as_ref().map(|previous| &previous.sha256);
            let own = sha256.map(|digest| (digest, raw.material.place()));
            for (digest, place) in own.into_iter().chain(previous.map(|spot| (spot.value, &spot.place))) {
                if let Some(earlier) = digests.insert(digest, raw.name.value.clone()) {
                    let message = format!("the same key as {}", show(&earlier));
                    self.errors.push(place, message, "give each its own key");
                }
            }
            let key = known.key(raw, sha256.unwrap_or_default(), &mut self.errors);
            keys.extend(sha256.map(|_| Arc::new(key)));
        }
        keys
    }

    fn digest(&mut self, material: &Material) -> Option<[u8; 32]> {
        match material {
            Material::Value(value) => {
                self.secret(value).map(|secret| keyring::digest(secret.expose().as_bytes()))
            }
            Material::Digest(digest) => Some(digest.value),
        }
    }
}

impl<'a> Known<'a> {
    /// The same among others.
    pub(super) fn among(&self, directory: &'a Directory) -> Self {
        Self { providers: self.providers.clone(), directory, ..*self }
    }

    /// A key that was stored under other bounds stays a key; what is beyond them is cut when it is used.
    fn bounds_of_cache(&self) -> cache::Bounds {
        match self.names {
            Names::Checked => self.cache,
            Names::Trusted => cache::Bounds { max_ttl: Millis(u64::MAX), ..self.cache },
        }
    }

    fn holder(&self, raw: file::Holder, errors: &mut Errors) -> Holder {
        self.known_models(&raw.models, errors);
        let file::Holder { kind, name, organisation, models, bounds, blocked, created, remarks } = raw;
        if let Some(organisation) = &organisation {
            self.find(HolderKind::Organisation, organisation, errors);
        }
        let holder = Holder::new(kind, name.value);
        let Limited { scope, within, each_end_user } = self.limited(&holder.scope.name, bounds, errors);
        Holder {
            organisation: organisation.map(|organisation| organisation.value),
            models: patterns(models, errors),
            scope,
            within,
            each_end_user,
            blocked,
            created,
            remarks: remarks.map(Box::<Remarks>::from),
            ..holder
        }
    }

    fn key(&self, raw: file::Key, sha256: [u8; 32], errors: &mut Errors) -> Key {
        self.known_models(&raw.models, errors);
        self.known_paths(&raw.routes, errors);
        let organisation = self.organisation(&raw, errors);
        let file::Key {
            name,
            material,
            previous,
            organisation: _,
            team,
            user,
            tags,
            client_tags,
            models,
            routes,
            ips,
            role,
            bounds,
            cache,
            expires,
            blocked,
            created,
            remarks,
        } = raw;
        let retiring = previous.map(|previous| {
            if previous.sha256.value == sha256 {
                let message = "the key was the same before";
                errors.push(&previous.sha256.place, message, "remove `previous`, or correct the digest");
            }
            Retiring { sha256: previous.sha256.value, until: previous.until }
        });
        let _: Material = material;
        let key = Key::new(name.value, sha256);
        let Limited { scope, within, each_end_user } = self.limited(&key.scope.name, bounds, errors);
        Key {
            retiring,
            team: team.map(|team| team.value),
            user: user.map(|user| user.value),
            organisation,
            tags: tags.into_iter().map(|tag| tag.value).collect(),
            client_tags: patterns(client_tags, errors),
            models: patterns(models, errors),
            routes: patterns(routes, errors),
            ips,
            role,
            scope,
            within,
            each_end_user,
            cache: cache.map(|raw| caching(raw, &self.bounds_of_cache(), errors)),
            expires,
            blocked,
            created,
            remarks: remarks.map(Box::<Remarks>::from),
            ..key
        }
    }

    /// The organisation of a key: its own, else its team's, else its user's. All of them, and that of
    /// its tags, must be the same one, or their limits would have to be kept in two books.
    fn organisation(&self, raw: &file::Key, errors: &mut Errors) -> Option<String> {
        let file::Key { organisation, team, user, tags, .. } = raw;
        let own = organisation.as_ref().map(|name| {
            self.find(HolderKind::Organisation, name, errors);
            name.value.clone()
        });
        let team = team.iter().map(|name| (HolderKind::Team, name));
        let user = user.iter().map(|name| (HolderKind::User, name));
        let tags = tags.iter().map(|name| (HolderKind::Tag, name));
        let mut found = Vec::new();
        for (kind, name) in team.chain(user).chain(tags) {
            if let Some(wrong) = wrong_name(&name.value) {
                errors.push(&name.place, wrong, "name one that exists");
                continue;
            }
            found.extend(self.find(kind, name, errors).map(|holder| (holder, &name.place)));
        }
        let inherited = found
            .iter()
            .filter(|(holder, _)| holder.kind != HolderKind::Tag)
            .find_map(|(holder, _)| holder.organisation.clone());
        let organisation = own.or(inherited);
        for (holder, place) in found {
            if !shares_books(&holder, organisation.as_deref()) {
                other_organisation(&holder, organisation.as_deref(), place, errors);
            }
        }
        organisation
    }

    /// The holder of this name. Reports one that does not exist.
    fn find(&self, kind: HolderKind, name: &Spot<String>, errors: &mut Errors) -> Option<Arc<Holder>> {
        let found = self.directory.holder(kind, &name.value).cloned();
        if found.is_none() && self.names == Names::Checked {
            let others = self.directory.holders_from(kind, "").map(|holder| holder.name.as_str());
            let fix = match closest(&name.value, others) {
                Some(near) => format!("did you mean `{near}`?"),
                None => format!("add it under [[{}]]", file::keys::table_of(kind)),
            };
            let message = format!("there is no {} {}", kind.name(), show(&name.value));
            errors.push(&name.place, message, fix);
        }
        found
    }

    fn limited(&self, scope: &str, bounds: Bounds, errors: &mut Errors) -> Limited {
        let Bounds { limits, within, end_user } = bounds;
        let mut seen = Set::new();
        let mut inner = Vec::with_capacity(within.len());
        for file::keys::Within { what, limits } in within {
            let (what, place) = match what {
                What::Model(name) => {
                    self.known_models(std::slice::from_ref(&name), errors);
                    let place = name.place.clone();
                    let pattern = patterns(vec![name], errors).pop();
                    (pattern.map(crate::directory::What::Model), place)
                }
                What::Provider(name) => {
                    self.known_provider(&name, errors);
                    (Some(crate::directory::What::Provider(name.value)), name.place)
                }
            };
            let Some(what) = what else { continue };
            let name = format!("{scope}/{}", what.suffix());
            if !seen.insert(name.clone()) {
                errors.push(&place, "limits for this are there twice", "make one entry of both");
                continue;
            }
            inner.push(Within { what, scope: Arc::new(Scope::new(name, limits)) });
        }
        inner.shrink_to_fit();
        let scope = Arc::new(Scope::new(scope, limits));
        Limited { scope, within: inner, each_end_user: end_user }
    }

    fn known_provider(&self, name: &Spot<String>, errors: &mut Errors) {
        if self.names == Names::Trusted || self.providers.contains(&name.value.as_str()) {
            return;
        }
        let fix = match closest(&name.value, self.providers.iter().copied()) {
            Some(near) => format!("did you mean `{near}`?"),
            None => "name a provider of the config".to_owned(),
        };
        errors.push(&name.place, format!("there is no provider {}", show(&name.value)), fix);
    }

    /// Reports patterns of a provider that does not exist; bare names may be anything the catalogue
    /// learns later.
    pub(super) fn known_models(&self, models: &[Spot<String>], errors: &mut Errors) {
        if self.names == Names::Trusted {
            return;
        }
        for Spot { value, place } in models {
            let Some((provider, model)) = value.split_once('/') else { continue };
            let fits = Pattern::parse(value)
                .is_none_or(|pattern| self.routes.keys().any(|route| pattern.matches(route)));
            if fits || provider.contains('*') || self.providers.contains(&provider) {
                continue;
            }
            let fix = match closest(provider, self.providers.iter().copied()) {
                Some(near) => format!("did you mean `{near}/{model}`?"),
                None => "name a provider or a route of this config".to_owned(),
            };
            errors.push(place, format!("there is no provider {}", show(provider)), fix);
        }
    }

    /// Reports paths at which nothing is served, since they would allow nothing.
    fn known_paths(&self, paths: &[Spot<String>], errors: &mut Errors) {
        if self.names == Names::Trusted {
            return;
        }
        for Spot { value, place } in paths {
            let serves = |pattern: Pattern| {
                PLACES.iter().any(|served| pattern.matches(served.path))
                    || ROUTES.iter().any(|served| pattern.matches(served.path))
            };
            let passes = || through::may_lead(value, self.providers.iter());
            if Pattern::parse(value).is_none_or(serves) || passes() {
                continue;
            }
            let fix = match closest(value, PLACES.iter().map(|served| served.path)) {
                Some(near) => format!("did you mean `{near}`?"),
                None => r#"write a path such as "/v1/chat/completions" or "/v1/*""#.to_owned(),
            };
            errors.push(place, format!("nothing is served at {}", show(value)), fix);
        }
    }
}

/// What becomes of [`Bounds`].
struct Limited {
    scope: Arc<Scope>,
    within: Vec<Within>,
    each_end_user: Option<Limits>,
}

fn other_organisation(holder: &Holder, of_key: Option<&str>, place: &Place, errors: &mut Errors) {
    let named = |organisation: Option<&str>| match organisation {
        Some(name) => format!("of organisation {}", show(name)),
        None => "of no organisation".to_owned(),
    };
    let (kind, name) = (holder.kind.name(), show(&holder.name));
    let own = named(holder.organisation.as_deref());
    let message = format!("the {kind} {name} is {own}, and the key is {}", named(of_key));
    errors.push(place, message, "name those of one organisation");
}

/// Reads patterns. What is none is reported and left out.
pub(super) fn patterns(raw: Vec<Spot<String>>, errors: &mut Errors) -> Vec<Pattern> {
    let read = |Spot { value, place }: Spot<String>| {
        if value.len() > MAX_PATTERN || value.chars().any(|c| c.is_control() || "{}".contains(c)) {
            errors.push(&place, "not a name", format!("use up to {MAX_PATTERN} bytes of plain text"));
            return None;
        }
        let pattern = Pattern::parse(&value);
        if pattern.is_none() {
            errors.push(&place, "a star stands before the end", "move it to the end");
        }
        pattern
    };
    let mut patterns: Vec<Pattern> = raw.into_iter().filter_map(read).collect();
    // A hundred thousand keys hold some each.
    patterns.shrink_to_fit();
    patterns
}
