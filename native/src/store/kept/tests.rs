//! To be killed is to leave the files as they are at that moment: a copy is taken, and opened.

use super::*;
use crate::ledger::journal::{name, segments};
use crate::store::Store;
use crate::store::desk::MOST_ROWS;
use crate::store::tests::queries::{everything, row};
use crate::store::tests::{Folder, on_writer, open};

/// The files as they are now, in another folder.
fn photograph(folder: &Folder, title: &str) -> Folder {
    let copy = Folder::new(title);
    for file in std::fs::read_dir(folder.path()).unwrap() {
        let file = file.unwrap();
        let name = file.file_name().to_str().unwrap().to_owned();
        if !name.ends_with("-shm") && !name.ends_with(".lock") {
            std::fs::copy(file.path(), copy.path().join(name)).unwrap();
        }
    }
    copy
}

/// Requests that are shown after a start, twice over: added up, and how many there are one by one.
async fn shown(folder: &Folder) -> [u64; 2] {
    drop(open(&folder.store()));
    assert_eq!(segments(&base(&folder.store())).unwrap(), []);
    let store = open(&folder.store()).store;
    let added_up = store.spend(everything()).await.unwrap().first().map_or(0, |sum| sum.requests.get());
    [added_up, one_by_one(&store).await]
}

async fn one_by_one(store: &Store) -> u64 {
    let count = "SELECT count(*) FROM requests";
    store.read(move |connection| connection.query_row(count, [], |row| row.get(0)).map(uint)).await.unwrap()
}

async fn kept(store: &Store, numbers: std::ops::Range<u128>) {
    numbers.for_each(|number| store.keep(row(number)));
}

#[test]
fn a_note_of_the_form_before_is_read() {
    let mut bytes = Vec::new();
    write(&row(7), None, &mut bytes);
    let cache = row(7).cache;
    bytes.truncate(bytes.len() - 8 - cache.len());
    bytes[HEAD] = FORM_BEFORE;
    let length = u32::try_from(bytes.len() - HEAD).unwrap().to_le_bytes();
    let sum = crc32fast::hash(&bytes[HEAD..]).to_le_bytes();
    bytes[..HEAD].copy_from_slice(&[length, sum].concat());
    assert_eq!(read(&bytes).unwrap().unwrap().row, Row { cache: "off".to_owned(), ..row(7) });
}

#[test]
fn a_note_says_all_of_a_request() {
    for number in 0..200 {
        let mut bytes = Vec::new();
        let (all, none) = (
            Row { fault: Some("rate_limited".to_owned()), first_byte: Some(Millis(3)), ..row(number) },
            row(number + 1),
        );
        write(&all, None, &mut bytes);
        write(&none, Some(u64::MAX), &mut bytes);
        let first = read(&bytes).unwrap().unwrap();
        assert_eq!(first.row, all);
        assert_eq!(read(&bytes[first.length..]).unwrap().unwrap().row, none);
        for cut in 0..first.length {
            assert!(read(&bytes[..cut]).unwrap().is_none(), "cut after {cut} bytes");
        }
    }
}

