//! The document with the keys of another issuer of tokens, fetched as any upstream call is.

use bytes::{Bytes, BytesMut};
use http::header::{ACCEPT, HeaderMap, HeaderValue};
use http::{Method, Uri};
use std::future::poll_fn;
use std::task::{Context, Poll};
use tollgate_core::host::{Fetch, Reuse, Timer, Upstream};
use tollgate_core::units::{Millis, Time};

/// How long a fetch may take.
pub const PATIENCE: Millis = Millis::from_secs(5);

/// Between two fetches of one issuer's keys: who presents tokens that nobody signed makes the gateway fetch
/// twice a minute at most.
pub const PAUSE: Millis = Millis::from_secs(30);

/// Bytes of a document.
pub const MOST: usize = 256 * 1024;

/// Fetches a document until `end`. The error is in words, for the log.
pub async fn document<U: Upstream, T: Timer>(
    url: &str,
    call: impl FnOnce(Fetch) -> U,
    mut timer: T,
    end: Time,
) -> Result<BytesMut, String> {
    let uri: Uri = url.parse().map_err(|_| "its address is none".to_owned())?;
    let headers = HeaderMap::from_iter([(ACCEPT, HeaderValue::from_static("application/json"))]);
    let (method, body) = (Method::GET, Bytes::new());
    let mut call = call(Fetch { method, uri, headers, body, reuse: Reuse::Allowed, signing: None });
    let head =
        poll_fn(|cx| or_late(call.poll_head(cx), &mut timer, end, cx)).await?.map_err(|error| error.what)?;
    if !head.status.is_success() {
        return Err(format!("it answered {}", head.status.as_u16()));
    }
    let mut document = BytesMut::new();
    while let Some(piece) = poll_fn(|cx| or_late(call.poll_chunk(cx), &mut timer, end, cx)).await? {
        document.extend_from_slice(&piece.map_err(|error| error.what)?);
        if document.len() > MOST {
            return Err(format!("the document is larger than {MOST} bytes"));
        }
    }
    Ok(document)
}

fn or_late<T>(
    polled: Poll<T>,
    timer: &mut impl Timer,
    end: Time,
    cx: &mut Context<'_>,
) -> Poll<Result<T, String>> {
    match polled {
        Poll::Ready(result) => Poll::Ready(Ok(result)),
        Poll::Pending => {
            timer.poll_until(end, cx).map(|()| Err(format!("no answer within {} s", PATIENCE.ceil_secs())))
        }
    }
}
