//! LiteLLM's `/key/generate`, `/key/info`, `/key/update`, `/key/delete` and `/team/new`.

use crate::api::answer::ok;
use crate::api::entry::Entry;
use crate::api::rights::holds_something;
use crate::api::shape::{
    Field, Nulls, Object, Shape, check_object, dollars, is_name, optional, parse, required,
};
use crate::api::spec::{self, amount, from_hex, hex, text, texts};
use crate::api::{
    Change, Commit, Dimension, Kind, LimitsAsk, LimitsForm, Only, Plan, SpendAsk, SpendForm, SpendQuery, Turn,
};
use crate::directory::HolderKind;
use crate::fault::{Code, Fault};
use crate::keyring;
use crate::units::{Millis, NanoDollars, Time};
use serde_json::{Value, json};

/// Periods by LiteLLM's words. Thirty days are a month there too: both begin with it.
const PERIODS: &[(&str, &str)] = &[
    ("60s", "minute"),
    ("1m", "minute"),
    ("60m", "hour"),
    ("1h", "hour"),
    ("24h", "day"),
    ("1d", "day"),
    ("7d", "week"),
    ("1w", "week"),
    ("30d", "month"),
    ("1mo", "month"),
    ("365d", "year"),
];
const PERIOD_WORDS: &[&str] = &["60s", "1m", "60m", "1h", "24h", "1d", "7d", "1w", "30d", "1mo", "365d"];
const KEY_TYPES: &[&str] = &["default", "llm_api", "read_only"];

const WINDOW: &[Field] = &[
    required("max_budget", Shape::Dollars, "US dollars."),
    required("budget_duration", Shape::Word(PERIOD_WORDS), "When it is full again."),
];
const MODEL_WINDOW: &[Field] = &[
    required("budget_limit", Shape::Dollars, "US dollars."),
    required("time_period", Shape::Word(PERIOD_WORDS), "When it is full again."),
];

const MAX_BUDGET: Field = optional("max_budget", Shape::Dollars, "US dollars.");
const BUDGET_DURATION: Field =
    optional("budget_duration", Shape::Word(PERIOD_WORDS), "When the budget is full again; absent: never.");
const TPM: Field = optional("tpm_limit", Shape::Count, "Tokens a minute.");
const RPM: Field = optional("rpm_limit", Shape::Count, "Requests a minute.");
const ORGANIZATION: Field = optional("organization_id", Shape::Name, "Its organisation.");
const METADATA: Field = optional("metadata", Shape::Ignored, "For people and programs.");
const BLOCKED: Field = optional("blocked", Shape::Truth, "Whether it is refused.");

/// What a key may hold.
const KEY: &[Field] = &[
    optional("key_alias", Shape::Name, "Its name."),
    optional("duration", Shape::Span, "How long it is valid."),
    optional("models", Shape::MaybeEmpty(&Shape::Pattern, 1000), "What it may call; empty: everything."),
    MAX_BUDGET,
    optional("soft_budget", Shape::Dollars, "When to warn."),
    BUDGET_DURATION,
    optional("budget_limits", Shape::MaybeEmpty(&Shape::Object(WINDOW), 7), "Further budgets."),
    TPM,
    RPM,
    optional("max_parallel_requests", Shape::Count, "Requests in flight at once."),
    optional("model_rpm_limit", Shape::ByName(&Shape::Count), "Requests a minute by model."),
    optional("model_tpm_limit", Shape::ByName(&Shape::Count), "Tokens a minute by model."),
    optional("model_max_budget", Shape::ByName(&Shape::Object(MODEL_WINDOW)), "Budgets by model."),
    optional("team_id", Shape::Name, "Its team."),
    optional("user_id", Shape::Name, "Its user."),
    ORGANIZATION,
    optional("tags", Shape::MaybeEmpty(&Shape::Name, 64), "What it is marked with."),
    optional(
        "allowed_routes",
        Shape::MaybeEmpty(&Shape::Pattern, 100),
        "Paths it may call; empty: everything.",
    ),
    optional("key_type", Shape::Word(KEY_TYPES), "`read_only` may read everything in the admin API."),
    METADATA,
    BLOCKED,
];

const OWN_KEY: Field = optional("key", Shape::Secret, "A key of one's own making.");
const WHICH: Field = required("key", Shape::Text(1024), "The key, its SHA-256 or its name.");

