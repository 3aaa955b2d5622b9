//! A WebSocket as core sees it.

use futures::{Sink, Stream};
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;
use tokio_tungstenite::tungstenite::protocol::{CloseFrame, WebSocketConfig};
use tokio_tungstenite::tungstenite::{Error, Message as Frame, Utf8Bytes};
use tollgate_core::host::{Broken, Closing, Heard, Message, Wire};

/// What is read of a connection at once. Sessions are many and mostly silent.
const READ: usize = 16 * 1024;

/// How messages are taken: none that is longer, in frames or whole.
pub(super) fn bounds(most: usize) -> WebSocketConfig {
    let bounds = WebSocketConfig::default().read_buffer_size(READ).write_buffer_size(READ);
    bounds.max_message_size(Some(most)).max_frame_size(Some(most))
}

/// A WebSocket, and what tells it that the gateway stops.
pub struct Socket<S> {
    stream: WebSocketStream<S>,
    stopping: Option<Pin<Box<dyn Future<Output = ()>>>>,
}

impl<S> Socket<S> {
    pub(super) fn new(stream: WebSocketStream<S>) -> Self {
        Self { stream, stopping: None }
    }

    /// The same, which hears of the end.
    pub(super) fn until(self, stopping: impl Future<Output = ()> + 'static) -> Self {
        Self { stopping: Some(Box::pin(stopping)), ..self }
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> Wire for Socket<S> {
    fn poll_heard(&mut self, cx: &mut Context<'_>) -> Poll<Heard> {
        if let Some(stopping) = &mut self.stopping
            && stopping.as_mut().poll(cx).is_ready()
        {
            self.stopping = None;
            return Poll::Ready(Heard::Stopping);
        }
        loop {
            let heard = match ready!(Pin::new(&mut self.stream).poll_next(cx)) {
                Some(Ok(Frame::Text(text))) => Heard::Message(Message::Text(text.into())),
                Some(Ok(Frame::Binary(bytes))) => Heard::Message(Message::Binary(bytes)),
                Some(Ok(Frame::Close(frame))) => Heard::Closed(closing(frame)),
                Some(Ok(Frame::Ping(_) | Frame::Pong(_) | Frame::Frame(_))) => continue,
                Some(Err(Error::Capacity(_))) => Heard::Broken(Broken::TooLarge),
                Some(Err(Error::Utf8(_))) => Heard::Broken(Broken::Garbled),
                Some(Err(Error::Protocol(error))) if !is_end(&error) => Heard::Broken(Broken::Garbled),
                Some(Err(_)) | None => Heard::Lost,
            };
            return Poll::Ready(heard);
        }
    }

    fn poll_flushed(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        // What cannot be sent any more is heard of by reading.
        Pin::new(&mut self.stream).poll_flush(cx).map(|_| ())
    }

    fn send(&mut self, message: Message) {
        let frame = match message {
            Message::Text(text) => match Utf8Bytes::try_from(text) {
                Ok(text) => Frame::Text(text),
                Err(_) => return,
            },
            Message::Binary(bytes) => Frame::Binary(bytes),
        };
        let _ = Pin::new(&mut self.stream).start_send(frame);
    }

    fn close(&mut self, closing: Closing) {
        let Closing { code, reason } = closing;
        let frame = code.map(|code| CloseFrame { code: CloseCode::from(code), reason: reason.into() });
        let _ = Pin::new(&mut self.stream).start_send(Frame::Close(frame));
    }
}

fn closing(frame: Option<CloseFrame>) -> Closing {
    frame.map_or_else(Closing::default, |frame| Closing {
        code: Some(frame.code.into()),
        reason: frame.reason.as_str().to_owned(),
    })
}

/// Whether it is no more than a connection that has ended.
fn is_end(error: &tokio_tungstenite::tungstenite::error::ProtocolError) -> bool {
    matches!(error, tokio_tungstenite::tungstenite::error::ProtocolError::ResetWithoutClosingHandshake)
}
