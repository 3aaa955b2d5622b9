//! Signatures, and the making of tokens.

use super::{ISSUER, Tokens};
use crate::config::Pattern;
use crate::directory::Key;
use crate::price;
use crate::secret::Secret;
use crate::units::{Millis, NanoDollars, Requests, Time, Tokens as TokenCount};
use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use ed25519_dalek::{Signer as _, SigningKey};
use hmac::{Hmac, Mac};
use serde_json::{Map, Number, Value};
use sha2::{Digest, Sha256};
use std::fmt;

/// What tells keys that come from the admin key from everything else that might.
const DERIVED: &[u8] = b"tollgate token v1";

/// Fewer could be guessed.
pub(crate) const MIN_SECRET: usize = 32;

/// A secret for HS256.
#[derive(Clone, PartialEq, Eq)]
pub struct HsKey(Box<[u8]>);

impl HsKey {
    /// Takes a secret; `None` if it is shorter than 32 bytes.
    pub fn new(secret: &[u8]) -> Option<Self> {
        (secret.len() >= MIN_SECRET).then(|| Self(secret.into()))
    }

    /// The secret of a gateway that has an admin key and no secret for tokens.
    pub fn derived(admin_key: &Secret) -> Self {
        Self(authenticated(admin_key.expose().as_bytes(), DERIVED).finalize().into_bytes().as_slice().into())
    }

    /// Whether the signature is that of the text. Compares in constant time.
    pub(super) fn verifies(&self, text: &[u8], signature: &[u8]) -> bool {
        authenticated(&self.0, text).verify_slice(signature).is_ok()
    }

    pub(super) fn sign(&self, text: &[u8]) -> Vec<u8> {
        authenticated(&self.0, text).finalize().into_bytes().to_vec()
    }
}

impl fmt::Debug for HsKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("HsKey")
    }
}

fn authenticated(key: &[u8], text: &[u8]) -> Hmac<Sha256> {
    // Keys longer than a block are hashed first, shorter ones padded, as the algorithm has it.
    let mut block = [0_u8; 64];
    let hashed: [u8; 32];
    let key = if key.len() > block.len() {
        hashed = Sha256::digest(key).into();
        &hashed[..]
    } else {
        key
    };
    block.iter_mut().zip(key).for_each(|(to, from)| *to = *from);
    let mut mac = <Hmac<Sha256> as hmac::digest::KeyInit>::new(&block.into());
    mac.update(text);
    mac
}

/// A private key for EdDSA.
#[derive(Clone, PartialEq, Eq)]
pub struct EdKey(SigningKey);

impl EdKey {
    /// Reads a private key: PKCS#8 in PEM, or the 32 bytes of the seed in base64. An `Err` says what
    /// is wrong, without any of it.
    pub fn parse(text: &str) -> Result<Self, String> {
        let text = text.trim();
        let bytes = |text: &str| {
            let text: String = text.chars().filter(|letter| !letter.is_ascii_whitespace()).collect();
            STANDARD.decode(&text).or_else(|_| URL_SAFE_NO_PAD.decode(text.trim_end_matches('=')))
        };
        let seed = match text.strip_prefix("-----BEGIN PRIVATE KEY-----") {
            Some(rest) => {
                let body = rest.split("-----END").next().unwrap_or_default();
                let der = bytes(body).map_err(|_| "the PEM text is broken".to_owned())?;
                seed_of(&der).ok_or_else(|| "not the PKCS#8 form of an Ed25519 key".to_owned())?
            }
            None => {
                let seed = bytes(text).map_err(|_| "neither PEM nor base64".to_owned())?;
                <[u8; 32]>::try_from(seed).map_err(|seed| format!("{} bytes, not 32", seed.len()))?
            }
        };
        Ok(Self(SigningKey::from_bytes(&seed)))
    }

    pub(super) fn verifies(&self, text: &[u8], signature: &[u8]) -> bool {
        ed25519_dalek::Signature::from_slice(signature)
            .is_ok_and(|signature| self.0.verifying_key().verify_strict(text, &signature).is_ok())
    }

    pub(super) fn sign(&self, text: &[u8]) -> Vec<u8> {
        self.0.sign(text).to_bytes().to_vec()
    }
}

impl fmt::Debug for EdKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("EdKey")
    }
}

