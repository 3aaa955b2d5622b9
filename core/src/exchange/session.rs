//! A realtime session as a value: two WebSockets, and what passes between them metered.
//!
//! ```text
//!  new ──▶ SEAT ──▶ SHARE ──▶ CHOOSE ──▶ DIAL ──open──▶ ANSWER ──▶ OPEN ──▶ done
//!            │        │        ▲ │         │              │         │ a side closes or breaks, time is up,
//!            └────────┴────────┼─┴─────────┘ refused      │ left    │ a limit has no room
//!                              └─ another attempt, as long as the client has no answer
//! ```
//! SEAT takes what a request takes: it counts as one and has its place until the session ends. A *share* is
//! what the next response may consume. It is settled with what the response has consumed, and the next one
//! is taken before another message passes; where it is refused the session ends. A response that uses up more
//! than its share is stopped.
//!
//! 1. Seat and shares end exactly once, whatever happens.
//! 2. At no time more than one share is held.
//! 3. No attempt is made after the client's handshake was answered.
//! 4. Both sides are closed in the end: with the code of the side that closed, or with one of ours after an
//!    `error` event.
//! 5. Messages pass as they came and in their order; none is kept back but those of a response that was stopped.

mod handshake;
mod meter;
mod open;
mod share;
mod stop;
#[cfg(test)]
mod tests;

pub use handshake::Handshake;
pub(crate) use handshake::{KEY_PROTOCOL, protocols};

use super::answer::{self, Tried};
use super::quota::{Ended, Quota};
use super::record::Record;
use super::request::Request;
use crate::admit::Admitted;
use crate::config::{Config, Route, Timeouts};
use crate::dialect::Dialect;
use crate::fault::{Code, Fault, UpstreamClass, UpstreamFault};
use crate::fleet::{Attempt, Choice, Lane, Notice, Outcome, Query};
use crate::host::{Closing, Declined, Fetch, Heard, Message};
use crate::ledger::{Entry, Hold, Refusal, Settlement, Targets};
use crate::provider::{self, Target, wait};
use crate::retry::{self, Closed, Verdict};
use crate::units::{Millis, Time};
use crate::vendor::{ChatPath, Vendor};
use bytes::Bytes;
use http::header::{HeaderMap, SEC_WEBSOCKET_PROTOCOL};
use http::{Response, StatusCode};
use open::End;
use share::Share;
use std::collections::VecDeque;
use std::sync::Arc;

/// A handshake that was admitted.
pub struct Opening {
    /// What its head told.
    pub admitted: Admitted,
    /// What it says of the session.
    pub handshake: Handshake,
}

/// One of two.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// Who asked for the session.
    Client,
    /// The upstream.
    Server,
}

/// What a session is told.
#[derive(Debug)]
pub enum Input {
    /// The ledger's answer to [`Step::Reserve`].
    Reserved(Result<Hold, Refusal>),
    /// The fleet's answer to [`Step::Choose`].
    Chosen(Choice),
    /// The upstream's answer to [`Step::Dial`]: the headers of one that opened.
    Dialed(Result<HeaderMap, Declined>),
    /// Whether the client was there to take the answer of 101.
    Entered(bool),
    /// Something of one side.
    Heard(Side, Heard),
    /// The time of [`Session::wake_at`] has come.
    Tick,
}

/// What a session wants done, in order.
#[derive(Debug)]
pub enum Step {
    /// Take quota; answer with [`Input::Reserved`].
    Reserve(Entry),
    /// Ask the fleet with [`Session::query`]; answer with [`Input::Chosen`].
    Choose,
    /// Open a WebSocket to the upstream; answer with [`Input::Dialed`], or at [`Session::wake_at`] with
    /// [`Input::Tick`].
    Dial(Box<Fetch>),
    /// Answer the client's handshake; after 101, tell with [`Input::Entered`].
    Answer(Response<Bytes>),
    /// Pass this on, or say it.
    Send(Side, Message),
    /// Close one side.
    Close(Side, Closing),
    /// Tell the fleet how an attempt went.
    Observe(Lane, Outcome),
    /// Tell the fleet what else was learned of an upstream.
    Notice(Lane, Notice),
    /// End a share.
    Settle(Hold, Settlement),
    /// Write the session's record, and end its seat, if it has one.
    End(Box<Record>, Option<Ended>),
}

/// Where a session stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    Seat,
    Share,
    Choose,
    Pause { until: Time },
    Dial { until: Time },
    Answer,
    Open,
    Done,
}

