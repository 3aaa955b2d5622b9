//! Facts about guardrails.

use super::*;
use crate::guard::{Action, Side};

fn document(guardrails: &str) -> String {
    format!("[providers.openai]\nkey = \"k\"\n[models.chat]\ntargets = [\"openai/gpt-4o\"]\n{guardrails}")
}

#[test]
fn a_guardrail_looks_at_both_sides_and_blocks_unless_told() {
    let config = loaded(&document(
        "[[guardrails]]\nname = \"names\"\nphrases = [\" Project  Tiger\"]\n\
         [[guardrails]]\nname = \"said\"\non = [\"output\"]\nphrases = [\"x\"]\naction = \"note\"\nmodels = [\"chat\", \"openai/*\"]",
    ));
    let [names, said] = &config.guardrails.all[..] else { panic!("two") };
    assert_eq!(
        (&*names.name, &names.on[..], names.action),
        ("names", &[Side::Input, Side::Output][..], Action::Block)
    );
    assert!(names.models.is_empty());
    assert_eq!((&said.on[..], said.action, said.models.len()), (&[Side::Output][..], Action::Note, 2));
    assert!(!format!("{:?}", config.guardrails).contains("Tiger"));
}

#[test]
fn what_is_wrong_with_a_guardrail_is_named() {
    let cases = [
        ("phrases = [\"x\"]", "guardrails[0]: a guardrail without a name"),
        ("name = \"a\"", "guardrails[0]: a guardrail that looks for nothing"),
        ("name = \"a\"\nphrases = []", "guardrails[0].phrases: a guardrail that looks for nothing"),
        (
            "name = \"a\"\nphrases = [\"x\", \" \\u200b\"]",
            "guardrails[0].phrases[1]: a phrase without a letter",
        ),
        ("name = \"a\"\nphrases = [\"\"]", "guardrails[0].phrases[0]: the string is empty"),
        (
            "name = \"a\"\nphrases = [\"x\"]\non = [\"inputs\"]",
            "guardrails[0].on[0]: unknown side \"inputs\" (did you mean `input`?)",
        ),
        ("name = \"a\"\nphrases = [\"x\"]\non = []", "guardrails[0].on: a guardrail that looks nowhere"),
        (
            "name = \"a\"\nphrases = [\"x\"]\naction = \"blocks\"",
            "guardrails[0].action: unknown action \"blocks\"",
        ),
        ("name = \"a\"\nphrases = [\"x\"]\nmodels = []", "guardrails[0].models: no models at all"),
        (
            "name = \"a\"\nphrases = [\"x\"]\nmodels = [\"opnai/*\"]",
            "guardrails[0].models[0]: there is no provider",
        ),
        (
            "name = \"a\"\nphrases = [\"x\"]\nphrase = \"y\"",
            "guardrails[0].phrase: unknown field (did you mean `phrases`?)",
        ),
        (
            "name = \"a\"\nphrases = [\"x\"]\n[[guardrails]]\nname = \"a\"\nphrases = [\"y\"]",
            "guardrails[1].name: another guardrail has this name",
        ),
        ("name = \"a/b\"\nphrases = [\"x\"]", "guardrails[0].name: "),
    ];
    for (text, expected) in cases {
        let errors = load(document(&format!("[[guardrails]]\n{text}")).as_bytes(), &secrets).unwrap_err();
        let told: Vec<String> = errors.iter().map(ToString::to_string).collect();
        assert_eq!(told.len(), 1, "{told:?}");
        assert!(told[0].contains(expected), "{expected}: {told:?}");
    }
    let long = format!("[[guardrails]]\nname = \"a\"\nphrases = [\"secret {}\"]", "x".repeat(300));
    let errors = load(document(&long).as_bytes(), &secrets).unwrap_err();
    assert!(errors[0].message.contains("307 characters") && !errors[0].to_string().contains("secret"));
}

#[test]
fn it_holds_for_the_names_a_request_goes_by_and_for_every_model_it_may_come_to() {
    let config = loaded(
        "[providers.openai]\nkey = \"k\"\n[providers.local]\nkind = \"openai\"\nbase_url = \"http://127.0.0.1:9/v1\"\n\
         [models.chat]\ntargets = [\"local/a\"]\nfallbacks = [\"openai/gpt-4o\"]\n[models.fast]\ntargets = [\"local/b\"]\n\
         [[guardrails]]\nname = \"all\"\nphrases = [\"x\"]\n[[guardrails]]\nname = \"openai\"\nphrases = [\"y\"]\nmodels = [\"openai/*\"]\n\
         [[guardrails]]\nname = \"fast\"\nphrases = [\"z\"]\nmodels = [\"fast\"]",
    );
    let holds = |model: &str, fallbacks: &[&str]| -> String {
        let owned: Vec<String> = fallbacks.iter().map(|name| (*name).to_owned()).collect();
        let route = config.route_for(model, &owned, None).unwrap();
        let names: Vec<&str> = [model].into_iter().chain(fallbacks.iter().copied()).collect();
        let guard = config.guardrails.guard(&names, &route, &config).unwrap();
        let found = guard.input.find("xyz");
        guard.blocked_names(found).collect::<Vec<_>>().join(" ")
    };
    assert_eq!(holds("local/b", &[]), "all");
    assert_eq!(holds("fast", &[]), "all fast");
    assert_eq!(holds("chat", &[]), "all openai", "its fallback is one");
    assert_eq!(holds("local/b", &["fast", "openai/gpt-4o"]), "all openai fast");
    let account = |provider: &str| config.account(config.provider_named(provider).unwrap(), "");
    let guard = |provider: &str| config.guardrails.guard(&[""], &account(provider), &config).unwrap();
    assert_eq!(
        guard("openai").blocked_names(guard("openai").input.find("xyz")).count(),
        3,
        "any model of its"
    );
    assert_eq!(guard("local").blocked_names(guard("local").input.find("xyz")).count(), 2);
    let route = config.route_for("fast", &[], None).unwrap();
    let again = || config.guardrails.guard(&["fast"], &route, &config).unwrap();
    assert!(Arc::ptr_eq(&again(), &again()), "made once");
}
