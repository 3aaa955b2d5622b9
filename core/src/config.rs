//! The config that runs: names resolved, units converted, everything checked.
//!
//! `tree` is the text with positions, `file` mirrors the document as it is written; `compile` leads
//! from there to here and reports every error with its position. Nothing else builds these types.

pub mod compile;
mod describe; // the resolved config in words
mod fault; // what is wrong, and where
mod file; // the document as it is written
mod json; // the document's second spelling
mod prices; // what models cost here
mod read; // fields off the tree
mod resolve; // from a model's name to a route
mod tree; // values with positions
pub(crate) mod values; // durations, sizes, moments, dollars

#[cfg(test)]
mod tests;

pub(crate) use compile::ATTEMPTS;
pub use compile::keys::alone::Around;
pub(crate) use compile::keys::alone::{read_holder, read_key};
pub use fault::ConfigError;
pub(crate) use fault::closest_few;
pub use prices::{Override, Priced, UnknownPrice};
pub use resolve::Derived;

use crate::cache::{Bounds, Caching};
use crate::dialect::Dialect;
use crate::directory::{Directory, Holder, IpRange, Key};
use crate::fault::UpstreamClass;
use crate::guard::Guardrails;
use crate::limit::calendar::Zone;
use crate::price::Terms;
use crate::secret::Secret;
use crate::sigv4::Signer;
use crate::sort::Map;
use crate::source::Source;
use crate::token::Tokens;
use crate::units::{Millis, Requests};
use crate::vendor::Vendor;
use http::{HeaderMap, HeaderName, HeaderValue, Uri};
use std::sync::{Arc, OnceLock};

/// Reads a document, TOML or JSON, and resolves it: all of it, or every error in the order of the
/// document. The text may be any bytes.
pub fn load(text: &[u8], secrets: Secrets<'_>) -> Result<Config, Vec<ConfigError>> {
    compile::load(text, secrets)
}

/// The host's way to a secret. An `Err` says why it cannot be had (`it is not set`), without any of
/// it. Asked for what a config names, and for the usual variables of a vendor whose key it leaves out;
/// never for a [`SecretRef::Literal`].
pub type Secrets<'a> = &'a dyn Fn(SecretRef<'_>) -> Result<Secret, String>;

/// Where a secret is found.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum SecretRef<'a> {
    /// `env:NAME`: an environment variable, or what the platform has in place of them.
    Env(&'a str),
    /// `file:PATH`.
    File(&'a str),
    /// The secret itself.
    Literal(&'a str),
}

impl<'a> SecretRef<'a> {
    /// Reads a reference; what begins like none is the secret itself.
    pub fn parse(text: &'a str) -> Self {
        match (text.strip_prefix("env:"), text.strip_prefix("file:")) {
            (Some(name), _) => Self::Env(name),
            (None, Some(path)) => Self::File(path),
            (None, None) => Self::Literal(text),
        }
    }
}

impl std::fmt::Debug for SecretRef<'_> {
    /// A literal is a secret, so it is not printed (invariant I7).
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Env(name) => write!(f, "env:{name}"),
            Self::File(path) => write!(f, "file:{path}"),
            Self::Literal(secret) => write!(f, "Literal({} bytes)", secret.len()),
        }
    }
}

/// Everything a gateway needs to know to run.
#[derive(Clone, Debug)]
pub struct Config {
    /// The listener and its limits.
    pub server: Server,
    /// In the order of the file; [`ProviderId`] counts into it.
    pub providers: Vec<Provider>,
    /// Model names of the gateway's own, by name.
    pub routes: Map<String, Arc<Route>>,
    /// What [`Config::route_for`] remembers; empty to begin with.
    pub derived: Derived,
    /// Prices that stand in for the catalogue's, in the order of the file.
    pub prices: Vec<Override>,
    /// Organisations, teams, users and tags.
    pub holders: Vec<Arc<Holder>>,
    /// Virtual keys.
    pub keys: Vec<Arc<Key>>,
    /// Short-lived signed keys.
    pub tokens: Tokens,
    /// Who is told of what happens.
    pub alerts: Alerts,
    /// What holds for every use of the cache of answers.
    pub cache: Bounds,
    /// What must not pass.
    pub guardrails: Guardrails,
    /// Where the host keeps its state, verbatim for the host.
    pub store: Store,
    /// What is worth telling a person who checks the config, though it is no error.
    pub notes: Vec<String>,
}

