//! A worker: a thread with its own runtime, listener and connections.

use crate::answer::answer;
use crate::aside::give_way;
use crate::contain::contained;
use crate::host::{Native, Shared};
use crate::linger::Linger;
use crate::patience::{Answering, Patience, Pulse, Verdict};
use crate::session::{Gate, Upgraded};
use crate::shutdown::{Baton, Phase};
use crate::upstream::Local;
use hyper::server::conn::http1::Parts;
use hyper::server::conn::{http1, http2};
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use std::cell::Cell;
use std::future::poll_fn;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::{sleep, timeout};
use tokio_rustls::TlsAcceptor;

/// For a new connection to say anything at all.
const GREETING_TIMEOUT: Duration = Duration::from_secs(30);

/// For a TLS handshake.
const TLS_TIMEOUT: Duration = Duration::from_secs(10);

/// Headers of one request, request line included. More is answered with 431.
const MAX_HEADERS: usize = 64 * 1024;

/// How much of a body is read before the gateway looks at it.
const READ_BUFFER: usize = 256 * 1024;

/// Between two looks at unused upstream connections.
const SWEEP: Duration = Duration::from_secs(15);

/// After closing, for exchanges to settle.
const SETTLE: Duration = Duration::from_secs(1);

/// Runs a worker until it is told to stop and what it was doing is over.
pub fn run(shared: Arc<Shared>, listener: std::net::TcpListener, baton: Baton) -> io::Result<()> {
    let mut builder = tokio::runtime::Builder::new_current_thread();
    // Its other threads, that is: this one is not started by it.
    let runtime = builder.enable_all().on_thread_start(give_way).build_local(Default::default())?;
    let served = runtime.block_on(async {
        let listener = TcpListener::from_std(listener)?;
        Rc::new(Worker::new(shared)).serve(listener, baton).await;
        Ok(())
    });
    // Dropping it would drop exchanges that have not settled in time, and each would try to go on as
    // a task of a runtime that takes no more. The process ends next.
    std::mem::forget(runtime);
    served
}

struct Worker {
    host: Rc<Native>,
    http1: http1::Builder,
    http2: http2::Builder<Local>,
    connections: Rc<Cell<usize>>,
}

impl Worker {
    fn new(shared: Arc<Shared>) -> Self {
        let mut http1 = http1::Builder::new();
        // Without a timer of its own: see `patience`.
        http1.max_header_size(MAX_HEADERS).max_buf_size(READ_BUFFER);
        let mut http2 = http2::Builder::new(Local);
        http2
            .timer(TokioTimer::new())
            .keep_alive_interval(Duration::from_secs(30))
            .keep_alive_timeout(Duration::from_secs(20))
            .max_header_list_size(64 * 1024)
            .max_concurrent_streams(1000)
            .initial_stream_window_size(1 << 20)
            .initial_connection_window_size(4 << 20);
        Self { host: Rc::new(Native::new(shared)), http1, http2, connections: Rc::default() }
    }

    async fn serve(self: Rc<Self>, listener: TcpListener, mut baton: Baton) {
        let sweeper = Rc::clone(&self.host);
        tokio::task::spawn_local(async move {
            loop {
                sleep(SWEEP).await;
                sweeper.pool.sweep();
            }
        });
        loop {
            tokio::select! {
                biased;
                _ = baton.changed() => break,
                accepted = listener.accept() => match accepted {
                    Ok((stream, peer)) => self.greet(stream, peer, &baton),
                    Err(error) => pause_after(&error).await,
                },
            }
        }
        // What the system has accepted for us already would be reset with the listener.
        while let Ok(Ok((stream, peer))) = timeout(Duration::ZERO, listener.accept()).await {
            self.greet(stream, peer, &baton);
        }
        drop(listener);
        self.drain(&baton).await;
    }

    async fn drain(&self, baton: &Baton) {
        let tick = Duration::from_millis(5);
        let mut left = SETTLE;
        while (self.connections.get() > 0 || self.host.aloft.count() > 0) && !left.is_zero() {
            sleep(tick).await;
            if *baton.borrow() == Phase::Closing {
                left = left.saturating_sub(tick);
            }
        }
    }

    fn greet(self: &Rc<Self>, stream: TcpStream, peer: SocketAddr, baton: &Baton) {
        let (worker, baton) = (Rc::clone(self), baton.clone());
        self.connections.set(self.connections.get() + 1);
        tokio::task::spawn_local(async move {
            // Without this, small pieces of a stream wait up to 40 ms for the client's acknowledgement.
            let _ = stream.set_nodelay(true);
            // What panicked has been logged; the other connections go on.
            let _ = contained(worker.converse(stream, peer.ip(), baton)).await;
            worker.connections.set(worker.connections.get().saturating_sub(1));
        });
    }

    /// Boxes what it turns out to need: plain HTTP/1.1 takes a fraction of what TLS and HTTP/2 do.
    async fn converse(&self, stream: TcpStream, peer: IpAddr, baton: Baton) {
        let Some(tls) = self.host.shared.tls.load_full() else {
            match timeout(GREETING_TIMEOUT, version(&stream)).await {
                Ok(Ok(Version::Http1)) => Box::pin(self.http1(stream, peer, baton)).await,
                Ok(Ok(Version::Http2)) => Box::pin(self.http2(stream, peer, baton)).await,
                Ok(Err(_)) | Err(_) => {}
            }
            return;
        };
        // A handshake that fails is the client's business: it is told by TLS itself.
        if let Ok(Ok(stream)) = timeout(TLS_TIMEOUT, TlsAcceptor::from(tls).accept(stream)).await {
            match stream.get_ref().1.alpn_protocol() {
                Some(b"h2") => Box::pin(self.http2(stream, peer, baton)).await,
                _ => Box::pin(self.http1(stream, peer, baton)).await,
            }
        }
    }

