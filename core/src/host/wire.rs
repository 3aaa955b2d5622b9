//! What a host must be able to do for sessions: two WebSockets, and the door between an answer's head and
//! the first frame.

use super::{Fetch, FetchError, Head, Host};
use bytes::Bytes;
use http::{HeaderMap, Response};
use std::task::{Context, Poll};

/// A host whose platform speaks WebSocket.
pub trait Sessions: Host {
    /// An open WebSocket to an upstream.
    type Wire: Wire;

    /// Opens a WebSocket: the request is all but the handshake's own headers. A message of more than `most`
    /// bytes is not taken. Dropping the future gives up.
    fn dial(&self, request: Fetch, most: usize)
    -> impl Future<Output = Result<Dialed<Self::Wire>, Declined>>;
}

/// A WebSocket that an upstream has opened.
#[derive(Debug)]
pub struct Dialed<W> {
    /// The headers of its answer.
    pub headers: HeaderMap,
    /// The socket.
    pub wire: W,
}

/// Why there is none.
#[derive(Clone, Debug)]
pub enum Declined {
    /// The upstream has answered with another status, and as much of a body as could be read.
    Answered(Head, Bytes),
    /// No answer came.
    Failed(FetchError),
}

/// How the client's handshake is answered.
pub trait Door {
    /// An open WebSocket to a client.
    type Wire: Wire;

    /// Gives the answer; after one of 101 the client's socket, unless the client has left. The handshake's
    /// own headers are the host's to add.
    fn answer(self, answer: Response<Bytes>) -> impl Future<Output = Option<Self::Wire>>;
}

/// One side of a session. Pings are answered by the host and not heard here.
pub trait Wire: Unpin {
    /// Waits for the next message. After anything but a message nothing more is asked, but for the end of
    /// the closing handshake.
    fn poll_heard(&mut self, cx: &mut Context<'_>) -> Poll<Heard>;

    /// Ready once all that was sent has been taken, or never can be.
    fn poll_flushed(&mut self, cx: &mut Context<'_>) -> Poll<()>;

    /// Hands over a message. Once a session is open, only when what was sent before is flushed.
    fn send(&mut self, message: Message);

    /// Begins the closing handshake, or ends it.
    fn close(&mut self, closing: Closing);
}

/// A message, as it came.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Message {
    /// UTF-8.
    Text(Bytes),
    /// Anything.
    Binary(Bytes),
}

impl Message {
    /// Its bytes.
    pub fn bytes(&self) -> &Bytes {
        let (Self::Text(bytes) | Self::Binary(bytes)) = self;
        bytes
    }
}

/// What a close frame says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Closing {
    /// Absent: it says nothing.
    pub code: Option<u16>,
    /// At most 123 bytes.
    pub reason: String,
}

impl Closing {
    /// With this code and reason.
    pub fn of(code: u16, reason: &str) -> Self {
        Self { code: Some(code), reason: reason.to_owned() }
    }
}

/// What is heard of one side.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Heard {
    /// A message.
    Message(Message),
    /// It closes.
    Closed(Closing),
    /// The connection is gone without a word.
    Lost,
    /// It does not keep to the protocol, or its message is larger than is taken.
    Broken(Broken),
    /// The host stops.
    Stopping,
}

/// How a side does not keep to the protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Broken {
    /// A message is larger than is taken.
    TooLarge,
    /// Anything else.
    Garbled,
}
