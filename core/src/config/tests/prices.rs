//! Facts about prices in the config.

use super::*;
use crate::price::{Charge, Class, Consumed, Origin, PerMillion, Served, Terms};
use crate::units::NanoDollars;
use crate::usage::{Inclusive, Usage};

const PRICES: &str = r#"
    [server]
    unknown_price = "serve"

    [providers.openai]
    discount = 10
    margin = 12.5

    [providers.lab]
    kind = "openai"
    base_url = "http://lab:8000/v1"

    [prices."openai/gpt-4o"]
    input = 2
    output = 8.000000001

    [prices."lab/*"]
    as = "openai/gpt-4o-mini"
    cache_read = 0

    [prices."lab/big-*"]
    input = 1e1
    output = 30
    per_image = 0.04

    [models.cheap]
    strategy = "cost"
    targets = ["openai/gpt-4o", "lab/small", "lab/big-1", "openai/unheard-of"]
"#;

fn rate(config: &Config, provider: u16, model: &str, class: Class) -> Option<u64> {
    let price = config.price(ProviderId(provider), model)?;
    price.row.rate(class, &Served::default()).map(|PerMillion(nanos)| nanos)
}

#[test]
fn a_price_of_the_config_stands_in_for_the_catalogues() {
    let config = loaded(PRICES);
    assert_eq!(rate(&config, 0, "gpt-4o", Class::Input), Some(2_000_000_000));
    assert_eq!(rate(&config, 0, "gpt-4o", Class::Output), Some(8_000_000_001));
    assert_eq!(rate(&config, 0, "gpt-4o", Class::CacheRead), None, "nothing is taken from the catalogue");
    assert_eq!(rate(&config, 0, "gpt-4o-mini", Class::CacheRead), Some(75_000_000), "the catalogue's");
    assert_eq!(config.price(ProviderId(0), "unheard-of"), None);
    let row = &config.price(ProviderId(0), "gpt-4o").unwrap().row;
    assert_eq!(row.origin, Origin::Config("openai/gpt-4o".to_owned()));
    assert_eq!(config.server.unknown_price, UnknownPrice::Serve);
    assert_eq!(loaded("").server.unknown_price, UnknownPrice::RefuseUnderBudget);
}

#[test]
fn as_takes_another_models_prices_and_the_longest_pattern_wins() {
    let config = loaded(PRICES);
    assert_eq!(rate(&config, 1, "small", Class::Input), Some(150_000_000));
    assert_eq!(rate(&config, 1, "small", Class::CacheRead), Some(0), "zero is a price");
    assert_eq!(rate(&config, 1, "big-1", Class::Input), Some(10_000_000_000));
    assert_eq!(rate(&config, 1, "big-1", Class::PictureMade), Some(40_000_000_000_000));
}

#[test]
fn a_model_asked_for_again_has_the_route_it_had() {
    let config = loaded(PRICES);
    let ask = |name: &str| config.route_for(name, &[], None).unwrap();
    assert!(Arc::ptr_eq(&ask("openai/gpt-4o-mini"), &ask("openai/gpt-4o-mini")));
    assert!(!Arc::ptr_eq(&ask("openai/nobody-knows-it"), &ask("openai/nobody-knows-it")));
    assert!(ask("openai/nobody-knows-it").targets[0].price.is_none());
    assert_eq!(ask("gpt-4o-mini").targets, ask("openai/gpt-4o-mini").targets);
}

#[test]
fn discount_and_margin_are_the_providers() {
    let config = loaded(PRICES);
    let price = config.price(ProviderId(0), "gpt-4o").unwrap();
    assert_eq!(price.terms, Terms { charged: 900_000, asked: 1_125_000 });
    let usage = Usage::from(Inclusive { prompt: Tokens(1_000_000), ..Inclusive::default() });
    let charge = Charge::of(&usage, Some(&price.row), &Served::default(), price.terms);
    assert_eq!(charge, Charge::Computed(NanoDollars(2_025_000_000)));
    assert_eq!(config.price(ProviderId(1), "x").unwrap().terms, Terms::default());
}

#[test]
fn targets_carry_their_price_and_one_that_is_not_known_is_noted() {
    let config = loaded(PRICES);
    let blends: Vec<_> = config.routes["cheap"]
        .targets
        .iter()
        .map(|target| target.price.as_ref().and_then(|price| price.blend).map(NanoDollars::get))
        .collect();
    assert_eq!(blends, [Some(14_175_000_002), Some(1_050_000_000), Some(60_000_000_000), None]);
    assert!(config.notes.iter().any(|note| note.contains("the price of `unheard-of` is not known")));
    let told = config.describe();
    assert!(told.contains("  price of lab/big-*: $10 in, $30 out for a million tokens\n"), "{told}");
    let asked = config.route_for("openai/gpt-4o", &[], None).unwrap();
    assert_eq!(asked.targets[0].price, config.routes["cheap"].targets[0].price);
    assert!(Consumed::default().prompt().is_zero());
}
