//! From the name a client asks for to the route its request takes.

use super::compile::{ATTEMPTS, default_deadline};
use super::fault::{closest_few, show};
use super::{Account, After, Config, ProviderId, Route, RouteTarget, Strategy};
use crate::catalog;
use crate::dialect::Dialect;
use crate::directory::Caller;
use crate::fault::{Code, Fault};
use std::collections::HashMap;
use std::sync::{Arc, RwLock};

/// More fallbacks in one request than any attempt budget could use.
const MAX_FALLBACKS: usize = 16;

/// What a name leads to.
enum Found {
    /// A route of the config.
    Route(Arc<Route>),
    /// The route of a model at a provider, with this one target.
    Derived(Arc<Route>),
}

/// Routes made for models that no route names, by the name they were asked for: looking up a price
/// takes microseconds, and the next request most likely asks for the same. Only a memory: an empty
/// one gives the same answers.
#[derive(Debug, Default)]
pub struct Derived(RwLock<HashMap<String, Arc<Route>>>);

impl Derived {
    /// Names come from clients.
    const MAX: usize = 4096;

    fn get(&self, name: &str) -> Option<Arc<Route>> {
        self.0.read().ok()?.get(name).cloned()
    }

    /// Keeps a route whose price is known; a name nobody knows costs little to look up again.
    fn keep(&self, name: &str, route: &Arc<Route>) {
        let known = route.targets.iter().all(|target| target.price.is_some());
        if let (true, Ok(mut routes)) = (known, self.0.write())
            && routes.len() < Self::MAX
        {
            routes.insert(name.to_owned(), Arc::clone(route));
        }
    }
}

impl Clone for Derived {
    /// Empty: the copy may be changed.
    fn clone(&self) -> Self {
        Self::default()
    }
}

impl Config {
    /// The route of a request for `model` with the `fallbacks` of its body.
    ///
    /// `provider/model` goes to the provider of that name. Any other name is a route, else a model of
    /// the catalogue whose vendor is configured, else the fault `model_not_found`. The names are
    /// checked against the key's models: the one asked for and each fallback of the request; what a
    /// route of the config falls back to is allowed with the route. A configured route without
    /// fallbacks from the request costs one reference count, and so does a `provider/model` that was
    /// asked for before (hot).
    pub fn route_for(
        &self,
        model: &str,
        fallbacks: &[String],
        caller: Option<&Caller>,
    ) -> Result<Arc<Route>, Fault> {
        let found = self.permitted(model, "model", caller)?;
        if fallbacks.len() > MAX_FALLBACKS {
            let expected = format!("at most {MAX_FALLBACKS} names");
            return Err(Fault::bad_field("fallbacks", expected, format!("{} of them", fallbacks.len())));
        }
        let (Found::Route(found) | Found::Derived(found)) = found;
        if fallbacks.is_empty() {
            return Ok(found);
        }
        let mut route = Route::clone(&found);
        for (index, name) in fallbacks.iter().enumerate() {
            let found = self.permitted(name, &format!("fallbacks[{index}]"), caller)?;
            let (Found::Route(other) | Found::Derived(other)) = found;
            other.targets.iter().chain(&other.fallbacks).for_each(|target| append(&mut route, target));
        }
        Ok(Arc::new(route))
    }

    /// The route of a model that no route of the config names.
    fn derive(&self, name: &str, target: RouteTarget) -> Route {
        let targets = vec![target];
        Route {
            name: name.to_owned(),
            strategy: Strategy::Ordered,
            deadline: default_deadline(&self.providers, targets.iter()),
            targets,
            fallbacks: Vec::new(),
            attempts: ATTEMPTS,
            cache: None,
            account: Account::Any,
        }
    }

    /// The way to a provider for what passes as it came, for a model of its own or for none. Whether the
    /// caller may ask for it is not looked at here.
    pub(crate) fn account(&self, provider: ProviderId, model: &str) -> Route {
        let name = self.provider(provider).map_or("", |provider| &provider.name);
        let name = if model.is_empty() { name.to_owned() } else { format!("{name}/{model}") };
        let target = self.target(provider, model);
        // A price for every model of a provider is none for what names no model.
        let price = target.price.filter(|_| !model.is_empty());
        let route = self.derive(&name, RouteTarget { price, ..target });
        Route { attempts: 1, account: Account::First, ..route }
    }

    /// Whether a name that clients may ask for is that model at a provider, and nothing else.
    pub(crate) fn leads_to(&self, model: &str, provider: ProviderId) -> bool {
        let found = catalog::vendors(model).find_map(|vendor| self.provider_of(vendor));
        found == Some(provider) && !self.routes.contains_key(model)
    }

