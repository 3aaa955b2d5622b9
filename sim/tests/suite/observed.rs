//! What the simulator tells about the requests it had.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::raw::{Client, chat, get, hello, hello_stream, post, sim};
use tollgate_sim::Running;

/// The last request, once it has ended the way it should.
fn ended(sim: &Running, how: &str) -> Value {
    let deadline = Instant::now() + Duration::from_secs(5);
    loop {
        let log = get(sim, "/sim/log").json();
        let last = log["requests"].as_array().and_then(|all| all.last().cloned()).unwrap_or_default();
        if last["ended"] == how {
            return last;
        }
        assert!(Instant::now() < deadline, "{last}");
        std::thread::sleep(Duration::from_millis(2));
    }
}

#[test]
fn a_request_is_logged_as_it_came_without_its_key() {
    let sim = sim();
    let headers = ["authorization: Bearer sk-test-1234567890", "x-other: kept"];
    let body = hello();
    post(&sim, "/v1/chat/completions?key=secret&x=1", &headers, &body);
    let entry = ended(&sim, "completed");
    assert_eq!(entry["method"], "POST");
    assert_eq!(entry["path"], "/v1/chat/completions?x=1");
    assert_eq!(entry["headers"]["x-other"], "kept");
    assert!(entry["headers"].get("authorization").is_none());
    assert_eq!(entry["key"]["prefix"], "sk-test-");
    assert_eq!(entry["key"]["length"], 18);
    assert!(!entry.to_string().contains("1234567890") && !entry.to_string().contains("secret"));
    assert_eq!(entry["body_length"], body.to_string().len());
    assert_eq!(entry["status"], 200);
}

#[test]
fn h10_a_client_that_leaves_is_noticed_in_the_middle_of_a_stream() {
    let sim = sim();
    let mut client = Client::connect(sim.addr);
    client.send(
        "POST",
        "/v1/chat/completions",
        &["x-sim: stall_after=2"],
        hello_stream().to_string().as_bytes(),
    );
    let mut reply = client.head();
    client.chunk(&mut reply).unwrap();
    client.chunk(&mut reply).unwrap();
    assert_eq!(ended(&sim, "open")["events_written"], 2);
    drop(client);
    let entry = ended(&sim, "client_closed");
    assert_eq!(entry["events_written"], 2);
    assert_eq!(entry["bytes_written"], reply.chunks.concat().len());
}

#[test]
fn h10_a_client_that_leaves_is_noticed_before_the_head() {
    let sim = sim();
    let mut client = Client::connect(sim.addr);
    client.send(
        "POST",
        "/v1/chat/completions",
        &["x-sim: head_silence"],
        hello_stream().to_string().as_bytes(),
    );
    ended(&sim, "open");
    drop(client);
    assert_eq!(ended(&sim, "client_closed")["bytes_written"], 0);
}

#[test]
fn a_break_of_its_own_is_not_taken_for_the_clients() {
    let sim = sim();
    chat(&sim, "cut_after_bytes=10", &hello_stream());
    assert_eq!(ended(&sim, "broken")["bytes_written"], 10);
}

#[test]
fn k16_a_cut_exchange_leaves_the_next_one_on_another_connection_whole() {
    let sim = sim();
    chat(&sim, "cut_after_bytes=10", &hello_stream());
    assert_eq!(
        chat(&sim, "cached=0", &hello()).json()["choices"][0]["message"]["content"],
        "You said: hello"
    );
}

#[test]
fn a_connection_serves_one_request_after_another() {
    let sim = sim();
    let mut client = Client::connect(sim.addr);
    for body in [hello(), hello_stream(), hello()] {
        client.send("POST", "/v1/chat/completions", &[], body.to_string().as_bytes());
        assert_eq!(client.reply().status, 200);
    }
}

