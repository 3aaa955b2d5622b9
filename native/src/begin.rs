//! The beginning: opens the store, takes up what it holds, and makes what all workers share.

use crate::alert::{self, Ears};
use crate::api::{Bell, Office};
use crate::cache::Answers;
use crate::clock::Clock;
use crate::hearsay::Hearsay;
use crate::host::Shared;
use crate::jwks::Issuers;
use crate::ledger::Ledgers;
use crate::ledger::local::LocalLedger;
use crate::ledger::shared::{Address, Settings as Sharing, SharedLedger};
use crate::random::Random;
use crate::settings::{Problems, Settings};
use crate::share::Share;
use crate::store::responses::Keeping;
use crate::store::trouble::Problem;
use crate::store::{self, Setup, Store};
use crate::upstream::pool::Outside;
use arc_swap::{ArcSwap, ArcSwapOption};
use std::num::NonZero;
use std::path::Path;
use std::sync::mpsc::Receiver;
use std::sync::{Arc, Mutex, RwLock};
use tollgate_core::api::{Change, audit};
use tollgate_core::config::{self, Config};
use tollgate_core::directory::{Directory, Reading};

/// What keeps nothing.
const MEMORY: &str = ":memory:";

/// A process that is about to serve.
pub struct Begun {
    /// What all workers share.
    pub shared: Arc<Shared>,
    /// Where warnings are taken up.
    pub ears: Ears,
}

impl From<Problem> for Problems {
    fn from(Problem(problem): Problem) -> Self {
        format!("store: {problem}").into()
    }
}

/// Opens everything. Blocks.
pub fn begin(settings: Settings, outside: Outside) -> Result<Begun, Problems> {
    let mut settings = settings;
    let clock = Clock::start();
    let path = place(&settings.config).to_owned();
    let path = path.as_str();
    let Config { store: config::Store { responses, responses_size, .. }, .. } = settings.config;
    let keeping = Keeping { time: responses.unwrap_or_default(), size: responses_size };
    let opened = Store::open(&Setup { keeping, ..Setup::new(path, audit::seal, clock) })?;
    let store::Opened { store, entities, books, set_aside: _, had_keys, late } = opened;
    let store = Arc::new(store);
    let mut directory = Directory::of(&settings.config);
    settings.put_keys(&mut directory);
    take_up(&mut directory, entities, &settings.config);
    if had_keys {
        directory.close();
    }
    // Only now: keys of the store count too.
    settings.refuse_exposed(&directory)?;
    let Settings { config, tls, addresses: _, keys: _, exposure: _ } = settings;
    let local = LocalLedger::open(Arc::clone(&store), books, clock.now(), config.store.fail)?;
    let own = Arc::new(local.ledger);
    let ledger = ledger(&config, path, own)?;
    let alert::Ends { bell: alarm, ears } = alert::ends();
    alarm.ring(local.warnings);
    let shared = Arc::new(Shared {
        directory: RwLock::new(directory),
        issuers: Issuers::default(),
        lenders: Arc::default(),
        gauge: Arc::default(),
        config: ArcSwap::from_pointee(config),
        tls: ArcSwapOption::new(tls),
        fleet: Mutex::default(),
        ledger,
        answers: Answers::default(),
        metrics: Mutex::default(),
        outside: Arc::new(outside),
        office: Office::new(Arc::clone(&store), Bell::default()),
        share: Share::default(),
        hearsay: Hearsay::default(),
        store,
        alarm,
        clock,
    });
    if let Some(late) = late {
        await_entities(late, &shared)?;
    }
    Ok(Begun { shared, ears })
}

/// So many are read at once. What they were read from is given up with them, and not with the last.
const CHUNK: usize = 4096;

fn take_up(directory: &mut Directory, entities: Vec<Change>, config: &Config) {
    let mut rest = entities.into_iter();
    loop {
        let chunk: Vec<Change> = rest.by_ref().take(CHUNK).collect();
        if chunk.is_empty() {
            return;
        }
        for reading in readings(&chunk, config) {
            if let Err(aside) = directory.take(reading) {
                let errors: Vec<String> = aside.errors.iter().map(|error| error.message.clone()).collect();
                let (kind, why) = (aside.kind.name(), errors.join("; "));
                tracing::error!(
                    kind,
                    name = aside.name,
                    why,
                    "a stored entry cannot be used and is left out"
                );
            }
        }
    }
}

