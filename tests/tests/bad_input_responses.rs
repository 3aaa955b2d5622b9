//! Every field of a Responses request with everything that may be wrong with it: the answer is a 400
//! that names the field, whichever provider would have been asked, or what was lost is named.
//!
//! One request holds every field. Its values are walked, each is replaced by what does not fit, and
//! what does not fit is known from the value that does.

#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test fails by panicking")]

use serde_json::{Map, Value, json};
use tollgate_tests::replay::{Answer, Replay, Seen};

const RESPONSES: &str = r#"{"id":"r","object":"response","status":"completed","error":null,"model":"m","output":[{"type":"message","role":"assistant","content":[{"type":"output_text","text":"ok","annotations":[]}]}],"usage":{"input_tokens":1,"output_tokens":1,"total_tokens":2}}"#;
const CHAT: &str = r#"{"id":"c","object":"chat.completion","model":"m","choices":[{"index":0,"message":{"role":"assistant","content":"ok"},"finish_reason":"stop"}]}"#;
const MESSAGES: &str = r#"{"id":"m","type":"message","role":"assistant","model":"m","content":[{"type":"text","text":"ok"}],"stop_reason":"end_turn","usage":{"input_tokens":1,"output_tokens":1}}"#;
const CONTENTS: &str = r#"{"candidates":[{"content":{"parts":[{"text":"ok"}],"role":"model"},"finishReason":"STOP","index":0}]}"#;

const UPSTREAMS: [(&str, &str); 4] =
    [("openai-responses", RESPONSES), ("together", CHAT), ("anthropic", MESSAGES), ("gemini", CONTENTS)];

/// A request with every field there is that any provider can serve.
fn full() -> Value {
    json!({
        "model": "m-1",
        "instructions": "be kind",
        "input": [
            {"role": "user", "content": "hi"},
            {"type": "message", "role": "user", "content": [
                {"type": "input_text", "text": "a"},
                {"type": "input_image", "image_url": "data:image/png;base64,aGk=", "detail": "low"},
                {"type": "input_file", "filename": "f.pdf", "file_data": "data:application/pdf;base64,JVBERi0="}]},
            {"type": "reasoning", "id": "rs_1", "summary": [{"type": "summary_text", "text": "hm"}],
                "encrypted_content": "gAAA"},
            {"type": "message", "id": "msg_1", "role": "assistant", "status": "completed",
                "content": [{"type": "output_text", "text": "b", "annotations": []}]},
            {"type": "function_call", "id": "fc_1", "call_id": "c1", "name": "f", "arguments": "{\"x\":1}"},
            {"type": "function_call_output", "call_id": "c1", "output": [{"type": "input_text", "text": "r"}]},
            {"role": "developer", "content": "now"},
            {"role": "user", "content": "and?"},
        ],
        "tools": [{"type": "function", "name": "f", "description": "d", "strict": false,
            "parameters": {"type": "object", "properties": {}}}],
        "tool_choice": {"type": "function", "name": "f"},
        "parallel_tool_calls": true,
        "text": {"verbosity": "low",
            "format": {"type": "json_schema", "name": "n", "description": "d", "strict": true, "schema": {"type": "object"}}},
        "reasoning": {"effort": "low", "summary": "auto"},
        "include": ["reasoning.encrypted_content"],
        "max_output_tokens": 4096,
        "max_tool_calls": 3,
        "temperature": 1.0, "top_p": 0.9, "top_logprobs": 2,
        "metadata": {"a": "b"},
        "user": "u", "safety_identifier": "s", "prompt_cache_key": "k",
        "service_tier": "auto", "truncation": "disabled",
        "store": false, "background": false, "stream": false,
        "stream_options": {"include_obfuscation": false},
        "fallbacks": [],
    })
}

/// Below these anything is anybody's.
const FREE: [&str; 6] = [".parameters", ".schema", "metadata", "stream_options", ".annotations", ".status"];

