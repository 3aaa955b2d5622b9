//! Errors: `{"message": …}`, named by the header `x-amzn-errortype`, by `__type`, or in a stream by the
//! exception: <https://docs.aws.amazon.com/bedrock/latest/APIReference/CommonErrors.html>.

use crate::fault::{UpstreamClass, UpstreamFault};
use crate::sse::Frame;
use crate::units::Millis;
use bytes::Bytes;
use http::HeaderMap;
use serde_json::Value;

/// Reads an answer with an error status.
pub(super) fn read(status: u16, headers: &HeaderMap, body: &[u8]) -> UpstreamFault {
    let name = headers.get("x-amzn-errortype").and_then(|name| name.to_str().ok());
    let mut fault = named(status, name, body);
    let seconds = headers.get("retry-after").and_then(|wait| wait.to_str().ok()?.trim().parse::<u64>().ok());
    fault.retry_after = seconds.map(Millis::from_secs);
    fault
}

/// Reads an exception in a stream; its status is the one its name stands for.
pub(super) fn in_frame(frame: &Frame) -> UpstreamFault {
    let name = std::str::from_utf8(frame.event()).ok();
    let mut fault = named(200, name, frame.data());
    fault.status = fault.kind.as_deref().and_then(status_of).unwrap_or(200);
    fault
}

/// An answer that is not this dialect.
pub(super) fn garbled(what: &str, body: &[u8]) -> UpstreamFault {
    let message = format!("the provider's answer is not one of Bedrock's: {what}");
    UpstreamFault {
        body: Bytes::copy_from_slice(body),
        ..UpstreamFault::new(UpstreamClass::Garbled, 200, message)
    }
}

fn named(status: u16, name: Option<&str>, body: &[u8]) -> UpstreamFault {
    let parsed = serde_json::from_slice::<Value>(body).unwrap_or_default();
    let text = |key: &str| parsed.get(key).and_then(Value::as_str);
    let name = name.or_else(|| text("__type")).map(bare);
    let plain = || std::str::from_utf8(body).ok().filter(|_| status == 200 && parsed.is_null());
    let message = text("message").or_else(|| text("Message")).or_else(plain).filter(|said| !said.is_empty());
    let message =
        message.map_or_else(|| format!("the provider answered {status} without a message"), redacted);
    let class = class(status, name.as_deref(), &message);
    UpstreamFault {
        kind: name,
        body: Bytes::copy_from_slice(body),
        ..UpstreamFault::new(class, status, message)
    }
}

/// The name alone: an address may follow it, or a namespace stand before it. In a stream it begins with
/// a small letter.
fn bare(name: &str) -> String {
    let name = name.split(':').next().unwrap_or_default();
    let name = name.rsplit('#').next().unwrap_or_default().trim();
    let mut letters = name.chars();
    letters.next().map(|first| first.to_ascii_uppercase()).into_iter().chain(letters).collect()
}

fn class(status: u16, name: Option<&str>, message: &str) -> UpstreamClass {
    match name.unwrap_or_default() {
        "ValidationException" | "" if by_message(message).is_some() => {
            by_message(message).unwrap_or(UpstreamClass::BadRequest)
        }
        "ValidationException" | "SerializationException" => UpstreamClass::BadRequest,
        "ThrottlingException" | "TooManyRequestsException" | "Throttling" => UpstreamClass::RateLimited,
        "ServiceQuotaExceededException" => UpstreamClass::Billing,
        "AccessDeniedException" | "NotAuthorized" | "OptInRequired" => UpstreamClass::Forbidden,
        "UnrecognizedClientException"
        | "ExpiredTokenException"
        | "ExpiredToken"
        | "InvalidSignatureException"
        | "SignatureDoesNotMatch"
        | "InvalidClientTokenId"
        | "IncompleteSignatureException"
        | "IncompleteSignature"
        | "MissingAuthenticationTokenException"
        | "MissingAuthenticationToken" => UpstreamClass::Auth,
        "ResourceNotFoundException" => UpstreamClass::NotFound,
        "ModelNotReadyException" | "ServiceUnavailableException" | "ServiceUnavailable" => {
            UpstreamClass::Overloaded
        }
        "ModelTimeoutException" | "RequestTimeoutException" => UpstreamClass::Timeout,
        "RequestEntityTooLargeException" => UpstreamClass::TooLarge,
        "ModelErrorException"
        | "ModelStreamErrorException"
        | "InternalServerException"
        | "InternalFailure"
        | "InternalServerError" => UpstreamClass::Server,
        _ if status == 200 => UpstreamClass::Server,
        _ if status == 424 => UpstreamClass::Server,
        _ => UpstreamClass::of_status(status),
    }
}

