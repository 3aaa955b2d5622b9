//! Who is asking: finds the virtual key or token a request presents.
//!
//! ```text
//!   headers, ?key= ─▶ each presented ─┬─▶ SHA-256 ─▶ directory ─────────────┬─▶ usable now, from here?
//!                                     └─▶ looks like a JWT ─▶ token ─▶ parent┘        │
//!                                                                      Caller ◀───────┘
//! ```
//! Nothing presented is compared with anything but by its digest or in constant time, and nothing of it
//! is shown again.

mod address; // where a request comes from
#[cfg(test)]
mod noise;
#[cfg(test)]
mod tests;

pub use address::client_address;

use crate::admit::Desk;
use crate::directory::{Caller, HolderKind, Key};
use crate::exchange::{KEY_PROTOCOL, protocols};
use crate::fault::{Code, Fault};
use crate::secret::Secret;
use crate::token::{self, Token, Unfit};
use crate::units::Time;
use http::HeaderMap;
use http::header::{AUTHORIZATION, HeaderName};
use sha2::{Digest, Sha256};
use std::borrow::Cow;
use std::sync::Arc;
use subtle::ConstantTimeEq;

/// What a virtual key is stored as.
pub fn digest(key: &[u8]) -> [u8; 32] {
    Sha256::digest(key).into()
}

/// Bytes of a key; none that is longer is known.
const MAX_KEY: usize = 16 * 1024;

/// Keys that one request may present; those after are not looked at.
const MAX_PRESENTED: usize = 8;

/// The headers that may carry a key beside `authorization`, in the order they are looked at.
const HEADERS: [HeaderName; 3] = [
    HeaderName::from_static("x-api-key"),
    HeaderName::from_static("api-key"),
    HeaderName::from_static("x-goog-api-key"),
];

/// Who is asking.
#[derive(Clone, Debug, PartialEq)]
pub enum Presented {
    /// A stranger, where strangers are served.
    Nobody,
    /// Someone who is known.
    Caller(Arc<Caller>),
    /// Someone who is not served.
    Refused(Fault),
    /// The bearer of a token whose issuer's keys are to be fetched first.
    NeedsKeys {
        /// Whose keys, as in the config.
        issuer: String,
        /// What is answered if they cannot be had or do not help.
        fault: Fault,
    },
}

/// Finds who is asking by the keys a request presents, in any of the ways clients know:
/// `Authorization: Bearer`, the access key id of a signature of AWS's, `x-api-key`, `api-key`, `x-goog-api-key`, `?key=`. A request may present
/// several (an SDK's dummy beside the real one): the first that is known counts.
///
/// Where no key is required and none is known, it is nobody: clients must send something, so an
/// unknown key is then no key. A known key that has expired, is blocked, or is used from an address it
/// may not be used from is refused in any case, and so is the admin key, which is for the admin API
/// (B17). Faults name the key's name at most, never the key (D3).
pub fn identify(headers: &HeaderMap, query: Option<&str>, desk: &Desk<'_>, now: Time) -> Presented {
    let Desk { config, directory, .. } = *desk;
    let required = config.server.requires_key(directory);
    let admin_key = config.server.admin_key.as_ref();
    if directory.has_no_keys() && !required && admin_key.is_none() {
        return Presented::Nobody;
    }
    let mut missed = Missed::default();
    for presented in presented(headers, query).take(MAX_PRESENTED) {
        match known(&presented, desk, now) {
            Known::Not(why) => missed.note(why, &presented, admin_key),
            Known::Key(key, sha256) => return enter(&key, Proof::Digest(sha256), headers, desk, now),
            Known::Token(token, key) => return enter(&key, Proof::Token(token), headers, desk, now),
            Known::Refused(fault) => return Presented::Refused(fault),
        }
    }
    missed.verdict(required)
}

/// [`identify`] for those who cannot fetch an issuer's keys: its bearer is then refused.
pub fn authenticate(
    headers: &HeaderMap,
    query: Option<&str>,
    desk: &Desk<'_>,
    now: Time,
) -> Result<Option<Arc<Caller>>, Fault> {
    match identify(headers, query, desk, now) {
        Presented::Nobody => Ok(None),
        Presented::Caller(caller) => Ok(Some(caller)),
        Presented::Refused(fault) | Presented::NeedsKeys { fault, issuer: _ } => Err(fault),
    }
}

/// Whether a request presents the admin key, in any of its headers. The query is not looked at: it ends
/// up in logs.
pub fn is_admin(headers: &HeaderMap, admin_key: &Secret) -> bool {
    presented(headers, None).take(MAX_PRESENTED).any(|presented| same(&presented, admin_key))
}

/// Compares in a time that depends on the lengths alone.
fn same(presented: &[u8], secret: &Secret) -> bool {
    presented.ct_eq(secret.expose().as_bytes()).into()
}