/// The listener and its limits.
#[derive(Clone, Debug, PartialEq)]
pub struct Server {
    /// `address:port`.
    pub listen: String,
    /// Opens the admin API; absent: it is closed.
    pub admin_key: Option<Secret>,
    /// Whether calls need a key. `true` as soon as the config has one unless the file says otherwise.
    /// See [`Server::requires_key`] for keys of the store.
    pub require_key: bool,
    /// Whether the file says that calls need no key, whatever keys there are.
    pub serves_strangers: bool,
    /// Bytes of a request body.
    pub max_body: u64,
    /// How long a stopping server waits for what is in flight.
    pub drain: Millis,
    /// Certificate and key files.
    pub tls: Option<Tls>,
    /// Origins browsers may call from; empty: none, `*`: all.
    pub cors_origins: Vec<String>,
    /// Whether an address others can reach may be bound while no key is required.
    pub open: bool,
    /// What is done about a model whose price is not known.
    pub unknown_price: UnknownPrice,
    /// What is fetched for clients.
    pub fetch_media: crate::media::FetchMedia,
    /// The zone of budgets that name none.
    pub zone: Zone,
    /// Peers whose `x-forwarded-for` is believed.
    pub trusted_proxies: Vec<IpRange>,
}

impl Server {
    /// Whether calls need a key, with these keys besides the config's.
    pub fn requires_key(&self, directory: &Directory) -> bool {
        self.require_key || (!self.serves_strangers && directory.is_closed())
    }
}

/// Who is told of what happens.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Alerts {
    /// Called when a budget passes its warning threshold.
    pub webhook: Option<Secret>,
}

/// PEM files, read by the host and read again when they change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tls {
    /// Certificate chain.
    pub cert: String,
    /// Private key.
    pub key: String,
}

/// Where the host keeps its state.
#[derive(Clone, Debug, PartialEq)]
pub struct Store {
    /// SQLite file, or `:memory:`.
    pub path: String,
    /// Redis URL.
    pub redis: Option<Secret>,
    /// What every name in Redis begins with.
    pub namespace: String,
    /// What is done while the store cannot be asked.
    pub fail: Fail,
    /// How long responses are kept to go on from; absent: not at all.
    pub responses: Option<Millis>,
    /// Bytes of all that are kept. Beyond, the oldest go.
    pub responses_size: u64,
}

/// What is done while the store that holds the counters cannot be asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fail {
    /// With requests that draw on a budget.
    pub budgets: Fallback,
    /// With requests that draw on limits of requests, tokens or concurrency.
    pub limits: Fallback,
}

impl Default for Fail {
    fn default() -> Self {
        Self { budgets: Fallback::Closed, limits: Fallback::Local }
    }
}

/// What stands in for a store that cannot be asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fallback {
    /// Nothing: the request is refused.
    Closed,
    /// This process's own counters.
    Local,
    /// Nothing is counted, and the request is served.
    Open,
}

impl Fallback {
    /// Its word in the config.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Closed => "closed",
            Self::Local => "local",
            Self::Open => "open",
        }
    }
}

/// Counts into [`Config::providers`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ProviderId(pub u16);

