//! Keys and holders as the API takes and shows them: their fields, and the way to the words of the
//! config, which are those of the store.

use super::Kind;
use super::shape::{Field, Object, Shape, optional, required};
use crate::cache::Share;
use crate::config::{ConfigError, Pattern, values};
use crate::directory::spec::{self, Around};
use crate::directory::{Holder, HolderKind, Key};
use crate::fault::{Code, Fault};
use crate::units::{NanoDollars, Time};
use bytes::Bytes;
use serde_json::Value;

/// The words of [`crate::limit::Period`].
const PERIODS: &[&str] = &["minute", "hour", "day", "week", "month", "year", "never"];
const RESETS: &[&str] = &["calendar", "rolling"];
/// The words of [`crate::directory::Role`].
pub const ROLES: &[&str] = &["caller", "viewer", "manager", "admin"];
/// Requests, in a minute, at once or in all; more is a slip of the pen.
const MOST_REQUESTS: u64 = 1_000_000_000;
/// Tokens in a minute.
const MOST_TPM: u64 = 1_000_000_000_000;

/// A budget.
pub const BUDGET: &[Field] = &[
    required("usd", Shape::Dollars, "The amount."),
    required("per", Shape::Word(PERIODS), "How long it lasts; `never`: it is not full again."),
    optional("reset", Shape::Word(RESETS), "With the calendar's period, or looking back that long."),
    optional("zone", Shape::Zone, "The time zone of the calendar; `server.zone` unless given."),
    optional("warn", Shape::UpTo(100), "When to warn, in per cent of the amount."),
];

const RPM: Field = optional("rpm", Shape::UpTo(MOST_REQUESTS), "Requests in any 60 seconds.");
const TPM: Field = optional("tpm", Shape::UpTo(MOST_TPM), "Tokens in any 60 seconds.");
const TPM_INPUT: Field = optional("tpm_input", Shape::UpTo(MOST_TPM), "Input tokens in any 60 seconds.");
const TPM_OUTPUT: Field = optional("tpm_output", Shape::UpTo(MOST_TPM), "Output tokens in any 60 seconds.");
const CONCURRENCY: Field = optional("concurrency", Shape::UpTo(MOST_REQUESTS), "Requests in flight at once.");
const MAX_REQUESTS: Field = optional("max_requests", Shape::UpTo(MOST_REQUESTS), "Requests in all, ever.");
const MAX_TOKENS: Field = optional("max_tokens", Shape::Count, "Tokens in all, ever.");
const BUDGETS: Field =
    optional("budget", Shape::List(&Shape::Object(BUDGET), 7), "Money by period, each period once.");

/// What each end user may consume.
const LIMITS: &[Field] = &[RPM, TPM, TPM_INPUT, TPM_OUTPUT, CONCURRENCY, MAX_REQUESTS, MAX_TOKENS, BUDGETS];

/// Limits for some models or one provider.
const WITHIN: &[Field] = &[
    optional("model", Shape::Pattern, "For this model; or else:"),
    optional("provider", Shape::Pattern, "for this provider."),
    RPM,
    TPM,
    TPM_INPUT,
    TPM_OUTPUT,
    CONCURRENCY,
    MAX_REQUESTS,
    MAX_TOKENS,
    BUDGETS,
];

const WITHIN_ALL: Field =
    optional("limits", Shape::List(&Shape::Object(WITHIN), 100), "Limits for some models or providers.");
const END_USER: Field = optional("end_user", Shape::Object(LIMITS), "Limits for each end user.");
const NAME: Field = required("name", Shape::Name, "Unique among its kind.");
const ORGANISATION: Field = optional("organisation", Shape::Name, "The organisation it belongs to.");
const BLOCKED: Field = optional("blocked", Shape::Truth, "Whether it is refused.");
const NOTE: Field = optional("note", Shape::Text(1000), "A sentence for people.");
const METADATA: Field =
    optional("metadata", Shape::Ignored, "For people and programs; nothing here is looked at.");

const MODELS: Field =
    optional("models", Shape::List(&Shape::Pattern, 1000), "What it may call; absent: everything.");

/// An organisation, in a request.
pub const ORGANISATION_FIELDS: &[Field] = &[
    NAME,
    MODELS,
    RPM,
    TPM,
    TPM_INPUT,
    TPM_OUTPUT,
    CONCURRENCY,
    MAX_REQUESTS,
    MAX_TOKENS,
    BUDGETS,
    WITHIN_ALL,
    END_USER,
    BLOCKED,
    NOTE,
    METADATA,
];

/// A team, a user or a tag, in a request.
pub const HOLDER_FIELDS: &[Field] = &[
    NAME,
    ORGANISATION,
    MODELS,
    RPM,
    TPM,
    TPM_INPUT,
    TPM_OUTPUT,
    CONCURRENCY,
    MAX_REQUESTS,
    MAX_TOKENS,
    BUDGETS,
    WITHIN_ALL,
    END_USER,
    BLOCKED,
    NOTE,
    METADATA,
];

