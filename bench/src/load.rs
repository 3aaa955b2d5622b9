//! The load: keep-alive connections at a fixed rate, each answer read to its end.

use crate::peers::Peer;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::mpsc;
use std::time::{Duration, Instant};

/// What is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Shape {
    /// A 300-byte request, a 1 KB answer.
    Plain,
    /// A stream of 50 events, written one by one without delay.
    Stream,
    /// A stream of 50 events, 4 ms apart.
    Paced,
}

impl Shape {
    pub(crate) const ALL: [Self; 3] = [Self::Plain, Self::Stream, Self::Paced];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Plain => "plain",
            Self::Stream => "stream",
            Self::Paced => "paced",
        }
    }

    fn body(self) -> String {
        let (model, stream) = match self {
            Self::Plain => ("gpt-sim+fast,chars=1000", ""),
            Self::Stream => ("gpt-sim+fast,chars=1000,events=50", ",\"stream\":true"),
            Self::Paced => ("gpt-sim+drip=4,chars=1000,events=50", ",\"stream\":true"),
        };
        let head =
            format!("{{\"model\":\"{model}\"{stream},\"messages\":[{{\"role\":\"user\",\"content\":\"");
        let tail = "\"}]}";
        let filler = "What is it? ".repeat(30);
        let room = 300usize.saturating_sub(head.len() + tail.len());
        format!("{head}{}{tail}", filler.get(..room).unwrap_or_default())
    }
}

fn request(body: &str) -> Vec<u8> {
    request_of("sk-bench", body)
}

/// A request of this key.
pub(crate) fn request_of(key: &str, body: &str) -> Vec<u8> {
    request_to("/v1/chat/completions", key, body)
}

/// The same to any path.
pub(crate) fn request_to(path: &str, key: &str, body: &str) -> Vec<u8> {
    format!(
        "POST {path} HTTP/1.1\r\nhost: bench\r\nauthorization: Bearer {key}\r\n\
         content-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    )
    .into_bytes()
}

/// How much, how fast.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Plan {
    pub(crate) shape: Shape,
    pub(crate) requests: u32,
    /// Requests a second.
    pub(crate) rate: u32,
    pub(crate) connections: u32,
}

/// Sends the plan's requests and returns how long each took, measured from when it was due.
pub(crate) fn run(plan: &Plan, peer: &Peer) -> Result<Vec<Duration>, String> {
    let (sender, results) = mpsc::channel();
    let begun = Instant::now() + Duration::from_millis(20);
    std::thread::scope(|scope| {
        for worker in 0..plan.connections {
            let sender = sender.clone();
            scope.spawn(move || {
                let _ = sender.send(one_connection(plan, worker, begun, peer));
            });
        }
    });
    drop(sender);
    let mut times = Vec::with_capacity(plan.requests as usize);
    for result in results {
        times.extend(result?);
    }
    Ok(times)
}

fn one_connection(plan: &Plan, worker: u32, begun: Instant, peer: &Peer) -> Result<Vec<Duration>, String> {
    let mut connection = Connection::open(peer.address)?;
    let body = plan.shape.body();
    let mut times = Vec::new();
    for number in (worker..plan.requests).step_by(plan.connections as usize) {
        let due = begun + Duration::from_secs_f64(f64::from(number) / f64::from(plan.rate));
        let request = request_of(&peer.keys.secret(number), &body);
        std::thread::sleep(due.saturating_duration_since(Instant::now()));
        connection.ask(&request)?;
        times.push(due.elapsed());
    }
    Ok(times)
}

/// Streams that have begun and do not end.
pub(crate) fn open_streams(address: SocketAddr, count: u32) -> Result<Vec<TcpStream>, String> {
    let body = "{\"model\":\"gpt-sim+stall_after=5\",\"stream\":true,\
                \"messages\":[{\"role\":\"user\",\"content\":\"hello there, this is an open stream\"}]}";
    let request = request(body);
    (0..count)
        .map(|_| {
            let mut connection = Connection::open(address)?;
            connection.stream.write_all(&request).map_err(|error| error.to_string())?;
            connection.read_more()?;
            Ok(connection.stream)
        })
        .collect()
}

