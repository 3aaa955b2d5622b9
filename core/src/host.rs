//! What a host must be able to do, each with its contract in words.
//!
//! The traits are poll-based where an exchange waits for several things at once, so that one future
//! without allocation can wait for all of them. None asks for `Send`.

mod wire; // sessions

pub use wire::{Broken, Closing, Declined, Dialed, Door, Heard, Message, Sessions, Wire};

use crate::cache::{Kept, Lead, Lookup, Parting, Recall};
use crate::count::{Counted, Uncounted};
use crate::exchange::{Exchange, Input, Record};
use crate::fleet::{Choice, Fleet};
use crate::ledger::{Entry, Hold, Refusal, Settlement};
use crate::media::{Fetched, Wanted};
use crate::sigv4::{self, By, Signer, Signing};
use crate::source::{Lent, Source};
use crate::units::Time;
use bytes::Bytes;
use http::header::AUTHORIZATION;
use http::{HeaderMap, HeaderValue, Method, StatusCode, Uri};
use std::sync::Arc;
use std::task::{Context, Poll};

/// The platform an exchange runs on.
pub trait Host {
    /// An upstream call in progress.
    type Upstream: Upstream;
    /// A timer of one exchange.
    type Timer: Timer;

    /// The time. Never runs backwards.
    fn now(&self) -> Time;

    /// The time by the calendar, as others know it: what signatures are made for. Minutes off and they
    /// are refused.
    fn wall(&self) -> Time {
        self.now()
    }

    /// 64 random bits, good enough for spreading load; not for keys.
    fn random(&self) -> u64;

    /// Starts a call. Errors come from polling. Dropping the result cancels the call at once and
    /// closes or resets its connection.
    fn fetch(&self, request: Fetch) -> Self::Upstream;

    /// A timer that is not set.
    fn timer(&self) -> Self::Timer;

    /// What has been learned of the upstreams, to read or to change. Not kept across an await.
    fn with_fleet<R>(&self, act: impl FnOnce(&mut Fleet) -> R) -> R;

    /// Tells an exchange where it goes. It then writes its call for that upstream: milliseconds of work where
    /// the request is large ([`Exchange::size`]), which a host whose threads have others waiting does
    /// elsewhere.
    fn chosen(
        &self,
        mut exchange: Box<Exchange>,
        choice: Choice,
        now: Time,
    ) -> impl Future<Output = Box<Exchange>> {
        exchange.on(Input::Chosen(choice), now);
        std::future::ready(exchange)
    }

    /// Fetches pictures and files that a client names by address, all within
    /// [`MEDIA_PATIENCE`](crate::media::MEDIA_PATIENCE) and
    /// [`MAX_MEDIA_BYTES`](crate::media::MAX_MEDIA_BYTES) together. Every address that is connected to, those
    /// of redirects too, must be admitted by `wanted.reach`, and be the very one that was checked. Only asked
    /// where the config says so.
    fn fetch_media(&self, wanted: Wanted) -> impl Future<Output = Vec<Fetched>> {
        let none = |url| Fetched { url, got: Err("this host fetches nothing".to_owned()) };
        std::future::ready(wanted.urls.into_iter().map(none).collect())
    }

    /// Takes quota from every scope of an entry or from none. Idempotent by the entry's id. Answers
    /// within 100 ms, if need be with [`Refusal::Unavailable`].
    fn reserve(&self, entry: Entry) -> impl Future<Output = Result<Hold, Refusal>>;

    /// Ends a hold. Never fails to the caller: what a store does not take now is kept and tried again.
    fn settle(&self, hold: Hold, settlement: Settlement) -> impl Future<Output = ()>;

    /// Counts tokens with the model's own tokenizer where the host has it, else as an upper estimate.
    /// Long texts are counted where they delay no other request.
    fn count(&self, text: Uncounted) -> impl Future<Output = Counted>;

