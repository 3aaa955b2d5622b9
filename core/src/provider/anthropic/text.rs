//! What the model says, by a look for the keys it stands under.

use crate::provider::{said, scan};
use memchr::memmem::Finder;
use std::sync::LazyLock;

/// How a frame with a piece begins, as Anthropic writes it.
const PIECE: &[u8] = br#"{"type":"content_block_delta","#;

static DELTA: LazyLock<Finder<'static>> = LazyLock::new(|| Finder::new("\"delta\":{"));

/// See [`crate::provider::Provider::text`].
pub(in crate::provider) fn of(data: &[u8], out: &mut String) {
    match DELTA.find(data).filter(|_| data.starts_with(PIECE)) {
        Some(at) => block(data, at + DELTA.needle().len() - 1, out),
        None => any(data, out),
    }
}

/// The keys of a frame are few and its outermost ones come first, so they are walked.
fn any(data: &[u8], out: &mut String) {
    let start = scan::skip_space(data, 0);
    for member in scan::members(data, start) {
        match member.key {
            b"delta" | b"content_block" => block(data, member.value, out),
            b"content" => scan::elements(data, member.value).for_each(|at| block(data, at, out)),
            _ => {}
        }
    }
}

fn block(data: &[u8], at: usize, out: &mut String) {
    for member in scan::members(data, at) {
        match member.key {
            b"text" | b"thinking" | b"partial_json" | b"name" => said::string(data, member.value, out),
            b"input" if !scan::is_empty(data, member.value) => said::json(data, member.value, out),
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_field_in_which_a_model_speaks_is_heard_once() {
        for (data, said) in [
            (
                r#"{"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":"a\"b"}}"#,
                "a\"b",
            ),
            (
                r#"{"type":"content_block_delta","index":0,"delta":{"type":"thinking_delta","thinking":"hm"}}"#,
                "hm",
            ),
            (
                r#"{"type":"content_block_delta","index":0,"delta":{"type":"signature_delta","signature":"xx"}}"#,
                "",
            ),
            (
                r#"{"type":"content_block_delta","index":1,"delta":{"type":"input_json_delta","partial_json":"{\"a\":"}}"#,
                r#"{"a":"#,
            ),
            (
                r#"{"type":"content_block_start","index":1,"content_block":{"type":"tool_use","id":"t","name":"f","input":{}}}"#,
                "f",
            ),
            (
                r#"{"type":"message_delta","delta":{"stop_reason":"end_turn"},"usage":{"output_tokens":5}}"#,
                "",
            ),
            (
                r#"{"id":"m","content":[{"type":"text","text":"a"},{"type":"tool_use","name":"f","input":{"b":1}}],"usage":{}}"#,
                r#"af{"b":1}"#,
            ),
            ("", ""),
        ] {
            let mut out = String::new();
            of(data.as_bytes(), &mut out);
            assert_eq!(out, said, "{data}");
        }
    }
}