/// Sends this many requests whose answers take 10 s, each on a connection of its own, then reads every
/// answer. Returns how long all of it took; fails where they were not all in flight at once.
pub(crate) fn crowd(address: SocketAddr, count: u32) -> Result<Duration, String> {
    let body = "{\"model\":\"gpt-sim+head_delay=10000\",\
                \"messages\":[{\"role\":\"user\",\"content\":\"hello there, take your time\"}]}";
    let request = request(body);
    let begun = Instant::now();
    let mut open = Vec::with_capacity(count as usize);
    for _ in 0..count {
        let mut connection = Connection::open(address)?;
        connection.stream.write_all(&request).map_err(|error| error.to_string())?;
        open.push(connection);
    }
    if begun.elapsed() > Duration::from_secs(9) {
        return Err(format!("sending took {:?}: the first are answered already", begun.elapsed()));
    }
    for mut connection in open {
        connection.answer()?;
    }
    Ok(begun.elapsed())
}

/// One keep-alive connection.
pub(crate) struct Connection {
    stream: TcpStream,
    buffer: Vec<u8>,
}

impl Connection {
    pub(crate) fn open(address: SocketAddr) -> Result<Self, String> {
        let stream = TcpStream::connect(address).map_err(|error| error.to_string())?;
        stream.set_nodelay(true).map_err(|error| error.to_string())?;
        stream.set_read_timeout(Some(Duration::from_secs(20))).map_err(|error| error.to_string())?;
        Ok(Self { stream, buffer: Vec::with_capacity(64 * 1024) })
    }

    /// Asks, and reads the answer, which must be a 200, to its end.
    pub(crate) fn ask(&mut self, request: &[u8]) -> Result<(), String> {
        self.buffer.clear();
        self.stream.write_all(request).map_err(|error| error.to_string())?;
        self.answer()
    }

    /// Asks, and reads the answer to its end, whatever its status.
    pub(crate) fn status(&mut self, request: &[u8]) -> Result<u16, String> {
        self.buffer.clear();
        self.stream.write_all(request).map_err(|error| error.to_string())?;
        self.read_answer()
    }

    /// Reads an answer, which must be a 200, to its end.
    fn answer(&mut self) -> Result<(), String> {
        match self.read_answer()? {
            200 => Ok(()),
            _ => Err(format!("not a 200: {}", String::from_utf8_lossy(&self.buffer))),
        }
    }

    fn read_answer(&mut self) -> Result<u16, String> {
        let body = loop {
            if let Some(at) = find(&self.buffer, b"\r\n\r\n") {
                break at + 4;
            }
            self.read_more()?;
        };
        let head = String::from_utf8_lossy(self.buffer.get(..body).unwrap_or_default()).to_ascii_lowercase();
        let status = head.split(' ').nth(1).and_then(|status| status.parse().ok());
        let status = status.ok_or_else(|| format!("no status: {head}"))?;
        let length =
            head.lines().find_map(|line| line.strip_prefix("content-length:")?.trim().parse::<usize>().ok());
        match length {
            Some(length) => {
                while self.buffer.len() < body + length {
                    self.read_more()?;
                }
            }
            None => {
                while !self.buffer.ends_with(b"0\r\n\r\n") {
                    self.read_more()?;
                }
            }
        }
        Ok(status)
    }

    fn read_more(&mut self) -> Result<(), String> {
        let mut piece = [0; 16 * 1024];
        match self.stream.read(&mut piece) {
            Ok(0) => Err("the connection was closed in mid-answer".to_owned()),
            Ok(n) => {
                self.buffer.extend_from_slice(piece.get(..n).unwrap_or_default());
                Ok(())
            }
            Err(error) => Err(format!("reading the answer: {error}")),
        }
    }
}

fn find(text: &[u8], what: &[u8]) -> Option<usize> {
    text.windows(what.len()).position(|window| window == what)
}
