//! Where a request goes next.

use super::affinity;
use super::dice::{Dice, Draw};
use super::roster::{At, FAILING, Gate, Known, Names, REFUSED};
use super::strategy::{self, Candidate, Seen};
use super::window::Meter;
use super::{Attempt, Choice, Fleet, Lane, Query};
use crate::config::{Account, After, Config, Credential, Provider, Route, RouteTarget};
use crate::maker::{Maker, Need};
use crate::retry::{self, Verdict};
use crate::surface::Follows;
use crate::units::{Millis, Time};

/// Those that wait for one lane to open come back spread over this span, so that they do not all
/// meet the limit again at once.
const SPREAD: u64 = 250;

/// Nobody is held longer than this for a lane to open: a client that is told `retry-after` can do
/// something else meanwhile, and its own timeout may be shorter than the request's deadline.
const LONGEST_WAIT: Millis = Millis::from_secs(10);

/// Which lanes of a target are meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fresh {
    /// Those of targets that this request has not tried with any key.
    Target,
    /// Those that this request has not tried.
    Key,
}

/// Whether lanes that keep failing are meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Health {
    Good,
    Any,
}

/// Which lanes are meant.
#[derive(Clone, Copy, Debug)]
struct Want {
    fresh: Fresh,
    health: Health,
}

impl Want {
    fn admits(self, gate: Gate) -> bool {
        match gate {
            Gate::Open => true,
            Gate::Failing(_) => self.health == Health::Any,
            Gate::Limited(_) | Gate::Refused(_) => false,
        }
    }
}

/// The names of a lane; nothing if the lane is of another route or config.
pub(super) fn names<'a>(config: &'a Config, route: &'a Route, lane: Lane) -> Option<Names<'a>> {
    let provider = config.provider(lane.provider)?;
    let credential = provider.credentials.get(usize::from(lane.credential))?;
    let target = target(route, lane.target)?;
    Some(Names { provider: &provider.name, key: &credential.name, model: &target.model })
}

/// Counts through the targets, then through the fallbacks.
fn target(route: &Route, at: u16) -> Option<&RouteTarget> {
    let at = usize::from(at);
    match at.checked_sub(route.targets.len()) {
        None => route.targets.get(at),
        Some(at) => route.fallbacks.get(at),
    }
}

/// One of the route's targets or fallbacks, with its provider.
#[derive(Clone, Copy, Debug)]
struct Place<'a> {
    at: u16,
    target: &'a RouteTarget,
    provider: &'a Provider,
    account: Account,
    /// The one whose lanes are meant, if no other can be.
    only: Option<Maker>,
}

impl<'a> Place<'a> {
    /// The lanes whose key serves the model.
    fn lanes(self) -> impl Iterator<Item = Spot<'a>> {
        let serves = move |key: &Credential| {
            key.models.is_empty()
                || self.target.model.is_empty()
                || key.models.iter().any(|pattern| pattern.matches(&self.target.model))
        };
        let most = match self.account {
            Account::Any => usize::MAX,
            Account::First => 1,
        };
        let meant = move |key: &Credential| {
            self.only.is_none_or(|only| only == Maker::of(&self.provider.name, &key.name))
        };
        let keys = (0..).zip(&self.provider.credentials).filter(move |(_, key)| serves(key)).take(most);
        let keys = keys.filter(move |(_, key)| meant(key));
        keys.map(move |(credential, key)| Spot {
            lane: Lane { target: self.at, provider: self.target.provider, credential },
            key,
        })
    }
}

/// A lane with its key.
#[derive(Clone, Copy, Debug)]
struct Spot<'a> {
    lane: Lane,
    key: &'a Credential,
}

/// A lane with its key, what is known of it and whether it may be used.
#[derive(Clone, Copy, Debug)]
struct Sight<'a> {
    lane: Lane,
    key: &'a Credential,
    known: Known<'a>,
    gate: Gate,
}

impl<'a> Query<'a> {
    /// Which failure leads on from here: the last that only other models can mend, else any.
    fn after(&self) -> After {
        self.attempts.iter().rev().find_map(|attempt| After::class(attempt.class)).unwrap_or_default()
    }

    /// What may be tried after what has happened so far.
    fn places(&self) -> impl Iterator<Item = Place<'a>> + use<'a> {
        let after = self.after();
        self.all_places().filter(move |place| place.target.after == after)
    }

    /// Every target and fallback that is not closed.
    fn all_places(&self) -> impl Iterator<Item = Place<'a>> + use<'a> {
        let Self { config, route, closed, .. } = *self;
        let only = self.only();
        (0..).zip(route.targets.iter().chain(&route.fallbacks)).filter_map(move |(at, target)| {
            if closed.holds(at) {
                return None;
            }
            let provider = config.provider(target.provider)?;
            Some(Place { at, target, provider, account: route.account, only })
        })
    }

