//! Recorded answers of Gemini and Vertex, read by the provider and by a reader so simple that it can
//! be checked by eye. The recordings stand beside the checkout and are no part of the project; where
//! they are absent, these tests say so and pass.

#![expect(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "the helpers are part of the tests, in which a failure is a panic"
)]

use bytes::{Bytes, BytesMut};
use http::HeaderMap;
use serde_json::{Value, json};
use std::fs;
use std::path::Path;
use tollgate_core::call::{Part, UsageChunk};
use tollgate_core::dialect::Dialect;
use tollgate_core::fault::{Code, Fault, UpstreamClass};
use tollgate_core::framing::Framing;
use tollgate_core::provider::{self, Glance, Provider, Target};
use tollgate_core::reply::{Assembler, Event, Reply, Stop};
use tollgate_core::sse::{Frame, Framer};
use tollgate_core::surface::{Asked, Surface, openai_chat::OpenAiChat};
use tollgate_core::usage::Usage;
use tollgate_core::vendor;
use tollgate_tests::recordings;
use tollgate_tests::replay::{Answer, Replay};
use tollgate_tests::told::{self, Call, Told};

struct Recording {
    name: String,
    status: u16,
    body: Vec<u8>,
    streamed: bool,
}

fn recordings() -> Vec<Recording> {
    let mut found = Vec::new();
    for provider in ["gemini", "vertex"] {
        found.extend(recordings::files(provider).iter().filter_map(|file| recording(file)));
    }
    found
}

/// Embeddings and the OpenAI-compatible endpoint are other dialects.
fn recording(file: &Path) -> Option<Recording> {
    let case = file.file_name()?.to_str()?.split_once(".response.")?.0.to_owned();
    if !case.starts_with("generate-") {
        return None;
    }
    let meta = fs::read(file.with_file_name(format!("{case}.meta.json"))).ok()?;
    let meta = serde_json::from_slice::<Value>(&meta).ok()?;
    Some(Recording {
        status: u16::try_from(meta["status"].as_u64()?).ok()?,
        body: fs::read(file).ok()?,
        streamed: file.extension()? == "sse",
        name: case,
    })
}

fn streams() -> Vec<Recording> {
    recordings().into_iter().filter(|recording| recording.streamed).collect()
}

fn gemini() -> &'static dyn Provider {
    provider::of(Dialect::Gemini)
}

fn target() -> Target<'static> {
    Target { vendor: vendor::find("gemini").expect("is listed"), model: "gemini-3-flash" }
}

/// What an answer says, in the fewest words.
#[derive(Debug, Default, PartialEq)]
struct Gist {
    text: String,
    thoughts: String,
    calls: Vec<Value>,
    signatures: Vec<String>,
    /// The last reason, in Google's word.
    stop: Option<String>,
    usage: Counts,
}

#[derive(Debug, Default, PartialEq)]
struct Counts {
    prompt: u64,
    cached: u64,
    output: u64,
    thoughts: u64,
    /// As reported; some old answers leave a part out of it.
    total: u64,
}

/// The simple reader: the chunks as Google wrote them.
fn simple(chunks: &[Value]) -> Gist {
    let mut gist = Gist::default();
    for chunk in chunks {
        let candidate = &chunk["candidates"][0];
        for part in candidate["content"]["parts"].as_array().into_iter().flatten() {
            let text = part["text"].as_str().unwrap_or_default();
            if part["thought"] == true {
                gist.thoughts += text
            } else {
                gist.text += text
            }
            if let Some(call) = part["functionCall"].as_object() {
                gist.calls.push(json!({"name": call["name"], "args": call["args"]}));
            }
            gist.signatures.extend(part["thoughtSignature"].as_str().map(str::to_owned));
        }
        if let Some(reason) = candidate.get("finishReason") {
            gist.stop = Some(reason.as_str().map_or_else(|| reason.to_string(), str::to_owned));
        }
        if let Some(reason) = chunk["promptFeedback"]["blockReason"].as_str() {
            gist.stop = Some(reason.to_owned());
        }
        let count = |name: &str| chunk["usageMetadata"][name].as_u64().unwrap_or_default();
        let usage = &mut gist.usage;
        usage.prompt = usage.prompt.max(count("promptTokenCount") + count("toolUsePromptTokenCount"));
        usage.cached = usage.cached.max(count("cachedContentTokenCount"));
        usage.output = usage.output.max(count("candidatesTokenCount") + count("thoughtsTokenCount"));
        usage.thoughts = usage.thoughts.max(count("thoughtsTokenCount"));
        usage.total = usage.total.max(count("totalTokenCount"));
    }
    gist
}

