//! The one piece of async code in core: performs an exchange's steps and feeds it what happens.
//!
//! No `if` here knows what a language model is. The driver waits for one of four things: the
//! upstream, the client's leaving, the client's having taken the last piece, and the time the
//! exchange wants to be woken at. While a piece has not been taken the upstream is not read, so a slow
//! client slows its upstream and memory stays bounded.

pub mod session; // for sessions

use crate::cache::Recall;
use crate::exchange::{Ended, Exchange, Input, Step};
use crate::fleet::Fleet;
use crate::host::{Client, Host, Passed, Timer, Upstream};
use crate::media::MEDIA_PATIENCE;
use crate::units::Time;
use std::future::poll_fn;
use std::pin::Pin;
use std::task::{Context, Poll};

/// Runs an exchange to its end. The future must not be dropped before it is ready: when the client
/// leaves, tell it through [`Client::poll_left`] and go on polling, so that the upstream is cancelled
/// and the hold settled. The answer is complete if and only if `Out::End`, or a head with a body, was
/// sent; otherwise the connection to the client is to be broken.
pub async fn drive<H: Host, C: Client>(mut exchange: Box<Exchange>, host: &H, client: &C) {
    let mut wires = Wires { upstream: Stage::Idle, timer: host.timer(), room: Room::Free, passed: None };
    while !exchange.is_done() {
        match exchange.next_step() {
            Some(Step::Choose) => exchange = choose(exchange, &mut wires, host, client).await,
            Some(step) => perform(step, &mut exchange, &mut wires, host, client).await,
            None => {
                if let (true, Stage::Body(upstream)) = (H::Upstream::PASSES, &mut wires.upstream) {
                    upstream.allow(exchange.leave());
                }
                let input = poll_fn(|cx| wires.poll_input(cx, &exchange, client)).await;
                wires.tell(&mut exchange, input, host);
            }
        }
    }
}

/// What an exchange is connected to.
struct Wires<H: Host> {
    upstream: Stage<H::Upstream>,
    timer: H::Timer,
    /// Whether the last piece could be given to the client.
    room: Room,
    /// What the upstream let pass before it came to its end.
    passed: Option<Passed>,
}

/// How far an upstream call has come.
enum Stage<U> {
    Idle,
    Head(U),
    Body(U),
}

/// Handed over to the host and back, since a large request takes long to be written for its upstream.
async fn choose<H: Host, C: Client>(
    mut exchange: Box<Exchange>,
    wires: &mut Wires<H>,
    host: &H,
    client: &C,
) -> Box<Exchange> {
    let (now, random) = (host.now(), host.random());
    let choice = host.with_fleet(|fleet| fleet.choose(&exchange.query(now, random)));
    let Some(wanted) = exchange.wants(&choice) else {
        return host.chosen(exchange, choice, now).await;
    };
    // Boxed: hardly any exchange has something fetched.
    let until = now + MEDIA_PATIENCE;
    let mut fetching = Box::pin(host.fetch_media(wanted));
    let fetched = poll_fn(|cx| {
        if let Poll::Ready(fetched) = fetching.as_mut().poll(cx) {
            return Poll::Ready(Some(fetched));
        }
        // Who left is noticed once more, where it is acted on.
        if client.poll_left(cx).is_ready() {
            return Poll::Ready(None);
        }
        wires.timer.poll_until(until, cx).map(|()| None)
    });
    let fetched = fetched.await;
    drop(fetching);
    exchange.fetched(fetched.as_deref());
    host.chosen(exchange, choice, host.now()).await
}

