use super::*;
use crate::call::{Opaque, Part, Role, Signature, Text, Thinking, Tool, ToolCall, ToolChoice, UsageChunk};
use crate::fault::{Code, UpstreamClass, UpstreamFault};
use crate::framing::Framing;
use crate::reply::{Choice, Event, Start, Stop};
use crate::units::Tokens;
use crate::usage::{Exclusive, Usage};
use bytes::BytesMut;
use serde_json::{Value, json};

fn asked() -> Asked {
    Asked {
        client: crate::surface::Client::Usual,
        model: "asked".to_owned(),
        request_id: "req".to_owned(),
        now_secs: 7,
        usage: UsageChunk::Wanted,
        framing: Framing::Events,
        body: Default::default(),
    }
}

fn parsed(body: &Value) -> Call {
    MESSAGES.parse(body.to_string().as_bytes(), &RequestLine::default()).unwrap()
}

fn messages(list: &Value) -> Call {
    parsed(&json!({"model": "m", "max_tokens": 9, "messages": list}))
}

fn usage() -> Usage {
    let counts = Exclusive {
        input: Tokens(5),
        cache_read: Tokens(3),
        cache_write_5m: Tokens(2),
        cache_write_1h: Tokens(1),
        output: Tokens(8),
    };
    let mut usage = Usage::from(counts);
    usage.parts.reasoning = Some(Tokens(4));
    usage
}

fn proof(value: &str) -> Signature {
    Signature { origin: Dialect::Gemini, value: value.to_owned() }
}

fn whole(parts: Vec<Part>, stop: Stop) -> Value {
    let choice = Choice { parts, stop: Some(stop), ..Choice::default() };
    let reply = Reply { choices: vec![choice], usage: Some(usage()), ..Reply::default() };
    serde_json::from_slice(&MESSAGES.render(&reply, &asked())).unwrap()
}

/// The stream's events, each with its name checked against its type.
fn streamed(events: &[Event]) -> Vec<Value> {
    let mut renderer = MESSAGES.renderer(asked());
    let mut out = BytesMut::new();
    events.iter().for_each(|event| renderer.on(event, &mut out));
    let text = std::str::from_utf8(&out).unwrap();
    let frame = |frame: &str| {
        let (event, data) = frame.split_once('\n').unwrap();
        let data: Value = serde_json::from_str(data.strip_prefix("data: ").unwrap()).unwrap();
        assert_eq!(event.strip_prefix("event: ").unwrap(), data["type"], "{frame}");
        data
    };
    text.split_terminator("\n\n").map(frame).collect()
}

/// What a client of the official library ends up with.
fn accumulated(events: &[Value]) -> Value {
    let mut message = events[0]["message"].clone();
    let mut inputs: Vec<String> = Vec::new();
    let mut open = None;
    for event in &events[1..] {
        let index = event["index"].as_u64().map(|index| index as usize);
        match event["type"].as_str().unwrap() {
            "content_block_start" => {
                assert_eq!((open, index), (None, Some(inputs.len())), "one block at a time, in order");
                open = index;
                inputs.push(String::new());
                message["content"].as_array_mut().unwrap().push(event["content_block"].clone());
            }
            "content_block_delta" => {
                assert_eq!(open, index, "deltas are of the open block");
                let block = &mut message["content"][index.unwrap()];
                for (from, to) in [("text", "text"), ("thinking", "thinking")] {
                    if let Some(more) = event["delta"][from].as_str() {
                        block[to] = format!("{}{more}", block[to].as_str().unwrap()).into();
                    }
                }
                if let Some(signature) = event["delta"]["signature"].as_str() {
                    block["signature"] = signature.into();
                }
                if let Some(more) = event["delta"]["partial_json"].as_str() {
                    inputs[index.unwrap()].push_str(more);
                }
                if event["delta"]["citation"].is_object() {
                    let list = block.as_object_mut().unwrap().entry("citations").or_insert(json!([]));
                    list.as_array_mut().unwrap().push(event["delta"]["citation"].clone());
                }
            }
            "content_block_stop" => {
                assert_eq!(open.take(), index, "the open block is the one that stops");
                let input = &inputs[index.unwrap()];
                if !input.is_empty() {
                    message["content"][index.unwrap()]["input"] = serde_json::from_str(input).unwrap();
                }
            }
            "message_delta" => {
                for key in ["stop_reason", "stop_sequence", "stop_details"] {
                    message[key] = event["delta"][key].clone();
                }
                message["usage"] = event["usage"].clone();
            }
            "ping" | "message_stop" => {}
            other => panic!("{other}"),
        }
    }
    assert_eq!(open, None);
    assert_eq!(events.last().unwrap()["type"], "message_stop");
    message
}

