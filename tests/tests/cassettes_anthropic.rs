//! Recorded traffic of the Anthropic API, read by the decoder and by a simple reader of its own.
//!
//! The recordings lie beside the checkout and are not part of the project; where the folder is
//! absent nothing is checked, and that is said.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::wildcard_enum_match_arm,
    reason = "a test fails by panicking, its helpers too"
)]

use bytes::Bytes;
use serde_json::Value;
use std::fs;
use std::path::{Path, PathBuf};
use tollgate_core::call::Part;
use tollgate_core::dialect::Dialect;
use tollgate_core::fault::UpstreamClass;
use tollgate_core::provider::anthropic::Anthropic;
use tollgate_core::provider::{Glance, Provider as _, Target};
use tollgate_core::reply::{Assembler, Event, Reply, Stop};
use tollgate_core::sse::{Frame, Framer};
use tollgate_core::usage::Usage;
use tollgate_core::vendor::{Auth, Quirks, Vendor};

fn vendor() -> Vendor {
    Vendor {
        name: "anthropic",
        title: "Anthropic",
        dialect: Dialect::Anthropic,
        base_url: "https://api.anthropic.com/v1",
        auth: Auth::Header("x-api-key"),
        env: &[],
        quirks: Quirks::default(),
    }
}

/// The recorded answers whose names end so; empty, and said, where there are none.
fn recordings(ending: &str) -> Vec<(String, Vec<u8>)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/cassettes/anthropic");
    let Ok(entries) = fs::read_dir(&folder) else {
        println!("skipped: no recordings beside the checkout");
        return Vec::new();
    };
    let mut paths: Vec<PathBuf> = entries.filter_map(|entry| Some(entry.ok()?.path())).collect();
    paths.sort();
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
