//! Error answers: `{"type":"error","error":{"type","message","details"},"request_id"}`.
//!
//! The `type` word decides the class where it is specific; `invalid_request_error` covers several
//! things that a gateway treats differently, told apart by their messages. Statuses decide where a
//! proxy in between answered instead: <https://platform.claude.com/docs/en/api/errors>.

use crate::fault::{UpstreamClass, UpstreamFault};
use crate::float;
use crate::units::Millis;
use bytes::Bytes;
use http::HeaderMap;
use serde::Deserialize;

#[derive(Deserialize)]
struct Body {
    error: Inner,
}

#[derive(Deserialize)]
struct Inner {
    #[serde(rename = "type")]
    kind: Option<String>,
    message: Option<String>,
    details: Option<Details>,
}

#[derive(Deserialize)]
struct Details {
    error_code: Option<String>,
}

/// Reads an answer with an error status.
pub(super) fn read(status: u16, headers: &HeaderMap, body: &[u8]) -> UpstreamFault {
    let Ok(Body { error: Inner { kind, message, details } }) = serde_json::from_slice(body) else {
        return bare(status, headers, body);
    };
    let code = details.and_then(|details| details.error_code);
    let message = message.unwrap_or_else(|| format!("the provider answered {status} without a message"));
    let class = class(status, kind.as_deref(), code.as_deref(), &message);
    UpstreamFault {
        code,
        kind,
        retry_after: retry_after(headers),
        body: Bytes::copy_from_slice(body),
        ..UpstreamFault::new(class, status, redacted(&message))
    }
}

/// Reads an error inside a stream or a 200 answer; its status is the one its type stands for.
pub(super) fn in_band(body: &[u8]) -> UpstreamFault {
    let mut fault = read(200, &HeaderMap::new(), body);
    fault.status = fault.kind.as_deref().and_then(status_of).unwrap_or(200);
    fault
}

/// An answer that is not this dialect.
pub(super) fn garbled(what: &str, body: &[u8]) -> UpstreamFault {
    let message = format!("the provider's answer is not a message: {what}");
    UpstreamFault {
        body: Bytes::copy_from_slice(body),
        ..UpstreamFault::new(UpstreamClass::Garbled, 200, message)
    }
}

fn bare(status: u16, headers: &HeaderMap, body: &[u8]) -> UpstreamFault {
    let message = format!("the provider answered {status} without an error object");
    UpstreamFault {
        retry_after: retry_after(headers),
        body: Bytes::copy_from_slice(body),
        ..UpstreamFault::new(UpstreamClass::of_status(status), status, message)
    }
}

fn class(status: u16, kind: Option<&str>, code: Option<&str>, message: &str) -> UpstreamClass {
    // A spending cap comes as a rate limit that never reopens.
    if code == Some("enforced_spend_limit_reached") {
        return UpstreamClass::Billing;
    }
    match kind {
        Some("authentication_error") => UpstreamClass::Auth,
        Some("billing_error") => UpstreamClass::Billing,
        Some("permission_error") => UpstreamClass::Forbidden,
        Some("not_found_error") => UpstreamClass::NotFound,
        Some("request_too_large") => UpstreamClass::TooLarge,
        Some("rate_limit_error") => UpstreamClass::RateLimited,
        Some("timeout_error") => UpstreamClass::Timeout,
        Some("overloaded_error") => UpstreamClass::Overloaded,
        Some("api_error") if matches!(status, 200 | 500) => UpstreamClass::Server,
        Some("invalid_request_error") => by_message(message).unwrap_or_else(|| match status {
            200 => UpstreamClass::BadRequest,
            _ => UpstreamClass::of_status(status),
        }),
        _ => UpstreamClass::of_status(status),
    }
}

fn by_message(message: &str) -> Option<UpstreamClass> {
    const SIGNS: &[(&str, UpstreamClass)] = &[
        ("prompt is too long", UpstreamClass::ContextLength),
        ("exceed context limit", UpstreamClass::ContextLength),
        ("credit balance is too low", UpstreamClass::Billing),
        ("usage limits", UpstreamClass::Billing),
        ("content filtering policy", UpstreamClass::ContentFilter),
    ];
    SIGNS.iter().find(|(sign, _)| message.contains(sign)).map(|(_, class)| *class)
}

fn status_of(kind: &str) -> Option<u16> {
    match kind {
        "invalid_request_error" => Some(400),
        "authentication_error" => Some(401),
        "billing_error" => Some(402),
        "permission_error" => Some(403),
        "not_found_error" => Some(404),
        "request_too_large" => Some(413),
        "rate_limit_error" => Some(429),
        "api_error" => Some(500),
        "timeout_error" => Some(504),
        "overloaded_error" => Some(529),
        _ => None,
    }
}

