//! The resolved config in words, for a person who checks it.

use super::{After, Config, Credential, Override, Pattern, Provider, Route, RouteTarget, Strategy};
use crate::cache::{Bounds, Caching};
use crate::directory::{Holder, Key, Role, What, Within};
use crate::limit::{Budget, Limits, Period, Reset};
use crate::price::{Class, Served, Unit, dollars};
use crate::token::{Issuer, JwksSource, Parent, Tokens};
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
            key_line(out, key, &self.cache)?;
        }
        for holder in &self.holders {
            holder_line(out, holder)?;
        }
        self.token_lines(out)?;
        for note in &self.notes {
            writeln!(out, "note: {note}")?;
        }
        Ok(())
    }

    fn route_lines(&self, out: &mut String, route: &Route) -> fmt::Result {
        let Route { name, strategy, targets, fallbacks, attempts, deadline, cache, account: _ } = route;
        let seconds = deadline.ceil_secs();
        write!(out, "  {name}: {}, at most {attempts} attempts in {seconds}s: ", strategy.name())?;
        let shares = targets.iter().map(|target| {
            let name = self.target_name(target);
            if targets.len() > 1 { format!("{name} ×{}", target.weight) } else { name }
        });
        writeln!(out, "{}", shares.collect::<Vec<_>>().join(", "))?;
        let kinds = [
            (After::Failure, "then"),
            (After::ContextLength, "for a prompt too long"),
            (After::ContentFilter, "for a prompt its filter refuses"),
        ];
        for (after, word) in kinds {
            let those = fallbacks.iter().filter(|target| target.after == after);
            let names: Vec<String> = those.map(|target| self.target_name(target)).collect();
            if !names.is_empty() {
                writeln!(out, "    {word} {}", names.join(", "))?;
            }
        }
        if let Some(cache) = cache {
            writeln!(out, "    {}", Cached { caching: *cache, bounds: &self.cache })?;
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

    fn token_lines(&self, out: &mut String) -> fmt::Result {
        let Tokens { hs256, ed25519, audience: _, longest, issuers } = &self.tokens;
        let by = match (ed25519, hs256) {
            (Some(_), _) => "signed with EdDSA",
            (None, Some(_)) => "signed with HS256",
            (None, None) => "not minted here",
        };
        if self.tokens.any() {
            writeln!(out, "tokens: {by}, for {}s at most", longest.ceil_secs())?;
        }
        for Issuer { issuer, jwks, parent, .. } in issuers {
            let (JwksSource::Url(place) | JwksSource::File(place)) = jwks;
            let parent = match parent {
                Parent::Key(name) => format!("key {name}"),
                Parent::Claim(name) => format!("the key its claim {name} names"),
            };
            writeln!(out, "  {issuer}: keys from {place}, for {parent}")?;
        }
        Ok(())
    }

    fn target_name(&self, target: &RouteTarget) -> String {
        let provider = self.provider(target.provider).map_or("?", |provider| provider.name.as_str());
        format!("{provider}/{}", target.model)
    }
}

fn provider_line(out: &mut String, provider: &Provider) -> fmt::Result {
    let Provider { name, vendor, dialect, base_url, credentials, .. } = provider;
    let keys = match credentials
        .iter()
        .filter(|Credential { secret, signer, source, .. }| {
            secret.is_some() || signer.is_some() || source.is_some()
        })
        .count()
    {
        0 => "no key".to_owned(),
        1 => "1 key".to_owned(),
        many => format!("{many} keys"),
    };
    let url = base_url.to_string();
    let url = url.trim_end_matches('/');
    writeln!(out, "  {name}: {} ({}) at {url}, {keys}", vendor.title, dialect.name())
}

fn key_line(out: &mut String, key: &Key, bounds: &Bounds) -> fmt::Result {
    let Key {
        name,
        organisation,
        team,
        user,
        models,
        routes,
        ips,
        role,
        scope,
        within,
        cache,
        expires,
        blocked,
        ..
    } = key;
    let models = if models.is_empty() { "every model".to_owned() } else { listed(models) };
    write!(out, "  {name}: {models}; {}", Shown(&scope.limits))?;
    within_parts(out, within)?;
    for (kind, name) in [("organisation", organisation), ("team", team), ("user", user)] {
        if let Some(name) = name {
            write!(out, "; {kind} {name}")?;
        }
    }
    if !routes.is_empty() {
        write!(out, "; paths {}", listed(routes))?;
    }
    if !ips.is_empty() {
        write!(out, "; from {}", listed(ips))?;
    }
    if *role != Role::default() {
        write!(out, "; {}", role.name())?;
    }
    if let Some(cache) = cache {
        write!(out, "; {}", Cached { caching: *cache, bounds })?;
    }
    if let Some(expires) = expires {
        write!(out, "; expires {}", super::values::written(*expires))?;
    }
    writeln!(out, "{}", if *blocked { "; blocked" } else { "" })
}

fn holder_line(out: &mut String, holder: &Holder) -> fmt::Result {
    let Holder { kind, name, organisation, models, scope, within, each_end_user, blocked, .. } = holder;
    write!(out, "  {} {name}: {}", kind.name(), Shown(&scope.limits))?;
    within_parts(out, within)?;
    if let Some(limits) = each_end_user {
        write!(out, "; each end user {}", Shown(limits))?;
    }
    if let Some(organisation) = organisation {
        write!(out, "; organisation {organisation}")?;
    }
    if !models.is_empty() {
        write!(out, "; {}", listed(models))?;
    }
    writeln!(out, "{}", if *blocked { "; blocked" } else { "" })
}

fn within_parts(out: &mut String, within: &[Within]) -> fmt::Result {
    within.iter().try_for_each(|Within { what, scope }| match what {
        What::Model(pattern) => write!(out, "; {pattern} {}", Shown(&scope.limits)),
        What::Provider(name) => write!(out, "; provider {name} {}", Shown(&scope.limits)),
    })
}

fn listed(items: &[impl ToString]) -> String {
    items.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}

impl fmt::Display for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Exact(name) => f.write_str(name),
            Self::Prefix(prefix) => write!(f, "{prefix}*"),
        }
    }
}

