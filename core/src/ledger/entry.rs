//! What is asked of the ledger, what it gives, and what ends that.

use super::report::{Reading, Report};
use super::window;
use crate::exchange::RequestId;
use crate::limit::Limits;
use crate::price::PerMillion;
use crate::units::{Estimated, Metered, Millis, NanoDollars, Requests, Tokens};
use std::sync::{Arc, OnceLock};

/// Whom limits are for, and what they are. Names are unique in a gateway and begin with their kind:
/// `key:ci`, `team:search`, `user:ann`, `organisation:acme`, `tag:batch`, `token:7f…`; a scope inside
/// another adds what it is for: `key:ci/model:gpt-4o`, `team:search/provider:openai`,
/// `team:search/end-user:77`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Scope {
    /// Unique.
    pub name: String,
    /// What it may consume, all its requests together.
    pub limits: Limits,
    /// Both as the ledger's own bytes, which every note of a hold has in it.
    form: Form,
}

impl Scope {
    /// A scope of this name.
    pub fn new(name: impl Into<String>, limits: Limits) -> Self {
        Self { name: name.into(), limits, form: Form::default() }
    }

    /// The ledger's own bytes, as `write` makes them of name and limits. They are made once: nobody may
    /// change either after that.
    pub(super) fn form(&self, write: impl FnOnce(&Self, &mut Vec<u8>)) -> &[u8] {
        self.form.0.get_or_init(|| {
            let mut out = Vec::new();
            write(self, &mut out);
            out.into()
        })
    }
}

/// Bytes that follow from what stands beside them, so that they make no difference to what is equal.
#[derive(Clone, Default)]
struct Form(OnceLock<Box<[u8]>>);

impl PartialEq for Form {
    fn eq(&self, _other: &Self) -> bool {
        true
    }
}

impl Eq for Form {}

impl std::fmt::Debug for Form {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("..")
    }
}

/// A scope that a request draws on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Claim {
    /// Whose limits.
    pub scope: Arc<Scope>,
    /// For which of the route's targets they hold.
    pub targets: Targets,
}

/// A set of a route's targets, counted through `route.targets` and on through `route.fallbacks`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Targets(pub u64);

impl Targets {
    /// None of them.
    pub const NONE: Self = Self(0);
    /// Every one, however many there are.
    pub const ALL: Self = Self(u64::MAX);

    /// Whether a target is among them. Those beyond the sixty-third are counted as one.
    pub const fn holds(self, target: u16) -> bool {
        let place = if target > 63 { 63 } else { target };
        self.0 & (1 << place) != 0
    }

    /// The same and this one.
    #[must_use]
    pub const fn with(self, target: u16) -> Self {
        let place = if target > 63 { 63 } else { target };
        Self(self.0 | (1 << place))
    }

    /// Those in either.
    #[must_use]
    pub const fn or(self, others: Self) -> Self {
        Self(self.0 | others.0)
    }

    /// Those that are not among the others.
    #[must_use]
    pub const fn without(self, others: Self) -> Self {
        Self(self.0 & !others.0)
    }

    /// Whether there is none.
    pub const fn is_none(self) -> bool {
        self.0 == 0
    }

    /// Whether there is one that is among the others too.
    pub const fn meets(self, others: Self) -> bool {
        self.0 & others.0 != 0
    }
}

/// What a request asks of the ledger.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Names the entry.
    pub id: RequestId,
    /// The organisation whose books it is in; everything one entry touches is in one book, so that a
    /// host may keep books apart (one object, one hash slot for each). Empty: the gateway's own.
    pub book: Arc<str>,
    /// All scopes it draws on. Those that hold for some targets only close these targets when they
    /// have no room; the entry is refused if none is left open.
    pub claims: Vec<Claim>,
    /// The targets the route has.
    pub targets: Targets,
    /// What it may come to consume.
    pub ask: Ask,
    /// How long it may stay open. One that is open longer has lost its gateway, and is charged in
    /// full.
    pub lease: Millis,
}

/// What a request may come to consume.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Ask {
    /// Requests besides the one: a batch is as many as it holds calls. They count in rates, not in flight.
    pub more: Requests,
    /// The prompt.
    pub input: Estimated<Tokens>,
    /// The least output that makes the call worth sending: all of the cap where the client set one.
    pub least_output: Estimated<Tokens>,
    /// The most it can be. What is granted lies between the two.
    pub most_output: Estimated<Tokens>,
    /// At the dearest target. Absent where the price is not known: budgets are then not asked.
    pub cost: Option<AskCost>,
}

impl Ask {
    /// The least output with which the call is sent: it cannot be nothing where there is to be some.
    pub(super) fn least(&self) -> Tokens {
        self.least_output.0.max(self.most().min(Tokens(1)))
    }

