//! Who is asking: finds the virtual key a request presents.

use crate::config::{Config, Key};
use crate::fault::{Code, Fault};
use crate::units::Time;
use http::HeaderMap;
use http::header::{AUTHORIZATION, HeaderName};
use sha2::{Digest, Sha256};
use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::Arc;

/// A key's place among the config's keys, by its digest. The search compares digests, of which a
/// stranger cannot choose the leading bytes, so that its duration tells nothing of any key.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Keyring {
    places: BTreeMap<[u8; 32], usize>,
}

impl Keyring {
    /// The ring of these keys.
    pub fn of(keys: &[Arc<Key>]) -> Self {
        Self { places: keys.iter().enumerate().map(|(at, key)| (key.sha256, at)).collect() }
    }
}

/// What a virtual key is stored as.
pub fn digest(key: &[u8]) -> [u8; 32] {
    Sha256::digest(key).into()
}

/// The headers that may carry a key beside `authorization`, in the order they are looked at.
const HEADERS: [HeaderName; 3] = [
    HeaderName::from_static("x-api-key"),
    HeaderName::from_static("api-key"),
    HeaderName::from_static("x-goog-api-key"),
];

/// The key a request presents, in any of the ways clients know: `Authorization: Bearer`,
/// `x-api-key`, `api-key`, `x-goog-api-key`, `?key=`. A request may present several (an SDK's dummy
/// beside the real one): the first that is known counts.
///
/// `Ok(None)` where no key is required and none is known: clients must send something, so an unknown
/// key is then no key. A known key that has expired or is blocked is refused in any case. Faults name
/// the key's name at most, never the key (D3).
pub fn authenticate<'c>(
    headers: &HeaderMap,
    query: Option<&str>,
    config: &'c Config,
    now: Time,
) -> Result<Option<&'c Arc<Key>>, Fault> {
    let mut presented = presented(headers, query).peekable();
    let nothing = presented.peek().is_none();
    let known = presented.find_map(|key| {
        let at = config.keyring.places.get(&digest(&key))?;
        config.keys.get(*at)
    });
    match known {
        Some(key) => usable(key, now).map(Some),
        None if !config.server.require_key => Ok(None),
        None if nothing => Err(Fault::new(
            Code::MissingKey,
            "no key was presented: send one as `authorization: Bearer <key>` or `x-api-key`",
        )),
        None => Err(Fault::new(Code::InvalidKey, "the key presented is not known here")),
    }
}

fn usable(key: &Arc<Key>, now: Time) -> Result<&Arc<Key>, Fault> {
    if key.blocked {
        return Err(Fault::new(Code::KeyBlocked, format!("the key `{}` is blocked", key.name)));
    }
    // The moment itself is outside: a key that expires at noon is refused at noon.
    match key.expires {
        Some(expires) if expires <= now => {
            Err(Fault::new(Code::ExpiredKey, format!("the key `{}` has expired", key.name)))
        }
        Some(_) | None => Ok(key),
    }
}

/// Every key a request presents, as bytes: headers may carry anything.
fn presented<'r>(headers: &'r HeaderMap, query: Option<&'r str>) -> impl Iterator<Item = Cow<'r, [u8]>> {
    let bearer = headers.get_all(AUTHORIZATION).iter().filter_map(|value| bearer(value.as_bytes()));
    let named = HEADERS.into_iter().flat_map(|name| headers.get_all(name)).map(http::HeaderValue::as_bytes);
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

/// `%2B` as `+`; a percent sign that begins no escape stands for itself. `+` is no space here: keys
/// may hold it, and none holds a space.
fn percent_decoded(text: &str) -> Cow<'_, [u8]> {
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
