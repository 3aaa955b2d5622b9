//! The door: what is decided from a request's head alone, before its body is read.

use crate::api::{self, Knock};
use crate::config::Config;
use crate::count::Gauge;
use crate::directory::{Caller, Directory};
use crate::exchange::{RequestId, RequestIdText, retry_hints};
use crate::fault::{Code, Fault};
use crate::keyring;
use crate::models;
use crate::mount::{self, Mounted};
use crate::surface::{self, Surface, openai_chat::OpenAiChat};
use crate::units::Time;
use bytes::Bytes;
use http::header::{ALLOW, CONTENT_TYPE, HeaderMap, HeaderValue};
use http::request::Parts;
use http::{Response, StatusCode};
use std::net::IpAddr;
use std::sync::Arc;

/// What becomes of a request.
pub enum Admission {
    /// It is answered without its body: health, model lists, refusals.
    Answered(Response<Bytes>),
    /// It asks for the host's metrics in Prometheus' text form; this is the answer's head.
    Metrics(Response<()>),
    /// It is one to the admin API, from somebody who may ask; its body is wanted.
    Admin(Box<Knock>),
    /// Its body is wanted, at most `config.server.max_body` bytes.
    Wanted(Admitted),
}

/// A request that may go on. Holds what its head told.
pub struct Admitted {
    /// The config it runs under to its end, whatever is reloaded meanwhile.
    pub config: Arc<Config>,
    /// The surface it came to.
    pub surface: &'static dyn Surface,
    /// Its id.
    pub id: RequestId,
    /// When it came.
    pub at: Time,
    /// Whose it is; absent for a stranger where strangers are served.
    pub caller: Option<Arc<Caller>>,
    /// How bytes become tokens.
    pub gauge: Arc<Gauge>,
    /// What to do where the provider cannot carry everything.
    pub strictness: Strictness,
    /// Headers of the client's that its own dialect's upstreams are to see.
    pub forward: HeaderMap,
}

/// What to do where the provider cannot carry everything.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Strictness {
    /// Send what can be carried and name the rest in `x-tollgate-lost`.
    Report,
    /// Refuse with 400 (`x-tollgate-strict: true`).
    Refuse,
}

/// Headers that change what the provider does, and so belong to a pass-through.
const FORWARDED: [&str; 5] =
    ["openai-beta", "openai-organization", "openai-project", "anthropic-beta", "anthropic-version"];

impl Admitted {
    /// The answer to a body that could not be read: too large, cut, too slow.
    pub fn refuse(&self, fault: &Fault) -> Response<Bytes> {
        refusal(self.surface, fault, self.id)
    }
}

/// What the door looks things up in.
#[derive(Clone, Copy, Debug)]
pub struct Desk<'a> {
    /// The config for requests that come now.
    pub config: &'a Arc<Config>,
    /// Who there is.
    pub directory: &'a Directory,
    /// How bytes become tokens.
    pub gauge: &'a Arc<Gauge>,
    /// Where the request comes from; absent where the host does not know.
    pub peer: Option<IpAddr>,
}

/// Decides on a request by its head: finds what is served at its path, then whose request it is.
pub fn admit(head: &Parts, desk: &Desk<'_>, id: RequestId, now: Time) -> Admission {
    match mount::find(&head.method, head.uri.path()) {
        Err(fault) => Admission::Answered(astray(head, &fault, id)),
        Ok(Mounted::Health | Mounted::Ready) => Admission::Answered(healthy(id)),
        Ok(Mounted::Metrics) => Admission::Metrics(json(Bytes::new(), id).map(drop)),
        Ok(Mounted::Admin(arrival)) => match api::knock(head, arrival, desk, id, now) {
            Ok(knock) => Admission::Admin(Box::new(knock)),
            Err(answer) => Admission::Answered(*answer),
        },
        Ok(Mounted::Models { shape, id: model }) => list(head, desk, shape, model.as_deref(), id, now),
        Ok(Mounted::Surface { id: surface, model: _ }) => {
            let surface = surface::of(surface);
            // Authenticate before the body is read: a stranger must not buy memory or JSON work.
            match keyring::authenticate(&head.headers, head.uri.query(), desk, now) {
                Err(fault) => Admission::Answered(refusal(surface, &fault, id)),
                Ok(_) if is_encoded(&head.headers) => {
                    let expected = "identity: bodies are not decompressed here";
                    let fault = Fault::bad_field("content-encoding", expected, "another encoding");
                    Admission::Answered(refusal(surface, &fault, id))
                }
                Ok(caller) => Admission::Wanted(Admitted {
                    config: desk.config.clone(),
                    surface,
                    id,
                    at: now,
                    caller,
                    gauge: desk.gauge.clone(),
                    strictness: strictness(&head.headers),
                    forward: forwarded(&head.headers),
                }),
            }
        }
    }
}

