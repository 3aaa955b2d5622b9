//! Recorded traffic of the Anthropic API, read by the decoder and by a simple reader of its own.
//!
//! See [`tollgate_tests::recordings`].
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::wildcard_enum_match_arm,
    reason = "a test fails by panicking, its helpers too"
)]

use bytes::{Bytes, BytesMut};
use serde_json::Value;
use std::fs;
use std::path::Path;
use tollgate_core::call::{Part, UsageChunk};
use tollgate_core::dialect::Dialect;
use tollgate_core::fault::{Code, Fault, UpstreamClass};
use tollgate_core::framing::Framing;
use tollgate_core::provider::anthropic::Anthropic;
use tollgate_core::provider::{Glance, Provider as _, Target};
use tollgate_core::reply::{Assembler, Event, Reply, Stop};
use tollgate_core::sse::{Frame, Framer};
use tollgate_core::surface::{Asked, Surface as _, openai_chat::OpenAiChat};
use tollgate_core::usage::Usage;
use tollgate_core::vendor::{Auth, Quirks, Vendor};
use tollgate_tests::recordings;
use tollgate_tests::replay::{Answer, Replay};
use tollgate_tests::told::{Call, Counts, Told};

fn vendor() -> Vendor {
    Vendor {
        name: "anthropic",
        title: "Anthropic",
        dialect: Dialect::Anthropic,
        base_url: "https://api.anthropic.com/v1",
        auth: Auth::Header("x-api-key"),
        env: &[],
        address: tollgate_core::vendor::Address::NONE,
        quirks: Quirks::default(),
        also: None,
    }
}

/// The recorded answers whose names end so; empty, and said, where there are none.
fn recordings(ending: &str) -> Vec<(String, Vec<u8>)> {
    let mut paths = recordings::files("anthropic");
    if paths.is_empty() {
        return Vec::new();
    }
    let named = |path: &Path| path.file_name().unwrap().to_str().unwrap().to_owned();
    paths.retain(|path| named(path).ends_with(ending));
    assert!(!paths.is_empty(), "the folder is there but has no {ending}");
    paths.into_iter().map(|path| (named(&path), fs::read(&path).unwrap())).collect()
}

/// What both readers find.
#[derive(Debug, Default, PartialEq)]
struct Found {
    text: String,
    thinking: String,
    proofs: Vec<String>,
    /// Id, name and input of each call.
    calls: Vec<(String, String, Value)>,
    stop: Option<String>,
    /// Fresh input, cache read, cache write, output.
    usage: [u64; 4],
}

/// What a message's envelope says, by the same simple reader.
#[derive(Debug, Default)]
struct Cover {
    id: String,
    model: String,
    stop_sequence: Option<String>,
    thinking_tokens: u64,
    citations: usize,
}

impl Cover {
    fn take(&mut self, message: &Value, usage: &Value) {
        let said = |key: &str| message[key].as_str().map(str::to_owned);
        self.id = said("id").unwrap_or_else(|| std::mem::take(&mut self.id));
        self.model = said("model").unwrap_or_else(|| std::mem::take(&mut self.model));
        self.stop_sequence = said("stop_sequence").or(self.stop_sequence.take());
        let thinking = usage["output_tokens_details"]["thinking_tokens"].as_u64();
        self.thinking_tokens = thinking.unwrap_or(self.thinking_tokens);
        for block in message["content"].as_array().into_iter().flatten() {
            self.citations += block["citations"].as_array().map_or(0, Vec::len);
        }
    }

    fn of(body: &[u8]) -> Self {
        let mut cover = Self::default();
        if let Ok(message) = serde_json::from_slice::<Value>(body) {
            cover.take(&message, &message["usage"]);
            return cover;
        }
        let text = std::str::from_utf8(body).unwrap();
        for data in text.lines().filter_map(|line| line.strip_prefix("data: ")) {
            let data: Value = serde_json::from_str(data).unwrap();
            cover.citations += usize::from(data["delta"]["type"] == "citations_delta");
            match data["type"].as_str().unwrap() {
                "message_start" => cover.take(&data["message"], &data["message"]["usage"]),
                "message_delta" => cover.take(&data["delta"], &data["usage"]),
                _ => {}
            }
        }
        cover
    }
}

fn string(value: &Value, key: &str) -> String {
    value[key].as_str().unwrap_or_default().to_owned()
}

