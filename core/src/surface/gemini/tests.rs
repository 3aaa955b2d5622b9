use super::*;
use crate::call::{
    Image, MediaSource, Opaque, Operation, Part, Signature, Text, Thinking, ToolCall, UsageChunk,
};
use crate::fault::{UpstreamClass, UpstreamFault};
use crate::reply::{Choice, Event, Start, Stop};
use crate::surface::ModelPlace;
use crate::units::Tokens;
use crate::usage::{Inclusive, Usage, UsageParts};
use bytes::BytesMut;
use serde_json::{Value, json};

fn asked(framing: Framing) -> Asked {
    Asked {
        client: crate::surface::Client::Usual,
        model: "m".into(),
        request_id: "req".into(),
        now_secs: 7,
        usage: UsageChunk::Wanted,
        framing,
        body: Default::default(),
    }
}

fn line() -> RequestLine {
    RequestLine { model: Some("m-1".to_owned()), ..RequestLine::default() }
}

fn inspected(body: &str) -> Result<Envelope, Fault> {
    STREAM.inspect(&Tape::parse(body.as_bytes()).unwrap(), &line())
}

fn streamed(events: &[Event], framing: Framing) -> String {
    let (mut renderer, mut out) = (STREAM.renderer(asked(framing)), BytesMut::new());
    events.iter().for_each(|event| renderer.on(event, &mut out));
    String::from_utf8(out.to_vec()).unwrap()
}

fn chunks(text: &str) -> Vec<Value> {
    let frames = text.split_terminator("\r\n\r\n");
    frames.map(|frame| serde_json::from_str(frame.strip_prefix("data: ").unwrap()).unwrap()).collect()
}

fn signature(origin: Dialect, value: &str) -> Signature {
    Signature { origin, value: value.to_owned() }
}

#[test]
fn the_query_says_what_form_a_stream_has() {
    for query in ["alt=sse", "key=x&alt=sse", "$alt=SSE", "%24alt=sse"] {
        assert_eq!(STREAM.framing(Some(query)), Framing::Events, "{query}");
    }
    for query in [None, Some("alt=json"), Some("salt=sse"), Some("%24alt=json%3Benum-encoding%3Dint")] {
        assert_eq!(STREAM.framing(query), Framing::Array, "{query:?}");
    }
    assert_eq!(WHOLE.framing(None), Framing::Events);
    assert_eq!(WHOLE.operation(), Operation::Chat);
}

#[test]
fn an_envelope_is_read_from_path_and_body() {
    let body = r#"{"fallbacks":["a/b"],"contents":[{"parts":[{"text":"hi"},{"inlineData":{"mimeType":"image/png","data":"aGk="}}]}],
        "generationConfig":{"max_output_tokens":"9","candidateCount":2}}"#;
    let envelope = inspected(body).unwrap();
    assert_eq!((envelope.model.as_str(), envelope.model_place), ("m-1", ModelPlace::Path));
    assert_eq!(envelope.delivery, Delivery::Stream(UsageChunk::Wanted));
    assert_eq!((envelope.max_tokens, envelope.n, envelope.media.images), (Some(Tokens(9)), 2, 1));
    assert_eq!(envelope.fallbacks, ["a/b"]);
    assert_eq!(envelope.cuts.len(), 1);
    assert_eq!(&body[envelope.places.caps[0].span.clone()], "\"9\"");
    assert_eq!(envelope.places.uncapped, None);
}

