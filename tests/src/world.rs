//! A seeded world: virtual time, upstreams that misbehave, a ledger, a client that may leave.
//!
//! One seed fixes everything that happens, so a failing seed is a test. Nothing here sleeps: when the
//! exchange waits, the clock jumps to the next thing that will happen.

mod books;
mod check;
mod client;
mod crowd;
mod script;
mod upstream;

pub use books::Limited;
pub use check::Verdict;
pub use crowd::{Crowd, alike};
pub use script::{Behaviour, Script};

use books::{Books, Tight};
use bytes::Bytes;
use client::SimClient;
use crowd::{Answers, CacheMood};
use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use tollgate_core::admit::{Admission, Admitted, Desk, admit};
use tollgate_core::cache::{Kept, Lead, Lookup, Parting, Recall};
use tollgate_core::config::{self, Config};
use tollgate_core::count::{Counted, Uncounted};
use tollgate_core::directory::Directory;
use tollgate_core::drive::drive;
use tollgate_core::exchange::{Exchange, Record, RequestId};
use tollgate_core::fault::Code;
use tollgate_core::fleet::Fleet;
use tollgate_core::host::{Fetch, Host, Timer};
use tollgate_core::ledger::{Entry, Hold, Refusal, Settlement};
use tollgate_core::price;
use tollgate_core::units::{Millis, Time};
use upstream::SimUpstream;

/// The secret of every simulated upstream key: it must never be seen again (I7).
pub const UPSTREAM_SECRET: &str = "sk-upstream-secret";
/// The virtual key of the simulated client.
pub const CLIENT_SECRET: &str = "tg-client-secret";
/// A word of the prompt that must never be seen in a log or an error (I7).
pub const PROMPT_WORD: &str = "xyzzyprompt";

/// A small deterministic generator (SplitMix64).
#[derive(Clone, Debug)]
pub struct Dice(Cell<u64>);

impl Dice {
    /// The generator of a seed.
    pub fn new(seed: u64) -> Self {
        Self(Cell::new(seed))
    }

    /// 64 bits.
    pub fn roll(&self) -> u64 {
        let state = self.0.get().wrapping_add(0x9e37_79b9_7f4a_7c15);
        self.0.set(state);
        let mut z = state;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// Evenly from `0..bound`.
    pub fn below(&self, bound: u64) -> u64 {
        if bound == 0 { 0 } else { self.roll() % bound }
    }

    /// True once in `n`.
    pub fn one_in(&self, n: u64) -> bool {
        self.below(n) == 0
    }
}

/// What all parts of the world see.
#[derive(Debug)]
pub struct World {
    dice: Rc<Dice>,
    now: Rc<Cell<Time>>,
    /// The earliest thing that will happen.
    next: Rc<Cell<Time>>,
    config: Arc<Config>,
    fleet: Rc<RefCell<Fleet>>,
    books: Rc<RefCell<Books>>,
    answers: Rc<Answers>,
    ledger_mood: Cell<LedgerMood>,
    cache_mood: Cell<CacheMood>,
    script: Script,
    /// What no answer may say.
    unsaid: Option<&'static str>,
    /// Everything that happened in the exchange being run.
    pub log: RefCell<Log>,
}

/// How the ledger behaves for one request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LedgerMood {
    /// At once.
    Prompt,
    /// After this long.
    Slow(Millis),
    /// Not at all.
    Refusing,
}

/// Everything that happened in one exchange, in order.
#[derive(Debug, Default)]
pub struct Log {
    /// When each upstream call was made, to which provider, what its script was.
    pub fetches: Vec<(Time, String, Behaviour)>,
    /// Upstream calls in progress that were dropped before their end.
    pub cancelled: u32,
    /// Holds given.
    pub reserved: u32,
    /// Holds ended.
    pub settled: u32,
    /// Ways in which an invariant was broken.
    pub broken: Vec<String>,
    /// The last record.
    pub record: Option<Record>,
    /// When the first byte went to the client.
    pub first_out: Option<Time>,
    /// The limit that refused.
    pub refused: Option<Code>,
    /// Whether the process was killed in the middle.
    pub killed: bool,
    /// Leads that were taken in the cache.
    pub leads: u32,
    /// Leads that were given up.
    pub resigned: u32,
    /// Whether it has waited for another request's answer.
    pub waited: bool,
    /// What was found in the cache.
    pub recalled: Option<Bytes>,
    /// What was kept there.
    pub kept: Option<Bytes>,
}

