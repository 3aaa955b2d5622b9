//! `kill -9` at any moment.

use crate::setting::{
    ADMIN, CHAT, Setting, TENTH, assert_limited, capped, chat, key, limits, question, secret, tenth,
};
use serde_json::json;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::Mutex;
use std::time::Duration;
use tollgate_tests::gateway::eventually;
use tollgate_tests::http::Request;

/// What the clients of one life of the gateway saw.
#[derive(Clone, Copy, Debug, Default)]
struct Seen {
    /// Answers that came whole.
    completed: u64,
    /// Requests that were sent and of which no whole answer came.
    in_flight: u64,
}

/// One request after the other until the connection is lost; a client that bears that.
fn ask_until_the_end(setting: &Setting, streamed: bool, seen: &Mutex<Seen>) {
    let mut question = question("sim/m+chars=400,events=10,head_delay=5,drip=1");
    question["max_tokens"] = json!(100);
    question["stream"] = json!(streamed);
    let request = Request::post(CHAT, &question).key(&secret("k")).header("connection", "close").bytes();
    loop {
        let Ok(mut stream) = TcpStream::connect(setting.gateway.address) else { return };
        let sent = stream.write_all(&request).is_ok();
        let mut answer = Vec::new();
        // A reset is an end like any other.
        let _ = stream.set_read_timeout(Some(Duration::from_secs(10)));
        let _ = stream.read_to_end(&mut answer);
        let text = String::from_utf8_lossy(&answer);
        let whole = if streamed { text.contains("[DONE]") } else { text.trim_end().ends_with('}') };
        let mut seen = seen.lock().expect("nobody panicked");
        if text.starts_with("HTTP/1.1 200") && whole {
            seen.completed += 1;
        } else {
            assert!(!text.starts_with("HTTP/1.1 4") && !text.starts_with("HTTP/1.1 5"), "{text}");
            seen.in_flight += u64::from(sent);
            return;
        }
    }
}

#[test]
fn a_kill_at_any_moment_loses_no_settled_spend_and_counts_none_twice() {
    let mut setting = Setting::new(&format!(
        "{}{}",
        key("k", "budget = [{ usd = 100000, per = \"month\" }]"),
        key("window", "rpm = 8\ntpm = 100000"),
    ));
    let seen = Mutex::new(Seen::default());
    for life in 0..6 {
        std::thread::scope(|scope| {
            for at in 0..6 {
                let (setting, seen) = (&setting, &seen);
                scope.spawn(move || ask_until_the_end(setting, at % 2 == 0, seen));
            }
            // One request of each life is in a window that goes on.
            assert_eq!(setting.ask("window", &capped("sim/m", 100)).status, 200);
            std::thread::sleep(Duration::from_millis(300 + 67 * life));
            // By its id: the gateway stays where its clients look for it.
            tollgate_tests::gateway::signal(setting.gateway.id(), "KILL");
        });
        setting.gateway.wait();
        setting.restart();
    }
    let Seen { completed, in_flight } = *seen.lock().expect("nobody panicked");
    assert!(completed > 100 && in_flight >= 6, "{completed} {in_flight}");
    let gauge = setting.limit("key:k", "budget");
    let on_record = gauge.used + gauge.held;
    let (least, most) =
        (completed as f64 * TENTH, completed as f64 * TENTH + in_flight as f64 * (TENTH + 0.001));
    assert!(on_record >= least - 1e-6, "{on_record} dollars on record, {least} were answered: {gauge:?}");
    assert!(on_record <= most, "{on_record} dollars on record, at most {most}: {gauge:?}");
    // What the provider would bill is on record too, but for other keys' calls.
    let bill = setting.bill();
    let billed = bill.usd() - 6.0 * 0.004_002;
    assert!(on_record >= billed - 1e-6, "{on_record} dollars on record, {billed} on the bill");
    // The window goes on: six of its eight requests are used.
    let statuses: Vec<_> = (0..3).map(|_| setting.ask("window", &chat("sim/m")).status).collect();
    assert_eq!(statuses, [200, 200, 429]);
    // Nothing is in the requests' record that is not in the ledger.
    let spent = setting.spend("key:k");
    assert!(spent.usd <= on_record + 1e-6, "{} dollars in the record, {on_record} in the ledger", spent.usd);
}

#[test]
fn b5_a_kill_loses_nothing_of_the_requests_record() {
    let mut setting = Setting::of_key("budget = [{ usd = 100, per = \"month\" }]");
    for _ in 0..10 {
        assert_eq!(setting.ask("k", &tenth("")).status, 200);
    }
    setting.gateway.kill();
    setting.restart();
    let gauge = setting.limit("key:k", "budget");
    assert!((gauge.used - 10.0 * TENTH).abs() < 1e-6, "{gauge:?}");
    let spent = setting.spend("key:k");
    assert!(
        (spent.usd - gauge.used).abs() < 1e-6,
        "{} dollars are shown, {} are enforced",
        spent.usd,
        gauge.used
    );
}

#[test]
fn a_kill_frees_no_money_that_may_have_been_spent() {
    let mut setting = Setting::of_key("budget = [{ usd = 0.15, per = \"month\" }]");
    let mut client = setting.gateway.connect();
    client.send(&tenth(",head_silence").key(&secret("k")).bytes());
    eventually("it is with the provider", || setting.seen() == 1);
    setting.gateway.kill();
    setting.restart();
    let gauge = setting.limit("key:k", "budget");
    assert!(gauge.used + gauge.held >= 0.1, "{gauge:?}");
    assert_limited(&setting.ask("k", &tenth("")), "budget_exceeded", "key:k");
}

#[test]
fn a_budget_that_was_spent_stays_spent_over_ten_kills() {
    let mut setting = Setting::of_key("budget = [{ usd = 1.02, per = \"never\" }]");
    let mut served = 0;
    for _ in 0..10 {
        served += u32::from(setting.ask("k", &tenth("")).status == 200);
        setting.gateway.kill();
        setting.restart();
    }
    assert_eq!(served, 10, "{:?}", limits(&setting.gateway, "key:k"));
    assert_limited(&setting.ask("k", &tenth("")), "budget_exceeded", "key:k");
    let gauge = setting.limit("key:k", "budget");
    assert!((gauge.used + gauge.held - 10.0 * TENTH).abs() < 0.01, "{gauge:?}");
    assert!(!setting.gateway.said().contains(ADMIN));
}
