//! What servers of this dialect say when they fail: as chat's do, or within a response, or as an event.

use crate::fault::UpstreamFault;
use crate::provider::openai;
use http::HeaderMap;
use serde_json::{Map, Value};

/// Reads an answer with an error status, a response that failed, or an event that tells of a fault.
pub(super) fn read(status: u16, headers: &HeaderMap, body: &[u8]) -> UpstreamFault {
    let told = serde_json::from_slice(body).ok().and_then(error);
    match told {
        Some(error) => {
            let wrapped = Value::Object(Map::from_iter([("error".to_owned(), error)]));
            openai::fault::read(status, headers, wrapped.to_string().as_bytes())
        }
        None => openai::fault::read(status, headers, body),
    }
}

/// The error within: `{response: {error}}`, `{status: failed}` without one, or the event itself, whose
/// `type` says only that it is one. `None` where it stands as chat's do.
fn error(body: Value) -> Option<Value> {
    let Value::Object(mut fields) = body else { return None };
    if let Some(Value::Object(mut response)) = fields.shift_remove("response") {
        return Some(response.shift_remove("error").filter(Value::is_object).unwrap_or_else(unsaid));
    }
    match fields.get("error") {
        Some(Value::Object(_) | Value::String(_)) => None,
        Some(_) | None if fields.get("type").is_some_and(|kind| kind == "error") => {
            fields.shift_remove("type");
            fields.shift_remove("error");
            Some(Value::Object(fields))
        }
        Some(_) | None if fields.get("status").is_some_and(|status| status == "failed") => Some(unsaid()),
        Some(_) | None => None,
    }
}

fn unsaid() -> Value {
    let message = "the response failed without saying why";
    Value::Object(Map::from_iter([("message".to_owned(), message.into())]))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fault::UpstreamClass;

    #[test]
    fn an_error_is_found_wherever_it_stands() {
        for (body, message, class) in [
            (
                r#"{"error":{"message":"no such model","type":"invalid_request_error","param":"model","code":"model_not_found"}}"#,
                "no such model",
                UpstreamClass::NotFound,
            ),
            (
                r#"{"type":"response.failed","response":{"status":"failed","error":{"code":"rate_limit_exceeded","message":"slow down"}}}"#,
                "slow down",
                UpstreamClass::RateLimited,
            ),
            (
                r#"{"type":"error","code":"server_error","message":"oops","param":null,"sequence_number":3}"#,
                "oops",
                UpstreamClass::Server,
            ),
            (
                r#"{"type":"error","error":{"type":"invalid_request_error","code":"context_length_exceeded","message":"too long","param":"input"}}"#,
                "too long",
                UpstreamClass::ContextLength,
            ),
            (
                r#"{"status":"failed","error":null}"#,
                "the response failed without saying why",
                UpstreamClass::Server,
            ),
        ] {
            let status = if class == UpstreamClass::NotFound { 404 } else { 200 };
            let fault = read(status, &HeaderMap::new(), body.as_bytes());
            assert_eq!((fault.message.as_str(), fault.class), (message, class), "{body}");
        }
    }
}
