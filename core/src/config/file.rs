//! The config as it is written: every field read into its kind, nothing looked up yet.
//!
//! The constants of field names are the one list of what a document may hold.

mod cache; // the cache of answers
mod guardrails; // phrases that must not pass
pub(super) mod keys; // organisations, teams, users, tags, keys
pub(super) mod limits; // limits and budgets
mod tokens; // short-lived signed keys

use super::fault::{Errors, Place};
use super::read::{Cell, Field, Spot, Table, Word};
use super::tree::Node;
use crate::config::{Fail, Fallback, Strategy, UnknownPrice, UpstreamLimits};
use crate::directory::{HolderKind, IpRange};
use crate::limit::calendar::Zone;
use crate::media::FetchMedia;
use crate::price::{CLASSES, Kind, Rate, Rates, Section, Service, Terms};
use crate::source;
use crate::units::{self, Millis, Requests};
pub(super) use cache::{Cache, Caching};
pub(super) use guardrails::Guardrail;
pub(super) use keys::{Holder, Key, Material};
pub(super) use tokens::{Issuer, Parent as TokenParent, Tokens};

const DOCUMENT: &[&str] = &[
    "server",
    "store",
    "providers",
    "models",
    "prices",
    "organisations",
    "teams",
    "users",
    "tags",
    "keys",
    "tokens",
    "alerts",
    "cache",
    "guardrails",
];
const SERVER: &[&str] = &[
    "listen",
    "admin_key",
    "require_key",
    "max_body",
    "drain",
    "tls",
    "cors",
    "open",
    "unknown_price",
    "fetch_media",
    "zone",
    "trusted_proxies",
];
const TLS: &[&str] = &["cert", "key"];
const CORS: &[&str] = &["origins"];
const STORE: &[&str] = &["path", "redis", "namespace", "fail", "responses", "responses_size"];
const FAIL: &[&str] = &["budgets", "limits"];
const ALERTS: &[&str] = &["webhook"];
const PROVIDER: &[&str] = &[
    "kind",
    "base_url",
    "region",
    "project",
    "location",
    "key",
    "keys",
    "timeout",
    "headers",
    "query",
    "key_header",
    "api_version",
    "bills_unheard",
    "discount",
    "margin",
];
const PROVIDER_KEY: &[&str] = &[
    "name",
    "value",
    "access_key_id",
    "secret_access_key",
    "session_token",
    "from",
    "json",
    "tenant",
    "client_id",
    "client_secret",
    "scope",
    "api_key",
    "profile",
    "role",
    "token_file",
    "token_url",
    "weight",
    "models",
    "rpm",
    "tpm",
];
const TIMEOUT: &[&str] = &["first_byte", "idle", "total", "session", "session_idle"];
const MODEL: &[&str] = &[
    "strategy",
    "targets",
    "fallbacks",
    "context_fallbacks",
    "content_fallbacks",
    "attempts",
    "deadline",
    "cache",
];
const TARGET: &[&str] = &["to", "weight", "rpm", "tpm"];
/// Beside the classes of [`CLASSES`], by their words.
const PRICE_AS: &str = "as";

/// What is done about a price that is not known, by its word.
const FETCHES: &[Word<FetchMedia>] = &[
    Word { name: "off", value: FetchMedia::Off },
    Word { name: "public", value: FetchMedia::Public },
    Word { name: "any", value: FetchMedia::Any },
];
const UNKNOWN_PRICES: &[Word<UnknownPrice>] = &[
    Word { name: "serve", value: UnknownPrice::Serve },
    Word { name: "refuse", value: UnknownPrice::RefuseUnderBudget },
];

/// What stands in for a store that cannot be asked, by its word.
const FALLBACKS: &[Word<Fallback>] = &[
    Word { name: "closed", value: Fallback::Closed },
    Word { name: "local", value: Fallback::Local },
    Word { name: "open", value: Fallback::Open },
];

/// How one of a route's targets is picked, by its word.
pub(super) const STRATEGIES: &[Word<Strategy>] = &[
    Word { name: "weighted", value: Strategy::Weighted },
    Word { name: "adaptive", value: Strategy::Adaptive },
    Word { name: "latency", value: Strategy::Latency },
    Word { name: "cost", value: Strategy::Cost },
    Word { name: "least-busy", value: Strategy::LeastBusy },
    Word { name: "ordered", value: Strategy::Ordered },
];