    fn place(&self, at: u16) -> Option<Place<'a>> {
        let target = target(self.route, at)?;
        let provider = self.config.provider(target.provider)?;
        Some(Place { at, target, provider, account: self.route.account, only: self.only() })
    }

    /// The account that alone understands the request.
    fn only(&self) -> Option<Maker> {
        self.pin.filter(|pin| pin.need == Need::Must).map(|pin| pin.maker)
    }

    fn targets(&self) -> impl Iterator<Item = Place<'a>> + use<'a> {
        let many = self.route.targets.len();
        self.places().take_while(move |place| usize::from(place.at) < many)
    }

    fn fallbacks(&self) -> impl Iterator<Item = Place<'a>> + use<'a> {
        let many = self.route.targets.len();
        self.places().skip_while(move |place| usize::from(place.at) < many)
    }

    /// The attempts that went to this very upstream, oldest first: a route may name it twice.
    fn tries(&self, lane: Lane) -> impl Iterator<Item = &'a Attempt> {
        let model = move |lane: Lane| target(self.route, lane.target).map(|target| target.model.as_str());
        self.attempts.iter().filter(move |Attempt { lane: tried, .. }| {
            tried.provider == lane.provider
                && tried.credential == lane.credential
                && model(*tried) == model(lane)
        })
    }

    fn untried(&self, lane: Lane) -> bool {
        self.attempts.is_empty() || self.tries(lane).next().is_none()
    }

    fn tried_target(&self, at: u16) -> bool {
        self.attempts.iter().any(|attempt| attempt.lane.target == at)
    }

    /// The only lane the route can take, if there is but one.
    fn only_lane(&self) -> Option<Lane> {
        let [target] = self.route.targets.as_slice() else { return None };
        let provider = self.config.provider(target.provider)?;
        let place = Place { at: 0, target, provider, account: self.route.account, only: self.only() };
        let one_key = place.provider.credentials.len() == 1 && self.route.fallbacks.is_empty();
        if one_key { place.lanes().next().map(|spot| spot.lane) } else { None }
    }
}

impl Fleet {
    /// Picks the upstream for a request's next attempt and counts it as in flight if the answer is
    /// [`Choice::Send`]; `observe` must follow.
    pub fn choose(&mut self, query: &Query<'_>) -> Choice {
        let made = u32::try_from(query.attempts.len()).unwrap_or(u32::MAX);
        if made >= query.route.attempts || query.now >= query.deadline {
            return self.exhausted(query);
        }
        // Most routes have one lane, and most requests no failed attempt.
        let sure = match query.waited {
            Some(waited) => Some(waited),
            None if query.attempts.is_empty() => query.only_lane(),
            None => None,
        };
        if let Some(open) = sure.and_then(|lane| self.open(query, lane)) {
            return self.send(query, open);
        }
        let mut dice = Dice::new(query.random);
        match self.fresh(query, &mut dice) {
            Some(lane) => self.find_and_send(query, lane),
            None => self.again(query, &mut dice),
        }
    }

    /// The lane, if it may be used where there is no better one.
    fn open(&mut self, query: &Query<'_>, lane: Lane) -> Option<Found> {
        let any = Want { fresh: Fresh::Key, health: Health::Any };
        let at = self.roster.find_or_make(names(query.config, query.route, lane)?)?;
        let place = query.place(lane.target)?;
        let key = place.provider.credentials.get(usize::from(lane.credential))?;
        let full = self.roster.full_until(&place.provider.name, place.target, query.now);
        let known = self.roster.at(at);
        let gate = known.gate(query.now).full(full.max(known.full_until(key, query.now)));
        any.admits(gate).then_some(Found { lane, at })
    }

    fn find_and_send(&mut self, query: &Query<'_>, lane: Lane) -> Choice {
        let names = names(query.config, query.route, lane);
        match names.and_then(|names| self.roster.find_or_make(names)) {
            Some(at) => self.send(query, Found { lane, at }),
            None => self.exhausted(query),
        }
    }

    /// An untried lane.
    fn fresh(&mut self, query: &Query<'_>, dice: &mut Dice) -> Option<Lane> {
        if let Some(lane) = self.pinned(query, dice).or_else(|| self.stayed(query)) {
            return Some(lane);
        }
        [Health::Good, Health::Any].into_iter().find_map(|health| {
            self.next_key(query, health, dice)
                .or_else(|| self.next_target(query, Want { fresh: Fresh::Target, health }, dice))
                .or_else(|| self.next_target(query, Want { fresh: Fresh::Key, health }, dice))
                .or_else(|| self.next_fallback(query, Want { fresh: Fresh::Target, health }, dice))
                .or_else(|| self.next_fallback(query, Want { fresh: Fresh::Key, health }, dice))
        })
    }