/// Reads changes on all cores, where they are worth it. In their order.
fn readings(changes: &[Change], config: &Config) -> Vec<Reading> {
    let cores = std::thread::available_parallelism().map_or(1, NonZero::get);
    let share = changes.len().div_ceil(cores);
    let read = |changes: &[Change]| -> Vec<Reading> {
        changes.iter().map(|change| Reading::of(change, config)).collect()
    };
    if cores == 1 || changes.len() < CHUNK {
        return read(changes);
    }
    std::thread::scope(|scope| {
        let shares: Vec<_> = changes.chunks(share).collect();
        let threads: Vec<_> = shares.iter().map(|share| scope.spawn(|| read(share))).collect();
        let all = threads.into_iter().zip(shares);
        all.flat_map(|(thread, share)| thread.join().unwrap_or_else(|_| read(share))).collect()
    })
}

/// Takes up who there is in a store that is opened late.
fn await_entities(late: Receiver<Vec<Change>>, shared: &Arc<Shared>) -> Result<(), Problems> {
    let shared = Arc::downgrade(shared);
    let wait = move || {
        if let (Ok(entities), Some(shared)) = (late.recv(), shared.upgrade()) {
            take_up(&mut shared.directory_mut(), entities, &shared.config.load());
        }
    };
    let thread = std::thread::Builder::new().name("store-late".to_owned()).spawn(wait);
    thread.map(drop).map_err(|error| format!("no thread for the store: {error}").into())
}

/// The file, where there is anything to keep: keys, limits, an admin API, responses, or what an earlier run kept.
fn place(config: &Config) -> &str {
    let path = &config.store.path;
    let governs = !config.keys.is_empty() || !config.holders.is_empty() || config.server.admin_key.is_some();
    let store = &config.store;
    let keeps = store.redis.is_some() || store.responses.is_some();
    if governs || keeps || Path::new(path).exists() { path } else { MEMORY }
}

fn ledger(config: &Config, path: &str, own: Arc<LocalLedger>) -> Result<Ledgers, Problems> {
    let Some(url) = &config.store.redis else { return Ok(Ledgers::Alone(own)) };
    let address = Address::parse(url.expose()).map_err(|error| format!("store.redis: {error}"))?;
    let fail = config.store.fail;
    let sharing = Sharing { fail, ..Sharing::new(address, &config.store.namespace, &gateway(path)) };
    let fallback: Arc<LocalLedger> = Arc::clone(&own);
    let shared = SharedLedger::new(sharing, fallback)
        .map_err(|error| format!("no thread for the shared ledger: {error}"))?;
    Ok(Ledgers::Together { own, shared })
}

/// The gateway's name among those that share limits: drawn once, and kept beside the store, whose books
/// it goes with. Where it cannot be kept, it is another after the next start, and what is held under
/// this one is let go with its lease.
fn gateway(path: &str) -> String {
    let drawn = || format!("{:016x}{:016x}", Random::seeded().next(), Random::seeded().next());
    if path == MEMORY {
        return drawn();
    }
    let file = format!("{path}.gateway");
    match std::fs::read_to_string(&file) {
        Ok(name) if !name.trim().is_empty() => name.trim().to_owned(),
        Ok(_) | Err(_) => {
            let name = drawn();
            if let Err(error) = std::fs::write(&file, &name) {
                tracing::warn!(file, %error, "the gateway's name cannot be kept");
            }
            name
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::{self, Overrides, Source};
    use crate::store::tests::Folder;
    use bytes::Bytes;
    use tollgate_core::api::{Change, Deed, Kind};
    use tollgate_core::units::Time;

    fn started(folder: &Folder, listen: &str) -> Result<Begun, Problems> {
        let path = folder.store();
        let text = format!("[server]\nlisten = \"{listen}\"\n[store]\npath = \"{}\"\n", path.display());
        let settings = settings::read(&Source::Text { name: "test.toml", text }, &Overrides::default())?;
        begin(settings, Outside::from_env())
    }

    #[test]
    fn an_open_gateway_is_not_shown_to_the_world_and_one_with_stored_keys_is() {
        let folder = Folder::new("exposed");
        std::fs::File::create(folder.store()).unwrap();
        let Err(problems) = started(&folder, "0.0.0.0:0") else { panic!("it serves everybody") };
        assert!(problems.to_string().contains("no key is required"), "{problems}");

        let begun = started(&folder, "127.0.0.1:0").unwrap();
        let spec = Bytes::from(format!(r#"{{"name":"ci","sha256":"{}"}}"#, "01".repeat(32)));
        let change = Change { kind: Kind::Key, name: "ci".to_owned(), spec: Some(spec) };
        let deed = Deed {
            at: Time(1),
            actor: "admin".to_owned(),
            action: "key.create".to_owned(),
            subject: "key:ci".to_owned(),
            before: None,
            after: None,
        };
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(begun.shared.store.commit(vec![change], deed)).unwrap();
        drop(begun);
        assert!(started(&folder, "0.0.0.0:0").is_ok());
    }
}
