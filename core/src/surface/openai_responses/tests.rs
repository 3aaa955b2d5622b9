use super::*;
use crate::call::{Opaque, Part, Role, Signature, Text, Thinking, ToolCall, UsageChunk};
use crate::fault::{Code, UpstreamClass, UpstreamFault};
use crate::reply::{Choice, Event, Start, Stop};
use crate::surface::proof;
use crate::units::Tokens;
use crate::usage::{Inclusive, Usage};
use bytes::BytesMut;
use serde_json::{Value, json};

pub(super) fn asked() -> Asked {
    Asked {
        client: crate::surface::Client::Usual,
        model: "m".into(),
        request_id: "r".into(),
        now_secs: 7,
        usage: UsageChunk::Wanted,
        framing: Default::default(),
        body: Bytes::new(),
    }
}

fn asking(body: Value) -> Asked {
    Asked { body: body.to_string().into(), ..asked() }
}

fn parsed(body: Value) -> Call {
    OpenAiResponses.parse(body.to_string().as_bytes(), &RequestLine::default()).unwrap()
}

fn streamed(events: &[Event], asked: Asked) -> Vec<Value> {
    let (mut renderer, mut out) = (OpenAiResponses.renderer(asked), BytesMut::new());
    events.iter().for_each(|event| renderer.on(event, &mut out));
    let text = String::from_utf8(out.to_vec()).unwrap();
    let events: Vec<Value> = text
        .split_terminator("\n\n")
        .map(|frame| {
            let (name, data) = frame.strip_prefix("event: ").unwrap().split_once("\ndata: ").unwrap();
            let event: Value = serde_json::from_str(data).unwrap();
            assert_eq!(event["type"], name);
            event
        })
        .collect();
    for (number, event) in events.iter().enumerate() {
        assert_eq!(event["sequence_number"], number);
    }
    events
}

fn kinds(events: &[Value]) -> Vec<&str> {
    events.iter().map(|event| event["type"].as_str().unwrap().trim_start_matches("response.")).collect()
}

fn signed(origin: Dialect, value: &str) -> Signature {
    Signature { origin, value: value.into() }
}

fn text(text: &str) -> Event {
    Event::Text { choice: 0, text: text.into() }
}

fn start(call: u32, id: &str) -> Event {
    Event::ToolStart { choice: 0, call, id: id.into(), name: "f".into(), signature: None }
}

fn arguments(call: u32, text: &str) -> Event {
    Event::ToolArguments { choice: 0, call, text: text.into() }
}

fn ends(stop: Stop) -> [Event; 3] {
    let usage = Usage::from(Inclusive {
        prompt: Tokens(9),
        cached: Tokens(4),
        completion: Tokens(3),
        ..Default::default()
    });
    [Event::Stop { choice: 0, stop, sequence: None }, Event::Usage(Box::new(usage)), Event::End]
}

fn whole(parts: Vec<Part>) -> Value {
    let choice = Choice { parts, stop: Some(Stop::End), ..Choice::default() };
    let reply = Reply { choices: vec![choice], ..Reply::default() };
    serde_json::from_slice(&OpenAiResponses.render(&reply, &asked())).unwrap()
}

#[test]
fn events_come_in_the_order_clients_rely_on() {
    let mut list = vec![
        Event::Start(Start {
            id: Some("chatcmpl-1".into()),
            model: Some("gpt-x".into()),
            created: Some(5),
            origin: Dialect::OpenAi,
        }),
        Event::Thinking { choice: 0, text: "hm".into() },
        text("a"),
        text("b"),
        start(0, "c1"),
        arguments(0, "{\"x\""),
        arguments(0, ":1}"),
        start(1, "c2"),
    ];
    list.extend(ends(Stop::ToolUse));
    let events =
        streamed(&list, asking(json!({"tools": [{"type": "function", "name": "f"}], "temperature": 0.5})));
    assert_eq!(
        kinds(&events),
        [
            "created",
            "in_progress",
            "output_item.added",
            "reasoning_summary_part.added",
            "reasoning_summary_text.delta",
            "reasoning_summary_text.done",
            "reasoning_summary_part.done",
            "output_item.done",
            "output_item.added",
            "content_part.added",
            "output_text.delta",
            "output_text.delta",
            "output_text.done",
            "content_part.done",
            "output_item.done",
            "output_item.added",
            "function_call_arguments.delta",
            "function_call_arguments.delta",
            "function_call_arguments.done",
            "output_item.done",
            "output_item.added",
            "function_call_arguments.delta",
            "function_call_arguments.done",
            "output_item.done",
            "completed",
        ]
    );
    assert_eq!(
        (&events[12]["text"], &events[12]["output_index"], &events[12]["content_index"]),
        (&json!("ab"), &json!(1), &json!(0))
    );
    assert_eq!(events[12]["item_id"], events[8]["item"]["id"]);
    let response = &events[24]["response"];
    assert_eq!(
        (&response["status"], &response["model"], &response["created_at"]),
        (&json!("completed"), &json!("gpt-x"), &json!(5))
    );
    assert_eq!(
        (&response["temperature"], &response["tool_choice"], &response["parallel_tool_calls"]),
        (&json!(0.5), &json!("auto"), &json!(true))
    );
    let items: Vec<_> =
        response["output"].as_array().unwrap().iter().map(|item| item["type"].as_str().unwrap()).collect();
    assert_eq!(items, ["reasoning", "message", "function_call", "function_call"]);
    assert_eq!(
        (&response["output"][2]["call_id"], &response["output"][3]["arguments"]),
        (&json!("c1"), &json!("{}"))
    );
    assert_eq!(
        response["usage"],
        json!({"input_tokens": 9, "input_tokens_details": {"cached_tokens": 4, "cache_write_tokens": 0},
            "output_tokens": 3, "output_tokens_details": {"reasoning_tokens": 0}, "total_tokens": 12})
    );
}

