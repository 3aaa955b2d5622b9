//! The programs under measurement, and the simulated provider behind them.

use crate::load::{self, Plan, Shape};
use crate::process;
use std::fs;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// A running program that takes requests.
pub(crate) struct Peer {
    pub(crate) name: &'static str,
    pub(crate) address: SocketAddr,
    pub(crate) keys: Keys,
    child: Child,
}

/// The keys that are used.
#[derive(Clone, Copy)]
pub(crate) enum Keys {
    /// `sk-bench`, always.
    One,
    /// So many others, in turns.
    Many(u32),
}

impl Keys {
    /// The key of a request.
    pub(crate) fn secret(self, request: u32) -> String {
        match self {
            Self::One => "sk-bench".to_owned(),
            Self::Many(count) => secret(request.wrapping_mul(7919) % count.max(1)),
        }
    }
}

/// The key of this number.
pub(crate) fn secret(number: u32) -> String {
    format!("sk-bench-{number}")
}

impl Peer {
    /// CPU time of the program and its workers.
    pub(crate) fn cpu(&self) -> Result<Duration, String> {
        let mut all = process::cpu(self.child.id())?;
        for worker in process::children(self.child.id()) {
            all += process::cpu(worker)?;
        }
        Ok(all)
    }

    pub(crate) fn resident_kib(&self) -> Result<u64, String> {
        process::resident_kib(self.child.id())
    }

    pub(crate) fn peak_kib(&self) -> Result<u64, String> {
        process::peak_kib(self.child.id())
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        for worker in process::children(self.child.id()) {
            let _ = Command::new("kill").arg(worker.to_string()).stderr(Stdio::null()).status();
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Where a gateway keeps what must outlive it.
#[derive(Clone, Copy)]
pub(crate) enum Keeping<'a> {
    /// Nowhere.
    Nothing,
    /// In a file, as is usual.
    Sqlite,
    /// Counters in Redis at this URL, the rest in a file.
    Redis(&'a str),
}

/// A key without limits, and prices as under limits.
pub(crate) const FREE: &str = include_str!("free.toml");

/// A key in a team, of a user and an organisation, each of which has limits.
pub(crate) const LIMITED: &str = include_str!("governed.toml");

/// A folder of configs and a simulated provider.
pub(crate) struct Stage {
    folder: PathBuf,
    sim: Peer,
}

impl Drop for Stage {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.folder);
    }
}

impl Stage {
    /// Opens the admin API where there is one.
    pub(crate) const ADMIN: &str = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";

    pub(crate) fn new() -> Result<Self, String> {
        let folder = std::env::temp_dir().join(format!("tollgate-bench-{}", std::process::id()));
        fs::create_dir_all(&folder).map_err(|error| error.to_string())?;
        Ok(Self { folder, sim: provider("sim")? })
    }

    pub(crate) fn nginx(&self) -> Result<Peer, String> {
        let address = free_address()?;
        let config = self.folder.join("nginx.conf");
        let text = include_str!("nginx.conf")
            .replace("LISTEN", &address.to_string())
            .replace("UPSTREAM", &self.sim.address.to_string())
            .replace("FOLDER", &self.folder.to_string_lossy());
        fs::write(&config, text).map_err(|error| error.to_string())?;
        let mut command = Command::new("nginx");
        command.arg("-c").arg(&config).arg("-p").arg(&self.folder).args(["-g", "daemon off;"]);
        start("nginx", address, command)
    }

    pub(crate) fn tollgate(&self) -> Result<Peer, String> {
        let address = free_address()?;
        start("tollgate", address, self.gateway(address)?)
    }

    /// The gateway with a store at this place beside the config.
    pub(crate) fn stored(&self, name: &'static str, store: &Path, keys: Keys) -> Result<Peer, String> {
        let address = free_address()?;
        let path = format!("path = \"{}\"\n", store.display());
        let text = include_str!("tollgate.toml").replace("path = \":memory:\"\n", &path);
        // Without any key no store is written.
        let text = format!("{text}{FREE}");
        let command = self.gateway_with(&text, &store.with_extension("toml"), address)?;
        let mut peer = start(name, address, command)?;
        peer.keys = keys;
        Ok(peer)
    }

    /// The gateway with further providers and models.
    pub(crate) fn spoken(&self, name: &'static str, more: &str) -> Result<Peer, String> {
        let address = free_address()?;
        let text = format!("{}{more}", include_str!("tollgate.toml"));
        start(name, address, self.gateway_with(&text, &self.folder.join("spoken.toml"), address)?)
    }

    /// The gateway with a store at this place beside the config, a key under limits, and an admin API.
    pub(crate) fn administered(&self, name: &'static str, store: &Path) -> Result<Peer, String> {
        let address = free_address()?;
        let text = include_str!("tollgate.toml")
            .replace("[server]\n", &format!("[server]\nadmin_key = \"{}\"\n", Self::ADMIN))
            .replace("path = \":memory:\"\n", &format!("path = \"{}\"\n", store.display()));
        let command =
            self.gateway_with(&format!("{text}{LIMITED}"), &store.with_extension("toml"), address)?;
        start(name, address, command)
    }

