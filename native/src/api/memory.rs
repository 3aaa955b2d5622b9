//! A keeper that forgets everything with the process, and knows nothing of requests.

use super::{Keeper, Unkept};
use crate::host::held;
use std::sync::Mutex;
use tollgate_core::api::audit::{self, Gap};
use tollgate_core::api::{
    AuditLine, AuditQuery, Change, Deed, RequestQuery, RequestRow, SpendQuery, SpendRow,
};

/// Deeds, in memory. Entries live in the directory alone.
#[derive(Debug, Default)]
pub struct Memory {
    log: Mutex<Vec<AuditLine>>,
}

impl Keeper for Memory {
    async fn commit(&self, _: Vec<Change>, deed: Deed) -> Result<(), Unkept> {
        let mut log = held(&self.log);
        let last = log.last().map_or(audit::BEGINNING, |line| line.seal);
        let number = log.len() as u64 + 1;
        let seal = audit::seal(&last, &deed);
        log.push(AuditLine { number, deed, seal });
        Ok(())
    }

    async fn spend(&self, _: SpendQuery) -> Result<Vec<SpendRow>, Unkept> {
        Ok(Vec::new())
    }

    async fn requests(&self, _: RequestQuery) -> Result<Vec<RequestRow>, Unkept> {
        Ok(Vec::new())
    }

    async fn audit(&self, query: AuditQuery) -> Result<Vec<AuditLine>, Unkept> {
        let AuditQuery { actor, action, subject, after, limit } = query;
        let fits = |line: &&AuditLine| {
            after.is_none_or(|after| line.number < after)
                && actor.as_ref().is_none_or(|actor| *actor == line.deed.actor)
                && action.as_ref().is_none_or(|action| *action == line.deed.action)
                && subject.as_ref().is_none_or(|subject| *subject == line.deed.subject)
        };
        Ok(held(&self.log).iter().rev().filter(fits).take(limit as usize).cloned().collect())
    }

    async fn verify(&self) -> Result<Result<u64, Gap>, Unkept> {
        Ok(audit::verify(held(&self.log).iter().cloned()))
    }
}
