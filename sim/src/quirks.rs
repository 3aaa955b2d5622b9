//! What a request asked the simulator to do wrong, and how to read it.
//!
//! The vocabulary is documented in `directives.md`, which is also the crate's front page.

use std::time::Duration;

use crate::fault::Kind;

/// Everything asked for by directives; the default misbehaves in no way.
#[derive(Clone, Debug, Default)]
pub(crate) struct Quirks {
    pub(crate) content: Content,
    pub(crate) failure: Failure,
    pub(crate) pace: Pace,
    pub(crate) breaks: Breaks,
    pub(crate) form: Form,
}

/// What the answer holds.
#[derive(Clone, Debug, Default)]
pub(crate) struct Content {
    pub(crate) chars: Option<usize>,
    pub(crate) events: Option<usize>,
    pub(crate) giant: Option<usize>,
    pub(crate) finish: Option<Finish>,
    pub(crate) usage: UsageMode,
    pub(crate) cached: Option<u64>,
    pub(crate) cache_write: Option<u64>,
    pub(crate) prompt_tokens: Option<u64>,
    pub(crate) audio_input: Option<u64>,
    pub(crate) audio_cached: Option<u64>,
    pub(crate) audio_output: Option<u64>,
    pub(crate) redacted: bool,
    pub(crate) blocked: bool,
    pub(crate) interleave: bool,
    pub(crate) whole_calls: bool,
    pub(crate) strict: bool,
    pub(crate) chat_only: bool,
    pub(crate) uncapped: bool,
}

/// An ending other than the natural one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Finish {
    Length,
    ContentFilter,
}

/// How usage is reported.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum UsageMode {
    #[default]
    Honest,
    Missing,
    Zero,
    Null,
    Double,
    Early,
}

/// An answer that is an error.
#[derive(Clone, Debug, Default)]
pub(crate) struct Failure {
    pub(crate) status: Option<u16>,
    pub(crate) error: Option<Shape>,
    pub(crate) body: Option<String>,
    pub(crate) retry_after: Option<String>,
    pub(crate) retry_after_ms: Option<String>,
    pub(crate) headers: Vec<Header>,
    pub(crate) first: Option<u64>,
    pub(crate) id: Option<String>,
    pub(crate) key: Option<String>,
    pub(crate) expect_key: Option<String>,
}

/// One response header asked for by name.
#[derive(Clone, Debug)]
pub(crate) struct Header {
    pub(crate) name: String,
    pub(crate) value: String,
}

/// The body of an error answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Shape {
    /// The dialect's own shape.
    Own(Kind),
    /// `{"error": "text"}`, as small servers answer.
    Text,
    /// A proxy's page.
    Html,
    /// No body at all.
    Empty,
}

/// When things are written.
#[derive(Clone, Debug, Default)]
pub(crate) struct Pace {
    pub(crate) head_delay: Option<Duration>,
    pub(crate) head_silence: bool,
    pub(crate) first_delay: Option<Duration>,
    pub(crate) first_silence: bool,
    pub(crate) stall_after: Option<usize>,
    pub(crate) heartbeat: Option<Duration>,
    pub(crate) drip: Option<Duration>,
    pub(crate) gate: Option<String>,
    pub(crate) gate_after: Option<usize>,
    pub(crate) gate_each: bool,
}

/// Where the exchange is broken off.
#[derive(Clone, Debug, Default)]
pub(crate) struct Breaks {
    pub(crate) hangup: bool,
    pub(crate) reset: bool,
    pub(crate) cut_after_bytes: Option<usize>,
    pub(crate) cut_after_events: Option<usize>,
    pub(crate) end_after_events: Option<usize>,
    pub(crate) error_after: Option<usize>,
    pub(crate) close_code: Option<u16>,
    pub(crate) no_done: bool,
    pub(crate) close: bool,
}

/// How the answer is written down.
#[derive(Clone, Debug, Default)]
pub(crate) struct Form {
    pub(crate) delivery: Option<Delivery>,
    pub(crate) content_type: Option<String>,
    pub(crate) crlf: bool,
    pub(crate) comments: bool,
    pub(crate) split: Option<usize>,
    pub(crate) drip_bytes: Option<usize>,
}

/// Whole or in events.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Delivery {
    Whole,
    Stream,
}

/// A directive that cannot be read; the text goes to the client.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Unreadable(pub(crate) String);

impl Quirks {
    /// Adds the directives of `text`; what was set before is overridden name by name.
    pub(crate) fn read(&mut self, text: &str) -> Result<(), Unreadable> {
        let separator = if text.contains(';') { ';' } else { ',' };
        text.split(separator).map(str::trim).filter(|one| !one.is_empty()).try_for_each(|one| self.set(one))
    }

