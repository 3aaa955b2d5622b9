//! Short-lived keys: this gateway's own, and those of another issuer.

use crate::setting::{CHAT, PROGRAM, Setting, assert_limited, chat, config, key, question, tenth};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hmac::{Hmac, Mac as _};
use serde_json::{Value, json};
use sha2::Sha256;
use std::time::{SystemTime, UNIX_EPOCH};
use tollgate_tests::gateway::{Folder, Gateway};
use tollgate_tests::http::{Answer, Request};

/// Signs this gateway's own tokens.
const SECRET: &str = "planted-token-secret-of-32-letters";

/// Signs those of the other issuer.
const THEIRS: &str = "planted-issuer-secret-of-32-letters";

fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970").as_secs()
}

/// A token with these claims, signed with HS256.
fn signed(claims: &Value, secret: &str) -> String {
    let encode = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
    let text = format!("{}.{}", encode(&json!({"alg": "HS256", "typ": "JWT", "kid": "one"})), encode(claims));
    let mut mac = Hmac::<Sha256>::new_from_slice(secret.as_bytes()).expect("any length will do");
    mac.update(text.as_bytes());
    format!("{text}.{}", URL_SAFE_NO_PAD.encode(mac.finalize().into_bytes()))
}

/// Claims with one more, or without it where it is null.
fn with(mut claims: Value, name: &str, value: Value) -> Value {
    if value.is_null() {
        claims.as_object_mut().expect("an object").remove(name);
    } else {
        claims[name] = value;
    }
    claims
}

fn ours() -> Value {
    json!({"iss": "tollgate", "aud": "tollgate", "sub": "k", "exp": now() + 600, "iat": now(), "jti": "one"})
}

fn setting() -> Setting {
    Setting::new(&format!(
        "[tokens]\nsecret = \"{SECRET}\"\n{}{}{}",
        key("k", "models = [\"sim/*\"]\nbudget = [{ usd = 0.25, per = \"day\" }]"),
        key("rich", ""),
        key("gone", "blocked = true"),
    ))
}

fn call(setting: &Setting, token: &str) -> Answer {
    setting.gateway.ask(&chat("sim/m").key(token))
}

#[test]
fn a_token_signed_elsewhere_with_the_gateways_secret_is_taken_without_a_look_up() {
    let setting = setting();
    assert_eq!(call(&setting, &signed(&ours(), SECRET)).status, 200);
    assert_eq!(call(&setting, &signed(&ours(), "another-secret-of-thirty-two-letters")).status, 401);
    // The claims of the contract and no more: its issuer is the one whose secret signed it.
    let plain = json!({"aud": "tollgate", "sub": "k", "exp": now() + 600});
    assert_eq!(call(&setting, &signed(&plain, SECRET)).status, 200);
}

#[test]
fn claims_that_are_wrong_are_refused_although_the_signature_is_right() {
    let setting = setting();
    for (claim, value) in [
        ("aud", json!("another")),
        ("aud", json!(["another", "third"])),
        ("aud", Value::Null),
        ("iss", json!("another")),
        ("iss", json!(5)),
        ("exp", json!(now() - 1)),
        ("exp", Value::Null),
        ("exp", json!("tomorrow")),
        ("exp", json!(-1)),
        ("exp", json!(1e300)),
        ("nbf", json!(now() + 60)),
        ("iat", json!(now() + 60)),
        ("sub", json!("nobody")),
        ("sub", json!("gone")),
        ("sub", json!(["k"])),
        ("sub", Value::Null),
        ("models", json!("sim/*")),
        ("models", json!([])),
        ("models", json!(["a*b"])),
        ("max_requests", json!(-1)),
        ("max_requests", json!(0)),
        ("max_tokens", json!("many")),
        ("max_usd", json!(-1)),
        ("max_usd", json!(1e300)),
    ] {
        let answer = call(&setting, &signed(&with(ours(), claim, value.clone()), SECRET));
        assert!(matches!(answer.status, 401 | 403), "{claim} {value}: {} {}", answer.status, answer.text());
        assert!(!answer.text().contains("eyJ"), "{}", answer.text());
    }
    assert_eq!(setting.seen(), 0);
    // A clock that is a little behind is forgiven.
    assert_eq!(call(&setting, &signed(&with(ours(), "nbf", json!(now() + 2)), SECRET)).status, 200);
}