    async fn http1<T: AsyncRead + AsyncWrite + Unpin + 'static>(
        &self,
        stream: T,
        peer: IpAddr,
        baton: Baton,
    ) {
        let host = Rc::clone(&self.host);
        let pulse = Pulse::new();
        let stream = Linger::new(stream, pulse.clone(), self.host.random.request_id());
        let patience = Patience::with(pulse.clone());
        let gate = Gate::new(baton.clone());
        let ours = gate.clone();
        let service = service_fn(move |request| {
            let busy = pulse.on_request();
            let answered = answer(Rc::clone(&host), request, Some(peer), Some(ours.clone()));
            // Boxed: hyper and the async block would each move all of it.
            Box::pin(async { answered.await.map(|answer| answer.map(|body| Answering { body, busy })) })
        });
        let mut connection = self.http1.serve_connection(stream, service);
        let ended = |mut connection: Pin<&mut http1::Connection<_, _>>, cx: &mut Context<'_>| {
            match ready!(connection.as_mut().get_mut().poll_without_shutdown(cx)) {
                // It goes on as something else, or is broken.
                Ok(()) if gate.is_awaited() => Poll::Ready(()),
                Err(error) if !error.is_parse() => Poll::Ready(()),
                // The answer that says what is wrong with a request must arrive.
                Ok(()) | Err(_) => connection.poll(cx).map(drop),
            }
        };
        if attend(Pin::new(&mut connection), ended, baton, Some(patience)).await == Attended::ToItsEnd
            && gate.is_awaited()
        {
            let Parts { io, read_buf, .. } = connection.into_parts();
            gate.enter(Upgraded { stream: Box::new(TokioIo::new(io)), read: read_buf });
        }
    }

    async fn http2<T: AsyncRead + AsyncWrite + Unpin + 'static>(
        &self,
        stream: T,
        peer: IpAddr,
        baton: Baton,
    ) {
        let host = Rc::clone(&self.host);
        let service = service_fn(move |request| answer(Rc::clone(&host), request, Some(peer), None));
        let connection = pin!(self.http2.serve_connection(TokioIo::new(stream), service));
        attend(connection, |connection, cx| connection.poll(cx).map(drop), baton, None).await;
    }
}

/// Out of file handles, most likely: others may close theirs in the meantime.
async fn pause_after(error: &io::Error) {
    tracing::warn!(%error, "could not accept a connection");
    sleep(Duration::from_millis(50)).await;
}

enum Version {
    Http1,
    Http2,
}

/// Looks at the first bytes without taking them. No HTTP/1.1 method but HTTP/2's preface begins
/// with `PR`.
async fn version(stream: &TcpStream) -> io::Result<Version> {
    let mut start = [0; 2];
    loop {
        match stream.peek(&mut start).await? {
            0 => return Err(io::ErrorKind::UnexpectedEof.into()),
            // The peeked byte stays readable, so waiting for the next one means looking again.
            1 if start.starts_with(b"P") => sleep(Duration::from_millis(5)).await,
            _ if start == *b"PR" => return Ok(Version::Http2),
            _ => return Ok(Version::Http1),
        }
    }
}

/// A connection that can be told to take no further request.
trait Graceful: Future {
    fn finish(self: Pin<&mut Self>);
}

impl<I, B, S> Graceful for http1::Connection<I, S>
where
    S: hyper::service::HttpService<hyper::body::Incoming, ResBody = B>,
    S::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    I: hyper::rt::Read + hyper::rt::Write + Unpin,
    B: http_body::Body + 'static,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    fn finish(self: Pin<&mut Self>) {
        self.graceful_shutdown();
    }
}

impl<I, B, S, E> Graceful for http2::Connection<I, S, E>
where
    S: hyper::service::HttpService<hyper::body::Incoming, ResBody = B>,
    S::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    I: hyper::rt::Read + hyper::rt::Write + Unpin,
    B: http_body::Body + 'static,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    E: hyper::rt::bounds::Http2ServerConnExec<S::Future, B>,
{
    fn finish(self: Pin<&mut Self>) {
        self.graceful_shutdown();
    }
}

/// How a connection was served.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Attended {
    ToItsEnd,
    /// It was given up.
    Dropped,
}

/// Serves a connection until `ended` says that it is over. Its errors are the client's doing and are not
/// logged. Without patience it may be silent as long as it wants: HTTP/2 asks by itself whether the client
/// is there.
async fn attend<C: Graceful>(
    mut connection: Pin<&mut C>,
    mut ended: impl FnMut(Pin<&mut C>, &mut Context<'_>) -> Poll<()>,
    mut baton: Baton,
    mut patience: Option<Patience>,
) -> Attended {
    loop {
        if *baton.borrow_and_update() == Phase::Draining {
            connection.as_mut().finish();
        }
        tokio::select! {
            biased;
            () = poll_fn(|cx| ended(connection.as_mut(), cx)) => return Attended::ToItsEnd,
            verdict = over(&mut patience) => match verdict {
                Verdict::Unused => connection.as_mut().finish(),
                Verdict::Stalled => return Attended::Dropped,
            },
            changed = baton.changed() => {
                if changed.is_err() || *baton.borrow() == Phase::Closing {
                    return Attended::Dropped;
                }
            }
        }
    }
}

async fn over(patience: &mut Option<Patience>) -> Verdict {
    match patience {
        Some(patience) => patience.over().await,
        None => std::future::pending().await,
    }
}
