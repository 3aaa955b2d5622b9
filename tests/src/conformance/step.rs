//! A step of a case: one thing that is done, and what is to come of it.

use super::expect::{Expect, Seen};
use super::session::Talk;
use super::words::fill_moments;
use crate::http::Request;
use serde::Deserialize;
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;

/// A step as its file says it. Exactly one of the deeds is named.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Step {
    chat: Option<String>,
    respond: Option<String>,
    messages: Option<String>,
    generate: Option<String>,
    converse: Option<String>,
    get: Option<String>,
    post: Option<String>,
    ask: Option<Ask>,
    session: Option<String>,
    says: Vec<Value>,
    stays: bool,

    said: Option<String>,
    stream: bool,
    with: Map<String, Value>,
    body: Option<Value>,
    raw: Option<String>,
    headers: BTreeMap<String, String>,
    key: Option<String>,

    at: Option<usize>,
    times: Option<usize>,
    parallel: Option<usize>,
    opens: Option<Opens>,
    start: Option<String>,

    read: Option<String>,
    events: Option<usize>,
    leave: Option<String>,
    finish: Option<String>,
    open: Option<String>,
    permits: Option<usize>,
    restart: Option<Stop>,
    reload: Option<String>,

    expect: Option<Expect>,
    statuses: BTreeMap<String, usize>,
    each: BTreeMap<String, Expect>,
    sim: Option<Seen>,
    eventually: bool,
    save: BTreeMap<String, String>,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Ask {
    method: String,
    path: String,
}

/// A gate that opens in the middle of calls made at once.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Opens {
    /// Its name.
    pub gate: String,
    /// How many are answered before.
    #[serde(default)]
    pub after: usize,
    /// How many have reached the provider before.
    #[serde(default)]
    pub calls: usize,
}

/// How a gateway is stopped before it starts again.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "kebab-case")]
pub enum Stop {
    /// It is asked to, and finishes what it does.
    Orderly,
    /// As in a crash.
    Killed,
}

/// What a step does.
#[derive(Debug)]
pub enum Deed {
    /// Sends a request.
    Call(Request, Whom, Manner),
    /// Holds a realtime session.
    Hold(Request, Whom, Talk),
    /// Waits until a request under way has so many events.
    Read(String, usize),
    /// Leaves one without waiting for the rest.
    Leave(String),
    /// Reads one to its end.
    Finish(String),
    /// Opens a gate of the provider.
    Open(String, Option<usize>),
    /// Stops the gateway and starts it with what it has kept.
    Restart(Stop),
    /// Gives it another document in place of the case's own part.
    Reload(String),
    /// Nothing: only the provider is looked at.
    Look,
}

/// Which of the gateways is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Whom {
    /// This one, counted from 0.
    One(usize),
    /// All in turn.
    Each,
}

/// How often a request is sent.
#[derive(Debug)]
pub enum Manner {
    /// So many times, one after the other.
    InTurn(usize),
    /// So many times at once.
    AtOnce(usize, Option<Opens>),
    /// Until it is answered as expected.
    Until,
    /// Once, under a name, and not waited for.
    UnderWay(String),
}

/// A step that makes sense.
#[derive(Debug)]
pub struct Planned {
    /// What is done.
    pub deed: Deed,
    /// What is to come of it.
    pub outcome: Outcome,
}

/// What is to come of a step.
#[derive(Debug)]
pub struct Outcome {
    /// Of each answer.
    pub expect: Option<Expect>,
    /// How many answers there are of each status.
    pub statuses: BTreeMap<String, usize>,
    /// Of each answer with a status.
    pub each: BTreeMap<String, Expect>,
    /// Of the provider.
    pub sim: Option<Seen>,
    /// Values of the answer's JSON that later steps may name.
    pub save: BTreeMap<String, String>,
}