/// What has to be there. Everything else may be left out or be null.
fn is_needed(path: &str) -> bool {
    let last = path.rsplit('.').next().unwrap();
    match last {
        "model" | "input" => !path.contains('.'),
        // A message may leave its type out; so may a summary.
        "type" => {
            let is_message = path == "input[1].type" || path == "input[3].type";
            !is_message && !path.contains("summary")
        }
        "role" | "content" | "text" => path != "text",
        "call_id" | "arguments" | "output" | "name" | "schema" | "image_url" | "file_data" => true,
        _ => false,
    }
}

fn is_free(path: &str) -> bool {
    FREE.iter().any(|free| path.ends_with(free))
}

/// What nobody reads, whatever it is: an id, where a provider finds nothing by it.
fn is_unread(path: &str) -> bool {
    is_free(path)
        && path != "metadata"
        && path != "stream_options"
        && !path.ends_with(".parameters")
        && !path.ends_with(".schema")
        || path.ends_with("].id")
        || path.contains("summary[0].type")
}

fn asked(kind: &'static str, answer: &str, body: &Value) -> Seen {
    let replay = Replay::new(kind, "m-1");
    replay.run_at("/v1/responses", body.to_string(), &Answer::whole(200, answer.to_owned()))
}

/// The field that an error blames.
fn blamed(seen: &Seen) -> String {
    let error: Value = serde_json::from_slice(&seen.body).unwrap();
    assert_eq!(error["error"]["type"], "invalid_request_error", "{error}");
    assert!(seen.headers.contains_key("x-request-id"), "{error}");
    let field = error["error"]["param"].as_str();
    let field = field.unwrap_or_else(|| panic!("no field is named: {error}")).to_owned();
    assert!(error["error"]["message"].as_str().unwrap().starts_with(&field), "{error}");
    field
}

