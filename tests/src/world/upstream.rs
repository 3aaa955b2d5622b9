//! Simulated upstreams: they answer in their dialect, byte by byte as the seed cuts it.

use super::script::{self, Behaviour};
use super::{UPSTREAM_SECRET, World};
use bytes::Bytes;
use http::{HeaderMap, StatusCode};
use std::collections::VecDeque;
use std::rc::Rc;
use std::task::{Context, Poll, ready};
use tollgate_core::host::{Fetch, FetchError, FetchFault, Head, Reuse, Upstream};
use tollgate_core::units::{Millis, Time};

/// The words of every good answer.
pub const WORDS: [&str; 6] = ["The", " answer", " is", " fort", "y-two", " ✓."];

/// Prompt and output tokens of every good answer.
pub const USAGE: (u64, u64) = (11, 6);

/// One simulated upstream call.
pub struct SimUpstream {
    world: Rc<World>,
    plan: VecDeque<(Time, Happening)>,
    over: bool,
}

enum Happening {
    Head(StatusCode, HeaderMap),
    Bytes(Bytes),
    End,
    Break,
    /// Closed before a byte, on a kept connection.
    Gone,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Dialect {
    OpenAi,
    Anthropic,
    Gemini,
}

impl SimUpstream {
    pub fn new(world: Rc<World>, request: &Fetch) -> Self {
        let dialect = dialect(request);
        check_request(&world, request, dialect);
        let streamed = is_streamed(request, dialect);
        let calls = world.log.borrow().fetches.len();
        // The same call sent again is no new call: it goes on with its script.
        let last = world.log.borrow().fetches.last().map(|(_, _, behaviour)| *behaviour);
        let behaviour = match (request.reuse, last) {
            (Reuse::Forbidden, Some(behaviour)) => behaviour,
            (Reuse::Allowed | Reuse::Forbidden, _) => world.script.draw(&world.dice, calls),
        };
        let now = world.now.get();
        let provider = request.uri.host().unwrap_or_default().to_owned();
        if request.reuse == Reuse::Allowed {
            world.log.borrow_mut().fetches.push((now, provider, behaviour));
        }
        let plan = plan(&world, dialect, streamed, behaviour, request.reuse);
        Self { world, plan, over: false }
    }

    /// The next happening, once its time has come.
    fn poll_next(&mut self) -> Poll<Option<Happening>> {
        match self.plan.front() {
            // Nothing will ever come; only a timer can end this.
            None => Poll::Pending,
            Some((at, _)) => {
                ready!(self.world.wait(*at));
                Poll::Ready(self.plan.pop_front().map(|(_, happening)| happening))
            }
        }
    }
}

impl Drop for SimUpstream {
    fn drop(&mut self) {
        if !self.over {
            self.world.log.borrow_mut().cancelled += 1;
        }
    }
}

impl Upstream for SimUpstream {
    fn poll_head(&mut self, _cx: &mut Context<'_>) -> Poll<Result<Head, FetchError>> {
        match ready!(self.poll_next()) {
            Some(Happening::Head(status, headers)) => Poll::Ready(Ok(Head { status, headers })),
            happening => {
                self.over = true;
                let stale = matches!(happening, Some(Happening::Gone));
                let kind = if stale { FetchFault::Stale } else { FetchFault::Failed };
                Poll::Ready(Err(FetchError { kind, what: "connection refused".to_owned() }))
            }
        }
    }