    /// Looks for an answer that was kept under a key. Only asked where a cache is wanted.
    ///
    /// Where nothing is kept, the first to look becomes the leader, and equal requests after it may be
    /// left waiting for it, as far as the host can see them (a process, an isolate, an object all isolates
    /// ask): what it keeps is a hit for all of them, and when it resigns its [`Parting`] says who goes on.
    /// The caller bounds the wait: it drops the future when its patience is over or its client leaves,
    /// also one that has become the leader unseen, which then has resigned as `Unanswered`. Looking
    /// itself takes at most 100 ms; a cache that cannot be asked is a miss.
    ///
    /// An entry that has expired, or was kept before `lookup.since`, need not be left out: its bytes tell
    /// its age, and core looks. But only where it is left out can the next request become the leader.
    fn recall(&self, lookup: Lookup) -> impl Future<Output = Recall> {
        let _ = lookup;
        std::future::ready(Recall::Miss)
    }

    /// Keeps an answer, and ends the lead of `kept.id` if it has it. The client waits for this before the
    /// end of its answer, so that it finds what it asks for again: what takes longer than some
    /// milliseconds is to go on behind. May fail in silence.
    fn keep(&self, kept: Kept) -> impl Future<Output = ()> {
        let _ = kept;
        std::future::ready(())
    }

    /// Ends a lead without an answer to keep. Of a request that has no lead (any more) it is nothing.
    fn resign(&self, lead: Lead, parting: Parting) -> impl Future<Output = ()> {
        let _ = (lead, parting);
        std::future::ready(())
    }

    /// Keeps or writes a request's record. Must not block.
    fn log(&self, record: Record);

    /// Both of a request that had a hold: its record and then its settlement, unless the host has one way
    /// on which they go together.
    fn end(&self, record: Box<Record>, hold: Hold, settlement: Settlement) -> impl Future<Output = ()> {
        self.log(*record);
        self.settle(hold, settlement)
    }
}

/// One call to an upstream.
#[derive(Clone, Debug)]
pub struct Fetch {
    /// `POST` for every model call.
    pub method: Method,
    /// Absolute.
    pub uri: Uri,
    /// Authentication included; `host` and `content-length` are the host's to add.
    pub headers: HeaderMap,
    /// The whole body.
    pub body: Bytes,
    /// Whether a connection kept from an earlier call will do.
    pub reuse: Reuse,
    /// How it is to be signed; [`Fetch::signed`] does it.
    pub signing: Option<Box<Signing>>,
}

impl Fetch {
    /// The same, signed for this time if it is to be by a key that is known. `wall` is the time by the
    /// calendar.
    #[must_use]
    pub fn signed(self, wall: Time) -> Self {
        match self.signing.as_deref() {
            Some(Signing { by: By::Key(signer), body }) => {
                let (signer, body) = (Arc::clone(signer), *body);
                self.signed_by(&signer, body, wall)
            }
            Some(Signing { by: By::Source(_), .. }) | None => self,
        }
    }

    /// Where the key comes from that it waits for, if it waits for one. It must not leave without.
    pub fn source(&self) -> Option<&Arc<Source>> {
        match self.signing.as_deref()? {
            Signing { by: By::Source(source), .. } => Some(source),
            Signing { by: By::Key(_), .. } => None,
        }
    }

    /// The same with what its source has lent.
    #[must_use]
    pub fn lent(mut self, lent: &Lent, wall: Time) -> Self {
        let (Some(source), Some(signing)) = (self.source().cloned(), &self.signing) else { return self };
        let body = signing.body;
        match lent {
            Lent::Access(key) => {
                let signer = Signer { key: key.clone(), region: source.region.clone(), service: "bedrock" };
                self.signed_by(&signer, body, wall)
            }
            Lent::Token(token) => {
                self.signing = None;
                if let Ok(mut value) = HeaderValue::from_str(&["Bearer ", token.expose()].concat()) {
                    value.set_sensitive(true);
                    self.headers.insert(AUTHORIZATION, value);
                }
                self
            }
        }
    }

    fn signed_by(mut self, signer: &Signer, body: [u8; 32], wall: Time) -> Self {
        self.signing = None;
        let request = sigv4::Request { method: self.method.as_str(), uri: &self.uri, body };
        sigv4::sign(&request, signer, wall, &mut self.headers);
        self
    }
}

