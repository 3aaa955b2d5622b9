//! An upstream that answers when the test says so.

use bytes::Bytes;
use http::request::Parts;
use http::{Request, Response, header};
use http_body::{Body, Frame};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use rustls::ServerConfig;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use std::cell::{Cell, RefCell};
use std::convert::Infallible;
use std::net::SocketAddr;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tokio_rustls::TlsAcceptor;
use tollgate_native::upstream::Local;

const REPLY: &str = r#"{"id":"x","object":"chat.completion","choices":[{"index":0,"message":{"role":"assistant","content":"hello"},"finish_reason":"stop"}]}"#;

/// A certificate that is its own root.
pub(crate) struct Certificate {
    pub(crate) name: String,
    pub(crate) pem: String,
    pub(crate) key_pem: String,
    pub(crate) der: CertificateDer<'static>,
    key: Vec<u8>,
}

impl Certificate {
    pub(crate) fn of(name: &str) -> Self {
        let made = rcgen::generate_simple_self_signed([name.to_owned()]).unwrap();
        Self {
            name: name.to_owned(),
            pem: made.cert.pem(),
            key_pem: made.signing_key.serialize_pem(),
            der: made.cert.der().clone(),
            key: made.signing_key.serialize_der(),
        }
    }

    pub(crate) fn acceptor(&self, protocol: Speaks) -> TlsAcceptor {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let mut config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![self.der.clone()], PrivateKeyDer::try_from(self.key.clone()).unwrap())
            .unwrap();
        config.alpn_protocols = vec![match protocol {
            Speaks::Http1 => b"http/1.1".to_vec(),
            Speaks::Http2 => b"h2".to_vec(),
        }];
        TlsAcceptor::from(Arc::new(config))
    }
}

/// What a provider agrees to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Speaks {
    Http1,
    Http2,
}

/// A running provider. Plain requests are answered at once.
pub(crate) struct Provider {
    pub(crate) address: SocketAddr,
    pub(crate) seen: Rc<Seen>,
    streams: mpsc::UnboundedReceiver<Live>,
}

/// What has come.
#[derive(Default)]
pub(crate) struct Seen {
    pub(crate) connections: Cell<usize>,
    pub(crate) requests: RefCell<Vec<Parts>>,
}

/// A stream whose head has been sent. Dropping it ends the stream.
pub(crate) struct Live(mpsc::Sender<Bytes>);

impl Live {
    pub(crate) async fn say(&self, word: &str) {
        let frame = format!(
            "data: {{\"id\":\"x\",\"object\":\"chat.completion.chunk\",\"choices\":[{{\"index\":0,\"delta\":{{\"content\":\"{word}\"}}}}]}}\n\n"
        );
        self.0.send(frame.into()).await.unwrap();
    }

    pub(crate) async fn finish(self) {
        self.0.send(Bytes::from_static(b"data: [DONE]\n\n")).await.unwrap();
    }

    /// Waits until nobody listens.
    pub(crate) async fn abandoned(&self) {
        self.0.closed().await;
    }
}

impl Provider {
    pub(crate) async fn plain() -> Self {
        Self::start(None, Speaks::Http1).await
    }

    pub(crate) async fn encrypted(certificate: &Certificate, speaks: Speaks) -> Self {
        Self::start(Some(certificate.acceptor(speaks)), speaks).await
    }

    async fn start(tls: Option<TlsAcceptor>, speaks: Speaks) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let (sender, streams) = mpsc::unbounded_channel();
        let seen = Rc::new(Seen::default());
        let provider = Self { address: listener.local_addr().unwrap(), seen: Rc::clone(&seen), streams };
        tokio::task::spawn_local(async move {
            while let Ok((stream, _)) = listener.accept().await {
                seen.connections.set(seen.connections.get() + 1);
                let (seen, sender, tls) = (Rc::clone(&seen), sender.clone(), tls.clone());
                tokio::task::spawn_local(async move {
                    match tls {
                        None => serve(stream, speaks, seen, sender).await,
                        Some(tls) => {
                            // A client that does not trust us leaves here.
                            if let Ok(stream) = tls.accept(stream).await {
                                serve(stream, speaks, seen, sender).await;
                            }
                        }
                    }
                });
            }
        });
        provider
    }

    /// The next stream that has begun.
    pub(crate) async fn stream(&mut self) -> Live {
        self.streams.recv().await.unwrap()
    }
}

async fn serve<T>(stream: T, speaks: Speaks, seen: Rc<Seen>, streams: mpsc::UnboundedSender<Live>)
where
    T: AsyncRead + AsyncWrite + Unpin + 'static,
{
    let service = service_fn(move |request| answer(request, Rc::clone(&seen), streams.clone()));
    let stream = TokioIo::new(stream);
    let _ = match speaks {
        Speaks::Http1 => hyper::server::conn::http1::Builder::new().serve_connection(stream, service).await,
        Speaks::Http2 => {
            hyper::server::conn::http2::Builder::new(Local).serve_connection(stream, service).await
        }
    };
}

async fn answer(
    request: Request<Incoming>,
    seen: Rc<Seen>,
    streams: mpsc::UnboundedSender<Live>,
) -> Result<Response<Reply>, Infallible> {
    let (head, body) = request.into_parts();
    seen.requests.borrow_mut().push(head);
    let body = body.collect().await.unwrap().to_bytes();
    let streamed = String::from_utf8_lossy(&body).contains("\"stream\":true");
    let (form, reply) = if streamed {
        let (sender, pieces) = mpsc::channel(1);
        streams.send(Live(sender)).unwrap();
        ("text/event-stream", Reply::Live(pieces))
    } else {
        ("application/json", Reply::Whole(Some(Bytes::from_static(REPLY.as_bytes()))))
    };
    Ok(Response::builder().header(header::CONTENT_TYPE, form).body(reply).unwrap())
}

enum Reply {
    Whole(Option<Bytes>),
    Live(mpsc::Receiver<Bytes>),
}

impl Body for Reply {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let piece = match &mut *self {
            Self::Whole(whole) => Poll::Ready(whole.take()),
            Self::Live(pieces) => pieces.poll_recv(cx),
        };
        piece.map(|piece| piece.map(|piece| Ok(Frame::data(piece))))
    }
}
