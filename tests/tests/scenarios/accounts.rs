//! What one account of a provider's has made and nobody else understands. The simulator refuses encrypted
//! reasoning that was made for another key, as OpenAI does for another organisation.

use super::setting::*;
use serde_json::{Value, json};
use tollgate_tests::gateway::Gateway;
use tollgate_tests::http::{Answer, Request};

const TWO: &str = r#"
[providers.azure]
kind = "openai"
base_url = "http://{sim}/v1"
keys = [{ name = "a", value = "aaaaaaaa-provider-key" }, { name = "b", value = "bbbbbbbb-provider-key" }]

[providers.other]
kind = "openai"
base_url = "http://{sim}/v1"
keys = ["cccccccc-provider-key"]

[models.m]
targets = ["azure/m"]

[models.elsewhere]
targets = ["other/m"]
"#;

/// Turns, each of a conversation of its own.
const TURNS: usize = 16;

fn thinking(number: usize, input: Value) -> Value {
    // Other instructions are another conversation, of which nothing is remembered.
    json!({"model": "m", "instructions": format!("conversation {number}"), "input": input,
        "reasoning": {"effort": "low", "summary": "auto"}, "include": ["reasoning.encrypted_content"]})
}

fn ask(gateway: &Gateway, body: &Value) -> Answer {
    gateway.ask(&Request::post("/v1/responses", body))
}

/// The response, whole or at the end of its stream.
fn response(answer: &Answer) -> Value {
    assert_eq!(answer.status, 200, "{}", answer.text());
    if !answer.text().starts_with("event:") {
        return answer.json();
    }
    let events: Vec<Value> =
        answer.events().iter().map(|event| serde_json::from_str(event).expect("JSON")).collect();
    let done = events.iter().rfind(|event| event["type"] == "response.completed").expect("an end");
    let item = events.iter().find(|event| event["type"] == "response.output_item.done").expect("an item");
    assert_eq!(item["item"]["encrypted_content"], done["response"]["output"][0]["encrypted_content"]);
    assert_eq!(events[0]["response"]["id"], done["response"]["id"]);
    done["response"].clone()
}

/// What was said, and one more message.
fn next(first: &Value) -> Value {
    let mut items = vec![json!({"role": "user", "content": "hello"})];
    items.extend(first["output"].as_array().expect("items").clone());
    items.push(json!({"role": "user", "content": "and more"}));
    Value::Array(items)
}

/// The key that the provider was asked with last.
fn key(setting: &Setting) -> String {
    setting.last()["key"]["prefix"].as_str().expect("a key").to_owned()
}

/// A first turn that this key has answered.
fn made_by(setting: &Setting, prefix: &str) -> Value {
    let mut turns =
        (100..200).map(|number| response(&ask(&setting.gateway, &thinking(number, "hello".into()))));
    turns.find(|_| key(setting) == prefix).expect("both keys are asked")
}

#[test]
fn h11_encrypted_reasoning_comes_back_to_its_account_byte_for_byte_also_through_another_gateway() {
    let setting = Setting::bare(TWO);
    let other =
        Gateway::start(PROGRAM, &std::fs::read_to_string(setting.gateway.config()).expect("a config"));
    for number in 0..TURNS {
        let mut first = thinking(number, "hello".into());
        first["stream"] = json!(number % 2 == 0);
        let first = response(&ask(&setting.gateway, &first));
        let maker = key(&setting);
        let second = thinking(number + TURNS, next(&first));
        let gateway = if number < TURNS / 2 { &setting.gateway } else { &other };
        let answer = ask(gateway, &second);
        assert_eq!((answer.status, answer.header("x-tollgate-lost")), (200, ""), "{}", answer.text());
        assert_eq!(key(&setting), maker, "{number}");
        let marked = second["input"][1]["encrypted_content"].as_str().expect("encrypted content");
        let (_, own) = marked.split_once('.').expect("a mark");
        let expected = second.to_string().replace(marked, own);
        assert_eq!(String::from_utf8(body(&setting.last())).expect("UTF-8"), expected);
    }
}

