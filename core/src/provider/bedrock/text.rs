//! What the model says, by a look for the keys it stands under.

use super::invoke;
use crate::provider::{anthropic, said, scan};

/// See [`crate::provider::Provider::text`].
pub(super) fn of(data: &[u8], out: &mut String) {
    let start = scan::skip_space(data, 0);
    for member in scan::members(data, start) {
        match member.key {
            b"delta" | b"start" => block(data, member.value, out),
            b"output" => message(data, member.value, out),
            b"bytes" => {
                if let Some(inner) = invoke::chunk(data) {
                    of_invoke(&inner, out);
                }
            }
            b"content" | b"completion" | b"generation" | b"outputText" | b"results" | b"outputs" => {
                return of_invoke(data, out);
            }
            _ => {}
        }
    }
}

fn message(data: &[u8], at: usize, out: &mut String) {
    for member in scan::members(data, at).filter(|member| member.key == b"message") {
        for member in scan::members(data, member.value).filter(|member| member.key == b"content") {
            scan::elements(data, member.value).for_each(|at| block(data, at, out));
        }
    }
}

/// A block of a whole answer, or the beginning or a piece of one.
fn block(data: &[u8], at: usize, out: &mut String) {
    for member in scan::members(data, at) {
        match member.key {
            b"text" | b"name" => said::string(data, member.value, out),
            b"toolUse" | b"reasoningContent" | b"reasoningText" => block(data, member.value, out),
            // Whole in an answer, and text in a piece of one.
            b"input" if data.get(member.value) == Some(&b'"') => said::string(data, member.value, out),
            b"input" if !scan::is_empty(data, member.value) => said::json(data, member.value, out),
            b"citationsContent" => {
                for inner in scan::members(data, member.value).filter(|inner| inner.key == b"content") {
                    scan::elements(data, inner.value).for_each(|at| block(data, at, out));
                }
            }
            _ => {}
        }
    }
}

/// An answer of InvokeModel, or an event of its stream, in its maker's words.
fn of_invoke(data: &[u8], out: &mut String) {
    anthropic::text::of(data, out);
    let start = scan::skip_space(data, 0);
    for member in scan::members(data, start) {
        match member.key {
            b"completion" | b"generation" | b"outputText" => said::string(data, member.value, out),
            b"results" | b"outputs" => {
                for at in scan::elements(data, member.value) {
                    let said = |key: &[u8]| key == b"outputText" || key == b"text";
                    let texts = scan::members(data, at).filter(|inner| said(inner.key));
                    texts.for_each(|inner| said::string(data, inner.value, out));
                }
            }
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
            (r#"{"contentBlockIndex":0,"delta":{"text":"a\"b"},"p":"abc"}"#, "a\"b"),
            (r#"{"contentBlockIndex":0,"delta":{"reasoningContent":{"text":"hm"}}}"#, "hm"),
            (r#"{"contentBlockIndex":0,"delta":{"reasoningContent":{"signature":"xx"}}}"#, ""),
            (r#"{"contentBlockIndex":1,"delta":{"toolUse":{"input":"{\"a\":"}}}"#, r#"{"a":"#),
            (r#"{"contentBlockIndex":1,"start":{"toolUse":{"name":"f","toolUseId":"t"}}}"#, "f"),
            (r#"{"usage":{"inputTokens":1}}"#, ""),
            (
                r#"{"output":{"message":{"content":[{"text":"a"},{"toolUse":{"name":"f","input":{"b":1}}},{"reasoningContent":{"reasoningText":{"text":"hm","signature":"s"}}}]}}}"#,
                r#"af{"b":1}hm"#,
            ),
            (r#"{"completion":"hi","stop_reason":null}"#, "hi"),
            (r#"{"type":"message","content":[{"type":"text","text":"hi"}]}"#, "hi"),
            (r#"{"bytes":"eyJvdXRwdXRUZXh0IjoiaGkifQ=="}"#, "hi"),
            ("", ""),
        ] {
            let mut out = String::new();
            of(data.as_bytes(), &mut out);
            assert_eq!(out, said, "{data}");
        }
    }
}
