//! Facts about who is known, and what requests draw on.

use super::spec::Around;
use super::*;
use crate::config::{self, Pattern, SecretRef, values};
use crate::ledger::{Claim, Targets};
use crate::limit::Limits;
use crate::token::Token;
use crate::units::{Requests, Time};
use bytes::Bytes;
use proptest::prelude::{Just, Strategy, any, prop_oneof, proptest};

const CONFIG: &str = r#"
    [providers.openai]
    key = "k"
    [providers.claude]
    kind = "anthropic"
    key = "k"
    [models.chat]
    targets = ["openai/gpt-4o", "claude/claude-sonnet-4-5"]
    fallbacks = ["openai/gpt-4o-mini"]
    [[organisations]]
    name = "acme"
    rpm = 1000
    [[teams]]
    name = "search"
    organisation = "acme"
    rpm = 100
    end_user = { rpm = 5 }
    [[users]]
    name = "ann"
    organisation = "acme"
    rpm = 10
    [[tags]]
    name = "batch"
    rpm = 50
    [[tags]]
    name = "plain"
    [[keys]]
    name = "ci"
    value = "tg-ci"
    team = "search"
    user = "ann"
    tags = ["plain", "batch"]
    rpm = 5
    limits = [{ model = "gpt-4o*", rpm = 2 }, { model = "claude/*", budget = { usd = 1, per = "day" } }, { provider = "openai", rpm = 3 }]
    [[keys]]
    name = "free"
    value = "tg-free"
"#;

fn config() -> Config {
    let none = |_: SecretRef<'_>| Err("it is not set".to_owned());
    config::load(CONFIG.as_bytes(), &none).unwrap_or_else(|errors| panic!("{errors:#?}"))
}

fn caller(config: &Config, name: &str) -> Caller {
    let directory = Directory::of(config);
    directory.caller(directory.key(name).unwrap(), None)
}

fn claims(config: &Config, caller: &Caller, asked: &str, end_user: Option<&str>) -> Vec<(String, u64)> {
    let route = config.route_for(asked, &[], None).unwrap();
    let claims = caller.claims(config, &route, asked, end_user);
    claims.into_iter().map(|Claim { scope, targets }| (scope.name.clone(), targets.0)).collect()
}

fn names(config: &Config, caller: &Caller, asked: &str, end_user: Option<&str>) -> Vec<String> {
    claims(config, caller, asked, end_user).into_iter().map(|(name, _)| name).collect()
}

#[test]
fn b6_a_request_draws_on_every_scope_with_limits_and_on_no_other() {
    let config = config();
    let drawn = claims(&config, &caller(&config, "ci"), "chat", Some("77"));
    let all = Targets::ALL.0;
    let wanted = [
        ("key:ci", all),
        ("key:ci/model:gpt-4o*", 0b101),
        ("key:ci/model:claude/*", 0b010),
        ("key:ci/provider:openai", 0b101),
        ("user:ann", all),
        ("team:search", all),
        ("team:search/end-user:77", all),
        ("organisation:acme", all),
        ("tag:batch", all),
    ];
    let drawn: Vec<(&str, u64)> = drawn.iter().map(|(name, targets)| (name.as_str(), *targets)).collect();
    assert_eq!(drawn, wanted);
    assert!(claims(&config, &caller(&config, "free"), "chat", None).is_empty());
}

#[test]
fn limits_of_a_model_hold_by_whatever_name_it_is_asked_for() {
    let config = config();
    let caller = caller(&config, "ci");
    for asked in ["chat", "gpt-4o", "openai/gpt-4o", "openai/gpt-4o-mini"] {
        let drawn = names(&config, &caller, asked, None);
        assert!(drawn.iter().any(|name| name == "key:ci/model:gpt-4o*"), "{asked}: {drawn:?}");
    }
    let drawn = names(&config, &caller, "claude/claude-sonnet-4-5", None);
    assert!(
        !drawn.iter().any(|name| name.contains("gpt-4o") || name.contains("provider:openai")),
        "{drawn:?}"
    );
}

