//! Questions to sources.

use crate::clock;
use crate::upstream::Call;
use crate::upstream::pool::{Outside, Pool};
use bytes::Bytes;
use http::header::{ACCEPT, CONTENT_TYPE, USER_AGENT};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Uri};
use serde_json::Value;
use std::future::poll_fn;
use std::sync::Arc;
use tollgate_core::host::{Fetch, Reuse, Upstream};
use tollgate_core::sigv4::{By, Signer, Signing};
use tollgate_core::sigv4::{Slash, escape};

/// Bytes of an answer.
const MAX_BYTES: usize = 256 * 1024;

/// What asks.
pub(super) struct Desk(Pool);

/// A question.
pub(super) struct Question<'q> {
    pub(super) method: Method,
    pub(super) url: &'q str,
    pub(super) headers: Vec<(&'static str, String)>,
    pub(super) body: String,
    pub(super) signer: Option<Signer>,
}

impl<'q> Question<'q> {
    pub(super) fn get(url: &'q str) -> Self {
        Self { method: Method::GET, url, headers: Vec::new(), body: String::new(), signer: None }
    }

    /// A form.
    pub(super) fn form(url: &'q str, fields: &[(&str, &str)]) -> Self {
        let headers = vec![(CONTENT_TYPE.as_str(), "application/x-www-form-urlencoded".to_owned())];
        Self { method: Method::POST, url, headers, body: pairs(fields), signer: None }
    }

    pub(super) fn with(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.headers.push((name, value.into()));
        self
    }
}

/// As a query, or a form.
pub(super) fn pairs(fields: &[(&str, &str)]) -> String {
    let mut text = String::new();
    for (name, value) in fields {
        if !text.is_empty() {
            text.push('&');
        }
        text.push_str(name);
        text.push('=');
        escape(value.as_bytes(), Slash::Escaped, &mut text);
    }
    text
}

impl Desk {
    pub(super) fn new(outside: Arc<Outside>) -> Self {
        Self(Pool::new(outside))
    }

    /// What a source says. An error names whom was asked and the status; what it says may hold a secret.
    pub(super) async fn ask(&self, question: Question<'_>) -> Result<Vec<u8>, String> {
        let Question { method, url, headers: given, body, signer } = question;
        let uri: Uri = url.parse().map_err(|_| "the address of the source is none".to_owned())?;
        let place = uri.authority().map_or_else(String::new, ToString::to_string);
        let mut headers = HeaderMap::new();
        headers.insert(ACCEPT, HeaderValue::from_static("application/json"));
        headers.insert(USER_AGENT, HeaderValue::from_static(concat!("tollgate/", env!("CARGO_PKG_VERSION"))));
        for (name, value) in given {
            let mut value = HeaderValue::from_str(&value)
                .map_err(|_| format!("{name} holds a character that no header can carry"))?;
            value.set_sensitive(true);
            headers.insert(HeaderName::from_static(name), value);
        }
        let body = Bytes::from(body);
        let signing = signer.map(|signer| Box::new(Signing::of(By::Key(Arc::new(signer)), &body)));
        let fetch = Fetch { method, uri, headers, body, reuse: Reuse::Allowed, signing };
        let mut call = Call::new(&self.0, fetch.signed(clock::wall()));
        let head = poll_fn(|cx| call.poll_head(cx)).await.map_err(|error| error.what)?;
        let mut answer = Vec::new();
        while let Some(chunk) = poll_fn(|cx| call.poll_chunk(cx)).await {
            answer.extend_from_slice(&chunk.map_err(|error| error.what)?);
            if answer.len() > MAX_BYTES {
                return Err(format!("{place} answered more than {MAX_BYTES} bytes"));
            }
        }
        if !head.status.is_success() {
            // Google's and Microsoft's word for what is wrong; their sentences may quote what was sent.
            let told: Value = serde_json::from_slice(&answer).unwrap_or_default();
            let word = told.get("error").and_then(Value::as_str).filter(|word| word.len() < 64);
            let word = word.map_or_else(String::new, |word| format!(" ({word})"));
            return Err(format!("{place} answered {}{word}", head.status.as_u16()));
        }
        Ok(answer)
    }

    /// The same, which is JSON.
    pub(super) async fn json(&self, question: Question<'_>) -> Result<Value, String> {
        let answer = self.ask(question).await?;
        serde_json::from_slice(&answer).map_err(|_| "the source's answer is no JSON".to_owned())
    }
}
