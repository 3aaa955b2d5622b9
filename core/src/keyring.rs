//! Who is asking: finds the virtual key a request presents.

use crate::admit::Desk;
use crate::directory::{Caller, Key};
use crate::fault::{Code, Fault};
use crate::units::Time;
use http::HeaderMap;
use http::header::{AUTHORIZATION, HeaderName};
use sha2::{Digest, Sha256};
use std::borrow::Cow;
use std::sync::Arc;

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
pub fn authenticate(
    headers: &HeaderMap,
    query: Option<&str>,
    desk: &Desk<'_>,
    now: Time,
) -> Result<Option<Arc<Caller>>, Fault> {
    let Desk { config, directory, .. } = *desk;
    let required = config.server.require_key;
    if directory.has_no_keys() && !required {
        return Ok(None);
    }
    let mut presented = presented(headers, query).peekable();
    let nothing = presented.peek().is_none();
    let known = presented.find_map(|key| directory.key_of(&digest(&key)));
    match known {
        Some(key) => usable(key, now).map(|key| Some(Arc::new(directory.caller(key, None)))),
        None if !required => Ok(None),
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{self, Config, SecretRef};
    use crate::directory::Directory;
    use http::HeaderValue;

    const CONFIG: &str = r#"
        [[keys]]
        name = "ci"
        value = "tg-ci+1"
        [[keys]]
        name = "hashed"
        sha256 = "2CF24DBA5FB0A30E26E83B2AC5B9E29E1B161E5C1FA7425E73043362938B9824" # hello
        [[keys]]
        name = "old"
        value = "tg-old"
        expires = "2001-09-09T01:46:40Z"
        [[keys]]
        name = "gone"
        value = "tg-gone"
        blocked = true
    "#;
    const NOON: Time = Time(1_000_000_000_000);

    fn ring(text: &str) -> Config {
        let none = |_: SecretRef<'_>| Err("it is not set".to_owned());
        config::load(text.as_bytes(), &none).unwrap()
    }

    fn authenticated(
        headers: &HeaderMap,
        query: Option<&str>,
        config: Config,
        now: Time,
    ) -> Result<Option<Arc<Caller>>, Fault> {
        let directory = Directory::of(&config);
        let (config, gauge) = (Arc::new(config), Arc::default());
        let desk = Desk { config: &config, directory: &directory, gauge: &gauge, peer: None };
        authenticate(headers, query, &desk, now)
    }

    fn ask(name: &'static str, value: &[u8], query: Option<&str>, now: Time) -> Result<String, Code> {
        let mut headers = HeaderMap::new();
        headers.insert(name, HeaderValue::from_bytes(value).unwrap());
        let config = ring(CONFIG);
        match authenticated(&headers, query, config, now) {
            Ok(caller) => Ok(caller.map_or("nobody".to_owned(), |caller| caller.key.name.clone())),
            Err(fault) => {
                for part in ["tg-", "hello", "Basic"] {
                    assert!(!fault.message.contains(part), "{}", fault.message);
                }
                Err(fault.code)
            }
        }
    }

    #[test]
    fn a_key_is_found_wherever_clients_put_it() {
        for (name, value) in [
            ("authorization", "Bearer tg-ci+1"),
            ("authorization", "bearer  tg-ci+1 "),
            ("x-api-key", "tg-ci+1"),
            ("api-key", "tg-ci+1"),
            ("x-goog-api-key", "tg-ci+1"),
        ] {
            assert_eq!(ask(name, value.as_bytes(), None, NOON), Ok("ci".to_owned()), "{name}");
        }
        for query in ["key=tg-ci+1", "alt=sse&key=tg-ci%2B1", "key=&key=tg%2dci%2b1"] {
            assert_eq!(ask("accept", b"*/*", Some(query), NOON), Ok("ci".to_owned()), "{query}");
        }
        assert_eq!(ask("x-api-key", b"hello", None, NOON), Ok("hashed".to_owned()));
        assert_eq!(ask("x-api-key", b"dummy", Some("key=hello"), NOON), Ok("hashed".to_owned()));
    }

    #[test]
    fn d3_a_refusal_never_echoes_the_key() {
        assert_eq!(ask("x-api-key", b"tg-wrong", None, NOON), Err(Code::InvalidKey));
        assert_eq!(ask("authorization", b"Basic tg-ci+1", None, NOON), Err(Code::MissingKey));
        assert_eq!(ask("authorization", b"Bearer ", None, NOON), Err(Code::MissingKey));
        assert_eq!(ask("x-api-key", b"tg-gone", None, NOON), Err(Code::KeyBlocked));
        assert_eq!(ask("x-api-key", b"tg-old", None, NOON), Err(Code::ExpiredKey));
    }

    #[test]
    fn d1_a_key_is_refused_from_the_moment_it_expires() {
        assert_eq!(ask("x-api-key", b"tg-old", None, NOON), Err(Code::ExpiredKey));
        assert_eq!(ask("x-api-key", b"tg-old", None, Time(NOON.0 - 1)), Ok("old".to_owned()));
    }

    #[test]
    fn k17_bytes_that_are_no_text_are_an_unknown_key() {
        for value in [&b"\xff\xfe"[..], b"Bearer \xff", b"Bearer", b"Bea\xffrer", b"\t"] {
            for name in ["authorization", "x-api-key", "api-key", "x-goog-api-key"] {
                assert!(ask(name, value, Some("key=%"), NOON).is_err());
            }
        }
        for query in ["key=%f", "key=%zz%", "key=%ff%00", "&&==&key", "key=🦀%"] {
            assert!(ask("accept", b"*/*", Some(query), NOON).is_err(), "{query}");
        }
    }

    #[test]
    fn where_no_key_is_required_an_unknown_one_is_ignored_and_a_blocked_one_refused() {
        let config = ring(&format!("[server]\nrequire_key = false\n{CONFIG}"));
        let mut headers = HeaderMap::new();
        assert_eq!(authenticated(&headers, None, config.clone(), NOON), Ok(None));
        headers.insert("x-api-key", HeaderValue::from_static("sk-anything"));
        assert_eq!(authenticated(&headers, None, config.clone(), NOON), Ok(None));
        headers.insert("x-api-key", HeaderValue::from_static("tg-gone"));
        assert_eq!(
            authenticated(&headers, None, config.clone(), NOON).map_err(|fault| fault.code),
            Err(Code::KeyBlocked)
        );
    }
}
