//! Who there is, what was done and what was spent, in the key-value store.
//!
//! ```text
//!   tollgate/people         everybody, and the last lines of the log      compared and swapped: all or nothing
//!   tollgate/log/0, 1, …    earlier lines, a block each                   never changed
//!   tollgate/day/20778/0…3  a day's sums and latest requests, in parts    compared and swapped
//! ```
//! 1. A commit stands on the one before it: of two at once one is [`Unkept::Behind`].
//! 2. A block is put away before the lines leave the log: whoever does it writes the same.

use super::day::{Added, DAY, Day};
use super::people::{BLOCK, People, lines, spelled};
use super::{Everybody, day::LATEST};
use crate::cell::{Cell, MOST_BYTES, Read, Swapped};
use crate::ledger::aside;
use futures::future::try_join_all;
use spin_sdk::key_value::Store;
use tollgate_core::api::audit::{Chain, Gap};
use tollgate_core::api::{
    AuditLine, AuditQuery, Change, Deed, RequestQuery, RequestRow, SpendQuery, SpendRow,
};
use tollgate_core::row::Row;
use tollgate_core::units::Time;
use tollgate_edge::keeper::{requests_of_all, spend_of_all};
use tollgate_edge::office::{Keeper, Unkept};

const PEOPLE: &str = "tollgate/people";

/// Parts of a day, so that not all who end at once write the same value.
const PARTS: u64 = 4;

/// Days that one question reads at most, the latest of its span.
const MOST_DAYS: u64 = 400;

/// How often a request is added anew because somebody else was first.
const ATTEMPTS: u32 = 16;

/// What does not hold as it does in a database.
pub(super) fn shortcoming() -> String {
    format!(
        "there is no database, so that keys, deeds and spend are in the key-value store: spend is told by the \
         hour, and single requests are the last {} of a day at least{}",
        LATEST,
        if crate::cell::IS_ATOMIC {
            ""
        } else {
            "; all of it is best effort, since this component was built without `atomics`"
        }
    )
}

/// The default store.
pub(super) struct Values;

impl Values {
    /// Whether the component is given one.
    pub(super) async fn open() -> Option<Self> {
        Store::open_default().await.ok().map(|_| Self)
    }

    /// Everybody, if there was another commit than `known`.
    pub(super) async fn news(&self, known: u64) -> Result<Option<(u64, Everybody)>, Unkept> {
        let Some(value) = self.value(PEOPLE).await? else { return Ok(None) };
        if People::version(&value) == Some(known) {
            return Ok(None);
        }
        let People { stored, .. } = People::read(&value).ok_or_else(garbled)?;
        let everybody = Everybody { entities: stored.entities, had_keys: stored.had_keys };
        Ok(Some((stored.version, everybody)))
    }

    /// Whether it answers.
    pub(super) async fn check(&self) -> Result<(), Unkept> {
        self.value(PEOPLE).await.map(drop)
    }

    /// Keeps a request that is over.
    pub(super) async fn record(&self, row: &Row) -> Result<(), Unkept> {
        let random = u64::try_from(row.id.0 & u128::from(u64::MAX)).unwrap_or_default();
        let place = part(row.at.0 / DAY, random % PARTS);
        for attempt in 0..ATTEMPTS {
            let Read { cell, value } = Cell::read(&place).await.map_err(Unkept::Gone)?;
            let mut day = match value {
                None => Day::default(),
                Some(value) => Day::read(&value).ok_or_else(garbled)?,
            };
            if day.add(row) == Added::Before {
                return Ok(());
            }
            let value = day.written(MOST_BYTES);
            match cell.write(value).await.map_err(Unkept::Gone)? {
                Swapped::Done => return Ok(()),
                Swapped::Overtaken => spin_sdk::time::sleep(aside(attempt, random)).await,
            }
        }
        Err(Unkept::Gone("others write the same value all the time".to_owned()))
    }

    /// Makes changes on top of the commit `known`.
    pub(super) async fn commit_on(&self, known: u64, changes: &[Change], deed: &Deed) -> Result<(), Unkept> {
        let Read { cell, value } = Cell::read(PEOPLE).await.map_err(Unkept::Gone)?;
        let mut people = match value {
            None => People::default(),
            Some(value) => People::read(&value).ok_or_else(garbled)?,
        };
        if people.stored.version != known {
            return Err(Unkept::Behind);
        }
        if let Some(block) = people.full() {
            let number = block.first().map_or(0, |line| line.number) / BLOCK as u64;
            let value = spelled(block).to_string().into_bytes();
            store().await?.set(block_of(number), value).await.map_err(gone)?;
            people.put_away();
        }
        people.commit(changes, deed);
        let value = people.written();
        if value.len() > MOST_BYTES {
            return Err(Unkept::Gone(format!(
                "keys and whom they belong to are {} bytes, more than a key-value value holds: give the \
                 component a database, by sqlite_databases = [\"default\"] in spin.toml",
                value.len()
            )));
        }
        match cell.write(value).await.map_err(Unkept::Gone)? {
            Swapped::Done => Ok(()),
            Swapped::Overtaken => Err(Unkept::Behind),
        }
    }

