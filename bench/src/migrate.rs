//! The store of an older program, with millions of requests: how long calls and changes take while it is brought
//! over to today's schema.

use crate::load::{Connection, Plan, Shape, request_to, run};
use crate::peers::{Peer, Stage};
use crate::{Options, quantile};
use rusqlite::{Connection as Database, OpenFlags, params};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// What the schema was before requests had runs.
const OLDER: [&str; 3] = [
    include_str!("../../native/src/store/schema/1.sql"),
    include_str!("../../native/src/store/schema/2.sql"),
    include_str!("../../native/src/store/schema/3.sql"),
];

/// Over how many milliseconds requests are spread: a month.
const SPREAD: i64 = 30 * 86_400_000;

/// Between two changes.
const PAUSE: Duration = Duration::from_millis(50);

/// The longest that is waited for.
const PATIENCE: Duration = Duration::from_secs(1800);

pub(crate) fn measure(options: &Options) -> Result<(), String> {
    let stage = Stage::new()?;
    let store = stage.place("older.db");
    let shown = |error: rusqlite::Error| format!("{}: {error}", store.display());
    fill(&store, options.rows).map_err(shown)?;
    let size = std::fs::metadata(&store).map_err(|error| error.to_string())?.len() >> 20;
    let begun = Instant::now();
    let peer = stage.administered("migrate", &store)?;
    run(&Plan { shape: Shape::Plain, requests: 1, rate: 1_000_000, connections: 1 }, &peer)?;
    println!("{} requests, {size} MB: first answer {:.1?} after the start", options.rows, begun.elapsed());
    println!("| | s | calls | p50 | p99 | longest | changes | p50 | p99 | longest |");
    println!("|---|---|---|---|---|---|---|---|---|---|");
    let mut done = false;
    let migration = watch(options, &peer, || {
        // One more turn after the end, so that what the end itself takes is seen.
        let was = std::mem::replace(&mut done, is_over(&store).map_err(shown)?);
        Ok(was)
    })?;
    migration.report("meanwhile");
    let mut turns = 0;
    let afterwards = watch(options, &peer, || {
        turns += 1;
        Ok(turns > 10)
    })?;
    afterwards.report("afterwards");
    Ok(())
}

/// What was seen of calls, and of changes to who there is.
#[derive(Default)]
struct Seen {
    took: Duration,
    calls: Vec<Duration>,
    changes: Vec<Duration>,
}

impl Seen {
    fn report(mut self, title: &str) {
        let mut line = format!("| {title} | {:.0}", self.took.as_secs_f64());
        for times in [&mut self.calls, &mut self.changes] {
            times.sort();
            let [middle, most, longest] = [50, 99, 100].map(|percent| quantile(times, percent));
            line += &format!(" | {} | {middle:.1?} | {most:.1?} | {longest:.1?}", times.len());
        }
        println!("{line} |");
    }
}

/// Calls and changes side by side, a second at a time, until it is over.
fn watch(
    options: &Options,
    peer: &Peer,
    mut is_over: impl FnMut() -> Result<bool, String>,
) -> Result<Seen, String> {
    let begun = Instant::now();
    let mut seen = Seen::default();
    let rate = (options.rate / 10).max(1);
    let plan = Plan { shape: Shape::Plain, requests: rate, rate, connections: options.connections };
    let over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let changes = scope.spawn(|| changes(peer, &over));
        let mut calls = || -> Result<(), String> {
            while !is_over()? {
                if begun.elapsed() > PATIENCE {
                    return Err("it does not end".to_owned());
                }
                seen.calls.extend(run(&plan, peer)?);
            }
            Ok(())
        };
        let outcome = calls();
        over.store(true, Ordering::Release);
        seen.changes = changes.join().map_err(|_| "the thread of the changes has panicked".to_owned())??;
        outcome
    })?;
    seen.took = begun.elapsed();
    Ok(seen)
}

/// Makes one key after the other; each is in the database when it is answered.
fn changes(peer: &Peer, over: &AtomicBool) -> Result<Vec<Duration>, String> {
    let mut connection = Connection::open(peer.address)?;
    let mut times = Vec::new();
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_nanos();
    while !over.load(Ordering::Acquire) {
        let body = format!("{{\"name\":\"made-{now}-{}\"}}", times.len());
        let request = request_to("/api/keys", Stage::ADMIN, &body);
        let asked = Instant::now();
        match connection.status(&request)? {
            200 | 201 => times.push(asked.elapsed()),
            status => return Err(format!("a key was not made: {status}")),
        }
        std::thread::sleep(PAUSE);
    }
    Ok(times)
}

fn fill(store: &Path, rows: u32) -> Result<(), rusqlite::Error> {
    let mut database = Database::open(store)?;
    database.pragma_update(None, "journal_mode", "wal")?;
    database.pragma_update(None, "synchronous", "off")?;
    for sql in OLDER {
        database.execute_batch(sql)?;
    }
    database.pragma_update(None, "application_id", 0x7467_6174)?;
    database.pragma_update(None, "user_version", 3)?;
    // Made when all rows are there, which is faster.
    let made = "SELECT sql FROM sqlite_schema WHERE tbl_name = 'requests' AND type = 'index'";
    let indexes: Vec<String> =
        database.prepare(made)?.query_map([], |row| row.get(0))?.collect::<Result<_, _>>()?;
    for name in indexes.iter().filter_map(|sql| sql.split(' ').nth(2)) {
        database.execute_batch(&format!("DROP INDEX {name}"))?;
    }
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_millis();
    let first = i64::try_from(now).unwrap_or_default() - SPREAD;
    let transaction = database.transaction()?;
    {
        let mut insert = transaction.prepare(
            "INSERT INTO requests VALUES (?, ?, ?, ?, ?, ?, ?, NULL, NULL, 'openai', ?, 'chat', 'openai.chat', 200,
                NULL, 'complete', 0, 1, 100, 0, 0, 200, NULL, 'reported', 5000, 'computed', 200, 900, 'off')",
        )?;
        for number in 0..i64::from(rows) {
            insert.execute(params![
                number + 1,
                i128::from(number).to_be_bytes(),
                first + SPREAD * number / i64::from(rows),
                format!("org-{}", number % 5),
                format!("team-{}", number % 100),
                format!("user-{}", number % 300),
                format!("key-{}", number * 7919 % 1000),
                format!("openai/gpt-{}", number % 7),
            ])?;
        }
    }
    transaction.commit()?;
    indexes.iter().try_for_each(|sql| database.execute_batch(sql))?;
    database.execute_batch("PRAGMA wal_checkpoint(TRUNCATE)")
}

/// Whether all requests have runs, and the indexes are gone.
fn is_over(store: &Path) -> Result<bool, rusqlite::Error> {
    let database = Database::open_with_flags(store, OpenFlags::SQLITE_OPEN_READ_ONLY)?;
    database.busy_timeout(Duration::from_secs(1))?;
    let left = "SELECT count(*) FROM meta WHERE name = 'runs_until'";
    let indexes = "SELECT count(*) FROM sqlite_schema WHERE type = 'index' AND name GLOB 'requests_by_*'";
    let count = |sql| database.query_row(sql, [], |row| row.get::<_, i64>(0));
    Ok(count(left)? == 0 && count(indexes)? == 3)
}
