//! Where keys come from that change.

use super::Compiler;
use crate::config::fault::{closest, show};
use crate::config::file;
use crate::secret::Secret;
use crate::source::{From, KINDS, Kind, Source};
use crate::vendor::{Auth, Vendor};
use std::sync::Arc;

impl Compiler<'_> {
    /// A source as a config names it. What is wrong with it is reported.
    pub(super) fn source(
        &mut self,
        raw: file::KeySource,
        vendor: Option<&Vendor>,
        region: Option<&str>,
    ) -> Option<Arc<Source>> {
        let file::KeySource { from, given } = raw;
        let Some(kind) = KINDS.iter().find(|kind| kind.word == from.value) else {
            let words = || KINDS.iter().map(|kind| kind.word);
            let fix = closest(&from.value, words()).map_or_else(
                || format!("one of {}", words().collect::<Vec<_>>().join(", ")),
                |word| format!("did you mean `{word}`?"),
            );
            self.errors.push(&from.place, format!("keys come from no {}", show(&from.value)), fix);
            return None;
        };
        let Kind { word, from: kind_of, needs, takes } = kind;
        if let Some(vendor) = vendor.filter(|vendor| (vendor.auth == Auth::Aws) != kind.is_aws()) {
            let message = format!("{} takes no key from `{word}`", vendor.title);
            self.errors.push(&from.place, message, "see the sources of keys in the reference");
            return None;
        }
        let mut found: Vec<(&'static str, Secret)> = Vec::with_capacity(given.len());
        for (name, value) in given {
            if !needs.contains(&name) && !takes.contains(&name) {
                let message = format!("keys from `{word}` have no `{name}`");
                self.errors.push(&value.place, message, "remove it");
            } else if let Some(value) = self.found(&value) {
                found.push((name, value));
            }
        }
        let missing = needs.iter().find(|name| !found.iter().any(|(known, _)| known == *name));
        if let Some(name) = missing {
            let message = format!("`{name}` is missing: keys from `{word}` need it");
            self.errors.push(&from.place, message, format!("add `{name} = \"env:NAME\"`"));
            return None;
        }
        Some(Arc::new(Source { from: *kind_of, given: found, region: region.unwrap_or_default().to_owned() }))
    }
}

/// The source of a vendor whose keys are always lent, where a config names none.
pub(super) fn usual(vendor: &Vendor) -> Option<Arc<Source>> {
    let source = || Source { from: From::Google, given: Vec::new(), region: String::new() };
    (vendor.name == "vertex").then(|| Arc::new(source()))
}
