//! Runs the gateway: binds, starts the workers, says so, and stops when told.

use crate::alert;
use crate::arrears;
use crate::begin::{Begun, begin};
use crate::follow;
use crate::hearsay;
use crate::host::Shared;
use crate::jwks;
use crate::reload::{INTERVAL, Reloader};
use crate::settings::{self, Overrides, Problems, Source};
use crate::share;
use crate::shutdown::{Baton, Conductor, Ends, Phase, Signals, Told, phases};
use crate::upstream::pool::Outside;
use crate::worker;
use socket2::{Domain, Protocol, Socket, Type};
use std::io::{self, Write};
use std::net::{SocketAddr, TcpListener};
use std::process::ExitCode;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;
use tokio::time::{Instant, sleep};
use tollgate_core::units::Millis;

/// Connections the system keeps for us until they are accepted.
const BACKLOG: i32 = 4096;

/// After the time to drain is over, for exchanges to settle.
const CLOSING: Duration = Duration::from_millis(1500);

/// At the end, for settlements that Redis has not taken yet.
const KEEPING: Millis = Millis::from_secs(1);

/// What to run.
#[derive(Debug)]
pub struct Plan {
    /// Where the config comes from.
    pub source: Source,
    /// What the command line says over it.
    pub overrides: Overrides,
    /// How many; as many as there are cores unless told otherwise.
    pub workers: Option<usize>,
    /// Said after the line that says the gateway is ready; `{url}` is where it listens.
    pub greeting: Option<String>,
}

/// Runs until told to stop. The error says why it could not start.
pub fn run(plan: Plan) -> Result<ExitCode, Problems> {
    let settings = settings::read(&plan.source, &plan.overrides)?;
    raise_file_limit();
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let listeners = bind(&settings.addresses, plan.workers.unwrap_or(cores).max(1))?;
    let address = listeners.first().and_then(|listener| listener.local_addr().ok());
    let scheme = if settings.tls.is_some() { "https" } else { "http" };
    let url = address.map_or_else(String::new, |address| format!("{scheme}://{address}"));
    let Begun { shared, ears } = begin(settings, Outside::from_env())?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build_local(Default::default())
        .map_err(|error| format!("could not start: {error}"))?;
    runtime.block_on(async {
        // Before anything is announced: who reads the announcement may send a signal.
        let signals = Signals::listen().map_err(|error| format!("could not listen to signals: {error}"))?;
        arrears::collect(&shared).await;
        let Ends { conductor, baton } = phases();
        share::start(&shared).await;
        hearsay::start(&shared);
        let workers = start(&shared, listeners, &baton)?;
        announce(&shared, &url, plan.greeting.as_deref());
        warm_up(&shared);
        tokio::task::spawn_local(alert::run(Arc::clone(&shared), ears));
        tokio::task::spawn_local(jwks::run(Arc::clone(&shared)));
        tokio::task::spawn_local(follow::run(Arc::clone(&shared)));
        let reloader = Reloader::new(plan.source, plan.overrides, Arc::clone(&shared));
        Ok(conduct(&shared, workers, conductor, signals, reloader).await)
    })
}

fn start(shared: &Arc<Shared>, listeners: Vec<TcpListener>, baton: &Baton) -> Result<Vec<Worker>, Problems> {
    let start = |(index, listener)| {
        let (shared, baton) = (Arc::clone(shared), baton.clone());
        std::thread::Builder::new()
            .name(format!("worker-{index}"))
            .spawn(move || worker::run(shared, listener, baton))
            .map_err(|error| format!("could not start worker {index}: {error}").into())
    };
    listeners.into_iter().enumerate().map(start).collect()
}

type Worker = JoinHandle<io::Result<()>>;

/// One listener for each worker on the first address that can be had.
fn bind(addresses: &[SocketAddr], workers: usize) -> Result<Vec<TcpListener>, Problems> {
    let mut problem = "server.listen: names no address".to_owned();
    for address in addresses {
        match bind_all(*address, workers) {
            Ok(listeners) => return Ok(listeners),
            Err(error) => {
                let fix = "stop what listens there, or give another address with --listen";
                problem = format!("server.listen: {address}: {error}\n  fix: {fix}");
            }
        }
    }
    Err(problem.into())
}

fn bind_all(address: SocketAddr, workers: usize) -> io::Result<Vec<TcpListener>> {
    // A port that is shared can be shared with another gateway by mistake. This first one is not.
    let probe = listener(address, Sharing::Alone)?;
    let address = probe.local_addr()?;
    if cfg!(not(unix)) || workers == 1 {
        return (0..workers).map(|_| probe.try_clone()).collect();
    }
    drop(probe);
    (0..workers).map(|_| listener(address, Sharing::Workers)).collect()
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Sharing {
    Alone,
    /// Each worker has a queue of its own, filled by the system.
    Workers,
}

fn listener(address: SocketAddr, sharing: Sharing) -> io::Result<TcpListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    #[cfg(unix)]
    {
        // Elsewhere this would let others take the port away.
        socket.set_reuse_address(true)?;
        if sharing == Sharing::Workers {
            socket.set_reuse_port(true)?;
        }
    }
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    Ok(socket.into())
}