/// What one thing that was presented turns out to be.
enum Known {
    Key(Arc<Key>, [u8; 32]),
    Token(Token, Arc<Key>),
    Refused(Fault),
    Not(Why),
}

/// Why something that was presented is nobody's.
enum Why {
    NoSuchKey,
    Token(Fault),
    NeedsKeys { issuer: String, fault: Fault },
}

fn known(presented: &[u8], desk: &Desk<'_>, now: Time) -> Known {
    let Desk { config, directory, .. } = *desk;
    let mut why = Why::NoSuchKey;
    if token::is_token(presented) && config.tokens.any() {
        let jwks = |issuer: &str| directory.jwks(issuer).map(|keys| &**keys);
        match token::verify(presented, &config.tokens, jwks, now) {
            Ok(token) => {
                return match directory.key(&token.parent) {
                    Some(parent) => Known::Token(token, Arc::clone(parent)),
                    None => Known::Refused(Fault::new(
                        Code::InvalidKey,
                        "the token presented comes from a key that does not exist here",
                    )),
                };
            }
            Err(Unfit::Refused(fault)) => return Known::Refused(fault),
            Err(Unfit::Unknown(fault)) => why = Why::Token(fault),
            Err(Unfit::NeedsKeys { issuer, fault }) => why = Why::NeedsKeys { issuer, fault },
        }
    }
    if presented.len() > MAX_KEY {
        return Known::Not(why);
    }
    let sha256 = digest(presented);
    match directory.key_of(&sha256) {
        Some(key) => Known::Key(Arc::clone(key), sha256),
        None => Known::Not(why),
    }
}

/// What was presented and is nobody's.
#[derive(Default)]
struct Missed {
    anything: bool,
    admin: bool,
    token: Option<Fault>,
    needs: Option<Presented>,
}

impl Missed {
    fn note(&mut self, why: Why, presented: &[u8], admin_key: Option<&Secret>) {
        self.anything = true;
        self.admin |= admin_key.is_some_and(|admin_key| same(presented, admin_key));
        match why {
            Why::NoSuchKey => {}
            Why::Token(fault) => self.token = self.token.take().or(Some(fault)),
            Why::NeedsKeys { issuer, fault } => {
                self.needs = self.needs.take().or(Some(Presented::NeedsKeys { issuer, fault }));
            }
        }
    }

    fn verdict(self, required: bool) -> Presented {
        let fault = match self {
            Self { admin: true, .. } => Fault::new(
                Code::KeyBlocked,
                "the admin key opens the admin API only: make a key for model calls",
            ),
            Self { needs: Some(needs), .. } => return needs,
            Self { .. } if !required => return Presented::Nobody,
            Self { token: Some(fault), .. } => fault,
            Self { anything: false, .. } => Fault::new(
                Code::MissingKey,
                "no key was presented: send one as `authorization: Bearer <key>` or `x-api-key`",
            ),
            Self { .. } => Fault::new(Code::InvalidKey, "the key presented is not known here"),
        };
        Presented::Refused(fault)
    }
}

/// What shows that a key is meant.
enum Proof {
    Digest([u8; 32]),
    Token(Token),
}

/// Lets in whoever presented this key or a token of it, if the key may be used.
fn enter(key: &Arc<Key>, proof: Proof, headers: &HeaderMap, desk: &Desk<'_>, now: Time) -> Presented {
    let checked = fresh(key, &proof, now).and_then(|()| placed(key, headers, desk));
    if let Err(fault) = checked {
        return Presented::Refused(fault);
    }
    let token = match proof {
        Proof::Digest(_) => None,
        Proof::Token(token) => Some(Arc::new(token)),
    };
    let caller = desk.directory.caller(key, token);
    match seated(&caller, desk) {
        Ok(()) => Presented::Caller(Arc::new(caller)),
        Err(fault) => Presented::Refused(fault),
    }
}

/// Whether it is still the key that was meant, and its time is not over.
fn fresh(key: &Key, proof: &Proof, now: Time) -> Result<(), Fault> {
    if key.blocked {
        return Err(blocked(format!("the key `{}` is blocked", key.name)));
    }
    let retired = key.retiring.filter(|retiring| retiring.until <= now);
    let current = match proof {
        Proof::Digest(sha256) => retired.is_none_or(|retiring| retiring.sha256 != *sha256),
        Proof::Token(Token { bound: None, .. }) => true,
        Proof::Token(Token { bound: Some(bound), .. }) => {
            let former = key.retiring.filter(|retiring| retiring.until > now);
            let digests = [Some(key.sha256), former.map(|retiring| retiring.sha256)];
            digests.iter().flatten().any(|sha256| token::bound(sha256) == *bound)
        }
    };
    if !current {
        let message =
            format!("the key `{}` has been replaced: what was presented is its former self", key.name);
        return Err(Fault::new(Code::ExpiredKey, message));
    }
    // The moment itself is outside: a key that expires at noon is refused at noon.
    match key.expires {
        Some(expires) if expires <= now => {
            Err(Fault::new(Code::ExpiredKey, format!("the key `{}` has expired", key.name)))
        }
        Some(_) | None => Ok(()),
    }
}

