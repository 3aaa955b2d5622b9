//! Of two changes the later one wins, on all gateways alike.

use super::*;
use crate::store::stamps::{Named, Stamp, Stamped};

const HERE: &str = "g5";

fn at(at: u64) -> Deed {
    Deed { at: Time(at), ..deed("key:a") }
}

fn from(by: &str, at: u64, change: Change) -> Stamped {
    Stamped { change, stamp: Stamp { at: Time(at), by: by.to_owned() } }
}

fn memory() -> Store {
    open(Path::new(":memory:")).store
}

async fn stamp(store: &Store, name: &str) -> Option<(u64, String)> {
    let named = Named::of(&key(name, None));
    let found = store.stamped(vec![named], HERE).await.unwrap().pop();
    found.map(|found| (found.stamp.at.0, found.stamp.by))
}

async fn spec(store: &Store, name: &str) -> Option<Bytes> {
    let named = Named::of(&key(name, None));
    store.stamped(vec![named], HERE).await.unwrap().pop().and_then(|found| found.change.spec)
}

#[tokio::test]
async fn each_change_has_a_later_stamp_whatever_the_clock_says() {
    let store = memory();
    store.commit(vec![key("a", Some("{}"))], at(100)).await.unwrap();
    store.commit(vec![key("a", Some("{}"))], at(40)).await.unwrap();
    assert_eq!(stamp(&store, "a").await, Some((101, HERE.to_owned())));
    store.commit(vec![key("a", None)], at(500)).await.unwrap();
    assert_eq!(stamp(&store, "a").await, Some((500, HERE.to_owned())));
    // Also after the change of a gateway whose clock is far ahead.
    store.adopt(vec![from("g9", 9_000, key("a", Some("{}")))], HERE, Time(0)).await.unwrap();
    store.commit(vec![key("a", None)], at(600)).await.unwrap();
    assert_eq!(stamp(&store, "a").await, Some((9_001, HERE.to_owned())));
}

#[tokio::test]
async fn of_two_changes_the_later_wins_in_whatever_order_they_come() {
    let changes = [
        from("g1", 10, key("a", Some(r#"{"n":1}"#))),
        from("g2", 30, key("a", Some(r#"{"n":2}"#))),
        from("g9", 20, key("a", None)),
        from("g7", 30, key("a", Some(r#"{"n":7}"#))),
    ];
    for first in 0..4 {
        for step in [1, 3] {
            let store = memory();
            for turn in 0..4 {
                let change = changes[(first + turn * step) % 4].clone();
                store.adopt(vec![change.clone()], HERE, Time(0)).await.unwrap();
                assert_eq!(store.adopt(vec![change], HERE, Time(0)).await.unwrap(), [], "told twice");
            }
            assert_eq!(spec(&store, "a").await.as_deref(), Some(&br#"{"n":7}"#[..]));
        }
    }
}

#[tokio::test]
async fn what_comes_back_to_whoever_told_it_changes_nothing() {
    let store = memory();
    store.commit(vec![key("a", Some("{}"))], at(100)).await.unwrap();
    let told = store.stamped(vec![Named::of(&key("a", None))], HERE).await.unwrap();
    assert_eq!(told, [from(HERE, 100, key("a", Some("{}")))]);
    assert_eq!(store.later(told.clone(), HERE).await.unwrap(), []);
    assert_eq!(store.adopt(told, HERE, Time(0)).await.unwrap(), []);
}

#[tokio::test]
async fn what_was_deleted_is_remembered_for_thirty_days() {
    const DAY: u64 = 86_400_000;
    let store = memory();
    store.commit(vec![key("a", Some("{}"))], at(DAY)).await.unwrap();
    store.commit(vec![key("a", None)], at(DAY)).await.unwrap();
    let known = |stamps: Vec<(Named, Stamp)>| stamps.into_iter().map(|it| it.0.name).collect::<Vec<_>>();
    store.commit(vec![key("b", Some("{}"))], at(31 * DAY)).await.unwrap();
    assert_eq!(known(store.stamps(HERE).await.unwrap()), ["a", "b"]);
    assert_eq!(store.adopt(vec![from("g1", DAY, key("a", Some("{}")))], HERE, Time(0)).await.unwrap(), []);
    store.adopt(vec![from("g1", DAY, key("c", Some("{}")))], HERE, Time(32 * DAY)).await.unwrap();
    assert_eq!(known(store.stamps(HERE).await.unwrap()), ["c", "b"]);
}

#[tokio::test]
async fn what_was_set_aside_here_was_not_deleted_and_is_taken_from_others_again() {
    let folder = Folder::new("stamps-lost");
    let opened = open(&folder.store());
    opened.store.commit(vec![key("a", Some("{}"))], at(100)).await.unwrap();
    drop(opened);
    behind_its_back(&folder.store(), "UPDATE entities SET spec = 'torn'");
    let store = open(&folder.store()).store;
    assert_eq!(store.stamps(HERE).await.unwrap(), []);
    let others = from(HERE, 100, key("a", Some("{}")));
    assert_eq!(store.adopt(vec![others.clone()], HERE, Time(0)).await.unwrap(), [others.change]);
}

#[tokio::test]
async fn entries_from_before_there_were_stamps_are_the_oldest_and_told_too() {
    let folder = Folder::new("stamps-old");
    let old = Connection::open(folder.store()).unwrap();
    old.execute_batch(include_str!("../schema/1.sql")).unwrap();
    old.execute_batch("INSERT INTO entities VALUES ('key', 'a', '{}')").unwrap();
    old.execute_batch("PRAGMA application_id = 0x74676174; PRAGMA user_version = 1").unwrap();
    drop(old);
    let store = open(&folder.store()).store;
    assert_eq!(stamp(&store, "a").await, Some((0, HERE.to_owned())));
    assert_eq!(store.stamps(HERE).await.unwrap().len(), 1);
}
