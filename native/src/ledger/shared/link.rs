//! One thread's connections to Redis: one to each server it needs, each carrying many calls at once.
//!
//! ```text
//! call ─▶ home of the book? ─▶ connection ─▶ answer
//!              ▲                   ├ MOVED, ASK: the other server, remembered for MOVED
//!              │                   ├ NOSCRIPT: the script's text, once
//!              └───────────────────┴ closed: a new one, once
//! ```
//! 1. No call outlives its deadline, connecting included, but by what the thread was kept from running.
//! 2. A connection from before an outage is not used after it: nothing waits behind its unread answers.

use super::address::{Address, Node, Wire};
use super::script::{Call, command, with_text};
use crate::upstream::tls::Roots;
use redis::aio::MultiplexedConnection;
use redis::{AsyncConnectionConfig, ErrorKind, RedisError, ServerErrorKind, Value};
use rustls_pki_types::ServerName;
use std::collections::HashMap;
use std::fmt;
use std::pin::{Pin, pin};
use std::sync::atomic::{AtomicBool, AtomicU8, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::net::TcpStream;
use tokio::task::{JoinHandle, yield_now};
use tokio::time::error::Elapsed;
use tokio::time::{Instant, timeout, timeout_at};
use tokio_rustls::TlsConnector;

/// A call is sent so often, redirections and a connection that was closed included.
const TRIES: usize = 4;
/// A thread that comes so late to a deadline was kept from running.
const STALLED: Duration = Duration::from_millis(10);
/// What it waits longer for then.
const GRACE: Duration = Duration::from_millis(25);
/// Books whose servers are remembered.
const HOMES: usize = 10_000;

/// One thread's connections.
pub(super) struct Link {
    address: Arc<Address>,
    roots: Arc<Roots>,
    peers: tokio::sync::Mutex<HashMap<Node, Peer>>,
    homes: Mutex<Homes>,
}

/// Which server has which book.
struct Homes {
    of: HashMap<Arc<str>, Node>,
    /// All that were ever named, the URL's first.
    known: Vec<Node>,
    /// The one that is asked for a book of which nothing is known.
    first: usize,
}

/// A connection. Its driver ends with it.
struct Peer {
    connection: MultiplexedConnection,
    driver: JoinHandle<()>,
    age: Age,
}

/// Counts outages: a connection from an earlier one is not used any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Age(pub(super) u64);

impl Drop for Peer {
    fn drop(&mut self) {
        self.driver.abort();
    }
}

/// Why there is no answer.
#[derive(Debug)]
pub(super) struct Lost {
    /// Whether the server may have done what it was asked.
    pub(super) sent: Sent,
    /// Whether it is only that it was not waited for any longer.
    pub(super) late: bool,
    /// For the log.
    pub(super) cause: String,
}

/// Whether something went out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Sent {
    /// Nothing: the server knows nothing of it.
    No,
    /// It may have arrived.
    Perhaps,
}

impl fmt::Display for Lost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.cause)
    }
}

impl Link {
    pub(super) fn new(address: Arc<Address>, roots: Arc<Roots>) -> Self {
        let homes = Homes { of: HashMap::new(), known: vec![address.node.clone()], first: 0 };
        Self { address, roots, peers: tokio::sync::Mutex::default(), homes: Mutex::new(homes) }
    }

    /// Calls, and answers by the deadline.
    pub(super) async fn call(&self, call: &Call, age: Age, deadline: Instant) -> Result<Value, Lost> {
        let stage = Progress::default();
        let mut attempt = pin!(self.attempt(call, age, &stage));
        let outcome = match timeout_at(deadline, attempt.as_mut()).await {
            Err(_) => overdue(attempt.as_mut(), deadline).await,
            answered @ Ok(_) => answered,
        };
        let (late, cause) = match outcome {
            Ok(Ok(value)) => return Ok(value),
            Ok(Err(cause)) => (false, cause),
            Err(_) => (true, format!("no answer in time: {}", stage.words())),
        };
        crate::host::held(&self.homes).forget(&call.book);
        Err(Lost { sent: stage.sent(), late, cause })
    }

    async fn attempt(&self, call: &Call, age: Age, stage: &Progress) -> Result<Value, String> {
        let mut node = crate::host::held(&self.homes).of(&call.book);
        let mut step = Step::Plain;
        let mut cause = String::new();
        for _ in 0..TRIES {
            let mut connection = self.connection(&node, age, stage).await?;
            stage.reach(ASKED);
            let error = match step.send(call, &mut connection).await {
                Ok(value) => return Ok(value),
                Err(error) => error,
            };
            if error.kind() == ErrorKind::Server(ServerErrorKind::NoScript) {
                step = Step::WithText;
            } else if error.kind() == ErrorKind::Server(ServerErrorKind::Moved) {
                step = Step::Plain;
                node = redirected(&error, &node)?;
                crate::host::held(&self.homes).learn(&call.book, &node);
            } else if error.kind() == ErrorKind::Server(ServerErrorKind::Ask) {
                step = Step::Asking;
                node = redirected(&error, &node)?;
            } else if error.is_io_error() || error.is_connection_dropped() {
                self.drop_peer(&node).await;
            } else {
                return Err(told(&error));
            }
            cause = told(&error);
        }
        Err(cause)
    }

    /// The connection to a server; a new one if there is none that works. One caller connects, others
    /// wait for it, each until its own deadline.
    async fn connection(
        &self,
        node: &Node,
        age: Age,
        stage: &Progress,
    ) -> Result<MultiplexedConnection, String> {
        let mut peers = self.peers.lock().await;
        if let Some(peer) = peers.get(node)
            && peer.age == age
            && !peer.driver.is_finished()
        {
            return Ok(peer.connection.clone());
        }
        peers.remove(node);
        let peer = self.connect(node, age, stage).await?;
        let connection = peer.connection.clone();
        peers.insert(node.clone(), peer);
        Ok(connection)
    }

