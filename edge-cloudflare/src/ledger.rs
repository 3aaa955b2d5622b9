//! The way to the Durable Objects: one for each organisation's book, and the registry.
//!
//! ```text
//!   reserve ─▶ POST /order ─▶ book:acme ─▶ held, or refused        at most one before the answer
//!   settle  ─▶ POST /order ─▶ book:acme, with the request's row    and one after it
//!                 └─ lost ─▶ tried again behind the answer; then the entry's lease charges it in full
//! ```

use crate::clock;
use crate::isolate::Isolate;
use js_sys::Uint8Array;
use std::future::poll_fn;
use std::pin::pin;
use std::task::Poll;
use std::time::Duration;
use tollgate_core::config::{Fail, Fallback};
use tollgate_core::ledger::{Entry, Hold, Order, Refusal, Reply};
use tollgate_core::units::Millis;
use worker::{Delay, Env, Method, Request, RequestInit, Stub, console_error};

/// The binding of the Durable Objects.
pub(crate) const LEDGER: &str = "LEDGER";

/// The object that knows who there is and what was done.
pub(crate) const REGISTRY: &str = "registry";

/// How long an object may take: it may have to be started, or be on another continent.
const PATIENCE: Duration = Duration::from_secs(5);

/// When to come back while an object cannot be asked.
const RETRY: Millis = Millis::from_secs(1);

/// Before each further try to settle, in milliseconds. What is done behind an answer has half a minute.
const PAUSES: [u64; 4] = [100, 500, 2000, 8000];

/// Where no object can be asked, and what to do about it.
pub(crate) const UNBOUND: &str = "the Durable Object binding LEDGER is missing: add [[durable_objects.bindings]] \
    with name = \"LEDGER\" and class_name = \"Ledger\", and a [[migrations]] entry with \
    new_sqlite_classes = [\"Ledger\"], to wrangler.toml";

/// Why an object did not do it, without any secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Lost(pub(crate) String);

/// The way to one object.
#[derive(Debug)]
pub(crate) struct Way {
    env: Env,
    name: String,
}

impl Clone for Way {
    fn clone(&self) -> Self {
        Self { env: self.env.clone(), name: self.name.clone() }
    }
}

impl Way {
    /// To the book of an organisation; empty for none.
    pub(crate) fn to_book(env: &Env, organisation: &str) -> Self {
        Self { env: env.clone(), name: format!("book:{organisation}") }
    }

    /// To the registry.
    pub(crate) fn to_registry(env: &Env) -> Self {
        Self { env: env.clone(), name: REGISTRY.to_owned() }
    }

    /// The object itself.
    pub(crate) fn stub(&self) -> Result<Stub, Lost> {
        let namespace = self.env.durable_object(LEDGER).map_err(|_| Lost(UNBOUND.to_owned()))?;
        namespace.get_by_name(&self.name).map_err(lost)
    }

    /// Asks it something, and waits for the whole answer.
    pub(crate) async fn post(&self, path: &str, body: Vec<u8>) -> Result<Vec<u8>, Lost> {
        let stub = self.stub()?;
        let mut init = RequestInit::new();
        init.with_method(Method::Post).with_body(Some(Uint8Array::from(&*body).into()));
        let request = Request::new_with_init(&format!("http://ledger{INSIDE}{path}"), &init).map_err(lost)?;
        let asked = async move {
            let mut answer = stub.fetch_with_request(request).await.map_err(lost)?;
            let status = answer.status_code();
            let body = answer.bytes().await.map_err(lost)?;
            match status {
                200 => Ok(body),
                _ => Err(Lost(format!("it answered {status}: {}", String::from_utf8_lossy(&body)))),
            }
        };
        within(PATIENCE, asked)
            .await
            .unwrap_or_else(|| Err(Lost(format!("no answer within {} s", PATIENCE.as_secs()))))
    }

