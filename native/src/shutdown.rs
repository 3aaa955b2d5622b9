//! When to stop.

use tokio::sync::watch;

/// What a running gateway is doing, told by the main thread to all workers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// Taking requests.
    Open,
    /// Finishing what is in flight.
    Draining,
    /// Dropping what is still in flight; exchanges settle as if their clients had left.
    Closing,
}

/// Speaks to the workers.
pub type Conductor = watch::Sender<Phase>;

/// A worker's ear.
pub type Baton = watch::Receiver<Phase>;

/// Both.
pub fn phases() -> Ends {
    let (conductor, baton) = watch::channel(Phase::Open);
    Ends { conductor, baton }
}

/// The two ends.
pub struct Ends {
    /// The main thread's.
    pub conductor: Conductor,
    /// The workers'.
    pub baton: Baton,
}

/// What a process is told from outside.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Told {
    /// To stop.
    Stop,
    /// To read its config again.
    Reload,
}

/// The signals of this system.
#[cfg(unix)]
pub struct Signals {
    terminate: tokio::signal::unix::Signal,
    interrupt: tokio::signal::unix::Signal,
    hangup: tokio::signal::unix::Signal,
}

#[cfg(unix)]
impl Signals {
    /// Listens from now on. Needs a runtime.
    pub fn listen() -> std::io::Result<Self> {
        use tokio::signal::unix::{SignalKind, signal};
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
            hangup: signal(SignalKind::hangup())?,
        })
    }

    /// The next one.
    pub async fn next(&mut self) -> Told {
        tokio::select! {
            _ = self.terminate.recv() => Told::Stop,
            _ = self.interrupt.recv() => Told::Stop,
            _ = self.hangup.recv() => Told::Reload,
        }
    }
}

/// The signals of this system.
#[cfg(not(unix))]
pub struct Signals;

#[cfg(not(unix))]
impl Signals {
    /// Listens from now on.
    pub fn listen() -> std::io::Result<Self> {
        Ok(Self)
    }

    /// The next one.
    pub async fn next(&mut self) -> Told {
        match tokio::signal::ctrl_c().await {
            Ok(()) => Told::Stop,
            Err(_) => std::future::pending().await,
        }
    }
}
