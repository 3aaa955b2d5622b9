//! Recorded Responses, where they are at hand: they pass unchanged both ways, and are understood by
//! providers that have none.

#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test fails by panicking")]

use bytes::Bytes;
use serde_json::{Value, json};
use std::fs;
use tollgate_core::provider::{Provider, Target, openai_responses::OpenAiResponses};
use tollgate_core::reply::Event;
use tollgate_core::sse::{Frame, Framer};
use tollgate_core::vendor;
use tollgate_tests::recordings;
use tollgate_tests::replay::{Answer, Replay};
use tollgate_tests::said;

struct Case {
    name: String,
    /// The vendor it was recorded of.
    vendor: &'static str,
    status: u16,
    request: String,
    body: Vec<u8>,
    streamed: bool,
}

const VENDORS: [&str; 6] = ["openai", "azure", "deepseek", "groq", "openrouter", "xai"];

fn cases() -> Vec<Case> {
    let mut cases = Vec::new();
    for vendor in VENDORS {
        for path in recordings::files(vendor) {
            let name = path.file_name().unwrap().to_str().unwrap();
            let Some((case, form)) = name.split_once(".response.") else { continue };
            if !case.starts_with("responses-") {
                continue;
            }
            let beside =
                |end: &str| fs::read_to_string(path.with_file_name(format!("{case}.{end}"))).unwrap();
            let meta: Value = serde_json::from_str(&beside("meta.json")).unwrap();
            cases.push(Case {
                name: format!("{vendor}/{case}"),
                vendor,
                status: u16::try_from(meta["status"].as_u64().unwrap()).unwrap(),
                request: beside("request.json"),
                body: fs::read(&path).unwrap(),
                streamed: form == "sse",
            });
        }
    }
    cases
}

impl Case {
    fn answer(&self) -> Answer {
        if self.streamed {
            Answer::stream(self.body.clone())
        } else {
            Answer::whole(self.status, self.body.clone())
        }
    }

    fn model(&self) -> String {
        let request: Value = serde_json::from_str(&self.request).unwrap();
        request["model"].as_str().unwrap().to_owned()
    }
}

#[test]
fn a_recorded_exchange_passes_through_byte_for_byte() {
    for case in cases() {
        for kind in [case.vendor, "openai-responses"] {
            for size in [1, 7, 1_000, case.body.len()] {
                let replay = Replay::new(kind, &case.model());
                let seen = replay.run_at("/v1/responses", case.request.clone(), &case.answer().cut(size));
                let place = format!("{} by {kind} in pieces of {size}", case.name);
                assert_eq!(seen.sent[0].uri.path(), "/base/responses", "{place}");
                assert_eq!(seen.sent[0].body, case.request, "{place}");
                assert_eq!(seen.status, case.status, "{place}");
                if case.status == 200 {
                    assert!(seen.ended, "{place}");
                    assert_eq!(seen.body, case.body, "{place}");
                } else {
                    let words = |body: &[u8]| {
                        let body: Value = serde_json::from_slice(body).unwrap();
                        body["error"]["message"].clone()
                    };
                    assert_eq!(words(&seen.body), words(&case.body), "{place}");
                }
            }
        }
    }
}

fn frames(pieces: &[&[u8]]) -> Vec<Frame> {
    let (mut framer, mut frames) = (Framer::new(), Vec::new());
    for piece in pieces {
        framer.push(Bytes::copy_from_slice(piece), &mut frames).unwrap();
    }
    frames.extend(framer.finish());
    frames
}

#[test]
fn usage_found_at_a_glance_is_the_decoders_and_the_readers() {
    let target = Target { vendor: vendor::find("openai-responses").unwrap(), model: "m" };
    for case in cases().into_iter().filter(|case| case.status == 200) {
        let said = said::responses(&case.body);
        let found = if case.streamed {
            let frames = frames(&[&case.body]);
            let (mut decoder, mut events) = (OpenAiResponses.decoder(&target), Vec::new());
            frames.iter().for_each(|frame| decoder.on(frame, &mut events));
            decoder.on_end(&mut events);
            let decoded = events
                .into_iter()
                .rev()
                .find_map(|event| if let Event::Usage(usage) = event { Some(*usage) } else { None });
            let found = frames.iter().fold(None, |found, frame| {
                OpenAiResponses.usage(frame.data(), found.as_ref(), &target).or(found)
            });
            assert_eq!(found, decoded, "{}", case.name);
            found
        } else {
            OpenAiResponses.usage(&case.body, None, &target)
        };
        let found = found.unwrap();
        assert_eq!(Some(found.prompt().get()), said.prompt, "{}", case.name);
        assert_eq!(Some(found.output.get()), said.output, "{}", case.name);
    }
}

const CHAT: &str = r#"{"id":"c","object":"chat.completion","model":"m","choices":[{"index":0,"message":{"role":"assistant","content":"ok"},"finish_reason":"stop"}]}"#;
const MESSAGES: &str = r#"{"id":"m","type":"message","role":"assistant","model":"m","content":[{"type":"text","text":"ok"}],"stop_reason":"end_turn","usage":{"input_tokens":1,"output_tokens":1}}"#;
const CONTENTS: &str = r#"{"candidates":[{"content":{"parts":[{"text":"ok"}],"role":"model"},"finishReason":"STOP","index":0}]}"#;

