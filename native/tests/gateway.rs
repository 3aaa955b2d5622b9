//! The program itself, between a raw client and a raw upstream.

#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests: the helpers too")]

#[path = "start/program.rs"]
mod program;

use program::Program;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process::Command;
use std::time::{Duration, Instant};

const PATIENCE: Duration = Duration::from_secs(20);

struct Gateway(Program);

impl Gateway {
    /// With provider `up` at a listener of the test's.
    fn start(name: &str, upstream: &TcpListener, more: &str) -> Self {
        Self(Program::start(name, &document(upstream, more), &[]))
    }

    fn connect(&self) -> TcpStream {
        let stream = TcpStream::connect(&self.0.address).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream
    }

    /// One request on a connection of its own.
    fn ask(&self, text: &str) -> String {
        let mut stream = self.connect();
        stream.write_all(text.as_bytes()).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        answer
    }

    fn signal(&self, name: &str) {
        let told = Command::new("kill").args([name, &self.0.child.id().to_string()]).status().unwrap();
        assert!(told.success());
    }
}

fn document(upstream: &TcpListener, more: &str) -> String {
    let upstream = upstream.local_addr().unwrap();
    format!(
        "[server]\nlisten = \"127.0.0.1:0\"\nmax_body = \"1KiB\"\n{more}\n\
         [providers.up]\nkind = \"openai\"\nbase_url = \"http://{upstream}/v1\"\nkeys = [{{ value = \"k\" }}]\n"
    )
}

fn upstream() -> TcpListener {
    TcpListener::bind("127.0.0.1:0").unwrap()
}

fn post(body: &str, headers: &str) -> String {
    format!(
        "POST /v1/chat/completions HTTP/1.1\r\nhost: a\r\nconnection: close\r\n{headers}content-length: {}\r\n\r\n{body}",
        body.len()
    )
}

const PLAIN: &str = r#"{"model":"up/m","messages":[{"role":"user","content":"hi"}]}"#;
const STREAM: &str = r#"{"model":"up/m","stream":true,"messages":[{"role":"user","content":"hi"}]}"#;
const REPLY: &str = r#"{"id":"x","object":"chat.completion","choices":[{"index":0,"message":{"role":"assistant","content":"hello"},"finish_reason":"stop"}]}"#;

/// Accepts one connection and reads one request.
fn receive(upstream: &TcpListener) -> TcpStream {
    let (mut stream, _) = upstream.accept().unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    let mut text = Vec::new();
    while !text.ends_with(b"}]}") {
        let mut piece = [0; 4096];
        let read = stream.read(&mut piece).unwrap();
        assert!(read > 0);
        text.extend_from_slice(&piece[..read]);
    }
    stream
}

fn frame(text: &str) -> String {
    let delta = format!(
        "data: {{\"id\":\"x\",\"object\":\"chat.completion.chunk\",\"choices\":[{{\"index\":0,\"delta\":{{\"content\":\"{text}\"}}}}]}}\n\n"
    );
    format!("{:x}\r\n{delta}\r\n", delta.len())
}

const STREAM_HEAD: &str =
    "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n";
const STREAM_END: &str = "e\r\ndata: [DONE]\n\n\r\n0\r\n\r\n";

fn read_until(stream: &mut TcpStream, end: &str) -> String {
    let mut text = String::new();
    while !text.contains(end) {
        let mut piece = [0; 4096];
        let read = stream.read(&mut piece).unwrap();
        assert!(read > 0, "ended before {end}: {text}");
        text.push_str(std::str::from_utf8(&piece[..read]).unwrap());
    }
    text
}

#[test]
fn a_call_goes_through_and_comes_back_with_its_length() {
    let upstream = upstream();
    let gateway = Gateway::start("plain", &upstream, "");
    let serve = std::thread::spawn(move || {
        let mut stream = receive(&upstream);
        let text = format!(
            "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n{REPLY}",
            REPLY.len()
        );
        stream.write_all(text.as_bytes()).unwrap();
    });
    let answer = gateway.ask(&post(PLAIN, ""));
    serve.join().unwrap();
    assert!(answer.starts_with("HTTP/1.1 200 OK\r\n") && answer.ends_with(REPLY), "{answer}");
    assert!(answer.contains(&format!("content-length: {}\r\n", REPLY.len())), "{answer}");
}