#[test]
fn calls_whose_pieces_come_in_turn_are_open_beside_each_other() {
    let mut list = vec![
        start(0, "a"),
        start(1, "b"),
        arguments(0, "{"),
        arguments(1, "{"),
        arguments(0, "}"),
        arguments(1, "}"),
    ];
    list.extend(ends(Stop::ToolUse));
    let events = streamed(&list, asked());
    let deltas: Vec<_> = events
        .iter()
        .filter(|event| event["delta"].is_string())
        .map(|event| event["output_index"].as_u64().unwrap())
        .collect();
    assert_eq!(deltas, [0, 1, 0, 1]);
    let output = &events.last().unwrap()["response"]["output"];
    assert_eq!((&output[0]["call_id"], &output[1]["call_id"]), (&json!("a"), &json!("b")));
}

#[test]
fn an_answer_that_was_cut_short_is_incomplete_and_so_is_its_item() {
    for (stop, reason) in [(Stop::Length, "max_output_tokens"), (Stop::Filtered, "content_filter")] {
        let mut list = vec![text("a")];
        list.extend(ends(stop));
        let events = streamed(&list, asked());
        let last = events.last().unwrap();
        assert_eq!(
            (&last["type"], &last["response"]["status"]),
            (&json!("response.incomplete"), &json!("incomplete"))
        );
        assert_eq!(last["response"]["incomplete_details"]["reason"], reason);
        assert_eq!(last["response"]["output"][0]["status"], "incomplete");
    }
}

#[test]
fn nothing_is_said_before_there_is_anything_to_say() {
    assert!(streamed(&[Event::Start(Start::default())], asked()).is_empty());
}

#[test]
fn a_fault_is_an_event_that_goes_on_counting() {
    let fault = Fault::new(Code::UpstreamError, "the upstream gave up");
    let (mut renderer, mut out) = (OpenAiResponses.renderer(asked()), BytesMut::new());
    renderer.on(&text("a"), &mut out);
    let told = String::from_utf8(renderer.fault(&fault).unwrap().to_vec()).unwrap();
    let data = told.strip_prefix("event: error\ndata: ").unwrap();
    let event: Value = serde_json::from_str(data).unwrap();
    assert_eq!(
        (&event["type"], &event["message"], &event["sequence_number"]),
        (&json!("error"), &json!("the upstream gave up"), &json!(5))
    );
    assert_eq!(event["error"]["message"], event["message"]);
    let last =
        br#"{"type":"response.output_text.delta","sequence_number":41,"delta":"\"sequence_number\":1"}"#;
    let passed = OpenAiResponses.fault_event_after(last, &fault, &asked(), Begun::Yes);
    assert!(String::from_utf8(passed.to_vec()).unwrap().contains("\"sequence_number\":42"));
    let fault = UpstreamFault::new(UpstreamClass::Server, 200, "oops");
    let events = streamed(&[Event::Fault(Box::new(fault)), text("late")], asked());
    assert_eq!(kinds(&events), ["error"]);
}

#[test]
fn citations_of_pages_are_annotations_and_others_are_shown_apart() {
    let cite = |value: Value| Event::Citation {
        choice: 0,
        citation: Opaque { origin: Dialect::Anthropic, value },
        chars: 2,
    };
    let mut list = vec![
        text("abcd"),
        cite(json!({"url": "http://x", "title": "t"})),
        cite(json!({"type": "page_location", "document_index": 0})),
    ];
    list.insert(0, Event::Start(Start { origin: Dialect::Anthropic, ..Start::default() }));
    list.extend(ends(Stop::End));
    let events = streamed(&list, asked());
    let added = events.iter().find(|event| event["type"] == "response.output_text.annotation.added").unwrap();
    let page =
        json!({"type": "url_citation", "start_index": 2, "end_index": 4, "url": "http://x", "title": "t"});
    assert_eq!((&added["annotation"], &added["annotation_index"]), (&page, &json!(0)));
    let response = &events.last().unwrap()["response"];
    assert_eq!(response["output"][0]["content"][0]["annotations"], json!([page]));
    assert_eq!(response["provider_fields"]["anthropic"]["citations"][0]["type"], "page_location");
}

