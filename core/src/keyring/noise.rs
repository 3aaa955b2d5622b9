//! Whatever a request presents, nobody panics, nothing of it is shown again, and nobody gets in.

use super::*;
use crate::config::{self, SecretRef};
use crate::directory::Directory;
use http::HeaderValue;
use proptest::prelude::{Strategy, any, prop_oneof, proptest};

const CONFIG: &str = r#"
    [server]
    admin_key = "admin-0123456789-0123456789-0123456789"
    trusted_proxies = ["0.0.0.0/0"]
    [tokens]
    issuers = [{ issuer = "https://id.example", audience = "gate", jwks = "file:x", key = "ci" }]
    [[keys]]
    name = "ci"
    sha256 = "0000000000000000000000000000000000000000000000000000000000000000"
    ips = ["10.0.0.0/8"]
"#;

fn judged(name: &str, value: &[u8], forwarded: &[u8], query: Option<&str>) -> Presented {
    let none = |_: SecretRef<'_>| Err("it is not set".to_owned());
    let config = Arc::new(config::load(CONFIG.as_bytes(), &none).unwrap());
    let directory = Directory::of(&config);
    let desk = Desk {
        config: &config,
        directory: &directory,
        gauge: &Arc::default(),
        peer: Some("127.0.0.1".parse().unwrap()),
    };
    let mut headers = HeaderMap::new();
    let header = HeaderName::from_bytes(name.as_bytes()).unwrap();
    for (name, value) in [(header, value), (HeaderName::from_static("x-forwarded-for"), forwarded)] {
        if let Ok(value) = HeaderValue::from_bytes(value) {
            headers.append(name, value);
        }
    }
    let _ = client_address(&headers, &desk);
    identify(&headers, query, &desk, Time(1_800_000_000_000))
}

/// Refused, with one of the messages there are, none of which holds anything of what was presented.
fn is_refused_quietly(presented: Presented) {
    let fault = match presented {
        Presented::Refused(fault) | Presented::NeedsKeys { fault, .. } => fault,
        Presented::Nobody | Presented::Caller(_) => panic!("let in"),
    };
    let known = [
        "no key was presented: send one as `authorization: Bearer <key>` or `x-api-key`",
        "the key presented is not known here",
        "the token presented is not valid: it has not three parts",
        "the token presented is not valid: it is not base64url",
        "the token presented is not valid: it does not hold JSON objects",
        "the token presented is not valid: its `alg` is not taken here: HS256 and EdDSA are",
        "the token presented is not valid: its `iss` is missing",
        "the token presented is not valid: its `iss` is not known here",
        "the token presented is not valid: its `alg` is not the one of this gateway's key",
        "the token presented is not valid: its signature is wrong",
        "the keys of the token's issuer cannot be had now",
    ];
    assert!(known.contains(&fault.message.as_str()), "{}", fault.message);
}

fn header() -> impl Strategy<Value = &'static str> {
    proptest::sample::select(vec!["authorization", "x-api-key", "api-key", "x-goog-api-key"])
}

/// Bytes, and things that look like keys and tokens.
fn value() -> impl Strategy<Value = Vec<u8>> {
    let pieces = proptest::sample::select(vec![
        "Bearer ",
        "bearer\t",
        "tg-",
        "sk-",
        "eyJ",
        ".",
        "..",
        "eyJhbGciOiJub25lIn0",
        "eyJpc3MiOiJ0b2xsZ2F0ZSJ9",
        "eyJpc3MiOiJodHRwczovL2lkLmV4YW1wbGUifQ",
        "eyJhbGciOiJIUzI1NiJ9",
        "' OR '1'='1",
        "\"; DROP TABLE keys;--",
        "%00",
        "\u{0}",
        "\r\nx-evil: 1",
        "%",
        "=",
        "🦀",
        "{}",
        "__proto__",
        "../..",
    ]);
    let like = proptest::collection::vec(pieces, 0..12).prop_map(|pieces| pieces.concat().into_bytes());
    prop_oneof![like, proptest::collection::vec(any::<u8>(), 0..80)]
}

proptest! {
    #[test]
    fn d3_arbitrary_header_bytes_are_refused_and_never_echoed(
        name in header(),
        value in value(),
        forwarded in value(),
    ) {
        is_refused_quietly(judged(name, &value, &forwarded, None));
    }

    #[test]
    fn d3_arbitrary_queries_are_refused_and_never_echoed(value in ".{0,60}") {
        let query = format!("key={value}");
        is_refused_quietly(judged("accept", b"*/*", b"", Some(&query)));
    }
}

#[test]
fn keys_of_ten_thousand_characters_and_sql_are_unknown_keys() {
    let long = "k".repeat(10_000);
    let longer = "e".repeat(100_000);
    let token = format!("eyJ{}.{}.{}", "a".repeat(10_000), "b".repeat(10), "c".repeat(10));
    let sql = "' UNION SELECT name, sha256 FROM keys WHERE '1'='1";
    for key in [long.as_str(), longer.as_str(), token.as_str(), sql, "tg-\u{7f}", "\t"] {
        for value in [key.to_owned(), format!("Bearer {key}")] {
            let presented = judged("authorization", value.as_bytes(), b"", Some(&format!("key={key}")));
            let Presented::Refused(fault) = presented else { panic!("{presented:?}") };
            assert!(matches!(fault.code, Code::InvalidKey | Code::MissingKey));
            assert!(fault.message.len() < 200 && !fault.message.contains("SELECT"), "{}", fault.message);
        }
    }
}
