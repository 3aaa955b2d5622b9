//! What a call costs: price rows, and the arithmetic from usage to money.
//!
//! ```text
//! usage ─▶ Consumed ─┐
//! row ───▶ rates at ─┴▶ lines: quantity × price ─▶ sum ─▶ discount, margin ─▶ rounded up, once
//!          Served (service, prompt length, time, mode)
//! ```
//! Prices are whole nano-dollars for a million of something, so every figure of a provider's page is
//! exact, and a product of two 64-bit numbers is kept in 128 bits until the end. What has no price is
//! not free: the cost is unknown, and says of what.
//!
//! What is no part of this: counting (see [`crate::usage`]) and what a budget does about an unknown
//! cost (see [`crate::config::UnknownPrice`]).

mod class;
mod cost;
mod find;
mod row;
mod served;

#[cfg(test)]
mod tests;

pub use class::{CLASSES, Class, Kind, Unit};
pub use cost::{Charge, Consumed, Cost, Dearest, Line, Terms, Unpriced};
pub use find::{close_names, find, sold_by};
pub(crate) use row::Section;
pub use row::{Origin, PriceRow, Rate, Rates};
pub use served::{Mode, Served, Service};

use crate::units::NanoDollars;
use std::fmt;

/// A price: nano-dollars for a million of what it is the price of. Up to 18,000 dollars for one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PerMillion(pub u64);

/// Money before it is rounded: millionths of a nano-dollar.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Exact(pub u128);

/// Of a million.
const MILLION: u64 = 1_000_000;

impl PerMillion {
    /// The price of so many. Saturates.
    pub const fn times(self, quantity: u64) -> Exact {
        Exact((self.0 as u128).saturating_mul(quantity as u128))
    }

    /// The price times `parts` of a million, rounded up.
    pub(crate) fn scaled(self, parts: u64) -> Self {
        let scaled = (u128::from(self.0) * u128::from(parts)).div_ceil(u128::from(MILLION));
        Self(u64::try_from(scaled).unwrap_or(u64::MAX))
    }

    /// Reads dollars, for a million or for one of it, from their plain decimal spelling (`2.5`).
    /// `None` where that is no decimal, too large, or finer than a nano-dollar for a million.
    pub(crate) fn parse(text: &str, unit: Unit) -> Option<Self> {
        let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
        let places = u32::try_from(fraction.len()).ok()?;
        let zeros = unit.decimals().checked_sub(places)?;
        let mut digits: u64 = 0;
        for byte in whole.bytes().chain(fraction.bytes()) {
            let digit = byte.is_ascii_digit().then(|| u64::from(byte - b'0'))?;
            digits = digits.checked_mul(10)?.checked_add(digit)?;
        }
        let fits = !whole.is_empty();
        digits.checked_mul(10_u64.checked_pow(zeros)?).filter(|_| fits).map(Self)
    }

    /// Dollars, for a million or for one of it, exactly: `2.5`.
    pub fn dollars(self, unit: Unit) -> String {
        decimal(u128::from(self.0), unit.decimals())
    }
}

impl Exact {
    /// Whole nano-dollars, a started one counted.
    pub fn rounded_up(self) -> NanoDollars {
        NanoDollars(u64::try_from(self.0.div_ceil(u128::from(MILLION))).unwrap_or(u64::MAX))
    }

    /// Both. Saturates.
    pub(crate) const fn plus(self, other: Self) -> Self {
        Self(self.0.saturating_add(other.0))
    }
}

impl fmt::Display for Exact {
    /// `$0.0054`, exactly.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "${}", decimal(self.0, 15))
    }
}

/// `$2.5`, exactly.
pub fn dollars(amount: NanoDollars) -> String {
    format!("${}", plain(amount))
}

/// `2.5`: dollars as the header carries them, exactly.
pub fn plain(amount: NanoDollars) -> String {
    decimal(u128::from(amount.get()), 9)
}

/// A number divided by ten to the `places`, without trailing zeros.
fn decimal(number: u128, places: u32) -> String {
    let unit = 10_u128.saturating_pow(places);
    let (whole, rest) = (number / unit, number % unit);
    if rest == 0 {
        return whole.to_string();
    }
    let text = format!("{whole}.{rest:0width$}", width = places as usize);
    text.trim_end_matches('0').to_owned()
}
