//! Facts about the limits of upstreams in the config.

use super::*;

const LIMITED: &str = r#"
    [providers.openai]
    keys = [{ name = "a", value = "sk-a", rpm = 600, tpm = 200_000 }, "sk-b"]

    [models.chat]
    targets = [{ to = "openai/gpt-4o", rpm = 6 }, { to = "openai/gpt-4.1", tpm = 9000 }, "openai/o3"]

    [models.other]
    targets = ["openai/o3"]
    fallbacks = ["chat"]
"#;

fn limits(rpm: Option<u64>, tpm: Option<u64>) -> UpstreamLimits {
    UpstreamLimits { rpm: rpm.map(Requests), tpm: tpm.map(Tokens) }
}

#[test]
fn targets_and_keys_of_providers_have_limits_of_their_own() {
    let config = loaded(LIMITED);
    let keys: Vec<_> = config.providers[0].credentials.iter().map(|key| key.limits).collect();
    assert_eq!(keys, [limits(Some(600), Some(200_000)), limits(None, None)]);
    let targets: Vec<_> = config.routes["chat"].targets.iter().map(|target| target.limits).collect();
    assert_eq!(targets, [limits(Some(6), None), limits(None, Some(9000)), limits(None, None)]);
}

#[test]
fn a_route_that_falls_back_to_another_is_held_to_its_targets_limits() {
    let config = loaded(LIMITED);
    let fallbacks: Vec<_> = config.routes["other"].fallbacks.iter().map(|target| target.limits).collect();
    assert_eq!(fallbacks, [limits(Some(6), None), limits(None, Some(9000))]);
    let direct = config.route_for("openai/gpt-4o", &[], None).unwrap();
    assert_eq!(direct.targets[0].limits, limits(None, None), "nobody asked for one there");
}

#[test]
fn a_limit_of_an_upstream_that_is_no_count_is_refused_by_its_name() {
    let wrong = r#"
[providers.openai]
keys = [{ value = "sk-a", rpm = 0, tpm = -5 }]
[models.m]
targets = [{ to = "openai/gpt-4o", rpm = 1.5, tpm = "many", rmp = 3 }]
"#;
    let said = errors(wrong);
    let named = |field: &str| said.iter().filter(|line| line.contains(field)).count();
    for field in ["keys[0].rpm", "keys[0].tpm", "targets[0].rpm", "targets[0].tpm", "targets[0].rmp"] {
        assert_eq!(named(field), 1, "{field}: {said:#?}");
    }
    assert_eq!(said.len(), 5, "{said:#?}");
}
