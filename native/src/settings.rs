//! Where the config comes from: a file, a text, or the usual variables.

use crate::jwks::{self, IssuerKeys};
use crate::tls;
use rustls::ServerConfig;
use std::cell::Cell;
use std::net::{SocketAddr, ToSocketAddrs};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use tollgate_core::config::{self, Config, SecretRef, Secrets};
use tollgate_core::directory::Directory;
use tollgate_core::secret::Secret;

/// The file that is used if it exists and no other is named.
pub const USUAL_FILE: &str = "tollgate.toml";

/// Where the config comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Source {
    /// A document, TOML or JSON.
    File(PathBuf),
    /// A document that is no file; its name is for messages.
    Text {
        /// For messages.
        name: &'static str,
        /// The document.
        text: String,
    },
    /// No document: every provider whose usual variable is set.
    Environment,
}

/// What the command line says over the document.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Overrides {
    /// Listen here.
    pub listen: Option<String>,
    /// Whether strangers may be served.
    pub exposure: Exposure,
}

/// Whether an address that others can reach may be bound while no key is required.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Exposure {
    /// No.
    #[default]
    Guarded,
    /// Yes, the operator said so.
    Open,
}

/// A config that can run.
#[derive(Debug)]
pub struct Settings {
    /// The config.
    pub config: Config,
    /// Where to listen; at least one address, tried in order.
    pub addresses: Vec<SocketAddr>,
    /// The certificate, if connections are encrypted.
    pub tls: Option<Arc<ServerConfig>>,
    /// Keys of tokens' issuers that are in files.
    pub keys: Vec<IssuerKeys>,
    /// Whether strangers may be served where others can reach the gateway.
    pub exposure: Exposure,
}

impl Settings {
    /// Refuses to serve everybody where everybody can come, unless the operator said so. The keys are
    /// those of the config and of the store.
    pub fn refuse_exposed(&self, directory: &Directory) -> Result<(), Problems> {
        let required = self.config.server.requires_key(directory);
        let reachable = self.addresses.iter().find(|address| !address.ip().to_canonical().is_loopback());
        match (reachable, self.exposure) {
            (Some(address), Exposure::Guarded) if !required => Err(exposed(*address)),
            _ => Ok(()),
        }
    }

    /// Puts the keys that are in files where tokens are checked.
    pub fn put_keys(&mut self, directory: &mut Directory) {
        for IssuerKeys { issuer, keys } in self.keys.drain(..) {
            directory.put_jwks(&issuer, keys);
        }
    }
}

/// Everything that is wrong, one message each.
#[derive(Debug, PartialEq, Eq)]
pub struct Problems(pub Vec<String>);

impl std::fmt::Display for Problems {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0.join("\n"))
    }
}

impl From<String> for Problems {
    fn from(problem: String) -> Self {
        Self(vec![problem])
    }
}

impl Source {
    /// The named file, else the usual one if it exists, else the environment.
    pub fn choose(named: Option<PathBuf>) -> Self {
        match named {
            Some(path) => Self::File(path),
            None if Path::new(USUAL_FILE).exists() => Self::File(USUAL_FILE.into()),
            None => Self::Environment,
        }
    }

    /// Reads, checks and resolves it.
    pub fn read(&self) -> Result<Config, Problems> {
        self.read_with(&secret)
    }

    /// Reads it without its secrets: something else stands for each, so no call can be made.
    pub fn read_without_secrets(&self) -> Result<Config, Problems> {
        self.read_with(&|_| Ok(Secret::new("left out")))
    }

    /// Reads it with those secrets that can be had here. For each that cannot something else stands,
    /// unlike any other and in a form that does for each kind, so no call can be made with it.
    pub fn read_with_what_there_is(&self) -> Result<Config, Problems> {
        let missing = Cell::new(0_u32);
        self.read_with(&|reference| {
            secret(reference).or_else(|_| {
                missing.set(missing.get().saturating_add(1));
                Ok(Secret::new(format!("left-out-{:0>33}A", missing.get())))
            })
        })
    }

    fn read_with(&self, secrets: Secrets<'_>) -> Result<Config, Problems> {
        match self {
            Self::Environment => Ok(config::compile::zero(&|name| std::env::var(name).ok())),
            Self::Text { name, text } => parse(name, text.as_bytes(), secrets),
            Self::File(path) => {
                let name = path.display().to_string();
                let text = std::fs::read(path).map_err(|error| {
                    format!(
                        "{name}: {error}\n  fix: name a file that exists with --config, or start without one"
                    )
                })?;
                parse(&name, &text, secrets)
            }
        }
    }
}

/// [`read`], and refuses what must not run, as far as the config tells: keys of a store are not known here.
pub fn load(source: &Source, overrides: &Overrides) -> Result<Settings, Problems> {
    let settings = read(source, overrides)?;
    settings.refuse_exposed(&Directory::of(&settings.config))?;
    Ok(settings)
}

/// Reads the config and everything it names. Whether it may run is for [`Settings::refuse_exposed`] to
/// say, once it is known who there is.
pub fn read(source: &Source, overrides: &Overrides) -> Result<Settings, Problems> {
    let mut config = source.read()?;
    if let Some(listen) = &overrides.listen {
        config.server.listen.clone_from(listen);
    }
    let addresses = resolve(&config.server.listen)?;
    let exposure = if config.server.open { Exposure::Open } else { overrides.exposure };
    let tls = config.server.tls.as_ref().map(tls::load).transpose()?;
    let keys = jwks::from_files(&config)?;
    Ok(Settings { config, addresses, tls, keys, exposure })
}

