//! The admin API's door, its roles, its log, and the forms of other gateways.

use crate::keys::{call, create};
use crate::setting::{ADMIN, PROGRAM, Setting, assert_limited, assert_usd, chat, key, secret};
use serde_json::{Value, json};
use tollgate_tests::gateway::Gateway;
use tollgate_tests::http::Request;

/// Every method and path of the API's own document, `{name}` filled in.
fn routes(setting: &Setting) -> Vec<(String, String)> {
    let document = setting.admin(&Request::get("/api/openapi.json"));
    assert_eq!(document.status, 200, "{}", document.text());
    let document = document.json();
    assert_eq!(document["openapi"].as_str().and_then(|version| version.get(..4)), Some("3.1."), "{document}");
    let paths = document["paths"].as_object().expect("paths").clone();
    let mut routes = Vec::new();
    for (path, methods) in paths {
        for method in methods.as_object().expect("methods").keys() {
            if ["get", "post", "patch", "delete", "put"].contains(&method.as_str()) {
                routes.push((method.to_uppercase(), path.replace("{name}", "x")));
            }
        }
    }
    assert!(routes.len() > 30, "{routes:?}");
    routes
}

fn request(method: &str, path: &str) -> Request {
    if method == "GET" { Request::get(path) } else { Request::json(method, path, &json!({})) }
}

#[test]
fn k19_the_admin_api_is_closed_until_somebody_is_its_admin() {
    let open = Setting::new("");
    let routes = routes(&open);
    for config in ["", &key("k", ""), "[server]\nrequire_key = false\n"] {
        let gateway = Gateway::start(PROGRAM, config);
        for (method, path) in &routes {
            for presented in ["", "Bearer ", "Bearer null", "Bearer tg-", &format!("Bearer {}", secret("k"))]
            {
                let mut request = request(method, path);
                if !presented.is_empty() {
                    request = request.header("authorization", presented);
                }
                let answer = gateway.ask(&request);
                assert!(
                    matches!(answer.status, 401 | 403),
                    "{config:?} {method} {path} {presented:?}: {}",
                    answer.status
                );
            }
        }
    }
}

#[test]
fn k19_no_route_answers_without_its_key() {
    let setting = Setting::of_key("");
    for (method, path) in routes(&setting) {
        for presented in ["", ADMIN.get(..8).unwrap_or_default(), "planted-admin-keyy", "' OR '1'='1"] {
            let mut request = request(&method, &path);
            if !presented.is_empty() {
                request = request.key(presented);
            }
            let answer = setting.gateway.ask(&request);
            assert_eq!(answer.status, 401, "{method} {path} {presented:?}: {}", answer.text());
            assert!(answer.error()["message"].is_string(), "{}", answer.text());
        }
    }
}

#[test]
fn k19_another_spelling_of_a_path_opens_nothing() {
    let setting = Setting::of_key("");
    let spellings = [
        "//api/keys",
        "/api//keys",
        "/api/./keys",
        "/v1/../api/keys",
        "/healthz/../api/keys",
        "/%61pi/keys",
        "/api/%6beys",
        "/api%2fkeys",
        "/API/KEYS",
        "/api/keys/",
        "/api/keys;x=1",
        "/api/keys?key=planted-admin-key",
        "/api/keys%00",
        "/litellm/api/keys",
        "/openai/v1/api/keys",
        "http://127.0.0.1/api/keys",
        "http://evil.example/healthz/../api/keys",
    ];
    for path in spellings {
        for host in ["gateway.test", "127.0.0.1", "evil.example/healthz?", "localhost:1/../../healthz"] {
            let mut client = setting.gateway.connect();
            client.send(format!("GET {path} HTTP/1.1\r\nhost: {host}\r\n\r\n").as_bytes());
            let answer = client.answer();
            assert!(answer.status >= 400, "{path} {host}: {}", answer.text());
            assert!(!answer.text().contains("\"data\""), "{path} {host}: {}", answer.text());
            let answer = setting
                .gateway
                .ask(&Request::get(path).key(&secret("k")).header("x-forwarded-uri", "/healthz"));
            assert!(answer.status >= 400, "{path}: {}", answer.text());
        }
    }
}

