//! The Anthropic dialect: shapes and refusals.

use serde_json::{Value, json};
use tollgate_sim::Running;

use crate::raw::{Reply, post, sim};

fn hello() -> Value {
    json!({"model": "claude-sim", "max_tokens": 4096, "messages": [{"role": "user", "content": "hello"}]})
}

fn ask(sim: &Running, body: &Value) -> Reply {
    post(sim, "/v1/messages", &["anthropic-version: 2023-06-01"], body)
}

fn with(change: impl FnOnce(&mut Value)) -> Reply {
    let mut body = hello();
    change(&mut body);
    ask(&sim(), &body)
}

fn streamed(change: impl FnOnce(&mut Value)) -> Reply {
    with(|body| {
        body["stream"] = json!(true);
        change(body);
    })
}

fn kinds(reply: &Reply) -> Vec<String> {
    reply.events().iter().map(|event| event["type"].as_str().unwrap().to_owned()).collect()
}

fn tools() -> Value {
    let schema = json!({"type": "object", "properties": {"city": {"type": "string"}}});
    json!([{"name": "weather", "input_schema": schema}, {"name": "time", "input_schema": schema}])
}

#[test]
fn a_whole_answer_has_the_published_shape() {
    let reply = with(|_| {});
    let answer = reply.json();
    assert!(reply.header("request-id").is_some());
    assert_eq!(answer["content"], json!([{"type": "text", "text": "You said: hello"}]));
    assert_eq!(
        (&answer["type"], &answer["role"], &answer["stop_reason"]),
        (&json!("message"), &json!("assistant"), &json!("end_turn"))
    );
    assert_eq!((&answer["usage"]["input_tokens"], &answer["usage"]["output_tokens"]), (&json!(2), &json!(4)));
}

#[test]
fn a_stream_has_its_events_in_order_and_named() {
    let reply = streamed(|_| {});
    let wanted = [
        "message_start",
        "content_block_start",
        "ping",
        "content_block_delta",
        "content_block_delta",
        "content_block_delta",
        "content_block_stop",
        "message_delta",
        "message_stop",
    ];
    assert_eq!(kinds(&reply), wanted);
    let text = reply.text();
    let named: Vec<&str> = text.lines().filter_map(|line| line.strip_prefix("event: ")).collect();
    assert_eq!(named, wanted);
    let events = reply.events();
    assert_eq!(events[0]["message"]["usage"]["output_tokens"], 1, "a placeholder");
    assert_eq!(events[7]["usage"]["output_tokens"], 4);
}

#[test]
fn a_stop_sequence_is_named() {
    let answer = with(|body| body["stop_sequences"] = json!(["hello"])).json();
    assert_eq!(
        (&answer["stop_reason"], &answer["stop_sequence"]),
        (&json!("stop_sequence"), &json!("hello"))
    );
    assert_eq!(with(|body| body["max_tokens"] = json!(1)).json()["stop_reason"], "max_tokens");
}

#[test]
fn thinking_comes_before_the_text_with_its_signature() {
    let thinking = json!({"type": "enabled", "budget_tokens": 1024});
    let answer = with(|body| body["thinking"] = thinking.clone()).json();
    assert_eq!(
        (&answer["content"][0]["type"], &answer["content"][1]["type"]),
        (&json!("thinking"), &json!("text"))
    );
    let events = streamed(|body| body["thinking"] = thinking.clone()).events();
    let signed: Vec<&Value> =
        events.iter().filter(|event| event["delta"]["type"] == "signature_delta").collect();
    assert_eq!(signed.len(), 1);
    assert_eq!(signed[0]["delta"]["signature"], answer["content"][0]["signature"]);
    let redacted = with(|body| {
        body["thinking"] = thinking;
        body["model"] = json!("claude-sim+redacted");
    });
    assert_eq!(redacted.json()["content"][0]["type"], "redacted_thinking");
}

#[test]
fn thinking_must_come_back_unchanged() {
    let sim = sim();
    let mut body = hello();
    body["thinking"] = json!({"type": "enabled", "budget_tokens": 1024});
    let mut content = ask(&sim, &body).json()["content"].clone();
    let mut again = |content: &Value| {
        body["messages"] = json!([{"role": "user", "content": "hello"}, {"role": "assistant", "content": content},
            {"role": "user", "content": "go on"}]);
        ask(&sim, &body)
    };
    assert_eq!(again(&content).status, 200);
    content[0]["thinking"] = json!("something else");
    let refused = again(&content);
    assert_eq!(refused.status, 400);
    assert!(refused.text().contains("Invalid `signature` in `thinking` block"));
}

#[test]
fn calls_are_blocks_and_their_input_is_streamed() {
    let content = json!("call weather {\"city\":\"Paris\"}\ncall time {}");
    let answer = with(|body| {
        body["tools"] = tools();
        body["messages"][0]["content"] = content.clone();
    });
    let answer = answer.json();
    assert_eq!(answer["stop_reason"], "tool_use");
    assert_eq!(answer["content"][0]["input"], json!({"city": "Paris"}));
    assert_eq!(answer["content"].as_array().unwrap().len(), 2);
    let reply = streamed(|body| {
        body["tools"] = tools();
        body["messages"][0]["content"] = content;
    });
    let mut inputs = vec![String::new(); 2];
    for event in reply.events() {
        if let Some(json) = event["delta"]["partial_json"].as_str() {
            inputs[event["index"].as_u64().unwrap() as usize].push_str(json);
        }
    }
    assert_eq!(inputs, ["{\"city\":\"Paris\"}", "{}"]);
}

