//! A request in flight as a value: facts go in, wishes come out.
//!
//! ```text
//!  new ──▶ ADMIT ──▶ CHOOSE ──Send──▶ SENT ──head──▶ READ ──first content──▶ RELAY
//!   │  ▲     │         │ ▲              │             │                        │ end, client left,
//!   ▼  │  refused   Wait│ │time         └──fault──────┤                        │ paid output used up,
//!  RECALL    │         ▼ │                            │                        │ fault (with its event)
//!  kept │    │       PAUSE ◀──── another attempt ─────┤ whole answer,          ▼
//!       └────┴────────────────────────────────────────┴ nothing left to try ▶ COUNT ──▶ done
//! ```
//! RECALL looks for a kept answer, where the cache is used. ADMIT asks for quota, and counts the prompt
//! where that decides. COUNT is passed through at once where usage was reported. The hold ends before
//! the client is given the end of its answer.
//!
//! Invariants, checked by the simulator after every step:
//!
//! - **I1** Each hold ends exactly once: settled or released.
//! - **I2** No attempt is made after the client's first byte.
//! - **I3** The client's bytes are a prefix of the fault-free answer, or end in one fault event.
//! - **I4** Past the deadline nothing but settlement is asked for.
//! - **I5** Requests, tokens and money balance, each on its own.
//! - **I6** A refused call reaches no upstream.
//! - **I7** No secret and no prompt text appears in a log, an error or a debug print.
//! - **I8** Each lead in the cache ends exactly once: with an answer that is kept, or given up.
//! - **I9** A kept answer is, byte for byte, what a client was given whole; it reaches no upstream, and
//!   takes nothing but one request.
//!
//! The exchange never waits. [`crate::drive::drive`] performs its steps, tells it what happened, and
//! wakes it at [`Exchange::wake_at`].

mod able;
mod answer;
mod attempt;
mod caching;
mod counting;
mod gather;
mod guarding;
mod id;
mod made;
mod quota;
mod ration;
mod raw;
mod read;
mod record;
mod relay;
mod request;
mod reservation;
mod session;
mod settlement;
mod splice;
mod task;
mod unheard;
#[cfg(test)]
mod stage;

pub(crate) use answer::{rate_limits, retry_hints};
pub use id::RequestId;
pub(crate) use id::{DIGITS, RequestIdText};
pub use quota::Ended;
pub use record::{Ending, Record, Wasted};
pub use session::{Handshake, Input as SessionInput, Opening, Session, Side, Step as SessionStep};
pub(crate) use session::{KEY_PROTOCOL, protocols};

use crate::admit::Admitted;
use crate::cache::{Kept, Lead, Lookup, Parting, Recall};
use crate::call::Operation;
use crate::config::{Config, Priced, Route};
use crate::count::{Counted, Heard, Uncounted};
use crate::fault::{Code, Fault, UpstreamClass, UpstreamFault};
use crate::fleet::{Attempt, Choice, Lane, Notice, Outcome, Query};
use crate::host::{Fetch, FetchError, FetchFault, Head, Leave, Out, Passed};
use crate::ledger::{Entry, Hold, Refusal};
use crate::media::{self, Fetched, MEDIA_PATIENCE, Wanted};
use crate::price::Terms;
use crate::provider::wait;
use crate::retry::{self, Closed, Verdict};
use crate::surface::Begun;
use crate::units::{Millis, Time, Tokens};
use attempt::{Path, Sent};
use bytes::Bytes;
use caching::Caching;
use counting::Tally;
use guarding::Watching;
use http::HeaderValue;
use quota::Quota;
use read::Reading;
use relay::Relay;
use request::{Gathered, Request};
use std::collections::VecDeque;
use std::sync::Arc;

/// What an exchange is told.
#[derive(Debug)]
pub enum Input {
    /// The ledger's answer to [`Step::Reserve`].
    Reserved(Result<Hold, Refusal>),
    /// The cache's answer to [`Step::Recall`].
    Recalled(Recall),
    /// The fleet's answer to [`Step::Choose`].
    Chosen(Choice),
    /// The fleet's answer to [`Step::ReadOn`].
    ReadOn(bool),
    /// The host's answer to [`Step::Count`].
    Counted(Counted),
    /// The upstream answers.
    Head(Head),
    /// More of the upstream's body.
    Chunk(Bytes),
    /// Frames of the upstream's passed by leave of [`Exchange::leave`].
    Passed(Passed),
    /// The upstream's body is complete.
    End,
    /// No answer came, or not all of it.
    Broken(FetchError),
    /// The time of [`Exchange::wake_at`] has come.
    Tick,
    /// The client left, or takes no more of the answer and the time is up.
    ClientLeft,
}

