//! Facts about whole documents.

mod aws;
mod golden;
mod guardrails;
mod names;
mod noise;
mod people;
mod prices;
mod upstreams;

use super::*;
use crate::limit::calendar::Zone;
use crate::limit::{Budget, Limits, Period, Reset};
use crate::units::{NanoDollars, Requests, Time, Tokens};

/// What every test's environment has.
fn secrets(reference: SecretRef<'_>) -> Result<Secret, String> {
    match reference {
        SecretRef::Env("OPENAI_API_KEY") => Ok(Secret::new("sk-openai")),
        SecretRef::Env("CI_KEY") => Ok(Secret::new("tg-ci")),
        SecretRef::File("/run/key") => Ok(Secret::new("sk-file\n")),
        SecretRef::Env(_) => Err("it is not set".to_owned()),
        SecretRef::File(_) => Err("no such file".to_owned()),
        SecretRef::Literal(_) => panic!("literals are not the host's to resolve"),
    }
}

const FULL: &str = r#"
[server]
listen = "127.0.0.1:8080"
admin_key = "admin"
require_key = true
max_body = "16MiB"
drain = "10s"
tls = { cert = "cert.pem", key = "key.pem" }
cors = { origins = ["https://example.com"] }
open = false

[store]
path = ":memory:"
redis = "redis://localhost"

[providers.openai]
kind = "openai"
base_url = "https://api.openai.com/v1"
keys = [
  { name = "a", value = "env:OPENAI_API_KEY", weight = 2, models = ["*"] },
  { name = "b", value = "file:/run/key" },
]
timeout = { first_byte = "60s", idle = "60s", total = "600s" }
headers = { x-team = "search" }

[providers.azure]
kind = "openai"
base_url = "https://example.openai.azure.com/openai/v1/"
key = "k"
api_version = "2024-10-21"

[providers.claude]
kind = "anthropic"
base_url = "https://api.anthropic.com/v1"
keys = ["one", "two"]

[models.chat]
strategy = "weighted"
targets = [{ to = "openai/gpt-4o", weight = 3 }, { to = "azure/gpt-4o" }]
fallbacks = ["claude/claude-sonnet-4-5", "cheap"]
attempts = 3
deadline = "120s"

[models.cheap]
targets = "openai/meta/gpt-4o-mini"

[[teams]]
name = "search"
budget = [{ usd = 500, per = "month" }]

[[keys]]
name = "ci"
value = "env:CI_KEY"
team = "search"
models = ["chat", "openai/*"]
rpm = 600
tpm = 200_000
concurrency = 20
budget = [{ usd = 10, per = "day" }, { usd = 0.1, per = "month" }]
expires = "2027-01-01T00:00:00Z"
"#;

fn loaded(text: &str) -> Config {
    load(text.as_bytes(), &secrets).unwrap_or_else(|errors| panic!("{errors:#?}"))
}

fn errors(text: &str) -> Vec<String> {
    load(text.as_bytes(), &secrets)
        .map_or_else(|errors| errors, |_| Vec::new())
        .iter()
        .map(ToString::to_string)
        .collect()
}

#[test]
fn every_field_of_the_document_arrives() {
    let config = loaded(FULL);
    assert_eq!(config.server.max_body, 16 << 20);
    assert_eq!(config.server.drain, Millis(10_000));
    assert_eq!(config.server.tls, Some(Tls { cert: "cert.pem".to_owned(), key: "key.pem".to_owned() }));
    assert_eq!(config.server.cors_origins, ["https://example.com"]);
    assert!(config.server.admin_key.as_ref().is_some_and(|key| key.matches("admin")));
    assert_eq!(config.store.path, ":memory:");
    let names: Vec<_> = config.providers.iter().map(|provider| provider.name.as_str()).collect();
    assert_eq!(names, ["openai", "azure", "claude"], "in the order of the file");
    let openai = &config.providers[0];
    assert_eq!(openai.credentials[0].weight, 2.0);
    assert!(openai.credentials[1].secret.as_ref().is_some_and(|key| key.matches("sk-file")), "trimmed");
    assert_eq!(openai.headers["x-team"], "search");
    assert_eq!(config.providers[1].query.as_deref(), Some("api-version=2024-10-21"));
    assert_eq!(config.providers[1].base_url.path(), "/openai/v1");
    assert_eq!(config.providers[2].credentials.len(), 2);
}

