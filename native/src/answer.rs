//! From a request to its answer.

use crate::api;
use crate::aside::aside;
use crate::body::{self, Rest};
use crate::contain::{Panicked, contained};
use crate::flight::{Answer, Flight};
use crate::gauges;
use crate::host::{Native, held};
use crate::jwks::{self, Asked};
use crate::session::{self, Gate};
use crate::transcript::{self, Keep, Prepared, Scribe};
use bytes::Bytes;
use http::request::Parts;
use http::{HeaderValue, Method, Request, Response, StatusCode, Version, header};
use http_body::Body;
use hyper::body::Incoming;
use std::convert::Infallible;
use std::net::IpAddr;
use std::rc::Rc;
use std::sync::Arc;
use tollgate_core::admit::{Admission, Desk, admit, sessionless, unready};
use tollgate_core::api::Principal;
use tollgate_core::config::Config;
use tollgate_core::cors::Page;
use tollgate_core::drive::drive;
use tollgate_core::exchange::Exchange;
use tollgate_core::host::Host;

/// Answers a request, whatever it is and whatever happens. A connection that can be upgraded has a gate.
pub async fn answer(
    host: Rc<Native>,
    request: Request<Incoming>,
    peer: Option<IpAddr>,
    gate: Option<Gate>,
) -> Result<Response<Answer>, Infallible> {
    Ok(contained(respond(host, request, peer, gate)).await.unwrap_or_else(|Panicked| speechless()))
}

async fn respond(
    host: Rc<Native>,
    request: Request<Incoming>,
    peer: Option<IpAddr>,
    gate: Option<Gate>,
) -> Response<Answer> {
    let config = host.shared.config.load_full();
    let origins = &config.server.cors_origins;
    if origins.is_empty() {
        return serve(host, request, config, peer, gate).await;
    }
    let Some(page) = Page::of(request.headers(), origins) else {
        return serve(host, request, config, peer, gate).await;
    };
    if let Some(answer) = page.preflight(request.method(), request.headers()) {
        return answer.map(Answer::from);
    }
    let mut answer = serve(host, request, config, peer, gate).await;
    page.mark(answer.headers_mut());
    answer
}

/// What says that requests can be taken.
const READY: &[u8] = b"{\"status\":\"ok\"}";

async fn serve(
    host: Rc<Native>,
    request: Request<Incoming>,
    config: Arc<Config>,
    peer: Option<IpAddr>,
    gate: Option<Gate>,
) -> Response<Answer> {
    let (mut head, mut body) = request.into_parts();
    let line = Line::of(&head);
    // The server leaves out the body of an answer to HEAD by itself.
    if head.method == Method::HEAD {
        head.method = Method::GET;
    }
    let asked = host.now();
    let mut admission = knock(&host, &head, &config, peer);
    if let Admission::NeedsKeys(needs) = &admission
        && jwks::ask(&host, &config, &needs.issuer, asked).await == Asked::Again
    {
        admission = knock(&host, &head, &config, peer);
    }
    let issuers = &host.shared.issuers;
    let admitted = match admission {
        Admission::Answered(answer) => return early(answer, body, line).await,
        Admission::Listed(listed) => {
            let reports = host.shared.ledger.reports(&listed.book, &listed.scopes, asked).await;
            return early(listed.told(&reports), body, line).await;
        }
        Admission::Ready(answer) => return ready(&host, answer),
        Admission::NeedsKeys(needs) => return early(needs.otherwise, body, line).await,
        Admission::Transcript(wanted) => {
            let answer = transcript::answer(&host, wanted).await;
            return early(answer, body, line).await;
        }
        Admission::Metrics(answer) => return metrics(&host, answer),
        Admission::Admin(knock) => {
            if let Principal::Key(caller) = &knock.principal {
                issuers.used(Some(caller), asked);
            }
            let answer = api::answer(&host.shared, knock, &mut body).await;
            return early(answer, body, line).await;
        }
        Admission::Session(opening) => {
            issuers.used(opening.admitted.caller.as_deref(), asked);
            let Some(gate) = gate else {
                return sessionless(&opening, "HTTP/2").map(Answer::from);
            };
            held(&host.shared.metrics).began();
            return session::answer(host, *opening, &head.headers, gate).await.unwrap_or_else(speechless);
        }
        Admission::Wanted(admitted) => admitted,
    };
    issuers.used(admitted.caller.as_deref(), asked);
    drop(head);
    let whole = body::read(&mut body, config.server.max_body).await;
    held(&host.shared.metrics).began();
    let now = host.now();
    let whole = match whole {
        Ok(whole) => whole,
        Err(fault) => {
            let answer = flown(host, Exchange::unread(admitted, fault, now), None).await;
            return early(answer, body, line).await;
        }
    };
    drop(body);
    let prepared = match config.store.responses {
        None => Ok(Prepared { body: whole, keep: None }),
        Some(_) => Box::pin(transcript::prepare(&host, &admitted, whole)).await,
    };
    let Prepared { body: whole, keep } = match prepared {
        Ok(prepared) => prepared,
        Err(fault) => return flown(host, Exchange::unread(admitted, fault, now), None).await,
    };
    let size = whole.len();
    let exchange = aside(size, move || Exchange::new(admitted, whole, now)).await;
    flown(host, exchange, keep).await
}

