//! A bare HTTP/1.1 proxy with no gateway in it, in the two layouts a tokio server can have.
//!
//! Both read a request whole, send it on a pooled upstream connection and pass the answer on as it
//! comes. What differs is what the layout makes different:
//!
//! - `per-core`: one current-thread runtime, listener and pool for each core; an upstream connection
//!   is driven by the request that uses it, so a call is one task and no channel crosses threads.
//! - `multi-thread`: one work-stealing runtime, one listener, one pool behind a lock; an upstream
//!   connection is a task of its own, since it may be needed from any thread.

use bytes::Bytes;
use http::{Request, Response, header};
use http_body::{Body, Frame, SizeHint};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::client::conn::http1::{Connection, SendRequest};
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use socket2::{Domain, Protocol, Socket, Type};
use std::cell::RefCell;
use std::error::Error;
use std::net::SocketAddr;
use std::pin::{Pin, pin};
use std::process::ExitCode;
use std::rc::Rc;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use tokio::net::{TcpListener, TcpStream};

// The gateway's: the comparison is about the layout.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const USAGE: &str = "\
layout: a bare proxy, to compare runtime layouts

Usage: layout --layout per-core|multi-thread --listen ADDRESS --upstream ADDRESS
";

type Failure = Box<dyn Error + Send + Sync>;

/// Where it listens and where it sends what it gets.
#[derive(Clone, Copy)]
struct Ends {
    listen: SocketAddr,
    upstream: SocketAddr,
}

fn main() -> ExitCode {
    let given: Vec<String> = std::env::args().skip(1).collect();
    let ran = match given.iter().map(String::as_str).collect::<Vec<_>>().as_slice() {
        ["--layout", layout, "--listen", listen, "--upstream", upstream] => run(layout, listen, upstream),
        _ => Err(USAGE.into()),
    };
    match ran {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

fn run(layout: &str, listen: &str, upstream: &str) -> Result<(), Failure> {
    let ends = Ends { listen: listen.parse()?, upstream: upstream.parse()? };
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    match layout {
        "per-core" => per_core(ends, cores),
        "multi-thread" => multi_thread(ends, cores),
        other => Err(format!("--layout {other}: expected per-core or multi-thread").into()),
    }
}

fn per_core(ends: Ends, cores: usize) -> Result<(), Failure> {
    let threads: Vec<_> = (0..cores).map(|_| std::thread::spawn(move || runtime_of_one_core(ends))).collect();
    for thread in threads {
        thread.join().map_err(|_| "a thread panicked")??;
    }
    Ok(())
}

fn runtime_of_one_core(ends: Ends) -> Result<(), Failure> {
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_all().build_local(Default::default())?;
    runtime.block_on(async {
        let listener = listener(ends.listen)?;
        let pool = Own::default();
        loop {
            let (stream, _) = listener.accept().await?;
            stream.set_nodelay(true)?;
            let pool = pool.clone();
            tokio::task::spawn_local(async move {
                let service = service_fn(move |request| forward_alone(ends.upstream, pool.clone(), request));
                let _ = server().serve_connection(TokioIo::new(stream), service).await;
            });
        }
    })
}

fn multi_thread(ends: Ends, cores: usize) -> Result<(), Failure> {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(cores).enable_all().build()?;
    runtime.block_on(async {
        let listener = listener(ends.listen)?;
        let pool = Common::default();
        loop {
            let (stream, _) = listener.accept().await?;
            stream.set_nodelay(true)?;
            let pool = pool.clone();
            tokio::spawn(async move {
                let service = service_fn(move |request| forward_shared(ends.upstream, pool.clone(), request));
                let _ = server().serve_connection(TokioIo::new(stream), service).await;
            });
        }
    })
}

fn server() -> hyper::server::conn::http1::Builder {
    let mut server = hyper::server::conn::http1::Builder::new();
    server.max_buf_size(256 * 1024);
    server
}

fn listener(address: SocketAddr) -> std::io::Result<TcpListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    socket.set_reuse_address(true)?;
    #[cfg(unix)]
    socket.set_reuse_port(true)?;
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    socket.listen(4096)?;
    TcpListener::from_std(socket.into())
}

/// Takes a finished answer's connection back. Cloned into every body.
trait Pool: Unpin {
    type Lane: Lane;

    fn keep(&self, lane: Self::Lane);
}

/// An upstream connection in use.
trait Lane: Unpin {
    /// Moves the connection on, where nobody else does.
    fn drive(&mut self, cx: &mut Context<'_>);
}

/// One core's connections.
#[derive(Clone, Default)]
#[expect(clippy::vec_box, reason = "as in the gateway: connections are large and move with every request")]
struct Own(Rc<RefCell<Vec<Box<Driven>>>>);

/// A connection without a task.
struct Driven {
    sender: SendRequest<Full<Bytes>>,
    connection: Option<Connection<TokioIo<TcpStream>, Full<Bytes>>>,
}

impl Lane for Box<Driven> {
    fn drive(&mut self, cx: &mut Context<'_>) {
        // A connection that has ended must not be polled again.
        if self.connection.as_mut().is_some_and(|connection| Pin::new(connection).poll(cx).is_ready()) {
            self.connection = None;
        }
    }
}

impl Pool for Own {
    type Lane = Box<Driven>;

    fn keep(&self, lane: Self::Lane) {
        self.0.borrow_mut().push(lane);
    }
}

async fn forward_alone(
    upstream: SocketAddr,
    pool: Own,
    request: Request<Incoming>,
) -> Result<Response<Relay<Own>>, Failure> {
    let request = whole(request).await?;
    let idle = std::future::poll_fn(|cx| Poll::Ready(ready_lane(&pool, cx))).await;
    let mut lane = match idle {
        Some(lane) => lane,
        None => {
            let (sender, connection) = hyper::client::conn::http1::handshake(dial(upstream).await?).await?;
            Box::new(Driven { sender, connection: Some(connection) })
        }
    };
    let mut answer = pin!(lane.sender.send_request(request));
    let connection = &mut lane.connection;
    let answer = std::future::poll_fn(|cx| {
        if connection.as_mut().is_some_and(|connection| Pin::new(connection).poll(cx).is_ready()) {
            *connection = None;
        }
        answer.as_mut().poll(cx)
    })
    .await?;
    Ok(relay(answer, pool, lane))
}

fn ready_lane(pool: &Own, cx: &mut Context<'_>) -> Option<Box<Driven>> {
    while let Some(mut lane) = pool.0.borrow_mut().pop() {
        lane.drive(cx);
        if lane.connection.is_some() && lane.sender.is_ready() {
            return Some(lane);
        }
    }
    None
}

/// Everybody's connections.
#[derive(Clone, Default)]
struct Common(Arc<Mutex<Vec<Tasked>>>);

/// A connection that a task drives.
struct Tasked(SendRequest<Full<Bytes>>);

impl Lane for Tasked {
    fn drive(&mut self, _: &mut Context<'_>) {}
}

impl Pool for Common {
    type Lane = Tasked;

    fn keep(&self, lane: Tasked) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(lane);
    }
}

impl Common {
    fn idle(&self) -> Option<Tasked> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).pop()
    }
}

