//! Small requests beside a client that sends prompts of megabytes, one after the other.

use crate::load::{self, Connection, Plan, Shape, request_of};
use crate::peers::{Keeping, LIMITED, Peer, Stage};
use crate::{Options, quantile};
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::Duration;

/// What becomes of a large prompt.
struct Kind {
    name: &'static str,
    key: &'static str,
    model: &'static str,
}

const KINDS: [Kind; 3] = [
    // Its estimate does not fit into the key's limit, so that it is counted.
    Kind { name: "counted", key: "sk-counted", model: "large" },
    Kind { name: "passed on", key: "sk-large", model: "large" },
    Kind { name: "translated", key: "sk-large", model: "translated" },
];

/// Between two large prompts.
const PAUSE: Duration = Duration::from_millis(200);

const CONFIG: &str = r#"
[prices]
"claude/*" = { input = 1, output = 2 }

[providers.claude]
kind = "anthropic"
base_url = "http://UPSTREAM/v1"
keys = ["sk-sim"]

[models.large]
targets = ["sim/gpt-4o+fast,chars=100"]

[models.translated]
targets = ["claude/claude-sim+chars=100"]

[[keys]]
name = "counted"
value = "sk-counted"
tpm = 1_200_000

[[keys]]
name = "large"
value = "sk-large"
"#;

pub(crate) fn beside(options: &Options) -> Result<(), String> {
    let stage = Stage::new()?;
    let (sim, claude) =
        (r#""sim/*" = { input = 1, output = 2 }"#, r#""claude/*" = { input = 1, output = 2 }"#);
    let limited = LIMITED.replace(sim, &format!("{sim}\n{claude}"));
    let own = CONFIG.replace(&format!("[prices]\n{claude}\n"), "");
    let gateway = stage.keyed("tollgate", &format!("{limited}{own}"), Keeping::Sqlite)?;
    println!("| beside | large prompts | p50 | p90 | p99 | p99.9 | longest |");
    println!("|---|---|---|---|---|---|---|");
    let plan = Plan {
        shape: Shape::Plain,
        requests: (options.requests / options.rounds).max(1),
        rate: options.rate.min(500),
        connections: options.connections,
    };
    load::run(&Plan { requests: 200, ..plan }, &gateway)?;
    let mut tallies: Vec<(&str, u32, Vec<Duration>)> = vec![("nothing", 0, Vec::new())];
    tallies.extend(KINDS.iter().map(|kind| (kind.name, 0, Vec::new())));
    for _ in 0..options.rounds {
        for (kind, (_, sent, times)) in std::iter::once(None).chain(KINDS.iter().map(Some)).zip(&mut tallies)
        {
            let round = measure(&plan, &gateway, kind, options.megabytes)?;
            *sent += round.large;
            times.extend(round.times);
        }
    }
    for (name, large, times) in &mut tallies {
        times.sort();
        let permille = |part: usize| {
            let at = (times.len() * part / 1000).min(times.len().saturating_sub(1));
            times.get(at).copied().unwrap_or_default()
        };
        println!(
            "| {name} | {large} | {:.2?} | {:.2?} | {:.2?} | {:.2?} | {:.2?} |",
            quantile(times, 50),
            quantile(times, 90),
            quantile(times, 99),
            permille(999),
            times.last().copied().unwrap_or_default()
        );
    }
    Ok(())
}

struct Round {
    /// Large prompts that were answered.
    large: u32,
    /// Of the small requests.
    times: Vec<Duration>,
}

fn measure(plan: &Plan, gateway: &Peer, kind: Option<&Kind>, megabytes: u32) -> Result<Round, String> {
    let (over, large) = (AtomicBool::new(false), AtomicU32::new(0));
    std::thread::scope(|scope| {
        let sender = scope.spawn(|| -> Result<(), String> {
            let Some(Kind { name: _, key, model }) = kind else { return Ok(()) };
            let request = request_of(key, &body(model, megabytes));
            while !over.load(Ordering::Acquire) {
                let mut connection = Connection::open(gateway.address)?;
                match connection.status(&request)? {
                    200 | 429 => large.fetch_add(1, Ordering::AcqRel),
                    other => return Err(format!("status {other} for a large prompt")),
                };
                std::thread::sleep(PAUSE);
            }
            Ok(())
        });
        let times = load::run(plan, gateway);
        over.store(true, Ordering::Release);
        sender.join().map_err(|_| "the client of large prompts panicked".to_owned())??;
        Ok(Round { large: large.load(Ordering::Acquire), times: times? })
    })
}

/// Prose with a line break, and so an escape, every hundred bytes.
fn body(model: &str, megabytes: u32) -> String {
    let line =
        "The quick brown fox jumps over the lazy dog, and then it goes home to write a letter about it.\\n";
    let lines = (megabytes as usize * 1_000_000) / line.len();
    format!(
        "{{\"model\":\"{model}\",\"max_tokens\":100,\"messages\":[{{\"role\":\"user\",\"content\":\"{}\"}}]}}",
        line.repeat(lines)
    )
}
