//! The config of a gateway that was given none.

use super::aws;
use super::providers::{absolute, all_models};
use super::{DRAIN, LISTEN, MAX_BODY, NAMESPACE, RESPONSES, STORE, sendable};
use crate::config::{
    Alerts, Config, Credential, Derived, Fail, Provider, Server, Store, Timeouts, UnknownPrice,
};
use crate::limit::calendar::Zone;
use crate::price::Terms;
use crate::secret::Secret;
use crate::sort::Map;
use crate::token::Tokens;
use crate::vendor::{Auth, VENDORS, Vendor};
use http::{HeaderMap, Uri};

/// Every vendor whose usual variable is set, on; no keys, no routes. Asks `env` for nothing but the
/// variables of the vendors' rows. Cannot fail: what is not usable is left out with a note.
pub fn zero(env: &dyn Fn(&str) -> Option<String>) -> Config {
    from_rows(VENDORS, env)
}

fn from_rows(rows: &'static [Vendor], env: &dyn Fn(&str) -> Option<String>) -> Config {
    let mut notes = Vec::new();
    let mut providers = Vec::new();
    for vendor in rows {
        match provider(vendor, env) {
            Some(Ok(provider)) => providers.push(provider),
            Some(Err(note)) => notes.push(note),
            None => {}
        }
    }
    if providers.is_empty() {
        notes
            .push("no provider is on: set OPENAI_API_KEY, ANTHROPIC_API_KEY, … or write a config".to_owned());
    }
    let server = Server {
        listen: LISTEN.to_owned(),
        admin_key: None,
        require_key: false,
        serves_strangers: false,
        max_body: MAX_BODY,
        drain: DRAIN,
        tls: None,
        cors_origins: Vec::new(),
        open: false,
        unknown_price: UnknownPrice::default(),
        fetch_media: Default::default(),
        zone: Zone::default(),
        trusted_proxies: Vec::new(),
    };
    Config {
        cache: Default::default(),
        guardrails: Default::default(),
        server,
        providers,
        routes: Map::new(),
        derived: Derived::default(),
        prices: Vec::new(),
        holders: Vec::new(),
        keys: Vec::new(),
        tokens: Tokens::default(),
        alerts: Alerts::default(),
        store: Store {
            path: STORE.to_owned(),
            redis: None,
            namespace: NAMESPACE.to_owned(),
            fail: Fail::default(),
            responses: None,
            responses_size: RESPONSES,
        },
        notes,
    }
}

/// The provider of a row whose variable is set, or why it cannot be on.
fn provider(
    vendor: &'static Vendor,
    env: &dyn Fn(&str) -> Option<String>,
) -> Option<Result<Provider, String>> {
    let set = |name: &&str| env(name).map(|value| value.trim().to_owned()).filter(|value| !value.is_empty());
    let first = |names: &[&'static str]| names.iter().find_map(|name| set(name).map(|value| (*name, value)));
    let (key, address) = (first(vendor.env), first(vendor.address.env));
    let region = aws::REGIONS.iter().find_map(set).filter(|region| aws::is_region(region));
    let region = region.as_deref().unwrap_or(aws::USUAL_REGION);
    let signer = match (&key, vendor.auth) {
        (None, Auth::Aws) => aws::around(&|name| set(&name), region),
        (Some(_), _) | (None, Auth::Bearer | Auth::Token | Auth::Header(_) | Auth::Optional) => None,
    };
    let variable = match (&key, &address, vendor.auth) {
        (None, _, Auth::Aws) if signer.is_some() => aws::KEY_ID,
        (Some((variable, _)), _, Auth::Bearer | Auth::Token | Auth::Header(_) | Auth::Aws) => *variable,
        // A server that needs no key is on where somebody says where it is.
        (_, Some((variable, _)), Auth::Optional) => *variable,
        (None, _, Auth::Bearer | Auth::Token | Auth::Header(_) | Auth::Aws) | (_, None, Auth::Optional) => {
            return None;
        }
    };
    let base_url = match &address {
        Some((variable, address)) => match located(address, vendor.address.path) {
            Some(base_url) => base_url,
            None => return Some(Err(format!("{variable} is no address such as https://host/v1: left out"))),
        },
        None => match absolute(&aws::address(vendor, region)) {
            Ok(base_url) => base_url,
            Err(_) => {
                let title = vendor.title;
                return Some(Err(format!("{variable} is set, but {title} needs a `base_url` in a config")));
            }
        },
    };
    if key.as_ref().is_some_and(|(_, value)| !sendable(value)) {
        return Some(Err(format!("{variable} holds a character that no header can carry: left out")));
    }
    let secret = key.map(|(_, value)| Secret::new(value));
    Some(Ok(Provider {
        name: vendor.name.to_owned(),
        vendor,
        dialect: vendor.dialect,
        base_url,
        credentials: vec![Credential {
            name: "1".to_owned(),
            secret,
            signer,
            source: None,
            weight: 1.0,
            limits: Default::default(),
            models: all_models(),
            header: Default::default(),
        }],
        timeouts: Timeouts::USUAL,
        headers: HeaderMap::new(),
        query: None,
        key_header: None,
        fixed_uri: Default::default(),
        speaks_one: Default::default(),
        only_chat: Default::default(),
        bills_unheard: vendor.dialect.bills_unheard(),
        terms: Terms::default(),
    }))
}

/// An address as people write it into variables: without scheme, with a last slash, without path.
fn located(address: &str, path: &str) -> Option<Uri> {
    let address = address.trim_end_matches('/');
    let whole = if address.contains("://") { address.to_owned() } else { format!("http://{address}") };
    let uri: Uri = absolute(&whole).ok()?;
    if uri.path().trim_matches('/').is_empty() { absolute(&format!("{whole}{path}")).ok() } else { Some(uri) }
}
