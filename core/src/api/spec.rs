//! Keys and holders as the API and the store spell them, and the directory as the API reads it.

use super::shape::{Field, Object, Shape, moment, optional, required};
use super::{Change, Kind};
use crate::config::{Pattern, values};
use crate::directory::{Directory, Holder, HolderKind, IpRange, Key, Retiring, Role, What, Within};
use crate::fault::{Code, Fault};
use crate::ledger::Scope;
use crate::limit::calendar::Zone;
use crate::limit::{Budget, Limits, Percent, Period, Reset};
use crate::units::{NanoDollars, Requests, Time, Tokens};
use serde_json::{Value, json};
use std::sync::Arc;

/// The words of [`Period`].
const PERIODS: &[&str] = &["minute", "hour", "day", "week", "month", "year", "never"];
const RESETS: &[&str] = &["calendar", "rolling"];
/// The words of [`Role`].
pub const ROLES: &[&str] = &["caller", "viewer", "manager", "admin"];

/// A budget.
pub const BUDGET: &[Field] = &[
    required("usd", Shape::Dollars, "The amount."),
    required("per", Shape::Word(PERIODS), "How long it lasts; `never`: it is not full again."),
    optional("reset", Shape::Word(RESETS), "With the calendar's period, or looking back that long."),
    optional("zone", Shape::Zone, "The time zone of the calendar; UTC unless given."),
    optional("warn", Shape::UpTo(100), "When to warn, in per cent of the amount."),
];

const RPM: Field = optional("rpm", Shape::Count, "Requests in any 60 seconds.");
const TPM: Field = optional("tpm", Shape::Count, "Tokens in any 60 seconds.");
const TPM_INPUT: Field = optional("tpm_input", Shape::Count, "Input tokens in any 60 seconds.");
const TPM_OUTPUT: Field = optional("tpm_output", Shape::Count, "Output tokens in any 60 seconds.");
const CONCURRENCY: Field = optional("concurrency", Shape::Count, "Requests in flight at once.");
const BUDGETS: Field =
    optional("budget", Shape::List(&Shape::Object(BUDGET), 7), "Money by period, each period once.");

/// What a scope may consume.
pub const LIMITS: &[Field] = &[RPM, TPM, TPM_INPUT, TPM_OUTPUT, CONCURRENCY, BUDGETS];

const MODEL_LIMITS: Field =
    optional("model_limits", Shape::ByName(&Shape::Object(LIMITS)), "Limits for some models.");
const PROVIDER_LIMITS: Field =
    optional("provider_limits", Shape::ByName(&Shape::Object(LIMITS)), "Limits for some providers.");
const END_USER: Field = optional("end_user", Shape::Object(LIMITS), "Limits for each end user.");
const NAME: Field = required("name", Shape::Name, "Unique among its kind.");
const ORGANISATION: Field = optional("organisation", Shape::Name, "The organisation it belongs to.");
const BLOCKED: Field = optional("blocked", Shape::Truth, "Whether it is refused.");

/// An organisation, in a request.
pub const ORGANISATION_FIELDS: &[Field] = &[
    NAME,
    RPM,
    TPM,
    TPM_INPUT,
    TPM_OUTPUT,
    CONCURRENCY,
    BUDGETS,
    MODEL_LIMITS,
    PROVIDER_LIMITS,
    END_USER,
    BLOCKED,
];

/// A team, a user or a tag, in a request.
pub const HOLDER_FIELDS: &[Field] = &[
    NAME,
    ORGANISATION,
    RPM,
    TPM,
    TPM_INPUT,
    TPM_OUTPUT,
    CONCURRENCY,
    BUDGETS,
    MODEL_LIMITS,
    PROVIDER_LIMITS,
    END_USER,
    BLOCKED,
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
    optional("models", Shape::List(&Shape::Pattern, 1000), "What it may call; absent: everything."),
    optional("routes", Shape::List(&Shape::Pattern, 100), "Paths it may call; absent: everything."),
    optional("ips", Shape::List(&Shape::Range, 100), "Addresses it may be used from; absent: everywhere."),
    optional("role", Shape::Word(ROLES), "What it may do in this API; `caller` unless given."),
    RPM,
    TPM,
    TPM_INPUT,
    TPM_OUTPUT,
    CONCURRENCY,
    BUDGETS,
    MODEL_LIMITS,
    PROVIDER_LIMITS,
    END_USER,
    optional("expires", Shape::Moment, "The first moment at which it is refused."),
    BLOCKED,
];