#[test]
fn a_cap_can_be_written_wherever_there_is_none() {
    for (body, capped) in [
        (r#"{"contents":[{}]}"#, r#"{"generationConfig":{"maxOutputTokens":5},"contents":[{}]}"#),
        (
            r#"{"contents":[{}],"generationConfig":null}"#,
            r#"{"contents":[{}],"generationConfig":{"maxOutputTokens":5}}"#,
        ),
        (
            r#"{"generation_config":{},"contents":[{}]}"#,
            r#"{"generation_config":{"maxOutputTokens":5},"contents":[{}]}"#,
        ),
        (
            r#"{"generationConfig":{"topK":1},"contents":[{}]}"#,
            r#"{"generationConfig":{"maxOutputTokens":5,"topK":1},"contents":[{}]}"#,
        ),
        (
            r#"{"generationConfig":{"maxOutputTokens":null},"contents":[{}]}"#,
            r#"{"generationConfig":{"maxOutputTokens":5},"contents":[{}]}"#,
        ),
    ] {
        let place = inspected(body).unwrap().places.uncapped.unwrap();
        let mut written = body.to_owned();
        written.replace_range(place.span, &format!("{}5{}", place.before, place.after));
        assert_eq!(written, capped);
    }
}

#[test]
fn proofs_of_others_do_not_go_to_google() {
    let shown = proof::shown(&signature(Dialect::Anthropic, "SIG"));
    let body = format!(
        r#"{{"contents":[{{"role":"model","parts":[{{"text":"a","thoughtSignature":"{shown}"}},{{"text":"b","thoughtSignature":"c2ln"}}]}}]}}"#
    );
    let edits = inspected(&body).unwrap().places.always;
    assert_eq!(edits.len(), 1);
    assert_eq!(&body[edits[0].span.clone()], format!("\"{shown}\""));
}

#[test]
fn bad_input_is_refused_by_its_path() {
    for (body, path) in [
        ("[]", "body"),
        ("{}", "contents"),
        (r#"{"contents":[]}"#, "contents"),
        (r#"{"contents":[{"role":"assistant"}]}"#, "contents[0].role"),
        (r#"{"contents":[{"parts":[{"text":"a"},{"text":7}]}]}"#, "contents[0].parts[1].text"),
        (
            r#"{"contents":[{"parts":[{"inlineData":{"mimeType":"a/b"}}]}]}"#,
            "contents[0].parts[0].inlineData.data",
        ),
        (
            r#"{"contents":[{}],"tools":[{"functionDeclarations":[{}]}]}"#,
            "tools[0].functionDeclarations[0].name",
        ),
        (r#"{"contents":[{}],"systemInstruction":"no"}"#, "systemInstruction"),
        (r#"{"contents":[{}],"systemInstruction":{},"system_instruction":{}}"#, "systemInstruction"),
    ] {
        assert_eq!(inspected(body).unwrap_err().param.as_deref(), Some(path), "{body}");
    }
}

#[test]
fn a_whole_answer_has_its_parts_in_order_and_counts_in_googles_terms() {
    let text = Text { signature: Some(signature(Dialect::Gemini, "c2ln")), ..Text::new("hi") };
    let thinking = Thinking { text: "hm".into(), signature: None, sealed: None };
    let call =
        ToolCall { id: "i".into(), name: "f".into(), arguments: String::new(), signature: None, cache: None };
    let image = Image {
        source: MediaSource::Inline { media_type: "image/png".into(), data: "aGk=".into() },
        detail: None,
        cache: None,
    };
    let block = Opaque { origin: Dialect::Anthropic, value: json!({"type": "server_tool_use"}) };
    let parts = vec![
        Part::Thinking(thinking),
        Part::Text(text),
        Part::ToolCall(call),
        Part::Image(image),
        Part::Opaque(block),
    ];
    let counts = Inclusive {
        prompt: Tokens(30),
        cached: Tokens(10),
        cache_write: Tokens::ZERO,
        completion: Tokens(9),
    };
    let usage = Usage {
        parts: UsageParts {
            reasoning: Some(Tokens(4)),
            tool_input: Some(Tokens(5)),
            ..UsageParts::default()
        },
        ..Usage::from(counts)
    };
    let choice = Choice { parts, stop: Some(Stop::ToolUse), ..Choice::default() };
    let reply = Reply { choices: vec![choice], usage: Some(usage), ..Reply::default() };
    let told: Value = serde_json::from_slice(&WHOLE.render(&reply, &asked(Framing::Events))).unwrap();
    let kept = json!({"tollgate": {"dialect": "anthropic", "block": {"type": "server_tool_use"}}});
    assert_eq!(
        told,
        json!({
            "candidates": [{
                "content": {"parts": [
                    {"text": "hm", "thought": true},
                    {"text": "hi", "thoughtSignature": "c2ln"},
                    {"functionCall": {"id": "i", "name": "f", "args": {}}},
                    {"inlineData": {"mimeType": "image/png", "data": "aGk="}},
                    {"text": "", "partMetadata": kept},
                ], "role": "model"},
                "finishReason": "STOP",
                "index": 0,
            }],
            "usageMetadata": {
                "promptTokenCount": 25, "candidatesTokenCount": 5, "totalTokenCount": 39,
                "cachedContentTokenCount": 10, "thoughtsTokenCount": 4, "toolUsePromptTokenCount": 5,
            },
            "modelVersion": "m",
            "responseId": "req",
        })
    );
}

fn start() -> Event {
    Event::Start(Start { id: Some("id".into()), model: Some("served".into()), ..Start::default() })
}

fn text(text: &str) -> Event {
    Event::Text { choice: 0, text: text.into() }
}

fn tool(call: u32, name: &str) -> Event {
    Event::ToolStart { choice: 0, call, id: format!("c{call}"), name: name.into(), signature: None }
}

fn arguments(call: u32, text: &str) -> Event {
    Event::ToolArguments { choice: 0, call, text: text.into() }
}

fn stop(stop: Stop) -> Event {
    Event::Stop { choice: 0, stop, sequence: None }
}

#[test]
fn h5_calls_are_told_whole_although_they_come_in_pieces_that_interleave() {
    let events = [
        start(),
        text("a"),
        tool(0, "f"),
        tool(1, "g"),
        arguments(1, "{\"y\":"),
        arguments(0, "{\"x\":1}"),
        arguments(1, "2}"),
        stop(Stop::ToolUse),
        Event::Usage(Box::new(Usage { output: Tokens(3), ..Usage::default() })),
        Event::End,
    ];
    let told = chunks(&streamed(&events, Framing::Events));
    let part = |at: usize| told[at]["candidates"][0]["content"]["parts"].clone();
    assert_eq!(told.len(), 3);
    assert_eq!(part(0), json!([{"text": "a"}]));
    assert_eq!(
        part(1),
        json!([
            {"functionCall": {"id": "c0", "name": "f", "args": {"x": 1}}},
            {"functionCall": {"id": "c1", "name": "g", "args": {"y": 2}}},
        ])
    );
    assert_eq!(told[0]["candidates"][0].get("finishReason"), None, "nothing ends before it does");
    assert_eq!(told[2]["candidates"][0]["finishReason"], "STOP");
    assert_eq!(told[2]["usageMetadata"]["candidatesTokenCount"], 3);
    assert_eq!((&told[0]["modelVersion"], &told[0]["responseId"]), (&json!("served"), &json!("id")));
}

#[test]
fn an_array_is_one_json_text_whatever_happens() {
    let fault = UpstreamFault::new(UpstreamClass::Overloaded, 529, "busy");
    for events in [
        vec![start(), text("a"), text("b"), stop(Stop::End), Event::End],
        vec![start(), Event::End],
        vec![start(), text("a"), Event::Fault(Box::new(fault.clone()))],
        vec![Event::Fault(Box::new(fault))],
    ] {
        let text = streamed(&events, Framing::Array);
        let list: Vec<Value> = serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error}: {text}"));
        let failed = matches!(events.last(), Some(Event::Fault(_)));
        assert_eq!(list.last().unwrap().get("error").is_some(), failed, "{text}");
    }
}

#[test]
fn what_comes_after_a_call_comes_after_it() {
    let events = [start(), tool(0, "f"), arguments(0, "{}"), text("then"), stop(Stop::End), Event::End];
    let told = chunks(&streamed(&events, Framing::Events));
    assert!(told[0]["candidates"][0]["content"]["parts"][0].get("functionCall").is_some());
    assert_eq!(told[1]["candidates"][0]["content"]["parts"][0]["text"], "then");
}

#[test]
fn every_answer_of_several_is_ended_and_usage_is_told_once() {
    let second = |text: &str| Event::Text { choice: 1, text: text.into() };
    let ends = |choice| Event::Stop { choice, stop: Stop::Length, sequence: None };
    let events =
        [start(), text("a"), second("b"), ends(0), ends(1), Event::Usage(Box::default()), Event::End];
    let told = chunks(&streamed(&events, Framing::Events));
    let ended: Vec<_> =
        told.iter().filter(|chunk| chunk["candidates"][0].get("finishReason").is_some()).collect();
    assert_eq!(
        ended.iter().map(|chunk| chunk["candidates"][0]["index"].as_u64().unwrap()).collect::<Vec<_>>(),
        [0, 1]
    );
    assert_eq!(told.iter().filter(|chunk| chunk.get("usageMetadata").is_some()).count(), 1);
}

#[test]
fn proofs_come_back_as_they_were_given() {
    let signed = signature(Dialect::Anthropic, "SIG==");
    let events = [
        start(),
        Event::Thinking { choice: 0, text: "hm".into() },
        Event::ThinkingSignature { choice: 0, signature: signed.clone() },
        Event::SealedThinking { choice: 0, sealed: signature(Dialect::Anthropic, "SEALED") },
        text("so"),
        stop(Stop::End),
        Event::End,
    ];
    let told = chunks(&streamed(&events, Framing::Events));
    let parts =
        told.iter().flat_map(|chunk| chunk["candidates"][0]["content"]["parts"].as_array().unwrap().clone());
    let history = json!({"contents": [
        {"role": "user", "parts": [{"text": "x"}]},
        {"role": "model", "parts": parts.collect::<Vec<_>>()},
    ]});
    let call = STREAM.parse(history.to_string().as_bytes(), &line()).unwrap();
    let thoughts: Vec<_> = call.messages[1]
        .parts
        .iter()
        .filter_map(|part| if let Part::Thinking(thinking) = part { Some(thinking) } else { None })
        .collect();
    assert_eq!((thoughts[0].text.as_str(), &thoughts[0].signature), ("hm", &Some(signed)));
    assert_eq!(thoughts[1].sealed, Some(signature(Dialect::Anthropic, "SEALED")));
}

#[test]
fn log_probabilities_and_their_mean_are_told() {
    let entry = |token: &str, logprob: f64| json!({"token": token, "logprob": logprob, "top_logprobs": [{"token": token, "logprob": logprob}]});
    let logprobs = json!({"content": [entry("a", -1.0), entry("b", -3.0)]});
    let choice = Choice { logprobs: Some(logprobs), ..Choice::default() };
    let reply = Reply { choices: vec![choice], ..Reply::default() };
    let told: Value = serde_json::from_slice(&WHOLE.render(&reply, &asked(Framing::Events))).unwrap();
    let candidate = &told["candidates"][0];
    assert_eq!(candidate["avgLogprobs"], -2.0);
    assert_eq!(
        candidate["logprobsResult"]["chosenCandidates"][1],
        json!({"token": "b", "logProbability": -3.0})
    );
    assert_eq!(candidate["logprobsResult"]["topCandidates"][0]["candidates"][0]["token"], "a");
}

#[test]
fn prompts_are_counted_by_their_texts() {
    let body = br#"{"system_instruction":{"parts":{"text":"rules"}},"contents":[{"parts":[{"text":"hi"},{"functionCall":{"name":"f","args":{"a":1}}}]}],
        "tools":[{"functionDeclarations":[{"name":"g"}]}]}"#;
    let mut texts = Vec::new();
    let besides = STREAM.prompt_text(body, &mut |text| texts.push(text.to_owned()));
    assert_eq!(texts, ["rules", "hi", "f", r#"{"a":1}"#, r#"{"name":"g"}"#]);
    assert_eq!(besides.frame, Tokens(14));
}
