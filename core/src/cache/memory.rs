//! Answers kept in memory, and who waits for one: a value that a host puts behind a lock.
//!
//! ```text
//!   look ──┬─ kept ─────────────▶ Hit
//!          ├─ nobody leads ─────▶ Lead ──▶ keep, resign, or its lease is over
//!          └─ somebody leads ───▶ Wait ──▶ poll … Hit (kept), Lead (the leader left, first in line),
//!                                          Miss (no use waiting), or leave
//! ```
//! 1. The bytes of all entries together, and what it takes to keep them, are within the bound; who was
//!    used least recently goes first.
//! 2. Of each key at most one request leads; a request that waits is told once what came of it.
//! 3. A lead given to one that has left meanwhile goes to the next.

#[cfg(test)]
mod tests;

use super::{CacheKey, Kept, Lead, Lookup, Parting, Recall};
use crate::exchange::RequestId;
use crate::sort::Map;
use crate::units::Time;
use bytes::Bytes;
use std::collections::HashMap;
use std::fmt;
use std::task::{Poll, Waker};

/// Bytes that an entry takes beside its own: key, places in the maps.
const OVERHEAD: usize = 256;

/// Answers kept in memory. Empty to begin with, and losing it loses nothing but time.
#[derive(Default)]
pub struct Memory {
    entries: HashMap<CacheKey, Entry>,
    /// By when they were used: the first goes first.
    used: Map<u64, CacheKey>,
    /// Bytes of all entries.
    size: usize,
    /// Who waits for whom.
    flights: HashMap<CacheKey, Flight>,
    /// What came of waiting, and has not been asked for yet.
    told: HashMap<u64, Recall>,
    /// Counts uses and tickets; the next one's number.
    next: u64,
}

struct Entry {
    bytes: Bytes,
    at: Time,
    expires: Time,
    used: u64,
}

impl Entry {
    fn size(&self) -> usize {
        self.bytes.len() + OVERHEAD
    }
}

/// A request on its way upstream, and equal ones that wait for it.
struct Flight {
    leader: RequestId,
    lease: Time,
    /// In the order they came.
    waiting: Map<u64, Waiting>,
}

struct Waiting {
    id: RequestId,
    lease: Time,
    waker: Option<Waker>,
}

/// What came of looking.
#[derive(Debug, PartialEq, Eq)]
pub enum Found {
    /// This.
    Now(Recall),
    /// Another request is asking: [`Memory::poll`] tells what comes of it, and [`Memory::leave`] ends
    /// the wait.
    Wait(Ticket),
}

/// A place in the line of those that wait for a key.
#[derive(Debug, PartialEq, Eq)]
#[must_use = "whoever waits must leave"]
pub struct Ticket {
    key: CacheKey,
    id: RequestId,
    number: u64,
}

/// Those to be woken, best when the lock has been let go.
#[derive(Default)]
#[must_use = "whoever is not woken waits on"]
pub struct Wakers(Vec<Waker>);

impl Wakers {
    /// Wakes them all.
    pub fn wake(self) {
        self.0.into_iter().for_each(Waker::wake);
    }
}

impl fmt::Debug for Memory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Memory")
            .field("entries", &self.entries.len())
            .field("size", &self.size)
            .field("flights", &self.flights.len())
            .finish_non_exhaustive()
    }
}

impl Memory {
    /// How many answers are kept.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether none is.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// The bytes they take.
    pub const fn size(&self) -> usize {
        self.size
    }

    /// Whether nobody leads and nobody waits.
    pub fn is_idle(&self) -> bool {
        self.flights.is_empty() && self.told.is_empty()
    }

    /// Looks for an answer; makes the request the leader of its key if there is neither answer nor
    /// leader.
    pub fn look(&mut self, lookup: &Lookup, now: Time) -> Found {
        let Lookup { key, id, since, lease } = *lookup;
        if let Some(bytes) = self.fresh(key, since, now) {
            return Found::Now(Recall::Hit(bytes));
        }
        let number = self.number();
        match self.flights.get_mut(&key) {
            // A lease that is over has lost its gateway, or its thread. Those that wait for it have
            // patience of their own, and wait for the new leader with what is left of it.
            Some(flight) if flight.lease <= now => {
                (flight.leader, flight.lease) = (id, lease);
                Found::Now(Recall::Lead)
            }
            Some(flight) => {
                flight.waiting.insert(number, Waiting { id, lease, waker: None });
                Found::Wait(Ticket { key, id, number })
            }
            None => {
                self.flights.insert(key, Flight { leader: id, lease, waiting: Map::new() });
                Found::Now(Recall::Lead)
            }
        }
    }

