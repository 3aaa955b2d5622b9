//! Facts about tokens: what is taken, what is forged, what is refused and why.

use super::*;
use crate::directory::Key;
use crate::fault::{Code, Fault};
use crate::secret::Secret;
use crate::units::{NanoDollars, Requests, Tokens as TokenCount};
use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use serde_json::{Value, json};

const NOW: Time = Time(1_800_000_000_500);
const SECS: u64 = 1_800_000_000;
const SEED: &str = "nWGxne_9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A";
const POINT: &str = "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo";

fn hs() -> HsKey {
    HsKey::new(b"0123456789abcdef0123456789abcdef").unwrap()
}

fn tokens() -> Tokens {
    let issuer = |name: &str, parent| Issuer {
        issuer: name.to_owned(),
        audience: "gate".to_owned(),
        jwks: JwksSource::File("keys.json".to_owned()),
        parent,
    };
    let issuers = vec![
        issuer("https://id.example", Parent::Key("staff".to_owned())),
        issuer("https://by.claim", Parent::Claim("team_key".to_owned())),
    ];
    Tokens { hs256: Some(hs()), ed25519: None, issuers, ..Tokens::default() }
}

fn jwks() -> Jwks {
    Jwks::parse(
        json!({"keys": [
            {"kty": "RSA", "kid": "r", "n": "AQAB", "e": "AQAB"},
            {"kty": "OKP", "crv": "Ed25519", "kid": "e", "x": POINT, "use": "sig", "alg": "EdDSA"},
            {"kty": "OKP", "crv": "Ed25519", "kid": "enc", "x": POINT, "use": "enc"},
            {"kty": "oct", "kid": "o", "k": URL_SAFE_NO_PAD.encode(b"0123456789abcdef0123456789abcdef")},
            {"kty": "oct", "kid": "short", "k": "AAAA"},
        ]})
        .to_string()
        .as_bytes(),
    )
    .unwrap()
}

fn encoded(header: &Value, body: &Value) -> String {
    let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
    format!("{}.{}", part(header), part(body))
}

fn hs_signed(header: &Value, body: &Value) -> String {
    let text = encoded(header, body);
    format!("{text}.{}", URL_SAFE_NO_PAD.encode(hs().sign(text.as_bytes())))
}

fn ed_signed(header: &Value, body: &Value) -> String {
    let text = encoded(header, body);
    let key = EdKey::parse(SEED).unwrap();
    format!("{text}.{}", URL_SAFE_NO_PAD.encode(key.sign(text.as_bytes())))
}

/// A good body with some claims replaced; null takes one out.
fn body(with: Value) -> Value {
    let mut body = json!({"iss": "tollgate", "aud": "tollgate", "sub": "ci", "exp": SECS + 600, "jti": "7f"});
    for (name, value) in with.as_object().unwrap() {
        body[name] = value.clone();
    }
    body.as_object_mut().unwrap().retain(|_, value| !value.is_null());
    body
}

fn hs_header() -> Value {
    json!({"alg": "HS256", "typ": "JWT"})
}

fn checked(token: &str) -> Result<Token, Unfit> {
    let jwks = jwks();
    verify(token.as_bytes(), &tokens(), |_| Some(&jwks), NOW)
}

fn own(with: Value) -> Result<Token, Unfit> {
    checked(&hs_signed(&hs_header(), &body(with)))
}

fn fault(result: Result<Token, Unfit>) -> Fault {
    match result {
        Err(Unfit::Unknown(fault) | Unfit::Refused(fault) | Unfit::NeedsKeys { fault, .. }) => fault,
        Ok(token) => panic!("{token:?} is taken"),
    }
}

#[test]
fn signatures_are_those_of_the_standards_examples() {
    let text = "eyJhbGciOiJFZERTQSJ9.RXhhbXBsZSBvZiBFZDI1NTE5IHNpZ25pbmc";
    let signature = EdKey::parse(SEED).unwrap().sign(text.as_bytes());
    assert_eq!(
        URL_SAFE_NO_PAD.encode(signature),
        "hgyY0il_MGCjP0JzlnLWG1PPOt7-09PGcvMg3AIbQR6dWbhijcNR4ki4iylGjg5BhVsPt9g7sVvpAr_MuM0KAg"
    );
    let key = "AyM1SysPpbyDfgZld3umj1qzKObwVMkoqQ-EstJQLr_T-1qS0gZH75aKtMN3Yj0iPS4hcgUuTwjAzZr1Z9CAow";
    let key = HsKey::new(&URL_SAFE_NO_PAD.decode(key).unwrap()).unwrap();
    let text = "eyJ0eXAiOiJKV1QiLA0KICJhbGciOiJIUzI1NiJ9.eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ";
    let signature = URL_SAFE_NO_PAD.encode(key.sign(text.as_bytes()));
    assert_eq!(signature, "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk");
}

