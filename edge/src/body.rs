//! Reads a request's body, all of it, within limits.

use bytes::{Bytes, BytesMut};
use http_body::Body;
use std::future::poll_fn;
use std::pin::Pin;
use std::task::Poll;
use tollgate_core::fault::{Code, Fault};
use tollgate_core::host::Timer;
use tollgate_core::units::{Millis, Time};

/// For a whole body. Platforms in front of an edge wait no longer themselves.
const TOTAL: Millis = Millis::from_secs(300);

/// Room made in advance because of an announced length: an announcement alone must not cost memory.
const ROOM: u64 = 1 << 20;

/// How much is read, and until when.
#[derive(Debug)]
pub struct Bounds<T> {
    /// Bytes.
    pub most: u64,
    /// The platform's.
    pub timer: T,
    /// Now.
    pub now: Time,
}

/// The whole body. One that comes in one piece is not copied.
pub async fn read<B, T>(mut body: B, bounds: Bounds<T>) -> Result<Bytes, Fault>
where
    B: Body<Data = Bytes> + Unpin,
    T: Timer,
{
    let Bounds { most, mut timer, now } = bounds;
    let announced = body.size_hint().lower();
    if announced > most {
        return Err(too_large(announced, most));
    }
    let mut gathered = Gathered::Nothing;
    loop {
        match piece(&mut body, &mut timer, now + TOTAL).await? {
            Some(more) => gathered = gathered.with(more, announced),
            None => return Ok(gathered.whole()),
        }
        if gathered.length() > most {
            return Err(too_large(gathered.length(), most));
        }
    }
}

/// What has come.
enum Gathered {
    Nothing,
    One(Bytes),
    Several(BytesMut),
}

impl Gathered {
    fn with(self, more: Bytes, announced: u64) -> Self {
        let mut all = match self {
            Self::Nothing => return Self::One(more),
            Self::One(first) => {
                let room = usize::try_from(announced.min(ROOM)).unwrap_or_default();
                let mut all = BytesMut::with_capacity(room.max(first.len() + more.len()));
                all.extend_from_slice(&first);
                all
            }
            Self::Several(all) => all,
        };
        all.extend_from_slice(&more);
        Self::Several(all)
    }

    fn length(&self) -> u64 {
        match self {
            Self::Nothing => 0,
            Self::One(piece) => piece.len() as u64,
            Self::Several(all) => all.len() as u64,
        }
    }

    fn whole(self) -> Bytes {
        match self {
            Self::Nothing => Bytes::new(),
            Self::One(piece) => piece,
            Self::Several(all) => all.freeze(),
        }
    }
}

fn too_large(found: u64, most: u64) -> Fault {
    Fault::new(Code::BodyTooLarge, format!("body: {found} bytes or more exceed the limit of {most} bytes"))
}

/// The next piece that is not empty.
async fn piece<B, T>(body: &mut B, timer: &mut T, end: Time) -> Result<Option<Bytes>, Fault>
where
    B: Body<Data = Bytes> + Unpin,
    T: Timer,
{
    poll_fn(|cx| {
        loop {
            match Pin::new(&mut *body).poll_frame(cx) {
                Poll::Ready(None) => return Poll::Ready(Ok(None)),
                Poll::Ready(Some(Ok(frame))) => {
                    if let Ok(data) = frame.into_data()
                        && !data.is_empty()
                    {
                        return Poll::Ready(Ok(Some(data)));
                    }
                }
                Poll::Ready(Some(Err(_))) => {
                    let cut = Fault::new(Code::BadJson, "body: ended before all of it had come");
                    return Poll::Ready(Err(cut));
                }
                Poll::Pending => {
                    let late = || Err(Fault::new(Code::SlowRequest, "body: did not come in time"));
                    return timer.poll_until(end, cx).map(|()| late());
                }
            }
        }
    })
    .await
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{Sundial, ready};
    use http_body::Frame;
    use std::task::Context;

    /// Pieces that come at once, and then nothing more, or silence.
    struct Pieces {
        left: Vec<Result<Bytes, &'static str>>,
        then: Poll<()>,
    }

    impl Body for Pieces {
        type Data = Bytes;
        type Error = &'static str;

        fn poll_frame(
            mut self: Pin<&mut Self>,
            _: &mut Context<'_>,
        ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
            if self.left.is_empty() {
                return self.then.map(|()| None);
            }
            Poll::Ready(Some(self.left.remove(0).map(Frame::data)))
        }
    }

    fn pieces(texts: &[&'static str]) -> Pieces {
        let left = texts.iter().map(|text| Ok(Bytes::from_static(text.as_bytes()))).collect();
        Pieces { left, then: Poll::Ready(()) }
    }

    fn read_all(body: Pieces, most: u64) -> Result<Bytes, Fault> {
        ready(read(body, Bounds { most, timer: Sundial(Time(600_000)), now: Time(1000) }))
    }

    #[test]
    fn pieces_are_joined_in_order() {
        assert_eq!(read_all(pieces(&["a", "", "b", "c"]), 3).unwrap(), "abc");
        assert_eq!(read_all(pieces(&[]), 3).unwrap(), "");
    }

    #[test]
    fn a_body_over_the_limit_is_refused() {
        for texts in [&["abcd"][..], &["ab", "cd"], &["a", "b", "cd"]] {
            assert_eq!(read_all(pieces(texts), 3).unwrap_err().code, Code::BodyTooLarge);
        }
    }

    #[test]
    fn half_a_body_is_refused() {
        let cut = Pieces { left: vec![Ok(Bytes::from_static(b"{")), Err("cut")], then: Poll::Ready(()) };
        assert_eq!(read_all(cut, 9).unwrap_err().code, Code::BadJson);
    }

    #[test]
    fn a_body_that_stops_is_refused_in_time() {
        let silent = Pieces { left: vec![Ok(Bytes::from_static(b"{"))], then: Poll::Pending };
        assert_eq!(read_all(silent, 9).unwrap_err().code, Code::SlowRequest);
    }
}