/// The answer of an exchange, which goes on by itself if nobody waits for it any more.
async fn flown(host: Rc<Native>, exchange: Box<Exchange>, keep: Option<Keep>) -> Response<Answer> {
    let aloft = host.aloft.clone();
    let flight = match keep {
        None => Flight::new(&aloft, |slot| async move { drive(exchange, &*host, &*slot).await }),
        Some(keep) => Flight::new(&aloft, |slot| async move {
            drive(exchange, &*host, &Scribe::new(&slot, &host, keep)).await;
        }),
    };
    match Answer::of(flight).await {
        Ok(answer) => answer,
        Err(_) => speechless(),
    }
}

/// An answer that may come before all of the request. The connection cannot be read past what is left
/// of it, so the answer says that it is the last one there: a client that sent another request would
/// find the connection closed, and not know why.
async fn early<T: Into<Answer>>(mut answer: Response<T>, body: Incoming, line: Line) -> Response<Answer> {
    let rest = match line {
        Line::Http2 => Rest::None,
        // It is not told to go on.
        Line::Waiting if !body.is_end_stream() => Rest::Left,
        Line::Waiting | Line::Http1 => body::skip(body).await,
    };
    if rest == Rest::Left {
        answer.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
    }
    answer.map(T::into)
}

/// How what is left of a request comes.
#[derive(Clone, Copy, Debug)]
enum Line {
    /// In a stream of its own.
    Http2,
    /// Before the next request.
    Http1,
    /// Likewise, once the client is told to go on.
    Waiting,
}

impl Line {
    fn of(head: &Parts) -> Self {
        match head.version {
            Version::HTTP_2 => Self::Http2,
            _ if head.headers.contains_key(header::EXPECT) => Self::Waiting,
            _ => Self::Http1,
        }
    }
}

/// Decides on a request by its head, as things are now.
fn knock(host: &Native, head: &Parts, config: &Arc<Config>, peer: Option<IpAddr>) -> Admission {
    let shared = &host.shared;
    let directory = shared.directory();
    let desk = Desk { config, directory: &directory, gauge: &shared.gauge, peer };
    admit(head, &desk, host.random.request_id(), host.now())
}

/// Whether calls can be taken as they are meant to be.
fn ready(host: &Native, head: Response<()>) -> Response<Answer> {
    if host.shared.is_ready() {
        return head.map(|()| Answer::from(Bytes::from_static(READY)));
    }
    unready("a store that is needed cannot be reached", host.random.request_id()).map(Answer::from)
}

/// What the process has counted.
fn metrics(host: &Native, head: Response<()>) -> Response<Answer> {
    let text = held(&host.shared.metrics).render() + &gauges::render(&host.shared);
    let mut answer = head.map(|()| Answer::from(Bytes::from(text)));
    let form = HeaderValue::from_static("text/plain; version=0.0.4");
    answer.headers_mut().insert(header::CONTENT_TYPE, form);
    answer
}

/// An exchange ended without an answer: a defect of ours.
fn speechless() -> Response<Answer> {
    tracing::error!("an exchange ended without an answer");
    let text =
        r#"{"error":{"message":"the gateway has no answer","type":"api_error","code":"internal_error"}}"#;
    let mut answer = Response::new(Answer::from(Bytes::from_static(text.as_bytes())));
    *answer.status_mut() = StatusCode::INTERNAL_SERVER_ERROR;
    answer.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    answer
}
