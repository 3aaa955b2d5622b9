//! Facts about prices and bills.

use super::*;
use crate::catalog;
use crate::units::{Millis, Requests, Time, Tokens};
use crate::usage::{Exclusive, Inclusive, Usage, UsageParts};
use crate::vendor;
use serde_json::json;

fn row(vendor: &str, model: &str) -> PriceRow {
    sold_by(vendor, model).unwrap_or_else(|| panic!("no price for {vendor}/{model}"))
}

fn custom(text: &str) -> PriceRow {
    PriceRow::parse(Origin::Config("x".to_owned()), text).unwrap_or_else(|| panic!("{text}"))
}

/// The bill of a usage at list prices, in dollars.
fn bill(row: &PriceRow, usage: &Usage) -> String {
    let served = Served::of(usage, Time(0));
    let cost = row.bill(&Consumed::from(usage), &served, Terms::default()).unwrap();
    assert_eq!(row.total(&Consumed::from(usage), &served, Terms::default()), Ok(cost.total));
    dollars(cost.total)
}

fn exclusive(input: u64, cache_read: u64, cache_write_5m: u64, cache_write_1h: u64, output: u64) -> Usage {
    Usage::from(Exclusive {
        input: Tokens(input),
        cache_read: Tokens(cache_read),
        cache_write_5m: Tokens(cache_write_5m),
        cache_write_1h: Tokens(cache_write_1h),
        output: Tokens(output),
    })
}

fn inclusive(prompt: u64, cached: u64, completion: u64) -> Usage {
    Usage::from(Inclusive {
        prompt: Tokens(prompt),
        cached: Tokens(cached),
        cache_write: Tokens::ZERO,
        completion: Tokens(completion),
    })
}

fn with(usage: Usage, parts: UsageParts) -> Usage {
    Usage { parts, ..usage }
}

fn said(mut usage: Usage, field: &str, word: &str) -> Usage {
    usage.extras.insert(field.to_owned(), json!(word));
    usage
}

#[test]
fn every_row_of_the_catalogue_is_read_and_exact() {
    let mut priced = 0;
    for entry in catalog::rows().filter(|entry| !entry.prices.is_empty()) {
        let row = PriceRow::of(&entry).unwrap_or_else(|| panic!("{}: {}", entry.name, entry.prices));
        assert!(!row.base.0.is_empty(), "{}: {}", entry.name, entry.prices);
        assert!(row.sections.iter().all(|section| !section.rates.0.is_empty()), "{}", entry.name);
        priced += 1;
    }
    assert!(priced > 2_000, "{priced}");
}

#[test]
fn only_what_costs_nothing_has_a_price_of_zero() {
    let free = |row: &PriceRow| row.base.0.iter().all(|rate| rate.price == PerMillion(0));
    let names: Vec<_> = catalog::rows()
        .filter(|entry| PriceRow::of(entry).is_some_and(|row| free(&row)))
        .map(|entry| entry.name)
        .collect();
    assert!(
        names.iter().all(|name| ["gemma-", "glm-4", "omni-"].iter().any(|free| name.starts_with(free))),
        "{names:?}"
    );
}

#[test]
fn a_long_prompt_never_costs_less_and_a_discounted_service_never_more() {
    for entry in catalog::rows() {
        let Some(row) = PriceRow::of(&entry) else { continue };
        let at = |service, prompt| Served { service, prompt: Tokens(prompt), ..Served::default() };
        for class in [Class::Input, Class::Output, Class::CacheRead] {
            let usual = row.rate(class, &at(Service::Standard, 0));
            let long = row.rate(class, &at(Service::Standard, 900_000));
            assert!(long >= usual, "{} {class:?}", entry.name);
            for service in [Service::Batch, Service::Flex] {
                let less = row.rate(class, &at(service, 900_000));
                assert!(less <= long, "{}/{} {class:?} {service:?}", entry.vendor, entry.name);
            }
        }
    }
}

