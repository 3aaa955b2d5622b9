use super::*;

fn two_keys() -> World {
    let targets = vec![to(0, "m", 1.0)];
    World::new(vec![provider("p", &["a", "b"])], route(Strategy::Weighted, targets, Vec::new()))
}

/// Whether 200 requests that end at once ever use the key.
fn used(world: &mut World, credential: u16) -> bool {
    (0..200)
        .filter(|_| {
            let lane = world.send();
            world.answer(lane);
            lane.credential == credential
        })
        .count()
        > 0
}

#[test]
fn k6_a_limited_key_is_left_out_until_its_time() {
    let mut world = two_keys();
    let first = world.send();
    world.fail_until(first, UpstreamClass::RateLimited, Some(Millis(7000)));
    assert!(!used(&mut world, first.credential));
    world.pass(Millis(6999));
    assert!(!used(&mut world, first.credential));
    world.pass(Millis(1));
    assert!(used(&mut world, first.credential));
}

#[test]
fn k6_a_limit_is_for_one_model_and_a_refusal_for_all() {
    for (class, other_model_open) in [(UpstreamClass::RateLimited, true), (UpstreamClass::Auth, false)] {
        let mut world = two_keys();
        let first = world.send();
        world.fail(first, class);
        assert!(!used(&mut world, first.credential));
        world.route.targets = vec![to(0, "other", 1.0)];
        assert_eq!(used(&mut world, first.credential), other_model_open, "{class:?}");
    }
}

#[test]
fn k6_a_refused_key_gets_one_probe_a_minute_later_then_every_ten_at_most() {
    for class in [UpstreamClass::Auth, UpstreamClass::Billing, UpstreamClass::Forbidden] {
        let mut world = World::of_targets(Strategy::Ordered, &[1.0, 1.0]);
        let refused = world.send();
        world.fail(refused, class);
        for seconds in [60, 120, 240, 480, 600, 600] {
            world.pass(Millis(seconds * 1000 - 1));
            assert_eq!(world.send().target, 1, "{class:?} {seconds}");
            world.pass(Millis(1));
            let probe = world.send();
            assert_eq!(probe.target, 0, "{class:?} {seconds}");
            assert_eq!(world.send().target, 1, "only one probe");
            world.fail(probe, class);
        }
        world.pass(Millis(600_000));
        let probe = world.send();
        world.answer(probe);
        assert_eq!(world.send().target, 0);
    }
}

#[test]
fn requests_that_were_refused_together_count_once() {
    let mut world = World::of_targets(Strategy::Ordered, &[1.0, 1.0]);
    let lanes: Vec<Lane> = (0..50).map(|_| world.send()).collect();
    for lane in lanes {
        world.fail(lane, UpstreamClass::Auth);
    }
    world.pass(Millis(60_000));
    assert_eq!(world.send().target, 0);
}

#[test]
fn an_answer_that_was_on_its_way_does_not_open_a_refused_key() {
    let mut world = World::of_targets(Strategy::Ordered, &[1.0, 1.0]);
    let (long, short) = (world.send(), world.send());
    world.fail(short, UpstreamClass::Auth);
    world.answer(long);
    assert_eq!(world.send().target, 1);
}

#[test]
fn a_probe_whose_client_left_is_followed_by_another() {
    let mut world = World::of_targets(Strategy::Ordered, &[1.0, 1.0]);
    let refused = world.send();
    world.fail(refused, UpstreamClass::Auth);
    world.pass(Millis(60_000));
    let probe = world.send();
    world.observe(probe, Outcome::Unknown);
    world.pass(Millis(10_000));
    assert_eq!(world.send().target, 0);
}

#[test]
fn i4_a_later_longer_retry_after_extends_and_a_shorter_one_does_not_shorten() {
    let mut world = two_keys();
    let lanes: Vec<Lane> = (0..20).map(|_| world.send()).filter(|lane| lane.credential == 0).collect();
    world.fail_until(lanes[0], UpstreamClass::RateLimited, Some(Millis(5000)));
    world.pass(Millis(1000));
    world.fail_until(lanes[1], UpstreamClass::RateLimited, Some(Millis(30_000)));
    let until = world.now + Millis(30_000);
    world.pass(Millis(1000));
    world.fail_until(lanes[2], UpstreamClass::RateLimited, Some(Millis(1000)));
    world.fail_until(lanes[3], UpstreamClass::RateLimited, None);
    assert_eq!(world.state("p", "a"), LaneState::Limited(until));
}

