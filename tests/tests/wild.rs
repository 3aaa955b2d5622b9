//! Answers as they are met in the wild: what providers say beside the common words. Each comes out on every
//! surface, whole and streamed, and nothing of it is lost.
//!
//! `tests/fixtures/wild/DIALECT.json` is a list of cases. `says` is a whole answer, or a stream as a list: a
//! text stands as it is, anything else is the data of an event, whose name is its `type` where the dialect
//! names its events so. `keeps` lists words of it that no surface may lose; `but` says, by the beginning of a
//! way's name, which of them it has no place for. `means` says what a reader of the dialect's common words
//! does not find in it, and `mended` that even its own surface does not pass it as it came.

#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test fails by panicking")]

use bytes::BytesMut;
use serde_json::Value;
use std::fmt::Write as _;
use std::path::Path;
use tollgate_core::framing::event_stream::write_event;
use tollgate_tests::replay::{Answer, Replay, Seen};
use tollgate_tests::said::{self, Call, End, Said};
use tollgate_tests::ways::{Form, Reader, WAYS, Way, compare};

/// Who reads which file, and the vendor of its cases unless they name another.
const DIALECTS: &[(&str, Reader)] = &[
    ("openai", said::openai),
    ("openai-responses", said::responses),
    ("anthropic", said::anthropic),
    ("gemini", said::gemini),
    ("bedrock", said::bedrock),
    ("cohere", said::cohere),
    ("ollama-native", said::ollama),
];

struct Case {
    name: String,
    dialect: &'static str,
    read: Reader,
    written: Value,
}

fn cases() -> Vec<Case> {
    let mut cases = Vec::new();
    for (dialect, read) in DIALECTS {
        let file = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("fixtures/wild/{dialect}.json"));
        let all: Vec<Value> = serde_json::from_slice(&std::fs::read(file).unwrap()).unwrap();
        for written in all {
            let name = format!("{dialect}: {}", written["name"].as_str().unwrap());
            cases.push(Case { name, dialect, read: *read, written });
        }
    }
    cases
}

impl Case {
    fn vendor(&self) -> &'static str {
        self.written["vendor"].as_str().map_or(self.dialect, |vendor| Box::leak(vendor.to_owned().into()))
    }

    fn status(&self) -> u16 {
        self.written["status"].as_u64().map_or(200, |status| u16::try_from(status).unwrap())
    }

    fn is_streamed(&self) -> bool {
        self.written["says"].is_array()
    }

    fn answer(&self) -> Answer {
        let Some(events) = self.written["says"].as_array() else {
            return self.at(Answer::whole(self.status(), self.written["says"].to_string()));
        };
        let mut out = String::new();
        match self.dialect {
            "bedrock" => {
                let mut out = BytesMut::new();
                for event in events {
                    let name = event["event"].as_str().unwrap();
                    write_event(name, event["data"].to_string().as_bytes(), &mut out);
                }
                return Answer::event_stream(out.freeze());
            }
            "ollama-native" => {
                events.iter().for_each(|event| writeln!(out, "{event}").unwrap());
                return Answer::lines(out);
            }
            _ => {}
        }
        let named = matches!(self.dialect, "anthropic" | "openai-responses" | "cohere");
        for event in events {
            match (event.as_str(), event["type"].as_str().filter(|_| named)) {
                (Some(text), _) => out.push_str(text),
                (None, Some(name)) => write!(out, "event: {name}\ndata: {event}\n\n").unwrap(),
                (None, None) => write!(out, "data: {event}\n\n").unwrap(),
            }
        }
        self.at(Answer::stream(out))
    }

    /// What is said of chat is said of chat only: a vendor may serve Responses beside it.
    fn at(&self, answer: Answer) -> Answer {
        if self.dialect == "openai" { answer.at("/chat/completions") } else { answer }
    }

    fn played(&self, way: &Way, answer: &Answer) -> Seen {
        let mut replay = Replay::new(self.vendor(), "m-1");
        if self.vendor() == "vertex" {
            replay.terms = "project = \"p\"\n".to_owned();
        }
        replay.run_at(way.target, (way.body)().to_string(), answer)
    }

    /// Whether this way has no place for the word.
    fn excuses(&self, way: &Way, word: &str) -> bool {
        let Some(but) = self.written["but"].as_object() else { return false };
        let mut excused = but.iter().filter(|(name, _)| way.name.starts_with(name.as_str()));
        excused.any(|(_, words)| words.as_array().unwrap().iter().any(|excused| excused == word))
    }

    /// What the answer means, as a reader finds it unless the case says it: readers know only common words.
    fn meant(&self, mut said: Said) -> Said {
        let means = &self.written["means"];
        let one = &mut said.choices[0];
        if let Some(text) = means["text"].as_str() {
            text.clone_into(&mut one.text);
        }
        if let Some(text) = means["thoughts"].as_str() {
            text.clone_into(&mut one.thoughts);
        }
        if let Some(names) = means["calls"].as_array() {
            let named =
                |name: &Value| Call { name: name.as_str().unwrap().to_owned(), arguments: Value::Null };
            one.calls = names.iter().map(named).collect();
        }
        match means["end"].as_str() {
            Some("done") => one.end = End::Done,
            Some("filter") => one.end = End::Filter,
            _ => {}
        }
        said.output = means["output"].as_u64().or(said.output);
        said
    }

    fn check(&self, way: &Way, answer: &Answer) -> Result<(), String> {
        let seen = self.played(way, answer);
        let own = way.name.split(',').next() == self.dialect.split('-').next_back();
        let same = self.is_streamed() == (way.form != Form::Whole) && way.form != Form::Array;
        let said = (self.read)(&answer.pieces.concat());
        // In its own dialect and form it passes as it came.
        if own && same && !said.failed && self.status() == 200 && self.written["mended"] != true {
            let passed = seen.body == answer.pieces.concat();
            return if passed { Ok(()) } else { Err(format!("changed: {:?}", seen.body)) };
        }
        let means = self.written["means"].is_object();
        let read = |body: &[u8]| {
            let mut told = (way.read)(body);
            let arguments = told.choices.iter_mut().flat_map(|choice| &mut choice.calls);
            arguments
                .filter(|_| !self.written["means"]["calls"].is_null())
                .for_each(|call| call.arguments = Value::Null);
            told
        };
        let said = if means { self.meant(said) } else { said };
        // What its common words do not say is found in its own words by nobody here.
        if !(own && means) {
            compare(self.status(), &said, &read, way, &seen)?;
        }
        let body = String::from_utf8_lossy(&seen.body);
        for word in self.written["keeps"].as_array().into_iter().flatten() {
            let word = word.as_str().unwrap();
            if !body.contains(word) && !self.excuses(way, word) {
                return Err(format!("{word} is lost: {body}"));
            }
        }
        Ok(())
    }
}