    async fn value(&self, key: &str) -> Result<Option<Vec<u8>>, Unkept> {
        store().await?.get(key).await.map_err(gone)
    }

    async fn log(&self) -> Result<Vec<AuditLine>, Unkept> {
        match self.value(PEOPLE).await? {
            None => Ok(Vec::new()),
            Some(value) => Ok(People::read(&value).ok_or_else(garbled)?.log),
        }
    }

    async fn block(&self, number: u64) -> Result<Vec<AuditLine>, Unkept> {
        let value = self.value(&block_of(number)).await?.ok_or_else(garbled)?;
        let json = serde_json::from_slice(&value).map_err(|_| garbled())?;
        lines(&json).ok_or_else(garbled)
    }

    /// All there is of the days of a span.
    async fn days(&self, from: Time, to: Time) -> Result<Vec<Day>, Unkept> {
        let last = to.0.saturating_sub(1) / DAY;
        let first = (from.0 / DAY).max(last.saturating_sub(MOST_DAYS - 1));
        let store = store().await?;
        let places = (first..=last).flat_map(|day| (0..PARTS).map(move |number| part(day, number)));
        let values = try_join_all(places.map(|place| store.get(place))).await.map_err(gone)?;
        values.into_iter().flatten().map(|value| Day::read(&value).ok_or_else(garbled)).collect()
    }
}

fn part(day: u64, number: u64) -> String {
    format!("tollgate/day/{day}/{number}")
}

fn block_of(number: u64) -> String {
    format!("tollgate/log/{number}")
}

async fn store() -> Result<Store, Unkept> {
    Store::open_default().await.map_err(gone)
}

fn gone(error: spin_sdk::key_value::Error) -> Unkept {
    Unkept::Gone(format!("the key-value store: {error}").chars().take(200).collect())
}

fn garbled() -> Unkept {
    Unkept::Gone("a value in the key-value store is not as it was written".to_owned())
}

impl Keeper for Values {
    async fn commit(&self, changes: &[Change], deed: &Deed) -> Result<(), Unkept> {
        let known = self.value(PEOPLE).await?.and_then(|value| People::version(&value));
        self.commit_on(known.unwrap_or_default(), changes, deed).await
    }

    async fn spend(&self, query: &SpendQuery) -> Result<Vec<SpendRow>, Unkept> {
        let days = self.days(query.from, query.to).await?;
        Ok(spend_of_all(days.iter().map(|day| day.spend(query)), query.limit))
    }

    async fn requests(&self, query: &RequestQuery) -> Result<Vec<RequestRow>, Unkept> {
        let days = self.days(query.from, query.to).await?;
        Ok(requests_of_all(days.iter().map(|day| day.requests(query)), query.limit))
    }

    async fn audit(&self, query: &AuditQuery) -> Result<Vec<AuditLine>, Unkept> {
        let AuditQuery { actor, action, subject, after, limit } = query;
        let is =
            |wanted: &Option<String>, found: &str| wanted.as_deref().is_none_or(|wanted| wanted == found);
        let (mut found, mut lines) = (Vec::new(), self.log().await?);
        loop {
            let first = lines.first().map_or(1, |line| line.number);
            for line in lines.into_iter().rev() {
                let deed = &line.deed;
                let asked = is(actor, &deed.actor) && is(action, &deed.action) && is(subject, &deed.subject);
                if asked && after.is_none_or(|after| line.number < after) {
                    found.push(line);
                }
            }
            if found.len() >= *limit as usize || first == 1 {
                found.truncate(*limit as usize);
                return Ok(found);
            }
            lines = self.block((first - 1) / BLOCK as u64 - 1).await?;
        }
    }

    async fn verify(&self) -> Result<Result<u64, Gap>, Unkept> {
        let last = self.log().await?;
        let mut chain = Chain::default();
        let away = last.first().map_or(0, |line| (line.number - 1) / BLOCK as u64);
        for number in 0..away {
            for line in self.block(number).await? {
                if let Err(gap) = chain.next(&line) {
                    return Ok(Err(gap));
                }
            }
        }
        Ok(last.iter().try_for_each(|line| chain.next(line)).map(|()| chain.lines()))
    }
}
