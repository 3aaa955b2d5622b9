//! Reads a request's body, all of it, within limits, or away.

use bytes::{Bytes, BytesMut};
use http_body::Body;
use http_body_util::BodyExt;
use std::time::Duration;
use tokio::time::{Instant, timeout, timeout_at};
use tollgate_core::fault::{Code, Fault};

/// Between two pieces of a body.
const IDLE: Duration = Duration::from_secs(30);

/// For a whole body.
const TOTAL: Duration = Duration::from_secs(300);

/// Room made in advance because of an announced length: an announcement alone must not cost memory.
const ROOM: u64 = 1 << 20;

/// A body up to this size is copied out of the connection's read buffer, of 8 KiB or more, which would
/// otherwise live as long as the exchange and have to be made anew for the next request.
const SMALL: usize = 4096;

/// A body up to this size is read away where nobody wants it.
const SHORT: u64 = 64 * 1024;

/// How long a body that nobody wants is waited for.
const SOON: Duration = Duration::from_millis(50);

/// What there is of a body that nobody wants.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rest {
    /// Nothing more.
    None,
    /// More than is read away.
    Left,
}

/// Reads away a body that nobody wants, if it is short and comes soon: then its connection can serve the
/// next request.
pub async fn skip<B>(mut body: B) -> Rest
where
    B: Body<Data = Bytes> + Unpin,
{
    // Before anything is read, so that a client that waits for a `100 Continue` does not send it.
    if body.size_hint().lower() > SHORT {
        return Rest::Left;
    }
    let away = async {
        let mut room = SHORT;
        while let Some(frame) = body.frame().await {
            let Ok(frame) = frame else { return Rest::Left };
            let size = frame.data_ref().map_or(0, Bytes::len) as u64;
            match room.checked_sub(size) {
                Some(less) => room = less,
                None => return Rest::Left,
            }
        }
        Rest::None
    };
    timeout(SOON, away).await.unwrap_or(Rest::Left)
}

/// The whole body, at most `limit` bytes. A large body that comes in one piece is not copied.
pub async fn read<B>(mut body: B, limit: u64) -> Result<Bytes, Fault>
where
    B: Body<Data = Bytes> + Unpin,
{
    // Before anything is read, so that a client that waits for a `100 Continue` does not send it.
    let announced = body.size_hint().lower();
    if announced > limit {
        return Err(too_large(announced, limit));
    }
    let end = Instant::now() + TOTAL;
    let Some(first) = piece(&mut body, end).await? else { return Ok(Bytes::new()) };
    if body.is_end_stream() {
        return within(first, limit);
    }
    let Some(second) = piece(&mut body, end).await? else { return within(first, limit) };
    let mut all = BytesMut::with_capacity(room(announced, first.len() + second.len()));
    all.extend_from_slice(&first);
    all.extend_from_slice(&second);
    drop((first, second));
    loop {
        if all.len() as u64 > limit {
            return Err(too_large(all.len() as u64, limit));
        }
        match piece(&mut body, end).await? {
            Some(more) => all.extend_from_slice(&more),
            None => return Ok(all.freeze()),
        }
    }
}

fn room(announced: u64, read: usize) -> usize {
    usize::try_from(announced.min(ROOM)).unwrap_or(read).max(read)
}

fn within(body: Bytes, limit: u64) -> Result<Bytes, Fault> {
    match body.len() {
        size if size as u64 > limit => Err(too_large(size as u64, limit)),
        size if size <= SMALL => Ok(Bytes::copy_from_slice(&body)),
        _ => Ok(body),
    }
}

fn too_large(found: u64, limit: u64) -> Fault {
    Fault::new(Code::BodyTooLarge, format!("body: {found} bytes or more exceed the limit of {limit} bytes"))
}

