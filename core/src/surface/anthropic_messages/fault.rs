//! Errors in Anthropic's shape: `{"type":"error","error":{"type","message"},"request_id"}`.

use crate::fault::{Code, Fault, Parts, UpstreamClass, UpstreamFault};
use bytes::Bytes;
use serde_json::{Map, Value, json};

/// Every `type` the dialect's clients know.
const TYPES: [&str; 10] = [
    "invalid_request_error",
    "authentication_error",
    "billing_error",
    "permission_error",
    "not_found_error",
    "request_too_large",
    "rate_limit_error",
    "api_error",
    "timeout_error",
    "overloaded_error",
];

/// How this dialect begins when a prompt is too long: agents look for it to shorten their history.
const TOO_LONG: &str = "prompt is too long";

/// The error as a body. A refusal of the upstream's that is passed on keeps its own words.
pub(super) fn body(fault: &Fault, request_id: &str) -> Bytes {
    Bytes::from(value(fault, request_id).to_string())
}

/// The event that ends a stream in which something went wrong; no `message_stop` follows it.
pub(super) fn event(fault: &Fault, request_id: &str) -> Bytes {
    Bytes::from(format!("event: error\ndata: {}\n\n", value(fault, request_id)))
}

fn value(fault: &Fault, request_id: &str) -> Value {
    let Parts { code, message, param, retry_after: _, upstream } = &**fault;
    let error = match (code, upstream) {
        (Code::UpstreamRefused, Some(upstream)) => refused(upstream),
        _ => {
            let mut details = Map::new();
            details.insert("error_code".to_owned(), code.code().into());
            details.extend(param.as_deref().map(|param| ("param".to_owned(), param.into())));
            json!({"type": kind_told(*code, upstream.as_deref()), "message": message, "details": details})
        }
    };
    json!({"type": "error", "error": error, "request_id": request_id})
}

fn refused(upstream: &UpstreamFault) -> Value {
    let UpstreamFault { class, status: _, message, code, kind, param, retry_after: _, body: _ } = upstream;
    let own = kind.as_deref().filter(|kind| TYPES.contains(kind));
    let is_unsaid = *class == UpstreamClass::ContextLength && !message.contains(TOO_LONG);
    let message = if is_unsaid { format!("{TOO_LONG}: {message}") } else { message.clone() };
    let mut error = json!({"type": own.unwrap_or_else(|| kind_of(*class)), "message": message});
    let details: Map<_, _> = [("error_code", code), ("param", param)]
        .into_iter()
        .filter_map(|(key, value)| Some((key.to_owned(), value.as_deref()?.into())))
        .collect();
    if let (Some(error), false) = (error.as_object_mut(), details.is_empty()) {
        error.insert("details".to_owned(), Value::Object(details));
    }
    error
}

/// An overload stays one when it comes in the middle of a stream: clients wait longer for it.
fn kind_told(code: Code, upstream: Option<&UpstreamFault>) -> &'static str {
    match (code, upstream) {
        (Code::UpstreamError, Some(upstream)) if upstream.class == UpstreamClass::Overloaded => {
            kind_of(upstream.class)
        }
        _ => kind(code),
    }
}

/// The `type` of a fault of the gateway's own.
fn kind(code: Code) -> &'static str {
    match code {
        Code::BadJson
        | Code::BadField
        | Code::Unsupported
        | Code::GuardrailBlocked
        | Code::WrongMethod
        | Code::SlowRequest
        | Code::Conflict
        | Code::UpstreamRefused => "invalid_request_error",
        Code::MissingKey | Code::InvalidKey | Code::ExpiredKey => "authentication_error",
        Code::BudgetExceeded => "billing_error",
        Code::ModelNotAllowed | Code::KeyBlocked | Code::NotPermitted => "permission_error",
        Code::ModelNotFound | Code::NoRoute | Code::NotFound => "not_found_error",
        Code::BodyTooLarge | Code::HeadersTooLarge => "request_too_large",
        Code::RpmExceeded | Code::TpmExceeded | Code::ConcurrencyExceeded | Code::UpstreamLimited => {
            "rate_limit_error"
        }
        Code::ClientLeft | Code::Bug | Code::UpstreamError | Code::StoreUnavailable | Code::NoCapacity => {
            "api_error"
        }
        Code::UpstreamTimeout | Code::Deadline => "timeout_error",
    }
}

/// The `type` of a refusal whose provider has no such word.
fn kind_of(class: UpstreamClass) -> &'static str {
    match class {
        UpstreamClass::BadRequest | UpstreamClass::ContextLength | UpstreamClass::ContentFilter => {
            "invalid_request_error"
        }
        UpstreamClass::NotFound => "not_found_error",
        UpstreamClass::TooLarge => "request_too_large",
        UpstreamClass::Auth => "authentication_error",
        UpstreamClass::Billing => "billing_error",
        UpstreamClass::Forbidden => "permission_error",
        UpstreamClass::RateLimited => "rate_limit_error",
        UpstreamClass::Overloaded => "overloaded_error",
        UpstreamClass::Timeout => "timeout_error",
        UpstreamClass::Server | UpstreamClass::Connection | UpstreamClass::Garbled => "api_error",
    }
}
