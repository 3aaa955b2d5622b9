//! A body in LiteLLM's form, and what it is in our words.

use crate::api::rights::holds_something;
use crate::api::shape::{Field, Nulls, Object, check_object, dollars, parse};
use crate::api::spec::{self, amount, text, texts};
use crate::fault::{Code, Fault};
use crate::units::{NanoDollars, Time};
use serde_json::{Value, json};

/// Periods by LiteLLM's words, of each the one its documents use first: answers have that one. Thirty days
/// are a month there too: both begin with it.
pub(super) const PERIODS: &[(&str, &str)] = &[
    ("1m", "minute"),
    ("60s", "minute"),
    ("1h", "hour"),
    ("60m", "hour"),
    ("1d", "day"),
    ("24h", "day"),
    ("7d", "week"),
    ("1w", "week"),
    ("30d", "month"),
    ("1mo", "month"),
    ("365d", "year"),
];

/// A `duration` without end.
const FOREVER: &str = "-1";

/// Names of models that stand for all there are, of the gateway or of the team.
const EVERYTHING: &[&str] = &["all-proxy-models", "all-team-models"];

/// The group of routes that stands for every path of models, which is what a key may call at all.
const MODEL_ROUTES: &str = "llm_api_routes";

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

/// A body in LiteLLM's form: its fields, and what of it changes nothing.
pub(super) struct Asked {
    pub(super) fields: Object,
    pub(super) warnings: Vec<String>,
}