    fn poll_chunk(&mut self, _cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, FetchError>>> {
        match ready!(self.poll_next()) {
            Some(Happening::Bytes(bytes)) => Poll::Ready(Some(Ok(bytes))),
            Some(Happening::End) => {
                self.over = true;
                Poll::Ready(None)
            }
            Some(Happening::Break | Happening::Gone | Happening::Head(..)) | None => {
                self.over = true;
                Poll::Ready(Some(Err(FetchError {
                    kind: FetchFault::Failed,
                    what: "connection reset in mid-body".to_owned(),
                })))
            }
        }
    }
}

fn dialect(request: &Fetch) -> Dialect {
    let path = request.uri.path();
    if path.ends_with("/chat/completions") {
        Dialect::OpenAi
    } else if path.ends_with("/messages") {
        Dialect::Anthropic
    } else {
        Dialect::Gemini
    }
}

fn is_streamed(request: &Fetch, dialect: Dialect) -> bool {
    let body: serde_json::Value = serde_json::from_slice(&request.body).unwrap();
    match dialect {
        Dialect::OpenAi | Dialect::Anthropic => body["stream"] == true,
        Dialect::Gemini => request.uri.path().ends_with(":streamGenerateContent"),
    }
}

/// What a provider would insist on, and what must never arrive there.
fn check_request(world: &World, request: &Fetch, dialect: Dialect) {
    let key = match dialect {
        Dialect::OpenAi => request.headers.get("authorization"),
        Dialect::Anthropic => request.headers.get("x-api-key"),
        Dialect::Gemini => request.headers.get("x-goog-api-key"),
    };
    if !key.is_some_and(|key| key.to_str().unwrap().ends_with(UPSTREAM_SECRET)) {
        world.broken("an upstream was called without its key");
    }
    let everything = format!("{:?}{}", request.headers, String::from_utf8_lossy(&request.body));
    if everything.contains(super::CLIENT_SECRET) {
        world.broken("I7: the client's key went upstream");
    }
    if memchr_count(&request.body, super::PROMPT_WORD) != 1 {
        world.broken("the prompt did not arrive upstream exactly once");
    }
}

fn memchr_count(body: &[u8], word: &str) -> usize {
    String::from_utf8_lossy(body).matches(word).count()
}

fn plan(
    world: &World,
    dialect: Dialect,
    streamed: bool,
    behaviour: Behaviour,
    reuse: Reuse,
) -> VecDeque<(Time, Happening)> {
    let mut plan = Plan { at: world.now.get() + script::delay(&world.dice), list: VecDeque::new(), world };
    let streamed = streamed ^ (behaviour == Behaviour::WrongForm);
    match behaviour {
        Behaviour::Stale if reuse == Reuse::Allowed => plan.push(Happening::Gone),
        Behaviour::Good
        | Behaviour::Stale
        | Behaviour::NoUsage
        | Behaviour::DoubleUsage
        | Behaviour::WrongForm => {
            plan.answer(&answer(dialect, streamed, behaviour), streamed, None, Some(Happening::End));
        }
        Behaviour::SlowStart => {
            plan.at = plan.at + Millis(1_000 + world.dice.below(6_000));
            plan.answer(&answer(dialect, streamed, behaviour), streamed, None, Some(Happening::End));
        }
        Behaviour::Status(status, retry_after) => plan.error(dialect, status, retry_after),
        Behaviour::Silence => {}
        Behaviour::SilentBody => plan.head(200, streamed),
        Behaviour::Stall(bytes) => {
            plan.answer(&answer(dialect, streamed, behaviour), streamed, Some(bytes), None)
        }
        Behaviour::Cut(bytes) => {
            plan.answer(&answer(dialect, streamed, behaviour), streamed, Some(bytes), Some(Happening::Break));
        }
        Behaviour::EndEarly(bytes) => {
            plan.answer(&answer(dialect, streamed, behaviour), streamed, Some(bytes), Some(Happening::End));
        }
        Behaviour::Unreachable => plan.push(Happening::Break),
        Behaviour::ErrorFirst | Behaviour::ErrorMidway => {
            plan.answer(&answer(dialect, streamed, behaviour), streamed, None, Some(Happening::End));
        }
        Behaviour::Garbage => plan.answer(b"<html>502 Bad Gateway</html>", false, None, Some(Happening::End)),
        Behaviour::Empty => plan.answer(b"", streamed, None, Some(Happening::End)),
    }
    plan.list
}

struct Plan<'w> {
    at: Time,
    list: VecDeque<(Time, Happening)>,
    world: &'w World,
}

impl Plan<'_> {
    fn push(&mut self, happening: Happening) {
        self.list.push_back((self.at, happening));
    }

    fn head(&mut self, status: u16, streamed: bool) {
        let mut headers = HeaderMap::new();
        let label = if streamed { "text/event-stream" } else { "application/json" };
        headers.insert("content-type", label.parse().unwrap());
        headers.insert("x-request-id", "req-upstream".parse().unwrap());
        self.push(Happening::Head(StatusCode::from_u16(status).unwrap(), headers));
    }

