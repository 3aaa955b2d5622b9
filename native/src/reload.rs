//! Takes up a changed config or certificate without a restart.

use crate::host::Shared;
use crate::settings::{self, Overrides, Problems, Settings, Source};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};
use tollgate_core::token::JwksSource;

/// Between two looks at the files.
pub const INTERVAL: Duration = Duration::from_secs(1);

/// What a file looked like; absent and unreadable files look the same.
type Look = Option<(SystemTime, u64)>;

/// Knows what the running config was made of.
pub struct Reloader {
    source: Source,
    overrides: Overrides,
    shared: Arc<Shared>,
    seen: Vec<Seen>,
}

struct Seen {
    path: PathBuf,
    look: Look,
}

impl Reloader {
    /// Watches what the config that runs now was read from.
    pub fn new(source: Source, overrides: Overrides, shared: Arc<Shared>) -> Self {
        let mut reloader = Self { source, overrides, shared, seen: Vec::new() };
        reloader.watch();
        reloader
    }

    /// Whether a file has changed since the config was last read.
    pub fn is_stale(&self) -> bool {
        self.seen.iter().any(|seen| look(&seen.path) != seen.look)
    }

    /// Reads everything again. What is wrong with it is logged and told, and the old config stays.
    pub fn reload(&mut self) -> Vec<String> {
        // Before reading, so that a change in the meantime is seen by the next look.
        self.watch();
        match self.read() {
            Err(problems) => {
                tracing::error!("the new config is refused, the old one stays:\n{problems}");
                problems.to_string().lines().map(str::to_owned).collect()
            }
            Ok(mut settings) => {
                let old = self.shared.config.load();
                if old.server.listen != settings.config.server.listen {
                    tracing::warn!(
                        listen = settings.config.server.listen,
                        "a new address to listen on is taken up at the next start"
                    );
                }
                self.shared.tls.store(settings.tls.take());
                let mut directory = self.shared.directory_mut();
                directory.reseat(&settings.config);
                settings.put_keys(&mut directory);
                // While nobody puts in keys of an issuer that the new config does not name.
                self.shared.config.store(Arc::new(settings.config));
                drop(directory);
                self.watch_more();
                tracing::info!("config reloaded");
                Vec::new()
            }
        }
    }

    fn read(&self) -> Result<Settings, Problems> {
        let settings = settings::read(&self.source, &self.overrides)?;
        let mut directory = self.shared.directory().clone();
        directory.reseat(&settings.config);
        settings.refuse_exposed(&directory)?;
        Ok(settings)
    }

    fn watch(&mut self) {
        self.seen.clear();
        if let Source::File(path) = &self.source {
            self.seen.push(Seen { look: look(path), path: path.clone() });
        }
        self.watch_more();
    }

    /// The files of the certificate and of issuers' keys, where the config that runs has any that are not
    /// watched yet.
    fn watch_more(&mut self) {
        let config = self.shared.config.load();
        let tls = config.server.tls.iter().flat_map(|tls| [&tls.cert, &tls.key]);
        let keys = config.tokens.issuers.iter().filter_map(|issuer| match &issuer.jwks {
            JwksSource::File(path) => Some(path),
            JwksSource::Url(_) => None,
        });
        for path in tls.chain(keys).map(PathBuf::from) {
            if !self.seen.iter().any(|seen| seen.path == path) {
                self.seen.push(Seen { look: look(&path), path });
            }
        }
    }
}

fn look(path: &Path) -> Look {
    let found = std::fs::metadata(path).ok()?;
    Some((found.modified().ok()?, found.len()))
}
