//! Providers: the vendor's row, the base URL, the keys.

use super::{Compiler, aws, sendable, source};
use crate::config::UpstreamLimits;
use crate::config::fault::{Place, closest, show};
use crate::config::file::{self, KeySecret};
use crate::config::read::Spot;
use crate::config::{Credential, Override, Pattern, Provider, ProviderId, Route, SecretRef, Timeouts};
use crate::dialect::Dialect;
use crate::secret::Secret;
use crate::sort;
use crate::sort::{Map, Set};
use crate::vendor::{Auth, ChatPath, VENDORS, Vendor, custom, find};
use http::{HeaderMap, HeaderName, HeaderValue, Uri};
use std::sync::Arc;

/// The providers of a document.
pub(super) struct Named {
    /// Those without errors.
    pub(super) compiled: Vec<Provider>,
    /// All names, so that a mistake in a provider is not reported again wherever it is used.
    pub(super) declared: Set<String>,
    /// What the config says of prices.
    pub(super) prices: Vec<Override>,
}

impl Named {
    /// The id of a compiled provider.
    pub(super) fn id(&self, name: &str) -> Option<ProviderId> {
        let at = self.compiled.iter().position(|provider| provider.name == name)?;
        u16::try_from(at).ok().map(ProviderId)
    }
}

