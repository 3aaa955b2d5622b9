//! What clients get wrong, by mistake or on purpose. Each gets the contract's error, naming the field;
//! a connection that was open before goes on as if nothing had happened.

use crate::setting::{Setting, assert_refused};
use serde_json::{Value, json};
use tollgate_tests::http::{Answer, Connection, Request};

const CHAT: &str = "/v1/chat/completions";

/// A gateway, and a connection that must not notice anything.
struct Trial {
    setting: Setting,
    bystander: Connection,
}

impl Trial {
    fn new() -> Self {
        Self::with("")
    }

    fn with(config: &str) -> Self {
        let setting = Setting::new(config);
        let mut bystander = setting.gateway.connect();
        setting.assert_unharmed(&mut bystander);
        setting.reset();
        Self { setting, bystander }
    }

    fn send(&self, body: impl Into<Vec<u8>>) -> Answer {
        self.setting.gateway.ask(&Request::raw(CHAT, body))
    }

    fn refused(&self, body: impl Into<Vec<u8>>, code: &str) -> Answer {
        let answer = self.send(body);
        assert_refused(&answer, 400, "invalid_request_error", code);
        answer
    }

    /// Each body is refused by the name of the field.
    fn refused_by_field(&self, cases: &[(Value, &str)]) {
        for (body, field) in cases {
            let answer = self.refused(body.to_string(), "bad_field");
            let error = answer.error();
            assert_eq!(error["param"], *field, "{body}: {error}");
            assert!(error["message"].as_str().is_some_and(|message| message.contains(field)), "{error}");
        }
    }

    /// Nothing of it has reached a provider, and nobody else has noticed.
    fn end(mut self) {
        assert!(self.setting.log().is_empty(), "i6");
        self.setting.assert_unharmed(&mut self.bystander);
    }
}

fn asked(messages: Value) -> Value {
    json!({"model": "one/m", "messages": messages})
}

fn hello() -> Value {
    json!([{"role": "user", "content": "hello"}])
}

#[test]
fn what_is_not_json() {
    let trial = Trial::new();
    for body in [
        "",
        " ",
        "hello",
        "{",
        "{\"model\":",
        "[1,2",
        "{}x",
        "{'model': 1}",
        "{\"model\": nul}",
        "\u{feff}{}",
        "{\"a\":01}",
        "{\"a\":\"\n\"}",
        "model=one&x=1",
    ] {
        let answer = trial.refused(body, "bad_json");
        assert!(answer.error()["message"].as_str().unwrap().contains("body"), "{body}: {}", answer.text());
    }
    trial.end();
}

#[test]
fn wrong_types() {
    let trial = Trial::new();
    let with = |field: &str, value: Value| {
        let mut body = asked(hello());
        body[field] = value;
        body
    };
    for whole in [json!([]), json!("text"), json!(1), json!(null)] {
        let answer = trial.refused(whole.to_string(), "bad_field");
        assert!(answer.error()["message"].as_str().unwrap().starts_with("body"), "{}", answer.text());
    }
    trial.refused_by_field(&[
        (with("model", json!(1)), "model"),
        (with("model", json!("")), "model"),
        (with("messages", json!("hi")), "messages"),
        (with("messages", json!({})), "messages"),
        (with("messages", json!([])), "messages"),
        (with("messages", json!(["hi"])), "messages[0]"),
        (with("stream", json!("yes")), "stream"),
        (with("stream", json!(1)), "stream"),
        (with("stream_options", json!(true)), "stream_options"),
        (with("stream_options", json!({"include_usage": "no"})), "stream_options.include_usage"),
        (with("temperature", json!("hot")), "temperature"),
        (with("max_tokens", json!(-1)), "max_tokens"),
        (with("max_tokens", json!(1.5)), "max_tokens"),
        (with("max_completion_tokens", json!("many")), "max_completion_tokens"),
        (with("n", json!(0)), "n"),
        (with("stop", json!([1])), "stop"),
        (with("tools", json!({})), "tools"),
        (with("tools", json!([1])), "tools[0]"),
        (with("tools", json!([{"type": "function"}])), "tools[0].function"),
        (with("tools", json!([{"type": "function", "function": {}}])), "tools[0].function.name"),
        (with("tool_choice", json!(1)), "tool_choice"),
        (with("response_format", json!("json")), "response_format"),
        (with("fallbacks", json!("two/m")), "fallbacks"),
        (with("fallbacks", json!([1])), "fallbacks"),
        (asked(json!([{"role": "user", "content": 1}])), "messages[0].content"),
        (asked(json!([{"role": "user", "content": [1]}])), "messages[0].content[0]"),
        (asked(json!([{"role": "user", "content": [{"text": "a"}]}])), "messages[0].content[0].type"),
        (asked(json!([{"role": "user", "content": [{"type": "text"}]}])), "messages[0].content[0].text"),
        (asked(json!([{"role": "assistant", "tool_calls": {}}])), "messages[0].tool_calls"),
        (asked(json!([{"role": "assistant", "tool_calls": [{}]}])), "messages[0].tool_calls[0].id"),
    ]);
    trial.end();
}

