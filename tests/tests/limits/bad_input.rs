//! What is refused by name, with nothing changed.

use crate::setting::{PROGRAM, Setting, chat, key, secret};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};
use tollgate_tests::gateway::{Folder, command, output};
use tollgate_tests::http::Request;

/// What `tollgate check` says of a config, which it must refuse.
fn refused(config: &str) -> String {
    let folder = Folder::new();
    std::fs::write(folder.path().join("bad.toml"), config).expect("a config can be written");
    let done = output(command(PROGRAM, &folder), &["check", "bad.toml"]);
    let said = String::from_utf8_lossy(&[done.stdout, done.stderr].concat()).into_owned();
    assert_eq!(done.status.code(), Some(1), "{config}\n{said}");
    said
}

#[test]
fn b12_check_refuses_limits_that_are_none_and_names_the_field() {
    let numbers =
        ["-1", "0", "nan", "inf", "-inf", "1.5", "\"many\"", "true", "1e400", "99999999999999999999", "[]"];
    for field in ["rpm", "tpm", "tpm_input", "tpm_output", "concurrency"] {
        for number in numbers {
            for place in [
                "[[keys]]\nname = \"k\"\nvalue = \"tg-k\"\n",
                "[[teams]]\nname = \"t\"\n",
                "[[users]]\nname = \"u\"\n",
                "[[tags]]\nname = \"g\"\n",
                "[[organisations]]\nname = \"o\"\n",
            ] {
                let said = refused(&format!("{place}{field} = {number}\n"));
                assert!(
                    said.contains(field) && said.contains(":3") | said.contains(":4"),
                    "{field} = {number}: {said}"
                );
            }
        }
    }
}

#[test]
fn b12_check_refuses_budgets_that_are_none_and_names_the_field() {
    let budgets = [
        ("{ usd = -1, per = \"day\" }", "usd"),
        ("{ usd = 0, per = \"day\" }", "usd"),
        ("{ usd = nan, per = \"day\" }", "usd"),
        ("{ usd = inf, per = \"day\" }", "usd"),
        ("{ usd = -inf, per = \"day\" }", "usd"),
        ("{ usd = 1e30, per = \"day\" }", "usd"),
        ("{ usd = \"1\", per = \"day\" }", "usd"),
        ("{ per = \"day\" }", "usd"),
        ("{ usd = 1 }", "per"),
        ("{ usd = 1, per = \"fortnight\" }", "fortnight"),
        ("{ usd = 1, per = \"\" }", "per"),
        ("{ usd = 1, per = \"-1d\" }", "per"),
        ("{ usd = 1, per = 60 }", "per"),
        ("{ usd = 1, per = \"day\", warn = 0 }", "warn"),
        ("{ usd = 1, per = \"day\", warn = 101 }", "warn"),
        ("{ usd = 1, per = \"day\", warn = -5 }", "warn"),
        ("{ usd = 1, per = \"day\", warn = nan }", "warn"),
        ("{ usd = 1, per = \"day\", reset = \"sometimes\" }", "reset"),
        ("{ usd = 1, per = \"day\", zone = \"Mars/Olympus\" }", "zone"),
        ("{ usd = 1, per = \"day\", limit = 3 }", "limit"),
        ("{ usd = 1, per = \"day\" }, { usd = 2, per = \"day\" }", "day"),
    ];
    for (budget, field) in budgets {
        let said = refused(&format!("[[keys]]\nname = \"k\"\nvalue = \"tg-k\"\nbudget = [{budget}]\n"));
        assert!(said.contains(field) && said.contains("bad.toml:4:"), "{budget}: {said}");
    }
}

