//! `POST /api/keys` in Bifrost's form, told from our own by its fields.

use crate::api::entry::Entry;
use crate::api::shape::{Field, Nulls, Object, Shape, check_object, optional, parse, required};
use crate::api::spec::text;
use crate::api::{Kind, Plan, Turn, answer};
use crate::fault::Fault;
use http::StatusCode;
use serde_json::{Value, json};

/// Periods by Bifrost's words.
const PERIODS: &[(&str, &str)] = &[
    ("1m", "minute"),
    ("60s", "minute"),
    ("1h", "hour"),
    ("60m", "hour"),
    ("1d", "day"),
    ("24h", "day"),
    ("1w", "week"),
    ("7d", "week"),
    ("1M", "month"),
    ("30d", "month"),
    ("1Y", "year"),
];
const PERIOD_WORDS: &[&str] = &["1m", "60s", "1h", "60m", "1d", "24h", "1w", "7d", "1M", "30d", "1Y"];
/// Rate limits look back over 60 seconds here; another span cannot be mapped.
const MINUTE_WORDS: &[&str] = &["1m", "60s"];

const BUDGET: &[Field] = &[
    required("max_limit", Shape::Dollars, "US dollars."),
    required("reset_duration", Shape::Word(PERIOD_WORDS), "When it is full again."),
    ALIGNED,
];

/// As Bifrost aligns them; of what is not told to be, a budget here is aligned as well.
const ALIGNED: Field = optional(
    "calendar_aligned",
    Shape::Truth,
    "Whether periods are those of the calendar; `false`: they look back.",
);

const RATE_LIMIT: &[Field] = &[
    optional("token_max_limit", Shape::Count, "Tokens a minute."),
    optional("token_reset_duration", Shape::Word(MINUTE_WORDS), "A minute."),
    optional("request_max_limit", Shape::Count, "Requests a minute."),
    optional("request_reset_duration", Shape::Word(MINUTE_WORDS), "A minute."),
];

/// A key in Bifrost's form.
pub(in crate::api) const FIELDS: &[Field] = &[
    required("name", Shape::Name, "Its name."),
    optional("budget", Shape::Object(BUDGET), "Its budget."),
    ALIGNED,
    optional("rate_limit", Shape::Object(RATE_LIMIT), "Its rate limits."),
    optional("models", Shape::MaybeEmpty(&Shape::Pattern, 1000), "What it may call; empty: everything."),
    optional("team_id", Shape::Name, "Its team."),
    optional("description", Shape::Text(1000), "Kept as its note."),
    optional("is_active", Shape::Truth, "Whether it is not blocked."),
];

/// Whether a body is in Bifrost's form: its budget is an object, ours a list, and only it has these
/// fields.
pub(in crate::api) fn is_one(body: &[u8]) -> bool {
    let Ok(body) = parse(body) else { return false };
    let named = ["rate_limit", "is_active", "description", "team_id", "calendar_aligned"];
    body.get("budget").is_some_and(Value::is_object) || named.iter().any(|name| body.contains_key(*name))
}

impl Turn<'_> {
    pub(in crate::api) fn bifrost_key(&self) -> Result<Plan, Fault> {
        let mut asked = parse(self.ask.body)?;
        check_object(&mut asked, FIELDS, Nulls::Refused, "")?;
        let fresh = self.fresh();
        let mut spec = spec(&asked);
        spec.insert("sha256".to_owned(), json!(fresh.sha256));
        let entry = self.new_entry(Kind::Key, spec)?;
        let mut shown = Object::new();
        shown.insert("id".to_owned(), json!(entry.name));
        if let Value::Object(own) = self.shown(&entry) {
            shown.extend(own);
        }
        shown.insert("key".to_owned(), json!(fresh.secret));
        shown.insert("value".to_owned(), json!(fresh.secret));
        let created = answer::answer(StatusCode::CREATED, &Value::Object(shown));
        Ok(self.commit(None::<&Entry>, &entry, created))
    }
}

fn spec(asked: &Object) -> Object {
    let mut spec = Object::new();
    let mut put = |name: &str, value: Option<Value>| {
        if let Some(value) = value {
            spec.insert(name.to_owned(), value);
        }
    };
    put("name", asked.get("name").cloned());
    put("note", asked.get("description").cloned());
    put("team", asked.get("team_id").cloned());
    put(
        "models",
        asked.get("models").filter(|list| list.as_array().is_some_and(|list| !list.is_empty())).cloned(),
    );
    put("blocked", (asked.get("is_active") == Some(&Value::Bool(false))).then_some(Value::Bool(true)));
    let rates = asked.get("rate_limit").and_then(Value::as_object);
    put("rpm", rates.and_then(|rates| rates.get("request_max_limit")).cloned());
    put("tpm", rates.and_then(|rates| rates.get("token_max_limit")).cloned());
    let aligned = asked.get("calendar_aligned");
    put("budget", asked.get("budget").and_then(Value::as_object).and_then(|it| budget(it, aligned)));
    spec
}

fn budget(asked: &Object, aligned: Option<&Value>) -> Option<Value> {
    let word = text(asked, "reset_duration")?;
    let (_, per) = PERIODS.iter().find(|(theirs, _)| *theirs == word)?;
    let mut budget = json!({"usd": asked.get("max_limit")?, "per": per});
    let aligned = asked.get("calendar_aligned").or(aligned);
    if let (Some(Value::Bool(false)), Value::Object(budget)) = (aligned, &mut budget) {
        budget.insert("reset".to_owned(), json!("rolling"));
    }
    Some(json!([budget]))
}
