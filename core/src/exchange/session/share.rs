//! What the responses of a session may consume, and what they have.

use super::meter::{self, Counts, Told};
use super::stop::{self, Running, Stop};
use super::{Session, Side, Step};
use crate::config::{Priced, UnknownPrice};
use crate::count::Basis;
use crate::exchange::RequestId;
use crate::exchange::quota::{self, USUAL_CAP};
use crate::fault::Fault;
use crate::fleet::Notice;
use crate::host::Message;
use crate::ledger::{Ask, Claim, Entry, Hold, Scope, Settlement, Spent, Targets};
use crate::price::{Charge, Served};
use crate::units::{Estimated, Metered, Millis, Requests, Time, Tokens};
use std::sync::Arc;

/// A share that is older when a response begins is taken anew: what a limit per minute counts, it counts
/// from the moment it was taken.
const FRESH: Millis = Millis::from_secs(20);

/// What the next response may consume, and what is known of the one that is being written.
#[derive(Debug, Default)]
pub(super) struct Share {
    hold: Option<Hold>,
    /// When it was taken.
    at: Time,
    /// How many there were.
    count: u64,
    /// The prompt of the next response, as far as the last one tells.
    context: Tokens,
    /// The response that is not over.
    running: Option<Running>,
    /// Whether one was stopped.
    stop: Stop,
    /// The model that writes the client's speech down.
    transcribes: Option<String>,
}

impl Share {
    pub(super) fn taken(&mut self, hold: Hold, now: Time) {
        self.hold = Some(hold);
        self.at = now;
    }

    /// What is held, as nothing was consumed of it.
    pub(super) fn give_back(&mut self) -> Option<Hold> {
        self.hold.take()
    }
}

impl Session {
    /// What the next response may consume: the prompt as it was last, and all that the model may write, or
    /// as much of it as there is room for. Nothing where neither tokens nor money are limited.
    pub(super) fn next_share(&mut self) -> Result<Option<Entry>, Fault> {
        let request = &self.request;
        let Some(bare) = quota::bare(request) else { return Ok(None) };
        let targets = match self.lane {
            Some(lane) => Targets::NONE.with(lane.target),
            None => bare.targets.without(self.closed),
        };
        let claims = bare.claims.iter().filter_map(part).filter(|claim| claim.targets.meets(targets));
        let claims: Vec<Claim> = claims.collect();
        if claims.is_empty() {
            return Ok(None);
        }
        let most = Estimated(request.known_cap().unwrap_or(USUAL_CAP));
        let input = Estimated(self.share.context);
        let mut ask = Ask {
            more: Requests::ZERO,
            input,
            least_output: Estimated(Tokens(1)),
            most_output: most,
            cost: None,
        };
        let mut targets = targets;
        if claims.iter().any(|claim| claim.scope.limits.has_budget()) {
            let quota::Priced { cost, unknown } = quota::priced(request, input.0, targets);
            let all_unknown = targets.without(unknown).is_none();
            match request.config.server.unknown_price {
                UnknownPrice::RefuseUnderBudget if all_unknown => return Err(quota::unpriced(request)),
                UnknownPrice::RefuseUnderBudget => {
                    self.closed = self.closed.or(unknown);
                    targets = targets.without(unknown);
                }
                UnknownPrice::Serve => {}
            }
            ask.cost = (!all_unknown).then_some(cost);
        }
        self.share.count += 1;
        let id = RequestId(self.request.id.0.wrapping_add(u128::from(self.share.count)));
        Ok(Some(Entry { id, claims, targets, ask, lease: self.lease(), ..bare }))
    }

    /// The upstream has said something: it passes, and what it tells is charged.
    pub(super) fn on_said(&mut self, message: Message, now: Time) {
        let told = match &message {
            Message::Text(text) => meter::told(text),
            Message::Binary(_) => Told::Nothing,
        };
        if let Some(running) = &mut self.share.running {
            running.heard(message.bytes());
        }
        if self.share.stop.hides(message.bytes()) {
            return;
        }
        match told {
            Told::Nothing => {
                self.pass(message);
                self.stop_if_used_up(now);
            }
            Told::Transcribes(model) => {
                self.share.transcribes = Some(model);
                self.pass(message);
            }
            Told::Begun(id) => {
                self.share.running = Some(Running::new(id));
                self.pass(message);
                if self.share.hold.is_some() && now >= self.share.at + FRESH {
                    self.take_anew(Settlement::Release, now);
                }
            }
            Told::Done(counts) => {
                let running = self.share.running.take().unwrap_or_default();
                let stopped = self.share.stop.ended(&message);
                let unsaid = stopped.as_ref().map(|_| Counts::of(self.share.context, running.written));
                self.pass(stopped.unwrap_or(message));
                // One that failed at once says nothing, and has consumed nothing.
                let Some(counts) = counts.or(unsaid) else { return };
                let usage = counts.usage();
                self.share.context = usage.prompt() + usage.output;
                self.charge(&counts, self.price(), now);
            }
            Told::Transcribed(counts) => {
                let price = self.transcript_price().or_else(|| self.price());
                self.pass(message);
                self.charge(&counts, price, now);
            }
        }
    }

