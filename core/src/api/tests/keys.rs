use super::*;

#[test]
fn d3_a_key_is_shown_once_and_neither_it_nor_its_hash_ever_again() {
    let mut stage = Stage::open();
    let told = stage.made("/api/keys", r#"{"name":"ci","rpm":5}"#);
    let secret = told.secret();
    assert!(secret.starts_with("tg-") && secret.len() >= 3 + 43, "256 bits in base64");
    let hash = spec::hex(&crate::keyring::digest(secret.as_bytes()));
    for target in ["/api/keys", "/api/keys/ci", "/api/openapi.json"] {
        let text = stage.admin("GET", target, "").text;
        assert!(!text.contains(&secret) && !text.contains(&hash), "{target}");
    }
    let told = stage.admin("PATCH", "/api/keys/ci", r#"{"rpm":6}"#);
    assert!(!told.text.contains(&hash) && !told.text.contains(&secret));
    let log = format!("{:?}", stage.deeds);
    assert!(!log.contains(&hash) && !log.contains(&secret) && !log.contains("sha256"), "{log}");
    assert_eq!(stage.call(&secret, "GET", "/api/me", "").body["actor"], "key:ci", "and it works");
}

#[test]
fn d4_a_rotated_key_stays_valid_for_its_grace_and_keeps_its_name_and_spend() {
    let mut stage = Stage::open();
    let old = stage.made("/api/keys", r#"{"name":"ci","rpm":5}"#).secret();
    let told = stage.admin("POST", "/api/keys/ci/rotate", r#"{"grace":"1h"}"#);
    let new = told.secret();
    assert_ne!(old, new);
    assert_eq!((told.status, &told.body["rpm"]), (200, &Value::from(5)));
    assert_eq!(told.body["previous_until"], spec::written(NOON + Millis(3_600_000)));
    let key = |stage: &Stage, secret: &str| {
        stage.directory.key_of(&crate::keyring::digest(secret.as_bytes())).map(|key| key.scope.name.clone())
    };
    assert_eq!(
        (key(&stage, &old), key(&stage, &new)),
        (Some("key:ci".to_owned()), Some("key:ci".to_owned()))
    );
    let last = stage.admin("POST", "/api/keys/ci/rotate", "").secret();
    assert_eq!((key(&stage, &old), key(&stage, &new), key(&stage, &last).is_some()), (None, None, true));
}

#[test]
fn an_imported_hash_is_kept_and_no_secret_is_made() {
    let mut stage = Stage::open();
    let hash = spec::hex(&crate::keyring::digest(b"sk-from-elsewhere"));
    let told = stage.made("/api/keys", &format!(r#"{{"name":"old","sha256":"{hash}"}}"#));
    assert!(told.body.get("key").is_none() && !told.text.contains(&hash));
    assert_eq!(stage.call("sk-from-elsewhere", "GET", "/api/me", "").body["actor"], "key:old");
    let again = stage.admin("POST", "/api/keys", &format!(r#"{{"name":"new","sha256":"{hash}"}}"#));
    assert_eq!((again.status, again.param()), (409, "sha256"));
}

#[test]
fn a_patch_replaces_what_it_names_and_null_removes() {
    let mut stage = Stage::open();
    stage.made(
        "/api/keys",
        r#"{"name":"ci","rpm":5,"tpm":9,"models":["a"],"expires":"2027-01-01T00:00:00Z"}"#,
    );
    let told = stage.admin("PATCH", "/api/keys/ci", r#"{"rpm":7,"models":null,"expires":null}"#);
    let created = spec::written(NOON);
    let shown = serde_json::json!({"name": "ci", "rpm": 7, "tpm": 9, "created": created, "source": "store"});
    assert_eq!(told.body, shown);
    assert_eq!(stage.admin("GET", "/api/keys/ci", "").body, shown);
    let deed = stage.deeds.last().unwrap();
    assert_eq!(
        (deed.actor.as_str(), deed.action.as_str(), deed.subject.as_str()),
        ("admin", "key.update", "key:ci")
    );
    assert!(deed.before.as_ref().unwrap().windows(7).any(|part| part == b"\"rpm\":5"));
    assert!(deed.after.as_ref().unwrap().windows(7).any(|part| part == b"\"rpm\":7"));
    assert_eq!(stage.admin("PATCH", "/api/keys/ci", r#"{"name":"cd"}"#).param(), "name");
    assert_eq!(stage.admin("PATCH", "/api/keys/ci", r#"{"sha256":null}"#).param(), "sha256");
}

#[test]
fn what_stands_in_the_config_is_seen_here_and_not_changed() {
    let mut stage = Stage::open();
    assert_eq!(stage.admin("GET", "/api/keys/static", "").body["source"], "config");
    for (method, target, body) in [
        ("PATCH", "/api/keys/static", r#"{"rpm":1}"#),
        ("DELETE", "/api/keys/static", ""),
        ("POST", "/api/keys/static/rotate", ""),
        ("POST", "/api/keys/static/block", ""),
        ("POST", "/api/keys", r#"{"name":"static"}"#),
        ("PATCH", "/api/teams/fixed", r#"{"rpm":1}"#),
        ("DELETE", "/api/teams/fixed", ""),
        ("POST", "/key/delete", r#"{"keys":["tg-static"]}"#),
    ] {
        let told = stage.admin(method, target, body);
        assert_eq!((told.status, told.code()), (409, "conflict"), "{method} {target}: {}", told.text);
    }
    assert!(stage.deeds.is_empty());
}

#[test]
fn a_holder_that_is_in_use_is_not_deleted_and_told_by_what() {
    let mut stage = Stage::open();
    stage.made("/api/organisations", r#"{"name":"acme"}"#);
    stage.made("/api/teams", r#"{"name":"search","organisation":"acme"}"#);
    for index in 0..5 {
        stage.made("/api/keys", &format!(r#"{{"name":"k{index}","team":"search"}}"#));
    }
    let told = stage.admin("DELETE", "/api/teams/search", "");
    assert_eq!(told.status, 409);
    assert_eq!(told.message(), "team:search is in use by key:k0, key:k1, key:k2 and 2 more");
    let told = stage.admin("DELETE", "/api/organisations/acme", "");
    assert_eq!(told.message(), "organisation:acme is in use by team:search, key:k0, key:k1 and 3 more");
    for index in 0..5 {
        assert_eq!(stage.admin("DELETE", &format!("/api/keys/k{index}"), "").status, 200);
    }
    assert_eq!(stage.admin("DELETE", "/api/teams/search", "").body["deleted"], true);
    assert_eq!(stage.admin("DELETE", "/api/teams/search", "").status, 404);
}

#[test]
fn lists_come_in_pages_in_the_order_of_names() {
    let mut stage = Stage::open();
    for name in ["b", "a", "d", "c"] {
        stage.made("/api/users", &format!(r#"{{"name":"{name}"}}"#));
    }
    let names = |told: &Told| -> Vec<String> {
        let data = told.body["data"].as_array().unwrap();
        data.iter().map(|one| one["name"].as_str().unwrap().to_owned()).collect()
    };
    let first = stage.admin("GET", "/api/users?limit=3", "");
    assert_eq!((names(&first).concat().as_str(), first.body["next"].as_str()), ("abc", Some("c")));
    let last = stage.admin("GET", "/api/users?limit=3&after=c", "");
    assert_eq!((names(&last).concat().as_str(), last.body["next"].as_str()), ("d", None));
    assert_eq!(names(&stage.admin("GET", "/api/keys?limit=1", "")), ["static"]);
}

#[test]
fn a_top_up_raises_the_prepaid_budget_and_no_other() {
    let mut stage = Stage::open();
    stage.made("/api/users", r#"{"name":"ann","budget":[{"usd":1,"per":"day"},{"usd":0.1,"per":"never"}]}"#);
    let told = stage.made("/api/users/ann/topup", r#"{"usd":0.2}"#);
    assert_eq!(
        told.body["budget"].to_string(),
        r#"[{"usd":1,"per":"day","zone":"UTC"},{"usd":0.3,"per":"never"}]"#
    );
    assert_eq!(stage.deeds.last().unwrap().action, "user.topup");
    stage.made("/api/users", r#"{"name":"bob","budget":[{"usd":1,"per":"day"}]}"#);
    assert_eq!(stage.admin("POST", "/api/users/bob/topup", r#"{"usd":1}"#).status, 409);
}

#[test]
fn whom_a_key_belongs_to_exists_and_is_of_one_organisation() {
    let mut stage = Stage::open();
    stage.made("/api/organisations", r#"{"name":"acme"}"#);
    stage.made("/api/organisations", r#"{"name":"umbrella"}"#);
    stage.made("/api/teams", r#"{"name":"search","organisation":"acme"}"#);
    for (field, kind) in [("team", "team"), ("user", "user"), ("organisation", "organisation")] {
        let told = stage.admin("POST", "/api/keys", &format!(r#"{{"name":"x","{field}":"ghost"}}"#));
        assert_eq!((told.status, told.param()), (404, field));
        assert_eq!(told.message(), format!("there is no {kind} `ghost`"));
    }
    let told = stage.admin("POST", "/api/keys", r#"{"name":"x","team":"search","organisation":"umbrella"}"#);
    assert_eq!((told.status, told.param()), (400, "team"));
    stage.made("/api/keys", r#"{"name":"x","team":"search","organisation":"acme"}"#);
}

#[test]
fn what_is_stored_is_read_as_the_same() {
    let mut stage = Stage::open();
    stage.made("/api/tags", r#"{"name":"batch"}"#);
    let body = r#"{"name":"ci","tags":["batch"],"client_tags":["job-*"],"models":["gpt-4o","openai/*"],
        "routes":["/v1/*"],"ips":["10.0.0.0/8","2001:db8::1"],"role":"viewer","rpm":1,"tpm":2,"tpm_input":3,
        "tpm_output":4,"concurrency":5,"budget":[{"usd":0.000000001,"per":"month","warn":80},
        {"usd":12.5,"per":"day","reset":"rolling"}],"limits":[{"model":"gpt-4o","rpm":1},
        {"provider":"openai","tpm":7}],"metadata":{"a":[1]},"note":"for CI","end_user":{"rpm":2},"expires":"2027-01-01T00:00:00Z","blocked":true}"#;
    stage.made("/api/keys", body);
    let key = stage.directory.key("ci").unwrap();
    let around = crate::directory::spec::Around::stored(&stage.config);
    let stored = spec::object(&crate::directory::spec::key_json(key));
    assert_eq!(spec::read_key(&stored, &around).unwrap(), **key);
    assert_eq!(key.within.len(), 2);
    assert_eq!(key.within[0].scope.name, "key:ci/model:gpt-4o");
}