#[test]
fn a_token_is_never_wider_than_its_parent() {
    let setting = setting();
    let wide = with(with(ours(), "models", json!(["*"])), "max_usd", json!(1000));
    let token = signed(&wide, SECRET);
    let refused = setting.gateway.ask(&chat("two/m").key(&token));
    assert_eq!((refused.status, refused.code().as_str()), (403, "model_not_allowed"));
    let ask = || setting.gateway.ask(&tenth("").key(&token));
    assert_eq!((ask().status, ask().status), (200, 200));
    assert_limited(&ask(), "budget_exceeded", "key:k");
    // It opens nothing of the admin API beyond itself.
    let boss = setting.gateway.ask(&Request::get("/api/keys").key(&token));
    assert_eq!(boss.status, 403, "{}", boss.text());
}

#[test]
fn a_tokens_small_limits_are_its_own() {
    let setting = setting();
    let two = signed(&with(with(ours(), "max_requests", json!(2)), "jti", json!("two")), SECRET);
    let statuses: Vec<_> = (0..3).map(|_| call(&setting, &two).status).collect();
    assert_eq!(statuses[..2], [200, 200]);
    assert!(matches!(statuses[2], 402 | 429), "{statuses:?}");
    let refused = call(&setting, &two);
    assert!(refused.text().contains("token:two"), "whose limit: {}", refused.text());
    let dear = signed(&with(with(ours(), "max_usd", json!(0.11)), "jti", json!("dear")), SECRET);
    let ask = || setting.gateway.ask(&tenth("").key(&dear)).status;
    assert_eq!((ask(), ask()), (200, 402));
    // Another token of the same parent has its own.
    assert_eq!(call(&setting, &signed(&with(ours(), "jti", json!("three")), SECRET)).status, 200);
}

#[test]
fn b9_a_tokens_user_cannot_be_replaced_by_its_client() {
    let setting = Setting::new(&format!(
        "[tokens]\nsecret = \"{SECRET}\"\n{}",
        key("k", "end_user = { budget = [{ usd = 0.15, per = \"day\" }] }")
    ));
    let token = signed(&with(ours(), "user", json!("ann")), SECRET);
    let ask = |named: &str| {
        let mut question = question("sim/m+chars=400");
        question["max_tokens"] = json!(100);
        question["user"] = json!(named);
        let request = Request::post(CHAT, &question).header("x-tollgate-user", named);
        setting.gateway.ask(&request.key(&token)).status
    };
    assert_eq!((ask("ann"), ask("bob"), ask("ann")), (200, 402, 402));
}

#[test]
fn tokens_of_another_issuer_come_from_the_key_that_is_theirs() {
    let folder = Folder::new();
    let jwks =
        json!({"keys": [{"kty": "oct", "kid": "one", "alg": "HS256", "k": URL_SAFE_NO_PAD.encode(THEIRS)}]});
    let file = folder.path().join("jwks.json");
    std::fs::write(&file, jwks.to_string()).expect("a file can be written");
    let sim = tollgate_sim::spawn().expect("a simulator can be had");
    let rest = format!(
        "[tokens]\nissuers = [{{ issuer = \"https://id.example\", audience = \"gateway\", jwks = \"file:{}\", parent_claim = \"tenant\" }}]\n{}{}",
        file.display(),
        key("k", "models = [\"sim/*\"]\nrpm = 3"),
        key("rich", ""),
    );
    let gateway = Gateway::start_in(PROGRAM, folder, &config(&sim, "", &rest));
    let theirs = json!({"iss": "https://id.example", "aud": "gateway", "tenant": "k", "sub": "ann", "exp": now() + 600});
    let ask = |claims: &Value, secret: &str| gateway.ask(&chat("sim/m").key(&signed(claims, secret)));
    assert_eq!(ask(&theirs, THEIRS).status, 200);
    for (claim, value) in [
        ("aud", json!("tollgate")),
        ("iss", json!("https://evil.example")),
        ("exp", json!(now() - 1)),
        ("nbf", json!(now() + 60)),
        ("tenant", json!("nobody")),
        ("tenant", Value::Null),
    ] {
        let answer = ask(&with(theirs.clone(), claim, value.clone()), THEIRS);
        assert!(matches!(answer.status, 401 | 403), "{claim} {value}: {}", answer.text());
    }
    assert_eq!(ask(&theirs, SECRET).status, 401, "a forged signature");
    assert_eq!(ask(&ours(), THEIRS).status, 401, "nobody signs in this gateway's name");
    // Its parent's limits hold for all its tokens together.
    assert_eq!(ask(&with(theirs.clone(), "sub", json!("bob")), THEIRS).status, 200);
    assert_eq!(ask(&with(theirs.clone(), "sub", json!("eve")), THEIRS).status, 200);
    assert_limited(&ask(&theirs, THEIRS), "rpm_exceeded", "key:k");
}