/// `retry-after-ms`, else `retry-after` in seconds; a date has been turned into these before.
fn retry_after(headers: &HeaderMap) -> Option<Millis> {
    let number = |name: &str| float::parse(headers.get(name)?.to_str().ok()?.trim());
    let millis =
        number("retry-after-ms").or_else(|| number("retry-after").map(|seconds| seconds * 1000.0))?;
    // The cast saturates, so an absurd number is a very long wait and not a short one.
    (millis.is_finite() && millis >= 0.0).then(|| Millis(millis.ceil() as u64))
}

/// The message without anything that looks like one of this vendor's keys.
fn redacted(message: &str) -> String {
    let mut clean = String::with_capacity(message.len());
    let mut rest = message;
    while let Some((before, after)) = rest.split_once("sk-ant-") {
        clean.push_str(before);
        clean.push_str("[key]");
        let is_key = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_');
        rest = after.trim_start_matches(is_key);
    }
    clean.push_str(rest);
    clean
}

#[cfg(test)]
mod tests {
    use super::*;

    fn body(kind: &str, message: &str) -> Vec<u8> {
        format!(
            r#"{{"type":"error","error":{{"type":"{kind}","message":"{message}"}},"request_id":"req_1"}}"#
        )
        .into_bytes()
    }

    fn class_of(status: u16, kind: &str, message: &str) -> UpstreamClass {
        read(status, &HeaderMap::new(), &body(kind, message)).class
    }

    #[test]
    fn every_error_type_has_its_class() {
        for (status, kind, class) in [
            (400, "invalid_request_error", UpstreamClass::BadRequest),
            (401, "authentication_error", UpstreamClass::Auth),
            (402, "billing_error", UpstreamClass::Billing),
            (403, "permission_error", UpstreamClass::Forbidden),
            (404, "not_found_error", UpstreamClass::NotFound),
            (413, "request_too_large", UpstreamClass::TooLarge),
            (429, "rate_limit_error", UpstreamClass::RateLimited),
            (500, "api_error", UpstreamClass::Server),
            (504, "timeout_error", UpstreamClass::Timeout),
            (529, "overloaded_error", UpstreamClass::Overloaded),
        ] {
            assert_eq!(class_of(status, kind, "no"), class, "{kind}");
            let fault = in_band(&body(kind, "no"));
            assert_eq!((fault.status, fault.class), (status, class), "{kind} in a stream");
        }
    }

    #[test]
    fn a_bad_request_is_looked_at_more_closely() {
        for (message, class) in [
            ("prompt is too long: 210000 tokens > 200000 maximum", UpstreamClass::ContextLength),
            ("input length and `max_tokens` exceed context limit: 1 + 2 > 3", UpstreamClass::ContextLength),
            ("Your credit balance is too low to access the API", UpstreamClass::Billing),
            ("Output blocked by content filtering policy", UpstreamClass::ContentFilter),
        ] {
            assert_eq!(class_of(400, "invalid_request_error", message), class, "{message}");
        }
    }

    #[test]
    fn a_spending_cap_is_billing_although_it_comes_as_a_rate_limit() {
        let body = br#"{"type":"error","error":{"type":"rate_limit_error","message":"m",
            "details":{"error_code":"enforced_spend_limit_reached"}}}"#;
        let fault = read(429, &HeaderMap::new(), body);
        assert_eq!(fault.class, UpstreamClass::Billing);
        assert_eq!(fault.code.as_deref(), Some("enforced_spend_limit_reached"));
    }

    #[test]
    fn what_a_proxy_answers_is_classed_by_its_status() {
        for (status, class) in [
            (502, UpstreamClass::Server),
            (503, UpstreamClass::Overloaded),
            (504, UpstreamClass::Timeout),
            (429, UpstreamClass::RateLimited),
            (422, UpstreamClass::BadRequest),
        ] {
            assert_eq!(read(status, &HeaderMap::new(), b"<html>no</html>").class, class);
        }
    }

    #[test]
    fn the_wait_is_read_in_milliseconds_or_seconds() {
        let wait = |name: &'static str, value: &'static str| {
            let mut headers = HeaderMap::new();
            headers.insert(name, value.parse().unwrap());
            read(429, &headers, b"").retry_after
        };
        assert_eq!(wait("retry-after", "7"), Some(Millis(7000)));
        assert_eq!(wait("retry-after", "0.25"), Some(Millis(250)));
        assert_eq!(wait("retry-after-ms", "1500.5"), Some(Millis(1501)));
        assert_eq!(wait("retry-after", "Wed, 21 Oct 2026 07:28:00 GMT"), None);
        assert_eq!(wait("retry-after", "-1"), None);
    }

    #[test]
    fn a_key_in_a_message_is_taken_out() {
        assert_eq!(redacted("bad key sk-ant-api03-AbC_9 given"), "bad key [key] given");
    }
}
