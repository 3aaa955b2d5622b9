//! The resolved config in words, for a person who checks it.

use super::{Config, Credential, Override, Pattern, Provider, Route, RouteTarget, Strategy};
use crate::directory::Key;
use crate::limit::Limits;
use crate::price::{Class, Served, Unit, dollars};
use std::fmt::{self, Write};

impl Config {
    /// What was resolved, as text without secrets: providers, routes, keys, notes. Lines end in a
    /// line feed.
    pub fn describe(&self) -> String {
        let mut text = String::new();
        // Writing to a string cannot fail.
        let _ = self.write(&mut text);
        text
    }

    fn write(&self, out: &mut String) -> fmt::Result {
        let keys = if self.server.require_key { "a key is required" } else { "no key is required" };
        writeln!(out, "listens on {}, {keys}", self.server.listen)?;
        writeln!(out, "providers: {}", self.providers.len())?;
        for provider in &self.providers {
            provider_line(out, provider)?;
        }
        writeln!(out, "routes: {}", self.routes.len())?;
        for route in self.routes.values() {
            self.route_lines(out, route)?;
        }
        for price in &self.prices {
            self.price_line(out, price)?;
        }
        writeln!(out, "keys: {}", self.keys.len())?;
        for key in &self.keys {
            key_line(out, key)?;
        }
        for holder in &self.holders {
            writeln!(out, "  {} {}: {}", holder.kind.name(), holder.name, Shown(&holder.scope.limits))?;
        }
        for note in &self.notes {
            writeln!(out, "note: {note}")?;
        }
        Ok(())
    }

    fn route_lines(&self, out: &mut String, route: &Route) -> fmt::Result {
        let Route { name, strategy, targets, fallbacks, attempts, deadline } = route;
        let seconds = deadline.ceil_secs();
        write!(out, "  {name}: {}, at most {attempts} attempts in {seconds}s: ", strategy.name())?;
        let shares = targets.iter().map(|target| {
            let name = self.target_name(target);
            if targets.len() > 1 { format!("{name} ×{}", target.weight) } else { name }
        });
        writeln!(out, "{}", shares.collect::<Vec<_>>().join(", "))?;
        if !fallbacks.is_empty() {
            let names: Vec<String> = fallbacks.iter().map(|target| self.target_name(target)).collect();
            writeln!(out, "    then {}", names.join(", "))?;
        }
        Ok(())
    }

    fn price_line(&self, out: &mut String, own: &Override) -> fmt::Result {
        let Override { provider, models, price } = own;
        let provider = self.provider(*provider).map_or("?", |provider| provider.name.as_str());
        write!(out, "  price of {provider}/{models}: ")?;
        let tokens = [(Class::Input, "in"), (Class::Output, "out")];
        let rates = tokens.into_iter().filter_map(|(class, way)| {
            let rate = price.row.rate(class, &Served::default())?;
            Some(format!("${} {way}", rate.dollars(Unit::MillionTokens)))
        });
        let rates: Vec<String> = rates.collect();
        if rates.is_empty() {
            return writeln!(out, "not by tokens");
        }
        writeln!(out, "{} for a million tokens", rates.join(", "))
    }

    fn target_name(&self, target: &RouteTarget) -> String {
        let provider = self.provider(target.provider).map_or("?", |provider| provider.name.as_str());
        format!("{provider}/{}", target.model)
    }
}

fn provider_line(out: &mut String, provider: &Provider) -> fmt::Result {
    let Provider { name, vendor, dialect, base_url, credentials, .. } = provider;
    let keys = match credentials.iter().filter(|Credential { secret, .. }| secret.is_some()).count() {
        0 => "no key".to_owned(),
        1 => "1 key".to_owned(),
        many => format!("{many} keys"),
    };
    let url = base_url.to_string();
    let url = url.trim_end_matches('/');
    writeln!(out, "  {name}: {} ({}) at {url}, {keys}", vendor.title, dialect.name())
}

fn key_line(out: &mut String, key: &Key) -> fmt::Result {
    let Key { name, team, models, scope, expires, blocked, .. } = key;
    let models: Vec<String> = models.iter().map(|pattern| pattern.to_string()).collect();
    let models = if models.is_empty() { "every model".to_owned() } else { models.join(", ") };
    write!(out, "  {name}: {models}; {}", Shown(&scope.limits))?;
    if let Some(team) = team {
        write!(out, "; team {team}")?;
    }
    if let Some(expires) = expires {
        write!(out, "; expires {}", super::values::written(*expires))?;
    }
    writeln!(out, "{}", if *blocked { "; blocked" } else { "" })
}

impl fmt::Display for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Exact(name) => f.write_str(name),
            Self::Prefix(prefix) => write!(f, "{prefix}*"),
        }
    }
}

/// Limits in one line.
struct Shown<'a>(&'a Limits);

impl fmt::Display for Shown<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Limits { rpm, tpm, concurrency, budgets, .. } = self.0;
        let mut parts = Vec::new();
        parts.extend(rpm.map(|rpm| format!("{rpm} a minute")));
        parts.extend(tpm.map(|tpm| format!("{tpm} a minute")));
        parts.extend(concurrency.map(|many| format!("{} at once", many.get())));
        parts.extend(
            budgets.iter().map(|budget| format!("{} per {}", dollars(budget.amount), budget.per.name())),
        );
        f.write_str(&if parts.is_empty() { "no limits".to_owned() } else { parts.join(", ") })
    }
}

impl Strategy {
    /// Its word in the config.
    pub fn name(self) -> &'static str {
        let word = super::file::STRATEGIES.iter().find(|word| word.value == self);
        word.map_or("weighted", |word| word.name)
    }
}
