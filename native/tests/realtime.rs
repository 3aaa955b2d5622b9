//! Realtime sessions through the program itself, against the simulated provider.

#![expect(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "tests: the helpers too")]

#[path = "start/program.rs"]
mod program;

use program::Program;
use serde_json::{Value, json};
use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::{Error, Message, WebSocket, client};
use tollgate_sim::Running;

const PATIENCE: Duration = Duration::from_secs(20);

/// A gateway in front of a simulated provider.
struct World {
    sim: Running,
    program: Program,
}

const PRICES: &str = r#"
[prices."sim/demo"]
input = 10
output = 40
cache_read = 1
audio_input = 100
audio_cache_read = 2
audio_output = 400
[prices."sim/scribe"]
input = 1
output = 3
[models.talk]
targets = ["sim/demo+status=503", "sim/demo"]
strategy = "ordered"
"#;

impl World {
    fn start(name: &str, more: &str) -> Self {
        let sim = tollgate_sim::spawn().unwrap();
        let document = format!(
            "[server]\nlisten = \"127.0.0.1:0\"\nadmin_key = \"admin\"\nmax_body = \"64KiB\"\n\
             [store]\npath = \":memory:\"\n\
             [providers.sim]\nkind = \"openai\"\nbase_url = \"{}/v1\"\nkeys = [{{ name = \"k\", value = \"sk-upstream\" }}]\n\
             {PRICES}\n{more}",
            sim.url()
        );
        let program = Program::start(&format!("realtime-{name}"), &document, &[]);
        Self { sim, program }
    }

    fn get(address: &str, path: &str) -> Value {
        let mut stream = TcpStream::connect(address).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        let head = format!(
            "GET {path} HTTP/1.1\r\nhost: a\r\nauthorization: Bearer admin\r\nconnection: close\r\n\r\n"
        );
        stream.write_all(head.as_bytes()).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        let (_, body) = answer.split_once("\r\n\r\n").unwrap();
        serde_json::from_str(body).unwrap_or_else(|_| panic!("{answer}"))
    }

    /// What the admin API says once it is what is expected.
    fn until(&self, path: &str, good: impl Fn(&Value) -> bool) -> Value {
        let begun = Instant::now();
        loop {
            let said = Self::get(&self.program.address, path);
            if good(&said) {
                return said;
            }
            assert!(begun.elapsed() < PATIENCE, "{path}: {said}");
            std::thread::yield_now();
        }
    }

    /// The records, newest first, once there are so many.
    fn requests(&self, many: usize) -> Value {
        let full = |said: &Value| said["data"].as_array().is_some_and(|data| data.len() >= many);
        self.until("/api/requests", full)["data"].clone()
    }

    fn gauge(&self, limit: &str) -> Value {
        let said = Self::get(&self.program.address, "/api/limits/key/app");
        let found =
            said["data"][0]["limits"].as_array().and_then(|all| all.iter().find(|one| one["limit"] == limit));
        found.cloned().unwrap_or_else(|| panic!("{said}"))
    }

    fn upstream_log(&self) -> Value {
        Self::get(&self.sim.addr.to_string(), "/sim/log")
    }

    /// Waits until the upstream has seen its last session end, and how.
    fn until_upstream_ended(&self, how: &str) {
        let begun = Instant::now();
        loop {
            let log = self.upstream_log();
            let last = log["requests"].as_array().and_then(|all| all.last()).unwrap_or(&Value::Null);
            if last["ended"] == how {
                return;
            }
            assert!(begun.elapsed() < PATIENCE && last["ended"] == "open", "{log}");
        }
    }

    fn open_as(&self, key: &str, model: &str, more: &[(&str, &str)]) -> Result<Session, Refused> {
        let url = format!("ws://{}/v1/realtime?model={}", self.program.address, model.replace('+', "%2B"));
        let mut request = url.into_client_request().unwrap();
        if !key.is_empty() {
            request.headers_mut().insert("authorization", format!("Bearer {key}").parse().unwrap());
        }
        for (name, value) in more {
            let name: http::HeaderName = name.parse().unwrap();
            request.headers_mut().insert(name, value.parse().unwrap());
        }
        let stream = TcpStream::connect(&self.program.address).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        match client(request, stream) {
            Ok((socket, answer)) => {
                let mut session = Session { socket, headers: answer.headers().clone() };
                assert_eq!(session.next()["type"], "session.created");
                Ok(session)
            }
            Err(tokio_tungstenite::tungstenite::HandshakeError::Failure(Error::Http(answer))) => {
                let body = answer.body().clone().unwrap_or_default();
                Err(Refused {
                    status: answer.status().as_u16(),
                    body: serde_json::from_slice(&body).unwrap(),
                })
            }
            Err(error) => panic!("{error}"),
        }
    }