    /// Where to put a file.
    pub(crate) fn place(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    /// The gateway with the keys of a config fragment, which keeps what it must in `keeping`.
    pub(crate) fn keyed(&self, name: &'static str, keys: &str, keeping: Keeping<'_>) -> Result<Peer, String> {
        let address = free_address()?;
        let file = self.folder.join(name.replace(' ', "-"));
        let (path, redis) = match keeping {
            Keeping::Nothing => (PathBuf::from(":memory:"), String::new()),
            Keeping::Sqlite => (file.with_extension("db"), String::new()),
            Keeping::Redis(url) => (file.with_extension("db"), format!("redis = \"{url}\"\n")),
        };
        let store = format!("path = \"{}\"\n{redis}", path.display());
        let text = include_str!("tollgate.toml").replace("path = \":memory:\"\n", &store);
        let text = format!("{text}{keys}");
        start(name, address, self.gateway_with(&text, &file.with_extension("toml"), address)?)
    }

    /// The bare proxy.
    pub(crate) fn layout(&self, layout: &'static str) -> Result<Peer, String> {
        let address = free_address()?;
        let mut command = Command::new(program("TOLLGATE_LAYOUT", "tollgate-bench-layout")?);
        command.args(["--layout", layout, "--listen", &address.to_string()]);
        command.args(["--upstream", &self.sim.address.to_string()]);
        start(layout, address, command)
    }

    /// Starts the gateway and waits for its first model answer.
    pub(crate) fn timed_tollgate(&self) -> Result<(Peer, Duration), String> {
        let address = free_address()?;
        let command = self.gateway(address)?;
        let begun = Instant::now();
        let peer = start("tollgate", address, command)?;
        load::run(&Plan { shape: Shape::Plain, requests: 1, rate: 1_000_000, connections: 1 }, &peer)?;
        Ok((peer, begun.elapsed()))
    }

    fn gateway(&self, address: SocketAddr) -> Result<Command, String> {
        self.gateway_with(include_str!("tollgate.toml"), &self.folder.join("tollgate.toml"), address)
    }

    fn gateway_with(&self, text: &str, file: &Path, address: SocketAddr) -> Result<Command, String> {
        let text =
            text.replace("LISTEN", &address.to_string()).replace("UPSTREAM", &self.sim.address.to_string());
        fs::write(file, text).map_err(|error| error.to_string())?;
        let mut command = Command::new(program("TOLLGATE_BIN", "tollgate")?);
        command.arg("serve").arg("--config").arg(file);
        command.args(std::env::var("TOLLGATE_ARGS").unwrap_or_default().split_whitespace());
        Ok(command)
    }
}

/// A simulated provider.
pub(crate) fn provider(name: &'static str) -> Result<Peer, String> {
    let command = Command::new(program("TOLLGATE_SIM", "tollgate-sim")?);
    listening(name, command)
}

/// One that takes no time from others, as if it ran elsewhere.
pub(crate) fn remote_provider(name: &'static str) -> Result<Peer, String> {
    let mut command = Command::new("nice");
    command.args(["-n", "19"]).arg(program("TOLLGATE_SIM", "tollgate-sim")?);
    listening(name, command)
}

fn listening(name: &'static str, mut command: Command) -> Result<Peer, String> {
    let address = free_address()?;
    command.args(["--listen", &address.to_string()]);
    start(name, address, command)
}

/// A program named by a variable, or one that lies beside this one.
fn program(variable: &str, name: &str) -> Result<PathBuf, String> {
    if let Some(path) = std::env::var_os(variable) {
        return Ok(path.into());
    }
    let here = std::env::current_exe().map_err(|error| error.to_string())?;
    let beside = here.parent().unwrap_or(Path::new(".")).join(name);
    if beside.exists() {
        Ok(beside)
    } else {
        Err(format!("{name} is not beside this program: set {variable}"))
    }
}

fn free_address() -> Result<SocketAddr, String> {
    let listener = TcpListener::bind("127.0.0.1:0").map_err(|error| error.to_string())?;
    listener.local_addr().map_err(|error| error.to_string())
}

fn start(name: &'static str, address: SocketAddr, mut command: Command) -> Result<Peer, String> {
    command.stdin(Stdio::null()).stdout(Stdio::null());
    if std::env::var_os("BENCH_LOUD").is_none() {
        command.stderr(Stdio::null());
    }
    let child = command.spawn().map_err(|error| format!("{name}: {error}"))?;
    let peer = Peer { name, address, keys: Keys::One, child };
    let begun = Instant::now();
    while TcpStream::connect(address).is_err() {
        if begun.elapsed() > Duration::from_secs(10) {
            return Err(format!("{name} does not take connections at {address} (BENCH_LOUD=1 shows why)"));
        }
        std::thread::sleep(Duration::from_micros(500));
    }
    Ok(peer)
}
