use super::*;
use crate::call::{Part, Signature, Text, Thinking, ToolCall, UsageChunk};
use crate::fault::{Code, UpstreamClass, UpstreamFault};
use crate::reply::{Choice, Event, Stop};
use crate::units::Tokens;
use crate::usage::{Exclusive, Usage};
use bytes::BytesMut;
use serde_json::{Map, Value, json};

fn asked(usage: UsageChunk) -> Asked {
    Asked {
        client: crate::surface::Client::Usual,
        model: "m".into(),
        request_id: "req".into(),
        now_secs: 7,
        usage,
        framing: Default::default(),
        body: Default::default(),
    }
}

fn sample() -> Reply {
    let signature = |origin, value: &str| Some(Signature { origin, value: value.into() });
    Reply {
        choices: vec![Choice {
            parts: vec![
                Part::Thinking(Thinking {
                    text: "hm".into(),
                    signature: signature(Dialect::Anthropic, "sig"),
                    sealed: None,
                }),
                Part::Thinking(Thinking {
                    sealed: signature(Dialect::Anthropic, "data"),
                    ..Thinking::default()
                }),
                Part::Text(Text::new("hello \"you\"")),
                Part::ToolCall(ToolCall {
                    id: "a".into(),
                    name: "f".into(),
                    arguments: "{\"x\":1}".into(),
                    signature: signature(Dialect::Gemini, "g"),
                    cache: None,
                }),
                Part::ToolCall(ToolCall {
                    id: "b".into(),
                    name: "g".into(),
                    arguments: String::new(),
                    signature: None,
                    cache: None,
                }),
            ],
            stop: Some(Stop::ToolUse),
            ..Choice::default()
        }],
        usage: Some(Usage::from(Exclusive {
            input: Tokens(1),
            cache_read: Tokens(2),
            cache_write_5m: Tokens(3),
            cache_write_1h: Tokens(4),
            output: Tokens(5),
        })),
        ..Reply::default()
    }
}

fn whole(reply: &Reply) -> Value {
    serde_json::from_slice(&OpenAiChat.render(reply, &asked(UsageChunk::Wanted))).unwrap()
}

fn streamed(events: &[Event], usage: UsageChunk) -> Vec<String> {
    let mut renderer = OpenAiChat.renderer(asked(usage));
    let mut out = BytesMut::new();
    events.iter().for_each(|event| renderer.on(event, &mut out));
    let text = String::from_utf8(out.to_vec()).unwrap();
    assert!(text.ends_with("\n\n") || text.is_empty());
    text.split_terminator("\n\n").map(|frame| frame.strip_prefix("data: ").unwrap().to_owned()).collect()
}

#[test]
fn a_whole_answer_has_every_field_clients_require() {
    let answer = whole(&sample());
    assert_eq!(answer["id"], "chatcmpl-req");
    assert_eq!(
        (&answer["object"], &answer["created"], &answer["model"]),
        (&json!("chat.completion"), &json!(7), &json!("m"))
    );
    let message = &answer["choices"][0]["message"];
    assert_eq!(message["content"], "hello \"you\"");
    assert_eq!(message["reasoning_content"], "hm");
    assert_eq!(
        message["thinking_blocks"],
        json!([{"type": "thinking", "thinking": "hm", "signature": "sig"}, {"type": "redacted_thinking", "data": "data"}])
    );
    assert_eq!(message["tool_calls"][0]["extra_content"]["google"]["thought_signature"], "g");
    assert_eq!(message["tool_calls"][1]["function"]["arguments"], "{}");
    assert_eq!(answer["choices"][0]["finish_reason"], "tool_calls");
    assert_eq!(answer["usage"]["prompt_tokens"], 10);
    assert_eq!(
        answer["usage"]["prompt_tokens_details"],
        json!({"cached_tokens": 2, "cache_write_tokens": 7, "audio_tokens": 0})
    );
    assert_eq!(
        (&answer["usage"]["completion_tokens"], &answer["usage"]["total_tokens"]),
        (&json!(5), &json!(15))
    );
}

#[test]
fn an_answer_without_words_is_empty_text_and_a_call_alone_has_none() {
    let mut reply =
        Reply { choices: vec![Choice { stop: Some(Stop::End), ..Choice::default() }], ..Reply::default() };
    assert_eq!(whole(&reply)["choices"][0]["message"]["content"], "");
    reply.choices[0].parts = vec![Part::ToolCall(ToolCall {
        id: "a".into(),
        name: "f".into(),
        arguments: "{}".into(),
        signature: None,
        cache: None,
    })];
    assert_eq!(whole(&reply)["choices"][0]["message"]["content"], Value::Null);
}

