//! Requests that pass to a provider as they came, and batches of calls in files.
//!
//! ```text
//! pass-through   whose? whose model? ──▶ ADMIT ──▶ sent as it came ──▶ answered as it came ──▶ settled
//!                                                     ▲      └─ refused or failed: another key, as far as any
//!                                                     └──────── is left; the last one's own words else
//! a new batch    ──▶ ADMIT (one request) ──▶ the file is fetched and looked through ──▶ settled
//!                ──▶ ADMIT (all its calls) ──▶ sent ──▶ settled: what was reserved, unless refused
//! ```
//! A file is fetched from its provider rather than remembered, so that every host and gateway knows what
//! is in it, whoever has put it there.

use super::quota::Quota;
use super::read::{Reading, Whole};
use super::request::{Found, Request};
use super::{Exchange, RequestId, Step};
use crate::batch::{Survey, Surveyed};
use crate::config::{ATTEMPTS, Account, Config, Priced, ProviderId, Route};
use crate::count::Basis;
use crate::dialect::Dialect;
use crate::directory::Caller;
use crate::fault::{Code, Fault, UpstreamClass, UpstreamFault};
use crate::fleet::{Attempt, Lane, Outcome};
use crate::ledger::AskCost;
use crate::price::{Charge, Served};
use crate::retry::{self, Verdict};
use crate::surface::{Costs, Envelope, Raw, openai_files};
use crate::through;
use crate::units::Time;
use crate::usage::Usage;
use bytes::Bytes;
use http::Method;
use std::sync::Arc;

/// What makes the name of a batch's own entry in the ledger, of that of its request.
const BATCH: u128 = 0xba7c_0000_0000_0000;

/// A batch that is being made.
#[derive(Debug)]
pub(super) enum Batch {
    /// Its file is to be looked through.
    Unseen,
    /// It was.
    Seen(Surveyed),
}

impl Request {
    /// Whether it passes as it came with any of its provider's keys.
    pub(super) fn spreads(&self) -> bool {
        self.is_raw() && self.route.account == Account::Any
    }

    /// Whether it passes as it came, and its answer whatever its status.
    pub(super) fn is_raw(&self) -> bool {
        self.line.raw.is_some()
    }

    /// Whether it costs nothing, as far as it goes by now.
    pub(super) fn is_free(&self) -> bool {
        let raw = self.line.raw.as_deref();
        self.counts()
            || matches!(self.batch, Some(Batch::Unseen))
            || self.batch.is_none() && raw.is_some_and(|raw| raw.costs == Costs::Nothing)
    }

    /// What its file holds, where it makes a batch of one.
    pub(super) fn surveyed(&self) -> Option<&Surveyed> {
        match &self.batch {
            Some(Batch::Seen(surveyed)) => Some(surveyed),
            Some(Batch::Unseen) | None => None,
        }
    }

    /// What a batch may come to consume at most, at a provider's price for batches.
    pub(super) fn batch_usage(&self) -> Option<Usage> {
        let surveyed = self.surveyed()?;
        let most = self.route.targets.first().and_then(|target| target.writes);
        Some(Usage {
            fresh_input: surveyed.input,
            output: surveyed.output(most.unwrap_or(super::quota::USUAL_CAP)),
            service_tier: Some("batch".into()),
            ..Usage::default()
        })
    }

    /// The cost of that; absent where no price is known.
    pub(super) fn batch_cost(&self, usage: &Usage, price: Option<&Priced>) -> Option<AskCost> {
        let price = price?;
        let charge = Charge::of(usage, Some(&price.row), &Served::of(usage, self.at), price.terms);
        Some(AskCost { fixed: charge.amount()?, ..AskCost::default() })
    }

