//! An exchange under guardrails.
//!
//! ```text
//! request ─▶ looked at ─▶ blocked: refused, nobody is called             (the ledger counts a request)
//!                      └▶ … whole answer ─▶ looked at ─▶ blocked: refused, nobody else is called
//!                         … stream ─▶ WATCH ─▶ frames ─▶ blocked: refused as long as nothing is out,
//!                                                        then a fault event
//! ```
//! What is answered costs what it has cost, whether or not the client gets it. The head of a stream goes out
//! with its first frame.

use super::read::{Opening, Reading};
use super::record::Record;
use super::relay::{Relay, Verdict};
use super::request::Request;
use super::{Ending, Exchange, Phase, Step};
use crate::call::Task;
use crate::fault::{Code, Fault};
use crate::fleet::Outcome;
use crate::guard::{self, Action, Guard, Guarded, Looked, More, Piece, Rails, Side, Watch, texts};
use crate::host::Out;
use crate::json::{Kind, Tape, Value};
use crate::multipart;
use crate::surface::Bodies;
use crate::units::Time;
use bytes::Bytes;
use http::Response;
use std::sync::Arc;

/// A stream that is looked at before it goes out.
#[derive(Debug)]
pub(super) struct Watching {
    watch: Watch,
    /// The head, as long as nothing has gone out.
    head: Option<Response<Option<Bytes>>>,
}

/// Fields of a request that may be named as the place of what was found. Others may be a client's own words.
const PLACES: [&str; 16] = [
    "messages",
    "system",
    "tools",
    "input",
    "instructions",
    "prompt",
    "suffix",
    "contents",
    "systemInstruction",
    "system_instruction",
    "content",
    "requests",
    "query",
    "documents",
    "metadata",
    "inputText",
];

impl Request {
    /// What holds for it. (hot)
    pub(super) fn find_guard(&self) -> Option<Arc<Guard>> {
        let all = &self.config.guardrails;
        if all.all.is_empty() {
            return None;
        }
        let mut names = vec![self.envelope.model.as_str(), self.route.name.as_str()];
        names.extend(self.envelope.fallbacks.iter().map(String::as_str));
        all.guard(&names, &self.route, &self.config)
    }

    /// The guard that looks at its answer, where that says anything.
    fn guards_answer(&self) -> Option<&Arc<Guard>> {
        let says = !self.embeds() && !self.counts() && !self.is_raw();
        self.guard.as_ref().filter(|guard| says && !guard.output.is_empty())
    }

    /// Whether an answer that would pass as it comes has to be whole before it does: words that are in no
    /// frames.
    pub(super) fn waits_for_words(&self) -> bool {
        let words = matches!(self.task(), Some(Task::Transcribe | Task::TranslateSpeech));
        words && self.guards_answer().is_some()
    }

    /// Why nobody can look at it, where a guardrail would have to; the record says so.
    pub(super) fn unseen(&self, what: &str, record: &mut Record) -> Option<Fault> {
        let name = self.guard.as_ref()?.strict()?;
        record.guarded.push(Guarded { name: Arc::clone(name), side: Side::Input, action: Action::Block });
        Some(guard::unseen(name, what))
    }

