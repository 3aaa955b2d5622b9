//! The program itself, with a store of its own and a Redis that it shares.

use crate::server::Server;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::time::Duration;

const ADMIN: &str = "the-admin-key-of-this-test";

pub(crate) struct Gateway {
    running: Running,
    dir: PathBuf,
    /// More of the config's `[server]`.
    server: &'static str,
}

/// A process that said where it listens. What it says further has somewhere to go.
struct Running {
    child: Child,
    address: String,
    _says: BufReader<ChildStdout>,
}

pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) body: String,
}

impl Gateway {
    /// One that requires a key. Names are unique among the tests.
    pub(crate) fn start(name: &str, redis: &Server) -> Self {
        Self::start_with(name, redis, "require_key = true")
    }

    /// One that requires a key as soon as there is any.
    pub(crate) fn start_open(name: &str, redis: &Server) -> Self {
        Self::start_with(name, redis, "")
    }

    fn start_with(name: &str, redis: &Server, server: &'static str) -> Self {
        let dir = std::env::temp_dir().join(format!("tollgate-share-{}-{name}", std::process::id()));
        std::fs::create_dir_all(&dir).unwrap();
        let running = run(&dir, redis, server);
        Self { running, dir, server }
    }

    /// Kills it and starts it with the same store.
    pub(crate) fn restart(&mut self, redis: &Server) {
        self.end();
        self.running = run(&self.dir, redis, self.server);
    }

    pub(crate) fn admin(&self, method: &str, path: &str, body: &str) -> Answer {
        self.ask(method, path, ADMIN, body)
    }

    /// The status of a call with a key.
    pub(crate) fn use_key(&self, key: &str) -> u16 {
        self.ask("GET", "/v1/models", key, "").status
    }

    pub(crate) fn metrics(&self) -> String {
        self.ask("GET", "/metrics", ADMIN, "").body
    }

    pub(crate) fn ready(&self) -> u16 {
        self.ask("GET", "/readyz", ADMIN, "").status
    }

    /// Runs the program once more, with the same config.
    pub(crate) fn command(&self, words: &[&str]) {
        let mut command = Command::new(env!("CARGO_BIN_EXE_tollgate"));
        let config = self.dir.join("tollgate.toml");
        let done = command.args(words).arg("--config").arg(config).output().unwrap();
        assert!(done.status.success(), "{words:?}: {}", String::from_utf8_lossy(&done.stderr));
    }

    /// Moves its file to where it does not look for it.
    pub(crate) fn take_store_away(&self) {
        std::fs::rename(self.dir.join("store.db"), self.dir.join("away.db")).unwrap();
    }

    pub(crate) fn bring_store_back(&self) {
        std::fs::rename(self.dir.join("away.db"), self.dir.join("store.db")).unwrap();
    }

    /// Whether these bytes stand in its file, or in what is to be brought into it.
    pub(crate) fn has_stored(&self, text: &str) -> bool {
        ["store.db", "store.db-wal"].iter().any(|name| {
            let content = std::fs::read(self.dir.join(name)).unwrap_or_default();
            content.windows(text.len()).any(|window| window == text.as_bytes())
        })
    }

    fn ask(&self, method: &str, path: &str, key: &str, body: &str) -> Answer {
        let mut stream = TcpStream::connect(&self.running.address).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        let length = body.len();
        let head = format!(
            "{method} {path} HTTP/1.1\r\nhost: a\r\nconnection: close\r\nauthorization: Bearer {key}\r\n\
             content-type: application/json\r\ncontent-length: {length}\r\n\r\n"
        );
        stream.write_all((head + body).as_bytes()).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        let status = answer[9..12].parse().unwrap();
        let body = answer.split_once("\r\n\r\n").unwrap().1.to_owned();
        Answer { status, body }
    }

    pub(crate) fn end(&mut self) {
        let _ = self.running.child.kill();
        let _ = self.running.child.wait();
    }
}

fn run(dir: &Path, redis: &Server, server: &str) -> Running {
    let config = dir.join("tollgate.toml");
    let (store, redis) = (dir.join("store.db"), redis.url());
    let text = format!(
        "[server]\nlisten = \"127.0.0.1:0\"\nadmin_key = \"{ADMIN}\"\n{server}\n\
         [store]\npath = {store:?}\nredis = \"{redis}\"\n\
         [providers.up]\nkind = \"openai\"\nbase_url = \"http://127.0.0.1:9/v1\"\nkeys = [{{ value = \"k\" }}]\n"
    );
    std::fs::write(&config, text).unwrap();
    let mut child = Command::new(env!("CARGO_BIN_EXE_tollgate"))
        .args(["serve", "--workers", "2", "--config"])
        .arg(&config)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut line = String::new();
    let mut says = BufReader::new(child.stdout.take().unwrap());
    says.read_line(&mut line).unwrap();
    let address = line.split("http://").nth(1).and_then(|rest| rest.split(',').next());
    let address = address.expect("it says where it listens").to_owned();
    Running { child, address, _says: says }
}

impl Drop for Gateway {
    fn drop(&mut self) {
        self.end();
        let _ = std::fs::remove_dir_all(&self.dir);
    }
}