async fn piece<B>(body: &mut B, end: Instant) -> Result<Option<Bytes>, Fault>
where
    B: Body<Data = Bytes> + Unpin,
{
    loop {
        let patience = end.min(Instant::now() + IDLE);
        match timeout_at(patience, body.frame()).await {
            Ok(None) => return Ok(None),
            Ok(Some(Ok(frame))) => {
                if let Ok(data) = frame.into_data()
                    && !data.is_empty()
                {
                    return Ok(Some(data));
                }
            }
            Ok(Some(Err(_))) => {
                return Err(Fault::new(Code::BadJson, "body: ended before all of it had come"));
            }
            Err(_) => return Err(Fault::new(Code::SlowRequest, "body: did not come in time")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use http_body::Frame;
    use http_body_util::Full;
    use std::pin::Pin;
    use std::task::{Context, Poll};

    /// Pieces that come at once.
    struct Pieces(Vec<Result<Bytes, &'static str>>);

    impl Body for Pieces {
        type Data = Bytes;
        type Error = &'static str;

        fn poll_frame(
            mut self: Pin<&mut Self>,
            _: &mut Context<'_>,
        ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
            let next = if self.0.is_empty() { None } else { Some(self.0.remove(0)) };
            Poll::Ready(next.map(|piece| piece.map(Frame::data)))
        }
    }

    /// A client that says no more.
    struct Silence;

    impl Body for Silence {
        type Data = Bytes;
        type Error = &'static str;

        fn poll_frame(
            self: Pin<&mut Self>,
            _: &mut Context<'_>,
        ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
            Poll::Pending
        }
    }

    fn pieces(texts: &[&'static str]) -> Pieces {
        Pieces(texts.iter().map(|text| Ok(Bytes::from_static(text.as_bytes()))).collect())
    }

    #[tokio::test]
    async fn a_large_body_in_one_piece_is_not_copied_and_a_small_one_frees_its_buffer() {
        let large = Bytes::from(vec![b'a'; SMALL + 1]);
        let whole = read(Full::new(large.clone()), 10_000).await.unwrap();
        assert_eq!(whole.as_ptr(), large.as_ptr());
        let small = large.slice(..SMALL);
        let whole = read(Full::new(small.clone()), 10_000).await.unwrap();
        assert!(whole == small && whole.as_ptr() != small.as_ptr());
    }

    #[tokio::test]
    async fn pieces_are_joined_in_order() {
        assert_eq!(read(pieces(&["a", "", "b", "c"]), 3).await.unwrap(), "abc");
        assert_eq!(read(pieces(&[]), 3).await.unwrap(), "");
    }

    #[tokio::test]
    async fn a_body_over_the_limit_is_refused_whether_announced_or_not() {
        for fault in [
            read(Full::new(Bytes::from_static(b"abcd")), 3).await.unwrap_err(),
            read(pieces(&["abcd"]), 3).await.unwrap_err(),
            read(pieces(&["ab", "cd"]), 3).await.unwrap_err(),
            read(pieces(&["a", "b", "cd"]), 3).await.unwrap_err(),
        ] {
            assert_eq!(fault.code, Code::BodyTooLarge);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn what_nobody_wants_is_read_away_if_it_is_short_and_comes() {
        assert_eq!(skip(pieces(&[])).await, Rest::None);
        assert_eq!(skip(pieces(&["a", "", "b"])).await, Rest::None);
        assert_eq!(skip(Full::new(Bytes::from(vec![b'a'; 64 * 1024 + 1]))).await, Rest::Left);
        let many: Vec<&str> = vec!["0123456789abcdef"; 4097];
        assert_eq!(skip(pieces(&many)).await, Rest::Left);
        assert_eq!(skip(Pieces(vec![Ok(Bytes::from_static(b"{")), Err("cut")])).await, Rest::Left);
        assert_eq!(skip(Silence).await, Rest::Left);
    }

    #[tokio::test]
    async fn half_a_body_is_refused() {
        let fault = read(Pieces(vec![Ok(Bytes::from_static(b"{")), Err("cut")]), 9).await.unwrap_err();
        assert_eq!(fault.code, Code::BadJson);
    }

    #[tokio::test(start_paused = true)]
    async fn a_body_that_stops_is_refused_in_time() {
        let start = Instant::now();
        let fault = read(Silence, 9).await.unwrap_err();
        assert_eq!(fault.code, Code::SlowRequest);
        assert!(start.elapsed() >= IDLE && start.elapsed() < IDLE * 2);
    }
}
