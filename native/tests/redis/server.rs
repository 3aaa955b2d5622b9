//! A Redis of the test's own: on a free port, in a directory of its own, gone with the value.

use redis::Connection;
use rustix::process::{Pid, Signal, kill_process};
use std::net::TcpListener;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

pub(crate) struct Server {
    pub(crate) port: u16,
    dir: PathBuf,
    child: Option<Child>,
    options: Vec<String>,
}

impl Server {
    pub(crate) fn start() -> Self {
        Self::start_with(&[])
    }

    pub(crate) fn start_with(options: &[&str]) -> Self {
        let mut server = Self::not_started(options);
        server.restart();
        server
    }

    /// Knows its port, which nobody listens on yet.
    pub(crate) fn not_started(options: &[&str]) -> Self {
        let port = free_port();
        let dir = std::env::temp_dir().join(format!("tollgate-redis-{}-{port}", std::process::id()));
        std::fs::create_dir_all(&dir).unwrap();
        let options = options.iter().map(|option| (*option).to_owned()).collect();
        Self { port, dir, child: None, options }
    }

    /// Starts it, empty, and waits until it answers.
    pub(crate) fn restart(&mut self) {
        let port = self.port.to_string();
        let child = Command::new("redis-server")
            .args(["--port", &port, "--bind", "127.0.0.1", "--save", "", "--appendonly", "no", "--dir"])
            .arg(&self.dir)
            .args(&self.options)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("redis-server must be installed: apt-get install redis-server");
        self.child = Some(child);
        until("redis-server answers", || self.try_ask(&["PING"]).is_some());
    }

    pub(crate) fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            child.kill().unwrap();
            child.wait().unwrap();
        }
    }

    pub(crate) fn freeze(&self) {
        kill_process(self.pid(), Signal::STOP).unwrap();
    }

    pub(crate) fn thaw(&self) {
        kill_process(self.pid(), Signal::CONT).unwrap();
    }

    fn pid(&self) -> Pid {
        Pid::from_child(self.child.as_ref().unwrap())
    }

    pub(crate) fn url(&self) -> String {
        format!("redis://127.0.0.1:{}", self.port)
    }

    pub(crate) fn connection(&self) -> Connection {
        redis::Client::open(self.url()).unwrap().get_connection().unwrap()
    }

    pub(crate) fn ask(&self, words: &[&str]) -> redis::Value {
        self.try_ask(words).unwrap()
    }

    fn try_ask(&self, words: &[&str]) -> Option<redis::Value> {
        let client = redis::Client::open(self.url()).unwrap();
        let mut connection = client.get_connection_with_timeout(Duration::from_secs(1)).ok()?;
        let mut command = redis::cmd(words[0]);
        command.arg(&words[1..]).query(&mut connection).ok()
    }

    /// How often scripts were called by clients.
    pub(crate) fn script_calls(&self) -> u64 {
        let stats: String = redis::cmd("INFO").arg("commandstats").query(&mut self.connection()).unwrap();
        let calls = |line: &str| -> Option<u64> {
            let (name, figures) = line.split_once(":calls=")?;
            let counts = name == "cmdstat_evalsha" || name == "cmdstat_eval";
            if counts { figures.split(',').next()?.parse().ok() } else { None }
        };
        stats.lines().filter_map(calls).sum()
    }

    /// Makes everything in the windows of a scope look older.
    pub(crate) fn age(&self, scope_key: &str, millis: u64) {
        let script = "local s = cmsgpack.unpack(redis.call('GET', KEYS[1])) \
            local q = s.q and cmsgpack.unpack(s.q) or {} \
            for _, w in ipairs({ s.w, q }) do \
                for k = 1, #w, 4 do w[k] = w[k] - ARGV[1] end \
            end \
            if s.q then s.q, s.qt = cmsgpack.pack(q), q[1] end \
            redis.call('SET', KEYS[1], cmsgpack.pack(s)) return 1";
        self.ask(&["EVAL", script, "1", scope_key, &millis.to_string()]);
    }

    /// Whether a scope's window has so many slots that the older ones are packed.
    pub(crate) fn packs_older_slots(&self, scope_key: &str) -> bool {
        let script = "return cmsgpack.unpack(redis.call('GET', KEYS[1])).q ~= nil and 1 or 0";
        matches!(self.ask(&["EVAL", script, "1", scope_key]), redis::Value::Int(1))
    }

    /// Makes a gateway have been seen so much earlier in a scope.
    pub(crate) fn miss(&self, scope_key: &str, gateway: &str, millis: u64) {
        let script = "local s = cmsgpack.unpack(redis.call('GET', KEYS[1])) \
            s.g[ARGV[1]][3] = s.g[ARGV[1]][3] - ARGV[2] \
            redis.call('SET', KEYS[1], cmsgpack.pack(s)) return 1";
        self.ask(&["EVAL", script, "1", scope_key, gateway, &millis.to_string()]);
    }

    /// The gateways that a scope knows, in order.
    pub(crate) fn gateways(&self, scope_key: &str) -> Vec<String> {
        let script = "local s, names = cmsgpack.unpack(redis.call('GET', KEYS[1])), {} \
            for name in pairs(s.g) do names[#names + 1] = name end \
            table.sort(names) return names";
        redis::from_redis_value(self.ask(&["EVAL", script, "1", scope_key])).unwrap()
    }

    /// Makes an open entry's lease be over.
    pub(crate) fn end_leases(&self, leases_key: &str) {
        let script = "for _, id in ipairs(redis.call('ZRANGE', KEYS[1], 0, -1)) do \
            redis.call('ZADD', KEYS[1], 1, id) end";
        self.ask(&["EVAL", script, "1", leases_key]);
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.kill();
        let _ = std::fs::remove_dir_all(&self.dir);
    }
}

/// Below the range from which a cluster's second port would not fit.
pub(crate) fn free_port() -> u16 {
    loop {
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        if port < 55_000 {
            return port;
        }
    }
}

/// Waits for what happens by itself.
pub(crate) fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(30);
    while !holds() {
        assert!(Instant::now() < deadline, "never: {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}