#[test]
fn every_answer_of_the_wild_comes_out_on_every_surface_without_loss() {
    let (mut checked, mut wrong) = (0, Vec::new());
    for case in cases() {
        for way in WAYS {
            for piece in [0, 11] {
                let answer = case.answer();
                let answer = if piece == 0 { answer } else { answer.cut(piece) };
                checked += 1;
                if let Err(what) = case.check(way, &answer) {
                    wrong.push(format!("{} on {} in pieces of {piece}: {what}", case.name, way.name));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{} of {checked}:\n{}", wrong.len(), wrong.join("\n"));
    assert!(checked > 1_000, "only {checked} were checked");
}

/// Of every vendor that there are recordings of, and of every dialect, so that a checkout without recordings
/// has the same kinds of answers to read.
#[test]
fn every_recorded_vendor_answers_whole_and_streamed_and_every_dialect_refuses() {
    const RECORDED: [&str; 16] = [
        "anthropic",
        "azure",
        "bedrock",
        "cohere",
        "deepseek",
        "gemini",
        "gemini-openai",
        "groq",
        "mistral",
        "ollama",
        "ollama-native",
        "openai",
        "openai-responses",
        "openrouter",
        "vertex",
        "xai",
    ];
    let cases = cases();
    let is_there = |name: &str, what: fn(&Case) -> bool| {
        cases.iter().any(|case| (case.vendor() == name || case.dialect == name) && what(case))
    };
    for vendor in RECORDED {
        assert!(is_there(vendor, |case| case.status() == 200 && !case.is_streamed()), "{vendor}, whole");
        assert!(is_there(vendor, Case::is_streamed), "{vendor}, streamed");
    }
    for (dialect, _) in DIALECTS {
        assert!(is_there(dialect, |case| case.status() != 200), "{dialect}, refused");
    }
}

#[test]
fn every_word_that_is_to_be_kept_is_said() {
    for case in cases() {
        let said = String::from_utf8_lossy(&case.answer().pieces.concat()).into_owned();
        for word in case.written["keeps"].as_array().into_iter().flatten() {
            assert!(said.contains(word.as_str().unwrap()), "{}: {word}", case.name);
        }
    }
}
