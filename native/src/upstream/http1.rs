//! One exchange on an HTTP/1.1 connection, which the call itself drives.

use super::stream::Stream;
use super::{GATHER, Gather, Outgoing, broken, caused};
use bytes::Bytes;
use http::Response;
use http_body::Body;
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::client::conn::http1::{Builder, Connection, SendRequest};
use hyper_util::rt::TokioIo;
use std::cell::Cell;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};
use tollgate_core::host::{FetchError, FetchFault, Head};

/// A connection that is found closed later than this after a request was sent had taken it: sending
/// it again would have the provider do, and bill, the same work twice.
const STALE_WITHIN: Duration = Duration::from_secs(3);

/// A connection and its two ends.
pub(super) struct Link {
    sender: SendRequest<Full<Bytes>>,
    connection: Connection<TokioIo<Stream>, Full<Bytes>>,
    received: Rc<Cell<bool>>,
    state: LinkState,
    age: Age,
    idle_since: Instant,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum LinkState {
    Open,
    Closed,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Age {
    Fresh,
    Reused,
}

impl Link {
    /// Speaks HTTP/1.1 on a stream.
    pub(super) async fn on(stream: Stream) -> Result<Box<Self>, FetchError> {
        let received = stream.received();
        let handshake = Builder::new().handshake(TokioIo::new(stream)).await;
        let (sender, connection) = handshake.map_err(|error| caused(&error))?;
        let (state, age) = (LinkState::Open, Age::Fresh);
        Ok(Box::new(Self { sender, connection, received, state, age, idle_since: Instant::now() }))
    }

    /// When it was last used.
    pub(super) fn idle_since(&self) -> Instant {
        self.idle_since
    }

    /// Whether it can take a request now. Looks at the socket, so that one the upstream has closed
    /// in the meantime is noticed.
    pub(super) fn is_ready(&mut self, cx: &mut Context<'_>) -> bool {
        self.drive(cx) == LinkState::Open && self.sender.is_ready()
    }

    fn drive(&mut self, cx: &mut Context<'_>) -> LinkState {
        // A connection that has ended must not be polled again.
        if self.state == LinkState::Open && Pin::new(&mut self.connection).poll(cx).is_ready() {
            self.state = LinkState::Closed;
        }
        self.state
    }
}

type Answering = Pin<Box<dyn Future<Output = hyper::Result<Response<Incoming>>>>>;

/// One exchange.
pub(super) struct Call {
    link: Option<Box<Link>>,
    state: State,
    spare: Option<Box<Link>>,
    late: Option<FetchError>,
}

enum State {
    Waiting { answer: Answering, reused: Option<Instant> },
    Reading(Incoming),
    Over,
}

impl Call {
    /// Puts a request on a connection that is ready for it.
    pub(super) fn send(mut link: Box<Link>, request: Outgoing) -> Self {
        link.received.set(false);
        let reused = (link.age == Age::Reused).then(Instant::now);
        let answer: Answering = Box::pin(link.sender.send_request(request));
        Self { link: Some(link), state: State::Waiting { answer, reused }, spare: None, late: None }
    }

    /// A connection that has done its work, once the body has ended well.
    pub(super) fn spare_link(&mut self) -> Option<Box<Link>> {
        self.spare.take()
    }

    pub(super) fn poll_head(&mut self, cx: &mut Context<'_>) -> Poll<Result<Head, FetchError>> {
        let (State::Waiting { answer, reused }, Some(link)) = (&mut self.state, &mut self.link) else {
            return Poll::Ready(Err(broken("polled after its end")));
        };
        let state = link.drive(cx);
        let error = match answer.as_mut().poll(cx) {
            Poll::Ready(Ok(response)) => {
                let (parts, body) = response.into_parts();
                self.state = State::Reading(body);
                return Poll::Ready(Ok(Head { status: parts.status, headers: parts.headers }));
            }
            Poll::Ready(Err(error)) => caused(&error),
            Poll::Pending if state == LinkState::Open => return Poll::Pending,
            Poll::Pending => broken("connection closed before the request was sent"),
        };
        let nothing_came = !link.received.get();
        let stale = reused.is_some_and(|sent| nothing_came && sent.elapsed() < STALE_WITHIN);
        self.link = None;
        self.state = State::Over;
        Poll::Ready(Err(if stale { FetchError { kind: FetchFault::Stale, ..error } } else { error }))
    }

    pub(super) fn poll_chunk(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, FetchError>>> {
        if let Some(error) = self.late.take() {
            return Poll::Ready(Some(Err(error)));
        }
        let (State::Reading(body), Some(link)) = (&mut self.state, &mut self.link) else {
            return Poll::Ready(None);
        };
        let mut gather = Gather::default();
        let ending = match read(body, link, &mut gather, cx) {
            Reading::Paused if gather.len() == 0 => return Poll::Pending,
            Reading::Paused => return Poll::Ready(gather.take().map(Ok)),
            Reading::Ended => None,
            Reading::Broke(error) => Some(error),
        };
        self.end(ending, cx);
        match gather.take() {
            Some(chunk) => Poll::Ready(Some(Ok(chunk))),
            None => Poll::Ready(self.late.take().map(Err)),
        }
    }

    /// The body is over: the connection is set aside for the next request if it can take one.
    fn end(&mut self, error: Option<FetchError>, cx: &mut Context<'_>) {
        self.state = State::Over;
        self.late = error;
        if let Some(mut link) = self.link.take()
            && self.late.is_none()
            && link.is_ready(cx)
        {
            link.age = Age::Reused;
            link.idle_since = Instant::now();
            self.spare = Some(link);
        }
    }
}

enum Reading {
    /// Nothing more is ready, or enough is gathered.
    Paused,
    Ended,
    Broke(FetchError),
}

/// Takes what is ready. The connection is polled whenever the body has nothing, and as long as that
/// brings something.
fn read(body: &mut Incoming, link: &mut Link, gather: &mut Gather, cx: &mut Context<'_>) -> Reading {
    let mut driven = false;
    loop {
        match Pin::new(&mut *body).poll_frame(cx) {
            Poll::Ready(Some(Ok(frame))) => {
                driven = false;
                if let Ok(data) = frame.into_data() {
                    gather.add(data);
                }
                // With a known length the end needs no further look at the socket.
                if body.is_end_stream() {
                    return Reading::Ended;
                }
                if gather.len() >= GATHER {
                    return Reading::Paused;
                }
            }
            Poll::Ready(Some(Err(error))) => return Reading::Broke(caused(&error)),
            Poll::Ready(None) => return Reading::Ended,
            Poll::Pending if driven => return Reading::Paused,
            Poll::Pending => {
                link.drive(cx);
                driven = true;
            }
        }
    }
}
