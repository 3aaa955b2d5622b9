//! What an attempt's outcome teaches.

use super::plan::names;
use super::roster::{self, Entry, FAILING, REFUSED};
use super::{Fleet, Lane, Notice, Outcome};
use crate::config::{Config, Route};
use crate::fault::UpstreamClass;
use crate::retry::{self, Verdict};
use crate::units::{Metered, Millis, Time, Tokens};

/// This many failures in a row close a lane.
const IN_A_ROW: u32 = 5;

/// So does this share of failures among recent requests, of which there must be as many.
const SHARE: f64 = 0.5;
const SHARE_OF: f64 = 10.0;

/// A provider that fails may ask for this much at most; more would be a limit, which is told by 429.
const ASKED_MAX: Millis = Millis::from_secs(60);

/// Speeds are measured on answers at least this long.
const SPEED_TOKENS: Tokens = Tokens(16);
const SPEED_SPAN: Millis = Millis(100);

impl Fleet {
    /// Learns how an attempt went, exactly once for each `Send`.
    pub fn observe(&mut self, config: &Config, route: &Route, lane: Lane, outcome: Outcome, now: Time) {
        let at = names(config, route, lane).and_then(|names| self.roster.find_or_make(names));
        let Some(entry) = at.and_then(|at| self.roster.entry(at)) else { return };
        entry.lane.in_flight = entry.lane.in_flight.saturating_sub(1);
        match outcome {
            Outcome::Answered { first_byte, total, output } => {
                answered(entry, Answer { first_byte, total, output }, now);
            }
            Outcome::Failed { class, retry_after } => failed(entry, class, retry_after, now),
            Outcome::Unknown => {}
        }
    }
}

impl Fleet {
    /// Learns something of a lane besides how an attempt went.
    pub fn notice(&mut self, config: &Config, route: &Route, lane: Lane, notice: Notice, now: Time) {
        match notice {
            Notice::Spent(Metered(tokens)) => {
                self.meter(config, route, lane, |meter| meter.spent(tokens, now));
            }
            Notice::UsedUp { resets_in } => {
                let at = names(config, route, lane).and_then(|names| self.roster.find(names));
                if let Some(entry) = at.and_then(|at| self.roster.entry(at)) {
                    entry.lane.limited.rest(resets_in, now);
                }
            }
        }
    }
}

struct Answer {
    first_byte: Millis,
    total: Millis,
    output: Option<Tokens>,
}

#[expect(clippy::cast_precision_loss, reason = "spans of time and tokens are far below 2⁵³")]
fn answered(entry: Entry<'_>, answer: Answer, now: Time) {
    let Entry { key, lane } = entry;
    let Answer { first_byte, total, output } = answer;
    key.refused.succeed();
    lane.failing.succeed();
    lane.limited.succeed(now);
    lane.failures_in_a_row = 0;
    lane.errors.add(0.0, now);
    lane.first_byte.add(first_byte.get() as f64, now);
    let span = total.less(first_byte);
    if let Some(output) = output.filter(|output| *output >= SPEED_TOKENS && span >= SPEED_SPAN) {
        lane.speed.add(output.get() as f64 * 1000.0 / span.get() as f64, now);
    }
}

fn failed(entry: Entry<'_>, class: UpstreamClass, retry_after: Option<Millis>, now: Time) {
    let Entry { key, lane } = entry;
    match retry::verdict(class) {
        // The request was bad, not the upstream.
        Verdict::PassOn => {}
        Verdict::NextKey if class == UpstreamClass::RateLimited => {
            // Whoever is counted has been recognised.
            key.refused.succeed();
            lane.limited.limit(retry_after, now);
        }
        Verdict::NextKey => key.refused.shut(REFUSED, now),
        Verdict::Next => broke(lane, retry_after, now),
    }
}

/// A failure of the upstream's own.
fn broke(lane: &mut roster::Lane, retry_after: Option<Millis>, now: Time) {
    lane.failures_in_a_row = lane.failures_in_a_row.saturating_add(1);
    lane.errors.add(1.0, now);
    let often = lane.errors.weight(now) >= SHARE_OF && lane.errors.shrunk(0.0, now) >= SHARE;
    if lane.failures_in_a_row >= IN_A_ROW || often {
        lane.failing.shut(FAILING, now);
    }
    if let Some(asked) = retry_after {
        lane.asked = lane.asked.max(now + asked.min(ASKED_MAX));
        lane.failing.shut_at_least(lane.asked);
    }
}
