//! The cache of answers: bounds that fit each other, and nobody beyond them.

use super::Compiler;
use crate::cache::{Bounds, Caching, Terms};
use crate::config::fault::Errors;
use crate::config::file;
use crate::config::read::Spot;
use crate::units::Millis;

impl Compiler<'_> {
    pub(super) fn cache(&mut self, raw: file::Cache) -> Bounds {
        let file::Cache { ttl, max_ttl, max_entry, max_size, share } = raw;
        let usual = Bounds::default();
        let longest = max_ttl.map_or(usual.max_ttl, |longest| longest.value);
        let ttl = ttl.map_or(usual.ttl.min(longest), |ttl| within(&ttl, longest, &mut self.errors));
        let size = max_size.as_ref().map_or(usual.max_size, |size| size.value);
        if let Some(entry) = max_entry.as_ref().filter(|entry| entry.value > size) {
            let message = format!("one answer of {} bytes is more than all of {size}", entry.value);
            self.errors.push(&entry.place, message, "write less here, or more for `cache.max_size`");
        }
        let max_entry = max_entry.map_or(usual.max_entry.min(size), |entry| entry.value);
        Bounds { ttl, max_ttl: longest, max_entry, max_size: size, share: share.unwrap_or_default() }
    }
}

/// What a route or a key says of it. Past its bound nothing is kept, whatever is written.
pub(super) fn caching(raw: file::Caching, bounds: &Bounds, errors: &mut Errors) -> Caching {
    match raw {
        file::Caching::Never => Caching::Never,
        file::Caching::Use { ttl, share } => {
            let ttl = ttl.map(|ttl| within(&ttl, bounds.max_ttl, errors));
            Caching::Use(Terms { ttl, share })
        }
    }
}

fn within(ttl: &Spot<Millis>, longest: Millis, errors: &mut Errors) -> Millis {
    if ttl.value > longest {
        let message = format!("longer than `cache.max_ttl`, which is {}s", longest.get() / 1000);
        errors.push(&ttl.place, message, "write less here, or more there");
    }
    ttl.value
}
