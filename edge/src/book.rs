//! A book: the ledger of one organisation, kept in SQL by whoever is alone with it.
//!
//! ```text
//!   order ─▶ barred? ─▶ core's ledger ─▶ note ─▶ reply        no note: nothing was given
//!   now and then:  what has changed ─▶ staged ─▶ one statement: accounts, open entries, notes dropped
//!   start:         accounts ─▶ open entries ─▶ notes after them
//! ```
//! 1. What was given is noted first: an object that is let go of at any moment finds it again.
//! 2. A settlement is never refused, and the same one twice is one.
//! 3. Accounts and the notes that are in them change by one statement. What was staged for one that did
//!    not happen is gone at the next start, and offered again until then.
//! 4. Open entries outlive the object. They belong to requests that run elsewhere, and end with their
//!    leases if nobody ends them.

#[cfg(test)]
mod tests;

use crate::lease;
use crate::sql::{Failed, Row, Sql, Value};
use tollgate_core::exchange::RequestId;
use tollgate_core::fault::Code;
use tollgate_core::ledger::{
    Changed, Entry, Held, Ledger, Limited, Note, Order, Read, Refusal, Reply, Report, Settlement, Standing,
    Stored, Warning,
};
use tollgate_core::sort::Map;
use tollgate_core::units::{Millis, Time};

/// When to come back after a hold could not be noted.
const RETRY: Millis = Millis::from_secs(1);

/// Rows of one answer.
const BATCH: usize = 500;

/// Makes the tables.
const TABLES: [&str; 7] = [
    "CREATE TABLE IF NOT EXISTS notes (seq INTEGER PRIMARY KEY AUTOINCREMENT, note BLOB NOT NULL)",
    "CREATE TABLE IF NOT EXISTS accounts (scope TEXT PRIMARY KEY NOT NULL, state BLOB NOT NULL) WITHOUT ROWID",
    "CREATE TABLE IF NOT EXISTS open_entries (id TEXT PRIMARY KEY NOT NULL, state BLOB NOT NULL) WITHOUT ROWID",
    "CREATE TABLE IF NOT EXISTS barred (key TEXT PRIMARY KEY NOT NULL, code TEXT NOT NULL) WITHOUT ROWID",
    // What the next checkpoint puts in place; without a state it takes out.
    "CREATE TABLE IF NOT EXISTS staged (
        place TEXT NOT NULL, name TEXT NOT NULL, state BLOB, PRIMARY KEY (place, name)) WITHOUT ROWID",
    "CREATE VIEW IF NOT EXISTS checkpoints AS SELECT max(seq) AS upto FROM notes",
    "CREATE TRIGGER IF NOT EXISTS checkpoints_are_made INSTEAD OF INSERT ON checkpoints BEGIN
        DELETE FROM accounts WHERE scope IN (SELECT name FROM staged WHERE place = 'account');
        INSERT INTO accounts SELECT name, state FROM staged WHERE place = 'account' AND state IS NOT NULL;
        DELETE FROM open_entries WHERE id IN (SELECT name FROM staged WHERE place = 'entry');
        INSERT INTO open_entries SELECT name, state FROM staged WHERE place = 'entry' AND state IS NOT NULL;
        DELETE FROM notes WHERE seq <= new.upto;
        DELETE FROM staged;
    END",
];

const NOTES: &str = "SELECT seq, note FROM notes WHERE seq > ? ORDER BY seq LIMIT 500";
const ACCOUNTS: &str = "SELECT scope, state FROM accounts WHERE scope > ? ORDER BY scope LIMIT 500";
const ENTRIES: &str = "SELECT id, state FROM open_entries WHERE id > ? ORDER BY id LIMIT 500";
const STAGE: &str = "INSERT OR REPLACE INTO staged VALUES (?, ?, ?)";

