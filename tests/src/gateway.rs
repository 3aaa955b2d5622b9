//! The gateway program, run by a test.

use crate::http::{Answer, Connection, PATIENCE, Request};
use std::ffi::OsStr;
use std::io::{BufRead, BufReader, Read};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Instant;

/// A gateway that runs until this is dropped.
#[derive(Debug)]
pub struct Gateway {
    child: Child,
    /// Where it listens.
    pub address: SocketAddr,
    folder: Arc<Folder>,
    said: Arc<Mutex<String>>,
}

/// A folder of a test's own, removed with it.
#[derive(Debug)]
pub struct Folder(PathBuf);

impl Folder {
    /// An empty one.
    pub fn new() -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let path = std::env::temp_dir().join(format!("tollgate-test-{}-{number}", std::process::id()));
        std::fs::create_dir_all(&path).expect("a folder can be made");
        Self(path)
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.0
    }
}

impl Default for Folder {
    fn default() -> Self {
        Self::new()
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// The program with nothing of this machine's in its environment, in a folder without a config.
/// `program` is `env!("CARGO_BIN_EXE_tollgate-under-test")`; `TOLLGATE_BIN` names another.
pub fn command(program: &str, folder: &Folder) -> Command {
    let program = std::env::var_os("TOLLGATE_BIN").unwrap_or_else(|| program.into());
    let mut command = Command::new(program);
    command.env_clear().current_dir(folder.path());
    command
}

impl Gateway {
    /// Serves this config on a free port with two workers.
    pub fn start(program: &str, config: &str) -> Self {
        Self::start_in(program, Folder::new(), config)
    }

    /// The same in a folder that is there already, with what an earlier gateway left in it.
    pub fn start_in(program: &str, folder: impl Into<Arc<Folder>>, config: &str) -> Self {
        let folder = folder.into();
        let file = folder.path().join("gateway.toml");
        std::fs::write(&file, config).expect("a config can be written");
        let mut command = command(program, &folder);
        command.args(["serve", "--workers", "2", "--listen", "127.0.0.1:0", "--config"]).arg(file);
        Self::run(command, folder)
    }

    /// Runs a command that serves and says where.
    pub fn run(command: Command, folder: impl Into<Arc<Folder>>) -> Self {
        Self::try_run(command, folder).unwrap_or_else(|why| panic!("the gateway did not start: {why}"))
    }

    /// The same for one that may refuse to; the error is what it says then.
    pub fn try_run(mut command: Command, folder: impl Into<Arc<Folder>>) -> Result<Self, String> {
        let folder = folder.into();
        let spawned = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn();
        let mut child = spawned.expect("the program starts");
        let said = Arc::new(Mutex::new(String::new()));
        let mut lines = BufReader::new(child.stdout.take().expect("its output is ours"));
        let mut first = String::new();
        lines.read_line(&mut first).expect("it says where it listens");
        if first.is_empty() {
            let mut why = String::new();
            let _ = child.stderr.take().map(|mut errors| errors.read_to_string(&mut why));
            let _ = child.wait();
            return Err(why);
        }
        listen(lines, &said);
        listen(child.stderr.take().expect("its errors are ours"), &said);
        let address = first.split("http://").nth(1).and_then(|rest| rest.split(',').next());
        let address = address.and_then(|address| address.trim().parse().ok()).expect("it names an address");
        said.lock().expect("nobody panicked").insert_str(0, &first);
        Ok(Self { child, address, folder, said })
    }

    /// A new connection.
    pub fn connect(&self) -> Connection {
        Connection::open(self.address)
    }

    /// One request on a connection of its own.
    pub fn ask(&self, request: &Request) -> Answer {
        self.connect().ask(request)
    }

    /// What the program has said so far, on either output.
    pub fn said(&self) -> String {
        self.said.lock().expect("nobody panicked").clone()
    }

    /// Waits until the program has said this.
    pub fn wait_for(&self, text: &str) {
        eventually(text, || self.said().contains(text));
    }

    /// The config it was started with.
    pub fn config(&self) -> PathBuf {
        self.folder.path().join("gateway.toml")
    }

    /// Its folder, which outlives it as long as somebody has this.
    pub fn folder(&self) -> Arc<Folder> {
        Arc::clone(&self.folder)
    }

    /// Its process.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Sends a signal: `TERM`, `HUP`.
    pub fn signal(&self, name: &str) {
        signal(self.child.id(), name);
    }

    /// Ends it as a crash would, and waits until it is gone.
    pub fn kill(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    /// How it ended.
    pub fn wait(&mut self) -> ExitStatus {
        let end = Instant::now() + PATIENCE;
        loop {
            if let Some(status) = self.child.try_wait().expect("it is our child") {
                return status;
            }
            assert!(Instant::now() < end, "it did not stop");
            std::thread::yield_now();
        }
    }

    /// Memory it holds, in bytes; nothing where the system does not tell.
    pub fn resident(&self) -> Option<u64> {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).ok()?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
        line.trim().trim_end_matches("kB").trim().parse::<u64>().ok().map(|kib| kib << 10)
    }
}

impl Drop for Gateway {
    fn drop(&mut self) {
        self.kill();
    }
}

/// Sends a signal to a process that the test started.
pub fn signal(id: u32, name: &str) {
    let told = Command::new("kill").args([format!("-{name}"), id.to_string()]).status();
    assert!(told.expect("kill runs").success());
}

fn listen(mut from: impl Read + Send + 'static, said: &Arc<Mutex<String>>) {
    let said = Arc::clone(said);
    std::thread::spawn(move || {
        let mut piece = [0; 4096];
        while let Ok(read @ 1..) = from.read(&mut piece) {
            let text = String::from_utf8_lossy(&piece[..read]);
            said.lock().expect("nobody panicked").push_str(&text);
        }
    });
}

/// Waits until something is so; `what` is for the failure.
pub fn eventually(what: &str, mut is_so: impl FnMut() -> bool) {
    let end = Instant::now() + PATIENCE;
    while !is_so() {
        assert!(Instant::now() < end, "never came true: {what}");
        std::thread::sleep(std::time::Duration::from_millis(2));
    }
}

/// Runs a command to its end.
pub fn output(mut command: Command, args: &[impl AsRef<OsStr>]) -> std::process::Output {
    command.args(args).stdin(Stdio::null()).output().expect("the program runs")
}
