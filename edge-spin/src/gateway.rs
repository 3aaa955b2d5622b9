//! What an instance is: its config, who there is, what it has learned.

use crate::clock::Clock;
use crate::ledger::Ledger;
use crate::settings::{Reread, Settings};
use crate::trouble;
use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::sync::Arc;
use tollgate_core::config::Config;
use tollgate_core::count::Gauge;
use tollgate_core::directory::Directory;
use tollgate_core::fleet::Fleet;
use tollgate_core::metrics::Metrics;
use tollgate_core::units::{Millis, Time};
use tollgate_edge::document::Problem;
use tollgate_edge::random::Random;

/// How old a config becomes before it is read again.
const FRESH: Millis = Millis::from_secs(3);

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
    settings: RefCell<Rc<Settings>>,
    directory: RefCell<Directory>,
    /// When the settings were last read.
    read: Cell<Time>,
    told: RefCell<Option<Problem>>,
}

impl Gateway {
    /// The instance's gateway, by settings that are seconds old at most. An error says what to change
    /// where; as long as there is one, an instance that has run goes on as it was.
    pub(crate) async fn current() -> Result<Rc<Self>, Problem> {
        let known = INSTANCE.with_borrow(Clone::clone);
        match known {
            Some(gateway) => {
                gateway.refresh().await;
                Ok(gateway)
            }
            None => {
                let gateway = Rc::new(Self::begin().await?);
                INSTANCE.set(Some(Rc::clone(&gateway)));
                Ok(gateway)
            }
        }
    }

    async fn begin() -> Result<Self, Problem> {
        let clock = Clock::start();
        let settings = Settings::read().await.inspect_err(|problem| trouble::say(&problem.0))?;
        let directory = Directory::of(&settings.config);
        let ledger = chosen(&settings, clock).await.inspect_err(|problem| trouble::say(&problem.0))?;
        Ok(Self {
            random: Random::seeded(trouble::entropy()?),
            gauge: Arc::default(),
            fleet: RefCell::default(),
            metrics: RefCell::default(),
            ledger: RefCell::new(Rc::new(ledger)),
            settings: RefCell::new(Rc::new(settings)),
            directory: RefCell::new(directory),
            read: Cell::new(clock.now()),
            told: RefCell::default(),
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
                trouble::say(&format!("the new config is refused, the old one stays: {problem}"));
            }
        }
    }

    /// Reads the settings again and takes them up, if anything has changed.
    pub(crate) async fn reload(&self) -> Result<(), Problem> {
        let known = self.settings();
        if let Reread::New(settings) = known.reread().await? {
            if settings.ledger != known.ledger || settings.redis != known.redis {
                let ledger = chosen(&settings, self.clock).await?;
                self.ledger.replace(Rc::new(ledger));
            }
            self.directory.borrow_mut().reseat(&settings.config);
            self.settings.replace(Rc::from(settings));
        }
        self.told.replace(None);
        Ok(())
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

async fn chosen(settings: &Settings, clock: Clock) -> Result<Ledger, Problem> {
    let ledger = Ledger::choose(settings, clock, trouble::entropy()?).await?;
    if let Some(shortcoming) = ledger.shortcoming() {
        trouble::say(shortcoming);
    }
    Ok(ledger)
}