/// The ledger of one organisation and what keeps it.
#[derive(Debug)]
pub struct Book<S> {
    sql: S,
    ledger: Ledger,
    /// Keys that are refused, whatever their limits.
    barred: Map<String, Code>,
    /// The last note.
    noted: u64,
    /// Changes that are not stored yet, and the note they are up to.
    due: Option<Due>,
    freshness: Freshness,
}

#[derive(Debug)]
struct Due {
    changed: Changed,
    upto: u64,
}

/// Whether what is stored is what is here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Freshness {
    Stored,
    Changed,
}

/// A book that was opened.
#[derive(Debug)]
pub struct Opened<S> {
    /// The book.
    pub book: Book<S>,
    /// What could not be understood and was left out, in words.
    pub garbled: Vec<String>,
}

impl<S: Sql> Book<S> {
    /// Makes the tables that are not there, and takes up what is in them.
    pub async fn open(sql: S) -> Result<Opened<S>, Failed> {
        for text in TABLES {
            sql.run(text, Vec::new()).await?;
        }
        sql.run("DELETE FROM staged", Vec::new()).await?;
        let mut book = Self {
            sql,
            ledger: Ledger::default(),
            barred: Map::new(),
            noted: 0,
            due: None,
            freshness: Freshness::Stored,
        };
        let mut garbled = Vec::new();
        book.take_up_accounts(&mut garbled).await?;
        book.take_up_entries(&mut garbled).await?;
        book.take_up_notes(&mut garbled).await?;
        book.take_up_barred().await?;
        Ok(Opened { book, garbled })
    }

    /// Does what is asked. Fails where what is to outlive the object could not be kept; then it may be
    /// asked again.
    pub async fn serve(&mut self, order: Order, now: Time) -> Result<Reply, Failed> {
        match order {
            Order::Reserve { key, entry } => self.reserve(&key, *entry, now).await,
            Order::Lease { key, entry, spares } => {
                let first = self.reserve(&key, *entry.clone(), now).await?;
                let Reply::Held(held) = first else { return Ok(first) };
                Ok(Reply::Leased(self.lease(&key, &entry, held, spares, now).await?))
            }
            Order::Return { spares } => {
                for id in spares {
                    self.settle(id, Settlement::Return, now).await?;
                }
                Ok(Reply::Done)
            }
            Order::Settle { id, settlement } => Ok(Reply::Settled(self.settle(id, settlement, now).await?)),
            Order::Report { scopes } => {
                Ok(Reply::Reports(scopes.iter().map(|scope| self.ledger.report(scope, now)).collect()))
            }
            Order::Bar { key, with } => self.bar(key, with).await,
            Order::Forget { scopes } => {
                self.ledger.forget_all(&scopes.iter().map(String::as_str).collect::<Vec<_>>());
                self.freshness = Freshness::Changed;
                Ok(Reply::Done)
            }
            Order::Credit { scope, budget, spent } => {
                self.note(&Note::Credited { scope: scope.clone(), budget: budget.clone(), spent, at: now })
                    .await?;
                self.ledger.credit(&scope, &budget, spent, now);
                Ok(Reply::Done)
            }
        }
    }

    /// Ends what is over, and stores what has changed. Fails where it could not be stored; nothing is
    /// lost by that.
    pub async fn checkpoint(&mut self, now: Time) -> Result<(), Failed> {
        // What had to be told of these has been: there is nobody here to tell.
        drop(self.ledger.sweep(now));
        if self.ledger.has_emptied() {
            self.freshness = Freshness::Changed;
        }
        if let Some(due) = self.due.take() {
            self.store(due).await?;
        }
        if self.freshness == Freshness::Changed {
            self.freshness = Freshness::Stored;
            let due = Due { changed: self.ledger.take_changed(), upto: self.noted };
            self.store(due).await?;
        }
        Ok(())
    }

    /// Whether there is anything that [`Book::checkpoint`] would store.
    pub fn is_stored(&self) -> bool {
        self.freshness == Freshness::Stored && self.due.is_none()
    }

    /// When the first lease of an open entry is over.
    pub fn next_lease(&self) -> Option<Time> {
        self.ledger.next_lease()
    }

