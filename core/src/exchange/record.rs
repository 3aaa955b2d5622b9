//! What remains of a request when it is over.

use super::RequestId;
use super::request::Request;
use crate::cache::{CacheUse, StoredHead};
use crate::config::Priced;
use crate::count::{Basis, Counted};
use crate::directory::Caller;
use crate::fault::{Code, Fault};
use crate::fleet::Lane;
use crate::guard::Guarded;
use crate::price::{Charge, Served, Terms};
use crate::units::{Millis, NanoDollars, Time, Tokens};
use crate::usage::Usage;
use std::sync::Arc;

/// What remains of a request. Holds no secret and no text of prompt or answer (invariant I7).
#[derive(Clone, Debug, PartialEq)]
pub struct Record {
    /// The request.
    pub id: RequestId,
    /// When it came.
    pub at: Time,
    /// The surface it came to.
    pub surface: &'static str,
    /// Whose it is.
    pub caller: Option<Arc<Caller>>,
    /// The end user the client names, cut to 128 bytes.
    pub end_user: Option<String>,
    /// The client's own tags, as far as its key lets it set any.
    pub client_tags: Vec<String>,
    /// The model as the client named it.
    pub asked: String,
    /// The provider called last.
    pub provider: Option<String>,
    /// The model called last.
    pub model: Option<String>,
    /// Upstream calls made.
    pub attempts: u32,
    /// The status the client got; 499 if it left first.
    pub status: u16,
    /// The fault's code, if any.
    pub fault: Option<&'static str>,
    /// How it ended.
    pub ending: Ending,
    /// From sending the last call to its first content.
    pub first_byte: Option<Millis>,
    /// From beginning to end.
    pub total: Millis,
    /// What the provider reported, else what was counted.
    pub usage: Option<Box<Usage>>,
    /// Which of the two.
    pub basis: Basis,
    /// What calls before the last one may have been billed, though nothing came of them; not in `usage`,
    /// but in `cost`.
    pub wasted: Wasted,
    /// What it cost, and how that is known.
    pub cost: Charge,
    /// What the cache of answers was to it.
    pub cache: CacheUse,
    /// What guardrails have done.
    pub guarded: Vec<Guarded>,
}

/// What may have been billed for nothing: by calls that were cut or timed out.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Wasted {
    /// Prompt tokens, estimated.
    pub input: Tokens,
    /// Output tokens, all that was paid for.
    pub output: Tokens,
    /// What they cost.
    pub cost: NanoDollars,
}

/// How a request ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// With a complete answer, or a complete refusal.
    Complete,
    /// With a fault event in mid-stream.
    Cut,
    /// The client left.
    ClientLeft,
}

impl Record {
    pub(super) fn new(request: &Request, now: Time) -> Self {
        Self {
            id: request.id,
            at: now,
            surface: request.surface.name(),
            caller: request.caller.clone(),
            end_user: request.end_user.clone(),
            client_tags: request.client_tags.clone(),
            asked: request.envelope.model.clone(),
            provider: None,
            model: None,
            attempts: 0,
            status: 0,
            fault: None,
            ending: Ending::Complete,
            first_byte: None,
            total: Millis::ZERO,
            usage: None,
            basis: Basis::default(),
            wasted: Wasted::default(),
            cost: Charge::Nothing,
            cache: CacheUse::Off,
            guarded: Vec::new(),
        }
    }

    /// The answer was kept: by whom it was given first.
    pub(super) fn kept(&mut self, stored: &StoredHead) {
        self.provider = Some(stored.provider.clone());
        self.model = Some(stored.model.clone());
        self.status = 200;
    }

    pub(super) fn sent(&mut self, request: &Request, lane: Lane, calls: u32) {
        self.provider = Some(request.provider_name(lane).to_owned());
        self.model = request.target(lane).map(|target| target.model.clone());
        self.attempts = calls;
    }

    pub(super) fn answered(&mut self, status: u16, first_byte: Millis) {
        self.status = status;
        self.first_byte = Some(first_byte);
    }

    /// The provider's own refusal is the answer. It costs nothing.
    pub(super) fn refused(&mut self, status: u16) {
        self.status = status;
        self.fault = Some(Code::UpstreamRefused.code());
    }

