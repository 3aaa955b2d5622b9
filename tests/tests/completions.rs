//! Completions of a plain text: passed where they are served, asked in chat elsewhere.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use serde_json::{Value, json};
use tollgate_core::units::Tokens;
use tollgate_tests::replay::{Answer, Replay, Seen};

const PLACE: &str = "/v1/completions";
const PLAIN: &str = r#"{"id":"cmpl-1","object":"text_completion","created":5,"model":"m-1","choices":[{"text":" you said \"error\"","index":0,"logprobs":null,"finish_reason":"stop"}],"usage":{"prompt_tokens":3,"completion_tokens":2,"total_tokens":5}}"#;
const CHAT: &str = r#"{"id":"chatcmpl-1","object":"chat.completion","created":5,"model":"m-1","choices":[{"index":0,"message":{"role":"assistant","content":"ok","refusal":null},"logprobs":{"content":[{"token":"o","logprob":-0.5,"bytes":[111],"top_logprobs":[{"token":"o","logprob":-0.5,"bytes":[111]}]},{"token":"k","logprob":-1.0,"bytes":[107],"top_logprobs":[]}]},"finish_reason":"length"}],"usage":{"prompt_tokens":3,"completion_tokens":2,"total_tokens":5}}"#;
const MESSAGES: &str = r#"{"id":"m","type":"message","role":"assistant","model":"m-1","content":[{"type":"text","text":"ok"}],"stop_reason":"end_turn","usage":{"input_tokens":3,"output_tokens":2}}"#;

fn plain_stream() -> String {
    let chunk = |text: &str, finish: Value| {
        let chunk = json!({"id": "cmpl-1", "object": "text_completion", "created": 5, "model": "m-1",
            "choices": [{"text": text, "index": 0, "logprobs": null, "finish_reason": finish}]});
        format!("data: {chunk}\n\n")
    };
    let usage = json!({"id": "cmpl-1", "object": "text_completion", "created": 5, "model": "m-1", "choices": [],
        "usage": {"prompt_tokens": 3, "completion_tokens": 2, "total_tokens": 5}});
    [
        chunk("a", Value::Null),
        chunk(" b", Value::Null),
        chunk("", json!("stop")),
        format!("data: {usage}\n\n"),
    ]
    .concat()
        + "data: [DONE]\n\n"
}

fn chat_stream() -> String {
    let chunk = |delta: Value, finish: Value| {
        let chunk = json!({"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 5, "model": "m-1",
            "choices": [{"index": 0, "delta": delta, "finish_reason": finish}]});
        format!("data: {chunk}\n\n")
    };
    let usage =
        json!({"id": "chatcmpl-1", "choices": [], "usage": {"prompt_tokens": 3, "completion_tokens": 2}});
    [
        chunk(json!({"role": "assistant", "content": ""}), Value::Null),
        chunk(json!({"reasoning_content": "hm"}), Value::Null),
        chunk(json!({"content": "a"}), Value::Null),
        chunk(json!({"content": "b"}), Value::Null),
        chunk(json!({}), json!("stop")),
        format!("data: {usage}\n\ndata: [DONE]\n\n"),
    ]
    .concat()
}

fn asked(kind: &'static str, body: &Value, answer: &str) -> Seen {
    Replay::new(kind, "m-1").run_at(PLACE, body.to_string(), &Answer::whole(200, answer.to_owned()))
}

fn told(seen: &Seen) -> Value {
    assert_eq!(seen.status, 200, "{:?}", seen.body);
    serde_json::from_slice(&seen.body).unwrap()
}

fn sent(seen: &Seen) -> Value {
    serde_json::from_slice(&seen.sent.last().unwrap().body).unwrap()
}

fn chunks(seen: &Seen) -> Vec<Value> {
    let text = std::str::from_utf8(&seen.body).unwrap().strip_suffix("data: [DONE]\n\n").unwrap();
    text.split_terminator("\n\n").map(|frame| serde_json::from_str(&frame[6..]).unwrap()).collect()
}

