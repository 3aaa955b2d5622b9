//! Every field of a Messages request with everything that may be wrong with it: the answer is a 400
//! that names the field, whichever provider would have been asked, or what was lost is named.
//!
//! One request holds every field. Its values are walked, each is replaced by what does not fit, and
//! what does not fit is known from the value that does.

#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test fails by panicking")]

use serde_json::{Map, Value, json};
use tollgate_tests::replay::{Answer, Replay, Seen};

const ANTHROPICS: &str = r#"{"id":"m","type":"message","role":"assistant","model":"m","content":[{"type":"text","text":"ok"}],"stop_reason":"end_turn","usage":{"input_tokens":1,"output_tokens":1}}"#;
const OPENAIS: &str = r#"{"id":"c","object":"chat.completion","model":"m","choices":[{"index":0,"message":{"role":"assistant","content":"ok"},"finish_reason":"stop"}]}"#;
const GOOGLES: &str = r#"{"candidates":[{"content":{"parts":[{"text":"ok"}],"role":"model"},"finishReason":"STOP","index":0}]}"#;

const UPSTREAMS: [(&str, &str); 3] = [("anthropic", ANTHROPICS), ("openai", OPENAIS), ("gemini", GOOGLES)];

/// A request with every field there is.
fn full() -> Value {
    json!({
        "model": "m-1",
        "max_tokens": 4096,
        "stream": false,
        "system": [{"type": "text", "text": "s", "cache_control": {"type": "ephemeral", "ttl": "1h"}}],
        "messages": [
            {"role": "user", "content": "hi"},
            {"role": "user", "content": [
                {"type": "text", "text": "a", "cache_control": {"type": "ephemeral"}},
                {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "aGk="}},
                {"type": "document", "title": "t", "context": "c", "citations": {"enabled": true},
                    "source": {"type": "base64", "media_type": "application/pdf", "data": "JVBERi0="}},
                {"type": "document", "source": {"type": "text", "media_type": "text/plain", "data": "words"}},
                {"type": "document", "source": {"type": "content", "content": [{"type": "text", "text": "w"}]}},
                {"type": "search_result", "source": "https://x.test", "title": "t",
                    "content": [{"type": "text", "text": "found"}]}]},
            {"role": "assistant", "content": [
                {"type": "thinking", "thinking": "hm", "signature": "sig"},
                {"type": "redacted_thinking", "data": "sealed"},
                {"type": "text", "text": "b", "citations": [{"type": "char_location"}]},
                {"type": "tool_use", "id": "t1", "name": "f", "input": {"x": 1}}]},
            {"role": "user", "content": [
                {"type": "tool_result", "tool_use_id": "t1", "is_error": false,
                    "content": [{"type": "text", "text": "r"}]},
                {"type": "text", "text": "and?"}]},
            {"role": "system", "content": "now"},
        ],
        "tools": [
            {"name": "f", "description": "d", "input_schema": {"type": "object", "properties": {}}, "strict": true,
                "cache_control": {"type": "ephemeral"}},
            {"type": "custom", "name": "g", "input_schema": {"type": "object"}}],
        "tool_choice": {"type": "auto", "disable_parallel_tool_use": true},
        "thinking": {"type": "enabled", "budget_tokens": 1024, "display": "summarized"},
        "output_config": {"effort": "low", "format": {"type": "json_schema", "schema": {"type": "object"}}},
        "temperature": 1.0, "top_p": 0.9, "top_k": 5,
        "stop_sequences": ["x"],
        "metadata": {"user_id": "u"},
        "service_tier": "auto",
        "cache_control": {"type": "ephemeral"},
        "fallbacks": [],
    })
}

/// Below these anything is anybody's: schemas, inputs, citations.
const FREE: [&str; 3] = [".input_schema", ".input", ".schema"];

/// What has to be there. Everything else may be left out or be null.
fn is_needed(path: &str) -> bool {
    let last = path.rsplit('.').next().unwrap();
    let of_source = path.contains(".source.");
    match last {
        "model" | "max_tokens" | "messages" => !path.contains('.'),
        "role" | "type" | "text" | "thinking" | "data" | "id" | "name" | "input" | "tool_use_id"
        | "input_schema" | "schema" => {
            let optional = path == "thinking" || path.contains("citations");
            let tool = path.starts_with("tools[") && path.ends_with("].type");
            !optional && !tool
        }
        "content" => !path.contains("[0].content[0].content") && !is_result(path),
        "source" => true,
        "title" => path.contains("content[5]"),
        "media_type" => of_source && !path.contains("content[3]"),
        "budget_tokens" => true,
        _ => false,
    }
}

fn is_result(path: &str) -> bool {
    path == "messages[3].content[0].content"
}

fn asked(kind: &'static str, answer: &str, body: &Value) -> Seen {
    let replay = Replay::new(kind, "m-1");
    replay.run_at("/v1/messages", body.to_string(), &Answer::whole(200, answer.to_owned()))
}

