//! Facts about model names and the routes they lead to.

use super::*;
use crate::directory::{Caller, Directory};
use crate::fault::{Code, Fault};

const NAMES: &str = r#"
[providers.openai]
[providers.local]
kind = "openai"
base_url = "http://127.0.0.1:9/v1"
[models.chat]
targets = ["openai/gpt-4o"]
fallbacks = ["spare"]
deadline = "30s"
[models.spare]
targets = ["local/llama", "openai/gpt-4o"]
fallbacks = ["local/tiny"]
[[keys]]
name = "ci"
value = "env:CI_KEY"
models = ["chat", "openai/gpt-4*"]
"#;

fn shown(config: &Config, targets: &[RouteTarget]) -> Vec<String> {
    let name =
        |target: &RouteTarget| format!("{}/{}", config.provider(target.provider).unwrap().name, target.model);
    targets.iter().map(name).collect()
}

fn asked(model: &str, fallbacks: &[&str]) -> Result<Vec<String>, Fault> {
    let config = loaded(NAMES);
    let fallbacks: Vec<String> = fallbacks.iter().map(|name| (*name).to_owned()).collect();
    let route = config.route_for(model, &fallbacks, None)?;
    let all: Vec<_> = route.targets.iter().chain(&route.fallbacks).cloned().collect();
    Ok(shown(&config, &all))
}

fn first_caller(config: &Config) -> Caller {
    Directory::of(config).caller(&config.keys[0], None)
}

fn refused(model: &str, fallbacks: &[&str]) -> Fault {
    let config = loaded(NAMES);
    let fallbacks: Vec<String> = fallbacks.iter().map(|name| (*name).to_owned()).collect();
    config.route_for(model, &fallbacks, Some(&first_caller(&config))).unwrap_err()
}

#[test]
fn a_configured_route_is_shared_not_copied() {
    let config = loaded(NAMES);
    let route = config.route_for("chat", &[], None).unwrap();
    assert!(Arc::ptr_eq(&route, &config.routes["chat"]));
    assert_eq!(route.deadline, Millis(30_000));
}

#[test]
fn a_fallback_route_stands_for_its_targets_and_fallbacks_each_model_once() {
    assert_eq!(asked("chat", &[]).unwrap(), ["openai/gpt-4o", "local/llama", "local/tiny"]);
}

#[test]
fn a_name_with_a_provider_goes_there_whatever_slashes_follow() {
    assert_eq!(asked("local/meta-llama/Llama-3", &[]).unwrap(), ["local/meta-llama/Llama-3"]);
    assert_eq!(refused("local/", &[]).code, Code::ModelNotFound);
}

#[test]
fn a_bare_name_goes_to_the_provider_whose_vendor_has_it() {
    assert_eq!(asked("gpt-4o-2024-08-06", &[]).unwrap(), ["openai/gpt-4o-2024-08-06"]);
}

#[test]
fn a_derived_route_tries_thrice_within_the_longest_answer() {
    let config = loaded(NAMES);
    let route = config.route_for("openai/gpt-4o", &[], None).unwrap();
    assert_eq!((route.attempts, route.strategy), (3, Strategy::Ordered));
    assert_eq!(route.deadline, Millis(600_000));
}

#[test]
fn fallbacks_of_the_request_follow_those_of_the_route() {
    assert_eq!(
        asked("openai/o3", &["local/x", "spare", "local/x"]).unwrap(),
        ["openai/o3", "local/x", "local/llama", "openai/gpt-4o", "local/tiny"]
    );
}

#[test]
fn an_unknown_name_is_not_found_with_at_most_three_close_ones() {
    let fault = asked("chatt", &[]).unwrap_err();
    assert_eq!((fault.code, fault.param.as_deref()), (Code::ModelNotFound, Some("model")));
    assert!(fault.message.contains("did you mean chat"), "{}", fault.message);
    assert!(fault.message.matches(", ").count() <= 2, "{}", fault.message);
    let fault = asked("claude-sonnet-4-5", &[]).unwrap_err();
    assert!(fault.message.contains("a model of anthropic, which is not configured"), "{}", fault.message);
    let fault = asked("gpt-4o", &["nowhere/x"]).unwrap_err();
    assert_eq!(fault.param.as_deref(), Some("fallbacks[0]"));
    assert!(fault.message.contains("there is no provider \"nowhere\""), "{}", fault.message);
}

#[test]
fn b19_each_fallback_of_the_request_is_checked_against_the_keys_models() {
    let fault = refused("chat", &["openai/gpt-4o", "local/llama"]);
    assert_eq!((fault.code, fault.param.as_deref()), (Code::ModelNotAllowed, Some("fallbacks[1]")));
    assert!(fault.message.contains("local/llama") && !fault.message.contains("ci"), "{}", fault.message);
    assert_eq!(refused("local/llama", &[]).code, Code::ModelNotAllowed);
    assert_eq!(refused("spare", &[]).code, Code::ModelNotAllowed);
    assert_eq!(refused("chat", &["spare"]).code, Code::ModelNotAllowed);
}

#[test]
fn a_bare_name_is_allowed_by_its_providers_pattern() {
    let config = loaded(NAMES);
    assert!(config.route_for("gpt-4o", &[], Some(&first_caller(&config))).is_ok());
    assert_eq!(refused("o3", &[]).code, Code::ModelNotAllowed);
}

#[test]
fn close_matches_name_no_route_the_key_may_not_use() {
    let fault = refused("spar", &[]);
    assert_eq!(fault.code, Code::ModelNotFound);
    assert!(!fault.message.contains("spare"), "{}", fault.message);
}

#[test]
fn more_fallbacks_than_any_request_needs_are_refused() {
    let fault = refused("chat", &["chat"; 17]);
    assert_eq!((fault.code, fault.param.as_deref()), (Code::BadField, Some("fallbacks")));
}

#[test]
fn one_slip_in_a_short_word_is_still_that_word() {
    let periods = ["minute", "hour", "day", "week", "month", "year", "never"];
    for (slip, meant) in [("dya", "day"), ("dai", "day"), ("wek", "week"), ("yera", "year")] {
        assert_eq!(crate::config::fault::closest(slip, periods), Some(meant), "{slip}");
    }
    for other in ["fortnight", "d", "eon"] {
        assert_eq!(crate::config::fault::closest(other, periods), None, "{other}");
    }
}
