//! Upstreams that degrade and recover under steady traffic, in virtual time with real concurrency.

use super::*;
use std::cmp::Reverse;
use std::collections::BinaryHeap;

/// How an upstream behaves at a time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mood {
    /// Answers, first content after so many milliseconds.
    Answers(u64),
    /// Fails after 20 ms.
    Fails(UpstreamClass),
    /// Says 429 at once, asking for so many milliseconds.
    Limits(u64),
}

const WELL: Mood = Mood::Answers(300);

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Event {
    Arrive,
    Done(usize),
    Wake(usize),
}

#[derive(Default)]
struct Request {
    attempts: Vec<Attempt>,
    deadline: Time,
    waited: Option<Lane>,
    /// On its way.
    lane: Option<Lane>,
    mood: Option<Mood>,
}

/// What came of the requests of a span of time.
#[derive(Clone, Debug, Default)]
struct Span {
    /// First attempts by target.
    first: Vec<u32>,
    answered: u32,
    given_up: u32,
    sends: u32,
}

impl Span {
    fn share(&self, target: usize) -> f64 {
        f64::from(self.first[target]) / f64::from(self.first.iter().sum::<u32>().max(1))
    }
}

struct Traffic<M> {
    world: World,
    /// By target and seconds since the beginning.
    mood: M,
    begin: Time,
    requests: Vec<Request>,
    queue: BinaryHeap<Reverse<(Time, u64, Event)>>,
    events: u64,
}

impl<M: Fn(u16, u64) -> Mood> Traffic<M> {
    fn new(world: World, mood: M) -> Self {
        let begin = world.now;
        let mut traffic =
            Self { world, mood, begin, requests: Vec::new(), queue: BinaryHeap::new(), events: 0 };
        traffic.at(begin, Event::Arrive);
        traffic
    }

    fn at(&mut self, time: Time, event: Event) {
        self.events += 1;
        self.queue.push(Reverse((time, self.events, event)));
    }

    /// Runs until so many seconds after the beginning: twenty requests a second.
    fn run(&mut self, until: u64) -> Span {
        let end = self.begin + Millis::from_secs(until);
        let mut span = Span { first: vec![0; self.world.route.targets.len()], ..Span::default() };
        while let Some(Reverse((time, _, event))) = self.queue.peek().copied() {
            if time >= end {
                break;
            }
            self.queue.pop();
            self.world.now = time;
            match event {
                Event::Arrive => {
                    self.at(time + Millis(50), Event::Arrive);
                    let deadline = time + self.world.route.deadline;
                    self.requests.push(Request { deadline, ..Request::default() });
                    self.next(self.requests.len() - 1, &mut span);
                }
                Event::Wake(at) => self.next(at, &mut span),
                Event::Done(at) => self.done(at, &mut span),
            }
        }
        self.world.now = end;
        span
    }

    fn next(&mut self, at: usize, span: &mut Span) {
        let request = &mut self.requests[at];
        let world = &mut self.world;
        let random = world.dice.bits();
        let asked = query(&world.config, &world.route, world.now, random);
        let Request { attempts, deadline, waited, .. } = request;
        let waited = waited.take();
        match world.fleet.choose(&Query { attempts, deadline: *deadline, waited, ..asked }) {
            Choice::Send(lane) => {
                span.sends += 1;
                let first = span.first.get_mut(usize::from(lane.target));
                if let Some(count) = first.filter(|_| request.attempts.is_empty()) {
                    *count += 1;
                }
                let mood = (self.mood)(lane.target, world.now.since(self.begin).get() / 1000);
                request.lane = Some(lane);
                request.mood = Some(mood);
                let takes = match mood {
                    Mood::Answers(first_byte) => first_byte + 1000,
                    Mood::Fails(_) => 20,
                    Mood::Limits(_) => 5,
                };
                let end = world.now + Millis(takes);
                self.at(end, Event::Done(at));
            }
            Choice::Wait { lane, until } => {
                assert!(until > world.now && until < request.deadline);
                request.waited = Some(lane);
                self.at(until, Event::Wake(at));
            }
            Choice::Exhausted { .. } => span.given_up += 1,
        }
    }