/// A use of the cache, in one line.
struct Cached<'a> {
    caching: Caching,
    bounds: &'a Bounds,
}

impl fmt::Display for Cached<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Caching::Use(terms) = self.caching else { return f.write_str("answers are never kept") };
        let ttl = terms.ttl.unwrap_or(self.bounds.ttl);
        let share = terms.share.unwrap_or(self.bounds.share).name();
        write!(f, "answers are kept for {}, shared by {share}", super::values::written_span(ttl))
    }
}

/// Limits in one line.
struct Shown<'a>(&'a Limits);

impl fmt::Display for Shown<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Limits { rpm, tpm, tpm_input, tpm_output, concurrency, max_requests, max_tokens, budgets } =
            self.0;
        let mut parts = Vec::new();
        parts.extend(rpm.map(|most| format!("{most} a minute")));
        parts.extend(tpm.map(|most| format!("{most} a minute")));
        parts.extend(tpm_input.map(|most| format!("{most} of input a minute")));
        parts.extend(tpm_output.map(|most| format!("{most} of output a minute")));
        parts.extend(concurrency.map(|most| format!("{} at once", most.get())));
        parts.extend(max_requests.map(|most| format!("{most} in all")));
        parts.extend(max_tokens.map(|most| format!("{most} in all")));
        parts.extend(budgets.iter().map(|Budget { amount, per, reset, warn: _ }| match (per, reset) {
            (Period::Never, _) => format!("{} in all", dollars(*amount)),
            (per, Reset::Rolling) => format!("{} in any {}", dollars(*amount), per.name()),
            (per, Reset::Calendar(_)) => format!("{} per {}", dollars(*amount), per.name()),
        }));
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
