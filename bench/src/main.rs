//! What the gateway costs, measured beside nginx proxying the same traffic.
//!
//! Both stand between the same load and the same simulated provider, in turns, at the same fixed
//! rate; CPU time is what the operating system charged the process (user plus system). Machines are
//! noisy, so the figure to read is the ratio, and its spread over the rounds.

mod keys;
mod load;
mod pairs;
mod migrate;
mod peers;
mod process;
mod prompt;
mod written;

use load::{Plan, Shape};
use peers::{FREE, Keeping, LIMITED, Peer, Stage};
use std::process::ExitCode;
use std::time::Duration;

const USAGE: &str = "\
tollgate-bench: CPU time per request, as a ratio to nginx in the same run

Usage: tollgate-bench [--requests N] [--rate N] [--connections N] [--rounds N] [--shape NAME]
       tollgate-bench layout [the same]
       tollgate-bench governed [the same]
       tollgate-bench memory [--streams N]
       tollgate-bench crowd [--streams N]
       tollgate-bench start
       tollgate-bench keys [--keys N] [--requests N] [--rounds N]
       tollgate-bench pairs [--requests N] [--rounds N]
       tollgate-bench written
       tollgate-bench migrate [--rows N] [--rate N]
       tollgate-bench prompt [--requests N] [--rate N] [--rounds N] [--megabytes N]

  --requests N      requests per peer and shape, all rounds together (default 12000)
  --rate N          requests a second (default 1500 plain; a tenth of it for streams)
  --connections N   keep-alive connections (default 16; more for paced streams, which last longer)
  --rounds N        turns each peer takes (default 10)
  --shape NAME      plain, stream or paced; all unless told

  layout            a bare proxy, one runtime per core against one for all; plain and stream unless told
  governed          the gateway without keys, with a key, and with a key under all kinds of limits: in memory, journalled
                    to SQLite, and in Redis where TOLLGATE_BENCH_REDIS holds its URL; plain and stream unless told
  memory            resident memory idle and under open streams (default 1000)
  crowd             calls in flight at once, 10 s each: resident memory, and whether all are answered
  start             time from start to the first answer
  keys              a store with 10 keys and one with many (default 100000): start, memory, CPU per request
  pairs             every surface before every dialect: CPU per request, per streamed event, and of a long
                    conversation, beside the pass-through of the same size
  written           of the same long conversation, reading and writing alone, in this process: time, allocations
  migrate           an older program's store with many requests (default 3000000): calls, at a tenth of the rate, and
                    changes through the admin API, while it is brought over
  prompt            small requests beside a client that sends large prompts one after the other (default 4
                    MB): how long the small ones take with and without it

TOLLGATE_BIN, TOLLGATE_SIM and TOLLGATE_LAYOUT name the programs (default: beside this one); nginx is found on PATH.
TOLLGATE_ARGS are further arguments for `tollgate serve`.
";

struct Options {
    command: Command,
    requests: u32,
    rate: u32,
    connections: u32,
    rounds: u32,
    streams: u32,
    keys: u32,
    megabytes: u32,
    rows: u32,
    shape: Option<Shape>,
}

#[derive(Clone, Copy)]
enum Command {
    Cpu,
    Layout,
    Governed,
    Memory,
    Crowd,
    Start,
    Keys,
    Pairs,
    Written,
    Migrate,
    Prompt,
}

fn parse(mut given: impl Iterator<Item = String>) -> Result<Options, String> {
    let mut options = Options {
        command: Command::Cpu,
        requests: 12_000,
        rate: 1_500,
        connections: 16,
        rounds: 10,
        streams: 1_000,
        keys: 100_000,
        megabytes: 4,
        rows: 3_000_000,
        shape: None,
    };
    while let Some(name) = given.next() {
        match name.as_str() {
            "layout" => options.command = Command::Layout,
            "governed" => options.command = Command::Governed,
            "crowd" => options.command = Command::Crowd,
            "memory" => options.command = Command::Memory,
            "start" => options.command = Command::Start,
            "keys" => options.command = Command::Keys,
            "pairs" => options.command = Command::Pairs,
            "written" => options.command = Command::Written,
            "migrate" => options.command = Command::Migrate,
            "prompt" => options.command = Command::Prompt,
            "--help" | "-h" => return Err(USAGE.to_owned()),
            _ => {
                let value = given.next().ok_or_else(|| format!("{name} needs a value\n{USAGE}"))?;
                set(&mut options, &name, &value)?;
            }
        }
    }
    Ok(options)
}

