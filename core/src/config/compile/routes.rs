//! Routes: targets and fallbacks found, other routes' targets put in place of their names.

use super::Compiler;
use super::providers::Named;
use crate::cache::{Bounds, Caching};
use crate::catalog;
use crate::config::fault::{Place, closest, show};
use crate::config::file;
use crate::config::read::Spot;
use crate::config::{
    Account, After, Provider, ProviderId, Route, RouteTarget, Strategy, UpstreamLimits, prices,
};
use crate::sort;
use crate::sort::{Map, Set};
use crate::units::Millis;
use std::sync::Arc;

/// Upstream calls for one request where the config does not say.
pub(crate) const ATTEMPTS: u32 = 3;
/// The least time for a whole request where the config does not say.
const DEADLINE: Millis = Millis::from_secs(120);
const MAX_ATTEMPTS: u64 = 100;
/// Of one route, with all that its fallbacks lead to.
const MAX_TARGETS: usize = 1000;

/// What a fallback leads to.
enum Step {
    Target(RouteTarget),
    /// Index of another route.
    Route(usize),
}

/// A route whose fallbacks may still be names of others.
struct Draft {
    name: Spot<String>,
    strategy: Strategy,
    targets: Vec<RouteTarget>,
    steps: Vec<Step>,
    /// What exists for one class of fault only.
    rescues: Vec<(After, Step)>,
    attempts: u32,
    deadline: Option<Millis>,
    cache: Option<Caching>,
}

/// What the names in a route are looked up in.
struct Directory<'a> {
    named: &'a Named,
    routes: Map<String, usize>,
}