#[test]
fn h11_it_comes_back_from_other_surfaces_too() {
    let setting = Setting::bare(TWO);
    let think = json!({"type": "enabled", "budget_tokens": 2048});
    for number in 0..TURNS {
        let system = format!("conversation {number}");
        // A model that answers in Responses only is asked in that dialect.
        let first = json!({"model": "azure/o3-pro", "max_tokens": 4096, "thinking": think, "system": system,
            "messages": [{"role": "user", "content": "hello"}]});
        let first = setting.gateway.ask(&Request::post("/v1/messages", &first));
        assert_eq!(first.status, 200, "{}", first.text());
        let maker = key(&setting);
        let second = json!({"model": "azure/o3-pro", "max_tokens": 4096, "thinking": think, "system": number,
            "messages": [{"role": "user", "content": "hello"},
                {"role": "assistant", "content": first.json()["content"]}, {"role": "user", "content": "more"}]});
        let mut second = second;
        second["system"] = format!("again {number}").into();
        let answer = setting.gateway.ask(&Request::post("/v1/messages", &second));
        assert_eq!((answer.status, answer.header("x-tollgate-lost")), (200, ""), "{}", answer.text());
        assert_eq!(key(&setting), maker, "{number}");
        assert!(body_json(&setting.last()).to_string().contains("encrypted_content"));
    }
}

#[test]
fn h11_where_its_account_is_closed_the_answer_comes_without_it_and_says_so() {
    let setting = Setting::bare(TWO);
    let first = made_by(&setting, "bbbbbbbb");
    let refused = format!("azure/m+fail_key={}", "bbbbbbbb-provider-key");
    assert!(
        (0..50).any(|_| setting.chat(&refused).header("x-tollgate-attempts") == "2"),
        "the key is refused once"
    );
    let second = thinking(1, next(&first));
    let answer = ask(&setting.gateway, &second);
    assert_eq!((answer.status, answer.header("x-tollgate-lost")), (200, "input[1]"), "{}", answer.text());
    assert_eq!(key(&setting), "aaaaaaaa");
    let sent = body_json(&setting.last());
    assert!(
        sent["input"].as_array().is_some_and(|items| items.iter().all(|item| item["type"] != "reasoning")),
        "{sent}"
    );
    let strict = Request::post("/v1/responses", &second).header("x-tollgate-strict", "true");
    assert_refused(&setting.gateway.ask(&strict), 400, "invalid_request_error", "unsupported");
}

#[test]
fn h11_a_response_that_its_upstream_keeps_is_asked_for_there_or_nowhere() {
    let setting = Setting::bare(TWO);
    for number in 0..TURNS {
        let first = response(&ask(&setting.gateway, &thinking(number, "hello".into())));
        let maker = key(&setting);
        let id = first["id"].as_str().expect("an id");
        let second = json!({"model": "m", "input": "and more", "previous_response_id": id});
        let answer = ask(&setting.gateway, &second);
        // It keeps nothing, and says so by the id that it gave.
        let (own, _) = id.split_once("-tollgate-").expect("a mark");
        assert_eq!(answer.error()["message"], format!("Previous response with id '{own}' not found."));
        assert_eq!(key(&setting), maker, "{number}");
        let calls = setting.log().len();
        let elsewhere = json!({"model": "elsewhere", "input": "and more", "previous_response_id": id});
        let answer = ask(&setting.gateway, &elsewhere);
        assert_refused(&answer, 400, "invalid_request_error", "bad_field");
        assert_eq!(
            (answer.error()["param"].as_str(), setting.log().len()),
            (Some("previous_response_id"), calls)
        );
    }
    let first = made_by(&setting, "bbbbbbbb");
    let refused = format!("azure/m+fail_key={}", "bbbbbbbb-provider-key");
    assert!(
        (0..50).any(|_| setting.chat(&refused).header("x-tollgate-attempts") == "2"),
        "the key is refused once"
    );
    let second = json!({"model": "m", "input": "and more", "previous_response_id": first["id"]});
    assert_refused(&ask(&setting.gateway, &second), 503, "api_error", "no_capacity");
}

#[test]
fn h11_an_answer_that_could_come_back_to_nobody_else_is_not_touched() {
    let setting = Setting::bare(
        "[providers.one]\nkind = \"openai\"\nbase_url = \"http://{sim}/v1\"\nkeys = [\"aaaaaaaa-provider-key\"]\n[models.m]\ntargets = [\"one/m\"]\n",
    );
    let first = response(&ask(&setting.gateway, &thinking(0, "hello".into())));
    assert!(!first.to_string().contains("tollgate"), "{first}");
}
