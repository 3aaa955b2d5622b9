use super::*;
use crate::config::{Credential, Pattern, Provider, ProviderId, Route, RouteTarget, Strategy, Timeouts};
use crate::directory::{Caller, Directory, Key};
use crate::units::Millis;
use crate::vendor::{Auth, Quirks, Vendor};
use serde_json::{Value, json};
use std::sync::Arc;

fn vendor() -> &'static Vendor {
    Box::leak(Box::new(Vendor {
        name: "nobody",
        title: "Nobody",
        dialect: Dialect::OpenAi,
        base_url: "https://upstream.test/v1",
        auth: Auth::Bearer,
        env: &[],
        address: crate::vendor::Address::NONE,
        quirks: Quirks::default(),
        also: None,
    }))
}

fn provider(name: &str) -> Provider {
    let wait = Millis::from_secs(1);
    Provider {
        name: name.to_owned(),
        vendor: vendor(),
        dialect: Dialect::OpenAi,
        base_url: http::Uri::from_static("https://upstream.test/v1"),
        credentials: Vec::<Credential>::new(),
        timeouts: Timeouts { first_byte: wait, idle: wait, total: wait, ..Timeouts::USUAL },
        headers: HeaderMap::new(),
        query: None,
        key_header: None,
        fixed_uri: Default::default(),
        speaks_one: Default::default(),
        only_chat: Default::default(),
        bills_unheard: false,
        terms: crate::price::Terms::default(),
    }
}

fn target(provider: u16, model: &str) -> RouteTarget {
    let (provider, model) = (ProviderId(provider), model.to_owned());
    RouteTarget {
        provider,
        model,
        weight: 1.0,
        price: None,
        writes: None,
        limits: Default::default(),
        after: Default::default(),
    }
}

fn route(name: &str, targets: Vec<RouteTarget>, fallbacks: Vec<RouteTarget>) -> Route {
    let deadline = Millis::from_secs(1);
    Route {
        name: name.to_owned(),
        strategy: Strategy::Weighted,
        targets,
        fallbacks,
        attempts: 1,
        deadline,
        cache: None,
        account: Default::default(),
    }
}

/// Two routes over two providers, one model of which both use.
fn config() -> Config {
    let routes = [
        route("chat", vec![target(0, "gpt-4o"), target(1, "gpt-4o")], vec![target(1, "claude")]),
        route("fast", vec![target(0, "gpt-4o")], vec![]),
    ];
    let empty = crate::config::load(b"", &|_| Err("no secrets here".to_owned())).unwrap();
    Config {
        cache: Default::default(),
        providers: vec![provider("openai"), provider("other")],
        routes: routes.into_iter().map(|route| (route.name.clone(), Arc::new(route))).collect(),
        ..empty
    }
}

fn caller(models: &[&str]) -> Caller {
    let models = models.iter().map(|model| Pattern::parse(model).unwrap()).collect();
    let key = Key { models, ..Key::new("k", [0; 32]) };
    Directory::default().caller(&Arc::new(key), None)
}

fn read(body: &Bytes) -> Value {
    serde_json::from_slice(body).unwrap()
}

fn ids(caller: Option<&Caller>) -> Vec<String> {
    let body = read(&list(&config(), caller, (Dialect::OpenAi, Client::Usual)));
    body["data"].as_array().unwrap().iter().map(|model| model["id"].as_str().unwrap().to_owned()).collect()
}

#[test]
fn routes_and_the_models_they_name_are_listed_once_each() {
    assert_eq!(ids(None), ["chat", "fast", "openai/gpt-4o", "other/claude", "other/gpt-4o"]);
}

#[test]
fn the_models_of_a_providers_vendor_are_listed_as_far_as_its_keys_serve_them() {
    let text = r#"
        [providers.openai]
        keys = [{ value = "a", models = ["gpt-4o*"] }]
        [providers.proxy]
        kind = "openai"
        base_url = "http://proxy.test/v1"
    "#;
    let config = crate::config::load(text.as_bytes(), &|_| Err("no secrets here".to_owned())).unwrap();
    let listed: Vec<String> = usable(&config, None).into_keys().collect();
    assert!(listed.contains(&"openai/gpt-4o".to_owned()), "{listed:?}");
    assert!(listed.iter().all(|model| model.starts_with("openai/gpt-4o")), "{listed:?}");
    assert_eq!(
        read(&one(&config, None, (Dialect::OpenAi, Client::Usual), "openai/gpt-4o").unwrap())["owned_by"],
        "openai"
    );
}

#[test]
fn a_key_sees_what_it_may_use() {
    assert_eq!(ids(Some(&caller(&[]))), ids(None));
    assert_eq!(ids(Some(&caller(&["chat", "other/*"]))), ["chat", "other/claude", "other/gpt-4o"]);
    assert_eq!(ids(Some(&caller(&["nothing"]))), Vec::<String>::new());
}

#[test]
fn openai_lists_have_openais_shape() {
    assert_eq!(
        read(&list(&config(), Some(&caller(&["fast", "openai/*"])), (Dialect::OpenAi, Client::Usual))),
        json!({"object": "list", "data": [
            {"id": "fast", "object": "model", "created": 0, "owned_by": "tollgate"},
            {"id": "openai/gpt-4o", "object": "model", "created": 0, "owned_by": "openai"},
        ]})
    );
}

