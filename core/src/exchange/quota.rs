//! What a request takes from the ledger: how much is asked before it is sent, what the answer to that
//! means, and what is settled when it is over.
//!
//! ```text
//!            ┌── refused, and the estimate may be to blame ──▶ count ──▶ ask once more
//!   ask ─────┼── refused ──▶ the client is told which limit
//!            └── granted ──▶ hold ──▶ sent, over ──▶ (usage missing: count) ──▶ settle
//! ```

use super::record::Record;
use super::request::Request;
use crate::call::Task;
use crate::config::{RouteTarget, UnknownPrice};
use crate::count::{Family, Prompt, Uncounted};
use crate::fault::{Code, Fault};
use crate::fleet::Lane;
use crate::ledger::{Ask, AskCost, Entry, Hold, Settlement, Spent, Standing, Targets};
use crate::price::{PerMillion, Service};
use crate::units::{Estimated, Metered, Millis, NanoDollars, Requests, Tokens};
use crate::usage::{Quantity, Usage};
use memchr::memmem::Finder;
use std::sync::{Arc, LazyLock};

/// What a model may write whose cap nobody knows, when the client sets none either.
pub(super) const USUAL_CAP: Tokens = Tokens(16_384);

/// After its deadline, how long a request may take to settle.
const GRACE: Millis = Millis::from_secs(60);

/// What one million is, as prices are per million.
const MILLION: u64 = 1_000_000;

static SERVICE_TIER: LazyLock<Finder<'static>> = LazyLock::new(|| Finder::new("\"service_tier\""));

/// How a request stands with the ledger.
#[derive(Debug, Default)]
pub(super) struct Quota {
    hold: Option<Hold>,
    /// For the answer's headers.
    pub(super) standing: Standing,
    /// Targets that are not to be called.
    pub(super) closed: Targets,
    /// Targets that were called.
    called: Targets,
    /// The prompt's tokens as last estimated or counted.
    pub(super) input: Estimated<Tokens>,
    /// Whether that was counted.
    pub(super) certainty: Certainty,
}

/// Whether the prompt has been counted for the reservation.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Certainty {
    /// By its length.
    #[default]
    Estimated,
    /// As well as can be.
    Counted,
}

impl Quota {
    /// Of a request that these targets cannot serve.
    pub(super) fn without(closed: Targets) -> Self {
        Self { closed, ..Self::default() }
    }

    /// What is to be reserved; nothing for a request that no limit holds for. A fault where a budget
    /// would have to pay a price nobody knows.
    pub(super) fn entry(&mut self, request: &Request) -> Result<Option<Entry>, Fault> {
        if request.is_free() {
            return Ok(Self::entry_of_one(request));
        }
        if let Some(usage) = request.batch_usage() {
            return self.entry_of_batch(request, &usage);
        }
        let Some(mut entry) = bare(request) else { return Ok(None) };
        entry.targets = entry.targets.without(self.closed);
        if self.certainty == Certainty::Estimated {
            self.input = request.estimate();
        }
        let output = request.output();
        entry.ask =
            Ask { input: self.input, least_output: output.least, most_output: output.most, ..Ask::default() };
        if entry.claims.iter().any(|claim| claim.scope.limits.has_budget()) {
            let Priced { cost, unknown } = priced(request, self.input.0, entry.targets);
            let all_unknown = entry.targets.without(unknown).is_none();
            match request.config.server.unknown_price {
                UnknownPrice::RefuseUnderBudget if all_unknown => return Err(unpriced(request)),
                UnknownPrice::RefuseUnderBudget => self.closed = self.closed.or(unknown),
                UnknownPrice::Serve => {}
            }
            entry.ask.cost = (!all_unknown).then_some(cost);
        }
        Ok(Some(entry))
    }

    /// All calls of a batch at once, under a name of its own: the request that makes it has had one.
    fn entry_of_batch(&mut self, request: &Request, usage: &Usage) -> Result<Option<Entry>, Fault> {
        self.certainty = Certainty::Counted;
        let (Some(mut entry), Some(surveyed)) = (bare(request), request.surveyed()) else { return Ok(None) };
        entry.id = super::raw::batch_entry(request.id);
        let price = request.route.targets.first().and_then(|target| target.price.as_deref());
        let cost = request.batch_cost(usage, price);
        let has_budget = entry.claims.iter().any(|claim| claim.scope.limits.has_budget());
        if has_budget
            && cost.is_none()
            && request.config.server.unknown_price == UnknownPrice::RefuseUnderBudget
        {
            return Err(unpriced(request));
        }
        let (input, output) = (Estimated(usage.prompt()), Estimated(usage.output));
        let more = Requests(surveyed.calls.saturating_sub(1));
        entry.ask = Ask { more, input, least_output: output, most_output: output, cost };
        Ok(Some(entry))
    }

    /// Whether anything was sent.
    pub(super) fn has_called(&self) -> bool {
        !self.called.is_none()
    }

