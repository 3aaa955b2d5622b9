//! One exchange with an upstream that says exactly what it is told to: what a client gets for it, and
//! what was sent upstream.
//!
//! Everything is ready at once and in the order given. Time stands still, and jumps to the next thing
//! the exchange waits for only when nothing else can happen.

use bytes::{Bytes, BytesMut};
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use tollgate_core::admit::{Admission, Desk, admit};
use tollgate_core::config::{self, Config};
use tollgate_core::count::{Counted, Gauge, Uncounted};
use tollgate_core::directory::Directory;
use tollgate_core::drive::drive;
use tollgate_core::exchange::{Exchange, Record, RequestId};
use tollgate_core::fleet::Fleet;
use tollgate_core::host::{Client, Fetch, FetchError, FetchFault, Head, Host, Out, Timer, Upstream};
use tollgate_core::ledger::{Entry, Hold, Ledger, Refusal, Settlement};
use tollgate_core::units::Time;

const CLIENT_SECRET: &str = "tg-replay-client";

/// What is replayed: one upstream behind one model name.
#[derive(Clone, Debug)]
pub struct Replay {
    /// The vendor, as a config names it.
    pub kind: &'static str,
    /// The provider's name; one that bears its vendor's is taken for that vendor itself.
    pub name: &'static str,
    /// Further lines of the provider's table.
    pub terms: String,
    /// Further tables of the config.
    pub tables: String,
    /// When it happens.
    pub at: Time,
    /// The model as clients name it.
    pub alias: String,
    /// The model as the upstream knows it.
    pub model: String,
    /// Headers of the client's besides its key.
    pub headers: Vec<(&'static str, &'static str)>,
}

/// What the upstream says, the same each time it is asked.
#[derive(Clone, Debug)]
pub struct Answer {
    /// Its status.
    pub status: u16,
    /// Its content type.
    pub content_type: &'static str,
    /// Its body, in the pieces in which it arrives.
    pub pieces: Vec<Bytes>,
    /// A header besides.
    pub header: Option<(HeaderName, HeaderValue)>,
    /// How the paths end at which it says so; at any other it knows nothing.
    pub path: &'static str,
}

impl Answer {
    /// A whole answer in one piece.
    pub fn whole(status: u16, body: impl Into<Bytes>) -> Self {
        Self { status, content_type: "application/json", pieces: vec![body.into()], header: None, path: "" }
    }

    /// A stream in one piece.
    pub fn stream(body: impl Into<Bytes>) -> Self {
        Self {
            status: 200,
            content_type: "text/event-stream",
            pieces: vec![body.into()],
            header: None,
            path: "",
        }
    }

    /// A stream of objects in lines, in one piece.
    pub fn lines(body: impl Into<Bytes>) -> Self {
        Self { content_type: "application/x-ndjson", ..Self::stream(body) }
    }

    /// The same, at paths that end so.
    #[must_use]
    pub fn at(mut self, path: &'static str) -> Self {
        self.path = path;
        self
    }

    /// The same with one more header.
    #[must_use]
    pub fn with(mut self, name: &str, value: &str) -> Self {
        self.header = Some((name.parse().unwrap(), value.parse().unwrap()));
        self
    }

    /// A stream of AWS's in one piece.
    pub fn event_stream(body: impl Into<Bytes>) -> Self {
        let content_type = "application/vnd.amazon.eventstream";
        Self { status: 200, content_type, pieces: vec![body.into()], header: None, path: "" }
    }

    /// The same bytes, in pieces of this size.
    #[must_use]
    pub fn cut(mut self, size: usize) -> Self {
        let all = self.pieces.concat();
        self.pieces = all.chunks(size).map(Bytes::copy_from_slice).collect();
        self
    }
}

/// What came of it.
#[derive(Debug, Default)]
pub struct Seen {
    /// Every call that was made upstream.
    pub sent: Vec<Fetch>,
    /// The status the client got.
    pub status: u16,
    /// The headers the client got.
    pub headers: HeaderMap,
    /// The body the client got.
    pub body: Bytes,
    /// Whether the client's answer came to its proper end.
    pub ended: bool,
    /// What was logged.
    pub record: Option<Record>,
}

