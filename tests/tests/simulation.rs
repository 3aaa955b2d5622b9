//! A thousand seeded worlds. A failing seed is printed; `TOLLGATE_SEED=n` replays it alone, loudly.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::Rc;
use tollgate_core::cache::CacheUse;
use tollgate_tests::world::{Crowd, Limited, Script, World, alike};

const SEEDS: u64 = 1_000;
const REQUESTS: u32 = 12;

/// How loudly a world is run.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Voice {
    Quiet,
    Loud,
}

/// The ways in which a world broke an invariant.
fn run(seed: u64, limited: Limited, voice: Voice) -> Vec<String> {
    let (faulty, requests) = match limited {
        Limited::Hardly => (1 + seed % 4, REQUESTS),
        Limited::Tightly => (2 + seed % 6, 3 * REQUESTS),
    };
    let world = World::with(seed, Script::Faulty(faulty), limited);
    requests_of(&world, seed, requests, voice)
}

/// So many requests of a world, one after the other.
fn requests_of(world: &Rc<World>, seed: u64, requests: u32, voice: Voice) -> Vec<String> {
    let mut broken = Vec::new();
    for request in 0..requests {
        let verdict = world.run(request);
        if voice == Voice::Loud {
            println!("request {request}: {verdict:?}\n  {:?}", world.log.borrow());
        }
        broken
            .extend(verdict.broken.into_iter().map(|what| format!("seed {seed}, request {request}: {what}")));
    }
    broken
}

