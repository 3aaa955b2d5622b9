use super::*;
use crate::call::{Signature, Thinking};
use crate::fault::{UpstreamClass, UpstreamFault};
use crate::reply::{Reply, Stop};
use crate::units::Tokens;

fn try_decode(body: &Value) -> Result<Reply, Box<UpstreamFault>> {
    Anthropic.decode(body.to_string().as_bytes(), &Target { vendor: &vendor(), model: OLD })
}

fn decode(content: Value, reason: &str) -> Reply {
    try_decode(&json!({
        "id": "msg_1", "type": "message", "role": "assistant", "model": "claude-x", "content": content,
        "stop_reason": reason, "stop_sequence": null,
        "usage": {"input_tokens": 3, "output_tokens": 4, "cache_read_input_tokens": 5},
    }))
    .unwrap()
}

#[test]
fn every_block_becomes_its_part_in_order() {
    let search = json!({"type": "server_tool_use", "id": "s", "name": "web_search", "input": {"q": "x"}});
    let cited = json!([{"type": "char_location", "cited_text": "y"}]);
    let reply = decode(
        json!([
            {"type": "thinking", "thinking": "hm", "signature": "sig"},
            {"type": "redacted_thinking", "data": "opaque"},
            search,
            {"type": "text", "text": "so", "citations": cited},
            {"type": "tool_use", "id": "t", "name": "look", "input": {"z": 1, "a": 12345678901234567890123_u128}},
        ]),
        "tool_use",
    );
    let ours = |value: &str| Some(Signature { origin: Dialect::Anthropic, value: value.to_owned() });
    let choice = &reply.choices[0];
    assert_eq!(
        choice.parts,
        [
            Part::Thinking(Thinking { text: "hm".to_owned(), signature: ours("sig"), sealed: None }),
            Part::Thinking(Thinking { sealed: ours("opaque"), ..Thinking::default() }),
            Part::Opaque(opaque(Dialect::Anthropic, search)),
            Part::Text(Text { citations: Some(opaque(Dialect::Anthropic, cited)), ..Text::new("so") }),
            Part::ToolCall(ToolCall {
                id: "t".to_owned(),
                name: "look".to_owned(),
                arguments: r#"{"z":1,"a":12345678901234567890123}"#.to_owned(),
                signature: None,
                cache: None,
            }),
        ]
    );
    assert_eq!(choice.stop, Some(Stop::ToolUse));
    assert_eq!((reply.id.as_deref(), reply.model.as_deref()), (Some("msg_1"), Some("claude-x")));
    assert_eq!(reply.usage.unwrap().prompt(), Tokens(8));
}

#[test]
fn every_stop_reason_has_its_word() {
    for (reason, stop) in [
        ("end_turn", Stop::End),
        ("stop_sequence", Stop::Sequence),
        ("max_tokens", Stop::Length),
        ("model_context_window_exceeded", Stop::ContextFull),
        ("refusal", Stop::Filtered),
        ("pause_turn", Stop::Paused),
        ("compaction", Stop::Other("compaction".to_owned())),
    ] {
        let reply = decode(json!([]), reason);
        assert_eq!(reply.choices[0].stop, Some(stop), "{reason}");
        assert!(reply.choices[0].parts.is_empty());
    }
}

#[test]
fn the_stand_in_for_a_format_is_read_as_text() {
    let input = json!({"name": "Ann"});
    let json_call = json!({"type": "tool_use", "id": "t", "name": "tollgate_json_output", "input": input});
    let choice = decode(json!([json_call]), "tool_use").choices.remove(0);
    assert_eq!(choice.parts, [text(r#"{"name":"Ann"}"#)]);
    assert_eq!(choice.stop, Some(Stop::End));
    let other = json!({"type": "tool_use", "id": "u", "name": "look", "input": {}});
    assert_eq!(decode(json!([json_call, other]), "tool_use").choices[0].stop, Some(Stop::ToolUse));
}

#[test]
fn a_refusal_is_told_with_the_providers_reason() {
    let details = json!({"category": "cyber", "explanation": "not this"});
    let reply = try_decode(&json!({
        "type": "message", "content": [], "stop_reason": "refusal", "stop_details": details, "container": {"id": "c"},
    }))
    .unwrap();
    assert_eq!(reply.choices[0].parts, [Part::Refusal("not this".to_owned())]);
    assert_eq!(reply.choices[0].extras.get("stop_details"), Some(&details));
    assert_eq!(reply.extras.get("container"), Some(&json!({"id": "c"})));
    assert_eq!(reply.usage, None, "none was reported");
}

#[test]
fn an_error_in_a_success_is_a_fault_and_anything_else_is_garbled() {
    let error = json!({"type": "error", "error": {"type": "overloaded_error", "message": "busy"}});
    let fault = try_decode(&error).unwrap_err();
    assert_eq!((fault.class, fault.status), (UpstreamClass::Overloaded, 529));
    for body in [json!([]), json!({"choices": []}), json!("text")] {
        assert_eq!(try_decode(&body).unwrap_err().class, UpstreamClass::Garbled);
    }
}
