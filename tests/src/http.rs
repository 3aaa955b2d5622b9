//! A small blocking HTTP/1.1 client that hides nothing: tests say what goes on the wire and see what
//! came back, down to whether a body was complete.

use serde_json::Value;
use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::time::Duration;

/// How long anything may take before a test fails.
pub const PATIENCE: Duration = Duration::from_secs(30);

/// A request, not sent yet.
#[derive(Clone, Debug)]
pub struct Request {
    method: String,
    target: String,
    headers: Vec<(String, String)>,
    body: Vec<u8>,
}

impl Request {
    /// Without a body.
    pub fn new(method: &str, target: &str) -> Self {
        Self { method: method.into(), target: target.into(), headers: Vec::new(), body: Vec::new() }
    }

    /// `GET`.
    pub fn get(target: &str) -> Self {
        Self::new("GET", target)
    }

    /// `POST` with a JSON body.
    pub fn post(target: &str, body: &Value) -> Self {
        Self::raw(target, body.to_string())
    }

    /// Any method with a JSON body.
    pub fn json(method: &str, target: &str, body: &Value) -> Self {
        Self { method: method.into(), ..Self::post(target, body) }
    }

    /// The same with another body.
    #[must_use]
    pub fn body(mut self, body: impl Into<Vec<u8>>) -> Self {
        self.body = body.into();
        self
    }

    /// The same with what is made of its body, if that is text.
    #[must_use]
    pub fn map_body(self, change: impl FnOnce(String) -> String) -> Self {
        match String::from_utf8(self.body) {
            Ok(text) => Self { body: change(text).into_bytes(), ..self },
            Err(other) => Self { body: other.into_bytes(), ..self },
        }
    }

    /// The same from a client with this key.
    #[must_use]
    pub fn key(self, key: &str) -> Self {
        self.header("authorization", &format!("Bearer {key}"))
    }

    /// `POST` with a body that need not be JSON.
    pub fn raw(target: &str, body: impl Into<Vec<u8>>) -> Self {
        Self { body: body.into(), ..Self::new("POST", target) }.header("content-type", "application/json")
    }

    /// The same with one header more.
    #[must_use]
    pub fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.into(), value.into()));
        self
    }

    /// It as the handshake of a WebSocket.
    pub fn handshake(&self, host: &str) -> http::Request<()> {
        let mut request = http::Request::get(format!("ws://{host}{}", self.target))
            .header("host", host)
            .header("connection", "upgrade")
            .header("upgrade", "websocket")
            .header("sec-websocket-version", "13")
            .header("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ==");
        for (name, value) in &self.headers {
            request = request.header(name, value);
        }
        request.body(()).expect("a request that was read from a case")
    }

    /// As it goes on the wire.
    pub fn bytes(&self) -> Vec<u8> {
        let mut head = format!("{} {} HTTP/1.1\r\nhost: gateway.test\r\n", self.method, self.target);
        for (name, value) in &self.headers {
            head += &format!("{name}: {value}\r\n");
        }
        if self.method != "GET" {
            head += &format!("content-length: {}\r\n", self.body.len());
        }
        [(head + "\r\n").as_bytes(), &self.body].concat()
    }
}

/// An answer as it came.
#[derive(Clone, Debug)]
pub struct Answer {
    /// The status.
    pub status: u16,
    /// Names in lower case.
    pub headers: Vec<(String, String)>,
    /// The body, chunks joined.
    pub body: Vec<u8>,
    /// Whether all of the body came.
    pub ended: Ended,
}

/// How an answer's body ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ended {
    /// As announced.
    Whole,
    /// Before that.
    Cut,
}

impl Answer {
    /// The first header of this name; empty where there is none.
    pub fn header(&self, name: &str) -> &str {
        self.headers.iter().find(|(found, _)| found == name).map_or("", |(_, value)| value)
    }

    /// The body as text.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// The body as JSON; null where it is none.
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_default()
    }

    /// The data of the stream's events, in order.
    pub fn events(&self) -> Vec<String> {
        let text = self.text();
        text.lines()
            .filter_map(|line| line.strip_prefix("data:"))
            .map(|data| data.trim().to_owned())
            .collect()
    }

    /// The events that are JSON, parsed.
    pub fn chunks(&self) -> Vec<Value> {
        self.events().iter().filter_map(|event| serde_json::from_str(event).ok()).collect()
    }

    /// The text of a chat answer, streamed or not.
    pub fn said(&self) -> String {
        if let Some(text) = self.json()["choices"][0]["message"]["content"].as_str() {
            return text.to_owned();
        }
        let chunks = self.chunks();
        chunks.iter().filter_map(|chunk| chunk["choices"][0]["delta"]["content"].as_str()).collect()
    }

    /// Whether a stream ended with its end mark and nothing after it.
    pub fn is_done(&self) -> bool {
        self.ended == Ended::Whole && self.events().last().is_some_and(|event| event == "[DONE]")
    }

    /// The `error` object of the body, or of the stream's last event.
    pub fn error(&self) -> Value {
        let whole = self.json()["error"].clone();
        if whole.is_null() {
            self.chunks().last().map_or(Value::Null, |last| last["error"].clone())
        } else {
            whole
        }
    }

    /// The error's code.
    pub fn code(&self) -> String {
        self.error()["code"].as_str().unwrap_or_default().to_owned()
    }
}