    /// Stops the response that has used up what was paid for it.
    fn stop_if_used_up(&mut self, now: Time) {
        let Share { hold: Some(hold), running: Some(running), stop: Stop::Never | Stop::Over, .. } =
            &self.share
        else {
            return;
        };
        if running.has_used_up(hold.output) {
            self.steps.push_back(Step::Send(Side::Server, stop::cancel(running)));
            self.share.stop = Stop::of(running, now);
        }
    }

    /// When a response that was stopped should have ended.
    pub(super) fn stops_at(&self) -> Time {
        self.share.stop.until()
    }

    /// Ends the response that is being written, as nothing more is paid for.
    pub(super) fn end_response(&mut self) {
        if let Some(running) = &self.share.running {
            let event_id = format!("event_{}", self.request.id);
            self.steps.push_back(Step::Send(Side::Server, stop::cancel(running)));
            self.steps.push_back(Step::Send(Side::Client, stop::done(running, &event_id)));
        }
    }

    fn pass(&mut self, message: Message) {
        self.steps.push_back(Step::Send(Side::Client, message));
    }

    /// Of the model that is talked to.
    fn price(&self) -> Option<Arc<Priced>> {
        self.request.target(self.lane?)?.price.clone()
    }

    /// Of the model that writes speech down, where the catalogue or the config has it.
    fn transcript_price(&self) -> Option<Arc<Priced>> {
        let name = [self.request.provider_name(self.lane?), self.share.transcribes.as_deref()?].join("/");
        let route = self.request.config.route_for(&name, &[], None).ok()?;
        route.targets.first()?.price.clone()
    }

    /// Books what was consumed, and takes the next share.
    fn charge(&mut self, counts: &Counts, price: Option<Arc<Priced>>, now: Time) {
        let spent = self.book(counts, price.as_deref(), now);
        self.take_anew(Settlement::Settle(spent), now);
    }

    /// Ends the share with this, and takes the next one.
    fn take_anew(&mut self, settlement: Settlement, now: Time) {
        let Some(hold) = self.share.hold.take() else { return };
        self.steps.push_back(Step::Settle(hold, settlement));
        match self.next_share() {
            Ok(Some(entry)) => self.steps.push_back(Step::Reserve(entry)),
            Ok(None) => {}
            Err(fault) => self.cut(&fault, 1008, now),
        }
    }

    /// Adds to the record what was consumed.
    fn book(&mut self, counts: &Counts, price: Option<&Priced>, now: Time) -> Spent {
        let usage = counts.usage();
        let served = Served::of(&usage, now);
        let terms = price.map(|price| price.terms);
        let cost = price
            .and_then(|price| price.row.total(&counts.consumed(), &served, terms.unwrap_or_default()).ok());
        let so_far = self.record.cost;
        self.record.cost = cost.map_or(Charge::Unknown, |cost| match so_far {
            Charge::Nothing => Charge::Computed(cost),
            Charge::Computed(_) | Charge::Reported(_) | Charge::Unknown => so_far.and(cost),
        });
        let tokens = Metered(usage.prompt() + usage.output);
        if let Some(lane) = self.lane.filter(|lane| self.request.limits_tokens(*lane)) {
            self.steps.push_back(Step::Notice(lane, Notice::Spent(tokens)));
        }
        let spent = Spent {
            input: Metered(usage.prompt()),
            output: Metered(usage.output),
            cost: cost.unwrap_or_default(),
            targets: self.called,
        };
        meter::add(self.record.usage.get_or_insert_default(), &usage);
        spent
    }

    /// A response that is not over will not be heard to its end: what its upstream may bill is charged, as
    /// the dearest that it can have been.
    pub(super) fn charge_unfinished(&mut self, now: Time) {
        let Some(Running { written, .. }) = self.share.running.take() else { return };
        let counts = Counts::of(self.share.context, written);
        let target = self.lane.and_then(|lane| self.request.target(lane));
        let dearest =
            target.and_then(|target| quota::cost(&self.request, target, self.share.context, written));
        let so_far = self.record.cost;
        let mut spent = self.book(&counts, None, now);
        self.record.cost = dearest.map_or(Charge::Unknown, |cost| so_far.and(cost));
        self.record.basis = Basis::Estimated;
        spent.cost = dearest.unwrap_or_default();
        if let Some(hold) = self.share.hold.take() {
            self.steps.push_back(Step::Settle(hold, Settlement::Settle(spent)));
        }
    }
}

/// The claim of a part of a request, where tokens or money are limited.
fn part(claim: &Claim) -> Option<Claim> {
    let Claim { scope, targets } = claim;
    let limits = &scope.limits;
    (limits.limits_tokens() || limits.has_budget()).then(|| Claim {
        scope: Arc::new(Scope::new(scope.name.clone(), limits.of_a_part())),
        targets: *targets,
    })
}