impl Compiler<'_> {
    pub(super) fn routes(
        &mut self,
        raw: Vec<file::Model>,
        named: &Named,
        cache: &Bounds,
    ) -> Map<String, Arc<Route>> {
        let names = raw.iter().enumerate().map(|(index, model)| (model.name.value.clone(), index));
        let directory = Directory { named, routes: sort::map(names) };
        let drafts: Vec<Draft> = raw.into_iter().map(|model| self.draft(model, &directory, cache)).collect();
        if !self.acyclic(&drafts) {
            return Map::new();
        }
        let mut routes = Map::new();
        for draft in &drafts {
            // What is too much for one is too much for those that lead to it: once is told enough.
            let Some(fallbacks) = self.flatten(draft, &drafts) else { break };
            let route = finish(draft, fallbacks, &named.compiled);
            routes.insert(draft.name.value.clone(), Arc::new(route));
        }
        routes
    }

    fn draft(&mut self, raw: file::Model, directory: &Directory<'_>, cache: &Bounds) -> Draft {
        let file::Model { name, strategy, targets, fallbacks, attempts, deadline, cache: caching, .. } = raw;
        let rescues =
            [(After::ContextLength, raw.context_fallbacks), (After::ContentFilter, raw.content_fallbacks)];
        self.route_name(&name, directory);
        let strategy = strategy.map_or(Strategy::default(), |strategy| strategy.value);
        let attempts = attempts.map_or(u64::from(ATTEMPTS), |attempts| {
            if attempts.value > MAX_ATTEMPTS {
                let message = format!("{} attempts are more than {MAX_ATTEMPTS}", attempts.value);
                self.errors.push(&attempts.place, message, "write fewer");
            }
            attempts.value.min(MAX_ATTEMPTS)
        });
        let mut found = Vec::with_capacity(targets.len());
        for file::Target { to, weight, limits } in targets {
            let target = self.target(&to, &name.value, directory);
            found.extend(target.map(|target| RouteTarget { weight, limits, ..target }));
        }
        if strategy == Strategy::Cost {
            self.note_unpriced(&name.value, &found);
        }
        let steps = fallbacks.iter().filter_map(|to| self.step(to, &name.value, directory)).collect();
        let rescues = rescues.iter().flat_map(|(after, names)| names.iter().map(|to| (*after, to)));
        let rescues =
            rescues.filter_map(|(after, to)| Some((after, self.step(to, &name.value, directory)?))).collect();
        let attempts = u32::try_from(attempts).unwrap_or(ATTEMPTS);
        let cache = caching.map(|raw| super::cache::caching(raw, cache, &mut self.errors));
        Draft { name, strategy, targets: found, steps, rescues, attempts, deadline, cache }
    }

    /// Targets of a route that goes by cost whose cost is not known.
    fn note_unpriced(&mut self, route: &str, targets: &[RouteTarget]) {
        let blend = |target: &RouteTarget| target.price.as_ref().and_then(|price| price.blend);
        for RouteTarget { model, .. } in targets.iter().filter(|target| blend(target).is_none()) {
            self.notes.push(format!(
                "route `{route}` goes by cost, but the price of `{model}` is not known: it comes last"
            ));
        }
    }

    fn route_name(&mut self, name: &Spot<String>, directory: &Directory<'_>) {
        if name.value.trim().is_empty() || name.value.chars().any(char::is_control) {
            self.errors.push(&name.place, "not a model name", "give it a name clients can ask for");
        }
        if let Some((provider, _)) = name.value.split_once('/')
            && directory.named.declared.contains(provider)
        {
            let message = format!("names that begin with `{provider}/` go to the provider of that name");
            self.errors.push(&name.place, message, "choose another name");
        }
    }

    /// A `provider/model`.
    fn target(&mut self, to: &Spot<String>, route: &str, directory: &Directory<'_>) -> Option<RouteTarget> {
        if to.value == route {
            self.errors.push(&to.place, "the route points at itself", r#"name a "provider/model""#);
            return None;
        }
        if directory.routes.contains_key(&to.value) {
            let message = format!("{} is a route, and targets are provider/model", show(&to.value));
            self.errors.push(&to.place, message, "name its targets here, or move it to `fallbacks`");
            return None;
        }
        self.provider_target(to, directory)
    }

    fn provider_target(&mut self, to: &Spot<String>, directory: &Directory<'_>) -> Option<RouteTarget> {
        let declared = &directory.named.declared;
        let (provider, model) = match to.value.split_once('/') {
            Some((provider, model)) if declared.contains(provider) => (provider, model),
            Some((provider, model)) => {
                let message = format!("there is no provider {}", show(provider));
                let fix = match closest(provider, declared.iter().map(String::as_str)) {
                    Some(near) => format!("did you mean `{near}/{model}`?"),
                    None => format!("add [providers.{provider}]"),
                };
                self.errors.push(&to.place, message, fix);
                return None;
            }
            None => {
                self.nowhere(to, directory);
                return None;
            }
        };
        if model.trim().is_empty() {
            let fix = format!("write `{provider}/` and a model's name");
            self.errors.push(&to.place, "the model's name is missing", fix);
            return None;
        }
        let named = directory.named;
        let provider = named.id(provider)?;
        let compiled = named.compiled.get(usize::from(provider.0));
        let price = compiled.and_then(|compiled| prices::of(&named.prices, provider, compiled, model));
        let writes = compiled.and_then(|compiled| catalog::most_output(model, compiled.vendor.name));
        let (model, limits) = (model.to_owned(), UpstreamLimits::default());
        Some(RouteTarget { provider, model, weight: 1.0, price, writes, limits, after: After::Failure })
    }

    fn nowhere(&mut self, to: &Spot<String>, directory: &Directory<'_>) {
        let declared = directory.named.declared.iter();
        let providers = &directory.named.compiled;
        let owner = catalog::vendors(&to.value)
            .find_map(|vendor| providers.iter().find(|provider| provider.vendor.name == vendor));
        if let Some(Provider { name, .. }) = owner {
            let fix = format!("did you mean `{name}/{}`?", to.value);
            self.errors.push(&to.place, format!("{} names no provider", show(&to.value)), fix);
            return;
        }
        let near = closest(&to.value, directory.routes.keys().chain(declared.clone()).map(String::as_str));
        let fix = match (near, declared.clone().next()) {
            (Some(near), _) if directory.named.declared.contains(near) => format!("write `{near}/<model>`"),
            (Some(near), _) => format!("did you mean `{near}`?"),
            (None, Some(provider)) => {
                format!("write provider/model, such as `{provider}/{}`", clip(&to.value))
            }
            (None, None) => "add a provider and write provider/model".to_owned(),
        };
        self.errors.push(&to.place, format!("{} points nowhere", show(&to.value)), fix);
    }

    /// A `provider/model` or another route.
    fn step(&mut self, to: &Spot<String>, route: &str, directory: &Directory<'_>) -> Option<Step> {
        if to.value == route {
            self.errors.push(&to.place, "the route falls back to itself", "remove it");
            return None;
        }
        match directory.routes.get(&to.value) {
            Some(index) => Some(Step::Route(*index)),
            None => self.provider_target(to, directory).map(Step::Target),
        }
    }

    /// Reports routes whose fallbacks lead back to them. Strips, again and again, the routes that
    /// lead to no other; what is left are cycles and what leads into them.
    fn acyclic(&mut self, drafts: &[Draft]) -> bool {
        let mut left = sort::set(0..drafts.len());
        let mut waiting: Vec<usize> = drafts.iter().map(|draft| next_routes(draft).count()).collect();
        let mut back: Map<usize, Vec<usize>> = Map::new();
        for (index, draft) in drafts.iter().enumerate() {
            next_routes(draft).for_each(|next| back.entry(next).or_default().push(index));
        }
        let ends = waiting.iter().enumerate().filter(|(_, count)| **count == 0);
        let mut ready: Vec<usize> = ends.map(|(index, _)| index).collect();
        while let Some(done) = ready.pop() {
            left.remove(&done);
            for before in back.get(&done).into_iter().flatten() {
                if let Some(count) = waiting.get_mut(*before) {
                    *count = count.saturating_sub(1);
                    if *count == 0 {
                        ready.push(*before);
                    }
                }
            }
        }
        self.report_cycle(drafts, &left);
        left.is_empty()
    }

    /// Follows the routes that are left until one comes up again, and names that circle.
    fn report_cycle(&mut self, drafts: &[Draft], left: &Set<usize>) {
        let mut way: Vec<usize> = left.first().copied().into_iter().collect();
        while let Some(draft) = way.last().and_then(|at| drafts.get(*at)) {
            let Some(next) = next_routes(draft).find(|next| left.contains(next)) else { return };
            if let Some(from) = way.iter().position(|at| *at == next) {
                let circle = way.iter().skip(from).chain([&next]);
                let names: Vec<String> =
                    circle.filter_map(|at| drafts.get(*at)).map(|draft| clip(&draft.name.value)).collect();
                let place = drafts.get(next).map_or_else(Place::root, |draft| draft.name.place.clone());
                let message = format!("fallbacks lead in a circle: {}", shorten(&names));
                self.errors.push(&place, message, "remove one of these fallbacks");
                return;
            }
            way.push(next);
        }
    }

    /// A route's fallbacks with other routes' targets and fallbacks in place of their names, in
    /// order, each upstream model once for each failure that leads to it.
    fn flatten(&mut self, draft: &Draft, drafts: &[Draft]) -> Option<Vec<RouteTarget>> {
        let mut flat = Vec::new();
        for after in [After::Failure, After::ContextLength, After::ContentFilter] {
            let rescues = draft.rescues.iter().filter(|(class, _)| *class == after).map(|(_, step)| step);
            let steps: Vec<&Step> = match after {
                After::Failure => draft.steps.iter().rev().collect(),
                After::ContextLength | After::ContentFilter => rescues.rev().collect(),
            };
            self.follow(draft, drafts, steps, after, &mut flat)?;
        }
        Some(flat)
    }

    /// What these steps lead to, the last of them first.
    fn follow<'a>(
        &mut self,
        draft: &Draft,
        drafts: &'a [Draft],
        mut stack: Vec<&'a Step>,
        after: After,
        flat: &mut Vec<RouteTarget>,
    ) -> Option<()> {
        let mut known = sort::set(draft.targets.iter().map(upstream));
        let mut seen = Set::new();
        while let Some(step) = stack.pop() {
            let targets = match step {
                Step::Target(target) => std::slice::from_ref(target),
                Step::Route(index) if seen.insert(*index) => {
                    let Some(other) = drafts.get(*index) else { continue };
                    stack.extend(other.steps.iter().rev());
                    other.targets.as_slice()
                }
                Step::Route(_) => continue,
            };
            let new = targets.iter().filter(|target| known.insert(upstream(target)));
            flat.extend(new.map(|target| RouteTarget { after, ..target.clone() }));
            if draft.targets.len() + flat.len() > MAX_TARGETS {
                let message = format!("more than {MAX_TARGETS} targets and fallbacks");
                self.errors.push(&draft.name.place, message, "name fewer");
                return None;
            }
        }
        Some(())
    }
}

