//! What keeps who there is, what was done and what was spent.

use std::cell::Cell;
use tollgate_core::api::audit::Gap;
use tollgate_core::api::{
    AuditLine, AuditQuery, Change, Deed, RequestQuery, RequestRow, SpendQuery, SpendRow,
};
use tollgate_core::row::Row;
#[cfg(feature = "sqlite")]
use tollgate_edge::keeper::{Tables, line};
use tollgate_edge::office::{Keeper, Unkept};
#[cfg(feature = "sqlite")]
use tollgate_edge::sql::{Failed, Sql};

/// Where there is no database.
const CLOSED: &str = "keys, deeds and spend are kept in SQLite, and there is no database: add \
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
    Closed,
}

/// Everybody who is stored, as of the last commit.
pub(crate) struct Everybody {
    /// Keys and holders.
    pub(crate) entities: Vec<Change>,
    /// Whether a key was ever made, though it may be gone.
    pub(crate) had_keys: bool,
}

impl Desk {
    /// The one that is there.
    pub(crate) async fn open() -> Self {
        Self { kind: kind().await, known: Cell::new(0) }
    }

    /// Whether nothing is kept.
    pub(crate) fn is_closed(&self) -> bool {
        match &self.kind {
            #[cfg(feature = "sqlite")]
            Kind::Sql(_) => false,
            Kind::Closed => true,
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
            Kind::Closed => Ok(()),
        }
    }
}

#[cfg(feature = "sqlite")]
async fn kind() -> Kind {
    match crate::store::Sqlite::open().await {
        Ok(sql) => Kind::Sql(Tables::new(sql)),
        Err(_) => Kind::Closed,
    }
}

#[cfg(not(feature = "sqlite"))]
async fn kind() -> Kind {
    Kind::Closed
}

impl Keeper for Desk {
    async fn commit(&self, changes: &[Change], deed: &Deed) -> Result<(), Unkept> {
        match &self.kind {
            #[cfg(feature = "sqlite")]
            Kind::Sql(tables) => {
                let known = self.known.get();
                tables.commit_on(known, changes, deed).await?;
                // The directory takes up what was committed here by itself.
                self.known.set(known + 1);
                Ok(())
            }
            Kind::Closed => {
                let _ = (changes, deed);
                Err(Unkept::Gone(CLOSED.to_owned()))
            }
        }
    }

    async fn spend(&self, query: &SpendQuery) -> Result<Vec<SpendRow>, Unkept> {
        match &self.kind {
            #[cfg(feature = "sqlite")]
            Kind::Sql(tables) => tables.spend(query).await,
            Kind::Closed => {
                let _ = query;
                Err(Unkept::Gone(CLOSED.to_owned()))
            }
        }
    }

    async fn requests(&self, query: &RequestQuery) -> Result<Vec<RequestRow>, Unkept> {
        match &self.kind {
            #[cfg(feature = "sqlite")]
            Kind::Sql(tables) => tables.requests(query).await,
            Kind::Closed => {
                let _ = query;
                Err(Unkept::Gone(CLOSED.to_owned()))
            }
        }
    }

    async fn audit(&self, query: &AuditQuery) -> Result<Vec<AuditLine>, Unkept> {
        match &self.kind {
            #[cfg(feature = "sqlite")]
            Kind::Sql(tables) => tables.audit(query).await,
            Kind::Closed => {
                let _ = query;
                Err(Unkept::Gone(CLOSED.to_owned()))
            }
        }
    }

    async fn verify(&self) -> Result<Result<u64, Gap>, Unkept> {
        match &self.kind {
            #[cfg(feature = "sqlite")]
            Kind::Sql(tables) => tables.verify().await,
            Kind::Closed => Err(Unkept::Gone(CLOSED.to_owned())),
        }
    }
}
