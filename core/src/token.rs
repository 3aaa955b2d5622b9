//! Short-lived signed keys: JWTs that allow less than the key they come from.
//!
//! ```text
//!   header.body.signature ─▶ whose? ─▶ alg fits that signer's key? ─▶ signature ─▶ claims ─▶ Token
//!         8 KiB at most      (iss)      none, RS256, …: refused
//! ```
//! Nothing is looked up to check one but its parent, which must exist and be usable: what a token
//! allows is what both allow. The gateway's own tokens are signed with HS256 or EdDSA; issuers of the
//! config sign theirs with keys of a JWKS document, which the host fetches. Nothing about a token is
//! remembered, so there is no cache that could take one for another.

mod claims; // what a token says
mod jwk; // keys of other issuers
mod sign; // signatures
#[cfg(test)]
mod tests;

pub use claims::{Unfit, is_token, verify};
pub use jwk::Jwks;
pub(crate) use sign::bound;
pub use sign::{Claims, EdKey, HsKey, Signer, mint};

use crate::config::Pattern;
use crate::ledger::Scope;
use crate::units::{Millis, Time};
use std::sync::Arc;

/// The `iss` of the gateway's own tokens.
pub const ISSUER: &str = "tollgate";

/// Bytes of a token; no longer one is looked at.
pub const MAX_TOKEN: usize = 8 * 1024;

/// What a verified token allows. It is never more than its parent does.
#[derive(Clone, Debug, PartialEq)]
pub struct Token {
    /// Names it; its scope is `token:<id>`.
    pub id: String,
    /// The name of the key it comes from.
    pub parent: String,
    /// Tells whether the parent is still the key that the token was made with; absent in tokens of
    /// other issuers.
    pub bound: Option<String>,
    /// What it may call, of what its parent may. Empty: all of that.
    pub models: Vec<Pattern>,
    /// Its own limits.
    pub scope: Arc<Scope>,
    /// The first moment at which it is refused.
    pub expires: Time,
    /// The end user it was made for.
    pub end_user: Option<String>,
}

impl Token {
    /// Whether it lets its holder ask for this name, if its parent does.
    pub fn allows(&self, name: &str) -> bool {
        self.models.is_empty() || self.models.iter().any(|pattern| pattern.matches(name))
    }
}

/// How tokens are signed and checked.
#[derive(Clone, Debug, PartialEq)]
pub struct Tokens {
    /// Signs and checks with HS256.
    pub hs256: Option<HsKey>,
    /// Signs and checks with EdDSA; preferred where there are both.
    pub ed25519: Option<EdKey>,
    /// The `aud` of the gateway's own tokens.
    pub audience: String,
    /// How long a token may be valid from now on.
    pub longest: Millis,
    /// Who else may sign tokens.
    pub issuers: Vec<Issuer>,
}

impl Default for Tokens {
    fn default() -> Self {
        let longest = Millis::from_secs(24 * 60 * 60);
        Self { hs256: None, ed25519: None, audience: ISSUER.to_owned(), longest, issuers: Vec::new() }
    }
}

impl Tokens {
    /// Whether there is any token that could be taken.
    pub fn any(&self) -> bool {
        self.hs256.is_some() || self.ed25519.is_some() || !self.issuers.is_empty()
    }

    /// The issuer of this name.
    pub fn issuer(&self, name: &str) -> Option<&Issuer> {
        self.issuers.iter().find(|issuer| issuer.issuer == name)
    }

    /// What signs new tokens; absent where there is neither a key nor a secret for it.
    pub fn signer(&self) -> Option<Signer<'_>> {
        Signer::of(self)
    }
}

/// Someone else who signs tokens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Issuer {
    /// The `iss` of its tokens.
    pub issuer: String,
    /// The `aud` they must name.
    pub audience: String,
    /// Where its keys are; the host fetches them.
    pub jwks: JwksSource,
    /// The key its tokens come from.
    pub parent: Parent,
}

/// Where an issuer's keys are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum JwksSource {
    /// An address.
    Url(String),
    /// A path.
    File(String),
}

/// The virtual key that an issuer's tokens come from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Parent {
    /// The same for all.
    Key(String),
    /// Named by the token in this claim.
    Claim(String),
}