#[test]
fn a_stream_begins_with_a_role_and_ends_with_usage_and_the_end_mark() {
    let events = sample().into_events();
    let chunks = streamed(&events, UsageChunk::Wanted);
    let json: Vec<Value> =
        chunks[..chunks.len() - 1].iter().map(|chunk| serde_json::from_str(chunk).unwrap()).collect();
    assert_eq!(json[0]["choices"][0]["delta"], json!({"role": "assistant", "content": ""}));
    assert_eq!(chunks.last().unwrap(), "[DONE]");
    let usage = json.last().unwrap();
    assert_eq!((&usage["choices"], &usage["usage"]["total_tokens"]), (&json!([]), &json!(15)));
    assert!(json[..json.len() - 1].iter().all(|chunk| chunk.get("usage") == Some(&Value::Null)));
    let finish = &json[json.len() - 2]["choices"][0];
    assert_eq!((&finish["delta"], &finish["finish_reason"]), (&json!({}), &json!("tool_calls")));
    let quiet = streamed(&events, UsageChunk::Unwanted);
    assert!(quiet.iter().all(|chunk| !chunk.contains("usage")));
}

#[test]
fn h5_streamed_calls_have_index_id_and_name_first_and_arguments_after() {
    let chunks = streamed(&sample().into_events(), UsageChunk::Unwanted);
    let calls: Vec<Value> = chunks
        .iter()
        .filter_map(|chunk| serde_json::from_str::<Value>(chunk).ok())
        .filter_map(|chunk| chunk["choices"][0]["delta"].get("tool_calls").cloned())
        .collect();
    assert_eq!(calls[0][0]["id"], "a");
    assert_eq!(
        (&calls[1][0]["index"], &calls[1][0]["function"]["arguments"]),
        (&json!(0), &json!("{\"x\":1}"))
    );
    assert_eq!((&calls[3][0]["index"], &calls[3][0]["function"]["arguments"]), (&json!(1), &json!("{}")));
}

#[test]
fn nothing_is_sent_before_there_is_something_to_say() {
    let start = Event::Start(crate::reply::Start::default());
    assert!(streamed(std::slice::from_ref(&start), UsageChunk::Wanted).is_empty());
}

#[test]
fn k15_a_fault_in_a_stream_is_an_error_event_without_an_end_mark() {
    let fault = Event::Fault(Box::new(UpstreamFault::new(UpstreamClass::Connection, 200, "cut")));
    let text = Event::Text { choice: 0, text: "a".into() };
    let chunks = streamed(&[text.clone(), fault, text, Event::End], UsageChunk::Wanted);
    let error: Value = serde_json::from_str(chunks.last().unwrap()).unwrap();
    assert_eq!(
        error,
        json!({"error": {"message": "cut", "type": "api_error", "param": null, "code": "upstream_error"}})
    );
    assert_eq!(chunks.len(), 3);
}

#[test]
fn an_upstreams_refusal_keeps_its_own_words() {
    let mut fault = Fault::new(Code::UpstreamRefused, "refused");
    let upstream = UpstreamFault {
        code: Some("c".into()),
        kind: Some("t".into()),
        param: Some("p".into()),
        ..UpstreamFault::new(UpstreamClass::BadRequest, 422, "m")
    };
    fault.upstream = Some(Box::new(upstream.clone()));
    let error = |fault: &Fault| {
        serde_json::from_slice::<Value>(&OpenAiChat.fault(fault, "r")).unwrap()["error"].clone()
    };
    assert_eq!(error(&fault), json!({"message": "m", "type": "t", "param": "p", "code": "c"}));
    fault.upstream = Some(Box::new(UpstreamFault { class: UpstreamClass::ContextLength, ..upstream }));
    assert_eq!(error(&fault)["code"], "context_length_exceeded");
    let own = Fault::bad_field("n", "1", "0");
    assert_eq!(
        error(&own),
        json!({"message": "n: expected 1, found 0", "type": "invalid_request_error", "param": "n", "code": "bad_field"})
    );
}

