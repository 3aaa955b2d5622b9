//! The webhook, and budgets that are paid in advance.

use crate::setting::{Setting, assert_limited, assert_usd, key, secret, tenth};
use serde_json::{Value, json};
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener};
use std::sync::{Arc, Mutex};
use tollgate_tests::gateway::eventually;
use tollgate_tests::http::Request;

/// A listener that answers 204 to whoever calls, and keeps what it was told. It ends with the test's
/// process.
struct Webhook {
    address: SocketAddr,
    told: Arc<Mutex<Vec<Value>>>,
    /// Every byte that came.
    heard: Arc<Mutex<String>>,
}

impl Webhook {
    fn new() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port can be had");
        let address = listener.local_addr().expect("it has an address");
        let told = Arc::new(Mutex::new(Vec::new()));
        let kept = Arc::clone(&told);
        let heard = Arc::new(Mutex::new(String::new()));
        let all = Arc::clone(&heard);
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let Ok(mut stream) = stream else { continue };
                let mut text = Vec::new();
                let mut piece = [0; 4096];
                let body = loop {
                    let Ok(read @ 1..) = stream.read(&mut piece) else { break None };
                    text.extend_from_slice(&piece[..read]);
                    let whole = String::from_utf8_lossy(&text).into_owned();
                    let Some((_, body)) = whole.split_once("\r\n\r\n") else { continue };
                    if let Ok(body) = serde_json::from_str::<Value>(body) {
                        break Some(body);
                    }
                };
                all.lock().expect("nobody panicked").push_str(&String::from_utf8_lossy(&text));
                kept.lock().expect("nobody panicked").extend(body);
                let _ = stream.write_all(b"HTTP/1.1 204 No Content\r\nconnection: close\r\n\r\n");
            }
        });
        Self { address, told, heard }
    }

    fn told(&self) -> Vec<Value> {
        self.told.lock().expect("nobody panicked").clone()
    }
}

#[test]
fn a_budget_that_passes_its_warning_calls_the_webhook_once() {
    let webhook = Webhook::new();
    let setting = Setting::new(&format!(
        "[alerts]\nwebhook = \"http://{}/hook\"\n[[teams]]\nname = \"t\"\nbudget = [{{ usd = 1, per = \"day\", warn = 45 }}]\n{}",
        webhook.address,
        key("k", "team = \"t\"\nbudget = [{ usd = 1, per = \"month\", warn = 80 }]"),
    ));
    for _ in 0..4 {
        assert_eq!(setting.ask("k", &tenth("")).status, 200);
    }
    setting.settled("key:k", 4);
    assert_eq!(webhook.told(), Vec::<Value>::new(), "four tenths are below both");
    for _ in 0..5 {
        assert_eq!(setting.ask("k", &tenth("")).status, 200);
    }
    eventually("both warnings come", || webhook.told().len() >= 2);
    assert_eq!(setting.ask("k", &tenth("")).status, 402);
    let told = webhook.told();
    assert_eq!(told.len(), 2, "once each: {told:?}");
    let team = told.iter().find(|warning| warning["scope"] == "team:t").expect("the team's");
    assert_eq!(team["type"], "budget_warning");
    assert_eq!(
        (&team["budget"]["usd"], &team["budget"]["per"], &team["budget"]["warn"]),
        (&json!(1), &json!("day"), &json!(45))
    );
    assert_usd(team["spent_usd"].as_f64().expect("dollars"), 0.500_010);
    let key = told.iter().find(|warning| warning["scope"] == "key:k").expect("the key's");
    assert_usd(key["spent_usd"].as_f64().expect("dollars"), 0.800_016);
}

#[test]
fn j3_the_webhook_is_told_no_key_and_no_word_of_a_call() {
    let webhook = Webhook::new();
    let setting = Setting::new(&format!(
        "[alerts]\nwebhook = \"http://{}/hook\"\n{}",
        webhook.address,
        key("k", "budget = [{ usd = 1, per = \"month\", warn = 1 }]"),
    ));
    let ask = tenth("")
        .header("x-api-key", &secret("k"))
        .header("authorization", &format!("Bearer {}", secret("k")));
    assert_eq!(setting.ask("k", &ask).status, 200);
    eventually("the warning comes", || !webhook.told().is_empty());
    let heard = webhook.heard.lock().expect("nobody panicked").to_lowercase();
    assert!(heard.starts_with("post /hook") && heard.contains("\r\n\r\n{"), "{heard}");
    for header in ["authorization", "api-key", "cookie", "bearer", "x-tollgate"] {
        assert!(!heard.contains(header), "{header}: {heard}");
    }
    assert!(!heard.contains("planted"), "{heard}");
}

#[test]
fn a_warning_is_not_repeated_after_a_restart() {
    let webhook = Webhook::new();
    let mut setting = Setting::new(&format!(
        "[alerts]\nwebhook = \"http://{}/\"\n{}",
        webhook.address,
        key("k", "budget = [{ usd = 10, per = \"month\", warn = 1 }]"),
    ));
    assert_eq!(setting.ask("k", &tenth("")).status, 200);
    eventually("the warning comes", || webhook.told().len() == 1);
    setting.settled("key:k", 1);
    setting.gateway.signal("TERM");
    setting.gateway.wait();
    setting.restart();
    assert_eq!(setting.ask("k", &tenth("")).status, 200);
    setting.settled("key:k", 2);
    assert_eq!(webhook.told().len(), 1);
}

#[test]
fn a_webhook_that_is_not_there_delays_nobody() {
    let nobody = TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr()).expect("a port");
    let setting = Setting::new(&format!(
        "[alerts]\nwebhook = \"http://{nobody}/\"\n{}",
        key("k", "budget = [{ usd = 10, per = \"month\", warn = 1 }]"),
    ));
    for _ in 0..3 {
        assert_eq!(setting.ask("k", &tenth("")).status, 200);
    }
    setting.gateway.wait_for("key:k");
}

#[test]
fn a_prepaid_budget_is_spent_for_good_and_can_be_topped_up() {
    let mut setting = Setting::new("");
    let made = setting.admin(&Request::post(
        "/api/keys",
        &json!({"name": "paid", "budget": [{"usd": 0.15, "per": "never"}]}),
    ));
    assert_eq!(made.status, 201, "{}", made.text());
    let secret = made.json()["key"].as_str().expect("the secret, once").to_owned();
    let ask = |setting: &Setting| setting.gateway.ask(&tenth("").key(&secret));
    assert_eq!(ask(&setting).status, 200);
    let refused = ask(&setting);
    assert_limited(&refused, "budget_exceeded", "key:paid");
    assert_eq!(refused.header("retry-after"), "", "it never opens by itself");
    let top_up = |usd: Value| setting.admin(&Request::post("/api/keys/paid/topup", &json!({"usd": usd})));
    for wrong in [json!(-1), json!(0), json!("1"), json!(null), json!(1e30)] {
        assert_eq!(top_up(wrong.clone()).status, 400, "{wrong}");
    }
    assert_eq!(ask(&setting).status, 402);
    let topped = top_up(json!(0.1));
    assert_eq!(topped.status, 200, "{}", topped.text());
    assert_eq!((ask(&setting).status, ask(&setting).status), (200, 402));
    setting.settled("key:paid", 2);
    setting.gateway.signal("TERM");
    setting.gateway.wait();
    setting.restart();
    assert_eq!(ask(&setting).status, 402);
    assert_eq!(setting.admin(&Request::post("/api/keys/paid/topup", &json!({"usd": 1}))).status, 200);
    assert_eq!(ask(&setting).status, 200);
}
