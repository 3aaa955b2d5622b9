//! Carries a command's request to the admin API: in the local store, or in a gateway that runs.
//!
//! ```text
//!   key, token ──Errand──▶ clerk ─┬─ local:  core plans it, the store takes it, a gateway follows
//!                                 └─ remote: HTTP with the admin key, the gateway does all of it
//! ```
//! Both give the same answers, since both are the same API.

mod local; // in the store
mod remote; // over HTTP

use crate::settings::{self, Problems, Source};
use clap::Args;
use http::Method;
use local::Local;
use remote::Remote;
use serde_json::Value;
use std::path::PathBuf;
use tollgate_core::config::SecretRef;
use tollgate_core::secret::Secret;

/// Where the admin key is found unless another place is named.
const USUAL_ADMIN_KEY: &str = "env:TOLLGATE_ADMIN_KEY";

/// What is to be asked of the admin API.
#[derive(Clone, Debug)]
pub struct Errand {
    /// The method.
    pub method: Method,
    /// The path, escaped, with its query.
    pub target: String,
    /// The body.
    pub body: Option<Value>,
}

/// Where to go, on the command line.
#[derive(Args, Clone, Debug, Default)]
pub struct Whereto {
    /// The config that names the store [default: ./tollgate.toml if it exists, else none].
    #[arg(long, value_name = "FILE", conflicts_with = "url")]
    config: Option<PathBuf>,
    /// A gateway that runs, in place of the local store: http://127.0.0.1:8080.
    #[arg(long, value_name = "URL")]
    url: Option<String>,
    /// Where its admin key is: env:NAME or file:PATH [default: env:TOLLGATE_ADMIN_KEY].
    #[arg(long, value_name = "PLACE", requires = "url")]
    admin_key: Option<String>,
    /// Print the API's answer as JSON.
    #[arg(long)]
    pub json: bool,
}

/// How much of the config a command needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Secrets {
    /// Those that are there.
    AtHand,
    /// All of them: something is signed.
    All,
}

/// Does errands.
pub enum Clerk {
    /// In the local store.
    Local(Box<Local>),
    /// In a gateway that runs.
    Remote(Box<Remote>),
}

impl Whereto {
    /// Whoever does errands there. Nothing has been opened or called yet.
    pub fn clerk(&self, secrets: Secrets) -> Result<Clerk, Problems> {
        match &self.url {
            Some(url) => {
                let place = self.admin_key.as_deref().unwrap_or(USUAL_ADMIN_KEY);
                Self::remote(url, "--admin-key", place)
            }
            None => {
                let source = Source::choose(self.config.clone());
                let config = match secrets {
                    Secrets::All => source.read()?,
                    Secrets::AtHand => source.read_with_what_there_is()?,
                };
                Ok(Clerk::Local(Box::new(Local::new(config))))
            }
        }
    }

    /// The same as somebody else than the admin, whose key is in the place that `option` names.
    pub fn clerk_with_key(&self, option: &str, place: &str) -> Result<Clerk, Problems> {
        let url = self.url.as_deref().ok_or_else(|| {
            format!("{option}: is for a gateway that runs: expected --url as well\n  fix: add --url, or leave {option} out to use the local store")
        })?;
        Self::remote(url, option, place)
    }

    fn remote(url: &str, option: &str, place: &str) -> Result<Clerk, Problems> {
        Ok(Clerk::Remote(Box::new(Remote::new(url, secret(option, place)?)?)))
    }
}

impl Clerk {
    /// Does it; what the API answers. A refusal is a problem in the API's words.
    pub fn run(&self, errand: &Errand) -> Result<Value, Problems> {
        match self {
            Self::Local(local) => local.run(errand),
            Self::Remote(remote) => remote.run(errand),
        }
    }

    /// What is worth knowing after a change: who will hear of it, and when.
    pub fn aftermath(&self) -> Option<String> {
        match self {
            Self::Local(local) => local.aftermath(),
            Self::Remote(_) => None,
        }
    }
}

/// A refusal of the API as a problem.
fn refused(error: &Value) -> Problems {
    let part = |name| text(error, name).map(plain).unwrap_or_default();
    let (message, param) = (part("message"), part("param"));
    if param.is_empty() || message.starts_with(&param) { message } else { format!("{param}: {message}") }
        .into()
}

/// The API's refusal in an answer, if it is one.
fn refusal(answer: &Value) -> Option<Problems> {
    answer.get("error").filter(|error| text(error, "message").is_some()).map(refused)
}

/// A text of an answer.
pub fn text<'v>(answer: &'v Value, name: &str) -> Option<&'v str> {
    answer.get(name)?.as_str()
}

/// A text without what a terminal would take for an order.
pub fn plain(text: &str) -> String {
    text.chars().map(|letter| if letter.is_control() { '\u{fffd}' } else { letter }).collect()
}

/// The secret in a place. The secret itself is no place: command lines are seen by others.
fn secret(option: &str, place: &str) -> Result<Secret, Problems> {
    let reference = match place.split_once(':') {
        Some(("env", name)) => SecretRef::Env(name),
        Some(("file", path)) => SecretRef::File(path),
        _ => {
            let found = format!("another text of {} characters", place.chars().count());
            return Err(format!(
                "{option}: expected env:NAME or file:PATH, found {found}\n  fix: put the key into a variable or a file, since other users of this machine can see command lines"
            )
            .into());
        }
    };
    let secret = settings::secret(reference);
    let secret = secret.map_err(|why| {
        format!("{option}: {}: {why}\n  fix: set it, or name another place with {option}", plain(place))
    })?;
    if secret.is_empty() {
        return Err(format!("{option}: {}: expected a key, found nothing", plain(place)).into());
    }
    Ok(secret)
}