    async fn reserve(&mut self, key: &str, entry: Entry, now: Time) -> Result<Reply, Failed> {
        if let Some(code) = self.barred.get(key) {
            return Ok(Reply::Refused(barred(key, *code)));
        }
        let known = self.ledger.is_open(entry.id);
        let hold = match self.ledger.reserve(entry, now) {
            Ok(hold) => hold,
            Err(refusal) => return Ok(Reply::Refused(refusal)),
        };
        let (id, held) = (hold.id(), Held::of(&hold));
        let (output, closed) = (hold.output, hold.closed);
        let note = Note::Reserved { entry: Box::new(hold.entry), output, closed, at: now };
        if !known && self.note(&note).await.is_err() {
            // Nothing was sent, so nothing can warn.
            self.ledger.settle_entry(id, &Settlement::Release, now);
            self.freshness = Freshness::Changed;
            return Ok(Reply::Refused(Refusal::Unavailable { retry_after: RETRY }));
        }
        Ok(Reply::Held(held))
    }

    /// As many more as there is ample room for, after the first.
    async fn lease(
        &mut self,
        key: &str,
        entry: &Entry,
        first: Held,
        spares: Vec<RequestId>,
        now: Time,
    ) -> Result<Vec<Held>, Failed> {
        let mut all = vec![first];
        for id in spares {
            let claims = entry.claims.iter();
            let reports: Vec<Report> = claims.map(|claim| self.ledger.report(&claim.scope, now)).collect();
            if !lease::is_ample(&reports) {
                break;
            }
            match self.reserve(key, Entry { id, ..entry.clone() }, now).await? {
                Reply::Held(held) => all.push(held),
                Reply::Refused(_)
                | Reply::Leased(_)
                | Reply::Settled(_)
                | Reply::Reports(_)
                | Reply::Done => break,
            }
        }
        Ok(all)
    }

    /// What is in memory is right already when the note fails, and is so again in the next life by the
    /// entry's lease; whoever asks once more is then told that it has ended.
    async fn settle(
        &mut self,
        id: RequestId,
        settlement: Settlement,
        now: Time,
    ) -> Result<Vec<Warning>, Failed> {
        if !self.ledger.is_open(id) {
            return Ok(self.ledger.settle_entry(id, &settlement, now));
        }
        self.note(&Note::Settled { id, settlement, at: now }).await?;
        Ok(self.ledger.settle_entry(id, &settlement, now))
    }

    async fn bar(&mut self, key: String, with: Option<Code>) -> Result<Reply, Failed> {
        match with {
            Some(code) => {
                let values = vec![key.as_str().into(), code.code().into()];
                self.sql.run("INSERT OR REPLACE INTO barred VALUES (?, ?)", values).await?;
                self.barred.insert(key, code);
            }
            None if self.barred.contains_key(&key) => {
                self.sql.run("DELETE FROM barred WHERE key = ?", vec![key.as_str().into()]).await?;
                self.barred.remove(&key);
            }
            None => {}
        }
        Ok(Reply::Done)
    }

    async fn note(&mut self, note: &Note) -> Result<(), Failed> {
        let mut bytes = Vec::new();
        note.write(&mut bytes);
        let text = "INSERT INTO notes (note) VALUES (?) RETURNING seq";
        let rows = self.sql.run(text, vec![Value::Blob(bytes)]).await?;
        self.noted = rows.into_iter().next().and_then(|mut row| row.number()).unwrap_or(self.noted);
        self.freshness = Freshness::Changed;
        Ok(())
    }

    async fn store(&mut self, due: Due) -> Result<(), Failed> {
        let stored = self.stage(&due).await;
        if stored.is_err() {
            self.due = Some(due);
        }
        stored
    }