impl Step {
    /// What the step does; an error says what in it makes no sense. `secret` is the key of calls that name none.
    pub fn plan(self, secret: &str) -> Result<Planned, String> {
        let calls = [
            self.chat.is_some(),
            self.respond.is_some(),
            self.messages.is_some(),
            self.generate.is_some(),
            self.converse.is_some(),
        ];
        let surfaces = calls.iter().filter(|is| **is).count();
        let others = [
            self.get.is_some(),
            self.post.is_some(),
            self.ask.is_some(),
            self.session.is_some(),
            self.read.is_some(),
            self.leave.is_some(),
            self.finish.is_some(),
            self.open.is_some(),
            self.restart.is_some(),
            self.reload.is_some(),
        ];
        let deeds = surfaces + others.iter().filter(|is| **is).count();
        if deeds > 1 {
            return Err("it does more than one thing".into());
        }
        if deeds == 0 && self.sim.is_none() {
            return Err("it does nothing".into());
        }
        let called = surfaces == 1 || self.get.is_some() || self.post.is_some() || self.ask.is_some();
        self.check_words(called, surfaces == 1)?;
        let deed = if self.session.is_some() {
            let talk = Talk { says: self.says.clone(), stays: self.stays };
            Deed::Hold(self.request(secret), self.at.map_or(Whom::Each, Whom::One), talk)
        } else if called {
            Deed::Call(self.request(secret), self.at.map_or(Whom::Each, Whom::One), self.manner()?)
        } else {
            self.other()?
        };
        let Self { expect, statuses, each, sim, save, .. } = self;
        Ok(Planned { deed, outcome: Outcome { expect, statuses, each, sim, save } })
    }

    /// Words that belong to another deed are mistakes.
    fn check_words(&self, called: bool, surface: bool) -> Result<(), String> {
        let of_surfaces = self.said.is_some() || self.stream || !self.with.is_empty();
        let of_both = !self.headers.is_empty() || self.key.is_some() || self.at.is_some();
        let of_calls = self.body.is_some()
            || self.raw.is_some()
            || self.times.is_some()
            || self.parallel.is_some()
            || self.start.is_some()
            || self.eventually;
        let of_answers = self.expect.is_some()
            || !self.statuses.is_empty()
            || !self.each.is_empty()
            || !self.save.is_empty();
        let held = self.session.is_some();
        let answered = (called && self.start.is_none()) || self.finish.is_some() || held;
        let mistakes = [
            (
                of_surfaces && !surface,
                "`said`, `stream` and `with` are for `chat`, `respond`, `messages`, `generate` and `converse`",
            ),
            (
                of_calls && !called,
                "`body`, `raw`, `times`, `parallel`, `start` and `eventually` are for calls",
            ),
            (of_both && !called && !held, "`headers`, `key` and `at` are for calls and sessions"),
            ((!self.says.is_empty() || self.stays) && !held, "`says` and `stays` are for `session`"),
            (of_answers && !answered, "there is no answer of which to expect something"),
            (self.events.is_some() != self.read.is_some(), "`events` goes with `read`"),
            (self.permits.is_some() && self.open.is_none(), "`permits` goes with `open`"),
            (self.opens.is_some() && self.parallel.is_none(), "`opens` goes with `parallel`"),
            (self.eventually && self.expect.is_none(), "`eventually` goes with `expect`"),
            (
                answered && self.expect.is_none() && self.statuses.is_empty() && self.each.is_empty(),
                "nothing is expected of the answer",
            ),
        ];
        mistakes.into_iter().find(|(is, _)| *is).map_or(Ok(()), |(_, why)| Err(why.into()))
    }

    fn manner(&self) -> Result<Manner, String> {
        let Self { times, parallel, opens, start, eventually, .. } = self;
        match (times, parallel, start, eventually) {
            (times, None, None, false) => Ok(Manner::InTurn(times.unwrap_or(1))),
            (None, Some(count), None, false) => Ok(Manner::AtOnce(*count, opens.clone())),
            (None, None, Some(name), false) => Ok(Manner::UnderWay(name.clone())),
            (None, None, None, true) => Ok(Manner::Until),
            _ => Err("`times`, `parallel`, `start` and `eventually` exclude each other".into()),
        }
    }

