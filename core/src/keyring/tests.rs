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
fn the_access_key_id_of_a_signature_is_the_key() {
    let signed = |id: &str| {
        let scope = "20260102/us-east-1/bedrock/aws4_request, SignedHeaders=host;x-amz-date, Signature=00ff";
        format!("AWS4-HMAC-SHA256 Credential={id}/{scope}").into_bytes()
    };
    assert_eq!(ask("authorization", &signed("tg-ci+1"), None, NOON), Ok("ci".to_owned()));
    assert_eq!(ask("authorization", &signed("AKIA1"), None, NOON), Err(Code::InvalidKey));
    for none in [&b"AWS4-HMAC-SHA256"[..], b"AWS4-HMAC-SHA256 Credential=", b"AWS4-HMAC-SHA256 Credential=/a"]
    {
        assert_eq!(ask("authorization", none, None, NOON), Err(Code::MissingKey));
    }
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

/// A gateway with organisations, addresses, paths, rotation and tokens.
const HOUSE: &str = r#"
    [server]
    admin_key = "admin-0123456789-0123456789-0123456789"
    trusted_proxies = ["192.0.2.0/24", "2001:db8::/32"]
    [[organisations]]
    name = "acme"
    [[organisations]]
    name = "closed"
    blocked = true
    [[teams]]
    name = "search"
    organisation = "acme"
    [[teams]]
    name = "gone"
    blocked = true
    [[keys]]
    name = "ci"
    value = "tg-ci"
    team = "search"
    [[keys]]
    name = "of-closed"
    value = "tg-of-closed"
    organisation = "closed"
    [[keys]]
    name = "of-gone"
    value = "tg-of-gone"
    team = "gone"
    [[keys]]
    name = "office"
    value = "tg-office"
    ips = ["10.0.0.0/8"]
    [[keys]]
    name = "rotated"
    value = "tg-new"
    previous = { sha256 = "69af9e0c3fd19c2a7b7d5ec36e3bcbe16ecdd47ccd74a4d35f7cb7d72b1ad1a4", until = "2001-09-09T01:46:40Z" }
    [[keys]]
    name = "chat-only"
    value = "tg-chat-only"
    routes = ["/v1/chat/*"]
"#;

struct House {
    config: Arc<Config>,
    directory: Directory,
}

impl House {
    fn new() -> Self {
        let former = crate::config::values::hex(&digest(b"tg-former"));
        let text = HOUSE.replace("69af9e0c3fd19c2a7b7d5ec36e3bcbe16ecdd47ccd74a4d35f7cb7d72b1ad1a4", &former);
        let config = Arc::new(ring(&text));
        Self { directory: Directory::of(&config), config }
    }

    fn ask(
        &self,
        key: &str,
        peer: Option<&str>,
        forwarded: &[&str],
        now: Time,
    ) -> Result<Arc<Caller>, Fault> {
        let peer = peer.map(|peer| peer.parse().unwrap());
        let gauge = Arc::default();
        let desk = Desk { config: &self.config, directory: &self.directory, gauge: &gauge, peer };
        let mut headers = HeaderMap::new();
        headers.insert("x-api-key", HeaderValue::from_str(key).unwrap());
        for line in forwarded {
            headers.append("x-forwarded-for", HeaderValue::from_str(line).unwrap());
        }
        authenticate(&headers, None, &desk, now).map(|caller| caller.expect("a key is required"))
    }

    fn code(&self, key: &str) -> Code {
        self.ask(key, None, &[], NOON).unwrap_err().code
    }

    fn mint(&self, key: &str, lifetime: u64) -> String {
        let claims = crate::token::Claims {
            lifetime: crate::units::Millis::from_secs(lifetime),
            models: vec![crate::config::Pattern::parse("gpt-4o").unwrap()],
            max_requests: None,
            max_tokens: None,
            max_usd: None,
            user: None,
        };
        let parent = self.directory.key(key).unwrap();
        crate::token::mint(parent, &claims, &self.config.tokens.signer().unwrap(), NOON, 7)
    }

    fn put(&mut self, spec: &str) {
        let around = crate::directory::spec::Around::written(&self.config, &self.directory);
        let key = crate::directory::spec::read_key(spec.as_bytes(), &around).unwrap();
        self.directory.put_key(key).unwrap();
    }
}

#[test]
fn b6_a_caller_carries_its_team_and_the_teams_organisation() {
    let caller = House::new().ask("tg-ci", None, &[], NOON).unwrap();
    assert_eq!(caller.holder(HolderKind::Team), Some("search"));
    assert_eq!(caller.holder(HolderKind::Organisation), Some("acme"));
    assert_eq!(&*caller.book, "acme");
}

#[test]
fn keys_of_a_blocked_team_or_organisation_are_refused() {
    let house = House::new();
    let fault = house.ask("tg-of-closed", None, &[], NOON).unwrap_err();
    assert_eq!(fault.code, Code::KeyBlocked);
    assert_eq!(fault.message, "the organisation `closed` of the key `of-closed` is blocked");
    assert_eq!(house.code("tg-of-gone"), Code::KeyBlocked);
}

#[test]
fn a_key_whose_team_is_gone_is_refused_rather_than_unlimited() {
    let mut house = House::new();
    house.directory.put_holder(crate::directory::Holder::new(HolderKind::Team, "late"));
    let spec = format!(
        r#"{{"name":"k","sha256":"{}","team":"late"}}"#,
        crate::config::values::hex(&digest(b"tg-k"))
    );
    house.put(&spec);
    assert!(house.ask("tg-k", None, &[], NOON).is_ok());
    house.directory.remove(crate::api::Kind::Holder(HolderKind::Team), "late");
    let fault = house.ask("tg-k", None, &[], NOON).unwrap_err();
    assert_eq!(fault.message, "the key `k` belongs to the team `late`, which does not exist");
    let moved = crate::directory::Holder {
        organisation: Some("acme".to_owned()),
        ..crate::directory::Holder::new(HolderKind::Team, "late")
    };
    house.directory.put_holder(moved);
    let fault = house.ask("tg-k", None, &[], NOON).unwrap_err();
    assert_eq!(fault.message, "the key `k` and its team `late` are of different organisations");
}

#[test]
fn a_key_may_be_used_from_its_addresses_only() {
    let house = House::new();
    let allowed = |peer, forwarded: &[&str]| house.ask("tg-office", peer, forwarded, NOON).is_ok();
    assert!(allowed(Some("10.1.2.3"), &[]));
    assert!(!allowed(Some("11.1.2.3"), &[]) && !allowed(None, &[]), "an unknown address is in no range");
    assert!(!allowed(Some("11.1.2.3"), &["10.1.2.3"]), "a stranger's word counts for nothing");
    assert!(allowed(Some("192.0.2.9"), &["10.1.2.3"]), "a trusted proxy's does");
    assert!(!allowed(Some("192.0.2.9"), &["10.1.2.3, 8.8.8.8"]), "what the client put before it does not");
    assert!(allowed(Some("192.0.2.9"), &["8.8.8.8", "10.1.2.3:4711, [2001:db8::7]:80"]));
    assert!(!allowed(Some("192.0.2.9"), &["10.1.2.3, nonsense"]) && !allowed(Some("192.0.2.9"), &[]));
    let fault = house.ask("tg-office", None, &["10.1.2.3"], NOON).unwrap_err();
    assert_eq!((fault.code, fault.status()), (Code::KeyBlocked, 403));
    assert_eq!(fault.message, "the key `office` may not be used from this address");
}

#[test]
fn d4_a_rotated_keys_former_self_is_valid_until_its_grace_is_over() {
    let house = House::new();
    let at = |key, now| house.ask(key, None, &[], now);
    assert_eq!(at("tg-former", Time(NOON.0 - 1)).unwrap().key.name, "rotated");
    let fault = at("tg-former", NOON).unwrap_err();
    assert_eq!((fault.code, fault.status()), (Code::ExpiredKey, 401));
    assert_eq!(at("tg-new", NOON).unwrap().key.name, "rotated");
}

#[test]
fn b17_the_admin_key_makes_no_model_calls_unless_it_is_a_key_too() {
    let mut house = House::new();
    let admin = "admin-0123456789-0123456789-0123456789";
    let fault = house.ask(admin, None, &[], NOON).unwrap_err();
    assert_eq!((fault.code, fault.status()), (Code::KeyBlocked, 403));
    assert!(fault.message.contains("make a key") && !fault.message.contains(admin));
    house.put(&format!(
        r#"{{"name":"root","sha256":"{}"}}"#,
        crate::config::values::hex(&digest(admin.as_bytes()))
    ));
    assert_eq!(house.ask(admin, None, &[], NOON).unwrap().key.name, "root");
}

#[test]
fn b17_the_admin_key_is_refused_where_strangers_are_served_too() {
    let config = ring("[server]\nadmin_key = \"secret-admin\"\n");
    let mut headers = HeaderMap::new();
    assert_eq!(authenticated(&headers, None, config.clone(), NOON), Ok(None));
    headers.insert("authorization", HeaderValue::from_static("Bearer secret-admin"));
    let refused = authenticated(&headers, None, config.clone(), NOON).map_err(|fault| fault.code);
    assert_eq!(refused, Err(Code::KeyBlocked));
    let admin_key = config.server.admin_key.as_ref().unwrap();
    assert!(is_admin(&headers, admin_key) && !is_admin(&HeaderMap::new(), admin_key));
}

#[test]
fn a_stored_key_makes_keys_required_unless_the_file_says_otherwise() {
    for (text, required) in [("", true), ("[server]\nrequire_key = false\n", false)] {
        let config = Arc::new(ring(text));
        let mut directory = Directory::of(&config);
        assert!(!config.server.requires_key(&directory));
        directory.put_key(crate::directory::Key::new("k", [1; 32])).unwrap();
        assert_eq!(config.server.requires_key(&directory), required);
    }
}

#[test]
fn a_token_is_its_parents_and_allows_what_both_allow() {
    let house = House::new();
    let caller = house.ask(&house.mint("ci", 60), None, &[], NOON).unwrap();
    assert_eq!(caller.key.name, "ci");
    assert!(caller.allows("gpt-4o") && !caller.allows("o3"));
    assert_eq!(caller.role(), crate::directory::Role::Caller);
    let late = house.ask(&house.mint("ci", 60), None, &[], Time(NOON.0 + 60_000)).unwrap_err();
    assert_eq!(late.code, Code::ExpiredKey);
}

#[test]
fn d2_a_token_ends_with_its_parent() {
    let mut house = House::new();
    let hex = |key: &[u8]| crate::config::values::hex(&digest(key));
    let spec = |sha256: &str, more: &str| format!(r#"{{"name":"short","sha256":"{sha256}"{more}}}"#);
    house.put(&spec(&hex(b"one"), ""));
    let token = house.mint("short", 60);
    let code = |house: &House| house.ask(&token, None, &[], NOON).map(|_| ()).map_err(|fault| fault.code);
    assert_eq!(code(&house), Ok(()));
    house.put(&spec(&hex(b"one"), r#","blocked":true"#));
    assert_eq!(code(&house), Err(Code::KeyBlocked));
    house.put(&spec(&hex(b"one"), r#","expires":"2001-09-09T01:46:40Z""#));
    assert_eq!(code(&house), Err(Code::ExpiredKey));
    let grace = format!(r#","previous":{{"sha256":"{}","until":"2001-09-09T01:46:41Z"}}"#, hex(b"one"));
    house.put(&spec(&hex(b"two"), &grace));
    assert_eq!(code(&house), Ok(()), "within the grace of a rotation");
    house.put(&spec(&hex(b"two"), ""));
    assert_eq!(code(&house), Err(Code::ExpiredKey), "another key of the same name");
    house.directory.remove(crate::api::Kind::Key, "short");
    assert_eq!(code(&house), Err(Code::InvalidKey));
}

#[test]
fn tokens_with_a_common_beginning_are_not_taken_for_each_other() {
    let house = House::new();
    let (one, other) = (house.mint("ci", 60), house.mint("of-gone", 60));
    assert_eq!(one[..20], other[..20], "the header is the same");
    assert!(house.ask(&one, None, &[], NOON).is_ok());
    assert_eq!(house.ask(&other, None, &[], NOON).unwrap_err().code, Code::KeyBlocked);
}