    /// A lane of the account that made what is in the request, drawn by weight.
    fn pinned(&self, query: &Query<'_>, dice: &mut Dice) -> Option<Lane> {
        let maker = query.pin.filter(|_| query.attempts.is_empty())?.maker;
        let want = Want { fresh: Fresh::Key, health: Health::Any };
        let mut draw = Draw::new();
        for place in query.places().map(|place| Place { only: Some(maker), ..place }) {
            if let Some(Candidate { lane, weight, .. }) = self.candidate(query, place, want, dice) {
                draw.add(lane, weight, dice);
            }
        }
        draw.held()
    }

    /// The lane whose provider still holds the conversation's cache. It may be one that only a prompt
    /// too long or a filter led to: the next turn would lead there again.
    fn stayed(&self, query: &Query<'_>) -> Option<Lane> {
        let conversation = query.conversation.filter(|conversation| match conversation.follows {
            Follows::FirstTurn => false,
            Follows::Earlier => true,
        })?;
        let key = affinity::Key::new(conversation, &query.route.name);
        let serial = self.affinity.find(key, query.now)?;
        let mut lanes = query.all_places().flat_map(|place| self.lanes(place, query.now));
        let Sight { lane, gate, .. } = lanes.find(|sight| sight.known.serial() == Some(serial))?;
        (gate == Gate::Open && query.untried(lane)).then_some(lane)
    }

    /// Another key of the target whose key was refused or limited just now.
    fn next_key(&self, query: &Query<'_>, health: Health, dice: &mut Dice) -> Option<Lane> {
        let last = query.attempts.last()?;
        let place = match retry::verdict(last.class) {
            Verdict::NextKey => query.place(last.lane.target)?,
            Verdict::PassOn | Verdict::Next => return None,
        };
        Some(self.candidate(query, place, Want { fresh: Fresh::Key, health }, dice)?.lane)
    }

    /// One of the targets, by the route's strategy.
    fn next_target(&mut self, query: &Query<'_>, want: Want, dice: &mut Dice) -> Option<Lane> {
        let mut candidates = std::mem::take(&mut self.candidates);
        candidates.clear();
        candidates.extend(query.targets().filter_map(|place| self.candidate(query, place, want, dice)));
        let picked = strategy::pick(query.route.strategy, &candidates, dice);
        self.candidates = candidates;
        picked
    }

    /// The first of the fallbacks.
    fn next_fallback(&self, query: &Query<'_>, want: Want, dice: &mut Dice) -> Option<Lane> {
        query.fallbacks().find_map(|place| Some(self.candidate(query, place, want, dice)?.lane))
    }

    /// A target with one of its keys, drawn by weight among those that are meant.
    fn candidate(
        &self,
        query: &Query<'_>,
        place: Place<'_>,
        want: Want,
        dice: &mut Dice,
    ) -> Option<Candidate> {
        if want.fresh == Fresh::Target && query.tried_target(place.at) {
            return None;
        }
        let mut in_flight = 0_u32;
        let mut draw = Draw::new();
        for Sight { lane, key, known, gate } in self.lanes(place, query.now) {
            in_flight = in_flight.saturating_add(known.lane.map_or(0, |lane| lane.in_flight));
            if want.admits(gate) && query.untried(lane) {
                draw.add((lane, known), key.weight, dice);
            }
        }
        let (lane, known) = draw.held()?;
        let RouteTarget { weight, price, .. } = place.target;
        let cost = price.as_ref().and_then(|price| price.blend);
        Some(Candidate { lane, weight: *weight, in_flight, cost, seen: Seen::of(known, query.now) })
    }

    /// The lanes of a target with what is known of them.
    fn lanes<'a>(&'a self, place: Place<'a>, now: Time) -> impl Iterator<Item = Sight<'a>> {
        let Place { at: _, target, provider, account: _, only: _ } = place;
        let keys = self.roster.keys(&provider.name);
        let full = self.roster.full_until(&provider.name, target, now);
        place.lanes().map(move |Spot { lane, key }| {
            let known = self.roster.known(keys, &key.name, &target.model);
            Sight { lane, key, known, gate: known.gate(now).full(full.max(known.full_until(key, now))) }
        })
    }