    fn open(&self, model: &str) -> Session {
        self.open_as("tg-app", model, &[]).unwrap_or_else(|refused| panic!("{refused:?}"))
    }
}

#[derive(Debug)]
struct Refused {
    status: u16,
    body: Value,
}

struct Session {
    socket: WebSocket<TcpStream>,
    headers: http::HeaderMap,
}

impl Session {
    fn say(&mut self, event: &Value) {
        self.socket.send(Message::text(event.to_string())).unwrap();
    }

    fn ask(&mut self, text: &str) {
        let content = json!([{"type": "input_text", "text": text}]);
        let item = json!({"type": "message", "role": "user", "content": content});
        self.say(&json!({"type": "conversation.item.create", "item": item}));
        self.say(&json!({"type": "response.create"}));
    }

    fn next(&mut self) -> Value {
        let message = self.socket.read().unwrap();
        let Message::Text(text) = &message else { panic!("{message:?}") };
        serde_json::from_str(text).unwrap()
    }

    fn until(&mut self, kind: &str) -> Value {
        loop {
            let event = self.next();
            if event["type"] == kind {
                return event;
            }
            assert_ne!(event["type"], "error", "{event}");
        }
    }

    /// The code and reason it is closed with.
    fn closed(&mut self) -> (u16, String) {
        loop {
            if let Message::Close(frame) = self.socket.read().unwrap() {
                let frame = frame.unwrap();
                return (frame.code.into(), frame.reason.to_string());
            }
        }
    }

    fn leave(mut self) {
        self.socket.close(None).unwrap();
        while self.socket.read().is_ok() {}
    }
}

fn key(limits: &str) -> String {
    format!("[[keys]]\nname = \"app\"\nvalue = \"tg-app\"\n{limits}\n")
}

#[test]
fn two_responses_are_charged_to_the_last_nano_dollar() {
    let world =
        World::start("charged", &key("budget = [{ usd = 10, per = \"day\" }]\nrpm = 5\ntpm = 100000"));
    let mut session = world.open("sim/demo");
    assert_eq!(session.headers["x-tollgate-provider"], "sim");
    assert_eq!(session.headers["x-tollgate-model"], "demo");
    assert_eq!(session.headers["x-ratelimit-remaining-requests"], "4");
    session.ask("[[sim: prompt_tokens=1000; cached=400; audio_input=600; audio_cached=100; chars=400; audio_output=60]]");
    let done = session.until("response.done");
    assert_eq!(done["response"]["usage"]["output_tokens"], 100);
    // 400 - 300 = 100 text at 10, 300 cached at 1, 500 sound at 100, 100 cached at 2, 40 at 40, 60 sound at 400.
    let first = 100 * 10 + 300 + 500 * 100 + 100 * 2 + 40 * 40 + 60 * 400;
    session.ask("[[sim: prompt_tokens=50; chars=40]]");
    session.until("response.done");
    let second = 50 * 10 + 10 * 40;
    let spent = f64::from(first + second) / 1e6;
    // While the session goes on.
    let begun = Instant::now();
    while world.gauge("budget")["used"].as_f64() != Some(spent) {
        assert!(begun.elapsed() < PATIENCE, "{}", world.gauge("budget"));
    }
    session.leave();
    let requests = world.requests(1);
    let record = &requests[0];
    assert_eq!(requests.as_array().unwrap().len(), 1, "a session is one request: {requests}");
    assert_eq!(
        (&record["input_tokens"], &record["cached_tokens"], &record["output_tokens"]),
        (&json!(1050), &json!(400), &json!(110)),
        "{record}"
    );
    assert_eq!(record["usd"].as_f64(), Some(spent), "{record}");
    assert_eq!((&record["model"], &record["status"]), (&json!("sim/demo"), &json!(101)), "{record}");
    let gauge = world.gauge("rpm");
    assert_eq!(gauge["used"], 1, "{gauge}");
    let gauge = world.gauge("tpm");
    assert_eq!((&gauge["used"], &gauge["held"]), (&json!(1160), &json!(0)), "{gauge}");
}

