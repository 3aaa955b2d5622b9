//! One request and its answer.

use std::fmt;
use std::future::pending;
use std::sync::Arc;

use bytes::Bytes;
use http::header::{
    CONNECTION, CONTENT_LENGTH, CONTENT_TYPE, SEC_WEBSOCKET_ACCEPT, SEC_WEBSOCKET_KEY, UPGRADE,
};
use http::request::Parts;
use http::response::Builder;
use http::{HeaderValue, Method, Request, Response, StatusCode};
use http_body_util::BodyExt as _;
use hyper::body::Incoming;
use hyper::upgrade::OnUpgrade;
use serde_json::{Value, json};

use super::SimOptions;
use super::fast::Prepared;
use super::files::{Files, Said};
use super::link::Link;
use crate::answer::{compose, tokens};
use crate::ask::{fingerprint, last_user_text};
use crate::dialect::{self, Arrival, Dialect, Framing, Place, Target, Wanted, openai};
use crate::fault::{Kind, Refusal};
use crate::form;
use crate::gate::Gates;
use crate::json::Fields as _;
use crate::log::{Log, Watch, key_of};
use crate::play::Play;
use crate::quirks::{Delivery, Quirks, Shape, Unreadable, split_message, split_model};
use crate::realtime::{self, accepted};
use crate::script::plan;
use crate::signature;
use crate::wire::{Frame, encode};

/// What all connections share.
pub(super) struct Desk {
    pub(super) log: Log,
    pub(super) gates: Gates,
    pub(super) options: SimOptions,
    pub(super) fast: Prepared,
    pub(super) files: Files,
}

/// The connection is to be closed without an answer.
#[derive(Debug)]
pub(super) struct Hangup;

impl fmt::Display for Hangup {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("hung up as asked")
    }
}

impl std::error::Error for Hangup {}

type Answered = Result<Response<Play>, Hangup>;

/// Answers one request; an error closes the connection.
pub(super) async fn answer(desk: Arc<Desk>, link: Arc<Link>, mut request: Request<Incoming>) -> Answered {
    if request.uri().path().ends_with("/realtime") && request.headers().contains_key(SEC_WEBSOCKET_KEY) {
        let upgrade = hyper::upgrade::on(&mut request);
        let (parts, _) = request.into_parts();
        let watch = desk.log.open(&parts, Bytes::new());
        return Talk { desk: &desk, link, parts: &parts, watch }.open(upgrade, desk.clone()).await;
    }
    let (parts, body) = request.into_parts();
    // A client that leaves while it is still sending has asked nothing.
    let body = body.collect().await.map_err(|_| Hangup)?.to_bytes();
    let path = parts.uri.path();
    if path.starts_with("/sim/") {
        return Ok(control(&desk, &link, &parts));
    }
    let target = dialect::route(path, parts.uri.query().unwrap_or_default());
    if let Some(target) = &target
        && let Some(ready) = desk.fast.answer(target, &body)
    {
        desk.log.seen();
        let steps = ready.steps.as_ref().clone();
        let mut head = Response::builder().header(CONTENT_TYPE, content_type(ready.delivery, target.framing));
        if ready.delivery == Delivery::Whole {
            head = head.header(CONTENT_LENGTH, ready.length);
        }
        return finished(head, Play::new(steps, link, None));
    }
    let watch = desk.log.open(&parts, body.clone());
    let listed = dialect::models(&parts);
    let talk = Talk { desk: &desk, link, parts: &parts, watch };
    if target.is_none()
        && let Some(said) = talk.desk.files.answer(talk.parts, &body)
    {
        return talk.beside(said, &body).await;
    }
    match (target, listed) {
        (Some(target), _) if parts.method == Method::POST => talk.answer(&target, &body).await,
        (None, Some(listed)) if parts.method == Method::GET => talk.plain(StatusCode::OK, &listed),
        _ => talk.lost(),
    }
}