/// Whether it may be used from where it is used.
fn placed(key: &Key, headers: &HeaderMap, desk: &Desk<'_>) -> Result<(), Fault> {
    if key.ips.is_empty() || key.allows_address(client_address(headers, desk)) {
        return Ok(());
    }
    Err(blocked(format!("the key `{}` may not be used from this address", key.name)))
}

/// Whether all that it belongs to is there and open.
fn seated(caller: &Caller, desk: &Desk<'_>) -> Result<(), Fault> {
    let name = &caller.key.name;
    if let Some(missing) = desk.directory.misfit(caller) {
        return Err(blocked(format!("the key `{name}` {missing}")));
    }
    let closed = caller.holders.iter().find(|holder| holder.blocked && holder.kind != HolderKind::Tag);
    let closed = closed.or_else(|| caller.holders.iter().find(|holder| holder.blocked));
    match closed {
        Some(holder) => {
            let kind = holder.kind.name();
            Err(blocked(format!("the {kind} `{}` of the key `{name}` is blocked", holder.name)))
        }
        None => Ok(()),
    }
}

/// Whether a caller may ask for what is served at a place. Strangers may, where they are served.
pub fn may_call(caller: Option<&Caller>, path: &str) -> Result<(), Fault> {
    match caller {
        Some(caller) if !caller.key.allows_path(path) => {
            Err(blocked(format!("the key `{}` may not be used for {path}", caller.key.name)))
        }
        Some(_) | None => Ok(()),
    }
}

fn blocked(message: String) -> Fault {
    Fault::new(Code::KeyBlocked, message)
}

/// Every key a request presents, as bytes: headers may carry anything.
fn presented<'r>(headers: &'r HeaderMap, query: Option<&'r str>) -> impl Iterator<Item = Cow<'r, [u8]>> {
    let authorized =
        |value: &'r http::HeaderValue| bearer(value.as_bytes()).or_else(|| signer(value.as_bytes()));
    let bearer = headers.get_all(AUTHORIZATION).iter().filter_map(authorized);
    let named = HEADERS.into_iter().flat_map(|name| headers.get_all(name)).map(http::HeaderValue::as_bytes);
    // A browser can set no header of a handshake but this one.
    let offered = protocols(headers).filter_map(|protocol| protocol.strip_prefix(KEY_PROTOCOL));
    let named = named.chain(offered.map(str::as_bytes));
    let in_headers = bearer.chain(named).map(<[u8]>::trim_ascii).map(Cow::Borrowed);
    let in_query = query
        .into_iter()
        .flat_map(|query| query.split('&'))
        .filter_map(|pair| pair.strip_prefix("key="))
        .map(percent_decoded);
    in_headers.chain(in_query).filter(|key| !key.is_empty())
}

/// What follows `Bearer`, in any case, as some proxies rewrite it.
fn bearer(value: &[u8]) -> Option<&[u8]> {
    let (scheme, key) = value.trim_ascii_start().split_at_checked(7)?;
    scheme.eq_ignore_ascii_case(b"bearer ").then_some(key)
}

/// The access key id of a signature of AWS's. Its secret cannot be checked: what is kept of a key is
/// its hash.
fn signer(value: &[u8]) -> Option<&[u8]> {
    let rest = value.trim_ascii_start().strip_prefix(b"AWS4-HMAC-SHA256")?;
    let at = memchr::memmem::find(rest, b"Credential=")?;
    rest.get(at + b"Credential=".len()..)?.split(|byte| *byte == b'/').next()
}

/// `%2B` as `+`; a percent sign that begins no escape stands for itself. `+` is no space here: keys
/// may hold it, and none holds a space.
pub(crate) fn percent_decoded(text: &str) -> Cow<'_, [u8]> {
    if !text.contains('%') {
        return Cow::Borrowed(text.as_bytes());
    }
    let mut decoded = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((first, after)) = rest.split_first() {
        match (first, escape(after)) {
            (b'%', Some(byte)) => {
                decoded.push(byte);
                rest = after.get(2..).unwrap_or_default();
            }
            (other, _) => {
                decoded.push(*other);
                rest = after;
            }
        }
    }
    Cow::Owned(decoded)
}

fn escape(after: &[u8]) -> Option<u8> {
    let mut digits = after.iter().map(|digit| char::from(*digit).to_digit(16));
    let (high, low) = (digits.next()??, digits.next()??);
    u8::try_from(high * 16 + low).ok()
}
