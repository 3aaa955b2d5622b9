//! Virtual keys and teams.

use super::Compiler;
use super::providers::Named;
use crate::config::fault::{closest, show};
use crate::config::file::{self, Material};
use crate::config::read::Spot;
use crate::config::{Pattern, Route};
use crate::directory::{Holder, HolderKind, Key};
use crate::keyring;
use crate::ledger::Scope;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

impl Compiler<'_> {
    pub(super) fn teams(&mut self, raw: Vec<file::Team>) -> Vec<Arc<Holder>> {
        let mut names = BTreeSet::new();
        let mut teams = Vec::with_capacity(raw.len());
        for file::Team { name, limits } in raw {
            if !names.insert(name.value.clone()) {
                self.twice(&name.place, "team", &name.value);
            }
            teams.push(Arc::new(Holder {
                kind: HolderKind::Team,
                organisation: None,
                scope: Arc::new(Scope { name: format!("team:{}", name.value), limits }),
                name: name.value,
                within: Vec::new(),
                each_end_user: None,
                blocked: false,
            }));
        }
        teams
    }

    pub(super) fn keys(
        &mut self,
        raw: Vec<file::Key>,
        teams: &[Arc<Holder>],
        routes: &BTreeMap<String, Arc<Route>>,
        named: &Named,
    ) -> Vec<Arc<Key>> {
        let mut names = BTreeSet::new();
        let mut digests = BTreeMap::new();
        let mut keys = Vec::with_capacity(raw.len());
        for file::Key { name, material, team, models, limits, expires, blocked } in raw {
            if !names.insert(name.value.clone()) {
                self.twice(&name.place, "key", &name.value);
            }
            self.known_models(&models, routes, named);
            let models = self.patterns(models);
            let team = team.map(|team| self.team(team, teams));
            let Some(sha256) = self.digest(&material) else { continue };
            if let Some(earlier) = digests.insert(sha256, name.value.clone()) {
                let message = format!("the same key as {}", show(&earlier));
                self.errors.push(material.place(), message, "give each its own key");
            }
            let scope = Arc::new(Scope { name: format!("key:{}", name.value), limits });
            let key = Key::new(name.value, sha256);
            keys.push(Arc::new(Key { scope, team, models, expires, blocked, ..key }));
        }
        keys
    }

    fn team(&mut self, team: Spot<String>, teams: &[Arc<Holder>]) -> String {
        if !teams.iter().any(|known| known.name == team.value) {
            let fix = match closest(&team.value, teams.iter().map(|team| team.name.as_str())) {
                Some(near) => format!("did you mean `{near}`?"),
                None => "add it under [[teams]]".to_owned(),
            };
            self.errors.push(&team.place, format!("there is no team {}", show(&team.value)), fix);
        }
        team.value
    }

    fn digest(&mut self, material: &Material) -> Option<[u8; 32]> {
        match material {
            Material::Value(value) => {
                self.secret(value).map(|secret| keyring::digest(secret.expose().as_bytes()))
            }
            Material::Digest(hex) => {
                let digest = from_hex(&hex.value);
                if digest.is_none() {
                    let fix = "write the key's SHA-256 as 64 hexadecimal digits";
                    self.errors.push(&hex.place, "not a SHA-256", fix);
                }
                digest
            }
        }
    }

    /// Reports patterns of a provider that does not exist; bare names may be anything the catalogue
    /// learns later.
    fn known_models(
        &mut self,
        models: &[Spot<String>],
        routes: &BTreeMap<String, Arc<Route>>,
        named: &Named,
    ) {
        for Spot { value, place } in models {
            let Some((provider, model)) = value.split_once('/') else { continue };
            let fits =
                Pattern::parse(value).is_none_or(|pattern| routes.keys().any(|route| pattern.matches(route)));
            if fits || provider.contains('*') || named.declared.contains(provider) {
                continue;
            }
            let fix = match closest(provider, named.declared.iter().map(String::as_str)) {
                Some(near) => format!("did you mean `{near}/{model}`?"),
                None => "name a provider or a route of this config".to_owned(),
            };
            self.errors.push(place, format!("there is no provider {}", show(provider)), fix);
        }
    }
}

impl Material {
    fn place(&self) -> &crate::config::fault::Place {
        match self {
            Self::Value(spot) | Self::Digest(spot) => &spot.place,
        }
    }
}

fn from_hex(text: &str) -> Option<[u8; 32]> {
    let text = text.as_bytes();
    let mut bytes = [0_u8; 32];
    if text.len() != 64 {
        return None;
    }
    for (byte, pair) in bytes.iter_mut().zip(text.chunks_exact(2)) {
        let mut digits = pair.iter().map(|digit| char::from(*digit).to_digit(16));
        let (high, low) = (digits.next()??, digits.next()??);
        *byte = u8::try_from(high * 16 + low).ok()?;
    }
    Some(bytes)
}
