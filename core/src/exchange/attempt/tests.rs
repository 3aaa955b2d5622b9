use super::super::stage;
use super::*;
use serde_json::Value;

/// The body that a target of this kind is sent, with what is paid for.
fn body(kind: &str, model: &str, fields: &str, cap: u64) -> Value {
    let text = format!(r#"{{{fields}"model":"m-1","messages":[{{"role":"user","content":"hi"}}]}}"#);
    let mut request = stage::request(kind, model, &text);
    request.output_cap = Some(Tokens(cap));
    let (_, fetch) = stage::sent(&mut request);
    serde_json::from_slice(&fetch.body).unwrap()
}

#[test]
fn a_cap_is_asked_for_in_the_vendors_own_word_and_never_raised() {
    let caps = |kind: &str, fields: &str, cap| {
        let body = body(kind, "x", fields, cap);
        let field = |name: &str| body.get(name).and_then(Value::as_u64);
        [field("max_tokens"), field("max_completion_tokens")]
    };
    assert_eq!(caps("azure", "", 50), [None, Some(50)]);
    assert_eq!(caps("azure", r#""max_completion_tokens":null,"#, 50), [None, Some(50)]);
    assert_eq!(caps("azure", r#""max_tokens":80,"#, 50), [Some(50), None]);
    assert_eq!(caps("azure", r#""max_tokens":20,"#, 50), [Some(20), None]);
    assert_eq!(caps("azure", r#""max_tokens":80,"max_completion_tokens":20,"#, 50), [Some(50), Some(20)]);
    assert_eq!(caps("deepseek", "", 50), [Some(50), None]);
    assert_eq!(caps("deepseek", r#""max_tokens":null,"#, 50), [Some(50), None]);
    assert_eq!(caps("deepseek", r#""max_completion_tokens":80,"#, 50), [Some(50), Some(50)]);
    assert_eq!(caps("deepseek", r#""max_completion_tokens":20,"#, 50), [Some(20), Some(20)]);
    assert_eq!(caps("gemini", "", 50), [None, None], "translated");
    assert_eq!(body("gemini", "x", "", 50)["generationConfig"]["maxOutputTokens"], 50);
    assert_eq!(body("anthropic", "claude-sonnet-4-5", "", 50)["max_tokens"], 50);
    assert_eq!(body("anthropic", "claude-sonnet-4-5", r#""max_tokens":20,"#, 50)["max_tokens"], 20);
}

#[test]
fn a_cap_is_never_more_than_the_model_can_write() {
    let written = |kind, model, field: &str| body(kind, model, "", 10_000_000)[field].as_u64().unwrap();
    assert_eq!(written("azure", "gpt-4o", "max_completion_tokens"), 16_384);
    assert!(written("anthropic", "claude-sonnet-4-5", "max_tokens") <= 64_000);
}

#[test]
fn a_thinking_budget_gives_way_to_the_cap_as_far_as_it_can() {
    let thinking = |cap| {
        let body = body("anthropic", "claude-sonnet-4-0", r#""reasoning_effort":"high","#, cap);
        (body["max_tokens"].as_u64().unwrap(), body["thinking"]["budget_tokens"].as_u64().unwrap())
    };
    let (most, budget) = thinking(4000);
    assert_eq!((most, budget), (4000, 2000));
    let (most, budget) = thinking(500);
    assert!(budget >= 1024 && most > budget, "what cannot be legal is left as it is: {most}, {budget}");
}

#[test]
fn without_a_cap_nothing_is_said_about_output() {
    let text = r#"{"model":"m-1","messages":[{"role":"user","content":"hi"}]}"#;
    let mut request = stage::request("openai", "m-1", text);
    let (sent, fetch) = stage::sent(&mut request);
    assert_eq!(fetch.body, text);
    assert_eq!(sent.usage, UsageAsk::AsClient);
}