fn by_message(message: &str) -> Option<UpstreamClass> {
    const SIGNS: &[(&str, UpstreamClass)] = &[
        ("Input is too long", UpstreamClass::ContextLength),
        ("Input Tokens Exceeded", UpstreamClass::ContextLength),
        ("prompt is too long", UpstreamClass::ContextLength),
        ("exceed context limit", UpstreamClass::ContextLength),
        ("maximum context length", UpstreamClass::ContextLength),
        ("context window", UpstreamClass::ContextLength),
        ("too many input tokens", UpstreamClass::ContextLength),
        ("content filtering policy", UpstreamClass::ContentFilter),
        ("model identifier is invalid", UpstreamClass::NotFound),
        ("model ID is not found", UpstreamClass::NotFound),
    ];
    let has = |sign: &str| {
        message.contains(sign) || message.to_ascii_lowercase().contains(&sign.to_ascii_lowercase())
    };
    SIGNS.iter().find(|(sign, _)| has(sign)).map(|(_, class)| *class)
}

/// What an exception in a stream would have been as an answer.
fn status_of(name: &str) -> Option<u16> {
    match name {
        "ValidationException" => Some(400),
        "ThrottlingException" => Some(429),
        "ModelTimeoutException" => Some(408),
        "ModelStreamErrorException" => Some(424),
        "InternalServerException" | "InternalFailure" => Some(500),
        "ServiceUnavailableException" => Some(503),
        _ => None,
    }
}

/// The message without access keys, which some refusals repeat.
fn redacted(message: &str) -> String {
    let is_key = |word: &str| {
        let core = word.trim_matches(|c: char| !c.is_ascii_alphanumeric());
        core.len() >= 16 && (core.starts_with("AKIA") || core.starts_with("ASIA") || core.starts_with("ABSK"))
    };
    if !message.contains("IA") && !message.contains("ABSK") {
        return message.to_owned();
    }
    let words = message.split(' ').map(|word| if is_key(word) { "[key]" } else { word });
    words.collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::framing::event_stream::write_exception;
    use crate::framing::{Framer, Framing};
    use bytes::BytesMut;
    use http::HeaderValue;

    fn told(status: u16, name: &'static str, body: &str) -> UpstreamFault {
        let mut headers = HeaderMap::new();
        if !name.is_empty() {
            headers.insert("x-amzn-errortype", HeaderValue::from_static(name));
        }
        read(status, &headers, body.as_bytes())
    }

    #[test]
    fn the_name_decides_wherever_it_stands() {
        let message = r#"{"message":"no"}"#;
        for (status, name, body, class) in [
            (403, "ExpiredTokenException:http://internal/coral/", message, UpstreamClass::Auth),
            (403, "UnrecognizedClientException", message, UpstreamClass::Auth),
            (403, "AccessDeniedException", r#"{"Message":"no"}"#, UpstreamClass::Forbidden),
            (429, "ThrottlingException", message, UpstreamClass::RateLimited),
            (429, "ModelNotReadyException", message, UpstreamClass::Overloaded),
            (408, "ModelTimeoutException", message, UpstreamClass::Timeout),
            (424, "ModelErrorException", message, UpstreamClass::Server),
            (400, "ServiceQuotaExceededException", message, UpstreamClass::Billing),
            (
                400,
                "",
                r#"{"__type":"com.amazon#ValidationException","message":"no"}"#,
                UpstreamClass::BadRequest,
            ),
            (
                400,
                "ValidationException",
                r#"{"message":"Input is too long for requested model."}"#,
                UpstreamClass::ContextLength,
            ),
            (
                400,
                "ValidationException",
                r#"{"message":"The provided model identifier is invalid."}"#,
                UpstreamClass::NotFound,
            ),
            (503, "", "<html>", UpstreamClass::of_status(503)),
        ] {
            assert_eq!(told(status, name, body).class, class, "{status} {name} {body}");
        }
        let fault = told(403, "ExpiredTokenException:http://internal/coral/", message);
        assert_eq!((fault.kind.as_deref(), fault.message.as_str()), (Some("ExpiredTokenException"), "no"));
    }

    #[test]
    fn an_exception_in_a_stream_has_the_status_of_its_name() {
        let mut bytes = BytesMut::new();
        write_exception("throttlingException", br#"{"message":"Too many"}"#, &mut bytes);
        let mut frames = Vec::new();
        Framer::new(Framing::EventStream).push(bytes.freeze(), &mut frames).unwrap();
        let fault = in_frame(&frames[0]);
        assert_eq!((fault.class, fault.status), (UpstreamClass::RateLimited, 429));
        assert_eq!(fault.kind.as_deref(), Some("ThrottlingException"));
        assert_eq!(fault.message, "Too many");
    }

    #[test]
    fn an_access_key_is_not_repeated() {
        let fault = told(403, "", r#"{"message":"the key AKIAIOSFODNN7EXAMPLE is unknown"}"#);
        assert_eq!(fault.message, "the key [key] is unknown");
    }
}