/// A named provider: one endpoint and its keys.
#[derive(Clone, Debug)]
pub struct Provider {
    /// The name used in `provider/model`.
    pub name: String,
    /// The vendor's row, or the custom row of its dialect.
    pub vendor: &'static Vendor,
    /// The wire format it speaks; the vendor's.
    pub dialect: Dialect,
    /// Everything before the dialect's own path, without a trailing slash.
    pub base_url: Uri,
    /// At least one; a provider without keys has one that sends nothing.
    pub credentials: Vec<Credential>,
    /// Waiting times.
    pub timeouts: Timeouts,
    /// Headers sent with every call to it.
    pub headers: HeaderMap,
    /// Azure's `api-version` and such: appended to the query verbatim.
    pub query: Option<String>,
    /// The header of its keys and what stands before them, where not the vendor's.
    pub key_header: Option<(HeaderName, String)>,
    /// The address of the dialect's one fixed path, built on first use.
    pub fixed_uri: OnceLock<Uri>,
    /// Set once it has said that it serves its first dialect only, whatever its vendor may speak.
    pub speaks_one: OnceLock<()>,
    /// Set once it has said that it serves chat and no plain completions.
    pub only_chat: OnceLock<()>,
    /// Whether it goes on, and bills what it writes, when nobody hears it any more.
    pub bills_unheard: bool,
    /// What is agreed with it, and added to its prices.
    pub terms: Terms,
}

/// A key of a provider.
#[derive(Clone, Debug)]
pub struct Credential {
    /// For logs.
    pub name: String,
    /// Absent: nothing is sent, or what is sent is signed.
    pub secret: Option<Secret>,
    /// Who signs, where a key is none that is sent.
    pub signer: Option<Arc<Signer>>,
    /// Where it comes from, where it is lent for a time.
    pub source: Option<Arc<Source>>,
    /// Its share among the provider's keys; positive.
    pub weight: f64,
    /// The models it serves.
    pub models: Vec<Pattern>,
    /// What is sent with it for all models together.
    pub limits: UpstreamLimits,
    /// The header that carries it, built on first use: it is the same on every call.
    pub header: OnceLock<HeaderValue>,
}

/// `*`, `gpt-4o`, `gpt-*`, `openai/*`: a name with at most one star, at the end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Pattern {
    /// Exactly this.
    Exact(String),
    /// Whatever begins like this.
    Prefix(String),
}

impl Pattern {
    /// Reads a pattern; a star anywhere but at the end is `None`.
    pub fn parse(text: &str) -> Option<Self> {
        match text.find('*') {
            None => Some(Self::Exact(text.to_owned())),
            Some(at) if at + 1 == text.len() => text.get(..at).map(|prefix| Self::Prefix(prefix.to_owned())),
            Some(_) => None,
        }
    }

    /// Whether a name fits.
    pub fn matches(&self, name: &str) -> bool {
        match self {
            Self::Exact(exact) => exact == name,
            Self::Prefix(prefix) => name.starts_with(prefix.as_str()),
        }
    }

    /// The pattern of all names that fit both, where there are any.
    pub fn meet(&self, other: &Self) -> Option<Self> {
        match (self, other) {
            (Self::Exact(name), pattern) | (pattern, Self::Exact(name)) => {
                pattern.matches(name).then(|| Self::Exact(name.clone()))
            }
            (Self::Prefix(one), Self::Prefix(other)) => {
                let (wide, narrow) = if one.len() <= other.len() { (one, other) } else { (other, one) };
                narrow.starts_with(wide.as_str()).then(|| Self::Prefix(narrow.clone()))
            }
        }
    }
}

/// How long an upstream may take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timeouts {
    /// From sending the request to the first byte of the answer's body.
    pub first_byte: Millis,
    /// Between two pieces of the answer.
    pub idle: Millis,
    /// For the whole answer.
    pub total: Millis,
    /// For a realtime session, from its handshake on.
    pub session: Millis,
    /// Between two messages of one, of either side.
    pub session_idle: Millis,
}

