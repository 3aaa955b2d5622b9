//! New connections: name, address, proxy, TLS, protocol.

use super::http1::Link;
use super::http2::Shared;
use super::pool::{Origin, Protocol, Security};
use super::proxy::{Way, tunnel};
use super::stream::{Stream, Wire};
use super::{broken, caused};
use http::Uri;
use hyper_util::client::legacy::connect::HttpConnector;
use rustls::ClientConfig;
use rustls_pki_types::ServerName;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tollgate_core::host::FetchError;
use tower_service::Service;

/// For the whole way to a connection that can take a request.
pub(super) const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// A connection that can take a request.
pub enum Dialed {
    /// For this one alone.
    #[expect(private_interfaces, reason = "only calls look inside")]
    Http1(Box<Link>),
    /// For many.
    #[expect(private_interfaces, reason = "only calls look inside")]
    Http2(Shared),
}

/// Opens a connection. Where HTTP/2 is possible, those who come while the first connection is being
/// made wait for it, since it may serve them all.
pub(super) async fn dial(origin: Rc<Origin>) -> Result<Dialed, FetchError> {
    if origin.protocol.get() != Protocol::Http1 && origin.dialing.get() > 0 {
        origin.dialed.notified().await;
        if let Some(shared) = origin.multiplexed() {
            return Ok(Dialed::Http2(shared));
        }
    }
    let _dialing = Dialing::at(&origin);
    match tokio::time::timeout(CONNECT_TIMEOUT, connect(&origin)).await {
        Ok(dialed) => dialed,
        Err(_) => Err(broken(format!("no connection within {} s", CONNECT_TIMEOUT.as_secs()))),
    }
}

/// Tells those who wait once it is over, however it ends.
struct Dialing<'a>(&'a Origin);

impl<'a> Dialing<'a> {
    fn at(origin: &'a Origin) -> Self {
        origin.dialing.set(origin.dialing.get() + 1);
        Self(origin)
    }
}

impl Drop for Dialing<'_> {
    fn drop(&mut self) {
        self.0.dialing.set(self.0.dialing.get().saturating_sub(1));
        self.0.dialed.notify_waiters();
    }
}

async fn connect(origin: &Origin) -> Result<Dialed, FetchError> {
    let wire = reach(origin, &origin.way).await?;
    let wire = match (origin.security, wire) {
        (Security::Plain, wire) => wire,
        (Security::Tls, Wire::Plain(tcp)) => {
            Wire::Tls(Box::new(encrypt(origin.outside.roots.upstream(), &origin.host, tcp).await?))
        }
        (Security::Tls, Wire::Tls(tls)) => {
            Wire::Nested(Box::new(encrypt(origin.outside.roots.upstream(), &origin.host, *tls).await?))
        }
        (Security::Tls, Wire::Nested(_)) => return Err(broken("bug: a tunnel within a tunnel")),
    };
    if speaks_http2(origin.security, &wire) {
        let shared = Shared::on(Stream::new(wire)).await?;
        origin.protocol.set(Protocol::Http2);
        origin.share(shared.clone());
        return Ok(Dialed::Http2(shared));
    }
    origin.protocol.set(Protocol::Http1);
    Ok(Dialed::Http1(Link::on(Stream::new(wire)).await?))
}

fn speaks_http2(security: Security, wire: &Wire) -> bool {
    let agreed = match (security, wire) {
        // TLS here would be the proxy's, not the origin's.
        (Security::Plain, _) | (Security::Tls, Wire::Plain(_)) => None,
        (Security::Tls, Wire::Tls(tls)) => tls.get_ref().1.alpn_protocol(),
        (Security::Tls, Wire::Nested(tls)) => tls.get_ref().1.alpn_protocol(),
    };
    agreed == Some(b"h2")
}

/// A stream on which the origin, or the proxy that speaks for it, listens.
pub(super) async fn reach(origin: &Origin, way: &Way) -> Result<Wire, FetchError> {
    let (Way::Forward(proxy) | Way::Tunnel(proxy)) = way else {
        return Ok(Wire::Plain(tcp(&origin.host, origin.port).await?));
    };
    let behind = |error: FetchError| broken(format!("proxy {}:{}: {}", proxy.host, proxy.port, error.what));
    let plain = tcp(&proxy.host, proxy.port).await.map_err(behind)?;
    let mut wire = match proxy.security {
        Security::Plain => Wire::Plain(plain),
        Security::Tls => {
            let tls = encrypt(origin.outside.roots.proxy(), &proxy.host, plain).await.map_err(behind)?;
            Wire::Tls(Box::new(tls))
        }
    };
    if let Way::Tunnel(_) = way {
        match &mut wire {
            Wire::Plain(stream) => tunnel(stream, proxy, &origin.host, origin.port).await?,
            Wire::Tls(stream) => tunnel(stream, proxy, &origin.host, origin.port).await?,
            Wire::Nested(stream) => tunnel(stream, proxy, &origin.host, origin.port).await?,
        }
    }
    Ok(wire)
}

/// Tries the addresses of a name, IPv6 and IPv4 at the same time.
async fn tcp(host: &str, port: u16) -> Result<TcpStream, FetchError> {
    let host = if host.contains(':') { format!("[{host}]") } else { host.to_owned() };
    let uri = Uri::try_from(format!("http://{host}:{port}")).map_err(|error| caused(&error))?;
    let mut connector = HttpConnector::new();
    connector.set_nodelay(true);
    connector.set_keepalive(Some(Duration::from_secs(60)));
    let stream = connector.call(uri).await.map_err(|error| caused(&error))?;
    Ok(stream.into_inner())
}

pub(super) async fn encrypt<S>(
    config: Arc<ClientConfig>,
    host: &str,
    stream: S,
) -> Result<TlsStream<S>, FetchError>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let name = ServerName::try_from(host.to_owned()).map_err(|error| caused(&error))?;
    TlsConnector::from(config).connect(name, stream).await.map_err(|error| caused(&error))
}
