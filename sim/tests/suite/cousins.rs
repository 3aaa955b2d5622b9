//! Cohere's dialect and Ollama's own: shapes and refusals.

use serde_json::{Value, json};

use crate::raw::{Reply, post, sim};

fn hello() -> Value {
    json!({"model": "m", "messages": [{"role": "user", "content": "hello"}]})
}

fn ask(path: &str, change: impl FnOnce(&mut Value)) -> Reply {
    let mut body = hello();
    change(&mut body);
    post(&sim(), path, &[], &body)
}

#[test]
fn an_answer_of_coheres_has_the_published_shape() {
    let answer = ask("/v2/chat", |_| {}).json();
    assert_eq!(answer["message"]["content"], json!([{"type": "text", "text": "You said: hello"}]));
    assert_eq!(answer["finish_reason"], "COMPLETE");
    assert_eq!(answer["usage"]["billed_units"], json!({"input_tokens": 2, "output_tokens": 4}));
    let reply = ask("/v2/chat", |body| body["stream"] = json!(true));
    let kinds: Vec<Value> = reply.events().iter().map(|event| event["type"].clone()).collect();
    assert_eq!(kinds.first(), Some(&json!("message-start")));
    assert!(kinds.contains(&json!("content-delta")) && kinds.contains(&json!("message-end")), "{kinds:?}");
}

#[test]
fn cohere_refuses_what_it_does_not_know() {
    for (name, value) in
        [("top_p", json!(0.5)), ("p", json!(1)), ("tool_choice", json!("auto")), ("n", json!(1))]
    {
        let reply = ask("/v2/chat", |body| body[name] = value);
        assert_eq!(reply.status, 400, "{name}");
        assert!(reply.json()["message"].is_string());
    }
}

#[test]
fn an_answer_of_ollamas_is_one_object_or_one_in_each_line() {
    let answer = ask("/api/chat", |_| {}).json();
    assert_eq!((&answer["message"]["content"], &answer["done"]), (&json!("You said: hello"), &json!(true)));
    assert_eq!((&answer["prompt_eval_count"], &answer["eval_count"]), (&json!(2), &json!(4)));
    let reply = ask("/api/chat", |body| body["stream"] = json!(true));
    assert_eq!(reply.header("content-type"), Some("application/x-ndjson"));
    let lines: Vec<Value> = reply.text().lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let said: String = lines.iter().filter_map(|line| line["message"]["content"].as_str()).collect();
    assert_eq!((said.as_str(), &lines.last().unwrap()["done"]), ("You said: hello", &json!(true)));
    let call = json!({"function": {"name": "f", "arguments": "{}"}});
    let reply = ask("/api/chat", |body| {
        body["messages"][0] = json!({"role": "assistant", "content": "", "tool_calls": [call]})
    });
    assert_eq!(reply.status, 400);
}
