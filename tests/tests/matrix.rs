//! Every surface before every vendor, over one list of cases.
//!
//! `tests/fixtures/matrix/DIALECT.json` says how each case is written in a dialect: what a client
//! sends (`asks`), what a provider says (`answers`, whole and streamed) and how it refuses (`faults`). The
//! pairs are made from these files. A dialect without a file fails, and so does a case that a file does not
//! write; `null` stands for what a client has no word for. What a provider cannot be given stands in
//! `refuses`, with a word of the refusal, and fields it has no place for in `loses`; in `narrows` stands where it
//! is offered only the tool that must be called. A dialect that no surface serves has no `asks`.
//!
//! Every row of the vendors' table is a provider here, as what `rows.rs` reads says that it departs from its
//! dialect: it answers in its own words, and they must come to the same as the dialect's.

#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test fails by panicking")]

#[path = "matrix/rows.rs"]
mod rows; // the vendors, and what is written of them

use bytes::BytesMut;
use rows::Row;
use serde_json::Value;
use std::fmt::Write as _;
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
    dialect: Dialect,
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
    Tongue { dialect, name, paths, asks, said, written: rows::read(name) }
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

    /// Whether there is a surface of it.
    fn is_served(&self) -> bool {
        !self.paths[0].is_empty()
    }
}

/// A vendor, and the dialect it is spoken to in.
struct Provider<'t> {
    row: Row,
    tongue: &'t Tongue,
}

impl Provider<'_> {
    fn model(&self) -> &str {
        self.row.written["model"].as_str().unwrap_or_else(|| self.tongue.model())
    }

    /// How it says it, and what that means; nothing where its dialect has no words for it.
    fn answer(&self, case: &str, streamed: bool) -> Option<(Answer, Said)> {
        let usual = self.tongue.write("answers", case)?;
        let means = (self.tongue.said)(&self.tongue.answering(usual, streamed).pieces.concat());
        let told = self.row.own("answers", case).unwrap_or(usual);
        Some((self.tongue.answering(told, streamed), means))
    }

    /// How it refuses.
    fn fault(&self, case: &str) -> Option<&Value> {
        let usual = self.tongue.write("faults", case);
        self.row.own("faults", case).or(usual)
    }

    /// Whether this surface is of the dialect that it is spoken to in, so that what is said passes unchanged.
    fn passes(&self, surface: &Tongue) -> bool {
        surface.dialect == self.tongue.dialect
    }
}

fn providers(tongues: &[Tongue]) -> Vec<Provider<'_>> {
    let of = |row: Row| {
        let tongue = tongues.iter().find(|tongue| tongue.dialect == row.vendor.dialect).unwrap();
        Provider { row, tongue }
    };
    rows::all().into_iter().map(of).collect()
}

fn refusing(told: &Value) -> Answer {
    let status = u16::try_from(told["status"].as_u64().unwrap()).unwrap();
    let answer = Answer::whole(status, told["body"].to_string());
    match told["headers"].as_object().and_then(|headers| headers.iter().next()) {
        Some((name, value)) => answer.with(name, value.as_str().unwrap()),
        None => answer,
    }
}

/// A surface asks, a provider answers where it is spoken to in this dialect, and knows nothing elsewhere.
fn played(surface: &Tongue, provider: &Provider<'_>, body: &Value, streamed: bool, answer: &Answer) -> Seen {
    let mut body = body.clone();
    if streamed && matches!(surface.name, "openai" | "openai-responses" | "anthropic") {
        body["stream"] = true.into();
    }
    if streamed && surface.name == "openai" {
        body["stream_options"] = serde_json::json!({"include_usage": true});
    }
    let gateway = provider.row.gateway(provider.model());
    let path = if provider.tongue.dialect == Dialect::OpenAi { "/chat/completions" } else { "" };
    let answer = answer.clone().at(path);
    gateway.run_at(surface.paths[usize::from(streamed)], body.to_string(), &answer)
}

