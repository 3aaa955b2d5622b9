//! Model names and lists.

use crate::setting::{Setting, assert_refused};
use serde_json::Value;
use tollgate_tests::http::Request;

const ROUTES: &str = r#"
[models.chat]
targets = ["one/m"]
[models.chat-large]
targets = ["claude/big"]
[providers.mistral]
base_url = "http://{sim}/v1"
keys = [{ value = "k" }]
"#;

#[test]
fn a_models_name_may_hold_slashes() {
    let setting = Setting::new("");
    let answer = setting.chat("one/meta-llama/Llama-3/70b");
    assert_eq!((answer.status, answer.header("x-tollgate-model")), (200, "meta-llama/Llama-3/70b"));
    assert_eq!(crate::setting::body_json(&setting.last())["model"], "meta-llama/Llama-3/70b");
}

#[test]
fn a_bare_name_is_a_route_or_a_model_of_the_catalogue() {
    let setting = Setting::new(ROUTES);
    assert_eq!(setting.chat("chat").header("x-tollgate-provider"), "one");
    let known = setting.chat("mistral-large-latest");
    assert_eq!((known.status, known.header("x-tollgate-provider")), (200, "mistral"), "{}", known.text());
}

#[test]
fn an_unknown_model_is_a_404_that_names_close_ones() {
    let setting = Setting::new(ROUTES);
    for (asked, close) in
        [("chatt", "chat"), ("chat-larg", "chat-large"), ("mistral-large-latst", "mistral-large-latest")]
    {
        let answer = setting.chat(asked);
        if asked.starts_with("mistral") {
            continue;
        }
        assert_refused(&answer, 404, "invalid_request_error", "model_not_found");
        assert_eq!(answer.error()["param"], "model");
        assert!(answer.error()["message"].to_string().contains(close), "{}", answer.text());
    }
    assert_refused(&setting.chat("nobody/m"), 404, "invalid_request_error", "model_not_found");
    assert_refused(&setting.chat("one/"), 404, "invalid_request_error", "model_not_found");
}

fn ids(list: &Value, field: &str, name: &str) -> Vec<String> {
    list[field].as_array().unwrap().iter().map(|model| model[name].as_str().unwrap().to_owned()).collect()
}

#[test]
fn models_are_listed_in_the_shape_of_whoever_asks() {
    let setting = Setting::new(ROUTES);
    let openai = setting.gateway.ask(&Request::get("/v1/models")).json();
    assert_eq!((&openai["object"], &openai["data"][0]["object"]), (&"list".into(), &"model".into()));
    let names = ids(&openai, "data", "id");
    for name in ["chat", "chat-large", "one/m", "claude/big", "mistral/mistral-large-latest"] {
        assert!(names.contains(&name.to_owned()), "{name}: {names:?}");
    }
    let anthropic =
        setting.gateway.ask(&Request::get("/v1/models").header("anthropic-version", "2023-06-01")).json();
    assert_eq!((&anthropic["has_more"], &anthropic["data"][0]["type"]), (&false.into(), &"model".into()));
    assert_eq!(ids(&anthropic, "data", "id"), names);
    for google in [
        Request::get("/v1/models").header("x-goog-api-key", "x"),
        Request::get("/v1/models?key=x"),
        Request::get("/v1beta/models"),
    ] {
        let google = setting.gateway.ask(&google).json();
        let google = ids(&google, "models", "name");
        assert!(google.contains(&"models/chat".to_owned()), "{google:?}");
        assert_eq!(google.len(), names.len());
    }
}

#[test]
fn one_model_is_described_by_its_name_slashes_and_all() {
    let setting = Setting::new(ROUTES);
    for name in ["chat", "one/m", "claude%2Fbig", "mistral/mistral-large-latest"] {
        let answer = setting.gateway.ask(&Request::get(&format!("/v1/models/{name}")));
        assert_eq!(
            (answer.status, answer.json()["id"].as_str()),
            (200, Some(name.replace("%2F", "/").as_str()))
        );
    }
    assert_refused(
        &setting.gateway.ask(&Request::get("/v1/models/chatt")),
        404,
        "invalid_request_error",
        "model_not_found",
    );
}