impl Asked {
    /// Reads a body. Absent, empty and `null` mean the same there.
    pub(super) fn read(body: &[u8], fields: &[Field]) -> Result<Self, Fault> {
        let mut asked = parse(body)?;
        let mut warnings = Vec::new();
        let is_known = |name: &str| fields.iter().any(|field| field.name == name);
        let names: Vec<String> = asked.keys().filter(|name| !is_known(name)).cloned().collect();
        for name in names {
            if HARMLESS.contains(&name.as_str()) {
                asked.shift_remove(&name);
                warnings.push(format!("{name}: has no effect here"));
            } else if REFUSED.contains(&name.as_str()) {
                let value = asked.shift_remove(&name).unwrap_or_default();
                // Zero is a limit like others, but for what a new key has spent.
                if holds_something(&value) || (value.is_number() && name != "spend") {
                    let message = format!("{name}: there is no such thing here: leave it out");
                    return Err(Fault::new(Code::Unsupported, message).at(name));
                }
            }
        }
        if text(&asked, "duration") == Some(FOREVER) {
            asked.insert("duration".to_owned(), Value::Null);
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

    /// Everything but name and secret in our words. Fields that are absent stay so, and so does of what
    /// there was `before` what they do not name.
    pub(super) fn spec(&self, before: &Object, now: Time) -> Result<Object, Fault> {
        let mut spec = Object::new();
        if let Some(models) = self.models()? {
            spec.insert("models".to_owned(), models);
        }
        let plain = [
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
        let mut routes = texts(&self.fields, "allowed_routes").filter(|route| *route != MODEL_ROUTES);
        if routes.any(|route| !route.starts_with('/')) {
            let expected = r#"paths such as "/v1/chat/completions", or "llm_api_routes""#;
            return Err(Fault::bad_field("allowed_routes", expected, "a group of routes"));
        }
        self.copy("allowed_routes", "routes", &mut spec);
        if texts(&self.fields, "allowed_routes").any(|route| route == MODEL_ROUTES) {
            if text(&self.fields, "key_type") == Some("read_only") {
                let expected = "another one beside the `key_type` read_only";
                return Err(Fault::bad_field("allowed_routes", expected, MODEL_ROUTES));
            }
            spec.insert("routes".to_owned(), Value::Null);
            spec.insert("role".to_owned(), json!("caller"));
        }
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
            spec.insert("budget".to_owned(), self.budgets(before)?);
        }
        if ["model_rpm_limit", "model_tpm_limit", "model_max_budget"].iter().any(|name| self.has(name)) {
            spec.insert("limits".to_owned(), self.by_model(before));
        }
        Ok(spec)
    }

    /// What it may call; `null` for everything.
    fn models(&self) -> Result<Option<Value>, Fault> {
        if !self.has("models") {
            return Ok(None);
        }
        let models: Vec<&str> = texts(&self.fields, "models").collect();
        if models.contains(&"no-default-models") {
            let message = "models: a key that may call nothing is a blocked one: set `blocked`";
            return Err(Fault::new(Code::Unsupported, message).at("models"));
        }
        let all = models.is_empty() || models.iter().any(|model| EVERYTHING.contains(model));
        Ok(Some(if all { Value::Null } else { json!(models) }))
    }

    fn budgets(&self, before: &Object) -> Result<Value, Fault> {
        let had = before.get("budget").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
        let mut budgets: Vec<Value> = self.main_budget(had.first())?.into_iter().collect();
        if self.has("budget_limits") {
            let more = self.fields.get("budget_limits").and_then(Value::as_array).into_iter().flatten();
            for window in more.filter_map(Value::as_object) {
                if let Some(most) = window.get("max_budget").and_then(amount) {
                    budgets.push(budget(most, text(window, "budget_duration"), None));
                }
            }
        } else {
            budgets.extend(had.iter().skip(1).cloned());
        }
        Ok(if budgets.is_empty() { Value::Null } else { Value::Array(budgets) })
    }

    /// The budget of `max_budget`, `budget_duration` and `soft_budget`, each as it was where it is absent.
    fn main_budget(&self, had: Option<&Value>) -> Result<Option<Value>, Fault> {
        let given = |name: &str, ours: &str| match self.fields.get(name) {
            Some(value) => Some(value).filter(|value| !value.is_null()),
            None => had.and_then(|had| had.get(ours)),
        };
        let soft = self.fields.get("soft_budget").and_then(amount);
        let Some(most) = given("max_budget", "usd").and_then(amount) else {
            let part = |name: &str| self.fields.get(name).is_some_and(|value| !value.is_null());
            return match ["budget_duration", "soft_budget"].into_iter().find(|name| part(name)) {
                Some(name) => {
                    Err(Fault::missing_field("max_budget", format!("the amount that `{name}` is about")))
                }
                None => Ok(None),
            };
        };
        let mut main = budget(most, text(&self.fields, "budget_duration"), warn(most, soft)?);
        for (name, ours) in [("budget_duration", "per"), ("soft_budget", "warn")] {
            if let (false, Some(had), Value::Object(main)) = (self.has(name), had, &mut main) {
                had.get(ours).into_iter().for_each(|had| drop(main.insert(ours.to_owned(), had.clone())));
            }
        }
        for ours in ["reset", "zone"] {
            if let (Some(had), Value::Object(main)) = (had.and_then(|had| had.get(ours)), &mut main) {
                main.insert(ours.to_owned(), had.clone());
            }
        }
        Ok(Some(main))
    }

    fn by_model(&self, before: &Object) -> Value {
        let mut others = Vec::new();
        let mut limits = Object::new();
        for had in before.get("limits").and_then(Value::as_array).into_iter().flatten() {
            let Some(model) = had.get("model").and_then(Value::as_str) else {
                others.push(had.clone());
                continue;
            };
            let mut had = had.clone();
            for (theirs, ours) in
                [("model_rpm_limit", "rpm"), ("model_tpm_limit", "tpm"), ("model_max_budget", "budget")]
            {
                if let (true, Value::Object(had)) = (self.has(theirs), &mut had) {
                    had.shift_remove(ours);
                }
            }
            limits.insert(model.to_owned(), had);
        }
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
        // One that names a model and nothing else limits nothing.
        let limits = limits.into_iter().map(|(_, limits)| limits);
        let limits = limits.filter(|limits| limits.as_object().is_some_and(|limits| limits.len() > 1));
        let limits: Vec<_> = others.into_iter().chain(limits).collect();
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