#[tokio::test]
async fn b5_killed_at_any_step_of_storing_requests_each_is_counted_once() {
    let folder = Folder::new("kept-steps");
    let store = open(&folder.store()).store;
    store.flush().await.unwrap();
    // A database that takes nothing, so that requests are in their file alone.
    on_writer(&store, "PRAGMA query_only = on").await;
    kept(&store, 1..11).await;
    let noted = photograph(&folder, "kept-noted");
    assert!(store.flush().await.is_err());
    let refused = photograph(&folder, "kept-refused");
    kept(&store, 11..21).await;
    let noted_again = photograph(&folder, "kept-noted-again");
    on_writer(&store, "PRAGMA query_only = off").await;
    store.flush().await.unwrap();
    let stored = photograph(&folder, "kept-stored");
    // Killed before the segments could be deleted: they are there, and the database knows them.
    let undeleted = photograph(&folder, "kept-undeleted");
    for segment in segments(&base(&noted_again.store())).unwrap() {
        let [from, to] = [&noted_again, &undeleted].map(|folder| name(&base(&folder.store()), segment));
        std::fs::copy(from, to).unwrap();
    }
    assert_eq!(segments(&base(&noted.store())).unwrap().len(), 1);
    assert_eq!(segments(&base(&stored.store())).unwrap(), []);
    assert_eq!(segments(&base(&undeleted.store())).unwrap().len(), 2);
    for (folder, requests) in [(noted, 10), (refused, 10), (noted_again, 20), (stored, 20), (undeleted, 20)] {
        assert_eq!(shown(&folder).await, [requests, requests], "{:?}", folder.path());
    }
}

#[tokio::test]
async fn b5_a_request_that_is_stored_is_not_counted_again_if_its_file_is_read_again() {
    let folder = Folder::new("kept-twice");
    let store = open(&folder.store()).store;
    kept(&store, 1..11).await;
    drop(store);
    let mut journal = Journal::begin(&base(&folder.store()), Segment(1000)).unwrap();
    let mut notes = Vec::new();
    (5..15).chain(5..15).for_each(|number| write(&row(number), None, &mut notes));
    journal.append(&notes).unwrap();
    drop(journal);
    assert_eq!(shown(&folder).await, [14, 14]);
}

#[tokio::test]
async fn b5_requests_that_are_only_added_up_are_counted_once_too() {
    let folder = Folder::new("kept-spilled");
    let store = open(&folder.store()).store;
    store.flush().await.unwrap();
    on_writer(&store, "PRAGMA query_only = on").await;
    let all = MOST_ROWS as u128 + 50;
    kept(&store, 0..all).await;
    assert!(store.flush().await.is_err());
    let waiting = photograph(&folder, "kept-spilled-waiting");
    on_writer(&store, "PRAGMA query_only = off").await;
    store.flush().await.unwrap();
    let stored = photograph(&folder, "kept-spilled-stored");
    for segment in segments(&base(&waiting.store())).unwrap() {
        let [from, to] = [&waiting, &stored].map(|folder| name(&base(&folder.store()), segment));
        std::fs::copy(from, to).unwrap();
    }
    assert_eq!(shown(&stored).await, [all as u64, MOST_ROWS as u64]);
    // Those that were killed before are all there one by one.
    assert_eq!(shown(&waiting).await, [all as u64, all as u64]);
}

#[tokio::test]
async fn k17_a_file_that_is_torn_or_garbled_stops_nothing() {
    let folder = Folder::new("kept-garbled");
    drop(open(&folder.store()));
    let base = base(&folder.store());
    let mut notes = Vec::new();
    write(&row(1), None, &mut notes);
    let whole = notes.len();
    write(&row(2), None, &mut notes);
    Journal::begin(&base, Segment(50)).unwrap().append(&notes[..whole + 20]).unwrap();
    notes[whole + 20] ^= 1;
    Journal::begin(&base, Segment(51)).unwrap().append(&notes).unwrap();
    notes.clear();
    write(&row(3), None, &mut notes);
    Journal::begin(&base, Segment(52)).unwrap().append(&notes).unwrap();
    assert_eq!(shown(&folder).await, [2, 2]);
    assert!(beside(&base, ".51.bad").exists());
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn where_the_disk_takes_no_note_requests_wait_in_memory_alone() {
    let folder = Folder::new("kept-full");
    let store = open(&folder.store()).store;
    for segment in 1..20 {
        std::os::unix::fs::symlink("/dev/full", name(&base(&folder.store()), Segment(segment))).unwrap();
    }
    kept(&store, 1..11).await;
    store.flush().await.unwrap();
    assert_eq!(one_by_one(&store).await, 10);
}
