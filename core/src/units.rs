//! Quantities that must never be mixed up: requests, tokens, money, durations, points in time.
//!
//! Each is an integer with its unit as its type, and only like units add. Sums saturate: a
//! counter that has reached the end of its range stays there rather than wrapping to zero.

use serde::{Deserialize, Serialize};
use std::fmt;
use std::ops::{Add, AddAssign, Sub};

macro_rules! quantity {
    ($(#[$doc:meta])* $name:ident, $unit:literal) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(pub u64);

        impl $name {
            /// None of it.
            pub const ZERO: Self = Self(0);

            /// The bare number, for formatting and wire formats.
            pub const fn get(self) -> u64 {
                self.0
            }

            /// What is left of `self` after `other`, zero if `other` is larger.
            pub const fn less(self, other: Self) -> Self {
                Self(self.0.saturating_sub(other.0))
            }

            /// True if there is none of it.
            pub const fn is_zero(self) -> bool {
                self.0 == 0
            }
        }

        impl Add for $name {
            type Output = Self;
            fn add(self, other: Self) -> Self {
                Self(self.0.saturating_add(other.0))
            }
        }

        impl AddAssign for $name {
            fn add_assign(&mut self, other: Self) {
                *self = *self + other;
            }
        }

        impl std::iter::Sum for $name {
            fn sum<I: Iterator<Item = Self>>(amounts: I) -> Self {
                amounts.fold(Self::ZERO, Add::add)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!("{} ", $unit), self.0)
            }
        }
    };
}

quantity! {
    /// A number of requests.
    Requests, "requests"
}
quantity! {
    /// A number of tokens, as the provider that bills them counts them.
    Tokens, "tokens"
}
quantity! {
    /// Money: billionths of a US dollar. 18 billion dollars fit.
    NanoDollars, "nano-dollars"
}
quantity! {
    /// A span of time in milliseconds.
    Millis, "ms"
}

/// What a call may come to consume: an upper bound, known before it is sent. What is reserved is
/// estimated, what is settled is [`Metered`]; neither turns into the other unasked.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Estimated<Q>(pub Q);

/// What a call has consumed, as its provider reported it or as it was counted afterwards.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Metered<Q>(pub Q);

impl Millis {
    /// Whole seconds as milliseconds.
    pub const fn from_secs(seconds: u64) -> Self {
        Self(seconds.saturating_mul(1000))
    }

    /// Seconds, rounded up: what `retry-after` carries, so that a client never returns too early.
    pub const fn ceil_secs(self) -> u64 {
        self.0.div_ceil(1000)
    }
}

/// A point in time: milliseconds since the Unix epoch, never running backwards within one host.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Time(pub u64);

impl Time {
    /// Later than every other point; a deadline that never comes.
    pub const NEVER: Self = Self(u64::MAX);

    /// Whole seconds since the Unix epoch, for wire formats.
    pub const fn unix_secs(self) -> u64 {
        self.0 / 1000
    }

    /// How long from `earlier` to `self`; zero if `earlier` is in fact later.
    pub const fn since(self, earlier: Self) -> Millis {
        Millis(self.0.saturating_sub(earlier.0))
    }
}

impl Add<Millis> for Time {
    type Output = Self;
    fn add(self, span: Millis) -> Self {
        Self(self.0.saturating_add(span.0))
    }
}

impl Sub<Millis> for Time {
    type Output = Self;
    fn sub(self, span: Millis) -> Self {
        Self(self.0.saturating_sub(span.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sums_saturate_instead_of_wrapping() {
        assert_eq!(Tokens(u64::MAX) + Tokens(1), Tokens(u64::MAX));
        assert_eq!(Tokens(3).less(Tokens(5)), Tokens::ZERO);
    }

    #[test]
    fn retry_after_rounds_up_so_that_nobody_returns_early() {
        assert_eq!(Millis(1).ceil_secs(), 1);
        assert_eq!(Millis(1000).ceil_secs(), 1);
        assert_eq!(Millis(1001).ceil_secs(), 2);
    }
}
