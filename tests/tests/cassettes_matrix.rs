//! Every recorded answer on every surface, whole and streamed: what a client reads there is what the
//! provider said.
//!
//! See [`tollgate_tests::recordings`].

#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test fails by panicking")]

use serde_json::Value;
use std::fs;
use tollgate_tests::recordings;
use tollgate_tests::replay::{Answer, Replay, Seen};
use tollgate_tests::said;
use tollgate_tests::ways::{Reader, WAYS, Way, compare};

/// Folders of recordings: the vendor, how the names of its cases begin, and who reads them.
const PROVIDERS: &[(&str, &str, &str, Reader)] = &[
    ("openai", "openai", "chat-", said::openai),
    ("azure", "azure", "chat-", said::openai),
    ("deepseek", "deepseek", "chat-", said::openai),
    ("groq", "groq", "chat-", said::openai),
    ("mistral", "mistral", "chat-", said::openai),
    ("ollama", "ollama", "chat-", said::openai),
    ("openrouter", "openrouter", "chat-", said::openai),
    ("xai", "xai", "chat-", said::openai),
    ("gemini", "gemini-openai", "chat-", said::openai),
    ("openai", "openai-responses", "responses-", said::responses),
    ("azure", "openai-responses", "responses-", said::responses),
    ("deepseek", "openai-responses", "responses-", said::responses),
    ("groq", "openai-responses", "responses-", said::responses),
    ("openrouter", "openai-responses", "responses-", said::responses),
    ("xai", "openai-responses", "responses-", said::responses),
    ("anthropic", "anthropic", "messages-", said::anthropic),
    ("gemini", "gemini", "generate-", said::gemini),
    ("vertex", "gemini", "generate-", said::gemini),
    ("vertex", "vertex", "generate-", said::gemini),
    ("bedrock", "bedrock", "converse-", said::bedrock),
    ("cohere", "cohere", "chat2-", said::cohere),
    ("ollama", "ollama-native", "ollama_chat-", said::ollama),
];

struct Case {
    name: String,
    vendor: &'static str,
    read: Reader,
    status: u16,
    body: Vec<u8>,
    streamed: bool,
}

fn cases() -> Vec<Case> {
    let mut cases = Vec::new();
    for (folder, vendor, prefix, read) in PROVIDERS {
        for path in recordings::files(folder) {
            let name = path.file_name().unwrap().to_str().unwrap();
            let Some((case, form)) = name.split_once(".response.") else { continue };
            if !case.starts_with(prefix) || !matches!(form, "json" | "sse" | "bin") {
                continue;
            }
            let meta = fs::read(path.with_file_name(format!("{case}.meta.json"))).unwrap();
            let meta: Value = serde_json::from_slice(&meta).unwrap();
            let status = u16::try_from(meta["status"].as_u64().unwrap_or(200)).unwrap();
            let body = fs::read(&path).unwrap();
            let name = format!("{folder}/{case}");
            // A stream of Ollama's own is kept under the label of one object.
            let streamed = form != "json" || body.trim_ascii().contains(&b'\n') && *vendor == "ollama-native";
            cases.push(Case { name, vendor, read: *read, status, streamed, body });
        }
    }
    cases
}

impl Case {
    fn replayed(&self, way: &Way, piece: usize) -> Seen {
        let answer = if self.streamed && self.vendor == "bedrock" {
            Answer::event_stream(self.body.clone())
        } else if self.streamed && self.vendor == "ollama-native" {
            Answer::lines(self.body.clone())
        } else if self.streamed {
            Answer::stream(self.body.clone())
        } else {
            Answer::whole(self.status, self.body.clone())
        };
        let answer = if piece == 0 { answer } else { answer.cut(piece) };
        // What was recorded of chat is said of chat only.
        let answer = if self.name.contains("/chat-") { answer.at("/chat/completions") } else { answer };
        let mut replay = Replay::new(self.vendor, "m-1");
        if self.vendor == "vertex" {
            replay.terms = "project = \"p\"\n".to_owned();
        }
        replay.run_at(way.target, (way.body)().to_string(), &answer)
    }
}

