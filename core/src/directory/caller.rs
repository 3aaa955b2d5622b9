//! Whose request it is, and what it draws on.

use super::{Holder, HolderKind, Key, Role, What, Within, end_user};
use crate::config::{Config, Pattern, Route, RouteTarget};
use crate::ledger::{Claim, Scope, Targets};
use crate::limit::Limits;
use crate::token::Token;
use std::fmt;
use std::sync::Arc;

/// Whose request it is.
#[derive(Clone, PartialEq)]
pub struct Caller {
    /// The key it presented, or its token's parent.
    pub key: Arc<Key>,
    /// Organisation, team, user and tags that the key belongs to.
    pub holders: Vec<Arc<Holder>>,
    /// The token it presented.
    pub token: Option<Arc<Token>>,
    /// The organisation's name, empty for none: whose books the request is in.
    pub book: Arc<str>,
}

impl fmt::Debug for Caller {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Caller").field("key", &self.key.name).finish_non_exhaustive()
    }
}

impl Caller {
    /// Whether it may ask for this model name: the key must allow it, and so must all that it belongs to
    /// and its token.
    pub fn allows(&self, model: &str) -> bool {
        self.key.allows(model)
            && self.holders.iter().all(|holder| holder.allows(model))
            && self.token.as_ref().is_none_or(|token| token.allows(model))
    }

    /// What it may do in the admin API. A token is for calls, whatever its parent may do.
    pub fn role(&self) -> Role {
        if self.token.is_some() { Role::Caller } else { self.key.role }
    }

    /// Whether anything it draws on limits money, for whatever target.
    pub fn has_budget(&self) -> bool {
        let token = self.token.as_ref().is_some_and(|token| token.scope.limits.has_budget());
        token || self.sources().any(|source| source.has_budget())
    }

    /// The name of the holder of this kind; of tags the first.
    pub fn holder(&self, kind: HolderKind) -> Option<&str> {
        self.holders.iter().find(|holder| holder.kind == kind).map(|holder| holder.name.as_str())
    }

    /// The end user of a request that names one itself: a token's own cannot be replaced.
    pub fn end_user<'n>(&'n self, named: Option<&'n str>) -> Option<&'n str> {
        let own = self.token.as_ref().and_then(|token| token.end_user.as_deref());
        own.or(named).filter(|id| !id.trim().is_empty())
    }

    /// Every scope a request for this route draws on, those without any limit left out. Runs for
    /// every request. (hot)
    ///
    /// A request without an end user draws on the scope of the empty id, so that leaving it out goes
    /// around nothing.
    pub fn claims(&self, config: &Config, route: &Route, asked: &str, end_user: Option<&str>) -> Vec<Claim> {
        let end_user = self.end_user(end_user).unwrap_or_default();
        let request = Asked { config, route, asked, end_user };
        let mut claims = Vec::with_capacity(2 + self.holders.len());
        if let Some(token) = &self.token {
            claim(&token.scope, Targets::ALL, &mut claims);
        }
        for source in self.sources() {
            source.claims(&request, &mut claims);
        }
        claims
    }

    /// The scopes whose rates all its requests draw on.
    pub fn rated(&self) -> Vec<Arc<Scope>> {
        let scopes = self.sources().map(|source| source.scope);
        scopes.filter(|scope| scope.limits.has_rate()).map(Arc::clone).collect()
    }

    fn sources(&self) -> impl Iterator<Item = Source<'_>> {
        let Key { scope, within, each_end_user, .. } = &*self.key;
        let own = Source { scope, within, each_end_user: each_end_user.as_ref() };
        std::iter::once(own).chain(self.holders.iter().map(|holder| Source {
            scope: &holder.scope,
            within: &holder.within,
            each_end_user: holder.each_end_user.as_ref(),
        }))
    }
}

/// What a request is for.
struct Asked<'a> {
    config: &'a Config,
    route: &'a Route,
    asked: &'a str,
    /// Empty for nobody.
    end_user: &'a str,
}

/// A key or a holder, as far as it limits anything.
struct Source<'a> {
    scope: &'a Arc<Scope>,
    within: &'a [Within],
    each_end_user: Option<&'a Limits>,
}

impl Source<'_> {
    fn has_budget(&self) -> bool {
        self.scope.limits.has_budget()
            || self.within.iter().any(|within| within.scope.limits.has_budget())
            || self.each_end_user.is_some_and(Limits::has_budget)
    }

    fn claims(&self, request: &Asked<'_>, claims: &mut Vec<Claim>) {
        claim(self.scope, Targets::ALL, claims);
        for within in self.within {
            claim(&within.scope, request.targets(&within.what), claims);
        }
        if let Some(limits) = self.each_end_user {
            let name = format!("{}/end-user:{}", self.scope.name, end_user(request.end_user));
            claim(&Arc::new(Scope::new(name, limits.clone())), Targets::ALL, claims);
        }
    }
}

fn claim(scope: &Arc<Scope>, targets: Targets, claims: &mut Vec<Claim>) {
    if targets != Targets::NONE && !scope.limits.is_unlimited() {
        claims.push(Claim { scope: Arc::clone(scope), targets });
    }
}

impl Asked<'_> {
    /// The targets that limits for this hold for.
    fn targets(&self, what: &What) -> Targets {
        match what {
            What::Model(pattern) if pattern.matches(self.asked) => Targets::ALL,
            What::Model(pattern) => self.those(|target, provider| is_model(pattern, provider, &target.model)),
            What::Provider(name) => self.those(|_, provider| provider == name),
        }
    }

    fn those(&self, fits: impl Fn(&RouteTarget, &str) -> bool) -> Targets {
        let Route { targets, fallbacks, .. } = self.route;
        let all = targets.iter().chain(fallbacks).zip(0_u16..);
        all.fold(Targets::NONE, |those, (target, at)| {
            let provider = self.config.provider(target.provider).map_or("", |provider| &provider.name);
            if fits(target, provider) { those.with(at) } else { those }
        })
    }
}

/// Whether a pattern fits `model`, or `provider/model`, without putting the two together.
fn is_model(pattern: &Pattern, provider: &str, model: &str) -> bool {
    let after = |text: &'_ str| -> Option<usize> {
        let rest = text.strip_prefix(provider)?.strip_prefix('/')?;
        Some(text.len() - rest.len())
    };
    let of_provider = match pattern {
        Pattern::Exact(exact) => after(exact).and_then(|at| exact.get(at..)) == Some(model),
        Pattern::Prefix(prefix) => match after(prefix).and_then(|at| prefix.get(at..)) {
            Some(rest) => model.starts_with(rest),
            None => provider.starts_with(prefix.as_str()),
        },
    };
    of_provider || pattern.matches(model)
}