#[test]
fn a_private_key_is_read_from_pem_or_its_seed() {
    let seed = URL_SAFE_NO_PAD.decode(SEED).unwrap();
    let plain =
        [&[0x30, 0x2E, 2, 1, 0, 0x30, 5, 6, 3, 0x2B, 0x65, 0x70, 4, 0x22, 4, 0x20][..], &seed].concat();
    let pem = |der: &[u8]| {
        format!("-----BEGIN PRIVATE KEY-----\n{}\n-----END PRIVATE KEY-----\n", STANDARD.encode(der))
    };
    let same = EdKey::parse(SEED).unwrap();
    assert_eq!(EdKey::parse(&pem(&plain)), Ok(same.clone()));
    assert_eq!(EdKey::parse(&format!(" {}\n", STANDARD.encode(&seed))), Ok(same));
    let mut other = plain.clone();
    other[11] = 0x6E;
    for wrong in ["", "AAAA", "ü", &pem(&plain[..47]), &pem(&other), &pem(&[]), "-----BEGIN PRIVATE KEY-----"]
    {
        assert!(EdKey::parse(wrong).is_err(), "{wrong}");
    }
    assert!(HsKey::new(b"short").is_none());
}

#[test]
fn what_is_minted_is_taken_and_says_what_was_asked() {
    let parent = Key::new("ci", [7; 32]);
    let claims = Claims {
        lifetime: Millis::from_secs(60),
        models: vec![Pattern::parse("openai/*").unwrap()],
        max_requests: Some(Requests(5)),
        max_tokens: Some(TokenCount(1000)),
        max_usd: Some(NanoDollars(1_500_000_001)),
        user: Some("ann".to_owned()),
    };
    let with_ed = Tokens { ed25519: EdKey::parse(SEED).ok(), ..tokens() };
    for rules in [tokens(), with_ed] {
        let text = mint(&parent, &claims, &rules.signer().unwrap(), NOW, 0xABC);
        assert!(is_token(text.as_bytes()));
        let token = verify(text.as_bytes(), &rules, |_| None, NOW).unwrap();
        assert_eq!((token.parent.as_str(), token.id.as_str()), ("ci", "00000000000000000000000000000abc"));
        assert_eq!(token.scope.name, "token:00000000000000000000000000000abc");
        assert_eq!(token.scope.limits.max_requests, Some(Requests(5)));
        assert_eq!(token.scope.limits.max_tokens, Some(TokenCount(1000)));
        assert_eq!(token.scope.limits.budgets[0].amount, NanoDollars(1_500_000_001));
        assert!(token.allows("openai/gpt-4o") && !token.allows("chat"));
        assert_eq!(token.end_user.as_deref(), Some("ann"));
        assert_eq!(token.expires, Time((SECS + 60) * 1000));
        assert_eq!(token.bound, Some(bound(&[7; 32])));
    }
}

#[test]
fn a_minted_token_outlives_neither_its_parent_nor_what_is_allowed() {
    let rules = tokens();
    let claims = |lifetime| Claims {
        lifetime,
        models: Vec::new(),
        max_requests: None,
        max_tokens: None,
        max_usd: None,
        user: None,
    };
    let expires = |parent: &Key, lifetime| {
        let text = mint(parent, &claims(lifetime), &rules.signer().unwrap(), NOW, 1);
        verify(text.as_bytes(), &rules, |_| None, NOW).unwrap().expires
    };
    let parent = Key::new("ci", [7; 32]);
    assert_eq!(expires(&parent, Millis(u64::MAX)), Time((SECS + 86_400) * 1000));
    let short = Key { expires: Some(Time(NOW.0 + 9_600)), ..parent };
    assert_eq!(expires(&short, Millis(u64::MAX)), Time((SECS + 10) * 1000));
}

#[test]
fn alg_none_and_every_other_algorithm_is_refused() {
    for alg in ["none", "None", "", "RS256", "HS512", "ES256", "hs256"] {
        let text = encoded(&json!({"alg": alg}), &body(json!({})));
        for signature in ["", "AA", &URL_SAFE_NO_PAD.encode(hs().sign(text.as_bytes()))] {
            let fault = fault(checked(&format!("{text}.{signature}")));
            assert!(fault.code == Code::InvalidKey && fault.message.contains("`alg`"), "{}", fault.message);
            assert!(alg.len() < 5 || !fault.message.contains(alg), "not shown again");
        }
    }
    assert!(fault(checked(&hs_signed(&json!({}), &body(json!({}))))).message.contains("`alg`"));
    let crit = json!({"alg": "HS256", "crit": ["b64"], "b64": false});
    assert!(fault(checked(&hs_signed(&crit, &body(json!({}))))).message.contains("`crit`"));
}

