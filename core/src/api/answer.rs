//! Answers of the admin API: JSON, never cached.

use super::shape::Object;
use crate::fault::{Code, Fault, Parts};
use bytes::Bytes;
use http::header::{CACHE_CONTROL, CONTENT_TYPE, HeaderValue, WWW_AUTHENTICATE};
use http::{Response, StatusCode};
use serde_json::{Value, json};

/// A JSON answer.
pub(super) fn answer(status: StatusCode, body: &Value) -> Response<Bytes> {
    let mut response = Response::new(Bytes::from(body.to_string()));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    // Some answers hold a secret that is shown once.
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

/// A JSON answer with status 200.
pub(super) fn ok(body: &Value) -> Response<Bytes> {
    answer(StatusCode::OK, body)
}

/// The answer to what cannot be done.
pub fn refusal(fault: &Fault) -> Response<Bytes> {
    let Parts { code, message, param, retry_after: _, upstream: _ } = &**fault;
    let error = json!({"message": message, "type": code.kind(), "code": code.code(), "param": param});
    let status = StatusCode::from_u16(fault.status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let mut response = answer(status, &json!({ "error": error }));
    crate::exchange::retry_hints(response.headers_mut(), fault);
    if matches!(code, Code::MissingKey | Code::InvalidKey | Code::ExpiredKey) {
        response.headers_mut().insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
    }
    response
}

/// An object of one entry after the other.
pub(super) fn object<const N: usize>(entries: [(&str, Value); N]) -> Object {
    entries.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
}