#[test]
fn a_whole_answer_says_what_it_cost_and_the_counters_do_too() {
    let upstream = upstream();
    let prices = "[prices.\"up/m\"]\ninput = 2\noutput = 8\ncache_read = 0.5\n";
    let gateway = Gateway::start("cost", &upstream, prices);
    let usage = r#","usage":{"prompt_tokens":1000,"completion_tokens":100,"total_tokens":1100,"prompt_tokens_details":{"cached_tokens":400}}}"#;
    let reply = format!("{}{usage}", REPLY.strip_suffix('}').unwrap());
    let serve = std::thread::spawn(move || {
        let mut stream = receive(&upstream);
        let head = "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n";
        let text = format!("{head}content-length: {}\r\n\r\n{reply}", reply.len());
        stream.write_all(text.as_bytes()).unwrap();
    });
    let answer = gateway.ask(&post(PLAIN, ""));
    serve.join().unwrap();
    // 600 fresh at 2, 400 read at 0.5, 100 made at 8.
    assert!(answer.contains("\r\nx-tollgate-cost-usd: 0.0022\r\n"), "{answer}");
    let metrics = gateway.ask("GET /metrics HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n");
    let counted = "tollgate_cost_nano_dollars_total{provider=\"up\",model=\"m\"} 2200000\n";
    assert!(metrics.contains(counted), "{metrics}");
}

#[test]
fn events_arrive_one_by_one() {
    let upstream = upstream();
    let gateway = Gateway::start("events", &upstream, "");
    let mut client = gateway.connect();
    client.write_all(post(STREAM, "").as_bytes()).unwrap();
    let mut up = receive(&upstream);
    up.write_all(STREAM_HEAD.as_bytes()).unwrap();
    for word in ["one", "two", "three"] {
        up.write_all(frame(word).as_bytes()).unwrap();
        // The next is not sent before this one has arrived.
        read_until(&mut client, word);
    }
    up.write_all(STREAM_END.as_bytes()).unwrap();
    assert!(read_until(&mut client, "0\r\n\r\n").contains("[DONE]"));
}

#[test]
fn h10_a_client_that_leaves_closes_the_upstream_connection() {
    let upstream = upstream();
    let gateway = Gateway::start("leave", &upstream, "");
    let mut client = gateway.connect();
    client.write_all(post(STREAM, "").as_bytes()).unwrap();
    let mut up = receive(&upstream);
    up.write_all(STREAM_HEAD.as_bytes()).unwrap();
    up.write_all(frame("one").as_bytes()).unwrap();
    read_until(&mut client, "one");
    drop(client);
    // An end or a reset; a timeout would be an error of another kind.
    match up.read(&mut [0; 16]) {
        Ok(read) => assert_eq!(read, 0),
        Err(error) => assert_eq!(error.kind(), std::io::ErrorKind::ConnectionReset),
    }
}

#[test]
fn h10_a_client_that_leaves_before_the_head_closes_the_upstream_connection() {
    let upstream = upstream();
    let gateway = Gateway::start("leave-early", &upstream, "");
    let mut client = gateway.connect();
    client.write_all(post(STREAM, "").as_bytes()).unwrap();
    let mut up = receive(&upstream);
    drop(client);
    match up.read(&mut [0; 16]) {
        Ok(read) => assert_eq!(read, 0),
        Err(error) => assert_eq!(error.kind(), std::io::ErrorKind::ConnectionReset),
    }
}

#[test]
fn what_is_no_http_is_refused_and_disturbs_nobody() {
    let gateway = Gateway::start("garbage", &upstream(), "");
    for garbage in ["GET\r\n\r\n", "\0\x01nonsense\r\n\r\n", "GET  HTTP/1.1\r\n\r\n", "P\r\n\r\n"] {
        let answer = gateway.ask(garbage);
        assert!(answer.starts_with("HTTP/1.1 400 "), "{garbage:?}: {answer}");
    }
    let healthy = gateway.ask("GET /healthz HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n");
    assert!(healthy.starts_with("HTTP/1.1 200 "), "{healthy}");
    let head = gateway.ask("HEAD /healthz HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n");
    assert!(head.starts_with("HTTP/1.1 200 ") && head.ends_with("\r\n\r\n"), "{head}");
}

