//! An answer has begun, and nothing of it has been emitted: the last chance to try another upstream.
//!
//! Whole answers are read to their end, since a cut or an error inside them can then still be
//! hidden. Streams are read up to their first content.

use super::attempt::{Path, Sent, streams_as};
use super::gather::Gather;
use super::request::Request;
use crate::batch::{Survey, Surveyed};
use crate::count::Heard;
use crate::fault::{Fault, UpstreamClass, UpstreamFault};
use crate::framing::{Framer, Framing, Unframed};
use crate::host::Head;
use crate::provider::openai_responses::is_chat;
use crate::provider::{Decode, Glance};
use crate::reply::{Assembler, Event, Reply, Stop};
use crate::sse::Frame;
use crate::through::ANSWERED;
use crate::units::Time;
use crate::usage::Usage;
use crate::vendor::Vendor;
use bytes::Bytes;
use http::HeaderMap;
use http::header::{CONTENT_LENGTH, CONTENT_TYPE, HeaderName, HeaderValue};
use std::fmt;

/// The largest whole answer read into memory.
const MAX_WHOLE: usize = 128 * 1024 * 1024;
/// The most of an error answer that is read.
const MAX_ERROR: usize = 1024 * 1024;
/// The most that is held back before a stream's first content.
const MAX_PREAMBLE: usize = 1024 * 1024;

/// An answer that has begun.
#[derive(Debug)]
pub(super) struct Reading {
    pub(super) sent: Sent,
    pub(super) headers: HeaderMap,
    status: u16,
    form: Form,
    /// White space that came before anything by which the form could be told.
    blank: Gather,
}

/// What the body turns out to be.
enum Form {
    /// Nothing of it has come.
    Unknown,
    /// One JSON text, or an error in whatever form.
    Whole(Gather),
    /// Events for a client that wants events of the same dialect.
    Pass { framer: Framer, held: Vec<Frame> },
    /// Bytes for a client that takes them as they are.
    Raw,
    /// The file of a batch; a fault of it ends the reading.
    Survey(Box<Survey>),
    /// Events for a client that wants events of another dialect.
    Translate { framer: Framer, decoder: Box<dyn Decode>, events: Vec<Event>, size: usize },
    /// Events for a client that wants a whole answer.
    Assemble {
        framer: Framer,
        decoder: Box<dyn Decode>,
        assembler: Box<Assembler>,
        size: usize,
        told: Box<Told>,
    },
}

/// What an answer that is being assembled has told so far.
#[derive(Default)]
struct Told {
    heard: Heard,
    usage: Option<Usage>,
}

impl Told {
    fn on(&mut self, event: &Event) {
        hear(event, &mut self.heard);
        if let Event::Usage(usage) = event {
            self.usage = Some((**usage).clone());
        }
    }
}

impl fmt::Debug for Form {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Unknown => "Unknown",
            Self::Whole(_) => "Whole",
            Self::Pass { .. } => "Pass",
            Self::Raw => "Raw",
            Self::Survey(_) => "Survey",
            Self::Translate { .. } => "Translate",
            Self::Assemble { .. } => "Assemble",
        })
    }
}

/// What reading has led to.
#[derive(Debug)]
pub(super) enum Verdict {
    /// More is needed.
    More,
    /// The attempt failed.
    Failed(Box<UpstreamFault>),
    /// A whole answer for a client that wants one.
    Whole(Box<Whole>),
    /// A stream for a client that wants one.
    Committed(Box<Opening>),
    /// All of a batch's file has come, or enough to refuse it.
    Surveyed(Box<Result<Surveyed, Fault>>),
}

impl Verdict {
    /// Nothing more will come: what was not enough never will be.
    fn or_failed(self, class: UpstreamClass, what: &str) -> Self {
        match self {
            Self::More => failed(class, 200, what),
            decided @ (Self::Failed(_) | Self::Whole(_) | Self::Committed(_) | Self::Surveyed(_)) => decided,
        }
    }
}

