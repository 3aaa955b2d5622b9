//! A realtime session of a case's: what its client says, and what it hears.

use crate::http::{Answer, Ended, PATIENCE, Request};
use serde_json::{Value, json};
use std::net::{SocketAddr, TcpStream};
use tokio_tungstenite::tungstenite::{Error, HandshakeError, Message, WebSocket, client};

/// What is said in a session.
#[derive(Clone, Debug)]
pub struct Talk {
    /// Events, in order. After one that asks for a response that is waited for.
    pub says: Vec<Value>,
    /// Whether the client stays until it is closed.
    pub stays: bool,
}

/// A session from its handshake to its end, told as an answer: one that opened has the status 101, what was
/// heard as its events, and behind them `{"closed": code, "reason": text}` if it was closed.
pub fn hold(address: SocketAddr, handshake: &Request, talk: &Talk) -> Answer {
    let stream = TcpStream::connect(address).expect("the gateway listens");
    stream.set_read_timeout(Some(PATIENCE)).expect("a timeout can be set");
    let mut heard = Heard::default();
    let (mut socket, head) = match client(handshake.handshake(&address.to_string()), stream) {
        Ok(opened) => opened,
        Err(HandshakeError::Failure(Error::Http(refused))) => {
            let (head, body) = refused.into_parts();
            return answer(head.status.as_u16(), &head.headers, body.unwrap_or_default());
        }
        Err(other) => panic!("no handshake: {other}"),
    };
    for event in &talk.says {
        if heard.closed || socket.send(Message::text(event.to_string())).is_err() {
            break;
        }
        while event["type"] == "response.create" && heard.more(&mut socket) && !heard.is_done() {}
    }
    if !talk.stays {
        // One that is closed already has said so.
        let _ = socket.close(None);
    }
    while heard.more(&mut socket) {}
    answer(101, head.headers(), heard.frames.into_bytes())
}

#[derive(Default)]
struct Heard {
    frames: String,
    last: Value,
    closed: bool,
}

impl Heard {
    /// Hears one thing more; false after the last.
    fn more(&mut self, socket: &mut WebSocket<TcpStream>) -> bool {
        match socket.read() {
            Ok(Message::Text(text)) => self.note(serde_json::from_str(&text).unwrap_or_default()),
            Ok(Message::Close(Some(frame))) => {
                self.note(json!({"closed": u16::from(frame.code), "reason": frame.reason.as_str()}));
            }
            Ok(_) => {}
            Err(_) => self.closed = true,
        }
        !self.closed
    }

    fn note(&mut self, event: Value) {
        self.frames += &format!("data: {event}\n\n");
        self.last = event;
    }

    fn is_done(&self) -> bool {
        self.last["type"] == "response.done" || self.last.get("closed").is_some()
    }
}

fn answer(status: u16, headers: &http::HeaderMap, body: Vec<u8>) -> Answer {
    let headers = headers.iter().map(|(name, value)| {
        (name.as_str().to_owned(), String::from_utf8_lossy(value.as_bytes()).into_owned())
    });
    Answer { status, headers: headers.collect(), body, ended: Ended::Whole }
}