/// A connection that stays open from one request to the next.
#[derive(Debug)]
pub struct Connection {
    stream: TcpStream,
    unread: Vec<u8>,
}

impl Connection {
    /// Connects.
    pub fn open(address: SocketAddr) -> Self {
        let stream = TcpStream::connect(address).expect("the server listens");
        stream.set_read_timeout(Some(PATIENCE)).expect("a timeout can be set");
        stream.set_nodelay(true).expect("a socket option can be set");
        Self { stream, unread: Vec::new() }
    }

    /// Sends bytes. That the other side has closed already is found by reading.
    pub fn send(&mut self, bytes: &[u8]) {
        let _ = self.stream.write_all(bytes);
    }

    /// One request, one answer.
    pub fn ask(&mut self, request: &Request) -> Answer {
        self.send(&request.bytes());
        self.answer()
    }

    /// Says that nothing more will be sent.
    pub fn finish(&self) {
        let _ = self.stream.shutdown(Shutdown::Write);
    }

    /// Reads one answer to its end.
    pub fn answer(&mut self) -> Answer {
        let mut answer = self.head();
        answer.ended = self.body(&mut answer);
        answer
    }

    /// Reads one answer, if the connection does not end first.
    pub fn answer_or_end(&mut self) -> Option<Answer> {
        self.until(b"\r\n\r\n")?;
        Some(self.answer())
    }

    /// Reads an answer's head; its body stays to be read.
    pub fn head(&mut self) -> Answer {
        let end = self.until(b"\r\n\r\n").expect("an answer has a head");
        let head = String::from_utf8_lossy(&self.unread.drain(..end).collect::<Vec<_>>()).into_owned();
        let mut lines = head.split("\r\n");
        let status = lines.next().and_then(|line| line.split(' ').nth(1)).and_then(|code| code.parse().ok());
        let headers = lines
            .filter_map(|line| line.split_once(':'))
            .map(|(name, value)| (name.to_ascii_lowercase(), value.trim().to_owned()))
            .collect();
        Answer {
            status: status.expect("a head has a status"),
            headers,
            body: Vec::new(),
            ended: Ended::Whole,
        }
    }

    /// Reads the body of an answer whose head was read.
    pub fn body(&mut self, answer: &mut Answer) -> Ended {
        if matches!(answer.status, 100..=199 | 204 | 304) {
            return Ended::Whole;
        }
        if answer.header("transfer-encoding") == "chunked" {
            loop {
                match self.chunk() {
                    Some(chunk) if chunk.is_empty() => return Ended::Whole,
                    Some(chunk) => answer.body.extend(chunk),
                    None => return Ended::Cut,
                }
            }
        }
        let announced = answer.header("content-length").parse::<usize>();
        let wanted = announced.clone().unwrap_or(usize::MAX);
        while self.unread.len() < wanted && self.more() {}
        let have = self.unread.len().min(wanted);
        answer.body = self.unread.drain(..have).collect();
        if announced.is_ok() && have < wanted { Ended::Cut } else { Ended::Whole }
    }

    /// Reads one chunk of a chunked body; the last one is empty. Nothing if the body is cut.
    pub fn chunk(&mut self) -> Option<Vec<u8>> {
        let line = self.until(b"\r\n")?;
        let size = String::from_utf8_lossy(&self.unread[..line]).trim().to_owned();
        let size = usize::from_str_radix(&size, 16).ok()?;
        while self.unread.len() < line + size + 2 {
            if !self.more() {
                return None;
            }
        }
        let chunk = self.unread[line..line + size].to_vec();
        self.unread.drain(..line + size + 2);
        Some(chunk)
    }

    /// Whether the other side has closed the connection, or does so now.
    pub fn is_closed(&mut self) -> bool {
        !self.more()
    }

    fn until(&mut self, mark: &[u8]) -> Option<usize> {
        loop {
            if let Some(at) = self.unread.windows(mark.len()).position(|window| window == mark) {
                return Some(at + mark.len());
            }
            if !self.more() {
                return None;
            }
        }
    }

    fn more(&mut self) -> bool {
        let mut piece = vec![0; 64 << 10];
        match self.stream.read(&mut piece) {
            Ok(0) => false,
            Ok(read) => {
                self.unread.extend_from_slice(&piece[..read]);
                true
            }
            Err(error) => {
                let late =
                    matches!(error.kind(), std::io::ErrorKind::WouldBlock | std::io::ErrorKind::TimedOut);
                assert!(!late, "nothing came for {PATIENCE:?}");
                false
            }
        }
    }
}
