//! The provider behind the gateway: the simulator, and what it tells of the requests it had.

use super::flight::ask;
use crate::http::{Answer, Request};
use base64::Engine as _;
use serde_json::Value;
use tollgate_sim::Running;

/// A simulated provider, and one like it that nobody else asks.
#[derive(Debug)]
pub struct Provider {
    seen: Running,
    unseen: Running,
}

impl Provider {
    /// Starts one on a free port.
    pub fn start() -> Self {
        let spawn = || tollgate_sim::spawn().expect("a simulator can be had");
        Self { seen: spawn(), unseen: spawn() }
    }

    /// `127.0.0.1:port`.
    pub fn address(&self) -> String {
        self.seen.addr.to_string()
    }

    /// Forgets all requests and gates.
    pub fn reset(&self) {
        ask(self.seen.addr, &Request::raw("/sim/reset", ""));
    }

    /// Opens a gate, for so many waits or for good.
    pub fn open(&self, gate: &str, permits: Option<usize>) {
        let permits = permits.map_or(String::new(), |permits| format!("&permits={permits}"));
        ask(self.seen.addr, &Request::raw(&format!("/sim/open?id={gate}{permits}"), ""));
    }

    /// The requests so far, oldest first; of each the body is in `text`, and in `body` if it is JSON.
    pub fn log(&self) -> Value {
        let mut log = ask(self.seen.addr, &Request::get("/sim/log")).json()["requests"].take();
        for entry in log.as_array_mut().into_iter().flatten() {
            let body = entry["body_base64"].as_str().unwrap_or_default();
            let body = base64::engine::general_purpose::STANDARD.decode(body).expect("base64");
            entry["body"] = serde_json::from_slice(&body).unwrap_or_default();
            entry["text"] = String::from_utf8_lossy(&body).into_owned().into();
        }
        log
    }

    /// How many requests there were.
    pub fn calls(&self) -> usize {
        let count = ask(self.seen.addr, &Request::get("/sim/count")).json()["count"].as_u64();
        count.and_then(|count| count.try_into().ok()).unwrap_or(0)
    }

    /// How many requests carried `id=NAME`.
    pub fn count(&self, id: &str) -> Value {
        ask(self.seen.addr, &Request::get(&format!("/sim/count?id={id}"))).json()["count"].take()
    }

    /// What it would put on its bill.
    pub fn bill(&self) -> Value {
        ask(self.seen.addr, &Request::get("/sim/bill")).json()
    }

    /// What the last request that reached it would get from it alone, sent as it came.
    pub fn again(&self) -> Result<Answer, String> {
        let log = self.log();
        let last = log.as_array().and_then(|all| all.last()).ok_or("nothing reached the provider")?;
        let text = |name: &str| last[name].as_str().unwrap_or_default().to_owned();
        let mut request = Request::new(&text("method"), &text("path")).body(text("text"));
        for (name, value) in last["headers"].as_object().into_iter().flatten() {
            // These are about the connection, and set anew.
            if !["host", "content-length", "connection", "transfer-encoding"].contains(&name.as_str()) {
                request = request.header(name, value.as_str().unwrap_or_default());
            }
        }
        Ok(ask(self.unseen.addr, &request))
    }
}
