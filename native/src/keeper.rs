//! The store as the admin API's keeper: its questions in the store's words, and the answers back.

use crate::api::{Keeper, Unkept};
use crate::store::audit::{Chain, Line};
use crate::store::requests::Found;
use crate::store::trouble::StoreError;
use crate::store::{Spent, Store};
use std::sync::Arc;
use tollgate_core::api::audit::{Broken, Gap};
use tollgate_core::api::{
    AuditLine, AuditQuery, Change, Deed, RequestQuery, RequestRow, SpendQuery, SpendRow,
};

impl From<StoreError> for Unkept {
    fn from(error: StoreError) -> Self {
        Self(error.to_string())
    }
}

impl Keeper for Arc<Store> {
    async fn commit(&self, changes: Vec<Change>, deed: Deed) -> Result<(), Unkept> {
        Ok(Store::commit(self, changes, deed).await?)
    }

    async fn spend(&self, query: SpendQuery) -> Result<Vec<SpendRow>, Unkept> {
        Ok(Store::spend(self, query).await?)
    }

    async fn spend_of_all(&self, query: SpendQuery) -> Result<Spent, Unkept> {
        Ok(Store::spend_of_all(self, query).await?)
    }

    async fn requests(&self, query: RequestQuery) -> Result<Vec<RequestRow>, Unkept> {
        let found = Store::requests(self, query).await?;
        Ok(found.into_iter().map(|Found { place, row }| row.shown(place)).collect())
    }

    async fn audit(&self, query: AuditQuery) -> Result<Vec<AuditLine>, Unkept> {
        let lines = Store::audit(self, query).await?;
        let told = |Line { seq, deed, hash }| AuditLine { number: seq, deed, seal: hash };
        Ok(lines.into_iter().map(told).collect())
    }

    async fn verify(&self) -> Result<Result<u64, Gap>, Unkept> {
        Ok(match self.check_audit().await? {
            Chain::Whole(lines) => Ok(lines),
            Chain::BrokenAt(number) => Err(Gap { number, kind: Broken::Seal }),
        })
    }
}
