//! Many at once, much at once.

use crate::failover::in_flight;
use crate::setting::{Setting, chat, question, stream};
use serde_json::json;
use std::time::{Duration, Instant};
use tollgate_tests::gateway::eventually;
use tollgate_tests::http::{Connection, Request};

/// The limit of open files of this process, raised as far as it goes.
#[cfg(unix)]
fn file_limit() -> usize {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let Rlimit { maximum, .. } = getrlimit(Resource::Nofile);
    let _ = setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum });
    getrlimit(Resource::Nofile)
        .current
        .map_or(usize::MAX, |limit| usize::try_from(limit).unwrap_or(usize::MAX))
}

#[cfg(not(unix))]
fn file_limit() -> usize {
    8_000
}

#[test]
fn k8_ten_thousand_calls_are_in_flight_at_once_in_bounded_memory() {
    let setting = Setting::new("[models.m]\ndeadline = \"300s\"\ntargets = [\"one/m+head_silence\"]\n");
    // This process holds both the client's and the provider's end of each.
    let calls = (file_limit().saturating_sub(1000) / 2).min(10_000);
    assert!(calls >= 500, "the limit of open files leaves room for {calls} calls only");
    let before = setting.gateway.resident();
    let question = chat("m").bytes();
    let mut clients = Vec::with_capacity(calls);
    for _ in 0..calls {
        let mut client = setting.gateway.connect();
        client.send(&question);
        clients.push(client);
    }
    // One for each that came: nothing waits for a worker, a slot or a connection of the pool.
    eventually("all are with the provider", || seen(&setting) >= calls as u64);
    assert_eq!(in_flight(&setting), calls as u64);
    if let (Some(before), Some(after)) = (before, setting.gateway.resident()) {
        let each = after.saturating_sub(before) / calls as u64;
        println!("{calls} calls in flight: {} MiB, {each} bytes each", after >> 20);
        assert!(each < 100 << 10, "{each} bytes for a call in flight");
    }
    let start = Instant::now();
    assert_eq!(setting.chat("two/fine").status, 200);
    println!("one more took {:?}", start.elapsed());
    drop(clients);
    eventually("none is left", || in_flight(&setting) == 0);
}

/// Requests that have reached the provider.
fn seen(setting: &Setting) -> u64 {
    Connection::open(setting.sim.addr).ask(&Request::get("/sim/count")).json()["count"].as_u64().unwrap_or(0)
}

#[test]
fn g2_a_prompt_of_four_megabytes_does_not_stall_the_others() {
    let setting = Setting::new("");
    let text = "The quick brown fox jumps over the lazy dog. ".repeat((4 << 20) / 45);
    for target in ["one/m+max=1", "claude/m"] {
        let target = target.trim_end_matches("+max=1");
        let large = Request::post(
            "/v1/chat/completions",
            &json!({"model": target, "max_tokens": 1, "messages": [{"role": "user", "content": text}]}),
        )
        .bytes();
        let address = setting.gateway.address;
        let loader = std::thread::spawn(move || {
            let mut client = Connection::open(address);
            for _ in 0..3 {
                client.send(&large);
                assert_eq!(client.answer().status, 200);
            }
        });
        let mut small: Vec<Connection> = (0..4).map(|_| setting.gateway.connect()).collect();
        let mut worst = Duration::ZERO;
        while !loader.is_finished() {
            for client in &mut small {
                let start = Instant::now();
                // Answered by the gateway alone: the simulator shares a core with nobody's patience.
                assert_eq!(client.ask(&Request::get("/healthz")).status, 200);
                worst = worst.max(start.elapsed());
            }
        }
        loader.join().expect("large prompts are answered");
        println!("{target}: the longest a small request waited beside 4 MB prompts: {worst:?}");
        // Unoptimised code on a busy machine: this catches seconds, not milliseconds.
        assert!(worst < Duration::from_secs(2), "{worst:?}");
    }
}

#[test]
fn g4_the_work_for_a_piece_does_not_grow_with_the_stream() {
    let setting = Setting::new("");
    let time = |provider: &str, events: u32| {
        let start = Instant::now();
        let mut question = question(&format!("{provider}/m+events={events},chars={}", events * 8));
        question["stream"] = true.into();
        question["max_tokens"] = 100_000.into();
        let answer = setting.gateway.ask(&Request::post("/v1/chat/completions", &question));
        assert!(answer.is_done() && answer.said().len() == events as usize * 8);
        start.elapsed()
    };
    for provider in ["one", "claude"] {
        let _ = time(provider, 100);
        let (short, long) = (time(provider, 800), time(provider, 8_000));
        println!("{provider}: 800 events {short:?}, 8,000 events {long:?}");
        // Ten times for ten times as much; a hundred if each piece cost as much as all before it.
        assert!(long < short * 40 + Duration::from_secs(1), "{short:?} {long:?}");
    }
}

#[test]
fn g1_a_thousand_short_streams_leave_nothing_behind() {
    let setting = Setting::new("");
    let mut client = setting.gateway.connect();
    let mut round = |count: u32| {
        for _ in 0..count {
            assert!(client.ask(&stream("one/fast")).status == 200);
            drop(setting.stream("one/m+cut_after_events=2"));
        }
        setting.gateway.resident()
    };
    let (warm, after) = (round(200), round(600));
    if let (Some(warm), Some(after)) = (warm, after) {
        println!("resident after 400 requests {} KiB, after 1,600 {} KiB", warm >> 10, after >> 10);
        assert!(after < warm + (16 << 20), "{warm} {after}");
    }
}

#[test]
fn a_client_that_does_not_read_stops_its_upstream() {
    const LENGTH: u64 = 24_000_000;
    let setting = Setting::new("");
    for provider in ["one", "claude"] {
        setting.reset();
        let before = setting.gateway.resident();
        let mut question = question(&format!("{provider}/m+events=3000,chars={LENGTH}"));
        question["stream"] = true.into();
        question["max_tokens"] = LENGTH.into();
        let mut client = setting.gateway.connect();
        client.send(&Request::post("/v1/chat/completions", &question).bytes());
        let written = || setting.last()["bytes_written"].as_u64().unwrap_or(0);
        eventually("it is asked", || !setting.log().is_empty());
        let mut last = 0;
        eventually("the provider is held up", || {
            std::thread::sleep(Duration::from_millis(200));
            let now = written();
            now > 0 && std::mem::replace(&mut last, now) == now
        });
        assert!(last < LENGTH * 3 / 4, "{last} bytes were taken for a client that reads none");
        if let (Some(before), Some(after)) = (before, setting.gateway.resident()) {
            println!(
                "{provider}: {last} bytes under way, the gateway holds {} KiB more",
                (after - before.min(after)) >> 10
            );
            assert!(after < before + (40 << 20), "{before} {after}");
        }
        let mut answer = client.head();
        answer.ended = client.body(&mut answer);
        assert!(answer.is_done() && answer.said().len() as u64 == LENGTH, "{provider}");
    }
}
