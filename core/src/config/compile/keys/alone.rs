//! A key or a holder alone, as JSON, in exactly the words of the config.

use super::{Known, Names};
use crate::config::fault::Errors;
use crate::config::file::keys::Home;
use crate::config::file::{self, Material};
use crate::config::read::Cell;
use crate::config::{Config, ConfigError, fault::Place, tree};
use crate::directory::{Directory, Holder, HolderKind, Key};

/// Where a spec stands: what its names are looked up in.
#[derive(Clone, Copy, Debug)]
pub struct Around<'a> {
    config: &'a Config,
    directory: Option<&'a Directory>,
}

impl<'a> Around<'a> {
    /// One that is being written: what it names must exist.
    pub const fn written(config: &'a Config, directory: &'a Directory) -> Self {
        Self { config, directory: Some(directory) }
    }

    /// One that was stored earlier: what it names may be gone.
    pub const fn stored(config: &'a Config) -> Self {
        Self { config, directory: None }
    }

    fn known<R>(&self, act: impl FnOnce(&Known<'_>) -> R) -> R {
        let nobody = Directory::default();
        let (directory, names) = match self.directory {
            Some(directory) => (directory, Names::Checked),
            None => (&nobody, Names::Trusted),
        };
        let providers = match names {
            Names::Checked => self.config.providers.iter().map(|provider| provider.name.as_str()).collect(),
            Names::Trusted => Vec::new(),
        };
        let cache = self.config.cache;
        act(&Known { providers, routes: &self.config.routes, directory, names, cache })
    }
}

/// Reads a key. It has a `sha256` and no `value`: no secret is taken here, nor asked of the host.
pub(crate) fn read_key(json: &[u8], around: &Around<'_>) -> Result<Key, Vec<ConfigError>> {
    let zone = &around.config.server.zone;
    read(json, |cell, errors| {
        let raw = file::Key::read(cell, Home::Alone, zone, errors)?;
        let Material::Digest(sha256) = &raw.material else { return None };
        let sha256 = sha256.value;
        around.known(|known| Some(known.key(raw, sha256, errors)))
    })
}

/// Reads an organisation, a team, a user or a tag.
pub(crate) fn read_holder(
    kind: HolderKind,
    json: &[u8],
    around: &Around<'_>,
) -> Result<Holder, Vec<ConfigError>> {
    let zone = &around.config.server.zone;
    read(json, |cell, errors| {
        let raw = file::Holder::read(kind, cell, zone, errors)?;
        around.known(|known| Some(known.holder(raw, errors)))
    })
}

fn read<T>(
    json: &[u8],
    read: impl FnOnce(&Cell<'_>, &mut Errors) -> Option<T>,
) -> Result<T, Vec<ConfigError>> {
    let mut errors = Errors::new();
    if json.trim_ascii_start().first() != Some(&b'{') {
        errors.push(&Place::root(), "not a JSON object", "send an object");
        return Err(errors.locate(json));
    }
    let read = tree::parse(json, &mut errors)
        .and_then(|node| read(&Cell { node: &node, place: Place::root() }, &mut errors));
    match read {
        Some(value) if errors.is_empty() => Ok(value),
        Some(_) | None => Err(errors.locate(json)),
    }
}