impl Compiler<'_> {
    pub(super) fn providers(&mut self, raw: Vec<file::Provider>) -> Named {
        let declared = sort::set(raw.iter().map(|provider| provider.name.value.clone()));
        if raw.is_empty() {
            self.notes.push("there is no provider: no model can be reached".to_owned());
        }
        if let Some(surplus) = raw.get(usize::from(u16::MAX)) {
            self.errors.push(&surplus.name.place, "more than 65535 providers", "remove some");
        }
        let compiled = raw.into_iter().filter_map(|provider| self.provider(provider)).collect();
        Named { compiled, declared, prices: Vec::new() }
    }

    fn provider(&mut self, raw: file::Provider) -> Option<Provider> {
        let file::Provider {
            name,
            kind,
            base_url,
            region,
            project,
            location,
            keys,
            first_byte,
            idle,
            total,
            session,
            session_idle,
            headers,
            query,
            key_header,
            api_version,
            bills_unheard,
            terms,
        } = raw;
        self.provider_name(&name);
        let vendor = self.vendor(&name, kind.as_ref());
        let region = vendor.and_then(|vendor| self.region(&name, vendor, region, base_url.as_ref()));
        let region = region.as_deref();
        let own = base_url.is_none();
        let base_url = vendor.and_then(|vendor| self.base_url(&name, vendor, base_url, region));
        let base_url = self.in_project(&name, vendor, base_url, own, (project, location));
        let vendor = vendor.map(|vendor| at_address(vendor, &name.value, base_url.as_ref()));
        let headers = self.headers(headers);
        let query = self.query(query, api_version);
        let key_header = key_header.and_then(|raw| self.key_header(raw, vendor));
        let credentials = self.credentials(keys, vendor, region);
        let (vendor, Place { path, .. }) = (vendor?, &name.place);
        let base_url = base_url?;
        let credentials = if credentials.is_empty() {
            let is_home = own || same_host(vendor, &base_url);
            let home = if is_home { Home::Vendor } else { Home::Elsewhere };
            self.usual_credential(path, &name, vendor, home, region)
        } else {
            credentials
        };
        Some(Provider {
            name: name.value,
            vendor,
            dialect: vendor.dialect,
            base_url,
            credentials,
            timeouts: Timeouts {
                first_byte: first_byte.unwrap_or(Timeouts::USUAL.first_byte),
                idle: idle.unwrap_or(Timeouts::USUAL.idle),
                total: total.unwrap_or(Timeouts::USUAL.total),
                session: session.unwrap_or(Timeouts::USUAL.session),
                session_idle: session_idle.unwrap_or(Timeouts::USUAL.session_idle),
            },
            headers,
            query,
            key_header,
            fixed_uri: Default::default(),
            speaks_one: Default::default(),
            only_chat: Default::default(),
            bills_unheard: bills_unheard.unwrap_or(vendor.dialect.bills_unheard()),
            terms,
        })
    }

    fn provider_name(&mut self, name: &Spot<String>) {
        let fits = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
        if name.value.is_empty() || !name.value.chars().all(fits) {
            let fix = "use letters, digits, `-`, `_` and `.` only";
            self.errors.push(&name.place, "the name cannot stand before the slash of provider/model", fix);
        }
    }

    fn vendor(&mut self, name: &Spot<String>, kind: Option<&Spot<String>>) -> Option<&'static Vendor> {
        let asked = kind.unwrap_or(name);
        if let Some(vendor) = find(&asked.value) {
            return Some(vendor);
        }
        let known = || VENDORS.iter().map(|vendor| vendor.name);
        let fix = match (closest(&asked.value, known()), kind) {
            (Some(name), Some(_)) => format!("did you mean `{name}`?"),
            (Some(name), None) => format!("did you mean `{name}`? Otherwise add `kind`, such as \"openai\""),
            (None, _) => r#"add `kind`: a vendor, or the dialect it speaks, such as "openai""#.to_owned(),
        };
        self.errors.push(&asked.place, format!("unknown kind of provider {}", show(&asked.value)), fix);
        None
    }

    fn base_url(
        &mut self,
        name: &Spot<String>,
        vendor: &'static Vendor,
        raw: Option<Spot<String>>,
        region: Option<&str>,
    ) -> Option<Uri> {
        let Some(raw) = raw else {
            if vendor.base_url.is_empty() {
                let message = format!("`base_url` is missing: {} has no common one", vendor.title);
                let fix = r#"add `base_url = "https://…"`, everything before the dialect's own path"#;
                self.errors.push(&name.place, message, fix);
                return None;
            }
            return match vendor.auth {
                Auth::Aws => absolute(&aws::address(vendor, region?)).ok(),
                Auth::Bearer | Auth::Token | Auth::Header(_) | Auth::Optional => {
                    absolute(vendor.base_url).ok()
                }
            };
        };
        match absolute(&raw.value) {
            Ok(url) => Some(url),
            Err(message) => {
                let fix = r#"write an absolute URL such as "https://api.example.com/v1""#;
                self.errors.push(&raw.place, message, fix);
                None
            }
        }
    }

    /// The address of a project's models at Google Cloud: below the one that is given, or at the one of the
    /// location. What is wrong with either is reported.
    fn in_project(
        &mut self,
        name: &Spot<String>,
        vendor: Option<&Vendor>,
        base_url: Option<Uri>,
        own: bool,
        (project, location): (Option<Spot<String>>, Option<Spot<String>>),
    ) -> Option<Uri> {
        if vendor.is_none_or(|vendor| vendor.quirks.path != ChatPath::Vertex) {
            if let Some(raw) = project.or(location) {
                self.errors.push(&raw.place, "only Vertex AI has projects and locations", "remove it");
            }
            return base_url;
        }
        let mut part = |raw: Option<Spot<String>>, variable: &str| {
            let place = raw.as_ref().map_or(&name.place, |raw| &raw.place).clone();
            let usual = || self.usual(variable).map(|value| value.expose().to_owned());
            let found = raw.map(|raw| raw.value).or_else(usual);
            let fits = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '.' | ':');
            if let Some(found) = found.as_ref().filter(|found| !found.chars().all(fits) || found.is_empty()) {
                self.errors.push(&place, format!("not a name of Google's: {}", show(found)), "write it bare");
            }
            found
        };
        let (project, location) =
            (part(project, "GOOGLE_CLOUD_PROJECT"), part(location, "GOOGLE_CLOUD_LOCATION"));
        let Some(project) = project else {
            let fix = "add `project = \"my-project\"`, or set GOOGLE_CLOUD_PROJECT";
            self.errors.push(&name.place, "`project` is missing", fix);
            return None;
        };
        let location = location.unwrap_or_else(|| "global".to_owned());
        let host = match location.as_str() {
            _ if !own => base_url?.to_string(),
            "global" => "https://aiplatform.googleapis.com".to_owned(),
            "us" | "eu" => format!("https://aiplatform.{location}.rep.googleapis.com"),
            _ => format!("https://{location}-aiplatform.googleapis.com"),
        };
        let host = host.trim_end_matches('/');
        absolute(&format!("{host}/v1/projects/{project}/locations/{location}/publishers")).ok()
    }

    fn headers(&mut self, raw: Vec<file::Header>) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for file::Header { name, value } in raw {
            let Ok(key) = name.value.to_ascii_lowercase().parse::<HeaderName>() else {
                self.errors.push(&name.place, "not a header name", "use letters, digits and `-`");
                continue;
            };
            if matches!(key.as_str(), "host" | "content-length" | "transfer-encoding" | "connection") {
                self.errors.push(&name.place, "this header is the gateway's own to set", "remove it");
            }
            let Some(secret) = self.secret(&value) else { continue };
            if let Ok(mut text) = HeaderValue::from_str(secret.expose()) {
                // Values may be secrets; this keeps them out of debug prints.
                text.set_sensitive(true);
                if headers.insert(key, text).is_some() {
                    self.twice(&name.place, "header", &name.value);
                }
            }
        }
        headers
    }

    fn query(&mut self, raw: Vec<file::Header>, version: Option<Spot<String>>) -> Option<String> {
        let fits = |text: &str| {
            let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '.' | '_' | '~');
            !text.is_empty() && text.chars().all(plain)
        };
        let mut all = String::new();
        let mut add = |name: &str, value: &str| {
            for part in [if all.is_empty() { "" } else { "&" }, name, "=", value] {
                all.push_str(part);
            }
        };
        if let Some(raw) = version {
            if !fits(&raw.value) {
                self.errors.push(&raw.place, "not a version", r#"write it bare, such as "2024-10-21""#);
            }
            add("api-version", &raw.value);
        }
        for file::Header { name, value } in raw {
            if !fits(&name.value) || !fits(&value.value) {
                let fix = "use letters, digits, `-`, `.`, `_` and `~` only; secrets belong into `headers`";
                self.errors.push(&value.place, "not a member of a query", fix);
            }
            add(&name.value, &value.value);
        }
        (!all.is_empty()).then_some(all)
    }

    /// `name`, or `name: word` with what stands before the key.
    fn key_header(&mut self, raw: Spot<String>, vendor: Option<&Vendor>) -> Option<(HeaderName, String)> {
        if vendor.is_some_and(|vendor| vendor.auth == Auth::Aws) {
            self.errors.push(&raw.place, "AWS's keys have no header of their own", "remove it");
        }
        let (name, word) = raw.value.split_once(':').unwrap_or((&raw.value, ""));
        let name = name.trim().to_ascii_lowercase().parse::<HeaderName>().ok();
        let word = word.trim();
        let Some(name) = name.filter(|_| word.bytes().all(|byte| byte.is_ascii_graphic())) else {
            let fix = r#"write "x-api-key", or "authorization: Key" with the word before the key"#;
            self.errors.push(&raw.place, "not a header", fix);
            return None;
        };
        Some((name, if word.is_empty() { String::new() } else { [word, " "].concat() }))
    }

    fn credentials(
        &mut self,
        raw: Vec<file::ProviderKey>,
        vendor: Option<&Vendor>,
        region: Option<&str>,
    ) -> Vec<Credential> {
        let mut names = Set::new();
        let mut credentials = Vec::with_capacity(raw.len());
        for (index, raw) in raw.into_iter().enumerate() {
            let file::ProviderKey { name, secret, weight, models, limits } = raw;
            let (KeySecret::Value(Spot { place, .. })
            | KeySecret::Access(file::AccessKey { id: Spot { place, .. }, .. })
            | KeySecret::Source(file::KeySource { from: Spot { place, .. }, .. })) = &secret;
            let place = name.as_ref().map_or_else(|| place.clone(), |name| name.place.clone());
            let (secret, signer, source) = match secret {
                KeySecret::Value(value) => (self.secret(&value), None, None),
                KeySecret::Access(key) => (None, self.signer(key, vendor, region), None),
                KeySecret::Source(source) => (None, None, self.source(source, vendor, region)),
            };
            let name = name.map_or_else(|| (index + 1).to_string(), |name| name.value);
            if !names.insert(name.clone()) {
                self.twice(&place, "key", &name);
            }
            let models = models.map_or_else(all_models, |models| self.patterns(models));
            let header = Default::default();
            credentials.push(Credential { name, secret, signer, source, weight, models, limits, header });
        }
        credentials
    }

    /// The key of a provider that names none: at the vendor's own address the one of its usual
    /// variable; anywhere else nothing, since the vendor's key is no other host's to see.
    fn usual_credential(
        &mut self,
        path: &str,
        name: &Spot<String>,
        vendor: &'static Vendor,
        home: Home,
        region: Option<&str>,
    ) -> Vec<Credential> {
        let usual = match home {
            Home::Vendor => vendor.env.iter().find_map(|name| self.usual(name)),
            Home::Elsewhere => None,
        };
        let signer = match (&usual, home, vendor.auth) {
            (None, Home::Vendor, Auth::Aws) => self.usual_signer(region),
            (Some(_), _, _) | (_, Home::Elsewhere, _) => None,
            (_, _, Auth::Bearer | Auth::Token | Auth::Header(_) | Auth::Optional) => None,
        };
        let source = source::usual(vendor).filter(|_| matches!(home, Home::Vendor));
        if source.is_some() {
            // Whoever has no key of his own has one where he runs.
        } else if let (None, None, Home::Vendor, Auth::Bearer | Auth::Token | Auth::Header(_) | Auth::Aws) =
            (&usual, &signer, home, vendor.auth)
        {
            let mut variables = vendor.env.join(" or ");
            if vendor.auth == Auth::Aws {
                variables.push_str(" or AWS_ACCESS_KEY_ID");
            }
            let message = format!("no key, and {variables} is not set");
            let fix = format!("set {variables}, or add `key = \"env:NAME\"` to [{path}]");
            self.errors.push(&name.place, message, fix);
        }
        vec![Credential {
            name: "1".to_owned(),
            secret: usual,
            signer,
            source,
            weight: 1.0,
            models: all_models(),
            limits: UpstreamLimits::default(),
            header: Default::default(),
        }]
    }

    /// The secret in a vendor's usual variable, if it holds one that can be sent.
    pub(super) fn usual(&self, name: &str) -> Option<Secret> {
        let found = (self.secrets)(SecretRef::Env(name)).ok()?;
        let secret = Secret::new(found.expose().trim());
        (!secret.is_empty() && sendable(secret.expose())).then_some(secret)
    }

    /// Patterns of model names; what is none is reported.
    pub(super) fn patterns(&mut self, raw: Vec<Spot<String>>) -> Vec<Pattern> {
        let mut patterns = Vec::with_capacity(raw.len());
        for Spot { value, place } in raw {
            match Pattern::parse(&value) {
                Some(pattern) => patterns.push(pattern),
                None => self.errors.push(&place, "a star stands before the end", "move it to the end"),
            }
        }
        patterns
    }

    /// Targets whose models none of their provider's keys serves.
    fn note_unserved(&mut self, providers: &[Provider], route: &Route) {
        for target in route.targets.iter().chain(&route.fallbacks) {
            let Some(provider) = providers.get(usize::from(target.provider.0)) else { continue };
            let serves = |key: &Credential| key.models.iter().any(|pattern| pattern.matches(&target.model));
            if !provider.credentials.iter().any(serves) {
                let (route, model, name) = (&route.name, &target.model, &provider.name);
                self.notes.push(format!("route `{route}`: no key of provider `{name}` serves `{model}`"));
            }
        }
    }

    /// What works, though perhaps not as meant.
    pub(super) fn notes_on_use(&mut self, providers: &[Provider], routes: &Map<String, Arc<Route>>) {
        if routes.is_empty() {
            return;
        }
        for route in routes.values() {
            self.note_unserved(providers, route);
        }
        let targets = routes.values().flat_map(|route| route.targets.iter().chain(&route.fallbacks));
        let used = sort::set(targets.map(|target| target.provider));
        for (index, provider) in providers.iter().enumerate() {
            if u16::try_from(index).is_ok_and(|index| !used.contains(&ProviderId(index))) {
                let name = &provider.name;
                self.notes
                    .push(format!("provider `{name}` is in no route: it is reached as `{name}/<model>`"));
            }
        }
    }
}