#[test]
fn check_refuses_whoever_belongs_to_nobody_or_to_two() {
    let key = "[[keys]]\nname = \"k\"\nvalue = \"tg-k\"\n";
    let wrong = [
        (format!("{key}team = \"nobody\"\n"), "nobody"),
        (format!("{key}team = [\"a\", \"b\"]\n[[teams]]\nname = \"a\"\n[[teams]]\nname = \"b\"\n"), "team"),
        (format!("{key}team = \"a\"\nteam = \"b\"\n"), "duplicate"),
        (format!("{key}user = \"nobody\"\n"), "nobody"),
        (format!("{key}organisation = \"nobody\"\n"), "nobody"),
        (format!("{key}[[keys]]\nname = \"k\"\nvalue = \"tg-other\"\n"), "k"),
        (format!("{key}[[keys]]\nname = \"l\"\nvalue = \"tg-k\"\n"), "l"),
        ("[[teams]]\nname = \"a\"\n[[teams]]\nname = \"a\"\n".to_owned(), "a"),
        ("[[teams]]\nname = \"a\"\norganisation = \"nobody\"\n".to_owned(), "nobody"),
        (
            format!(
                "[[organisations]]\nname = \"o\"\n[[organisations]]\nname = \"p\"\n[[teams]]\nname = \"a\"\norganisation = \"o\"\n{key}team = \"a\"\norganisation = \"p\"\n"
            ),
            "organisation",
        ),
        (format!("{key}limits = [{{ provider = \"nobody\", rpm = 1 }}]\n"), "nobody"),
        (format!("{key}limits = [{{ rpm = 1 }}]\n"), "model"),
        (format!("{key}limits = [{{ model = \"a*b\", rpm = 1 }}]\n"), "model"),
        (format!("{key}end_user = {{ rpm = -1 }}\n"), "rpm"),
        (format!("{key}role = \"root\"\n"), "role"),
        (format!("{key}ips = [\"10.0.0.0/33\"]\n"), "ips"),
        (format!("{key}expires = \"next week\"\n"), "expires"),
        (format!("{key}sha256 = \"abc\"\n"), "sha256"),
    ];
    for (config, field) in wrong {
        let said = refused(&config);
        assert!(said.contains(field) && !said.contains("tg-k"), "{config}\n{said}");
    }
}

/// Strings that mean something to a database, a header, a page or a terminal.
const INJECTIONS: [&str; 10] = [
    "'; DROP TABLE entities; --",
    "' OR '1'='1",
    "a\r\nx-injected: yes",
    "a\nb",
    "a\0b",
    "../../etc/passwd",
    "<script>alert(1)</script>",
    "${jndi:ldap://x}",
    "\u{1b}[31m",
    "key:k/model:x",
];

#[test]
fn check_refuses_names_that_could_be_taken_for_something_else() {
    for name in INJECTIONS {
        let name = json!(name).to_string().replace("\\u001b", "\\u001B");
        for kind in ["keys", "teams", "users", "organisations", "tags"] {
            let value = if kind == "keys" { "value = \"tg-k\"\n" } else { "" };
            let said = refused(&format!("[[{kind}]]\nname = {name}\n{value}"));
            assert!(said.contains("name"), "{kind} {name}: {said}");
        }
    }
}

/// What the store holds, as the API tells it.
fn everything(setting: &Setting) -> String {
    let lists = ["organisations", "teams", "users", "tags", "keys", "audit"];
    lists.map(|list| setting.admin(&Request::get(&format!("/api/{list}?limit=1000"))).text()).concat()
}

