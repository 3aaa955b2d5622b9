//! The OpenAI dialect: shapes and refusals.

use serde_json::{Value, json};
use tollgate_sim::Running;

use crate::raw::{Reply, hello, hello_stream, post, sim};

fn ask(sim: &Running, body: &Value) -> Reply {
    post(sim, "/v1/chat/completions", &[], body)
}

fn with(change: impl FnOnce(&mut Value)) -> Reply {
    let mut body = hello();
    change(&mut body);
    ask(&sim(), &body)
}

fn tools() -> Value {
    let tool = |name: &str| {
        json!({"type": "function", "function": {"name": name, "parameters":
            {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}}})
    };
    json!([tool("weather"), tool("time")])
}

const TWO_CALLS: &str =
    "please\ncall weather {\"city\":\"Paris, the capital of France\"}\ncall time {\"city\":\"Oslo\"}";

#[test]
fn a_whole_answer_has_the_published_shape() {
    let reply = ask(&sim(), &hello());
    let answer = reply.json();
    assert_eq!(reply.header("content-type"), Some("application/json"));
    assert!(reply.header("x-request-id").is_some());
    assert_eq!(answer["object"], "chat.completion");
    assert_eq!(
        answer["choices"][0]["message"],
        json!({"role": "assistant", "content": "You said: hello", "refusal": null})
    );
    assert_eq!(answer["choices"][0]["finish_reason"], "stop");
    // "hello" is 2 tokens, "You said: hello" is 4.
    assert_eq!(
        (&answer["usage"]["prompt_tokens"], &answer["usage"]["completion_tokens"]),
        (&json!(2), &json!(4))
    );
}

#[test]
fn the_same_request_is_answered_the_same() {
    let sim = sim();
    assert_eq!(ask(&sim, &hello()).text(), ask(&sim, &hello()).text());
}

#[test]
fn a_stream_opens_with_the_role_and_ends_with_reason_and_mark() {
    let reply = ask(&sim(), &hello_stream());
    let events = reply.events();
    assert_eq!(
        events[0]["choices"][0]["delta"],
        json!({"role": "assistant", "content": "", "refusal": null})
    );
    let last = &events[events.len() - 1]["choices"][0];
    assert_eq!((&last["delta"], &last["finish_reason"]), (&json!({}), &json!("stop")));
    assert_eq!(reply.data().last().unwrap(), "[DONE]");
    assert!(events.iter().all(|event| event.get("usage").is_none()), "usage was not asked for");
}

#[test]
fn usage_comes_last_without_choices_when_asked_for() {
    let mut body = hello_stream();
    body["stream_options"] = json!({"include_usage": true});
    let events = ask(&sim(), &body).events();
    let (last, before) = events.split_last().unwrap();
    assert_eq!((&last["choices"], &last["usage"]["total_tokens"]), (&json!([]), &json!(6)));
    assert!(before.iter().all(|event| event.get("usage") == Some(&Value::Null)));
}

#[test]
fn the_text_ends_at_max_tokens_and_at_a_stop() {
    let cut = with(|body| body["max_tokens"] = json!(2)).json()["choices"][0].clone();
    assert_eq!((&cut["message"]["content"], &cut["finish_reason"]), (&json!("You said"), &json!("length")));
    let stopped = with(|body| body["stop"] = json!(["hel", "zzz"])).json()["choices"][0].clone();
    assert_eq!(
        (&stopped["message"]["content"], &stopped["finish_reason"]),
        (&json!("You said: "), &json!("stop"))
    );
}

#[test]
fn n_choices_are_all_answered() {
    assert_eq!(with(|body| body["n"] = json!(3)).json()["choices"].as_array().unwrap().len(), 3);
}

#[test]
fn spelled_out_calls_are_made_in_parallel() {
    let reply = with(|body| {
        body["tools"] = tools();
        body["messages"][0]["content"] = json!(TWO_CALLS);
    });
    let choice = reply.json()["choices"][0].clone();
    assert_eq!(
        (&choice["message"]["content"], &choice["finish_reason"]),
        (&Value::Null, &json!("tool_calls"))
    );
    let calls = choice["message"]["tool_calls"].as_array().unwrap();
    let names: Vec<&Value> = calls.iter().map(|call| &call["function"]["name"]).collect();
    assert_eq!(names, ["weather", "time"]);
    assert_ne!(calls[0]["id"], calls[1]["id"]);
    assert_eq!(calls[1]["function"]["arguments"], "{\"city\":\"Oslo\"}");
}

fn streamed_calls(directives: &str) -> (Vec<String>, Vec<u64>) {
    let mut body = hello_stream();
    body["tools"] = tools();
    body["messages"][0]["content"] = json!(format!("{TWO_CALLS}\n[[sim: {directives}]]"));
    let mut arguments = vec![String::new(); 2];
    let mut order = Vec::new();
    for event in ask(&sim(), &body).events() {
        let delta = &event["choices"][0]["delta"]["tool_calls"][0];
        if let Some(index) = delta["index"].as_u64() {
            order.push(index);
            arguments[index as usize].push_str(delta["function"]["arguments"].as_str().unwrap());
        }
    }
    (arguments, order)
}