/// The fields of `/team/new`.
pub(in crate::api) const TEAM: &[Field] = &[
    optional("team_id", Shape::Name, "Its name."),
    optional("team_alias", Shape::Name, "Its name, where `team_id` is absent."),
    ORGANIZATION,
    MAX_BUDGET,
    optional("soft_budget", Shape::Dollars, "When to warn."),
    BUDGET_DURATION,
    TPM,
    RPM,
    optional("max_parallel_requests", Shape::Count, "Requests in flight at once."),
    METADATA,
    BLOCKED,
];

/// The body of `/key/delete`.
pub(in crate::api) const DELETE: &[Field] = &[
    optional("keys", Shape::List(&Shape::Text(1024), 100), "Keys, their SHA-256 or their names."),
    optional("key_aliases", Shape::List(&Shape::Name, 100), "Names."),
];

/// The query of `/key/info`.
pub(in crate::api) const INFO: &[Field] =
    &[optional("key", Shape::Text(1024), "The key, its SHA-256 or its name; one's own unless given.")];

/// Fields that change nothing here whatever they hold.
const HARMLESS: &[&str] = &[
    "send_invite_email",
    "rpm_limit_type",
    "tpm_limit_type",
    "default_estimated_output_tokens",
    "throttle_on_budget_exceeded",
    "team_member_permissions",
];

/// Fields that stand for something there is not here: refused unless they are empty.
const REFUSED: &[&str] = &[
    "access_group_ids",
    "admins",
    "agent_id",
    "aliases",
    "allowed_cache_controls",
    "allowed_passthrough_routes",
    "allowed_vector_store_indexes",
    "auto_rotate",
    "budget_fallbacks",
    "budget_id",
    "config",
    "denied_passthrough_routes",
    "disable_global_guardrails",
    "end_user_budget_id",
    "enforced_params",
    "guardrails",
    "mcp_rpm_limit",
    "members",
    "members_with_roles",
    "model_aliases",
    "object_permission",
    "permissions",
    "policies",
    "project_id",
    "prompts",
    "rotation_interval",
    "router_settings",
    "spend",
    "tag_rpm_limit",
    "team_member_budget",
    "tpd_limit",
];

/// The fields of `/key/generate`.
pub(in crate::api) fn generate_fields() -> Vec<Field> {
    KEY.iter().copied().chain([OWN_KEY]).collect()
}

/// The fields of `/key/update`.
pub(in crate::api) fn update_fields() -> Vec<Field> {
    KEY.iter().copied().chain([WHICH]).collect()
}

/// A body in LiteLLM's form: its fields, and what of it changes nothing.
struct Asked {
    fields: Object,
    warnings: Vec<String>,
}

impl Asked {
    /// Reads a body. Absent, empty and `null` mean the same there.
    fn read(body: &[u8], fields: &[Field]) -> Result<Self, Fault> {
        let mut asked = parse(body)?;
        let mut warnings = Vec::new();
        let is_known = |name: &str| fields.iter().any(|field| field.name == name);
        let names: Vec<String> = asked.keys().filter(|name| !is_known(name)).cloned().collect();
        for name in names {
            if HARMLESS.contains(&name.as_str()) {
                asked.shift_remove(&name);
                warnings.push(format!("{name}: has no effect here"));
            } else if REFUSED.contains(&name.as_str()) || name == "models" {
                let value = asked.shift_remove(&name).unwrap_or_default();
                if holds_something(&value) {
                    let message = format!("{name}: there is no such thing here: leave it out");
                    return Err(Fault::new(Code::Unsupported, message).at(name));
                }
            }
        }
        check_object(&mut asked, fields, Nulls::Remove, "")?;
        Ok(Self { fields: asked, warnings })
    }

    fn has(&self, name: &str) -> bool {
        self.fields.contains_key(name)
    }

    /// Writes a field under our name; `null` and empty lists stay `null`, which removes in a patch.
    fn copy(&self, theirs: &str, ours: &str, spec: &mut Object) {
        let Some(value) = self.fields.get(theirs) else { return };
        let empty = value.as_array().is_some_and(Vec::is_empty);
        spec.insert(ours.to_owned(), if empty { Value::Null } else { value.clone() });
    }

