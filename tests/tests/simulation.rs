//! A thousand seeded worlds. A failing seed is printed; `TOLLGATE_SEED=n` replays it alone, loudly.

use std::panic::{AssertUnwindSafe, catch_unwind};
use tollgate_tests::world::{Script, World};

const SEEDS: u64 = 1_000;
const REQUESTS: u32 = 12;

/// The ways in which a seed's world broke an invariant.
fn run(seed: u64, loud: bool) -> Vec<String> {
    let world = World::new(seed, Script::Faulty(1 + seed % 4));
    let mut broken = Vec::new();
    for request in 0..REQUESTS {
        let verdict = world.run(request);
        if loud {
            println!("request {request}: {verdict:?}\n  {:?}", world.log.borrow());
        }
        broken
            .extend(verdict.broken.into_iter().map(|what| format!("seed {seed}, request {request}: {what}")));
    }
    broken
}

#[test]
fn a_thousand_seeds_hold_every_invariant() {
    if let Some(seed) = std::env::var("TOLLGATE_SEED").ok().and_then(|seed| seed.parse().ok()) {
        assert_eq!(run(seed, true), Vec::<String>::new());
        return;
    }
    let mut broken = Vec::new();
    for seed in 0..SEEDS {
        match catch_unwind(AssertUnwindSafe(|| run(seed, false))) {
            Ok(found) => broken.extend(found),
            Err(_) => broken.push(format!("seed {seed}: panicked")),
        }
    }
    let count = broken.len();
    broken.truncate(20);
    assert!(
        broken.is_empty(),
        "{count} broken invariants; replay one with TOLLGATE_SEED=n\n{}",
        broken.join("\n")
    );
}

#[test]
fn a_seed_always_tells_the_same_story() {
    let story = |seed| {
        let world = World::new(seed, Script::Faulty(2));
        (0..REQUESTS).map(|request| world.run(request)).collect::<Vec<_>>()
    };
    assert_eq!(story(7), story(7));
}