/// Runs all seeds, or the one that `TOLLGATE_SEED` names.
fn hold(limited: Limited, run: fn(u64, Limited, Voice) -> Vec<String>) {
    if let Some(seed) = std::env::var("TOLLGATE_SEED").ok().and_then(|seed| seed.parse().ok()) {
        assert_eq!(run(seed, limited, Voice::Loud), Vec::<String>::new());
        return;
    }
    let mut broken = Vec::new();
    for seed in 0..SEEDS {
        match catch_unwind(AssertUnwindSafe(|| run(seed, limited, Voice::Quiet))) {
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
fn a_thousand_seeds_hold_every_invariant() {
    hold(Limited::Hardly, run);
}

#[test]
fn a_thousand_limited_seeds_hold_every_invariant() {
    hold(Limited::Tightly, run);
}

/// Two crowds of a world, one after the other.
fn run_crowds(seed: u64, limited: Limited, voice: Voice) -> Vec<String> {
    let world = World::with(seed, Script::Faulty(1 + seed % 4), limited);
    let mut broken = Vec::new();
    for number in 0..2 {
        for (at, verdict) in world.run_crowd(Crowd::Mixed, 9, number).into_iter().enumerate() {
            if voice == Voice::Loud {
                println!("crowd {number}, request {at}: {verdict:?}");
            }
            let told = |what| format!("seed {seed}, crowd {number}, request {at}: {what}");
            broken.extend(verdict.broken.into_iter().map(told));
        }
    }
    broken
}

#[test]
fn a_thousand_seeds_of_crowds_hold_every_invariant() {
    hold(Limited::Hardly, run_crowds);
}

#[test]
fn a_thousand_limited_seeds_of_crowds_hold_every_invariant() {
    hold(Limited::Tightly, run_crowds);
}

/// What a phrase splits differently in each dialect and each seed.
fn run_guarded(seed: u64, limited: Limited, voice: Voice) -> Vec<String> {
    let script = if seed.is_multiple_of(3) { Script::Faulty(1) } else { Script::Faulty(2 + seed % 4) };
    // The first is in every answer, the others begin in it.
    let unsaid = ["answer is f", "is forty-three", "✓. And"][(seed % 3) as usize];
    let world = World::guarded(seed, script, limited, unsaid);
    requests_of(&world, seed, REQUESTS, voice)
}

#[test]
fn j2_a_thousand_guarded_seeds_hold_every_invariant() {
    hold(Limited::Hardly, run_guarded);
}

#[test]
fn j2_a_thousand_guarded_and_limited_seeds_hold_every_invariant() {
    hold(Limited::Tightly, run_guarded);
}

#[test]
fn j2_the_guarded_worlds_hold_back_in_every_way() {
    let (mut refused, mut cut, mut served) = (0, 0, 0);
    for seed in 0..200 {
        let unsaid = if seed % 2 == 0 { "answer is f" } else { "is forty-three" };
        let world = World::guarded(seed, Script::Faulty(3), Limited::Hardly, unsaid);
        for request in 0..REQUESTS {
            let verdict = world.run(request);
            let log = world.log.borrow();
            let blocked = log.record.as_ref().is_some_and(|record| record.fault == Some("guardrail_blocked"));
            refused += u32::from(blocked && verdict.status == 400);
            cut += u32::from(blocked && verdict.status == 200);
            served += u32::from(!blocked && verdict.status == 200 && verdict.complete);
        }
    }
    assert!(refused > 100 && cut > 100 && served > 200, "{refused} refused, {cut} cut, {served} served");
}

#[test]
fn k13_a_crowd_alike_makes_one_upstream_call() {
    for seed in 0..100 {
        let verdicts = alike(seed, 20);
        let calls: usize = verdicts.iter().map(|verdict| verdict.calls).sum();
        let hits = verdicts.iter().filter(|verdict| verdict.cache == CacheUse::Hit).count();
        assert_eq!((calls, hits), (1, 19), "seed {seed}");
        assert!(verdicts.iter().all(|verdict| verdict.broken.is_empty()), "seed {seed}: {verdicts:?}");
    }
}

#[test]
fn the_crowds_are_nasty_enough_to_prove_something() {
    let (mut hits, mut waited_hit, mut waited_led, mut left, mut refused, mut failed) = (0, 0, 0, 0, 0, 0);
    for seed in 0..200 {
        let limited = if seed % 2 == 0 { Limited::Hardly } else { Limited::Tightly };
        let world = World::with(seed, Script::Faulty(1 + seed % 4), limited);
        for number in 0..3 {
            for verdict in world.run_crowd(Crowd::Mixed, 9, number) {
                let hit = verdict.cache == CacheUse::Hit;
                hits += u32::from(hit);
                waited_hit += u32::from(hit && verdict.waited);
                waited_led += u32::from(verdict.waited && verdict.calls > 0);
                left += u32::from(verdict.waited && verdict.left && verdict.calls == 0);
                refused += u32::from(verdict.status == 429);
                failed += u32::from(verdict.status >= 500);
            }
        }
    }
    let told = format!(
        "{hits} hits, {waited_hit} of them waited for; {waited_led} waited and asked; {left} left waiting; \
         {refused} refused, {failed} failed"
    );
    assert!(hits > 1_000 && waited_hit > 300 && waited_led > 100, "{told}");
    assert!(left > 20 && refused > 100 && failed > 100, "{told}");
}

#[test]
fn a_seed_always_tells_the_same_story() {
    let story = |seed| {
        let world = World::new(seed, Script::Faulty(2));
        (0..REQUESTS).map(|request| world.run(request)).collect::<Vec<_>>()
    };
    assert_eq!(story(7), story(7));
}

#[test]
fn the_worlds_are_nasty_enough_to_prove_something() {
    let (mut answered, mut refused, mut cut, mut left, mut retried) = (0, 0, 0, 0, 0);
    let mut statuses = std::collections::BTreeSet::new();
    for seed in 0..200 {
        let world = World::new(seed, Script::Faulty(1 + seed % 4));
        for request in 0..REQUESTS {
            let verdict = world.run(request);
            statuses.insert(verdict.status);
            retried += u32::from(verdict.calls > 1);
            match verdict {
                verdict if verdict.left => left += 1,
                verdict if verdict.status != 200 => refused += 1,
                verdict if verdict.complete => answered += 1,
                _ => cut += 1,
            }
        }
    }
    let told =
        format!("{answered} answered, {refused} refused, {cut} cut, {left} left, {retried} tried again");
    assert!(answered > 500 && refused > 200 && cut > 30 && left > 50 && retried > 300, "{told}");
    for status in [200, 400, 502, 503, 504] {
        assert!(statuses.contains(&status), "no {status} among {statuses:?}");
    }
    // Statuses that are tried again never reach a client as they came.
    for status in [408, 409, 425, 500, 529] {
        assert!(!statuses.contains(&status), "{status} was passed on");
    }
}

#[test]
fn the_limited_worlds_meet_every_limit() {
    let mut refused = std::collections::BTreeMap::new();
    let (mut answered, mut killed) = (0, 0);
    for seed in 0..200 {
        let world = World::with(seed, Script::Faulty(4), Limited::Tightly);
        for request in 0..3 * REQUESTS {
            let verdict = world.run(request);
            let log = world.log.borrow();
            killed += u32::from(log.killed);
            answered += u32::from(verdict.status == 200 && verdict.complete);
            if let Some(code) = log.refused {
                *refused.entry(code.code()).or_insert(0_u32) += 1;
            }
        }
    }
    for code in ["rpm_exceeded", "tpm_exceeded", "budget_exceeded"] {
        assert!(refused.get(code).is_some_and(|times| *times > 50), "{refused:?}");
    }
    assert!(answered > 1_000 && killed > 50, "{answered} answered, {killed} killed");
}