/// What an exchange wants done, in order.
#[derive(Debug)]
pub enum Step {
    /// Take quota; answer with [`Input::Reserved`].
    Reserve(Entry),
    /// Look for a kept answer; answer with [`Input::Recalled`]. Given up when the client leaves or at
    /// [`Exchange::wake_at`].
    Recall(Lookup),
    /// Ask the fleet with [`Exchange::query`]; answer with [`Input::Chosen`].
    Choose,
    /// Count tokens; answer with [`Input::Counted`].
    Count(Box<Uncounted>),
    /// Start an upstream call in place of any before it.
    Fetch(Box<Fetch>),
    /// Cancel the upstream call.
    Abort,
    /// Give this to the client.
    Emit(Out),
    /// Tell the fleet how an attempt went.
    Observe(Lane, Outcome),
    /// Tell the fleet what else was learned of an upstream.
    Notice(Lane, Notice),
    /// Ask the fleet whether there is room to read on for nobody; answer with [`Input::ReadOn`].
    ReadOn,
    /// Tell the fleet that this is over.
    HeardOut,
    /// Keep an answer.
    Keep(Kept),
    /// End a lead without one.
    Resign(Lead, Parting),
    /// End a hold while the request goes on: it takes another.
    Settle(Ended),
    /// Write the request's record, and end its hold, if it has one.
    End(Box<Record>, Option<Ended>),
}

/// A request in flight.
#[derive(Debug)]
pub struct Exchange {
    request: Request,
    phase: Phase,
    quota: Quota,
    /// What the client is going to be told, once it has been counted as a request.
    pending: Option<Box<Fault>>,
    attempts: Vec<Attempt>,
    failures: Vec<retry::Failure>,
    /// What an upstream said of the request itself, while other models are tried for exactly that. It
    /// explains more than how those may fail.
    declined: Option<Box<UpstreamFault>>,
    /// Upstream calls made, the one in progress included.
    calls: u32,
    /// The last answer's own request id.
    upstream_id: Option<HeaderValue>,
    /// Why quota was not given, while the prompt is being counted.
    refusal: Option<Refusal>,
    /// The lane that was waited for.
    waited: Option<Lane>,
    steps: VecDeque<Step>,
    record: Box<Record>,
    /// What was generated and nobody has reported, where it has to be counted.
    unreported: Option<Heard>,
    /// What the client gets last: after the hold has ended, so that whoever has it can call again and
    /// finds its slot free.
    farewell: Option<Out>,
    /// Whether the client has been given any of a stream.
    begun: Begun,
    /// Whether the client is there.
    audience: unheard::Audience,
    /// Its use of the cache of answers, as long as there is one.
    caching: Option<Box<Caching>>,
    /// A stream that guardrails look at.
    watching: Option<Box<Watching>>,
    /// What is counted is what the client asked for.
    tally: Tally,
    /// Output that was paid for and will never be seen.
    abandoned: Option<Tokens>,
    /// Of the target that was called last.
    price: Option<Arc<Priced>>,
    /// The upstream that was called last.
    called: Option<Lane>,
    /// What is told of a request that passes if nobody else answers it.
    refused: Option<Box<raw::Refused>>,
    /// The provider's, which hold for what it reports of a model without a price too.
    terms: Terms,
}

/// Where an exchange stands. Each phase is left by value: nothing of it can be used afterwards.
#[derive(Debug)]
enum Phase {
    /// A kept answer is looked for; at this time it goes on without one.
    Recall { until: Time },
    /// Quota has been asked for.
    Admit,
    /// The fleet has been asked.
    Choose,
    /// Nothing is open now; it will be.
    Pause { until: Time },
    /// A call is on its way.
    Sent(Sent),
    /// An answer has begun, and nothing of it has been emitted.
    Read(Box<Reading>),
    /// The client is being served.
    Relay(Box<Relay>),
    /// What was consumed is being counted; nothing else is to come but the settlement.
    Count,
    /// Everything is asked for.
    Done,
}