/// A whole answer, in the client's dialect.
#[derive(Debug)]
pub(super) struct Whole {
    pub(super) body: Bytes,
    pub(super) usage: Option<Usage>,
    /// What it says; empty where its usage is known.
    pub(super) heard: Heard,
}

/// The beginning of a stream, and what reads the rest of it.
pub(super) enum Opening {
    /// Frames of the client's own dialect.
    Pass { framer: Framer, frames: Vec<Frame> },
    /// Bytes that pass as they are, and what looks for usage in them.
    Raw { first: Bytes, eye: Option<Framer> },
    /// Events to render, and the decoder for more.
    Translate { framer: Framer, decoder: Box<dyn Decode>, events: Vec<Event> },
    /// A whole reply to be shown as a stream.
    Reply(Box<Reply>),
}

impl fmt::Debug for Opening {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Pass { .. } => "Pass",
            Self::Raw { .. } => "Raw",
            Self::Translate { .. } => "Translate",
            Self::Reply(_) => "Reply",
        })
    }
}

impl Reading {
    pub(super) fn new(sent: Sent, head: Head) -> Self {
        let Head { status, headers } = head;
        Self { sent, headers, status: status.as_u16(), form: Form::Unknown, blank: Gather::default() }
    }

    pub(super) fn wake_at(&self) -> Time {
        self.sent.wake_at()
    }

    /// What the model has said by now, though the client has not been given any of it: for an answer
    /// that is given up.
    pub(super) fn heard(&self) -> Heard {
        let provider = self.sent.provider();
        let mut heard = Heard::default();
        match &self.form {
            Form::Unknown | Form::Raw | Form::Survey(_) => {}
            Form::Whole(gathered) if self.is_success() => {
                heard.hear(|out| provider.text(gathered.so_far(), out));
            }
            Form::Whole(_) => {}
            Form::Pass { held, .. } => {
                held.iter().for_each(|frame| heard.hear(|out| provider.text(frame.data(), out)));
            }
            Form::Translate { events, .. } => events.iter().for_each(|event| hear(event, &mut heard)),
            Form::Assemble { told, .. } => heard.clone_from(&told.heard),
        }
        heard
    }

    /// What the provider has reported by now: Anthropic tells the input first of all.
    pub(super) fn reported(&self) -> Option<Usage> {
        let (provider, target) = (self.sent.provider(), self.sent.target());
        match &self.form {
            Form::Unknown | Form::Raw | Form::Survey(_) | Form::Whole(_) => None,
            Form::Pass { held, .. } => held.iter().fold(None, |earlier, frame| {
                provider.usage(frame.data(), earlier.as_ref(), &target).or(earlier)
            }),
            Form::Translate { events, .. } => events.iter().rev().find_map(|event| {
                if let Event::Usage(usage) = event { Some((**usage).clone()) } else { None }
            }),
            Form::Assemble { told, .. } => told.usage.clone(),
        }
    }

    pub(super) fn is_success(&self) -> bool {
        (200..300).contains(&self.status)
    }

    pub(super) fn status(&self) -> u16 {
        self.status
    }

    /// Whether the provider says no, where that is passed on as it is.
    pub(super) fn is_refusal(&self) -> bool {
        self.status >= 400
    }

    /// What a refusal says.
    pub(super) fn fault(&self, body: &[u8]) -> UpstreamFault {
        self.sent.provider().fault(self.status, &self.headers, body, &self.sent.target())
    }

    /// Whether it passes whatever it is.
    fn passes(&self, request: &Request) -> bool {
        request.is_raw() || request.passes_unread() && self.is_success()
    }