    fn done(&mut self, at: usize, span: &mut Span) {
        let request = &mut self.requests[at];
        let lane = request.lane.take().unwrap();
        let (outcome, class) = match request.mood.take().unwrap() {
            Mood::Answers(first_byte) => (answered(first_byte), None),
            Mood::Fails(class) => (Outcome::Failed { class, retry_after: None }, Some(class)),
            Mood::Limits(wait) => {
                let class = UpstreamClass::RateLimited;
                (Outcome::Failed { class, retry_after: Some(Millis(wait)) }, Some(class))
            }
        };
        self.world.observe(lane, outcome);
        match class {
            None => span.answered += 1,
            Some(class) => {
                let attempt = Attempt { lane, class, at: self.world.now };
                self.requests[at].attempts.push(attempt);
                assert!(self.requests[at].attempts.len() <= self.world.route.attempts as usize);
                self.next(at, span);
            }
        }
    }
}

/// Shares of target 0, of two alike, before, during and after two minutes in which it is `bad`.
#[derive(Debug)]
struct Shares {
    before: f64,
    /// The first twenty seconds of it: four hundred requests.
    shift: f64,
    during: f64,
    /// The minute after it was well again.
    healing: f64,
    after: f64,
    given_up: u32,
}

fn illness(strategy: Strategy, bad: Mood) -> Shares {
    let world = World::of_targets(strategy, &[1.0, 1.0]);
    let ill = move |target, second| if target == 0 && (60..180).contains(&second) { bad } else { WELL };
    let mut traffic = Traffic::new(world, ill);
    let spans = [60, 80, 180, 240, 420].map(|until| traffic.run(until));
    let given_up = spans.iter().map(|span| span.given_up).sum();
    let [before, shift, during, healing, after] = spans.map(|span| span.share(0));
    let rows = traffic.world.fleet.report(traffic.world.now);
    assert!(rows.iter().all(|row| row.in_flight < 60), "{rows:?}");
    Shares { before, shift, during, healing, after, given_up }
}

const FAILS: Mood = Mood::Fails(UpstreamClass::Server);

#[test]
fn every_strategy_leaves_a_failing_upstream_and_comes_back() {
    for strategy in [Strategy::Weighted, Strategy::LeastBusy, Strategy::Adaptive] {
        for class in [UpstreamClass::Server, UpstreamClass::Timeout, UpstreamClass::Connection] {
            let shares = illness(strategy, Mood::Fails(class));
            let Shares { before, shift, during, after, given_up, .. } = shares;
            assert!((0.4..0.6).contains(&before), "{strategy:?} {shares:?}");
            assert!(shift < 0.1 && during < 0.02 && during > 0.0, "{strategy:?} {shares:?}");
            assert!((0.4..0.6).contains(&after), "{strategy:?} {shares:?}");
            assert_eq!(given_up, 0, "{strategy:?}: the other one can answer everything");
        }
    }
}

#[test]
fn ordered_and_cost_leave_a_failing_first_upstream_and_come_back_to_it() {
    for strategy in [Strategy::Ordered, Strategy::Cost] {
        let shares = illness(strategy, FAILS);
        let Shares { before, shift, during, healing, after, given_up } = shares;
        assert!(before > 0.99 && after > 0.99, "{strategy:?} {shares:?}");
        assert!(shift < 0.1 && during < 0.02 && healing > 0.5, "{strategy:?} {shares:?}");
        assert_eq!(given_up, 0);
    }
}

#[test]
fn latency_leaves_a_failing_upstream() {
    let shares = illness(Strategy::Latency, FAILS);
    assert!(shares.during < 0.02 && shares.given_up == 0, "{shares:?}");
}

#[test]
fn a11_an_upstream_that_says_429_gets_nothing_until_its_time() {
    for strategy in [Strategy::Weighted, Strategy::Adaptive, Strategy::LeastBusy, Strategy::Ordered] {
        let shares = illness(strategy, Mood::Limits(10_000));
        assert!(shares.during < 0.02 && shares.given_up == 0, "{strategy:?} {shares:?}");
        assert!(shares.after > 0.4, "{strategy:?} {shares:?}");
    }
}