#[test]
fn anthropic_lists_have_anthropics_shape() {
    let model =
        |id| json!({"type": "model", "id": id, "display_name": id, "created_at": "1970-01-01T00:00:00Z"});
    assert_eq!(
        read(&list(&config(), Some(&caller(&["chat", "fast"])), (Dialect::Anthropic, Client::Usual))),
        json!({"data": [model("chat"), model("fast")], "has_more": false, "first_id": "chat", "last_id": "fast"})
    );
    assert_eq!(
        read(&list(&config(), Some(&caller(&["nothing"])), (Dialect::Anthropic, Client::Usual))),
        json!({"data": [], "has_more": false, "first_id": null, "last_id": null})
    );
}

#[test]
fn google_lists_have_googles_shape() {
    assert_eq!(
        read(&list(&config(), Some(&caller(&["chat"])), (Dialect::Gemini, Client::Usual))),
        json!({"models": [{"name": "models/chat", "displayName": "chat",
            "supportedGenerationMethods": ["generateContent", "countTokens"]}]})
    );
}

#[test]
fn one_model_is_described_as_it_is_listed() {
    for (shape, list_field) in
        [(Dialect::OpenAi, "data"), (Dialect::Anthropic, "data"), (Dialect::Gemini, "models")]
    {
        let all = read(&list(&config(), None, (shape, Client::Usual)));
        let one = read(&one(&config(), None, (shape, Client::Usual), "openai/gpt-4o").unwrap());
        assert_eq!(one, all[list_field][2]);
    }
}

#[test]
fn a_model_that_a_call_may_ask_for_is_there_whether_it_is_listed_or_not() {
    let one = |caller: Option<Caller>, id: &str| {
        super::one(&config(), caller.as_ref(), (Dialect::OpenAi, Client::Usual), id)
    };
    let described = read(&one(None, "other/vendor/new").unwrap());
    assert_eq!((&described["id"], &described["owned_by"]), (&json!("other/vendor/new"), &json!("other")));
    assert!(one(Some(caller(&["other/*"])), "other/vendor/new").is_ok());
    let fault = one(Some(caller(&["openai/*"])), "other/vendor/new").unwrap_err();
    assert_eq!(
        (fault.code, fault.message.as_str()),
        (Code::ModelNotFound, "the model other/vendor/new does not exist")
    );
}

#[test]
fn a_model_of_the_catalogue_is_there_by_its_bare_name_too() {
    let text = "[providers.openai]\nkeys = [\"a\"]";
    let config = crate::config::load(text.as_bytes(), &|_| Err("no secrets here".to_owned())).unwrap();
    let described = read(&one(&config, None, (Dialect::Gemini, Client::Usual), "gpt-4o").unwrap());
    assert_eq!(described["name"], "models/gpt-4o");
    assert!(one(&config, None, (Dialect::Gemini, Client::Usual), "claude-sonnet-4-5").is_err());
}

#[test]
fn a_model_that_is_not_there_is_told_the_closest_that_is() {
    let fault = one(&config(), None, (Dialect::OpenAi, Client::Usual), "opennai/gpt-4o").unwrap_err();
    assert_eq!(fault.code, Code::ModelNotFound);
    assert_eq!(fault.param.as_deref(), Some("model"));
    assert_eq!(fault.message, "the model opennai/gpt-4o does not exist: did you mean openai/gpt-4o");
    let fault = one(&config(), None, (Dialect::OpenAi, Client::Usual), "zzz").unwrap_err();
    assert_eq!(fault.message, "the model zzz does not exist");
}

#[test]
fn a_model_the_key_may_not_use_is_not_there_and_not_hinted_at() {
    let fault =
        one(&config(), Some(&caller(&["fast"])), (Dialect::OpenAi, Client::Usual), "chat").unwrap_err();
    assert_eq!(fault.message, "the model chat does not exist");
}

#[test]
fn the_path_decides_on_the_shape_before_the_headers_do() {
    let headers = |name: &'static str| {
        HeaderMap::from_iter([(http::HeaderName::from_static(name), "x".parse().unwrap())])
    };
    let none = HeaderMap::new();
    assert_eq!(shape(Shape::Asked, &none, None), Dialect::OpenAi);
    assert_eq!(shape(Shape::Asked, &none, Some("monkey=1&x=key=")), Dialect::OpenAi);
    assert_eq!(shape(Shape::Asked, &none, Some("pageSize=5&key=tg-1")), Dialect::Gemini);
    assert_eq!(shape(Shape::Asked, &headers("x-goog-api-key"), None), Dialect::Gemini);
    assert_eq!(shape(Shape::Asked, &headers("anthropic-version"), None), Dialect::Anthropic);
    assert_eq!(shape(Shape::Of(Dialect::OpenAi), &headers("anthropic-version"), None), Dialect::OpenAi);
}

#[test]
fn mistrals_client_is_told_of_which_kind_an_entry_is() {
    let told = read(&one(&config(), None, (Dialect::OpenAi, Client::Mistral), "openai/gpt-4o").unwrap());
    assert_eq!(told["type"], "base");
    assert_eq!(told["capabilities"]["completion_chat"], true);
}
