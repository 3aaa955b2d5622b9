//! Tells the operator's webhook that a budget is running out.
//!
//! One task of the main thread sends them, one after the other, so that no request waits for it. A
//! webhook that fails is asked again three times, at growing distance; then the alert is logged and
//! dropped.

use crate::host::Shared;
use crate::upstream::Call;
use crate::upstream::pool::Pool;
use bytes::Bytes;
use http::header::{CONTENT_TYPE, HeaderMap, HeaderValue};
use http::{Method, StatusCode, Uri};
use std::future::poll_fn;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::time::{sleep, timeout};
use tollgate_core::host::{Fetch, Reuse, Upstream};
use tollgate_core::ledger::Warning;

/// How long a webhook may take to answer.
const PATIENCE: Duration = Duration::from_secs(10);

/// Before each further try.
const PAUSES: [Duration; 3] = [Duration::from_secs(1), Duration::from_secs(5), Duration::from_secs(25)];

/// Where warnings are left.
#[derive(Clone, Debug)]
pub struct Bell(UnboundedSender<Warning>);

/// Where they are taken up.
#[derive(Debug)]
pub struct Ears(UnboundedReceiver<Warning>);

/// Both.
#[derive(Debug)]
pub struct Ends {
    /// The workers'.
    pub bell: Bell,
    /// The main thread's.
    pub ears: Ears,
}

/// A bell and what hears it.
pub fn ends() -> Ends {
    let (bell, ears) = unbounded_channel();
    Ends { bell: Bell(bell), ears: Ears(ears) }
}

impl Bell {
    /// Each budget warns once in its period, so that the queue stays short.
    pub fn ring(&self, warnings: Vec<Warning>) {
        for warning in warnings {
            // Nobody hears it once the gateway stops.
            let _ = self.0.send(warning);
        }
    }
}

/// Sends warnings until the gateway stops.
pub async fn run(shared: Arc<Shared>, mut ears: Ears) {
    let pool = Pool::new(Arc::clone(&shared.outside));
    while let Some(warning) = ears.0.recv().await {
        tracing::warn!("{}", warning.words());
        let webhook = shared.config.load().alerts.webhook.clone();
        let Some(url) = webhook.and_then(|url| url.expose().parse::<Uri>().ok()) else { continue };
        let body = Bytes::from(warning.message(shared.clock.now()));
        if let Err(why) = deliver(&pool, &url, &body).await {
            tracing::error!("the webhook did not take the warning about {}: {why}", warning.scope);
        }
    }
}

async fn deliver(pool: &Pool, url: &Uri, body: &Bytes) -> Result<(), String> {
    let mut failure = post(pool, url, body).await;
    for pause in PAUSES {
        if failure.is_ok() {
            break;
        }
        sleep(pause).await;
        failure = post(pool, url, body).await;
    }
    failure
}

async fn post(pool: &Pool, url: &Uri, body: &Bytes) -> Result<(), String> {
    let mut headers = HeaderMap::new();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    let fetch = Fetch {
        method: Method::POST,
        uri: url.clone(),
        headers,
        body: body.clone(),
        reuse: Reuse::Forbidden,
        signing: None,
    };
    let mut call = Call::new(pool, fetch);
    match timeout(PATIENCE, poll_fn(|cx| call.poll_head(cx))).await {
        Ok(Ok(head)) if head.status.is_success() => Ok(()),
        Ok(Ok(head)) => Err(told(head.status)),
        Ok(Err(error)) => Err(error.what),
        Err(_) => Err(format!("no answer within {} s", PATIENCE.as_secs())),
    }
}

fn told(status: StatusCode) -> String {
    format!("it answered {}", status.as_u16())
}
