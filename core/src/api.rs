//! The admin API: what a request to it leads to, decided without doing it.
//!
//! ```text
//! head ─▶ knock: whose key, which role ─▶ body ─▶ plan ─▶ Answer
//!                                                    ├──▶ Commit: changes and a deed, then its answer
//!                                                    └──▶ a question ─▶ host ─▶ render ─▶ answer
//! ```
//! [`plan`] reads a request and says what the host is to do: answer, commit changes, run a query. The
//! store and the ledger are the host's; what is asked of them and what is made of their answers is
//! decided here, so that every host has the same API. Everything that is served is one line of
//! [`routes::ROUTES`].
//!
//! 1. Authentication, roles and dispatch go by one parsed path.
//! 2. Nobody gives a key more than he has himself.
//! 3. No answer holds a hash, and none a secret but the one that makes the key, once.
//! 4. What is refused has changed nothing.

pub mod routes; // what is served, for whom
pub mod shape; // what fields may hold
pub mod spec; // keys and holders as they are spelled
pub mod principal; // who asks
pub mod render; // from the host's results to answers
pub mod audit; // the log that shows a gap
pub mod openapi; // the API as a document

mod alias; // the same in the words of other gateways
mod answer;
mod entry; // organisations, teams, users, tags, keys
mod question; // spend, requests, limits, prices
mod rights; // no more than one has
#[cfg(test)]
mod tests;

pub use answer::refusal;
pub use entry::escaped;
pub use principal::Principal;

use crate::admit::{Desk, NeedsKeys};
use crate::directory::HolderKind;
use crate::exchange::{RequestId, RequestIdText};
use crate::fault::{Code, Fault};
use crate::keyring;
use crate::ledger::Scope;
use crate::mount::{self, Mounted};
use crate::units::{Millis, NanoDollars, Requests, Time, Tokens};
use bytes::Bytes;
use http::header::{CONTENT_ENCODING, HeaderValue};
use http::request::Parts;
use http::{Method, Response};
use principal::Stranger;
use routes::{Arrival, Operation, Reach};
use std::sync::Arc;

/// A request to the admin API from somebody who may ask, by its head.
#[derive(Clone, Debug)]
pub struct Knock {
    /// Where it has come.
    pub arrival: Arrival,
    /// Who asks.
    pub principal: Principal,
    /// How far his right to it goes; never nowhere.
    pub reach: Reach,
    /// The query, without its question mark.
    pub query: Option<String>,
    /// Its id.
    pub id: RequestId,
}

impl Knock {
    /// An answer to it with what every answer carries.
    pub fn finish(&self, answer: Response<Bytes>) -> Response<Bytes> {
        marked(answer, self.id)
    }

    /// The answer to what cannot be done.
    pub fn refuse(&self, fault: &Fault) -> Response<Bytes> {
        marked(refusal(fault), self.id)
    }
}

fn marked(mut answer: Response<Bytes>, id: RequestId) -> Response<Bytes> {
    if let Ok(value) = HeaderValue::from_str(RequestIdText::new(id).as_str()) {
        answer.headers_mut().insert("x-tollgate-request-id", value);
    }
    answer.headers_mut().insert("x-tollgate-attempts", HeaderValue::from_static("0"));
    answer.headers_mut().insert("x-tollgate-cache", HeaderValue::from_static("off"));
    answer
}

/// Why a request is not let in.
#[derive(Debug)]
pub enum Turned {
    /// This is the answer to it.
    Away(Response<Bytes>),
    /// It bears a token of an issuer whose keys are to be fetched first.
    Back(NeedsKeys),
}

/// Decides on a request by its head, before its body is read: whose key it is and what its role may do.
pub fn knock(
    head: &Parts,
    arrival: Arrival,
    desk: &Desk<'_>,
    id: RequestId,
    now: Time,
) -> Result<Knock, Box<Turned>> {
    let away = |fault: &Fault| marked(refusal(fault), id);
    let decided = principal::authenticate(&head.headers, desk, now).and_then(|principal| {
        if let Principal::Key(caller) = &principal {
            keyring::may_call(Some(caller), arrival.route.path)?;
        }
        let reach = principal.reach(&arrival)?;
        let encoded = head.headers.get(CONTENT_ENCODING);
        match encoded.filter(|value| !value.as_bytes().eq_ignore_ascii_case(b"identity")) {
            Some(_) => Err(Fault::bad_field("content-encoding", "identity", "another encoding").into()),
            None => Ok((principal, reach)),
        }
    });
    let query = head.uri.query().map(str::to_owned);
    match decided {
        Ok((principal, reach)) => Ok(Knock { arrival, principal, reach, query, id }),
        Err(Stranger::Refused(fault)) => Err(Box::new(Turned::Away(away(&fault)))),
        Err(Stranger::NeedsKeys { issuer, fault }) => {
            Err(Box::new(Turned::Back(NeedsKeys { issuer, otherwise: away(&fault) })))
        }
    }
}

