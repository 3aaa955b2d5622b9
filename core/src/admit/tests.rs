//! Facts about the door.

use super::*;
use crate::config::{self, SecretRef};
use http::Request;

const CONFIG: &str = r#"
    [tokens]
    issuers = [{ issuer = "https://id.example", audience = "gate", jwks = "https://id.example/keys", key = "chat" }]
    [[keys]]
    name = "chat"
    value = "tg-chat"
    routes = ["/v1/chat/*"]
    client_tags = ["app-*", "night"]
    [[keys]]
    name = "lists"
    value = "tg-lists"
    routes = ["/v1/models"]
    [[keys]]
    name = "rated"
    value = "tg-rated"
    rpm = 5
    routes = ["/v1/models"]
    [[keys]]
    name = "talks"
    value = "tg-talks"
    routes = ["/v1/realtime"]
"#;

fn asked(method: &str, path: &str, headers: &[(&str, &str)]) -> Admission {
    let none = |_: SecretRef<'_>| Err("it is not set".to_owned());
    let config = Arc::new(config::load(CONFIG.as_bytes(), &none).unwrap());
    let directory = Directory::of(&config);
    let desk = Desk { config: &config, directory: &directory, gauge: &Arc::default(), peer: None };
    let mut request = Request::builder().method(method).uri(path);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let (head, ()) = request.body(()).unwrap().into_parts();
    admit(&head, &desk, RequestId(1), Time(1_800_000_000_000))
}

fn status(admission: &Admission) -> u16 {
    match admission {
        Admission::Answered(answer) => answer.status().as_u16(),
        Admission::Listed(listed) => listed.answer.status().as_u16(),
        Admission::NeedsKeys(needs) => needs.otherwise.status().as_u16(),
        Admission::Transcript(wanted) => wanted.head.status().as_u16(),
        Admission::Ready(_)
        | Admission::Metrics(_)
        | Admission::Admin(_)
        | Admission::Session(_)
        | Admission::Wanted(_) => 200,
    }
}

#[test]
fn k19_rights_go_by_the_place_that_is_served_however_the_path_is_spelt() {
    for path in [
        "/v1/chat/completions",
        "/chat/completions",
        "//v1//chat///completions/",
        "/v1/chat%2Fcompletions",
        "/%76%31/chat/completions",
        "/openai/v1/chat/completions",
        "http://elsewhere.example/v1/chat/completions",
        "/v1/chat/completions?x=/v1/models",
    ] {
        let with = |key| status(&asked("POST", path, &[("x-api-key", key), ("host", "evil/v1/models?")]));
        assert_eq!((with("tg-chat"), with("tg-lists")), (200, 403), "{path}");
    }
    for path in
        ["/v1/models", "/models", "/v1%2fmodels", "/anthropic/models/", "/v1/models?/v1/chat/completions"]
    {
        let with = |key| status(&asked("GET", path, &[("x-api-key", key)]));
        assert_eq!((with("tg-chat"), with("tg-lists")), (403, 200), "{path}");
    }
    // The place's path names the model by a hole; `/v1/models` is another place.
    assert_eq!(status(&asked("GET", "/v1/models/x", &[("x-api-key", "tg-lists")])), 403);
    assert_eq!(status(&asked("POST", "/v1/models/../chat/completions", &[("x-api-key", "tg-chat")])), 404);
    assert_eq!(status(&asked("POST", "/v1/chat/completions", &[])), 401);
}

#[test]
fn b18_a_client_sets_the_tags_its_key_lets_it_set_and_no_others() {
    let tags = [
        ("x-api-key", "tg-chat"),
        ("x-tollgate-tags", "app-1, batch,night,app-1,app-{x}"),
        ("x-tollgate-tags", "app-2,"),
    ];
    let Admission::Wanted(admitted) = asked("POST", "/v1/chat/completions", &tags) else { panic!() };
    assert_eq!(admitted.client_tags, ["app-1", "night", "app-2"]);
}

