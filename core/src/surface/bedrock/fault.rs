//! Errors in Bedrock's shape: `{"message"}`, named by a header, which AWS's clients look for.
//!
//! Statuses are Bedrock's own, since clients know each error with its status:
//! <https://docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_Converse.html>

use crate::fault::{Code, Fault, UpstreamClass, UpstreamFault};
use crate::framing::event_stream::write_exception;
use bytes::{Bytes, BytesMut};
use http::{HeaderMap, HeaderName, HeaderValue};
use serde_json::json;

const ERROR_TYPE: HeaderName = HeaderName::from_static("x-amzn-errortype");

/// How this dialect says that a prompt is too long.
const TOO_LONG: &str = "Input is too long for requested model";

/// An error's name, and the status that belongs to it.
#[derive(Clone, Copy)]
struct Named {
    status: u16,
    name: &'static str,
}

const fn named(status: u16, name: &'static str) -> Named {
    Named { status, name }
}

const INVALID: Named = named(400, "ValidationException");
const STRANGER: Named = named(403, "UnrecognizedClientException");
const DENIED: Named = named(403, "AccessDeniedException");
const MISSING: Named = named(404, "ResourceNotFoundException");
const QUOTA: Named = named(400, "ServiceQuotaExceededException");
const SLOW: Named = named(408, "ModelTimeoutException");
const THROTTLED: Named = named(429, "ThrottlingException");
const BROKEN: Named = named(500, "InternalServerException");
const AWAY: Named = named(503, "ServiceUnavailableException");

/// The error as a body.
pub(super) fn body(fault: &Fault) -> Bytes {
    Bytes::from(json!({ "message": message(fault) }).to_string())
}

/// The status it is answered with.
pub(super) fn status(fault: &Fault) -> u16 {
    of(fault).status
}

/// Names it in the head of its answer.
pub(super) fn label(fault: &Fault, headers: &mut HeaderMap) {
    let own = match (fault.code, &fault.upstream) {
        (Code::UpstreamRefused, Some(upstream)) => own_name(upstream),
        _ => None,
    };
    let own = own.and_then(|name| HeaderValue::from_str(name).ok());
    headers.insert(ERROR_TYPE, own.unwrap_or(HeaderValue::from_static(of(fault).name)));
}

/// The exception that ends a stream.
pub(super) fn event(fault: &Fault) -> Bytes {
    let mut out = BytesMut::new();
    match &fault.upstream {
        Some(upstream) => exception(upstream, &mut out),
        None => write(exception_of(of(fault)), &message(fault), &mut out),
    }
    out.freeze()
}

/// The same of an upstream that gave up while it was being translated.
pub(super) fn exception(upstream: &UpstreamFault, out: &mut BytesMut) {
    let known = |own: &str| EXCEPTIONS.iter().find(|name| name.eq_ignore_ascii_case(own)).copied();
    let own = upstream.kind.as_deref().and_then(known);
    let name = own.unwrap_or_else(|| exception_of(of_class(upstream.class)));
    write(name, &upstream.message, out);
}

/// The exceptions that a stream knows.
const EXCEPTIONS: [&str; 5] = [
    "internalServerException",
    "modelStreamErrorException",
    "serviceUnavailableException",
    "throttlingException",
    "validationException",
];

fn exception_of(Named { status, name: _ }: Named) -> &'static str {
    match status {
        429 => "throttlingException",
        500 => "internalServerException",
        503 => "serviceUnavailableException",
        408 => "modelStreamErrorException",
        _ => "validationException",
    }
}

fn write(name: &str, message: &str, out: &mut BytesMut) {
    write_exception(name, json!({ "message": message }).to_string().as_bytes(), out);
}

fn message(fault: &Fault) -> String {
    let said = &fault.message;
    match &fault.upstream {
        Some(upstream) if fault.code == Code::UpstreamRefused => {
            let unsaid =
                upstream.class == UpstreamClass::ContextLength && !upstream.message.contains(TOO_LONG);
            if unsaid { format!("{TOO_LONG}: {}", upstream.message) } else { upstream.message.clone() }
        }
        Some(_) | None => said.clone(),
    }
}

fn of(fault: &Fault) -> Named {
    match (fault.code, &fault.upstream) {
        (Code::UpstreamRefused, Some(upstream)) => refused(upstream),
        (code, _) => of_code(code),
    }
}

/// A refusal of Bedrock's own keeps its status.
fn refused(upstream: &UpstreamFault) -> Named {
    let named = of_class(upstream.class);
    if own_name(upstream).is_some() && (400..600).contains(&upstream.status) {
        Named { status: upstream.status, ..named }
    } else {
        named
    }
}

/// The name that Bedrock itself has given a refusal.
fn own_name(upstream: &UpstreamFault) -> Option<&str> {
    upstream.kind.as_deref().filter(|kind| kind.ends_with("Exception"))
}

fn of_code(code: Code) -> Named {
    match code {
        Code::BadJson
        | Code::BadField
        | Code::Unsupported
        | Code::GuardrailBlocked
        | Code::Conflict
        | Code::HeadersTooLarge
        | Code::UpstreamRefused => INVALID,
        Code::WrongMethod => named(405, "ValidationException"),
        Code::SlowRequest => named(408, "ValidationException"),
        Code::BodyTooLarge => named(413, "ValidationException"),
        Code::MissingKey => named(403, "MissingAuthenticationTokenException"),
        Code::InvalidKey => STRANGER,
        Code::ExpiredKey => named(403, "ExpiredTokenException"),
        Code::BudgetExceeded => QUOTA,
        Code::ModelNotAllowed | Code::KeyBlocked | Code::NotPermitted => DENIED,
        Code::ModelNotFound | Code::NoRoute | Code::NotFound => MISSING,
        Code::RpmExceeded | Code::TpmExceeded | Code::ConcurrencyExceeded | Code::UpstreamLimited => {
            THROTTLED
        }
        Code::ClientLeft | Code::Bug | Code::UpstreamError => BROKEN,
        Code::StoreUnavailable | Code::NoCapacity => AWAY,
        Code::UpstreamTimeout | Code::Deadline => SLOW,
    }
}

fn of_class(class: UpstreamClass) -> Named {
    match class {
        UpstreamClass::BadRequest | UpstreamClass::ContextLength | UpstreamClass::ContentFilter => INVALID,
        UpstreamClass::TooLarge => named(413, "ValidationException"),
        UpstreamClass::Auth => STRANGER,
        UpstreamClass::Forbidden => DENIED,
        UpstreamClass::Billing => QUOTA,
        UpstreamClass::NotFound => MISSING,
        UpstreamClass::RateLimited => THROTTLED,
        UpstreamClass::Overloaded => AWAY,
        UpstreamClass::Timeout => SLOW,
        UpstreamClass::Server | UpstreamClass::Connection | UpstreamClass::Garbled => BROKEN,
    }
}
