//! What models cost under a config: its own prices, else the catalogue's.

use super::{Config, Pattern, Provider, ProviderId};
use crate::price::{self, PriceRow, Terms};
use crate::units::NanoDollars;
use std::sync::Arc;

/// A price row and the terms it is charged on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Priced {
    /// The list prices.
    pub row: PriceRow,
    /// The provider's.
    pub terms: Terms,
    /// What three million tokens in and one out cost on these terms: what models are compared by.
    pub blend: Option<NanoDollars>,
}

impl Priced {
    pub(crate) fn new(row: PriceRow, terms: Terms) -> Self {
        let blend = row.blend(terms);
        Self { row, terms, blend }
    }
}

/// A price of the config.
#[derive(Clone, Debug, PartialEq)]
pub struct Override {
    /// The provider it holds at.
    pub provider: ProviderId,
    /// The models.
    pub models: Pattern,
    /// What they cost.
    pub price: Arc<Priced>,
}

/// What is done about a model whose price is not known.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum UnknownPrice {
    /// It is refused to those who have a budget, and served to all others with an unknown cost.
    #[default]
    RefuseUnderBudget,
    /// It is served to all with an unknown cost.
    Serve,
}

impl Config {
    /// What a model costs at a provider: by the config (its name, else the longest pattern that
    /// fits), else by the catalogue. `None` where that is not known. Reads a row of the catalogue
    /// each time, so it belongs where a route is made, not where a request is settled.
    pub fn price(&self, id: ProviderId, model: &str) -> Option<Arc<Priced>> {
        of(&self.prices, id, self.provider(id)?, model)
    }
}

pub(super) fn of(own: &[Override], id: ProviderId, provider: &Provider, model: &str) -> Option<Arc<Priced>> {
    let fits = own.iter().filter(|price| price.provider == id && price.models.matches(model));
    let closest = fits.max_by_key(|price| match &price.models {
        Pattern::Exact(_) => usize::MAX,
        Pattern::Prefix(prefix) => prefix.len(),
    });
    match closest {
        Some(price) => Some(Arc::clone(&price.price)),
        None => Some(Arc::new(Priced::new(price::find(provider.vendor, model)?, provider.terms))),
    }
}