/// A document.
#[derive(Default)]
pub(super) struct Document {
    pub(super) server: Server,
    pub(super) store: Store,
    pub(super) providers: Vec<Provider>,
    pub(super) models: Vec<Model>,
    pub(super) prices: Vec<Price>,
    pub(super) holders: Vec<Holder>,
    pub(super) keys: Vec<Key>,
    pub(super) tokens: Option<Tokens>,
    pub(super) cache: Cache,
    pub(super) guardrails: Vec<Guardrail>,
    /// `alerts.webhook`
    pub(super) webhook: Option<Spot<String>>,
}

/// `[server]`
#[derive(Default)]
pub(super) struct Server {
    pub(super) listen: Option<Spot<String>>,
    pub(super) admin_key: Option<Spot<String>>,
    pub(super) require_key: Option<bool>,
    pub(super) max_body: Option<u64>,
    pub(super) drain: Option<Millis>,
    pub(super) tls: Option<Tls>,
    pub(super) cors_origins: Vec<Spot<String>>,
    pub(super) open: Option<bool>,
    pub(super) unknown_price: Option<UnknownPrice>,
    pub(super) fetch_media: FetchMedia,
    pub(super) zone: Zone,
    pub(super) trusted_proxies: Vec<IpRange>,
}

/// `server.tls`
pub(super) struct Tls {
    pub(super) cert: String,
    pub(super) key: String,
}

/// `[store]`
#[derive(Default)]
pub(super) struct Store {
    pub(super) path: Option<String>,
    pub(super) redis: Option<Spot<String>>,
    pub(super) namespace: Option<String>,
    pub(super) fail: Fail,
    pub(super) responses: Option<Spot<Millis>>,
    pub(super) responses_size: Option<Spot<u64>>,
}

/// `[providers.NAME]`
pub(super) struct Provider {
    pub(super) name: Spot<String>,
    pub(super) kind: Option<Spot<String>>,
    pub(super) base_url: Option<Spot<String>>,
    /// AWS's.
    pub(super) region: Option<Spot<String>>,
    /// Google Cloud's.
    pub(super) project: Option<Spot<String>>,
    /// Google Cloud's.
    pub(super) location: Option<Spot<String>>,
    pub(super) keys: Vec<ProviderKey>,
    pub(super) first_byte: Option<Millis>,
    pub(super) idle: Option<Millis>,
    pub(super) total: Option<Millis>,
    pub(super) session: Option<Millis>,
    pub(super) session_idle: Option<Millis>,
    pub(super) headers: Vec<Header>,
    pub(super) query: Vec<Header>,
    pub(super) key_header: Option<Spot<String>>,
    pub(super) api_version: Option<Spot<String>>,
    pub(super) bills_unheard: Option<bool>,
    pub(super) terms: Terms,
}

/// A header, or a member of the query, sent with every call to a provider.
pub(super) struct Header {
    pub(super) name: Spot<String>,
    pub(super) value: Spot<String>,
}

/// One of a provider's keys.
pub(super) struct ProviderKey {
    pub(super) name: Option<Spot<String>>,
    pub(super) secret: KeySecret,
    pub(super) weight: f64,
    /// Absent: all.
    pub(super) models: Option<Vec<Spot<String>>>,
    pub(super) limits: UpstreamLimits,
}

/// What a provider's key is.
pub(super) enum KeySecret {
    /// What is sent.
    Value(Spot<String>),
    /// What signs.
    Access(AccessKey),
    /// Where it comes from.
    Source(KeySource),
}