    pub(super) fn failed(&mut self, fault: &Fault) {
        if self.status == 0 {
            self.status = fault.status();
        }
        self.fault = Some(fault.code.code());
    }

    /// Works out the cost from what is known by now. (hot)
    pub(super) fn charge(&mut self, price: Option<&Priced>, terms: Terms, now: Time) {
        let may_be_billed =
            self.first_byte.is_some() || (self.ending == Ending::ClientLeft && self.attempts > 0);
        self.cost = match &self.usage {
            Some(usage) => {
                let terms = price.map_or(terms, |price| price.terms);
                Charge::of(usage, price.map(|price| &price.row), &Served::of(usage, now), terms)
            }
            None if may_be_billed => Charge::Unknown,
            None => Charge::Nothing,
        }
        .and(self.wasted.cost);
    }

    /// Takes in what was counted in place of what nobody reported; see [`Counted::over`].
    pub(super) fn counted(&mut self, counted: Counted) {
        if counted.input.is_none() && counted.output.is_none() {
            return;
        }
        self.usage = Some(Box::new(counted.over(self.usage.as_deref())));
        self.basis = counted.basis;
    }

    /// Leaves an empty record behind.
    pub(super) fn take(&mut self) -> Box<Self> {
        let empty = Self {
            caller: None,
            end_user: None,
            client_tags: Vec::new(),
            asked: String::new(),
            provider: None,
            model: None,
            usage: None,
            guarded: Vec::new(),
            ..*self
        };
        Box::new(std::mem::replace(self, empty))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::price::{Origin, PriceRow, Rates};
    use crate::usage::Inclusive;

    fn record() -> Record {
        Record {
            id: RequestId(1),
            at: Time(0),
            surface: "openai-chat",
            caller: None,
            end_user: None,
            client_tags: Vec::new(),
            asked: "m".to_owned(),
            provider: None,
            model: None,
            attempts: 1,
            status: 0,
            fault: None,
            ending: Ending::Complete,
            first_byte: None,
            total: Millis::ZERO,
            usage: None,
            basis: Basis::default(),
            wasted: Wasted::default(),
            cost: Charge::Nothing,
            cache: CacheUse::Off,
            guarded: Vec::new(),
        }
    }

    fn cost(record: Record, price: Option<&Priced>) -> Charge {
        let mut record = record;
        record.charge(price, Terms::default(), Time(0));
        record.cost
    }

    fn free() -> Priced {
        let row = PriceRow::flat(Origin::OwnServer, Rates::default());
        Priced { row, terms: Terms::default(), blend: None }
    }

    #[test]
    fn a_call_that_was_refused_upstream_costs_nothing() {
        assert_eq!(cost(record(), Some(&free())), Charge::Nothing);
    }

    #[test]
    fn c7_an_answer_without_usage_has_an_unknown_cost_and_not_none() {
        let answered = Record { first_byte: Some(Millis(1)), ..record() };
        assert_eq!(cost(answered, Some(&free())), Charge::Unknown);
        let left = Record { ending: Ending::ClientLeft, ..record() };
        assert_eq!(cost(left.clone(), Some(&free())), Charge::Unknown);
        assert_eq!(cost(Record { attempts: 0, ..left }, None), Charge::Nothing, "nothing was sent");
    }

    #[test]
    fn c11_usage_without_a_price_is_unknown_and_what_the_provider_reports_wins() {
        let usage = Usage::from(Inclusive { prompt: Tokens(10), ..Inclusive::default() });
        let used = |usage: &Usage| Record { usage: Some(Box::new(usage.clone())), ..record() };
        assert_eq!(cost(used(&usage), None), Charge::Unknown);
        assert_eq!(cost(used(&usage), Some(&free())), Charge::Computed(NanoDollars::ZERO));
        let reported = Usage { reported_cost: Some(NanoDollars(7)), ..usage };
        assert_eq!(cost(used(&reported), Some(&free())), Charge::Reported(NanoDollars(7)));
        assert_eq!(cost(used(&reported), None), Charge::Reported(NanoDollars(7)));
    }
}