    /// What is sent in place of its own: a question for the file, as long as that was not looked through.
    pub(super) fn asks_raw(&self) -> Result<Option<(Method, String, Bytes)>, Fault> {
        let Some(raw) = self.line.raw.as_deref() else { return Ok(None) };
        if let Some(Batch::Unseen) = self.batch {
            let file = openai_files::batch_file(&self.body)?;
            let below = format!("/files/{}/content", crate::through::segment(&file));
            return Ok(Some((Method::GET, below, Bytes::new())));
        }
        Ok(Some((raw.method.clone(), raw.below.clone(), self.body.clone())))
    }

    /// What looks through an answer that is a batch's file.
    pub(super) fn survey(&self) -> Option<Box<Survey>> {
        matches!(self.batch, Some(Batch::Unseen)).then(Box::default)
    }
}

/// Whom a request that passes is for, if it may be.
pub(super) fn find(
    config: &Config,
    raw: &Raw,
    envelope: Envelope,
    is_batch: bool,
    caller: Option<&Caller>,
) -> Result<Found, Fault> {
    let provider = provider(config, raw)?;
    // What a batch may ask for is known once its file was looked through; what else is done to files
    // names no model.
    let any = raw.provider.is_none() || is_batch || is_files(raw);
    let route = match envelope.model.is_empty() && any {
        true => config.account(provider, ""),
        false => route(config, provider, &envelope.model, caller)?,
    };
    let route = spread(route, raw, &envelope.model);
    Ok(Found { envelope, route: Arc::new(route) })
}

/// With which keys a call goes, and how often. What names a model and leaves nothing behind is as good with
/// any key. Else what it speaks of is known to one account: there it is repeated if that changes nothing.
fn spread(route: Route, raw: &Raw, model: &str) -> Route {
    let keeps = through::is_kept(&raw.below);
    match raw.method.is_idempotent() {
        _ if !model.is_empty() && !keeps => Route { account: Account::Any, attempts: ATTEMPTS, ..route },
        true => Route { attempts: ATTEMPTS, ..route },
        false => route,
    }
}

fn is_files(raw: &Raw) -> bool {
    raw.below.starts_with("/files") || raw.below.starts_with("/batches")
}

fn provider(config: &Config, raw: &Raw) -> Result<ProviderId, Fault> {
    if let Some(name) = &raw.provider {
        let found = config.provider_named(name);
        return found.ok_or_else(|| {
            let message = "x-tollgate-provider: expected the name of a provider, found another";
            Fault::new(Code::BadField, message).at("x-tollgate-provider")
        });
    }
    let serves = |id: &ProviderId| config.provider(*id).is_some_and(|it| it.dialect == Dialect::OpenAi);
    let mut serving = (0..).zip(&config.providers).map(|(id, _)| ProviderId(id)).filter(serves);
    match (serving.next(), serving.next()) {
        (Some(only), None) => Ok(only),
        (None, _) => Err(Fault::new(Code::NoRoute, "no provider that is configured here keeps files")),
        (Some(first), Some(_)) => {
            let named = config.provider_named("openai").filter(serves);
            let name = |id: ProviderId| config.provider(id).map_or("", |provider| &provider.name);
            named.ok_or_else(|| {
                let message = format!(
                    "several providers may keep files: name one, as in `x-tollgate-provider: {}` or `?provider={0}`",
                    name(first)
                );
                Fault::new(Code::BadField, message).at("x-tollgate-provider")
            })
        }
    }
}

/// The way to a provider's model, if the key may ask for it; without a model, if it may ask for all.
fn route(
    config: &Config,
    provider: ProviderId,
    model: &str,
    caller: Option<&Caller>,
) -> Result<Route, Fault> {
    let name = config.provider(provider).map_or("", |provider| &provider.name);
    let allowed = |name: &str| caller.is_none_or(|caller| caller.allows(name));
    let bare = || !model.is_empty() && allowed(model) && config.leads_to(model, provider);
    if allowed(&format!("{name}/{model}")) || bare() {
        return Ok(config.account(provider, model));
    }
    let message = match model {
        "" => format!(
            "the key presented may not use all of {name}, and the call names no model: ask for it in \
             `model`, or have `{name}/*` added to the key's models"
        ),
        model => format!("the key presented may not use the model `{model}` of {name}"),
    };
    Err(Fault::new(Code::ModelNotAllowed, message).at("model"))
}

