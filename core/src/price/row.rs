//! The prices of one model at one vendor, and how their spelling is read.

use super::served::Hours;
use super::{Class, Mode, PerMillion, Served, Service};
use crate::catalog;
use crate::units::Tokens;

/// The price of one class.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rate {
    /// What it is the price of.
    pub class: Class,
    /// The price.
    pub price: PerMillion,
}

/// Prices of some classes, each once.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Rates(pub Vec<Rate>);

impl Rates {
    /// The price of a class.
    pub fn get(&self, class: Class) -> Option<PerMillion> {
        self.0.iter().find(|rate| rate.class == class).map(|rate| rate.price)
    }

    /// Puts a price in place of any before it.
    pub fn set(&mut self, class: Class, price: PerMillion) {
        self.0.retain(|rate| rate.class != class);
        self.0.push(Rate { class, price });
    }
}

/// Where a row's prices come from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Origin {
    /// The catalogue that is compiled in.
    Catalogue {
        /// The vendor.
        vendor: &'static str,
        /// The model, as the row names it.
        model: &'static str,
    },
    /// The config, under this name.
    Config(String),
    /// Nowhere: servers on the user's own machines bill nobody.
    OwnServer,
}

/// The prices of one model at one vendor.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PriceRow {
    /// Where they come from.
    pub origin: Origin,
    pub(super) base: Rates,
    /// What replaces them, in this order.
    pub(super) sections: Vec<Section>,
    pub(super) times: Vec<Times>,
}

/// Prices that hold in some cases, in place of the usual ones.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Section {
    /// Absent: for all.
    pub(super) service: Option<Service>,
    /// For prompts of more than this.
    pub(super) above: Option<Tokens>,
    pub(super) hours: Option<Hours>,
    /// For what was asked for in one of these forms, with commas between them; empty: in any.
    pub(super) forms: String,
    pub(crate) rates: Rates,
}

/// What a mode multiplies the price of tokens by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Times {
    pub(super) mode: Mode,
    /// Of a million.
    pub(super) parts: u64,
}

impl PriceRow {
    /// A row of prices that hold in all cases.
    pub fn flat(origin: Origin, rates: Rates) -> Self {
        Self { origin, base: rates, sections: Vec::new(), times: Vec::new() }
    }

    /// Puts a price in place of the usual one, and drops what replaced that in some cases.
    pub(crate) fn set(&mut self, class: Class, price: PerMillion) {
        self.base.set(class, price);
        for section in &mut self.sections {
            section.rates.0.retain(|rate| rate.class != class);
        }
    }

    /// Puts prices in place of those of the same cases, and drops what replaced these for longer prompts.
    pub(crate) fn set_special(&mut self, mut special: Vec<Section>) {
        // Long prompts' last: what is put for short ones would drop them.
        special.sort_by_key(Section::place);
        for Section { service, above, hours, forms, rates } in &special {
            let same = |section: &&mut Section| {
                section.service == *service && section.hours == *hours && section.forms == *forms
            };
            for section in self.sections.iter_mut().filter(same).filter(|section| section.above >= *above) {
                section.rates.0.retain(|rate| rates.get(rate.class).is_none());
            }
        }
        self.sections.extend(special);
        self.sections.sort_by_key(Section::place);
    }

    /// The prices of a row of the catalogue; `None` where they are not known.
    pub(super) fn of(row: &catalog::Row) -> Option<Self> {
        let origin = Origin::Catalogue { vendor: row.vendor, model: row.name };
        (!row.prices.is_empty()).then(|| Self::parse(origin, row.prices)).flatten()
    }

    /// Reads the spelling of `data/prices.tsv`, whose head explains it; `None` for anything else.
    pub(super) fn parse(origin: Origin, text: &str) -> Option<Self> {
        let mut row = Self::flat(origin, Rates::default());
        for word in text.split(' ') {
            match word.split_once('=') {
                None => row.sections.push(Section::parse(word)?),
                Some((name, value)) => match name.strip_prefix("times-") {
                    // Six decimals make parts of a million: as dollars do nano-dollars with nine.
                    Some(mode) => {
                        let parts = PerMillion::parse(value, super::Unit::MillionTokens)?.0 / 1000;
                        row.times.push(Times { mode: Mode::of(mode)?, parts });
                    }
                    None => {
                        let class = Class::of(name)?;
                        let value = value.strip_prefix('~').unwrap_or(value);
                        let price = PerMillion::parse(value, class.kind().unit)?;
                        let rates = row.sections.last_mut().map_or(&mut row.base, |last| &mut last.rates);
                        rates.0.push(Rate { class, price });
                    }
                },
            }
        }
        Some(row)
    }

