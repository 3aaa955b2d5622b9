//! `tollgate price`: what a call would cost, line by line, and where the prices come from.

use crate::clock::Clock;
use crate::settings::{Problems, Source};
use clap::Args;
use std::fmt::{self, Write};
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use tollgate_core::catalog;
use tollgate_core::config::{Config, Priced, ProviderId};
use tollgate_core::price::{
    self, CLASSES, Class, Consumed, Cost, Exact, Kind, Line, Mode, Origin, Served, Service, Terms, Unit,
};
use tollgate_core::units::{Time, Tokens};
use tollgate_core::usage::{Usage, UsageParts};

const MILLION: u64 = 1_000_000;

/// What is asked on the command line. Without a quantity it is the price list.
#[derive(Args, Clone, Debug, Default)]
pub struct Price {
    /// `provider/model`, a model's name, or a route of the config.
    model: String,
    /// Tokens of the whole prompt, with those below that are part of it.
    #[arg(long = "in", value_name = "N", default_value_t = 0)]
    input: u64,
    /// Tokens of the whole answer, with those below that are part of it.
    #[arg(long = "out", value_name = "N", default_value_t = 0)]
    output: u64,
    /// Of the prompt, read from a cache.
    #[arg(long, value_name = "N", default_value_t = 0)]
    cached: u64,
    /// Of the prompt, written to a cache that lives five minutes.
    #[arg(long, value_name = "N", default_value_t = 0)]
    cache_write: u64,
    /// Of the prompt, written to a cache that lives an hour.
    #[arg(long = "cache-write-1h", value_name = "N", default_value_t = 0)]
    cache_write_1h: u64,
    /// Of the prompt, sound.
    #[arg(long, value_name = "N", default_value_t = 0)]
    audio_in: u64,
    /// Of the prompt, pictures.
    #[arg(long, value_name = "N", default_value_t = 0)]
    image_in: u64,
    /// Of the answer, reasoning.
    #[arg(long, value_name = "N", default_value_t = 0)]
    reasoning: u64,
    /// Of the answer, sound.
    #[arg(long, value_name = "N", default_value_t = 0)]
    audio_out: u64,
    /// Of the answer, pictures.
    #[arg(long, value_name = "N", default_value_t = 0)]
    image_out: u64,
    /// Pictures made, where each has a price.
    #[arg(long, value_name = "N", default_value_t = 0)]
    images: u64,
    /// Seconds of sound sent, where each has a price.
    #[arg(long, value_name = "N", default_value_t = 0)]
    seconds: u64,
    /// Characters of text to be spoken.
    #[arg(long, value_name = "N", default_value_t = 0)]
    characters: u64,
    /// Searches the provider runs, or search units of a reranker.
    #[arg(long, value_name = "N", default_value_t = 0)]
    searches: u64,
    /// Pages to be read.
    #[arg(long, value_name = "N", default_value_t = 0)]
    pages: u64,
    /// The service: flex, priority or ultrafast.
    #[arg(long, value_name = "NAME", value_parser = ["default", "flex", "priority", "ultrafast"], conflicts_with = "batch")]
    tier: Option<String>,
    /// As part of a batch.
    #[arg(long)]
    batch: bool,
    /// Kept in a region.
    #[arg(long, value_name = "NAME", value_parser = ["us", "eu"])]
    region: Option<String>,
    /// In Anthropic's fast mode.
    #[arg(long)]
    fast: bool,
    /// The config [default: ./tollgate.toml if it exists, else none]. Its secrets are not needed.
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
}

/// Prints it.
pub fn run(asked: &Price) -> Result<ExitCode, Problems> {
    let config = Source::choose(asked.config.clone()).read_without_secrets()?;
    print!("{}", explain(asked, &config, Clock::start().now())?);
    Ok(ExitCode::SUCCESS)
}

/// A model and what it costs.
struct Found {
    name: String,
    price: Arc<Priced>,
}

/// The whole answer, one part for each model the name leads to.
fn explain(asked: &Price, config: &Config, now: Time) -> Result<String, Problems> {
    let usage = asked.usage()?;
    let mut out = String::new();
    for found in find(&asked.model, config)? {
        if !out.is_empty() {
            out.push('\n');
        }
        // Writing to a string cannot fail.
        let _ = asked.write(&mut out, &found, &usage, now);
    }
    Ok(out)
}

