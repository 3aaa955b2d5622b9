//! The way to the Durable Objects: one for each organisation's book, and the registry.
//!
//! ```text
//!   reserve ─▶ POST /order ─▶ book:acme ─▶ held, or refused        at most one before the answer
//!   settle  ─▶ POST /order ─▶ book:acme, with the request's row    and one after it
//!                 └─ lost ─▶ tried again behind the answer; then the entry's lease charges it in full
//! ```

use crate::bound::LEDGER;
use crate::clock;
use crate::glue;
use crate::isolate::Isolate;
use js_sys::{Reflect, Uint8Array};
use std::future::poll_fn;
use std::pin::pin;
use std::rc::Rc;
use std::task::Poll;
use std::time::Duration;
use tollgate_core::config::{Fail, Fallback};
use tollgate_core::ledger::{Entry, Held, Hold, Order, Refusal, Reply};
use tollgate_core::units::Millis;
use tollgate_edge::lease::{self, Turn};
use wasm_bindgen_futures::JsFuture;
use worker::{Context, Delay, Env, Stub, console_error};

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
        let namespace = Reflect::get(&self.env, &LEDGER.into()).unwrap_or_default();
        if !namespace.is_object() {
            return Err(Lost(UNBOUND.to_owned()));
        }
        let address = format!("http://ledger{INSIDE}{path}");
        let asked = glue::ask(&namespace, &self.name, &address, Uint8Array::from(&*body));
        let asked = async move {
            let answer = JsFuture::from(asked).await.map_err(|error| lost(error.into()))?;
            match answer.as_string() {
                None => Ok(Uint8Array::new(&answer).to_vec()),
                Some(refused) => Err(Lost(format!("it answered {refused}"))),
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

/// What a reservation is about, besides the entry.
pub(crate) struct Asker<'a> {
    pub(crate) isolate: &'a Rc<Isolate>,
    pub(crate) context: &'a Context,
    pub(crate) way: &'a Way,
    /// The name of the key.
    pub(crate) key: &'a str,
    pub(crate) fail: Fail,
}

/// Takes quota: from a spare, from the object, or as the config says for when it cannot be asked.
pub(crate) async fn reserve(asker: &Asker<'_>, entry: Entry) -> Result<Granted, Refusal> {
    let (most, now) = (asker.isolate.bound(&asker.way.env).spares, clock::now());
    let turn = match most {
        0 => Turn::Ask { spares: 0 },
        _ => asker.isolate.leases.borrow_mut().turn(&asker.place(), &entry, most, now),
    };
    match turn {
        Turn::Spare(hold) => Ok(Granted { hold: *hold, place: Where::Object }),
        Turn::Ask { spares: 0 } => {
            let order = Order::Reserve { key: asker.key.to_owned(), entry: Box::new(entry.clone()) };
            asker.ask(&order, entry).await
        }
        Turn::Ask { spares } => asker.lease(entry, spares).await,
    }
}

impl Asker<'_> {
    /// A key's name, unlike that of another organisation's.
    fn place(&self) -> String {
        format!("{}/{}", self.way.name, self.key)
    }

    async fn ask(&self, order: &Order, entry: Entry) -> Result<Granted, Refusal> {
        self.isolate.asked.set(self.isolate.asked.get().saturating_add(1));
        let mut reply = self.way.order(order, None).await;
        if reply.is_err() {
            // Objects are moved and started anew; the same entry twice is one.
            reply = self.way.order(order, None).await;
        }
        match reply {
            Ok(Reply::Held(held)) => Ok(Granted { hold: held.of_entry(entry), place: Where::Object }),
            Ok(Reply::Leased(all)) => self.put(order, all, entry),
            Ok(Reply::Refused(refusal)) => Err(refusal),
            Ok(Reply::Settled(_) | Reply::Reports(_) | Reply::Done) => {
                Err(Refusal::Unavailable { retry_after: RETRY })
            }
            Err(Lost(why)) => {
                console_error!("the ledger cannot be asked: {why}");
                alone(self.isolate, entry, self.fail)
            }
        }
    }

    async fn lease(&self, entry: Entry, spares: usize) -> Result<Granted, Refusal> {
        let names = (0..spares).map(|_| self.isolate.random().request_id());
        let like = Box::new(lease::spacious(&entry));
        let order = Order::Lease { key: self.key.to_owned(), entry: like, spares: names.collect() };
        self.ask(&order, entry).await
    }

    /// Keeps spares for their span; then, behind this answer, those that are left are returned.
    fn put(&self, order: &Order, mut all: Vec<Held>, entry: Entry) -> Result<Granted, Refusal> {
        let Order::Lease { entry: like, spares, .. } = order else {
            return Err(Refusal::Unavailable { retry_after: RETRY });
        };
        if all.is_empty() {
            return Err(Refusal::Unavailable { retry_after: RETRY });
        }
        let first = all.remove(0);
        let place = self.place();
        self.isolate.leases.borrow_mut().put(&place, Entry::clone(like), spares, all, clock::now());
        let (isolate, way) = (Rc::clone(self.isolate), self.way.clone());
        self.context.wait_until(async move {
            Delay::from(Duration::from_millis(lease::SPAN.get())).await;
            let spares = isolate.leases.borrow_mut().over(&place, clock::now());
            if !spares.is_empty()
                && let Err(Lost(why)) = way.insist(&Order::Return { spares }, None).await
            {
                console_error!("spares were not returned, and their leases will charge them: {why}");
            }
        });
        Ok(Granted { hold: first.of_entry(entry), place: Where::Object })
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