/// An upstream's own refusal, as long as others are asked.
#[derive(Debug)]
pub(super) struct Refused {
    reading: Reading,
    whole: Whole,
}

impl Exchange {
    /// A whole answer to what passes as it came. One by which the upstream itself has failed is shown only if
    /// nobody else answers.
    pub(super) fn answer_raw(&mut self, reading: Reading, whole: Whole, now: Time) {
        let fault = reading.is_refusal().then(|| reading.fault(&whole.body));
        let failed = fault.filter(|fault| retry::verdict(fault.class) != Verdict::PassOn);
        let Some(UpstreamFault { class, retry_after, .. }) = failed else {
            return self.answer_whole(reading, whole, now);
        };
        let lane = reading.sent.lane;
        // A key that one path refuses may be good for all others.
        let of_key = matches!(class, UpstreamClass::Auth | UpstreamClass::Billing | UpstreamClass::Forbidden);
        let outcome = match of_key && (class == UpstreamClass::Forbidden || !self.request.spreads()) {
            true => Outcome::Unknown,
            false => Outcome::Failed { class, retry_after },
        };
        self.steps.push_back(Step::Observe(lane, outcome));
        self.attempts.push(Attempt { lane, class, at: now });
        self.refused = Some(Box::new(Refused { reading, whole }));
        self.choose();
    }

    /// Nobody else answers: the upstream's own refusal, if there was one.
    pub(super) fn answer_refused(&mut self, now: Time) -> bool {
        let Some(refused) = self.refused.take() else { return false };
        let Refused { reading, whole } = *refused;
        let blocked = self.tell_whole(&reading, whole, now);
        self.conclude(blocked, now);
        true
    }

    /// The file of a batch was looked through: what it holds is asked for.
    pub(super) fn surveyed(&mut self, lane: Lane, found: Result<Surveyed, Fault>, now: Time) {
        self.steps.push_back(Step::Observe(lane, Outcome::Unknown));
        let caller = self.request.caller.clone();
        let found = found.and_then(|surveyed| {
            let config = &self.request.config;
            let route = route(config, lane.provider, &surveyed.model, caller.as_deref());
            let route = route.map_err(|fault| {
                let message = format!("line 1: {}", fault.message);
                fault.saying(message)
            })?;
            Ok((surveyed, route))
        });
        let (surveyed, route) = match found {
            Ok(found) => found,
            Err(fault) => return self.refuse(&fault, now),
        };
        // The question is over: it was a request by itself.
        self.record.attempts = self.calls;
        if let Some(ended) = self.quota.end(&self.record) {
            self.steps.push_back(Step::Settle(ended));
        }
        self.quota = Quota::default();
        self.record.asked.clone_from(&surveyed.model);
        self.request.envelope.model.clone_from(&surveyed.model);
        self.request.route = Arc::new(route);
        self.request.batch = Some(Batch::Seen(surveyed));
        self.reserve(now);
    }

    /// A batch that may have been made is charged as it was reserved: what comes of it is told to nobody
    /// here.
    pub(super) fn charge_batch(&mut self) {
        let may_be_made = self.record.fault != Some(Code::UpstreamRefused.code());
        if let (Some(usage), true) = (self.request.batch_usage(), may_be_made && self.quota.has_called()) {
            self.unreported = None;
            self.record.usage = Some(Box::new(usage));
            self.record.basis = Basis::Estimated;
        }
    }
}

/// The name of a batch's entry.
pub(super) fn batch_entry(request: RequestId) -> RequestId {
    RequestId(request.0 ^ BATCH)
}
