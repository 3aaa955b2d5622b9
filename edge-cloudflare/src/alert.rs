//! Tells the operator's webhook that a budget is running out, behind the answer that made it so.

use crate::clock;
use crate::upstream::Call;
use bytes::Bytes;
use http::header::{CONTENT_TYPE, HeaderMap, HeaderValue};
use http::{Method, Uri};
use std::future::poll_fn;
use std::time::Duration;
use tollgate_core::config::Config;
use tollgate_core::host::{Fetch, Reuse, Upstream};
use tollgate_core::ledger::Warning;
use worker::{Context, Delay, console_error, console_warn};

/// Before each further try, in seconds. What is done behind an answer has half a minute.
const PAUSES: [u64; 2] = [1, 5];

/// Sends warnings, each once in its budget's period.
pub(crate) fn send(context: &Context, config: &Config, warnings: Vec<Warning>) {
    for warning in warnings {
        console_warn!("{}", warning.words());
        let url = config.alerts.webhook.as_ref().and_then(|url| url.expose().parse::<Uri>().ok());
        let Some(url) = url else { continue };
        let body = Bytes::from(warning.message(clock::now()));
        context.wait_until(async move {
            if let Err(why) = deliver(&url, &body).await {
                console_error!("the webhook did not take the warning about {}: {why}", warning.scope);
            }
        });
    }
}

async fn deliver(url: &Uri, body: &Bytes) -> Result<(), String> {
    let mut failure = post(url, body).await;
    for pause in PAUSES {
        if failure.is_ok() {
            break;
        }
        Delay::from(Duration::from_secs(pause)).await;
        failure = post(url, body).await;
    }
    failure
}

async fn post(url: &Uri, body: &Bytes) -> Result<(), String> {
    let headers = HeaderMap::from_iter([(CONTENT_TYPE, HeaderValue::from_static("application/json"))]);
    let (uri, body) = (url.clone(), body.clone());
    let mut call =
        Call::new(Fetch { method: Method::POST, uri, headers, body, reuse: Reuse::Forbidden, signing: None });
    match poll_fn(|cx| call.poll_head(cx)).await {
        Ok(head) if head.status.is_success() => Ok(()),
        Ok(head) => Err(format!("it answered {}", head.status.as_u16())),
        Err(error) => Err(error.what),
    }
}
