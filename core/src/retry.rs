//! What an upstream's fault means for a request: whether it is tried again, when, and what the
//! client is told once nothing is left to try. The only place that decides this.

use crate::fault::{Code, Fault, UpstreamClass, UpstreamFault};
use crate::units::Millis;
use std::fmt;

/// The first backoff is drawn from zero to this; each further one from twice the range.
const BACKOFF_BASE: Millis = Millis(250);

/// No backoff is longer.
pub(crate) const BACKOFF_CAP: Millis = Millis::from_secs(8);

/// What `retry-after` says where nothing is known of when an upstream opens again.
const UNKNOWN_WAIT: Millis = Millis::from_secs(5);

/// The longest code word of an upstream's that is repeated to a client.
const MAX_WORD: usize = 64;

/// What an upstream's fault means for the request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The client's own doing: it is shown with its status, nothing else is tried.
    PassOn,
    /// The key is out, the request is good: another key first, then another target.
    NextKey,
    /// The upstream failed: another one first, the same one after a backoff.
    Next,
}

/// What a fault of this class means for the request.
pub const fn verdict(class: UpstreamClass) -> Verdict {
    match class {
        UpstreamClass::BadRequest
        | UpstreamClass::ContextLength
        | UpstreamClass::ContentFilter
        | UpstreamClass::NotFound
        | UpstreamClass::TooLarge => Verdict::PassOn,
        UpstreamClass::Auth
        | UpstreamClass::Billing
        | UpstreamClass::Forbidden
        | UpstreamClass::RateLimited => Verdict::NextKey,
        UpstreamClass::Overloaded
        | UpstreamClass::Server
        | UpstreamClass::Timeout
        | UpstreamClass::Connection
        | UpstreamClass::Garbled => Verdict::Next,
    }
}

/// Whether the very upstream that failed like this may be asked again by the same request.
pub const fn may_repeat(class: UpstreamClass) -> bool {
    match verdict(class) {
        Verdict::PassOn => false,
        Verdict::NextKey => matches!(class, UpstreamClass::RateLimited),
        Verdict::Next => true,
    }
}

/// How long after its last failure an upstream that has failed this request `failures` times is
/// asked again: evenly drawn by `random` from nothing to 250 ms, 500 ms, … 8 s, both ends included.
/// The whole range is used (full jitter), so that requests that failed together come back apart.
pub fn backoff(failures: u32, random: u64) -> Millis {
    let doublings = failures.saturating_sub(1).min(32);
    let range = (BACKOFF_BASE.get() << doublings).min(BACKOFF_CAP.get());
    below(range + 1, random)
}

/// A span drawn evenly from `0..bound` milliseconds.
pub(crate) fn below(bound: u64, random: u64) -> Millis {
    let scaled = (u128::from(random) * u128::from(bound)) >> 64;
    Millis(u64::try_from(scaled).unwrap_or(u64::MAX))
}

impl UpstreamClass {
    /// The class of a status whose body says nothing more precise. A status that is no error at all
    /// means that the answer made no sense; 0 stands for no answer.
    pub const fn of_status(status: u16) -> Self {
        match status {
            0 => Self::Connection,
            401 => Self::Auth,
            402 => Self::Billing,
            403 => Self::Forbidden,
            404 => Self::NotFound,
            408 | 504 => Self::Timeout,
            // A conflict or a replayed early request says nothing about the request itself.
            409 | 425 => Self::Server,
            413 => Self::TooLarge,
            429 => Self::RateLimited,
            503 | 529 => Self::Overloaded,
            400..=499 => Self::BadRequest,
            500..=599 => Self::Server,
            _ => Self::Garbled,
        }
    }

    /// In words, for messages and logs.
    pub const fn words(self) -> &'static str {
        match self {
            Self::BadRequest => "bad request",
            Self::ContextLength => "prompt too long",
            Self::ContentFilter => "refused by its filter",
            Self::Auth => "key not accepted",
            Self::Billing => "no credit",
            Self::Forbidden => "key not permitted",
            Self::NotFound => "model not found",
            Self::TooLarge => "request too large",
            Self::RateLimited => "rate limited",
            Self::Overloaded => "overloaded",
            Self::Server => "server error",
            Self::Timeout => "timed out",
            Self::Connection => "connection failed",
            Self::Garbled => "unreadable answer",
        }
    }
}

/// An attempt that failed, as the client may hear of it. It has no room for the upstream's own
/// message, which may quote the prompt (invariant I7).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// The provider's name in the config.
    pub provider: String,
    /// The model as the provider names it.
    pub model: String,
    /// The name of the key that was used; never the key.
    pub key: String,
    /// How it failed.
    pub class: UpstreamClass,
    /// The status; 0 if none came.
    pub status: u16,
    /// The upstream's own code word. Left out of messages unless it looks like one word.
    pub code: Option<String>,
}