    /// Looks at everything it says: whose phrases are in it, and where the first is that blocks.
    fn look(&self, guard: &Guard) -> Result<(Rails, Option<String>), Fault> {
        let mut found = Rails::default();
        let mut place = None;
        if guard.input.is_empty() {
            return Ok((found, place));
        }
        let mut see = |text: &str, at: &dyn Fn() -> String| {
            found = found.or(guard.input.find(text));
            if place.is_none() && guard.blocked(found).is_some() {
                place = Some(at());
            }
        };
        if self.surface.bodies() == Bodies::Any {
            let label = self.line.content_type.as_ref().map_or(&[][..], |label| label.as_bytes());
            for part in multipart::parts(label, &self.body)? {
                // A file that is text is read as one, however it is called.
                if let Ok(text) = std::str::from_utf8(part.bytes) {
                    see(text, &|| named(part.name).unwrap_or_else(|| "the form".to_owned()));
                }
            }
            return Ok((found, place));
        }
        let tape = Tape::parse(&self.body).map_err(|error| {
            Fault::new(Code::BadJson, format!("the body is not acceptable JSON: {error}"))
        })?;
        let root = tape.root();
        let tokens = ["prompt", "input"].iter().find(|key| root.get(key).is_some_and(holds_tokens));
        if let (Some(field), Some(strict)) = (tokens, guard.blocked(guard.input.rails())) {
            return Err(guard::unseen(strict, "text that is given as token ids").at(*field));
        }
        // Each field by itself, for the place of what is found; an object of its own would be somebody's.
        for (key, value) in root.members() {
            let name = key.as_str().unwrap_or_default();
            match value.kind() {
                Kind::Array => value.elements().enumerate().for_each(|(at, element)| {
                    let place = || named(&name).map_or_else(other, |name| format!("{name}[{at}]"));
                    guard::member(&name, element, &mut |text| see(text, &place));
                }),
                Kind::Null | Kind::Bool | Kind::Number | Kind::String | Kind::Object => {
                    guard::member(&name, value, &mut |text| see(text, &|| named(&name).unwrap_or_else(other)))
                }
            }
        }
        Ok((found, place))
    }
}

fn other() -> String {
    "the body".to_owned()
}

fn named(field: &str) -> Option<String> {
    PLACES.contains(&field).then(|| field.to_owned())
}

/// Whether it is a list of numbers, or of such lists.
fn holds_tokens(value: Value<'_>) -> bool {
    value.elements().any(|element| element.kind() == Kind::Number || holds_tokens(element))
}

impl Exchange {
    /// Looks at the request, if a guardrail holds for it; a fault where one blocks.
    pub(super) fn guard_request(&mut self) -> Option<Fault> {
        let guard = self.request.guard.clone()?;
        if self.request.is_raw() {
            let says = !self.request.body.is_empty();
            return if says {
                self.request.unseen("a call that passes as it came", &mut self.record)
            } else {
                None
            };
        }
        let (found, place) = match self.request.look(&guard) {
            Ok(seen) => seen,
            Err(fault) => {
                if fault.code == Code::GuardrailBlocked {
                    self.blocked_by(guard.blocked(guard.input.rails()), Side::Input);
                }
                return Some(fault);
            }
        };
        self.record.guarded.extend(guard.noted(found, Side::Input));
        let name = guard.blocked(found)?;
        self.blocked_by(Some(name), Side::Input);
        let place = place.unwrap_or_else(other);
        Some(guard::refusal(name, &place).at(place))
    }

    fn blocked_by(&mut self, name: Option<&Arc<str>>, side: Side) {
        let guarded = name.map(|name| Guarded { name: Arc::clone(name), side, action: Action::Block });
        self.record.guarded.extend(guarded);
    }

    /// Looks at a whole answer; a fault where a guardrail blocks.
    pub(super) fn guard_answer(&mut self, body: &[u8]) -> Option<Fault> {
        let guard = Arc::clone(self.request.guards_answer()?);
        let mut found = Rails::default();
        match (Tape::parse(body), std::str::from_utf8(body)) {
            (Ok(tape), _) => texts(tape.root(), &mut |piece| {
                if let Piece::Text(_, text) = piece {
                    found = found.or(guard.output.find(text));
                }
            }),
            (Err(_), Ok(text)) => found = guard.output.find(text),
            // Sound.
            (Err(_), Err(_)) => {}
        }
        self.answer_fault(&guard, found)
    }

    fn answer_fault(&mut self, guard: &Guard, found: Rails) -> Option<Fault> {
        self.record.guarded.extend(guard.noted(found, Side::Output));
        let name = guard.blocked(found)?;
        self.blocked_by(Some(name), Side::Output);
        Some(guard::refusal(name, "the answer"))
    }

    /// Whether the stream that begins is looked at: then its head waits here.
    pub(super) fn watch(
        &mut self,
        reading: &Reading,
        opening: &Opening,
        head: Response<Option<Bytes>>,
    ) -> Option<Response<Option<Bytes>>> {
        let Some(guard) = self.request.guards_answer() else { return Some(head) };
        let framing = match opening {
            // What is in no frames is sound.
            Opening::Raw { .. } => reading.said_framing(),
            Opening::Pass { .. } | Opening::Translate { .. } | Opening::Reply(_) => {
                Some(self.request.line.framing)
            }
        };
        let Some(framing) = framing else { return Some(head) };
        let watch = Watch::new(Arc::clone(guard), framing);
        self.watching = Some(Box::new(Watching { watch, head: Some(head) }));
        None
    }

