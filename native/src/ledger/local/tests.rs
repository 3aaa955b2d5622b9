//! Against a real store and real files. To be killed is to leave the files as they are at that moment:
//! [`photograph`] takes a copy, and the next process starts from it.

use super::*;
use crate::clock::Clock;
use crate::ledger::journal::{name, next, of_ledger, segments};
use crate::store::desk::MOST_ROWS;
use crate::store::tests::queries::{everything, row};
use crate::store::tests::{Folder, on_writer, open as open_store};
use crate::store::{Opened as OpenedStore, Setup};
use rusqlite::Connection;
use tollgate_core::config::Fail;
use tollgate_core::ledger::{Ask, AskCost, Claim, Spent, Targets};
use tollgate_core::limit::{Budget, Limits, Period, Reset};
use tollgate_core::units::{Estimated, Metered, NanoDollars, Requests, Tokens};

const NOW: Time = Time(1_800_000_000_000);
const ASKED: NanoDollars = NanoDollars(1_000);

fn scope(rpm: Option<u64>) -> Arc<Scope> {
    let budget =
        Budget { amount: NanoDollars(1 << 50), per: Period::Never, reset: Reset::Rolling, warn: None };
    let limits = Limits { rpm: rpm.map(Requests), budgets: vec![budget], ..Limits::default() };
    Arc::new(Scope::new("key:ci", limits))
}

fn entry(id: u128, scope: &Arc<Scope>) -> Entry {
    Entry {
        id: RequestId(id),
        book: Arc::from(""),
        claims: vec![Claim { scope: Arc::clone(scope), targets: Targets::ALL }],
        targets: Targets(1),
        ask: Ask {
            input: Estimated(Tokens(10)),
            cost: Some(AskCost { fixed: ASKED, ..AskCost::default() }),
            ..Ask::default()
        },
        lease: Millis::from_secs(600),
    }
}

fn cost(cost: u64) -> Settlement {
    let input = Metered(Tokens(1));
    Settlement::Settle(Spent { input, cost: NanoDollars(cost), targets: Targets::ALL, ..Spent::default() })
}

/// Without the thread that stores the books every second: here that is done by hand.
fn take_up(folder: &Folder) -> Opened {
    let OpenedStore { store, books, .. } = open_store(&folder.store());
    LocalLedger::take_up(Arc::new(store), books, NOW).unwrap()
}

fn store(ledger: &LocalLedger) -> Arc<Store> {
    Arc::clone(&ledger.shared.kept.as_ref().unwrap().store)
}

/// The files as they are now, in another folder.
fn photograph(folder: &Folder, title: &str) -> Folder {
    let copy = Folder::new(title);
    for file in std::fs::read_dir(folder.path()).unwrap() {
        let file = file.unwrap();
        let is_plain = file.file_type().unwrap().is_file();
        let name = file.file_name().to_str().unwrap().to_owned();
        // The index of the write-ahead log belongs to whoever has it open.
        if is_plain && !name.ends_with("-shm") && !name.ends_with(".lock") {
            std::fs::copy(file.path(), copy.path().join(name)).unwrap();
        }
    }
    copy
}

fn block_on<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(future)
}

fn account(ledger: &LocalLedger) -> Account {
    ledger.account("key:ci")
}

#[test]
fn a_restart_goes_on_with_the_books_and_the_windows() {
    let folder = Folder::new("restart");
    let scope = scope(Some(2));
    let OpenedStore { store, books, .. } = open_store(&folder.store());
    let Opened { ledger, .. } = LocalLedger::open(Arc::new(store), books, NOW, Fail::default()).unwrap();
    for id in 1..=2 {
        let hold = ledger.reserve(entry(id, &scope), NOW).unwrap();
        ledger.settle(hold, cost(5), NOW);
    }
    let before = account(&ledger);
    assert_eq!((before.settled, before.spent), (Requests(2), NanoDollars(10)));
    drop(ledger);
    let Opened { ledger, replayed, warnings } = take_up(&folder);
    assert_eq!(account(&ledger), before);
    assert_eq!((replayed.notes, warnings.len()), (0, 0), "the books were stored at the end");
    let refusal = ledger.reserve(entry(3, &scope), NOW + Millis(1)).unwrap_err();
    assert!(matches!(refusal, Refusal::Limited(_)), "{refusal:?}");
    assert!(ledger.reserve(entry(4, &scope), NOW + Millis(60_001)).is_ok());
}