/// The fields of a kind in a request that changes it.
pub const fn fields(kind: Kind) -> &'static [Field] {
    match kind {
        Kind::Key => KEY_FIELDS,
        Kind::Holder(HolderKind::Organisation) => ORGANISATION_FIELDS,
        Kind::Holder(HolderKind::Team | HolderKind::User | HolderKind::Tag) => HOLDER_FIELDS,
    }
}

/// Reads a key's stored form, whose types have been checked or were written by [`key_json`].
pub fn read_key(spec: &Object) -> Result<Key, Fault> {
    let name = text(spec, "name").ok_or_else(|| Fault::missing_field("name", "the key's name"))?;
    let sha256 = text(spec, "sha256").and_then(from_hex);
    let sha256 = sha256.ok_or_else(|| Fault::missing_field("sha256", "the key's SHA-256"))?;
    let holds = format!("key:{name}");
    Ok(Key {
        retiring: spec.get("retiring").and_then(retiring),
        team: owned(spec, "team"),
        user: owned(spec, "user"),
        organisation: owned(spec, "organisation"),
        tags: texts(spec, "tags").map(str::to_owned).collect(),
        client_tags: texts(spec, "client_tags").filter_map(Pattern::parse).collect(),
        models: texts(spec, "models").filter_map(Pattern::parse).collect(),
        routes: texts(spec, "routes").filter_map(Pattern::parse).collect(),
        ips: texts(spec, "ips").filter_map(range).collect(),
        role: text(spec, "role").and_then(role).unwrap_or_default(),
        scope: Arc::new(Scope { name: holds.clone(), limits: limits(spec, "")? }),
        within: within(spec, &holds)?,
        each_end_user: end_user(spec)?,
        expires: text(spec, "expires").and_then(moment),
        blocked: truth(spec, "blocked"),
        ..Key::new(name, sha256)
    })
}

/// A key's stored form.
pub fn key_json(key: &Key) -> Object {
    let mut spec = Object::new();
    put(&mut spec, "name", json!(key.name));
    put(&mut spec, "sha256", json!(hex(&key.sha256)));
    if let Some(Retiring { sha256, until }) = &key.retiring {
        put(&mut spec, "retiring", json!({"sha256": hex(sha256), "until": written(*until)}));
    }
    for (name, value) in [("team", &key.team), ("user", &key.user), ("organisation", &key.organisation)] {
        put_some(&mut spec, name, value.as_ref().map(|value| json!(value)));
    }
    put_list(&mut spec, "tags", key.tags.clone());
    put_list(&mut spec, "client_tags", key.client_tags.iter().map(pattern).collect());
    put_list(&mut spec, "models", key.models.iter().map(pattern).collect());
    put_list(&mut spec, "routes", key.routes.iter().map(pattern).collect());
    put_list(&mut spec, "ips", key.ips.iter().map(range_text).collect());
    put_some(&mut spec, "role", (key.role != Role::Caller).then(|| json!(role_word(key.role))));
    put_limits(&mut spec, &key.scope.limits);
    put_within(&mut spec, &key.within);
    put_some(&mut spec, "end_user", key.each_end_user.as_ref().map(limits_json));
    put_some(&mut spec, "expires", key.expires.map(|at| json!(written(at))));
    put_some(&mut spec, "blocked", key.blocked.then_some(Value::Bool(true)));
    spec
}

/// Reads a holder's stored form.
pub fn read_holder(kind: HolderKind, spec: &Object) -> Result<Holder, Fault> {
    let name = text(spec, "name").ok_or_else(|| Fault::missing_field("name", "its name"))?;
    let holds = format!("{}:{name}", kind.name());
    Ok(Holder {
        kind,
        name: name.to_owned(),
        organisation: owned(spec, "organisation"),
        scope: Arc::new(Scope { name: holds.clone(), limits: limits(spec, "")? }),
        within: within(spec, &holds)?,
        each_end_user: end_user(spec)?,
        blocked: truth(spec, "blocked"),
    })
}

/// A holder's stored form.
pub fn holder_json(holder: &Holder) -> Object {
    let mut spec = Object::new();
    put(&mut spec, "name", json!(holder.name));
    put_some(&mut spec, "organisation", holder.organisation.as_ref().map(|name| json!(name)));
    put_limits(&mut spec, &holder.scope.limits);
    put_within(&mut spec, &holder.within);
    put_some(&mut spec, "end_user", holder.each_end_user.as_ref().map(limits_json));
    put_some(&mut spec, "blocked", holder.blocked.then_some(Value::Bool(true)));
    spec
}

