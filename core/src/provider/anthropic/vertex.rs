//! Anthropic's models at Google Cloud: the model stands in the path, the version in the body.
//! <https://platform.claude.com/docs/en/build-with-claude/claude-on-vertex-ai>

use crate::call::{Delivery, Operation};
use crate::json::Tape;
use crate::provider::{Endpoint, Purpose};
use crate::sigv4::{Slash, escape};
use bytes::{Bytes, BytesMut};
use http::HeaderMap;

/// `anthropic_version`, the only one there is.
const VERSION: &str = "\"anthropic_version\":\"vertex-2023-10-16\"";

/// Below a location's publishers.
pub(super) fn endpoint(model: &str, purpose: Purpose) -> Option<Endpoint> {
    let (model, verb) = match (purpose.operation, purpose.delivery) {
        (Operation::Chat, Delivery::Whole) => (model, "rawPredict"),
        (Operation::Chat, Delivery::Stream(_)) => (model, "streamRawPredict"),
        (Operation::Count, _) => ("count-tokens", "rawPredict"),
        (
            Operation::Invoke
            | Operation::Embed
            | Operation::EmbedBatch
            | Operation::Complete
            | Operation::Task(_),
            _,
        ) => return None,
    };
    let mut path = "/anthropic/models/".to_owned();
    // Versions stand behind an `@`.
    for (at, piece) in model.split('@').enumerate() {
        path.push_str(if at == 0 { "" } else { "@" });
        escape(piece.as_bytes(), Slash::Escaped, &mut path);
    }
    path.push(':');
    path.push_str(verb);
    Some(Endpoint { path: path.into(), headers: HeaderMap::new() })
}

/// A body of Anthropic's as it is sent there: without its model, with the version. All else stays as it is.
pub(super) fn body(body: &Bytes) -> Bytes {
    placed(body, &["model", "anthropic_version"])
}

/// The same of a body in which tokens are counted, which keeps its model.
pub(crate) fn sent(body: &Bytes, operation: Operation) -> Bytes {
    let own: &[&str] =
        if operation == Operation::Count { &["anthropic_version"] } else { &["model", "anthropic_version"] };
    placed(body, own)
}

fn placed(body: &Bytes, leave_out: &[&str]) -> Bytes {
    let Ok(tape) = Tape::parse(body) else { return body.clone() };
    let mut out = BytesMut::with_capacity(body.len() + VERSION.len() + 1);
    let mut kept = 0;
    for cut in tape.root().member_cuts(leave_out) {
        out.extend_from_slice(body.get(kept..cut.start).unwrap_or_default());
        kept = cut.end;
    }
    out.extend_from_slice(body.get(kept..).unwrap_or_default());
    let Some(open) = out.iter().position(|byte| *byte == b'{') else { return body.clone() };
    let rest = out.split_off(open + 1);
    out.extend_from_slice(VERSION.as_bytes());
    if !rest.trim_ascii_start().starts_with(b"}") {
        out.extend_from_slice(b",");
    }
    out.unsplit(rest);
    out.freeze()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::call::UsageChunk;

    #[test]
    fn the_model_moves_into_the_path_and_the_version_into_the_body() {
        for (body, placed) in [
            (
                r#"{"model":"m","max_tokens":1}"#,
                r#"{"anthropic_version":"vertex-2023-10-16","max_tokens":1}"#,
            ),
            (r#" {"a":"\u00e9","model":"m"}"#, r#" {"anthropic_version":"vertex-2023-10-16","a":"\u00e9"}"#),
            (r#"{"model":"m"}"#, r#"{"anthropic_version":"vertex-2023-10-16"}"#),
            (r#"{"anthropic_version":"x","b":1}"#, r#"{"anthropic_version":"vertex-2023-10-16","b":1}"#),
        ] {
            assert_eq!(super::body(&Bytes::from(body)), placed);
        }
        let path = |operation, delivery| {
            let purpose = Purpose { operation, ..Purpose::chat(delivery) };
            endpoint("claude-sonnet-4-5@20250929", purpose).unwrap().path
        };
        assert_eq!(
            path(Operation::Chat, Delivery::Stream(UsageChunk::Wanted)),
            "/anthropic/models/claude-sonnet-4-5@20250929:streamRawPredict"
        );
        assert_eq!(path(Operation::Count, Delivery::Whole), "/anthropic/models/count-tokens:rawPredict");
        let counted = sent(&Bytes::from(r#"{"model":"m"}"#), Operation::Count);
        assert_eq!(counted, r#"{"anthropic_version":"vertex-2023-10-16","model":"m"}"#);
    }
}