/// A model at a provider, whatever its weight.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct Upstream<'a> {
    provider: ProviderId,
    model: &'a str,
}

fn upstream(target: &RouteTarget) -> Upstream<'_> {
    let RouteTarget { provider, model, weight: _, price: _, writes: _, limits: _, after: _ } = target;
    Upstream { provider: *provider, model }
}

fn next_routes(draft: &Draft) -> impl Iterator<Item = usize> + '_ {
    draft.steps.iter().filter_map(|step| match step {
        Step::Route(index) => Some(*index),
        Step::Target(_) => None,
    })
}

fn finish(draft: &Draft, fallbacks: Vec<RouteTarget>, providers: &[Provider]) -> Route {
    let deadline =
        draft.deadline.unwrap_or_else(|| default_deadline(providers, draft.targets.iter().chain(&fallbacks)));
    Route {
        name: draft.name.value.clone(),
        strategy: draft.strategy,
        targets: draft.targets.clone(),
        fallbacks,
        attempts: draft.attempts,
        deadline,
        cache: draft.cache,
        account: Account::Any,
    }
}

/// The deadline of a route that names none: no shorter than the longest answer one of its providers
/// may take, so that a long stream is not cut by a limit nobody asked for.
pub(in crate::config) fn default_deadline<'a>(
    providers: &[Provider],
    targets: impl Iterator<Item = &'a RouteTarget>,
) -> Millis {
    targets
        .filter_map(|target| providers.get(usize::from(target.provider.0)))
        .map(|provider| provider.timeouts.total)
        .fold(DEADLINE, Ord::max)
}

fn clip(name: &str) -> String {
    name.chars().take(40).collect()
}

/// A chain of names, its middle left out where it is long.
fn shorten(names: &[String]) -> String {
    if names.len() <= 8 {
        return names.join(" → ");
    }
    let head: Vec<&str> = names.iter().take(6).map(String::as_str).collect();
    let last = names.last().map_or("", String::as_str);
    format!("{} → … → {last}", head.join(" → "))
}
