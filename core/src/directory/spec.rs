//! Keys and holders as JSON, in exactly the words of the config.
//!
//! What the admin API takes, what the store keeps and what the config says are one language with one
//! reader. A key's spec holds its SHA-256, never the key.

use super::{Holder, HolderKind, Key, Remarks, Role, What, Within};
use crate::cache::{Caching, Share, Terms};
use crate::config::{self, ConfigError, values};
use crate::limit::{Budget, Limits, Period, Reset};
use crate::price;
use crate::units::Time;
use bytes::Bytes;
use serde_json::{Map, Number, Value};

pub use crate::config::Around;

/// Reads a key. An `Err` has every mistake, with its field, position and fix.
pub fn read_key(json: &[u8], around: &Around<'_>) -> Result<Key, Vec<ConfigError>> {
    config::read_key(json, around)
}

/// Reads an organisation, a team, a user or a tag.
pub fn read_holder(kind: HolderKind, json: &[u8], around: &Around<'_>) -> Result<Holder, Vec<ConfigError>> {
    config::read_holder(kind, json, around)
}

/// A key as [`read_key`] reads it: fields in the order of the reference, those left out that say
/// nothing. Equal keys are equal bytes.
pub fn key_json(key: &Key) -> Bytes {
    let Key {
        name,
        sha256,
        retiring,
        team,
        user,
        organisation,
        tags,
        client_tags,
        models,
        routes,
        ips,
        role,
        scope,
        within,
        each_end_user,
        cache,
        expires,
        blocked,
        created,
        remarks,
    } = key;
    let mut out = Object::default();
    out.put("name", name.as_str());
    out.put("sha256", values::hex(sha256));
    if let Some(retiring) = retiring {
        let mut previous = Object::default();
        previous.put("sha256", values::hex(&retiring.sha256));
        previous.put("until", values::written(retiring.until));
        out.put("previous", previous.0);
    }
    out.some("organisation", organisation.as_deref());
    out.some("team", team.as_deref());
    out.some("user", user.as_deref());
    out.list("tags", tags.iter());
    out.list("client_tags", client_tags.iter());
    out.list("models", models.iter());
    out.list("routes", routes.iter());
    out.list("ips", ips.iter());
    if *role != Role::default() {
        out.put("role", role.name());
    }
    out.bounds(&scope.limits, within, each_end_user.as_ref());
    out.some("cache", cache.map(caching));
    out.some("expires", expires.map(values::written));
    out.end(*blocked, *created, remarks.as_deref())
}

/// A holder as [`read_holder`] reads it.
pub fn holder_json(holder: &Holder) -> Bytes {
    let Holder {
        kind: _,
        name,
        organisation,
        models,
        scope,
        within,
        each_end_user,
        blocked,
        created,
        remarks,
    } = holder;
    let mut out = Object::default();
    out.put("name", name.as_str());
    out.some("organisation", organisation.as_deref());
    out.list("models", models.iter());
    out.bounds(&scope.limits, within, each_end_user.as_ref());
    out.end(*blocked, *created, remarks.as_deref())
}

/// What a key says of the cache of answers.
fn caching(caching: Caching) -> Value {
    let Terms { ttl, share } = match caching {
        Caching::Never => return Value::Bool(false),
        Caching::Use(terms) if terms == Terms::default() => return Value::Bool(true),
        Caching::Use(terms) => terms,
    };
    let mut out = Object::default();
    out.some("ttl", ttl.map(values::written_span));
    out.some("share", share.map(Share::name));
    Value::Object(out.0)
}

/// A mistake in a spec as a whole, in the form of those that have a position.
pub(super) fn error(path: &str, message: String) -> ConfigError {
    let fix = "correct the stored row, or delete it".to_owned();
    ConfigError { path: path.to_owned(), line: 1, column: 1, message, fix }
}

/// A JSON object that is being written.
#[derive(Default)]
struct Object(Map<String, Value>);

impl From<Map<String, Value>> for Object {
    fn from(map: Map<String, Value>) -> Self {
        Self(map)
    }
}

impl Object {
    fn put(&mut self, name: &str, value: impl Into<Value>) {
        self.0.insert(name.to_owned(), value.into());
    }

    fn some(&mut self, name: &str, value: Option<impl Into<Value>>) {
        if let Some(value) = value {
            self.put(name, value);
        }
    }

    fn list(&mut self, name: &str, items: impl Iterator<Item = impl ToString>) {
        let items: Vec<Value> = items.map(|item| Value::from(item.to_string())).collect();
        if !items.is_empty() {
            self.put(name, items);
        }
    }

    fn bounds(&mut self, limits: &Limits, within: &[Within], each_end_user: Option<&Limits>) {
        self.limits(limits);
        let within = within.iter().map(|Within { what, scope }| {
            let mut one = Self::default();
            match what {
                What::Model(pattern) => one.put("model", pattern.to_string()),
                What::Provider(name) => one.put("provider", name.as_str()),
            }
            one.limits(&scope.limits);
            Value::Object(one.0)
        });
        let within: Vec<Value> = within.collect();
        if !within.is_empty() {
            self.put("limits", within);
        }
        if let Some(limits) = each_end_user {
            let mut each = Self::default();
            each.limits(limits);
            self.put("end_user", each.0);
        }
    }

    fn limits(&mut self, limits: &Limits) {
        let Limits { rpm, tpm, tpm_input, tpm_output, concurrency, max_requests, max_tokens, budgets } =
            limits;
        self.some("rpm", rpm.map(|most| most.get()));
        self.some("tpm", tpm.map(|most| most.get()));
        self.some("tpm_input", tpm_input.map(|most| most.get()));
        self.some("tpm_output", tpm_output.map(|most| most.get()));
        self.some("concurrency", concurrency.map(|most| most.get()));
        self.some("max_requests", max_requests.map(|most| most.get()));
        self.some("max_tokens", max_tokens.map(|most| most.get()));
        if !budgets.is_empty() {
            self.put("budget", budgets.iter().map(budget_value).collect::<Vec<_>>());
        }
    }

    fn end(mut self, blocked: bool, created: Option<Time>, remarks: Option<&Remarks>) -> Bytes {
        if blocked {
            self.put("blocked", true);
        }
        self.some("created", created.map(values::written));
        self.some("note", remarks.and_then(|remarks| remarks.note.as_deref()));
        let metadata = remarks.and_then(|remarks| remarks.metadata.as_deref());
        self.some("metadata", metadata.and_then(|text| serde_json::from_str::<Value>(text).ok()));
        Value::Object(self.0).to_string().into()
    }
}

/// A budget in the words of the config.
pub fn budget_value(budget: &Budget) -> Value {
    let Budget { amount, per, reset, warn } = budget;
    let mut out = Object::default();
    out.some("usd", price::plain(*amount).parse::<Number>().ok());
    out.put("per", per.name());
    match reset {
        Reset::Calendar(_) if *per == Period::Never => {}
        Reset::Calendar(zone) => out.put("zone", zone.name()),
        Reset::Rolling => out.put("reset", "rolling"),
    }
    out.some("warn", warn.map(|percent| percent.0));
    Value::Object(out.0)
}