/// Takes a change up into the directory. Fails on a spec that cannot be read, changing nothing.
pub fn apply(directory: &mut Directory, change: &Change) -> Result<(), Fault> {
    let Change { kind, name, spec } = change;
    let Some(spec) = spec else {
        directory.remove(*kind, name);
        return Ok(());
    };
    let Ok(spec) = serde_json::from_slice::<Object>(spec) else {
        return Err(Fault::new(Code::Bug, format!("the spec of {}:{name} is no object", kind.name())));
    };
    match kind {
        Kind::Key => directory.put_key(read_key(&spec)?),
        Kind::Holder(kind) => directory.put_holder(read_holder(*kind, &spec)?),
    }
    Ok(())
}

fn put(spec: &mut Object, name: &str, value: Value) {
    spec.insert(name.to_owned(), value);
}

fn put_some(spec: &mut Object, name: &str, value: Option<Value>) {
    if let Some(value) = value {
        put(spec, name, value);
    }
}

fn put_list(spec: &mut Object, name: &str, list: Vec<String>) {
    put_some(spec, name, (!list.is_empty()).then(|| json!(list)));
}

fn put_limits(spec: &mut Object, limits: &Limits) {
    let Limits { rpm, tpm, tpm_input, tpm_output, concurrency, max_requests: _, max_tokens: _, budgets } =
        limits;
    put_some(spec, "rpm", rpm.map(|limit| json!(limit.get())));
    put_some(spec, "tpm", tpm.map(|limit| json!(limit.get())));
    put_some(spec, "tpm_input", tpm_input.map(|limit| json!(limit.get())));
    put_some(spec, "tpm_output", tpm_output.map(|limit| json!(limit.get())));
    put_some(spec, "concurrency", concurrency.map(|limit| json!(limit.get())));
    let budgets: Vec<_> = budgets.iter().map(budget_json).collect();
    put_some(spec, "budget", (!budgets.is_empty()).then_some(Value::Array(budgets)));
}

fn limits_json(limits: &Limits) -> Value {
    let mut spec = Object::new();
    put_limits(&mut spec, limits);
    Value::Object(spec)
}

/// A budget in the words of the config.
pub fn budget_json(budget: &Budget) -> Value {
    let Budget { amount, per, reset, warn } = budget;
    let mut spec = Object::new();
    put(&mut spec, "usd", super::shape::dollars(*amount));
    put(&mut spec, "per", json!(per.name()));
    match reset {
        Reset::Rolling => put(&mut spec, "reset", json!("rolling")),
        Reset::Calendar(zone) if *zone != Zone::default() => put(&mut spec, "zone", json!(zone.name())),
        Reset::Calendar(_) => {}
    }
    put_some(&mut spec, "warn", warn.map(|Percent(part)| json!(part)));
    Value::Object(spec)
}

fn put_within(spec: &mut Object, within: &[Within]) {
    let (mut models, mut providers) = (Object::new(), Object::new());
    for Within { what, scope } in within {
        match what {
            What::Model(name) => put(&mut models, &pattern(name), limits_json(&scope.limits)),
            What::Provider(name) => put(&mut providers, name, limits_json(&scope.limits)),
        }
    }
    put_some(spec, "model_limits", (!models.is_empty()).then_some(Value::Object(models)));
    put_some(spec, "provider_limits", (!providers.is_empty()).then_some(Value::Object(providers)));
}

fn within(spec: &Object, holds: &str) -> Result<Vec<Within>, Fault> {
    let mut all = Vec::new();
    for (field, word) in [("model_limits", "model"), ("provider_limits", "provider")] {
        let named = spec.get(field).and_then(Value::as_object).into_iter().flatten();
        for (name, inner) in named {
            let limits =
                inner.as_object().map(|inner| limits(inner, &format!("{field}.{name}."))).transpose()?;
            let scope = Scope { name: format!("{holds}/{word}:{name}"), limits: limits.unwrap_or_default() };
            let what = match (word, Pattern::parse(name)) {
                ("model", Some(pattern)) => What::Model(pattern),
                _ => What::Provider(name.clone()),
            };
            all.push(Within { what, scope: Arc::new(scope) });
        }
    }
    Ok(all)
}

fn end_user(spec: &Object) -> Result<Option<Limits>, Fault> {
    spec.get("end_user").and_then(Value::as_object).map(|inner| limits(inner, "end_user.")).transpose()
}