async fn perform<H: Host, C: Client>(
    step: Step,
    exchange: &mut Exchange,
    wires: &mut Wires<H>,
    host: &H,
    client: &C,
) {
    match step {
        Step::Reserve(entry) => {
            let answer = host.reserve(entry).await;
            exchange.on(Input::Reserved(answer), host.now());
        }
        Step::Recall(lookup) => {
            // Boxed: most exchanges never look, and each would be as large as one that does.
            let mut recall = Box::pin(host.recall(lookup));
            let input = poll_fn(|cx| wires.poll_recall(cx, recall.as_mut(), exchange, client)).await;
            // Given up, where it is not what came: whoever has it waits no longer for this exchange.
            drop(recall);
            exchange.on(input, host.now());
        }
        // The driver's own: see `choose`.
        Step::Choose => {}
        Step::Count(uncounted) => {
            let counted = host.count(*uncounted).await;
            exchange.on(Input::Counted(counted), host.now());
        }
        Step::Fetch(fetch) => wires.upstream = Stage::Head(host.fetch(fetch.signed(host.wall()))),
        Step::Abort => wires.upstream = Stage::Idle,
        // A piece that was not taken leaves a gap: nothing may follow it, and least of all a proper end.
        Step::Emit(_) if wires.room == Room::Gone => {}
        Step::Emit(out) => {
            let patience = exchange.patience();
            wires.room = poll_fn(|cx| wires.poll_room(cx, patience, client)).await;
            match wires.room {
                Room::Free => client.send(out),
                Room::Gone => wires.tell(exchange, Input::ClientLeft, host),
            }
        }
        Step::Observe(lane, outcome) => {
            let now = host.now();
            host.with_fleet(|fleet| fleet.observe(exchange.config(), exchange.route(), lane, outcome, now));
        }
        Step::Notice(lane, notice) => {
            let now = host.now();
            host.with_fleet(|fleet| fleet.notice(exchange.config(), exchange.route(), lane, notice, now));
        }
        Step::ReadOn => {
            let room = host.with_fleet(Fleet::read_on);
            exchange.on(Input::ReadOn(room), host.now());
        }
        Step::HeardOut => host.with_fleet(Fleet::heard_out),
        Step::Keep(kept) => host.keep(kept).await,
        Step::Resign(lead, parting) => host.resign(lead, parting).await,
        Step::Settle(Ended { hold, settlement }) => host.settle(hold, settlement).await,
        Step::End(record, None) => host.log(*record),
        Step::End(record, Some(Ended { hold, settlement })) => host.end(record, hold, settlement).await,
    }
}

/// Whether the client can be given another piece.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Room {
    Free,
    /// The client left, or took nothing until the exchange's patience was over.
    Gone,
}

impl<H: Host> Wires<H> {
    /// Tells what happened, and first what has passed before it.
    fn tell(&mut self, exchange: &mut Exchange, input: Input, host: &H) {
        let now = host.now();
        if H::Upstream::PASSES {
            let passed = match &mut self.upstream {
                Stage::Body(upstream) => upstream.passed(),
                Stage::Idle | Stage::Head(_) => self.passed.take(),
            };
            passed.into_iter().for_each(|passed| exchange.on(Input::Passed(passed), now));
        }
        exchange.on(input, now);
    }

    fn poll_room<C: Client>(&mut self, cx: &mut Context<'_>, patience: Time, client: &C) -> Poll<Room> {
        if client.poll_flushed(cx).is_ready() {
            return Poll::Ready(Room::Free);
        }
        if client.poll_left(cx).is_ready() || self.timer.poll_until(patience, cx).is_ready() {
            return Poll::Ready(Room::Gone);
        }
        Poll::Pending
    }

    /// What was found comes first: a lead that has been given must be known to the exchange, which ends
    /// it.
    fn poll_recall<C: Client>(
        &mut self,
        cx: &mut Context<'_>,
        recall: Pin<&mut impl Future<Output = Recall>>,
        exchange: &Exchange,
        client: &C,
    ) -> Poll<Input> {
        if let Poll::Ready(recall) = recall.poll(cx) {
            return Poll::Ready(Input::Recalled(recall));
        }
        if client.poll_left(cx).is_ready() {
            return Poll::Ready(Input::ClientLeft);
        }
        self.timer.poll_until(exchange.wake_at(), cx).map(|()| Input::Tick)
    }

    /// While the client has not taken the last piece, neither the upstream nor its clocks are looked
    /// at: an upstream is not to blame for a client that does not read.
    fn poll_input<C: Client>(
        &mut self,
        cx: &mut Context<'_>,
        exchange: &Exchange,
        client: &C,
    ) -> Poll<Input> {
        let left = exchange.has_left();
        if !left && client.poll_left(cx).is_ready() {
            return Poll::Ready(Input::ClientLeft);
        }
        if !left && client.poll_flushed(cx).is_pending() {
            return self.timer.poll_until(exchange.patience(), cx).map(|()| Input::ClientLeft);
        }
        if let Poll::Ready(input) = self.upstream.poll(cx, &mut self.passed) {
            return Poll::Ready(input);
        }
        self.timer.poll_until(exchange.wake_at(), cx).map(|()| Input::Tick)
    }
}

