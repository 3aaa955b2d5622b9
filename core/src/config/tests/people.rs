//! Facts about organisations, teams, users, tags, keys and tokens of a document.

use super::*;
use crate::directory::{HolderKind, IpRange, Role, What};
use crate::token::{JwksSource, Parent};

pub(super) const PEOPLE: &str = r#"
[server]
admin_key = "admin"
trusted_proxies = ["10.0.0.0/8"]
zone = "UTC"

[store]
namespace = "gate"
fail = { budgets = "local", limits = "open" }

[alerts]
webhook = "https://hooks.example/T0/secret"

[tokens]
secret = "0123456789abcdef0123456789abcdef"
longest = "1h"
issuers = [
  { issuer = "https://id.example", audience = "gate", jwks = "https://id.example/keys", key = "ci" },
  { issuer = "https://by.claim", audience = "gate", jwks = "file:keys.json", parent_claim = "key" },
]

[providers.openai]

[[organisations]]
name = "acme"
budget = { usd = 1000, per = "month", zone = "UTC", warn = 80 }

[[teams]]
name = "search"
organisation = "acme"
rpm = 100
end_user = { rpm = 5, budget = [{ usd = 1, per = "day" }] }
limits = [{ model = "gpt-4o*", tpm = 1000 }, { provider = "openai", concurrency = 3 }]

[[users]]
name = "ann@example.com"
organisation = "acme"
blocked = true

[[tags]]
name = "batch"
tpm_input = 10
tpm_output = 20

[[keys]]
name = "ci"
value = "env:CI_KEY"
previous = { sha256 = "2CF24DBA5FB0A30E26E83B2AC5B9E29E1B161E5C1FA7425E73043362938B9824", until = "2027-01-01T00:00:00Z" }
team = "search"
user = "ann@example.com"
tags = ["batch"]
client_tags = ["app-*"]
models = ["gpt-4o"]
routes = ["/v1/chat/*"]
ips = ["10.0.0.0/8", "2001:db8::1"]
role = "manager"
max_requests = 5
max_tokens = 6
budget = [{ usd = 1, per = "day", reset = "rolling" }, { usd = 5, per = "never", warn = 100 }]
created = "2026-11-21T00:00:00Z"
note = "for the pipeline"
metadata = { cost_centre = 7, list = [1.50, true, "x"], empty = {} }
"#;

#[test]
fn everybody_of_the_document_arrives_with_all_fields() {
    let config = loaded(PEOPLE);
    assert_eq!(config.server.trusted_proxies, [IpRange::parse("10.0.0.0/8").unwrap()]);
    assert_eq!(config.store.namespace, "gate");
    assert_eq!(config.store.fail, Fail { budgets: Fallback::Local, limits: Fallback::Open });
    assert!(config.alerts.webhook.is_some());
    let names: Vec<_> = config.holders.iter().map(|holder| (holder.kind, holder.name.as_str())).collect();
    let (organisation, team) = (HolderKind::Organisation, HolderKind::Team);
    let wanted = [(organisation, "acme"), (team, "search"), (HolderKind::User, "ann@example.com")];
    assert_eq!(names[..3], wanted);
    let team = &config.holders[1];
    assert_eq!(team.organisation.as_deref(), Some("acme"));
    assert_eq!(team.within[0].scope.name, "team:search/model:gpt-4o*");
    assert_eq!(team.within[0].scope.limits.tpm, Some(Tokens(1000)));
    assert_eq!(team.within[1].what, What::Provider("openai".to_owned()));
    assert_eq!(team.each_end_user.as_ref().and_then(|limits| limits.rpm), Some(Requests(5)));
    let key = &config.keys[0];
    assert_eq!(key.organisation.as_deref(), Some("acme"), "its team's");
    assert_eq!(key.role, Role::Manager);
    assert_eq!(key.retiring.map(|retiring| retiring.until), Some(Time(1_798_761_600_000)));
    assert_eq!(key.scope.limits.budgets[0].reset, Reset::Rolling);
    assert_eq!(key.scope.limits.budgets[1].warn, Some(crate::limit::Percent(100)));
    assert!(key.allows_path("/v1/chat/completions") && !key.allows_path("/v1/models"));
    let remarks = key.remarks.as_deref().unwrap();
    assert_eq!(remarks.note.as_deref(), Some("for the pipeline"));
    let metadata = r#"{"cost_centre":7,"list":[1.50,true,"x"],"empty":{}}"#;
    assert_eq!(remarks.metadata.as_deref(), Some(metadata));
}

#[test]
fn tokens_have_their_secret_and_their_issuers() {
    let tokens = loaded(PEOPLE).tokens;
    assert_eq!(tokens.longest, Millis(3_600_000));
    assert_eq!(tokens.issuers[0].jwks, JwksSource::Url("https://id.example/keys".to_owned()));
    assert_eq!(tokens.issuers[1].parent, Parent::Claim("key".to_owned()));
    assert!(tokens.signer().is_some());
    assert!(loaded("[server]\nadmin_key = \"a\"\n").tokens.hs256.is_some(), "made of the admin key");
    assert!(!loaded("").tokens.any());
    let pem = "-----BEGIN PRIVATE KEY-----\nMC4CAQAwBQYDK2VwBCIEIJ1hsZ3v/VpguoRK9JLsLMREScVpe\nzJpGXA7rAMcrn9g\n-----END PRIVATE KEY-----\n";
    let from_file = |_: SecretRef<'_>| Ok(Secret::new(pem));
    let config = load(b"[tokens]\ned25519 = \"file:key.pem\"\n", &from_file).unwrap();
    assert!(config.tokens.ed25519.is_some() && config.tokens.hs256.is_none());
}

#[test]
fn one_word_says_what_is_done_without_the_store() {
    let fail = |word: &str| loaded(&format!("[store]\nfail = \"{word}\"\n")).store.fail;
    assert_eq!(fail("open"), Fail { budgets: Fallback::Open, limits: Fallback::Open });
    assert_eq!(loaded("").store.fail, Fail { budgets: Fallback::Closed, limits: Fallback::Local });
}

#[test]
fn b15_a_keys_expiry_is_its_own_and_a_budgets_period_another() {
    let config = loaded(
        "[[keys]]\nname = \"k\"\nvalue = \"k\"\ncreated = \"2026-10-31T12:00:00Z\"\nexpires = \"2026-11-30T12:00:00Z\"\nbudget = { usd = 1, per = \"month\" }\n",
    );
    assert_eq!(config.keys[0].expires, Some(Time(1_796_040_000_000)));
    assert_eq!(config.keys[0].scope.limits.budgets[0].reset, Reset::Calendar(Zone::default()));
}

#[test]
fn no_secret_of_people_is_shown() {
    let text = format!("{:?}\n{}", loaded(PEOPLE), loaded(PEOPLE).describe());
    for secret in ["hooks.example", "0123456789abcdef", "tg-ci"] {
        assert!(!text.contains(secret), "{secret}");
    }
}
