use super::*;
use crate::fault::UpstreamClass;
use crate::reply::{Assembler, Event, Level, Reply, Start, Stop};
use crate::sse::Frame;
use crate::units::Tokens;

fn frame(data: &Value) -> Frame {
    Frame::new(data["type"].as_str().unwrap_or_default(), &data.to_string())
}

/// The events of these frames, the connection's end included.
fn events(frames: &[Value]) -> Vec<Event> {
    let mut decoder = Anthropic.decoder(&Target { vendor: &vendor(), model: OLD });
    let mut out = Vec::new();
    frames.iter().for_each(|data| decoder.on(&frame(data), &mut out));
    decoder.on_end(&mut out);
    out
}

fn assembled(frames: &[Value]) -> Reply {
    let mut assembler = Assembler::default();
    events(frames).into_iter().for_each(|event| assembler.on(event));
    assembler.finish().unwrap().unwrap()
}

fn start() -> Value {
    json!({"type": "message_start", "message": {"id": "msg_1", "type": "message", "role": "assistant",
        "model": "claude-x", "content": [], "stop_reason": null, "stop_sequence": null,
        "usage": {"input_tokens": 9, "cache_read_input_tokens": 4, "output_tokens": 28}}})
}

fn open(index: u32, block: Value) -> Value {
    json!({"type": "content_block_start", "index": index, "content_block": block})
}

fn delta(index: u32, delta: Value) -> Value {
    json!({"type": "content_block_delta", "index": index, "delta": delta})
}

fn close(index: u32) -> Value {
    json!({"type": "content_block_stop", "index": index})
}

fn finish(reason: &str) -> Vec<Value> {
    vec![
        json!({"type": "message_delta", "delta": {"stop_reason": reason, "stop_sequence": null},
            "usage": {"output_tokens": 6}}),
        json!({"type": "message_stop"}),
    ]
}

fn words(index: u32, text: &str) -> Vec<Value> {
    vec![
        open(index, json!({"type": "text", "text": ""})),
        json!({"type": "ping"}),
        delta(index, json!({"type": "text_delta", "text": text})),
        close(index),
    ]
}

#[test]
fn a_stream_says_what_the_whole_answer_says() {
    let call = json!({"type": "tool_use", "id": "t", "name": "look", "input": {}});
    let frames = [
        vec![
            start(),
            open(0, json!({"type": "thinking", "thinking": "", "signature": ""})),
            delta(0, json!({"type": "thinking_delta", "thinking": "h"})),
            delta(0, json!({"type": "thinking_delta", "thinking": "m"})),
            delta(0, json!({"type": "signature_delta", "signature": "sig"})),
            close(0),
            open(1, json!({"type": "redacted_thinking", "data": "opaque"})),
            close(1),
        ],
        words(2, "so"),
        vec![
            open(3, call.clone()),
            delta(3, json!({"type": "input_json_delta", "partial_json": ""})),
            delta(3, json!({"type": "input_json_delta", "partial_json": "{\"a\":"})),
            delta(3, json!({"type": "input_json_delta", "partial_json": "1}"})),
            close(3),
        ],
        finish("tool_use"),
    ]
    .concat();
    let mut whole = json!({
        "id": "msg_1", "type": "message", "role": "assistant", "model": "claude-x",
        "content": [
            {"type": "thinking", "thinking": "hm", "signature": "sig"},
            {"type": "redacted_thinking", "data": "opaque"},
            {"type": "text", "text": "so"},
            call,
        ],
        "stop_reason": "tool_use",
        "usage": {"input_tokens": 9, "cache_read_input_tokens": 4, "output_tokens": 6},
    });
    whole["content"][3]["input"] = json!({"a": 1});
    let whole = Anthropic.decode(whole.to_string().as_bytes(), &Target { vendor: &vendor(), model: OLD });
    assert_eq!(assembled(&frames), whole.unwrap());
}

#[test]
fn tool_calls_are_counted_by_themselves_and_always_have_arguments() {
    let tool = |id: &str| json!({"type": "tool_use", "id": id, "name": "look", "input": {}});
    let frames = [
        vec![start()],
        words(0, "x"),
        vec![open(1, tool("a")), close(1), open(2, tool("b"))],
        vec![delta(2, json!({"type": "input_json_delta", "partial_json": "{\"b\":2}"})), close(2)],
        finish("tool_use"),
    ]
    .concat();
    let calls: Vec<_> = events(&frames)
        .into_iter()
        .filter_map(|event| {
            if let Event::ToolStart { call, id, .. } = event {
                return Some((call, id));
            }
            if let Event::ToolArguments { call, text, .. } = event { Some((call, text)) } else { None }
        })
        .collect();
    let expected = [(0, "a"), (0, "{}"), (1, "b"), (1, "{\"b\":2}")];
    assert_eq!(calls, expected.map(|(call, text)| (call, text.to_owned())));
}

#[test]
fn usage_is_the_last_seen_and_never_a_sum() {
    let reply = assembled(&[vec![start()], words(0, "x"), finish("end_turn")].concat());
    let usage = reply.usage.unwrap();
    assert_eq!((usage.fresh_input, usage.cache_read, usage.output), (Tokens(9), Tokens(4), Tokens(6)));
}

