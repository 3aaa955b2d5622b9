//! A process that is killed at arbitrary moments, over and over, and what the next one finds.
//!
//! The test starts itself as the process to be killed. That one says what it is about to do and what
//! it has done, so that at most one thing is open to doubt when it is gone: what it was doing.

#![expect(clippy::unwrap_used, reason = "tests: the helpers too")]

use std::collections::HashMap;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::Duration;
use tollgate_core::api::Deed;
use tollgate_core::config::Fail;
use tollgate_core::exchange::RequestId;
use tollgate_core::ledger::{Account, Ask, AskCost, Claim, Entry, Scope, Settlement, Spent, Targets};
use tollgate_core::limit::{Budget, Limits, Period, Reset};
use tollgate_core::row::Row;
use tollgate_core::units::{Millis, NanoDollars, Requests, Time};
use tollgate_native::clock::Clock;
use tollgate_native::ledger::local::LocalLedger;
use tollgate_native::store::{Setup, Store};

const ROUNDS: u64 = 20;
const ROLE: &str = "TOLLGATE_TEST_KILLED_STORE";
const FIRST: &str = "TOLLGATE_TEST_KILLED_FIRST";

/// What an entry is charged that nobody settled. What is settled costs less.
const ASKED: u64 = 1_000_000;

fn seal(_: &[u8; 32], _: &Deed) -> [u8; 32] {
    [0; 32]
}

fn open(path: &Path, clock: Clock) -> (LocalLedger, Arc<Store>) {
    let opened = Store::open(&Setup::new(&path.to_string_lossy(), seal, clock)).unwrap();
    assert!(opened.set_aside.is_empty());
    let store = Arc::new(opened.store);
    let ledger = LocalLedger::open(Arc::clone(&store), opened.books, clock.now(), Fail::default()).unwrap();
    assert!(ledger.replayed.garbled.is_empty(), "{:?}", ledger.replayed);
    (ledger.ledger, store)
}

/// The record of an entry that is settled.
fn row(id: u64, at: Time) -> Row {
    Row {
        id: RequestId(u128::from(id)),
        at,
        organisation: None,
        team: None,
        user: None,
        key: "ci".to_owned(),
        end_user: None,
        tags: Vec::new(),
        provider: None,
        model: None,
        asked: "chat".to_owned(),
        surface: "openai.chat".to_owned(),
        status: 200,
        fault: None,
        ending: "complete".to_owned(),
        attempts: 1,
        consumed: None,
        basis: "reported".to_owned(),
        cost: Some(NanoDollars(cost(id))),
        cost_basis: "computed".to_owned(),
        first_byte: None,
        total: Millis(1),
        cache: "off".to_owned(),
        guardrails: Vec::new(),
    }
}

/// What a store that nobody has open tells of requests: their costs one by one, and added up.
fn costs(path: &Path) -> (HashMap<u64, u64>, u64) {
    let connection = rusqlite::Connection::open(path).unwrap();
    let mut each = connection.prepare("SELECT id, cost FROM requests").unwrap();
    let each = each.query_map([], |row| {
        let id: [u8; 16] = row.get(0)?;
        Ok((u128::from_be_bytes(id) as u64, row.get::<_, i64>(1)? as u64))
    });
    let each: Vec<(u64, u64)> = each.unwrap().map(Result::unwrap).collect();
    let found: HashMap<u64, u64> = each.iter().copied().collect();
    assert_eq!(found.len(), each.len(), "none is there twice");
    let sum = "SELECT coalesce(sum(cost), 0) FROM spend WHERE facet = 0";
    let added_up: i64 = connection.query_row(sum, [], |row| row.get(0)).unwrap();
    (found, added_up as u64)
}

fn entry(id: u64, scope: &Arc<Scope>) -> Entry {
    Entry {
        id: RequestId(u128::from(id)),
        book: Arc::from(""),
        claims: vec![Claim { scope: Arc::clone(scope), targets: Targets::ALL }],
        targets: Targets(1),
        ask: Ask {
            cost: Some(AskCost { fixed: NanoDollars(ASKED), ..AskCost::default() }),
            ..Ask::default()
        },
        lease: Millis::from_secs(600),
    }
}

fn scope() -> Arc<Scope> {
    let amount = NanoDollars(1 << 60);
    let budget = Budget { amount, per: Period::Never, reset: Reset::Rolling, warn: None };
    let limits = Limits { budgets: vec![budget], ..Limits::default() };
    Arc::new(Scope::new("key:ci", limits))
}

fn cost(id: u64) -> u64 {
    id % 1000 + 1
}

/// Reserves and settles until it is killed; every third entry stays open, and the books are stored
/// often.
fn work(path: &Path, first: u64) -> ! {
    let clock = Clock::start();
    let (ledger, store) = open(path, clock);
    let scope = scope();
    let mut out = std::io::stdout();
    let mut say = |what: &str, id: u64| writeln!(out, "\n{what} {id}").unwrap();
    let mut left_open = Vec::new();
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    for id in first.. {
        say("reserving", id);
        let hold = ledger.reserve(entry(id, &scope), clock.now()).unwrap();
        say("reserved", id);
        if id % 3 == 0 {
            left_open.push(hold);
        } else {
            say("settling", id);
            let spent = Spent { cost: NanoDollars(cost(id)), targets: Targets::ALL, ..Spent::default() };
            let row = Some(row(id, clock.now()));
            let _ = ledger.end(hold, Settlement::Settle(spent), row, &store, clock.now());
            say("settled", id);
        }
        if id % 17 == 0 {
            ledger.checkpoint().unwrap();
        }
        // Requests without the books: the next process finds notes of requests that are stored already.
        if id % 23 == 0 {
            runtime.block_on(store.flush()).unwrap();
        }
    }
    unreachable!("it is killed first")
}

