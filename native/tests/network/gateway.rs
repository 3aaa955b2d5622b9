//! The program under test.

use crate::provider::Certificate;
use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

/// A running gateway with a folder of its own.
pub(crate) struct Gateway {
    child: Child,
    pub(crate) address: SocketAddr,
    pub(crate) greeting: String,
    folder: Folder,
}

/// A folder that is removed with the test.
pub(crate) struct Folder(PathBuf);

impl Folder {
    pub(crate) fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("tollgate-network-{}-{name}", std::process::id()));
        std::fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    pub(crate) fn write(&self, name: &str, text: &str) -> PathBuf {
        let path = self.0.join(name);
        // In one step, so that nobody reads half of it.
        let draft = self.0.join(format!("{name}.draft"));
        std::fs::write(&draft, text).unwrap();
        std::fs::rename(draft, &path).unwrap();
        path
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// How to start one.
pub(crate) struct Setup {
    folder: Folder,
    server: String,
    base_url: String,
    environment: Vec<(&'static str, String)>,
}

impl Setup {
    /// With provider `up` at a URL.
    pub(crate) fn new(name: &str, base_url: &str) -> Self {
        Self {
            folder: Folder::new(name),
            server: String::new(),
            base_url: base_url.to_owned(),
            environment: Vec::new(),
        }
    }

    pub(crate) fn with(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.environment.push((name, value.into()));
        self
    }

    /// Trusts this certificate and no other.
    pub(crate) fn trusting(self, certificate: &Certificate) -> Self {
        let roots = self.folder.write("roots.pem", &certificate.pem);
        self.with("SSL_CERT_FILE", roots.to_string_lossy())
    }

    /// Encrypts its own connections.
    pub(crate) fn presenting(mut self, certificate: &Certificate) -> Self {
        let cert = self.folder.write("cert.pem", &certificate.pem);
        let key = self.folder.write("key.pem", &certificate.key_pem);
        let quoted = |path: &Path| format!("'{}'", path.display());
        self.server = format!("tls = {{ cert = {}, key = {} }}\n", quoted(&cert), quoted(&key));
        self
    }

    pub(crate) fn start(self) -> Gateway {
        let Self { folder, server, base_url, environment } = self;
        let text = format!(
            "[server]\nlisten = \"127.0.0.1:0\"\n{server}\n\
             [providers.up]\nkind = \"openai\"\nbase_url = \"{base_url}\"\nkeys = [{{ value = \"k\" }}]\n"
        );
        let file = folder.write("tollgate.toml", &text);
        let mut command = Command::new(env!("CARGO_BIN_EXE_tollgate"));
        for name in ["http_proxy", "https_proxy", "all_proxy", "no_proxy"] {
            command.env_remove(name).env_remove(name.to_uppercase());
        }
        // One worker: what is shared within a worker is shared by all calls of a test.
        command.args(["serve", "--workers", "1", "--config"]).arg(&file).envs(environment);
        let mut child = command.stdout(Stdio::piped()).spawn().unwrap();
        let mut greeting = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut greeting).unwrap();
        let address = greeting.split("://").nth(1).and_then(|rest| rest.split(',').next()).unwrap();
        Gateway { address: address.parse().unwrap(), child, greeting, folder }
    }
}

impl Gateway {
    /// Puts another certificate in the place of the one it presents.
    pub(crate) fn replace(&self, certificate: &Certificate) {
        self.folder.write("cert.pem", &certificate.pem);
        self.folder.write("key.pem", &certificate.key_pem);
    }
}

impl Drop for Gateway {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
