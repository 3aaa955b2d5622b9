//! Which of a route's targets have such calls at all: a task or vectors are not what every dialect has, nor
//! every upstream of a dialect that has them.

use super::attempt::spoken;
use super::request::Request;
use crate::config::RouteTarget;
use crate::fault::{Code, Fault, UpstreamFault};
use crate::ledger::Targets;
use crate::provider::{self, Target};
use crate::retry;

impl Request {
    /// Whether a target may lack what is asked for, which then says nothing of the others.
    fn asks_the_uncommon(&self) -> bool {
        !self.is_raw() && (self.task().is_some() || self.embeds())
    }

    /// Targets whose dialect has no such calls.
    pub(super) fn unable(&self) -> Targets {
        if !self.asks_the_uncommon() {
            return Targets::NONE;
        }
        let targets = (0..).zip(self.route.targets.iter().chain(&self.route.fallbacks));
        let unable = targets.filter(|(_, target)| self.lacks(target).is_some());
        unable.map(|(at, _)| at).fold(Targets::NONE, Targets::with)
    }

    /// Why nobody can be asked, where all targets are like that.
    pub(super) fn unserved(&self) -> Option<Fault> {
        if !self.asks_the_uncommon() {
            return None;
        }
        let mut targets = self.route.targets.iter().chain(&self.route.fallbacks).map(|one| self.lacks(one));
        let first = targets.next()??;
        targets.all(|lacks| lacks.is_some()).then_some(())?;
        let message = format!("{first} has no such calls: ask for a model of another provider");
        Some(Fault::new(Code::Unsupported, message).at("model"))
    }

    /// The vendor's title, where its dialect has no such calls.
    fn lacks(&self, target: &RouteTarget) -> Option<&'static str> {
        let provider = self.config.provider(target.provider)?;
        let vendor = spoken(provider, self.surface.dialect(), &target.model);
        let asked = Target { vendor, model: &target.model };
        let endpoint = provider::of(vendor.dialect).endpoint(&asked, self.purpose());
        endpoint.is_none().then_some(vendor.title)
    }

    /// Whether an upstream has said that it has no such path, so that another one may have it.
    pub(super) fn is_lacked(&self, fault: &UpstreamFault) -> bool {
        self.asks_the_uncommon() && retry::is_no_such_path(fault)
    }
}
