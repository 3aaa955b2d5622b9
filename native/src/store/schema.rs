//! The tables, and how an older database becomes one of today.

use super::backfill::{self, Left};
use super::place::beside;
use super::trouble::{Problem, Unopened};
use rusqlite::{Connection, OpenFlags};
use std::path::Path;
use std::time::Duration;

/// What each version adds to the one before. A version that has been released is never changed. They are run
/// at the start, before anything is served, so none may take longer the more requests there are: that is
/// [`backfill`]'s.
const MIGRATIONS: [&str; 7] = [
    include_str!("schema/1.sql"),
    include_str!("schema/2.sql"),
    include_str!("schema/3.sql"),
    include_str!("schema/4.sql"),
    include_str!("schema/5.sql"),
    include_str!("schema/6.sql"),
    include_str!("schema/7.sql"),
];

/// Marks a database as a gateway's: `tgat`.
const APPLICATION: i64 = 0x7467_6174;

/// How long to wait for another program that writes, such as a backup. Not longer: everything else
/// that is to be written waits behind it.
const BUSY: Duration = Duration::from_secs(1);

const CACHED_STATEMENTS: usize = 64;

/// The connection that writes. The tables are there when it returns.
pub(super) fn writer(path: Option<&Path>) -> Result<Connection, Unopened> {
    let shown = path.map_or(super::place::MEMORY.into(), Path::to_string_lossy);
    let connect = || -> Result<Connection, rusqlite::Error> {
        let connection = match path {
            Some(path) => Connection::open(path)?,
            None => Connection::open_in_memory()?,
        };
        prepare(&connection)?;
        if path.is_some() {
            connection.pragma_update(None, "journal_mode", "wal")?;
        } else {
            connection.pragma_update(None, "temp_store", "memory")?;
        }
        Ok(connection)
    };
    let connection = connect().map_err(|error| cannot(&shown, error))?;
    migrate(&connection, &shown)?;
    Ok(connection)
}

/// A connection to a file that another process has made and keeps in order. None where it has not come
/// to that yet.
pub(super) fn guest(path: &Path) -> Result<Option<Connection>, Problem> {
    let shown = path.to_string_lossy();
    let connect = || -> Result<(Connection, Found), rusqlite::Error> {
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let connection = Connection::open_with_flags(path, flags)?;
        prepare(&connection)?;
        let found = Found::read(&connection)?;
        Ok((connection, found))
    };
    if !path.exists() {
        return Ok(None);
    }
    let (connection, found) = connect().map_err(|error| cannot(&shown, error).into_problem())?;
    if found.tables == 0 {
        return Ok(None);
    }
    found.check(&shown)?;
    if usize::try_from(found.version).is_ok_and(|version| version == MIGRATIONS.len()) {
        return Ok(Some(connection));
    }
    Err(Problem(format!(
        "{shown}: an older gateway has it open, with schema {} where this program has {}\n  fix: use that gateway's own program, or --url with its admin API",
        found.version,
        MIGRATIONS.len()
    )))
}

/// A connection that only reads.
pub(super) fn reader(path: &Path) -> Result<Connection, rusqlite::Error> {
    let connection = Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_ONLY)?;
    prepare(&connection)?;
    Ok(connection)
}

fn prepare(connection: &Connection) -> Result<(), rusqlite::Error> {
    connection.busy_timeout(BUSY)?;
    connection.set_prepared_statement_cache_capacity(CACHED_STATEMENTS);
    connection.pragma_update(None, "synchronous", "normal")?;
    connection.pragma_update(None, "foreign_keys", "on")
}

/// A connection to a store that this process does not write to, and whose place may be read-only.
pub(super) fn look(path: &Path) -> Result<Connection, rusqlite::Error> {
    let look = |connection: Connection| Found::read(&connection).map(|_| connection);
    let plain = reader(path).and_then(look);
    // Beside a database that was closed there is no log, and none can be made: then it is read as it
    // stands. With a log, that would show what has been changed since.
    let log = std::fs::metadata(beside(path, "-wal"));
    if plain.is_ok() || log.is_ok_and(|log| log.len() > 0) {
        return plain;
    }
    let escaped = path.to_string_lossy().replace('%', "%25").replace('?', "%3f").replace('#', "%23");
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_URI;
    Connection::open_with_flags(format!("file:{escaped}?immutable=1"), flags).and_then(look)
}

/// Whether a database that is only read is one of ours, with tables that this program knows.
pub(super) fn is_known(connection: &Connection, shown: &str) -> Result<bool, Unopened> {
    let found = check(connection, shown)?;
    Ok(usize::try_from(found.version).is_ok_and(|version| version == MIGRATIONS.len()))
}

fn migrate(connection: &Connection, shown: &str) -> Result<(), Unopened> {
    let found = check(connection, shown)?;
    let missing = usize::try_from(found.version).ok().and_then(|version| MIGRATIONS.get(version..));
    let missing = missing.unwrap_or_default();
    let run = || -> Result<(), rusqlite::Error> {
        for (step, sql) in missing.iter().enumerate() {
            let version = found.version + i64::try_from(step).unwrap_or_default() + 1;
            let transaction = connection.unchecked_transaction()?;
            transaction.execute_batch(sql)?;
            transaction.pragma_update(None, "application_id", APPLICATION)?;
            transaction.pragma_update(None, "user_version", version)?;
            transaction.commit()?;
        }
        Ok(())
    };
    let run = || -> Result<(), rusqlite::Error> {
        run()?;
        // A database that has just been made has nothing that could take long.
        while found.tables == 0 && backfill::step(connection)? == Left::More {}
        Ok(())
    };
    run().map_err(|error| cannot(shown, error))
}

/// Whether it may be used at all.
fn check(connection: &Connection, shown: &str) -> Result<Found, Unopened> {
    let found = Found::read(connection).map_err(|error| cannot(shown, error))?;
    found.check(shown).map_err(Unopened::Never)?;
    Ok(found)
}

/// What a database says of itself.
struct Found {
    version: i64,
    application: i64,
    tables: i64,
}

impl Found {
    fn read(connection: &Connection) -> Result<Self, rusqlite::Error> {
        let number = |sql| connection.query_row(sql, [], |row| row.get::<_, i64>(0));
        Ok(Self {
            version: number("PRAGMA user_version")?,
            application: number("PRAGMA application_id")?,
            tables: number("SELECT count(*) FROM sqlite_schema")?,
        })
    }

    /// The steps from there to today. A newer program's database, or another's, is a problem.
    fn check(&self, shown: &str) -> Result<&'static [&'static str], Problem> {
        let known = MIGRATIONS.len();
        let Some(missing) = usize::try_from(self.version).ok().and_then(|version| MIGRATIONS.get(version..))
        else {
            return Err(Problem(format!(
                "{shown}: has schema {}, and this program knows none after {known}: a newer one has written it\n  fix: run that one, or set store.path to another file",
                self.version
            )));
        };
        if self.is_foreign() {
            return Err(Problem(format!(
                "{shown}: is a database of another program\n  fix: set store.path to a file of the gateway's own"
            )));
        }
        Ok(missing)
    }

    fn is_foreign(&self) -> bool {
        self.tables > 0 && self.application != APPLICATION
    }
}

fn cannot(shown: &str, error: rusqlite::Error) -> Unopened {
    Unopened::database(shown, error, "make it writable, or set store.path to another file")
}