#[test]
fn headers_of_64_kib_are_answered_not_reset() {
    let gateway = Gateway::start("headers", &upstream(), "");
    for size in [64 << 10, 1 << 20] {
        let mut client = gateway.connect();
        let text = format!("GET /healthz HTTP/1.1\r\nhost: a\r\nx-a: {}\r\n\r\n", "a".repeat(size));
        client.write_all(text.as_bytes()).unwrap();
        let mut answer = String::new();
        client.read_to_string(&mut answer).unwrap();
        assert!(answer.starts_with("HTTP/1.1 431 "), "{size}: {answer}");
    }
}

#[test]
fn a_body_that_is_too_large_is_refused_in_the_surfaces_shape() {
    let gateway = Gateway::start("large", &upstream(), "");
    let announced = gateway.ask(&post(&"x".repeat(4096), ""));
    let chunked = gateway.ask(&format!(
        "POST /v1/chat/completions HTTP/1.1\r\nhost: a\r\nconnection: close\r\ntransfer-encoding: chunked\r\n\r\n1000\r\n{}\r\n0\r\n\r\n",
        "x".repeat(4096)
    ));
    for answer in [announced, chunked] {
        assert!(answer.starts_with("HTTP/1.1 413 ") && answer.contains("body_too_large"), "{answer}");
    }
}

#[test]
fn a_client_that_waits_for_a_go_ahead_gets_one() {
    let gateway = Gateway::start("continue", &upstream(), "");
    let mut client = gateway.connect();
    let text = post("{nonsense", "expect: 100-continue\r\n");
    let (head, body) = text.split_once("{").unwrap();
    client.write_all(head.as_bytes()).unwrap();
    read_until(&mut client, "HTTP/1.1 100 Continue\r\n\r\n");
    client.write_all(format!("{{{body}").as_bytes()).unwrap();
    let answer = read_until(&mut client, "error");
    assert!(answer.starts_with("HTTP/1.1 400 "), "{answer}");
}

/// Reads one answer and tells whether it is the connection's last.
fn is_last(client: &mut TcpStream) -> bool {
    let answer = read_until(client, "error");
    assert!(answer.starts_with("HTTP/1.1 4"), "{answer}");
    let head = answer.split("\r\n\r\n").next().unwrap();
    let length = head.split("content-length: ").nth(1).unwrap().lines().next().unwrap();
    let whole = head.len() + 4 + length.parse::<usize>().unwrap();
    client.read_exact(&mut vec![0; whole.saturating_sub(answer.len())]).unwrap();
    head.contains("connection: close")
}

#[test]
fn a_refusal_before_the_body_says_whether_the_connection_goes_on() {
    let key = "require_key = true";
    let gateway = Gateway::start("early", &upstream(), key);
    let head = |path: &str, length: usize, more: &str| {
        format!("POST {path} HTTP/1.1\r\nhost: a\r\n{more}content-length: {length}\r\n\r\n")
    };
    for path in ["/v1/chat/completions", "/v1/nothing", "/api/keys"] {
        // In two pieces, as most clients write it: the next request follows unless the answer forbids it.
        let mut client = gateway.connect();
        for _ in 0..20 {
            client.write_all(head(path, 2, "").as_bytes()).unwrap();
            client.write_all(b"{}").unwrap();
            if is_last(&mut client) {
                client = gateway.connect();
            }
        }
        for (length, more) in [(1 << 20, ""), (2, "expect: 100-continue\r\n"), (2, "")] {
            let mut client = gateway.connect();
            client.write_all(head(path, length, more).as_bytes()).unwrap();
            assert!(is_last(&mut client), "{path}: {length} bytes that do not come, {more}");
        }
    }
}

