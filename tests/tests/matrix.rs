//! Every surface before every provider, over one list of cases.
//!
//! `tests/fixtures/matrix/DIALECT.json` says how each case is written in a dialect: what a client
//! sends (`asks`), what a provider says (`answers`, whole and streamed) and how it refuses (`faults`). The
//! pairs are made from these files. A dialect without a file fails, and so does a case that a file does not
//! write; `null` stands for what a client has no word for. What a provider cannot be given stands in
//! `refuses`, with a word of the refusal, and fields it has no place for in `loses`; in `narrows` stands where it
//! is offered only the tool that must be called. A dialect that no surface serves has no `asks`.

#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test fails by panicking")]

use bytes::BytesMut;
use serde_json::Value;
use std::fmt::Write as _;
use std::path::Path;
use tollgate_core::dialect::Dialect;
use tollgate_core::framing::event_stream::write_event;
use tollgate_tests::asks::{self, Asks};
use tollgate_tests::replay::{Answer, Replay, Seen};
use tollgate_tests::said::{self, Said};

/// A case: what is asked, and what is answered.
const CASES: &[(&str, &str, &str)] = &[
    ("plain", "plain", "plain"),
    ("system", "system", "plain"),
    ("multi-turn", "multi-turn", "plain"),
    ("tools", "tools", "call"),
    ("a tool that must be called", "forced", "call"),
    ("parallel tools", "parallel-tools", "calls"),
    ("tool results", "tool-results", "plain"),
    ("images", "images", "plain"),
    ("images by URL", "image-url", "plain"),
    ("document", "document", "plain"),
    ("structured output", "structured", "json"),
    ("thinking", "thinking", "thinking"),
    ("stop: too long", "plain", "length"),
    ("stop: filtered", "plain", "filtered"),
    ("usage", "plain", "usage"),
];

/// A fault, and the status with which a client hears of it after one attempt.
const FAULTS: &[(&str, u16)] = &[
    ("bad-request", 400),
    ("context", 400),
    ("filter", 400),
    ("auth", 502),
    ("forbidden", 502),
    ("not-found", 404),
    ("limited", 429),
    ("quota", 502),
    ("server", 502),
    ("overloaded", 502),
];

type ReadAsk = fn(&Value) -> Asks;
type ReadAnswer = fn(&[u8]) -> Said;

/// One dialect as both sides speak it.
struct Tongue {
    name: &'static str,
    /// Where clients ask, whole and streamed.
    paths: [&'static str; 2],
    asks: ReadAsk,
    said: ReadAnswer,
    written: Value,
}

fn tongue(dialect: Dialect) -> Tongue {
    let (name, paths, asks, said): (_, _, ReadAsk, ReadAnswer) = match dialect {
        Dialect::OpenAi => ("openai", ["/v1/chat/completions"; 2], asks::openai, said::openai),
        Dialect::OpenAiResponses => {
            ("openai-responses", ["/v1/responses"; 2], asks::responses, said::responses)
        }
        Dialect::Anthropic => ("anthropic", ["/v1/messages"; 2], asks::anthropic, said::anthropic),
        Dialect::Gemini => {
            let paths =
                ["/v1beta/models/m-1:generateContent", "/v1beta/models/m-1:streamGenerateContent?alt=sse"];
            ("gemini", paths, asks::gemini, said::gemini)
        }
        Dialect::Bedrock => {
            let paths = ["/model/m-1/converse", "/model/m-1/converse-stream"];
            ("bedrock", paths, asks::bedrock, said::bedrock)
        }
        Dialect::Cohere => ("cohere", [""; 2], asks::cohere, said::cohere),
        Dialect::Ollama => ("ollama-native", [""; 2], asks::ollama, said::ollama),
    };
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/matrix").join(format!("{name}.json"));
    let text = std::fs::read(&file).unwrap_or_else(|why| panic!("{}: {why}", file.display()));
    Tongue { name, paths, asks, said, written: serde_json::from_slice(&text).unwrap() }
}

fn tongues() -> Vec<Tongue> {
    Dialect::ALL.iter().map(|(dialect, _)| tongue(*dialect)).collect()
}

impl Tongue {
    /// What is written of a case; nothing where the dialect has no word for it.
    fn write(&self, part: &str, case: &str) -> Option<&Value> {
        let written = self.written[part].get(case);
        let written = written.unwrap_or_else(|| panic!("{}: {part}.{case} is not written", self.name));
        Some(written).filter(|written| !written.is_null())
    }

