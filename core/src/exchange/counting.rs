//! Requests that ask how many tokens a prompt has.
//!
//! ```text
//! CHOOSE ──▶ an upstream of the client's dialect ──▶ it counts, as any call is passed on
//!       └──▶ any other, or one that does not serve this ──▶ the prompt as that one would be sent it
//!                                                           ──▶ counted by the host ──▶ answer
//! ```
//! They cost nothing and take no tokens, but they are requests: of a key, for a model it may use,
//! within its limits.

use super::attempt::spoken;
use super::request::Request;
use super::{Exchange, Phase, Step, answer};
use crate::call::Operation;
use crate::count::{Counted, Family, Prompt, Uncounted};
use crate::fault::{Code, Fault, UpstreamClass, UpstreamFault};
use crate::fleet::{Lane, Outcome};
use crate::host::Out;
use crate::provider::{self, Target};
use crate::surface;
use crate::units::Time;

/// Whether a count that is under way is the answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Tally {
    /// It is not.
    None,
    /// It is.
    Asked,
}

/// Whether an upstream does not know such requests at all; one that does not know the model says so in
/// its dialect.
pub(super) fn is_not_served(fault: &UpstreamFault) -> bool {
    fault.class == UpstreamClass::NotFound && fault.kind.is_none() && fault.code.is_none()
        || fault.status == 405
}

impl Request {
    /// Whether it asks for a count.
    pub(super) fn counts(&self) -> bool {
        self.surface.operation() == Operation::Count
    }

    /// Whether an upstream speaks the client's dialect.
    pub(super) fn speaks_with(&self, lane: Lane) -> bool {
        let (provider, own) = (self.config.provider(lane.provider), self.surface.dialect());
        let target = self.target(lane);
        provider.zip(target).is_some_and(|(one, target)| spoken(one, own, &target.model).dialect == own)
    }

    /// The prompt as this upstream would be sent it.
    fn prompt_for(&mut self, lane: Lane) -> Result<Uncounted, Fault> {
        let bug = || Fault::new(Code::Bug, "the fleet chose a lane that is not in the config");
        let config = self.config.clone();
        let provider = config.provider(lane.provider).ok_or_else(bug)?;
        let model = self.target(lane).ok_or_else(bug)?.model.clone();
        let family = Family::of(&model);
        let vendor = spoken(provider, self.surface.dialect(), &model);
        if vendor.dialect == self.surface.dialect() {
            return Ok(Uncounted::prompt(family, self.prompt()));
        }
        let target = Target { vendor, model: &model };
        let body = provider::encode(self.call()?, &target)?.body;
        let surface = surface::speaking(vendor.dialect);
        Ok(Uncounted::prompt(family, Prompt { surface, body }))
    }
}

impl Exchange {
    /// Has the prompt counted by the host.
    pub(super) fn tally(&mut self, lane: Lane, now: Time) {
        self.steps.push_back(Step::Observe(lane, Outcome::Unknown));
        match self.request.prompt_for(lane) {
            Ok(prompt) => {
                self.tally = Tally::Asked;
                self.phase = Phase::Count;
                self.steps.push_back(Step::Count(Box::new(prompt)));
            }
            Err(fault) => self.refuse(&fault, now),
        }
    }

    /// Answers with what was counted.
    pub(super) fn answer_tally(&mut self, counted: Counted, now: Time) {
        self.tally = Tally::None;
        let Some(body) = self.request.surface.counted(counted.input.unwrap_or_default()) else {
            let fault = Fault::new(Code::Bug, "we believed that only a surface that counts asks for a count");
            return self.refuse(&fault, now);
        };
        self.record.status = 200;
        self.record.total = now.since(self.request.at);
        self.record.attempts = self.calls;
        let head = answer::tally(&self.request, body, counted.basis, self.calls);
        self.farewell = Some(Out::Head(head));
        self.finish(now);
    }
}