fn set(options: &mut Options, name: &str, value: &str) -> Result<(), String> {
    if name == "--shape" {
        let shape = Shape::ALL.into_iter().find(|shape| shape.name() == value);
        options.shape =
            Some(shape.ok_or_else(|| format!("--shape {value}: expected plain, stream or paced"))?);
        return Ok(());
    }
    let number = value.parse().map_err(|_| format!("{name} {value}: expected a whole number"))?;
    match name {
        "--requests" => options.requests = number,
        "--rate" => options.rate = number,
        "--connections" => options.connections = number,
        "--rounds" => options.rounds = number,
        "--streams" => options.streams = number,
        "--keys" => options.keys = number,
        "--rows" => options.rows = number,
        "--megabytes" => options.megabytes = number,
        _ => return Err(format!("unknown argument {name}\n{USAGE}")),
    }
    Ok(())
}

fn main() -> ExitCode {
    let outcome = parse(std::env::args().skip(1)).and_then(|options| match options.command {
        Command::Cpu => cpu(&options),
        Command::Layout => layout(&options),
        Command::Governed => governed(&options),
        Command::Crowd => crowd(&options),
        Command::Memory => memory(&options),
        Command::Start => start(),
        Command::Keys => keys::compare(&options),
        Command::Pairs => pairs::compare(&options),
        Command::Written => pairs::write(),
        Command::Migrate => migrate::measure(&options),
        Command::Prompt => prompt::beside(&options),
    });
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => {
            eprintln!("{message}");
            ExitCode::FAILURE
        }
    }
}

fn cpu(options: &Options) -> Result<(), String> {
    let stage = Stage::new()?;
    compare(options, &[stage.nginx()?, stage.tollgate()?], &Shape::ALL)
}

fn layout(options: &Options) -> Result<(), String> {
    let stage = Stage::new()?;
    let peers = [stage.nginx()?, stage.layout("per-core")?, stage.layout("multi-thread")?];
    compare(options, &peers, &[Shape::Plain, Shape::Stream])
}

/// What limits cost: the same gateway with and without them, with the store that is usual and without.
fn governed(options: &Options) -> Result<(), String> {
    let stage = Stage::new()?;
    let redis = std::env::var("TOLLGATE_BENCH_REDIS").ok();
    let mut peers = vec![
        stage.keyed("a key, SQLite", FREE, Keeping::Sqlite)?,
        stage.keyed("limits, SQLite", LIMITED, Keeping::Sqlite)?,
        stage.keyed("a key, in memory", FREE, Keeping::Nothing)?,
        stage.keyed("limits, in memory", LIMITED, Keeping::Nothing)?,
        stage.tollgate()?,
    ];
    if let Some(url) = &redis {
        peers.push(stage.keyed("limits, Redis", LIMITED, Keeping::Redis(url))?);
    }
    compare(options, &peers, &[Shape::Plain, Shape::Stream])
}

/// The first peer is what the others are compared to.
fn compare(options: &Options, peers: &[Peer], shapes: &[Shape]) -> Result<(), String> {
    println!(
        "| shape | peer | µs CPU per request (median of {} rounds) | ratio to the first (min..max) | p50 | p99 |",
        options.rounds
    );
    println!("|---|---|---|---|---|---|");
    for shape in options.shape.as_ref().map_or(shapes, std::slice::from_ref) {
        measure(&plan(options, *shape), options.rounds, peers)?;
    }
    Ok(())
}

fn plan(options: &Options, shape: Shape) -> Plan {
    let requests = (options.requests / options.rounds).max(1);
    let tenth = (options.rate / 10).max(1);
    let (rate, connections) = match shape {
        Shape::Plain => (options.rate, options.connections),
        Shape::Stream => (tenth, options.connections),
        // Each stream holds its connection for 200 ms and a little more: twice as many connections as
        // that takes, so that none is waited for.
        Shape::Paced => (tenth, options.connections.max(tenth * 2 / 5 + 1)),
    };
    Plan { shape, requests, rate, connections }
}

