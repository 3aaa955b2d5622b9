//! Between an exchange and the body of its answer: one piece at a time, with wakers both ways.
//!
//! ```text
//!   drive ──send──▶ slot ──take──▶ body ──▶ platform ──▶ client
//!     ▲   flushed ◀──┘               │
//!     └────────── left ◀─────────────┴── dropped early, or told by the platform
//! ```
//! 1. There is one piece at most: a client that does not read slows its upstream.
//! 2. A body ends cleanly only after [`Out::End`]. If the exchange is over without one, it ends with
//!    [`Cut`], so that a client sees it is not whole.
//! 3. Nothing is settled here: whoever drops a body says that the client has left, and the drive future
//!    goes on in a task of its own.

use bytes::Bytes;
use http::Response;
use http_body::{Frame, SizeHint};
use std::cell::{Cell, RefCell};
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};
use tollgate_core::host::{Client, Out};

/// The middle of a pipe. Clones are the same pipe.
#[derive(Clone, Debug, Default)]
pub struct Pipe(Rc<Middle>);

#[derive(Debug, Default)]
struct Middle {
    out: RefCell<Option<Out>>,
    client: Cell<Presence>,
    exchange: Cell<Progress>,
    /// Of the exchange.
    writer: RefCell<Option<Waker>>,
    /// Of the answer.
    reader: RefCell<Option<Waker>>,
}

/// Whether anybody still listens.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Presence {
    #[default]
    Here,
    /// It has all it came for; what is said further goes nowhere.
    Served,
    /// It left before it had everything.
    Left,
}

/// Whether more may come.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Progress {
    #[default]
    UnderWay,
    Over,
}

/// The answer ended before it was complete.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cut;

impl std::fmt::Display for Cut {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("the answer ended before it was complete")
    }
}

impl std::error::Error for Cut {}

impl Client for Pipe {
    fn send(&self, out: Out) {
        if self.0.client.get() == Presence::Here {
            *self.0.out.borrow_mut() = Some(out);
            wake(&self.0.reader);
        }
    }

    fn poll_flushed(&self, cx: &mut Context<'_>) -> Poll<()> {
        if self.0.out.borrow().is_none() {
            return Poll::Ready(());
        }
        keep(&self.0.writer, cx);
        Poll::Pending
    }

    fn poll_left(&self, cx: &mut Context<'_>) -> Poll<()> {
        if self.0.client.get() == Presence::Left {
            return Poll::Ready(());
        }
        keep(&self.0.writer, cx);
        Poll::Pending
    }
}

impl Pipe {
    /// The client has left, unless it has been served.
    pub fn leave(&self) {
        if self.0.client.get() == Presence::Here {
            self.dismiss(Presence::Left);
        }
    }

    /// The exchange is over.
    pub fn close(&self) {
        self.0.exchange.set(Progress::Over);
        wake(&self.0.reader);
    }

    /// Waits for status and headers, and takes the answer from there.
    pub async fn answer(self) -> Result<Response<Body>, Cut> {
        let head = match std::future::poll_fn(|cx| self.poll_out(cx)).await {
            Some(Out::Head(head)) => head,
            Some(Out::Chunk(_) | Out::End) | None => return Err(Cut),
        };
        let (parts, whole) = head.into_parts();
        let body = match whole {
            Some(whole) => {
                self.dismiss(Presence::Served);
                Body::from(whole)
            }
            None => Body::Streamed(Some(Reader(self))),
        };
        Ok(Response::from_parts(parts, body))
    }

    fn dismiss(&self, client: Presence) {
        self.0.client.set(client);
        self.0.out.borrow_mut().take();
        wake(&self.0.writer);
    }

    fn poll_out(&self, cx: &mut Context<'_>) -> Poll<Option<Out>> {
        let out = self.0.out.borrow_mut().take();
        match out {
            Some(out) => {
                wake(&self.0.writer);
                Poll::Ready(Some(out))
            }
            None if self.0.exchange.get() == Progress::Over => Poll::Ready(None),
            None => {
                keep(&self.0.reader, cx);
                Poll::Pending
            }
        }
    }
}

fn keep(place: &RefCell<Option<Waker>>, cx: &Context<'_>) {
    let mut place = place.borrow_mut();
    match &mut *place {
        Some(waker) => waker.clone_from(cx.waker()),
        None => *place = Some(cx.waker().clone()),
    }
}

fn wake(place: &RefCell<Option<Waker>>) {
    // Let go of before waking: a waker may poll at once.
    let waker = place.borrow_mut().take();
    if let Some(waker) = waker {
        waker.wake();
    }
}

/// The end of a pipe from which the client reads. Dropped early, it says that the client has left.
#[derive(Debug)]
pub struct Reader(Pipe);

impl Drop for Reader {
    fn drop(&mut self) {
        self.0.leave();
    }
}

/// The body of an answer.
#[derive(Debug)]
pub enum Body {
    /// All of it is known.
    Whole(Option<Bytes>),
    /// It comes as the upstream sends it.
    Streamed(Option<Reader>),
}

impl From<Bytes> for Body {
    fn from(body: Bytes) -> Self {
        Self::Whole((!body.is_empty()).then_some(body))
    }
}

