//! Errors in Google's shape.

use super::frame::Frames;
use crate::fault::{Code, Fault, Parts, UpstreamClass, UpstreamFault};
use crate::surface::{Asked, Begun};
use bytes::{Bytes, BytesMut};
use serde_json::{Map, Value, json};

/// Whose reasons these are.
const DOMAIN: &str = "tollgate";

/// `{"error": {code, message, status, details}}`. What Google itself has refused is told in its own
/// words.
pub(super) fn body(fault: &Fault) -> Bytes {
    Bytes::from(error(fault).to_string())
}

/// What ends a stream in which something went wrong.
pub(super) fn event(fault: &Fault, asked: &Asked, begun: Begun) -> Bytes {
    let (mut frames, mut out) = (Frames::after(asked.framing, begun), BytesMut::new());
    frames.put(&error(fault), &mut out);
    frames.close(&mut out);
    out.freeze()
}

/// The same of an upstream that gave up while it was being translated.
pub(super) fn of_upstream(upstream: &UpstreamFault) -> Value {
    let code = match upstream.class {
        UpstreamClass::BadRequest
        | UpstreamClass::ContextLength
        | UpstreamClass::ContentFilter
        | UpstreamClass::TooLarge => Code::UpstreamRefused,
        UpstreamClass::RateLimited => Code::UpstreamLimited,
        UpstreamClass::Timeout => Code::UpstreamTimeout,
        UpstreamClass::Auth
        | UpstreamClass::Billing
        | UpstreamClass::Forbidden
        | UpstreamClass::NotFound
        | UpstreamClass::Overloaded
        | UpstreamClass::Server
        | UpstreamClass::Connection
        | UpstreamClass::Garbled => Code::UpstreamError,
    };
    let mut fault = Fault::new(code, upstream.message.clone());
    fault.upstream = Some(Box::new(upstream.clone()));
    error(&fault)
}

fn error(fault: &Fault) -> Value {
    let Parts { code, message, param, retry_after, upstream } = &**fault;
    if let (Code::UpstreamRefused, Some(upstream)) = (code, upstream)
        && let Some(own) = own_words(&upstream.body)
    {
        return own;
    }
    let status = match fault.status() {
        // A fault inside a stream, whose own status was that of a success.
        0..400 => code.status(),
        status => status,
    };
    let reason = match (code, upstream) {
        (Code::UpstreamRefused, Some(upstream)) => reason_of(upstream).unwrap_or_else(|| reason(code.code())),
        _ => reason(code.code()),
    };
    let mut details = vec![json!({
        "@type": "type.googleapis.com/google.rpc.ErrorInfo", "reason": reason, "domain": DOMAIN,
    })];
    if let Some(field) = param {
        let violation = json!({"field": field, "description": message});
        details.push(json!({
            "@type": "type.googleapis.com/google.rpc.BadRequest", "fieldViolations": [violation],
        }));
    }
    let upstream_wait = upstream.as_ref().and_then(|upstream| upstream.retry_after);
    if let Some(wait) = retry_after.or(upstream_wait) {
        let delay = format!("{}s", wait.ceil_secs().max(1));
        details.push(json!({"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": delay}));
    }
    let error = json!({
        "code": status, "message": message, "status": word(status), "details": details,
    });
    json!({ "error": error })
}

/// An error of Google's, as it came.
fn own_words(body: &[u8]) -> Option<Value> {
    let parsed: Value = serde_json::from_slice(body).ok()?;
    let outer = parsed.get(0).unwrap_or(&parsed);
    let error = outer.get("error")?.as_object()?;
    let google =
        error.get("code").is_some_and(Value::is_u64) && error.get("status").is_some_and(Value::is_string);
    google.then(|| Value::Object(Map::from_iter([("error".to_owned(), Value::Object(error.clone()))])))
}