impl Timeouts {
    /// Those where the config names none. OpenAI's own sessions are no longer either.
    pub const USUAL: Self = Self {
        first_byte: Millis::from_secs(60),
        idle: Millis::from_secs(60),
        total: Millis::from_secs(600),
        session: Millis::from_secs(60 * 60),
        session_idle: Millis::from_secs(15 * 60),
    };
}

/// A model name of the gateway's own, or one derived for `provider/model`.
#[derive(Clone, Debug, PartialEq)]
pub struct Route {
    /// What clients ask for.
    pub name: String,
    /// How one of the targets is picked.
    pub strategy: Strategy,
    /// At least one.
    pub targets: Vec<RouteTarget>,
    /// Tried in order after the targets: those for any failure first, then those for one class only.
    pub fallbacks: Vec<RouteTarget>,
    /// Upstream calls in all for one request; at least 1.
    pub attempts: u32,
    /// For the whole request.
    pub deadline: Millis,
    /// What it says of the cache of answers.
    pub cache: Option<Caching>,
    /// With which of its providers' keys it goes.
    pub account: Account,
}

/// With which of a provider's keys a request goes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Account {
    /// Any.
    #[default]
    Any,
    /// The first that serves the model: what the request speaks of may be known to that one's account only.
    First,
}

/// A model at a provider.
#[derive(Clone, Debug, PartialEq)]
pub struct RouteTarget {
    /// The provider.
    pub provider: ProviderId,
    /// The model as the provider names it.
    pub model: String,
    /// Its share; positive.
    pub weight: f64,
    /// What it costs there; absent where that is not known.
    pub price: Option<Arc<Priced>>,
    /// Tokens it writes at most; absent where that is not known.
    pub writes: Option<crate::units::Tokens>,
    /// What is sent to it by all keys together.
    pub limits: UpstreamLimits,
    /// Which failure leads to it. A route's targets need none.
    pub after: After,
}

/// Which failure leads to one of a route's fallbacks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum After {
    /// Any that is not the client's doing (`fallbacks`).
    #[default]
    Failure,
    /// The prompt is longer than the model's window (`context_fallbacks`).
    ContextLength,
    /// The provider's filter refused the prompt (`content_fallbacks`).
    ContentFilter,
}

impl After {
    /// The fallbacks that exist for exactly this class of fault, where there may be such.
    pub const fn class(class: UpstreamClass) -> Option<Self> {
        match class {
            UpstreamClass::ContextLength => Some(Self::ContextLength),
            UpstreamClass::ContentFilter => Some(Self::ContentFilter),
            UpstreamClass::BadRequest
            | UpstreamClass::Auth
            | UpstreamClass::Billing
            | UpstreamClass::Forbidden
            | UpstreamClass::NotFound
            | UpstreamClass::TooLarge
            | UpstreamClass::RateLimited
            | UpstreamClass::Overloaded
            | UpstreamClass::Server
            | UpstreamClass::Timeout
            | UpstreamClass::Connection
            | UpstreamClass::Garbled => None,
        }
    }
}

/// What is sent to an upstream in any 60 seconds at most; absent means without limit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct UpstreamLimits {
    /// Requests.
    pub rpm: Option<Requests>,
    /// Tokens, input and output together.
    pub tpm: Option<crate::units::Tokens>,
}

impl UpstreamLimits {
    /// Whether there is none.
    pub fn is_unlimited(self) -> bool {
        self == Self::default()
    }
}

/// How one of a route's targets is picked.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Strategy {
    /// In proportion to the weights.
    #[default]
    Weighted,
    /// Weights, shifted by recent errors, latency and throughput.
    Adaptive,
    /// The fastest to its first byte.
    Latency,
    /// The cheapest.
    Cost,
    /// The one with the fewest requests in flight for its weight.
    LeastBusy,
    /// The first that is available.
    Ordered,
}

impl Config {
    /// The provider of this id. Ids come from this config only, so it is always there.
    pub fn provider(&self, id: ProviderId) -> Option<&Provider> {
        self.providers.get(usize::from(id.0))
    }
}