fn control(desk: &Desk, link: &Arc<Link>, parts: &Parts) -> Response<Play> {
    let query = parts.uri.query().unwrap_or_default();
    let asked = |name: &str| {
        let pairs = query.split('&').filter_map(|pair| pair.split_once('='));
        pairs.filter(|(found, _)| *found == name).map(|(_, value)| value).next()
    };
    let said = match (&parts.method, parts.uri.path()) {
        (&Method::GET, "/sim/log") => desk.log.listed(),
        (&Method::GET, "/sim/count") => {
            let id = asked("id");
            json!({"id": id, "count": desk.log.counted(id)})
        }
        (&Method::GET, "/sim/bill") => desk.log.billed(),
        (&Method::POST, "/sim/open") => {
            let permits = asked("permits").and_then(|permits| permits.parse().ok());
            desk.gates.named(asked("id").unwrap_or_default()).open(permits);
            json!({"ok": true})
        }
        (&Method::POST, "/sim/reset") => {
            desk.log.reset();
            desk.gates.reset();
            json!({"ok": true})
        }
        _ => {
            json!({"error": "there are GET /sim/log, GET /sim/count?id=NAME, GET /sim/bill, POST /sim/open?id=NAME and POST /sim/reset"})
        }
    };
    let body = Bytes::from(said.to_string());
    let mut made = Response::new(Play::once(body.clone(), link.clone()));
    made.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    made.headers_mut().insert(CONTENT_LENGTH, body.len().into());
    made
}

fn content_type(delivery: Delivery, framing: Framing) -> &'static str {
    match (delivery, framing) {
        (Delivery::Whole, _) | (Delivery::Stream, Framing::Array) => "application/json",
        (Delivery::Stream, Framing::Sse | Framing::SseCrlf) => "text/event-stream; charset=utf-8",
        (Delivery::Stream, Framing::Binary) => "application/vnd.amazon.eventstream",
        (Delivery::Stream, Framing::Lines) => "application/x-ndjson",
    }
}

/// A head that cannot be built (a header asked for is not one) hangs up.
fn finished(head: Builder, body: Play) -> Answered {
    head.body(body).map_err(|_| Hangup)
}

/// One logged request being answered.
struct Talk<'a> {
    desk: &'a Desk,
    link: Arc<Link>,
    parts: &'a Parts,
    watch: Watch,
}

/// A request understood as far as every dialect has it in common.
struct Heard<'a> {
    target: &'a Target,
    body: Value,
    model: String,
    said: String,
    delivery: Delivery,
    quirks: Quirks,
    id: u64,
}