fn parse(name: &str, text: &[u8], secrets: Secrets<'_>) -> Result<Config, Problems> {
    config::load(text, secrets)
        .map_err(|errors| Problems(errors.iter().map(|error| located(name, error)).collect()))
}

fn located(name: &str, error: &config::ConfigError) -> String {
    let config::ConfigError { path, line, column, message, fix } = error;
    let path = if path.is_empty() { String::new() } else { format!("{path}: ") };
    format!("{name}:{line}:{column}: {path}{message}\n  fix: {fix}")
}

/// What a reference stands for, or why that cannot be had.
pub(crate) fn secret(reference: SecretRef<'_>) -> Result<Secret, String> {
    match reference {
        SecretRef::Env(name) => match std::env::var(name) {
            Ok(value) => Ok(Secret::new(value.trim())),
            Err(std::env::VarError::NotPresent) => Err("it is not set".to_owned()),
            Err(std::env::VarError::NotUnicode(_)) => Err("it is not UTF-8".to_owned()),
        },
        SecretRef::File(path) => match std::fs::read_to_string(path) {
            Ok(text) => Ok(Secret::new(text.trim())),
            Err(error) => Err(error.to_string()),
        },
        SecretRef::Literal(secret) => Ok(Secret::new(secret)),
    }
}

fn resolve(listen: &str) -> Result<Vec<SocketAddr>, Problems> {
    let fix = "\n  fix: give an address and a port, such as 127.0.0.1:8080 or [::]:8080";
    let found: Vec<_> =
        listen.to_socket_addrs().map_err(|error| format!("server.listen: {listen}: {error}{fix}"))?.collect();
    if found.is_empty() {
        return Err(format!("server.listen: {listen}: names no address{fix}").into());
    }
    Ok(found)
}

fn exposed(address: SocketAddr) -> Problems {
    format!(
        "server.listen: {address} can be reached from other machines and no key is required, so \
         anybody could spend your money.\n  \
         fix: add a [[keys]] entry to the config, or listen on 127.0.0.1:{port}, or pass --open if \
         something in front of the gateway checks who calls",
        port = address.port()
    )
    .into()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(text: &str) -> Source {
        Source::Text { name: "test.toml", text: text.to_owned() }
    }

    const OPEN: &str = "[server]\nlisten = \"0.0.0.0:0\"\n";

    #[test]
    fn an_open_gateway_is_not_shown_to_the_world() {
        let problems = load(&text(OPEN), &Overrides::default()).unwrap_err();
        for way_out in ["[[keys]]", "127.0.0.1", "--open"] {
            assert!(problems.to_string().contains(way_out), "{problems}");
        }
        let loopback = Overrides { listen: Some("localhost:0".to_owned()), ..Overrides::default() };
        assert!(load(&text(OPEN), &loopback).is_ok());
        assert!(load(&text(OPEN), &Overrides { exposure: Exposure::Open, listen: None }).is_ok());
        let guarded =
            format!("{OPEN}[[keys]]\nname = \"a\"\nvalue = \"tg-0123456789abcdef0123456789abcdef\"\n");
        assert!(load(&text(&guarded), &Overrides::default()).is_ok());
    }

    #[test]
    fn keys_of_the_store_guard_a_gateway_as_those_of_the_config_do() {
        let settings = read(&text(OPEN), &Overrides::default()).unwrap();
        let mut directory = Directory::of(&settings.config);
        assert!(settings.refuse_exposed(&directory).is_err());
        directory.put_key(tollgate_core::directory::Key::new("stored", [1; 32])).unwrap();
        assert!(settings.refuse_exposed(&directory).is_ok());
        let strangers = read(&text(&format!("{OPEN}require_key = false\n")), &Overrides::default()).unwrap();
        assert!(strangers.refuse_exposed(&directory).is_err(), "keys that nobody needs guard nothing");
    }

    #[test]
    fn what_can_not_be_had_here_is_stood_in_for() {
        let config = "[server]\nadmin_key = \"env:NOT_SET_1\"\n[tokens]\nsecret = \"env:NOT_SET_2\"\n\
            ed25519 = \"file:/not/there\"\n[[keys]]\nname = \"a\"\nvalue = \"env:NOT_SET_3\"\n\
            [[keys]]\nname = \"b\"\nvalue = \"env:NOT_SET_4\"\n";
        assert!(text(config).read().is_err());
        let read = text(config).read_with_what_there_is().unwrap();
        assert_ne!(read.keys[0].sha256, read.keys[1].sha256);
        assert!(text("[server]\nlisten = 5\n").read_with_what_there_is().is_err());
    }

    #[test]
    fn every_error_has_its_file_line_and_fix() {
        let problems =
            load(&text("[server]\nlisten = 5\nlisen = \"x\"\n"), &Overrides::default()).unwrap_err();
        assert_eq!(problems.0.len(), 2, "{problems}");
        assert!(
            problems.0.iter().all(|problem| problem.starts_with("test.toml:") && problem.contains("fix:"))
        );
    }

    #[test]
    fn an_address_that_is_none_is_refused() {
        let wrong = Overrides { listen: Some("8080".to_owned()), ..Overrides::default() };
        assert!(load(&text(""), &wrong).unwrap_err().to_string().contains("server.listen: 8080"));
    }
}