/// What both sides have words for.
fn comparable(mut said: Said) -> Said {
    said.choices.iter_mut().for_each(|choice| choice.proofs.clear());
    said.cached = said.cached.filter(|cached| *cached > 0);
    said
}

fn checked(
    surface: &Tongue,
    provider: &Provider<'_>,
    (asked, answered): (&str, &str),
    streamed: bool,
) -> Result<(), String> {
    let Some(body) = surface.write("asks", asked) else { return Ok(()) };
    let Some((answer, means)) = provider.answer(answered, streamed) else { return Ok(()) };
    let seen = played(surface, provider, body, streamed, &answer);
    let written = |part: &str| {
        let own = &provider.row.written[part][asked];
        if own.is_null() { &provider.tongue.written[part][asked] } else { own }
    };
    if let Some(word) = written("refuses").as_str().filter(|_| !provider.passes(surface)) {
        let told = String::from_utf8_lossy(&seen.body);
        let good = seen.status == 400 && told.contains(word) && seen.sent.is_empty();
        return if good { Ok(()) } else { Err(format!("not refused: {} {told}", seen.status)) };
    }
    if seen.status != 200 || !seen.ended {
        return Err(format!("status {}: {}", seen.status, String::from_utf8_lossy(&seen.body)));
    }
    let lost = seen.headers.get("x-tollgate-lost").map_or("", |lost| lost.to_str().unwrap());
    let loses = written("loses").as_array().into_iter().flatten().filter_map(Value::as_str);
    if !lost.is_empty() && !loses.into_iter().any(|field| lost.ends_with(field)) {
        return Err(format!("lost {lost}"));
    }
    let fetch = seen.sent.last().unwrap();
    if !streamed && fetch.uri.path() != provider.row.path(provider.model()) {
        return Err(format!("called at {}", fetch.uri));
    }
    for (name, value) in provider.row.written["key"].as_object().unwrap() {
        if fetch.headers.get(name).is_none_or(|sent| value != sent.to_str().unwrap()) {
            return Err(format!("{name} is not {value}"));
        }
    }
    let sent: Value = serde_json::from_slice(&fetch.body).unwrap();
    let (mut wanted, mut got) = ((surface.asks)(body), (provider.tongue.asks)(&sent));
    // Some must be told a cap, and some make room for thoughts beside it.
    if wanted.cap.is_none() || wanted.thinks {
        (wanted.cap, got.cap) = (None, None);
    }
    if provider.tongue.written["narrows"] == asked {
        wanted.tools.retain(|tool| wanted.forced.as_ref() == Some(&tool.name));
        // Whoever cannot be told has it lost.
        wanted.forced = wanted.forced.filter(|_| lost.is_empty());
    }
    if wanted != got {
        return Err(format!("\n    asked {wanted:?}\n    sent  {got:?}\n    as {sent}"));
    }
    // What passes is in the vendor's own words still.
    let whole = answer.pieces.concat();
    let said = if provider.passes(surface) { (provider.tongue.said)(&whole) } else { means };
    let (said, told) = (comparable(said), comparable((surface.said)(&seen.body)));
    if said == told { Ok(()) } else { Err(format!("\n    said {said:?}\n    told {told:?}")) }
}

fn served(tongues: &[Tongue]) -> impl Iterator<Item = &Tongue> {
    tongues.iter().filter(|tongue| tongue.is_served())
}

#[test]
fn every_surface_reaches_every_vendor_with_every_case() {
    let tongues = tongues();
    let providers = providers(&tongues);
    let chatting = || providers.iter().filter(|provider| provider.row.chats());
    let (mut cells, mut wrong) = (0, Vec::new());
    for surface in served(&tongues) {
        for provider in chatting() {
            for (case, asked, answered) in CASES {
                for streamed in [false, true] {
                    cells += 1;
                    if let Err(what) = checked(surface, provider, (asked, answered), streamed) {
                        let form = if streamed { ", streamed" } else { "" };
                        let row = provider.row.name();
                        wrong.push(format!("{} → {row}: {case}{form}: {what}", surface.name));
                    }
                }
            }
        }
    }
    assert_eq!(cells, served(&tongues).count() * chatting().count() * CASES.len() * 2);
    assert!(wrong.is_empty(), "{} of {cells}:\n{}", wrong.len(), wrong.join("\n"));
}