impl Exchange {
    /// Begins an exchange with a whole request body. Boxed: it is handed on several times, and is large.
    pub fn new(admitted: Admitted, body: Bytes, now: Time) -> Box<Self> {
        let (request, fault) = Request::new(admitted, body);
        Self::begin(request, fault, now)
    }

    /// Begins one whose request body could not be read: it is refused for that, and counts as a request.
    pub fn unread(admitted: Admitted, fault: Fault, now: Time) -> Box<Self> {
        Self::begin(Request::unread(admitted), Some(fault), now)
    }

    fn begin(request: Request, fault: Option<Fault>, now: Time) -> Box<Self> {
        let record = Box::new(Record::new(&request, now));
        let fault = fault.or_else(|| request.unserved());
        let quota = Quota::without(request.unable());
        let mut exchange = Box::new(Self {
            request,
            phase: Phase::Admit,
            quota,
            pending: None,
            attempts: Vec::new(),
            failures: Vec::new(),
            declined: None,
            calls: 0,
            upstream_id: None,
            refusal: None,
            waited: None,
            steps: VecDeque::with_capacity(8),
            record,
            unreported: None,
            farewell: None,
            begun: Begun::No,
            audience: unheard::Audience::There,
            caching: None,
            watching: None,
            tally: Tally::None,
            abandoned: None,
            price: None,
            called: None,
            refused: None,
            terms: Terms::default(),
        });
        match fault.or_else(|| exchange.guard_request()) {
            Some(fault) => exchange.refuse_counted(fault, now),
            None => exchange.look(now),
        }
        exchange
    }

    /// How large its request is, in bytes.
    pub fn size(&self) -> usize {
        self.request.body.len()
    }

    /// The next thing to do, until there is none.
    pub fn next_step(&mut self) -> Option<Step> {
        self.steps.pop_front()
    }

    /// True once nothing more will be asked for.
    pub fn is_done(&self) -> bool {
        matches!(self.phase, Phase::Done) && self.steps.is_empty()
    }

    /// When to wake the exchange with [`Input::Tick`] if nothing else happens.
    pub fn wake_at(&self) -> Time {
        let deadline = self.request.deadline.min(self.read_on_until());
        match &self.phase {
            Phase::Admit | Phase::Choose => deadline,
            Phase::Recall { until } | Phase::Pause { until } => deadline.min(*until),
            Phase::Sent(sent) => deadline.min(sent.wake_at()),
            Phase::Read(reading) => deadline.min(reading.wake_at()),
            Phase::Relay(relay) => deadline.min(relay.wake_at()),
            Phase::Count | Phase::Done => Time::NEVER,
        }
    }

    /// What of the upstream's stream may pass to the client without being shown here. Nothing that is to be
    /// kept in the cache or that a guardrail looks at.
    pub fn leave(&self) -> Option<Leave> {
        match &self.phase {
            Phase::Relay(relay) if self.caching.is_none() && self.watching.is_none() && !self.has_left() => {
                relay.leave()
            }
            Phase::Relay(_)
            | Phase::Recall { .. }
            | Phase::Admit
            | Phase::Choose
            | Phase::Pause { .. }
            | Phase::Sent(_)
            | Phase::Read(_)
            | Phase::Count
            | Phase::Done => None,
        }
    }

    /// How long a client may leave a piece untaken before it counts as gone: to the deadline and a
    /// little beyond, so that the deadline's own fault event can still be taken.
    pub fn patience(&self) -> Time {
        self.request.deadline + Millis::from_secs(5)
    }