/// What a peer's turns have shown.
struct Tally<'a> {
    peer: &'a Peer,
    /// µs of CPU time per request, one entry per turn.
    costs: Vec<f64>,
    times: Vec<Duration>,
}

/// One shape: the peers in turns.
fn measure(plan: &Plan, rounds: u32, peers: &[Peer]) -> Result<(), String> {
    let mut tallies: Vec<Tally<'_>> =
        peers.iter().map(|peer| Tally { peer, costs: Vec::new(), times: Vec::new() }).collect();
    for peer in peers {
        // Warm: connections opened, pages touched.
        load::run(&Plan { requests: 200.min(plan.requests), ..*plan }, peer)?;
    }
    for _ in 0..rounds {
        for tally in &mut tallies {
            let before = tally.peer.cpu()?;
            tally.times.extend(load::run(plan, tally.peer)?);
            let spent = tally.peer.cpu()?.saturating_sub(before);
            tally.costs.push(spent.as_secs_f64() * 1e6 / f64::from(plan.requests));
        }
    }
    let base = tallies.first().map(|tally| tally.costs.clone()).unwrap_or_default();
    for tally in &mut tallies {
        report(plan.shape, tally, &base);
    }
    Ok(())
}

fn report(shape: Shape, tally: &mut Tally<'_>, base: &[f64]) {
    let mut ratios: Vec<f64> =
        tally.costs.iter().zip(base).map(|(ours, base)| ours / base.max(1e-9)).collect();
    ratios.sort_by(f64::total_cmp);
    let ratio = match (ratios.first(), ratios.last()) {
        (Some(low), Some(high)) if low != high => {
            format!("{:.2} ({low:.2}..{high:.2})", median(&mut ratios.clone()))
        }
        _ => format!("{:.2}", median(&mut ratios)),
    };
    tally.times.sort();
    println!(
        "| {} | {} | {:.1} | {ratio} | {:.1?} | {:.1?} |",
        shape.name(),
        tally.peer.name,
        median(&mut tally.costs),
        quantile(&tally.times, 50),
        quantile(&tally.times, 99)
    );
}

fn median(values: &mut [f64]) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or_default()
}

fn quantile(sorted: &[Duration], percent: usize) -> Duration {
    let at = (sorted.len() * percent / 100).min(sorted.len().saturating_sub(1));
    sorted.get(at).copied().unwrap_or_default()
}

fn memory(options: &Options) -> Result<(), String> {
    let stage = Stage::new()?;
    let gateway = stage.tollgate()?;
    println!("idle: {} KiB resident", gateway.resident_kib()?);
    let open = load::open_streams(gateway.address, options.streams)?;
    println!("{} open streams: {} KiB resident", open.len(), gateway.resident_kib()?);
    drop(open);
    Ok(())
}

fn crowd(options: &Options) -> Result<(), String> {
    let stage = Stage::new()?;
    let gateway = stage.tollgate()?;
    let idle = gateway.resident_kib()?;
    let before = gateway.cpu()?;
    let took = load::crowd(gateway.address, options.streams)?;
    let spent = gateway.cpu()?.saturating_sub(before);
    let peak = gateway.peak_kib()?;
    let each = peak.saturating_sub(idle) as f64 / f64::from(options.streams);
    println!("{} calls in flight at once, all answered in {took:.1?}", options.streams);
    println!("{idle} KiB resident before, {peak} KiB at most, {each:.1} KiB a call; {spent:.1?} of CPU");
    Ok(())
}

fn start() -> Result<(), String> {
    let stage = Stage::new()?;
    let mut times = Vec::new();
    for _ in 0..10 {
        let (peer, took) = stage.timed_tollgate()?;
        times.push(took);
        drop(peer);
    }
    times.sort();
    println!(
        "from start to the first model answer: median {:?} of {} runs",
        quantile(&times, 50),
        times.len()
    );
    Ok(())
}