#[test]
fn b9_leaving_the_end_user_out_draws_on_nobodys_scope() {
    let config = config();
    let caller = caller(&config, "ci");
    for nobody in [None, Some(""), Some("  ")] {
        let drawn = names(&config, &caller, "chat", nobody);
        assert!(drawn.iter().any(|name| name == "team:search/end-user:"), "{drawn:?}");
    }
    let drawn = names(&config, &caller, "chat", Some("a/end-user:b"));
    assert!(drawn.iter().any(|name| name == "team:search/end-user:a_end-user:b"), "{drawn:?}");
}

#[test]
fn a_tokens_end_user_cannot_be_replaced_and_its_scope_is_drawn_on() {
    let config = config();
    let limits = Limits { max_requests: Some(Requests(1)), ..Limits::default() };
    let token = Token {
        id: "7f".to_owned(),
        parent: "ci".to_owned(),
        bound: None,
        models: vec![Pattern::Exact("chat".to_owned())],
        scope: Arc::new(crate::ledger::Scope::new("token:7f", limits)),
        expires: Time::NEVER,
        end_user: Some("ann".to_owned()),
    };
    let caller = Caller { token: Some(Arc::new(token)), ..caller(&config, "ci") };
    let drawn = names(&config, &caller, "chat", Some("bob"));
    assert!(drawn[0] == "token:7f" && drawn.iter().any(|name| name == "team:search/end-user:ann"));
    assert!(caller.allows("chat") && !caller.allows("gpt-4o"));
}

#[test]
fn a13_scopes_have_one_name_each() {
    let config = config();
    let drawn = names(&config, &caller(&config, "ci"), "chat", Some("x"));
    let unique: std::collections::BTreeSet<&String> = drawn.iter().collect();
    assert_eq!(unique.len(), drawn.len());
}

#[test]
fn a_budget_anywhere_is_a_budget() {
    let config = config();
    assert!(caller(&config, "ci").has_budget(), "within");
    assert!(!caller(&config, "free").has_budget());
}

fn stored(
    config: &Config,
    directory: &mut Directory,
    kind: Kind,
    name: &str,
    spec: &str,
) -> Result<(), SetAside> {
    let spec = Some(Bytes::copy_from_slice(spec.as_bytes()));
    directory.apply(&Change { kind, name: name.to_owned(), spec }, config)
}

