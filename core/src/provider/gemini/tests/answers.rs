//! Facts about decoding.

use super::*;
use crate::call::{MediaSource, Thinking, ToolCall};
use crate::fault::{UpstreamClass, UpstreamFault};
use crate::provider::Glance;
use crate::reply::{Assembler, Event, Reply, Stop};
use crate::sse::Frame;
use crate::units::Tokens;
use serde_json::json;

fn whole(body: &Value) -> Reply {
    Gemini.decode(body.to_string().as_bytes(), &target("m")).expect("decodes")
}

fn frame(data: &str) -> Frame {
    Frame::new("", data)
}

fn events(chunks: &[Value]) -> Vec<Event> {
    let mut decoder = Gemini.decoder(&target("m"));
    let mut events = Vec::new();
    chunks.iter().for_each(|chunk| decoder.on(&frame(&chunk.to_string()), &mut events));
    decoder.on_end(&mut events);
    events
}

fn streamed(chunks: &[Value]) -> Result<Reply, Box<UpstreamFault>> {
    let mut assembler = Assembler::default();
    events(chunks).into_iter().for_each(|event| assembler.on(event));
    assembler.finish().expect("ends")
}

fn chunk(parts: &Value, finish: Option<&str>) -> Value {
    let mut chunk =
        json!({"responseId": "r-1", "candidates": [{"content": {"role": "model", "parts": parts}}]});
    if let Some(finish) = finish {
        chunk["candidates"][0]["finishReason"] = json!(finish);
    }
    chunk
}

fn calls(reply: &Reply) -> Vec<ToolCall> {
    let parts = reply.choices.iter().flat_map(|choice| &choice.parts);
    parts.filter_map(|part| if let Part::ToolCall(call) = part { Some(call.clone()) } else { None }).collect()
}