impl Found {
    fn block(&mut self, block: &Value) {
        self.text.push_str(&string(block, "text"));
        self.thinking.push_str(&string(block, "thinking"));
        let proofs = [string(block, "signature"), string(block, "data")];
        self.proofs.extend(proofs.into_iter().filter(|proof| !proof.is_empty()));
        if block["type"] == "tool_use" {
            self.calls.push((string(block, "id"), string(block, "name"), block["input"].clone()));
        }
    }

    fn counts(&mut self, usage: &Value) {
        let keys =
            ["input_tokens", "cache_read_input_tokens", "cache_creation_input_tokens", "output_tokens"];
        for (count, key) in self.usage.iter_mut().zip(keys) {
            *count = usage[key].as_u64().unwrap_or(*count);
        }
    }

    fn in_message(message: &Value) -> Self {
        let mut found = Self { stop: Some(string(message, "stop_reason")), ..Self::default() };
        message["content"].as_array().unwrap().iter().for_each(|block| found.block(block));
        found.counts(&message["usage"]);
        found
    }

    fn in_stream(stream: &str) -> Self {
        let mut found = Self::default();
        let mut input = String::new();
        for data in stream.lines().filter_map(|line| line.strip_prefix("data: ")) {
            let data: Value = serde_json::from_str(data).unwrap();
            match data["type"].as_str().unwrap() {
                "message_start" => found.counts(&data["message"]["usage"]),
                "content_block_start" => found.block(&data["content_block"]),
                "content_block_delta" => {
                    found.block(&data["delta"]);
                    input.push_str(&string(&data["delta"], "partial_json"));
                }
                "content_block_stop" if !input.is_empty() => {
                    found.calls.last_mut().unwrap().2 = serde_json::from_str(&input).unwrap();
                    input.clear();
                }
                "message_delta" => {
                    found.stop = data["delta"]["stop_reason"].as_str().map(str::to_owned);
                    found.counts(&data["usage"]);
                }
                _ => {}
            }
        }
        found
    }

    fn in_reply(reply: &Reply) -> Self {
        let mut found = Self::default();
        let choice = &reply.choices[0];
        for part in &choice.parts {
            match part {
                Part::Text(text) => found.text.push_str(&text.text),
                Part::Thinking(thinking) => {
                    found.thinking.push_str(&thinking.text);
                    let proofs = thinking.signature.iter().chain(&thinking.sealed);
                    found.proofs.extend(proofs.map(|proof| proof.value.clone()));
                }
                Part::ToolCall(call) => {
                    let input = serde_json::from_str(&call.arguments).unwrap();
                    found.calls.push((call.id.clone(), call.name.clone(), input));
                }
                other => panic!("no recording has {other:?}"),
            }
        }
        found.stop = choice.stop.as_ref().map(|stop| word(stop).to_owned());
        found.usage = counts(reply.usage.as_ref().unwrap());
        found
    }
}

fn counts(usage: &Usage) -> [u64; 4] {
    [usage.fresh_input, usage.cache_read, usage.cache_write(), usage.output].map(|tokens| tokens.get())
}

fn word(stop: &Stop) -> &str {
    match stop {
        Stop::End => "end_turn",
        Stop::Sequence => "stop_sequence",
        Stop::Length => "max_tokens",
        Stop::ToolUse => "tool_use",
        other => panic!("no recording stops by {other:?}"),
    }
}

fn frames(chunks: &[&[u8]]) -> Vec<Frame> {
    let mut framer = Framer::new();
    let mut frames = Vec::new();
    for chunk in chunks {
        framer.push(Bytes::copy_from_slice(chunk), &mut frames).unwrap();
    }
    frames.extend(framer.finish());
    frames
}

fn events(frames: &[Frame]) -> Vec<Event> {
    let mut decoder = Anthropic.decoder(&Target { vendor: &vendor(), model: "m" });
    let mut events = Vec::new();
    frames.iter().for_each(|frame| decoder.on(frame, &mut events));
    decoder.on_end(&mut events);
    events
}

#[test]
fn recorded_answers_say_what_their_bytes_say() {
    for (name, body) in recordings(".response.json") {
        let raw: Value = serde_json::from_slice(&body).unwrap();
        if raw["type"] == "error" {
            continue;
        }
        let vendor = vendor();
        let target = Target { vendor: &vendor, model: "m" };
        let reply = Anthropic.decode(&body, &target).unwrap();
        assert_eq!(Found::in_reply(&reply), Found::in_message(&raw), "{name}");
        assert_eq!(Anthropic.usage(&body, None, &target), reply.usage, "{name}");
    }
}