fn start() -> Event {
    Event::Start(Start { id: Some("chatcmpl-1".into()), model: Some("gpt".into()), ..Start::default() })
}

fn text(text: &str) -> Event {
    Event::Text { choice: 0, text: text.into() }
}

fn call(call: u32, name: &str) -> Event {
    let (id, name) = (format!("call_{call}"), name.to_owned());
    Event::ToolStart { choice: 0, call, id, name, signature: None }
}

fn arguments(call: u32, text: &str) -> Event {
    Event::ToolArguments { choice: 0, call, text: text.into() }
}

fn stop(stop: Stop) -> Event {
    Event::Stop { choice: 0, stop, sequence: None }
}

fn counted() -> Event {
    Event::Usage(Box::new(usage()))
}

#[test]
fn usage_counts_each_token_once_in_this_dialects_terms() {
    let message = whole(vec![], Stop::End);
    assert_eq!(
        message["usage"],
        json!({
            "input_tokens": 5,
            "cache_creation_input_tokens": 3,
            "cache_read_input_tokens": 3,
            "cache_creation": {"ephemeral_5m_input_tokens": 2, "ephemeral_1h_input_tokens": 1},
            "output_tokens": 8,
            "output_tokens_details": {"thinking_tokens": 4},
        })
    );
    assert_eq!(message["content"], json!([]));
    assert_eq!((&message["id"], &message["type"]), (&"msg_req".into(), &"message".into()));
}

#[test]
fn every_reason_to_stop_has_its_word() {
    for (stop, word) in [
        (Stop::End, "end_turn"),
        (Stop::Sequence, "stop_sequence"),
        (Stop::Length, "max_tokens"),
        (Stop::ContextFull, "model_context_window_exceeded"),
        (Stop::ToolUse, "tool_use"),
        (Stop::Filtered, "refusal"),
        (Stop::Paused, "pause_turn"),
        (Stop::Malformed, "end_turn"),
        (Stop::Other("odd".into()), "end_turn"),
    ] {
        assert_eq!(whole(vec![], stop.clone())["stop_reason"], word);
        let events = streamed(&[start(), Event::Stop { choice: 0, stop, sequence: None }, Event::End]);
        assert_eq!(accumulated(&events)["stop_reason"], word);
    }
}

#[test]
fn what_the_model_declines_with_is_text_and_the_explanation() {
    let refused = whole(vec![Part::Refusal("I will not.".into())], Stop::End);
    assert_eq!(refused["stop_reason"], "refusal");
    assert_eq!(refused["stop_details"]["explanation"], "I will not.");
    assert_eq!(refused["content"], json!([{"type": "text", "text": "I will not."}]));
}

#[test]
fn a_stream_comes_in_the_order_the_official_client_wants() {
    let events = streamed(&[start(), text("a"), text("b"), stop(Stop::End), counted(), Event::End]);
    let types: Vec<_> = events.iter().map(|event| event["type"].as_str().unwrap()).collect();
    assert_eq!(
        types,
        [
            "message_start",
            "content_block_start",
            "ping",
            "content_block_delta",
            "content_block_delta",
            "content_block_stop",
            "message_delta",
            "message_stop"
        ]
    );
    assert_eq!(events[0]["message"]["usage"]["input_tokens"], 0, "not known yet");
    let message = accumulated(&events);
    assert_eq!(message["content"], json!([{"type": "text", "text": "ab"}]));
    assert_eq!(message["usage"], whole(vec![], Stop::End)["usage"]);
    assert_eq!((&message["id"], &message["model"]), (&"msg_chatcmpl_1".into(), &"gpt".into()));
}

#[test]
fn nothing_is_sent_before_there_is_something_to_say_and_known_usage_comes_first() {
    assert_eq!(streamed(&[start(), counted()]), Vec::<Value>::new());
    let events = streamed(&[start(), counted(), text("a")]);
    assert_eq!(events[0]["message"]["usage"]["input_tokens"], 5);
}