#[test]
fn a_marked_prefix_is_written_once_and_read_afterwards() {
    let sim = sim();
    let mut body = hello();
    let marked =
        json!({"type": "text", "text": "a long system prompt", "cache_control": {"type": "ephemeral"}});
    body["system"] = json!([marked]);
    let cached = |body: &Value| {
        let usage = ask(&sim, body).json()["usage"].clone();
        let count = |name: &str| usage[name].as_u64().unwrap();
        [count("input_tokens"), count("cache_creation_input_tokens"), count("cache_read_input_tokens")]
    };
    assert_eq!(cached(&body), [2, 5, 0]);
    assert_eq!(cached(&body), [2, 0, 5]);
    body["messages"][0]["content"] = json!("eight by");
    assert_eq!(cached(&body), [2, 0, 5]);
}

#[test]
fn errors_have_the_dialects_shape_in_and_out_of_the_stream() {
    let overloaded = with(|body| body["model"] = json!("c+error=overloaded"));
    assert_eq!((overloaded.status, &overloaded.json()["error"]["type"]), (529, &json!("overloaded_error")));
    let inside = streamed(|body| body["model"] = json!("c+preamble_then_error"));
    assert_eq!(kinds(&inside), ["message_start", "error"]);
    assert!(
        inside
            .text()
            .contains("event: error\ndata: {\"type\":\"error\",\"error\":{\"type\":\"overloaded_error\"")
    );
}

#[test]
fn usage_comes_in_every_wrong_way() {
    let totals = |mode: &str| {
        let reply = streamed(|body| body["model"] = json!(format!("c+usage={mode}")));
        let events = reply.events();
        let opening = events[0]["message"]["usage"]["output_tokens"].as_u64();
        let closing: Vec<Option<u64>> = events
            .iter()
            .filter(|event| event["type"] == "message_delta")
            .map(|event| event["usage"]["output_tokens"].as_u64())
            .collect();
        (opening, closing)
    };
    assert_eq!(totals("none"), (None, vec![None]));
    assert_eq!(totals("null"), (None, vec![None]));
    assert_eq!(totals("zero"), (Some(0), vec![Some(0)]));
    assert_eq!(totals("double"), (Some(1), vec![Some(4), Some(4)]));
    assert_eq!(totals("early"), (Some(4), vec![None]));
}

#[test]
fn what_the_provider_refuses_is_refused_in_its_words() {
    let call = json!({"role": "assistant", "content": [{"type": "tool_use", "id": "a", "name": "weather", "input": {}}]});
    let result =
        json!({"role": "user", "content": [{"type": "tool_result", "tool_use_id": "a", "content": "x"}]});
    let user = json!({"role": "user", "content": "x"});
    let messages = |list: Value| json!({"messages": list});
    let cases = [
        (json!({"max_tokens": null}), "max_tokens: Field required"),
        (json!({"nonsense": 1}), "nonsense: Extra inputs are not permitted"),
        (messages(json!([])), "at least one message"),
        (messages(json!([{"role": "tool", "content": "x"}])), "messages.0.role"),
        (messages(json!([{"role": "user", "content": [{"type": "text", "text": ""}]}])), "must be non-empty"),
        (messages(json!([{"role": "user", "content": [{"type": "text", "text": " "}]}])), "non-whitespace"),
        (messages(json!([user, result])), "unexpected `tool_use_id`"),
        (messages(json!([user, call])), "were found without `tool_result`"),
        (messages(json!([user, call, user])), "were found without `tool_result`"),
        (messages(json!([user, call, result, call, result])), "must be unique"),
        (messages(json!([user, {"role": "assistant", "content": "so "}])), "trailing whitespace"),
        (json!({"temperature": 1.5}), "temperature: range"),
        (json!({"thinking": {"type": "enabled", "budget_tokens": 100}}), "greater than or equal to 1024"),
        (
            json!({"thinking": {"type": "enabled", "budget_tokens": 5000}}),
            "greater than `thinking.budget_tokens`",
        ),
        (json!({"system": [{"type": "text", "text": ""}]}), "system: text content blocks"),
    ];
    let sim = sim();
    for (change, words) in cases {
        let mut body = hello();
        for (name, value) in change.as_object().unwrap() {
            body[name] = value.clone();
        }
        let reply = ask(&sim, &body);
        assert_eq!(
            (reply.status, &reply.json()["error"]["type"]),
            (400, &json!("invalid_request_error")),
            "{change}"
        );
        assert!(reply.text().contains(words), "{} instead of {words}", reply.text());
    }
    let no_version = post(&sim, "/v1/messages", &[], &hello());
    assert!(no_version.text().contains("anthropic-version: header is required"));
}

#[test]
fn the_newest_version_takes_no_temperature() {
    let mut body = hello();
    body["temperature"] = json!(1);
    assert_eq!(post(&sim(), "/v1/messages", &["anthropic-version: 2026-10-21"], &body).status, 400);
    assert_eq!(ask(&sim(), &body).status, 200);
}