#[test]
fn adaptive_leaves_a_slow_upstream_a_trickle_and_gives_it_back_its_share() {
    let shares = illness(Strategy::Adaptive, Mood::Answers(3000));
    let Shares { before, shift, during, healing, after, .. } = shares;
    assert!((0.4..0.6).contains(&before), "{shares:?}");
    assert!(shift < 0.3 && during < 0.1 && during > 0.005, "{shares:?}");
    assert!(healing > 0.2 && (0.4..0.6).contains(&after), "{shares:?}");
}

#[test]
fn adaptive_weighs_errors_that_are_too_few_to_close_a_lane() {
    let mut world = World::of_targets(Strategy::Adaptive, &[1.0, 1.0]);
    let mut counts = [0; 2];
    for at in 0..20_000u32 {
        world.pass(Millis(50));
        let lane = world.send();
        counts[usize::from(lane.target)] += 1;
        if lane.target == 0 && at % 3 == 0 {
            world.fail(lane, UpstreamClass::Server);
        } else {
            world.answer(lane);
        }
    }
    let share = f64::from(counts[0]) / 20_000.0;
    assert!((0.1..0.35).contains(&share), "{counts:?}");
}

#[test]
fn latency_moves_to_the_faster_upstream_and_back() {
    let world = World::of_targets(Strategy::Latency, &[1.0, 1.0]);
    let moods = |target, second| match (target, second) {
        (0, 60..180) => Mood::Answers(3000),
        (0, _) => Mood::Answers(200),
        (_, _) => Mood::Answers(400),
    };
    let mut traffic = Traffic::new(world, moods);
    traffic.run(10);
    assert!(traffic.run(60).share(0) > 0.9);
    traffic.run(80);
    let during = traffic.run(180).share(0);
    assert!(during < 0.1 && during > 0.005, "{during}");
    traffic.run(240);
    assert!(traffic.run(400).share(0) > 0.9);
}

#[test]
fn least_busy_leaves_a_slow_upstream() {
    let shares = illness(Strategy::LeastBusy, Mood::Answers(5000));
    assert!(shares.during < 0.3 && shares.after > 0.4, "{shares:?}");
}

#[test]
fn weighted_keeps_its_weights_whatever_the_latency() {
    let shares = illness(Strategy::Weighted, Mood::Answers(5000));
    assert!((0.4..0.6).contains(&shares.during), "{shares:?}");
}

#[test]
fn no_upstream_that_is_well_is_starved() {
    for strategy in [Strategy::Weighted, Strategy::Adaptive, Strategy::LeastBusy, Strategy::Latency] {
        let world = World::of_targets(strategy, &[1.0, 1.0, 1.0, 1.0]);
        let moods = |target, _| Mood::Answers(300 + u64::from(target) * 400);
        let mut traffic = Traffic::new(world, moods);
        traffic.run(60);
        let span = traffic.run(360);
        assert!(span.first.iter().all(|count| *count >= 20), "{strategy:?} {span:?}");
    }
}

#[test]
fn i5_when_everything_is_limited_for_a_while_requests_wait_and_are_answered() {
    let world = World::of_targets(Strategy::Weighted, &[1.0, 1.0]);
    let moods = |_, second| if (10..15).contains(&second) { Mood::Limits(4000) } else { WELL };
    let mut traffic = Traffic::new(world, moods);
    let span = traffic.run(60);
    assert_eq!(span.given_up, 0, "{span:?}");
    assert!(span.answered > 1150, "{span:?}");
    // Those that find both closed do not ask: only the ones that closed them, and their comebacks.
    assert!(span.sends < 1300, "{span:?}");
}

#[test]
fn a_whole_outage_ends_without_a_stampede_and_with_all_upstreams_back() {
    let world = World::of_targets(Strategy::Adaptive, &[1.0, 1.0]);
    let moods = |_, second| if (60..120).contains(&second) { FAILS } else { WELL };
    let mut traffic = Traffic::new(world, moods);
    traffic.run(60);
    let outage = traffic.run(120);
    assert!(outage.sends <= 3 * 1200, "attempts are bounded: {outage:?}");
    traffic.run(180);
    let after = traffic.run(240);
    assert_eq!(after.given_up, 0);
    assert!((0.4..0.6).contains(&after.share(0)), "{after:?}");
}