/// The world's config: two OpenAI-dialect providers, one of each other dialect, with two keys each.
const CONFIG: &str = r#"
[providers.alpha]
kind = "openai"
base_url = "http://alpha.test/v1"
keys = [{ name = "a1", value = "sk-upstream-secret" }, { name = "a2", value = "sk-upstream-secret" }]
timeout = { first_byte = "5s", idle = "5s", total = "30s" }

[providers.beta]
kind = "openai"
base_url = "http://beta.test/v1"
bills_unheard = true
keys = [{ name = "b1", value = "sk-upstream-secret" }]
timeout = { first_byte = "5s", idle = "5s", total = "30s" }

[providers.claude]
kind = "anthropic"
base_url = "http://claude.test/v1"
keys = [{ name = "c1", value = "sk-upstream-secret" }]
timeout = { first_byte = "5s", idle = "5s", total = "30s" }

[providers.gem]
kind = "gemini"
base_url = "http://gem.test/v1beta"
bills_unheard = true
keys = [{ name = "g1", value = "sk-upstream-secret" }]
timeout = { first_byte = "5s", idle = "5s", total = "30s" }

[prices]
"alpha/*" = { input = 1, output = 2 }
"beta/*" = { input = 1, output = 2 }
"claude/*" = { input = 1, output = 2 }
"gem/*" = { input = 1, output = 2 }

[models.chat]
strategy = "adaptive"
targets = [{ to = "alpha/gpt-sim", weight = 2 }, { to = "beta/gpt-sim" }]
fallbacks = ["claude/claude-sonnet-4-5", "gem/gemini-2.5-flash"]
attempts = 4
deadline = "40s"

[models.solo]
targets = ["alpha/gpt-sim"]
deadline = "20s"

[models.far]
targets = ["claude/claude-sonnet-4-5"]
fallbacks = ["gem/gemini-2.5-flash", "beta/gpt-sim"]
deadline = "30s"

"#;

/// The client's key without limits that matter, and with limits that do.
const GENEROUS: &str = r#"
[[teams]]
name = "crew"
rpm = 1_000_000
budget = [{ usd = 1_000_000, per = "never" }]

[[keys]]
name = "client"
value = "tg-client-secret"
team = "crew"
rpm = 1_000_000
tpm = 1_000_000_000
concurrency = 1000
budget = [{ usd = 100_000, per = "month" }]
"#;
const TIGHT: &str = r#"
[[teams]]
name = "crew"
rpm = 30
tpm = 8_000
budget = [{ usd = 0.009, per = "hour" }]

[[keys]]
name = "client"
value = "tg-client-secret"
team = "crew"
rpm = RPM
tpm = TPM
concurrency = 1
budget = [{ usd = USD, per = "hour" }, { usd = 0.04, per = "day", reset = "rolling" }]
"#;

impl World {
    /// The world of a seed.
    pub fn new(seed: u64, script: Script) -> Rc<Self> {
        Self::with(seed, script, Limited::Hardly)
    }

    /// The world of a seed, with limits of this kind.
    pub fn with(seed: u64, script: Script, limited: Limited) -> Rc<Self> {
        Self::under(seed, script, limited, None)
    }

    /// The same, in which no answer may say this.
    pub fn guarded(seed: u64, script: Script, limited: Limited, unsaid: &'static str) -> Rc<Self> {
        Self::under(seed, script, limited, Some(unsaid))
    }

