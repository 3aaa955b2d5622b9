//! What an error answer means.

use crate::fault::{UpstreamClass, UpstreamFault};
use crate::float;
use crate::units::Millis;
use bytes::Bytes;
use http::HeaderMap;
use serde_json::Value;

/// Reads `{"error": {code, message, status, details}}`, also as the only element of an array, and
/// whatever else stands in an answer with an error status.
pub(super) fn read(status: u16, headers: &HeaderMap, body: &[u8]) -> UpstreamFault {
    let parsed = serde_json::from_slice::<Value>(body).unwrap_or_default();
    let outer = parsed.get(0).unwrap_or(&parsed);
    let mut fault = match outer.get("error") {
        Some(error) => of_error(status, error),
        None => UpstreamFault::new(UpstreamClass::of_status(status), status, "the provider gave no reason"),
    };
    fault.retry_after = fault.retry_after.or_else(|| header_wait(headers));
    // A quota of the day does not come back after the seconds the provider suggests.
    if fault.class == UpstreamClass::Billing {
        fault.retry_after = None;
    }
    fault.body = without_keys(body);
    fault
}

/// An `error` object, wherever it stands. Its own code is the status, where it has one.
pub(super) fn of_error(status: u16, error: &Value) -> UpstreamFault {
    let own = error.get("code").and_then(Value::as_u64).and_then(|code| u16::try_from(code).ok());
    let status = own.filter(|code| (400..600).contains(code)).unwrap_or(status);
    let word = error.get("status").and_then(Value::as_str);
    let message = error.get("message").and_then(Value::as_str).or(error.as_str()).unwrap_or_default();
    let details = error.get("details").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    let reason = details.iter().find_map(|detail| detail.get("reason")?.as_str());
    let class = class(status, word, reason, message, details);
    let shown = String::from_utf8_lossy(&without_keys(message.as_bytes())).into_owned();
    UpstreamFault {
        // The reason is the more telling word, and Google has none for the `type` of other dialects.
        code: reason.or(word).map(str::to_owned),
        param: details.iter().find_map(blamed_field),
        retry_after: details.iter().find_map(told_delay).or_else(|| delay_in_words(message)),
        ..UpstreamFault::new(class, status, shown)
    }
}

fn class(
    status: u16,
    word: Option<&str>,
    reason: Option<&str>,
    message: &str,
    details: &[Value],
) -> UpstreamClass {
    if reason.is_some_and(is_about_the_key) || message.starts_with("API key not valid") {
        return UpstreamClass::Auth;
    }
    // AI Studio's wording, then Vertex's.
    let beyond = message.contains("exceeds the maximum") || message.contains("only supports up to");
    if message.contains("token count") && beyond {
        return UpstreamClass::ContextLength;
    }
    if message.contains("payload size exceeds") {
        return UpstreamClass::TooLarge;
    }
    if reason == Some("BILLING_DISABLED") || message.contains("credits are depleted") {
        return UpstreamClass::Billing;
    }
    match (word, status) {
        // A used-up day is like an empty account: this key is of no use until tomorrow, another may be.
        (Some("RESOURCE_EXHAUSTED"), _) | (_, 429) if details.iter().any(is_daily) => UpstreamClass::Billing,
        (_, 402) => UpstreamClass::Billing,
        (Some("RESOURCE_EXHAUSTED"), _) => UpstreamClass::RateLimited,
        (Some("UNAUTHENTICATED"), _) => UpstreamClass::Auth,
        (Some("PERMISSION_DENIED"), _) => UpstreamClass::Forbidden,
        (Some("NOT_FOUND"), _) => UpstreamClass::NotFound,
        (Some("UNAVAILABLE"), _) => UpstreamClass::Overloaded,
        (Some("DEADLINE_EXCEEDED"), _) => UpstreamClass::Timeout,
        (Some("INTERNAL" | "UNKNOWN" | "DATA_LOSS" | "ABORTED" | "CANCELLED"), _) => UpstreamClass::Server,
        // "User location is not supported", or the free tier is not to be had there.
        (Some("FAILED_PRECONDITION"), _) => UpstreamClass::Forbidden,
        (Some("INVALID_ARGUMENT" | "OUT_OF_RANGE" | "UNIMPLEMENTED"), _) => UpstreamClass::BadRequest,
        (_, status) => UpstreamClass::of_status(status),
    }
}

