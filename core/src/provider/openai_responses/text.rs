//! What the model says, by a look for the keys it stands under.

use crate::provider::{said, scan};

/// See [`crate::provider::Provider::text`]. A streamed event says its piece in `delta`; those that
/// repeat what has been said have none.
pub(super) fn of(data: &[u8], out: &mut String) {
    for member in scan::members(data, scan::skip_space(data, 0)) {
        match member.key {
            b"delta" => said::string(data, member.value, out),
            b"output" => scan::elements(data, member.value).for_each(|item| self::item(data, item, out)),
            _ => {}
        }
    }
}

fn item(data: &[u8], at: usize, out: &mut String) {
    for member in scan::members(data, at) {
        match member.key {
            b"name" | b"arguments" | b"input" => said::string(data, member.value, out),
            b"content" | b"summary" => scan::elements(data, member.value).for_each(|part| {
                let texts =
                    scan::members(data, part).filter(|member| matches!(member.key, b"text" | b"refusal"));
                texts.for_each(|member| said::string(data, member.value, out));
            }),
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
                r#"{"type":"response.output_text.delta","delta":"a\nb","logprobs":[],"output_index":0}"#,
                "a\nb",
            ),
            (r#"{"type":"response.function_call_arguments.delta","delta":"{\"a\""}"#, r#"{"a""#),
            (r#"{"type":"response.output_text.done","text":"ab"}"#, ""),
            (r#"{"type":"response.completed","response":{"output":[{"content":[{"text":"ab"}]}]}}"#, ""),
            (
                r#"{"output":[{"type":"reasoning","summary":[{"type":"summary_text","text":"hm"}]},{"type":"message","content":[{"type":"output_text","text":"ab"},{"type":"refusal","refusal":"c"}]},{"type":"function_call","name":"f","arguments":"{}"}]}"#,
                "hmabcf{}",
            ),
            (r#"{"delta":"cut"#, ""),
        ] {
            let mut out = String::new();
            of(data.as_bytes(), &mut out);
            assert_eq!(out, said, "{data}");
        }
    }
}