    pub(super) fn on_chunk(&mut self, mut chunk: Bytes, request: &Request, now: Time) -> Verdict {
        self.sent.times.heard(now);
        if matches!(self.form, Form::Unknown) && self.passes(request) {
            self.form = match request.survey().filter(|_| self.is_success()) {
                Some(survey) => Form::Survey(survey),
                // A refusal may be one that another key mends.
                None if self.is_said_json() || request.is_raw() && self.is_refusal() => {
                    Form::Whole(Gather::default())
                }
                None if self.said_framing().is_none() && request.waits_for_words() => {
                    Form::Whole(Gather::default())
                }
                None => Form::Raw,
            };
        }
        if matches!(self.form, Form::Unknown) {
            self.form = self.recognise(&chunk, request);
            self.blank.push(chunk);
            if matches!(self.form, Form::Unknown) {
                let enough = self.blank.len() <= MAX_PREAMBLE;
                return if enough { Verdict::More } else { too_large(MAX_PREAMBLE) };
            }
            chunk = self.blank.take();
        }
        match &mut self.form {
            Form::Unknown => Verdict::More,
            Form::Raw => {
                self.sent.times.content(now);
                let eye = self.said_framing().filter(|_| !request.is_free()).map(Framer::new);
                if let Some(fault) = self.first_fault(&chunk).filter(|_| request.task().is_some()) {
                    return Verdict::Failed(Box::new(fault));
                }
                Verdict::Committed(Box::new(Opening::Raw { first: chunk, eye }))
            }
            Form::Survey(survey) => match survey.push(&chunk, &request.gauge) {
                Ok(()) => Verdict::More,
                Err(fault) => Verdict::Surveyed(Box::new(Err(fault))),
            },
            Form::Whole(gathered) => {
                let limit = if (200..300).contains(&self.status) { MAX_WHOLE } else { MAX_ERROR };
                gathered.push(chunk);
                if gathered.len() <= limit {
                    return Verdict::More;
                }
                if (200..300).contains(&self.status) {
                    return too_large(limit);
                }
                if !request.is_raw() {
                    return self.judge_whole(request);
                }
                Verdict::Committed(Box::new(Opening::Raw { first: gathered.take(), eye: None }))
            }
            Form::Pass { framer, held } => match framer.push(chunk, held) {
                Ok(()) => {
                    let told = held.iter().map(Frame::data).find(|data| !data.trim_ascii().is_empty());
                    let first = told.and_then(|data| first_dialect(&self.sent, data, request));
                    match first {
                        Some(first) => self.translate_from(first, request, now),
                        None => self.judge_frames(request, now),
                    }
                }
                Err(unframed) => failed(UpstreamClass::Garbled, 200, &unframed.to_string()),
            },
            Form::Translate { framer, decoder, events, size } => {
                *size += chunk.len();
                match decode(framer, decoder.as_mut(), chunk, events) {
                    Ok(()) => self.judge_events(request, now),
                    Err(verdict) => verdict,
                }
            }
            Form::Assemble { framer, decoder, assembler, size, told } => {
                *size += chunk.len();
                let mut events = Vec::new();
                if let Err(verdict) = decode(framer, decoder.as_mut(), chunk, &mut events) {
                    return verdict;
                }
                for event in events {
                    told.on(&event);
                    assembler.on(event);
                }
                if *size > MAX_WHOLE { too_large(MAX_WHOLE) } else { self.judge_assembled(request) }
            }
        }
    }

    pub(super) fn on_end(&mut self, request: &Request, now: Time) -> Verdict {
        if let (Form::Unknown, Some(nothing), true) = (&self.form, request.survey(), self.is_success()) {
            self.form = Form::Survey(nothing);
        }
        match &mut self.form {
            Form::Survey(survey) => {
                let found = std::mem::take(&mut **survey).finish(&request.gauge);
                Verdict::Surveyed(Box::new(found))
            }
            Form::Unknown | Form::Raw | Form::Whole(_) => self.judge_whole(request),
            Form::Pass { framer, held } => {
                held.extend(framer.finish());
                self.judge_frames(request, now)
                    .or_failed(UpstreamClass::Garbled, "the stream ended without an answer")
            }
            Form::Translate { framer, decoder, events, .. } => {
                finish(framer, decoder.as_mut(), events);
                self.judge_events(request, now)
                    .or_failed(UpstreamClass::Garbled, "the stream ended without an answer")
            }
            Form::Assemble { framer, decoder, assembler, told, .. } => {
                let mut events = Vec::new();
                finish(framer, decoder.as_mut(), &mut events);
                for event in events {
                    told.on(&event);
                    assembler.on(event);
                }
                self.judge_assembled(request).or_failed(UpstreamClass::Connection, "the stream was cut")
            }
        }
    }