#[test]
fn the_header_and_the_query_of_a_server_of_ones_own() {
    let own = |more: &str| {
        format!("[providers.p]\nkind = \"openai\"\nbase_url = \"http://p.test/v1\"\nkey = \"k\"\n{more}")
    };
    let config = loaded(&own("query = { version = \"1\", tier = \"a\" }\nkey_header = \"X-Key: Word\""));
    assert_eq!(config.providers[0].query.as_deref(), Some("version=1&tier=a"));
    let (name, word) = config.providers[0].key_header.as_ref().unwrap();
    assert_eq!((name.as_str(), word.as_str()), ("x-key", "Word "));
    for (line, says) in [
        ("query = { a = \"1&b=2\" }", "not a member of a query"),
        ("query = { \"a b\" = \"1\" }", "not a member of a query"),
        ("query = { a = \"\" }", "the string is empty"),
        ("key_header = \"x key\"", "not a header"),
        ("key_header = \"x-key: two words\"", "not a header"),
        ("key_header = \"\"", "the string is empty"),
    ] {
        let errors = errors(&own(line));
        assert!(errors.len() == 1 && errors[0].contains(says), "{line}: {errors:?}");
    }
    let aws = "[providers.bedrock]\nregion = \"us-east-1\"\nkey = \"k\"\nkey_header = \"x-key\"";
    assert!(errors(aws)[0].contains("no header of their own"));
}

#[test]
fn limits_keep_their_units_and_dollars_are_exact() {
    let config = loaded(FULL);
    let key = &config.keys[0];
    let budget = |nanos, per| Budget {
        amount: NanoDollars(nanos),
        per,
        reset: Reset::Calendar(Zone::default()),
        warn: None,
    };
    assert_eq!(
        key.scope.limits,
        Limits {
            rpm: Some(Requests(600)),
            tpm: Some(Tokens(200_000)),
            concurrency: Some(Requests(20)),
            budgets: vec![budget(10_000_000_000, Period::Day), budget(100_000_000, Period::Month)],
            ..Limits::default()
        }
    );
    assert_eq!(key.expires, Some(Time(1_798_761_600_000)));
    assert_eq!(config.holders[0].scope.limits.budgets, [budget(500_000_000_000, Period::Month)]);
}

#[test]
fn the_description_shows_what_was_resolved_and_no_secret() {
    let text = loaded(FULL).describe();
    for expected in [
        "listens on 127.0.0.1:8080, a key is required\n",
        "  openai: OpenAI (openai) at https://api.openai.com/v1, 2 keys\n",
        "  chat: weighted, at most 3 attempts in 120s: openai/gpt-4o ×3, azure/gpt-4o ×1\n",
        "    then claude/claude-sonnet-4-5, openai/meta/gpt-4o-mini\n",
        "  ci: chat, openai/*; 600 requests a minute, 200000 tokens a minute, 20 at once, $10 per day, $0.1 per month; team search; expires 2027-01-01T00:00:00Z\n",
    ] {
        assert!(text.contains(expected), "{expected:?} is not in:\n{text}");
    }
    let debug = format!("{:?}", loaded(FULL));
    for secret in ["sk-openai", "sk-file", "tg-ci", "redis://"] {
        assert!(!text.contains(secret) && !debug.contains(secret), "{secret}");
    }
}

#[test]
fn the_cache_is_described_where_it_is_used() {
    let text = loaded(
        r#"
        [cache]
        ttl = "90s"
        share = "team"
        [providers.openai]
        key = "sk-x"
        [models.kept]
        targets = ["openai/gpt-4o"]
        cache = { ttl = "500ms", share = "all" }
        [[keys]]
        name = "a"
        value = "tg-a"
        cache = true
        [[keys]]
        name = "b"
        value = "tg-b"
        cache = false
    "#,
    )
    .describe();
    for expected in [
        "openai/gpt-4o\n    answers are kept for 500ms, shared by all\n",
        "  a: every model; no limits; answers are kept for 90s, shared by team\n",
        "  b: every model; no limits; answers are never kept\n",
    ] {
        assert!(text.contains(expected), "{expected:?} is not in:\n{text}");
    }
}