    /// Everything but name and secret in our words. Fields that are absent stay so.
    fn spec(&self, now: Time) -> Result<Object, Fault> {
        let mut spec = Object::new();
        let plain = [
            ("models", "models"),
            ("tpm_limit", "tpm"),
            ("rpm_limit", "rpm"),
            ("max_parallel_requests", "concurrency"),
            ("team_id", "team"),
            ("user_id", "user"),
            ("organization_id", "organisation"),
            ("tags", "tags"),
            ("blocked", "blocked"),
            ("metadata", "metadata"),
        ];
        for (theirs, ours) in plain {
            self.copy(theirs, ours, &mut spec);
        }
        if texts(&self.fields, "allowed_routes").any(|route| !route.starts_with('/')) {
            let expected = r#"paths such as "/v1/chat/completions""#;
            return Err(Fault::bad_field("allowed_routes", expected, "a group of routes"));
        }
        self.copy("allowed_routes", "routes", &mut spec);
        match text(&self.fields, "duration").and_then(crate::api::shape::span) {
            Some(span) => drop(spec.insert("expires".to_owned(), json!(spec::written(now + span)))),
            None if self.has("duration") => drop(spec.insert("expires".to_owned(), Value::Null)),
            None => {}
        }
        match text(&self.fields, "key_type") {
            Some("read_only") => drop(spec.insert("role".to_owned(), json!("viewer"))),
            Some(_) => drop(spec.insert("role".to_owned(), json!("caller"))),
            None => {}
        }
        if ["max_budget", "budget_limits", "budget_duration", "soft_budget"].iter().any(|name| self.has(name))
        {
            spec.insert("budget".to_owned(), self.budgets()?);
        }
        if ["model_rpm_limit", "model_tpm_limit", "model_max_budget"].iter().any(|name| self.has(name)) {
            spec.insert("limits".to_owned(), self.by_model());
        }
        Ok(spec)
    }

    fn budgets(&self) -> Result<Value, Fault> {
        let mut budgets = Vec::new();
        let soft = self.fields.get("soft_budget").and_then(amount);
        let duration = text(&self.fields, "budget_duration");
        match self.fields.get("max_budget").and_then(amount) {
            Some(most) => budgets.push(budget(most, duration, warn(most, soft)?)),
            None if duration.is_some() => {
                return Err(Fault::missing_field("max_budget", "the amount that `budget_duration` is for"));
            }
            None if soft.is_some() => {
                return Err(Fault::missing_field("max_budget", "the amount that `soft_budget` is a part of"));
            }
            None => {}
        }
        let more = self.fields.get("budget_limits").and_then(Value::as_array).into_iter().flatten();
        for window in more.filter_map(Value::as_object) {
            if let Some(most) = window.get("max_budget").and_then(amount) {
                budgets.push(budget(most, text(window, "budget_duration"), None));
            }
        }
        Ok(if budgets.is_empty() { Value::Null } else { Value::Array(budgets) })
    }

    fn by_model(&self) -> Value {
        let mut limits = Object::new();
        let mut put = |model: &str, name: &str, value: Value| {
            let place = limits.entry(model.to_owned()).or_insert_with(|| json!({"model": model}));
            if let Value::Object(place) = place {
                place.insert(name.to_owned(), value);
            }
        };
        for (theirs, ours) in [("model_rpm_limit", "rpm"), ("model_tpm_limit", "tpm")] {
            for (model, limit) in self.fields.get(theirs).and_then(Value::as_object).into_iter().flatten() {
                put(model, ours, limit.clone());
            }
        }
        let budgets = self.fields.get("model_max_budget").and_then(Value::as_object);
        for (model, window) in budgets.into_iter().flatten() {
            let Some(window) = window.as_object() else { continue };
            if let Some(most) = window.get("budget_limit").and_then(amount) {
                put(model, "budget", json!([budget(most, text(window, "time_period"), None)]));
            }
        }
        let limits: Vec<_> = limits.into_iter().map(|(_, limits)| limits).collect();
        if limits.is_empty() { Value::Null } else { Value::Array(limits) }
    }
}

fn budget(most: NanoDollars, duration: Option<&str>, warn: Option<u64>) -> Value {
    let known = PERIODS.iter().find(|(word, _)| Some(*word) == duration);
    let mut budget = Object::new();
    budget.insert("usd".to_owned(), dollars(most));
    budget.insert("per".to_owned(), json!(known.map_or("never", |(_, per)| *per)));
    if let Some(warn) = warn {
        budget.insert("warn".to_owned(), json!(warn));
    }
    Value::Object(budget)
}

/// A soft budget as per cent of the hard one, rounded down, so that nobody is warned later than he asked.
fn warn(most: NanoDollars, soft: Option<NanoDollars>) -> Result<Option<u64>, Fault> {
    let Some(soft) = soft else { return Ok(None) };
    if soft > most {
        return Err(Fault::bad_field("soft_budget", "at most `max_budget`", "more"));
    }
    let part = u128::from(soft.get()) * 100 / u128::from(most.get().max(1));
    Ok(Some(u64::try_from(part).unwrap_or(100).clamp(1, 100)))
}

