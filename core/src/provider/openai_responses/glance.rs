//! What a streamed event means for a pass-through, by its name.

use crate::provider::{Glance, scan};
use crate::sse::Frame;

/// See [`crate::provider::Provider::glance`]. The `event` line decides; servers that leave it out are
/// understood by the `type` in the data. That an item begins commits to nothing yet, as a call's own
/// pieces follow; what is not known here counts as content.
pub(super) fn glance(frame: &Frame) -> Glance {
    let data = frame.data().trim_ascii();
    if data == b"[DONE]" {
        return Glance::End;
    }
    let event = match frame.event() {
        b"" => kind(data),
        event => event,
    };
    match event {
        b"response.created"
        | b"response.queued"
        | b"response.in_progress"
        | b"response.output_item.added"
        | b"response.content_part.added"
        | b"response.reasoning_summary_part.added"
        | b"keepalive"
        | b"ping" => Glance::Preamble,
        b"response.completed" | b"response.incomplete" => Glance::Finish,
        b"response.failed" | b"error" => Glance::Fault,
        _ if data.is_empty() => Glance::Preamble,
        _ => Glance::Content,
    }
}

/// The event's name in its data; an object without one that has an error is one.
pub(super) fn kind(data: &[u8]) -> &[u8] {
    let mut error = false;
    for member in scan::members(data, 0) {
        match member.key {
            b"type" => return string(data, member.value),
            b"error" => error = !scan::is_empty(data, member.value),
            _ => {}
        }
    }
    if error { b"error" } else { b"" }
}

fn string(data: &[u8], at: usize) -> &[u8] {
    let end = scan::skip_string(data, at).filter(|_| data.get(at) == Some(&b'"'));
    end.and_then(|end| data.get(at + 1..end - 1)).unwrap_or_default()
}

/// Whether a whole response has an `error`, or has failed without one. The word alone is in each.
pub(super) fn may_have_failed(body: &[u8]) -> bool {
    let mut complete = false;
    for member in scan::members(body, scan::skip_space(body, 0)) {
        match member.key {
            b"error" if !scan::is_empty(body, member.value) => return true,
            b"status" if string(body, member.value) == b"failed" => return true,
            b"output" => complete = true,
            _ => {}
        }
    }
    !complete
}

/// Whether an answer, or a frame of one, is chat's: some servers serve one thing at every path.
pub(crate) fn is_chat(data: &[u8]) -> bool {
    let mut keys = scan::members(data, scan::skip_space(data, 0)).map(|member| member.key);
    keys.any(|key| key == b"choices")
}

/// Whether a model of OpenAI's answers in this dialect and not in chat:
/// <https://platform.openai.com/docs/models>.
pub(crate) fn is_only_here(model: &str) -> bool {
    let name = model.rsplit('/').next().unwrap_or(model);
    let is_series = ["gpt-", "o1", "o3", "o4", "codex-", "computer-use-"];
    let only = ["-pro", "codex", "deep-research", "computer-use"];
    is_series.iter().any(|start| name.starts_with(start)) && only.iter().any(|word| name.contains(word))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_of_event_is_told_apart_with_and_without_its_event_line() {
        for (event, means) in [
            ("response.created", Glance::Preamble),
            ("response.in_progress", Glance::Preamble),
            ("response.output_item.added", Glance::Preamble),
            ("keepalive", Glance::Preamble),
            ("response.output_text.delta", Glance::Content),
            ("response.function_call_arguments.delta", Glance::Content),
            ("response.output_item.done", Glance::Content),
            ("response.something.new", Glance::Content),
            ("response.completed", Glance::Finish),
            ("response.incomplete", Glance::Finish),
            ("response.failed", Glance::Fault),
            ("error", Glance::Fault),
        ] {
            let data =
                format!(r#"{{"response":{{"type":"x","error":null}},"sequence_number":1,"type":"{event}"}}"#);
            assert_eq!(glance(&Frame::new(event, &data)), means, "{event}");
            assert_eq!(glance(&Frame::new("", &data)), means, "{event} in its data");
        }
        assert_eq!(glance(&Frame::new("", "[DONE]")), Glance::End);
        assert_eq!(glance(&Frame::new("", "")), Glance::Preamble);
        assert_eq!(glance(&Frame::new("", r#"{"error":{"message":"no"}}"#)), Glance::Fault);
    }

    #[test]
    fn a_whole_response_is_decoded_only_if_something_is_wrong() {
        for (body, failed) in [
            (r#"{"id":"r","error":null,"output":[],"status":"completed"}"#, false),
            (r#" {"output":[{"content":[{"text":"\"error\": 1"}]}],"status":"incomplete"}"#, false),
            (r#"{"error":{"code":"server_error"},"output":[]}"#, true),
            (r#"{"error":null,"output":[],"status":"failed"}"#, true),
            (r#"{"choices":[]}"#, true),
        ] {
            assert_eq!(may_have_failed(body.as_bytes()), failed, "{body}");
        }
    }

    #[test]
    fn chats_answers_are_told_apart() {
        assert!(is_chat(br#" {"id":"c","choices":[]}"#));
        for other in [&br#"{"output":[{"choices":1}]}"#[..], br#"{"type":"error"}"#, b"", b"[DONE]"] {
            assert!(!is_chat(other));
        }
    }

    #[test]
    fn models_that_chat_has_not_are_known_by_their_names() {
        for (model, only) in [
            ("gpt-5-pro", true),
            ("openai/o3-deep-research", true),
            ("gpt-5.1-codex-max", true),
            ("codex-mini-latest", true),
            ("gpt-4o", false),
            ("o3", false),
            ("my-codex", false),
            ("gemini-2.5-pro", false),
        ] {
            assert_eq!(is_only_here(model), only, "{model}");
        }
    }
}
