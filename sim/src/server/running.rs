//! A simulator on a thread of its own.

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::thread::JoinHandle;

use tokio::sync::oneshot;

use super::Sim;

/// A simulator that serves until this is dropped.
pub struct Running {
    /// Where it listens.
    pub addr: SocketAddr,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

/// Starts a simulator on a free port of the loopback address, on its own thread. Fails when no
/// port, thread or runtime is to be had.
pub fn spawn() -> io::Result<Running> {
    Sim::bind(SocketAddr::from(([127, 0, 0, 1], 0)))?.spawn()
}

impl Sim {
    /// Serves on a thread of its own until the answer is dropped.
    pub fn spawn(self) -> io::Result<Running> {
        let addr = self.local_addr();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let (stop, stopped) = oneshot::channel();
        let serve = move || {
            runtime.block_on(async {
                tokio::select! {
                    _ = self.serve() => {}
                    _ = stopped => {}
                }
            });
        };
        let thread = std::thread::Builder::new().name("tollgate-sim".into()).spawn(serve)?;
        Ok(Running { addr, stop: Some(stop), thread: Some(thread) })
    }
}

impl Running {
    /// `http://127.0.0.1:port`, without a path.
    pub fn url(&self) -> String {
        format!("http://{}", self.addr)
    }
}

impl fmt::Debug for Running {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Running").field("addr", &self.addr).finish_non_exhaustive()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            // A panic over there has been printed; here it must not become a second one.
            let _ = thread.join();
        }
    }
}
