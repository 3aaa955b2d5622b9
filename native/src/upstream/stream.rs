//! The bytes below HTTP: plain, encrypted, or encrypted within an encrypted tunnel.

use std::cell::Cell;
use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio_rustls::client::TlsStream;

/// A connection to an upstream that knows whether anything has come back.
pub struct Stream {
    wire: Wire,
    received: Rc<Cell<bool>>,
}

/// What a stream runs on.
pub(super) enum Wire {
    Plain(TcpStream),
    Tls(Box<TlsStream<TcpStream>>),
    /// Through a proxy that is itself reached by TLS.
    Nested(Box<TlsStream<TlsStream<TcpStream>>>),
}

impl Stream {
    pub(super) fn new(wire: Wire) -> Self {
        Self { wire, received: Rc::default() }
    }

    /// Becomes true with the first byte of plain text after it was last set to false.
    pub(super) fn received(&self) -> Rc<Cell<bool>> {
        Rc::clone(&self.received)
    }
}

macro_rules! on_wire {
    ($stream:expr, $wire:ident => $act:expr) => {
        match &mut $stream.get_mut().wire {
            Wire::Plain($wire) => $act,
            Wire::Tls($wire) => $act,
            Wire::Nested($wire) => $act,
        }
    };
}

impl AsyncRead for Stream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        let read = on_wire!(self.as_mut(), wire => Pin::new(wire).poll_read(cx, buf));
        ready!(read)?;
        if buf.filled().len() > before {
            self.received.set(true);
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Stream {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        on_wire!(self, wire => Pin::new(wire).poll_write(cx, buf))
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        on_wire!(self, wire => Pin::new(wire).poll_write_vectored(cx, bufs))
    }

    fn is_write_vectored(&self) -> bool {
        match &self.wire {
            Wire::Plain(wire) => wire.is_write_vectored(),
            Wire::Tls(wire) => wire.is_write_vectored(),
            Wire::Nested(wire) => wire.is_write_vectored(),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        on_wire!(self, wire => Pin::new(wire).poll_flush(cx))
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        on_wire!(self, wire => Pin::new(wire).poll_shutdown(cx))
    }
}
