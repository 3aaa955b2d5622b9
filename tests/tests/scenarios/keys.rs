//! Keys: whose they are, where they stand, what they may.

use crate::setting::{PROGRAM, Setting, assert_refused, chat, question};
use tollgate_tests::gateway::{Folder, Gateway, command};
use tollgate_tests::http::Request;

const KEYS: &str = r#"
[[keys]]
name = "ci"
value = "tg-ci-key"
models = ["chat", "two/*"]
[[keys]]
name = "all"
value = "tg-all-key"
[[keys]]
name = "old"
value = "tg-old-key"
expires = "2020-01-01T00:00:00Z"
[[keys]]
name = "gone"
value = "tg-gone-key"
blocked = true
[models.chat]
targets = ["one/m"]
"#;

fn with(header: &str, value: &str) -> Request {
    chat("one/m").header(header, value)
}

#[test]
fn a_key_is_taken_from_all_five_places() {
    let setting = Setting::new(KEYS);
    for (name, value) in [
        ("authorization", "Bearer tg-all-key"),
        ("x-api-key", "tg-all-key"),
        ("api-key", "tg-all-key"),
        ("x-goog-api-key", "tg-all-key"),
    ] {
        assert_eq!(setting.gateway.ask(&with(name, value)).status, 200, "{name}");
    }
    let query = Request::post("/v1/chat/completions?key=tg-all-key", &question("one/m"));
    assert_eq!(setting.gateway.ask(&query).status, 200);
}

#[test]
fn a_clients_key_never_goes_up_and_a_providers_never_comes_down() {
    let setting = Setting::new(KEYS);
    for provider in ["one", "claude", "gem"] {
        setting.reset();
        let request =
            Request::post("/v1/chat/completions?key=tg-all-key", &question(&format!("{provider}/m")));
        let request = request.header("authorization", "Bearer tg-all-key").header("x-api-key", "tg-all-key");
        let request = request
            .header("x-goog-api-key", "tg-all-key")
            .header("api-key", "tg-all-key")
            .header("cookie", "a=tg-all-key");
        let answer = setting.gateway.ask(&request);
        assert_eq!(answer.status, 200, "{provider}");
        assert!(!format!("{answer:?}{}", answer.text()).contains("sk-provider"), "{provider}");
        let seen = setting.last();
        assert!(!seen.to_string().contains("tg-all"), "{seen}");
        // The simulator shows the beginning and the length of the one key it found.
        assert!(seen["key"]["prefix"].as_str().is_some_and(|prefix| prefix.starts_with("sk-pro")), "{seen}");
        assert_eq!(seen["key"]["length"], format!("sk-provider-{provider}").len());
    }
}

#[test]
fn without_a_known_key_nothing_is_asked() {
    let setting = Setting::new(KEYS);
    assert_refused(&setting.chat("one/m"), 401, "authentication_error", "missing_key");
    for (name, value) in
        [("authorization", "Bearer tg-wrong"), ("x-api-key", "tg-ci-ke"), ("api-key", "tg-ci-key2")]
    {
        let answer = setting.gateway.ask(&with(name, value));
        assert_refused(&answer, 401, "authentication_error", "invalid_key");
        assert!(!answer.text().contains("tg-"), "d3: {}", answer.text());
        assert_eq!(answer.header("www-authenticate"), "Bearer");
    }
    assert_refused(
        &setting.gateway.ask(&with("x-api-key", "tg-old-key")),
        401,
        "authentication_error",
        "expired_key",
    );
    assert_refused(
        &setting.gateway.ask(&with("x-api-key", "tg-gone-key")),
        403,
        "permission_error",
        "key_blocked",
    );
    let basic = setting.gateway.ask(&with("authorization", "Basic dGctY2kta2V5"));
    assert_refused(&basic, 401, "authentication_error", "missing_key");
    assert!(setting.log().is_empty());
}

