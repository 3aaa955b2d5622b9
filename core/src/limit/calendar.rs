//! Where the periods of budgets begin and end.
//!
//! Minutes and hours are those of the wall clock; an hour that a zone runs through twice is two hours.
//! Days and longer begin with the first moment of their first day, wherever a clock change puts it.
//! Every moment has a span that holds it, up to the end of [`Time`]: zones whose rules do not reach so
//! far are taken to be UTC there.

mod date;
mod named;
mod zone;

#[cfg(test)]
mod tests;

pub use zone::Zone;

use super::Period;
use crate::units::Time;
use date::{Date, SECONDS_A_DAY};

/// A period's beginning and end; the end is outside.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Span {
    /// The first moment.
    pub from: Time,
    /// The first moment after it; `Time::NEVER` for one that does not end.
    pub to: Time,
}

impl Span {
    /// All time.
    pub const EVER: Self = Self { from: Time(0), to: Time::NEVER };

    /// Whether the moment is in it.
    pub fn holds(&self, now: Time) -> bool {
        self.from <= now && (now < self.to || self.to == Time::NEVER)
    }
}

/// The period of the calendar that holds this moment.
pub fn span(period: Period, zone: &Zone, now: Time) -> Span {
    let seconds = i64::try_from(now.unix_secs()).unwrap_or(i64::MAX);
    match period {
        Period::Minute => clock(60, zone, seconds),
        Period::Hour => clock(3600, zone, seconds),
        Period::Day | Period::Week | Period::Month | Period::Year => dates(period, zone, seconds),
        Period::Never => Span::EVER,
    }
}

/// A part of the day by the wall clock. The offset stays that of the moment asked for, so that parts
/// on both sides of a clock change hold their own moments.
fn clock(length: i64, zone: &Zone, seconds: i64) -> Span {
    let offset = zone.offset(seconds);
    let from = seconds - (seconds + offset).rem_euclid(length);
    Span { from: moment(from), to: moment(from + length) }
}

fn dates(period: Period, zone: &Zone, seconds: i64) -> Span {
    let today = (seconds + zone.offset(seconds)).div_euclid(SECONDS_A_DAY);
    let date = Date::of(today);
    let (first, after) = match period {
        Period::Week => {
            // The first day of the epoch was a Thursday.
            let monday = today - (today + 3).rem_euclid(7);
            (monday, monday + 7)
        }
        Period::Month => (date.month_begins(0), date.month_begins(1)),
        Period::Year => (date.year_begins(0), date.year_begins(1)),
        Period::Minute | Period::Hour | Period::Day | Period::Never => (today, today + 1),
    };
    Span { from: moment(zone.midnight(first)), to: moment(zone.midnight(after)) }
}

/// Moments before the epoch are the epoch.
fn moment(seconds: i64) -> Time {
    Time(u64::try_from(seconds).unwrap_or(0).saturating_mul(1000))
}

/// `2027-01-01T00:00:00Z`: a moment as it is written for people and machines, to the second.
pub fn written(time: Time) -> String {
    let seconds = i64::try_from(time.unix_secs()).unwrap_or(i64::MAX);
    let Date { year, month, day } = Date::of(seconds.div_euclid(SECONDS_A_DAY));
    let clock = seconds.rem_euclid(SECONDS_A_DAY);
    let (hour, minute, second) = (clock / 3600, clock / 60 % 60, clock % 60);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}Z")
}
