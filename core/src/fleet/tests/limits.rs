//! Limits of the upstreams' own.

use super::*;
use crate::units::{Metered, Requests};
use proptest::prelude::{
    Just, ProptestConfig, Strategy as Arbitrary, any, prop, prop_assert, prop_oneof, proptest,
};
use proptest::test_runner::RngSeed;

fn rpm(requests: u64) -> UpstreamLimits {
    UpstreamLimits { rpm: Some(Requests(requests)), tpm: None }
}

fn tpm(tokens: u64) -> UpstreamLimits {
    UpstreamLimits { rpm: None, tpm: Some(Tokens(tokens)) }
}

/// Targets of one key each, all with these limits.
fn limited(strategy: Strategy, targets: usize, limits: UpstreamLimits) -> World {
    let mut world = World::of_targets(strategy, &vec![1.0; targets]);
    world.route.targets.iter_mut().for_each(|target| target.limits = limits);
    world
}

/// How many requests are sent at once before one is told to wait or is refused.
fn served_at_once(world: &mut World) -> usize {
    let mut served = 0;
    while let Choice::Send(lane) = world.choose() {
        world.answer(lane);
        served += 1;
        assert!(served < 1000, "no limit holds");
    }
    served
}

#[test]
fn a11_four_deployments_of_six_a_minute_serve_exactly_twenty_four() {
    let all = [
        Strategy::Weighted,
        Strategy::Adaptive,
        Strategy::Latency,
        Strategy::Cost,
        Strategy::LeastBusy,
        Strategy::Ordered,
    ];
    for strategy in all {
        let mut world = limited(strategy, 4, rpm(6));
        for _ in 0..3 {
            assert_eq!(served_at_once(&mut world), 24, "{strategy:?}");
            world.pass(Millis(59_999));
            assert_eq!(served_at_once(&mut world), 0, "{strategy:?}");
            world.pass(Millis(1));
        }
    }
}

#[test]
fn a11_at_any_pace_no_minute_of_a_deployment_has_more_than_its_limit_and_no_room_is_wasted() {
    let mut world = limited(Strategy::Weighted, 4, rpm(6));
    let mut sent: Vec<(u16, u64)> = Vec::new();
    for _ in 0..6000 {
        if let Choice::Send(lane) = world.choose() {
            sent.push((lane.target, world.now.0));
            world.observe(lane, Outcome::Unknown);
        }
        world.pass(Millis(100));
    }
    for (target, from) in &sent {
        let within = |(other, at): &&(u16, u64)| other == target && (*from..from + 60_000).contains(at);
        assert!(sent.iter().filter(within).count() <= 6);
    }
    assert_eq!(sent.len(), 240, "24 in each of ten minutes");
}

#[test]
fn a11_when_all_are_at_their_limit_none_is_picked_and_it_is_said_when_the_first_opens() {
    let mut world = limited(Strategy::Weighted, 4, rpm(6));
    assert_eq!(served_at_once(&mut world), 24);
    let first = world.now + Millis::from_secs(60);
    world.pass(Millis::from_secs(20));
    for _ in 0..100 {
        assert_eq!(world.choose(), Choice::Exhausted { reopens: Some(first), limited: true });
    }
    assert!(matches!(world.choose_after(&[]), Choice::Exhausted { limited: true, .. }));
}

#[test]
fn a_limit_that_has_room_soon_is_waited_for_as_after_a_429() {
    let mut world = limited(Strategy::Ordered, 1, rpm(2));
    assert_eq!(served_at_once(&mut world), 2);
    let opens = world.now + Millis::from_secs(60);
    world.now = opens - Millis::from_secs(9);
    let (one, other, third) = (waits(world.choose()), waits(world.choose()), waits(world.choose()));
    assert!((opens.0..opens.0 + 250).contains(&one.until.0));
    world.now = opens + Millis(250);
    assert_eq!(world.ask(|query| query.waited = Some(one.lane)), Choice::Send(one.lane));
    assert_eq!(world.ask(|query| query.waited = Some(other.lane)), Choice::Send(other.lane));
    let again = world.ask(|query| query.waited = Some(third.lane));
    assert!(!matches!(again, Choice::Send(_)), "those that waited are held to the limit too: {again:?}");
}

