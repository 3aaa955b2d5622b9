//! Facts about prices in the config.

use super::*;
use crate::price::{Charge, Class, Consumed, Origin, PerMillion, Served, Service, Terms};
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

/// A price of `gpt-5.4` (whose long prompts begin at 272,000 tokens), at a service and a prompt's length.
fn served(config: &Config, service: Service, prompt: u64, class: Class) -> Option<u64> {
    let price = config.price(ProviderId(0), "gpt-5.4")?;
    let served = Served { service, prompt: Tokens(prompt), ..Served::default() };
    price.row.rate(class, &served).map(|PerMillion(nanos)| nanos / 1_000_000)
}

#[test]
fn services_and_long_prompts_have_prices_of_their_own_in_any_order() {
    let config = loaded(
        r#"
        [providers.openai]
        [prices."openai/gpt-5.4"]
        "batch>200000" = { input = 2.5 }
        batch = { input = 1.25, output = 5 }
        ">400000" = { input = 7 }
        ">200000" = { input = 5 }
        priority.output = 20
        input = 2
        output = 10
        "#,
    );
    let input = |service, prompt| served(&config, service, prompt, Class::Input).unwrap();
    let standard = [1, 200_000, 200_001, 400_001].map(|prompt| input(Service::Standard, prompt));
    assert_eq!(standard, [2000, 2000, 5000, 7000]);
    let batch = [200_000, 200_001, 400_001].map(|prompt| input(Service::Batch, prompt));
    assert_eq!(batch, [1250, 2500, 2500]);
    let output = |service| served(&config, service, 400_001, Class::Output).unwrap();
    let outputs = [Service::Standard, Service::Batch, Service::Priority, Service::Flex].map(output);
    assert_eq!(outputs, [10_000, 5000, 20_000, 10_000]);
    assert_eq!(input(Service::Priority, 200_001), 5000, "what a service leaves out is as for all");
}

#[test]
fn a_case_of_ones_own_stands_in_for_that_of_the_model_named_by_as() {
    let with = |own: &str| {
        loaded(&format!("[providers.openai]\n[prices.\"openai/gpt-5.4\"]\nas = \"openai/gpt-5.4\"\n{own}"))
    };
    let list = with("");
    let at = |config: &Config, service, prompt, class| served(config, service, prompt, class);
    let own = with("batch = { input = 0.5 }");
    assert_eq!(at(&own, Service::Batch, 1, Class::Input), Some(500));
    assert_eq!(at(&own, Service::Batch, 300_000, Class::Input), Some(500), "a case is replaced as a whole");
    for (service, prompt, class) in [
        (Service::Batch, 1, Class::Output),
        (Service::Batch, 300_000, Class::Output),
        (Service::Flex, 1, Class::Input),
        (Service::Standard, 300_000, Class::Input),
    ] {
        assert_eq!(at(&own, service, prompt, class), at(&list, service, prompt, class));
    }
    assert_ne!(at(&list, Service::Batch, 1, Class::Output), at(&list, Service::Standard, 1, Class::Output));
}

#[test]
fn hours_have_prices_of_their_own() {
    let config = loaded(
        "[providers.openai]\n[prices.\"openai/x\"]\ninput = 2\n\"off-peak@67/00:00-24:00\" = { input = 1 }",
    );
    let row = &config.price(ProviderId(0), "x").unwrap().row;
    let day = |day: u64| Served { at: Time(day * 86_400_000), ..Served::default() };
    // The epoch's first day was a Thursday.
    let week: Vec<_> = (0..4).map(|at| row.rate(Class::Input, &day(at)).unwrap().0 / 1_000_000_000).collect();
    assert_eq!(week, [2, 2, 1, 1]);
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