fn find(model: &str, config: &Config) -> Result<Vec<Found>, Problems> {
    let Some(route) = config.routes.get(model) else { return one(model, config).map(|found| vec![found]) };
    let targets = route.targets.iter().chain(&route.fallbacks);
    targets.map(|target| at_provider(config, target.provider, &target.model)).collect()
}

fn one(model: &str, config: &Config) -> Result<Found, Problems> {
    let id = |fits: &dyn Fn(&str, &str) -> bool| {
        let providers = &config.providers;
        let at = providers.iter().position(|provider| fits(&provider.name, provider.vendor.name))?;
        u16::try_from(at).ok().map(ProviderId)
    };
    if let Some((provider, name)) = model.split_once('/') {
        if let Some(id) = id(&|own, _| own == provider) {
            return at_provider(config, id, name);
        }
        if let Some(found) = listed(provider, name) {
            return Ok(found);
        }
    }
    if let Some(id) = catalog::vendors(model).find_map(|seller| id(&|_, vendor| vendor == seller)) {
        return at_provider(config, id, model);
    }
    catalog::vendors(model).find_map(|vendor| listed(vendor, model)).ok_or_else(|| unknown(None, model))
}

fn at_provider(config: &Config, id: ProviderId, model: &str) -> Result<Found, Problems> {
    let provider = config.provider(id);
    let (name, vendor) = provider.map_or(("?", None), |found| (found.name.as_str(), Some(found.vendor.name)));
    let price = config.price(id, model).ok_or_else(|| unknown(vendor, &format!("{name}/{model}")))?;
    Ok(Found { name: format!("{name}/{model}"), price })
}

/// A vendor's list price, whether or not a provider of it is configured.
fn listed(vendor: &str, model: &str) -> Option<Found> {
    let row = price::sold_by(vendor, model)?;
    let price = Arc::new(Priced { row, terms: Terms::default(), blend: None });
    Some(Found { name: format!("{vendor}/{model}"), price })
}

fn unknown(vendor: Option<&str>, name: &str) -> Problems {
    let (provider, model) = name.split_once('/').unwrap_or(("", name));
    let mut near = price::close_names(vendor.or(Some(provider)), model);
    if near.is_empty() {
        near = price::close_names(None, name);
    }
    let meant =
        if near.is_empty() { String::new() } else { format!("did you mean {}? Or ", near.join(", ")) };
    format!(
        "the price of {name} is not known\n  \
         fix: {meant}add [prices.\"provider/model\"] with `input` and `output` to the config"
    )
    .into()
}

/// A part of a whole that has been given: more than the whole is a mistake.
fn rest(whole: u64, of: &str, parts: &[u64]) -> Result<Tokens, Problems> {
    let sum = parts.iter().fold(0_u64, |sum, part| sum.saturating_add(*part));
    let rest = whole.checked_sub(sum).map(Tokens);
    rest.ok_or_else(|| {
        format!(
            "the parts of `{of}` are {sum} tokens, and `{of}` is {whole}\n  fix: give `{of}` as the whole"
        )
        .into()
    })
}

impl Price {
    fn usage(&self) -> Result<Usage, Problems> {
        let written = [self.cached, self.cache_write, self.cache_write_1h];
        let fresh_input = rest(self.input, "--in", &written)?;
        rest(self.input, "--in", &[self.audio_in, self.image_in])?;
        rest(self.output, "--out", &[self.reasoning, self.audio_out, self.image_out])?;
        let parts = UsageParts {
            reasoning: Some(Tokens(self.reasoning)),
            audio_input: Some(Tokens(self.audio_in)),
            audio_output: Some(Tokens(self.audio_out)),
            image_input: Some(Tokens(self.image_in)),
            image_output: Some(Tokens(self.image_out)),
            ..UsageParts::default()
        };
        Ok(Usage {
            fresh_input,
            cache_read: Tokens(self.cached),
            cache_write_5m: Tokens(self.cache_write),
            cache_write_1h: Tokens(self.cache_write_1h),
            output: Tokens(self.output),
            parts,
            ..Usage::default()
        })
    }