#[test]
fn every_recorded_answer_says_the_same_on_every_surface() {
    let mut wrong = Vec::new();
    let mut checked = 0;
    for case in cases() {
        let said = (case.read)(&case.body);
        for way in WAYS {
            for piece in [0, 7] {
                checked += 1;
                let seen = case.replayed(way, piece);
                if let Err(what) = compare(case.status, &said, &way.read, way, &seen) {
                    wrong.push(format!("{} on {} in pieces of {piece}: {what}", case.name, way.name));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{} of {checked}:\n{}", wrong.len(), wrong.join("\n"));
}

/// A request of Google's dialect, as it was recorded.
struct Request {
    name: String,
    /// Path and query.
    target: String,
    model: String,
    body: String,
}

fn requests() -> Vec<Request> {
    let mut requests = Vec::new();
    for folder in ["gemini", "vertex"] {
        for path in recordings::files(folder) {
            let name = path.file_name().unwrap().to_str().unwrap();
            let Some(case) = name.strip_suffix(".request.json").filter(|name| name.starts_with("generate-"))
            else {
                continue;
            };
            let meta = fs::read(path.with_file_name(format!("{case}.meta.json"))).unwrap();
            let meta: Value = serde_json::from_slice(&meta).unwrap();
            let path_of = meta["path"].as_str().unwrap().replace('<', "%3C").replace('>', "%3E");
            let model = path_of.rsplit_once("models/").unwrap().1.split(':').next().unwrap();
            let query = meta["query"].as_str().filter(|query| !query.is_empty());
            requests.push(Request {
                name: format!("{folder}/{case}"),
                target: query.map_or_else(|| path_of.clone(), |query| format!("{path_of}?{query}")),
                model: model.to_owned(),
                body: fs::read_to_string(&path).unwrap(),
            });
        }
    }
    requests
}

const GOOGLES: &str = r#"{"candidates":[{"content":{"parts":[{"text":"ok"}],"role":"model"},"finishReason":"STOP","index":0}]}"#;
const OPENAIS: &str = r#"{"id":"c","object":"chat.completion","model":"m","choices":[{"index":0,"message":{"role":"assistant","content":"ok"},"finish_reason":"stop"}]}"#;
const ANTHROPICS: &str = r#"{"id":"m","type":"message","role":"assistant","model":"m","content":[{"type":"text","text":"ok"}],"stop_reason":"end_turn","usage":{"input_tokens":1,"output_tokens":1}}"#;

#[test]
fn a_recorded_request_of_googles_reaches_its_own_upstream_unchanged() {
    for Request { name, target, model, body } in requests() {
        let seen = Replay::new("gemini", &model).run_at(&target, body.clone(), &Answer::whole(200, GOOGLES));
        assert_eq!(seen.status, 200, "{name}: {:?}", seen.body);
        assert_eq!(seen.sent[0].body, body, "{name}");
        // Only the form of a stream is asked for by the query.
        let verb = target.split_once("models/").unwrap().1.split("?%24").next().unwrap();
        let sent = seen.sent[0].uri.path_and_query().unwrap().as_str();
        assert_eq!(sent, format!("/base/models/{verb}"), "{name}");
    }
}

#[test]
fn a_recorded_request_of_googles_is_understood_by_the_others() {
    for Request { name, target, model, body } in requests() {
        for (kind, answer) in [("openai", OPENAIS), ("anthropic", ANTHROPICS)] {
            let seen = Replay::new(kind, &model).run_at(&target, body.clone(), &Answer::whole(200, answer));
            let told = said::gemini(&seen.body);
            if body.contains("cachedContent") {
                assert_eq!((seen.status, told.failed), (400, true), "{name}");
                continue;
            }
            assert_eq!(seen.status, 200, "{name} to {kind}: {:?}", seen.body);
            assert_eq!(told.choices[0].text, "ok", "{name} to {kind}");
            let sent: Value = serde_json::from_slice(&seen.sent[0].body).unwrap();
            let asked: Value = serde_json::from_str(&body).unwrap();
            let count = |value: &Value| value.as_array().map_or(0, Vec::len);
            let declared = asked["tools"].as_array().into_iter().flatten();
            let declared: usize = declared
                .map(|tool| count(&tool["functionDeclarations"]) + count(&tool["function_declarations"]))
                .sum();
            // A model without answer schemas is given the schema as one more tool.
            assert!((declared..=declared + 1).contains(&count(&sent["tools"])), "{name} to {kind}");
        }
    }
}

#[test]
fn a_recorded_request_of_bedrocks_reaches_its_own_upstream_unchanged_and_is_understood_by_the_others() {
    for path in recordings::files("bedrock") {
        let name = path.file_name().unwrap().to_str().unwrap().to_owned();
        let Some(case) = name.strip_suffix(".request.json") else { continue };
        let meta = fs::read(path.with_file_name(format!("{case}.meta.json"))).unwrap();
        let meta: Value = serde_json::from_slice(&meta).unwrap();
        let target = meta["path"].as_str().unwrap();
        let model = target.strip_prefix("/model/").unwrap().rsplit_once('/').unwrap().0.replace("%3A", ":");
        let body = fs::read_to_string(&path).unwrap();
        let answer = Answer::whole(200, CONVERSED);
        let seen = Replay::new("bedrock", &model).run_at(target, body.clone(), &answer);
        assert_eq!(seen.status, 200, "{name}: {:?}", seen.body);
        assert_eq!(seen.sent[0].body, body, "{name}");
        let sent = seen.sent[0].uri.path().strip_prefix("/base").unwrap().replace("%3A", ":");
        assert_eq!(sent, target.replace("%3A", ":"), "{name}");
        if !name.starts_with("converse-") {
            continue;
        }
        for (kind, answer) in [("openai", OPENAIS), ("anthropic", ANTHROPICS), ("gemini", GOOGLES)] {
            let seen = Replay::new(kind, &model).run_at(target, body.clone(), &Answer::whole(200, answer));
            assert_eq!(seen.status, 200, "{name} to {kind}: {:?}", seen.body);
            assert_eq!(said::bedrock(&seen.body).choices[0].text, "ok", "{name} to {kind}");
        }
    }
}

const CONVERSED: &str = r#"{"output":{"message":{"role":"assistant","content":[{"text":"ok"}]}},"stopReason":"end_turn","usage":{"inputTokens":1,"outputTokens":1,"totalTokens":2},"metrics":{"latencyMs":5}}"#;
