//! The door: what is decided from a request's head alone, before its body is read.

#[cfg(test)]
mod tests;

use crate::api::{self, Knock, Turned};
use crate::cache::Wish;
use crate::config::Config;
use crate::count::Gauge;
use crate::dialect::Dialect;
use crate::directory::{self, Caller, Directory};
use crate::exchange::{Handshake, Opening, RequestId, RequestIdText, rate_limits, retry_hints};
use crate::fault::{Code, Fault};
use crate::keyring::{self, Presented};
use crate::ledger::{Report, Scope, Standing};
use crate::models;
use crate::mount::{self, Located, Mounted};
use crate::surface::{
    self, Answers, Bodies, Client, RequestLine, Surface, SurfaceId, openai_chat::OpenAiChat, raw,
};
use crate::through::{self, Through};
use crate::transcript::{self, Owner};
use crate::units::{Millis, Time};
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
    /// It is answered without its body and draws on nothing, but its key has rates: the host has the ledger
    /// say where they stand, for the answer's headers.
    Listed(Box<Listed>),
    /// It asks whether the host can take requests; this is the answer's head if it can. One that cannot
    /// answers with [`unready`].
    Ready(Response<()>),
    /// It bears a token of an issuer whose keys are not known here, or not the one it names. The host
    /// fetches them, puts them into the directory and asks again, or answers as is told here.
    NeedsKeys(Box<NeedsKeys>),
    /// It asks for the host's metrics in Prometheus' text form; this is the answer's head.
    Metrics(Response<()>),
    /// It asks for a response that is kept. The host looks for it and answers as it is told; one that keeps none
    /// answers with [`Wanted::otherwise`].
    ///
    /// [`Wanted::otherwise`]: transcript::Wanted::otherwise
    Transcript(Box<transcript::Wanted>),
    /// It is one to the admin API, from somebody who may ask; its body is wanted.
    Admin(Box<Knock>),
    /// It is the handshake of a session; a host without sessions answers with [`sessionless`].
    Session(Box<Opening>),
    /// Its body is wanted, at most `config.server.max_body` bytes.
    Wanted(Admitted),
}

/// An answer that is still to tell where its caller's rates stand.
#[derive(Debug)]
pub struct Listed {
    /// The answer without them.
    pub answer: Response<Bytes>,
    /// In whose books they are.
    pub book: Arc<str>,
    /// Whose rates.
    pub scopes: Vec<Arc<Scope>>,
}

impl Listed {
    /// The whole answer, by what the ledger reports of [`Listed::scopes`].
    pub fn told(self, reports: &[Report]) -> Response<Bytes> {
        let mut answer = self.answer;
        rate_limits(answer.headers_mut(), &Standing::of(reports));
        answer
    }
}

/// Keys of an issuer that are to be fetched.
#[derive(Debug)]
pub struct NeedsKeys {
    /// Whose, as in `config.tokens.issuers`.
    pub issuer: String,
    /// What is answered if they cannot be had, or have been fetched a moment ago already.
    pub otherwise: Response<Bytes>,
}