fn start(path: &Path, first: u64) -> Child {
    Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "killed_at_any_moment_no_spend_is_lost_and_none_counted_twice", "--nocapture"])
        .env(ROLE, path)
        .env(FIRST, first.to_string())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap()
}

/// Starts a process, kills it after it has said so much, and gives back all it said.
fn killed(path: &Path, first: u64, after: u64) -> Vec<String> {
    let mut child = start(path, first);
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let mut said: Vec<String> =
        lines.by_ref().map(Result::unwrap).filter(|line| is_told(line)).take(after as usize).collect();
    assert_eq!(said.len() as u64, after, "it ended by itself");
    child.kill().unwrap();
    child.wait().unwrap();
    // A line that was cut short was not said.
    said.extend(lines.map_while(Result::ok).filter(|line| is_told(line)));
    said
}

fn is_told(line: &str) -> bool {
    ["reserving ", "reserved ", "settling ", "settled "].iter().any(|start| line.starts_with(start))
}

/// What entries of which this was said last cost.
fn settled<'a>(said: &'a [String], what: &'a str) -> impl Iterator<Item = (u64, u64)> + 'a {
    said.iter().filter_map(move |line| {
        let id = line.strip_prefix(what)?.trim().parse().unwrap();
        Some((id, cost(id)))
    })
}

/// What the books may say: the last thing was done, or it was not.
fn expected(before: Account, said: &[String]) -> [Account; 2] {
    let mut state: HashMap<u64, &str> = HashMap::new();
    let mut doubtful = 0;
    for line in said {
        let (what, id) = line.split_once(' ').unwrap();
        doubtful = id.parse().unwrap();
        state.insert(doubtful, what);
    }
    let total = |doubt: &dyn Fn(&str) -> Option<u64>| {
        let mut account = before;
        for (id, what) in &state {
            let charged = match *what {
                "reserved" => Some(ASKED),
                "settled" => Some(cost(*id)),
                other => {
                    assert_eq!(*id, doubtful, "only the last thing is open to doubt");
                    doubt(other)
                }
            };
            if let Some(charged) = charged {
                account.settled += Requests(1);
                account.spent += NanoDollars(charged);
            }
        }
        account
    };
    let undone = total(&|what| (what == "settling").then_some(ASKED));
    let done = total(&|what| Some(if what == "settling" { cost(doubtful) } else { ASKED }));
    [undone, done]
}

#[test]
fn killed_at_any_moment_no_spend_is_lost_and_none_counted_twice() {
    if let (Ok(path), Ok(first)) = (std::env::var(ROLE), std::env::var(FIRST)) {
        work(Path::new(&path), first.parse().unwrap());
    }
    let folder: PathBuf = std::env::temp_dir().join(format!("tollgate-killed-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let path = folder.join("tollgate.db");
    let (mut books, mut requests) = (Account::default(), HashMap::new());
    for round in 0..ROUNDS {
        let first = 1 + round * 1_000_000;
        let said = killed(&path, first, 1 + round * round * 3 % 250);
        let (ledger, store) = open(&path, Clock::start());
        let found = ledger.account("key:ci");
        drop((ledger, store));
        let expected = expected(books, &said);
        assert!(expected.contains(&found), "round {round}: {found:?} is none of {expected:?}");
        books = found;
        let (found, added_up) = costs(&path);
        requests.extend(settled(&said, "settled"));
        let mut doubtful = requests.clone();
        doubtful.extend(settled(&said, "settling"));
        assert!(found == requests || found == doubtful, "round {round}: requests");
        assert_eq!(found.values().sum::<u64>(), added_up, "round {round}");
        requests = found;
    }
    assert!(books.settled > Requests(ROUNDS * 20), "it did something: {books:?}");
    std::fs::remove_dir_all(&folder).unwrap();
}

#[test]
fn a_store_that_another_process_has_is_refused_with_its_number() {
    let folder: PathBuf = std::env::temp_dir().join(format!("tollgate-taken-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let path = folder.join("tollgate.db");
    let mut child = start(&path, 1);
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines().map(Result::unwrap);
    assert!(lines.any(|line| is_told(&line)), "it has the store");
    let setup = Setup::new(&path.to_string_lossy(), seal, Clock::start());
    let impatient = Setup { patience: Duration::ZERO, ..setup.clone() };
    let problem = Store::open(&impatient).unwrap_err().to_string();
    child.kill().unwrap();
    child.wait().unwrap();
    assert!(problem.contains(&format!("process {} has this store open", child.id())), "{problem}");
    assert!(Store::open(&setup).is_ok(), "the lock goes with the process");
    std::fs::remove_dir_all(&folder).unwrap();
}