fn row(name: &str, digest: u8) -> String {
    format!(r#"{{"name":"{name}","sha256":"{}"}}"#, values::hex(&[digest; 32]))
}

#[test]
fn k17_a_row_that_cannot_be_read_is_set_aside_and_the_others_are_not() {
    let config = config();
    let mut directory = Directory::of(&config);
    let key = Kind::Key;
    for (name, spec) in [
        ("masked", r#"{"name":"masked","sha256":"sk-...abcd"}"#),
        ("null", "null"),
        ("empty", ""),
        ("list", "[]"),
        ("old", r#"{"key_alias":"old","token":"abc"}"#),
        ("toml", "name = 'toml'"),
        ("bytes", "\u{0}\u{fffd}"),
        ("misnamed", &row("other", 1)),
        ("secret", r#"{"name":"secret","value":"env:OPENAI_API_KEY"}"#),
    ] {
        let aside = stored(&config, &mut directory, key, name, spec).unwrap_err();
        assert_eq!((aside.kind, aside.name.as_str()), (key, name));
        assert!(!aside.errors.is_empty() && directory.key(name).is_none());
    }
    stored(&config, &mut directory, key, "good", &row("good", 2)).unwrap();
    assert_eq!(directory.key_of(&[2; 32]).map(|key| key.name.as_str()), Some("good"));
    let aside = stored(&config, &mut directory, key, "twin", &row("twin", 2)).unwrap_err();
    assert_eq!(aside.errors[0].message, r#"the same key as "good""#);
    // What a bad row replaces does not go on.
    stored(&config, &mut directory, key, "good", "null").unwrap_err();
    assert!(directory.key("good").is_none() && directory.key_of(&[2; 32]).is_none());
}

#[test]
fn a_stored_row_may_name_what_is_gone_and_one_that_is_written_may_not() {
    let config = config();
    let mut directory = Directory::of(&config);
    let spec = format!(
        r#"{{"name":"k","sha256":"{}","team":"gone","models":["gone/*"],"routes":["/gone"],"limits":[{{"provider":"gone","rpm":1}}]}}"#,
        values::hex(&[3; 32])
    );
    stored(&config, &mut directory, Kind::Key, "k", &spec).unwrap();
    let errors = spec::read_key(spec.as_bytes(), &Around::written(&config, &directory)).unwrap_err();
    let paths: Vec<&str> = errors.iter().map(|error| error.path.as_str()).collect();
    assert_eq!(paths, ["team", "models[0]", "routes[0]", "limits[0].provider"]);
    let value = spec::read_key(br#"{"name":"k","value":"env:HOME"}"#, &Around::written(&config, &directory));
    assert_eq!(value.unwrap_err()[0].message, "a key itself does not stand here");
}

#[test]
fn what_the_config_says_wins_and_a_reload_leaves_what_is_stored() {
    let config = config();
    let mut directory = Directory::of(&config);
    directory.put_key(Key::new("ci", [9; 32])).unwrap();
    directory.put_key(Key::new("extra", [8; 32])).unwrap();
    assert!(directory.key_of(&[9; 32]).is_none(), "hidden by the config's");
    assert!(directory.is_fixed(Kind::Key, "ci") && !directory.is_fixed(Kind::Key, "extra"));
    assert_ne!(directory.key("ci").unwrap().sha256, [9; 32]);
    let without = Config { keys: Vec::new(), ..config };
    directory.reseat(&without);
    assert_eq!(directory.key_of(&[9; 32]).map(|key| key.name.as_str()), Some("ci"));
    assert!(directory.key("free").is_none() && directory.key("extra").is_some());
}

#[test]
fn removing_a_key_takes_both_its_digests_out() {
    let mut directory = Directory::default();
    let retiring = Some(Retiring { sha256: [1; 32], until: Time::NEVER });
    directory.put_key(Key { retiring, ..Key::new("k", [2; 32]) }).unwrap();
    assert!(directory.key_of(&[1; 32]).is_some() && directory.key_of(&[2; 32]).is_some());
    assert_eq!(directory.put_key(Key::new("thief", [1; 32])), Err(Taken { by: "k".to_owned() }));
    directory.put_key(Key::new("k", [3; 32])).unwrap();
    assert!(directory.key_of(&[1; 32]).is_none() && directory.key_of(&[2; 32]).is_none());
    assert!(directory.remove(Kind::Key, "k") && !directory.remove(Kind::Key, "k"));
    assert!(directory.key_of(&[3; 32]).is_none() && directory.has_no_keys());
}

#[test]
fn deleting_the_last_key_lets_nobody_in() {
    let config = config::load(b"", &|_| Err(String::new())).unwrap();
    let mut directory = Directory::of(&config);
    directory.put_key(Key::new("k", [1; 32])).unwrap();
    assert!(directory.remove(Kind::Key, "k") && directory.has_no_keys());
    assert!(config.server.requires_key(&directory));
}

#[test]
fn who_has_not_heard_the_others_does_not_take_it_that_there_are_no_keys() {
    let config = config::load(b"", &|_| Err(String::new())).unwrap();
    let mut directory = Directory::of(&config);
    assert!(directory.has_no_keys() && !config.server.requires_key(&directory));
    directory.await_others();
    assert!(!directory.has_no_keys() && config.server.requires_key(&directory));
    directory.reseat(&config);
    assert!(!directory.knows_others(), "another config tells nothing of them");
    directory.heard_others();
    assert!(directory.has_no_keys() && !config.server.requires_key(&directory));
}

#[test]
fn pages_go_through_all_keys_once_in_the_order_of_their_names() {
    let config = config();
    let mut directory = Directory::of(&config);
    for (digest, name) in ["b", "ci", "e", "z", "a"].iter().enumerate() {
        directory.put_key(Key::new(*name, [100 + u8::try_from(digest).unwrap(); 32])).unwrap();
    }
    let (mut seen, mut after) = (Vec::new(), String::new());
    loop {
        let page: Vec<String> = directory.keys_after(&after, 2).iter().map(|key| key.name.clone()).collect();
        let Some(last) = page.last() else { break };
        after = last.clone();
        seen.extend(page);
    }
    assert_eq!(seen, ["a", "b", "ci", "e", "free", "z"]);
    directory.put_holder(Holder::new(HolderKind::Team, "another"));
    let teams: Vec<&str> =
        directory.holders_from(HolderKind::Team, "").map(|team| team.name.as_str()).collect();
    assert_eq!(teams, ["another", "search"]);
    assert_eq!(directory.holders_after(HolderKind::Team, "search", 5).len(), 0);
}

/// Specs with any of their fields.
fn any_spec() -> impl Strategy<Value = serde_json::Value> {
    let optional = |name: &'static str, value: serde_json::Value| {
        prop_oneof![Just(None), Just(Some((name.to_owned(), value)))]
    };
    let fields = vec![
        optional(
            "previous",
            serde_json::json!({"sha256": "ab".repeat(32), "until": "2027-01-01T00:00:00.250Z"}),
        ),
        optional("team", "search".into()),
        optional("user", "ann".into()),
        optional("tags", serde_json::json!(["batch", "plain"])),
        optional("client_tags", serde_json::json!(["x-*"])),
        optional("models", serde_json::json!(["chat", "openai/*"])),
        optional("routes", serde_json::json!(["/v1/*"])),
        optional("ips", serde_json::json!(["10.0.0.0/8", "2001:db8::1"])),
        optional("role", "viewer".into()),
        optional("rpm", 5.into()),
        optional("tpm", 6.into()),
        optional("tpm_input", 7.into()),
        optional("tpm_output", 8.into()),
        optional("concurrency", 9.into()),
        optional("max_requests", 10.into()),
        optional("max_tokens", 11.into()),
        optional(
            "budget",
            serde_json::json!([{"usd": 0.25, "per": "day", "warn": 80}, {"usd": 3, "per": "never"}, {"usd": 1, "per": "month", "reset": "rolling"}]),
        ),
        optional(
            "limits",
            serde_json::json!([{"model": "gpt-4o*", "rpm": 1}, {"provider": "openai", "budget": {"usd": 1, "per": "week"}}]),
        ),
        optional("end_user", serde_json::json!({"rpm": 1})),
        optional("expires", "2027-01-01T00:00:00Z".into()),
        optional("blocked", true.into()),
        optional("created", "2026-11-21T06:00:00Z".into()),
        optional("note", "\"a\" note\n".into()),
        optional("metadata", serde_json::json!({"a": [1, null, {"b": "\u{1}"}], "c": {}})),
    ];
    fields.prop_map(|fields| {
        let mut spec = serde_json::json!({"name": "k", "sha256": "cd".repeat(32)});
        fields.into_iter().flatten().for_each(|(name, value)| spec[name] = value);
        spec
    })
}

proptest! {
    #[test]
    fn a_key_that_is_written_is_read_as_the_same(spec in any_spec()) {
        let config = config();
        let directory = Directory::of(&config);
        let around = Around::written(&config, &directory);
        let key = spec::read_key(spec.to_string().as_bytes(), &around).unwrap();
        let json = spec::key_json(&key);
        assert_eq!(spec::read_key(&json, &around).as_ref(), Ok(&key));
        assert_eq!(spec::read_key(&json, &Around::stored(&config)).as_ref(), Ok(&key));
        assert_eq!(spec::key_json(&key), json);
    }

    #[test]
    fn any_bytes_are_no_spec_without_a_panic(text in proptest::collection::vec(any::<u8>(), 0..100)) {
        let config = config();
        assert!(spec::read_key(&text, &Around::stored(&config)).is_err());
        assert!(spec::read_holder(HolderKind::Team, &text, &Around::stored(&config)).is_err());
    }
}

#[test]
fn a_holder_that_is_written_is_read_as_the_same() {
    let config = config();
    let directory = Directory::of(&config);
    let around = Around::written(&config, &directory);
    let spec = br#"{"name":"t","organisation":"acme","rpm":5,"limits":[{"model":"chat","tpm":7}],"end_user":{"max_tokens":9},"blocked":true,"note":"n","metadata":{"a":1}}"#;
    for kind in [HolderKind::Team, HolderKind::User, HolderKind::Tag] {
        let holder = spec::read_holder(kind, spec, &around).unwrap();
        assert_eq!(holder.scope.name, format!("{}:t", kind.name()));
        assert_eq!(spec::read_holder(kind, &spec::holder_json(&holder), &around), Ok(holder));
    }
    let refused = spec::read_holder(HolderKind::Organisation, spec, &around).unwrap_err();
    assert_eq!(refused[0].path, "organisation");
}