#[test]
fn b9_the_end_user_of_the_head_is_kept() {
    let user = |value| {
        let headers = [("x-api-key", "tg-chat"), ("x-tollgate-user", value)];
        let Admission::Wanted(admitted) = asked("POST", "/v1/chat/completions", &headers) else { panic!() };
        admitted.end_user
    };
    assert_eq!(user(" 77 ").as_deref(), Some("77"));
    assert_eq!(user("a/b").as_deref(), Some("a_b"), "no separator of scopes");
    assert_eq!(user(" "), None);
    assert_eq!(user(&"x".repeat(500)).map(|id| id.len()), Some(128));
}

#[test]
fn an_issuers_token_asks_the_host_for_its_keys() {
    // {"alg":"EdDSA"}.{"iss":"https://id.example"}
    let token = "eyJhbGciOiJFZERTQSJ9.eyJpc3MiOiJodHRwczovL2lkLmV4YW1wbGUifQ.AAAA";
    let admission = asked("POST", "/v1/chat/completions", &[("x-api-key", token)]);
    let Admission::NeedsKeys(needs) = &admission else { panic!() };
    assert_eq!(needs.issuer, "https://id.example");
    assert_eq!(status(&admission), 503);
    assert!(needs.otherwise.headers().contains_key("retry-after"));
}

#[test]
fn an_issuers_token_asks_for_its_keys_at_the_admin_api_too() {
    let token = "eyJhbGciOiJFZERTQSJ9.eyJpc3MiOiJodHRwczovL2lkLmV4YW1wbGUifQ.AAAA";
    let asked = |config: &str| {
        let none = |_: SecretRef<'_>| Err("it is not set".to_owned());
        let config = Arc::new(config::load(config.as_bytes(), &none).unwrap());
        let directory = Directory::of(&config);
        let desk = Desk { config: &config, directory: &directory, gauge: &Arc::default(), peer: None };
        let request = Request::builder().uri("/api/me").header("x-api-key", token);
        let (head, ()) = request.body(()).unwrap().into_parts();
        admit(&head, &desk, RequestId(1), Time(1_800_000_000_000))
    };
    let open = format!("[server]\nadmin_key = \"root\"\n{CONFIG}");
    let Admission::NeedsKeys(needs) = asked(&open) else { panic!() };
    assert_eq!((needs.issuer.as_str(), needs.otherwise.status().as_u16()), ("https://id.example", 503));
    assert!(needs.otherwise.headers().contains_key("x-tollgate-request-id"));
    assert!(matches!(asked(CONFIG), Admission::Answered(_)), "a closed API fetches nothing");
}

#[test]
fn an_issuers_keys_are_kept_until_the_config_names_another_place() {
    let none = |_: SecretRef<'_>| Err("it is not set".to_owned());
    let config = config::load(CONFIG.as_bytes(), &none).unwrap();
    let keys =
        r#"{"keys": [{"kty": "OKP", "crv": "Ed25519", "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}]}"#;
    let mut directory = Directory::of(&config);
    directory.put_jwks(&config.tokens.issuers[0], crate::token::Jwks::parse(keys.as_bytes()).unwrap());
    directory.reseat(&config);
    assert!(directory.jwks("https://id.example").is_some());
    let moved = CONFIG.replace("https://id.example/keys", "https://id.example/new");
    directory.reseat(&config::load(moved.as_bytes(), &none).unwrap());
    assert!(directory.jwks("https://id.example").is_none());
}

#[test]
fn the_host_decides_whether_it_is_ready() {
    let Admission::Ready(answer) = asked("GET", "/readyz", &[]) else { panic!() };
    assert_eq!(answer.status(), 200);
    let answer = unready("the store cannot be reached", RequestId(1));
    assert_eq!(answer.status(), 503);
    assert!(answer.headers().contains_key("retry-after"));
}