/// What another provider refused, in a word that clients and fallbacks look for.
fn reason_of(upstream: &UpstreamFault) -> Option<String> {
    match (upstream.class, upstream.code.as_deref().or(upstream.kind.as_deref())) {
        (UpstreamClass::ContextLength, _) => Some("CONTEXT_LENGTH_EXCEEDED".to_owned()),
        (UpstreamClass::ContentFilter, None) => Some("CONTENT_FILTER".to_owned()),
        (UpstreamClass::NotFound, None) => Some("MODEL_NOT_FOUND".to_owned()),
        (_, own) => own.map(reason),
    }
}

/// A reason is written in capitals.
fn reason(code: &str) -> String {
    code.chars()
        .map(|letter| if letter.is_ascii_alphanumeric() { letter.to_ascii_uppercase() } else { '_' })
        .take(63)
        .collect()
}

/// Google's word for a status.
fn word(status: u16) -> &'static str {
    match status {
        401 => "UNAUTHENTICATED",
        402 | 429 => "RESOURCE_EXHAUSTED",
        403 => "PERMISSION_DENIED",
        404 => "NOT_FOUND",
        405 | 501 => "UNIMPLEMENTED",
        408 | 504 => "DEADLINE_EXCEEDED",
        409 => "ABORTED",
        499 => "CANCELLED",
        500 => "INTERNAL",
        502 | 503 | 529 => "UNAVAILABLE",
        400..500 => "INVALID_ARGUMENT",
        _ => "UNKNOWN",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::call::UsageChunk;
    use crate::framing::Framing;
    use crate::units::Millis;

    #[test]
    fn a_fault_names_its_field_its_reason_and_when_to_come_back() {
        let fault = Fault::bad_field("contents[0].role", "user or model", "another word");
        let told: Value = serde_json::from_slice(&body(&fault)).unwrap();
        assert_eq!(
            (&told["error"]["code"], &told["error"]["status"]),
            (&json!(400), &json!("INVALID_ARGUMENT"))
        );
        assert_eq!(told["error"]["details"][0]["reason"], "BAD_FIELD");
        assert_eq!(told["error"]["details"][1]["fieldViolations"][0]["field"], "contents[0].role");
        let fault = Fault::new(Code::RpmExceeded, "m").retry_after(Millis(2_500));
        let told: Value = serde_json::from_slice(&body(&fault)).unwrap();
        assert_eq!(told["error"]["details"][1]["retryDelay"], "3s");
    }

    #[test]
    fn every_code_has_a_word_of_googles() {
        for code in Code::ALL {
            assert_ne!(word(code.status()), "UNKNOWN", "{}", code.code());
        }
    }

    #[test]
    fn what_google_refused_is_told_in_its_own_words() {
        let own =
            r#"[{"error":{"code":400,"message":"no","status":"FAILED_PRECONDITION","details":[{"a":1}]}}]"#;
        let mut upstream = UpstreamFault::new(UpstreamClass::BadRequest, 400, "no");
        upstream.body = Bytes::from_static(own.as_bytes());
        let mut fault = Fault::new(Code::UpstreamRefused, "no");
        fault.upstream = Some(Box::new(upstream));
        assert_eq!(body(&fault), own.strip_prefix('[').unwrap().strip_suffix(']').unwrap().as_bytes());
    }

    #[test]
    fn an_array_that_ends_in_an_error_is_well_formed() {
        let fault = Fault::new(Code::UpstreamError, "gone");
        let asked = Asked {
            client: crate::surface::Client::Usual,
            model: String::new(),
            request_id: String::new(),
            now_secs: 0,
            usage: UsageChunk::Wanted,
            framing: Framing::Array,
            body: Default::default(),
        };
        for (head, begun) in [("", Begun::No), ("[{\"a\":1}", Begun::Yes)] {
            let text = [head.as_bytes(), &event(&fault, &asked, begun)].concat();
            let list: Vec<Value> = serde_json::from_slice(&text).unwrap();
            assert_eq!(list.last().unwrap()["error"]["status"], "UNAVAILABLE");
        }
    }
}