    fn set(&mut self, directive: &str) -> Result<(), Unreadable> {
        let (name, value) = directive.split_once('=').unwrap_or((directive, ""));
        let (name, value) = (name.trim(), value.trim());
        let known = self.content.set(name, value)
            || self.failure.set(name, value)
            || self.pace.set(name, value)
            || self.breaks.set(name, value)
            || self.form.set(name, value);
        if known { Ok(()) } else { Err(Unreadable(format!("unknown or malformed directive '{directive}'"))) }
    }
}

/// Stores a parsed value; `false` when the text is not one.
fn put<T: std::str::FromStr>(slot: &mut Option<T>, value: &str) -> bool {
    *slot = value.parse().ok();
    slot.is_some()
}

fn put_millis(slot: &mut Option<Duration>, value: &str) -> bool {
    *slot = value.parse().ok().map(Duration::from_millis);
    slot.is_some()
}

fn switch_on(slot: &mut bool, value: &str) -> bool {
    *slot = true;
    value.is_empty()
}

impl Content {
    fn set(&mut self, name: &str, value: &str) -> bool {
        match name {
            "chars" => put(&mut self.chars, value),
            "events" => put(&mut self.events, value),
            "giant" => put(&mut self.giant, value),
            "cached" => put(&mut self.cached, value),
            "cache_write" => put(&mut self.cache_write, value),
            "prompt_tokens" => put(&mut self.prompt_tokens, value),
            "audio_input" => put(&mut self.audio_input, value),
            "audio_cached" => put(&mut self.audio_cached, value),
            "audio_output" => put(&mut self.audio_output, value),
            "redacted" => switch_on(&mut self.redacted, value),
            "interleave" => switch_on(&mut self.interleave, value),
            "whole_calls" => switch_on(&mut self.whole_calls, value),
            "chat_only" => switch_on(&mut self.chat_only, value),
            "strict" => switch_on(&mut self.strict, value),
            "blocked" => switch_on(&mut self.blocked, value),
            "uncapped" => switch_on(&mut self.uncapped, value),
            "finish" => {
                self.finish = match value {
                    "length" => Some(Finish::Length),
                    "content_filter" => Some(Finish::ContentFilter),
                    _ => None,
                };
                self.finish.is_some()
            }
            "usage" => self.set_usage(value),
            _ => false,
        }
    }

    fn set_usage(&mut self, value: &str) -> bool {
        self.usage = match value {
            "none" => UsageMode::Missing,
            "zero" => UsageMode::Zero,
            "null" => UsageMode::Null,
            "double" => UsageMode::Double,
            "early" => UsageMode::Early,
            _ => return false,
        };
        true
    }
}

impl Failure {
    fn set(&mut self, name: &str, value: &str) -> bool {
        match name {
            "status" => put(&mut self.status, value) && self.status.is_some_and(|s| (200..=599).contains(&s)),
            "error" => {
                self.error = Shape::named(value);
                self.error.is_some()
            }
            "body" => put(&mut self.body, value),
            "retry_after" => put(&mut self.retry_after, value),
            "retry_after_ms" => put(&mut self.retry_after_ms, value),
            "header" => match value.split_once(':') {
                Some((name, value)) => {
                    self.headers.push(Header { name: name.trim().into(), value: value.trim().into() });
                    true
                }
                None => false,
            },
            "fail_first" => put(&mut self.first, value),
            "id" => put(&mut self.id, value),
            "fail_key" => put(&mut self.key, value),
            "expect_key" => put(&mut self.expect_key, value),
            _ => false,
        }
    }
}

impl Shape {
    fn named(name: &str) -> Option<Shape> {
        match name {
            "string" => Some(Shape::Text),
            "html" => Some(Shape::Html),
            "empty" => Some(Shape::Empty),
            other => Kind::named(other).map(Shape::Own),
        }
    }
}

impl Pace {
    /// Whether the gate stands before the head.
    pub(crate) fn is_gated(&self) -> bool {
        self.gate_after.is_none() && !self.gate_each
    }

    /// Whether the gate stands before the event number `at`.
    pub(crate) fn is_gated_at(&self, at: usize) -> bool {
        self.gate.is_some() && (self.gate_each || self.gate_after == Some(at))
    }

    fn set(&mut self, name: &str, value: &str) -> bool {
        match name {
            "head_delay" => put_millis(&mut self.head_delay, value),
            "head_silence" => switch_on(&mut self.head_silence, value),
            "first_delay" => put_millis(&mut self.first_delay, value),
            "first_silence" => switch_on(&mut self.first_silence, value),
            "stall_after" => put(&mut self.stall_after, value),
            "heartbeat" => put_millis(&mut self.heartbeat, value),
            "drip" => put_millis(&mut self.drip, value),
            "gate" => put(&mut self.gate, value),
            "gate_after" => put(&mut self.gate_after, value),
            "gate_each" => switch_on(&mut self.gate_each, value),
            _ => false,
        }
    }
}