/// A session in flight.
pub struct Session {
    request: Request,
    handshake: Handshake,
    phase: Phase,
    /// What the client is going to be told, once it has been counted as a request.
    pending: Option<Fault>,
    seat: Option<Hold>,
    share: Share,
    /// Targets that are not to be called.
    closed: Targets,
    attempts: Vec<Attempt>,
    failures: Vec<retry::Failure>,
    /// The first refusal of an upstream's that says something of the request.
    declined: Option<UpstreamFault>,
    calls: u32,
    called: Targets,
    waited: Option<Lane>,
    lane: Option<Lane>,
    /// When the upstream was last dialed.
    dialed: Time,
    /// When a message last passed.
    heard: Time,
    steps: VecDeque<Step>,
    record: Box<Record>,
}

impl Session {
    /// Begins with a handshake that was admitted.
    pub fn new(opening: Opening, now: Time) -> Box<Self> {
        let Opening { admitted, handshake } = opening;
        let (request, fault) = Request::new(admitted, Bytes::new());
        let (closed, none) = unable(&request);
        let pending = fault.or_else(|| none.then(|| unserved(&request)));
        let mut record = Box::new(Record::new(&request, now));
        let pending = pending.or_else(|| request.unseen("a realtime session", &mut record));
        let mut session = Box::new(Self {
            handshake,
            phase: Phase::Seat,
            pending,
            seat: None,
            share: Share::default(),
            closed,
            attempts: Vec::new(),
            failures: Vec::new(),
            declined: None,
            calls: 0,
            called: Targets::NONE,
            waited: None,
            lane: None,
            dialed: now,
            heard: now,
            steps: VecDeque::new(),
            record,
            request,
        });
        match Quota::entry_of_one(&session.request) {
            Some(entry) => session.steps.push_back(Step::Reserve(Entry { lease: session.lease(), ..entry })),
            None => session.seated(now),
        }
        session
    }

    /// The next thing to do, until there is none.
    pub fn next_step(&mut self) -> Option<Step> {
        self.steps.pop_front()
    }

    /// True once nothing more will be asked for.
    pub fn is_done(&self) -> bool {
        self.phase == Phase::Done && self.steps.is_empty()
    }

    /// When to wake the session with [`Input::Tick`] if nothing else happens.
    pub fn wake_at(&self) -> Time {
        let deadline = self.request.deadline;
        match self.phase {
            Phase::Seat | Phase::Share | Phase::Choose | Phase::Answer => deadline,
            Phase::Pause { until } | Phase::Dial { until } => deadline.min(until),
            Phase::Open => {
                let Timeouts { session, session_idle, .. } = self.timeouts();
                (self.heard + session_idle).min(self.dialed + session).min(self.stops_at())
            }
            Phase::Done => Time::NEVER,
        }
    }

    /// Those of the provider that is called; of one that is not known yet, the usual.
    fn timeouts(&self) -> Timeouts {
        let provider = self.lane.and_then(|lane| self.request.config.provider(lane.provider));
        provider.map_or(Timeouts::USUAL, |provider| provider.timeouts)
    }

    /// The longest that it may hold anything.
    fn lease(&self) -> Millis {
        let targets = self.request.route.targets.iter().chain(&self.request.route.fallbacks);
        let providers = targets.filter_map(|target| self.request.config.provider(target.provider));
        let longest =
            providers.map(|provider| provider.timeouts.session + provider.timeouts.session_idle).max();
        longest.unwrap_or(Timeouts::USUAL.session)
    }

    /// The longest message that is taken, in bytes.
    pub fn longest_message(&self) -> usize {
        usize::try_from(self.request.config.server.max_body).unwrap_or(usize::MAX)
    }