    /// The question behind [`Step::Choose`].
    pub fn query(&self, now: Time, random: u64) -> Query<'_> {
        Query {
            config: &self.request.config,
            route: &self.request.route,
            conversation: self.request.conversation(),
            pin: self.request.pin,
            closed: self.quota.closed,
            attempts: &self.attempts,
            waited: self.waited,
            deadline: self.request.deadline,
            now,
            random,
        }
    }

    /// What the host has to fetch before it tells an exchange this choice; told by [`Self::fetched`].
    pub fn wants(&mut self, choice: &Choice) -> Option<Wanted> {
        match choice {
            Choice::Send(lane) => attempt::wanted(&mut self.request, *lane),
            Choice::Wait { .. } | Choice::Exhausted { .. } => None,
        }
    }

    /// What was fetched. What is missing is told where the request cannot be written without it.
    /// Nothing: it took too long.
    pub fn fetched(&mut self, fetched: Option<&[Fetched]>) {
        let failed = match (fetched, self.request.call.as_mut()) {
            (Some(fetched), Some(call)) => media::put(call, fetched),
            _ => Some(format!("it took longer than {MEDIA_PATIENCE}")),
        };
        self.request.media = failed.map_or(Gathered::All, Gathered::Failed);
    }

    /// The config the exchange runs under.
    pub fn config(&self) -> &Config {
        &self.request.config
    }

    /// The route it takes.
    pub fn route(&self) -> &Arc<Route> {
        &self.request.route
    }

    /// Takes in what happened. What does not fit the phase (a chunk that was under way when the call
    /// was aborted) is ignored.
    pub fn on(&mut self, input: Input, now: Time) {
        if matches!((&self.phase, &input), (Phase::Done, _)) {
            return;
        }
        // The client's leaving changes nothing any more, nor does the deadline.
        if matches!(self.phase, Phase::Count) && !matches!(input, Input::Counted(_)) {
            return;
        }
        if matches!(input, Input::Head(_) | Input::Chunk(_)) {
            self.read_on(now);
        }
        match input {
            Input::ClientLeft => self.on_client_left(now),
            Input::ReadOn(room) => self.on_read_on(room, now),
            Input::Tick => self.on_tick(now),
            Input::Reserved(answer) => self.on_reserved(answer, now),
            Input::Recalled(recall) => self.on_recalled(recall, now),
            Input::Chosen(choice) => self.on_chosen(choice, now),
            Input::Counted(counted) => self.on_counted(counted, now),
            Input::Head(head) => self.on_head(head, now),
            Input::Chunk(chunk) => self.on_chunk(chunk, now),
            Input::Passed(passed) => {
                if let Phase::Relay(relay) = &mut self.phase {
                    relay.on_passed(passed);
                }
            }
            Input::End => self.on_end(now),
            Input::Broken(error) => self.on_broken(error, now),
        }
    }

    fn on_broken(&mut self, error: FetchError, now: Time) {
        let left = self.has_left();
        if let Phase::Sent(sent) = &mut self.phase
            && error.kind == FetchFault::Stale
            && !left
            && let Some(fetch) = sent.again(&mut self.request)
        {
            // Not an attempt: the upstream never saw it.
            return self.steps.push_back(Step::Fetch(fetch));
        }
        self.fail(UpstreamFault::new(UpstreamClass::Connection, 0, error.what), now);
    }

    fn choose(&mut self) {
        self.phase = Phase::Choose;
        self.steps.push_back(Step::Choose);
    }

    /// When a token expires whose own limit does not open again: then there may be another token.
    fn until_expiry(&self, refusal: &Refusal, now: Time) -> Option<Millis> {
        let Refusal::Limited(limited) = refusal else { return None };
        let token = self.request.caller.as_ref()?.token.as_ref()?;
        let rate = matches!(limited.code, Code::RpmExceeded | Code::TpmExceeded);
        let never = limited.opens_in.is_none() && limited.scope == token.scope.name;
        (rate && never).then(|| token.expires.since(now))
    }

    fn on_chosen(&mut self, choice: Choice, now: Time) {
        self.waited = None;
        match choice {
            Choice::Send(lane) => self.send(lane, now),
            Choice::Wait { lane, until } => {
                self.waited = Some(lane);
                self.phase = Phase::Pause { until };
            }
            Choice::Exhausted { .. } if self.answer_refused(now) => {}
            Choice::Exhausted { reopens, limited } => {
                let reopens_in = reopens.map(|at| at.since(now).max(Millis(1)));
                let fault = match self.declined.take() {
                    Some(declined) => answer::passed_on(*declined),
                    None => {
                        let closed = Closed { reopens_in, limited };
                        self.request.of_one_account(retry::explain(&self.failures, closed))
                    }
                };
                self.refuse(&fault, now);
            }
        }
    }

    fn send(&mut self, lane: Lane, now: Time) {
        if self.request.counts() && !self.request.speaks_with(lane) {
            return self.tally(lane, now);
        }
        match Sent::new(&mut self.request, lane, now) {
            Ok((sent, fetch)) => {
                self.calls += 1;
                self.quota.sent(lane);
                self.upstream_id = None;
                self.record.sent(&self.request, lane, self.calls);
                self.price = self.request.target(lane).and_then(|target| target.price.clone());
                self.terms = self.request.terms(lane);
                self.called = Some(lane);
                self.phase = Phase::Sent(sent);
                self.steps.push_back(Step::Fetch(fetch));
            }
            Err(fault) => {
                self.steps.push_back(Step::Observe(lane, Outcome::Unknown));
                self.refuse(&fault, now);
            }
        }
    }

    fn on_head(&mut self, mut head: Head, now: Time) {
        wait::dates_to_seconds(&mut head.headers, now);
        self.upstream_id = answer::upstream_id(&head.headers).cloned();
        // A refusal says by itself when to come back.
        if head.status.is_success()
            && let (Some(lane), Some(resets_in)) = (self.lane(), wait::used_up(&head.headers))
        {
            self.steps.push_back(Step::Notice(lane, Notice::UsedUp { resets_in }));
        }
        match std::mem::replace(&mut self.phase, Phase::Choose) {
            Phase::Sent(sent) => self.phase = Phase::Read(Box::new(Reading::new(sent, head))),
            other @ (Phase::Recall { .. }
            | Phase::Admit
            | Phase::Choose
            | Phase::Pause { .. }
            | Phase::Read(_)
            | Phase::Relay(_)
            | Phase::Count
            | Phase::Done) => self.phase = other,
        }
    }

    fn on_chunk(&mut self, chunk: Bytes, now: Time) {
        match std::mem::replace(&mut self.phase, Phase::Choose) {
            Phase::Read(mut reading) => {
                let verdict = reading.on_chunk(chunk, &self.request, now);
                self.after_read(reading, verdict, now);
            }
            Phase::Relay(mut relay) => {
                let verdict = relay.on_chunk(chunk, now);
                self.after_relay(relay, verdict, now);
            }
            other @ (Phase::Recall { .. }
            | Phase::Admit
            | Phase::Choose
            | Phase::Pause { .. }
            | Phase::Sent(_)
            | Phase::Count
            | Phase::Done) => self.phase = other,
        }
    }

    fn on_end(&mut self, now: Time) {
        match std::mem::replace(&mut self.phase, Phase::Choose) {
            Phase::Read(mut reading) => {
                let verdict = reading.on_end(&self.request, now);
                self.after_read(reading, verdict, now);
            }
            Phase::Relay(mut relay) => {
                let verdict = relay.on_end();
                self.after_relay(relay, verdict, now);
            }
            other @ (Phase::Recall { .. }
            | Phase::Admit
            | Phase::Choose
            | Phase::Pause { .. }
            | Phase::Sent(_)
            | Phase::Count
            | Phase::Done) => self.phase = other,
        }
    }

    fn after_read(&mut self, reading: Box<Reading>, verdict: read::Verdict, now: Time) {
        match verdict {
            read::Verdict::More => self.phase = Phase::Read(reading),
            read::Verdict::Failed(fault) => {
                self.phase = Phase::Read(reading);
                self.fail(*fault, now);
            }
            read::Verdict::Whole(whole) if self.request.is_raw() => self.answer_raw(*reading, *whole, now),
            read::Verdict::Whole(whole) => self.answer_whole(*reading, *whole, now),
            read::Verdict::Committed(opening) => self.answer_stream(*reading, *opening, now),
            read::Verdict::Surveyed(found) => self.surveyed(reading.sent.lane, *found, now),
        }
    }

    fn after_relay(&mut self, relay: Box<Relay>, verdict: relay::Verdict, now: Time) {
        let verdict = match self.watched(&relay, verdict) {
            Ok(verdict) => verdict,
            Err(fault) => return self.hold_back(relay, &fault, now),
        };
        match verdict {
            relay::Verdict::More(bytes) => {
                self.emit(bytes);
                self.phase = Phase::Relay(relay);
            }
            relay::Verdict::Complete(bytes) => {
                self.emit(bytes);
                self.complete(*relay, now);
            }
            relay::Verdict::Failed(bytes, fault) => {
                self.emit(bytes);
                self.phase = Phase::Relay(relay);
                self.fail(*fault, now);
            }
            relay::Verdict::Exhausted(bytes) => {
                self.steps.push_back(Step::Abort);
                self.emit(bytes);
                self.exhausted(*relay, now);
            }
        }
    }

    /// What was paid for is used up: the client has been given a proper end.
    fn exhausted(&mut self, mut relay: Relay, now: Time) {
        self.draft_unfit();
        self.record.usage = relay.usage().cloned().map(Box::new);
        self.unreported = Some(relay.take_heard());
        self.farewell = Some(Out::End);
        self.steps.push_back(Step::Observe(relay.lane(), Outcome::Unknown));
        self.settle(now);
    }

    fn emit(&mut self, bytes: Bytes) {
        if !bytes.is_empty() {
            self.begun = Begun::Yes;
            self.draft_piece(&bytes);
            self.give(Out::Chunk(bytes));
        }
    }

    fn on_tick(&mut self, now: Time) {
        if now >= self.request.deadline {
            return self.on_deadline(now);
        }
        if now >= self.read_on_until() {
            return self.abandon(now);
        }
        match &mut self.phase {
            Phase::Recall { until } if now >= *until => self.reserve(now),
            Phase::Pause { until } if now >= *until => self.choose(),
            Phase::Sent(sent) if now >= sent.wake_at() => {
                let fault = sent.times.fault(now);
                self.fail(fault, now);
            }
            Phase::Read(reading) if now >= reading.wake_at() => {
                let fault = reading.sent.times.fault(now);
                self.fail(fault, now);
            }
            Phase::Relay(relay) if now >= relay.wake_at() => self.on_relay_time(now),
            Phase::Recall { .. }
            | Phase::Admit
            | Phase::Choose
            | Phase::Pause { .. }
            | Phase::Sent(_)
            | Phase::Read(_)
            | Phase::Relay(_)
            | Phase::Count
            | Phase::Done => {}
        }
    }

    /// A stream that has shown its end mark is complete, whether or not the connection ends.
    fn on_relay_time(&mut self, now: Time) {
        match std::mem::replace(&mut self.phase, Phase::Choose) {
            Phase::Relay(relay) if relay.is_complete() => {
                self.steps.push_back(Step::Abort);
                self.complete(*relay, now);
            }
            Phase::Relay(relay) => {
                let fault = relay.times().fault(now);
                self.phase = Phase::Relay(relay);
                self.fail(fault, now);
            }
            other @ (Phase::Recall { .. }
            | Phase::Admit
            | Phase::Choose
            | Phase::Pause { .. }
            | Phase::Sent(_)
            | Phase::Read(_)
            | Phase::Count
            | Phase::Done) => self.phase = other,
        }
    }

    fn on_deadline(&mut self, now: Time) {
        let spent = now.since(self.request.at);
        let fault = Fault::new(Code::Deadline, format!("the request's deadline of {spent} passed"));
        match self.lane() {
            // The upstream had its time and did not use it.
            Some(lane) => {
                let class = UpstreamClass::Timeout;
                self.give_up_on_call();
                self.steps.push_back(Step::Abort);
                self.steps.push_back(Step::Observe(lane, Outcome::Failed { class, retry_after: None }));
                self.end_with(&fault, now);
            }
            None if self.answer_refused(now) => {}
            None => self.refuse(&fault, now),
        }
    }

    /// The lane of the call in progress.
    fn lane(&self) -> Option<Lane> {
        match &self.phase {
            Phase::Sent(sent) => Some(sent.lane),
            Phase::Read(reading) => Some(reading.sent.lane),
            Phase::Relay(relay) => Some(relay.lane()),
            Phase::Recall { .. }
            | Phase::Admit
            | Phase::Choose
            | Phase::Pause { .. }
            | Phase::Count
            | Phase::Done => None,
        }
    }

    /// The call in progress failed: tries another upstream where that is still possible.
    fn fail(&mut self, fault: UpstreamFault, now: Time) {
        let Some(lane) = self.lane() else { return };
        if self.has_left() {
            return self.fail_unheard(lane, &fault, now);
        }
        let class = fault.class;
        self.steps.push_back(Step::Abort);
        if self.request.counts() && counting::is_not_served(&fault) {
            return self.tally(lane, now);
        }
        if self.is_without(lane, &fault) {
            // The same attempt, in the dialect it does serve.
            self.calls = self.calls.saturating_sub(1);
            return self.send(lane, now);
        }
        if self.is_only_for_chat(lane, &fault) {
            self.calls = self.calls.saturating_sub(1);
            return self.send(lane, now);
        }
        let verdict = retry::verdict(class);
        let lacked = verdict == Verdict::PassOn && self.request.is_lacked(&fault);
        self.steps.push_back(Step::Observe(lane, Outcome::of(&fault)));
        self.failures.push(self.failure(lane, &fault));
        self.attempts.push(Attempt { lane, class, at: now });
        if self.may_be_billed(class) {
            self.waste(lane);
        }
        // I2: once a byte of the answer is out, nobody else can go on with it.
        if matches!(self.phase, Phase::Relay(_)) {
            self.give_up_on_call();
            let fault = answer::mid_stream_fault(fault);
            return self.end_with(&fault, now);
        }
        match verdict {
            Verdict::PassOn if self.request.has_others_for(class) || lacked => {
                self.declined.get_or_insert_with(|| Box::new(fault));
                self.choose();
            }
            Verdict::PassOn => {
                let fault = answer::passed_on(self.declined.take().map_or(fault, |declined| *declined));
                self.refuse(&fault, now);
            }
            Verdict::NextKey | Verdict::Next => self.choose(),
        }
    }

    /// Whether an upstream has just said that it does not serve the dialect it was called in, though it
    /// speaks another. It is remembered.
    fn is_without(&self, lane: Lane, fault: &UpstreamFault) -> bool {
        let Some(sent) = self.unheard() else { return false };
        let Some(provider) = self.request.config.provider(lane.provider) else { return false };
        sent.speaks_second(provider) && retry::is_no_such_path(fault) && provider.speaks_one.set(()).is_ok()
    }

    /// Whether an upstream that was to go on with a plain text has just said that it, or this model of
    /// its, only knows chat. The former is remembered.
    fn is_only_for_chat(&mut self, lane: Lane, fault: &UpstreamFault) -> bool {
        let plain = self.request.surface.operation() == Operation::Complete;
        if !plain || self.unheard().is_none_or(|sent| sent.path != Path::Pass) {
            return false;
        }
        let of_model = retry::is_for_chat(fault);
        let without = !of_model && retry::is_no_such_path(fault);
        if let Some(provider) = self.request.config.provider(lane.provider).filter(|_| without) {
            // Another request may have been quicker.
            let _ = provider.only_chat.set(());
        }
        (without || of_model) && self.request.in_chat.replace(lane) != Some(lane)
    }

    /// The call in progress, as long as nothing of its answer is out.
    fn unheard(&self) -> Option<&Sent> {
        match &self.phase {
            Phase::Sent(sent) => Some(sent),
            Phase::Read(reading) => Some(&reading.sent),
            Phase::Recall { .. }
            | Phase::Admit
            | Phase::Choose
            | Phase::Pause { .. }
            | Phase::Count
            | Phase::Relay(_)
            | Phase::Done => None,
        }
    }

    fn failure(&self, lane: Lane, fault: &UpstreamFault) -> retry::Failure {
        let request = &self.request;
        let target = request.target(lane);
        retry::Failure {
            provider: request.provider_name(lane).to_owned(),
            model: target.map(|target| target.model.clone()).unwrap_or_default(),
            key: request.credential_name(lane).to_owned(),
            class: fault.class,
            status: fault.status,
            code: fault.code.clone().or_else(|| fault.kind.clone()),
        }
    }

    /// Answers with an error status; nothing has been emitted.
    fn refuse(&mut self, fault: &Fault, now: Time) {
        self.record.failed(fault);
        let upstream_id = self.upstream_id.take();
        let tried = answer::Tried { calls: self.calls, failures: &self.failures, upstream_id };
        let head = answer::refusal(&self.request, fault, tried);
        self.farewell = Some(Out::Head(head));
        self.settle(now);
    }

    /// Ends with a fault event what is being emitted, or answers with an error status.
    fn end_with(&mut self, fault: &Fault, now: Time) {
        if self.is_unstarted() {
            return self.refuse_unstarted(fault, now);
        }
        let guarded = self.guarded_event(fault);
        if let Phase::Relay(relay) = &mut self.phase {
            self.record.usage = relay.usage().cloned().map(Box::new);
            self.record.failed(fault);
            self.record.ending = Ending::Cut;
            // Without an end the connection to the client is broken, which is all that raw bytes can say.
            let event = guarded.or_else(|| relay.fault_event(fault, &self.request, self.begun));
            if let Some(event) = event {
                self.give(Out::Chunk(event));
                self.farewell = Some(Out::End);
            }
            self.settle(now);
        } else {
            self.refuse(fault, now);
        }
    }

    fn answer_whole(&mut self, reading: Reading, whole: read::Whole, now: Time) {
        let blocked = self.tell_whole(&reading, whole, now);
        let output = self.record.usage.as_ref().map(|usage| usage.output);
        // How fast an upstream counts, or finds a file, says nothing of how fast it answers.
        let odd = self.request.counts() || self.request.is_raw() && !self.request.spreads();
        let outcome = if odd { Outcome::Unknown } else { reading.sent.answered(output, now) };
        self.steps.push_back(Step::Observe(reading.sent.lane, outcome));
        self.conclude(blocked, now);
    }

    /// Ends with the answer that has been told, or with what blocks it.
    fn conclude(&mut self, blocked: Option<Fault>, now: Time) {
        match blocked {
            None => self.settle(now),
            Some(fault) => {
                self.record.status = 0;
                self.refuse(&fault, now);
            }
        }
    }

    /// What a guardrail says of it, in place of the answer.
    fn tell_whole(&mut self, reading: &Reading, whole: read::Whole, now: Time) -> Option<Fault> {
        if reading.is_refusal() {
            self.record.refused(reading.status());
        } else if whole.usage.is_none() {
            self.unreported = Some(whole.heard);
            // What it will come to is nobody's to tell, so that all that was paid for counts.
            // Nor is it of what nobody here understands; its cap tells.
            let running = self.request.surface.leaves_running(&self.request.body) || self.request.is_raw();
            let capped = !self.request.is_raw() || self.request.envelope.max_tokens.is_some();
            self.abandoned = self.quota.paid().filter(|_| running && capped);
        }
        self.record.usage = self.request.metered(whole.usage, &whole.body).map(Box::new);
        if !reading.is_refusal() {
            self.record.answered(reading.status(), reading.sent.first_byte(now));
        }
        self.charge(now);
        let blocked = self.guard_answer(&whole.body);
        if blocked.is_none() {
            let head = answer::whole(&self.request, reading, whole.body, &self.record);
            self.draft_whole(&head);
            self.farewell = Some(Out::Head(head));
        }
        blocked
    }

    fn answer_stream(&mut self, reading: Reading, opening: read::Opening, now: Time) {
        match reading.is_refusal() {
            true => self.record.refused(reading.status()),
            false => self.record.answered(reading.status(), reading.sent.first_byte(now)),
        }
        let head = answer::stream(&self.request, &reading, self.calls);
        self.draft_stream(&head);
        if let Some(head) = self.watch(&reading, &opening, head) {
            self.give(Out::Head(head));
        }
        let (relay, verdict) = Relay::new(reading, opening, &self.request, self.quota.paid());
        self.after_relay(Box::new(relay), verdict, now);
    }

    fn complete(&mut self, mut relay: Relay, now: Time) {
        self.draft_complete();
        self.record.usage = relay.usage().cloned().map(Box::new);
        if self.record.usage.is_none() && self.record.first_byte.is_some() {
            self.unreported = Some(relay.take_heard());
        }
        let output = self.record.usage.as_ref().map(|usage| usage.output);
        self.farewell = Some(Out::End);
        self.steps.push_back(Step::Observe(relay.lane(), relay.answered(output, now)));
        self.settle(now);
    }
}