#[test]
fn recorded_streams_say_what_their_bytes_say() {
    for (name, body) in recordings(".response.sse") {
        let mut assembler = Assembler::default();
        events(&frames(&[&body])).into_iter().for_each(|event| assembler.on(event));
        let reply = assembler.finish().unwrap().unwrap();
        let raw = Found::in_stream(std::str::from_utf8(&body).unwrap());
        assert_eq!(Found::in_reply(&reply), raw, "{name}");
    }
}

#[test]
fn h4_split_at_any_byte_changes_nothing() {
    for (name, body) in recordings(".response.sse") {
        let whole = events(&frames(&[&body]));
        for at in 0..=body.len() {
            let (head, rest) = body.split_at(at);
            assert_eq!(events(&frames(&[head, rest])), whole, "{name} split at {at}");
        }
        let bytes: Vec<_> = body.chunks(1).collect();
        assert_eq!(events(&frames(&bytes)), whole, "{name} byte by byte");
    }
}

#[test]
fn h4_cut_at_any_byte_is_a_fault_until_the_stop_is_told() {
    for (name, body) in recordings(".response.sse") {
        let stop = body.windows(19).position(|bytes| bytes == b"event: message_stop").unwrap();
        for at in 0..stop.saturating_sub(2) {
            let events = events(&frames(&[&body[..at]]));
            let fault = match events.last() {
                Some(Event::Fault(fault)) => fault,
                last => panic!("{name} cut at {at} ends in {last:?}"),
            };
            assert_eq!(fault.class, UpstreamClass::Connection, "{name} cut at {at}");
        }
    }
}

#[test]
fn a_pass_through_sees_the_same_ends_and_counts_as_the_decoder() {
    for (name, body) in recordings(".response.sse") {
        let vendor = vendor();
        let target = Target { vendor: &vendor, model: "m" };
        let frames = frames(&[&body]);
        let glances: Vec<_> = frames.iter().map(|frame| Anthropic.glance(frame)).collect();
        assert_eq!(glances.first(), Some(&Glance::Preamble), "{name}");
        assert_eq!(glances[glances.len() - 2..], [Glance::Finish, Glance::End], "{name}");
        let mut usage: Option<Usage> = None;
        for frame in &frames {
            usage = Anthropic.usage(frame.data(), usage.as_ref(), &target).or(usage);
        }
        let raw = Found::in_stream(std::str::from_utf8(&body).unwrap());
        assert_eq!(counts(&usage.unwrap()), raw.usage, "{name}");
    }
}

#[test]
fn recorded_errors_have_their_class() {
    for (name, body) in recordings(".response.json") {
        let raw: Value = serde_json::from_slice(&body).unwrap();
        if raw["type"] != "error" {
            continue;
        }
        let (status, class) = match name.as_str() {
            name if name.contains("err401") => (401, UpstreamClass::Auth),
            name if name.contains("length-exceeded") => (400, UpstreamClass::ContextLength),
            name => panic!("say what {name} is"),
        };
        let fault = Anthropic.fault(
            status,
            &http::HeaderMap::new(),
            &body,
            &Target { vendor: &vendor(), model: "m" },
        );
        assert_eq!(fault.class, class, "{name}");
        assert_eq!(fault.message, string(&raw["error"], "message"), "{name}");
    }
}

/// What a client of the OpenAI surface has to be told, by the conversion rules: the prompt contains
/// what was read from caches and written to them.
fn due(found: Found, cover: Cover) -> Told {
    let [fresh, cached, cache_write, completion] = found.usage;
    let prompt = fresh + cached + cache_write;
    let finish = match found.stop.unwrap().as_str() {
        "end_turn" | "stop_sequence" => "stop",
        "max_tokens" => "length",
        "tool_use" => "tool_calls",
        other => panic!("no recording stops by {other}"),
    };
    let call = |(id, name, arguments)| Call { id, name, arguments };
    Told {
        id: cover.id,
        model: cover.model,
        text: found.text,
        reasoning: found.thinking,
        proofs: found.proofs,
        calls: found.calls.into_iter().map(call).collect(),
        finish: Some(finish.to_owned()),
        stop_sequence: cover.stop_sequence,
        citations: cover.citations,
        usage: Some(Counts {
            prompt,
            cached,
            cache_write,
            completion,
            reasoning: cover.thinking_tokens,
            total: prompt + completion,
        }),
        error: None,
    }
}