#[test]
fn where_they_are_served_bytes_pass_but_for_the_models_name() {
    let body = r#"{ "prompt" : ["a","b"], "model":"m-1", "suffix":"c", "x": null, "fallbacks":[] }"#;
    let renamed = Replay::new("together", "served").alias("m-1");
    let seen = renamed.run_at(PLACE, body, &Answer::whole(200, PLAIN));
    assert_eq!(seen.sent[0].uri.path(), "/base/completions");
    assert_eq!(seen.sent[0].body, r#"{ "prompt" : ["a","b"], "model":"served", "suffix":"c", "x": null }"#);
    assert_eq!(seen.body, PLAIN);
    let usage = seen.record.unwrap().usage.unwrap();
    assert_eq!((usage.prompt(), usage.output), (Tokens(3), Tokens(2)));
}

#[test]
fn c12_a_stream_passes_whole_and_its_usage_is_hidden_where_nobody_asked() {
    for (options, shown) in [(json!(null), false), (json!({"include_usage": true}), true)] {
        let body = json!({"model": "m-1", "prompt": "a", "stream": true, "stream_options": options});
        for size in [1, 7, 100_000] {
            let answer = Answer::stream(plain_stream()).cut(size);
            let seen = Replay::new("together", "m-1").run_at(PLACE, body.to_string(), &answer);
            assert!(seen.ended);
            assert_eq!(sent(&seen)["stream_options"]["include_usage"], true);
            let text = String::from_utf8(seen.body.to_vec()).unwrap();
            assert_eq!(text.contains("\"usage\""), shown);
            if shown {
                assert_eq!(text, plain_stream());
            }
            assert_eq!(seen.record.unwrap().usage.unwrap().output, Tokens(2));
        }
    }
}

#[test]
fn a_stream_that_is_cut_ends_in_a_fault() {
    let body = json!({"model": "m-1", "prompt": "a", "stream": true});
    for size in [150, 200] {
        let broken: String = plain_stream().chars().take(size).collect();
        let seen = Replay::new("together", "m-1").run_at(PLACE, body.to_string(), &Answer::stream(broken));
        let text = String::from_utf8(seen.body.to_vec()).unwrap();
        assert!(!text.contains("[DONE]") && text.contains("\"error\""), "{text}");
    }
}

#[test]
fn models_for_chat_are_asked_in_chat_and_answer_in_this_form() {
    let body = json!({"model": "m-1", "prompt": "say ok", "max_tokens": 2, "logprobs": 1, "user": "u"});
    let seen = asked("groq", &body, CHAT);
    assert_eq!(seen.sent[0].uri.path(), "/base/chat/completions");
    assert_eq!(sent(&seen)["messages"], json!([{"role": "user", "content": "say ok"}]));
    assert_eq!((&sent(&seen)["logprobs"], &sent(&seen)["top_logprobs"]), (&json!(true), &json!(1)));
    let answer = told(&seen);
    assert_eq!((&answer["object"], &answer["id"]), (&json!("text_completion"), &json!("cmpl-1")));
    let logprobs = json!({"tokens": ["o", "k"], "token_logprobs": [-0.5, -1.0],
        "top_logprobs": [{"o": -0.5}, {}], "text_offset": [0, 1]});
    let choice = json!({"index": 0, "text": "ok", "logprobs": logprobs, "finish_reason": "length"});
    assert_eq!(answer["choices"], json!([choice]));
    assert_eq!(answer["usage"]["total_tokens"], 5);
    let seen =
        asked("anthropic", &json!({"model": "m-1", "prompt": ["a"], "echo": true, "best_of": 2}), MESSAGES);
    assert_eq!(sent(&seen)["messages"][0]["content"][0]["text"], "a");
    assert_eq!(seen.headers["x-tollgate-lost"], "best_of");
    assert_eq!(told(&seen)["choices"][0]["text"], "aok");
}

#[test]
fn a_stream_in_chat_is_shown_in_this_form() {
    let body = json!({"model": "m-1", "prompt": "q", "stream": true, "echo": true, "stream_options": {"include_usage": true}});
    let seen = Replay::new("groq", "m-1").run_at(PLACE, body.to_string(), &Answer::stream(chat_stream()));
    let chunks = chunks(&seen);
    let texts: Vec<_> = chunks.iter().filter_map(|chunk| chunk["choices"][0]["text"].as_str()).collect();
    assert_eq!(texts, ["qa", "b", ""]);
    assert!(chunks.iter().all(|chunk| chunk["object"] == "text_completion" && chunk["id"] == "cmpl-1"));
    assert!(chunks.iter().all(|chunk| chunk["choices"][0].get("delta").is_none()));
    assert_eq!(chunks[2]["choices"][0]["finish_reason"], "stop");
    assert_eq!(chunks.last().unwrap()["usage"]["completion_tokens"], 2);
}

#[test]
fn openais_own_models_go_where_they_are_served() {
    let named = |model: &str| {
        let own = Replay { name: "openai", ..Replay::new("openai", model) };
        let body = json!({"model": model, "prompt": "a"});
        own.run_at(PLACE, body.to_string(), &Answer::whole(200, PLAIN)).sent[0].uri.path().to_owned()
    };
    assert_eq!(named("gpt-3.5-turbo-instruct"), "/base/completions");
    assert_eq!(named("davinci-002"), "/base/completions");
    assert_eq!(named("gpt-4o-mini"), "/base/chat/completions");
}

#[test]
fn an_upstream_that_says_that_it_only_knows_chat_is_asked_in_chat_within_the_same_attempt() {
    let body = json!({"model": "m-1", "prompt": "a"});
    let seen = Replay::new("vllm", "m-1").run_at(
        PLACE,
        body.to_string(),
        &Answer::whole(200, CHAT).at("/chat/completions"),
    );
    let paths: Vec<_> = seen.sent.iter().map(|fetch| fetch.uri.path()).collect();
    assert_eq!(paths, ["/base/completions", "/base/chat/completions"]);
    assert_eq!(seen.headers["x-tollgate-attempts"], "1");
    assert_eq!(told(&seen)["choices"][0]["text"], "ok");
    // A model of which it says so is asked once, and what it says then holds.
    let refusal = r#"{"error":{"message":"This is a chat model and not supported in the v1/completions endpoint. Did you mean to use v1/chat/completions?","type":"invalid_request_error","param":"model","code":null}}"#;
    let seen = Replay::new("vllm", "m-1").run_at(PLACE, body.to_string(), &Answer::whole(404, refusal));
    assert_eq!((seen.status, seen.sent.len()), (404, 2), "{:?}", seen.body);
}

#[test]
fn what_chat_has_no_word_for_is_refused_by_name_where_it_is_asked_in_chat() {
    for (fields, param) in [
        (json!({"prompt": ["a", "b"]}), "prompt"),
        (json!({"prompt": [[1, 2]]}), "prompt"),
        (json!({"prompt": "a", "suffix": "b"}), "suffix"),
    ] {
        let mut body = json!({"model": "m-1"});
        body.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
        let seen = asked("anthropic", &body, MESSAGES);
        assert_eq!((seen.status, seen.sent.len()), (400, 0), "{:?}", seen.body);
        let error: Value = serde_json::from_slice(&seen.body).unwrap();
        assert_eq!(
            (&error["error"]["param"], &error["error"]["code"]),
            (&json!(param), &json!("unsupported"))
        );
    }
    let strict = Replay::new("anthropic", "m-1").header("x-tollgate-strict", "true");
    let body = json!({"model": "m-1", "prompt": "a", "best_of": 2});
    assert_eq!(strict.run_at(PLACE, body.to_string(), &Answer::whole(200, MESSAGES)).status, 400);
}

#[test]
fn errors_are_in_openais_shape_and_one_in_a_good_answer_is_one() {
    let body = json!({"model": "m-1", "prompt": "a"});
    let failed = r#"{"error":{"message":"no","type":"server_error"}}"#;
    let seen = asked("together", &body, failed);
    assert_eq!(seen.status, 502);
    let error: Value = serde_json::from_slice(&seen.body).unwrap();
    assert_eq!(error["error"]["code"], "upstream_error");
}