#[test]
fn a_limit_of_a_key_is_for_all_models_and_one_of_a_target_for_all_keys() {
    let targets = vec![to(0, "m", 1.0)];
    let mut world =
        World::new(vec![provider("p", &["a", "b"])], route(Strategy::Ordered, targets, Vec::new()));
    world.config.providers[0].credentials[0].limits = rpm(3);
    world.config.providers[0].credentials[1].limits = rpm(4);
    assert_eq!(served_at_once(&mut world), 7);
    world.route.targets = vec![to(0, "other", 1.0)];
    assert_eq!(served_at_once(&mut world), 0, "the keys are used up whatever the model");

    world.pass(Millis::from_secs(60));
    world.route.targets[0].limits = rpm(5);
    assert_eq!(served_at_once(&mut world), 5, "the target's comes first");
    world.route.targets[0].limits = UpstreamLimits::default();
    assert_eq!(served_at_once(&mut world), 2, "the rest of the keys'");
}

#[test]
fn a_key_with_room_is_used_while_another_has_none() {
    let targets = vec![to(0, "m", 1.0)];
    let mut world =
        World::new(vec![provider("p", &["a", "b"])], route(Strategy::Weighted, targets, Vec::new()));
    world.config.providers[0].credentials[0].limits = rpm(3);
    let lanes: Vec<Lane> = (0..100).map(|_| world.send()).collect();
    assert_eq!(lanes.iter().filter(|lane| lane.credential == 0).count(), 3);
}

#[test]
fn a_fallback_serves_what_the_targets_have_no_room_for() {
    let mut world = limited(Strategy::Weighted, 2, rpm(3));
    let mut fallback = world.route.targets.pop().unwrap();
    fallback.limits = rpm(4);
    world.route.fallbacks = vec![fallback];
    let lanes: Vec<u16> = (0..7).map(|_| world.send().target).collect();
    assert_eq!(lanes, [0, 0, 0, 1, 1, 1, 1]);
    assert!(matches!(world.choose(), Choice::Exhausted { limited: true, .. }));
}

#[test]
fn tokens_count_when_they_are_known_and_close_the_lane_until_enough_have_left() {
    let mut world = limited(Strategy::Ordered, 1, tpm(1000));
    let spent = |world: &mut World, lane, tokens| {
        let notice = Notice::Spent(Metered(Tokens(tokens)));
        world.fleet.notice(&world.config, &world.route, lane, notice, world.now);
    };
    let (one, other) = (world.send(), world.send());
    spent(&mut world, one, 999);
    world.pass(Millis(500));
    let third = world.send();
    spent(&mut world, other, 1);
    let opens = world.now + Millis(59_500);
    assert_eq!(world.choose(), Choice::Exhausted { reopens: Some(opens), limited: true });
    // What was under way still comes, and counts.
    spent(&mut world, third, 1500);
    let opens = world.now + Millis::from_secs(60);
    assert_eq!(world.choose(), Choice::Exhausted { reopens: Some(opens), limited: true });
    world.now = opens;
    world.send();
}

#[test]
fn requests_and_tokens_are_limited_apart() {
    let both = UpstreamLimits { rpm: Some(Requests(5)), tpm: Some(Tokens(100)) };
    let mut world = limited(Strategy::Ordered, 1, both);
    assert_eq!(served_at_once(&mut world), 5, "no token is counted yet");
    world.pass(Millis::from_secs(60));
    let lane = world.send();
    world.fleet.notice(&world.config, &world.route, lane, Notice::Spent(Metered(Tokens(100))), world.now);
    assert_eq!(served_at_once(&mut world), 0);
}

