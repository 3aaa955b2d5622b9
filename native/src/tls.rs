//! The gateway's own certificate.

use crate::upstream::tls::provider;
use rustls::ServerConfig;
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use std::sync::Arc;
use tollgate_core::config::Tls;

/// Reads certificate chain and key. The error names the file and what is wrong with it.
pub fn load(files: &Tls) -> Result<Arc<ServerConfig>, String> {
    let Tls { cert, key } = files;
    let chain = CertificateDer::pem_file_iter(cert)
        .and_then(Iterator::collect::<Result<Vec<_>, _>>)
        .map_err(|error| format!("server.tls.cert: {cert}: {error}"))?;
    if chain.is_empty() {
        return Err(format!("server.tls.cert: {cert}: no certificate found, expected PEM"));
    }
    let key_der =
        PrivateKeyDer::from_pem_file(key).map_err(|error| format!("server.tls.key: {key}: {error}"))?;
    let mut config = ServerConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()
        .map_err(|error| format!("server.tls: {error}"))?
        .with_no_client_auth()
        .with_single_cert(chain, key_der)
        .map_err(|error| format!("server.tls: {cert} with {key}: {error}"))?;
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(Arc::new(config))
}
