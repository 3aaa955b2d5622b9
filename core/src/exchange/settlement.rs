//! An exchange's end: what it came to consume, whoever has told it, and whom it is charged to.

use super::quota;
use super::{Exchange, Phase, Step};
use crate::count::{Basis, Heard, Uncounted};
use crate::fault::UpstreamClass;
use crate::fleet::{Lane, Notice};
use crate::price::Charge;
use crate::units::{Metered, Time};

impl Exchange {
    /// The call in progress will not be heard to its end: what it has generated so far is counted. Of
    /// a whole answer nothing is seen before its end, so that all that was paid for counts; so it does
    /// where the provider bills what nobody hears.
    pub(super) fn give_up_on_call(&mut self) {
        let unheard = self.has_left() && self.lane().is_some_and(|lane| self.is_billed_unheard(lane));
        self.unreported = match &mut self.phase {
            Phase::Sent(_) => {
                self.abandoned = self.quota.paid().filter(|_| unheard || !self.request.wants_stream());
                Some(Heard::default())
            }
            Phase::Read(reading) => {
                self.abandoned = self.quota.paid().filter(|_| unheard || !self.request.wants_stream());
                self.record.usage = reading.reported().map(Box::new);
                Some(reading.heard())
            }
            Phase::Relay(relay) => {
                self.abandoned = self.quota.paid().filter(|_| unheard);
                self.record.usage = relay.usage().cloned().map(Box::new);
                Some(relay.take_heard())
            }
            Phase::Recall { .. }
            | Phase::Admit
            | Phase::Choose
            | Phase::Pause { .. }
            | Phase::Count
            | Phase::Done => None,
        };
    }

    /// Charges a call of which nothing came as its provider may bill it: the prompt, and of a whole
    /// answer, which is generated before its first byte is sent, the client's cap. Without a cap there is
    /// nothing to go by: what was reserved is what a model can write, and hardly ever does.
    pub(super) fn waste(&mut self, lane: Lane) {
        // A batch is charged as a whole.
        if self.request.surveyed().is_some() {
            return;
        }
        let input = self.request.estimate().0;
        let capped = self.request.envelope.max_tokens.is_some() && !self.request.wants_stream();
        let output = self.quota.paid().filter(|_| capped).unwrap_or_default();
        let cost =
            self.request.target(lane).and_then(|target| quota::cost(&self.request, target, input, output));
        let wasted = &mut self.record.wasted;
        wasted.input += input;
        wasted.output += output;
        wasted.cost += cost.unwrap_or_default();
    }

    /// Whether an attempt that failed like this may stand on the bill although nothing came of it: an
    /// upstream that was silent or was cut off after it had begun. One that said no has charged
    /// nothing.
    pub(super) fn may_be_billed(&self, class: UpstreamClass) -> bool {
        use UpstreamClass as Class;
        if self.request.is_free() {
            return false;
        }
        match &self.phase {
            Phase::Sent(_) => class == Class::Timeout,
            Phase::Read(reading) => {
                reading.is_success() && matches!(class, Class::Timeout | Class::Connection | Class::Garbled)
            }
            Phase::Recall { .. }
            | Phase::Admit
            | Phase::Choose
            | Phase::Pause { .. }
            | Phase::Relay(_)
            | Phase::Count
            | Phase::Done => false,
        }
    }

    /// Counting is free everywhere.
    pub(super) fn charge(&mut self, now: Time) {
        self.record.charge(self.price.as_deref(), self.terms, now);
        if self.request.is_free() {
            self.record.cost = Charge::Nothing;
        }
    }

    /// Every exit comes through here.
    pub(super) fn settle(&mut self, now: Time) {
        self.settle_unheard();
        self.record.total = now.since(self.request.at);
        self.record.attempts = self.calls;
        self.record.cache = self.request.cache;
        let told = self.record.usage.is_some();
        if (told || self.unreported.is_some()) && self.request.task().is_some() {
            let usage = self.record.usage.take().map(|usage| *usage);
            self.record.usage = self.request.metered(usage, &[]).map(Box::new);
        }
        self.charge_batch();
        match self.uncounted() {
            Some(uncounted) => {
                self.phase = Phase::Count;
                self.steps.push_back(Step::Count(Box::new(uncounted)));
            }
            None => self.finish(now),
        }
    }

    /// What has to be counted before the request can be settled.
    fn uncounted(&mut self) -> Option<Uncounted> {
        let heard = self.unreported.take().filter(|_| !self.request.is_free())?;
        // Another model than was asked for first may have answered.
        let (family, prompt) = (self.request.family_at(self.called), self.request.prompt());
        Some(Uncounted::missing(family, prompt, heard, self.record.usage.as_deref()))
    }

    /// Settles and logs what is known by now.
    pub(super) fn finish(&mut self, now: Time) {
        self.phase = Phase::Done;
        self.end_watching();
        if let (Basis::Reported, Some(usage)) = (self.record.basis, &self.record.usage) {
            self.request.observe(self.called, usage.prompt());
        }
        self.charge(now);
        if let (Some(lane), Some(usage)) = (self.called, &self.record.usage)
            && self.request.limits_tokens(lane)
        {
            let tokens = Metered(usage.prompt() + usage.output);
            self.steps.push_back(Step::Notice(lane, Notice::Spent(tokens)));
        }
        let ended = self.quota.end(&self.record);
        let cached = self.end_caching(now);
        self.steps.push_back(Step::End(self.record.take(), ended));
        // Before the end of the answer: who has it may ask again at once.
        self.steps.extend(cached);
        if let Some(farewell) = self.farewell.take() {
            self.give(farewell);
        }
    }
}
