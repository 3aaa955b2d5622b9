//! What has been learned of the upstreams: cool-downs, errors, latency, load. Picks the next one.

use crate::config::{Config, ProviderId, Route};
use crate::fault::UpstreamClass;
use crate::surface::Conversation;
use crate::units::{Millis, Time, Tokens};

/// What has been learned of the upstreams, shared by all requests of a host.
#[derive(Debug, Default)]
pub struct Fleet {}

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
        /// True if those that are closed are so because their providers said 429.
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

impl Fleet {
    /// Picks the upstream for a request's next attempt and counts it as in flight if the answer is
    /// [`Choice::Send`]; `observe` must follow.
    pub fn choose(&mut self, query: &Query<'_>) -> Choice {
        let _ = query;
        unimplemented!()
    }

    /// Learns how an attempt went, exactly once for each `Send`.
    pub fn observe(&mut self, config: &Config, route: &Route, lane: Lane, outcome: Outcome, now: Time) {
        let _ = (config, route, lane, outcome, now);
        unimplemented!()
    }
}