impl Talk<'_> {
    async fn answer(self, target: &Target, body: &Bytes) -> Answered {
        let heard = match self.hear(target, body) {
            Ok(heard) => heard,
            Err(Unreadable(reason)) => {
                let refusal = Refusal::bad(format!("tollgate-sim: {reason}"));
                return self.refuse(target.dialect, &refusal, &Quirks::default());
            }
        };
        let Quirks { pace, breaks, .. } = &heard.quirks;
        if let Some(delay) = pace.head_delay {
            tokio::time::sleep(delay).await;
        }
        if let Some(gate) = &pace.gate
            && pace.is_gated()
        {
            self.desk.gates.named(gate).pass().await;
        }
        if pace.head_silence {
            pending::<()>().await;
        }
        if breaks.reset {
            self.link.reset_at_end();
        }
        if breaks.hangup || (breaks.reset && !breaks.cuts()) {
            self.watch.broken();
            return Err(Hangup);
        }
        if let Some(failure) = self.failure(&heard) {
            return self.fail(&heard, failure);
        }
        if let Err(refusal) = signature::check(self.parts, body) {
            return self.refuse(target.dialect, &refusal, &heard.quirks);
        }
        self.fulfil(&heard)
    }

    /// Opens a realtime session, which goes on by itself.
    async fn open(self, upgrade: OnUpgrade, desk: Arc<Desk>) -> Answered {
        let query = self.parts.uri.query().unwrap_or_default();
        let pairs = || query.split('&').filter_map(|pair| pair.split_once('='));
        let model = pairs().find(|(name, _)| matches!(*name, "model" | "deployment"));
        let model = dialect::decoded(model.map_or("", |(_, model)| model));
        let place = Place::Path { model, delivery: Delivery::Stream };
        let (dialect, wanted) = (&openai::DIALECT, Wanted::Answer);
        let target = Target { dialect, place, framing: Framing::Sse, wanted };
        let heard = match self.hear(&target, &Bytes::new()) {
            Ok(heard) => heard,
            Err(Unreadable(reason)) => {
                return self.refuse(
                    dialect,
                    &Refusal::bad(format!("tollgate-sim: {reason}")),
                    &Quirks::default(),
                );
            }
        };
        if let Some(delay) = heard.quirks.pace.head_delay {
            tokio::time::sleep(delay).await;
        }
        if heard.quirks.pace.head_silence {
            pending::<()>().await;
        }
        if heard.quirks.breaks.hangup {
            self.watch.broken();
            return Err(Hangup);
        }
        if let Some(failure) = self.failure(&heard) {
            return self.fail(&heard, failure);
        }
        let key = self.parts.headers.get(SEC_WEBSOCKET_KEY).map(HeaderValue::as_bytes).unwrap_or_default();
        let head = Response::builder()
            .status(StatusCode::SWITCHING_PROTOCOLS)
            .header(CONNECTION, "upgrade")
            .header(UPGRADE, "websocket")
            .header(SEC_WEBSOCKET_ACCEPT, &accepted(key)[..])
            .header(dialect.id_header, format!("req_sim{:08}", self.watch.number()));
        self.watch.status(101);
        let Heard { model, quirks, .. } = heard;
        let (model, watch) = (model, self.watch);
        tokio::spawn(async move {
            if let Ok(upgraded) = upgrade.await {
                realtime::Session { model, quirks, gates: &desk.gates, watch }.serve(upgraded).await;
            }
        });
        finished(head, Play::new(Vec::new(), self.link, None))
    }

    fn hear<'t>(&self, target: &'t Target, body: &Bytes) -> Result<Heard<'t>, Unreadable> {
        let parsed = form::read(&self.parts.headers, body);
        let streamed = *parsed.at("stream") == Value::Bool(true) || parsed.at("stream_format") == "sse";
        let (model, asked) = match &target.place {
            Place::Path { model, delivery } => (model.as_str(), *delivery),
            Place::Body if streamed => (parsed.at("model").as_str().unwrap_or_default(), Delivery::Stream),
            Place::Body => (parsed.at("model").as_str().unwrap_or_default(), Delivery::Whole),
        };
        let text = last_user_text(&parsed);
        let message = split_message(&text);
        let named = split_model(model);
        let mut quirks = Quirks::default();
        let header = self.parts.headers.get("x-sim").and_then(|value| value.to_str().ok());
        for directives in [header, named.directives, message.directives].into_iter().flatten() {
            quirks.read(directives)?;
        }
        let delivery = quirks.form.delivery.unwrap_or(asked);
        let (model, said, id) = (named.rest, message.rest, fingerprint(body));
        Ok(Heard { target, model, said, delivery, quirks, id, body: parsed })
    }

    /// The failure asked for, if it applies to this request.
    fn failure(&self, heard: &Heard<'_>) -> Option<Failure> {
        let Quirks { failure, breaks, .. } = &heard.quirks;
        let path = self.parts.uri.path_and_query().map_or("", |path| path.as_str());
        let key = key_of(&self.parts.headers, path);
        let expected = failure.expect_key.as_ref().or(self.desk.options.expect_key.as_ref());
        if expected.is_some() && expected != key.as_ref() {
            return Some(Failure { status: None, shape: Shape::Own(Kind::InvalidKey) });
        }
        let count = (failure.id.is_some() || failure.first.is_some())
            .then(|| self.desk.log.count(failure.id.as_deref().unwrap_or_default()));
        let mut status = failure.status;
        if let (Some(first), Some(count)) = (failure.first, count) {
            if count > first {
                return None;
            }
            status = status.or_else(|| failure.error.is_none().then_some(503));
        }
        if let Some(refused) = &failure.key {
            if key.as_ref() != Some(refused) {
                return None;
            }
            status = status.or_else(|| failure.error.is_none().then_some(401));
        }
        // An error inside the stream takes the kind and status for itself.
        if breaks.error_after.is_some() || (failure.error.is_none() && status.is_none_or(|code| code < 400)) {
            return None;
        }
        let shape = failure.error.unwrap_or(Shape::Own(Kind::of_status(status.unwrap_or(500))));
        Some(Failure { status, shape })
    }

    fn fail(self, heard: &Heard<'_>, failure: Failure) -> Answered {
        let quirks = &heard.quirks;
        let dialect = heard.target.dialect;
        let refusal = match failure.shape {
            Shape::Own(kind) => {
                let retry_after = quirks.failure.retry_after.clone();
                Refusal { status: failure.status, retry_after, ..Refusal::of(kind) }
            }
            Shape::Text | Shape::Html | Shape::Empty => {
                Refusal { status: Some(failure.status.unwrap_or(502)), ..Refusal::of(Kind::Server) }
            }
        };
        let status = dialect.status_of(&refusal);
        let (kind, body) = match (failure.shape, &quirks.failure.body) {
            (_, Some(body)) => ("application/json", body.clone()),
            (Shape::Own(_), None) => return self.refuse(dialect, &refusal, quirks),
            (Shape::Text, None) => ("application/json", json!({"error": refusal.message}).to_string()),
            (Shape::Html, None) => ("text/html", format!("<html><body><h1>{status}</h1></body></html>\n")),
            (Shape::Empty, None) => ("text/plain", String::new()),
        };
        let head = self.head(status, dialect, quirks, kind);
        self.whole(head, body.into(), quirks)
    }

    fn refuse(self, dialect: &Dialect, refusal: &Refusal, quirks: &Quirks) -> Answered {
        let status = dialect.status_of(refusal);
        let body = (dialect.refuse)(refusal, status).to_string();
        let mut head = self.head(status, dialect, quirks, "application/json");
        if let Some(name) = (dialect.error_name)(refusal) {
            head = head.header("x-amzn-errortype", name);
        }
        self.whole(head, body.into(), quirks)
    }

    fn fulfil(self, heard: &Heard<'_>) -> Answered {
        let Heard { target, body, model, said, delivery, quirks, id } = heard;
        let dialect = target.dialect;
        let (model, said, wanted) = (model.clone(), said.clone(), target.wanted);
        let arrival = Arrival { headers: &self.parts.headers, body, model, said, quirks, wanted };
        let ask = match (dialect.read)(&arrival) {
            Ok(ask) => ask,
            Err(refusal) => return self.refuse(dialect, &refusal, quirks),
        };
        let mut content = quirks.content.clone();
        if !ask.cache.is_empty() {
            let cached = self.desk.log.cache(&ask.cache);
            content.cached = content.cached.or(Some(tokens(cached.read)));
            content.cache_write = content.cache_write.or(Some(tokens(cached.written)));
        }
        let answer = compose(&ask, &content, *id);
        if target.wanted == Wanted::Count {
            let head = self.head(StatusCode::OK, dialect, quirks, "application/json");
            return self.whole(head, (dialect.counted)(answer.usage.input).to_string().into(), quirks);
        }
        self.watch.comes_to(answer.usage);
        let status = quirks.failure.status.filter(|code| *code < 400).unwrap_or(200);
        let status = StatusCode::from_u16(status).unwrap_or_default();
        let head = self.head(status, dialect, quirks, content_type(*delivery, target.framing));
        match delivery {
            Delivery::Whole if let Some(raw) = dialect::raw(dialect, &ask, &answer, quirks) => {
                let head = self.head(status, dialect, quirks, raw.content_type);
                let gate = quirks.pace.gate.as_ref().map(|name| self.desk.gates.named(name));
                let play = Play::new(plan(raw.pieces, quirks), self.link, Some(self.watch));
                finished(head, play.gated(gate))
            }
            Delivery::Whole => {
                let body = (dialect.whole)(&ask, &answer, quirks).to_string();
                self.whole(head, body.into(), quirks)
            }
            Delivery::Stream => {
                let frames = broken_off((dialect.stream)(&ask, &answer, quirks), dialect, quirks);
                let steps = plan(encode(&frames, target.framing, &quirks.form), quirks);
                let gate = quirks.pace.gate.as_ref().map(|name| self.desk.gates.named(name));
                finished(head, Play::new(steps, self.link, Some(self.watch)).gated(gate))
            }
        }
    }

    fn head(&self, status: StatusCode, dialect: &Dialect, quirks: &Quirks, content_type: &str) -> Builder {
        self.watch.status(status.as_u16());
        let kind = quirks.form.content_type.as_deref().unwrap_or(content_type);
        let mut head = Response::builder().status(status).header(CONTENT_TYPE, kind);
        head = head.header(dialect.id_header, format!("req_sim{:08}", self.watch.number()));
        if let Some(value) = &quirks.failure.retry_after {
            head = head.header("retry-after", value);
        }
        if let Some(value) = &quirks.failure.retry_after_ms {
            head = head.header("retry-after-ms", value);
        }
        for header in &quirks.failure.headers {
            head = head.header(&header.name, &header.value);
        }
        if quirks.breaks.close { head.header(CONNECTION, "close") } else { head }
    }

    fn whole(self, head: Builder, body: Bytes, quirks: &Quirks) -> Answered {
        let head = head.header(CONTENT_LENGTH, body.len());
        let steps = plan(vec![body], quirks);
        finished(head, Play::new(steps, self.link, Some(self.watch)))
    }

    fn plain(self, status: StatusCode, body: &Value) -> Answered {
        let quirks = Quirks::default();
        let head = self.head(status, &openai::DIALECT, &quirks, "application/json");
        self.whole(head, body.to_string().into(), &quirks)
    }

    /// What is no model's answer. Asked for with another key than is expected it is refused like one.
    async fn beside(self, said: Said, body: &Bytes) -> Answered {
        let path = self.parts.uri.path_and_query().map_or("", |path| path.as_str());
        let expected = &self.desk.options.expect_key;
        if expected.is_some() && *expected != key_of(&self.parts.headers, path) {
            return self.refuse(&openai::DIALECT, &Refusal::of(Kind::InvalidKey), &Quirks::default());
        }
        if let Err(refusal) = signature::check(self.parts, body) {
            return self.refuse(&openai::DIALECT, &refusal, &Quirks::default());
        }
        let query = self.parts.uri.query().unwrap_or_default();
        if let Some(gate) = query.split('&').find_map(|pair| pair.strip_prefix("gate=")) {
            self.desk.gates.named(gate).pass().await;
        }
        let asked =
            |name| query.split('&').filter_map(|pair| pair.split_once('=')).find(|pair| pair.0 == name);
        let status = asked("status").and_then(|(_, status)| status.parse().ok());
        let key = key_of(&self.parts.headers, path);
        let is_meant = asked("fail_key").is_none_or(|(_, refused)| key.as_deref() == Some(refused));
        if let Some(status) = status.filter(|_| is_meant) {
            let retry_after = asked("retry_after").map(|(_, span)| span.to_owned());
            let refusal =
                Refusal { status: Some(status), retry_after, ..Refusal::of(Kind::of_status(status)) };
            return self.refuse(&openai::DIALECT, &refusal, &Quirks::default());
        }
        let Said { status, kind, body } = said;
        let quirks = Quirks::default();
        let head = self.head(status, &openai::DIALECT, &quirks, kind);
        self.whole(head, body, &quirks)
    }

    fn lost(self) -> Answered {
        let message = format!("Invalid URL ({} {})", self.parts.method, self.parts.uri.path());
        let refusal = Refusal { status: Some(404), ..Refusal::bad(message) };
        self.refuse(&openai::DIALECT, &refusal, &Quirks::default())
    }
}

/// A failure that applies.
struct Failure {
    status: Option<u16>,
    shape: Shape,
}

/// Ends the stream early where asked, with an error or without.
fn broken_off(mut frames: Vec<Frame>, dialect: &Dialect, quirks: &Quirks) -> Vec<Frame> {
    if let Some(most) = quirks.breaks.end_after_events {
        frames.truncate(most);
    }
    if let Some(most) = quirks.breaks.error_after {
        let kind = match quirks.failure.error {
            Some(Shape::Own(kind)) => kind,
            Some(Shape::Text | Shape::Html | Shape::Empty) => Kind::Server,
            None => quirks.failure.status.map_or(Kind::Overloaded, Kind::of_status),
        };
        let refusal = Refusal { status: quirks.failure.status, ..Refusal::of(kind) };
        frames.truncate(most);
        frames.push((dialect.interrupt)(&refusal, dialect.status_of(&refusal)));
    }
    frames
}