#[test]
fn the_matched_stop_text_is_kept() {
    let mut frames = [vec![start()], finish("stop_sequence")].concat();
    frames[1]["delta"]["stop_sequence"] = json!("END");
    let stop = Event::Stop { choice: 0, stop: Stop::Sequence, sequence: Some("END".to_owned()) };
    assert!(events(&frames).contains(&stop));
}

#[test]
fn citations_come_one_by_one_as_lists() {
    let cited = json!({"type": "char_location", "cited_text": "y"});
    let frames = [
        vec![start(), open(0, json!({"type": "text", "text": "", "citations": []}))],
        vec![delta(0, json!({"type": "citations_delta", "citation": cited})), close(0)],
        finish("end_turn"),
    ]
    .concat();
    let citation = opaque(Dialect::Anthropic, json!([cited]));
    assert_eq!(
        events(&frames).iter().filter(|event| matches!(event, Event::Citation { .. })).collect::<Vec<_>>(),
        [&Event::Citation { choice: 0, citation, chars: 0 }]
    );
}

#[test]
fn server_tools_are_parts_and_no_calls() {
    let block = json!({"type": "server_tool_use", "id": "s", "name": "web_search", "input": {}});
    let frames = [
        vec![start(), open(0, block.clone())],
        vec![delta(0, json!({"type": "input_json_delta", "partial_json": "{\"q\":\"x\"}"})), close(0)],
        vec![open(1, json!({"type": "compaction", "content": null}))],
        vec![delta(1, json!({"type": "compaction_delta", "content": "short"})), close(1)],
        finish("end_turn"),
    ]
    .concat();
    let mut whole = block;
    whole["input"] = json!({"q": "x"});
    let compaction = json!({"type": "compaction", "content": "short"});
    let parts = assembled(&frames).choices.remove(0).parts;
    assert_eq!(parts, [whole, compaction].map(|block| Part::Opaque(opaque(Dialect::Anthropic, block))));
}

#[test]
fn the_stand_in_for_a_format_streams_as_text() {
    let frames = [
        vec![
            start(),
            open(0, json!({"type": "tool_use", "id": "t", "name": "tollgate_json_output", "input": {}})),
        ],
        vec![delta(0, json!({"type": "input_json_delta", "partial_json": "{\"a\":"}))],
        vec![delta(0, json!({"type": "input_json_delta", "partial_json": "1}"})), close(0)],
        finish("tool_use"),
    ]
    .concat();
    let choice = assembled(&frames).choices.remove(0);
    assert_eq!((choice.parts, choice.stop), (vec![text("{\"a\":1}")], Some(Stop::End)));
}

#[test]
fn a_refusal_is_told_before_the_stop() {
    let details = json!({"explanation": "not this"});
    let mut frames = [vec![start()], finish("refusal")].concat();
    frames[1]["delta"]["stop_details"] = details.clone();
    let events = events(&frames);
    let fields = [("stop_details".to_owned(), details)].into_iter().collect();
    assert_eq!(events[2], Event::Refusal { choice: 0, text: "not this".to_owned() });
    assert_eq!(events[3], Event::Extras { level: Level::Choice(0), fields });
    assert_eq!(events[4], Event::Stop { choice: 0, stop: Stop::Filtered, sequence: None });
}

#[test]
fn i1_an_overload_in_the_stream_is_a_fault_of_its_class_and_the_last_event() {
    for (kind, class, status) in [
        ("overloaded_error", UpstreamClass::Overloaded, 529),
        ("rate_limit_error", UpstreamClass::RateLimited, 429),
        ("api_error", UpstreamClass::Server, 500),
    ] {
        let error = json!({"type": "error", "error": {"type": kind, "message": "no"}});
        let events = events(&[vec![start(), error], words(0, "x")].concat());
        let Some(Event::Fault(fault)) = events.last() else { panic!("{events:?}") };
        assert_eq!((fault.class, fault.status, fault.message.as_str()), (class, status, "no"));
        assert!(!events.iter().any(Event::is_content));
    }
}

#[test]
fn a_cut_stream_is_a_fault_unless_its_stop_was_told() {
    let whole = [vec![start()], words(0, "x"), finish("end_turn")].concat();
    for count in 0..whole.len() {
        let events = events(&whole[..count]);
        match events.last() {
            Some(Event::Fault(fault)) => assert_eq!(fault.class, UpstreamClass::Connection),
            last => assert_eq!((last, count), (Some(&Event::End), whole.len() - 1)),
        }
    }
}

#[test]
fn garbage_is_a_fault_and_the_unknown_is_passed_over() {
    let mut decoder = Anthropic.decoder(&Target { vendor: &vendor(), model: OLD });
    let mut out = Vec::new();
    let later = json!({"type": "later_invention", "x": 1});
    let unknown = delta(7, json!({"type": "text_from_nowhere"}));
    [later, unknown].iter().for_each(|data| decoder.on(&frame(data), &mut out));
    decoder.on(&Frame::default(), &mut out);
    assert_eq!(out, [Event::Start(Start { origin: Dialect::Anthropic, ..Start::default() })]);
    decoder.on(&Frame::new("", "{\"type\":\"mess"), &mut out);
    decoder.on(&frame(&start()), &mut out);
    decoder.on_end(&mut out);
    assert!(matches!(&out[1..], [Event::Fault(fault)] if fault.class == UpstreamClass::Garbled));
}
