//! A store with few keys and one with many: what a start takes, what it leaves in memory, and what a
//! request costs.

use crate::load::{self, Plan, Shape};
use crate::peers::{self, Keys, Stage};
use crate::{Options, quantile};
use rusqlite::{Connection, params};
use sha2::{Digest, Sha256};
use std::path::Path;
use std::time::Instant;

/// The few.
const FEW: u32 = 10;

/// Starts of each.
const STARTS: usize = 7;

/// The request that tells when it is there.
const FIRST: Plan = Plan { shape: Shape::Plain, requests: 1, rate: 1_000_000, connections: 1 };

/// Teams that the keys are in.
const TEAMS: u32 = 100;

pub(crate) fn compare(options: &Options) -> Result<(), String> {
    let stage = Stage::new()?;
    let mut running = Vec::new();
    for (name, file, count) in [("few keys", "few.db", FEW), ("many keys", "many.db", options.keys)] {
        let store = stage.place(file);
        // The gateway makes its own tables, and answers when it has.
        let maker = stage.stored(name, &store, Keys::One)?;
        load::run(&FIRST, &maker)?;
        drop(maker);
        fill(&store, count).map_err(|error| format!("{}: {error}", store.display()))?;
        let (mut times, mut spent) = (Vec::new(), Vec::new());
        for _ in 0..STARTS {
            let begun = Instant::now();
            let peer = stage.stored(name, &store, Keys::Many(count))?;
            // It listens before it knows its keys, and answers when it does.
            load::run(&FIRST, &peer)?;
            times.push(begun.elapsed());
            spent.push(peer.cpu()?);
        }
        times.sort();
        spent.sort();
        let peer = stage.stored(name, &store, Keys::Many(count))?;
        load::run(&FIRST, &peer)?;
        println!(
            "{count} keys: first answer after {:.0?} (median of {STARTS}, least {:.0?}), {:.0?} of CPU, {} KiB resident, {} KiB at most",
            quantile(&times, 50),
            quantile(&times, 0),
            quantile(&spent, 50),
            peer.resident_kib()?,
            peer.peak_kib()?
        );
        running.push(peer);
    }
    crate::compare(options, &running, &[Shape::Plain])
}

/// Writes teams and keys as the admin API leaves them.
fn fill(store: &Path, keys: u32) -> Result<(), rusqlite::Error> {
    let mut connection = Connection::open(store)?;
    let transaction = connection.transaction()?;
    {
        let mut insert = transaction.prepare("INSERT INTO entities VALUES (?, ?, ?)")?;
        for number in 0..TEAMS {
            let name = format!("team-{number}");
            let spec = format!(
                r#"{{"name":"{name}","rpm":1000000,"budget":[{{"usd":1000000,"per":"month","zone":"UTC"}}]}}"#
            );
            insert.execute(params!["team", name, spec])?;
        }
        for number in 0..keys {
            let name = format!("key-{number}");
            let digest: String =
                Sha256::digest(peers::secret(number)).iter().map(|byte| format!("{byte:02x}")).collect();
            let spec = format!(
                r#"{{"name":"{name}","sha256":"{digest}","team":"team-{}","models":["sim/*","gpt-*"],"rpm":100000,"tpm":100000000,"concurrency":1000,"budget":[{{"usd":1000,"per":"day","zone":"UTC"}},{{"usd":10000,"per":"month","zone":"UTC"}}],"created":"2026-11-01T00:00:00Z"}}"#,
                number % TEAMS
            );
            insert.execute(params!["key", name, spec])?;
        }
    }
    transaction.commit()
}
