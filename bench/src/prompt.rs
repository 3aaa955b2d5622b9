//! Small requests beside a client that sends prompts of megabytes, one after the other.

use crate::load::{self, Connection, Plan, Shape, request_of};
use crate::peers::{Keeping, LIMITED, Peer, Stage, remote_provider};
use crate::{Options, quantile};
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::Duration;

/// What becomes of a large prompt.
struct Kind {
    name: &'static str,
    keys: Keys,
    model: &'static str,
}

/// Whose large prompts are.
enum Keys {
    /// All of this key, which has no limits.
    One(&'static str),
    /// Each of another key, whose limit of tokens holds one such prompt but not the estimate of it, so that
    /// it has to be counted.
    Narrow,
}

const KINDS: [Kind; 3] = [
    Kind { name: "counted", keys: Keys::Narrow, model: "large" },
    Kind { name: "passed on", keys: Keys::One("sk-large"), model: "large" },
    Kind { name: "translated", keys: Keys::One("sk-large"), model: "translated" },
];

/// Keys whose prompts are counted: more than fit into the rounds.
const NARROW: u32 = 2_000;

/// Between two large prompts.
const PAUSE: Duration = Duration::from_millis(200);

const PRICES: &str = r#"[prices]
"claude/*" = { input = 1, output = 2 }
"apart/*" = { input = 1, output = 2 }
"#;

const CONFIG: &str = r#"
[providers.claude]
kind = "anthropic"
base_url = "http://APART/v1"
keys = ["sk-sim"]

[providers.apart]
kind = "openai"
base_url = "http://APART/v1"
keys = ["sk-sim"]

[models.large]
targets = ["apart/gpt-4o+fast,chars=100"]

[models.translated]
targets = ["claude/claude-sim+chars=100"]

[[keys]]
name = "large"
value = "sk-large"
"#;

pub(crate) fn beside(options: &Options) -> Result<(), String> {
    let stage = Stage::new()?;
    // Large prompts have a provider of their own, since reading one keeps a simulated provider busy.
    let apart = remote_provider("sim apart")?;
    let mut config = LIMITED.replace("[prices]\n", PRICES);
    config.push_str(&CONFIG.replace("APART", &apart.address.to_string()));
    // What a token holds of such text, and some.
    let room = u64::from(options.megabytes) * 1_000_000 / 4;
    for number in 0..NARROW {
        config.push_str(&format!(
            "[[keys]]\nname = \"narrow-{number}\"\nvalue = \"{}\"\ntpm = {room}\n",
            narrow(number)
        ));
    }
    let gateway = stage.keyed("tollgate", &config, Keeping::Sqlite)?;
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
    let next = AtomicU32::new(0);
    for _ in 0..options.rounds {
        for (kind, (_, sent, times)) in std::iter::once(None).chain(KINDS.iter().map(Some)).zip(&mut tallies)
        {
            let round = measure(&plan, &gateway, kind, options.megabytes, &next)?;
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

/// The secret of a narrow key.
fn narrow(number: u32) -> String {
    format!("sk-narrow-{number}")
}

fn measure(
    plan: &Plan,
    gateway: &Peer,
    kind: Option<&Kind>,
    megabytes: u32,
    next: &AtomicU32,
) -> Result<Round, String> {
    let (over, large) = (AtomicBool::new(false), AtomicU32::new(0));
    std::thread::scope(|scope| {
        let sender = scope.spawn(|| -> Result<(), String> {
            let Some(Kind { name: _, keys, model }) = kind else { return Ok(()) };
            let body = body(model, megabytes);
            while !over.load(Ordering::Acquire) {
                let key = match keys {
                    Keys::One(key) => (*key).to_owned(),
                    Keys::Narrow => narrow(next.fetch_add(1, Ordering::AcqRel) % NARROW),
                };
                let mut connection = Connection::open(gateway.address)?;
                match connection.status(&request_of(&key, &body))? {
                    200 => large.fetch_add(1, Ordering::AcqRel),
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