#[test]
fn each_role_may_do_what_it_may_and_no_more() {
    let setting = Setting::new(&format!(
        "[[teams]]\nname = \"t\"\n{}{}{}{}",
        key("caller", "team = \"t\""),
        key("viewer", "role = \"viewer\""),
        key("manager", "role = \"manager\"\nteam = \"t\""),
        key("admin", "role = \"admin\""),
    ));
    let reads = |method: &str| method == "GET";
    for (method, path) in routes(&setting) {
        let status = |name: &str| {
            // A body that no operation takes, so that nothing changes.
            let request = if reads(&method) {
                Request::get(&path)
            } else {
                Request::json(&method, &path, &json!({"no_such_field": 1}))
            };
            setting.ask(name, &request).status
        };
        let told = |name: &str| format!("{name}: {method} {path}");
        assert!(!matches!(status("admin"), 401 | 403 | 500..), "{}", told("admin"));
        if !reads(&method) && path != "/api/tokens" {
            assert_eq!(status("viewer"), 403, "{}", told("viewer"));
            assert_eq!(status("caller"), 403, "{}", told("caller"));
        }
        if reads(&method) {
            assert!(!matches!(status("viewer"), 401 | 403 | 500..), "{}", told("viewer"));
        }
        let ruled = [
            "/api/organisations",
            "/api/users",
            "/api/tags",
            "/api/audit",
            "/api/upstreams",
            "/api/reload",
            "/team/new",
        ];
        if ruled.iter().any(|ruled| path.starts_with(ruled)) {
            assert_eq!(status("manager"), 403, "{}", told("manager"));
            assert_eq!(status("caller"), 403, "{}", told("caller"));
        }
    }
}

#[test]
fn every_change_is_in_the_audit_log_with_who_what_before_and_after() {
    let mut setting = Setting::new(&key("boss", "role = \"admin\""));
    create(&setting.gateway, &json!({"name": "ci", "rpm": 5}));
    let changed = setting.ask("boss", &Request::json("PATCH", "/api/keys/ci", &json!({"rpm": 7})));
    assert_eq!(changed.status, 200, "{}", changed.text());
    assert_eq!(setting.admin(&Request::json("PATCH", "/api/keys/ci", &json!({"rpm": -7}))).status, 400);
    assert_eq!(setting.admin(&Request::new("DELETE", "/api/keys/ci")).status, 200);
    setting.gateway.kill();
    setting.restart();
    let log = setting.admin(&Request::get("/api/audit")).json();
    let mut lines = log["data"].as_array().expect("lines").clone();
    lines.sort_by_key(|line| line["number"].as_u64());
    let told: Vec<_> = lines
        .iter()
        .map(|line| (line["actor"].as_str().unwrap_or_default(), line["action"].as_str().unwrap_or_default()))
        .collect();
    assert_eq!(told, [("admin", "key.create"), ("key:boss", "key.update"), ("admin", "key.delete")], "{log}");
    assert!(lines.iter().all(|line| line["subject"] == "key:ci"));
    assert_eq!((&lines[1]["before"]["rpm"], &lines[1]["after"]["rpm"]), (&json!(5), &json!(7)));
    assert!(lines[2]["after"].is_null());
    let verified = setting.admin(&Request::get("/api/audit/verify"));
    assert_eq!(verified.status, 200, "{}", verified.text());
    let gone = setting.admin(&Request::new("DELETE", "/api/audit"));
    assert_eq!(gone.status, 405, "{}", gone.text());
}

#[test]
fn what_the_config_says_cannot_be_changed_over_the_api() {
    let setting = Setting::new(&format!("[[teams]]\nname = \"t\"\nrpm = 5\n{}", key("k", "team = \"t\"")));
    for request in [
        Request::json("PATCH", "/api/keys/k", &json!({"rpm": 500})),
        Request::new("DELETE", "/api/keys/k"),
        Request::raw("/api/keys/k/rotate", "{}"),
        Request::json("PATCH", "/api/teams/t", &json!({"rpm": 500})),
        Request::post("/api/keys", &json!({"name": "k"})),
    ] {
        let answer = setting.admin(&request);
        assert_eq!(answer.status, 409, "{}", answer.text());
    }
    assert_eq!(setting.chat("sim/m").status, 200);
}

