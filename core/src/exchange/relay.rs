//! The client is being served: every piece of the upstream's stream is passed on, or translated, as
//! it comes. There is no way back to another upstream.

use super::attempt::{Sent, Times};
use super::gather::Gather;
use super::read::{self, Opening, Reading};
use super::request::Request;
use crate::fault::{UpstreamClass, UpstreamFault};
use crate::fleet::{Lane, Outcome};
use crate::provider::{Decode, Glance};
use crate::reply::Event;
use crate::sse::{Frame, Framer};
use crate::surface::Render;
use crate::units::{Millis, Time, Tokens};
use crate::usage::Usage;
use bytes::{Bytes, BytesMut};
use http::HeaderMap;
use std::fmt;

/// How long a connection may stay open after the stream's end mark. Its proper end usually arrives
/// with the mark; waiting for it lets the connection be used again.
const LINGER: Millis = Millis(200);

/// A stream being passed on.
#[derive(Debug)]
pub(super) struct Relay {
    sent: Sent,
    form: Form,
    usage: Option<Usage>,
    progress: Progress,
}

/// How far the stream has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Progress {
    /// More content is expected.
    Open,
    /// The last content has come; the end mark may or may not.
    Finished,
    /// The end mark has come, at this time.
    Ended(Time),
}

enum Form {
    /// The upstream's own bytes, whole frames at a time.
    Pass { framer: Framer },
    /// Decoded and rendered.
    Translate { framer: Framer, decoder: Box<dyn Decode>, renderer: Box<dyn Render> },
}

impl fmt::Debug for Form {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Pass { .. } => "Pass",
            Self::Translate { .. } => "Translate",
        })
    }
}

/// What a piece of the stream has led to.
#[derive(Debug)]
pub(super) enum Verdict {
    /// Emit this; more is expected.
    More(Bytes),
    /// Emit this; the stream is complete.
    Complete(Bytes),
    /// Emit this; then the stream failed.
    Failed(Bytes, Box<UpstreamFault>),
}

impl Relay {
    /// Takes over from reading, and passes on what was held back.
    pub(super) fn new(reading: Reading, opening: Opening, request: &Request) -> (Self, Verdict) {
        let sent = reading.sent;
        let now = sent.times.last_heard();
        let renderer = || request.surface.renderer(request.asked());
        let (form, held) = match opening {
            Opening::Pass { framer, frames } => (Form::Pass { framer }, Held::Frames(frames)),
            Opening::Translate { framer, decoder, events } => {
                (Form::Translate { framer, decoder, renderer: renderer() }, Held::Events(events))
            }
            Opening::Reply(reply) => {
                let decoder = sent.provider().decoder(&sent.target());
                let form = Form::Translate { framer: Framer::new(), decoder, renderer: renderer() };
                (form, Held::Reply(reply.into_events()))
            }
        };
        let mut relay = Self { sent, form, usage: None, progress: Progress::Open };
        let verdict = match held {
            Held::Frames(frames) => relay.pass(&frames, now),
            Held::Events(events) => relay.translate(events, now),
            Held::Reply(events) => match relay.translate(events, now) {
                Verdict::More(bytes) => Verdict::Complete(bytes),
                decided @ (Verdict::Complete(_) | Verdict::Failed(..)) => decided,
            },
        };
        (relay, verdict)
    }

    pub(super) fn lane(&self) -> Lane {
        self.sent.lane
    }

    pub(super) fn times(&self) -> &Times {
        &self.sent.times
    }

    pub(super) fn usage(&self) -> Option<&Usage> {
        self.usage.as_ref()
    }

    /// The text generated so far.
    pub(super) fn heard(&self) -> String {
        String::new()
    }

    pub(super) fn is_complete(&self) -> bool {
        matches!(self.progress, Progress::Ended(_))
    }

    pub(super) fn answered(&self, output: Option<Tokens>, now: Time) -> Outcome {
        self.sent.answered(output, now)
    }

    pub(super) fn wake_at(&self) -> Time {
        match self.progress {
            Progress::Open | Progress::Finished => self.sent.wake_at(),
            Progress::Ended(at) => at + LINGER,
        }
    }

    pub(super) fn on_chunk(&mut self, chunk: Bytes, now: Time) -> Verdict {
        if self.is_complete() {
            return Verdict::More(Bytes::new());
        }
        self.sent.times.heard(now);
        let mut frames = Vec::new();
        let whole_chunk = chunk.clone();
        let (Form::Pass { framer } | Form::Translate { framer, .. }) = &mut self.form;
        let joined = framer.held() > 0;
        if framer.push(chunk, &mut frames).is_err() {
            let what = format!("the stream holds an event larger than {} bytes", crate::sse::MAX_FRAME);
            return Verdict::Failed(
                Bytes::new(),
                Box::new(UpstreamFault::new(UpstreamClass::Garbled, 200, what)),
            );
        }
        match &mut self.form {
            Form::Pass { framer } => {
                // Whole frames and nothing else: what came is what goes.
                let exact = (!joined && framer.held() == 0).then_some(whole_chunk);
                self.pass_chunk(&frames, exact, now)
            }
            Form::Translate { decoder, .. } => {
                let mut events = Vec::new();
                frames.iter().for_each(|frame| decoder.on(frame, &mut events));
                self.translate(events, now)
            }
        }
    }

