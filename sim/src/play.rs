//! The response body: performs the steps of a plan and reports to the log how it ended.

use std::collections::VecDeque;
use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use crate::gate::Gate;
use crate::log::Watch;
use crate::script::Step;
use crate::server::link::Link;
use bytes::Bytes;
use http_body::{Body, Frame};

const HEARTBEAT: &[u8] = b": heartbeat\n\n";

/// A body being written.
pub(crate) struct Play {
    steps: VecDeque<Step>,
    pause: Option<Pin<Box<dyn Future<Output = ()> + Send>>>,
    gate: Option<Gate>,
    /// Set after each write, so that the connection flushes before the next and every event is a
    /// write of its own.
    breath: bool,
    /// The connection's flushes when something, be it the head, was last written.
    mark: u64,
    link: Arc<Link>,
    watch: Option<Watch>,
}

/// The break asked for; the connection ends without the body's end.
#[derive(Debug)]
pub(crate) struct Cut;

impl fmt::Display for Cut {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("cut as asked")
    }
}

impl std::error::Error for Cut {}

impl Play {
    /// Performs `steps` on the connection of `link`; `watch` learns how it went.
    pub(crate) fn new(steps: Vec<Step>, link: Arc<Link>, watch: Option<Watch>) -> Play {
        Play {
            steps: steps.into(),
            pause: None,
            gate: None,
            breath: false,
            mark: link.flushes(),
            link,
            watch,
        }
    }

    /// The same with the gate that its plan waits at.
    pub(crate) fn gated(self, gate: Option<Gate>) -> Play {
        Play { gate, ..self }
    }

    /// One piece, unobserved.
    pub(crate) fn once(piece: Bytes, link: Arc<Link>) -> Play {
        Play::new(vec![Step::Send(piece)], link, None)
    }

    fn sent(&mut self, piece: Bytes) -> Poll<Option<Result<Frame<Bytes>, Cut>>> {
        self.mark = self.link.flushes();
        if let Some(watch) = &self.watch {
            watch.wrote(piece.len());
        }
        while self.steps.front() == Some(&Step::Event) {
            self.steps.pop_front();
            if let Some(watch) = &self.watch {
                watch.event();
            }
        }
        self.breath = !self.steps.is_empty();
        if self.steps.is_empty() {
            // A sized body is dropped without being asked for its end.
            self.completed();
        }
        Poll::Ready(Some(Ok(Frame::data(piece))))
    }

    fn completed(&mut self) {
        if let Some(watch) = &self.watch {
            watch.completed();
        }
    }

    fn pause(&mut self, length: Duration) {
        self.pause = Some(Box::pin(tokio::time::sleep(length)));
    }
}

impl Body for Play {
    type Data = Bytes;
    type Error = Cut;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Cut>>> {
        loop {
            if let Some(pause) = &mut self.pause {
                ready!(pause.as_mut().poll(cx));
                self.pause = None;
            }
            if std::mem::take(&mut self.breath) {
                cx.waker().wake_by_ref();
                return Poll::Pending;
            }
            match self.steps.pop_front() {
                None => {
                    self.completed();
                    return Poll::Ready(None);
                }
                Some(Step::Event) => {}
                Some(Step::Send(piece)) if piece.is_empty() => {}
                Some(Step::Send(piece)) => return self.sent(piece),
                Some(Step::Wait(length)) => self.pause(length),
                Some(Step::Gate) => {
                    if let Some(gate) = self.gate.clone() {
                        self.pause = Some(Box::pin(gate.pass()));
                    }
                }
                Some(Step::Silence) => {
                    self.steps.push_front(Step::Silence);
                    return Poll::Pending;
                }
                Some(Step::Heartbeats(every)) => {
                    let again = [Step::Send(Bytes::from_static(HEARTBEAT)), Step::Heartbeats(every)];
                    self.steps.extend(again);
                    self.pause(every);
                }
                // What was written before must reach the client before the connection closes.
                Some(Step::Cut) if self.link.flushes() <= self.mark => {
                    self.steps.push_front(Step::Cut);
                    self.pause(Duration::from_millis(1));
                }
                Some(Step::Cut) => {
                    if let Some(watch) = &self.watch {
                        watch.broken();
                    }
                    return Poll::Ready(Some(Err(Cut)));
                }
            }
        }
    }
}
