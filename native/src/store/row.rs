//! How numbers and dimensions of requests stand in the database.

use tollgate_core::api::Dimension;
pub use tollgate_core::row::{Consumed, Row};

/// The column of a dimension, where it is one.
pub(super) const fn column(dimension: Dimension) -> Option<&'static str> {
    match dimension {
        Dimension::Organisation => Some("organisation"),
        Dimension::Team => Some("team"),
        Dimension::User => Some("user"),
        Dimension::Key => Some("key"),
        Dimension::EndUser => Some("end_user"),
        Dimension::Model => Some("model"),
        Dimension::Provider => Some("provider"),
        Dimension::Tag | Dimension::Day => None,
    }
}

/// As SQLite keeps numbers. What does not fit is the largest that does.
pub(super) fn int(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

/// From what SQLite keeps.
pub(super) fn uint(number: i64) -> u64 {
    u64::try_from(number).unwrap_or_default()
}