#[test]
fn killed_at_any_step_of_storing_the_books_nothing_is_lost_and_nothing_done_twice() {
    let folder = Folder::new("steps");
    let scope = scope(None);
    let Opened { ledger, .. } = take_up(&folder);
    let left_open = ledger.reserve(entry(99, &scope), NOW).unwrap();
    let mut photographs = Vec::new();
    let mut settled = 0;
    let mut work = |ledger: &LocalLedger| {
        for _ in 0..3 {
            settled += 1;
            let hold = ledger.reserve(entry(settled, &scope), NOW).unwrap();
            ledger.settle(hold, cost(5), NOW);
        }
        settled
    };
    for round in 0..3 {
        let mut shoot = |step: &str, settled: u128| {
            photographs.push((photograph(&folder, &format!("steps-{round}-{step}")), settled));
        };
        shoot("noted", work(&ledger));
        let due = ledger.shared.desk().turn().unwrap().unwrap();
        shoot("switched", settled_of(&ledger));
        shoot("noted-after-switch", work(&ledger));
        store(&ledger).books(Arc::clone(&due.changed), due.segment).blocking_recv().unwrap().unwrap();
        shoot("stored", settled_of(&ledger));
        shoot("noted-after-stored", work(&ledger));
        journal::forget(&of_ledger(&folder.store()), due.segment).unwrap();
        shoot("forgotten", settled_of(&ledger));
    }
    assert_eq!(photographs.len(), 18);
    for (photograph, settled) in &photographs {
        let Opened { ledger, .. } = take_up(photograph);
        let found = account(&ledger);
        // The one that was open is charged in full.
        let settled = u64::try_from(*settled).unwrap();
        let spent = NanoDollars(settled * 5 + ASKED.get());
        assert_eq!((found.settled, found.open, found.spent), (Requests(settled + 1), Requests(0), spent));
        // And what was taken up is stored at once.
        assert_eq!(segments(&of_ledger(&photograph.store())).unwrap().len(), 1);
        drop(ledger);
        let Opened { ledger, replayed, .. } = take_up(photograph);
        assert_eq!((account(&ledger), replayed.notes), (found, 0));
    }
    ledger.settle(left_open, Settlement::Release, NOW);
}

fn settled_of(ledger: &LocalLedger) -> u128 {
    u128::from(account(ledger).settled.get())
}

#[test]
fn a_hold_that_is_given_out_is_on_the_disk() {
    let folder = Folder::new("given");
    let Opened { ledger, .. } = take_up(&folder);
    let hold = ledger.reserve(entry(1, &scope(None)), NOW).unwrap();
    let killed = photograph(&folder, "given-killed");
    let Opened { ledger: after, replayed, .. } = take_up(&killed);
    assert_eq!(replayed.notes, 1);
    assert_eq!(account(&after).spent, ASKED);
    ledger.settle(hold, Settlement::Release, NOW);
}

#[test]
fn a_hold_whose_lease_was_over_is_charged_once_though_it_was_settled_later_and_the_process_killed() {
    let folder = Folder::new("swept");
    let Opened { ledger, .. } = take_up(&folder);
    let hold = ledger.reserve(entry(1, &scope(None)), NOW).unwrap();
    let later = NOW + Millis::from_secs(601);
    ledger.sweep(later);
    assert_eq!(account(&ledger).spent, ASKED);
    ledger.settle(hold, cost(5), later);
    let killed = photograph(&folder, "swept-killed");
    let Opened { ledger: after, .. } = take_up(&killed);
    assert_eq!((account(&after).settled, account(&after).spent), (Requests(1), ASKED));
}

