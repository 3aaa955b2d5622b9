use super::*;
use crate::config::{After, Priced};
use crate::price::Terms;
use std::sync::Arc;

/// How often each target is picked in `draws` requests that all come back at once.
fn shares(world: &mut World, draws: u32) -> Vec<u32> {
    let mut counts = vec![0; world.route.targets.len()];
    for _ in 0..draws {
        let lane = world.send();
        counts[usize::from(lane.target)] += 1;
        world.answer(lane);
    }
    counts
}

fn chi_squared(counts: &[u32], weights: &[f64]) -> f64 {
    let draws: u32 = counts.iter().sum();
    let total: f64 = weights.iter().sum();
    let terms = counts.iter().zip(weights).map(|(count, weight)| {
        let expected = f64::from(draws) * weight / total;
        (f64::from(*count) - expected).powi(2) / expected
    });
    terms.sum()
}

#[test]
fn k7_weights_are_honest() {
    // 13.82 is exceeded by one in a thousand honest samples with two degrees of freedom.
    for weights in [[0.01, 0.29, 0.57], [0.57, 0.01, 0.29], [3.0, 1.0, 0.001]] {
        let mut world = World::of_targets(Strategy::Weighted, &weights);
        let counts = shares(&mut world, 100_000);
        let chi = chi_squared(&counts, &weights);
        assert!(chi < 13.82, "{weights:?} {counts:?} {chi}");
        assert!(counts.iter().all(|count| *count > 0), "{counts:?}");
    }
}

#[test]
fn k7_the_weights_of_keys_are_honest_too() {
    let mut one = provider("p", &[]);
    one.credentials =
        vec![credential("a", 0.01, "*"), credential("b", 0.29, "*"), credential("c", 0.57, "*")];
    let mut world = World::new(vec![one], route(Strategy::Ordered, vec![to(0, "m", 1.0)], Vec::new()));
    let mut counts = [0; 3];
    for _ in 0..100_000 {
        let lane = world.send();
        counts[usize::from(lane.credential)] += 1;
        world.answer(lane);
    }
    assert!(chi_squared(&counts, &[0.01, 0.29, 0.57]) < 13.82, "{counts:?}");
}

#[test]
fn adaptive_shares_by_weight_as_long_as_all_are_well() {
    let weights = [1.0, 2.0, 5.0];
    let mut world = World::of_targets(Strategy::Adaptive, &weights);
    let counts = shares(&mut world, 100_000);
    assert!(chi_squared(&counts, &weights) < 13.82, "{counts:?}");
}

#[test]
fn ordered_and_cost_take_the_first_that_is_available() {
    for strategy in [Strategy::Ordered, Strategy::Cost] {
        let mut world = World::of_targets(strategy, &[1.0, 100.0]);
        assert_eq!(shares(&mut world, 100), [100, 0]);
        let first = world.send();
        world.fail_until(first, UpstreamClass::RateLimited, Some(Millis(1000)));
        assert_eq!(shares(&mut world, 100), [0, 100]);
        world.pass(Millis(1000));
        assert_eq!(shares(&mut world, 100), [100, 0]);
    }
}

#[test]
fn cost_takes_the_cheapest_and_those_without_a_price_last() {
    let priced = |vendor, model| {
        let row = crate::price::sold_by(vendor, model).unwrap();
        RouteTarget { price: Some(Arc::new(Priced::new(row, Terms::default()))), ..to(0, model, 1.0) }
    };
    let targets = vec![to(0, "unheard-of", 9.0), priced("openai", "gpt-4o"), priced("openai", "gpt-4o-mini")];
    let mut world = World::new(vec![provider("p", &["k"])], route(Strategy::Cost, targets, Vec::new()));
    assert_eq!(shares(&mut world, 100), [0, 0, 100]);
    let cheapest = world.send();
    world.fail_until(cheapest, UpstreamClass::RateLimited, Some(Millis(1000)));
    assert_eq!(shares(&mut world, 100), [0, 100, 0]);
}