/// Read by hand: what the pages say of the models most calls go to.
#[test]
fn the_main_models_cost_what_their_pages_say() {
    let told = [
        ("openai/gpt-4o", "2.5 1.25 10"),
        ("openai/gpt-4o-2024-05-13", "5 5 15"),
        ("openai/gpt-4o-mini", "0.15 0.075 0.6"),
        ("openai/gpt-4.1", "2 0.5 8"),
        ("openai/gpt-4.1-mini", "0.4 0.1 1.6"),
        ("openai/gpt-4.1-nano", "0.1 0.025 0.4"),
        ("openai/gpt-5", "1.25 0.125 10"),
        ("openai/gpt-5-mini", "0.25 0.025 2"),
        ("openai/gpt-5-nano", "0.05 0.005 0.4"),
        ("openai/gpt-5-pro", "15 15 120"),
        ("openai/gpt-5.1", "1.25 0.125 10"),
        ("openai/gpt-5.2", "1.75 0.175 14"),
        ("openai/o1", "15 7.5 60"),
        ("openai/o3", "2 0.5 8"),
        ("openai/o3-mini", "1.1 0.55 4.4"),
        ("openai/o4-mini", "1.1 0.275 4.4"),
        ("azure/gpt-4o", "2.5 1.25 10"),
        ("anthropic/claude-3-5-haiku-20241022", "0.8 0.08 4"),
        ("anthropic/claude-3-5-sonnet-latest", "3 0.3 15"),
        ("anthropic/claude-3-7-sonnet-20250219", "3 0.3 15"),
        ("anthropic/claude-3-opus-20240229", "15 1.5 75"),
        ("anthropic/claude-sonnet-4-20250514", "3 0.3 15"),
        ("anthropic/claude-opus-4-1-20250805", "15 1.5 75"),
        ("anthropic/claude-sonnet-4-5", "3 0.3 15"),
        ("anthropic/claude-haiku-4-5", "1 0.1 5"),
        ("anthropic/claude-opus-4-5", "5 0.5 25"),
        ("gemini/gemini-1.5-pro-002", "1.25 0.3125 5"),
        ("gemini/gemini-1.5-flash", "0.075 0.01875 0.3"),
        ("gemini/gemini-2.0-flash-001", "0.1 0.025 0.4"),
        ("gemini/gemini-2.5-pro", "1.25 0.125 10"),
        ("gemini/gemini-2.5-flash", "0.3 0.03 2.5"),
        ("gemini/gemini-2.5-flash-lite", "0.1 0.01 0.4"),
        ("gemini/gemini-3.1-pro-preview", "2 0.2 12"),
        ("gemini/gemini-3-flash-preview", "0.5 0.05 3"),
        ("deepseek/deepseek-chat", "0.28 0.028 0.42"),
        ("deepseek/deepseek-reasoner", "0.28 0.028 0.42"),
        ("xai/grok-4", "3 0.75 15"),
        ("xai/grok-3-mini-latest", "0.3 0.075 0.5"),
        ("mistral/mistral-large-latest", "0.5 0.05 1.5"),
        ("groq/llama-3.3-70b-versatile", "0.59 0.59 0.79"),
        ("groq/openai/gpt-oss-120b", "0.15 0.075 0.6"),
        ("bedrock/anthropic.claude-3-7-sonnet-20250219-v1:0", "3 0.3 15"),
    ];
    let mut wrong = Vec::new();
    for (name, prices) in told {
        let (vendor, model) = name.split_once('/').unwrap();
        let Some(row) = sold_by(vendor, model) else {
            wrong.push(format!("{name}: no row"));
            continue;
        };
        let rate = |class| row.rate(class, &Served::default());
        let read = rate(Class::CacheRead).or_else(|| rate(Class::Input));
        let found = [rate(Class::Input), read, rate(Class::Output)]
            .map(|price| price.map_or("none".to_owned(), |price| price.dollars(Unit::MillionTokens)));
        if found.join(" ") != prices {
            wrong.push(format!("{name}: {} and not {prices}", found.join(" ")));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn c1_input_written_to_a_cache_is_charged_once() {
    let usage = exclusive(3, 0, 12_304, 0, 550);
    assert_eq!(bill(&row("anthropic", "claude-3-7-sonnet-20250219"), &usage), "$0.054399");
}

#[test]
fn c2_input_read_from_a_cache_is_charged_at_the_read_price() {
    // Of 2,000 tokens read, 50 fresh and 10 made, at a tenth: not what 2,050 fresh ones cost.
    let usage = inclusive(2_050, 2_000, 10);
    assert_eq!(bill(&row("anthropic", "claude-haiku-4-5"), &usage), "$0.0003");
    assert_eq!(bill(&row("openai", "gpt-4o"), &usage), "$0.002725");
}

#[test]
fn c3_an_hours_cache_writes_cost_more_than_five_minutes() {
    let sonnet = row("anthropic", "claude-sonnet-4-5");
    assert_eq!(bill(&sonnet, &exclusive(0, 0, 1_000_000, 0, 0)), "$3.75");
    assert_eq!(bill(&sonnet, &exclusive(0, 0, 0, 1_000_000, 0)), "$6");
}

#[test]
fn c4_all_cache_writes_of_the_last_usage_are_charged() {
    // 5 minutes and an hour together, as the end of a stream with server tools reports them.
    let usage = exclusive(10, 0, 4_000, 6_000, 0);
    assert_eq!(bill(&row("anthropic", "claude-sonnet-4-5"), &usage), "$0.05103");
}

#[test]
fn c5_a_price_of_ones_own_with_a_read_price_counts_no_token_twice() {
    let own = custom("input=10 cache_read=1 output=20");
    assert_eq!(bill(&own, &inclusive(1_000_000, 900_000, 0)), "$1.9");
    let plain = custom("input=10 output=20");
    assert_eq!(bill(&plain, &inclusive(1_000_000, 900_000, 0)), "$10", "no read price: as input");
}

#[test]
fn c6_reasoning_is_part_of_the_output_and_never_added_to_it() {
    let thought = UsageParts { reasoning: Some(Tokens(900_000)), ..UsageParts::default() };
    let usage = with(inclusive(0, 0, 1_000_000), thought);
    for (vendor, model, cost) in [("openai", "o3", "$8"), ("gemini", "gemini-2.5-flash", "$2.5")] {
        let row = row(vendor, model);
        assert_eq!(bill(&row, &usage), cost);
        let bill = row.bill(&Consumed::from(&usage), &Served::default(), Terms::default()).unwrap();
        assert_eq!(bill.lines.len(), 1, "one price, one line");
    }
    let apart = custom("input=1 output=1 reasoning=4");
    assert_eq!(bill(&apart, &usage), "$3.7");
    let absurd = UsageParts { reasoning: Some(Tokens(5)), ..UsageParts::default() };
    assert_eq!(bill(&apart, &with(inclusive(0, 0, 2), absurd)), "$0.000008");
}

#[test]
fn c9_a_reported_zero_stays_zero() {
    let usage = inclusive(0, 0, 0);
    assert_eq!(bill(&row("openai", "gpt-4o"), &usage), "$0");
    let reported = Usage { reported_cost: Some(NanoDollars::ZERO), ..inclusive(1_000, 0, 10) };
    let charge = Charge::of(&reported, None, &Served::default(), Terms::default());
    assert_eq!(charge, Charge::Reported(NanoDollars::ZERO));
}

#[test]
fn c11_without_a_price_the_cost_is_unknown_and_not_zero() {
    assert_eq!(sold_by("openai", "gpt-99"), None);
    assert_eq!(sold_by("together", "gpt-4o"), None, "another vendor's price is not its own");
    let usage = inclusive(10, 0, 10);
    let served = Served::default();
    assert_eq!(Charge::of(&usage, None, &served, Terms::default()), Charge::Unknown);
    let input_only = custom("input=1");
    assert_eq!(Charge::of(&usage, Some(&input_only), &served, Terms::default()), Charge::Unknown);
    let refused = input_only.bill(&Consumed::from(&usage), &served, Terms::default());
    assert_eq!(refused, Err(Unpriced(Class::Output)));
    for wrong in
        ["input", "input=", "input=x", "inptu=1", ">x input=1", "slow input=1", "input=-1", "", "input=1 "]
    {
        assert_eq!(PriceRow::parse(Origin::OwnServer, wrong), None, "{wrong}");
    }
}

#[test]
fn c15_services_tiers_hours_and_regions_have_their_prices() {
    let million = inclusive(100_000, 0, 100_000);
    let sent = |word: &str| said(million.clone(), "service_tier", word);
    let gpt = row("openai", "gpt-5.4");
    assert_eq!(bill(&gpt, &million), "$1.75");
    assert_eq!(bill(&gpt, &sent("default")), "$1.75");
    assert_eq!(bill(&gpt, &sent("flex")), "$0.875");
    assert_eq!(bill(&gpt, &sent("batch")), "$0.875");
    assert_eq!(bill(&gpt, &sent("priority")), "$3.5");
    let long = inclusive(300_000, 0, 100_000);
    assert_eq!(bill(&gpt, &long), "$3.75");
    assert_eq!(bill(&gpt, &inclusive(272_000, 0, 0)), "$0.68", "the limit itself is short");
    assert_eq!(bill(&gpt, &inclusive(272_001, 272_001, 0)), "$0.1360005", "cached tokens count");
    let gemini = row("gemini", "gemini-2.5-pro");
    assert_eq!(bill(&gemini, &inclusive(200_001, 0, 0)), "$0.5000025");
    let claude = row("anthropic", "claude-opus-4-6");
    assert_eq!(bill(&claude, &said(million.clone(), "inference_geo", "us")), "$3.3");
    assert_eq!(bill(&claude, &said(million.clone(), "inference_geo", "global")), "$3");
    let deepseek = row("deepseek", "deepseek-v4-pro");
    let at = |millis| {
        let served = Served { at: Time(millis), ..Served::of(&million, Time(0)) };
        dollars(deepseek.bill(&Consumed::from(&million), &served, Terms::default()).unwrap().total)
    };
    // 2026-10-21 was a Wednesday.
    let wednesday = 1_792_540_800_000;
    let hour = Millis::from_secs(3600).get();
    assert_eq!(at(wednesday), "$0.264", "off-peak at midnight");
    assert_eq!(at(wednesday + hour), "$0.528");
    assert_eq!(at(wednesday + 9 * hour), "$0.528");
    assert_eq!(at(wednesday + 10 * hour), "$0.264");
    assert_eq!(at(wednesday + 3 * 24 * hour + hour), "$0.264", "on Saturday");
}

#[test]
fn c15_the_service_is_the_one_that_served_in_each_providers_words() {
    let of = |usage: Usage| Served::of(&usage, Time(0)).service;
    let usage = inclusive(1, 0, 1);
    assert_eq!(of(Usage { service_tier: Some("flex".into()), ..usage.clone() }), Service::Flex);
    assert_eq!(of(said(usage.clone(), "serviceTier", "priority")), Service::Priority);
    assert_eq!(of(said(usage.clone(), "trafficType", "ON_DEMAND_FLEX")), Service::Flex);
    assert_eq!(of(said(usage.clone(), "service_tier", "scale")), Service::Standard);
    assert_eq!(of(usage), Service::Standard);
}

#[test]
fn sound_and_pictures_have_their_own_prices_and_are_not_counted_twice() {
    let parts = UsageParts {
        audio_input: Some(Tokens(600)),
        audio_output: Some(Tokens(50)),
        ..UsageParts::default()
    };
    let usage = with(inclusive(1_000, 0, 100), parts);
    // 400 at 2.5, 600 at 32, 50 at 10, 50 at 64.
    assert_eq!(bill(&row("openai", "gpt-audio"), &usage), "$0.0239");
    let drawn = UsageParts { image_output: Some(Tokens(1_290)), ..UsageParts::default() };
    assert_eq!(
        bill(&row("gemini", "gemini-2.5-flash-image"), &with(inclusive(10, 0, 1_290), drawn)),
        "$0.038703"
    );
}

#[test]
fn searches_are_charged_each_and_without_a_price_they_are_unknown() {
    let parts = UsageParts { web_searches: Some(Requests(3)), ..UsageParts::default() };
    let usage = with(exclusive(1_000, 0, 0, 0, 100), parts);
    assert_eq!(bill(&row("anthropic", "claude-sonnet-4-5"), &usage), "$0.0345");
    let refused =
        custom("input=1 output=1").bill(&Consumed::from(&usage), &Served::default(), Terms::default());
    assert_eq!(refused, Err(Unpriced(Class::Search)));
}

#[test]
fn a_bill_is_rounded_up_once_at_its_end() {
    // Each line is a third of a nano-dollar; three of them are one and not three.
    let row = custom("input=0.000333333 cache_read=0.000333333 output=0.000333333");
    assert_eq!(bill(&row, &inclusive(2, 1, 1)), "$0.000000001");
    assert_eq!(bill(&row, &inclusive(0, 0, 0)), "$0");
    let huge = Exact(u128::MAX).rounded_up();
    assert_eq!(huge, NanoDollars(u64::MAX), "saturates");
}

#[test]
fn discount_and_margin_apply_to_the_sum_and_margin_alone_to_what_is_reported() {
    let terms = Terms { charged: 900_000, asked: 1_200_000 };
    let usage = inclusive(1_000_000, 0, 0);
    let row = custom("input=10 output=10");
    let charge = Charge::of(&usage, Some(&row), &Served::default(), terms);
    assert_eq!(charge, Charge::Computed(NanoDollars(10_800_000_000)));
    let reported = Usage { reported_cost: Some(NanoDollars(1_000)), ..usage };
    assert_eq!(
        Charge::of(&reported, Some(&row), &Served::default(), terms),
        Charge::Reported(NanoDollars(1_200))
    );
}

#[test]
fn a_bound_is_never_below_the_bill() {
    let parts = UsageParts {
        reasoning: Some(Tokens(1_000)),
        audio_input: Some(Tokens(100)),
        ..UsageParts::default()
    };
    for entry in catalog::rows() {
        let Some(row) = PriceRow::of(&entry) else { continue };
        for prompt in [1_000, 150_000, 300_000] {
            for service in ["default", "flex", "priority"] {
                let usage = Usage { cache_write_1h: Tokens(500), ..inclusive(prompt, 400, 2_000) };
                let usage = said(with(usage, parts.clone()), "service_tier", service);
                let served = Served { region: Some(Mode::Us), ..Served::of(&usage, Time(0)) };
                let Ok(bill) = row.total(&Consumed::from(&usage), &served, Terms::default()) else {
                    continue;
                };
                let dearest = row.dearest(usage.prompt(), Service::of(service));
                let bound = dearest.with_output(usage.output, Terms::default()).unwrap();
                assert!(
                    bound >= bill,
                    "{}/{} {service} {prompt}: {bound} < {bill}",
                    entry.vendor,
                    entry.name
                );
            }
        }
    }
}

#[test]
fn servers_of_ones_own_bill_nothing_and_kin_share_prices() {
    let local = find(vendor::find("ollama").unwrap(), "whatever").unwrap();
    let usage = inclusive(10, 0, 10);
    assert_eq!(
        Charge::of(&usage, Some(&local), &Served::default(), Terms::default()).amount(),
        Some(NanoDollars::ZERO)
    );
    assert_eq!(sold_by("gemini-openai", "gemini-2.5-pro"), sold_by("gemini", "gemini-2.5-pro"));
    assert_eq!(sold_by("azure-deployments", "gpt-4o"), sold_by("azure", "gpt-4o"));
    assert!(sold_by("openai", "ft:gpt-4o-2024-08-06:acme::id").is_some());
}

#[test]
fn classes_stand_in_order_and_cost_as_earlier_ones() {
    for (index, kind) in CLASSES.iter().enumerate() {
        assert_eq!(kind.class as usize, index);
        assert_eq!(Class::of(kind.word), Some(kind.class));
        assert!(kind.costs_as.is_none_or(|other| (other as usize) < index), "{}", kind.word);
    }
}

#[test]
fn prices_are_read_and_shown_exactly() {
    let read = |text| PerMillion::parse(text, Unit::MillionTokens);
    assert_eq!(read("2.5"), Some(PerMillion(2_500_000_000)));
    assert_eq!(read("0.000000001"), Some(PerMillion(1)));
    for wrong in ["", ".5", "1e3", "-1", "+1", "0.0000000001", "99999999999999", "1.2.3", "1 "] {
        assert_eq!(read(wrong), None, "{wrong}");
    }
    for text in ["0", "2.5", "0.000000001", "18000"] {
        assert_eq!(read(text).unwrap().dollars(Unit::MillionTokens), text);
    }
    assert_eq!(Exact(1).to_string(), "$0.000000000000001");
}