#[test]
fn a_strangers_body_is_not_read() {
    let setting = Setting::new(KEYS);
    let mut client = setting.gateway.connect();
    // The refusal comes although most of the body never does.
    client.send(b"POST /v1/chat/completions HTTP/1.1\r\nhost: a\r\ncontent-length: 30000000\r\n\r\n{");
    assert_refused(&client.answer(), 401, "authentication_error", "missing_key");
}

#[test]
fn a_key_reaches_its_models_and_no_others() {
    let setting = Setting::new(KEYS);
    let ask = |model: &str| setting.gateway.ask(&chat(model).header("x-api-key", "tg-ci-key"));
    assert_eq!((ask("chat").status, ask("two/anything").status), (200, 200));
    for model in ["one/m", "claude/m"] {
        assert_refused(&ask(model), 403, "permission_error", "model_not_allowed");
    }
    let mut fallback = question("chat");
    fallback["fallbacks"] = serde_json::json!(["claude/m"]);
    let answer = setting
        .gateway
        .ask(&Request::post("/v1/chat/completions", &fallback).header("x-api-key", "tg-ci-key"));
    assert_refused(&answer, 403, "permission_error", "model_not_allowed");
    assert_eq!(answer.error()["param"], "fallbacks[0]");
    assert_eq!(setting.log().len(), 2);
}

#[test]
fn keys_need_not_be_required_and_a_blocked_one_is_refused_all_the_same() {
    let setting = Setting::new(&format!("[server]\nrequire_key = false\n{KEYS}"));
    assert_eq!(setting.chat("one/m").status, 200);
    assert_eq!(setting.gateway.ask(&with("x-api-key", "sk-dummy")).status, 200);
    assert_eq!(setting.gateway.ask(&with("x-api-key", "tg-gone-key")).status, 403);
    let required = Setting::new("[server]\nrequire_key = true\n");
    assert_eq!(required.chat("one/m").status, 401);
}

#[test]
fn what_needs_no_key_stays_open_and_model_lists_do_not() {
    let setting = Setting::new(KEYS);
    for path in ["/healthz", "/readyz"] {
        assert_eq!(setting.gateway.ask(&Request::get(path)).status, 200, "{path}");
    }
    assert_eq!(setting.gateway.ask(&Request::get("/v1/models")).status, 401);
    let list = setting.gateway.ask(&Request::get("/v1/models").header("x-api-key", "tg-ci-key"));
    let ids: Vec<_> =
        list.json()["data"].as_array().unwrap().iter().map(|model| model["id"].to_string()).collect();
    assert_eq!(ids, ["\"chat\""]);
}

#[test]
fn d3_no_key_and_no_prompt_is_logged_however_much_is() {
    let sim = tollgate_sim::spawn().expect("a simulator can be had");
    for [level, form] in [["debug", "--log-json"], ["trace", "serve"]] {
        let folder = Folder::new();
        let config = format!(
            "[[keys]]\nname = \"k\"\nvalue = \"tg-client-secret\"\n[providers.one]\nkind = \"openai\"\n\
             base_url = \"http://{}/v1\"\nkeys = [{{ value = \"sk-provider-secret\" }}]\n",
            sim.addr
        );
        std::fs::write(folder.path().join("tollgate.toml"), config).unwrap();
        let mut program = command(PROGRAM, &folder);
        program.args([form, "--listen", "127.0.0.1:0"]).env("TOLLGATE_LOG", level);
        let gateway = Gateway::run(program, folder);
        for how in ["one/m", "one/m+status=500", "one/m+status=401", "one/m+hangup", "nobody/m"] {
            let mut question = question(how);
            question["messages"][0]["content"] = "my prompt-secret".into();
            let request = Request::post("/v1/chat/completions?key=tg-client-secret", &question);
            let answer = gateway.ask(&request.header("authorization", "Bearer tg-wrong-secret"));
            assert!(answer.status != 401, "{}", answer.text());
            assert!(!answer.text().replace("my prompt-secret", "").contains("-secret"), "{}", answer.text());
        }
        gateway.wait_for("request");
        assert!(!gateway.said().contains("-secret"), "{}", gateway.said());
    }
}