    /// What is reserved for a request that consumes nothing, as it is refused, its answer was kept or it
    /// asks for a count: it counts as one.
    pub(super) fn entry_of_one(request: &Request) -> Option<Entry> {
        let mut entry = bare(request)?;
        entry.ask.cost = Some(AskCost::default());
        Some(entry)
    }

    /// The ledger has granted.
    pub(super) fn granted(&mut self, hold: Hold) {
        self.standing = hold.standing;
        self.closed = self.closed.or(hold.closed);
        self.hold = Some(hold);
    }

    /// How much output has been paid for; absent where nothing limits it.
    pub(super) fn paid(&self) -> Option<Tokens> {
        let hold = self.hold.as_ref()?;
        let limited = |claim: &crate::ledger::Claim| {
            claim.scope.limits.limits_tokens() || claim.scope.limits.has_budget()
        };
        hold.entry.claims.iter().any(limited).then_some(hold.output)
    }

    /// The cap to send upstream, where less output was granted than a model may write and the client
    /// has set no cap of its own.
    pub(super) fn cap(&self, request: &Request) -> Option<Tokens> {
        let hold = self.hold.as_ref()?;
        let unasked = request.envelope.max_tokens.is_none();
        let choices = request.choices();
        let cap = Tokens((hold.output.get() / choices).max(1));
        (unasked && self.paid().is_some() && hold.output < hold.entry.ask.most_output.0).then_some(cap)
    }

    /// A target is called.
    pub(super) fn sent(&mut self, lane: Lane) {
        self.called = self.called.with(lane.target);
    }

    /// Ends the hold, if there is one.
    pub(super) fn end(&mut self, record: &Record) -> Option<Ended> {
        let hold = self.hold.take()?;
        let settlement = if record.attempts == 0 {
            Settlement::Release
        } else {
            let usage = record.usage.as_deref();
            Settlement::Settle(Spent {
                input: Metered(usage.map(Usage::prompt).unwrap_or_default() + record.wasted.input),
                output: Metered(usage.map(|usage| usage.output).unwrap_or_default() + record.wasted.output),
                cost: record.cost.amount().unwrap_or_default(),
                targets: self.called,
            })
        };
        Some(Ended { hold, settlement })
    }
}

/// A hold and what ends it.
#[derive(Debug)]
pub struct Ended {
    /// The hold.
    pub hold: Hold,
    /// What ends it.
    pub settlement: Settlement,
}

/// An entry that asks for nothing but to count as a request.
pub(super) fn bare(request: &Request) -> Option<Entry> {
    let caller = request.caller.as_ref()?;
    let end_user = request.end_user.as_deref();
    let claims = caller.claims(&request.config, &request.route, &request.envelope.model, end_user);
    if claims.is_empty() {
        return None;
    }
    let many = request.route.targets.len() + request.route.fallbacks.len();
    let targets = (0..many).filter_map(|at| u16::try_from(at).ok()).fold(Targets::NONE, Targets::with);
    Some(Entry {
        id: request.id,
        book: Arc::clone(&caller.book),
        claims,
        targets,
        ask: Ask::default(),
        lease: request.deadline.since(request.at) + GRACE,
    })
}

/// Bounds of the output.
pub(super) struct Output {
    /// What makes the call worth sending.
    pub(super) least: Estimated<Tokens>,
    /// The most it can be.
    pub(super) most: Estimated<Tokens>,
}

impl Request {
    /// An upper bound of the prompt's tokens.
    pub(super) fn estimate(&self) -> Estimated<Tokens> {
        self.gauge.bound(self.family(), &self.envelope)
    }

    /// The tokenizer of the first target's model.
    pub(super) fn family(&self) -> Family {
        self.route.targets.first().map_or(Family::Unknown, |target| Family::of(&target.model))
    }

    /// The tokenizer of the model that was called.
    pub(super) fn family_at(&self, called: Option<Lane>) -> Family {
        let target = called.and_then(|lane| self.target(lane));
        target.map_or_else(|| self.family(), |target| Family::of(&target.model))
    }

    /// The provider that was called has counted the prompt.
    pub(super) fn observe(&self, called: Option<Lane>, counted: Tokens) {
        self.gauge.learn(self.family_at(called), &self.envelope, counted);
    }

    /// The body, to be counted.
    pub(super) fn prompt(&self) -> Prompt {
        Prompt { surface: self.surface, body: self.body.clone() }
    }

    /// The prompt alone, to be counted.
    pub(super) fn uncounted_prompt(&self) -> Uncounted {
        Uncounted::prompt(self.family(), self.prompt())
    }

    /// How many answers are asked for.
    pub(super) fn choices(&self) -> u64 {
        self.envelope.n.max(1)
    }

