//! What an instance is: its config, who there is, what it has learned.

use crate::alert;
use crate::clock::Clock;
use crate::desk::{Desk, Everybody};
use crate::issuers::Issuers;
use crate::last;
use crate::ledger::{Ledger, Lost};
use crate::settings::{Begun, Reread, Settings};
use crate::timer::patiently;
use crate::trouble;
use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::sync::Arc;
use tollgate_core::config::Config;
use tollgate_core::count::Gauge;
use tollgate_core::directory::Directory;
use tollgate_core::fleet::Fleet;
use tollgate_core::ledger::Warning;
use tollgate_core::metrics::Metrics;
use tollgate_core::units::{Millis, Time};
use tollgate_edge::document::Problem;
use tollgate_edge::office::Unkept;
use tollgate_edge::random::Random;

/// How old a config becomes before it is read again.
const FRESH: Millis = Millis::from_secs(3);

/// How long an instance waits for its first look at who is stored.
const FIRST_LOOK: Millis = Millis::from_secs(1);

/// Between two sweeps of the ledger by one instance.
const UPKEEP: Millis = Millis::from_secs(20);

thread_local! {
    /// The instance's. Nothing in it waits for another request: a request's tasks are woken by what they
    /// have asked the platform for, and by nothing else.
    static INSTANCE: RefCell<Option<Rc<Gateway>>> = const { RefCell::new(None) };
}

/// What all requests of an instance share.
pub(crate) struct Gateway {
    /// The time.
    pub(crate) clock: Clock,
    /// Names and load.
    pub(crate) random: Random,
    /// How bytes become tokens.
    pub(crate) gauge: Arc<Gauge>,
    /// What has been learned of the upstreams.
    pub(crate) fleet: RefCell<Fleet>,
    /// What this instance has counted.
    pub(crate) metrics: RefCell<Metrics>,
    /// Where limits are kept.
    ledger: RefCell<Rc<Ledger>>,
    /// Who is stored, what was done and spent.
    pub(crate) desk: Desk,
    /// Whose keys were asked for.
    pub(crate) issuers: Issuers,
    settings: RefCell<Rc<Settings>>,
    directory: RefCell<Directory>,
    /// When the settings were last read.
    read: Cell<Time>,
    /// What is wrong with the config that is there now.
    told: RefCell<Option<Problem>>,
    /// Whether somebody reads who is stored, and whether that was ever read.
    looks_up: Cell<bool>,
    knows: Cell<bool>,
    /// When the ledger was last swept.
    kept_up: Cell<Time>,
    /// Budgets that have passed their threshold.
    untold: RefCell<Vec<Warning>>,
}

impl Gateway {
    /// The instance's gateway, by settings that are seconds old at most. An error says what to change
    /// where; as long as there is one, an instance that has run goes on as it was.
    pub(crate) async fn current() -> Result<Rc<Self>, Problem> {
        let known = INSTANCE.with_borrow(Clone::clone);
        let gateway = match known {
            Some(gateway) => {
                gateway.refresh().await;
                gateway
            }
            None => {
                let gateway = Rc::new(Self::begin().await?);
                INSTANCE.set(Some(Rc::clone(&gateway)));
                gateway
            }
        };
        gateway.look_up().await;
        Ok(gateway)
    }

    /// Catches up within the patience. What cannot be read now has been read before, or its keys are told
    /// to come back.
    async fn look_up(self: &Rc<Self>) {
        if self.looks_up.get() {
            // A store that is that late is not waited for again.
            return;
        }
        let patience = if self.knows.get() { self.settings().patience } else { FIRST_LOOK };
        let gateway = Rc::clone(self);
        let look = async move {
            gateway.looks_up.set(true);
            let outcome = gateway.catch_up().await;
            gateway.looks_up.set(false);
            gateway.knows.set(outcome.is_ok() || gateway.knows.get());
            outcome
        };
        match patiently(patience, look).await {
            Some(Ok(()) | Err(Unkept::Behind)) => {}
            Some(Err(Unkept::Gone(why))) => trouble::say(&format!("who is stored cannot be read: {why}")),
            None => trouble::say("who is stored cannot be read: the store takes too long"),
        }
    }

    /// Brings the directory up to what is stored.
    pub(crate) async fn catch_up(&self) -> Result<(), Unkept> {
        let news = self.desk.news().await?;
        let config = self.config();
        let mut directory = self.directory.borrow_mut();
        if let Some(Everybody { entities, had_keys }) = news {
            // Those who are gone are not in it.
            *directory = Directory::of(&config);
            for change in &entities {
                if let Err(aside) = directory.apply(change, &config) {
                    let (kind, name) = (aside.kind.name(), &aside.name);
                    trouble::say(&format!("{kind}:{name} is stored, cannot be used and is left out"));
                }
            }
            if had_keys {
                directory.close();
            }
        }
        directory.heard_others();
        Ok(())
    }