/// One line that says where, what and for whom; what else is worth knowing below it.
fn announce(shared: &Shared, url: &str, greeting: Option<&str>) {
    let config = shared.config.load();
    let providers: Vec<_> = config.providers.iter().map(|provider| provider.name.as_str()).collect();
    let providers = if providers.is_empty() { "none".to_owned() } else { providers.join(", ") };
    let keys = if config.server.requires_key(&shared.directory()) {
        "a key is required"
    } else {
        "no key is required"
    };
    let mut said =
        format!("tollgate {} on {url}, providers: {providers}, {keys}\n", env!("CARGO_PKG_VERSION"));
    for note in &config.notes {
        said.push_str(&format!("note: {note}\n"));
    }
    if let Some(greeting) = greeting {
        said.push_str(&format!("{}\n", greeting.replace("{url}", url)));
    }
    // Whoever started it may read the first line and no more, or nothing: that stops no gateway.
    let mut out = std::io::stdout().lock();
    let _ = out.write_all(said.as_bytes()).and_then(|()| out.flush());
}

/// Loads what the first encrypted call would wait for.
fn warm_up(shared: &Arc<Shared>) {
    let config = shared.config.load();
    if config.providers.iter().any(|provider| provider.base_url.scheme_str() == Some("https")) {
        let shared = Arc::clone(shared);
        std::thread::spawn(move || shared.outside.roots.upstream());
    }
}

/// The limit of open files is what limits calls in flight: two for each.
#[cfg(unix)]
fn raise_file_limit() {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    if current != maximum {
        // Refused in some sandboxes; then the old limit stays.
        let _ = setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum });
    }
}

#[cfg(not(unix))]
fn raise_file_limit() {}

async fn conduct(
    shared: &Shared,
    workers: Vec<Worker>,
    conductor: Conductor,
    mut signals: Signals,
    mut reloader: Reloader,
) -> ExitCode {
    let mut rings = shared.office.reread.hang();
    loop {
        tokio::select! {
            Some(ring) = rings.recv() => {
                let problems = reload(shared, &mut reloader).await;
                // Whoever rang may have left; then nobody is told.
                let _ = ring.send(problems);
            }
            told = signals.next() => match told {
                Told::Stop => break,
                Told::Reload => drop(reload(shared, &mut reloader).await),
            },
            () = sleep(INTERVAL) => {
                shared.ledger.expire_tokens(shared.config.load().tokens.longest);
                shared.alarm.ring(shared.ledger.sweep(shared.clock.now()));
                if reloader.is_stale() {
                    drop(reload(shared, &mut reloader).await);
                }
                if workers.iter().any(JoinHandle::is_finished) {
                    tracing::error!("a worker has stopped, so the gateway does");
                    return ExitCode::FAILURE;
                }
            }
        }
    }
    tracing::info!("stopping: no new connections, finishing what is in flight");
    let drain = Duration::from_millis(shared.config.load().server.drain.get());
    let ended = tokio::select! {
        () = stop(&workers, &conductor, drain) => ExitCode::SUCCESS,
        () = told_again(&mut signals) => ExitCode::FAILURE,
    };
    keep(shared).await;
    ended
}

/// A new config may have new budgets.
async fn reload(shared: &Shared, reloader: &mut Reloader) -> Vec<String> {
    let problems = reloader.reload();
    if problems.is_empty() {
        arrears::collect(shared).await;
    }
    problems
}

/// What has not been written yet is, and what others are to be told.
async fn keep(shared: &Shared) {
    shared.ledger.drain(KEEPING).await;
    if let Err(error) = shared.store.flush().await {
        tracing::error!("what was spent last could not be stored: {error}");
    }
}

async fn told_again(signals: &mut Signals) {
    while signals.next().await != Told::Stop {}
    tracing::warn!("told to stop again: stopping at once");
}

async fn stop(workers: &[Worker], conductor: &Conductor, drain: Duration) {
    conductor.send_replace(Phase::Draining);
    if finished(workers, drain).await {
        return;
    }
    tracing::warn!("the time to drain is over, what is still in flight is cut");
    conductor.send_replace(Phase::Closing);
    finished(workers, CLOSING).await;
}

/// Whether all workers end in time.
async fn finished(workers: &[Worker], patience: Duration) -> bool {
    let end = Instant::now() + patience;
    while !workers.iter().all(JoinHandle::is_finished) {
        if Instant::now() >= end {
            return false;
        }
        sleep(Duration::from_millis(5)).await;
    }
    true
}
