//! The client is being served: every piece of the upstream's stream is passed on, or translated, as
//! it comes. There is no way back to another upstream.

mod unseen;

use super::attempt::{Sent, Times};
use super::gather::Gather;
use super::ration::Ration;
use super::read::{self, Opening, Reading};
use super::request::Request;
use super::splice::UsageAsk;
use crate::count::Heard;
use crate::fault::{Fault, UpstreamClass, UpstreamFault};
use crate::fleet::{Lane, Outcome};
use crate::framing::{Closing, Framer, Framing};
use crate::host::Passed;
use crate::provider::{Decode, Glance};
use crate::reply::{Event, Stop};
use crate::sse::Frame;
use crate::surface::{Begun, Render};
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
    /// What the model has said, in case nobody counts it.
    heard: Heard,
    /// What has been paid for; absent: without limit.
    ration: Option<Ration>,
    /// The last frame that was passed on, for dialects that number theirs.
    last: Option<Frame>,
    /// The last that was content and nothing else, and passed as it came: others like it may pass unseen.
    plain: Option<Frame>,
    /// What passed unseen.
    passed: Option<Passed>,
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
    /// The upstream's own bytes, looked at in passing where they may tell of usage.
    Raw { eye: Option<Framer> },
    /// Decoded and rendered.
    Translate { framer: Framer, decoder: Box<dyn Decode>, renderer: Box<dyn Render> },
}

impl fmt::Debug for Form {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Pass { .. } => "Pass",
            Self::Raw { .. } => "Raw",
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
    /// Emit this, the stream's proper end included; what was paid for is used up, and the upstream is
    /// to be cancelled.
    Exhausted(Bytes),
}

impl Verdict {
    /// What is to be emitted.
    pub(super) fn bytes(&mut self) -> &mut Bytes {
        let (Self::More(bytes) | Self::Complete(bytes) | Self::Failed(bytes, _) | Self::Exhausted(bytes)) =
            self;
        bytes
    }
}

