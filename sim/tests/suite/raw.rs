//! A client that sees everything: chunks, endings, resets.

use std::io::{ErrorKind, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use serde_json::{Value, json};
use tollgate_sim::{Running, spawn};

/// How a body ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ending {
    /// As HTTP says it should.
    Complete,
    /// The connection closed before that.
    Cut,
    /// It was reset.
    Reset,
    /// Nothing came for as long as the client cared to wait.
    Silent,
}

/// An answer as far as it was received.
#[derive(Debug)]
pub(crate) struct Reply {
    /// 0 when there was no head.
    pub(crate) status: u16,
    pub(crate) head: String,
    pub(crate) chunks: Vec<Vec<u8>>,
    pub(crate) ending: Ending,
}

impl Reply {
    pub(crate) fn text(&self) -> String {
        String::from_utf8(self.chunks.concat()).unwrap()
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.text()).unwrap_or_else(|_| panic!("no JSON: {self:?}"))
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let lines = self.head.lines().filter_map(|line| line.split_once(": "));
        lines.into_iter().find(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value)
    }

    /// The `data:` lines of a stream.
    pub(crate) fn data(&self) -> Vec<String> {
        let text = self.text();
        text.lines().filter_map(|line| line.strip_prefix("data: ")).map(String::from).collect()
    }

    /// The same, parsed, without `[DONE]`.
    pub(crate) fn events(&self) -> Vec<Value> {
        let data = self.data();
        let events = data.iter().filter(|line| *line != "[DONE]");
        events.map(|line| serde_json::from_str(line).unwrap()).collect()
    }
}

/// One connection.
pub(crate) struct Client {
    stream: TcpStream,
    buffer: Vec<u8>,
}

enum Got {
    Bytes,
    End(Ending),
}

impl Client {
    pub(crate) fn connect(addr: SocketAddr) -> Client {
        let stream = TcpStream::connect(addr).unwrap();
        stream.set_nodelay(true).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
        Client { stream, buffer: Vec::new() }
    }

    /// How long silence is borne.
    pub(crate) fn patience(&mut self, length: Duration) {
        self.stream.set_read_timeout(Some(length)).unwrap();
    }

    pub(crate) fn send(&mut self, method: &str, path: &str, headers: &[&str], body: &[u8]) {
        let mut head = format!("{method} {path} HTTP/1.1\r\nhost: sim\r\ncontent-length: {}\r\n", body.len());
        for header in headers {
            head.push_str(header);
            head.push_str("\r\n");
        }
        head.push_str("\r\n");
        self.stream.write_all(&[head.as_bytes(), body].concat()).unwrap();
    }

    fn fill(&mut self) -> Got {
        let mut room = [0; 16384];
        match self.stream.read(&mut room) {
            Ok(0) => Got::End(Ending::Cut),
            Ok(length) => {
                self.buffer.extend_from_slice(&room[..length]);
                Got::Bytes
            }
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {
                Got::End(Ending::Silent)
            }
            Err(_) => Got::End(Ending::Reset),
        }
    }

    fn line(&mut self, end: &[u8]) -> Result<Vec<u8>, Ending> {
        loop {
            if let Some(at) = self.buffer.windows(end.len()).position(|window| window == end) {
                let line = self.buffer[..at].to_vec();
                self.buffer.drain(..at + end.len());
                return Ok(line);
            }
            if let Got::End(ending) = self.fill() {
                return Err(ending);
            }
        }
    }

    /// Takes `length` bytes, or as many as come.
    fn take(&mut self, length: usize) -> Result<Vec<u8>, (Vec<u8>, Ending)> {
        while self.buffer.len() < length {
            if let Got::End(ending) = self.fill() {
                return Err((std::mem::take(&mut self.buffer), ending));
            }
        }
        Ok(self.buffer.drain(..length).collect())
    }

    /// Reads the head; the body stays where it is.
    pub(crate) fn head(&mut self) -> Reply {
        match self.line(b"\r\n\r\n") {
            Ok(head) => {
                let head = String::from_utf8(head).unwrap();
                let status = head.split(' ').nth(1).unwrap().parse().unwrap();
                Reply { status, head, chunks: Vec::new(), ending: Ending::Complete }
            }
            Err(ending) => Reply { status: 0, head: String::new(), chunks: Vec::new(), ending },
        }
    }

    /// Reads one chunk; `None` when the body has ended, however it did.
    pub(crate) fn chunk(&mut self, reply: &mut Reply) -> Option<()> {
        let (size, trailer) = match reply.header("content-length") {
            Some(length) => (length.parse().unwrap(), 0),
            None => match self.line(b"\r\n") {
                Ok(line) => (usize::from_str_radix(&String::from_utf8(line).unwrap(), 16).unwrap(), 2),
                Err(ending) => {
                    reply.ending = ending;
                    return None;
                }
            },
        };
        match self.take(size + trailer) {
            Ok(mut chunk) => {
                chunk.truncate(size);
                if size > 0 {
                    reply.chunks.push(chunk);
                }
                (trailer > 0 && size > 0).then_some(())
            }
            Err((mut chunk, ending)) => {
                chunk.truncate(size);
                reply.chunks.push(chunk);
                reply.ending = ending;
                None
            }
        }
    }

    /// Reads a whole answer, however it ends.
    pub(crate) fn reply(&mut self) -> Reply {
        let mut reply = self.head();
        if reply.status != 0 {
            while self.chunk(&mut reply).is_some() {}
        }
        reply
    }
}

/// A simulator of the test's own.
pub(crate) fn sim() -> Running {
    spawn().unwrap()
}

pub(crate) fn post(sim: &Running, path: &str, headers: &[&str], body: &Value) -> Reply {
    let mut client = Client::connect(sim.addr);
    client.send("POST", path, headers, body.to_string().as_bytes());
    client.reply()
}

pub(crate) fn get(sim: &Running, path: &str) -> Reply {
    let mut client = Client::connect(sim.addr);
    client.send("GET", path, &[], b"");
    client.reply()
}

/// A chat request that says `hello`.
pub(crate) fn hello() -> Value {
    json!({"model": "gpt-sim", "messages": [{"role": "user", "content": "hello"}]})
}

/// The same as a stream.
pub(crate) fn hello_stream() -> Value {
    let mut made = hello();
    made["stream"] = json!(true);
    made
}

/// Sends a chat request with directives in the header.
pub(crate) fn chat(sim: &Running, directives: &str, body: &Value) -> Reply {
    post(sim, "/v1/chat/completions", &[&format!("x-sim: {directives}")], body)
}