#[test]
fn least_busy_fills_in_proportion_to_the_weights() {
    let mut world = World::of_targets(Strategy::LeastBusy, &[1.0, 3.0]);
    let lanes: Vec<Lane> = (0..400).map(|_| world.send()).collect();
    let first = lanes.iter().filter(|lane| lane.target == 0).count();
    assert!((99..=101).contains(&first), "{first}");
    lanes.iter().filter(|lane| lane.target == 0).for_each(|lane| world.observe(*lane, Outcome::Unknown));
    assert_eq!(world.send().target, 0);
}

#[test]
fn latency_tries_each_unknown_target_once_and_then_takes_the_fastest() {
    let mut world = World::of_targets(Strategy::Latency, &[1.0, 1.0, 1.0]);
    for first_byte in [900, 100, 500] {
        let lane = world.send();
        world.observe(lane, answered(first_byte));
    }
    let mut counts = [0; 3];
    for _ in 0..10_000 {
        let lane = world.send();
        counts[usize::from(lane.target)] += 1;
        world.observe(lane, answered([900, 100, 500][usize::from(lane.target)]));
    }
    assert!(counts[1] > 9_500 && counts[0] > 100 && counts[2] > 100, "{counts:?}");
}

#[test]
fn keys_are_used_only_for_the_models_they_serve() {
    let mut one = provider("p", &[]);
    one.credentials = vec![credential("a", 1.0, "gpt-*"), credential("b", 1.0, "o1")];
    let mut world = World::new(vec![one], route(Strategy::Weighted, vec![to(0, "o1", 1.0)], Vec::new()));
    for _ in 0..50 {
        assert_eq!(world.send(), lane(0, 0, 1));
    }
    world.route = route(Strategy::Weighted, vec![to(0, "claude", 1.0)], Vec::new());
    assert_eq!(world.choose(), Choice::Exhausted { reopens: None, limited: false });
}

#[test]
fn a_limited_key_makes_way_for_another_of_the_same_target_first() {
    for class in
        [UpstreamClass::RateLimited, UpstreamClass::Auth, UpstreamClass::Billing, UpstreamClass::Forbidden]
    {
        let providers = vec![provider("p0", &["a", "b"]), provider("p1", &["c"])];
        let targets = vec![to(0, "m", 1.0), to(1, "m", 1.0)];
        let mut world = World::new(providers, route(Strategy::Ordered, targets, Vec::new()));
        let first = world.send();
        let mut attempts = vec![world.fail(first, class)];
        let second = sent(world.choose_after(&attempts));
        assert_eq!((second.target, second.credential), (0, 1 - first.credential), "{class:?}");
        attempts.push(world.fail(second, class));
        assert_eq!(sent(world.choose_after(&attempts)), lane(1, 1, 0), "{class:?}");
    }
}

#[test]
fn a_failing_upstream_makes_way_for_targets_then_keys_then_fallbacks_then_itself() {
    let providers = vec![provider("p0", &["a", "b"]), provider("p1", &["c"]), provider("p2", &["d"])];
    let targets = vec![to(0, "m", 1.0), to(1, "m", 1.0)];
    let mut world = World::new(providers, route(Strategy::Ordered, targets, vec![to(2, "m", 1.0)]));
    world.route.attempts = 10;
    let first = world.send();
    let mut attempts = vec![world.fail(first, UpstreamClass::Server)];
    for expected in [lane(1, 1, 0), lane(0, 0, 1 - first.credential), lane(2, 2, 0)] {
        let next = sent(world.choose_after(&attempts));
        assert_eq!(next, expected);
        let attempt = world.fail(next, UpstreamClass::Timeout);
        attempts.push(attempt);
    }
    match world.choose_after(&attempts) {
        Choice::Wait { until, .. } => assert!(until <= world.now + Millis(250)),
        Choice::Send(_) => {}
        choice @ Choice::Exhausted { .. } => panic!("{choice:?}"),
    }
}

