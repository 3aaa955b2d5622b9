//! What has been learned of the upstreams: cool-downs, errors, latency, load. Picks the next one.
//!
//! Where a request goes, first that applies:
//! 1. to the lane it has waited for, if that is open;
//! 2. to the account that made what is in it, if one of its lanes is open and nothing was tried; where it
//!    makes no sense to anybody else, to no other account in any of this;
//! 3. where its conversation was in the last five minutes, if that lane is open and untried;
//! 4. after a refused or limited key, to another key of the same target;
//! 5. to an untried target, by the route's strategy, then to an untried key of a tried one;
//! 6. to an untried fallback, in order, then to an untried key of a tried one; after a prompt that was
//!    too long or filtered, only those named for exactly that take part in all of this;
//! 7. to those that keep failing and so were left out of 3 to 6, in the same order;
//! 8. back to the lane that may be asked again first: a tried one after its backoff, a limited one
//!    at its time. That can mean waiting, at most to the deadline. Nobody waits for a refused key.
//!
//! What closes a lane:
//! - **429** closes that model at that key until `retry-after`; without one for 5 s, doubling to a
//!   minute. A later answer extends the time and never shortens it.
//! - **An answer that says it was the last** (`x-ratelimit-remaining-requests: 0`) closes it likewise,
//!   for a minute at most.
//! - **A limit of its own** closes a lane until there is room: `rpm` and `tpm` of its target, for all
//!   keys, or of its key, for all models. Requests count when they are sent, tokens when they are
//!   known. Nothing is ever sent past a limit: where all are reached, the request waits or is refused
//!   as after a 429.
//! - **401, 402, 403** close the key for every model for a minute, doubling to ten; one probe opens it.
//! - **Five failures in a row**, or half of the recent ones, close the lane for a second, doubling to
//!   30 s; one probe opens it. This one is soft: it never closes the only lane there is.
//!
//! Everything is kept by name, so it outlives a reload of the config, and is bounded: 10,000 lanes,
//! 65,536 conversations.

mod affinity;
mod cooldown;
mod dice;
mod learn;
mod plan;
mod report;
mod roster;
mod stats;
mod strategy;
mod window;

pub use report::{LaneReport, LaneState};

use crate::config::{Config, ProviderId, Route};
use crate::fault::{UpstreamClass, UpstreamFault};
use crate::ledger::Targets;
use crate::maker::Pin;
use crate::retry::{self, Verdict};
use crate::surface::Conversation;
use crate::units::{Metered, Millis, Time, Tokens};

/// What has been learned of the upstreams, shared by all requests of a host.
#[derive(Debug, Default)]
pub struct Fleet {
    roster: roster::Roster,
    affinity: affinity::Affinity,
    /// Kept for its memory, so that choosing allocates nothing.
    candidates: Vec<strategy::Candidate>,
    /// Calls that are read on although their clients have left.
    unheard: usize,
}

impl Fleet {
    /// So many calls are read on for nobody at the same time.
    pub const MOST_UNHEARD: usize = 64;

    /// Whether one more call may be read on although its client has left. Each that may is followed by
    /// [`Self::heard_out`].
    pub fn read_on(&mut self) -> bool {
        let room = self.unheard < Self::MOST_UNHEARD;
        self.unheard += usize::from(room);
        room
    }

    /// Such a call is over.
    pub fn heard_out(&mut self) {
        self.unheard = self.unheard.saturating_sub(1);
    }
}

/// An upstream within a route: which of its targets, with which key of that target's provider.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Lane {
    /// Counts through `route.targets`, then on through `route.fallbacks`.
    pub target: u16,
    /// The target's provider.
    pub provider: ProviderId,
    /// Counts into the provider's credentials.
    pub credential: u16,
}

/// What to pick an upstream for.
#[derive(Clone, Copy, Debug)]
pub struct Query<'a> {
    /// The config the request runs under.
    pub config: &'a Config,
    /// The route it takes.
    pub route: &'a Route,
    /// The conversation it belongs to.
    pub conversation: Option<Conversation>,
    /// The account that has made something it holds.
    pub pin: Option<Pin>,
    /// Targets that the request's own limits have closed.
    pub closed: Targets,
    /// The attempts made so far, oldest first.
    pub attempts: &'a [Attempt],
    /// The lane that was waited for, if the last answer was [`Choice::Wait`] and its time has come.
    pub waited: Option<Lane>,
    /// When the request must be over.
    pub deadline: Time,
    /// The time.
    pub now: Time,
    /// 64 random bits.
    pub random: u64,
}

/// An attempt that failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Attempt {
    /// Where it went.
    pub lane: Lane,
    /// How it failed.
    pub class: UpstreamClass,
    /// When.
    pub at: Time,
}

/// Where a request goes next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Choice {
    /// There, now.
    Send(Lane),
    /// Nowhere now; there, then. Never later than the deadline.
    Wait {
        /// The upstream to wait for.
        lane: Lane,
        /// When to ask again.
        until: Time,
    },
    /// Nowhere: attempts are used up, or no upstream serves the model, or all are closed for longer
    /// than the deadline.
    Exhausted {
        /// When the first of them opens again, where any is closed.
        reopens: Option<Time>,
        /// True if those that are closed are so because their providers said 429, or by limits of their
        /// own.
        limited: bool,
    },
}

/// How an attempt went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// A complete answer.
    Answered {
        /// From sending to the first content.
        first_byte: Millis,
        /// From sending to the end.
        total: Millis,
        /// Output tokens where known.
        output: Option<Tokens>,
    },
    /// A failure.
    Failed {
        /// How.
        class: UpstreamClass,
        /// When the provider wants to be asked again, from its answer.
        retry_after: Option<Millis>,
    },
    /// The client left, or the fault was the caller's: nothing is learned, the load goes down.
    Unknown,
}

impl Outcome {
    /// What is learned of a failed call: nothing of one that the caller is to blame for.
    pub(crate) fn of(fault: &UpstreamFault) -> Self {
        let UpstreamFault { class, retry_after, .. } = *fault;
        match retry::verdict(class) {
            Verdict::PassOn => Self::Unknown,
            Verdict::NextKey | Verdict::Next => Self::Failed { class, retry_after },
        }
    }
}

/// What else is learned of a lane.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Notice {
    /// What a request has consumed, input and output together; counts to limits of tokens.
    Spent(Metered<Tokens>),
    /// The provider's answer says that no further request is admitted for so long. Heard for a minute
    /// at most: longer ones are told by 429.
    UsedUp {
        /// Until then.
        resets_in: Millis,
    },
}

#[cfg(test)]
mod tests;
