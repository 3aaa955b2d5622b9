//! Every field of Bedrock's surface with everything that may be wrong with it: the answer is a
//! ValidationException that names the field, whichever provider would have been asked, and never a 500.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use serde_json::{Value, json};
use tollgate_tests::replay::{Answer, Replay, Seen};

const BEDROCKS: &str = r#"{"output":{"message":{"role":"assistant","content":[{"text":"ok"}]}},"stopReason":"end_turn","usage":{"inputTokens":1,"outputTokens":1,"totalTokens":2},"metrics":{"latencyMs":5}}"#;
const GOOGLES: &str = r#"{"candidates":[{"content":{"parts":[{"text":"ok"}],"role":"model"},"finishReason":"STOP","index":0}]}"#;
const OPENAIS: &str = r#"{"id":"c","object":"chat.completion","model":"m","choices":[{"index":0,"message":{"role":"assistant","content":"ok"},"finish_reason":"stop"}]}"#;
const ANTHROPICS: &str = r#"{"id":"m","type":"message","role":"assistant","model":"m","content":[{"type":"text","text":"ok"}],"stop_reason":"end_turn","usage":{"input_tokens":1,"output_tokens":1}}"#;

const UPSTREAMS: [(&str, &str); 4] =
    [("bedrock", BEDROCKS), ("openai", OPENAIS), ("anthropic", ANTHROPICS), ("gemini", GOOGLES)];

/// What a provider alone can understand, or what may be anything.
const FREE: &[&str] = &[
    "/additionalModelRequestFields/",
    "/requestMetadata/",
    "/guardrailConfig/",
    "/performanceConfig/",
    "/serviceTier/",
    "/outputConfig/",
    "/messages/0/content/2/document/citations",
    "/messages/1/content/1/toolUse/input/",
    "/messages/2/content/0/toolResult/content/0/json",
    "/toolConfig/toolChoice/auto",
    "/toolConfig/tools/0/toolSpec/inputSchema/json/",
    "/toolConfig/tools/1/cachePoint",
];

fn body() -> Value {
    json!({
        "system": [{"text": "be brief"}, {"cachePoint": {"type": "default", "ttl": "1h"}}],
        "messages": [
            {"role": "user", "content": [
                {"text": "look"},
                {"image": {"format": "png", "source": {"bytes": "iVBORw0KGgoAAAAN"}}},
                {"document": {"name": "d", "format": "txt", "source": {"content": [{"text": "a"}]}, "citations": {"enabled": true}}},
            ]},
            {"role": "assistant", "content": [
                {"reasoningContent": {"reasoningText": {"text": "hm", "signature": "s"}}},
                {"toolUse": {"toolUseId": "t", "name": "f", "input": {"a": 1}}},
            ]},
            {"role": "user", "content": [
                {"toolResult": {"toolUseId": "t", "content": [{"json": {"b": 2}}], "status": "error"}},
            ]},
        ],
        "inferenceConfig": {"maxTokens": 4000, "temperature": 0.5, "topP": 0.9, "stopSequences": ["x"]},
        "toolConfig": {
            "tools": [
                {"toolSpec": {"name": "f", "description": "d", "inputSchema": {"json": {"type": "object"}}}},
                {"cachePoint": {"type": "default"}},
            ],
            "toolChoice": {"auto": {}},
        },
        "additionalModelRequestFields": {"top_k": 5},
        "requestMetadata": {"a": "b"},
        "guardrailConfig": {"guardrailIdentifier": "g", "guardrailVersion": "1"},
        "performanceConfig": {"latency": "standard"},
        "serviceTier": {"type": "default"},
        "outputConfig": {"effort": "low"},
    })
}

fn asked(kind: &'static str, answer: &str, body: &Value) -> Seen {
    let answer = Answer::whole(200, answer.to_owned());
    Replay::new(kind, "m-1").run_at("/model/m-1/converse", body.to_string(), &answer)
}

/// Every place in a value, as pointers.
fn pointers(value: &Value, at: &str, all: &mut Vec<String>) {
    match value {
        Value::Object(fields) => fields.iter().for_each(|(key, inner)| {
            all.push(format!("{at}/{key}"));
            pointers(inner, &format!("{at}/{key}"), all);
        }),
        Value::Array(list) => list.iter().enumerate().for_each(|(index, inner)| {
            all.push(format!("{at}/{index}"));
            pointers(inner, &format!("{at}/{index}"), all);
        }),
        _ => {}
    }
}

