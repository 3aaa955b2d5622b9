//! Whom we trust: the system's roots, or bundled ones where the system has none.

use rustls::client::ClientConfig;
use rustls::crypto::{CryptoProvider, ring};
use rustls::{ConfigBuilder, RootCertStore, WantsVerifier};
use std::sync::{Arc, OnceLock};

/// What our clients speak, loaded when first asked for: reading the system's roots takes longer than
/// everything else at start.
#[derive(Debug, Default)]
pub struct Roots {
    upstream: OnceLock<Arc<ClientConfig>>,
    proxy: OnceLock<Arc<ClientConfig>>,
}

impl Roots {
    /// For upstreams: offers HTTP/2 and HTTP/1.1.
    pub fn upstream(&self) -> Arc<ClientConfig> {
        Arc::clone(self.upstream.get_or_init(|| {
            let mut config = trusting(&system_roots());
            config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
            Arc::new(config)
        }))
    }

    /// For what is not HTTP: offers nothing.
    pub(crate) fn plain(&self) -> Arc<ClientConfig> {
        self.proxy()
    }

    /// For proxies: offers nothing, which means HTTP/1.1.
    pub(super) fn proxy(&self) -> Arc<ClientConfig> {
        Arc::clone(self.proxy.get_or_init(|| Arc::new(trusting(&system_roots()))))
    }
}

/// The one cryptography we are built with.
pub(crate) fn provider() -> Arc<CryptoProvider> {
    static PROVIDER: OnceLock<Arc<CryptoProvider>> = OnceLock::new();
    Arc::clone(PROVIDER.get_or_init(|| Arc::new(ring::default_provider())))
}

fn trusting(roots: &Arc<RootCertStore>) -> ClientConfig {
    client().with_root_certificates(Arc::clone(roots)).with_no_client_auth()
}

fn client() -> ConfigBuilder<ClientConfig, WantsVerifier> {
    #[expect(clippy::expect_used, reason = "ring supports both versions; a build without them cannot start")]
    ClientConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()
        .expect("ring supports TLS 1.2 and 1.3")
}

/// `SSL_CERT_FILE` and `SSL_CERT_DIR` where they are set, else the system's roots, else bundled ones.
fn system_roots() -> Arc<RootCertStore> {
    let found = rustls_native_certs::load_native_certs();
    for error in &found.errors {
        tracing::warn!(%error, "could not read some of the system's root certificates");
    }
    let mut roots = RootCertStore::empty();
    let (added, _) = roots.add_parsable_certificates(found.certs);
    if added == 0 {
        tracing::info!("the system has no root certificates, the bundled ones are used");
        roots.extend(webpki_roots::TLS_SERVER_ROOTS.iter().cloned());
    }
    Arc::new(roots)
}