#[test]
fn the_algorithm_is_the_keys_own_so_that_a_public_key_is_no_secret() {
    // The classic forgery: HS256 with the issuer's public key as the secret.
    let text = encoded(
        &json!({"alg": "HS256", "kid": "e"}),
        &body(json!({"iss": "https://id.example", "aud": "gate"})),
    );
    let public = HsKey::new(&URL_SAFE_NO_PAD.decode(POINT).unwrap()).unwrap();
    let forged = format!("{text}.{}", URL_SAFE_NO_PAD.encode(public.sign(text.as_bytes())));
    assert!(fault(checked(&forged)).message.contains("`alg`"));
    // The gateway's own: it has a secret only.
    assert!(fault(checked(&ed_signed(&json!({"alg": "EdDSA"}), &body(json!({}))))).message.contains("`alg`"));
}

#[test]
fn a_changed_part_or_signature_is_refused() {
    let good = hs_signed(&hs_header(), &body(json!({})));
    assert!(checked(&good).is_ok());
    let parts: Vec<&str> = good.split('.').collect();
    let other = encoded(&hs_header(), &body(json!({"sub": "root"})));
    let other: Vec<&str> = other.split('.').collect();
    for forged in [
        format!("{}.{}.{}", parts[0], other[1], parts[2]),
        format!("{}.{}.", parts[0], parts[1]),
        format!("{}.{}.{}A", parts[0], parts[1], parts[2]),
        format!("{good}="),
        format!("{good}.x"),
        format!("{}.{}", parts[0], parts[1]),
        format!("{}.{}.{}", parts[0], parts[1], URL_SAFE_NO_PAD.encode([0_u8; 32])),
        "eyJ..".to_owned(),
        "..".to_owned(),
        String::new(),
    ] {
        let fault = fault(checked(&forged));
        assert_eq!(fault.code, Code::InvalidKey, "{}", fault.message);
    }
    for cut in 0..good.len() {
        assert!(checked(&good[..cut]).is_err());
    }
}

#[test]
fn a_token_that_names_no_issuer_is_the_gateways_own_or_nobodys() {
    let header = json!({"alg": "HS256"});
    assert!(checked(&hs_signed(&header, &body(json!({"iss": null})))).is_ok());
    let forged = ed_signed(&header, &body(json!({"iss": null})));
    assert_eq!(fault(checked(&forged)).code, Code::InvalidKey);
}

#[test]
fn each_wrong_claim_is_refused_by_name() {
    for (with, claim) in [
        (json!({"iss": "https://else.example"}), "iss"),
        (json!({"iss": 5}), "iss"),
        (json!({"aud": null}), "aud"),
        (json!({"aud": "other"}), "aud"),
        (json!({"aud": ["other", 5]}), "aud"),
        (json!({"exp": null}), "exp"),
        (json!({"exp": "tomorrow"}), "exp"),
        (json!({"exp": -5}), "exp"),
        (json!({"exp": SECS + 86_400 + 60}), "exp"),
        (json!({"exp": 1e300}), "exp"),
        (json!({"nbf": SECS + 60}), "nbf"),
        (json!({"iat": SECS + 60}), "iat"),
        (json!({"sub": null}), "sub"),
        (json!({"sub": "a/b"}), "sub"),
        (json!({"sub": "'; DROP TABLE keys; --"}), "sub"),
        (json!({"jti": "x/y"}), "jti"),
        (json!({"jti": ""}), "jti"),
        (json!({"models": []}), "models"),
        (json!({"models": "*"}), "models"),
        (json!({"models": ["a*b"]}), "models"),
        (json!({"max_requests": 0}), "max_requests"),
        (json!({"max_requests": -1}), "max_requests"),
        (json!({"max_tokens": 1.5}), "max_tokens"),
        (json!({"max_usd": "5"}), "max_usd"),
        (json!({"max_usd": -0.5}), "max_usd"),
        (json!({"user": 7}), "user"),
    ] {
        let fault = fault(own(with.clone()));
        assert_eq!(fault.code, Code::InvalidKey, "{with}");
        assert!(fault.message.contains(&format!("`{claim}`")), "{with}: {}", fault.message);
        assert!(!fault.message.contains("DROP") && !fault.message.contains("else.example"));
    }
}

