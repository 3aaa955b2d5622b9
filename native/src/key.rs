//! `tollgate key`: virtual keys, in the local store or in a gateway that runs.
//!
//! What is printed on standard output is what was asked for: the secret, the table, the JSON. What is
//! said about it goes to standard error, so that `KEY=$(tollgate key new ci)` holds the secret alone.

mod spec; // a new key's fields, on the command line
mod table; // how keys are shown

use crate::clerk::{Clerk, Errand, Secrets, Whereto, text};
use crate::settings::Problems;
use clap::{Args, Subcommand};
use http::Method;
use serde_json::{Map, Value, json};
use spec::Spec;
pub use spec::number;
use std::process::ExitCode;
use tollgate_core::api::escaped;
use tollgate_core::api::shape::{self, Shape};

const EXAMPLES: &str = "\
Examples:
  tollgate key new ci                            a key that may call everything, printed once
  tollgate key new ci --models chat,openai/gpt-4o --rpm 600 --budget 10/day --budget 100/month
  tollgate key new demo --ttl 7d --budget 5/never --note 'for the fair'
  tollgate key list
  tollgate key block ci                          a gateway that runs refuses it within two seconds
  tollgate key rotate ci --grace 1h              a new secret; the old one works for an hour more
  tollgate key delete ci

Without --url the store that the config names is changed, while a gateway has it open or not.
With --url a gateway does it; its admin key is in TOLLGATE_ADMIN_KEY, or where --admin-key says:
  tollgate key list --url https://gateway.example --admin-key file:/run/secrets/admin";

const NEW_EXAMPLES: &str = "\
Examples:
  tollgate key new ci --team search --tag batch --models chat,'openai/*'
  tollgate key new ci --rpm 600 --tpm 200000 --concurrency 20
  tollgate key new ci --budget 10/day,warn=80 --budget 100/month,zone=Europe/Berlin
  tollgate key new ci --budget 3/hour,rolling    in any 60 minutes, rather than from full hour to full hour
  tollgate key new ci --budget 50/never          prepaid: not filled again
  tollgate key new ci --ttl 30d --ip 10.0.0.0/8
  tollgate key new ops --role admin              a key for the admin API
  tollgate key new old --sha256 \"$(printf %s \"$KEY\" | sha256sum | cut -d' ' -f1)\"
  KEY=$(tollgate key new ci)                     the secret alone is on standard output";

/// What to do with keys.
#[derive(Args, Clone, Debug)]
#[command(after_help = EXAMPLES)]
pub struct Key {
    #[command(subcommand)]
    what: What,
}

#[derive(Clone, Debug, Subcommand)]
enum What {
    /// Make a key. Its secret is printed once and kept nowhere.
    #[command(after_help = NEW_EXAMPLES)]
    New(Box<New>),
    /// List all keys.
    List(All),
    /// Show one key; never its secret.
    Show(One),
    /// Refuse a key from now on.
    Block(One),
    /// Take a blocked key again.
    Unblock(One),
    /// Delete a key for good.
    Delete(One),
    /// Give a key a new secret.
    Rotate(Rotate),
}

#[derive(Args, Clone, Debug)]
struct New {
    /// The key's name.
    name: String,
    #[command(flatten)]
    spec: Spec,
    #[command(flatten)]
    whereto: Whereto,
}

#[derive(Args, Clone, Debug)]
struct All {
    #[command(flatten)]
    whereto: Whereto,
}

#[derive(Args, Clone, Debug)]
struct One {
    /// The key's name.
    name: String,
    #[command(flatten)]
    whereto: Whereto,
}

#[derive(Args, Clone, Debug)]
struct Rotate {
    /// The key's name.
    name: String,
    /// How long the old secret stays valid: 1h [default: not at all].
    #[arg(long, value_name = "SPAN")]
    grace: Option<String>,
    #[command(flatten)]
    whereto: Whereto,
}

/// Does it.
pub fn run(key: &Key) -> Result<ExitCode, Problems> {
    match &key.what {
        What::New(new) => new.run(),
        What::List(all) => all.run(),
        What::Show(one) => one.show(),
        What::Block(one) => one.act(&Act { method: Method::POST, path: "/block", done: "is blocked" }),
        What::Unblock(one) => {
            one.act(&Act { method: Method::POST, path: "/unblock", done: "is no longer blocked" })
        }
        What::Delete(one) => one.act(&Act { method: Method::DELETE, path: "", done: "is deleted" }),
        What::Rotate(rotate) => rotate.run(),
    }?;
    Ok(ExitCode::SUCCESS)
}