#[test]
fn h5_calls_are_streamed_in_fragments_one_after_the_other_or_taking_turns() {
    let wanted = ["{\"city\":\"Paris, the capital of France\"}", "{\"city\":\"Oslo\"}"];
    let (arguments, order) = streamed_calls("cached=0");
    assert_eq!(arguments, wanted);
    assert!(order.is_sorted() && order.len() > 4);
    let (arguments, order) = streamed_calls("interleave");
    assert_eq!(arguments, wanted);
    assert!(!order.is_sorted());
}

#[test]
fn a_forced_call_has_arguments_its_schema_accepts() {
    for choice in [json!("required"), json!({"type": "function", "function": {"name": "weather"}})] {
        let reply = with(|body| {
            body["tools"] = tools();
            body["tool_choice"] = choice;
        });
        let call = reply.json()["choices"][0]["message"]["tool_calls"][0]["function"].clone();
        assert_eq!(call, json!({"name": "weather", "arguments": "{\"city\":\"text\"}"}));
    }
}

#[test]
fn a_tool_result_is_reported() {
    let reply = with(|body| {
        body["tools"] = tools();
        body["messages"] = json!([
            {"role": "user", "content": "weather?"},
            {"role": "assistant", "content": null, "tool_calls":
                [{"id": "a", "type": "function", "function": {"name": "weather", "arguments": "{}"}}]},
            {"role": "tool", "tool_call_id": "a", "content": "sunny"}]);
    });
    assert_eq!(reply.json()["choices"][0]["message"]["content"], "weather returned: sunny");
}

#[test]
fn a_schema_is_answered_with_an_instance() {
    let schema = json!({"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"]});
    let reply = with(|body| {
        body["response_format"] =
            json!({"type": "json_schema", "json_schema": {"name": "x", "schema": schema}});
    });
    assert_eq!(reply.json()["choices"][0]["message"]["content"], "{\"n\":1}");
}

#[test]
fn reasoning_is_shown_and_counted_when_asked_for() {
    let answer = with(|body| body["reasoning_effort"] = json!("low")).json();
    assert!(answer["choices"][0]["message"]["reasoning_content"].is_string());
    assert!(answer["usage"]["completion_tokens_details"]["reasoning_tokens"].as_u64().unwrap() > 0);
}

#[test]
fn images_are_counted() {
    let reply = with(|body| {
        body["messages"][0]["content"] =
            json!([{"type": "text", "text": "see"}, {"type": "image_url", "image_url": {"url": "data:,"}}]);
    });
    assert_eq!(reply.json()["usage"]["prompt_tokens"], 86);
}

#[test]
fn logprobs_come_with_every_token() {
    let reply = with(|body| {
        body["logprobs"] = json!(true);
        body["top_logprobs"] = json!(2);
    });
    let tokens = reply.json()["choices"][0]["logprobs"]["content"].clone();
    assert_eq!(tokens.as_array().unwrap().len(), 3);
    assert_eq!(tokens[0]["top_logprobs"].as_array().unwrap().len(), 2);
}

#[test]
fn what_the_provider_refuses_is_refused_by_field() {
    let call = json!({"role": "assistant", "tool_calls": [{"id": "a", "type": "function", "function": {"name": "f", "arguments": "{}"}}]});
    let user = json!({"role": "user", "content": "x"});
    let cases = [
        (json!({}), Value::Null),
        (json!({"model": "m"}), json!("messages")),
        (json!({"model": "m", "messages": []}), json!("messages")),
        (json!({"model": "m", "messages": [{"role": "model", "content": "x"}]}), json!("messages[0].role")),
        (
            json!({"model": "m", "messages": [user, {"role": "tool", "tool_call_id": "a", "content": "x"}]}),
            json!("messages.[1].role"),
        ),
        (json!({"model": "m", "messages": [user, call]}), json!("messages")),
        (json!({"model": "m", "messages": [user, call, user]}), json!("messages")),
        (
            json!({"model": "m", "messages": [{"role": "user", "content": null}]}),
            json!("messages.[0].content"),
        ),
        (json!({"model": "m", "messages": [user], "temperature": 3}), json!("temperature")),
        (json!({"model": "m", "messages": [user], "tools": []}), json!("tools")),
        (json!({"model": "m", "messages": [user], "tool_choice": "auto"}), json!("tool_choice")),
        (json!({"model": "m", "messages": [user], "stream_options": {}}), json!("stream_options")),
    ];
    let sim = sim();
    for (body, param) in cases {
        let reply = ask(&sim, &body);
        assert_eq!((reply.status, &reply.json()["error"]["param"]), (400, &param), "{body}");
        assert_eq!(reply.json()["error"]["type"], "invalid_request_error");
    }
}

#[test]
fn a_body_that_is_not_json_is_refused() {
    let sim = sim();
    let mut client = crate::raw::Client::connect(sim.addr);
    client.send("POST", "/v1/chat/completions", &[], b"{not json");
    assert_eq!(client.reply().status, 400);
}

#[test]
fn models_are_listed_in_the_shape_of_whoever_asks() {
    let sim = sim();
    let list = |path: &str, header: &str| {
        let mut client = crate::raw::Client::connect(sim.addr);
        client.send("GET", path, &[header], b"");
        client.reply().json()
    };
    assert_eq!(list("/v1/models", "accept: */*")["object"], "list");
    assert_eq!(list("/v1/models", "anthropic-version: 2023-06-01")["data"][0]["type"], "model");
    assert_eq!(list("/v1/models", "x-goog-api-key: k")["models"][0]["name"], "models/gpt-sim");
    assert!(list("/v1beta/models", "accept: */*")["models"].is_array());
}