    /// Goes by the body's first byte: labels are wrong often enough, and either form may come
    /// whatever was asked for.
    fn recognise(&self, chunk: &[u8], request: &Request) -> Form {
        let first = chunk.iter().find(|byte| !byte.is_ascii_whitespace());
        let asked = if self.sent.path == Path::Pass { request.line.framing } else { Framing::Events };
        let framing = match first {
            Some(b'[') if self.is_success() && request.wants_stream() && asked == Framing::Array => asked,
            // Each line is an object, and a whole answer is one of them.
            Some(b'{') if self.is_success() && self.in_lines() && !request.embeds() => Framing::Lines,
            // The length of a message is below 2^24.
            Some(0) if self.is_success() => Framing::EventStream,
            Some(b'{' | b'[' | b'<' | b'"') => return Form::Whole(Gather::default()),
            Some(_) if self.is_success() => Framing::Events,
            Some(_) => return Form::Whole(Gather::default()),
            None => return Form::Unknown,
        };
        let target = self.sent.target();
        let framer = Framer::new(framing);
        match (request.wants_stream(), self.sent.path) {
            (true, Path::Pass) if framing == asked => Form::Pass { framer, held: Vec::new() },
            (true, Path::Pass | Path::Translate) => {
                let decoder = self.sent.provider().decoder(&target);
                Form::Translate { framer, decoder, events: Vec::new(), size: 0 }
            }
            (false, _) => {
                let decoder = self.sent.provider().decoder(&target);
                Form::Assemble { framer, decoder, assembler: Box::default(), size: 0, told: Box::default() }
            }
        }
    }

    fn in_lines(&self) -> bool {
        streams_as(self.sent.vendor.dialect) == Framing::Lines
    }

    /// The fault with which a stream of events begins that nobody reads otherwise.
    fn first_fault(&self, chunk: &Bytes) -> Option<UpstreamFault> {
        let mut frames = Vec::new();
        Framer::new(self.said_framing()?).push(chunk.clone(), &mut frames).ok()?;
        let provider = self.sent.provider();
        let first = frames.iter().find(|frame| !frame.data().trim_ascii().is_empty())?;
        let failed = provider.glance(first) == Glance::Fault;
        failed.then(|| in_band_fault(provider, first, &self.headers, &self.sent.target()))
    }

