//! Realtime sessions on this host.
//!
//! ```text
//!   connection ──request──▶ service ──▶ task: core's session ──answer──▶ service ──101──▶ connection
//!   connection ──its bytes, once HTTP is over──▶ gate ──▶ the task's client side
//! ```
//! A session is a task of its own from its handshake on: whatever becomes of the connection, it settles.

mod socket;

use crate::contain::contained;
use crate::flight::Answer;
use crate::host::Native;
use crate::shutdown::{Baton, Phase};
use crate::upstream::{Stream, alone};
use bytes::Bytes;
use http::header::{
    CONNECTION, HOST, SEC_WEBSOCKET_ACCEPT, SEC_WEBSOCKET_KEY, SEC_WEBSOCKET_VERSION, UPGRADE,
};
use http::uri::Scheme;
use http::{HeaderMap, HeaderValue, Request, Response, StatusCode, Uri};
use socket::{Socket, bounds};
use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::oneshot;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Error;
use tokio_tungstenite::tungstenite::handshake::client::generate_key;
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;
use tokio_tungstenite::tungstenite::protocol::Role;
use tollgate_core::drive;
use tollgate_core::exchange::{Opening, Session};
use tollgate_core::host::{Declined, Dialed, Door, Fetch, FetchError, FetchFault, Head, Host, Sessions};

/// The bytes of a connection, whatever they run on.
pub trait Duplex: AsyncRead + AsyncWrite + Unpin {}

impl<T: AsyncRead + AsyncWrite + Unpin> Duplex for T {}

/// A client's connection on which HTTP is over.
pub struct Upgraded {
    /// Its bytes.
    pub stream: Box<dyn Duplex>,
    /// Those that have been read already.
    pub read: Bytes,
}

/// Through which a connection that is to be upgraded gets to the session that waits for it.
#[derive(Clone)]
pub struct Gate {
    waiting: Rc<RefCell<Option<oneshot::Sender<Upgraded>>>>,
    baton: Baton,
}

impl Gate {
    /// Of a connection.
    pub fn new(baton: Baton) -> Self {
        Self { waiting: Rc::default(), baton }
    }

    /// Whether a session waits for the connection.
    pub fn is_awaited(&self) -> bool {
        self.waiting.borrow().is_some()
    }

    /// Hands it over.
    pub fn enter(&self, upgraded: Upgraded) {
        if let Some(waiting) = self.waiting.borrow_mut().take() {
            // A session that is gone has closed it already.
            let _ = waiting.send(upgraded);
        }
    }
}

/// Runs a session, and answers its handshake once it is decided. `None` where there is no answer.
pub async fn answer(
    host: Rc<Native>,
    opening: Opening,
    head: &HeaderMap,
    gate: Gate,
) -> Option<Response<Answer>> {
    let accept = head.get(SEC_WEBSOCKET_KEY).map(|key| derive_accept_key(key.as_bytes()));
    let accept = accept.and_then(|accept| HeaderValue::try_from(accept).ok());
    let (answer, answered) = oneshot::channel();
    let session = Session::new(opening, host.now());
    let most = session.longest_message();
    let doorway = Doorway { answer, gate, accept, most };
    let ticket = host.aloft.enter();
    tokio::task::spawn_local(async move {
        // What panicked has been logged.
        let _ = contained(drive::session::drive(session, &*host, doorway)).await;
        drop(ticket);
    });
    answered.await.ok()
}

struct Doorway {
    answer: oneshot::Sender<Response<Answer>>,
    gate: Gate,
    accept: Option<HeaderValue>,
    most: usize,
}

impl Door for Doorway {
    type Wire = Socket<Box<dyn Duplex>>;

    async fn answer(self, mut answer: Response<Bytes>) -> Option<Self::Wire> {
        let Self { answer: place, gate, accept, most } = self;
        if answer.status() != StatusCode::SWITCHING_PROTOCOLS {
            let _ = place.send(answer.map(Answer::from));
            return None;
        }
        let headers = answer.headers_mut();
        headers.insert(CONNECTION, HeaderValue::from_static("upgrade"));
        headers.insert(UPGRADE, HeaderValue::from_static("websocket"));
        headers.insert(SEC_WEBSOCKET_ACCEPT, accept?);
        let (enter, entered) = oneshot::channel();
        *gate.waiting.borrow_mut() = Some(enter);
        let Gate { waiting, baton } = gate;
        // Only the connection may hold it now: where that ends, nobody comes.
        drop(waiting);
        place.send(answer.map(Answer::from)).ok()?;
        let Upgraded { stream, read } = entered.await.ok()?;
        let stream =
            WebSocketStream::from_partially_read(stream, read.to_vec(), Role::Server, Some(bounds(most)));
        Some(Socket::new(stream.await).until(closing(baton)))
    }
}

/// Over once the gateway drops what is in flight.
async fn closing(mut baton: Baton) {
    while *baton.borrow_and_update() != Phase::Closing {
        if baton.changed().await.is_err() {
            return;
        }
    }
}

/// The URL in the words of WebSocket: `ws`, `wss`.
fn spelt(uri: Uri) -> Result<Uri, http::uri::InvalidUriParts> {
    let secure = uri.scheme() == Some(&Scheme::HTTPS);
    let mut parts = uri.into_parts();
    parts.scheme = Scheme::try_from(if secure { "wss" } else { "ws" }).ok();
    Uri::from_parts(parts)
}

impl Sessions for Native {
    type Wire = Socket<Stream>;

    async fn dial(&self, request: Fetch, most: usize) -> Result<Dialed<Self::Wire>, Declined> {
        let failed = |what: String| Declined::Failed(FetchError { kind: FetchFault::Failed, what });
        let request = match request.source().cloned() {
            Some(source) => {
                let shared = &self.shared;
                let lent = match shared.lenders.at_hand(&source) {
                    Some(lent) => lent,
                    None => {
                        let lend = shared.lenders.lend(source, Arc::clone(&shared.outside));
                        lend.await.map_err(failed)?
                    }
                };
                request.lent(&lent, self.wall())
            }
            None => request,
        };
        let Fetch { method: _, uri, mut headers, body: _, reuse: _, signing: _ } = request;
        let alone = alone::dial(&self.pool, &uri).await.map_err(Declined::Failed)?;
        let key = HeaderValue::try_from(generate_key()).map_err(|error| failed(error.to_string()))?;
        headers.insert(HOST, alone.host);
        headers.insert(CONNECTION, HeaderValue::from_static("Upgrade"));
        headers.insert(UPGRADE, HeaderValue::from_static("websocket"));
        headers.insert(SEC_WEBSOCKET_VERSION, HeaderValue::from_static("13"));
        headers.insert(SEC_WEBSOCKET_KEY, key);
        let mut handshake = Request::new(());
        *handshake.uri_mut() = spelt(uri).map_err(|error| failed(error.to_string()))?;
        *handshake.headers_mut() = headers;
        let bounds = Some(bounds(most));
        match tokio_tungstenite::client_async_with_config(handshake, alone.stream, bounds).await {
            Ok((stream, answer)) => {
                Ok(Dialed { headers: answer.into_parts().0.headers, wire: Socket::new(stream) })
            }
            Err(Error::Http(answer)) => {
                let (head, body) = answer.into_parts();
                let head = Head { status: head.status, headers: head.headers };
                Err(Declined::Answered(head, body.unwrap_or_default().into()))
            }
            Err(error) => Err(failed(error.to_string())),
        }
    }
}