    /// The price of a class as it was served, or none of its own. Sections replace what stands
    /// before them, so the last one that applies counts.
    pub fn rate(&self, class: Class, served: &Served) -> Option<PerMillion> {
        let special = self.sections.iter().rev().filter(|section| section.applies(served));
        let price = special.map(|section| &section.rates).find_map(|rates| rates.get(class));
        let price = price.or_else(|| self.base.get(class))?;
        let tokens = class.is_input() || class.is_output();
        Some(if tokens && !self.times.is_empty() { price.scaled(self.multiplier(served)) } else { price })
    }

    /// The same of something in a form. Where the row tells forms apart, one that it does not list has no
    /// price; what was asked for in none has the usual one.
    pub(super) fn rate_of_form(&self, class: Class, form: &str, served: &Served) -> Option<PerMillion> {
        let told = |section: &&Section| !section.forms.is_empty() && section.rates.get(class).is_some();
        let mut apart = self.sections.iter().rev().filter(told).peekable();
        if form.is_empty() || apart.peek().is_none() {
            return self.rate(class, served);
        }
        apart.find(|section| section.forms.split(',').any(|known| known == form))?.rates.get(class)
    }

    /// Whether nothing costs anything.
    pub(super) fn is_free(&self) -> bool {
        self.origin == super::Origin::OwnServer
    }

    /// Of a million.
    pub(super) fn multiplier(&self, served: &Served) -> u64 {
        let applies = |times: &&Times| served.region == Some(times.mode) || served.speed == Some(times.mode);
        let million = super::MILLION;
        let product = |all: u64, times: &Times| PerMillion(all).scaled(times.parts).0;
        self.times.iter().filter(applies).fold(million, product)
    }

    /// Every class that has a price in some case.
    pub(super) fn classes(&self) -> impl Iterator<Item = Class> + '_ {
        let all = std::iter::once(&self.base).chain(self.sections.iter().map(|section| &section.rates));
        all.flat_map(|rates| rates.0.iter().map(|rate| rate.class))
    }
}

impl Section {
    /// Reads `>200000`, `batch`, `flex>272000`, `off-peak@12345/…`, `@hd/1024x1792,…`; without prices yet.
    pub(crate) fn parse(word: &str) -> Option<Self> {
        if let Some(forms) = word.strip_prefix('@').filter(|forms| !forms.is_empty()) {
            return Some(Self { forms: forms.to_owned(), ..Self::default() });
        }
        if let Some(hours) = word.strip_prefix("off-peak@") {
            return Some(Self { hours: Some(Hours::parse(hours)?), ..Self::default() });
        }
        let (service, above) = match word.split_once('>') {
            Some((service, above)) => (service, Some(Tokens(above.parse().ok()?))),
            None => (word, None),
        };
        let named = Service::NAMED.iter().find(|(_, name)| *name == service).map(|(service, _)| *service);
        let known = named.is_some() || (service.is_empty() && above.is_some());
        known.then(|| Self { service: named, above, ..Self::default() })
    }

    /// Where it stands among others. The last that applies counts: a service's over everybody's, a long
    /// prompt's over a short one's.
    const fn place(&self) -> (bool, bool, Option<Tokens>) {
        (self.hours.is_some(), self.service.is_some(), self.above)
    }

    fn applies(&self, served: &Served) -> bool {
        let Self { service, above, hours, forms, rates: _ } = self;
        forms.is_empty()
            && service.is_none_or(|service| service == served.service)
            && above.is_none_or(|above| served.prompt > above)
            && hours.as_ref().is_none_or(|hours| hours.hold(served.at))
    }
}