#[test]
fn b5_a_request_is_noted_with_its_settlement_and_counted_once_wherever_the_process_is_killed() {
    let folder = Folder::new("ended");
    let Opened { ledger, .. } = take_up(&folder);
    let (store, scope) = (store(&ledger), scope(None));
    let end = |ids: std::ops::Range<u128>| {
        for id in ids {
            let hold = ledger.reserve(entry(id, &scope), NOW).unwrap();
            ledger.end(hold, cost(5), Some(row(id)), &store, NOW);
        }
    };
    let flush = || block_on(store.flush());
    let mut photographs = Vec::new();
    let mut shoot = |step, ended| photographs.push((photograph(&folder, &format!("ended-{step}")), ended));
    end(1..11);
    shoot("noted", 10);
    flush().unwrap();
    // The journal still tells of them.
    shoot("stored-without-books", 10);
    end(11..21);
    shoot("partly-stored", 20);
    // A database that takes nothing, and more requests than wait one by one.
    block_on(on_writer(&store, "PRAGMA query_only = on"));
    let all = 21 + MOST_ROWS as u128;
    end(21..all);
    flush().unwrap_err();
    let turned = ledger.shared.desk().turn().unwrap().unwrap();
    shoot("refused", all as u64 - 1);
    block_on(on_writer(&store, "PRAGMA query_only = off"));
    flush().unwrap();
    shoot("added-up-without-books", all as u64 - 1);
    end(all..all + 5);
    store.books(turned.changed, turned.segment).blocking_recv().unwrap().unwrap();
    shoot("books-stored", all as u64 + 4);
    for (photograph, ended) in photographs {
        for start in ["first", "second"] {
            let Opened { ledger, .. } = take_up(&photograph);
            let account = account(&ledger);
            let found = (account.settled, account.open, account.spent);
            let shown = format!("{} at the {start} start", photograph.path().display());
            assert_eq!(found, (Requests(ended), Requests(0), NanoDollars(ended * 5)), "{shown}");
            let counted = block_on(self::store(&ledger).spend(everything())).unwrap();
            assert_eq!(counted.first().map(|sum| sum.requests.get()), Some(ended), "{shown}");
        }
    }
}

#[cfg(target_os = "linux")]
#[test]
fn a_full_disk_gives_no_hold_and_loses_no_settlement() {
    let folder = Folder::new("no-room");
    let scope = scope(None);
    let Opened { ledger, .. } = take_up(&folder);
    let early = ledger.reserve(entry(1, &scope), NOW).unwrap();
    // The next two segments are on a disk that is full.
    let mut segment = ledger.shared.desk().journal.as_ref().unwrap().segment();
    for _ in 0..2 {
        segment = next(segment);
        std::os::unix::fs::symlink("/dev/full", name(&of_ledger(&folder.store()), segment)).unwrap();
    }
    ledger.checkpoint().unwrap();
    let refusal = ledger.reserve(entry(2, &scope), NOW).unwrap_err();
    assert_eq!(refusal, Refusal::Unavailable { retry_after: Millis(1000) });
    assert!(!ledger.is_writable());
    assert_eq!((account(&ledger).open, account(&ledger).released), (Requests(1), Requests(1)));
    ledger.settle(early, cost(5), NOW);
    assert!(!ledger.is_writable());
    assert_eq!((account(&ledger).open, account(&ledger).spent), (Requests(0), NanoDollars(5)));
    // Now there is room.
    let late = ledger.reserve(entry(3, &scope), NOW).unwrap();
    assert!(ledger.is_writable());
    let killed = photograph(&folder, "no-room-killed");
    let Opened { ledger: after, .. } = take_up(&killed);
    assert_eq!(account(&after).spent, NanoDollars(5) + ASKED);
    ledger.settle(late, Settlement::Release, NOW);
}