impl Relay {
    /// Takes over from reading, and passes on what was held back. `paid` is the output that has been
    /// paid for, all answers together; absent: without limit.
    pub(super) fn new(
        reading: Reading,
        opening: Opening,
        request: &Request,
        paid: Option<Tokens>,
    ) -> (Self, Verdict) {
        let sent = reading.sent;
        let now = sent.times.last_heard();
        let renderer = || request.surface.renderer(request.asked());
        let (form, held) = match opening {
            Opening::Pass { framer, frames } => (Form::Pass { framer }, Held::Frames(frames)),
            Opening::Raw { first, eye } => (Form::Raw { eye }, Held::Bytes(first)),
            Opening::Translate { framer, decoder, events } => {
                (Form::Translate { framer, decoder, renderer: renderer() }, Held::Events(events))
            }
            Opening::Reply(reply) => {
                let decoder = sent.provider().decoder(&sent.target());
                let form = Form::Translate { framer: Framer::default(), decoder, renderer: renderer() };
                (form, Held::Reply(reply.into_events()))
            }
        };
        // Tasks are paid for by what was asked.
        let ration = paid.filter(|_| request.task().is_none()).map(|paid| Ration::new(paid, request));
        let (usage, heard) = (None, Heard::default());
        let mut relay = Self {
            sent,
            form,
            usage,
            progress: Progress::Open,
            heard,
            ration,
            last: None,
            plain: None,
            passed: None,
        };
        let verdict = match held {
            Held::Frames(frames) => relay.pass(&frames, now),
            Held::Bytes(bytes) => relay.watch(bytes),
            Held::Events(events) => relay.translate(events, now),
            Held::Reply(events) => match relay.translate(events, now) {
                Verdict::More(bytes) => Verdict::Complete(bytes),
                decided @ (Verdict::Complete(_) | Verdict::Failed(..) | Verdict::Exhausted(_)) => decided,
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

    /// What the model has said so far, to keep.
    pub(super) fn take_heard(&mut self) -> Heard {
        self.catch_up();
        std::mem::take(&mut self.heard)
    }

    #[cfg(test)]
    pub(super) fn heard(&self) -> &Heard {
        &self.heard
    }

    /// What ends the stream with a fault; nothing where it has no words for one, so that it can only
    /// be broken off.
    pub(super) fn fault_event(&mut self, fault: &Fault, request: &Request, begun: Begun) -> Option<Bytes> {
        let rendered = match &mut self.form {
            Form::Translate { renderer, .. } => renderer.fault(fault),
            Form::Pass { .. } => None,
            Form::Raw { eye: Some(framer) } if request.task().is_some() => {
                let event = request.surface.fault_event(fault, &request.asked(), begun);
                // What was cut would swallow it.
                let end: &[u8] = if framer.held() > 0 { b"\n\n" } else { b"" };
                Some(Bytes::from([end, &event[..]].concat()))
            }
            Form::Raw { .. } => return None,
        };
        let last = self.last.as_ref().map(Frame::data).unwrap_or_default();
        let event = || request.surface.fault_event_after(last, fault, &request.asked(), begun);
        Some(rendered.unwrap_or_else(event))
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
        self.catch_up_for(&chunk);
        let mut frames = Vec::new();
        let whole_chunk = chunk.clone();
        let framer = match &mut self.form {
            Form::Pass { framer } | Form::Translate { framer, .. } => framer,
            Form::Raw { .. } => return self.watch(chunk),
        };
        let joined = framer.held() > 0;
        if let Err(unframed) = framer.push(chunk, &mut frames) {
            let fault = UpstreamFault::new(UpstreamClass::Garbled, 200, unframed.to_string());
            return Verdict::Failed(Bytes::new(), Box::new(fault));
        }
        match &mut self.form {
            Form::Pass { framer } => {
                // Whole frames and nothing else: what came is what goes.
                let exact = (!joined && framer.held() == 0).then_some(whole_chunk);
                self.pass_chunk(&frames, exact, now)
            }
            Form::Raw { .. } => Verdict::More(Bytes::new()),
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
            // The transport has said that it is whole.
            Form::Raw { .. } => return Verdict::Complete(Bytes::new()),
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
        let (Form::Pass { framer } | Form::Translate { framer, .. }) = &self.form else { return rest };
        match (rest, self.progress, framer.closing()) {
            (Verdict::More(bytes), Progress::Finished | Progress::Ended(_), Closing::Closed) => {
                Verdict::Complete(bytes)
            }
            (Verdict::More(bytes), Progress::Open, _) | (Verdict::More(bytes), _, Closing::Open) => {
                let what = "the connection ended before the stream did";
                let fault = Box::new(UpstreamFault::new(UpstreamClass::Connection, 200, what));
                let bytes = match framer.framing() {
                    Framing::Events => closed(bytes),
                    Framing::Array | Framing::EventStream | Framing::Lines => bytes,
                };
                Verdict::Failed(bytes, fault)
            }
            (other @ (Verdict::Complete(_) | Verdict::Failed(..) | Verdict::Exhausted(_)), ..) => other,
        }
    }

    /// Passes bytes on as they are, up to the frame with which what was paid for is used up. What cannot be
    /// read as frames is not looked at any more.
    fn watch(&mut self, bytes: Bytes) -> Verdict {
        let Form::Raw { eye } = &mut self.form else { return Verdict::More(bytes) };
        let Some(framer) = eye else { return Verdict::More(bytes) };
        let (mut passed, mut frames) = (0, Vec::new());
        let held = framer.held();
        if framer.push(bytes.clone(), &mut frames).is_err() {
            *eye = None;
        }
        let target = self.sent.target();
        for frame in &frames {
            let provider = self.sent.provider_of(frame);
            let usage = provider.usage(frame.data(), self.usage.as_ref(), &target);
            passed += frame.raw().len();
            if let Some(ration) = &mut self.ration {
                self.heard.hear(|out| provider.text(frame.data(), out));
                let glance = match provider.glance(frame) {
                    // Nobody here knows all that such a stream may say.
                    Glance::Preamble => Glance::Content,
                    known @ (Glance::Content | Glance::Finish | Glance::End | Glance::Fault) => known,
                };
                ration.on_frame(glance, frame);
                usage.iter().for_each(|usage| ration.on_usage(usage, self.heard.bytes()));
                if ration.is_used_up(&self.heard) {
                    let last = bytes.get(..passed.saturating_sub(held)).unwrap_or_default();
                    let end = ration.cut_off(&self.heard);
                    self.usage = usage.or(self.usage.take());
                    return Verdict::Exhausted(Bytes::from([last, &end].concat()));
                }
            }
            self.usage = usage.or(self.usage.take());
        }
        Verdict::More(bytes)
    }

    fn pass(&mut self, frames: &[Frame], now: Time) -> Verdict {
        self.pass_chunk(frames, None, now)
    }

    /// Looks at each frame and passes it on. `exact` holds the same bytes as one piece, to be passed
    /// on without gathering them again where no frame had to be mended or left out. Where what was paid
    /// for is used up, the client gets no more; what the rest of the frames say is charged.
    fn pass_chunk(&mut self, frames: &[Frame], exact: Option<Bytes>, now: Time) -> Verdict {
        let unseen = self.unseen().0;
        let (provider, target) = (self.sent.provider(), self.sent.target());
        let mut out = Outgoing { exact, gathered: Gather::default(), frames };
        let mut serving = Serving::Goes;
        let mut plain = None;
        for (at, frame) in frames.iter().enumerate() {
            let glance = provider.glance(frame);
            match glance {
                Glance::Fault if serving == Serving::IsOver => break,
                Glance::Fault => {
                    self.last = frames.iter().take(at).next_back().cloned().or(self.last.take());
                    out.part(at);
                    let fault = read::in_band_fault(provider, frame, &HeaderMap::new(), &target);
                    return Verdict::Failed(out.take(), Box::new(fault));
                }
                Glance::Finish => self.progress = Progress::Finished,
                Glance::End => self.progress = Progress::Ended(now),
                Glance::Preamble | Glance::Content => {}
            }
            if matches!(glance, Glance::Content | Glance::Finish) {
                self.heard.hear(|out| provider.text(frame.data(), out));
            }
            let usage = provider.usage(frame.data(), self.usage.as_ref(), &target);
            if let Some(ration) = &mut self.ration {
                ration.on_frame(glance, frame);
                usage.iter().for_each(|usage| ration.on_usage(usage, self.heard.bytes() + unseen));
            }
            let hidden =
                usage.is_some() && self.sent.usage == UsageAsk::Added && provider.is_usage_alone(frame);
            let is_plain = glance == Glance::Content && usage.is_none();
            self.usage = usage.or(self.usage.take());
            if serving == Serving::IsOver {
                continue;
            }
            match provider.mend(frame, &target).or_else(|| self.sent.marked(frame)) {
                _ if hidden => out.part(at),
                Some(mended) => {
                    out.part(at);
                    out.gathered.push(mended);
                }
                None => {
                    out.pass(frame);
                    if is_plain {
                        plain = Some(frame);
                    }
                }
            }
            if let Some(ration) = self.ration.as_ref().filter(|ration| ration.is_used_up(&self.heard)) {
                out.part(at + 1);
                out.gathered.push(ration.cut_off(&self.heard));
                serving = Serving::IsOver;
            }
        }
        self.last = frames.iter().rev().find(|frame| !frame.data().is_empty()).cloned().or(self.last.take());
        self.plain = plain.cloned().or(self.plain.take());
        match serving {
            Serving::IsOver => Verdict::Exhausted(out.take()),
            Serving::Goes => Verdict::More(out.take()),
        }
    }

    fn translate(&mut self, events: Vec<Event>, now: Time) -> Verdict {
        let mut out = BytesMut::new();
        let Form::Translate { renderer, .. } = &mut self.form else { return Verdict::More(Bytes::new()) };
        let mut serving = Serving::Goes;
        for mut event in events {
            self.sent.marks.iter().for_each(|marks| marks.on_event(&mut event));
            read::hear(&event, &mut self.heard);
            if let Some(ration) = &mut self.ration {
                ration.on_event(&event, &self.heard);
            }
            match &event {
                Event::Fault(_) if serving == Serving::IsOver => break,
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
            if serving == Serving::IsOver {
                continue;
            }
            renderer.on(&event, &mut out);
            if let Some(ration) = self.ration.as_ref().filter(|ration| ration.is_used_up(&self.heard)) {
                for choice in ration.open() {
                    let stop = Event::Stop { choice: *choice, stop: Stop::Length, sequence: None };
                    renderer.on(&stop, &mut out);
                }
                renderer.on(&Event::End, &mut out);
                serving = Serving::IsOver;
            }
        }
        match serving {
            Serving::IsOver => Verdict::Exhausted(out.freeze()),
            Serving::Goes => Verdict::More(out.freeze()),
        }
    }
}

/// Whether the client gets what comes.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Serving {
    /// It does.
    Goes,
    /// It has had what was paid for, and a proper end.
    IsOver,
}

/// What goes to the client of some frames.
struct Outgoing<'f> {
    /// All of them as one piece, as long as all of them pass as they came: nothing is gathered then.
    exact: Option<Bytes>,
    gathered: Gather,
    frames: &'f [Frame],
}

impl Outgoing<'_> {
    /// From here on pieces are gathered; the frames before this one pass as they are.
    fn part(&mut self, at: usize) {
        if self.exact.take().is_some() {
            self.frames.iter().take(at).for_each(|frame| self.gathered.push(frame.raw().clone()));
        }
    }

    fn pass(&mut self, frame: &Frame) {
        if self.exact.is_none() {
            self.gathered.push(frame.raw().clone());
        }
    }

    fn take(mut self) -> Bytes {
        self.exact.take().unwrap_or_else(|| self.gathered.take())
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
    Bytes(Bytes),
    Events(Vec<Event>),
    Reply(Vec<Event>),
}

#[cfg(test)]
mod tests;
