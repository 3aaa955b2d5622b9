//! A redis-server of a test's own.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::time::Duration;
use tollgate_tests::gateway::{Folder, eventually, signal};

/// It must not show up anywhere.
pub const PASSWORD: &str = "planted-redis-password";

/// A server that runs until this is dropped.
pub struct Redis {
    child: Child,
    port: u16,
    /// Where it would write its files.
    folder: Folder,
}

impl Redis {
    /// On a free port.
    pub fn start() -> Self {
        let free = TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr());
        let port = free.expect("a port can be had").port();
        let folder = Folder::new();
        Self { child: launch(port, &folder), port, folder }
    }

    /// What a config says of it.
    pub fn url(&self) -> String {
        format!("redis://:{PASSWORD}@127.0.0.1:{}/0", self.port)
    }

    /// A port on which nobody listens, and the server that could be there.
    pub fn absent() -> Self {
        let mut redis = Self::start();
        redis.kill();
        redis
    }

    /// Takes its calls and answers none.
    pub fn freeze(&self) {
        signal(self.child.id(), "STOP");
    }

    /// Goes on where it was frozen.
    pub fn thaw(&self) {
        signal(self.child.id(), "CONT");
    }

    /// It is gone, and all it knew with it.
    pub fn kill(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    /// After [`Redis::kill`]: the same port, and nothing in it.
    pub fn restart(&mut self) {
        self.child = launch(self.port, &self.folder);
    }

    /// One command and the first bytes of its answer.
    pub fn command(&self, words: &[&str]) -> String {
        ask(self.port, words).expect("redis answers")
    }

    /// Every value of every key, as text: what somebody finds who has stolen it.
    pub fn dump(&self) -> String {
        let mut found = String::new();
        let keys = self.command(&["KEYS", "*"]);
        for key in keys.lines().filter(|line| !line.starts_with(['*', '$'])) {
            found += &format!("{key} {}", self.command(&["DUMP", key]));
            for how in [["HGETALL", key], ["GET", key]] {
                found += &self.command(&how);
            }
        }
        found
    }
}

impl Drop for Redis {
    fn drop(&mut self) {
        self.kill();
    }
}

fn launch(port: u16, folder: &Folder) -> Child {
    let mut server = Command::new("redis-server");
    server.args(["--port", &port.to_string(), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"]);
    server.args(["--requirepass", PASSWORD, "--dir"]).arg(folder.path());
    let child = server.stdout(Stdio::null()).stderr(Stdio::null()).spawn();
    let child = child.expect("redis-server is installed");
    eventually("redis answers", || ask(port, &["PING"]).is_some_and(|answer| answer.contains("PONG")));
    child
}

fn ask(port: u16, words: &[&str]) -> Option<String> {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).ok()?;
    stream.set_read_timeout(Some(Duration::from_millis(200))).ok()?;
    for words in [&["AUTH", PASSWORD], words] {
        let mut line = format!("*{}\r\n", words.len());
        words.iter().for_each(|word| line += &format!("${}\r\n{word}\r\n", word.len()));
        stream.write_all(line.as_bytes()).ok()?;
    }
    let mut answer = Vec::new();
    let mut piece = [0; 65536];
    // The answer to AUTH, then the one that was asked for.
    while let Ok(read @ 1..) = stream.read(&mut piece) {
        answer.extend_from_slice(&piece[..read]);
        if answer.len() > 5 && answer.ends_with(b"\r\n") && read < piece.len() {
            break;
        }
    }
    Some(String::from_utf8_lossy(answer.get(5..)?).into_owned())
}