#[test]
fn h5_interleaved_calls_become_blocks_one_after_the_other() {
    let events = streamed(&[
        start(),
        call(0, "f"),
        call(1, "g"),
        arguments(0, "{\"a\""),
        arguments(1, "{\"b\":"),
        arguments(0, ":1}"),
        arguments(1, "2}"),
        call(2, "h"),
        stop(Stop::ToolUse),
        Event::End,
    ]);
    let block = |id: &str, name: &str, input: Value| json!({"type": "tool_use", "id": id, "name": name, "input": input});
    assert_eq!(
        accumulated(&events)["content"],
        json!([
            block("call_0", "f", json!({"a": 1})),
            block("call_1", "g", json!({"b": 2})),
            block("call_2", "h", json!({}))
        ])
    );
}

#[test]
fn a_complete_call_is_closed_as_soon_as_the_next_begins() {
    let events = streamed(&[start(), call(0, "f"), arguments(0, "{}"), call(1, "g")]);
    let stops = events.iter().filter(|event| event["type"] == "content_block_stop").count();
    assert_eq!((stops, events.last().unwrap()["index"].as_u64()), (1, Some(1)));
}

#[test]
fn thinking_is_signed_before_it_closes_whoever_thought() {
    let think = |text: &str| Event::Thinking { choice: 0, text: text.into() };
    let events = streamed(&[start(), think("h"), think("m"), text("a"), stop(Stop::End), Event::End]);
    let content = accumulated(&events)["content"].clone();
    assert_eq!(content[0], json!({"type": "thinking", "thinking": "hm", "signature": "tollgate:unsigned"}));
    assert_eq!(content[1]["text"], "a");
    let own = Signature { origin: Dialect::Anthropic, value: "sig".into() };
    let signed = Event::ThinkingSignature { choice: 0, signature: own };
    let events = streamed(&[start(), think("hm"), signed, think("more"), text("a"), Event::End]);
    let content = accumulated(&events)["content"].clone();
    assert_eq!(content[0]["signature"], "sig");
    assert_eq!(content[1]["thinking"], "more");
}

/// What an agent does: it sends the blocks back as they came.
#[test]
fn proofs_of_another_provider_come_back_where_they_stood() {
    let parts = vec![
        Part::Thinking(Thinking { text: "hm".into(), signature: Some(proof("t")), sealed: None }),
        Part::Text(Text { signature: Some(proof("x")), ..Text::new("a") }),
        Part::Thinking(Thinking { text: "more".into(), ..Thinking::default() }),
        Part::ToolCall(ToolCall {
            id: "functions.f:0".into(),
            name: "f".into(),
            arguments: "{}".into(),
            signature: Some(proof("c")),
            cache: None,
        }),
        Part::ToolCall(ToolCall {
            id: "call_2".into(),
            name: "g".into(),
            arguments: "{\"b\":1.0}".into(),
            signature: None,
            cache: None,
        }),
    ];
    let rendered = whole(parts.clone(), Stop::ToolUse);
    let choice = Choice { parts: parts.clone(), stop: Some(Stop::ToolUse), ..Choice::default() };
    let reply = Reply { choices: vec![choice], usage: Some(usage()), ..Reply::default() };
    let mut events = reply.into_events();
    events.insert(0, start());
    assert_eq!(accumulated(&streamed(&events))["content"], rendered["content"], "streamed as whole");
    let call = messages(&json!([
        {"role": "user", "content": "go"},
        {"role": "assistant", "content": rendered["content"]},
        {"role": "user", "content": [{"type": "tool_result", "tool_use_id": rendered["content"][4]["id"], "content": "1"}]},
    ]));
    assert_eq!(call.messages[1].parts, parts);
    let Part::ToolResult(result) = &call.messages[2].parts[0] else { panic!() };
    assert_eq!((result.call_id.as_str(), result.name.as_deref()), ("functions.f:0", Some("f")));
}