    /// The answer in pieces of the seed's choice.
    fn answer(&mut self, bytes: &[u8], streamed: bool, only: Option<usize>, last: Option<Happening>) {
        self.head(200, streamed);
        let bytes = &bytes[..only.map_or(bytes.len(), |only| only.min(bytes.len()))];
        let dice = &self.world.dice;
        let largest = [1, 7, 60, 4000][dice.below(4) as usize];
        let mut rest = Bytes::copy_from_slice(bytes);
        while !rest.is_empty() {
            let piece = rest.split_to(rest.len().min(1 + dice.below(largest) as usize));
            if largest > 7 {
                self.at = self.at + script::delay(dice);
            }
            self.push(Happening::Bytes(piece));
        }
        self.at = self.at + Millis(dice.below(30));
        if let Some(last) = last {
            self.push(last);
        }
    }

    fn error(&mut self, dialect: Dialect, status: u16, retry_after: Option<u64>) {
        let body = match dialect {
            Dialect::OpenAi => {
                format!(r#"{{"error":{{"message":"simulated {status}","type":"sim","code":"sim"}}}}"#)
            }
            Dialect::Anthropic => {
                format!(r#"{{"type":"error","error":{{"type":"api_error","message":"simulated {status}"}}}}"#)
            }
            Dialect::Gemini => {
                format!(r#"{{"error":{{"code":{status},"message":"simulated {status}","status":"SIM"}}}}"#)
            }
        };
        self.head(status, false);
        if let (Some(seconds), Some((_, Happening::Head(_, headers)))) = (retry_after, self.list.back_mut()) {
            headers.insert("retry-after", seconds.into());
        }
        self.push(Happening::Bytes(Bytes::from(body)));
        self.push(Happening::End);
    }
}

/// A whole answer or a stream, in the dialect's words.
fn answer(dialect: Dialect, streamed: bool, behaviour: Behaviour) -> Vec<u8> {
    match (dialect, streamed) {
        (Dialect::OpenAi, true) => openai_stream(behaviour),
        (Dialect::OpenAi, false) => openai_whole(behaviour),
        (Dialect::Anthropic, true) => anthropic_stream(behaviour),
        (Dialect::Anthropic, false) => anthropic_whole(behaviour),
        (Dialect::Gemini, true) => gemini_stream(behaviour),
        (Dialect::Gemini, false) => gemini_whole(behaviour),
    }
}

/// How often usage is told.
fn usages(behaviour: Behaviour) -> usize {
    match behaviour {
        Behaviour::NoUsage => 0,
        Behaviour::DoubleUsage => 2,
        _ => 1,
    }
}

/// The position at which a stream's error stands.
fn error_at(behaviour: Behaviour) -> Option<usize> {
    match behaviour {
        Behaviour::ErrorFirst => Some(0),
        Behaviour::ErrorMidway => Some(3),
        _ => None,
    }
}

fn openai_stream(behaviour: Behaviour) -> Vec<u8> {
    let chunk = |delta: &str, finish: &str| {
        format!(
            "data: {{\"id\":\"chatcmpl-1\",\"object\":\"chat.completion.chunk\",\"created\":1,\"model\":\"gpt-sim\",\
             \"choices\":[{{\"index\":0,\"delta\":{delta},\"finish_reason\":{finish}}}]}}\n\n"
        )
    };
    let mut out = chunk(r#"{"role":"assistant","content":""}"#, "null");
    for (at, word) in WORDS.iter().enumerate() {
        if error_at(behaviour) == Some(at) {
            out += "data: {\"error\":{\"message\":\"overloaded\",\"type\":\"server_error\",\"code\":\"503\"}}\n\n";
            return out.into_bytes();
        }
        out += &chunk(&format!("{{\"content\":{}}}", serde_json::json!(word)), "null");
    }
    out += &chunk("{}", "\"stop\"");
    for _ in 0..usages(behaviour) {
        out += &format!(
            "data: {{\"id\":\"chatcmpl-1\",\"object\":\"chat.completion.chunk\",\"created\":1,\"model\":\"gpt-sim\",\
             \"choices\":[],\"usage\":{{\"prompt_tokens\":{},\"completion_tokens\":{},\"total_tokens\":{}}}}}\n\n",
            USAGE.0,
            USAGE.1,
            USAGE.0 + USAGE.1
        );
    }
    out += "data: [DONE]\n\n";
    out.into_bytes()
}

fn openai_whole(behaviour: Behaviour) -> Vec<u8> {
    if error_at(behaviour).is_some() {
        return br#"{"error":{"message":"overloaded","type":"server_error","code":"503"}}"#.to_vec();
    }
    let mut body = serde_json::json!({
        "id": "chatcmpl-1", "object": "chat.completion", "created": 1, "model": "gpt-sim",
        "choices": [{ "index": 0, "message": { "role": "assistant", "content": WORDS.concat() }, "finish_reason": "stop" }],
    });
    if usages(behaviour) > 0 {
        body["usage"] = serde_json::json!({
            "prompt_tokens": USAGE.0, "completion_tokens": USAGE.1, "total_tokens": USAGE.0 + USAGE.1
        });
    }
    body.to_string().into_bytes()
}

fn anthropic_stream(behaviour: Behaviour) -> Vec<u8> {
    let event =
        |data: serde_json::Value| format!("event: {}\ndata: {data}\n\n", data["type"].as_str().unwrap());
    let mut out = event(serde_json::json!({ "type": "message_start", "message": {
        "id": "msg_1", "type": "message", "role": "assistant", "model": "claude-sim", "content": [],
        "stop_reason": null, "stop_sequence": null, "usage": { "input_tokens": USAGE.0, "output_tokens": 1 } } }));
    let start = serde_json::json!({ "type": "text", "text": "" });
    out += &event(serde_json::json!({ "type": "content_block_start", "index": 0, "content_block": start }));
    for (at, word) in WORDS.iter().enumerate() {
        if error_at(behaviour) == Some(at) {
            let error = serde_json::json!({ "type": "overloaded_error", "message": "Overloaded" });
            out += &event(serde_json::json!({ "type": "error", "error": error }));
            return out.into_bytes();
        }
        let delta = serde_json::json!({ "type": "text_delta", "text": word });
        out += &event(serde_json::json!({ "type": "content_block_delta", "index": 0, "delta": delta }));
    }
    out += &event(serde_json::json!({ "type": "content_block_stop", "index": 0 }));
    let mut last = serde_json::json!({ "type": "message_delta", "delta": { "stop_reason": "end_turn", "stop_sequence": null } });
    if usages(behaviour) > 0 {
        last["usage"] = serde_json::json!({ "output_tokens": USAGE.1 });
    }
    out += &event(last);
    out += &event(serde_json::json!({ "type": "message_stop" }));
    out.into_bytes()
}

fn anthropic_whole(behaviour: Behaviour) -> Vec<u8> {
    if error_at(behaviour).is_some() {
        return br#"{"type":"error","error":{"type":"overloaded_error","message":"Overloaded"}}"#.to_vec();
    }
    let usage = serde_json::json!({ "input_tokens": USAGE.0, "output_tokens": USAGE.1 });
    let body = serde_json::json!({
        "id": "msg_1", "type": "message", "role": "assistant", "model": "claude-sim",
        "content": [{ "type": "text", "text": WORDS.concat() }],
        "stop_reason": "end_turn", "stop_sequence": null,
        "usage": if usages(behaviour) > 0 { usage } else { serde_json::Value::Null },
    });
    body.to_string().into_bytes()
}

fn gemini_chunk(text: &str, finish: bool, usage: bool) -> serde_json::Value {
    let mut chunk = serde_json::json!({
        "candidates": [{ "content": { "role": "model", "parts": [{ "text": text }] }, "index": 0 }],
        "modelVersion": "gemini-sim", "responseId": "resp-1",
    });
    if finish {
        chunk["candidates"][0]["finishReason"] = "STOP".into();
    }
    if usage {
        chunk["usageMetadata"] = serde_json::json!({
            "promptTokenCount": USAGE.0, "candidatesTokenCount": USAGE.1, "totalTokenCount": USAGE.0 + USAGE.1
        });
    }
    chunk
}

fn gemini_stream(behaviour: Behaviour) -> Vec<u8> {
    let mut out = String::new();
    for (at, word) in WORDS.iter().enumerate() {
        if error_at(behaviour) == Some(at) {
            let error = serde_json::json!({ "error": { "code": 503, "message": "overloaded", "status": "UNAVAILABLE" } });
            out += &format!("data: {error}\r\n\r\n");
            return out.into_bytes();
        }
        let last = at + 1 == WORDS.len();
        out += &format!("data: {}\r\n\r\n", gemini_chunk(word, last, last && usages(behaviour) > 0));
    }
    out.into_bytes()
}

fn gemini_whole(behaviour: Behaviour) -> Vec<u8> {
    if error_at(behaviour).is_some() {
        return br#"{"error":{"code":503,"message":"overloaded","status":"UNAVAILABLE"}}"#.to_vec();
    }
    gemini_chunk(&WORDS.concat(), true, usages(behaviour) > 0).to_string().into_bytes()
}