/// Every recorded answer that is none of an error, with what a client has to be told of it.
fn answers() -> Vec<(String, Answer, Told)> {
    let whole = recordings(".response.json").into_iter().filter_map(|(name, body)| {
        let raw: Value = serde_json::from_slice(&body).unwrap();
        let told = (raw["type"] != "error").then(|| due(Found::in_message(&raw), Cover::of(&body)))?;
        Some((name, Answer::whole(200, body), told))
    });
    let streamed = recordings(".response.sse").into_iter().map(|(name, body)| {
        let found = Found::in_stream(std::str::from_utf8(&body).unwrap());
        let told = due(found, Cover::of(&body));
        (name, Answer::stream(body), told)
    });
    whole.chain(streamed).collect()
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

#[test]
fn a_recorded_answer_loses_nothing_on_the_openai_surface() {
    for (name, answer, due) in answers() {
        let body = answer.pieces.concat();
        let reply = if answer.content_type == "application/json" {
            Anthropic.decode(&body, &Target { vendor: &vendor(), model: "m" }).unwrap()
        } else {
            let events = events(&frames(&[&body]));
            assert_eq!(streamed(&events), due, "{name}, streamed");
            let mut assembler = Assembler::default();
            events.into_iter().for_each(|event| assembler.on(event));
            assembler.finish().unwrap().unwrap()
        };
        assert_eq!(Told::by_whole(&OpenAiChat.render(&reply, &asked())), due, "{name}, whole");
        assert_eq!(streamed(&reply.into_events()), due, "{name}, made into a stream");
    }
}

const REQUESTS: [&str; 2] = [
    r#"{"model":"asked","messages":[{"role":"user","content":"hi"}]}"#,
    r#"{"model":"asked","messages":[{"role":"user","content":"hi"}],"stream":true,"stream_options":{"include_usage":true}}"#,
];

/// Whole and streamed answers, to clients that want the one or the other.
#[test]
fn h4_a_recorded_answer_loses_nothing_in_an_exchange_however_it_is_cut() {
    let replay = Replay::new("anthropic", "claude-sonnet-4-5").alias("asked");
    for (name, answer, due) in answers() {
        let length = answer.pieces.concat().len();
        for size in [1, 3, 100, 1_000, length] {
            let answer = answer.clone().cut(size);
            let read = [Told::by_whole, Told::by_stream];
            for (request, read) in REQUESTS.into_iter().zip(read) {
                let seen = replay.run(request, &answer);
                assert!(seen.ended && seen.status == 200, "{name} by {size}: {seen:?}");
                assert_eq!(read(&seen.body), due, "{name} in pieces of {size}");
                let usage = seen.record.unwrap().usage.unwrap();
                assert_eq!(Some(usage.prompt().get()), due.usage.map(|usage| usage.prompt), "{name}");
            }
        }
    }
}

#[test]
fn a_recorded_error_keeps_status_and_words_on_the_openai_surface() {
    for (name, body) in recordings(".response.json") {
        let raw: Value = serde_json::from_slice(&body).unwrap();
        if raw["type"] != "error" {
            continue;
        }
        let status = if name.contains("err401") { 401 } else { 400 };
        let target = Target { vendor: &vendor(), model: "m" };
        let upstream = Anthropic.fault(status, &http::HeaderMap::new(), &body, &target);
        let mut fault = Fault::new(Code::UpstreamRefused, upstream.message.clone());
        fault.upstream = Some(Box::new(upstream));
        assert_eq!(fault.status(), status, "{name}");
        let told = Told::by_whole(&OpenAiChat.fault(&fault, "req"));
        assert_eq!(told.error, raw["error"]["message"].as_str().map(str::to_owned), "{name}");
        if status == 400 {
            let replay = Replay::new("anthropic", "claude-sonnet-4-5").alias("asked");
            let seen = replay.run(REQUESTS[1], &Answer::whole(400, body));
            assert_eq!((seen.status, Told::by_whole(&seen.body)), (400, told), "{name}");
        }
    }
}