impl<U: Upstream> Stage<U> {
    fn poll(&mut self, cx: &mut Context<'_>, passed: &mut Option<Passed>) -> Poll<Input> {
        match std::mem::replace(self, Self::Idle) {
            Self::Idle => Poll::Pending,
            Self::Head(mut upstream) => match upstream.poll_head(cx) {
                Poll::Pending => {
                    *self = Self::Head(upstream);
                    Poll::Pending
                }
                Poll::Ready(Ok(head)) => {
                    *self = Self::Body(upstream);
                    Poll::Ready(Input::Head(head))
                }
                Poll::Ready(Err(error)) => Poll::Ready(Input::Broken(error)),
            },
            Self::Body(mut upstream) => match upstream.poll_chunk(cx) {
                Poll::Pending => {
                    *self = Self::Body(upstream);
                    Poll::Pending
                }
                Poll::Ready(Some(Ok(chunk))) => {
                    *self = Self::Body(upstream);
                    Poll::Ready(Input::Chunk(chunk))
                }
                end @ Poll::Ready(Some(Err(_)) | None) => {
                    *passed = upstream.passed();
                    end.map(|end| match end {
                        Some(Err(error)) => Input::Broken(error),
                        Some(Ok(_)) | None => Input::End,
                    })
                }
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::count::{Counted, Uncounted};
    use crate::exchange::Record;
    use crate::host::{Fetch, FetchError, Head, Out};
    use crate::ledger::{Entry, Hold, Refusal, Settlement};
    use bytes::Bytes;
    use std::cell::RefCell;
    use std::marker::PhantomData;
    use std::rc::Rc;

    /// A host of one thread: nothing of it is `Send` or `Sync`.
    struct Local(Rc<RefCell<Fleet>>);
    struct Wire(PhantomData<Rc<()>>);

    impl Upstream for Wire {
        fn poll_head(&mut self, _: &mut Context<'_>) -> Poll<Result<Head, FetchError>> {
            Poll::Pending
        }
        fn poll_chunk(&mut self, _: &mut Context<'_>) -> Poll<Option<Result<Bytes, FetchError>>> {
            Poll::Pending
        }
    }

    impl Timer for Wire {
        fn poll_until(&mut self, _: Time, _: &mut Context<'_>) -> Poll<()> {
            Poll::Pending
        }
    }

    impl Client for Wire {
        fn send(&self, _: Out) {}
        fn poll_flushed(&self, _: &mut Context<'_>) -> Poll<()> {
            Poll::Ready(())
        }
        fn poll_left(&self, _: &mut Context<'_>) -> Poll<()> {
            Poll::Pending
        }
    }

    impl Host for Local {
        type Upstream = Wire;
        type Timer = Wire;
        fn now(&self) -> Time {
            Time(0)
        }
        fn random(&self) -> u64 {
            0
        }
        fn fetch(&self, _: Fetch) -> Wire {
            Wire(PhantomData)
        }
        fn timer(&self) -> Wire {
            Wire(PhantomData)
        }
        fn with_fleet<R>(&self, act: impl FnOnce(&mut Fleet) -> R) -> R {
            act(&mut self.0.borrow_mut())
        }
        async fn reserve(&self, _: Entry) -> Result<Hold, Refusal> {
            Err(Refusal::Unavailable { retry_after: crate::units::Millis(1) })
        }
        async fn settle(&self, _: Hold, _: Settlement) {}
        async fn count(&self, _: Uncounted) -> Counted {
            Counted::default()
        }
        fn log(&self, _: Record) {}
    }

    #[test]
    fn the_driver_asks_for_no_send() {
        fn drives<'a>(
            exchange: Box<Exchange>,
            host: &'a Local,
            wire: &'a Wire,
        ) -> impl Future<Output = ()> + 'a {
            drive(exchange, host, wire)
        }
        // That this compiles is the fact.
        let _ = drives;
    }
}