    fn judge_whole(&mut self, request: &Request) -> Verdict {
        let body = match &mut self.form {
            Form::Whole(gathered) => gathered.take(),
            Form::Unknown
            | Form::Raw
            | Form::Survey(_)
            | Form::Pass { .. }
            | Form::Translate { .. }
            | Form::Assemble { .. } => Bytes::new(),
        };
        if let Some(first) = first_dialect(&self.sent, &body, request).filter(|_| self.is_success()) {
            self.sent.answered_in(first);
        }
        let (provider, target) = (self.sent.provider(), self.sent.target());
        if request.is_raw() {
            // What a batch says of its usage is no news to whoever looks at it again.
            let tells = self.is_success() && !request.is_free();
            let usage = tells.then(|| provider.usage(&body, None, &target)).flatten();
            return Verdict::Whole(Box::new(Whole { body, usage, heard: Heard::default() }));
        }
        if !self.is_success() {
            return Verdict::Failed(Box::new(provider.fault(self.status, &self.headers, &body, &target)));
        }
        if request.task().is_some() {
            if body.trim_ascii().is_empty() {
                return failed(UpstreamClass::Garbled, self.status, "the answer is empty");
            }
            if let Some(fault) = provider.refused(&body).filter(|_| provider.may_have_failed(&body)) {
                return Verdict::Failed(fault);
            }
        }
        if request.passes_unread() {
            let usage = provider.usage(&body, None, &target);
            return Verdict::Whole(Box::new(Whole { body, usage, heard: Heard::default() }));
        }
        let announced =
            if self.headers.contains_key(CONTENT_LENGTH) { Length::Announced } else { Length::Open };
        if !is_whole_json(&body, announced) {
            return failed(UpstreamClass::Garbled, self.status, "the answer is empty, cut or not JSON");
        }
        if seeks_milder(request) && provider.is_blocked(&body) {
            return blocked();
        }
        // An array is a stream's form: nobody who wants one answer reads it.
        let one = !body.trim_ascii_start().starts_with(b"[");
        let may_pass = self.sent.path == Path::Pass && !request.wants_stream() && one;
        // That is rare; where it seems so, decoding tells an error from prose.
        if may_pass && !provider.may_have_failed(&body) {
            let usage = provider.usage(&body, None, &target);
            let mut heard = Heard::default();
            if usage.is_none() {
                heard.hear(|out| provider.text(&body, out));
            }
            let body = self.sent.marked_whole(body);
            return Verdict::Whole(Box::new(Whole { body, usage, heard }));
        }
        if request.embeds() {
            return match provider.decode_embeddings(&body, &target) {
                Err(fault) => Verdict::Failed(fault),
                Ok(vectors) => {
                    let body = if may_pass { Some(body) } else { request.shown(&vectors) };
                    let heard = Heard::default();
                    Verdict::Whole(Box::new(Whole {
                        body: body.unwrap_or_default(),
                        usage: vectors.usage,
                        heard,
                    }))
                }
            };
        }
        match provider.decode(&body, &target) {
            Err(fault) => Verdict::Failed(fault),
            Ok(reply) if request.wants_stream() => {
                Verdict::Committed(Box::new(Opening::Reply(Box::new(reply))))
            }
            Ok(reply) if may_pass => {
                let heard = heard_of(&reply);
                let body = self.sent.marked_whole(body);
                Verdict::Whole(Box::new(Whole { body, usage: reply.usage, heard }))
            }
            Ok(reply) => Verdict::Whole(Box::new(self.render(reply, request))),
        }
    }

    /// What was thought to pass has to be translated from this vendor's first dialect.
    fn translate_from(&mut self, first: &'static Vendor, request: &Request, now: Time) -> Verdict {
        let Form::Pass { framer, held } = &mut self.form else { return Verdict::More };
        let (framer, frames) = (std::mem::take(framer), std::mem::take(held));
        self.sent.answered_in(first);
        let mut decoder = self.sent.provider().decoder(&self.sent.target());
        let mut events = Vec::new();
        frames.iter().for_each(|frame| decoder.on(frame, &mut events));
        let size = frames.iter().map(|frame| frame.raw().len()).sum();
        self.form = Form::Translate { framer, decoder, events, size };
        self.judge_events(request, now)
    }

    fn judge_frames(&mut self, request: &Request, now: Time) -> Verdict {
        let Form::Pass { framer, held } = &mut self.form else { return Verdict::More };
        let (provider, target) =
            (self.sent.provider(), Target { vendor: self.sent.vendor, model: &self.sent.model });
        for frame in held.iter() {
            if seeks_milder(request) && provider.is_blocked(frame.data()) {
                return blocked();
            }
            match provider.glance(frame) {
                Glance::Preamble => {}
                Glance::Fault => {
                    let fault = in_band_fault(provider, frame, &self.headers, &target);
                    return Verdict::Failed(Box::new(fault));
                }
                Glance::Content | Glance::Finish | Glance::End => {
                    self.sent.times.content(now);
                    let (framer, frames) = (std::mem::take(framer), std::mem::take(held));
                    return Verdict::Committed(Box::new(Opening::Pass { framer, frames }));
                }
            }
        }
        let size: usize = held.iter().map(|frame| frame.raw().len()).sum();
        if size <= MAX_PREAMBLE {
            return Verdict::More;
        }
        let (framer, frames) = (std::mem::take(framer), std::mem::take(held));
        Verdict::Committed(Box::new(Opening::Pass { framer, frames }))
    }

