//! The Responses dialect: shapes and refusals.

use serde_json::{Value, json};
use tollgate_sim::Running;

use crate::raw::{Reply, post, sim};

fn ask(sim: &Running, body: &Value) -> Reply {
    post(sim, "/v1/responses", &[], body)
}

fn kinds(reply: &Reply) -> Vec<String> {
    reply.events().iter().map(|event| event["type"].as_str().unwrap().replace("response.", "")).collect()
}

fn tools() -> Value {
    json!([{"type": "function", "name": "weather", "strict": false, "parameters":
        {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}}])
}

#[test]
fn a_whole_answer_has_the_published_shape() {
    let reply = ask(&sim(), &json!({"model": "m", "input": "hello"}));
    let answer = reply.json();
    assert!(reply.header("x-request-id").is_some());
    assert_eq!((&answer["object"], &answer["status"]), (&json!("response"), &json!("completed")));
    assert_eq!(answer["output"][0]["content"][0]["text"], "You said: hello");
    assert_eq!(
        answer["usage"],
        json!({"input_tokens": 2, "input_tokens_details": {"cached_tokens": 0, "cache_write_tokens": 0},
            "output_tokens": 4, "output_tokens_details": {"reasoning_tokens": 0}, "total_tokens": 6})
    );
}

#[test]
fn a_stream_numbers_its_events_and_ends_with_the_response() {
    let body = json!({"model": "m", "input": "hello", "stream": true, "reasoning": {"summary": "auto"}});
    let reply = ask(&sim(), &body);
    let events = reply.events();
    for (at, event) in events.iter().enumerate() {
        assert_eq!(event["sequence_number"], at);
    }
    let kinds = kinds(&reply);
    assert_eq!(kinds[..4], ["created", "in_progress", "output_item.added", "reasoning_summary_part.added"]);
    assert_eq!(kinds.last().unwrap(), "completed");
    let output = &events.last().unwrap()["response"]["output"];
    assert_eq!((&output[0]["type"], &output[1]["type"]), (&json!("reasoning"), &json!("message")));
}

#[test]
fn a_call_is_made_and_its_result_is_taken() {
    let sim = sim();
    let body = json!({"model": "m", "input": "call weather {\"city\":\"Oslo\"}", "tools": tools()});
    let call = ask(&sim, &body).json()["output"][0].clone();
    assert_eq!((&call["type"], &call["arguments"]), (&json!("function_call"), &json!("{\"city\":\"Oslo\"}")));
    let result = json!({"type": "function_call_output", "call_id": call["call_id"], "output": "rain"});
    let body =
        json!({"model": "m", "input": [{"role": "user", "content": "and?"}, call, result], "tools": tools()});
    assert_eq!(ask(&sim, &body).json()["output"][0]["content"][0]["text"], "weather returned: rain");
}

#[test]
fn what_openai_refuses_is_refused() {
    let sim = sim();
    let user = json!({"role": "user", "content": "hi"});
    let with = |item: Value| json!({"model": "m", "input": [user, item]});
    let call = json!({"type": "function_call", "call_id": "c", "name": "f", "arguments": "{}"});
    for (body, param) in [
        (json!({"model": "m"}), "input"),
        (json!({"model": "m", "input": "hi", "messages": []}), "messages"),
        (json!({"model": "m", "input": "hi", "max_output_tokens": 5}), "max_output_tokens"),
        (json!({"model": "m", "input": "hi", "previous_response_id": "r"}), "previous_response_id"),
        (json!({"model": "m", "input": "hi", "tools": [{"type": "function"}]}), "tools[0].name"),
        (with(json!({"role": "tool", "content": "x"})), "input[1].role"),
        (
            with(json!({"role": "user", "content": [{"type": "output_text", "text": "x"}]})),
            "input[1].content[0].type",
        ),
        (
            with(json!({"role": "assistant", "content": [{"type": "input_text", "text": "x"}]})),
            "input[1].content[0].type",
        ),
        (with(call), "input"),
        (with(json!({"type": "function_call_output", "call_id": "c", "output": "x"})), "input"),
        (with(json!({"type": "reasoning", "id": "rs_1", "summary": []})), "input"),
    ] {
        let reply = ask(&sim, &body);
        assert_eq!((reply.status, &reply.json()["error"]["param"]), (400, &json!(param)), "{body}");
    }
}

#[test]
fn reasoning_comes_back_as_it_was_given_out_or_not_at_all() {
    let sim = sim();
    let body = json!({"model": "m", "input": "hi", "reasoning": {"effort": "low", "summary": "auto"}});
    let output = ask(&sim, &body).json()["output"].as_array().unwrap().clone();
    let again = |reasoning: Value| {
        let input = json!([{"role": "user", "content": "hi"}, reasoning, output[1], {"role": "user", "content": "so?"}]);
        ask(&sim, &json!({"model": "m", "input": input})).status
    };
    assert_eq!(again(output[0].clone()), 200);
    let mut forged = output[0].clone();
    forged["encrypted_content"] = json!("tollgate:anthropic:thinking:x");
    assert_eq!(again(forged), 400);
}