    /// Holds back of a stream what may not go out yet. A fault where nothing may any more.
    pub(super) fn watched(&mut self, relay: &Relay, mut verdict: Verdict) -> Result<Verdict, Fault> {
        // For nobody nothing is held back.
        let left = self.has_left();
        let Some(watching) = self.watching.as_mut().filter(|_| !left) else { return Ok(verdict) };
        let ends = matches!(verdict, Verdict::Complete(_) | Verdict::Exhausted(_));
        let all = ends || relay.is_complete();
        let more = if all { More::None } else { More::Comes };
        let looked = watching.watch.look(std::mem::take(verdict.bytes()), more);
        let (goes, fault) = match looked {
            Looked::Goes(goes) => (goes, None),
            Looked::Blocked(goes) => {
                let (guard, found) = (Arc::clone(watching.watch.guard()), watching.watch.found());
                let name = guard.blocked(found);
                let fault = name.map(|name| guard::refusal(name, "the answer"));
                self.blocked_by(name, Side::Output);
                (goes, fault)
            }
            Looked::Unreadable(goes) => {
                let guard = Arc::clone(watching.watch.guard());
                let name = guard.any();
                self.blocked_by(name, Side::Output);
                (goes, name.map(|name| guard::unseen(name, "the answer")))
            }
        };
        let begins = !goes.is_empty() || all && fault.is_none();
        if let Some(watching) = self.watching.as_mut().filter(|_| begins) {
            let head = watching.head.take();
            head.into_iter().for_each(|head| self.give(Out::Head(head)));
        }
        match fault {
            None => {
                *verdict.bytes() = goes;
                Ok(verdict)
            }
            Some(fault) => {
                self.emit(goes);
                Err(fault)
            }
        }
    }

    /// Whether a stream has begun of which nothing is out.
    pub(super) fn is_unstarted(&self) -> bool {
        self.watching.as_ref().is_some_and(|watching| watching.head.is_some())
    }

    /// Answers with an error status in place of a stream of which nothing is out.
    pub(super) fn refuse_unstarted(&mut self, fault: &Fault, now: Time) {
        self.phase = Phase::Choose;
        self.record.status = 0;
        self.refuse(fault, now);
    }

    /// What ends with this fault a stream that is looked at. What waits never goes out.
    pub(super) fn guarded_event(&self, fault: &Fault) -> Option<Bytes> {
        let last = self.watching.as_ref()?.watch.last();
        Some(self.request.surface.fault_event_after(last, fault, &self.request.asked(), self.begun))
    }

    /// Ends a stream that a guardrail does not let pass.
    pub(super) fn hold_back(&mut self, relay: Box<Relay>, fault: &Fault, now: Time) {
        let lane = relay.lane();
        let told = relay.usage().filter(|_| relay.is_complete()).cloned();
        self.phase = Phase::Relay(relay);
        self.give_up_on_call();
        match told {
            Some(usage) => {
                self.record.usage = Some(Box::new(usage));
                self.unreported = None;
            }
            // Whatever it goes on to write for nobody is on its bill.
            None => self.abandoned = self.quota.paid().filter(|_| self.is_billed_unheard(lane)),
        }
        self.steps.push_back(Step::Abort);
        self.steps.push_back(Step::Observe(lane, Outcome::Unknown));
        if self.is_unstarted() {
            return self.refuse_unstarted(fault, now);
        }
        self.record.failed(fault);
        self.record.ending = Ending::Cut;
        let event = self.guarded_event(fault);
        event.into_iter().for_each(|event| self.give(Out::Chunk(event)));
        self.farewell = Some(Out::End);
        self.settle(now);
    }

    /// Writes down what was noted of a stream.
    pub(super) fn end_watching(&mut self) {
        let Some(watching) = self.watching.take() else { return };
        let watch = &watching.watch;
        self.record.guarded.extend(watch.guard().noted(watch.found(), Side::Output));
    }
}