async fn forward_shared(
    upstream: SocketAddr,
    pool: Common,
    request: Request<Incoming>,
) -> Result<Response<Relay<Common>>, Failure> {
    let request = whole(request).await?;
    let mut lane = loop {
        let Some(mut lane) = pool.idle() else {
            let (sender, connection) = hyper::client::conn::http1::handshake(dial(upstream).await?).await?;
            tokio::spawn(connection);
            break Tasked(sender);
        };
        if lane.0.ready().await.is_ok() {
            break lane;
        }
    };
    let answer = lane.0.send_request(request).await?;
    Ok(relay(answer, pool, lane))
}

async fn dial(upstream: SocketAddr) -> std::io::Result<TokioIo<TcpStream>> {
    let stream = TcpStream::connect(upstream).await?;
    stream.set_nodelay(true)?;
    Ok(TokioIo::new(stream))
}

async fn whole(request: Request<Incoming>) -> Result<Request<Full<Bytes>>, Failure> {
    let (mut head, body) = request.into_parts();
    head.headers.remove(header::CONNECTION);
    head.headers.remove(header::TRANSFER_ENCODING);
    Ok(Request::from_parts(head, Full::new(body.collect().await?.to_bytes())))
}

fn relay<P: Pool>(answer: Response<Incoming>, pool: P, lane: P::Lane) -> Response<Relay<P>> {
    let (mut head, body) = answer.into_parts();
    head.headers.remove(header::CONNECTION);
    head.headers.remove(header::TRANSFER_ENCODING);
    Response::from_parts(head, Relay { body, pool, lane: Some(lane) })
}

/// An answer on its way through.
struct Relay<P: Pool> {
    body: Incoming,
    pool: P,
    lane: Option<P::Lane>,
}

impl<P: Pool> Body for Relay<P> {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        let mut frame = Pin::new(&mut self.body).poll_frame(cx);
        if frame.is_pending() {
            if let Some(lane) = &mut self.lane {
                lane.drive(cx);
            }
            frame = Pin::new(&mut self.body).poll_frame(cx);
        }
        let over = matches!(frame, Poll::Ready(None)) || (frame.is_ready() && self.body.is_end_stream());
        if over && let Some(lane) = self.lane.take() {
            self.pool.keep(lane);
        }
        frame
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
