//! Recorded traffic of providers of OpenAI's dialect, where it is at hand: what this surface renders
//! says what the recording says, by an independent reader, and no request loses a field.

#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "test code: a recording that breaks it should stop it"
)]

use bytes::{Bytes, BytesMut};
use http::HeaderMap;
use serde_json::{Map, Value, json};
use std::fs;
use std::path::PathBuf;
use tollgate_core::call::UsageChunk;
use tollgate_core::fault::UpstreamClass;
use tollgate_core::framing::Framing;
use tollgate_core::json::Tape;
use tollgate_core::provider::{Provider, Target, openai::OpenAi};
use tollgate_core::reply::Event;
use tollgate_core::sse::{Frame, Framer};
use tollgate_core::surface::{Asked, RequestLine, Surface, openai_chat::OpenAiChat};
use tollgate_core::vendor::{self, StreamOptions, StreamedToolIndex};
use tollgate_tests::recordings;
use tollgate_tests::replay::{Answer, Replay};

struct Case {
    path: PathBuf,
    vendor: &'static vendor::Vendor,
    status: u16,
}

const VENDORS: [(&str, &str); 9] = [
    ("openai", "openai"),
    ("azure", "azure"),
    ("deepseek", "deepseek"),
    ("groq", "groq"),
    ("mistral", "mistral"),
    ("ollama", "ollama"),
    ("openrouter", "openrouter"),
    ("xai", "xai"),
    ("gemini", "gemini-openai"),
];

/// Every chat case whose name ends like this; none where the recordings are not at hand.
fn cases(ending: &str) -> Vec<Case> {
    let mut cases = Vec::new();
    for (folder, vendor) in VENDORS {
        for path in recordings::files(folder) {
            let name = path.file_name().unwrap().to_str().unwrap();
            let Some(case) = name.strip_suffix(ending).filter(|case| case.starts_with("chat-")) else {
                continue;
            };
            let meta = fs::read(path.with_file_name(format!("{case}.meta.json"))).unwrap();
            let meta: Value = serde_json::from_slice(&meta).unwrap();
            let status = meta["status"].as_u64().unwrap_or(200) as u16;
            cases.push(Case { path, vendor: vendor::find(vendor).unwrap(), status });
        }
    }
    cases
}

impl Case {
    fn target(&self) -> Target<'static> {
        Target { vendor: self.vendor, model: "asked" }
    }

    /// The request that was recorded with this answer.
    fn request(&self) -> String {
        let name = self.path.file_name().unwrap().to_str().unwrap();
        let case = name.split_once(".response.").unwrap().0;
        fs::read_to_string(self.path.with_file_name(format!("{case}.request.json"))).unwrap()
    }

    fn body(&self) -> Vec<u8> {
        fs::read(&self.path).unwrap()
    }
}

fn asked() -> Asked {
    Asked {
        client: tollgate_core::surface::Client::Usual,
        model: "asked".into(),
        request_id: "req".into(),
        now_secs: 1,
        usage: UsageChunk::Wanted,
        framing: Framing::Events,
        body: Default::default(),
    }
}

/// What an answer says, as far as a client can see.
#[derive(Debug, Default, PartialEq)]
struct Said {
    choices: Vec<Choice>,
    prompt: u64,
    total: u64,
    model: String,
    error: Option<String>,
}

#[derive(Debug, Default, PartialEq)]
struct Choice {
    text: String,
    reasoning: String,
    refusal: String,
    calls: Vec<Call>,
    finish: String,
    logprobs: Vec<Value>,
}

#[derive(Debug, Default, PartialEq)]
struct Call {
    name: String,
    arguments: String,
}

impl Said {
    fn take(&mut self, chunk: &Value) {
        if let Some(error) = chunk.get("error").filter(|error| !error.is_null()) {
            self.error = error["message"].as_str().map(str::to_owned);
        }
        if let Some(model) = chunk["model"].as_str().filter(|model| !model.is_empty()) {
            self.model = model.to_owned();
        }
        if chunk["usage"].is_object() {
            self.prompt = chunk["usage"]["prompt_tokens"].as_u64().unwrap();
            self.total = chunk["usage"]["total_tokens"].as_u64().unwrap();
        }
        for (place, choice) in chunk["choices"].as_array().into_iter().flatten().enumerate() {
            let index = choice["index"].as_u64().map_or(place, |index| index as usize);
            while self.choices.len() <= index {
                self.choices.push(Choice::default());
            }
            self.choices[index].take(choice);
        }
    }

