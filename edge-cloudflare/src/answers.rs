//! Answers that are kept: in the isolate, in the location's cache, and in KV where one is bound for that.
//!
//! ```text
//!   recall ─▶ isolate ─▶ Cache API ─▶ KV `CACHE` ─▶ Lead          each is a miss when it cannot be asked
//!                └─ somebody leads ─▶ looks again now and then    equal requests of an isolate wait
//!   keep ───▶ isolate; then, behind the answer, Cache API and KV
//! ```
//! Whoever waits looks again by a timer of its own: the runtime lets no request wake another.

use crate::clock;
use crate::isolate::Isolate;
use crate::ledger::within;
use bytes::{Buf, Bytes};
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context as Poller, Poll, Waker};
use std::time::Duration;
use tollgate_core::cache::{self, CacheKey, Found, Kept, Lead, Lookup, Parting, Recall, Ticket};
use tollgate_core::units::Time;
use worker::{Cache, Context, Delay, Env, ResponseBuilder, console_error};

/// How long looking elsewhere may take.
const PATIENCE: Duration = Duration::from_millis(100);

/// Between two looks at what has become of the request that leads.
const PAUSE: Duration = Duration::from_millis(25);

/// The binding of a KV namespace for answers.
const KV: &str = "CACHE";

/// KV keeps nothing for less, in seconds.
const LEAST: u64 = 60;

/// Bytes that an isolate keeps of answers, whatever the config allows: it has 128 MiB for everything.
const MOST: u64 = 16 << 20;

/// Looks for an answer.
pub(crate) async fn recall(isolate: &Rc<Isolate>, env: &Env, lookup: Lookup) -> Recall {
    let found = isolate.answers.borrow_mut().look(&lookup, clock::now());
    let recall = match found {
        Found::Now(recall) => recall,
        Found::Wait(ticket) => Waiting { isolate: Rc::clone(isolate), ticket, pause: None }.await,
    };
    if recall != Recall::Lead {
        return recall;
    }
    // Held until it has been looked up: an isolate asks elsewhere once.
    let Lookup { key, id, since, .. } = lookup;
    let leading = Leading { isolate, lead: Some(Lead { key, id }) };
    let found = within(PATIENCE, elsewhere(env, key)).await.flatten().filter(|kept| kept.at >= since);
    leading.over();
    match found {
        None => Recall::Lead,
        Some(Elsewhere { at, bytes }) => {
            let expires = cache::expires(&bytes).unwrap_or(at);
            let kept = Kept { key, id, bytes: bytes.clone(), at, expires };
            isolate.answers.borrow_mut().keep(kept, MOST).wake();
            Recall::Hit(bytes)
        }
    }
}

/// Keeps an answer.
pub(crate) fn keep(isolate: &Isolate, env: &Env, context: &Context, kept: Kept, most: u64) {
    isolate.answers.borrow_mut().keep(kept.clone(), most.min(MOST)).wake();
    let env = env.clone();
    context.wait_until(async move { put(&env, kept).await });
}

/// Ends a lead without one.
pub(crate) fn resign(isolate: &Isolate, lead: Lead, parting: Parting) {
    isolate.answers.borrow_mut().resign(lead, parting).wake();
}

/// What was kept elsewhere.
struct Elsewhere {
    at: Time,
    bytes: Bytes,
}

impl Elsewhere {
    /// When it was kept comes first.
    fn read(stored: Vec<u8>) -> Option<Self> {
        let mut bytes = Bytes::from(stored);
        let at = bytes.try_get_u64().ok()?;
        Some(Self { at: Time(at), bytes })
    }

    fn write(kept: &Kept) -> Vec<u8> {
        [&kept.at.0.to_be_bytes()[..], &kept.bytes].concat()
    }
}

async fn elsewhere(env: &Env, key: CacheKey) -> Option<Elsewhere> {
    if let Ok(Some(mut answer)) = Cache::default().get(address(key), true).await
        && let Ok(stored) = answer.bytes().await
    {
        return Elsewhere::read(stored);
    }
    let kv = env.kv(KV).ok()?;
    Elsewhere::read(kv.get(&key.to_string()).bytes().await.ok()??)
}

async fn put(env: &Env, kept: Kept) {
    let seconds = kept.expires.since(clock::now()).ceil_secs();
    let stored = Elsewhere::write(&kept);
    let control = format!("max-age={seconds}");
    if let Ok(builder) = ResponseBuilder::new().with_header("cache-control", &control)
        && let Err(error) = Cache::default().put(address(kept.key), builder.fixed(stored.clone())).await
    {
        console_error!("the cache took no answer: {error}");
    }
    if let Ok(kv) = env.kv(KV)
        && let Ok(put) = kv.put_bytes(&kept.key.to_string(), &stored)
        && let Err(error) = put.expiration_ttl(seconds.max(LEAST)).execute().await
    {
        console_error!("KV {KV} took no answer: {error}");
    }
}

/// The cache knows addresses only. This one is of no host that there could be.
fn address(key: CacheKey) -> String {
    format!("https://answers.tollgate.invalid/{key}")
}

/// A lead whose exchange does not know of it yet. Dropped, as its client has left meanwhile, another leads.
struct Leading<'a> {
    isolate: &'a Isolate,
    lead: Option<Lead>,
}

impl Leading<'_> {
    /// What becomes of the lead is the exchange's from now on.
    fn over(mut self) {
        self.lead = None;
    }
}

impl Drop for Leading<'_> {
    fn drop(&mut self) {
        if let Some(lead) = self.lead.take() {
            resign(self.isolate, lead, Parting::Unanswered);
        }
    }
}

/// A request that waits for another's answer. Dropped, it waits no more.
struct Waiting {
    isolate: Rc<Isolate>,
    ticket: Ticket,
    pause: Option<Pin<Box<Delay>>>,
}

impl Future for Waiting {
    type Output = Recall;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Poller<'_>) -> Poll<Recall> {
        loop {
            let told = self.isolate.answers.borrow_mut().poll(&self.ticket, Waker::noop());
            if let Poll::Ready(recall) = told {
                return Poll::Ready(recall);
            }
            let pause = self.pause.get_or_insert_with(|| Box::pin(Delay::from(PAUSE)));
            if pause.as_mut().poll(cx).is_pending() {
                return Poll::Pending;
            }
            self.pause = None;
        }
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        self.isolate.answers.borrow_mut().leave(&self.ticket).wake();
    }
}
