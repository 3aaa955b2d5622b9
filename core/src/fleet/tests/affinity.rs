use super::*;

fn three() -> World {
    World::of_targets(Strategy::Weighted, &[1.0, 1.0, 1.0])
}

fn say(world: &mut World, prefix: u64, follows: Follows) -> Lane {
    let lane = sent(world.ask(|query| query.conversation = turn(prefix, follows)));
    world.answer(lane);
    lane
}

#[test]
fn k14_a_conversation_stays_where_it_began() {
    for strategy in [
        Strategy::Weighted,
        Strategy::Adaptive,
        Strategy::Latency,
        Strategy::Cost,
        Strategy::LeastBusy,
        Strategy::Ordered,
    ] {
        let mut world = three();
        world.route.strategy = strategy;
        let began: Vec<Lane> = (0..100).map(|prefix| say(&mut world, prefix, Follows::FirstTurn)).collect();
        for _ in 0..10 {
            world.pass(Millis::from_secs(240));
            for (prefix, lane) in (0..).zip(&began) {
                assert_eq!(say(&mut world, prefix, Follows::Earlier), *lane, "{strategy:?}");
            }
        }
    }
}

#[test]
fn k14_a_conversation_keeps_its_key_too() {
    let targets = vec![to(0, "m", 1.0)];
    let mut world = World::new(
        vec![provider("p", &["a", "b", "c", "d"])],
        route(Strategy::Weighted, targets, Vec::new()),
    );
    let began = say(&mut world, 1, Follows::FirstTurn);
    for _ in 0..50 {
        assert_eq!(say(&mut world, 1, Follows::Earlier), began);
    }
}

#[test]
fn k14_first_turns_are_spread_even_if_they_are_alike() {
    let mut world = three();
    let mut counts = [0; 3];
    for _ in 0..3000 {
        counts[usize::from(say(&mut world, 1, Follows::FirstTurn).target)] += 1;
    }
    assert!(counts.iter().all(|count| (900..1100).contains(count)), "{counts:?}");
}

#[test]
fn k14_a_conversation_moves_when_its_lane_closes_and_stays_where_it_went() {
    let mut world = three();
    let began = say(&mut world, 1, Follows::FirstTurn);
    world.fail_until(began, UpstreamClass::RateLimited, Some(Millis(1000)));
    let moved = say(&mut world, 1, Follows::Earlier);
    assert_ne!(moved, began);
    world.pass(Millis(2000));
    for _ in 0..20 {
        assert_eq!(say(&mut world, 1, Follows::Earlier), moved);
    }
}

#[test]
fn k14_a_retry_does_not_go_back_to_the_lane_that_failed() {
    let mut world = three();
    let began = say(&mut world, 1, Follows::FirstTurn);
    let attempts = [world.fail(began, UpstreamClass::Server)];
    for _ in 0..20 {
        let next = sent(world.ask(|query| {
            query.conversation = turn(1, Follows::Earlier);
            query.attempts = Box::leak(Box::new(attempts));
        }));
        assert_ne!(next, began);
    }
}

#[test]
fn k14_after_five_quiet_minutes_a_conversation_is_routed_freely() {
    let mut world = three();
    let mut elsewhere = 0;
    for prefix in 0..300 {
        let began = say(&mut world, prefix, Follows::FirstTurn);
        world.pass(Millis(300_001));
        elsewhere += u32::from(say(&mut world, prefix, Follows::Earlier) != began);
    }
    assert!((150..250).contains(&elsewhere), "{elsewhere}");
}

#[test]
fn k14_routes_do_not_share_conversations() {
    let mut world = World::of_targets(Strategy::Ordered, &[1.0, 1.0]);
    let first = world.send();
    world.fail_until(first, UpstreamClass::RateLimited, Some(Millis(1000)));
    assert_eq!(say(&mut world, 1, Follows::FirstTurn).target, 1);
    world.pass(Millis(1000));
    assert_eq!(say(&mut world, 1, Follows::Earlier).target, 1);
    world.route.name = "other".to_owned();
    assert_eq!(say(&mut world, 1, Follows::Earlier).target, 0);
}

#[test]
fn conversations_do_not_fill_the_memory_and_the_latest_are_known() {
    let mut world = three();
    let mut lanes = Vec::new();
    for prefix in 0..200_000 {
        lanes.push(say(&mut world, prefix, Follows::FirstTurn));
    }
    assert!(world.fleet.affinity.len() <= 65_536);
    for prefix in 170_000..200_000u64 {
        let lane = say(&mut world, prefix, Follows::Earlier);
        assert_eq!(lane, lanes[usize::try_from(prefix).unwrap()]);
    }
}

#[test]
fn a_route_with_one_lane_remembers_no_conversations() {
    let mut world = World::of_targets(Strategy::Weighted, &[1.0]);
    say(&mut world, 1, Follows::FirstTurn);
    assert_eq!(world.fleet.affinity.len(), 0);
}