    fn finish(mut self) -> Self {
        for choice in &mut self.choices {
            if choice.finish == "stop" && !choice.calls.is_empty() {
                choice.finish = "tool_calls".into();
            }
            choice
                .calls
                .iter_mut()
                .filter(|call| call.arguments.is_empty())
                .for_each(|call| call.arguments = "{}".into());
        }
        self
    }

    fn of_whole(body: &[u8]) -> Self {
        let mut said = Self::default();
        said.take(&serde_json::from_slice(body).unwrap());
        said.finish()
    }

    fn of_stream(body: &[u8]) -> Self {
        let mut said = Self::default();
        for line in std::str::from_utf8(body).unwrap().lines() {
            if let Some(chunk) = line.strip_prefix("data: ").filter(|data| data.starts_with('{')) {
                said.take(&serde_json::from_str(chunk).unwrap());
            }
        }
        said.finish()
    }
}

impl Choice {
    fn take(&mut self, choice: &Value) {
        let message = if choice["delta"].is_object() { &choice["delta"] } else { &choice["message"] };
        let text = |key: &str| message[key].as_str().unwrap_or_default();
        self.text.push_str(text("content"));
        self.reasoning.push_str(if text("reasoning_content").is_empty() {
            text("reasoning")
        } else {
            text("reasoning_content")
        });
        self.refusal.push_str(text("refusal"));
        for (place, call) in message["tool_calls"].as_array().into_iter().flatten().enumerate() {
            let at = call["index"].as_u64().map_or(place, |index| index as usize);
            while self.calls.len() <= at {
                self.calls.push(Call::default());
            }
            self.calls[at].name.push_str(call["function"]["name"].as_str().unwrap_or_default());
            self.calls[at].arguments.push_str(call["function"]["arguments"].as_str().unwrap_or_default());
        }
        if let (true, Some(reason)) = (self.finish.is_empty(), choice["finish_reason"].as_str()) {
            self.finish = reason.to_owned();
        }
        self.logprobs.extend(choice["logprobs"]["content"].as_array().into_iter().flatten().cloned());
    }
}

#[test]
fn a_recorded_answer_is_rendered_with_nothing_lost() {
    for case in cases(".response.json").iter().filter(|case| case.status == 200) {
        let body = case.body();
        let reply = OpenAi.decode(&body, &case.target()).unwrap();
        let rendered = OpenAiChat.render(&reply, &asked());
        assert_eq!(Said::of_whole(&rendered), Said::of_whole(&body), "{}", case.path.display());
    }
}

