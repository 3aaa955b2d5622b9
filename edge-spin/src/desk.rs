//! What keeps who there is, what was done and what was spent: SQLite, else the key-value store.

#[cfg(feature = "key-value")]
mod day; // what was spent on one
#[cfg(feature = "key-value")]
mod key_value; // in values
#[cfg(feature = "key-value")]
mod people; // everybody in a value

#[cfg(feature = "key-value")]
use key_value::Values;
use std::cell::Cell;
use tollgate_core::api::audit::Gap;
use tollgate_core::api::{
    AuditLine, AuditQuery, Change, Deed, RequestQuery, RequestRow, SpendQuery, SpendRow,
};
use tollgate_core::row::Row;
use tollgate_edge::document::Problem;
#[cfg(feature = "sqlite")]
use tollgate_edge::keeper::{Tables, line};
use tollgate_edge::office::{Keeper, Unkept};
#[cfg(feature = "sqlite")]
use tollgate_edge::sql::{Failed, Sql};

/// Where there is no store.
const CLOSED: &str = "keys, deeds and spend are kept in SQLite or key-value, and there is neither: add \
                      sqlite_databases = [\"default\"] to [component.tollgate] in spin.toml";

/// What keeps.
pub(crate) struct Desk {
    kind: Kind,
    /// The last commit that the directory knows.
    known: Cell<u64>,
}

enum Kind {
    #[cfg(feature = "sqlite")]
    Sql(Tables<crate::store::Sqlite>),
    #[cfg(feature = "key-value")]
    Values(Values),
    Closed,
}

/// Everybody who is stored, as of the last commit.
pub(crate) struct Everybody {
    /// Keys and holders.
    pub(crate) entities: Vec<Change>,
    /// Whether a key was ever made, though it may be gone.
    pub(crate) had_keys: bool,
}

/// Does the same to whatever keeps.
macro_rules! each {
    ($kind:expr, $keeps:ident => $act:expr, closed => $closed:expr) => {
        match $kind {
            #[cfg(feature = "sqlite")]
            Kind::Sql($keeps) => $act,
            #[cfg(feature = "key-value")]
            Kind::Values($keeps) => $act,
            Kind::Closed => $closed,
        }
    };
}

impl Desk {
    /// The one that is there.
    pub(crate) async fn open() -> Result<Self, Problem> {
        Ok(Self { kind: kind().await?, known: Cell::new(0) })
    }

    /// Whether nothing is kept.
    pub(crate) fn is_closed(&self) -> bool {
        matches!(self.kind, Kind::Closed)
    }

    /// What does not hold as it should, in words for the log and for `/readyz`.
    pub(crate) fn shortcoming(&self) -> Option<String> {
        match &self.kind {
            #[cfg(feature = "sqlite")]
            Kind::Sql(_) => None,
            #[cfg(feature = "key-value")]
            Kind::Values(_) => Some(key_value::shortcoming()),
            Kind::Closed => Some(CLOSED.to_owned()),
        }
    }

    /// Everybody who is stored, if anything was committed since this was last asked.
    pub(crate) async fn news(&self) -> Result<Option<Everybody>, Unkept> {
        match &self.kind {
            #[cfg(feature = "sqlite")]
            Kind::Sql(tables) => {
                let version = match tables.version().await {
                    Err(Failed(why)) if why.contains("no such table") => {
                        tables.prepare().await?;
                        tables.version().await?
                    }
                    version => version?,
                };
                if version == self.known.get() {
                    return Ok(None);
                }
                let tollgate_edge::keeper::Stored { entities, version, had_keys } = tables.stored().await?;
                self.known.set(version);
                Ok(Some(Everybody { entities, had_keys }))
            }
            #[cfg(feature = "key-value")]
            Kind::Values(values) => {
                let news = values.news(self.known.get()).await?;
                Ok(news.map(|(version, everybody)| {
                    self.known.set(version);
                    everybody
                }))
            }
            Kind::Closed => Ok(None),
        }
    }

    /// Keeps a request that is over; the same one twice is one.
    pub(crate) async fn record(&self, row: &Row) -> Result<(), Unkept> {
        match &self.kind {
            #[cfg(feature = "sqlite")]
            Kind::Sql(tables) => match tables.record(line(row)).await {
                Err(Failed(why)) if why.contains("no such table") => {
                    tables.prepare().await?;
                    Ok(tables.record(line(row)).await?)
                }
                outcome => Ok(outcome?),
            },
            #[cfg(feature = "key-value")]
            Kind::Values(values) => values.record(row).await,
            Kind::Closed => {
                let _ = row;
                Ok(())
            }
        }
    }

    /// Whether it answers.
    pub(crate) async fn check(&self) -> Result<(), Unkept> {
        match &self.kind {
            #[cfg(feature = "sqlite")]
            Kind::Sql(tables) => Ok(tables.sql().run("SELECT 1", Vec::new()).await.map(drop)?),
            #[cfg(feature = "key-value")]
            Kind::Values(values) => values.check().await,
            Kind::Closed => Ok(()),
        }
    }
}

async fn kind() -> Result<Kind, Problem> {
    #[cfg(feature = "sqlite")]
    match crate::store::Sqlite::open().await {
        Ok(sql) => return Ok(Kind::Sql(Tables::new(sql))),
        Err(crate::store::Closed::NotGranted) => {}
        Err(crate::store::Closed::Failed(why)) => {
            return Err(Problem(format!("the database cannot be opened: {why}")));
        }
    }
    #[cfg(feature = "key-value")]
    if let Some(values) = Values::open().await {
        return Ok(Kind::Values(values));
    }
    Ok(Kind::Closed)
}

/// Whatever was asked.
fn closed<Q, T>(_asked: Q) -> Result<T, Unkept> {
    Err(Unkept::Gone(CLOSED.to_owned()))
}

impl Keeper for Desk {
    async fn commit(&self, changes: &[Change], deed: &Deed) -> Result<(), Unkept> {
        let known = self.known.get();
        each!(&self.kind, keeps => keeps.commit_on(known, changes, deed).await, closed => closed((changes, deed)))?;
        // The directory takes up what was committed here by itself.
        self.known.set(known + 1);
        Ok(())
    }

    async fn spend(&self, query: &SpendQuery) -> Result<Vec<SpendRow>, Unkept> {
        each!(&self.kind, keeps => keeps.spend(query).await, closed => closed(query))
    }

    async fn requests(&self, query: &RequestQuery) -> Result<Vec<RequestRow>, Unkept> {
        each!(&self.kind, keeps => keeps.requests(query).await, closed => closed(query))
    }

    async fn audit(&self, query: &AuditQuery) -> Result<Vec<AuditLine>, Unkept> {
        each!(&self.kind, keeps => keeps.audit(query).await, closed => closed(query))
    }

    async fn verify(&self) -> Result<Result<u64, Gap>, Unkept> {
        each!(&self.kind, keeps => keeps.verify().await, closed => closed(()))
    }
}
