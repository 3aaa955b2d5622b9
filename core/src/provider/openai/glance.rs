//! What a streamed frame means for a pass-through, by a few byte patterns.
//!
//! The patterns are keys with both quotes. Within a JSON string quotes are escaped, so a key's
//! pattern can only match a key, or a string that is exactly that word; the colon tells them apart.

use super::scan;
use crate::provider::Glance;
use crate::sse::Frame;
use bytes::{BufMut, Bytes, BytesMut};
use memchr::memmem::Finder;
use std::sync::LazyLock;

static ERROR: LazyLock<Finder<'static>> = LazyLock::new(|| Finder::new("\"error\""));
static FINISH: LazyLock<Finder<'static>> = LazyLock::new(|| Finder::new("\"finish_reason\""));
pub(super) static DELTA: LazyLock<Finder<'static>> = LazyLock::new(|| Finder::new("\"delta\""));
pub(super) static TEXT: LazyLock<Finder<'static>> = LazyLock::new(|| Finder::new("\"text\""));
static TOOL_CALLS: LazyLock<Finder<'static>> = LazyLock::new(|| Finder::new("\"tool_calls\""));

/// See [`crate::provider::Provider::glance`]. A chunk with an empty `choices` is a preamble too,
/// wherever it comes: it holds usage or filter results and nothing a client waits for.
pub(super) fn glance(frame: &Frame) -> Glance {
    let data: &[u8] = frame.data().trim_ascii();
    if frame.event() == b"error" {
        return Glance::Fault;
    }
    if data.is_empty() {
        return Glance::Preamble;
    }
    if data == b"[DONE]" {
        return Glance::End;
    }
    if has_error(data) {
        return Glance::Fault;
    }
    if values(&FINISH, data).any(|at| !scan::is_empty(data, at)) {
        return Glance::Finish;
    }
    let mut deltas = values(&DELTA, data).peekable();
    // Completions of a plain text have their words in the choice itself.
    let plain = deltas.peek().is_none() && values(&TEXT, data).any(|at| !scan::is_empty(data, at));
    if plain || deltas.any(|at| says_something(data, at)) { Glance::Content } else { Glance::Preamble }
}

/// A chunk without choices whose usage is said: the one that `include_usage` adds. What stands beside
/// it (the answer's id, its model) has been said in every chunk before.
pub(super) fn is_usage_alone(data: &[u8]) -> bool {
    let data = data.trim_ascii();
    let (mut choices, mut usage) = (false, false);
    for member in scan::members(data, 0) {
        match member.key {
            b"choices" => choices = !scan::is_empty(data, member.value),
            b"usage" => usage = data.get(member.value) == Some(&b'{'),
            _ => {}
        }
    }
    usage && !choices
}

/// An `error` member of the outermost object that is not null. Azure's filter results have members
/// of that name further in, which are none.
fn has_error(data: &[u8]) -> bool {
    values(&ERROR, data).any(|at| !scan::is_empty(data, at) && scan::depth_at(data, at) == Some(1))
}

/// Where the values of a key begin, wherever in the text it stands.
pub(super) fn values<'d>(key: &'static Finder<'static>, data: &'d [u8]) -> impl Iterator<Item = usize> + 'd {
    let length = key.needle().len();
    key.find_iter(data).filter_map(move |at| scan::value_after_key(data, at + length))
}

/// Whether a delta holds anything but its role.
fn says_something(data: &[u8], delta: usize) -> bool {
    scan::members(data, delta).any(|member| member.key != b"role" && !scan::is_empty(data, member.value))
}

/// Adds to streamed tool calls what clients cannot do without: an index, which is the call's place
/// in its chunk, and an id in place of an empty one, made from the call's own bytes. `None` where
/// nothing is missing.
pub(super) fn mend(frame: &Frame) -> Option<Bytes> {
    let raw: &[u8] = frame.raw();
    let mut out = BytesMut::new();
    let mut copied = 0;
    for list in values(&TOOL_CALLS, raw) {
        for (place, call) in scan::elements(raw, list).enumerate() {
            let Some(patch) = Patch::of(raw, call) else { continue };
            if patch.index {
                out.put_slice(raw.get(copied..=call)?);
                out.put_slice(format!("\"index\":{place},").as_bytes());
                copied = call + 1;
            }
            if let Some(at) = patch.empty_id {
                out.put_slice(raw.get(copied..=at)?);
                out.put_slice(patch.id.as_bytes());
                copied = at + 1;
            }
        }
    }
    if copied == 0 {
        return None;
    }
    out.put_slice(raw.get(copied..)?);
    Some(out.freeze())
}

/// What one streamed tool call lacks.
struct Patch {
    index: bool,
    /// Where the empty id's opening quote stands.
    empty_id: Option<usize>,
    id: String,
}

