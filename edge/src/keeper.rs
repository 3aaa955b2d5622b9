//! What the admin API needs kept, in the platform's SQL: who there is, what was done, requests, spend.
//!
//! ```text
//!   commit ──▶ view `commits` ──trigger──▶ audit + entities          one statement: all of it or nothing
//!   record ──▶ table `requests` ─trigger─▶ request_tags + spend      one statement; the same one twice is one
//! ```
//! 1. A commit stands on the line before it: two at once have the same number, and one of them is
//!    [`Unkept::Behind`].
//! 2. Every question is answered by an index.
//! 3. Sums by day stay when the requests themselves are dropped.

mod audit; // who did what
mod entities; // who there is
mod requests; // requests one by one
mod schema; // the tables
mod spend; // what was spent in any span
#[cfg(test)]
mod tests;

pub use requests::line;

use crate::office::{Keeper, Unkept};
use crate::sql::{Failed, Sql, Value};
use tollgate_core::api::audit::Gap;
use tollgate_core::api::{
    AuditLine, AuditQuery, Change, Deed, RequestQuery, RequestRow, SpendQuery, SpendRow,
};
use tollgate_core::units::Time;

/// The tables of a gateway, or of one of its books.
#[derive(Clone, Debug)]
pub struct Tables<S> {
    sql: S,
}

/// A statement and what is bound to it.
#[derive(Debug, PartialEq)]
struct Statement {
    text: String,
    values: Vec<Value>,
}

/// Everybody who is stored.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Stored {
    /// Keys and holders.
    pub entities: Vec<Change>,
    /// The number of the last commit they are made of.
    pub version: u64,
    /// Whether a key was ever made, though it may be gone.
    pub had_keys: bool,
}

impl Stored {
    /// As one document, for a store that many read.
    pub fn to_json(&self) -> String {
        let Self { entities, version, had_keys } = self;
        let entities: Vec<serde_json::Value> = entities.iter().map(entities::spelled).collect();
        serde_json::json!({ "version": version, "had_keys": had_keys, "entities": entities }).to_string()
    }

    /// Reads such a document; none where it is none.
    pub fn from_json(document: &[u8]) -> Option<Self> {
        let document: serde_json::Value = serde_json::from_slice(document).ok()?;
        let entities = document.get("entities")?.as_array()?;
        Some(Self {
            entities: entities.iter().filter_map(entities::spelt).collect(),
            version: document.get("version")?.as_u64()?,
            had_keys: document.get("had_keys")?.as_bool()?,
        })
    }
}

impl<S: Sql> Tables<S> {
    /// Tables in a database; [`Tables::prepare`] makes them.
    pub fn new(sql: S) -> Self {
        Self { sql }
    }

    /// Makes the tables that are not there.
    pub async fn prepare(&self) -> Result<(), Failed> {
        for text in schema::STATEMENTS {
            self.sql.run(text, Vec::new()).await?;
        }
        if self.sql.run(schema::HAS_GUARDRAILS, Vec::new()).await?.is_empty() {
            self.sql.run(schema::GUARDRAILS, Vec::new()).await?;
        }
        Ok(())
    }

    /// Everybody who is stored.
    pub async fn stored(&self) -> Result<Stored, Failed> {
        entities::all(&self.sql).await
    }

    /// The number of the last commit.
    pub async fn version(&self) -> Result<u64, Failed> {
        Ok(audit::head(&self.sql).await?.number)
    }

    /// [`Keeper::commit`], and only as the first after commit `on`: for whoever plans by what it has read,
    /// while others commit too.
    pub async fn commit_on(&self, on: u64, changes: &[Change], deed: &Deed) -> Result<(), Unkept> {
        audit::commit(&self.sql, Some(on), changes, deed).await
    }

    /// Keeps a request, given as [`line`] writes it, and adds it up; the same one twice is one.
    pub async fn record(&self, line: Vec<Value>) -> Result<(), Failed> {
        self.sql.run(requests::INSERT, line).await.map(drop)
    }

    /// Drops requests that came before, a batch of the oldest: whether there may be more.
    pub async fn purge(&self, before: Time) -> Result<bool, Failed> {
        let dropped = self.sql.run(requests::PURGE, vec![before.0.into()]).await?;
        Ok(dropped.len() >= requests::BATCH)
    }

    /// What runs the statements.
    pub fn sql(&self) -> &S {
        &self.sql
    }
}

impl<S: Sql> Keeper for Tables<S> {
    async fn commit(&self, changes: &[Change], deed: &Deed) -> Result<(), Unkept> {
        audit::commit(&self.sql, None, changes, deed).await
    }

    async fn spend(&self, query: &SpendQuery) -> Result<Vec<SpendRow>, Unkept> {
        let newest = self.sql.run(requests::NEWEST, Vec::new()).await?;
        let newest = newest.into_iter().next().and_then(|mut row| row.number()).unwrap_or_default();
        let Statement { text, values } = spend::plan(query, Time(newest));
        let rows = self.sql.run(&text, values).await?;
        Ok(rows.into_iter().map(|row| spend::read(row, query.by.len())).collect())
    }

    async fn requests(&self, query: &RequestQuery) -> Result<Vec<RequestRow>, Unkept> {
        let mut page = Vec::new();
        for Statement { text, values } in requests::plans(query) {
            page.extend(self.sql.run(&text, values).await?.into_iter().map(requests::read));
        }
        Ok(requests::page(page, query.limit))
    }

    async fn audit(&self, query: &AuditQuery) -> Result<Vec<AuditLine>, Unkept> {
        let Statement { text, values } = audit::plan(query);
        Ok(self.sql.run(&text, values).await?.into_iter().map(audit::read).collect())
    }

    async fn verify(&self) -> Result<Result<u64, Gap>, Unkept> {
        Ok(audit::check(&self.sql).await?)
    }
}

/// Several places' answers to one question about requests, as one.
pub fn requests_of_all(pages: impl IntoIterator<Item = Vec<RequestRow>>, limit: u32) -> Vec<RequestRow> {
    requests::page(pages.into_iter().flatten().collect(), limit)
}

/// Several places' answers to one question about spend, as one.
pub fn spend_of_all(parts: impl IntoIterator<Item = Vec<SpendRow>>, limit: u32) -> Vec<SpendRow> {
    spend::together(parts, limit)
}