#[test]
fn every_fault_of_every_vendor_is_told_on_every_surface() {
    let tongues = tongues();
    let mut wrong = Vec::new();
    for surface in served(&tongues) {
        for provider in providers(&tongues).iter().filter(|provider| provider.row.chats()) {
            for (fault, status) in FAULTS {
                let body = surface.write("asks", "plain").unwrap();
                let Some(refusal) = provider.fault(fault) else { continue };
                for streamed in [false, true] {
                    let seen = played(surface, provider, body, streamed, &refusing(refusal));
                    let told = (surface.said)(&seen.body);
                    // What is blocked without an error is an answer that was filtered.
                    let blocked = refusal["status"] == 200;
                    // Bedrock's clients know no 502.
                    let status = if surface.name == "bedrock" && *status == 502 { &500 } else { status };
                    // Some have a word of their own for a bad request.
                    let own = *status == 400 && refusal["status"] == 422 && seen.status == 422;
                    let good = if blocked {
                        seen.status == 200 && told.choices[0].end == said::End::Filter
                    } else {
                        (seen.status == *status || own) && told.failed
                    };
                    let limited = *status != 429 || seen.headers.contains_key("retry-after");
                    if !good || !limited {
                        let (surface, row) = (surface.name, provider.row.name());
                        let text = String::from_utf8_lossy(&seen.body).into_owned();
                        wrong.push(format!("{surface} → {row}: {fault}: {} {text}", seen.status));
                    }
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{}:\n{}", wrong.len(), wrong.join("\n"));
}

/// What a vendor must be sent that departs from its dialect.
fn shown(row: &Row, shown: &Value, dialect: &str) -> Result<(), String> {
    let answer = match dialect {
        "openai" if shown["path"].is_null() => Answer::whole(200, "{}").at("/chat/completions"),
        _ => Answer::whole(200, "{}"),
    };
    let target = shown["at"].as_str().unwrap();
    let seen = row.gateway("m-up").run_at(target, shown["asks"].to_string(), &answer);
    let Some(fetch) = seen.sent.last() else {
        return Err(format!("nothing was sent: {}", String::from_utf8_lossy(&seen.body)));
    };
    let model = row.written["model"].as_str().unwrap_or("m-up");
    let path = fetch.uri.path();
    let at = shown["path"].as_str().is_none_or(|wanted| path == wanted.replace("MODEL", model));
    if !at || !shown["path_has"].as_str().is_none_or(|wanted| path.contains(wanted)) {
        return Err(format!("called at {path}"));
    }
    let sent: Value = serde_json::from_slice(&fetch.body).unwrap();
    let members = |part: &str| shown[part].as_object().cloned().unwrap_or_default();
    let has = members("has").iter().all(|(at, value)| sent.pointer(at) == Some(value));
    let counted = members("alphanumeric").iter().all(|(at, long)| {
        let text = sent.pointer(at).and_then(Value::as_str).unwrap_or_default();
        text.bytes().all(|byte| byte.is_ascii_alphanumeric()) && long == text.len()
    });
    let mut lacks = shown["lacks"].as_array().into_iter().flatten().filter_map(Value::as_str);
    let lacks = lacks.all(|at| sent.pointer(at).is_none());
    let nowhere = shown["nowhere"].as_str().is_none_or(|word| !sent.to_string().contains(word));
    let good = has && counted && lacks && nowhere;
    if good { Ok(()) } else { Err(format!("{shown}\n    sent {sent}")) }
}

#[test]
fn every_vendor_is_sent_what_it_departs_by() {
    let tongues = tongues();
    let mut wrong = Vec::new();
    for Provider { row, tongue } in providers(&tongues) {
        for accent in &row.accents {
            let said = |one: &&Value, key: &str| one[key].as_str().map(|named| named == tongue.name);
            let all = accent["shown"].as_array().into_iter().flatten();
            let here: Vec<_> = all
                .filter(|one| said(one, "only") != Some(false) && said(one, "unless") != Some(true))
                .collect();
            assert!(!here.is_empty() || accent["answers"].is_object(), "{}: {accent}", row.name());
            for one in here {
                let _ = shown(&row, one, tongue.name)
                    .map_err(|what| wrong.push(format!("{}: {what}", row.name())));
            }
        }
    }
    assert!(wrong.is_empty(), "{}:\n{}", wrong.len(), wrong.join("\n"));
}

/// Every dialect at an address of the user's, with a key, headers and a query as its config says.
#[test]
fn a_server_of_any_dialect_is_reached_by_config_alone() {
    let tongues = tongues();
    for surface in served(&tongues) {
        for tongue in tongues.iter().filter(|tongue| tongue.dialect != Dialect::Bedrock) {
            for (header, name, value) in [
                ("x-my-key", "x-my-key", "sk-replay-upstream"),
                ("Authorization: Key", "authorization", "Key sk-replay-upstream"),
            ] {
                let mut gateway = Replay::new(tongue.name, tongue.model()).alias("m-1");
                gateway.terms = format!(
                    "key_header = \"{header}\"\nheaders = {{ x-team = \"search\" }}\n\
                     query = {{ version = \"2025-02-06\", tier = \"a\" }}\napi_version = \"1\""
                );
                let told = tongue.answering(tongue.write("answers", "plain").unwrap(), true);
                let mut body = surface.write("asks", "plain").unwrap().clone();
                if !matches!(surface.name, "gemini" | "bedrock") {
                    body["stream"] = true.into();
                }
                let seen = gateway.run_at(surface.paths[1], body.to_string(), &told);
                let pair = format!("{} → {}", surface.name, tongue.name);
                assert_eq!(seen.status, 200, "{pair}: {:?}", seen.body);
                let fetch = seen.sent.last().unwrap();
                assert_eq!(fetch.headers[name], value, "{pair}");
                assert_eq!(fetch.headers["x-team"], "search", "{pair}");
                let query = fetch.uri.query().unwrap_or_default();
                assert!(query.ends_with("api-version=1&version=2025-02-06&tier=a"), "{pair}: {query}");
                let said = (surface.said)(&seen.body);
                assert_eq!(said.choices[0].text, "Hello, world.", "{pair}");
                let own: Vec<_> = ["authorization", "x-api-key", "x-goog-api-key", "api-key"]
                    .into_iter()
                    .filter(|own| *own != name && fetch.headers.contains_key(*own))
                    .collect();
                assert!(own.is_empty(), "{pair}: the key is also in {own:?}");
            }
        }
    }
}

#[test]
fn whoever_does_not_chat_is_reached_for_what_it_does() {
    for row in rows::all().into_iter().filter(|row| !row.chats()) {
        let vectors = serde_json::json!({"at": "/v1/embeddings", "asks": {"model": "m-1", "input": "a"}});
        let asked = row.written.get("raw").unwrap_or(&vectors);
        let gateway = row.gateway("m-up");
        let target = asked["at"].as_str().unwrap();
        let seen = gateway.run_at(target, asked["asks"].to_string(), &Answer::whole(200, "{}"));
        assert_eq!(seen.sent.len(), 1, "{}: {:?}", row.name(), seen.body);
        assert_eq!(seen.sent[0].uri.path(), row.path("m-up"));
        for (name, value) in row.written["key"].as_object().unwrap() {
            assert_eq!(value, seen.sent[0].headers[name.as_str()].to_str().unwrap(), "{}", row.name());
        }
    }
}