#[test]
fn a_tool_call_anywhere_turns_stop_into_tool_use() {
    let ask = json!([{"functionCall": {"name": "f", "args": {"b": 1, "a": 2.50}}, "thoughtSignature": "s"}]);
    let reply = streamed(&[chunk(&ask, None), chunk(&json!([{"text": ""}]), Some("STOP"))]).expect("answers");
    assert_eq!(reply.choices[0].stop, Some(Stop::ToolUse));
    let call = &calls(&reply)[0];
    assert_eq!((call.id.as_str(), call.arguments.as_str()), ("call_r-1_0", r#"{"b":1,"a":2.5}"#));
    assert_eq!(call.signature.as_ref().map(|signature| signature.value.as_str()), Some("s"));
    let cut_short = streamed(&[chunk(&ask, Some("MAX_TOKENS"))]).expect("answers");
    assert_eq!(cut_short.choices[0].stop, Some(Stop::Length));
}

#[test]
fn given_ids_are_kept_and_invented_ones_are_the_same_each_time() {
    let ask = json!([{"functionCall": {"name": "f", "id": "x8i"}}, {"functionCall": {"name": "g"}}]);
    let reply = whole(&chunk(&ask, Some("STOP")));
    let ids = calls(&reply).into_iter().map(|call| call.id).collect::<Vec<_>>();
    assert_eq!(ids, ["x8i", "call_r-1_1"]);
    assert_eq!(calls(&reply)[0].arguments, "{}");
    let mut unnamed = chunk(&ask, Some("STOP"));
    unnamed.as_object_mut().expect("object").remove("responseId");
    assert_eq!(calls(&whole(&unnamed))[1].id, "call_1_g");
}

#[test]
fn thoughts_are_apart_from_text_and_signatures_stay_on_their_part() {
    let reply = streamed(&[
        chunk(&json!([{"text": "hm", "thought": true}]), None),
        chunk(&json!([{"text": "yes"}]), None),
        chunk(&json!([{"text": "", "thoughtSignature": "s1"}]), None),
        chunk(&json!([{"text": "more"}]), Some("STOP")),
    ])
    .expect("answers");
    let parts = &reply.choices[0].parts;
    assert_eq!(parts[0], Part::Thinking(Thinking { text: "hm".to_owned(), ..Thinking::default() }));
    let texts = parts.iter().filter_map(|part| if let Part::Text(text) = part { Some(text) } else { None });
    let texts = texts.map(|text| (text.text.as_str(), text.signature.is_some())).collect::<Vec<_>>();
    assert_eq!(texts, [("yes", true), ("more", false)]);
}

#[test]
fn what_words_are_grounded_on_is_cited_in_characters_before_their_proof() {
    let mut last = chunk(&json!([{"text": " zwei.", "thoughtSignature": "c2ln"}]), Some("STOP"));
    last["candidates"][0]["groundingMetadata"] = json!({
        "groundingChunks": [{"web": {"uri": "https://a", "title": "A"}}, {"retrievedContext": {"uri": "gs://b"}}],
        "groundingSupports": [
            {"segment": {"endIndex": 5, "text": "Für"}, "groundingChunkIndices": [0]},
            {"segment": {"startIndex": 5, "endIndex": 10, "text": "zwei."}, "groundingChunkIndices": [0, 1, 7]},
            {"segment": {"startIndex": 2, "endIndex": 9, "text": "never said"}, "groundingChunkIndices": [0]},
        ],
    });
    let events = events(&[chunk(&json!([{"text": "Für"}]), None), last]);
    let at = events.iter().position(|event| matches!(event, Event::Citation { .. })).unwrap();
    assert!(
        matches!(events[at - 1], Event::Text { .. }) && matches!(events[at + 1], Event::TextSignature { .. })
    );
    let Event::Citation { citation, .. } = &events[at] else { panic!() };
    let page = |url: &str, title: Value, from: u32, to: u32| json!({"url": url, "title": title, "start_index": from, "end_index": to});
    let expected = [
        page("https://a", json!("A"), 0, 3),
        page("https://a", json!("A"), 4, 9),
        page("gs://b", Value::Null, 4, 9),
    ];
    assert_eq!(citation.value, json!(expected));
}

#[test]
fn every_reason_has_its_stop_numbers_included() {
    for (reason, stop) in [
        (json!("STOP"), Stop::End),
        (json!("MAX_TOKENS"), Stop::Length),
        (json!("SAFETY"), Stop::Filtered),
        (json!("MODEL_ARMOR"), Stop::Filtered),
        (json!("MALFORMED_FUNCTION_CALL"), Stop::Malformed),
        (json!("NO_IMAGE"), Stop::Other("NO_IMAGE".to_owned())),
        (json!(1), Stop::End),
        (json!(2), Stop::Length),
        (json!(3), Stop::Filtered),
    ] {
        let reply = whole(&json!({"candidates": [{"finishReason": reason}]}));
        assert_eq!(reply.choices[0].stop, Some(stop));
        assert!(reply.choices[0].parts.is_empty());
    }
}

#[test]
fn a_blocked_prompt_is_an_empty_filtered_answer() {
    let blocked =
        json!({"promptFeedback": {"blockReason": "SAFETY"}, "usageMetadata": {"promptTokenCount": 4}});
    for reply in [whole(&blocked), streamed(std::slice::from_ref(&blocked)).expect("answers")] {
        assert_eq!((reply.choices.len(), &reply.choices[0].stop), (1, &Some(Stop::Filtered)));
        assert!(reply.choices[0].parts.is_empty());
        assert_eq!(reply.extras["promptFeedback"]["blockReason"], "SAFETY");
        assert_eq!(reply.usage.map(|usage| usage.fresh_input), Some(Tokens(4)));
    }
}

#[test]
fn h3_a_stream_without_a_reason_to_stop_was_cut() {
    for chunks in [vec![], vec![chunk(&json!([{"text": "a"}]), None)]] {
        let fault = streamed(&chunks).expect_err("was cut");
        assert_eq!(fault.class, UpstreamClass::Connection);
    }
}

#[test]
fn h1_an_error_in_a_frame_is_a_fault_with_its_own_status_and_the_last_event() {
    let error = json!({"error": {"code": 503, "message": "busy", "status": "UNAVAILABLE"}});
    let events =
        events(&[chunk(&json!([{"text": "a"}]), None), error, chunk(&json!([{"text": "b"}]), Some("STOP"))]);
    let Some(Event::Fault(fault)) = events.last() else { panic!("no fault: {events:?}") };
    assert_eq!((fault.class, fault.status), (UpstreamClass::Overloaded, 503));
    let whole = br#"{"error": {"code": 429, "message": "m", "status": "RESOURCE_EXHAUSTED"}}"#;
    let fault = Gemini.decode(whole, &target("m")).expect_err("fails");
    assert_eq!(fault.class, UpstreamClass::RateLimited);
}

#[test]
fn what_is_not_json_or_not_an_answer_is_garbled() {
    let mut decoder = Gemini.decoder(&target("m"));
    let mut events = Vec::new();
    decoder.on(&frame("{\"candidates\": ["), &mut events);
    decoder.on_end(&mut events);
    let [Event::Fault(fault)] = events.as_slice() else { panic!("not one fault: {events:?}") };
    assert_eq!(fault.class, UpstreamClass::Garbled);
    for body in [&b""[..], b"{}", b"[]", b"3", b"null", b"<html>"] {
        let fault = Gemini.decode(body, &target("m")).expect_err("fails");
        assert!(matches!(fault.class, UpstreamClass::Garbled | UpstreamClass::Connection));
    }
}

#[test]
fn an_array_of_chunks_is_read_as_one_answer() {
    let chunks = json!([chunk(&json!([{"text": "a"}]), None), chunk(&json!([{"text": "b"}]), Some("STOP"))]);
    let reply = whole(&chunks);
    assert_eq!(reply.choices[0].parts, [Part::Text(Text::new("ab"))]);
}

#[test]
fn h9_a_stream_that_was_not_asked_for_is_read_as_one_answer() {
    let [first, last] =
        [("a", None), ("b", Some("STOP"))].map(|(text, stop)| chunk(&json!([{"text": text}]), stop));
    let body = format!("data: {first}\r\n\r\ndata: {last}\r\n\r\n");
    let reply = Gemini.decode(body.as_bytes(), &target("m")).expect("decodes");
    assert_eq!(reply.choices[0].parts, [Part::Text(Text::new("ab"))]);
}

#[test]
fn pictures_and_sound_are_media_and_the_rest_is_kept_whole() {
    let code = json!({"executableCode": {"language": "PYTHON", "code": "1"}, "thoughtSignature": "s"});
    let reply = whole(&chunk(
        &json!([
            {"inlineData": {"mimeType": "image/png", "data": "AA=="}},
            {"inlineData": {"mimeType": "audio/L16;rate=24000", "data": "AA=="}},
            code
        ]),
        Some("STOP"),
    ));
    let parts = &reply.choices[0].parts;
    let Part::Image(image) = &parts[0] else { panic!("no image: {parts:?}") };
    let inline = MediaSource::Inline { media_type: "image/png".to_owned(), data: "AA==".to_owned() };
    assert_eq!(image.source, inline);
    assert!(matches!(&parts[1], Part::Audio(_)));
    let Part::Opaque(opaque) = &parts[2] else { panic!("not opaque: {parts:?}") };
    assert_eq!(opaque.value, code);
}

#[test]
fn metadata_of_a_candidate_is_kept_by_name_and_logprobs_become_openais() {
    let reply = whole(&json!({"candidates": [{
        "content": {"parts": [{"text": "a"}]}, "finishReason": "STOP",
        "groundingMetadata": {"webSearchQueries": ["q"]}, "avgLogprobs": -0.5,
        "logprobsResult": {
            "chosenCandidates": [{"token": "a", "logProbability": -0.25}],
            "topCandidates": [{"candidates": [{"token": "a", "logProbability": -0.25}, {"token": "b"}]}]
        }
    }]}));
    let choice = &reply.choices[0];
    assert_eq!(choice.extras["groundingMetadata"], json!({"webSearchQueries": ["q"]}));
    assert!(choice.extras.contains_key("avgLogprobs"));
    let top = json!([
        {"token": "a", "logprob": -0.25, "bytes": [97]},
        {"token": "b", "logprob": 0.0, "bytes": [98]}
    ]);
    let content = json!([{"token": "a", "logprob": -0.25, "bytes": [97], "top_logprobs": top}]);
    assert_eq!(choice.logprobs, Some(json!({"content": content, "refusal": null})));
}

#[test]
fn several_candidates_keep_their_own_parts_and_stops() {
    let reply = streamed(&[
        json!({"candidates": [{"index": 1, "content": {"parts": [{"text": "b"}]}, "finishReason": "STOP"}]}),
        json!({"candidates": [{"index": 0, "content": {"parts": [{"text": "a"}]}, "finishReason": "MAX_TOKENS"}]}),
    ])
    .expect("answers");
    let stops = reply.choices.iter().map(|choice| choice.stop.clone()).collect::<Vec<_>>();
    assert_eq!(stops, [Some(Stop::Length), Some(Stop::End)]);
}

#[test]
fn a_glance_tells_content_from_preamble_finish_and_fault() {
    for (data, seen) in [
        ("", Glance::Preamble),
        (r#"{"usageMetadata": {"trafficType": "ON_DEMAND"}}"#, Glance::Preamble),
        (r#"{"candidates": [{"content": {"parts": [{"text": "\"finishReason\""}]}}]}"#, Glance::Content),
        (r#"{"candidates": [{"finishReason": "STOP"}]}"#, Glance::Finish),
        (r#"{"promptFeedback": {"blockReason": "SAFETY"}}"#, Glance::Finish),
        (" [{\r\n  \"error\": {}}]", Glance::Fault),
    ] {
        assert_eq!(Gemini.glance(&frame(data)), seen, "{data}");
    }
}