#[test]
fn i4_limits_without_a_time_double_from_a_second_to_a_minute() {
    let mut world = World::of_targets(Strategy::Ordered, &[1.0, 1.0]);
    for seconds in [1, 2, 4, 8, 16, 32, 60, 60] {
        let (one, other) = (world.send(), world.send());
        assert_eq!((one.target, other.target), (0, 0));
        world.fail(one, UpstreamClass::RateLimited);
        world.fail(other, UpstreamClass::RateLimited);
        let until = world.now + Millis::from_secs(seconds);
        assert_eq!(world.state("p0", "k"), LaneState::Limited(until));
        world.now = until;
    }
    let lane = world.send();
    world.answer(lane);
    let lane = world.send();
    world.fail(lane, UpstreamClass::RateLimited);
    assert_eq!(world.state("p0", "k"), LaneState::Limited(world.now + Millis::from_secs(1)));
}

#[test]
fn i4_a_senseless_retry_after_does_not_close_a_key_for_ever() {
    let mut world = World::of_targets(Strategy::Ordered, &[1.0]);
    let lane = world.send();
    world.fail_until(lane, UpstreamClass::RateLimited, Some(Millis(u64::MAX)));
    world.pass(Millis::from_secs(24 * 60 * 60));
    assert_eq!(world.state("p0", "k"), LaneState::Open);
}

#[test]
fn i5_when_all_are_limited_the_first_to_reopen_is_waited_for() {
    let mut world = World::of_targets(Strategy::Weighted, &[1.0, 1.0, 1.0]);
    for seconds in [30, 8, 20] {
        let lane = world.send();
        world.fail_until(lane, UpstreamClass::RateLimited, Some(Millis::from_secs(seconds)));
    }
    let opens = world.now + Millis::from_secs(8);
    let Wait { lane: waited, until } = waits(world.choose());
    assert!((opens.0..opens.0 + 250).contains(&until.0));
    world.now = until;
    assert_eq!(world.ask(|query| query.waited = Some(waited)), Choice::Send(waited));
}

#[test]
fn i5_nobody_is_held_for_more_than_ten_seconds() {
    let mut world = World::of_targets(Strategy::Weighted, &[1.0]);
    let lane = world.send();
    world.fail_until(lane, UpstreamClass::RateLimited, Some(Millis::from_secs(11)));
    let reopens = Some(world.now + Millis::from_secs(11));
    assert_eq!(world.choose(), Choice::Exhausted { reopens, limited: true });
}

#[test]
fn i5_when_all_are_limited_beyond_the_deadline_it_is_said_until_when() {
    let mut world = World::of_targets(Strategy::Weighted, &[1.0, 1.0]);
    world.route.deadline = Millis::from_secs(5);
    for seconds in [30, 10] {
        let lane = world.send();
        world.fail_until(lane, UpstreamClass::RateLimited, Some(Millis::from_secs(seconds)));
    }
    let reopens = Some(world.now + Millis::from_secs(10));
    assert_eq!(world.choose(), Choice::Exhausted { reopens, limited: true });
}

#[test]
fn i5_nobody_waits_for_a_refused_key() {
    let mut world = World::of_targets(Strategy::Weighted, &[1.0]);
    let lane = world.send();
    world.fail(lane, UpstreamClass::Auth);
    let reopens = Some(world.now + Millis::from_secs(60));
    assert_eq!(world.choose(), Choice::Exhausted { reopens, limited: false });
}