    /// The question behind [`Step::Choose`].
    pub fn query(&self, now: Time, random: u64) -> Query<'_> {
        Query {
            config: &self.request.config,
            route: &self.request.route,
            conversation: None,
            pin: None,
            closed: self.closed,
            attempts: &self.attempts,
            waited: self.waited,
            deadline: self.request.deadline,
            now,
            random,
        }
    }

    /// The config the session runs under.
    pub fn config(&self) -> &Config {
        &self.request.config
    }

    /// The route it takes.
    pub fn route(&self) -> &Arc<Route> {
        &self.request.route
    }

    /// Takes in what happened. What does not fit the phase is ignored.
    pub fn on(&mut self, input: Input, now: Time) {
        match (self.phase, input) {
            (Phase::Seat, Input::Reserved(Ok(hold))) => {
                self.request.standing = hold.standing;
                self.closed = self.closed.or(hold.closed);
                self.seat = Some(hold);
                self.seated(now);
            }
            (Phase::Seat | Phase::Share, Input::Reserved(Err(refusal))) => {
                let fault = self.pending.take().filter(|_| matches!(refusal, Refusal::Unavailable { .. }));
                self.refuse(&fault.unwrap_or_else(|| refusal.into_fault()), now);
            }
            (Phase::Share, Input::Reserved(Ok(hold))) => {
                self.request.standing.tokens = hold.standing.tokens;
                self.closed = self.closed.or(hold.closed);
                self.share.taken(hold, now);
                self.choose();
            }
            (Phase::Choose, Input::Chosen(choice)) => self.on_chosen(choice, now),
            (Phase::Dial { .. }, Input::Dialed(Ok(headers))) => self.on_dialed(&headers, now),
            (Phase::Dial { .. }, Input::Dialed(Err(declined))) => self.on_declined(declined, now),
            (Phase::Answer, Input::Entered(true)) => {
                self.phase = Phase::Open;
                self.heard = now;
            }
            (Phase::Answer, Input::Entered(false)) => self.end(End::gone(), now),
            (Phase::Open, Input::Reserved(Ok(hold))) => self.share.taken(hold, now),
            (Phase::Open, Input::Reserved(Err(refusal))) => self.cut_by(refusal, now),
            (Phase::Open, Input::Heard(side, heard)) => self.on_heard(side, heard, now),
            (_, Input::Tick) => self.on_tick(now),
            _ => {}
        }
    }

    /// It counts as a request: now to what it is refused for, or to what its first response may consume.
    fn seated(&mut self, now: Time) {
        if let Some(fault) = self.pending.take() {
            return self.refuse(&fault, now);
        }
        self.phase = Phase::Share;
        match self.next_share() {
            Ok(Some(entry)) => self.steps.push_back(Step::Reserve(entry)),
            Ok(None) => self.choose(),
            Err(fault) => self.refuse(&fault, now),
        }
    }

    fn choose(&mut self) {
        self.phase = Phase::Choose;
        self.steps.push_back(Step::Choose);
    }

    fn on_chosen(&mut self, choice: Choice, now: Time) {
        self.waited = None;
        match choice {
            Choice::Send(lane) => self.dial(lane, now),
            Choice::Wait { lane, until } => {
                self.waited = Some(lane);
                self.phase = Phase::Pause { until };
            }
            Choice::Exhausted { reopens, limited } => {
                let reopens_in = reopens.map(|at| at.since(now).max(Millis(1)));
                let fault = match self.declined.take() {
                    Some(declined) => answer::passed_on(declined),
                    None => retry::explain(&self.failures, Closed { reopens_in, limited }),
                };
                self.refuse(&fault, now);
            }
        }
    }

    fn dial(&mut self, lane: Lane, now: Time) {
        match self.handshake.fetch(&self.request, lane) {
            Ok(fetch) => {
                self.calls += 1;
                self.called = self.called.with(lane.target);
                self.record.sent(&self.request, lane, self.calls);
                self.lane = Some(lane);
                self.dialed = now;
                self.phase = Phase::Dial { until: now + self.timeouts().first_byte };
                self.steps.push_back(Step::Dial(fetch));
            }
            Err(fault) => {
                self.steps.push_back(Step::Observe(lane, Outcome::Unknown));
                self.refuse(&fault, now);
            }
        }
    }

    fn on_dialed(&mut self, headers: &HeaderMap, now: Time) {
        let Some(lane) = self.lane else { return };
        self.phase = Phase::Answer;
        self.record.answered(StatusCode::SWITCHING_PROTOCOLS.as_u16(), now.since(self.dialed));
        let model = self.request.target(lane).map_or("", |target| &target.model);
        let mut head = answer::opened(&self.request, lane, model, headers, self.calls);
        if let Some(protocol) = self.handshake.protocol() {
            head.headers_mut().insert(SEC_WEBSOCKET_PROTOCOL, protocol);
        }
        self.steps.push_back(Step::Answer(head));
    }

    fn on_declined(&mut self, declined: Declined, now: Time) {
        let Some(lane) = self.lane else { return };
        let fault = match declined {
            Declined::Failed(error) => UpstreamFault::new(UpstreamClass::Connection, 0, error.what),
            Declined::Answered(mut head, body) => {
                wait::dates_to_seconds(&mut head.headers, now);
                let config = Arc::clone(&self.request.config);
                let vendor = config.provider(lane.provider).map(|provider| provider.vendor);
                let model = self.request.target(lane).map_or("", |target| &target.model);
                let status = head.status.as_u16();
                match vendor {
                    Some(vendor) => {
                        let target = Target { vendor, model };
                        provider::of(Dialect::OpenAi).fault(status, &head.headers, &body, &target)
                    }
                    None => UpstreamFault::new(UpstreamClass::of_status(status), status, ""),
                }
            }
        };
        self.fail(lane, fault, now);
    }

    /// An upstream did not open: another one may, as long as the client has no answer.
    fn fail(&mut self, lane: Lane, fault: UpstreamFault, now: Time) {
        let (class, retry_after) = (fault.class, fault.retry_after);
        let verdict = retry::verdict(class);
        let outcome = match verdict {
            Verdict::PassOn => Outcome::Unknown,
            Verdict::NextKey | Verdict::Next => Outcome::Failed { class, retry_after },
        };
        self.steps.push_back(Step::Observe(lane, outcome));
        let target = self.request.target(lane);
        self.failures.push(retry::Failure {
            provider: self.request.provider_name(lane).to_owned(),
            model: target.map(|target| target.model.clone()).unwrap_or_default(),
            key: self.request.credential_name(lane).to_owned(),
            class,
            status: fault.status,
            code: fault.code.clone().or_else(|| fault.kind.clone()),
        });
        self.attempts.push(Attempt { lane, class, at: now });
        self.lane = None;
        match (verdict, class) {
            // One that has no sessions says nothing of the others.
            (Verdict::PassOn, UpstreamClass::NotFound) => {
                self.declined.get_or_insert(fault);
                self.choose();
            }
            (Verdict::PassOn, _) => self.refuse(&answer::passed_on(fault), now),
            (Verdict::NextKey | Verdict::Next, _) => self.choose(),
        }
    }

    /// Answers with an error status: nothing was consumed.
    fn refuse(&mut self, fault: &Fault, now: Time) {
        self.phase = Phase::Done;
        self.record.failed(fault);
        let tried = Tried { calls: self.calls, failures: &self.failures, upstream_id: None };
        let answer = answer::refusal(&self.request, fault, tried).map(Option::unwrap_or_default);
        self.settle(Settlement::Release, now);
        self.steps.push_back(Step::Answer(answer));
    }

    fn on_tick(&mut self, now: Time) {
        match self.phase {
            Phase::Done => {}
            Phase::Open if now >= self.stops_at() => {
                self.end_response();
                let what = "the upstream goes on with a response that it was told to stop";
                self.cut(&Fault::new(Code::UpstreamError, what), 1011, now);
            }
            Phase::Open if now >= self.wake_at() => {
                let Timeouts { session, session_idle, .. } = self.timeouts();
                let (what, span) = match now >= self.dialed + session {
                    true => ("is longer than", session),
                    false => ("has been silent for", session_idle),
                };
                self.cut(&Fault::new(Code::Deadline, format!("the session {what} {span}")), 1001, now);
            }
            Phase::Open => {}
            Phase::Dial { .. } | Phase::Pause { .. } if now >= self.request.deadline => {
                let spent = now.since(self.request.at);
                if let Some(lane) = self.lane.take() {
                    let failed = Outcome::Failed { class: UpstreamClass::Timeout, retry_after: None };
                    self.steps.push_back(Step::Observe(lane, failed));
                }
                let message = format!("the request's deadline of {spent} passed");
                self.refuse(&Fault::new(Code::Deadline, message), now);
            }
            Phase::Pause { until } if now >= until => self.choose(),
            Phase::Dial { until } if now >= until => {
                let Some(lane) = self.lane else { return };
                let what = format!("no answer began within {}", now.since(self.dialed));
                self.fail(lane, UpstreamFault::new(UpstreamClass::Timeout, 0, what), now);
            }
            Phase::Seat | Phase::Share | Phase::Choose | Phase::Answer => {}
            Phase::Pause { .. } | Phase::Dial { .. } => {}
        }
    }
}

/// Targets that have no such sessions, and whether these are all.
fn unable(request: &Request) -> (Targets, bool) {
    let targets = || (0..).zip(request.route.targets.iter().chain(&request.route.fallbacks));
    let (mut unable, mut able) = (Targets::NONE, Targets::NONE);
    for (at, target) in targets() {
        let provider = request.config.provider(target.provider);
        match provider.is_some_and(|provider| has_sessions(provider.vendor)) {
            true => able = able.with(at),
            false => unable = unable.with(at),
        }
    }
    (unable, able.is_none())
}

/// Whether a vendor may have them: whoever speaks OpenAI's dialect at an address of its own.
fn has_sessions(vendor: &Vendor) -> bool {
    vendor.dialect == Dialect::OpenAi && vendor.quirks.path != ChatPath::Vertex
}

fn unserved(request: &Request) -> Fault {
    let message = format!(
        "no upstream of `{}` has realtime sessions: ask for a model of a provider that speaks OpenAI's dialect",
        request.envelope.model
    );
    Fault::new(Code::Unsupported, message).at("model")
}