impl Turn<'_> {
    pub(in crate::api) fn key_generate(&self) -> Result<Plan, Fault> {
        self.nothing_asked()?;
        let asked = Asked::read(self.ask.body, &generate_fields())?;
        let mut spec = asked.spec(self.now)?;
        spec.retain(|_, value| !value.is_null());
        let name = text(&asked.fields, "key_alias").map_or_else(|| self.made_name("key"), str::to_owned);
        spec.insert("name".to_owned(), json!(name));
        let secret = match text(&asked.fields, "key") {
            Some(own) => own.to_owned(),
            None => self.fresh().secret,
        };
        spec.insert("sha256".to_owned(), json!(hex(&keyring::digest(secret.as_bytes()))));
        let entry = self.new_entry(Kind::Key, spec).map_err(in_their_words)?;
        let mut shown = info(&entry);
        shown.insert("key".to_owned(), json!(secret));
        shown.insert("spend".to_owned(), json!(0));
        shown.insert("warnings".to_owned(), json!(asked.warnings));
        Ok(self.commit(None, &entry, ok(&Value::Object(shown))))
    }

    pub(in crate::api) fn key_update(&self) -> Result<Plan, Fault> {
        self.nothing_asked()?;
        let asked = Asked::read(self.ask.body, &update_fields())?;
        let which = text(&asked.fields, "key").unwrap_or_default();
        let before = self.changeable(Kind::Key, &self.key_named(which)?)?;
        if text(&asked.fields, "key_alias").is_some_and(|name| name != before.name) {
            return Err(Fault::bad_field(
                "key_alias",
                "the key's name, which does not change",
                "another one",
            ));
        }
        let patch = asked.spec(self.now)?;
        let after = self.patched(&before, patch).map_err(in_their_words)?;
        let mut shown = info(&after);
        shown.insert("key".to_owned(), json!(after.name));
        shown.insert("warnings".to_owned(), json!(asked.warnings));
        Ok(self.commit(Some(&before), &after, ok(&Value::Object(shown))))
    }

    pub(in crate::api) fn key_delete(&self) -> Result<Plan, Fault> {
        self.nothing_asked()?;
        let mut asked = parse(self.ask.body)?;
        check_object(&mut asked, DELETE, Nulls::Refused, "")?;
        let mut names = Vec::new();
        for which in texts(&asked, "keys") {
            names.push(self.key_named(which)?);
        }
        names.extend(texts(&asked, "key_aliases").map(str::to_owned));
        if names.is_empty() {
            return Err(Fault::missing_field("keys", "the keys to delete, or `key_aliases`"));
        }
        names.sort();
        names.dedup();
        let mut before = Object::new();
        let mut changes = Vec::new();
        for name in &names {
            let entry = self.changeable(Kind::Key, name)?;
            before.insert(name.clone(), Value::Object(entry.public()));
            changes.push(Change { kind: Kind::Key, name: name.clone(), spec: None });
        }
        let subjects: Vec<_> = names.iter().map(|name| format!("key:{name}")).collect();
        let mut deed = self.deed("key.delete", subjects.join(","));
        deed.before = Some(spec::bytes(&before));
        let answer = ok(&json!({"deleted_keys": names}));
        Ok(Plan::Commit(Box::new(Commit { changes, deed, answer })))
    }

    /// The spend it tells is that which the budget counts (B5); of a key without one, all of it.
    pub(in crate::api) fn key_info(&self) -> Result<Plan, Fault> {
        let asked = self.query(INFO)?;
        let name = match asked.text("key") {
            Some(which) => self.key_named(which)?,
            None => {
                self.own_key().map_err(|_| Fault::missing_field("key", "the key to tell of"))?.name.clone()
            }
        };
        let entry = self.found(Kind::Key, &name).map_err(|_| nobody())?;
        let mut rest = Object::new();
        rest.insert("key".to_owned(), json!(name));
        rest.insert("info".to_owned(), Value::Object(info(&entry)));
        if entry.spec.contains_key("budget") {
            let scopes = self.scopes(Kind::Key, &name).into_iter().take(1).collect();
            let book = entry.spec.get("organisation").and_then(Value::as_str).unwrap_or_default();
            let book = std::sync::Arc::from(book);
            return Ok(Plan::Limits(Box::new(LimitsAsk { book, scopes, form: LimitsForm::LiteLlm(rest) })));
        }
        let only = vec![Only { dimension: Dimension::Key, value: name }];
        let query = SpendQuery { from: Time(0), to: self.now + Millis(1), by: Vec::new(), only, limit: 1 };
        Ok(Plan::Spend(Box::new(SpendAsk { query, form: SpendForm::LiteLlm(rest) })))
    }

    pub(in crate::api) fn team_new(&self) -> Result<Plan, Fault> {
        self.nothing_asked()?;
        let mut asked = Asked::read(self.ask.body, TEAM)?;
        let (id, alias) = (text(&asked.fields, "team_id"), text(&asked.fields, "team_alias"));
        let name = id.or(alias).map_or_else(|| self.made_name("team"), str::to_owned);
        if id.is_some() && alias.is_some_and(|alias| alias != name) {
            asked.warnings.push("team_alias: not kept beside team_id".to_owned());
        }
        asked.fields.shift_remove("team_id");
        let mut spec = asked.spec(self.now)?;
        spec.retain(|_, value| !value.is_null());
        spec.insert("name".to_owned(), json!(name));
        let entry = self.new_entry(Kind::Holder(HolderKind::Team), spec).map_err(in_their_words)?;
        let mut shown = info(&entry);
        shown.insert("team_id".to_owned(), json!(name));
        shown.insert("team_alias".to_owned(), json!(name));
        shown.insert("warnings".to_owned(), json!(asked.warnings));
        Ok(self.commit(None, &entry, ok(&Value::Object(shown))))
    }

    /// The name of the key that is meant by itself, its SHA-256 or its name. What was given may be a
    /// secret, so no fault shows it (D3).
    fn key_named(&self, which: &str) -> Result<String, Fault> {
        let directory = self.desk.directory;
        let by_hash = from_hex(which).and_then(|digest| directory.key_of(&digest));
        let by_secret = || directory.key_of(&keyring::digest(which.as_bytes()));
        let by_name = || directory.key(which).filter(|_| is_name(which));
        let key = by_hash.or_else(by_secret).or_else(by_name);
        key.map(|key| key.name.clone()).ok_or_else(nobody)
    }

    /// A name for what is given none.
    fn made_name(&self, kind: &str) -> String {
        let digest = keyring::digest(&[b"name", &self.entropy[..]].concat());
        format!("{kind}-{}", hex(digest.get(..8).unwrap_or_default()))
    }
}