    /// The lane that may be asked again first, now or later.
    fn again(&mut self, query: &Query<'_>, dice: &mut Dice) -> Choice {
        let mut first: Option<Return> = None;
        for place in query.places() {
            for sight in self.lanes(place, query.now) {
                let Some(at) = returns(query, sight, dice) else { continue };
                if first.is_none_or(|first| at < first.at) {
                    first = Some(Return { lane: sight.lane, at });
                }
            }
        }
        match first {
            Some(Return { lane, at }) if at <= query.now => self.find_and_send(query, lane),
            Some(Return { lane, at }) if at < query.deadline && at.since(query.now) <= LONGEST_WAIT => {
                Choice::Wait { lane, until: at }
            }
            _ => self.exhausted(query),
        }
    }

    /// Nowhere, and when that will change.
    fn exhausted(&self, query: &Query<'_>) -> Choice {
        let mut reopens: Option<Time> = None;
        let mut limited = true;
        for Sight { gate, .. } in query.places().flat_map(|place| self.lanes(place, query.now)) {
            let until = match gate {
                Gate::Open | Gate::Failing(_) => continue,
                Gate::Limited(until) => until,
                Gate::Refused(until) => {
                    limited = false;
                    until
                }
            };
            reopens = Some(reopens.map_or(until, |first| first.min(until)));
        }
        Choice::Exhausted { reopens, limited: limited && reopens.is_some() }
    }

    /// Counts the request and remembers where its conversation goes.
    fn send(&mut self, query: &Query<'_>, found: Found) -> Choice {
        let Some(entry) = self.roster.entry(found.at) else { return self.exhausted(query) };
        entry.lane.in_flight = entry.lane.in_flight.saturating_add(1);
        entry.lane.used = query.now;
        entry.lane.failing.send(FAILING, query.now);
        entry.key.refused.send(REFUSED, query.now);
        let serial = entry.lane.serial;
        self.meter(query.config, query.route, found.lane, |meter| meter.sent(query.now));
        if let Some(conversation) = query.conversation.filter(|_| query.only_lane().is_none()) {
            let key = affinity::Key::new(conversation, &query.route.name);
            self.affinity.remember(key, serial, query.now);
        }
        Choice::Send(found.lane)
    }
}

impl Fleet {
    /// What the lane's limits are held against, where it has any.
    pub(super) fn meter(&mut self, config: &Config, route: &Route, lane: Lane, add: impl FnMut(&mut Meter)) {
        let found = || {
            let key = config.provider(lane.provider)?.credentials.get(usize::from(lane.credential))?;
            Some((names(config, route, lane)?, target(route, lane.target)?, key))
        };
        if let Some((names, target, key)) = found() {
            self.roster.meters(names, target, key).for_each(add);
        }
    }
}

/// A lane and where what is known of it stands.
#[derive(Clone, Copy, Debug)]
struct Found {
    lane: Lane,
    at: At,
}

/// A lane and when it may be asked again.
#[derive(Clone, Copy, Debug)]
struct Return {
    lane: Lane,
    at: Time,
}

/// When a lane may be asked (again) by this request; never, if its key is refused or it has failed in
/// a way that a repeat does not mend.
fn returns(query: &Query<'_>, sight: Sight<'_>, dice: &mut Dice) -> Option<Time> {
    let Sight { lane, key: _, known, gate } = sight;
    let opens = match gate {
        Gate::Refused(_) => return None,
        Gate::Limited(until) => spread(until, query.deadline, dice),
        Gate::Open | Gate::Failing(_) => query.now,
    };
    if query.tries(lane).any(|attempt| !retry::may_repeat(attempt.class)) {
        return None;
    }
    let Some(last) = query.tries(lane).last() else { return Some(opens) };
    let failures = u32::try_from(query.tries(lane).count()).unwrap_or(u32::MAX);
    let rested = last.at + retry::backoff(failures, dice.bits());
    // A provider that failed and named a time is heard as far as a backoff can go.
    let asked = known.lane.map_or(Time(0), |lane| lane.asked).min(last.at + retry::BACKOFF_CAP);
    Some(opens.max(rested).max(asked))
}

/// A moment soon after `until`, before the deadline if `until` is.
fn spread(until: Time, deadline: Time, dice: &mut Dice) -> Time {
    let later = until + retry::below(SPREAD, dice.bits());
    if later < deadline { later } else { until }
}

#[cfg(test)]
mod bounds {
    use super::*;
    use crate::units::Millis;

    #[test]
    fn those_who_waited_come_back_apart_but_before_their_deadline() {
        let mut dice = Dice::new(7);
        for _ in 0..100 {
            let at = spread(Time(1000), Time(1100), &mut dice);
            assert!((1000..1100).contains(&at.0));
            assert!(spread(Time(1000), Time::NEVER, &mut dice).since(Time(1000)) < Millis(SPREAD));
        }
    }
}