    fn other(&self) -> Result<Deed, String> {
        let Self { read, events, leave, finish, open, permits, restart, reload, .. } = self;
        Ok(match (read, leave, finish, open, restart, reload) {
            (Some(name), ..) => Deed::Read(name.clone(), events.unwrap_or(1)),
            (_, Some(name), ..) => Deed::Leave(name.clone()),
            (_, _, Some(name), ..) => Deed::Finish(name.clone()),
            (_, _, _, Some(gate), ..) => Deed::Open(gate.clone(), *permits),
            (.., Some(stop), _) => Deed::Restart(*stop),
            (.., Some(document)) => Deed::Reload(document.clone()),
            (None, None, None, None, None, None) => Deed::Look,
        })
    }

    fn request(&self, secret: &str) -> Request {
        let mut request = self.bare_request().map_body(fill_moments);
        for (name, value) in &self.headers {
            request = request.header(name, value);
        }
        match self.key.as_deref().unwrap_or(secret) {
            "" => request,
            key => request.key(key),
        }
    }

    fn bare_request(&self) -> Request {
        let said = self.said.as_deref().unwrap_or("hello");
        let asked = json!([{"role": "user", "content": said}]);
        if let Some(model) = &self.chat {
            return self.post("/v1/chat/completions", json!({"model": model, "messages": asked}));
        }
        if let Some(model) = &self.respond {
            return self.post("/v1/responses", json!({"model": model, "input": asked}));
        }
        if let Some(model) = &self.messages {
            let body = json!({"model": model, "max_tokens": 4096, "messages": asked});
            return self.post("/v1/messages", body).header("anthropic-version", "2023-06-01");
        }
        if let Some(model) = &self.generate {
            let verb = if self.stream { "streamGenerateContent?alt=sse" } else { "generateContent" };
            let path = format!("/v1beta/models/{}:{verb}", model.replace('/', "%2F"));
            let body = json!({"contents": [{"role": "user", "parts": [{"text": said}]}]});
            return self.filled(&path, body, false);
        }
        if let Some(model) = &self.converse {
            let verb = if self.stream { "converse-stream" } else { "converse" };
            let path = format!("/model/{}/{verb}", model.replace('/', "%2F"));
            let body = json!({"messages": [{"role": "user", "content": [{"text": said}]}]});
            return self.filled(&path, body, false);
        }
        if let Some(model) = &self.session {
            return Request::get(&format!("/v1/realtime?model={}", model.replace('+', "%2B")));
        }
        let (method, path) = match (&self.get, &self.post, &self.ask) {
            (Some(path), ..) => ("GET", path.as_str()),
            (_, Some(path), _) => ("POST", path.as_str()),
            (_, _, Some(Ask { method, path })) => (method.as_str(), path.as_str()),
            (None, None, None) => ("GET", "/"),
        };
        let body = self.raw.clone().or_else(|| self.body.as_ref().map(Value::to_string));
        let request = Request::new(method, path);
        let Some(body) = body else { return request };
        let request = request.body(body);
        if self.headers.contains_key("content-type") {
            return request;
        }
        request.header("content-type", "application/json")
    }

    fn post(&self, path: &str, body: Value) -> Request {
        self.filled(path, body, self.stream)
    }

    /// `raw` and `body` replace what a surface's question would be, `with` adds to it.
    fn filled(&self, path: &str, mut body: Value, stream: bool) -> Request {
        if let Some(raw) = &self.raw {
            return Request::raw(path, raw.clone());
        }
        if let Some(own) = &self.body {
            body = own.clone();
        }
        if stream {
            body["stream"] = json!(true);
        }
        for (name, value) in &self.with {
            body[name] = value.clone();
        }
        Request::post(path, &body)
    }
}