fn counts(usage: Option<&Usage>) -> Counts {
    let Some(usage) = usage else { return Counts::default() };
    Counts {
        prompt: usage.prompt().get(),
        cached: usage.cache_read.get(),
        output: usage.output.get(),
        thoughts: usage.parts.reasoning.unwrap_or_default().get(),
        total: usage.total().get(),
    }
}

/// The provider's reading, in the simple reader's words; `recorded` is the reason as recorded.
fn read(reply: &Reply, recorded: Option<&str>) -> Gist {
    let mut gist = Gist { usage: counts(reply.usage.as_ref()), ..Gist::default() };
    let choice = reply.choices.first().expect("a choice");
    for part in &choice.parts {
        let signature = match part {
            Part::Text(text) => {
                gist.text += &text.text;
                &text.signature
            }
            Part::Thinking(thinking) => {
                gist.thoughts += &thinking.text;
                &thinking.signature
            }
            Part::ToolCall(call) => {
                assert!(!call.id.is_empty());
                let args = serde_json::from_str::<Value>(&call.arguments).expect("arguments are JSON");
                gist.calls.push(json!({"name": call.name, "args": args}));
                &call.signature
            }
            Part::Image(_)
            | Part::Audio(_)
            | Part::Video(_)
            | Part::Document(_)
            | Part::Refusal(_)
            | Part::ToolResult(_)
            | Part::Opaque(_) => &None,
        };
        gist.signatures.extend(signature.iter().map(|signature| signature.value.clone()));
    }
    let stop = match (recorded, gist.calls.is_empty()) {
        (Some("STOP"), false) => Some(Stop::ToolUse),
        (Some("STOP"), true) => Some(Stop::End),
        (Some("MAX_TOKENS" | "2"), _) => Some(Stop::Length),
        (Some("MODEL_ARMOR"), _) => Some(Stop::Filtered),
        (None, _) => None,
        (Some(other), _) => panic!("a reason this test does not know: {other}"),
    };
    assert_eq!(choice.stop, stop);
    gist.stop = recorded.map(str::to_owned);
    gist
}

/// The stream's data as a simple line reader finds it.
fn lines(body: &[u8]) -> Vec<Value> {
    let text = String::from_utf8_lossy(body);
    let data = text.lines().filter_map(|line| line.strip_prefix("data: "));
    data.map(|data| serde_json::from_str(data).expect("a line is JSON")).collect()
}

fn frames(chunks: impl IntoIterator<Item = Bytes>) -> Vec<Frame> {
    let (mut framer, mut frames) = (Framer::new(), Vec::new());
    chunks.into_iter().for_each(|chunk| framer.push(chunk, &mut frames).expect("small frames"));
    frames.extend(framer.finish());
    frames
}

fn events(frames: &[Frame]) -> Vec<Event> {
    let (mut decoder, mut events) = (gemini().decoder(&target()), Vec::new());
    frames.iter().for_each(|frame| decoder.on(frame, &mut events));
    decoder.on_end(&mut events);
    events
}

fn assembled(events: Vec<Event>) -> Reply {
    let mut assembler = Assembler::default();
    events.into_iter().for_each(|event| assembler.on(event));
    assembler.finish().expect("the stream ends").expect("without a fault")
}

#[test]
fn whole_answers_say_what_was_recorded() {
    for recording in recordings().iter().filter(|recording| !recording.streamed && recording.status == 200) {
        let parsed = serde_json::from_slice::<Value>(&recording.body).expect("is JSON");
        let chunks = if let Value::Array(chunks) = parsed { chunks } else { vec![parsed] };
        let expected = simple(&chunks);
        let reply = gemini().decode(&recording.body, &target()).expect(&recording.name);
        assert_eq!(read(&reply, expected.stop.as_deref()), expected, "{}", recording.name);
        let passed = gemini().usage(&recording.body, None, &target());
        assert_eq!(passed, reply.usage, "{}", recording.name);
    }
}

