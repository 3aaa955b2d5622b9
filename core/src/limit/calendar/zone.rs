//! Time zones: how far a place's clocks are from UTC when.

use super::date::SECONDS_A_DAY;
use super::named::Named;
use std::sync::Arc;

/// A time zone: its name, and how far it is from UTC when. Budgets carry it along and are told apart by
/// it, so it is small and quickly compared.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Zone {
    /// Absent for `UTC`.
    place: Option<Arc<Place>>,
}

#[derive(Debug, PartialEq, Eq)]
struct Place {
    /// As the config spells it: `+02:00`, `Europe/Berlin`.
    name: String,
    rule: Rule,
}

#[derive(Debug, PartialEq, Eq)]
enum Rule {
    /// Seconds east of Greenwich, always.
    Fixed(i64),
    /// As the place's governments have decided.
    Named(Named),
}

impl Zone {
    /// Reads `UTC`, an offset of at most 23:59 hours (`+02:00`, `-05:30`), or, where this is built with
    /// the feature `zones`, a name of the IANA data base (`Europe/Berlin`). `None` for one that is not
    /// known.
    pub fn parse(name: &str) -> Option<Self> {
        if name == "UTC" {
            return Some(Self::default());
        }
        match offset(name) {
            Some(seconds) => Some(Self::of(name, Rule::Fixed(seconds))),
            None => Self::named(name),
        }
    }

    fn named(name: &str) -> Option<Self> {
        let zone = Named::find(name)?;
        match zone.name()?.to_owned().as_str() {
            "UTC" => Some(Self::default()),
            name => Some(Self::of(name, Rule::Named(zone))),
        }
    }

    fn of(name: &str, rule: Rule) -> Self {
        Self { place: Some(Arc::new(Place { name: name.to_owned(), rule })) }
    }

    /// As the config spells it; `UTC` for the default.
    pub fn name(&self) -> &str {
        self.place.as_ref().map_or("UTC", |place| &place.name)
    }

    /// Seconds that the zone's clocks are ahead of UTC at a moment of the epoch.
    pub(super) fn offset(&self, seconds: i64) -> i64 {
        match self.rule() {
            None => 0,
            Some(Rule::Fixed(offset)) => *offset,
            Some(Rule::Named(zone)) => zone.offset(seconds).unwrap_or(0),
        }
    }

    /// The first moment of a day, in seconds of the epoch.
    pub(super) fn midnight(&self, days: i64) -> i64 {
        let utc = days.saturating_mul(SECONDS_A_DAY);
        match self.rule() {
            None => utc,
            Some(Rule::Fixed(offset)) => utc - offset,
            Some(Rule::Named(zone)) => zone.midnight(days).unwrap_or(utc),
        }
    }

    fn rule(&self) -> Option<&Rule> {
        self.place.as_ref().map(|place| &place.rule)
    }
}

/// `+02:00` in seconds.
fn offset(name: &str) -> Option<i64> {
    let (sign, clock) = match name.split_at_checked(1)? {
        ("+", clock) => (1, clock),
        ("-", clock) => (-1, clock),
        _ => return None,
    };
    let (hours, minutes) = clock.split_once(':')?;
    let (hours, minutes) = (two_digits(hours)?, two_digits(minutes)?);
    (hours < 24 && minutes < 60).then_some(sign * (hours * 3600 + minutes * 60))
}

fn two_digits(text: &str) -> Option<i64> {
    let plain = text.len() == 2 && text.bytes().all(|byte| byte.is_ascii_digit());
    if plain { text.parse().ok() } else { None }
}