    pub(super) fn on_end(&mut self) -> Verdict {
        let now = self.sent.times.last_heard();
        if self.is_complete() {
            return Verdict::Complete(Bytes::new());
        }
        let rest = match &mut self.form {
            Form::Pass { framer } => {
                let last: Vec<_> = framer.finish().into_iter().collect();
                self.pass(&last, now)
            }
            Form::Translate { framer, decoder, .. } => {
                let mut events = Vec::new();
                if let Some(frame) = framer.finish() {
                    decoder.on(&frame, &mut events);
                }
                decoder.on_end(&mut events);
                self.translate(events, now)
            }
        };
        match (rest, self.progress) {
            (Verdict::More(bytes), Progress::Finished | Progress::Ended(_)) => Verdict::Complete(bytes),
            (Verdict::More(bytes), Progress::Open) => {
                let what = "the connection ended before the stream did";
                let fault = Box::new(UpstreamFault::new(UpstreamClass::Connection, 200, what));
                Verdict::Failed(closed(bytes), fault)
            }
            (other @ (Verdict::Complete(_) | Verdict::Failed(..)), _) => other,
        }
    }

    fn pass(&mut self, frames: &[Frame], now: Time) -> Verdict {
        self.pass_chunk(frames, None, now)
    }

    /// Looks at each frame and passes it on. `exact` holds the same bytes as one piece, to be passed
    /// on without gathering them again where no frame had to be mended or left out.
    fn pass_chunk(&mut self, frames: &[Frame], exact: Option<Bytes>, now: Time) -> Verdict {
        let (provider, target) = (self.sent.provider(), self.sent.target());
        let mut exact = exact;
        let mut out = Gather::default();
        for (at, frame) in frames.iter().enumerate() {
            match provider.glance(frame) {
                Glance::Fault => {
                    if exact.is_some() {
                        frames.iter().take(at).for_each(|frame| out.push(frame.raw().clone()));
                    }
                    let fault = read::in_band_fault(provider, frame, &HeaderMap::new(), &target);
                    return Verdict::Failed(out.take(), Box::new(fault));
                }
                Glance::Finish => self.progress = Progress::Finished,
                Glance::End => self.progress = Progress::Ended(now),
                Glance::Preamble | Glance::Content => {}
            }
            if let Some(usage) = provider.usage(frame.data(), self.usage.as_ref(), &target) {
                self.usage = Some(usage);
            }
            match provider.mend(frame, &target) {
                Some(mended) => {
                    // The frames before it pass as they are; from here on pieces are gathered.
                    if exact.take().is_some() {
                        frames.iter().take(at).for_each(|frame| out.push(frame.raw().clone()));
                    }
                    out.push(mended);
                }
                None if exact.is_some() => {}
                None => out.push(frame.raw().clone()),
            }
        }
        match exact {
            Some(chunk) => Verdict::More(chunk),
            None => Verdict::More(out.take()),
        }
    }

    fn translate(&mut self, events: Vec<Event>, now: Time) -> Verdict {
        let mut out = BytesMut::new();
        let Form::Translate { renderer, .. } = &mut self.form else { return Verdict::More(Bytes::new()) };
        for event in events {
            match &event {
                Event::Fault(fault) => return Verdict::Failed(out.freeze(), fault.clone()),
                Event::End => self.progress = Progress::Ended(now),
                Event::Stop { .. } => self.progress = Progress::Finished,
                Event::Usage(usage) => self.usage = Some((**usage).clone()),
                Event::Start(_)
                | Event::Text { .. }
                | Event::TextSignature { .. }
                | Event::Citation { .. }
                | Event::Thinking { .. }
                | Event::ThinkingSignature { .. }
                | Event::SealedThinking { .. }
                | Event::Refusal { .. }
                | Event::ToolStart { .. }
                | Event::ToolArguments { .. }
                | Event::Part { .. }
                | Event::LogProbs { .. }
                | Event::Extras { .. } => {}
            }
            renderer.on(&event, &mut out);
        }
        Verdict::More(out.freeze())
    }
}

/// A last frame may lack its blank line; without one it would swallow the fault event after it.
fn closed(bytes: Bytes) -> Bytes {
    if bytes.is_empty() || bytes.ends_with(b"\n\n") || bytes.ends_with(b"\r\n\r\n") {
        return bytes;
    }
    let mut ended = BytesMut::from(bytes);
    ended.extend_from_slice(b"\n\n");
    ended.freeze()
}

/// What reading held back.
enum Held {
    Frames(Vec<Frame>),
    Events(Vec<Event>),
    Reply(Vec<Event>),
}
