//! Keys of other issuers: JWKS documents.

use super::HsKey;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ed25519_dalek::VerifyingKey;
use serde::Deserialize;
use std::fmt;

/// Bytes of a document.
const MAX_BYTES: usize = 256 * 1024;

/// Keys of a document.
const MAX_KEYS: usize = 256;

/// The keys of an issuer.
#[derive(Clone, Debug, PartialEq)]
pub struct Jwks {
    keys: Vec<Jwk>,
}

/// One key.
#[derive(Clone, PartialEq)]
struct Jwk {
    kid: Option<String>,
    key: PublicOrShared,
}

impl fmt::Debug for Jwk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Jwk").field("kid", &self.kid).finish_non_exhaustive()
    }
}

/// What signatures are checked with; which of the two decides the algorithm.
#[derive(Clone, PartialEq)]
pub(super) enum PublicOrShared {
    Ed25519(VerifyingKey),
    Secret(HsKey),
}

#[derive(Deserialize)]
struct Document<'a> {
    #[serde(borrow)]
    keys: Vec<&'a serde_json::value::RawValue>,
}

#[derive(Deserialize)]
struct Raw {
    kty: String,
    kid: Option<String>,
    alg: Option<String>,
    #[serde(rename = "use")]
    usage: Option<String>,
    crv: Option<String>,
    x: Option<String>,
    k: Option<String>,
}

impl Jwks {
    /// Reads a document. Keys that are not for Ed25519 or HS256 signatures are left out; an `Err` says
    /// what is wrong with it as a whole, or that nothing is left.
    pub fn parse(document: &[u8]) -> Result<Self, String> {
        if document.len() > MAX_BYTES {
            return Err(format!("the JWKS document has more than {MAX_BYTES} bytes"));
        }
        let document: Document<'_> = serde_json::from_slice(document)
            .map_err(|_| "not a JWKS document: no list of `keys`".to_owned())?;
        let keys = document.keys.into_iter().take(MAX_KEYS);
        let keys: Vec<Jwk> =
            keys.filter_map(|key| Jwk::read(serde_json::from_str(key.get()).ok()?)).collect();
        if keys.is_empty() {
            return Err("the JWKS document has no key for EdDSA (Ed25519) or HS256".to_owned());
        }
        Ok(Self { keys })
    }

    /// The key of this id; without one, the only key there is.
    pub(super) fn key(&self, kid: Option<&str>) -> Option<&PublicOrShared> {
        let found = match (kid, self.keys.as_slice()) {
            (None, [only]) => Some(only),
            (None, _) => None,
            (Some(kid), keys) => keys.iter().find(|key| key.kid.as_deref() == Some(kid)),
        };
        found.map(|found| &found.key)
    }
}

impl Jwk {
    fn read(raw: Raw) -> Option<Self> {
        let Raw { kty, kid, alg, usage, crv, x, k } = raw;
        if usage.is_some_and(|usage| usage != "sig") {
            return None;
        }
        let is_for = |names: &[&str]| alg.as_deref().is_none_or(|alg| names.contains(&alg));
        let bytes = |text: Option<String>| URL_SAFE_NO_PAD.decode(text?.trim_end_matches('=')).ok();
        let key = match (kty.as_str(), crv.as_deref()) {
            ("OKP", Some("Ed25519")) if is_for(&["EdDSA", "Ed25519"]) => {
                let point = <[u8; 32]>::try_from(bytes(x)?).ok()?;
                let key = VerifyingKey::from_bytes(&point).ok().filter(|key| !key.is_weak())?;
                PublicOrShared::Ed25519(key)
            }
            ("oct", _) if is_for(&["HS256"]) => PublicOrShared::Secret(HsKey::new(&bytes(k)?)?),
            _ => return None,
        };
        Some(Self { kid, key })
    }
}
