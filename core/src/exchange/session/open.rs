//! A session that is open: what either side says or does, and its end.

use super::{Phase, Session, Side, Step};
use crate::exchange::quota::Ended;
use crate::exchange::record::Ending;
use crate::fault::{Code, Fault, UpstreamClass};
use crate::fleet::Outcome;
use crate::host::{Broken, Closing, Heard, Message};
use crate::ledger::{Refusal, Settlement, Spent};
use crate::surface::Begun;
use crate::units::Time;

/// How a session ends.
pub(super) struct End {
    /// What the upstream is told.
    server: Option<Closing>,
    /// What the client is told.
    client: Option<Closing>,
    ending: Ending,
    code: Option<Code>,
}

impl End {
    /// The client is gone.
    pub(super) fn gone() -> Self {
        let server = Some(Closing::of(1001, ""));
        Self { server, client: None, ending: Ending::ClientLeft, code: None }
    }
}

impl Session {
    pub(super) fn on_heard(&mut self, side: Side, heard: Heard, now: Time) {
        self.heard = now;
        match (side, heard) {
            (Side::Client, Heard::Message(message)) => {
                self.steps.push_back(Step::Send(Side::Server, message))
            }
            (Side::Server, Heard::Message(message)) => self.on_said(message, now),
            (Side::Client, Heard::Closed(closing)) => {
                let end = End { server: Some(closing.clone()), client: Some(closing), ..End::gone() };
                self.end(End { ending: Ending::Complete, ..end }, now);
            }
            (Side::Server, Heard::Closed(closing)) => {
                let well = matches!(closing.code, None | Some(1000 | 1001));
                let ending = if well { Ending::Complete } else { Ending::Cut };
                let code = (!well).then_some(Code::UpstreamError);
                self.end(End { server: Some(closing.clone()), client: Some(closing), ending, code }, now);
            }
            (Side::Client, Heard::Lost) => self.end(End::gone(), now),
            (Side::Server, Heard::Lost | Heard::Broken(_)) => {
                let fault = Fault::new(Code::UpstreamError, "the upstream's connection broke off");
                self.cut(&fault, 1011, now);
            }
            (Side::Client, Heard::Broken(Broken::TooLarge)) => {
                let most = self.longest_message();
                let fault = Fault::new(Code::BodyTooLarge, format!("a message is larger than {most} bytes"));
                self.cut(&fault, 1009, now);
            }
            (Side::Client, Heard::Broken(Broken::Garbled)) => {
                let closing = Closing::of(1002, "not WebSocket");
                self.end(End { client: Some(closing), ..End::gone() }, now);
            }
            (_, Heard::Stopping) => {
                self.cut(&Fault::new(Code::StoreUnavailable, "the gateway stops"), 1012, now);
            }
        }
    }

    /// A limit has no room for another response.
    pub(super) fn cut_by(&mut self, refusal: Refusal, now: Time) {
        // 1008: against a policy; 1013: to be tried again.
        let code = if matches!(refusal, Refusal::Unavailable { .. }) { 1013 } else { 1008 };
        self.end_response();
        self.cut(&refusal.into_fault(), code, now);
    }

    /// Ends an open session for a fault: an `error` event, then the code.
    pub(super) fn cut(&mut self, fault: &Fault, code: u16, now: Time) {
        let event = self.request.surface.fault_event(fault, &self.request.asked(), Begun::Yes);
        self.record.failed(fault);
        let ours = Closing::of(code, fault.code.code());
        let end = End {
            server: Some(Closing::of(1000, "")),
            client: None,
            ending: Ending::Cut,
            code: Some(fault.code),
        };
        self.end(end, now);
        self.steps.push_back(Step::Send(Side::Client, Message::Text(event)));
        self.steps.push_back(Step::Close(Side::Client, ours));
    }

    /// Every exit of a session that was open comes through here. The hold ends before the client is told,
    /// so that whoever has heard of the end finds its place free.
    pub(super) fn end(&mut self, end: End, now: Time) {
        let End { server, client, ending, code } = end;
        self.phase = Phase::Done;
        self.record.ending = ending;
        self.record.fault = code.map(Code::code);
        if ending == Ending::ClientLeft {
            self.record.status = Code::ClientLeft.status();
        }
        if let Some(closing) = server {
            self.steps.push_back(Step::Close(Side::Server, closing));
        }
        if let Some(lane) = self.lane {
            let opened = self.record.first_byte.unwrap_or_default();
            let outcome = match code {
                Some(Code::UpstreamError) => {
                    Outcome::Failed { class: UpstreamClass::Connection, retry_after: None }
                }
                _ => Outcome::Answered { first_byte: opened, total: opened, output: None },
            };
            self.steps.push_back(Step::Observe(lane, outcome));
        }
        self.charge_unfinished(now);
        let spent = Spent { targets: self.called, ..Spent::default() };
        self.settle(Settlement::Settle(spent), now);
        if let Some(closing) = client {
            self.steps.push_back(Step::Close(Side::Client, closing));
        }
    }

    /// Ends what is held, and leaves the record.
    pub(super) fn settle(&mut self, seat: Settlement, now: Time) {
        self.record.total = now.since(self.request.at);
        self.record.attempts = self.calls;
        if let Some(hold) = self.share.give_back() {
            self.steps.push_back(Step::Settle(hold, Settlement::Release));
        }
        let ended = self.seat.take().map(|hold| Ended { hold, settlement: seat });
        self.steps.push_back(Step::End(self.record.take(), ended));
    }
}
