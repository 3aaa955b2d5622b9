//! What the model says, by a look for the keys it stands under.

use super::glance::{DELTA, TEXT, values};
use crate::provider::{said, scan};
use memchr::memmem::Finder;
use std::sync::LazyLock;

static MESSAGE: LazyLock<Finder<'static>> = LazyLock::new(|| Finder::new("\"message\""));

/// How nearly every frame says its piece.
const PLAIN: &[u8] = b"\"delta\":{\"content\":\"";

/// See [`crate::provider::Provider::text`].
pub(in crate::provider) fn of(data: &[u8], out: &mut String) {
    let first = DELTA.find(data).filter(|at| data.get(*at..).is_some_and(|rest| rest.starts_with(PLAIN)));
    match first.and_then(|at| plain(data, at + PLAIN.len() - 1)) {
        Some(Plain { text, rest }) => {
            said::string(data, text, out);
            if let Some(rest) = data.get(rest..).filter(|rest| DELTA.find(rest).is_some()) {
                any(rest, out);
            }
        }
        None => any(data, out),
    }
}

/// A delta with nothing but content.
struct Plain {
    text: usize,
    /// Behind it.
    rest: usize,
}

fn plain(data: &[u8], text: usize) -> Option<Plain> {
    let rest = scan::skip_string(data, text)?;
    (data.get(rest) == Some(&b'}')).then_some(Plain { text, rest })
}

fn any(data: &[u8], out: &mut String) {
    let mut streamed = false;
    for at in values(&DELTA, data) {
        streamed = true;
        message(data, at, out);
    }
    if streamed {
        return;
    }
    let mut whole = values(&MESSAGE, data).peekable();
    if whole.peek().is_none() {
        // Completions of a plain text.
        return values(&TEXT, data).for_each(|at| said::string(data, at, out));
    }
    whole.for_each(|at| message(data, at, out));
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
            (r#"{"choices":[{"delta":{"content":"a"}},{"index":1,"delta":{"content":"b"}}]}"#, "ab"),
            (
                r#"{"choices":[{"index":1,"delta":{"role":"assistant"}},{"delta":{"content":"a","refusal":"b"}}]}"#,
                "ab",
            ),
            (r#"{"choices":[],"usage":{"prompt_tokens":1}}"#, ""),
            ("[DONE]", ""),
            (r#"{"choices":[{"delta":{"content":"cut"#, ""),
        ] {
            assert_eq!(text(data), said, "{data}");
        }
    }
}