impl Replay {
    /// This vendor, whose model is called the same on both sides.
    pub fn new(kind: &'static str, model: &str) -> Self {
        Self {
            kind,
            name: "up",
            terms: String::new(),
            tables: String::new(),
            at: Time(1_800_000_000_000),
            alias: model.to_owned(),
            model: model.to_owned(),
            headers: Vec::new(),
        }
    }

    /// The same, under another name for clients.
    #[must_use]
    pub fn alias(mut self, alias: &str) -> Self {
        alias.clone_into(&mut self.alias);
        self
    }

    /// The same, with a header of the client's.
    #[must_use]
    pub fn header(mut self, name: &'static str, value: &'static str) -> Self {
        self.headers.push((name, value));
        self
    }

    /// The config it runs under. Panics if that is bad.
    pub fn config(&self) -> Arc<Config> {
        let Self { kind, name, terms, tables, at: _, alias, model, headers: _ } = self;
        let text = format!(
            r#"
[providers.{name}]
kind = "{kind}"
base_url = "http://up.test/base"
keys = [{{ name = "k", value = "sk-replay-upstream" }}]
{terms}

{tables}

[models."{alias}"]
targets = ["{name}/{model}"]
attempts = 1
deadline = "60s"

[[keys]]
name = "client"
value = "{CLIENT_SECRET}"
"#
        );
        let config = config::load(text.as_bytes(), &|_| Err("a replay has no secrets".to_owned()));
        Arc::new(config.unwrap_or_else(|faults| panic!("the replay's config is bad: {faults:?}")))
    }

    /// Sends this body to the OpenAI chat surface and drives the exchange to its end.
    pub fn run(&self, body: impl Into<Bytes>, answer: &Answer) -> Seen {
        self.run_at("/v1/chat/completions", body, answer)
    }

    /// The same at any path, query included.
    pub fn run_at(&self, target: &str, body: impl Into<Bytes>, answer: &Answer) -> Seen {
        let config = self.config();
        let mut request =
            http::Request::post(target).header("authorization", format!("Bearer {CLIENT_SECRET}"));
        if !self.headers.iter().any(|(name, _)| *name == "content-type") {
            request = request.header("content-type", "application/json");
        }
        for (name, value) in &self.headers {
            request = request.header(*name, *value);
        }
        let (head, ()) = request.body(()).unwrap().into_parts();
        let stage = Stage::new(answer, self.at);
        let directory = Directory::of(&config);
        let desk = Desk { config: &config, directory: &directory, gauge: &Arc::default(), peer: None };
        match admit(&head, &desk, RequestId(7), stage.now.get()) {
            Admission::Metrics(_)
            | Admission::Ready(_)
            | Admission::Admin(_)
            | Admission::Transcript(_)
            | Admission::Session(_)
            | Admission::Listed(_) => {
                panic!("a call is not a probe")
            }
            Admission::NeedsKeys(_) => panic!("there are no issuers"),
            Admission::Answered(response) => panic!("the door refused a good request: {response:?}"),
            Admission::Wanted(admitted) => {
                stage.play(Exchange::new(admitted, body.into(), stage.now.get()));
            }
        }
        stage.seen.into_inner()
    }
}

/// The host and the client in one.
struct Stage<'a> {
    answer: &'a Answer,
    now: Cell<Time>,
    /// What the exchange's timer is set to.
    next: Cell<Time>,
    fleet: RefCell<Fleet>,
    ledger: RefCell<Ledger>,
    got: RefCell<BytesMut>,
    seen: RefCell<Seen>,
}

impl<'a> Stage<'a> {
    fn new(answer: &'a Answer, now: Time) -> Self {
        Self {
            answer,
            now: Cell::new(now),
            next: Cell::new(Time::NEVER),
            fleet: RefCell::default(),
            ledger: RefCell::default(),
            got: RefCell::default(),
            seen: RefCell::default(),
        }
    }