#[test]
fn the_same_document_as_json_means_the_same() {
    let json = br#"{
        "providers": {"openai": {"key": "env:OPENAI_API_KEY", "timeout": {"total": "900s"}}},
        "models": {"chat": "openai/gpt-4o"},
        "keys": [{"name": "ci", "value": "env:CI_KEY", "budget": {"usd": 0.10, "per": "never"}}]
    }"#;
    let toml = r#"
        [providers.openai]
        key = "env:OPENAI_API_KEY"
        timeout = { total = "900s" }
        [models]
        chat = "openai/gpt-4o"
        [[keys]]
        name = "ci"
        value = "env:CI_KEY"
        budget = { usd = 0.10, per = "never" }
    "#;
    let from_json = load(json, &secrets).unwrap_or_else(|errors| panic!("{errors:#?}"));
    assert_eq!(format!("{from_json:?}"), format!("{:?}", loaded(toml)));
    assert_eq!(from_json.routes["chat"].deadline, Millis(900_000), "as long as the longest answer");
}

#[test]
fn a_key_makes_keys_required_unless_the_file_says_otherwise() {
    let key = "[[keys]]\nname = \"ci\"\nvalue = \"env:CI_KEY\"\n";
    assert!(loaded(key).server.require_key);
    assert!(!loaded("").server.require_key);
    assert!(!loaded(&format!("[server]\nrequire_key = false\n{key}")).server.require_key);
}

#[test]
fn a_provider_without_a_key_takes_the_usual_variable_at_its_vendors_address_only() {
    let home = loaded("[providers.openai]\n");
    assert!(home.providers[0].credentials[0].secret.as_ref().is_some_and(|key| key.matches("sk-openai")));
    let elsewhere = loaded("[providers.openai]\nbase_url = \"http://127.0.0.1:8000/v1\"\n");
    assert_eq!(elsewhere.providers[0].credentials[0].secret, None);
    assert_eq!(elsewhere.providers[0].vendor.name, "openai");
}

#[test]
fn what_works_but_not_as_meant_is_noted() {
    let notes = loaded(
        r#"
        [providers.openai]
        keys = [{ value = "k", models = ["gpt-*"] }]
        [providers.anthropic]
        key = "k"
        [models.chat]
        strategy = "cost"
        targets = ["openai/o3"]
        "#,
    )
    .notes;
    assert_eq!(
        notes,
        [
            "route `chat`: no key of provider `openai` serves `o3`",
            "provider `anthropic` is in no route: it is reached as `anthropic/<model>`",
        ]
    );
    assert_eq!(loaded("").notes, ["there is no provider: no model can be reached"]);
}

#[test]
fn a_dialect_at_a_strangers_address_assumes_nothing_of_its_makers_vendor() {
    let config = loaded("[providers.vllm]\nkind = \"openai\"\nbase_url = \"http://127.0.0.1:8000/v1\"\n");
    assert_eq!(config.providers[0].vendor, crate::vendor::custom(Dialect::OpenAi));
}

#[test]
fn zero_config_turns_on_each_vendor_whose_variable_is_set() {
    let env = |name: &str| match name {
        "OPENAI_API_KEY" => Some(" sk-openai\n".to_owned()),
        "ANTHROPIC_API_KEY" => Some("sk-anthropic".to_owned()),
        "GROQ_API_KEY" => Some(String::new()),
        "MISTRAL_API_KEY" => Some("käse".to_owned()),
        "AZURE_OPENAI_API_KEY" => Some("azure".to_owned()),
        _ => None,
    };
    let config = compile::zero(&env);
    let names: Vec<_> = config.providers.iter().map(|provider| provider.name.as_str()).collect();
    assert_eq!(names, ["openai", "anthropic"]);
    assert!(!config.server.require_key && config.routes.is_empty() && config.keys.is_empty());
    assert_eq!(config.server.listen, "127.0.0.1:8080");
    assert_eq!(config.notes.len(), 2, "{:?}", config.notes);
    let route = config.route_for("claude-sonnet-4-5-20250929", &[], None).unwrap();
    assert_eq!(route.targets[0].provider, ProviderId(1));
    assert_eq!(compile::zero(&|_| None).providers.len(), 0);
}