/// The field that an error blames.
fn blamed(seen: &Seen) -> String {
    let error: Value = serde_json::from_slice(&seen.body).unwrap();
    assert_eq!(error["type"], "error", "{error}");
    assert_eq!(error["error"]["type"], "invalid_request_error", "{error}");
    assert!(error["request_id"].is_string() && seen.headers.contains_key("request-id"), "{error}");
    let field = error["error"]["details"]["param"].as_str();
    let field = field.unwrap_or_else(|| panic!("no field is named: {error}")).to_owned();
    assert!(error["error"]["message"].as_str().unwrap().starts_with(&field), "{error}");
    field
}

/// Every value of the request by its path, but for what is free.
fn places() -> Vec<String> {
    fn walk(value: &Value, path: &str, all: &mut Vec<String>) {
        all.push(path.to_owned());
        if FREE.iter().any(|free| path.ends_with(free)) || path.ends_with(".citations[0]") {
            return;
        }
        match value {
            Value::Object(fields) => {
                for (key, value) in fields {
                    let path = if path.is_empty() { key.clone() } else { format!("{path}.{key}") };
                    walk(value, &path, all);
                }
            }
            Value::Array(list) => {
                for (at, value) in list.iter().enumerate() {
                    walk(value, &format!("{path}[{at}]"), all);
                }
            }
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
        }
    }
    let mut all = Vec::new();
    walk(&full(), "", &mut all);
    all.retain(|path| !path.is_empty());
    all
}

fn pointer(path: &str) -> String {
    format!("/{}", path.replace('[', "/").replace(']', "").replace('.', "/"))
}

fn with(path: &str, value: Value) -> Value {
    let mut body = full();
    *body.pointer_mut(&pointer(path)).unwrap() = value;
    body
}

fn without(path: &str) -> Option<Value> {
    let (parent, key) = path.rsplit_once('.').unwrap_or(("", path));
    if key.ends_with(']') {
        return None;
    }
    let mut body = full();
    let object = if parent.is_empty() { Some(&mut body) } else { body.pointer_mut(&pointer(parent)) };
    object.unwrap().as_object_mut().unwrap().shift_remove(key);
    Some(body)
}

/// What is not of the kind of this value. A text may stand where a list of blocks may.
fn wrong(path: &str, value: &Value) -> Vec<Value> {
    let text_too = path == "system" || path.ends_with(".content") && !path.contains("content[5]");
    let all = [json!(true), json!(-7.5), json!("word"), json!([7]), json!({"x": 7})];
    let kind = |value: &Value| std::mem::discriminant(value);
    all.into_iter()
        .filter(|other| kind(other) != kind(value) || matches!(value, Value::Array(_)))
        .filter(|other| !(other.is_string() && text_too))
        .collect()
}

#[test]
fn the_request_with_every_field_is_understood_by_all() {
    for (kind, answer) in UPSTREAMS {
        let seen = asked(kind, answer, &full());
        assert_eq!(seen.status, 200, "{kind}: {:?}", seen.body);
        let lost = seen.headers.get("x-tollgate-lost").map(|lost| lost.to_str().unwrap());
        assert_eq!(lost.is_none(), kind == "anthropic", "{kind}: {lost:?}");
    }
}

#[test]
fn a_wrong_type_is_refused_by_the_path_of_its_field() {
    let (body, mut checked) = (full(), 0);
    for path in places() {
        let value = body.pointer(&pointer(&path)).unwrap();
        // Texts that hold anything are only wrong as another type; a list of anything never is.
        for other in wrong(&path, value) {
            // Anthropic has a field of this name, too, and its citations are its own.
            if path.starts_with("fallbacks") || path.contains("citations[0]") {
                continue;
            }
            if path.ends_with(".citations") && other.is_array() {
                continue;
            }
            let broken = with(&path, other.clone());
            for (kind, answer) in UPSTREAMS {
                checked += 1;
                let seen = asked(kind, answer, &broken);
                assert_eq!((seen.status, seen.sent.len()), (400, 0), "{kind}: {path} = {other}");
                let blamed = blamed(&seen);
                // Within a list of the wrong things the first of them is blamed.
                let within = blamed.starts_with(&format!("{path}[0]")) && other.is_array();
                // An object without its type is blamed for that.
                let inner = blamed.starts_with(&format!("{path}.")) && other.is_object();
                assert!(blamed == path || within || inner, "{kind}: {path} = {other}: {blamed}");
            }
        }
    }
    assert!(checked > 800, "only {checked} were checked");
}

#[test]
fn what_is_needed_and_missing_is_named_and_anything_else_may_be_null() {
    for path in places().into_iter().filter(|path| !path.ends_with(']')) {
        let needed = is_needed(&path);
        for (how, body) in [("absent", without(&path).unwrap()), ("null", with(&path, Value::Null))] {
            for (kind, answer) in UPSTREAMS {
                let seen = asked(kind, answer, &body);
                if needed {
                    assert_eq!((seen.status, seen.sent.len()), (400, 0), "{kind}: {path} {how}");
                    assert_eq!(blamed(&seen), path, "{kind}: {path} {how}");
                } else {
                    assert_eq!(seen.status, 200, "{kind}: {path} {how}: {:?}", seen.body);
                }
            }
        }
    }
}