#[test]
fn fallbacks_are_taken_in_their_order() {
    let providers = (0..4).map(|at| provider(&format!("p{at}"), &["k"])).collect();
    let fallbacks = vec![to(3, "m", 1.0), to(1, "m", 1.0), to(2, "m", 1.0)];
    let mut world = World::new(providers, route(Strategy::Weighted, vec![to(0, "m", 1.0)], fallbacks));
    world.route.attempts = 4;
    let mut attempts = Vec::new();
    for provider in [0, 3, 1, 2] {
        let next = sent(world.choose_after(&attempts));
        assert_eq!(next.provider, ProviderId(provider));
        let attempt = world.fail(next, UpstreamClass::Overloaded);
        attempts.push(attempt);
    }
}

#[test]
fn i6_attempts_are_those_configured() {
    let mut world = World::of_targets(Strategy::Weighted, &[1.0, 1.0]);
    for budget in [1, 3, 7] {
        world.route.attempts = budget;
        let mut attempts = Vec::new();
        let mut waited = None;
        loop {
            let choice = world.ask(|query| {
                query.attempts = Box::leak(attempts.clone().into_boxed_slice());
                query.waited = waited;
            });
            match choice {
                Choice::Send(lane) => attempts.push(world.fail(lane, UpstreamClass::Server)),
                Choice::Wait { lane, until } => {
                    world.now = until;
                    waited = Some(lane);
                    continue;
                }
                Choice::Exhausted { .. } => break,
            }
            waited = None;
        }
        assert_eq!(attempts.len(), usize::try_from(budget).unwrap());
        world.fleet = Fleet::default();
    }
}

#[test]
fn i6_a_refusal_of_the_request_is_never_repeated_where_it_was_refused() {
    let mut world = World::of_targets(Strategy::Weighted, &[1.0]);
    let only = world.send();
    let attempts = [world.fail(only, UpstreamClass::BadRequest)];
    assert!(matches!(world.choose_after(&attempts), Choice::Exhausted { .. }));
}

#[test]
fn k4_backoff_is_spread_over_its_whole_range_and_doubles() {
    let mut world = World::of_targets(Strategy::Weighted, &[1.0]);
    world.route.attempts = 100;
    let only = world.send();
    let mut attempts = Vec::new();
    for range in [250, 500, 1000, 2000, 4000, 8000, 8000] {
        let attempt = world.fail(only, UpstreamClass::Server);
        attempts.push(attempt);
        let mut waits = Vec::new();
        for _ in 0..300 {
            match world.choose_after(&attempts) {
                Choice::Wait { lane, until } => {
                    assert_eq!(lane, only);
                    waits.push(until.since(world.now).get());
                }
                Choice::Send(lane) => world.observe(lane, Outcome::Unknown),
                choice @ Choice::Exhausted { .. } => panic!("{choice:?}"),
            }
        }
        assert!(waits.iter().all(|wait| *wait <= range), "{range}");
        assert!(waits.iter().any(|wait| *wait < range / 10), "{range}");
        assert!(waits.iter().any(|wait| *wait > range * 9 / 10), "{range}");
    }
}

#[test]
fn a_wait_ends_before_the_deadline_or_is_not_begun() {
    let mut world = World::of_targets(Strategy::Weighted, &[1.0]);
    let only = world.send();
    world.fail_until(only, UpstreamClass::RateLimited, Some(Millis(5000)));
    let opens = world.now + Millis(5000);
    let late = world.ask(|query| query.deadline = query.now + Millis(5000));
    assert_eq!(late, Choice::Exhausted { reopens: Some(opens), limited: true });
    let Wait { until, .. } = waits(world.ask(|query| query.deadline = query.now + Millis(5001)));
    assert_eq!(until, opens);
    world.pass(Millis(5000));
    assert_eq!(world.ask(|query| query.waited = Some(only)), Choice::Send(only));
}

#[test]
fn nothing_is_sent_after_the_deadline() {
    let mut world = World::of_targets(Strategy::Weighted, &[1.0, 1.0]);
    assert!(matches!(world.ask(|query| query.deadline = query.now), Choice::Exhausted { .. }));
}