#[test]
fn a_handshake_of_a_session_is_admitted_as_such_and_refused_where_there_are_none() {
    let handshake = [
        ("upgrade", "websocket"),
        ("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ=="),
        ("sec-websocket-protocol", "realtime, openai-insecure-api-key.tg-talks"),
    ];
    let Admission::Session(opening) = asked("GET", "/v1/realtime?model=m", &handshake) else { panic!() };
    let answer = sessionless(&opening, "this host");
    assert_eq!(answer.status(), 400);
    let body: serde_json::Value = serde_json::from_slice(answer.body()).unwrap();
    assert_eq!(body["error"]["message"], "realtime sessions are not available on this host");
    for headers in [&handshake[1..], &handshake[..1]] {
        let authorized = [headers, &[("authorization", "Bearer tg-talks")]].concat();
        assert_eq!(status(&asked("GET", "/v1/realtime?model=m", &authorized)), 400);
    }
    let stranger = [handshake[0], handshake[1], ("sec-websocket-protocol", "openai-insecure-api-key.tg-x")];
    assert_eq!(status(&asked("GET", "/v1/realtime?model=m", &stranger)), 401);
}

#[test]
fn where_nothing_is_served_the_answer_is_in_the_words_of_the_surface_that_was_meant() {
    let openai = ["/v1/chat/completions", "/v1/nothing", "/openai/v1/nothing", "/litellm/nothing"];
    let anthropic = [
        "/v1/messages",
        "/v1/messages/count_tokens",
        "/messages",
        "/openai/v1/messages",
        "/anthropic/v1/messages",
        "/anthropic/v1/nothing",
        "/v1/messages/nothing",
    ];
    let google = [
        "/v1beta/models/m:generateContent",
        "/v1/models/sim/m:streamGenerateContent",
        "/v1beta/models/m:countTokens",
        "/v1beta/nothing",
        "/genai/v1/nothing",
    ];
    let bedrock = [
        "/model/m/converse",
        "/model/m/converse-stream",
        "/model/m/invoke",
        "/model/m/x",
        "/bedrock/nothing",
    ];
    for path in [&openai[..], &anthropic, &google, &bedrock].concat() {
        let Admission::Answered(answer) = asked("PUT", path, &[]) else { panic!("{path}") };
        assert!(matches!(answer.status().as_u16(), 404 | 405), "{path}");
        let body: serde_json::Value = serde_json::from_slice(answer.body()).unwrap();
        let code = &body["error"]["code"];
        let words = if body["type"] == "error" {
            &anthropic[..]
        } else if code.is_number() && body["error"]["status"].is_string() {
            &google[..]
        } else if body["message"].is_string() && answer.headers().contains_key("x-amzn-errortype") {
            &bedrock[..]
        } else {
            assert!(code.is_string(), "{path}: {body}");
            &openai[..]
        };
        assert!(words.contains(&path), "{path}: {body}");
    }
    let google = asked("GET", "/v1beta/models/sim/m:generateContent", &[]);
    assert_eq!(status(&google), 405);
}

#[test]
fn k3_a_refusal_at_the_door_is_told_to_a_key_with_its_rates() {
    let key = [("x-api-key", "tg-rated")];
    let encoded = [key[0], ("content-encoding", "gzip")];
    for (method, path, headers, code) in [
        ("GET", "/v1/chat/completions", &key[..], 405),
        ("POST", "/v1/chat/completions", &key, 403),
        ("POST", "/v1/nothing", &key, 404),
        ("GET", "/v1/models/nothing", &key, 403),
        ("POST", "/v1/chat/completions", &encoded, 403),
    ] {
        let Admission::Listed(listed) = asked(method, path, headers) else { panic!("{method} {path}") };
        assert_eq!((listed.answer.status().as_u16(), listed.scopes[0].name.as_str()), (code, "key:rated"));
    }
    // Nobody's rates are told to those who are not known, or have none.
    for other in ["tg-chat", "tg-nobody"] {
        let admission = asked("GET", "/v1/chat/completions", &[("x-api-key", other)]);
        assert!(matches!(admission, Admission::Answered(_)), "{other}");
    }
}
