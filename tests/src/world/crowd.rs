//! Many requests at once, most of them equal, with a cache of answers between them.

use super::check::{self, Verdict};
use super::client::{Order, SimClient};
use super::{LedgerMood, Limited, Log, SimHost, World};
use bytes::Bytes;
use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, Wake, Waker};
use tollgate_core::cache::{CacheUse, Found, Kept, Lead, Lookup, Memory, Parting, Recall, Ticket};
use tollgate_core::drive::drive;
use tollgate_core::exchange::{Exchange, RequestId};
use tollgate_core::price::Charge;
use tollgate_core::units::{Millis, Time};

/// How alike a crowd is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Crowd {
    /// Several questions, some wishes; clients come within seconds, some leave, some are slow.
    Mixed,
    /// One question of patient clients.
    Alike,
}

/// How the cache behaves for one request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CacheMood {
    /// As promised.
    Honest,
    /// It answers late at times, does not answer, or has something else under the key.
    Odd,
}

/// The cache of a world.
#[derive(Debug, Default)]
pub struct Answers {
    memory: RefCell<Memory>,
    /// What those whose answers were kept have received themselves.
    told: RefCell<HashMap<Bytes, Told>>,
}

/// What a client has received of an answer that was kept.
#[derive(Clone, Debug)]
struct Told {
    bytes: Vec<u8>,
    /// It may have left before it took the last piece.
    left: bool,
}

/// One of a crowd.
struct Member {
    world: Rc<World>,
    order: Order,
    arrives: Time,
    client: Rc<RefCell<Option<Rc<SimClient>>>>,
}

#[derive(Default)]
struct Flag(AtomicBool);

impl Wake for Flag {
    fn wake(self: Arc<Self>) {
        self.0.store(true, Ordering::Relaxed);
    }
}

impl World {
    /// The same world as another request of the same moment sees it.
    fn beside(&self) -> Rc<Self> {
        let mood = match self.dice.below(16) {
            0 => LedgerMood::Refusing,
            1 => LedgerMood::Slow(Millis(self.dice.below(100))),
            _ => LedgerMood::Prompt,
        };
        Rc::new(Self {
            dice: Rc::clone(&self.dice),
            now: Rc::clone(&self.now),
            next: Rc::clone(&self.next),
            config: Arc::clone(&self.config),
            fleet: Rc::clone(&self.fleet),
            books: Rc::clone(&self.books),
            answers: Rc::clone(&self.answers),
            ledger_mood: Cell::new(mood),
            cache_mood: Cell::new(CacheMood::Odd),
            unsaid: self.unsaid,
            script: self.script.clone(),
            log: RefCell::default(),
        })
    }

    /// Runs so many requests at once to their ends, and checks what can be seen of each.
    pub fn run_crowd(self: &Rc<Self>, crowd: Crowd, many: u32, number: u32) -> Vec<Verdict> {
        self.pass_time();
        let now = self.now.get();
        let spread = [60, 400, 4_000][self.dice.below(3) as usize];
        let members: Vec<Member> = (0..many)
            .map(|_| {
                let world = self.beside();
                let order = match crowd {
                    Crowd::Mixed => Order::draw_cached(&self.dice),
                    Crowd::Alike => {
                        world.ledger_mood.set(LedgerMood::Prompt);
                        world.cache_mood.set(CacheMood::Honest);
                        Order::alike()
                    }
                };
                let arrives = now + Millis(self.dice.below(spread));
                Member { world, order, arrives, client: Rc::default() }
            })
            .collect();
        let id =
            |at: usize| RequestId(u128::from(self.dice.roll()) << 64 | u128::from(number) << 32 | at as u128);
        let runs = members.iter().enumerate().map(|(at, member)| member.run(id(at))).collect();
        self.drive_all(runs);
        self.remember(&members);
        let mut verdicts: Vec<_> = members.iter().map(|member| self.judge(member)).collect();
        if let Some(last) = verdicts.last_mut() {
            last.broken.extend(self.books.borrow_mut().audit(None));
            if !self.answers.memory.borrow().is_idle() {
                last.broken.push("I8: somebody still leads or waits".to_owned());
            }
        }
        verdicts
    }

    /// Polls all that are there; time jumps when nobody has anything to do.
    fn drive_all(&self, runs: Vec<Run>) {
        let flag = Arc::new(Flag::default());
        let waker = Waker::from(Arc::clone(&flag));
        let mut cx = Context::from_waker(&waker);
        let mut runs = runs;
        for _ in 0..1_000_000 {
            self.next.set(Time::NEVER);
            runs.retain_mut(|run| run.as_mut().poll(&mut cx).is_pending());
            if runs.is_empty() {
                return;
            }
            // Who was woken by another may have something to do now.
            if !flag.0.swap(false, Ordering::Relaxed) {
                let next = self.next.get();
                assert!(next != Time::NEVER, "somebody waits for something that never happens");
                assert!(next > self.now.get(), "somebody missed what already happened");
                self.now.set(next);
            }
        }
        panic!("the crowd makes no progress");
    }

    fn remember(&self, members: &[Member]) {
        for member in members {
            let log = member.world.log.borrow();
            if let (Some(kept), Some(client)) = (&log.kept, member.client.borrow().as_ref()) {
                let got = client.got.borrow();
                let told = Told { bytes: got.bytes.to_vec(), left: got.left };
                self.answers.told.borrow_mut().insert(kept.clone(), told);
            }
        }
    }