/// A request by somebody who has the store itself, so that no key could tell more about him: the
/// command line. `target` is a path with its query. No request from a network may come here. Fails
/// where the admin API serves nothing.
pub fn at_hand(method: &Method, target: &str, id: RequestId) -> Result<Knock, Fault> {
    let arrival = match mount::find(method, target)? {
        Mounted::Admin(arrival) => arrival,
        Mounted::Health
        | Mounted::Ready
        | Mounted::Metrics
        | Mounted::Models { .. }
        | Mounted::Transcript { .. }
        | Mounted::Surface { .. } => {
            return Err(Fault::new(Code::NoRoute, "this path is none of the admin API"));
        }
    };
    let principal = Principal::Local;
    let reach = principal.reach(&arrival)?;
    let query = target.split_once('?').map(|(_, query)| query.to_owned());
    Ok(Knock { arrival, principal, reach, query, id })
}

/// A whole request to the admin API.
#[derive(Clone, Copy, Debug)]
pub struct Ask<'a> {
    /// Its head, let in.
    pub knock: &'a Knock,
    /// Its body, at most [`shape::MOST_BYTES`].
    pub body: &'a [u8],
}

/// What a request leads to. A host performs it and answers with the answer in it, or with what
/// [`render`] makes of the results.
#[derive(Debug)]
pub enum Plan {
    /// Nothing but this.
    Answer(Response<Bytes>),
    /// The store takes all changes and the deed, or none; then the directory takes them up.
    Commit(Box<Commit>),
    /// A sum over what was spent; [`render::spend`].
    Spend(Box<SpendAsk>),
    /// The latest requests; [`render::requests`].
    Requests(RequestQuery),
    /// Where these scopes stand in the ledger; [`render::limits`].
    Limits(Box<LimitsAsk>),
    /// What the fleet has learned; [`render::upstreams`].
    Upstreams,
    /// The config is read again; [`render::reload`]. The deed is kept where it worked.
    Reload(Deed),
    /// Lines of the audit log; [`render::audit`].
    Audit(AuditQuery),
    /// The whole audit log through [`audit::verify`]; [`render::verified`].
    Verify,
}

/// Changes that go together.
#[derive(Debug)]
pub struct Commit {
    /// What changes.
    pub changes: Vec<Change>,
    /// For the audit log.
    pub deed: Deed,
    /// What the client is told once the store has it.
    pub answer: Response<Bytes>,
}

/// A question about spend and the form of its answer.
#[derive(Debug)]
pub struct SpendAsk {
    /// The question.
    pub query: SpendQuery,
    /// The form.
    pub form: SpendForm,
}

/// The form of an answer that tells what was spent.
#[derive(Debug)]
pub enum SpendForm {
    /// Rows.
    Rows,
    /// The rest of an answer in LiteLLM's form, whose spend is still to be filled in.
    LiteLlm(shape::Object),
}

/// A question about limits and the form of its answer.
#[derive(Debug)]
pub struct LimitsAsk {
    /// Whose limits.
    pub scopes: Vec<Arc<Scope>>,
    /// The organisation in whose books they are; empty for none.
    pub book: Arc<str>,
    /// The form.
    pub form: LimitsForm,
}

/// The form of an answer that tells where limits stand.
#[derive(Debug)]
pub enum LimitsForm {
    /// Limit by limit.
    Gauges,
    /// The rest of an answer in LiteLLM's form, whose spend is still to be filled in.
    LiteLlm(shape::Object),
}

/// A question about requests that are over, the latest first.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RequestQuery {
    /// From here on.
    pub from: Time,
    /// Up to here, this moment outside.
    pub to: Time,
    /// Only these; of one dimension any, of several all.
    pub only: Vec<Only>,
    /// How they ended.
    pub outcome: Outcome,
    /// Those that come after this one in the answer: the last of the page before.
    pub after: Option<RequestPlace>,
    /// At most so many.
    pub limit: u32,
}

