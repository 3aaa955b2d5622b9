//! A new key's fields, on the command line: the admin API's, which checks them.

use crate::clock::Clock;
use crate::settings::Problems;
use clap::Args;
use serde_json::{Map, Number, Value, json};
use tollgate_core::api::shape::{self, Shape};
use tollgate_core::api::spec::written;

/// What a new key is to be.
#[derive(Args, Clone, Debug, Default)]
pub(super) struct Spec {
    /// The team it belongs to.
    #[arg(long, value_name = "NAME")]
    team: Option<String>,
    /// The user it belongs to.
    #[arg(long, value_name = "NAME")]
    user: Option<String>,
    /// The organisation it belongs to.
    #[arg(long, value_name = "NAME")]
    organisation: Option<String>,
    /// What it is marked with; as often as needed.
    #[arg(long = "tag", value_name = "NAME", value_delimiter = ',')]
    tags: Vec<String>,
    /// Tags its clients may add.
    #[arg(long = "client-tag", value_name = "PATTERN", value_delimiter = ',')]
    client_tags: Vec<String>,
    /// What it may call: chat,openai/* [default: everything].
    #[arg(long, value_name = "PATTERNS", value_delimiter = ',')]
    models: Vec<String>,
    /// Paths it may call: /v1/* [default: everything].
    #[arg(long, value_name = "PATTERNS", value_delimiter = ',')]
    routes: Vec<String>,
    /// Addresses it may be used from: 10.0.0.0/8 [default: everywhere].
    #[arg(long = "ip", value_name = "RANGE", value_delimiter = ',')]
    ips: Vec<String>,
    /// What it may do in the admin API: caller, viewer, manager or admin [default: caller].
    #[arg(long, value_name = "ROLE")]
    role: Option<String>,
    /// Requests in any 60 seconds.
    #[arg(long, value_name = "N", allow_hyphen_values = true)]
    rpm: Option<String>,
    /// Tokens in any 60 seconds.
    #[arg(long, value_name = "N", allow_hyphen_values = true)]
    tpm: Option<String>,
    /// Input tokens in any 60 seconds.
    #[arg(long, value_name = "N", allow_hyphen_values = true)]
    tpm_input: Option<String>,
    /// Output tokens in any 60 seconds.
    #[arg(long, value_name = "N", allow_hyphen_values = true)]
    tpm_output: Option<String>,
    /// Requests in flight at once.
    #[arg(long, value_name = "N", allow_hyphen_values = true)]
    concurrency: Option<String>,
    /// Requests in all, ever.
    #[arg(long, value_name = "N", allow_hyphen_values = true)]
    max_requests: Option<String>,
    /// Tokens in all, ever.
    #[arg(long, value_name = "N", allow_hyphen_values = true)]
    max_tokens: Option<String>,
    /// US dollars per minute, hour, day, week, month, year or never: 10/day, or 10/day,rolling,warn=80 or
    /// 10/day,zone=Europe/Berlin; as often as there are periods.
    #[arg(long = "budget", value_name = "USD/PERIOD", allow_hyphen_values = true)]
    budgets: Vec<String>,
    /// The first moment at which it is refused: 2027-01-01T00:00:00Z.
    #[arg(long, value_name = "MOMENT", conflicts_with = "ttl")]
    expires: Option<String>,
    /// How long it is valid from now on: 30d.
    #[arg(long, value_name = "SPAN")]
    ttl: Option<String>,
    /// The SHA-256 of a key that exists already, in hexadecimal; then none is made.
    #[arg(long, value_name = "HEX")]
    sha256: Option<String>,
    /// A sentence for people.
    #[arg(long, value_name = "TEXT")]
    note: Option<String>,
}