#[test]
fn a_missing_model_or_messages() {
    let trial = Trial::new();
    trial.refused_by_field(&[
        (json!({}), "model"),
        (json!({"messages": hello()}), "model"),
        (json!({"model": null, "messages": hello()}), "model"),
        (json!({"model": "one/m"}), "messages"),
        (json!({"model": "one/m", "messages": null}), "messages"),
    ]);
    trial.end();
}

#[test]
fn unknown_roles() {
    let trial = Trial::new();
    trial.refused_by_field(&[
        (asked(json!([{"role": "robot", "content": "hi"}])), "messages[0].role"),
        (asked(json!([{"role": "User", "content": "hi"}])), "messages[0].role"),
        (asked(json!([{"role": "user", "content": "a"}, {"role": 5, "content": "hi"}])), "messages[1].role"),
        (asked(json!([{"content": "hi"}])), "messages[0].role"),
    ]);
    // The role may be anything, and so may what it quotes.
    let answer =
        trial.refused(asked(json!([{"role": "top secret", "content": "x"}])).to_string(), "bad_field");
    assert!(!answer.text().contains("secret"), "i7: {}", answer.text());
    trial.end();
}

#[test]
fn a_body_of_40_mib() {
    let trial = Trial::new();
    let size = 40 << 20;
    let mut body = br#"{"model":"one/m","messages":[{"role":"user","content":""#.to_vec();
    body.resize(size - 4, b'a');
    body.extend_from_slice(br#""}]}"#);
    let announced = trial.send(body.clone());
    assert_refused(&announced, 413, "invalid_request_error", "body_too_large");
    assert!(announced.error()["message"].as_str().unwrap().contains("body"), "{}", announced.text());
    let mut client = trial.setting.gateway.connect();
    client.send(format!("POST {CHAT} HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n").as_bytes());
    for piece in body.chunks(1 << 20) {
        client.send(format!("{:x}\r\n", piece.len()).as_bytes());
        client.send(piece);
        client.send(b"\r\n");
    }
    client.send(b"0\r\n\r\n");
    assert_refused(&client.answer(), 413, "invalid_request_error", "body_too_large");
    trial.end();
}

#[test]
fn nesting_100_000_deep() {
    let trial = Trial::new();
    for (open, close) in [("[", "]"), ("{\"a\":", "}")] {
        let deep = format!("{}1{}", open.repeat(100_000), close.repeat(100_000));
        for body in
            [deep.clone(), format!("{{\"model\":\"one/m\",\"messages\":{deep}}}"), open.repeat(100_000)]
        {
            let answer = trial.refused(body, "bad_json");
            assert!(answer.error()["message"].as_str().unwrap().contains("deep"), "{}", answer.text());
        }
    }
    trial.end();
}

#[test]
fn invalid_utf_8() {
    let trial = Trial::new();
    for bytes in [&b"\xff"[..], b"\xc3\x28", b"\xed\xa0\x80", b"\xf0\x9f\xa6", b"\x80"] {
        let mut body = br#"{"model":"one/m","messages":[{"role":"user","content":""#.to_vec();
        body.extend_from_slice(bytes);
        body.extend_from_slice(br#""}]}"#);
        let answer = trial.refused(body, "bad_json");
        assert!(answer.error()["message"].as_str().unwrap().contains("body"), "{}", answer.text());
    }
    trial.end();
}

#[test]
fn a_lone_surrogate() {
    let trial = Trial::new();
    for text in ["\\ud83e", "\\udd80", "\\ud83e \\udd80", "\\ud83e\\u0041"] {
        for body in [
            format!(r#"{{"model":"one/m","messages":[{{"role":"user","content":"{text}"}}]}}"#),
            format!(r#"{{"model":"{text}","messages":[{{"role":"user","content":"a"}}]}}"#),
            format!(r#"{{"{text}":1,"model":"one/m","messages":[{{"role":"user","content":"a"}}]}}"#),
        ] {
            let answer = trial.refused(body, "bad_json");
            assert!(answer.error()["message"].as_str().unwrap().contains("surrogate"), "{}", answer.text());
        }
    }
    trial.end();
}

#[test]
fn duplicate_keys() {
    let trial = Trial::new();
    for body in [
        r#"{"model":"one/m","model":"two/m","messages":[{"role":"user","content":"a"}]}"#,
        r#"{"model":"one/m","m\u006fdel":"two/m","messages":[{"role":"user","content":"a"}]}"#,
        r#"{"model":"one/m","messages":[{"role":"user","role":"system","content":"a"}]}"#,
    ] {
        let answer = trial.refused(body, "bad_json");
        let message = answer.error()["message"].to_string();
        assert!(message.contains("model") || message.contains("role"), "{message}");
    }
    trial.end();
}

#[test]
fn a_tool_result_without_its_call() {
    let trial = Trial::new();
    let call = json!({"id": "call_1", "type": "function", "function": {"name": "f", "arguments": "{}"}});
    let result = |id: Value| json!({"role": "tool", "tool_call_id": id, "content": "42"});
    trial.refused_by_field(&[
        (
            asked(json!([{"role": "user", "content": "a"}, result(json!("call_1"))])),
            "messages[1].tool_call_id",
        ),
        (
            asked(json!([{"role": "assistant", "tool_calls": [call]}, result(json!("call_2"))])),
            "messages[1].tool_call_id",
        ),
        (
            asked(json!([result(json!("call_1")), {"role": "assistant", "tool_calls": [call]}])),
            "messages[0].tool_call_id",
        ),
        (
            asked(json!([{"role": "assistant", "tool_calls": [call]}, {"role": "tool", "content": "42"}])),
            "messages[1].tool_call_id",
        ),
        (
            asked(json!([{"role": "assistant", "tool_calls": [call]}, result(json!(1))])),
            "messages[1].tool_call_id",
        ),
    ]);
    trial.end();
}

#[test]
fn headers_of_64_kib() {
    let trial = Trial::new();
    for size in [64 << 10, 300 << 10] {
        let request = Request::post(CHAT, &asked(hello())).header("x-long", &"a".repeat(size));
        let answer = trial.setting.gateway.ask(&request);
        assert_refused(&answer, 431, "invalid_request_error", "headers_too_large");
        assert!(answer.text().contains("request: its line and headers"), "{}", answer.text());
    }
    let many = (0..500)
        .fold(Request::post(CHAT, &asked(hello())), |request, at| request.header(&format!("x-{at}"), "a"));
    assert_refused(&trial.setting.gateway.ask(&many), 431, "invalid_request_error", "headers_too_large");
    trial.end();
}

#[test]
fn a_request_line_without_a_path() {
    let trial = Trial::new();
    for line in ["POST", "POST HTTP/1.1", "POST  HTTP/1.1", "GET", "GET HTTP/1.1", "\0\0\0", "GET / HTTP/9.9"]
    {
        let mut client = trial.setting.gateway.connect();
        client.send(format!("{line}\r\nhost: a\r\ncontent-length: 0\r\n\r\n").as_bytes());
        let answer = client.answer();
        assert_refused(&answer, 400, "invalid_request_error", "bad_field");
        assert!(answer.text().contains("request line"), "{line:?}: {}", answer.text());
        assert!(client.is_closed());
    }
    for target in ["*", "v1/models", "?x"] {
        let mut client = trial.setting.gateway.connect();
        client.send(format!("GET {target} HTTP/1.1\r\nhost: a\r\n\r\n").as_bytes());
        let answer = client.answer();
        assert!(matches!(answer.status, 400 | 404), "{target}: {}", answer.status);
    }
    trial.end();
}

#[test]
fn a_body_that_stops_half_way() {
    let trial = Trial::new();
    for half in [
        "content-length: 100\r\n\r\n{\"model\"",
        "transfer-encoding: chunked\r\n\r\n8\r\n{\"mod",
        "transfer-encoding: chunked\r\n\r\n7\r\n{\"model\r\n",
    ] {
        let mut client = trial.setting.gateway.connect();
        client.send(format!("POST {CHAT} HTTP/1.1\r\nhost: a\r\n{half}").as_bytes());
        client.finish();
        let answer = client.answer();
        assert_refused(&answer, 400, "invalid_request_error", "bad_json");
        assert!(answer.error()["message"].as_str().unwrap().starts_with("body"), "{}", answer.text());
    }
    trial.end();
}

#[test]
fn a_body_that_lies_about_its_length() {
    let trial = Trial::new();
    for lie in [
        "content-length: x\r\n\r\n{}",
        "content-length: -1\r\n\r\n{}",
        "content-length: 2\r\ncontent-length: 3\r\n\r\n{} ",
        "content-length: 18446744073709551616\r\n\r\n{}",
        "transfer-encoding: chunked\r\n\r\nzz\r\n{}\r\n0\r\n\r\n",
        "transfer-encoding: chunked\r\n\r\nffffffffffffffffff\r\n{}\r\n0\r\n\r\n",
        "transfer-encoding: gzip\r\n\r\n{}",
    ] {
        let mut client = trial.setting.gateway.connect();
        client.send(format!("POST {CHAT} HTTP/1.1\r\nhost: a\r\n{lie}").as_bytes());
        client.finish();
        assert!(client.answer_or_end().is_none_or(|answer| matches!(answer.status, 400 | 413)), "{lie:?}");
    }
    trial.end();
}

#[test]
fn errors_quote_neither_prompt_nor_key() {
    let trial = Trial::with("[server]\nrequire_key = false\n");
    let secret = "the-secret-sauce";
    for body in [
        json!({"model": "one/m", "messages": secret}),
        asked(json!([{"role": secret, "content": secret}])),
        asked(json!([{"role": "user", "content": {"secret": secret}}])),
        json!({"model": "one/m", "messages": hello(), "temperature": secret}),
        json!({"model": "one/m", "messages": hello(), "tools": [secret]}),
    ] {
        let answer = trial.refused(body.to_string(), "bad_field");
        assert!(!answer.text().contains(secret), "{}", answer.text());
    }
    let answer = trial.refused(format!("{{\"a\": {secret}}}"), "bad_json");
    assert!(!answer.text().contains(secret), "{}", answer.text());
    assert!(!trial.setting.gateway.said().contains(secret));
    trial.end();
}
