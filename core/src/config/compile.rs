//! From the document to the config that runs.
//!
//! ```text
//! text ─▶ tree ─▶ file::Document ─▶ providers ─▶ routes ─▶ holders ─▶ keys ─▶ Config
//!          └──────────┴───────────────┴───────────┴──────────┴─────────┴────▶ every error, by position
//! ```
//! Each step reports what is wrong with its part and leaves it out, so that the later ones still
//! run and one reading shows all that must be mended.

mod aws;
mod source;
mod cache;
mod guardrails;
pub(super) mod keys;
mod prices;
mod providers;
mod routes;
mod tokens;
mod zero;

pub(crate) use routes::ATTEMPTS;
pub(super) use routes::default_deadline;
pub use zero::zero;

use super::fault::{Errors, Place};
use super::file::{self, Document};
use super::read::Spot;
use super::{Alerts, Config, ConfigError, Derived, SecretRef, Secrets, Server, Store, Tls, tree};
use crate::directory::Directory;
use crate::secret::Secret;
use crate::units::Millis;
use keys::{Known, Names};
use providers::Named;

/// Where the gateway listens unless told otherwise: reachable from this machine only.
pub(super) const LISTEN: &str = "127.0.0.1:8080";
const MAX_BODY: u64 = 32 << 20;
const DRAIN: Millis = Millis::from_secs(30);
const STORE: &str = "tollgate.db";

/// Bytes of responses that are kept.
const RESPONSES: u64 = 1 << 30;
const NAMESPACE: &str = "tollgate";

/// What the steps share.
struct Compiler<'a> {
    secrets: Secrets<'a>,
    errors: Errors,
    notes: Vec<String>,
}

/// Reads a document, TOML or JSON, and resolves it. The text may be anything; secrets are asked of
/// `secrets`, each once for every place it is named at.
pub(super) fn load(text: &[u8], secrets: Secrets<'_>) -> Result<Config, Vec<ConfigError>> {
    // Editors on Windows put a byte order mark before UTF-8.
    let text = text.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(text);
    let mut compiler = Compiler { secrets, errors: Errors::new(), notes: Vec::new() };
    let config = tree::parse(text, &mut compiler.errors).map(|root| {
        let document = Document::read(&root, &mut compiler.errors);
        compiler.config(document)
    });
    match config {
        Some(config) if compiler.errors.is_empty() => Ok(Config { notes: compiler.notes, ..config }),
        Some(_) | None => Err(compiler.errors.locate(text)),
    }
}