#[test]
fn what_is_rendered_is_accepted_back() {
    let parts = vec![
        Part::Thinking(Thinking {
            text: "hm".into(),
            signature: Some(signed(Dialect::Anthropic, "s:1")),
            sealed: None,
        }),
        Part::Thinking(Thinking { sealed: Some(signed(Dialect::Anthropic, "d")), ..Default::default() }),
        Part::Thinking(Thinking {
            text: "so".into(),
            signature: Some(signed(Dialect::OpenAiResponses, "rs_9:gAAA")),
            sealed: None,
        }),
        Part::Thinking(Thinking { text: "unproven".into(), ..Default::default() }),
        Part::Text(Text { signature: Some(signed(Dialect::Gemini, "t")), ..Text::new("yes") }),
        Part::Opaque(Opaque {
            origin: Dialect::Anthropic,
            value: json!({"type": "server_tool_use", "id": "x"}),
        }),
        Part::ToolCall(ToolCall {
            id: "a".into(),
            name: "f".into(),
            arguments: "{\"b\": 1}".into(),
            signature: Some(signed(Dialect::Gemini, "g")),
            cache: None,
        }),
    ];
    let answer = whole(parts.clone());
    let mut input = vec![json!({"role": "user", "content": "hi"})];
    input.extend(answer["output"].as_array().unwrap().iter().cloned());
    let body = json!({"model": "m", "input": input});
    let call = parsed(body.clone());
    assert_eq!((call.messages.len(), call.messages[1].role), (2, Role::Assistant));
    assert_eq!(call.messages[1].parts, parts);
    // To an upstream of this dialect they would be forgeries.
    let body = body.to_string();
    let envelope =
        OpenAiResponses.inspect(&Tape::parse(body.as_bytes()).unwrap(), &RequestLine::default()).unwrap();
    let mut sent = body.clone();
    envelope.cuts.iter().rev().for_each(|cut| sent.replace_range(cut.clone(), ""));
    assert!(!sent.contains(proof::PREFIX), "{sent}");
    let kept: Value = serde_json::from_str(&sent).unwrap();
    let kept: Vec<_> = kept["input"]
        .as_array()
        .unwrap()
        .iter()
        .map(|item| item["type"].as_str().unwrap_or("message"))
        .collect();
    assert_eq!(kept, ["message", "reasoning", "reasoning", "message", "function_call"]);
}

#[test]
fn an_answer_of_this_dialect_keeps_its_ids_and_items() {
    let choice = Choice {
        parts: vec![
            Part::Thinking(Thinking {
                signature: Some(signed(Dialect::OpenAiResponses, "rs_9:gAAA")),
                ..Default::default()
            }),
            Part::Opaque(Opaque {
                origin: Dialect::OpenAiResponses,
                value: json!({"type": "web_search_call", "id": "ws"}),
            }),
        ],
        ..Choice::default()
    };
    let reply = Reply {
        id: Some("resp_9".into()),
        choices: vec![choice],
        origin: Dialect::OpenAiResponses,
        ..Reply::default()
    };
    let answer: Value = serde_json::from_slice(&OpenAiResponses.render(&reply, &asked())).unwrap();
    assert_eq!((&answer["id"], &answer["output"][0]["id"]), (&json!("resp_9"), &json!("rs_9")));
    assert_eq!(answer["output"][0]["encrypted_content"], "gAAA");
    assert_eq!(answer["output"][1], json!({"type": "web_search_call", "id": "ws"}));
}

#[test]
fn items_of_one_turn_are_one_message() {
    let call = parsed(json!({"model": "m", "instructions": "be kind", "input": [
        {"role": "user", "content": "hi"},
        {"type": "reasoning", "summary": [{"type": "summary_text", "text": "hm"}]},
        {"role": "assistant", "content": "let me see"},
        {"type": "function_call", "call_id": "a", "name": "f", "arguments": "{}"},
        {"type": "function_call", "call_id": "b", "name": "g", "arguments": ""},
        {"type": "function_call_output", "call_id": "a", "output": "1"},
        {"type": "function_call_output", "call_id": "b", "output": "2"},
    ]}));
    let roles: Vec<_> = call.messages.iter().map(|message| message.role).collect();
    assert_eq!(roles, [Role::User, Role::Assistant, Role::Tool, Role::Tool]);
    assert_eq!(call.messages[1].parts.len(), 4);
    let Part::ToolResult(result) = &call.messages[3].parts[0] else { panic!() };
    assert_eq!((result.name.as_deref(), result.call_id.as_str()), (Some("g"), "b"));
    assert_eq!(call.system, [Part::Text(Text::new("be kind"))]);
}

#[test]
fn settings_that_say_what_happens_anyway_are_no_loss() {
    let call = parsed(
        json!({"model": "m", "input": "hi", "store": false, "truncation": "disabled", "background": false,
        "include": ["reasoning.encrypted_content"], "stream_options": {"include_obfuscation": false}, "metadata": {}, "fallbacks": ["x"]}),
    );
    assert!(call.extras.is_empty(), "{:?}", call.extras);
    assert_eq!(call.attribution.metadata, None);
    let call = parsed(json!({"model": "m", "input": "hi", "store": true, "truncation": "auto"}));
    assert_eq!(call.extras.keys().collect::<Vec<_>>(), ["store", "truncation"]);
}