/// Whether a provider's base URL is its vendor's own.
#[derive(Clone, Copy)]
enum Home {
    Vendor,
    Elsewhere,
}

/// Every model.
pub(super) fn all_models() -> Vec<Pattern> {
    vec![Pattern::Prefix(String::new())]
}

/// The row that holds at this address. A dialect's name is also that of the vendor who made it: as
/// the kind of a provider of another name at another address it means the dialect, with nothing of
/// that vendor's assumed. A provider that bears the vendor's name is the vendor's, wherever it is
/// reached: through a proxy, for example.
fn at_address(vendor: &'static Vendor, name: &str, url: Option<&Uri>) -> &'static Vendor {
    let is_dialect = Dialect::ALL.iter().any(|(_, dialect)| *dialect == vendor.name);
    match url {
        Some(url) if is_dialect && name != vendor.name && !same_host(vendor, url) => custom(vendor.dialect),
        Some(_) | None => vendor,
    }
}

fn same_host(vendor: &Vendor, url: &Uri) -> bool {
    url.host().is_some_and(|host| aws::is_home(vendor, host))
        || absolute(vendor.base_url).is_ok_and(|home| home.host() == url.host())
}

/// An absolute `http` or `https` URL without query, fragment or credentials.
pub(super) fn absolute(text: &str) -> Result<Uri, String> {
    let trimmed = text.trim_end_matches('/');
    let url: Uri = trimmed.parse().map_err(|_| "not a URL".to_owned())?;
    match (url.scheme_str(), url.authority()) {
        (Some("http" | "https"), Some(authority)) if authority.as_str().contains('@') => {
            Err("a base URL carries no user name or password".to_owned())
        }
        (Some("http" | "https"), Some(_)) if url.query().is_some() || text.contains('#') => {
            Err("a base URL carries no query".to_owned())
        }
        (Some("http" | "https"), Some(authority)) if !authority.host().is_empty() => Ok(url),
        (Some(_) | None, Some(_) | None) => Err("not an absolute http or https URL".to_owned()),
    }
}
