//! The admin API against a directory in memory.

mod alias;
mod at_hand;
mod bad;
mod keys;
mod roles;

use super::*;
use crate::admit::NeedsKeys;
use crate::config::{self, Config, SecretRef};
use crate::count::Gauge;
use crate::directory::Directory;
use crate::mount::{self, Mounted};
use http::{Method, Request};
use serde_json::Value;

const CONFIG: &str = r#"
    [server]
    admin_key = "root-of-it-all"
    [providers.openai]
    key = "sk-upstream-secret"
    [[teams]]
    name = "fixed"
    [[keys]]
    name = "static"
    value = "tg-static"
    team = "fixed"
"#;

const ADMIN: &str = "root-of-it-all";
const NOON: Time = Time(1_790_000_000_000);

/// A gateway's admin API with a store that is a directory.
struct Stage {
    config: Arc<Config>,
    directory: Directory,
    gauge: Arc<Gauge>,
    deeds: Vec<Deed>,
    dice: u32,
    now: Time,
}

/// An answer.
#[derive(Debug)]
struct Told {
    status: u16,
    body: Value,
    text: String,
}

impl Told {
    fn of(answer: &Response<Bytes>) -> Self {
        let text = String::from_utf8(answer.body().to_vec()).unwrap();
        let body = serde_json::from_str(&text).unwrap();
        Self { status: answer.status().as_u16(), body, text }
    }

    fn code(&self) -> &str {
        self.body["error"]["code"].as_str().unwrap_or_default()
    }

    fn message(&self) -> &str {
        self.body["error"]["message"].as_str().unwrap_or_default()
    }

    fn param(&self) -> &str {
        self.body["error"]["param"].as_str().unwrap_or_default()
    }

    fn secret(&self) -> String {
        self.body["key"].as_str().unwrap().to_owned()
    }
}

impl Stage {
    fn new(config: &str) -> Self {
        let none = |_: SecretRef<'_>| Err("it is not set".to_owned());
        let config = config::load(config.as_bytes(), &none).unwrap();
        let directory = Directory::of(&config);
        Self {
            config: Arc::new(config),
            directory,
            gauge: Arc::default(),
            deeds: Vec::new(),
            dice: 0,
            now: NOON,
        }
    }

    fn open() -> Self {
        Self::new(CONFIG)
    }

    /// What a request leads to; changes are made.
    fn plan(&mut self, key: &str, method: &str, target: &str, body: &str) -> Result<Plan, Told> {
        let method = Method::from_bytes(method.as_bytes()).unwrap();
        let head = Request::builder().method(&method).uri(target).header("x-api-key", key);
        let (head, ()) = head.body(()).unwrap().into_parts();
        let arrival = match mount::find(&method, head.uri.path()) {
            Ok(Mounted::Admin(arrival)) => arrival,
            Ok(other) => panic!("{target} is {other:?}"),
            Err(fault) => return Err(Told::of(&refusal(&fault))),
        };
        let desk = Desk { config: &self.config, directory: &self.directory, gauge: &self.gauge, peer: None };
        self.dice += 1;
        let entropy = crate::keyring::digest(&self.dice.to_be_bytes());
        let knock = knock(&head, arrival, &desk, RequestId(1), self.now).map_err(|turned| match *turned {
            Turned::Away(answer) => Told::of(&answer),
            Turned::Back(NeedsKeys { otherwise, issuer: _ }) => Told::of(&otherwise),
        })?;
        let plan = plan(&Ask { knock: &knock, body: body.as_bytes() }, &desk, self.now, entropy);
        if let Plan::Commit(commit) = &plan {
            for change in &commit.changes {
                self.directory.apply(change, &self.config).unwrap();
            }
            self.deeds.push(commit.deed.clone());
        }
        Ok(plan)
    }

    fn call(&mut self, key: &str, method: &str, target: &str, body: &str) -> Told {
        match self.plan(key, method, target, body) {
            Err(told) => told,
            Ok(Plan::Answer(answer)) => Told::of(&answer),
            Ok(Plan::Commit(commit)) => Told::of(&commit.answer),
            Ok(other) => panic!("{method} {target} is a question: {other:?}"),
        }
    }

    fn admin(&mut self, method: &str, target: &str, body: &str) -> Told {
        self.call(ADMIN, method, target, body)
    }

    /// Makes something that must work.
    fn made(&mut self, target: &str, body: &str) -> Told {
        let told = self.admin("POST", target, body);
        assert!(matches!(told.status, 200 | 201), "{target} {body}: {}", told.text);
        told
    }

    /// A team, and a key of each role in it: caller, viewer, manager, admin.
    fn staffed() -> (Self, [String; 4]) {
        let mut stage = Self::open();
        stage.made("/api/teams", r#"{"name":"search","rpm":100,"budget":[{"usd":50,"per":"day"}]}"#);
        stage.made("/api/teams", r#"{"name":"other"}"#);
        let keys = spec::ROLES.iter().map(|role| {
            let body =
                format!(r#"{{"name":"the-{role}","role":"{role}","team":"search","models":["gpt-4o*"]}}"#);
            stage.made("/api/keys", &body).secret()
        });
        let keys: Vec<_> = keys.collect();
        (stage, keys.try_into().unwrap())
    }
}