    fn under(seed: u64, script: Script, limited: Limited, unsaid: Option<&'static str>) -> Rc<Self> {
        let tight = Tight::of(seed);
        let keys = match limited {
            Limited::Hardly => GENEROUS.to_owned(),
            Limited::Tightly => TIGHT
                .replace("RPM", &tight.rpm.to_string())
                .replace("TPM", &tight.tpm.to_string())
                .replace("USD", &price::plain(tight.hourly)),
        };
        let guardrail = unsaid.map(|phrase| {
            format!("[[guardrails]]\nname = \"unsaid\"\non = [\"output\"]\nphrases = [\"{phrase}\"]\n")
        });
        let text = format!("{CONFIG}{keys}{}", guardrail.unwrap_or_default());
        let config = config::load(text.as_bytes(), &|_| Err("the world has no secrets".to_owned()))
            .unwrap_or_else(|errors| panic!("the world's config is bad: {errors:?}"));
        Rc::new(Self {
            dice: Rc::new(Dice::new(seed)),
            now: Rc::new(Cell::new(Time(1_800_000_000_000))),
            next: Rc::new(Cell::new(Time::NEVER)),
            config: Arc::new(config),
            fleet: Rc::default(),
            books: Rc::new(RefCell::new(Books::new(limited, tight))),
            answers: Rc::default(),
            ledger_mood: Cell::new(LedgerMood::Prompt),
            cache_mood: Cell::new(CacheMood::Odd),
            script,
            unsaid,
            log: RefCell::default(),
        })
    }

    /// Runs one request to its end and checks what can be seen of it.
    pub fn run(self: &Rc<Self>, request: u32) -> Verdict {
        *self.log.borrow_mut() = Log::default();
        self.ledger_mood.set(match self.dice.below(12) {
            0 => LedgerMood::Refusing,
            1 | 2 => LedgerMood::Slow(Millis(self.dice.below(100))),
            _ => LedgerMood::Prompt,
        });
        self.pass_time();
        let order = client::Order::draw(&self.dice);
        let client = SimClient::new(self.clone(), &order);
        let started = self.now.get();
        let id = RequestId(u128::from(self.dice.roll()) << 64 | u128::from(request));
        let exchange = Exchange::new(self.admitted(&order, id), order.body(), self.now.get());
        self.drive(exchange, &client);
        let mut verdict = check::verdict(self, &order, &client, started);
        if !self.log.borrow().killed {
            let record = self.log.borrow().record.clone();
            verdict.broken.extend(self.books.borrow_mut().audit(record.as_ref()));
        }
        verdict
    }

    /// Lets an order in.
    fn admitted(&self, order: &client::Order, id: RequestId) -> Admitted {
        let directory = Directory::of(&self.config);
        let desk = Desk { config: &self.config, directory: &directory, gauge: &Arc::default(), peer: None };
        match admit(&order.head(), &desk, id, self.now.get()) {
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
            Admission::Wanted(admitted) => admitted,
        }
    }

    /// Between two requests of a limited world minutes may pass, and the process may be restarted.
    fn pass_time(&self) {
        if self.books.borrow().limited == Limited::Hardly {
            return;
        }
        let pause = match self.dice.below(12) {
            0 => Millis::from_secs(3600 + self.dice.below(7200)),
            1 => Millis::from_secs(60),
            2..=4 => Millis(self.dice.below(30_000)),
            _ => Millis(self.dice.below(500)),
        };
        self.now.set(self.now.get() + pause);
        let mut books = self.books.borrow_mut();
        if self.dice.one_in(3) {
            books.checkpoint();
        }
        if self.dice.one_in(6) {
            books.restart();
        }
        books.sweep(self.now.get());
    }

    /// Polls the driver until it is done; whenever it waits, time jumps.
    fn drive(self: &Rc<Self>, exchange: Box<Exchange>, client: &SimClient) {
        let host = SimHost(self.clone());
        let mut driving = std::pin::pin!(drive(exchange, &host, client));
        let mut cx = Context::from_waker(Waker::noop());
        let kill_at = self.kill_time();
        for _ in 0..1_000_000 {
            if self.now.get() >= kill_at {
                // What the process was doing is lost, but for what its ledger has noted.
                self.log.borrow_mut().killed = true;
                return self.books.borrow_mut().restart();
            }
            self.next.set(Time::NEVER);
            match driving.as_mut().poll(&mut cx) {
                Poll::Ready(()) => return,
                Poll::Pending => {
                    let next = self.next.get();
                    assert!(next != Time::NEVER, "the exchange waits for something that never happens");
                    assert!(next > self.now.get(), "the exchange missed what already happened");
                    self.now.set(next);
                }
            }
        }
        panic!("the exchange makes no progress");
    }

