//! A request as it came.

use crate::glue;
use bytes::Bytes;
use http::request::Parts;
use http_body::{Frame, SizeHint};
use js_sys::{Promise, Uint8Array};
use std::net::IpAddr;
use std::pin::Pin;
use std::task::{Context, Poll};
use wasm_bindgen::{JsCast, JsValue};
use wasm_bindgen_futures::JsFuture;
use worker::Error;

/// Its body. It is taken with that: whoever passes the request on must do so before.
pub(crate) fn body(request: &web_sys::Request, head: &Parts) -> Incoming {
    let announced = head.headers.get(http::header::CONTENT_LENGTH);
    let announced = announced.and_then(|length| length.to_str().ok()?.parse().ok()).unwrap_or_default();
    let body = glue::body(request).unwrap_or_default();
    let from = match body.dyn_into::<Promise>() {
        Ok(all) => From::Whole(JsFuture::from(all)),
        Err(stream) => match stream.dyn_into::<web_sys::ReadableStream>() {
            Ok(stream) => From::Stream(Box::new(worker::Body::new(stream))),
            Err(_) => From::Over,
        },
    };
    Incoming { from, announced }
}

/// Its head.
pub(crate) fn head(request: &web_sys::Request) -> worker::Result<Parts> {
    let text = glue::asked(request);
    let mut lines = text.split('\n');
    let (method, address) = (lines.next().unwrap_or_default(), lines.next().unwrap_or_default());
    let mut built = http::Request::builder().method(method).uri(address).body(())?;
    *built.headers_mut() = glue::headers(lines);
    Ok(built.into_parts().0)
}

/// What Cloudflare says of where the request comes from; nobody else can set it.
pub(crate) fn peer(head: &Parts) -> Option<IpAddr> {
    head.headers.get("cf-connecting-ip")?.to_str().ok()?.trim().parse().ok()
}

/// The body of a request.
pub(crate) struct Incoming {
    from: From,
    /// Bytes that it is said to have.
    announced: u64,
}

enum From {
    /// All of it will come as one.
    Whole(JsFuture),
    Stream(Box<worker::Body>),
    Over,
}

impl http_body::Body for Incoming {
    type Data = Bytes;
    type Error = Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        match &mut self.from {
            From::Over => Poll::Ready(None),
            From::Stream(stream) => Pin::new(&mut **stream).poll_frame(cx),
            From::Whole(all) => {
                let all = std::task::ready!(Pin::new(all).poll(cx));
                self.from = From::Over;
                Poll::Ready(Some(all.map(|all| Frame::data(bytes(&all))).map_err(Error::from)))
            }
        }
    }

    fn size_hint(&self) -> SizeHint {
        let mut hint = SizeHint::new();
        hint.set_lower(self.announced);
        hint
    }
}

/// Bytes that have come, as a buffer or a view of one.
pub(crate) fn bytes(value: &JsValue) -> Bytes {
    Bytes::from(Uint8Array::new(value).to_vec())
}
