//! `HTTP_PROXY`, `HTTPS_PROXY`, `ALL_PROXY` and `NO_PROXY`, in upper or lower case, as curl reads them.

use super::pool::Security;
use super::{broken, caused};
use http::{HeaderValue, Uri};
use hyper_util::client::proxy::matcher::Matcher;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tollgate_core::host::FetchError;

/// Longest answer of a proxy to `CONNECT`.
const MAX_ANSWER: usize = 8 * 1024;

/// Which URL goes through which proxy.
#[derive(Debug)]
pub(super) struct Proxies(Matcher);

/// How an origin is reached.
#[derive(Clone)]
pub(super) enum Way {
    Direct,
    /// The proxy is asked for the whole URL.
    Forward(Proxy),
    /// The proxy opens a tunnel.
    Tunnel(Proxy),
}

/// A proxy.
#[derive(Clone)]
pub(super) struct Proxy {
    pub(super) host: String,
    pub(super) port: u16,
    pub(super) security: Security,
    pub(super) authorization: Option<HeaderValue>,
}

impl Proxies {
    pub(super) fn of(matcher: Matcher) -> Self {
        Self(matcher)
    }

    pub(super) fn way(&self, uri: &Uri) -> Result<Way, FetchError> {
        let Some(found) = self.0.intercept(uri) else { return Ok(Way::Direct) };
        let (security, usual_port) = match found.uri().scheme_str() {
            Some("http") | None => (Security::Plain, 80),
            Some("https") => (Security::Tls, 443),
            Some(other) => {
                return Err(broken(format!("proxy scheme {other} is not supported: expected http or https")));
            }
        };
        let host = found.uri().host().ok_or_else(|| broken("the proxy's URL names no host"))?;
        let authorization = found.basic_auth().cloned().map(|mut value| {
            value.set_sensitive(true);
            value
        });
        let host = host.trim_start_matches('[').trim_end_matches(']').to_owned();
        let port = found.uri().port_u16().unwrap_or(usual_port);
        let proxy = Proxy { host, port, security, authorization };
        Ok(if uri.scheme_str() == Some("https") { Way::Tunnel(proxy) } else { Way::Forward(proxy) })
    }
}

/// Has a proxy open a tunnel to `host:port` on this stream.
pub(super) async fn tunnel<S>(stream: &mut S, proxy: &Proxy, host: &str, port: u16) -> Result<(), FetchError>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let host = if host.contains(':') { format!("[{host}]") } else { host.to_owned() };
    let mut request = format!("CONNECT {host}:{port} HTTP/1.1\r\nHost: {host}:{port}\r\n").into_bytes();
    if let Some(authorization) = &proxy.authorization {
        request.extend_from_slice(b"Proxy-Authorization: ");
        request.extend_from_slice(authorization.as_bytes());
        request.extend_from_slice(b"\r\n");
    }
    request.extend_from_slice(b"\r\n");
    stream.write_all(&request).await.map_err(|error| caused(&error))?;
    // Nothing follows the answer before we speak, so reading on past its end is not possible.
    let mut answer = Vec::with_capacity(512);
    while !answer.ends_with(b"\r\n\r\n") {
        let read = stream.read_buf(&mut answer).await.map_err(|error| caused(&error))?;
        if read == 0 || answer.len() > MAX_ANSWER {
            return Err(broken("the proxy did not answer CONNECT with HTTP"));
        }
    }
    match answer.get(9..12) {
        Some([b'2', _, _]) if answer.starts_with(b"HTTP/1.") => Ok(()),
        Some(b"407") => Err(broken("the proxy wants other credentials (407)")),
        status => {
            let status = String::from_utf8_lossy(status.unwrap_or_default()).into_owned();
            Err(broken(format!("the proxy refused the tunnel ({status})")))
        }
    }
}
