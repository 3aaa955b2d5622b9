//! Where things are served.

use crate::setting::{Setting, assert_refused, question};
use tollgate_tests::http::Request;

#[test]
fn chat_is_served_under_every_mount_with_and_without_its_version() {
    let setting = Setting::new("");
    for mount in ["", "/openai", "/anthropic", "/genai", "/bedrock", "/litellm", "/langchain"] {
        for version in ["", "/v1"] {
            let path = format!("{mount}{version}/chat/completions");
            let answer = setting.gateway.ask(&Request::post(&path, &question("one/m")));
            assert_eq!((answer.status, answer.said().as_str()), (200, "You said: hello"), "{path}");
        }
        for path in ["/v1/models", "/models", "/v1beta/models"] {
            let answer = setting.gateway.ask(&Request::get(&format!("{mount}{path}")));
            assert_eq!(answer.status, 200, "{mount}{path}");
        }
    }
    let azure = "/openai/deployments/one%2Fm/chat/completions?api-version=2024-10-21";
    assert_eq!(setting.gateway.ask(&Request::post(azure, &question("one/m"))).status, 200);
}

#[test]
fn operations_are_served_where_probes_look() {
    let setting = Setting::new("");
    for path in ["/healthz", "/readyz"] {
        let answer = setting.gateway.ask(&Request::get(path));
        assert_eq!((answer.status, answer.json()["status"].as_str()), (200, Some("ok")), "{path}");
        assert_eq!(
            setting.gateway.ask(&Request::new("HEAD", path).header("connection", "close")).status,
            200
        );
    }
    assert_eq!(setting.chat("one/m").status, 200);
    let metrics = setting.gateway.ask(&Request::get("/metrics"));
    assert!(metrics.header("content-type").starts_with("text/plain"), "{metrics:?}");
    assert!(metrics.text().contains("tollgate_requests_total"), "{}", metrics.text());
    assert!(!metrics.text().contains("sk-provider"));
}

#[test]
fn doubled_slashes_escapes_and_absolute_targets_reach_the_same_place() {
    let setting = Setting::new("");
    for path in [
        "//v1//chat///completions",
        "/v1/chat/completions/",
        "/v1%2Fchat%2Fcompletions",
        "/v1/chat%2fcompletions",
        "/%76%31/chat/completions",
        "http://gateway.test/v1/chat/completions",
        "http://evil.example/v1/chat/completions",
        "/v1/chat/completions?a=b&c",
    ] {
        let answer = setting.gateway.ask(&Request::post(path, &question("one/m")));
        assert_eq!(
            (answer.status, answer.said().as_str()),
            (200, "You said: hello"),
            "{path}: {}",
            answer.text()
        );
    }
}

#[test]
fn no_spelling_of_a_path_goes_round_the_key() {
    let setting = Setting::new("[[keys]]\nname = \"k\"\nvalue = \"tg-k\"\n");
    for path in [
        "//v1/chat/completions",
        "/healthz/../v1/chat/completions",
        "/healthz%2f..%2fv1/chat/completions",
        "/v1/chat/completions/healthz",
        "/v1%2Fchat%2fcompletions",
        "http://a/healthz/../v1/chat/completions",
        "/v1/chat/completions#/healthz",
        "/litellm//chat/completions",
        "/v1/chat/completions%00",
        "/v1/chat/completions;/healthz",
    ] {
        for host in ["gateway.test", "a/healthz", "a/healthz?"] {
            let raw = format!("POST {path} HTTP/1.1\r\nhost: {host}\r\ncontent-length: 2\r\n\r\n{{}}");
            let mut client = setting.gateway.connect();
            client.send(raw.as_bytes());
            let answer = client.answer();
            assert!(matches!(answer.status, 400 | 401 | 404), "{path} {host}: {}", answer.status);
        }
    }
    assert!(setting.log().is_empty());
}

#[test]
fn where_nothing_is_served_the_nearest_place_is_named() {
    let setting = Setting::new("");
    for path in ["/v1/chat/completion", "/v1/chat", "/", "/nope", "/v1/../v1/models", "/v1/%zz"] {
        let answer = setting.gateway.ask(&Request::get(path));
        assert_refused(&answer, 404, "invalid_request_error", "no_route");
    }
    let near = setting.gateway.ask(&Request::post("/v1/chat/completion", &question("one/m")));
    assert!(near.error()["message"].to_string().contains("/v1/chat/completions"), "{}", near.text());
}

#[test]
fn another_method_is_a_405_that_names_the_right_one() {
    let setting = Setting::new("");
    for (method, path, allow) in [
        ("GET", "/v1/chat/completions", "POST"),
        ("PUT", "/litellm/chat/completions", "POST"),
        ("POST", "/v1/models", "GET, HEAD"),
        ("DELETE", "/healthz", "GET, HEAD"),
        ("BREW", "/v1/chat/completions", "POST"),
    ] {
        let answer = setting.gateway.ask(&Request::new(method, path));
        assert_refused(&answer, 405, "invalid_request_error", "wrong_method");
        assert_eq!(answer.header("allow"), allow, "{method} {path}");
    }
}