impl New {
    fn run(&self) -> Result<(), Problems> {
        let Self { name, spec, whereto } = self;
        let mut body = Map::new();
        body.insert("name".to_owned(), json!(name));
        spec.write(&mut body)?;
        let clerk = whereto.clerk(Secrets::AtHand)?;
        let errand = post("/api/keys".to_owned(), Some(Value::Object(body)));
        let made = clerk.run(&errand)?;
        tell_secret(&format!("The key `{name}` is made."), &made, whereto, &clerk);
        Ok(())
    }
}

impl All {
    fn run(&self) -> Result<(), Problems> {
        let clerk = self.whereto.clerk(Secrets::AtHand)?;
        let mut keys = Vec::new();
        let mut after = String::new();
        loop {
            let page = clerk.run(&get(format!("/api/keys?limit=1000{after}")))?;
            keys.extend(page.get("data").and_then(Value::as_array).into_iter().flatten().cloned());
            let Some(next) = text(&page, "next") else { break };
            after = format!("&after={}", escaped(next));
        }
        if self.whereto.json {
            println!("{}", json!({"data": keys, "next": null}));
        } else {
            print!("{}", table::table(&keys));
        }
        Ok(())
    }
}

/// Something that is done to a key.
struct Act {
    method: Method,
    path: &'static str,
    /// What is then so.
    done: &'static str,
}

impl One {
    fn show(&self) -> Result<(), Problems> {
        let path = path_of(&self.name)?;
        let shown = self.whereto.clerk(Secrets::AtHand)?.run(&get(path))?;
        if self.whereto.json {
            println!("{shown}");
        } else {
            print!("{}", table::sheet(&shown));
        }
        Ok(())
    }

    fn act(&self, act: &Act) -> Result<(), Problems> {
        let Act { method, path, done } = act;
        let target = format!("{}{path}", path_of(&self.name)?);
        let clerk = self.whereto.clerk(Secrets::AtHand)?;
        let answer = clerk.run(&Errand { method: method.clone(), target, body: None })?;
        if self.whereto.json {
            println!("{answer}");
        } else {
            println!("The key `{}` {done}.", self.name);
            say_aftermath(&clerk);
        }
        Ok(())
    }
}

impl Rotate {
    fn run(&self) -> Result<(), Problems> {
        let Self { name, grace, whereto } = self;
        let body = grace.as_ref().map(|grace| json!({ "grace": grace }));
        let target = format!("{}/rotate", path_of(name)?);
        let clerk = whereto.clerk(Secrets::AtHand)?;
        let made = clerk.run(&post(target, body))?;
        let old = match text(&made, "previous_until") {
            Some(until) => format!("its old one works until {until}"),
            None => "its old one is refused from now on".to_owned(),
        };
        tell_secret(&format!("The key `{name}` has a new secret; {old}."), &made, whereto, &clerk);
        Ok(())
    }
}

fn get(target: String) -> Errand {
    Errand { method: Method::GET, target, body: None }
}

fn post(target: String, body: Option<Value>) -> Errand {
    Errand { method: Method::POST, target, body }
}

/// Where a key is in the API. What is no name would lead elsewhere.
fn path_of(name: &str) -> Result<String, Problems> {
    if !shape::is_name(name) {
        let found = format!("another one of {} characters", name.chars().count());
        return Err(format!("NAME: expected {}, found {found}", Shape::Name.expected()).into());
    }
    Ok(format!("/api/keys/{}", escaped(name)))
}

/// The secret, if one was made, on standard output; the rest on the other.
fn tell_secret(what: &str, made: &Value, whereto: &Whereto, clerk: &Clerk) {
    if whereto.json {
        println!("{made}");
        return;
    }
    eprintln!("{what}");
    match text(made, "key") {
        Some(secret) => {
            eprintln!(
                "This is its secret. It is shown only this once and kept nowhere; the store has its SHA-256:"
            );
            println!("{secret}");
        }
        None => eprintln!("It is the secret whose SHA-256 was given, which nobody here knows."),
    }
    say_aftermath(clerk);
}

fn say_aftermath(clerk: &Clerk) {
    if let Some(aftermath) = clerk.aftermath() {
        eprintln!("{aftermath}");
    }
}
