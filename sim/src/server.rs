//! The server: accepts connections, finds the dialect, and performs what was asked.

mod exchange;
mod fast;
mod files;
pub(crate) mod link;
pub(crate) mod running;

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

use crate::gate::Gates;
use crate::log::Log;
use exchange::Desk;
use link::{Link, Wire};

/// What the simulator demands of every request.
#[derive(Clone, Debug, Default)]
pub struct SimOptions {
    /// The only key accepted; every key, and none, when absent.
    pub expect_key: Option<String>,
}

/// A simulator with its address taken, not serving yet.
#[derive(Debug)]
pub struct Sim {
    listener: std::net::TcpListener,
    address: SocketAddr,
    options: SimOptions,
}

impl Sim {
    /// Takes the address; port 0 picks a free one. Fails as the operating system says.
    pub fn bind(address: SocketAddr) -> io::Result<Sim> {
        Sim::bind_with(address, SimOptions::default())
    }

    /// The same, with demands.
    pub fn bind_with(address: SocketAddr, options: SimOptions) -> io::Result<Sim> {
        let listener = std::net::TcpListener::bind(address)?;
        listener.set_nonblocking(true)?;
        let address = listener.local_addr()?;
        Ok(Sim { listener, address, options })
    }

    /// Where it will be served.
    pub fn local_addr(&self) -> SocketAddr {
        self.address
    }

    /// Serves until dropped, and closes every connection then. Needs a tokio runtime with I/O and
    /// time, of either kind; fails only when the listener cannot be registered with it.
    pub async fn serve(self) -> io::Result<()> {
        let listener = TcpListener::from_std(self.listener)?;
        let desk = Arc::new(Desk {
            log: Log::default(),
            gates: Gates::default(),
            options: self.options,
            fast: fast::Prepared::default(),
            files: files::Files::default(),
        });
        let mut connections = JoinSet::new();
        loop {
            tokio::select! {
                accepted = listener.accept() => match accepted {
                    Ok((stream, _)) => {
                        connections.spawn(converse(stream, desk.clone()));
                    }
                    // Out of descriptors, or a client that left before it was accepted.
                    Err(_) => tokio::time::sleep(std::time::Duration::from_millis(5)).await,
                },
                Some(_) = connections.join_next() => {}
            }
        }
    }
}

/// Serves one connection to its end.
async fn converse(stream: TcpStream, desk: Arc<Desk>) {
    // Without it each event of a stream would wait for the acknowledgement of the one before.
    let _ = stream.set_nodelay(true);
    let link = Arc::new(Link::default());
    let wire = TokioIo::new(Wire::new(stream, link.clone()));
    let service = service_fn(move |request| exchange::answer(desk.clone(), link.clone(), request));
    // How a connection ended is in the log of its requests.
    let _ = auto::Builder::new(TokioExecutor::new()).serve_connection_with_upgrades(wire, service).await;
}