impl Patch {
    fn of(raw: &[u8], call: usize) -> Option<Self> {
        let (mut has_index, mut begins, mut empty_id) = (false, false, None);
        for member in scan::members(raw, call) {
            match member.key {
                b"index" => has_index = raw.get(member.value).is_some_and(u8::is_ascii_digit),
                b"id" if raw.get(member.value..)?.starts_with(b"\"\"") => empty_id = Some(member.value),
                b"function" => begins = has_name(raw, member.value),
                _ => {}
            }
        }
        // A continuation repeats an empty id and no name; clients append an id that comes again.
        let empty_id = empty_id.filter(|_| begins);
        if (has_index && empty_id.is_none()) || scan::is_empty(raw, call) {
            return None;
        }
        let end = scan::skip_value(raw, call)?;
        let id = format!("call_{:016x}", crate::provider::openai::fnv(raw.get(call..end)?));
        Some(Self { index: !has_index, empty_id, id })
    }
}

fn has_name(raw: &[u8], function: usize) -> bool {
    scan::members(raw, function).any(|member| member.key == b"name" && !scan::is_empty(raw, member.value))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(data: &str) -> Frame {
        Frame::new("", data)
    }

    fn at_a_glance(data: &str) -> Glance {
        glance(&frame(data))
    }

    #[test]
    fn what_no_client_can_see_is_a_preamble() {
        for data in [
            "",
            r#"{"choices":[],"prompt_filter_results":[{"content_filter_results":{"hate":{"filtered":false}}}]}"#,
            r#"{"choices":null,"usage":{"prompt_tokens":1}}"#,
            r#"{"choices":[{"index":0,"delta":{"role":"assistant","content":""},"finish_reason":null}]}"#,
            r#"{"choices":[{"delta":{"role":"assistant","content":null,"tool_calls":[]},"finish_reason":null}]}"#,
            r#"{"choices":[{"delta":{}}]}"#,
        ] {
            assert_eq!(at_a_glance(data), Glance::Preamble, "{data}");
        }
    }

    #[test]
    fn content_is_seen_in_every_field_it_may_stand_in() {
        for data in [
            r#"{"choices":[{"delta":{"content":"x"},"finish_reason":null}]}"#,
            r#"{"choices":[{"delta": { "role":"assistant", "content": "x" }}]}"#,
            r#"{"choices":[{"delta":{"content":"","reasoning":"hm"}}]}"#,
            r#"{"choices":[{"delta":{"tool_calls":[{"index":0}]}}]}"#,
            r#"{"choices":[{"delta":{"content":"\"error\": 1 [DONE] \"finish_reason\": 2"}}]}"#,
            r#"{"choices":[{"delta":{"content":"error"},"finish_reason":null}],"error":null}"#,
        ] {
            assert_eq!(at_a_glance(data), Glance::Content, "{data}");
        }
    }

    #[test]
    fn c12_only_a_chunk_that_is_usage_and_nothing_else_is_told_apart() {
        for (data, alone) in [
            (r#"{"id":"c","choices":[],"usage":{"prompt_tokens":1}}"#, true),
            (r#" {"usage" : {"prompt_tokens":1}, "choices" : [] } "#, true),
            (r#"{"id":"c","choices":[],"usage":null}"#, false),
            (r#"{"choices":[{"delta":{},"finish_reason":"stop"}],"usage":{"prompt_tokens":1}}"#, false),
            (r#"{"choices":[],"prompt_filter_results":[]}"#, false),
            ("[DONE]", false),
            ("", false),
        ] {
            assert_eq!(is_usage_alone(data.as_bytes()), alone, "{data}");
        }
    }

    #[test]
    fn ends_and_errors_are_told_apart_from_content() {
        assert_eq!(at_a_glance("[DONE]"), Glance::End);
        assert_eq!(at_a_glance(r#"{"choices":[{"delta":{},"finish_reason":"stop"}]}"#), Glance::Finish);
        assert_eq!(at_a_glance(r#"{"error":{"message":"no"}}"#), Glance::Fault);
        assert_eq!(at_a_glance(r#"{"id":"x","error": "no"}"#), Glance::Fault);
        let named = Frame::new("error", "{}");
        assert_eq!(glance(&named), Glance::Fault);
    }

    #[test]
    fn an_error_inside_filter_results_is_no_fault() {
        let data =
            r#"{"choices":[{"delta":{"content":"x"},"content_filter_results":{"error":{"code":"e"}}}]}"#;
        assert_eq!(at_a_glance(data), Glance::Content);
    }

    #[test]
    fn h5_calls_without_index_and_id_get_both_by_the_smallest_splice() {
        let data = r#"{"choices":[{"delta":{"tool_calls":[{"id":"","function":{"name":"f"}},{"id":"b"}]}}]}"#;
        let mended = mend(&frame(data)).unwrap();
        let text = std::str::from_utf8(&mended).unwrap();
        let json: serde_json::Value = serde_json::from_str(text.trim()[6..].trim()).unwrap();
        let calls = json["choices"][0]["delta"]["tool_calls"].as_array().unwrap();
        assert_eq!((calls[0]["index"].as_u64(), calls[1]["index"].as_u64()), (Some(0), Some(1)));
        assert_eq!(calls[0]["id"].as_str().map(str::len), Some(21));
        assert_eq!(calls[1]["id"], "b");
        assert!(text.ends_with("\n\n"));
        assert_eq!(mend(&frame(r#"{"choices":[{"delta":{"tool_calls":[{"index":1,"id":"b"}]}}]}"#)), None);
        assert_eq!(mend(&frame(r#"{"choices":[{"delta":{"content":"x","tool_calls":null}}]}"#)), None);
    }
}
