//! Short-lived signed keys, as it is written.

use super::{listed, required};
use crate::config::fault::Errors;
use crate::config::read::{Cell, Spot, Table};
use crate::units::Millis;

pub(super) const TOKENS: &[&str] = &["secret", "ed25519", "audience", "longest", "issuers"];
pub(super) const ISSUER: &[&str] = &["issuer", "audience", "jwks", "key", "parent_claim"];

/// `[tokens]`
pub(in crate::config) struct Tokens {
    pub(in crate::config) secret: Option<Spot<String>>,
    pub(in crate::config) ed25519: Option<Spot<String>>,
    pub(in crate::config) audience: Option<String>,
    pub(in crate::config) longest: Option<Spot<Millis>>,
    pub(in crate::config) issuers: Vec<Issuer>,
}

/// One of `tokens.issuers`
pub(in crate::config) struct Issuer {
    pub(in crate::config) issuer: Spot<String>,
    pub(in crate::config) audience: String,
    pub(in crate::config) jwks: Spot<String>,
    pub(in crate::config) parent: Parent,
}

/// Where an issuer's tokens name the key they come from.
pub(in crate::config) enum Parent {
    Key(String),
    Claim(String),
}

impl Tokens {
    pub(in crate::config) fn read(cell: &Cell<'_>, errors: &mut Errors) -> Option<Self> {
        let table = Table::read(cell, TOKENS, errors)?;
        Some(Self {
            secret: table.get("secret").and_then(|cell| cell.text(errors)),
            ed25519: table.get("ed25519").and_then(|cell| cell.text(errors)),
            audience: table.get("audience").and_then(|cell| cell.text(errors)).map(|text| text.value),
            longest: table.get("longest").and_then(|cell| cell.wait(errors)),
            issuers: listed(table.get("issuers"), Issuer::read, errors),
        })
    }
}

impl Issuer {
    fn read(cell: &Cell<'_>, errors: &mut Errors) -> Option<Self> {
        let table = Table::read(cell, ISSUER, errors)?;
        let issuer = required(&table, "issuer", "the `iss` of its tokens", errors);
        let audience = required(&table, "audience", "the `aud` its tokens must name", errors);
        let jwks = required(&table, "jwks", r#"where its keys are: "https://…" or "file:…""#, errors);
        let key = table.get("key").and_then(|cell| cell.name(errors));
        let claim = table.get("parent_claim").and_then(|cell| cell.text(errors));
        let parent = match (key, claim) {
            (Some(key), None) => Some(Parent::Key(key.value)),
            (None, Some(claim)) => Some(Parent::Claim(claim.value)),
            (Some(_), Some(claim)) => {
                errors.push(&claim.place, "`parent_claim` stands beside `key`", "keep one of the two");
                None
            }
            (None, None) => {
                let fix =
                    "add `key`: the key its tokens come from, or `parent_claim`: the claim that names it";
                errors.push(&table.place, "`key` is missing", fix);
                None
            }
        };
        Some(Self { issuer: issuer?, audience: audience?.value, jwks: jwks?, parent: parent? })
    }
}
