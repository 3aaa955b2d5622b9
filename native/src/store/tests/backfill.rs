//! What an older program has stored is brought over in steps.

use super::super::backfill::{self, Left};
use super::super::requests::{self, Outcome};
use super::super::schema;
use super::queries::{filters, row, values};
use super::*;
use tollgate_core::units::Time;

#[tokio::test]
async fn an_older_database_finds_its_requests_by_whose_they_are() {
    let folder = Folder::new("older");
    let rows: Vec<Row> = (0..200).map(row).collect();
    older(&folder, &rows);
    let Opened { store, .. } = open(&folder.store());
    for only in filters().into_iter().filter(|only| only.len() == 1) {
        let (from, to) = (Time(0), Time::NEVER);
        let query =
            RequestQuery { from, to, only: only.clone(), outcome: Outcome::Any, after: None, limit: 1000 };
        let found = store.requests(query).await.unwrap();
        let wanted = rows.iter().filter(|row| {
            values(row, only[0].dimension).iter().any(|value| value.as_ref() == Some(&only[0].value))
        });
        assert_eq!(found.len(), wanted.count(), "{only:?}");
    }
}

/// An older program's store of these requests.
fn older(folder: &Folder, rows: &[Row]) {
    let connection = schema::writer(Some(&folder.store())).unwrap();
    requests::write(&connection, rows).unwrap();
    let columns = ["organisation", "team", "user", "key", "end_user", "provider", "model"];
    let indexes = columns.map(|name| format!("CREATE INDEX requests_by_{name} ON requests ({name}, at);"));
    let older = format!(
        "DROP TABLE runs; DROP TABLE marks; DROP TABLE responses; \
         DROP TABLE elsewhere; DROP TABLE untold; DROP TABLE hearsay; \
         ALTER TABLE requests DROP COLUMN guardrails; {} PRAGMA user_version = 3",
        indexes.concat()
    );
    connection.execute_batch(&older).unwrap();
}

#[test]
fn f6_a_migration_is_done_in_bounded_steps_with_all_requests_found_meanwhile_and_goes_on_after_a_kill() {
    const OLD: u128 = 3 * backfill::BATCH as u128 + 7;
    let folder = Folder::new("migrated");
    let mut rows: Vec<Row> = (0..OLD).map(row).collect();
    older(&folder, &rows);
    let count = |connection: &Connection, sql: &str| connection.query_row(sql, [], |row| row.get(0)).unwrap();
    let entries = "SELECT coalesce(sum(json_array_length(entries)), 0) FROM runs JOIN marks USING (mark) \
        WHERE dimension = 'key'";
    let indexes = "SELECT count(*) FROM sqlite_schema WHERE type = 'index' AND tbl_name = 'requests'";
    let (mut had_runs, mut had_indexes) = (0, 10);
    let mut steps = 0;
    loop {
        // Each step by another process: the one before was killed.
        let connection = schema::writer(Some(&folder.store())).unwrap();
        let (runs, left): (i64, i64) = (count(&connection, entries), count(&connection, indexes));
        assert!(runs - had_runs <= backfill::BATCH && had_indexes - left <= 1, "step {steps}");
        assert!(runs == rows.len() as i64 || left == 10, "no index goes before all requests have runs");
        (had_runs, had_indexes) = (runs, left);
        for only in filters().into_iter().filter(|only| only.len() == 1) {
            let (from, to) = (Time(0), Time::NEVER);
            let query = RequestQuery {
                from,
                to,
                only: only.clone(),
                outcome: Outcome::Any,
                after: None,
                limit: 1000,
            };
            let mut found: Vec<RequestId> =
                requests::page(&connection, &query).unwrap().iter().map(|found| found.row.id).collect();
            let mut wanted: Vec<&Row> = rows
                .iter()
                .filter(|row| values(row, only[0].dimension).contains(&Some(only[0].value.clone())))
                .collect();
            wanted.sort_by_key(|row| std::cmp::Reverse((row.at, row.id.0)));
            wanted.truncate(1000);
            let mut wanted: Vec<RequestId> = wanted.iter().map(|row| row.id).collect();
            for ids in [&mut found, &mut wanted] {
                ids.sort_by_key(|id| id.0);
            }
            assert_eq!(found, wanted, "{only:?} after {steps} steps");
        }
        if backfill::step(&connection).unwrap() == Left::Nothing {
            break;
        }
        steps += 1;
        // One that comes meanwhile.
        let new = row(OLD + steps);
        if steps < 6 {
            requests::write(&connection, std::slice::from_ref(&new)).unwrap();
            had_runs += 1;
            rows.push(new);
        }
    }
    assert_eq!((had_runs, had_indexes), (rows.len() as i64, 3));
    assert_eq!(steps, 4 + 1 + 7);
}