/// How requests ended that are asked for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Outcome {
    /// However they ended.
    #[default]
    Any,
    /// Those whose client did not get an answer.
    Failed,
}

/// Where a request stands in the order of an answer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct RequestPlace {
    /// When it came.
    pub at: Time,
    /// Tells those apart that came at the same time.
    pub seq: u64,
}

impl RequestPlace {
    /// As answers spell it in `next`.
    pub fn text(self) -> String {
        format!("{}-{}", self.at.0, self.seq)
    }

    /// Reads the spelling of an answer.
    pub fn parse(text: &str) -> Option<Self> {
        let (at, seq) = text.split_once('-')?;
        Some(Self { at: Time(at.parse().ok()?), seq: seq.parse().ok()? })
    }
}

/// What is kept of a request.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct RequestRow {
    /// Where it stands.
    pub place: RequestPlace,
    /// Its id, as headers show it.
    pub id: String,
    /// When it came.
    pub at: Time,
    /// The surface it came to.
    pub surface: String,
    /// The key's name.
    pub key: Option<String>,
    /// The team's.
    pub team: Option<String>,
    /// The user's.
    pub user: Option<String>,
    /// The organisation's.
    pub organisation: Option<String>,
    /// The end user's.
    pub end_user: Option<String>,
    /// The model as it was asked for.
    pub asked: String,
    /// The provider called last.
    pub provider: Option<String>,
    /// The model called last.
    pub model: Option<String>,
    /// Upstream calls.
    pub attempts: u32,
    /// The status the client got.
    pub status: u16,
    /// The fault's code.
    pub fault: Option<String>,
    /// How long it took.
    pub total: Millis,
    /// The prompt.
    pub input: Tokens,
    /// Of it, read from a cache.
    pub cached: Tokens,
    /// Of it, written to a cache.
    pub cache_write: Tokens,
    /// The output.
    pub output: Tokens,
    /// Of it, reasoning; absent where the provider did not say.
    pub reasoning: Option<Tokens>,
    /// How these are known: `reported`, `counted`, `estimated`.
    pub basis: String,
    /// What it cost; absent where that is not known.
    pub cost: Option<NanoDollars>,
    /// What the cache of answers was to it: `off`, `miss`, `hit`.
    pub cache: String,
    /// What guardrails have done, each as [`Guarded`](crate::guard::Guarded) is written.
    pub guardrails: Vec<String>,
}

/// A question about the audit log, the newest line first.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AuditQuery {
    /// Only by this actor.
    pub actor: Option<String>,
    /// Only this action.
    pub action: Option<String>,
    /// Only to this subject.
    pub subject: Option<String>,
    /// Lines that come after this one in the answer: the last of the page before.
    pub after: Option<u64>,
    /// At most so many.
    pub limit: u32,
}

/// A line of the audit log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AuditLine {
    /// Counts from one.
    pub number: u64,
    /// What was done.
    pub deed: Deed,
    /// [`audit::seal`] of the line before and this deed.
    pub seal: [u8; 32],
}

/// What a request leads to. `entropy` makes the secret of a new key and must be fresh and
/// unpredictable each time. Between this and the end of a commit nobody else may change the directory.
pub fn plan(ask: &Ask<'_>, desk: &Desk<'_>, now: Time, entropy: [u8; 32]) -> Plan {
    let turn = Turn { ask: *ask, knock: ask.knock, desk: *desk, now, entropy };
    turn.plan().unwrap_or_else(|fault| Plan::Answer(refusal(&fault)))
}

/// A request and everything its decision needs.
#[derive(Clone, Copy)]
struct Turn<'a> {
    ask: Ask<'a>,
    knock: &'a Knock,
    desk: Desk<'a>,
    now: Time,
    entropy: [u8; 32],
}