#[test]
fn i5_a_lane_that_was_limited_again_while_it_was_waited_for_is_not_asked() {
    let mut world = World::of_targets(Strategy::Weighted, &[1.0]);
    let lane = world.send();
    world.send();
    world.fail_until(lane, UpstreamClass::RateLimited, Some(Millis(1000)));
    world.pass(Millis(1000));
    world.fail_until(lane, UpstreamClass::RateLimited, Some(Millis(3000)));
    let Wait { until, .. } = waits(world.ask(|query| query.waited = Some(lane)));
    assert!(until >= world.now + Millis(3000));
}

#[test]
fn i7_a_single_deployment_is_not_cooled_to_death() {
    let mut world = World::of_targets(Strategy::Weighted, &[1.0]);
    for class in [UpstreamClass::Server, UpstreamClass::Timeout, UpstreamClass::Connection] {
        for _ in 0..100 {
            let lane = world.send();
            world.fail(lane, class);
        }
    }
    assert!(matches!(world.state("p0", "k"), LaneState::Failing(_)));
    let lane = world.send();
    world.answer(lane);
    assert_eq!(world.state("p0", "k"), LaneState::Open);
}

#[test]
fn i7_when_all_keep_failing_all_are_still_tried() {
    let mut world = World::of_targets(Strategy::Weighted, &[1.0, 1.0]);
    for _ in 0..200 {
        let lane = world.send();
        world.fail(lane, UpstreamClass::Server);
    }
    let mut targets: Vec<u16> = (0..50).map(|_| world.send().target).collect();
    targets.sort_unstable();
    targets.dedup();
    assert_eq!(targets, [0, 1]);
}

#[test]
fn five_failures_in_a_row_close_a_lane_for_a_second_and_a_probe_opens_it() {
    let mut world = World::of_targets(Strategy::Ordered, &[1.0, 1.0]);
    for _ in 0..5 {
        let lane = world.send();
        assert_eq!(lane.target, 0);
        world.fail(lane, UpstreamClass::Server);
    }
    for seconds in [1, 2, 4, 8, 16, 30, 30] {
        world.pass(Millis(seconds * 1000 - 1));
        assert_eq!(world.send().target, 1, "{seconds}");
        world.pass(Millis(1));
        let probe = world.send();
        assert_eq!(probe.target, 0, "{seconds}");
        assert_eq!(world.send().target, 1, "only one probe");
        world.fail(probe, UpstreamClass::Server);
    }
    world.pass(Millis(30_000));
    let probe = world.send();
    world.answer(probe);
    assert_eq!(world.send().target, 0);
}

#[test]
fn a_provider_that_fails_and_names_a_time_is_left_alone_until_then_if_there_is_another() {
    let mut world = World::of_targets(Strategy::Ordered, &[1.0, 1.0]);
    let lane = world.send();
    world.fail_until(lane, UpstreamClass::Overloaded, Some(Millis(3000)));
    assert_eq!(world.send().target, 1);
    world.pass(Millis(3000));
    assert_eq!(world.send().target, 0);
}

#[test]
fn the_callers_own_faults_close_nothing() {
    let mut world = World::of_targets(Strategy::Ordered, &[1.0, 1.0]);
    for _ in 0..100 {
        let lane = world.send();
        assert_eq!(lane.target, 0);
        world.fail(lane, UpstreamClass::BadRequest);
    }
    assert_eq!(world.fleet.report(world.now)[0].errors, 0.0);
}

#[test]
fn what_is_known_outlives_a_reload_that_moves_everything() {
    let providers = vec![provider("p0", &["a", "b"]), provider("p1", &["c"])];
    let targets = vec![to(0, "m", 1.0), to(1, "m", 1.0)];
    let mut world = World::new(providers, route(Strategy::Ordered, targets, Vec::new()));
    let first = world.send();
    world.fail_until(first, UpstreamClass::RateLimited, Some(Millis(60_000)));
    let mut moved = provider("p0", &["new", "b", "a"]);
    moved.credentials.retain(|key| key.name != if first.credential == 0 { "b" } else { "a" });
    world.config = config(vec![provider("p9", &["z"]), moved]);
    world.route.targets = vec![to(1, "m", 1.0)];
    for _ in 0..50 {
        assert_eq!(world.send(), lane(0, 1, 0));
    }
}