/// The words of [`crate::cache::Share`].
const SHARES: &[&str] =
    &[Share::Key.name(), Share::Team.name(), Share::Organisation.name(), Share::All.name()];

/// How a key uses the cache of answers.
const CACHING: &[Field] = &[
    optional("ttl", Shape::Span, "How long an answer is kept; `cache.ttl` of the config unless given."),
    optional("share", Shape::Word(SHARES), "Who may be given the answers of whom."),
];

/// What a key is recognised by; only when it is made.
pub const DIGEST: Field = optional(
    "sha256",
    Shape::Digest,
    "SHA-256 of a key that exists already; without it a key is made and shown once.",
);

/// A key in a request that changes it.
pub const KEY_FIELDS: &[Field] = &[
    NAME,
    optional("team", Shape::Name, "The team it belongs to."),
    optional("user", Shape::Name, "The user it belongs to."),
    ORGANISATION,
    optional("tags", Shape::List(&Shape::Name, 64), "What it is marked with."),
    optional("client_tags", Shape::List(&Shape::Pattern, 64), "Tags a client may add."),
    MODELS,
    optional("routes", Shape::List(&Shape::Pattern, 100), "Paths it may call; absent: everything."),
    optional("ips", Shape::List(&Shape::Range, 100), "Addresses it may be used from; absent: everywhere."),
    optional("role", Shape::Word(ROLES), "What it may do in this API; `caller` unless given."),
    RPM,
    TPM,
    TPM_INPUT,
    TPM_OUTPUT,
    CONCURRENCY,
    MAX_REQUESTS,
    MAX_TOKENS,
    BUDGETS,
    WITHIN_ALL,
    END_USER,
    optional("cache", Shape::Switch(CACHING), "Whether its answers are kept for equal requests, and how."),
    optional("expires", Shape::Moment, "The first moment at which it is refused."),
    BLOCKED,
    NOTE,
    METADATA,
];

/// The fields of a kind in a request that changes it.
pub const fn fields(kind: Kind) -> &'static [Field] {
    match kind {
        Kind::Key => KEY_FIELDS,
        Kind::Holder(HolderKind::Organisation) => ORGANISATION_FIELDS,
        Kind::Holder(HolderKind::Team | HolderKind::User | HolderKind::Tag) => HOLDER_FIELDS,
    }
}

/// Reads a key. Fails with the first mistake, by its field.
pub fn read_key(spec: &Object, around: &Around<'_>) -> Result<Key, Fault> {
    spec::read_key(&bytes(spec), around).map_err(|errors| fault(&errors))
}

/// Reads an organisation, a team, a user or a tag. Fails with the first mistake, by its field.
pub fn read_holder(kind: HolderKind, spec: &Object, around: &Around<'_>) -> Result<Holder, Fault> {
    spec::read_holder(kind, &bytes(spec), around).map_err(|errors| fault(&errors))
}

/// Reads a spec and brings it to the form in which it is stored.
pub fn read(kind: Kind, spec: &Object, around: &Around<'_>) -> Result<Object, Fault> {
    let read = match kind {
        Kind::Key => spec::key_json(&read_key(spec, around)?),
        Kind::Holder(kind) => spec::holder_json(&read_holder(kind, spec, around)?),
    };
    Ok(object(&read))
}

/// An object as its bytes.
pub fn bytes(spec: &Object) -> Bytes {
    // Strings, numbers, lists and objects are always written.
    Bytes::from(serde_json::to_vec(spec).unwrap_or_default())
}

/// The object that was written as these bytes.
pub fn object(bytes: &[u8]) -> Object {
    serde_json::from_slice(bytes).unwrap_or_default()
}

fn fault(errors: &[ConfigError]) -> Fault {
    let Some(ConfigError { path, message, fix, line: _, column: _ }) = errors.first() else {
        return Fault::new(Code::Bug, "a spec was refused without a reason");
    };
    let fault = Fault::new(Code::BadField, format!("{path}: {message} ({fix})"));
    if path.is_empty() { fault } else { fault.at(path.clone()) }
}

/// The amount of a number in dollars.
pub fn amount(number: &Value) -> Option<NanoDollars> {
    values::dollars(&number.as_number()?.to_string()).ok()
}

/// A string of a spec.
pub fn text<'s>(spec: &'s Object, name: &str) -> Option<&'s str> {
    spec.get(name).and_then(Value::as_str)
}

/// The strings of a list of a spec.
pub fn texts<'s>(spec: &'s Object, name: &str) -> impl Iterator<Item = &'s str> {
    spec.get(name).and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str)
}

/// A moment as specs spell it.
pub fn written(at: Time) -> String {
    values::written(at)
}

/// A digest in hexadecimal.
pub fn hex(digest: &[u8]) -> String {
    values::hex(digest)
}

/// A digest of 64 hexadecimal digits.
pub fn from_hex(text: &str) -> Option<[u8; 32]> {
    values::sha256(text).ok()
}

/// Patterns by their spelling.
pub fn patterns<'s>(texts: impl Iterator<Item = &'s str>) -> Vec<Pattern> {
    texts.filter_map(Pattern::parse).collect()
}