    /// What a name leads to, if the key may ask for it.
    fn permitted(&self, name: &str, field: &str, caller: Option<&Caller>) -> Result<Found, Fault> {
        let found = self.find(name);
        let allowed = caller.is_none_or(|caller| {
            caller.allows(name)
                || match &found {
                    // A bare name of the catalogue is also known by its provider's name.
                    Some(Found::Derived(route)) => route.targets.iter().all(|target| {
                        self.provider(target.provider).is_some_and(|provider| {
                            caller.allows(&format!("{}/{}", provider.name, target.model))
                        })
                    }),
                    Some(Found::Route(_)) | None => false,
                }
        });
        match found {
            Some(found) if allowed => Ok(found),
            Some(_) => {
                let message = format!("the key presented may not use the model {}", show(name));
                Err(Fault::new(Code::ModelNotAllowed, message).at(field))
            }
            None => Err(self.not_found(name, caller).at(field)),
        }
    }

    fn find(&self, name: &str) -> Option<Found> {
        // No route has a name that begins with a provider's.
        if let Some(route) = self.routes.get(name) {
            return Some(Found::Route(Arc::clone(route)));
        }
        if let Some(route) = self.derived.get(name) {
            return Some(Found::Derived(route));
        }
        let named =
            name.split_once('/').and_then(|(provider, model)| Some((self.provider_named(provider)?, model)));
        let target = match named {
            Some((_, "")) => return None,
            Some((provider, model)) => self.target(provider, model),
            // An address of AWS's holds slashes of its own.
            None if name.starts_with("arn:aws") => {
                self.target(self.provider_where(|provider| provider.dialect == Dialect::Bedrock)?, name)
            }
            None => self.target(catalog::vendors(name).find_map(|vendor| self.provider_of(vendor))?, name),
        };
        let route = Arc::new(self.derive(name, target));
        self.derived.keep(name, &route);
        Some(Found::Derived(route))
    }

    fn target(&self, provider: ProviderId, model: &str) -> RouteTarget {
        let price = self.price(provider, model);
        let vendor = self.provider(provider).map(|provider| provider.vendor.name);
        let writes = vendor.and_then(|vendor| catalog::most_output(model, vendor));
        let limits = Default::default();
        let after = After::Failure;
        RouteTarget { provider, model: model.to_owned(), weight: 1.0, price, writes, limits, after }
    }

    /// The provider whose name a model's begins with.
    pub(crate) fn provider_of_name<'m>(&self, model: &'m str) -> Option<&'m str> {
        let (provider, _) = model.split_once('/')?;
        self.provider_named(provider).map(|_| provider)
    }

    pub(crate) fn provider_named(&self, name: &str) -> Option<ProviderId> {
        self.provider_where(|provider| provider.name == name)
    }

    fn provider_of(&self, vendor: &str) -> Option<ProviderId> {
        self.provider_where(|provider| provider.vendor.name == vendor)
    }

    fn provider_where(&self, fits: impl Fn(&super::Provider) -> bool) -> Option<ProviderId> {
        let at = self.providers.iter().position(fits)?;
        u16::try_from(at).ok().map(ProviderId)
    }

    /// Names close matches among what the key may use; a route it may not use stays unknown to it.
    fn not_found(&self, name: &str, caller: Option<&Caller>) -> Fault {
        let configured =
            |row: &catalog::Row| self.providers.iter().any(|provider| provider.vendor.name == row.vendor);
        let rows = catalog::rows().filter(configured).map(|row| row.name);
        let visible = |name: &&str| caller.is_none_or(|caller| caller.allows(name));
        let near = closest_few(name, self.routes.keys().map(String::as_str).chain(rows).filter(visible));
        let missing = catalog::vendors(name).next();
        let advice = match (near.as_slice(), name.split_once('/'), missing) {
            ([], _, Some(vendor)) => format!("it is a model of {vendor}, which is not configured"),
            ([], Some((provider, _)), None) => format!("there is no provider {}", show(provider)),
            ([], None, None) => "ask for a configured route or for provider/model".to_owned(),
            (near, _, _) => format!("did you mean {}?", near.join(", ")),
        };
        Fault::new(Code::ModelNotFound, format!("the model {} is not known here: {advice}", show(name)))
    }
}

fn append(route: &mut Route, target: &RouteTarget) {
    let known = route.targets.iter().chain(&route.fallbacks).any(|earlier| {
        (earlier.provider, &earlier.model) == (target.provider, &target.model)
            && earlier.after == target.after
    });
    if !known {
        route.fallbacks.push(target.clone());
    }
}