#[test]
fn streams_say_what_was_recorded() {
    for recording in streams() {
        let expected = simple(&lines(&recording.body));
        let frames = frames([Bytes::from(recording.body)]);
        let reply = assembled(events(&frames));
        assert_eq!(read(&reply, expected.stop.as_deref()), expected, "{}", recording.name);
    }
}

#[test]
fn a_pass_through_meters_and_glances_as_the_decoder_does() {
    for recording in streams() {
        let frames = frames([Bytes::from(recording.body)]);
        let mut usage = None;
        for frame in &frames {
            usage = gemini().usage(frame.data(), usage.as_ref(), &target()).or(usage);
        }
        assert_eq!(usage, assembled(events(&frames)).usage, "{}", recording.name);
        let last = frames.iter().rfind(|frame| !frame.data().is_empty()).expect("a frame");
        assert_eq!(gemini().glance(last), Glance::Finish, "{}", recording.name);
    }
}

#[test]
fn h4_split_at_any_byte_changes_nothing() {
    for recording in streams() {
        let body = Bytes::from(recording.body);
        let whole = frames([body.clone()]);
        let expected = events(&whole);
        for cut in 1..body.len() {
            let cut = frames([body.slice(..cut), body.slice(cut..)]);
            assert_eq!(events(&cut), expected, "{}", recording.name);
        }
        let bytes = frames(body.chunks(1).map(Bytes::copy_from_slice));
        assert_eq!(events(&bytes), expected, "{}", recording.name);
    }
}

#[test]
fn h3_a_recorded_stream_without_its_last_frame_was_cut() {
    for recording in streams() {
        let mut all = frames([Bytes::from(recording.body)]);
        all.retain(|frame| !frame.data().is_empty());
        all.pop();
        let Some(Event::Fault(fault)) = events(&all).pop() else { panic!("{}: no fault", recording.name) };
        assert_eq!(fault.class, UpstreamClass::Connection, "{}", recording.name);
    }
}

#[test]
fn recorded_errors_have_their_class() {
    for recording in recordings().iter().filter(|recording| recording.status >= 400) {
        let fault = gemini().fault(recording.status, &HeaderMap::new(), &recording.body, &target());
        let expected = match recording.status {
            // The one recorded 400 is about a bad key.
            400 => UpstreamClass::Auth,
            404 => UpstreamClass::NotFound,
            status => panic!("{}: a status this test does not know: {status}", recording.name),
        };
        assert_eq!((fault.class, fault.status), (expected, recording.status), "{}", recording.name);
        assert!(!fault.message.is_empty());
    }
}

/// The chunks of a recording, whatever its form.
fn chunks(recording: &Recording) -> Vec<Value> {
    if recording.streamed {
        return lines(&recording.body);
    }
    match serde_json::from_slice::<Value>(&recording.body).expect("is JSON") {
        Value::Array(chunks) => chunks,
        chunk => vec![chunk],
    }
}

