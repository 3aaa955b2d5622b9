//! Who there is, as an isolate knows it.
//!
//! ```text
//!   as often as the config ─▶ KV `entities`, else the registry
//!   an unknown key, or a change made through this isolate ─▶ the registry, at once
//! ```
//! What is older than what is here is not taken up, so a slow KV takes nothing back.

use crate::clock;
use crate::isolate::Isolate;
use crate::ledger::{Lost, Way};
use crate::settings::CONFIG;
use tollgate_core::api::{Change, Kind};
use tollgate_core::config::Config;
use tollgate_core::sort::Map;
use tollgate_core::units::{Millis, Time};
use tollgate_edge::front::Again;
use tollgate_edge::keeper::Stored;
use worker::{Env, console_error};

/// The name in KV.
pub(crate) const ENTITIES: &str = "entities";

/// Between two questions to the registry because of keys that nobody knows: strangers may ask for these.
const PAUSE: Millis = Millis::from_secs(1);

/// For how long a location keeps what it has read from KV, in seconds: the least there is.
const CACHED: u64 = 30;

/// What is known of the registry.
#[derive(Default)]
pub(crate) struct Known {
    entities: Map<(Kind, String), Change>,
    version: Option<u64>,
    read: Time,
    asked: Time,
    /// There is this version at least.
    due: u64,
}

impl Known {
    /// A change of this version was made through this isolate.
    pub(crate) fn expect(&mut self, version: u64) {
        self.due = self.due.max(version);
    }
}

/// Brings the isolate up to date if it is time to. Fails where nobody is known yet and nobody can be asked:
/// then it must not be taken that there is nobody.
pub(crate) async fn refresh(isolate: &Isolate, env: &Env, config: &Config) -> Result<(), Lost> {
    let now = clock::now();
    let fresh = isolate.bound(env).fresh;
    let (version, is_due, is_old) = {
        let known = isolate.known.borrow();
        let version = known.version;
        (version, version.is_none_or(|version| version < known.due), now.since(known.read) >= fresh)
    };
    if version.is_some() && !is_due && !is_old {
        return Ok(());
    }
    if (version.is_none() || !is_due)
        && let Some(stored) = from_kv(env).await
    {
        take_up(isolate, config, stored);
        if isolate.known.borrow().version.is_some_and(|version| version >= isolate.known.borrow().due) {
            return Ok(());
        }
    }
    match ask(isolate, env, config).await {
        Ok(_) => Ok(()),
        Err(lost) if version.is_none() => Err(lost),
        Err(Lost(why)) => {
            console_error!("who there is cannot be asked, so it is as it was: {why}");
            isolate.known.borrow_mut().read = now;
            Ok(())
        }
    }
}

/// A key is not known here: it may be new.
pub(crate) async fn look_again(isolate: &Isolate, env: &Env, config: &Config) -> Again {
    if clock::now().since(isolate.known.borrow().asked) < PAUSE {
        return Again::No;
    }
    ask(isolate, env, config).await.unwrap_or(Again::No)
}

async fn ask(isolate: &Isolate, env: &Env, config: &Config) -> Result<Again, Lost> {
    isolate.known.borrow_mut().asked = clock::now();
    let have = isolate.known.borrow().version;
    let have = have.map(|version| version.to_string()).unwrap_or_default();
    let answer = Way::to_registry(env).post("/entities", have.into_bytes()).await?;
    isolate.known.borrow_mut().read = clock::now();
    if answer.is_empty() {
        return Ok(Again::No);
    }
    match Stored::from_json(&answer) {
        Some(stored) => {
            take_up(isolate, config, stored);
            Ok(Again::Yes)
        }
        None => Err(Lost("the registry's answer cannot be read".to_owned())),
    }
}

async fn from_kv(env: &Env) -> Option<Stored> {
    let kv = env.kv(CONFIG).ok()?;
    match kv.get(ENTITIES).cache_ttl(CACHED).bytes().await {
        Ok(document) => Stored::from_json(&document?),
        Err(error) => {
            console_error!("KV {CONFIG} cannot be read: {error}");
            None
        }
    }
}

/// Only what differs is touched.
fn take_up(isolate: &Isolate, config: &Config, stored: Stored) {
    let mut known = isolate.known.borrow_mut();
    known.read = clock::now();
    if known.version.is_some_and(|version| version > stored.version) {
        return;
    }
    known.version = Some(stored.version);
    let mut directory = isolate.directory.borrow_mut();
    if stored.had_keys {
        directory.close();
    }
    let mut before = std::mem::take(&mut known.entities);
    for change in stored.entities {
        let place = (change.kind, change.name.clone());
        if before.remove(&place).is_none_or(|known| known != change)
            && let Err(aside) = directory.apply(&change, config)
        {
            console_error!("{}:{} is stored and cannot be used", aside.kind.name(), aside.name);
        }
        known.entities.insert(place, change);
    }
    for (kind, name) in before.into_keys() {
        directory.remove(kind, &name);
    }
}

/// After another config was taken up everybody is looked at anew.
pub(crate) fn again(isolate: &Isolate, config: &Config) {
    let known = isolate.known.borrow();
    let mut directory = isolate.directory.borrow_mut();
    for change in known.entities.values() {
        if let Err(aside) = directory.apply(change, config) {
            console_error!("{}:{} is stored and cannot be used", aside.kind.name(), aside.name);
        }
    }
}