/// The answer where nothing is served, or not with this method.
fn astray(head: &Parts, fault: &Fault, id: RequestId) -> Response<Bytes> {
    let mut answer = refusal(&OpenAiChat, fault, id);
    if fault.code == Code::WrongMethod {
        if let Ok(allow) = HeaderValue::try_from(mount::allow(head.uri.path())) {
            answer.headers_mut().insert(ALLOW, allow);
        }
    }
    answer
}

fn list(
    head: &Parts,
    desk: &Desk<'_>,
    shape: mount::Shape,
    model: Option<&str>,
    id: RequestId,
    now: Time,
) -> Admission {
    let shape = models::shape(shape, &head.headers, head.uri.query());
    let config = desk.config;
    let found = keyring::authenticate(&head.headers, head.uri.query(), desk, now);
    let found = found.and_then(|caller| match model {
        Some(model) => models::one(config, caller.as_deref(), shape, model),
        None => Ok(models::list(config, caller.as_deref(), shape)),
    });
    Admission::Answered(match found {
        Ok(body) => json(body, id),
        Err(fault) => refusal(&OpenAiChat, &fault, id),
    })
}

fn is_encoded(headers: &HeaderMap) -> bool {
    let encoding = headers.get(http::header::CONTENT_ENCODING);
    encoding.is_some_and(|value| !value.as_bytes().eq_ignore_ascii_case(b"identity"))
}

fn strictness(headers: &HeaderMap) -> Strictness {
    match headers.get("x-tollgate-strict") {
        Some(value) if value.as_bytes().eq_ignore_ascii_case(b"true") => Strictness::Refuse,
        Some(_) | None => Strictness::Report,
    }
}

fn forwarded(headers: &HeaderMap) -> HeaderMap {
    let mut kept = HeaderMap::new();
    for name in FORWARDED {
        for value in headers.get_all(name) {
            kept.append(name, value.clone());
        }
    }
    kept
}

fn healthy(id: RequestId) -> Response<Bytes> {
    json(Bytes::from_static(b"{\"status\":\"ok\"}"), id)
}

/// An answer that no upstream was asked for.
fn json(body: Bytes, id: RequestId) -> Response<Bytes> {
    let mut response = Response::new(body);
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    if let Ok(value) = HeaderValue::from_str(RequestIdText::new(id).as_str()) {
        headers.insert("x-tollgate-request-id", value);
    }
    headers.insert("x-tollgate-attempts", HeaderValue::from_static("0"));
    headers.insert("x-tollgate-cache", HeaderValue::from_static("off"));
    response
}

/// A fault as a whole answer in a surface's shape.
pub(crate) fn refusal(surface: &dyn Surface, fault: &Fault, id: RequestId) -> Response<Bytes> {
    let text = RequestIdText::new(id);
    let mut response = json(surface.fault(fault, text.as_str()), id);
    *response.status_mut() =
        StatusCode::from_u16(fault.status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let headers = response.headers_mut();
    retry_hints(headers, fault);
    if fault.code == Code::MissingKey || fault.code == Code::InvalidKey {
        headers.insert(http::header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
    }
    response
}