    fn model(&self) -> &str {
        self.written["model"].as_str().unwrap()
    }

    /// How this provider says it; nothing where it has no words for it.
    fn answer(&self, case: &str, streamed: bool) -> Option<Answer> {
        let told = self.write("answers", case)?;
        Some(self.answering(told, streamed))
    }

    fn answering(&self, told: &Value, streamed: bool) -> Answer {
        if !streamed {
            return Answer::whole(200, told["whole"].to_string());
        }
        let events = told["stream"].as_array().unwrap();
        if self.name == "bedrock" {
            let mut out = BytesMut::new();
            for event in events {
                write_event(event["event"].as_str().unwrap(), event["data"].to_string().as_bytes(), &mut out);
            }
            return Answer::event_stream(out.freeze());
        }
        let mut out = String::new();
        if self.name == "ollama-native" {
            events.iter().for_each(|event| writeln!(out, "{}", event["data"]).unwrap());
            return Answer::lines(out);
        }
        for event in events {
            if let Some(name) = event["event"].as_str() {
                writeln!(out, "event: {name}").unwrap();
            }
            let data = event["data"].as_str().map_or_else(|| event["data"].to_string(), str::to_owned);
            write!(out, "data: {data}\n\n").unwrap();
        }
        Answer::stream(out)
    }

    fn fault(&self, case: &str) -> Option<Answer> {
        let told = self.write("faults", case)?;
        let status = u16::try_from(told["status"].as_u64().unwrap()).unwrap();
        let answer = Answer::whole(status, told["body"].to_string());
        Some(match told["headers"].as_object().and_then(|headers| headers.iter().next()) {
            Some((name, value)) => answer.with(name, value.as_str().unwrap()),
            None => answer,
        })
    }

    /// Whether there is a surface of it.
    fn is_served(&self) -> bool {
        !self.paths[0].is_empty()
    }
}

/// A surface asks, a provider answers.
fn played(surface: &Tongue, provider: &Tongue, body: &Value, streamed: bool, answer: &Answer) -> Seen {
    let mut body = body.clone();
    if streamed && matches!(surface.name, "openai" | "openai-responses" | "anthropic") {
        body["stream"] = true.into();
    }
    if streamed && surface.name == "openai" {
        body["stream_options"] = serde_json::json!({"include_usage": true});
    }
    let kind: &'static str = match provider.name {
        "openai" => "mistral",
        other => Box::leak(other.to_owned().into_boxed_str()),
    };
    Replay::new(kind, provider.model()).alias("m-1").run_at(
        surface.paths[usize::from(streamed)],
        body.to_string(),
        answer,
    )
}

/// What both sides have words for.
fn comparable(mut said: Said) -> Said {
    said.choices.iter_mut().for_each(|choice| choice.proofs.clear());
    said.cached = said.cached.filter(|cached| *cached > 0);
    said
}

