//! What one account alone understands, in requests and in answers: see [`crate::maker`].

use super::request::Request;
use crate::config::{Config, ProviderId, Route};
use crate::dialect::Dialect;
use crate::fault::{Code, Fault};
use crate::fleet::Lane;
use crate::maker::{Ids, Maker, Marks, Need, Pin};
use crate::surface::{Envelope, Surface};
use crate::vendor::Vendor;

impl Request {
    /// The account that a lane is called with.
    pub(super) fn account(&self, lane: Lane) -> Maker {
        Maker::of(self.provider_name(lane), self.credential_name(lane))
    }

    /// What is marked of this upstream's answer, where there are others to which it could come back.
    pub(super) fn marks(&self, lane: Lane, vendor: &Vendor) -> Option<Marks> {
        let has_any = vendor.dialect == Dialect::OpenAiResponses && !self.is_raw();
        if !has_any || !several(&self.config, |_| true) {
            return None;
        }
        let maker = self.account(lane);
        let Route { targets, fallbacks, .. } = &*self.route;
        let reached = |id: &ProviderId| targets.iter().chain(fallbacks).any(|to| to.provider == *id);
        let ids = if several(&self.config, reached) { Ids::Marked } else { Ids::Plain };
        Some(Marks { maker, ids })
    }

    /// What is said of a request that no lane could take: where one account alone could, that is why.
    pub(super) fn of_one_account(&self, fault: Fault) -> Fault {
        let Some(Pin { maker, need: Need::Must }) = self.pin else { return fault };
        let field = match self.envelope.places.made.last().and_then(|made| self.body.get(made.mark.start)) {
            Some(b'-') => "previous_response_id",
            Some(_) | None => "input",
        };
        let Route { targets, fallbacks, .. } = &*self.route;
        let mut keys = targets.iter().chain(fallbacks).filter_map(|to| self.config.provider(to.provider));
        let is_there = keys.any(|provider| {
            provider.credentials.iter().any(|key| Maker::of(&provider.name, &key.name) == maker)
        });
        if is_there {
            let message = format!("`{field}` can be told to one upstream only: {}", fault.message);
            return fault.saying(message);
        }
        let message = format!(
            "`{field}` can be told only to the upstream that made it, where this model does not lead"
        );
        Fault::new(Code::BadField, message).at(field)
    }
}

/// Whether these providers have several accounts that give out what only they understand.
fn several(config: &Config, among: impl Fn(&ProviderId) -> bool) -> bool {
    let ids = (0..).map(ProviderId);
    let makers = config.providers.iter().zip(ids).filter(|(provider, id)| {
        let also = provider.vendor.also.filter(|_| provider.speaks_one.get().is_none());
        let mut speaks = [provider.vendor].into_iter().chain(also).map(|vendor| vendor.dialect);
        speaks.any(|dialect| dialect == Dialect::OpenAiResponses) && among(id)
    });
    makers.map(|(provider, _)| provider.credentials.len()).sum::<usize>() > 1
}

/// Where a request has to go. Of several makers the one counts that was last, as it has seen the most.
pub(super) fn pin(config: &Config, surface: &dyn Surface, envelope: &Envelope, body: &[u8]) -> Option<Pin> {
    if surface.dialect() == Dialect::OpenAiResponses {
        let pins = || envelope.places.made.iter().rev().map(|made| made.pin);
        return pins().find(|pin| pin.need == Need::Must).or_else(|| pins().next());
    }
    // Inside a proof of another dialect.
    let maker = if several(config, |_| true) { Maker::last_in(body) } else { None };
    maker.map(|maker| Pin { maker, need: Need::Wish })
}
