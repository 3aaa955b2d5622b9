use super::*;
use crate::maker::{Maker, Need, Pin};

fn two() -> World {
    let targets = vec![to(0, "m", 1.0), to(1, "m", 1.0)];
    World::new(
        vec![provider("p", &["a", "b"]), provider("q", &["a"])],
        route(Strategy::Ordered, targets, Vec::new()),
    )
}

fn pin(provider: &str, key: &str, need: Need) -> Option<Pin> {
    Some(Pin { maker: Maker::of(provider, key), need })
}

fn ask(world: &mut World, pin: Option<Pin>, attempts: &[Attempt]) -> Choice {
    let random = world.dice.bits();
    let query = query(&world.config, &world.route, world.now, random);
    world.fleet.choose(&Query { pin, attempts, conversation: turn(1, Follows::Earlier), ..query })
}

#[test]
fn h11_what_an_account_has_made_goes_there_whatever_the_strategy_and_the_conversation_say() {
    for need in [Need::Wish, Need::Must] {
        let mut world = two();
        for at in [lane(0, 0, 1), lane(1, 1, 0), lane(0, 0, 0)].into_iter().cycle().take(60) {
            let names = [[("p", "a"), ("p", "b")], [("q", "a"), ("q", "a")]];
            let (provider, key) = names[usize::from(at.target)][usize::from(at.credential)];
            let sent = sent(ask(&mut world, pin(provider, key, need), &[]));
            assert_eq!(sent, at, "{need:?}");
            world.answer(sent);
        }
    }
}

#[test]
fn h11_what_can_do_without_goes_on_elsewhere_when_its_maker_is_closed_has_failed_or_is_gone() {
    let mut world = two();
    world.fail_until(lane(0, 0, 1), UpstreamClass::RateLimited, Some(Millis(60_000)));
    assert_ne!(sent(ask(&mut world, pin("p", "b", Need::Wish), &[])), lane(0, 0, 1));
    let failed = world.fail(lane(1, 1, 0), UpstreamClass::Server);
    assert_ne!(sent(ask(&mut world, pin("q", "a", Need::Wish), &[failed])), lane(1, 1, 0));
    sent(ask(&mut world, pin("gone", "a", Need::Wish), &[]));
}

#[test]
fn h11_what_cannot_do_without_waits_for_its_maker_and_goes_nowhere_else() {
    let mut world = two();
    let must = pin("p", "b", Need::Must);
    world.fail_until(lane(0, 0, 1), UpstreamClass::RateLimited, Some(Millis(2000)));
    assert_eq!(waits(ask(&mut world, must, &[])).lane, lane(0, 0, 1));
    world.fail_until(lane(0, 0, 1), UpstreamClass::RateLimited, Some(Millis(90_000)));
    let exhausted = ask(&mut world, must, &[]);
    assert!(matches!(exhausted, Choice::Exhausted { reopens: Some(_), limited: true }), "{exhausted:?}");
    let nowhere = ask(&mut world, pin("gone", "a", Need::Must), &[]);
    assert_eq!(nowhere, Choice::Exhausted { reopens: None, limited: false });
}