fn is_about_the_key(reason: &str) -> bool {
    reason.starts_with("API_KEY_")
        || matches!(reason, "CONSUMER_SUSPENDED" | "ACCESS_TOKEN_EXPIRED" | "CREDENTIALS_MISSING")
}

fn is_daily(detail: &Value) -> bool {
    let violations = detail.get("violations").and_then(Value::as_array).into_iter().flatten();
    violations
        .filter_map(|violation| violation.get("quotaId").and_then(Value::as_str))
        .any(|quota| quota.contains("PerDay"))
}

fn blamed_field(detail: &Value) -> Option<String> {
    Some(detail.get("fieldViolations")?.get(0)?.get("field")?.as_str()?.to_owned())
}

/// `RetryInfo.retryDelay`: `39s`, `48.9s`.
fn told_delay(detail: &Value) -> Option<Millis> {
    millis(detail.get("retryDelay")?.as_str()?)
}

/// `Please retry in 48.9s.`, also `1m3.2s` and `800ms`.
fn delay_in_words(message: &str) -> Option<Millis> {
    let rest = message.split_once("retry in ")?.1;
    millis(rest.split([' ', ',']).next()?.trim_end_matches('.'))
}

/// Seconds by header, which proxies add; dates are left to the host's general rule.
fn header_wait(headers: &HeaderMap) -> Option<Millis> {
    let value = headers.get(http::header::RETRY_AFTER)?.to_str().ok()?;
    Some(Millis::from_secs(value.trim().parse().ok()?))
}

/// A duration as Google and Go write it, rounded up to whole milliseconds.
fn millis(text: &str) -> Option<Millis> {
    let mut total = 0.0_f64;
    let mut rest = text;
    while !rest.is_empty() {
        let end = rest.find(|c: char| !c.is_ascii_digit() && c != '.')?;
        let (number, after) = rest.split_at_checked(end)?;
        let unit_end = after.find(|c: char| c.is_ascii_digit()).unwrap_or(after.len());
        let (unit, after) = after.split_at_checked(unit_end)?;
        let scale = match unit {
            "h" => 3_600_000.0,
            "m" => 60_000.0,
            "s" => 1_000.0,
            "ms" => 1.0,
            _ => return None,
        };
        total += float::parse(number)? * scale;
        rest = after;
    }
    let whole = total.ceil();
    // A week is more than any provider means.
    (whole > 0.0 && whole < 604_800_000.0).then_some(Millis(whole as u64))
}