#[cfg(target_os = "linux")]
#[test]
fn f1_on_a_full_disk_limits_are_kept_here_and_what_was_granted_is_noted_when_there_is_room() {
    let folder = Folder::new("no-room-local");
    let limits = Limits { rpm: Some(Requests(1)), ..Limits::default() };
    let limited = Arc::new(Scope::new("key:limited", limits));
    let Opened { ledger, .. } = take_up(&folder);
    ledger.reserve(entry(1, &scope(None)), NOW).map(|hold| ledger.settle(hold, cost(5), NOW)).unwrap();
    let mut segment = ledger.shared.desk().journal.as_ref().unwrap().segment();
    for _ in 0..3 {
        segment = next(segment);
        std::os::unix::fs::symlink("/dev/full", name(&of_ledger(&folder.store()), segment)).unwrap();
    }
    ledger.checkpoint().unwrap();
    let unavailable = Refusal::Unavailable { retry_after: Millis(1000) };
    assert_eq!(ledger.reserve(entry(2, &scope(None)), NOW).unwrap_err(), unavailable, "budgets are closed");
    let hold = ledger.reserve(entry(3, &limited), NOW).unwrap();
    let Err(Refusal::Limited(_)) = ledger.reserve(entry(4, &limited), NOW) else { panic!("a second") };
    ledger.settle(hold, cost(7), NOW);
    assert!(!ledger.is_writable());
    ledger.shared.desk().mend();
    let noted = photograph(&folder, "no-room-local-noted");
    ledger.checkpoint().unwrap();
    let stored = photograph(&folder, "no-room-local-stored");
    for killed in [noted, stored] {
        let Opened { ledger: after, .. } = take_up(&killed);
        assert_eq!(after.account("key:limited").settled, Requests(1));
        assert_eq!(account(&after).spent, NanoDollars(5));
    }
}

#[cfg(target_os = "linux")]
#[test]
fn a_disk_that_has_room_again_is_noticed_without_a_request() {
    let folder = Folder::new("mended");
    let Opened { ledger, .. } = take_up(&folder);
    let hold = ledger.reserve(entry(1, &scope(None)), NOW).unwrap();
    let segment = next(ledger.shared.desk().journal.as_ref().unwrap().segment());
    std::os::unix::fs::symlink("/dev/full", name(&of_ledger(&folder.store()), segment)).unwrap();
    ledger.checkpoint().unwrap();
    ledger.settle(hold, cost(5), NOW);
    assert!(!ledger.is_writable());
    ledger.shared.desk().mend();
    assert!(ledger.is_writable());
    let killed = photograph(&folder, "mended-killed");
    let Opened { ledger: after, .. } = take_up(&killed);
    assert_eq!(account(&after).spent, NanoDollars(5));
}

#[test]
fn books_that_the_store_does_not_take_are_offered_again_and_the_segments_stay() {
    let folder = Folder::new("refused");
    let scope = scope(None);
    let Opened { ledger, .. } = take_up(&folder);
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let sql = |sql| runtime.block_on(on_writer(&store(&ledger), sql));
    sql("PRAGMA query_only = on");
    for id in 1..=3 {
        let hold = ledger.reserve(entry(id, &scope), NOW).unwrap();
        ledger.settle(hold, cost(5), NOW);
        assert_eq!(ledger.checkpoint(), Err(StoreError::ReadOnly));
    }
    let killed = photograph(&folder, "refused-killed");
    assert_eq!(account(&take_up(&killed).ledger).spent, NanoDollars(15));
    sql("PRAGMA query_only = off");
    // First what was refused, then what came since.
    ledger.checkpoint().unwrap();
    ledger.checkpoint().unwrap();
    let killed = photograph(&folder, "refused-then-killed");
    let Opened { ledger: after, replayed, .. } = take_up(&killed);
    assert_eq!((account(&after).spent, replayed.notes), (NanoDollars(15), 0));
}

