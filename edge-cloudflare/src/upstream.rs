//! Calls to upstreams by the runtime's `fetch`.

use bytes::Bytes;
use http::header::{CONTENT_ENCODING, CONTENT_LENGTH, TRANSFER_ENCODING};
use http_body::Body as _;
use js_sys::Uint8Array;
use std::pin::Pin;
use std::task::{Context, Poll};
use tollgate_core::host::{Fetch, FetchError, FetchFault, Head, Upstream};
use worker::{AbortController, Body, Headers, HttpResponse, Method, Request, RequestInit, RequestRedirect};

/// An upstream call in progress. Dropping it aborts the call and closes its connection.
pub(crate) struct Call {
    state: State,
    abort: Option<AbortController>,
}

enum State {
    Head(Pin<Box<dyn Future<Output = worker::Result<HttpResponse>>>>),
    Body(Body),
    Over,
}

impl Call {
    pub(crate) fn new(fetch: Fetch) -> Self {
        let abort = AbortController::default();
        let signal = abort.signal();
        let head = Box::pin(async move {
            let sent = worker::Fetch::Request(request(fetch)?).send_with_signal(&signal).await?;
            HttpResponse::try_from(sent)
        });
        Self { state: State::Head(head), abort: Some(abort) }
    }
}

fn request(fetch: Fetch) -> worker::Result<Request> {
    let Fetch { method, uri, headers, body, reuse: _ } = fetch;
    let mut init = RequestInit::new();
    init.with_method(Method::from(method.as_str().to_owned()));
    init.with_headers(Headers::from(headers));
    // A redirect would carry the provider's key to wherever it leads.
    init.with_redirect(RequestRedirect::Manual);
    if !body.is_empty() {
        // Bytes and not a stream: the length is known, so no upstream has to take chunks.
        init.with_body(Some(Uint8Array::from(&*body).into()));
    }
    Request::new_with_init(&uri.to_string(), &init)
}

impl Drop for Call {
    fn drop(&mut self) {
        if !matches!(self.state, State::Over)
            && let Some(abort) = self.abort.take()
        {
            abort.abort();
        }
    }
}

impl Upstream for Call {
    fn poll_head(&mut self, cx: &mut Context<'_>) -> Poll<Result<Head, FetchError>> {
        let State::Head(head) = &mut self.state else {
            return Poll::Ready(Err(broken("its head was read already")));
        };
        let answer = match std::task::ready!(head.as_mut().poll(cx)) {
            Ok(answer) => answer,
            Err(error) => {
                self.state = State::Over;
                return Poll::Ready(Err(failed(&error)));
            }
        };
        let (mut head, body) = answer.into_parts();
        // The runtime has undone them.
        for name in [CONTENT_ENCODING, CONTENT_LENGTH, TRANSFER_ENCODING] {
            head.headers.remove(name);
        }
        self.state = State::Body(body);
        Poll::Ready(Ok(Head { status: head.status, headers: head.headers }))
    }

    fn poll_chunk(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, FetchError>>> {
        let State::Body(body) = &mut self.state else { return Poll::Ready(None) };
        loop {
            match std::task::ready!(Pin::new(&mut *body).poll_frame(cx)) {
                Some(Ok(frame)) => {
                    if let Ok(chunk) = frame.into_data() {
                        return Poll::Ready(Some(Ok(chunk)));
                    }
                }
                Some(Err(error)) => {
                    self.state = State::Over;
                    return Poll::Ready(Some(Err(failed(&error))));
                }
                None => {
                    self.state = State::Over;
                    return Poll::Ready(None);
                }
            }
        }
    }
}

fn failed(error: &worker::Error) -> FetchError {
    broken(&error.to_string())
}

/// The runtime's words may hold the address with its query, which may hold a key.
fn broken(what: &str) -> FetchError {
    let what = what.lines().next().unwrap_or_default();
    let what = match what.contains("://") {
        true => "the connection failed",
        false => what,
    };
    FetchError { kind: FetchFault::Failed, what: what.to_owned() }
}
