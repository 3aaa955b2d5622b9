//! A response that is stopped, as what was paid for it is used up.
//!
//! OpenAI's own cap ends a response as `incomplete`, and so does this: the upstream is told
//! `response.cancel`, the client hears no more of what the response says, and the upstream's `response.done`
//! is told as one whose cap was reached.

use crate::host::Message;
use crate::json::{Tape, Value};
use crate::units::{Millis, Time, Tokens};
use bytes::Bytes;
use memchr::memmem;
use serde_json::json;

/// How long an upstream may take to stop.
const PATIENCE: Millis = Millis::from_secs(10);

/// The least that is let pass beyond what was paid, as in other streams.
const LEAST_SLACK: u64 = 16;

/// Names the gateway's own event, so that what comes of it is told apart.
const EVENT: &str = "tollgate_cancel";

/// A response that is being written.
#[derive(Clone, Debug, Default)]
pub(super) struct Running {
    /// Its id.
    pub(super) id: Option<String>,
    /// The most that was written.
    pub(super) written: Tokens,
    /// The least that was.
    said: Tokens,
}

impl Running {
    pub(super) fn new(id: Option<String>) -> Self {
        Self { id, ..Self::default() }
    }

    /// The upstream has said something of it.
    pub(super) fn heard(&mut self, message: &[u8]) {
        self.written += super::meter::guessed(message.len());
        if is_delta(message) {
            self.said += least(message);
        }
    }

    /// Whether it has surely used up more than was paid.
    pub(super) fn has_used_up(&self, paid: Tokens) -> bool {
        self.said > paid + Tokens((paid.get() / 10).max(LEAST_SLACK))
    }

    fn is_in(&self, message: &[u8]) -> bool {
        self.id.as_ref().is_none_or(|id| memmem::find(message, id.as_bytes()).is_some())
    }
}

/// Whether a response was stopped.
#[derive(Debug, Default)]
pub(super) enum Stop {
    /// None ever was.
    #[default]
    Never,
    /// This one, which has not ended yet.
    Asked { of: Running, until: Time },
    /// One that has ended.
    Over,
}

impl Stop {
    pub(super) fn of(of: &Running, now: Time) -> Self {
        Self::Asked { of: of.clone(), until: now + PATIENCE }
    }

    /// When it has taken too long.
    pub(super) fn until(&self) -> Time {
        match self {
            Self::Asked { until, .. } => *until,
            Self::Never | Self::Over => Time::NEVER,
        }
    }

    /// Whether this is not for the client: more of the response, or what the upstream says of being told.
    pub(super) fn hides(&self, message: &[u8]) -> bool {
        match self {
            Self::Never => false,
            Self::Asked { of, .. } => is_delta(message) && of.is_in(message) || is_of_ours(message),
            Self::Over => is_of_ours(message),
        }
    }

    /// The response's end as the client is told it, if this is one of a response that was stopped.
    pub(super) fn ended(&mut self, message: &Message) -> Option<Message> {
        match self {
            Self::Asked { of, .. } if of.is_in(message.bytes()) => {
                *self = Self::Over;
                Some(Message::Text(told(message.bytes()).unwrap_or_else(|| message.bytes().clone())))
            }
            Self::Never | Self::Asked { .. } | Self::Over => None,
        }
    }
}

/// What tells the upstream to stop.
pub(super) fn cancel(response: &Running) -> Message {
    let event = match &response.id {
        Some(id) => json!({"type": "response.cancel", "event_id": EVENT, "response_id": id}),
        None => json!({"type": "response.cancel", "event_id": EVENT}),
    };
    Message::Text(Bytes::from(event.to_string()))
}

/// The end of a response in the gateway's own words, where its upstream has none.
pub(super) fn done(response: &Running, event_id: &str) -> Message {
    let event = json!({"type": "response.done", "event_id": event_id, "response": {
        "object": "realtime.response", "id": response.id, "status": "incomplete",
        "status_details": details(), "output": [], "usage": null}});
    Message::Text(Bytes::from(event.to_string()))
}

fn details() -> serde_json::Value {
    json!({"type": "incomplete", "reason": "max_output_tokens"})
}

/// The upstream's end with another reason. One that was not cut short after all stays as it is.
fn told(message: &[u8]) -> Option<Bytes> {
    let tape = Tape::parse(message).ok()?;
    let response = tape.root().get("response")?;
    let status = response.get("status").filter(|status| status.is_text("cancelled"))?;
    let why = response.get("status_details").map(Value::span);
    let end = status.span().end;
    let added = || (end..end, format!(",\"status_details\":{}", details()));
    let why = why.map_or_else(added, |span| (span, details().to_string()));
    let status = (status.span(), "\"incomplete\"".to_owned());
    let edits = if why.0.start < status.0.start { [why, status] } else { [status, why] };
    let mut out = Vec::with_capacity(message.len() + 64);
    let mut kept = 0;
    for (span, text) in edits {
        out.extend_from_slice(message.get(kept..span.start)?);
        out.extend_from_slice(text.as_bytes());
        kept = span.end;
    }
    out.extend_from_slice(message.get(kept..)?);
    Some(Bytes::from(out))
}