    fn consumed(&self, usage: &Usage) -> Consumed {
        let mut consumed = Consumed::from(usage);
        consumed.set(Class::PictureMade, self.images);
        consumed.set(Class::SecondSent, self.seconds);
        consumed.set(Class::Character, self.characters);
        consumed.set(Class::Search, self.searches);
        consumed.set(Class::Page, self.pages);
        consumed
    }

    /// Whether nothing was asked but the list.
    fn is_list(&self) -> bool {
        let Self { images, seconds, characters, searches, pages, input, output, .. } = self;
        [images, seconds, characters, searches, pages, input, output].iter().all(|given| **given == 0)
    }

    fn service(&self) -> &str {
        if self.batch { "batch" } else { self.tier.as_deref().unwrap_or("default") }
    }

    fn served(&self, usage: &Usage, now: Time) -> Served {
        Served {
            service: Service::of(self.service()),
            prompt: usage.prompt(),
            at: now,
            region: self.region.as_deref().and_then(Mode::of),
            speed: self.fast.then_some(Mode::Fast),
        }
    }

    fn write(&self, out: &mut String, found: &Found, usage: &Usage, now: Time) -> fmt::Result {
        let Found { name, price } = found;
        let served = self.served(usage, now);
        writeln!(out, "{name}")?;
        writeln!(out, "prices: {}", origin(&price.row.origin))?;
        if price.row.origin == Origin::OwnServer {
            return writeln!(out, "total $0");
        }
        if served.service != Service::Standard {
            writeln!(out, "service: {}", self.service())?;
        }
        if self.is_list() {
            return list(out, price, &served);
        }
        match price.row.bill(&self.consumed(usage), &served, price.terms) {
            Ok(cost) => bill(out, &cost, price.terms),
            Err(unpriced) => writeln!(out, "the cost is not known: {unpriced}"),
        }
    }
}

fn origin(origin: &Origin) -> String {
    match origin {
        Origin::Catalogue { vendor, model } => {
            let source = catalog::own(model, vendor).and_then(|row| row.source());
            let source =
                source.map_or_else(String::new, |source| format!(", {}, {}", source.date, source.page));
            format!("the catalogue's {vendor}/{model}{source}")
        }
        Origin::Config(name) => format!("[prices.{name:?}] of the config"),
        Origin::OwnServer => "a server of one's own: nobody bills for it".to_owned(),
    }
}

fn list(out: &mut String, price: &Priced, served: &Served) -> fmt::Result {
    for Kind { class, title, unit, .. } in CLASSES {
        let Some(rate) = price.row.rate(class, served) else { continue };
        let dollars = rate.dollars(unit);
        match unit {
            Unit::MillionTokens => writeln!(out, "  {title:<18} ${dollars} for a million tokens")?,
            Unit::One(one) => writeln!(out, "  {title:<18} ${dollars} for one {one}")?,
        }
    }
    terms(out, price.terms)
}

fn bill(out: &mut String, cost: &Cost, agreed: Terms) -> fmt::Result {
    let Cost { lines, list, total } = cost;
    for Line { class, quantity, price, amount } in lines {
        let Kind { title, unit, .. } = class.kind();
        let per = match unit {
            Unit::MillionTokens => " / 1M",
            Unit::One(_) => "",
        };
        let price = format!("${}{per}", price.dollars(*unit));
        writeln!(out, "  {title:<18} {:>14} × {price:<16} {amount}", grouped(*quantity))?;
    }
    if agreed != Terms::default() {
        writeln!(out, "list {list}")?;
        terms(out, agreed)?;
    }
    let exact = price::dollars(*total);
    let rounded = if agreed == Terms::default() && list.to_string() != exact { ", rounded up" } else { "" };
    writeln!(out, "total {exact}{rounded}")
}

/// What is agreed with the provider.
fn terms(out: &mut String, terms: Terms) -> fmt::Result {
    let Terms { charged, asked } = terms;
    if charged < MILLION {
        writeln!(out, "discount {}%", percent(MILLION - charged))?;
    }
    if asked > MILLION {
        writeln!(out, "margin {}%", percent(asked - MILLION))?;
    }
    Ok(())
}

