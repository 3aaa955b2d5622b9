//! Closes a client's connection so that the last answer arrives.

use crate::malformed;
use crate::patience::Pulse;
use bytes::{Buf, Bytes};
use hyper::rt::{Read, ReadBuf, ReadBufCursor, Write};
use hyper_util::rt::TokioIo;
use std::io::{self, IoSlice};
use std::mem::MaybeUninit;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::Sleep;
use tollgate_core::exchange::RequestId;

/// How long a client that goes on sending is listened to.
const PATIENCE: Duration = Duration::from_secs(2);

/// Reads on for a while after the last answer. Closing a socket with unread bytes makes the system
/// send a reset, which may overtake an answer such as 413 or 431 on its way.
pub struct Linger<T> {
    inner: TokioIo<T>,
    pulse: Pulse,
    closing: Closing,
    id: RequestId,
    /// A refusal that is written in place of hyper's.
    instead: Bytes,
}

enum Closing {
    No,
    Lingering(Pin<Box<Sleep>>),
}

impl<T> Linger<T> {
    /// Takes over a connection, whose pulse hears of the bytes that come. `id` names what comes if it
    /// turns out to be no request.
    pub fn new(inner: T, pulse: Pulse, id: RequestId) -> Self {
        Self { inner: TokioIo::new(inner), pulse, closing: Closing::No, id, instead: Bytes::new() }
    }
}

impl<T: AsyncRead + Unpin> Read for Linger<T> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: ReadBufCursor<'_>,
    ) -> Poll<io::Result<()>> {
        let read = ready!(Pin::new(&mut self.inner).poll_read(cx, buf));
        self.pulse.on_bytes();
        Poll::Ready(read)
    }
}

impl<T: AsyncRead + AsyncWrite + Unpin> Write for Linger<T> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        if let Some(refusal) = malformed::reworded(buf, self.id) {
            self.instead = refusal;
            return Poll::Ready(Ok(buf.len()));
        }
        Pin::new(&mut self.inner).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.poll_instead(cx))?;
        Pin::new(&mut self.inner).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.poll_instead(cx))?;
        if let Closing::No = self.closing {
            ready!(Pin::new(&mut self.inner).poll_shutdown(cx))?;
            self.closing = Closing::Lingering(Box::pin(tokio::time::sleep(PATIENCE)));
        }
        let mut scratch = [MaybeUninit::uninit(); 16 * 1024];
        // Bounded, so that one client that sends fast does not keep the others waiting.
        for _ in 0..16 {
            let mut unread = ReadBuf::uninit(&mut scratch);
            match Pin::new(&mut self.inner).poll_read(cx, unread.unfilled()) {
                Poll::Ready(Ok(())) if unread.filled().is_empty() => return Poll::Ready(Ok(())),
                Poll::Ready(Ok(())) => {}
                Poll::Ready(Err(_)) => return Poll::Ready(Ok(())),
                Poll::Pending => return self.poll_patience(cx),
            }
        }
        cx.waker().wake_by_ref();
        self.poll_patience(cx)
    }

    fn is_write_vectored(&self) -> bool {
        self.inner.is_write_vectored()
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        if let [only] = bufs
            && let Some(refusal) = malformed::reworded(only, self.id)
        {
            self.instead = refusal;
            return Poll::Ready(Ok(only.len()));
        }
        Pin::new(&mut self.inner).poll_write_vectored(cx, bufs)
    }
}

impl<T: AsyncWrite + Unpin> Linger<T> {
    fn poll_instead(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while !self.instead.is_empty() {
            let written = ready!(Pin::new(&mut self.inner).poll_write(cx, &self.instead))?;
            if written == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            self.instead.advance(written);
        }
        Poll::Ready(Ok(()))
    }
}

impl<T> Linger<T> {
    fn poll_patience(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.closing {
            Closing::No => Poll::Ready(Ok(())),
            Closing::Lingering(end) => end.as_mut().poll(cx).map(Ok),
        }
    }
}