    async fn stage(&self, Due { changed, upto }: &Due) -> Result<(), Failed> {
        let Changed { stored, ended, emptied } = changed;
        let put = |place: &str, name: String, state: Value| vec![place.into(), Value::Text(name), state];
        for id in ended {
            self.sql.run(STAGE, put("entry", id.to_string(), Value::Null)).await?;
        }
        for scope in emptied {
            self.sql.run(STAGE, put("account", scope.clone(), Value::Null)).await?;
        }
        for one in stored {
            let values = match one {
                Stored::Account { scope, state } => put("account", scope.clone(), Value::Blob(state.clone())),
                Stored::Open { id, state } => put("entry", id.to_string(), Value::Blob(state.clone())),
            };
            self.sql.run(STAGE, values).await?;
        }
        self.sql.run("INSERT INTO checkpoints (upto) VALUES (?)", vec![(*upto).into()]).await.map(drop)
    }

    async fn take_up_accounts(&mut self, garbled: &mut Vec<String>) -> Result<(), Failed> {
        let mut last = String::new();
        loop {
            let rows = self.sql.run(ACCOUNTS, vec![Value::Text(last.clone())]).await?;
            let end = rows.len() < BATCH;
            for mut row in rows {
                last = row.text().unwrap_or_default();
                let state = row.bytes().unwrap_or_default();
                self.restore(&Stored::Account { scope: last.clone(), state }, garbled);
            }
            if end {
                return Ok(());
            }
        }
    }

    async fn take_up_entries(&mut self, garbled: &mut Vec<String>) -> Result<(), Failed> {
        let mut last = String::new();
        loop {
            let rows = self.sql.run(ENTRIES, vec![Value::Text(last.clone())]).await?;
            let end = rows.len() < BATCH;
            for mut row in rows {
                last = row.text().unwrap_or_default();
                let state = row.bytes().unwrap_or_default();
                match RequestId::parse(&last) {
                    Some(id) => self.restore(&Stored::Open { id, state }, garbled),
                    None => garbled.push(format!("the open entry {last:?} has no name")),
                }
            }
            if end {
                return Ok(());
            }
        }
    }

    fn restore(&mut self, stored: &Stored, garbled: &mut Vec<String>) {
        if let Err(wrong) = self.ledger.restore(stored) {
            let name = match stored {
                Stored::Account { scope, .. } => scope.clone(),
                Stored::Open { id, .. } => id.to_string(),
            };
            garbled.push(format!("{name}: {}", wrong.what));
        }
    }

    async fn take_up_notes(&mut self, garbled: &mut Vec<String>) -> Result<(), Failed> {
        loop {
            let rows = self.sql.run(NOTES, vec![self.noted.into()]).await?;
            let end = rows.len() < BATCH;
            for row in rows {
                self.replay(row, garbled);
                self.freshness = Freshness::Changed;
            }
            if end {
                return Ok(());
            }
        }
    }

    fn replay(&mut self, mut row: Row, garbled: &mut Vec<String>) {
        self.noted = row.number().unwrap_or(self.noted);
        match Note::read(&row.bytes().unwrap_or_default()) {
            Ok(Some(Read { note, .. })) => self.ledger.replay(&note),
            Ok(None) => garbled.push(format!("note {}: its end is missing", self.noted)),
            Err(wrong) => garbled.push(format!("note {}: {}", self.noted, wrong.what)),
        }
    }

    async fn take_up_barred(&mut self) -> Result<(), Failed> {
        for mut row in self.sql.run("SELECT key, code FROM barred ORDER BY key", Vec::new()).await? {
            let (key, code) = (row.text().unwrap_or_default(), row.text().unwrap_or_default());
            let code = Code::ALL.iter().find(|known| known.code() == code);
            self.barred.insert(key, code.copied().unwrap_or(Code::KeyBlocked));
        }
        Ok(())
    }
}

fn barred(key: &str, code: Code) -> Refusal {
    let what = if code == Code::KeyBlocked { "is blocked" } else { "is no longer valid" };
    Refusal::Limited(Box::new(Limited {
        code,
        scope: format!("key:{key}"),
        what: what.to_owned(),
        opens_in: None,
        standing: Standing::default(),
    }))
}
