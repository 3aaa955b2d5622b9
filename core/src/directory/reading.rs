//! A stored row, read and not taken up yet. Reading is what takes long where there are many, and needs no
//! directory: a host with threads reads several at once.

use super::{Holder, Key, spec};
use crate::api::{Change, Kind};
use crate::config::{Around, Config, ConfigError};

/// A change that was read.
#[derive(Debug)]
pub struct Reading {
    pub(super) kind: Kind,
    pub(super) name: String,
    pub(super) found: Found,
}

/// What a row says.
#[derive(Debug)]
pub(super) enum Found {
    /// That there is none any more.
    Nothing,
    Holder(Box<Holder>),
    Key(Box<Key>),
    /// What cannot be understood.
    Mistakes(Vec<ConfigError>),
}

impl Reading {
    /// Reads a change.
    pub fn of(change: &Change, config: &Config) -> Self {
        let Change { kind, name, spec } = change;
        let found = match spec {
            None => Found::Nothing,
            Some(spec) => Found::of(*kind, name, spec, config).unwrap_or_else(Found::Mistakes),
        };
        Self { kind: *kind, name: name.clone(), found }
    }
}

impl Found {
    fn of(kind: Kind, name: &str, spec: &[u8], config: &Config) -> Result<Self, Vec<ConfigError>> {
        let around = Around::stored(config);
        let (named, found) = match kind {
            Kind::Holder(kind) => {
                let holder = Box::new(spec::read_holder(kind, spec, &around)?);
                (holder.name.clone(), Self::Holder(holder))
            }
            Kind::Key => {
                let key = Box::new(spec::read_key(spec, &around)?);
                (key.name.clone(), Self::Key(key))
            }
        };
        if named == name {
            return Ok(found);
        }
        Err(vec![spec::error("name", format!("the row of `{name}` names {named:?}"))])
    }
}