#[test]
fn what_is_written_down_of_speech_costs_what_its_own_model_does() {
    let world = World::start("scribe", &key("budget = [{ usd = 10, per = \"day\" }]"));
    let mut session = world.open("sim/demo");
    session.say(&json!({"type": "session.update", "session": {"audio": {"input": {"transcription": {"model": "scribe"}}}}}));
    session.until("session.updated");
    session.say(&json!({"type": "input_audio_buffer.append", "audio": "A".repeat(6400)}));
    session.say(&json!({"type": "input_audio_buffer.commit"}));
    session.until("conversation.item.input_audio_transcription.completed");
    session.leave();
    // Two tokens at 1 (sound costs what input does), two at 3.
    assert_eq!(world.requests(1)[0]["usd"].as_f64(), Some(8e-6));
}

#[test]
fn a_budget_that_runs_out_ends_the_session_with_its_name() {
    let world = World::start("budget", &key("budget = [{ usd = 0.01, per = \"day\" }]"));
    let mut session = world.open("sim/demo");
    session.ask("[[sim: prompt_tokens=10; chars=40]]");
    session.until("response.done");
    session.ask("[[sim: prompt_tokens=200; chars=800]]");
    session.until("response.done");
    let error = session.next();
    assert_eq!(
        (&error["type"], &error["error"]["code"]),
        (&json!("error"), &json!("budget_exceeded")),
        "{error}"
    );
    let message = error["error"]["message"].as_str().unwrap();
    assert!(message.starts_with("key:app: $0.01 a day, $0 left, "), "{message}");
    assert_eq!(session.closed(), (1008, "budget_exceeded".to_owned()));
    let refused = world.open_as("tg-app", "sim/demo", &[]).err().unwrap();
    assert_eq!((refused.status, &refused.body["error"]["code"]), (402, &json!("budget_exceeded")));
    let record = &world.requests(2)[1];
    assert_eq!(
        (record["fault"].as_str(), record["usd"].as_f64()),
        (Some("budget_exceeded"), Some(0.0105)),
        "{record}"
    );
}

#[test]
fn a_response_that_uses_up_what_was_paid_is_stopped_and_ends_well() {
    let world = World::start("stopped", &key("tpm = 100"));
    let mut session = world.open("sim/demo");
    // It goes on when it is told to stop, and never otherwise.
    session.ask("[[sim: prompt_tokens=10; chars=4000; events=1000; gate=never; gate_after=300]]");
    let mut heard = 0;
    let done = loop {
        let event = session.next();
        match event["type"].as_str() {
            Some("response.done") => break event,
            Some("response.output_text.delta") => heard += 1,
            _ => {}
        }
    };
    assert!((100..=117).contains(&heard), "{heard}");
    let response = &done["response"];
    assert_eq!(
        (&response["status"], &response["status_details"]["reason"]),
        (&json!("incomplete"), &json!("max_output_tokens")),
        "{done}"
    );
    assert_eq!(session.next()["error"]["code"], "tpm_exceeded");
    assert_eq!(session.closed(), (1008, "tpm_exceeded".to_owned()));
    let record = &world.requests(1)[0];
    let counts = (record["input_tokens"].as_u64(), record["output_tokens"].as_u64());
    assert_eq!(
        counts,
        (Some(10), response["usage"]["output_tokens"].as_u64()),
        "what the upstream bills: {record}"
    );
}

#[test]
fn tokens_a_minute_end_a_session_too() {
    let world = World::start("tpm", &key("tpm = 100"));
    let mut session = world.open("sim/demo");
    session.ask("[[sim: prompt_tokens=90; chars=40]]");
    session.until("response.done");
    assert_eq!(session.next()["error"]["code"], "tpm_exceeded");
    assert_eq!(session.closed(), (1008, "tpm_exceeded".to_owned()));
}

#[test]
fn a_session_has_its_place_until_it_ends() {
    let world = World::start("concurrency", &key("concurrency = 1\ntpm = 100000"));
    let mut first = world.open("sim/demo");
    first.ask("hello");
    first.until("response.done");
    let refused = world.open_as("tg-app", "sim/demo", &[]).err().unwrap();
    assert_eq!((refused.status, &refused.body["error"]["code"]), (429, &json!("concurrency_exceeded")));
    first.leave();
    // The place is free before the client hears of the end.
    world.open("sim/demo").leave();
}

