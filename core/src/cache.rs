//! Answers that are kept, so that an equal request is answered without asking an upstream again.
//!
//! Core decides what is kept, for whom and for how long, and gives the host opaque bytes under a key
//! ([`crate::host::Host::recall`], [`crate::host::Host::keep`]). What is found is looked at again before
//! it is used, so that a host may be late in forgetting, or lose everything at any time.
//!
//! ```text
//!              ┌── Hit ───▶ counted as a request, answered
//!   recall ────┼── Lead ──▶ asks an upstream ──┬─ complete, to be kept ──▶ keep ────▶ Hit for all that wait
//!              │                               └─ anything else ─────────▶ resign ──▶ see [`Parting`]
//!              ├── (waits for whoever has the lead, until it leaves or its patience is over)
//!              └── Miss ──▶ asks an upstream ──▶ keep, if it can be kept
//! ```
//! 1. A lead ends exactly once: with `keep`, with `resign`, or by itself when its lease is over.
//! 2. Whoever waits for a lead may stop at any time, and takes nothing from the others by that.
//! 3. What is kept under a key was, whole, the answer to a request of that key.

mod key; // what names an answer
mod memory; // answers kept in memory
mod policy; // whether, for whom and how long
mod stored; // an answer as the bytes a host keeps

pub(crate) use key::Digest;
pub use memory::{Found, Memory, Ticket, Wakers};
pub use policy::{Asked, Bounds, Caching, Share, Terms, Wish};
pub(crate) use policy::{Decided, decide};
pub use stored::expires;
pub(crate) use stored::{Form, Head as StoredHead, Stored};

use crate::exchange::RequestId;
use crate::units::Time;
use bytes::Bytes;
use std::fmt;

/// Names an answer: SHA-256 over everything that changes it, whom it is for included.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CacheKey(pub [u8; 32]);

impl fmt::Display for CacheKey {
    /// 64 hexadecimal digits, in lower case.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for CacheKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "CacheKey({self})")
    }
}

/// What the cache was to a request.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum CacheUse {
    /// Not used.
    #[default]
    Off,
    /// The answer was not there, or had to be new.
    Miss,
    /// The answer is from there.
    Hit,
}

impl CacheUse {
    /// Every one.
    pub const ALL: [Self; 3] = [Self::Off, Self::Miss, Self::Hit];

    /// Its word in `x-tollgate-cache`, in metrics and in the admin API.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Off => "off",
            Self::Miss => "miss",
            Self::Hit => "hit",
        }
    }
}

/// What is looked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lookup {
    /// Under which key.
    pub key: CacheKey,
    /// Who looks: the leader's name, if it becomes one.
    pub id: RequestId,
    /// What was kept before this is too old for this request.
    pub since: Time,
    /// If it becomes the leader: when it has lost its gateway and leads no more.
    pub lease: Time,
}

/// What came of looking.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Recall {
    /// The bytes of a [`Kept`] of this key.
    Hit(Bytes),
    /// Nothing is kept, and nobody else is asking: equal requests wait for this one from now on, which
    /// owes them `keep` or `resign`.
    Lead,
    /// Nothing is kept, and nobody waits for this request: the host does not let requests wait for each
    /// other, the cache cannot be asked now, or the one that was waited for has let all go.
    Miss,
}

/// An answer to keep.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Kept {
    /// Under which key; in place of what is there.
    pub key: CacheKey,
    /// Whose answer it is. If that request has the lead of this key, the lead ends with it.
    pub id: RequestId,
    /// What to keep. Not larger than `config.cache.max_entry` and 16 KiB.
    pub bytes: Bytes,
    /// When it was kept.
    pub at: Time,
    /// From when on it is not to be found any more.
    pub expires: Time,
}

/// Whose lead of what.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lead {
    /// The key for which equal requests wait.
    pub key: CacheKey,
    /// The request they wait for.
    pub id: RequestId,
}

/// Why a lead ends without an answer to keep.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Parting {
    /// No answer came of it: the client left, or all upstreams failed. One of those that wait leads
    /// next, and the others wait on.
    Unanswered,
    /// There is an answer, and it cannot be kept: it is too large, or not whole. The next one would be
    /// no better, so that nobody waits longer.
    Unfit,
}