/// A request that may go on. Holds what its head told.
pub struct Admitted {
    /// The config it runs under to its end, whatever is reloaded meanwhile.
    pub config: Arc<Config>,
    /// The surface it came to.
    pub surface: &'static dyn Surface,
    /// What its line says of the call.
    pub line: RequestLine,
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
    /// The end user that the client's token or `x-tollgate-user` names; else the body may.
    pub end_user: Option<String>,
    /// Tags of `x-tollgate-tags` that the client's key lets it set.
    pub client_tags: Vec<String>,
    /// What it says of the cache of answers.
    pub wish: Wish,
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
const FORWARDED: [&str; 10] = [
    "openai-beta",
    "openai-organization",
    "openai-project",
    "anthropic-beta",
    "anthropic-version",
    "x-amzn-bedrock-guardrailidentifier",
    "x-amzn-bedrock-guardrailversion",
    "x-amzn-bedrock-trace",
    "x-amzn-bedrock-performanceconfig-latency",
    "x-amzn-bedrock-service-tier",
];

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
///
/// Rights go by the place that was found, never by the path as it was spelt.
pub fn admit(head: &Parts, desk: &Desk<'_>, id: RequestId, now: Time) -> Admission {
    let Located { mounted, path } = match mount::locate(&head.method, head.uri.path()) {
        Ok(located) => located,
        Err(fault) if fault.code == Code::NoRoute => {
            return match through::find(&head.method, &head.uri, desk.config) {
                Some(through) => pass(head, desk, through, id, now),
                None => astray(head, desk, &fault, id, now),
            };
        }
        Err(fault) => return astray(head, desk, &fault, id, now),
    };
    match mounted {
        Mounted::Health => Admission::Answered(healthy(id)),
        Mounted::Ready => Admission::Ready(healthy(id).map(drop)),
        Mounted::Metrics => Admission::Metrics(json(Bytes::new(), id).map(drop)),
        Mounted::Admin(arrival) => match api::knock(head, arrival, desk, id, now) {
            Ok(knock) => Admission::Admin(Box::new(knock)),
            Err(turned) => match *turned {
                Turned::Away(answer) => Admission::Answered(answer),
                Turned::Back(needs) => Admission::NeedsKeys(Box::new(needs)),
            },
        },
        Mounted::Models { shape, id: model } => {
            let shape = models::shape(shape, &head.headers, head.uri.query());
            match enter(head, desk, path, surface::speaking(shape), id, now) {
                Ok(caller) => {
                    list(desk, (shape, Client::of(&head.headers)), model.as_deref(), caller.as_deref(), id)
                }
                Err(admission) => *admission,
            }
        }
        Mounted::Transcript { ask, id: name } => {
            let surface = surface::of(SurfaceId::OpenAiResponses);
            let caller = match enter(head, desk, path, surface, id, now) {
                Ok(caller) => caller,
                Err(admission) => return *admission,
            };
            let otherwise = refusal(surface, &transcript::missing(&name), id);
            if desk.config.store.responses.is_none() {
                return rated(otherwise, caller.as_deref());
            }
            let end_user = end_user(&head.headers, caller.as_deref());
            let owner = Owner::of(caller.as_deref(), end_user.as_deref());
            let query = head.uri.query().unwrap_or_default().to_owned();
            let head = json(Bytes::new(), id).map(drop);
            Admission::Transcript(Box::new(transcript::Wanted {
                ask,
                owner,
                id: name,
                query,
                head,
                otherwise,
            }))
        }
        Mounted::Surface { id: realtime @ SurfaceId::OpenAiRealtime, model: _ } => {
            let surface = surface::of(realtime);
            let caller = match enter(head, desk, path, surface, id, now) {
                Ok(caller) => caller,
                Err(admission) => return *admission,
            };
            let handshake = match Handshake::read(&head.headers, head.uri.query()) {
                Ok(handshake) => handshake,
                Err(fault) => return rated(refusal(surface, &fault, id), caller.as_deref()),
            };
            let line = RequestLine { model: handshake.model.clone(), ..RequestLine::default() };
            match want(head, desk, Called { surface, line }, caller, id, now) {
                Ok(admitted) => Admission::Session(Box::new(Opening { admitted, handshake })),
                Err(admission) => *admission,
            }
        }
        Mounted::Surface { id: surface, model } => {
            let line = RequestLine { model, ..RequestLine::default() };
            serve(head, desk, Served { surface, line, path }, id, now)
        }
    }
}

/// A surface that is served at a place.
struct Served {
    surface: SurfaceId,
    line: RequestLine,
    path: &'static str,
}

fn serve(head: &Parts, desk: &Desk<'_>, served: Served, id: RequestId, now: Time) -> Admission {
    let Served { surface, mut line, path } = served;
    let surface = surface::of(surface);
    if surface.answers() == Answers::Verbatim {
        let pinned = line.provider.take().and_then(|id| desk.config.provider(id));
        let pinned = pinned.map(|provider| provider.name.clone());
        let provider = pinned.or_else(|| through::chosen(head, desk.config));
        let raw = through::placed(head, path, line.model.take(), provider);
        let called = Called { surface, line: RequestLine { raw: Some(Box::new(raw)), ..line } };
        return called_at(head, desk, path, called, id, now);
    }
    line.framing = surface.framing(head.uri.query());
    called_at(head, desk, path, Called { surface, line }, id, now)
}

/// What is reached by a provider's name.
fn pass(head: &Parts, desk: &Desk<'_>, through: Through, id: RequestId, now: Time) -> Admission {
    match through {
        Through::Surface { id: surface, model, path, provider } => {
            let line = RequestLine { model, provider: Some(provider), ..RequestLine::default() };
            serve(head, desk, Served { surface, line, path }, id, now)
        }
        Through::Raw { raw, provider, path } => {
            let dialect = desk.config.provider(provider).map_or(Dialect::OpenAi, |it| it.dialect);
            let line = RequestLine { raw: Some(Box::new(raw)), ..RequestLine::default() };
            called_at(head, desk, &path, Called { surface: raw::of(dialect), line }, id, now)
        }
    }
}

/// Authenticates before the body is read: a stranger must not buy memory or JSON work.
fn called_at(
    head: &Parts,
    desk: &Desk<'_>,
    path: &str,
    mut called: Called,
    id: RequestId,
    now: Time,
) -> Admission {
    match enter(head, desk, path, called.surface, id, now) {
        Ok(caller) => {
            called.line.client = Client::of(&head.headers);
            called.line.content_type = match called.surface.bodies() {
                Bodies::Json => None,
                Bodies::Any => head.headers.get(CONTENT_TYPE).cloned(),
            };
            match want(head, desk, called, caller, id, now) {
                Ok(admitted) => Admission::Wanted(admitted),
                Err(admission) => *admission,
            }
        }
        Err(admission) => *admission,
    }
}

/// Who is asking, if he may ask for what is served at this place.
fn enter(
    head: &Parts,
    desk: &Desk<'_>,
    path: &str,
    surface: &dyn Surface,
    id: RequestId,
    now: Time,
) -> Result<Option<Arc<Caller>>, Box<Admission>> {
    let answered = |fault: &Fault| Box::new(Admission::Answered(refusal(surface, fault, id)));
    let caller = match keyring::identify(&head.headers, head.uri.query(), desk, now) {
        Presented::Nobody => None,
        Presented::Caller(caller) => Some(caller),
        Presented::Refused(fault) => return Err(answered(&fault)),
        Presented::NeedsKeys { issuer, fault } => {
            let otherwise = refusal(surface, &fault, id);
            let needs = Box::new(NeedsKeys { issuer, otherwise });
            return Err(Box::new(Admission::NeedsKeys(needs)));
        }
    };
    match keyring::may_call(caller.as_deref(), path) {
        Ok(()) => Ok(caller),
        Err(fault) => Err(Box::new(rated(refusal(surface, &fault, id), caller.as_deref()))),
    }
}

/// What a request has come to.
struct Called {
    surface: &'static dyn Surface,
    line: RequestLine,
}

fn want(
    head: &Parts,
    desk: &Desk<'_>,
    called: Called,
    caller: Option<Arc<Caller>>,
    id: RequestId,
    now: Time,
) -> Result<Admitted, Box<Admission>> {
    let Called { surface, line } = called;
    let refused = |fault: &Fault| Box::new(rated(refusal(surface, fault, id), caller.as_deref()));
    if is_encoded(&head.headers) {
        let expected = "identity: bodies are not decompressed here";
        let fault = Fault::bad_field("content-encoding", expected, "another encoding");
        return Err(refused(&fault));
    }
    let wish = match Wish::read(&head.headers, &desk.config.cache) {
        Ok(wish) => wish,
        Err(fault) => return Err(refused(&fault)),
    };
    let forward = match &line.raw {
        Some(_) => through::forwarded(&head.headers),
        None => forwarded(&head.headers),
    };
    Ok(Admitted {
        config: desk.config.clone(),
        surface,
        line,
        id,
        at: now,
        end_user: end_user(&head.headers, caller.as_deref()),
        client_tags: client_tags(&head.headers, caller.as_deref()),
        caller,
        gauge: desk.gauge.clone(),
        strictness: strictness(&head.headers),
        forward,
        wish,
    })
}

/// The end user a request names in its head.
fn end_user(headers: &HeaderMap, caller: Option<&Caller>) -> Option<String> {
    let header = headers.get("x-tollgate-user").and_then(|value| std::str::from_utf8(value.as_bytes()).ok());
    let named = match caller {
        Some(caller) => caller.end_user(header),
        None => header,
    };
    named.map(directory::end_user).filter(|id| !id.is_empty())
}

/// Those of the tags a request names that its key lets it set. They are for attribution and carry no
/// limits; others are left out, so that nobody's spend is moved to where it does not belong.
fn client_tags(headers: &HeaderMap, caller: Option<&Caller>) -> Vec<String> {
    let Some(caller) = caller.filter(|caller| !caller.key.client_tags.is_empty()) else {
        return Vec::new();
    };
    let lines = headers.get_all("x-tollgate-tags").into_iter().filter_map(|value| value.to_str().ok());
    caller.key.client_tags(lines.flat_map(|line| line.split(',')).map(str::trim))
}

/// The answer of a host whose platform has no sessions.
pub fn sessionless(opening: &Opening, host: &str) -> Response<Bytes> {
    let message = format!("realtime sessions are not available on {host}");
    let Opening { admitted, .. } = opening;
    refusal(admitted.surface, &Fault::new(Code::Unsupported, message), admitted.id)
}

/// The answer of a host that cannot take requests now.
pub fn unready(what: &str, id: RequestId) -> Response<Bytes> {
    let fault = Fault::new(Code::StoreUnavailable, what).retry_after(Millis::from_secs(1));
    refusal(&OpenAiChat, &fault, id)
}

/// The answer where nothing is served, or not with this method, to whoever asks.
fn astray(head: &Parts, desk: &Desk<'_>, fault: &Fault, id: RequestId, now: Time) -> Admission {
    let path = head.uri.path();
    let shape = || models::shape(mount::shape(path), &head.headers, head.uri.query());
    let surface = mount::surface(path).map_or_else(|| surface::speaking(shape()), surface::of);
    let mut answer = refusal(surface, fault, id);
    if fault.code == Code::WrongMethod
        && let Ok(allow) = HeaderValue::try_from(mount::allow(path))
    {
        answer.headers_mut().insert(ALLOW, allow);
    }
    match keyring::identify(&head.headers, head.uri.query(), desk, now) {
        Presented::Caller(caller) => rated(answer, Some(&caller)),
        Presented::Nobody | Presented::Refused(_) | Presented::NeedsKeys { .. } => {
            Admission::Answered(answer)
        }
    }
}

fn list(
    desk: &Desk<'_>,
    (shape, client): (Dialect, Client),
    model: Option<&str>,
    caller: Option<&Caller>,
    id: RequestId,
) -> Admission {
    let found = match model {
        Some(model) => models::one(desk.config, caller, (shape, client), model),
        None => Ok(models::list(desk.config, caller, (shape, client))),
    };
    let answer = match found {
        Ok(body) => json(body, id),
        Err(fault) => refusal(surface::speaking(shape), &fault, id),
    };
    rated(answer, caller)
}

/// An answer without an upstream call, to be told with what is left of its caller's limits.
fn rated(answer: Response<Bytes>, caller: Option<&Caller>) -> Admission {
    match caller.map(|caller| (caller.rated(), &caller.book)) {
        Some((scopes, book)) if !scopes.is_empty() => {
            Admission::Listed(Box::new(Listed { answer, book: Arc::clone(book), scopes }))
        }
        Some(_) | None => Admission::Answered(answer),
    }
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
pub fn refusal(surface: &dyn Surface, fault: &Fault, id: RequestId) -> Response<Bytes> {
    let text = RequestIdText::new(id);
    let mut response = json(surface.fault(fault, text.as_str()), id);
    *response.status_mut() =
        StatusCode::from_u16(surface.fault_status(fault)).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let headers = response.headers_mut();
    surface.label_fault(fault, headers);
    if let (Some(name), Ok(id)) = (surface.id_header(), HeaderValue::from_str(text.as_str())) {
        headers.insert(name, id);
    }
    retry_hints(headers, fault);
    if fault.code == Code::MissingKey || fault.code == Code::InvalidKey {
        headers.insert(http::header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
    }
    response
}