impl Breaks {
    fn set(&mut self, name: &str, value: &str) -> bool {
        match name {
            "hangup" => switch_on(&mut self.hangup, value),
            "reset" => switch_on(&mut self.reset, value),
            "cut_after_bytes" => put(&mut self.cut_after_bytes, value),
            "cut_after_events" => put(&mut self.cut_after_events, value),
            "end_after_events" => put(&mut self.end_after_events, value),
            "error_after" => put(&mut self.error_after, value),
            "preamble_then_error" => {
                self.error_after = Some(1);
                value.is_empty()
            }
            "close_code" => put(&mut self.close_code, value),
            "no_done" => switch_on(&mut self.no_done, value),
            "close" => switch_on(&mut self.close, value),
            _ => false,
        }
    }

    /// Whether the connection is to break in the middle of the body.
    pub(crate) fn cuts(&self) -> bool {
        self.cut_after_bytes.is_some() || self.cut_after_events.is_some()
    }
}

impl Form {
    fn set(&mut self, name: &str, value: &str) -> bool {
        match name {
            "sse" => put_delivery(&mut self.delivery, Delivery::Stream, value),
            "json" => put_delivery(&mut self.delivery, Delivery::Whole, value),
            "content_type" => put(&mut self.content_type, value),
            "crlf" => switch_on(&mut self.crlf, value),
            "comments" => switch_on(&mut self.comments, value),
            "split" => put(&mut self.split, value) && self.split != Some(0),
            "drip_bytes" => put(&mut self.drip_bytes, value) && self.drip_bytes != Some(0),
            _ => false,
        }
    }
}

fn put_delivery(slot: &mut Option<Delivery>, delivery: Delivery, value: &str) -> bool {
    *slot = Some(delivery);
    value.is_empty()
}

/// A text with its directives taken out.
pub(crate) struct Split<'a> {
    /// What is left.
    pub(crate) rest: String,
    /// The directives, unread.
    pub(crate) directives: Option<&'a str>,
}

/// Divides `gpt-sim+status=503` at the `+`.
pub(crate) fn split_model(model: &str) -> Split<'_> {
    match model.split_once('+') {
        Some((rest, directives)) => Split { rest: rest.into(), directives: Some(directives) },
        None => Split { rest: model.into(), directives: None },
    }
}

/// Takes `[[sim: …]]` out of a message.
pub(crate) fn split_message(text: &str) -> Split<'_> {
    let whole = || Split { rest: text.into(), directives: None };
    let Some((before, after)) = text.split_once("[[sim:") else { return whole() };
    let Some((directives, after)) = after.split_once("]]") else { return whole() };
    let rest = [before.trim_end(), after.trim_start()];
    let rest: Vec<_> = rest.into_iter().filter(|part| !part.is_empty()).collect();
    Split { rest: rest.join(" "), directives: Some(directives) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn directives_combine_and_the_later_place_wins() {
        let mut quirks = Quirks::default();
        quirks.read("status=500; retry_after=2").unwrap();
        quirks.read("status=503,drip=5").unwrap();
        assert_eq!(quirks.failure.status, Some(503));
        assert_eq!(quirks.failure.retry_after.as_deref(), Some("2"));
        assert_eq!(quirks.pace.drip, Some(Duration::from_millis(5)));
    }

    #[test]
    fn a_date_with_commas_survives_between_semicolons() {
        let mut quirks = Quirks::default();
        quirks.read("status=429; retry_after=Wed, 21 Oct 2026 07:28:00 GMT").unwrap();
        assert_eq!(quirks.failure.retry_after.as_deref(), Some("Wed, 21 Oct 2026 07:28:00 GMT"));
    }

    #[test]
    fn an_unknown_or_malformed_directive_is_named() {
        for text in ["statis=500", "split=0", "status=abc", "status=99", "sse=1", "error=nonsense"] {
            let said = Quirks::default().read(text).unwrap_err();
            assert_eq!(said.0, format!("unknown or malformed directive '{text}'"));
        }
    }

    #[test]
    fn a_message_keeps_what_is_not_a_directive() {
        let split = split_message("hello [[sim: status=500]] there");
        assert_eq!(split.rest, "hello there");
        assert_eq!(split.directives, Some(" status=500"));
        assert_eq!(split_message("a [[sim: b").rest, "a [[sim: b");
    }
}
