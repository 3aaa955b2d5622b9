//! Errands in the local store, for whoever may write its file.

use super::{Errand, plain, refusal};
use crate::clock::Clock;
use crate::random::Random;
use crate::settings::Problems;
use crate::store::beside::{self, Beside, Company, Snapshot};
use crate::store::entities::{Origin, SetAside};
use bytes::Bytes;
use http::{Method, Response};
use serde_json::Value;
use std::cell::Cell;
use std::sync::Arc;
use tollgate_core::admit::Desk;
use tollgate_core::api::{self, Ask, Change, Knock, Plan, audit};
use tollgate_core::config::Config;
use tollgate_core::count::Gauge;
use tollgate_core::directory::Directory;
use tollgate_core::exchange::RequestId;

/// Does errands in the store that a config names.
pub struct Local {
    config: Arc<Config>,
    clock: Clock,
    gauge: Arc<Gauge>,
    company: Cell<Option<Company>>,
}

impl Local {
    /// Nothing is opened yet.
    pub fn new(config: Config) -> Self {
        Self {
            config: Arc::new(config),
            clock: Clock::start(),
            gauge: Arc::default(),
            company: Cell::new(None),
        }
    }

    /// Does it.
    pub fn run(&self, errand: &Errand) -> Result<Value, Problems> {
        let Errand { method, target, body } = errand;
        let random = Random::seeded();
        let id = u128::from(random.next()) << 64 | u128::from(random.next());
        let knock =
            api::at_hand(method, target, RequestId(id)).map_err(|fault| fault.into_parts().message)?;
        let body = body.as_ref().map(Value::to_string).unwrap_or_default();
        let ask = Ask { knock: &knock, body: body.as_bytes() };
        let planned = if *method == Method::GET { self.look(&ask)? } else { self.change(&ask)? };
        match planned {
            Plan::Answer(answer) => read(&answer),
            Plan::Commit(_) => Err("the request would change something, which it must not".to_owned().into()),
            Plan::Spend(_)
            | Plan::Requests(_)
            | Plan::Limits(_)
            | Plan::Upstreams
            | Plan::Reload(_)
            | Plan::Audit(_)
            | Plan::Verify => Err(asks_more(&knock)),
        }
    }

    /// Who hears of the last change.
    pub fn aftermath(&self) -> Option<String> {
        let path = &self.config.store.path;
        Some(match self.company.get()? {
            Company::Gateway => format!("The gateway that has {path} open takes it up within two seconds."),
            Company::Alone => format!("No gateway has {path} open now: the next one to start with it knows."),
        })
    }

    fn look(&self, ask: &Ask<'_>) -> Result<Plan, Problems> {
        let snapshot = beside::read(&self.config.store.path)?;
        self.plan(ask, &self.directory(&snapshot))
    }

    fn change(&self, ask: &Ask<'_>) -> Result<Plan, Problems> {
        let path = &self.config.store.path;
        let trouble = |error| format!("store: {path}: {error}");
        let mut store = Beside::open(path, audit::seal)?;
        // Before anybody has to wait for us: reading takes a while where there are many.
        let snapshot = store.snapshot().map_err(trouble)?;
        let mut directory = self.directory(&snapshot);
        let mut planned = Ok(());
        let done = store.perform(snapshot.line, |news| {
            self.take_up(&mut directory, news);
            self.plan(ask, &directory).unwrap_or_else(|problems| {
                planned = Err(problems);
                Plan::Upstreams
            })
        });
        planned?;
        let done = done.map_err(trouble)?;
        self.company.set(Some(store.company()));
        Ok(done)
    }

    fn plan(&self, ask: &Ask<'_>, directory: &Directory) -> Result<Plan, Problems> {
        let mut entropy = [0; 32];
        getrandom::fill(&mut entropy)
            .map_err(|error| format!("the system gives no random bytes: {error}"))?;
        let desk = Desk { config: &self.config, directory, gauge: &self.gauge, peer: None };
        Ok(api::plan(ask, &desk, self.clock.now(), entropy))
    }

    fn directory(&self, snapshot: &Snapshot) -> Directory {
        for SetAside { origin, name, why } in &snapshot.malformed {
            let kind = match origin {
                Origin::Entity(kind) => kind,
                Origin::Account | Origin::OpenEntry => continue,
            };
            eprintln!(
                "note: the store's {}:{} is malformed and left out: {}",
                plain(kind),
                plain(name),
                plain(why)
            );
        }
        let mut directory = Directory::of(&self.config);
        self.take_up(&mut directory, &snapshot.entities);
        directory
    }

    fn take_up(&self, directory: &mut Directory, changes: &[Change]) {
        for change in changes {
            directory.remove(change.kind, &change.name);
        }
        for change in changes {
            if let Err(aside) = directory.apply(change, &self.config) {
                let why: Vec<_> = aside.errors.iter().map(|error| plain(&error.message)).collect();
                let (kind, name) = (aside.kind.name(), plain(&aside.name));
                eprintln!(
                    "note: the store's {kind}:{name} cannot be used and is left out: {}",
                    why.join("; ")
                );
            }
        }
    }
}

fn asks_more(knock: &Knock) -> Problems {
    let path = knock.arrival.route.path;
    format!("{path}: only a gateway that runs can tell\n  fix: ask one with --url").into()
}

fn read(answer: &Response<Bytes>) -> Result<Value, Problems> {
    let value = serde_json::from_slice(answer.body()).map_err(|error| format!("no JSON: {error}"))?;
    match refusal(&value) {
        None => Ok(value),
        Some(problems) => Err(problems),
    }
}
