//! `tollgate token mint`: a short-lived signed key that allows less than the key it comes from.

use crate::clerk::{Errand, Secrets, Whereto, plain, text};
use crate::key::number;
use crate::settings::Problems;
use clap::{Args, Subcommand};
use http::Method;
use serde_json::{Map, Value, json};
use std::process::ExitCode;

const EXAMPLES: &str = "\
Examples:
  tollgate token mint --parent ci --ttl 5m
  tollgate token mint --parent ci --models chat --max-requests 10 --max-usd 0.50 --user alice
  TOKEN=$(tollgate token mint --parent ci)       the token alone is on standard output

Without --url it is signed with the secrets of the config: `[tokens]`, or one made of
`server.admin_key`; a gateway with the same config takes it, wherever it runs.
With --url a gateway signs it, for its admin or for a key that mints for itself:
  tollgate token mint --parent ci --url https://gateway.example --admin-key file:/run/secrets/admin
  tollgate token mint --ttl 5m --url https://gateway.example --key env:CI_KEY";

/// What to do with tokens.
#[derive(Args, Clone, Debug)]
#[command(after_help = EXAMPLES)]
pub struct Token {
    #[command(subcommand)]
    what: What,
}

#[derive(Clone, Debug, Subcommand)]
enum What {
    /// Sign a token and print it.
    #[command(after_help = EXAMPLES)]
    Mint(Box<Mint>),
}

#[derive(Args, Clone, Debug)]
struct Mint {
    /// The key it comes from; it allows no more than this one.
    #[arg(long, value_name = "NAME", required_unless_present = "key")]
    parent: Option<String>,
    /// How long it is valid: 5m [default: 1h].
    #[arg(long, value_name = "SPAN")]
    ttl: Option<String>,
    /// What it may call, of what its key may [default: all of that].
    #[arg(long, value_name = "PATTERNS", value_delimiter = ',')]
    models: Vec<String>,
    /// Requests in all.
    #[arg(long, value_name = "N", allow_hyphen_values = true)]
    max_requests: Option<String>,
    /// Tokens in all.
    #[arg(long, value_name = "N", allow_hyphen_values = true)]
    max_tokens: Option<String>,
    /// US dollars in all.
    #[arg(long, value_name = "USD", allow_hyphen_values = true)]
    max_usd: Option<String>,
    /// The end user it is for.
    #[arg(long, value_name = "ID")]
    user: Option<String>,
    /// With --url: where the virtual key is that mints for itself, env:NAME or file:PATH.
    #[arg(long, value_name = "PLACE", conflicts_with = "admin_key")]
    key: Option<String>,
    #[command(flatten)]
    whereto: Whereto,
}

/// Does it.
pub fn run(token: &Token) -> Result<ExitCode, Problems> {
    match &token.what {
        What::Mint(mint) => mint.run(),
    }?;
    Ok(ExitCode::SUCCESS)
}

impl Mint {
    fn run(&self) -> Result<(), Problems> {
        let clerk = match &self.key {
            Some(place) => self.whereto.clerk_with_key("--key", place)?,
            None => self.whereto.clerk(Secrets::All)?,
        };
        let body = Some(Value::Object(self.body()));
        let errand = Errand { method: Method::POST, target: "/api/tokens".to_owned(), body };
        let made = clerk.run(&errand)?;
        if self.whereto.json {
            println!("{made}");
            return Ok(());
        }
        let part = |name| text(&made, name).map(plain).unwrap_or_default();
        eprintln!("A token of the key `{}`, valid until {}:", part("key"), part("expires"));
        println!("{}", part("token"));
        Ok(())
    }

    fn body(&self) -> Map<String, Value> {
        let Self { parent, ttl, models, max_requests, max_tokens, max_usd, user, key: _, whereto: _ } = self;
        let mut body = Map::new();
        let mut put = |name: &str, value: Value| drop(body.insert(name.to_owned(), value));
        for (name, text) in [("key", parent), ("ttl", ttl), ("user", user)] {
            text.iter().for_each(|text| put(name, json!(text)));
        }
        if !models.is_empty() {
            put("models", json!(models));
        }
        for (name, text) in [("max_requests", max_requests), ("max_tokens", max_tokens), ("max_usd", max_usd)]
        {
            text.iter().for_each(|text| put(name, number(text)));
        }
        body
    }
}