    /// What came of waiting. Not asked again once it was ready.
    pub fn poll(&mut self, ticket: &Ticket, waker: &Waker) -> Poll<Recall> {
        if let Some(recall) = self.told.remove(&ticket.number) {
            return Poll::Ready(recall);
        }
        let flight = self.flights.get_mut(&ticket.key);
        match flight.and_then(|flight| flight.waiting.get_mut(&ticket.number)) {
            Some(waiting) => {
                match &mut waiting.waker {
                    Some(known) => known.clone_from(waker),
                    unset @ None => *unset = Some(waker.clone()),
                }
                Poll::Pending
            }
            None => Poll::Ready(Recall::Miss),
        }
    }

    /// Ends a wait, whatever has come of it. Must follow every [`Found::Wait`] whose result was not
    /// taken; otherwise it is nothing.
    pub fn leave(&mut self, ticket: &Ticket) -> Wakers {
        if let Some(Recall::Lead) = self.told.remove(&ticket.number) {
            return self.resign(Lead { key: ticket.key, id: ticket.id }, Parting::Unanswered);
        }
        if let Some(flight) = self.flights.get_mut(&ticket.key) {
            flight.waiting.remove(&ticket.number);
        }
        Wakers::default()
    }

    /// Keeps an answer, with so many bytes of all answers at most, and tells all that wait for it.
    pub fn keep(&mut self, kept: Kept, most: u64) -> Wakers {
        let Kept { key, id: _, bytes, at, expires } = kept;
        let waiting = self.flights.remove(&key).map(|flight| flight.waiting).unwrap_or_default();
        let wakers = waiting.into_iter().filter_map(|(number, waiting)| {
            self.told.insert(number, Recall::Hit(bytes.clone()));
            waiting.waker
        });
        let wakers = Wakers(wakers.collect());
        self.forget(key);
        let entry = Entry { bytes, at, expires, used: self.number() };
        self.size += entry.size();
        self.used.insert(entry.used, key);
        self.entries.insert(key, entry);
        self.shrink(most);
        wakers
    }

    /// Ends a lead. Nothing, if the request has none.
    pub fn resign(&mut self, lead: Lead, parting: Parting) -> Wakers {
        let Some(flight) = self.flights.get_mut(&lead.key).filter(|flight| flight.leader == lead.id) else {
            return Wakers::default();
        };
        match (parting, flight.waiting.pop_first()) {
            (Parting::Unanswered, Some((number, next))) => {
                (flight.leader, flight.lease) = (next.id, next.lease);
                self.told.insert(number, Recall::Lead);
                Wakers(next.waker.into_iter().collect())
            }
            (Parting::Unfit, Some((number, next))) => {
                let rest = self.flights.remove(&lead.key).map(|flight| flight.waiting).unwrap_or_default();
                let all = std::iter::once((number, next)).chain(rest);
                Wakers(all.filter_map(|(number, waiting)| self.let_go(number, waiting)).collect())
            }
            (Parting::Unanswered | Parting::Unfit, None) => {
                self.flights.remove(&lead.key);
                Wakers::default()
            }
        }
    }

    fn let_go(&mut self, number: u64, waiting: Waiting) -> Option<Waker> {
        self.told.insert(number, Recall::Miss);
        waiting.waker
    }

    /// An entry that has not expired and is young enough, used now. One that has expired goes.
    fn fresh(&mut self, key: CacheKey, since: Time, now: Time) -> Option<Bytes> {
        let number = self.number();
        let entry = self.entries.get_mut(&key)?;
        if entry.expires <= now {
            self.forget(key);
            return None;
        }
        if entry.at < since {
            return None;
        }
        self.used.remove(&entry.used);
        self.used.insert(number, key);
        entry.used = number;
        Some(entry.bytes.clone())
    }

    fn forget(&mut self, key: CacheKey) {
        if let Some(entry) = self.entries.remove(&key) {
            self.used.remove(&entry.used);
            self.size = self.size.saturating_sub(entry.size());
        }
    }

    fn shrink(&mut self, most: u64) {
        let most = usize::try_from(most).unwrap_or(usize::MAX);
        while self.size > most {
            let Some((_, key)) = self.used.first_key_value() else { return };
            self.forget(*key);
        }
    }

    fn number(&mut self) -> u64 {
        self.next += 1;
        self.next
    }
}
