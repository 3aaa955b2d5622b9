//! How one of several targets is picked. Each comes with the key it would use.

use super::Lane;
use super::dice::{Dice, Draw};
use super::roster::{self, Known};
use crate::config::Strategy;
use crate::units::{NanoDollars, Time};

/// How often `Latency` sends a request to a target that is not the fastest, so that one that has
/// become fast is seen.
const EXPLORE: f64 = 0.05;

/// The least that `Adaptive` leaves of a weight, so that one that has recovered is seen.
const FLOOR: f64 = 0.02;

/// `Adaptive` takes differences up to this factor for noise.
const TOLERANCE: f64 = 1.25;

/// Milliseconds that are noise whatever the latency: a local upstream may answer in none.
const NOISE: f64 = 10.0;

/// A target that could be used now.
#[derive(Clone, Copy, Debug)]
pub(super) struct Candidate {
    pub(super) lane: Lane,
    /// The target's.
    pub(super) weight: f64,
    /// Over all keys of the target.
    pub(super) in_flight: u32,
    /// What the target's tokens cost, where known; see [`crate::config::Priced::blend`].
    pub(super) cost: Option<NanoDollars>,
    /// What is known of the lane; the default if nothing is.
    pub(super) seen: Seen,
}

/// What is known of a candidate's lane, as of now.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Seen {
    /// The share of recent requests that failed, 0 if none was sent.
    errors: f64,
    /// How many recent requests that stands for.
    samples: f64,
    /// Milliseconds to the first content, and how many samples that stands for.
    first_byte: Option<Sampled>,
    /// Output tokens per second.
    speed: Option<Sampled>,
}

#[derive(Clone, Copy, Debug)]
struct Sampled {
    mean: f64,
    samples: f64,
}

impl Seen {
    pub(super) fn of(known: Known<'_>, now: Time) -> Self {
        let Some(lane) = known.lane else { return Self::default() };
        let roster::Lane { errors, first_byte, speed, .. } = lane;
        let sampled = |mean: &super::stats::Mean| {
            mean.known(now).map(|value| Sampled { mean: value, samples: mean.weight(now) })
        };
        Self {
            errors: errors.shrunk(0.0, now),
            samples: errors.weight(now),
            first_byte: sampled(first_byte),
            speed: sampled(speed),
        }
    }
}

/// Picks one; nothing only if there is none.
pub(super) fn pick(strategy: Strategy, candidates: &[Candidate], dice: &mut Dice) -> Option<Lane> {
    if let [only] = candidates {
        return Some(only.lane);
    }
    match strategy {
        Strategy::Weighted => weighted(candidates, |candidate| candidate.weight, dice),
        Strategy::Ordered => candidates.first().map(|first| first.lane),
        Strategy::LeastBusy => least_busy(candidates, dice),
        Strategy::Latency => fastest(candidates, dice),
        Strategy::Cost => cheapest(candidates),
        Strategy::Adaptive => {
            let best = Best::of(candidates);
            weighted(candidates, |candidate| candidate.weight * best.factor(&candidate.seen), dice)
        }
    }
}

fn weighted(candidates: &[Candidate], weight: impl Fn(&Candidate) -> f64, dice: &mut Dice) -> Option<Lane> {
    let mut draw = Draw::new();
    for candidate in candidates {
        draw.add(candidate.lane, weight(candidate), dice);
    }
    draw.held()
}

/// The least load for its weight; among equals by weight, so that an idle fleet shares honestly too.
fn least_busy(candidates: &[Candidate], dice: &mut Dice) -> Option<Lane> {
    let load = |candidate: &Candidate| f64::from(candidate.in_flight) / candidate.weight;
    let least = candidates.iter().map(load).fold(f64::INFINITY, f64::min);
    let mut draw = Draw::new();
    for candidate in candidates.iter().filter(|candidate| load(candidate) <= least) {
        draw.add(candidate.lane, candidate.weight, dice);
    }
    draw.held()
}

/// One that nothing is known of and nothing is sent to, else the one that is likely to answer first,
/// else the least busy.
fn fastest(candidates: &[Candidate], dice: &mut Dice) -> Option<Lane> {
    let unknown = |candidate: &&Candidate| candidate.seen.samples < 0.01 && candidate.in_flight == 0;
    if let Some(unknown) = candidates.iter().find(unknown) {
        return Some(unknown.lane);
    }
    let timed = candidates.iter().filter_map(|candidate| {
        let first_byte = candidate.seen.first_byte?.mean;
        Some((first_byte / (1.0 - candidate.seen.errors).max(FLOOR), candidate.lane))
    });
    let fastest = timed.min_by(|(one, _), (other, _)| one.total_cmp(other)).map(|(_, lane)| lane);
    let Some(fastest) = fastest else { return least_busy(candidates, dice) };
    if dice.unit() >= EXPLORE {
        return Some(fastest);
    }
    let mut draw = Draw::new();
    for candidate in candidates.iter().filter(|candidate| candidate.lane != fastest) {
        draw.add(candidate.lane, candidate.weight, dice);
    }
    draw.held()
}

/// The cheapest whose price is known, else the first.
fn cheapest(candidates: &[Candidate]) -> Option<Lane> {
    let lanes = || candidates.iter().map(|candidate| candidate.lane);
    let priced = candidates.iter().filter_map(|candidate| Some((candidate.cost?, candidate.lane)));
    priced.min_by_key(|(cost, _)| *cost).map(|(_, lane)| lane).or_else(|| lanes().next())
}

/// What `Adaptive` measures the candidates against.
#[derive(Clone, Copy, Debug)]
struct Best {
    first_byte: f64,
    speed: f64,
}

impl Best {
    fn of(candidates: &[Candidate]) -> Self {
        // Failing fast is not being fast.
        let healthy = || candidates.iter().filter(|candidate| candidate.seen.errors < 0.5);
        let first_bytes = healthy().filter_map(|candidate| candidate.seen.first_byte);
        let speeds = healthy().filter_map(|candidate| candidate.seen.speed);
        Self {
            first_byte: first_bytes.map(|sampled| sampled.mean).fold(f64::INFINITY, f64::min),
            speed: speeds.map(|sampled| sampled.mean).fold(0.0, f64::max),
        }
    }

    /// What is left of a weight: one for an upstream as good as the best.
    fn factor(&self, seen: &Seen) -> f64 {
        let works = (1.0 - seen.errors).powi(3);
        let slow = seen
            .first_byte
            .map_or(1.0, |own| relative(self.first_byte + NOISE, own.mean + NOISE, own.samples));
        let lame = seen.speed.map_or(1.0, |own| relative(own.mean, self.speed, own.samples));
        (works * slow * slow * lame).max(FLOOR)
    }
}

/// `small / large`, at most one, the tolerance granted, and drawn to one where few samples are left.
fn relative(small: f64, large: f64, samples: f64) -> f64 {
    let ratio = small * TOLERANCE / large.max(f64::MIN_POSITIVE);
    let bounded = if ratio.is_finite() { ratio.min(1.0) } else { 1.0 };
    1.0 - (1.0 - bounded) * samples / (samples + 1.0)
}
