//! A connection that is never shared and speaks no HTTP/2: what a WebSocket is opened on.

use super::broken;
use super::connect::{CONNECT_TIMEOUT, encrypt, reach};
use super::pool::{Origin, Pool, Security};
use super::proxy::Way;
use super::stream::{Stream, Wire};
use http::{HeaderValue, Uri};
use tollgate_core::host::FetchError;

/// A connection, and the `host` header for what is sent there.
pub struct Alone {
    /// The bytes.
    pub stream: Stream,
    /// `host:port`, or the host alone at the usual port.
    pub host: HeaderValue,
}

/// Opens one to a URL's origin. Proxies are asked for a tunnel, also where it is not encrypted.
pub async fn dial(pool: &Pool, uri: &Uri) -> Result<Alone, FetchError> {
    let origin = pool.origin(uri)?;
    match tokio::time::timeout(CONNECT_TIMEOUT, connect(&origin)).await {
        Ok(Ok(stream)) => Ok(Alone { stream, host: origin.host_header() }),
        Ok(Err(error)) => Err(FetchError { what: format!("{}: {}", origin.name(), error.what), ..error }),
        Err(_) => {
            Err(broken(format!("{}: no connection within {} s", origin.name(), CONNECT_TIMEOUT.as_secs())))
        }
    }
}

async fn connect(origin: &Origin) -> Result<Stream, FetchError> {
    let tunnelled = match &origin.way {
        Way::Direct => Way::Direct,
        Way::Forward(proxy) | Way::Tunnel(proxy) => Way::Tunnel(proxy.clone()),
    };
    let wire = reach(origin, &tunnelled).await?;
    let wire = match (origin.security, wire) {
        (Security::Plain, wire) => wire,
        (Security::Tls, Wire::Plain(tcp)) => {
            Wire::Tls(Box::new(encrypt(origin.outside.roots.plain(), &origin.host, tcp).await?))
        }
        (Security::Tls, Wire::Tls(tls)) => {
            Wire::Nested(Box::new(encrypt(origin.outside.roots.plain(), &origin.host, *tls).await?))
        }
        (Security::Tls, Wire::Nested(_)) => return Err(broken("bug: a tunnel within a tunnel")),
    };
    Ok(Stream::new(wire))
}