#[test]
fn the_log_keeps_the_last_thousand_and_reset_forgets() {
    let sim = sim();
    let mut client = Client::connect(sim.addr);
    for _ in 0..1010 {
        client.send("GET", "/v1/models", &[], b"");
        assert_eq!(client.reply().status, 200);
    }
    let log = get(&sim, "/sim/log").json();
    let numbers: Vec<u64> =
        log["requests"].as_array().unwrap().iter().map(|entry| entry["number"].as_u64().unwrap()).collect();
    assert_eq!((numbers.len(), numbers[0]), (1000, 11));
    post(&sim, "/sim/reset", &[], &Value::Null);
    assert_eq!(get(&sim, "/sim/count").json()["count"], 0);
    assert_eq!(get(&sim, "/sim/log").json()["requests"], Value::Array(vec![]));
}

#[test]
fn what_is_billed_is_told_call_by_call_and_key_by_key() {
    let sim = sim();
    let path = "/v1/chat/completions";
    for key in ["sk-first", "sk-first", "sk-other"] {
        post(&sim, path, &[&format!("authorization: Bearer {key}")], &hello());
    }
    assert_eq!(ended(&sim, "completed")["tokens"], json!({"input": 2, "output": 4}));
    chat(&sim, "cut_after_events=2", &hello_stream());
    chat(&sim, "status=500", &hello());
    let bill = get(&sim, "/sim/bill").json();
    assert_eq!(bill["completed"], json!({"calls": 3, "input": 6, "output": 12}), "{bill}");
    assert_eq!(bill["unfinished"], json!({"calls": 1, "input": 2, "output": 4}), "{bill}");
    let keys: Vec<_> =
        bill["keys"].as_array().unwrap().iter().map(|one| &one["completed"]["calls"]).collect();
    assert_eq!(keys, [0, 2, 1], "{bill}");
    post(&sim, "/sim/reset", &[], &Value::Null);
    assert_eq!(get(&sim, "/sim/bill").json()["completed"]["calls"], 0);
}

#[test]
fn an_unknown_path_is_a_404_in_openais_shape() {
    let reply = get(&sim(), "/v1/nonsense");
    assert_eq!(
        (reply.status, &reply.json()["error"]["message"]),
        (404, &"Invalid URL (GET /v1/nonsense)".into())
    );
}

/// How many requests the simulator has begun to answer, of so many that it has had.
fn begun(sim: &Running, had: usize) -> usize {
    let deadline = Instant::now() + Duration::from_secs(5);
    loop {
        let log = get(sim, "/sim/log").json();
        let all = log["requests"].as_array().cloned().unwrap_or_default();
        let begun = all.iter().filter(|entry| entry["status"] == 200).count();
        if all.len() == had && begun > 0 {
            return begun;
        }
        assert!(Instant::now() < deadline, "{log}");
        std::thread::sleep(Duration::from_millis(2));
    }
}

#[test]
fn a_gate_holds_a_head_back_until_it_is_opened() {
    let sim = sim();
    let asked = || {
        let mut client = Client::connect(sim.addr);
        client.send("POST", "/v1/chat/completions", &["x-sim: gate=a"], hello().to_string().as_bytes());
        client
    };
    let open = |query: &str| post(&sim, &format!("/sim/open?{query}"), &[], &json!({}));
    let mut clients = [asked(), asked(), asked()];
    open("id=b");
    open("id=a&permits=1");
    assert_eq!(begun(&sim, 3), 1);
    open("id=a");
    for client in &mut clients {
        assert_eq!(client.head().status, 200);
    }
    assert_eq!(asked().head().status, 200, "a gate that was opened for all stays open");
}

#[test]
fn a_gate_holds_each_event_back() {
    let sim = sim();
    let mut client = Client::connect(sim.addr);
    let directives = "x-sim: gate=each; gate_each; events=3";
    client.send("POST", "/v1/chat/completions", &[directives], hello_stream().to_string().as_bytes());
    let mut reply = client.head();
    for events in 1..=6 {
        post(&sim, "/sim/open?id=each&permits=1", &[], &json!({}));
        client.chunk(&mut reply).unwrap();
        assert_eq!(reply.chunks.len(), events);
    }
    assert_eq!(ended(&sim, "completed")["events_written"], 6);
}
