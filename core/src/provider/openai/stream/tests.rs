use super::*;
use crate::call::{Part, ToolCall};
use crate::dialect::Dialect;
use crate::provider::{Provider, openai::OpenAi};
use crate::reply::{Assembler, Reply, Stop};
use crate::vendor;

fn frame(data: &str) -> Frame {
    Frame::new("", data)
}

fn events(chunks: &[&str]) -> Vec<Event> {
    let target = Target { vendor: vendor::custom(crate::dialect::Dialect::OpenAi), model: "m" };
    let mut decoder = OpenAi.decoder(&target);
    let mut out = Vec::new();
    for chunk in chunks {
        decoder.on(&frame(chunk), &mut out);
    }
    decoder.on_end(&mut out);
    decoder.on_end(&mut out);
    decoder.on(&frame(r#"{"choices":[{"delta":{"content":"late"}}]}"#), &mut out);
    out
}

fn reply(chunks: &[&str]) -> Reply {
    let mut assembler = Assembler::default();
    events(chunks).into_iter().for_each(|event| assembler.on(event));
    assembler.finish().unwrap().unwrap()
}

fn calls(reply: &Reply) -> Vec<&ToolCall> {
    let parts = reply.choices[0].parts.iter();
    parts.filter_map(|part| if let Part::ToolCall(call) = part { Some(call) } else { None }).collect()
}

fn delta(delta: &str) -> String {
    format!(r#"{{"id":"x","model":"m","choices":[{{"index":0,"delta":{delta},"finish_reason":null}}]}}"#)
}

const STOP: &str = r#"{"choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}"#;

fn fault(events: &[Event]) -> &UpstreamFault {
    match events.last() {
        Some(Event::Fault(fault)) => fault,
        other => panic!("no fault but {other:?}"),
    }
}

#[test]
fn h7_empty_choices_and_azures_first_chunk_do_not_hide_the_start() {
    let reply = reply(&[
        r#"{"choices":[],"id":"","model":"","created":0,"prompt_filter_results":[1]}"#,
        r#"{"choices":null}"#,
        r#"{"choices":[{"delta":null}]}"#,
        &delta(r#"{"role":"assistant","content":"a"}"#),
        r#"{}"#,
        STOP,
        "[DONE]",
    ]);
    assert_eq!(reply.extras.get("prompt_filter_results"), Some(&serde_json::json!([1])));
    assert_eq!(reply.choices.len(), 1);
}

#[test]
fn h5_calls_without_index_are_told_apart_by_id_and_place() {
    let whole = delta(
        r#"{"tool_calls":[{"id":"a","function":{"name":"f","arguments":"{}"}},{"id":"b","function":{"name":"g","arguments":"1"}}]}"#,
    );
    let reply = reply(&[&whole, STOP, "[DONE]"]);
    let calls = calls(&reply);
    assert_eq!((calls[0].id.as_str(), calls[1].id.as_str(), calls.len()), ("a", "b", 2));
    assert_eq!(reply.choices[0].stop, Some(Stop::ToolUse));
}

#[test]
fn calls_with_an_empty_id_get_one_each() {
    let first = delta(r#"{"tool_calls":[{"id":"","function":{"name":"f","arguments":"{}"}}]}"#);
    let second = delta(r#"{"tool_calls":[{"id":"","function":{"name":"f","arguments":"{}"}}]}"#);
    let reply = reply(&[&first, &second, STOP, "[DONE]"]);
    let calls = calls(&reply);
    assert_eq!(calls.len(), 2);
    assert_ne!(calls[0].id, calls[1].id);
    assert!(calls.iter().all(|call| call.id.starts_with("call_")));
}

#[test]
fn h5_interleaved_arguments_reach_the_call_of_their_index() {
    let reply = reply(&[
        &delta(
            r#"{"tool_calls":[{"index":0,"id":"a","type":"function","function":{"name":"f","arguments":""}}]}"#,
        ),
        &delta(
            r#"{"tool_calls":[{"index":1,"id":"b","type":"function","function":{"name":"g","arguments":""}}]}"#,
        ),
        &delta(r#"{"tool_calls":[{"index":0,"function":{"arguments":"{\"x\""}}]}"#),
        &delta(r#"{"tool_calls":[{"index":1,"id":"b","function":{"name":"g","arguments":"{}"}}]}"#),
        &delta(r#"{"tool_calls":[{"index":0,"id":null,"function":{"name":null,"arguments":":1}"}}]}"#),
        STOP,
    ]);
    let calls = calls(&reply);
    assert_eq!((calls[0].name.as_str(), calls[0].arguments.as_str()), ("f", r#"{"x":1}"#));
    assert_eq!((calls[1].name.as_str(), calls[1].arguments.as_str()), ("g", "{}"));
}

#[test]
fn every_call_with_index_zero_and_an_id_of_its_own_is_a_call() {
    let reply = reply(&[
        &delta(r#"{"tool_calls":[{"index":0,"id":"a","function":{"name":"f","arguments":"{}"}}]}"#),
        &delta(r#"{"tool_calls":[{"index":0,"id":"b","function":{"name":"f","arguments":"{}"}}]}"#),
        STOP,
    ]);
    assert_eq!(calls(&reply).len(), 2);
}

#[test]
fn a_whole_call_that_is_sent_twice_counts_once() {
    let call = delta(r#"{"tool_calls":[{"id":"a","function":{"name":"f","arguments":"{\"x\":1}"}}]}"#);
    let reply = reply(&[&call, &call, STOP]);
    assert_eq!(calls(&reply)[0].arguments, r#"{"x":1}"#);
}

#[test]
fn the_first_finish_reason_counts_and_the_last_usage() {
    let events = events(&[
        &delta(r#"{"content":"a"}"#),
        r#"{"choices":[{"delta":{"content":""},"finish_reason":"length"}],"usage":{"prompt_tokens":1,"completion_tokens":1}}"#,
        r#"{"choices":[{"delta":{},"finish_reason":"stop"}]}"#,
        r#"{"choices":[{"delta":{},"finish_reason":null}],"usage":{"prompt_tokens":1,"completion_tokens":9}}"#,
        r#"{"choices":[],"usage":null}"#,
        "[DONE]",
    ]);
    let stops: Vec<_> = events.iter().filter(|event| matches!(event, Event::Stop { .. })).collect();
    assert_eq!(stops, [&Event::Stop { choice: 0, stop: Stop::Length, sequence: None }]);
    let usage = events
        .iter()
        .rev()
        .find_map(|event| if let Event::Usage(usage) = event { Some(usage) } else { None });
    assert_eq!(usage.unwrap().output.get(), 9);
    assert_eq!(events.last(), Some(&Event::End));
}

#[test]
fn h3_a_cut_stream_is_a_fault_and_a_missing_end_mark_is_none() {
    let cut = events(&[&delta(r#"{"content":"a"}"#)]);
    assert_eq!(fault(&cut).class, UpstreamClass::Connection);
    assert_eq!(events(&[]).len(), 1);
    assert_eq!(events(&[&delta(r#"{"content":"a"}"#), STOP]).last(), Some(&Event::End));
}

#[test]
fn h1_an_error_at_any_time_ends_the_stream_with_its_own_code() {
    let error = r#"{"error":{"message":"no","code":"tool_use_failed","status_code":400}}"#;
    for before in [&[][..], &[r#"{"choices":[{"delta":{"content":"a"}}]}"#]] {
        let chunks: Vec<_> = before.iter().copied().chain([error, STOP]).collect();
        let events = events(&chunks);
        assert_eq!((fault(&events).status, fault(&events).code.as_deref()), (400, Some("tool_use_failed")));
    }
    let openrouter = events(&[
        r#"{"error":{"message":"no","code":502},"choices":[{"delta":{},"finish_reason":"error"}]}"#,
    ]);
    assert_eq!(fault(&openrouter).class, UpstreamClass::Server);
}

#[test]
fn h1_an_end_without_an_answer_is_no_success() {
    assert_eq!(fault(&events(&["[DONE]"])).class, UpstreamClass::Garbled);
    assert_eq!(fault(&events(&["not json"])).class, UpstreamClass::Garbled);
}

#[test]
fn unknown_fields_are_kept_at_their_level_and_said_once() {
    let chunk =
        r#"{"id":"x","new":1,"obfuscation":"aaa","choices":[{"delta":{"content":"a","also":2},"more":3}]}"#;
    let events = events(&[chunk, chunk, STOP]);
    let of = |level| {
        events.iter().filter(|event| matches!(event, Event::Extras { level: l, .. } if *l == level)).count()
    };
    use crate::reply::Level;
    assert_eq!((of(Level::Reply), of(Level::Choice(0)), of(Level::Message(0))), (1, 1, 2));
}

#[test]
fn mistrals_thinking_chunks_are_reasoning() {
    let reply = reply(&[
        &delta(r#"{"content":[{"type":"thinking","thinking":[{"type":"text","text":"hm"}]}]}"#),
        &delta(r#"{"content":[{"type":"text","text":"yes"}]}"#),
        STOP,
    ]);
    assert!(
        matches!(&reply.choices[0].parts[..], [Part::Thinking(t), Part::Text(x)] if t.text == "hm" && x.text == "yes")
    );
}

#[test]
fn openrouters_proofs_stand_with_the_thinking_they_prove() {
    let said = r#"{"reasoning":"hm","reasoning_details":[{"type":"reasoning.text","text":"hm","index":0}]}"#;
    let signed =
        r#"{"reasoning_details":[{"type":"reasoning.text","signature":"SIG","format":"f","index":0}]}"#;
    let sealed =
        r#"{"reasoning_details":[{"type":"reasoning.encrypted","data":"ENC","id":"rs_1","index":1}]}"#;
    let streamed =
        reply(&[&delta(said), &delta(signed), &delta(sealed), &delta(r#"{"content":"yes"}"#), STOP]);
    let whole = whole(
        r#"{"choices":[{"finish_reason":"stop","message":{"content":"yes","reasoning":"hm","reasoning_details":[
        {"type":"reasoning.text","text":"hm","signature":"SIG","format":"f","index":0},
        {"type":"reasoning.encrypted","data":"ENC","id":"rs_1","index":1}]}}]}"#,
    );
    for reply in [streamed, whole.unwrap()] {
        let [Part::Thinking(first), Part::Thinking(second), Part::Text(_)] = &reply.choices[0].parts[..]
        else {
            panic!("{:?}", reply.choices[0].parts)
        };
        let proof = first.signature.as_ref().unwrap();
        let expected = r#"{"type":"reasoning.text","signature":"SIG","format":"f","index":0}"#;
        assert_eq!(
            (first.text.as_str(), proof.origin, proof.value.as_str()),
            ("hm", Dialect::OpenAi, expected)
        );
        let expected = r#"{"type":"reasoning.encrypted","data":"ENC","id":"rs_1","index":1}"#;
        assert_eq!(second.sealed.as_ref().unwrap().value, expected);
    }
}

fn whole(body: &str) -> Result<Reply, Box<UpstreamFault>> {
    let target = Target { vendor: vendor::find("openai").unwrap(), model: "m" };
    OpenAi.decode(body.as_bytes(), &target)
}

#[test]
fn h1_an_error_object_in_a_success_is_an_error() {
    assert_eq!(
        whole(r#"{"error":{"message":"x","code":429}}"#).unwrap_err().class,
        UpstreamClass::RateLimited
    );
    assert_eq!(whole(r#"{"id":"x"}"#).unwrap_err().class, UpstreamClass::Garbled);
    assert_eq!(whole("<html>").unwrap_err().class, UpstreamClass::Garbled);
    assert!(whole(r#"{"choices":[],"error":null}"#).unwrap().choices.is_empty());
}

#[test]
fn a_whole_answer_is_read_in_all_its_parts() {
    let reply = whole(
        r#"{"id":"x","created":1.5,"choices":[{"finish_reason":"function_call","message":{"role":"assistant",
        "content":null,"reasoning":"hm","refusal":"no","function_call":{"name":"f","arguments":"{}"},
        "audio":{"id":"au","data":"QUJD","transcript":"abc","expires_at":9},
        "images":[{"type":"image_url","image_url":{"url":"data:image/png;base64,QUJD"}}],
        "annotations":[{"type":"url_citation"}]}}]}"#,
    )
    .unwrap();
    let kinds: Vec<_> = reply.choices[0]
        .parts
        .iter()
        .map(|part| format!("{part:?}").split(['(', ' ']).next().unwrap().to_owned())
        .collect();
    assert_eq!(kinds, ["Thinking", "Refusal", "Text", "Image", "Audio", "ToolCall"]);
    assert_eq!((reply.created, reply.choices[0].stop.clone()), (Some(1), Some(Stop::ToolUse)));
}

#[test]
fn h9_a_stream_that_nobody_asked_for_is_read_as_an_answer() {
    let chunk = delta(r#"{"content":"a"}"#);
    let reply = whole(&format!(": hello\n\ndata: {chunk}\n\ndata: {STOP}\n\ndata: [DONE]\n\n")).unwrap();
    assert_eq!((reply.choices[0].parts.len(), reply.choices[0].stop.clone()), (1, Some(Stop::End)));
    let cut = whole(&format!("data: {chunk}\n\n")).unwrap_err();
    assert_eq!(cut.class, UpstreamClass::Connection);
}