#[test]
fn a_field_nobody_knows_passes_to_anthropic_and_is_named_as_lost_elsewhere() {
    let body = full();
    let mut objects: Vec<String> = places();
    objects.retain(|path| body.pointer(&pointer(path)).unwrap().is_object());
    objects.retain(|path| !FREE.iter().any(|free| path.ends_with(free)) && !path.contains("citations"));
    for path in [String::new()].into_iter().chain(objects) {
        let mut body = full();
        let object = if path.is_empty() { Some(&mut body) } else { body.pointer_mut(&pointer(&path)) };
        object.unwrap().as_object_mut().unwrap().insert("x_unknown".to_owned(), json!({"a": 1}));
        body.as_object_mut().unwrap().shift_remove("fallbacks");
        let seen = asked("anthropic", ANTHROPICS, &body);
        assert_eq!((seen.status, &seen.sent[0].body), (200, &body.to_string().into_bytes().into()), "{path}");
        for (kind, answer) in UPSTREAMS.into_iter().skip(1) {
            let seen = asked(kind, answer, &body);
            assert_eq!(seen.status, 200, "{kind}: {path}: {:?}", seen.body);
            let lost = seen.headers.get("x-tollgate-lost").unwrap().to_str().unwrap();
            let own = if path.is_empty() { "x_unknown".to_owned() } else { format!("{path}.x_unknown") };
            // Of some the whole is lost, and named.
            let named = lost.split(", ").any(|name| name == own || path.starts_with(name));
            assert!(named, "{kind}: {own}: lost {lost:?}");
        }
    }
}

#[test]
fn words_nobody_knows_are_refused_where_they_must_be_understood() {
    for path in [
        "messages[0].role",
        "messages[1].content[0].type",
        "messages[1].content[1].source.type",
        "messages[1].content[2].source.type",
        "tool_choice.type",
        "thinking.type",
        "thinking.display",
        "output_config.effort",
        "output_config.format.type",
        "service_tier",
    ] {
        for (kind, answer) in UPSTREAMS.into_iter().skip(1) {
            let seen = asked(kind, answer, &with(path, json!("hologram")));
            assert_eq!((seen.status, blamed(&seen)), (400, path.to_owned()), "{kind}");
        }
    }
}

#[test]
fn contradictions_are_refused_by_name() {
    let messages = |list: Value| json!({"model": "m-1", "max_tokens": 9, "messages": list});
    let call = json!({"type": "tool_use", "id": "t1", "name": "f", "input": {}});
    let result = json!({"type": "tool_result", "tool_use_id": "t1", "content": "r"});
    for (body, path) in [
        (messages(json!([])), "messages"),
        (messages(json!([{"role": "user", "content": [result]}])), "messages[0].content[0].tool_use_id"),
        (
            messages(
                json!([{"role": "user", "content": [result]}, {"role": "assistant", "content": [call]}]),
            ),
            "messages[0].content[0].tool_use_id",
        ),
        (messages(json!([{"role": "user", "content": [call]}])), "messages[0].content[0].type"),
        (
            messages(
                json!([{"role": "user", "content": "x"}, {"role": "assistant", "content": [call]}, {"role": "assistant", "content": [result]}]),
            ),
            "messages[2].content[0].type",
        ),
    ] {
        for (kind, answer) in UPSTREAMS {
            let seen = asked(kind, answer, &body);
            assert_eq!((seen.status, blamed(&seen)), (400, path.to_owned()), "{kind}: {body}");
        }
    }
}

#[test]
fn texts_of_any_length_are_no_reason_to_fail() {
    let long = "x".repeat(300_000);
    for (path, value) in [
        ("messages[0].content", json!(long)),
        ("metadata.user_id", json!(long)),
        ("stop_sequences", json!(vec!["a"; 4])),
        ("messages[3].content[1].text", json!(long)),
    ] {
        for (kind, answer) in UPSTREAMS {
            assert_eq!(asked(kind, answer, &with(path, value.clone())).status, 200, "{kind}: {path}");
        }
    }
    let seen = asked("openai", OPENAIS, &with("messages[0].role", json!(long)));
    assert!(seen.status == 400 && seen.body.len() < 2_000, "{} bytes", seen.body.len());
    let seen = asked("openai", OPENAIS, &with("model", json!(long)));
    assert!(seen.status == 404 && seen.body.len() < 2_000, "{} bytes", seen.body.len());
}

#[test]
fn what_is_no_request_at_all_is_refused_too() {
    for text in ["", "{", "[]", "7", "null", r#"{"model":"m","model":"m"}"#, "\u{feff}{}"] {
        let replay = Replay::new("anthropic", "m-1");
        let seen = replay.run_at("/anthropic/v1/messages", text, &Answer::whole(200, ANTHROPICS));
        let error: Map<String, Value> = serde_json::from_slice(&seen.body).unwrap();
        assert_eq!((seen.status, &error["error"]["type"]), (400, &"invalid_request_error".into()), "{text}");
    }
}
