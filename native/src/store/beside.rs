//! The store for a program that does not serve: it changes who there is, also while a gateway has the
//! file, and nothing else.
//!
//! ```text
//!   nobody has the file ──▶ claimed for as long as it takes
//!   a gateway has it ─────▶ beside it: one transaction, which the gateway hears of by the audit log
//! ```
//! 1. A change and its line in the audit log are one transaction, decided on what stands there then.
//! 2. The ledger's books are the gateway's alone and are not touched.
//! 3. Reading makes no file and takes no lock.

use super::audit::{self, Seal};
use super::entities::{self, Read, SetAside};
use super::news::News;
use super::place::{MEMORY, Place, beside};
use super::schema;
use super::stamps;
use super::trouble::{Problem, StoreError, Unopened};
use rusqlite::{Connection, TransactionBehavior};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};
use tollgate_core::api::{Change, Commit, Plan};

/// How long to wait for whoever has just made the file to put it in order, and for other writers.
const PATIENCE: Duration = Duration::from_secs(5);

const BETWEEN_TRIES: Duration = Duration::from_millis(20);

/// Who there is, as of a line of the audit log.
#[derive(Debug, Default)]
pub struct Snapshot {
    /// Who there is.
    pub entities: Vec<Change>,
    /// What could not be understood. It stays where it is.
    pub malformed: Vec<SetAside>,
    /// The line.
    pub line: u64,
}

/// Whether a gateway has the file too.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Company {
    /// Nobody has it.
    Alone,
    /// A gateway has, and will hear of changes.
    Gateway,
}

/// A store that may be changed.
#[derive(Debug)]
pub struct Beside {
    connection: Connection,
    seal: Seal,
    /// Given up after the connection is closed.
    place: Option<Place>,
}

/// Who there is. A file that is not there holds nobody.
pub fn read(path: &str) -> Result<Snapshot, Problem> {
    if path == MEMORY || !Path::new(path).exists() {
        return Ok(Snapshot::default());
    }
    let Some(connection) = schema::guest(Path::new(path))? else { return Ok(Snapshot::default()) };
    snapshot(&connection).map_err(|error| problem(path, error))
}

impl Beside {
    /// Opens a file, and makes it if there is none. Blocks, five seconds at most.
    pub fn open(path: &str, seal: Seal) -> Result<Self, Problem> {
        if path == MEMORY {
            return Err(Problem(format!(
                "store.path is {MEMORY:?}: expected a file, since this would be gone at once\n  fix: set store.path to a file, or use --url to change a gateway that runs"
            )));
        }
        let file = PathBuf::from(path);
        let give_up = Instant::now() + PATIENCE;
        loop {
            let opened = match Place::claim(path, Duration::ZERO) {
                Ok(place) => Some(Self {
                    connection: schema::writer(Some(&file)).map_err(Unopened::into_problem)?,
                    seal,
                    place: Some(place),
                }),
                Err(taken) => match schema::guest(&file)? {
                    Some(connection) => Some(Self { connection, seal, place: None }),
                    // Without a lock there is nobody who could be about to make the file.
                    None if Instant::now() >= give_up || !beside(&file, ".lock").exists() => {
                        return Err(taken.into_problem());
                    }
                    None => None,
                },
            };
            if let Some(opened) = opened {
                opened.connection.busy_timeout(PATIENCE).map_err(|error| problem(path, error))?;
                return Ok(opened);
            }
            std::thread::sleep(BETWEEN_TRIES);
        }
    }

    /// Whether a gateway has it too.
    pub fn company(&self) -> Company {
        match self.place {
            Some(_) => Company::Alone,
            None => Company::Gateway,
        }
    }

    /// Who there is.
    pub fn snapshot(&self) -> Result<Snapshot, StoreError> {
        Ok(snapshot(&self.connection)?)
    }

    /// Does what `plan` says once it is told what has changed since a line of the audit log; nobody
    /// else writes in between. A commit is on the disk when this returns, and its answer is given back;
    /// anything else is given back as it is, and nothing has changed.
    pub fn perform(&mut self, since: u64, plan: impl FnOnce(&[Change]) -> Plan) -> Result<Plan, StoreError> {
        self.connection.pragma_update(None, "synchronous", "full")?;
        let transaction = self.connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        let news = News::since(&transaction, since)?;
        let planned = plan(&news.changes);
        let Plan::Commit(commit) = planned else { return Ok(planned) };
        let Commit { changes, deed, answer } = *commit;
        for change in &changes {
            entities::write(&transaction, change)?;
            stamps::mark(&transaction, change, deed.at)?;
        }
        audit::write(&transaction, self.seal, &deed)?;
        transaction.commit()?;
        Ok(Plan::Answer(answer))
    }
}

fn snapshot(connection: &Connection) -> Result<Snapshot, rusqlite::Error> {
    let moment = connection.unchecked_transaction()?;
    let line = News::last(&moment)?;
    let Read { entities, malformed } = entities::read(&moment)?;
    let malformed = malformed.into_iter().map(|malformed| malformed.what).collect();
    moment.commit()?;
    Ok(Snapshot { entities, malformed, line })
}

fn problem(path: &str, error: rusqlite::Error) -> Problem {
    Problem(format!("{path}: {}", StoreError::from(error)))
}
