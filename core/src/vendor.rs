//! Vendors: rows of base URL, authentication and quirks on a known dialect.

use crate::dialect::Dialect;

/// One vendor. Adding one is adding a row to [`VENDORS`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Vendor {
    /// Its name in the config (`kind`) and in `provider/model`.
    pub name: &'static str,
    /// For people.
    pub title: &'static str,
    /// The wire format it speaks.
    pub dialect: Dialect,
    /// Everything before the dialect's own path; empty where only the user knows it.
    pub base_url: &'static str,
    /// How it wants its key.
    pub auth: Auth,
    /// Environment variables that may hold the key, first found wins; these turn it on in zero-config.
    pub env: &'static [&'static str],
    /// Where it departs from its dialect.
    pub quirks: Quirks,
}

/// How a vendor wants its key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Auth {
    /// `Authorization: Bearer …`
    Bearer,
    /// A header of this name (lower case) with the bare key.
    Header(&'static str),
    /// No key: local servers. One is sent as a bearer token if configured.
    Optional,
}

/// Where a vendor departs from its dialect. `Default` is: not at all.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Quirks {}

/// Every known vendor.
pub const VENDORS: &[Vendor] = &[];

/// The row of this name.
pub fn find(name: &str) -> Option<&'static Vendor> {
    VENDORS.iter().find(|vendor| vendor.name == name)
}