fn checked(
    surface: &Tongue,
    provider: &Tongue,
    (asked, answered): (&str, &str),
    streamed: bool,
) -> Result<(), String> {
    let Some(body) = surface.write("asks", asked) else { return Ok(()) };
    let Some(answer) = provider.answer(answered, streamed) else { return Ok(()) };
    let seen = played(surface, provider, body, streamed, &answer);
    if let Some(word) = provider.written["refuses"][asked].as_str().filter(|_| surface.name != provider.name)
    {
        let told = String::from_utf8_lossy(&seen.body);
        let good = seen.status == 400 && told.contains(word) && seen.sent.is_empty();
        return if good { Ok(()) } else { Err(format!("not refused: {} {told}", seen.status)) };
    }
    if seen.status != 200 || !seen.ended {
        return Err(format!("status {}: {}", seen.status, String::from_utf8_lossy(&seen.body)));
    }
    let lost = seen.headers.get("x-tollgate-lost").map_or("", |lost| lost.to_str().unwrap());
    let loses = provider.written["loses"][asked].as_array().into_iter().flatten().filter_map(Value::as_str);
    if !lost.is_empty() && !loses.into_iter().any(|field| lost.ends_with(field)) {
        return Err(format!("lost {lost}"));
    }
    let sent: Value = serde_json::from_slice(&seen.sent[0].body).unwrap();
    let (mut wanted, mut got) = ((surface.asks)(body), (provider.asks)(&sent));
    // Some must be told a cap, and some make room for thoughts beside it.
    if wanted.cap.is_none() || wanted.thinks {
        (wanted.cap, got.cap) = (None, None);
    }
    if provider.written["narrows"] == asked {
        wanted.tools.retain(|tool| wanted.forced.as_ref() == Some(&tool.name));
        // Whoever cannot be told has it lost.
        wanted.forced = wanted.forced.filter(|_| lost.is_empty());
    }
    if wanted != got {
        return Err(format!("\n    asked {wanted:?}\n    sent  {got:?}\n    as {sent}"));
    }
    let whole = answer.pieces.concat();
    let (said, told) = (comparable((provider.said)(&whole)), comparable((surface.said)(&seen.body)));
    if said == told { Ok(()) } else { Err(format!("\n    said {said:?}\n    told {told:?}")) }
}

#[test]
fn every_surface_reaches_every_provider_with_every_case() {
    let tongues = tongues();
    let (mut cells, mut wrong) = (0, Vec::new());
    for surface in tongues.iter().filter(|tongue| tongue.is_served()) {
        for provider in &tongues {
            for (case, asked, answered) in CASES {
                for streamed in [false, true] {
                    cells += 1;
                    if let Err(what) = checked(surface, provider, (asked, answered), streamed) {
                        let form = if streamed { ", streamed" } else { "" };
                        wrong.push(format!("{} → {}: {case}{form}: {what}", surface.name, provider.name));
                    }
                }
            }
        }
    }
    let served = tongues.iter().filter(|tongue| tongue.is_served()).count();
    assert_eq!(cells, served * tongues.len() * CASES.len() * 2);
    assert!(wrong.is_empty(), "{} of {cells}:\n{}", wrong.len(), wrong.join("\n"));
}

#[test]
fn every_fault_of_every_provider_is_told_on_every_surface() {
    let tongues = tongues();
    let mut wrong = Vec::new();
    for surface in tongues.iter().filter(|tongue| tongue.is_served()) {
        for provider in &tongues {
            for (fault, status) in FAULTS {
                for streamed in [false, true] {
                    let body = surface.write("asks", "plain").unwrap();
                    let Some(answer) = provider.fault(fault) else { continue };
                    let seen = played(surface, provider, body, streamed, &answer);
                    let told = (surface.said)(&seen.body);
                    // What is blocked without an error is an answer that was filtered.
                    let blocked = provider.written["faults"][fault]["status"] == 200;
                    // Bedrock's clients know no 502.
                    let status = if surface.name == "bedrock" && *status == 502 { &500 } else { status };
                    let good = if blocked {
                        seen.status == 200 && told.choices[0].end == said::End::Filter
                    } else {
                        seen.status == *status && told.failed
                    };
                    let limited = *status != 429 || seen.headers.contains_key("retry-after");
                    if !good || !limited {
                        let (surface, provider) = (surface.name, provider.name);
                        let text = String::from_utf8_lossy(&seen.body).into_owned();
                        wrong.push(format!("{surface} → {provider}: {fault}: {} {text}", seen.status));
                    }
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{}:\n{}", wrong.len(), wrong.join("\n"));
}