    fn judge_events(&mut self, request: &Request, now: Time) -> Verdict {
        let status = self.status;
        let form = std::mem::replace(&mut self.form, Form::Unknown);
        let Form::Translate { framer, decoder, mut events, size } = form else { return Verdict::More };
        let decisive = events.iter().position(|event| event.is_content() || matches!(event, Event::Fault(_)));
        match decisive.and_then(|at| events.get(at)) {
            Some(Event::Fault(fault)) => Verdict::Failed(fault.clone()),
            Some(Event::Stop { stop: Stop::Filtered, .. }) if seeks_milder(request) => blocked(),
            Some(Event::End) if !events.iter().any(|event| matches!(event, Event::Start(_))) => {
                failed(UpstreamClass::Garbled, status, "the stream ended without an answer")
            }
            Some(_) => {
                self.sent.times.content(now);
                let events = std::mem::take(&mut events);
                Verdict::Committed(Box::new(Opening::Translate { framer, decoder, events }))
            }
            None if size > MAX_PREAMBLE => too_large(MAX_PREAMBLE),
            None => {
                self.form = Form::Translate { framer, decoder, events, size };
                Verdict::More
            }
        }
    }

    fn judge_assembled(&mut self, request: &Request) -> Verdict {
        let Form::Assemble { assembler, .. } = &mut self.form else { return Verdict::More };
        if !assembler.is_finished() {
            return Verdict::More;
        }
        match std::mem::take(assembler).finish() {
            None => Verdict::More,
            Some(Err(fault)) => Verdict::Failed(fault),
            Some(Ok(reply)) if seeks_milder(request) && is_blocked(&reply) => blocked(),
            Some(Ok(reply)) => Verdict::Whole(Box::new(self.render(reply, request))),
        }
    }

    fn render(&self, mut reply: Reply, request: &Request) -> Whole {
        self.sent.marks.iter().for_each(|marks| marks.on_reply(&mut reply));
        let body = request.surface.render(&reply, &request.asked());
        let heard = heard_of(&reply);
        Whole { body, usage: reply.usage, heard }
    }

    /// The media type it is said to be, without parameters.
    fn said(&self) -> &[u8] {
        let said = self.headers.get(CONTENT_TYPE).map_or(&[][..], HeaderValue::as_bytes);
        said.split(|byte| *byte == b';').next().unwrap_or_default().trim_ascii()
    }

    fn is_said_json(&self) -> bool {
        let said = self.said();
        said.eq_ignore_ascii_case(b"application/json") || said.ends_with(b"+json")
    }

    /// The form of the stream it is said to be, if it is one.
    pub(super) fn said_framing(&self) -> Option<Framing> {
        let said = self.said();
        let mut known = [Framing::Events, Framing::EventStream].into_iter();
        known.find(|framing| said.eq_ignore_ascii_case(framing.content_type().as_bytes()))
    }

    /// What the client is told of bytes that nobody reads: the upstream's own words, if it has any.
    pub(super) fn own_words(&self, request: &Request) -> impl Iterator<Item = (HeaderName, &HeaderValue)> {
        let known = if request.is_raw() { ANSWERED.as_slice() } else { &[CONTENT_TYPE] };
        known.iter().filter_map(|name| Some((name.clone(), self.headers.get(name)?)))
    }

    /// The label the client is given: the upstream's own where its bytes pass.
    pub(super) fn content_type(&self, fallback: &'static str) -> HeaderValue {
        let label = self.headers.get(CONTENT_TYPE).filter(|label| {
            self.sent.path == Path::Pass && label.as_bytes().starts_with(fallback.as_bytes())
        });
        label.cloned().unwrap_or(HeaderValue::from_static(fallback))
    }
}

use crate::provider::{Provider, Target};

