//! Planted secrets that must not show up anywhere.

use crate::keys::create;
use crate::redis::{PASSWORD, Redis};
use crate::setting::{ADMIN, CHAT, PROGRAM, admin, chat, config, key, question, secret, stream, tenth};
use serde_json::json;
use std::path::Path;
use tollgate_tests::gateway::{Folder, Gateway, command, eventually};
use tollgate_tests::http::{Answer, Request};

/// Whether bytes hold a text.
fn holds(bytes: &[u8], text: &str) -> bool {
    bytes.windows(text.len()).any(|window| window == text.as_bytes())
}

/// Every file of a folder but the config.
fn files(folder: &Path) -> Vec<(String, Vec<u8>)> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).expect("the folder is there").flatten() {
        let path = entry.path();
        if path.is_dir() {
            found.extend(files(&path));
        } else if path.file_name().is_some_and(|name| name != "tollgate.toml") {
            found.push((path.display().to_string(), std::fs::read(&path).expect("it can be read")));
        }
    }
    found
}

#[test]
fn d3_no_planted_secret_shows_up_in_an_answer_a_log_or_a_store() {
    let sim = tollgate_sim::spawn().expect("a simulator can be had");
    let redis = Redis::start();
    let rest = format!(
        "[alerts]\nwebhook = \"http://127.0.0.1:9/planted-webhook-secret\"\n{}{}{}",
        key("k", "budget = [{ usd = 0.25, per = \"day\", warn = 1 }]\nrpm = 100"),
        key("once", "rpm = 1"),
        key("boss", "role = \"admin\""),
    );
    let config = config(&sim, &format!("path = \"own.db\"\nredis = \"{}\"", redis.url()), &rest);
    let folder = Folder::new();
    std::fs::write(folder.path().join("tollgate.toml"), config).expect("a config can be written");
    let mut program = command(PROGRAM, &folder);
    program.args(["serve", "--listen", "127.0.0.1:0"]).env("TOLLGATE_LOG", "trace");
    let mut gateway = Gateway::run(program, folder);

    let mut answers: Vec<Answer> = Vec::new();
    let mut hidden = vec![PASSWORD.to_owned(), ADMIN.to_owned(), "planted-webhook-secret".to_owned()];
    hidden.extend(["sim", "two", "claude", "free", "odd"].map(|name| format!("planted-provider-{name}")));
    hidden.extend(["k", "once", "boss"].map(secret));
    hidden.push("planted-prompt".to_owned());
    hidden.push("planted-wrong-key".to_owned());

    let made = create(&gateway, &json!({"name": "made", "rpm": 5}));
    let rotated = admin(&gateway, &Request::post("/api/keys/made/rotate", &json!({"grace": "1h"})));
    let newer = rotated.json()["key"].as_str().expect("the new secret").to_owned();
    let token = gateway.ask(&Request::post("/api/tokens", &json!({})).key(&secret("k")));
    let token = token.json()["token"].as_str().expect("a token").to_owned();
    for how in
        ["", "+status=500", "+status=401", "+error=bad_request", "+hangup", "+usage=none", "+status=429"]
    {
        for provider in ["sim", "two", "claude"] {
            let mut question = question(&format!("{provider}/m{how}"));
            question["messages"][0]["content"] = json!("planted-prompt");
            question["user"] = json!("u");
            // The answer repeats the question; only what is kept of it is of interest.
            gateway.ask(&Request::post(CHAT, &question).key(&secret("k")));
        }
    }
    for presented in [&secret("k"), &secret("once"), &made, &newer, &token, "planted-wrong-key", ADMIN] {
        for request in [
            chat("sim/m"),
            stream("sim/m", 10),
            tenth(""),
            chat("nobody/m"),
            Request::raw(CHAT, "{"),
            Request::get("/v1/models"),
        ] {
            answers.push(gateway.ask(&request.clone().key(presented)));
            answers.push(gateway.ask(&request.header("x-api-key", presented)));
        }
        answers.push(gateway.ask(&Request::get(&format!("/v1/models?key={presented}"))));
        answers.push(gateway.ask(&Request::get(&format!("/nowhere?key={presented}"))));
    }
    for path in [
        "/api/keys",
        "/api/keys/k",
        "/api/keys/made",
        "/api/teams",
        "/api/me",
        "/api/spend?by=key",
        "/api/requests",
        "/api/limits/key/k",
        "/api/audit",
        "/api/audit/verify",
        "/api/prices?limit=3",
        "/api/models",
        "/api/upstreams",
        "/api/openapi.json",
        "/key/info?key=k",
        "/key/info?key=made",
        "/metrics",
        "/healthz",
        "/readyz",
    ] {
        answers.push(admin(&gateway, &Request::get(path)));
        answers.push(gateway.ask(&Request::get(path).key(&secret("boss"))));
        answers.push(gateway.ask(&Request::get(path).key("planted-wrong-key")));
    }
    for (method, path, body) in [
        ("PATCH", "/api/keys/made", json!({"rpm": 7})),
        ("PATCH", "/api/keys/made", json!({"rpm": newer})),
        ("POST", "/api/keys", json!({"name": "x", "sha256": newer})),
        ("POST", "/key/update", json!({"key": newer, "rpm_limit": 9})),
        ("POST", "/api/reload", json!({})),
    ] {
        let answer = admin(&gateway, &Request::json(method, path, &body));
        assert!(answer.status < 500, "{method} {path}: {}", answer.text());
        answers.push(answer);
    }
    hidden.extend([made, newer, token]);
    eventually("all is on record", || {
        let rows = admin(&gateway, &Request::get("/api/requests?limit=1000"));
        rows.json()["data"].as_array().is_some_and(|rows| rows.len() >= 21)
    });
    for answer in &answers {
        let shown = format!("{:?} {}", answer.headers, answer.text());
        for secret in &hidden {
            assert!(!shown.contains(secret.as_str()), "{secret} in {} {shown}", answer.status);
        }
    }
    let dump = redis.dump();
    gateway.signal("TERM");
    gateway.wait();
    let said = gateway.said();
    assert!(said.len() > 1000, "it was told to log everything");
    let kept = files(gateway.folder().path());
    assert!(kept.iter().any(|(name, _)| name.ends_with("own.db")), "a database is there");
    for secret in &hidden {
        assert!(!said.contains(secret.as_str()), "{secret} in the log");
        assert!(!dump.contains(secret.as_str()), "{secret} in redis");
        for (name, bytes) in &kept {
            assert!(!holds(bytes, secret), "{secret} in {name}");
        }
    }
}

#[test]
fn secrets_in_a_config_are_in_no_error_about_it() {
    let folder = Folder::new();
    let config = format!(
        "[server]\nadmin_key = \"{ADMIN}\"\nlissten = 1\n[store]\nredis = \"redis://:{PASSWORD}@\"\n[alerts]\nwebhook = \"ftp://planted-webhook-secret\"\n{}{}",
        key("k", "rpm = -1\nteam = \"nobody\""),
        "[providers.sim]\nkind = \"openai\"\nkeys = [{ value = \"planted-provider-sim\", weight = -1 }]\n"
    );
    std::fs::write(folder.path().join("bad.toml"), config).expect("a config can be written");
    let done = tollgate_tests::gateway::output(command(PROGRAM, &folder), &["check", "bad.toml"]);
    let said = String::from_utf8_lossy(&[done.stdout, done.stderr].concat()).into_owned();
    assert_eq!(done.status.code(), Some(1));
    assert!(said.contains("rpm") && !said.contains("planted-"), "{said}");
}
