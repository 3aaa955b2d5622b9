//! The config: from KV, from the variable it was deployed with, or from the secrets that are there.
//!
//! ```text
//!   KV `CONFIG`: tollgate.toml, tollgate.json ─▶ variable TOLLGATE_CONFIG ─▶ none: usual secrets
//! ```
//! The first that is there is used. It is read again when it is older than [`crate::bound::Bound::fresh`]; what is wrong then
//! leaves the one before in use.

use crate::clock;
use crate::glue;
use crate::isolate::Isolate;
use crate::people;
use crate::upstream;
use std::cell::RefCell;
use std::sync::Arc;
use tollgate_core::config::Config;
use tollgate_core::sort::{Map, Set};
use tollgate_core::units::Time;
use tollgate_edge::ai;
use tollgate_edge::document::{self, Document, Problem};
use worker::{Env, console_error};

/// For how long a location keeps what it has read from KV, in seconds: the least there is.
const CACHED: u64 = 30;

/// The binding of the KV namespace with the config and who there is.
pub(crate) const CONFIG: &str = "CONFIG";

/// The names it may have there.
const NAMES: [&str; 2] = ["tollgate.toml", "tollgate.json"];

/// The variable of the config that is deployed with the code.
const BUNDLED: &str = "TOLLGATE_CONFIG";

/// A config that runs, and what it was made of.
pub(crate) struct Settings {
    pub(crate) config: Arc<Config>,
    text: Option<Text>,
    read: Time,
}

#[derive(PartialEq)]
struct Text {
    name: String,
    text: String,
}

/// The config for requests that come now.
pub(crate) async fn current(isolate: &Isolate, env: &Env) -> Result<Arc<Config>, Problem> {
    let now = clock::now();
    if let Some(settings) = &*isolate.settings.borrow()
        && now.since(settings.read) < isolate.bound(env).fresh
    {
        return Ok(Arc::clone(&settings.config));
    }
    read(isolate, env).await
}

/// Reads it again. The one before stays in use if it cannot be read, or has errors.
pub(crate) async fn read(isolate: &Isolate, env: &Env) -> Result<Arc<Config>, Problem> {
    let read = anew(isolate, env).await;
    let mut place = isolate.settings.borrow_mut();
    let now = clock::now();
    match (read, &mut *place) {
        (Ok(Anew::Same), Some(settings)) => {
            settings.read = now;
            Ok(Arc::clone(&settings.config))
        }
        (Ok(Anew::Same), None) => Err(Problem("the config was let go of while it was read".to_owned())),
        (Ok(Anew::Changed { config, text }), place) => {
            let config = Arc::new(*config);
            isolate.directory.borrow_mut().reseat(&config);
            people::again(isolate, &config);
            *place = Some(Settings { config: Arc::clone(&config), text, read: now });
            Ok(config)
        }
        (Err(problem), Some(settings)) => {
            console_error!("the config is left as it was: {problem}");
            settings.read = now;
            Ok(Arc::clone(&settings.config))
        }
        (Err(problem), None) => Err(problem),
    }
}

/// What a config has become.
enum Anew {
    Same,
    Changed { config: Box<Config>, text: Option<Text> },
}

async fn anew(isolate: &Isolate, env: &Env) -> Result<Anew, Problem> {
    let text = find(env).await?;
    if let Some(settings) = &*isolate.settings.borrow()
        && settings.text == text
        && text.is_some()
    {
        return Ok(Anew::Same);
    }
    let config = compile(text.as_ref(), env).await?;
    bound(&config, env)?;
    Ok(Anew::Changed { config: Box::new(config), text })
}

async fn find(env: &Env) -> Result<Option<Text>, Problem> {
    if let Ok(kv) = env.kv(CONFIG) {
        for name in NAMES {
            let found = kv.get(name).cache_ttl(CACHED).text().await;
            let found = found.map_err(|error| Problem(format!("KV {CONFIG} cannot be read: {error}")))?;
            if let Some(text) = found {
                return Ok(Some(Text { name: format!("{CONFIG}/{name}"), text }));
            }
        }
    }
    let bundled = env.var(BUNDLED).map(|text| text.to_string()).unwrap_or_default();
    Ok((!bundled.trim().is_empty()).then(|| Text { name: BUNDLED.to_owned(), text: bundled }))
}

/// Whether the bindings that providers stand for are there.
fn bound(config: &Config, env: &Env) -> Result<(), Problem> {
    let missing = config.providers.iter().find_map(|provider| {
        let name = ai::binding(provider.base_url.host()?)?;
        upstream::runner(env, &name).is_none().then_some((provider.name.as_str(), name))
    });
    let Some((provider, name)) = missing else { return Ok(()) };
    Err(Problem(format!(
        "providers.{provider}: the binding {name} is missing: add [ai] with binding = \"{name}\" to wrangler.toml"
    )))
}

/// Secrets of the Secrets Store can only be had by waiting for them, so those that are not among the
/// Worker's own are fetched, and it is read once more.
async fn compile(text: Option<&Text>, env: &Env) -> Result<Config, Problem> {
    let mut stored = Map::new();
    loop {
        let missing = RefCell::new(Set::new());
        let compiled = {
            let look = |name: &str| {
                secret(env, &stored, name).ok_or_else(|| {
                missing.borrow_mut().insert(name.to_owned());
                format!("it is not set: run `wrangler secret put {name}`, or add {name}=… to .dev.vars for `wrangler dev`")
            })
            };
            let document = text.map(|Text { name, text }| Document { name, text: text.as_bytes() });
            document::compile(document, &look)
        };
        let before = stored.len();
        for name in missing.into_inner() {
            if let Some(store) = glue::binding(env, &name, "get")
                && let Ok(value) = glue::promised(glue::secret(&store)).await
                && let Some(value) = value.as_string()
            {
                stored.insert(name, value);
            }
        }
        if stored.len() == before {
            return compiled;
        }
    }
}

fn secret(env: &Env, stored: &Map<String, String>, name: &str) -> Option<String> {
    stored.get(name).cloned().or_else(|| env.secret(name).ok().map(|secret| secret.to_string()))
}