    /// The most output that is granted.
    pub(super) fn most(&self) -> Tokens {
        self.most_output.0.max(self.least_output.0)
    }
}

/// What a request may come to cost.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct AskCost {
    /// Before any output.
    pub fixed: NanoDollars,
    /// For output.
    pub output: PerMillion,
}

impl AskCost {
    /// With so much output; a started nano-dollar counts.
    pub fn with_output(&self, output: Tokens) -> NanoDollars {
        self.fixed + self.output.times(output.get()).rounded_up()
    }

    /// The most output that so much money pays for; absent where it does not even pay what is fixed.
    pub(super) fn output_within(&self, money: NanoDollars) -> Option<Tokens> {
        if money < self.fixed {
            return None;
        }
        let millionths = u128::from(money.less(self.fixed).get()) * 1_000_000;
        let tokens = millionths.checked_div(u128::from(self.output.0));
        Some(Tokens(tokens.and_then(|tokens| u64::try_from(tokens).ok()).unwrap_or(u64::MAX)))
    }
}

/// Quota taken in advance. Consumed by settling; dropping it would leave the books open.
#[must_use = "a hold must be settled"]
#[derive(Debug, PartialEq, Eq)]
pub struct Hold {
    /// What was asked.
    pub entry: Entry,
    /// Output that is paid for.
    pub output: Tokens,
    /// Targets whose own limits have no room.
    pub closed: Targets,
    /// For the answer's headers.
    pub standing: Standing,
}

impl Hold {
    /// Everything that is asked, taken from nobody: for a host that is told to serve while its ledger
    /// cannot be asked.
    pub fn unlimited(entry: Entry) -> Self {
        let output = entry.ask.most();
        Self { entry, output, closed: Targets::NONE, standing: Standing::default() }
    }

    /// All of it as what a call came to consume: what the books charge when its lease is over.
    pub fn in_full(&self) -> Spent {
        let Ask { input, cost, .. } = self.entry.ask;
        let cost = cost.map(|cost| cost.with_output(self.output)).unwrap_or_default();
        Spent { input: Metered(input.0), output: Metered(self.output), cost, targets: Targets::ALL }
    }

    /// The request it was taken for.
    pub fn id(&self) -> RequestId {
        self.entry.id
    }
}

/// How close a request's scopes are to their rate limits: of each kind the one with the least left.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Standing {
    /// Requests a minute.
    pub requests: Option<Level<Requests>>,
    /// Tokens a minute.
    pub tokens: Option<Level<Tokens>>,
}

impl Standing {
    /// Where these scopes stand, the closest of each kind. Reports do not tell when a rate is whole
    /// again, so what has been drawn on is said to be so at the latest possible.
    pub fn of(reports: &[Report]) -> Self {
        let level = |reading: &Reading| {
            let drawn = reading.used.saturating_add(reading.held);
            let reset = if drawn == 0 { Millis(0) } else { window::LENGTH };
            (reading.most, reading.most.saturating_sub(drawn), reset)
        };
        let closest = |limits: &[&str]| {
            let of_kind = |report: &Report| {
                let named = |limit: &&str| report.gauges.iter().find(|reading| reading.limit == *limit);
                limits.iter().filter_map(named).map(level).collect::<Vec<_>>()
            };
            reports.iter().flat_map(of_kind).min_by_key(|(_, left, _)| *left)
        };
        let requests = closest(&["rpm"]);
        let tokens = closest(&["tpm"]).or_else(|| closest(&["tpm_input", "tpm_output"]));
        Self {
            requests: requests.map(|(limit, left, reset)| Level {
                limit: Requests(limit),
                left: Requests(left),
                reset,
            }),
            tokens: tokens.map(|(limit, left, reset)| Level {
                limit: Tokens(limit),
                left: Tokens(left),
                reset,
            }),
        }
    }
}

/// How much of a limit is left.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Level<Q> {
    /// The limit.
    pub limit: Q,
    /// What is left of it after this request.
    pub left: Q,
    /// When all of it is there again if nothing more is asked.
    pub reset: Millis,
}

/// What ends a hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Settlement {
    /// Nothing was sent anywhere. The request still counts as one.
    Release,
    /// It was taken in advance for a call that never came: everything is given back, the request too.
    Return,
    /// Something was sent.
    Settle(Spent),
}

/// What a call came to consume.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Spent {
    /// The whole prompt.
    pub input: Metered<Tokens>,
    /// Everything generated.
    pub output: Metered<Tokens>,
    /// What it cost; zero where that is not known.
    pub cost: NanoDollars,
    /// The targets that were called; limits of others get everything back.
    pub targets: Targets,
}
