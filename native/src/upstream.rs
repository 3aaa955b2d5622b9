//! Calls to upstreams over this worker's own connections.
//!
//! ```text
//!   Lending ──a key is lent──▶ New
//!   New ──idle connection──▶ Http1 ──head──▶ body ──end──▶ back to the pool
//!    │                         └ stale, no byte came back: core asks again
//!    └──none──▶ Dialing ──▶ Http1
//!                  └──h2──▶ Http2 ──head──▶ body
//! ```
//! 1. An HTTP/1.1 connection is driven by the call that uses it: no task, no channel to one.
//! 2. Dropping a call before its end closes its connection or resets its stream.
//! 3. A failure is called stale, so that core sends the request again, only if its connection had
//!    served another before and closed without a byte of an answer.

pub mod alone; // for a WebSocket
pub mod connect;
mod http1;
mod http2;
pub mod pool;
mod proxy;
mod stream;
pub mod tls;

pub use http2::Local;
pub use stream::Stream;

use crate::clock;
use bytes::Bytes;
use http::{Request, header};
use http_body_util::Full;
use pool::Origin;
use std::error::Error;
use std::fmt::Write;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};
use tollgate_core::host::{Fetch, FetchError, FetchFault, Head, Reuse, Upstream};
use tollgate_core::source::Lent;

/// A request as hyper sends it.
type Outgoing = Request<Full<Bytes>>;

/// Chunks that are ready together are handed over together up to this size.
const GATHER: usize = 64 * 1024;

/// The key that a call waits for.
pub(crate) type Lend = Pin<Box<dyn Future<Output = Result<Lent, String>>>>;

type Dial = Pin<Box<dyn Future<Output = Result<connect::Dialed, FetchError>>>>;

/// One call.
pub struct Call {
    origin: Rc<Origin>,
    state: State,
}

enum State {
    Lending { lend: Lend, fetch: Fetch },
    New { request: Outgoing, reuse: Reuse },
    Dialing { dial: Dial, request: Outgoing },
    Http1(http1::Call),
    Http2(http2::Call),
    Failed(FetchError),
    Over,
}

impl Call {
    /// A call that starts with its first poll.
    pub fn new(pool: &pool::Pool, fetch: Fetch) -> Self {
        match pool.origin(&fetch.uri) {
            Ok(origin) => {
                let state = ready_to_go(&origin, fetch);
                Self { origin, state }
            }
            Err(error) => Self { origin: pool.nowhere(), state: State::Failed(error) },
        }
    }

    /// The same, with a key that is yet to come.
    pub(crate) fn lending(pool: &pool::Pool, fetch: Fetch, lend: Lend) -> Self {
        match pool.origin(&fetch.uri) {
            Ok(origin) => Self { origin, state: State::Lending { lend, fetch } },
            Err(error) => Self { origin: pool.nowhere(), state: State::Failed(error) },
        }
    }

    fn start(&mut self, request: Outgoing, reuse: Reuse, cx: &mut Context<'_>) -> State {
        if let Some(connection) = self.origin.multiplexed() {
            return State::Http2(http2::Call::send(connection, request));
        }
        if reuse == Reuse::Allowed
            && let Some(link) = self.origin.idle(cx)
        {
            return State::Http1(http1::Call::send(link, self.origin.on_the_wire(request)));
        }
        self.dial(request)
    }

    fn dial(&self, request: Outgoing) -> State {
        State::Dialing { dial: Box::pin(connect::dial(Rc::clone(&self.origin))), request }
    }

    fn dialed(&self, dialed: connect::Dialed, request: Outgoing) -> State {
        match dialed {
            connect::Dialed::Http1(link) => {
                State::Http1(http1::Call::send(link, self.origin.on_the_wire(request)))
            }
            connect::Dialed::Http2(connection) => State::Http2(http2::Call::send(connection, request)),
        }
    }

    fn fail(&mut self, error: FetchError) -> FetchError {
        self.state = State::Over;
        FetchError { what: format!("{}: {}", self.origin.name(), error.what), ..error }
    }
}

fn ready_to_go(origin: &Origin, fetch: Fetch) -> State {
    let Fetch { method, uri, mut headers, body, reuse, signing: _ } = fetch;
    headers.insert(header::HOST, origin.host_header());
    if let Some(authorization) = origin.proxy_authorization() {
        headers.insert(header::PROXY_AUTHORIZATION, authorization);
    }
    let mut request = Request::new(Full::new(body));
    *request.method_mut() = method;
    *request.uri_mut() = uri;
    *request.headers_mut() = headers;
    State::New { request, reuse }
}