/// As errors write it: `messages[0].content[1].image`.
fn named(pointer: &str) -> String {
    let steps = pointer.split('/').skip(1).enumerate();
    let piece = |(at, step): (usize, &str)| match (at, step.parse::<usize>()) {
        (_, Ok(index)) => format!("[{index}]"),
        (0, Err(_)) => step.to_owned(),
        (_, Err(_)) => format!(".{step}"),
    };
    steps.map(piece).collect()
}

/// Values of another kind than this one.
fn wrong(right: &Value) -> Vec<Value> {
    let all = [json!(7.5), json!(true), json!("x"), json!([7]), json!({"x": 7})];
    let kind = |value: &Value| std::mem::discriminant(value);
    all.into_iter().filter(|value| kind(value) != kind(right)).collect()
}

/// The message of a refusal, which must be one of the field's.
fn refusal(seen: &Seen, what: &str) -> String {
    assert_eq!(seen.status, 400, "{what}: {:?}", seen.body);
    assert_eq!(seen.headers["x-amzn-errortype"], "ValidationException", "{what}");
    assert!(seen.sent.is_empty(), "{what}: it was sent");
    let error: Value = serde_json::from_slice(&seen.body).unwrap();
    error["message"].as_str().unwrap().to_owned()
}

#[test]
fn what_is_right_is_answered_by_everybody() {
    for (kind, answer) in UPSTREAMS {
        let seen = asked(kind, answer, &body());
        assert_eq!(seen.status, 200, "{kind}: {:?}", seen.body);
    }
}

#[test]
fn a_value_of_the_wrong_kind_is_refused_by_its_path() {
    let mut all = Vec::new();
    pointers(&body(), "", &mut all);
    let (mut checked, mut missed) = (0, Vec::new());
    for pointer in all.iter().filter(|pointer| !FREE.iter().any(|free| pointer.starts_with(free))) {
        for value in wrong(body().pointer(pointer).unwrap()) {
            let mut bad = body();
            *bad.pointer_mut(pointer).unwrap() = value.clone();
            for (kind, answer) in UPSTREAMS {
                let what = format!("{pointer} = {value} to {kind}");
                let seen = asked(kind, answer, &bad);
                let told = String::from_utf8_lossy(&seen.body).contains(&format!("\"{}", named(pointer)));
                if seen.status != 400 || !told {
                    missed.push(format!("{what}: {} {:?}", seen.status, seen.body));
                    continue;
                }
                refusal(&seen, &what);
                checked += 1;
            }
        }
    }
    assert!(missed.is_empty(), "{}", missed.join("\n"));
    assert!(checked > 500, "{checked}");
}

#[test]
fn whatever_stands_where_nobody_looks_is_no_failure_of_the_gateways() {
    let mut all = Vec::new();
    pointers(&body(), "", &mut all);
    for pointer in &all {
        for value in
            [json!(null), json!(7.5), json!("x"), json!([7]), json!({"x": null}), json!({"x": {"y": []}})]
        {
            let mut odd = body();
            *odd.pointer_mut(pointer).unwrap() = value.clone();
            for (kind, answer) in UPSTREAMS {
                let seen = asked(kind, answer, &odd);
                assert!(matches!(seen.status, 200 | 400), "{pointer} = {value} to {kind}: {:?}", seen.body);
            }
        }
    }
}

#[test]
fn contradictions_are_refused_and_what_is_new_passes() {
    let mut unanswerable = body();
    *unanswerable.pointer_mut("/messages/2/content/0/toolResult/toolUseId").unwrap() = json!("nobody");
    let mut none = body();
    none["messages"] = json!([]);
    let mut nobody = body();
    *nobody.pointer_mut("/messages/0/role").unwrap() = json!("tool");
    for (bad, path) in [
        (unanswerable, "messages[2].content[0].toolResult.toolUseId"),
        (none, "messages"),
        (nobody, "messages[0].role"),
        (json!([]), "body"),
    ] {
        for (kind, answer) in UPSTREAMS {
            let message = refusal(&asked(kind, answer, &bad), path);
            assert!(message.starts_with(path), "{message}");
        }
    }
    let mut new = body();
    new["newField"] = json!({"a": 1});
    let seen = asked("bedrock", BEDROCKS, &new);
    assert_eq!((seen.status, seen.sent.len()), (200, 1));
    let seen = asked("openai", OPENAIS, &new);
    assert_eq!(seen.status, 200);
    assert!(seen.headers["x-tollgate-lost"].to_str().unwrap().contains("newField"));
}