/// Every value of the request by its path, but for what is free.
fn places() -> Vec<String> {
    fn walk(value: &Value, path: &str, all: &mut Vec<String>) {
        all.push(path.to_owned());
        if is_free(path) {
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

/// What is not of the kind of this value. A text may stand where a list of parts or items may, and
/// where a choice of tools may.
fn wrong(path: &str, value: &Value) -> Vec<Value> {
    let text_too =
        matches!(path, "input" | "tool_choice") || path.ends_with(".content") || path.ends_with(".output");
    let all = [json!(true), json!(-7.5), json!("word"), json!([7]), json!({"x": 7})];
    let kind = |value: &Value| std::mem::discriminant(value);
    all.into_iter()
        .filter(|other| kind(other) != kind(value) || matches!(value, Value::Array(_)))
        .filter(|other| !(other.is_string() && text_too))
        // Where a text may stand, a list may, and its elements are to blame.
        .filter(|other| !(value.is_string() && text_too && other.is_array()))
        .collect()
}

#[test]
fn the_request_with_every_field_is_understood_by_all() {
    for (kind, answer) in UPSTREAMS {
        let seen = asked(kind, answer, &full());
        assert_eq!(seen.status, 200, "{kind}: {:?}", seen.body);
        let lost = seen.headers.get("x-tollgate-lost").map(|lost| lost.to_str().unwrap());
        assert_eq!(lost.is_none(), kind == "openai-responses", "{kind}: {lost:?}");
    }
}

#[test]
fn a_wrong_type_is_refused_by_the_path_of_its_field() {
    let (body, mut checked) = (full(), 0);
    for path in places().into_iter().filter(|path| !is_unread(path)) {
        let value = body.pointer(&pointer(&path)).unwrap();
        for other in wrong(&path, value) {
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
fn a_field_nobody_knows_passes_to_responses_and_is_named_as_lost_elsewhere() {
    let objects = [
        "",
        "tools[0]",
        "text",
        "text.format",
        "reasoning",
        "input[0]",
        "input[1]",
        "input[1].content[0]",
        "input[1].content[1]",
        "input[1].content[2]",
        "input[3].content[0]",
        "input[4]",
        "input[5]",
        "input[5].output[0]",
        "input[6]",
    ];
    for path in objects {
        let mut body = full();
        let object = if path.is_empty() { Some(&mut body) } else { body.pointer_mut(&pointer(path)) };
        object.unwrap().as_object_mut().unwrap().insert("x_unknown".to_owned(), json!({"a": 1}));
        body.as_object_mut().unwrap().shift_remove("fallbacks");
        let seen = asked("openai-responses", RESPONSES, &body);
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
fn items_and_parts_nobody_knows_pass_to_responses_and_are_lost_by_path_elsewhere() {
    let mut body = full();
    let input = body["input"].as_array_mut().unwrap();
    input.insert(4, json!({"type": "web_search_call", "id": "ws_1", "status": "completed"}));
    input[1]["content"].as_array_mut().unwrap().push(json!({"type": "hologram"}));
    body["tools"].as_array_mut().unwrap().push(json!({"type": "web_search"}));
    body.as_object_mut().unwrap().shift_remove("fallbacks");
    let seen = asked("openai-responses", RESPONSES, &body);
    assert_eq!((seen.status, &seen.sent[0].body), (200, &body.to_string().into_bytes().into()));
    for (kind, answer) in UPSTREAMS.into_iter().skip(1) {
        let seen = asked(kind, answer, &body);
        assert_eq!(seen.status, 200, "{kind}: {:?}", seen.body);
        let lost = seen.headers.get("x-tollgate-lost").unwrap().to_str().unwrap();
        for name in ["input[4]", "input[1].content[3]", "tools[1]"] {
            assert!(lost.split(", ").any(|lost| lost == name), "{kind}: {name}: lost {lost:?}");
        }
    }
}

#[test]
fn what_another_has_kept_is_refused_by_name_and_before_any_call() {
    for (field, value) in [
        ("previous_response_id", json!("resp_1")),
        ("conversation", json!("conv_1")),
        ("prompt", json!({"id": "p"})),
    ] {
        let mut body = json!({"model": "m-1", "input": "hi"});
        body[field] = value;
        assert_eq!(asked("openai-responses", RESPONSES, &body).status, 200, "{field}");
        for (kind, answer) in UPSTREAMS.into_iter().skip(1) {
            let seen = asked(kind, answer, &body);
            assert_eq!((seen.status, seen.sent.len(), blamed(&seen)), (400, 0, field.to_owned()), "{kind}");
        }
    }
    let reference = json!({"model": "m-1", "input": [{"role": "user", "content": "hi"}, {"type": "item_reference", "id": "x"}]});
    for (kind, answer) in UPSTREAMS.into_iter().skip(1) {
        let seen = asked(kind, answer, &reference);
        assert_eq!((seen.status, blamed(&seen)), (400, "input[1]".to_owned()), "{kind}");
    }
}

#[test]
fn words_nobody_knows_are_refused_where_they_must_be_understood() {
    for path in ["input[0].role", "tool_choice"] {
        for (kind, answer) in UPSTREAMS.into_iter().skip(1) {
            let seen = asked(kind, answer, &with(path, json!("hologram")));
            assert_eq!((seen.status, blamed(&seen)), (400, path.to_owned()), "{kind}");
        }
    }
}

#[test]
fn texts_of_any_length_are_no_reason_to_fail() {
    let long = "x".repeat(300_000);
    for (path, value) in [("input", json!(long)), ("user", json!(long)), ("input[7].content", json!(long))] {
        for (kind, answer) in UPSTREAMS {
            let seen = asked(kind, answer, &with(path, value.clone()));
            assert_eq!(seen.status, 200, "{kind}: {path}");
        }
    }
    let seen = asked("anthropic", MESSAGES, &with("input[0].role", json!(long)));
    assert!(seen.status == 400 && seen.body.len() < 2_000, "{} bytes", seen.body.len());
}

#[test]
fn what_is_no_request_at_all_is_refused_too() {
    for text in ["", "{", "[]", "7", "null", r#"{"model":"m","model":"m"}"#, "\u{feff}{}"] {
        let replay = Replay::new("openai-responses", "m-1");
        let seen = replay.run_at("/openai/responses", text, &Answer::whole(200, RESPONSES));
        let error: Map<String, Value> = serde_json::from_slice(&seen.body).unwrap();
        assert_eq!((seen.status, &error["error"]["type"]), (400, &"invalid_request_error".into()), "{text}");
    }
}
