//! The same for sessions: performs their steps, and passes on what either side says.
//!
//! One message is under way in each direction, and as long as it is not taken its sender is not read.

use crate::exchange::{Ended, Session, SessionInput as Input, SessionStep as Step, Side};
use crate::host::{Closing, Dialed, Door, Heard, Message, Sessions, Timer, Wire};
use crate::units::{Millis, Time};
use std::future::poll_fn;
use std::pin::pin;
use std::task::{Context, Poll};

/// For both sides to end the closing handshake.
const PARTING: Millis = Millis::from_secs(2);

/// Runs a session to its end. The future must not be dropped before it is ready.
pub async fn drive<H: Sessions, D: Door>(mut session: Box<Session>, host: &H, door: D) {
    let mut door = Some(door);
    let mut lines: Lines<D::Wire, H::Wire> = Lines { client: None, server: None, turn: Side::Client };
    let mut timer = host.timer();
    while !session.is_done() {
        let Some(step) = session.next_step() else {
            let wake_at = session.wake_at();
            let input = poll_fn(|cx| lines.poll(wake_at, &mut timer, cx)).await;
            session.on(input, host.now());
            continue;
        };
        match step {
            Step::Reserve(entry) => {
                let answer = host.reserve(entry).await;
                session.on(Input::Reserved(answer), host.now());
            }
            Step::Choose => {
                let (now, random) = (host.now(), host.random());
                let choice = host.with_fleet(|fleet| fleet.choose(&session.query(now, random)));
                session.on(Input::Chosen(choice), now);
            }
            Step::Dial(fetch) => {
                let (until, most) = (session.wake_at(), session.longest_message());
                let mut dialing = pin!(host.dial(fetch.signed(host.wall()), most));
                let input = poll_fn(|cx| match dialing.as_mut().poll(cx) {
                    Poll::Ready(Ok(Dialed { headers, wire })) => {
                        lines.server = Some(wire);
                        Poll::Ready(Input::Dialed(Ok(headers)))
                    }
                    Poll::Ready(Err(declined)) => Poll::Ready(Input::Dialed(Err(declined))),
                    Poll::Pending => timer.poll_until(until, cx).map(|()| Input::Tick),
                });
                let input = input.await;
                session.on(input, host.now());
            }
            Step::Answer(answer) => {
                if let Some(door) = door.take() {
                    lines.client = door.answer(answer).await;
                    session.on(Input::Entered(lines.client.is_some()), host.now());
                }
            }
            Step::Send(side, message) => lines.send(side, message),
            Step::Close(side, closing) => lines.close(side, closing),
            Step::Observe(lane, outcome) => {
                let now = host.now();
                host.with_fleet(|fleet| fleet.observe(session.config(), session.route(), lane, outcome, now));
            }
            Step::Notice(lane, notice) => {
                let now = host.now();
                host.with_fleet(|fleet| fleet.notice(session.config(), session.route(), lane, notice, now));
            }
            Step::Settle(hold, settlement) => host.settle(hold, settlement).await,
            Step::End(record, None) => host.log(*record),
            Step::End(record, Some(Ended { hold, settlement })) => host.end(record, hold, settlement).await,
        }
    }
    let until = host.now() + PARTING;
    poll_fn(|cx| lines.poll_parted(until, &mut timer, cx)).await;
}

/// The two sides.
struct Lines<C, S> {
    client: Option<C>,
    server: Option<S>,
    /// Who is heard first, so that neither keeps the other from being heard.
    turn: Side,
}

impl<C: Wire, S: Wire> Lines<C, S> {
    fn poll<T: Timer>(&mut self, wake_at: Time, timer: &mut T, cx: &mut Context<'_>) -> Poll<Input> {
        if let (Some(client), Some(server)) = (&mut self.client, &mut self.server) {
            let first = self.turn;
            self.turn = other(first);
            for side in [first, other(first)] {
                let heard = match side {
                    Side::Client => poll_from(client, server, cx),
                    Side::Server => poll_from(server, client, cx),
                };
                if let Poll::Ready(heard) = heard {
                    return Poll::Ready(Input::Heard(side, heard));
                }
            }
        }
        timer.poll_until(wake_at, cx).map(|()| Input::Tick)
    }

    fn send(&mut self, side: Side, message: Message) {
        match (side, &mut self.client, &mut self.server) {
            (Side::Client, Some(client), _) => client.send(message),
            (Side::Server, _, Some(server)) => server.send(message),
            (Side::Client, None, _) | (Side::Server, _, None) => {}
        }
    }

    fn close(&mut self, side: Side, closing: Closing) {
        match (side, &mut self.client, &mut self.server) {
            (Side::Client, Some(client), _) => client.close(closing),
            (Side::Server, _, Some(server)) => server.close(closing),
            (Side::Client, None, _) | (Side::Server, _, None) => {}
        }
    }

    /// Waits until both have said goodbye.
    fn poll_parted<T: Timer>(&mut self, until: Time, timer: &mut T, cx: &mut Context<'_>) -> Poll<()> {
        if poll_gone(&mut self.client, cx).is_ready() & poll_gone(&mut self.server, cx).is_ready() {
            return Poll::Ready(());
        }
        timer.poll_until(until, cx)
    }
}

const fn other(side: Side) -> Side {
    match side {
        Side::Client => Side::Server,
        Side::Server => Side::Client,
    }
}

/// What one side says, once the other has taken what it said before.
fn poll_from(from: &mut impl Wire, to: &mut impl Wire, cx: &mut Context<'_>) -> Poll<Heard> {
    std::task::ready!(to.poll_flushed(cx));
    from.poll_heard(cx)
}

fn poll_gone(place: &mut Option<impl Wire>, cx: &mut Context<'_>) -> Poll<()> {
    let Some(wire) = place else { return Poll::Ready(()) };
    std::task::ready!(wire.poll_flushed(cx));
    loop {
        match std::task::ready!(wire.poll_heard(cx)) {
            Heard::Message(_) => {}
            Heard::Closed(_) | Heard::Lost | Heard::Broken(_) | Heard::Stopping => {
                *place = None;
                return Poll::Ready(());
            }
        }
    }
}
