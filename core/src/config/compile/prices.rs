//! Prices of the config: whose they are, and what they leave to others.

use super::Compiler;
use super::providers::Named;
use crate::config::fault::{Place, closest, show};
use crate::config::file;
use crate::config::prices::{Override, Priced};
use crate::config::read::Spot;
use crate::config::{Pattern, ProviderId};
use crate::price::{self, Origin, PriceRow, Rate, Rates};
use crate::vendor;
use std::sync::Arc;

/// A provider and its models.
struct Whose {
    provider: ProviderId,
    models: Pattern,
}

impl Compiler<'_> {
    pub(super) fn prices(&mut self, raw: Vec<file::Price>, named: &Named) -> Vec<Override> {
        raw.into_iter().filter_map(|price| self.price(price, named)).collect()
    }

    fn price(&mut self, raw: file::Price, named: &Named) -> Option<Override> {
        let file::Price { name, like, rates: Rates(rates), special } = raw;
        let whose = self.whose(&name, named);
        let like = match like {
            Some(like) => self.like(&like, named)?,
            None => PriceRow::flat(Origin::OwnServer, Rates::default()),
        };
        let mut row = like;
        row.origin = Origin::Config(name.value);
        for Rate { class, price } in rates {
            row.set(class, price);
        }
        row.set_special(special);
        let Whose { provider, models } = whose?;
        let terms = named.compiled.get(usize::from(provider.0))?.terms;
        Some(Override { provider, models, price: Arc::new(Priced::new(row, terms)) })
    }

    fn whose(&mut self, name: &Spot<String>, named: &Named) -> Option<Whose> {
        let Some((provider, model)) = name.value.split_once('/').filter(|(_, model)| !model.is_empty())
        else {
            let fix = r#"write [prices."provider/model"]"#;
            self.errors.push(&name.place, "a price stands for a model at a provider", fix);
            return None;
        };
        if !named.declared.contains(provider) {
            self.no_provider(&name.place, provider, model, named);
            return None;
        }
        let models = Pattern::parse(model);
        if models.is_none() {
            self.errors.push(&name.place, "a star stands before the end", "move it to the end");
        }
        Some(Whose { provider: named.id(provider)?, models: models? })
    }

    fn no_provider(&mut self, place: &Place, provider: &str, model: &str, named: &Named) {
        let fix = match closest(provider, named.declared.iter().map(String::as_str)) {
            Some(near) => format!("did you mean `{near}/{model}`?"),
            None => format!("add [providers.{provider}]"),
        };
        self.errors.push(place, format!("there is no provider {}", show(provider)), fix);
    }

    /// The catalogue's row of `vendor/model`, or of a model of a provider that is configured.
    fn like(&mut self, like: &Spot<String>, named: &Named) -> Option<PriceRow> {
        let (seller, model) = like.value.split_once('/').unwrap_or(("", &like.value));
        let provider = named.compiled.iter().find(|provider| provider.name == seller);
        let vendor = provider.map(|provider| provider.vendor).or_else(|| vendor::find(seller));
        let row = match vendor {
            Some(vendor) => price::find(vendor, model),
            None => price::sold_by(seller, model),
        };
        if row.is_none() {
            let message = format!("the price of {} is not known", show(&like.value));
            let vendor = vendor.map(|vendor| vendor.name);
            let fix = match price::close_names(vendor, model).as_slice() {
                [] => "name a \"vendor/model\" of the catalogue, or write the prices".to_owned(),
                near => format!("did you mean {}?", near.join(", ")),
            };
            self.errors.push(&like.place, message, fix);
        }
        row
    }
}
