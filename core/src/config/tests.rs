//! Facts about whole documents.

use super::*;
use crate::fault::Code;

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

[models]
cheap = "openai/meta/gpt-4o-mini"

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

fn full() -> Config {
    load(FULL.as_bytes(), &secrets).unwrap_or_else(|errors| panic!("{errors:#?}"))
}

#[test]
fn print() {
    let full = FULL.replace("[models]\ncheap = ", "[models.cheap]\ntargets = ");
    let config = load(full.as_bytes(), &secrets).unwrap_or_else(|errors| panic!("{errors:#?}"));
    println!("{}", config.describe());
    println!("{:?}", config.route_for("chat", &[], None).unwrap());
    println!("{:?}", config.route_for("chta", &[], None).unwrap_err());
    println!("{:?}", config.route_for("openai/a/b", &["cheap".into()], Some(&config.keys[0])).unwrap_err());
    println!("{:?}", load(br#"{"providers":{"openai":{"base_url":"ftp://x","keys":5, "kez":[]}}}"#, &secrets));
    println!("{:?}", Code::Bug);
    full_();
}
fn full_() { let _ = full(); }