    async fn begin() -> Result<Self, Problem> {
        let clock = Clock::start();
        let begun = Settings::begin().await.inspect_err(|problem| trouble::say(&problem.0))?;
        let Begun { settings, refused } = begun;
        if let Some(problem) = &refused {
            trouble::say(&stays(problem));
        }
        let mut directory = Directory::of(&settings.config);
        let desk = Desk::open().await.inspect_err(|problem| trouble::say(&problem.0))?;
        if let Some(shortcoming) = desk.shortcoming() {
            trouble::say(&shortcoming);
        }
        if !desk.is_closed() {
            directory.await_others();
        }
        let ledger = chosen(&settings, clock).await.inspect_err(|problem| trouble::say(&problem.0))?;
        last::keep(settings.text()).await;
        Ok(Self {
            random: Random::seeded(trouble::entropy()?),
            gauge: Arc::default(),
            fleet: RefCell::default(),
            metrics: RefCell::default(),
            ledger: RefCell::new(Rc::new(ledger)),
            desk,
            issuers: Issuers::default(),
            settings: RefCell::new(Rc::new(settings)),
            directory: RefCell::new(directory),
            read: Cell::new(clock.now()),
            told: RefCell::new(refused),
            looks_up: Cell::default(),
            knows: Cell::default(),
            kept_up: Cell::new(clock.now()),
            untold: RefCell::default(),
            clock,
        })
    }

    async fn refresh(&self) {
        let now = self.clock.now();
        if now.since(self.read.get()) < FRESH {
            return;
        }
        // Before it is read, so that others who come meanwhile do not read it too.
        self.read.set(now);
        if let Err(problem) = self.reload().await {
            let known = self.told.replace(Some(problem.clone()));
            if known.as_ref() != Some(&problem) {
                trouble::say(&stays(&problem));
            }
        }
    }

    /// Reads the settings again and takes them up, if anything has changed.
    pub(crate) async fn reload(&self) -> Result<(), Problem> {
        let known = self.settings();
        if let Reread::New(settings) = known.reread().await? {
            let ledger = |settings: &Settings| {
                let Settings { config, ledger, redis, patience, .. } = settings;
                (*ledger, redis.clone(), *patience, config.store.fail, config.store.namespace.clone())
            };
            if ledger(&settings) != ledger(&known) {
                let ledger = chosen(&settings, self.clock).await?;
                self.ledger.replace(Rc::new(ledger));
            }
            self.directory.borrow_mut().reseat(&settings.config);
            let settings: Rc<Settings> = Rc::from(settings);
            self.settings.replace(Rc::clone(&settings));
            last::keep(settings.text()).await;
        }
        self.told.replace(None);
        Ok(())
    }

    /// What does not hold as it should, in words.
    pub(crate) fn shortcoming(&self) -> Option<String> {
        let refused = self.told.borrow().as_ref().map(stays);
        let ledger = self.ledger().shortcoming().map(str::to_owned);
        refused
            .into_iter()
            .chain(ledger)
            .chain(self.desk.shortcoming())
            .reduce(|all, more| format!("{all}; {more}"))
    }

    /// Budgets have passed their threshold: their owners are told when nobody waits for it.
    pub(crate) fn warn(&self, warnings: Vec<Warning>) {
        self.untold.borrow_mut().extend(warnings);
    }

    /// Tells the owners of budgets that have passed their threshold.
    pub(crate) async fn ring(&self) {
        let warnings = std::mem::take(&mut *self.untold.borrow_mut());
        for warning in &warnings {
            alert::ring(warning, &self.config(), self.clock).await;
        }
    }

    /// Now and then ends what no request comes by to end.
    pub(crate) async fn upkeep(&self) {
        let now = self.clock.now();
        if now.since(self.kept_up.get()) < UPKEEP {
            return;
        }
        self.kept_up.set(now);
        match self.ledger().upkeep().await {
            Ok(warnings) => self.warn(warnings),
            Err(Lost(why)) => trouble::say(&format!("the ledger cannot be swept: {why}")),
        }
    }

    /// By what it runs.
    pub(crate) fn settings(&self) -> Rc<Settings> {
        Rc::clone(&self.settings.borrow())
    }

    /// Where limits are kept.
    pub(crate) fn ledger(&self) -> Rc<Ledger> {
        Rc::clone(&self.ledger.borrow())
    }

    /// The config for requests that come now.
    pub(crate) fn config(&self) -> Arc<Config> {
        Arc::clone(&self.settings.borrow().config)
    }

    /// Who there is. Not kept across an await.
    pub(crate) fn with_directory<R>(&self, act: impl FnOnce(&mut Directory) -> R) -> R {
        act(&mut self.directory.borrow_mut())
    }
}

fn stays(problem: &Problem) -> String {
    format!("the new config is refused, the old one stays: {problem}")
}

async fn chosen(settings: &Settings, clock: Clock) -> Result<Ledger, Problem> {
    let ledger = Ledger::choose(settings, clock, trouble::entropy()?).await?;
    if let Some(shortcoming) = ledger.shortcoming() {
        trouble::say(shortcoming);
    }
    Ok(ledger)
}
