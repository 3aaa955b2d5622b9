//! What the ledger costs: time for reserving and settling, memory for a scope, bytes for a note.
//!
//! `cargo run --release -p tollgate-core --example ledger`

use std::sync::Arc;
use tollgate_core::exchange::RequestId;
use tollgate_core::ledger::{Ask, AskCost, Claim, Entry, Ledger, Note, Scope, Settlement, Spent, Targets};
use tollgate_core::limit::calendar::Zone;
use tollgate_core::limit::{Budget, Limits, Period, Reset};
use tollgate_core::price::PerMillion;
use tollgate_core::units::{Estimated, Metered, Millis, NanoDollars, Requests, Time, Tokens};

const START: Time = Time(1_767_441_600_000);

fn limits() -> Limits {
    let budget = |per| Budget {
        amount: NanoDollars(u64::MAX / 2),
        per,
        reset: Reset::Calendar(Zone::default()),
        warn: None,
    };
    Limits {
        rpm: Some(Requests(100_000_000)),
        tpm: Some(Tokens(u64::MAX / 2)),
        concurrency: Some(Requests(10_000)),
        budgets: vec![budget(Period::Day), budget(Period::Month)],
        ..Limits::default()
    }
}

fn scope(name: String) -> Arc<Scope> {
    Arc::new(Scope::new(name, limits()))
}

fn entry(id: u128, scopes: &[Arc<Scope>]) -> Entry {
    let all = scopes.iter().map(|scope| Claim { scope: Arc::clone(scope), targets: Targets::ALL });
    Entry {
        id: RequestId(id),
        book: Arc::from(""),
        claims: all.collect(),
        targets: Targets::NONE.with(0).with(1),
        ask: Ask {
            more: Requests::ZERO,
            input: Estimated(Tokens(1200)),
            least_output: Estimated(Tokens(500)),
            most_output: Estimated(Tokens(500)),
            cost: Some(AskCost { fixed: NanoDollars(3_000_000), output: PerMillion(10_000_000_000) }),
        },
        lease: Millis::from_secs(180),
    }
}

fn ended() -> Settlement {
    let cost = NanoDollars(5_000_000);
    let (input, output) = (Metered(Tokens(1190)), Metered(Tokens(300)));
    Settlement::Settle(Spent { input, output, cost, targets: Targets::ALL })
}

/// One request after the other with so many open at once, one each 100 µs.
fn time(scopes: &[Arc<Scope>], open: usize) {
    const ROUNDS: u32 = 1_000_000;
    let mut ledger = Ledger::default();
    let mut entries: Vec<Entry> = (0..ROUNDS).map(|id| entry(id.into(), scopes)).collect();
    let mut holds = std::collections::VecDeque::new();
    let ended = ended();
    let start = busy();
    for (round, entry) in entries.drain(..).enumerate() {
        let now = START + Millis(round as u64 / 10);
        match ledger.reserve(entry, now) {
            Ok(hold) => holds.push_back(hold),
            Err(refusal) => println!("refused: {refusal:?}"),
        }
        if holds.len() > open
            && let Some(hold) = holds.pop_front()
        {
            ledger.settle(hold, &ended, now);
        }
    }
    let each = (busy() - start) / u64::from(ROUNDS);
    println!("{} scopes, {open} open: {each} ns to reserve and settle", scopes.len());
}

/// Nanoseconds this process has run, where the system tells: others' work does not count.
fn busy() -> u64 {
    let stat = std::fs::read_to_string("/proc/self/schedstat").unwrap_or_default();
    stat.split(' ').next().and_then(|nanos| nanos.parse().ok()).unwrap_or_default()
}

/// Resident memory in bytes, where the system tells.
fn resident() -> u64 {
    let pages = std::fs::read_to_string("/proc/self/statm").unwrap_or_default();
    let pages = pages.split(' ').nth(1).and_then(|pages| pages.parse::<u64>().ok());
    pages.unwrap_or_default() * 4096
}

/// What so many scopes take that each made so many requests within ten seconds.
fn memory(scopes: u64, requests: u32) -> Ledger {
    let mut ledger = Ledger::default();
    let before = resident();
    for round in 0..requests {
        let now = START + Millis(u64::from(round) * 10_000 / u64::from(requests));
        for number in 0..scopes {
            let own = [scope(format!("key:{number}"))];
            let id = (u128::from(number) << 32) + u128::from(round);
            if let Ok(hold) = ledger.reserve(entry(id, &own), now) {
                ledger.settle(hold, &ended(), now);
            }
        }
    }
    let active = (resident() - before) / scopes;
    println!("{scopes} scopes of {requests} requests: {active} bytes each");
    ledger
}

fn main() {
    // All are kept, so that none is measured in memory that another has given back.
    let kept = [memory(100_000, 1), memory(100_000, 10), memory(10_000, 200)];
    drop(kept);
    let names = ["key:ci", "user:ann", "team:search", "organisation:acme"];
    let scopes: Vec<Arc<Scope>> = names.iter().map(|name| scope((*name).to_owned())).collect();
    time(&[], 1);
    time(scopes.get(..1).unwrap_or_default(), 1);
    time(&scopes, 1);
    time(&scopes, 5_000);
    let note = |note: Note| {
        let mut bytes = Vec::new();
        note.write(&mut bytes);
        bytes.len()
    };
    let (reserved, id) = (Box::new(entry(1, &scopes)), RequestId(1));
    let reserved =
        note(Note::Reserved { entry: reserved, output: Tokens(500), closed: Targets::NONE, at: START });
    let settled = note(Note::Settled { id, settlement: ended(), at: START });
    println!("notes of {reserved} and {settled} bytes");
}