impl Body {
    /// Waits for the next piece; `None` at the clean end, once.
    pub fn poll_piece(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, Cut>>> {
        match self {
            Self::Whole(body) => Poll::Ready(body.take().map(Ok)),
            Self::Streamed(place) => {
                let Some(Reader(pipe)) = place else { return Poll::Ready(None) };
                match std::task::ready!(pipe.poll_out(cx)) {
                    Some(Out::Chunk(chunk)) => Poll::Ready(Some(Ok(chunk))),
                    Some(Out::End) => {
                        pipe.dismiss(Presence::Served);
                        *place = None;
                        Poll::Ready(None)
                    }
                    Some(Out::Head(_)) | None => {
                        *place = None;
                        Poll::Ready(Some(Err(Cut)))
                    }
                }
            }
        }
    }
}

impl http_body::Body for Body {
    type Data = Bytes;
    type Error = Cut;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Cut>>> {
        self.poll_piece(cx).map(|piece| piece.map(|piece| piece.map(Frame::data)))
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Whole(body) => body.is_none(),
            Self::Streamed(reader) => reader.is_none(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Whole(body) => SizeHint::with_exact(body.as_ref().map_or(0, |body| body.len() as u64)),
            Self::Streamed(_) => SizeHint::default(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{Flag, ready};

    fn head() -> Out {
        Out::Head(Response::new(None))
    }

    fn chunk(text: &'static str) -> Out {
        Out::Chunk(Bytes::from_static(text.as_bytes()))
    }

    fn streamed(pipe: &Pipe) -> Body {
        pipe.send(head());
        ready(pipe.clone().answer()).unwrap().into_body()
    }

    fn next(body: &mut Body) -> Poll<Option<Result<Bytes, Cut>>> {
        body.poll_piece(&mut Context::from_waker(Waker::noop()))
    }

    #[test]
    fn one_piece_waits_and_its_being_taken_wakes_the_exchange() {
        let pipe = Pipe::default();
        let mut body = streamed(&pipe);
        let flag = Flag::default();
        let waker = flag.waker();
        let cx = &mut Context::from_waker(&waker);
        assert!(pipe.poll_flushed(cx).is_ready());
        pipe.send(chunk("a"));
        assert!(pipe.poll_flushed(cx).is_pending() && !flag.is_up());
        assert_eq!(next(&mut body), Poll::Ready(Some(Ok(Bytes::from_static(b"a")))));
        assert!(flag.is_up());
        assert!(pipe.poll_flushed(cx).is_ready());
    }

    #[test]
    fn a_piece_wakes_whoever_waits_for_it() {
        let pipe = Pipe::default();
        let mut body = streamed(&pipe);
        let flag = Flag::default();
        assert!(body.poll_piece(&mut Context::from_waker(&flag.waker())).is_pending());
        pipe.send(chunk("a"));
        assert!(flag.is_up());
    }

    #[test]
    fn an_answer_ends_cleanly_only_with_its_end() {
        let pipe = Pipe::default();
        let mut body = streamed(&pipe);
        pipe.send(Out::End);
        assert_eq!(next(&mut body), Poll::Ready(None));
        assert!(pipe.poll_left(&mut Context::from_waker(Waker::noop())).is_pending(), "it was served");

        let pipe = Pipe::default();
        let mut body = streamed(&pipe);
        pipe.send(chunk("a"));
        pipe.close();
        assert!(matches!(next(&mut body), Poll::Ready(Some(Ok(_)))));
        assert_eq!(next(&mut body), Poll::Ready(Some(Err(Cut))));
    }

    #[test]
    fn an_exchange_that_ends_without_a_head_is_no_answer() {
        let pipe = Pipe::default();
        pipe.close();
        assert_eq!(ready(pipe.answer()).unwrap_err(), Cut);
    }

    #[test]
    fn a_body_that_is_dropped_says_that_the_client_has_left() {
        let pipe = Pipe::default();
        let body = streamed(&pipe);
        let flag = Flag::default();
        assert!(pipe.poll_left(&mut Context::from_waker(&flag.waker())).is_pending());
        pipe.send(chunk("a"));
        drop(body);
        assert!(flag.is_up());
        let cx = &mut Context::from_waker(Waker::noop());
        assert!(pipe.poll_left(cx).is_ready() && pipe.poll_flushed(cx).is_ready());
        pipe.send(chunk("b"));
        assert!(pipe.poll_flushed(cx).is_ready(), "nobody takes it, so nobody waits for that");
    }

    #[test]
    fn a_whole_answer_has_its_length_and_no_client_that_leaves() {
        let pipe = Pipe::default();
        pipe.send(Out::Head(Response::new(Some(Bytes::from_static(b"{}")))));
        let mut body = ready(pipe.clone().answer()).unwrap().into_body();
        assert_eq!(http_body::Body::size_hint(&body).exact(), Some(2));
        assert_eq!(next(&mut body), Poll::Ready(Some(Ok(Bytes::from_static(b"{}")))));
        drop(body);
        pipe.leave();
        assert!(pipe.poll_left(&mut Context::from_waker(Waker::noop())).is_pending());
    }
}