    /// When the process is killed during this request; mostly it is not.
    fn kill_time(&self) -> Time {
        if self.books.borrow().limited == Limited::Hardly || !self.dice.one_in(12) {
            return Time::NEVER;
        }
        self.now.get() + Millis(1 + self.dice.below(4_000))
    }

    /// Ready once `at` has come; until then the clock knows to stop there.
    fn wait(&self, at: Time) -> Poll<()> {
        if at <= self.now.get() {
            return Poll::Ready(());
        }
        self.next.set(self.next.get().min(at));
        Poll::Pending
    }

    fn broken(&self, what: impl Into<String>) {
        self.log.borrow_mut().broken.push(what.into());
    }
}

struct SimHost(Rc<World>);

/// A timer on the world's clock.
struct SimTimer(Rc<World>);

impl Timer for SimTimer {
    fn poll_until(&mut self, at: Time, _cx: &mut Context<'_>) -> Poll<()> {
        self.0.wait(at)
    }
}

impl Host for SimHost {
    type Upstream = SimUpstream;
    type Timer = SimTimer;

    fn now(&self) -> Time {
        self.0.now.get()
    }

    fn random(&self) -> u64 {
        self.0.dice.roll()
    }

    fn fetch(&self, request: Fetch) -> SimUpstream {
        let world = &self.0;
        if world.log.borrow().first_out.is_some() {
            world.broken("I2: an upstream was called after the client's first byte");
        }
        if world.ledger_mood.get() == LedgerMood::Refusing || world.log.borrow().refused.is_some() {
            world.broken("I6: a refused call reached an upstream");
        }
        SimUpstream::new(world.clone(), &request)
    }

    fn timer(&self) -> SimTimer {
        SimTimer(self.0.clone())
    }

    fn with_fleet<R>(&self, act: impl FnOnce(&mut Fleet) -> R) -> R {
        act(&mut self.0.fleet.borrow_mut())
    }

    async fn reserve(&self, entry: Entry) -> Result<Hold, Refusal> {
        let world = &self.0;
        match world.ledger_mood.get() {
            LedgerMood::Refusing => return Err(Refusal::Unavailable { retry_after: Millis(1000) }),
            LedgerMood::Slow(delay) => {
                let at = world.now.get() + delay;
                std::future::poll_fn(|_| world.wait(at)).await;
            }
            LedgerMood::Prompt => {}
        }
        let answer = world.books.borrow_mut().reserve(entry, world.now.get());
        let mut log = world.log.borrow_mut();
        match &answer {
            Ok(_) => {
                log.reserved += 1;
                log.refused = None;
            }
            Err(Refusal::Limited(limited)) => log.refused = Some(limited.code),
            Err(Refusal::Unavailable { .. }) => {}
        }
        answer
    }

    async fn settle(&self, hold: Hold, settlement: Settlement) {
        let world = &self.0;
        if let LedgerMood::Slow(delay) = world.ledger_mood.get() {
            let at = world.now.get() + delay;
            std::future::poll_fn(|_| world.wait(at)).await;
        }
        world.log.borrow_mut().settled += 1;
        world.books.borrow_mut().settle(hold, &settlement, world.now.get());
    }

    async fn count(&self, _: Uncounted) -> Counted {
        Counted::default()
    }

    async fn recall(&self, lookup: Lookup) -> Recall {
        self.0.recall(lookup).await
    }

    async fn keep(&self, kept: Kept) {
        self.0.keep(kept);
    }

    async fn resign(&self, lead: Lead, parting: Parting) {
        self.0.resign(lead, parting);
    }

    fn log(&self, record: Record) {
        if self.0.log.borrow_mut().record.replace(record).is_some() {
            self.0.broken("a request was logged twice");
        }
    }
}