impl Upstream for Call {
    fn poll_head(&mut self, cx: &mut Context<'_>) -> Poll<Result<Head, FetchError>> {
        loop {
            match std::mem::replace(&mut self.state, State::Over) {
                State::Lending { mut lend, fetch } => match lend.as_mut().poll(cx) {
                    Poll::Pending => {
                        self.state = State::Lending { lend, fetch };
                        return Poll::Pending;
                    }
                    Poll::Ready(Ok(lent)) => {
                        self.state = ready_to_go(&self.origin, fetch.lent(&lent, clock::wall()));
                    }
                    Poll::Ready(Err(why)) => return Poll::Ready(Err(self.fail(broken(why)))),
                },
                State::New { request, reuse } => self.state = self.start(request, reuse, cx),
                State::Dialing { mut dial, request } => match dial.as_mut().poll(cx) {
                    Poll::Pending => {
                        self.state = State::Dialing { dial, request };
                        return Poll::Pending;
                    }
                    Poll::Ready(Ok(dialed)) => self.state = self.dialed(dialed, request),
                    Poll::Ready(Err(error)) => return Poll::Ready(Err(self.fail(error))),
                },
                State::Http1(mut call) => match call.poll_head(cx) {
                    Poll::Pending => {
                        self.state = State::Http1(call);
                        return Poll::Pending;
                    }
                    Poll::Ready(Ok(head)) => {
                        self.state = State::Http1(call);
                        return Poll::Ready(Ok(head));
                    }
                    Poll::Ready(Err(error)) => return Poll::Ready(Err(self.fail(error))),
                },
                State::Http2(mut call) => {
                    let head = call.poll_head(cx);
                    self.state = State::Http2(call);
                    return Poll::Ready(match ready!(head) {
                        Ok(head) => Ok(head),
                        Err(error) => Err(self.fail(error)),
                    });
                }
                State::Failed(error) => return Poll::Ready(Err(error)),
                State::Over => return Poll::Ready(Err(broken("polled after its end"))),
            }
        }
    }

    fn poll_chunk(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, FetchError>>> {
        let chunk = match &mut self.state {
            State::Http1(call) => ready!(call.poll_chunk(cx)),
            State::Http2(call) => ready!(call.poll_chunk(cx)),
            State::Lending { .. }
            | State::New { .. }
            | State::Dialing { .. }
            | State::Failed(_)
            | State::Over => None,
        };
        if let State::Http1(call) = &mut self.state
            && let Some(link) = call.spare_link()
        {
            self.origin.keep(link);
        }
        Poll::Ready(match chunk {
            Some(Ok(chunk)) => Some(Ok(chunk)),
            Some(Err(error)) => Some(Err(self.fail(error))),
            None => {
                self.state = State::Over;
                None
            }
        })
    }
}

/// An error in our own words.
fn broken(what: impl Into<String>) -> FetchError {
    FetchError { kind: FetchFault::Failed, what: what.into() }
}

/// An error in a library's words, its causes included. None of them quotes a URL or a header.
fn caused(error: &dyn Error) -> FetchError {
    let mut what = error.to_string();
    let mut cause = error.source();
    while let Some(inner) = cause {
        // Writing to a string does not fail.
        let _ = write!(what, ": {inner}");
        cause = inner.source();
    }
    FetchError { kind: FetchFault::Failed, what }
}

/// Joins pieces that were ready together; a single one is not copied.
#[derive(Default)]
struct Gather {
    first: Bytes,
    joined: bytes::BytesMut,
}

impl Gather {
    fn len(&self) -> usize {
        self.first.len().max(self.joined.len())
    }

    fn add(&mut self, piece: Bytes) {
        if self.joined.is_empty() {
            if self.first.is_empty() {
                self.first = piece;
                return;
            }
            self.joined.reserve((self.first.len() + piece.len()).next_power_of_two());
            self.joined.extend_from_slice(&self.first);
        }
        self.joined.extend_from_slice(&piece);
    }

    /// What has been gathered, if anything.
    fn take(&mut self) -> Option<Bytes> {
        let first = std::mem::take(&mut self.first);
        let all = if self.joined.is_empty() { first } else { self.joined.split().freeze() };
        (!all.is_empty()).then_some(all)
    }
}