impl fmt::Display for Failure {
    /// `openai/gpt-4o (key a): 503 overloaded, server_busy`
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { provider, model, key, class, status, code } = self;
        write!(f, "{provider}/{model} (key {key}): ")?;
        if *status != 0 {
            write!(f, "{status} ")?;
        }
        f.write_str(class.words())?;
        match code.as_deref().filter(|code| is_word(code)) {
            Some(code) => write!(f, ", {code}"),
            None => Ok(()),
        }
    }
}

/// Whether an upstream's code is a word and not a sentence, which could quote the prompt.
fn is_word(code: &str) -> bool {
    (1..=MAX_WORD).contains(&code.len())
        && code.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.'))
}

/// What is known of the upstreams that may not be asked now.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Closed {
    /// How long until the first opens again, where any is closed.
    pub reopens_in: Option<Millis>,
    /// Whether all that are closed are so because their providers said 429, or by limits of their own.
    pub limited: bool,
}

/// What the client is told once nothing is left to try: 429 if every attempt was rate limited (or
/// none was made because all upstreams still are), 504 if the last one timed out, 502 with the list
/// of attempts otherwise, and 503 if no upstream could be asked at all.
pub fn explain(failures: &[Failure], closed: Closed) -> Fault {
    let wait = closed.reopens_in.unwrap_or(UNKNOWN_WAIT);
    let Some(last) = failures.last() else {
        return none_asked(closed, wait);
    };
    let limited = |failure: &Failure| failure.class == UpstreamClass::RateLimited;
    if failures.iter().all(limited) {
        let message = format!("every upstream is rate limited by its provider: {}", List(failures));
        return Fault::new(Code::UpstreamLimited, message).retry_after(wait);
    }
    let code = match last.class {
        UpstreamClass::Timeout => Code::UpstreamTimeout,
        UpstreamClass::BadRequest
        | UpstreamClass::ContextLength
        | UpstreamClass::ContentFilter
        | UpstreamClass::Auth
        | UpstreamClass::Billing
        | UpstreamClass::Forbidden
        | UpstreamClass::NotFound
        | UpstreamClass::TooLarge
        | UpstreamClass::RateLimited
        | UpstreamClass::Overloaded
        | UpstreamClass::Server
        | UpstreamClass::Connection
        | UpstreamClass::Garbled => Code::UpstreamError,
    };
    Fault::new(code, format!("every attempt failed: {}", List(failures)))
}

/// What the client is told if no attempt could be made.
fn none_asked(closed: Closed, wait: Millis) -> Fault {
    let Closed { reopens_in, limited } = closed;
    let fault = match (reopens_in, limited) {
        (Some(_), true) => Fault::new(Code::UpstreamLimited, "every upstream is at its rate limit"),
        (Some(_), false) => Fault::new(Code::NoCapacity, "every upstream is closed after refusing its key"),
        (None, _) => Fault::new(Code::NoCapacity, "no upstream with a key for this model could be asked"),
    };
    fault.retry_after(wait)
}

/// Attempts one after the other, oldest first.
struct List<'a>(&'a [Failure]);

impl fmt::Display for List<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, failure) in self.0.iter().enumerate() {
            if at > 0 {
                f.write_str("; ")?;
            }
            write!(f, "{failure}")?;
        }
        Ok(())
    }
}

/// Whether an upstream does not know the path at all; one that does not know the model says so.
pub(crate) fn is_no_such_path(fault: &UpstreamFault) -> bool {
    let UpstreamFault { class, status, message, code, kind, .. } = fault;
    let unsaid = kind.is_none() && code.is_none();
    let says = ["invalid url", "unknown request url", "unknown url", "no route", "cannot post", "/responses"];
    let message = message.to_ascii_lowercase();
    let of_path = says.iter().any(|words| message.contains(words))
        || matches!(
            message.trim_end_matches('.'),
            "not found" | "file not found" | "page not found" | "resource not found"
        );
    let missing = *class == UpstreamClass::NotFound && (unsaid || of_path);
    // Some say so with a status of success.
    missing || message.starts_with("unexpected endpoint") || matches!(status, 405 | 501)
}

/// Whether an upstream says of a model that it only answers in chat: OpenAI (`This is a chat model and not
/// supported in the v1/completions endpoint`), Azure (`The completion operation does not work with the
/// specified model`), vLLM (`The model does not support Completions API`).
pub(crate) fn is_for_chat(fault: &UpstreamFault) -> bool {
    let UpstreamFault { class, message, .. } = fault;
    let says = ["chat model", "completion operation does not work", "not support completions"];
    matches!(class, UpstreamClass::NotFound | UpstreamClass::BadRequest)
        && says.iter().any(|words| message.to_ascii_lowercase().contains(words))
}

#[cfg(test)]
mod tests;