/// The seed in `OneAsymmetricKey` of RFC 8410: version 0 or 1, the algorithm 1.3.101.112, the seed as
/// an octet string within an octet string; what follows in version 1 is the public key.
fn seed_of(der: &[u8]) -> Option<[u8; 32]> {
    let inner = der.get(2..)?;
    let rest = inner.strip_prefix(&[0x02, 0x01, 0x00]).or_else(|| inner.strip_prefix(&[0x02, 0x01, 0x01]))?;
    let rest = rest.strip_prefix(&[0x30, 0x05, 0x06, 0x03, 0x2B, 0x65, 0x70])?;
    let seed = rest.strip_prefix(&[0x04, 0x22, 0x04, 0x20])?.get(..32)?;
    let framed =
        der.first() == Some(&0x30) && der.get(1).map(|length| usize::from(*length)) == Some(inner.len());
    if framed { seed.try_into().ok() } else { None }
}

/// What a new token is to allow.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Claims {
    /// From now on; at most what the config allows, and what its parent has left.
    pub lifetime: Millis,
    /// What it may call, of what its parent may. Empty: all of that.
    pub models: Vec<Pattern>,
    /// Requests in all.
    pub max_requests: Option<Requests>,
    /// Tokens in all.
    pub max_tokens: Option<TokenCount>,
    /// Money in all.
    pub max_usd: Option<NanoDollars>,
    /// The end user it is for.
    pub user: Option<String>,
}

/// What signs new tokens.
#[derive(Clone, Copy, Debug)]
pub struct Signer<'t> {
    tokens: &'t Tokens,
    with: With<'t>,
}

#[derive(Clone, Copy, Debug)]
enum With<'t> {
    Hs256(&'t HsKey),
    EdDsa(&'t EdKey),
}

impl<'t> Signer<'t> {
    pub(super) fn of(tokens: &'t Tokens) -> Option<Self> {
        let ed = tokens.ed25519.as_ref().map(With::EdDsa);
        let with = ed.or_else(|| tokens.hs256.as_ref().map(With::Hs256))?;
        Some(Self { tokens, with })
    }
}

/// Makes a token of a key. `id` is random and names it; two with the same id share their limits.
/// Claims that go beyond the parent do no harm: both are asked.
pub fn mint(parent: &Key, claims: &Claims, signer: &Signer<'_>, now: Time, id: u128) -> String {
    let (alg, with) = match signer.with {
        With::Hs256(_) => ("HS256", signer.with),
        With::EdDsa(_) => ("EdDSA", signer.with),
    };
    let header = format!(r#"{{"alg":"{alg}","typ":"JWT"}}"#);
    let body = Value::Object(body(parent, claims, signer.tokens, now, id)).to_string();
    let mut token = format!("{}.{}", URL_SAFE_NO_PAD.encode(header), URL_SAFE_NO_PAD.encode(body));
    let signature = match with {
        With::Hs256(key) => key.sign(token.as_bytes()),
        With::EdDsa(key) => key.sign(token.as_bytes()),
    };
    token.push('.');
    token.push_str(&URL_SAFE_NO_PAD.encode(signature));
    token
}

fn body(parent: &Key, claims: &Claims, tokens: &Tokens, now: Time, id: u128) -> Map<String, Value> {
    let Claims { lifetime, models, max_requests, max_tokens, max_usd, user } = claims;
    let longest = now + (*lifetime).min(tokens.longest);
    let expires = parent.expires.map_or(longest, |expires| expires.min(longest));
    let mut body = Map::new();
    let mut put = |name: &str, value: Value| {
        body.insert(name.to_owned(), value);
    };
    put("iss", ISSUER.into());
    put("aud", tokens.audience.as_str().into());
    put("sub", parent.name.as_str().into());
    put("key", bound(&parent.sha256).into());
    put("jti", format!("{id:032x}").into());
    put("iat", now.unix_secs().into());
    put("exp", expires.unix_secs().into());
    if !models.is_empty() {
        put("models", models.iter().map(|pattern| Value::from(pattern.to_string())).collect());
    }
    max_requests.iter().for_each(|most| put("max_requests", most.get().into()));
    max_tokens.iter().for_each(|most| put("max_tokens", most.get().into()));
    let usd = max_usd.and_then(|amount| price::plain(amount).parse::<Number>().ok());
    usd.into_iter().for_each(|amount| put("max_usd", Value::Number(amount)));
    user.iter().for_each(|user| put("user", user.as_str().into()));
    body
}

/// Tells one key from the next one of its name, and nothing of it.
pub(crate) fn bound(sha256: &[u8; 32]) -> String {
    let digest = Sha256::new().chain_update(DERIVED).chain_update(sha256).finalize();
    URL_SAFE_NO_PAD.encode(digest.get(..12).unwrap_or_default())
}