fn is_delta(message: &[u8]) -> bool {
    memmem::find(message, b".delta\"").is_some()
}

fn is_of_ours(message: &[u8]) -> bool {
    memmem::find(message, EVENT.as_bytes()).is_some()
}

/// The least number of tokens in a delta: 3,200 bytes of sound each, or five of text beside what an event
/// holds anyway.
fn least(delta: &[u8]) -> Tokens {
    const AROUND: usize = 400;
    let sound = memmem::find(delta, b"audio.delta\"").is_some();
    let beyond = delta.len().saturating_sub(AROUND) as u64;
    Tokens(if sound { beyond / 3200 } else { 1 + beyond / 5 })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn running(id: &str) -> Running {
        Running::new(Some(id.to_owned()))
    }

    #[test]
    fn sound_and_text_are_counted_by_what_they_are_at_least() {
        let mut response = running("r");
        response.heard(br#"{"type":"response.output_text.delta","delta":"a"}"#);
        response.heard(br#"{"type":"response.content_part.added"}"#);
        assert_eq!((response.said, response.written), (Tokens(1), Tokens(2)));
        let sound = format!(r#"{{"type":"response.output_audio.delta","delta":"{}"}}"#, "A".repeat(9600));
        response.heard(sound.as_bytes());
        assert_eq!(response.said, Tokens(3));
        assert!(!running("r").has_used_up(Tokens(0)));
        assert!(!Running { said: Tokens(116), ..running("r") }.has_used_up(Tokens(100)));
        assert!(Running { said: Tokens(117), ..running("r") }.has_used_up(Tokens(100)));
    }

    #[test]
    fn a_cancelled_response_is_told_as_one_whose_cap_was_reached() {
        let details = r#"{"reason":"max_output_tokens","type":"incomplete"}"#;
        for (said, expected) in [
            (
                r#"{"type":"response.done","response":{"id":"r", "status": "cancelled", "status_details":{"type":"cancelled"},"x":1}}"#,
                format!(
                    r#"{{"type":"response.done","response":{{"id":"r", "status": "incomplete", "status_details":{details},"x":1}}}}"#
                ),
            ),
            (
                r#"{"response":{"status_details":null,"status":"cancelled"}}"#,
                format!(r#"{{"response":{{"status_details":{details},"status":"incomplete"}}}}"#),
            ),
            (
                r#"{"response":{"status":"cancelled"}}"#,
                format!(r#"{{"response":{{"status":"incomplete","status_details":{details}}}}}"#),
            ),
        ] {
            let parsed = |text: &[u8]| serde_json::from_slice::<serde_json::Value>(text).unwrap();
            let told = told(said.as_bytes()).unwrap();
            assert_eq!(parsed(&told), parsed(expected.as_bytes()));
            assert_eq!(told.len(), expected.len(), "nothing else moves");
        }
        assert_eq!(told(br#"{"response":{"status":"completed"}}"#), None);
    }

    #[test]
    fn what_is_hidden_is_of_the_stopped_response_alone() {
        let mut stop = Stop::of(&running("resp_1"), Time(0));
        let delta = |id: &str| format!(r#"{{"type":"response.output_text.delta","response_id":"{id}"}}"#);
        assert!(stop.hides(delta("resp_1").as_bytes()) && !stop.hides(delta("resp_2").as_bytes()));
        assert!(!stop.hides(br#"{"type":"response.output_text.done","response_id":"resp_1"}"#));
        let error =
            br#"{"type":"error","error":{"code":"response_cancel_not_active","event_id":"tollgate_cancel"}}"#;
        assert!(stop.hides(error) && !Stop::Never.hides(error));
        let end = |id: &str| {
            Message::Text(format!(r#"{{"response":{{"id":"{id}","status":"completed"}}}}"#).into())
        };
        assert!(stop.ended(&end("resp_2")).is_none() && stop.until() < Time::NEVER);
        assert_eq!(
            stop.ended(&end("resp_1")).map(|end| end.bytes().clone()),
            Some(end("resp_1").bytes().clone())
        );
        assert!(stop.hides(error) && !stop.hides(delta("resp_1").as_bytes()) && stop.until() == Time::NEVER);
    }
}
