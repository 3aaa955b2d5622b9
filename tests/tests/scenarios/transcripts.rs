//! Responses that are kept: conversations that go on from one by its id, before every provider.

use super::setting::*;
use serde_json::{Value, json};
use std::sync::Arc;
use tollgate_tests::gateway::{Folder, Gateway};
use tollgate_tests::http::{Answer, Request};

const KEPT: &str = r#"
[store]
path = "kept.db"
responses = "30d"

[[keys]]
name = "ann"
value = "sk-ann"

[[keys]]
name = "bob"
value = "sk-bob"
"#;

/// Providers of every dialect: Responses as it is, and what it is translated to.
const MODELS: [&str; 3] = ["one/fine", "claude/fine", "gem/fine"];

fn kept() -> Setting {
    Setting::new(KEPT)
}

fn respond(setting: &Setting, key: &str, body: &Value) -> Answer {
    setting.gateway.ask(&Request::post("/v1/responses", body).key(key))
}

fn id(answer: &Answer) -> String {
    assert_eq!(answer.status, 200, "{}", answer.text());
    answer.json()["id"].as_str().expect("an id").to_owned()
}

fn get(setting: &Setting, key: &str, path: &str) -> Answer {
    setting.gateway.ask(&Request::get(&format!("/v1/responses/{path}")).key(key))
}

/// The response at the end of a stream.
fn last(answer: &Answer) -> Value {
    let events = answer.events();
    let done = events.iter().rfind(|event| event.contains("\"response.completed\"")).expect("an end");
    serde_json::from_str::<Value>(done).expect("JSON")["response"].clone()
}

#[test]
fn a_conversation_goes_on_from_a_response_by_its_id_before_every_provider() {
    let setting = kept();
    for model in MODELS {
        let first = respond(&setting, "sk-ann", &json!({"model": model, "input": "hello"}));
        let second = json!({"model": model, "input": "and more", "previous_response_id": id(&first)});
        let second = respond(&setting, "sk-ann", &second);
        let sent = String::from_utf8(body(&setting.last())).expect("UTF-8");
        let places = ["hello", "You said: hello", "and more"].map(|text| sent.find(text));
        assert!(places.iter().all(Option::is_some) && places.is_sorted(), "{model}: {sent}");
        assert!(!sent.contains("previous_response_id"), "{model}: {sent}");
        // Before another provider too, and streamed.
        let third = json!({"model": "claude/fine", "input": "third", "stream": true, "previous_response_id": id(&second)});
        let third = last(&respond(&setting, "sk-ann", &third));
        let sent = String::from_utf8(body(&setting.last())).expect("UTF-8");
        assert!(["hello", "and more", "third"].iter().all(|text| sent.contains(text)), "{model}: {sent}");
        let found = get(&setting, "sk-ann", third["id"].as_str().expect("an id"));
        assert_eq!(found.json(), third, "{model}");
    }
}

#[test]
fn a_kept_response_is_read_paged_and_forgotten_by_its_key_and_outlives_the_process() {
    let mut setting = kept();
    let made = respond(&setting, "sk-ann", &json!({"model": "claude/fine", "input": "hello"}));
    let id = id(&made);
    assert_eq!(get(&setting, "sk-ann", &id).text(), made.text());
    setting.gateway.kill();
    let folder: Arc<Folder> = setting.gateway.folder();
    let config = std::fs::read_to_string(setting.gateway.config()).expect("a config");
    setting.gateway = Gateway::start_in(PROGRAM, folder, &config);
    assert_eq!(get(&setting, "sk-ann", &id).text(), made.text());
    let items = get(&setting, "sk-ann", &format!("{id}/input_items")).json();
    assert_eq!(items["data"][0]["content"][0]["text"], "hello", "{items}");
    assert_eq!((&items["has_more"], &items["first_id"]), (&json!(false), &items["data"][0]["id"]));
    let forget = Request::new("DELETE", &format!("/v1/responses/{id}")).key("sk-ann");
    assert_eq!(setting.gateway.ask(&forget).json()["deleted"], true);
    assert_refused(&get(&setting, "sk-ann", &id), 404, "invalid_request_error", "not_found");
    assert_refused(&setting.gateway.ask(&forget), 404, "invalid_request_error", "not_found");
}

#[test]
fn nobody_reads_goes_on_from_or_forgets_a_response_of_another_key_or_end_user() {
    let setting = kept();
    let made = Request::post("/v1/responses", &json!({"model": "one/fine", "input": "hello"})).key("sk-ann");
    let id = id(&setting.gateway.ask(&made.header("x-tollgate-user", "77")));
    setting.reset();
    let paths = [id.clone(), format!("{id}/input_items")];
    for (key, user) in [("sk-bob", "77"), ("sk-ann", "78"), ("sk-ann", "")] {
        let asked = paths.iter().map(|path| Request::get(&format!("/v1/responses/{path}")));
        for request in asked.chain([Request::new("DELETE", &format!("/v1/responses/{id}"))]) {
            let answer = setting.gateway.ask(&request.key(key).header("x-tollgate-user", user));
            assert_refused(&answer, 404, "invalid_request_error", "not_found");
        }
        let on = json!({"model": "one/fine", "input": "more", "previous_response_id": id});
        let on = Request::post("/v1/responses", &on).key(key).header("x-tollgate-user", user);
        let answer = setting.gateway.ask(&on);
        assert_refused(&answer, 400, "invalid_request_error", "bad_field");
        assert_eq!(answer.error()["param"], "previous_response_id");
    }
    assert_eq!(setting.log().len(), 0, "no upstream was asked");
    let own = Request::get(&format!("/v1/responses/{id}")).key("sk-ann").header("x-tollgate-user", "77");
    assert_eq!(setting.gateway.ask(&own).status, 200);
}

#[test]
fn what_says_that_it_is_not_to_be_kept_or_failed_is_not() {
    let setting = kept();
    let made = respond(&setting, "sk-ann", &json!({"model": "one/fine", "input": "hello", "store": false}));
    assert_refused(&get(&setting, "sk-ann", &id(&made)), 404, "invalid_request_error", "not_found");
    let kept = json!({"model": "claude/fine", "input": "hello", "store": true});
    let kept = respond(&setting, "sk-ann", &kept);
    assert_eq!((get(&setting, "sk-ann", &id(&kept)).status, kept.header("x-tollgate-lost")), (200, ""));
}

#[test]
fn where_nothing_is_kept_a_response_is_not_found_and_goes_on_upstream_alone() {
    let setting = Setting::new("");
    let answer = setting.gateway.ask(&Request::get("/v1/responses/resp_1"));
    assert_refused(&answer, 404, "invalid_request_error", "not_found");
    let on = json!({"model": "claude/fine", "input": "more", "previous_response_id": "resp_1"});
    let answer = setting.gateway.ask(&Request::post("/v1/responses", &on));
    assert_refused(&answer, 400, "invalid_request_error", "unsupported");
}