#[test]
fn k17_books_that_cannot_be_understood_are_set_aside_and_the_others_go_on() {
    let folder = Folder::new("garbled-books");
    let Opened { ledger, .. } = take_up(&folder);
    let hold = ledger.reserve(entry(1, &scope(None)), NOW).unwrap();
    ledger.settle(hold, cost(5), NOW);
    ledger.checkpoint().unwrap();
    drop(ledger);
    let sql = "INSERT INTO accounts VALUES ('key:bad', X'ffff');
        INSERT INTO open_entries VALUES (X'0000000000000000000000000000000A', X'ffff');";
    Connection::open(folder.store()).unwrap().execute_batch(sql).unwrap();
    let Opened { ledger, .. } = take_up(&folder);
    assert_eq!(account(&ledger).spent, NanoDollars(5));
    drop(ledger);
    let connection = Connection::open(folder.store()).unwrap();
    let mut kept = connection.prepare("SELECT origin, name FROM set_aside ORDER BY origin").unwrap();
    let kept = kept.query_map([], |row| Ok((row.get(0)?, row.get(1)?))).unwrap();
    let kept: Vec<(String, String)> = kept.map(Result::unwrap).collect();
    let entry = ("open entry".to_owned(), format!("{:032X}", 10));
    assert_eq!(kept, [("account".to_owned(), "key:bad".to_owned()), entry]);
}

#[test]
fn k17_a_garbled_note_stops_nothing() {
    let folder = Folder::new("garbled-note");
    let scope = scope(None);
    let Opened { ledger, .. } = take_up(&folder);
    let segment = ledger.shared.desk().journal.as_ref().unwrap().segment();
    for id in 1..=3 {
        let hold = ledger.reserve(entry(id, &scope), NOW).unwrap();
        ledger.settle(hold, cost(5), NOW);
    }
    let killed = photograph(&folder, "garbled-note-killed");
    let path = name(&of_ledger(&killed.store()), segment);
    let mut bytes = std::fs::read(&path).unwrap();
    let last = bytes.len() - 1;
    bytes[last] ^= 1;
    std::fs::write(&path, bytes).unwrap();
    let Opened { ledger: after, replayed, .. } = take_up(&killed);
    assert_eq!((replayed.notes, replayed.garbled.len()), (5, 1), "{replayed:?}");
    assert_eq!(account(&after).spent, NanoDollars(10) + ASKED, "the third was found open");
}

#[test]
fn what_is_kept_in_memory_writes_no_note() {
    let OpenedStore { store, books, .. } =
        Store::open(&Setup::new(":memory:", crate::store::tests::seal, Clock::start())).unwrap();
    let Opened { ledger, .. } = LocalLedger::open(Arc::new(store), books, NOW, Fail::default()).unwrap();
    let hold = ledger.reserve(entry(1, &scope(None)), NOW).unwrap();
    ledger.settle(hold, cost(5), NOW);
    assert_eq!(account(&ledger).spent, NanoDollars(5));
    assert!(ledger.shared.desk().journal.is_none());
    ledger.checkpoint().unwrap();
}

#[test]
fn the_books_of_a_scope_that_is_no_more_are_gone_after_the_next_start_too() {
    let folder = Folder::new("forgotten-scope");
    let Opened { ledger, .. } = take_up(&folder);
    let hold = ledger.reserve(entry(1, &scope(None)), NOW).unwrap();
    ledger.settle(hold, cost(5), NOW);
    ledger.checkpoint().unwrap();
    ledger.forget("key:ci");
    ledger.checkpoint().unwrap();
    let killed = photograph(&folder, "forgotten-scope-killed");
    drop(ledger);
    assert_eq!(account(&take_up(&killed).ledger), Account::default());
}

