//! A request in flight: the drive future, polled by whoever waits for its answer.
//!
//! ```text
//!   service future ──polls──▶ drive ──Out──▶ slot ──▶ head            no channel, no task
//!   response body  ──polls──▶ drive ──Out──▶ slot ──▶ chunks, end
//!   dropped early  ──spawns─▶ drive, with the slot saying "left"      settles, cancels upstream
//! ```
//! 1. The drive future is never dropped before it is ready.
//! 2. An answer that ends without `Out::End` is cut, so that a client sees it is not whole.

use bytes::Bytes;
use http::Response;
use http_body::{Body, Frame, SizeHint};
use std::cell::{Cell, RefCell};
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};
use tollgate_core::host::{Client, Out};

/// Where the drive future leaves its pieces and looks whether the client is still there.
#[derive(Debug, Default)]
pub struct Slot {
    out: RefCell<Option<Out>>,
    client: Cell<Presence>,
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

impl Slot {
    fn dismiss(&self, client: Presence) {
        self.client.set(client);
        *self.out.borrow_mut() = None;
    }
}

impl Client for Slot {
    fn send(&self, out: Out) {
        if self.client.get() == Presence::Here {
            *self.out.borrow_mut() = Some(out);
        }
    }

    // No waker is kept: the slot is emptied and the client leaves only in the hands of a flight, and
    // a flight polls the drive future itself afterwards.
    fn poll_flushed(&self, _: &mut Context<'_>) -> Poll<()> {
        if self.out.borrow().is_none() { Poll::Ready(()) } else { Poll::Pending }
    }

    fn poll_left(&self, _: &mut Context<'_>) -> Poll<()> {
        if self.client.get() == Presence::Left { Poll::Ready(()) } else { Poll::Pending }
    }
}

/// How many flights of a worker have not ended.
#[derive(Clone, Debug, Default)]
pub struct Aloft(Rc<Cell<usize>>);

impl Aloft {
    /// How many there are.
    pub fn count(&self) -> usize {
        self.0.get()
    }

    /// Counts one more, until the ticket is dropped.
    pub fn enter(&self) -> Ticket {
        self.0.set(self.0.get() + 1);
        Ticket(Rc::clone(&self.0))
    }
}

/// Counts as one flight until it is dropped.
#[derive(Debug)]
pub struct Ticket(Rc<Cell<usize>>);

impl Drop for Ticket {
    fn drop(&mut self) {
        self.0.set(self.0.get().saturating_sub(1));
    }
}

type Run = Pin<Box<dyn Future<Output = ()>>>;

/// A drive future and what it has to say. Must be dropped on a thread whose tokio runtime takes
/// local tasks.
pub struct Flight {
    run: Option<Run>,
    slot: Rc<Slot>,
    ticket: Option<Ticket>,
}

/// The answer ended before it was complete.
#[derive(Debug)]
pub struct Cut;

impl std::fmt::Display for Cut {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("the answer ended before it was complete")
    }
}

impl std::error::Error for Cut {}

impl Flight {
    /// Takes off: `drive` gets the slot to speak through. One allocation for the future.
    pub fn new<F>(aloft: &Aloft, drive: impl FnOnce(Rc<Slot>) -> F) -> Self
    where
        F: Future<Output = ()> + 'static,
    {
        let slot = Rc::new(Slot::default());
        Self { run: Some(Box::pin(drive(Rc::clone(&slot)))), slot, ticket: Some(aloft.enter()) }
    }

    /// Waits for status and headers. `Err` if there are none.
    pub fn poll_head(&mut self, cx: &mut Context<'_>) -> Poll<Result<Response<Option<Bytes>>, Cut>> {
        match self.poll_out(cx) {
            Poll::Pending => Poll::Pending,
            Poll::Ready(Some(Out::Head(head))) => Poll::Ready(Ok(head)),
            Poll::Ready(Some(Out::Chunk(_) | Out::End) | None) => Poll::Ready(Err(Cut)),
        }
    }

    /// Runs what is left, the settlement most often, without an audience. What is not over at once
    /// goes on as a task of its own.
    pub fn land(mut self, cx: &mut Context<'_>) {
        self.slot.dismiss(Presence::Served);
        self.poll_run(cx);
        self.go_on();
    }

    fn poll_out(&mut self, cx: &mut Context<'_>) -> Poll<Option<Out>> {
        self.poll_run(cx);
        match self.slot.out.borrow_mut().take() {
            Some(out) => Poll::Ready(Some(out)),
            None if self.run.is_none() => Poll::Ready(None),
            None => Poll::Pending,
        }
    }

    fn poll_run(&mut self, cx: &mut Context<'_>) {
        // Taken out for the time of the poll: a future that panics is not polled again.
        if let Some(mut run) = self.run.take() {
            match run.as_mut().poll(cx) {
                Poll::Pending => self.run = Some(run),
                Poll::Ready(()) => self.ticket = None,
            }
        }
    }

    fn go_on(&mut self) {
        if let Some(run) = self.run.take() {
            let ticket = self.ticket.take();
            tokio::task::spawn_local(async move {
                run.await;
                drop(ticket);
            });
        }
    }
}

impl Drop for Flight {
    fn drop(&mut self) {
        if self.run.is_some() {
            self.slot.dismiss(Presence::Left);
            self.go_on();
        }
    }
}

/// The body of an answer.
pub enum Answer {
    /// All of it is known.
    Whole(Option<Bytes>),
    /// It comes as the upstream sends it.
    Streamed(Option<Flight>),
}

impl Answer {
    /// Waits for a flight's head and decides how its body is sent.
    pub async fn of(flight: Flight) -> Result<Response<Self>, Cut> {
        let mut flight = Some(flight);
        std::future::poll_fn(move |cx| {
            let Some(waiting) = &mut flight else { return Poll::Ready(Err(Cut)) };
            let head = std::task::ready!(waiting.poll_head(cx))?;
            let (parts, whole) = head.into_parts();
            let body = match (whole, flight.take()) {
                (Some(whole), Some(flight)) => {
                    flight.land(cx);
                    Self::Whole(Some(whole))
                }
                (None, flight) => Self::Streamed(flight),
                (Some(whole), None) => Self::Whole(Some(whole)),
            };
            Poll::Ready(Ok(Response::from_parts(parts, body)))
        })
        .await
    }
}

impl From<Bytes> for Answer {
    fn from(body: Bytes) -> Self {
        Self::Whole((!body.is_empty()).then_some(body))
    }
}

impl Body for Answer {
    type Data = Bytes;
    type Error = Cut;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        match &mut *self {
            Self::Whole(body) => Poll::Ready(body.take().map(|body| Ok(Frame::data(body)))),
            Self::Streamed(place) => {
                let Some(flight) = place else { return Poll::Ready(None) };
                match std::task::ready!(flight.poll_out(cx)) {
                    Some(Out::Chunk(chunk)) => Poll::Ready(Some(Ok(Frame::data(chunk)))),
                    Some(Out::End) => {
                        if let Some(flight) = place.take() {
                            flight.land(cx);
                        }
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

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Whole(body) => body.is_none(),
            Self::Streamed(flight) => flight.is_none(),
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
mod tests;
