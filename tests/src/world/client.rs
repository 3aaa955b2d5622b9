//! The simulated client: asks, reads at its own pace, may leave at any time.

use super::{CLIENT_SECRET, Dice, PROMPT_WORD, World};
use bytes::{Bytes, BytesMut};
use http::request::Parts;
use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::task::{Context, Poll};
use tollgate_core::host::{Client, Out};
use tollgate_core::units::{Millis, Time};

/// What the client asks for, and how it behaves.
#[derive(Clone, Debug)]
pub struct Order {
    pub model: &'static str,
    pub stream: bool,
    pub usage: bool,
    pub leaves_after: Option<Millis>,
    /// How long it takes to take a piece.
    pub slowness: Millis,
    /// What it says of the cache: a header and its value.
    pub cache: Option<(&'static str, &'static str)>,
}

impl Order {
    /// One of a few questions, most of them for the cache.
    pub fn draw_cached(dice: &Dice) -> Self {
        let model = if dice.one_in(4) { "far" } else { "solo" };
        let cache = match dice.below(12) {
            0 => None,
            1 => Some(("x-tollgate-cache", "no-cache")),
            2 => Some(("x-tollgate-cache", "off")),
            3 => Some(("x-tollgate-cache-ttl", "2")),
            _ => Some(("x-tollgate-cache", "use")),
        };
        let stream = !dice.one_in(3);
        Self { model, stream, usage: true, cache, ..Self::draw(dice) }
    }

    /// A stream, asked of the cache by somebody who waits.
    pub fn alike() -> Self {
        let cache = Some(("x-tollgate-cache", "use"));
        Self { model: "chat", stream: true, usage: true, leaves_after: None, slowness: Millis(0), cache }
    }

    pub fn draw(dice: &Dice) -> Self {
        let model = match dice.below(8) {
            0 => "solo",
            1 => "far",
            2 => "alpha/gpt-sim",
            _ => "chat",
        };
        let leaves_after = dice.one_in(6).then(|| Millis(dice.below(8_000)));
        let slowness = if dice.one_in(5) { Millis(dice.below(300)) } else { Millis(0) };
        Self { model, stream: !dice.one_in(3), usage: dice.one_in(2), leaves_after, slowness, cache: None }
    }

    pub fn head(&self) -> Parts {
        let mut request = http::Request::post("/v1/chat/completions")
            .header("authorization", format!("Bearer {CLIENT_SECRET}"))
            .header("content-type", "application/json");
        if let Some((name, value)) = self.cache {
            request = request.header(name, value);
        }
        request.body(()).unwrap().into_parts().0
    }

    pub fn body(&self) -> Bytes {
        let mut body = serde_json::json!({
            "model": self.model,
            "messages": [
                { "role": "system", "content": "be brief" },
                { "role": "user", "content": format!("say something about {PROMPT_WORD}") },
            ],
            "max_tokens": 200,
        });
        if self.stream {
            body["stream"] = true.into();
            body["stream_options"] = serde_json::json!({ "include_usage": self.usage });
        }
        Bytes::from(body.to_string())
    }
}

/// The simulated client.
pub struct SimClient {
    world: Rc<World>,
    leaves_at: Time,
    slowness: Millis,
    /// When the piece handed over last has been taken.
    taken_at: Cell<Time>,
    pub got: RefCell<Got>,
}

/// What the client has received.
#[derive(Debug, Default)]
pub struct Got {
    pub status: Option<u16>,
    pub headers: http::HeaderMap,
    pub bytes: BytesMut,
    pub ended: bool,
    pub left: bool,
}

impl SimClient {
    pub fn new(world: Rc<World>, order: &Order) -> Self {
        let now = world.now.get();
        let leaves_at = order.leaves_after.map_or(Time::NEVER, |after| now + after);
        Self { world, leaves_at, slowness: order.slowness, taken_at: Cell::new(now), got: RefCell::default() }
    }
}

impl Client for SimClient {
    fn send(&self, out: Out) {
        let mut got = self.got.borrow_mut();
        if self.taken_at.get() > self.world.now.get() {
            self.world.broken("a piece was sent before the last one was taken");
        }
        if got.ended {
            self.world.broken("something was sent after the end");
        }
        self.taken_at.set(self.world.now.get() + self.slowness);
        match out {
            Out::Head(head) => {
                if got.status.replace(head.status().as_u16()).is_some() {
                    self.world.broken("two heads were sent");
                }
                self.world.log.borrow_mut().first_out = Some(self.world.now.get());
                let (parts, body) = head.into_parts();
                got.headers = parts.headers;
                if let Some(body) = body {
                    got.bytes.extend_from_slice(&body);
                    got.ended = true;
                }
            }
            Out::Chunk(chunk) => {
                if chunk.is_empty() {
                    self.world.broken("an empty piece was sent");
                }
                got.bytes.extend_from_slice(&chunk);
            }
            Out::End => got.ended = true,
        }
    }

    fn poll_flushed(&self, _cx: &mut Context<'_>) -> Poll<()> {
        self.world.wait(self.taken_at.get())
    }

    fn poll_left(&self, _cx: &mut Context<'_>) -> Poll<()> {
        if self.leaves_at == Time::NEVER {
            return Poll::Pending;
        }
        let left = self.world.wait(self.leaves_at);
        if left.is_ready() {
            self.got.borrow_mut().left = true;
        }
        left
    }
}
