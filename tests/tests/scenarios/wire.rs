//! The forms a request can take in HTTP.

use crate::setting::{Setting, chat, question, stream};
use http_body_util::{BodyExt, Full};
use hyper::body::Bytes;
use hyper_util::rt::{TokioExecutor, TokioIo};
use tollgate_tests::http::{Connection, Ended};

const CHAT: &str = "/v1/chat/completions";

fn text(model: &str) -> String {
    question(model).to_string()
}

#[test]
fn a_chunked_body_is_read_whatever_its_pieces() {
    let setting = Setting::new("");
    for size in [1, 7, 4096] {
        let mut client = setting.gateway.connect();
        client.send(
            format!("POST {CHAT} HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n").as_bytes(),
        );
        for piece in text("one/m").as_bytes().chunks(size) {
            client.send(format!("{:X};ext=\"a\"\r\n", piece.len()).as_bytes());
            client.send(piece);
            client.send(b"\r\n");
        }
        client.send(b"0\r\ntrailer: x\r\n\r\n");
        assert_eq!(client.answer().said(), "You said: hello", "{size}");
        assert_eq!(client.ask(&chat("one/m")).status, 200, "{size}");
    }
}

#[test]
fn a_request_in_single_bytes_is_understood() {
    let setting = Setting::new("");
    let mut client = setting.gateway.connect();
    for byte in chat("one/m").bytes() {
        client.send(&[byte]);
    }
    assert_eq!(client.answer().said(), "You said: hello");
}

#[test]
fn http_1_0_gets_whole_answers_and_closed_connections() {
    let setting = Setting::new("");
    let body = text("one/m");
    let mut client = setting.gateway.connect();
    client.send(format!("POST {CHAT} HTTP/1.0\r\ncontent-length: {}\r\n\r\n{body}", body.len()).as_bytes());
    let answer = client.answer();
    assert_eq!((answer.status, answer.said().as_str()), (200, "You said: hello"));
    assert!(client.is_closed());
    // There are no chunks in HTTP/1.0: a stream ends with its connection.
    let body = body.replace("{\"model\"", "{\"stream\":true,\"model\"");
    let mut client = setting.gateway.connect();
    client.send(format!("POST {CHAT} HTTP/1.0\r\ncontent-length: {}\r\n\r\n{body}", body.len()).as_bytes());
    let answer = client.answer();
    assert_eq!(
        (answer.header("transfer-encoding"), answer.events().last().map(String::as_str)),
        ("", Some("[DONE]"))
    );
}

#[test]
fn a_client_that_expects_100_is_told_to_go_on_or_not() {
    let setting = Setting::new("[server]\nmax_body = \"1KiB\"\n");
    let body = text("one/m");
    let head = |length: usize| {
        format!("POST {CHAT} HTTP/1.1\r\nhost: a\r\nexpect: 100-continue\r\ncontent-length: {length}\r\n\r\n")
    };
    let mut client = setting.gateway.connect();
    client.send(head(body.len()).as_bytes());
    assert_eq!(client.head().status, 100);
    client.send(body.as_bytes());
    assert_eq!(client.answer().said(), "You said: hello");
    let mut client = setting.gateway.connect();
    client.send(head(5000).as_bytes());
    assert_eq!(client.answer().status, 413);
}

#[test]
fn pipelined_requests_are_answered_in_their_order() {
    let setting = Setting::new("");
    let mut client = setting.gateway.connect();
    let slow = chat("one/m+head_delay=100").bytes();
    let all =
        [slow, stream("claude/m").bytes(), chat("no-such-model").bytes(), chat("one/m").bytes()].concat();
    client.send(&all);
    let answers: Vec<_> = (0..4).map(|_| client.answer()).collect();
    let statuses: Vec<_> = answers.iter().map(|answer| answer.status).collect();
    assert_eq!(statuses, [200, 200, 404, 200]);
    assert!(answers[1].is_done() && answers[3].said() == "You said: hello");
}

#[test]
fn a_connection_serves_one_request_after_another() {
    let setting = Setting::new("");
    let mut client = setting.gateway.connect();
    for _ in 0..4 {
        for answer in [
            client.ask(&chat("one/m")),
            client.ask(&stream("claude/m")),
            client.ask(&chat("one/m+status=500")),
        ] {
            assert_eq!(answer.ended, Ended::Whole);
        }
    }
    let last = client.ask(&chat("one/m").header("connection", "close"));
    assert_eq!((last.status, client.is_closed()), (200, true));
}

#[test]
fn a_streams_events_arrive_one_by_one() {
    let setting = Setting::new("");
    for provider in ["one", "claude", "gem"] {
        let mut client: Connection = setting.gateway.connect();
        // After the third event nothing more is sent: what was sent must be here.
        client.send(&stream(&format!("{provider}/m+events=8,chars=80,stall_after=5")).bytes());
        let mut answer = client.head();
        while answer.said().len() < 20 {
            answer.body.extend(client.chunk().expect("the stream is open"));
        }
    }
}

#[test]
fn http_2_with_prior_knowledge_serves_many_streams_on_one_connection() {
    let setting = Setting::new("");
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let socket = tokio::net::TcpStream::connect(setting.gateway.address).await.unwrap();
        let (sender, connection) = hyper::client::conn::http2::handshake::<_, _, Full<Bytes>>(
            TokioExecutor::new(),
            TokioIo::new(socket),
        )
        .await
        .unwrap();
        tokio::spawn(connection);
        let url = format!("http://{}{CHAT}", setting.gateway.address);
        let mut asked = Vec::new();
        for at in 0..30 {
            let model = ["one/m+head_delay=50", "claude/m", "gem/m"][at % 3];
            let mut question = question(model);
            question["stream"] = (at % 2 == 0).into();
            let request = hyper::Request::post(&url)
                .header("content-type", "application/json")
                .body(Full::from(question.to_string()))
                .unwrap();
            let mut sender = sender.clone();
            asked.push(tokio::spawn(async move {
                sender.ready().await.unwrap();
                let answer = sender.send_request(request).await.unwrap();
                let status = answer.status();
                (status, answer.into_body().collect().await.unwrap().to_bytes())
            }));
        }
        for answer in asked {
            let (status, body) = answer.await.unwrap();
            assert_eq!(status, 200);
            assert!(String::from_utf8_lossy(&body).contains("said"), "{body:?}");
        }
        let mut sender = sender.clone();
        let bad = hyper::Request::post(&url).body(Full::from("{")).unwrap();
        assert_eq!(sender.send_request(bad).await.unwrap().status(), 400);
        // Left in the middle: the upstream's connection is closed, this one goes on.
        let mut question = question("one/m+events=8,chars=80,stall_after=4");
        question["stream"] = true.into();
        let request = hyper::Request::post(&url).body(Full::from(question.to_string())).unwrap();
        let answer = sender.send_request(request).await.unwrap();
        assert_eq!(answer.status(), 200);
        drop(answer);
        let health = hyper::Request::get(url.replace(CHAT, "/healthz")).body(Full::default()).unwrap();
        assert_eq!(sender.send_request(health).await.unwrap().status(), 200);
        setting.wait_until_ended("client_closed");
    });
}
