//! What the model says, by a look for the keys it stands under.

use super::glance::{DELTA, values};
use crate::provider::{said, scan};
use memchr::memmem::Finder;
use std::sync::LazyLock;

static MESSAGE: LazyLock<Finder<'static>> = LazyLock::new(|| Finder::new("\"message\""));

/// See [`crate::provider::Provider::text`].
pub(super) fn of(data: &[u8], out: &mut String) {
    let mut streamed = false;
    for at in values(&DELTA, data) {
        streamed = true;
        message(data, at, out);
    }
    if !streamed {
        values(&MESSAGE, data).for_each(|at| message(data, at, out));
    }
}

fn message(data: &[u8], at: usize, out: &mut String) {
    // Some servers say the same reasoning under both its names.
    let mut reasoned = false;
    for member in scan::members(data, at) {
        let value = member.value;
        match member.key {
            b"content" => content(data, value, out),
            b"refusal" => said::string(data, value, out),
            b"reasoning_content" | b"reasoning" if !reasoned => {
                let before = out.len();
                said::string(data, value, out);
                reasoned = out.len() > before;
            }
            b"tool_calls" => scan::elements(data, value).for_each(|call| {
                scan::members(data, call)
                    .filter(|member| member.key == b"function")
                    .for_each(|member| function(data, member.value, out));
            }),
            b"function_call" => function(data, value, out),
            b"audio" => scan::members(data, value)
                .filter(|member| member.key == b"transcript")
                .for_each(|member| said::string(data, member.value, out)),
            _ => {}
        }
    }
}

/// Text, or parts of it: Mistral's thinking has text within.
fn content(data: &[u8], at: usize, out: &mut String) {
    said::string(data, at, out);
    for part in scan::elements(data, at) {
        for member in scan::members(data, part) {
            match member.key {
                b"text" => said::string(data, member.value, out),
                b"thinking" => content(data, member.value, out),
                _ => {}
            }
        }
    }
}

fn function(data: &[u8], at: usize, out: &mut String) {
    for member in scan::members(data, at) {
        if matches!(member.key, b"name" | b"arguments") {
            said::string(data, member.value, out);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(data: &str) -> String {
        let mut out = String::new();
        of(data.as_bytes(), &mut out);
        out
    }

    #[test]
    fn every_field_in_which_a_model_speaks_is_heard_once() {
        for (data, said) in [
            (r#"{"choices":[{"delta":{"role":"assistant","content":"a\nb"},"finish_reason":null}]}"#, "a\nb"),
            (r#"{"choices":[{"delta":{"reasoning":"hm","reasoning_content":"hm","content":"x"}}]}"#, "hmx"),
            (r#"{"choices":[{"delta":{"refusal":"no"}},{"index":1,"delta":{"content":"y"}}]}"#, "noy"),
            (
                r#"{"choices":[{"delta":{"tool_calls":[{"index":0,"id":"c1","function":{"name":"f","arguments":"{\"a\""}}]}}]}"#,
                r#"f{"a""#,
            ),
            (
                r#"{"choices":[{"delta":{"content":[{"type":"thinking","thinking":[{"type":"text","text":"t"}]},{"type":"text","text":"u"}]}}]}"#,
                "tu",
            ),
            (r#"{"choices":[{"delta":{"audio":{"id":"a","data":"QUJD","transcript":"hey"}}}]}"#, "hey"),
            (r#"{"choices":[{"index":0,"message":{"role":"assistant","content":"whole"}}]}"#, "whole"),
            (r#"{"choices":[],"usage":{"prompt_tokens":1}}"#, ""),
            ("[DONE]", ""),
            (r#"{"choices":[{"delta":{"content":"cut"#, ""),
        ] {
            assert_eq!(text(data), said, "{data}");
        }
    }
}
