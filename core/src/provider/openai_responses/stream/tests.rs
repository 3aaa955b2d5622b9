use super::*;
use crate::call::{Opaque, Part, Signature};
use crate::dialect::Dialect;
use crate::reply::{Assembler, Choice, Reply, Stop};
use crate::units::Tokens;
use serde_json::json;

fn frames(events: &[Value]) -> Vec<Frame> {
    let named = |event: &Value| Frame::new(event["type"].as_str().unwrap_or_default(), &event.to_string());
    events.iter().map(named).collect()
}

fn events(frames: &[Frame]) -> Vec<Event> {
    let (mut decoder, mut out) = (Decoder::default(), Vec::new());
    frames.iter().for_each(|frame| decoder.on(frame, &mut out));
    decoder.on_end(&mut out);
    out
}

fn reply(list: &[Value]) -> Result<Reply, Box<UpstreamFault>> {
    let mut assembler = Assembler::default();
    events(&frames(list)).into_iter().for_each(|event| assembler.on(event));
    assembler.finish().unwrap()
}

fn choice(list: &[Value]) -> Choice {
    reply(list).unwrap().choices.remove(0)
}

fn response(status: &str, output: Value) -> Value {
    json!({"id": "resp_1", "object": "response", "created_at": 5, "model": "gpt-x", "status": status, "error": null,
        "incomplete_details": null, "output": output, "tools": [], "metadata": {}, "moderation": {"flagged": false},
        "usage": {"input_tokens": 9, "input_tokens_details": {"cached_tokens": 4}, "output_tokens": 3,
            "output_tokens_details": {"reasoning_tokens": 1}, "total_tokens": 12}})
}

fn created() -> Value {
    json!({"type": "response.created", "response": response("in_progress", json!([])), "sequence_number": 0})
}

fn completed(output: Value) -> Value {
    json!({"type": "response.completed", "response": response("completed", output)})
}

fn call_item(arguments: &str) -> Value {
    json!({"id": "fc_1", "type": "function_call", "call_id": "call_1", "name": "f", "arguments": arguments})
}

#[test]
fn a_stream_says_its_pieces_once_and_then_its_end() {
    let text = json!({"id": "m", "type": "message", "role": "assistant", "content": [{"type": "output_text", "text": "ab", "annotations": []}]});
    let list = [
        created(),
        json!({"type": "response.output_item.added", "output_index": 0, "item": {"id": "m", "type": "message", "content": []}}),
        json!({"type": "response.output_text.delta", "output_index": 0, "content_index": 0, "delta": "a", "logprobs": []}),
        json!({"type": "response.output_text.delta", "output_index": 0, "content_index": 0, "delta": "b"}),
        json!({"type": "response.output_text.done", "output_index": 0, "content_index": 0, "text": "ab"}),
        json!({"type": "response.output_item.done", "output_index": 0, "item": text}),
        completed(json!([text])),
    ];
    let reply = reply(&list).unwrap();
    assert_eq!(
        (reply.id.as_deref(), reply.created, reply.origin),
        (Some("resp_1"), Some(5), Dialect::OpenAiResponses)
    );
    assert_eq!(reply.choices[0].parts, [Part::Text(crate::call::Text::new("ab"))]);
    assert_eq!(reply.choices[0].stop, Some(Stop::End));
    let usage = reply.usage.unwrap();
    assert_eq!((usage.prompt(), usage.cache_read, usage.output), (Tokens(9), Tokens(4), Tokens(3)));
    // What repeats the request is not shown as if it were the answer's.
    assert_eq!(Value::Object(reply.extras), json!({"moderation": {"flagged": false}}));
}

#[test]
fn what_came_in_no_piece_is_taken_from_the_whole() {
    let text = json!({"type": "message", "content": [
        {"type": "output_text", "text": "abc", "annotations": [{"type": "url_citation", "url": "http://x"}]},
        {"type": "refusal", "refusal": "no"}]});
    let list = [
        created(),
        json!({"type": "response.output_text.delta", "output_index": 0, "content_index": 0, "delta": "a"}),
        completed(json!([text, call_item("{\"x\":1}")])),
    ];
    let choice = choice(&list);
    let [Part::Text(said), Part::Refusal(refused), Part::ToolCall(call)] = choice.parts.as_slice() else {
        panic!("{:?}", choice.parts)
    };
    assert_eq!((said.text.as_str(), refused.as_str()), ("abc", "no"));
    assert_eq!(said.citations.as_ref().unwrap().value[0]["url"], "http://x");
    assert_eq!(
        (call.id.as_str(), call.arguments.as_str(), choice.stop),
        ("call_1", "{\"x\":1}", Some(Stop::ToolUse))
    );
}

