//! Facts about who is let in.

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
