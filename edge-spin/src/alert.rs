//! Tells the operator's webhook that a budget is running out.

use crate::clock::Clock;
use crate::fetch::Call;
use crate::timer::within;
use crate::trouble::say;
use bytes::Bytes;
use http::header::{CONTENT_TYPE, HeaderMap, HeaderValue};
use http::{Method, Uri};
use serde_json::json;
use std::future::poll_fn;
use tollgate_core::config::Config;
use tollgate_core::host::{Fetch, Reuse, Upstream};
use tollgate_core::ledger::Warning;
use tollgate_core::limit::Budget;
use tollgate_core::price;
use tollgate_core::units::Millis;

/// How long a webhook may take to answer.
const PATIENCE: Millis = Millis::from_secs(10);

/// Before each further try.
const PAUSES: [Millis; 3] = [Millis::from_secs(1), Millis::from_secs(5), Millis::from_secs(25)];

/// Says it in the log, and to the webhook if there is one.
pub(crate) async fn ring(warning: &Warning, config: &Config, clock: Clock) {
    let Warning { scope, budget, spent, .. } = warning;
    let (spent, amount, per) = (price::dollars(*spent), price::dollars(budget.amount), budget.per.name());
    say(&format!("{scope} has spent {spent} of {amount} per {per}"));
    let webhook = config.alerts.webhook.as_ref();
    let Some(url) = webhook.and_then(|url| url.expose().parse::<Uri>().ok()) else { return };
    let body = Bytes::from(body(warning, clock.now().unix_secs()));
    let mut failure = post(&url, &body).await;
    for pause in PAUSES {
        if failure.is_none() {
            return;
        }
        let _ = within(pause, std::future::pending::<()>()).await;
        failure = post(&url, &body).await;
    }
    if let Some(why) = failure {
        say(&format!("the webhook did not take the warning about {scope}: {why}"));
    }
}

fn body(warning: &Warning, now: u64) -> String {
    let Warning { scope, budget, spent, resets_at } = warning;
    let Budget { amount, per, warn, .. } = budget;
    let number = |amount| serde_json::from_str::<serde_json::Value>(&price::plain(amount)).ok();
    json!({
        "type": "budget_warning",
        "at": now,
        "scope": scope,
        "budget": { "usd": number(*amount), "per": per.name(), "warn": warn.map(|percent| percent.0) },
        "spent_usd": number(*spent),
        "resets_at": resets_at.map(|at| at.unix_secs()),
    })
    .to_string()
}

/// Why it was not taken.
async fn post(url: &Uri, body: &Bytes) -> Option<String> {
    let mut headers = HeaderMap::new();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    let fetch = Fetch {
        method: Method::POST,
        uri: url.clone(),
        headers,
        body: body.clone(),
        reuse: Reuse::Allowed,
        signing: None,
    };
    let mut call = Call::new(fetch);
    match within(PATIENCE, poll_fn(|cx| call.poll_head(cx))).await {
        Some(Ok(head)) if head.status.is_success() => None,
        Some(Ok(head)) => Some(format!("it answered {}", head.status.as_u16())),
        Some(Err(error)) => Some(error.what),
        None => Some(format!("no answer within {} s", PATIENCE.get() / 1000)),
    }
}