/// What a client of the OpenAI surface has to be told, by the conversion rules: what was generated
/// contains the thoughts, the prompt what tools brought back.
fn due(recording: &Recording) -> Told {
    let chunks = chunks(recording);
    let Gist { text, thoughts, calls, signatures, stop, usage } = simple(&chunks);
    let said = |key: &str| {
        let found = chunks.iter().find_map(|chunk| chunk[key].as_str());
        found.unwrap_or_default().to_owned()
    };
    let finish = match stop.as_deref() {
        Some("STOP") if !calls.is_empty() => "tool_calls",
        Some("STOP") => "stop",
        Some("MAX_TOKENS" | "2") => "length",
        Some("MODEL_ARMOR") => "content_filter",
        other => panic!("a reason this test does not know: {other:?}"),
    };
    let parts = chunks.iter().flat_map(|chunk| chunk["candidates"][0]["content"]["parts"].as_array());
    let given = parts.flatten().filter(|part| part.get("functionCall").is_some());
    let ids = given.map(|part| part["functionCall"]["id"].as_str().unwrap_or_default().to_owned());
    let call = |(call, id): (Value, String)| Call {
        id,
        name: call["name"].as_str().unwrap_or_default().to_owned(),
        arguments: call["args"].clone(),
    };
    Told {
        id: said("responseId"),
        model: said("modelVersion"),
        text,
        reasoning: thoughts,
        proofs: signatures,
        calls: calls.into_iter().zip(ids).map(call).collect(),
        finish: Some(finish.to_owned()),
        usage: Some(told::Counts {
            prompt: usage.prompt,
            cached: usage.cached,
            cache_write: 0,
            completion: usage.output,
            reasoning: usage.thoughts,
            total: usage.total,
        }),
        ..Told::default()
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

fn streamed(events: &[Event]) -> Told {
    let mut renderer = OpenAiChat.renderer(asked());
    let mut out = BytesMut::new();
    events.iter().for_each(|event| renderer.on(event, &mut out));
    Told::by_stream(&out)
}

/// Where Google gave a call no id, any will do.
fn agree(mut told: Told, due: &Told, place: &str) {
    for (call, due) in told.calls.iter_mut().zip(&due.calls).filter(|(_, due)| due.id.is_empty()) {
        assert!(!call.id.is_empty(), "{place}: a call without an id");
        call.id.clone_from(&due.id);
    }
    assert_eq!(told, *due, "{place}");
}

fn answered() -> Vec<Recording> {
    recordings().into_iter().filter(|recording| recording.status == 200).collect()
}

#[test]
fn a_recorded_answer_loses_nothing_on_the_openai_surface() {
    for recording in answered() {
        let (due, name) = (due(&recording), &recording.name);
        let reply = if recording.streamed {
            let events = events(&frames([Bytes::from(recording.body)]));
            agree(streamed(&events), &due, &format!("{name}, streamed"));
            assembled(events)
        } else {
            gemini().decode(&recording.body, &target()).expect(name)
        };
        let whole = Told::by_whole(&OpenAiChat.render(&reply, &asked()));
        agree(whole, &due, &format!("{name}, whole"));
        agree(streamed(&reply.into_events()), &due, &format!("{name}, made into a stream"));
    }
}

const REQUESTS: [&str; 2] = [
    r#"{"model":"asked","messages":[{"role":"user","content":"hi"}]}"#,
    r#"{"model":"asked","messages":[{"role":"user","content":"hi"}],"stream":true,"stream_options":{"include_usage":true}}"#,
];

/// Whole and streamed answers, to clients that want the one or the other.
#[test]
fn h4_a_recorded_answer_loses_nothing_in_an_exchange_however_it_is_cut() {
    let replay = Replay::new("gemini", "gemini-3-flash").alias("asked");
    for recording in answered() {
        let (due, name, length) = (due(&recording), &recording.name, recording.body.len());
        let body = recording.body.clone();
        let answer = if recording.streamed { Answer::stream(body) } else { Answer::whole(200, body) };
        for size in [1, 3, 100, 1_000, length] {
            let answer = answer.clone().cut(size);
            let read = [Told::by_whole, Told::by_stream];
            for (request, read) in REQUESTS.into_iter().zip(read) {
                let seen = replay.run(request, &answer);
                assert!(seen.ended && seen.status == 200, "{name} by {size}: {seen:?}");
                agree(read(&seen.body), &due, &format!("{name} in pieces of {size}"));
                let usage = counts(seen.record.and_then(|record| record.usage).as_deref());
                assert_eq!(Some(usage.total), due.usage.map(|usage| usage.total), "{name}");
            }
        }
    }
}

#[test]
fn a_recorded_error_keeps_status_and_words_on_the_openai_surface() {
    for recording in recordings().into_iter().filter(|recording| recording.status >= 400) {
        let Recording { name, status, body, .. } = recording;
        let raw = serde_json::from_slice::<Value>(&body).expect("is JSON");
        let upstream = gemini().fault(status, &HeaderMap::new(), &body, &target());
        let mut fault = Fault::new(Code::UpstreamRefused, upstream.message.clone());
        fault.upstream = Some(Box::new(upstream));
        assert_eq!(fault.status(), status, "{name}");
        let told = Told::by_whole(&OpenAiChat.fault(&fault, "req"));
        assert_eq!(told.error.as_deref(), raw["error"]["message"].as_str(), "{name}");
        // A bad key of ours is not the client's to hear of.
        if status == 404 {
            let replay = Replay::new("gemini", "gemini-3-flash").alias("asked");
            let seen = replay.run(REQUESTS[0], &Answer::whole(status, body));
            assert_eq!((seen.status, Told::by_whole(&seen.body)), (status, told), "{name}");
        }
    }
}