/// Where a key comes from that is lent for a time.
pub(super) struct KeySource {
    /// `from`
    pub(super) from: Spot<String>,
    /// The fields that say more of it, by their names.
    pub(super) given: Vec<(&'static str, Spot<String>)>,
}

/// An access key of AWS's.
pub(super) struct AccessKey {
    /// `access_key_id`
    pub(super) id: Spot<String>,
    /// `secret_access_key`
    pub(super) secret: Spot<String>,
    /// `session_token`
    pub(super) token: Option<Spot<String>>,
}

/// `[models.NAME]`
pub(super) struct Model {
    pub(super) name: Spot<String>,
    pub(super) strategy: Option<Spot<Strategy>>,
    pub(super) targets: Vec<Target>,
    pub(super) fallbacks: Vec<Spot<String>>,
    pub(super) context_fallbacks: Vec<Spot<String>>,
    pub(super) content_fallbacks: Vec<Spot<String>>,
    pub(super) attempts: Option<Spot<u64>>,
    pub(super) deadline: Option<Millis>,
    pub(super) cache: Option<Caching>,
}

/// One of a model's targets.
pub(super) struct Target {
    pub(super) to: Spot<String>,
    pub(super) weight: f64,
    pub(super) limits: UpstreamLimits,
}

/// `[prices."PROVIDER/MODEL"]`
pub(super) struct Price {
    pub(super) name: Spot<String>,
    /// The model whose prices hold for what is left out.
    pub(super) like: Option<Spot<String>>,
    pub(super) rates: Rates,
    /// What holds in some cases: of a service, above a prompt's length, at some hours.
    pub(super) special: Vec<Section>,
}

impl Document {
    /// Reads a document from its tree. What cannot be read is reported and left out.
    pub(super) fn read(root: &Node, errors: &mut Errors) -> Self {
        let root = Cell { node: root, place: Place::root() };
        let Some(table) = Table::read(&root, DOCUMENT, errors) else { return Self::default() };
        let server = table.get("server").and_then(|cell| Server::read(&cell, errors));
        let store = table.get("store").and_then(|cell| Store::read(&cell, errors));
        let server = server.unwrap_or_default();
        let zone = server.zone.clone();
        let mut holders = Vec::new();
        for kind in HolderKind::ALL {
            let cell = table.get(keys::table_of(kind));
            holders.extend(listed(cell, |cell, errors| Holder::read(kind, cell, &zone, errors), errors));
        }
        let key = |cell: &Cell<'_>, errors: &mut Errors| Key::read(cell, keys::Home::Document, &zone, errors);
        let alerts = table.get("alerts").and_then(|cell| Table::read(&cell, ALERTS, errors));
        let webhook = alerts.and_then(|alerts| alerts.get("webhook"));
        Self {
            server,
            store: store.unwrap_or_default(),
            providers: named(table.get("providers"), Provider::read, errors),
            models: named(table.get("models"), Model::read, errors),
            prices: named(table.get("prices"), Price::read, errors),
            holders,
            keys: listed(table.get("keys"), key, errors),
            tokens: table.get("tokens").and_then(|cell| Tokens::read(&cell, errors)),
            cache: table.get("cache").and_then(|cell| Cache::read(&cell, errors)).unwrap_or_default(),
            guardrails: listed(table.get("guardrails"), Guardrail::read, errors),
            webhook: webhook.and_then(|cell| cell.text(errors)),
        }
    }
}

fn named<T>(
    cell: Option<Cell<'_>>,
    read: impl Fn(Field<'_>, &mut Errors) -> Option<T>,
    errors: &mut Errors,
) -> Vec<T> {
    let Some(table) = cell.and_then(|cell| Table::open(&cell, errors)) else { return Vec::new() };
    table.fields().filter_map(|field| read(field, errors)).collect()
}

fn listed<T>(
    cell: Option<Cell<'_>>,
    read: impl Fn(&Cell<'_>, &mut Errors) -> Option<T>,
    errors: &mut Errors,
) -> Vec<T> {
    let items = cell.map_or_else(Vec::new, |cell| cell.items(errors));
    items.iter().filter_map(|item| read(item, errors)).collect()
}

impl Server {
    fn read(cell: &Cell<'_>, errors: &mut Errors) -> Option<Self> {
        let table = Table::read(cell, SERVER, errors)?;
        let cors = table.get("cors").and_then(|cell| Table::read(&cell, CORS, errors));
        let origins = cors.and_then(|cors| cors.get("origins"));
        Some(Self {
            listen: table.get("listen").and_then(|cell| cell.text(errors)),
            admin_key: table.get("admin_key").and_then(|cell| cell.text(errors)),
            require_key: table.get("require_key").and_then(|cell| cell.truth(errors)),
            max_body: table.get("max_body").and_then(|cell| cell.size(errors)).map(|size| size.value),
            drain: table.get("drain").and_then(|cell| cell.span(errors)).map(|span| span.value),
            tls: table.get("tls").and_then(|cell| Tls::read(&cell, errors)),
            cors_origins: origins.map_or_else(Vec::new, |cell| cell.texts(errors)),
            open: table.get("open").and_then(|cell| cell.truth(errors)),
            unknown_price: table
                .get("unknown_price")
                .and_then(|cell| cell.word("word", UNKNOWN_PRICES, errors))
                .map(|word| word.value),
            fetch_media: table
                .get("fetch_media")
                .and_then(|cell| cell.word("word", FETCHES, errors))
                .map(|word| word.value)
                .unwrap_or_default(),
            zone: table.get("zone").and_then(|cell| limits::zone(&cell, errors)).unwrap_or_default(),
            trusted_proxies: table.get("trusted_proxies").map_or_else(Vec::new, |cell| cell.ranges(errors)),
        })
    }
}

impl Tls {
    fn read(cell: &Cell<'_>, errors: &mut Errors) -> Option<Self> {
        let table = Table::read(cell, TLS, errors)?;
        let cert = required(&table, "cert", "the certificate chain's PEM file", errors);
        let key = required(&table, "key", "the private key's PEM file", errors);
        Some(Self { cert: cert?.value, key: key?.value })
    }
}

impl Store {
    fn read(cell: &Cell<'_>, errors: &mut Errors) -> Option<Self> {
        let table = Table::read(cell, STORE, errors)?;
        Some(Self {
            path: table.get("path").and_then(|cell| cell.text(errors)).map(|path| path.value),
            redis: table.get("redis").and_then(|cell| cell.text(errors)),
            namespace: table.get("namespace").and_then(|cell| cell.name(errors)).map(|name| name.value),
            fail: table.get("fail").map_or_else(Fail::default, |cell| fail(&cell, errors)),
            responses: table.get("responses").and_then(|cell| cache::time(&cell, errors)),
            responses_size: table.get("responses_size").and_then(|cell| cell.size(errors)),
        })
    }
}

/// `store.fail`: one word for both, or a table with one for each.
fn fail(cell: &Cell<'_>, errors: &mut Errors) -> Fail {
    let usual = Fail::default();
    if let super::tree::Value::Text(_) = &cell.node.value {
        let both = cell.word("word", FALLBACKS, errors);
        return both.map_or(usual, |both| Fail { budgets: both.value, limits: both.value });
    }
    let Some(table) = Table::read(cell, FAIL, errors) else { return usual };
    let mut word = |name: &str| table.get(name)?.word("word", FALLBACKS, errors).map(|word| word.value);
    Fail { budgets: word("budgets").unwrap_or(usual.budgets), limits: word("limits").unwrap_or(usual.limits) }
}

/// A string that must be there.
fn required(table: &Table<'_>, name: &str, what: &str, errors: &mut Errors) -> Option<Spot<String>> {
    match table.get(name) {
        Some(cell) => cell.text(errors),
        None => {
            errors.push(&table.place, format!("`{name}` is missing"), format!("add `{name}`: {what}"));
            None
        }
    }
}

impl Provider {
    fn read(Field { name, cell }: Field<'_>, errors: &mut Errors) -> Option<Self> {
        let table = Table::read(&cell, PROVIDER, errors)?;
        let timeout = table.get("timeout").and_then(|cell| Table::read(&cell, TIMEOUT, errors));
        let mut wait = |name: &str| {
            let cell = timeout.as_ref().and_then(|timeout| timeout.get(name))?;
            cell.wait(errors).map(|span| span.value)
        };
        let (first_byte, idle, total) = (wait("first_byte"), wait("idle"), wait("total"));
        let (session, session_idle) = (wait("session"), wait("session_idle"));
        Some(Self {
            name,
            kind: table.get("kind").and_then(|cell| cell.text(errors)),
            base_url: table.get("base_url").and_then(|cell| cell.text(errors)),
            region: table.get("region").and_then(|cell| cell.text(errors)),
            project: table.get("project").and_then(|cell| cell.text(errors)),
            location: table.get("location").and_then(|cell| cell.text(errors)),
            keys: ProviderKey::all(&table, errors),
            first_byte,
            idle,
            total,
            session,
            session_idle,
            headers: named(table.get("headers"), Header::read, errors),
            query: named(table.get("query"), Header::read, errors),
            key_header: table.get("key_header").and_then(|cell| cell.text(errors)),
            api_version: table.get("api_version").and_then(|cell| cell.text(errors)),
            bills_unheard: table.get("bills_unheard").and_then(|cell| cell.truth(errors)),
            terms: terms(&table, errors),
        })
    }
}

/// `discount` and `margin`, in per cent.
fn terms(table: &Table<'_>, errors: &mut Errors) -> Terms {
    let discount = table.get("discount").and_then(|cell| cell.discount(errors));
    let margin = table.get("margin").and_then(|cell| cell.percent(errors));
    let usual = Terms::default();
    Terms {
        charged: usual.charged.saturating_sub(discount.map_or(0, |parts| parts.value)),
        asked: usual.asked.saturating_add(margin.map_or(0, |parts| parts.value)),
    }
}

impl Price {
    fn read(Field { name, cell }: Field<'_>, errors: &mut Errors) -> Option<Self> {
        let classes: Vec<&str> = CLASSES.iter().map(|kind| kind.word).collect();
        let services = Service::NAMED.iter().map(|(_, word)| *word);
        let others = [PRICE_AS, ">200000"].into_iter().chain(services);
        let known: Vec<&str> = classes.iter().copied().chain(others).collect();
        let table = Table::read_with(&cell, &known, |name| Section::parse(name).is_some(), errors)?;
        let like = table.get(PRICE_AS).and_then(|cell| cell.text(errors));
        if table.fields().next().is_none() {
            errors.push(&table.place, "there is no price", "add `input` and `output`, or `as`");
        }
        let mut special = Vec::new();
        for field in table.fields() {
            let Some(mut case) = Section::parse(&field.name.value) else { continue };
            let Some(table) = Table::read(&field.cell, &classes, errors) else { continue };
            if table.fields().next().is_none() {
                errors.push(&table.place, "there is no price", "add `input` and `output`, or leave it out");
            }
            case.rates = rates(&table, errors);
            special.push(case);
        }
        Some(Self { name, like, rates: rates(&table, errors), special })
    }
}

/// The prices of a table, by class.
fn rates(table: &Table<'_>, errors: &mut Errors) -> Rates {
    let rate = |Kind { class, word, unit, .. }: &Kind| {
        let price = table.get(word)?.price(*unit, errors)?;
        Some(Rate { class: *class, price: price.value })
    };
    Rates(CLASSES.iter().filter_map(rate).collect())
}

impl Header {
    fn read(Field { name, cell }: Field<'_>, errors: &mut Errors) -> Option<Self> {
        let value = cell.text(errors)?;
        Some(Self { name, value })
    }
}

impl ProviderKey {
    fn all(table: &Table<'_>, errors: &mut Errors) -> Vec<Self> {
        let single = table.get("key");
        let list = table.get("keys");
        if let (Some(single), Some(_)) = (&single, &list) {
            errors.push(&single.place, "`key` stands beside `keys`", "move it into `keys`");
        }
        let listed = list.map_or_else(Vec::new, |cell| cell.one_or_more(errors));
        single.into_iter().chain(listed).filter_map(|cell| Self::read(&cell, errors)).collect()
    }

    fn read(cell: &Cell<'_>, errors: &mut Errors) -> Option<Self> {
        if let super::tree::Value::Text(_) = &cell.node.value {
            let limits = UpstreamLimits::default();
            let secret = KeySecret::Value(cell.text(errors)?);
            return Some(Self { name: None, secret, weight: 1.0, models: None, limits });
        }
        let table = Table::read(cell, PROVIDER_KEY, errors)?;
        let name = table.get("name").and_then(|cell| cell.text(errors));
        let weight = table.get("weight").and_then(|cell| cell.weight(errors));
        let models = table.get("models").map(|cell| cell.texts(errors));
        let limits = upstream_limits(&table, errors);
        let secret = KeySecret::read(&table, errors)?;
        Some(Self { name, secret, weight: weight.map_or(1.0, |weight| weight.value), models, limits })
    }
}

impl KeySecret {
    fn read(table: &Table<'_>, errors: &mut Errors) -> Option<Self> {
        let given = source::FIELDS.iter();
        let given: Vec<_> = given.filter_map(|name| Some((*name, table.get(name)?.text(errors)?))).collect();
        match (table.get("from"), given.first()) {
            (Some(from), _) => {
                let mixed = ["value", "access_key_id"].iter().find_map(|name| table.get(name));
                if let Some(mixed) = mixed {
                    errors.push(&mixed.place, "a key stands beside `from`", "remove one of them");
                    return None;
                }
                return Some(Self::Source(KeySource { from: from.text(errors)?, given }));
            }
            (None, Some((name, spot))) => {
                let message = format!("`{name}` says more of a key's source, and there is none");
                errors.push(&spot.place, message, "add `from`");
                return None;
            }
            (None, None) => {}
        }
        let parts = ["access_key_id", "secret_access_key", "session_token"];
        let Some(part) = parts.iter().find_map(|name| table.get(name)) else {
            let what = r#"the key as "env:NAME" or "file:PATH""#;
            return required(table, "value", what, errors).map(Self::Value);
        };
        if table.get("value").is_some() {
            errors.push(&part.place, "an access key stands beside `value`", "remove one of them");
            return None;
        }
        let what = r#"as "env:NAME" or "file:PATH""#;
        let id = required(table, "access_key_id", what, errors);
        let secret = required(table, "secret_access_key", what, errors);
        let token = table.get("session_token").and_then(|cell| cell.text(errors));
        Some(Self::Access(AccessKey { id: id?, secret: secret?, token }))
    }
}

impl Model {
    fn read(Field { name, cell }: Field<'_>, errors: &mut Errors) -> Option<Self> {
        if let super::tree::Value::Text(_) = &cell.node.value {
            let limits = UpstreamLimits::default();
            let targets = vec![Target { to: cell.text(errors)?, weight: 1.0, limits }];
            return Some(Self {
                name,
                strategy: None,
                targets,
                fallbacks: Vec::new(),
                context_fallbacks: Vec::new(),
                content_fallbacks: Vec::new(),
                attempts: None,
                deadline: None,
                cache: None,
            });
        }
        let table = Table::read(&cell, MODEL, errors)?;
        let strategy = table.get("strategy").and_then(|cell| cell.word("strategy", STRATEGIES, errors));
        let targets = Target::all(&table, errors);
        let mut names = |field: &str| -> Vec<Spot<String>> {
            let cells = table.get(field).map_or_else(Vec::new, |cell| cell.one_or_more(errors));
            cells.iter().filter_map(|cell| cell.text(errors)).collect()
        };
        let fallbacks = names("fallbacks");
        let context_fallbacks = names("context_fallbacks");
        let content_fallbacks = names("content_fallbacks");
        Some(Self {
            name,
            strategy,
            targets,
            fallbacks,
            context_fallbacks,
            content_fallbacks,
            attempts: table.get("attempts").and_then(|cell| cell.count(errors)),
            deadline: table.get("deadline").and_then(|cell| cell.wait(errors)).map(|span| span.value),
            cache: table.get("cache").and_then(|cell| Caching::read(&cell, errors)),
        })
    }
}

impl Target {
    fn all(table: &Table<'_>, errors: &mut Errors) -> Vec<Self> {
        const FIX: &str = r#"add `targets = ["provider/model"]`"#;
        let Some(cell) = table.get("targets") else {
            errors.push(&table.place, "`targets` is missing", FIX);
            return Vec::new();
        };
        if matches!(&cell.node.value, super::tree::Value::List(items) if items.is_empty()) {
            errors.push(&cell.place, "there is no target", r#"name at least one "provider/model""#);
        }
        cell.one_or_more(errors).iter().filter_map(|item| Self::read(item, errors)).collect()
    }

    fn read(cell: &Cell<'_>, errors: &mut Errors) -> Option<Self> {
        if let super::tree::Value::Text(_) = &cell.node.value {
            return Some(Self { to: cell.text(errors)?, weight: 1.0, limits: UpstreamLimits::default() });
        }
        let table = Table::read(cell, TARGET, errors)?;
        let weight = table.get("weight").and_then(|cell| cell.weight(errors));
        let limits = upstream_limits(&table, errors);
        let to = required(&table, "to", r#"the target as "provider/model""#, errors)?;
        Some(Self { to, weight: weight.map_or(1.0, |weight| weight.value), limits })
    }
}

/// `rpm` and `tpm` of a target or of a provider's key.
fn upstream_limits(table: &Table<'_>, errors: &mut Errors) -> UpstreamLimits {
    let mut count = |name: &str| table.get(name)?.count(errors).map(|count| count.value);
    UpstreamLimits { rpm: count("rpm").map(Requests), tpm: count("tpm").map(units::Tokens) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_field_stands_in_the_reference() {
        let reference = include_str!("../../../REFERENCE.md");
        let lists = [SERVER, STORE, FAIL, ALERTS, keys::KEY, keys::PREVIOUS, limits::LIMITS, limits::BUDGET];
        let more = [
            DOCUMENT,
            cache::CACHE,
            cache::CACHING,
            keys::HOLDER,
            keys::REMARKS,
            keys::WITHIN,
            tokens::TOKENS,
            tokens::ISSUER,
        ];
        for field in lists.iter().chain(&more).copied().flatten() {
            let named = |before: char, after: char| reference.contains(&format!("{before}{field}{after}"));
            let shown = named('`', '`') || named('.', '`') || named(' ', ' ') || named(' ', ',');
            assert!(shown || named('`', '.') || named('`', ' '), "{field} is not in REFERENCE.md");
        }
    }
}