/// Google quotes the key in some refusals (`Consumer 'api_key:AIza…' has been suspended`).
fn without_keys(text: &[u8]) -> Bytes {
    const MARK: &[u8] = b"AIza";
    if memchr::memmem::find(text, MARK).is_none() {
        return Bytes::copy_from_slice(text);
    }
    let mut clean = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = memchr::memmem::find(rest, MARK) {
        let (before, key) = rest.split_at_checked(at).unwrap_or((rest, &[]));
        clean.extend_from_slice(before);
        clean.extend_from_slice(b"[key]");
        let end = key.iter().position(|byte| !byte.is_ascii_alphanumeric() && !matches!(byte, b'-' | b'_'));
        rest = end.and_then(|end| key.get(end..)).unwrap_or_default();
    }
    clean.extend_from_slice(rest);
    Bytes::from(clean)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn told(status: u16, error: Value) -> UpstreamFault {
        read(status, &HeaderMap::new(), json!({"error": error}).to_string().as_bytes())
    }

    #[test]
    fn a_bad_key_is_an_auth_fault_although_the_status_is_400() {
        let fault = told(
            400,
            json!({"code": 400, "message": "no", "status": "INVALID_ARGUMENT", "details": [{"reason": "API_KEY_INVALID"}]}),
        );
        assert_eq!((fault.class, fault.status), (UpstreamClass::Auth, 400));
    }

    #[test]
    fn k4_the_delay_of_a_rate_limit_is_read_from_details_or_words() {
        let details = json!([{"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": "39s"}]);
        let fault = told(
            429,
            json!({"code": 429, "message": "slow", "status": "RESOURCE_EXHAUSTED", "details": details}),
        );
        assert_eq!((fault.class, fault.retry_after), (UpstreamClass::RateLimited, Some(Millis(39_000))));
        let fault = told(
            429,
            json!({"code": 429, "message": "Quota. Please retry in 48.9s.", "status": "RESOURCE_EXHAUSTED"}),
        );
        assert_eq!(fault.retry_after, Some(Millis(48_900)));
        assert_eq!(millis("1m3.2s"), Some(Millis(63_200)));
        assert_eq!(millis("800ms"), Some(Millis(800)));
        assert_eq!((millis("soon"), millis("0s")), (None, None));
    }

    #[test]
    fn a_quota_of_the_day_takes_the_key_out_instead_of_waiting_seconds() {
        let details = json!([
            {"violations": [{"quotaId": "GenerateRequestsPerDayPerProjectPerModel-FreeTier"}]},
            {"retryDelay": "39s"}
        ]);
        let fault = told(
            429,
            json!({"code": 429, "message": "q", "status": "RESOURCE_EXHAUSTED", "details": details}),
        );
        assert_eq!((fault.class, fault.retry_after), (UpstreamClass::Billing, None));
    }

    #[test]
    fn i3_a_prompt_beyond_the_window_is_a_context_fault() {
        let message = "The input token count (9) exceeds the maximum number of tokens allowed (8).";
        let other = "the input token count is 9 but model only supports up to 8.";
        for message in [message, other] {
            let fault = told(400, json!({"code": 400, "message": message, "status": "INVALID_ARGUMENT"}));
            assert_eq!(fault.class, UpstreamClass::ContextLength);
        }
    }

    #[test]
    fn every_status_word_has_its_class() {
        for (word, status, class) in [
            ("UNAVAILABLE", 503, UpstreamClass::Overloaded),
            ("DEADLINE_EXCEEDED", 504, UpstreamClass::Timeout),
            ("NOT_FOUND", 404, UpstreamClass::NotFound),
            ("PERMISSION_DENIED", 403, UpstreamClass::Forbidden),
            ("UNAUTHENTICATED", 401, UpstreamClass::Auth),
            ("INTERNAL", 500, UpstreamClass::Server),
            ("INVALID_ARGUMENT", 400, UpstreamClass::BadRequest),
            ("FAILED_PRECONDITION", 400, UpstreamClass::Forbidden),
        ] {
            let fault = told(status, json!({"code": status, "message": "m", "status": word}));
            assert_eq!((fault.class, fault.status, fault.code.as_deref()), (class, status, Some(word)));
        }
    }

    #[test]
    fn an_error_in_an_array_and_a_page_of_html_are_read() {
        let body = br#"[{"error": {"code": 503, "message": "m", "status": "UNAVAILABLE"}}]"#;
        assert_eq!(read(200, &HeaderMap::new(), body).status, 503);
        let fault = read(502, &HeaderMap::new(), b"<html>Bad Gateway</html>");
        assert_eq!((fault.class, fault.status), (UpstreamClass::Server, 502));
    }

    #[test]
    fn d3_a_key_that_the_provider_quotes_does_not_come_down() {
        let key = "AIzaSyA1234567890_abcdefghijklmnopqrstu";
        let message = format!("Consumer 'api_key:{key}' has been suspended.");
        let fault = told(403, json!({"code": 403, "message": message, "status": "PERMISSION_DENIED"}));
        assert_eq!(fault.message, "Consumer 'api_key:[key]' has been suspended.");
        assert!(!String::from_utf8_lossy(&fault.body).contains("AIza"));
    }
}