/// Parts of a million in per cent, exactly.
fn percent(parts: u64) -> String {
    // An exact amount has fifteen decimals, per cent of a million have four.
    let exact = Exact(u128::from(parts) * 100_000_000_000).to_string();
    exact.trim_start_matches('$').to_owned()
}

/// `1,234,567`.
fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (at, digit) in digits.char_indices() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        price: Price,
    }

    const CONFIG: &str = r#"
        [providers.openai]
        key = "env:NOT_SET_ANYWHERE"
        [providers.lab]
        kind = "openai"
        base_url = "http://lab/v1"
        discount = 10
        margin = 2.5
        [prices."lab/mine"]
        input = 0.333333333
        output = 1
        [models.chat]
        targets = ["openai/gpt-4o", "lab/mine"]
    "#;

    fn said(line: &str) -> String {
        let asked = Line::parse_from(std::iter::once("price").chain(line.split(' '))).price;
        let config = Source::Text { name: "test.toml", text: CONFIG.to_owned() };
        let config = config.read_without_secrets().unwrap_or_else(|problems| panic!("{problems}"));
        explain(&asked, &config, Time(0)).unwrap_or_else(|problems| problems.to_string())
    }

    #[test]
    fn a_bill_names_its_prices_and_each_line() {
        let told = said("openai/gpt-4o --in 1000000 --cached 400000 --out 2000 --reasoning 500");
        let lines: Vec<&str> = told.lines().collect();
        assert_eq!(lines[0], "openai/gpt-4o");
        assert!(lines[1].starts_with("prices: the catalogue's openai/gpt-4o, 20"), "{told}");
        assert_eq!(
            lines[2..],
            [
                "  input                     600,000 × $2.5 / 1M        $1.5",
                "  cache read                400,000 × $1.25 / 1M       $0.5",
                "  output                      2,000 × $10 / 1M         $0.02",
                "total $2.02",
            ]
        );
    }

    #[test]
    fn services_and_long_prompts_are_told() {
        let told = said("openai/gpt-5.4 --in 300000 --out 1000 --tier flex");
        assert!(told.contains("service: flex\n") && told.ends_with("total $0.76125\n"), "{told}");
        assert!(said("gemini-2.5-pro --in 1000000 --batch").ends_with("total $1.25\n"));
    }

    #[test]
    fn a_price_of_the_config_says_so_and_shows_discount_and_margin() {
        let told = said("lab/mine --in 1 --out 0");
        assert_eq!(
            told,
            "lab/mine\nprices: [prices.\"lab/mine\"] of the config\n  input                           1 × \
             $0.333333333 / 1M $0.000000333333333\nlist $0.000000333333333\ndiscount 10%\nmargin \
             2.5%\ntotal $0.000000308\n"
        );
    }

    #[test]
    fn without_quantities_it_is_the_price_list() {
        let told = said("claude-sonnet-4-5");
        assert!(told.contains("  cache write, 1 h   $6 for a million tokens\n"), "{told}");
        assert!(told.contains("  searches           $0.01 for one search\n"), "{told}");
        assert!(said("whisper-1").contains("seconds sent       $0.0001 for one second\n"));
    }

    #[test]
    fn a_route_is_its_targets() {
        let told = said("chat --in 1000");
        assert!(told.starts_with("openai/gpt-4o\n") && told.contains("\n\nlab/mine\n"), "{told}");
    }

    #[test]
    fn an_unknown_model_is_refused_with_close_names() {
        let told = said("openai/gpt-40");
        assert!(told.starts_with("the price of openai/gpt-40 is not known"), "{told}");
        assert!(told.contains("openai/gpt-4o") && told.contains("[prices."), "{told}");
        assert!(said("lab/other").contains("add [prices."));
        assert!(said("claude-sonet-4-5").contains("anthropic/claude-sonnet-4-5"));
    }

    #[test]
    fn parts_that_exceed_the_whole_are_refused() {
        assert!(said("gpt-4o --in 10 --cached 11").contains("the parts of `--in` are 11 tokens"));
        assert!(said("gpt-4o --out 10 --reasoning 11").contains("--out"));
    }

    #[test]
    fn what_has_no_price_is_said() {
        assert!(said("gpt-4o --images 3").contains("not known: there is no price for images made"));
    }
}