fn nobody() -> Fault {
    Fault::new(Code::NotFound, "there is no such key").at("key")
}

/// A fault that names our field names theirs.
fn in_their_words(fault: Fault) -> Fault {
    let theirs = match fault.param.as_deref() {
        Some("name") => "key_alias",
        Some("team") => "team_id",
        Some("user") => "user_id",
        Some("organisation") => "organization_id",
        Some("sha256") => "key",
        Some("expires") => "duration",
        Some("routes") => "allowed_routes",
        Some(_) | None => return fault,
    };
    Fault { param: Some(theirs.to_owned()), ..fault }
}

/// What is stored in LiteLLM's form.
fn info(entry: &Entry) -> Object {
    let spec = &entry.spec;
    let copied = |name: &str| spec.get(name).cloned().unwrap_or_default();
    let list = |name: &str| spec.get(name).cloned().unwrap_or_else(|| json!([]));
    let first = spec.get("budget").and_then(|budgets| budgets.get(0)).and_then(Value::as_object);
    let per = first.and_then(|budget| text(budget, "per"));
    // The shortest of our words for it is the last one of the list.
    let duration = PERIODS.iter().rev().find(|(_, ours)| Some(*ours) == per).map(|(theirs, _)| *theirs);
    let entries = [
        ("token", json!(entry.name)),
        ("key_name", json!(entry.name)),
        ("key_alias", json!(entry.name)),
        ("expires", copied("expires")),
        ("user_id", copied("user")),
        ("team_id", copied("team")),
        ("organization_id", copied("organisation")),
        ("models", list("models")),
        ("tags", list("tags")),
        ("max_budget", first.and_then(|budget| budget.get("usd")).cloned().unwrap_or_default()),
        ("budget_duration", json!(duration)),
        ("tpm_limit", copied("tpm")),
        ("rpm_limit", copied("rpm")),
        ("max_parallel_requests", copied("concurrency")),
        ("blocked", json!(spec.get("blocked") == Some(&Value::Bool(true)))),
        ("metadata", spec.get("metadata").cloned().unwrap_or_else(|| json!({}))),
    ];
    let keep = |name: &str| {
        entry.kind == Kind::Key || !matches!(name, "token" | "key_name" | "key_alias" | "team_id")
    };
    entries.into_iter().filter(|(name, _)| keep(name)).map(|(name, value)| (name.to_owned(), value)).collect()
}