fn limits(spec: &Object, at: &str) -> Result<Limits, Fault> {
    let count = |name: &str| spec.get(name).and_then(Value::as_u64);
    let mut budgets: Vec<Budget> = Vec::new();
    let listed = spec.get("budget").and_then(Value::as_array).into_iter().flatten();
    for (index, one) in listed.enumerate() {
        let Some(budget) = one.as_object().and_then(budget) else { continue };
        if budgets.iter().any(|earlier| earlier.per == budget.per) {
            let found = format!("a second one per {}", budget.per.name());
            return Err(Fault::bad_field(
                format!("{at}budget[{index}].per"),
                "one budget for each period",
                found,
            ));
        }
        budgets.push(budget);
    }
    Ok(Limits {
        rpm: count("rpm").map(Requests),
        tpm: count("tpm").map(Tokens),
        tpm_input: count("tpm_input").map(Tokens),
        tpm_output: count("tpm_output").map(Tokens),
        concurrency: count("concurrency").map(Requests),
        budgets,
        ..Limits::default()
    })
}

fn budget(spec: &Object) -> Option<Budget> {
    let zone = text(spec, "zone").and_then(Zone::parse).unwrap_or_default();
    let reset = if text(spec, "reset") == Some("rolling") { Reset::Rolling } else { Reset::Calendar(zone) };
    let warn = spec.get("warn").and_then(Value::as_u64).and_then(|part| u8::try_from(part).ok());
    Some(Budget {
        amount: amount(spec.get("usd")?)?,
        per: text(spec, "per").and_then(period)?,
        reset,
        warn: warn.map(Percent),
    })
}

/// The amount of a number in dollars.
pub fn amount(number: &Value) -> Option<NanoDollars> {
    values::dollars(&number.as_number()?.to_string()).ok()
}

/// The period of a word.
fn period(word: &str) -> Option<Period> {
    Period::ALL.into_iter().find(|period| period.name() == word)
}

fn retiring(value: &Value) -> Option<Retiring> {
    let spec = value.as_object()?;
    Some(Retiring { sha256: text(spec, "sha256").and_then(from_hex)?, until: moment(text(spec, "until")?)? })
}

/// A string of a spec.
pub fn text<'s>(spec: &'s Object, name: &str) -> Option<&'s str> {
    spec.get(name).and_then(Value::as_str)
}

/// The strings of a list of a spec.
pub fn texts<'s>(spec: &'s Object, name: &str) -> impl Iterator<Item = &'s str> {
    spec.get(name).and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str)
}

fn owned(spec: &Object, name: &str) -> Option<String> {
    text(spec, name).map(str::to_owned)
}

fn truth(spec: &Object, name: &str) -> bool {
    spec.get(name) == Some(&Value::Bool(true))
}

/// A moment as specs spell it.
pub fn written(at: Time) -> String {
    values::written(at)
}

fn role(word: &str) -> Option<Role> {
    [Role::Caller, Role::Viewer, Role::Manager, Role::Admin].into_iter().find(|role| role_word(*role) == word)
}

/// A role's word.
pub const fn role_word(role: Role) -> &'static str {
    match role {
        Role::Caller => "caller",
        Role::Viewer => "viewer",
        Role::Manager => "manager",
        Role::Admin => "admin",
    }
}

/// A pattern's spelling.
pub fn pattern(pattern: &Pattern) -> String {
    match pattern {
        Pattern::Exact(name) => name.clone(),
        Pattern::Prefix(prefix) => format!("{prefix}*"),
    }
}

/// `10.0.0.0/8`, `192.0.2.7`.
pub fn range(text: &str) -> Option<IpRange> {
    let (address, bits) = text.split_once('/').map_or((text, None), |(address, bits)| (address, Some(bits)));
    let address: std::net::IpAddr = address.parse().ok()?;
    let all = if address.is_ipv4() { 32 } else { 128 };
    let bits = match bits {
        Some(bits) if bits.bytes().all(|byte| byte.is_ascii_digit()) => bits.parse().ok()?,
        Some(_) => return None,
        None => all,
    };
    (bits <= all).then_some(IpRange { address, bits })
}

fn range_text(range: &IpRange) -> String {
    format!("{}/{}", range.address, range.bits)
}

/// A digest in hexadecimal.
pub fn hex(digest: &[u8]) -> String {
    digest.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// A digest of 64 hexadecimal digits.
pub fn from_hex(text: &str) -> Option<[u8; 32]> {
    let mut bytes = [0_u8; 32];
    if text.len() != 64 {
        return None;
    }
    for (byte, pair) in bytes.iter_mut().zip(text.as_bytes().chunks_exact(2)) {
        let mut digits = pair.iter().map(|digit| char::from(*digit).to_digit(16));
        let (high, low) = (digits.next()??, digits.next()??);
        *byte = u8::try_from(high * 16 + low).ok()?;
    }
    Some(bytes)
}
