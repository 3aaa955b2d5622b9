//! One request under way, read as far as a step asks.

use super::answer::events;
use crate::http::{Answer, Connection, Ended, Request};
use std::net::SocketAddr;

/// A request that was sent, with what has come back.
#[derive(Debug)]
pub struct Flight {
    connection: Connection,
    answer: Option<Answer>,
}

impl Flight {
    /// Sends a request on a connection of its own.
    pub fn start(address: SocketAddr, request: &Request) -> Self {
        let mut connection = Connection::open(address);
        connection.send(&request.bytes());
        Self { connection, answer: None }
    }

    /// Waits for the head.
    pub fn head(&mut self) -> &mut Answer {
        let Self { connection, answer } = self;
        answer.get_or_insert_with(|| connection.head())
    }

    /// Waits until so many events are there as a whole. Says what is there if the answer ends before.
    pub fn read_events(&mut self, count: usize) -> Result<(), String> {
        loop {
            let answer = self.head();
            let have = events(&answer.body).len();
            if have >= count {
                return Ok(());
            }
            if answer.header("transfer-encoding") != "chunked" {
                let status = answer.status;
                return Err(format!("status {status}, and the answer is no stream of chunks"));
            }
            match self.connection.chunk() {
                Some(chunk) if !chunk.is_empty() => self.head().body.extend(chunk),
                _ => return Err(format!("the answer ended after {have} events, {count} were expected")),
            }
        }
    }

    /// Reads the answer to its end.
    pub fn finish(mut self) -> Answer {
        let mut answer = match self.answer.take() {
            Some(answer) => answer,
            None => self.connection.head(),
        };
        answer.ended = self.connection.body(&mut answer);
        answer
    }

    /// Leaves without waiting for anything more.
    pub fn leave(self) {
        drop(self.connection);
    }
}

/// One request, one answer.
pub fn ask(address: SocketAddr, request: &Request) -> Answer {
    Flight::start(address, request).finish()
}

/// Whether all of an answer came.
pub fn is_whole(answer: &Answer) -> bool {
    answer.ended == Ended::Whole
}