#[test]
fn a_limit_outlives_a_reload_and_a_changed_one_holds_at_once() {
    let mut world = limited(Strategy::Ordered, 1, rpm(6));
    assert_eq!(served_at_once(&mut world), 6);
    world.config = config(vec![provider("new", &["z"]), provider("p0", &["k"])]);
    world.route.targets = vec![RouteTarget { limits: rpm(8), ..to(1, "m", 1.0) }];
    assert_eq!(served_at_once(&mut world), 2);
    world.route.targets[0].limits = rpm(4);
    world.pass(Millis::from_secs(60));
    assert_eq!(served_at_once(&mut world), 4);
}

#[test]
fn a_conversation_leaves_a_lane_that_is_at_its_limit() {
    let mut world = limited(Strategy::Ordered, 2, rpm(1));
    let first = sent(world.ask(|query| query.conversation = turn(7, Follows::FirstTurn)));
    let next = sent(world.ask(|query| query.conversation = turn(7, Follows::Earlier)));
    assert_eq!((first.target, next.target), (0, 1));
}

#[test]
fn an_answer_that_was_the_last_for_now_closes_the_lane_for_its_time_and_a_minute_at_most() {
    for (resets_in, closed) in [(2_500, 2_500), (60_000, 60_000), (86_400_000, 60_000)] {
        let mut world = World::of_targets(Strategy::Ordered, &[1.0, 1.0]);
        let lane = world.send();
        let notice = Notice::UsedUp { resets_in: Millis(resets_in) };
        world.fleet.notice(&world.config, &world.route, lane, notice, world.now);
        world.answer(lane);
        world.pass(Millis(closed - 1));
        assert_eq!(world.send().target, 1, "{resets_in}");
        world.pass(Millis(1));
        assert_eq!(world.send().target, 0, "{resets_in}");
    }
}

/// A request of an arbitrary schedule: a pause before it, how it goes, whether it waits where it is told to.
#[derive(Clone, Debug)]
struct Step {
    pause: u64,
    outcome: Outcome,
    waits: bool,
}

fn steps() -> impl Arbitrary<Value = Vec<Step>> {
    let class = prop_oneof![
        6 => Just(None),
        1 => Just(Some(UpstreamClass::RateLimited)),
        1 => Just(Some(UpstreamClass::Server)),
        1 => Just(Some(UpstreamClass::BadRequest)),
    ];
    let step = (prop_oneof![4 => 0_u64..50, 2 => 0_u64..5_000, 1 => 0_u64..70_000], class, any::<bool>());
    let step = step.prop_map(|(pause, class, waits)| {
        let failed = |class| Outcome::Failed { class, retry_after: Some(Millis(100)) };
        Step { pause, outcome: class.map_or(answered(30), failed), waits }
    });
    prop::collection::vec(step, 1..400)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, rng_seed: RngSeed::Fixed(11), ..ProptestConfig::default() })]
    #[test]
    fn a11_no_span_of_a_minute_passes_a_limit_whatever_the_schedule(
        steps in steps(), of_key in 1_u64..20, of_target in 1_u64..20
    ) {
        let targets = vec![RouteTarget { limits: rpm(of_target), ..to(0, "m", 1.0) }, to(0, "n", 2.0)];
        let mut world =
            World::new(vec![provider("p", &["a", "b"])], route(Strategy::Weighted, targets, Vec::new()));
        world.config.providers[0].credentials[0].limits = rpm(of_key);
        let mut sends: Vec<(Lane, Time)> = Vec::new();
        for Step { pause, outcome, waits } in steps {
            world.pass(Millis(pause));
            let mut choice = world.choose();
            if let Choice::Wait { lane, until } = choice && waits {
                world.now = until;
                choice = world.ask(|query| query.waited = Some(lane));
            }
            if let Choice::Send(lane) = choice {
                sends.push((lane, world.now));
                world.observe(lane, outcome);
            }
        }
        for (_, from) in &sends {
            let within = |meant: fn(&Lane) -> bool| {
                let span = from.0..from.0 + 60_000;
                sends.iter().filter(|(lane, at)| meant(lane) && span.contains(&at.0)).count() as u64
            };
            prop_assert!(within(|lane| lane.credential == 0) <= of_key);
            prop_assert!(within(|lane| lane.target == 0) <= of_target);
        }
    }
}
