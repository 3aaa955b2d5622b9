//! What other gateways have spent, as they tell it.

use super::super::elsewhere::{Heard, Place};
use super::queries::{everything, row, spend_queries};
use super::*;
use tollgate_core::api::SpendRow;

fn place(number: u64) -> Place {
    Place { epoch: "e".to_owned(), number }
}

/// Everything that is untold goes from one to the other.
async fn pass(from: &Store, origin: &str, to: &Store) -> usize {
    let mut count = 0;
    loop {
        let untold = from.untold(7).await.unwrap();
        if untold.is_empty() {
            return count;
        }
        count += untold.len();
        let heard = untold.iter().map(|it| Heard::read(origin, &it.line.cell, &it.line.amounts).unwrap());
        let heard: Vec<Heard> = heard.collect();
        // Twice, as after a kill.
        to.hear(heard.clone(), place(1)).await.unwrap();
        to.hear(heard, place(1)).await.unwrap();
        from.told(untold).await.unwrap();
    }
}

async fn total(store: &Store) -> u64 {
    let spent = store.spend_of_all(everything()).await.unwrap();
    spent.rows.first().map_or(0, |row| row.requests.get())
}

fn sorted(mut rows: Vec<SpendRow>) -> Vec<SpendRow> {
    rows.sort_by(|one, other| one.values.cmp(&other.values));
    rows
}

#[tokio::test]
async fn spend_of_several_gateways_is_that_of_one_that_had_all_their_requests() {
    let folders = ["here", "there", "all"].map(|name| Folder::new(&format!("elsewhere-{name}")));
    let stores = folders.each_ref().map(|folder| open(&folder.store()).store);
    let [here, there, all] = &stores;
    there.hearsay("t").await.unwrap();
    for number in 0..400 {
        // The odd ones of every fourth are of the other gateway alone.
        let own = if number % 4 == 1 { there } else { here };
        own.keep(row(number));
        all.keep(row(number));
        if number % 150 == 0 {
            there.flush().await.unwrap();
            pass(there, "t", here).await;
        }
    }
    there.flush().await.unwrap();
    pass(there, "t", here).await;
    let (mut whole, mut cut) = (0, 0);
    for query in spend_queries() {
        let found = here.spend_of_all(query.clone()).await.unwrap();
        let expected = all.spend(query.clone()).await.unwrap();
        match found.days {
            OthersDays::Whole => {
                whole += 1;
                assert_eq!(sorted(found.rows), sorted(expected), "{query:?}");
            }
            OthersDays::Cut => {
                cut += 1;
                let sum = |rows: &[SpendRow]| rows.iter().map(|row| row.requests.get()).sum::<u64>();
                assert!(sum(&found.rows) <= sum(&expected), "{query:?}");
            }
        }
    }
    assert!(whole > 100 && cut > 100, "{whole} {cut}");
}

#[tokio::test]
async fn what_changes_while_it_is_told_is_told_again() {
    let folders = ["from", "to"].map(|name| Folder::new(&format!("untold-{name}")));
    let stores = folders.each_ref().map(|folder| open(&folder.store()).store);
    let [from, to] = &stores;
    let row = |number| Row { at: from.now(), ..row(number) };
    from.keep(row(1));
    from.flush().await.unwrap();
    assert!(from.untold(9).await.unwrap().is_empty(), "nobody is told anything");
    from.hearsay("f").await.unwrap();
    from.tell_all("e".to_owned()).await.unwrap();
    let early = from.untold(99).await.unwrap();
    assert!(!early.is_empty());
    from.keep(row(1));
    from.flush().await.unwrap();
    from.told(early).await.unwrap();
    assert!(pass(from, "f", to).await > 0);
    assert_eq!(total(to).await, 2);
    assert_eq!(from.hearsay("another").await.unwrap().told.as_deref(), Some("e"));
    assert_eq!(from.hearsay("another").await.unwrap().name, "f");
    // What was told is lost.
    from.hear_anew(place(0)).await.unwrap();
    assert_eq!(from.hearsay("f").await.unwrap().told, None);
    from.tell_all("e2".to_owned()).await.unwrap();
    assert!(pass(from, "f", to).await > 0);
    assert_eq!(total(to).await, 2, "the same again");
    from.end_hearsay().await.unwrap();
    from.keep(row(2));
    from.flush().await.unwrap();
    assert!(from.untold(9).await.unwrap().is_empty());
    assert_eq!(from.hearsay("f").await.unwrap().told, None);
}

#[test]
fn a_line_that_makes_no_sense_is_named_by_its_gateway_and_not_shown() {
    for (cell, amounts) in
        [("hush", "[1,1,1,1,1,1,1]"), (r#"[1,0,"hush"]"#, "[1,1,1,1,1,1,1]"), (CELL, "[1]")]
    {
        let error = Heard::read("g1", cell, amounts).unwrap_err();
        assert!(error.contains("g1") && !error.contains("hush"), "{error}");
    }
    assert!(Heard::read("g1", CELL, "[1,2,3,4,5,6,7]").is_ok());
}

const CELL: &str = r#"[20000,0,"","","","hush","","","",""]"#;