#[test]
fn thinking_of_others_does_not_go_to_an_upstream_of_this_dialect() {
    let foreign = r#"{"type":"thinking","thinking":"hm","signature":"tollgate:unsigned"}"#;
    let own = r#"{"type":"thinking","thinking":"hm","signature":"EuYB"}"#;
    let body = |first: &str, content: &str| {
        format!(
            r#"{{"model":"m","max_tokens":9,{first}"messages":[{{"role":"user","content":"go"}},{{"role":"assistant","content":[{content}]}},{{"role":"user","content":"on"}}]}}"#
        )
    };
    let text = r#"{"type":"text","text":"a"}"#;
    for (content, left) in [
        (format!("{foreign} , {text}"), text.to_owned()),
        (format!("{text},{foreign}"), text.to_owned()),
        (format!("{own},{foreign},{text}"), format!("{own},{text}")),
        (format!("{own},{text}"), format!("{own},{text}")),
    ] {
        let sent = |body: &str| {
            let tape = Tape::parse(body.as_bytes()).unwrap();
            let envelope = MESSAGES.inspect(&tape, &RequestLine::default()).unwrap();
            let mut body = body.to_owned();
            envelope.cuts.iter().rev().for_each(|cut| body.replace_range(cut.clone(), ""));
            body
        };
        assert_eq!(sent(&body("", &content)), body("", &left));
        assert_eq!(sent(&body(r#""fallbacks":["b"],"#, &content)), body("", &left));
    }
    let alone = body("", foreign);
    let tape = Tape::parse(alone.as_bytes()).unwrap();
    let cuts = MESSAGES.inspect(&tape, &RequestLine::default()).unwrap().cuts;
    let mut left = alone.clone();
    cuts.iter().rev().for_each(|cut| left.replace_range(cut.clone(), ""));
    let left: Value = serde_json::from_str(&left).unwrap();
    assert_eq!(left["messages"].as_array().unwrap().len(), 2, "an empty turn goes whole");
}

#[test]
fn every_field_of_a_call_has_its_place() {
    let call = parsed(&json!({
        "model": "m", "max_tokens": 9, "stream": true, "temperature": 0.5, "top_p": 0.9, "top_k": 4,
        "stop_sequences": ["x"], "system": [{"type": "text", "text": "s", "cache_control": {"type": "ephemeral", "ttl": "1h"}}],
        "messages": [{"role": "user", "content": "hi"}, {"role": "system", "content": "now"}],
        "tools": [
            {"name": "f", "description": "d", "input_schema": {"type": "object"}, "strict": true, "eager_input_streaming": true},
            {"type": "web_search_20250305", "name": "web_search"}],
        "tool_choice": {"type": "tool", "name": "f", "disable_parallel_tool_use": true},
        "thinking": {"type": "enabled", "budget_tokens": 2048},
        "output_config": {"effort": "high", "format": {"type": "json_schema", "schema": {"type": "object"}}},
        "metadata": {"user_id": "u"}, "service_tier": "standard_only", "container": "c",
        "cache_control": {"type": "ephemeral"}, "fallbacks": ["other"],
    }));
    assert_eq!(call.system.len(), 1);
    assert_eq!(call.messages[1].role, Role::System);
    assert_eq!(
        (call.sampling.stop.as_slice(), call.output.max_tokens),
        (&["x".to_owned()][..], Some(Tokens(9)))
    );
    assert_eq!(call.tool_choice, Some(ToolChoice::Named("f".into())));
    assert_eq!(call.reasoning.as_ref().and_then(|reasoning| reasoning.budget), Some(Tokens(2048)));
    assert_eq!(call.attribution.user.as_deref(), Some("u"));
    assert_eq!(call.attribution.service_tier.as_deref(), Some("default"));
    assert!(matches!(&call.tools[1], Tool::Hosted(Opaque { origin: Dialect::Anthropic, .. })));
    assert!(call.cache.is_some());
    assert_eq!(call.extras.keys().collect::<Vec<_>>(), ["container"]);
}

#[test]
fn what_makes_no_sense_is_refused_by_its_path() {
    let refused = |body: Value| {
        let text = body.to_string();
        let tape = Tape::parse(text.as_bytes()).unwrap();
        let inspected = MESSAGES.inspect(&tape, &RequestLine::default()).map(drop);
        let fault = inspected
            .and_then(|()| MESSAGES.parse(text.as_bytes(), &RequestLine::default()).map(drop))
            .unwrap_err();
        assert_eq!(fault.code, Code::BadField, "{body}");
        fault.into_parts().param.unwrap()
    };
    let with = |list: Value| json!({"model": "m", "max_tokens": 9, "messages": list});
    let block = |block: Value| with(json!([{"role": "user", "content": [block]}]));
    for (body, path) in [
        (json!({"max_tokens": 9, "messages": []}), "model"),
        (json!({"model": "m", "messages": [{"role": "user", "content": "hi"}]}), "max_tokens"),
        (with(json!([])), "messages"),
        (with(json!([{"role": "tool", "content": "x"}])), "messages[0].role"),
        (with(json!([{"role": "user"}])), "messages[0].content"),
        (block(json!({"type": "hologram"})), "messages[0].content[0].type"),
        (block(json!({"type": "text"})), "messages[0].content[0].text"),
        (
            block(json!({"type": "image", "source": {"type": "base64", "media_type": "image/png"}})),
            "messages[0].content[0].source.data",
        ),
        (block(json!({"type": "image", "source": {"type": "smoke"}})), "messages[0].content[0].source.type"),
        (
            block(json!({"type": "tool_use", "id": "a", "name": "f", "input": {}})),
            "messages[0].content[0].type",
        ),
        (block(json!({"type": "tool_result", "tool_use_id": "a"})), "messages[0].content[0].tool_use_id"),
        (
            with(
                json!([{"role": "user", "content": [{"type": "document", "source": {"type": "content", "content": [{"type": "image"}]}}]}]),
            ),
            "messages[0].content[0].source.content[0].source",
        ),
    ] {
        assert_eq!(refused(body), path);
    }
    let mut body = with(json!([{"role": "user", "content": "hi"}]));
    body["thinking"] = json!({"type": "sometimes"});
    assert_eq!(refused(body.clone()), "thinking.type");
    body["thinking"] = json!({"type": "enabled"});
    assert_eq!(refused(body), "thinking.budget_tokens");
}

#[test]
fn faults_are_told_in_this_dialects_words() {
    let shown = |fault: &Fault| serde_json::from_slice::<Value>(&MESSAGES.fault(fault, "req_1")).unwrap();
    let bad = shown(&Fault::missing_field("messages[0].role", "a string"));
    assert_eq!((&bad["type"], &bad["request_id"]), (&"error".into(), &"req_1".into()));
    assert_eq!(bad["error"]["type"], "invalid_request_error");
    assert_eq!(bad["error"]["details"], json!({"error_code": "bad_field", "param": "messages[0].role"}));
    for (code, kind) in [
        (Code::InvalidKey, "authentication_error"),
        (Code::BudgetExceeded, "billing_error"),
        (Code::ModelNotFound, "not_found_error"),
        (Code::RpmExceeded, "rate_limit_error"),
        (Code::Deadline, "timeout_error"),
        (Code::BodyTooLarge, "request_too_large"),
    ] {
        assert_eq!(shown(&Fault::new(code, "no"))["error"]["type"], kind);
    }
    let mut broken = Fault::new(Code::UpstreamError, "the upstream's stream failed: Overloaded");
    for (class, kind) in
        [(UpstreamClass::Overloaded, "overloaded_error"), (UpstreamClass::Server, "api_error")]
    {
        broken.upstream = Some(Box::new(UpstreamFault::new(class, 200, "Overloaded")));
        assert_eq!(shown(&broken)["error"]["type"], kind);
    }
    let mut upstream = UpstreamFault::new(UpstreamClass::ContextLength, 400, "too many tokens");
    upstream.kind = Some("invalid_request_error".into());
    let mut fault = Fault::new(Code::UpstreamRefused, "too many tokens");
    fault.upstream = Some(Box::new(upstream));
    assert_eq!(shown(&fault)["error"]["message"], "prompt is too long: too many tokens");
    let event = MESSAGES.fault_event(&fault, &asked(), Begun::Yes);
    assert!(event.starts_with(b"event: error\ndata: {\"type\":\"error\",") && event.ends_with(b"}\n\n"));
}

#[test]
fn places_in_documents_that_bedrock_cites_are_this_dialects() {
    let cited = json!([
        {"title": "D", "sourceContent": [{"text": "a"}, {"text": "b"}],
         "location": {"documentPage": {"documentIndex": 1, "start": 2, "end": 3}}},
        {"title": "T", "location": {"s3Location": {"uri": "s3://x"}}},
    ]);
    let citation = crate::call::Opaque { origin: crate::dialect::Dialect::Bedrock, value: cited.clone() };
    let expected = json!([{
        "type": "page_location", "cited_text": "ab", "document_index": 1, "document_title": "D",
        "start_page_number": 2, "end_page_number": 3,
    }]);
    assert_eq!(json!(words::citations(&citation)), expected);
    assert_eq!(words::other_citations(&citation), json!([cited[1]]));
}
