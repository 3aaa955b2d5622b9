//! One test for each provider's folder of fixtures.

use tollgate_tests::fixture;

fn check(provider: &str) {
    let failures = fixture::check(provider).err().unwrap_or_default();
    assert!(failures.is_empty(), "{failures}");
}

#[test]
fn openai_fixtures_hold() {
    check("openai");
}

#[test]
fn openai_responses_fixtures_hold() {
    check("openai-responses");
}

#[test]
fn anthropic_fixtures_hold() {
    check("anthropic");
}

#[test]
fn gemini_fixtures_hold() {
    check("gemini");
}

#[test]
fn bedrock_fixtures_hold() {
    check("bedrock");
}