#[test]
fn the_admin_api_refuses_the_same_by_the_fields_name_and_changes_nothing() {
    let setting = Setting::new("");
    assert_eq!(setting.admin(&Request::post("/api/teams", &json!({"name": "a"}))).status, 201);
    assert_eq!(setting.admin(&Request::post("/api/keys", &json!({"name": "k", "rpm": 5}))).status, 201);
    let before = everything(&setting);
    let mut wrong: Vec<(&str, String)> = Vec::new();
    for field in ["rpm", "tpm", "tpm_input", "tpm_output", "concurrency"] {
        for number in [
            "-1",
            "0",
            "1.5",
            "\"5\"",
            "true",
            "1e400",
            "99999999999999999999",
            "[]",
            "{}",
            "NaN",
            "Infinity",
        ] {
            wrong.push((field, format!("{{\"FIELDS\":0,\"{field}\":{number}}}")));
        }
    }
    for budget in [
        "{\"usd\":-1,\"per\":\"day\"}",
        "{\"usd\":0,\"per\":\"day\"}",
        "{\"usd\":1e300,\"per\":\"day\"}",
        "{\"usd\":\"1\",\"per\":\"day\"}",
        "{\"usd\":1,\"per\":\"fortnight\"}",
        "{\"usd\":1}",
        "{\"per\":\"day\"}",
        "{\"usd\":1,\"per\":\"day\",\"warn\":101}",
        "{\"usd\":1,\"per\":\"day\",\"zone\":\"Mars/Olympus\"}",
        "{\"usd\":1,\"per\":\"day\"},{\"usd\":2,\"per\":\"day\"}",
    ] {
        wrong.push(("budget", format!("{{\"FIELDS\":0,\"budget\":[{budget}]}}")));
    }
    for (field, value) in [
        ("team", json!("nobody")),
        ("team", json!(["a", "b"])),
        ("user", json!("nobody")),
        ("organisation", json!("nobody")),
        ("role", json!("root")),
        ("ips", json!(["10.0.0.0/33"])),
        ("expires", json!("next week")),
        ("models", json!("sim/*")),
        ("models", json!(["a*b"])),
        ("no_such_field", json!(1)),
        ("sha256", json!("abc")),
    ] {
        wrong.push((field, format!("{{\"FIELDS\":0,\"{field}\":{value}}}")));
    }
    for (field, body) in wrong {
        let as_new = body.replace("\"FIELDS\":0", "\"name\":\"new\"");
        let as_change = body.replace("\"FIELDS\":0,", "");
        let requests = [
            Request::raw("/api/keys", as_new.clone()),
            Request::json("PATCH", "/api/keys/k", &Value::Null).body(as_change),
        ];
        for request in requests {
            let answer = setting.admin(&request);
            assert!(matches!(answer.status, 400 | 404 | 409), "{body}: {} {}", answer.status, answer.text());
            let message = answer.error().to_string();
            assert!(message.contains(field) || answer.code() == "bad_json", "{field}: {message}");
        }
    }
    assert_eq!(everything(&setting), before);
}

#[test]
fn injections_in_any_string_of_the_api_change_nothing() {
    let setting = Setting::of_key("");
    let before = everything(&setting);
    for text in INJECTIONS {
        for field in ["name", "team", "user", "organisation"] {
            let mut body = json!({"name": "new"});
            body[field] = json!(text);
            let answer = setting.admin(&Request::post("/api/keys", &body));
            assert!(
                matches!(answer.status, 400 | 404),
                "{field} {text:?}: {} {}",
                answer.status,
                answer.text()
            );
        }
        let encoded: String = text.bytes().map(|byte| format!("%{byte:02x}")).collect();
        for path in [
            "/api/keys/",
            "/api/teams/",
            "/api/limits/key/",
            "/key/info?key=",
            "/api/spend?key=",
            "/api/spend?by=",
            "/api/requests?after=",
            "/api/keys?after=",
        ] {
            let answer = setting.admin(&Request::get(&format!("{path}{encoded}")));
            assert!(answer.status < 500, "{path}{text:?}: {}", answer.text());
            assert!(answer.header("x-injected").is_empty());
            assert_eq!(answer.header("content-type"), "application/json", "nobody takes it for a page");
        }
        // As keys, end users, models and tags of a call.
        let mut question = crate::setting::question(text);
        question["user"] = json!(text);
        for request in [
            Request::post(crate::setting::CHAT, &question).key(&secret("k")),
            chat("sim/m").key(&text.replace(['\r', '\n', '\0', '\u{1b}'], "")),
            Request::get(&format!("/v1/models/{encoded}")).key(&secret("k")),
        ] {
            let answer = setting.gateway.ask(&request);
            assert!((400..500).contains(&answer.status), "{text:?}: {}", answer.text());
            assert!(answer.header("x-injected").is_empty());
        }
        let mut question = crate::setting::question("sim/m");
        question["user"] = json!(text);
        assert_eq!(setting.ask("k", &Request::post(crate::setting::CHAT, &question)).status, 200);
    }
    assert_eq!(everything(&setting), before);
    assert_eq!(setting.chat("sim/m").status, 200);
}