impl Compiler<'_> {
    fn config(&mut self, document: Document) -> Config {
        let Document {
            server,
            store,
            providers,
            models,
            prices,
            holders,
            keys,
            tokens,
            cache,
            guardrails,
            webhook,
        } = document;
        let cache = self.cache(cache);
        let mut named = self.providers(providers);
        named.prices = self.prices(prices, &named);
        let routes = self.routes(models, &named, &cache);
        let nobody = Directory::default();
        let known = Known {
            providers: named.declared.iter().map(String::as_str).collect(),
            routes: &routes,
            directory: &nobody,
            names: Names::Checked,
            cache,
        };
        let guardrails = self.guardrails(guardrails, &known);
        let holders = self.holders(holders, &known);
        let keys = self.keys(keys, &known.among(&Directory::of_holders(&holders)));
        let server = self.server(server, keys.is_empty());
        let store = self.store(store);
        let tokens = self.tokens(tokens, server.admin_key.as_ref());
        let alerts = Alerts { webhook: webhook.and_then(|webhook| self.webhook(&webhook)) };
        let Named { compiled: providers, prices, declared: _ } = named;
        self.notes_on_use(&providers, &routes);
        Config {
            server,
            providers,
            routes,
            derived: Derived::default(),
            prices,
            holders,
            keys,
            tokens,
            alerts,
            cache,
            guardrails,
            store,
            notes: Vec::new(),
        }
    }

    fn server(&mut self, raw: file::Server, keyless: bool) -> Server {
        let file::Server {
            listen,
            admin_key,
            require_key,
            max_body,
            drain,
            tls,
            cors_origins,
            open,
            unknown_price,
            fetch_media,
            zone,
            trusted_proxies,
        } = raw;
        if let Some(listen) = listen.as_ref().filter(|listen| !is_address(&listen.value)) {
            let fix = format!("write address:port, such as {LISTEN:?}");
            self.errors.push(&listen.place, "not an address with a port", fix);
        }
        if require_key == Some(true) && keyless {
            self.notes
                .push("a key is required and the config has none: only keys of the store open".to_owned());
        }
        Server {
            listen: listen.map_or_else(|| LISTEN.to_owned(), |listen| listen.value),
            admin_key: admin_key.and_then(|key| self.secret(&key)),
            require_key: require_key.unwrap_or(!keyless),
            serves_strangers: require_key == Some(false),
            max_body: max_body.unwrap_or(MAX_BODY),
            drain: drain.unwrap_or(DRAIN),
            tls: tls.map(|file::Tls { cert, key }| Tls { cert, key }),
            cors_origins: self.origins(cors_origins),
            open: open.unwrap_or(false),
            unknown_price: unknown_price.unwrap_or_default(),
            fetch_media,
            zone,
            trusted_proxies,
        }
    }

    fn origins(&mut self, raw: Vec<Spot<String>>) -> Vec<String> {
        let mut origins = Vec::with_capacity(raw.len());
        for origin in raw {
            let (scheme, host) = origin.value.split_once("://").unwrap_or(("", ""));
            let fits = !scheme.is_empty() && !host.is_empty() && !host.contains(['/', ' ', '*']);
            if origin.value != "*" && !fits {
                let fix = r#"write scheme://host[:port] without a path, or "*""#;
                self.errors.push(&origin.place, "not an origin", fix);
            }
            origins.push(origin.value);
        }
        origins
    }

    fn store(&mut self, raw: file::Store) -> Store {
        let file::Store { path, redis, namespace, fail, responses, responses_size } = raw;
        Store {
            path: path.unwrap_or_else(|| STORE.to_owned()),
            redis: redis.and_then(|redis| self.secret(&redis)),
            namespace: namespace.unwrap_or_else(|| NAMESPACE.to_owned()),
            fail,
            responses: responses.map(|kept| kept.value),
            responses_size: responses_size.map_or(RESPONSES, |size| size.value),
        }
    }

    /// Addresses of webhooks often hold a secret, so none is shown.
    fn webhook(&mut self, spot: &Spot<String>) -> Option<Secret> {
        let secret = self.secret(spot)?;
        let url: Option<http::Uri> = secret.expose().parse().ok();
        let fits = url.is_some_and(|url| {
            matches!(url.scheme_str(), Some("https" | "http"))
                && url.host().is_some_and(|host| !host.is_empty())
        });
        if !fits {
            self.errors.push(&spot.place, "not a URL", r#"write "https://…""#);
        }
        fits.then_some(secret)
    }

    /// What a secret's reference stands for, fit for a header. Errors name the reference, never a
    /// secret.
    fn secret(&mut self, spot: &Spot<String>) -> Option<Secret> {
        let secret = self.found(spot)?;
        if !sendable(secret.expose()) {
            let what = what_is(SecretRef::parse(&spot.value));
            let message = format!("{what} holds a character that no header can carry");
            self.errors.push(&spot.place, message, "use visible ASCII only");
            return None;
        }
        Some(secret)
    }

    /// What a secret's reference stands for, of several lines perhaps.
    pub(super) fn found(&mut self, spot: &Spot<String>) -> Option<Secret> {
        let reference = SecretRef::parse(&spot.value);
        let found = match reference {
            SecretRef::Literal(literal) => Ok(Secret::new(literal)),
            SecretRef::Env(_) | SecretRef::File(_) => (self.secrets)(reference),
        };
        let what = what_is(reference);
        let fix = match reference {
            SecretRef::Env(name) => format!("set {name} where the gateway starts"),
            SecretRef::File(_) => "put the secret there, readable".to_owned(),
            SecretRef::Literal(_) => "write it without control characters".to_owned(),
        };
        // Files end in a line feed, and pasted variables often do; no secret does.
        match found.map(|secret| Secret::new(secret.expose().trim())) {
            Ok(secret) if secret.is_empty() => self.errors.push(&spot.place, format!("{what} is empty"), fix),
            Ok(secret) => return Some(secret),
            Err(reason) => self.errors.push(&spot.place, format!("{what}: {reason}"), fix),
        }
        None
    }

    /// Reports a name that was there before.
    fn twice(&mut self, place: &Place, what: &str, name: &str) {
        let message = format!("a second {what} named {}", super::fault::show(name));
        self.errors.push(place, message, "give each its own name");
    }
}

/// A secret's place in words.
fn what_is(reference: SecretRef<'_>) -> String {
    match reference {
        SecretRef::Env(name) => format!("environment variable {name}"),
        SecretRef::File(path) => format!("file {path}"),
        SecretRef::Literal(_) => "the secret".to_owned(),
    }
}

/// Whether a header can carry it for every client and server: visible ASCII and spaces.
fn sendable(secret: &str) -> bool {
    secret.bytes().all(|byte| (0x20..0x7F).contains(&byte))
}

/// `127.0.0.1:8080`, `[::]:80`, `localhost:8080`, `:8080` is not: it hides that all may reach it.
fn is_address(text: &str) -> bool {
    let Some((host, port)) = text.rsplit_once(':') else { return false };
    let bare = !host.contains([':', '/', ' ', '[', ']']) && !host.is_empty();
    let port =
        !port.is_empty() && port.bytes().all(|byte| byte.is_ascii_digit()) && port.parse::<u16>().is_ok();
    port && (bare || text.parse::<std::net::SocketAddr>().is_ok())
}