#[test]
fn calls_whose_pieces_come_in_turn_are_told_apart() {
    let mut second = call_item("{}");
    second["call_id"] = "call_2".into();
    let piece = |place: u64, text: &str| json!({"type": "response.function_call_arguments.delta", "output_index": place, "delta": text});
    let list = [
        created(),
        json!({"type": "response.output_item.added", "output_index": 0, "item": call_item("")}),
        json!({"type": "response.output_item.added", "output_index": 1, "item": second}),
        piece(0, "{\"a\""),
        piece(1, "{"),
        piece(0, ":1}"),
        piece(1, "}"),
        completed(json!([call_item("{\"a\":1}"), second])),
    ];
    let parts = choice(&list).parts;
    let arguments: Vec<_> = parts
        .iter()
        .map(|part| if let Part::ToolCall(call) = part { call.arguments.as_str() } else { "?" })
        .collect();
    assert_eq!(arguments, ["{\"a\":1}", "{}"]);
}

#[test]
fn reasoning_is_kept_with_its_item_and_its_summaries_stand_apart() {
    let item = json!({"id": "rs_1", "type": "reasoning", "encrypted_content": "gAAA",
        "summary": [{"type": "summary_text", "text": "one"}, {"type": "summary_text", "text": "two"}]});
    let delta = |part: u64, text: &str| json!({"type": "response.reasoning_summary_text.delta", "output_index": 0, "summary_index": part, "delta": text});
    let proof = Signature { origin: Dialect::OpenAiResponses, value: "rs_1:gAAA".to_owned() };
    let streamed = [created(), delta(0, "on"), delta(0, "e"), delta(1, "two"), completed(json!([item]))];
    for list in [&streamed[..], &[completed(json!([item]))]] {
        let parts = choice(list).parts;
        let [Part::Thinking(thinking)] = parts.as_slice() else { panic!("{parts:?}") };
        assert_eq!(thinking.text, "one\n\ntwo");
        assert_eq!(thinking.signature.as_ref(), Some(&proof));
    }
}

#[test]
fn what_only_this_dialect_knows_is_kept_whole_and_a_picture_is_one() {
    let search = json!({"id": "ws", "type": "web_search_call", "status": "completed"});
    let drawn =
        json!({"id": "ig", "type": "image_generation_call", "output_format": "webp", "result": "QUJD"});
    let parts = choice(&[completed(json!([search, drawn]))]).parts;
    let [Part::Opaque(Opaque { origin: Dialect::OpenAiResponses, value }), Part::Image(image)] =
        parts.as_slice()
    else {
        panic!("{parts:?}")
    };
    assert_eq!(value, &search);
    assert_eq!(format!("{:?}", image.source), "Inline(image/webp, 4 bytes)");
}

#[test]
fn an_answer_that_is_not_complete_says_why() {
    for (status, reason, stop) in [
        ("incomplete", json!({"reason": "max_output_tokens"}), Stop::Length),
        ("incomplete", json!({"reason": "content_filter"}), Stop::Filtered),
        ("incomplete", json!(null), Stop::Other("incomplete".to_owned())),
        ("cancelled", json!(null), Stop::Other("cancelled".to_owned())),
    ] {
        let mut whole = response(status, json!([]));
        whole["incomplete_details"] = reason;
        let ended = choice(&[json!({"type": format!("response.{status}"), "response": whole})]);
        assert_eq!(ended.stop, Some(stop));
    }
}

#[test]
fn whatever_goes_wrong_ends_the_stream_in_one_fault() {
    let failed = json!({"type": "response.failed", "response": {"status": "failed", "error": {"code": "server_error", "message": "oops"}}});
    let error = json!({"type": "error", "code": "rate_limit_exceeded", "message": "slow", "param": null});
    for (list, class) in [
        (vec![created(), failed], UpstreamClass::Server),
        (vec![error], UpstreamClass::RateLimited),
        (vec![created()], UpstreamClass::Connection),
        (vec![created(), json!([1])], UpstreamClass::Garbled),
        (vec![json!({"type": "response.completed"})], UpstreamClass::Garbled),
    ] {
        let events = events(&frames(&list));
        let faults = events.iter().filter(|event| matches!(event, Event::Fault(_))).count();
        assert_eq!((faults, events.contains(&Event::End)), (1, false), "{list:?}");
        assert_eq!(reply(&list).unwrap_err().class, class, "{list:?}");
    }
}

#[test]
fn names_of_events_in_their_data_are_enough() {
    let list = [created(), completed(json!([call_item("")]))];
    let bare: Vec<_> = list.iter().map(|event| Frame::new("", &event.to_string())).collect();
    assert_eq!(events(&bare), events(&frames(&list)));
}

#[test]
fn a_whole_answer_says_what_its_stream_says() {
    let output = json!([call_item("{}")]);
    let whole = decode::reply(response("completed", output.clone()).to_string().as_bytes()).unwrap();
    assert_eq!(whole, reply(&[created(), completed(output)]).unwrap());
    for (body, class) in [
        ("[]", UpstreamClass::Garbled),
        (r#"{"id":"r"}"#, UpstreamClass::Garbled),
        (
            r#"{"status":"failed","error":{"code":"server_error","message":"x"},"output":[]}"#,
            UpstreamClass::Server,
        ),
    ] {
        assert_eq!(decode::reply(body.as_bytes()).unwrap_err().class, class, "{body}");
    }
}