#[test]
fn b5_what_was_credited_is_there_after_a_crash() {
    let folder = Folder::new("credited");
    let scope = scope(None);
    let budget = scope.limits.budgets[0].clone();
    let Opened { ledger, .. } = take_up(&folder);
    ledger.credit("key:ci", &budget, NanoDollars(7), NOW);
    let killed = photograph(&folder, "credited-killed");
    drop(ledger);
    let Opened { ledger, replayed, .. } = take_up(&killed);
    assert_eq!(replayed.notes, 1);
    assert_eq!(ledger.report(&scope, NOW).gauges[0].used, 7);
}

#[test]
fn books_of_expired_tokens_are_gone_from_the_store_too() {
    let folder = Folder::new("tokens");
    let Opened { ledger, .. } = take_up(&folder);
    let limits = Limits { max_requests: Some(Requests(3)), ..Limits::default() };
    let token = Arc::new(Scope::new("token:7f", limits));
    let hold = ledger.reserve(entry(1, &token), NOW).unwrap();
    ledger.settle(hold, cost(5), NOW);
    ledger.checkpoint().unwrap();
    ledger.expire_tokens(Millis::from_secs(3600));
    ledger.sweep(NOW + Millis::from_secs(7200));
    ledger.checkpoint().unwrap();
    let killed = photograph(&folder, "tokens-killed");
    drop(ledger);
    assert_eq!(open_store(&killed.store()).books.stored, []);
}

#[test]
fn f1_a_ledger_whose_store_is_opened_late_adds_what_it_did_meanwhile_to_the_books() {
    let folder = Folder::new("late-ledger");
    let (place, away) = (folder.path().join("place"), folder.path().join("away"));
    std::fs::create_dir(&place).unwrap();
    let path = place.join("tollgate.db");
    let take_up = || {
        let OpenedStore { store, books, .. } = open_store(&path);
        LocalLedger::take_up(Arc::new(store), books, NOW).unwrap().ledger
    };
    let ledger = take_up();
    ledger.reserve(entry(1, &scope(None)), NOW).map(|hold| ledger.settle(hold, cost(5), NOW)).unwrap();
    ledger.checkpoint().unwrap();
    drop(ledger);
    std::fs::rename(&place, &away).unwrap();

    let limits = Limits { rpm: Some(Requests(9)), ..Limits::default() };
    let limited = Arc::new(Scope::new("key:limited", limits));
    let ledger = take_up();
    let unavailable = Refusal::Unavailable { retry_after: Millis(1000) };
    assert_eq!(ledger.reserve(entry(2, &scope(None)), NOW).unwrap_err(), unavailable);
    let ended = ledger.reserve(entry(3, &limited), NOW).unwrap();
    let open = ledger.reserve(entry(4, &limited), NOW).unwrap();
    ledger.settle(ended, cost(7), NOW);
    ledger.checkpoint().unwrap();
    assert!(!ledger.is_writable() && !place.exists());

    std::fs::rename(&away, &place).unwrap();
    let give_up = std::time::Instant::now() + std::time::Duration::from_secs(20);
    while !store(&ledger).is_writable() {
        assert!(std::time::Instant::now() < give_up);
        std::thread::yield_now();
    }
    ledger.shared.arrive();
    assert!(ledger.is_writable());
    assert_eq!(account(&ledger).spent, NanoDollars(5));
    assert_eq!(
        (ledger.account("key:limited").settled, ledger.account("key:limited").open),
        (Requests(1), Requests(1))
    );
    ledger.settle(open, cost(7), NOW);
    ledger.reserve(entry(5, &scope(None)), NOW).map(|hold| ledger.settle(hold, cost(5), NOW)).unwrap();
    let (limited, spent) = (ledger.account("key:limited"), account(&ledger));
    assert_eq!(limited.settled, Requests(2));
    drop(ledger);
    let again = take_up();
    assert_eq!((again.account("key:limited"), account(&again)), (limited, spent));
}