#[test]
fn fields_of_another_dialect_stand_apart_from_this_ones() {
    let mut reply = sample();
    let fields = |key: &str| Map::from_iter([(key.to_owned(), json!({"x": 1}))]);
    reply.extras = fields("container");
    reply.choices[0].extras = fields("stop_details");
    reply.choices[0].message_extras = fields("noted");
    reply.usage.as_mut().unwrap().extras = fields("inference_geo");
    let own = whole(&reply);
    assert_eq!(own["container"], json!({"x": 1}));
    assert_eq!(own["choices"][0]["stop_details"], json!({"x": 1}));
    reply.origin = Dialect::Anthropic;
    let apart = |key: &str| json!({"anthropic": {key: {"x": 1}}});
    let answer = whole(&reply);
    assert_eq!(answer["provider_fields"], apart("container"));
    assert_eq!(answer["usage"]["provider_fields"], apart("inference_geo"));
    assert_eq!(answer["choices"][0]["provider_fields"], apart("stop_details"));
    assert_eq!(answer["choices"][0]["message"]["provider_fields"], apart("noted"));
    let chunks = streamed(&reply.into_events(), UsageChunk::Wanted).join("");
    for key in ["container", "stop_details", "noted", "inference_geo"] {
        assert!(chunks.contains(&format!("\"provider_fields\":{}", apart(key))), "{key}: {chunks}");
    }
}

#[test]
fn fields_of_another_dialect_that_come_in_pieces_are_joined() {
    let piece = |key: &str| Event::Extras {
        level: crate::reply::Level::Reply,
        fields: Map::from_iter([(key.to_owned(), json!(1))]),
    };
    let start = crate::reply::Start { origin: Dialect::Gemini, ..crate::reply::Start::default() };
    let text = Event::Text { choice: 0, text: "a".into() };
    let chunks = streamed(&[Event::Start(start), piece("a"), piece("b"), text], UsageChunk::Unwanted);
    let first: Value = serde_json::from_str(&chunks[0]).unwrap();
    assert_eq!(first["provider_fields"], json!({"gemini": {"a": 1, "b": 1}}));
    assert!(!chunks[1].contains("provider_fields"));
}

#[test]
fn the_tier_that_served_a_call_is_told_in_this_dialects_word() {
    let mut reply = sample();
    for (origin, key, word, told) in [
        (Dialect::Anthropic, "service_tier", "standard", Some("default")),
        (Dialect::Anthropic, "service_tier", "priority", Some("priority")),
        (Dialect::Gemini, "serviceTier", "standard", Some("default")),
        (Dialect::Gemini, "trafficType", "ON_DEMAND", None),
    ] {
        reply.origin = origin;
        reply.usage.as_mut().unwrap().extras = Map::from_iter([(key.to_owned(), word.into())]);
        assert_eq!(whole(&reply).get("service_tier").and_then(Value::as_str), told);
        let stream = streamed(&reply.clone().into_events(), UsageChunk::Wanted).join("");
        assert_eq!(
            stream.matches("\"service_tier\":\"default\"").count(),
            usize::from(told == Some("default"))
        );
    }
}

#[test]
fn a_cited_page_is_an_annotation_of_the_very_words() {
    let page = json!({"type": "web_search_result_location", "url": "https://x.test", "title": "X"});
    let cited =
        crate::call::Opaque { origin: Dialect::Anthropic, value: json!([page, {"type": "char_location"}]) };
    let mut reply = sample();
    reply.choices[0].parts = vec![
        Part::Text(Text::new("é – ")),
        Part::Text(Text { citations: Some(cited), ..Text::new("so") }),
        Part::Text(Text::new(".")),
    ];
    let place = json!({"url": "https://x.test", "title": "X", "start_index": 4, "end_index": 6});
    let note = json!([{"type": "url_citation", "url_citation": place}]);
    let message = whole(&reply)["choices"][0]["message"].clone();
    assert_eq!(message["annotations"], note);
    assert_eq!(message["citations"].as_array().unwrap().len(), 2);
    let stream = streamed(&reply.into_events(), UsageChunk::Unwanted).join("");
    assert!(stream.contains(&format!("\"annotations\":{note}")), "{stream}");
}

#[test]
fn a_refusal_without_a_type_gets_that_of_its_class() {
    for (class, kind) in [
        (UpstreamClass::RateLimited, "rate_limit_error"),
        (UpstreamClass::Auth, "authentication_error"),
        (UpstreamClass::Overloaded, "api_error"),
        (UpstreamClass::NotFound, "invalid_request_error"),
    ] {
        let mut fault = Fault::new(Code::UpstreamRefused, "refused");
        fault.upstream = Some(Box::new(UpstreamFault::new(class, 400, "m")));
        let told: Value = serde_json::from_slice(&OpenAiChat.fault(&fault, "r")).unwrap();
        assert_eq!(told["error"]["type"], kind);
    }
}
