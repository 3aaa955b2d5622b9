//! From a vendor and a model to its price row.

use super::{Origin, PriceRow, Rates};
use crate::catalog;
use crate::config::closest_few;
use crate::vendor::Vendor;

/// Whose prices hold for a vendor, in this order, where it is not its own alone.
struct Kin {
    vendor: &'static str,
    sellers: &'static [&'static str],
}

const KIN: [Kin; 5] = [
    Kin { vendor: "azure", sellers: &["azure", "openai"] },
    Kin { vendor: "azure-deployments", sellers: &["azure", "openai"] },
    Kin { vendor: "azure-ai", sellers: &["azure-ai", "azure"] },
    Kin { vendor: "gemini-openai", sellers: &["gemini"] },
    Kin { vendor: "vertex", sellers: &["vertex", "gemini", "anthropic"] },
];

/// The row of a model as this vendor sells it: exactly, or the one it is a dated version of. `None`
/// where the price is not known, also for models newer than the catalogue: a name that begins like a
/// known one says nothing about the price.
pub fn find(vendor: &Vendor, model: &str) -> Option<PriceRow> {
    if is_own_server(vendor) {
        return Some(PriceRow::flat(Origin::OwnServer, Rates::default()));
    }
    sold_by(vendor.name, model)
}

/// The same by the vendor's name, which may be one that no provider can be configured for yet.
pub fn sold_by(vendor: &str, model: &str) -> Option<PriceRow> {
    let model = base_of_tuned(model);
    let sellers = KIN.iter().find(|kin| kin.vendor == vendor).map_or(&[] as &[&str], |kin| kin.sellers);
    let own = sellers.is_empty().then_some(vendor);
    let mut all = own.into_iter().chain(sellers.iter().copied());
    all.find_map(|seller| PriceRow::of(&catalog::own(model, seller)?))
}

/// Its address is on the user's own machine unless the config says otherwise: nobody bills for it.
fn is_own_server(vendor: &Vendor) -> bool {
    vendor.base_url.starts_with("http://localhost:")
}

/// `ft:gpt-4o-2024-08-06:org::id` has the price of every tuned `gpt-4o-2024-08-06`.
fn base_of_tuned(model: &str) -> &str {
    let Some(tuned) = model.strip_prefix("ft:") else { return model };
    let end = tuned.find(':').map_or(model.len(), |at| at + "ft:".len());
    model.get(..end).unwrap_or(model)
}

/// Up to three models of the catalogue whose names are close, as `vendor/model`.
pub fn close_names(vendor: Option<&str>, model: &str) -> Vec<String> {
    let meant = |row: &catalog::Row| vendor.is_none_or(|vendor| vendor == row.vendor);
    let names = closest_few(model, catalog::rows().filter(meant).map(|row| row.name));
    let first = |name: &&str| {
        let row = catalog::rows().filter(meant).find(|row| row.name == *name)?;
        Some(format!("{}/{}", row.vendor, row.name))
    };
    names.iter().filter_map(first).collect()
}
