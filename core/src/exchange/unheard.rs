//! What becomes of a call when its client has left.
//!
//! Most providers stop, and stop counting, when a call is cancelled. One that `bills_unheard` does not:
//! it writes the answer to its end and bills all of it, so that the bill is known only to who hears it.
//! Its stream is read on, for nobody, at most to the request's deadline, if the fleet has room for
//! another such call. Where there is none, or once the stream is silent, the call is cancelled and all
//! that was reserved is charged.

use super::record::Ending;
use super::{Exchange, Phase, Step};
use crate::fault::{Code, UpstreamFault};
use crate::fleet::{Lane, Outcome};
use crate::host::Out;
use crate::units::{Millis, Time};

/// How long a stream that nobody hears may be silent. The client's place stays taken for as long.
const SILENCE: Millis = Millis::from_secs(2);

/// Whether anybody hears the answer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Audience {
    /// The client does.
    #[default]
    There,
    /// It has left, and nothing is read on.
    Gone,
    /// It has left; the fleet has been asked whether there is room.
    Asked,
    /// It has left, and the answer is read on; up to this time, if nothing of it comes.
    ReadOn(Time),
}

impl Exchange {
    /// True once the client's leaving is known: it needs not be told again, nor waited for.
    pub fn has_left(&self) -> bool {
        self.audience != Audience::There
    }

    /// Gives this to the client, if it is there.
    pub(super) fn give(&mut self, out: Out) {
        if !self.has_left() {
            self.steps.push_back(Step::Emit(out));
        }
    }

    pub(super) fn on_client_left(&mut self, now: Time) {
        if self.has_left() {
            return;
        }
        // Many leave as soon as they have seen the end mark.
        let complete = matches!(&self.phase, Phase::Relay(relay) if relay.is_complete());
        if complete {
            self.draft_complete();
        }
        self.audience = Audience::Gone;
        match self.lane() {
            Some(lane) if !complete && self.may_read_on(lane, now) => {
                self.audience = Audience::Asked;
                // Whoever waits for this answer does not get it from here.
                let resigned = self.end_caching(now);
                self.steps.extend(resigned);
                self.steps.push_back(Step::ReadOn);
            }
            _ => self.abandon(now),
        }
    }

    /// The fleet's answer to [`Step::ReadOn`].
    pub(super) fn on_read_on(&mut self, room: bool, now: Time) {
        if self.audience != Audience::Asked {
            return;
        }
        match room {
            true => self.audience = Audience::ReadOn(now + SILENCE),
            false => self.abandon(now),
        }
    }

    /// Something came of an answer that may be read on for nobody.
    pub(super) fn read_on(&mut self, now: Time) {
        if let Audience::ReadOn(until) = &mut self.audience {
            *until = now + SILENCE;
        }
    }

    /// When to stop that if nothing comes.
    pub(super) fn read_on_until(&self) -> Time {
        match self.audience {
            Audience::ReadOn(until) => until,
            Audience::There | Audience::Gone | Audience::Asked => Time::NEVER,
        }
    }

    pub(super) fn abandon(&mut self, now: Time) {
        self.give_up_on_call();
        if let Some(lane) = self.lane() {
            self.steps.push_back(Step::Abort);
            self.steps.push_back(Step::Observe(lane, Outcome::Unknown));
        }
        self.settle(now);
    }

    /// A call that nobody hears failed: no other is made.
    pub(super) fn fail_unheard(&mut self, lane: Lane, fault: &UpstreamFault, now: Time) {
        self.steps.push_back(Step::Abort);
        self.steps.push_back(Step::Observe(lane, Outcome::of(fault)));
        if self.may_be_billed(fault.class) {
            self.waste(lane);
        }
        if matches!(self.phase, Phase::Relay(_)) {
            self.give_up_on_call();
        }
        self.settle(now);
    }

    /// The record says that the client left, however the rest of the answer went.
    pub(super) fn settle_unheard(&mut self) {
        if self.has_left() {
            self.record.ending = Ending::ClientLeft;
            self.record.status = Code::ClientLeft.status();
        }
        if matches!(self.audience, Audience::ReadOn(_)) {
            self.audience = Audience::Gone;
            self.steps.push_back(Step::HeardOut);
        }
    }

    /// Of a whole answer nothing is heard before its end, which may be minutes away.
    fn may_read_on(&self, lane: Lane, now: Time) -> bool {
        self.request.wants_stream() && now < self.request.deadline && self.is_billed_unheard(lane)
    }

    /// Whether the provider bills what it writes although its call is cancelled.
    pub(super) fn is_billed_unheard(&self, lane: Lane) -> bool {
        let provider = self.request.config.provider(lane.provider);
        provider.is_some_and(|provider| provider.bills_unheard) && !self.request.is_free()
    }
}

#[cfg(test)]
mod tests;