/// What a provider of another kind is sent, by the names it has for it.
struct Other {
    kind: &'static str,
    answer: &'static str,
    tools: fn(&Value) -> usize,
}

const OTHERS: [Other; 4] = [
    Other { kind: "together", answer: CHAT, tools: |sent| count(&sent["tools"]) },
    // One that says it has no Responses.
    Other { kind: "openai", answer: CHAT, tools: |sent| count(&sent["tools"]) },
    Other { kind: "anthropic", answer: MESSAGES, tools: |sent| count(&sent["tools"]) },
    Other {
        kind: "gemini",
        answer: CONTENTS,
        tools: |sent| count(&sent["tools"][0]["functionDeclarations"]),
    },
];

fn count(list: &Value) -> usize {
    list.as_array().map_or(0, Vec::len)
}

#[test]
fn a_recorded_request_is_understood_by_the_others() {
    for case in cases() {
        for Other { kind, answer, tools } in OTHERS {
            let place = format!("{} to {kind}", case.name);
            let asked: Value = serde_json::from_str(&case.request).unwrap();
            let path = if answer == CHAT { "/chat/completions" } else { "" };
            let answer = Answer::whole(200, answer).at(path);
            let seen =
                Replay::new(kind, &case.model()).run_at("/v1/responses", case.request.clone(), &answer);
            if kind == "gemini" && case.request.contains("\"file_url\"") {
                // It fetches nothing, and says where it would have to.
                let told: Value = serde_json::from_slice(&seen.body).unwrap();
                assert_eq!(
                    (seen.status, &told["error"]["param"]),
                    (400, &json!("input[3].output[0]")),
                    "{place}"
                );
                continue;
            }
            assert_eq!(seen.status, 200, "{place}: {:?}", seen.body);
            let told = said::responses(&seen.body);
            assert_eq!(told.choices[0].text, "ok", "{place}");
            let sent: Value = serde_json::from_slice(&seen.sent.last().unwrap().body).unwrap();
            let functions = asked["tools"].as_array().into_iter().flatten();
            let functions = functions.filter(|tool| tool["type"] == "function").count();
            assert!((functions..=functions + 1).contains(&tools(&sent)), "{place}: {sent}");
        }
    }
}

#[test]
fn who_has_no_responses_is_asked_once_and_not_again() {
    let replay = Replay::new("openai", "m-1");
    let body = json!({"model": "m-1", "input": "hi"}).to_string();
    let seen = replay.run_at("/v1/responses", body, &Answer::whole(200, CHAT).at("/chat/completions"));
    let paths: Vec<_> = seen.sent.iter().map(|sent| sent.uri.path()).collect();
    assert_eq!((paths, seen.status), (vec!["/base/responses", "/base/chat/completions"], 200));
    assert_eq!(seen.headers["x-tollgate-attempts"], "1");
}

#[test]
fn who_answers_in_chat_whatever_the_path_is_understood() {
    let chunk = |delta: Value, finish: Value| json!({"id": "c", "object": "chat.completion.chunk", "model": "m", "choices": [{"index": 0, "delta": delta, "finish_reason": finish}]});
    let (first, last) =
        (chunk(json!({"role": "assistant", "content": "ok"}), Value::Null), chunk(json!({}), json!("stop")));
    let stream = format!("data: {first}\n\ndata: {last}\n\ndata: [DONE]\n\n");
    for (asked, answer) in [
        (false, Answer::whole(200, CHAT)),
        (true, Answer::stream(stream.clone())),
        (true, Answer::stream(stream).cut(7)),
    ] {
        let body = json!({"model": "m-1", "input": "hi", "stream": asked}).to_string();
        let seen = Replay::new("openai", "m-1").run_at("/v1/responses", body, &answer);
        assert_eq!((seen.status, seen.ended), (200, true), "{:?}", seen.body);
        assert_eq!(said::responses(&seen.body).choices[0].text, "ok", "{:?}", seen.body);
    }
}

#[test]
fn a_model_that_answers_in_responses_only_is_reached_so_from_chat() {
    let answer = json!({"id": "resp_1", "object": "response", "status": "completed", "error": null, "output": [
        {"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": "ok", "annotations": []}]}],
        "usage": {"input_tokens": 3, "output_tokens": 1, "total_tokens": 4}});
    let mut replay = Replay::new("openai", "gpt-5-pro");
    replay.name = "openai";
    let body = json!({"model": "gpt-5-pro", "messages": [{"role": "user", "content": "hi"}]}).to_string();
    let seen = replay.run(body, &Answer::whole(200, answer.to_string()));
    assert_eq!(seen.sent[0].uri.path(), "/base/responses");
    let told = said::openai(&seen.body);
    assert_eq!((told.choices[0].text.as_str(), told.prompt), ("ok", Some(3)));
}