#[test]
fn half_a_body_gets_an_error() {
    let gateway = Gateway::start("half", &upstream(), "");
    let mut client = gateway.connect();
    let text = "POST /v1/chat/completions HTTP/1.1\r\nhost: a\r\ncontent-length: 100\r\n\r\n{\"model\"";
    client.write_all(text.as_bytes()).unwrap();
    client.shutdown(std::net::Shutdown::Write).unwrap();
    let mut answer = String::new();
    // hyper may close instead where it finds the client gone first; it must not hang.
    let _ = client.read_to_string(&mut answer);
    assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 400 "), "{answer}");
}

#[test]
fn a_stream_is_finished_before_the_gateway_stops() {
    let upstream = upstream();
    let mut gateway = Gateway::start("drain", &upstream, "");
    let idle = gateway.connect();
    let mut client = gateway.connect();
    client.write_all(post(STREAM, "").as_bytes()).unwrap();
    let mut up = receive(&upstream);
    up.write_all(STREAM_HEAD.as_bytes()).unwrap();
    up.write_all(frame("one").as_bytes()).unwrap();
    read_until(&mut client, "one");
    gateway.signal("-TERM");
    // Nobody is let in any more, which shows that the signal has been heard.
    let end = Instant::now() + PATIENCE;
    while TcpStream::connect(&gateway.0.address).is_ok() {
        assert!(Instant::now() < end, "still open");
    }
    up.write_all(frame("two").as_bytes()).unwrap();
    read_until(&mut client, "two");
    up.write_all(STREAM_END.as_bytes()).unwrap();
    assert!(read_until(&mut client, "0\r\n\r\n").contains("[DONE]"));
    drop((client, idle));
    assert_eq!(gateway.0.child.wait().unwrap().code(), Some(0));
}

#[test]
fn what_outlasts_the_drain_is_cut() {
    let upstream = upstream();
    let mut gateway = Gateway::start("drain-over", &upstream, "drain = \"50ms\"");
    let mut client = gateway.connect();
    client.write_all(post(STREAM, "").as_bytes()).unwrap();
    let mut up = receive(&upstream);
    up.write_all(STREAM_HEAD.as_bytes()).unwrap();
    up.write_all(frame("one").as_bytes()).unwrap();
    read_until(&mut client, "one");
    gateway.signal("-INT");
    assert_eq!(gateway.0.child.wait().unwrap().code(), Some(0));
    let mut rest = String::new();
    let _ = client.read_to_string(&mut rest);
    assert!(!rest.contains("0\r\n\r\n"), "k15: a cut stream must not end cleanly: {rest}");
}

#[test]
fn a_changed_config_is_taken_up_and_a_bad_one_is_not() {
    let upstream = upstream();
    let gateway = Gateway::start("reload", &upstream, "");
    let preflight = "OPTIONS /v1/chat/completions HTTP/1.1\r\nhost: a\r\norigin: https://app.example\r\n\
                     access-control-request-method: POST\r\nconnection: close\r\n\r\n";
    assert!(!gateway.ask(preflight).starts_with("HTTP/1.1 204 "));
    let until = |wanted: bool| {
        let end = Instant::now() + PATIENCE;
        while gateway.ask(preflight).starts_with("HTTP/1.1 204 ") != wanted {
            assert!(Instant::now() < end, "not taken up");
        }
    };
    let open = "cors = { origins = [\"https://app.example\"] }";
    std::fs::write(&gateway.0.file, document(&upstream, open)).unwrap();
    gateway.signal("-HUP");
    until(true);
    std::fs::write(&gateway.0.file, "nonsense").unwrap();
    gateway.signal("-HUP");
    assert!(gateway.ask(preflight).starts_with("HTTP/1.1 204 "));
    // By itself, without a signal.
    std::fs::write(&gateway.0.file, document(&upstream, "")).unwrap();
    until(false);
}

#[test]
fn a_port_that_is_taken_is_refused() {
    let taken = upstream();
    let done = Command::new(env!("CARGO_BIN_EXE_tollgate"))
        .args(["serve", "--workers", "2", "--listen", &taken.local_addr().unwrap().to_string()])
        .current_dir(std::env::temp_dir())
        .output()
        .unwrap();
    assert!(!done.status.success());
    assert!(String::from_utf8_lossy(&done.stderr).contains("server.listen"));
}