impl Turn<'_> {
    fn plan(&self) -> Result<Plan, Fault> {
        match self.knock.arrival.route.operation {
            Operation::List(kind) => self.list(kind),
            Operation::Create(kind) => self.create(kind),
            Operation::Show(kind) => self.show(kind),
            Operation::Update(kind) => self.update(kind),
            Operation::Delete(kind) => self.delete(kind),
            Operation::TopUp(kind) => self.top_up(kind),
            Operation::Limits(kind) => self.limits(kind),
            Operation::Rotate => self.rotate(),
            Operation::Block => self.set_blocked(entry::Blocked::Yes),
            Operation::Unblock => self.set_blocked(entry::Blocked::No),
            Operation::Me => self.me(),
            Operation::Mint => self.mint(),
            Operation::Spend => self.spend(),
            Operation::Requests => self.requests(),
            Operation::Prices => self.prices(),
            Operation::Models => self.models(),
            Operation::Upstreams => self.nothing_asked().map(|()| Plan::Upstreams),
            Operation::Reload => self.reload(),
            Operation::Audit => self.audit(),
            Operation::Verify => self.nothing_asked().map(|()| Plan::Verify),
            Operation::OpenApi => self.open_api(),
            Operation::KeyGenerate => self.key_generate(),
            Operation::KeyInfo => self.key_info(),
            Operation::KeyUpdate => self.key_update(),
            Operation::KeyDelete => self.key_delete(),
            Operation::TeamNew => self.team_new(),
        }
    }

    /// A line of the audit log by whoever asks.
    fn deed(&self, action: &str, subject: String) -> Deed {
        let actor = self.knock.principal.actor();
        Deed { at: self.now, actor, action: action.to_owned(), subject, before: None, after: None }
    }
}

fn not_found(what: &str, name: &str) -> Fault {
    Fault::new(Code::NotFound, format!("there is no {what} `{}`", shape::shown(name)))
}

fn conflict(message: impl Into<String>) -> Fault {
    Fault::new(Code::Conflict, message)
}

/// What is stored: one of these, by its name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Kind {
    /// An organisation, a team, a user or a tag.
    Holder(HolderKind),
    /// A virtual key.
    Key,
}

impl Kind {
    /// Its word, as the store and the audit log spell it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Holder(kind) => kind.name(),
            Self::Key => "key",
        }
    }
}

/// A change to what is stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// What.
    pub kind: Kind,
    /// Its name.
    pub name: String,
    /// Its whole new spec as JSON, in the words of the config and without secrets (a key's is its
    /// digest); absent: it is deleted.
    pub spec: Option<Bytes>,
}

/// One line of the audit log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Deed {
    /// When.
    pub at: Time,
    /// Who: `admin`, `key:NAME`, `cli`, `config`.
    pub actor: String,
    /// What was done: `key.create`, `team.update`.
    pub action: String,
    /// To whom: `key:ci`.
    pub subject: String,
    /// The spec before, as JSON without secrets.
    pub before: Option<Bytes>,
    /// The spec after.
    pub after: Option<Bytes>,
}

/// What spend is told apart by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Dimension {
    /// The organisation.
    Organisation,
    /// The team.
    Team,
    /// The user.
    User,
    /// The key.
    Key,
    /// The end user.
    EndUser,
    /// `provider/model` that was called.
    Model,
    /// The provider that was called.
    Provider,
    /// Each tag; a request with two counts for both.
    Tag,
    /// The day in UTC, as `2026-11-21`.
    Day,
}

/// A question about what was spent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SpendQuery {
    /// From here on.
    pub from: Time,
    /// Up to here, this moment outside.
    pub to: Time,
    /// One row for each combination, in this order; empty: one row for all.
    pub by: Vec<Dimension>,
    /// Only these; of one dimension any, of several all.
    pub only: Vec<Only>,
    /// At most so many rows, those with the highest cost.
    pub limit: u32,
}

/// A value that a dimension must have.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Only {
    /// The dimension.
    pub dimension: Dimension,
    /// Its value.
    pub value: String,
}

/// How much is known of what other gateways have spent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Others {
    /// When all that they had told was heard; absent if that has not been yet.
    pub as_of: Option<Time>,
    /// Whether they are heard now.
    pub current: bool,
    /// Whether the question's span cuts a day on which they have spent something, which is left out.
    pub cut: bool,
}

/// What was spent.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SpendRow {
    /// The values of the query's dimensions, in its order; absent where a request has none.
    pub values: Vec<Option<String>>,
    /// Requests that ended.
    pub requests: Requests,
    /// Of them, those whose client did not get an answer.
    pub failed: Requests,
    /// Of them, those whose cost is not known.
    pub unpriced: Requests,
    /// Whole prompts.
    pub input: Tokens,
    /// Of them, read from a prompt cache.
    pub cached: Tokens,
    /// Everything generated.
    pub output: Tokens,
    /// What it cost, as far as that is known.
    pub cost: NanoDollars,
}
