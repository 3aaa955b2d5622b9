//! What the head of a handshake says, and what is sent upstream for it.

use super::super::attempt::{Path, fetch};
use super::super::request::Request;
use crate::fault::{Code, Fault};
use crate::fleet::Lane;
use crate::host::Fetch;
use crate::provider::Endpoint;
use crate::provider::openai::path_segment;
use crate::vendor::ChatPath;
use bytes::Bytes;
use http::Method;
use http::header::{
    ACCEPT, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue, SEC_WEBSOCKET_KEY, SEC_WEBSOCKET_PROTOCOL,
    UPGRADE,
};
use std::borrow::Cow;

/// The subprotocol that a server of realtime sessions speaks.
pub(super) const PROTOCOL: HeaderValue = HeaderValue::from_static("realtime");

/// What a browser puts its key behind, as it can set no header.
pub(crate) const KEY_PROTOCOL: &str = "openai-insecure-api-key.";

/// The same for the header `openai-beta`.
const BETA_PROTOCOL: &str = "openai-beta.";

const BETA: HeaderName = HeaderName::from_static("openai-beta");

/// Members of the query that are the gateway's, or are written anew for the upstream.
const OWN: [&str; 5] = ["model", "deployment", "api-version", "key", "api-key"];

/// What the head of a handshake says of the session.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Handshake {
    /// The model it is for.
    pub model: Option<String>,
    /// What goes upstream of the query, each member after an `&`.
    rest: String,
    /// Whether the client speaks the subprotocol.
    speaks: bool,
    /// The value of `openai-beta` that a subprotocol stands for.
    beta: Option<HeaderValue>,
}

impl Handshake {
    /// Reads a head. A fault where it is no handshake.
    pub fn read(headers: &HeaderMap, query: Option<&str>) -> Result<Self, Fault> {
        let upgrade = headers.get(UPGRADE).map(HeaderValue::as_bytes).unwrap_or_default();
        if !upgrade.eq_ignore_ascii_case(b"websocket") {
            return Err(Fault::missing_field("upgrade", "a WebSocket handshake, over HTTP/1.1"));
        }
        if !headers.contains_key(SEC_WEBSOCKET_KEY) {
            return Err(Fault::missing_field("sec-websocket-key", "16 bytes in base 64"));
        }
        let mut handshake = Self::default();
        for member in query.unwrap_or_default().split('&').filter(|member| !member.is_empty()) {
            let (name, value) = member.split_once('=').unwrap_or((member, ""));
            if matches!(name, "model" | "deployment") && !value.is_empty() {
                handshake.model.get_or_insert(decoded(value));
            } else if !OWN.contains(&name) {
                handshake.rest.push('&');
                handshake.rest.push_str(member);
            }
        }
        for protocol in protocols(headers) {
            if protocol.as_bytes() == PROTOCOL.as_bytes() {
                handshake.speaks = true;
            } else if let Some(beta) = protocol.strip_prefix(BETA_PROTOCOL) {
                handshake.beta = HeaderValue::try_from(beta.replacen('-', "=", 1)).ok();
            }
        }
        Ok(handshake)
    }

    /// The subprotocol to answer with.
    pub(super) fn protocol(&self) -> Option<HeaderValue> {
        self.speaks.then_some(PROTOCOL)
    }

    /// The handshake for an upstream, but for what makes it one.
    pub(super) fn fetch(&self, request: &Request, lane: Lane) -> Result<Box<Fetch>, Fault> {
        let bug = || Fault::new(Code::Bug, "a chosen upstream is not in the config");
        let provider = request.config.provider(lane.provider).ok_or_else(bug)?;
        let model = path_segment(&request.target(lane).ok_or_else(bug)?.model);
        let member = match provider.vendor.quirks.path {
            ChatPath::Plain | ChatPath::Vertex => "model",
            ChatPath::Deployment => "deployment",
        };
        let path = Cow::Owned(["/realtime?", member, "=", &model, &self.rest].concat());
        let endpoint = Endpoint { path, headers: HeaderMap::new() };
        let mut fetch = fetch(request, provider, lane, endpoint, Bytes::new(), Path::Pass)?;
        fetch.method = Method::GET;
        fetch.headers.remove(CONTENT_TYPE);
        fetch.headers.remove(ACCEPT);
        if let Some(beta) = &self.beta {
            fetch.headers.entry(BETA).or_insert_with(|| beta.clone());
        }
        Ok(Box::new(fetch))
    }
}

/// The subprotocols a head offers.
pub(crate) fn protocols(headers: &HeaderMap) -> impl Iterator<Item = &str> {
    let lines = headers.get_all(SEC_WEBSOCKET_PROTOCOL).into_iter().filter_map(|line| line.to_str().ok());
    lines.flat_map(|line| line.split(',')).map(str::trim)
}

/// A member's value without escapes, as a path's segment is decoded.
fn decoded(value: &str) -> String {
    String::from_utf8_lossy(&crate::keyring::percent_decoded(value)).into_owned()
}
