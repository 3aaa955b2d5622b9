//! Which models there are, whose they are, and how much they read and write.

/// A model of a vendor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Row {
    /// The vendor's name for it.
    pub name: &'static str,
    /// The vendor whose own API serves it.
    pub vendor: &'static str,
    /// Tokens it reads at most, as the vendor counts; 0 where that is not known.
    pub window: u32,
    /// Tokens it writes at most; 0 where that is not known.
    pub output: u32,
}
/// Every model that is known.
pub const ROWS: &[Row] = &[];

/// vendors
pub fn vendors(name: &str) -> impl Iterator<Item = &'static str> {
    ROWS.iter().filter(move |row| row.name == name).map(|row| row.vendor)
}