#[test]
fn d1_a_token_is_refused_from_the_second_it_expires() {
    let token = |exp| own(json!({"exp": exp}));
    assert_eq!(token(SECS + 1).unwrap().expires, Time((SECS + 1) * 1000));
    assert_eq!(fault(token(SECS)).code, Code::ExpiredKey);
    assert_eq!(fault(own(json!({"exp": SECS as f64 - 0.5}))).code, Code::ExpiredKey);
    assert!(own(json!({"exp": SECS as f64 + 600.25, "nbf": SECS, "iat": SECS - 5})).is_ok());
}

#[test]
fn the_same_token_without_an_id_is_the_same_each_time() {
    let id = |with| own(with).unwrap().id;
    assert_eq!(id(json!({"jti": null})), id(json!({"jti": null})));
    assert_ne!(id(json!({"jti": null})), id(json!({"jti": null, "exp": SECS + 601})));
}

#[test]
fn another_issuers_token_comes_from_the_key_that_the_config_or_its_claim_names() {
    let foreign = |header: Value, with: Value| {
        let mut with = with;
        with["aud"] = json!(["gate", "else"]);
        ed_signed(&header, &body(with))
    };
    let header = json!({"alg": "EdDSA", "kid": "e"});
    let token =
        checked(&foreign(header.clone(), json!({"iss": "https://id.example", "sub": "ann"}))).unwrap();
    assert_eq!((token.parent.as_str(), token.id.as_str()), ("staff", "staff:7f"));
    assert_eq!(token.end_user.as_deref(), Some("ann"), "there the subject is a person");
    let by_claim = json!({"iss": "https://by.claim", "team_key": "search"});
    assert_eq!(checked(&foreign(header.clone(), by_claim)).unwrap().parent, "search");
    let wrong = fault(checked(&foreign(header.clone(), json!({"iss": "https://by.claim"}))));
    assert!(wrong.message.contains("`team_key`"), "{}", wrong.message);
    let own_audience = ed_signed(&header, &body(json!({"iss": "https://id.example"})));
    assert!(fault(checked(&own_audience)).message.contains("`aud`"));
    let shared = hs_signed(
        &json!({"alg": "HS256", "kid": "o"}),
        &body(json!({"iss": "https://id.example", "aud": "gate"})),
    );
    assert_eq!(checked(&shared).unwrap().parent, "staff");
}

#[test]
fn an_unknown_key_id_asks_for_the_issuers_keys() {
    let text = |header: Value| ed_signed(&header, &body(json!({"iss": "https://id.example", "aud": "gate"})));
    for kid in [json!("new"), json!("enc"), json!("short"), json!("r"), json!(null), json!(5)] {
        let result = checked(&text(json!({"alg": "EdDSA", "kid": kid})));
        let Err(Unfit::NeedsKeys { issuer, fault }) = result else { panic!("{result:?}") };
        assert_eq!((issuer.as_str(), fault.code), ("https://id.example", Code::InvalidKey));
    }
    let unfetched = verify(text(json!({"alg": "EdDSA", "kid": "e"})).as_bytes(), &tokens(), |_| None, NOW);
    assert_eq!(fault(unfetched).code, Code::StoreUnavailable);
}

#[test]
fn a_jwks_document_without_a_usable_key_is_refused() {
    let weak = json!({"keys": [{"kty": "OKP", "crv": "Ed25519", "x": URL_SAFE_NO_PAD.encode([0_u8; 32])}]});
    for wrong in [
        r"",
        "[]",
        "{}",
        r#"{"keys": 5}"#,
        r#"{"keys": []}"#,
        r#"{"keys": [5, {"kty": 1}]}"#,
        &weak.to_string(),
    ] {
        assert!(Jwks::parse(wrong.as_bytes()).is_err(), "{wrong}");
    }
    let only = json!({"keys": [{"kty": "OKP", "crv": "Ed25519", "x": POINT}]});
    assert!(Jwks::parse(only.to_string().as_bytes()).unwrap().key(None).is_some());
}

#[test]
fn a_token_has_8_kib_at_most() {
    let long = own(json!({"padding": "x".repeat(MAX_TOKEN)}));
    assert!(fault(long).message.contains("8192"));
}

#[test]
fn the_secret_of_the_admin_key_is_not_the_admin_key() {
    let admin = "0123456789abcdef0123456789abcdef";
    let derived = HsKey::derived(&Secret::new(admin));
    assert_ne!(derived, HsKey::new(admin.as_bytes()).unwrap());
    assert_ne!(derived, HsKey::derived(&Secret::new("another")));
    for debug in [format!("{:?}", tokens()), format!("{:?}", jwks())] {
        assert!(!debug.contains("0123456789") && !debug.contains("48, 49"), "{debug}");
    }
}
