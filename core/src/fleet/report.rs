//! What is known of the upstreams, to be shown.

use super::Fleet;
use super::roster::{Gate, Known, Names};
use crate::units::{Millis, Time};

/// One upstream as it stands.
#[derive(Clone, Debug, PartialEq)]
pub struct LaneReport {
    /// The provider's name.
    pub provider: String,
    /// The name of its key; never the key.
    pub key: String,
    /// The model as the provider names it.
    pub model: String,
    /// Whether it may be used.
    pub state: LaneState,
    /// Requests on their way.
    pub in_flight: u32,
    /// The share of recent requests that it failed, from 0 to 1; recent are the last sixteen or so,
    /// fewer where they are minutes old.
    pub errors: f64,
    /// Mean time to the first content of recent answers.
    pub first_byte: Option<Millis>,
    /// Mean output tokens per second of recent answers.
    pub speed: Option<f64>,
}

/// Whether an upstream may be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LaneState {
    /// It may.
    Open,
    /// It keeps failing: only if there is no other, until then.
    Failing(Time),
    /// Its provider said 429: not before then.
    Limited(Time),
    /// Its key was refused: not before then.
    Refused(Time),
}

impl Fleet {
    /// Every upstream that was used, by provider, key in the order of use, and model.
    pub fn report(&self, now: Time) -> Vec<LaneReport> {
        self.roster.all().filter_map(|(names, known)| row(names, known, now)).collect()
    }
}

fn row(names: Names<'_>, known: Known<'_>, now: Time) -> Option<LaneReport> {
    let Names { provider, key, model } = names;
    let lane = known.lane?;
    Some(LaneReport {
        provider: provider.to_owned(),
        key: key.to_owned(),
        model: model.to_owned(),
        state: match known.gate(now) {
            Gate::Open => LaneState::Open,
            Gate::Failing(until) => LaneState::Failing(until),
            Gate::Limited(until) => LaneState::Limited(until),
            Gate::Refused(until) => LaneState::Refused(until),
        },
        in_flight: lane.in_flight,
        errors: lane.errors.shrunk(0.0, now),
        first_byte: lane.first_byte.known(now).map(millis),
        speed: lane.speed.known(now),
    })
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a mean of whole positive numbers; the cast saturates"
)]
fn millis(mean: f64) -> Millis {
    Millis(mean.round() as u64)
}