#[test]
fn load_counts_what_is_on_its_way_and_never_less_than_nothing() {
    let mut world = World::of_targets(Strategy::Weighted, &[1.0]);
    let only = world.send();
    world.send();
    assert_eq!(world.fleet.report(world.now)[0].in_flight, 2);
    for _ in 0..5 {
        world.observe(only, Outcome::Unknown);
    }
    let row = &world.fleet.report(world.now)[0];
    assert_eq!((row.in_flight, row.errors, row.first_byte), (0, 0.0, None));
}

#[test]
fn models_named_by_clients_do_not_fill_the_memory() {
    let mut world = World::of_targets(Strategy::Weighted, &[1.0]);
    let only = world.send();
    for at in 0..25_000 {
        world.pass(Millis(1));
        let mut dynamic = route(Strategy::Weighted, vec![to(0, &format!("made-up-{at}"), 1.0)], Vec::new());
        std::mem::swap(&mut world.route, &mut dynamic);
        let lane = world.send();
        world.answer(lane);
        std::mem::swap(&mut world.route, &mut dynamic);
    }
    let rows = world.fleet.report(world.now);
    assert!(rows.len() <= roster::MAX_LANES, "{}", rows.len());
    let known = |model: &str| rows.iter().any(|row| row.model == model);
    assert!(known("made-up-24999") && known("made-up-16500") && !known("made-up-14000"));
    // What is in flight is kept however old it is.
    assert_eq!(rows.iter().find(|row| row.model == "m").map(|row| row.in_flight), Some(1));
    world.answer(only);
}

#[test]
fn adaptive_takes_a_few_milliseconds_for_noise() {
    let mut world = World::of_targets(Strategy::Adaptive, &[1.0, 1.0]);
    let mut counts = [0; 2];
    for _ in 0..10_000 {
        let lane = world.send();
        counts[usize::from(lane.target)] += 1;
        world.observe(lane, answered(u64::from(lane.target)));
    }
    assert!(chi_squared(&counts, &[1.0, 1.0]) < 10.83, "{counts:?}");
}

/// A route of one target, with a fallback for any failure and one each for the two that are the
/// prompt's doing.
fn rescued() -> World {
    let providers = ["own", "any", "long", "mild"].map(|name| provider(name, &["k"])).to_vec();
    let after = |at: u16, after| RouteTarget { after, ..to(at, "m", 1.0) };
    let fallbacks =
        vec![after(1, After::Failure), after(2, After::ContextLength), after(3, After::ContentFilter)];
    World::new(providers, route(Strategy::Ordered, vec![to(0, "m", 1.0)], fallbacks))
}

#[test]
fn i3_each_failure_leads_to_the_models_named_for_it() {
    let leads =
        [(UpstreamClass::Server, 1), (UpstreamClass::ContextLength, 2), (UpstreamClass::ContentFilter, 3)];
    for (class, to) in leads {
        let mut world = rescued();
        let first = world.send();
        let mut attempts = vec![world.fail(first, class)];
        let next = sent(world.choose_after(&attempts));
        assert_eq!((first.target, next.target), (0, to), "{class:?}");
        // Nobody else is left for the prompt; an upstream that failed may come back.
        attempts.push(world.fail(next, class));
        let ended = matches!(world.choose_after(&attempts), Choice::Exhausted { .. });
        assert_eq!(ended, class != UpstreamClass::Server, "{class:?}");
    }
}

#[test]
fn i3_a_conversation_stays_with_the_model_its_length_led_to() {
    let mut world = rescued();
    let first = sent(world.ask(|query| query.conversation = turn(1, Follows::FirstTurn)));
    let attempts = [world.fail(first, UpstreamClass::ContextLength)];
    let asked = query(&world.config, &world.route, world.now, 7);
    let conversation = turn(1, Follows::FirstTurn);
    let led = sent(world.fleet.choose(&Query { attempts: &attempts, conversation, ..asked }));
    world.answer(led);
    let later = sent(world.ask(|query| query.conversation = turn(1, Follows::Earlier)));
    assert_eq!((first.target, led.target, later.target), (0, 2, 2));
}
