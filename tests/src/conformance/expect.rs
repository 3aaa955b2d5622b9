//! What a client is to see of an answer, and a test of the provider.

use super::answer::{End, end, error, events, parsed, said};
use super::flight::is_whole;
use super::matcher::{Matcher, at};
use super::provider::Provider;
use crate::http::Answer;
use serde::Deserialize;
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// What an answer is to be. What is not named may be anything, but no answer may be incomplete unless
/// `stream = "broken"` says so.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Expect {
    status: Option<Matcher>,
    headers: BTreeMap<String, Matcher>,
    json: BTreeMap<String, Matcher>,
    events: BTreeMap<String, Matcher>,
    text: Option<Matcher>,
    said: Option<Matcher>,
    fault: Option<Fault>,
    stream: Option<Stream>,
    as_direct: bool,
    sent: Option<String>,
}

/// An error in OpenAI's shape, as the contract lists them.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Fault {
    status: u16,
    #[serde(rename = "type")]
    kind: String,
    code: String,
    #[serde(default)]
    param: Option<String>,
    #[serde(default)]
    says: Vec<String>,
}

#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "kebab-case")]
enum Stream {
    Done,
    Broken,
}

impl Expect {
    /// Everything about the answer that is not as expected; nothing if all is well.
    pub fn check(&self, answer: &Answer, provider: &Provider) -> Result<(), String> {
        let mut wrong = Wrong::default();
        self.check_form(answer, &mut wrong);
        self.check_content(answer, &mut wrong);
        if self.as_direct {
            wrong.note("as_direct", like_the_provider(answer, provider));
        }
        if let Some(sent) = &self.sent {
            wrong.note("sent", was_sent(sent, provider));
        }
        wrong.end().map_err(|why| format!("{why}\n    the answer: {}", shown(answer)))
    }

    fn check_form(&self, answer: &Answer, wrong: &mut Wrong) {
        if let Some(matcher) = &self.status {
            wrong.note("status", matcher.check(&json!(answer.status)));
        }
        for (name, matcher) in &self.headers {
            wrong.note(&format!("header {name}"), matcher.check(&header(answer, name)));
        }
        if let Some(fault) = &self.fault {
            wrong.note("fault", fault.check(answer));
        }
        wrong.note("stream", ended(self.stream, answer));
    }

    fn check_content(&self, answer: &Answer, wrong: &mut Wrong) {
        let whole = answer.json();
        for (path, matcher) in &self.json {
            wrong.note(path, matcher.check(&at(&whole, path)));
        }
        let all = Value::Array(parsed(answer));
        for (path, matcher) in &self.events {
            wrong.note(&format!("events.{path}"), matcher.check(&at(&all, path)));
        }
        if let Some(matcher) = &self.text {
            wrong.note("text", matcher.check(&json!(answer.text())));
        }
        if let Some(matcher) = &self.said {
            wrong.note("said", matcher.check(&json!(said(answer))));
        }
    }
}

/// What is not as expected, so far.
#[derive(Debug, Default)]
struct Wrong(Vec<String>);

impl Wrong {
    fn note(&mut self, what: &str, outcome: Result<(), String>) {
        self.0.extend(outcome.err().map(|why| format!("{what}: {why}")));
    }

    fn end(self) -> Result<(), String> {
        if self.0.is_empty() { Ok(()) } else { Err(self.0.join("\n    ")) }
    }
}

/// Null where there is none; of several the first.
fn header(answer: &Answer, name: &str) -> Value {
    let found = answer.headers.iter().find(|(found, _)| *found == name.to_ascii_lowercase());
    found.map_or(Value::Null, |(_, value)| json!(value))
}

impl Fault {
    fn check(&self, answer: &Answer) -> Result<(), String> {
        let Self { status, kind, code, param, says } = self;
        let error = error(answer);
        let found = (answer.status, &error["type"], &error["code"]);
        if found != (*status, &json!(kind), &json!(code)) {
            return Err(format!("found {found:?}, expected {:?}", (status, kind, code)));
        }
        if let Some(param) = param
            && error["param"] != *param
        {
            return Err(format!("param is {}, expected {param}", error["param"]));
        }
        let message = error["message"].as_str().unwrap_or_default();
        if message.is_empty() {
            return Err("it has no message".into());
        }
        if let Some(missing) = says.iter().find(|part| !message.contains(part.as_str())) {
            return Err(format!("no {missing:?} in its message {message:?}"));
        }
        let waits = answer.headers.iter().any(|(name, value)| {
            name == "retry-after" && value.parse::<u64>().is_ok_and(|seconds| seconds > 0)
        });
        if matches!(status, 429 | 503) && !waits {
            return Err("it has no retry-after".into());
        }
        Ok(())
    }
}

fn ended(wanted: Option<Stream>, answer: &Answer) -> Result<(), String> {
    match wanted {
        None if is_whole(answer) => Ok(()),
        None => Err("the answer was cut".into()),
        Some(wanted) => match (wanted, end(answer)) {
            (Stream::Done, End::Done) | (Stream::Broken, End::Broken) => Ok(()),
            (wanted, found) => Err(format!("ended {found:?}, expected {wanted:?}")),
        },
    }
}

fn like_the_provider(answer: &Answer, provider: &Provider) -> Result<(), String> {
    let direct = provider.again()?;
    if (answer.status, &answer.body) == (direct.status, &direct.body) {
        return Ok(());
    }
    Err(format!("the provider itself answers {}", shown(&direct)))
}

fn was_sent(wanted: &str, provider: &Provider) -> Result<(), String> {
    let found = at(&provider.log(), "-1.text");
    if found == *wanted { Ok(()) } else { Err(format!("the provider got {found}, expected {wanted:?}")) }
}

/// An answer for people: status, headers, and how it began and ended.
pub fn shown(answer: &Answer) -> String {
    const MOST: usize = 700;
    let text = answer.text();
    let text = match (text.char_indices().nth(MOST), text.char_indices().nth_back(MOST)) {
        (Some((first, _)), Some((last, _))) if first < last => {
            format!("{} [...] {}", &text[..first], &text[last..])
        }
        _ => text,
    };
    let Answer { status, headers, body, ended } = answer;
    let count = events(body).len();
    format!("{status} {headers:?}, {} bytes, {count} events, {ended:?}: {text}", body.len())
}

/// What the provider is to have seen. It is waited for.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Seen {
    calls: Option<Matcher>,
    counts: BTreeMap<String, Matcher>,
    log: BTreeMap<String, Matcher>,
    bill: BTreeMap<String, Matcher>,
}

impl Seen {
    /// Everything that is not so, now.
    pub fn check(&self, provider: &Provider) -> Result<(), String> {
        let Self { calls, counts, log, bill } = self;
        let had = provider.log();
        let mut wrong = Wrong::default();
        if let Some(matcher) = calls {
            wrong.note("the provider's calls", matcher.check(&at(&had, "#")));
        }
        for (id, matcher) in counts {
            wrong.note(&format!("the provider's count of {id}"), matcher.check(&provider.count(id)));
        }
        for (path, matcher) in log {
            wrong.note(&format!("the provider's log.{path}"), matcher.check(&at(&had, path)));
        }
        let owed = if bill.is_empty() { Value::Null } else { provider.bill() };
        for (path, matcher) in bill {
            wrong.note(&format!("the provider's bill.{path}"), matcher.check(&at(&owed, path)));
        }
        wrong.end()
    }
}