#[test]
fn a_recorded_error_is_told_in_its_own_words() {
    for case in cases(".response.json").iter().filter(|case| case.status != 200) {
        let body = case.body();
        let fault = OpenAi.fault(case.status, &HeaderMap::new(), &body, &case.target());
        let raw: Value = serde_json::from_slice(&body).unwrap();
        assert_eq!(Some(fault.message.as_str()), raw["error"]["message"].as_str(), "{}", case.path.display());
        assert_eq!(fault.class == UpstreamClass::RateLimited, case.status == 429, "{}", case.path.display());
        let too_long = case.path.to_str().unwrap().contains("length-exceeded") && case.status == 400;
        assert_eq!(fault.class == UpstreamClass::ContextLength, too_long, "{}", case.path.display());
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

fn events(case: &Case, frames: &[Frame]) -> Vec<Event> {
    let (mut decoder, mut events) = (OpenAi.decoder(&case.target()), Vec::new());
    frames.iter().for_each(|frame| decoder.on(frame, &mut events));
    decoder.on_end(&mut events);
    events
}

#[test]
fn a_recorded_stream_is_rendered_with_nothing_lost() {
    for case in cases(".response.sse") {
        let body = case.body();
        let mut renderer = OpenAiChat.renderer(asked());
        let mut out = BytesMut::new();
        let events = events(&case, &frames(&[&body]));
        events.iter().for_each(|event| renderer.on(event, &mut out));
        let said = Said::of_stream(&body);
        assert_eq!(Said::of_stream(&out), said, "{}", case.path.display());
        assert_eq!(out.ends_with(b"data: [DONE]\n\n"), said.error.is_none(), "{}", case.path.display());
    }
}

#[test]
fn h4_split_at_any_byte_changes_nothing() {
    for case in cases(".response.sse") {
        let body = case.body();
        let whole = frames(&[&body]);
        let expected = events(&case, &whole);
        for cut in 0..body.len() {
            let (head, tail) = body.split_at(cut);
            let split = frames(&[head, tail]);
            // Equal frames give equal events: decoding again proves nothing more.
            assert_eq!(split, whole, "{} at {cut}", case.path.display());
        }
        let bytes: Vec<&[u8]> = body.chunks(1).collect();
        assert_eq!(events(&case, &frames(&bytes)), expected, "{}", case.path.display());
    }
}

#[test]
fn usage_found_at_a_glance_is_the_decoders() {
    for case in cases(".response.sse") {
        let mut found = None;
        for frame in frames(&[&case.body()]) {
            found = OpenAi.usage(frame.data(), found.as_ref(), &case.target()).or(found);
        }
        let all = events(&case, &frames(&[&case.body()]));
        let decoded = all
            .into_iter()
            .rev()
            .find_map(|event| if let Event::Usage(usage) = event { Some(*usage) } else { None });
        assert_eq!(found, decoded, "{}", case.path.display());
    }
}

/// A request as both sides would agree to read it: nulls are absent, one text is a string, renamed
/// fields have one name.
fn canonical(value: Value) -> Value {
    match value {
        Value::Array(list) => match list.as_slice() {
            [Value::Object(only)] if only.len() == 2 && only.get("type") == Some(&json!("text")) => {
                only["text"].clone()
            }
            _ => Value::Array(list.into_iter().map(canonical).collect()),
        },
        Value::Object(fields) => {
            let rename = |key: String| match key.as_str() {
                "max_tokens" => "max_completion_tokens".to_owned(),
                "random_seed" => "seed".to_owned(),
                _ => key,
            };
            let fields: Map<String, Value> = fields
                .into_iter()
                .filter(|(_, value)| !value.is_null() && *value != json!([]))
                .map(|(key, value)| (rename(key), canonical(value)))
                .collect();
            Value::Object(fields)
        }
        other @ (Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_)) => other,
    }
}

#[test]
fn a_recorded_request_keeps_every_field() {
    for case in cases(".request.json") {
        let body = case.body();
        let place = case.path.display();
        let envelope = OpenAiChat
            .inspect(&Tape::parse(&body).unwrap(), &RequestLine::default())
            .unwrap_or_else(|fault| panic!("{place}: {fault:?}"));
        let call = OpenAiChat
            .parse(&body, &RequestLine::default())
            .unwrap_or_else(|fault| panic!("{place}: {fault:?}"));
        assert_eq!((&envelope.model, envelope.delivery), (&call.model, call.delivery), "{place}");
        let target = Target { model: &call.model, ..case.target() };
        let encoded = OpenAi.encode(&call, &target).unwrap();
        assert_eq!(encoded.lost, Vec::<String>::new(), "{place}");
        let sent = canonical(serde_json::from_slice(&encoded.body).unwrap());
        let mut raw = canonical(serde_json::from_slice(&body).unwrap());
        // Said by leaving it out.
        let fields = raw.as_object_mut().unwrap();
        if fields.get("stream") == Some(&json!(false)) || fields.get("stream").is_none() {
            fields.remove("stream");
        } else if sent.get("stream_options").is_some() {
            fields.insert("stream_options".into(), json!({"include_usage": true}));
        }
        if fields.get("logprobs") == Some(&json!(false)) {
            fields.remove("logprobs");
        }
        for tool in fields.get_mut("tools").and_then(Value::as_array_mut).into_iter().flatten() {
            tool.as_object_mut().unwrap().entry("type").or_insert_with(|| "function".into());
        }
        for message in fields["messages"].as_array_mut().unwrap() {
            for call in message.get_mut("tool_calls").and_then(Value::as_array_mut).into_iter().flatten() {
                call.as_object_mut().unwrap().remove("index");
            }
        }
        assert_eq!(sent, raw, "{place}");
    }
}

const SERVED: &str = "served-by-another-name";

/// The vendor behind the model that a recorded request asks for.
fn replay(case: &Case, request: &str) -> Replay {
    let request: Value = serde_json::from_str(request).unwrap();
    Replay::new(case.vendor.name, SERVED).alias(request["model"].as_str().unwrap())
}

const ASK: &str = r#""stream_options":{"include_usage":true},"#;

/// Whether the gateway asks for usage where this client does not.
fn is_asked_for_the_client(case: &Case, request: &str) -> bool {
    let request: Value = serde_json::from_str(request).unwrap();
    case.vendor.quirks.stream_options == StreamOptions::Known
        && request["stream"] == true
        && request["stream_options"]["include_usage"] != true
}

/// What was sent, with the model's name put back and the question for usage taken out, is what the
/// client sent.
fn assert_sent(case: &Case, sent: &[u8], request: &str, place: &str) {
    let parsed: Value = serde_json::from_str(request).unwrap();
    let mut sent = std::str::from_utf8(sent).unwrap().to_owned();
    if is_asked_for_the_client(case, request) {
        assert!(parsed.get("stream_options").is_none(), "{place}");
        assert_eq!(sent.matches(ASK).count(), 1, "{place}");
        sent = sent.replace(ASK, "");
    }
    let served = format!("\"{SERVED}\"");
    assert_eq!(sent.matches(&served).count(), 1, "{place}");
    assert_eq!(sent.replace(&served, &parsed["model"].to_string()), request, "{place}");
}

#[test]
fn a_recorded_exchange_passes_through_byte_for_byte() {
    for ending in [".response.json", ".response.sse"] {
        for case in cases(ending).iter().filter(|case| case.status == 200) {
            let (body, request, place) = (case.body(), case.request(), case.path.display().to_string());
            let answer = if ending == ".response.sse" {
                Answer::stream(body.clone())
            } else {
                Answer::whole(200, body.clone())
            };
            let shown = if is_asked_for_the_client(case, &request) {
                without_usage_chunk(&body)
            } else {
                body.clone()
            };
            for size in [1, 7, 1_000, body.len()] {
                let seen = replay(case, &request).run(request.clone(), &answer.clone().cut(size));
                assert!(seen.ended && seen.status == 200, "{place}: {seen:?}");
                assert_sent(case, &seen.sent[0].body, &request, &place);
                check_passed(case, ending, &shown, &seen.body);
            }
        }
    }
}

/// What a client sees that has not asked for usage.
fn without_usage_chunk(body: &[u8]) -> Vec<u8> {
    let text = std::str::from_utf8(body).unwrap();
    let is_shown = |frame: &&str| {
        let data = frame.trim().strip_prefix("data:").unwrap_or_default();
        let chunk: Value = serde_json::from_str(data).unwrap_or_default();
        !(chunk["usage"].is_object() && chunk["choices"].as_array().is_none_or(Vec::is_empty))
    };
    let blank = if text.contains("\r\n\r\n") { "\r\n\r\n" } else { "\n\n" };
    text.split_inclusive(blank).filter(is_shown).collect::<String>().into_bytes()
}

fn check_passed(case: &Case, ending: &str, body: &[u8], passed: &[u8]) {
    let place = case.path.display();
    if ending == ".response.json" {
        return assert_eq!(passed, body, "{place}");
    }
    let due = Said::of_stream(body);
    match (&due.error, case.vendor.quirks.tool_index) {
        (None, StreamedToolIndex::Sent) => assert_eq!(passed, body, "{place}"),
        // Tool calls are given the index that clients need; nothing else is touched.
        (None, StreamedToolIndex::Missing) => {
            assert_eq!(Said::of_stream(passed), due, "{place}");
            let lines = |bytes: &[u8]| {
                let text = std::str::from_utf8(bytes).unwrap();
                let plain = text.lines().filter(|line| !line.contains("\"tool_calls\""));
                plain.map(str::to_owned).collect::<Vec<_>>()
            };
            assert_eq!(lines(passed), lines(body), "{place}");
        }
        // The upstream gave up on the way: what it said before stands, then it is told.
        (Some(error), _) => {
            let told = Said::of_stream(passed);
            assert!(told.error.as_ref().unwrap().contains(error.as_str()), "{place}: {:?}", told.error);
            assert_eq!(told.choices, due.choices, "{place}");
            assert!(!passed.ends_with(b"[DONE]\n\n"), "{place}");
        }
    }
}

#[test]
fn a_recorded_refusal_of_the_request_comes_down_with_its_status_and_words() {
    for case in cases(".response.json").iter().filter(|case| case.status == 400) {
        let (body, request, place) = (case.body(), case.request(), case.path.display().to_string());
        let seen = replay(case, &request).run(request.clone(), &Answer::whole(400, body.clone()));
        assert_sent(case, &seen.sent[0].body, &request, &place);
        let (told, raw) = (Said::of_whole(&seen.body), Said::of_whole(&body));
        assert_eq!((seen.status, told.error), (400, raw.error), "{place}");
    }
}