/// The row of the vendor's first dialect, where it was spoken to in its other and answers in that one.
fn first_dialect(sent: &Sent, data: &[u8], request: &Request) -> Option<&'static Vendor> {
    let provider = request.config.provider(sent.lane.provider)?;
    let is_first = sent.speaks_second(provider) && sent.path == Path::Pass && is_chat(data);
    is_first.then_some(provider.vendor)
}

/// A fault inside a stream, read by the provider. A frame that only looked like one is told as it is.
pub(super) fn in_band_fault(
    provider: &dyn Provider,
    frame: &Frame,
    headers: &HeaderMap,
    target: &Target<'_>,
) -> UpstreamFault {
    provider.frame_fault(frame, headers, target)
}

/// Whether a prompt that is blocked would go to another model.
fn seeks_milder(request: &Request) -> bool {
    request.has_others_for(UpstreamClass::ContentFilter)
}

/// Whether the filter left nothing of an answer.
fn is_blocked(reply: &Reply) -> bool {
    reply.choices.iter().all(|choice| choice.parts.is_empty() && choice.stop == Some(Stop::Filtered))
}

/// A provider's filter has refused the prompt with an answer that is no error by its status.
fn blocked() -> Verdict {
    failed(UpstreamClass::ContentFilter, 400, "the provider's filter has blocked the prompt")
}

/// What a reply says, where nobody has counted it.
fn heard_of(reply: &Reply) -> Heard {
    let mut heard = Heard::default();
    if reply.usage.is_none() {
        reply.clone().into_events().iter().for_each(|event| hear(event, &mut heard));
    }
    heard
}

/// What an event adds to what the model has said.
pub(super) fn hear(event: &Event, heard: &mut Heard) {
    match event {
        Event::Text { text, .. }
        | Event::Thinking { text, .. }
        | Event::Refusal { text, .. }
        | Event::ToolArguments { text, .. }
        | Event::ToolStart { name: text, .. } => heard.hear(|out| out.push_str(text)),
        Event::Start(_)
        | Event::TextSignature { .. }
        | Event::Citation { .. }
        | Event::ThinkingSignature { .. }
        | Event::SealedThinking { .. }
        | Event::Part { .. }
        | Event::LogProbs { .. }
        | Event::Extras { .. }
        | Event::Stop { .. }
        | Event::Usage(_)
        | Event::Fault(_)
        | Event::End => {}
    }
}

fn decode(
    framer: &mut Framer,
    decoder: &mut dyn Decode,
    chunk: Bytes,
    events: &mut Vec<Event>,
) -> Result<(), Verdict> {
    let mut frames = Vec::new();
    let unframed = |unframed: Unframed| failed(UpstreamClass::Garbled, 200, &unframed.to_string());
    framer.push(chunk, &mut frames).map_err(unframed)?;
    frames.iter().for_each(|frame| decoder.on(frame, events));
    Ok(())
}

fn finish(framer: &mut Framer, decoder: &mut dyn Decode, events: &mut Vec<Event>) {
    if let Some(frame) = framer.finish() {
        decoder.on(&frame, events);
    }
    decoder.on_end(events);
}

/// How the end of a body was known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Length {
    /// All that was announced has come.
    Announced,
    /// It ended when the upstream, or something on the way, said so.
    Open,
}

/// A look at both ends is enough where the transport has vouched for what is between them.
fn is_whole_json(body: &[u8], length: Length) -> bool {
    let body = body.trim_ascii();
    let ends = matches!((body.first(), body.last()), (Some(b'{'), Some(b'}')) | (Some(b'['), Some(b']')));
    match length {
        Length::Announced => ends,
        Length::Open => ends && serde_json::from_slice::<serde::de::IgnoredAny>(body).is_ok(),
    }
}

fn failed(class: UpstreamClass, status: u16, what: &str) -> Verdict {
    Verdict::Failed(Box::new(UpstreamFault::new(class, status, what)))
}

fn too_large(limit: usize) -> Verdict {
    let what = format!("the answer holds a piece larger than {limit} bytes");
    Verdict::Failed(Box::new(UpstreamFault::new(UpstreamClass::Garbled, 200, what)))
}

#[cfg(test)]
mod tests;