    fn play(&self, exchange: Box<Exchange>) {
        let mut driving = std::pin::pin!(drive(exchange, &self, &self));
        let mut cx = Context::from_waker(Waker::noop());
        while driving.as_mut().poll(&mut cx).is_pending() {
            let next = self.next.replace(Time::NEVER);
            assert!(next != Time::NEVER && next > self.now.get(), "the exchange waits for nothing");
            self.now.set(next);
        }
        self.seen.borrow_mut().body = self.got.take().freeze();
    }
}

struct StageTimer<'s> {
    now: &'s Cell<Time>,
    next: &'s Cell<Time>,
}

impl Timer for StageTimer<'_> {
    fn poll_until(&mut self, at: Time, _cx: &mut Context<'_>) -> Poll<()> {
        if at <= self.now.get() {
            return Poll::Ready(());
        }
        self.next.set(at);
        Poll::Pending
    }
}

/// The upstream's answer, not yet read.
struct Rest {
    head: Option<Head>,
    pieces: VecDeque<Bytes>,
}

impl Upstream for Rest {
    fn poll_head(&mut self, _cx: &mut Context<'_>) -> Poll<Result<Head, FetchError>> {
        Poll::Ready(
            self.head
                .take()
                .ok_or_else(|| FetchError { kind: FetchFault::Failed, what: "asked twice".to_owned() }),
        )
    }

    fn poll_chunk(&mut self, _cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, FetchError>>> {
        Poll::Ready(self.pieces.pop_front().map(Ok))
    }
}

impl<'s> Host for &'s Stage<'_> {
    type Upstream = Rest;
    type Timer = StageTimer<'s>;

    fn now(&self) -> Time {
        self.now.get()
    }

    fn random(&self) -> u64 {
        4
    }

    fn fetch(&self, request: Fetch) -> Rest {
        let known = request.uri.path().ends_with(self.answer.path);
        self.seen.borrow_mut().sent.push(request);
        let unknown = Answer::whole(404, r#"{"detail":"Not Found"}"#);
        let Answer { status, content_type, pieces, header, path: _ } =
            if known { self.answer } else { &unknown };
        let kind = (HeaderName::from_static("content-type"), HeaderValue::from_static(content_type));
        let status = StatusCode::from_u16(*status).unwrap();
        let head = Some(Head {
            status,
            headers: HeaderMap::from_iter([Some(kind), header.clone()].into_iter().flatten()),
        });
        Rest { head, pieces: pieces.iter().cloned().collect() }
    }

    fn timer(&self) -> StageTimer<'s> {
        StageTimer { now: &self.now, next: &self.next }
    }

    fn with_fleet<R>(&self, act: impl FnOnce(&mut Fleet) -> R) -> R {
        act(&mut self.fleet.borrow_mut())
    }

    async fn reserve(&self, entry: Entry) -> Result<Hold, Refusal> {
        self.ledger.borrow_mut().reserve(entry, self.now.get())
    }

    async fn settle(&self, hold: Hold, settlement: Settlement) {
        self.ledger.borrow_mut().settle(hold, &settlement, self.now.get());
    }

    async fn count(&self, text: Uncounted) -> Counted {
        Gauge::default().count(&text)
    }

    fn log(&self, record: Record) {
        self.seen.borrow_mut().record = Some(record);
    }
}

impl Client for &Stage<'_> {
    fn send(&self, out: Out) {
        let mut seen = self.seen.borrow_mut();
        match out {
            Out::Head(head) => {
                let (parts, body) = head.into_parts();
                seen.status = parts.status.as_u16();
                seen.headers = parts.headers;
                seen.ended = body.is_some();
                self.got.borrow_mut().extend_from_slice(&body.unwrap_or_default());
            }
            Out::Chunk(chunk) => self.got.borrow_mut().extend_from_slice(&chunk),
            Out::End => seen.ended = true,
        }
    }

    fn poll_flushed(&self, _cx: &mut Context<'_>) -> Poll<()> {
        Poll::Ready(())
    }

    fn poll_left(&self, _cx: &mut Context<'_>) -> Poll<()> {
        Poll::Pending
    }
}