#[test]
fn a_client_that_leaves_in_mid_response_is_charged_and_its_upstream_closed() {
    let world = World::start("leaves", &key("concurrency = 1\nbudget = [{ usd = 1, per = \"day\" }]"));
    let mut session = world.open("sim/demo");
    session.ask("[[sim: drip=5; chars=4000; events=4000]]");
    session.until("response.output_text.delta");
    drop(session);
    world.until_upstream_ended("client_closed");
    let record = &world.requests(1)[0];
    assert_eq!((&record["status"], &record["basis"]), (&json!(499), &json!("estimated")), "{record}");
    assert!(record["output_tokens"].as_u64().is_some_and(|tokens| tokens > 0), "{record}");
    assert_eq!(world.gauge("concurrency")["held"], 0);
    let budget = world.gauge("budget");
    assert_eq!(
        (budget["used"].as_f64(), budget["held"].as_f64()),
        (record["usd"].as_f64(), Some(0.0)),
        "{budget}"
    );
}

#[test]
fn an_upstream_that_breaks_off_is_told_as_an_error() {
    let world = World::start("cut", &key("tpm = 100000"));
    let mut session = world.open("sim/demo");
    session.ask("[[sim: cut_after_events=2]]");
    let error = loop {
        let event = session.next();
        if event["type"] == "error" {
            break event;
        }
    };
    assert_eq!(error["error"]["code"], "upstream_error", "{error}");
    assert_eq!(session.closed(), (1011, "upstream_error".to_owned()));
    assert_eq!(world.requests(1)[0]["fault"], "upstream_error");
}

#[test]
fn close_codes_pass_both_ways() {
    let world = World::start("codes", &key(""));
    let mut session = world.open("sim/demo");
    session.ask("[[sim: close_code=4321]]");
    session.until("response.done");
    assert_eq!(session.closed(), (4321, "as asked".to_owned()));
    let session = world.open("sim/demo");
    session.leave();
    world.until_upstream_ended("client_closed");
}

#[test]
fn keys_come_as_subprotocols_and_never_go_upstream() {
    let world = World::start("keys", &key("models = [\"sim/demo\"]"));
    let protocols =
        [("sec-websocket-protocol", "realtime, openai-insecure-api-key.tg-app, openai-beta.realtime-v1")];
    let session = world.open_as("", "sim/demo", &protocols).unwrap_or_else(|refused| panic!("{refused:?}"));
    assert_eq!(session.headers["sec-websocket-protocol"], "realtime");
    let log = world.upstream_log().to_string();
    assert!(!log.contains("tg-app") && log.contains("sk-"), "{log}");
    assert!(log.contains("realtime=v1"), "{log}");
    session.leave();
    let refused = |key: &str, model: &str| world.open_as(key, model, &[]).err().unwrap();
    let wrong = refused("tg-wrong", "sim/demo");
    assert_eq!((wrong.status, &wrong.body["error"]["code"]), (401, &json!("invalid_key")));
    let other = refused("tg-app", "sim/other");
    assert_eq!((other.status, &other.body["error"]["code"]), (403, &json!("model_not_allowed")));
}

#[test]
fn the_first_target_that_opens_is_taken() {
    let world = World::start("failover", &key(""));
    let session = world.open("talk");
    assert_eq!(session.headers["x-tollgate-attempts"], "2");
    session.leave();
    let refused = world.open_as("tg-app", "sim/demo+status=400", &[]).err().unwrap();
    assert_eq!(refused.status, 400);
    let refused = world.open_as("tg-app", "sim/demo+hangup", &[]).err().unwrap();
    assert_eq!((refused.status, &refused.body["error"]["code"]), (502, &json!("upstream_error")));
}

#[test]
fn what_is_no_session_is_refused_by_name() {
    let world = World::start("refused", &key(""));
    let plain = World::get(&world.program.address, "/v1/realtime?model=sim/demo&key=tg-app");
    assert_eq!(plain["error"]["param"], "upgrade", "{plain}");
    let refused = world.open_as("tg-app", "", &[]).err().unwrap();
    assert_eq!((refused.status, &refused.body["error"]["param"]), (400, &json!("model")));
}

#[test]
fn a_message_that_is_too_large_closes_the_session() {
    let world = World::start("large", &key(""));
    let mut session = world.open("sim/demo");
    session.say(&json!({"type": "input_audio_buffer.append", "audio": "A".repeat(70_000)}));
    assert_eq!(session.next()["error"]["code"], "body_too_large");
    assert_eq!(session.closed(), (1009, "body_too_large".to_owned()));
}