    fn judge(&self, member: &Member) -> Verdict {
        let Member { world, order, arrives, client } = member;
        let client = client.borrow();
        let client = client.as_ref().expect("it has arrived");
        let mut verdict = check::verdict(world, order, client, *arrives);
        verdict.broken.extend(self.check_cache(&world.log.borrow(), client));
        verdict
    }

    /// I8 and I9.
    fn check_cache(&self, log: &Log, client: &SimClient) -> Vec<String> {
        let mut broken = Vec::new();
        let mut check = |holds: bool, what: &str| {
            if !holds {
                broken.push(what.to_owned());
            }
        };
        let keeps = u32::from(log.kept.is_some());
        check(log.leads <= 1, "I8: it leads twice");
        check(log.leads == 0 || keeps + log.resigned == 1, "I8: a lead did not end exactly once");
        check(log.leads == 1 || log.resigned == 0, "I8: a lead was given up that it did not have");
        let Some(record) = &log.record else { return broken };
        let got = client.got.borrow();
        if got.status.is_some() {
            let told = got.headers.get("x-tollgate-cache").map(|told| told.as_bytes());
            check(
                told == Some(record.cache.word().as_bytes()),
                "the client is told another use of the cache",
            );
        }
        if record.cache != CacheUse::Hit {
            return broken;
        }
        check(log.fetches.is_empty() && record.attempts == 0, "I9: a hit reached an upstream");
        check(record.cost == Charge::Nothing && record.usage.is_none(), "I9: a hit has cost something");
        check(log.reserved == 1, "I9: a hit was not counted as a request");
        check(got.status == Some(200) || got.left, "I9: a hit is no answer");
        let told = self.answers.told.borrow();
        match log.recalled.as_ref().and_then(|recalled| told.get(recalled)) {
            None => check(false, "I9: a hit is the answer to nobody"),
            Some(first) if first.left || got.left => {
                let (shorter, longer) = match first.bytes.len() < got.bytes.len() {
                    true => (first.bytes.as_slice(), &got.bytes[..]),
                    false => (&got.bytes[..], first.bytes.as_slice()),
                };
                check(longer.starts_with(shorter), "I9: a hit is another answer than the first");
            }
            Some(first) => check(first.bytes == got.bytes, "I9: a hit is another answer than the first"),
        }
        broken
    }
}

type Run = Pin<Box<dyn Future<Output = ()>>>;

impl Member {
    fn run(&self, id: RequestId) -> Run {
        let (world, order, arrives) = (Rc::clone(&self.world), self.order.clone(), self.arrives);
        let place = Rc::clone(&self.client);
        Box::pin(async move {
            std::future::poll_fn(|_| world.wait(arrives)).await;
            let client = Rc::new(SimClient::new(Rc::clone(&world), &order));
            *place.borrow_mut() = Some(Rc::clone(&client));
            let admitted = world.admitted(&order, id);
            let exchange = Exchange::new(admitted, order.body(), world.now.get());
            drive(exchange, &SimHost(Rc::clone(&world)), &*client).await;
        })
    }
}

/// A place in a line, left when it is dropped.
struct Waiting<'w> {
    world: &'w World,
    ticket: Ticket,
}

impl Future for Waiting<'_> {
    type Output = Recall;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Recall> {
        self.world.answers.memory.borrow_mut().poll(&self.ticket, cx.waker())
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        let wakers = self.world.answers.memory.borrow_mut().leave(&self.ticket);
        wakers.wake();
    }
}

impl World {
    pub(super) async fn recall(&self, lookup: Lookup) -> Recall {
        match (self.cache_mood.get(), self.dice.below(40)) {
            (CacheMood::Odd, 0..4) => {
                let at = self.now.get() + Millis(self.dice.below(100));
                std::future::poll_fn(|_| self.wait(at)).await;
            }
            (CacheMood::Odd, 4) => return Recall::Miss,
            (CacheMood::Odd, 5) => return Recall::Hit(Bytes::from_static(b"tga1 of another form")),
            (CacheMood::Odd | CacheMood::Honest, _) => {}
        }
        let found = self.answers.memory.borrow_mut().look(&lookup, self.now.get());
        let recall = match found {
            Found::Now(recall) => recall,
            Found::Wait(ticket) => {
                self.log.borrow_mut().waited = true;
                Waiting { world: self, ticket }.await
            }
        };
        let mut log = self.log.borrow_mut();
        match &recall {
            Recall::Lead => log.leads += 1,
            Recall::Hit(bytes) => log.recalled = Some(bytes.clone()),
            Recall::Miss => {}
        }
        drop(log);
        recall
    }

    pub(super) fn keep(&self, kept: Kept) {
        if self.log.borrow_mut().kept.replace(kept.bytes.clone()).is_some() {
            self.broken("an answer was kept twice");
        }
        // Room for three or four.
        let wakers = self.answers.memory.borrow_mut().keep(kept, 6_000);
        wakers.wake();
    }

    pub(super) fn resign(&self, lead: Lead, parting: Parting) {
        self.log.borrow_mut().resigned += 1;
        let wakers = self.answers.memory.borrow_mut().resign(lead, parting);
        wakers.wake();
    }
}

/// Of a world in which nothing is limited, and nobody's upstream fails.
pub fn alike(seed: u64, many: u32) -> Vec<Verdict> {
    let script = super::Script::Fixed(vec![super::Behaviour::Good]);
    World::with(seed, script, Limited::Hardly).run_crowd(Crowd::Alike, many, 0)
}
