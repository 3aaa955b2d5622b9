//! Errands in a gateway that runs, over HTTP.

use super::{Errand, plain, refusal};
use crate::settings::Problems;
use crate::upstream::Call;
use crate::upstream::pool::{Outside, Pool};
use bytes::{Bytes, BytesMut};
use http::header::{AUTHORIZATION, CONTENT_TYPE, HeaderMap, HeaderValue};
use http::{StatusCode, Uri};
use serde_json::Value;
use std::future::poll_fn;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::timeout;
use tollgate_core::host::{Fetch, Reuse, Upstream};
use tollgate_core::secret::Secret;

/// How long an answer may take.
const PATIENCE: Duration = Duration::from_secs(30);

/// Bytes of an answer.
const MOST: usize = 64 << 20;

/// Does errands in a gateway that runs.
pub struct Remote {
    base: String,
    authorization: HeaderValue,
}

/// A whole answer.
struct Answer {
    status: StatusCode,
    from: Whom,
    body: BytesMut,
}

/// Who has answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Whom {
    /// A gateway, by its header.
    Gateway,
    /// Something in front of it, or something else.
    Another,
}

impl Remote {
    /// At this address, with this key. Nothing is called yet.
    pub fn new(url: &str, key: Secret) -> Result<Self, Problems> {
        let wrong = |found: &str| {
            Problems::from(format!(
                "--url: expected the gateway's address, such as http://127.0.0.1:8080, found {found}"
            ))
        };
        let uri: Uri = url.parse().map_err(|_| wrong("something that is none"))?;
        let is_http = matches!(uri.scheme_str(), Some("http" | "https"));
        let Some(authority) = uri.authority().filter(|_| is_http) else {
            return Err(wrong("none with http:// or https:// in front"));
        };
        if authority.as_str().contains('@') {
            return Err(wrong("one with a user in it: keys go into --admin-key"));
        }
        if uri.query().is_some() {
            return Err(wrong("one with a query"));
        }
        let mut authorization = HeaderValue::try_from(format!("Bearer {}", key.expose()))
            .map_err(|_| "the key: expected visible characters, found others".to_owned())?;
        authorization.set_sensitive(true);
        Ok(Self { base: url.trim_end_matches('/').to_owned(), authorization })
    }

    /// Does it.
    pub fn run(&self, errand: &Errand) -> Result<Value, Problems> {
        let Errand { method, target, body } = errand;
        let uri: Uri = format!("{}{target}", self.base).parse().map_err(|error| format!("--url: {error}"))?;
        let mut headers = HeaderMap::new();
        headers.insert(AUTHORIZATION, self.authorization.clone());
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        let body = body.as_ref().map(Value::to_string).unwrap_or_default();
        let fetch = Fetch {
            method: method.clone(),
            uri,
            headers,
            body: Bytes::from(body),
            reuse: Reuse::Forbidden,
            signing: None,
        };
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build_local(Default::default())
            .map_err(|error| format!("no call can be made: {error}"))?;
        let asked = async { timeout(PATIENCE, send(fetch)).await };
        match runtime.block_on(asked) {
            Ok(answer) => self.read(&answer?),
            Err(_) => Err(format!("{}: no answer within {} s", plain(&self.base), PATIENCE.as_secs()).into()),
        }
    }

    fn read(&self, answer: &Answer) -> Result<Value, Problems> {
        let Answer { status, from, body } = answer;
        let value = serde_json::from_slice::<Value>(body).ok().filter(|_| *from == Whom::Gateway);
        match value {
            Some(value) if status.is_success() => Ok(value),
            value => Err(value.as_ref().and_then(refusal).unwrap_or_else(|| self.strange(*status))),
        }
    }

    fn strange(&self, status: StatusCode) -> Problems {
        let (base, status) = (plain(&self.base), status.as_u16());
        format!(
            "{base}: expected a gateway's answer, found status {status} and something else\n  fix: check --url"
        )
        .into()
    }
}

async fn send(fetch: Fetch) -> Result<Answer, String> {
    let pool = Pool::new(Arc::new(Outside::from_env()));
    let mut call = Call::new(&pool, fetch);
    let head = poll_fn(|cx| call.poll_head(cx)).await.map_err(|error| error.what)?;
    let from = if head.headers.contains_key("x-tollgate-request-id") { Whom::Gateway } else { Whom::Another };
    let mut body = BytesMut::new();
    while let Some(chunk) = poll_fn(|cx| call.poll_chunk(cx)).await {
        body.extend_from_slice(&chunk.map_err(|error| error.what)?);
        if body.len() > MOST {
            return Err(format!("an answer of more than {MOST} bytes, which is none of a gateway's"));
        }
    }
    Ok(Answer { status: head.status, from, body })
}