/// Whether a connection kept from an earlier call will do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reuse {
    /// It will.
    Allowed,
    /// One such has just turned out to be closed: open a fresh one.
    Forbidden,
}

/// An upstream call in progress.
pub trait Upstream: Unpin {
    /// Waits for status and headers. Called until it is ready, and not again.
    fn poll_head(&mut self, cx: &mut Context<'_>) -> Poll<Result<Head, FetchError>>;

    /// Waits for the next piece of the body, `None` at its proper end. Pieces that are ready together
    /// should come as one. An end that is not proper (a closed connection in mid-body) is an error.
    fn poll_chunk(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, FetchError>>>;

    /// Whether it can let frames pass to the client by itself. One that cannot is never asked to.
    const PASSES: bool = false;

    /// Until this is called again, frames at the beginning of what comes may pass to the client as they are,
    /// as far as the leave goes. All else, and all that comes behind it, is told by `poll_chunk`.
    fn allow(&mut self, leave: Option<Leave>) {
        let _ = leave;
    }

    /// What has passed since this was asked last; absent where nothing ever may have.
    fn passed(&mut self) -> Option<Passed> {
        None
    }
}

/// Which frames of a stream may pass without being shown to the exchange, and how many.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Leave {
    /// A frame with holes in it: see [`hole`]. Frames that are its bytes, whatever is in the holes, may pass.
    pub form: Vec<u8>,
    /// Bytes in holes for words, all frames together.
    pub words: u64,
    /// Frames.
    pub frames: u64,
}

/// The bytes in [`Leave::form`] that stand for others. No JSON has them.
pub mod hole {
    /// The rest of a JSON string, as it is written: the model's words.
    pub const WORDS: u8 = 1;
    /// The rest of a JSON string that nobody counts.
    pub const TEXT: u8 = 2;
    /// Digits, one at least.
    pub const DIGITS: u8 = 3;
}

/// What a host has let pass.
#[derive(Debug)]
pub struct Passed {
    /// Frames.
    pub frames: u64,
    /// Bytes in holes for words.
    pub words: u64,
    /// When the upstream was last heard; now, while it is the client that is waited for.
    pub at: Time,
    /// The frames.
    pub shelf: Shelf,
}

/// Frames that have passed, in case somebody has to look at them after all. Gives each out once.
pub struct Shelf(pub Box<dyn FnMut() -> Bytes + Send>);

impl std::fmt::Debug for Shelf {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Shelf")
    }
}

/// Status and headers of an answer.
#[derive(Clone, Debug)]
pub struct Head {
    /// The status.
    pub status: StatusCode,
    /// The headers.
    pub headers: HeaderMap,
}

/// Why no answer came, or not all of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FetchError {
    /// Whether the upstream may have seen the request.
    pub kind: FetchFault,
    /// What went wrong, without the URL's query and without headers.
    pub what: String,
}

/// Whether an upstream may have seen a request that failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FetchFault {
    /// The connection had been kept from an earlier call and was closed by the upstream before a byte
    /// of an answer: the same request may be sent once more, over a fresh one.
    Stale,
    /// Anything else.
    Failed,
}

/// Wakes one exchange at a time of its choice.
pub trait Timer: Unpin {
    /// Ready at or after `at`. Each call replaces the time of the call before.
    fn poll_until(&mut self, at: Time, cx: &mut Context<'_>) -> Poll<()>;
}

/// The client's side of an exchange.
pub trait Client {
    /// Hands over a piece of the answer. Called again only after `poll_flushed` was ready.
    fn send(&self, out: Out);

    /// Ready once the last piece has been taken. What was taken is on its way, not yet received.
    fn poll_flushed(&self, cx: &mut Context<'_>) -> Poll<()>;

    /// Ready once the client has left, and from then on.
    fn poll_left(&self, cx: &mut Context<'_>) -> Poll<()>;
}

/// A piece of an answer.
#[derive(Debug)]
pub enum Out {
    /// Status and headers, and the whole body where it is known already. First.
    Head(http::Response<Option<Bytes>>),
    /// More of a streamed body.
    Chunk(Bytes),
    /// The body is complete.
    End,
}
