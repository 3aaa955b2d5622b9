//! Errors in OpenAI's shape.

use crate::fault::{Code, Fault, Parts, UpstreamClass, UpstreamFault};
use bytes::Bytes;
use serde_json::{Value, json};

/// `{"error": {message, type, param, code}}`. A refusal of the upstream's that is passed on keeps its
/// own words.
pub(in crate::surface) fn body(fault: &Fault) -> Bytes {
    let Parts { code, message, param, retry_after: _, upstream } = &**fault;
    let error = match (code, upstream) {
        (Code::UpstreamRefused, Some(upstream)) => refused(upstream, *code),
        _ => json!({"message": message, "type": code.kind(), "param": param, "code": code.code()}),
    };
    Bytes::from(json!({ "error": error }).to_string())
}

/// The event that ends a stream in which something went wrong; no end mark follows it.
pub(super) fn event(fault: &Fault) -> Bytes {
    Bytes::from([b"data: ", &body(fault)[..], b"\n\n"].concat())
}

fn refused(upstream: &UpstreamFault, code: Code) -> Value {
    let UpstreamFault { class, status: _, message, code: own, kind, param, retry_after: _, body: _ } =
        upstream;
    let own = match (class, own.as_deref()) {
        // Clients and fallbacks look for this code, whatever the provider calls it.
        (UpstreamClass::ContextLength, _) => Some("context_length_exceeded"),
        (UpstreamClass::ContentFilter, None) => Some("content_filter"),
        (UpstreamClass::NotFound, None) => Some("model_not_found"),
        (_, own) => own,
    };
    json!({
        "message": message,
        "type": kind.as_deref().unwrap_or_else(|| kind_of(*class).unwrap_or_else(|| code.kind())),
        "param": param,
        "code": own,
    })
}

/// The `type` of a refusal whose provider has no such word.
fn kind_of(class: UpstreamClass) -> Option<&'static str> {
    match class {
        UpstreamClass::BadRequest
        | UpstreamClass::ContextLength
        | UpstreamClass::ContentFilter
        | UpstreamClass::NotFound
        | UpstreamClass::TooLarge => None,
        UpstreamClass::Auth => Some("authentication_error"),
        UpstreamClass::Billing => Some("insufficient_quota"),
        UpstreamClass::Forbidden => Some("permission_error"),
        UpstreamClass::RateLimited => Some("rate_limit_error"),
        UpstreamClass::Overloaded
        | UpstreamClass::Server
        | UpstreamClass::Timeout
        | UpstreamClass::Connection
        | UpstreamClass::Garbled => Some("api_error"),
    }
}