#[test]
fn a_script_for_litellm_keeps_working() {
    let setting = Setting::of_key("");
    let post = |path: &str, body: &Value| setting.admin(&Request::post(path, body));
    let team =
        post("/team/new", &json!({"team_alias": "search", "max_budget": 10, "budget_duration": "30d"}));
    assert_eq!(team.status, 200, "{}", team.text());
    let team_id = team.json()["team_id"].clone();
    let made = post(
        "/key/generate",
        &json!({"key_alias": "ci", "team_id": team_id, "models": ["sim/m"], "max_budget": 0.25,
            "budget_duration": "1d", "rpm_limit": 100, "tpm_limit": 100000, "duration": "30d", "metadata": {"a": 1}}),
    );
    assert_eq!(made.status, 200, "{}", made.text());
    let secret = made.json()["key"].as_str().expect("the key").to_owned();
    assert_eq!(call(&setting.gateway, &secret).status, 200);
    assert_eq!(setting.gateway.ask(&chat("two/m").key(&secret)).status, 403);
    setting.settled("key:ci", 1);
    let info = setting.admin(&Request::get(&format!("/key/info?key={secret}")));
    assert_eq!(info.status, 200, "{}", info.text());
    assert!(!info.text().contains(&secret), "never the secret again: {}", info.text());
    assert_usd(info.json()["info"]["spend"].as_f64().expect("dollars"), 0.004_002);
    let updated = post("/key/update", &json!({"key": secret, "rpm_limit": 1}));
    assert_eq!(updated.status, 200, "{}", updated.text());
    assert_limited(&call(&setting.gateway, &secret), "rpm_exceeded", "key:ci");
    assert_eq!(post("/key/delete", &json!({"keys": [secret]})).status, 200);
    assert_eq!(call(&setting.gateway, &secret).status, 401);
}

#[test]
fn a_script_for_bifrost_keeps_working() {
    let setting = Setting::of_key("");
    let made = setting.admin(&Request::post(
        "/api/keys",
        &json!({"name": "ci", "models": ["sim/m"], "budget": {"max_limit": 0.25, "reset_duration": "1d"},
            "rate_limit": {"request_max_limit": 1, "request_reset_duration": "1m"}}),
    ));
    assert!(matches!(made.status, 200 | 201), "{}", made.text());
    let secret = made.json()["value"].as_str().expect("the key").to_owned();
    assert_eq!(call(&setting.gateway, &secret).status, 200);
    assert_limited(&call(&setting.gateway, &secret), "rpm_exceeded", "key:ci");
}

#[test]
fn prices_models_and_oneself_are_told() {
    let setting = Setting::of_key("models = [\"sim/*\"]");
    let me = setting.ask("k", &Request::get("/api/me"));
    assert_eq!((me.status, &me.json()["key"]["name"]), (200, &json!("k")), "{}", me.text());
    assert!(!me.text().contains(&secret("k")));
    let prices = setting.ask("k", &Request::get("/api/prices?model=gpt-4o&limit=5"));
    assert_eq!(prices.status, 200, "{}", prices.text());
    assert!(prices.json()["data"].as_array().is_some_and(|rows| !rows.is_empty()), "{}", prices.text());
}

#[test]
fn a_reload_over_the_api_takes_up_the_file() {
    let setting = Setting::of_key("rpm = 1");
    assert_eq!((setting.chat("sim/m").status, setting.chat("sim/m").status), (200, 429));
    let file = setting.gateway.config();
    let old = std::fs::read_to_string(&file).expect("the config is there");
    std::fs::write(&file, old.replace("rpm = 1", "rpm = 3")).expect("it can be written");
    let reloaded = setting.admin(&Request::raw("/api/reload", ""));
    assert_eq!(reloaded.status, 200, "{}", reloaded.text());
    let statuses: Vec<_> = (0..3).map(|_| setting.chat("sim/m").status).collect();
    assert_eq!(statuses, [200, 200, 429], "the window goes on with the new limit");
    std::fs::write(&file, old.replace("rpm = 1", "rpm = -3")).expect("it can be written");
    let refused = setting.admin(&Request::raw("/api/reload", ""));
    assert!(refused.status >= 400 && refused.text().contains("rpm"), "{}", refused.text());
    assert_eq!(setting.chat("sim/m").status, 429, "the old one stays");
}