#[test]
fn a_key_of_ten_thousand_letters_is_just_a_wrong_key() {
    let setting = Setting::of_key("");
    let long = "k".repeat(10_000);
    for request in [
        chat("sim/m").key(&long),
        chat("sim/m").header("x-api-key", &long),
        chat("sim/m").key(&format!("{}{}", secret("k"), long)),
        chat("sim/m").key(&format!("tg-{long}")),
        chat("sim/m").key(&format!("{long}.{long}.{long}")),
        Request::get("/api/keys").key(&long),
    ] {
        let answer = setting.gateway.ask(&request);
        assert!(matches!(answer.status, 401 | 431), "{}", answer.text());
        assert!(!answer.text().contains("kkkk"));
    }
    let made = setting
        .admin(&Request::post("/key/generate", &json!({"key_alias": "l", "key": format!("sk-{long}")})));
    assert!(matches!(made.status, 400 | 413), "{}", made.text());
    assert_eq!(setting.chat("sim/m").status, 200);
}

#[test]
fn a_token_that_was_tampered_with_is_refused() {
    let setting = Setting::new(&format!("{}{}", key("k", "models = [\"sim/m\"]"), key("rich", "")));
    let made = setting.ask("k", &Request::post("/api/tokens", &json!({"ttl": "1h", "max_requests": 50})));
    assert_eq!(made.status, 201, "{}", made.text());
    let token = made.json()["token"].as_str().expect("a token").to_owned();
    let parts: Vec<&str> = token.split('.').collect();
    let decoded = |part: &str| -> Value {
        serde_json::from_slice(&URL_SAFE_NO_PAD.decode(part).expect("base64")).expect("JSON")
    };
    let encoded = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
    let (head, claims) = (decoded(parts[0]), decoded(parts[1]));
    let with_head = |field: &str, value: Value| {
        let mut head = head.clone();
        head[field] = value;
        head
    };
    let with_claim = |field: &str, value: Value| {
        let mut claims = claims.clone();
        claims[field] = value;
        claims
    };
    let call = |token: &str| setting.gateway.ask(&chat("sim/m").key(token));
    assert_eq!(call(&token).status, 200);
    let mut forged = vec![
        format!("{}.{}.", encoded(&with_head("alg", json!("none"))), parts[1]),
        format!("{}.{}.{}", encoded(&with_head("alg", json!("none"))), parts[1], parts[2]),
        format!("{}.{}.", encoded(&with_head("alg", json!("None"))), parts[1]),
        format!("{}.{}.{}", encoded(&with_head("alg", json!("HS512"))), parts[1], parts[2]),
        format!("{}.{}.{}", encoded(&with_head("alg", json!("EdDSA"))), parts[1], parts[2]),
        format!(
            "{}.{}.{}",
            encoded(&with_head("jku", json!("http://evil.example/jwks"))),
            parts[1],
            parts[2]
        ),
        format!("{}.{}", parts[0], parts[1]),
        format!("{}.{}.", parts[0], parts[1]),
        format!("{token}.{}", parts[2]),
        format!("{}.{}.{}", parts[0], parts[1], "A".repeat(43)),
        format!("{}=.{}.{}", parts[0], parts[1], parts[2]),
        "..".to_owned(),
        "a.b.c".to_owned(),
    ];
    for (claim, value) in [
        ("sub", json!("rich")),
        ("sub", json!("key:rich")),
        ("aud", json!("another")),
        ("exp", json!(4_000_000_000_u64)),
        ("exp", json!("never")),
        ("nbf", json!(4_000_000_000_u64)),
        ("models", json!(["*"])),
        ("max_requests", json!(1_000_000)),
    ] {
        forged.push(format!("{}.{}.{}", parts[0], encoded(&with_claim(claim, value)), parts[2]));
    }
    for token in forged {
        let answer = call(&token);
        assert_eq!(answer.status, 401, "{token}: {}", answer.text());
        assert!(answer.text().len() < 2000 && !answer.text().contains(parts[1]), "{}", answer.text());
    }
    assert_eq!(call(&token).status, 200);
}