impl Spec {
    /// Adds what was said to the body of a request.
    pub(super) fn write(&self, body: &mut Map<String, Value>) -> Result<(), Problems> {
        let Self { team, user, organisation, tags, client_tags, models, routes, ips, role, .. } = self;
        let Self { rpm, tpm, tpm_input, tpm_output, concurrency, max_requests, max_tokens, .. } = self;
        let Self { budgets, expires, ttl, sha256, note, .. } = self;
        let mut put = |name: &str, value: Value| drop(body.insert(name.to_owned(), value));
        let texts = [
            ("team", team),
            ("user", user),
            ("organisation", organisation),
            ("role", role),
            ("expires", expires),
            ("sha256", sha256),
            ("note", note),
        ];
        for (name, text) in texts {
            text.iter().for_each(|text| put(name, json!(text)));
        }
        let lists = [
            ("tags", tags),
            ("client_tags", client_tags),
            ("models", models),
            ("routes", routes),
            ("ips", ips),
        ];
        for (name, list) in lists.into_iter().filter(|(_, list)| !list.is_empty()) {
            put(name, json!(list));
        }
        let numbers = [
            ("rpm", rpm),
            ("tpm", tpm),
            ("tpm_input", tpm_input),
            ("tpm_output", tpm_output),
            ("concurrency", concurrency),
            ("max_requests", max_requests),
            ("max_tokens", max_tokens),
        ];
        for (name, text) in numbers {
            text.iter().for_each(|text| put(name, number(text)));
        }
        if let Some(ttl) = ttl {
            put("expires", json!(from_now(ttl)?));
        }
        if !budgets.is_empty() {
            let budgets = budgets.iter().map(|text| budget(text));
            put("budget", Value::Array(budgets.collect::<Result<_, _>>()?));
        }
        Ok(())
    }
}

/// A number as it was written; what is none is left to the API, which says what it expects.
pub fn number(text: &str) -> Value {
    text.replace('_', "").parse::<Number>().map_or_else(|_| json!(text), Value::Number)
}

fn from_now(ttl: &str) -> Result<String, Problems> {
    let span = shape::span(ttl).ok_or_else(|| {
        format!("--ttl: expected {}, found {:?}", Shape::Span.expected(), shape::shown(ttl))
    })?;
    Ok(written(Clock::start().now() + span))
}

fn budget(text: &str) -> Result<Value, Problems> {
    let wrong = |what: &str| {
        Problems::from(format!(
            "--budget: expected {what} as in 10/day,warn=80, found {:?}",
            shape::shown(text)
        ))
    };
    let mut parts = text.split(',').map(str::trim);
    let whole = parts.next().and_then(|first| first.split_once('/'));
    let (usd, per) = whole.ok_or_else(|| wrong("US dollars, a slash and a period"))?;
    let mut budget = Map::new();
    budget.insert("usd".to_owned(), number(usd.trim_start_matches('$')));
    budget.insert("per".to_owned(), json!(per));
    for part in parts {
        let (name, value) = match part.split_once('=') {
            Some(("warn", percent)) => ("warn", number(percent.trim_end_matches('%'))),
            Some(("zone", zone)) => ("zone", json!(zone)),
            None if part == "rolling" || part == "calendar" => ("reset", json!(part)),
            Some(_) | None => {
                return Err(wrong("rolling, calendar, warn=PERCENT or zone=NAME after the comma"));
            }
        };
        if budget.insert(name.to_owned(), value).is_some() {
            return Err(wrong("each of these once"));
        }
    }
    Ok(Value::Object(budget))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_budget_is_an_amount_a_period_and_what_is_said_of_it() {
        let read = |text| budget(text).unwrap().to_string();
        assert_eq!(read("10/day"), r#"{"usd":10,"per":"day"}"#);
        assert_eq!(read("$0.000000001/never"), r#"{"usd":0.000000001,"per":"never"}"#);
        assert_eq!(
            read("1_000.5/month, rolling,warn=80%"),
            r#"{"usd":1000.5,"per":"month","reset":"rolling","warn":80}"#
        );
        assert_eq!(read("5/week,zone=Europe/Berlin"), r#"{"usd":5,"per":"week","zone":"Europe/Berlin"}"#);
        for wrong in
            ["10", "", "10/day,daily", "10/day,warn", "10/day,warn=1,warn=2", "10/day,rolling,calendar"]
        {
            let problem = budget(wrong).unwrap_err().to_string();
            assert!(problem.starts_with("--budget: expected ") && problem.contains("found"), "{problem}");
        }
    }

    #[test]
    fn what_is_no_number_is_left_to_the_api() {
        assert_eq!([number("5"), number("200_000"), number("-1")], [json!(5), json!(200_000), json!(-1)]);
        assert_eq!([number("many"), number("NaN"), number("")], [json!("many"), json!("NaN"), json!("")]);
    }
}