    /// The client's cap is reserved in full. Without one the call is worth sending for any output at
    /// all, up to what its models can write.
    fn output(&self) -> Output {
        let choices = self.choices();
        let times = |tokens: Tokens| Estimated(Tokens(tokens.get().saturating_mul(choices)));
        if self.embeds() || self.task().is_some_and(Task::only_reads) {
            return Output { least: Estimated(Tokens::ZERO), most: Estimated(Tokens::ZERO) };
        }
        if let Some(task) = self.task() {
            // No upstream can be told a cap, so nothing less is worth sending.
            let quantity = self.quantity();
            let mut targets = self.route.targets.iter().chain(&self.route.fallbacks);
            let by_tokens = targets.any(|target| of_quantity(target, quantity.as_ref()).is_none());
            let all =
                if by_tokens { times(self.known_cap().unwrap_or(usual(task))) } else { times(Tokens::ZERO) };
            return Output { least: all, most: all };
        }
        match self.envelope.max_tokens {
            Some(cap) => {
                let cap = times(cap.min(self.known_cap().unwrap_or(cap)));
                Output { least: cap, most: cap }
            }
            None => {
                let most = times(self.known_cap().unwrap_or(USUAL_CAP));
                Output { least: Estimated(Tokens(choices)).min(most), most }
            }
        }
    }

    /// The most that any of the models writes; absent where that is not known of one of them.
    pub(super) fn known_cap(&self) -> Option<Tokens> {
        let caps = self.route.targets.iter().chain(&self.route.fallbacks).map(|target| target.writes);
        caps.reduce(|one, other| Some(one?.max(other?))).flatten()
    }
}

/// What a task may write at most where nobody knows better: OpenAI's largest pictures are some 6,300
/// tokens each, and a transcript has 2,000 at most.
const fn usual(task: Task) -> Tokens {
    match task {
        Task::Draw | Task::EditImage | Task::VaryImage => Tokens(8_192),
        Task::Speak => USUAL_CAP,
        Task::Transcribe | Task::TranslateSpeech => Tokens(2_048),
        Task::Moderate | Task::Rerank => Tokens::ZERO,
    }
}

/// What so much costs at a target, if that is what its price is for.
fn of_quantity(target: &RouteTarget, quantity: Option<&Quantity>) -> Option<NanoDollars> {
    let price = target.price.as_deref()?;
    price.row.of_quantity(quantity?, price.terms)
}

/// What the dearest of some of a route's targets asks.
pub(super) struct Priced {
    pub(super) cost: AskCost,
    /// Targets whose price is not known.
    pub(super) unknown: Targets,
}

pub(super) fn priced(request: &Request, input: Tokens, which: Targets) -> Priced {
    let mut priced = Priced { cost: AskCost::default(), unknown: Targets::NONE };
    // A service that is dearer than the usual one has to be asked for.
    let asks_service = SERVICE_TIER.find(&request.body).is_some();
    let service = if asks_service { Service::Priority } else { Service::Standard };
    let quantity = request.quantity();
    let targets = (0..).zip(request.route.targets.iter().chain(&request.route.fallbacks));
    for (at, target) in targets.filter(|(at, _)| which.holds(*at)) {
        let instead =
            of_quantity(target, quantity.as_ref()).map(|fixed| AskCost { fixed, ..AskCost::default() });
        match instead.or_else(|| cost_at(target, input, service)) {
            Some(cost) => {
                priced.cost.fixed = priced.cost.fixed.max(cost.fixed);
                priced.cost.output = priced.cost.output.max(cost.output);
            }
            None => priced.unknown = priced.unknown.with(at),
        }
    }
    priced
}

/// What a call costs at a target into which so much goes, and out of which comes so much, at most; absent
/// where that is not known.
pub(super) fn cost(
    request: &Request,
    target: &RouteTarget,
    input: Tokens,
    output: Tokens,
) -> Option<NanoDollars> {
    if let Some(instead) = of_quantity(target, request.quantity().as_ref()) {
        return Some(instead);
    }
    cost_at(target, input, Service::Standard).map(|cost| cost.with_output(output))
}

/// The price of a million tokens of output is what a million more cost.
fn cost_at(target: &RouteTarget, input: Tokens, service: Service) -> Option<AskCost> {
    let price = target.price.as_deref()?;
    let dearest = price.row.dearest(input, service);
    let with = |output| dearest.with_output(Tokens(output), price.terms).ok();
    let fixed: NanoDollars = with(0)?;
    let million = with(MILLION)?;
    Some(AskCost { fixed, output: PerMillion(million.less(fixed).get()) })
}

pub(super) fn unpriced(request: &Request) -> Fault {
    let model = &request.envelope.model;
    if model.is_empty() {
        let message = "what this call costs is not known here, so no budget can pay for it: call it with a \
                       key that has none, or set server.unknown_price = \"serve\"";
        return Fault::new(Code::BudgetExceeded, message);
    }
    let message = format!(
        "the price of `{model}` is not known here, so no budget can pay for it: ask for another model, \
         or have its price added under [prices]"
    );
    Fault::new(Code::BudgetExceeded, message).at("model")
}
