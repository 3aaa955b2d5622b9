//! Whoever has the store itself.

use super::*;

/// What a request at hand leads to; nothing is changed.
fn plan_at_hand(stage: &Stage, method: Method, target: &str, body: &str) -> Result<Plan, Fault> {
    let desk = Desk { config: &stage.config, directory: &stage.directory, gauge: &stage.gauge, peer: None };
    let knock = at_hand(&method, target, RequestId(1))?;
    Ok(plan(&Ask { knock: &knock, body: body.as_bytes() }, &desk, stage.now, [7; 32]))
}

#[test]
fn whoever_has_the_store_may_do_everything_and_is_named_in_the_log() {
    let stage = Stage::open();
    let made = plan_at_hand(&stage, Method::POST, "/api/keys", r#"{"name":"ci","role":"admin"}"#);
    let Ok(Plan::Commit(commit)) = made else { panic!("{made:?}") };
    assert_eq!((commit.deed.actor.as_str(), commit.deed.action.as_str()), ("cli", "key.create"));
    let listed = plan_at_hand(&stage, Method::GET, "/api/keys?limit=1", "");
    let Ok(Plan::Answer(answer)) = listed else { panic!("{listed:?}") };
    assert_eq!(Told::of(&answer).body["data"][0]["name"], "static");
}

#[test]
fn it_works_where_the_api_is_closed_to_everybody_else() {
    let stage = Stage::new("[providers.openai]\nkey = \"sk-upstream-secret\"\n");
    let made = plan_at_hand(&stage, Method::POST, "/api/keys", r#"{"name":"ci"}"#);
    assert!(matches!(made, Ok(Plan::Commit(_))), "{made:?}");
}

#[test]
fn a_token_at_hand_names_its_key() {
    let stage = Stage::open();
    let asked = plan_at_hand(&stage, Method::POST, "/api/tokens", "{}");
    let Ok(Plan::Answer(answer)) = asked else { panic!("{asked:?}") };
    let told = Told::of(&answer);
    assert_eq!((told.status, told.param()), (400, "key"));
}

#[test]
fn what_is_none_of_the_api_is_not_at_hand() {
    for (method, target) in
        [(Method::GET, "/healthz"), (Method::POST, "/v1/chat/completions"), (Method::GET, "/api/nothing")]
    {
        let fault = at_hand(&method, target, RequestId(1)).unwrap_err();
        assert_eq!(fault.code, Code::NoRoute, "{target}");
    }
    assert_eq!(at_hand(&Method::PUT, "/api/keys", RequestId(1)).unwrap_err().code, Code::WrongMethod);
}
