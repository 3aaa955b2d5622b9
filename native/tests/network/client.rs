//! Clients.

use crate::provider::Certificate;
use bytes::Bytes;
use http::{Method, Request, Response, Version};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::client::conn::{http1, http2};
use hyper_util::rt::TokioIo;
use rustls::{ClientConfig, RootCertStore};
use rustls_pki_types::ServerName;
use std::net::SocketAddr;
use std::sync::Arc;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tollgate_native::upstream::Local;

pub(crate) const PLAIN: &str = r#"{"model":"up/m","messages":[{"role":"user","content":"hi"}]}"#;
pub(crate) const STREAM: &str =
    r#"{"model":"up/m","stream":true,"messages":[{"role":"user","content":"hi"}]}"#;

/// A connection to the gateway. Dropping it cuts what it was doing.
pub(crate) enum Client {
    Http1(http1::SendRequest<Full<Bytes>>),
    Http2(http2::SendRequest<Full<Bytes>>),
}

impl Client {
    pub(crate) async fn http1(address: SocketAddr) -> Self {
        Self::http1_on(TcpStream::connect(address).await.unwrap()).await
    }

    /// Without asking whether HTTP/2 is spoken.
    pub(crate) async fn http2(address: SocketAddr) -> Self {
        Self::http2_on(TcpStream::connect(address).await.unwrap()).await
    }

    pub(crate) async fn http1_on<T: AsyncRead + AsyncWrite + Unpin + 'static>(stream: T) -> Self {
        let (sender, connection) = http1::handshake(TokioIo::new(stream)).await.unwrap();
        tokio::task::spawn_local(connection);
        Self::Http1(sender)
    }

    pub(crate) async fn http2_on<T: AsyncRead + AsyncWrite + Unpin + 'static>(stream: T) -> Self {
        let (sender, connection) = http2::handshake(Local, TokioIo::new(stream)).await.unwrap();
        tokio::task::spawn_local(connection);
        Self::Http2(sender)
    }

    pub(crate) async fn ask(&mut self, method: Method, path: &str, body: &'static str) -> Response<Incoming> {
        let request = Request::builder().method(method).header("content-type", "application/json");
        let body = Full::new(Bytes::from_static(body.as_bytes()));
        match self {
            Self::Http1(sender) => {
                let request = request.uri(path).header("host", "gateway").body(body);
                sender.send_request(request.unwrap()).await.unwrap()
            }
            Self::Http2(sender) => {
                let request =
                    request.version(Version::HTTP_2).uri(format!("http://gateway{path}")).body(body);
                sender.send_request(request.unwrap()).await.unwrap()
            }
        }
    }

    pub(crate) async fn call(&mut self, body: &'static str) -> Response<Incoming> {
        self.ask(Method::POST, "/v1/chat/completions", body).await
    }
}

pub(crate) async fn text(response: Response<Incoming>) -> String {
    String::from_utf8(response.into_body().collect().await.unwrap().to_bytes().to_vec()).unwrap()
}

/// Reads until a text has come.
pub(crate) async fn read_until(response: &mut Response<Incoming>, end: &str) {
    let mut all = String::new();
    while !all.contains(end) {
        let Some(frame) = response.frame().await else { panic!("ended before {end}: {all}") };
        if let Ok(data) = frame.unwrap().into_data() {
            all.push_str(std::str::from_utf8(&data).unwrap());
        }
    }
}

/// An encrypted connection, if this certificate is the one that is presented.
pub(crate) async fn encrypted(
    address: SocketAddr,
    certificate: &Certificate,
    protocols: &[&[u8]],
) -> std::io::Result<TlsStream<TcpStream>> {
    let mut roots = RootCertStore::empty();
    roots.add(certificate.der.clone()).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = protocols.iter().map(|protocol| protocol.to_vec()).collect();
    let stream = TcpStream::connect(address).await?;
    let name = ServerName::try_from(certificate.name.clone()).unwrap();
    TlsConnector::from(Arc::new(config)).connect(name, stream).await
}
