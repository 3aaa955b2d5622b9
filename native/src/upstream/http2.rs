//! Exchanges on a shared HTTP/2 connection. A task drives it; calls are its streams.

use super::stream::Stream;
use super::{GATHER, Gather, Outgoing, caused};
use bytes::Bytes;
use http::Response;
use http_body::Body;
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::client::conn::http2::{Builder, SendRequest};
use hyper_util::rt::{TokioIo, TokioTimer};
use std::cell::Cell;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};
use std::time::Duration;
use tollgate_core::host::{FetchError, Head};

/// No more streams than this on one connection, whatever the upstream allows: answers of language
/// models last long, and they share one flow of TCP.
const MAX_STREAMS: usize = 100;

/// A connection that many calls share.
#[derive(Clone)]
pub(super) struct Shared {
    sender: SendRequest<Full<Bytes>>,
    streams: Rc<Cell<usize>>,
    limit: Rc<Cell<usize>>,
}

/// Runs hyper's tasks on this thread.
#[derive(Clone, Copy, Debug)]
pub struct Local;

impl<F> hyper::rt::Executor<F> for Local
where
    F: Future + 'static,
    F::Output: 'static,
{
    fn execute(&self, task: F) {
        tokio::task::spawn_local(task);
    }
}

impl Shared {
    /// Speaks HTTP/2 on a stream.
    pub(super) async fn on(stream: Stream) -> Result<Self, FetchError> {
        let handshake = Builder::new(Local)
            .timer(TokioTimer::new())
            .keep_alive_interval(Duration::from_secs(20))
            .keep_alive_timeout(Duration::from_secs(20))
            .initial_stream_window_size(1 << 20)
            .initial_connection_window_size(8 << 20)
            .handshake(TokioIo::new(stream))
            .await;
        let (sender, mut connection) = handshake.map_err(|error| caused(&error))?;
        let limit = Rc::new(Cell::new(MAX_STREAMS));
        let told = Rc::clone(&limit);
        tokio::task::spawn_local(std::future::poll_fn(move |cx| {
            let ended = Pin::new(&mut connection).poll(cx);
            told.set(connection.current_max_send_streams().clamp(1, MAX_STREAMS));
            ended
        }));
        Ok(Self { sender, streams: Rc::default(), limit })
    }

    /// Whether it can take another stream.
    pub(super) fn has_room(&self) -> bool {
        self.is_open() && self.streams.get() < self.limit.get()
    }

    /// Whether the upstream has neither closed it nor asked to.
    pub(super) fn is_open(&self) -> bool {
        !self.sender.is_closed()
    }
}

/// Counts as a stream until it is dropped.
struct Seat(Rc<Cell<usize>>);

impl Seat {
    fn on(connection: &Shared) -> Self {
        connection.streams.set(connection.streams.get() + 1);
        Self(Rc::clone(&connection.streams))
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        self.0.set(self.0.get().saturating_sub(1));
    }
}

type Answering = Pin<Box<dyn Future<Output = hyper::Result<Response<Incoming>>>>>;

/// One stream. Dropping it resets it.
pub(super) struct Call {
    state: State,
    late: Option<FetchError>,
    _seat: Seat,
}

enum State {
    Waiting(Answering),
    Reading(Incoming),
    Over,
}

impl Call {
    /// Opens a stream.
    pub(super) fn send(mut connection: Shared, mut request: Outgoing) -> Self {
        let seat = Seat::on(&connection);
        // The authority of the URI says it; HTTP/2 wants it once.
        request.headers_mut().remove(http::header::HOST);
        let answer: Answering = Box::pin(connection.sender.send_request(request));
        Self { state: State::Waiting(answer), late: None, _seat: seat }
    }

    pub(super) fn poll_head(&mut self, cx: &mut Context<'_>) -> Poll<Result<Head, FetchError>> {
        let State::Waiting(answer) = &mut self.state else {
            return Poll::Ready(Err(super::broken("polled after its end")));
        };
        let answer = ready!(answer.as_mut().poll(cx));
        Poll::Ready(match answer {
            Ok(response) => {
                let (parts, body) = response.into_parts();
                self.state = State::Reading(body);
                Ok(Head { status: parts.status, headers: parts.headers })
            }
            Err(error) => {
                self.state = State::Over;
                Err(caused(&error))
            }
        })
    }

    pub(super) fn poll_chunk(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, FetchError>>> {
        if let Some(error) = self.late.take() {
            return Poll::Ready(Some(Err(error)));
        }
        let mut gather = Gather::default();
        while let State::Reading(body) = &mut self.state {
            match Pin::new(body).poll_frame(cx) {
                Poll::Pending if gather.len() == 0 => return Poll::Pending,
                Poll::Pending => break,
                Poll::Ready(Some(Ok(frame))) => {
                    if let Ok(data) = frame.into_data() {
                        gather.add(data);
                    }
                    if gather.len() >= GATHER {
                        break;
                    }
                }
                Poll::Ready(Some(Err(error))) => {
                    self.state = State::Over;
                    self.late = Some(caused(&error));
                }
                Poll::Ready(None) => self.state = State::Over,
            }
        }
        match gather.take() {
            Some(chunk) => Poll::Ready(Some(Ok(chunk))),
            None => Poll::Ready(self.late.take().map(Err)),
        }
    }
}