    /// Gives it an order.
    pub(crate) async fn order(&self, order: &Order, row: Option<&str>) -> Result<Reply, Lost> {
        let mut body = Vec::with_capacity(512);
        order.write(&mut body);
        body.extend_from_slice(row.unwrap_or_default().as_bytes());
        let reply = self.post("/order", body).await?;
        Reply::read(&reply).map_err(|garbled| Lost(format!("its reply cannot be read: {}", garbled.what)))
    }

    /// [`Way::order`], tried again when it is lost. Whoever asks twice is told the same.
    pub(crate) async fn insist(&self, order: &Order, row: Option<&str>) -> Result<Reply, Lost> {
        let mut reply = self.order(order, row).await;
        for pause in PAUSES {
            if reply.is_ok() {
                break;
            }
            Delay::from(Duration::from_millis(pause)).await;
            reply = self.order(order, row).await;
        }
        reply
    }
}

/// What paths to objects begin with. Nothing is served there from outside.
pub(crate) const INSIDE: &str = "/.ledger";

/// An object of a class that is not exported cannot be asked. The runtime calls that an internal error.
pub(crate) fn lost(error: worker::Error) -> Lost {
    let why = error.to_string();
    let help = if why.contains("internal error") || why.contains("class") {
        " (if this stays: the class must be `Ledger` in [[durable_objects.bindings]] and [[migrations]] of wrangler.toml)"
    } else {
        ""
    };
    Lost(format!("{}{help}", why.lines().next().unwrap_or_default()))
}

/// The result of a future that comes in time.
pub(crate) async fn within<T>(span: Duration, future: impl Future<Output = T>) -> Option<T> {
    let (mut future, mut late) = (pin!(future), pin!(Delay::from(span)));
    poll_fn(|cx| match future.as_mut().poll(cx) {
        Poll::Ready(result) => Poll::Ready(Some(result)),
        Poll::Pending => late.as_mut().poll(cx).map(|()| None),
    })
    .await
}

/// Whose books an entry is held in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Where {
    /// In the object's.
    Object,
    /// In this isolate's, as the object could not be asked.
    Isolate,
    /// In nobody's.
    Nowhere,
}

/// A hold and where it is to be settled.
pub(crate) struct Granted {
    pub(crate) hold: Hold,
    pub(crate) place: Where,
}

/// Takes quota, from the object or as the config says for when it cannot be asked.
pub(crate) async fn reserve(
    isolate: &Isolate,
    way: &Way,
    key: &str,
    entry: Entry,
    fail: Fail,
) -> Result<Granted, Refusal> {
    let order = Order::Reserve { key: key.to_owned(), entry: Box::new(entry) };
    let mut reply = way.order(&order, None).await;
    if reply.is_err() {
        // Objects are moved and started anew; the same entry twice is one.
        reply = way.order(&order, None).await;
    }
    let Order::Reserve { entry, .. } = order else { return Err(Refusal::Unavailable { retry_after: RETRY }) };
    match reply {
        Ok(Reply::Held(held)) => Ok(Granted { hold: held.of_entry(*entry), place: Where::Object }),
        Ok(Reply::Refused(refusal)) => Err(refusal),
        Ok(Reply::Settled(_) | Reply::Reports(_) | Reply::Done) => {
            Err(Refusal::Unavailable { retry_after: RETRY })
        }
        Err(Lost(why)) => {
            console_error!("the ledger cannot be asked: {why}");
            alone(isolate, *entry, fail)
        }
    }
}

fn alone(isolate: &Isolate, entry: Entry, fail: Fail) -> Result<Granted, Refusal> {
    let money = entry.claims.iter().any(|claim| claim.scope.limits.has_budget());
    match if money { fail.budgets } else { fail.limits } {
        Fallback::Closed => Err(Refusal::Unavailable { retry_after: RETRY }),
        Fallback::Local => {
            let hold = isolate.own.borrow_mut().reserve(entry, clock::now())?;
            Ok(Granted { hold, place: Where::Isolate })
        }
        Fallback::Open => Ok(Granted { hold: Hold::unlimited(entry), place: Where::Nowhere }),
    }
}