#[test]
fn zero_config_takes_addresses_as_people_write_them() {
    let base_urls = |pairs: &[(&str, &str)]| -> Vec<String> {
        let env = |name: &str| pairs.iter().find(|(n, _)| *n == name).map(|(_, value)| (*value).to_owned());
        let config = compile::zero(&env);
        config.providers.iter().map(|provider| format!("{} {}", provider.name, provider.base_url)).collect()
    };
    let key = ("OPENAI_API_KEY", "sk");
    assert_eq!(base_urls(&[key]), ["openai https://api.openai.com/v1"]);
    for address in ["http://proxy:9000", "http://proxy:9000/", "proxy:9000", "http://proxy:9000/v1"] {
        assert_eq!(
            base_urls(&[key, ("OPENAI_BASE_URL", address)]),
            ["openai http://proxy:9000/v1"],
            "{address}"
        );
    }
    // An address alone turns on what needs no key, and nothing else.
    assert_eq!(base_urls(&[("OLLAMA_HOST", "127.0.0.1:11434")]), ["ollama http://127.0.0.1:11434/v1"]);
    assert!(base_urls(&[("OPENAI_BASE_URL", "http://proxy:9000")]).is_empty());
    assert!(base_urls(&[key, ("OPENAI_BASE_URL", "::nonsense::")]).is_empty());
    let azure = [("AZURE_OPENAI_API_KEY", "k"), ("AZURE_OPENAI_ENDPOINT", "https://me.openai.azure.com/")];
    assert_eq!(base_urls(&azure), ["azure https://me.openai.azure.com/openai/v1"]);
}

#[test]
fn keys_that_are_lent_are_read_and_what_is_wrong_with_them_is_named() {
    let text = |keys: &str| {
        format!("[providers.vertex]\nproject = \"p\"\nlocation = \"europe-west4\"\nkeys = [{keys}]\n")
    };
    let config = load(text("{ from = \"google\", json = \"{}\" }").as_bytes(), &secrets).unwrap();
    let provider = &config.providers[0];
    assert_eq!(
        provider.base_url,
        "https://europe-west4-aiplatform.googleapis.com/v1/projects/p/locations/europe-west4/publishers"
    );
    let source = provider.credentials[0].source.as_ref().unwrap();
    assert_eq!((source.from, source.get("json")), (crate::source::From::Google, Some("{}")));
    let usual = load(b"[providers.vertex]\nproject = \"p\"\n", &secrets).unwrap();
    assert!(usual.providers[0].credentials[0].source.is_some(), "without a key it has one where it runs");
    assert_eq!(usual.providers[0].base_url.host(), Some("aiplatform.googleapis.com"));
    for (keys, says) in [
        ("{ from = \"googel\" }", "did you mean `google`"),
        ("{ from = \"aws\" }", "takes no key from `aws`"),
        ("{ from = \"google\", tenant = \"t\" }", "have no `tenant`"),
        ("{ from = \"entra\", tenant = \"t\" }", "`client_id` is missing"),
        ("{ from = \"google\", value = \"v\" }", "stands beside `from`"),
        ("{ json = \"{}\" }", "add `from`"),
    ] {
        let errors = load(text(keys).as_bytes(), &secrets).unwrap_err();
        let told: String = errors.iter().map(ToString::to_string).collect();
        assert!(told.contains(says), "{keys}: {told}");
    }
    let errors = load(b"[providers.vertex]\n[providers.openai]\nproject = \"p\"\n", &secrets).unwrap_err();
    let told: String = errors.iter().map(ToString::to_string).collect();
    assert!(told.contains("`project` is missing") && told.contains("only Vertex AI"), "{told}");
}
