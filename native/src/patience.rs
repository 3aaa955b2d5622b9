//! How long a client may be silent on a connection it keeps open.
//!
//! hyper has one clock for both: it starts when the last answer is out and stops when the next
//! request's head is complete. A client that rests between two requests is welcome for a while; one
//! that has begun a head and does not finish it holds a connection for nothing.

use hyper::rt::{Sleep, Timer};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

/// Between two requests.
pub const IDLE: Duration = Duration::from_secs(120);

/// From a head's first bytes to its end.
pub const HEAD: Duration = Duration::from_secs(30);

/// Whether something has come on a connection since this was last asked.
#[derive(Clone, Debug, Default)]
pub struct Heard(Arc<AtomicBool>);

impl Heard {
    /// Something has come.
    pub fn note(&self) {
        self.0.store(true, Ordering::Relaxed);
    }

    fn forget(&self) {
        self.0.store(false, Ordering::Relaxed);
    }

    fn is_noted(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

/// The timer of one connection. hyper asks it for nothing but the time a head may take.
#[derive(Clone, Debug)]
pub struct Patience {
    heard: Heard,
}

impl Patience {
    /// The timer of the connection on which `heard` is noted.
    pub fn new(heard: Heard) -> Self {
        Self { heard }
    }
}

impl Timer for Patience {
    fn sleep(&self, duration: Duration) -> Pin<Box<dyn Sleep>> {
        self.sleep_until(Instant::now() + duration)
    }

    fn sleep_until(&self, deadline: Instant) -> Pin<Box<dyn Sleep>> {
        // What came before belongs to the request before.
        self.heard.forget();
        let rest = tokio::time::sleep(deadline.saturating_duration_since(Instant::now()));
        Box::pin(Wait { rest: Box::pin(rest), stage: Stage::Idle, heard: self.heard.clone() })
    }
}

/// Ends when the client has been silent for too long.
struct Wait {
    rest: Pin<Box<tokio::time::Sleep>>,
    stage: Stage,
    heard: Heard,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Stage {
    /// Nothing of the next head has come.
    Idle,
    /// Some of it has.
    Begun,
}

impl Sleep for Wait {}

impl Future for Wait {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        if self.stage == Stage::Idle && self.heard.is_noted() {
            self.stage = Stage::Begun;
            let end = self.rest.deadline().min(tokio::time::Instant::now() + HEAD);
            self.rest.as_mut().reset(end);
        }
        self.rest.as_mut().poll(cx)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::linger::Linger;
    use http_body_util::Empty;
    use hyper::server::conn::http1;
    use hyper::service::service_fn;
    use std::convert::Infallible;
    use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};
    use tollgate_core::exchange::RequestId;

    fn serve(stream: DuplexStream) {
        let heard = Heard::default();
        let mut builder = http1::Builder::new();
        builder.header_read_timeout(IDLE).timer(Patience::new(heard.clone()));
        let answer = || async { Ok::<_, Infallible>(http::Response::new(Empty::<&[u8]>::new())) };
        let connection =
            builder.serve_connection(Linger::new(stream, heard, RequestId(0)), service_fn(move |_| answer()));
        tokio::task::spawn_local(connection);
    }

    /// How long the connection stays open after `said`, rounded down to seconds.
    async fn open_for(said: &[&str]) -> u64 {
        let (mut client, server) = tokio::io::duplex(4096);
        serve(server);
        for text in said {
            client.write_all(text.as_bytes()).await.unwrap();
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        let start = tokio::time::Instant::now();
        client.read_to_end(&mut Vec::new()).await.unwrap();
        start.elapsed().as_secs()
    }

    fn run<F: Future<Output = ()>>(test: F) {
        let mut builder = tokio::runtime::Builder::new_current_thread();
        let runtime = builder.enable_all().start_paused(true).build_local(Default::default());
        runtime.unwrap().block_on(test);
    }

    const REQUEST: &str = "GET / HTTP/1.1\r\nhost: a\r\n\r\n";

    #[test]
    fn a_client_may_rest_between_two_requests() {
        run(async {
            assert!((110..=120).contains(&open_for(&[REQUEST]).await));
            assert!((110..=120).contains(&open_for(&[REQUEST, REQUEST]).await));
        });
    }

    #[test]
    fn a_head_that_was_begun_must_be_finished() {
        run(async {
            assert!((29..=32).contains(&open_for(&["GET / HT"]).await));
            assert!((29..=32).contains(&open_for(&[REQUEST, "GET / HT", "TP/1.1\r\n"]).await));
        });
    }
}