    async fn drop_peer(&self, node: &Node) {
        self.peers.lock().await.remove(node);
    }

    async fn connect(&self, node: &Node, age: Age, stage: &Progress) -> Result<Peer, String> {
        stage.reach(CONNECTING);
        let stream = TcpStream::connect((node.host.as_str(), node.port)).await;
        let stream = stream.map_err(|error| format!("connecting to {node}: {error}"))?;
        // Calls are small and wait for their answers.
        stream.set_nodelay(true).map_err(|error| error.to_string())?;
        match self.address.wire {
            Wire::Plain => self.greet(node, stream, age, stage).await,
            Wire::Tls => {
                stage.reach(ENCRYPTING);
                let name = ServerName::try_from(node.host.clone()).map_err(|error| error.to_string())?;
                let connector = TlsConnector::from(self.roots.plain());
                let stream = connector.connect(name, stream).await;
                let stream =
                    stream.map_err(|error| format!("TLS with {node} (rediss://) failed: {error}"))?;
                self.greet(node, stream, age, stage).await
            }
        }
    }

    async fn greet<S>(&self, node: &Node, stream: S, age: Age, stage: &Progress) -> Result<Peer, String>
    where
        S: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin + Send + 'static,
    {
        stage.reach(GREETING);
        // Deadlines are the callers' own.
        let config = AsyncConnectionConfig::new().set_response_timeout(Some(Duration::from_secs(10)));
        let greeted = MultiplexedConnection::new_with_config(&self.address.login, stream, config).await;
        let (connection, driver) = greeted.map_err(|error| format!("greeting {node}: {}", told(&error)))?;
        Ok(Peer { connection, driver: tokio::spawn(driver), age })
    }
}

/// The last look at an answer that is not there at its deadline. A thread that was kept from running
/// does not know whether the server was late or itself: the answer may have come, and the task that reads
/// it has not had its turn.
async fn overdue<T>(attempt: Pin<&mut impl Future<Output = T>>, deadline: Instant) -> Result<T, Elapsed> {
    let late = deadline.elapsed();
    // Once it has been to the system for what has arrived, and once for whoever reads it.
    yield_now().await;
    yield_now().await;
    let more = if late > STALLED { GRACE } else { Duration::ZERO };
    timeout(more, attempt).await
}

/// How far a call has come. Others look at it only when the call is over.
#[derive(Debug, Default)]
struct Progress {
    stage: AtomicU8,
    /// Whether the call itself was ever sent.
    sent: AtomicBool,
}

const CONNECTING: u8 = 1;
const ENCRYPTING: u8 = 2;
const GREETING: u8 = 3;
const ASKED: u8 = 4;

impl Progress {
    fn reach(&self, stage: u8) {
        self.stage.store(stage, Ordering::Relaxed);
        if stage == ASKED {
            self.sent.store(true, Ordering::Relaxed);
        }
    }

    fn sent(&self) -> Sent {
        if self.sent.load(Ordering::Relaxed) { Sent::Perhaps } else { Sent::No }
    }

    fn words(&self) -> &'static str {
        match self.stage.load(Ordering::Relaxed) {
            CONNECTING => "connecting takes too long",
            ENCRYPTING => "the TLS handshake (rediss://) takes too long: does the server speak TLS?",
            GREETING => "the server accepts and does not answer",
            ASKED => "the server was asked and did not answer",
            _ => "another call is still connecting",
        }
    }
}

/// How a call is sent.
#[derive(Clone, Copy)]
enum Step {
    Plain,
    WithText,
    /// To a server that is about to take the slot over.
    Asking,
}

impl Step {
    async fn send(self, call: &Call, connection: &mut MultiplexedConnection) -> Result<Value, RedisError> {
        match self {
            Self::Plain => connection.send_packed_command(&command(call)).await?.extract_error(),
            Self::WithText => {
                let command = with_text(call).unwrap_or_else(|| command(call));
                connection.send_packed_command(&command).await?.extract_error()
            }
            Self::Asking => {
                let command = with_text(call).unwrap_or_else(|| command(call));
                let mut both = redis::pipe();
                both.cmd("ASKING").ignore().add_command(command);
                let mut values: Vec<Value> = both.query_async(connection).await?;
                values.pop().unwrap_or(Value::Nil).extract_error()
            }
        }
    }
}

fn redirected(error: &RedisError, asked: &Node) -> Result<Node, String> {
    let node = error.redirect_node().and_then(|(node, _)| Node::redirected(node, asked));
    node.ok_or_else(|| format!("a redirection that names no server: {}", told(error)))
}

/// An error in the log: the server's words at most, which hold no arguments, and not too many of them.
fn told(error: &RedisError) -> String {
    let text = error.to_string();
    text.chars().take(200).collect()
}

impl Homes {
    fn of(&self, book: &str) -> Node {
        let known = self.known.get(self.first % self.known.len().max(1));
        self.of.get(book).or(known).cloned().unwrap_or_else(|| Node { host: String::new(), port: 0 })
    }

    fn learn(&mut self, book: &Arc<str>, node: &Node) {
        if self.of.len() >= HOMES {
            self.of.clear();
        }
        self.of.insert(Arc::clone(book), node.clone());
        if !self.known.contains(node) && self.known.len() < 1000 {
            self.known.push(node.clone());
        }
    }

    /// Asks elsewhere next time: another server may have taken over.
    fn forget(&mut self, book: &str) {
        if self.of.remove(book).is_none() {
            self.first = (self.first + 1) % self.known.len().max(1);
        }
    }
}
