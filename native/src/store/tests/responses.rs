//! Responses that are kept, and for how long.

use super::super::responses::{Keeping, Kept};
use super::super::{responses, schema};
use super::*;
use tollgate_core::transcript::{Owner, Transcript};
use tollgate_core::units::{Millis, Time};

const HOUR: Millis = Millis::from_secs(3600);

fn kept(number: u64, at: Time) -> Kept {
    let transcript = Transcript { response: "r".repeat(60), input: "i".repeat(40) };
    Kept { owner: Owner("ci\n".to_owned()), id: format!("resp_{number}"), at, transcript }
}

fn left(connection: &Connection) -> (u64, Option<u64>) {
    let sql = "SELECT count(*), min(at) FROM responses";
    connection
        .query_row(sql, [], |row| {
            Ok((row.get::<_, i64>(0)? as u64, row.get::<_, Option<i64>>(1)?.map(|at| at as u64)))
        })
        .unwrap()
}

#[test]
fn f5_responses_go_in_bounded_batches_when_they_are_old_or_too_many_the_oldest_first() {
    let connection = schema::writer(None).unwrap();
    let first = Time(1_800_000_000_000);
    for number in 0..450 {
        responses::write(&connection, &kept(number, first + Millis(number))).unwrap();
    }
    let keeping = Keeping { time: HOUR, size: 20_000 };
    // Those of the first 150 milliseconds are too old.
    let now = first + HOUR + Millis(149);
    let mut steps = Vec::new();
    while responses::purge(&connection, keeping, now).unwrap() {
        steps.push(left(&connection));
    }
    // A hundred at a time: two batches of old ones, then of the oldest until 200 of 100 bytes are left.
    let at = |number: u64| Some((first + Millis(number)).0);
    assert_eq!(steps, [(350, at(100)), (200, at(250))]);
    assert_eq!(left(&connection), (200, at(250)));
    // Turned off, all of them go.
    let nothing = Keeping { time: Millis(0), size: 20_000 };
    while responses::purge(&connection, nothing, now).unwrap() {}
    assert_eq!(left(&connection).0, 0);
}

#[tokio::test]
async fn a_response_is_found_at_once_by_its_owner_until_its_time_is_over() {
    let folder = Folder::new("responses");
    let keeping = Keeping { time: HOUR, size: 1 << 20 };
    let Opened { store, .. } = Store::open(&Setup { keeping, ..setup(&folder.store()) }).unwrap();
    let (now, owner) = (store.now(), Owner("ci\n".to_owned()));
    store.keep_response(kept(1, now));
    store.keep_response(kept(2, now - HOUR));
    assert_eq!(store.response(&owner, "resp_1").await.unwrap(), Some(kept(1, now).transcript));
    assert_eq!(store.response(&owner, "resp_2").await.unwrap(), None, "it is too old, dropped yet or not");
    assert_eq!(store.response(&Owner("ci\n77".to_owned()), "resp_1").await.unwrap(), None);
    store.forget_response(&owner, "resp_1").await.unwrap();
    assert_eq!(store.response(&owner, "resp_1").await.unwrap(), None);
}
